package commit

import (
	"errors"
	"fmt"
	"slices"

	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/state"
	"github.com/quorate-pki/quorate/ledger/tlog"
)

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
	Self      string           // this member's cosigner name
	Keys      []tlog.VKey      // its cosigning keys that the driver signs by: its key in the set in force, and what it has for the next
	Memory    *Signed          // newest signature this member ever gave; nil only before its first
	Least     uint64           // signs no smaller tree: for a member that does not know all it signed
	Seen      Traces           // of the machine before, when a node goes on with a new one
	Resign    ledger.Millis    // how often the last signature is renewed with a new time; default 30 s
	Facts     state.Facts
}

// Machine is the commit path. Not safe for concurrent use.
type Machine struct {
	cfg        Config
	origin     string
	log        uint64
	bodies     map[uint64]*body // by number of the member set
	final      *state.State
	pending    []*Pending
	votes      votes
	memory     *Signed
	signing    bool // a Sign is out, Remembered not in
	persisting bool // a Finalise is out, Persisted not in
	diverged   error
	told       bool // Diverged is out
	signedAt   ledger.Millis
	bridges    []bridge // oldest first
	bridgedAt  ledger.Millis
	stale      bool // LetStale
}

// New starts a machine at the final state.
func New(cfg Config) (*Machine, error) {
	if cfg.Resign == 0 {
		cfg.Resign = 30_000
	}
	members, err := cfg.Final.Members()
	if err != nil {
		return nil, err
	}
	log := cfg.Final.Channel().Log
	m := &Machine{cfg: cfg, origin: members.Origin(log), log: log, bodies: map[uint64]*body{}, final: cfg.Final, memory: cfg.Memory, votes: newVotes()}
	cp := m.checkpoint(cfg.Final)
	for _, s := range cfg.Cosigners {
		v, ok := m.verify(cp, s)
		if !ok {
			return nil, fmt.Errorf("a stored cosignature by %s does not verify", s.Name)
		}
		m.votes.see(v)
		m.votes.count(v)
		m.keepBridge(v, cfg.Final)
	}
	for key, v := range cfg.Seen.newest {
		if key.name == cfg.Self {
			continue
		}
		m.votes.see(v)
		if v.Size > cp.Size {
			m.votes.keepEarly(v) // it counts when this machine is there
		}
	}
	if mem := cfg.Memory; mem != nil && mem.Size == cp.Size {
		if mem.Root != cp.Root {
			m.diverged = fmt.Errorf("this member signed another root at size %d", mem.Size)
		}
		m.countOwn(*mem)
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

// Above are the executed blocks above a height that are not final: a machine that follows this one needs them delivered, and
// the orderer does that once.
func (m *Machine) Above(height uint64) (out []*Pending) {
	for _, p := range m.pending {
		if p.Block.Header.Height > height {
			out = append(out, p)
		}
	}
	return out
}

// Divergence is why this node stopped signing, or nil.
func (m *Machine) Divergence() error { return m.diverged }

// Memory is the newest signature that this member is known to have given, or nil.
func (m *Machine) Memory() *Signed { return m.memory }

// Trace is the largest tree that a member is known here to have cosigned, for a member that lost its memory.
func (m *Machine) Trace(cosigner string) (tlog.Checkpoint, tlog.Signature, bool) {
	var newest vote
	known := false
	for key, v := range m.votes.newest { // of its old key, too
		if key.name == cosigner && (!known || v.Size > newest.Size || v.Size == newest.Size && v.time > newest.time) {
			newest, known = v, true
		}
	}
	return newest.Checkpoint, newest.sig, known
}

// Traces are what Trace tells of every member.
type Traces struct{ newest map[voter]vote }

// Traces are for the machine that follows this one.
func (m *Machine) Traces() Traces { return Traces{m.votes.newest} }

// SignFrom has the machine sign no tree smaller than size: others have shown a log of that size, and this member does not
// know what it signed on the way there.
func (m *Machine) SignFrom(size uint64) { m.cfg.Least = max(m.cfg.Least, size) }

// LetStale has the machine renew its last signature no more, or again: relying parties are to see that something is withheld.
// Whatever is new it signs.
func (m *Machine) LetStale(stale bool) { m.stale = stale }

// Step takes one input. An error is the store's: the node must stop, and start again from disk.
func (m *Machine) Step(in Input, now ledger.Millis) (out []Output, err error) {
	switch in := in.(type) {
	case Deliver:
		out, err = m.deliver(in)
	case Remembered:
		out = m.remembered(in.Signed)
	case Cosigned:
		out = m.cosigned(in)
	case Persisted:
		m.persisted(in.Height)
	case Tick:
	}
	if err != nil {
		return nil, err
	}
	if m.diverged != nil {
		if !m.told {
			m.told = true
			out = append(out, Diverged{Why: m.diverged})
		}
		return out, nil
	}
	out = append(out, m.sign(now)...)
	out = append(out, m.bridged(now)...)
	return append(out, m.finalise()...), nil
}

// deliver executes a block on the overlay (steps 4 and 5 of the commit path).
func (m *Machine) deliver(in Deliver) ([]Output, error) {
	if m.diverged != nil {
		return nil, nil // a diverged node serves what is final and computes nothing more
	}
	head := m.Head()
	if m.final.Size() > 0 && in.Block.Header.Height <= m.final.Channel().Height {
		return nil, nil // redelivered, and final for long
	}
	for _, p := range m.pending {
		if p.Block.Hash == in.Block.Hash {
			return nil, nil // redelivered
		}
	}
	x, err := state.Execute(head, in.Block, m.cfg.Facts)
	if errors.Is(err, state.ErrInvalidBlock) {
		return []Output{Repool{Txs: in.Block.Txs, Why: err}}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("executing height %d: %w", in.Block.Header.Height, err)
	}
	m.pending = append(m.pending, &Pending{Executed: x, Block: in.Block, Index: in.Index})
	var out []Output
	if mem := m.memory; mem != nil && mem.Size <= x.State.Size() && mem.Size > head.Size() {
		// The signer memory was ahead of what was executed; now it can be compared.
		if mem.Size != x.State.Size() || mem.Root != x.State.Root() {
			m.diverge(fmt.Errorf("re-execution to size %d gives another root than this member signed", mem.Size))
			return nil, nil
		}
		m.countOwn(*mem)
		out = append(out, Release{Signed: *mem})
	}
	for _, v := range m.votes.arrived(x.State.Size(), m.voters()) {
		out = append(out, m.judge(v)...)
	}
	return out, nil
}

// diverge is for good; Step tells the driver.
func (m *Machine) diverge(why error) {
	if m.diverged == nil {
		m.diverged = why
	}
}

func (m *Machine) checkpoint(s *state.State) tlog.Checkpoint {
	return tlog.Checkpoint{Origin: m.origin, Size: s.Size(), Root: s.Root()}
}

// sign asks for a signature on the newest block, or for a renewal of the last (steps 6 and 12).
func (m *Machine) sign(now ledger.Millis) []Output {
	if m.signing {
		return nil
	}
	s, key := m.toSign(now)
	if s == nil {
		return nil
	}
	c := s.Channel()
	if s.Size() < m.cfg.Least {
		return nil
	}
	fresh := m.memory == nil || s.Size() > m.memory.Size || s.Size() == m.memory.Size && s == m.final && !m.voted(key)
	if !fresh && (s.Size() < m.memory.Size || m.stale || !m.due(now)) {
		return nil // memory larger than this tree: do not sign, go on
	}
	t := uint64(now / 1000)
	if m.memory != nil {
		t = max(t, m.memory.Time) // a clock set back must not make a newer signature look older
	}
	m.signing, m.signedAt = true, now
	return []Output{Sign{Statement{Log: c.Log, Height: c.Height, Size: s.Size(), Root: s.Root(), Header: c.Header, Time: t}, key}}
}

// due says that the last signature is to be renewed. A clock that was set back since then says nothing about how old
// that is.
func (m *Machine) due(now ledger.Millis) bool {
	return m.signedAt == 0 || now < m.signedAt || now >= m.signedAt+m.cfg.Resign
}

// toSign is the state that this member signs next, and by which key: the newest that it may sign, whose block time is not too far ahead of
// this node's clock; nil when there is none. What is final is no exception: the others' clocks agreed to it, this node would date it before
// its block.
func (m *Machine) toSign(now ledger.Millis) (*state.State, tlog.VKey) {
	if key, ok := m.owed(); ok && m.final.Channel().Time <= now+ledger.MaxTimeAhead {
		return m.final, key
	}
	for _, s := range slices.Backward(m.signable()) {
		if s.Size() == 0 || s.Channel().Time > now+ledger.MaxTimeAhead {
			continue
		}
		if key, ok := m.key(s); ok {
			return s, key
		}
	}
	return nil, tlog.VKey{}
}

func (m *Machine) remembered(s Signed) []Output {
	m.signing, m.memory = false, &s
	if m.diverged != nil {
		return nil // it is on disk, and nobody will ever see it
	}
	m.countOwn(s)
	return append([]Output{Release{Signed: s}}, m.refresh(s.Size)...)
}

// countOwn counts this member's own signature. It is remembered.
func (m *Machine) countOwn(s Signed) {
	if v, ok := m.verify(tlog.Checkpoint{Origin: m.origin, Size: s.Size, Root: s.Root}, s.Signature); ok {
		m.votes.count(v)
		for _, own := range m.states() {
			if own.Size() == v.Size && own.Root() == v.Root {
				m.keepBridge(v, own)
			}
		}
	}
}

// refresh republishes the final checkpoint when it has newer cosignatures. Not while a newer one is on its way to the
// disk: the older must not replace it.
func (m *Machine) refresh(size uint64) []Output {
	e := m.electors(m.final)
	if size != m.final.Size() || m.persisting || m.votes.number(size, e.now) < e.now.quorum {
		return nil
	}
	return []Output{Refresh{Checkpoint: m.checkpoint(m.final), Cosigners: m.votes.cosigners(size, e.all())}}
}

// cosigned takes a peer's cosignature (step 7).
func (m *Machine) cosigned(in Cosigned) []Output {
	v, ok := m.verify(in.Checkpoint, in.Signature)
	if !ok {
		return nil
	}
	m.votes.see(v)
	if m.diverged != nil {
		return nil
	}
	if v.name == m.cfg.Self {
		return m.echoed(v)
	}
	if v.Size > m.Head().Size() {
		m.votes.keepEarly(v)
		return nil
	}
	return m.judge(v)
}

// echoed is this member's own signature, come back. It was counted when it was remembered and is not counted here; one
// newer than the memory means that the memory was rolled back, or that a second copy of this member runs.
func (m *Machine) echoed(v vote) []Output {
	if mem := m.memory; mem == nil || v.Size > mem.Size || (v.Size == mem.Size && (v.time > mem.Time || v.Root != mem.Root)) {
		m.diverge(fmt.Errorf("this member's key signed size %d elsewhere, beyond its signer memory", v.Size))
		return []Output{Conflict{Checkpoint: v.Checkpoint, Signature: v.sig}}
	}
	return nil
}

// judge holds a peer's verified statement against this node's own history, which reaches that far.
func (m *Machine) judge(v vote) []Output {
	if v.Size < m.final.Size() {
		return nil // of a peer that lags
	}
	for _, s := range m.states() {
		if s.Size() == v.Size && s.Root() == v.Root {
			if !m.entitled(v, s) || !m.votes.count(v) {
				return nil
			}
			return m.refresh(v.Size)
		}
	}
	// Another root, or the end of a block where this node's history has none.
	if !m.votes.contradict(v) {
		return nil
	}
	if b := m.electorsOf(v.Size).now; m.votes.against(v, b) >= b.quorum {
		m.diverge(fmt.Errorf("a quorum cosigned another log at size %d", v.Size))
	}
	return []Output{Conflict{Checkpoint: v.Checkpoint, Signature: v.sig}}
}

// states are the final state and those above it.
func (m *Machine) states() []*state.State {
	out := []*state.State{m.final}
	for _, p := range m.pending {
		out = append(out, p.State)
	}
	return out
}

// finalise finds the highest block with a quorum of its electors (step 8): a quorum on it covers all below, a handover too.
func (m *Machine) finalise() []Output {
	if m.persisting {
		return nil
	}
	for i, p := range slices.Backward(m.pending) {
		size := p.State.Size()
		e := m.electors(p.State)
		if m.votes.number(size, e.now) < e.now.quorum {
			continue
		}
		m.persisting = true
		return []Output{Finalise{Blocks: m.pending[: i+1 : i+1], Checkpoint: m.checkpoint(p.State), Cosigners: m.votes.cosigners(size, e.all())}}
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
	m.votes.forget(m.final.Size())
}
