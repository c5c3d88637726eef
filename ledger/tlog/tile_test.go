package tlog_test

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	xtlog "golang.org/x/mod/sumdb/tlog"

	"github.com/quorate-pki/quorate/ledger/tlog"
)

func TestTilePath(t *testing.T) {
	for path, want := range map[string]tlog.Tile{
		"tile/0/000":                                {0, 0, 256},
		"tile/0/x001/x234/067":                      {0, 1234067, 256},
		"tile/0/x001/x234/067.p/8":                  {0, 1234067, 8},
		"tile/1/999.p/255":                          {1, 999, 255},
		"tile/63/x001/000.p/1":                      {63, 1000, 1},
		"tile/entries/000":                          {-1, 0, 256},
		"tile/entries/x273/112.p/112":               {-1, 273112, 112},
		"tile/0/x018/x446/x744/x073/x709/x551/615":  {0, math.MaxUint64, 256},
		"tile/entries/x009/x223/x372/x036/x854/775": {-1, 9223372036854775, 256},
	} {
		if got := want.Path(); got != path {
			t.Errorf("%v.Path() = %q, want %q", want, got, path)
		}
		if got, err := tlog.ParseTilePath(path); err != nil || got != want {
			t.Errorf("ParseTilePath(%q) = %v, %v", path, got, err)
		}
	}
}

func TestParseTilePathRefuses(t *testing.T) {
	for _, path := range []string{
		"", "tile", "tile/", "tile/0", "tile/0/", "/tile/0/000", "tile/0/000/", "tile/0//000", "tile/00/000", "tile/64/000",
		"tile/-1/000", "tile/+1/000", "tile/data/000", "tile/Entries/000", "tile/8/0/000", "tile/0/00", "tile/0/0000",
		"tile/0/x000/000", "tile/0/x001", "tile/0/001/002", "tile/0/x001/x002", "tile/0/xx01/002", "tile/0/X001/002",
		"tile/0/000.p", "tile/0/000.p/", "tile/0/000.p/0", "tile/0/000.p/256", "tile/0/000.p/08", "tile/0/000.p/-1",
		"tile/0/000.p/1/2", "tile/0/000.p/1.p/1", "tile/0/x001.p/1/000", "tile/0/1e1", "tile/0/ 00", "tile/0/000 ",
		"tile/0/x018/x446/x744/x073/x709/x551/616", "tile/0/x001/x000/x000/x000/x000/x000/x000/000",
		"tile/0/../000", "tile/0/%30", "tile/0/000?x", "tile/0/000\x00", strings.Repeat("x", 1000),
	} {
		if got, err := tlog.ParseTilePath(path); err == nil {
			t.Errorf("ParseTilePath(%q) = %v", path, got)
		}
	}
}

func TestTileAt(t *testing.T) {
	for _, tt := range []struct {
		level       int
		index, size uint64
		width       int // 0: none
	}{
		{0, 0, 0, 0}, {0, 0, 1, 1}, {0, 0, 256, 256}, {0, 1, 256, 0}, {1, 0, 255, 0}, {1, 0, 256, 1},
		{0, 273, 70_000, 112}, {0, 272, 70_000, 256}, {0, 274, 70_000, 0}, {1, 1, 70_000, 17}, {2, 0, 70_000, 1},
		{3, 0, 70_000, 0}, {-1, 273, 70_000, 112}, {-1, 274, 70_000, 0}, {-2, 0, 70_000, 0}, {63, 0, math.MaxUint64, 0},
		{64, 0, math.MaxUint64, 0}, {7, 0, math.MaxInt64, 127}, {0, math.MaxUint64, math.MaxInt64, 0},
	} {
		got, ok := tlog.TileAt(tt.level, tt.index, tt.size)
		if ok != (tt.width > 0) || ok && got != (tlog.Tile{Level: tt.level, Index: tt.index, Width: tt.width}) {
			t.Errorf("TileAt(%d, %d, %d) = %v, %v", tt.level, tt.index, tt.size, got, ok)
		}
		for _, w := range []int{-1, 0, 1, tt.width, tt.width + 1, 256, 257} {
			in := tlog.Tile{Level: tt.level, Index: tt.index, Width: w}.In(tt.size)
			if want := w >= 1 && w <= tt.width; in != want {
				t.Errorf("width %d of tile (%d, %d) in %d: %v", w, tt.level, tt.index, tt.size, in)
			}
		}
	}
}

// Every width of every tile of the right edge is the prefix of what it becomes, and hashes as x/mod hashes it.
func TestTileTreePartialTiles(t *testing.T) {
	const size = 2*256 + 77
	s, ref := growStore(t, size)
	for _, tile := range s.tree.Partial() {
		for w := 1; w <= tile.Width; w++ {
			tile.Width = w
			got, err := s.tree.ReadTile(tile)
			if err != nil {
				t.Fatal(err)
			}
			want, err := xtlog.ReadTileData(xtlog.Tile{H: 8, L: tile.Level, N: int64(tile.Index), W: w}, ref)
			if err != nil || !bytes.Equal(got, want) {
				t.Fatalf("tile %s differs from the reference (%v)", tile.Path(), err)
			}
		}
	}
	for tile, data := range s.full {
		want, err := xtlog.ReadTileData(xtlog.Tile{H: 8, L: tile.Level, N: int64(tile.Index), W: 256}, ref)
		if err != nil || !bytes.Equal(data, want) {
			t.Errorf("tile %s differs from the reference (%v)", tile.Path(), err)
		}
	}
	for _, tile := range []tlog.Tile{
		{0, 2, 78}, {0, 1, 256}, {0, 1, 1}, {0, 3, 1}, {0, 2, 0}, {0, 2, -1}, {1, 0, 3}, {1, 1, 1}, {2, 0, 1},
		{7, 0, 1}, {8, 0, 1}, {-1, 2, 77}, {-2, 0, 1}, {63, 0, 1},
	} {
		if _, err := s.tree.ReadTile(tile); !errors.Is(err, tlog.ErrNoTile) {
			t.Errorf("tile %v: got %v, want ErrNoTile", tile, err)
		}
	}
}

// A tile handed out never changes, whatever is appended later or done to another copy.
func TestTileTreeHandsOutItsTiles(t *testing.T) {
	s, _ := growStore(t, 256+10)
	tile := tlog.Tile{Level: 0, Index: 1, Width: 10}
	got, err := s.tree.ReadTile(tile)
	if err != nil {
		t.Fatal(err)
	}
	kept := slices.Clone(got)
	clear(got)
	for i := range uint64(256) {
		s.append(leaf(1000 + i))
	}
	if again := s.full[tile.Full()][:320]; !bytes.Equal(again, kept) {
		t.Error("a copy shares memory with the tree")
	}
	full := slices.Clone(s.full[tlog.Tile{Level: 0, Index: 1, Width: 256}])
	for i := range uint64(300) {
		s.append(leaf(5000 + i))
	}
	if !bytes.Equal(full, s.full[tlog.Tile{Level: 0, Index: 1, Width: 256}]) {
		t.Error("a completed tile changed")
	}
}

// A tree that was closed and opened goes on like one that never was.
func TestTileTreeReopens(t *testing.T) {
	for _, cut := range []uint64{0, 1, 255, 256, 257, 511, 512, 600} {
		s, _ := growStore(t, cut)
		reopened, err := tlog.OpenTileTree(s, cut)
		if err != nil {
			t.Fatal(err)
		}
		for i := range uint64(600) {
			want, got := s.tree.Append(leaf(cut+i)), reopened.Append(leaf(cut+i))
			if !slices.EqualFunc(got, want, func(a, b tlog.CompletedTile) bool {
				return a.Tile == b.Tile && bytes.Equal(a.Data, b.Data)
			}) {
				t.Fatalf("cut at %d, %d leaves later: other tiles are completed", cut, i)
			}
		}
		if reopened.Root() != s.tree.Root() {
			t.Errorf("cut at %d: another root", cut)
		}
	}
}

// xTiles serves our tiles to golang.org/x/mod's authenticating reader, by their C2SP paths.
type xTiles struct{ tlog.TileReader }

func (x xTiles) Height() int                      { return 8 }
func (x xTiles) SaveTiles([]xtlog.Tile, [][]byte) {}
func (x xTiles) ReadTiles(tiles []xtlog.Tile) ([][]byte, error) {
	var out [][]byte
	for _, xt := range tiles {
		path := strings.Replace(xt.Path(), "tile/8/", "tile/", 1)
		t, err := tlog.ParseTilePath(path)
		if err != nil {
			return nil, err
		}
		data, err := x.ReadTile(t)
		if err != nil {
			return nil, err
		}
		out = append(out, data)
	}
	return out, nil
}

func TestTilesServeReference(t *testing.T) {
	sizes := []uint64{1, 2, 255, 256, 257, 511, 512, 513, 1000, 1100}
	if !testing.Short() {
		sizes = append(sizes, 70_000)
	}
	rnd := testRand()
	for _, size := range sizes {
		s, ref := growStore(t, size)
		tree := xtlog.Tree{N: int64(size), Hash: xtlog.Hash(s.tree.Root())}
		r := xtlog.TileHashReader(tree, xTiles{exact{s, size}})
		for _, i := range sample(rnd.Uint64N, size, 20) {
			want, err := xtlog.ProveRecord(int64(size), int64(i), r)
			if err != nil {
				t.Fatalf("size %d: %v", size, err)
			}
			got, err := tlog.InclusionProof(s, i, size)
			if err != nil || !slices.Equal(toX(got), want) {
				t.Fatalf("size %d, leaf %d: %v", size, i, err)
			}
		}
		if root := ref.root(t, size); root != s.tree.Root() {
			t.Errorf("size %d: another root", size)
		}
	}
}

func TestBundle(t *testing.T) {
	var bundle []byte
	var err error
	for i := range uint64(256) {
		if bundle, err = tlog.AppendBundleEntry(bundle, entry(i)); err != nil {
			t.Fatal(err)
		}
	}
	entries, err := tlog.SplitBundle(bundle)
	if err != nil || len(entries) != 256 {
		t.Fatalf("%d entries, %v", len(entries), err)
	}
	for i, e := range entries {
		if !bytes.Equal(e, entry(uint64(i))) {
			t.Errorf("entry %d differs", i)
		}
	}
	for cut := range len(bundle) { // a cut within an entry is noticed, one between entries is the caller's to notice
		if entries, err := tlog.SplitBundle(bundle[:cut]); err == nil && !bytes.Equal(joinBundle(t, entries), bundle[:cut]) {
			t.Errorf("cut at %d: misread", cut)
		}
	}
	if _, err := tlog.SplitBundle(append(bundle, 0, 0)); err == nil {
		t.Error("a bundle of 257 entries was accepted")
	}
	if entries, err := tlog.SplitBundle(nil); err != nil || len(entries) != 0 {
		t.Errorf("no bytes: %v, %v", entries, err)
	}
}

func joinBundle(t testing.TB, entries [][]byte) []byte {
	t.Helper()
	var b []byte
	for _, e := range entries {
		var err error
		if b, err = tlog.AppendBundleEntry(b, e); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

func TestBundleLimits(t *testing.T) {
	for _, n := range []int{0, 1, 65_535} {
		b, err := tlog.AppendBundleEntry([]byte("ab"), make([]byte, n))
		if err != nil || len(b) != 2+2+n {
			t.Errorf("entry of %d bytes: %d, %v", n, len(b), err)
		}
	}
	b, err := tlog.AppendBundleEntry([]byte("ab"), make([]byte, 65_536))
	if err == nil || string(b) != "ab" {
		t.Errorf("entry of 65,536 bytes: %d, %v", len(b), err)
	}
	for _, bad := range []string{"\x00", "\x00\x01", "\x00\x01a\x00", "\xff\xff"} {
		if _, err := tlog.SplitBundle([]byte(bad)); err == nil {
			t.Errorf("%x was accepted", bad)
		}
	}
	// The entries cannot grow into each other.
	entries, err := tlog.SplitBundle([]byte("\x00\x01a\x00\x01b"))
	if err != nil {
		t.Fatal(err)
	}
	_ = append(entries[0], 'x', 'x', 'x')
	if got := fmt.Sprintf("%s", entries); got != "[a b]" {
		t.Errorf("appending to an entry changed the bundle: %s", got)
	}
}
