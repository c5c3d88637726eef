package verify_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/ledgertest"
	"github.com/quorate-pki/quorate/ocsp"
	"github.com/quorate-pki/quorate/verify"
)

// tlsWorld is a log with devices that connect to each other.
type tlsWorld struct {
	*world
	t *testing.T
}

func newTLSWorld(t *testing.T) *tlsWorld {
	w := found(t, 4)
	for _, s := range []string{"ACME-1", "ACME-2", "ACME-REVOKED", "ACME-SUSPENDED"} {
		w.device(s, time.Time{})
	}
	w.device("ACME-ENDED", ledgertest.Start.Add(30*time.Minute))
	w.certs["ACME-SERVER"] = withUsage(t, w, "ACME-SERVER", x509.ExtKeyUsageServerAuth)
	w.certs["ACME-CLIENT"] = withUsage(t, w, "ACME-CLIENT", x509.ExtKeyUsageClientAuth)
	w.publish("ACME-1", "ACME-2", "ACME-REVOKED", "ACME-SUSPENDED", "ACME-ENDED", "ACME-SERVER", "ACME-CLIENT")
	w.change(ledger.Revoke, ledger.KeyCompromise, "ACME-REVOKED")
	w.change(ledger.Suspend, ledger.CertificateHold, "ACME-SUSPENDED")
	return &tlsWorld{w, t}
}

// withUsage makes a certificate with one extended key usage.
func withUsage(t *testing.T, w *world, serial string, usage x509.ExtKeyUsage) []byte {
	key := w.c.Key("device/" + serial)
	subject := pkix.Name{ExtraNames: []pkix.AttributeTypeAndValue{{Type: asn1.ObjectIdentifier{2, 5, 4, 5}, Value: serial}}}
	template := &x509.Certificate{SerialNumber: big.NewInt(77), Subject: subject, NotBefore: ledgertest.Start.Add(-time.Hour),
		NotAfter: ledgertest.Start.AddDate(1, 0, 0), KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{usage},
		DNSNames: []string{strings.ToLower(serial) + ".acme-cells.example"}}
	der, err := x509.CreateCertificate(bytes.NewReader(make([]byte, 64)), template, template, key.Public(), key)
	must(t, err)
	return der
}

// proofs are a device's receipt and status, as of asOf.
func (w *tlsWorld) proofs(serial string) verify.Evidence {
	leaf, size := w.leafOf[serial], w.size()
	var cause uint64
	switch serial {
	case "ACME-REVOKED":
		cause = w.leafOf["change/1/ACME-REVOKED"]
	case "ACME-SUSPENDED":
		cause = w.leafOf["change/2/ACME-SUSPENDED"]
	}
	return verify.Evidence{Receipt: w.receiptOf(leaf, size, w.certs[serial]).file(), Status: w.statusOf(leaf, size, cause).file()}
}

// told is a Source of a responder: it tells one thing of every certificate, and gives what proofs it is given.
type told struct {
	standing ocsp.Standing
	proofs   ocsp.Proofs
}

func (s told) Freshness(context.Context) (ocsp.Freshness, error) {
	return ocsp.Freshness{Time: time.Unix(asOf, 0)}, nil
}
func (s told) Status(context.Context, ocsp.CertID) (ocsp.Standing, error) { return s.standing, nil }
func (s told) Issuers(context.Context) ([]ocsp.RegisteredCA, error)       { return nil, nil }
func (s told) Proofs(context.Context, uint64) (ocsp.Proofs, error)        { return s.proofs, nil }

// answer is an answer about a certificate, signed by a key, with proofs if there are any.
func answer(t testing.TB, key ed25519.PrivateKey, der []byte, state ocsp.State, e verify.Evidence) []byte {
	t.Helper()
	own, err := ocsp.SelfSignedResponder(key, "responder", ledgertest.Start, ledgertest.Start.Add(24*time.Hour), bytes.NewReader(make([]byte, 64)))
	must(t, err)
	s := told{standing: ocsp.Standing{Known: state != 0, State: state, At: ledgertest.Start}, proofs: ocsp.Proofs{Receipt: e.Receipt, Status: e.Status, State: ocsp.Good}}
	r, err := ocsp.New(ocsp.Config{Source: s, Key: key, Certificate: own, Now: func() time.Time { return time.Unix(asOf+1, 0) }})
	must(t, err)
	id, err := ocsp.NewCertID(5, der, der) // SHA-256
	must(t, err)
	req, err := ocsp.NewProofsRequest(nil, id)
	if len(e.Receipt)+len(e.Status) == 0 {
		req, err = ocsp.NewRequest(nil, id)
	}
	must(t, err)
	hr := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(req.Raw))
	hr.Header.Set("Content-Type", "application/ocsp-request")
	w := httptest.NewRecorder()
	r.ServeHTTP(w, hr)
	return w.Body.Bytes()
}

// peers believe the world's policy.
func (w *tlsWorld) peers() verify.Peers {
	return verify.Peers{Policy: w.c.Policy(), MaxAge: time.Hour, Now: func() time.Time { return time.Unix(asOf+60, 0) },
		Admit: func(*verify.Peer) error { return nil }}
}

// shows is a device's TLS certificate with a staple.
func (w *tlsWorld) shows(serial string, staple []byte) tls.Certificate {
	return tls.Certificate{Certificate: [][]byte{w.certs[serial]}, PrivateKey: w.c.Key("device/" + serial), OCSPStaple: staple}
}

// stapled is a device's TLS certificate with its proofs.
func (w *tlsWorld) stapled(serial string) tls.Certificate {
	return w.shows(serial, answer(w.t, w.c.Key("ca-a/responder"), w.certs[serial], ocsp.Good, w.proofs(serial)))
}

// shake connects two and tells what each thinks of the handshake, and of one octet that the other sent after it.
func shake(t *testing.T, server, client *tls.Config) (s, c error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	ended := make(chan error, 1)
	go func() {
		conn, err := l.Accept()
		if err == nil {
			defer conn.Close()
			err = swap(tls.Server(conn, server))
		}
		ended <- err
	}()
	conn, err := net.Dial("tcp", l.Addr().String())
	must(t, err)
	defer conn.Close()
	c = swap(tls.Client(conn, client))
	return <-ended, c
}

func swap(conn *tls.Conn) error {
	if err := conn.Handshake(); err != nil {
		return err
	}
	if _, err := conn.Write([]byte{1}); err != nil {
		return err
	}
	_, err := conn.Read(make([]byte, 1))
	return err
}

const serverName = "acme-1.acme-cells.example"

// slug is what a handshake ended with.
func slug(err error) string {
	if err == nil {
		return "good"
	}
	if code, ok := reason.CodeOf(err); ok {
		return code.String()
	}
	return err.Error()
}

type sourceFunc func(der []byte) (*verify.Evidence, error)

func (f sourceFunc) Evidence(_ context.Context, der []byte) (*verify.Evidence, error) { return f(der) }

// TestPeers has each side refuse every kind of bad peer, with the rule that it breaks.
func TestPeers(t *testing.T) {
	w := newTLSWorld(t)
	other := &tlsWorld{found(t, 4), t} // of the same keys
	other.device("ACME-1", time.Time{})
	other.publish("ACME-1")
	key := w.c.Key("ca-a/responder")
	good := w.proofs("ACME-1")
	staple := func(serial string, state ocsp.State, e verify.Evidence) tls.Certificate {
		return w.shows(serial, answer(t, key, w.certs[serial], state, e))
	}
	spoiled := func(change func(e *verify.Evidence)) verify.Evidence {
		e := good
		change(&e)
		return e
	}
	for _, c := range []struct {
		name, want string
		peer       tls.Certificate
		change     func(*verify.Peers)
	}{
		{"good", "good", w.stapled("ACME-1"), nil},
		{"revoked", "revoked", w.stapled("ACME-REVOKED"), nil},
		{"suspended", "suspended", w.stapled("ACME-SUSPENDED"), nil},
		{"held: the responder says worse than the proof", "suspended", staple("ACME-1", ocsp.Suspended, good), nil},
		{"ended", "validity-ended", w.stapled("ACME-ENDED"), nil},
		{"stale", "stale", w.stapled("ACME-1"), func(p *verify.Peers) { p.MaxAge = time.Second }},
		{"from the future", "from-the-future", w.stapled("ACME-1"), func(p *verify.Peers) {
			p.Now = func() time.Time { return time.Unix(asOf-3600, 0) }
		}},
		{"a policy past its expiry", "policy-expired", w.stapled("ACME-1"), func(p *verify.Peers) {
			old := *p.Policy
			old.Expires = asOf
			p.Policy = &old
		}},
		{"no staple", "no-evidence", w.shows("ACME-1", nil), nil},
		{"a staple without proofs, from a member", "no-evidence", staple("ACME-1", ocsp.Good, verify.Evidence{}), nil},
		{"a staple that is none", "bad-ocsp-answer", w.shows("ACME-1", []byte("good")), nil},
		{"tryLater", "ocsp-not-answered", w.shows("ACME-1", []byte{0x30, 3, 0x0a, 1, 3}), nil},
		{"a staple about another", "bad-ocsp-answer", w.shows("ACME-1", w.stapled("ACME-2").OCSPStaple), nil},
		{"the receipt of another", "not-included", staple("ACME-1", ocsp.Good, spoiled(func(e *verify.Evidence) { e.Receipt = w.proofs("ACME-2").Receipt })), nil},
		{"a changed status", "chunk-not-in-root", staple("ACME-1", ocsp.Good, spoiled(func(e *verify.Evidence) {
			d := w.statusOf(w.leafOf["ACME-1"], w.size(), 0)
			chunk := ledger.Chunk(d.status.Chunk)
			chunk.Set(w.leafOf["ACME-2"], ledger.Revoked)
			d.status.Chunk = chunk[:]
			e.Status = d.file()
		})), nil},
		{"no status", "status-not-checked", staple("ACME-1", ocsp.Good, spoiled(func(e *verify.Evidence) { e.Status = nil })), nil},
		{"a forged cosignature", "quorum-not-reached", staple("ACME-1", ocsp.Good, spoiled(func(e *verify.Evidence) {
			d := w.receiptOf(w.leafOf["ACME-1"], w.size(), w.certs["ACME-1"])
			d.members[0].key = "stranger"
			e.Receipt = d.file()
		})), nil},
		{"a forged cosignature of the status", "quorum-not-reached", staple("ACME-1", ocsp.Good, spoiled(func(e *verify.Evidence) {
			d := w.statusOf(w.leafOf["ACME-1"], w.size(), 0)
			d.members[0].key = "stranger"
			e.Status = d.file()
		})), nil},
		{"another log", "wrong-origin", staple("ACME-1", ocsp.Good, spoiled(func(e *verify.Evidence) {
			d := w.receiptOf(w.leafOf["ACME-1"], w.size(), w.certs["ACME-1"])
			d.c.Origin = "other.example/main/0"
			e.Receipt = d.file()
		})), nil},
		{"two certificates", "peer-certificate", func() tls.Certificate {
			c := w.stapled("ACME-1")
			c.Certificate = append(c.Certificate, w.certs["ACME-2"])
			return c
		}(), nil},
		{"a key that is not the certificate's", "tls: invalid signature", func() tls.Certificate {
			c := w.stapled("ACME-1")
			c.PrivateKey = w.c.Key("device/ACME-2")
			return c
		}(), nil},
		{"not admitted", "not today", w.stapled("ACME-1"), func(p *verify.Peers) {
			p.Admit = func(*verify.Peer) error { return errors.New("not today") }
		}},
		{"no staple, and the source is down", "asking about a peer: connection refused", w.shows("ACME-1", nil), func(p *verify.Peers) {
			p.Source = sourceFunc(func([]byte) (*verify.Evidence, error) { return nil, errors.New("connection refused") })
		}},
		{"no staple, and a source", "good", w.shows("ACME-1", nil), func(p *verify.Peers) {
			p.Source = sourceFunc(func([]byte) (*verify.Evidence, error) { return &good, nil })
		}},
		{"a source that lies", "not-included", w.shows("ACME-2", nil), func(p *verify.Peers) {
			p.Source = sourceFunc(func([]byte) (*verify.Evidence, error) { return &good, nil })
		}},
		{"a source that knows a hold", "suspended", w.shows("ACME-1", nil), func(p *verify.Peers) {
			held := good
			held.Held = true
			p.Source = sourceFunc(func([]byte) (*verify.Evidence, error) { return &held, nil })
		}},
		{"a stale staple, and a source that has nothing newer", "stale", w.stapled("ACME-1"), func(p *verify.Peers) {
			p.MaxAge = time.Second
			p.Source = sourceFunc(func([]byte) (*verify.Evidence, error) { return &good, nil })
		}},
		{"revoked by its staple: nobody is asked", "revoked", w.stapled("ACME-REVOKED"), func(p *verify.Peers) {
			p.Source = sourceFunc(func([]byte) (*verify.Evidence, error) { return nil, errors.New("asked") })
		}},
		{"revoked by a snapshot, good by the staple", "revoked", w.stapled("ACME-1"), func(p *verify.Peers) {
			p.Standing = func(leaf uint64) (*verify.Standing, error) {
				return &verify.Standing{Leaf: leaf, Status: ledger.Revoked, AsOf: time.Unix(asOf-600, 0)}, nil
			}
		}},
		{"no status in the staple, a snapshot", "good", staple("ACME-1", ocsp.Good, spoiled(func(e *verify.Evidence) { e.Status = nil })), func(p *verify.Peers) {
			p.Standing = func(leaf uint64) (*verify.Standing, error) {
				return &verify.Standing{Leaf: leaf, Status: ledger.Good, AsOf: time.Unix(asOf, 0)}, nil
			}
		}},
		{"a snapshot that does not cover it", "leaf-not-covered", w.stapled("ACME-1"), func(p *verify.Peers) {
			p.Standing = func(leaf uint64) (*verify.Standing, error) { return nil, reason.New(reason.LeafNotCovered, "") }
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := w.peers()
			if c.change != nil {
				c.change(&p)
			}
			// A server of a client.
			server, err := p.Server(&tls.Config{Certificates: []tls.Certificate{w.stapled("ACME-1")}})
			must(t, err)
			client := &tls.Config{InsecureSkipVerify: true, GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &c.peer, nil }}
			if got, _ := shake(t, server, client); !strings.HasPrefix(slug(got), c.want) {
				t.Errorf("a server says %s, want %s", slug(got), c.want)
			}
			// A client of a server.
			cert, err := x509.ParseCertificate(c.peer.Certificate[0])
			must(t, err)
			client, err = p.Client(&tls.Config{ServerName: cert.DNSNames[0]})
			must(t, err)
			if _, got := shake(t, &tls.Config{Certificates: []tls.Certificate{c.peer}}, client); !strings.HasPrefix(slug(got), c.want) {
				t.Errorf("a client says %s, want %s", slug(got), c.want)
			}
		})
	}
}

// TestPeersNames: a client believes a server by the name it connects to and no other; usages are for one side each.
func TestPeersNames(t *testing.T) {
	w := newTLSWorld(t)
	for _, c := range []struct {
		serial, serverName, name, want string
	}{
		{"ACME-1", serverName, "", "good"},
		{"ACME-2", serverName, "", "peer-name"},
		{"ACME-1", "", "", "peer-name"},
		{"ACME-1", "", serverName, "good"},
		{"ACME-1", serverName, "acme-2.acme-cells.example", "peer-name"},
		{"ACME-1", "127.0.0.1", "", "peer-name"},
		{"ACME-SERVER", "acme-server.acme-cells.example", "", "good"},
		{"ACME-CLIENT", "acme-client.acme-cells.example", "", "peer-usage"},
	} {
		p := w.peers()
		p.Name = c.name
		client, err := p.Client(&tls.Config{ServerName: c.serverName})
		must(t, err)
		if _, got := shake(t, &tls.Config{Certificates: []tls.Certificate{w.stapled(c.serial)}}, client); slug(got) != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
	for serial, want := range map[string]string{"ACME-CLIENT": "good", "ACME-SERVER": "peer-usage"} {
		server, err := w.peers().Server(&tls.Config{Certificates: []tls.Certificate{w.stapled("ACME-1")}})
		must(t, err)
		if got, _ := shake(t, server, &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{w.stapled(serial)}}); slug(got) != want {
			t.Errorf("%s as a client: %v", serial, got)
		}
	}
}

// TestPeersBothSides: two devices that believe each other by their staples alone, and again: no session is resumed. A client without
// a certificate is refused by crypto/tls.
func TestPeersBothSides(t *testing.T) {
	w := newTLSWorld(t)
	asked := 0
	p := w.peers()
	p.Admit = func(peer *verify.Peer) error {
		asked++
		if peer.Published.Leaf != w.leafOf["ACME-2"] || peer.Standing.Status != ledger.Good {
			t.Errorf("admitting %+v", peer)
		}
		return nil
	}
	hooked := 0
	server, err := p.Server(&tls.Config{Certificates: []tls.Certificate{w.stapled("ACME-1")}, VerifyConnection: func(tls.ConnectionState) error { hooked++; return nil }})
	must(t, err)
	client, err := w.peers().Client(&tls.Config{ServerName: serverName, Certificates: []tls.Certificate{w.stapled("ACME-2")}, ClientSessionCache: tls.NewLRUClientSessionCache(4)})
	must(t, err)
	for range 2 {
		if s, c := shake(t, server, client); s != nil || c != nil {
			t.Fatal(s, c)
		}
	}
	if asked != 2 || hooked != 2 {
		t.Errorf("admitted %d, the own hook called %d times", asked, hooked)
	}
	old := client.Clone()
	old.Certificates = nil
	if s, _ := shake(t, server, old); s == nil {
		t.Error("a client without a certificate is served")
	}
}

// TestPeersOldTLS: with a source, which needs no staple, TLS 1.2 would do; it is not spoken.
func TestPeersOldTLS(t *testing.T) {
	w := newTLSWorld(t)
	e := w.proofs("ACME-1")
	p := w.peers()
	p.Source = sourceFunc(func([]byte) (*verify.Evidence, error) { return &e, nil })
	server, err := p.Server(&tls.Config{Certificates: []tls.Certificate{w.stapled("ACME-1")}})
	must(t, err)
	client := &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{w.stapled("ACME-1")}}
	if s, c := shake(t, server, client); s != nil || c != nil {
		t.Fatal(s, c)
	}
	client.MaxVersion = tls.VersionTLS12
	if s, _ := shake(t, server, client); s == nil {
		t.Error("TLS 1.2 is spoken")
	}
}

// TestPeersConfigured: what would leave something unchecked is no configuration.
func TestPeersConfigured(t *testing.T) {
	w := newTLSWorld(t)
	for name, change := range map[string]func(*verify.Peers){
		"no policy": func(p *verify.Peers) { p.Policy = nil },
		"no clock":  func(p *verify.Peers) { p.Now = nil },
		"no age":    func(p *verify.Peers) { p.MaxAge = 0 },
		"a quorum that is none": func(p *verify.Peers) {
			weak := *p.Policy
			weak.Quorum = 2
			p.Policy = &weak
		},
		"admits whoever": func(p *verify.Peers) { p.Admit = nil },
	} {
		p := w.peers()
		change(&p)
		if _, err := p.Server(&tls.Config{}); err == nil {
			t.Errorf("%s: a server", name)
		}
		if _, err := p.Client(&tls.Config{}); (err == nil) != (name == "admits whoever") {
			t.Errorf("%s: a client: %v", name, err)
		}
	}
	if _, err := w.peers().Server(&tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return nil, nil }}); err == nil {
		t.Error("a configuration that is replaced")
	}
}
