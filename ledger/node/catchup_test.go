package node_test

import (
	"testing"
	"time"

	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/ledgertest"
	"github.com/quorate-pki/quorate/ledger/tlog"
)

// await asks a member how it is until something holds.
func (c *cluster) await(name, what string, holds func(height uint64) bool) {
	c.t.Helper()
	pause := time.NewTicker(5 * time.Millisecond)
	defer pause.Stop()
	for {
		h, err := c.Node(name).Health(c.ctx)
		if err != nil {
			c.t.Fatalf("%s: %s: %v", name, what, err)
		}
		if holds(h.Height) {
			return
		}
		<-pause.C
	}
}

// TestCatchUpBetween: a member that has executed three blocks catches up with a peer for which only the first is final. It has
// the other two from the orderer, which does not bring them again, and goes on with them.
func TestCatchUpBetween(t *testing.T) {
	c := newCluster(t, 4, 0)
	c.publish("ca-a", 1)
	height, leader := c.Level(c.ctx), c.leader()
	c.CutExchange(true)
	type answer struct {
		tx  ledgertest.Submission
		res ledger.Result
		err error
	}
	answers := make(chan answer, 3)
	for range 3 {
		tx := c.tx(2)
		go func() {
			res, err := c.Submit(c.ctx, leader, tx.Raw)
			answers <- answer{tx, res, err}
		}()
		height++
		for _, name := range c.Names() {
			c.await(name, "the next block", func(h uint64) bool { return h == height })
		}
	}
	behind := "ca-d"
	if leader == behind {
		behind = "ca-c"
	}
	err := c.Node(behind).CatchUpWithFirstPending(c.ctx, func(cp tlog.Checkpoint) []byte {
		now := uint64(c.Now().Unix())
		sigs := []tlog.Signature{tlog.SignCheckpoint(cp, cp.Origin, c.C.Key("ca-a/log"))}
		for _, m := range c.Names() {
			if m == behind {
				continue
			}
			sigs = append(sigs, tlog.Cosign(cp, c.C.Set.CosignerName(m), now, c.C.Key(m+"/cosigning")))
		}
		return tlog.FormatNote(cp, sigs)
	})
	if err != nil {
		t.Fatal(err)
	}
	c.CutExchange(false)
	for range 3 {
		a := <-answers
		if a.err != nil {
			t.Fatal(a.err)
		}
		c.acknowledged(leader, a.tx, a.res)
	}
	gone := "ca-a"
	if leader == gone {
		gone = "ca-b"
	}
	c.Stop(gone) // from here on its signature is needed
	c.publish(behind, 1)
	c.Start(gone)
	c.Check(c.ctx, c.oracle)
	c.nobodyAccused()
}
