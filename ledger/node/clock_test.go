package node_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/quorate-pki/quorate/ledger/ledgertest"
	"github.com/quorate-pki/quorate/ledger/node"
)

// TestClockSetBack sets the clock back by 50 minutes between two starts: what is there is served, nothing breaks, a
// submission waits, and goes through once the clock has caught up.
func TestClockSetBack(t *testing.T) {
	c := ledgertest.Found(4, 1)
	fs := vfs.NewMem()
	mustInit(t, c, fs)
	ahead := &ledgertest.Clock{}
	ahead.Advance(50 * time.Minute) // the workload's transactions live for an hour
	n, err := node.Open(t.Context(), c.NodeConfig(fs, ahead))
	if err != nil {
		t.Fatal(err)
	}
	work := workload(c)
	first, err := n.Submit(t.Context(), work[0].Raw)
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	clock := &ledgertest.Clock{}
	cfg := c.NodeConfig(fs, clock)
	cfg.Tick = time.Millisecond
	if n, err = node.Open(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	if got, err := n.Result(t.Context(), first.ID); err != nil || got.Leaf != first.Leaf {
		t.Fatalf("%+v, %v", got, err)
	}
	h, err := n.Health(t.Context())
	if err != nil || h.OK || h.Trouble == "" {
		t.Fatalf("a clock 50 minutes behind is no trouble: %+v, %v", h, err)
	}
	if err := n.Propose(t.Context(), work[1].Raw); !errors.Is(err, node.ErrNotNow) {
		t.Fatalf("proposing with a clock behind: %v", err)
	}
	short, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { _, err := n.Submit(short, work[1].Raw); done <- err }()
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Fatalf("submitted with a clock behind: %v", err)
	}
	clock.Advance(50 * time.Minute)
	if err := n.Propose(t.Context(), work[1].Raw); err != nil {
		t.Fatalf("proposing with a clock that has caught up: %v", err)
	}
	if _, err := n.Submit(t.Context(), work[1].Raw); err != nil {
		t.Fatal(err)
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
}
