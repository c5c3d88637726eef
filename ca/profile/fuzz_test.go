package profile

import (
	"crypto/x509"
	"errors"
	"testing"

	"github.com/quorate-pki/quorate/internal/reason"
)

// FuzzParse: never a panic, every refusal with a code, and what we accept crypto/x509 reads alike.
func FuzzParse(f *testing.F) {
	keys := newKeys(f)
	for kind, alg := range map[KeyKind]SigAlg{P256: ECDSAWithSHA256, P384: ECDSAWithSHA384, Ed25519: Ed25519Sig, RSA: RSAPKCS1SHA256} {
		f.Add(good(f, keys[kind], alg).build(f))
	}
	for _, group := range [][]refusal{derRefusals(), fieldRefusals(), extensionRefusals(), keyRefusals(f)} {
		for _, r := range group {
			s := good(f, keys[Ed25519], Ed25519Sig)
			r.spoil(s)
			f.Add(s.build(f))
		}
	}
	for _, r := range rows() {
		for _, v := range append(r.variants(f, keys), variant{change: func(*spec) {}}) {
			s := r.good(f, keys, r.kinds[0])
			v.change(s)
			f.Add(s.build(f))
		}
	}
	f.Fuzz(func(t *testing.T, der []byte) {
		sameAsCryptobyte(t, der)
		c, err := Parse(der)
		if err != nil {
			onlyReasons(t, err)
			return
		}
		for _, p := range All() {
			for _, at := range []uint64{0, blockTime, 1 << 63} {
				if err := p.Check(c, at, Grant{LegacyRSA2048: true}); err != nil {
					onlyReasons(t, err)
					continue
				}
				std, err := x509.ParseCertificate(der)
				if err != nil {
					t.Fatalf("crypto/x509 refuses what we accept: %v", err)
				}
				agree(t, der, std)
				agreeOn(t, p, c, std)
			}
		}
		if err := c.CheckSelfSignature(); err != nil {
			onlyReasons(t, err)
		}
	})
}

// agreeOn compares what a profile of rule version 2 reads deeper with what crypto/x509 found.
func agreeOn(t *testing.T, p *Profile, c *Certificate, std *x509.Certificate) {
	t.Helper()
	id, ok := c.Instance()
	if p.Instance && (!ok || len(std.URIs) != 1 || std.URIs[0].String() != instanceURN+id.String()) {
		t.Errorf("instance id %s, crypto/x509 has %v", id, std.URIs)
	}
	if p.HomeDomain && (len(std.Subject.Organization) != 1 || std.Subject.Organization[0] != c.HomeDomainName()) {
		t.Errorf("home domain %q, crypto/x509 has %q", c.HomeDomainName(), std.Subject.Organization)
	}
	if p.CommonName && std.Subject.CommonName != string(c.common) {
		t.Errorf("commonName %q, crypto/x509 has %q", c.common, std.Subject.CommonName)
	}
}

func FuzzParseSPKI(f *testing.F) {
	for _, key := range newKeys(f) {
		f.Add(spkiOf(f, key.Public()))
	}
	for _, r := range keyRefusals(f) {
		s := &spec{}
		r.spoil(s)
		f.Add(s.spki)
	}
	f.Fuzz(func(t *testing.T, spki []byte) {
		k, err := ParseSPKI(spki)
		if err != nil {
			onlyReasons(t, err)
			return
		}
		if _, err := x509.ParsePKIXPublicKey(spki); err != nil {
			t.Fatalf("crypto/x509 refuses what we accept: %v", err)
		}
		k.VerifyCOSE(-7, spki, spki)
	})
}

func onlyReasons(t *testing.T, err error) {
	t.Helper()
	var fault *reason.Error
	if !errors.As(err, &fault) || fault.Code < 100 || (fault.Code > 199 && fault.Code != reason.LegacyKeyNotGranted) {
		t.Errorf("a refusal without a code: %v", err)
	}
}
