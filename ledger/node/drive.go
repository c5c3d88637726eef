package node

import (
	"crypto/ed25519"
	"fmt"
	"path"
	"time"

	"github.com/quorate-pki/quorate/internal/durable"
	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/commit"
	"github.com/quorate-pki/quorate/ledger/layout"
	"github.com/quorate-pki/quorate/ledger/order"
	"github.com/quorate-pki/quorate/ledger/state"
	"github.com/quorate-pki/quorate/ledger/tlog"
)

// step feeds the machine and performs what it asks for, on the loop. The first error is for good: what is in
// memory may be ahead of the disk, so the node answers what is final, takes nothing more, and is started again.
func (n *Node) step(in commit.Input) error {
	if err := n.failed(); err != nil {
		return err
	}
	queue := []commit.Input{in}
	for len(queue) > 0 {
		out, err := n.machine.Step(queue[0], ledger.MillisOf(n.cfg.Now()))
		queue = queue[1:]
		if err != nil {
			return n.fail(err)
		}
		for _, o := range out {
			next, err := n.perform(o)
			if err != nil {
				return n.fail(err)
			}
			if next != nil {
				queue = append(queue, next)
			}
		}
	}
	if err := n.restand(); err != nil {
		return n.fail(err)
	}
	return nil
}

func (n *Node) failed() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.failure
}

func (n *Node) fail(err error) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.failure == nil {
		n.failure = err // the first is the cause
		close(n.broken)
	}
	n.answerLocked(fmt.Errorf("%w: %w", ledger.ErrStopping, err))
	return err
}

// answerAll tells everybody who waits that this node will not know.
func (n *Node) answerAll(err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.answerLocked(err)
}

func (n *Node) answerLocked(err error) {
	for id, ws := range n.waiters {
		for _, w := range ws {
			w <- answer{err: err}
		}
		delete(n.waiters, id)
	}
}

// perform does one output and returns what to tell the machine of it.
func (n *Node) perform(o commit.Output) (commit.Input, error) {
	switch o := o.(type) {
	case commit.Sign:
		s, err := n.signer.Sign(o.Statement, o.Key)
		if err != nil {
			return nil, err
		}
		if n.rejoins {
			// The memory holds what this member signed from here on. A crash before this asks the peers again.
			if err := n.rejoined(); err != nil {
				return nil, err
			}
		}
		return commit.Remembered{Signed: s}, nil
	case commit.Release:
		if n.exchange != nil {
			n.exchange.release(o.Signed)
		}
		return nil, nil
	case commit.Finalise:
		return n.finalise(o)
	case commit.Refresh:
		return nil, n.refresh(o)
	case commit.Repool:
		n.cfg.Log.Warn("a block had no effect", "why", o.Why)
		n.noEffect = true
		n.answerRefused(o.Txs, o.Why)
		return nil, nil
	case commit.Conflict:
		return nil, n.keepEvidence(o)
	case commit.Diverged:
		n.cfg.Log.Error("DIVERGED: this node signs nothing any more and serves what is final", "why", o.Why)
		n.answerAll(reason.New(reason.Diverged, "%v", o.Why))
		return nil, nil
	}
	return nil, fmt.Errorf("no way to perform %T", o)
}

// finalise is step 8 of the commit path.
func (n *Node) finalise(o commit.Finalise) (commit.Input, error) {
	last := o.Blocks[len(o.Blocks)-1]
	var leaves [][]byte
	for _, p := range o.Blocks {
		leaves = append(leaves, p.Leaves...)
	}
	if err := n.tiles.append(leaves); err != nil {
		return nil, fmt.Errorf("writing height %d: %w", last.Block.Header.Height, err)
	}
	// A crash here: bytes beyond the index's size; ignored, and rewritten identical.
	note, err := n.note(o.Checkpoint, o.Cosigners, last.State)
	if err != nil {
		return nil, err
	}
	n.finalIndex = last.Index
	f := &layout.Final{Version: layout.FinalVersion, Height: last.Block.Header.Height, Size: o.Checkpoint.Size, Root: o.Checkpoint.Root, Index: last.Index,
		View: last.Block.Header.View, Header: last.Block.Hash, Checkpoint: note}
	if err := n.store.commit(o.Blocks, f); err != nil {
		return nil, fmt.Errorf("committing height %d: %w", f.Height, err)
	}
	n.setFinal(last.State)
	// A crash here: the checkpoint file is rewritten from the batch.
	if err := n.publish(note, last.State); err != nil {
		return nil, err
	}
	for _, p := range o.Blocks {
		for _, tx := range p.Block.Txs {
			n.facts.done(tx)
			n.holds.lift(tx.ID) // what it decided is public
		}
		n.answerFinal(p)
	}
	n.tock()
	return commit.Persisted{Height: f.Height}, nil
}

// setFinal notes what the index holds: the orderer need not deliver it again.
func (n *Node) setFinal(st *state.State) {
	ch := st.Channel()
	n.mu.Lock()
	defer n.mu.Unlock()
	n.final = order.Ordered{Ref: order.Ref{Height: ch.Height, Hash: ch.Header, View: ch.View}, Index: ch.Height}
}

// refresh publishes the final checkpoint with newer cosignatures. The index keeps the older ones: a crash loses
// freshness, which the next signature brings back, and nothing else.
func (n *Node) refresh(o commit.Refresh) error {
	st := n.machine.Final()
	note, err := n.note(o.Checkpoint, o.Cosigners, st)
	if err != nil {
		return err
	}
	handover, err := handsOver(st)
	if err != nil {
		return err
	}
	if len(n.lastNote) == 0 || handover {
		// The first checkpoint, of genesis: from here on the signer memory must exist. Or one where the members change: this member signs other
		// things soon, and the others may need what it signed here.
		ch := st.Channel()
		f := &layout.Final{Version: layout.FinalVersion, Height: ch.Height, Size: o.Checkpoint.Size, Root: o.Checkpoint.Root, Index: n.finalIndex, View: ch.View, Header: ch.Header, Checkpoint: note}
		if err := n.store.commit(nil, f); err != nil {
			return err
		}
	}
	return n.publish(note, st)
}

// note is a checkpoint of a state with cosignatures and this member's log signature: by its log key in each set that may ask for one.
func (n *Node) note(cp tlog.Checkpoint, cosigners []tlog.Signature, st *state.State) ([]byte, error) {
	electors, err := st.Electors()
	if err != nil {
		return nil, err
	}
	after, err := st.Members()
	if err != nil {
		return nil, err
	}
	var sigs []tlog.Signature
	var last ed25519.PrivateKey
	for _, m := range []*ledger.MemberSet{electors, after} {
		if key := n.keyIn(m, ledger.KeyLog); key != nil && !key.Equal(last) {
			sigs, last = append(sigs, tlog.SignCheckpoint(cp, cp.Origin, key)), key
		}
	}
	switch {
	case last == nil && electors.ByName(n.cfg.Member) == nil && after.ByName(n.cfg.Member) == nil:
		return nil, fmt.Errorf("%w by member set %d", ErrRemoved, electors.Number) // heights above its last are others' to publish
	case last == nil:
		return nil, fmt.Errorf("this member's log key in member set %d is not here", after.Number)
	}
	return tlog.FormatNote(cp, append(sigs, cosigners...)), nil
}

// handsOver reports whether the members change with a state.
func handsOver(st *state.State) (bool, error) {
	electors, err := st.Electors()
	if err != nil {
		return false, err
	}
	after, err := st.Members()
	return electors != after, err
}

// verified checks a checkpoint of a state by whose quorum makes it final, or made what follows it. The time is the later one that they swear to: where
// the members change, those after renew it.
func verified(note []byte, st *state.State) (v *tlog.Verified, err error) {
	electors, err := st.Electors()
	if err != nil {
		return nil, err
	}
	after, err := st.Members()
	if err != nil {
		return nil, err
	}
	log := st.Channel().Log
	v, err = electors.Policy(log).Verify(note)
	if electors == after {
		return v, err
	}
	w, no := after.Policy(log).Verify(note)
	if no == nil && (err != nil || w.Time > v.Time) {
		return w, nil
	}
	return v, err
}

// idle does what nobody waits for: it writes the newest checkpoint to its file, for those who copy the log's directory.
// The file is a copy of what the index has, or an earlier one with the same promise; the next start puts it right.
func (n *Node) idle() {
	if n.unwritten == nil || n.failed() != nil {
		return
	}
	if err := durable.Replace(n.cfg.FS, path.Join(n.cfg.Dir, layout.Log(0), layout.Checkpoint), n.unwritten); err != nil {
		n.cfg.Log.Error("the node stops", "err", n.fail(err))
	}
	n.unwritten = nil
}

// publish shows readers a new checkpoint.
func (n *Node) publish(note []byte, st *state.State) error {
	v, err := verified(note, st)
	if err != nil {
		return fmt.Errorf("publishing a checkpoint: %w", err)
	}
	ch := st.Channel()
	n.views.Add(1)
	next := &view{open: &n.views, state: st, snap: n.store.db.NewSnapshot(), head: ledger.Head{Channel: ch.Channel, Origin: v.Origin, Height: ch.Height,
		Size: v.Size, Root: v.Root, Note: note, Time: time.Unix(int64(v.Time), 0).UTC()}}
	next.refs.Store(1)
	n.mu.Lock()
	old := n.view
	n.view = next
	n.tellChanged()
	n.mu.Unlock()
	if old == nil {
		close(n.ready)
	}
	n.lastNote, n.unwritten = note, note
	if old != nil {
		old.release()
	} else {
		n.idle() // from here on there is a checkpoint file
	}
	return n.failed()
}

// acquire returns the newest view; release it.
func (n *Node) acquire() (*view, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.view == nil || n.closing {
		return nil, ledger.ErrStopping
	}
	n.view.refs.Add(1)
	return n.view, nil
}

func (n *Node) answer(id ledger.Hash, a answer) {
	n.mu.Lock()
	ws := n.waiters[id]
	delete(n.waiters, id)
	n.mu.Unlock()
	for _, w := range ws {
		w <- a
	}
}

// answerFinal tells the waiters of a block (step 9).
func (n *Node) answerFinal(p *commit.Pending) {
	for _, r := range p.Results {
		n.answer(r.ID, answer{result: r})
	}
	for _, r := range p.Refused {
		n.answer(r.ID, answer{err: r.Why})
	}
}

// answerRefused tells the waiters of a block that had no effect to send again.
func (n *Node) answerRefused(txs []*ledger.Parsed, why error) {
	for _, t := range txs {
		n.answer(t.ID, answer{err: fmt.Errorf("%w: %w", ledger.ErrBusy, why)})
	}
}
