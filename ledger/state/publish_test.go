package state_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/asn1"
	"fmt"
	"math/big"
	"testing"
	"time"

	"github.com/quorate-pki/quorate/ca/profile"
	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/ledgertest"
	"github.com/quorate-pki/quorate/ledger/state"
)

// covered are the codes that the tests of this package saw judge give; TestEveryCodeHasATest reads it last.
var covered = map[reason.Code]bool{}

func expect(t testing.TB, got ledger.Verdict, want reason.Code) {
	t.Helper()
	covered[got.Code] = true
	if got.Code != want {
		t.Errorf("%s, want %s", got.Code, want)
	}
}

// line is the founding's n-th line key: acme-cells/line, acme-cells/line-2, other-cells/line.
func line(n int, change func(*ledger.LineKey)) func(*ledger.Founding) {
	return func(f *ledger.Founding) { change(&f.LineKeys[n].LineKey) }
}

func vendor(change func(*ledger.Organisation)) func(*ledger.Founding) {
	return func(f *ledger.Founding) {
		for i := range f.Organisations {
			if f.Organisations[i].Name == "acme-cells" {
				change(&f.Organisations[i])
			}
		}
	}
}

func TestPublishRefusals(t *testing.T) {
	rsa2048, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	small := ledgertest.Quotas{Day: 2, Total: 4}
	const me = "acme-cells/line"
	acme := func(x *chain, n int) []byte { return x.c.Device(fmt.Sprintf("ACME-%d", n), dns, 0) }
	names := func(serial string, names ...string) func(*chain) []byte {
		return func(x *chain) []byte { return issue(x.t, x.c.Key("device/"+serial), serial, names, time.Time{}) }
	}
	first := func(x *chain) []byte { return acme(x, 1) }
	for _, tc := range []struct {
		name    string
		q       ledgertest.Quotas
		spoil   func(*ledger.Founding)
		before  func(*chain)
		der     func(*chain) []byte
		signers []string
		want    reason.Code
	}{
		{"accepted", plenty, nil, nil, first, nil, reason.Accepted},
		{"signed by an admin", plenty, nil, nil, first, []string{"acme-cells/admin-1"}, reason.NotAPublisher},
		{"signed by a member", plenty, nil, nil, first, []string{"ca-a/governance"}, reason.NotAPublisher},
		{"line key without the right", plenty, line(0, func(l *ledger.LineKey) { l.Rights = ledger.RightSuspend }), nil, first, nil, reason.NotAPublisher},
		{"two signers", plenty, nil, nil, first, []string{me, "acme-cells/line-2"}, reason.WrongSigners},
		{"height before the first", plenty, line(0, func(l *ledger.LineKey) { l.From = 2 }), nil, first, nil, reason.LineKeyNotInForce},
		{"first height", plenty, line(0, func(l *ledger.LineKey) { l.From = 1 }), nil, first, nil, reason.Accepted},
		{"last height", plenty, line(0, func(l *ledger.LineKey) { l.Until = 1 }), nil, first, nil, reason.Accepted},
		{"height after the last", plenty, line(0, func(l *ledger.LineKey) { l.Until = 1 }), func(x *chain) { x.publish(acme(x, 9)) }, first, nil, reason.LineKeyNotInForce},
		{"organisation gone", plenty, nil, func(x *chain) {
			id := ledger.RecordID(ledger.GenesisSeed([16]byte{0, 0, 0, 0, 0, 0, 0, 7}), 2) // after the consortium and the one member
			x.store.Delete(ledger.RecordOrg, id[:])
			x.reload()
		}, first, nil, reason.OrganisationState},
		{"profile not the organisation's", plenty, vendor(func(o *ledger.Organisation) { o.Profiles = []uint64{} }), nil, first, nil, reason.ProfileNotGranted},
		{"foreign serial", plenty, nil, nil, names("OTHER-1", "x."+dns), nil, reason.SerialNotOwned},
		{"serial prefix in lower case", plenty, nil, nil, names("acme-1", "x."+dns), nil, reason.SerialNotOwned},
		{"below the range", plenty, line(0, func(l *ledger.LineKey) { l.Ranges = []ledger.Range{{Prefix: "ACME-", Low: 2, High: 3}} }), nil, first, nil, reason.SerialOutOfRange},
		{"the range's low end", plenty, line(0, func(l *ledger.LineKey) { l.Ranges = []ledger.Range{{Prefix: "ACME-", Low: 1, High: 3}} }), nil, first, nil, reason.Accepted},
		{"the range's high end", plenty, line(0, func(l *ledger.LineKey) { l.Ranges = []ledger.Range{{Prefix: "ACME-", High: 1}} }), nil, first, nil, reason.Accepted},
		{"above the range", plenty, line(0, func(l *ledger.LineKey) {
			l.Ranges = []ledger.Range{{Prefix: "ACME-", High: 0}, {Prefix: "ACME-", Low: 2, High: 9}}
		}), nil, first, nil, reason.SerialOutOfRange},
		{"leading zeros", plenty, line(0, func(l *ledger.LineKey) { l.Ranges = []ledger.Range{{Prefix: "ACME-", Low: 7, High: 7}} }), nil, names("ACME-0007", "x."+dns), nil, reason.Accepted},
		{"no number after the prefix", plenty, line(0, func(l *ledger.LineKey) { l.Ranges = []ledger.Range{{Prefix: "ACME-", High: 9}} }), nil, names("ACME-1a", "x."+dns), nil, reason.SerialOutOfRange},
		{"number too long", plenty, line(0, func(l *ledger.LineKey) { l.Ranges = []ledger.Range{{Prefix: "ACME-", High: 1<<64 - 1}} }), nil, names("ACME-1234567890123456789", "x."+dns), nil, reason.SerialOutOfRange},
		{"foreign name", plenty, nil, nil, names("ACME-1", "x.other-cells.example"), nil, reason.NameNotOwned},
		{"one foreign name of two", plenty, nil, nil, names("ACME-1", "x."+dns, "x.other-cells.example"), nil, reason.NameNotOwned},
		{"not at a label boundary", plenty, nil, nil, names("ACME-1", "not-"+dns), nil, reason.NameNotOwned},
		{"parent of the suffix", plenty, nil, nil, names("ACME-1", "other.example"), nil, reason.NameNotOwned},
		{"the suffix itself", plenty, nil, nil, names("ACME-1", dns), nil, reason.Accepted},
		{"namespace not the line key's", plenty, nil, nil, names("ACME-1", "x."+dns), []string{"other-cells/line"}, reason.SerialNotOwned},
		{"day quota used up", small, nil, func(x *chain) { x.publish(acme(x, 8)); x.publish(acme(x, 9)) }, first, nil, reason.QuotaDay},
		{"day quota of the organisation", ledgertest.Quotas{Day: 2, Total: 9}, nil, func(x *chain) {
			x.publish(acme(x, 8))
			expect(t, x.one(ledgertest.Publish(acme(x, 9)), "acme-cells/line-2"), reason.Accepted)
		}, first, nil, reason.QuotaDay},
		{"the last millisecond of the day", small, nil, func(x *chain) {
			x.publish(acme(x, 8))
			x.publish(acme(x, 9))
			x.now = x.now.Truncate(24 * time.Hour).Add(24*time.Hour - time.Second - time.Millisecond)
		}, first, nil, reason.QuotaDay},
		{"the next day", small, nil, func(x *chain) {
			x.publish(acme(x, 8))
			x.publish(acme(x, 9))
			x.now = x.now.Truncate(24 * time.Hour).Add(24*time.Hour - time.Second)
		}, first, nil, reason.Accepted},
		{"total quota used up", small, nil, func(x *chain) {
			for n := range 4 {
				x.publish(acme(x, 6+n))
				x.now = x.now.Add(24 * time.Hour)
			}
		}, first, nil, reason.QuotaTotal},
		{"total quota of the organisation", ledgertest.Quotas{Day: 9, Total: 9}, vendor(func(o *ledger.Organisation) { o.QuotaTotal = 1 }),
			func(x *chain) { x.publish(acme(x, 9)) }, first, nil, reason.QuotaTotal},
		{"RSA 2048", plenty, nil, nil, func(x *chain) []byte { return issue(x.t, rsa2048, "ACME-1", []string{"x." + dns}, time.Time{}) }, nil, reason.LegacyKeyNotGranted},
		{"RSA 2048 with the grant", plenty, vendor(func(o *ledger.Organisation) { o.LegacyRSA = true }), nil,
			func(x *chain) []byte { return issue(x.t, rsa2048, "ACME-1", []string{"x." + dns}, time.Time{}) }, nil, reason.Accepted},
		{"key of another owner", plenty, nil, func(x *chain) { x.publish(first(x)) },
			func(x *chain) []byte { return x.c.DeviceKey("OTHER-1", "other-cells.example", "device/ACME-1", 0) }, []string{"other-cells/line"}, reason.KeyOfAnotherOwner},
		{"key of another device", plenty, nil, func(x *chain) { x.publish(first(x)) },
			func(x *chain) []byte { return x.c.DeviceKey("ACME-2", dns, "device/ACME-1", 0) }, nil, reason.KeyOfAnotherDevice},
		{"device with another key", plenty, nil, func(x *chain) { x.publish(first(x)) },
			func(x *chain) []byte { return x.c.DeviceKey("ACME-1", dns, "device/ACME-2", 0) }, nil, reason.DeviceHasAnotherKey},
		{"the same serial of another vendor", plenty, func(f *ledger.Founding) { f.Namespaces[2].Value = "ACME-" }, func(x *chain) { x.publish(first(x)) },
			func(x *chain) []byte { return x.c.DeviceKey("ACME-1", "other-cells.example", "device/OTHER", 0) }, []string{"other-cells/line"}, reason.Accepted},
		{"another certificate of the same key and device", plenty, nil, func(x *chain) { x.publish(first(x)) },
			func(x *chain) []byte { return x.c.Device("ACME-1", dns, 1) }, nil, reason.Accepted},
		{"after the key was revoked", plenty, nil, func(x *chain) {
			x.publish(first(x))
			expect(t, x.one(x.change("ACME-1", onKey(ledger.Revoke, 4)), "acme-cells/admin-1", "acme-cells/admin-2"), reason.Accepted)
		}, func(x *chain) []byte { return x.c.Device("ACME-1", dns, 1) }, nil, reason.KeyBarred},
		{"after a certificate was revoked for keyCompromise", plenty, nil, func(x *chain) {
			leaf := x.publish(first(x))
			expect(t, x.one(x.change("ACME-1", on(leaf, ledger.Revoke, 1)), "acme-cells/admin-1", "acme-cells/admin-2"), reason.Accepted)
		}, func(x *chain) []byte { return x.c.Device("ACME-1", dns, 1) }, nil, reason.KeyBarred},
		{"after a certificate was superseded", plenty, nil, func(x *chain) {
			leaf := x.publish(first(x))
			expect(t, x.one(x.change("ACME-1", on(leaf, ledger.Revoke, 4)), "acme-cells/admin-1", "acme-cells/admin-2"), reason.Accepted)
		}, func(x *chain) []byte { return x.c.Device("ACME-1", dns, 1) }, nil, reason.Accepted},
		{"while a certificate is suspended", plenty, nil, func(x *chain) {
			leaf := x.publish(first(x))
			expect(t, x.one(x.change("ACME-1", on(leaf, ledger.Suspend, 6)), me), reason.Accepted)
		}, func(x *chain) []byte { return x.c.Device("ACME-1", dns, 1) }, nil, reason.KeySuspended},
		{"the 64th certificate", plenty, nil, func(x *chain) { x.publish(first(x)); fill(x, 63) },
			func(x *chain) []byte { return x.c.Device("ACME-1", dns, 1) }, nil, reason.Accepted},
		{"the 65th certificate", plenty, nil, func(x *chain) { x.publish(first(x)); fill(x, 64) },
			func(x *chain) []byte { return x.c.Device("ACME-1", dns, 1) }, nil, reason.TooManyCertificates},
		{"not a certificate", plenty, nil, nil, func(*chain) []byte { return []byte{0x30, 0} }, nil, reason.DERTruncated},
		{"its own signature", plenty, nil, nil, func(x *chain) []byte { return broken(first(x)) }, nil, reason.SelfSignature},
	} {
		t.Run(tc.name, func(t *testing.T) {
			x := start(t, 1, tc.q, tc.spoil)
			if tc.before != nil {
				tc.before(x)
			}
			if tc.signers == nil {
				tc.signers = []string{me}
			}
			expect(t, x.one(ledgertest.Publish(tc.der(x)), tc.signers...), tc.want)
		})
	}
}

// broken is a certificate with a changed signature.
func broken(der []byte) []byte {
	der = bytes.Clone(der)
	der[len(der)-40] ^= 1
	return der
}

// fill gives ACME-1 so many certificates.
func fill(x *chain, n int) {
	x.edit(x.c.SPKI("device/ACME-1"), func(k *ledger.KeyRecord) {
		for len(k.Certificates) < n {
			k.Certificates = append(k.Certificates, k.Certificates[0])
		}
	})
}

func TestOtherBodies(t *testing.T) {
	x := start(t, 1, plenty, nil)
	der := x.c.Device("ACME-1", dns, 0)
	h := ledger.Sum(der)
	for _, tc := range []struct {
		name string
		body []byte
		want reason.Code
	}{
		{"commitment", ledger.EncodeBody(ledger.OpPublish, ledger.Publish{Profile: 1, Commitment: &h}), reason.Reserved},
		{"certificate and commitment", ledger.EncodeBody(ledger.OpPublish, ledger.Publish{Profile: 1, Certificate: der, Commitment: &h}), reason.BadBody},
		{"neither", ledger.EncodeBody(ledger.OpPublish, ledger.Publish{Profile: 1}), reason.BadBody},
		{"unknown profile", ledger.EncodeBody(ledger.OpPublish, ledger.Publish{Profile: 2, Certificate: der}), reason.ProfileNotGranted},
		{"profile that is 1 in 16 bits", ledger.EncodeBody(ledger.OpPublish, ledger.Publish{Profile: 0x10001, Certificate: der}), reason.ProfileNotGranted},
		{"unknown operation", ledger.EncodeBody(99, ledger.Publish{Profile: 1, Certificate: der}), reason.UnknownOperation},
		{"not CBOR", []byte{0xff}, reason.BadBody},
		{"registration", ledger.EncodeBody(ledger.OpNamespace, ledger.Namespace{Type: 1, Value: "X"}), reason.NotGenesis},
	} {
		t.Run(tc.name, func(t *testing.T) { x.t = t; expect(t, x.one(tc.body, "acme-cells/line"), tc.want) })
	}
}

// TestAlreadyPublished: the same bytes by the same owner are answered with the old leaf, whatever happened since, and
// change nothing.
func TestAlreadyPublished(t *testing.T) {
	x := start(t, 1, ledgertest.Quotas{Day: 1, Total: 1}, nil)
	der := issue(t, x.c.Key("device/ACME-1"), "ACME-1", []string{"x." + dns}, ledgertest.Start.Add(48*time.Hour))
	leaf := x.publish(der)
	again := func(name string, want reason.Code, signers ...string) {
		t.Run(name, func(t *testing.T) {
			x.t = t
			v := x.one(ledgertest.Publish(der), signers...)
			expect(t, v, want)
			if want == reason.AlreadyPublished && v.Leaf != leaf {
				t.Errorf("leaf %d, want %d", v.Leaf, leaf)
			}
		})
	}
	again("quota used up", reason.AlreadyPublished, "acme-cells/line")
	again("by another line key", reason.AlreadyPublished, "acme-cells/line-2")
	again("by another owner", reason.KeyOfAnotherOwner, "other-cells/line")
	expect(t, x.one(x.change("ACME-1", on(leaf, ledger.Suspend, 6)), "acme-cells/line"), reason.Accepted)
	again("suspended", reason.AlreadyPublished, "acme-cells/line")
	expect(t, x.one(x.change("ACME-1", onKey(ledger.Revoke, 1)), "acme-cells/admin-1", "acme-cells/admin-3"), reason.Accepted)
	again("revoked", reason.AlreadyPublished, "acme-cells/line")
	x.now = x.now.Add(72 * time.Hour)
	again("expired", reason.AlreadyPublished, "acme-cells/line")
	k, err := x.head.KeyRecord(ledger.Sum(x.c.SPKI("device/ACME-1")))
	if err != nil || len(k.Certificates) != 1 || k.Certificates[0].Status != ledger.Revoked {
		t.Errorf("%+v, %v", k, err)
	}
	// A new certificate that has expired is another thing.
	t.Run("expired and new", func(t *testing.T) {
		x := start(t, 1, plenty, nil)
		x.now = x.now.Add(72 * time.Hour)
		expect(t, x.one(ledgertest.Publish(der), "acme-cells/line"), reason.CertificateExpired)
	})
}

// TestSignatureTwin: of an ECDSA signature (r, s) anyone can make the valid (r, n-s). The twin is refused: the receipt of the
// one published would not rebuild its leaf.
func TestSignatureTwin(t *testing.T) {
	x := start(t, 1, plenty, nil)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der := issue(t, key, "ACME-1", []string{"x." + dns}, time.Time{})
	var cert struct {
		TBS, Alg  asn1.RawValue
		Signature asn1.BitString
	}
	var sig struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(der, &cert); err != nil {
		t.Fatal(err)
	}
	if _, err := asn1.Unmarshal(cert.Signature.Bytes, &sig); err != nil {
		t.Fatal(err)
	}
	sig.S.Sub(elliptic.P256().Params().N, sig.S)
	raw, err := asn1.Marshal(sig)
	if err != nil {
		t.Fatal(err)
	}
	cert.Signature = asn1.BitString{Bytes: raw, BitLength: 8 * len(raw)}
	twin, err := asn1.Marshal(cert)
	if err != nil {
		t.Fatal(err)
	}
	p, err := profile.Parse(twin)
	if err != nil || p.CheckSelfSignature() != nil {
		t.Fatal("the twin is not valid by itself", err)
	}
	leaf := x.publish(der)
	expect(t, x.one(ledgertest.Publish(twin), "acme-cells/line"), reason.SignatureDiffers)
	v := x.one(ledgertest.Publish(der), "acme-cells/line")
	expect(t, v, reason.AlreadyPublished)
	if v.Leaf != leaf {
		t.Error(v.Leaf)
	}
	// Not even without the key's certificates being good.
	c := on(leaf, ledger.Revoke, 4)
	c.Target = ledger.Sum(p.SPKI)
	expect(t, x.one(ledgertest.Change(c), "acme-cells/admin-1", "acme-cells/admin-2"), reason.Accepted)
	expect(t, x.one(ledgertest.Publish(twin), "acme-cells/line"), reason.SignatureDiffers)
}

// TestOrderOfChecks pins which fault names the verdict when a publication has two: the order is part of the rules.
func TestOrderOfChecks(t *testing.T) {
	x := start(t, 1, ledgertest.Quotas{Day: 1, Total: 1}, func(f *ledger.Founding) {
		f.LineKeys[1].Until = 1
		for i := range f.Organisations {
			f.Organisations[i].QuotaTotal *= 100
		}
	})
	x.publish(x.c.Device("ACME-1", dns, 0))
	cert := func(serial, name string) []byte {
		return issue(t, x.c.Key("device/"+serial), serial, []string{name}, time.Time{})
	}
	const me, late = "acme-cells/line", "acme-cells/line-2"
	garbage := []byte{0x30, 0}
	h := ledger.Hash{}
	for _, tc := range []struct {
		name    string
		body    []byte
		signers []string
		want    reason.Code
	}{
		{"reserved before signers", ledger.EncodeBody(ledger.OpPublish, ledger.Publish{Profile: 9, Commitment: &h}), []string{me, late}, reason.Reserved},
		{"signers before publisher", ledgertest.Publish(garbage), []string{"acme-cells/admin-1", "acme-cells/admin-2"}, reason.WrongSigners},
		{"force before profile", ledger.EncodeBody(ledger.OpPublish, ledger.Publish{Profile: 9, Certificate: garbage}), []string{late}, reason.LineKeyNotInForce},
		{"profile before form", ledger.EncodeBody(ledger.OpPublish, ledger.Publish{Profile: 9, Certificate: garbage}), []string{me}, reason.ProfileNotGranted},
		{"form before quota", ledgertest.Publish(garbage), []string{me}, reason.DERTruncated},
		{"published before quota", ledgertest.Publish(x.c.Device("ACME-1", dns, 0)), []string{me}, reason.AlreadyPublished},
		{"owner before names", ledgertest.Publish(x.c.DeviceKey("ACME-2", dns, "device/ACME-1", 0)), []string{"other-cells/line"}, reason.KeyOfAnotherOwner},
		{"serial before name", ledgertest.Publish(cert("OTHER-2", "x.other-cells.example")), []string{me}, reason.SerialNotOwned},
		{"name before uniqueness", ledgertest.Publish(x.c.DeviceKey("ACME-2", "other-cells.example", "device/ACME-1", 0)), []string{me}, reason.NameNotOwned},
		{"uniqueness before quota", ledgertest.Publish(x.c.DeviceKey("ACME-2", dns, "device/ACME-1", 0)), []string{me}, reason.KeyOfAnotherDevice},
		{"day before total, quota before signature", ledgertest.Publish(broken(cert("ACME-2", "x."+dns))), []string{me}, reason.QuotaDay},
	} {
		t.Run(tc.name, func(t *testing.T) { x.t = t; expect(t, x.one(tc.body, tc.signers...), tc.want) })
	}
}

func TestStatusRefusals(t *testing.T) {
	x := start(t, 1, ledgertest.Quotas{Day: 3, Total: 100}, nil)
	one, two := x.publish(x.c.Device("ACME-1", dns, 0)), x.publish(x.c.Device("ACME-2", dns, 0))
	second := x.publish(x.c.Device("ACME-3", dns, 0))
	owner := []string{"acme-cells/admin-1", "acme-cells/admin-2"}
	line := []string{"acme-cells/line"}
	since := func(c ledger.StatusChange, leaf uint64) ledger.StatusChange { c.Previous = &leaf; return c }
	var suspended uint64
	step := func(name string, body []byte, signers []string, want reason.Code) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			x.t = t
			v := x.one(body, signers...)
			expect(t, v, want)
			suspended = v.Leaf
		})
	}
	step("unknown key", x.change("ACME-9", onKey(ledger.Revoke, 0)), owner, reason.UnknownTarget)
	step("leaf of another key", x.change("ACME-1", on(two, ledger.Revoke, 0)), owner, reason.TargetMismatch)
	step("no leaf of a publication", x.change("ACME-1", on(0, ledger.Revoke, 0)), owner, reason.TargetMismatch)
	step("scope to come", x.change("ACME-1", ledger.StatusChange{Action: ledger.Revoke, Scope: ledger.ScopeBatch}), owner, reason.ScopeUnavailable)
	step("suspend without hold", x.change("ACME-1", on(one, ledger.Suspend, 0)), owner, reason.BadReason)
	step("nobody", x.change("ACME-1", on(one, ledger.Suspend, 6)), []string{"other-cells/line"}, reason.NotAuthorised)
	step("not suspended", x.change("ACME-1", on(one, ledger.Resume, 8)), owner, reason.NotSuspended)
	step("changed since", x.change("ACME-1", since(on(one, ledger.Suspend, 6), two)), owner, reason.StateChanged)
	step("suspend", x.change("ACME-1", since(on(one, ledger.Suspend, 6), one)), line, reason.Accepted)
	by := suspended
	step("published is not its state any more", x.change("ACME-1", since(on(one, ledger.Revoke, 4), one)), owner, reason.StateChanged)
	step("again", x.change("ACME-1", on(one, ledger.Suspend, 6)), line, reason.AlreadySuspended)
	step("a higher one takes it over", x.change("ACME-1", since(on(one, ledger.Suspend, 6), by)), owner, reason.Accepted)
	step("the higher again", x.change("ACME-1", on(one, ledger.Suspend, 6)), owner, reason.AlreadySuspended)
	x.edit(x.c.SPKI("device/ACME-1"), func(k *ledger.KeyRecord) { k.Certificates[0].Authority = ledger.ByQuorum })
	step("suspended by the quorum", x.change("ACME-1", on(one, ledger.Resume, 8)), owner, reason.HigherAuthority)
	step("revoke what the quorum suspended", x.change("ACME-1", on(one, ledger.Revoke, 4)), owner, reason.Accepted)
	step("revoked is for good", x.change("ACME-1", on(one, ledger.Resume, 8)), owner, reason.NotSuspended)
	step("no suspension of the revoked", x.change("ACME-1", on(one, ledger.Suspend, 6)), owner, reason.AlreadyRevoked)
	step("no weaker reason", x.change("ACME-1", on(one, ledger.Revoke, 0)), owner, reason.AlreadyRevoked)
	step("keyCompromise replaces", x.change("ACME-1", on(one, ledger.Revoke, 1)), owner, reason.Accepted)
	step("once", x.change("ACME-1", on(one, ledger.Revoke, 1)), owner, reason.AlreadyRevoked)
	// The line key has suspended once today; the vendor's founding gives it three.
	step("second suspension", x.change("ACME-3", on(second, ledger.Suspend, 6)), line, reason.Accepted)
	step("third suspension", x.change("ACME-2", on(two, ledger.Suspend, 6)), line, reason.Accepted)
	step("resume", x.change("ACME-2", on(two, ledger.Resume, 8)), owner, reason.Accepted)
	step("a fourth", x.change("ACME-2", on(two, ledger.Suspend, 6)), line, reason.SuspendQuota)
	x.now = x.now.Add(24 * time.Hour)
	step("the next day", x.change("ACME-2", on(two, ledger.Suspend, 6)), line, reason.Accepted)
	step("resume it", x.change("ACME-2", on(two, ledger.Resume, 8)), owner, reason.Accepted)
	k, err := x.head.KeyRecord(ledger.Sum(x.c.SPKI("device/ACME-2")))
	if err != nil {
		t.Fatal(err)
	}
	published := k.Certificates[0].Published.Time()
	x.now = published.Add(7*24*time.Hour - time.Second) // next() adds a second
	step("exactly seven days after publishing", x.change("ACME-2", on(two, ledger.Suspend, 6)), line, reason.Accepted)
	step("resume it again", x.change("ACME-2", on(two, ledger.Resume, 8)), owner, reason.Accepted)
	step("later than seven days", x.change("ACME-2", on(two, ledger.Suspend, 6)), line, reason.NotRecent)
	// Key scope: a key with nothing left to revoke is barred all the same; a barred key is not barred twice.
	step("revoke the last", x.change("ACME-2", on(two, ledger.Revoke, 4)), owner, reason.Accepted)
	step("bar the key", x.change("ACME-2", onKey(ledger.Revoke, 4)), owner, reason.Accepted)
	step("bar it again", x.change("ACME-2", onKey(ledger.Revoke, 4)), owner, reason.AlreadyRevoked)
	if k, err = x.head.KeyRecord(ledger.Sum(x.c.SPKI("device/ACME-2"))); err != nil || !k.Barred || k.Certificates[0].Reason != 4 {
		t.Errorf("%+v, %v", k, err)
	}
}

func TestLineKeyOutOfForceSuspendsNothing(t *testing.T) {
	x := start(t, 1, plenty, line(0, func(l *ledger.LineKey) { l.Until = 1 }))
	leaf := x.publish(x.c.Device("ACME-1", dns, 0))
	expect(t, x.one(x.change("ACME-1", on(leaf, ledger.Suspend, 6)), "acme-cells/line"), reason.LineKeyNotInForce)
}

// TestDryRunAgrees: Try says what Execute would.
func TestDryRunAgrees(t *testing.T) {
	x := start(t, 1, plenty, nil)
	bodies := [][]byte{ledgertest.Publish(x.c.Device("ACME-1", dns, 0)), ledgertest.Publish(x.c.Device("OTHER-1", dns, 0))}
	for _, mode := range []ledger.Mode{ledger.EachAlone, ledger.AllOrNothing} {
		x.nonce++
		dry := x.c.Tx(x.now, ledgertest.TxOptions{Nonce: x.nonce, Mode: mode, Purpose: ledger.ForDryRun}, bodies, "acme-cells/line")
		p, err := ledger.ParseSubmission(dry, ledger.ForDryRun)
		if err != nil {
			t.Fatal(err)
		}
		before := x.store.Sum()
		tried, err := state.Try(x.head, p, ledger.MillisOf(x.now), state.Direct{})
		if err != nil || x.store.Sum() != before {
			t.Fatal(err)
		}
		e, err := state.Execute(x.head, x.next(x.c.Tx(x.now, ledgertest.TxOptions{Nonce: x.nonce, Mode: mode}, bodies, "acme-cells/line")), state.Direct{})
		if err != nil {
			t.Fatal(err)
		}
		if got := e.Results[0].Verdicts; fmt.Sprint(got) != fmt.Sprint(tried) {
			t.Errorf("tried %v, executed %v", tried, got)
		}
		// The dry run's signature is good for nothing else.
		x.apply(x.next(dryAsReal(t, p)))
		if n := len(x.all); !isEpoch(x.all[n-1]) || !isEpoch(x.all[n-2]) {
			t.Error("a dry run left a leaf")
		}
	}
}

// dryAsReal is what somebody who saw a dry run can submit.
func dryAsReal(t *testing.T, p *ledger.Parsed) []byte {
	t.Helper()
	return (&ledger.Submission{Envelope: p.Raw, Bodies: p.Bodies}).Encode()
}

func isEpoch(leaf []byte) bool {
	e, err := ledger.ParseEntry(leaf)
	return err == nil && e.Epoch != nil
}

func TestLineKeyWithoutTheRightSuspendsNothing(t *testing.T) {
	x := start(t, 1, plenty, line(0, func(l *ledger.LineKey) { l.Rights = ledger.RightPublish }))
	leaf := x.publish(x.c.Device("ACME-1", dns, 0))
	expect(t, x.one(x.change("ACME-1", on(leaf, ledger.Suspend, 6)), "acme-cells/line"), reason.NotAuthorised)
}
