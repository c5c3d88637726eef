package state

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/quorate-pki/quorate/ca/profile"
	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
)

// overseers are the roles that nobody relies on.
const overseers = ledger.RoleRegulator | ledger.RoleRelyingParty

// organisationEffect reads a change against the record as of now: what it gives widens trust, what it takes narrows it.
func organisationEffect(o *ledger.OrgRecord, c *ledger.OrganisationChange) (e effect) {
	side := func(more, less bool) {
		if more {
			e |= widens
		}
		if less {
			e |= narrows
		}
	}
	if c.Roles != nil {
		side(*c.Roles&^o.Roles&^overseers != 0, o.Roles&^*c.Roles&^overseers != 0)
	}
	if c.Profiles != nil {
		lacks := func(list []uint64) func(uint64) bool {
			return func(p uint64) bool { return !slices.Contains(list, p) }
		}
		side(slices.ContainsFunc(*c.Profiles, lacks(o.Profiles)), slices.ContainsFunc(o.Profiles, lacks(*c.Profiles)))
	}
	if c.QuotaDay != nil {
		side(*c.QuotaDay > o.QuotaDay, *c.QuotaDay < o.QuotaDay)
	}
	if c.QuotaTotal != nil {
		side(*c.QuotaTotal > o.QuotaTotal, *c.QuotaTotal < o.QuotaTotal)
	}
	if c.LegacyRSA != nil {
		side(*c.LegacyRSA && !o.LegacyRSA, !*c.LegacyRSA && o.LegacyRSA)
	}
	if c.State != nil {
		side(*c.State < o.State, *c.State > o.State)
	}
	// Who has the admin keys is the organisation. Its own admins need no vote; a vote is for when it has lost them.
	side(c.Admins != nil, false)
	return e
}

// organisationChange judges a change of an organisation; who demands it is not asked here.
func (r registrar) organisationChange(c *ledger.OrganisationChange, member func(ledger.OrgID) bool) *reason.Error {
	o := r.orgs[c.Organisation]
	if o == nil {
		return reason.New(reason.UnknownOrganisation, "%x", c.Organisation)
	}
	next := changed(o, c)
	switch {
	case o.State == ledger.OrgEnded:
		return reason.New(reason.OrganisationEnded, "%s", o.Name)
	case len(next.LegalName) > 128 || next.Roles == 0 || next.Roles > 31 || len(next.Profiles) > 32:
		return reason.New(reason.RegistrationForm, "organisation %q: legal name, roles or profiles", o.Name)
	case member(c.Organisation) && (next.Roles&ledger.RoleMember == 0 || next.State == ledger.OrgEnded):
		return reason.New(reason.MemberRole, "%s", o.Name)
	}
	if no := r.knownProfiles(next.Profiles); no != nil {
		return no
	}
	if c.Admins != nil {
		if no := r.newAdmins(c, o); no != nil {
			return no
		}
	}
	if bytes.Equal(ledger.Encode(next), ledger.Encode(o)) {
		return reason.New(reason.NothingChanges, "%s", o.Name)
	}
	return nil
}

// changed is an organisation's record after a change.
func changed(o *ledger.OrgRecord, c *ledger.OrganisationChange) *ledger.OrgRecord {
	next := *o
	set(&next.LegalName, c.LegalName)
	set(&next.Roles, c.Roles)
	set(&next.Profiles, c.Profiles)
	set(&next.QuotaDay, c.QuotaDay)
	set(&next.QuotaTotal, c.QuotaTotal)
	set(&next.LegacyRSA, c.LegacyRSA)
	set(&next.State, c.State)
	if c.Admins != nil {
		next.AdminM, next.AdminKeys = c.AdminM, nil
		for _, a := range c.Admins {
			next.AdminKeys = append(next.AdminKeys, a.SPKI)
		}
	}
	return &next
}

func set[T any](field, to *T) {
	if to != nil {
		*field = *to
	}
}

// newAdmins judges the admin keys that an organisation would have: those that stay, and new ones whose holders agreed.
func (r registrar) newAdmins(c *ledger.OrganisationChange, o *ledger.OrgRecord) *reason.Error {
	if c.AdminM > uint64(len(c.Admins)) {
		return reason.New(reason.RegistrationForm, "organisation %q: %d of %d admin keys", o.Name, c.AdminM, len(c.Admins))
	}
	for i, a := range c.Admins {
		// Signers are counted by key: twice the same would make an m that nobody can reach.
		if slices.ContainsFunc(c.Admins[:i], func(x ledger.Admin) bool { return bytes.Equal(x.SPKI, a.SPKI) }) {
			return reason.New(reason.KeyTaken, "organisation %q: the same admin key twice", o.Name)
		}
		if slices.ContainsFunc(o.AdminKeys, func(spki []byte) bool { return bytes.Equal(spki, a.SPKI) }) {
			if a.Alg != 0 || len(a.Possession) > 0 {
				return reason.New(reason.RegistrationForm, "organisation %q: an admin key that stays needs no signature", o.Name)
			}
			continue
		}
		if no := r.newKey(a.SPKI); no != nil {
			return no
		}
		key, err := profile.ParseSPKI(a.SPKI)
		if err != nil || !key.VerifyCOSE(a.Alg, ledger.AdminMessage(c.Organisation, a.SPKI), a.Possession) {
			return reason.New(reason.AdminKeyPossession, "")
		}
	}
	return nil
}

// addedAdmins are the keys that a change would register.
func addedAdmins(o *ledger.OrgRecord, c *ledger.OrganisationChange) (out [][]byte) {
	for _, a := range c.Admins {
		if !slices.ContainsFunc(o.AdminKeys, func(spki []byte) bool { return bytes.Equal(spki, a.SPKI) }) {
			out = append(out, a.SPKI)
		}
	}
	return out
}

// changeable says why an organisation cannot be changed so, as of now.
func (s *State) changeable(c *ledger.OrganisationChange) (*reason.Error, error) {
	if no := (registrar{s.registry, s.channel.Rules}).organisationChange(c, s.isMember); no != nil {
		return no, nil
	}
	return s.unpublished(addedAdmins(s.registry.orgs[c.Organisation], c)...)
}

func (s *State) isMember(org ledger.OrgID) bool {
	m, err := s.Members()
	return err == nil && slices.ContainsFunc(m.Members, func(x ledger.Member) bool { return x.Org == org })
}

// judgeAdmins judges a change of an organisation's admin keys by its admins.
func (j *judge) judgeAdmins(tx *ledger.Parsed, c *ledger.OrganisationChange, e *ledger.Effects) (*outcome, error) {
	s := j.fold.st
	o := s.registry.orgs[c.Organisation]
	switch {
	case c.Granted():
		return refuse(reason.New(reason.ByVoteOnly, "")), nil
	case o == nil:
		return refuse(reason.New(reason.UnknownOrganisation, "")), nil
	case !s.enoughAdmins(c.Organisation, tx.Tx.Signers):
		return refuse(reason.New(reason.NotAuthorised, "")), nil
	case o.State == ledger.OrgSuspended: // whose admin keys may be why
		return refuse(reason.New(reason.OrganisationState, "")), nil
	}
	no, err := s.changeable(c)
	if no != nil || err != nil {
		return orRefuse(no, err)
	}
	owner := c.Organisation
	e.Owner, e.Authority = &owner, ledger.ByOwner
	return nil, nil
}

func orRefuse(no *reason.Error, err error) (*outcome, error) {
	if err != nil {
		return nil, err
	}
	return refuse(no), nil
}

// foldAdmins folds one that stands in an operation of its own.
func (f *folder) foldAdmins(l *ledger.OpLeaf, c *ledger.OrganisationChange, at uint64) error {
	e := &l.Effects
	if c.Granted() || e.Owner == nil || *e.Owner != c.Organisation || e.Authority != ledger.ByOwner || len(e.Runs) > 0 {
		return fmt.Errorf("%w: a change of admin keys with effects that are not its own", ErrBadLeaves)
	}
	if no, err := f.st.changeable(c); no != nil || err != nil {
		return orBadLeaves(no, err)
	}
	f.own()
	f.changeOrganisation(c, grant{leaf: at})
	return nil
}

// changeOrganisation writes a change; the caller has made the registry this layer's own. Keys that are taken away stay known, so that nobody
// registers them again.
func (f *folder) changeOrganisation(c *ledger.OrganisationChange, by grant) {
	old := f.st.registry.orgs[c.Organisation]
	next := changed(old, c)
	if c.Admins != nil {
		for _, spki := range old.AdminKeys {
			if !slices.ContainsFunc(next.AdminKeys, func(k []byte) bool { return bytes.Equal(k, spki) }) {
				k := *f.st.registry.keys[ledger.Sum(spki)]
				k.Role = ledger.KeyRoleRetired
				f.addKey(&k)
			}
		}
		for _, spki := range addedAdmins(old, c) {
			f.addKey(&ledger.RegisteredKey{Role: ledger.KeyRoleAdmin, Owner: c.Organisation, SPKI: spki, Leaf: by.leaf, Decision: by.decision})
		}
	}
	f.putOrganisation(c.Organisation, next)
}

func (f *folder) putOrganisation(id ledger.OrgID, rec *ledger.OrgRecord) {
	f.st.registry.orgs[id] = rec
	f.st.put(ledger.RecordOrg, id[:], rec)
}
