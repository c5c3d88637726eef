package tlog

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

const (
	// TileWidth is the width of a full tile, in hashes or entries; its height is tileHeight.
	TileWidth  = 256
	tileHeight = 8

	// EntriesLevel is the level of entry bundles.
	EntriesLevel = -1

	// maxLevel bounds the levels that a path may name (c2sp.org/tlog-tiles); no tree here reaches beyond 7.
	maxLevel = 63

	// maxTilePath bounds a path in bytes: tile/entries/, seven elements of an index of 20 digits, .p/255.
	maxTilePath = len("tile/entries/x018/x446/x744/x073/x709/x551/615.p/255")
)

// Tile names a tile of c2sp.org/tlog-tiles: Width consecutive hashes of tile level Level, from hash Index*256 on.
// A hash at level L is the root of 256^L leaves.
type Tile struct {
	Level int    // 0..63; EntriesLevel is the bundle of the entries themselves
	Index uint64 // counted in full tiles
	Width int    // 1..256; under 256 the tile is partial
}

// TileReader reads tiles. An implementation that holds only a wider tile returns the prefix asked for.
type TileReader interface {
	// ReadTile returns exactly Width*32 bytes of a hash tile, or the Width entries of a bundle as
	// AppendBundleEntry writes them. The caller does not change the bytes. What a reader returns is not
	// trusted: whoever builds on it checks against a root.
	ReadTile(t Tile) ([]byte, error)
}

// ErrNoTile says that a reader does not hold the tile; ask another.
var ErrNoTile = errors.New("no such tile")

// TileAt is the widest tile at this level and index in a tree of size leaves; false when there is none, because a
// tile is never empty.
func TileAt(level int, index, size uint64) (Tile, bool) {
	if level < EntriesLevel || level > maxLevel {
		return Tile{}, false
	}
	hashes := size >> (tileHeight * max(level, 0))
	if index > hashes/TileWidth {
		return Tile{}, false
	}
	width := min(hashes-index*TileWidth, TileWidth)
	return Tile{Level: level, Index: index, Width: int(width)}, width > 0
}

// In reports whether the tile, at its width, is part of a tree of size leaves.
func (t Tile) In(size uint64) bool {
	widest, ok := TileAt(t.Level, t.Index, size)
	return ok && t.Width >= 1 && t.Width <= widest.Width
}

// Full is the same tile at width 256.
func (t Tile) Full() Tile {
	t.Width = TileWidth
	return t
}

// Path is the tile's path below a log's prefix, without a leading slash: tile/<L>/<N>[.p/<W>], where N comes in
// elements of three digits, all but the last with an x: tile/0/x001/x234/067.p/8, tile/entries/000.
func (t Tile) Path() string {
	level := "entries"
	if t.Level != EntriesLevel {
		level = strconv.Itoa(t.Level)
	}
	index := fmt.Sprintf("%03d", t.Index%1000)
	for n := t.Index / 1000; n > 0; n /= 1000 {
		index = fmt.Sprintf("x%03d/%s", n%1000, index)
	}
	path := "tile/" + level + "/" + index
	if t.Width != TileWidth {
		path += ".p/" + strconv.Itoa(t.Width)
	}
	return path
}

// ParseTilePath is the inverse of Path: it takes exactly the paths that Path gives for valid tiles.
func ParseTilePath(path string) (Tile, error) {
	malformed := fmt.Errorf("malformed tile path %.80q", path)
	if len(path) > maxTilePath {
		return Tile{}, malformed
	}
	rest, ok := strings.CutPrefix(path, "tile/")
	if !ok {
		return Tile{}, malformed
	}
	level, rest, ok := strings.Cut(rest, "/")
	if !ok {
		return Tile{}, malformed
	}
	t := Tile{Level: EntriesLevel, Width: TileWidth}
	if level != "entries" {
		l, err := strconv.ParseUint(level, 10, 8)
		if err != nil || l > maxLevel {
			return Tile{}, malformed
		}
		t.Level = int(l)
	}
	if index, width, ok := strings.Cut(rest, ".p/"); ok {
		w, err := strconv.ParseUint(width, 10, 16)
		if err != nil || w < 1 || w >= TileWidth {
			return Tile{}, malformed
		}
		t.Width, rest = int(w), index
	}
	for element := range strings.SplitSeq(rest, "/") {
		n, err := strconv.ParseUint(strings.TrimPrefix(element, "x"), 10, 16)
		if err != nil || n > 999 || t.Index > (math.MaxUint64-n)/1000 {
			return Tile{}, malformed
		}
		t.Index = t.Index*1000 + n
	}
	if t.Path() != path { // leading zeros, a missing or superfluous x, too few digits
		return Tile{}, malformed
	}
	return t, nil
}

// readHashes reads a hash tile and checks its length.
func readHashes(r TileReader, t Tile) ([]byte, error) {
	data, err := r.ReadTile(t)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", t.Path(), err)
	}
	if len(data) != t.Width*sha256.Size {
		return nil, fmt.Errorf("reading %s: %d bytes, want %d", t.Path(), len(data), t.Width*sha256.Size)
	}
	return data, nil
}

// hashesRoot is the root over consecutive hashes of a tile; their number is a power of two.
func hashesRoot(data []byte) Hash {
	if len(data) == sha256.Size {
		return Hash(data)
	}
	half := len(data) / 2
	return NodeHash(hashesRoot(data[:half]), hashesRoot(data[half:]))
}
