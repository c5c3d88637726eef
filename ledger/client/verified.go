package client

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"net/http"

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
	proof, _, entry, err := verify.Entry(c.cfg.Policy, raw, nil)
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
	for rec, err := range c.Records(ctx, ledger.RecordKey, spki[:], nil) {
		if err != nil {
			return nil, err
		}
		var k ledger.KeyRecord
		if err := ledger.Decode(rec.Value, &k); err != nil || len(rec.Key) != len(spki) {
			return nil, untrusted("the key's record does not decode")
		}
		for _, info := range k.Certificates {
			if info.DER == want {
				return c.Published(ctx, info.Leaf, der)
			}
		}
		break // there is one record of a key
	}
	return nil, ledger.ErrNotFound
}

// Published fetches and verifies the receipt of a certificate at a leaf.
func (c *Client) Published(ctx context.Context, leaf uint64, der []byte) (*Found, error) {
	raw, err := c.Receipt(ctx, leaf)
	if err != nil {
		return nil, err
	}
	return check(c.cfg.Policy, raw, leaf, der)
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
	trust := c.cfg.Policy.Remember() // most of them are under one checkpoint
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

func (c *Client) standing(ctx context.Context, leaf uint64) (*Standing, error) {
	a, err := c.Status(ctx, leaf)
	if err != nil {
		return nil, err
	}
	s, err := verify.Status(c.cfg.Policy, a.Proof, leaf)
	if err != nil {
		return nil, err
	}
	return &Standing{s, a.Proof}, nil
}

func (c *Client) standingAfter(ctx context.Context, leaf, at uint64) (*Standing, error) {
	s, err := c.standing(ctx, leaf)
	if err != nil {
		return nil, err
	}
	if s.Size <= at {
		return nil, reason.New(reason.Stale, "the proof is of %d leaves, and leaf %d is known to exist", s.Size, at)
	}
	return s, nil
}
