package state_test

import (
	"crypto"
	"crypto/x509"
	"encoding/asn1"
	"testing"

	_ "crypto/sha1"
	_ "crypto/sha512"

	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/ledgertest"
	"github.com/quorate-pki/quorate/ledger/state"
)

// TestCertIDs: every publication, alone or in a batch, is found by the CertID an OCSP client makes with SHA-1, SHA-256 or SHA-384
// (RFC 6960 section 4.1.1), also those that share a serial number with others', before a restart or after it. The CertID is made here
// from what the standard library reads.
func TestCertIDs(t *testing.T) {
	x := start(t, 1, plenty, nil)
	year := ledgertest.Start.AddDate(1, 0, 0)
	ders := [][]byte{x.c.Device("ACME-1", dns, 0), x.c.Device("ACME-2", dns, 0), x.c.Device("ACME-1", dns, 1),
		numbered(t, x, "ACME-3", 5, year), numbered(t, x, "ACME-4", 5, year)}
	var bodies [][]byte
	for _, d := range ders {
		bodies = append(bodies, ledgertest.Publish(d))
	}
	var leaves []uint64
	for _, v := range x.block(x.tx(bodies, "acme-cells/line")).Results[0].Verdicts {
		leaves = append(leaves, v.Leaf)
	}
	x.reload()
	for _, device := range []string{"ACME-5", "ACME-6"} {
		ders = append(ders, numbered(t, x, device, 5, year))
		leaves = append(leaves, x.publish(ders[len(ders)-1]))
	}
	for i, der := range ders {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		var spki struct {
			Algorithm asn1.RawValue
			Key       asn1.BitString
		}
		if _, err := asn1.Unmarshal(cert.RawSubjectPublicKeyInfo, &spki); err != nil {
			t.Fatal(err)
		}
		for alg, h := range map[uint8]crypto.Hash{1: crypto.SHA1, 2: crypto.SHA256, 3: crypto.SHA384} {
			sum := func(b []byte) []byte { d := h.New(); d.Write(b); return d.Sum(nil) }
			find := func(name, key []byte) *ledger.PublicationRecord {
				got, err := ledger.FindCertID(func(kind ledger.RecordKind, key []byte) ([]byte, error) { return x.store.Get(state.Key(kind, key)) },
					alg, sum(name), sum(key), cert.SerialNumber.Bytes())
				if err != nil {
					t.Fatal(err)
				}
				return got
			}
			got := find(cert.RawIssuer, spki.Key.Bytes)
			if got == nil || got.Key != ledger.Sum(cert.RawSubjectPublicKeyInfo) || got.Leaf != leaves[i] {
				t.Errorf("certificate %d by %s: %+v", i, h, got)
			}
			if got := find(cert.RawSubject[1:], spki.Key.Bytes); got != nil {
				t.Errorf("another issuer's certificate by %s: %+v", h, got)
			}
			if got := find(cert.RawIssuer, spki.Key.Bytes[1:]); got != nil {
				t.Errorf("another key's certificate by %s: %+v", h, got)
			}
		}
	}
}
