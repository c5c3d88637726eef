package ocsp

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"math/big"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

func TestSelfSignedResponder(t *testing.T) {
	from := time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)
	for name, key := range keys(t) {
		der, err := SelfSignedResponder(key, "Member A OCSP", from, from.AddDate(0, 3, 0), rand.Reader)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		cert := parseX509(t, der)
		if err := cert.CheckSignature(cert.SignatureAlgorithm, cert.RawTBSCertificate, cert.Signature); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if cert.IsCA || !cert.BasicConstraintsValid || cert.KeyUsage != x509.KeyUsageDigitalSignature ||
			len(cert.ExtKeyUsage) != 1 || cert.ExtKeyUsage[0] != x509.ExtKeyUsageOCSPSigning {
			t.Errorf("%s: CA %v, usage %v, %v", name, cert.IsCA, cert.KeyUsage, cert.ExtKeyUsage)
		}
		var nocheck bool
		for _, e := range cert.Extensions {
			nocheck = nocheck || e.Id.String() == "1.3.6.1.5.5.7.48.1.5" && string(e.Value) == derNull && !e.Critical
		}
		if !nocheck || cert.SerialNumber.Sign() <= 0 || cert.SerialNumber.BitLen() != 127 {
			t.Errorf("%s: nocheck %v, serial %x", name, nocheck, cert.SerialNumber)
		}
	}
}

func TestSelfSignedResponderRefuses(t *testing.T) {
	from := time.Now()
	p521, err := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("GODEBUG", "rsa1024min=0")
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		key  crypto.Signer
		name string
		to   time.Time
	}{
		"P-521":      {p521, "A", from.Add(time.Hour)},
		"RSA-1024":   {small, "A", from.Add(time.Hour)},
		"no name":    {newP256(t), "", from.Add(time.Hour)},
		"long name":  {newP256(t), strings.Repeat("ä", 65), from.Add(time.Hour)},
		"not UTF-8":  {newP256(t), "\xff", from.Add(time.Hour)},
		"no time":    {newP256(t), "A", from},
		"time flows": {newP256(t), "A", from.Add(-time.Hour)},
	} {
		if _, err := SelfSignedResponder(tt.key, tt.name, from, tt.to, rand.Reader); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
	if _, err := SelfSignedResponder(newP256(t), "A", from, from.Add(time.Hour), iotest.ErrReader(errBroken)); err == nil {
		t.Error("a serial came out of a broken source of randomness")
	}
}

// deviceWithKey is a key and a certificate for it that may not sign answers.
func deviceWithKey(t *testing.T) (crypto.Signer, []byte) {
	t.Helper()
	key := newP256(t)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return key, der
}
