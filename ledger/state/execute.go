package state

import (
	"errors"
	"fmt"

	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/tlog"
)

// ErrInvalidBlock means that a block as a whole can have no effect: it does not follow this state, or breaks a
// rule that no honest proposer breaks. Any other error means that the store failed.
var ErrInvalidBlock = errors.New("the block has no effect")

// ErrNewerRules means that the channel is judged by rules that this build does not know: install a newer one. Nothing is wrong with the
// block, and this node must neither judge it nor fold it.
var ErrNewerRules = errors.New("the channel's rules are newer than this build")

// Executed is the effect of a block.
type Executed struct {
	State   *State
	Leaves  [][]byte // of this block, the epoch last
	Results []ledger.Result
	Refused []Refused // transactions that left no leaf, and why; not part of the log
}

// Refused is a transaction without effect.
type Refused struct {
	ID  ledger.Hash
	Why *reason.Error
}

// CheckHeader demands that a header follows this state. It says nothing about the proposer's signature.
func (s *State) CheckHeader(h *ledger.Header) error {
	c := &s.channel
	switch {
	case c.Rules > ledger.NewestRules:
		return fmt.Errorf("%w: rule version %d, this build knows 1 to %d", ErrNewerRules, c.Rules, ledger.NewestRules)
	case s.Size() == 0 && (h.Height != 0 || h.View != 0 || h.Log != 0 || h.Channel != ledger.Hash{} || h.Previous != ledger.Hash{}):
		return fmt.Errorf("%w: %w", ErrInvalidBlock, reason.New(reason.BadGenesis, "not a genesis header"))
	case s.Size() == 0:
		return nil
	case h.Channel != c.Channel || h.Log != c.Log:
		return fmt.Errorf("%w: of another channel or log", ErrInvalidBlock)
	case h.Height != c.Height+1:
		return fmt.Errorf("%w: height %d after %d", ErrInvalidBlock, h.Height, c.Height)
	case h.Previous != c.Header:
		return fmt.Errorf("%w: height %d does not follow this node's block %d", ErrInvalidBlock, h.Height, c.Height)
	case h.View == 0 || h.View < c.View:
		return fmt.Errorf("%w: view %d after %d", ErrInvalidBlock, h.View, c.View)
	case h.Time <= c.Time:
		return fmt.Errorf("%w: time %d not after %d", ErrInvalidBlock, h.Time, c.Time)
	}
	return nil
}

// Execute judges a block and folds what it leaves. The block's form was checked by ledger.ParseBlock, the
// proposer's signature by the node before the orderer stored it.
func Execute(parent *State, b *ledger.Block, facts Facts) (*Executed, error) {
	if err := parent.CheckHeader(b.Header); err != nil {
		return nil, err
	}
	operations := 0
	for _, tx := range b.Txs {
		operations += len(tx.Bodies)
	}
	j := &judge{facts: facts, header: b.Header, fold: newFolder(parent.next(operations))}
	j.fold.header(b)
	if b.Header.Height == 0 {
		if err := j.genesis(b); err != nil {
			return nil, err
		}
	} else {
		if err := j.fold.enactDue(); err != nil {
			return nil, err
		}
		for i, tx := range b.Txs {
			if err := j.transaction(i, tx); err != nil {
				return nil, err
			}
		}
	}
	if len(j.leafless) > ledger.MaxLeafless {
		return nil, fmt.Errorf("%w: %d transactions leave no leaf", ErrInvalidBlock, len(j.leafless))
	}
	return j.finish(b)
}

// judge carries a block's judgement.
type judge struct {
	facts    Facts
	header   *ledger.Header
	fold     *folder
	leaves   [][]byte
	results  []ledger.Result
	leafless []ledger.Leafless
	refused  []Refused
}

// finish adds the epoch.
func (j *judge) finish(b *ledger.Block) (*Executed, error) {
	st := j.fold.st
	j.fold.settle()
	status, err := j.fold.statusRoot()
	if err != nil {
		return nil, err
	}
	epoch := &ledger.Epoch{Header: b.Signed, First: j.fold.first, StatusRoot: status, Rules: st.channel.Rules,
		MemberSet: ledger.Sum(st.announced()), Leafless: j.leafless}
	if epoch.Leafless == nil {
		epoch.Leafless = []ledger.Leafless{}
	}
	raw := epoch.Encode()
	if err := j.fold.epoch(epoch, raw); err != nil {
		return nil, err
	}
	return &Executed{State: st, Leaves: append(j.leaves, raw), Results: j.results, Refused: j.refused}, nil
}

// transaction judges one transaction: without effect unless authenticated, unexpired and new.
func (j *judge) transaction(position int, tx *ledger.Parsed) error {
	refusal, err := CheckTransaction(j.fold.st, tx, j.header.Time, j.facts)
	if err != nil {
		return err
	}
	if refusal != nil {
		j.leafless = append(j.leafless, ledger.Leafless{Position: uint64(position), Leaf: tlog.LeafHash(tx.Raw)})
		j.refused = append(j.refused, Refused{ID: tx.ID, Why: refusal})
		return nil
	}
	verdicts, leaves, err := j.operations(tx)
	if err != nil {
		return err
	}
	base := j.fold.st.Size()
	txLeaf := &ledger.TxLeaf{Envelope: tx.Raw}
	for _, v := range verdicts {
		txLeaf.Codes = append(txLeaf.Codes, v.Code)
	}
	raw := txLeaf.Encode()
	j.fold.transaction(tx.Envelope, txLeaf.Codes, raw)
	j.leaves = append(j.leaves, raw)
	for _, l := range leaves {
		j.fold.append(l)
		j.leaves = append(j.leaves, l)
	}
	j.results = append(j.results, ledger.Result{ID: tx.ID, Leaf: base, Height: j.header.Height, Verdicts: verdicts})
	return nil
}

// operations judges a transaction's operations in order, each on what the ones before it did, and folds the
// accepted ones at the leaf indexes they will have: the transaction's own leaf comes first.
func (j *judge) operations(tx *ledger.Parsed) ([]ledger.Verdict, [][]byte, error) {
	whole := j.fold
	whole.tx = tx.Envelope
	if tx.Tx.Mode == ledger.AllOrNothing {
		j.fold = whole.fork(len(tx.Bodies))
	}
	verdicts := make([]ledger.Verdict, len(tx.Bodies))
	var leaves [][]byte
	base, failed := whole.st.Size(), false
	for i, body := range tx.Bodies {
		at := base + 1 + uint64(len(leaves))
		leaf, refusal, err := j.operation(tx, i, body, base, at)
		if err != nil {
			return nil, nil, err
		}
		if refusal != nil {
			verdicts[i] = ledger.Verdict{Code: refusal.code, Leaf: refusal.leaf}
			failed = failed || !refusal.code.OK()
			continue
		}
		verdicts[i] = ledger.Verdict{Code: reason.Accepted, Leaf: at}
		leaves = append(leaves, leaf)
	}
	if tx.Tx.Mode == ledger.AllOrNothing {
		if failed {
			for i := range verdicts {
				if verdicts[i].Code.OK() {
					verdicts[i] = ledger.Verdict{Code: reason.NotApplied}
				}
			}
			leaves = nil
		} else {
			whole.adopt(j.fold)
		}
		j.fold = whole
	}
	return verdicts, leaves, nil
}

// outcome is a verdict other than accepted.
type outcome struct {
	code reason.Code
	leaf uint64 // of the old publication, for already-published
}

func refuse(err *reason.Error) *outcome { return &outcome{code: err.Code} }

// refuseError is for packages whose every error carries a code.
func refuseError(err error) *outcome {
	code, ok := reason.CodeOf(err)
	if !ok {
		code = reason.BadBody
	}
	return &outcome{code: code}
}

// operation judges one operation and folds it when it is accepted.
func (j *judge) operation(tx *ledger.Parsed, position int, body []byte, txLeaf, at uint64) ([]byte, *outcome, error) {
	x := j.facts.Operation(tx.Tx.Bodies[position], body)
	if no := exists(x, j.fold.st.channel.Rules); no != nil {
		return nil, no, nil
	}
	if x.Err != nil {
		return nil, refuseError(x.Err), nil
	}
	leaf := &ledger.OpLeaf{Tx: txLeaf, Position: uint64(position), Body: body}
	leaf.Effects.Time, leaf.Effects.Rules = j.header.Time, j.fold.st.channel.Rules
	var no *outcome
	var err error
	switch a := x.Args.(type) {
	case *ledger.Publish:
		no, err = j.publish(tx, a, x, at, &leaf.Effects)
	case *ledger.StatusChange:
		no, err = j.statusChange(tx, a, &leaf.Effects)
	case ledger.LifeStep:
		no, err = j.lifeStep(tx, a, x, at, &leaf.Effects)
	default:
		no, err = j.governed(tx, x, at, uint16(position), &leaf.Effects)
	}
	if no != nil || err != nil {
		return nil, no, err
	}
	if err := j.fold.operation(leaf, x, at); err != nil {
		return nil, nil, err
	}
	leaf.Effects.Cuts = j.fold.cuts
	if _, vote := x.Args.(*ledger.Vote); vote && len(j.fold.cuts) > 0 {
		leaf.Effects.Authority = ledger.ByQuorum
	}
	return leaf.Encode(), nil, nil
}

// exists refuses operations, and forms of them, that the rule version in force does not have, as builds of that version did.
func exists(x *Examined, rules uint64) *outcome {
	if rules >= ledger.Governed {
		return nil
	}
	if x.Op >= ledger.OpPropose || x.Op >= ledger.OpRekey && x.Op <= ledger.OpReturn {
		return refuse(reason.New(reason.UnknownOperation, "%d", x.Op))
	}
	if n, ok := x.Args.(*ledger.Namespace); ok && n.Newer() {
		return refuse(reason.New(reason.BadBody, "a namespace of rule version %d", ledger.Governed))
	}
	return nil
}

// governed judges what members and organisations' admins decide.
func (j *judge) governed(tx *ledger.Parsed, x *Examined, at uint64, position uint16, e *ledger.Effects) (*outcome, error) {
	if j.fold.st.channel.Rules < ledger.Governed {
		return refuse(reason.New(reason.NotGenesis, "")), nil
	}
	switch a := x.Args.(type) {
	case *ledger.Propose:
		return j.propose(tx, a, at, e)
	case *ledger.Vote:
		return j.vote(tx, a, at, e)
	case *ledger.Withdraw:
		return j.withdraw(tx, a, e)
	case *ledger.LineKey:
		return j.registerLine(tx, a, e)
	case *ledger.Namespace:
		return j.judgeDelegation(tx, a, position, e)
	case *ledger.OrganisationChange:
		return j.judgeAdmins(tx, a, e)
	case *ledger.NamespaceChange:
		return j.judgeTakeBack(tx, a, e)
	case *ledger.CutOff:
		return j.judgeCutOff(tx, a, e)
	case *ledger.Channel:
		return j.restateChannel(tx, a, e), nil
	case *ledger.CA:
		return j.registerCA(tx, a, e)
	case *ledger.Consortium:
		return refuse(reason.New(reason.NotGenesis, "")), nil
	}
	return refuse(reason.New(reason.NotGenesis, "%T goes into a proposal", x.Args)), nil
}

// CheckTransaction says why a transaction would leave no leaf in a block of this time, or nil. The error is the
// store's.
func CheckTransaction(s *State, tx *ledger.Parsed, now ledger.Millis, facts Facts) (*reason.Error, error) {
	switch {
	case tx.Tx.Channel != s.channel.Channel:
		return reason.New(reason.WrongChannel, "%x", tx.Tx.Channel), nil
	case tx.Tx.Expiry <= now:
		return reason.New(reason.Expired, "at %s", tx.Tx.Expiry.Time().Format("2006-01-02T15:04:05.000Z")), nil
	case tx.Tx.Expiry > now+ledger.MaxExpiryAhead:
		return reason.New(reason.ExpiryTooFar, "at %s", tx.Tx.Expiry.Time().Format("2006-01-02T15:04:05.000Z")), nil
	}
	if done, err := s.Applied(tx.ID); err != nil {
		return nil, err
	} else if done != nil {
		return reason.New(reason.Replayed, "in leaf %d", done.Leaf), nil
	}
	for _, sig := range tx.Signatures {
		spki, err := s.signerKey(tx, sig.KeyID)
		if err != nil {
			return nil, err
		}
		if spki == nil {
			return reason.New(reason.NotAuthenticated, "key %x", sig.KeyID), nil
		}
		if !facts.Transaction(spki, sig) {
			return reason.New(reason.BadSignature, "by key %x", sig.KeyID), nil
		}
	}
	return nil, nil
}

// maxSelfSigned is the most operations of a transaction that a certificate's own key signs.
const maxSelfSigned = 16

// signerKey finds the SPKI of an authenticated signer: a registered key, or the key of a published certificate
// whose SPKI one of the operations carries. Nil: not authenticated.
func (s *State) signerKey(tx *ledger.Parsed, id ledger.Hash) ([]byte, error) {
	if k := s.registry.signer(id); k != nil {
		if _, in := s.registry.newestSet().governance[id]; k.Role == ledger.KeyRoleGovernance && !in {
			return nil, nil // of a member that left, or has another key now
		}
		return k.SPKI, nil
	}
	// A few operations only: a key that nobody registered must not have a thousand bodies read, or logged, before
	// anybody knows whether it is known at all.
	if len(tx.Bodies) > maxSelfSigned {
		return nil, nil
	}
	for _, body := range tx.Bodies {
		_, args, err := ledger.ParseBody(body)
		if err != nil {
			continue // refused in its turn; it authenticates nobody
		}
		if spki := s.ownKey(args); len(spki) > 0 && ledger.Sum(spki) == id {
			r, err := s.KeyRecord(id)
			if err != nil || r == nil {
				return nil, err
			}
			return spki, nil
		}
	}
	return nil, nil
}

// ownKey is the SPKI that an operation carries because the key of a published certificate itself signs it.
func (s *State) ownKey(args any) []byte {
	switch a := args.(type) {
	case *ledger.StatusChange:
		return a.SPKI
	case *ledger.Rekey:
		if s.channel.Rules >= ledger.Governed {
			return a.SPKI
		}
	}
	return nil
}

// Try says what the verdicts on a transaction would be in a block of this time. It changes nothing. A
// *reason.Error is why the transaction would leave no leaf; another error is the store's.
func Try(s *State, tx *ledger.Parsed, now ledger.Millis, facts Facts) ([]ledger.Verdict, error) {
	verdicts, _, _, err := try(s, tx, now, facts)
	return verdicts, err
}

// Revocations are the leaves that a transaction would revoke in a block of this time, in no order. Its errors are Try's.
func Revocations(s *State, tx *ledger.Parsed, now ledger.Millis, facts Facts) ([]uint64, error) {
	_, leaves, after, err := try(s, tx, now, facts)
	if err != nil {
		return nil, err
	}
	var out []uint64
	add := func(first, count uint64) {
		for leaf := first; leaf < first+count; leaf++ {
			out = append(out, leaf)
		}
	}
	for _, raw := range leaves {
		e, err := ledger.ParseEntry(raw)
		if err != nil {
			return nil, err
		}
		if e.Op == nil {
			continue
		}
		for _, r := range e.Op.Effects.Runs {
			if r.Status == ledger.Revoked {
				add(r.First, r.Count)
			}
		}
		for _, c := range e.Op.Effects.Cuts {
			runs, err := after.cutRuns(&ledger.CutOff{Scope: c.Scope, Target: c.Target, From: c.From})
			if err != nil {
				return nil, err
			}
			for _, r := range runs {
				add(r.First, r.Count)
			}
		}
	}
	return out, nil
}

// try also gives the leaves of the operations, and the state after them.
func try(s *State, tx *ledger.Parsed, now ledger.Millis, facts Facts) ([]ledger.Verdict, [][]byte, *State, error) {
	no, err := CheckTransaction(s, tx, now, facts)
	if err != nil {
		return nil, nil, nil, err
	}
	if no != nil {
		return nil, nil, nil, no
	}
	c := s.channel
	j := &judge{facts: facts, fold: newFolder(s.next(1)), header: &ledger.Header{Version: 1, Channel: c.Channel, Log: c.Log,
		Height: c.Height + 1, View: c.View, Previous: c.Header, Time: now}}
	j.fold.head = j.header
	if err := j.fold.enactDue(); err != nil {
		return nil, nil, nil, err
	}
	verdicts, leaves, err := j.operations(tx)
	return verdicts, leaves, j.fold.st, err
}
