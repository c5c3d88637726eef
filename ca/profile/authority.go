package profile

import (
	"bytes"

	"github.com/quorate-pki/quorate/internal/reason"
)

// KeyCertSign and CRLSign are what a CA's key is for (RFC 5280 section 4.2.1.3).
const (
	KeyCertSign KeyUsage = 1 << 5
	CRLSign     KeyUsage = 1 << 6
)

// Authority is a CA certificate that the strict reader found well-formed: the certificate of an organisation's own CA, self-signed or issued by
// another one. Whoever issued it is not looked at: what it may vouch for is its owner's namespaces, not its chain.
type Authority struct {
	Certificate // DNSNames, DeviceSerial and EKUs are not read

	SelfIssued  bool
	PathLen     int  // how many CAs may be below it; -1: nothing said
	Constrained bool // it has name constraints, which are noted and not read
}

// minAuthorityModulus is the smallest RSA key of a CA, in bits: what it signs is believed for longer than what a device signs.
const minAuthorityModulus = 3072

// authorityAhead is how far ahead of the block's time a CA's notBefore may be, in seconds.
const authorityAhead = 48 * 60 * 60

// ParseAuthority reads a CA certificate: strict DER as Parse, of at most MaxCertificate bytes, and
//
//   - basicConstraints, critical, with CA:TRUE, and a path length or none;
//   - keyUsage, critical, with keyCertSign, and besides digitalSignature, nonRepudiation and cRLSign at most;
//   - nameConstraints, when it has them, critical;
//   - any other extension not critical, and not read;
//   - a key on P-256 or P-384, Ed25519, or RSA of at least 3072 bits; names as in every profile.
//
// When it is self-issued, its signature is its own key's. No date is looked at: Check does that. Every error is a *reason.Error.
func ParseAuthority(raw []byte) (*Authority, error) {
	if len(raw) > MaxCertificate {
		return nil, reason.New(reason.DERTooLarge, "%d bytes", len(raw))
	}
	c := Certificate{Raw: raw, authority: true, pathLen: -1}
	at, algorithm, err := c.outer()
	if err != nil {
		return nil, err
	}
	if err := c.signed(at, algorithm); err != nil {
		return nil, err
	}
	a := &Authority{Certificate: c, PathLen: c.pathLen, Constrained: c.constrained, SelfIssued: bytes.Equal(c.Issuer, c.Subject)}
	switch {
	case c.basicConstraints == nil:
		return nil, reason.New(reason.NotACA, "basicConstraints is missing")
	case c.KeyUsage == 0:
		return nil, reason.New(reason.CAKeyUsage, "keyUsage is missing")
	case c.Key.Kind == RSA && c.Key.Bits < minAuthorityModulus:
		return nil, reason.New(reason.CAKeySize, "%d bits", c.Key.Bits)
	case a.SelfIssued:
		if err := c.CheckSelfSignature(); err != nil {
			return nil, err
		}
	}
	return a, nil
}

// Check refuses a CA certificate that has ended, or that begins too far ahead of a block's time, in ms.
func (a *Authority) Check(blockTime uint64) error {
	now := int64(blockTime / 1000)
	if now > a.NotAfter || a.NotBefore > now+authorityAhead {
		return reason.New(reason.CAValidity, "")
	}
	return nil
}

// authorityExtensions reads the extensions of a CA.
func (c *Certificate) authorityExtensions(list *der) {
	c.each(list, func(oid OID, critical bool, value *der) {
		switch oid {
		case extSKI:
			c.subjectKeyID = keyIdentifier(value, value.take(tagOctetString), critical)
		case extKeyUsage:
			c.KeyUsage = KeyUsage(value.flags())
			const more = DigitalSignature | 1<<1 | CRLSign
			if value.err == nil && (!critical || c.KeyUsage&KeyCertSign == 0 || c.KeyUsage&^(KeyCertSign|more) != 0) {
				value.fail(reason.CAKeyUsage, "")
			}
		case extBasicConstraints:
			c.authorityConstraints(value, critical)
		case extNameConstraints:
			inside := value.inside(tagSequence)
			if value.err == nil && (!critical || len(inside.rest) == 0) {
				value.fail(reason.ExtensionForm, "nameConstraints must be critical and not empty")
			}
			inside.rest, c.constrained = nil, true
		default:
			if critical {
				value.fail(reason.ExtensionNotAllowed, "%s, critical, in a CA certificate", oid)
			}
			value.rest = nil // not read
		}
	})
}

// authorityConstraints reads BasicConstraints (RFC 5280 section 4.2.1.9), which must say CA:TRUE.
func (c *Certificate) authorityConstraints(value *der, critical bool) {
	whole := value.rest
	s := value.inside(tagSequence)
	if value.err == nil && (!critical || len(s.rest) == 0 || s.rest[0] != tagBoolean) {
		value.fail(reason.NotACA, "basicConstraints must be critical with CA:TRUE")
		return
	}
	s.boolean() // TRUE: FALSE is the DEFAULT, which DER leaves out
	if s.err == nil && len(s.rest) > 0 {
		n := s.integer()
		if s.err == nil && (len(n) != 1 || n[0] >= 0x80) {
			s.fail(reason.NotACA, "a path length of more than 127, or negative")
		} else if s.err == nil {
			c.pathLen = int(n[0])
		}
	}
	s.close(value)
	c.basicConstraints = whole
}
