package order

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
)

// errSilent is what a member says to itself while it keeps out of leadership.
var errSilent = errors.New("this member keeps silent")

// transport is the library's network transport once per peer: what comes over a connection that a peer authenticated is
// taken as that peer's, and refused when it claims to be another's. The library itself believes what a message says.
type transport struct {
	self     string
	vet      vet
	snapshot func(raw []byte) error // vetted
	cfg      RaftConfig
	library  hclog.Logger
	mu       sync.Mutex
	peers    map[string]*peerTransport // of everybody who was ever spoken with, and is or was a member
	reached  reached
	in       chan raft.RPC
	quit     chan struct{}
	holds    func(index, term uint64) bool
	log      *slog.Logger
	mute     atomic.Bool // this member rejoins: it takes no part in elections
	begun    func()      // told when it has caught up
	deposed  atomic.Pointer[deposed]
	quiet    atomic.Int64 // until when nothing is asked of others, in ns since start
	begin    time.Time
	close    sync.Once
	heart    atomic.Pointer[func(raft.RPC)]
}

// peerTransport talks with one peer.
type peerTransport struct {
	*raft.NetworkTransport
	stream *stream
}

// stream is the library's StreamLayer for one peer.
type stream struct {
	peer   string
	dial   func(ctx context.Context, member string) (net.Conn, error)
	accept chan net.Conn
	quit   chan struct{}
	once   sync.Once
}

func (s *stream) Accept() (net.Conn, error) {
	select {
	case c := <-s.accept:
		return &bounded{c, maxMessage, maxMessage}, nil
	case <-s.quit:
		return nil, net.ErrClosed
	}
}

func (s *stream) Close() error {
	s.once.Do(func() { close(s.quit) })
	return nil
}

func (s *stream) Addr() net.Addr { return name(s.peer) }

func (s *stream) Dial(_ raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	c, err := s.dial(ctx, s.peer)
	if err != nil {
		return nil, err
	}
	return &bounded{c, maxReply, maxReply}, nil
}

// name is a member's name as an address.
type name string

func (name) Network() string  { return "member" }
func (n name) String() string { return string(n) }

func newTransport(cfg RaftConfig, holds func(index, term uint64) bool, v vet, snapshot func([]byte) error, log hclog.Logger) *transport {
	t := &transport{cfg: cfg, library: log, holds: holds, log: cfg.Log, self: cfg.Self, vet: v, snapshot: snapshot, peers: map[string]*peerTransport{}, in: make(chan raft.RPC), quit: make(chan struct{}), begin: time.Now()}
	if cfg.Listen != nil {
		go t.accept(cfg.Listen)
		go func() { <-t.quit; _ = cfg.Listen.Close() }()
	}
	return t
}

// peer is the transport of a member, made when it is first spoken with. Nil for a name that is nobody's, and after Close.
func (t *transport) peer(m string) *peerTransport {
	if m == t.self || !slices.ContainsFunc(t.vet.known(), func(set []string) bool { return slices.Contains(set, m) }) {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if p := t.peers[m]; p != nil {
		return p
	}
	select {
	case <-t.quit:
		return nil
	default:
	}
	s := &stream{peer: m, dial: t.cfg.Dial, accept: make(chan net.Conn), quit: make(chan struct{})}
	p := &peerTransport{raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{Stream: s, MaxPool: 3, Timeout: flushWait, Logger: t.library}), s}
	p.SetHeartbeatHandler(func(rpc raft.RPC) {
		if !t.honest(m, rpc) {
			return
		}
		if h := t.heart.Load(); h != nil {
			(*h)(rpc)
		} else {
			t.pass(rpc) // the library is not started yet; unanswered, the leader would wait for its time limit
		}
	})
	t.peers[m] = p
	go t.merge(m, p)
	return p
}

// accept gives every connection to the transport of the peer that authenticated it.
func (t *transport) accept(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		from, ok := c.(interface{ Peer() string })
		var p *peerTransport
		if ok {
			p = t.peer(from.Peer())
		}
		if p == nil {
			_ = c.Close()
			continue
		}
		select {
		case p.stream.accept <- c:
		case <-t.quit:
			_ = c.Close()
			return
		}
	}
}

// merge passes on what a peer asks, after checking that the peer speaks for itself.
func (t *transport) merge(peer string, p *peerTransport) {
	for {
		select {
		case rpc := <-p.Consumer():
			if !t.honest(peer, rpc) {
				continue
			}
			select {
			case t.in <- rpc:
			case <-t.quit:
				return
			}
		case <-t.quit:
			return
		}
	}
}

// honest checks that a message is its sender's own and one that an honest member may send, and a snapshot before anything
// stores it; it answers what is not.
func (t *transport) honest(peer string, rpc raft.RPC) bool {
	msg, ok := rpc.Command.(raft.WithRPCHeader)
	if !ok || string(msg.GetRPCHeader().ID) != peer || string(msg.GetRPCHeader().Addr) != peer {
		rpc.Respond(nil, fmt.Errorf("a message of %s in another's name", peer))
		return false
	}
	if err := t.vet.message(rpc.Command); err != nil {
		t.refuse(peer, rpc, err)
		return false
	}
	if d := t.deposed.Load(); d != nil && d.peer == peer && time.Since(t.begin) < d.until {
		t.refuse(peer, rpc, errDeposed)
		return false
	}
	switch c := rpc.Command.(type) {
	case *raft.AppendEntriesRequest:
		t.follow(c)
		return true
	case *raft.InstallSnapshotRequest:
		return t.install(peer, c, rpc)
	default:
		if t.mute.Load() {
			rpc.Respond(nil, errRejoins)
			return false
		}
		return true
	}
}

func (t *transport) refuse(peer string, rpc raft.RPC, err error) {
	if !errors.Is(err, errDeposed) {
		t.log.Warn("a message is refused", "peer", peer, "err", err)
	}
	if rpc.Reader != nil {
		_, _ = io.Copy(io.Discard, rpc.Reader) // the next message begins behind it
	}
	rpc.Respond(nil, err)
}

// install reads a snapshot and checks it.
func (t *transport) install(peer string, in *raft.InstallSnapshotRequest, rpc raft.RPC) bool {
	raw, err := io.ReadAll(rpc.Reader)
	if err == nil && int64(len(raw)) != in.Size {
		err = errSnapshot
	}
	if err == nil {
		err = t.snapshot(raw)
	}
	if err == nil { // and now this member knows the sets up to there
		err = fits(in.Configuration, t.vet.known())
	}
	if err != nil {
		t.refuse(peer, rpc, err)
		return false
	}
	return t.pass(raft.RPC{Command: in, Reader: bytes.NewReader(raw), RespChan: rpc.RespChan})
}

// errRejoins is the answer to whoever wants this member's vote before it has caught up.
var errRejoins = errors.New("this member has lost its log and is not back yet")

// follow ends the silence of a member that lost its log: what a majority had committed, with this member's help perhaps, is
// in its log again once that holds what the leader knows to be committed in its own term.
func (t *transport) follow(a *raft.AppendEntriesRequest) {
	if t.mute.Load() && a.LeaderCommitIndex > 0 && t.holds(a.LeaderCommitIndex, a.Term) {
		t.mute.Store(false)
		t.begun()
	}
}

// held says whether this member has an entry of a term, in its log or under a snapshot that ends with it.
func held(logs raft.LogStore, snapshots raft.SnapshotStore) func(index, term uint64) bool {
	return func(index, term uint64) bool {
		var l raft.Log
		if logs.GetLog(index, &l) == nil {
			return l.Term == term
		}
		// Between storing a snapshot and having restored it the library answers nobody.
		kept, err := snapshots.List()
		return err == nil && len(kept) > 0 && kept[0].Index >= index && kept[0].Term == term
	}
}

// errDeposed is the answer to a leader that this member follows no more.
var errDeposed = errors.New("this member follows another leader, or none, for now")

type deposed struct {
	peer  string
	until time.Duration // since the transport began
}

// depose refuses whatever a peer sends, for a while.
func (t *transport) depose(peer string, d time.Duration) {
	t.deposed.Store(&deposed{peer, time.Since(t.begin) + d})
}

// pass hands on a message that was changed, and reports false: the original is not to be passed on.
func (t *transport) pass(rpc raft.RPC) bool {
	select {
	case t.in <- rpc:
	case <-t.quit:
	}
	return false
}

// silence makes this member neither lead nor stand for election for a while: the others elect one of themselves, and
// whatever only this member has in its log is overwritten.
func (t *transport) silence(d time.Duration) { t.quiet.Store(int64(time.Since(t.begin) + d)) }

func (t *transport) to(id raft.ServerID) (*peerTransport, error) {
	if time.Since(t.begin) < time.Duration(t.quiet.Load()) {
		return nil, errSilent
	}
	p := t.peer(string(id))
	if p == nil {
		return nil, fmt.Errorf("no member %q", id)
	}
	return p, nil
}

// Consumer implements raft.Transport.
func (t *transport) Consumer() <-chan raft.RPC { return t.in }

// LocalAddr implements raft.Transport.
func (t *transport) LocalAddr() raft.ServerAddress { return raft.ServerAddress(t.self) }

// AppendEntriesPipeline implements raft.Transport. There is none: a pipeline would go on while this member is silent,
// and one block is under way at a time.
func (t *transport) AppendEntriesPipeline(raft.ServerID, raft.ServerAddress) (raft.AppendPipeline, error) {
	return nil, raft.ErrPipelineReplicationNotSupported
}

// AppendEntries implements raft.Transport.
func (t *transport) AppendEntries(id raft.ServerID, target raft.ServerAddress, args *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) error {
	p, err := t.to(id)
	if err != nil {
		return err
	}
	args.Entries = alone(args.Entries) // the library goes on with what was sent
	err = t.believe(p.AppendEntries(id, target, args, resp), &resp.Term)
	if err == nil && resp.Success && args.PrevLogEntry > 0 { // no heartbeat
		t.reached.note(string(id), args.PrevLogEntry+uint64(len(args.Entries)))
	}
	return err
}

// RequestVote implements raft.Transport.
func (t *transport) RequestVote(id raft.ServerID, target raft.ServerAddress, args *raft.RequestVoteRequest, resp *raft.RequestVoteResponse) error {
	if t.mute.Load() {
		return errRejoins
	}
	p, err := t.to(id)
	if err != nil {
		return err
	}
	return t.believe(p.RequestVote(id, target, args, resp), &resp.Term)
}

// RequestPreVote implements raft.WithPreVote.
func (t *transport) RequestPreVote(id raft.ServerID, target raft.ServerAddress, args *raft.RequestPreVoteRequest, resp *raft.RequestPreVoteResponse) error {
	if t.mute.Load() {
		return errRejoins
	}
	p, err := t.to(id)
	if err != nil {
		return err
	}
	return t.believe(p.RequestPreVote(id, target, args, resp), &resp.Term)
}

// InstallSnapshot implements raft.Transport.
func (t *transport) InstallSnapshot(id raft.ServerID, target raft.ServerAddress, args *raft.InstallSnapshotRequest, resp *raft.InstallSnapshotResponse, data io.Reader) error {
	p, err := t.to(id)
	if err != nil {
		return err
	}
	return t.believe(p.InstallSnapshot(id, target, args, resp, data), &resp.Term)
}

// TimeoutNow implements raft.Transport.
func (t *transport) TimeoutNow(id raft.ServerID, target raft.ServerAddress, args *raft.TimeoutNowRequest, resp *raft.TimeoutNowResponse) error {
	p, err := t.to(id)
	if err != nil {
		return err
	}
	return p.TimeoutNow(id, target, args, resp)
}

// believe withholds an answer in a term that no election reaches.
func (t *transport) believe(err error, term *uint64) error {
	if err == nil {
		err = t.vet.reachable(*term)
	}
	if err != nil {
		*term = 0
	}
	return err
}

// EncodePeer implements raft.Transport: an address is a name.
func (t *transport) EncodePeer(_ raft.ServerID, addr raft.ServerAddress) []byte { return []byte(addr) }

// DecodePeer implements raft.Transport.
func (t *transport) DecodePeer(b []byte) raft.ServerAddress { return raft.ServerAddress(b) }

// SetHeartbeatHandler implements raft.Transport.
func (t *transport) SetHeartbeatHandler(cb func(raft.RPC)) { t.heart.Store(&cb) }

// Close implements raft.WithClose.
func (t *transport) Close() error {
	var errs []error
	t.close.Do(func() {
		close(t.quit)
		t.mu.Lock()
		defer t.mu.Unlock()
		for _, p := range t.peers {
			errs = append(errs, p.Close()) // and its stream
		}
		// Not waited for: who reads a snapshot from a silent peer ends when the connections are closed, by their owner.
	})
	return errors.Join(errs...)
}
