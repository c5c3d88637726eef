package commit_test

import (
	"math/rand/v2"
	"slices"

	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/commit"
	"github.com/quorate-pki/quorate/ledger/state"
	"github.com/quorate-pki/quorate/ledger/tlog"
)

// sim is a consortium in one goroutine: its members, the messages between them, and the orderer's sequence. Whatever
// happens follows from rng.
type sim struct {
	h        *history
	rng      *rand.Rand
	members  []*simMember
	flight   []message
	now      ledger.Millis
	from, to int // heights: where all members start, and the last that is ordered
	ordered  int // how much of the sequence is ordered
	side     []int
	said     []commit.Cosigned // every cosignature that was ever sent
	oracle   *oracle
	stats    stats
	bug      bug
	lost     bool // a member's disk was, in this schedule
	lossless bool // in this schedule no message is lost, nobody crashes, and clocks are right
	log      func(format string, args ...any)
}

// message brings a cosignature to a member.
type message struct {
	from, to int
	cosigned commit.Cosigned
}

// simMember is a member: what is on its disk, and what a crash forgets.
type simMember struct {
	w         *sim
	id        int
	disk      disk
	m         *commit.Machine // nil while it is down
	next      int             // of the sequence
	outputs   []commit.Output // not performed yet
	feedback  []commit.Input  // what became durable and is not told yet
	skew      int64           // of its clock, ms
	byzantine bool
	rolled    bool   // its disk was set back: at fault from then on
	wiped     bool   // its disk was lost, and it has signed nothing since
	least     uint64 // it signs no smaller tree, since it started
	synced    disk   // for bugs
}

// bug is a driver that does not do what the machine asks for. The oracle must find every one.
type bug int

const (
	noBug                bug = iota
	releaseBeforeMemory      // sends a signature, then remembers it
	forgetMemory             // a crash loses the signer memory
	finalInMemory            // tells the machine that a height is persisted, and a crash loses it
	rememberedThoughLost     // tells the machine that a signature is remembered when it is not
	publishUnverified        // publishes what a peer cosigned, not counting who
	skipBlocks               // after a crash the orderer's sequence goes on one block too far
	loseRecord               // a final height lacks a record on disk
	ownTime                  // signs with its clock's time, not the statement's
	twoCopies                // the key is in use twice: the second copy signs what it wants
	forgetAbove              // catches up, and forgets the blocks above that it had executed
	recallNothing            // lost its disk, and signs as if it never had signed
	bugs                     // how many
)

func (b bug) String() string {
	return []string{"none", "release before memory", "forget the memory", "final in memory only", "remembered though lost", "publish unverified",
		"skip blocks", "lose a record", "own time", "two copies",
		"forget above", "recall nothing"}[b]
}

func newSim(h *history, rng *rand.Rand, from, to int, s stats) *sim {
	w := &sim{h: h, rng: rng, from: from, to: to, now: h.channel[from].Time, side: make([]int, h.n), stats: s, log: func(string, ...any) {}}
	w.oracle = newOracle(w)
	w.ordered = h.end(from)
	for i := range h.n {
		w.members = append(w.members, &simMember{w: w, id: i, disk: h.disks[from][i].clone()})
	}
	return w
}

// begin starts all members.
func (w *sim) begin() {
	for _, m := range w.members {
		m.synced = m.disk.clone()
		m.restart()
	}
}

// order makes the next of the sequence known. Its proposer's clock is right.
func (w *sim) order() bool {
	if w.ordered >= w.h.end(w.to) {
		return false
	}
	b := w.h.sequence[w.ordered]
	w.now = max(w.now, b.Header.Time-ledger.Millis(w.rng.IntN(8000)))
	w.ordered++
	return true
}

// honest members neither lie nor lost what they had on disk.
func (m *simMember) honest() bool { return !m.byzantine && !m.rolled }

func (m *simMember) up() bool { return m.m != nil }

func (m *simMember) busy() bool { return len(m.outputs)+len(m.feedback) > 0 }

func (m *simMember) behind() bool { return m.up() && m.next < m.w.ordered }

// clock is the member's.
func (m *simMember) clock() ledger.Millis { return ledger.Millis(int64(m.w.now) + m.skew) }

func (m *simMember) crash() {
	if !m.up() {
		return
	}
	m.w.log("%s crashes", name(m.id))
	m.w.stats["crashes"]++
	m.m, m.outputs, m.feedback = nil, nil, nil
	switch m.w.bug {
	case forgetMemory:
		m.disk.memory = nil
	case finalInMemory:
		memory := m.disk.memory
		m.disk = m.synced.clone()
		m.disk.memory = memory
	}
}

// restart starts the machine from what is on disk; the orderer goes on after the final height.
func (m *simMember) restart() {
	w := m.w
	if m.up() || m.byzantine {
		return
	}
	w.log("%s starts at height %d", name(m.id), m.disk.height)
	w.oracle.started(m)
	st, err := state.Load(m.disk.store, m.disk.leaves)
	if err != nil {
		w.oracle.fail("%s does not load height %d: %v", name(m.id), m.disk.height, err)
		return
	}
	cfg := commit.Config{Final: st, Cosigners: m.disk.cosigners, Self: w.h.names[m.id], Keys: w.h.vkeys[m.id], Memory: m.disk.memory, Facts: w.h.facts}
	if m.wiped {
		var ok bool
		if cfg.Memory, cfg.Least, ok = m.recall(); !ok {
			return // it starts when enough peers answer
		}
		w.stats["rejoins"]++
	}
	m.least = cfg.Least
	m.m, err = commit.New(cfg)
	if err != nil {
		m.m = nil
		w.oracle.fail("%s does not start: %v", name(m.id), err)
		return
	}
	if s := m.disk.memory; s != nil && s.Size > st.Size() {
		w.stats["starts with a memory ahead"]++
	}
	m.next = w.h.at[m.disk.height] + 1
	if w.bug == skipBlocks && m.disk.height > uint64(w.from) {
		m.next++
	}
	m.step(commit.Tick{})
}

// step feeds the machine. The outputs wait to be performed.
func (m *simMember) step(in commit.Input) {
	w := m.w
	if !m.up() {
		return
	}
	w.log("%s <- %T", name(m.id), in)
	out, err := m.m.Step(in, m.clock())
	if err != nil {
		w.oracle.fail("%s: %v", name(m.id), err)
	}
	if c, ok := in.(commit.Cosigned); ok && c.Checkpoint.Size > m.m.Head().Size() {
		w.stats["early cosignatures"]++
	}
	for _, o := range out {
		w.oracle.asked(m, o)
	}
	m.outputs = append(m.outputs, out...)
}

// deliver feeds the next of the orderer's sequence.
func (m *simMember) deliver() {
	b := m.w.h.sequence[m.next]
	m.next++
	if b.Header.Time > m.clock()+ledger.MaxTimeAhead {
		m.w.stats["blocks ahead of the clock"]++
	}
	m.step(commit.Deliver{Block: b, Index: uint64(m.next)})
}

// what a crash in the middle of an output leaves.
type cut int

const (
	whole cut = iota
	lost      // a crash before it is durable
	kept      // a crash after it is durable, before anybody is told
)

// perform does the oldest output.
func (m *simMember) perform(c cut) {
	w := m.w
	o := m.outputs[0]
	m.outputs = m.outputs[1:]
	w.log("%s performs %T, cut %d", name(m.id), o, c)
	switch o := o.(type) {
	case commit.Sign:
		m.sign(o.Statement, o.Key, c)
	case commit.Release:
		if c != lost {
			m.release(o.Signed)
		}
	case commit.Finalise:
		m.finalise(o, c)
	case commit.Refresh:
		w.stats["refreshed"]++
		if c != lost && w.h.handover(int(m.disk.height)) && w.h.cps[m.disk.height] == o.Checkpoint {
			m.disk.cosigners = o.Cosigners
		}
		w.oracle.published(m, o.Checkpoint, o.Cosigners)
	case commit.Repool:
		w.stats["blocks without effect"]++
	case commit.Conflict:
		w.oracle.conflict(m, o)
	case commit.Diverged:
		w.oracle.diverged(m, o.Why)
	}
	if c != whole {
		w.log("%s: cut", name(m.id))
		m.crash()
	}
}

// cosign is a signature of one of a member's keys that everybody may see.
func (w *sim) cosign(member int, cp tlog.Checkpoint, seconds uint64) commit.Cosigned {
	keys := w.h.vkeys[member]
	return w.cosignBy(keys[w.rng.IntN(len(keys))], cp, seconds)
}

func (w *sim) cosignBy(key tlog.VKey, cp tlog.Checkpoint, seconds uint64) commit.Cosigned {
	sig := tlog.Cosign(cp, key.Name, seconds, w.h.keys[key.String()])
	w.oracle.makes(cp, sig)
	return commit.Cosigned{Checkpoint: cp, Signature: sig}
}

func (m *simMember) sign(st commit.Statement, key tlog.VKey, c cut) {
	w := m.w
	if w.bug == ownTime {
		st.Time = uint64(m.clock() / 1000)
	}
	s := commit.Signed{Statement: st, Signature: w.cosignBy(key, tlog.Checkpoint{Origin: w.h.origin, Size: st.Size, Root: st.Root}, st.Time).Signature}
	if w.bug == releaseBeforeMemory {
		m.release(s)
	}
	if c == lost {
		w.stats["signatures lost by a crash"]++
		return // nobody saw it
	}
	if w.bug != rememberedThoughLost || w.rng.IntN(2) == 0 {
		m.disk.memory, m.wiped = &s, false
		w.oracle.signed(m, s)
	}
	if w.bug == twoCopies && w.rng.IntN(8) == 0 {
		other := s
		other.Root[0] ^= 1
		other.Signature = w.cosignBy(key, tlog.Checkpoint{Origin: w.h.origin, Size: st.Size, Root: other.Root}, st.Time).Signature
		m.release(other)
	}
	m.feedback = append(m.feedback, commit.Remembered{Signed: s})
	if c == kept {
		w.stats["signatures remembered and not told"]++
	}
}

// release sends a signature to all peers. A byzantine peer runs no machine, and knows all that is said anyway.
func (m *simMember) release(s commit.Signed) {
	w := m.w
	w.oracle.signed(m, s)
	c := commit.Cosigned{Checkpoint: tlog.Checkpoint{Origin: w.h.origin, Size: s.Size, Root: s.Root}, Signature: s.Signature}
	w.said = append(w.said, c)
	for _, p := range w.members {
		if p != m && !p.byzantine {
			w.flight = append(w.flight, message{m.id, p.id, c})
		}
	}
}

func (m *simMember) finalise(o commit.Finalise, c cut) {
	w := m.w
	if c == lost {
		w.stats["finals lost by a crash"]++
		return
	}
	w.oracle.finalised(m, o)
	for i, p := range o.Blocks {
		writes := p.State.Writes()
		if w.bug == loseRecord && i == 0 && len(p.Results) > 0 {
			writes = without(writes, ledger.RecordTx)
		}
		m.disk.store.Put(writes)
		for _, l := range p.Leaves {
			m.disk.leaves.Append(tlog.LeafHash(l))
		}
	}
	m.disk.height, m.disk.cosigners = o.Blocks[len(o.Blocks)-1].Block.Header.Height, o.Cosigners
	w.oracle.durable(m)
	if c == kept {
		w.stats["finals durable and not told"]++
		return // on disk; nobody was shown it
	}
	w.oracle.published(m, o.Checkpoint, o.Cosigners)
	m.feedback = append(m.feedback, commit.Persisted{Height: m.disk.height})
}

// without is the writes less those of a kind.
func without(writes map[string][]byte, kind ledger.RecordKind) map[string][]byte {
	out := map[string][]byte{}
	for k, v := range writes {
		if k[0] != byte(kind) {
			out[k] = v
		}
	}
	return out
}

// tell is what became durable, told to the machine.
func (m *simMember) tell() {
	in := m.feedback[0]
	m.feedback = m.feedback[1:]
	m.step(in)
}

// receive takes a message.
func (m *simMember) receive(c commit.Cosigned) {
	w := m.w
	if w.bug == publishUnverified && m.up() && c.Checkpoint.Size > m.m.Final().Size() && w.rng.IntN(4) == 0 {
		w.oracle.published(m, c.Checkpoint, []tlog.Signature{c.Signature})
	}
	m.step(c)
}

// settle does all that can be done without time passing.
func (w *sim) settle() {
	for again := true; again && w.oracle.err == nil; {
		again = false
		for _, m := range w.members {
			for m.up() && (m.busy() || m.behind()) && w.oracle.err == nil {
				again = true
				switch {
				case len(m.outputs) > 0:
					m.perform(whole)
				case len(m.feedback) > 0:
					m.tell()
				default:
					m.deliver()
				}
			}
		}
		for len(w.flight) > 0 {
			again = true
			x := w.flight[0]
			w.flight = w.flight[1:]
			w.members[x.to].receive(x.cosigned)
		}
	}
}

// heal ends all faults, and lets time pass until nothing more can happen.
func (w *sim) heal() {
	w.log("heals")
	for w.order() {
	}
	w.now = max(w.now, w.h.channel[w.to].Time)
	clear(w.side)
	for range 2 { // who was wiped needs the others up
		for _, m := range w.members {
			m.skew = 0
			m.restart()
		}
	}
	w.settle()
	if w.lossless && w.oracle.err == nil && slices.ContainsFunc(w.members, func(m *simMember) bool { return !m.finished() }) {
		w.oracle.fail("nothing was lost, and without a renewal not all is final")
	}
	for range 4 {
		if w.oracle.err != nil || !slices.ContainsFunc(w.members, func(m *simMember) bool { return !m.finished() }) {
			return
		}
		w.now += 31_000
		w.tick()
	}
}

func (w *sim) tick() {
	for _, m := range w.members {
		m.step(commit.Tick{})
	}
	w.settle()
}

// finished reports whether a member has the whole history final; of a byzantine one nothing is asked.
func (m *simMember) finished() bool {
	return m.byzantine || m.up() && (m.m.Final().Channel().Height == uint64(m.w.to) || m.rolled && m.m.Divergence() != nil)
}
