package node_test

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/layout"
	"github.com/quorate-pki/quorate/ledger/ledgertest"
	"github.com/quorate-pki/quorate/ledger/tlog"
)

// nobodyAccused demands that no member keeps evidence against another.
func (c *cluster) nobodyAccused() {
	c.t.Helper()
	for _, name := range c.Names() {
		kept, err := os.ReadDir(filepath.Join(c.Dir(name), layout.Evidence))
		if len(kept) > 0 || err != nil && !errors.Is(err, os.ErrNotExist) {
			c.t.Errorf("%s accuses an honest member: %v %v", name, kept, err)
		}
	}
}

// leader is who leads, by what a running member says.
func (c *cluster) leader() string {
	c.t.Helper()
	pause := time.NewTicker(10 * time.Millisecond)
	defer pause.Stop()
	for {
		for _, name := range c.Running() {
			h, err := c.Node(name).Health(c.ctx)
			if err == nil && h.Orderer.Leader == name {
				return name
			}
		}
		select {
		case <-pause.C:
		case <-c.ctx.Done():
			c.t.Fatal("nobody leads")
		}
	}
}

// TestLeadershipMoves hands leadership on every 50 ms under load. Whatever is submitted gets one verdict, the same from whoever
// is asked, and nobody takes another for dishonest.
func TestLeadershipMoves(t *testing.T) {
	c := newCluster(t, 4, 0)
	c.publish("ca-a", 1)
	over := make(chan struct{})
	var moving sync.WaitGroup
	moves := 0
	moving.Go(func() {
		every := time.NewTicker(50 * time.Millisecond)
		defer every.Stop()
		for {
			select {
			case <-every.C:
				for _, name := range c.Running() {
					c.Node(name).HandOver()
				}
				moves++
			case <-over:
				return
			}
		}
	})
	n := 40
	if ledgertest.Long() {
		n = 200
	}
	work, results := make([]ledgertest.Submission, n), make([]ledger.Result, n)
	for i := range work {
		work[i] = c.tx(1 + i%5)
	}
	next := make(chan int)
	var submitters sync.WaitGroup
	for _, first := range c.Names() {
		submitters.Go(func() {
			for i := range next {
				res, err := c.Submit(c.ctx, first, work[i].Raw)
				if err != nil {
					t.Errorf("%s: %v", first, err)
				}
				results[i] = res
			}
		})
	}
	for i := range work {
		next <- i
	}
	close(next)
	submitters.Wait()
	close(over)
	moving.Wait()
	for i, s := range work {
		c.acknowledged("ca-a", s, results[i])
	}
	t.Logf("leadership was handed on in %d rounds, the term is %d", moves, c.term())
	c.Check(c.ctx, c.oracle)
	c.nobodyAccused()
}

// TestLeaderDiverges: a leader that finds that its key signed elsewhere signs nothing more, takes nothing, and leads no more; the others
// go on without it, and its orderer keeps nothing that it does not execute.
func TestLeaderDiverges(t *testing.T) {
	c := newCluster(t, 4, 0)
	c.publish("ca-a", 1)
	c.Level(c.ctx)
	first := c.leader()
	head, err := c.Node(first).Head(c.ctx)
	if err != nil {
		t.Fatal(err)
	}
	cp := tlog.Checkpoint{Origin: head.Origin, Size: head.Size + 1000, Root: ledger.Sum([]byte("elsewhere"))}
	if err := c.Node(first).Show(c.ctx, cp, tlog.Cosign(cp, c.C.Set.CosignerName(first), uint64(c.Now().Unix()), c.C.Key(first+"/cosigning"))); err != nil {
		t.Fatal(err)
	}
	_, err = c.Submit(c.ctx, first, c.tx(1).Raw)
	if code, _ := reason.CodeOf(err); code != reason.Diverged {
		t.Errorf("it answers %v", err)
	}
	for _, name := range c.Names() {
		if name != first {
			c.publish(name, 2)
		}
	}
	h, err := c.Node(first).Health(c.ctx)
	if err != nil || h.Diverged == "" || h.OK || h.Orderer.Leader == first || h.Orderer.Height > head.Height {
		t.Errorf("%+v, %v", h, err)
	}
}

func (c *cluster) term() uint64 {
	h, err := c.Node("ca-a").Health(c.ctx)
	if err != nil {
		c.t.Fatal(err)
	}
	return h.Orderer.View
}

// TestClockAnHourOff: a leader whose clock is an hour ahead, or behind, does not lead for long. Put right, it counts again.
func TestClockAnHourOff(t *testing.T) {
	for _, off := range []time.Duration{time.Hour, -time.Hour} {
		t.Run(off.String(), func(t *testing.T) {
			c := newCluster(t, 4, 0)
			c.publish("ca-a", 1)
			wrong := c.leader()
			c.SetClock(wrong, off)
			for _, name := range c.Running() {
				if name != wrong {
					c.publish(name, 2)
				}
			}
			c.SetClock(wrong, 0)
			c.publish(wrong, 1)
			// Now its signature is needed for every quorum.
			gone := "ca-a"
			if wrong == gone {
				gone = "ca-b"
			}
			c.Stop(gone)
			c.publish(wrong, 1)
			c.Start(gone)
			c.Check(c.ctx, c.oracle)
			c.nobodyAccused()
		})
	}
}
