package fsck

import (
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/tlog"
)

// FoldBlocks runs the chain over blocks of leaves; genesis is what a genesis block gives, or nil.
func FoldBlocks(deep bool, genesis [][]byte, blocks ...[][]byte) []Finding {
	c := &checker{cfg: Config{Deep: deep}, genesis: genesis}
	c.tree = &tree{c: c}
	c.chain = newChain(c)
	for _, b := range blocks {
		for _, raw := range b {
			c.chain.leaf(raw)
		}
	}
	c.chain.end()
	return c.chain.findings
}

// ReadTree runs the trees over the log files of a directory that need not fold.
func ReadTree(fs vfs.FS, dir string, size uint64, root ledger.Hash) []Finding {
	c := &checker{cfg: Config{Dir: dir}, fs: readOnly{fs}, files: map[string]int64{}}
	if err := c.list(""); err != nil {
		panic(err)
	}
	c.tree = &tree{c: c, size: size, leaf: func([]byte) {}, roots: map[uint64]tlog.Hash{}}
	c.tree.run()
	c.tree.judge(anchor{size, root, "the test", true})
	return c.findings
}

// Guard runs f as everything of Pebble's is run.
func Guard(f func() error) error { return guard(f) }

// Fatal is what Pebble calls when it cannot go on.
func Fatal() { quiet{}.Fatalf("") }
