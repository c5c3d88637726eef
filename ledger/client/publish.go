package client

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/verify"
)

// Item is a certificate to publish.
type Item struct {
	Name string // for the caller's messages
	DER  []byte
}

// Outcome is what became of an item.
type Outcome struct {
	Item
	Code  reason.Code // proved by the transaction's leaf; of Try: told
	Tx    uint64      // leaf of the transaction, proved; what was asked after it must be proved in a larger tree
	Found *Found      // verified receipt, when Code.OK()
	Err   error       // why nothing is known of this item; Code is meaningless then
}

// Publisher cuts certificates into transactions, submits them and checks the receipts.
type Publisher struct {
	Client *Client
	Signer ledger.Signer
	// Countersigners are admins of the line key's owner, when the line key is cut off; else none.
	Countersigners []ledger.Signer
	Profile        uint64
	Whole          bool             // all or nothing, per transaction
	Now            func() time.Time // required; expiry is an hour ahead
}

// perItem is what an item costs in a submission beyond its DER: body framing and digest.
const perItem = 64

// Batches cuts items into runs that fit a transaction each.
func Batches(items []Item) (out [][]Item) {
	var run []Item
	size := 1024 // envelope without digests
	for _, it := range items {
		if n := len(it.DER) + perItem; len(run) > 0 && (size+n > ledger.MaxSubmission || len(run) == ledger.MaxOperations) {
			out = append(out, run)
			run, size = nil, 1024
		}
		run = append(run, it)
		size += len(it.DER) + perItem
	}
	if len(run) > 0 {
		out = append(out, run)
	}
	return out
}

// transaction signs one transaction of publications.
func (p *Publisher) transaction(channel ledger.Hash, items []Item, purpose ledger.Purpose) ([]byte, ledger.Hash, error) {
	tx := ledger.Tx{Channel: channel, Expiry: ledger.MillisOf(p.Now().Add(time.Hour))}
	if p.Whole {
		tx.Mode = ledger.AllOrNothing
	}
	rand.Read(tx.Nonce[:])
	var bodies [][]byte
	for _, it := range items {
		bodies = append(bodies, ledger.EncodeBody(ledger.OpPublish, ledger.Publish{Profile: p.Profile, Certificate: it.DER}))
	}
	return signed(tx, bodies, purpose, append(p.Countersigners[:len(p.Countersigners):len(p.Countersigners)], p.Signer)...)
}

func signed(tx ledger.Tx, bodies [][]byte, purpose ledger.Purpose, signers ...ledger.Signer) ([]byte, ledger.Hash, error) {
	s, err := ledger.SignTx(tx, bodies, purpose, signers...)
	if err != nil {
		return nil, ledger.Hash{}, err
	}
	env, err := ledger.ParseEnvelope(s.Envelope, purpose)
	if err != nil {
		return nil, ledger.Hash{}, err
	}
	return s.Encode(), env.ID, nil
}

// retryPause is how long a busy node is left alone.
const retryPause = 500 * time.Millisecond

// submit sends the same bytes until a node took them, the configured wait is over, or ctx ends. The result is told.
func (c *Client) submit(ctx context.Context, raw []byte, id ledger.Hash) (ledger.Result, error) {
	enough := time.After(c.cfg.Wait)
	for {
		res, err := c.Submit(ctx, raw)
		code, _ := reason.CodeOf(err)
		if err == nil && res.ID != id {
			return res, untrusted("the result is of transaction %x", res.ID)
		}
		if !errors.Is(err, ledger.ErrBusy) && code != reason.Timeout {
			return res, err
		}
		select {
		case <-ctx.Done():
			return res, err
		case <-enough:
			return res, err
		case <-time.After(retryPause):
		}
	}
}

// decide submits a transaction of n operations and returns what became of it, proved: the verdicts are those in the
// transaction's leaf, which holds the very envelope that was sent, and accepted operations follow that leaf in order.
// A node that tells other verdicts than it can prove is not trusted with either.
func (c *Client) decide(ctx context.Context, raw []byte, id ledger.Hash, n int) (ledger.Result, error) {
	told, err := c.submit(ctx, raw, id)
	if err != nil {
		return ledger.Result{}, err
	}
	receipt, err := c.Receipt(ctx, told.Leaf)
	if err != nil {
		return ledger.Result{}, fmt.Errorf("proving the verdicts: %w", err)
	}
	proof, _, entry, err := verify.Entry(c.trust(ctx), receipt, nil)
	if err != nil {
		return ledger.Result{}, fmt.Errorf("proving the verdicts: %w", err)
	}
	e, err := ledger.ParseEntry(entry)
	if err != nil || e.Tx == nil {
		return ledger.Result{}, untrusted("leaf %d is no transaction", proof.Index)
	}
	env, err := ledger.ParseEnvelope(e.Tx.Envelope, ledger.ForLedger)
	if err != nil || env.ID != id {
		return ledger.Result{}, untrusted("leaf %d is another transaction", proof.Index)
	}
	if len(e.Tx.Codes) != n || len(told.Verdicts) != n || told.Leaf != proof.Index {
		return ledger.Result{}, untrusted("%d verdicts told and %d proved for %d operations", len(told.Verdicts), len(e.Tx.Codes), n)
	}
	out := ledger.Result{ID: id, Leaf: proof.Index, Height: told.Height}
	next := proof.Index + 1
	for i, code := range e.Tx.Codes {
		v := ledger.Verdict{Code: code}
		if code == reason.Accepted {
			v.Leaf = next
			next++
		}
		if t := told.Verdicts[i]; t.Code != v.Code || (code == reason.Accepted && t.Leaf != v.Leaf) {
			return ledger.Result{}, untrusted("operation %d: told %s in leaf %d, proved %s in leaf %d", i, t.Code, t.Leaf, v.Code, v.Leaf)
		}
		out.Verdicts = append(out.Verdicts, v)
	}
	return out, nil
}

// Publish submits one batch, and verifies the verdicts and every receipt. The error is for the batch as a whole.
func (p *Publisher) Publish(ctx context.Context, channel ledger.Hash, items []Item) ([]Outcome, error) {
	raw, id, err := p.transaction(channel, items, ledger.ForLedger)
	if err != nil {
		return nil, err
	}
	res, err := elsewhere(p.Client, func() (ledger.Result, error) { return p.Client.decide(ctx, raw, id, len(items)) })
	if err != nil {
		return nil, err
	}
	out := make([]Outcome, len(items))
	var leaves []uint64
	var ders [][]byte
	var at []int
	for i, v := range res.Verdicts {
		out[i] = Outcome{Item: items[i], Code: v.Code, Tx: res.Leaf}
		if v.Code == reason.Accepted {
			leaves, ders, at = append(leaves, v.Leaf), append(ders, items[i].DER), append(at, i)
		}
		if v.Code == reason.AlreadyPublished {
			out[i].Found, out[i].Err = p.Client.Find(ctx, items[i].DER)
		}
	}
	if len(leaves) == 0 {
		return out, nil
	}
	found, err := p.Client.Receipts(ctx, leaves, ders)
	if err != nil {
		return nil, fmt.Errorf("checking the receipts: %w", err)
	}
	for k, f := range found {
		out[at[k]].Found = f
	}
	return out, nil
}

// Try says what the verdicts would be; nothing is written anywhere.
func (p *Publisher) Try(ctx context.Context, channel ledger.Hash, items []Item) ([]Outcome, error) {
	raw, _, err := p.transaction(channel, items, ledger.ForDryRun)
	if err != nil {
		return nil, err
	}
	verdicts, err := elsewhere(p.Client, func() ([]ledger.Verdict, error) {
		v, err := p.Client.Judge(ctx, raw)
		if err == nil && len(v) != len(items) {
			err = untrusted("%d verdicts for %d certificates", len(v), len(items))
		}
		return v, err
	})
	if err != nil {
		return nil, err
	}
	out := make([]Outcome, len(items))
	for i, v := range verdicts {
		out[i] = Outcome{Item: items[i], Code: v.Code}
	}
	return out, nil
}

// Change submits a status change of a published certificate. The verdict is proved by the transaction's leaf. When it
// was accepted, so is the standing afterwards, in a tree that holds the change; else the standing is nil.
func (c *Client) Change(ctx context.Context, change ledger.StatusChange, f *Found, now time.Time, signers ...ledger.Signer) (reason.Code, *Standing, error) {
	res, err := c.Operate(ctx, [][]byte{ledger.EncodeBody(ledger.OpStatus, change)}, ledger.EachAlone, now, signers...)
	if err != nil {
		return 0, nil, err
	}
	v := res.Verdicts[0]
	if v.Code != reason.Accepted {
		return v.Code, nil, nil
	}
	s, err := elsewhere(c, func() (*Standing, error) {
		s, err := c.standingAfter(ctx, f.Leaf, v.Leaf)
		if err == nil {
			err = changed(s, change, v.Leaf)
		}
		return s, err
	})
	return v.Code, s, err
}

// changed demands that a standing is what an accepted change, in the leaf at, made of it.
func changed(s *Standing, change ledger.StatusChange, at uint64) error {
	want := map[ledger.Action]ledger.Status{ledger.Revoke: ledger.Revoked, ledger.Suspend: ledger.Suspended, ledger.Resume: ledger.Good}
	switch {
	case s.Cause != nil && s.Cause.Index > at:
		if s.Status == want[change.Action] {
			return nil
		}
		return reason.New(reason.StateChanged, "accepted in leaf %d, and %s since by leaf %d", at, s.Status, s.Cause.Index)
	case s.Cause != nil && s.Cause.Index == at:
	case change.Scope == ledger.ScopeKey && (s.Status == want[change.Action] || s.Status == ledger.Revoked):
		return nil // another certificate of the key was changed; this one was past that already
	default:
		return untrusted("accepted in leaf %d, yet the status proof knows nothing of it", at)
	}
	if s.Status != want[change.Action] {
		return untrusted("accepted, yet the status proof says %s", s.Status)
	}
	return nil
}
