package fsck_test

import (
	"crypto/ed25519"
	"encoding/binary"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/fsck"
	"github.com/quorate-pki/quorate/ledger/ledgertest"
	"github.com/quorate-pki/quorate/ledger/state"
	"github.com/quorate-pki/quorate/ledger/tlog"
)

type nothing struct{}

func (nothing) Get([]byte) ([]byte, error) { return nil, nil }

// log is genesis and a block with: two publications in one transaction, the second refused as a duplicate; a
// transaction without a leaf; an all-or-nothing one that failed; one publication more.
type log struct {
	c       *ledgertest.Consortium
	on      ledger.ChannelRecord
	genesis [][]byte
	leaves  [][]byte // genesis has 14, so these are 14: tx, 15: op, 16: tx (nothing), 17: tx, 18: op, 19: epoch
	whole   [][]byte // a block 2 whose every body is on the log
}

func makeLog(t *testing.T) log {
	t.Helper()
	c := ledgertest.Found(11, 1)
	b, err := ledger.ParseBlock(c.Genesis)
	if err != nil {
		t.Fatal(err)
	}
	x, err := state.Execute(state.Empty(nothing{}), b, state.Direct{})
	if err != nil {
		t.Fatal(err)
	}
	l := log{c: c, on: x.State.Channel(), genesis: x.Leaves}
	pub := func(serial string) []byte { return ledgertest.Publish(c.Device(serial, "acme-cells.example", 0)) }
	tx := func(n uint64, mode ledger.Mode, bodies ...[]byte) []byte {
		return c.Tx(ledgertest.Start, ledgertest.TxOptions{Nonce: n, Mode: mode}, bodies, "acme-cells/line")
	}
	late := c.Tx(ledgertest.Start, ledgertest.TxOptions{Nonce: 9, Expiry: ledgertest.Start}, [][]byte{pub("ACME-9")}, "acme-cells/line")
	b, _, err = c.Block(l.on, ledgertest.Start.Add(time.Second), 1,
		tx(1, ledger.EachAlone, pub("ACME-1"), pub("OTHER-2")), late, tx(2, ledger.AllOrNothing, pub("ACME-3"), pub("OTHER-3")),
		tx(3, ledger.EachAlone, pub("ACME-4")))
	if err != nil {
		t.Fatal(err)
	}
	y, err := state.Execute(x.State, b, state.Direct{})
	if err != nil {
		t.Fatal(err)
	}
	l.leaves = y.Leaves
	b, _, err = c.Block(y.State.Channel(), ledgertest.Start.Add(2*time.Second), 1, tx(4, ledger.EachAlone, pub("ACME-5")))
	if err != nil {
		t.Fatal(err)
	}
	z, err := state.Execute(y.State, b, state.Direct{})
	if err != nil {
		t.Fatal(err)
	}
	l.whole = z.Leaves
	return l
}

// spoil changes one leaf of the block.
func (l log) spoil(t *testing.T, i int, change func(e *ledger.Entry)) [][]byte {
	t.Helper()
	e, err := ledger.ParseEntry(l.leaves[i])
	if err != nil {
		t.Fatal(err)
	}
	change(e)
	out := slices.Clone(l.leaves)
	switch {
	case e.Tx != nil:
		out[i] = e.Tx.Encode()
	case e.Op != nil:
		out[i] = e.Op.Encode()
	default:
		out[i] = e.Epoch.Encode()
	}
	return out
}

// resign changes the header and signs it again.
func resign(e *ledger.Entry, key ed25519.PrivateKey, change func(h *ledger.Header)) {
	h, _ := e.Epoch.Header.Decode()
	change(h)
	e.Epoch.Header = ledger.SignHeader(h, key)
}

// TestChain: what a block says of itself is held against what it holds. These leaves all have sound hashes: only a
// dishonest member could have cosigned them.
func TestChain(t *testing.T) {
	l := makeLog(t)
	if len(l.genesis) != 14 || len(l.leaves) != 6 {
		t.Fatalf("%d and %d leaves", len(l.genesis), len(l.leaves))
	}
	for _, deep := range []bool{false, true} {
		if got := fsck.FoldBlocks(deep, l.genesis, l.genesis, l.leaves, l.whole); len(got) > 0 {
			t.Errorf("%v", got)
		}
	}
	block := l.c.Key("ca-a/block")
	same := func(*ledger.Header) {}
	for _, x := range []struct {
		name   string
		leaf   int
		change func(e *ledger.Entry)
		want   string
	}{
		{"another key signs the header", 5, func(e *ledger.Entry) { resign(e, l.c.Key("ca-a/log"), same) }, "no member's block key"},
		{"another proposer", 5, func(e *ledger.Entry) { resign(e, block, func(h *ledger.Header) { h.Proposer[0]++ }) }, "no member's block key"},
		{"another payload", 5, func(e *ledger.Entry) { resign(e, block, func(h *ledger.Header) { h.Payload[0]++ }) }, "the header's payload hash"},
		{"another leafless transaction", 5, func(e *ledger.Entry) { e.Epoch.Leafless[0].Leaf[0]++ }, "the header's payload hash"},
		{"a leafless transaction elsewhere", 5, func(e *ledger.Entry) { e.Epoch.Leafless[0].Position = 7 }, "the header's payload hash"},
		{"a leafless transaction twice", 5, func(e *ledger.Entry) { e.Epoch.Leafless = append(e.Epoch.Leafless, e.Epoch.Leafless[0]) }, "out of order"},
		{"a leafless transaction that is not in the block", 5, func(e *ledger.Entry) {
			e.Epoch.Leafless = append(e.Epoch.Leafless, ledger.Leafless{Position: 9})
		}, "the header's payload hash"},
		{"another previous header", 5, func(e *ledger.Entry) { resign(e, block, func(h *ledger.Header) { h.Previous[0]++ }) }, "does not fold"},
		{"another height", 5, func(e *ledger.Entry) { resign(e, block, func(h *ledger.Header) { h.Height++ }) }, "does not fold"},
		{"an earlier time", 5, func(e *ledger.Entry) { resign(e, block, func(h *ledger.Header) { h.Time = 1 }) }, "another time than its block"},
		{"view 0", 5, func(e *ledger.Entry) { resign(e, block, func(h *ledger.Header) { h.View = 0 }) }, "does not fold"},
		{"another status root", 5, func(e *ledger.Entry) { e.Epoch.StatusRoot[0]++ }, "does not fold"},
		{"another body", 1, func(e *ledger.Entry) { e.Op.Body = ledgertest.Publish(l.c.Device("ACME-77", "acme-cells.example", 0)) }, "not the one that was signed"},
		{"another position", 1, func(e *ledger.Entry) { e.Op.Position = 1 }, "want operation 0"},
		{"another transaction", 1, func(e *ledger.Entry) { e.Op.Tx = 16 }, "want operation 0"},
		{"another time", 1, func(e *ledger.Entry) { e.Op.Effects.Time++ }, "another time than its block"},
		{"other rules", 1, func(e *ledger.Entry) { e.Op.Effects.Rules++ }, "another rule version"},
		{"a refusal that was accepted", 0, func(e *ledger.Entry) { e.Tx.Codes[1] = reason.Accepted }, "is not the operation that leaf 14 says"},
		{"an acceptance that was refused", 0, func(e *ledger.Entry) { e.Tx.Codes[0] = reason.QuotaDay }, "operation without its transaction"},
		{"one verdict more", 0, func(e *ledger.Entry) { e.Tx.Codes = append(e.Tx.Codes, reason.QuotaDay) }, "has 3 verdicts for 2 operations"},
		{"neither all nor nothing", 2, func(e *ledger.Entry) { e.Tx.Codes[0] = reason.AlreadyPublished }, "all or nothing"},
		{"an epoch that claims another first leaf", 5, func(e *ledger.Entry) { e.Epoch.First++ }, "does not fold"},
	} {
		got := fsck.FoldBlocks(false, l.genesis, l.genesis, l.spoil(t, x.leaf, x.change))
		if len(got) == 0 || !strings.Contains(got[0].What, x.want) {
			t.Errorf("%s: %v", x.name, got)
		}
	}
	if got := fsck.FoldBlocks(false, ledgerGenesis(t, 12), l.genesis); len(got) != 1 || !strings.Contains(got[0].What, "not what genesis.block gives") {
		t.Errorf("another genesis: %v", got)
	}
	if got := fsck.FoldBlocks(false, nil, l.genesis, l.leaves[:3]); len(got) != 1 || !strings.Contains(got[0].What, "inside the block") {
		t.Errorf("half a block: %v", got)
	}
	if got := fsck.FoldBlocks(false, nil, l.genesis, [][]byte{{0x80}}); len(got) != 1 || !strings.Contains(got[0].What, "no entry") {
		t.Errorf("no entry: %v", got)
	}
}

func ledgerGenesis(t *testing.T, seed uint64) [][]byte {
	b, err := ledger.ParseBlock(ledgertest.Found(seed, 1).Genesis)
	if err != nil {
		t.Fatal(err)
	}
	x, err := state.Execute(state.Empty(nothing{}), b, state.Direct{})
	if err != nil {
		t.Fatal(err)
	}
	return x.Leaves
}

// TestDeep: signatures, and judging again.
func TestDeep(t *testing.T) {
	l := makeLog(t)
	// A transaction that nobody signed, in a block that is otherwise what it says: every hash is made to fit.
	forge := func(leaves [][]byte, i int) [][]byte {
		e, err := ledger.ParseEntry(leaves[i])
		if err != nil {
			t.Fatal(err)
		}
		env := e.Tx.Envelope
		env[len(env)-1] ^= 1
		out := slices.Clone(leaves)
		out[i] = e.Tx.Encode()
		last, err := ledger.ParseEntry(out[len(out)-1])
		if err != nil {
			t.Fatal(err)
		}
		var hashes []tlog.Hash
		for _, raw := range out {
			if e, _ := ledger.ParseEntry(raw); e.Tx != nil {
				hashes = append(hashes, tlog.LeafHash(e.Tx.Envelope))
				if len(hashes) == 1 && len(last.Epoch.Leafless) == 1 {
					hashes = append(hashes, last.Epoch.Leafless[0].Leaf)
				}
			}
		}
		resign(last, l.c.Key("ca-a/block"), func(h *ledger.Header) { h.Payload = tlog.Root(hashes) })
		out[len(out)-1] = last.Epoch.Encode()
		return out
	}
	bad := forge(l.leaves, 3)
	if got := fsck.FoldBlocks(false, nil, l.genesis, bad); len(got) > 0 {
		t.Fatalf("the forgery is not good enough: %v", got)
	}
	if got := fsck.FoldBlocks(true, nil, l.genesis, bad); len(got) != 1 || !strings.Contains(got[0].What, "signature by key") {
		t.Errorf("%v", got)
	}
	if got := fsck.FoldBlocks(true, nil, l.genesis, l.leaves, forge(l.whole, 0)); len(got) != 1 || !strings.Contains(got[0].What, "judged again") {
		t.Errorf("%v", got)
	}
	// Effects that judgement would not give.
	e, err := ledger.ParseEntry(l.whole[1])
	if err != nil {
		t.Fatal(err)
	}
	two := uint64(2)
	e.Op.Effects.Protection = &two
	whole := slices.Clone(l.whole)
	whole[1] = e.Op.Encode()
	if got := fsck.FoldBlocks(false, nil, l.genesis, l.leaves, whole); len(got) > 0 {
		t.Fatalf("%v", got)
	}
	if got := fsck.FoldBlocks(true, nil, l.genesis, l.leaves, whole); len(got) != 1 || !strings.Contains(got[0].What, "judged again") {
		t.Errorf("%v", got)
	}
}

// TestTree: 65,536 leaves and some, so that there is a full tile of level 1.
func TestTree(t *testing.T) {
	const size = 65536 + 256 + 3
	fs := vfs.NewMem()
	var tree tlog.TileTree
	var bundle []byte
	number := uint64(0)
	for i := range uint64(size) {
		leaf := binary.BigEndian.AppendUint64(nil, i)
		bundle, _ = tlog.AppendBundleEntry(bundle, leaf)
		for _, d := range tree.Append(tlog.LeafHash(leaf)) {
			put(t, fs, path.Join("d/log/0", d.Tile.Path()), d.Data)
		}
		if i%256 == 255 {
			put(t, fs, path.Join("d/log/0", tlog.Tile{Level: -1, Index: number, Width: 256}.Path()), bundle)
			number, bundle = number+1, nil
		}
	}
	put(t, fs, "d/log/0/edge", append(binary.BigEndian.AppendUint64(nil, number), bundle...))
	root := tree.Root()
	if got := fsck.ReadTree(fs, "d", size, root); len(got) > 0 {
		t.Fatal(got)
	}
	files := contents(t, fs, "d")
	for _, x := range []struct{ flip, want string }{
		{"tile/1/000", "tile/1/000"}, {"tile/0/000", "tile/0/000"}, {"tile/0/256", "tile/0/256"},
		{"tile/entries/000", "tile/entries/000"}, {"tile/entries/256", "tile/entries/256"}, {"edge", "edge"},
	} {
		name := "d/log/0/" + x.flip
		data, ok := files[name]
		if !ok {
			t.Fatalf("no %s", name)
		}
		for _, bit := range []int{40, 8*len(data) - 1} {
			bad := slices.Clone(data)
			bad[bit/8] ^= 1 << (bit % 8)
			put(t, fs, name, bad)
			if got := fsck.ReadTree(fs, "d", size, root); len(got) != 1 || got[0].Path != "log/0/"+x.want {
				t.Errorf("bit %d of %s: %v", bit, x.flip, got)
			}
		}
		if err := fs.Remove(name); err != nil {
			t.Fatal(err)
		}
		if got := fsck.ReadTree(fs, "d", size, root); len(got) != 1 || got[0].Path != "log/0/"+x.want || got[0].What != "is missing" {
			t.Errorf("%s is missing: %v", x.flip, got)
		}
		put(t, fs, name, data)
	}
	// A bundle and its own tile both wrong, each in another leaf.
	for n, at := range map[string]int{"tile/entries/000": 1405, "tile/0/000": 1000} {
		bad := slices.Clone(files["d/log/0/"+n])
		bad[at] ^= 4
		put(t, fs, "d/log/0/"+n, bad)
	}
	got := fsck.ReadTree(fs, "d", size, root)
	if !named(got, "log/0/tile/entries/000") || !named(got, "log/0/tile/0/000") {
		t.Errorf("%v", got)
	}
}
