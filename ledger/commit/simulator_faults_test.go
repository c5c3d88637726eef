package commit_test

import (
	"math"
	"math/rand/v2"
	"slices"

	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/commit"
	"github.com/quorate-pki/quorate/ledger/tlog"
)

// faults are how often, in a thousand steps or chances, each kind happens in a schedule. Zero: never.
type faults struct {
	drop, double, echo, crash, part, clock, lie, again, roll, catch, wipe int
	together                                                              bool // a member performs all before it takes more, as ledger/node does
	side                                                                  int  // of a member that the schedule treats worst; -1 none
}

// draw chooses the kinds of a schedule: each is there or not, so that some schedules have one kind alone.
func draw(rng *rand.Rand) faults {
	some := func(most int) int {
		if rng.IntN(2) == 0 {
			return 0
		}
		return 1 + rng.IntN(most)
	}
	f := faults{drop: some(500), double: some(200), echo: some(20), crash: some(60), part: some(30), clock: some(30), lie: some(80), again: some(20),
		together: rng.IntN(3) > 0, side: rng.IntN(2 * 7)}
	if rng.IntN(12) == 0 {
		f.drop, f.crash, f.part, f.clock = 0, 0, 0, 0
	}
	switch rng.IntN(8) {
	case 0:
		f.roll = 1 + rng.IntN(40)
	case 1:
		// Nobody brings a member its own signatures but when it asks for them.
		f.wipe, f.echo = 1+rng.IntN(40), 0
	}
	if rng.IntN(2) == 0 {
		f.catch = 1 + rng.IntN(40)
	}
	return f
}

// runSchedule is one schedule, from nothing but its seed. report hears every step when it is not nil.
func runSchedule(seed uint64, b bug, s stats, report func(string, ...any)) error {
	rng := rand.New(rand.NewPCG(seed, 1))
	n := 4
	if rng.IntN(4) == 0 {
		n = 7
	}
	of := historyOf[n]
	if rng.IntN(2) == 0 {
		of = changing[rng.IntN(len(changing))]
	}
	h, err := of()
	if err != nil {
		return err
	}
	from := rng.IntN(historyLength - 2)
	if rng.IntN(2) == 0 {
		from = 0
	}
	length := 2 + rng.IntN(4)
	if rng.IntN(12) == 0 {
		length = historyLength
	}
	w := newSim(h, rng, from, min(from+length, historyLength), s)
	w.bug = b
	if report != nil {
		w.log = report
	}
	f := draw(rng)
	if h.changes > 0 {
		f.wipe = 0 // of a wiped member that knows the first set alone, ledger/node has the tests
	}
	for height := w.from; height <= w.to; height++ {
		if h.handover(height) {
			s["handovers"]++
		}
	}
	w.log("%d members, heights %d to %d, %+v", n, w.from, w.to, f)
	w.choose(f)
	// Who has not executed a handover yet does not know the new keys, and takes what they sign when it is sent again.
	w.lossless = f.drop+f.crash+f.part+f.clock+f.roll+f.wipe+f.catch == 0 && h.changes == 0
	w.begin()
	s["schedules"]++
	snapshot := w.rng.IntN(200)
	for step := range (w.to - w.from) * n * (8 + rng.IntN(24)) {
		if w.oracle.err != nil {
			break
		}
		w.act(f, step, snapshot)
	}
	for _, m := range w.members {
		if !m.byzantine {
			s["final before healing"] += int(m.disk.height) - w.from
			s["final in the end"] += w.to - w.from
		}
	}
	w.heal()
	if w.oracle.err == nil && rng.IntN(8) == 0 {
		w.now += 3_600_000 + 31_000
		w.tick()
		w.oracle.fresh(w.now - 1000)
	}
	if w.oracle.err == nil {
		w.oracle.end()
	}
	return w.oracle.err
}

// choose says who is at fault: at most as many as the quorum leaves out, one whose disk is set back or lost among them.
func (w *sim) choose(f faults) {
	at := w.h.n
	for h := w.from; h <= w.to; h++ {
		at = min(at, w.h.now[h].F(), w.h.next[h].F())
	}
	if f.roll+f.wipe > 0 {
		at--
	}
	if f.lie == 0 {
		return
	}
	for _, i := range w.rng.Perm(w.h.n)[:w.rng.IntN(at+1)] {
		w.members[i].byzantine = len(w.h.vkeys[i]) > 0 // who never joins has nothing to lie with
	}
}

func (w *sim) chance(inThousand int) bool { return inThousand > 0 && w.rng.IntN(1000) < inThousand }

func (w *sim) any() *simMember { return w.members[w.rng.IntN(len(w.members))] }

// act is one step of a schedule.
func (w *sim) act(f faults, step, snapshot int) {
	w.now += ledger.Millis(w.rng.IntN(100))
	w.trouble(f, step, snapshot)
	switch r := w.rng.IntN(20); {
	case r < 8:
		w.transmit(f)
	case r < 17:
		m := w.any()
		if m.id == f.side && w.rng.IntN(4) > 0 {
			return // slow
		}
		m.work(f)
	case r < 18:
		w.order()
	case r < 19:
		w.now += ledger.Millis(w.rng.IntN(12_000))
		w.any().step(commit.Tick{})
	default:
		if m := w.any(); !m.up() {
			m.restart()
		}
	}
}

// work is what a member does next: an output, what became durable, the next block.
func (m *simMember) work(f faults) {
	w := m.w
	if !m.up() {
		return
	}
	switch r := w.rng.IntN(8); {
	case len(m.outputs) > 0 && (f.together || r < 4):
		c := whole
		if _, final := m.outputs[0].(commit.Finalise); w.chance(f.crash) || final && w.chance(4*f.crash) {
			c = []cut{lost, kept}[w.rng.IntN(2)]
		}
		m.perform(c)
	case len(m.feedback) > 0 && (f.together || r < 6):
		m.tell()
	case m.behind():
		m.deliver()
	}
}

// transmit delivers any message, however old, or loses it.
func (w *sim) transmit(f faults) {
	if len(w.flight) == 0 {
		return
	}
	i := w.rng.IntN(len(w.flight))
	x := w.flight[i]
	to := w.members[x.to]
	if f.together && to.up() && to.busy() {
		to.work(f)
		return
	}
	cutOff := w.side[x.from] != w.side[x.to] || !to.up()
	if cutOff && w.rng.IntN(2) == 0 {
		return // it waits
	}
	if w.chance(f.double) {
		w.stats["doubled"]++
	} else {
		w.flight[i] = w.flight[len(w.flight)-1]
		w.flight = w.flight[:len(w.flight)-1]
	}
	if cutOff || w.chance(f.drop) {
		w.stats["dropped"]++
		return
	}
	to.receive(x.cosigned)
}

// trouble is what goes wrong besides.
func (w *sim) trouble(f faults, step, snapshot int) {
	if w.chance(f.crash / 4) {
		w.any().crash()
	}
	if w.chance(f.part) {
		w.stats["partitions"]++
		for i := range w.side {
			w.side[i] = w.rng.IntN(1 + w.rng.IntN(2))
		}
	}
	if w.chance(f.clock) {
		w.stats["clocks set"]++
		m := w.any()
		m.skew = []int64{0, w.rng.Int64N(40_000) - 20_000, 3_600_000, -3_600_000, w.rng.Int64N(7_200_000) - 3_600_000}[w.rng.IntN(5)]
		w.log("%s: clock %d", name(m.id), m.skew)
	}
	if w.chance(f.again) {
		if m := w.any(); m.up() {
			m.next = w.rng.IntN(m.next + 1) // the orderer delivers again
		}
	}
	if w.chance(f.echo) && len(w.said) > 0 {
		w.echo()
	}
	if w.chance(f.lie) {
		w.lie()
	}
	if w.chance(f.catch) {
		w.any().catchUp()
	}
	if w.chance(f.wipe) && !w.lost {
		w.any().wipe() // once
	}
	if f.roll > 0 {
		w.roll(f, step, snapshot)
	}
}

// echo brings a signature to whoever, its maker too.
func (w *sim) echo() {
	w.stats["echoes"]++
	c := w.said[w.rng.IntN(len(w.said))]
	to := w.any()
	for i, n := range w.h.names {
		if n == c.Signature.Name && w.rng.IntN(2) == 0 {
			to = w.members[i]
		}
	}
	if !to.byzantine {
		w.flight = append(w.flight, message{w.any().id, to.id, c})
	}
}

// roll sets one member's disk back to an earlier moment, once.
func (w *sim) roll(f faults, step, snapshot int) {
	victim := w.members[0]
	for victim.byzantine {
		victim = w.members[victim.id+1]
	}
	if step == snapshot%50 {
		victim.synced = victim.disk.clone()
	}
	if step > snapshot%50 && !victim.rolled && w.chance(f.roll) {
		w.log("%s: its disk is set back to height %d", name(victim.id), victim.synced.height)
		w.stats["rollbacks"]++
		victim.crash()
		victim.disk, victim.rolled = victim.synced.clone(), true
		for _, c := range slices.Backward(w.said) {
			if c.Signature.Name == w.h.names[victim.id] && w.rng.IntN(2) == 0 {
				victim.restart()
				victim.receive(c) // what a peer knows of it
				break
			}
		}
	}
}

// lie sends something that a byzantine member made up to somebody.
func (w *sim) lie() {
	var liars, others []int
	for _, m := range w.members {
		if m.byzantine {
			liars = append(liars, m.id)
		} else {
			others = append(others, m.id)
		}
	}
	if len(liars) == 0 {
		return
	}
	w.stats["lies"]++
	liar := liars[w.rng.IntN(len(liars))]
	made := w.lies(liar)
	for _, to := range others {
		if len(others) == 1 || w.rng.IntN(2) == 0 {
			for _, c := range made {
				w.flight = append(w.flight, message{liar, to, c})
			}
		}
	}
}

// lies are a byzantine member's signatures, or what looks like some.
func (w *sim) lies(liar int) []commit.Cosigned {
	cp := w.h.cps[w.from+w.rng.IntN(w.to-w.from+1)]
	seconds := uint64(w.now / 1000)
	other := cp
	other.Root = ledger.Hash{byte(cp.Size), 1} // all liars agree on it
	one := func(cp tlog.Checkpoint, seconds uint64) []commit.Cosigned {
		return []commit.Cosigned{w.cosign(liar, cp, seconds)}
	}
	switch w.rng.IntN(12) {
	case 0, 1: // the truth, to some, maybe before they know it
		return one(cp, seconds+uint64(w.rng.IntN(100)))
	case 2, 3:
		return one(other, seconds)
	case 4: // where no block ends
		other.Size += 1 + uint64(w.rng.IntN(3))
		other.Root[2] = byte(w.rng.IntN(2))
		return one(other, seconds)
	case 5:
		other.Size = []uint64{1 << 40, math.MaxInt64, math.MaxUint64, 0, 1}[w.rng.IntN(5)]
		return one(other, seconds)
	case 6: // any time
		return one(cp, []uint64{0, 1, math.MaxInt64, math.MaxUint64, seconds - 86_400, seconds + 86_400}[w.rng.IntN(6)])
	case 7: // both
		return append(one(cp, seconds), one(other, seconds)...)
	case 8: // fill the room there is, now and then
		out := one(other, seconds)
		for k := range uint64(w.rng.IntN(6)) {
			other.Size = 1<<50 + uint64(w.rng.IntN(100)) + k
			out = append(out, one(other, seconds)...)
		}
		return out
	case 9: // another's, as it is or spoilt
		if len(w.said) == 0 {
			return nil
		}
		c := w.said[w.rng.IntN(len(w.said))]
		switch w.rng.IntN(4) {
		case 0:
			c.Checkpoint = other
		case 1:
			c.Signature.Name = w.h.names[liar]
		case 2:
			mine := w.cosign(liar, c.Checkpoint, seconds).Signature
			c.Signature.Name, c.Signature.ID = mine.Name, mine.ID
		}
		return []commit.Cosigned{c}
	case 10: // its own key under another's name and id
		c := w.cosign(liar, other, seconds)
		v := w.h.next[len(w.h.next)-1].Witnesses[w.rng.IntN(4)].Key
		c.Signature.Name, c.Signature.ID = v.Name, v.ID()
		return []commit.Cosigned{c}
	default: // garbage
		c := w.cosign(liar, cp, seconds)
		switch w.rng.IntN(3) {
		case 0:
			c.Checkpoint.Origin = "test.example/other/0"
		case 1:
			c.Signature.Bytes = c.Signature.Bytes[:w.rng.IntN(len(c.Signature.Bytes))]
		case 2:
			c.Signature.Bytes[w.rng.IntN(len(c.Signature.Bytes))] ^= 1 << w.rng.IntN(8)
		}
		return []commit.Cosigned{c}
	}
}
