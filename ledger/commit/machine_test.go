package commit_test

import (
	"crypto/ed25519"
	"fmt"
	"testing"

	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/commit"
	"github.com/quorate-pki/quorate/ledger/ledgertest"
	"github.com/quorate-pki/quorate/ledger/state"
	"github.com/quorate-pki/quorate/ledger/tlog"
)

// world is a consortium and the history it agrees on.
type world struct {
	t      testing.TB
	c      *ledgertest.Consortium
	policy *tlog.Policy
	store  *ledgertest.MemStore
	states []*state.State // by height, layers over genesis
	blocks []*ledger.Block
	nonce  uint64
}

var founded = map[int]*ledgertest.Consortium{}

func newWorld(t testing.TB, members int) *world {
	t.Helper()
	if founded[members] == nil {
		founded[members] = ledgertest.Found(uint64(members), members)
	}
	w := &world{t: t, c: founded[members], store: &ledgertest.MemStore{}}
	w.policy = w.c.Set.Policy(0)
	b, err := ledger.ParseBlock(w.c.Genesis)
	if err != nil {
		t.Fatal(err)
	}
	x, err := state.Execute(state.Empty(w.store), b, state.Direct{})
	if err != nil {
		t.Fatal(err)
	}
	w.store.Put(x.State.Writes())
	x.State.Detach()
	w.states, w.blocks = []*state.State{x.State}, []*ledger.Block{b}
	return w
}

// ownKeys are a member's cosigning keys.
func (w *world) ownKeys(i int) []tlog.VKey { return []tlog.VKey{w.policy.Witnesses[i].Key} }

// now is the time of the newest block.
func (w *world) now() ledger.Millis { return w.states[len(w.states)-1].Channel().Time }

// on makes a block after a state: one publication, named, at a time.
func (w *world) on(s *state.State, at ledger.Millis, view uint64, device string) *ledger.Block {
	w.t.Helper()
	w.nonce++
	tx := w.c.Tx(at.Time(), ledgertest.TxOptions{Nonce: w.nonce}, [][]byte{ledgertest.Publish(w.c.Device(device, "acme-cells.example", 0))}, "acme-cells/line")
	b, _, err := w.c.Block(s.Channel(), at.Time(), view, tx)
	if err != nil {
		w.t.Fatal(err)
	}
	return b
}

// grow adds n blocks, a second apart, to the agreed history.
func (w *world) grow(n int) {
	w.t.Helper()
	for range n {
		head := w.states[len(w.states)-1]
		b := w.on(head, w.now()+1000, 1, fmt.Sprintf("ACME-%d", len(w.blocks)))
		x, err := state.Execute(head, b, state.Direct{})
		if err != nil {
			w.t.Fatal(err)
		}
		w.states, w.blocks = append(w.states, x.State), append(w.blocks, b)
	}
}

func (w *world) checkpoint(height int) tlog.Checkpoint {
	return tlog.Checkpoint{Origin: w.policy.Origin, Size: w.states[height].Size(), Root: w.states[height].Root()}
}

func name(member int) string { return "ca-" + string(rune('a'+member)) }

// cosign is a member's cosignature.
func (w *world) cosign(member int, cp tlog.Checkpoint, at ledger.Millis) commit.Cosigned {
	return commit.Cosigned{Checkpoint: cp, Signature: tlog.Cosign(cp, w.c.Set.CosignerName(name(member)), uint64(at/1000), w.key(member))}
}

func (w *world) key(member int) ed25519.PrivateKey { return w.c.Key(name(member) + "/cosigning") }

// driver drives the machine of member 0 and demands what holds at every step, of every output.
type driver struct {
	w      *world
	m      *commit.Machine
	store  *ledgertest.MemStore
	now    ledger.Millis
	memory *commit.Signed // durable
	held   bool           // keep Sign outputs back
	holdF  bool           // keep Finalise outputs back
	asked  []commit.Statement
	out    []commit.Output // since take
	later  []commit.Input  // held back
}

// start starts member 0 at a height that is final on its disk.
func (w *world) start(height int, memory *commit.Signed) *driver {
	w.t.Helper()
	store := w.store.Clone()
	var leaves tlog.Frontier
	s := state.Empty(store)
	b, err := ledger.ParseBlock(w.c.Genesis)
	if err != nil {
		w.t.Fatal(err)
	}
	for h := 0; h <= height; h++ {
		if h > 0 {
			b = w.blocks[h]
		}
		x, err := state.Execute(s, b, state.Direct{})
		if err != nil {
			w.t.Fatal(err)
		}
		store.Put(x.State.Writes())
		x.State.Detach()
		s = x.State
		for _, l := range x.Leaves {
			leaves.Append(tlog.LeafHash(l))
		}
	}
	if s, err = state.Load(store, leaves); err != nil {
		w.t.Fatal(err)
	}
	d := &driver{w: w, store: store, memory: memory, now: w.states[height].Channel().Time}
	d.m, err = commit.New(commit.Config{Final: s, Self: w.c.Set.CosignerName(name(0)), Keys: w.ownKeys(0), Memory: memory, Facts: state.Direct{}})
	if err != nil {
		w.t.Fatal(err)
	}
	return d
}

// step feeds inputs and performs outputs, as a node does.
func (d *driver) step(in ...commit.Input) {
	d.w.t.Helper()
	for len(in) > 0 {
		out, err := d.m.Step(in[0], d.now)
		in = in[1:]
		if err != nil {
			d.w.t.Fatal(err)
		}
		for _, o := range out {
			d.out = append(d.out, o)
			if next := d.perform(o); next != nil {
				in = append(in, next)
			}
		}
	}
}

func (d *driver) perform(o commit.Output) commit.Input {
	t := d.w.t
	t.Helper()
	switch o := o.(type) {
	case commit.Sign:
		if d.m.Divergence() != nil {
			t.Error("a diverged machine signs")
		}
		if m := d.memory; m != nil && (o.Statement.Size < m.Size || o.Statement.Time < m.Time || (o.Statement.Size == m.Size && o.Statement.Root != m.Root)) {
			t.Errorf("asked to sign %+v after %+v", o.Statement, m.Statement)
		}
		d.asked = append(d.asked, o.Statement)
		cp := tlog.Checkpoint{Origin: d.w.policy.Origin, Size: o.Statement.Size, Root: o.Statement.Root}
		s := commit.Signed{Statement: o.Statement, Signature: tlog.Cosign(cp, d.w.c.Set.CosignerName(name(0)), o.Statement.Time, d.w.key(0))}
		if d.held {
			d.later = append(d.later, commit.Remembered{Signed: s})
			return nil
		}
		d.memory = &s
		return commit.Remembered{Signed: s}
	case commit.Release:
		if d.memory == nil || o.Signed.Time > d.memory.Time || o.Signed.Size > d.memory.Size {
			t.Error("released before it was remembered")
		}
	case commit.Finalise:
		d.trusted(o.Checkpoint, o.Cosigners)
		last := o.Blocks[len(o.Blocks)-1]
		if last.State.Size() != o.Checkpoint.Size || last.State.Root() != o.Checkpoint.Root {
			t.Error("the checkpoint is not of the last block")
		}
		if o.Blocks[0].Block.Header.Height != d.m.Final().Channel().Height+1 {
			t.Error("final before all below it")
		}
		p := commit.Persisted{Height: last.Block.Header.Height}
		for _, b := range o.Blocks {
			d.store.Put(b.State.Writes())
		}
		if d.holdF {
			d.later = append(d.later, p)
			return nil
		}
		return p
	case commit.Refresh:
		d.trusted(o.Checkpoint, o.Cosigners)
	}
	return nil
}

// trusted demands a checkpoint that relying parties accept.
func (d *driver) trusted(cp tlog.Checkpoint, cosigners []tlog.Signature) {
	d.w.t.Helper()
	note := tlog.FormatNote(cp, append([]tlog.Signature{tlog.SignCheckpoint(cp, cp.Origin, d.w.c.Key(name(0)+"/log"))}, cosigners...))
	if _, err := d.w.policy.Verify(note); err != nil {
		d.w.t.Errorf("the note of size %d: %v", cp.Size, err)
	}
}

// take returns the outputs of a type since the last reset.
func take[T commit.Output](d *driver) (out []T) {
	for _, o := range d.out {
		if x, ok := o.(T); ok {
			out = append(out, x)
		}
	}
	return out
}

func (d *driver) reset() { d.out, d.asked = nil, nil }

func (d *driver) deliver(from, to int) {
	d.w.t.Helper()
	for h := from; h <= to; h++ {
		d.now = max(d.now, d.w.blocks[h].Header.Time)
		d.step(commit.Deliver{Block: d.w.blocks[h], Index: uint64(h)})
	}
}

func (d *driver) height() uint64 { return d.m.Final().Channel().Height }

func quorumOf(n int) int { return 2*n/3 + 1 }

func TestNothingFinalWithoutAQuorum(t *testing.T) {
	for _, n := range []int{1, 4, 7} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			w := newWorld(t, n)
			w.grow(5)
			d := w.start(0, nil)
			d.deliver(1, 5)
			// This member's own signature is on every height.
			for i := 1; i < n; i++ {
				wantHeight := uint64(0)
				if n == 1 {
					wantHeight = 5
				}
				if i >= quorumOf(n) {
					wantHeight = 3
				}
				if d.height() != wantHeight {
					t.Fatalf("%d peers on height 3: final %d", i-1, d.height())
				}
				d.step(w.cosign(i, w.checkpoint(3), d.now))
			}
			if n == 1 {
				if d.height() != 5 {
					t.Fatalf("alone: final %d", d.height())
				}
				return
			}
			if d.height() != 3 || d.m.Pending() != 2 {
				t.Fatalf("final %d, %d pending", d.height(), d.m.Pending())
			}
			for i := 1; i < quorumOf(n); i++ {
				if d.height() != 3 {
					t.Fatalf("%d peers on height 5: final %d", i-1, d.height())
				}
				d.step(w.cosign(i, w.checkpoint(5), d.now))
			}
			if d.height() != 5 || d.m.Pending() != 0 {
				t.Fatalf("final %d", d.height())
			}
			if f := take[commit.Finalise](d); len(f) != 2 || len(f[0].Blocks) != 3 || len(f[1].Blocks) != 2 {
				t.Errorf("%d finalisations", len(f))
			}
		})
	}
}

func TestNotCounted(t *testing.T) {
	w := newWorld(t, 4)
	w.grow(1)
	cp := w.checkpoint(1)
	other := cp
	other.Root[0] ^= 1
	elsewhere := cp
	elsewhere.Origin = "test.example/other/0"
	for name, in := range map[string]func(at ledger.Millis) []commit.Input{
		"one peer twice": func(at ledger.Millis) []commit.Input {
			return []commit.Input{w.cosign(1, cp, at), w.cosign(1, cp, at+5000)}
		},
		"unknown cosigner": func(at ledger.Millis) []commit.Input { return []commit.Input{w.cosign(1, cp, at), w.cosign(4, cp, at)} },
		"time zero":        func(at ledger.Millis) []commit.Input { return []commit.Input{w.cosign(1, cp, at), w.cosign(2, cp, 0)} },
		"another root": func(at ledger.Millis) []commit.Input {
			return []commit.Input{w.cosign(1, cp, at), w.cosign(2, other, at)}
		},
		"another log's origin": func(at ledger.Millis) []commit.Input {
			return []commit.Input{w.cosign(1, cp, at), w.cosign(2, elsewhere, at)}
		},
		"another root's, on our": func(at ledger.Millis) []commit.Input {
			x := w.cosign(2, other, at)
			x.Checkpoint = cp
			return []commit.Input{w.cosign(1, cp, at), x}
		},
		"another's name": func(at ledger.Millis) []commit.Input {
			x := w.cosign(1, cp, at)
			x.Signature.Name = w.c.Set.CosignerName("ca-c")
			return []commit.Input{w.cosign(1, cp, at), x}
		},
		"another's name and id": func(at ledger.Millis) []commit.Input {
			x, y := w.cosign(1, cp, at), w.cosign(2, cp, at)
			x.Signature.Name, x.Signature.ID = y.Signature.Name, y.Signature.ID
			return []commit.Input{w.cosign(1, cp, at), x}
		},
		"no signature": func(at ledger.Millis) []commit.Input {
			x := w.cosign(2, cp, at)
			x.Signature.Bytes = nil
			return []commit.Input{w.cosign(1, cp, at), x}
		},
	} {
		for _, early := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, early %v", name, early), func(t *testing.T) {
				w.t = t
				d := w.start(0, nil)
				if early {
					d.step(in(w.now())...)
				}
				d.deliver(1, 1)
				d.step(in(d.now)...)
				if d.height() != 0 {
					t.Fatal("final by this member, one peer, and nothing")
				}
				d.step(w.cosign(3, cp, d.now))
				if d.height() != 1 {
					t.Fatal("the third member does not finalise")
				}
			})
		}
	}
}

// TestEarlyCosignatures: peers that are ahead are heard when this node gets there.
func TestEarlyCosignatures(t *testing.T) {
	w := newWorld(t, 4)
	w.grow(80)
	d := w.start(0, nil)
	d.now = w.now()
	// More than there is room for: the lowest are dropped.
	for h := 1; h <= 80; h++ {
		for i := 1; i < 4; i++ {
			d.step(w.cosign(i, w.checkpoint(h), d.now))
		}
	}
	if len(take[commit.Finalise](d)) > 0 || len(take[commit.Conflict](d)) > 0 {
		t.Fatal("something happened before a block was there")
	}
	d.deliver(1, 48)
	if d.height() != 0 {
		t.Fatalf("final %d: the buffer has no bound", d.height())
	}
	d.deliver(49, 49)
	if d.height() != 49 {
		t.Fatalf("final %d", d.height())
	}
	d.deliver(50, 80)
	if d.height() != 80 || d.m.Pending() != 0 {
		t.Fatalf("final %d", d.height())
	}
}

func TestSignatureCountsOnlyOnceRemembered(t *testing.T) {
	w := newWorld(t, 4)
	w.grow(1)
	d := w.start(0, nil)
	d.held = true
	d.now = w.now()
	d.step(commit.Deliver{Block: w.blocks[1], Index: 1}, w.cosign(1, w.checkpoint(1), d.now), w.cosign(2, w.checkpoint(1), d.now), commit.Tick{})
	if d.height() != 0 || len(take[commit.Release](d)) > 0 || len(d.asked) != 1 {
		t.Fatalf("final %d, asked %d times", d.height(), len(d.asked))
	}
	// The very signature, from elsewhere: it is not remembered, so it cannot have left this node.
	s := d.later[0].(commit.Remembered).Signed
	d.step(commit.Cosigned{Checkpoint: w.checkpoint(1), Signature: s.Signature})
	if d.height() != 0 || d.m.Divergence() == nil {
		t.Fatal("counted")
	}
	d = w.start(0, nil)
	d.held = true
	d.now = w.now()
	d.step(commit.Deliver{Block: w.blocks[1], Index: 1}, w.cosign(1, w.checkpoint(1), d.now), w.cosign(2, w.checkpoint(1), d.now))
	d.memory = &s
	d.step(d.later...)
	if d.height() != 1 || len(take[commit.Release](d)) != 1 {
		t.Fatal("not final once remembered")
	}
}

func (w *world) signed(height int, at ledger.Millis) *commit.Signed {
	c := w.states[height].Channel()
	x := w.cosign(0, w.checkpoint(height), at)
	return &commit.Signed{Statement: commit.Statement{Height: c.Height, Size: c.Size, Root: x.Checkpoint.Root, Header: c.Header, Time: uint64(at / 1000)},
		Signature: x.Signature}
}

// TestMemoryAheadOfTheTree: after a restart nothing is signed until re-execution gave the root that was signed; then the
// stored signature goes out again.
func TestMemoryAheadOfTheTree(t *testing.T) {
	w := newWorld(t, 4)
	w.grow(4)
	memory := w.signed(3, w.now()+500_000)
	d := w.start(1, memory)
	d.now = w.now()
	d.step(commit.Tick{})
	d.deliver(1, 2)
	if len(d.asked) > 0 || len(take[commit.Release](d)) > 0 {
		t.Fatal("signed below the memory")
	}
	d.held = true // the one to go out is the stored one, not a renewal
	d.step(commit.Deliver{Block: w.blocks[3], Index: 3})
	r := take[commit.Release](d)
	if len(r) != 1 || r[0].Signed.Time != memory.Time || r[0].Signed.Size != memory.Size {
		t.Fatal("the stored signature was not released")
	}
	for _, s := range d.asked {
		if s.Time < memory.Time {
			t.Error("an earlier time")
		}
	}
	d.step(w.cosign(1, w.checkpoint(3), d.now), w.cosign(2, w.checkpoint(3), d.now))
	if d.height() != 3 {
		t.Error("the stored signature does not count")
	}
}

func TestReexecutionGivesAnotherRoot(t *testing.T) {
	w := newWorld(t, 4)
	w.grow(3)
	fork := w.on(w.states[1], w.now()+7, 1, "ACME-77")
	check := func(t *testing.T, d *driver) {
		t.Helper()
		if d.m.Divergence() == nil || len(take[commit.Diverged](d)) != 1 {
			t.Fatalf("not diverged: %v, told %d times", d.m.Divergence(), len(take[commit.Diverged](d)))
		}
		d.reset()
		d.now += 1_000_000
		d.step(commit.Tick{}, commit.Deliver{Block: w.blocks[2], Index: 2}, commit.Deliver{Block: w.blocks[3], Index: 3})
		for i := 1; i < 4; i++ {
			d.step(w.cosign(i, w.checkpoint(1), d.now), w.cosign(i, w.checkpoint(2), d.now), w.cosign(i, w.checkpoint(3), d.now))
		}
		if len(d.out) > 0 {
			t.Errorf("a diverged machine goes on: %T", d.out[0])
		}
	}
	t.Run("another root at the size", func(t *testing.T) {
		w.t = t
		d := w.start(1, w.signed(2, w.now()))
		d.now = fork.Header.Time
		d.step(commit.Deliver{Block: fork, Index: 2})
		check(t, d)
	})
	t.Run("no such size", func(t *testing.T) {
		w.t = t
		m := w.signed(2, w.now())
		m.Size--
		d := w.start(1, m)
		d.deliver(2, 2)
		check(t, d)
	})
	t.Run("at the final size", func(t *testing.T) {
		w.t = t
		m := w.signed(1, w.now())
		m.Root[0] ^= 1
		d := w.start(1, m)
		d.step(commit.Tick{})
		check(t, d)
	})
}
