package node

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/state"
)

// Holds: a revocation that this node has authenticated, and that its rules would accept, is shown at once, as a suspension, before it
// is final. It goes to every member, and every member hands it to the orderer until it is decided: no leader can keep it
// from being known. If the ledger refuses it, the hold ends with the refusal. A restart forgets holds; the others' stay.
type holds struct {
	mu      sync.Mutex
	of      map[ledger.Hash]*hold // by transaction
	leaves  map[uint64]*hold      // the first that named it
	version atomic.Uint64         // grows with every change
}

type hold struct {
	id     ledger.Hash
	raw    []byte
	leaves []uint64
	since  time.Time
	expiry ledger.Millis
	handed time.Time // to the orderer, the last time
}

// maxHolds bounds the transactions held, and the leaves they name. What is beyond goes its way without a hold.
const (
	maxHolds      = 1 << 12
	maxHeldLeaves = 1 << 16
	holdAgain     = 2 * time.Second // between handing a held transaction to the orderer
	staleAfter    = 6               // times Config.Withheld
)

// Held says since when a leaf is held, for an accepted revocation that is not final.
func (n *Node) Held(leaf uint64) (since time.Time, held bool) {
	n.holds.mu.Lock()
	defer n.holds.mu.Unlock()
	h := n.holds.leaves[leaf]
	if h == nil {
		return time.Time{}, false
	}
	return h.since, true
}

// HoldsVersion is another one whenever any Held may have changed.
func (n *Node) HoldsVersion() uint64 { return n.holds.version.Load() }

// revokes says whether a transaction has a revocation in it; nothing else costs a judgement.
func revokes(tx *ledger.Parsed) bool {
	for _, b := range tx.Bodies {
		if op, args, err := ledger.ParseBody(b); err == nil && op == ledger.OpStatus {
			if c, ok := args.(*ledger.StatusChange); ok && c.Action == ledger.Revoke {
				return true
			}
		}
	}
	return false
}

// hold holds what a transaction revokes, if it is one that this node's rules accept. It reports whether it is new here.
func (n *Node) hold(ctx context.Context, tx *ledger.Parsed, raw []byte) (bool, error) {
	if !revokes(tx) {
		return false, nil
	}
	leaves, err := look(ctx, n, func() ([]uint64, error) {
		head := n.machine.Head()
		return state.Revocations(head, tx, n.now(head), n.facts)
	})
	if _, refused := errors.AsType[*reason.Error](err); refused {
		return false, nil // committed already, or no more to be
	}
	if err != nil || len(leaves) == 0 {
		return false, err
	}
	h := &n.holds
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.of[tx.ID] != nil || len(h.of) >= maxHolds || len(h.leaves)+len(leaves) > maxHeldLeaves {
		return false, nil
	}
	now := n.cfg.Now()
	x := &hold{id: tx.ID, raw: raw, leaves: leaves, since: now, expiry: tx.Tx.Expiry, handed: now}
	if h.of == nil {
		h.of, h.leaves = map[ledger.Hash]*hold{}, map[uint64]*hold{}
	}
	h.of[tx.ID] = x
	for _, leaf := range leaves {
		if h.leaves[leaf] == nil {
			h.leaves[leaf] = x
		}
	}
	h.version.Add(1)
	return true, nil
}

// lift ends the hold of a transaction that is decided, or can be no more. What it decided is public.
func (h *holds) lift(id ledger.Hash) {
	h.mu.Lock()
	defer h.mu.Unlock()
	x := h.of[id]
	if x == nil {
		return
	}
	delete(h.of, id)
	for _, leaf := range x.leaves {
		if h.leaves[leaf] == x {
			delete(h.leaves, leaf)
		}
	}
	// Another transaction may name the same leaf.
	for _, y := range h.of {
		for _, leaf := range y.leaves {
			if h.leaves[leaf] == nil {
				h.leaves[leaf] = y
			}
		}
	}
	h.version.Add(1)
}

// held are the transactions that are held.
func (h *holds) held() (out []ledger.Hash) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for id := range h.of {
		out = append(out, id)
	}
	return out
}

// spread tells every member of a revocation. Each holds it, and hands it to the orderer.
func (n *Node) spread(raw []byte) {
	if n.exchange == nil {
		return
	}
	for _, m := range n.members.Members {
		if m.Name == n.cfg.Member {
			continue
		}
		n.exchange.wg.Go(func() {
			ctx, cancel := context.WithTimeout(n.running, spreadWait)
			defer cancel()
			// Who does not answer hears of it from the leader's block.
			if _, err := n.exchange.do(ctx, http.MethodPost, m.Name, pathRevocation, raw, 1<<10); err != nil {
				n.cfg.Log.Debug("telling of a revocation", "peer", m.Name, "err", err)
			}
		})
	}
}

const spreadWait = 5 * time.Second

// pursue hands what is held and not decided to the orderer again, and ends what cannot be decided any more. What is not decided in
// Config.Withheld costs the leader its leadership, as far as this member has a say in it; in six times that, this member
// renews its signature no more, and relying parties see the state grow old. On the loop, at a tick.
func (n *Node) pursue() {
	now := n.cfg.Now()
	var again [][]byte
	var over []ledger.Hash
	oldest := time.Duration(0)
	n.holds.mu.Lock()
	for id, x := range n.holds.of {
		oldest = max(oldest, now.Sub(x.since))
		switch {
		case x.expiry+ledger.MaxTimeAhead < ledger.MillisOf(now):
			over = append(over, id)
		case now.Sub(x.handed) >= holdAgain:
			x.handed = now
			again = append(again, x.raw)
		}
	}
	n.holds.mu.Unlock()
	for _, id := range over {
		n.holds.lift(id)
	}
	n.machine.LetStale(oldest > staleAfter*n.cfg.Withheld)
	if n.exchange == nil {
		return
	}
	if oldest > n.cfg.Withheld && now.Sub(n.deposed) > n.cfg.Withheld {
		n.deposed = now
		if leader := n.raft.Depose(); leader != "" {
			n.asked++
			n.cfg.Log.Warn("a revocation is not ordered: this member follows its leader no more for a while", "leader", leader, "since", oldest)
		}
	}
	if len(again) == 0 {
		return
	}
	n.exchange.wg.Go(func() {
		for _, raw := range again {
			_ = n.engine.Submit(n.running, raw) // and again, until it is decided
		}
	})
}
