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
		for _, peer := range a.n.others() {
			if err := a.n.catchUp(ctx, peer); err != nil {
				a.n.cfg.Log.Warn("catching up", "peer", peer, "err", err)
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
	for _, peer := range n.others() {
		if err := n.catchUp(ctx, peer); err != nil {
			n.cfg.Log.Debug("nothing to catch up with", "peer", peer, "err", err)
		}
	}
}

// source is a log somewhere else: a checkpoint of it, and its tiles. It is believed in nothing.
type source struct {
	note   []byte
	target *tlog.Verified // what the note says, by the policy
	tiles  tlog.TileReader
}

// part is a run of whole blocks of a source, and the proof that it is on the log that a quorum cosigned.
type part struct {
	from   *state.State
	leaves [][]byte
	proof  []tlog.Hash // from the part's end to the checkpoint; nil at its end
}

// A part ends with the block in which it reaches one of these, so that a gap of any size takes a bounded memory: some
// hundred MiB with what fold makes of it.
const (
	defaultPart = 1 << 15 // leaves
	partBytes   = 32 << 20
)

// catchUp brings this node to the peer's newest checkpoint.
func (n *Node) catchUp(ctx context.Context, peer string) error {
	note, err := n.exchange.do(ctx, "GET", peer, pathHead, nil, 64<<10)
	if err != nil {
		return err
	}
	src := &source{note: note, tiles: peerTiles{ctx, n.exchange, peer}}
	if src.target, err = n.verifyAhead(ctx, peer, note); err != nil {
		return fmt.Errorf("its checkpoint: %w", err)
	}
	for {
		from, err := look(ctx, n, func() (*state.State, error) { return n.machine.Final(), nil })
		if err != nil {
			return err
		}
		if src.target.Size <= from.Size() {
			return nil
		}
		p, err := src.next(from, n.cfg.Part)
		if err != nil {
			return err
		}
		if err := n.run(ctx, func() error { return n.adopt(src, p) }); err != nil {
			return err
		}
	}
}

// peerTiles are a peer's.
type peerTiles struct {
	ctx  context.Context
	x    *exchange
	peer string
}

// ReadTile implements tlog.TileReader.
func (t peerTiles) ReadTile(tile tlog.Tile) ([]byte, error) {
	return t.x.do(t.ctx, "GET", t.peer, "/peer/1/"+tile.Path(), nil, maxBundle)
}

// next takes the leaves after a state, as many as make a part.
func (s *source) next(from *state.State, most int) (*part, error) {
	if most == 0 {
		most = defaultPart
	}
	var leaves [][]byte
	whole, bytes := 0, 0 // leaves up to the last block's end
	for at := from.Size(); at < s.target.Size && (whole == 0 || len(leaves) < most && bytes < partBytes); {
		tile, _ := tlog.TileAt(tlog.EntriesLevel, at/tlog.TileWidth, s.target.Size)
		data, err := s.tiles.ReadTile(tile)
		if err != nil {
			return nil, fmt.Errorf("bundle %d: %w", tile.Index, err)
		}
		entries, err := tlog.SplitBundle(data)
		if err != nil || len(entries) != tile.Width {
			return nil, errors.Join(fmt.Errorf("bundle %d has %d entries, not %d", tile.Index, len(entries), tile.Width), err)
		}
		for _, raw := range entries[at%tlog.TileWidth:] {
			leaves, bytes = append(leaves, raw), bytes+len(raw)
			if bytes > 2*partBytes {
				return nil, fmt.Errorf("a block of more than %d bytes", partBytes)
			}
			if ledger.IsEpoch(raw) {
				whole = len(leaves)
			}
		}
		at = tile.Index*tlog.TileWidth + uint64(tile.Width)
	}
	if whole == 0 {
		return nil, errors.New("the leaves do not end with a block")
	}
	p := &part{from: from, leaves: leaves[:whole]}
	end := from.Size() + uint64(whole)
	var err error
	if p.proof, err = tlog.ConsistencyProof(s.tiles, end, s.target.Size); err != nil {
		return nil, fmt.Errorf("from leaf %d on: %w", end, err)
	}
	return p, nil
}

// fold makes states of a part, and believes them only if the last is on the log that a quorum cosigned.
func (s *source) fold(p *part) ([]*commit.Pending, error) {
	blocks, err := fold(p.from, p.leaves)
	if err != nil {
		return nil, err
	}
	last := blocks[len(blocks)-1].State
	if err := tlog.VerifyConsistency(p.proof, last.Size(), s.target.Size, last.Root(), s.target.Root); err != nil {
		return nil, fmt.Errorf("the leaves fold to another log than a quorum cosigned at size %d: %w", s.target.Size, err)
	}
	return blocks, nil
}

// final is the record of a part's end. Its checkpoint may be of a larger tree: then the node is in the midst of catching
// up, and shows readers nothing newer until it is there.
func (s *source) final(last *state.State) *layout.Final {
	ch := last.Channel()
	return &layout.Final{Version: layout.FinalVersion, Height: ch.Height, Size: last.Size(), Root: last.Root(), Index: ch.Height, View: ch.View, Header: ch.Header,
		Checkpoint: s.note}
}

// adopt folds a part onto the final state and makes the result final, on the loop. Nothing of it is written before it is
// believed.
func (n *Node) adopt(src *source, p *part) error {
	if err := n.failed(); err != nil {
		return err
	}
	if n.machine.Final() != p.from {
		return nil // final moved on meanwhile
	}
	if why := n.machine.Divergence(); why != nil {
		return fmt.Errorf("diverged: %w", why)
	}
	blocks, err := src.fold(p)
	if err != nil {
		return err
	}
	last := blocks[len(blocks)-1].State
	memory := n.machine.Memory()
	if memory != nil && memory.Size <= last.Size() && !signedOn(*memory, p.from, blocks) {
		n.cfg.Log.Error("DIVERGED: this member signed another log than a quorum cosigned", "size", memory.Size)
		return n.fail(fmt.Errorf("this member signed another root at size %d than a quorum: diverged", memory.Size))
	}
	f := src.final(last)
	n.least = max(n.least, src.target.Size) // on the way there it signs nothing
	if err := n.keep(blocks, p.leaves, f); err != nil {
		return n.fail(err)
	}
	above := n.machine.Above(f.Height)
	if err := n.openMachine(last, f, memory); err != nil {
		return n.fail(err)
	}
	n.cfg.Log.Info("caught up", "height", f.Height, "size", f.Size, "of", src.target.Size)
	n.answerRecorded()
	for _, p := range above {
		if err := n.step(commit.Deliver{Block: p.Block, Index: p.Index}); err != nil {
			return err
		}
	}
	return n.step(commit.Tick{})
}

// keep makes a part durable.
func (n *Node) keep(blocks []*commit.Pending, leaves [][]byte, f *layout.Final) error {
	if err := n.tiles.append(leaves); err != nil {
		return err
	}
	// A crash here: bytes beyond the index's size, as in finalise.
	if err := n.store.commit(blocks, f); err != nil {
		return err
	}
	// A crash here: the node starts at the part's end, and catches up from there.
	for _, b := range blocks {
		b.State.Detach()
	}
	return nil
}

// fold makes states of leaves, one a block.
func fold(from *state.State, leaves [][]byte) ([]*commit.Pending, error) {
	var blocks []*commit.Pending
	st, begin := from, 0
	for i, l := range leaves {
		if !ledger.IsEpoch(l) {
			continue
		}
		var err error
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

// answerRecorded answers whoever waits for what became final by catching up, and ends what was held of it.
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
	for _, id := range n.holds.held() {
		if _, err := n.Result(context.Background(), id); err == nil {
			n.holds.lift(id)
		}
	}
}
