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
	f.Fuzz(func(t *testing.T, der []byte) {
		sameAsCryptobyte(t, der)
		c, err := Parse(der)
		if err != nil {
			onlyReasons(t, err)
			return
		}
		p, _ := ByID(1)
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
		}
		if err := c.CheckSelfSignature(); err != nil {
			onlyReasons(t, err)
		}
	})
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
