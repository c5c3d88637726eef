package profile

import (
	"slices"

	"github.com/quorate-pki/quorate/internal/reason"
)

// Profile is a row of the table: what a kind of certificate must and may be. docs/profiles.md says the same in
// prose.
type Profile struct {
	ID   uint16 // in transactions; append-only
	Name string

	Keys     []KeyRule
	SigAlgs  []SigAlg
	KeyUsage uint16 // bits that may be set beside digitalSignature, which must be
	EKU      []string
	MaxYears int   // notAfter at most this many years (of 365.25 days) after block time, or Latest
	Ahead    int64 // notBefore at most this many seconds after block time: factory clocks err
	DNS      bool  // one or more dNSNames, and no other SAN
}

// KeyRule accepts keys of a kind from MinBits on.
type KeyRule struct {
	Kind    KeyKind
	MinBits int
	Legacy  int // with a legacy grant, from this many bits on; 0: no difference
}

// Bits of keyUsage.
const (
	digitalSignature = 1 << 0
	keyEncipherment  = 1 << 2
	keyAgreement     = 1 << 4
)

// Extended key usages, as OID content octets.
const (
	ekuServerAuth = "\x2b\x06\x01\x05\x05\x07\x03\x01"
	ekuClientAuth = "\x2b\x06\x01\x05\x05\x07\x03\x02"
	ekuIPsecIKE   = "\x2b\x06\x01\x05\x05\x07\x03\x11"
)

// Extensions, as OID content octets.
const (
	extSKI              = "\x55\x1d\x0e"
	extKeyUsage         = "\x55\x1d\x0f"
	extSAN              = "\x55\x1d\x11"
	extBasicConstraints = "\x55\x1d\x13"
	extAKI              = "\x55\x1d\x23"
	extEKU              = "\x55\x1d\x25"
)

var smallCell = Profile{
	ID: 1, Name: "small-cell",
	Keys:     []KeyRule{{P256, 256, 0}, {P384, 384, 0}, {Ed25519, 256, 0}, {RSA, 3072, 2048}},
	SigAlgs:  []SigAlg{ECDSAWithSHA256, ECDSAWithSHA384, Ed25519Signature, RSAWithSHA256, RSAWithSHA384},
	KeyUsage: keyEncipherment | keyAgreement,
	EKU:      []string{ekuClientAuth, ekuServerAuth, ekuIPsecIKE},
	MaxYears: 25,
	Ahead:    48 * 3600,
	DNS:      true,
}

// All returns the profiles in order of id.
func All() []*Profile { return []*Profile{&smallCell} }

// ByID finds a profile.
func ByID(id uint16) (*Profile, bool) {
	i := slices.IndexFunc(All(), func(p *Profile) bool { return p.ID == id })
	if i < 0 {
		return nil, false
	}
	return All()[i], true
}

// ByName finds a profile.
func ByName(name string) (*Profile, bool) {
	i := slices.IndexFunc(All(), func(p *Profile) bool { return p.Name == name })
	if i < 0 {
		return nil, false
	}
	return All()[i], true
}

// Grant is what an organisation's registration adds.
type Grant struct{ LegacyRSA2048 bool }

// Check judges a parsed certificate by the profile at a block time (ms since 1970, UTC). It checks no signature and
// no ownership. Every error is a *reason.Error.
func (p *Profile) Check(c *Certificate, blockTime uint64, g Grant) error {
	if err := p.key(c, g); err != nil {
		return err
	}
	if c.DeviceSerial == "" {
		return reason.New(reason.DeviceSerialMissing, "")
	}
	if err := p.dates(c, int64(blockTime/1000)); err != nil {
		return err
	}
	return p.extensions(c)
}

func (p *Profile) key(c *Certificate, g Grant) error {
	i := slices.IndexFunc(p.Keys, func(r KeyRule) bool { return r.Kind == c.Key.Kind })
	if i < 0 {
		return reason.New(reason.KeyNotInProfile, "%s", c.Key.Kind)
	}
	switch r := p.Keys[i]; {
	case c.Key.Bits >= r.MinBits:
	case r.Legacy == 0 || c.Key.Bits < r.Legacy:
		return reason.New(reason.KeyNotInProfile, "%s of %d bits", c.Key.Kind, c.Key.Bits)
	case !g.LegacyRSA2048:
		return reason.New(reason.LegacyKeyNotGranted, "%s of %d bits", c.Key.Kind, c.Key.Bits)
	}
	if !slices.Contains(p.SigAlgs, c.SigAlg) {
		return reason.New(reason.AlgorithmNotInProfile, "")
	}
	return nil
}

const yearSeconds = 31_557_600 // 365.25 days

func (p *Profile) dates(c *Certificate, now int64) error {
	switch {
	case c.NotAfter <= now:
		return reason.New(reason.CertificateExpired, "")
	case c.NotAfter != Latest && c.NotAfter > now+int64(p.MaxYears)*yearSeconds:
		return reason.New(reason.NotAfterTooFar, "")
	case c.NotBefore > now+p.Ahead:
		return reason.New(reason.NotBeforeTooFar, "")
	}
	return nil
}

func (p *Profile) extensions(c *Certificate) error {
	names := false
	c.KeyUsage, c.EKU, c.DNSNames = 0, nil, nil
	for _, x := range c.extensions {
		d := &der{rest: x.value}
		switch x.oid {
		case extSKI:
			keyIdentifier(d, x)
		case extAKI:
			authorityKeyIdentifier(d, x)
		case extKeyUsage:
			p.keyUsage(d, x, c)
		case extEKU:
			p.extendedKeyUsage(d, c)
		case extBasicConstraints:
			if content := d.take(tagSequence); d.err != nil || len(content) != 0 {
				return reason.New(reason.BasicConstraintsForm, "")
			}
		case extSAN:
			names = true
			p.names(d, c)
		default:
			return reason.New(reason.ExtensionNotAllowed, "%x", x.oid)
		}
		if d.close(d); d.err != nil {
			return d.err
		}
	}
	if c.KeyUsage == 0 {
		return reason.New(reason.KeyUsageForm, "absent")
	}
	if !names {
		return reason.New(reason.SANMissing, "")
	}
	return nil
}

// keyIdentifier: SKI is an OCTET STRING, never critical (RFC 5280 section 4.2.1.2).
func keyIdentifier(d *der, x extension) {
	id := d.take(tagOctetString)
	if d.err == nil && (x.critical || len(id) == 0 || len(id) > 64) {
		d.fail(reason.ExtensionForm, "subject key identifier")
	}
}

// authorityKeyIdentifier: the keyIdentifier form only, never critical (RFC 5280 section 4.2.1.1).
func authorityKeyIdentifier(d *der, x extension) {
	s := d.inside(tagSequence)
	id, present := s.optional(tagContext | 0)
	if s.err == nil && (x.critical || !present || len(id) == 0 || len(id) > 64 || len(s.rest) > 0) {
		s.fail(reason.ExtensionForm, "authority key identifier: keyid only")
	}
	s.close(d)
}

// keyUsage is a BIT STRING without trailing zero bits (X.690 section 11.2.2).
func (p *Profile) keyUsage(d *der, x extension, c *Certificate) {
	bits := d.take(tagBitString)
	if d.err != nil {
		return
	}
	if len(bits) < 2 || len(bits) > 3 || bits[0] > 7 || bits[len(bits)-1]>>bits[0]&1 == 0 || bits[len(bits)-1]&(1<<bits[0]-1) != 0 {
		d.fail(reason.KeyUsageForm, "not in DER")
		return
	}
	for i := range 8 * (len(bits) - 1) {
		if bits[1+i/8]&(0x80>>(i%8)) != 0 {
			c.KeyUsage |= 1 << i
		}
	}
	if !x.critical || c.KeyUsage&digitalSignature == 0 || c.KeyUsage&^(digitalSignature|p.KeyUsage) != 0 {
		d.fail(reason.KeyUsageForm, "")
	}
}

func (p *Profile) extendedKeyUsage(d *der, c *Certificate) {
	s := d.inside(tagSequence)
	for s.err == nil && len(s.rest) > 0 {
		oid := string(s.take(tagOID))
		if s.err == nil && (!slices.Contains(p.EKU, oid) || slices.Contains(c.EKU, oid)) {
			s.fail(reason.ExtendedKeyUsageForm, "%x", oid)
		}
		c.EKU = append(c.EKU, oid)
	}
	if s.err == nil && len(c.EKU) == 0 {
		s.fail(reason.ExtendedKeyUsageForm, "empty")
	}
	s.close(d)
}

func (p *Profile) names(d *der, c *Certificate) {
	s := d.inside(tagSequence)
	for s.err == nil && len(s.rest) > 0 {
		tag, value, _ := s.element()
		if s.err != nil {
			break
		}
		name := string(value)
		switch {
		case tag != tagContext|2 || !p.DNS:
			s.fail(reason.SANKind, "tag %#02x", tag)
		case !ValidDNSName(name):
			s.fail(reason.DNSName, "%q", name)
		case slices.Contains(c.DNSNames, name):
			s.fail(reason.SANDuplicate, "%q", name)
		}
		c.DNSNames = append(c.DNSNames, name)
	}
	if s.err == nil && len(c.DNSNames) == 0 {
		s.fail(reason.SANMissing, "empty")
	}
	s.close(d)
}
