package tlog

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
)

// ChunkTree is the Merkle tree (RFC 6962 section 2.1) over chunks that change and are added to, such as status chunks;
// its leaves are LeafHash of the chunks. A tree never changes: Overlay gives a new one that shares every unchanged node,
// so that pending states can be stacked on the final one and dropped. Safe for concurrent use. The zero value is empty.
//
// A tree of n chunks takes about 96 bytes per chunk, an overlay about 50*log2(n) bytes per changed chunk.
type ChunkTree struct {
	root *chunkNode // nil when empty
	n    uint64
}

// chunkNode is a node over some number of chunks, split as RFC 6962 splits them; that number follows from its place. A
// leaf has no children.
type chunkNode struct {
	hash        Hash
	left, right *chunkNode
}

type chunkChange struct {
	index uint64
	hash  Hash
}

// NewChunkTree builds the tree over leaf hashes.
func NewChunkTree(hashes []Hash) *ChunkTree {
	changes := make([]chunkChange, len(hashes))
	for i, h := range hashes {
		changes[i] = chunkChange{uint64(i), h}
	}
	return (&ChunkTree{}).apply(changes, uint64(len(hashes)))
}

// Overlay is the tree of n chunks in which the leaf hashes of changes replace those of t; t stays as it is. Trees only
// grow: n is at least t.Len(), and changes has a hash for every chunk that is added. Anything else is a mistake of the
// caller's and panics. It takes about log2(n) hashes per change.
func (t *ChunkTree) Overlay(changes map[uint64]Hash, n uint64) *ChunkTree {
	sorted := make([]chunkChange, 0, len(changes))
	for _, i := range slices.Sorted(maps.Keys(changes)) {
		sorted = append(sorted, chunkChange{i, changes[i]})
	}
	return t.apply(sorted, n)
}

// apply is Overlay for changes in order of index.
func (t *ChunkTree) apply(changes []chunkChange, n uint64) *ChunkTree {
	if n < t.n {
		panic(fmt.Sprintf("tlog: a tree of %d chunks cannot shrink to %d", t.n, n))
	}
	at := searchChange(changes, t.n)
	if added := changes[at:]; uint64(len(added)) != n-t.n || len(added) > 0 && added[len(added)-1].index != n-1 {
		panic(fmt.Sprintf("tlog: %d changes do not take a tree of %d chunks to %d", len(changes), t.n, n))
	}
	if len(changes) == 0 {
		return t
	}
	return &ChunkTree{root: t.root.update(t.n, n, 0, changes), n: n}
}

// update is the node over the n chunks from first on, with changes applied. c is the node over the first old of these
// chunks, nil if there is none; all changes lie within, and they name every chunk from old on.
func (c *chunkNode) update(old, n, first uint64, changes []chunkChange) *chunkNode {
	if len(changes) == 0 {
		return c // nothing added, so old == n
	}
	if n == 1 {
		return &chunkNode{hash: changes[0].hash}
	}
	k := split(n)
	at := searchChange(changes, first+k)
	var left, right *chunkNode
	if old <= k {
		left = c.update(old, k, first, changes[:at])
		right = (*chunkNode)(nil).update(0, n-k, first+k, changes[at:])
	} else { // k < old <= n, so old splits at k too
		left = c.left.update(k, k, first, changes[:at])
		right = c.right.update(old-k, n-k, first+k, changes[at:])
	}
	return &chunkNode{hash: NodeHash(left.hash, right.hash), left: left, right: right}
}

// searchChange is the position of the first change whose index is at least i.
func searchChange(changes []chunkChange, i uint64) int {
	at, _ := slices.BinarySearchFunc(changes, i, func(c chunkChange, i uint64) int { return cmp.Compare(c.index, i) })
	return at
}

// Len is the number of chunks.
func (t *ChunkTree) Len() uint64 { return t.n }

// Root is the root over all chunks.
func (t *ChunkTree) Root() Hash {
	if t.root == nil {
		return Root(nil)
	}
	return t.root.hash
}

// Leaf is the leaf hash of chunk i, which must exist.
func (t *ChunkTree) Leaf(i uint64) Hash {
	leaf, _ := t.descend(i)
	return leaf
}

// Path is the audit path of chunk i, which must exist, from the leaf's sibling upwards (RFC 6962 section 2.1.1).
func (t *ChunkTree) Path(i uint64) []Hash {
	_, path := t.descend(i)
	return path
}

func (t *ChunkTree) descend(i uint64) (leaf Hash, path []Hash) {
	if i >= t.n {
		panic(fmt.Sprintf("tlog: chunk %d of a tree of %d chunks", i, t.n))
	}
	node := t.root
	for n := t.n; n > 1; {
		k := split(n)
		if i < k {
			path = append(path, node.right.hash)
			node, n = node.left, k
		} else {
			path = append(path, node.left.hash)
			node, n, i = node.right, n-k, i-k
		}
	}
	slices.Reverse(path)
	return node.hash, path
}
