package state

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/quorate-pki/quorate/ca/profile"
	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
)

// A change of the member set. It is decided in some block and in force from the next height on: that block is judged, and made final, by the
// set before, and its epoch announces the new one.

// memberSetFits says why a member set cannot follow the one in force, however many sign it. The error is the store's.
func (s *State) memberSetFits(c *ledger.MemberSetChange) (*ledger.MemberSet, *reason.Error, error) {
	r := s.registry
	if r.next != nil {
		return nil, reason.New(reason.MemberSetNotNext, "set %d comes into force with this block", r.next.Number), nil
	}
	next, no := ledger.ParseMemberSetStrict(c.Document)
	if no != nil {
		return nil, no, nil
	}
	now := r.newestSet()
	if no := now.Step(ledger.Sum(now.Document), next, r.past); no != nil {
		return nil, no, nil
	}
	signed, no := now.Signers(next, ledger.MemberSetLink{Document: c.Document, Signatures: c.Signatures}, profile.VerifySPKI)
	if no == nil {
		no = now.Consented(next, signed)
	}
	if no != nil {
		return nil, no, nil
	}
	for i := range next.Members {
		if no := r.registered(&next.Members[i]); no != nil {
			return nil, no, nil
		}
		if no, err := s.newMemberKeys(&next.Members[i], now.ByNumber(next.Members[i].Number)); no != nil || err != nil {
			return nil, no, err
		}
	}
	return next, nil, nil
}

// registered demands that a member is an organisation of its name that may be one.
func (r *registry) registered(m *ledger.Member) *reason.Error {
	if o := r.orgs[m.Org]; o == nil || o.Roles&ledger.RoleMember == 0 || o.Name != m.Name {
		return reason.New(reason.MemberUnregistered, "%q", m.Name)
	}
	return nil
}

// newMemberKeys demands that the keys a member did not have before parse, and that nobody has them: one key, one purpose.
func (s *State) newMemberKeys(m, old *ledger.Member) (*reason.Error, error) {
	for p := ledger.KeyLog; p <= ledger.KeyGovernance; p++ {
		if old != nil && bytes.Equal(old.Keys[p], m.Keys[p]) {
			continue
		}
		key, err := profile.ParseSPKI(m.Keys[p])
		if err != nil {
			return reason.New(reason.BadMemberSet, "key %d of %q: %v", p, m.Name, err), nil
		}
		if s.registry.keys[key.ID()] != nil {
			return reason.New(reason.MemberKeyReused, "key %d of %q is registered", p, m.Name), nil
		}
		k, err := s.KeyRecord(key.ID())
		if err != nil {
			return nil, err
		}
		if k != nil {
			return reason.New(reason.MemberKeyReused, "key %d of %q is that of a published certificate", p, m.Name), nil
		}
	}
	return nil, nil
}

// changeMembers puts a member set in force from the next height on, if it is signed as it must be: by its own signatures and those of votes.
// Of a proposal that is only tried, nobody has voted yet. The error is the store's.
func (e *enactment) changeMembers(c *ledger.MemberSetChange) (*reason.Error, error) {
	next, no, err := e.st.memberSetFits(c)
	if no != nil || err != nil {
		return no, err
	}
	rec := ledger.MemberSetRecord{Document: c.Document, Signatures: ledger.JoinSignatures(c.Signatures, e.rec.Signatures), Leaf: e.by.decision, From: e.head.Height + 1}
	if e.rec.State != 0 {
		if no := e.st.registry.newestSet().SignedNext(next, rec.Link(), profile.VerifySPKI); no != nil {
			return no, nil
		}
	}
	e.st.registry.next, err = newMemberSet(rec)
	return nil, err
}

// changeIn is the change of the member set that a proposal has; nil when it has none. There is one at most: a second does not follow.
func changeIn(p *ledger.Propose) *ledger.MemberSetChange {
	for _, raw := range p.Bodies {
		if _, args, err := ledger.ParseBody(raw); err == nil {
			if c, ok := args.(*ledger.MemberSetChange); ok {
				return c
			}
		}
	}
	return nil
}

// effectOf says what a change does to trust: who leaves takes some away, new keys of the same member give nobody any.
func effectOf(c *ledger.MemberSetChange, m *ledger.MemberSet) effect {
	next, err := ledger.ParseMemberSet(c.Document)
	if err != nil {
		return widens // it is refused
	}
	for _, x := range next.Members {
		if m.ByNumber(x.Number) == nil {
			return widens
		}
	}
	if len(next.Members) < len(m.Members) {
		return narrows
	}
	return neutral
}

// signedVote checks what a vote says of the member set in its proposal: who approves signs it, and nobody else signs anything.
func signedVote(p *ledger.ProposalRecord, v *ledger.Vote, signers []ledger.Hash, m *ledger.MemberSet) *reason.Error {
	c := changeIn(&p.Propose)
	if c == nil || v.Choice != ledger.Approve {
		if len(v.Signatures) > 0 {
			return reason.New(reason.MemberSetSignatures, "nothing is to be signed")
		}
		return nil
	}
	if len(v.Signatures) != len(signers) {
		return reason.New(reason.MemberSetSignatures, "%d signatures of %d voters", len(v.Signatures), len(signers))
	}
	link := ledger.MemberSetLink{Document: c.Document, Signatures: v.Signatures}
	signed, no := m.Signers(m, link, profile.VerifySPKI) // of members in force
	for _, id := range signers {
		if no == nil && !signed[id] {
			no = reason.New(reason.MemberSetSignatures, "key %x signed the vote and not the member set", id[:8])
		}
	}
	return no
}

// signVotes replaces what members have signed of the member set in a proposal by what they sign now.
func signVotes(rec *ledger.ProposalRecord, v *ledger.Vote, by []uint64, m *ledger.MemberSet) {
	kept := slices.DeleteFunc(slices.Clone(rec.Signatures), func(s ledger.MemberSignature) bool {
		return slices.ContainsFunc(by, func(n uint64) bool { return ledger.Sum(m.ByNumber(n).Keys[ledger.KeyGovernance]) == s.Key })
	})
	if rec.Signatures = ledger.JoinSignatures(kept, v.Signatures); len(rec.Signatures) == 0 {
		rec.Signatures = nil
	}
}

// signedEnough reports whether a proposal's member set, if it has one, has the signatures of a quorum of both sets: the votes of a quorum in
// force may lack some, when one of them leaves.
func signedEnough(rec *ledger.ProposalRecord, m *ledger.MemberSet) bool {
	c := changeIn(&rec.Propose)
	if c == nil {
		return true
	}
	next, err := ledger.ParseMemberSet(c.Document)
	return err == nil && m.SignedNext(next, ledger.MemberSetLink{Document: c.Document, Signatures: ledger.JoinSignatures(c.Signatures, rec.Signatures)}, nil) == nil
}

// announced is the document that is in force after the block at hand.
func (s *State) announced() []byte {
	if n := s.registry.next; n != nil {
		return n.Document
	}
	return s.channel.MemberSet
}

// beginMembers ends a block that changed the members.
func (f *folder) beginMembers() {
	next := f.st.registry.next
	if next == nil {
		return
	}
	r := f.st.registry.clone()
	f.st.registry = r
	if len(r.sets) == 1 {
		f.st.put(ledger.RecordMemberSet, Uint64Key(r.sets[0].Number), r.sets[0].MemberSetRecord)
	}
	f.st.put(ledger.RecordMemberSet, Uint64Key(next.Number), next.MemberSetRecord)
	f.addGovernance(next)
	r.next = nil
	r.enrol(next)
	f.st.channel.MemberSet = next.Document
}

// addGovernance registers the governance keys that are new with a set. Those of members that left stay registered, so that nobody takes them
// for another purpose, and are good for nothing.
func (f *folder) addGovernance(m *memberSet) {
	for _, x := range m.Members {
		if spki := x.Keys[ledger.KeyGovernance]; f.st.registry.keys[ledger.Sum(spki)] == nil {
			f.addKey(&ledger.RegisteredKey{Role: ledger.KeyRoleGovernance, Owner: x.Org, SPKI: spki, Member: x.Number, Leaf: m.Leaf})
		}
	}
}

// loadMemberSets reads the sets that were in force; before the first change there is the channel's alone.
func (s *State) loadMemberSets(store Loader) error {
	records := []ledger.MemberSetRecord{}
	err := load(store, ledger.RecordMemberSet, 8, func(_ []byte, v *ledger.MemberSetRecord) { records = append(records, *v) })
	if err != nil {
		return err
	}
	if len(records) == 0 {
		records = append(records, ledger.MemberSetRecord{Document: s.channel.MemberSet, Signatures: []ledger.MemberSignature{}, Leaf: 1})
	}
	for _, r := range records {
		m, err := newMemberSet(r)
		if err != nil {
			return err
		}
		s.registry.enrol(m)
	}
	if last := s.registry.newestSet(); !bytes.Equal(last.Document, s.channel.MemberSet) {
		return fmt.Errorf("the newest record is of set %d, which is not the channel's", last.Number)
	}
	return nil
}
