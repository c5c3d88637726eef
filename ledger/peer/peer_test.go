package peer_test

import (
	"bufio"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/quorate-pki/quorate/ledger/ledgertest"
	"github.com/quorate-pki/quorate/ledger/peer"
)

// lines passes on a log line by line.
type lines chan string

func (l lines) Write(p []byte) (int, error) {
	select {
	case l <- string(p):
	default: // nobody reads this log
	}
	return len(p), nil
}

// side is one member of a test.
type side struct {
	*peer.Network
	name   string
	addr   string
	logged lines
	served chan error
	l      net.Listener
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func config(c *ledgertest.Consortium, name string, addresses map[string]string, log io.Writer) peer.Config {
	return peer.Config{Members: c.Set, Self: name, Key: c.Key(name + "/tls"), Addresses: addresses,
		Now: func() time.Time { return ledgertest.Start }, Log: slog.New(slog.NewTextHandler(log, nil))}
}

// sides are networks of the named members, not serving yet. Wrong addresses override the right ones.
func sides(t *testing.T, c *ledgertest.Consortium, wrong map[string]string, names ...string) []*side {
	t.Helper()
	var out []*side
	addresses := map[string]string{}
	for _, name := range names {
		s := &side{name: name, logged: make(lines, 200), served: make(chan error, 1), l: listen(t)}
		s.addr = s.l.Addr().String()
		addresses[name] = s.addr
		out = append(out, s)
	}
	maps.Copy(addresses, wrong)
	for _, s := range out {
		n, err := peer.New(config(c, s.name, addresses, s.logged))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = n.Close() })
		s.Network = n
	}
	return out
}

func (s *side) serve() { go func() { s.served <- s.Serve(s.l) }() }

// warned waits for a log line.
func (s *side) warned(t *testing.T, want string) {
	t.Helper()
	for late := time.After(30 * time.Second); ; {
		select {
		case line := <-s.logged:
			if strings.Contains(line, "level=WARN") && strings.Contains(line, want) {
				return
			}
		case <-late:
			t.Fatalf("%s never warned of %q", s.name, want)
		}
	}
}

// hello is a connection on which both ends said a line.
func hello(t *testing.T, from, to *side, protocol string, at net.Listener) (dialled, accepted *peer.Conn) {
	t.Helper()
	dialled, err := from.Dial(t.Context(), protocol, to.name)
	if err != nil {
		t.Fatal(err)
	}
	c, err := at.Accept()
	if err != nil {
		t.Fatal(err)
	}
	accepted = c.(*peer.Conn)
	for _, ends := range [][2]net.Conn{{dialled, accepted}, {accepted, dialled}} {
		if _, err := io.WriteString(ends[0], "hello\n"); err != nil {
			t.Fatal(err)
		}
		if got, err := bufio.NewReader(ends[1]).ReadString('\n'); err != nil || got != "hello\n" {
			t.Fatalf("read %q, %v", got, err)
		}
	}
	return dialled, accepted
}

// certificate is a self-signed certificate over a key.
func certificate(t *testing.T, key crypto.Signer) tls.Certificate {
	t.Helper()
	form := &x509.Certificate{DNSNames: []string{"ca-b"}} // nobody believes it; the dates are of the year 1
	der, err := x509.CreateCertificate(rand.Reader, form, form, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func TestNames(t *testing.T) {
	c := ledgertest.Found(1, 4)
	s := sides(t, c, nil, "ca-a", "ca-b")
	a, b := s[0], s[1]
	for _, p := range []string{peer.Raft, peer.Exchange} {
		at := b.Streams(p)
		if at != b.Streams(p) || at.Addr().String() == "" {
			t.Fatal("not one listener for a protocol")
		}
	}
	b.serve()
	for _, p := range []string{peer.Exchange, peer.Raft} {
		dialled, accepted := hello(t, a, b, p, b.Streams(p))
		if dialled.Peer() != "ca-b" || accepted.Peer() != "ca-a" {
			t.Errorf("%s: %q talks to %q", p, accepted.Peer(), dialled.Peer())
		}
		for _, x := range []*peer.Conn{dialled, accepted} {
			if cs := x.ConnectionState(); cs.Version != tls.VersionTLS13 || cs.NegotiatedProtocol != p || cs.DidResume {
				t.Errorf("%s: version %x, protocol %q, resumed %v", p, cs.Version, cs.NegotiatedProtocol, cs.DidResume)
			}
			if err := x.Close(); err != nil {
				t.Error(err)
			}
		}
	}
	if a.Open() != 0 || b.Open() != 1 {
		t.Errorf("%d and %d tracked after all was closed but a listener", a.Open(), b.Open())
	}
	if err := b.Streams(peer.Raft).Close(); err != nil {
		t.Error(err)
	}
	if _, err := a.Dial(t.Context(), peer.Raft, "ca-b"); err == nil {
		t.Error("dialled a protocol that nobody accepts")
	}
	for _, member := range []string{"ca-a", "ca-c", "ca-x", ""} { // itself, no address, no member
		if _, err := a.Dial(t.Context(), peer.Raft, member); err == nil {
			t.Errorf("dialled %q", member)
		}
	}
}

func TestServerRefuses(t *testing.T) {
	c := ledgertest.Found(2, 4)
	good, stranger := certificate(t, c.Key("ca-b/tls")), certificate(t, c.Key("stranger"))
	base := func(certs ...tls.Certificate) *tls.Config {
		return &tls.Config{InsecureSkipVerify: true, NextProtos: []string{peer.Raft}, Certificates: certs}
	}
	protocols := func(p ...string) *tls.Config {
		cfg := base(good)
		cfg.NextProtos = p
		return cfg
	}
	old := base(good)
	old.MaxVersion = tls.VersionTLS12
	for name, x := range map[string]struct {
		cfg  *tls.Config
		warn string
	}{
		"stranger":          {base(stranger), "is no member's"},
		"another purpose":   {base(certificate(t, c.Key("ca-b/block"))), "is no member's"},
		"own key":           {base(certificate(t, c.Key("ca-a/tls"))), "own key"},
		"no certificate":    {base(), "certificate"},
		"without the key":   {base(tls.Certificate{Certificate: good.Certificate, PrivateKey: c.Key("stranger")}), "signature"},
		"borrowed chain":    {base(tls.Certificate{Certificate: append(stranger.Certificate[:1:1], good.Certificate...), PrivateKey: c.Key("stranger")}), "is no member's"},
		"unknown protocol":  {protocols("h2"), "protocol"},
		"protocol unserved": {protocols(peer.Exchange), "protocol"},
		"no protocol":       {protocols(), "chose no protocol"},
		"TLS 1.2":           {old, "version"},
	} {
		t.Run(name, func(t *testing.T) {
			s := sides(t, c, nil, "ca-a", "ca-b")
			a, b := s[0], s[1]
			at := a.Streams(peer.Raft)
			a.Streams("") // serves nobody, least of all who offers no protocol
			a.serve()
			conn, err := tls.Dial("tcp", a.addr, x.cfg)
			if err == nil { // in TLS 1.3 the refusal comes after the client's handshake
				_, err = conn.Read(make([]byte, 1))
				_ = conn.Close()
			}
			if err == nil {
				t.Fatal("answered")
			}
			a.warned(t, x.warn)
			if _, accepted := hello(t, b, a, peer.Raft, at); accepted.Peer() != "ca-b" {
				t.Errorf("the first one accepted is %q", accepted.Peer())
			}
		})
	}
	t.Run("control", func(t *testing.T) { // what every case above differs from in one thing
		a := sides(t, c, nil, "ca-a")[0]
		at := a.Streams(peer.Raft)
		a.serve()
		conn, err := tls.Dial("tcp", a.addr, base(good))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		accepted, err := at.Accept()
		if err != nil || accepted.(*peer.Conn).Peer() != "ca-b" {
			t.Fatalf("%v, %v", accepted, err)
		}
	})
}

// ended waits for the end of a connection.
func ended(t *testing.T, c net.Conn) {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(30 * time.Second))
	_, err := c.Read(make([]byte, 1))
	if late := net.Error(nil); err == nil || errors.As(err, &late) && late.Timeout() {
		t.Errorf("a connection lives on: %v", err)
	}
}

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}
