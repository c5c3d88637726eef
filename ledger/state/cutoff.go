package state

import (
	"fmt"
	"slices"

	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/tlog"
)

// Cutting off a line key or an organisation is one operation, however many certificates it revokes. What somebody vouched for is found by
// runs of leaves, one for each transaction that published: the last is in the voucher's usage record, which every publication writes anyway,
// and complete ones in records of their own. A cut-off sets the status bits of those leaves and writes itself into the record of the line
// key or organisation. No certificate's record changes: KeyRecord puts the two together.

// cuttable are the reasons of a cut-off. Compromise is not among them: it is the voucher's key, not the devices', that somebody may have, and
// to bar the devices' keys is to revoke them as keys.
var cuttable = []uint64{ledger.Unspecified, ledger.AffiliationChanged, ledger.Superseded, ledger.Cessation, ledger.PrivilegeWithdrawn}

// vouched notes that a leaf was published on somebody's word: a line key's, or its owner's when there is none. u is the voucher's usage.
func (f *folder) vouched(voucher []byte, u *ledger.Usage, at uint64) {
	if f.st.channel.Rules < ledger.Governed {
		return
	}
	if u.Count > 0 && u.First+u.Count == at {
		u.Count++
		return
	}
	if u.Count > 0 {
		f.st.put(ledger.RecordRun, ledger.RunKey(voucher, u.Runs), ledger.VouchedRun{First: u.First, Count: u.Count})
		u.Runs++
	}
	u.First, u.Count = at, 1
}

// runs are the leaves that somebody vouched for, from one on.
func (s *State) runs(voucher []byte, from uint64) ([]ledger.VouchedRun, error) {
	u, ok := s.counting(voucher)
	if !ok {
		if _, err := s.get(ledger.RecordUsage, voucher, &u); err != nil {
			return nil, err
		}
	}
	var out []ledger.VouchedRun
	last := ledger.VouchedRun{First: u.First, Count: u.Count}
	for n := u.Runs; last.Count > 0 && last.First+last.Count > from; n-- {
		if last.First < from {
			last.First, last.Count = from, last.First+last.Count-from
		}
		out = append(out, last)
		if n == 0 || last.First == from {
			break
		}
		last = ledger.VouchedRun{}
		found, err := s.get(ledger.RecordRun, ledger.RunKey(voucher, n-1), &last)
		if err != nil {
			return nil, err
		}
		if !found {
			return nil, fmt.Errorf("the record of run %d of %x is missing", n-1, voucher)
		}
	}
	return out, nil
}

// cutRuns are the leaves that a cut-off is about, in order.
func (s *State) cutRuns(c *ledger.CutOff) ([]ledger.VouchedRun, error) {
	vouchers := [][]byte{c.Target}
	if c.Scope == ledger.ScopeOrganisation {
		for id, k := range s.registry.keys {
			if k.Role == ledger.KeyRoleLine && k.Owner == ledger.OrgID(c.Target) {
				vouchers = append(vouchers, slices.Clone(id[:]))
			}
		}
	}
	var out []ledger.VouchedRun
	for _, v := range vouchers {
		runs, err := s.runs(v, c.From)
		if err != nil {
			return nil, err
		}
		out = append(out, runs...)
	}
	slices.SortFunc(out, func(a, b ledger.VouchedRun) int {
		if a.First < b.First {
			return -1
		}
		return 1 // no leaf has two vouchers
	})
	return out, nil
}

// cuts are the cut-offs of a line key or organisation, by its id.
func (r *registry) cuts(target []byte) []ledger.Cut {
	switch len(target) {
	case len(ledger.Hash{}):
		if k := r.keys[ledger.Hash(target)]; k != nil {
			return k.Cuts
		}
	case len(ledger.OrgID{}):
		if o := r.orgs[ledger.OrgID(target)]; o != nil {
			return o.Cuts
		}
	}
	return nil
}

// Standing puts a key's record and the cut-offs of who vouched for it together, as KeyRecord does, for who read the record itself.
func (s *State) Standing(k *ledger.KeyRecord) {
	// Its cut-offs are in memory: there is nothing to fail.
	_ = k.CutOff(func(target []byte) ([]ledger.Cut, error) { return s.registry.cuts(target), nil })
}

// cuttable finds the owner of what a cut-off is about, and says why it cannot be cut off. It does not ask who demands it.
func (s *State) cuttable(c *ledger.CutOff) (ledger.OrgID, *reason.Error) {
	var owner ledger.OrgID
	switch c.Scope {
	case ledger.ScopeLineKey:
		k := s.registry.keys[ledger.Hash(c.Target)]
		if k == nil || k.Role != ledger.KeyRoleLine {
			return owner, reason.New(reason.UnknownLineKey, "%x", c.Target)
		}
		owner = k.Owner
	case ledger.ScopeOrganisation:
		owner = ledger.OrgID(c.Target)
		if s.registry.orgs[owner] == nil {
			return owner, reason.New(reason.UnknownOrganisation, "%x", c.Target)
		}
	default:
		return owner, reason.New(reason.ScopeUnavailable, "%s", c.Scope)
	}
	if !slices.Contains(cuttable, c.Reason) {
		return owner, reason.New(reason.BadReason, "%d", c.Reason)
	}
	return owner, nil
}

// cuttingOff says why a cut-off would change nothing. One that cuts off for the first time always does; a later one must revoke something.
func cuttingOff(before []ledger.Cut, runs []ledger.VouchedRun) *reason.Error {
	covered := func(r ledger.VouchedRun) bool {
		return slices.ContainsFunc(before, func(c ledger.Cut) bool { return c.Covers(r.First) && c.Covers(r.First+r.Count-1) })
	}
	switch {
	case len(before) >= ledger.MaxCuts:
		return reason.New(reason.TooManyCutOffs, "%d", len(before))
	case len(before) > 0 && !slices.ContainsFunc(runs, func(r ledger.VouchedRun) bool { return !covered(r) }):
		return reason.New(reason.AlreadyCutOff, "")
	}
	return nil
}

// judgeCutOff judges a cut-off that an owner's admins demand, or a quorum of members at once.
func (j *judge) judgeCutOff(tx *ledger.Parsed, c *ledger.CutOff, e *ledger.Effects) (*outcome, error) {
	s := j.fold.st
	owner, no := s.cuttable(c)
	if no != nil {
		return refuse(no), nil
	}
	e.Owner = &owner
	switch {
	case s.quorum(tx.Tx.Signers):
		e.Authority = ledger.ByQuorum
	case s.enoughAdmins(owner, tx.Tx.Signers):
		e.Authority = ledger.ByOwner
	default:
		return refuse(reason.New(reason.NotAuthorised, "")), nil
	}
	runs, err := s.cutRuns(c)
	if err != nil {
		return nil, err
	}
	if no := cuttingOff(s.registry.cuts(c.Target), runs); no != nil {
		return refuse(no), nil
	}
	return nil, nil
}

// foldCutOff folds one that stands in an operation of its own.
func (f *folder) foldCutOff(l *ledger.OpLeaf, c *ledger.CutOff, at uint64) error {
	e := &l.Effects
	owner, no := f.st.cuttable(c)
	if no != nil || e.Owner == nil || *e.Owner != owner || len(e.Runs) > 0 || e.Authority != ledger.ByOwner && e.Authority != ledger.ByQuorum {
		return fmt.Errorf("%w: a cut-off with effects that are not its own", ErrBadLeaves)
	}
	f.own()
	if no, err := f.cutOff(c, e.Authority, at); no != nil || err != nil {
		return orBadLeaves(no, err)
	}
	return nil
}

func orBadLeaves(no *reason.Error, err error) error {
	if no != nil {
		return fmt.Errorf("%w: %w", ErrBadLeaves, no)
	}
	return err
}

// cutOff carries a cut-off out: status bits, the record of who is cut off, and what its leaf says of it. The caller has made the registry
// this layer's own.
func (f *folder) cutOff(c *ledger.CutOff, by ledger.Authority, at uint64) (*reason.Error, error) {
	if _, no := f.st.cuttable(c); no != nil {
		return no, nil
	}
	runs, err := f.st.cutRuns(c)
	if err != nil {
		return nil, err
	}
	if no := cuttingOff(f.st.registry.cuts(c.Target), runs); no != nil {
		return no, nil
	}
	out := ledger.CutEffect{Scope: c.Scope, Target: c.Target, From: c.From, Reason: c.Reason, Runs: uint64(len(runs))}
	hashes := make([]ledger.Hash, len(runs))
	for i, r := range runs {
		hashes[i] = tlog.LeafHash(ledger.Encode(r))
		out.Leaves += r.Count
		if err := f.setRun(r.First, r.Count, ledger.Revoked); err != nil {
			return nil, err
		}
	}
	out.Hash = tlog.Root(hashes)
	f.cuts = append(slices.Clip(f.cuts), out)
	f.noteCut(c, ledger.Cut{From: c.From, Leaf: at, Time: f.head.Time, Reason: c.Reason, Authority: by})
	return nil, nil
}

// noteCut writes a cut-off into the record of whom it is of. An organisation that is cut off is suspended.
func (f *folder) noteCut(c *ledger.CutOff, cut ledger.Cut) {
	if c.Scope == ledger.ScopeOrganisation {
		id := ledger.OrgID(c.Target)
		rec := *f.st.registry.orgs[id]
		rec.Cuts = append(slices.Clip(rec.Cuts), cut)
		if rec.State == ledger.OrgActive {
			rec.State = ledger.OrgSuspended
		}
		f.putOrganisation(id, &rec)
		return
	}
	rec := *f.st.registry.keys[ledger.Hash(c.Target)]
	rec.Cuts = append(slices.Clip(rec.Cuts), cut)
	f.addKey(&rec)
}

// setRun gives consecutive leaves a status.
func (f *folder) setRun(first, count uint64, st ledger.Status) error {
	for leaf := first; leaf < first+count; {
		n := leaf / ledger.ChunkLeaves
		end := min(first+count, (n+1)*ledger.ChunkLeaves)
		f.dirty[n] = true
		if err := f.st.setStatuses(leaf, end, st); err != nil {
			return err
		}
		leaf = end
	}
	return nil
}

// voucher finds the line key that vouches for a publication, and counts the admins of its owner that sign with it. Since rule version 3 one
// that is cut off publishes what as many of them sign as the organisation demands: what it had signed before can still be anchored, if its
// owner answers for it. Else a publication has one signer.
func (j *judge) voucher(signers []ledger.Hash) (id ledger.Hash, admins uint64, no *outcome) {
	if len(signers) == 1 {
		return signers[0], 0, nil
	}
	r, line := j.fold.st.registry, -1
	if j.fold.st.channel.Rules >= ledger.Governed {
		line = slices.IndexFunc(signers, func(id ledger.Hash) bool { return r.keys[id] != nil && len(r.keys[id].Cuts) > 0 })
	}
	if line >= 0 {
		if admins = r.admins(r.keys[signers[line]].Owner, signers); admins+1 == uint64(len(signers)) {
			return signers[line], admins, nil
		}
	}
	return id, 0, refuse(reason.New(reason.WrongSigners, "a publication is signed by one line key"))
}
