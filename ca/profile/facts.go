package profile

// What a certificate says, in words, for members' own rules (docs/rules.md). The words are part of the rules.

// Attribute is an attribute of a subject.
type Attribute struct{ Type, Value string }

// attributeName is the short name of RFC 4519 and RFC 4514 section 3, and what RFC 5280 appendix A adds. Others go by their OID.
func attributeName(oid OID) string {
	switch oid {
	case oidCommonName:
		return "CN"
	case oidSerialNumber:
		return "serialNumber"
	case oidCountryName:
		return "C"
	case "\x55\x04\x07": // 2.5.4.7
		return "L"
	case "\x55\x04\x08": // 2.5.4.8
		return "ST"
	case "\x55\x04\x09": // 2.5.4.9
		return "street"
	case oidOrganizationName:
		return "O"
	case "\x55\x04\x0b": // 2.5.4.11
		return "OU"
	case "\x55\x04\x0c": // 2.5.4.12
		return "title"
	case "\x09\x92\x26\x89\x93\xf2\x2c\x64\x01\x19": // 0.9.2342.19200300.100.1.25
		return "DC"
	case "\x2a\x86\x48\x86\xf7\x0d\x01\x09\x01": // 1.2.840.113549.1.9.1
		return "emailAddress"
	}
	return oid.String()
}

// Attributes are those of the subject, in order. No type is there twice.
func (c *Certificate) Attributes() []Attribute {
	var out []Attribute
	d := &der{rest: c.Subject}
	for name := d.inside(tagSequence); name.err == nil && len(name.rest) > 0; {
		oid, _, value := name.attribute()
		if name.err == nil {
			out = append(out, Attribute{attributeName(oid), string(value)})
		}
	}
	return out
}

// Names are those that RFC 5280 section 4.2.1.3 gives the bits that are set, in the order of the bits.
func (u KeyUsage) Names() []string {
	var out []string
	for i, name := range []string{"digitalSignature", "nonRepudiation", "keyEncipherment", "dataEncipherment", "keyAgreement", "keyCertSign",
		"cRLSign", "encipherOnly", "decipherOnly"} {
		if u&(1<<i) != 0 {
			out = append(out, name)
		}
	}
	return out
}

// EKUName is the name of an extended key usage; the dotted OID of one that no profile has.
func EKUName(oid OID) string {
	switch oid {
	case EKUServerAuth:
		return "serverAuth"
	case EKUClientAuth:
		return "clientAuth"
	case EKUIPsecIKE:
		return "ipsecIKE"
	case EKUIKEIntermediate:
		return "iKEIntermediate"
	}
	return oid.String()
}
