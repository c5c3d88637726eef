package state_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/ledgertest"
)

// estate is a chain on which acme-cells owns group.example and may delegate it; it is also in the hands of a line key.
func estate(t *testing.T) (x *chain, group ledger.OrgID) {
	x = start(t, 4, plenty, nil)
	acme := organisation(t, x, "acme-cells")
	p := x.proposal(1, ledger.EncodeBody(ledger.OpNamespace, ledger.Namespace{Owner: acme, Type: ledger.NamespaceDNS, Value: "group.example", Delegable: true,
		Evidence: &ledger.Evidence{Method: ledger.MethodDNS, Document: ledger.Hash{1}, Checked: ledger.MillisOf(ledgertest.Start)}}))
	x.wantState(x.decide(p), ledger.ProposalInForce)
	group = ledger.RecordID(ledger.ProposalSeed(p.Nonce, 1), 0)
	key := ledger.EncodeBody(ledger.OpLineKey, lineOf(x, acme, "acme-cells/line-9", append(x.namespaces("acme-cells"), group)...))
	expect(t, x.one(key, adminOne, adminTwo), reason.Accepted)
	return x, group
}

func within(parent, owner ledger.OrgID, value string, change ...func(*ledger.Namespace)) []byte {
	n := ledger.Namespace{Owner: owner, Type: ledger.NamespaceDNS, Value: value, Parent: &parent}
	for _, c := range change {
		c(&n)
	}
	return ledger.EncodeBody(ledger.OpNamespace, n)
}

func end(id ledger.OrgID) []byte {
	return ledger.EncodeBody(ledger.OpNamespaceChange, ledger.NamespaceChange{Namespace: id, Action: ledger.EndNamespace})
}

func transfer(id, to ledger.OrgID) []byte {
	return ledger.EncodeBody(ledger.OpNamespaceChange, ledger.NamespaceChange{Namespace: id, Action: ledger.TransferNamespace, Owner: &to, Control: "sale"})
}

// delegate registers a namespace by acme-cells' admins and returns its id.
func (x *chain) delegate(body []byte) ledger.OrgID {
	x.t.Helper()
	v := x.one(body, adminOne, adminTwo)
	expect(x.t, v, reason.Accepted)
	e, err := ledger.ParseEntry(x.all[v.Leaf])
	if err != nil {
		x.t.Fatal(err)
	}
	return e.Op.Effects.Namespaces[0]
}

// named publishes ACME-<n> or OTHER-<n> under a DNS name.
func (x *chain) named(serial, name, line string) reason.Code {
	x.t.Helper()
	x.nonce++
	return x.one(ledgertest.Publish(x.c.DeviceKey(serial, name, fmt.Sprint("device/", x.nonce), 0)), line).Code
}

// TestDelegation: the most specific namespace decides, until it is taken back.
func TestDelegation(t *testing.T) {
	x, group := estate(t)
	other := organisation(t, x, "other-cells")
	want := func(got, want reason.Code) {
		t.Helper()
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	want(x.named("ACME-1", "a.sub.group.example", "acme-cells/line-9"), reason.Accepted)
	sub := x.delegate(within(group, other, "sub.group.example", func(n *ledger.Namespace) { n.Delegable = true }))
	key := ledger.EncodeBody(ledger.OpLineKey, lineOf(x, other, "other-cells/line-9", append(x.namespaces("other-cells"), sub)...))
	expect(t, x.one(key, "other-cells/admin-1"), reason.Accepted)
	x.reload()
	want(x.named("ACME-2", "a.sub.group.example", "acme-cells/line-9"), reason.NameNotOwned)
	want(x.named("ACME-2", "sub.group.example", "acme-cells/line-9"), reason.NameNotOwned)
	want(x.named("ACME-2", "asub.group.example", "acme-cells/line-9"), reason.Accepted)
	want(x.named("ACME-3", "group.example", "acme-cells/line-9"), reason.Accepted)
	want(x.named("OTHER-1", "b.sub.group.example", "other-cells/line-9"), reason.Accepted)
	want(x.named("OTHER-2", "b.group.example", "other-cells/line-9"), reason.NameNotOwned)

	// The subsidiary delegates on, within its own.
	deep := within(sub, organisation(t, x, "op-one"), "deep.sub.group.example")
	expect(t, x.one(deep, adminOne, adminTwo), reason.NotAuthorised)
	v := x.one(deep, "other-cells/admin-1")
	expect(t, v, reason.Accepted)
	want(x.named("OTHER-3", "x.deep.sub.group.example", "other-cells/line-9"), reason.NameNotOwned)

	// Taken back, with what was delegated from it.
	expect(t, x.one(end(sub), "other-cells/admin-1"), reason.NotAuthorised)
	expect(t, x.one(end(sub), adminOne), reason.NotAuthorised)
	expect(t, x.one(end(group), adminOne, adminTwo), reason.ByVoteOnly)
	expect(t, x.one(transfer(sub, organisation(t, x, "acme-cells")), adminOne, adminTwo), reason.ByVoteOnly)
	expect(t, x.one(end(sub), adminOne, adminTwo), reason.Accepted)
	expect(t, x.one(end(sub), adminOne, adminTwo), reason.UnknownNamespace)
	for range 2 {
		want(x.named("OTHER-4", "c.sub.group.example", "other-cells/line-9"), reason.NameNotOwned)
		x.reload()
	}
	want(x.named("ACME-4", "x.deep.sub.group.example", "acme-cells/line-9"), reason.Accepted)
	expect(t, x.one(within(sub, other, "d.sub.group.example"), "other-cells/admin-1"), reason.UnknownNamespace)
	x.delegate(within(group, other, "sub.group.example")) // as if it had never been
	agree(t, x.store, x.head)
}

// TestDelegationRefusals has a row for each way in which a namespace cannot be delegated.
func TestDelegationRefusals(t *testing.T) {
	x, group := estate(t)
	other, op := organisation(t, x, "other-cells"), organisation(t, x, "op-one")
	own := slices.DeleteFunc(x.namespaces("acme-cells"), func(id ledger.OrgID) bool { return id == group })
	x.delegate(within(group, other, "sub.group.example"))
	for _, c := range []struct {
		name   string
		body   []byte
		parent bool
		want   reason.Code
	}{
		{"no parent", newDNS(other, "x.group.example"), false, reason.NotGenesis},
		{"an unknown parent", within(ledger.OrgID{1}, other, "x.group.example"), true, reason.UnknownNamespace},
		{"to nobody", within(group, ledger.OrgID{1}, "x.group.example"), true, reason.UnknownOrganisation},
		{"all of it", within(group, other, "group.example"), true, reason.NotWithinParent},
		{"outside", within(group, other, "x.example"), true, reason.NotWithinParent},
		{"no label boundary", within(group, other, "xgroup.example"), true, reason.NotWithinParent},
		{"another type", within(group, other, "1.2.3", func(n *ledger.Namespace) { n.Type = ledger.NamespaceHardware }), true, reason.NotWithinParent},
		{"a prefix of serials", within(group, other, "X", func(n *ledger.Namespace) { n.Type = ledger.NamespaceSerial }), true, reason.NotDelegable},
		{"what another has", within(group, op, "sub.group.example"), true, reason.NamespaceOverlap},
		{"within what another has", within(group, op, "x.sub.group.example"), true, reason.NamespaceOverlap},
		{"no name", within(group, op, "*.group.example"), true, reason.RegistrationForm},
		{"by an unknown method", within(group, op, "y.group.example", func(n *ledger.Namespace) { n.Evidence = &ledger.Evidence{Method: 9} }), true, reason.BadBody},
		{"nothing wrong", within(group, op, "x.group.example"), true, reason.Accepted},
		{"around what another has", within(group, op, "b.group.example"), true, reason.Accepted},
	} {
		t.Run(c.name, func(t *testing.T) { expect(t, x.one(c.body, adminOne, adminTwo), c.want) })
	}
	for _, id := range own { // serials; and names whose grant does not let them be delegated
		expect(t, x.one(within(id, other, "x.acme-cells.example"), adminOne, adminTwo), reason.NotDelegable)
	}
	expect(t, x.one(ledger.EncodeBody(ledger.OpPropose, x.proposal(7, within(group, other, "z.group.example"))), govA), reason.RegistrationForm)
	expect(t, x.one(ledger.EncodeBody(ledger.OpPropose, x.proposal(7, newDNS(other, "y.group.example"))), govA), reason.NamespaceOverlap)
	serials := ledger.EncodeBody(ledger.OpNamespace, ledger.Namespace{Owner: other, Type: ledger.NamespaceSerial, Value: "X", Delegable: true})
	expect(t, x.one(ledger.EncodeBody(ledger.OpPropose, x.proposal(7, serials)), govA), reason.RegistrationForm)
	// Not more than so many.
	for i := range ledger.MaxDelegations - 3 {
		x.delegate(within(group, other, fmt.Sprintf("n%d.group.example", i)))
	}
	expect(t, x.one(within(group, other, "more.group.example"), adminOne, adminTwo), reason.TooManyDelegations)
	x.wantState(x.decide(x.proposal(8, orgChange(x, "acme-cells", func(c *ledger.OrganisationChange) { c.State = ptr(ledger.OrgSuspended) }))), ledger.ProposalInForce)
	expect(t, x.one(within(group, other, "more.group.example"), adminOne, adminTwo), reason.OrganisationState)
}

// TestNamespaceChanges: transfer and end by vote.
func TestNamespaceChanges(t *testing.T) {
	x, group := estate(t)
	acme, other := organisation(t, x, "acme-cells"), organisation(t, x, "other-cells")
	for _, c := range []struct {
		name string
		body []byte
		want reason.Code
	}{
		{"no namespace", end(ledger.OrgID{1}), reason.UnknownNamespace},
		{"to nobody", transfer(group, ledger.OrgID{1}), reason.UnknownOrganisation},
		{"to its owner", transfer(group, acme), reason.NothingChanges},
		{"an end with an heir", ledger.EncodeBody(ledger.OpNamespaceChange, ledger.NamespaceChange{Namespace: group, Action: 1, Owner: &other}), reason.BadBody},
		{"a transfer without", ledger.EncodeBody(ledger.OpNamespaceChange, ledger.NamespaceChange{Namespace: group, Action: 2}), reason.BadBody},
		{"another action", ledger.EncodeBody(ledger.OpNamespaceChange, ledger.NamespaceChange{Namespace: group, Action: 3}), reason.BadBody},
	} {
		t.Run(c.name, func(t *testing.T) {
			expect(t, x.one(ledger.EncodeBody(ledger.OpPropose, x.proposal(9, c.body)), govA), c.want)
		})
	}
	old := x.c.DeviceKey("ACME-1", "a.group.example", "device/old", 0)
	v := x.one(ledgertest.Publish(old), "acme-cells/line-9")
	expect(t, v, reason.Accepted)
	x.wantState(x.decide(x.proposal(10, transfer(group, other))), ledger.ProposalInForce)
	x.reload()
	// What is published keeps its voucher; nothing new of the old owner's is.
	if again := x.one(ledgertest.Publish(old), "acme-cells/line-9"); again.Code != reason.AlreadyPublished || again.Leaf != v.Leaf {
		t.Errorf("published before: %+v", again)
	}
	k, err := x.head.KeyRecord(ledger.Sum(x.c.SPKI("device/old")))
	if err != nil || k.Certificates[0].Status != ledger.Good || k.Certificates[0].Voucher != ledger.Sum(x.c.SPKI("acme-cells/line-9")) {
		t.Errorf("the old entry is %+v (%v)", k, err)
	}
	if got := x.named("ACME-2", "b.group.example", "acme-cells/line-9"); got != reason.NameNotOwned {
		t.Errorf("the old owner: %s", got)
	}
	key := ledger.EncodeBody(ledger.OpLineKey, lineOf(x, other, "other-cells/line-9", append(x.namespaces("other-cells"), group)...))
	expect(t, x.one(key, "other-cells/admin-1"), reason.Accepted)
	if got := x.named("OTHER-2", "b.group.example", "other-cells/line-9"); got != reason.Accepted {
		t.Errorf("the new owner: %s", got)
	}
	// An end frees the name, in the same proposal for another.
	anew := x.proposal(11, end(group), newDNS(acme, "group.example"))
	x.wantState(x.decide(anew), ledger.ProposalInForce)
	x.reload()
	if got := x.named("OTHER-3", "c.group.example", "other-cells/line-9"); got != reason.NameNotOwned {
		t.Errorf("after its end: %s", got)
	}
	gone := x.proposal(12, orgChange(x, "op-one", func(c *ledger.OrganisationChange) { c.State = ptr(ledger.OrgEnded) }))
	x.wantState(x.decide(gone), ledger.ProposalInForce)
	expect(t, x.one(ledger.EncodeBody(ledger.OpPropose, x.proposal(13, transfer(x.namespaces("other-cells")[0], organisation(t, x, "op-one")))), govA), reason.OrganisationEnded)
}

// TestOlderRulesKnowNoDelegation: a body that an older build does not decode is refused as that build refused it; TestGenesisSpoiled has it in genesis.
func TestOlderRulesKnowNoDelegation(t *testing.T) {
	x := start(t, 4, plenty, func(f *ledger.Founding) { f.Rules = 2 })
	acme, other := organisation(t, x, "acme-cells"), organisation(t, x, "other-cells")
	for _, body := range [][]byte{within(x.namespaces("acme-cells")[0], other, "x.acme-cells.example"),
		newDNS(acme, "a.example", func(n *ledger.Namespace) { n.Delegable = true }),
		newDNS(acme, "a.example", func(n *ledger.Namespace) { n.Evidence = &ledger.Evidence{Method: 1} })} {
		expect(t, x.one(body, adminOne, adminTwo), reason.BadBody)
	}
	expect(t, x.one(newDNS(acme, "a.example"), adminOne, adminTwo), reason.NotGenesis)
	expect(t, x.one(end(x.namespaces("acme-cells")[0]), adminOne, adminTwo), reason.UnknownOperation)
	for i := range 2 { // the second would write the first one's run
		expect(t, x.device(fmt.Sprintf("ACME-%d", i), "acme-cells/line"), reason.Accepted)
	}
	for rec, err := range x.store.Records(ledger.RecordRun, nil) {
		t.Errorf("a record that version 2 has not: %x (%v)", rec.Key, err)
	}
}
