package state

import (
	"fmt"
	"slices"

	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
)

// Delegation: the admins of an organisation register a namespace within one of its own for another organisation, without a vote, when the
// members let theirs be delegated. The most specific namespace decides about a name, so what is delegated is the other's alone until it
// is taken back. Nobody gets more than the one who delegates had.

// inForce finds a namespace that has not ended.
func (r *registry) inForce(id ledger.OrgID) *ledger.NamespaceRecord {
	if n := r.namespaces[id]; n != nil && n.Ended == 0 {
		return n
	}
	return nil
}

// below reports whether a value of a namespace type lies below another; a value is not below itself. Types that are not here have nothing
// below them: two organisations may own the same prefix of serials, and a PLMN is whole.
func below(kind uint64, value, parent string) bool {
	switch kind {
	case ledger.NamespaceDNS:
		return value != parent && withinDNS(value, parent)
	case ledger.NamespaceHardware:
		return value != parent && withinArc(value, parent)
	}
	return false
}

// delegation judges what a new namespace says of a parent. Whether the parent's owner demands it is not asked here.
func (r registrar) delegation(n *ledger.Namespace) *reason.Error {
	parent := r.inForce(*n.Parent)
	switch {
	case parent == nil:
		return reason.New(reason.UnknownNamespace, "%x, to delegate from", *n.Parent)
	case !parent.Delegable || n.Type == ledger.NamespaceSerial || n.Type == ledger.NamespacePLMN:
		return reason.New(reason.NotDelegable, "%q", parent.Value)
	case n.Type != parent.Type || !below(n.Type, n.Value, parent.Value):
		return reason.New(reason.NotWithinParent, "%q in %q", n.Value, parent.Value)
	case len(r.delegated[*n.Parent]) >= ledger.MaxDelegations:
		return reason.New(reason.TooManyDelegations, "%q", parent.Value)
	}
	return nil
}

// judgeDelegation judges a namespace that the admins of its parent's owner register.
func (j *judge) judgeDelegation(tx *ledger.Parsed, n *ledger.Namespace, position uint16, e *ledger.Effects) (*outcome, error) {
	r := j.fold.st.registry
	if n.Parent == nil {
		return refuse(reason.New(reason.NotGenesis, "%T goes into a proposal", n)), nil
	}
	if no := j.ofOwner(tx, *n.Parent); no != nil {
		return no, nil
	}
	id := ledger.RecordID(tx.ID, position)
	if no := (registrar{r, j.fold.st.channel.Rules}).namespace(id, n); no != nil {
		return refuse(no), nil
	}
	owner := n.Owner
	e.Owner, e.Namespaces, e.Authority = &owner, []ledger.OrgID{id}, ledger.ByOwner
	return nil, nil
}

// ofOwner demands the admins of a namespace's owner, and that it is active.
func (j *judge) ofOwner(tx *ledger.Parsed, id ledger.OrgID) *outcome {
	s := j.fold.st
	n := s.registry.inForce(id)
	switch {
	case n == nil:
		return refuse(reason.New(reason.UnknownNamespace, "%x", id))
	case !s.enoughAdmins(n.Owner, tx.Tx.Signers):
		return refuse(reason.New(reason.NotAuthorised, ""))
	case s.registry.orgs[n.Owner].State != ledger.OrgActive:
		return refuse(reason.New(reason.OrganisationState, ""))
	}
	return nil
}

// foldDelegation folds one.
func (f *folder) foldDelegation(l *ledger.OpLeaf, n *ledger.Namespace, at uint64) error {
	e := &l.Effects
	id := ledger.RecordID(f.tx.ID, uint16(l.Position))
	if n.Parent == nil || !slices.Equal(e.Namespaces, []ledger.OrgID{id}) || e.Owner == nil || *e.Owner != n.Owner || e.Authority != ledger.ByOwner || len(e.Runs) > 0 {
		return fmt.Errorf("%w: a delegated namespace with effects that are not its own", ErrBadLeaves)
	}
	if no := (registrar{f.st.registry, f.st.channel.Rules}).namespace(id, n); no != nil {
		return orBadLeaves(no, nil)
	}
	f.own()
	f.addNamespace(id, n, grant{leaf: at})
	return nil
}

// namespaceChange judges a change of a namespace; who demands it is not asked here.
func (r registrar) namespaceChange(c *ledger.NamespaceChange) *reason.Error {
	n := r.inForce(c.Namespace)
	if n == nil {
		return reason.New(reason.UnknownNamespace, "%x", c.Namespace)
	}
	if c.Action == ledger.EndNamespace {
		return nil
	}
	o := r.orgs[*c.Owner]
	switch {
	case o == nil:
		return reason.New(reason.UnknownOrganisation, "%x, to own %q", *c.Owner, n.Value)
	case o.State == ledger.OrgEnded:
		return reason.New(reason.OrganisationEnded, "%s", o.Name)
	case *c.Owner == n.Owner:
		return reason.New(reason.NothingChanges, "%q of %s", n.Value, o.Name)
	}
	return nil
}

// judgeTakeBack judges the end of a delegated namespace by the admins of its parent's owner.
func (j *judge) judgeTakeBack(tx *ledger.Parsed, c *ledger.NamespaceChange, e *ledger.Effects) (*outcome, error) {
	n := j.fold.st.registry.inForce(c.Namespace)
	switch {
	case n == nil:
		return refuse(reason.New(reason.UnknownNamespace, "%x", c.Namespace)), nil
	case c.Action != ledger.EndNamespace || n.Parent == nil:
		return refuse(reason.New(reason.ByVoteOnly, "")), nil
	}
	if no := j.ofOwner(tx, *n.Parent); no != nil {
		return no, nil
	}
	owner := n.Owner
	e.Owner, e.Namespaces, e.Authority = &owner, []ledger.OrgID{c.Namespace}, ledger.ByOwner
	return nil, nil
}

// foldTakeBack folds one.
func (f *folder) foldTakeBack(l *ledger.OpLeaf, c *ledger.NamespaceChange, at uint64) error {
	e, n := &l.Effects, f.st.registry.inForce(c.Namespace)
	if n == nil || n.Parent == nil || c.Action != ledger.EndNamespace || e.Owner == nil || *e.Owner != n.Owner ||
		!slices.Equal(e.Namespaces, []ledger.OrgID{c.Namespace}) || e.Authority != ledger.ByOwner || len(e.Runs) > 0 {
		return fmt.Errorf("%w: a namespace taken back with effects that are not its own", ErrBadLeaves)
	}
	f.own()
	f.changeNamespace(c, at)
	return nil
}

// changeNamespace writes a change, which the leaf at decided; the caller has made the registry this layer's own.
func (f *folder) changeNamespace(c *ledger.NamespaceChange, at uint64) {
	r := f.st.registry
	if c.Action == ledger.TransferNamespace {
		rec := *r.namespaces[c.Namespace]
		rec.Owner, rec.Control, rec.Evidence = *c.Owner, c.Control, c.Evidence
		f.putNamespace(c.Namespace, &rec)
		return
	}
	// With it ends what was delegated from it: nobody has more than the one he has it from.
	for ending := []ledger.OrgID{c.Namespace}; len(ending) > 0; ending = ending[1:] {
		id := ending[0]
		ending = append(ending, r.delegated[id]...)
		rec := *r.namespaces[id]
		rec.Ended = at
		f.putNamespace(id, &rec)
	}
}

// putNamespace writes a namespace, and keeps the list of what is delegated from its parent.
func (f *folder) putNamespace(id ledger.OrgID, rec *ledger.NamespaceRecord) {
	f.st.registry.add(id, rec)
	f.st.put(ledger.RecordNamespace, id[:], rec)
}

// add takes a namespace's record into the registry.
func (r *registry) add(id ledger.OrgID, rec *ledger.NamespaceRecord) {
	r.namespaces[id] = rec
	if rec.Parent == nil {
		return
	}
	// Replaced, never changed in place: other states share it. Sorted, so that whoever loads it has the same.
	list := slices.DeleteFunc(slices.Clone(r.delegated[*rec.Parent]), func(x ledger.OrgID) bool { return x == id })
	if rec.Ended == 0 {
		list = append(list, id)
		slices.SortFunc(list, func(a, b ledger.OrgID) int { return slices.Compare(a[:], b[:]) })
	}
	r.delegated[*rec.Parent] = list
	if len(list) == 0 {
		delete(r.delegated, *rec.Parent)
	}
}

// delegatedAway reports whether a namespace that is delegated from one covers a name, too.
func (r *registry) delegatedAway(id ledger.OrgID, covers func(value string) bool) bool {
	if len(r.delegated) == 0 {
		return false // as nearly always, and every name asks
	}
	return slices.ContainsFunc(r.delegated[id], func(child ledger.OrgID) bool { return covers(r.namespaces[child].Value) })
}
