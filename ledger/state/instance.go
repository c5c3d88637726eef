package state

import (
	"fmt"
	"slices"

	"github.com/quorate-pki/quorate/ca/profile"
	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
)

// A network function's instance id is a random number, of which no part can be owned beforehand. So the first
// publication binds it, together with a DNS name that its owner owns, and the binding never ends: what was once said of
// an id cannot become true of somebody else's function.

// device is what a certificate is published for: the instance where the profile has instances, else the device serial.
func device(owner ledger.OrgID, prof *profile.Profile, cert *profile.Certificate) ledger.Hash {
	if id, ok := cert.Instance(); ok && prof.Instance {
		return ledger.Device(owner, ledger.DeviceInstance, id.String())
	}
	return ledger.Device(owner, ledger.DeviceSerial, cert.DeviceSerial)
}

// instance holds an instance id to who bound it, and to the DNS name it was bound with. Only a profile that has
// instances costs a read.
func (j *judge) instance(owner ledger.OrgID, prof *profile.Profile, cert *profile.Certificate) (*outcome, error) {
	id, ok := cert.Instance()
	if !prof.Instance || !ok {
		return nil, nil
	}
	bound, err := j.fold.st.Instance(id)
	switch {
	case err != nil || bound == nil:
		return nil, err
	case bound.Owner != owner:
		return refuse(reason.New(reason.InstanceOfAnother, "%s", id)), nil
	case !slices.Contains(cert.DNSNames, bound.Name):
		return refuse(reason.New(reason.InstanceHasAnotherName, "%s goes with %s", id, bound.Name)), nil
	}
	return nil, nil
}

// Instance finds what an instance id is bound to, nil when it is free.
func (s *State) Instance(id profile.Instance) (*ledger.InstanceRecord, error) {
	var r ledger.InstanceRecord
	ok, err := s.get(ledger.RecordInstance, id[:], &r)
	if err != nil || !ok {
		return nil, err
	}
	return &r, nil
}

// bind folds what a publication does to an instance id: the first binds it, and no later one changes the binding.
func (f *folder) bind(l *ledger.OpLeaf, p *ledger.Publish, cert *profile.Certificate, at uint64) error {
	if l.Effects.Profile != p.Profile {
		return fmt.Errorf("%w: effects by another profile than the publication's", ErrBadLeaves)
	}
	if p.Profile != uint64(profile.NF) {
		return nil
	}
	id, ok := cert.Instance()
	if !ok || len(cert.DNSNames) == 0 {
		return fmt.Errorf("%w: a network function without instance id or DNS name", ErrBadLeaves)
	}
	bound, err := f.st.Instance(id)
	switch {
	case err != nil:
		return err
	case bound == nil:
		f.st.put(ledger.RecordInstance, id[:], ledger.InstanceRecord{Owner: *l.Effects.Owner, Name: cert.DNSNames[0], Leaf: at})
	case bound.Owner != *l.Effects.Owner || !slices.Contains(cert.DNSNames, bound.Name):
		return fmt.Errorf("%w: instance id %s is bound to another owner or name", ErrBadLeaves, id)
	}
	return nil
}
