package tlog_test

import (
	"encoding/hex"
	"errors"
	"slices"
	"testing"

	xtlog "golang.org/x/mod/sumdb/tlog"

	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger/tlog"
)

// The roots of the first sizes of the test tree that Certificate Transparency's implementations share.
func TestRootVectors(t *testing.T) {
	entries := []string{"", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"}
	roots := []string{
		"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
		"6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
		"fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
		"aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
		"d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
		"4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
		"76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
		"ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
		"5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
	}
	var leaves []tlog.Hash
	for n, want := range roots {
		if got := tlog.Root(leaves); hex.EncodeToString(got[:]) != want {
			t.Errorf("root of %d leaves is %x, want %s", n, got, want)
		}
		if n < len(entries) {
			e, err := hex.DecodeString(entries[n])
			if err != nil {
				t.Fatal(err)
			}
			leaves = append(leaves, tlog.LeafHash(e))
		}
	}
}

func TestFrontierIsAValue(t *testing.T) {
	var f tlog.Frontier
	for i := range uint64(7) {
		f.Append(leaf(i))
	}
	before := f.Root()
	assigned, cloned := f, f.Clone()
	assigned.Append(leaf(100))
	cloned.Append(leaf(200))
	if f.Root() != before || f.Size() != 7 {
		t.Error("appending to a copy changed the original")
	}
	if assigned.Root() == cloned.Root() {
		t.Error("two copies share their edge")
	}
	f.Append(leaf(100))
	if f != assigned {
		t.Error("equal trees have unequal frontiers")
	}
}

// Everything that this package computes about a tree equals what golang.org/x/mod computes, at every size.
func TestTreeAgainstReference(t *testing.T) {
	last := uint64(1100)
	if testing.Short() {
		last = 300
	}
	rnd := testRand()
	var f tlog.Frontier
	s, ref := newStore(), &reference{}
	for size := range last + 1 {
		if size > 0 {
			f.Append(leaf(size - 1))
			s.append(leaf(size - 1))
			ref.append(t, size-1, leaf(size-1))
		}
		checkTree(t, s, ref, size)
		if s.tree.Root() != f.Root() || s.tree.Frontier() != f || s.tree.Size() != size {
			t.Fatalf("size %d: tile tree and frontier differ", size)
		}
		checkProofs(t, s, ref, size, sample(rnd.Uint64N, size, 4))
	}
	// Older trees, from the tiles of the last one.
	for range 100 {
		size := rnd.Uint64N(last + 1)
		checkTree(t, s, ref, size)
		checkProofs(t, s, ref, size, sample(rnd.Uint64N, size, 4))
	}
}

func TestLargeTreeAgainstReference(t *testing.T) {
	if testing.Short() {
		t.Skip("builds 70,000 leaves")
	}
	const size = 70_000 // the example of c2sp.org/tlog-tiles
	s, ref := growStore(t, size)
	want := []tlog.Tile{{0, 273, 112}, {1, 1, 17}, {2, 0, 1}}
	if got := s.tree.Partial(); !slices.Equal(got, want) {
		t.Errorf("partial tiles %v, want %v", got, want)
	}
	if len(s.full) != 274 {
		t.Errorf("%d full tiles, want 274", len(s.full))
	}
	rnd := testRand()
	for _, n := range []uint64{size, 65_536, 65_535, 65_537, 66_000} {
		checkTree(t, s, ref, n)
		checkProofs(t, s, ref, n, sample(rnd.Uint64N, n, 50))
	}
}

// sample is the first and the last index below n, and k random ones.
func sample(uint64n func(uint64) uint64, n uint64, k int) []uint64 {
	if n == 0 {
		return nil
	}
	indexes := []uint64{0, n - 1, n / 2}
	for range k {
		indexes = append(indexes, uint64n(n))
	}
	return indexes
}

func checkTree(t *testing.T, r tlog.TileReader, ref *reference, size uint64) {
	t.Helper()
	want := ref.root(t, size)
	root, err := tlog.TreeRoot(exact{r, size}, size)
	if err != nil || root != want {
		t.Fatalf("TreeRoot(%d) = %x, %v; want %x", size, root, err, want)
	}
	reopened, err := tlog.OpenTileTree(exact{r, size}, size)
	if err != nil {
		t.Fatal(err)
	}
	var f tlog.Frontier
	if size <= 1100 {
		for i := range size {
			f.Append(leaf(i))
		}
		if reopened.Frontier() != f {
			t.Fatalf("size %d: the reopened frontier differs", size)
		}
	}
	for _, tile := range reopened.Partial() {
		got, err := reopened.ReadTile(tile)
		want, wantErr := r.ReadTile(tile)
		if err != nil || wantErr != nil || !slices.Equal(got, want) {
			t.Fatalf("size %d: reopened tile %s differs (%v, %v)", size, tile.Path(), err, wantErr)
		}
	}
}

func checkProofs(t *testing.T, r tlog.TileReader, ref *reference, size uint64, indexes []uint64) {
	t.Helper()
	root := ref.root(t, size)
	for _, i := range indexes {
		path, err := tlog.InclusionProof(exact{r, size}, i, size)
		if err != nil {
			t.Fatal(err)
		}
		want, err := xtlog.ProveRecord(int64(size), int64(i), ref)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(toX(path), want) {
			t.Fatalf("InclusionProof(%d, %d) differs from the reference", i, size)
		}
		if err := tlog.VerifyInclusion(path, i, size, leaf(i), root); err != nil {
			t.Fatal(err)
		}

		old := i + 1
		path, err = tlog.ConsistencyProof(exact{r, size}, old, size)
		if err != nil {
			t.Fatal(err)
		}
		wantTree, err := xtlog.ProveTree(int64(size), int64(old), ref)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(toX(path), wantTree) {
			t.Fatalf("ConsistencyProof(%d, %d) differs from the reference", old, size)
		}
		if err := tlog.VerifyConsistency(path, old, size, ref.root(t, old), root); err != nil {
			t.Fatal(err)
		}
	}
}

// The verifiers accept exactly what golang.org/x/mod accepts, whatever is wrong with a proof.
func TestVerifyDecidesAsReference(t *testing.T) {
	rounds := 20_000
	if testing.Short() {
		rounds = 2_000
	}
	rnd := testRand()
	const last = 300
	s, ref := growStore(t, last)
	accepted := 0
	mutate := func(path []tlog.Hash) []tlog.Hash {
		switch rnd.IntN(5) {
		case 0:
			if len(path) > 0 {
				path[rnd.IntN(len(path))][rnd.IntN(32)] ^= 1 << rnd.IntN(8)
			}
		case 1:
			if len(path) > 0 {
				at := rnd.IntN(len(path))
				path = slices.Delete(path, at, at+1)
			}
		case 2:
			path = slices.Insert(path, rnd.IntN(len(path)+1), leaf(rnd.Uint64N(last)))
		}
		return path
	}
	near := func(n uint64) uint64 {
		if rnd.IntN(2) == 0 {
			return n
		}
		return max(1, n+rnd.Uint64N(5)) - 1
	}
	for range rounds {
		size := 1 + rnd.Uint64N(last)
		i := rnd.Uint64N(size)
		path, err := tlog.InclusionProof(s, i, size)
		if err != nil {
			t.Fatal(err)
		}
		path, root := mutate(path), ref.root(t, size)
		i2, size2 := near(i), near(size)
		got := tlog.VerifyInclusion(path, i2, size2, leaf(i), root)
		want := xtlog.CheckRecord(toX(path), int64(size2), xtlog.Hash(root), int64(i2), xtlog.Hash(leaf(i)))
		if (got == nil) != (want == nil) {
			t.Fatalf("inclusion of %d in %d shown as %d in %d: %v, reference: %v", i, size, i2, size2, got, want)
		}
		if got == nil {
			accepted++
		} else {
			wantReason(t, got, reason.NotIncluded)
		}

		old := i + 1
		path, err = tlog.ConsistencyProof(s, old, size)
		if err != nil {
			t.Fatal(err)
		}
		path = mutate(path)
		old2, size2 := max(1, near(old)), near(size)
		oldRoot := ref.root(t, old)
		if rnd.IntN(8) == 0 {
			oldRoot[0] ^= 1
		}
		got = tlog.VerifyConsistency(path, old2, size2, oldRoot, root)
		want = xtlog.CheckTree(toX(path), int64(size2), xtlog.Hash(root), int64(old2), xtlog.Hash(oldRoot))
		if (got == nil) != (want == nil) {
			t.Fatalf("consistency of %d and %d shown as %d and %d: %v, reference: %v", old, size, old2, size2, got, want)
		}
	}
	if accepted == 0 || accepted == rounds {
		t.Errorf("%d of %d proofs accepted: the test tests nothing", accepted, rounds)
	}
}

func TestVerifyConsistencyAtTheEnds(t *testing.T) {
	empty, one := tlog.Root(nil), leaf(0)
	for _, tt := range []struct {
		name             string
		path             []tlog.Hash
		old, size        uint64
		oldRoot, newRoot tlog.Hash
		ok               bool
	}{
		{"empty to empty", nil, 0, 0, empty, empty, true},
		{"empty to one", nil, 0, 1, empty, one, true},
		{"empty with a path", []tlog.Hash{one}, 0, 1, empty, one, false},
		{"empty with another root", nil, 0, 1, tlog.Hash{}, one, false},
		{"empty to empty with another root", nil, 0, 0, empty, one, false},
		{"same", nil, 1, 1, one, one, true},
		{"same with a path", []tlog.Hash{one}, 1, 1, one, one, false},
		{"same size, two roots", nil, 1, 1, one, leaf(1), false},
		{"fewer", nil, 2, 1, one, one, false},
		{"no path", nil, 3, 4, one, one, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if err := tlog.VerifyConsistency(tt.path, tt.old, tt.size, tt.oldRoot, tt.newRoot); (err == nil) != tt.ok {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestProofsRefuse(t *testing.T) {
	s, _ := growStore(t, 10)
	if _, err := tlog.InclusionProof(s, 10, 10); err == nil {
		t.Error("a leaf beyond the tree was proved")
	}
	if _, err := tlog.InclusionProof(s, 0, 1<<63); err == nil {
		t.Error("a tree of 2^63 leaves was proved")
	}
	if _, err := tlog.ConsistencyProof(s, 11, 10); err == nil {
		t.Error("a shrinking tree was proved")
	}
	if _, err := tlog.OpenTileTree(s, 1<<63); err == nil {
		t.Error("a tree of 2^63 leaves was opened")
	}
	if path, err := tlog.ConsistencyProof(s, 0, 10); err != nil || path != nil {
		t.Errorf("from nothing: %v, %v", path, err)
	}
	for name, r := range map[string]tlog.TileReader{
		"error": readerFunc(func(tlog.Tile) ([]byte, error) { return nil, errBroken }),
		"short": readerFunc(func(t tlog.Tile) ([]byte, error) { return make([]byte, t.Width*32-1), nil }),
		"long":  readerFunc(func(t tlog.Tile) ([]byte, error) { return make([]byte, t.Width*32+32), nil }),
	} {
		_, err1 := tlog.InclusionProof(r, 3, 10)
		_, err2 := tlog.ConsistencyProof(r, 3, 10)
		_, err3 := tlog.TreeRoot(r, 10)
		for _, err := range []error{err1, err2, err3} {
			if err == nil || name == "error" && !errors.Is(err, errBroken) {
				t.Errorf("reader %s: got %v", name, err)
			}
		}
	}
}

type readerFunc func(tlog.Tile) ([]byte, error)

func (f readerFunc) ReadTile(t tlog.Tile) ([]byte, error) { return f(t) }
