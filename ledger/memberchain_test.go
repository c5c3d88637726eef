package ledger_test

import (
	"slices"
	"testing"

	"github.com/quorate-pki/quorate/ca/profile"
	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/ledgertest"
)

// chain grows a chain of documents.
type chain struct {
	c     *ledgertest.Consortium
	sets  []*ledger.MemberSet
	links []ledger.MemberSetLink
}

func newChain(members int) *chain {
	c := ledgertest.FoundGoverned(9, members, 4)
	return &chain{c: c, sets: []*ledger.MemberSet{c.Set}, links: []ledger.MemberSetLink{{Document: ledger.Encode(c.Set), Signatures: []ledger.MemberSignature{}}}}
}

func (c *chain) last() *ledger.MemberSet { return c.sets[len(c.sets)-1] }

// add appends a document that everybody signs.
func (c *chain) add(t *testing.T, edit func(*ledger.MemberSet)) {
	t.Helper()
	document := c.c.After(c.last(), edit)
	m, err := ledger.ParseMemberSet(document)
	if err != nil {
		t.Fatal(err)
	}
	c.links = append(c.links, c.c.SignedByAll(c.last(), document))
	c.sets = append(c.sets, m)
}

func both(edits ...func(*ledger.MemberSet)) func(*ledger.MemberSet) {
	return func(m *ledger.MemberSet) {
		for _, e := range edits {
			e(m)
		}
	}
}

// TestWalk: from any document that is known, every later one is reached, whatever was before.
func TestWalk(t *testing.T) {
	c := newChain(4)
	c.add(t, c.c.Joins("ca-e"))
	c.add(t, c.c.Rotates("ca-b", 2, ledger.KeyCosigning, ledger.KeyTLS))
	c.add(t, ledgertest.Leaves("ca-a"))
	c.add(t, both(ledgertest.Leaves("ca-c"), c.c.Joins("ca-f"))) // in its place
	c.add(t, c.c.Rotates("ca-d", 2, ledger.KeyGovernance))
	c.add(t, func(m *ledger.MemberSet) { m.Quorum = 4 })
	for i, l := range c.links {
		sets, no := ledger.Walk(ledger.Sum(l.Document), c.links, profile.VerifySPKI)
		if no != nil {
			t.Fatalf("from %d: %v", i+1, no)
		}
		if len(sets) != len(c.links)-i || sets[len(sets)-1].Number != uint64(len(c.links)) {
			t.Errorf("from %d: %d sets", i+1, len(sets))
		}
	}
	raw := (&ledger.MemberChain{Version: 1, Links: c.links}).Encode()
	if back, err := ledger.ParseMemberChain(raw); err != nil || len(back.Links) != len(c.links) {
		t.Error(err)
	}
}

// TestWalkRefuses: each way in which a document may not follow, with its reason. Everybody has signed them all.
func TestWalkRefuses(t *testing.T) {
	for what, x := range map[string]struct {
		edit func(c *ledgertest.Consortium) func(*ledger.MemberSet)
		want reason.Code
	}{
		"a number left out": {func(c *ledgertest.Consortium) func(*ledger.MemberSet) {
			return both(c.Joins("ca-e"), func(m *ledger.MemberSet) { m.Number++ })
		}, reason.MemberSetNotNext},
		"another hash": {func(c *ledgertest.Consortium) func(*ledger.MemberSet) {
			return both(c.Joins("ca-e"), func(m *ledger.MemberSet) { m.Previous[3] ^= 1 })
		}, reason.MemberSetNotNext},
		"another channel": {func(c *ledgertest.Consortium) func(*ledger.MemberSet) {
			return both(c.Joins("ca-e"), func(m *ledger.MemberSet) { m.Channel = "other" })
		}, reason.MemberSetNotNext},
		"two come": {func(c *ledgertest.Consortium) func(*ledger.MemberSet) { return both(c.Joins("ca-e"), c.Joins("ca-f")) }, reason.MemberSetStep},
		"two go": {func(c *ledgertest.Consortium) func(*ledger.MemberSet) {
			return both(ledgertest.Leaves("ca-a"), ledgertest.Leaves("ca-b"))
		}, reason.MemberSetStep},
		"two have new keys": {func(c *ledgertest.Consortium) func(*ledger.MemberSet) {
			return both(c.Rotates("ca-a", 2, ledger.KeyLog), c.Rotates("ca-b", 2, ledger.KeyLog))
		}, reason.MemberSetStep},
		"one comes and another has new keys": {func(c *ledgertest.Consortium) func(*ledger.MemberSet) {
			return both(c.Joins("ca-e"), c.Rotates("ca-b", 2, ledger.KeyLog))
		}, reason.MemberSetStep},
		"nothing changes": {func(*ledgertest.Consortium) func(*ledger.MemberSet) { return func(*ledger.MemberSet) {} }, reason.MemberSetStep},
		"two thirds": {func(c *ledgertest.Consortium) func(*ledger.MemberSet) {
			return both(ledgertest.Leaves("ca-d"), func(m *ledger.MemberSet) { m.Quorum = 2 })
		}, reason.MemberSetQuorum},
		"more than there are": {func(c *ledgertest.Consortium) func(*ledger.MemberSet) {
			return both(ledgertest.Leaves("ca-d"), func(m *ledger.MemberSet) { m.Quorum = 4 })
		}, reason.MemberSetQuorum},
		"a number again": {func(c *ledgertest.Consortium) func(*ledger.MemberSet) {
			return func(m *ledger.MemberSet) {
				m.Members = append([]ledger.Member{c.Member(1, "ca-e", 1)}, m.Members[1:]...)
			}
		}, reason.MemberReused},
		"a name again": {func(c *ledgertest.Consortium) func(*ledger.MemberSet) {
			return both(ledgertest.Leaves("ca-b"), func(m *ledger.MemberSet) { m.Members = append(m.Members, c.Member(5, "ca-b", 2)) })
		}, reason.MemberReused},
		"another's key": {func(c *ledgertest.Consortium) func(*ledger.MemberSet) {
			return both(ledgertest.Leaves("ca-b"), c.Joins("ca-e"), func(m *ledger.MemberSet) { m.ByName("ca-e").Keys[ledger.KeyLog] = c.SPKI("ca-b/log") })
		}, reason.MemberKeyReused},
	} {
		c := newChain(4)
		document := c.c.After(c.last(), x.edit(c.c))
		var signers []string
		for _, m := range []string{"ca-a", "ca-b", "ca-c", "ca-d", "ca-e", "ca-f"} {
			signers = append(signers, m+"/governance")
		}
		c.links = append(c.links, ledger.MemberSetLink{Document: document, Signatures: c.c.SignSet(document, signers...)})
		_, no := ledger.Walk(ledger.Sum(c.links[0].Document), c.links, profile.VerifySPKI)
		if no == nil || no.Code != x.want {
			t.Errorf("%s: %v, want %s", what, no, x.want)
		}
	}
}

// TestWalkNeverReuses: what a member gave up two documents ago is nobody's again.
func TestWalkNeverReuses(t *testing.T) {
	c := newChain(4)
	c.add(t, c.c.Joins("ca-e"))
	c.add(t, ledgertest.Leaves("ca-e"))
	c.add(t, func(m *ledger.MemberSet) { m.Members = append(m.Members, c.c.Member(6, "ca-f", 1)) })
	c.add(t, c.c.Rotates("ca-b", 2, ledger.KeyLog))
	for what, x := range map[string]struct {
		edit func(*ledger.MemberSet)
		want reason.Code
	}{
		"a number": {func(m *ledger.MemberSet) {
			m.Members = slices.Insert(m.Members, 4, c.c.Member(5, "ca-g", 1))
		}, reason.MemberReused},
		"a name": {func(m *ledger.MemberSet) { m.Members = append(m.Members, c.c.Member(7, "ca-e", 2)) }, reason.MemberReused},
		"a key": {func(m *ledger.MemberSet) {
			m.Members = append(m.Members, c.c.Member(7, "ca-g", 1))
			m.ByName("ca-g").Keys[ledger.KeyResponder] = c.c.SPKI("ca-e/responder")
		}, reason.MemberKeyReused},
		"its own key": {c.c.Rotates("ca-b", 1, ledger.KeyLog), reason.MemberKeyReused},
	} {
		document := c.c.After(c.last(), x.edit)
		_, no := ledger.Walk(ledger.Sum(c.links[0].Document), append(slices.Clone(c.links), c.c.SignedByAll(c.last(), document)), profile.VerifySPKI)
		if no == nil || no.Code != x.want {
			t.Errorf("%s: %v, want %s", what, no, x.want)
		}
	}
}

// TestWalkSignatures: a quorum of the old set and a quorum of the new one, and who joins.
func TestWalkSignatures(t *testing.T) {
	gov := func(names ...string) (out []string) {
		for _, n := range names {
			out = append(out, n+"/governance")
		}
		return out
	}
	for what, x := range map[string]struct {
		edit func(c *ledgertest.Consortium) func(*ledger.MemberSet)
		by   []string
		want reason.Code
	}{
		"a quorum of both": {func(c *ledgertest.Consortium) func(*ledger.MemberSet) { return c.Joins("ca-e") }, gov("ca-a", "ca-b", "ca-c", "ca-e"), 0},
		"not of the old": {func(c *ledgertest.Consortium) func(*ledger.MemberSet) {
			return both(c.Joins("ca-e"), ledgertest.Leaves("ca-d"))
		}, gov("ca-a", "ca-b", "ca-e"), reason.MemberSetSignatures},
		"not of the new": {func(c *ledgertest.Consortium) func(*ledger.MemberSet) { return ledgertest.Leaves("ca-d") }, gov("ca-a", "ca-b", "ca-d"), reason.MemberSetSignatures},
		"nor who joins":  {func(c *ledgertest.Consortium) func(*ledger.MemberSet) { return c.Joins("ca-e") }, gov("ca-a", "ca-b", "ca-c", "ca-d"), reason.MemberConsent},
		"nor whose keys are new": {func(c *ledgertest.Consortium) func(*ledger.MemberSet) {
			return c.Rotates("ca-d", 2, ledger.KeyCosigning)
		},
			gov("ca-a", "ca-b", "ca-c"), reason.MemberConsent},
		"by the key given up": {func(c *ledgertest.Consortium) func(*ledger.MemberSet) {
			return c.Rotates("ca-d", 2, ledger.KeyGovernance)
		},
			gov("ca-a", "ca-b", "ca-c", "ca-d"), reason.MemberConsent},
		"by the new key": {func(c *ledgertest.Consortium) func(*ledger.MemberSet) {
			return c.Rotates("ca-d", 2, ledger.KeyGovernance)
		},
			append(gov("ca-a", "ca-b", "ca-c"), "ca-d/governance-2"), 0},
		"by a stranger": {func(c *ledgertest.Consortium) func(*ledger.MemberSet) { return c.Joins("ca-e") }, gov("ca-a", "ca-b", "ca-c", "ca-e", "ca-f"), reason.MemberSetSignatures},
	} {
		c := newChain(4)
		document := c.c.After(c.last(), x.edit(c.c))
		link := ledger.MemberSetLink{Document: document, Signatures: c.c.SignSet(document, x.by...)}
		_, no := ledger.Walk(ledger.Sum(c.links[0].Document), append(c.links, link), profile.VerifySPKI)
		switch {
		case x.want == 0 && no != nil, x.want != 0 && (no == nil || no.Code != x.want):
			t.Errorf("%s: %v, want %s", what, no, x.want)
		case x.want != 0:
			continue
		}
		for i := range link.Signatures {
			spoilt := slices.Clone(link.Signatures)
			spoilt[i].Signature = append([]byte{}, spoilt[i].Signature...)
			spoilt[i].Signature[5] ^= 1
			twice := append(slices.Clone(link.Signatures), link.Signatures[i])
			for _, bad := range [][]ledger.MemberSignature{spoilt, twice} {
				_, no := ledger.Walk(ledger.Sum(c.links[0].Document), append(slices.Clone(c.links), ledger.MemberSetLink{Document: document, Signatures: bad}), profile.VerifySPKI)
				if no == nil || no.Code != reason.MemberSetSignatures {
					t.Errorf("%s, spoilt: %v", what, no)
				}
			}
		}
	}
}

// TestWalkAlone: one member orders by another engine than several.
func TestWalkAlone(t *testing.T) {
	one, two := newChain(1), newChain(2)
	for _, x := range []struct {
		c    *chain
		edit func(*ledger.MemberSet)
	}{{one, one.c.Joins("ca-b")}, {two, ledgertest.Leaves("ca-b")}} {
		document := x.c.c.After(x.c.last(), x.edit)
		_, no := ledger.Walk(ledger.Sum(x.c.links[0].Document), append(x.c.links, x.c.c.SignedByAll(x.c.last(), document)), profile.VerifySPKI)
		if no == nil || no.Code != reason.MemberSetAlone {
			t.Error(no)
		}
	}
	one.add(t, one.c.Rotates("ca-a", 2, ledger.KeyCosigning))
	if _, no := ledger.Walk(ledger.Sum(one.links[0].Document), one.links, profile.VerifySPKI); no != nil {
		t.Error(no)
	}
}
