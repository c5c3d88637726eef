package state

import (
	"slices"

	"github.com/quorate-pki/quorate/ca/profile"
	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
)

// publish judges a publication. The order of the checks is part of the rules: the first that fails names the
// verdict.
func (j *judge) publish(tx *ledger.Parsed, p *ledger.Publish, x *Examined, at uint64, e *ledger.Effects) (*outcome, error) {
	s := j.fold.st
	if p.Commitment != nil {
		return refuse(reason.New(reason.Reserved, "commitment form")), nil
	}
	voucher, line, org, no := j.publisher(tx.Tx.Signers, p)
	if no != nil {
		return no, nil
	}
	cert := x.Certificate
	if cert == nil {
		return refuseError(x.NoParse), nil
	}
	known, err := s.KeyRecord(x.SPKI)
	if err != nil {
		return nil, err
	}
	// Before the profile, whose answer depends on the time: what was published stays published.
	if no := alreadyPublished(known, cert, line.Owner); no != nil {
		return no, nil
	}
	prof, no := j.profile(p, cert, org)
	if no != nil {
		return no, nil
	}
	namespaces, refusal := s.registry.ownNames(line.Line, prof, cert)
	if refusal != nil {
		return refuse(refusal), nil
	}
	if no, err := j.instance(line.Owner, prof, cert); no != nil || err != nil {
		return no, err
	}
	device := device(line.Owner, prof, cert)
	if no, err := j.unique(known, device); no != nil || err != nil {
		return no, err
	}
	if no, err := j.nameable(known, x); no != nil || err != nil {
		return no, err
	}
	if no, err := j.quota(&voucher, line, org); no != nil || err != nil {
		return no, err
	}
	entitle(e, line.Owner, voucher, namespaces)
	if no, err := j.rules("publish", line, org, prof, x, e); no != nil || err != nil {
		return no, err
	}
	// The signature comes last because it costs the most; nothing above depends on it.
	if !x.SelfSigned() {
		return refuse(reason.New(reason.SelfSignature, "")), nil
	}
	e.Runs = []ledger.Run{{First: at, Count: 1, Status: ledger.Good}}
	e.Profile, e.Device = p.Profile, &device
	if known != nil && !known.Custodian.IsZero() {
		e.Custodian = &known.Custodian
	}
	return nil, nil
}

// publisher finds the line key that vouches, its id and its organisation.
func (j *judge) publisher(signers []ledger.Hash, p *ledger.Publish) (id ledger.Hash, line *ledger.RegisteredKey, org *ledger.OrgRecord, no *outcome) {
	id, admins, no := j.voucher(signers)
	if no != nil {
		return id, nil, nil, no
	}
	line, org, no = j.vouching(id, admins, p)
	return id, line, org, no
}

// vouching says whether a key vouches for a publication, so many admins of its owner signing with it.
func (j *judge) vouching(id ledger.Hash, admins uint64, p *ledger.Publish) (line *ledger.RegisteredKey, org *ledger.OrgRecord, no *outcome) {
	r, h := j.fold.st.registry, j.header.Height
	line = r.keys[id]
	if line == nil || line.Role != ledger.KeyRoleLine || line.Line.Rights&ledger.RightPublish == 0 {
		return nil, nil, refuse(reason.New(reason.NotAPublisher, ""))
	}
	org = r.orgs[line.Owner]
	switch {
	case h < line.Line.From || (line.Line.Until != 0 && h > line.Line.Until):
		no = refuse(reason.New(reason.LineKeyNotInForce, ""))
	case org == nil || org.State != ledger.OrgActive:
		no = refuse(reason.New(reason.OrganisationState, ""))
	case len(line.Cuts) > 0 && admins < org.AdminM:
		no = refuse(reason.New(reason.Countersignature, ""))
	case !slices.Contains(line.Line.Profiles, p.Profile) || !slices.Contains(org.Profiles, p.Profile):
		no = refuse(reason.New(reason.ProfileNotGranted, "%d", p.Profile))
	}
	return line, org, no
}

// profile checks the certificate against the profile it is submitted under.
func (j *judge) profile(p *ledger.Publish, cert *profile.Certificate, org *ledger.OrgRecord) (*profile.Profile, *outcome) {
	prof, ok := knownProfile(p.Profile, j.fold.st.channel.Rules)
	if !ok {
		return nil, refuse(reason.New(reason.ProfileNotGranted, "%d is not known", p.Profile))
	}
	if err := prof.Check(cert, uint64(j.header.Time), profile.Grant{LegacyRSA2048: org.LegacyRSA}); err != nil {
		return nil, refuseError(err)
	}
	return prof, nil
}

// knownProfile finds a profile among those of a rule version: what a newer one brought does not exist yet.
func knownProfile(id, rules uint64) (*profile.Profile, bool) {
	p, ok := profile.ByID(uint16(id))
	if !ok || id > 0xffff || p.Since > rules {
		return nil, false
	}
	return p, true
}

// alreadyPublished finds the old publication of the same bytes, or refuses the same content under other
// signature bytes: ECDSA is malleable, and the old receipt would not rebuild the new leaf.
func alreadyPublished(k *ledger.KeyRecord, cert *profile.Certificate, owner ledger.OrgID) *outcome {
	if k == nil {
		return nil
	}
	if k.Owner != owner {
		return refuse(reason.New(reason.KeyOfAnotherOwner, ""))
	}
	tbs, der := ledger.Sum(cert.TBS), ledger.Sum(cert.Raw)
	for _, c := range k.Certificates {
		if c.DER == der {
			return &outcome{code: reason.AlreadyPublished, leaf: c.Leaf}
		}
		if c.TBS == tbs {
			return refuse(reason.New(reason.SignatureDiffers, ""))
		}
	}
	return nil
}

// unique holds a key to one device and a device to one key.
func (j *judge) unique(k *ledger.KeyRecord, device ledger.Hash) (*outcome, error) {
	if k == nil {
		var d ledger.DeviceRecord
		taken, err := j.fold.st.get(ledger.RecordDevice, device[:], &d)
		if err != nil || !taken {
			return nil, err
		}
		return j.otherKey(d.Leaf)
	}
	if k.Successor != nil {
		return refuse(reason.New(reason.KeySuperseded, "")), nil
	}
	if k.Retired {
		return refuse(reason.New(reason.DeviceRetired, "")), nil
	}
	if k.Barred {
		return refuse(reason.New(reason.KeyBarred, "")), nil
	}
	if k.Device != device {
		return refuse(reason.New(reason.KeyOfAnotherDevice, "")), nil
	}
	for _, c := range k.Certificates {
		if c.Status == ledger.Suspended {
			return refuse(reason.New(reason.KeySuspended, "")), nil
		}
	}
	if len(k.Certificates) >= ledger.MaxCertificatesPerKey {
		return refuse(reason.New(reason.TooManyCertificates, "")), nil
	}
	return nil, nil
}

// otherKey says why a device that has a key takes no other one by a publication.
func (j *judge) otherKey(published uint64) (*outcome, error) {
	p, err := ledger.ReadPublication(j.fold.st.raw, published)
	if err != nil {
		return nil, err
	}
	old, err := j.fold.st.KeyRecord(p.Key)
	if err != nil {
		return nil, err
	}
	if old != nil && old.Retired {
		return refuse(reason.New(reason.DeviceRetired, "")), nil
	}
	return refuse(reason.New(reason.DeviceHasAnotherKey, "")), nil
}

// nameable holds every certificate to an OCSP CertID of its own (RFC 6960 section 4.1.1): issuer name, issuer key and
// serial. Two certificates under one would share an answer, and publishing the second would undo a revocation of the
// first. A clash implies the same key, so a key never seen costs no read.
func (j *judge) nameable(known *ledger.KeyRecord, x *Examined) (*outcome, error) {
	if j.fold.st.registry.owned(x.SPKI) {
		return refuse(reason.New(reason.KeyOfTheConsortium, "")), nil
	}
	if known == nil {
		return nil, nil
	}
	taken, err := j.fold.st.certIDTaken(x.Certificate)
	if err != nil || !taken {
		return nil, err
	}
	return refuse(reason.New(reason.CertIDTaken, "")), nil
}

// quota holds the line key, if one vouches, and its organisation to their daily and total numbers.
func (j *judge) quota(id *ledger.Hash, line *ledger.RegisteredKey, org *ledger.OrgRecord) (*outcome, error) {
	check := func(key []byte, day, total uint64) (*outcome, error) {
		u, err := j.fold.st.usage(key, j.header.Time.Day())
		switch {
		case err != nil:
			return nil, err
		case u.Published >= day:
			return refuse(reason.New(reason.QuotaDay, "")), nil
		case u.Total >= total:
			return refuse(reason.New(reason.QuotaTotal, "")), nil
		}
		return nil, nil
	}
	if id != nil {
		if no, err := check(id[:], line.Line.QuotaDay, line.Line.QuotaTotal); no != nil || err != nil {
			return no, err
		}
	}
	return check(line.Owner[:], org.QuotaDay, org.QuotaTotal)
}

// usage reads a usage record with its daily counts reset when the day is another.
func (s *State) usage(key []byte, day uint32) (ledger.Usage, error) {
	u, ok := s.counting(key)
	if !ok {
		if _, err := s.get(ledger.RecordUsage, key, &u); err != nil {
			return u, err
		}
	}
	if u.Day != day {
		u.Day, u.Published, u.Suspended = day, 0, 0
	}
	return u, nil
}

// counting finds a count that this block, or the attempt within it, has changed already.
func (s *State) counting(key []byte) (ledger.Usage, bool) {
	for l := s; l != nil && l.counts != nil; l = l.parent {
		if u, ok := l.counts[string(key)]; ok {
			return u, true
		}
	}
	return ledger.Usage{}, false
}

// count keeps a count until the block ends: every publication changes two, and they are written once.
func (s *State) count(key []byte, u ledger.Usage) { s.counts[string(key)] = u }

// writeCounts ends the counting of a block.
func (s *State) writeCounts() {
	for key, u := range s.counts {
		s.put(ledger.RecordUsage, []byte(key), u)
	}
	s.counts = nil
}
