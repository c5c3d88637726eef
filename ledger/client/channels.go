package client

import (
	"context"
	"slices"
	"strings"

	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/verify"
)

// Further are the channels that this one, the main channel, has created, by name; told, not proved. ChannelProof proves one.
func (c *Client) Further(ctx context.Context) ([]ledger.FurtherChannel, error) {
	var out []ledger.FurtherChannel
	for rec, err := range c.Records(ctx, ledger.RecordFurther, nil, nil) {
		if err != nil {
			return nil, err
		}
		var f ledger.FurtherChannel
		if err := ledger.Decode(rec.Value, &f); err != nil {
			return nil, untrusted("the record of a channel: %v", err)
		}
		if out = append(out, f); len(out) > ledger.MaxChannels {
			return nil, untrusted("more than %d channels", ledger.MaxChannels)
		}
	}
	slices.SortFunc(out, func(a, b ledger.FurtherChannel) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

// Statement fetches and verifies the receipt of the leaf that restates a channel, as a node tells it. Its genesis is not looked at.
func (c *Client) Statement(ctx context.Context, f *ledger.FurtherChannel) ([]byte, error) {
	if f.Restated == 0 {
		return nil, reason.New(reason.ChannelNotCreated, "no member has had %q stated on the log yet: quorate channel announce", f.Name)
	}
	receipt, err := c.Receipt(ctx, f.Restated)
	if err != nil {
		return nil, err
	}
	proof, _, raw, err := verify.Entry(c.trust(ctx), receipt, nil)
	if err != nil {
		return nil, err
	}
	e, err := ledger.ParseEntry(raw)
	if err != nil || e.Op == nil || proof.Index != f.Restated || string(e.Op.Body) != string(ledger.EncodeBody(ledger.OpChannel, f.Channel)) {
		return nil, untrusted("leaf %d does not state channel %q as it was told", f.Restated, f.Name)
	}
	return receipt, nil
}

// ChannelProof fetches what proves a further channel by this, the main channel's, policy, and verifies it. Nodes that serve the further
// channel must be among those asked.
func (c *Client) ChannelProof(ctx context.Context, name string) ([]byte, *verify.Further, error) {
	type proved struct {
		raw []byte
		*verify.Further
	}
	p, err := elsewhere(c, func() (proved, error) {
		raw, f, err := c.channelProof(ctx, name)
		return proved{raw, f}, err
	})
	return p.raw, p.Further, err
}

func (c *Client) channelProof(ctx context.Context, name string) ([]byte, *verify.Further, error) {
	all, err := c.Further(ctx)
	if err != nil {
		return nil, nil, err
	}
	i := slices.IndexFunc(all, func(f ledger.FurtherChannel) bool { return f.Name == name })
	if i < 0 {
		return nil, nil, reason.New(reason.ChannelNotCreated, "%q", name)
	}
	statement, err := c.Statement(ctx, &all[i])
	if err != nil {
		return nil, nil, err
	}
	of, err := c.of(name, nil)
	if err != nil {
		return nil, nil, err
	}
	payload, founding, err := of.genesis(ctx)
	if err != nil {
		return nil, nil, err
	}
	raw := (&ledger.ChannelProof{Statement: statement, Payload: payload, Founding: founding}).Encode()
	f, err := verify.Channel(c.Trust(), raw)
	return raw, f, err
}

// Name is the channel's name.
func (c *Client) Name() string { return c.cfg.Channel }

// Of is a client of a further channel that was proved, by the same nodes.
func (c *Client) Of(f *verify.Further) (*Client, error) { return c.of(f.Name, f) }

func (c *Client) of(name string, f *verify.Further) (*Client, error) {
	cfg := c.cfg
	cfg.Nodes, cfg.Channel, cfg.Policy = slices.Clone(cfg.Nodes), name, nil
	if f != nil {
		cfg.Policy = f.Policy
	}
	return New(cfg)
}

// genesis is the payload of the channel's genesis transaction, and the body of its first operation; told, not proved.
func (c *Client) genesis(ctx context.Context) (payload, founding []byte, err error) {
	var entries [2]*ledger.Entry
	for i := range entries {
		raw, err := c.Entry(ctx, uint64(i))
		if err != nil {
			return nil, nil, err
		}
		if entries[i], err = ledger.ParseEntry(raw); err != nil {
			return nil, nil, untrusted("leaf %d: %v", i, err)
		}
	}
	if entries[0].Tx == nil || entries[1].Op == nil {
		return nil, nil, untrusted("the log does not begin with a genesis transaction")
	}
	env, err := ledger.ParseEnvelope(entries[0].Tx.Envelope, ledger.ForLedger)
	if err != nil {
		return nil, nil, untrusted("leaf 0: %v", err)
	}
	return env.Payload, entries[1].Op.Body, nil
}
