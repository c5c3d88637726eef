package commit_test

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"

	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/commit"
	"github.com/quorate-pki/quorate/ledger/tlog"
)

// oracle sees what leaves the members, and what is on their disks; never into a machine, but at the end.
type oracle struct {
	w     *sim
	err   error
	made  map[string]statement                // every signature that a member's key made, by its bytes
	on    map[tlog.Checkpoint]map[uint32]bool // the keys that ever signed a checkpoint
	last  []*commit.Signed                    // by member: the newest of its signatures
	known map[string]bool                     // the signatures seen
	roots map[uint64]ledger.Hash
	final []uint64        // by member: the height that was durable
	least []uint64        // by member: it signs no smaller tree, since it was wiped
	notes map[uint64]bool // sizes with a note that the policy itself accepted
	shown []shown         // by member: what it published last since it started
}

// shown is a published checkpoint: its size, and the time of each cosigner.
type shown struct {
	size  uint64
	times map[string]uint64
}

func newOracle(w *sim) *oracle {
	o := &oracle{w: w, made: maps.Clone(w.h.made), on: map[tlog.Checkpoint]map[uint32]bool{}, last: make([]*commit.Signed, w.h.n), known: map[string]bool{}, roots: map[uint64]ledger.Hash{},
		final: make([]uint64, w.h.n), least: make([]uint64, w.h.n), notes: map[uint64]bool{}, shown: make([]shown, w.h.n)}
	for i, d := range w.h.disks[w.from] {
		o.last[i], o.final[i] = d.memory, d.height
		if d.memory != nil {
			o.known[string(d.memory.Signature.Bytes)] = true
		}
	}
	return o
}

// makes sees a signature as it is made.
func (o *oracle) makes(cp tlog.Checkpoint, sig tlog.Signature) {
	o.made[string(sig.Bytes)] = statement{cp, sig.Name, sig.ID}
	if o.on[cp] == nil {
		o.on[cp] = map[uint32]bool{}
	}
	o.on[cp][sig.ID] = true
}

// by counts the members of a policy among keys.
func by(p *tlog.Policy, keys map[uint32]bool) (n int) {
	for _, v := range p.Witnesses {
		if keys[v.Key.ID()] {
			n++
		}
	}
	return n
}

func (o *oracle) fail(format string, args ...any) {
	if o.err == nil {
		o.err = fmt.Errorf(format, args...)
	}
}

// signed sees a signature that is durable or released; one that a crash took with it nobody saw.
func (o *oracle) signed(m *simMember, s commit.Signed) {
	if o.known[string(s.Signature.Bytes)] {
		return
	}
	o.known[string(s.Signature.Bytes)] = true
	o.w.stats["signatures"]++
	if root, ok := o.roots[s.Size]; ok && root != s.Root {
		o.fail("%s signed size %d with another root than was signed before", name(m.id), s.Size)
	}
	o.roots[s.Size] = s.Root
	if root, ok := o.w.h.roots[s.Size]; !ok || root != s.Root {
		o.fail("%s signed size %d, which is not on the log", name(m.id), s.Size)
	}
	if l := o.last[m.id]; l != nil && !m.rolled && (s.Size < l.Size || s.Time < l.Time || s.Height < l.Height) {
		o.fail("%s signed size %d at time %d after size %d at time %d", name(m.id), s.Size, s.Time, l.Size, l.Time)
	}
	if s.Size < o.least[m.id] {
		o.fail("%s was wiped, and signed size %d where others have size %d final", name(m.id), s.Size, o.least[m.id])
	}
	o.last[m.id] = &s
}

func (o *oracle) finalised(m *simMember, f commit.Finalise) {
	last := f.Blocks[len(f.Blocks)-1].Block.Header.Height
	if f.Blocks[0].Block.Header.Height != m.disk.height+1 || last != m.disk.height+uint64(len(f.Blocks)) {
		o.fail("%s finalises height %d on height %d", name(m.id), f.Blocks[0].Block.Header.Height, m.disk.height)
	}
	if last > uint64(o.w.to) || o.w.h.cps[last] != f.Checkpoint {
		o.fail("%s finalises height %d with another checkpoint", name(m.id), last)
	}
	// Each set's part of the blocks ends with one that this very set must have signed, whoever signed what is above.
	for h := m.disk.height + 1; h <= last && o.err == nil; h++ {
		if p := o.w.h.now[h]; (h == last || o.w.h.handover(int(h))) && by(p, o.on[o.w.h.cps[h]]) < p.Quorum {
			o.fail("%s finalises height %d, which %d of its %d electors have signed", name(m.id), h, by(p, o.on[o.w.h.cps[h]]), p.N())
		}
	}
	o.w.stats["finalised"]++
}

// durable sees what is final on a disk.
func (o *oracle) durable(m *simMember) {
	if m.disk.height < o.final[m.id] && !m.rolled {
		o.fail("%s: height %d was final, now %d", name(m.id), o.final[m.id], m.disk.height)
	}
	o.final[m.id] = m.disk.height
	if m.disk.leaves.Size() != o.w.h.cps[m.disk.height].Size || m.disk.leaves.Root() != o.w.h.cps[m.disk.height].Root {
		o.fail("%s: the leaves of height %d have another root", name(m.id), m.disk.height)
	}
}

func (o *oracle) started(m *simMember) {
	o.durable(m)
	o.shown[m.id] = shown{}
}

// wiped: what a member had on its disk is gone. It may sign again what it signed before, and never anything else.
func (o *oracle) wiped(m *simMember) {
	o.last[m.id], o.final[m.id], o.shown[m.id] = nil, 0, shown{}
}

// recalled: what a wiped member was told of its own signatures binds it, and so does what the others have final.
func (o *oracle) recalled(m *simMember, newest *commit.Signed, least uint64) {
	o.last[m.id], o.least[m.id] = newest, least
}

// asked sees an output before it is performed, at the time of the step that made it.
func (o *oracle) asked(m *simMember, out commit.Output) {
	switch out.(type) {
	case commit.Sign, commit.Release, commit.Finalise, commit.Refresh:
		if why := m.m.Divergence(); why != nil {
			o.fail("%s is to do %T, diverged: %v", name(m.id), out, why)
		}
	}
	switch x := out.(type) {
	case commit.Sign:
		if h := x.Statement.Height; h > uint64(o.w.to) || o.w.h.channel[h].Time > m.clock()+ledger.MaxTimeAhead {
			o.fail("%s is to sign height %d before its time", name(m.id), x.Statement.Height)
		}
	case commit.Repool:
		if o.w.h.effective[x.Txs[0]] {
			o.fail("%s: a block that follows has no effect: %v", name(m.id), x.Why)
		}
	}
}

// newer demands that what relying parties see never gets older while a member runs.
func (o *oracle) newer(m *simMember, cp tlog.Checkpoint, cosigners []tlog.Signature) {
	old, now := o.shown[m.id], shown{cp.Size, map[string]uint64{}}
	for _, s := range cosigners {
		now.times[fmt.Sprintf("%s+%08x", s.Name, s.ID)] = binary.BigEndian.Uint64(s.Bytes)
	}
	if now.size < old.size {
		o.fail("%s published size %d after size %d", name(m.id), now.size, old.size)
	}
	for name, t := range old.times {
		if now.size == old.size && now.times[name] < t {
			o.fail("%s published an older cosignature by %s", o.w.h.names[m.id], name)
		}
	}
	o.shown[m.id] = now
}

// fresh demands checkpoints of which an honest member swore after a time that they are the newest.
func (o *oracle) fresh(after ledger.Millis) {
	for _, m := range o.w.members {
		if !m.honest() || o.err != nil {
			continue
		}
		h := o.w.h.height[o.shown[m.id].size]
		if o.w.h.handover(h) {
			h = min(h+1, len(o.w.h.now)-1) // its electors' keys need not be there any more; those of the set after renew it
		}
		p := o.w.h.now[h]
		var times []uint64
		for _, v := range p.Witnesses {
			if t, ok := o.shown[m.id].times[fmt.Sprintf("%s+%08x", v.Key.Name, v.Key.ID())]; ok {
				times = append(times, t)
			}
		}
		slices.Sort(times)
		if len(times) < p.Quorum || times[len(times)-1-p.F()] < uint64(after/1000) {
			o.fail("%s shows a checkpoint from before %d: %v", name(m.id), after/1000, times)
		}
	}
}

// published sees a checkpoint that relying parties see. That the policy accepts it follows from who made the
// signatures; the policy itself is asked once a size, because of the cost, and always when in doubt.
func (o *oracle) published(m *simMember, cp tlog.Checkpoint, cosigners []tlog.Signature) {
	if root, ok := o.w.h.roots[cp.Size]; !ok || root != cp.Root {
		o.fail("%s published size %d, which is not on the log", name(m.id), cp.Size)
	}
	keys := map[uint32]bool{}
	for _, s := range cosigners {
		if o.made[string(s.Bytes)] == (statement{cp, s.Name, s.ID}) {
			keys[s.ID] = true
		}
	}
	o.newer(m, cp, cosigners)
	p := o.w.h.now[o.w.h.height[cp.Size]]
	good := len(keys) == len(cosigners) && by(p, keys) >= p.Quorum
	if good && o.notes[cp.Size] {
		return
	}
	o.notes[cp.Size] = true
	note := tlog.FormatNote(cp, append([]tlog.Signature{tlog.SignCheckpoint(cp, cp.Origin, o.w.h.c.Key(p.Witnesses[0].Name+"/log"))}, cosigners...))
	if v, err := p.Verify(note); err != nil {
		o.fail("%s published size %d: %v", name(m.id), cp.Size, err)
	} else if !good || v.Checkpoint != cp {
		o.fail("%s published size %d: the policy accepts what it must not", name(m.id), cp.Size)
	}
}

// conflict: no honest member accuses one that did not lie; one whose disk was set back told no other history either.
func (o *oracle) conflict(m *simMember, c commit.Conflict) {
	o.w.stats["conflicts"]++
	i := slices.Index(o.w.h.names, c.Signature.Name)
	switch {
	case i < 0:
		o.fail("%s accuses %q", name(m.id), c.Signature.Name)
	case m.honest() && !o.w.members[i].byzantine:
		o.fail("%s accuses %s, at size %d", name(m.id), name(i), c.Checkpoint.Size)
	case o.made[string(c.Signature.Bytes)] != (statement{c.Checkpoint, c.Signature.Name, c.Signature.ID}):
		o.fail("%s keeps evidence that %s did not sign", name(m.id), name(i))
	}
}

func (o *oracle) diverged(m *simMember, why error) {
	if m.honest() {
		o.fail("%s diverged: %v", name(m.id), why)
	}
	o.w.stats["rolled back, and diverged"]++
}

// end is after healing.
func (o *oracle) end() {
	w := o.w
	for _, m := range w.members {
		if m.byzantine || o.err != nil {
			continue
		}
		if !m.up() {
			o.fail("%s is down in the end", name(m.id))
			return
		}
		if err := m.m.Divergence(); err != nil {
			if m.honest() {
				o.fail("%s is diverged in the end: %v", name(m.id), err)
			}
			continue
		}
		if c, cp := m.m.Final(), w.h.cps[w.to]; m.disk.height != uint64(w.to) || c.Size() != cp.Size || c.Root() != cp.Root || m.m.Pending() != 0 {
			o.fail("%s ends at height %d of %d, %d pending", name(m.id), m.disk.height, w.to, m.m.Pending())
			return
		}
		if m.rolled {
			w.stats["rolled back, and went on"]++
		}
	}
	// Whoever executed has what whoever folds the leaves has.
	m := w.members[w.rng.IntN(len(w.members))]
	if !m.byzantine && m.disk.store.Sum() != w.h.sums[m.disk.height] {
		o.fail("%s: other records at height %d than the leaves fold to", name(m.id), m.disk.height)
	}
}

// stats say how often schedules reached what.
type stats map[string]int

// reached is what many schedules together must have reached, or they prove nothing.
var reached = []string{
	"schedules", "crashes", "signatures lost by a crash", "signatures remembered and not told", "finals lost by a crash",
	"finals durable and not told", "starts with a memory ahead", "early cosignatures", "blocks ahead of the clock", "refreshed",
	"handovers", "blocks without effect", "conflicts", "signatures", "finalised", "dropped",
	"doubled", "partitions", "clocks set", "lies", "echoes",
	"rollbacks", "catches up", "catches up between what it executed", "wiped", "rejoins", "rolled back, and went on", "rolled back, and diverged", "final before healing", "final in the end",
}
