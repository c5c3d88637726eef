package profile

import (
	"bytes"
	"crypto/x509"
	"testing"
	"time"

	"github.com/quorate-pki/quorate/internal/reason"
)

// keyCertSignAndCRL is the KeyUsage of a CA.
var keyCertSignAndCRL = tlv(tagBitString, []byte{1, 0x06})

// goodCA is a CA certificate as openssl makes one, with name constraints.
func goodCA(t testing.TB, kind KeyKind, alg SigAlg) *spec {
	s := good(t, newKeys(t)[kind], alg)
	s.notAfter = tlv(tagUTCTime, str("470101000000Z"))
	s.ku, s.eku, s.san = ext(extKeyUsage, true, keyCertSignAndCRL), nil, nil
	s.bc = ext(extBasicConstraints, true, tlv(tagSequence, tlv(tagBoolean, []byte{0xff}), tlv(tagInteger, []byte{0})))
	s.more = ext(extNameConstraints, true, tlv(tagSequence, tlv(tagConstructed, tlv(tagSequence, tlv(0x82, str("cells.example"))))))
	return s
}

func codeOf(err error) reason.Code {
	c, _ := reason.CodeOf(err)
	return c
}

// TestAuthority accepts CA certificates of every kind of key, self-issued and issued by another CA, and crypto/x509 agrees.
func TestAuthority(t *testing.T) {
	for kind, alg := range map[KeyKind]SigAlg{P256: ECDSAWithSHA256, P384: ECDSAWithSHA384, Ed25519: Ed25519Sig, RSA: RSAPKCS1SHA256} {
		raw := goodCA(t, kind, alg).build(t)
		a, err := ParseAuthority(raw)
		if err != nil {
			t.Fatalf("%s: %v", kind, err)
		}
		if !a.SelfIssued || !a.Constrained || a.PathLen != 0 || a.Key.Kind != kind {
			t.Errorf("%s: read as %+v", kind, a)
		}
		if c, err := x509.ParseCertificate(raw); err != nil || !c.IsCA || !bytes.Equal(c.RawSubject, a.Subject) {
			t.Errorf("%s: crypto/x509 reads another: %v", kind, err)
		}
		if err := a.Check(blockTime); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
		device, err := Parse(raw)
		must(t, err)
		if p, _ := ByID(1); codeOf(p.Check(device, blockTime, Grant{})) == 0 {
			t.Errorf("%s: a CA's certificate is a small cell's", kind)
		}
	}
	// Issued by another: the algorithm is that of the issuer's key, and the signature is not looked at.
	s := goodCA(t, P256, ECDSAWithSHA256)
	s.issuer, s.sigAlg, s.signature = tlv(tagSequence, attr(oidO, tagUTF8String, "Root")), str(sigRSA384), tlv(tagBitString, []byte{0}, make([]byte, 384))
	s.aki, s.bc, s.more = ext(extAKI, false, tlv(tagSequence, tlv(0x80, []byte{9}))), ext(extBasicConstraints, true, tlv(tagSequence, tlv(tagBoolean, []byte{0xff}))), nil
	if a, err := ParseAuthority(s.build(t)); err != nil || a.SelfIssued || a.Constrained || a.PathLen != -1 {
		t.Errorf("issued by another: %+v, %v", a, err)
	}
}

// TestAuthorityRefusals has a row for each rule.
func TestAuthorityRefusals(t *testing.T) {
	yes := tlv(tagBoolean, []byte{0xff})
	for name, c := range map[string]struct {
		spoil func(*spec)
		want  reason.Code
	}{
		"no basicConstraints": {func(s *spec) { s.bc = nil }, reason.NotACA},
		"an empty one":        {func(s *spec) { s.bc = ext(extBasicConstraints, true, tlv(tagSequence)) }, reason.NotACA},
		"not critical":        {func(s *spec) { s.bc = ext(extBasicConstraints, false, tlv(tagSequence, yes)) }, reason.NotACA},
		"CA:FALSE, said":      {func(s *spec) { s.bc = ext(extBasicConstraints, true, tlv(tagSequence, tlv(tagBoolean, []byte{0}))) }, reason.DERValue},
		"a path length alone": {func(s *spec) { s.bc = ext(extBasicConstraints, true, tlv(tagSequence, tlv(tagInteger, []byte{0}))) }, reason.NotACA},
		"a negative path length": {func(s *spec) {
			s.bc = ext(extBasicConstraints, true, tlv(tagSequence, yes, tlv(tagInteger, []byte{0x80})))
		}, reason.NotACA},
		"a long path length": {func(s *spec) {
			s.bc = ext(extBasicConstraints, true, tlv(tagSequence, yes, tlv(tagInteger, []byte{1, 0})))
		}, reason.NotACA},
		"more than that": {func(s *spec) {
			s.bc = ext(extBasicConstraints, true, tlv(tagSequence, yes, tlv(tagInteger, []byte{0}), yes))
		}, reason.DERTrailing},
		"no keyUsage":                   {func(s *spec) { s.ku = nil }, reason.CAKeyUsage},
		"no keyCertSign":                {func(s *spec) { s.ku = ext(extKeyUsage, true, tlv(tagBitString, []byte{1, 0x02})) }, reason.CAKeyUsage},
		"keyUsage not critical":         {func(s *spec) { s.ku = ext(extKeyUsage, false, keyCertSignAndCRL) }, reason.CAKeyUsage},
		"keyAgreement beside":           {func(s *spec) { s.ku = ext(extKeyUsage, true, tlv(tagBitString, []byte{2, 0x0c})) }, reason.CAKeyUsage},
		"no extensions":                 {func(s *spec) { s.noExtensions = true }, reason.NotACA},
		"nameConstraints not critical":  {func(s *spec) { s.more = ext(extNameConstraints, false, tlv(tagSequence, tlv(tagConstructed))) }, reason.ExtensionForm},
		"nameConstraints of nothing":    {func(s *spec) { s.more = ext(extNameConstraints, true, tlv(tagSequence)) }, reason.ExtensionForm},
		"an unknown critical extension": {func(s *spec) { s.more = ext("\x55\x1d\x24", true, tlv(tagSequence)) }, reason.ExtensionNotAllowed},
		"one twice":                     {func(s *spec) { s.more = s.ku }, reason.ExtensionDuplicate},
		"a bad signature":               {func(s *spec) { s.signature = tlv(tagBitString, []byte{0}, make([]byte, 64)) }, reason.SelfSignature},
		"another algorithm outside":     {func(s *spec) { s.outerAlg = str(sigRSA256) }, reason.AlgorithmMismatch},
		"version 1":                     {func(s *spec) { s.version = nil }, reason.CertVersion},
		"bytes after it":                {func(s *spec) { s.outer = func(b []byte) []byte { return append(b, 0) } }, reason.DERTrailing},
		"too large":                     {func(s *spec) { s.more = ext("\x55\x1d\x20", false, tlv(tagOctetString, make([]byte, MaxCertificate))) }, reason.DERTooLarge},
	} {
		s := goodCA(t, Ed25519, Ed25519Sig)
		c.spoil(s)
		if _, err := ParseAuthority(s.build(t)); codeOf(err) != c.want {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
	small := good(t, rsaKey(t, 2048), RSAPKCS1SHA256)
	ca := goodCA(t, Ed25519, Ed25519Sig)
	small.ku, small.eku, small.san, small.bc = ca.ku, nil, nil, ca.bc
	if _, err := ParseAuthority(small.build(t)); codeOf(err) != reason.CAKeySize {
		t.Errorf("RSA 2048: %v", err)
	}
}

// TestAuthorityDates: a CA that has ended registers no more, one that is a little ahead does; the ends are within.
func TestAuthorityDates(t *testing.T) {
	a, err := ParseAuthority(goodCA(t, Ed25519, Ed25519Sig).build(t))
	must(t, err)
	ms := func(t time.Time) uint64 { return uint64(t.UnixMilli()) }
	begin, end := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2047, 1, 1, 0, 0, 0, 0, time.UTC)
	for at, want := range map[uint64]reason.Code{
		ms(begin.Add(-48 * time.Hour)):               0,
		ms(begin.Add(-48*time.Hour - 1*time.Second)): reason.CAValidity,
		ms(end):                  0,
		ms(end.Add(time.Second)): reason.CAValidity,
	} {
		if err := a.Check(at); codeOf(err) != want {
			t.Errorf("at %d: %v", at, err)
		}
	}
}

// FuzzParseAuthority: nothing panics, every error has a reason, and what is read is a CA for crypto/x509 too.
func FuzzParseAuthority(f *testing.F) {
	f.Add(goodCA(f, P256, ECDSAWithSHA256).build(f))
	f.Add(goodCA(f, Ed25519, Ed25519Sig).build(f))
	f.Fuzz(func(t *testing.T, raw []byte) {
		a, err := ParseAuthority(raw)
		if err != nil {
			if codeOf(err) == 0 {
				t.Fatalf("no reason: %v", err)
			}
			return
		}
		if c, err := x509.ParseCertificate(raw); err == nil && (!c.IsCA || c.KeyUsage&x509.KeyUsageCertSign == 0 || !bytes.Equal(c.RawSubject, a.Subject)) {
			t.Errorf("crypto/x509 reads another certificate")
		}
	})
}
