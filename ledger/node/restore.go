package node

import (
	"context"
	"errors"
	"fmt"

	"github.com/quorate-pki/quorate/ledger/tlog"
)

// Restore folds a log into a directory that Init made and that no node uses: what peers would give when the node starts,
// from a copy of the log's tiles. note is a checkpoint of it. Nothing is written that is not proved to be on the log that a
// quorum cosigned. Interrupted, it goes on when it is called again.
//
// It makes no signer memory. A member whose keys have signed was initialised with Rejoin, and asks its peers.
func Restore(ctx context.Context, cfg Config, note []byte, tiles tlog.TileReader) error {
	n := &Node{cfg: cfg}
	return errors.Join(n.restore(ctx, &source{note: note, tiles: tiles}), n.release())
}

func (n *Node) restore(ctx context.Context, src *source) error {
	st, _, err := n.openDirectory()
	if err != nil {
		return fmt.Errorf("restoring %s: %w", n.cfg.Dir, err)
	}
	if src.target, err = n.stands.Load().next.Verify(src.note); err != nil {
		return fmt.Errorf("restoring %s: the checkpoint: %w", n.cfg.Dir, err)
	}
	for st.Size() < src.target.Size {
		if err := ctx.Err(); err != nil {
			return err
		}
		p, err := src.next(st, n.cfg.Part)
		if err != nil {
			return fmt.Errorf("restoring %s: %w", n.cfg.Dir, err)
		}
		blocks, err := src.fold(p)
		if err != nil {
			return fmt.Errorf("restoring %s: %w", n.cfg.Dir, err)
		}
		st = blocks[len(blocks)-1].State
		if err := n.keep(blocks, p.leaves, src.final(st)); err != nil {
			return fmt.Errorf("restoring %s: %w", n.cfg.Dir, err)
		}
	}
	return nil
}
