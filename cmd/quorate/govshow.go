package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/quorate-pki/quorate/ca/profile"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/api"
	"github.com/quorate-pki/quorate/ledger/client"
	"github.com/quorate-pki/quorate/ledger/state"
)

// list prints proposals, newest first.
func (g *governed) list(w io.Writer, all, asJSON bool) error {
	before := uint64(0)
	for {
		page, err := g.client.Proposals(g.cmd.Context(), before)
		if err != nil {
			return err
		}
		for _, p := range page.Proposals {
			live := p.Standing.State == ledger.ProposalOpen.String() || p.Standing.State == ledger.ProposalWaiting.String()
			switch {
			case !live && !all:
			case asJSON:
				if err := json.NewEncoder(w).Encode(p); err != nil {
					return err
				}
			default:
				fmt.Fprintf(w, "leaf %-8d %-10s %d of %d approve, %d reject  %s, by %s, digest %s\n", p.Leaf, p.Standing.State, len(p.Approve),
					p.Standing.Needed, len(p.Reject), printable(p.Title), g.member(p.Member), p.Digest)
			}
			before = p.Leaf
		}
		if !page.More || len(page.Proposals) == 0 {
			return nil
		}
	}
}

// member names a member; by its number, when it is none any more.
func (g *governed) member(n uint64) string {
	if name := g.names[n]; name != "" {
		return name
	}
	return fmt.Sprintf("member %d", n)
}

func (g *governed) members(numbers []uint64) string {
	var out []string
	for _, n := range numbers {
		out = append(out, g.member(n))
	}
	return strings.Join(out, ", ")
}

// show prints a proposal and its votes.
func (g *governed) show(w io.Writer, p *api.ProposalPage) {
	x := p.Proposal.Proposal
	fmt.Fprintf(w, "proposal  leaf %d, %s, by %s: %s\n", p.Proposal.Leaf, x.Time.Format(time.RFC3339), g.member(x.Member), printable(x.Title))
	fmt.Fprintf(w, "digest    %s\n", x.Digest)
	fmt.Fprintf(w, "expires   %s\n", x.Expires.Format(time.RFC3339))
	if x.Hold > 0 {
		fmt.Fprintf(w, "hold      %s between decision and effect\n", milliseconds(x.Hold))
	}
	for _, o := range x.Operations {
		fmt.Fprintf(w, "operation %s\n", describeOperation(o))
		if o.Rule != nil {
			fmt.Fprint(w, ruleChange(g.cmd.Context(), g.client, o.Rule))
		}
	}
	for _, v := range p.Votes {
		fmt.Fprintf(w, "vote      %s: %s, leaf %d\n", g.members(v.Vote.Members), v.Vote.Choice, v.Leaf)
	}
}

// standing prints where a proposal stands.
func (g *governed) standing(w io.Writer, p *api.ProposalPage) {
	s := p.Standing
	fmt.Fprintf(w, "state     %s", s.State)
	switch s.State {
	case ledger.ProposalOpen.String():
		fmt.Fprintf(w, "; %d approvals needed", s.Needed)
	case ledger.ProposalWaiting.String():
		if s.Due != nil {
			fmt.Fprintf(w, "; decided in leaf %d, takes effect with the first block from %s on", s.Ended, s.Due.Format(time.RFC3339))
		}
	case ledger.ProposalInForce.String():
		fmt.Fprintf(w, "; decided in leaf %d, took effect at height %d", s.Ended, s.Height)
	case ledger.ProposalFailed.String():
		fmt.Fprintf(w, "; decided in leaf %d, and at height %d no longer possible: %s", s.Ended, s.Height, s.Reason)
	case ledger.ProposalRejected.String(), ledger.ProposalWithdrawn.String():
		fmt.Fprintf(w, " in leaf %d", s.Ended)
	}
	fmt.Fprintln(w)
}

func milliseconds(n uint64) time.Duration { return time.Duration(n) * time.Millisecond }

// describeOperation says in a line what an operation does.
func describeOperation(o api.Operation) string {
	switch {
	case o.Organisation != nil:
		x := o.Organisation
		return fmt.Sprintf("organisation %s (%s), id %s: %s; %d of %d admins; profiles %s; %d publications a day, %d in all", x.Name, printable(x.LegalName), x.ID,
			strings.Join(x.Roles, ", "), x.AdminsNeeded, len(x.Admins), profileNames(x.Profiles), x.QuotaDay, x.QuotaTotal)
	case o.Namespace != nil:
		x := o.Namespace
		more := ""
		if x.Delegable {
			more = "; its owner may delegate parts of it"
		}
		return fmt.Sprintf("namespace %s %s of organisation %s, control: %s%s", x.Type, printable(x.Value), x.Owner, printable(x.Control), more)
	case o.Rule != nil:
		return describeRule(o.Rule)
	case o.Rules != nil:
		return fmt.Sprintf("rules version %d; what widens trust waits %s", o.Rules.Version, milliseconds(uint64(o.Rules.Hold)))
	case o.MemberSet != nil:
		x := o.MemberSet
		var names []string
		for _, m := range x.Members {
			names = append(names, m.Name)
		}
		return fmt.Sprintf("member set %d, fingerprint %s: %d of %s", x.Number, x.Hash, x.Quorum, strings.Join(names, ", "))
	}
	if line, ok := describeRegistryChange(o.Registered); ok {
		return line
	}
	if x := o.Channel; x != nil {
		return fmt.Sprintf("channel %s of members %v, id %s, genesis block SHA-256 %s", x.Name, x.Members, x.ID, x.Genesis)
	}
	return "unknown to this build: " + hex.EncodeToString(o.Body)
}

func profileNames(ids []uint64) string {
	var out []string
	for _, id := range ids {
		name := fmt.Sprint(id)
		if p, ok := profile.ByID(uint16(id)); ok && id <= 0xffff {
			name = p.Name
		}
		out = append(out, name)
	}
	if len(out) == 0 {
		return "none"
	}
	return strings.Join(out, ", ")
}

// differ tells what a proposal would change against what is in force, which a node tells.
type differ struct {
	ctx     context.Context
	client  *client.Client
	channel *ledger.ChannelRecord
	out     io.Writer
}

// proposal prints what goes and what comes.
func (d *differ) proposal(p *api.Proposal) {
	for _, o := range p.Operations {
		if o.Rules != nil {
			fmt.Fprintf(d.out, "- rules version %d; what widens trust waits %s\n", d.channel.Rules, milliseconds(uint64(d.channel.Hold)))
		}
		if o.MemberSet != nil {
			d.members(o.Body)
		}
		fmt.Fprintf(d.out, "+ %s\n", describeOperation(o))
		if o.Rule != nil {
			fmt.Fprint(d.out, ruleChange(d.ctx, d.client, o.Rule))
		}
	}
}

// members prints how a member set differs from the one in force.
func (d *differ) members(body []byte) {
	_, args, err := ledger.ParseBody(body)
	change, ok := args.(*ledger.MemberSetChange)
	now, parsed := ledger.ParseMemberSet(d.channel.MemberSet)
	if err != nil || !ok || parsed != nil {
		return
	}
	next, err := ledger.ParseMemberSet(change.Document)
	if err != nil {
		return
	}
	printMemberChanges(d.out, now, next)
	fmt.Fprintf(d.out, "- member set %d: %d of %s\n", now.Number, now.Quorum, strings.Join(memberNames(now), ", "))
}

// overlaps names the owners of what a proposal's namespaces overlap.
func (d *differ) overlaps(p *api.Proposal) error {
	owners := map[ledger.OrgID]string{}
	for rec, err := range d.client.Records(d.ctx, ledger.RecordOrg, nil, nil) {
		var o ledger.OrgRecord
		if err != nil {
			return err
		}
		if err := ledger.Decode(rec.Value, &o); err != nil || len(rec.Key) != len(ledger.OrgID{}) {
			return fmt.Errorf("an organisation's record: %w", err)
		}
		owners[ledger.OrgID(rec.Key)] = o.Name
	}
	for rec, err := range d.client.Records(d.ctx, ledger.RecordNamespace, nil, nil) {
		var n ledger.NamespaceRecord
		if err != nil {
			return err
		}
		if err := ledger.Decode(rec.Value, &n); err != nil {
			return fmt.Errorf("a namespace's record: %w", err)
		}
		clash := func(o api.Operation) bool {
			return o.Namespace != nil && n.Ended == 0 && o.Namespace.Type == ledger.NamespaceTypeName(n.Type) && state.Overlap(n.Type, o.Namespace.Value, n.Value)
		}
		if i := slices.IndexFunc(p.Operations, clash); i >= 0 {
			fmt.Fprintf(d.out, "! namespace %s %s overlaps %s of %s\n", p.Operations[i].Namespace.Type, printable(p.Operations[i].Namespace.Value), n.Value, owners[n.Owner])
		}
	}
	return nil
}
