package ledgertest

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/fsck"
	"github.com/quorate-pki/quorate/ledger/node"
	"github.com/quorate-pki/quorate/ledger/peer"
)

// Cluster is a consortium whose nodes run in this process, with real disks, raft and TLS on the loopback interface. Every
// node is reached by the others through a proxy of its own, which can cut the members' exchange and leave raft alone.
type Cluster struct {
	C         *Consortium
	Entries   uint64        // node.Config.Entries
	Heartbeat time.Duration // node.Config.Heartbeat; 200 ms, which a machine under load may miss
	Withheld  time.Duration // node.Config.Withheld
	t         testing.TB
	spare     []string
	dir       string
	begin     time.Time
	nodes     map[string]*node.Node
	proxies   map[string]*proxy
	signed    map[string]*signings // by each member's key, over all its directories
	skew      map[string]*atomic.Int64
}

// NewCluster founds n members, and starts none.
func NewCluster(t testing.TB, seed uint64, n int) *Cluster {
	t.Helper()
	return newCluster(t, Found(seed, n), nil)
}

// NewGovernedCluster founds n members under the newest rules, and makes directories for them and for others that may join. Everybody has the keys
// of a second generation, too.
func NewGovernedCluster(t testing.TB, seed uint64, n int, spare ...string) *Cluster {
	t.Helper()
	return newCluster(t, FoundGoverned(seed, n, len(spare)), spare)
}

func newCluster(t testing.TB, founded *Consortium, spare []string) *Cluster {
	t.Helper()
	c := &Cluster{Heartbeat: 200 * time.Millisecond, C: founded, t: t, spare: spare, dir: t.TempDir(), begin: time.Now(), nodes: map[string]*node.Node{}, proxies: map[string]*proxy{}, signed: map[string]*signings{},
		skew: map[string]*atomic.Int64{}}
	for _, name := range c.Names() {
		p, err := newProxy()
		if err != nil {
			t.Fatal(err)
		}
		c.proxies[name], c.signed[name], c.skew[name] = p, newSignings(t, c.C, name), new(atomic.Int64)
		if err := node.Init(c.config(name)); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		for name := range c.nodes {
			c.Stop(name)
		}
		for _, p := range c.proxies {
			p.close()
		}
	})
	return c
}

// Names are the names of the founders, and of those who may join.
func (c *Cluster) Names() (out []string) {
	for _, m := range c.C.Set.Members {
		out = append(out, m.Name)
	}
	return append(out, c.spare...)
}

// Now is the cluster's clock: it begins at Start and runs as fast as the real one.
func (c *Cluster) Now() time.Time { return Start.Add(time.Since(c.begin)) }

// SetClock sets a member's clock ahead of the cluster's, or back.
func (c *Cluster) SetClock(name string, ahead time.Duration) { c.skew[name].Store(int64(ahead)) }

func (c *Cluster) clock(name string) func() time.Time {
	skew := c.skew[name]
	return func() time.Time { return c.Now().Add(time.Duration(skew.Load())) }
}

// Dir is a member's directory.
func (c *Cluster) Dir(name string) string { return filepath.Join(c.dir, name) }

func (c *Cluster) config(name string) node.Config {
	second := func(p uint64) ed25519.PrivateKey { return c.C.Key(KeyName(name, p, 2)) }
	log := slog.New(slog.NewTextHandler(testWriter{c.t, name}, &slog.HandlerOptions{Level: slog.LevelWarn}))
	return node.Config{FS: c.signed[name], Dir: c.Dir(name), Genesis: c.C.Genesis, Member: name, LogKey: c.C.Key(name + "/log"),
		CosigningKey: c.C.Key(name + "/cosigning"), BlockKey: c.C.Key(name + "/block"),
		More: []node.MemberKeys{{Log: second(ledger.KeyLog), Cosigning: second(ledger.KeyCosigning), Block: second(ledger.KeyBlock)}}, Now: c.clock(name), Log: log,
		Tick: 100 * time.Millisecond, Heartbeat: c.Heartbeat, Withheld: c.Withheld, Entries: c.Entries, Part: 3}
}

// testWriter sends a node's warnings to the test's log, while the test runs.
type testWriter struct {
	t    testing.TB
	name string
}

func (w testWriter) Write(b []byte) (int, error) {
	if os.Getenv("QUORATE_LOG") != "" {
		fmt.Fprintf(os.Stderr, "%s %s", w.name, b)
	}
	return len(b), nil
}

// Start starts members side by side and waits until each answers readers.
func (c *Cluster) Start(names ...string) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), time.Minute)
	defer cancel()
	opened, errs := make([]*node.Node, len(names)), make([]error, len(names))
	var wg sync.WaitGroup
	for i, name := range names {
		wg.Go(func() { opened[i], errs[i] = c.open(ctx, name) })
	}
	wg.Wait()
	for i, name := range names {
		if errs[i] == nil {
			c.nodes[name] = opened[i]
		}
	}
	if err := errors.Join(errs...); err != nil {
		c.t.Fatal(err)
	}
	for _, name := range names {
		if err := c.nodes[name].Ready(ctx); err != nil {
			c.t.Fatalf("%s: %v", name, err)
		}
	}
}

// Refused starts a member that must not start, and returns why it did not.
func (c *Cluster) Refused(ctx context.Context, name string) error {
	c.t.Helper()
	n, err := c.open(ctx, name)
	if err == nil {
		c.t.Errorf("%s started", name)
		return n.Close()
	}
	return err
}

func (c *Cluster) open(ctx context.Context, name string) (*node.Node, error) {
	cfg := c.config(name)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	c.proxies[name].to(l.Addr().String())
	addresses := map[string]string{}
	for other, p := range c.proxies {
		addresses[other] = p.listener.Addr().String()
	}
	cfg.Listen = l
	cfg.Network, err = peer.New(peer.Config{Members: c.C.Set, Self: name, Key: c.C.Key(name + "/tls"),
		More: []crypto.Signer{c.C.Key(KeyName(name, ledger.KeyTLS, 2))}, Addresses: addresses, Now: cfg.Now, Log: cfg.Log})
	if err != nil {
		return nil, err
	}
	return node.Open(ctx, cfg)
}

// Stop stops a member.
func (c *Cluster) Stop(name string) {
	c.t.Helper()
	n := c.nodes[name]
	delete(c.nodes, name)
	if err := n.Close(); err != nil {
		c.t.Errorf("stopping %s: %v", name, err)
	}
}

// Wipe removes the directory of a member that is stopped, and makes the empty one with which it rejoins.
func (c *Cluster) Wipe(name string) {
	c.t.Helper()
	if err := os.RemoveAll(c.Dir(name)); err != nil {
		c.t.Fatal(err)
	}
	cfg := c.config(name)
	cfg.Rejoin = true
	if err := node.Init(cfg); err != nil {
		c.t.Fatal(err)
	}
}

// Save copies a stopped member's directory aside; the result puts it back.
func (c *Cluster) Save(name string) (restore func()) {
	c.t.Helper()
	saved := filepath.Join(c.t.TempDir(), "saved")
	if err := os.CopyFS(saved, os.DirFS(c.Dir(name))); err != nil {
		c.t.Fatal(err)
	}
	return func() {
		c.t.Helper()
		if err := errors.Join(os.RemoveAll(c.Dir(name)), os.CopyFS(c.Dir(name), os.DirFS(saved))); err != nil {
			c.t.Fatal(err)
		}
	}
}

// Node is a member's node; nil while it is stopped.
func (c *Cluster) Node(name string) *node.Node { return c.nodes[name] }

// Running are the members that run, in the set's order.
func (c *Cluster) Running() (out []string) {
	for _, name := range c.Names() {
		if c.nodes[name] != nil {
			out = append(out, name)
		}
	}
	return out
}

// CutExchange cuts the members' exchange of cosignatures, raft apart, or restores it.
func (c *Cluster) CutExchange(cut bool) {
	for _, p := range c.proxies {
		p.cutExchange(cut)
	}
}

// CutExchangeWith cuts the way of the others' exchange to one member, raft and its own way to them apart, or restores it.
func (c *Cluster) CutExchangeWith(name string, cut bool) { c.proxies[name].cutExchange(cut) }

// Submit gives a transaction to a member, and again while it is busy.
func (c *Cluster) Submit(ctx context.Context, name string, raw []byte) (ledger.Result, error) {
	pause := time.NewTicker(20 * time.Millisecond)
	defer pause.Stop()
	for {
		res, err := c.nodes[name].Submit(ctx, raw)
		if !errors.Is(err, ledger.ErrBusy) {
			return res, err
		}
		select {
		case <-pause.C:
		case <-ctx.Done():
			return res, ctx.Err()
		}
	}
}

// Level waits until every running member has the largest height that any of them has final, and returns it.
func (c *Cluster) Level(ctx context.Context) uint64 {
	c.t.Helper()
	pause := time.NewTicker(10 * time.Millisecond)
	defer pause.Stop()
	for {
		low, high := ^uint64(0), uint64(0)
		for _, name := range c.Running() {
			h, err := c.nodes[name].Head(ctx)
			if err != nil {
				c.t.Fatalf("%s: %v", name, err)
			}
			low, high = min(low, h.Height), max(high, h.Height)
		}
		if low == high {
			return high
		}
		select {
		case <-pause.C:
		case <-ctx.Done():
			c.t.Fatalf("the members do not come level: %d to %d", low, high)
		}
	}
}

// Check is the oracle on the whole cluster, which must be level: every member proves all that was acknowledged, and all
// hold the same records byte for byte. It stops every member, checks each directory, and leaves them stopped.
func (c *Cluster) Check(ctx context.Context, o *Oracle) {
	c.t.Helper()
	c.Level(ctx)
	var first map[string][]byte
	for _, name := range c.Running() {
		n := c.nodes[name]
		if err := o.Check(ctx, n); err != nil {
			c.t.Errorf("%s: %v", name, err)
		}
		records := map[string][]byte{}
		for k := range 256 {
			kind := ledger.RecordKind(k)
			if !kind.Known() {
				continue
			}
			for r, err := range n.Records(ctx, kind, nil, nil) {
				if err != nil {
					c.t.Fatal(err)
				}
				records[string(byte(kind))+string(r.Key)] = r.Value
			}
		}
		if first == nil {
			first = records
			continue
		}
		for k, v := range records {
			if !bytes.Equal(first[k], v) {
				c.t.Errorf("%s: record %q differs", name, k)
			}
		}
		if len(records) != len(first) {
			c.t.Errorf("%s has %d records, another %d", name, len(records), len(first))
		}
	}
	for _, name := range c.Running() {
		c.Stop(name)
		findings, _, err := fsck.Check(fsck.Config{FS: vfs.Default, Dir: c.Dir(name), Member: name})
		if err != nil {
			c.t.Fatal(err)
		}
		if fsck.Differs(findings) {
			c.t.Errorf("%s: %v", name, findings)
		}
	}
}

// proxy passes on TCP connections to one member. It reads the protocol out of the ClientHello, which is in the clear.
type proxy struct {
	listener net.Listener
	mu       sync.Mutex
	target   string
	cut      bool
	conns    map[net.Conn]bool // both ends; true: of the exchange
	wg       sync.WaitGroup
}

func newProxy() (*proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &proxy{listener: l, conns: map[net.Conn]bool{}}
	p.wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			p.wg.Go(func() { p.serve(conn) })
		}
	})
	return p, nil
}

func (p *proxy) to(target string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target = target
}

func (p *proxy) serve(in net.Conn) {
	defer in.Close()
	hello := make([]byte, 4096)
	n, err := in.Read(hello)
	if err != nil {
		return
	}
	exchange := bytes.Contains(hello[:n], []byte(peer.Exchange))
	p.mu.Lock()
	target, refuse := p.target, exchange && p.cut
	p.mu.Unlock()
	if refuse {
		return
	}
	out, err := net.Dial("tcp", target)
	if err != nil {
		return
	}
	defer out.Close()
	p.mu.Lock()
	p.conns[in], p.conns[out] = exchange, exchange
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		delete(p.conns, in)
		delete(p.conns, out)
		p.mu.Unlock()
	}()
	if _, err := out.Write(hello[:n]); err != nil {
		return
	}
	back := make(chan struct{})
	go func() {
		defer close(back)
		_, _ = io.Copy(in, out)
		_ = in.Close()
	}()
	_, _ = io.Copy(out, in)
	_ = out.Close()
	<-back
}

func (p *proxy) cutExchange(cut bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = cut
	if !cut {
		return
	}
	for conn, exchange := range p.conns {
		if exchange {
			_ = conn.Close()
		}
	}
}

func (p *proxy) close() {
	_ = p.listener.Close()
	p.mu.Lock()
	for conn := range p.conns {
		_ = conn.Close()
	}
	p.mu.Unlock()
	p.wg.Wait()
}

// As is a client that speaks to the members in a stopped member's name and with its key.
func (c *Cluster) As(name string) *http.Client {
	c.t.Helper()
	addresses := map[string]string{}
	for other, p := range c.proxies {
		addresses[other] = p.listener.Addr().String()
	}
	network, err := peer.New(peer.Config{Members: c.C.Set, Self: name, Key: c.C.Key(name + "/tls"), Addresses: addresses, Now: c.Now, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { _ = network.Close() })
	return network.Client()
}

// Pose answers the other members in a stopped member's name and with its key, until the test ends.
func (c *Cluster) Pose(name string, h http.Handler) {
	c.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		c.t.Fatal(err)
	}
	network, err := peer.New(peer.Config{Members: c.C.Set, Self: name, Key: c.C.Key(name + "/tls"), Now: c.Now, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		c.t.Fatal(err)
	}
	srv, requests := network.ServeHTTP(h), network.Streams(peer.Exchange)
	var wg sync.WaitGroup
	wg.Go(func() { _ = srv.Serve(requests) })
	wg.Go(func() { _ = network.Serve(l) })
	c.proxies[name].to(l.Addr().String())
	c.t.Cleanup(func() {
		_ = srv.Close()
		_ = network.Close()
		wg.Wait()
	})
}
