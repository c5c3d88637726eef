package main

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"iter"
	"math/big"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	xocsp "golang.org/x/crypto/ocsp"

	"github.com/quorate-pki/quorate/ca"
	"github.com/quorate-pki/quorate/ca/profile"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ocsp"
)

// emptyLedger has a first block, nothing published, and a checkpoint as fresh as the clock.
type emptyLedger struct {
	ledger.Reader
	now func() time.Time
}

func (l emptyLedger) Head(context.Context) (ledger.Head, error) {
	return ledger.Head{Time: l.now()}, nil
}

func (l emptyLedger) Records(_ context.Context, kind ledger.RecordKind, prefix, _ []byte) iter.Seq2[ledger.Record, error] {
	return func(yield func(ledger.Record, error) bool) {
		if kind == ledger.RecordHeight {
			yield(ledger.Record{Key: prefix, Value: ledger.Encode(ledger.BlockRecord{Time: 1_600_000_000_000})}, nil)
		}
	}
}

// renewal is a member's responder, its files, and a clock that the test sets.
type renewal struct {
	*responder
	t    *testing.T
	dir  string
	time time.Time
}

func newRenewal(t *testing.T, ocsp ocspConfig) *renewal {
	t.Helper()
	x := &renewal{t: t, dir: t.TempDir(), time: time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)}
	key, err := ca.GenerateKey(profile.P256, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if err := ocsp.check(x.dir); err != nil {
		t.Fatal(err)
	}
	c := &nodeConfig{Member: "ca-a", Responder: filepath.Join(x.dir, "responder.pem"), keys: &nodeKeys{responder: key, more: &nodeKeys{}}}
	now := func() time.Time { return x.time }
	x.responder = &responder{cfg: memberConfig{keys: c.keys, certificate: c.certificate, ocsp: ocsp, log: quietLog()}, readers: []ledger.Reader{emptyLedger{now: now}}, now: now}
	return x
}

func (x *renewal) start() {
	x.t.Helper()
	var err error
	if x.responder, err = newResponder(x.cfg, x.readers, x.now); err != nil {
		x.t.Fatal(err)
	}
}

// certificate is the one that the responder tells.
func (x *renewal) certificate() *x509.Certificate {
	x.t.Helper()
	w := httptest.NewRecorder()
	x.ServeHTTP(w, httptest.NewRequest("GET", "/ocsp/responder.pem", nil))
	block, _ := pem.Decode(w.Body.Bytes())
	if block == nil {
		x.t.Fatalf("%d %s", w.Code, w.Body)
	}
	return x.parse(block.Bytes)
}

func (x *renewal) parse(der []byte) *x509.Certificate {
	x.t.Helper()
	c, err := x509.ParseCertificate(der)
	if err != nil {
		x.t.Fatal(err)
	}
	return c
}

// TestResponderRenews: a responder certificate lives for a week, and is replaced by one over the same key, in the file too,
// while the node runs. When that fails the old one stays in use.
func TestResponderRenews(t *testing.T) {
	x := newRenewal(t, ocspConfig{})
	x.start()
	begin, first := x.time, x.certificate()
	if life := first.NotAfter.Sub(begin); life > 8*24*time.Hour || life < 24*time.Hour {
		t.Errorf("it lives for %v", life)
	}
	for x.time.Before(begin.Add(3 * 24 * time.Hour)) {
		x.time = x.time.Add(5 * time.Hour)
		if !x.certificate().Equal(first) {
			t.Fatalf("replaced after %v", x.time.Sub(begin))
		}
	}
	last := first
	for x.time.Before(begin.Add(60 * 24 * time.Hour)) {
		x.time = x.time.Add(7 * time.Hour)
		c := x.certificate()
		if c.NotBefore.After(x.time) || c.NotAfter.Sub(x.time) < 3*24*time.Hour {
			t.Fatalf("on %v it is valid until %v", x.time, c.NotAfter)
		}
		if !bytes.Equal(c.RawSubjectPublicKeyInfo, first.RawSubjectPublicKeyInfo) {
			t.Fatal("over another key")
		}
		if !c.Equal(last) {
			onDisk, err := ca.ReadCertificate(filepath.Join(x.dir, "responder.pem"))
			if err != nil || !bytes.Equal(onDisk, c.Raw) {
				t.Fatalf("not in its file: %v", err)
			}
		}
		last = c
	}
	if err := os.WriteFile(filepath.Join(x.dir, "responder.pem"), []byte("somebody's"), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		x.time = x.time.Add(24 * time.Hour)
		if !x.certificate().Equal(last) {
			t.Error("what could not be renewed is gone")
		}
	}
	if got, _ := os.ReadFile(filepath.Join(x.dir, "responder.pem")); string(got) != "somebody's" {
		t.Error("somebody's file is gone")
	}
}

// TestResponderKeysInMemberSet: the key that a member's answers are signed with is the one that the member-set document has.
func TestResponderKeysInMemberSet(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "q")
	g, err := readGenesisFile("", 2)
	if err != nil {
		t.Fatal(err)
	}
	if err := found(dir, g, time.Now()); err != nil {
		t.Fatal(err)
	}
	c, err := openConsortium(dir, quietLog())
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	ders, err := readResponders(filepath.Join(dir, responderName))
	if err != nil || len(ders) != len(c.set.Members) {
		t.Fatalf("%d certificates, %v", len(ders), err)
	}
	for i, m := range c.set.Members {
		cert, err := x509.ParseCertificate(ders[i])
		if err != nil || !bytes.Equal(cert.RawSubjectPublicKeyInfo, m.Keys[ledger.KeyResponder]) {
			t.Errorf("%s: %v", m.Name, err)
		}
		keys, err := readKeys(filepath.Join(dir, "orgs", m.Name))
		if err != nil {
			t.Fatal(err)
		}
		// Another key in its place is refused before the member starts.
		other := m
		other.Keys = map[uint64][]byte{}
		for p, k := range m.Keys {
			other.Keys[p] = k
		}
		other.Keys[ledger.KeyResponder] = m.Keys[ledger.KeyTLS]
		if _, err := keys.responderIn(&other); err == nil {
			t.Errorf("%s: a responder key that the member set does not have was taken", m.Name)
		}
		if spki, err := ca.SPKI(keys.responder.Public()); err != nil || !bytes.Equal(spki, m.Keys[ledger.KeyResponder]) {
			t.Errorf("%s signs with another key: %v", m.Name, err)
		}
	}
}

// TestResponderOfACA: what a registered CA gives is taken up while the node runs; before, and when it is over, the answer is
// unauthorized, about that CA's certificates alone.
func TestResponderOfACA(t *testing.T) {
	x := newRenewal(t, ocspConfig{Issuers: []ocspIssuer{{Certificate: "ca.pem", Responder: "given.pem"}}})
	key, err := ca.GenerateKey(profile.P256, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	issue := func(serial int64, parent *x509.Certificate, public crypto.PublicKey, until time.Time, name string) []byte {
		t.Helper()
		c := &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name}, NotBefore: x.time.Add(-time.Hour), NotAfter: until,
			IsCA: parent == nil, BasicConstraintsValid: true, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning}}
		if parent == nil {
			parent = c
		}
		der, err := x509.CreateCertificate(rand.Reader, c, parent, public, key)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	caDER := issue(1, nil, key.Public(), x.time.Add(1000*time.Hour), "Operator CA")
	write := func(name string, der []byte) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(x.dir, name), ca.EncodeCertificate(der), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("ca.pem", caDER)
	x.start()
	leaf := issue(7, x.parse(caDER), key.Public(), x.time.Add(time.Hour), "gateway")
	demand := func(issuer []byte, unauthorized bool) {
		t.Helper()
		id, err := ocsp.NewCertID(crypto.SHA256, leaf, issuer)
		if err != nil {
			t.Fatal(err)
		}
		request, err := ocsp.NewRequest(nil, id)
		if err != nil {
			t.Fatal(err)
		}
		post := httptest.NewRequest("POST", "/ocsp", bytes.NewReader(request.Raw))
		post.Header.Set("Content-Type", "application/ocsp-request")
		w := httptest.NewRecorder()
		x.ServeHTTP(w, post)
		if unauthorized != (w.Body.String() == "\x30\x03\x0a\x01\x06") {
			t.Errorf("answered %x", w.Body)
		}
		if !unauthorized {
			if got, err := xocsp.ParseResponse(w.Body.Bytes(), nil); err != nil || got.Status != xocsp.Unknown {
				t.Errorf("%+v, %v", got, err)
			}
		}
	}
	demand(caDER, true)
	write("given.pem", issue(3, x.parse(caDER), x.cfg.keys.responder.Public(), x.time.Add(48*time.Hour), "OCSP"))
	demand(caDER, true) // not looked at yet
	x.time = x.time.Add(61 * time.Minute)
	demand(caDER, false)
	x.time = x.time.Add(47 * time.Hour)
	demand(caDER, true)
	write("given.pem", issue(4, x.parse(caDER), x.cfg.keys.responder.Public(), x.time.Add(48*time.Hour), "OCSP"))
	x.time = x.time.Add(61 * time.Minute)
	demand(caDER, false)
	// Rubbish in its place: what is there stays in use.
	if err := os.WriteFile(filepath.Join(x.dir, "given.pem"), []byte("rubbish"), 0o600); err != nil {
		t.Fatal(err)
	}
	x.time = x.time.Add(2 * time.Hour)
	demand(caDER, false)
}
