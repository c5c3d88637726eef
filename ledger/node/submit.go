package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/order"
	"github.com/quorate-pki/quorate/ledger/state"
)

var _ ledger.Submitter = (*Node)(nil)

// Submit implements ledger.Submitter: steps 1 and 9 of the commit path.
func (n *Node) Submit(ctx context.Context, submission []byte) (ledger.Result, error) {
	tx, err := ledger.ParseSubmission(submission, ledger.ForLedger)
	if err != nil {
		return ledger.Result{}, err
	}
	if revokes(tx) && !urgent(tx) {
		return ledger.Result{}, reason.New(reason.TooLarge, "%d operations, one of which revokes and another one does not: at most %d; send the revocations by themselves",
			len(tx.Bodies), maxMixed)
	}
	// Wait first, look then: a verdict that becomes final between the two is not missed.
	wait := n.wait(tx.ID)
	defer n.forget(tx.ID, wait)
	if done, err := n.Result(ctx, tx.ID); err == nil || !errors.Is(err, ledger.ErrNotFound) {
		return done, err
	}
	if err := n.accept(ctx, tx); err != nil {
		return ledger.Result{}, err
	}
	if held, err := n.hold(ctx, tx, submission); err != nil {
		return ledger.Result{}, err
	} else if held {
		n.spread(submission)
	}
	taker := n.taker()
	if err := n.hand(ctx, tx, submission); err != nil {
		return ledger.Result{}, err
	}
	// Odd periods, so that nothing that happens regularly meets every attempt of a transaction.
	again := time.NewTicker(lookAgain + time.Duration(tx.ID[0])*time.Millisecond)
	defer again.Stop()
	for rounds := 1; ; rounds++ {
		select {
		case a := <-wait:
			return a.result, a.err
		case <-again.C:
			// The leader that had it may be gone, or may have lost it. Whether this one takes it shows when it is ordered.
			if now := n.taker(); now != taker || rounds%resubmit == 0 {
				taker = now
				if why, refused := errors.AsType[*reason.Error](n.hand(ctx, tx, submission)); refused {
					return ledger.Result{}, why
				}
			}
		case <-ctx.Done():
			return ledger.Result{}, fmt.Errorf("waiting for finality: %w", ctx.Err())
		}
	}
}

// hand gives a transaction to the orderer. What the leader refuses and this member does not is waited for: one of the two knows
// less or is dishonest, and a refusal is never passed on in this member's name.
func (n *Node) hand(ctx context.Context, tx *ledger.Parsed, submission []byte) error {
	err := n.engine.Submit(ctx, submission)
	switch why, refused := errors.AsType[*reason.Error](err); {
	case err == nil:
		return nil
	case errors.Is(err, order.ErrBusy):
		return fmt.Errorf("%w: %v", ledger.ErrBusy, err)
	case refused:
		n.cfg.Log.Debug("the leader refuses a transaction", "id", tx.ID, "why", why)
		return n.accept(ctx, tx)
	}
	return fmt.Errorf("%w: %w", ledger.ErrStopping, err)
}

const (
	lookAgain = 150 * time.Millisecond // and up to a quarter of a second: how often a waiting transaction asks who leads
	resubmit  = 8                      // times that it asked and is in no final block: it is handed to the orderer again
)

// taker is who puts transactions into blocks, and since when.
type taker struct {
	leader string
	view   uint64
}

func (n *Node) taker() taker {
	s := n.engine.Status()
	return taker{s.Leader, s.View}
}

// accept refuses what would leave no leaf, and checks signatures on all cores before anything queues.
func (n *Node) accept(ctx context.Context, tx *ledger.Parsed) error {
	_, err := look(ctx, n, func() (struct{}, error) { return struct{}{}, n.acceptable(tx) })
	if err == nil {
		n.facts.warm(tx)
	}
	return err
}

// acceptable says why a transaction is not accepted, on the loop.
func (n *Node) acceptable(tx *ledger.Parsed) error {
	if err := n.failed(); err != nil {
		return fmt.Errorf("%w: %w", ledger.ErrStopping, err)
	}
	if why := n.machine.Divergence(); why != nil {
		return reason.New(reason.Diverged, "%v", why)
	}
	head := n.machine.Head()
	no, err := state.CheckTransaction(head, tx, n.now(head), n.facts)
	switch {
	case err != nil:
		return err
	case no != nil && no.Code == reason.Replayed:
		return nil // committed and not final yet: wait for it with the others
	case no != nil:
		return no
	}
	for _, id := range tx.Tx.Signers {
		if head.Registered(id) || n.devices.take(id, tx.ID, n.cfg.Now()) {
			continue
		}
		free, err := n.firstRevocation(head, tx)
		if err != nil {
			return err
		}
		if !free {
			return reason.New(reason.RateLimited, "key %x", id)
		}
	}
	return nil
}

// now is the time that a block proposed now would have.
func (n *Node) now(head *state.State) ledger.Millis {
	return max(ledger.MillisOf(n.cfg.Now()), head.Channel().Time+1)
}

// Judge implements ledger.Submitter.
func (n *Node) Judge(ctx context.Context, submission []byte) ([]ledger.Verdict, error) {
	tx, err := ledger.ParseSubmission(submission, ledger.ForDryRun)
	if err != nil {
		return nil, err
	}
	return look(ctx, n, func() ([]ledger.Verdict, error) {
		head := n.machine.Head()
		return state.Try(head, tx, n.now(head), n.facts)
	})
}

func (n *Node) wait(id ledger.Hash) chan answer {
	w := make(chan answer, 1)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.waiters[id] = append(n.waiters[id], w)
	return w
}

func (n *Node) forget(id ledger.Hash, w chan answer) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for i, x := range n.waiters[id] {
		if x == w {
			n.waiters[id] = append(n.waiters[id][:i:i], n.waiters[id][i+1:]...)
		}
	}
	if len(n.waiters[id]) == 0 {
		delete(n.waiters, id)
	}
}

// dropped answers the waiters of a transaction that was refused after it was accepted: it expired in the pool,
// or its signer lost the right. One that was applied meanwhile is answered when that is final.
func (n *Node) dropped(id ledger.Hash, why *reason.Error) {
	if why.Code != reason.Replayed {
		n.answer(id, answer{err: why})
	}
}

// classify puts revocations in the urgent lane and names the submitter by its first key. It reads what the node has parsed once
// already, so it cannot fail on anything that was accepted.
func classify(raw []byte) (string, order.Lane) {
	tx, err := ledger.ParseSubmission(raw, ledger.ForLedger)
	if err != nil {
		return "", order.Normal
	}
	lane := order.Normal
	if urgent(tx) {
		lane = order.Urgent
	}
	return string(tx.Tx.Signers[0][:]), lane
}

// maxMixed is the most operations of a transaction that revokes something and does something else besides, such as putting a device's next
// certificate in the place of the one revoked. More would take a factory's load past everybody else's; what is not urgent, however, would
// make a leader with a long queue look as if it withheld a revocation.
const maxMixed = 16

// urgent says whether a transaction goes before all that publish: it changes statuses or cuts off only, or revokes with little else.
func urgent(tx *ledger.Parsed) bool {
	for _, b := range tx.Bodies {
		if op, _, err := ledger.ParseBody(b); err != nil || op != ledger.OpStatus && op != ledger.OpCutOff {
			return len(tx.Bodies) <= maxMixed && revokes(tx)
		}
	}
	return true
}
