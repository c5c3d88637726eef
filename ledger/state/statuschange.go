package state

import (
	"slices"

	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
)

// recent is how long after publishing a line key may suspend what it published.
const recent ledger.Millis = 7 * 24 * 60 * 60 * 1000

// statusChange judges a revocation, suspension or resumption.
func (j *judge) statusChange(tx *ledger.Parsed, c *ledger.StatusChange, e *ledger.Effects) (*outcome, error) {
	s := j.fold.st
	if !available(c.Scope, s.channel.Rules) {
		return refuse(reason.New(reason.ScopeUnavailable, "%d", c.Scope)), nil
	}
	if (c.Action == ledger.Suspend) != (c.Reason == ledger.CertificateHold) ||
		(c.Action == ledger.Resume) != (c.Reason == ledger.RemoveFromCRL) {
		return refuse(reason.New(reason.BadReason, "%d", c.Reason)), nil
	}
	k, err := s.KeyRecord(c.Target)
	if err != nil {
		return nil, err
	}
	if k == nil {
		return refuse(reason.New(reason.UnknownTarget, "")), nil
	}
	if c.Leaf != nil && !slices.ContainsFunc(k.Certificates, func(t ledger.CertificateInfo) bool { return t.Leaf == *c.Leaf }) {
		return refuse(reason.New(reason.TargetMismatch, "")), nil
	}
	if c.Scope == ledger.ScopeCustody && k.Use == nil {
		return refuse(reason.New(reason.NotClaimed, "")), nil
	}
	targets := targets(k, c)
	by, no := s.authorise(tx.Tx.Signers, k, c)
	if no != nil {
		return no, nil
	}
	if c.Previous != nil && !slices.ContainsFunc(targets, func(t target) bool { return t.Cause == *c.Previous }) {
		return refuse(reason.New(reason.StateChanged, "")), nil
	}
	if by == ledger.ByLineKey {
		if no, err := j.lineMaySuspend(certificateAt(k, *c.Leaf)); no != nil || err != nil {
			return no, err
		}
	}
	runs, no := transition(k, targets, c, by)
	if no != nil {
		return no, nil
	}
	owner := k.Owner
	e.Owner, e.Runs, e.Authority = &owner, runs, by
	if by == ledger.ByLineKey {
		voucher := certificateAt(k, *c.Leaf).Voucher
		e.Voucher = &voucher
	}
	return nil, nil
}

// target is a leaf that a change is about, a publication's or a claim's, and its standing in the record.
type target struct {
	leaf uint64
	*ledger.Standing
}

// targets are the leaves a change is about. A compromised key is compromised in all its certificates, whichever of them
// the request names; and a use was proved by the key, so it does not outlive it.
func targets(k *ledger.KeyRecord, c *ledger.StatusChange) []target {
	var out []target
	for i := range k.Certificates {
		t := &k.Certificates[i]
		if c.Scope == ledger.ScopeKey || bars(c) || c.Scope == ledger.ScopeCertificate && t.Leaf == *c.Leaf {
			out = append(out, target{t.Leaf, &t.Standing})
		}
	}
	if k.Use != nil && (c.Scope == ledger.ScopeCustody || bars(c)) {
		out = append(out, target{k.Use.Leaf, &k.Use.Standing})
	}
	return out
}

// bars says whether a change bars the key for ever.
func bars(c *ledger.StatusChange) bool {
	return c.Action == ledger.Revoke && (c.Scope == ledger.ScopeKey || c.Scope != ledger.ScopeCustody && c.Reason == ledger.KeyCompromise)
}

// certificateAt is the publication of a key at a leaf, which there is.
func certificateAt(k *ledger.KeyRecord, leaf uint64) *ledger.CertificateInfo {
	return &k.Certificates[slices.IndexFunc(k.Certificates, func(t ledger.CertificateInfo) bool { return t.Leaf == leaf })]
}

// authorise picks the highest authority of the signers that may do this.
func (s *State) authorise(signers []ledger.Hash, k *ledger.KeyRecord, c *ledger.StatusChange) (ledger.Authority, *outcome) {
	held := s.authorities(signers, k, c)
	for _, by := range held {
		if allows(by, c) {
			return by, nil
		}
	}
	if c.Action == ledger.Revoke && len(held) > 0 {
		other := *c
		for _, other.Reason = range revocable {
			if slices.ContainsFunc(held, func(by ledger.Authority) bool { return allows(by, &other) }) {
				return 0, refuse(reason.New(reason.BadReason, "%d", c.Reason))
			}
		}
	}
	return 0, refuse(reason.New(reason.NotAuthorised, ""))
}

// lineMaySuspend holds a line key to recent items and to its daily number.
func (j *judge) lineMaySuspend(t *ledger.CertificateInfo) (*outcome, error) {
	line := j.fold.st.registry.keys[t.Voucher].Line
	h := j.header.Height
	if h < line.From || (line.Until != 0 && h > line.Until) {
		return refuse(reason.New(reason.LineKeyNotInForce, "")), nil
	}
	if j.header.Time > t.Published+recent {
		return refuse(reason.New(reason.NotRecent, "")), nil
	}
	u, err := j.fold.st.usage(t.Voucher[:], j.header.Time.Day())
	if err != nil {
		return nil, err
	}
	if u.Suspended >= line.QuotaDay {
		return refuse(reason.New(reason.SuspendQuota, "")), nil
	}
	return nil, nil
}

// transition finds the status runs of a change, or why nothing changes.
func transition(k *ledger.KeyRecord, targets []target, c *ledger.StatusChange, by ledger.Authority) ([]ledger.Run, *outcome) {
	var runs []ledger.Run
	var no *outcome
	for _, t := range targets {
		status, refusal := step(t.Standing, c, by)
		if refusal != nil {
			no = refusal
			// A higher authority's suspension is not lifted in part: the caller must see it.
			if refusal.code == reason.HigherAuthority {
				return nil, no
			}
			continue
		}
		runs = append(runs, ledger.Run{First: t.leaf, Count: 1, Status: status})
	}
	// Revoking the key bars it, which is a change even when every certificate is revoked already.
	if len(runs) == 0 && c.Action == ledger.Revoke && c.Scope == ledger.ScopeKey && !k.Barred {
		for _, t := range targets {
			runs = append(runs, ledger.Run{First: t.leaf, Count: 1, Status: ledger.Revoked})
		}
	}
	if len(runs) == 0 {
		return nil, no
	}
	return runs, nil
}

// step is the status machine of one publication, or use.
func step(t *ledger.Standing, c *ledger.StatusChange, by ledger.Authority) (ledger.Status, *outcome) {
	switch c.Action {
	case ledger.Revoke:
		if t.Status == ledger.Revoked && (c.Reason != ledger.KeyCompromise || t.Reason == ledger.KeyCompromise) {
			return 0, refuse(reason.New(reason.AlreadyRevoked, ""))
		}
		return ledger.Revoked, nil
	case ledger.Suspend:
		if t.Status == ledger.Revoked {
			return 0, refuse(reason.New(reason.AlreadyRevoked, ""))
		}
		if t.Status == ledger.Suspended && t.Authority >= by {
			return 0, refuse(reason.New(reason.AlreadySuspended, ""))
		}
		return ledger.Suspended, nil
	default: // Resume
		if t.Status != ledger.Suspended {
			return 0, refuse(reason.New(reason.NotSuspended, ""))
		}
		if t.Authority > by {
			return 0, refuse(reason.New(reason.HigherAuthority, ""))
		}
		return ledger.Good, nil
	}
}
