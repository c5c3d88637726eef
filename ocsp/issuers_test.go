package ocsp

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"strings"
	"testing"
	"time"

	second "golang.org/x/crypto/ocsp"
)

// testCA is a registered CA.
type testCA struct {
	key *ecdsa.PrivateKey
	der []byte
}

func newCA(t *testing.T, name string) *testCA {
	t.Helper()
	key := newP256(t)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-24 * time.Hour), NotAfter: time.Now().Add(240 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return &testCA{key, der}
}

// issue makes a certificate over a key; change may alter it.
func (ca *testCA) issue(t *testing.T, name string, serial int64, key crypto.PublicKey, change func(*x509.Certificate)) []byte {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name}, KeyUsage: x509.KeyUsageDigitalSignature,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour)}
	if change != nil {
		change(template)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parseX509(t, ca.der), key, ca.key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// delegate makes a responder certificate.
func (ca *testCA) delegate(t *testing.T, key crypto.PublicKey, change func(*x509.Certificate)) []byte {
	t.Helper()
	return ca.issue(t, "OCSP", 7, key, func(c *x509.Certificate) {
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning}
		c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 5}, Value: []byte(derNull)}}
		if change != nil {
			change(c)
		}
	})
}

func (ca *testCA) id(t *testing.T, h crypto.Hash, certificate []byte) CertID {
	t.Helper()
	id, err := NewCertID(h, certificate, ca.der)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// TestAuthority: who gets which certificate with the answer, and the one case that is unauthorized.
func TestAuthority(t *testing.T) {
	source, key := newLedger(t, time.Now()), newP256(t)
	gave, silent, late, stranger := newCA(t, "gave"), newCA(t, "silent"), newCA(t, "late"), newCA(t, "stranger")
	now := time.Now()
	r := responder(t, source, func(c *Config) {
		c.Key, c.Certificate = key, responderCertificate(t, key)
		c.Now = func() time.Time { return now }
		c.Issuers = []Issuer{
			{Certificate: gave.der, Responder: gave.delegate(t, &key.PublicKey, nil)},
			{Certificate: silent.der},
			{Certificate: late.der, Responder: late.delegate(t, &key.PublicKey, func(c *x509.Certificate) { c.NotAfter = now.Add(-time.Second) })},
		}
	})
	known := gave.issue(t, "known", 100, &newP256(t).PublicKey, nil)
	for _, h := range []crypto.Hash{crypto.SHA1, crypto.SHA256, crypto.SHA384} {
		source.standings[indexKey(gave.id(t, h, known))] = Standing{Known: true, State: Good}
	}
	own, delegated := r.own, parseX509(t, authorityOf(r, gave.id(t, crypto.SHA1, known)).responder.Raw)
	device := device(t, "d", 1)
	source.publish(device, Standing{Known: true, State: Good})
	issue := func(ca *testCA) []byte { return ca.issue(t, "never published", 101, &newP256(t).PublicKey, nil) }
	for _, h := range []crypto.Hash{crypto.SHA1, crypto.SHA256, crypto.SHA384} {
		for _, tt := range []struct {
			name   string
			ids    []CertID
			want   responseStatus
			status int
			certs  []*x509.Certificate
		}{
			{"published, its CA delegates", []CertID{gave.id(t, h, known)}, successful, second.Good, []*x509.Certificate{delegated}},
			{"not published, its CA delegates", []CertID{gave.id(t, h, issue(gave))}, successful, second.Unknown, []*x509.Certificate{delegated}},
			{"self-issued", []CertID{certID(t, h, device)}, successful, second.Good, []*x509.Certificate{own}},
			{"an issuer that nobody registered", []CertID{stranger.id(t, h, issue(stranger))}, successful, second.Unknown, []*x509.Certificate{own}},
			{"the CA gave nothing", []CertID{silent.id(t, h, issue(silent))}, unauthorized, 0, nil},
			{"what the CA gave is over", []CertID{late.id(t, h, issue(late))}, unauthorized, 0, nil},
			{"one of them without authority", []CertID{gave.id(t, h, known), silent.id(t, h, issue(silent))}, unauthorized, 0, nil},
			{"the CA's own certificate", []CertID{gave.id(t, h, gave.der)}, successful, second.Unknown, []*x509.Certificate{delegated}},
			{"both kinds", []CertID{gave.id(t, h, known), certID(t, h, device), gave.id(t, h, known)}, successful, second.Good, []*x509.Certificate{delegated, own}},
			{"both kinds, the other first", []CertID{certID(t, h, device), gave.id(t, h, known)}, successful, second.Good, []*x509.Certificate{own, delegated}},
		} {
			body, status := reply(t, r, newRequest(t, nil, tt.ids...))
			if status != tt.want {
				t.Errorf("%v, %s: %v, want %v", h, tt.name, status, tt.want)
			}
			if status != successful {
				continue
			}
			if !bytes.Contains(body, concat(tt.certs)) || bytes.Count(body, []byte(oidExtendedKeyUsage)) != len(tt.certs) {
				t.Errorf("%v, %s: not the certificates wanted, or not in that order", h, tt.name)
			}
			if got, err := second.ParseResponse(body, nil); len(tt.ids) == 1 && (err != nil || got.Status != tt.status) {
				t.Errorf("%v, %s: %+v %v", h, tt.name, got, err)
			}
		}
	}
	// To a second implementation the CA itself vouches for the answer: nothing is configured.
	body, _ := reply(t, r, newRequest(t, nil, gave.id(t, crypto.SHA1, known)))
	if got, err := second.ParseResponseForCert(body, parseX509(t, known), parseX509(t, gave.der)); err != nil || got.Status != second.Good {
		t.Errorf("by the CA alone: %v", err)
	}
}

const oidExtendedKeyUsage = "\x06\x03\x55\x1d\x25"

func concat(certs []*x509.Certificate) (out []byte) {
	for _, c := range certs {
		out = append(out, c.Raw...)
	}
	return out
}

func TestIssuersRefused(t *testing.T) {
	key, ca := newP256(t), newCA(t, "ca")
	for name, list := range map[string][]Issuer{
		"nothing":                  {{}},
		"no CA":                    {{Certificate: device(t, "d", 1)}},
		"twice":                    {{Certificate: ca.der}, {Certificate: ca.der}},
		"of another CA":            {{Certificate: ca.der, Responder: newCA(t, "ca").delegate(t, &key.PublicKey, nil)}},
		"for another key":          {{Certificate: ca.der, Responder: ca.delegate(t, &newP256(t).PublicKey, nil)}},
		"not to sign answers with": {{Certificate: ca.der, Responder: ca.issue(t, "x", 2, &key.PublicKey, nil)}},
	} {
		_, err := New(Config{Source: newLedger(t, time.Now()), Key: key, Certificate: responderCertificate(t, key), Issuers: list})
		if err == nil || !strings.Contains(err.Error(), "issuer ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func authorityOf(r *Responder, id CertID) *authority { return r.configured.of(&id) }

// register puts CAs on the ledger.
func (l *fakeLedger) register(t *testing.T, cas ...*testCA) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, ca := range cas {
		cert := parseX509(t, ca.der)
		bits, err := keyBits(cert.RawSubjectPublicKeyInfo)
		if err != nil {
			t.Fatal(err)
		}
		l.issuers = append(l.issuers, RegisteredCA{Name: cert.RawSubject, KeyBits: bits})
	}
	l.version++
}

// TestRegisteredOnTheLedger: from the block on that registers a CA, the answer about its certificates is unauthorized at a node that it gave nothing, and
// good as ever at one that it gave a certificate. The ledger is asked once for each state, and what cannot be read is not "nobody registered it".
func TestRegisteredOnTheLedger(t *testing.T) {
	source, key := newLedger(t, time.Now()), newP256(t)
	gave, silent, stranger := newCA(t, "gave"), newCA(t, "silent"), newCA(t, "stranger")
	r := responder(t, source, func(c *Config) {
		c.Key, c.Certificate, c.ExtendedRevoke = key, responderCertificate(t, key), true
		c.Issuers = []Issuer{{Certificate: gave.der, Responder: gave.delegate(t, &key.PublicKey, nil)}}
	})
	ask := func(ca *testCA) (responseStatus, int) {
		t.Helper()
		body, status := reply(t, r, newRequest(t, nil, ca.id(t, crypto.SHA256, ca.issue(t, "never published", 101, &newP256(t).PublicKey, nil))))
		if status != successful {
			return status, 0
		}
		got, err := second.ParseResponse(body, nil)
		if err != nil {
			t.Fatal(err)
		}
		return status, got.Status
	}
	demand := func(ca *testCA, status responseStatus, what int) {
		t.Helper()
		if s, w := ask(ca); s != status || w != what {
			t.Errorf("%v %d, want %v %d", s, w, status, what)
		}
	}
	for range 3 {
		demand(silent, successful, second.Unknown)
		demand(gave, successful, second.Revoked) // of a registered CA, by configuration: extended revoke
	}
	if source.issuersRead != 1 {
		t.Errorf("the registered CAs were read %d times", source.issuersRead)
	}
	source.register(t, silent, gave)
	for range 3 {
		demand(silent, unauthorized, 0)
		demand(gave, successful, second.Revoked)
		demand(stranger, successful, second.Unknown)
	}
	if source.issuersRead != 2 {
		t.Errorf("the registered CAs were read %d times", source.issuersRead)
	}
	source.version++
	source.failIssuers = errBroken
	demand(stranger, internalError, 0)
	source.failIssuers = nil
	demand(stranger, successful, second.Unknown)
}
