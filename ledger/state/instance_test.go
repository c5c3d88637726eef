package state_test

import (
	"crypto"
	"errors"
	"fmt"
	"testing"

	"github.com/quorate-pki/quorate/ca"
	"github.com/quorate-pki/quorate/ca/profile"
	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/ledgertest"
	"github.com/quorate-pki/quorate/ledger/state"
)

const (
	amf1  = "4947a69a-f61b-4bc1-b9da-47c9c5d14b64"
	smf1  = "d94ae1d8-1ca0-4b87-8b88-3d0bcb8e4f4e"
	other = "other-cells.example"
)

// function is a network function's certificate: home domain, instance id, DNS names.
func (x *chain) function(key crypto.Signer, home, id string, names ...string) []byte {
	x.t.Helper()
	return x.issued("nf", key, ca.SelfIssueConfig{Organisation: home, Country: "XX", Instance: id, NFTypes: []string{"AMF"}, DNSNames: names})
}

// TestInstances: an instance id is its first publisher's, with its name, for ever.
func TestInstances(t *testing.T) {
	const me, rival = "acme-cells/line", "other-cells/line"
	mine, theirs := newKey(t), newKey(t)
	type step struct {
		name   string
		der    func(x *chain) []byte
		signer string
		want   reason.Code
	}
	nf := func(key crypto.Signer, home, id string, names ...string) func(*chain) []byte {
		return func(x *chain) []byte { return x.function(key, home, id, names...) }
	}
	first := step{"first", nf(mine, dns, amf1, "amf1."+dns), me, reason.Accepted}
	for name, steps := range map[string][]step{
		"another owner": {first,
			{"under a name of its own", nf(theirs, other, amf1, "amf1."+other), rival, reason.InstanceOfAnother},
			{"under the owner's name", nf(theirs, other, amf1, "amf1."+dns), rival, reason.NameNotOwned},
			{"under both names", nf(theirs, other, amf1, "amf1."+dns, "amf1."+other), rival, reason.NameNotOwned},
			{"with another id", nf(theirs, other, smf1, "amf1."+other), rival, reason.Accepted},
			{"home domain before owner", nf(theirs, dns, amf1, "amf1."+other), rival, reason.NameNotOwned},
			{"owner before uniqueness", nf(theirs, other, amf1, "amf1."+other), rival, reason.InstanceOfAnother}},
		"first come, first served": {
			{"the rival is first", nf(theirs, other, amf1, "x."+other), rival, reason.Accepted},
			{"too late", nf(mine, dns, amf1, "amf1."+dns), me, reason.InstanceOfAnother},
			{"another id", nf(mine, dns, smf1, "amf1."+dns), me, reason.Accepted}},
		"the same owner": {first,
			{"next certificate", nf(mine, dns, amf1, "amf1."+dns), me, reason.Accepted},
			{"by its other line key", nf(mine, dns, amf1, "amf1."+dns), "acme-cells/line-2", reason.Accepted},
			{"more names before the bound one", nf(mine, dns, amf1, "a."+dns, "amf1."+dns), me, reason.Accepted},
			{"without the bound name", nf(mine, dns, amf1, "a."+dns), me, reason.InstanceHasAnotherName},
			{"below the bound name", nf(mine, dns, amf1, "x.amf1."+dns), me, reason.InstanceHasAnotherName},
			{"name before uniqueness", nf(theirs, dns, amf1, "a."+dns), me, reason.InstanceHasAnotherName},
			{"another key", nf(theirs, dns, amf1, "amf1."+dns), me, reason.DeviceHasAnotherKey},
			{"the key for another instance", nf(mine, dns, smf1, "amf1."+dns), me, reason.KeyOfAnotherDevice},
			{"another instance of the same name", nf(theirs, dns, smf1, "amf1."+dns), me, reason.Accepted}},
		"the first name binds": {
			{"two names", nf(mine, dns, amf1, "b."+dns, "a."+dns), me, reason.Accepted},
			{"the second alone", nf(mine, dns, amf1, "a."+dns), me, reason.InstanceHasAnotherName},
			{"the first alone", nf(mine, dns, amf1, "b."+dns), me, reason.Accepted}},
		"refused binds nothing": {
			{"home domain of another", nf(theirs, dns, amf1, "a."+other), rival, reason.NameNotOwned},
			{"broken", func(x *chain) []byte { return broken(x.function(theirs, other, amf1, "a."+other)) }, rival, reason.SelfSignature},
			first},
		"PLMNs": {
			{"its own", nf(mine, "5gc.mnc015.mcc234.3gppnetwork.org", amf1, "amf1.5gc.mnc015.mcc234.3gppnetwork.org"), me, reason.Accepted},
			{"its own, of the rival", nf(theirs, other, smf1, "amf1.5gc.mnc015.mcc234.3gppnetwork.org"), rival, reason.NameNotOwned},
			{"home domain of the rival's", nf(theirs, "5gc.mnc015.mcc234.3gppnetwork.org", smf1, "a."+other), rival, reason.NameNotOwned},
			{"another MNC", nf(theirs, dns, smf1, "a.mnc016.mcc234.3gppnetwork.org"), me, reason.NameNotOwned},
			{"MNC not padded", nf(theirs, dns, smf1, "a.mnc15.mcc234.3gppnetwork.org"), me, reason.NameNotOwned},
			{"not at a label boundary", nf(theirs, dns, smf1, "xmnc015.mcc234.3gppnetwork.org"), me, reason.NameNotOwned},
			{"the country's part", nf(theirs, "mcc234.3gppnetwork.org", smf1, "a."+dns), me, reason.NameNotOwned},
			{"all of it", nf(theirs, "3gppnetwork.org", smf1, "a."+dns), me, reason.NameNotOwned}},
	} {
		t.Run(name, func(t *testing.T) {
			x := start(t, 1, plenty, granted)
			for _, s := range steps {
				v := x.one(publishAs("nf", s.der(x)), s.signer)
				if expect(t, v, s.want); v.Code != s.want {
					t.Errorf("in step %s", s.name)
				}
				x.reload() // as after a restart: the binding is on the disk
			}
		})
	}
}

// TestInstanceBeforeQuota: a quota that is used up hides no refusal that would stay tomorrow.
func TestInstanceBeforeQuota(t *testing.T) {
	x := start(t, 1, ledgertest.Quotas{Day: 1, Total: 9}, granted)
	key := newKey(t)
	expect(t, x.one(publishAs("nf", x.function(key, dns, amf1, "amf1."+dns)), "acme-cells/line"), reason.Accepted)
	expect(t, x.one(publishAs("nf", x.function(key, dns, amf1, "a."+dns)), "acme-cells/line"), reason.InstanceHasAnotherName)
	expect(t, x.one(publishAs("nf", x.function(key, dns, amf1, "a."+dns, "amf1."+dns)), "acme-cells/line"), reason.QuotaDay)
}

// TestInstanceOutlivesItsCertificates: neither revoking nor barring frees an id.
func TestInstanceOutlivesItsCertificates(t *testing.T) {
	x := start(t, 1, plenty, granted)
	key := newKey(t)
	der := x.function(key, dns, amf1, "amf1."+dns)
	c, err := profile.Parse(der)
	if err != nil {
		t.Fatal(err)
	}
	expect(t, x.one(publishAs("nf", der), "acme-cells/line"), reason.Accepted)
	change := onKey(ledger.Revoke, ledger.KeyCompromise)
	change.Target = c.Key.ID()
	expect(t, x.one(ledgertest.Change(change), "acme-cells/admin-1", "acme-cells/admin-2"), reason.Accepted)
	expect(t, x.one(publishAs("nf", x.function(newKey(t), other, amf1, "a."+other)), "other-cells/line"), reason.InstanceOfAnother)
	expect(t, x.one(publishAs("nf", x.function(key, dns, amf1, "a."+dns, "amf1."+dns)), "acme-cells/line"), reason.KeyBarred)
	expect(t, x.one(publishAs("nf", x.function(newKey(t), dns, amf1, "amf1."+dns)), "acme-cells/line"), reason.DeviceHasAnotherKey)
	expect(t, x.one(publishAs("nf", der), "acme-cells/line"), reason.AlreadyPublished)
}

// TestInstanceInOneBlock: within a block the order of the block decides, and what is undone binds nothing.
func TestInstanceInOneBlock(t *testing.T) {
	x := start(t, 1, plenty, granted)
	mine, theirs := publishAs("nf", x.function(newKey(t), dns, amf1, "a."+dns)), publishAs("nf", x.function(newKey(t), other, amf1, "a."+other))
	undone := func(signer string, bodies ...[]byte) []byte {
		x.nonce++
		return x.c.Tx(x.now, ledgertest.TxOptions{Nonce: x.nonce, Mode: ledger.AllOrNothing}, bodies, signer)
	}
	foreign := publishAs("nf", x.function(newKey(t), other, smf1, "a."+other))
	e := x.block(undone("other-cells/line", theirs, publishAs("nf", []byte{0x30, 0})),
		x.tx([][]byte{mine}, "acme-cells/line"), x.tx([][]byte{theirs, foreign}, "other-cells/line"))
	var got []string
	for _, r := range e.Results {
		for _, v := range r.Verdicts {
			got = append(got, v.Code.String())
		}
	}
	want := fmt.Sprint([]string{"not-applied", "der-truncated", "accepted", "instance-of-another-owner", "accepted"})
	if fmt.Sprint(got) != want {
		t.Errorf("%v, want %s", got, want)
	}
	// Twice the same id within one transaction that stands or falls as a whole.
	id := "11111111-1111-4111-8111-111111111111"
	one, two := x.function(newKey(t), dns, id, "a."+dns), x.function(newKey(t), dns, id, "b."+dns)
	e = x.block(undone("acme-cells/line", publishAs("nf", one), publishAs("nf", two)))
	if v := e.Results[0].Verdicts; v[0].Code != reason.NotApplied || v[1].Code != reason.InstanceHasAnotherName {
		t.Errorf("%v", v)
	}
	expect(t, x.one(publishAs("nf", two), "acme-cells/line"), reason.Accepted)
	bound, err := x.head.Instance(parseInstance(t, id))
	if err != nil || bound == nil || bound.Name != "b."+dns || bound.Leaf != x.head.Size()-2 {
		t.Errorf("%+v, %v", bound, err)
	}
	if free, err := x.head.Instance(parseInstance(t, "22222222-2222-4222-8222-222222222222")); free != nil || err != nil {
		t.Errorf("an id nobody bound: %+v, %v", free, err)
	}
}

func parseInstance(t *testing.T, s string) profile.Instance {
	t.Helper()
	id, ok := profile.ParseInstance(s)
	if !ok {
		t.Fatal(s)
	}
	return id
}

// TestFoldRefusesStolenInstances: leaves alone show that an id is bound, so no peer can sell others.
func TestFoldRefusesStolenInstances(t *testing.T) {
	x := start(t, 1, plenty, granted)
	expect(t, x.one(publishAs("nf", x.function(newKey(t), dns, amf1, "amf1."+dns)), "acme-cells/line"), reason.Accepted)
	parent := x.head
	fold := func(name string, b *ledger.Block, change func(*ledger.OpLeaf), want bool) {
		t.Helper()
		e, err := state.Execute(parent, b, state.Direct{})
		if err != nil || len(e.Leaves) != 3 {
			t.Fatal(name, err, len(e.Leaves))
		}
		entry, err := ledger.ParseEntry(e.Leaves[1])
		if err != nil {
			t.Fatal(err)
		}
		change(entry.Op)
		e.Leaves[1] = entry.Op.Encode()
		if _, err := state.Fold(parent, e.Leaves); (err == nil) != want || (err != nil && !errors.Is(err, state.ErrBadLeaves)) {
			t.Errorf("%s: %v", name, err)
		}
	}
	again := x.function(newKey(t), dns, smf1, "amf1."+dns)
	block := x.next(x.tx([][]byte{publishAs("nf", again)}, "acme-cells/line"))
	fold("as it is", block, func(*ledger.OpLeaf) {}, true)
	fold("by another profile", block, func(l *ledger.OpLeaf) { l.Effects.Profile = 1 }, false)
	// The bound id under another owner or name: no honest node has such a leaf, so the certificate is swapped under the
	// judge's back by freeing the id in a copy of the state.
	for name, der := range map[string][]byte{
		"another's id":       x.function(newKey(t), other, amf1, "amf1."+other),
		"under another name": x.function(newKey(t), dns, amf1, "b."+dns),
	} {
		signer := "other-cells/line"
		if name == "under another name" {
			signer = "acme-cells/line"
		}
		free := x.store.Clone()
		id := parseInstance(t, amf1)
		free.Delete(ledger.RecordInstance, id[:])
		device := ledger.Device(organisation(t, x, "acme-cells"), ledger.DeviceInstance, amf1)
		free.Delete(ledger.RecordDevice, device[:])
		e, err := state.Execute(load(t, free, x.all), x.next(x.tx([][]byte{publishAs("nf", der)}, signer)), state.Direct{})
		if err != nil || e.Results[0].Verdicts[0].Code != reason.Accepted {
			t.Fatal(name, err)
		}
		if _, err := state.Fold(parent, e.Leaves); !errors.Is(err, state.ErrBadLeaves) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// organisation finds the id of an organisation.
func organisation(t testing.TB, x *chain, name string) (id ledger.OrgID) {
	t.Helper()
	for rec, err := range x.store.Records(ledger.RecordOrg, nil) {
		var o ledger.OrgRecord
		if err == nil {
			err = ledger.Decode(rec.Value, &o)
		}
		if err != nil {
			t.Fatal(err)
		}
		if o.Name == name {
			return ledger.OrgID(rec.Key)
		}
	}
	t.Fatal("no organisation " + name)
	return id
}
