package state

import (
	"bytes"
	"maps"
	"slices"

	"github.com/quorate-pki/quorate/ca/profile"
	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
)

// lifeStep judges a step of a device's life. The order of the checks is part of the rules: the device, who signed, what the step
// makes of it, the new certificate of a rekey, and last the proof of possession, which costs the most.
func (j *judge) lifeStep(tx *ledger.Parsed, step ledger.LifeStep, x *Examined, at uint64, e *ledger.Effects) (*outcome, error) {
	s := j.fold.st
	k, no, err := s.living(step)
	if err != nil {
		return nil, err
	}
	if no != nil {
		return refuse(no), nil
	}
	by, no := s.entitled(tx.Tx.Signers, step, k)
	if no != nil {
		return refuse(no), nil
	}
	p, no := s.passage(step, k, by, at, j.header.Time)
	if no != nil {
		return refuse(no), nil
	}
	owner, device := k.Owner, k.Device
	e.Owner, e.Device, e.Runs, e.Custodian, e.Authority = &owner, &device, p.runs, p.holder(), by
	switch a := step.(type) {
	case *ledger.Claim:
		e.Possession = ledger.PossessionProof
		if !j.possession(a, k.Holder(), a.SPKI, a.Alg, a.Proof) {
			return refuse(reason.New(reason.PossessionProof, "")), nil
		}
	case *ledger.Rekey:
		return j.rekey(tx, a, x, e)
	}
	return nil, nil
}

// possession verifies that a key signed for a step, in this channel and for this organisation.
func (j *judge) possession(step ledger.LifeStep, org ledger.OrgID, spki []byte, alg int64, sig []byte) bool {
	key, err := profile.ParseSPKI(spki)
	return err == nil && key.VerifyCOSE(alg, ledger.ProofMessage(j.fold.st.channel.Channel, org, step), sig)
}

// rekey judges what a rekey publishes: by the checks of a publication, but for the device, which is the old key's, and the key,
// which nobody has published.
func (j *judge) rekey(tx *ledger.Parsed, a *ledger.Rekey, x *Examined, e *ledger.Effects) (*outcome, error) {
	s, pub := j.fold.st, ledger.PublicationOf(a)
	voucher, line, org, no := j.rekeyer(tx, pub, *e.Owner)
	if no != nil {
		return no, nil
	}
	cert := x.Certificate
	if cert == nil {
		return refuseError(x.NoParse), nil
	}
	known, err := s.KeyRecord(x.SPKI)
	switch {
	case err != nil:
		return nil, err
	case known != nil && known.Barred:
		return refuse(reason.New(reason.KeyBarred, "")), nil
	case known != nil:
		return refuse(reason.New(reason.KeyPublishedBefore, "")), nil
	}
	prof, no := j.profile(pub, cert, org)
	if no != nil {
		return no, nil
	}
	if device(*e.Owner, prof, cert) != *e.Device {
		return refuse(reason.New(reason.RekeyOfAnotherDevice, "")), nil
	}
	namespaces, refusal := s.registry.ownNames(line.Line, prof, cert)
	if refusal != nil {
		return refuse(refusal), nil
	}
	if no, err := j.instance(*e.Owner, prof, cert); no != nil || err != nil {
		return no, err
	}
	if no, err := j.nameable(nil, x); no != nil || err != nil {
		return no, err
	}
	if no, err := j.quota(voucher, line, org); no != nil || err != nil {
		return no, err
	}
	protection := uint64(0)
	e.Evidence, e.Protection, e.Possession = ledger.EvidenceLine, &protection, ledger.PossessionProof
	if voucher == nil {
		e.Evidence = ledger.EvidenceOwner
	}
	e.Voucher, e.Namespaces, e.Profile = voucher, namespaces, a.Profile
	if no, err := j.rules("rekey", line, org, prof, x, e); no != nil || err != nil {
		return no, err
	}
	if !x.SelfSigned() {
		return refuse(reason.New(reason.SelfSignature, "")), nil
	}
	if !j.possession(a, *e.Owner, cert.SPKI, a.Alg, a.Proof) {
		return refuse(reason.New(reason.PossessionProof, "")), nil
	}
	return nil, nil
}

// rekeyer finds who vouches for the names of a rekey: one of the owner's line keys, within its rights, or else the owner's admins,
// for everything that is the owner's.
func (j *judge) rekeyer(tx *ledger.Parsed, pub *ledger.Publish, owner ledger.OrgID) (*ledger.Hash, *ledger.RegisteredKey, *ledger.OrgRecord, *outcome) {
	r := j.fold.st.registry
	for _, id := range tx.Tx.Signers {
		if k := r.keys[id]; k != nil && k.Role == ledger.KeyRoleLine && k.Owner == owner {
			line, org, no := j.vouching(id, r.admins(owner, tx.Tx.Signers), pub)
			return &id, line, org, no
		}
	}
	org := r.orgs[owner]
	if org == nil || !j.fold.st.enoughAdmins(owner, tx.Tx.Signers) {
		return nil, nil, nil, refuse(reason.New(reason.NotAPublisher, ""))
	}
	if org.State != ledger.OrgActive {
		return nil, nil, nil, refuse(reason.New(reason.OrganisationState, ""))
	}
	if !slices.Contains(org.Profiles, pub.Profile) {
		return nil, nil, nil, refuse(reason.New(reason.ProfileNotGranted, "%d", pub.Profile))
	}
	all := &ledger.LineKey{Owner: owner}
	for _, id := range slices.SortedFunc(maps.Keys(r.namespaces), func(a, b ledger.OrgID) int { return bytes.Compare(a[:], b[:]) }) {
		if r.namespaces[id].Owner == owner {
			all.Namespaces = append(all.Namespaces, id)
		}
	}
	return nil, &ledger.RegisteredKey{Owner: owner, Line: all}, org, nil
}
