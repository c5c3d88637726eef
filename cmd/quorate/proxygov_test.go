package main

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/quorate-pki/quorate/ledger/api"
)

// pageAs rewrites a proposal's page in transit.
func pageAs(change func(p *api.ProposalPage)) func(*answer) {
	return func(a *answer) {
		var p api.ProposalPage
		if json.Unmarshal(a.body, &p) != nil {
			return
		}
		change(&p)
		a.body, _ = json.Marshal(p)
	}
}

// TestProxyLiesAboutProposals: nobody votes for what he was not shown, and no vote or decision is believed without its leaf.
func TestProxyLiesAboutProposals(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 4)
	decided := w.proposed()
	for _, m := range []string{"ca-a", "ca-b", "ca-c"} {
		w.must("gov approve", "--signer", w.dir+"/orgs/"+m+"/governance.key", decided)
	}
	withdrawn := w.proposed()
	alike := w.proposed() // each withdraws the one before
	open := w.proposed()
	w.leaf0 = ""
	later := w.proposed()
	for _, leaf := range []string{open, later} {
		w.must("gov approve", "--signer", w.dir+"/orgs/ca-b/governance.key", leaf)
	}
	page := func(leaf string) (p api.ProposalPage) {
		if err := json.Unmarshal(w.get("/v1/main/proposals/%s", leaf), &p); err != nil {
			t.Fatal(err)
		}
		return p
	}
	other := page(decided)
	for _, c := range []struct {
		name string
		of   string
		lie  func(p *api.ProposalPage)
	}{
		{"another proposal", open, func(p *api.ProposalPage) { *p = other }},
		{"another's text", open, func(p *api.ProposalPage) { p.Proposal.Proposal.Title = "Free beer" }},
		{"another's operations", open, func(p *api.ProposalPage) { p.Proposal.Proposal.Operations = other.Proposal.Proposal.Operations }},
		{"another's receipt", open, func(p *api.ProposalPage) { p.Proposal.Receipt = other.Proposal.Receipt }},
		{"a vote turned over", open, func(p *api.ProposalPage) { p.Votes[0].Vote.Choice = "reject" }},
		{"a vote of somebody else", open, func(p *api.ProposalPage) { p.Votes[0].Vote.Members = []uint64{4} }},
		{"a vote on another", open, func(p *api.ProposalPage) { p.Votes = page(later).Votes }},
		{"a vote twice", open, func(p *api.ProposalPage) { p.Votes = append(p.Votes, p.Votes[0]) }},
		{"in force, undecided", open, func(p *api.ProposalPage) { p.Standing.State = "in-force" }},
		{"rejected, undecided", open, func(p *api.ProposalPage) { p.Standing.State = "rejected" }},
		{"withdrawn by nobody", open, func(p *api.ProposalPage) { p.Standing.State = "withdrawn" }},
		{"withdrawn by a vote", open, func(p *api.ProposalPage) { p.Standing.State, p.Withdrawal = "withdrawn", &p.Votes[0] }},
		{"open, decided", decided, func(p *api.ProposalPage) { p.Standing.State = "open" }},
		{"rejected, approved", decided, func(p *api.ProposalPage) { p.Standing.State = "rejected" }},
		{"decided by too few", decided, func(p *api.ProposalPage) { p.Votes = p.Votes[2:] }},
		{"votes out of order", decided, func(p *api.ProposalPage) { slices.Reverse(p.Votes) }},
		{"another's withdrawal", withdrawn, func(p *api.ProposalPage) { p.Withdrawal = page(alike).Withdrawal }},
	} {
		w.through(func(kind string, body []byte, a *answer) []byte {
			if kind == "proposals" && a != nil {
				pageAs(c.lie)(a)
			}
			return body
		}, func() {
			if code, out := w.run(w.proxy, "gov show", c.of); code != exitNo {
				t.Errorf("%s: exit %d\n%s", c.name, code, out)
			}
			if code, out := w.run(w.proxy, "gov approve", w.governor(c.of)...); code != exitNo {
				t.Errorf("%s: approve: exit %d\n%s", c.name, code, out)
			}
		})
	}
	if _, out := w.run(w.node, "gov show", open); voted("ca-a: approve")(w, open) {
		t.Errorf("a vote was cast\n%s", out)
	}
}
