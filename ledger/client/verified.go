package client

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"net/http"
	"slices"

	"github.com/quorate-pki/quorate/ca/profile"
	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/api"
	"github.com/quorate-pki/quorate/ledger/tlog"
	"github.com/quorate-pki/quorate/verify"
)

func (c *Client) channel(ctx context.Context) (ledger.Hash, error) {
	raw, err := c.Receipt(ctx, 0)
	if err != nil {
		return ledger.Hash{}, err
	}
	proof, _, entry, err := verify.Entry(c.trust(ctx), raw, nil)
	if err != nil {
		return ledger.Hash{}, err
	}
	e, err := ledger.ParseEntry(entry)
	if err != nil || e.Tx == nil || proof.Index != 0 {
		return ledger.Hash{}, untrusted("leaf 0 is not the founding transaction")
	}
	env, err := ledger.ParseEnvelope(e.Tx.Envelope, ledger.ForLedger)
	if err != nil {
		return ledger.Hash{}, untrusted("leaf 0: %v", err)
	}
	return env.ID, nil
}

// Found is a certificate's place in the log, proved.
type Found struct {
	*verify.Published
	Receipt []byte
}

func (c *Client) find(ctx context.Context, der []byte) (*Found, error) {
	cert, err := profile.Parse(der)
	if err != nil {
		return nil, err
	}
	spki, want := ledger.Sum(cert.SPKI), sha256.Sum256(der)
	k, err := c.keyRecord(ctx, spki)
	if err != nil {
		return nil, err
	}
	for _, info := range k.Certificates {
		if info.DER == want {
			return c.Published(ctx, info.Leaf, der)
		}
	}
	return nil, ledger.ErrNotFound
}

// keyRecord is what was published over a key: told.
func (c *Client) keyRecord(ctx context.Context, key ledger.Hash) (*ledger.KeyRecord, error) {
	k, err := ledger.ReadKey(ledger.RecordsOf(ctx, c), key)
	switch {
	case errors.Is(err, ledger.ErrBadRecord):
		return nil, untrusted("%v", err)
	case err != nil:
		return nil, err
	case k == nil:
		return nil, ledger.ErrNotFound
	}
	return k, nil
}

// Published fetches and verifies the receipt of a certificate at a leaf.
func (c *Client) Published(ctx context.Context, leaf uint64, der []byte) (*Found, error) {
	raw, err := c.Receipt(ctx, leaf)
	if err != nil {
		return nil, err
	}
	return check(c.trust(ctx), raw, leaf, der)
}

func check(trust tlog.NoteVerifier, receipt []byte, leaf uint64, der []byte) (*Found, error) {
	p, err := verify.Receipt(trust, receipt, der)
	if err != nil {
		return nil, err
	}
	if p.Leaf != leaf {
		return nil, untrusted("asked for leaf %d, got a proof of leaf %d", leaf, p.Leaf)
	}
	return &Found{Published: p, Receipt: receipt}, nil
}

func (c *Client) receipts(ctx context.Context, leaves []uint64, ders [][]byte) ([]*Found, error) {
	q, err := json.Marshal(api.Leaves{Leaves: leaves})
	if err != nil {
		return nil, err
	}
	raw, err := c.do(ctx, http.MethodPost, c.v1("/receipts"), "application/json", q)
	if err != nil {
		return nil, translate(err)
	}
	var got api.Receipts
	if err := json.Unmarshal(raw, &got); err != nil || len(got.Receipts) != len(leaves) {
		return nil, untrusted("asked for %d receipts, got %d", len(leaves), len(got.Receipts))
	}
	trust := tlog.Remember(c.trust(ctx)) // most of them are under one checkpoint
	out := make([]*Found, len(leaves))
	for i, r := range got.Receipts {
		if out[i], err = check(trust, []byte(r), leaves[i], ders[i]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Standing is a leaf's verified status and its proof.
type Standing struct {
	*verify.Standing
	Proof []byte
}

// Standing fetches and verifies a leaf's status. Its age is the caller's to judge.
func (c *Client) Standing(ctx context.Context, leaf uint64) (*Standing, error) {
	return c.StandingAfter(ctx, leaf, 0)
}

// StandingAfter is Standing in a tree that holds the leaf at: an older proof, true when it was made, is refused as stale.
func (c *Client) StandingAfter(ctx context.Context, leaf, at uint64) (*Standing, error) {
	return elsewhere(c, func() (*Standing, error) { return c.standingAfter(ctx, leaf, at) })
}

func (c *Client) standingAfter(ctx context.Context, leaf, at uint64) (*Standing, error) {
	proof, err := c.get(ctx, c.v1("/status/%d", leaf))
	if err != nil {
		return nil, err
	}
	return standing(c.trust(ctx), proof, leaf, at)
}

func standing(trust tlog.NoteVerifier, proof []byte, leaf, at uint64) (*Standing, error) {
	s, err := verify.Status(trust, proof, leaf)
	if err != nil {
		return nil, err
	}
	if s.Size <= at {
		return nil, reason.New(reason.Stale, "the proof is of %d leaves, and leaf %d is known to exist", s.Size, at)
	}
	return &Standing{s, proof}, nil
}

// Standings is StandingAfter of many leaves, in few requests. A node with one wrong proof among them is passed over.
func (c *Client) Standings(ctx context.Context, leaves []uint64, at uint64) (map[uint64]*Standing, error) {
	sorted := slices.Compact(slices.Sorted(slices.Values(leaves))) // neighbours share proofs
	out := make(map[uint64]*Standing, len(sorted))
	for part := range slices.Chunk(sorted, api.MaxStatuses) {
		_, err := elsewhere(c, func() (struct{}, error) { return struct{}{}, c.standings(ctx, part, at, out) })
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// standings fetches one part, or halves of it when its proofs are more than a node sends at once: those with causes are large.
func (c *Client) standings(ctx context.Context, leaves []uint64, at uint64, out map[uint64]*Standing) error {
	q, err := json.Marshal(api.Leaves{Leaves: leaves})
	if err != nil {
		return err
	}
	raw, err := c.do(ctx, http.MethodPost, c.v1("/status"), "application/json", q)
	if code, _ := reason.CodeOf(err); code == reason.TooLarge && len(leaves) > 1 {
		half := len(leaves) / 2
		if err := c.standings(ctx, leaves[:half], at, out); err != nil {
			return err
		}
		return c.standings(ctx, leaves[half:], at, out)
	}
	if err != nil {
		return translate(err)
	}
	var got api.Statuses
	if err := json.Unmarshal(raw, &got); err != nil || len(got.Of) != len(leaves) {
		return untrusted("asked for the status of %d leaves, got %d", len(leaves), len(got.Of))
	}
	trust := tlog.Remember(c.trust(ctx)) // most of them are under one checkpoint
	for i, leaf := range leaves {
		if got.Of[i] < 0 || got.Of[i] >= len(got.Proofs) {
			return untrusted("leaf %d has proof %d of %d", leaf, got.Of[i], len(got.Proofs))
		}
		if out[leaf], err = standing(trust, []byte(got.Proofs[got.Of[i]]), leaf, at); err != nil {
			return err
		}
	}
	return nil
}
