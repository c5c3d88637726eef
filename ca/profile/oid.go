package profile

import (
	"strconv"
	"strings"
)

// OID is an object identifier as its DER content octets: comparable, and equal exactly when the bytes are.
type OID string

// Attribute types.
const (
	oidCommonName       OID = "\x55\x04\x03" // 2.5.4.3
	oidSerialNumber     OID = "\x55\x04\x05" // 2.5.4.5
	oidCountryName      OID = "\x55\x04\x06" // 2.5.4.6
	oidOrganizationName OID = "\x55\x04\x0a" // 2.5.4.10
)

// Extensions (RFC 5280 section 4.2.1; nfTypes RFC 9310).
const (
	extSKI              OID = "\x55\x1d\x0e"
	extKeyUsage         OID = "\x55\x1d\x0f"
	extSAN              OID = "\x55\x1d\x11"
	extBasicConstraints OID = "\x55\x1d\x13"
	extNameConstraints  OID = "\x55\x1d\x1e"
	extAKI              OID = "\x55\x1d\x23"
	extEKU              OID = "\x55\x1d\x25"
	extNFTypes          OID = "\x2b\x06\x01\x05\x05\x07\x01\x22" // 1.3.6.1.5.5.7.1.34
)

// Extended key usages (RFC 5280 section 4.2.1.12, RFC 4945 section 5.1.3.12; iKEIntermediate is of a draft that expired,
// and what much VPN software looks for).
const (
	EKUServerAuth OID = "\x2b\x06\x01\x05\x05\x07\x03\x01" // 1.3.6.1.5.5.7.3.1
	EKUClientAuth OID = "\x2b\x06\x01\x05\x05\x07\x03\x02" // 1.3.6.1.5.5.7.3.2
	EKUIPsecIKE   OID = "\x2b\x06\x01\x05\x05\x07\x03\x11" // 1.3.6.1.5.5.7.3.17

	EKUIKEIntermediate OID = "\x2b\x06\x01\x05\x05\x08\x02\x02" // 1.3.6.1.5.5.8.2.2
)

// ParseOID reads the dotted form: what String prints, and nothing else.
func ParseOID(s string) (OID, bool) {
	var content []byte
	first := uint64(0)
	for i, arc := range strings.Split(s, ".") {
		n, err := strconv.ParseUint(arc, 10, 31)
		if err != nil {
			return "", false
		}
		switch i {
		case 0:
			first = n
			continue
		case 1:
			n += 40 * first
		}
		content = append(content, base128(n)...)
	}
	o := OID(content)
	return o, validOID(content) && o.String() == s
}

// base128 is a subidentifier (X.690 section 8.19.2).
func base128(n uint64) (b []byte) {
	b = []byte{byte(n & 0x7f)}
	for n >>= 7; n > 0; n >>= 7 {
		b = append([]byte{byte(n&0x7f) | 0x80}, b...)
	}
	return b
}

// validOID demands shortest subidentifiers (X.690 section 8.19.2) of at most 31 bits. The bound is what stock
// software reads; larger arcs (2.25 with a UUID) are refused by much of it.
func validOID(c []byte) bool {
	if len(c) == 0 || c[len(c)-1] >= 0x80 {
		return false
	}
	arc, first := uint64(0), true
	for _, b := range c {
		if first && b == 0x80 {
			return false
		}
		if arc = arc<<7 | uint64(b&0x7f); arc >= 1<<31 {
			return false
		}
		if first = b < 0x80; first {
			arc = 0
		}
	}
	return true
}

// String is the dotted form.
func (o OID) String() string {
	if !validOID([]byte(o)) {
		return "invalid"
	}
	var arcs []string
	arc := uint64(0)
	for i := range len(o) {
		arc = arc<<7 | uint64(o[i]&0x7f)
		if o[i] >= 0x80 {
			continue
		}
		if arcs == nil {
			// The first subidentifier holds two arcs (X.690 section 8.19.4).
			top := min(arc/40, 2)
			arcs = append(arcs, strconv.FormatUint(top, 10))
			arc -= 40 * top
		}
		arcs = append(arcs, strconv.FormatUint(arc, 10))
		arc = 0
	}
	return strings.Join(arcs, ".")
}
