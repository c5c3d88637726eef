package profile

import (
	"strings"
	"testing"

	"github.com/quorate-pki/quorate/internal/reason"
)

// A network function's parts.
const (
	amf1   = "urn:uuid:f81d4fae-7dec-41d0-a765-00a0c91e6bf6"
	nfHost = "amf1.5gc.mnc015.mcc234.3gppnetwork.org"
)

func country(tag byte, v string) []byte { return attr(oidCountryName, tag, v) }
func home(v string) []byte              { return attr(oidO, tagUTF8String, v) }
func dnsName(v string) []byte           { return tlv(0x82, str(v)) }
func uri(v string) []byte               { return tlv(0x86, str(v)) }

// nfTypes is the extension with a list of types.
func nfTypes(critical bool, types ...string) []byte {
	var all []byte
	for _, t := range types {
		all = append(all, tlv(tagIA5String, str(t))...)
	}
	return ext(extNFTypes, critical, tlv(tagSequence, all))
}

func goodNF(t testing.TB, keys testKeys, kind KeyKind) *spec {
	s := good(t, keys[kind], usual(kind))
	name(country(tagPrintableString, "XX"), home("5gc.mnc015.mcc234.3gppnetwork.org"))(s)
	s.eku = ekus(EKUClientAuth, EKUServerAuth)
	s.san = ext(extSAN, true, tlv(tagSequence, dnsName(nfHost), uri(amf1)))
	s.more = nfTypes(false, "AMF")
	s.notAfter = until(blockClock().AddDate(2, 0, 0))
	return s
}

func nfVariants(t testing.TB, keys testKeys) []variant {
	san := func(names ...[]byte) func(*spec) {
		return func(s *spec) { s.san = ext(extSAN, true, tlv(tagSequence, names...)) }
	}
	id := func(v string) func(*spec) { return san(dnsName(nfHost), uri(v)) }
	types := func(types ...string) func(*spec) { return func(s *spec) { s.more = nfTypes(false, types...) } }
	raw := func(value ...[]byte) func(*spec) { return func(s *spec) { s.more = ext(extNFTypes, false, value...) } }
	ia5 := func(v string) []byte { return tlv(tagIA5String, str(v)) }
	xx, ours := country(tagPrintableString, "XX"), home("5gc.op.example")
	return append([]variant{
		{"a client only", 0, func(s *spec) { s.eku = ekus(EKUClientAuth) }},
		{"a server only", 0, func(s *spec) { s.eku = ekus(EKUServerAuth) }},
		{"no EKU", reason.ExtendedKeyUsageMissing, func(s *spec) { s.eku = nil }},
		{"an IPsec peer", reason.ExtendedKeyUsageForm, func(s *spec) { s.eku = ekus(EKUClientAuth, EKUIPsecIKE) }},
		{"keyEncipherment of RSA", reason.KeyUsageForm, func(s *spec) { *s = *goodNF(t, keys, RSA); s.ku = keyUsage(true, 5, 0xa0) }},
		{"keyAgreement", reason.KeyUsageForm, func(s *spec) { s.ku = keyUsage(true, 3, 0x88) }},

		{"device serial", reason.DeviceSerialNotAllowed, name(xx, ours, attr(oidSerialNumber, tagPrintableString, "NF-1"))},
		{"no country", reason.HomeDomain, name(ours)},
		{"country in lower case", reason.HomeDomain, name(country(tagPrintableString, "xx"), ours)},
		{"country of three letters", reason.HomeDomain, name(country(tagPrintableString, "XXX"), ours)},
		{"country in UTF-8", reason.HomeDomain, name(country(tagUTF8String, "XX"), ours)},
		{"no home domain", reason.HomeDomain, name(xx)},
		{"home domain a company", reason.HomeDomain, name(xx, home("Operator One"))},
		{"home domain in capitals", reason.HomeDomain, name(xx, home("5GC.op.example"))},
		{"home domain with a final dot", reason.HomeDomain, name(xx, home("5gc.op.example."))},
		{"commonName a DNS name of it", 0, name(xx, ours, commonName(nfHost))},
		{"commonName the home domain", reason.CommonName, name(xx, ours, commonName("5gc.op.example"))},
		{"commonName the instance id", reason.CommonName, name(xx, ours, commonName(amf1[9:]))},

		{"SAN not critical", reason.SANNotCritical, func(s *spec) { s.san = ext(extSAN, false, tlv(tagSequence, dnsName(nfHost), uri(amf1))) }},
		{"no SAN", reason.SANMissing, func(s *spec) { s.san = nil }},
		{"no instance id", reason.InstanceMissing, san(dnsName(nfHost))},
		{"no DNS name", reason.DNSNameMissing, san(uri(amf1))},
		{"two DNS names, id first", 0, san(uri(amf1), dnsName(nfHost), dnsName("amf.op.example"))},
		{"two instance ids", reason.InstanceForm, san(dnsName(nfHost), uri(amf1), uri("urn:uuid:f81d4fae-7dec-41d0-a765-00a0c91e6bf7"))},
		{"instance id twice", reason.SANDuplicate, san(dnsName(nfHost), uri(amf1), uri(amf1))},
		{"instance id in two letter cases", reason.InstanceForm, san(dnsName(nfHost), uri(amf1), uri("urn:uuid:F81D4FAE-7DEC-41D0-A765-00A0C91E6BF6"))},
		{"apiRoot beside it", reason.InstanceForm, san(dnsName(nfHost), uri(amf1), uri("https://"+nfHost+"/root"))},
		{"constructed URI", reason.InstanceForm, san(dnsName(nfHost), tlv(0xa6, str(amf1)))},
		{"address beside it", reason.SANKind, san(dnsName(nfHost), uri(amf1), tlv(0x87, []byte{192, 0, 2, 1}))},
		{"otherName beside it", reason.SANKind, san(dnsName(nfHost), uri(amf1), hardware("\x2a\x03", "1"))},

		{"no nfTypes", reason.NFTypesMissing, func(s *spec) { s.more = nil }},
		{"critical nfTypes", reason.NFTypesForm, func(s *spec) { s.more = nfTypes(true, "AMF") }},
		{"several types", 0, types("5G_EIR", "AMF", "AUSF", "UDM")},
		{"a type of 32 characters", 0, types(strings.Repeat("A", 32))},
		{"no type", reason.NFTypesForm, types()},
		{"an empty type", reason.NFTypesForm, types("", "AMF")},
		{"a type of 33 characters", reason.NFTypesForm, types(strings.Repeat("A", 33))},
		{"types out of order", reason.NFTypesForm, types("SMF", "AMF")},
		{"a type twice", reason.NFTypesForm, types("AMF", "AMF")},
		{"order by length", reason.NFTypesForm, types("UDM", "AUSF")},
		{"a type in lower case", reason.NFTypesForm, types("amf")},
		{"a type with a space", reason.NFTypesForm, types("AMF ")},
		{"a type with a NUL", reason.NFTypesForm, types("AMF\x00")},
		{"a type with a hyphen", reason.NFTypesForm, types("MB-SMF")},
		{"a type beyond ASCII", reason.NFTypesForm, types("\xc4MF")},
		{"types as UTF-8", reason.NFTypesForm, raw(tlv(tagSequence, tlv(tagUTF8String, str("AMF"))))},
		{"types in a set", reason.NFTypesForm, raw(tlv(tagSet, ia5("AMF")))},
		{"a type without a list", reason.NFTypesForm, raw(ia5("AMF"))},
		{"more after the list", reason.NFTypesForm, raw(tlv(tagSequence, ia5("AMF")), tlv(tagNull))},
		{"a list cut short", reason.NFTypesForm, raw([]byte{0x30, 9, tagIA5String, 3, 'A', 'M', 'F'})},
		{"nothing in nfTypes", reason.NFTypesForm, raw()},
		{"nfTypes twice", reason.ExtensionDuplicate, func(s *spec) { s.more = append(nfTypes(false, "AMF"), nfTypes(false, "SMF")...) }},
	}, instanceVariants(id)...)
}

// instanceVariants are ids that are none.
func instanceVariants(id func(string) func(*spec)) []variant {
	var all []variant
	for name, v := range map[string]string{
		"instance id of version 1":            "urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6",
		"instance id of version 7":            "urn:uuid:f81d4fae-7dec-71d0-a765-00a0c91e6bf6",
		"instance id of another variant":      "urn:uuid:f81d4fae-7dec-41d0-c765-00a0c91e6bf6",
		"instance id of the oldest variant":   "urn:uuid:f81d4fae-7dec-41d0-7765-00a0c91e6bf6",
		"instance id of zeros":                "urn:uuid:00000000-0000-0000-0000-000000000000",
		"instance id in capitals":             "urn:uuid:F81D4FAE-7DEC-41D0-A765-00A0C91E6BF6",
		"instance id with one capital":        "urn:uuid:F81d4fae-7dec-41d0-a765-00a0c91e6bf6",
		"instance id of another scheme":       "URN:uuid:f81d4fae-7dec-41d0-a765-00a0c91e6bf6",
		"instance id of another namespace":    "urn:UUID:f81d4fae-7dec-41d0-a765-00a0c91e6bf6",
		"instance id without a scheme":        "f81d4fae-7dec-41d0-a765-00a0c91e6bf6",
		"instance id in braces":               "urn:uuid:{f81d4fae-7dec-41d0-a765-00a0c91e6bf6}",
		"instance id without hyphens":         "urn:uuid:f81d4fae7dec41d0a76500a0c91e6bf6",
		"instance id with hyphens elsewhere":  "urn:uuid:f81d4f-ae7dec-41d0-a765-00a0c91e6bf6",
		"instance id a digit short":           "urn:uuid:f81d4fae-7dec-41d0-a765-00a0c91e6bf",
		"instance id a digit long":            "urn:uuid:f81d4fae-7dec-41d0-a765-00a0c91e6bf66",
		"instance id with a letter too far":   "urn:uuid:g81d4fae-7dec-41d0-a765-00a0c91e6bf6",
		"instance id with a NUL":              "urn:uuid:f81d4fae-7dec-41d0-a765-00a0c91e6bf6\x00",
		"instance id with a query":            "urn:uuid:f81d4fae-7dec-41d0-a765-00a0c91e6bf6?+x",
		"instance id with a fragment":         "urn:uuid:f81d4fae-7dec-41d0-a765-00a0c91e6bf6#x",
		"instance id with an escape":          "urn:uuid:%6681d4fae-7dec-41d0-a765-00a0c91e6bf6",
		"instance id with full-width letters": "urn:uuid:\uff4681d4fae-7dec-41d0-a765-00a0c91e6bf",
		"instance id empty":                   "urn:uuid:",
		"URI empty":                           "",
		"URI of a web page":                   "https://" + nfHost,
		"URI of a SPIFFE id":                  "spiffe://op.example/amf1",
	} {
		all = append(all, variant{name, reason.InstanceForm, id(v)})
	}
	return all
}

// TestNetworkFunction holds what is told of a network function to what was read.
func TestNetworkFunction(t *testing.T) {
	s := goodNF(t, newKeys(t), P256)
	s.more = nfTypes(false, "AMF", "SMF")
	c, err := Parse(s.build(t))
	must(t, err)
	id, ok := c.Instance()
	if !ok || instanceURN+id.String() != amf1 || strings.Join(c.NFTypes(), " ") != "AMF SMF" || c.HomeDomainName() != "5gc.mnc015.mcc234.3gppnetwork.org" {
		t.Errorf("%s %v, %q, %q", id, ok, c.NFTypes(), c.HomeDomainName())
	}
	s.more, s.san = nfTypes(false, "SMF", "AMF"), sans(nfHost)
	c, err = Parse(s.build(t))
	must(t, err)
	if _, ok := c.Instance(); ok || c.NFTypes() != nil {
		t.Errorf("%v, %q", ok, c.NFTypes())
	}
}

// TestOldVerdictsStand: what a newer profile reads deeper is still unread where the profile has no use for it, so that
// nothing changes under rule version 1.
func TestOldVerdictsStand(t *testing.T) {
	for name, r := range map[string]struct {
		want   reason.Code
		change func(*spec)
	}{
		"nfTypes":           {reason.ExtensionNotAllowed, func(s *spec) { s.more = nfTypes(false, "AMF") }},
		"nfTypes in pieces": {reason.ExtensionNotAllowed, func(s *spec) { s.more = ext(extNFTypes, true, []byte{0x30, 9, 1}) }},
		"URI":               {reason.SANKind, func(s *spec) { s.san = ext(extSAN, true, tlv(tagSequence, uri("urn:uuid:x"))) }},
		"URI constructed":   {reason.SANKind, func(s *spec) { s.san = ext(extSAN, true, tlv(tagSequence, tlv(0xa6, str("x")))) }},
		"otherName":         {reason.SANKind, func(s *spec) { s.san = ext(extSAN, true, tlv(tagSequence, tlv(0x80, str("x")))) }},
		"commonName":        {0, name(attr(oidSerialNumber, tagPrintableString, "S-1"), commonName("bank.example"))},
		"country":           {0, name(attr(oidSerialNumber, tagPrintableString, "S-1"), country(tagUTF8String, "nowhere"))},
		"RSA keyAgreement":  {0, func(s *spec) { s.ku = keyUsage(true, 3, 0xa8) }},
		"no EKU":            {0, func(s *spec) { s.eku = nil }},
		"SAN not critical":  {0, func(s *spec) { s.san = sans("a.example") }},
		"no device serial":  {reason.DeviceSerialMissing, name(home("5gc.op.example"))},
		"a network function": {reason.DeviceSerialMissing, func(s *spec) {
			*s = *goodNF(t, testKeys{P256: s.key}, P256)
			s.alg = Ed25519Sig
			s.sigAlg = str(sigEd25519)
		}},
	} {
		s := good(t, ed(t), Ed25519Sig)
		r.change(s)
		if got, _ := reason.CodeOf(judge(s.build(t), Grant{})); got != r.want {
			t.Errorf("%s: got %v, want %v", name, got, r.want)
		}
	}
}
