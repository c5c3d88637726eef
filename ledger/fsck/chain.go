package fsck

import (
	"bytes"
	"fmt"

	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/layout"
	"github.com/quorate-pki/quorate/ledger/state"
	"github.com/quorate-pki/quorate/ledger/tlog"
	"github.com/quorate-pki/quorate/policies"
)

// chain folds the leaves block by block, and checks of every block what fold does not.
type chain struct {
	c        *checker
	facts    state.Facts
	st       *state.State
	store    records
	stopped  bool
	findings []Finding

	block   [][]byte // leaves of the block at hand
	entries []*ledger.Entry

	bySize       map[uint64]blockAt // by the size of the tree it ends
	headers      []ledger.Hash      // by height
	certificates uint64
}

type blockAt struct {
	height uint64
	header ledger.Hash
}

func newChain(c *checker) *chain {
	store := records{}
	return &chain{c: c, facts: state.Direct{Rules: policies.NewEngine()}, store: store, st: state.Empty(store), bySize: map[uint64]blockAt{}}
}

func (ch *chain) at() uint64 { return ch.st.Size() + uint64(len(ch.block)) }

func (ch *chain) stop(leaf uint64, format string, args ...any) {
	ch.stopped = true
	ch.differs(leaf, format, args...)
}

func (ch *chain) differs(leaf uint64, format string, args ...any) {
	ch.findings = append(ch.findings, Finding{Path: ch.c.tree.leafFile(leaf), What: fmt.Sprintf(format, args...)})
}

// leaf takes the next leaf.
func (ch *chain) leaf(raw []byte) {
	if ch.stopped {
		return
	}
	at := ch.at()
	e, err := ledger.ParseEntry(raw)
	if err != nil {
		ch.stop(at, "leaf %d is no entry: %v", at, err)
		return
	}
	ch.block, ch.entries = append(ch.block, raw), append(ch.entries, e)
	if e.Epoch == nil {
		return
	}
	ch.finish(e.Epoch)
	ch.block, ch.entries = nil, nil
}

// end is called after the last leaf.
func (ch *chain) end() {
	if !ch.stopped && len(ch.block) > 0 {
		ch.stop(ch.st.Size(), "the log ends inside the block that begins at leaf %d", ch.st.Size())
	}
}

// finish checks a block and folds it.
func (ch *chain) finish(e *ledger.Epoch) {
	first := ch.st.Size()
	before := len(ch.findings)
	if err := ch.check(e, first); err != nil {
		ch.differs(first, "%v", err)
	}
	next, err := state.Fold(ch.st, ch.block)
	if err != nil {
		ch.stopped = true
		if len(ch.findings) == before {
			ch.differs(first, "the block at leaves %d to %d does not fold: %v", first, ch.at()-1, err)
		}
		return
	}
	if err := ch.proposer(e, next); err != nil {
		ch.differs(first, "height %d: %v", next.Channel().Height, err)
	}
	if ch.c.cfg.Deep {
		if err := ch.judge(e, next, first); err != nil {
			ch.differs(first, "height %d: %v", next.Channel().Height, err)
		}
	}
	for k, v := range next.Writes() {
		ch.store[k] = v
	}
	next.Detach()
	ch.st = next
	ch.headers = append(ch.headers, e.Header.Hash())
	ch.bySize[next.Size()] = blockAt{next.Channel().Height, e.Header.Hash()}
}

// check holds a block to what it says of itself, without fold's own look at the same: block 0 is what genesis gives, the
// payload is that of the header, and the operations are those that their transactions sign and were given leave for.
func (ch *chain) check(e *ledger.Epoch, first uint64) error {
	if first == 0 && ch.c.genesis != nil {
		if err := sameLeaves(ch.block, ch.c.genesis); err != nil {
			return fmt.Errorf("block 0 is not what %s gives: %w", layout.Genesis, err)
		}
	}
	h, err := e.Header.Decode()
	if err != nil {
		return err
	}
	if err := ch.payload(e, h); err != nil {
		return fmt.Errorf("height %d: %w", h.Height, err)
	}
	if err := ch.transactions(e, h, first); err != nil {
		return fmt.Errorf("height %d: %w", h.Height, err)
	}
	return nil
}

// proposer demands that a member's block key signed the header.
func (ch *chain) proposer(e *ledger.Epoch, next *state.State) error {
	h, err := e.Header.Decode()
	if err != nil {
		return err
	}
	members, err := next.Electors()
	if err != nil {
		return err
	}
	if _, key := members.ByBlockKey(h.Proposer); key == nil || !e.Header.VerifiedBy(key) {
		return fmt.Errorf("no member's block key signed the header")
	}
	return nil
}

func sameLeaves(got, want [][]byte) error {
	if len(got) != len(want) {
		return fmt.Errorf("%d leaves, want %d", len(got), len(want))
	}
	for i := range got {
		if !bytes.Equal(got[i], want[i]) {
			return fmt.Errorf("leaf %d of the block differs", i)
		}
	}
	return nil
}

// payload recomputes the payload hash from the transaction leaves and the list of those that left none.
func (ch *chain) payload(e *ledger.Epoch, h *ledger.Header) error {
	leafless := map[uint64]ledger.Hash{}
	last := int64(-1)
	for _, l := range e.Leafless {
		if l.Position > ledger.MaxOperations || int64(l.Position) <= last {
			return fmt.Errorf("the transactions without a leaf are out of order")
		}
		last = int64(l.Position)
		leafless[l.Position] = l.Leaf
	}
	var hashes []tlog.Hash
	fill := func() {
		for hash, ok := leafless[uint64(len(hashes))]; ok; hash, ok = leafless[uint64(len(hashes))] {
			hashes = append(hashes, hash)
		}
	}
	logged := 0
	for _, x := range ch.entries {
		if x.Tx != nil {
			fill()
			hashes = append(hashes, tlog.LeafHash(x.Tx.Envelope))
			logged++
		}
	}
	fill()
	if len(hashes) != logged+len(e.Leafless) || tlog.Root(hashes) != h.Payload {
		return fmt.Errorf("the header's payload hash is not that of the transactions")
	}
	return nil
}

// transactions holds every operation leaf to its transaction.
func (ch *chain) transactions(e *ledger.Epoch, h *ledger.Header, first uint64) error {
	for i := 0; i < len(ch.entries)-1; {
		at := first + uint64(i)
		tx := ch.entries[i].Tx
		if tx == nil {
			return fmt.Errorf("leaf %d is an operation without its transaction", at)
		}
		env, err := ledger.ParseEnvelope(tx.Envelope, ledger.ForLedger)
		if err != nil {
			return fmt.Errorf("leaf %d: %w", at, err)
		}
		n, err := ch.operations(e, h, env, tx, i, at)
		if err != nil {
			return err
		}
		i += 1 + n
	}
	return nil
}

// operations checks the operation leaves that follow the transaction leaf at entry i, and returns their number.
func (ch *chain) operations(e *ledger.Epoch, h *ledger.Header, env *ledger.Envelope, tx *ledger.TxLeaf, i int, at uint64) (int, error) {
	if len(tx.Codes) != len(env.Tx.Bodies) {
		return 0, fmt.Errorf("leaf %d has %d verdicts for %d operations", at, len(tx.Codes), len(env.Tx.Bodies))
	}
	n := 0
	failed, accepted := false, false
	for position, code := range tx.Codes {
		failed, accepted = failed || !code.OK(), accepted || code.OK()
		if code != reason.Accepted {
			continue
		}
		n++
		leaf := at + uint64(n)
		op := ch.entries[i+n].Op // the epoch comes last, so there is an entry
		switch {
		case op == nil:
			return 0, fmt.Errorf("leaf %d is not the operation that leaf %d says was accepted", leaf, at)
		case op.Tx != at || op.Position != uint64(position):
			return 0, fmt.Errorf("leaf %d is operation %d of leaf %d, want operation %d of leaf %d", leaf, op.Position, op.Tx, position, at)
		case ledger.Sum(op.Body) != env.Tx.Bodies[position]:
			return 0, fmt.Errorf("the body in leaf %d is not the one that was signed", leaf)
		case op.Effects.Time != h.Time:
			return 0, fmt.Errorf("leaf %d has another time than its block", leaf)
		case op.Effects.Rules != e.Rules:
			return 0, fmt.Errorf("leaf %d has another rule version than its block", leaf)
		}
		if _, args, err := ledger.ParseBody(op.Body); err == nil && ledger.PublicationOf(args) != nil {
			ch.certificates++
		}
	}
	if env.Tx.Mode == ledger.AllOrNothing && failed && accepted {
		return 0, fmt.Errorf("leaf %d was to apply all or nothing, and did neither", at)
	}
	return n, nil
}
