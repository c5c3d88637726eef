// Package node is one member's node for one channel: it drives the commit path's outputs to disk and answers
// readers. See DESIGN.md beside this file for the flow and every crash point.
//
// It promises that whatever Submit returned is durable and provable for ever, that readers see final state only,
// and that it stops rather than guess when the disk fails. It must never decide anything that ledger/state or
// ledger/commit decide.
package node

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/commit"
	"github.com/quorate-pki/quorate/ledger/cosign"
	"github.com/quorate-pki/quorate/ledger/order"
	"github.com/quorate-pki/quorate/ledger/peer"
	"github.com/quorate-pki/quorate/ledger/state"
)

// Config of a node.
type Config struct {
	FS      vfs.FS // file system of everything the node writes
	Dir     string // the node's own directory
	Genesis []byte // the signed genesis block
	Member  string // this member's name

	LogKey       ed25519.PrivateKey // signs checkpoints under the origin's name
	CosigningKey ed25519.PrivateKey // cosigns checkpoints
	BlockKey     ed25519.PrivateKey // signs headers

	// More are further keys of this member: of a coming member set, or of the one before while that is needed. Which signs is the member set's to say.
	More []MemberKeys

	Now     func() time.Time // the clock; required
	Log     *slog.Logger     // required
	Segment int64            // bytes after which the local orderer starts a new log file; default 16 MiB

	// What a member among several needs; a member alone has neither.
	Network *peer.Network // connections to the other members; the node serves and closes it
	Listen  net.Listener  // where peers connect; nil: the network's port, which channels share
	// Heartbeat: without a sign of the leader for this long a member stands for election; default 1 s.
	Heartbeat time.Duration
	// Entries of the orderer's log after which it is cut; default 512. A member that lags further catches up by tiles.
	Entries uint64

	// Part is how many leaves are caught up with, or restored, at a time; default 32,768. Memory grows with it.
	Part int

	// Rejoin is for Init: the member runs elsewhere no more, has lost its directory and keeps its keys. Until it has heard
	// from enough peers what its keys signed, and has caught up, it neither signs nor votes. Danger: where a copy of it
	// still runs, no rejoin is safe; rotate its keys.
	Rejoin bool

	// Withheld is how long an accepted revocation may be undecided before this member asks for another leader; after six times as
	// long it renews its signature no more. Default 10 s.
	Withheld time.Duration

	Resign time.Duration // how often the last signature is renewed; default 30 s
	Tick   time.Duration // how often time is looked at; default 1 s
}

// ErrNotInitialised: the directory was never initialised, or was wiped. A wiped member rejoins; it must not start
// afresh under the same keys.
var ErrNotInitialised = errors.New("the node's directory is not initialised")

// Node is a running node. It implements ledger.Reader and ledger.Submitter. Safe for concurrent use.
type Node struct {
	cfg      Config
	stands   atomic.Pointer[standing]
	lock     io.Closer
	store    *store
	tiles    *tileFiles
	signer   *cosign.Signer
	facts    *facts
	parsed   parsed
	holds    holds
	pursuing atomic.Bool // held transactions are being handed to the orderer
	engine   order.Orderer

	// Of a member among several; nil of one alone.
	raft     *order.Raft
	exchange *exchange
	serving  *http.Server
	running  context.Context // ends when the node closes
	stop     context.CancelFunc
	warming  chan struct{} // places for signature checks ahead of execution

	work chan func() // runs on the loop, which owns what follows
	quit chan struct{}
	done chan struct{}

	looping bool          // the loop was started
	ticked  chan struct{} // one token: look at the time again

	machine    *commit.Machine
	devices    *limiter
	lastNote   []byte
	unwritten  []byte       // the newest checkpoint, while its file is older
	cleared    bool         // the peers were asked whether the directory was rolled back: it may sign
	rejoins    bool         // the directory was wiped, and nothing is signed since
	least      uint64       // no smaller tree is signed; set before anything may be
	noEffect   bool         // the block at hand changed nothing
	stuckAt    uint64       // height of the oldest block that was not final at the last tick
	stuck      time.Time    // when that was first so
	ledBy      led          // who leads, as seen at ticks
	finalIndex uint64       // the orderer's, of the final block
	stoodAt    *state.State // the final state that stands was read from
	removedAt  time.Time    // when this member was found to be none any more
	asked      int          // how often the leader was refused for withholding a revocation

	mu      sync.Mutex // guards what follows
	view    *view
	final   order.Ordered // what is durable
	ready   chan struct{} // closed with the first view
	changed chan struct{} // closed with the next view, and when the node closes; nil while nobody waits
	broken  chan struct{} // closed with the first failure
	waiters map[ledger.Hash][]chan answer
	failure error
	closing bool

	views sync.WaitGroup // views whose snapshots are open
}

type answer struct {
	result ledger.Result
	err    error
}

// Open starts a node on an initialised directory: step 11 of the commit path.
func Open(ctx context.Context, cfg Config) (*Node, error) {
	if cfg.Resign == 0 {
		cfg.Resign = 30 * time.Second
	}
	if cfg.Tick == 0 {
		cfg.Tick = time.Second
	}
	if cfg.Withheld == 0 {
		cfg.Withheld = 10 * time.Second
	}
	n := &Node{cfg: cfg, facts: newFacts(), devices: newLimiter(), work: make(chan func()), quit: make(chan struct{}), done: make(chan struct{}), ticked: make(chan struct{}, 1),
		waiters: map[ledger.Hash][]chan answer{}, ready: make(chan struct{}),
		broken: make(chan struct{}), warming: make(chan struct{}, runtime.GOMAXPROCS(0))}
	n.running, n.stop = context.WithCancel(context.Background())
	if err := n.open(ctx); err != nil {
		n.stop()
		n.stopPeers()
		n.stopLoop()
		return nil, errors.Join(fmt.Errorf("opening the node in %s: %w", cfg.Dir, err), n.release())
	}
	return n, nil
}

// stopPeers returns when no peer is served or spoken to any more.
func (n *Node) stopPeers() {
	if n.serving == nil {
		return
	}
	// Errors here are of connections that are cut: peers send again to whoever is there.
	_ = n.serving.Close()
	_ = n.cfg.Network.Close()
	n.exchange.wg.Wait()
}

// release frees what open took, in reverse. Readers that still hold a view end first.
func (n *Node) release() error {
	var errs []error
	n.mu.Lock()
	last := n.view
	n.view, n.closing = nil, true
	n.tellChanged()
	n.mu.Unlock()
	if last != nil {
		last.release()
	}
	n.views.Wait()
	if n.tiles != nil && n.tiles.edge != nil {
		errs = append(errs, n.tiles.close())
	}
	if n.store != nil {
		errs = append(errs, n.store.db.Close())
	}
	if n.lock != nil {
		errs = append(errs, n.lock.Close())
	}
	return errors.Join(errs...)
}

// Close stops the node: it takes nothing more, finishes the block at hand, and closes its files. Whoever still
// waits is told that the node is stopping; the bytes may have been taken.
func (n *Node) Close() error {
	n.mu.Lock()
	again := n.closing
	n.closing = true
	n.mu.Unlock()
	if again {
		return nil
	}
	err := n.engine.Close()
	n.stop()
	n.stopPeers()
	n.stopLoop()
	n.answerAll(ledger.ErrStopping)
	return errors.Join(err, n.release())
}

// stopLoop returns when the loop does nothing any more.
func (n *Node) stopLoop() {
	close(n.quit)
	if n.looping {
		<-n.done
	}
}

// loop owns the machine and everything that writes.
func (n *Node) loop() {
	defer close(n.done)
	tick := time.NewTicker(n.cfg.Tick)
	defer tick.Stop()
	for {
		select {
		case f := <-n.work:
			f()
			continue
		default:
		}
		n.idle()
		select {
		case f := <-n.work:
			f()
		case <-tick.C:
			if !n.cleared {
				continue
			}
			if err := n.step(commit.Tick{}); err != nil {
				n.cfg.Log.Error("the node stops", "err", err)
			}
			n.hurry()
			n.pursue()
			n.leave()
			n.tock()
			n.idle() // under load there is no other moment
		case <-n.quit:
			n.idle()
			return
		}
	}
}

// tock lets a proposal that waits look again whether its time has come.
func (n *Node) tock() {
	select {
	case n.ticked <- struct{}{}:
	default:
	}
}

// hurry asks the peers where they stand when a block is not final a tick later.
func (n *Node) hurry() {
	if n.exchange == nil {
		return
	}
	waiting := uint64(0)
	if n.machine.Pending() > 0 {
		waiting = n.machine.Final().Channel().Height + 1
	}
	if waiting != 0 && waiting == n.stuckAt || len(n.lastNote) == 0 {
		n.exchange.ask()
	}
	if waiting != n.stuckAt {
		n.stuckAt, n.stuck = waiting, n.cfg.Now()
	}
}

// Ready waits until the node answers readers: a quorum has cosigned at least genesis.
func (n *Node) Ready(ctx context.Context) error {
	select {
	case <-n.ready:
		return nil
	case <-n.broken:
		return n.failed()
	case <-n.done:
		return ledger.ErrStopping
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Changed returns a channel that is closed once readers may see another head than now, or nothing any more. Whoever waits for
// news takes the channel first and reads the head then.
func (n *Node) Changed() <-chan struct{} {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.changed == nil {
		n.changed = make(chan struct{})
	}
	return n.changed
}

// tellChanged wakes whoever waits for news. It needs the lock.
func (n *Node) tellChanged() {
	if n.changed != nil {
		close(n.changed)
		n.changed = nil
	}
}

// Failure waits until the node cannot go on, and says why: it answers what is final, takes nothing more, and is to be closed
// and started again. Nil when ctx ends first.
func (n *Node) Failure(ctx context.Context) error {
	select {
	case <-n.broken:
		return n.failed()
	case <-ctx.Done():
		return nil
	}
}

// look asks the loop something, for as long as ctx lasts: a disk that hangs keeps the loop. What f changes, it changes
// even when nobody waits any more.
func look[T any](ctx context.Context, n *Node, f func() (T, error)) (T, error) {
	type answer struct {
		value T
		err   error
	}
	answered := make(chan answer, 1)
	var none T
	select {
	case n.work <- func() {
		v, err := f()
		answered <- answer{v, err}
	}:
	case <-n.done:
		return none, ledger.ErrStopping
	case <-ctx.Done():
		return none, ctx.Err()
	}
	select {
	case a := <-answered:
		return a.value, a.err
	case <-ctx.Done():
		return none, ctx.Err()
	}
}

// run does something on the loop and waits for it, however long it takes once it began.
func (n *Node) run(ctx context.Context, f func() error) error {
	done := make(chan error, 1)
	select {
	case n.work <- func() { done <- f() }:
		return <-done
	case <-n.done:
		return ledger.ErrStopping
	case <-ctx.Done():
		return ctx.Err()
	}
}
