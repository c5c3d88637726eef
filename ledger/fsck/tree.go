package fsck

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"path"
	"strings"

	"github.com/quorate-pki/quorate/internal/durable"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/layout"
	"github.com/quorate-pki/quorate/ledger/tlog"
)

const (
	maxBundle = tlog.TileWidth * (2 + ledger.MaxEntry)
	maxTile   = 2 * tlog.TileWidth * 32
)

// tree reads a log's files and rebuilds its hash tiles twice: from the leaves, and from the hash tiles of level 0 as
// stored. Where the two differ, the cosigned root says which of them is wrong.
type tree struct {
	c      *checker
	size   uint64
	leaf   func(raw []byte) // called for every leaf in order, until one cannot be read
	leaves tlog.TileTree    // by the leaves; by the stored hashes where leaves cannot be read
	stored tlog.TileTree    // by the stored hashes; by the leaves where there is none
	roots  map[uint64]ledger.Hash

	unread   bool // leaves are missing
	lost     bool // so are their hashes: there is no tree
	disagree []disagreement
}

// disagreement is a bundle and the hash tile over it that do not fit.
type disagreement struct {
	number uint64
	leaf   uint64 // the first
}

func (t *tree) name(tile tlog.Tile) string { return path.Join(layout.Log(0), tile.Path()) }

func bundleTile(n uint64) tlog.Tile {
	return tlog.Tile{Level: tlog.EntriesLevel, Index: n, Width: tlog.TileWidth}
}

// leafFile is the file that holds a leaf.
func (t *tree) leafFile(leaf uint64) string {
	if leaf/tlog.TileWidth < t.size/tlog.TileWidth {
		return t.name(bundleTile(leaf / tlog.TileWidth))
	}
	return path.Join(layout.Log(0), layout.Edge)
}

// run reads size leaves. roots names the sizes whose roots are wanted.
func (t *tree) run() {
	for n := range t.size / tlog.TileWidth {
		if t.bundle(n); t.lost {
			return
		}
	}
	t.edge()
}

func (t *tree) bundle(n uint64) {
	entries := t.entries(n)
	hashes := t.hashes(n)
	if entries == nil && hashes == nil {
		t.unread, t.lost = true, true
		return
	}
	t.unread = t.unread || entries == nil
	agreed := true
	for i := range tlog.TileWidth {
		var byLeaf, byTile tlog.Hash
		if entries != nil {
			byLeaf = tlog.LeafHash(entries[i])
			byTile = byLeaf
		}
		if hashes != nil {
			byTile = tlog.Hash(hashes[32*i : 32*i+32])
			if entries == nil {
				byLeaf = byTile
			}
		}
		if byLeaf != byTile && agreed {
			agreed = false
			t.disagree = append(t.disagree, disagreement{n, n*tlog.TileWidth + uint64(i)})
		}
		if entries != nil && !t.unread {
			t.leaf(entries[i])
		}
		t.add(byLeaf, byTile)
	}
}

// entries reads a full bundle; nil, and named, if it cannot be.
func (t *tree) entries(n uint64) [][]byte {
	name := t.name(bundleTile(n))
	data, ok := t.c.read(name, maxBundle)
	if !ok {
		return nil
	}
	entries, err := tlog.SplitBundle(data)
	if err == nil && len(entries) != tlog.TileWidth {
		err = fmt.Errorf("%d entries, want %d", len(entries), tlog.TileWidth)
	}
	if err != nil {
		t.c.differs(name, "is no bundle: %v", err)
		return nil
	}
	return entries
}

// hashes reads a full hash tile of level 0.
func (t *tree) hashes(n uint64) []byte {
	name := t.name(tlog.Tile{Index: n, Width: tlog.TileWidth})
	data, ok := t.c.read(name, maxTile)
	if !ok {
		return nil
	}
	if len(data) != tlog.TileWidth*32 {
		t.c.differs(name, "has %d bytes, want %d", len(data), tlog.TileWidth*32)
		return nil
	}
	return data
}

// add appends a leaf to both trees and compares the tiles above level 0 that it completes: they must fit one of the two.
func (t *tree) add(byLeaf, byTile tlog.Hash) {
	done := t.leaves.Append(byLeaf)
	other := t.stored.Append(byTile)
	for i, d := range done {
		if d.Tile.Level == 0 {
			continue
		}
		name := t.name(d.Tile)
		data, ok := t.c.read(name, maxTile)
		if ok && !bytes.Equal(data, d.Data) && !bytes.Equal(data, other[i].Data) {
			t.c.differs(name, "differs from the tiles below it")
		}
	}
	if _, wanted := t.roots[t.leaves.Size()]; wanted {
		t.roots[t.leaves.Size()] = t.leaves.Root()
	}
}

// splitEdge takes an edge file's entries apart, up to the first that a crash cut.
func splitEdge(data []byte) (entries [][]byte, rest int) {
	data = data[layout.EdgeHeader:]
	for len(data) >= 2 {
		n := int(binary.BigEndian.Uint16(data))
		if len(data) < 2+n {
			break
		}
		entries = append(entries, data[2:2+n])
		data = data[2+n:]
	}
	return entries, len(data)
}

// edge reads the leaves of the bundle that the size cuts. They are in the edge file; or, when a crash came after the
// bundle was full and before the index knew, in the bundle.
func (t *tree) edge() {
	name := path.Join(layout.Log(0), layout.Edge)
	number, want := t.size/tlog.TileWidth, int(t.size%tlog.TileWidth)
	data, ok := t.c.read(name, layout.EdgeHeader+maxBundle)
	if ok && len(data) < layout.EdgeHeader {
		t.c.differs(name, "has %d bytes", len(data))
		ok = false
	}
	if !ok {
		t.unread, t.lost = t.unread || want > 0, t.lost || want > 0
		return
	}
	entries, rest := splitEdge(data)
	switch at := binary.BigEndian.Uint64(data); {
	case at == number && len(entries) >= want:
		if len(entries) > want || rest > 0 {
			t.c.note(name, "goes beyond the index's size by %d entries and %d bytes, as a crash leaves it", len(entries)-want, rest)
		}
	case at > number && t.c.bundlesFrom(number, at):
		t.c.note(name, "is of bundle %d, the index's size of bundle %d, as a crash leaves it", at, number)
		if want == 0 {
			return
		}
		if entries = t.entries(number); entries == nil {
			t.unread, t.lost = true, true
			return
		}
	default:
		t.c.differs(name, "holds %d entries of bundle %d, want %d of bundle %d", len(entries), at, want, number)
		t.unread, t.lost = t.unread || want > 0, t.lost || want > 0
		return
	}
	for _, raw := range entries[:want] {
		if !t.unread {
			t.leaf(raw)
		}
		h := tlog.LeafHash(raw)
		t.add(h, h)
	}
}

// bundlesFrom reports whether there are full bundles from low up to, not including, high.
func (c *checker) bundlesFrom(low, high uint64) bool {
	for n := low; n < high; n++ {
		if _, ok := c.files[path.Join(layout.Log(0), bundleTile(n).Path())]; !ok {
			return false
		}
	}
	return true
}

// readable is how many leaves the files have, for when nothing says how many there must be.
func (c *checker) readable() uint64 {
	n := uint64(0)
	for c.bundlesFrom(n, n+1) {
		n++
	}
	edge := path.Join(layout.Log(0), layout.Edge)
	if _, ok := c.files[edge]; !ok {
		return n * tlog.TileWidth
	}
	data, ok := c.read(edge, layout.EdgeHeader+maxBundle)
	if !ok || len(data) < layout.EdgeHeader || binary.BigEndian.Uint64(data) != n {
		return n * tlog.TileWidth
	}
	entries, _ := splitEdge(data)
	return n*tlog.TileWidth + min(uint64(len(entries)), tlog.TileWidth-1)
}

// judge holds the trees against the root that must be, and names what is wrong. It reports whether the leaves are
// those of that root.
func (t *tree) judge(want anchor) bool {
	if t.lost {
		return false
	}
	byLeaves, byTiles := t.leaves.Root() == want.root, t.stored.Root() == want.root
	for _, d := range t.disagree {
		bundle, tile := t.name(bundleTile(d.number)), t.name(tlog.Tile{Index: d.number, Width: tlog.TileWidth})
		if !byTiles {
			t.c.differs(tile, "differs from the entries: leaf %d is the first", d.leaf)
		}
		if !byLeaves {
			t.c.differs(bundle, "differs from its hash tile: leaf %d is the first", d.leaf)
		}
	}
	if !byLeaves && len(t.disagree) == 0 {
		name := layout.Log(0)
		if t.size%tlog.TileWidth != 0 {
			name = path.Join(name, layout.Edge)
		}
		t.c.differs(name, "the log has another root at size %d than %s", t.size, want.by)
	}
	return byLeaves && !t.unread
}

// isLogFile reports whether a file is one that the log has at its size, and notes those beyond it.
func (c *checker) isLogFile(name string) bool {
	rest, ok := strings.CutPrefix(name, layout.Log(0)+"/")
	if !ok {
		return false
	}
	if rest == layout.Edge || rest == layout.Checkpoint {
		return true
	}
	t, err := tlog.ParseTilePath(rest)
	if err != nil || t.Width != tlog.TileWidth || t.Index > math.MaxInt64/tlog.TileWidth {
		return false
	}
	if !t.In(c.want.size) {
		c.note(name, "is beyond the index's size, as a crash leaves it; it is written again")
	}
	return true
}

// entry reads one leaf; nil if it cannot be read.
func (t *tree) entry(leaf uint64) *ledger.Entry {
	data, err := durable.Read(t.c.fs, t.c.path(t.leafFile(leaf)), layout.EdgeHeader+maxBundle)
	if err != nil {
		return nil
	}
	var entries [][]byte
	if leaf/tlog.TileWidth < t.size/tlog.TileWidth {
		entries, _ = tlog.SplitBundle(data)
	} else if len(data) >= layout.EdgeHeader {
		entries, _ = splitEdge(data)
	}
	if i := int(leaf % tlog.TileWidth); i < len(entries) {
		e, err := ledger.ParseEntry(entries[i])
		if err == nil {
			return e
		}
	}
	return nil
}
