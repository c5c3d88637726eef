package node

import (
	"crypto/sha256"
	"encoding/binary"
	"runtime"
	"sync"

	"github.com/quorate-pki/quorate/ca/profile"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/state"
)

// sigCache remembers which signatures are valid, so that what was checked in parallel at ingest is not checked
// again in judgement. It remembers facts about (signature, bytes, key), never verdicts; a miss costs a check.
// Bounded: two generations of at most cacheSignatures. Safe for concurrent use.
type sigCache struct {
	mu       sync.Mutex
	new, old map[ledger.Hash]struct{}
}

const cacheSignatures = 1 << 16

func newSigCache() *sigCache { return &sigCache{new: map[ledger.Hash]struct{}{}} }

var _ state.Signatures = (*sigCache)(nil)

func (c *sigCache) known(k ledger.Hash) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.new[k]; ok {
		return true
	}
	_, ok := c.old[k]
	return ok
}

func (c *sigCache) remember(k ledger.Hash) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.new) >= cacheSignatures {
		c.new, c.old = map[ledger.Hash]struct{}{}, c.new
	}
	c.new[k] = struct{}{}
}

// fact names a signature check by all its inputs, each with its length, so that no two checks share a name.
func fact(kind byte, parts ...[]byte) ledger.Hash {
	h := sha256.New()
	h.Write([]byte{kind})
	for _, p := range parts {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(p))))
		h.Write(p)
	}
	return ledger.Hash(h.Sum(nil))
}

// Certificate implements state.Signatures.
func (c *sigCache) Certificate(cert *profile.Certificate) bool {
	k := fact(1, cert.Raw)
	if c.known(k) {
		return true
	}
	ok := state.Direct{}.Certificate(cert)
	if ok {
		c.remember(k)
	}
	return ok
}

// Transaction implements state.Signatures.
func (c *sigCache) Transaction(spki []byte, s ledger.Signature) bool {
	k := fact(2, spki, binary.BigEndian.AppendUint64(nil, uint64(s.Alg)), s.ToBeSigned, s.Bytes)
	if c.known(k) {
		return true
	}
	ok := state.Direct{}.Transaction(spki, s)
	if ok {
		c.remember(k)
	}
	return ok
}

// warm checks the self-signatures of a submission's certificates on all cores.
func (c *sigCache) warm(tx *ledger.Parsed) {
	var wg sync.WaitGroup
	next := make(chan []byte)
	for range min(runtime.GOMAXPROCS(0), len(tx.Bodies)) {
		wg.Go(func() {
			for body := range next {
				_, args, err := ledger.ParseBody(body)
				p, ok := args.(*ledger.Publish)
				if err != nil || !ok {
					continue
				}
				if cert, err := profile.Parse(p.Certificate); err == nil {
					c.Certificate(cert)
				}
			}
		})
	}
	for _, b := range tx.Bodies {
		next <- b
	}
	close(next)
	wg.Wait()
}
