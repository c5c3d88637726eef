package peer_test

import (
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quorate-pki/quorate/ledger/ledgertest"
	"github.com/quorate-pki/quorate/ledger/peer"
)

func TestSilence(t *testing.T) {
	c := ledgertest.Found(6, 4)
	s := sides(t, c, nil, "ca-a", "ca-b")
	a, b := s[0], s[1]
	at := a.Streams(peer.Raft)
	a.serve()
	dial := func() net.Conn {
		conn, err := net.Dial("tcp", a.addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		return conn
	}
	silent := []net.Conn{dial()}
	hello(t, b, a, peer.Raft, at) // one silent connection, and a wait for none
	for len(silent) < peer.MaxHandshakes {
		silent = append(silent, dial())
	}
	ended(t, dial())
	a.warned(t, "too many handshakes")
	for _, x := range silent {
		_ = x.Close()
	}
	for ctx := within(t); ; { // the slots come back
		conn, err := b.Dial(ctx, peer.Raft, "ca-a")
		if err == nil {
			_ = conn.Close()
			return
		}
		if ctx.Err() != nil {
			t.Fatal(err)
		}
	}
}

func TestPatience(t *testing.T) {
	c := ledgertest.Found(7, 4)
	s := sides(t, c, nil, "ca-a", "ca-b")
	a, b := s[0], s[1]
	a.Streams(peer.Raft)
	a.SetPatience(500 * time.Millisecond)
	a.serve()
	silent, err := net.Dial("tcp", a.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	ended(t, silent)
	a.warned(t, "deadline exceeded")
	conn, err := b.Dial(t.Context(), peer.Raft, "ca-a")
	if err != nil {
		t.Fatal(err)
	}
	ended(t, conn)
	a.warned(t, "nobody accepted")
	if err := conn.Close(); err != nil {
		t.Error(err)
	}
}

// TestGreed opens as many connections as a member may have, and one more.
func TestGreed(t *testing.T) {
	c := ledgertest.Found(8, 4)
	s := sides(t, c, nil, "ca-a", "ca-b", "ca-c")
	a, b := s[0], s[1]
	at := a.Streams(peer.Raft)
	a.serve()
	var last *peer.Conn
	for range peer.MaxAccepted {
		_, last = hello(t, b, a, peer.Raft, at)
	}
	more, err := b.Dial(t.Context(), peer.Raft, "ca-a")
	if err != nil {
		t.Fatal(err)
	}
	ended(t, more)
	a.warned(t, "64 connections")
	hello(t, s[2], a, peer.Raft, at) // another member is not touched
	if err := last.Close(); err != nil {
		t.Fatal(err)
	}
	hello(t, b, a, peer.Raft, at)
}

func TestClose(t *testing.T) {
	c := ledgertest.Found(9, 4)
	s := sides(t, c, nil, "ca-a", "ca-b")
	a, b := s[0], s[1]
	at, idle := a.Streams(peer.Raft), a.Streams(peer.Exchange)
	back := b.Streams(peer.Raft)
	a.serve()
	b.serve()
	far, near := hello(t, b, a, peer.Raft, at)
	out, in := hello(t, a, b, peer.Raft, back)
	silent, err := net.Dial("tcp", a.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	waiting, err := b.Dial(t.Context(), peer.Raft, "ca-a") // nobody accepts it
	if err != nil {
		t.Fatal(err)
	}
	accepted, read := make(chan error), make(chan error)
	go func() {
		_, err := idle.Accept()
		accepted <- err
	}()
	go func() {
		_, err := near.Read(make([]byte, 1))
		read <- err
	}()

	if err := a.Close(); err != nil {
		t.Error(err)
	}
	if err := <-a.served; err != nil {
		t.Errorf("Serve: %v", err)
	}
	if err := <-accepted; !errors.Is(err, net.ErrClosed) {
		t.Errorf("a blocked Accept: %v", err)
	}
	if err := <-read; err == nil {
		t.Error("read from nothing")
	}
	for _, x := range []net.Conn{far, near, out, in, waiting, silent} {
		ended(t, x)
	}
	if _, err := at.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept: %v", err)
	}
	if _, err := a.Dial(t.Context(), peer.Raft, "ca-b"); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Dial: %v", err)
	}
	late := listen(t)
	if err := a.Serve(late); err != nil {
		t.Errorf("Serve after Close: %v", err)
	}
	if _, err := late.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the listener of a late Serve: %v", err)
	}
	if err := a.Close(); err != nil {
		t.Errorf("Close again: %v", err)
	}
	_ = near.Close() // its owner does, in time
	if a.Open() != 0 {
		t.Errorf("%d tracked", a.Open())
	}
	if _, err := b.Client().Get("http://ca-a/"); err == nil {
		t.Error("a closed member answers")
	}
}

// TestRefusalsDoNotFillTheLog knocks and goes away.
func TestRefusalsDoNotFillTheLog(t *testing.T) {
	c, logged, now := ledgertest.Found(13, 4), make(lines, 200), atomic.Int64{}
	cfg := config(c, "ca-a", nil, logged)
	cfg.Now = func() time.Time { return ledgertest.Start.Add(time.Duration(now.Load())) }
	n, err := peer.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	l := listen(t)
	go func() { _ = n.Serve(l) }()
	for len(logged) > 0 { // of New, about addresses
		<-logged
	}
	knock := func() {
		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		ended(t, conn)
	}
	for range peer.MaxRefusals + 5 {
		knock()
	}
	if len(logged) != peer.MaxRefusals {
		t.Errorf("%d refusals logged", len(logged))
	}
	for len(logged) > 0 {
		<-logged
	}
	now.Store(int64(time.Second))
	knock()
	if line := <-logged; !strings.Contains(line, "unlogged=5") {
		t.Error(line)
	}
}

// TestCloseEndsDial closes while the other end says nothing.
func TestCloseEndsDial(t *testing.T) {
	c := ledgertest.Found(10, 4)
	l := listen(t)
	a := sides(t, c, map[string]string{"ca-b": l.Addr().String()}, "ca-a")[0]
	dialled := make(chan error)
	go func() {
		_, err := a.Dial(t.Context(), peer.Raft, "ca-b")
		dialled <- err
	}()
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := a.Close(); err != nil {
		t.Error(err)
	}
	if err := <-dialled; !errors.Is(err, net.ErrClosed) {
		t.Errorf("%v", err)
	}
}

func TestServeFails(t *testing.T) {
	a := sides(t, ledgertest.Found(11, 4), nil, "ca-a")[0]
	_ = a.l.Close()
	if err := a.Serve(a.l); !errors.Is(err, net.ErrClosed) {
		t.Errorf("somebody else closed the listener: %v", err)
	}
}
