package order_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/ledgertest"
	"github.com/quorate-pki/quorate/ledger/order"
)

const heartbeat = 100 * time.Millisecond

// poll waits until something holds.
func poll(ctx context.Context, holds func() bool) error {
	pause := time.NewTicker(5 * time.Millisecond)
	defer pause.Stop()
	for !holds() {
		select {
		case <-pause.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// alone is raft of one member whose Start waits until it leads, as the suite expects of an engine.
type alone struct{ *order.Raft }

func (a alone) Start(ctx context.Context, app order.App) error {
	if err := a.Raft.Start(ctx, app); err != nil {
		return err
	}
	return poll(ctx, func() bool { return a.Status().Leader == "ca-a" })
}

// TestRaftAlone: raft does what every engine must do. Its files are on a real disk, a directory for each file system of the
// suite's.
func TestRaftAlone(t *testing.T) {
	dirs := map[vfs.FS]string{}
	ledgertest.OrdererSuite(t, func(fs vfs.FS, pool order.PoolConfig) order.Orderer {
		if dirs[fs] == "" {
			dirs[fs] = t.TempDir()
		}
		return alone{order.NewRaft(order.RaftConfig{Dir: dirs[fs], Self: "ca-a", Members: []string{"ca-a"}, Pool: pool,
			Log: slog.New(slog.DiscardHandler), Heartbeat: heartbeat})}
	})
}

// TestRaftCloseEarly: Close ends a start whose first delivery hangs. What is not final is delivered again, and whatever else
// the engine begins with waits behind it. Which of them sees the end first is a matter of luck: many rounds.
func TestRaftCloseEarly(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cons, dir := ledgertest.Found(5, 1), t.TempDir()
	app := ledgertest.NewOrderApp(cons)
	app.Lag = 3
	raw, id := cons.OrderTx(1)
	for round := range 20 {
		e := alone{order.NewRaft(order.RaftConfig{Dir: dir, Self: "ca-a", Members: []string{"ca-a"}, Log: slog.New(slog.DiscardHandler),
			Heartbeat: heartbeat, Pool: order.PoolConfig{Classify: func([]byte) (string, order.Lane) { return "", order.Normal }}})}
		begun := make(chan struct{})
		held := sync.OnceFunc(func() { close(begun) })
		if round > 0 {
			app = app.Clone()
			app.Hold = func(ctx context.Context, call string) error {
				if call == "deliver" {
					held()
					<-ctx.Done()
				}
				return ctx.Err()
			}
		}
		err := e.Start(ctx, app)
		if err == nil && round == 0 {
			if err = e.Submit(ctx, raw); err == nil {
				err = app.Wait(ctx, ledgertest.Seen(id))
			}
		} else if err == nil {
			<-begun
		}
		if err := errors.Join(err, e.Close(), app.Check()); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
	}
}

// network joins engines by pipes. A pipe's far end knows who dialled.
type network struct {
	mu    sync.Mutex
	ports map[string]chan net.Conn
}

type conn struct {
	net.Conn
	peer string
}

func (c conn) Peer() string { return c.peer }

type port struct {
	conns chan net.Conn
	quit  chan struct{}
	once  sync.Once
}

func (p *port) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.quit:
		return nil, net.ErrClosed
	}
}

func (p *port) Close() error {
	p.once.Do(func() { close(p.quit) })
	return nil
}

func (p *port) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

func (n *network) listen(name string) net.Listener {
	n.mu.Lock()
	defer n.mu.Unlock()
	p := &port{conns: make(chan net.Conn), quit: make(chan struct{})}
	n.ports[name] = p.conns
	return p
}

func (n *network) dial(ctx context.Context, from, to string) (net.Conn, error) {
	n.mu.Lock()
	conns := n.ports[to]
	n.mu.Unlock()
	near, far := net.Pipe()
	select {
	case conns <- conn{far, from}:
		return conn{near, to}, nil
	case <-ctx.Done():
	case <-time.After(heartbeat): // nobody accepts there
	}
	return nil, errors.Join(errors.New("no such member now"), near.Close(), far.Close())
}

// judge is an app that refuses what was proposed in one term, may say that it is not fit, and may hang.
type judge struct {
	*ledgertest.OrderApp
	refused atomic.Uint64
	unfit   atomic.Bool
	hangs   atomic.Bool // in Validate, until the engine closes
	ending  func()      // called then, before Validate returns; optional
}

func (j *judge) Fit(context.Context) error {
	if j.unfit.Load() {
		return errors.New("not fit")
	}
	return nil
}

func (j *judge) Validate(ctx context.Context, view uint64, block []byte) error {
	if j.hangs.Load() {
		<-ctx.Done()
		if j.ending != nil {
			j.ending()
		}
	}
	if view == j.refused.Load() {
		return errors.New("refused")
	}
	return j.OrderApp.Validate(ctx, view, block)
}

// trio is raft of three.
type trio struct {
	t       *testing.T
	ctx     context.Context
	net     *network
	names   []string
	dirs    map[string]string
	apps    map[string]*judge
	mu      sync.Mutex // guards engines
	engines map[string]*order.Raft
	entries uint64
	nonce   uint64
}

func newTrio(t *testing.T, entries uint64) *trio {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	c := &trio{t: t, ctx: ctx, net: &network{ports: map[string]chan net.Conn{}}, names: []string{"ca-a", "ca-b", "ca-c"}, entries: entries,
		dirs: map[string]string{}, apps: map[string]*judge{}, engines: map[string]*order.Raft{}}
	founded := ledgertest.Found(5, 1)
	for _, n := range c.names {
		c.dirs[n] = t.TempDir()
		c.apps[n] = &judge{OrderApp: ledgertest.NewOrderApp(founded)}
		c.net.ports[n] = make(chan net.Conn)
	}
	t.Cleanup(func() {
		for _, n := range c.running() {
			c.stop(n)
		}
	})
	return c
}

func (c *trio) engine(name string) *order.Raft {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.engines[name]
}

func (c *trio) running() (out []string) {
	for _, n := range c.names {
		if c.engine(n) != nil {
			out = append(out, n)
		}
	}
	return out
}

func (c *trio) start(names ...string) {
	c.t.Helper()
	for _, name := range names {
		e := order.NewRaft(order.RaftConfig{Dir: c.dirs[name], Self: name, Members: c.names, Listen: c.net.listen(name), Rejoin: "rejoin",
			Dial: func(ctx context.Context, to string) (net.Conn, error) { return c.net.dial(ctx, name, to) },
			Forward: func(_ context.Context, to string, tx []byte) error {
				if e := c.engine(to); e != nil {
					return e.Forwarded(tx)
				}
				return order.ErrBusy
			},
			Pool: pool, Log: slog.New(slog.DiscardHandler), Heartbeat: heartbeat, Stuck: 5 * heartbeat, Snapshot: c.entries})
		c.mu.Lock()
		c.engines[name] = e
		c.mu.Unlock()
		if err := e.Start(c.ctx, c.apps[name]); err != nil {
			c.t.Fatal(err)
		}
	}
}

func (c *trio) stop(name string) {
	c.t.Helper()
	e := c.engine(name)
	c.mu.Lock()
	delete(c.engines, name)
	c.mu.Unlock()
	if err := e.Close(); err != nil {
		c.t.Error(err)
	}
	if err := c.apps[name].Check(); err != nil {
		c.t.Errorf("%s: %v", name, err)
	}
	if n := c.apps[name].Running(); n != 0 {
		c.t.Errorf("%s: %d calls run after Close", name, n)
	}
	c.apps[name] = &judge{OrderApp: c.apps[name].Clone()}
}

// leader waits until those that run agree on one.
func (c *trio) leader() (name string) {
	c.t.Helper()
	err := poll(c.ctx, func() bool {
		var told []string
		for _, n := range c.running() {
			told = append(told, c.engine(n).Status().Leader)
		}
		name = told[0]
		return name != "" && c.engine(name) != nil && len(slices.Compact(told)) == 1
	})
	if err != nil {
		c.t.Fatal("no leader")
	}
	return name
}

func (c *trio) other(than ...string) string {
	for _, n := range c.running() {
		if !slices.Contains(than, n) {
			return n
		}
	}
	c.t.Fatal("no other")
	return ""
}

// order has a transaction ordered that is submitted at a member, until all that run have seen it.
func (c *trio) order(at string) {
	c.t.Helper()
	c.nonce++
	raw, id := c.apps[at].C.OrderTx(c.nonce)
	seen := func() bool {
		for _, n := range c.running() {
			ctx, cancel := context.WithTimeout(c.ctx, heartbeat)
			err := c.apps[n].Wait(ctx, ledgertest.Seen(id))
			cancel()
			if err != nil {
				return false
			}
		}
		return true
	}
	err := poll(c.ctx, func() bool {
		if err := c.engine(at).Submit(c.ctx, raw); err != nil && !errors.Is(err, order.ErrBusy) {
			c.t.Fatal(err)
		}
		return seen()
	})
	if err != nil {
		c.t.Fatalf("not ordered: %v", err)
	}
}

// same demands one sequence of all apps.
func (c *trio) same() {
	c.t.Helper()
	all := map[uint64][]byte{}
	for _, n := range c.names {
		for h, b := range c.apps[n].Delivered() {
			if old, ok := all[h]; ok && !bytes.Equal(old, b) {
				c.t.Errorf("height %d has two blocks", h)
			}
			all[h] = b
		}
	}
}

// TestRaftThree: whoever is asked, whoever leads, there is one sequence; a member that was away gets it.
func TestRaftThree(t *testing.T) {
	c := newTrio(t, 0)
	c.start(c.names...)
	for _, n := range c.names {
		c.order(n)
	}
	for range 3 {
		gone := c.leader()
		c.stop(gone)
		if now := c.leader(); now == gone {
			t.Fatal("it is gone")
		}
		for _, n := range c.running() {
			c.order(n)
		}
		c.start(gone)
		c.order(gone)
	}
	c.same()
}

// TestRaftRefused: a leader whose blocks the others refuse to store gives up leadership, and what it had is ordered by
// another, once.
func TestRaftRefused(t *testing.T) {
	c := newTrio(t, 0)
	c.start(c.names...)
	c.order("ca-a")
	bad := c.leader()
	term := c.engine(bad).Status().View
	for _, n := range c.names {
		if n != bad {
			c.apps[n].refused.Store(term)
		}
	}
	c.order(c.other(bad))
	if c.engine(c.leader()).Status().View == term {
		t.Error("the term goes on")
	}
	for _, n := range c.names {
		for h, raw := range c.apps[n].Delivered() {
			if b, err := ledger.ParseBlock(raw); err != nil || h > 1 && b.Header.View == term {
				t.Errorf("%s: height %d was ordered in the term that was refused (%v)", n, h, err)
			}
		}
	}
	c.same()
}

// TestRaftUnfit: who says that it is not fit to lead does not lead for long; whoever is fit does.
func TestRaftUnfit(t *testing.T) {
	c := newTrio(t, 0)
	c.start(c.names...)
	for i := range 6 {
		fit := c.names[i%3]
		for _, n := range c.names {
			c.apps[n].unfit.Store(n != fit)
		}
		if err := poll(c.ctx, func() bool { return c.engine(fit).Status().Leader == fit }); err != nil {
			t.Fatalf("%s does not lead", fit)
		}
		c.order(c.other(fit))
	}
	c.same()
}

// hang has the leader's library hang over a block, and waits until another member sees somebody else lead. ending is called when
// the hanging ends, before it returns.
func (c *trio) hang(ending func()) (hanging, other string) {
	c.t.Helper()
	c.start(c.names...)
	hanging = c.leader()
	c.order(hanging)
	app := c.apps[hanging]
	app.ending = ending
	app.hangs.Store(true)
	raw, _ := app.C.OrderTx(1000)
	if err := c.engine(hanging).Submit(c.ctx, raw); err != nil {
		c.t.Fatal(err)
	}
	other = c.other(hanging)
	if err := poll(c.ctx, func() bool { l := c.engine(other).Status().Leader; return l != "" && l != hanging }); err != nil {
		c.t.Fatal("it leads on")
	}
	return hanging, other
}

// TestRaftHangs: a leader whose library hangs over a block does not lead for long, and may be closed.
func TestRaftHangs(t *testing.T) {
	c := newTrio(t, 0)
	hanging, other := c.hang(nil)
	c.stop(hanging)
	c.order(other)
	c.same()
}

// TestRaftCloseFailed: closing an engine that has failed waits for the library's goroutines as any other close does: they use the
// store.
func TestRaftCloseFailed(t *testing.T) {
	c := newTrio(t, 0)
	entered, closed := make(chan struct{}), make(chan struct{})
	var once sync.Once
	hanging, _ := c.hang(func() {
		once.Do(func() { close(entered) })
		select {
		case <-closed:
			t.Error("closed while the library runs")
		case <-time.After(2 * heartbeat):
		}
	})
	order.Fail(c.engine(hanging), errors.New("a broken disk"))
	c.stop(hanging)
	close(closed)
	<-entered
}

// TestRaftFetch: a member that is further behind than the log reaches takes what is final from the app's peers, and goes on.
func TestRaftFetch(t *testing.T) {
	c := newTrio(t, 4)
	c.start(c.names...)
	c.order("ca-a")
	away := c.other(c.leader())
	c.stop(away)
	// Whoever leads must have cut its log where the member, which starts without one, would go on.
	cut := func(name string) bool {
		found, err := filepath.Glob(filepath.Join(c.dirs[name], "snapshots", "*-*-*", "state.bin"))
		return err == nil && slices.ContainsFunc(found, func(f string) bool {
			var term, index, at uint64
			_, err := fmt.Sscanf(filepath.Base(filepath.Dir(f)), "%d-%d-%d", &term, &index, &at)
			return err == nil && index >= 20
		})
	}
	for _, n := range c.running() {
		for !cut(n) {
			c.order(c.other())
		}
	}
	c.apps[away].Peer = c.apps[c.other()].OrderApp
	if err := os.RemoveAll(filepath.Join(c.dirs[away], "raft.db")); err != nil {
		t.Fatal(err)
	}
	c.start(away)
	c.order(away)
	if c.apps[away].Fetched == 0 {
		t.Error("nothing was fetched")
	}
	c.same()
}
