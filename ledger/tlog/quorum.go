package tlog

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/quorate-pki/quorate/internal/reason"
)

// Verified is a checkpoint that a policy trusts.
type Verified struct {
	Checkpoint

	// Members are the witnesses, by their names in the policy, whose cosignatures are valid: a quorum at least, each
	// once. Times[i] is what Members[i] swore, in seconds since 1970, newest first.
	Members []string
	Times   []uint64

	// Time is the (f+1)-th latest of Times: at least one honest member swore that the tree was the latest at this
	// time or later.
	Time uint64
}

// Verify decides whether the policy trusts a signed checkpoint: a log key signed it, and at least a quorum of distinct
// members cosigned it. Unknown signers are ignored. A key of the policy signs once and validly, or the whole note is
// refused. It does not judge times: it has no clock.
//
// A refusal is a reason: of Check for the policy, BadCheckpoint, WrongOrigin, NoLogSignature, QuorumNotReached or
// DuplicateCosigner for the note.
func (p *Policy) Verify(note []byte) (*Verified, error) {
	if err := p.Check(); err != nil {
		return nil, err
	}
	c, sigs, err := ParseNote(note)
	if err != nil {
		return nil, err
	}
	if c.Origin != p.Origin {
		return nil, reason.New(reason.WrongOrigin, "checkpoint of %q, want %q", c.Origin, p.Origin)
	}
	if err := p.verifyLog(c, sigs); err != nil {
		return nil, err
	}
	votes, err := p.cosignatures(c, sigs)
	if err != nil {
		return nil, err
	}
	if len(votes) < p.Quorum {
		return nil, reason.New(reason.QuorumNotReached, "%d of %d members, want %d", len(votes), p.N(), p.Quorum)
	}
	v := &Verified{Checkpoint: c}
	for _, vote := range votes {
		v.Members = append(v.Members, vote.member)
		v.Times = append(v.Times, vote.time)
	}
	v.Time = v.Times[p.F()] // there are q of them at least, and q > f because 3q > 2n
	return v, nil
}

// NoteVerifier decides whether a signed checkpoint is trusted, as Policy.Verify does.
type NoteVerifier interface {
	Verify(note []byte) (*Verified, error)
}

// Remember returns a verifier that gives the same answers as v and checks the signatures of a note once for as long as the
// same bytes come again: for many proofs under one checkpoint. Not safe for concurrent use.
func Remember(v NoteVerifier) NoteVerifier { return &rememberer{policy: v} }

type rememberer struct {
	policy NoteVerifier
	note   []byte
	last   *Verified
}

// Verify implements NoteVerifier. A refusal is not remembered.
func (r *rememberer) Verify(note []byte) (*Verified, error) {
	if r.last != nil && bytes.Equal(note, r.note) {
		return r.last, nil
	}
	v, err := r.policy.Verify(note)
	if err != nil {
		return nil, err
	}
	r.note, r.last = bytes.Clone(note), v
	return v, nil
}

// verifyLog demands one valid signature of a log key at least, and none that is invalid or repeated.
func (p *Policy) verifyLog(c Checkpoint, sigs []Signature) error {
	signed := 0
	for _, l := range p.Logs {
		s, n := l.Key.find(sigs)
		switch {
		case n == 0:
			continue
		case n > 1:
			return reason.New(reason.BadCheckpoint, "%d signatures by the log key %08x", n, s.ID)
		case !VerifyLogSignature(c, l.Key, s):
			return reason.New(reason.BadCheckpoint, "the signature by the log key %08x is invalid", s.ID)
		}
		signed++
	}
	if signed == 0 {
		return reason.New(reason.NoLogSignature, "none of %d log keys", len(p.Logs))
	}
	return nil
}

// vote is one member's valid cosignature.
type vote struct {
	member string
	time   uint64 // seconds since 1970
}

// cosignatures returns the valid cosignatures, newest first, those of equal times in the policy's order.
func (p *Policy) cosignatures(c Checkpoint, sigs []Signature) ([]vote, error) {
	var votes []vote
	for _, w := range p.Witnesses {
		s, n := w.Key.find(sigs)
		if n == 0 {
			continue
		}
		if n > 1 {
			return nil, reason.New(reason.DuplicateCosigner, "%d cosignatures by %s", n, w.Name)
		}
		time, ok := VerifyCosignature(c, w.Key, s)
		if !ok {
			return nil, reason.New(reason.BadCheckpoint, "the cosignature by %s is invalid", w.Name)
		}
		votes = append(votes, vote{w.Name, time})
	}
	slices.SortStableFunc(votes, func(a, b vote) int { return cmp.Compare(b.time, a.time) })
	return votes, nil
}

// find is the first signature by this key and the number of all.
func (v VKey) find(sigs []Signature) (first Signature, n int) {
	id := v.ID()
	for _, s := range sigs {
		if s.ID != id || s.Name != v.Name {
			continue
		}
		if n == 0 {
			first = s
		}
		n++
	}
	return first, n
}
