package state_test

import (
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"testing"
	"time"

	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/ledgertest"
)

var owner = []string{"acme-cells/admin-1", "acme-cells/admin-2"}

// numbered is a certificate of a device with a serial number of one's choice.
func numbered(t *testing.T, x *chain, device string, number int64, until time.Time) []byte {
	t.Helper()
	key := x.c.Key("device/" + device)
	template := &x509.Certificate{SerialNumber: big.NewInt(number), KeyUsage: x509.KeyUsageDigitalSignature, NotBefore: ledgertest.Start, NotAfter: until,
		Subject:  pkix.Name{ExtraNames: []pkix.AttributeTypeAndValue{{Type: asn1.ObjectIdentifier{2, 5, 4, 5}, Value: device}}},
		DNSNames: []string{"x." + dns}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// TestRevokedIsNotRevived: a second certificate under the CertID of a revoked one would give OCSP the new one's status.
func TestRevokedIsNotRevived(t *testing.T) {
	x := start(t, 1, plenty, nil)
	year := ledgertest.Start.AddDate(1, 0, 0)
	leaf := x.publish(numbered(t, x, "ACME-1", 5, year))
	expect(t, x.one(x.change("ACME-1", on(leaf, ledger.Revoke, ledger.PrivilegeWithdrawn)), owner...), reason.Accepted)
	expect(t, x.one(ledgertest.Publish(numbered(t, x, "ACME-1", 5, year.AddDate(1, 0, 0))), "acme-cells/line"), reason.CertIDTaken)
	expect(t, x.one(ledgertest.Publish(numbered(t, x, "ACME-1", 6, year)), "acme-cells/line"), reason.Accepted)
	// Another device may use the same number.
	expect(t, x.one(ledgertest.Publish(numbered(t, x, "ACME-2", 5, year)), "acme-cells/line"), reason.Accepted)
}

// TestCompromiseReachesEveryCertificate: naming one certificate with keyCompromise revokes all of the key, a suspended one
// included, and nothing brings any of them back.
func TestCompromiseReachesEveryCertificate(t *testing.T) {
	for _, by := range [][]string{{"device/ACME-1"}, owner} {
		x := start(t, 1, plenty, nil)
		one, two := x.publish(x.c.Device("ACME-1", dns, 0)), x.publish(x.c.Device("ACME-1", dns, 1))
		expect(t, x.one(x.change("ACME-1", on(two, ledger.Suspend, ledger.CertificateHold)), owner...), reason.Accepted)
		c := on(one, ledger.Revoke, ledger.KeyCompromise)
		c.SPKI = x.c.SPKI("device/ACME-1")
		expect(t, x.one(x.change("ACME-1", c), by...), reason.Accepted)
		k, err := x.head.KeyRecord(ledger.Sum(c.SPKI))
		if err != nil {
			t.Fatal(err)
		}
		for _, info := range k.Certificates {
			if info.Status != ledger.Revoked || !k.Barred {
				t.Errorf("leaf %d is %s, barred %v", info.Leaf, info.Status, k.Barred)
			}
		}
		expect(t, x.one(x.change("ACME-1", on(two, ledger.Resume, ledger.RemoveFromCRL)), owner...), reason.NotSuspended)
	}
}

// TestFirstRevocationKeepsItsDate: who has the key may say that it is compromised, but not move the date.
func TestFirstRevocationKeepsItsDate(t *testing.T) {
	x := start(t, 1, plenty, nil)
	leaf := x.publish(x.c.Device("ACME-1", dns, 0))
	expect(t, x.one(x.change("ACME-1", on(leaf, ledger.Revoke, ledger.Superseded)), owner...), reason.Accepted)
	before, err := x.head.KeyRecord(ledger.Sum(x.c.SPKI("device/ACME-1")))
	if err != nil {
		t.Fatal(err)
	}
	c := on(leaf, ledger.Revoke, ledger.KeyCompromise)
	c.SPKI = x.c.SPKI("device/ACME-1")
	expect(t, x.one(x.change("ACME-1", c), "device/ACME-1"), reason.Accepted)
	after, err := x.head.KeyRecord(ledger.Sum(c.SPKI))
	if err != nil {
		t.Fatal(err)
	}
	was, is := before.Certificates[0], after.Certificates[0]
	if is.Since != was.Since || is.Authority != was.Authority || is.Reason != ledger.KeyCompromise || is.Cause == was.Cause {
		t.Errorf("was %+v, is %+v", was, is)
	}
}

// TestOneKeyOnePurpose: a member's key is no device's, and no line or admin key.
func TestOneKeyOnePurpose(t *testing.T) {
	x := start(t, 1, plenty, nil)
	for _, key := range []string{"ca-a/governance", "ca-a/cosigning", "ca-a/responder", "acme-cells/admin-1", "other-cells/line"} {
		expect(t, x.one(ledgertest.Publish(x.c.DeviceKey("ACME-1", dns, key, 0)), "acme-cells/line"), reason.KeyOfTheConsortium)
	}
	// Also after a restart, which reads the member set anew.
	x.head = load(t, x.store, x.all)
	expect(t, x.one(ledgertest.Publish(x.c.DeviceKey("ACME-1", dns, "ca-a/log", 0)), "acme-cells/line"), reason.KeyOfTheConsortium)
}

// TestSelfSignedTransactionsAreSmall: a certificate's own key signs at most 16 operations at once.
func TestSelfSignedTransactionsAreSmall(t *testing.T) {
	x := start(t, 1, plenty, nil)
	leaf := x.publish(x.c.Device("ACME-1", dns, 0))
	c := on(leaf, ledger.Revoke, ledger.Superseded)
	c.SPKI = x.c.SPKI("device/ACME-1")
	var bodies [][]byte
	for range 17 {
		bodies = append(bodies, x.change("ACME-1", c))
	}
	if e := x.block(x.tx(bodies, "device/ACME-1")); len(e.Refused) != 1 || e.Refused[0].Why.Code != reason.NotAuthenticated {
		t.Errorf("%+v", e.Refused)
	}
	if e := x.block(x.tx(bodies[:16], "device/ACME-1")); len(e.Refused) != 0 {
		t.Errorf("%+v", e.Refused)
	}
}
