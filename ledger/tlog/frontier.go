package tlog

import (
	"crypto/sha256"
	"math/bits"
)

// Frontier is the right edge of a tree: enough to append leaves and to know the root, nothing else. The zero
// value is the empty tree. It is a plain value of about 2 KiB: an assignment makes an independent copy, and two
// frontiers of the same tree are equal under ==.
type Frontier struct {
	size uint64
	// edge[l] is the root of the complete subtree of 2^l leaves that bit l of size stands for; zero when that
	// bit is not set.
	edge [63]Hash
}

// Append adds a leaf hash at the right end. One NodeHash on average, 62 at most. It panics when the tree has maxSize leaves (2^63-1),
// which no log reaches: leaves are added one by one, and a size from outside only says how large another tree is.
func (f *Frontier) Append(leaf Hash) { f.add(leaf, nil) }

// add appends a leaf and calls completed, if not nil, for every subtree that the leaf completes, from the leaf
// itself (level 0) upwards; a subtree of level l has 2^l leaves.
func (f *Frontier) add(leaf Hash, completed func(level int, root Hash)) {
	if f.size >= maxSize {
		panic("tlog: the tree is full")
	}
	h := leaf
	for level := 0; ; level++ {
		if completed != nil {
			completed(level, h)
		}
		if f.size>>level&1 == 0 {
			f.edge[level] = h
			break
		}
		h = NodeHash(f.edge[level], h)
		f.edge[level] = Hash{}
	}
	f.size++
}

// Size is the number of leaves.
func (f *Frontier) Size() uint64 { return f.size }

// Root is the tree's root, RFC 6962 section 2.1.
func (f *Frontier) Root() Hash {
	if f.size == 0 {
		return sha256.Sum256(nil)
	}
	level := bits.TrailingZeros64(f.size)
	root := f.edge[level]
	for level++; f.size>>level != 0; level++ {
		if f.size>>level&1 == 1 {
			root = NodeHash(f.edge[level], root)
		}
	}
	return root
}

// Clone is an independent copy.
func (f *Frontier) Clone() Frontier { return *f }
