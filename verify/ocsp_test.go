package verify_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ocsp"
	"github.com/quorate-pki/quorate/verify"
)

// TestOCSPSigner: an answer is a member's when that member's responder key signed these very octets, by a set that is proved.
func TestOCSPSigner(t *testing.T) {
	w := newTLSWorld(t)
	der, e := w.certs["ACME-1"], w.proofs("ACME-1")
	pub, standing, err := e.Weigh(w.c.Policy(), der, time.Unix(asOf, 0), time.Hour, nil)
	must(t, err)
	document := ledger.Encode(w.c.Set)
	set, err := standing.Members(document)
	must(t, err)
	if pub.Leaf != w.leafOf["ACME-1"] {
		t.Errorf("published at leaf %d", pub.Leaf)
	}
	for name, want := range map[string]string{"ca-a/responder": "ca-a", "ca-d/responder": "ca-d", "ca-a/governance": "", "ca-a/cosigning": "", "device/ACME-1": ""} {
		a, err := verify.ParseOCSP(answer(t, w.c.Key(name), der, ocsp.Good, e), der)
		must(t, err)
		m, err := a.Signer(set)
		if got := code(err); want == "" && got != reason.NotAResponder || want != "" && (err != nil || m.Name != want) {
			t.Errorf("signed by %s: %+v, %v", name, m, err)
		}
	}
	raw := answer(t, w.c.Key("ca-a/responder"), der, ocsp.Good, verify.Evidence{})
	for i := range bytes.LastIndex(raw, []byte{0xa0, 0x82}) { // up to the certificates, which are not looked at
		spoiled := bytes.Clone(raw)
		spoiled[i] ^= 1
		a, err := verify.ParseOCSP(spoiled, der)
		if err != nil {
			continue
		}
		if _, err := a.Signer(set); err == nil {
			t.Errorf("octet %d changed: signed all the same", i)
		}
	}
	if _, err := standing.Members(append(document, 0)); code(err) != reason.BadMemberSet {
		t.Errorf("another document: %v", err)
	}
	more := *w.c.Set
	more.Quorum = 4
	if _, err := standing.Members(ledger.Encode(more)); code(err) != reason.BadMemberSet {
		t.Errorf("another set: %v", err)
	}
}

// TestOCSPReads: what a responder says, as it says it.
func TestOCSPReads(t *testing.T) {
	w := newTLSWorld(t)
	der, key := w.certs["ACME-1"], w.c.Key("ca-a/responder")
	for state, want := range map[ocsp.State]verify.OCSPStatus{ocsp.Good: verify.OCSPGood, ocsp.Suspended: verify.OCSPRevoked, ocsp.Revoked: verify.OCSPRevoked, 0: verify.OCSPUnknown} {
		a, err := verify.ParseOCSP(answer(t, key, der, state, verify.Evidence{}), der)
		must(t, err)
		if a.Told != want || a.ThisUpdate.Unix() != asOf || a.Receipt != nil || a.Status != nil {
			t.Errorf("%d: %+v", state, a)
		}
	}
	good := answer(t, key, der, ocsp.Good, w.proofs("ACME-1"))
	for name, raw := range map[string][]byte{"nothing": nil, "more": append(bytes.Clone(good), 0), "cut": good[:len(good)-1], "too long": make([]byte, verify.MaxOCSPAnswer+1),
		"an error with an answer": append([]byte{0x30, 5, 0x0a, 1, 3}, 5, 0)} {
		if _, err := verify.ParseOCSP(raw, der); code(err) != reason.BadOCSPAnswer {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := verify.ParseOCSP(good, []byte("none")); code(err) != reason.BadCertificateFile {
		t.Errorf("no certificate: %v", err)
	}
}

// FuzzParseOCSP: whatever is read is about the certificate, and nothing panics.
func FuzzParseOCSP(f *testing.F) {
	w := found(f, 4)
	der := w.device("ACME-1", time.Time{})
	key := w.c.Key("ca-a/responder")
	f.Add(answer(f, key, der, ocsp.Good, verify.Evidence{}))
	f.Add(answer(f, key, der, ocsp.Revoked, verify.Evidence{}))
	f.Add(answer(f, key, der, 0, verify.Evidence{}))
	f.Add([]byte{0x30, 3, 0x0a, 1, 6})
	f.Fuzz(func(t *testing.T, raw []byte) {
		a, err := verify.ParseOCSP(raw, der)
		if err == nil && (a.Told < verify.OCSPGood || a.Told > verify.OCSPUnknown) {
			t.Errorf("%+v", a)
		}
		if _, ok := reason.CodeOf(err); err != nil && !ok {
			t.Errorf("an error without a reason: %v", err)
		}
	})
}
