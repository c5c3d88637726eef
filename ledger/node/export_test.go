package node

import (
	"context"
	"time"

	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/commit"
	"github.com/quorate-pki/quorate/ledger/order"
	"github.com/quorate-pki/quorate/ledger/tlog"
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

// CatchUpWithFirstPending makes the node catch up with the end of its oldest block that is not final, as a peer would show it that
// has finalised that block and none above. Cosign makes the peer's note.
func (n *Node) CatchUpWithFirstPending(ctx context.Context, cosign func(tlog.Checkpoint) []byte) error {
	return n.run(ctx, func() error {
		from, leaves := n.machine.Final(), n.machine.Above(0)[0].Leaves
		blocks, err := fold(from, leaves)
		if err != nil {
			return err
		}
		last := blocks[0].State
		src := &source{note: cosign(tlog.Checkpoint{Origin: n.stands.Load().origin, Size: last.Size(), Root: last.Root()})}
		if src.target, err = n.policy().Verify(src.note); err != nil {
			return err
		}
		return n.adopt(src, &part{from: from, leaves: leaves})
	})
}

// Show gives the node a cosignature, as a peer does.
func (n *Node) Show(ctx context.Context, cp tlog.Checkpoint, sig tlog.Signature) error {
	return n.run(ctx, func() error { return n.step(commit.Cosigned{Checkpoint: cp, Signature: sig}) })
}

// Deposed says whether the orderer was told to follow its leader no more.
func (n *Node) Deposed(ctx context.Context) (bool, error) {
	return look(ctx, n, func() (bool, error) { return n.asked > 0, nil })
}

// HoldDecided holds a leaf for a transaction that is decided, as a node does that has caught up with its decision and shows it only
// now.
func (n *Node) HoldDecided(id ledger.Hash, leaf uint64) {
	now := n.cfg.Now()
	n.holds.take(&hold{id: id, leaves: []uint64{leaf}, since: now, expiry: ledger.MillisOf(now.Add(time.Hour))})
}

// Classify says whose a transaction is, and whether it is urgent.
func Classify(raw []byte) (string, bool) {
	who, lane := classify(raw)
	return who, lane == order.Urgent
}
