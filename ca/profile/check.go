package profile

import (
	"bytes"
	"slices"
	"strings"

	"github.com/quorate-pki/quorate/internal/reason"
)

// Check judges a parsed certificate by the profile at a block time (ms since 1970 UTC). It checks no signature and
// no ownership. The order of the checks is part of the rules: the first that fails names the verdict. Every error
// is a *reason.Error.
func (p *Profile) Check(c *Certificate, blockTime uint64, g Grant) error {
	// Certificates count whole seconds, and every bound below holds for the cut-off time exactly when it holds for
	// the milliseconds.
	now := int64(blockTime / 1000)
	for _, err := range []*reason.Error{
		p.key(c, g), p.subject(c), p.dates(c, now), p.extensions(c), p.keyUsage(c), p.extendedKeyUsage(c), p.names(c),
		p.commonName(c), p.networkFunction(c),
	} {
		if err != nil {
			return err
		}
	}
	return nil
}

func (p *Profile) key(c *Certificate, g Grant) *reason.Error {
	i := slices.IndexFunc(p.Keys, func(r KeyRule) bool { return r.Kind == c.Key.Kind })
	if i < 0 {
		return reason.New(reason.KeyNotInProfile, "%s", c.Key.Kind)
	}
	switch r := p.Keys[i]; {
	case c.Key.Bits >= r.MinBits:
	case r.LegacyBits == 0 || c.Key.Bits < r.LegacyBits:
		return reason.New(reason.KeyNotInProfile, "%s of %d bits", c.Key.Kind, c.Key.Bits)
	case !g.LegacyRSA2048:
		return reason.New(reason.LegacyKeyNotGranted, "%s of %d bits", c.Key.Kind, c.Key.Bits)
	}
	if !slices.Contains(p.SigAlgs, c.SigAlg) {
		return reason.New(reason.AlgorithmNotInProfile, "%s", c.SigAlg)
	}
	return nil
}

func (p *Profile) subject(c *Certificate) *reason.Error {
	if p.DeviceSerial && c.DeviceSerial == "" {
		return reason.New(reason.DeviceSerialMissing, "")
	}
	return p.home(c)
}

func (p *Profile) dates(c *Certificate, now int64) *reason.Error {
	switch {
	case c.NotAfter <= now:
		return reason.New(reason.CertificateExpired, "")
	case (c.NotAfter != Latest || !p.NoEnd) && c.NotAfter > addYears(now, p.MaxYears):
		return reason.New(reason.NotAfterTooFar, "more than %d years ahead", p.MaxYears)
	case c.NotBefore > now+p.Ahead:
		return reason.New(reason.NotBeforeTooFar, "more than %d hours ahead", p.Ahead/3600)
	}
	return nil
}

func (p *Profile) extensions(c *Certificate) *reason.Error {
	for _, oid := range c.Extensions {
		if !slices.Contains(p.Extensions, oid) {
			return reason.New(reason.ExtensionNotAllowed, "%s", oid)
		}
	}
	if p.NotCA && c.basicConstraints != nil && !bytes.Equal(c.basicConstraints, []byte{tagSequence, 0}) {
		return reason.New(reason.BasicConstraintsForm, "")
	}
	return nil
}

func (p *Profile) keyUsage(c *Certificate) *reason.Error {
	present := slices.Contains(c.Extensions, extKeyUsage)
	switch {
	case !present && p.KeyUsageMust != 0:
		return reason.New(reason.KeyUsageMissing, "")
	case present && !c.keyUsageCritical:
		return reason.New(reason.KeyUsageForm, "not critical")
	case c.KeyUsage&p.KeyUsageMust != p.KeyUsageMust:
		return reason.New(reason.KeyUsageForm, "a bit that the profile demands is not set")
	case c.KeyUsage&^(p.KeyUsageMust|p.KeyUsageMay) != 0:
		return reason.New(reason.KeyUsageForm, "a bit is set that the profile does not have")
	case p.KeyUsageFits && c.KeyUsage&^usable(c.Key.Kind) != 0:
		return reason.New(reason.KeyUsageForm, "a bit is set that goes with no key of kind %s", c.Key.Kind)
	}
	return nil
}

// usable are the bits, of those that profiles name, that mean something for a kind of key: encipherment is RSA's
// (RFC 8813 section 3 forbids it for the others' curves, RFC 9295 section 3 for Ed25519), agreement that of ECDH.
func usable(k KeyKind) KeyUsage {
	switch k {
	case RSA:
		return DigitalSignature | KeyEncipherment
	case P256, P384:
		return DigitalSignature | KeyAgreement
	}
	return DigitalSignature
}

func (p *Profile) extendedKeyUsage(c *Certificate) *reason.Error {
	for _, oid := range c.EKUs {
		if !slices.Contains(p.EKUs, oid) {
			return reason.New(reason.ExtendedKeyUsageForm, "%s", oid)
		}
	}
	if p.EKURequired && len(c.EKUs) == 0 {
		return reason.New(reason.ExtendedKeyUsageMissing, "")
	}
	for _, oid := range p.EKUMust {
		if !slices.Contains(c.EKUs, oid) {
			return reason.New(reason.ExtendedKeyUsageMissing, "%s", oid)
		}
	}
	return nil
}

func (p *Profile) names(c *Certificate) *reason.Error {
	if p.SANRequired && !slices.Contains(c.Extensions, extSAN) {
		return reason.New(reason.SANMissing, "")
	}
	if len(c.DNSNames) > 0 && !slices.Contains(p.SANs, SANDNS) {
		return reason.New(reason.SANKind, "dNSName")
	}
	for _, n := range c.otherNames {
		if !slices.Contains(p.SANs, n.kind) {
			return reason.New(reason.SANKind, "GeneralName [%d]", n.kind)
		}
	}
	if err := p.hardware(c); err != nil {
		return err
	}
	return p.instance(c)
}

// commonName holds a commonName to what ownership is judged of. Stock software takes it for the host name of a
// certificate that has no dNSName (RFC 6125 section 6.4.4), and people read it first.
func (p *Profile) commonName(c *Certificate) *reason.Error {
	if !p.CommonName || c.common == nil {
		return nil
	}
	name := string(c.common)
	if slices.Contains(c.DNSNames, name) {
		return nil
	}
	// A device serial may look like a host name, and who owns the one need not own the other.
	if name == c.DeviceSerial && !ValidDNSName(strings.ToLower(c.DeviceSerial)) {
		return nil
	}
	return reason.New(reason.CommonName, "%q", name)
}
