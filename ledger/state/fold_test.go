package state_test

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/ledgertest"
	"github.com/quorate-pki/quorate/ledger/state"
	"github.com/quorate-pki/quorate/ledger/tlog"
)

// sample is a state and the leaves of a block that follows it: transaction, two publications; transaction, suspension; one
// transaction without a leaf between them; epoch.
func sample(t testing.TB) (parent *state.State, leaves [][]byte, all [][][]byte) {
	x := start(t, 1, plenty, nil)
	all = append(all, slices.Clone(x.all))
	leaf := x.publish(x.c.Device("ACME-1", dns, 0))
	all = append(all, slices.Clone(x.all[len(all[0]):]))
	dup := x.tx([][]byte{ledgertest.Publish(x.c.Device("ACME-2", dns, 0)), ledgertest.Publish(x.c.Device("OTHER-9", dns, 0)),
		ledgertest.Publish(x.c.Device("ACME-3", dns, 0))}, "acme-cells/line")
	b := x.next(dup, dup, x.tx([][]byte{x.change("ACME-1", on(leaf, ledger.Suspend, 6))}, "acme-cells/line"))
	e, err := state.Execute(x.head, b, state.Direct{})
	if err != nil {
		t.Fatal(err)
	}
	return x.head, e.Leaves, append(all, e.Leaves)
}

func TestFoldRefusesTamperedLeaves(t *testing.T) {
	parent, good, blocks := sample(t)
	if len(good) != 6 {
		t.Fatalf("%d leaves", len(good))
	}
	if _, err := state.Fold(parent, good); err != nil {
		t.Fatal(err)
	}
	tx := func(i int, change func(*ledger.TxLeaf)) func([][]byte) [][]byte {
		return func(l [][]byte) [][]byte {
			e, err := ledger.ParseEntry(l[i])
			if err != nil {
				t.Fatal(err)
			}
			change(e.Tx)
			l[i] = e.Tx.Encode()
			return l
		}
	}
	op := func(i int, change func(*ledger.OpLeaf)) func([][]byte) [][]byte {
		return func(l [][]byte) [][]byte {
			e, err := ledger.ParseEntry(l[i])
			if err != nil {
				t.Fatal(err)
			}
			change(e.Op)
			l[i] = e.Op.Encode()
			return l
		}
	}
	epoch := func(change func(*ledger.Epoch)) func([][]byte) [][]byte {
		return func(l [][]byte) [][]byte {
			e, err := ledger.ParseEntry(l[len(l)-1])
			if err != nil {
				t.Fatal(err)
			}
			change(e.Epoch)
			l[len(l)-1] = e.Epoch.Encode()
			return l
		}
	}
	header := func(change func(*ledger.Header)) func([][]byte) [][]byte {
		return epoch(func(e *ledger.Epoch) {
			h, err := e.Header.Decode()
			if err != nil {
				t.Fatal(err)
			}
			change(h)
			e.Header.Header = ledger.Encode(h)
		})
	}
	runs := func(i int, r ...ledger.Run) func([][]byte) [][]byte {
		return op(i, func(l *ledger.OpLeaf) { l.Effects.Runs = r })
	}
	const last = 4
	old := parent.Size() - 2 // ACME-1's leaf
	for name, tamper := range map[string]func([][]byte) [][]byte{
		"no leaves":                   func(l [][]byte) [][]byte { return nil },
		"no epoch":                    func(l [][]byte) [][]byte { return l[:5] },
		"epoch alone":                 func(l [][]byte) [][]byte { return l[5:] },
		"an epoch inside":             func(l [][]byte) [][]byte { return slices.Insert(l, 2, l[5]) },
		"a leaf missing":              func(l [][]byte) [][]byte { return slices.Delete(l, 2, 3) },
		"a transaction missing":       func(l [][]byte) [][]byte { return slices.Delete(l, 0, 1) },
		"a leaf twice":                func(l [][]byte) [][]byte { return slices.Insert(l, 2, l[1]) },
		"a transaction twice":         func(l [][]byte) [][]byte { return slices.Insert(l, 3, l[0]) },
		"leaves swapped":              func(l [][]byte) [][]byte { l[1], l[2] = l[2], l[1]; return l },
		"transactions swapped":        func(l [][]byte) [][]byte { return [][]byte{l[3], l[4], l[0], l[1], l[2], l[5]} },
		"no entry":                    func(l [][]byte) [][]byte { l[1] = []byte{1, 2, 3}; return l },
		"an empty entry":              func(l [][]byte) [][]byte { l[1] = nil; return l },
		"a block before":              func(l [][]byte) [][]byte { return blocks[1] },
		"genesis":                     func(l [][]byte) [][]byte { return blocks[0] },
		"status root":                 epoch(func(e *ledger.Epoch) { e.StatusRoot[0] ^= 1 }),
		"first leaf":                  epoch(func(e *ledger.Epoch) { e.First++ }),
		"rule version":                epoch(func(e *ledger.Epoch) { e.Rules++ }),
		"member set":                  epoch(func(e *ledger.Epoch) { e.MemberSet[0] ^= 1 }),
		"key dictionary":              epoch(func(e *ledger.Epoch) { e.Keys = &ledger.Hash{} }),
		"a leafless transaction gone": epoch(func(e *ledger.Epoch) { e.Leafless = []ledger.Leafless{} }),
		"a leafless transaction else": epoch(func(e *ledger.Epoch) { e.Leafless[0].Leaf[0] ^= 1 }),
		"a leafless position":         epoch(func(e *ledger.Epoch) { e.Leafless[0].Position = 2 }),
		"a leafless position beyond":  epoch(func(e *ledger.Epoch) { e.Leafless[0].Position = 1 << 63 }),
		"leafless positions twice":    epoch(func(e *ledger.Epoch) { e.Leafless = append(e.Leafless, e.Leafless[0]) }),
		"header channel":              header(func(h *ledger.Header) { h.Channel[0] ^= 1 }),
		"header height":               header(func(h *ledger.Header) { h.Height++ }),
		"header view":                 header(func(h *ledger.Header) { h.View = 0 }),
		"header previous":             header(func(h *ledger.Header) { h.Previous[0] ^= 1 }),
		"header payload":              header(func(h *ledger.Header) { h.Payload[0] ^= 1 }),
		"header time":                 header(func(h *ledger.Header) { h.Time++ }),
		"header version":              header(func(h *ledger.Header) { h.Version = 2 }),
		"a verdict more":              tx(0, func(l *ledger.TxLeaf) { l.Codes = append(l.Codes, 0) }),
		"a verdict less":              tx(0, func(l *ledger.TxLeaf) { l.Codes = l.Codes[:2] }),
		"accepted made refused":       tx(3, func(l *ledger.TxLeaf) { l.Codes[0] = reason.NotAuthorised }),
		"refused made accepted":       tx(0, func(l *ledger.TxLeaf) { l.Codes[1] = 0 }),
		"envelope":                    tx(0, func(l *ledger.TxLeaf) { l.Envelope = l.Envelope[1:] }),
		"envelope signature":          tx(0, func(l *ledger.TxLeaf) { l.Envelope = bytes.Clone(l.Envelope); l.Envelope[len(l.Envelope)-1] ^= 1 }),
		"transaction leaf":            op(1, func(l *ledger.OpLeaf) { l.Tx++ }),
		"position":                    op(1, func(l *ledger.OpLeaf) { l.Position = 1 }),
		"body":                        op(1, func(l *ledger.OpLeaf) { l.Body = ledgertest.Publish([]byte{1}) }),
		"effects' time":               op(1, func(l *ledger.OpLeaf) { l.Effects.Time++ }),
		"effects' rules":              op(1, func(l *ledger.OpLeaf) { l.Effects.Rules++ }),
		"effects in a batch":          op(1, func(l *ledger.OpLeaf) { l.Effects.Batch = new(ledger.BatchItem) }),
		"no owner":                    op(1, func(l *ledger.OpLeaf) { l.Effects.Owner = nil }),
		"no voucher":                  op(1, func(l *ledger.OpLeaf) { l.Effects.Voucher = nil }),
		"no device":                   op(1, func(l *ledger.OpLeaf) { l.Effects.Device = nil }),
		"no effects":                  op(1, func(l *ledger.OpLeaf) { l.Effects = ledger.Effects{Time: l.Effects.Time, Rules: l.Effects.Rules} }),
		"no status":                   runs(1),
		"status of the next leaf":     runs(1, ledger.Run{First: parent.Size() + 2, Count: 1, Status: ledger.Good}),
		"status revoked":              runs(1, ledger.Run{First: parent.Size() + 1, Count: 1, Status: ledger.Revoked}),
		"status of another too":       runs(1, ledger.Run{First: parent.Size() + 1, Count: 1, Status: ledger.Good}, ledger.Run{First: old, Count: 1, Status: ledger.Good}),
		"a change without effect":     runs(last),
		"a change of another leaf":    runs(last, ledger.Run{First: old - 1, Count: 1, Status: ledger.Suspended}),
		"a change of two leaves":      runs(last, ledger.Run{First: old, Count: 2, Status: ledger.Suspended}),
		"a change of all leaves":      runs(last, ledger.Run{First: old, Count: 1<<64 - 1, Status: ledger.Suspended}),
		"a change far ahead":          runs(last, ledger.Run{First: 1 << 62, Count: 1, Status: ledger.Suspended}),
		"a change to revoked":         runs(last, ledger.Run{First: old, Count: 1, Status: ledger.Revoked}),
		"a change twice": runs(last, ledger.Run{First: old, Count: 1, Status: ledger.Suspended},
			ledger.Run{First: old, Count: 1, Status: ledger.Suspended}),
	} {
		t.Run(name, func(t *testing.T) {
			st, err := state.Fold(parent, tamper(slices.Clone(good)))
			if !errors.Is(err, state.ErrBadLeaves) || st != nil {
				t.Errorf("%v", err)
			}
		})
	}
	if _, err := state.Fold(parent, good); err != nil {
		t.Errorf("the parent was changed: %v", err)
	}
}

// TestFoldRefusesUnknownKeys: a status change of a key that nothing was published over cannot have been accepted, whatever
// else fits.
func TestFoldRefusesUnknownKeys(t *testing.T) {
	x := start(t, 1, plenty, nil)
	b := x.next(x.tx([][]byte{x.change("ACME-1", onKey(ledger.Suspend, 6))}, "acme-cells/admin-1", "acme-cells/admin-2"))
	e, err := state.Execute(x.head, b, state.Direct{})
	if err != nil {
		t.Fatal(err)
	}
	l, err := ledger.ParseEntry(e.Leaves[0])
	if err != nil {
		t.Fatal(err)
	}
	l.Tx.Codes[0] = reason.Accepted
	forged := (&ledger.OpLeaf{Tx: x.head.Size(), Body: b.Txs[0].Bodies[0], Effects: ledger.Effects{Time: b.Header.Time, Rules: 1,
		Authority: ledger.ByOwner, Runs: []ledger.Run{{First: 3, Count: 1, Status: ledger.Suspended}}}}).Encode()
	if _, err := state.Fold(x.head, [][]byte{l.Tx.Encode(), forged, e.Leaves[1]}); !errors.Is(err, state.ErrBadLeaves) {
		t.Errorf("%v", err)
	}
}

// TestFoldRefusesReplays: a transaction is on the log once, even where everything else of the block fits it twice.
func TestFoldRefusesReplays(t *testing.T) {
	x := start(t, 1, plenty, nil)
	raw := x.tx([][]byte{ledgertest.Publish(x.c.Device("OTHER-1", dns, 0))}, "acme-cells/line")
	first := x.next(raw)
	e, err := state.Execute(x.head, first, state.Direct{})
	if err != nil {
		t.Fatal(err)
	}
	reseal := func(leaf []byte, txs ...*ledger.Parsed) []byte {
		l, err := ledger.ParseEntry(leaf)
		if err != nil {
			t.Fatal(err)
		}
		h, err := l.Epoch.Header.Decode()
		if err != nil {
			t.Fatal(err)
		}
		h.Payload = ledger.PayloadHash(txs)
		l.Epoch.Header, l.Epoch.Leafless = ledger.SignHeader(h, x.c.Key("ca-a/block")), []ledger.Leafless{}
		return l.Epoch.Encode()
	}
	twice := [][]byte{e.Leaves[0], e.Leaves[0], reseal(e.Leaves[1], first.Txs[0], first.Txs[0])}
	if _, err := state.Fold(x.head, twice); !errors.Is(err, state.ErrBadLeaves) {
		t.Errorf("twice in a block: %v", err)
	}
	x.apply(first)
	e2, err := state.Execute(x.head, x.next(raw), state.Direct{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := state.Fold(x.head, [][]byte{e.Leaves[0], reseal(e2.Leaves[0], first.Txs[0])}); !errors.Is(err, state.ErrBadLeaves) {
		t.Errorf("again in the next block: %v", err)
	}
}

// FuzzFold: whatever is done to leaves, Fold answers ErrBadLeaves, or gives another root than the quorum cosigned, and never panics.
func FuzzFold(f *testing.F) {
	parent, good, _ := sample(f)
	want, err := state.Fold(parent, good)
	if err != nil {
		f.Fatal(err)
	}
	empty := state.Empty(&ledgertest.MemStore{})
	f.Add(uint8(0), uint8(1), uint16(40), uint8(1), []byte{})
	f.Add(uint8(1), uint8(2), uint16(0), uint8(0), good[5])
	f.Add(uint8(2), uint8(0), uint16(0), uint8(0), []byte{})
	f.Add(uint8(3), uint8(3), uint16(0), uint8(0), good[1])
	f.Add(uint8(4), uint8(4), uint16(9), uint8(7), []byte{0xff, 0xff})
	f.Add(uint8(4), uint8(5), uint16(100), uint8(3), bytes.Repeat([]byte{0x80}, 40))
	f.Fuzz(func(t *testing.T, how, leaf uint8, at uint16, x uint8, raw []byte) {
		l := slices.Clone(good)
		i := int(leaf) % len(l)
		j := int(at) % len(l[i])
		switch how % 6 {
		case 0: // a byte
			l[i] = bytes.Clone(l[i])
			l[i][j] ^= x
		case 1: // a leaf for another
			l[i] = raw
		case 2: // one less
			l = slices.Delete(l, i, i+1)
		case 3: // one more
			l = slices.Insert(l, i, raw)
		case 4: // some bytes for others
			l[i] = slices.Concat(l[i][:j], raw, l[i][min(len(l[i]), j+int(x)):])
		case 5: // cut
			l[i] = l[i][:j]
		}
		st, err := state.Fold(parent, l)
		if err != nil && !errors.Is(err, state.ErrBadLeaves) {
			t.Fatalf("%v", err)
		}
		if err == nil && st.Root() == want.Root() && !sameLeaves(l, good) {
			t.Fatal("another block with the same root")
		}
		if _, err := state.Fold(empty, l); err != nil && !errors.Is(err, state.ErrBadLeaves) {
			t.Fatalf("%v", err)
		}
	})
}

// TestLoadRefusesDamage: records that do not belong together do not become a state.
func TestLoadRefusesDamage(t *testing.T) {
	x := start(t, 1, plenty, nil)
	x.publish(x.c.Device("ACME-1", dns, 0))
	var f tlog.Frontier
	for _, l := range x.all {
		f.Append(tlog.LeafHash(l))
	}
	for name, damage := range map[string]func(*ledgertest.MemStore){
		"no channel":   func(s *ledgertest.MemStore) { s.Delete(ledger.RecordChannel, nil) },
		"another size": func(s *ledgertest.MemStore) { f.Append(ledger.Hash{}) },
		"short chunk":  func(s *ledgertest.MemStore) { s.Put(map[string][]byte{"c" + string(state.Uint64Key(0)): {1}}) },
		"chunk beyond": func(s *ledgertest.MemStore) {
			s.Put(map[string][]byte{"c" + string(state.Uint64Key(9)): make([]byte, ledger.ChunkSize)})
		},
		"chunk key":       func(s *ledgertest.MemStore) { s.Put(map[string][]byte{"c1": make([]byte, ledger.ChunkSize)}) },
		"key record key":  func(s *ledgertest.MemStore) { s.Put(map[string][]byte{"k1": {}}) },
		"organisation id": func(s *ledgertest.MemStore) { s.Put(map[string][]byte{"o1": {}}) },
		"registered key":  func(s *ledgertest.MemStore) { s.Put(map[string][]byte{"r" + string(make([]byte, 32)): {1}}) },
	} {
		s, edge := x.store.Clone(), f.Clone()
		damage(s)
		if name == "another size" {
			edge, f = f, edge
		}
		if _, err := state.Load(s, edge); err == nil {
			t.Errorf("%s: loaded", name)
		}
	}
}
