package state

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/tlog"
)

// reader folds leaves that came from elsewhere: nothing about them is known but their bytes.
type reader struct {
	*folder
	txAt      uint64        // leaf of the transaction whose operations follow
	accepted  []uint64      // positions of its operations that are still to come
	envelopes []ledger.Hash // leaf hashes of the block's effective envelopes, in order
}

// leaf folds a leaf that is no epoch, at the end of the log.
func (r *reader) leaf(raw []byte) error {
	at := r.st.Size()
	bad := func(err error) error { return fmt.Errorf("%w: leaf %d: %w", ErrBadLeaves, at, err) }
	e, err := ledger.ParseEntry(raw)
	if err != nil {
		return bad(err)
	}
	switch {
	case e.Tx != nil:
		env, err := ledger.ParseEnvelope(e.Tx.Envelope, ledger.ForLedger)
		if err != nil {
			return bad(err)
		}
		done, err := r.st.Applied(env.ID)
		if err != nil {
			return err // the store's
		}
		if done != nil {
			return bad(fmt.Errorf("the transaction of leaf %d again", done.Leaf))
		}
		if err := r.begin(env, e.Tx.Codes); err != nil {
			return bad(err)
		}
		r.transaction(env, e.Tx.Codes, raw)
		return nil
	case e.Op != nil:
		x, err := r.expected(e.Op)
		if err != nil {
			return bad(err)
		}
		if err := r.operation(e.Op, x, at); err != nil {
			return err
		}
		if err := r.cutOffs(e.Op, x); err != nil {
			return bad(err)
		}
		if e.Op.Effects.Rules != r.st.channel.Rules {
			return bad(fmt.Errorf("judged by rule version %d", e.Op.Effects.Rules))
		}
		r.append(raw)
		return nil
	}
	return bad(fmt.Errorf("an epoch entry inside a block"))
}

// begin notes what operation leaves a transaction leaf promises.
func (r *reader) begin(env *ledger.Envelope, codes []reason.Code) error {
	var channel ledger.Hash // zero in genesis
	if r.head.Height > 0 {
		channel = r.st.channel.Channel
	}
	switch {
	case r.head.Height == 0 && r.st.Size() > 0:
		return fmt.Errorf("genesis is one transaction")
	case len(r.accepted) > 0:
		return fmt.Errorf("%d operations of leaf %d are missing", len(r.accepted), r.txAt)
	case env.Tx.Channel != channel:
		return fmt.Errorf("a transaction of another channel")
	case len(codes) != len(env.Tx.Bodies):
		return fmt.Errorf("%d verdicts on %d operations", len(codes), len(env.Tx.Bodies))
	}
	for i, c := range codes {
		if c == reason.Accepted {
			r.accepted = append(r.accepted, uint64(i))
		}
	}
	undone := slices.ContainsFunc(codes, func(c reason.Code) bool { return !c.OK() })
	if env.Tx.Mode == ledger.AllOrNothing && undone && slices.ContainsFunc(codes, reason.Code.OK) {
		return fmt.Errorf("part of an all-or-nothing transaction")
	}
	r.tx, r.txAt = env, r.st.Size()
	r.envelopes = append(r.envelopes, tlog.LeafHash(env.Raw))
	return nil
}

// expected demands the next operation that the last transaction leaf promised.
func (r *reader) expected(l *ledger.OpLeaf) (*Examined, error) {
	if len(r.accepted) == 0 || l.Tx != r.txAt || l.Position != r.accepted[0] {
		return nil, fmt.Errorf("operation %d of leaf %d is out of place", l.Position, l.Tx)
	}
	r.accepted = r.accepted[1:]
	if ledger.Sum(l.Body) != r.tx.Tx.Bodies[l.Position] {
		return nil, fmt.Errorf("not the operation that was signed")
	}
	if l.Effects.Time != r.head.Time {
		return nil, fmt.Errorf("judged at another time than the block's")
	}
	if l.Effects.Batch != nil {
		return nil, fmt.Errorf("effects in a reserved form")
	}
	x := Examine(l.Body)
	if x.Err != nil {
		return nil, x.Err
	}
	return x, r.placed(x, l.Position)
}

// cutOffs holds what a leaf says of cut-offs to what folding it did.
func (r *reader) cutOffs(l *ledger.OpLeaf, x *Examined) error {
	same := func(a, b ledger.CutEffect) bool {
		return a.Scope == b.Scope && bytes.Equal(a.Target, b.Target) && a.From == b.From && a.Reason == b.Reason && a.Runs == b.Runs && a.Leaves == b.Leaves && a.Hash == b.Hash
	}
	if !slices.EqualFunc(l.Effects.Cuts, r.cuts, same) {
		return fmt.Errorf("other cut-offs than it has")
	}
	if _, vote := x.Args.(*ledger.Vote); vote && (l.Effects.Authority == ledger.ByQuorum) != (len(r.cuts) > 0) {
		return fmt.Errorf("a vote in another capacity than it cuts off in")
	}
	return nil
}

// placed holds operations to genesis, to the time after it, and to the rule version that has them.
func (r *reader) placed(x *Examined, position uint64) error {
	genesis := r.head.Height == 0
	switch x.Args.(type) {
	case *ledger.Publish, *ledger.StatusChange:
		if genesis {
			return fmt.Errorf("not an operation of genesis")
		}
	case *ledger.LineKey, *ledger.Namespace:
		if !genesis && r.st.channel.Rules < ledger.Governed || genesis && position == 0 {
			return fmt.Errorf("an operation of genesis out of place")
		}
	case *ledger.Propose, *ledger.Vote, *ledger.Withdraw, *ledger.OrganisationChange, *ledger.NamespaceChange, *ledger.CutOff, *ledger.Channel, *ledger.CA, ledger.LifeStep:
		if genesis || r.st.channel.Rules < ledger.Governed {
			return fmt.Errorf("an operation that rule version %d does not have", r.st.channel.Rules)
		}
	default:
		_, founds := x.Args.(*ledger.Consortium)
		if !genesis || founds != (position == 0) {
			return fmt.Errorf("an operation of genesis out of place")
		}
	}
	return nil
}

// end holds the epoch against the leaves before it.
func (r *reader) end(e *ledger.Epoch) error {
	bad := func(what string) error {
		return fmt.Errorf("%w: epoch of height %d: %s", ErrBadLeaves, r.head.Height, what)
	}
	if len(r.accepted) > 0 {
		return bad("operations are missing")
	}
	envelopes := r.envelopes
	for i, l := range e.Leafless {
		// Ascending, and none beyond the end: each stands between those before it.
		if l.Position > uint64(len(envelopes)) || (i > 0 && l.Position <= e.Leafless[i-1].Position) {
			return bad("transactions without a leaf are out of place")
		}
		envelopes = slices.Insert(envelopes, int(l.Position), l.Leaf)
	}
	if len(envelopes) == 0 || tlog.Root(envelopes) != r.head.Payload {
		return bad("another payload hash than its transactions'")
	}
	r.settle()
	root, err := r.statusRoot()
	if err != nil {
		return err
	}
	switch {
	case root != e.StatusRoot:
		return bad("another status root")
	case e.First != r.first:
		return bad("another first leaf")
	case e.Rules != r.st.channel.Rules || e.MemberSet != ledger.Sum(r.st.announced()):
		return bad("another rule version or member set")
	case len(r.st.channel.MemberSet) == 0:
		return bad("nobody founded the channel")
	case e.Keys != nil:
		return bad("a reserved form")
	}
	return nil
}
