package tlog

import (
	"bytes"
	"crypto/sha256"
	"fmt"
)

// tileLevels is the number of levels of hash tiles that a tree of maxSize leaves has.
const tileLevels = 8

// CompletedTile is a full hash tile that will never change again.
type CompletedTile struct {
	Tile Tile
	Data []byte // 8,192 bytes
}

// TileTree is a log's tiles as they grow: the partial tiles of the right edge in memory, the full ones handed out
// once. It holds 64 KiB at most. The zero value is the empty tree. Not safe for concurrent use.
type TileTree struct {
	frontier Frontier
	partial  [tileLevels][]byte // by level: the hashes of the edge's partial tile, fewer than 256
}

// OpenTileTree rebuilds the tree of size leaves. It reads at most one tile per level, the partial ones. The caller
// compares Root with what it knows: the tiles are not trusted.
func OpenTileTree(r TileReader, size uint64) (*TileTree, error) {
	if size > maxSize {
		return nil, fmt.Errorf("opening the tile tree: a tree of %d leaves", size)
	}
	t := &TileTree{}
	t.frontier.size = size
	for level := range tileLevels {
		hashes := size >> (tileHeight * level)
		width := int(hashes % TileWidth)
		if width == 0 {
			continue
		}
		data, err := readHashes(r, Tile{Level: level, Index: hashes / TileWidth, Width: width})
		if err != nil {
			return nil, fmt.Errorf("opening the tile tree: %w", err)
		}
		t.partial[level] = append(make([]byte, 0, TileWidth*sha256.Size), data...)
		// The bits of the width, from the highest, are the complete subtrees of the tile, from the left.
		for bit := tileHeight - 1; bit >= 0; bit-- {
			if n := sha256.Size << bit; width>>bit&1 == 1 {
				t.frontier.edge[tileHeight*level+bit] = hashesRoot(data[:n])
				data = data[n:]
			}
		}
	}
	return t, nil
}

// Append adds a leaf hash and returns the hash tiles that it completes, lowest level first: none 255 times of 256.
// Their data is the caller's own.
func (t *TileTree) Append(leaf Hash) []CompletedTile {
	var done []CompletedTile
	position := t.frontier.size
	t.frontier.add(leaf, func(level int, root Hash) {
		if level%tileHeight != 0 {
			return
		}
		p := &t.partial[level/tileHeight]
		if *p == nil {
			*p = make([]byte, 0, TileWidth*sha256.Size)
		}
		*p = append(*p, root[:]...)
		if len(*p) == TileWidth*sha256.Size {
			tile := Tile{Level: level / tileHeight, Index: position >> (level + tileHeight), Width: TileWidth}
			done = append(done, CompletedTile{Tile: tile, Data: *p})
			*p = nil
		}
	})
	return done
}

// Size is the number of leaves.
func (t *TileTree) Size() uint64 { return t.frontier.size }

// Root is the tree's root.
func (t *TileTree) Root() Hash { return t.frontier.Root() }

// Frontier is the right edge, an independent copy.
func (t *TileTree) Frontier() Frontier { return t.frontier }

// Partial lists the partial hash tiles of the current size, lowest level first.
func (t *TileTree) Partial() []Tile {
	var tiles []Tile
	for level := range tileLevels {
		hashes := t.frontier.size >> (tileHeight * level)
		if width := int(hashes % TileWidth); width > 0 {
			tiles = append(tiles, Tile{Level: level, Index: hashes / TileWidth, Width: width})
		}
	}
	return tiles
}

// ReadTile returns a copy of a partial hash tile of the right edge, at its current width or any smaller one; of
// every other tile ErrNoTile.
func (t *TileTree) ReadTile(tile Tile) ([]byte, error) {
	if tile.Level < 0 || tile.Level >= tileLevels || tile.Width < 1 {
		return nil, ErrNoTile
	}
	have := t.partial[tile.Level]
	edge := t.frontier.size >> (tileHeight * tile.Level) / TileWidth
	if tile.Index != edge || tile.Width > len(have)/sha256.Size {
		return nil, ErrNoTile
	}
	return bytes.Clone(have[:tile.Width*sha256.Size]), nil
}
