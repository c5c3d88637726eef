package peer_test

import (
	"crypto/tls"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/ledgertest"
	"github.com/quorate-pki/quorate/ledger/peer"
)

// subset is a consortium's first members, as the member set of another channel has them.
func subset(c *ledgertest.Consortium, channel string, n int) *ledger.MemberSet {
	set := *c.Set
	set.Channel, set.Members, set.Quorum = channel, set.Members[:n:n], uint64(2*n/3+1)
	return &set
}

// shared is a member that speaks of the first channel and, on the same port, of another one.
type shared struct {
	port         *peer.Port
	first, other *peer.Network
	addr         string
	logged       lines
}

// share starts ca-a's port: four members in the first channel, two in the other.
func share(t *testing.T, c *ledgertest.Consortium, tag ledger.Hash) *shared {
	t.Helper()
	s := &shared{logged: make(lines, 200)}
	l := listen(t)
	s.addr = l.Addr().String()
	now := func() time.Time { return ledgertest.Start }
	s.port = peer.NewPort(now, slog.New(slog.NewTextHandler(s.logged, nil)))
	cfg := config(c, "ca-a", nil, s.logged)
	var err error
	if s.first, err = peer.New(cfg); err != nil {
		t.Fatal(err)
	}
	cfg.Members, cfg.Tag = subset(c, "other", 2), tag
	if s.other, err = peer.New(cfg); err != nil {
		t.Fatal(err)
	}
	for _, n := range []*peer.Network{s.first, s.other} {
		if err := s.port.Add(n); err != nil {
			t.Fatal(err)
		}
	}
	served := make(chan error, 1)
	go func() { served <- s.port.Serve(l) }()
	t.Cleanup(func() {
		for _, c := range []io.Closer{s.port, s.first, s.other} {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		}
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return s
}

// of is another member's network for one of the channels.
func (s *shared) of(t *testing.T, c *ledgertest.Consortium, name string, set *ledger.MemberSet, tag ledger.Hash) *side {
	t.Helper()
	cfg := config(c, name, map[string]string{"ca-a": s.addr}, io.Discard)
	cfg.Members, cfg.Tag = set, tag
	n, err := peer.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Close() })
	return &side{Network: n, name: name}
}

// TestPort has two channels on one port, and members of both, of one and of none.
func TestPort(t *testing.T) {
	c, tag := ledgertest.Found(20, 4), ledger.Hash{7}
	s := share(t, c, tag)
	me := &side{Network: s.first, name: "ca-a"}
	first, other := s.first.Streams(peer.Raft), s.other.Streams(peer.Raft)
	for _, name := range []string{"ca-b", "ca-d"} {
		from := s.of(t, c, name, c.Set, ledger.Hash{})
		if _, accepted := hello(t, from, me, peer.Raft, first); accepted.Peer() != name {
			t.Errorf("on the first channel %s is %q", name, accepted.Peer())
		}
	}
	two := subset(c, "other", 2)
	if _, accepted := hello(t, s.of(t, c, "ca-b", two, tag), me, peer.Raft, other); accepted.Peer() != "ca-b" {
		t.Errorf("on the other channel ca-b is %q", accepted.Peer())
	}

	// ca-d is known from the first channel, and a stranger to the other: it makes up a member set that has itself.
	fake := subset(c, "other", 4)
	stranger := s.of(t, c, "ca-d", fake, tag)
	for _, protocol := range []string{peer.Raft, peer.Exchange} {
		s.other.Streams(protocol)
		conn, err := stranger.Dial(t.Context(), protocol, "ca-a")
		if err != nil { // in TLS 1.3 the refusal comes after the client's handshake
			t.Fatal(err)
		}
		ended(t, conn)
		(&side{name: "ca-a", logged: s.logged}).warned(t, "is no member's")
		_ = conn.Close()
	}
	// Another genesis block of the same name is another channel.
	if conn, err := s.of(t, c, "ca-b", two, ledger.Hash{8}).Dial(t.Context(), peer.Raft, "ca-a"); err == nil {
		t.Errorf("talks to %s of a channel with another genesis block", conn.Peer())
	}
	// The first channel's protocol gives nobody the other one's streams.
	if conn, err := tls.Dial("tcp", s.addr, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{peer.Raft},
		Certificates: []tls.Certificate{certificate(t, c.Key("ca-d/tls"))}}); err != nil {
		t.Error(err)
	} else if accepted, err := first.Accept(); err != nil || accepted.(*peer.Conn).Peer() != "ca-d" {
		t.Errorf("%v, %v", accepted, err)
	} else {
		_ = conn.Close()
	}
}

// TestPortServesHTTP asks both channels for the same path: each answers for itself, and ends alone.
func TestPortServesHTTP(t *testing.T) {
	c, tag := ledgertest.Found(21, 4), ledger.Hash{9}
	s := share(t, c, tag)
	for name, n := range map[string]*peer.Network{"first": s.first, "other": s.other} {
		server := n.ServeHTTP(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, name+" to "+peer.Of(r.Context()))
		}))
		go func() { _ = server.Serve(n.Streams(peer.Exchange)) }()
		t.Cleanup(func() { _ = server.Close() })
	}
	ask := func(n *side) (string, error) {
		resp, err := n.Client().Get("http://ca-a/")
		if err != nil {
			return "", err
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		return string(body), err
	}
	in, both := s.of(t, c, "ca-b", c.Set, ledger.Hash{}), s.of(t, c, "ca-b", subset(c, "other", 2), tag)
	for want, n := range map[string]*side{"first to ca-b": in, "other to ca-b": both} {
		if got, err := ask(n); err != nil || got != want {
			t.Errorf("%q, %v; want %q", got, err, want)
		}
	}
	if err := s.other.Close(); err != nil {
		t.Fatal(err)
	}
	if got, err := ask(both); err == nil {
		t.Errorf("a closed channel answers %q", got)
	}
	if got, err := ask(in); err != nil || !strings.HasPrefix(got, "first") {
		t.Errorf("after the other channel ended: %q, %v", got, err)
	}
	// Closed, it makes room for the same channel again.
	again, err := peer.New(func() peer.Config {
		cfg := config(c, "ca-a", nil, io.Discard)
		cfg.Members, cfg.Tag = subset(c, "other", 2), tag
		return cfg
	}())
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if err := s.port.Add(again); err != nil {
		t.Error(err)
	}
	if err := s.port.Add(again); err == nil {
		t.Error("one channel twice on one port")
	}
}

// TestServeOnASharedPort begins to listen before there is a channel: who connects then is not refused.
func TestServeOnASharedPort(t *testing.T) {
	c := ledgertest.Found(22, 4)
	l, port := listen(t), peer.NewPort(func() time.Time { return ledgertest.Start }, slog.New(slog.DiscardHandler))
	ended := make(chan error, 2)
	go func() { ended <- port.Serve(l) }()
	b, err := peer.New(config(c, "ca-b", map[string]string{"ca-a": l.Addr().String()}, io.Discard))
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	dialled := make(chan error, 1)
	go func() {
		_, err := b.Dial(t.Context(), peer.Raft, "ca-a")
		dialled <- err
	}()
	cfg := config(c, "ca-a", nil, io.Discard)
	cfg.Port = port
	a, err := peer.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	at := a.Streams(peer.Raft)
	go func() { ended <- a.Serve(nil) }()
	if err := <-dialled; err != nil {
		t.Error(err)
	}
	if accepted, err := at.Accept(); err != nil || accepted.(*peer.Conn).Peer() != "ca-b" {
		t.Errorf("%v, %v", accepted, err)
	}
	for _, x := range []io.Closer{a, port} {
		if err := x.Close(); err != nil {
			t.Error(err)
		}
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	if err := b.Serve(nil); err == nil {
		t.Error("served on nothing")
	}
}
