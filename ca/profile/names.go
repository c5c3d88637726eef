package profile

import (
	"strings"
	"unicode/utf8"

	"github.com/quorate-pki/quorate/internal/reason"
)

const (
	digits  = "0123456789"
	lower   = "abcdefghijklmnopqrstuvwxyz"
	upper   = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	letters = lower + upper
)

// only reports whether every byte of s is in set.
func only(s, set string) bool { return strings.Trim(s, set) == "" }

// attributes are the values in a Name that profiles look at; nil when there is none. They alias the input.
type attributes struct{ serial, common, country, organisation []byte }

// name reads a Name and returns its DER and attributes. A Name has at least one RDN; every RDN has one attribute, and
// no type appears twice: multi-valued RDNs and repetitions have no use here and many readings.
func (d *der) name() (whole []byte, found attributes) {
	at := d.at
	content, whole := d.takeWhole(tagSequence)
	if d.err != nil {
		return nil, attributes{}
	}
	n := &der{rest: content, at: d.at - len(content)}
	if len(content) == 0 {
		n.fail(reason.NameForm, "empty at byte %d", at)
	}
	seen := map[OID]bool{}
	for n.err == nil && len(n.rest) > 0 {
		oid, tag, value := n.attribute()
		switch {
		case n.err != nil:
		case seen[oid] && oid == oidSerialNumber:
			n.fail(reason.DeviceSerialTwice, "")
		case seen[oid]:
			n.fail(reason.NameForm, "attribute %s twice", oid)
		case oid == oidSerialNumber:
			found.serial = value
			if (tag != tagPrintableString && tag != tagUTF8String) || !validString(tag, value) || !ValidSerial(string(value)) {
				n.fail(reason.DeviceSerialForm, "%q", value)
			}
		case !validString(tag, value):
			n.fail(reason.NameForm, "attribute %s is not a valid string of 1 to 256 octets", oid)
		case oid == oidCommonName:
			found.common = value
		case oid == oidCountryName && tag == tagPrintableString: // RFC 5280 appendix A: no other
			found.country = value
		case oid == oidOrganizationName:
			found.organisation = value
		}
		seen[oid] = true
	}
	n.close(d)
	return whole, found
}

// attribute reads an RDN of one AttributeTypeAndValue (RFC 5280 section 4.1.2.4).
func (d *der) attribute() (oid OID, tag byte, value []byte) {
	rdn := d.inside(tagSet)
	attr := rdn.inside(tagSequence)
	oid = attr.oid()
	tag, value, _ = attr.element()
	attr.close(rdn)
	if rdn.err == nil && len(rdn.rest) > 0 {
		rdn.fail(reason.NameForm, "an RDN of several attributes at byte %d", rdn.at)
	}
	rdn.close(d)
	return oid, tag, value
}

// validString accepts the string types that RFC 5280 section 4.1.2.4 demands of issuers, and IA5String for e-mail
// addresses and domain components. Control characters are refused: they only serve to mislead who reads the name.
func validString(tag byte, value []byte) bool {
	if len(value) == 0 || len(value) > 256 {
		return false
	}
	switch tag {
	case tagPrintableString:
		return only(string(value), letters+digits+" '()+,-./:=?")
	case tagUTF8String:
		for _, r := range string(value) {
			if r < 0x20 || (r >= 0x7f && r <= 0x9f) {
				return false
			}
		}
		return utf8.Valid(value)
	case tagIA5String:
		for _, b := range value {
			if b < 0x20 || b > 0x7e {
				return false
			}
		}
		return true
	}
	return false
}

// ValidSerial reports whether s is a device serial: 1 to 64 characters of A-Z a-z 0-9 . _ : / -
func ValidSerial(s string) bool {
	return len(s) >= 1 && len(s) <= 64 && only(s, letters+digits+"._:/-")
}

// ValidDNSName reports whether s is a host name of at least two lower-case LDH labels (RFC 1123 section 2.1;
// A-labels of RFC 5890 included), without wildcard or final dot: labels of 1 to 63 characters, 253 in all.
func ValidDNSName(s string) bool {
	if len(s) > 253 || !strings.Contains(s, ".") {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' || !only(label, lower+digits+"-") {
			return false
		}
	}
	return true
}
