package client

import (
	"context"
	"errors"

	"github.com/quorate-pki/quorate/ledger"
)

// elsewhere asks again, of the next node, while what the one before said does not verify, or is a refusal: no node's word is proof of
// either. Of several nodes, one that lies costs time, and nothing else. When none does better, the first answer stands. The
// same bytes may be submitted to every node.
func elsewhere[T any](c *Client, ask func() (T, error)) (T, error) {
	first, err := ask()
	if err == nil {
		return first, nil
	}
	for range len(c.cfg.Nodes) - 1 {
		if errors.Is(err, ErrNoNode) || errors.Is(err, ledger.ErrBusy) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
			break // all were asked, or nobody waits any more
		}
		c.last.Store((c.last.Load() + 1) % int64(len(c.cfg.Nodes)))
		if v, again := ask(); again == nil {
			return v, nil
		}
	}
	return first, err
}

// Channel returns the channel id, proved: it is the hash of the transaction in leaf 0 of the cosigned log. Without
// the proof, a node could have a transaction signed for another channel.
func (c *Client) Channel(ctx context.Context) (ledger.Hash, error) {
	return elsewhere(c, func() (ledger.Hash, error) { return c.channel(ctx) })
}

// Find looks a certificate up and proves that it was published. ledger.ErrNotFound is told, not proved.
func (c *Client) Find(ctx context.Context, der []byte) (*Found, error) {
	return elsewhere(c, func() (*Found, error) { return c.find(ctx, der) })
}

// Receipts fetches and verifies many receipts at once: of certificate ders[i] at leaves[i].
func (c *Client) Receipts(ctx context.Context, leaves []uint64, ders [][]byte) ([]*Found, error) {
	return elsewhere(c, func() ([]*Found, error) { return c.receipts(ctx, leaves, ders) })
}
