package node_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/ledgertest"
	"github.com/quorate-pki/quorate/ledger/node"
	"github.com/quorate-pki/quorate/verify"
)

// set is the member set that a member's node has in force, by its records.
func (c *cluster) set(name string) *ledger.MemberSet {
	c.t.Helper()
	for r, err := range c.Node(name).Records(c.ctx, ledger.RecordChannel, nil, nil) {
		var ch ledger.ChannelRecord
		if err != nil || ledger.Decode(r.Value, &ch) != nil {
			c.t.Fatal(err)
		}
		m, err := ledger.ParseMemberSet(ch.MemberSet)
		if err != nil {
			c.t.Fatal(err)
		}
		return m
	}
	c.t.Fatal("no channel record")
	return nil
}

// change has all members vote for the next member set, through a member.
func (c *cluster) change(name string, edit func(*ledger.MemberSet)) *ledger.MemberSet {
	c.t.Helper()
	before := c.set(name)
	document := c.C.After(before, edit)
	nonce := 100_000 + 2*before.Number
	propose, body := c.C.ProposeChange(before, document, c.Now(), nonce)
	leaf := c.operate(name, propose)
	c.operate(name, c.C.VoteChange(before, document, c.Now(), nonce+1, leaf, body))
	next, err := ledger.ParseMemberSet(document)
	if err != nil {
		c.t.Fatal(err)
	}
	return next
}

// operate submits a transaction of one operation, and returns its leaf.
func (c *cluster) operate(name string, raw []byte) uint64 {
	c.t.Helper()
	res, err := c.Submit(c.ctx, name, raw)
	if err != nil || res.Verdicts[0].Code != reason.Accepted {
		c.t.Fatalf("%s: %v %v", name, res.Verdicts, err)
	}
	return res.Verdicts[0].Leaf
}

// links are all member sets that a member's node knows.
func (c *cluster) links(name string) (out []ledger.MemberSetLink) {
	c.t.Helper()
	for r, err := range c.Node(name).Records(c.ctx, ledger.RecordMemberSet, nil, nil) {
		var rec ledger.MemberSetRecord
		if err != nil || ledger.Decode(r.Value, &rec) != nil {
			c.t.Fatal(err)
		}
		out = append(out, rec.Link())
	}
	return out
}

// TestClusterMembersChange: while certificates are published all the time, a fifth member comes, one gets new keys, and the first leaves. What
// was published before and after is proved from the first policy.
func TestClusterMembersChange(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	t.Cleanup(cancel)
	c := &cluster{Cluster: ledgertest.NewGovernedCluster(t, 12, 4, "ca-e"), t: t, ctx: ctx}
	c.oracle = &ledgertest.Oracle{C: c.C}
	c.Start("ca-a", "ca-b", "ca-c", "ca-d")
	c.publish("ca-a", 3)
	first, err := verify.NewTrust(c.C.Set.PolicyUntil(0, ledgertest.Start.Add(24*time.Hour).Unix()), ledgertest.Start)
	if err != nil {
		t.Fatal(err)
	}
	c.Level(ctx)
	old := c.oracle.Acked[0]
	before, err := c.Node("ca-b").Receipt(ctx, old.Result.Verdicts[0].Leaf)
	if err != nil {
		t.Fatal(err)
	}

	c.change("ca-b", c.C.Joins("ca-e"))
	c.publish("ca-c", 2) // the first height of the new set; the fifth need not be there
	c.Start("ca-e")
	c.Level(ctx)
	c.publish("ca-e", 2)

	c.change("ca-c", c.C.Rotates("ca-b", 2, ledger.KeyLog, ledger.KeyCosigning, ledger.KeyBlock, ledger.KeyTLS))
	c.publish("ca-b", 2)
	c.Level(ctx)

	c.change("ca-d", ledgertest.Leaves("ca-a"))
	c.publish("ca-d", 2)
	if err := c.Node("ca-a").Failure(ctx); !errors.Is(err, node.ErrRemoved) {
		t.Fatalf("ca-a: %v", err)
	}
	c.Stop("ca-a")
	if err := c.Refused(ctx, "ca-a"); !errors.Is(err, node.ErrRemoved) {
		t.Errorf("ca-a starts again: %v", err)
	}

	// Of the four that are left one may be down: the fifth's vote, and its cosignature, are needed now.
	c.Stop("ca-c")
	c.publish("ca-e", 2)
	c.Start("ca-c")
	c.publish("ca-c", 1)
	c.Level(ctx)

	// One whose directory is lost knows the first set alone, and finds its way from there.
	c.Stop("ca-d")
	c.Wipe("ca-d")
	c.Start("ca-d")
	c.publish("ca-d", 1)
	c.Level(ctx)

	if _, err := verify.Receipt(first, before, old.DERs[0]); err != nil {
		t.Errorf("what was published before, by the first policy: %v", err)
	}
	last := c.oracle.Acked[len(c.oracle.Acked)-1]
	after, err := c.Node("ca-d").Receipt(ctx, last.Result.Verdicts[0].Leaf)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := verify.Receipt(first, after, last.DERs[0]); err == nil {
		t.Error("the first policy trusts members that it does not know")
	}
	followed, err := first.Follow(c.links("ca-e"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := verify.Receipt(followed, after, last.DERs[0]); err != nil {
		t.Errorf("what was published after, from the first policy: %v", err)
	}
	if got := memberNames(followed.Members()); !slices.Equal(got, []string{"ca-b", "ca-c", "ca-d", "ca-e"}) {
		t.Errorf("the members are %v", got)
	}
	h, err := c.Node("ca-e").Health(ctx)
	if err != nil || h.MemberSet != 4 || !h.OK {
		t.Errorf("%+v %v", h, err)
	}
	c.oracle.Trust = followed
	c.Check(ctx, c.oracle)
}

func memberNames(m *ledger.MemberSet) (out []string) {
	for _, x := range m.Members {
		out = append(out, x.Name)
	}
	return out
}
