package commit_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/commit"
	"github.com/quorate-pki/quorate/ledger/ledgertest"
	"github.com/quorate-pki/quorate/ledger/state"
	"github.com/quorate-pki/quorate/ledger/tlog"
)

// TestHandover: the height at which a member gets a new cosigning key is final by a quorum with the old one, and nothing above it is signed
// before; then the new key counts, there too.
func TestHandover(t *testing.T) {
	c := ledgertest.FoundGoverned(31, 4, 0)
	w := &world{t: t, c: c, policy: c.Set.Policy(0), store: &ledgertest.MemStore{}}
	b, err := ledger.ParseBlock(c.Genesis)
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

	now := w.now() + 60_000
	document := c.After(c.Set, c.Rotates("ca-b", 2, ledger.KeyCosigning))
	change, _, err := c.Block(x.State.Channel(), (w.now() + 1000).Time(), 1, c.ChangeMembers(c.Set, document, (w.now()+1000).Time(), 1, x.State.Size())...)
	if err != nil {
		t.Fatal(err)
	}
	after, err := state.Execute(x.State, change, state.Direct{})
	if err != nil {
		t.Fatal(err)
	}
	w.states, w.blocks = append(w.states, after.State), append(w.blocks, change)
	w.grow(1)

	m, err := commit.New(commit.Config{Final: x.State, Self: c.Set.CosignerName("ca-a"), Keys: w.ownKeys(0), Facts: state.Direct{}})
	if err != nil {
		t.Fatal(err)
	}
	var finals, signs []uint64
	var note []tlog.Signature
	var feed func(in commit.Input)
	feed = func(in commit.Input) {
		out, err := m.Step(in, now)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range out {
			switch o := o.(type) {
			case commit.Sign:
				signs = append(signs, o.Statement.Height)
				cp := tlog.Checkpoint{Origin: w.policy.Origin, Size: o.Statement.Size, Root: o.Statement.Root}
				feed(commit.Remembered{Signed: commit.Signed{Statement: o.Statement, Signature: tlog.Cosign(cp, o.Key.Name, o.Statement.Time, c.Key("ca-a/cosigning"))}})
			case commit.Finalise:
				last := o.Blocks[len(o.Blocks)-1].Block.Header.Height
				finals, note = append(finals, last), o.Cosigners
				feed(commit.Persisted{Height: last})
			case commit.Refresh:
				note = o.Cosigners
			}
		}
	}
	says := func(height int, key string) {
		cp := w.checkpoint(height)
		name, _, _ := strings.Cut(key, "/")
		feed(commit.Cosigned{Checkpoint: cp, Signature: tlog.Cosign(cp, c.Set.CosignerName(name), uint64(now/1000), c.Key(key))})
	}
	feed(commit.Deliver{Block: w.blocks[1], Index: 1})
	feed(commit.Deliver{Block: w.blocks[2], Index: 2})
	says(1, "ca-b/cosigning-2")
	says(1, "ca-c/cosigning")
	if len(finals) > 0 || slices.Contains(signs, 2) {
		t.Fatalf("final %v, signed %v: two of the four electors, and a key of the set to come", finals, signs)
	}
	says(1, "ca-d/cosigning")
	if !slices.Equal(finals, []uint64{1}) || !slices.Contains(signs, 2) {
		t.Fatalf("final %v, signed %v, with three of the four electors", finals, signs)
	}
	if len(note) < 4 {
		t.Errorf("%d cosignatures on the height where the set changed: the new key's is left out", len(note))
	}
	says(2, "ca-b/cosigning")
	says(2, "ca-c/cosigning")
	if len(finals) > 1 {
		t.Fatal("the key that was given up made a height final")
	}
	says(2, "ca-b/cosigning-2")
	if !slices.Equal(finals, []uint64{1, 2}) {
		t.Errorf("final %v", finals)
	}
}
