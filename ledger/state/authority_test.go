package state_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/ledgertest"
	"github.com/quorate-pki/quorate/ledger/state"
)

// every is every number that stands for a reason somewhere, and one that stands for none.
var every = []uint64{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10}

// cell is one cell of DATAMODEL.md's table, written down a second time on purpose.
type cell struct {
	who     string // for people
	signers string
	scope   ledger.Scope
	revoke  []uint64    // reasons accepted
	other   reason.Code // answer to all other reasons
	suspend reason.Code
	resume  reason.Code // of what the key itself suspended; in scope custody, the custodian
}

var device = []uint64{0, 1, 3, 4, 5, 9}

// endings are the reasons that a use can end for: keyCompromise is about the key.
var endings = []uint64{0, 3, 4, 5, 9}

func cells() []cell {
	const no, bad, gone = reason.NotAuthorised, reason.BadReason, reason.ScopeUnavailable
	owner, quorum := "acme-cells/admin-1 acme-cells/admin-3", "ca-a/governance ca-b/governance ca-d/governance"
	cert, key, custody := ledger.ScopeCertificate, ledger.ScopeKey, ledger.ScopeCustody
	out := []cell{
		{"the key itself", "device/ACME-1", cert, device, bad, 0, 0},
		{"the key itself", "device/ACME-1", key, []uint64{1}, bad, no, no},
		{"line key", "acme-cells/line", cert, nil, no, 0, no},
		{"line key", "acme-cells/line", key, nil, no, no, no},
		{"owner's admins", owner, cert, device, bad, 0, 0},
		{"owner's admins", owner, key, device, bad, 0, 0},
		{"custodian", "op-one/admin-1", cert, nil, no, 0, 0},
		{"custodian", "op-one/admin-1", key, nil, no, no, no},
		{"quorum", quorum, cert, device, bad, 0, 0},
		{"quorum", quorum, key, device, bad, 0, 0},
		{"all of them", owner + " " + quorum + " acme-cells/line device/ACME-1 op-one/admin-1", cert, device, bad, 0, 0},
		{"line and device key", "acme-cells/line device/ACME-1", cert, device, bad, 0, 0},
		{"the key itself", "device/ACME-1", custody, nil, no, no, no},
		{"line key", "acme-cells/line", custody, nil, no, no, no},
		{"owner's admins", owner, custody, nil, no, no, no},
		{"custodian", "op-one/admin-1", custody, endings, bad, 0, 0},
		{"quorum", quorum, custody, endings, bad, 0, 0},
		{"all of them", owner + " " + quorum + " acme-cells/line device/ACME-1 op-one/admin-1", custody, endings, bad, 0, 0},
		{"another operator", "op-two/admin-1", custody, nil, no, no, no},
	}
	for who, signers := range map[string]string{
		"another line key of the owner": "acme-cells/line-2",
		"a line key without the right":  "acme-cells/line-3",
		"one admin of two":              "acme-cells/admin-2",
		"admins of another vendor":      "other-cells/admin-1",
		"two of four members":           "ca-a/governance ca-c/governance",
		"members' admins":               "ca-a/admin-1 ca-b/admin-1 ca-c/admin-1 ca-d/admin-1",
		"another device":                "device/ACME-2",
		"half of each":                  "acme-cells/admin-2 ca-a/governance ca-c/governance device/ACME-2 other-cells/line",
	} {
		for _, scope := range []ledger.Scope{cert, key, custody} {
			out = append(out, cell{who, signers, scope, nil, no, no, no})
		}
	}
	// The scopes to come refuse everybody, whatever else is wrong.
	for _, c := range slices.Clone(out) {
		if c.scope != cert {
			continue
		}
		for _, s := range []ledger.Scope{ledger.ScopeBatch, ledger.ScopeLineKey, ledger.ScopeCA} {
			out = append(out, cell{c.who, c.signers, s, nil, gone, gone, gone})
		}
	}
	return out
}

// foundWithThird is a chain of four members whose vendor has a third line key, without the right to suspend; with a second
// operator.
func foundWithThird(t *testing.T) *chain {
	return start(t, 4, plenty, func(f *ledger.Founding) {
		c := ledgertest.Unfounded(7)
		l := f.LineKeys[0]
		l.Signer, l.SPKI, l.Rights = c.Signer("acme-cells/line-3"), c.SPKI("acme-cells/line-3"), ledger.RightPublish
		f.LineKeys = append(f.LineKeys, l)
		operators(f)
	})
}

// custody publishes ACME-1, in custody and use of op-one, and ACME-2.
func (x *chain) custody() uint64 {
	leaf := x.publish(x.c.Device("ACME-1", dns, 0))
	x.publish(x.c.Device("ACME-2", dns, 0))
	x.must(&ledger.Transfer{To: x.org("op-one")}, "ACME-1", acme, "op-one/admin-1")
	x.must(x.claim("ACME-1", "op-one"), "ACME-1", "op-one/admin-1")
	return leaf
}

// verdict judges a change of ACME-1 on the chain's head, which stays as it is.
func (x *chain) verdict(c ledger.StatusChange, signers string) reason.Code {
	x.t.Helper()
	names := strings.Fields(signers)
	// The key that signs brings its SPKI; one operation more carries that of the other device.
	c.SPKI = x.c.SPKI("device/ACME-1")
	bodies := [][]byte{x.change("ACME-1", c)}
	if slices.Contains(names, "device/ACME-2") {
		other := onKey(ledger.Resume, ledger.RemoveFromCRL)
		other.SPKI = x.c.SPKI("device/ACME-2")
		bodies = append(bodies, x.change("ACME-2", other))
	}
	head, now, store, all := x.head, x.now, x.store, x.all
	x.store = store.Clone()
	e := x.block(x.tx(bodies, names...))
	x.head, x.now, x.store, x.all = head, now, store, all
	if len(e.Results) == 0 {
		x.t.Fatalf("no effect: %v", e.Refused[0].Why)
	}
	return e.Results[0].Verdicts[0].Code
}

func TestAuthorityTable(t *testing.T) {
	c := foundWithThird(t)
	leaf := c.custody()
	good := c.head
	held := c.suspended(on(leaf, ledger.Suspend, 6), "device/ACME-1")
	idle := c.suspended(ledger.StatusChange{Action: ledger.Suspend, Scope: ledger.ScopeCustody, Reason: 6}, "op-one/admin-1")
	for _, x := range cells() {
		t.Run(fmt.Sprintf("%s/scope %d", x.who, x.scope), func(t *testing.T) {
			c.t = t
			ask := func(on *ledger.StatusChange) reason.Code {
				on.Scope = x.scope
				if x.scope == ledger.ScopeCertificate {
					on.Leaf = &leaf
				}
				return c.verdict(*on, x.signers)
			}
			expect := func(what string, got, want reason.Code) {
				t.Helper()
				if got != want {
					t.Errorf("%s: %s, want %s", what, got, want)
				}
			}
			c.head = good
			for _, r := range every {
				want := x.other
				switch {
				case slices.Contains(x.revoke, r):
					want = reason.Accepted
				case (r == 6 || r == 8) && x.other != reason.ScopeUnavailable:
					want = reason.BadReason // does not go with the action, whoever asks
				}
				expect(fmt.Sprintf("revoke for %d", r), ask(&ledger.StatusChange{Action: ledger.Revoke, Reason: r}), want)
			}
			for _, r := range every {
				want := reason.BadReason
				if x.other == reason.ScopeUnavailable {
					want = x.other
				}
				if r != 6 {
					expect(fmt.Sprintf("suspend for %d", r), ask(&ledger.StatusChange{Action: ledger.Suspend, Reason: r}), want)
				}
				if r != 8 {
					expect(fmt.Sprintf("resume for %d", r), ask(&ledger.StatusChange{Action: ledger.Resume, Reason: r}), want)
				}
			}
			expect("suspend", ask(&ledger.StatusChange{Action: ledger.Suspend, Reason: 6}), x.suspend)
			if c.head = held; x.scope == ledger.ScopeCustody {
				c.head = idle
			}
			expect("resume", ask(&ledger.StatusChange{Action: ledger.Resume, Reason: 8}), x.resume)
		})
	}
}

// TestResumeTable: only an authority not lower than the one that suspended lifts a suspension, and only a higher one
// takes it over.
func TestResumeTable(t *testing.T) {
	c := foundWithThird(t)
	leaf := c.custody()
	good := c.head
	who := []string{"device/ACME-1", "acme-cells/line", "op-one/admin-1", "acme-cells/admin-1 acme-cells/admin-2",
		"ca-a/governance ca-b/governance ca-c/governance"}
	for i, by := range who {
		c.head = good
		c.head = c.suspended(on(leaf, ledger.Suspend, 6), by)
		for k, other := range who {
			resume, suspend := reason.HigherAuthority, reason.AlreadySuspended
			if k >= i {
				resume = reason.Accepted
			}
			if other == "acme-cells/line" {
				resume = reason.NotAuthorised // it suspends, and no more
			}
			if k > i {
				suspend = reason.Accepted
			}
			if got := c.verdict(on(leaf, ledger.Resume, 8), other); got != resume {
				t.Errorf("suspended by %s, resumed by %s: %s, want %s", by, other, got, resume)
			}
			if got := c.verdict(on(leaf, ledger.Suspend, 6), other); got != suspend {
				t.Errorf("suspended by %s, again by %s: %s, want %s", by, other, got, suspend)
			}
		}
		// A key-wide resumption does not lift in part.
		if i == 4 {
			if got := c.verdict(onKey(ledger.Resume, 8), who[3]); got != reason.HigherAuthority {
				t.Errorf("the owner lifts the quorum's suspension by the key: %s", got)
			}
		}
	}
}

// suspended is the state after the signers suspended ACME-1, not final, so that the one before can be used again.
func (x *chain) suspended(c ledger.StatusChange, signers string) *state.State {
	x.t.Helper()
	c.SPKI = x.c.SPKI("device/ACME-1")
	e, err := state.Execute(x.head, x.next(x.tx([][]byte{x.change("ACME-1", c)}, strings.Fields(signers)...)), state.Direct{})
	if err != nil || len(e.Results) == 0 || e.Results[0].Verdicts[0].Code != 0 {
		x.t.Fatalf("%s suspends: %+v, %v", signers, e, err)
	}
	return e.State
}
