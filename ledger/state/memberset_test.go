package state_test

import (
	"testing"

	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/ledgertest"
	"github.com/quorate-pki/quorate/ledger/state"
)

// governed is a chain of four members with two organisations that may join.
func governed(t *testing.T) *chain {
	t.Helper()
	return start(t, 4, plenty, func(f *ledger.Founding) {
		for _, name := range []string{"ca-e", "ca-f"} {
			f.Organisations = append(f.Organisations, ledger.Organisation{Name: name, LegalName: name, Roles: ledger.RoleMember, AdminM: 1,
				AdminKeys: [][]byte{ledgertest.Unfounded(7).SPKI(name + "/admin-1")}, Profiles: []uint64{}})
		}
	})
}

// setMembers has members propose a set with some signatures, and vote for it with others; it returns why it was not proposed, or what
// became of it: NotApplied when it is not decided.
func (x *chain) setMembers(document []byte, with []string, by ...string) reason.Code {
	x.t.Helper()
	x.nonce++
	body := x.c.ProposeMembers(document, x.c.SignSet(document, with...), x.now, x.nonce)
	v := x.one(body, "ca-b/governance")
	if v.Code != reason.Accepted {
		return v.Code
	}
	for _, key := range by {
		vote := ledger.Vote{Proposal: v.Leaf, Choice: ledger.Approve, Digest: ledger.Sum(body), Signatures: x.c.SignSet(document, key)}
		if code := x.one(ledger.EncodeBody(ledger.OpVote, vote), key).Code; code != reason.Accepted {
			return code
		}
	}
	raw, err := x.store.Get(state.Key(ledger.RecordProposal, state.Uint64Key(v.Leaf)))
	var p ledger.ProposalRecord
	if err != nil || ledger.Decode(raw, &p) != nil {
		x.t.Fatal(err)
	}
	switch p.State {
	case ledger.ProposalInForce:
		return reason.Accepted
	case ledger.ProposalOpen:
		return reason.NotApplied
	}
	return p.Code
}

func (x *chain) members() *ledger.MemberSet {
	x.t.Helper()
	m, err := x.head.Members()
	if err != nil {
		x.t.Fatal(err)
	}
	return m
}

// electors is the number of the set that makes the head final.
func (x *chain) electors() uint64 {
	x.t.Helper()
	m, err := x.head.Electors()
	if err != nil {
		x.t.Fatal(err)
	}
	return m.Number
}

// announced is the member set of the last epoch.
func (x *chain) announced() ledger.Hash {
	x.t.Helper()
	e, err := ledger.ParseEntry(x.all[len(x.all)-1])
	if err != nil {
		x.t.Fatal(err)
	}
	return e.Epoch.MemberSet
}

func gov(names ...string) (out []string) {
	for _, n := range names {
		out = append(out, n+"/governance")
	}
	return out
}

// TestMemberSetChanges: the block that changes the set is the old one's, and announces the new one; from the next on it is the new one's.
// Whoever folds or loads has the same.
func TestMemberSetChanges(t *testing.T) {
	x := governed(t)
	steps := []struct {
		edit func(*ledger.MemberSet)
		with []string
		by   []string
	}{
		{x.c.Joins("ca-e"), gov("ca-e"), gov("ca-a", "ca-b", "ca-c")},
		{x.c.Rotates("ca-b", 2, ledger.KeyCosigning), gov("ca-b"), gov("ca-a", "ca-c", "ca-d", "ca-e")},
		{x.c.Rotates("ca-c", 2, ledger.KeyGovernance), []string{"ca-c/governance-2"}, gov("ca-a", "ca-b", "ca-c", "ca-d")},
		{ledgertest.Leaves("ca-a"), nil, append(gov("ca-b", "ca-d", "ca-e"), "ca-c/governance-2")},
	}
	for i, s := range steps {
		document := x.c.After(x.members(), s.edit)
		before := x.members().Number
		if code := x.setMembers(document, s.with, s.by...); code != reason.Accepted {
			t.Fatalf("step %d: %s", i, code)
		}
		if x.members().Number != before+1 || x.electors() != before || x.announced() != ledger.Sum(document) {
			t.Errorf("step %d: set %d announced, height %d is final by set %d", i, x.members().Number, x.head.Channel().Height, x.electors())
		}
		x.reload()
		if x.members().Number != before+1 || x.electors() != before {
			t.Errorf("step %d, loaded: set %d, final by set %d", i, x.members().Number, x.electors())
		}
		x.publish(x.c.Device("ACME-"+string(rune('1'+i)), dns, 0))
		if x.electors() != before+1 || x.announced() != ledger.Sum(document) {
			t.Errorf("step %d, a height later: final by set %d", i, x.electors())
		}
	}
	// Who left, and the key that was given up, have no say.
	for _, key := range gov("ca-a", "ca-c") {
		if e := x.block(x.tx([][]byte{[]byte{0x82, 1, 0xa0}}, key)); len(e.Refused) != 1 || e.Refused[0].Why.Code != reason.NotAuthenticated {
			t.Errorf("%s still signs: %v", key, e.Refused)
		}
	}
	store := &ledgertest.MemStore{}
	again := state.Empty(store)
	for begin, i := 0, 0; i < len(x.all); i++ {
		if !ledger.IsEpoch(x.all[i]) {
			continue
		}
		var err error
		if again, err = state.Fold(again, x.all[begin:i+1]); err != nil {
			t.Fatal(err)
		}
		store.Put(again.Writes())
		again.Detach()
		begin = i + 1
	}
	if store.Sum() != x.store.Sum() {
		t.Error("whoever folds has other records")
	}
	if links := x.head.MemberLinks(2); len(links) != 4 {
		t.Errorf("%d links from set 2 on", len(links))
	}
}

// TestMemberSetRefused: what only the state can tell. What the documents tell is ledger's.
func TestMemberSetRefused(t *testing.T) {
	x := governed(t)
	all := gov("ca-a", "ca-b", "ca-c", "ca-d")
	edit := func(f func(m *ledger.MemberSet)) []byte { return x.c.After(x.members(), f) }
	with := func(purpose uint64, key string) func(*ledger.MemberSet) {
		return func(m *ledger.MemberSet) {
			x.c.Joins("ca-e")(m)
			m.ByName("ca-e").Keys[purpose] = x.c.SPKI(key)
		}
	}
	x.publish(x.c.Device("ACME-1", dns, 0))
	for _, r := range []struct {
		what     string
		document []byte
		with     []string
		by       []string
		want     reason.Code
	}{
		{"not registered", edit(func(m *ledger.MemberSet) {
			x.c.Joins("ca-e")(m)
			m.ByName("ca-e").Org[0] ^= 1
		}), gov("ca-e"), nil, reason.MemberUnregistered},
		{"an organisation that is no member", edit(x.c.Joins("acme-cells")), gov("acme-cells"), nil, reason.MemberUnregistered},
		{"a line key", edit(with(ledger.KeyResponder, "acme-cells/line")), gov("ca-e"), nil, reason.MemberKeyReused},
		{"a device's key", edit(with(ledger.KeyTLS, "device/ACME-1")), gov("ca-e"), nil, reason.MemberKeyReused},
		{"the number after next", edit(func(m *ledger.MemberSet) { x.c.Joins("ca-e")(m); m.Number++ }), gov("ca-e"), nil, reason.MemberSetNotNext},
		{"not two thirds", edit(func(m *ledger.MemberSet) { m.Quorum = 2 }), nil, nil, reason.MemberSetQuorum},
		{"who joins has not signed", edit(x.c.Joins("ca-e")), nil, nil, reason.MemberConsent},
		{"too few votes", edit(x.c.Joins("ca-e")), gov("ca-e"), all[:2], reason.NotApplied},
		{"a quorum of the old set, with who leaves, and none of the new", edit(ledgertest.Leaves("ca-d")), nil, gov("ca-a", "ca-b", "ca-d"), reason.NotApplied},
	} {
		if code := x.setMembers(r.document, r.with, r.by...); code != r.want {
			t.Errorf("%s: %s, want %s", r.what, code, r.want)
		}
	}
	if x.members().Number != 1 {
		t.Error("the set changed")
	}
}

// TestMemberSetVotes: a vote for a member set signs it, and no other vote signs anything. A vote that is taken back takes its signature along.
func TestMemberSetVotes(t *testing.T) {
	x := governed(t)
	document := x.c.After(x.members(), x.c.Joins("ca-e"))
	body := x.c.ProposeMembers(document, x.c.SignSet(document, "ca-e/governance"), x.now, 1)
	p := x.one(body, "ca-a/governance").Leaf
	other := x.c.After(x.members(), x.c.Joins("ca-f"))
	vote := func(choice ledger.Choice, signed []ledger.MemberSignature, by ...string) reason.Code {
		return x.one(ledger.EncodeBody(ledger.OpVote, ledger.Vote{Proposal: p, Choice: choice, Digest: ledger.Sum(body), Signatures: signed}), by...).Code
	}
	for what, code := range map[string]reason.Code{
		"no signature":        vote(ledger.Approve, nil, "ca-a/governance"),
		"another's":           vote(ledger.Approve, x.c.SignSet(document, "ca-b/governance"), "ca-a/governance"),
		"on another document": vote(ledger.Approve, x.c.SignSet(other, "ca-a/governance"), "ca-a/governance"),
		"one of two":          vote(ledger.Approve, x.c.SignSet(document, "ca-a/governance"), "ca-a/governance", "ca-b/governance"),
		"a rejection's":       vote(ledger.Reject, x.c.SignSet(document, "ca-a/governance"), "ca-a/governance"),
		"by who is no member": vote(ledger.Approve, x.c.SignSet(document, "ca-a/governance", "ca-e/governance"), "ca-a/governance"),
	} {
		if code != reason.MemberSetSignatures {
			t.Errorf("%s: %s", what, code)
		}
	}
	for i, v := range []struct {
		choice ledger.Choice
		by     string
	}{{ledger.Approve, "ca-a"}, {ledger.Approve, "ca-b"}, {ledger.Reject, "ca-a"}, {ledger.Approve, "ca-d"}} {
		var signed []ledger.MemberSignature
		if v.choice == ledger.Approve {
			signed = x.c.SignSet(document, v.by+"/governance")
		}
		if code := vote(v.choice, signed, v.by+"/governance"); code != reason.Accepted {
			t.Fatalf("vote %d: %s", i, code)
		}
	}
	if x.members().Number != 1 {
		t.Fatal("decided with two approvals of four")
	}
	if code := vote(ledger.Approve, x.c.SignSet(document, "ca-c/governance"), "ca-c/governance"); code != reason.Accepted || x.members().Number != 2 {
		t.Fatalf("%s, set %d", code, x.members().Number)
	}
	if l := x.head.MemberLinks(2); len(l) != 1 || len(l[0].Signatures) != 4 {
		t.Errorf("%d signatures: b, c, d and who joins", len(l[0].Signatures))
	}
}
