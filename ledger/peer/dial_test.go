package peer_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"io"
	"maps"
	"strings"
	"testing"

	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/ledgertest"
	"github.com/quorate-pki/quorate/ledger/peer"
)

func TestDialRefuses(t *testing.T) {
	c := ledgertest.Found(3, 4)
	good := certificate(t, c.Key("ca-b/tls"))
	raft := []string{peer.Raft}
	for name, x := range map[string]struct {
		cfg  *tls.Config
		want string // in the error; "" for none
	}{
		"control":        {&tls.Config{Certificates: []tls.Certificate{good}, NextProtos: raft}, ""},
		"another member": {&tls.Config{Certificates: []tls.Certificate{certificate(t, c.Key("ca-c/tls"))}, NextProtos: raft}, `of "ca-c" answers`},
		"own key":        {&tls.Config{Certificates: []tls.Certificate{certificate(t, c.Key("ca-a/tls"))}, NextProtos: raft}, `of "ca-a" answers`},
		"stranger":       {&tls.Config{Certificates: []tls.Certificate{certificate(t, c.Key("stranger"))}, NextProtos: raft}, "answers"},
		"no protocol":    {&tls.Config{Certificates: []tls.Certificate{good}}, "protocol"},
		"TLS 1.2":        {&tls.Config{Certificates: []tls.Certificate{good}, NextProtos: raft, MaxVersion: tls.VersionTLS12}, "version"},
	} {
		t.Run(name, func(t *testing.T) {
			x.cfg.ClientAuth = tls.RequireAnyClientCert
			l := listen(t)
			go func() {
				if conn, err := l.Accept(); err == nil {
					_ = tls.Server(conn, x.cfg).Handshake()
				}
			}()
			a := sides(t, c, map[string]string{"ca-b": l.Addr().String()}, "ca-a")[0]
			_, err := a.Dial(t.Context(), peer.Raft, "ca-b")
			if (err == nil) != (x.want == "") || err != nil && !strings.Contains(err.Error(), x.want) {
				t.Errorf("%v, want %q", err, x.want)
			}
			if err != nil && a.Open() != 0 {
				t.Error("a refused connection is kept")
			}
		})
	}
}

// TestWrongAddress dials ca-b where the real ca-c listens.
func TestWrongAddress(t *testing.T) {
	c := ledgertest.Found(4, 4)
	third := sides(t, c, nil, "ca-c")[0]
	third.Streams(peer.Raft)
	third.serve()
	a := sides(t, c, map[string]string{"ca-b": third.addr, "ca-c": third.addr}, "ca-a")[0]
	if _, err := a.Dial(t.Context(), peer.Raft, "ca-b"); err == nil || !strings.Contains(err.Error(), `of "ca-c" answers`) {
		t.Errorf("%v", err)
	}
	if conn, err := a.Dial(t.Context(), peer.Raft, "ca-c"); err != nil || conn.Peer() != "ca-c" {
		t.Errorf("%v", err)
	}
}

func TestNew(t *testing.T) {
	c := ledgertest.Found(5, 4)
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p521, err := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	old, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	with := func(key crypto.Signer) *ledger.MemberSet { // a set in which it is ca-a's
		spki, err := x509.MarshalPKIXPublicKey(key.Public())
		if err != nil {
			t.Fatal(err)
		}
		set := *c.Set
		set.Members = append([]ledger.Member{}, set.Members...)
		set.Members[0].Keys = maps.Clone(set.Members[0].Keys)
		set.Members[0].Keys[ledger.KeyTLS] = spki
		return &set
	}
	for name, x := range map[string]struct {
		edit func(*peer.Config)
		ok   bool
	}{
		"control":        {func(*peer.Config) {}, true},
		"P-256":          {func(c *peer.Config) { c.Key, c.Members = p256, with(p256) }, true},
		"P-521":          {func(c *peer.Config) { c.Key, c.Members = p521, with(p521) }, false},
		"RSA":            {func(c *peer.Config) { c.Key, c.Members = old, with(old) }, false},
		"other member's": {func(x *peer.Config) { x.Key = c.Key("ca-b/tls") }, false},
		"other purpose":  {func(x *peer.Config) { x.Key = c.Key("ca-a/block") }, false},
		"stranger's":     {func(x *peer.Config) { x.Key = p256 }, false},
		"shared key":     {func(x *peer.Config) { x.Members = with(c.Key("ca-b/tls")) }, false},
		"no member yet":  {func(c *peer.Config) { c.Self = "ca-x" }, true},
		"no clock":       {func(c *peer.Config) { c.Now = nil }, false},
		"no log":         {func(c *peer.Config) { c.Log = nil }, false},
		"no key":         {func(c *peer.Config) { c.Key = nil }, false},
		"no members":     {func(c *peer.Config) { c.Members = nil }, false},
		"address":        {func(c *peer.Config) { c.Addresses = map[string]string{"ca-b": "nowhere"} }, false},
	} {
		cfg := config(c, "ca-a", nil, io.Discard)
		x.edit(&cfg)
		n, err := peer.New(cfg)
		if (err == nil) != x.ok {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil {
			_ = n.Close()
		}
	}
}
