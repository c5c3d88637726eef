package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/commit"
	"github.com/quorate-pki/quorate/ledger/layout"
	"github.com/quorate-pki/quorate/ledger/order"
	"github.com/quorate-pki/quorate/ledger/state"
	"github.com/quorate-pki/quorate/ledger/tlog"
)

// Catching up: a node that is far behind takes the leaves that it lacks from any peer, folds them without judging, and
// believes the result only when the root is one that a quorum cosigned. Which peer it was does not matter.

const catchUpPause = 500 * time.Millisecond // before the peers are asked again

// Fetch implements order.App.
func (a app) Fetch(ctx context.Context, atLeast uint64) (order.Ordered, error) {
	for {
		for _, m := range a.n.members.Members {
			if m.Name == a.n.cfg.Member {
				continue
			}
			if err := a.n.catchUp(ctx, m.Name); err != nil {
				a.n.cfg.Log.Warn("catching up", "peer", m.Name, "err", err)
			}
			if err := a.n.failed(); err != nil {
				return order.Ordered{}, err
			}
			if last := a.Last(); last.Height >= atLeast {
				return last, nil
			}
		}
		select {
		case <-time.After(catchUpPause):
		case <-ctx.Done():
			return order.Ordered{}, ctx.Err()
		}
	}
}

// levelUp takes from the peers what is final there, before the orderer is started: proof is cheaper than executing
// again. Peers that do not answer are passed over; what they alone have comes from the orderer.
func (n *Node) levelUp(ctx context.Context) {
	if n.exchange == nil {
		return
	}
	for _, m := range n.members.Members {
		if m.Name == n.cfg.Member {
			continue
		}
		if err := n.catchUp(ctx, m.Name); err != nil {
			n.cfg.Log.Debug("nothing to catch up with", "peer", m.Name, "err", err)
		}
	}
}

// catchUp brings this node to the peer's newest checkpoint.
func (n *Node) catchUp(ctx context.Context, peer string) error {
	note, err := n.exchange.do(ctx, "GET", peer, pathHead, nil, 64<<10)
	if err != nil {
		return err
	}
	target, err := n.policy.Verify(note)
	if err != nil {
		return fmt.Errorf("its checkpoint: %w", err)
	}
	var from *state.State
	if err := n.run(ctx, func() error { from = n.machine.Final(); return nil }); err != nil {
		return err
	}
	if target.Size <= from.Size() {
		return nil
	}
	leaves, err := n.fetchLeaves(ctx, peer, from.Size(), target.Size)
	if err != nil {
		return err
	}
	return n.run(ctx, func() error { return n.adopt(from, leaves, note, target) })
}

// fetchLeaves takes the leaves [from, to) out of a peer's bundles.
func (n *Node) fetchLeaves(ctx context.Context, peer string, from, to uint64) ([][]byte, error) {
	var out [][]byte
	for at := from; at < to; {
		tile, _ := tlog.TileAt(tlog.EntriesLevel, at/tlog.TileWidth, to)
		data, err := n.exchange.do(ctx, "GET", peer, "/peer/1/"+tile.Path(), nil, maxBundle)
		if err != nil {
			return nil, fmt.Errorf("bundle %d: %w", tile.Index, err)
		}
		entries, err := tlog.SplitBundle(data)
		if err != nil || len(entries) != tile.Width {
			return nil, errors.Join(fmt.Errorf("bundle %d has %d entries, not %d", tile.Index, len(entries), tile.Width), err)
		}
		out = append(out, entries[at%tlog.TileWidth:]...)
		at = tile.Index*tlog.TileWidth + uint64(tile.Width)
	}
	return out, nil
}

// adopt folds leaves onto the final state and makes the result final, on the loop. Until the root is compared with the
// cosigned one, nothing of it is believed or written.
func (n *Node) adopt(from *state.State, leaves [][]byte, note []byte, target *tlog.Verified) error {
	if err := n.failed(); err != nil {
		return err
	}
	if n.machine.Final() != from {
		return nil // final moved on meanwhile
	}
	if why := n.machine.Divergence(); why != nil {
		return fmt.Errorf("diverged: %w", why)
	}
	blocks, err := fold(from, leaves)
	if err != nil {
		return err
	}
	last := blocks[len(blocks)-1].State
	if last.Size() != target.Size || last.Root() != target.Root {
		return fmt.Errorf("the leaves fold to another root than a quorum cosigned at size %d", target.Size)
	}
	memory := n.machine.Memory()
	if memory != nil && memory.Size <= last.Size() && !signedOn(*memory, from, blocks) {
		n.cfg.Log.Error("DIVERGED: this member signed another log than a quorum cosigned", "size", memory.Size)
		return n.fail(fmt.Errorf("this member signed another root at size %d than a quorum: diverged", memory.Size))
	}
	if err := n.tiles.append(leaves); err != nil {
		return n.fail(err)
	}
	// A crash here: bytes beyond the index's size, as in finalise.
	ch := last.Channel()
	f := &layout.Final{Version: 1, Height: ch.Height, Size: target.Size, Root: target.Root, Index: ch.Height, View: ch.View, Header: ch.Header, Checkpoint: note}
	if err := n.store.commit(blocks, f); err != nil {
		return n.fail(err)
	}
	for _, b := range blocks {
		b.State.Detach()
	}
	// The overlay is dropped with the old machine; what it held is final, or comes again from the orderer.
	if err := n.openMachine(last, f, memory); err != nil {
		return n.fail(err)
	}
	n.cfg.Log.Info("caught up", "height", ch.Height, "size", target.Size)
	n.answerRecorded()
	return n.step(commit.Tick{})
}

// fold makes states of leaves, one a block.
func fold(from *state.State, leaves [][]byte) ([]*commit.Pending, error) {
	var blocks []*commit.Pending
	st, begin := from, 0
	for i, l := range leaves {
		e, err := ledger.ParseEntry(l)
		if err != nil {
			return nil, fmt.Errorf("leaf %d: %w", from.Size()+uint64(i), err)
		}
		if e.Epoch == nil {
			continue
		}
		if st, err = state.Fold(st, leaves[begin:i+1]); err != nil {
			return nil, fmt.Errorf("the block that ends at leaf %d: %w", from.Size()+uint64(i), err)
		}
		blocks = append(blocks, &commit.Pending{Executed: &state.Executed{State: st, Leaves: leaves[begin : i+1]}})
		begin = i + 1
	}
	if begin != len(leaves) || len(blocks) == 0 {
		return nil, errors.New("the leaves do not end with a block")
	}
	return blocks, nil
}

// signedOn reports whether what this member signed is on this log.
func signedOn(m commit.Signed, from *state.State, blocks []*commit.Pending) bool {
	if m.Size < from.Size() {
		return true // compared before
	}
	if m.Size == from.Size() {
		return m.Root == from.Root()
	}
	for _, b := range blocks {
		if b.State.Size() == m.Size {
			return b.State.Root() == m.Root
		}
	}
	return false
}

// answerRecorded answers whoever waits for what became final by catching up.
func (n *Node) answerRecorded() {
	n.mu.Lock()
	var ids []ledger.Hash
	for id := range n.waiters {
		ids = append(ids, id)
	}
	n.mu.Unlock()
	for _, id := range ids {
		if res, err := n.Result(context.Background(), id); err == nil {
			n.answer(id, answer{result: res})
		}
	}
}
