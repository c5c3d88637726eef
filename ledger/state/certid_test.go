package state_test

import (
	"crypto"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"testing"

	_ "crypto/sha1"
	_ "crypto/sha512"

	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/ledgertest"
	"github.com/quorate-pki/quorate/ledger/state"
)

// TestCertIDs: every publication, alone or in a batch, is found by the CertID an OCSP client makes with SHA-1, SHA-256 or SHA-384
// (RFC 6960 section 4.1.1). The CertID is made here from what the standard library reads.
func TestCertIDs(t *testing.T) {
	x := start(t, 1, plenty, nil)
	ders := [][]byte{x.c.Device("ACME-1", dns, 0), x.c.Device("ACME-2", dns, 0), x.c.Device("ACME-1", dns, 1)}
	var bodies [][]byte
	for _, d := range ders {
		bodies = append(bodies, ledgertest.Publish(d))
	}
	e := x.block(x.tx(bodies, "acme-cells/line"))
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
			key := ledger.CertIDKey(alg, sum(cert.RawIssuer), sum(spki.Key.Bytes), cert.SerialNumber.Bytes())
			raw, err := x.store.Get(state.Key(ledger.RecordCertID, key))
			var got ledger.CertIDRecord
			if err != nil || raw == nil || ledger.Decode(raw, &got) != nil {
				t.Errorf("certificate %d is not found by %s: %v", i, h, err)
				continue
			}
			want := ledger.CertIDRecord{Key: ledger.Sum(cert.RawSubjectPublicKeyInfo), Leaf: e.Results[0].Verdicts[i].Leaf}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("certificate %d by %s: %+v, want %+v", i, h, got, want)
			}
		}
	}
}
