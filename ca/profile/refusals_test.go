package profile

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/quorate-pki/quorate/internal/reason"
)

// refusal is one way to spoil a good certificate, and the verdict it must get.
type refusal struct {
	name  string
	want  reason.Code
	spoil func(s *spec)
}

func sans(names ...string) []byte {
	var all []byte
	for _, n := range names {
		all = append(all, tlv(0x82, str(n))...)
	}
	return ext(extSAN, false, tlv(tagSequence, all))
}

func keyUsage(critical bool, content ...byte) []byte {
	return ext(extKeyUsage, critical, tlv(tagBitString, content))
}

func name(attrs ...[]byte) func(*spec) {
	return func(s *spec) { s.subject = tlv(tagSequence, attrs...); s.issuer = s.subject }
}

func deviceSerial(tag byte, v string) func(*spec) { return name(attr(oidSerialNumber, tag, v)) }

func utc(t time.Time) []byte { return tlv(tagUTCTime, str(t.Format("060102150405Z"))) }

func generalized(t time.Time) []byte {
	return tlv(tagGeneralizedTime, str(t.Format("20060102150405Z")))
}

func blockClock() time.Time { return time.UnixMilli(int64(blockTime)).UTC().Truncate(time.Second) }

func rsaSPKI(n *big.Int, e int64) []byte {
	num := func(x *big.Int) []byte {
		b := x.Bytes()
		if len(b) == 0 || b[0] >= 0x80 {
			b = append([]byte{0}, b...)
		}
		return tlv(tagInteger, b)
	}
	return tlv(tagSequence, str(keyRSA), tlv(tagBitString, []byte{0}, tlv(tagSequence, num(n), num(big.NewInt(e)))))
}

func derRefusals() []refusal {
	whole := func(f func([]byte) []byte) func(*spec) { return func(s *spec) { s.outer = f } }
	return []refusal{
		{"too large", reason.DERTooLarge, func(s *spec) { s.more = ext("\x2a\x03", false, make([]byte, MaxCertificate)) }},
		{"empty", reason.DERTruncated, whole(func([]byte) []byte { return nil })},
		{"one byte missing", reason.DERTruncated, whole(func(b []byte) []byte { return b[:len(b)-1] })},
		{"a length of four octets", reason.DERTruncated, whole(func(b []byte) []byte { return append([]byte{0x30, 0x84, 1, 0, 0, 0}, b...) })},
		{"length octets missing", reason.DERTruncated, whole(func([]byte) []byte { return []byte{0x30, 0x82, 1} })},
		{"indefinite", reason.DERLength, whole(func(b []byte) []byte { b[1] = 0x80; return append(b, 0, 0) })},
		{"length with a leading zero", reason.DERLength, whole(func(b []byte) []byte { return append([]byte{0x30, 0x83, 0}, b[2:]...) })},
		{"short length in long form", reason.DERLength, func(s *spec) { s.serial = []byte{2, 0x81, 1, 5} }},
		{"reserved length", reason.DERLength, whole(func([]byte) []byte { return append([]byte{0x30, 0xff}, make([]byte, 200)...) })},
		{"a set outside", reason.DERTag, whole(func(b []byte) []byte { b[0] = tagSet; return b })},
		{"long tag", reason.DERTag, func(s *spec) { s.serial = []byte{0x1f, 2, 1, 5} }},
		{"primitive sequence", reason.DERTag, func(s *spec) { s.subject = bytes.Clone(s.subject); s.subject[0] = 0x10 }},
		{"serial is a string", reason.DERTag, func(s *spec) { s.serial = tlv(tagOctetString, []byte{5}) }},
		{"time is an integer", reason.DERTag, func(s *spec) { s.notBefore = tlv(tagInteger, []byte{5}) }},
		{"constructed dNSName", reason.DERTag, func(s *spec) { s.san = ext(extSAN, false, tlv(tagSequence, tlv(0xa2, str("a.example")))) }},
		{"name of no kind", reason.DERTag, func(s *spec) { s.san = ext(extSAN, false, tlv(tagSequence, tlv(0x89, str("a.example")))) }},
		{"trailing byte", reason.DERTrailing, whole(func(b []byte) []byte { return append(b, 0) })},
		{"two certificates", reason.DERTrailing, whole(func(b []byte) []byte { return append(b, b...) })},
		{"after the signature", reason.DERTrailing, func(s *spec) { s.afterTBS = tlv(tagNull) }},
		{"after the extensions", reason.DERTrailing, func(s *spec) { s.afterExtensions = tlv(tagNull) }},
		{"after the version", reason.DERTrailing, func(s *spec) { s.version = tlv(0xa0, tlv(tagInteger, []byte{2}), tlv(tagNull)) }},
		{"after an extension's value", reason.DERTrailing, func(s *spec) {
			s.bc = ext(extBasicConstraints, true, tlv(tagSequence), []byte{0})
		}},
		{"inside an extension", reason.DERTrailing, func(s *spec) {
			s.bc = tlv(tagSequence, oid(extBasicConstraints), tlv(tagOctetString, tlv(tagSequence)), tlv(tagNull))
		}},
		{"long serial form", reason.DERValue, func(s *spec) { s.serial = tlv(tagInteger, []byte{0, 5}) }},
		{"long negative serial form", reason.DERValue, func(s *spec) { s.serial = tlv(tagInteger, []byte{0xff, 0x85}) }},
		{"empty serial", reason.DERValue, func(s *spec) { s.serial = tlv(tagInteger) }},
		{"critical FALSE spelled out", reason.DERValue, func(s *spec) {
			s.bc = tlv(tagSequence, oid(extBasicConstraints), tlv(tagBoolean, []byte{0}), tlv(tagOctetString, tlv(tagSequence)))
		}},
		{"critical of value 1", reason.DERValue, func(s *spec) {
			s.bc = tlv(tagSequence, oid(extBasicConstraints), tlv(tagBoolean, []byte{1}), tlv(tagOctetString, tlv(tagSequence)))
		}},
		{"keyUsage with a trailing zero bit", reason.DERValue, func(s *spec) { s.ku = keyUsage(true, 6, 0x80) }},
		{"keyUsage with a trailing zero octet", reason.DERValue, func(s *spec) { s.ku = keyUsage(true, 0, 0x80, 0) }},
		{"keyUsage with unused bits set", reason.DERValue, func(s *spec) { s.ku = keyUsage(true, 7, 0xc0) }},
		{"keyUsage with nine unused bits", reason.DERValue, func(s *spec) { s.ku = keyUsage(true, 9, 0x80) }},
		{"keyUsage of three octets", reason.DERValue, func(s *spec) { s.ku = keyUsage(true, 0, 0x80, 0, 1) }},
		{"keyUsage without octets", reason.DERValue, func(s *spec) { s.ku = keyUsage(true) }},
		{"keyUsage of nothing, with unused bits", reason.DERValue, func(s *spec) { s.ku = keyUsage(true, 1) }},
		{"padded OID", reason.DERValue, func(s *spec) { s.more = ext("\x2a\x80\x03", false) }},
		{"empty OID", reason.DERValue, func(s *spec) { s.more = ext("", false) }},
		{"unfinished OID", reason.DERValue, func(s *spec) { s.more = ext("\x2a\x83", false) }},
		{"huge arc", reason.DERValue, func(s *spec) { s.more = ext("\x2a\x88\x80\x80\x80\x00", false) }},
		{"empty algorithm OID", reason.DERValue, func(s *spec) { s.sigAlg = tlv(tagSequence, tlv(tagOID)) }},
		{"SPKI with unused bits", reason.DERValue, func(s *spec) {
			s.spki = tlv(tagSequence, str(keyEd25519), tlv(tagBitString, []byte{1}, make([]byte, 32)))
		}},
	}
}

func fieldRefusals() []refusal {
	serial := func(b ...byte) func(*spec) { return func(s *spec) { s.serial = tlv(tagInteger, b) } }
	alg := func(a string) func(*spec) { return func(s *spec) { s.sigAlg = str(a) } }
	dates := func(before, after []byte) func(*spec) {
		return func(s *spec) { s.notBefore, s.notAfter = before, after }
	}
	o := attr(oidO, tagUTF8String, "O")
	sn := attr(oidSerialNumber, tagPrintableString, "1")
	return []refusal{
		{"version 1", reason.CertVersion, func(s *spec) { s.version = nil }},
		{"version 1 spelled out", reason.CertVersion, func(s *spec) { s.version = tlv(0xa0, tlv(tagInteger, []byte{0})) }},
		{"version 2", reason.CertVersion, func(s *spec) { s.version = tlv(0xa0, tlv(tagInteger, []byte{1})) }},
		{"version 4", reason.CertVersion, func(s *spec) { s.version = tlv(0xa0, tlv(tagInteger, []byte{3})) }},
		{"zero", reason.SerialNumberForm, serial(0)},
		{"negative", reason.SerialNumberForm, serial(0x80)},
		{"21 octets", reason.SerialNumberForm, serial(append([]byte{1}, make([]byte, 20)...)...)},
		{"20 octets and a sign octet", reason.SerialNumberForm, serial(append([]byte{0, 0x80}, make([]byte, 19)...)...)},
		{"SHA-1", reason.AlgorithmUnknown, alg("\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x05\x05\x00")},
		{"ECDSA with SHA-512", reason.AlgorithmUnknown, alg("\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x04")},
		{"PSS", reason.AlgorithmUnknown, alg("\x30\x0b\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a")},
		{"prefix of a known OID", reason.AlgorithmUnknown, alg("\x30\x04\x06\x02\x2b\x65")},
		{"ECDSA with NULL", reason.AlgorithmParameters, alg("\x30\x0c\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02\x05\x00")},
		{"Ed25519 with NULL", reason.AlgorithmParameters, alg("\x30\x07\x06\x03\x2b\x65\x70\x05\x00")},
		{"RSA without NULL", reason.AlgorithmParameters, alg("\x30\x0b\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b")},
		{"outer ECDSA with NULL", reason.AlgorithmParameters, func(s *spec) {
			s.outerAlg = str("\x30\x0c\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02\x05\x00")
		}},
		{"inside and outside", reason.AlgorithmMismatch, func(s *spec) { s.outerAlg = str(sigECDSA256) }},
		{"Ed25519 key, ECDSA signature", reason.AlgorithmNotForKey, alg(sigECDSA256)},
		{"Ed25519 key, RSA signature", reason.AlgorithmNotForKey, alg(sigRSA384)},

		{"empty subject", reason.NameForm, name()},
		{"O twice", reason.NameForm, name(o, sn, o)},
		{"several attributes in one RDN", reason.NameForm, name(tlv(tagSet, tlv(tagSequence, oid(oidO), tlv(tagUTF8String, str("a"))),
			tlv(tagSequence, oid(oidSerialNumber), tlv(tagPrintableString, str("1")))))},
		{"T61String", reason.NameForm, name(sn, attr(oidO, 0x14, "a"))},
		{"BMPString", reason.NameForm, name(sn, attr(oidO, 0x1e, "\x00a"))},
		{"bad UTF-8", reason.NameForm, name(sn, attr(oidO, tagUTF8String, "a\xff"))},
		{"NUL in a name", reason.NameForm, name(sn, attr(oidO, tagUTF8String, "a\x00b"))},
		{"C1 control in a name", reason.NameForm, name(sn, attr(oidO, tagUTF8String, "a\u0085b"))},
		{"@ in PrintableString", reason.NameForm, name(sn, attr(oidO, tagPrintableString, "a@b"))},
		{"8 bits in IA5String", reason.NameForm, name(sn, attr(oidO, tagIA5String, "a\x80"))},
		{"empty attribute", reason.NameForm, name(sn, attr(oidO, tagUTF8String, ""))},
		{"attribute of 257 octets", reason.NameForm, name(sn, attr(oidO, tagUTF8String, strings.Repeat("a", 257)))},
		{"issuer is another", reason.IssuerNotSubject, func(s *spec) { s.issuer = tlv(tagSequence, o, sn) }},
		{"issuer in another string type", reason.IssuerNotSubject, func(s *spec) {
			deviceSerial(tagPrintableString, "1")(s)
			s.issuer = tlv(tagSequence, attr(oidSerialNumber, tagUTF8String, "1"))
		}},

		{"no seconds", reason.TimeForm, dates(tlv(tagUTCTime, str("2701010000Z")), utc(blockClock()))},
		{"offset", reason.TimeForm, dates(tlv(tagUTCTime, str("2701010000+0100")), utc(blockClock()))},
		{"local", reason.TimeForm, dates(tlv(tagUTCTime, str("2701010000000")), utc(blockClock()))},
		{"fraction", reason.TimeForm, dates(tlv(tagUTCTime, str("270101000000Z")), tlv(tagGeneralizedTime, str("20510101000000.5Z")))},
		{"fraction of the right length", reason.TimeForm, dates(tlv(tagUTCTime, str("270101000000Z")), tlv(tagGeneralizedTime, str("205101010000.0Z")))},
		{"generalized before 2050", reason.TimeForm, dates(tlv(tagGeneralizedTime, str("20270101000000Z")), utc(blockClock()))},
		{"generalized in the last second of 2049", reason.TimeForm, dates(tlv(tagUTCTime, str("270101000000Z")), tlv(tagGeneralizedTime, str("20491231235959Z")))},
		{"month 13", reason.TimeForm, dates(tlv(tagUTCTime, str("271301000000Z")), utc(blockClock()))},
		{"month 0", reason.TimeForm, dates(tlv(tagUTCTime, str("270001000000Z")), utc(blockClock()))},
		{"day 0", reason.TimeForm, dates(tlv(tagUTCTime, str("270100000000Z")), utc(blockClock()))},
		{"30 February", reason.TimeForm, dates(tlv(tagUTCTime, str("280230000000Z")), utc(blockClock()))},
		{"29 February 2027", reason.TimeForm, dates(tlv(tagUTCTime, str("270229000000Z")), utc(blockClock()))},
		{"29 February 2100", reason.TimeForm, dates(tlv(tagUTCTime, str("270101000000Z")), tlv(tagGeneralizedTime, str("21000229000000Z")))},
		{"31 April", reason.TimeForm, dates(tlv(tagUTCTime, str("270431000000Z")), utc(blockClock()))},
		{"hour 24", reason.TimeForm, dates(tlv(tagUTCTime, str("270101240000Z")), utc(blockClock()))},
		{"minute 60", reason.TimeForm, dates(tlv(tagUTCTime, str("270101006000Z")), utc(blockClock()))},
		{"leap second", reason.TimeForm, dates(tlv(tagUTCTime, str("270101000060Z")), utc(blockClock()))},
		{"a space for a digit", reason.TimeForm, dates(tlv(tagUTCTime, str("27010100000 Z")), utc(blockClock()))},
		{"notAfter before notBefore", reason.TimeOrder, dates(tlv(tagUTCTime, str("490101000000Z")), tlv(tagUTCTime, str("480101000000Z")))},
		{"notAfter is notBefore", reason.TimeOrder, dates(tlv(tagUTCTime, str("480101000000Z")), tlv(tagUTCTime, str("480101000000Z")))},
		{"1950 is not 2050", reason.TimeOrder, dates(tlv(tagUTCTime, str("270101000000Z")), tlv(tagUTCTime, str("500101000000Z")))},

		{"issuer unique id", reason.UniqueIDs, func(s *spec) { s.uniqueIDs = tlv(0x81, []byte{0, 1}) }},
		{"subject unique id", reason.UniqueIDs, func(s *spec) { s.uniqueIDs = tlv(0x82, []byte{0, 1}) }},
		{"constructed unique id", reason.UniqueIDs, func(s *spec) { s.uniqueIDs = tlv(0xa1, []byte{0, 1}) }},

		{"signature of no octets", reason.SignatureForm, func(s *spec) { s.signature = tlv(tagBitString, []byte{0}) }},
		{"signature with unused bits", reason.SignatureForm, func(s *spec) { s.signature = tlv(tagBitString, []byte{1, 2}) }},
		{"signature of nothing", reason.SignatureForm, func(s *spec) { s.signature = tlv(tagBitString) }},
		{"another key's signature", reason.SelfSignature, func(s *spec) { s.signature = tlv(tagBitString, make([]byte, 65)) }},
		{"short signature", reason.SelfSignature, func(s *spec) { s.signature = tlv(tagBitString, make([]byte, 9)) }},

		{"no serialNumber", reason.DeviceSerialMissing, name(o)},
		{"two serialNumbers", reason.DeviceSerialTwice, name(sn, o, attr(oidSerialNumber, tagPrintableString, "2"))},
		{"empty serial", reason.DeviceSerialForm, deviceSerial(tagPrintableString, "")},
		{"65 characters", reason.DeviceSerialForm, deviceSerial(tagPrintableString, strings.Repeat("1", 65))},
		{"blank", reason.DeviceSerialForm, deviceSerial(tagPrintableString, "SC 1")},
		{"umlaut", reason.DeviceSerialForm, deviceSerial(tagUTF8String, "SCÜ")},
		{"underscore in PrintableString", reason.DeviceSerialForm, deviceSerial(tagPrintableString, "SC_1")},
		{"serial in IA5String", reason.DeviceSerialForm, deviceSerial(tagIA5String, "1")},
	}
}

func extensionRefusals() []refusal {
	names := func(n ...string) func(*spec) { return func(s *spec) { s.san = sans(n...) } }
	kind := func(tag byte, v string) func(*spec) {
		return func(s *spec) {
			s.san = ext(extSAN, false, tlv(tagSequence, tlv(0x82, str("a.example")), tlv(tag, str(v))))
		}
	}
	id := bytes.Repeat([]byte{7}, 20)
	usage := func(ku []byte) func(*spec) { return func(s *spec) { s.ku = ku } }
	eku := func(oids ...OID) func(*spec) {
		return func(s *spec) {
			var all []byte
			for _, o := range oids {
				all = append(all, oid(o)...)
			}
			s.eku = ext(extEKU, false, tlv(tagSequence, all))
		}
	}
	bc := func(content ...[]byte) func(*spec) {
		return func(s *spec) { s.bc = ext(extBasicConstraints, true, tlv(tagSequence, content...)) }
	}
	after := func(t time.Time) func(*spec) {
		return func(s *spec) {
			if s.notAfter = utc(t); t.Year() >= 2050 {
				s.notAfter = generalized(t)
			}
		}
	}
	before := func(t time.Time) func(*spec) { return func(s *spec) { s.notBefore = utc(t) } }
	now := blockClock()
	return []refusal{
		{"SAN twice", reason.ExtensionDuplicate, func(s *spec) { s.more = s.san }},
		{"unknown twice", reason.ExtensionDuplicate, func(s *spec) { s.more = bytes.Repeat(ext("\x2a\x03", false), 2) }},
		{"empty list", reason.ExtensionForm, func(s *spec) { s.ku, s.eku, s.san, s.ski, s.aki, s.bc = nil, nil, nil, nil, nil, nil }},
		{"critical SKI", reason.ExtensionForm, func(s *spec) { s.ski = ext(extSKI, true, tlv(tagOctetString, id)) }},
		{"empty SKI", reason.ExtensionForm, func(s *spec) { s.ski = ext(extSKI, false, tlv(tagOctetString)) }},
		{"SKI of 65 octets", reason.ExtensionForm, func(s *spec) {
			s.ski, s.aki = ext(extSKI, false, tlv(tagOctetString, make([]byte, 65))), nil
		}},
		{"critical AKI", reason.ExtensionForm, func(s *spec) { s.aki = ext(extAKI, true, tlv(tagSequence, tlv(0x80, id))) }},
		{"empty AKI", reason.ExtensionForm, func(s *spec) { s.aki = ext(extAKI, false, tlv(tagSequence)) }},
		{"AKI with issuer", reason.ExtensionForm, func(s *spec) {
			s.aki = ext(extAKI, false, tlv(tagSequence, tlv(0x80, id), tlv(0xa1, tlv(0xa4, s.issuer)), tlv(0x82, []byte{1})))
		}},
		{"AKI of another", reason.ExtensionForm, func(s *spec) { s.aki = ext(extAKI, false, tlv(tagSequence, tlv(0x80, id[:19]))) }},
		{"unknown", reason.ExtensionNotAllowed, func(s *spec) { s.more = ext("\x2a\x03", false) }},
		{"unknown critical", reason.ExtensionNotAllowed, func(s *spec) { s.more = ext("\x2a\x03", true) }},
		{"CRL distribution points", reason.ExtensionNotAllowed, func(s *spec) { s.more = ext("\x55\x1d\x1f", false, []byte("whatever")) }},

		{"no extensions", reason.KeyUsageMissing, func(s *spec) { s.noExtensions = true }},
		{"no keyUsage", reason.KeyUsageMissing, usage(nil)},
		{"not critical", reason.KeyUsageForm, usage(keyUsage(false, 7, 0x80))},
		{"no digitalSignature", reason.KeyUsageForm, usage(keyUsage(true, 5, 0x20))},
		{"no bit", reason.KeyUsageForm, usage(keyUsage(true, 0))},
		{"nonRepudiation", reason.KeyUsageForm, usage(keyUsage(true, 6, 0xc0))},
		{"keyCertSign", reason.KeyUsageForm, usage(keyUsage(true, 2, 0x84))},
		{"cRLSign", reason.KeyUsageForm, usage(keyUsage(true, 1, 0x82))},
		{"decipherOnly", reason.KeyUsageForm, usage(keyUsage(true, 7, 0x80, 0x80))},
		{"bit 15", reason.KeyUsageForm, usage(keyUsage(true, 0, 0x80, 0x01))},
		{"empty EKU", reason.ExtendedKeyUsageForm, eku()},
		{"anyExtendedKeyUsage", reason.ExtendedKeyUsageForm, eku("\x55\x1d\x25\x00")},
		{"codeSigning too", reason.ExtendedKeyUsageForm, eku(EKUClientAuth, "\x2b\x06\x01\x05\x05\x07\x03\x03")},
		{"clientAuth twice", reason.ExtendedKeyUsageForm, eku(EKUClientAuth, EKUClientAuth)},
		{"CA", reason.BasicConstraintsForm, bc(tlv(tagBoolean, []byte{0xff}))},
		{"CA of length 0", reason.BasicConstraintsForm, bc(tlv(tagBoolean, []byte{0xff}), tlv(tagInteger, []byte{0}))},
		{"CA:FALSE spelled out", reason.BasicConstraintsForm, bc(tlv(tagBoolean, []byte{0}))},
		{"pathLen without CA", reason.BasicConstraintsForm, bc(tlv(tagInteger, []byte{0}))},

		{"no SAN", reason.SANMissing, func(s *spec) { s.san = nil }},
		{"empty SAN", reason.SANMissing, names()},
		{"URI", reason.SANKind, kind(0x86, "https://a.example/")},
		{"IP address", reason.SANKind, kind(0x87, "\x7f\x00\x00\x01")},
		{"e-mail", reason.SANKind, kind(0x81, "a@a.example")},
		{"otherName", reason.SANKind, kind(0xa0, "x")},
		{"URI only", reason.SANKind, func(s *spec) { s.san = ext(extSAN, false, tlv(tagSequence, tlv(0x86, str("urn:x")))) }},
		{"name twice", reason.SANDuplicate, names("a.example", "b.example", "a.example")},
		{"upper case", reason.DNSName, names("A.example")},
		{"one label", reason.DNSName, names("localhost")},
		{"wildcard", reason.DNSName, names("*.a.example")},
		{"final dot", reason.DNSName, names("a.example.")},
		{"leading dot", reason.DNSName, names(".a.example")},
		{"empty label", reason.DNSName, names("a..example")},
		{"empty name", reason.DNSName, names("")},
		{"leading hyphen", reason.DNSName, names("-a.example")},
		{"trailing hyphen", reason.DNSName, names("a-.example")},
		{"underscore", reason.DNSName, names("a_b.example")},
		{"U-label", reason.DNSName, names("ö.example")},
		{"NUL in a DNS name", reason.DNSName, names("a.example\x00.b.example")},
		{"label of 64", reason.DNSName, names(strings.Repeat("a", 64) + ".example")},
		{"name of 254", reason.DNSName, names(strings.Repeat("a.", 123) + "aaaaaaaa")},

		{"ended in this second", reason.CertificateExpired, after(now)},
		{"25 years and a second", reason.NotAfterTooFar, after(now.AddDate(25, 0, 0).Add(time.Second))},
		{"a second before the last", reason.NotAfterTooFar, func(s *spec) { s.notAfter = tlv(tagGeneralizedTime, str("99991231235958Z")) }},
		{"48 hours and a second", reason.NotBeforeTooFar, before(now.Add(48*time.Hour + time.Second))},
	}
}

func keyRefusals(t testing.TB) []refusal {
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	p256 := spkiOf(t, ec.Public())
	off := bytes.Clone(p256)
	off[len(off)-1] ^= 1
	p521, err := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	must(t, err)
	x := p256[len(p256)-64 : len(p256)-32]
	edKey := func(b ...byte) []byte { return tlv(tagSequence, str(keyEd25519), tlv(tagBitString, []byte{0}, b)) }
	last := bytes.Repeat([]byte{0xff}, 32)
	last[31], last[0] = 0x7f, 0xed // p itself: y = 0 again
	odd := func(bits int) *big.Int {
		n := new(big.Int).Lsh(big.NewInt(1), uint(bits-1))
		for n.SetBit(n, 0, 1); flawedModulus(n) != ""; n.Add(n, big.NewInt(2)) {
		}
		return n
	}
	with := func(spki []byte) func(*spec) { return func(s *spec) { s.spki = spki } }
	n := odd(3072)
	return []refusal{
		{"P-521", reason.KeyUnknown, with(spkiOf(t, p521.Public()))},
		{"X25519", reason.KeyUnknown, with(tlv(tagSequence, str("\x30\x05\x06\x03\x2b\x65\x6e"), tlv(tagBitString, make([]byte, 33))))},
		{"explicit curve", reason.KeyUnknown, with(tlv(tagSequence, tlv(tagSequence, oid(oidECPublicKey), tlv(tagSequence)), tlv(tagBitString, []byte{0, 4})))},
		{"key with empty OID", reason.DERValue, with(tlv(tagSequence, tlv(tagSequence, tlv(tagOID)), tlv(tagBitString, []byte{0, 4})))},
		{"Ed25519 key with NULL", reason.AlgorithmParameters, with(tlv(tagSequence, tlv(tagSequence, oid(oidEd25519), tlv(tagNull)), tlv(tagBitString, make([]byte, 33))))},
		{"RSA key without NULL", reason.AlgorithmParameters, with(tlv(tagSequence, tlv(tagSequence, oid(oidRSAEncryption)), tlv(tagBitString, make([]byte, 33))))},
		{"compressed", reason.KeyForm, with(tlv(tagSequence, str(keyP256), tlv(tagBitString, []byte{0, 2}, x)))},
		{"hybrid", reason.KeyForm, with(tlv(tagSequence, str(keyP256), tlv(tagBitString, []byte{0, 6 | p256[len(p256)-1]&1}, p256[len(p256)-64:])))},
		{"infinity", reason.KeyForm, with(tlv(tagSequence, str(keyP256), tlv(tagBitString, []byte{0, 0})))},
		{"off the curve", reason.KeyForm, with(off)},
		{"P-256 point on P-384", reason.KeyForm, with(tlv(tagSequence, str(keyP384), tlv(tagBitString, []byte{0, 4}, p256[len(p256)-64:])))},
		{"short Ed25519", reason.KeyForm, with(edKey(make([]byte, 31)...))},
		{"y of p", reason.KeyForm, with(edKey(last...))},
		{"no RSA structure", reason.KeyForm, with(tlv(tagSequence, str(keyRSA), tlv(tagBitString, []byte{0, 1, 2})))},
		{"negative modulus", reason.KeyForm, with(tlv(tagSequence, str(keyRSA), tlv(tagBitString, []byte{0}, tlv(tagSequence, tlv(tagInteger, []byte{0x80, 1}), tlv(tagInteger, []byte{1, 0, 1})))))},
		{"over 1,200 bytes", reason.KeyForm, with(tlv(tagSequence, str("\x30\x05\x06\x03\x2b\x65\x6e"), tlv(tagBitString, make([]byte, 1200))))},
		{"RSA 2047", reason.KeySize, with(rsaSPKI(odd(2047), 65537))},
		{"RSA 8193", reason.KeySize, with(rsaSPKI(odd(8193), 65537))},
		{"RSA 1024", reason.KeySize, with(rsaSPKI(odd(1024), 65537))},
		{"exponent 3", reason.KeyWeak, with(rsaSPKI(n, 3))},
		{"exponent 1", reason.KeyWeak, with(rsaSPKI(n, 1))},
		{"even modulus", reason.KeyWeak, with(rsaSPKI(new(big.Int).Add(n, big.NewInt(1)), 65537))},
		{"factor 167", reason.KeyWeak, with(rsaSPKI(multiple(n, 167), 65537))},
		{"ROCA", reason.KeyWeak, with(rsaSPKI(rocaModulus(t, 3072), 65537))},
		{"Ed25519 identity", reason.KeyWeak, with(edKey(append([]byte{1}, make([]byte, 31)...)...))},
	}
}

// multiple is the next odd multiple of p from n on.
func multiple(n *big.Int, p int64) *big.Int {
	m := new(big.Int).Sub(n, new(big.Int).Mod(n, big.NewInt(p)))
	m.Add(m, big.NewInt(p))
	if m.Bit(0) == 0 {
		m.Add(m, big.NewInt(p))
	}
	return m
}

// TestRefusals spoils a good certificate in every way there is a code for.
func TestRefusals(t *testing.T) {
	key := ed(t)
	all := derRefusals()
	for _, more := range [][]refusal{fieldRefusals(), extensionRefusals(), keyRefusals(t)} {
		all = append(all, more...)
	}
	covered := map[reason.Code]bool{
		// Only other rows of the table can give these: TestTableDrivesChecks.
		reason.KeyNotInProfile: true, reason.AlgorithmNotInProfile: true,
	}
	keys := newKeys(t)
	for _, r := range rows() {
		for _, v := range r.variants(t, keys) {
			covered[v.want] = true
		}
	}
	seen := map[string]bool{}
	for _, r := range all {
		t.Run(r.want.String()+"/"+r.name, func(t *testing.T) {
			s := good(t, key, Ed25519Sig)
			r.spoil(s)
			err := judge(s.build(t), Grant{})
			if got, ok := reason.CodeOf(err); !ok || got != r.want {
				t.Errorf("got %v, want %v", err, r.want)
			}
		})
		covered[r.want] = true
		if id := r.want.String() + r.name; seen[id] {
			t.Errorf("two cases %s/%s", r.want, r.name)
		} else {
			seen[id] = true
		}
	}
	for _, r := range reason.All() {
		if r.Code >= 100 && r.Code < 200 && !covered[r.Code] {
			t.Errorf("no case for %d %s", r.Code, r.Slug)
		}
	}
}

// TestAccepted holds the refusals to their purpose: what is good, at every boundary, passes.
func TestAccepted(t *testing.T) {
	keys, now := newKeys(t), blockClock()
	for _, c := range []struct {
		name   string
		kind   KeyKind
		alg    SigAlg
		change func(*spec)
	}{
		{"P-256", P256, ECDSAWithSHA256, nil},
		{"P-256 with SHA-384", P256, ECDSAWithSHA384, nil},
		{"P-384", P384, ECDSAWithSHA384, nil},
		{"P-384 with SHA-256", P384, ECDSAWithSHA256, nil},
		{"Ed25519", Ed25519, Ed25519Sig, nil},
		{"RSA", RSA, RSAPKCS1SHA256, nil},
		{"RSA with SHA-384", RSA, RSAPKCS1SHA384, nil},
		{"least", Ed25519, Ed25519Sig, func(s *spec) {
			s.eku, s.ski, s.aki, s.bc, s.serial = nil, nil, nil, nil, tlv(tagInteger, []byte{1})
			deviceSerial(tagUTF8String, "a_b.c:d/e-F9")(s)
			s.san = ext(extSAN, true, tlv(tagSequence, tlv(0x82, str("a.b"))))
		}},
		{"serial of 20 octets", Ed25519, Ed25519Sig, func(s *spec) { s.serial = tlv(tagInteger, bytes.Repeat([]byte{0x7f}, 20)) }},
		{"serial with a sign octet", Ed25519, Ed25519Sig, func(s *spec) { s.serial = tlv(tagInteger, []byte{0, 0x80}) }},
		{"all usages", Ed25519, Ed25519Sig, func(s *spec) { s.ku = keyUsage(true, 3, 0xa8) }},
		{"key identifiers of 64 octets", Ed25519, Ed25519Sig, func(s *spec) {
			id := make([]byte, 64)
			s.ski, s.aki = ext(extSKI, false, tlv(tagOctetString, id)), ext(extAKI, false, tlv(tagSequence, tlv(0x80, id)))
		}},
		{"AKI without SKI", Ed25519, Ed25519Sig, func(s *spec) { s.ski = nil }},
		{"25 years", Ed25519, Ed25519Sig, func(s *spec) { s.notAfter = generalized(now.AddDate(25, 0, 0)) }},
		{"ends in a second", Ed25519, Ed25519Sig, func(s *spec) { s.notAfter = utc(now.Add(time.Second)) }},
		{"begins in 48 hours", Ed25519, Ed25519Sig, func(s *spec) { s.notBefore = utc(now.Add(48 * time.Hour)) }},
		{"begins in 1950", Ed25519, Ed25519Sig, func(s *spec) { s.notBefore = tlv(tagUTCTime, str("500101000000Z")) }},
		{"ends in the last second of 2049", Ed25519, Ed25519Sig, func(s *spec) { s.notAfter = tlv(tagUTCTime, str("491231235959Z")) }},
		{"leap day", Ed25519, Ed25519Sig, func(s *spec) { s.notAfter = tlv(tagUTCTime, str("280229000000Z")) }},
		{"serial of 64", Ed25519, Ed25519Sig, deviceSerial(tagPrintableString, strings.Repeat("9", 64))},
		{"longest names", Ed25519, Ed25519Sig, func(s *spec) {
			s.san = sans(strings.Repeat("a", 63)+".example", strings.Repeat("a.", 123)+"aaaaaaa")
		}},
		{"e-mail in the subject", Ed25519, Ed25519Sig, name(attr(oidSerialNumber, tagPrintableString, "1"), attr("\x2a\x86\x48\x86\xf7\x0d\x01\x09\x01", tagIA5String, "a@a.example"))},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := good(t, keys[c.kind], c.alg)
			if c.change != nil {
				c.change(s)
			}
			der := s.build(t)
			if err := judge(der, Grant{}); err != nil {
				t.Fatal(err)
			}
			std, err := x509.ParseCertificate(der)
			if err != nil {
				t.Fatalf("crypto/x509 refuses what we accept: %v", err)
			}
			agree(t, der, std)
		})
	}
}

// agree compares what the strict reader found with what crypto/x509 found.
func agree(t testing.TB, der []byte, std *x509.Certificate) {
	t.Helper()
	c, err := Parse(der)
	must(t, err)
	for what, pair := range map[string][2][]byte{
		"Raw": {c.Raw, std.Raw}, "TBS": {c.TBS, std.RawTBSCertificate}, "SPKI": {c.SPKI, std.RawSubjectPublicKeyInfo},
		"Issuer": {c.Issuer, std.RawIssuer}, "Subject": {c.Subject, std.RawSubject}, "Signature": {c.Signature, std.Signature},
		"Serial": {new(big.Int).SetBytes(c.Serial).Bytes(), std.SerialNumber.Bytes()},
	} {
		if !bytes.Equal(pair[0], pair[1]) {
			t.Errorf("%s: %x, crypto/x509 has %x", what, pair[0], pair[1])
		}
	}
	if c.DeviceSerial != std.Subject.SerialNumber || strings.Join(c.DNSNames, " ") != strings.Join(std.DNSNames, " ") {
		t.Errorf("names: %q %q, crypto/x509 has %q %q", c.DeviceSerial, c.DNSNames, std.Subject.SerialNumber, std.DNSNames)
	}
	if c.NotBefore != std.NotBefore.Unix() || c.NotAfter != std.NotAfter.Unix() {
		t.Errorf("dates: %d %d, crypto/x509 has %v %v", c.NotBefore, c.NotAfter, std.NotBefore, std.NotAfter)
	}
	if int(c.KeyUsage) != int(std.KeyUsage) {
		t.Errorf("key usage: %b, crypto/x509 has %b", c.KeyUsage, std.KeyUsage)
	}
}
