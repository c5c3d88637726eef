package node

import (
	"context"
	"errors"
	"net/http"
	"slices"
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
	leaves  map[uint64][]*hold    // by leaf that they name, in order
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
	maxLeavesEach = 1 << 14         // of one transaction; one that revokes more is pursued as any other, and shows when it is final
	holdAgain     = 2 * time.Second // between handing a held transaction to the orderer
	staleAfter    = 6               // times Config.Withheld
)

// Held says since when a leaf is held, for an accepted revocation that is not final.
func (n *Node) Held(leaf uint64) (since time.Time, held bool) {
	n.holds.mu.Lock()
	defer n.holds.mu.Unlock()
	of := n.holds.leaves[leaf]
	if len(of) == 0 {
		return time.Time{}, false
	}
	return of[0].since, true
}

// HoldsVersion is another one whenever any Held may have changed.
func (n *Node) HoldsVersion() uint64 { return n.holds.version.Load() }

// revokes says whether a transaction has a revocation in it; nothing else costs a judgement.
func revokes(tx *ledger.Parsed) bool {
	for _, b := range tx.Bodies {
		_, args, err := ledger.ParseBody(b)
		if err != nil {
			continue
		}
		switch c := args.(type) {
		case *ledger.StatusChange:
			if c.Action == ledger.Revoke {
				return true
			}
		case *ledger.CutOff:
			return true
		}
	}
	return false
}

// firstRevocation says whether a transaction revokes something and is the first here to do so, or is held: then no limit on its
// key's transactions stands in its way, on the loop.
func (n *Node) firstRevocation(head *state.State, tx *ledger.Parsed) (bool, error) {
	if !revokes(tx) {
		return false, nil
	}
	leaves, err := state.Revocations(head, tx, n.now(head), n.facts)
	if _, refused := errors.AsType[*reason.Error](err); refused {
		return false, nil
	}
	if err != nil || len(leaves) == 0 {
		return false, err
	}
	h := &n.holds
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.of[tx.ID] != nil || !slices.ContainsFunc(leaves, func(leaf uint64) bool { return len(h.leaves[leaf]) > 0 }), nil
}

// hold holds what a transaction revokes, if it is one that this node's rules accept. It reports whether it is new here.
func (n *Node) hold(ctx context.Context, tx *ledger.Parsed, raw []byte) (bool, error) {
	if !revokes(tx) {
		return false, nil
	}
	// On the loop from judging to holding: what makes it final comes after, and lifts it.
	held, err := look(ctx, n, func() (bool, error) {
		head := n.machine.Head()
		leaves, err := state.Revocations(head, tx, n.now(head), n.facts)
		if err != nil || len(leaves) == 0 {
			return false, err
		}
		if len(leaves) > maxLeavesEach {
			leaves = nil
		}
		return n.holds.take(&hold{id: tx.ID, raw: raw, leaves: leaves, since: n.cfg.Now(), expiry: tx.Tx.Expiry}), nil
	})
	if _, refused := errors.AsType[*reason.Error](err); refused {
		return false, nil // committed already, or no more to be
	}
	return held, err
}

// take adds a hold, if it is new and there is room.
func (h *holds) take(x *hold) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.of[x.id] != nil || len(h.of) >= maxHolds || len(h.leaves)+len(x.leaves) > maxHeldLeaves {
		return false
	}
	if h.of == nil {
		h.of, h.leaves = map[ledger.Hash]*hold{}, map[uint64][]*hold{}
	}
	h.of[x.id] = x
	x.handed = x.since
	for _, leaf := range x.leaves {
		h.leaves[leaf] = append(h.leaves[leaf], x)
	}
	h.version.Add(1)
	return true
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
		h.leaves[leaf] = slices.DeleteFunc(h.leaves[leaf], func(y *hold) bool { return y == x })
		if len(h.leaves[leaf]) == 0 {
			delete(h.leaves, leaf)
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
	for _, peer := range n.others() {
		n.exchange.wg.Go(func() {
			ctx, cancel := context.WithTimeout(n.running, spreadWait)
			defer cancel()
			// Who does not answer hears of it from the leader's block.
			if _, err := n.exchange.do(ctx, http.MethodPost, peer, pathRevocation, raw, 1<<10); err != nil {
				n.cfg.Log.Debug("telling of a revocation", "peer", peer, "err", err)
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
	if t := n.taker().leader; t != n.ledBy.leader {
		n.ledBy = led{t, now}
	}
	due, over, oldest := n.holds.due(now)
	for _, id := range over {
		n.holds.lift(id)
	}
	var again [][]byte
	for _, x := range due {
		if _, err := n.Result(n.running, x.id); err == nil {
			n.holds.lift(x.id) // decided in a part of the log that was caught up with before it could be shown
			continue
		}
		again = append(again, x.raw)
	}
	n.machine.LetStale(oldest > staleAfter*n.cfg.Withheld)
	// A leader answers for no more than its own time.
	if blame := min(oldest, now.Sub(n.ledBy.since)); n.raft != nil && blame > n.cfg.Withheld {
		if leader := n.raft.Depose(); leader != "" {
			n.asked++
			n.ledBy.since = now
			n.cfg.Log.Warn("a revocation is not ordered: this member follows its leader no more for a while", "leader", leader, "since", oldest)
		}
	}
	if len(again) == 0 || !n.pursuing.CompareAndSwap(false, true) {
		return
	}
	n.views.Add(1) // what the node waits for when it closes
	go func() {
		defer n.views.Done()
		defer n.pursuing.Store(false)
		for _, raw := range again {
			_ = n.engine.Submit(n.running, raw) // and again, until it is decided
		}
	}()
}

// led is who leads, and since when as far as this member has seen.
type led struct {
	leader string
	since  time.Time
}

// due are the holds to be handed to the orderer again, those that have expired, and the age of the oldest that has not. A
// transaction that has expired nobody can order: whose fault that is, nobody knows.
func (h *holds) due(now time.Time) (again []*hold, over []ledger.Hash, oldest time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for id, x := range h.of {
		if x.expiry <= ledger.MillisOf(now) {
			if x.expiry+ledger.MaxTimeAhead < ledger.MillisOf(now) {
				over = append(over, id) // no block of any clock holds it any more
			}
			continue
		}
		oldest = max(oldest, now.Sub(x.since))
		if now.Sub(x.handed) >= holdAgain {
			x.handed = now
			again = append(again, x)
		}
	}
	return again, over, oldest
}
