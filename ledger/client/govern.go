package client

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/api"
	"github.com/quorate-pki/quorate/ledger/tlog"
	"github.com/quorate-pki/quorate/verify"
)

// Operate submits operations in one transaction and returns their verdicts, proved by the transaction's leaf.
func (c *Client) Operate(ctx context.Context, bodies [][]byte, mode ledger.Mode, now time.Time, signers ...ledger.Signer) (ledger.Result, error) {
	raw, id, err := c.operation(ctx, bodies, mode, now, ledger.ForLedger, signers)
	if err != nil {
		return ledger.Result{}, err
	}
	return elsewhere(c, func() (ledger.Result, error) { return c.decide(ctx, raw, id, len(bodies)) })
}

// TryOperations says what the verdicts would be now, told by a node. Nothing is written anywhere.
func (c *Client) TryOperations(ctx context.Context, bodies [][]byte, mode ledger.Mode, now time.Time, signers ...ledger.Signer) ([]ledger.Verdict, error) {
	raw, _, err := c.operation(ctx, bodies, mode, now, ledger.ForDryRun, signers)
	if err != nil {
		return nil, err
	}
	return elsewhere(c, func() ([]ledger.Verdict, error) {
		v, err := c.Judge(ctx, raw)
		if err == nil && len(v) != len(bodies) {
			err = untrusted("%d verdicts for %d operations", len(v), len(bodies))
		}
		return v, err
	})
}

func (c *Client) operation(ctx context.Context, bodies [][]byte, mode ledger.Mode, now time.Time, purpose ledger.Purpose, signers []ledger.Signer) ([]byte, ledger.Hash, error) {
	channel, err := c.Channel(ctx)
	if err != nil {
		return nil, ledger.Hash{}, err
	}
	tx := ledger.Tx{Channel: channel, Mode: mode, Expiry: ledger.MillisOf(now.Add(time.Hour))}
	rand.Read(tx.Nonce[:])
	return signed(tx, bodies, purpose, signers...)
}

// Proposals lists proposals, newest first, those in leaves before one (0: all). It is told, not proved.
func (c *Client) Proposals(ctx context.Context, before uint64) (*api.Proposals, error) {
	return elsewhere(c, func() (*api.Proposals, error) { return c.proposals(ctx, before) })
}

func (c *Client) proposals(ctx context.Context, before uint64) (*api.Proposals, error) {
	path := c.v1("/proposals")
	if before > 0 {
		path = c.v1("/proposals?before=%d", before)
	}
	raw, err := c.get(ctx, path)
	if err != nil {
		return nil, err
	}
	out := &api.Proposals{}
	if err := json.Unmarshal(raw, out); err != nil {
		return nil, untrusted("the list of proposals: %v", err)
	}
	return out, nil
}

// Proposal asks for a proposal and proves what it says, every vote told, and the decision. Told are: that nobody voted otherwise since; and of an
// approved proposal whether it waits, is in force, or could not take effect.
func (c *Client) Proposal(ctx context.Context, leaf uint64) (*api.ProposalPage, error) {
	return elsewhere(c, func() (*api.ProposalPage, error) { return c.proposal(ctx, leaf) })
}

func (c *Client) proposal(ctx context.Context, leaf uint64) (*api.ProposalPage, error) {
	raw, err := c.get(ctx, c.v1("/proposals/%d", leaf))
	if err != nil {
		return nil, err
	}
	told := &api.ProposalPage{}
	if err := json.Unmarshal(raw, told); err != nil {
		return nil, untrusted("the proposal: %v", err)
	}
	p := prover{tlog.Remember(c.trust(ctx))}
	if err := p.leaf(&told.Proposal); err != nil {
		return nil, err
	}
	if told.Proposal.Leaf != leaf || told.Proposal.Proposal == nil {
		return nil, untrusted("leaf %d is not the proposal of leaf %d", told.Proposal.Leaf, leaf)
	}
	decision, err := p.votes(told)
	if err != nil {
		return nil, err
	}
	return told, p.standing(told, decision)
}

// votes proves the votes on a proposal, one of each member at most, and finds the decision among them.
func (p *prover) votes(told *api.ProposalPage) (decision string, err error) {
	last, voted := told.Proposal.Leaf, map[uint64]bool{}
	for i := range told.Votes {
		v := &told.Votes[i]
		if err := p.leaf(v); err != nil {
			return "", err
		}
		switch {
		case v.Leaf <= last || v.Vote == nil || v.Vote.Proposal != told.Proposal.Leaf || v.Vote.Digest != told.Proposal.Proposal.Digest:
			return "", untrusted("leaf %d is no vote on this proposal, or out of order", v.Leaf)
		case decision != "":
			return "", untrusted("leaf %d votes on what was decided", v.Leaf)
		}
		// A member that voted again is named by both its leaves, when others voted with it the first time: its last counts.
		for _, n := range v.Vote.Members {
			voted[n] = v.Vote.Choice == ledger.Approve.String()
		}
		last, decision = v.Leaf, v.Vote.Decision
	}
	if decision == ledger.Approved.String() {
		approvals := uint64(0)
		for yes := range maps.Values(voted) {
			if yes {
				approvals++
			}
		}
		if approvals < told.Standing.Needed {
			return "", untrusted("approved, yet with %d approvals of %d", approvals, told.Standing.Needed)
		}
	}
	return decision, nil
}

// standing demands that where a proposal stands is what its proved votes lead to.
func (p *prover) standing(told *api.ProposalPage, decision string) error {
	states := map[string][]string{
		ledger.Approved.String(): {ledger.ProposalWaiting.String(), ledger.ProposalInForce.String(), ledger.ProposalFailed.String()},
		ledger.Rejected.String(): {ledger.ProposalRejected.String()},
		"":                       {ledger.ProposalOpen.String(), ledger.ProposalExpired.String()},
	}[decision]
	s := told.Standing.State
	if s == ledger.ProposalWithdrawn.String() {
		if told.Withdrawal == nil {
			return untrusted("withdrawn, and no leaf says so")
		}
		if err := p.leaf(told.Withdrawal); err != nil {
			return err
		}
		if w := told.Withdrawal.Withdrawal; w == nil || w.Proposal != told.Proposal.Leaf {
			return untrusted("leaf %d does not withdraw this proposal", told.Withdrawal.Leaf)
		}
		return nil
	}
	if !slices.Contains(states, s) {
		return untrusted("the votes decided %q, and the proposal is told to be %s", decision, s)
	}
	return nil
}

// Organisation finds an organisation by its short name and proves what the log says of it: the leaf that registered it, or the proposal
// and the vote that approved it. ledger.ErrNotFound is told.
func (c *Client) Organisation(ctx context.Context, name string) (*api.Organisation, error) {
	return elsewhere(c, func() (*api.Organisation, error) { return c.organisation(ctx, name) })
}

func (c *Client) organisation(ctx context.Context, name string) (*api.Organisation, error) {
	for rec, err := range c.Records(ctx, ledger.RecordOrg, nil, nil) {
		if err != nil {
			return nil, err
		}
		var org ledger.OrgRecord
		if err := ledger.Decode(rec.Value, &org); err != nil {
			return nil, untrusted("an organisation: %v", err)
		}
		if org.Name == name {
			return c.proveOrganisation(ctx, fmt.Sprintf("%x", rec.Key), name, org.Leaf, org.Decision)
		}
	}
	return nil, fmt.Errorf("organisation %q: %w", name, ledger.ErrNotFound)
}

func (c *Client) proveOrganisation(ctx context.Context, id, name string, leaf, decision uint64) (*api.Organisation, error) {
	registered, err := c.granted(ctx, leaf, decision)
	if err != nil {
		return nil, err
	}
	for _, r := range registered {
		if o := r.Organisation; o != nil && o.ID == id && o.Name == name {
			return o, nil
		}
	}
	return nil, untrusted("leaf %d registers no organisation %q", leaf, name)
}

// granted proves what a leaf registers: of its own, or as a proposal that the vote in the leaf decision approved.
func (c *Client) granted(ctx context.Context, leaf, decision uint64) ([]api.Registered, error) {
	event, err := c.event(ctx, leaf)
	if err != nil {
		return nil, err
	}
	if event.Proposal == nil {
		return []api.Registered{event.Registered}, nil
	}
	v, err := c.event(ctx, decision)
	if err != nil {
		return nil, err
	}
	if v.Vote == nil || v.Vote.Proposal != leaf || v.Vote.Digest != event.Proposal.Digest || v.Vote.Decision != ledger.Approved.String() {
		return nil, untrusted("leaf %d does not approve the proposal of leaf %d", decision, leaf)
	}
	var out []api.Registered
	for _, o := range event.Proposal.Operations {
		out = append(out, o.Registered)
	}
	return out, nil
}

// Event fetches a leaf, proves it, and says what it says.
func (c *Client) Event(ctx context.Context, leaf uint64) (api.Event, error) {
	return elsewhere(c, func() (api.Event, error) { return c.event(ctx, leaf) })
}

// event fetches a leaf, proves it, and says what it says.
func (c *Client) event(ctx context.Context, leaf uint64) (api.Event, error) {
	receipt, err := c.Receipt(ctx, leaf)
	if err != nil {
		return api.Event{}, err
	}
	proof, _, entry, err := verify.Entry(c.trust(ctx), receipt, nil)
	if err != nil {
		return api.Event{}, err
	}
	if proof.Index != leaf {
		return api.Event{}, untrusted("a receipt of leaf %d for leaf %d", proof.Index, leaf)
	}
	return api.Describe(leaf, entry)
}

// Members are the members in force, and what is known of the channel; told, not proved.
func (c *Client) Members(ctx context.Context) (*ledger.MemberSet, *ledger.ChannelRecord, error) {
	ch, err := elsewhere(c, func() (*ledger.ChannelRecord, error) { return c.channelRecord(ctx) })
	if err != nil {
		return nil, nil, err
	}
	set, err := ledger.ParseMemberSet(ch.MemberSet)
	return set, ch, err
}

func (c *Client) channelRecord(ctx context.Context) (*ledger.ChannelRecord, error) {
	for rec, err := range c.Records(ctx, ledger.RecordChannel, nil, nil) {
		if err != nil {
			return nil, err
		}
		var ch ledger.ChannelRecord
		if err := ledger.Decode(rec.Value, &ch); err != nil {
			return nil, untrusted("the channel: %v", err)
		}
		if _, err := ledger.ParseMemberSet(ch.MemberSet); err != nil {
			return nil, untrusted("the member set: %v", err)
		}
		return &ch, nil
	}
	return nil, untrusted("no channel record")
}
