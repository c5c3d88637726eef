package profile

import (
	"crypto/x509"
	"strings"
	"testing"
	"time"

	"github.com/quorate-pki/quorate/internal/reason"
)

// variant is a change of a profile's good certificate, and the verdict; 0 accepts.
type variant struct {
	name   string
	want   reason.Code
	change func(*spec)
}

// row is how the tests make a certificate of a profile of rule version 2.
type row struct {
	id       uint16
	good     func(t testing.TB, key testKeys, kind KeyKind) *spec
	variants func(t testing.TB, keys testKeys) []variant
	years    int           // the most that notAfter may be ahead
	noEnd    bool          // or for ever
	ahead    time.Duration // the most that notBefore may be ahead
	kinds    []KeyKind     // accepted
	legacy   bool          // RSA 2048 with a grant
}

func rows() []row {
	return []row{
		{NF, goodNF, nfVariants, 3, false, time.Hour, []KeyKind{P256, P384, RSA}, false},
		{IoT, goodIoT, iotVariants, 25, true, 48 * time.Hour, []KeyKind{P256, P384, Ed25519, RSA}, true},
		{Gateway, goodGateway, gatewayVariants, 3, false, time.Hour, []KeyKind{P256, P384, RSA}, true},
		{Server, goodServer, serverVariants, 1, false, time.Hour, []KeyKind{P256, P384, Ed25519, RSA}, false},
	}
}

func usual(kind KeyKind) SigAlg {
	return map[KeyKind]SigAlg{P256: ECDSAWithSHA256, P384: ECDSAWithSHA384, Ed25519: Ed25519Sig, RSA: RSAPKCS1SHA256}[kind]
}

func ekus(oids ...OID) []byte {
	var all []byte
	for _, o := range oids {
		all = append(all, oid(o)...)
	}
	return ext(extEKU, false, tlv(tagSequence, all))
}

// until makes a Time of its right type.
func until(t time.Time) []byte {
	if t.Year() >= 2050 {
		return generalized(t)
	}
	return utc(t)
}

// subject is a Name of a device serial and more attributes.
func subject(serial string, more ...[]byte) func(*spec) {
	attrs := more
	if serial != "" {
		attrs = append([][]byte{attr(oidSerialNumber, tagPrintableString, serial)}, more...)
	}
	return name(attrs...)
}

func commonName(v string) []byte { return attr(oidCN, tagUTF8String, v) }

// TestRows holds every profile of rule version 2 to its own rules, and to those that only differ in a number.
func TestRows(t *testing.T) {
	keys := newKeys(t)
	now := blockClock()
	for _, r := range rows() {
		p, ok := ByID(r.id)
		if !ok || p.Since != 2 {
			t.Fatalf("profile %d is not there since rule version 2", r.id)
		}
		of := func(kind KeyKind) *spec { return r.good(t, keys, kind) }
		check := func(name string, s *spec, g Grant, want reason.Code) {
			t.Run(p.Name+"/"+name, func(t *testing.T) {
				der := s.build(t)
				err := judgeBy(r.id, der, g)
				if got, _ := reason.CodeOf(err); got != want || (err == nil) != (want == 0) {
					t.Fatalf("got %v, want %v", err, want)
				}
				if want == 0 {
					std, err := x509.ParseCertificate(der)
					if err != nil {
						t.Fatalf("crypto/x509 refuses what we accept: %v", err)
					}
					agree(t, der, std)
					c, err := Parse(der)
					must(t, err)
					agreeOn(t, p, c, std)
				}
			})
		}
		common := numbers(p, r, now)
		for _, v := range append(common, r.variants(t, keys)...) {
			s := of(r.kinds[0])
			v.change(s)
			check(v.name, s, Grant{}, v.want)
		}
		has := map[KeyKind]bool{}
		for _, kind := range r.kinds {
			has[kind] = true
			check("key "+kind.String(), of(kind), Grant{}, 0)
		}
		for _, kind := range []KeyKind{P256, P384, Ed25519, RSA} {
			if !has[kind] {
				check("key "+kind.String(), of(kind), Grant{}, reason.KeyNotInProfile)
			}
		}
		old := testKeys{RSA: rsaKey(t, 2048)}
		without, with := reason.KeyNotInProfile, reason.KeyNotInProfile
		if r.legacy {
			without, with = reason.LegacyKeyNotGranted, 0
		}
		check("key RSA 2048", r.good(t, old, RSA), Grant{}, without)
		check("key RSA 2048 with a grant", r.good(t, old, RSA), Grant{LegacyRSA2048: true}, with)
	}
}

// numbers are the variants that every profile has.
func numbers(p *Profile, r row, now time.Time) []variant {
	end := reason.NotAfterTooFar
	if r.noEnd {
		end = 0
	}
	latest := now.AddDate(r.years, 0, 0)
	return []variant{
		{"as it is", 0, func(*spec) {}},
		{"for ever", end, func(s *spec) { s.notAfter = generalized(time.Unix(Latest, 0).UTC()) }},
		{"a second before for ever", reason.NotAfterTooFar, func(s *spec) { s.notAfter = generalized(time.Unix(Latest-1, 0).UTC()) }},
		{"the last second", 0, func(s *spec) { s.notAfter = until(latest) }},
		{"a second more", reason.NotAfterTooFar, func(s *spec) { s.notAfter = until(latest.Add(time.Second)) }},
		{"ended in this second", reason.CertificateExpired, func(s *spec) { s.notBefore, s.notAfter = utc(now.Add(-time.Hour)), utc(now) }},
		{"begins at last", 0, func(s *spec) { s.notBefore = utc(now.Add(r.ahead)) }},
		{"begins a second later", reason.NotBeforeTooFar, func(s *spec) { s.notBefore = utc(now.Add(r.ahead + time.Second)) }},
		{"no extensions", reason.KeyUsageMissing, func(s *spec) { s.noExtensions = true }},
		{"no keyUsage", reason.KeyUsageMissing, func(s *spec) { s.ku = nil }},
		{"keyUsage not critical", reason.KeyUsageForm, func(s *spec) { s.ku = keyUsage(false, 7, 0x80) }},
		{"nonRepudiation", reason.KeyUsageForm, func(s *spec) { s.ku = keyUsage(true, 6, 0xc0) }},
		{"keyCertSign", reason.KeyUsageForm, func(s *spec) { s.ku = keyUsage(true, 2, 0x84) }},
		{"CA", reason.BasicConstraintsForm, func(s *spec) { s.bc = ext(extBasicConstraints, true, tlv(tagSequence, tlv(tagBoolean, []byte{0xff}))) }},
		{"no basicConstraints", 0, func(s *spec) { s.bc = nil }},
		{"no key identifiers", 0, func(s *spec) { s.ski, s.aki = nil, nil }},
		{"an extension more", reason.ExtensionNotAllowed, func(s *spec) { s.more = append(s.more, ext("\x55\x1d\x1f", false, []byte("whatever"))...) }},
		{"anyExtendedKeyUsage", reason.ExtendedKeyUsageForm, func(s *spec) { s.eku = ekus("\x55\x1d\x25\x00") }},
		{"codeSigning too", reason.ExtendedKeyUsageForm, func(s *spec) { s.eku = ekus(append(p.EKUs, "\x2b\x06\x01\x05\x05\x07\x03\x03")...) }},
		{"every usage of the profile", 0, func(s *spec) { s.eku = ekus(p.EKUs...) }},
		{"altered", reason.SelfSignature, func(s *spec) {
			s.outer = func(b []byte) []byte { b[len(b)-1] ^= 1; return b }
		}},
	}
}

// hardware is a hardwareModuleName.
func hardware(hwType OID, serial string) []byte {
	return tlv(0xa0, oid(oidHardwareModule), tlv(0xa0, tlv(tagSequence, oid(hwType), tlv(tagOctetString, str(serial)))))
}

func goodIoT(t testing.TB, keys testKeys, kind KeyKind) *spec {
	s := good(t, keys[kind], usual(kind))
	subject("METER-7")(s)
	s.eku = ekus(EKUClientAuth)
	s.san = nil
	return s
}

func iotVariants(t testing.TB, keys testKeys) []variant {
	const acme OID = "\x2b\x06\x01\x04\x01\x81\xfd\x59\x01" // 1.3.6.1.4.1.32473.1
	san := func(names ...[]byte) func(*spec) {
		return func(s *spec) { s.san = ext(extSAN, true, tlv(tagSequence, names...)) }
	}
	other := func(content ...[]byte) func(*spec) { return san(tlv(0xa0, content...)) }
	value := func(content ...[]byte) func(*spec) { return other(oid(oidHardwareModule), tlv(0xa0, content...)) }
	serial := tlv(tagOctetString, str("METER-7"))
	return []variant{
		{"no EKU", 0, func(s *spec) { s.eku = nil }},
		{"empty EKU", reason.ExtendedKeyUsageForm, func(s *spec) { s.eku = ekus() }},
		{"a server", reason.ExtendedKeyUsageForm, func(s *spec) { s.eku = ekus(EKUClientAuth, EKUServerAuth) }},
		{"an IPsec peer", reason.ExtendedKeyUsageForm, func(s *spec) { s.eku = ekus(EKUIPsecIKE) }},
		{"no device serial", reason.DeviceSerialMissing, subject("", attr(oidO, tagUTF8String, "Acme"))},
		{"a DNS name", 0, func(s *spec) { s.san = sans("meter-7.acme.example") }},
		{"an empty SAN", reason.SANMissing, san()},
		{"commonName the serial", 0, subject("METER-7", commonName("METER-7"))},
		{"commonName a host", reason.CommonName, subject("METER-7", commonName("bank.example"))},
		{"commonName a host that is the serial", reason.CommonName, subject("bank.example", commonName("bank.example"))},
		{"commonName a host that is the serial, in capitals", reason.CommonName, subject("BANK.EXAMPLE", commonName("BANK.EXAMPLE"))},
		{"commonName a host that is the serial and a DNS name", 0, func(s *spec) {
			subject("meter.example", commonName("meter.example"))(s)
			s.san = sans("meter.example")
		}},
		{"hardware module", 0, san(hardware(acme, "METER-7"))},
		{"hardware module and a DNS name", 0, san(tlv(0x82, str("meter-7.acme.example")), hardware(acme, "METER-7"))},
		{"hardware module of another serial", reason.HardwareModule, san(hardware(acme, "METER-8"))},
		{"hardware module without a serial", reason.HardwareModule, san(hardware(acme, ""))},
		{"two hardware modules", reason.HardwareModule, san(hardware(acme, "METER-7"), hardware(acme+"\x01", "METER-7"))},
		{"one hardware module twice", reason.SANDuplicate, san(hardware(acme, "METER-7"), hardware(acme, "METER-7"))},
		{"another otherName", reason.HardwareModule, other(oid("\x2b\x06\x01\x04\x01\x82\x37\x14\x02\x03"), tlv(0xa0, tlv(tagUTF8String, str("a@b"))))},
		{"primitive otherName", reason.HardwareModule, san(tlv(0x80, oid(oidHardwareModule), tlv(0xa0, tlv(tagSequence, oid(acme), serial))))},
		{"empty otherName", reason.HardwareModule, other()},
		{"hardware module without tag", reason.HardwareModule, other(oid(oidHardwareModule), tlv(tagSequence, oid(acme), serial))},
		{"hardware module in a set", reason.HardwareModule, value(tlv(tagSet, oid(acme), serial))},
		{"hardware module with a string", reason.HardwareModule, value(tlv(tagSequence, oid(acme), tlv(tagUTF8String, str("METER-7"))))},
		{"hardware module and more", reason.HardwareModule, value(tlv(tagSequence, oid(acme), serial, tlv(tagNull)))},
		{"hardware module and more after it", reason.HardwareModule, value(tlv(tagSequence, oid(acme), serial), tlv(tagNull))},
		{"hardware module and more after the value", reason.HardwareModule, other(oid(oidHardwareModule), tlv(0xa0, tlv(tagSequence, oid(acme), serial)), tlv(tagNull))},
		{"hardware type padded", reason.HardwareModule, san(hardware("\x2b\x80\x01", "METER-7"))},
		{"hardware type empty", reason.HardwareModule, san(hardware("", "METER-7"))},
		{"a URI", reason.SANKind, san(tlv(0x86, str("urn:dev:mac:0024befffe804ff1")))},
		{"an address", reason.SANKind, san(tlv(0x87, []byte{192, 0, 2, 1}))},
		{"registeredID", reason.SANKind, san(tlv(0x88, str(string(acme))))},
		{"keyAgreement of P-256", 0, func(s *spec) { s.ku = keyUsage(true, 3, 0x88) }},
		{"keyEncipherment of P-256", reason.KeyUsageForm, func(s *spec) { s.ku = keyUsage(true, 5, 0xa0) }},
		{"keyAgreement of Ed25519", reason.KeyUsageForm, func(s *spec) { *s = *goodIoT(t, keys, Ed25519); s.ku = keyUsage(true, 3, 0x88) }},
		{"keyEncipherment of RSA", 0, func(s *spec) { *s = *goodIoT(t, keys, RSA); s.ku = keyUsage(true, 5, 0xa0) }},
	}
}

// TestHardwareType holds what ownership is judged by to what was read.
func TestHardwareType(t *testing.T) {
	keys := newKeys(t)
	for _, v := range iotVariants(t, keys) {
		s := goodIoT(t, keys, P256)
		v.change(s)
		c, err := Parse(s.build(t))
		if err != nil || v.want != 0 {
			continue
		}
		got, ok := c.HardwareType()
		if want := strings.Contains(v.name, "hardware"); ok != want || (ok && got.String() != "1.3.6.1.4.1.32473.1") {
			t.Errorf("%s: %s %v", v.name, got, ok)
		}
	}
}

func TestParseOID(t *testing.T) {
	for _, good := range []string{"1.2", "0.39", "2.100.3", "1.3.6.1.4.1.32473.1", "2.5.4.5", "1.2.2147483647"} {
		if o, ok := ParseOID(good); !ok || o.String() != good {
			t.Errorf("%s: %s, %v", good, o, ok)
		}
	}
	for _, bad := range []string{"", "1", "1.", ".1", "1..2", "1.40", "3.1", "01.2", "1.02", "1.2.2147483648", "2.2147483647", "1.-2", "1.+2", "1.2a", " 1.2", "invalid"} {
		if o, ok := ParseOID(bad); ok {
			t.Errorf("%q is read as %s", bad, o)
		}
	}
}

func goodGateway(t testing.TB, keys testKeys, kind KeyKind) *spec {
	s := good(t, keys[kind], usual(kind))
	subject("GW-1")(s)
	s.eku = ekus(EKUIPsecIKE)
	s.san = sans("segw-1.op.example")
	s.notAfter = until(blockClock().AddDate(2, 0, 0))
	return s
}

func gatewayVariants(t testing.TB, keys testKeys) []variant {
	return []variant{
		{"no EKU", reason.ExtendedKeyUsageMissing, func(s *spec) { s.eku = nil }},
		{"a TLS server only", reason.ExtendedKeyUsageMissing, func(s *spec) { s.eku = ekus(EKUServerAuth, EKUClientAuth) }},
		{"iKEIntermediate only", reason.ExtendedKeyUsageMissing, func(s *spec) { s.eku = ekus(EKUIKEIntermediate) }},
		{"ipsecTunnel", reason.ExtendedKeyUsageForm, func(s *spec) { s.eku = ekus(EKUIPsecIKE, "\x2b\x06\x01\x05\x05\x07\x03\x06") }},
		{"a usage twice", reason.ExtendedKeyUsageForm, func(s *spec) { s.eku = ekus(EKUIPsecIKE, EKUIPsecIKE) }},
		{"no device serial", reason.DeviceSerialMissing, subject("", commonName("segw-1.op.example"))},
		{"commonName of another gateway", reason.CommonName, subject("GW-1", commonName("segw-2.op.example"))},
		{"commonName the serial", 0, subject("GW-1", commonName("GW-1"))},
		{"commonName almost the serial", reason.CommonName, subject("GW-1", commonName("gw-1"))},
		{"address as IKE identity", reason.SANKind, func(s *spec) {
			s.san = ext(extSAN, false, tlv(tagSequence, tlv(0x82, str("segw-1.op.example")), tlv(0x87, []byte{192, 0, 2, 1})))
		}},
		{"e-mail as IKE identity", reason.SANKind, func(s *spec) {
			s.san = ext(extSAN, false, tlv(tagSequence, tlv(0x82, str("segw-1.op.example")), tlv(0x81, str("gw@op.example"))))
		}},
		{"no SAN", reason.SANMissing, func(s *spec) { s.san = nil }},
		{"keyEncipherment of RSA", 0, func(s *spec) { *s = *goodGateway(t, keys, RSA); s.ku = keyUsage(true, 5, 0xa0) }},
		{"keyEncipherment of P-256", reason.KeyUsageForm, func(s *spec) { s.ku = keyUsage(true, 5, 0xa0) }},
		{"keyAgreement", reason.KeyUsageForm, func(s *spec) { s.ku = keyUsage(true, 3, 0x88) }},
		{"nonRepudiation in place of digitalSignature", reason.KeyUsageForm, func(s *spec) { s.ku = keyUsage(true, 6, 0x40) }},
	}
}

func goodServer(t testing.TB, keys testKeys, kind KeyKind) *spec {
	s := good(t, keys[kind], usual(kind))
	subject("SRV-1")(s)
	s.eku = ekus(EKUServerAuth)
	s.san = sans("broker.op.example")
	s.notAfter = until(blockClock().AddDate(0, 6, 0))
	return s
}

func serverVariants(t testing.TB, keys testKeys) []variant {
	with := func(attrs ...[]byte) func(*spec) { return subject("SRV-1", attrs...) }
	kind := func(tag byte, value string) func(*spec) {
		return func(s *spec) {
			s.san = ext(extSAN, false, tlv(tagSequence, tlv(0x82, str("broker.op.example")), tlv(tag, str(value))))
		}
	}
	rsa := func(bits ...byte) func(*spec) {
		return func(s *spec) { *s = *goodServer(t, keys, RSA); s.ku = keyUsage(true, bits...) }
	}
	return []variant{
		{"client too", 0, func(s *spec) { s.eku = ekus(EKUClientAuth, EKUServerAuth) }},
		{"no EKU", reason.ExtendedKeyUsageMissing, func(s *spec) { s.eku = nil }},
		{"client only", reason.ExtendedKeyUsageMissing, func(s *spec) { s.eku = ekus(EKUClientAuth) }},
		{"IPsec", reason.ExtendedKeyUsageForm, func(s *spec) { s.eku = ekus(EKUServerAuth, EKUIPsecIKE) }},
		{"no device serial", reason.DeviceSerialMissing, subject("", commonName("broker.op.example"))},
		{"no SAN", reason.SANMissing, func(s *spec) { s.san = nil }},
		{"commonName a DNS name of it", 0, with(commonName("broker.op.example"))},
		{"commonName the serial", 0, with(commonName("SRV-1"))},
		{"commonName another host", reason.CommonName, with(commonName("bank.example"))},
		{"commonName in capitals", reason.CommonName, with(commonName("BROKER.op.example"))},
		{"commonName with a NUL's stand-in", reason.CommonName, with(commonName("broker.op.example\u00a0.bank.example"))},
		{"wildcard", reason.DNSName, func(s *spec) { s.san = sans("*.op.example") }},
		{"IP address", reason.SANKind, kind(0x87, "\x7f\x00\x00\x01")},
		{"URI", reason.SANKind, kind(0x86, "https://broker.op.example/")},
		{"e-mail", reason.SANKind, kind(0x81, "a@op.example")},
		{"directoryName", reason.SANKind, kind(0xa4, "")},
		{"keyEncipherment of P-256", reason.KeyUsageForm, func(s *spec) { s.ku = keyUsage(true, 5, 0xa0) }},
		{"keyAgreement of P-256", reason.KeyUsageForm, func(s *spec) { s.ku = keyUsage(true, 3, 0x88) }},
		{"keyEncipherment of RSA", 0, rsa(5, 0xa0)},
		{"keyAgreement of RSA", reason.KeyUsageForm, rsa(3, 0x88)},
		{"keyEncipherment of Ed25519", reason.KeyUsageForm, func(s *spec) { *s = *goodServer(t, keys, Ed25519); s.ku = keyUsage(true, 5, 0xa0) }},
	}
}
