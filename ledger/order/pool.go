package order

import (
	"context"
	"crypto/sha256"
	"sync"
)

// Lane says how urgent a transaction is.
type Lane int

const (
	Normal Lane = iota
	Urgent      // revocations: drained first, never crowded out by publications
)

// PoolConfig bounds a Pool.
type PoolConfig struct {
	Bytes     int                                           // in all, per lane; default 64 MiB
	Submitter int                                           // per submitter and lane; default 16 MiB
	Classify  func(tx []byte) (submitter string, lane Lane) // required; cheap, total
}

// Pool holds transactions that wait for a block, bounded in bytes. Safe for concurrent use.
type Pool struct {
	cfg   PoolConfig
	mu    sync.Mutex
	lanes [2]lane
	held  map[[32]byte]bool // SHA-256 of what is held: the same bytes again are free
	wake  chan struct{}     // one token: something was added
}

type lane struct {
	txs   []pooled
	bytes int
	by    map[string]int
}

type pooled struct {
	tx   []byte
	hash [32]byte
	from string
}

// NewPool returns an empty pool.
func NewPool(cfg PoolConfig) *Pool {
	if cfg.Bytes == 0 {
		cfg.Bytes = 64 << 20
	}
	if cfg.Submitter == 0 {
		cfg.Submitter = 16 << 20
	}
	p := &Pool{cfg: cfg, held: map[[32]byte]bool{}, wake: make(chan struct{}, 1)}
	for i := range p.lanes {
		p.lanes[i].by = map[string]int{}
	}
	return p
}

// Add takes a transaction, or answers ErrBusy or ErrTooLarge. What it holds already it takes again at no cost: sending
// the same bytes once more is always safe.
func (p *Pool) Add(tx []byte) error {
	from, which := p.cfg.Classify(tx)
	if len(tx) > min(p.cfg.Bytes, p.cfg.Submitter) {
		return ErrTooLarge // however long one waits
	}
	hash := sha256.Sum256(tx)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.held[hash] {
		return nil
	}
	l := &p.lanes[which]
	if l.bytes+len(tx) > p.cfg.Bytes || l.by[from]+len(tx) > p.cfg.Submitter {
		return ErrBusy
	}
	p.held[hash] = true
	l.txs = append(l.txs, pooled{tx, hash, from})
	l.bytes += len(tx)
	l.by[from] += len(tx)
	select {
	case p.wake <- struct{}{}:
	default:
	}
	return nil
}

// Take waits for transactions and removes up to limit bytes and count of them, urgent ones first, each lane in
// order of arrival. It returns nil when ctx ends.
func (p *Pool) Take(ctx context.Context, limit, count int) [][]byte {
	for ctx.Err() == nil {
		if txs := p.take(limit, count); len(txs) > 0 {
			return txs
		}
		select {
		case <-ctx.Done():
		case <-p.wake:
		}
	}
	return nil
}

func (p *Pool) take(limit, count int) (out [][]byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, which := range []Lane{Urgent, Normal} {
		l := &p.lanes[which]
		for len(l.txs) > 0 && len(out) < count && len(l.txs[0].tx) <= limit {
			t := l.txs[0]
			l.txs[0] = pooled{} // the array behind may live long
			l.txs = l.txs[1:]
			delete(p.held, t.hash)
			l.bytes -= len(t.tx)
			if l.by[t.from] -= len(t.tx); l.by[t.from] == 0 {
				delete(l.by, t.from)
			}
			limit -= len(t.tx)
			out = append(out, t.tx)
		}
	}
	return out
}

// Clear forgets everything.
func (p *Pool) Clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.held)
	for i := range p.lanes {
		p.lanes[i] = lane{by: map[string]int{}}
	}
}

// Bytes is what the pool holds.
func (p *Pool) Bytes() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lanes[Normal].bytes + p.lanes[Urgent].bytes
}
