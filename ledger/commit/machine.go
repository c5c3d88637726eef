package commit

import (
	"errors"
	"fmt"
	"slices"

	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/state"
	"github.com/quorate-pki/quorate/ledger/tlog"
)

// Statement is what a member says by a cosignature: these leaves follow from the rules in force, and are
// consistent with everything I signed before.
type Statement struct {
	Log    uint64
	Height uint64
	Size   uint64
	Root   ledger.Hash
	Header ledger.Hash // hash of the header at Height
	Time   uint64      // seconds since 1970, as cosignatures have it
}

// Signed is a statement with this member's cosignature. The newest is the signer memory.
type Signed struct {
	Statement
	Signature tlog.Signature
}

// Input is something that happened.
type Input interface{ input() }

type (
	// Deliver is the next block of the orderer's sequence.
	Deliver struct {
		Block *ledger.Block
		Index uint64 // the orderer's
	}
	// Remembered says that this member's signature is durable in the signer memory.
	Remembered struct{ Signed Signed }
	// Cosigned brings a peer's cosignature, not yet verified.
	Cosigned struct {
		Checkpoint tlog.Checkpoint
		Signature  tlog.Signature
	}
	// Persisted says that everything up to a height is durable and published.
	Persisted struct{ Height uint64 }
	// Tick says that time passed.
	Tick struct{}
)

func (Deliver) input()    {}
func (Remembered) input() {}
func (Cosigned) input()   {}
func (Persisted) input()  {}
func (Tick) input()       {}

// Output is something the driver must do, in order.
type Output interface{ output() }

type (
	// Sign: cosign the statement, make it durable in the signer memory, then feed Remembered. If that fails, stop.
	Sign struct{ Statement Statement }
	// Release: send this member's signature to all peers. It is remembered.
	Release struct{ Signed Signed }
	// Finalise: make the blocks, then the note, durable and public; then feed Persisted.
	Finalise struct {
		Blocks     []*Pending
		Checkpoint tlog.Checkpoint
		Cosigners  []tlog.Signature
	}
	// Refresh: publish the final checkpoint with newer cosignatures.
	Refresh struct {
		Checkpoint tlog.Checkpoint
		Cosigners  []tlog.Signature
	}
	// Repool: the block had no effect; its transactions are still to be ordered.
	Repool struct {
		Txs []*ledger.Parsed
		Why error
	}
	// Diverged: this node computed another history than it, or the quorum, signed. It never signs again.
	Diverged struct{ Why error }
)

func (Sign) output()     {}
func (Release) output()  {}
func (Finalise) output() {}
func (Refresh) output()  {}
func (Repool) output()   {}
func (Diverged) output() {}

// Pending is a committed block that is not final yet.
type Pending struct {
	*state.Executed
	Block *ledger.Block
	Index uint64 // the orderer's
}

// Config of a Machine.
type Config struct {
	Final     *state.State     // as persisted
	Cosigners []tlog.Signature // of the final checkpoint
	Policy    *tlog.Policy     // this log's origin, the members' cosigning keys, the quorum
	Self      string           // this member's cosigner name
	Memory    *Signed          // newest signature this member ever gave; nil only before its first
	Resign    ledger.Millis    // how often the last signature is renewed with a new time; default 30 s
	Signer    state.Signatures // checks transaction and certificate signatures
}

// Machine is the commit path. Not safe for concurrent use.
type Machine struct {
	cfg        Config
	final      *state.State
	pending    []*Pending
	votes      map[uint64]map[string]vote // tree size -> cosigner name -> its newest cosignature on our root
	memory     *Signed
	signing    bool // a Sign is out, Remembered not in
	persisting bool
	diverged   error
	signedAt   ledger.Millis
}

type vote struct {
	time uint64
	sig  tlog.Signature
}

// New starts a machine at the final state.
func New(cfg Config) (*Machine, error) {
	if cfg.Resign == 0 {
		cfg.Resign = 30_000
	}
	m := &Machine{cfg: cfg, final: cfg.Final, memory: cfg.Memory, votes: map[uint64]map[string]vote{}}
	cp := m.checkpoint(cfg.Final)
	for _, s := range cfg.Cosigners {
		if !m.count(cp, s) {
			return nil, fmt.Errorf("a stored cosignature by %s does not verify", s.Name)
		}
	}
	if mem := cfg.Memory; mem != nil && mem.Size == cp.Size && mem.Root != cp.Root {
		m.diverged = fmt.Errorf("this member signed another root at size %d", mem.Size)
	}
	return m, nil
}

// Head is the state after the newest committed block.
func (m *Machine) Head() *state.State {
	if n := len(m.pending); n > 0 {
		return m.pending[n-1].State
	}
	return m.final
}

// Final is the state that is durable.
func (m *Machine) Final() *state.State { return m.final }

// Pending is the number of blocks that wait for the quorum.
func (m *Machine) Pending() int { return len(m.pending) }

// Divergence is why this node stopped signing, or nil.
func (m *Machine) Divergence() error { return m.diverged }

// Step takes one input. An error is the store's: the node must stop, and start again from disk.
func (m *Machine) Step(in Input, now ledger.Millis) ([]Output, error) {
	var out []Output
	switch in := in.(type) {
	case Deliver:
		o, err := m.deliver(in)
		if err != nil {
			return nil, err
		}
		out = o
	case Remembered:
		out = m.remembered(in.Signed, now)
	case Cosigned:
		m.cosigned(in)
	case Persisted:
		m.persisted(in.Height)
	case Tick:
	}
	out = append(out, m.sign(now)...)
	return append(out, m.finalise()...), nil
}

// deliver executes a block on the overlay (steps 4 and 5 of the commit path).
func (m *Machine) deliver(in Deliver) ([]Output, error) {
	if m.diverged != nil {
		return nil, nil // a diverged node serves what is final and computes nothing more
	}
	head := m.Head()
	if in.Block.Header.Height <= head.Channel().Height && head.Size() > 0 {
		return nil, nil // redelivered
	}
	x, err := state.Execute(head, in.Block, m.cfg.Signer)
	if errors.Is(err, state.ErrInvalidBlock) {
		return []Output{Repool{Txs: in.Block.Txs, Why: err}}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("executing height %d: %w", in.Block.Header.Height, err)
	}
	m.pending = append(m.pending, &Pending{Executed: x, Block: in.Block, Index: in.Index})
	if mem := m.memory; mem != nil && mem.Size <= x.State.Size() && mem.Size > head.Size() {
		// The signer memory was ahead of what was executed; now it can be compared.
		if mem.Size != x.State.Size() || mem.Root != x.State.Root() {
			return m.diverge(fmt.Errorf("re-execution to size %d gives another root than this member signed", mem.Size)), nil
		}
		m.count(m.checkpoint(x.State), mem.Signature)
		return []Output{Release{Signed: *mem}}, nil
	}
	return nil, nil
}

func (m *Machine) diverge(why error) []Output {
	m.diverged = why
	return []Output{Diverged{Why: why}}
}

func (m *Machine) checkpoint(s *state.State) tlog.Checkpoint {
	return tlog.Checkpoint{Origin: m.cfg.Policy.Origin, Size: s.Size(), Root: s.Root()}
}

// sign asks for a signature on the newest block, or for a renewal of the last (steps 6 and 12).
func (m *Machine) sign(now ledger.Millis) []Output {
	if m.signing || m.diverged != nil || len(m.votes) > 4*ledger.MaxPending {
		return nil
	}
	s := m.newest(now)
	if s == nil {
		return nil
	}
	c := s.Channel()
	fresh := m.memory == nil || s.Size() > m.memory.Size
	if !fresh && (s.Size() < m.memory.Size || (m.signedAt != 0 && now < m.signedAt+m.cfg.Resign)) {
		return nil // memory larger than this tree: do not sign, go on; or not due yet
	}
	t := uint64(now / 1000)
	if m.memory != nil {
		t = max(t, m.memory.Time) // a clock set back must not make a newer signature look older
	}
	m.signing, m.signedAt = true, now
	return []Output{Sign{Statement{Log: c.Log, Height: c.Height, Size: s.Size(), Root: s.Root(), Header: c.Header, Time: t}}}
}

// newest is the newest state whose block time is not too far ahead of this node's clock.
func (m *Machine) newest(now ledger.Millis) *state.State {
	for _, p := range slices.Backward(m.pending) {
		if p.Block.Header.Time <= now+ledger.MaxTimeAhead {
			return p.State
		}
	}
	if m.final.Size() == 0 {
		return nil
	}
	return m.final
}

func (m *Machine) remembered(s Signed, now ledger.Millis) []Output {
	m.signing, m.memory = false, &s
	m.count(tlog.Checkpoint{Origin: m.cfg.Policy.Origin, Size: s.Size, Root: s.Root}, s.Signature)
	out := []Output{Release{Signed: s}}
	if s.Size == m.final.Size() {
		out = append(out, m.refresh()...)
	}
	return out
}

// refresh republishes the final checkpoint with the newest cosignatures.
func (m *Machine) refresh() []Output {
	return []Output{Refresh{Checkpoint: m.checkpoint(m.final), Cosigners: m.cosigners(m.final.Size())}}
}

func (m *Machine) cosigned(in Cosigned) {
	for _, s := range m.states() {
		if s.Size() == in.Checkpoint.Size && s.Root() == in.Checkpoint.Root {
			m.count(in.Checkpoint, in.Signature)
			return
		}
	}
}

// states are the final state and those above it.
func (m *Machine) states() []*state.State {
	out := []*state.State{m.final}
	for _, p := range m.pending {
		out = append(out, p.State)
	}
	return out
}

// count verifies a cosignature on our own checkpoint and keeps the newest of each member.
func (m *Machine) count(cp tlog.Checkpoint, sig tlog.Signature) bool {
	for _, w := range m.cfg.Policy.Witnesses {
		if w.Key.Name != sig.Name || w.Key.ID() != sig.ID {
			continue
		}
		t, ok := tlog.VerifyCosignature(cp, w.Key, sig)
		if !ok {
			return false
		}
		if m.votes[cp.Size] == nil {
			m.votes[cp.Size] = map[string]vote{}
		}
		if old, have := m.votes[cp.Size][sig.Name]; !have || t >= old.time {
			m.votes[cp.Size][sig.Name] = vote{t, sig}
		}
		return true
	}
	return false
}

// cosigners are the cosignatures on a size, in the policy's order.
func (m *Machine) cosigners(size uint64) (out []tlog.Signature) {
	for _, w := range m.cfg.Policy.Witnesses {
		if v, ok := m.votes[size][w.Key.Name]; ok {
			out = append(out, v.sig)
		}
	}
	return out
}

// finalise finds the highest block with a quorum (step 8): a quorum on it covers all below.
func (m *Machine) finalise() []Output {
	if m.persisting || m.diverged != nil {
		return nil
	}
	for i, p := range slices.Backward(m.pending) {
		size := p.State.Size()
		if len(m.votes[size]) < m.cfg.Policy.Quorum {
			continue
		}
		m.persisting = true
		return []Output{Finalise{Blocks: m.pending[: i+1 : i+1], Checkpoint: m.checkpoint(p.State), Cosigners: m.cosigners(size)}}
	}
	return nil
}

// persisted moves what is final.
func (m *Machine) persisted(height uint64) {
	m.persisting = false
	for len(m.pending) > 0 && m.pending[0].Block.Header.Height <= height {
		m.final = m.pending[0].State
		m.final.Detach()
		m.pending = m.pending[1:]
	}
	if len(m.pending) > 0 {
		// The final state's own writes are in the store; whoever builds on it reads them there.
		m.pending[0].State.Detach()
	}
	for size := range m.votes {
		if size < m.final.Size() {
			delete(m.votes, size)
		}
	}
}
