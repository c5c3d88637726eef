package node_test

import (
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/ledgertest"
	"github.com/quorate-pki/quorate/ledger/node"
)

// TestWithheldRevocation: no transaction reaches the leader, as if it dropped them. A revocation that a member accepts is decided all
// the same: the others follow that leader no more.
func TestWithheldRevocation(t *testing.T) {
	c := newClusterWith(t, 4, func(c *ledgertest.Cluster) { c.Withheld = time.Second })
	c.publish("ca-a", 1)
	c.Level(c.ctx)
	published := c.oracle.Acked[len(c.oracle.Acked)-1]
	leader := c.leader()
	c.CutExchangeWith(leader, true)
	other := "ca-a"
	if leader == other {
		other = "ca-b"
	}
	leaf := published.Result.Verdicts[0].Leaf
	spki := c.C.SPKI("device/ACME-1")
	change := ledger.StatusChange{Action: ledger.Revoke, Scope: ledger.ScopeCertificate, Target: ledger.Sum(spki), Leaf: &leaf, Reason: ledger.Superseded}
	raw := c.C.Tx(c.Now(), ledgertest.TxOptions{Nonce: 1 << 40}, [][]byte{ledgertest.Change(change)}, "acme-cells/admin-1", "acme-cells/admin-2")
	n := c.Node(other)
	go n.Submit(c.ctx, raw) // nobody waits for it: the members do what is to be done
	for {
		st, err := c.Node(other).Status(c.ctx, leaf)
		if err != nil {
			t.Fatal(err)
		}
		if _, held := c.Node(other).Held(leaf); st.Status == ledger.Revoked && !held {
			break
		}
		select {
		case <-c.ctx.Done():
			t.Fatal("the revocation is withheld")
		case <-time.After(20 * time.Millisecond):
		}
	}
	if asked, err := c.Node(other).Deposed(c.ctx); err != nil || !asked {
		t.Errorf("it went on with its leader, %v", err)
	}
	c.CutExchangeWith(leader, false)
	c.Level(c.ctx)
	c.nobodyAccused()
}

// TestHoldEnds: who is told that a revocation is decided finds no hold of it; one that a node made out of season ends by itself. A cut-off is
// held as well.
func TestHoldEnds(t *testing.T) {
	c := ledgertest.FoundBy(14, 1, ledger.NewestRules)
	mem := vfs.NewMem()
	mustInit(t, c, mem)
	clock := &ledgertest.Clock{}
	cfg := c.NodeConfig(mem, clock)
	cfg.Tick = 10 * time.Millisecond
	n, err := node.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	published, err := n.Submit(t.Context(), c.Tx(clock.Now(), ledgertest.TxOptions{Nonce: 1},
		[][]byte{ledgertest.Publish(c.Device("ACME-1", "acme-cells.example", 0))}, "acme-cells/line"))
	if err != nil {
		t.Fatal(err)
	}
	leaf, before := published.Verdicts[0].Leaf, n.HoldsVersion()
	change := ledger.StatusChange{Action: ledger.Revoke, Scope: ledger.ScopeCertificate, Target: ledger.Sum(c.SPKI("device/ACME-1")), Leaf: &leaf, Reason: ledger.Superseded}
	res, err := n.Submit(t.Context(), c.Tx(clock.Now(), ledgertest.TxOptions{Nonce: 2}, [][]byte{ledgertest.Change(change)}, "acme-cells/admin-1", "acme-cells/admin-2"))
	if err != nil {
		t.Fatal(err)
	}
	if since, held := n.Held(leaf); held || n.HoldsVersion() < before+2 {
		t.Errorf("held since %v, version %d after %d", since, n.HoldsVersion(), before)
	}
	n.HoldDecided(res.ID, leaf)
	clock.Advance(time.Minute)
	patience := time.After(30 * time.Second)
	pause := time.NewTicker(5 * time.Millisecond)
	defer pause.Stop()
	for held := true; held; _, held = n.Held(leaf) {
		select {
		case <-pause.C:
		case <-patience:
			t.Fatal("it is held on")
		}
	}
	// A cut-off is held as any revocation.
	before = n.HoldsVersion()
	second, err := n.Submit(t.Context(), c.Tx(clock.Now(), ledgertest.TxOptions{Nonce: 3},
		[][]byte{ledgertest.Publish(c.Device("ACME-2", "acme-cells.example", 0))}, "acme-cells/line"))
	if err != nil {
		t.Fatal(err)
	}
	line := ledger.Sum(c.SPKI("acme-cells/line"))
	cut := ledger.EncodeBody(ledger.OpCutOff, ledger.CutOff{Scope: ledger.ScopeLineKey, Target: line[:], From: leaf + 1, Reason: ledger.PrivilegeWithdrawn})
	if _, err = n.Submit(t.Context(), c.Tx(clock.Now(), ledgertest.TxOptions{Nonce: 4}, [][]byte{cut}, "acme-cells/admin-1", "acme-cells/admin-2")); err != nil {
		t.Fatal(err)
	}
	st, err := n.Status(t.Context(), second.Verdicts[0].Leaf)
	if _, held := n.Held(second.Verdicts[0].Leaf); err != nil || held || n.HoldsVersion() < before+2 || st.Status != ledger.Revoked {
		t.Errorf("cut off: %s, held: %v, version %d after %d (%v)", st.Status, held, n.HoldsVersion(), before, err)
	}
}
