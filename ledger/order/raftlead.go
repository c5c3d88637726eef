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

// attend keeps this member out of leadership while the app says that it is of no use there. It goes on voting and storing what
// others lead.
func (r *Raft) attend() {
	every := time.NewTicker(r.cfg.Heartbeat)
	defer every.Stop()
	fit := true
	for {
		select {
		case <-every.C:
		case <-r.ctx.Done():
			return
		}
		err := r.fit()
		if err == nil {
			fit = true
			continue
		}
		if r.ctx.Err() == nil && fit {
			r.cfg.Log.Warn("this member keeps out of leadership", "err", err)
		}
		fit = false
		r.transport.silence(electionFor*r.cfg.Heartbeat + r.cfg.Stuck) // as long as the next question may take
	}
}

func (r *Raft) fit() error {
	ctx, cancel := context.WithTimeout(r.ctx, r.cfg.Stuck)
	defer cancel()
	return r.app.Fit(ctx)
}

// lead proposes one block at a time in one term.
//
// A header names its term as its view, and one header is signed for a height and view. The term is read before and after
// a barrier that succeeds: it is then a term in which this member led, and not one for which it only stands. Whatever
// happens to a block that was signed, this term signs none in its place: the loop ends, and the term with it.
func (r *Raft) lead(ctx context.Context) {
	term := r.raft.CurrentTerm()
	err := r.answer(ctx, r.raft.Barrier(r.cfg.Stuck))
	if err == nil && r.raft.CurrentTerm() != term {
		return // its own leading has its own word from the library
	}
	for err == nil {
		txs := r.pool.Take(ctx, ledger.MaxBlock-4096, ledger.MaxOperations)
		if txs == nil {
			return
		}
		err = r.propose(ctx, term, txs)
	}
	if ctx.Err() == nil {
		r.cfg.Log.Warn("this member gives up leadership", "term", term, "err", err)
		r.transport.silence(electionFor * r.cfg.Heartbeat)
	}
}

// propose has one block made of transactions, if one can be, and ordered.
func (r *Raft) propose(ctx context.Context, term uint64, txs [][]byte) error {
	block, ref, err := r.app.Assemble(ctx, r.delivered(), term, txs)
	if errors.Is(err, ErrNothing) {
		return nil
	}
	if err == nil {
		err = r.commit(ctx, block)
	}
	if err == nil && r.delivered() != ref {
		err = errors.New("this member's own block had no effect")
	}
	return err
}

// commit has a block ordered and delivered here. A library that does not even take it is waiting for a disk.
func (r *Raft) commit(ctx context.Context, block []byte) error {
	done := answered(r.raft.Apply(append([]byte{entryVersion}, block...), r.cfg.Stuck))
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
				r.raft.Barrier(r.cfg.Stuck)
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

// answer waits for a future for as long as this member leads or runs, and no longer than a leader may be stuck.
func (r *Raft) answer(ctx context.Context, f raft.Future) error {
	ctx, cancel := context.WithTimeout(ctx, r.cfg.Stuck)
	defer cancel()
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
	h, hash, err := ledger.BlockHeader(block)
	if err != nil || h.View != l.Term {
		return nil // the same
	}
	return f.r.deliver(Ordered{Ref: Ref{Height: h.Height, Hash: hash, View: l.Term}, Index: l.Index, Block: block})
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
