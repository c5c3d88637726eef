package order

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
	"go.etcd.io/bbolt"

	"github.com/quorate-pki/quorate/ledger"
)

// RaftConfig configures the raft engine.
type RaftConfig struct {
	Dir     string   // the engine's own, on a real disk: its store maps its file into memory
	Self    string   // this member's name
	Members []string // names of the members that founded the channel, the same list in the same order everywhere
	// Quorum is how many cosignatures make a block final; what is tolerated depends on it too. Default: a majority.
	Quorum int

	// Now says who the members are by what is final here, and how many cosignatures make a block final: the engine's configuration follows it.
	// Default: Members and Quorum, for ever.
	Now func() (names []string, quorum int)
	// Known are the members of every set that this member has executed, oldest first; what a leader changes the configuration to is held
	// against them. Default: Members alone.
	Known func() [][]string

	// Listen brings connections from members; each must say by Peer who authenticated it, and that is believed.
	Listen net.Listener
	// Dial connects to a member and has authenticated it.
	Dial func(ctx context.Context, member string) (net.Conn, error)
	// Forward hands a transaction to another member's Forwarded. Its errors are Submit's.
	Forward func(ctx context.Context, member string, tx []byte) error

	Pool   PoolConfig
	Log    *slog.Logger
	Failed func(error) // told once when the engine stops by itself; optional

	// Rejoin is the name of a file in Dir that says that this member's log was lost: it takes no part in elections until it
	// has caught up, and the file is removed then.
	Rejoin string

	Heartbeat time.Duration // without one for this long a follower stands for election; default 1 s
	Stuck     time.Duration // a leader whose block is not committed for this long hands leadership on; default 10 s
	Snapshot  uint64        // log entries after which the log is cut; default 512. Twice as many stay for members that lag
}

// Raft orders for several members by hashicorp/raft: it tolerates crashes of less than half of them. A dishonest
// leader can halt it, and nothing worse: what is final is decided by cosignatures, never here.
//
// Server ids and addresses are member names; where a member listens is Dial's business.
type Raft struct {
	cfg       RaftConfig
	pool      *Pool
	app       App
	store     *raftboltdb.BoltStore
	transport *transport
	raft      *raft.Raft
	notify    chan bool
	ordered   chan struct{}   // one token: a block is committed and about to be delivered
	ctx       context.Context // ends with Close
	cancel    context.CancelFunc
	leading   sync.WaitGroup
	fetching  chan struct{} // one place: a Fetch runs

	mu      sync.Mutex
	head    Ref       // newest delivered block
	kept    []Ordered // delivered, perhaps not final
	trouble error
	ended   raft.Future // of the library's shutdown, once that began
	started bool
	stopped bool
}

const (
	entryVersion = 1    // first byte of every raft entry; the block follows
	maxEntries   = 8    // of at most a block each, in one message
	cachedLogs   = 32   // of at most a block each
	electionFor  = 3    // heartbeats that a silent member keeps out of elections
	deposedFor   = 10   // heartbeats that a deposed leader is not followed
	transferWait = 3e9  // for handing on leadership at Close
	flushWait    = 10e9 // of one message on the network
)

// NewRaft returns an engine that is not started.
func NewRaft(cfg RaftConfig) *Raft {
	if cfg.Heartbeat == 0 {
		cfg.Heartbeat = time.Second
	}
	if cfg.Stuck == 0 {
		cfg.Stuck = 10 * time.Second
	}
	if cfg.Snapshot == 0 {
		cfg.Snapshot = 512
	}
	if cfg.Quorum == 0 {
		cfg.Quorum = len(cfg.Members)/2 + 1
	}
	r := &Raft{cfg: cfg, pool: NewPool(cfg.Pool), notify: make(chan bool), ordered: make(chan struct{}, 1), fetching: make(chan struct{}, 1)}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	return r
}

var _ Orderer = (*Raft)(nil)

// Start implements Orderer. A Raft starts once. It returns when the engine takes part, whether or not there is a leader.
func (r *Raft) Start(ctx context.Context, app App) error {
	r.mu.Lock()
	if r.started || r.stopped {
		r.mu.Unlock()
		return ErrStopped
	}
	r.started, r.app, r.head = true, app, app.Last().Ref
	r.mu.Unlock()
	defer context.AfterFunc(ctx, r.cancelUnlessStarted)()
	if err := r.start(); err != nil {
		r.fail(err)
		return fmt.Errorf("starting raft: %w", err)
	}
	r.leading.Go(r.watch)
	r.leading.Go(r.attend)
	r.leading.Go(r.followMembers)
	return nil
}

// cancelUnlessStarted ends a Start that waits for peers.
func (r *Raft) cancelUnlessStarted() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.raft == nil {
		r.cancel()
	}
}

func (r *Raft) start() error {
	c := raft.DefaultConfig()
	c.LocalID = raft.ServerID(r.cfg.Self)
	c.HeartbeatTimeout, c.ElectionTimeout, c.LeaderLeaseTimeout = r.cfg.Heartbeat, r.cfg.Heartbeat, r.cfg.Heartbeat/2
	c.MaxAppendEntries = maxEntries
	c.SnapshotThreshold, c.TrailingLogs = r.cfg.Snapshot, 2*r.cfg.Snapshot
	c.SnapshotInterval = 5 * r.cfg.Heartbeat
	c.NoLegacyTelemetry = true
	c.NotifyCh = r.notify
	c.Logger = hclog.New(&hclog.LoggerOptions{Level: hclog.Error, Output: slogWriter{r.cfg.Log}, DisableTime: true})
	var err error
	if r.store, err = openBolt(r.cfg.Dir); err != nil {
		return err
	}
	snapshots, err := raft.NewFileSnapshotStoreWithLogger(r.cfg.Dir, 2, c.Logger)
	if err != nil {
		return err
	}
	cache, err := raft.NewLogCache(cachedLogs, r.store)
	if err != nil {
		return err
	}
	logs := checkedLogs{cache, r}
	var servers raft.Configuration
	for _, m := range r.cfg.Members {
		servers.Servers = append(servers.Servers, raft.Server{ID: raft.ServerID(m), Address: raft.ServerAddress(m)})
	}
	r.transport = newTransport(r.cfg, held(logs, snapshots), vet{founders: raft.EncodeConfiguration(servers), known: r.known, term: r.term, block: r.validate}, r.vetted, c.Logger)
	if err := r.mute(); err != nil {
		return err
	}
	known, err := raft.HasExistingState(logs, r.store, snapshots)
	if err != nil {
		return err
	}
	if !known && slices.Contains(r.cfg.Members, r.cfg.Self) {
		// Who came later has the list from the log, like all that follows. Every founder bootstraps by the same list: they agree on it by genesis, not by asking.
		if err := raft.BootstrapCluster(c, logs, r.store, snapshots, r.transport, servers); err != nil {
			return err
		}
	}
	engine, err := raft.NewRaft(c, fsm{r}, logs, r.store, snapshots, r.transport)
	if err != nil {
		return err
	}
	r.mu.Lock()
	r.raft = engine
	r.mu.Unlock()
	return nil
}

// openBolt opens the store of entries, terms and votes.
func openBolt(dir string) (*raftboltdb.BoltStore, error) {
	return raftboltdb.New(raftboltdb.Options{Path: filepath.Join(dir, "raft.db"),
		BoltOptions: &bbolt.Options{Timeout: time.Second, NoFreelistSync: true, FreelistType: bbolt.FreelistMapType}})
}

// mute keeps a member that lost its log out of elections: its vote could elect a leader that lacks what it had helped to
// commit. A crash after the file is gone finds the log that made it go.
func (r *Raft) mute() error {
	if r.cfg.Rejoin == "" {
		return nil
	}
	marker := filepath.Join(r.cfg.Dir, r.cfg.Rejoin)
	_, err := os.Stat(marker)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	r.transport.begun = func() {
		if err := os.Remove(marker); err != nil {
			r.cfg.Log.Warn("this member is back, but the mark stays until the next start", "err", err)
		}
	}
	r.transport.mute.Store(true)
	return err
}

// slogWriter passes the library's errors on.
type slogWriter struct{ log *slog.Logger }

func (w slogWriter) Write(line []byte) (int, error) {
	w.log.Warn("raft", "msg", string(line))
	return len(line), nil
}

// Submit implements Orderer: the leader pools, everybody else hands the transaction to the leader.
func (r *Raft) Submit(ctx context.Context, tx []byte) error {
	if len(tx) > ledger.MaxSubmission {
		return ErrTooLarge
	}
	engine, err := r.running()
	if err != nil {
		return err
	}
	_, leader := engine.LeaderWithID()
	switch string(leader) {
	case "":
		return fmt.Errorf("no leader yet: %w", ErrBusy)
	case r.cfg.Self:
		return r.pool.Add(tx)
	}
	return r.cfg.Forward(ctx, string(leader), tx)
}

// Forwarded takes a transaction from a member that takes this one for the leader; ErrBusy when it is not. The caller has
// checked the transaction as if a user had submitted it.
func (r *Raft) Forwarded(tx []byte) error {
	engine, err := r.running()
	if err != nil {
		return err
	}
	if _, leader := engine.LeaderWithID(); string(leader) != r.cfg.Self {
		return fmt.Errorf("this member does not lead: %w", ErrBusy)
	}
	return r.pool.Add(tx)
}

func (r *Raft) running() (*raft.Raft, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.raft == nil || r.stopped || r.trouble != nil {
		return nil, ErrStopped
	}
	return r.raft, nil
}

// Status implements Orderer.
func (r *Raft) Status() Status {
	names, quorum := r.now()
	r.mu.Lock()
	engine, s := r.raft, Status{Engine: "raft", Height: r.head.Height, PoolBytes: r.pool.Bytes(),
		Healthy:   r.trouble == nil && !r.stopped,
		Tolerates: fmt.Sprintf("crash of %d of %d members; no dishonest leader", min((len(names)-1)/2, len(names)-quorum), len(names))}
	if r.trouble != nil {
		s.Trouble = r.trouble.Error()
	}
	r.mu.Unlock()
	if engine == nil {
		return s
	}
	_, leader := engine.LeaderWithID()
	s.Leader, s.View = string(leader), engine.CurrentTerm()
	switch {
	case !s.Healthy:
	case r.transport.mute.Load():
		s.Healthy, s.Trouble = false, "this member lost its log and does not have it back yet: it takes no part in elections"
	case leader == "":
		s.Healthy, s.Trouble = false, "no leader"
	}
	return s
}

func (r *Raft) fail(err error) {
	r.mu.Lock()
	first := r.trouble == nil && r.ctx.Err() == nil
	if first {
		r.trouble = err
	}
	engine := r.raft
	r.mu.Unlock()
	if !first {
		return
	}
	r.cfg.Log.Error("the orderer stops", "err", err)
	if engine != nil {
		r.shutdown(engine) // does not wait: this may run on one of its goroutines
	}
	if r.cfg.Failed != nil {
		r.cfg.Failed(err)
	}
}

// Close implements Orderer. A leader hands leadership on first, so that the others need no election.
func (r *Raft) Close() error {
	r.mu.Lock()
	again, engine := r.stopped, r.raft
	r.stopped = true
	r.mu.Unlock()
	if again {
		return nil
	}
	if engine != nil && len(r.cfg.Members) > 1 {
		handed := make(chan struct{})
		go func() {
			defer close(handed)
			r.handOver(engine)
		}()
		select {
		case <-handed:
		case <-time.After(transferWait):
		}
	}
	r.cancel()
	var errs []error
	if engine != nil {
		errs = append(errs, r.shutdown(engine).Error())
	}
	r.leading.Wait()
	if r.transport != nil {
		errs = append(errs, r.transport.Close())
	}
	if r.store != nil {
		errs = append(errs, r.store.Close())
	}
	return errors.Join(errs...)
}

// shutdown has the library end. The future of the first call is the one that waits for its goroutines, and they use the store.
func (r *Raft) shutdown(engine *raft.Raft) raft.Future {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended == nil {
		r.ended = engine.Shutdown()
	}
	return r.ended
}

// HandOver makes another member lead, if this one does and another can.
func (r *Raft) HandOver() {
	if engine, err := r.running(); err == nil {
		r.handOver(engine)
	}
}

// Depose has this member follow the present leader no more, nor vote for it, for a few elections' time, and returns who that is; empty
// when nobody leads, or this member does. A majority that does so elects another; fewer only go without, for as long.
func (r *Raft) Depose() (leader string) {
	engine, err := r.running()
	if err != nil {
		return ""
	}
	_, id := engine.LeaderWithID()
	if id == "" || string(id) == r.cfg.Self {
		return ""
	}
	r.transport.depose(string(id), deposedFor*r.cfg.Heartbeat)
	return string(id)
}

func (r *Raft) handOver(engine *raft.Raft) {
	if engine.State() == raft.Leader {
		_ = engine.LeadershipTransfer().Error() // at worst they elect
	}
}

// checkedLogs has the app check every block before this member stores it, as leader here and as follower in vet: what is not
// stored is not acknowledged, so it commits only where enough members accept it.
type checkedLogs struct {
	raft.LogStore
	r *Raft
}

// StoreLog implements raft.LogStore.
func (c checkedLogs) StoreLog(l *raft.Log) error { return c.StoreLogs([]*raft.Log{l}) }

// StoreLogs implements raft.LogStore.
func (c checkedLogs) StoreLogs(logs []*raft.Log) error {
	for _, l := range logs {
		if l.Type != raft.LogCommand || !c.r.leads() {
			continue
		}
		if err := c.r.validate(l.Term, l.Data); err != nil {
			c.r.cfg.Log.Warn("a block is refused", "index", l.Index, "term", l.Term, "err", err)
			return fmt.Errorf("entry %d: %w", l.Index, err)
		}
	}
	if err := c.LogStore.StoreLogs(logs); err != nil {
		// The library would go on and try again for ever: a member whose disk is full would look well.
		err = fmt.Errorf("storing entries of the orderer's log: %w", err)
		c.r.fail(err)
		return err
	}
	return nil
}

// validate has the app check the block in an entry's data.
func (r *Raft) validate(term uint64, data []byte) error {
	block, err := entryBlock(data)
	if err != nil {
		return err
	}
	return r.app.Validate(r.ctx, term, block)
}

// leads is true on the library's main goroutine while it stores what it proposes itself.
func (r *Raft) leads() bool {
	r.mu.Lock()
	engine := r.raft
	r.mu.Unlock()
	return engine != nil && engine.State() == raft.Leader
}

// term is the library's; 0 before it is started.
func (r *Raft) term() uint64 {
	r.mu.Lock()
	engine := r.raft
	r.mu.Unlock()
	if engine == nil {
		return 0
	}
	return engine.CurrentTerm()
}

func entryBlock(data []byte) ([]byte, error) {
	if len(data) < 1 || data[0] != entryVersion || len(data) > 1+ledger.MaxBlock {
		return nil, errors.New("no block of this version and size")
	}
	return data[1:], nil
}
