package tlog

import (
	"errors"
	"fmt"
	"math/bits"

	"github.com/quorate-pki/quorate/internal/reason"
)

// VerifyInclusion checks that leaf is leaf number index of the tree of size leaves with this root (RFC 9162 section
// 2.1.3.2). The path must have exactly the length that index and size demand. A refusal is reason.NotIncluded.
func VerifyInclusion(path []Hash, index, size uint64, leaf, root Hash) error {
	if index >= size {
		return reason.New(reason.NotIncluded, "leaf %d of a tree of %d leaves", index, size)
	}
	at, last := index, size-1 // positions at the level of h: of h itself, and of the tree's last node
	h := leaf
	for _, p := range path {
		if last == 0 {
			return reason.New(reason.NotIncluded, "a path of %d hashes is too long for leaf %d of %d", len(path), index, size)
		}
		if at&1 == 1 || at == last {
			h = NodeHash(p, h)
			// A last node without a sibling stands at a higher level under the same hash.
			for at&1 == 0 && at != 0 {
				at, last = at>>1, last>>1
			}
		} else {
			h = NodeHash(h, p)
		}
		at, last = at>>1, last>>1
	}
	if last != 0 {
		return reason.New(reason.NotIncluded, "a path of %d hashes is too short for leaf %d of %d", len(path), index, size)
	}
	if h != root {
		return reason.New(reason.NotIncluded, "the path of leaf %d does not lead to the root of %d leaves", index, size)
	}
	return nil
}

// VerifyConsistency checks that the tree of old leaves with oldRoot is a prefix of the tree of size leaves with newRoot
// (RFC 9162 section 2.1.4.2). The path must have exactly the length that old and size demand: none when old is 0 or
// size. The root of the empty tree is Root(nil).
func VerifyConsistency(path []Hash, old, size uint64, oldRoot, newRoot Hash) error {
	switch {
	case old > size:
		return fmt.Errorf("verifying consistency: from %d leaves to fewer, %d", old, size)
	case old == 0 && oldRoot != Root(nil), size == 0 && newRoot != Root(nil):
		return errors.New("verifying consistency: the empty tree has another root")
	case old == 0 || old == size:
		if len(path) != 0 {
			return fmt.Errorf("verifying consistency: a path of %d hashes from %d to %d leaves", len(path), old, size)
		}
		if old == size && oldRoot != newRoot {
			return fmt.Errorf("verifying consistency: two roots of %d leaves", size)
		}
		return nil
	}

	at, last := old-1, size-1 // as in VerifyInclusion, for the last leaf of the old tree
	shift := bits.TrailingZeros64(old)
	at, last = at>>shift, last>>shift
	start := oldRoot // the complete subtree that ends the old tree: all of it if old is a power of two
	if at != 0 {
		if len(path) == 0 {
			return fmt.Errorf("verifying consistency: no path from %d to %d leaves", old, size)
		}
		start, path = path[0], path[1:]
	}
	oldHash, newHash := start, start
	for _, p := range path {
		if last == 0 {
			return fmt.Errorf("verifying consistency: the path is too long from %d to %d leaves", old, size)
		}
		if at&1 == 1 || at == last {
			oldHash, newHash = NodeHash(p, oldHash), NodeHash(p, newHash)
			for at&1 == 0 && at != 0 {
				at, last = at>>1, last>>1
			}
		} else {
			newHash = NodeHash(newHash, p)
		}
		at, last = at>>1, last>>1
	}
	if last != 0 {
		return fmt.Errorf("verifying consistency: the path is too short from %d to %d leaves", old, size)
	}
	if oldHash != oldRoot || newHash != newRoot {
		return fmt.Errorf("verifying consistency: the path does not join the roots of %d and %d leaves", old, size)
	}
	return nil
}
