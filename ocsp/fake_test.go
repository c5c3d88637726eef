package ocsp

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// ledger is a Source in memory. It fails the test when a Status is not preceded by a Freshness.
type fakeLedger struct {
	t *testing.T

	mu        sync.Mutex
	fresh     time.Time
	version   uint64 // goes up with publish
	quiet     bool   // keeps no calls
	proofs    map[uint64]Proofs
	standings map[string]Standing
	failFresh error
	failRead  error

	issuers     []RegisteredCA
	issuersRead int
	failIssuers error
	calls       []string
}

func newLedger(t *testing.T, fresh time.Time) *fakeLedger {
	return &fakeLedger{t: t, fresh: fresh, standings: make(map[string]Standing)}
}

func (l *fakeLedger) Freshness(context.Context) (Freshness, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.quiet {
		l.calls = append(l.calls, "freshness")
	}
	return Freshness{Time: l.fresh, Version: l.version}, l.failFresh
}

func (l *fakeLedger) Status(_ context.Context, id CertID) (Standing, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.calls) == 0 {
		l.t.Error("Status was called before Freshness")
	}
	l.calls = append(l.calls, "status")
	return l.standings[indexKey(id)], l.failRead
}

func (l *fakeLedger) Issuers(context.Context) ([]RegisteredCA, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.issuersRead++
	return l.issuers, l.failIssuers
}

func (l *fakeLedger) Proofs(_ context.Context, leaf uint64) (Proofs, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p, ok := l.proofs[leaf]
	if !ok {
		return Proofs{}, errBroken
	}
	return p, nil
}

// publish makes the ledger answer s about a self-issued certificate, by every hash algorithm.
func (l *fakeLedger) publish(certificate []byte, s Standing) {
	l.t.Helper()
	for _, h := range []crypto.Hash{crypto.SHA1, crypto.SHA256, crypto.SHA384} {
		l.mu.Lock()
		l.standings[indexKey(certID(l.t, h, certificate))] = s
		l.version++
		l.mu.Unlock()
	}
}

func (l *fakeLedger) takeCalls() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	calls := l.calls
	l.calls = nil
	return calls
}

func indexKey(id CertID) string {
	return id.Hash.String() + string(id.IssuerNameHash) + string(id.IssuerKeyHash) + string(id.Serial)
}

var errBroken = errors.New("the disk is on fire")

func certID(t *testing.T, h crypto.Hash, certificate []byte) CertID {
	t.Helper()
	id, err := NewCertID(h, certificate, certificate)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func newRequest(t *testing.T, nonce []byte, ids ...CertID) []byte {
	t.Helper()
	r, err := NewRequest(nonce, ids...)
	if err != nil {
		t.Fatal(err)
	}
	return r.Raw
}

func newP256(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// keys has one key of each kind that may sign answers.
func keys(t *testing.T) map[string]crypto.Signer {
	t.Helper()
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]crypto.Signer{"P-256": newP256(t), "P-384": p384, "Ed25519": ed, "RSA": rsaKey}
}

// device is a self-issued certificate.
func device(t *testing.T, name string, serial int64) []byte {
	t.Helper()
	key := newP256(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial),
		Subject:      pkix.Name{Organization: []string{"Vendor"}, CommonName: name},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(240 * time.Hour),
		KeyUsage:     x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func responderCertificate(t *testing.T, key crypto.Signer) []byte {
	t.Helper()
	der, err := SelfSignedResponder(key, "Member A OCSP", time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// responder is a Responder with a P-256 key over source; change may alter its Config.
func responder(t *testing.T, source Source, change func(*Config)) *Responder {
	t.Helper()
	key := newP256(t)
	cfg := Config{Source: source, Key: key, Certificate: responderCertificate(t, key)}
	if change != nil {
		change(&cfg)
	}
	r, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func writePEM(t *testing.T, name string, der []byte) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
