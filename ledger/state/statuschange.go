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
	if !slices.Contains(scopes, c.Scope) {
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
	targets := targets(k, c)
	by, no := s.authorise(tx.Tx.Signers, k, c)
	if no != nil {
		return no, nil
	}
	if c.Previous != nil && !slices.ContainsFunc(targets, func(t *ledger.CertificateInfo) bool { return t.Cause == *c.Previous }) {
		return refuse(reason.New(reason.StateChanged, "")), nil
	}
	if by == ledger.ByLineKey {
		if no, err := j.lineMaySuspend(targets[0]); no != nil || err != nil {
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
		voucher := targets[0].Voucher
		e.Voucher = &voucher
	}
	return nil, nil
}

// targets are the publications a change is about. A compromised key is compromised in all its certificates, whichever
// of them the request names.
func targets(k *ledger.KeyRecord, c *ledger.StatusChange) []*ledger.CertificateInfo {
	var out []*ledger.CertificateInfo
	for i := range k.Certificates {
		if c.Scope == ledger.ScopeKey || compromise(c) || k.Certificates[i].Leaf == *c.Leaf {
			out = append(out, &k.Certificates[i])
		}
	}
	return out
}

func compromise(c *ledger.StatusChange) bool {
	return c.Action == ledger.Revoke && c.Reason == ledger.KeyCompromise
}

// authorise picks the highest authority of the signers that may do this.
func (s *State) authorise(signers []ledger.Hash, k *ledger.KeyRecord, c *ledger.StatusChange) (ledger.Authority, *outcome) {
	held := s.authorities(signers, c.Target, k, c.Leaf)
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
func transition(k *ledger.KeyRecord, targets []*ledger.CertificateInfo, c *ledger.StatusChange, by ledger.Authority) ([]ledger.Run, *outcome) {
	var runs []ledger.Run
	var no *outcome
	for _, t := range targets {
		status, refusal := step(t, c, by)
		if refusal != nil {
			no = refusal
			// A higher authority's suspension is not lifted in part: the caller must see it.
			if refusal.code == reason.HigherAuthority {
				return nil, no
			}
			continue
		}
		runs = append(runs, ledger.Run{First: t.Leaf, Count: 1, Status: status})
	}
	// Revoking the key bars it, which is a change even when every certificate is revoked already.
	if len(runs) == 0 && c.Action == ledger.Revoke && c.Scope == ledger.ScopeKey && !k.Barred {
		for _, t := range targets {
			runs = append(runs, ledger.Run{First: t.Leaf, Count: 1, Status: ledger.Revoked})
		}
	}
	if len(runs) == 0 {
		return nil, no
	}
	return runs, nil
}

// step is the status machine of one publication.
func step(t *ledger.CertificateInfo, c *ledger.StatusChange, by ledger.Authority) (ledger.Status, *outcome) {
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
