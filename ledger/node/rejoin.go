package node

import (
	"context"
	"errors"
	"fmt"
	"path"
	"time"

	"github.com/quorate-pki/quorate/internal/durable"
	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/commit"
	"github.com/quorate-pki/quorate/ledger/layout"
	"github.com/quorate-pki/quorate/ledger/tlog"
)

// Rejoining: a member whose directory was wiped does not know what its cosigning key said, and must not contradict it.
// It asks the peers what they hold of it, takes the largest for its memory, and so signs nothing below it and nothing
// beside it; nor below what any of them has final, for a peer knows of signatures only while it runs. A quorum's worth of
// members must answer, itself included: every signature of its that made anything final is then known to at least one
// honest member among them, or lies at or below what that one has final.

// recall asks the peers for this member's newest cosignature, nil when they know of none, and how large a log they have.
func (n *Node) recall(ctx context.Context) (*commit.Signed, error) {
	if n.exchange == nil {
		return nil, errors.New("a member alone has nobody who knows what it signed: it cannot rejoin")
	}
	heard := map[string]bool{}
	var newest *commit.Signed
	for {
		for _, peer := range n.others() {
			if heard[peer] {
				continue
			}
			s, err := n.trace(ctx, peer)
			if err == nil {
				err = n.noLessThan(ctx, peer)
			}
			if err != nil {
				n.cfg.Log.Warn("asking what this member signed", "peer", peer, "err", err)
				continue
			}
			heard[peer] = true
			if s == nil {
				continue
			}
			if newest != nil && newest.Size == s.Size && newest.Root != s.Root {
				return nil, fmt.Errorf("this member's key signed two roots at size %d: rotate it", s.Size)
			}
			if newest == nil || s.Size > newest.Size || s.Size == newest.Size && s.Time > newest.Time {
				newest = s
			}
		}
		if len(heard)+1 >= int(n.stands.Load().met.Quorum) {
			return newest, nil
		}
		n.learn(ctx)
		select {
		case <-time.After(catchUpPause):
		case <-ctx.Done():
			return nil, fmt.Errorf("%d members have answered what this one signed, %d must: %w", len(heard), n.stands.Load().met.Quorum-1, ctx.Err())
		}
	}
}

// ErrRolledBack: the directory is older than what this member signed: it was restored from a copy, or another copy of the
// member runs. Nothing was signed from it. If no other runs, wipe it and rejoin.
var ErrRolledBack = errors.New("the directory is older than what this member has signed")

// rolledBack asks the peers that answer now whether this member signed more than it remembers. The memory is durable before
// a signature leaves, so no crash does that.
func (n *Node) rolledBack(ctx context.Context, own *commit.Signed) error {
	if n.exchange == nil || n.rejoins {
		return nil
	}
	for _, peer := range n.others() {
		s, err := n.trace(ctx, peer)
		if err == nil && own == nil {
			// It never ran, or so it is told: then it comes to a log that is there already.
			err = n.noLessThan(ctx, peer)
		}
		if err != nil {
			n.cfg.Log.Debug("asking what this member signed", "peer", peer, "err", err)
			continue
		}
		if s != nil && (own == nil || s.Size > own.Size || s.Size == own.Size && (s.Root != own.Root || s.Time > own.Time)) {
			return fmt.Errorf("%s holds a signature of size %d: %w", peer, s.Size, ErrRolledBack)
		}
	}
	return nil
}

// noLessThan notes how large a peer's final log is: this member signs no smaller tree.
func (n *Node) noLessThan(ctx context.Context, peer string) error {
	note, err := n.exchange.do(ctx, "GET", peer, pathHead, nil, 64<<10)
	if code, ok := reason.CodeOf(err); ok && code == reason.Stopping {
		return nil // it has published nothing yet
	}
	if err != nil {
		return err
	}
	v, err := n.verifyAhead(ctx, peer, note)
	if err != nil {
		return fmt.Errorf("its checkpoint: %w", err)
	}
	n.least = max(n.least, v.Size)
	return nil
}

// trace is what one peer holds of this member.
func (n *Node) trace(ctx context.Context, peer string) (*commit.Signed, error) {
	raw, err := n.exchange.do(ctx, "GET", peer, pathTrace, nil, maxMessage)
	if err != nil {
		return nil, err
	}
	var msg cosignatures
	if err := ledger.Decode(raw, &msg); err != nil || msg.Version != 1 || len(msg.Notes) > 1 {
		return nil, errors.Join(errors.New("its answer is not of this version"), err)
	}
	if len(msg.Notes) == 0 {
		return nil, nil
	}
	cp, sigs, err := tlog.ParseNote(msg.Notes[0])
	if err != nil || len(sigs) != 1 || cp.Origin != n.stands.Load().origin {
		return nil, errors.Join(errors.New("its answer is no cosignature on this log"), err)
	}
	for _, key := range n.signer.VKeys() {
		if at, ok := tlog.VerifyCosignature(cp, key, sigs[0]); ok {
			return &commit.Signed{Statement: commit.Statement{Size: cp.Size, Root: cp.Root, Time: at}, Signature: sigs[0]}, nil
		}
	}
	return nil, errors.New("its answer is not signed by this member's key")
}

// rejoined ends it: the signer memory is durable.
func (n *Node) rejoined() error {
	n.rejoins = false
	if err := n.cfg.FS.Remove(path.Join(n.cfg.Dir, layout.Rejoin)); err != nil {
		return fmt.Errorf("ending the rejoin: %w", err)
	}
	return durable.SyncDir(n.cfg.FS, n.cfg.Dir)
}
