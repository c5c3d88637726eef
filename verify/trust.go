package verify

import (
	"time"

	"github.com/quorate-pki/quorate/ca/profile"
	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/tlog"
)

// Trust is a policy file, or the newest of the member sets that were proved to follow the one it is of. Once a newer set is known, the older
// are not trusted any more, by their own word or anybody's: their members may have left, and their keys may have been given up for a
// reason. A receipt that an older set signed is renewed by asking any node for it. A Trust is never changed; safe for concurrent use.
type Trust struct {
	file   *tlog.Policy
	newest *tlog.Policy
	before *tlog.Policy      // of the set before the newest; nil when no links were followed
	set    *ledger.MemberSet // of newest; nil when no links were followed
}

var _ tlog.NoteVerifier = (*Trust)(nil)

// NewTrust begins with a policy file. It refuses one past its expiry: keys that were given up since may be in anybody's hands, so
// nothing that only this file vouches for can be believed, the way to a newer member set included.
func NewTrust(p *tlog.Policy, now time.Time) (*Trust, error) {
	if err := p.Check(); err != nil {
		return nil, err
	}
	if p.ExpiredAt(now.Unix()) {
		return nil, reason.New(reason.PolicyExpired, "on %s", time.Unix(p.Expires, 0).UTC().Format(time.RFC3339))
	}
	return &Trust{file: p, newest: p}, nil
}

// Follow returns a Trust in the newest member set that links lead to from the file's. Links are oldest first, and begin with that one's
// document or before it.
func (t *Trust) Follow(links []ledger.MemberSetLink) (*Trust, error) {
	base := t.file
	if base.Set == nil {
		return nil, reason.New(reason.PolicyUnnamed, "")
	}
	sets, no := ledger.Walk(base.Set.Hash, links, profile.VerifySPKI)
	if no != nil {
		return nil, no
	}
	log, ok := sets[0].LogOf(base.Origin)
	if !ok || sets[0].Number != base.Set.Number || !base.Same(sets[0].Policy(log)) {
		return nil, reason.New(reason.BadPolicy, "its keys are not those of the member set it names")
	}
	last := sets[len(sets)-1]
	out := &Trust{file: base, newest: last.PolicyUntil(log, base.Expires), set: last}
	if len(sets) > 1 {
		out.before = sets[len(sets)-2].Policy(log)
	}
	return out, out.newest.Check()
}

// Policy is the newest policy. Its expiry is the file's.
func (t *Trust) Policy() *tlog.Policy { return t.newest }

// Members is the newest member set; nil when no links were followed.
func (t *Trust) Members() *ledger.MemberSet { return t.set }

// Verify implements tlog.NoteVerifier.
func (t *Trust) Verify(note []byte) (*tlog.Verified, error) { return t.newest.Verify(note) }

// VerifyHandover verifies a checkpoint that the newest set has not cosigned yet, by the set before it: the height at which the members changed is
// final by that one, and is the newest checkpoint until a quorum of the new members has cosigned it too. It is for who asks nodes about now, and
// knows that the newest set is the newest.
func (t *Trust) VerifyHandover(note []byte) (*tlog.Verified, error) {
	v, err := t.Verify(note)
	if err != nil && t.before != nil {
		if w, no := t.before.Verify(note); no == nil {
			return w, nil
		}
	}
	return v, err
}

// Carried is t, or what a receipt leads to by the member sets that it brings: for a status that comes with it.
func (t *Trust) Carried(receipt []byte) *Trust {
	proof, err := tlog.ParseProof(receipt)
	if err != nil {
		return t
	}
	extra, err := ledger.ParseReceiptExtra(proof.Extra)
	if err != nil {
		return t
	}
	if next, err := carried(t, extra); err == nil && next != nil {
		return next.(*Trust)
	}
	return t
}

// carried is p and what a receipt itself brings of the way from p's member set to the one that signed it; nil when it brings nothing.
func carried(p tlog.NoteVerifier, extra *ledger.ReceiptExtra) (tlog.NoteVerifier, error) {
	t, ok := p.(*Trust)
	if !ok || len(extra.MemberSets) == 0 {
		return nil, nil
	}
	links, err := extra.Links()
	if err != nil {
		return nil, reason.New(reason.BadExtra, "%v", err)
	}
	next, err := t.Follow(links)
	if err != nil || next.set.Number <= t.newest.Set.Number {
		return nil, err // nothing newer
	}
	return next, nil
}
