package order

import (
	"context"
	"errors"
	"time"

	"github.com/hashicorp/raft"

	"github.com/quorate-pki/quorate/ledger"
)

// watch leads while this member is the leader. The library waits until its word is taken, so nothing here may block it.
func (r *Raft) watch() {
	end := func() {}
	defer func() { end() }()
	for {
		select {
		case leader := <-r.notify:
			end()
			end = func() {}
			if !leader {
				r.pool.Clear() // it was promised to nobody, and its submitters send it to the new leader
			} else {
				ctx, cancel := context.WithCancel(r.ctx)
				end = cancel
				r.leading.Go(func() { r.lead(ctx) })
			}
		case <-r.ctx.Done():
			return
		}
	}
}

// lead proposes one block at a time in one term.
//
// A header names its term as its view, and one header is signed for a height and view. The term is read before and after
// a barrier that succeeds: it is then a term in which this member led, and not one for which it only stands. Whatever
// happens to a block that was signed, this term signs none in its place: the loop ends, and the term with it.
func (r *Raft) lead(ctx context.Context) {
	term := r.raft.CurrentTerm()
	if answer(ctx, r.raft.Barrier(barrier)) != nil || r.raft.CurrentTerm() != term {
		return
	}
	for {
		txs := r.pool.Take(ctx, ledger.MaxBlock-4096, ledger.MaxOperations)
		if txs == nil {
			return
		}
		r.mu.Lock()
		head := r.head
		r.mu.Unlock()
		block, ref, err := r.app.Assemble(ctx, head, term, txs)
		if errors.Is(err, ErrNothing) {
			continue
		}
		if err == nil {
			err = r.commit(ctx, block)
		}
		if err == nil && r.delivered() != ref {
			err = errors.New("this member's own block had no effect")
		}
		if err != nil {
			if ctx.Err() == nil {
				r.cfg.Log.Warn("this member gives up leadership", "term", term, "err", err)
				r.transport.silence(electionFor * r.cfg.Heartbeat)
			}
			return
		}
	}
}

// commit has a block ordered and delivered here.
func (r *Raft) commit(ctx context.Context, block []byte) error {
	f := r.raft.Apply(append([]byte{entryVersion}, block...), 0)
	done := answered(f)
	stuck := time.NewTimer(r.cfg.Stuck)
	defer stuck.Stop()
	for {
		select {
		case err := <-done:
			return err
		case <-r.ordered:
			if r.pool.Bytes() == 0 {
				// Followers learn with the next entry that the block is committed; without this they would wait for
				// the idle timer. They need not wait until it is executed here.
				r.raft.Barrier(barrier)
			}
		case <-ctx.Done():
			return ctx.Err()
		case <-stuck.C:
			return errors.New("too few members take its blocks")
		}
	}
}

// answered is a future's error, once it has one. The library forgets the futures its state machine still holds when it
// shuts down: nobody may wait for one alone.
func answered(f raft.Future) <-chan error {
	done := make(chan error, 1)
	go func() { done <- f.Error() }()
	return done
}

// answer waits for a future for as long as this member leads or runs.
func answer(ctx context.Context, f raft.Future) error {
	select {
	case err := <-answered(f):
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (r *Raft) delivered() Ref {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.head
}

// fsm hands the app what is committed.
type fsm struct{ r *Raft }

var _ raft.FSM = fsm{}

// Apply implements raft.FSM.
func (f fsm) Apply(l *raft.Log) any {
	block, err := entryBlock(l.Data)
	if err != nil {
		return nil // a majority of members stored what this one would not have: no effect, the same everywhere
	}
	b, err := ledger.ParseBlock(block)
	if err != nil || b.Header.View != l.Term {
		return nil // the same
	}
	return f.r.deliver(Ordered{Ref: Ref{Height: b.Header.Height, Hash: b.Hash, View: l.Term}, Index: l.Index, Block: block})
}

// deliver passes on a block that is not final here. Runs on the library's apply goroutine only.
func (r *Raft) deliver(o Ordered) error {
	r.mu.Lock()
	trouble := r.trouble
	r.mu.Unlock()
	if trouble != nil {
		return trouble
	}
	if o.Height <= r.app.Last().Height {
		return nil
	}
	select {
	case r.ordered <- struct{}{}:
	default: // nobody leads here, or the leader knows
	}
	_, err := r.app.Deliver(r.ctx, o)
	if errors.Is(err, ErrNoEffect) {
		return nil
	}
	if err != nil {
		r.fail(err)
		return err
	}
	final := r.app.Last().Height
	r.mu.Lock()
	r.head, r.kept = o.Ref, append(after(r.kept, final), o)
	r.mu.Unlock()
	return nil
}
