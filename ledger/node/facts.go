package node

import (
	"crypto/sha256"
	"encoding/binary"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/state"
	"github.com/quorate-pki/quorate/policies"
)

// facts remember what was examined and checked in parallel at ingest, so that judgement need not do it again. They are
// about bytes alone, never verdicts; a miss costs the work. Bounded. Safe for concurrent use.
type facts struct {
	mu       sync.Mutex // guards what follows
	examined generations[*state.Examined]
	valid    generations[struct{}] // signatures
	rules    *policies.Engine
}

const (
	keptExamined   = 1 << 13 // a generation: about 25 MiB
	keptSignatures = 1 << 16
)

func newFacts() *facts {
	return &facts{examined: generations[*state.Examined]{most: keptExamined}, valid: generations[struct{}]{most: keptSignatures},
		rules: policies.NewEngine()}
}

var _ state.Facts = (*facts)(nil)

// generations is a map of bounded size: at most two of most entries.
type generations[V any] struct {
	most     int
	new, old map[ledger.Hash]V
}

func (g *generations[V]) get(k ledger.Hash) (V, bool) {
	v, ok := g.new[k]
	if !ok {
		v, ok = g.old[k]
	}
	return v, ok
}

func (g *generations[V]) put(k ledger.Hash, v V) {
	if g.new == nil || len(g.new) >= g.most {
		g.new, g.old = map[ledger.Hash]V{}, g.new
	}
	g.new[k] = v
}

// Operation implements state.Facts.
func (f *facts) Operation(digest ledger.Hash, body []byte) *state.Examined {
	f.mu.Lock()
	x, ok := f.examined.get(digest)
	f.mu.Unlock()
	if ok {
		return x
	}
	x = state.Examine(body)
	f.mu.Lock()
	defer f.mu.Unlock()
	if before, ok := f.examined.get(digest); ok {
		return before // by somebody else meanwhile: there is one check of its signature
	}
	if _, ok := f.valid.get(signed(digest)); ok {
		x.KnownSelfSigned()
	}
	f.examined.put(digest, x)
	return x
}

// signed names the fact that the certificate in a body has a valid signature.
func signed(body ledger.Hash) ledger.Hash { return fact(1, body[:]) }

func (f *facts) remember(k ledger.Hash) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.valid.put(k, struct{}{})
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

// Transaction implements state.Facts.
func (f *facts) Transaction(spki []byte, s ledger.Signature) bool {
	k := fact(2, spki, binary.BigEndian.AppendUint64(nil, uint64(s.Alg)), s.ToBeSigned, s.Bytes)
	f.mu.Lock()
	_, ok := f.valid.get(k)
	f.mu.Unlock()
	if ok {
		return true
	}
	if ok = (state.Direct{}).Transaction(spki, s); ok {
		f.remember(k)
	}
	return ok
}

// Rule implements state.Facts.
func (f *facts) Rule(digest ledger.Hash, text string) (ledger.Rule, error) {
	return f.rules.Compile(digest, text)
}

// done forgets what was examined of a transaction that was judged and is final: kept, it is work for the garbage collector.
func (f *facts) done(tx *ledger.Parsed) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, digest := range tx.Tx.Bodies {
		delete(f.examined.new, digest)
		delete(f.examined.old, digest)
	}
}

// warm examines a submission's operations, and checks the signatures of its certificates, on all cores.
func (f *facts) warm(tx *ledger.Parsed) {
	var wg sync.WaitGroup
	var next atomic.Int64
	for range min(runtime.NumCPU(), len(tx.Bodies)) {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(tx.Bodies)); i = next.Add(1) - 1 {
				digest := tx.Tx.Bodies[i]
				if x := f.Operation(digest, tx.Bodies[i]); x.Certificate != nil && x.SelfSigned() {
					f.remember(signed(digest))
				}
			}
		})
	}
	wg.Wait()
}
