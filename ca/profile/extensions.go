package profile

import (
	"bytes"

	"github.com/quorate-pki/quorate/internal/reason"
)

// KeyUsage is a set of key usages: bit i of RFC 5280 section 4.2.1.3 as 1<<i.
type KeyUsage uint16

// Key usages that profiles name. keyCertSign (5) and cRLSign (6) are in none: a self-issued certificate issues
// nothing.
const (
	DigitalSignature KeyUsage = 1 << 0
	KeyEncipherment  KeyUsage = 1 << 2
	KeyAgreement     KeyUsage = 1 << 4
)

// SANKind is a kind of subject alternative name: the GeneralName's context tag (RFC 5280 section 4.2.1.6).
type SANKind uint8

// SANDNS is dNSName; the other kinds stand with how they are read.
const SANDNS SANKind = 2

// lastSANKind is registeredID.
const lastSANKind SANKind = 8

// extensions reads Extensions (RFC 5280 section 4.1). Those that some profile has are read to the bottom; of
// others only the identifier is kept, for the profile to refuse. Their order is free.
func (c *Certificate) extensions(list *der) {
	c.each(list, c.extension)
	// RFC 5280 section 4.2.1.1: in a self-signed certificate the two identify one key.
	if list.err == nil && c.subjectKeyID != nil && c.authorityKeyID != nil && !bytes.Equal(c.subjectKeyID, c.authorityKeyID) {
		list.fail(reason.ExtensionForm, "authority and subject key identifier differ")
	}
}

// each reads a list of extensions, whose values read has to use up.
func (c *Certificate) each(list *der, read func(oid OID, critical bool, value *der)) {
	if list.err == nil && len(list.rest) == 0 {
		list.fail(reason.ExtensionForm, "an empty list of extensions")
	}
	seen := map[OID]bool{}
	for list.err == nil && len(list.rest) > 0 {
		e := list.inside(tagSequence)
		oid, critical := e.oid(), false
		if len(e.rest) > 0 && e.rest[0] == tagBoolean {
			critical = e.boolean()
		}
		value := e.inside(tagOctetString)
		if e.end(); e.err == nil && seen[oid] {
			e.fail(reason.ExtensionDuplicate, "%s", oid)
		}
		if e.close(list); list.err != nil {
			return
		}
		seen[oid] = true
		c.Extensions = append(c.Extensions, oid)
		read(oid, critical, value)
		value.close(list)
	}
}

func (c *Certificate) extension(oid OID, critical bool, value *der) {
	switch oid {
	case extSKI:
		c.subjectKeyID = keyIdentifier(value, value.take(tagOctetString), critical)
	case extAKI:
		c.authorityKeyIdentifier(value, critical)
	case extKeyUsage:
		c.KeyUsage, c.keyUsageCritical = KeyUsage(value.flags()), critical
	case extEKU:
		c.extendedKeyUsage(value)
	case extBasicConstraints:
		_, c.basicConstraints = value.takeWhole(tagSequence)
	case extSAN:
		c.sanCritical = critical
		c.alternativeNames(value)
	case extNFTypes:
		// Whether it is well-formed matters to a profile that has it, and to no other.
		c.nfTypes, c.nfTypesCritical = value.rest, critical
		value.rest = nil
	default:
		value.rest = nil // not read: no profile has it
	}
}

// keyIdentifier holds for both key identifiers: 1 to 64 octets, never critical (RFC 5280 sections 4.2.1.1, 4.2.1.2).
// How they were derived is the issuer's business.
func keyIdentifier(value *der, id []byte, critical bool) []byte {
	if value.err == nil && (critical || len(id) == 0 || len(id) > 64) {
		value.fail(reason.ExtensionForm, "a key identifier must have 1 to 64 octets and not be critical")
	}
	return id
}

// authorityKeyIdentifier accepts the keyIdentifier form only: the form with issuer and serial number repeats the
// certificate's own, and stock software disagrees on what to do when it does not.
func (c *Certificate) authorityKeyIdentifier(value *der, critical bool) {
	s := value.inside(tagSequence)
	id, present := s.optional(tagContext)
	if s.err == nil && (!present || len(s.rest) > 0) {
		s.fail(reason.ExtensionForm, "authorityKeyIdentifier must be keyid only, without issuer and serial")
	}
	s.close(value)
	c.authorityKeyID = keyIdentifier(value, id, critical)
}

func (c *Certificate) extendedKeyUsage(value *der) {
	s := value.inside(tagSequence)
	if s.err == nil && len(s.rest) == 0 {
		s.fail(reason.ExtendedKeyUsageForm, "empty")
	}
	seen := map[OID]bool{}
	for s.err == nil && len(s.rest) > 0 {
		oid := s.oid()
		if s.err == nil && seen[oid] {
			s.fail(reason.ExtendedKeyUsageForm, "%s twice", oid)
		}
		seen[oid] = true
		c.EKUs = append(c.EKUs, oid)
	}
	s.close(value)
}

// alternativeNames reads GeneralNames. DNS names are read to the bottom; of other kinds only the kind is kept.
func (c *Certificate) alternativeNames(value *der) {
	s := value.inside(tagSequence)
	if s.err == nil && len(s.rest) == 0 {
		s.fail(reason.SANMissing, "an empty list")
	}
	seen := map[string]bool{}
	for s.err == nil && len(s.rest) > 0 {
		at := s.at
		tag, content, whole := s.element()
		if s.err != nil {
			break
		}
		kind, name := SANKind(tag&0x1f), string(content)
		switch {
		case tag&0xc0 != tagContext || kind > lastSANKind || (kind == SANDNS && tag != tagContext|byte(SANDNS)):
			s.fail(reason.DERTag, "%#02x where an alternative name belongs at byte %d", tag, at)
		case seen[string(whole)]:
			s.fail(reason.SANDuplicate, "%q", name)
		case kind != SANDNS:
			c.otherNames = append(c.otherNames, otherName{kind, tag, content})
		case !ValidDNSName(name):
			s.fail(reason.DNSName, "%q", name)
		default:
			c.DNSNames = append(c.DNSNames, name)
		}
		seen[string(whole)] = true
	}
	s.close(value)
}
