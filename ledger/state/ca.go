package state

import (
	"fmt"

	"github.com/quorate-pki/quorate/ca/profile"
	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
)

// registerCA judges a CA certificate that an organisation's admins register. It needs no vote: a CA vouches in its owner's namespaces alone.
func (j *judge) registerCA(tx *ledger.Parsed, a *ledger.CA, e *ledger.Effects) (*outcome, error) {
	s := j.fold.st
	if !s.enoughAdmins(a.Owner, tx.Tx.Signers) {
		return refuse(reason.New(reason.NotAuthorised, "")), nil
	}
	ca, err := profile.ParseAuthority(a.Certificate)
	if err == nil {
		err = ca.Check(uint64(j.header.Time))
	}
	if err != nil {
		return refuseError(err), nil
	}
	if no := s.registry.newCA(a, ca); no != nil {
		return refuse(no), nil
	}
	if no, err := s.unpublished(ca.SPKI); err != nil {
		return nil, err
	} else if no != nil {
		return refuse(no), nil
	}
	owner := a.Owner
	e.Owner, e.Authority = &owner, ledger.ByOwner
	return nil, nil
}

// newCA judges a CA's registration against those there are. A CA that gets a new certificate over its key registers that beside the old.
func (r *registry) newCA(a *ledger.CA, ca *profile.Authority) *reason.Error {
	id := ca.Key.ID()
	owner, known := r.caKeys[id]
	switch {
	case r.cas[ledger.Sum(a.Certificate)] != nil:
		return reason.New(reason.CARegistered, "")
	case known && owner != a.Owner:
		return reason.New(reason.CAOfAnotherOwner, "key %x", id)
	case !known && r.owned(id):
		return reason.New(reason.KeyTaken, "key %x", id)
	case !ca.Key.VerifyCOSE(a.Alg, ledger.CAMessage(a.Owner, a.Certificate), a.Possession):
		return reason.New(reason.CAPossession, "")
	}
	own := 0
	for _, other := range r.cas {
		if other.Owner == a.Owner {
			own++
		}
	}
	if own >= ledger.MaxCAs {
		return reason.New(reason.TooManyCAs, "%d", own)
	}
	for i, ns := range a.Namespaces {
		if n := r.namespaces[ns]; n == nil || n.Owner != a.Owner {
			return reason.New(reason.UnknownNamespace, "%x, which a CA vouches in", ns)
		}
		for _, before := range a.Namespaces[:i] {
			if before == ns {
				return reason.New(reason.RegistrationForm, "namespace %x twice", ns)
			}
		}
	}
	return nil
}

// addCA writes a CA; the caller has made the registry this layer's own.
func (f *folder) addCA(a *ledger.CA, at uint64) error {
	ca, err := profile.ParseAuthority(a.Certificate)
	if err != nil {
		return fmt.Errorf("%w: a CA certificate: %w", ErrBadLeaves, err)
	}
	id := ledger.Sum(a.Certificate)
	rec := &ledger.CARecord{Owner: a.Owner, Key: ca.Key.ID(), Name: ca.Subject, KeyBits: ca.KeyBits, Namespaces: a.Namespaces, NotAfter: ca.NotAfter, Leaf: at}
	f.st.registry.putCA(id, rec)
	f.st.put(ledger.RecordCA, id[:], rec)
	return nil
}

func (r *registry) putCA(id ledger.Hash, rec *ledger.CARecord) {
	r.cas[id] = rec
	r.caKeys[rec.Key] = rec.Owner
}
