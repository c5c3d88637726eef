package state_test

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"testing"
	"time"

	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/ledgertest"
	"github.com/quorate-pki/quorate/ledger/state"
)

// caOf makes a CA certificate over a named key; number makes another one.
func (x *chain) caOf(key string, number int64, change func(*x509.Certificate)) []byte {
	x.t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(number), Subject: pkix.Name{CommonName: key}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, NotBefore: ledgertest.Start.Add(-time.Hour), NotAfter: ledgertest.Start.AddDate(10, 0, 0)}
	if change != nil {
		change(template)
	}
	k := x.c.Key(key)
	der, err := x509.CreateCertificate(bytes.NewReader(make([]byte, 64)), template, template, k.Public(), k)
	if err != nil {
		x.t.Fatal(err)
	}
	return der
}

// registration is that of a CA, agreed to by a key.
func (x *chain) registration(owner ledger.OrgID, der []byte, key string, namespaces ...ledger.OrgID) ledger.CA {
	x.t.Helper()
	s := x.c.Signer(key)
	sig, err := s.SignCOSE(ledger.CAMessage(owner, der))
	if err != nil {
		x.t.Fatal(err)
	}
	return ledger.CA{Owner: owner, Certificate: der, Alg: s.Alg(), Possession: sig, Namespaces: namespaces}
}

func caBody(a ledger.CA) []byte { return ledger.EncodeBody(ledger.OpCA, a) }

// ids finds what genesis registered, by name.
func (x *chain) ids() (orgs map[string]ledger.OrgID, namespaces map[string]ledger.OrgID) {
	x.t.Helper()
	orgs, namespaces = map[string]ledger.OrgID{}, map[string]ledger.OrgID{}
	for rec, err := range x.store.Records(ledger.RecordOrg, nil) {
		if err != nil {
			x.t.Fatal(err)
		}
		var o ledger.OrgRecord
		if err := ledger.Decode(rec.Value, &o); err != nil {
			x.t.Fatal(err)
		}
		orgs[o.Name] = ledger.OrgID(rec.Key)
	}
	for rec, err := range x.store.Records(ledger.RecordNamespace, nil) {
		if err != nil {
			x.t.Fatal(err)
		}
		var n ledger.NamespaceRecord
		if err := ledger.Decode(rec.Value, &n); err != nil {
			x.t.Fatal(err)
		}
		namespaces[n.Value] = ledger.OrgID(rec.Key)
	}
	return orgs, namespaces
}

// TestRegisterCA: an organisation's admins register its CA, its key agrees, and whoever folds the leaves, or loads the records, knows the same.
func TestRegisterCA(t *testing.T) {
	x := start(t, 4, plenty, nil)
	orgs, namespaces := x.ids()
	acme, other, op := orgs["acme-cells"], orgs["other-cells"], orgs["op-one"]
	der := x.caOf("acme-ca", 1, nil)
	good := x.registration(acme, der, "acme-ca", namespaces["acme-cells.example"])
	try := func(a ledger.CA, want reason.Code, signers ...string) {
		t.Helper()
		expect(t, x.one(caBody(a), signers...), want)
	}
	try(good, reason.NotAuthorised, "acme-cells/admin-1")
	try(good, reason.NotAuthorised, "acme-cells/line")
	try(good, reason.NotAuthorised, "op-one/admin-1")
	try(good, reason.NotAuthorised, govA, govB, govC) // no vote registers what is another's
	two := []string{"acme-cells/admin-1", "acme-cells/admin-2"}
	try(x.registration(acme, der, "somebody"), reason.CAPossession, two...)
	moved := good
	moved.Owner, moved.Namespaces = other, nil
	try(moved, reason.CAPossession, "other-cells/admin-1")
	again := x.registration(acme, x.caOf("acme-ca", 2, nil), "acme-ca")
	again.Possession = good.Possession
	try(again, reason.CAPossession, two...)
	try(x.registration(acme, der, "acme-ca", namespaces["other-cells.example"]), reason.UnknownNamespace, two...)
	try(x.registration(acme, der, "acme-ca", ledger.OrgID{1}), reason.UnknownNamespace, two...)
	try(x.registration(acme, der, "acme-ca", namespaces["ACME-"], namespaces["ACME-"]), reason.RegistrationForm, two...)
	try(x.registration(ledger.OrgID{9}, der, "acme-ca"), reason.NotAuthorised, two...)
	try(x.registration(acme, x.caOf("acme-ca", 1, func(c *x509.Certificate) { c.IsCA = false }), "acme-ca"), reason.NotACA, two...)
	try(x.registration(acme, x.caOf("acme-ca", 1, func(c *x509.Certificate) { c.NotAfter = ledgertest.Start }), "acme-ca"), reason.CAValidity, two...)
	try(x.registration(acme, x.caOf("acme-cells/line", 1, nil), "acme-cells/line"), reason.KeyTaken, two...)
	try(x.registration(acme, x.caOf("ca-b/responder", 1, nil), "ca-b/responder"), reason.KeyTaken, two...)
	x.publish(x.c.Device("ACME-1", dns, 0))
	try(x.registration(acme, x.caOf("device/ACME-1", 1, nil), "device/ACME-1"), reason.KeyTaken, two...)
	try(good, reason.Accepted, two...)
	try(good, reason.CARegistered, two...)

	// The key is the CA's from now on, in memory and after a start.
	for range 2 {
		expect(t, x.one(ledgertest.Publish(x.c.DeviceKey("ACME-2", dns, "acme-ca", 0)), "acme-cells/line"), reason.KeyOfTheConsortium)
		try(x.registration(op, x.caOf("acme-ca", 3, nil), "acme-ca"), reason.CAOfAnotherOwner, "op-one/admin-1")
		x.reload()
	}
	try(x.registration(acme, x.caOf("acme-ca", 2, func(c *x509.Certificate) { c.NotAfter = ledgertest.Start.AddDate(20, 0, 0) }), "acme-ca"), reason.Accepted, two...)
	for i := range int64(ledger.MaxCAs - 2) {
		key := fmt.Sprintf("acme-ca-%d", i)
		try(x.registration(acme, x.caOf(key, 1, nil), key), reason.Accepted, two...)
	}
	try(x.registration(acme, x.caOf("one-more", 1, nil), "one-more"), reason.TooManyCAs, two...)
	try(x.registration(op, x.caOf("op-ca", 1, nil), "op-ca"), reason.Accepted, "op-one/admin-1")

	id := ledger.Sum(der)
	raw, err := x.store.Get(state.Key(ledger.RecordCA, id[:]))
	if err != nil || raw == nil {
		t.Fatal("no record of the CA", err)
	}
	var rec ledger.CARecord
	if err := ledger.Decode(raw, &rec); err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	if rec.Owner != acme || !bytes.Equal(rec.Name, cert.RawSubject) || rec.Key != ledger.Sum(cert.RawSubjectPublicKeyInfo) || rec.NotAfter != cert.NotAfter.Unix() || len(rec.Namespaces) != 1 {
		t.Errorf("recorded as %+v", rec)
	}
}

// TestRegisterCARules: before rule version 3 there is no such operation; and it is none of a proposal's.
func TestRegisterCARules(t *testing.T) {
	x := start(t, 4, plenty, func(f *ledger.Founding) { f.Rules = 2 })
	orgs, _ := x.ids()
	a := x.registration(orgs["op-one"], x.caOf("op-ca", 1, nil), "op-ca")
	expect(t, x.one(caBody(a), "op-one/admin-1"), reason.UnknownOperation)
	x = start(t, 4, plenty, nil)
	orgs, _ = x.ids()
	a = x.registration(orgs["op-one"], x.caOf("op-ca", 1, nil), "op-ca")
	expect(t, x.one(ledger.EncodeBody(ledger.OpPropose, x.proposal(1, caBody(a))), govA), reason.NotProposable)
	for name, spoil := range map[string]func(*ledger.CA){
		"no certificate":      func(a *ledger.CA) { a.Certificate = nil },
		"too large":           func(a *ledger.CA) { a.Certificate = make([]byte, ledger.MaxCertificate+1) },
		"no signature":        func(a *ledger.CA) { a.Possession = nil },
		"too long":            func(a *ledger.CA) { a.Possession = make([]byte, 1025) },
		"too many namespaces": func(a *ledger.CA) { a.Namespaces = make([]ledger.OrgID, ledger.MaxCANamespaces+1) },
	} {
		bad := a
		spoil(&bad)
		if got := x.one(caBody(bad), "op-one/admin-1"); got.Code != reason.BadBody {
			t.Errorf("%s: %s", name, got.Code)
		}
	}
}
