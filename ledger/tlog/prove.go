package tlog

import (
	"crypto/sha256"
	"fmt"
	"math/bits"
	"slices"
)

// InclusionProof is the audit path of leaf index in the tree of size leaves, from the leaf's sibling upwards (RFC 6962
// section 2.1.1). It is as good as the tiles are: whoever hands it on checks it with VerifyInclusion.
func InclusionProof(r TileReader, index, size uint64) ([]Hash, error) {
	if size > maxSize || index >= size {
		return nil, fmt.Errorf("proving inclusion: leaf %d of a tree of %d leaves", index, size)
	}
	tree := newTiledTree(r, size)
	var path []Hash
	lo, hi := uint64(0), size
	for hi-lo > 1 {
		mid := lo + split(hi-lo)
		var sibling Hash
		var err error
		if index < mid {
			sibling, err = tree.hash(mid, hi)
			hi = mid
		} else {
			sibling, err = tree.hash(lo, mid)
			lo = mid
		}
		if err != nil {
			return nil, fmt.Errorf("proving inclusion: %w", err)
		}
		path = append(path, sibling)
	}
	slices.Reverse(path) // found from the root down
	return path, nil
}

// ConsistencyProof proves that the tree of old leaves is a prefix of the tree of size leaves (RFC 6962 section 2.1.2).
// It is empty when old is 0 or size. It is as good as the tiles are.
func ConsistencyProof(r TileReader, old, size uint64) ([]Hash, error) {
	if size > maxSize || old > size {
		return nil, fmt.Errorf("proving consistency: from %d to %d leaves", old, size)
	}
	if old == 0 {
		return nil, nil
	}
	tree := newTiledTree(r, size)
	var path []Hash
	add := func(lo, hi uint64) error {
		h, err := tree.hash(lo, hi)
		if err != nil {
			return fmt.Errorf("proving consistency: %w", err)
		}
		path = append(path, h)
		return nil
	}
	// SUBPROOF(old, D[lo:hi], whole), from the root down: old stays absolute here, and whole says that the
	// verifier knows the root of D[0:old], so that lo is still 0.
	lo, hi := uint64(0), size
	for old != hi {
		mid := lo + split(hi-lo)
		var err error
		if old <= mid {
			err = add(mid, hi)
			hi = mid
		} else {
			err = add(lo, mid)
			lo = mid
		}
		if err != nil {
			return nil, err
		}
	}
	if lo != 0 {
		if err := add(lo, hi); err != nil {
			return nil, err
		}
	}
	slices.Reverse(path)
	return path, nil
}

// TreeRoot is the root of the tree of size leaves, from the tiles of its right edge.
func TreeRoot(r TileReader, size uint64) (Hash, error) {
	t, err := OpenTileTree(r, size)
	if err != nil {
		return Hash{}, fmt.Errorf("computing the root: %w", err)
	}
	return t.Root(), nil
}

// split is k of RFC 6962 section 2.1: the largest power of two smaller than n, for n > 1.
func split(n uint64) uint64 { return 1 << (bits.Len64(n-1) - 1) }

// tiledTree computes hashes of one tree from its tiles, reading each tile once.
type tiledTree struct {
	r    TileReader
	size uint64
	read map[Tile][]byte
}

func newTiledTree(r TileReader, size uint64) *tiledTree {
	return &tiledTree{r: r, size: size, read: make(map[Tile][]byte)}
}

// hash is MTH(D[lo:hi]) for a range that is a node of the tree: a complete subtree, or what is right of one.
func (t *tiledTree) hash(lo, hi uint64) (Hash, error) {
	if n := hi - lo; n&(n-1) == 0 {
		return t.complete(bits.TrailingZeros64(n), lo)
	}
	mid := lo + split(hi-lo)
	left, err := t.hash(lo, mid)
	if err != nil {
		return Hash{}, err
	}
	right, err := t.hash(mid, hi)
	if err != nil {
		return Hash{}, err
	}
	return NodeHash(left, right), nil
}

// complete is the root of the complete subtree of 2^level leaves that begins at leaf lo. It lies within one tile of
// level level/8, as 2^(level%8) of its hashes.
func (t *tiledTree) complete(level int, lo uint64) (Hash, error) {
	tileLevel := level / tileHeight
	first := lo >> (tileHeight * tileLevel) // in hashes of the tile's level
	tile, ok := TileAt(tileLevel, first/TileWidth, t.size)
	if !ok {
		return Hash{}, fmt.Errorf("no tile at level %d for leaf %d of %d", tileLevel, lo, t.size)
	}
	data, ok := t.read[tile]
	if !ok {
		var err error
		if data, err = readHashes(t.r, tile); err != nil {
			return Hash{}, err
		}
		t.read[tile] = data
	}
	from := int(first%TileWidth) * sha256.Size
	return hashesRoot(data[from : from+sha256.Size<<(level%tileHeight)]), nil
}
