package client

import (
	"context"

	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/api"
)

// OrganisationOf is Organisation by id.
func (c *Client) OrganisationOf(ctx context.Context, id ledger.OrgID) (*api.Organisation, error) {
	return elsewhere(c, func() (*api.Organisation, error) {
		for rec, err := range c.Records(ctx, ledger.RecordOrg, id[:], nil) {
			if err != nil {
				return nil, err
			}
			var told ledger.OrgRecord
			if err := ledger.Decode(rec.Value, &told); err != nil {
				return nil, untrusted("an organisation: %v", err)
			}
			return c.proveOrganisation(ctx, id.String(), told.Name, told.Leaf, told.Decision)
		}
		return nil, ledger.ErrNotFound
	})
}

// RegisteredKey finds a registered key by its id. The key itself is proved by that, its role and owner are told. ErrNotFound: the node
// knows none.
func (c *Client) RegisteredKey(ctx context.Context, id ledger.Hash) (*ledger.RegisteredKey, error) {
	return elsewhere(c, func() (*ledger.RegisteredKey, error) { return c.registeredKey(ctx, id) })
}

func (c *Client) registeredKey(ctx context.Context, id ledger.Hash) (*ledger.RegisteredKey, error) {
	for rec, err := range c.Records(ctx, ledger.RecordRegistry, id[:], nil) {
		if err != nil {
			return nil, err
		}
		var k ledger.RegisteredKey
		if err := ledger.Decode(rec.Value, &k); err != nil || ledger.Sum(k.SPKI) != id {
			return nil, untrusted("the key told is not %x", id)
		}
		return &k, nil
	}
	return nil, ledger.ErrNotFound
}
