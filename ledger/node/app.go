package node

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"time"

	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/commit"
	"github.com/quorate-pki/quorate/ledger/order"
	"github.com/quorate-pki/quorate/ledger/state"
)

// app is the node as its orderer sees it.
type app struct{ n *Node }

var _ order.App = app{}

// Last implements order.App.
func (a app) Last() order.Ordered {
	a.n.mu.Lock()
	defer a.n.mu.Unlock()
	return a.n.final
}

// Fit implements order.App.
func (a app) Fit(ctx context.Context) error {
	_, err := look(ctx, a.n, func() (struct{}, error) {
		if err := a.n.failed(); err != nil {
			return struct{}{}, err
		}
		if why := a.n.machine.Divergence(); why != nil {
			return struct{}{}, why
		}
		return struct{}{}, a.n.clockWrong()
	})
	return err
}

// clockWrong says that this node's clock is not the others'; a node alone has nothing to compare it with.
func (n *Node) clockWrong() error {
	if n.exchange == nil {
		return nil
	}
	return n.exchange.clocks.wrong(n.cfg.Now(), len(n.members().Members))
}

// Assemble implements order.App (step 2 of the commit path). It waits, and the transactions with it, while proposing
// would be pointless: too many blocks are not final, or this node's clock was set back and its block would be refused.
func (a app) Assemble(ctx context.Context, prev order.Ref, view uint64, txs [][]byte) (block []byte, ref order.Ref, err error) {
	for {
		err = a.n.run(ctx, func() error {
			block, ref, err = a.n.propose(prev, view, txs)
			return err
		})
		if !errors.Is(err, errNotNow) {
			return block, ref, err
		}
		select {
		case <-a.n.ticked:
		case <-ctx.Done():
			return nil, order.Ref{}, ctx.Err()
		}
	}
}

var errNotNow = errors.New("not now")

// propose assembles a block if now is the time for one, on the loop.
func (n *Node) propose(prev order.Ref, view uint64, txs [][]byte) ([]byte, order.Ref, error) {
	if n.machine.Pending() >= ledger.MaxPending || n.ahead() > 0 {
		return nil, order.Ref{}, errNotNow
	}
	return n.assemble(prev, view, txs)
}

// ahead is by how much the newest block's time is further ahead of this node's clock than a block may be; 0 when it is
// not. Time never goes back on the log, so a clock set back by an hour means an hour without new blocks.
func (n *Node) ahead() time.Duration {
	head, now := n.machine.Head().Channel().Time, ledger.MillisOf(n.cfg.Now())
	if head+1 <= now+ledger.MaxTimeAhead {
		return 0
	}
	return time.Duration(head+1-now) * time.Millisecond
}

func (n *Node) assemble(prev order.Ref, view uint64, txs [][]byte) ([]byte, order.Ref, error) {
	if err := n.failed(); err != nil {
		return nil, order.Ref{}, err
	}
	head := n.machine.Head()
	ch := head.Channel()
	if ch.Header != prev.Hash {
		return nil, order.Ref{}, fmt.Errorf("the orderer builds on height %d, this node is at %d", prev.Height, ch.Height)
	}
	now := max(ledger.MillisOf(n.cfg.Now()), ch.Time+1)
	var in []*ledger.Parsed
	seen := map[ledger.Hash]bool{}
	for _, raw := range txs {
		tx, err := ledger.ParseSubmission(raw, ledger.ForLedger)
		if err != nil {
			n.cfg.Log.Error("the pool held what does not parse", "err", err)
			continue
		}
		if seen[tx.ID] {
			continue
		}
		seen[tx.ID] = true
		no, err := state.CheckTransaction(head, tx, now, n.facts)
		if err != nil {
			return nil, order.Ref{}, err
		}
		if no != nil {
			n.dropped(tx.ID, no)
			continue
		}
		in = append(in, tx)
	}
	if len(in) == 0 {
		return nil, order.Ref{}, order.ErrNothing
	}
	members, err := head.Members()
	if err != nil {
		return nil, order.Ref{}, err
	}
	key := n.keyIn(members, ledger.KeyBlock)
	if key == nil {
		return nil, order.Ref{}, fmt.Errorf("this member's block key in member set %d is not here", members.Number)
	}
	h := &ledger.Header{Version: 1, Channel: ch.Channel, Log: ch.Log, Height: ch.Height + 1, View: view, Previous: ch.Header,
		Payload: ledger.PayloadHash(in), Time: now, Proposer: ledger.Sum(ledger.Ed25519SPKI(key.Public().(ed25519.PublicKey)))}
	signed := ledger.SignHeader(h, key)
	return ledger.EncodeBlock(signed, in), order.Ref{Height: h.Height, Hash: signed.Hash(), View: view}, nil
}

// Validate implements order.App (step 3).
func (a app) Validate(_ context.Context, view uint64, raw []byte) error {
	b, err := a.n.parsed.block(raw)
	if err != nil {
		return err
	}
	if b.Header.View != view {
		return fmt.Errorf("a block of view %d in view %d", b.Header.View, view)
	}
	// Who signs a height that is further than the next here, of a set that this member has not executed, is looked at when it is.
	if s := a.n.stands.Load(); !s.proposer(b) && b.Header.Height <= s.height+1 {
		return fmt.Errorf("height %d is not signed by a member's block key", b.Header.Height)
	}
	if b.Header.Time > ledger.MillisOf(a.n.cfg.Now())+ledger.MaxTimeAhead {
		return fmt.Errorf("height %d is ahead of this node's clock", b.Header.Height)
	}
	a.n.warmAhead(b)
	return nil
}

// warmAhead starts checking a block's signatures before it is committed, on free cores. What does not find a free place
// is checked when the block is executed.
func (n *Node) warmAhead(b *ledger.Block) {
	select {
	case n.warming <- struct{}{}:
	default:
		return
	}
	go func() {
		defer func() { <-n.warming }()
		for _, tx := range b.Txs {
			n.facts.warm(tx)
		}
	}()
}

// Deliver implements order.App (step 4).
func (a app) Deliver(ctx context.Context, o order.Ordered) (order.Members, error) {
	b, err := a.n.parsed.block(o.Block)
	if err != nil {
		a.n.cfg.Log.Warn("a block does not decode", "height", o.Height, "err", err)
		return order.Members{}, order.ErrNoEffect // at every member
	}
	if a.n.exchange != nil {
		if err := a.n.keepUp(ctx); err != nil {
			return order.Members{}, err
		}
	}
	err = a.n.run(ctx, func() error {
		a.n.noEffect = false
		if by, err := a.n.proposed(b); err != nil {
			return err
		} else if !by && b.Header.Height == a.n.machine.Head().Channel().Height+1 {
			return order.ErrNoEffect // at every member: a height is proposed by a member of the set that makes it final
		}
		if err := a.n.step(commit.Deliver{Block: b, Index: o.Index}); err != nil {
			return err
		}
		if a.n.noEffect || a.n.machine.Divergence() != nil {
			return order.ErrNoEffect // diverged, it computes nothing more, and the engine need keep nothing for it
		}
		return nil
	})
	return order.Members{Set: a.n.members()}, err
}

// keepUp catches up by tiles when so much is not final here that the others must be further: the leader proposes no more
// than K blocks above what is final for it.
func (n *Node) keepUp(ctx context.Context) error {
	final, err := look(ctx, n, func() (uint64, error) {
		if n.machine.Pending() <= 2*ledger.MaxPending {
			return 0, errNotNow
		}
		return n.machine.Final().Channel().Height, nil
	})
	if errors.Is(err, errNotNow) {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = app{n}.Fetch(ctx, final+1)
	return err
}
