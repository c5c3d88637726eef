package node

import (
	"bytes"
	"sync"

	"github.com/quorate-pki/quorate/ledger"
)

// parsed keeps the blocks that were parsed last: each is validated, and delivered soon after. Safe for concurrent use.
type parsed struct {
	mu   sync.Mutex
	kept [keptBlocks]struct {
		raw   []byte
		block *ledger.Block
	}
	next int
}

// keptBlocks are 2 MiB at most, and what is parsed of them.
const keptBlocks = 4

// block parses a block, unless it is kept. Nobody changes it.
func (p *parsed) block(raw []byte) (*ledger.Block, error) {
	p.mu.Lock()
	for _, k := range p.kept {
		if k.block != nil && bytes.Equal(k.raw, raw) {
			p.mu.Unlock()
			return k.block, nil
		}
	}
	p.mu.Unlock()
	b, err := ledger.ParseBlock(raw)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.kept[p.next].raw, p.kept[p.next].block = raw, b
	p.next = (p.next + 1) % keptBlocks
	return b, nil
}
