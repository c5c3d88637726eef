package state_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/ledgertest"
	"github.com/quorate-pki/quorate/ledger/state"
)

const (
	govA, govB, govC, govD = "ca-a/governance", "ca-b/governance", "ca-c/governance", "ca-d/governance"
	day                    = ledger.Millis(24 * 60 * 60 * 1000)
)

// proposal is one that a test makes: a name for its nonce, its operations, and what spoils it.
func (x *chain) proposal(nonce byte, bodies ...[]byte) *ledger.Propose {
	return &ledger.Propose{Title: "a test", Bodies: bodies, Expires: ledger.MillisOf(x.now) + 7*day, Nonce: [16]byte{nonce}}
}

func (x *chain) newOrg(name string, roles uint64, profiles ...uint64) []byte {
	return ledger.EncodeBody(ledger.OpOrganisation, ledger.Organisation{Name: name, LegalName: name, Roles: roles, AdminM: 1,
		AdminKeys: [][]byte{x.c.SPKI(name + "/admin-1")}, Profiles: append([]uint64{}, profiles...), QuotaDay: 100, QuotaTotal: 1000})
}

func newDNS(owner ledger.OrgID, value string, change ...func(*ledger.Namespace)) []byte {
	n := ledger.Namespace{Owner: owner, Type: ledger.NamespaceDNS, Value: value, Control: "DNS TXT seen by ca-a"}
	for _, c := range change {
		c(&n)
	}
	return ledger.EncodeBody(ledger.OpNamespace, n)
}

func newSerial(owner ledger.OrgID, value string) []byte {
	return ledger.EncodeBody(ledger.OpNamespace, ledger.Namespace{Owner: owner, Type: ledger.NamespaceSerial, Value: value})
}

func rulesBody(version uint64, hold ledger.Millis) []byte {
	return ledger.EncodeBody(ledger.OpRules, ledger.Rules{Version: version, Hold: hold})
}

// propose puts a proposal on the log and returns its leaf and the digest that votes name.
func (x *chain) propose(p *ledger.Propose, signer string) (uint64, ledger.Hash) {
	x.t.Helper()
	body := ledger.EncodeBody(ledger.OpPropose, p)
	v := x.one(body, signer)
	if v.Code != reason.Accepted {
		x.t.Fatalf("proposing: %s", v.Code)
	}
	return v.Leaf, ledger.Sum(body)
}

func vote(leaf uint64, digest ledger.Hash, c ledger.Choice) []byte {
	return ledger.EncodeBody(ledger.OpVote, ledger.Vote{Proposal: leaf, Choice: c, Digest: digest})
}

// record reads what became of a proposal.
func (x *chain) record(leaf uint64) ledger.ProposalRecord {
	x.t.Helper()
	raw, err := x.store.Get(state.Key(ledger.RecordProposal, state.Uint64Key(leaf)))
	if err != nil || raw == nil {
		x.t.Fatalf("no proposal at %d (%v)", leaf, err)
	}
	var p ledger.ProposalRecord
	if err := ledger.Decode(raw, &p); err != nil {
		x.t.Fatal(err)
	}
	return p
}

func (x *chain) wantState(leaf uint64, want ledger.ProposalState) ledger.ProposalRecord {
	x.t.Helper()
	p := x.record(leaf)
	if p.State != want {
		x.t.Fatalf("the proposal is %s, wanted %s", p.State, want)
	}
	return p
}

// decide proposes as member a, and has a, b and c approve one after the other.
func (x *chain) decide(p *ledger.Propose) uint64 {
	x.t.Helper()
	leaf, digest := x.propose(p, govA)
	for _, who := range []string{govA, govB, govC} {
		expect(x.t, x.one(vote(leaf, digest, ledger.Approve), who), reason.Accepted)
	}
	return leaf
}

func lineOf(x *chain, owner ledger.OrgID, key string, namespaces ...ledger.OrgID) ledger.LineKey {
	s := x.c.Signer(key)
	sig, err := s.SignCOSE(ledger.PossessionMessage(owner, x.c.SPKI(key)))
	if err != nil {
		x.t.Fatal(err)
	}
	return ledger.LineKey{Owner: owner, SPKI: x.c.SPKI(key), Alg: s.Alg(), Possession: sig, Namespaces: namespaces, Profiles: []uint64{1},
		Rights: ledger.RightPublish | ledger.RightSuspend, QuotaDay: 100, QuotaTotal: 1000}
}

// TestNewVendor goes from a vendor that nobody knows to its first certificate: an organisation and its names by vote, a line key by the
// organisation's own admins.
func TestNewVendor(t *testing.T) {
	x := start(t, 4, plenty, nil)
	p := x.proposal(1, x.newOrg("new-cells", ledger.RoleVendor, 1))
	seed := ledger.ProposalSeed(p.Nonce, 1)
	owner := ledger.RecordID(seed, 0)
	p.Bodies = append(p.Bodies, newSerial(owner, "NEW-"), newDNS(owner, "new-cells.example"))
	leaf := x.decide(p)
	rec := x.wantState(leaf, ledger.ProposalInForce)
	if _, grant := x.granted(owner); grant != [2]uint64{leaf, rec.Leaf} {
		t.Errorf("the organisation is granted by %v, not by proposal %d and vote %d", grant, leaf, rec.Leaf)
	}
	if rec.Height != x.head.Channel().Height || len(rec.Votes) != 3 || rec.Leaf != rec.Votes[2].Leaf {
		t.Errorf("the record says %+v", rec)
	}
	key := ledger.EncodeBody(ledger.OpLineKey, lineOf(x, owner, "new-cells/line", ledger.RecordID(seed, 1), ledger.RecordID(seed, 2)))
	expect(t, x.one(key, govA), reason.NotAuthorised)
	expect(t, x.one(key, "acme-cells/admin-1", "acme-cells/admin-2"), reason.NotAuthorised)
	expect(t, x.one(key, "new-cells/admin-1"), reason.Accepted)
	expect(t, x.one(key, "new-cells/admin-1"), reason.KeyTaken)
	x.reload()
	der := x.c.DeviceKey("NEW-1", "new-cells.example", "device/NEW-1", 0)
	expect(t, x.one(ledgertest.Publish(der), "new-cells/line"), reason.Accepted)
	der = x.c.DeviceKey("ACME-1", "new-cells.example", "device/NEW-2", 0)
	expect(t, x.one(ledgertest.Publish(der), "new-cells/line"), reason.SerialNotOwned)
}

// TestProposalRefusals has a row for each way in which a proposal cannot be made.
func TestProposalRefusals(t *testing.T) {
	x := start(t, 4, plenty, nil)
	acme := organisation(t, x, "acme-cells")
	org := x.newOrg("new-cells", ledger.RoleVendor, 1)
	published := x.c.DeviceKey("ACME-1", dns, "device/ACME-1", 0)
	x.publish(published)
	spoilt := func(change func(*ledger.Organisation)) []byte {
		o := ledger.Organisation{Name: "new-cells", LegalName: "x", Roles: ledger.RoleVendor, AdminM: 1, AdminKeys: [][]byte{x.c.SPKI("new/admin")}, Profiles: []uint64{1}}
		change(&o)
		return ledger.EncodeBody(ledger.OpOrganisation, o)
	}
	for _, c := range []struct {
		name   string
		bodies [][]byte
		spoil  func(*ledger.Propose)
		signer []string
		want   reason.Code
	}{
		{"an admin proposes", [][]byte{org}, nil, []string{"acme-cells/admin-1"}, reason.NotAMember},
		{"two members propose", [][]byte{org}, nil, []string{govA, govB}, reason.NotAMember},
		{"expired already", [][]byte{org}, func(p *ledger.Propose) { p.Expires = ledger.MillisOf(x.now) }, nil, reason.ProposalTooFar},
		{"for a year", [][]byte{org}, func(p *ledger.Propose) { p.Expires += 365 * day }, nil, reason.ProposalTooFar},
		{"no title", [][]byte{org}, func(p *ledger.Propose) { p.Title = "" }, nil, reason.BadBody},
		{"a long title", [][]byte{org}, func(p *ledger.Propose) { p.Title = strings.Repeat("x", 201) }, nil, reason.BadBody},
		{"a hold of a year", [][]byte{org}, func(p *ledger.Propose) { p.Hold = 365 * day }, nil, reason.BadBody},
		{"nothing", nil, nil, nil, reason.BadBody},
		{"a publication", [][]byte{ledgertest.Publish(published)}, nil, nil, reason.NotProposable},
		{"a proposal", [][]byte{ledger.EncodeBody(ledger.OpPropose, x.proposal(9, org))}, nil, nil, reason.NotProposable},
		{"another consortium", [][]byte{ledger.EncodeBody(ledger.OpConsortium, ledger.Consortium{})}, nil, nil, reason.NotProposable},
		{"no operation", [][]byte{{0x80}}, nil, nil, reason.BadBody},
		{"a name that is taken", [][]byte{x.newOrg("acme-cells", ledger.RoleVendor, 1)}, nil, nil, reason.NameTaken},
		{"the same organisation twice", [][]byte{org, org}, nil, nil, reason.NameTaken},
		{"no roles", [][]byte{x.newOrg("new-cells", 0)}, nil, nil, reason.RegistrationForm},
		{"more admins needed than there are", [][]byte{spoilt(func(o *ledger.Organisation) { o.AdminM = 2 })}, nil, nil, reason.RegistrationForm},
		{"an admin key that is no key", [][]byte{spoilt(func(o *ledger.Organisation) { o.AdminKeys[0] = []byte{1} })}, nil, nil, reason.RegistrationForm},
		{"a member's key", [][]byte{spoilt(func(o *ledger.Organisation) { o.AdminKeys[0] = x.c.SPKI("ca-b/log") })}, nil, nil, reason.KeyTaken},
		{"a device's key", [][]byte{spoilt(func(o *ledger.Organisation) { o.AdminKeys[0] = x.c.SPKI("device/ACME-1") })}, nil, nil, reason.KeyTaken},
		{"a profile that is not", [][]byte{spoilt(func(o *ledger.Organisation) { o.Profiles = []uint64{99} })}, nil, nil, reason.UnknownProfile},
		{"names of nobody", [][]byte{newDNS(ledger.OrgID{1}, "new.example")}, nil, nil, reason.UnknownOrganisation},
		{"no name", [][]byte{newDNS(acme, "*.example")}, nil, nil, reason.RegistrationForm},
		{"another's names", [][]byte{newDNS(acme, "deep.other-cells.example")}, nil, nil, reason.NamespaceOverlap},
		{"around another's names", [][]byte{newDNS(acme, "cells.example"), newDNS(acme, "x.cells.example")}, nil, nil, reason.NamespaceOverlap},
		{"a reserved name", [][]byte{newDNS(acme, "mnc001.mcc001.3gppnetwork.org")}, nil, nil, reason.NamespaceReserved},
		{"two rule versions at once", [][]byte{rulesBody(5, 0)}, nil, nil, reason.RuleVersionStep},
		{"an older rule version", [][]byte{rulesBody(2, 0)}, nil, nil, reason.RuleVersionStep},
		{"rules with an endless hold", [][]byte{rulesBody(3, 365*day)}, nil, nil, reason.RegistrationForm},
	} {
		p := x.proposal(1, c.bodies...)
		if c.spoil != nil {
			c.spoil(p)
		}
		if c.signer == nil {
			c.signer = []string{govA}
		}
		t.Run(c.name, func(t *testing.T) { expect(t, x.one(ledger.EncodeBody(ledger.OpPropose, p), c.signer...), c.want) })
	}
	for _, body := range [][]byte{org, newDNS(acme, "a.example"), rulesBody(3, 0)} {
		expect(t, x.one(body, govA, govB, govC), reason.NotGenesis) // outside a proposal
	}
}

// TestLineKeyRefusals has a row for each way in which admins cannot register a line key.
func TestLineKeyRefusals(t *testing.T) {
	x := start(t, 4, plenty, nil)
	x.publish(x.c.DeviceKey("ACME-1", dns, "device/ACME-1", 0))
	acme, theirs := x.namespaces("acme-cells"), x.namespaces("other-cells")
	owner := organisation(t, x, "acme-cells")
	for _, c := range []struct {
		name  string
		spoil func(*ledger.LineKey)
		want  reason.Code
	}{
		{"another's namespace", func(l *ledger.LineKey) { l.Namespaces = theirs }, reason.UnknownNamespace},
		{"another's possession", func(l *ledger.LineKey) { l.Possession[3] ^= 1 }, reason.LineKeyPossession},
		{"no rights", func(l *ledger.LineKey) { l.Rights = 0 }, reason.RegistrationForm},
		{"an unknown profile", func(l *ledger.LineKey) { l.Profiles = []uint64{77} }, reason.UnknownProfile},
		{"a device's key", func(l *ledger.LineKey) { *l = lineOf(x, owner, "device/ACME-1", acme...) }, reason.KeyTaken},
		{"an admin's key", func(l *ledger.LineKey) { *l = lineOf(x, owner, "op-one/admin-1", acme...) }, reason.KeyTaken},
		{"nothing wrong", func(*ledger.LineKey) {}, reason.Accepted},
	} {
		l := lineOf(x, owner, "acme-cells/line-9", acme...)
		c.spoil(&l)
		t.Run(c.name, func(t *testing.T) {
			expect(t, x.one(ledger.EncodeBody(ledger.OpLineKey, l), "acme-cells/admin-1", "acme-cells/admin-3"), c.want)
		})
	}
	expect(t, x.one(ledger.EncodeBody(ledger.OpLineKey, lineOf(x, owner, "acme-cells/line-8", acme...)), "acme-cells/admin-1"), reason.NotAuthorised)
}

// granted reads an organisation, and the leaves that granted it.
func (x *chain) granted(id ledger.OrgID) (rec ledger.OrgRecord, by [2]uint64) {
	x.t.Helper()
	raw, err := x.store.Get(state.Key(ledger.RecordOrg, id[:]))
	if err == nil {
		err = ledger.Decode(raw, &rec)
	}
	if err != nil {
		x.t.Fatal(err)
	}
	return rec, [2]uint64{rec.Leaf, rec.Decision}
}

// namespaces are the ids of what an organisation owns.
func (x *chain) namespaces(name string) (ids []ledger.OrgID) {
	x.t.Helper()
	owner := organisation(x.t, x, name)
	for rec, err := range x.store.Records(ledger.RecordNamespace, nil) {
		var n ledger.NamespaceRecord
		if err != nil {
			x.t.Fatal(err)
		}
		if err := ledger.Decode(rec.Value, &n); err != nil {
			x.t.Fatal(err)
		}
		if n.Owner == owner {
			ids = append(ids, ledger.OrgID(rec.Key))
		}
	}
	return ids
}

// TestVotes: each member counts once, votes may change until it is decided, and nobody votes for what he did not see.
func TestVotes(t *testing.T) {
	x := start(t, 4, plenty, nil)
	leaf, digest := x.propose(x.proposal(1, x.newOrg("new-cells", ledger.RoleVendor, 1)), govA)
	yes, no, back := vote(leaf, digest, ledger.Approve), vote(leaf, digest, ledger.Reject), vote(leaf, digest, ledger.Abstain)
	expect(t, x.one(yes, "acme-cells/admin-1"), reason.NotAMember)
	expect(t, x.one(yes, govA, "acme-cells/admin-1"), reason.NotAMember)
	expect(t, x.one(vote(leaf+1, digest, ledger.Approve), govA), reason.UnknownProposal)
	expect(t, x.one(vote(leaf, ledger.Hash{1}, ledger.Approve), govA), reason.ProposalDiffers)
	expect(t, x.one(back, govA), reason.VoteUnchanged)
	expect(t, x.one(yes, govA), reason.Accepted)
	expect(t, x.one(yes, govA), reason.VoteUnchanged)
	expect(t, x.one(yes, govB), reason.Accepted)
	x.wantState(leaf, ledger.ProposalOpen) // proposing is no vote, and a counts once
	expect(t, x.one(no, govB), reason.Accepted)
	expect(t, x.one(yes, govC), reason.Accepted)
	x.wantState(leaf, ledger.ProposalOpen)
	expect(t, x.one(back, govC), reason.Accepted)
	expect(t, x.one(yes, govD), reason.Accepted)
	if p := x.wantState(leaf, ledger.ProposalOpen); len(p.Votes) != 4 {
		t.Errorf("votes %v", p.Votes)
	}
	x.reload()
	expect(t, x.one(yes, govB, govC), reason.Accepted) // two members in one transaction
	x.wantState(leaf, ledger.ProposalInForce)
	expect(t, x.one(no, govA), reason.ProposalDecided)

	// More than n - q against: it cannot be approved any more.
	leaf, digest = x.propose(x.proposal(2, x.newOrg("more-cells", ledger.RoleVendor, 1)), govA)
	expect(t, x.one(vote(leaf, digest, ledger.Reject), govB), reason.Accepted)
	x.wantState(leaf, ledger.ProposalOpen)
	expect(t, x.one(vote(leaf, digest, ledger.Reject), govC), reason.Accepted)
	x.wantState(leaf, ledger.ProposalRejected)
	expect(t, x.one(vote(leaf, digest, ledger.Approve), govD), reason.ProposalDecided)
}

// TestFoldCountsVotes: leaves from a stranger that name other voters or another decision do not fold.
func TestFoldCountsVotes(t *testing.T) {
	x := start(t, 4, plenty, nil)
	leaf, digest := x.propose(x.proposal(1, x.newOrg("office", ledger.RoleRegulator)), govA)
	approve := vote(leaf, digest, ledger.Approve)
	expect(t, x.one(approve, govA), reason.Accepted)
	expect(t, x.one(approve, govB), reason.Accepted)
	parent := load(t, x.store, x.all)
	e, err := state.Execute(parent, x.next(x.tx([][]byte{approve}, govC)), state.Direct{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := state.Fold(parent, e.Leaves); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*ledger.Effects){
		"undecided":   func(e *ledger.Effects) { e.Decision = 0 },
		"rejected":    func(e *ledger.Effects) { e.Decision = ledger.Rejected },
		"another":     func(e *ledger.Effects) { e.Members = []uint64{4} },
		"nobody":      func(e *ledger.Effects) { e.Members = nil },
		"one as well": func(e *ledger.Effects) { e.Members = append(e.Members, 4) },
	} {
		leaves := append([][]byte{}, e.Leaves...)
		entry, err := ledger.ParseEntry(leaves[1])
		if err != nil {
			t.Fatal(err)
		}
		spoil(&entry.Op.Effects)
		leaves[1] = entry.Op.Encode()
		if _, err := state.Fold(parent, leaves); !errors.Is(err, state.ErrBadLeaves) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestThresholds: a quorum of three of four lets in who is to be trusted; more than half would do for who only looks on, which with four
// members is the same number, so this test has seven.
func TestThresholds(t *testing.T) {
	x := start(t, 7, plenty, nil)
	for i, c := range []struct {
		name  string
		body  []byte
		needs int
	}{
		{"vendor", x.newOrg("new-cells", ledger.RoleVendor, 1), 5},
		{"regulator", x.newOrg("office", ledger.RoleRegulator), 4},
		{"regulator that publishes", x.newOrg("bureau", ledger.RoleRegulator, 1), 5},
		{"rules", rulesBody(3, 0), 5},
	} {
		leaf, digest := x.propose(x.proposal(byte(i), c.body), govA)
		for n := range c.needs {
			x.wantState(leaf, ledger.ProposalOpen)
			expect(t, x.one(vote(leaf, digest, ledger.Approve), "ca-"+string(rune('a'+n))+"/governance"), reason.Accepted)
		}
		x.wantState(leaf, ledger.ProposalInForce)
	}
}

// TestHolds: what widens trust waits as long as the rules and the proposal say, then takes effect before the block's first transaction.
func TestHolds(t *testing.T) {
	x := start(t, 4, plenty, nil)
	x.wantState(x.decide(x.proposal(1, rulesBody(3, 2*day))), ledger.ProposalInForce)
	p := x.proposal(2, x.newOrg("new-cells", ledger.RoleVendor, 1))
	p.Hold = 2*day - 1
	expect(t, x.one(ledger.EncodeBody(ledger.OpPropose, p), govA), reason.HoldTooShort)
	regulator := x.proposal(3, x.newOrg("office", ledger.RoleRegulator))
	x.wantState(x.decide(regulator), ledger.ProposalInForce) // gives nobody anything: no need to wait
	p.Hold = 2 * day
	id := ledger.RecordID(ledger.ProposalSeed(p.Nonce, 1), 0)
	leaf := x.decide(p)
	decided := x.wantState(leaf, ledger.ProposalWaiting).Decided
	line := ledger.EncodeBody(ledger.OpLineKey, lineOf(x, id, "new-cells/line", id))
	x.reload()
	x.now = decided.Time().Add(2*24*time.Hour - time.Second - time.Millisecond)
	if e := x.block(x.tx([][]byte{line}, "new-cells/admin-1")); e.Refused == nil || e.Refused[0].Why.Code != reason.NotAuthenticated {
		t.Errorf("a millisecond before its time: %v", e.Refused)
	}
	x.wantState(leaf, ledger.ProposalWaiting)
	x.now = decided.Time().Add(2*24*time.Hour - time.Second)
	// Its admins sign a transaction in the very block: it took effect before.
	expect(t, x.one(line, "new-cells/admin-1"), reason.UnknownNamespace)
	if rec := x.wantState(leaf, ledger.ProposalInForce); rec.Height != x.head.Channel().Height {
		t.Errorf("in force from %d, the height is %d", rec.Height, x.head.Channel().Height)
	}
}

// TestEndings: proposals expire, are withdrawn by who made them, also while they wait, or fail when their time has come.
func TestEndings(t *testing.T) {
	x := start(t, 4, plenty, nil)
	org := x.newOrg("new-cells", ledger.RoleVendor, 1)
	withdraw := func(leaf uint64) []byte {
		return ledger.EncodeBody(ledger.OpWithdraw, ledger.Withdraw{Proposal: leaf})
	}
	leaf, digest := x.propose(x.proposal(1, org), govA)
	x.now = x.now.Add(7*24*time.Hour + time.Second)
	expect(t, x.one(vote(leaf, digest, ledger.Approve), govA), reason.ProposalExpired)
	x.wantState(leaf, ledger.ProposalExpired)

	leaf, digest = x.propose(x.proposal(2, org), govB)
	expect(t, x.one(withdraw(leaf), "acme-cells/admin-1"), reason.NotAMember)
	expect(t, x.one(withdraw(leaf), govA), reason.NotTheProposer)
	expect(t, x.one(withdraw(leaf), govB), reason.Accepted)
	expect(t, x.one(withdraw(leaf), govB), reason.ProposalDecided)
	expect(t, x.one(withdraw(leaf+1), govB), reason.UnknownProposal)
	expect(t, x.one(vote(leaf, digest, ledger.Approve), govA), reason.ProposalDecided)

	waiting := x.proposal(3, org)
	waiting.Hold = day
	leaf = x.decide(waiting)
	expect(t, x.one(withdraw(leaf), govA), reason.Accepted)
	x.wantState(leaf, ledger.ProposalWithdrawn)

	// Two proposals for one name, both approved: the second cannot take effect any more, and not in part either.
	office := x.newOrg("office", ledger.RoleRegulator)
	waiting = x.proposal(4, office, org)
	waiting.Hold = day
	leaf = x.decide(waiting)
	x.wantState(x.decide(x.proposal(5, org)), ledger.ProposalInForce)
	x.now = x.now.Add(25 * time.Hour)
	x.block(x.tx([][]byte{withdraw(0)}, govA))
	if p := x.wantState(leaf, ledger.ProposalFailed); p.Code != reason.NameTaken {
		t.Errorf("failed for %s", p.Code)
	}
	leaf, _ = x.propose(x.proposal(6, office), govA) // the name is free
	expect(t, x.one(withdraw(leaf), govA), reason.Accepted)
}

// TestTooManyProposals: neither one member nor all of them can fill the state with proposals.
func TestTooManyProposals(t *testing.T) {
	x := start(t, 7, plenty, nil)
	n := 0
	propose := func(who string) reason.Code {
		n++
		p := x.proposal(byte(n), x.newOrg(fmt.Sprintf("org-%d", n), ledger.RoleRegulator))
		return x.one(ledger.EncodeBody(ledger.OpPropose, p), who).Code
	}
	for range ledger.MaxOwnProposals {
		if c := propose(govA); c != reason.Accepted {
			t.Fatal(c)
		}
	}
	expect(t, ledger.Verdict{Code: propose(govA)}, reason.TooManyProposals)
	for i := range ledger.MaxLiveProposals - ledger.MaxOwnProposals {
		if c := propose([]string{govB, govC, govD}[i%3]); c != reason.Accepted {
			t.Fatal(c)
		}
	}
	expect(t, ledger.Verdict{Code: propose("ca-e/governance")}, reason.TooManyProposals)
}

// TestRecordIDsAreTheProposers: nobody takes the ids of another member's proposal, whose nonce everybody sees; its own it cannot take twice.
func TestRecordIDsAreTheProposers(t *testing.T) {
	x := start(t, 4, plenty, nil)
	x.wantState(x.decide(x.proposal(1, x.newOrg("one-cells", ledger.RoleVendor, 1))), ledger.ProposalInForce)
	leaf, _ := x.propose(x.proposal(1, x.newOrg("two-cells", ledger.RoleVendor, 1)), govB)
	x.wantState(leaf, ledger.ProposalOpen)
	p := x.proposal(1, x.newOrg("two-cells", ledger.RoleVendor, 1))
	expect(t, x.one(ledger.EncodeBody(ledger.OpPropose, p), govA), reason.RecordTaken)
}

// TestNewerRules: the next rule version can be voted for before a build knows it; what follows, such a build neither judges nor folds.
func TestNewerRules(t *testing.T) {
	x := start(t, 4, plenty, nil)
	leaf := x.decide(x.proposal(1, rulesBody(ledger.NewestRules+1, 0)))
	x.wantState(leaf, ledger.ProposalInForce)
	e, err := ledger.ParseEntry(x.all[len(x.all)-1])
	if err != nil || e.Epoch.Rules != ledger.NewestRules+1 {
		t.Errorf("the deciding block says %d for the next one (%v)", e.Epoch.Rules, err)
	}
	e, err = ledger.ParseEntry(x.all[len(x.all)-2])
	if err != nil || e.Op.Effects.Rules != ledger.NewestRules {
		t.Errorf("the deciding vote was judged by %d (%v)", e.Op.Effects.Rules, err)
	}
	x.reload()
	if r := x.head.Channel().Rules; r != ledger.NewestRules+1 {
		t.Fatalf("rule version %d in force", r)
	}
	b := x.next(x.tx([][]byte{ledgertest.Publish(x.c.DeviceKey("ACME-1", dns, "device/ACME-1", 0))}, "acme-cells/line"))
	if _, err := state.Execute(x.head, b, state.Direct{}); !errors.Is(err, state.ErrNewerRules) || errors.Is(err, state.ErrInvalidBlock) {
		t.Errorf("executing: %v", err)
	}
	if _, err := state.Fold(x.head, [][]byte{x.all[len(x.all)-1]}); !errors.Is(err, state.ErrNewerRules) {
		t.Errorf("folding: %v", err)
	}
}

// TestOlderRulesHaveNoProposals: a channel of rule version 2 answers as builds of that version did.
func TestOlderRulesHaveNoProposals(t *testing.T) {
	x := start(t, 4, plenty, func(f *ledger.Founding) { f.Rules = 2 })
	p := x.proposal(1, x.newOrg("new-cells", ledger.RoleVendor, 1))
	expect(t, x.one(ledger.EncodeBody(ledger.OpPropose, p), govA), reason.UnknownOperation)
	p.Title = "" // unknown before it is looked at
	expect(t, x.one(ledger.EncodeBody(ledger.OpPropose, p), govA), reason.UnknownOperation)
	expect(t, x.one(vote(1, ledger.Hash{}, ledger.Approve), govA), reason.UnknownOperation)
	l := lineOf(x, organisation(t, x, "acme-cells"), "acme-cells/line-9", x.namespaces("acme-cells")...)
	expect(t, x.one(ledger.EncodeBody(ledger.OpLineKey, l), "acme-cells/admin-1", "acme-cells/admin-2"), reason.NotGenesis)
}
