package state

import (
	"fmt"
	"slices"

	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
)

// The life of a device: who holds it, who uses it, by which key it is known. DESIGN.md has the machine as a picture and a
// table. All of it is in the record of the device's key; a rekey moves it to the record of the new one.

// living finds the record of the key that a life step names: a key that is its device's, of a device that is not retired, and
// nothing happened to it since the leaf that the step follows.
func (s *State) living(step ledger.LifeStep) (*ledger.KeyRecord, *reason.Error, error) {
	target, previous := step.Follows()
	k, err := s.KeyRecord(target)
	switch {
	case err != nil:
		return nil, nil, err
	case k == nil:
		return nil, reason.New(reason.UnknownTarget, ""), nil
	case k.Successor != nil:
		return nil, reason.New(reason.KeySuperseded, "by key %x", *k.Successor), nil
	case k.Retired:
		return nil, reason.New(reason.DeviceRetired, ""), nil
	case k.LastEvent() != previous:
		return nil, reason.New(reason.LifeChanged, "by leaf %d", k.LastEvent()), nil
	}
	return k, nil, nil
}

// entitled says in which capacity the signers may ask for a life step, or whose signatures are missing.
func (s *State) entitled(signers []ledger.Hash, step ledger.LifeStep, k *ledger.KeyRecord) (ledger.Authority, *reason.Error) {
	holder, by := s.enoughAdmins(k.Holder(), signers), ledger.ByCustodian
	if k.Custodian.IsZero() {
		by = ledger.ByOwner
	}
	switch a := step.(type) {
	case *ledger.Transfer:
		switch {
		case s.registry.orgs[a.To] == nil:
			return 0, reason.New(reason.UnknownOrganisation, "%s", a.To)
		case !holder:
			return 0, reason.New(reason.NotTheHolder, "")
		case !s.enoughAdmins(a.To, signers):
			return 0, reason.New(reason.TakerNotSigned, "")
		case s.registry.orgs[a.To].State != ledger.OrgActive:
			return 0, reason.New(reason.OrganisationState, "")
		}
		return by, nil
	case *ledger.Return:
		if s.quorum(signers) {
			return ledger.ByQuorum, nil
		}
	case *ledger.Retire:
		if s.quorum(signers) {
			return ledger.ByQuorum, nil
		}
		if holder && !s.enoughAdmins(k.Owner, signers) {
			return 0, reason.New(reason.OwnerNotSigned, "")
		}
		by = ledger.ByOwner
	case *ledger.Rekey:
		// The old key signs exactly when the operation carries it, so that leaves alone show which of the two it was.
		switch target := a.Target; {
		case slices.Contains(signers, target) != (len(a.SPKI) > 0):
			return 0, reason.New(reason.WrongSigners, "the old key signs what carries it, and only that")
		case s.enoughAdmins(k.Owner, signers):
			return ledger.ByOwner, nil
		case len(a.SPKI) > 0:
			return ledger.BySelf, nil
		}
		return 0, reason.New(reason.NotAuthorised, "")
	}
	if !holder {
		return 0, reason.New(reason.NotTheHolder, "")
	}
	return by, nil
}

// passage is what a life step makes of a device.
type passage struct {
	key  *ledger.KeyRecord // of the key that the step names, afterwards
	next *ledger.KeyRecord // of the new key, when the step is a rekey; without its certificate
	runs []ledger.Run
}

// holder is who holds the device afterwards, nil for its owner.
func (p *passage) holder() *ledger.OrgID {
	k := p.key
	if p.next != nil {
		k = p.next
	}
	if k.Custodian.IsZero() {
		return nil
	}
	return &k.Custodian
}

// passage finds what a life step, asked for in a capacity and put at a leaf, makes of a living device, or why it cannot be.
// Judgement and fold both go by it; who signed is judgement's business, and what the new certificate of a rekey says. k becomes
// part of it.
func (s *State) passage(step ledger.LifeStep, k *ledger.KeyRecord, by ledger.Authority, at uint64, now ledger.Millis) (*passage, *reason.Error) {
	p := &passage{key: k}
	k.Life = at
	ended := ledger.Standing{Status: ledger.Revoked, Cause: at, Since: now, Authority: by}
	if c := ledger.ChangeOf(step); c != nil {
		ended.Reason = c.Reason
	}
	switch a := step.(type) {
	case *ledger.Transfer:
		switch holder := k.Holder(); {
		case a.To == holder:
			return nil, reason.New(reason.AlreadyHolder, "")
		case a.To == k.Owner:
			return nil, reason.New(reason.TransferToOwner, "")
		}
		if no := stands(k); no != nil {
			return nil, no
		}
		p.endUse(k, ended)
		k.Custodian = a.To
	case *ledger.Return:
		if k.Custodian.IsZero() {
			return nil, reason.New(reason.NotInCustody, "")
		}
		p.endUse(k, ended)
		k.Custodian = ledger.OrgID{}
	case *ledger.Claim:
		return p, s.claim(p, at, now)
	case *ledger.Retire:
		p.revoke(k, ended)
		p.endUse(k, ended)
		k.Retired = true
	case *ledger.Rekey:
		return p, p.rekey(a, ended)
	}
	return p, nil
}

// claim begins the holder's use. Its leaf has a status of its own, which scope custody changes.
func (s *State) claim(p *passage, at uint64, now ledger.Millis) *reason.Error {
	k := p.key
	holder := k.Holder()
	switch org := s.registry.orgs[holder]; {
	case org == nil || org.Roles&ledger.RoleOperator == 0:
		return reason.New(reason.NotAnOperator, "")
	case org.State != ledger.OrgActive:
		return reason.New(reason.OrganisationState, "")
	}
	if no := stands(k); no != nil {
		return no
	}
	if use := k.Use; use != nil {
		switch {
		case use.Status != ledger.Revoked:
			return reason.New(reason.AlreadyClaimed, "in leaf %d", use.Leaf)
		case use.Authority > ledger.ByCustodian && use.By == holder:
			return reason.New(reason.HigherAuthority, "revoked by leaf %d", use.Cause)
		}
	}
	k.Use = &ledger.Use{Leaf: at, By: holder, Standing: ledger.Standing{Status: ledger.Good, Cause: at, Since: now}}
	p.runs = append(p.runs, ledger.Run{First: at, Count: 1, Status: ledger.Good})
	return nil
}

// rekey moves a device's life from the record of its old key to that of the new one.
func (p *passage) rekey(a *ledger.Rekey, ended ledger.Standing) *reason.Error {
	k, self := p.key, len(a.SPKI) > 0
	switch {
	case k.Barred && ended.Authority != ledger.ByOwner:
		return reason.New(reason.OwnerAlone, "")
	case !self && a.Evidence == nil:
		return reason.New(reason.EvidenceMissing, "")
	}
	for _, c := range k.Certificates {
		if c.Status != ledger.Suspended || c.Authority <= ended.Authority {
			continue
		}
		if ended.Authority == ledger.BySelf {
			return reason.New(reason.KeySuspended, "")
		}
		return reason.New(reason.HigherAuthority, "")
	}
	p.revoke(k, ended)
	use := k.Use
	switch {
	case use == nil:
	case self && !k.Barred: // the old key hands its use to the new one
		k.Use = nil
	case use.Status == ledger.Revoked: // and by whom stays known
		k.Use = nil
	default:
		p.endUse(k, ended)
		use = nil
	}
	p.next = &ledger.KeyRecord{Owner: k.Owner, Device: k.Device, Custodian: k.Custodian, Life: ended.Cause, Use: use}
	p.runs = append(p.runs, ledger.Run{First: ended.Cause, Count: 1, Status: ledger.Good})
	k.Custodian = ledger.OrgID{}
	return nil
}

// revoke revokes every certificate of a key that is not revoked yet.
func (p *passage) revoke(k *ledger.KeyRecord, ended ledger.Standing) {
	for i := range k.Certificates {
		if c := &k.Certificates[i]; c.Status != ledger.Revoked {
			p.runs = append(p.runs, ledger.Run{First: c.Leaf, Count: 1, Status: ledger.Revoked})
			c.Standing = ended
		}
	}
}

// endUse ends the use of a device, if there is one: it has no operator that claimed it.
func (p *passage) endUse(k *ledger.KeyRecord, ended ledger.Standing) {
	if k.Use != nil && k.Use.Status != ledger.Revoked {
		p.runs = append(p.runs, ledger.Run{First: k.Use.Leaf, Count: 1, Status: ended.Status})
	}
	k.Use = nil
}

// stands demands a certificate that is good, and none that is suspended: what is handed on or taken into use is sound when the
// block is made, whatever it was when the sides signed.
func stands(k *ledger.KeyRecord) *reason.Error {
	good := false
	for _, c := range k.Certificates {
		switch c.Status {
		case ledger.Suspended:
			return reason.New(reason.KeySuspended, "leaf %d", c.Leaf)
		case ledger.Good:
			good = true
		}
	}
	if !good {
		return reason.New(reason.NoCertificateStands, "")
	}
	return nil
}

// lifeStep folds a life step: what judgement said is what the record and the step give, or these leaves are not the log.
func (f *folder) lifeStep(l *ledger.OpLeaf, step ledger.LifeStep, x *Examined, at uint64) error {
	e := &l.Effects
	bad := func(err error) error { return fmt.Errorf("%w: a %s: %w", ErrBadLeaves, step.Op(), err) }
	k, no, err := f.st.living(step)
	if err != nil {
		return err
	}
	if no != nil {
		return bad(no)
	}
	p, no := f.st.passage(step, k, e.Authority, at, e.Time)
	switch {
	case no != nil:
		return bad(no)
	case e.Owner == nil || *e.Owner != k.Owner || e.Device == nil || *e.Device != k.Device:
		return bad(fmt.Errorf("another owner or device than the key's"))
	case !slices.Equal(e.Runs, p.runs):
		return bad(fmt.Errorf("effects that are not its own"))
	}
	if holder := p.holder(); (holder == nil) != (e.Custodian == nil) || holder != nil && *holder != *e.Custodian {
		return bad(fmt.Errorf("another holder afterwards than it makes"))
	}
	target, _ := step.Follows()
	if a, ok := step.(*ledger.Rekey); ok {
		if err := f.rekey(l, a, p, x, at); err != nil {
			return err
		}
	}
	f.changed(p.runs, at)
	f.st.write(ledger.RecordKey, target[:], p.key.Encode())
	f.st.put(ledger.RecordLife, ledger.LifeKey(k.Device, at), ledger.LifeRecord{Op: step.Op()})
	return nil
}

// rekey folds the publication within a rekey.
func (f *folder) rekey(l *ledger.OpLeaf, a *ledger.Rekey, p *passage, x *Examined, at uint64) error {
	if x.Certificate == nil {
		return fmt.Errorf("%w: %w", ErrBadLeaves, x.NoParse)
	}
	known, err := f.st.KeyRecord(x.SPKI)
	if err != nil {
		return err
	}
	if known != nil {
		return fmt.Errorf("%w: a rekey to a key that was published before", ErrBadLeaves)
	}
	if err := f.bind(l, ledger.PublicationOf(a), x.Certificate, at); err != nil {
		return err
	}
	next := x.SPKI
	p.key.Successor = &next
	f.st.put(ledger.RecordDevice, p.key.Device[:], ledger.DeviceRecord{Leaf: at})
	return f.certify(p.next, &l.Effects, x, at)
}
