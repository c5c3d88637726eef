package node

import (
	"context"
	"time"

	"github.com/quorate-pki/quorate/ledger"
)

// ErrNotNow is what Propose answers while proposing would be pointless.
var ErrNotNow = errNotNow

// Propose assembles a block of the transactions on the node's newest, without waiting for the right moment.
func (n *Node) Propose(ctx context.Context, txs ...[]byte) error {
	return n.run(ctx, func() error {
		_, _, err := n.propose(app{n}.Last().Ref, 99, txs)
		return err
	})
}

// NewTaker returns a fresh limiter's take.
func NewTaker() func(key, id ledger.Hash, now time.Time) bool { return newLimiter().take }

// HandOver makes another member lead, if this one does.
func (n *Node) HandOver() { n.raft.HandOver() }
