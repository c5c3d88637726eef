package state

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
)

// live are the leaves of the proposals that may still take effect, in order.
func (r *registry) live() []uint64 {
	if len(r.proposals) == 0 {
		return nil // as nearly always, and every block asks
	}
	return slices.Sorted(maps.Keys(r.proposals))
}

// voters are the members in force whose governance keys signed, by number and in order; false when somebody else signed, too.
func (s *State) voters(signers []ledger.Hash) ([]uint64, *ledger.MemberSet, bool) {
	m, err := s.Members()
	if err != nil {
		return nil, nil, false
	}
	var out []uint64
	for _, id := range signers {
		i := slices.IndexFunc(m.Members, func(x ledger.Member) bool { return ledger.Sum(x.Keys[ledger.KeyGovernance]) == id })
		if i < 0 {
			return nil, nil, false
		}
		out = append(out, m.Members[i].Number)
	}
	slices.Sort(out)
	return out, m, len(out) > 0
}

// propose judges a proposal. Its operations must be possible now, as they must be when they take effect.
func (j *judge) propose(tx *ledger.Parsed, p *ledger.Propose, at uint64, e *ledger.Effects) (*outcome, error) {
	s := j.fold.st
	by, m, ok := s.voters(tx.Tx.Signers)
	if !ok || len(by) != 1 {
		return refuse(reason.New(reason.NotAMember, "")), nil
	}
	if p.Expires <= j.header.Time || p.Expires > j.header.Time+ledger.MaxProposalAhead {
		return refuse(reason.New(reason.ProposalTooFar, "")), nil
	}
	own := 0
	for _, other := range s.registry.proposals {
		if other.Member == by[0] {
			own++
		}
	}
	if own >= ledger.MaxOwnProposals || len(s.registry.proposals) >= ledger.MaxLiveProposals {
		return refuse(reason.New(reason.TooManyProposals, "")), nil
	}
	need, no := s.registry.ballotOf(p, m)
	switch {
	case no != nil:
		return refuse(no), nil
	case need.narrows && p.Hold > 0:
		return refuse(reason.New(reason.HoldNotAllowed, "")), nil
	case need.widens && p.Hold < s.channel.Hold:
		return refuse(reason.New(reason.HoldTooShort, "%d ms", s.channel.Hold)), nil
	}
	attempt := j.fold.fork(len(p.Bodies)) // and forgotten
	no, err := attempt.enact(&ledger.ProposalRecord{Propose: *p, Member: by[0]}, grant{leaf: at, decision: at})
	if no == nil && err == nil {
		no, err = compile(p, j.facts)
	}
	if no != nil {
		return refuse(no), err
	}
	e.Members = by
	return nil, err
}

// vote judges a vote.
func (j *judge) vote(tx *ledger.Parsed, v *ledger.Vote, at uint64, e *ledger.Effects) (*outcome, error) {
	s := j.fold.st
	by, m, ok := s.voters(tx.Tx.Signers)
	if !ok {
		return refuse(reason.New(reason.NotAMember, "")), nil
	}
	p, no, err := s.openProposal(v.Proposal)
	if no != nil || err != nil {
		return no, err
	}
	if p.Digest != v.Digest {
		return refuse(reason.New(reason.ProposalDiffers, "")), nil
	}
	if no := signedVote(p, v, tx.Tx.Signers, m); no != nil {
		return refuse(no), nil
	}
	if !slices.ContainsFunc(by, func(n uint64) bool { return choiceOf(p, n) != v.Choice }) {
		return refuse(reason.New(reason.VoteUnchanged, "")), nil
	}
	counted := s.registry.count(p, v, by, m, s.channel.Hold, at)
	e.Members, e.Decision = by, counted.decision
	return nil, nil
}

// choiceOf is a member's last vote; Abstain when it has none.
func choiceOf(p *ledger.ProposalRecord, member uint64) ledger.Choice {
	for _, v := range p.Votes {
		if v.Member == member {
			return v.Choice
		}
	}
	return ledger.Abstain
}

// openProposal finds a proposal that can be voted on, or why there is none.
func (s *State) openProposal(leaf uint64) (*ledger.ProposalRecord, *outcome, error) {
	if p := s.registry.proposals[leaf]; p != nil && p.State == ledger.ProposalOpen {
		return p, nil, nil
	}
	var p ledger.ProposalRecord
	ok, err := s.get(ledger.RecordProposal, Uint64Key(leaf), &p)
	switch {
	case err != nil:
		return nil, nil, err
	case !ok:
		return nil, refuse(reason.New(reason.UnknownProposal, "")), nil
	case p.State == ledger.ProposalExpired:
		return nil, refuse(reason.New(reason.ProposalExpired, "")), nil
	}
	return nil, refuse(reason.New(reason.ProposalDecided, "%s", p.State)), nil
}

// withdraw judges the withdrawal of a proposal, which may be open or wait for its time.
func (j *judge) withdraw(tx *ledger.Parsed, w *ledger.Withdraw, e *ledger.Effects) (*outcome, error) {
	s := j.fold.st
	by, _, ok := s.voters(tx.Tx.Signers)
	if !ok {
		return refuse(reason.New(reason.NotAMember, "")), nil
	}
	p := s.registry.proposals[w.Proposal]
	if p == nil {
		_, no, err := s.openProposal(w.Proposal)
		return no, err
	}
	if len(by) != 1 || by[0] != p.Member {
		return refuse(reason.New(reason.NotTheProposer, "")), nil
	}
	e.Members = by
	return nil, nil
}

// registerLine judges a line key that an organisation's admins register: within what the organisation has, so no vote is needed.
func (j *judge) registerLine(tx *ledger.Parsed, l *ledger.LineKey, e *ledger.Effects) (*outcome, error) {
	s := j.fold.st
	if !s.enoughAdmins(l.Owner, tx.Tx.Signers) {
		return refuse(reason.New(reason.NotAuthorised, "")), nil
	}
	if no := (registrar{s.registry, s.channel.Rules}).lineKey(l); no != nil {
		return refuse(no), nil
	}
	if no, err := s.unpublished(l.SPKI); err != nil {
		return nil, err
	} else if no != nil {
		return refuse(no), nil
	}
	owner := l.Owner
	e.Owner, e.Authority = &owner, ledger.ByOwner
	return nil, nil
}

// governed folds proposals, votes and withdrawals.
func (f *folder) governed(l *ledger.OpLeaf, args any, at uint64) error {
	by, m, ok := f.st.voters(f.tx.Tx.Signers)
	if !ok || !slices.Equal(by, l.Effects.Members) {
		return fmt.Errorf("%w: signed by others than the members it names", ErrBadLeaves)
	}
	f.own()
	switch a := args.(type) {
	case *ledger.Propose:
		need, no := f.st.registry.ballotOf(a, m)
		if no != nil {
			return fmt.Errorf("%w: %w", ErrBadLeaves, no)
		}
		f.keep(at, &ledger.ProposalRecord{Propose: *a, Member: by[0], Digest: ledger.Sum(l.Body), Proposed: l.Effects.Time,
			State: ledger.ProposalOpen, Votes: []ledger.MemberVote{}, Needed: need.threshold})
		return nil
	case *ledger.Withdraw:
		p := f.st.registry.proposals[a.Proposal]
		if p == nil {
			return fmt.Errorf("%w: a withdrawal of no live proposal", ErrBadLeaves)
		}
		rec := *p
		rec.State, rec.Decided, rec.Leaf = ledger.ProposalWithdrawn, l.Effects.Time, at
		f.keep(a.Proposal, &rec)
		return nil
	case *ledger.Vote:
		p := f.st.registry.proposals[a.Proposal]
		if p == nil || p.State != ledger.ProposalOpen || p.Digest != a.Digest {
			return fmt.Errorf("%w: a vote on no open proposal", ErrBadLeaves)
		}
		c := f.st.registry.count(p, a, by, m, f.st.channel.Hold, at)
		if c.decision != l.Effects.Decision {
			return fmt.Errorf("%w: another decision than the votes'", ErrBadLeaves)
		}
		return f.voted(a.Proposal, c, at)
	}
	return fmt.Errorf("%w: no fold for %T", ErrBadLeaves, args)
}

// counted is a proposal after a vote.
type counted struct {
	rec      ledger.ProposalRecord
	decision ledger.Decision
	hasty    bool // it widens trust now, and waits for less than the rules in force demand
}

// count adds the vote of members to a proposal.
func (r *registry) count(p *ledger.ProposalRecord, v *ledger.Vote, by []uint64, m *ledger.MemberSet, hold ledger.Millis, at uint64) counted {
	rec := *p
	rec.Votes = slices.DeleteFunc(slices.Clone(rec.Votes), func(x ledger.MemberVote) bool { return slices.Contains(by, x.Member) })
	for _, n := range by {
		rec.Votes = append(rec.Votes, ledger.MemberVote{Member: n, Choice: v.Choice, Leaf: at})
	}
	slices.SortFunc(rec.Votes, func(a, b ledger.MemberVote) int { return cmp.Compare(a.Member, b.Member) })
	signVotes(&rec, v, by, m)
	need, no := r.ballotOf(&rec.Propose, m)
	if no != nil { // it was one that can be voted on when it was made
		return counted{rec: rec}
	}
	rec.Needed = need.threshold
	var approved, rejected uint64
	for _, x := range m.Members { // of those in force: who left does not decide
		switch choiceOf(&rec, x.Number) {
		case ledger.Approve:
			approved++
		case ledger.Reject:
			rejected++
		}
	}
	switch {
	case approved >= need.threshold && signedEnough(&rec, m):
		return counted{rec, ledger.Approved, need.widens && rec.Hold < hold}
	case uint64(len(m.Members))-rejected < need.threshold:
		return counted{rec: rec, decision: ledger.Rejected}
	}
	return counted{rec: rec}
}

// voted writes a proposal after a vote, and has it take effect when that was decided and nothing holds it.
func (f *folder) voted(leaf uint64, c counted, at uint64) error {
	rec := c.rec
	if c.decision != 0 {
		rec.Decided, rec.Leaf = f.head.Time, at
	}
	switch {
	case c.decision == 0:
	case c.decision == ledger.Rejected:
		rec.State = ledger.ProposalRejected
	case c.hasty: // when it was made it did not widen, or the rules asked for less
		rec.State, rec.Height, rec.Code = ledger.ProposalFailed, f.head.Height, reason.HoldTooShort
	case rec.Hold > 0:
		rec.State = ledger.ProposalWaiting
	default:
		return f.takeEffect(leaf, rec)
	}
	f.keep(leaf, &rec)
	return nil
}

// keep writes a proposal; the caller has made the registry this layer's own.
func (f *folder) keep(leaf uint64, rec *ledger.ProposalRecord) {
	delete(f.st.registry.proposals, leaf)
	if rec.State.Live() {
		f.st.registry.proposals[leaf] = rec
	}
	f.st.put(ledger.RecordProposal, Uint64Key(leaf), rec)
}
