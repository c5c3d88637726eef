package commit_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/commit"
	"github.com/quorate-pki/quorate/ledger/state"
	"github.com/quorate-pki/quorate/ledger/tlog"
)

func TestQuorumOnAnotherRoot(t *testing.T) {
	w := newWorld(t, 4)
	w.grow(3)
	other := func(size uint64) tlog.Checkpoint {
		return tlog.Checkpoint{Origin: w.policy.Origin, Size: size, Root: ledger.Hash{byte(size), 1}}
	}
	for _, tc := range []struct {
		name     string
		in       []commit.Input
		conflict int
		diverged bool
	}{
		{"two peers", []commit.Input{w.cosign(1, other(w.states[2].Size()), w.now()), w.cosign(2, other(w.states[2].Size()), w.now())}, 2, false},
		{"one peer three times", []commit.Input{w.cosign(1, other(w.states[2].Size()), w.now()), w.cosign(1, other(w.states[2].Size()), w.now()+1000),
			w.cosign(1, other(w.states[2].Size()), w.now()+2000)}, 1, false},
		{"three peers on three roots", []commit.Input{w.cosign(1, other(w.states[2].Size()), w.now()),
			w.cosign(2, tlog.Checkpoint{Origin: w.policy.Origin, Size: w.states[2].Size()}, w.now()),
			w.cosign(3, tlog.Checkpoint{Origin: w.policy.Origin, Size: w.states[2].Size(), Root: ledger.Hash{9}}, w.now())}, 3, false},
		{"three peers", []commit.Input{w.cosign(1, other(w.states[2].Size()), w.now()), w.cosign(2, other(w.states[2].Size()), w.now()),
			w.cosign(3, other(w.states[2].Size()), w.now())}, 3, true},
		{"three peers at a size where no block ends", []commit.Input{w.cosign(1, other(w.states[2].Size()-1), w.now()),
			w.cosign(2, other(w.states[2].Size()-1), w.now()), w.cosign(3, other(w.states[2].Size()-1), w.now())}, 3, true},
		{"three peers on the final size", []commit.Input{w.cosign(1, other(w.states[1].Size()), w.now()),
			w.cosign(2, other(w.states[1].Size()), w.now()), w.cosign(3, other(w.states[1].Size()), w.now())}, 3, true},
		{"three peers below", []commit.Input{w.cosign(1, other(w.states[0].Size()), w.now()),
			w.cosign(2, other(w.states[0].Size()), w.now()), w.cosign(3, other(w.states[0].Size()), w.now())}, 0, false},
	} {
		for _, early := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, early %v", tc.name, early), func(t *testing.T) {
				w.t = t
				d := w.start(1, nil)
				if early {
					d.now = w.now()
					d.step(tc.in...)
					d.deliver(2, 3)
				} else {
					d.deliver(2, 3)
					d.step(tc.in...)
				}
				if got := len(take[commit.Conflict](d)); got != tc.conflict {
					t.Errorf("%d conflicts kept, want %d", got, tc.conflict)
				}
				for _, c := range take[commit.Conflict](d) {
					ok := slices.ContainsFunc(w.policy.Witnesses, func(x tlog.PolicyWitness) bool {
						_, ok := tlog.VerifyCosignature(c.Checkpoint, x.Key, c.Signature)
						return ok
					})
					if !ok {
						t.Error("evidence that does not verify")
					}
				}
				if got := d.m.Divergence() != nil; got != tc.diverged || len(take[commit.Diverged](d)) != map[bool]int{true: 1}[got] {
					t.Errorf("diverged: %v", d.m.Divergence())
				}
				if !tc.diverged {
					d.step(w.cosign(1, w.checkpoint(3), d.now), w.cosign(2, w.checkpoint(3), d.now))
					if d.height() != 3 {
						t.Errorf("final %d", d.height())
					}
				}
			})
		}
	}
}

// TestEchoOfARolledBackMemory: this member's own newer signature, told by a peer, stops it for good.
func TestEchoOfARolledBackMemory(t *testing.T) {
	w := newWorld(t, 4)
	w.grow(3)
	for name, tc := range map[string]struct {
		in       commit.Cosigned
		diverged bool
	}{
		"the memory's":              {w.cosign(0, w.checkpoint(2), w.now()), false},
		"an older time":             {w.cosign(0, w.checkpoint(2), w.now()-5000), false},
		"a smaller size":            {w.cosign(0, w.checkpoint(1), w.now()+9000), false},
		"a newer time":              {w.cosign(0, w.checkpoint(2), w.now()+9000), true},
		"a larger size":             {w.cosign(0, w.checkpoint(3), w.now()), true},
		"another root at that size": {w.cosign(0, tlog.Checkpoint{Origin: w.policy.Origin, Size: w.states[2].Size()}, w.now()), true},
	} {
		w.t = t
		d := w.start(2, w.signed(2, w.now()))
		d.step(tc.in)
		if got := d.m.Divergence() != nil; got != tc.diverged {
			t.Errorf("%s: %v", name, d.m.Divergence())
		}
	}
}

func TestBlockAheadOfTheClockWaits(t *testing.T) {
	w := newWorld(t, 1)
	w.grow(1)
	d := w.start(0, nil)
	d.step(commit.Tick{})
	d.reset()
	far := w.on(w.states[0], d.now+60_000, 1, "ACME-1")
	d.step(commit.Deliver{Block: far, Index: 1})
	if len(d.asked) > 0 || d.m.Pending() != 1 {
		t.Fatal("signed a block a minute ahead")
	}
	d.now = far.Header.Time - ledger.MaxTimeAhead - 1
	d.step(commit.Tick{})
	if slices.ContainsFunc(d.asked, func(s commit.Statement) bool { return s.Height == 1 }) {
		t.Fatal("signed a block 10.001 s ahead")
	}
	d.now++
	d.step(commit.Tick{})
	if d.height() != 1 {
		t.Fatal("not signed when its time came")
	}
	// An old block is signed, however late.
	d.now += 1_000_000_000
	d.step(commit.Deliver{Block: w.on(d.m.Head(), far.Header.Time+1, 1, "ACME-2"), Index: 2})
	if d.height() != 2 {
		t.Fatal("an old block waits")
	}
}

func TestResign(t *testing.T) {
	w := newWorld(t, 1)
	d := w.start(0, nil)
	d.step(commit.Tick{})
	first := d.now
	if len(d.asked) != 1 || len(take[commit.Refresh](d)) != 1 {
		t.Fatal("genesis is not signed")
	}
	d.now = first + 29_999
	d.step(commit.Tick{})
	if len(d.asked) != 1 {
		t.Fatal("renewed too early")
	}
	for i := 1; i <= 3; i++ {
		d.now = first + ledger.Millis(i)*30_000
		d.step(commit.Tick{}, commit.Tick{})
		last := d.asked[len(d.asked)-1]
		if len(d.asked) != 1+i || last.Time != uint64(d.now/1000) || len(take[commit.Refresh](d)) != 1+i {
			t.Fatalf("%d signatures after %d periods", len(d.asked), i)
		}
	}
	// A clock set back: nothing is signed with an earlier time, a new block is signed with the old.
	at := d.memory.Time
	d.now = first - 3_600_000
	d.step(commit.Tick{})
	d.step(commit.Deliver{Block: w.on(w.states[0], first+1, 1, "ACME-1"), Index: 1})
	d.now = first
	d.step(commit.Tick{})
	for _, s := range d.asked[1:] {
		if s.Time < uint64(first/1000) {
			t.Error("an earlier time")
		}
	}
	if d.memory.Time != at || d.memory.Height != 1 {
		t.Errorf("height %d at time %d", d.memory.Height, d.memory.Time)
	}
	// A clock that was an hour ahead when it signed, set right: renewals go on at once, and every 30 s.
	d.now = first + 3_600_000
	d.step(commit.Tick{})
	d.reset()
	for i := range 3 {
		d.now = first + 200_000 + ledger.Millis(i)*30_000
		d.step(commit.Tick{}, commit.Tick{})
		if len(d.asked) != 1+i {
			t.Fatalf("%d renewals %d periods after the clock was set right", len(d.asked), i)
		}
	}
}

// TestLetStale: a member that lets its signature grow old renews it no more, signs what is new, and renews again when told to.
func TestLetStale(t *testing.T) {
	w := newWorld(t, 1)
	d := w.start(0, nil)
	d.step(commit.Tick{})
	d.m.LetStale(true)
	d.now += 100_000
	d.step(commit.Tick{})
	if len(d.asked) != 1 {
		t.Fatal("renewed")
	}
	d.step(commit.Deliver{Block: w.on(w.states[0], d.now, 1, "ACME-1"), Index: 1})
	if len(d.asked) != 2 || d.memory.Height != 1 {
		t.Fatal("a new block is not signed")
	}
	d.m.LetStale(false)
	d.now += 30_000
	d.step(commit.Tick{})
	if len(d.asked) != 3 {
		t.Error("not renewed")
	}
}

// TestFinalAhead: what the others made final, a node with a slow clock does not date before its block.
func TestFinalAhead(t *testing.T) {
	w := newWorld(t, 4)
	d := w.start(0, nil)
	d.step(commit.Tick{})
	d.step(commit.Deliver{Block: w.on(w.states[0], d.now+ledger.MaxTimeAhead+60_000, 1, "ACME-1"), Index: 1})
	cp := d.m.Head()
	for i := 1; i <= 3; i++ {
		d.step(w.cosign(i, tlog.Checkpoint{Origin: w.policy.Origin, Size: cp.Size(), Root: cp.Root()}, d.now+60_000))
	}
	if d.height() != 1 {
		t.Fatal("a quorum of the others does not make it final")
	}
	d.now += 59_999
	d.step(commit.Tick{})
	if slices.ContainsFunc(d.asked, func(s commit.Statement) bool { return s.Height == 1 }) {
		t.Fatal("signed a final block 10.001 s ahead")
	}
	d.now++
	d.step(commit.Tick{})
	if !slices.ContainsFunc(d.asked, func(s commit.Statement) bool { return s.Height == 1 }) {
		t.Fatal("not signed when its time came")
	}
}

// TestRefreshByPeers: newer cosignatures of peers on the final checkpoint are published; fewer than a quorum never are.
func TestRefreshByPeers(t *testing.T) {
	w := newWorld(t, 4)
	d := w.start(0, nil)
	d.step(commit.Tick{}, w.cosign(1, w.checkpoint(0), d.now))
	if len(take[commit.Refresh](d)) > 0 {
		t.Fatal("two of four")
	}
	d.step(w.cosign(2, w.checkpoint(0), d.now))
	if r := take[commit.Refresh](d); len(r) != 1 || len(r[0].Cosigners) != 3 {
		t.Fatal("genesis has its quorum and is not published")
	}
	d.reset()
	d.step(w.cosign(2, w.checkpoint(0), d.now), w.cosign(2, w.checkpoint(0), d.now-5000))
	if len(take[commit.Refresh](d)) > 0 {
		t.Error("nothing new was published")
	}
	d.step(w.cosign(2, w.checkpoint(0), d.now+5000))
	if len(take[commit.Refresh](d)) != 1 {
		t.Error("a newer time was not published")
	}
	// While a newer checkpoint is on its way to the disk the older is not published.
	w.grow(1)
	d.reset()
	d.holdF = true
	d.deliver(1, 1)
	d.step(w.cosign(1, w.checkpoint(1), d.now), w.cosign(2, w.checkpoint(1), d.now), w.cosign(3, w.checkpoint(0), d.now+9000))
	if len(take[commit.Finalise](d)) != 1 || len(take[commit.Refresh](d)) > 0 {
		t.Error("the older checkpoint would replace the newer")
	}
}

func TestNoEffect(t *testing.T) {
	w := newWorld(t, 4)
	w.grow(3)
	d := w.start(1, nil)
	d.deliver(2, 2)
	d.reset()
	head := d.m.Head().Channel()
	d.step(commit.Deliver{Block: w.blocks[1], Index: 1}, commit.Deliver{Block: w.blocks[2], Index: 2})
	if len(d.out) > 0 || d.m.Pending() != 1 {
		t.Fatalf("redelivered blocks: %T", d.out)
	}
	at := w.now() + 5
	wrongPrevious := w.on(w.states[3], at, 1, "ACME-50")
	for name, b := range map[string]*ledger.Block{
		"another block of a pending height": w.on(w.states[1], at, 1, "ACME-51"),
		"height skipped":                    wrongPrevious,
		"view 0":                            w.on(w.states[2], at, 0, "ACME-52"),
		"time not later":                    spoil(w, func(h *ledger.Header) { h.Time = head.Time }),
		"another previous":                  spoil(w, func(h *ledger.Header) { h.Previous[0] ^= 1 }),
		"another channel":                   spoil(w, func(h *ledger.Header) { h.Channel[0] ^= 1 }),
	} {
		d.reset()
		d.step(commit.Deliver{Block: b, Index: 9})
		r := take[commit.Repool](d)
		if len(r) != 1 || len(r[0].Txs) != 1 || r[0].Txs[0].ID != b.Txs[0].ID || !errors.Is(r[0].Why, state.ErrInvalidBlock) {
			t.Errorf("%s: %v", name, d.out)
		}
		if d.m.Head().Channel().Header != head.Header {
			t.Fatalf("%s had an effect", name)
		}
	}
	d.deliver(3, 3)
	if d.m.Head().Channel().Height != 3 {
		t.Error("stuck")
	}
}

func spoil(w *world, change func(*ledger.Header)) *ledger.Block {
	b := w.on(w.states[2], w.now()+1, 1, "ACME-60")
	h := *b.Header
	change(&h)
	signed := ledger.SignHeader(&h, w.c.Key("ca-a/block"))
	return &ledger.Block{Signed: signed, Header: &h, Hash: signed.Hash(), Txs: b.Txs}
}

// TestRandomSchedules: whatever order things come in, with crashes and with cosigners that lie, nothing is final but the
// agreed history, signatures only grow, and in the end all is final.
func TestRandomSchedules(t *testing.T) {
	rounds := 12
	if !testing.Short() {
		rounds = 400
	}
	for _, n := range []int{1, 4, 7} {
		w := newWorld(t, n)
		w.grow(12)
		for range rounds {
			seed := uint64(time.Now().UnixNano())
			if !t.Run(fmt.Sprintf("%d members, seed %d", n, seed), func(t *testing.T) { w.t = t; schedule(t, w, n, seed) }) {
				return
			}
		}
	}
}

func schedule(t *testing.T, w *world, n int, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 0))
	d := w.start(0, nil)
	next := 1
	final := uint64(0)
	for range 150 {
		d.now = max(d.now, w.blocks[min(next, 12)].Header.Time) + ledger.Millis(rng.IntN(3000))
		switch rng.IntN(9) {
		case 0, 1, 2:
			if next <= 12 {
				d.deliver(next, next)
				next++
			}
		case 3:
			d.step(commit.Tick{})
		case 4, 5, 6:
			if n > 1 {
				d.step(w.cosign(1+rng.IntN(n-1), w.checkpoint(rng.IntN(13)), d.now))
			}
		case 7:
			if n > 1 {
				// At most f members lie.
				liar := 1 + rng.IntN(n-quorumOf(n))
				cp := w.checkpoint(rng.IntN(13))
				cp.Size += uint64(rng.IntN(3))
				cp.Root[0] ^= 1
				d.step(w.cosign(liar, cp, d.now))
			}
		case 8:
			// A crash: the machine is gone; the disk has the final state and the signer memory, and the orderer redelivers. A
			// signature or a batch that was under way may or may not have made it.
			for _, in := range d.later {
				if r, ok := in.(commit.Remembered); ok && rng.IntN(2) == 0 {
					d.memory = &r.Signed
				}
			}
			height := int(d.height())
			now := d.now
			d = w.start(height, d.memory)
			d.now, next = now, height+1
			d.held, d.holdF = rng.IntN(3) == 0, rng.IntN(3) == 0
		}
		if len(d.later) > 0 && rng.IntN(2) == 0 {
			in := d.later
			d.later = nil
			for _, i := range in {
				if r, ok := i.(commit.Remembered); ok {
					d.memory = &r.Signed
				}
				d.step(i)
			}
		}
		if d.height() < final {
			t.Fatalf("final went back from %d to %d", final, d.height())
		}
		final = d.height()
		if d.m.Final().Root() != w.states[final].Root() {
			t.Fatalf("another history is final at height %d", final)
		}
		if d.m.Divergence() != nil {
			t.Fatalf("diverged: %v", d.m.Divergence())
		}
	}
	d.held, d.holdF = false, false
	for len(d.later) > 0 {
		in := d.later
		d.later = nil
		for _, i := range in {
			if r, ok := i.(commit.Remembered); ok {
				d.memory = &r.Signed
			}
			d.step(i)
		}
	}
	d.deliver(next, 12)
	for i := 1; i < n; i++ {
		d.step(w.cosign(i, w.checkpoint(12), d.now))
	}
	if d.height() != 12 {
		t.Fatalf("final %d in the end", d.height())
	}
}
