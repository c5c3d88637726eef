package tlog_test

import (
	"slices"
	"testing"

	"github.com/quorate-pki/quorate/ledger/tlog"
)

func chunkHashes(n uint64) []tlog.Hash {
	hashes := make([]tlog.Hash, n)
	for i := range hashes {
		hashes[i] = leaf(uint64(i))
	}
	return hashes
}

func checkChunkTree(t *testing.T, tree *tlog.ChunkTree, want []tlog.Hash) {
	t.Helper()
	if tree.Len() != uint64(len(want)) || tree.Root() != tlog.Root(want) {
		t.Fatalf("a tree of %d chunks differs from its %d hashes", tree.Len(), len(want))
	}
	for _, i := range sample(testRand().Uint64N, tree.Len(), 3) {
		if tree.Leaf(i) != want[i] {
			t.Fatalf("chunk %d of %d differs", i, tree.Len())
		}
		if err := tlog.VerifyInclusion(tree.Path(i), i, tree.Len(), want[i], tree.Root()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestChunkTreeSizes(t *testing.T) {
	last := uint64(600)
	if testing.Short() {
		last = 150
	}
	hashes := chunkHashes(last)
	grown := &tlog.ChunkTree{}
	checkChunkTree(t, grown, nil)
	for n := uint64(1); n <= last; n++ {
		checkChunkTree(t, tlog.NewChunkTree(hashes[:n]), hashes[:n])
		grown = grown.Overlay(map[uint64]tlog.Hash{n - 1: hashes[n-1]}, n)
		checkChunkTree(t, grown, hashes[:n])
	}
}

// Every overlay has its own content, however many are stacked and in whatever order they are looked at.
func TestChunkTreeOverlays(t *testing.T) {
	rounds := 300
	if testing.Short() {
		rounds = 60
	}
	rnd := testRand()
	for range rounds {
		content := chunkHashes(rnd.Uint64N(200))
		tree := tlog.NewChunkTree(content)
		var trees []*tlog.ChunkTree
		var contents [][]tlog.Hash
		for depth := range uint64(32) {
			trees, contents = append(trees, tree), append(contents, content)
			content = slices.Clone(content)
			changes := make(map[uint64]tlog.Hash)
			for range rnd.IntN(3) * rnd.IntN(40) {
				content = append(content, leaf(1000*depth+uint64(len(content))))
				changes[uint64(len(content)-1)] = content[len(content)-1]
			}
			for range rnd.IntN(4) {
				if len(content) > 0 {
					i := rnd.Uint64N(uint64(len(content)))
					content[i] = leaf(100_000*depth + i)
					changes[i] = content[i]
				}
			}
			tree = tree.Overlay(changes, uint64(len(content)))
		}
		for i := range trees {
			checkChunkTree(t, trees[i], contents[i])
		}
	}
}

func TestChunkTreeUnchanged(t *testing.T) {
	tree := tlog.NewChunkTree(chunkHashes(5))
	if tree.Overlay(nil, 5) != tree {
		t.Error("an overlay without changes is another tree")
	}
}

func TestChunkTreeMistakesPanic(t *testing.T) {
	tree := tlog.NewChunkTree(chunkHashes(5))
	for name, f := range map[string]func(){
		"shrink":        func() { tree.Overlay(nil, 4) },
		"nothing added": func() { tree.Overlay(nil, 6) },
		"beyond":        func() { tree.Overlay(map[uint64]tlog.Hash{5: {}}, 5) },
		"gap":           func() { tree.Overlay(map[uint64]tlog.Hash{5: {}, 7: {}}, 7) },
		"missing":       func() { tree.Overlay(map[uint64]tlog.Hash{6: {}}, 7) },
		"path":          func() { tree.Path(5) },
		"leaf":          func() { tree.Leaf(5) },
		"empty":         func() { (&tlog.ChunkTree{}).Path(0) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			f()
		})
	}
}
