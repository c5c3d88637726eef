package ocsp

import (
	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// Object identifiers, as the content octets of their DER form. They are compared as octets and not as numbers,
// because the arcs of an unknown identifier may be larger than any integer type.
const (
	oidBasicResponse  = "\x2b\x06\x01\x05\x05\x07\x30\x01\x01" // id-pkix-ocsp-basic, 1.3.6.1.5.5.7.48.1.1
	oidNonce          = "\x2b\x06\x01\x05\x05\x07\x30\x01\x02" // id-pkix-ocsp-nonce
	oidArchiveCutoff  = "\x2b\x06\x01\x05\x05\x07\x30\x01\x06" // id-pkix-ocsp-archive-cutoff
	oidExtendedRevoke = "\x2b\x06\x01\x05\x05\x07\x30\x01\x09" // id-pkix-ocsp-extended-revoke

	// privateArc is for documentation (RFC 5612), until this project has a number of its own: 1.3.6.1.4.1.32473.
	privateArc = "\x2b\x06\x01\x04\x01\x81\xfd\x59"
	oidProofs  = privateArc + "\x01\x01"

	oidSHA1   = "\x2b\x0e\x03\x02\x1a"
	oidSHA256 = "\x60\x86\x48\x01\x65\x03\x04\x02\x01"
	oidSHA384 = "\x60\x86\x48\x01\x65\x03\x04\x02\x02"

	oidECDSAWithSHA256 = "\x2a\x86\x48\xce\x3d\x04\x03\x02"
	oidECDSAWithSHA384 = "\x2a\x86\x48\xce\x3d\x04\x03\x03"
	oidSHA256WithRSA   = "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b"
	oidEd25519         = "\x2b\x65\x70"
)

// derNull is the DER encoding of NULL.
const derNull = "\x05\x00"

// explicit is the tag [n] EXPLICIT.
func explicit(n uint8) asn1.Tag { return asn1.Tag(n).ContextSpecific().Constructed() }

// extension is one X.509 extension. value is the content of extnValue.
type extension struct {
	oid      string // content octets
	critical bool
	value    []byte
}

// readOID reads an OBJECT IDENTIFIER and checks that each arc is written in the fewest octets (X.690 8.19.2).
func readOID(s *cryptobyte.String, out *cryptobyte.String) bool {
	var content cryptobyte.String
	if !s.ReadASN1(&content, asn1.OBJECT_IDENTIFIER) || len(content) == 0 {
		return false
	}
	arcStarts := true
	for _, c := range content {
		if arcStarts && c == 0x80 {
			return false
		}
		arcStarts = c&0x80 == 0
	}
	*out = content
	return arcStarts // the last arc is complete
}

// readIntegerOctets reads an INTEGER of any size and sign and returns its content octets, which must be the
// fewest (X.690 8.3.2).
func readIntegerOctets(s *cryptobyte.String, out *[]byte) bool {
	var content cryptobyte.String
	if !s.ReadASN1(&content, asn1.INTEGER) || len(content) == 0 {
		return false
	}
	if len(content) > 1 {
		negative := content[1]&0x80 != 0
		if content[0] == 0x00 && !negative || content[0] == 0xff && negative {
			return false
		}
	}
	*out = content
	return true
}

// readExtensions reads the content of Extensions: at least one, none twice, and critical written only when true
// (FALSE is its DEFAULT, which DER leaves out).
func readExtensions(s *cryptobyte.String, out *[]extension) bool {
	var list cryptobyte.String
	if !s.ReadASN1(&list, asn1.SEQUENCE) || list.Empty() {
		return false
	}
	seen := make(map[string]struct{})
	for !list.Empty() {
		var (
			item, oid cryptobyte.String
			e         extension
		)
		if !list.ReadASN1(&item, asn1.SEQUENCE) || !readOID(&item, &oid) {
			return false
		}
		e.oid = string(oid)
		if item.PeekASN1Tag(asn1.BOOLEAN) {
			if !item.ReadASN1Boolean(&e.critical) || !e.critical {
				return false
			}
		}
		if !item.ReadASN1((*cryptobyte.String)(&e.value), asn1.OCTET_STRING) || !item.Empty() {
			return false
		}
		if _, twice := seen[e.oid]; twice {
			return false
		}
		seen[e.oid] = struct{}{}
		*out = append(*out, e)
	}
	return true
}

// nonceExtension wraps a nonce: extnValue holds the DER OCTET STRING (RFC 9654 section 2.1).
func nonceExtension(nonce []byte) extension {
	var w writer
	w.element(tagOctets, nonce)
	value, _ := w.written() // only times can fail
	return extension{oid: oidNonce, value: value}
}
