package ledgertest

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/quorate-pki/quorate/ledger"
)

// FoundGoverned founds a consortium under the newest rules, in which spare organisations may become members: those that follow the
// members in the alphabet, ca-e of four.
func FoundGoverned(seed uint64, members, spare int) *Consortium {
	c := Unfounded(seed)
	f, gov := c.Founding(members, Quotas{Day: 1_000_000, Total: 100_000_000})
	f.Rules = ledger.NewestRules
	for i := range spare {
		name := "ca-" + string(rune('a'+members+i))
		f.Organisations = append(f.Organisations, ledger.Organisation{Name: name, LegalName: name, Roles: ledger.RoleMember, AdminM: 1,
			AdminKeys: [][]byte{c.SPKI(name + "/admin-1")}, Profiles: []uint64{}})
	}
	if err := c.Use(f, gov); err != nil {
		panic(err)
	}
	return c
}

// keyNames are the names of a member's keys, by purpose.
var keyNames = map[uint64]string{ledger.KeyLog: "log", ledger.KeyCosigning: "cosigning", ledger.KeyBlock: "block", ledger.KeyTLS: "tls",
	ledger.KeyResponder: "responder", ledger.KeyGovernance: "governance"}

// Member is a row for a registered organisation, with keys of a generation: those of the first are "ca-e/log" and so on, those of the
// second "ca-e/log-2".
func (c *Consortium) Member(number uint64, name string, generation int) ledger.Member {
	m := ledger.Member{Number: number, Name: name, Org: c.orgs[name], Keys: map[uint64][]byte{}}
	for p := range keyNames {
		m.Keys[p] = c.SPKI(KeyName(name, p, generation))
	}
	return m
}

// KeyName is the name of a member's key.
func KeyName(member string, purpose uint64, generation int) string {
	name := member + "/" + keyNames[purpose]
	if generation > 1 {
		name = fmt.Sprintf("%s-%d", name, generation)
	}
	return name
}

// After is the document that follows a set, as edited. The quorum is the least there can be, unless it is edited.
func (c *Consortium) After(m *ledger.MemberSet, edit func(next *ledger.MemberSet)) []byte {
	next := m.Follower()
	next.Quorum = 0
	edit(next)
	if next.Quorum == 0 {
		next.Quorum = uint64(2*len(next.Members)/3 + 1)
	}
	return ledger.Encode(next)
}

// Joins adds a member with the next number.
func (c *Consortium) Joins(name string) func(*ledger.MemberSet) {
	return func(m *ledger.MemberSet) {
		number := uint64(0)
		for _, x := range m.Members {
			number = max(number, x.Number)
		}
		m.Members = append(m.Members, c.Member(number+1, name, 1))
	}
}

// Leaves takes a member out.
func Leaves(name string) func(*ledger.MemberSet) {
	return func(m *ledger.MemberSet) {
		m.Members = slices.DeleteFunc(m.Members, func(x ledger.Member) bool { return x.Name == name })
	}
}

// Rotates gives a member keys of a generation for some purposes.
func (c *Consortium) Rotates(name string, generation int, purposes ...uint64) func(*ledger.MemberSet) {
	return func(m *ledger.MemberSet) {
		for _, p := range purposes {
			m.ByName(name).Keys[p] = c.SPKI(KeyName(name, p, generation))
		}
	}
}

// SignSet signs a document by named governance keys.
func (c *Consortium) SignSet(document []byte, keys ...string) []ledger.MemberSignature {
	var out []ledger.MemberSignature
	for _, k := range keys {
		s, err := ledger.SignMemberSet(document, c.Signer(k))
		if err != nil {
			panic(err)
		}
		out = append(out, s)
	}
	return ledger.JoinSignatures(out)
}

// SignedByAll is a link that all members of a document sign, and all of the one before.
func (c *Consortium) SignedByAll(before *ledger.MemberSet, document []byte) ledger.MemberSetLink {
	m, err := ledger.ParseMemberSet(document)
	if err != nil {
		panic(err)
	}
	keys := map[string]bool{}
	for _, set := range []*ledger.MemberSet{before, m} {
		for _, x := range set.Members {
			keys[c.governanceOf(x)] = true
		}
	}
	return ledger.MemberSetLink{Document: document, Signatures: c.SignSet(document, slices.Sorted(maps.Keys(keys))...)}
}

// governanceOf is the name of a member's governance key.
func (c *Consortium) governanceOf(x ledger.Member) string {
	for g := 1; g < 10; g++ {
		if name := KeyName(x.Name, ledger.KeyGovernance, g); string(c.SPKI(name)) == string(x.Keys[ledger.KeyGovernance]) {
			return name
		}
	}
	panic("nobody has the governance key of " + x.Name)
}

// ChangeMembers are the transactions by which the members of a set put a document in force: a proposal, and the vote of all of them. They
// go into one block, first, on a log of so many leaves.
func (c *Consortium) ChangeMembers(before *ledger.MemberSet, document []byte, at time.Time, nonce, size uint64) [][]byte {
	propose, body := c.ProposeChange(before, document, at, nonce)
	return [][]byte{propose, c.VoteChange(before, document, at, nonce+1, size+1, body)}
}

// ProposeChange is the transaction that proposes a document, and the operation in it.
func (c *Consortium) ProposeChange(before *ledger.MemberSet, document []byte, at time.Time, nonce uint64) (tx, body []byte) {
	body = c.ProposeMembers(document, c.SignedByAll(before, document).Signatures, at, nonce)
	return c.Tx(at, TxOptions{Nonce: nonce}, [][]byte{body}, c.governanceOf(before.Members[0])), body
}

// VoteChange is the transaction by which all members approve the proposal of a leaf.
func (c *Consortium) VoteChange(before *ledger.MemberSet, document []byte, at time.Time, nonce, leaf uint64, body []byte) []byte {
	var voters []string
	for _, x := range before.Members {
		voters = append(voters, c.governanceOf(x))
	}
	vote := ledger.EncodeBody(ledger.OpVote, ledger.Vote{Proposal: leaf, Choice: ledger.Approve, Digest: ledger.Sum(body), Signatures: c.SignSet(document, voters...)})
	return c.Tx(at, TxOptions{Nonce: nonce}, [][]byte{vote}, voters...)
}

// ProposeMembers is the body of a proposal of a member set.
func (c *Consortium) ProposeMembers(document []byte, signatures []ledger.MemberSignature, at time.Time, nonce uint64) []byte {
	p := ledger.Propose{Title: "members", Expires: ledger.MillisOf(at.Add(time.Hour)),
		Bodies: [][]byte{ledger.EncodeBody(ledger.OpMemberSet, ledger.MemberSetChange{Document: document, Signatures: signatures})}}
	binary.BigEndian.PutUint64(p.Nonce[:], nonce)
	return ledger.EncodeBody(ledger.OpPropose, p)
}
