package client

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
)

// Item is a certificate to publish.
type Item struct {
	Name string // for the caller's messages
	DER  []byte
}

// Outcome is what became of an item.
type Outcome struct {
	Item
	Code  reason.Code
	Found *Found // verified receipt, when Code.OK()
	Err   error  // why nothing is known of this item; Code is meaningless then
}

// Publisher cuts certificates into transactions, submits them and checks the receipts.
type Publisher struct {
	Client  *Client
	Signer  ledger.Signer
	Profile uint64
	Whole   bool             // all or nothing, per transaction
	Now     func() time.Time // required; expiry is an hour ahead
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
	return signed(tx, bodies, purpose, p.Signer)
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

// submit sends the same bytes until a node took them or ctx ends.
func (c *Client) submit(ctx context.Context, raw []byte, id ledger.Hash) (ledger.Result, error) {
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
		case <-time.After(retryPause):
		}
	}
}

// Publish submits one batch and verifies every receipt. The error is for the batch as a whole.
func (p *Publisher) Publish(ctx context.Context, channel ledger.Hash, items []Item) ([]Outcome, error) {
	raw, id, err := p.transaction(channel, items, ledger.ForLedger)
	if err != nil {
		return nil, err
	}
	res, err := p.Client.submit(ctx, raw, id)
	if err != nil {
		return nil, err
	}
	if len(res.Verdicts) != len(items) {
		return nil, untrusted("%d verdicts for %d certificates", len(res.Verdicts), len(items))
	}
	out := make([]Outcome, len(items))
	var leaves []uint64
	var ders [][]byte
	var at []int
	for i, v := range res.Verdicts {
		out[i] = Outcome{Item: items[i], Code: v.Code}
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
	verdicts, err := p.Client.Judge(ctx, raw)
	if err != nil {
		return nil, err
	}
	if len(verdicts) != len(items) {
		return nil, untrusted("%d verdicts for %d certificates", len(verdicts), len(items))
	}
	out := make([]Outcome, len(items))
	for i, v := range verdicts {
		out[i] = Outcome{Item: items[i], Code: v.Code}
	}
	return out, nil
}

// Change submits a status change of a published certificate and returns its verified standing afterwards. code is
// the verdict; the standing is nil when it was refused.
func (c *Client) Change(ctx context.Context, change ledger.StatusChange, f *Found, now time.Time, signers ...ledger.Signer) (reason.Code, *Standing, error) {
	channel, err := c.Channel(ctx)
	if err != nil {
		return 0, nil, err
	}
	tx := ledger.Tx{Channel: channel, Expiry: ledger.MillisOf(now.Add(time.Hour))}
	rand.Read(tx.Nonce[:])
	raw, id, err := signed(tx, [][]byte{ledger.EncodeBody(ledger.OpStatus, change)}, ledger.ForLedger, signers...)
	if err != nil {
		return 0, nil, err
	}
	res, err := c.submit(ctx, raw, id)
	if err != nil {
		return 0, nil, err
	}
	if len(res.Verdicts) != 1 {
		return 0, nil, untrusted("%d verdicts for one change", len(res.Verdicts))
	}
	code := res.Verdicts[0].Code
	if code != reason.Accepted {
		return code, nil, nil
	}
	s, err := c.Standing(ctx, f.Leaf)
	if err != nil {
		return code, nil, err
	}
	want := map[ledger.Action]ledger.Status{ledger.Revoke: ledger.Revoked, ledger.Suspend: ledger.Suspended, ledger.Resume: ledger.Good}
	if s.Status != want[change.Action] {
		return code, nil, untrusted("accepted, yet the status proof says %s", s.Status)
	}
	return code, s, nil
}
