package profile

import (
	"strings"
	"time"
	"unicode/utf8"

	"github.com/quorate-pki/quorate/internal/reason"
)

const oidSerialNumber = "\x55\x04\x05" // 2.5.4.5

// name reads a Name and returns its DER. With a certificate given it notes the device serial. A Name has at least one RDN; every RDN has one
// attribute, and no type appears twice: multi-valued RDNs and repetitions have no use here and many readings.
func (d *der) name(c *Certificate) []byte {
	content, whole := d.takeWhole(tagSequence)
	if d.err != nil {
		return nil
	}
	n := &der{rest: content}
	if len(content) == 0 {
		n.fail(reason.NameForm, "empty")
	}
	seen := map[string]bool{}
	for n.err == nil && len(n.rest) > 0 {
		rdn := n.inside(tagSet)
		attr := rdn.inside(tagSequence)
		oid := string(attr.take(tagOID))
		tag, value, _ := attr.element()
		attr.close(rdn)
		if rdn.err == nil && len(rdn.rest) > 0 {
			rdn.fail(reason.NameForm, "an RDN of several attributes")
		}
		rdn.close(n)
		if n.err != nil {
			break
		}
		if seen[oid] {
			n.fail(reason.NameForm, "attribute %x twice", oid)
			break
		}
		seen[oid] = true
		if !validString(tag, value) {
			n.fail(reason.NameForm, "attribute %x is not a valid string", oid)
			break
		}
		if oid == oidSerialNumber && c != nil {
			c.DeviceSerial = string(value)
			if !ValidSerial(c.DeviceSerial) {
				n.fail(reason.DeviceSerialForm, "%q", c.DeviceSerial)
			}
		}
	}
	n.close(d)
	return whole
}

// validString accepts the string types of RFC 5280 section 4.1.2.4 that CAs must use, and IA5String for e-mail.
func validString(tag byte, value []byte) bool {
	if len(value) == 0 || len(value) > 256 {
		return false
	}
	switch tag {
	case tagUTF8String:
		return utf8.Valid(value)
	case tagPrintableString:
		return strings.Trim(string(value), "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 '()+,-./:=?") == ""
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

// ValidSerial reports whether s is a device serial: 1..64 characters of A-Z a-z 0-9 . _ : / -
func ValidSerial(s string) bool {
	return len(s) >= 1 && len(s) <= 64 &&
		strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:/-") == ""
}

// ValidDNSName reports whether s is a host name of at least two lower-case LDH labels (RFC 5890 A-labels included),
// without wildcard or final dot.
func ValidDNSName(s string) bool {
	if len(s) > 253 || !strings.Contains(s, ".") {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' ||
			strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			return false
		}
	}
	return true
}

// Latest is 99991231235959Z, "no well-defined expiration date" (RFC 5280 section 4.1.2.5, IEEE 802.1AR).
const Latest int64 = 253402300799

// time reads a Time (RFC 5280 section 4.1.2.5).
func (d *der) time() int64 {
	tag, content, _ := d.element()
	if d.err != nil {
		return 0
	}
	s := string(content)
	layout := "060102150405Z"
	switch {
	case tag == tagUTCTime && len(s) == len(layout):
		// UTCTime years 50..99 are 1950..1999.
		if s[0] >= '5' {
			s = "19" + s
		} else {
			s = "20" + s
		}
	case tag == tagGeneralizedTime && len(s) == len("20060102150405Z"):
		if s < "2050" {
			d.fail(reason.TimeForm, "%q before 2050 must be UTCTime", s)
			return 0
		}
	case tag != tagUTCTime && tag != tagGeneralizedTime:
		d.fail(reason.DERTag, "tag %#02x where a time belongs", tag)
		return 0
	default:
		d.fail(reason.TimeForm, "%q", s)
		return 0
	}
	if strings.Trim(s[:14], "0123456789") != "" {
		d.fail(reason.TimeForm, "%q", s)
		return 0
	}
	t, err := time.Parse("20060102150405Z", s)
	if err != nil {
		d.fail(reason.TimeForm, "%q", s)
		return 0
	}
	return t.Unix()
}
