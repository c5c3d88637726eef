package order_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/raft"

	"github.com/quorate-pki/quorate/ledger/order"
)

// TestRaftRejoin: a member that lost its log elects nobody until it has it back.
func TestRaftRejoin(t *testing.T) {
	c := newTrio(t, 0)
	c.start(c.names...)
	c.order("ca-a")
	for _, n := range c.names {
		c.stop(n)
	}
	mark := filepath.Join(c.dirs["ca-c"], "rejoin")
	if err := errors.Join(os.RemoveAll(c.dirs["ca-c"]), os.Mkdir(c.dirs["ca-c"], 0o700), os.WriteFile(mark, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	c.start("ca-a", "ca-c")
	// Two of three are a majority, and would elect within a few heartbeats.
	ctx, cancel := context.WithTimeout(c.ctx, 15*heartbeat)
	defer cancel()
	if poll(ctx, func() bool { return c.engine("ca-a").Status().Leader != "" }) == nil {
		t.Error("a member without its log has elected a leader")
	}
	if s := c.engine("ca-c").Status(); s.Healthy || !strings.Contains(s.Trouble, "lost its log") {
		t.Errorf("it does not say that it lost its log: %+v", s)
	}
	c.start("ca-b")
	c.order("ca-b")
	if err := poll(c.ctx, func() bool { _, err := os.Stat(mark); return os.IsNotExist(err) }); err != nil {
		t.Fatal("it does not come back")
	}
	if err := poll(c.ctx, func() bool { return c.engine("ca-c").Status().Healthy }); err != nil {
		t.Fatal("it does not say that it is well")
	}
	// Now its vote is needed, and given.
	c.stop("ca-b")
	c.order("ca-a")
	c.same()
}

// TestRaftRejoinIdle: all that the members have is in a snapshot, and nothing new comes: a member that lost its log is back all the
// same, and elects.
func TestRaftRejoinIdle(t *testing.T) {
	c := newTrio(t, 4)
	c.start(c.names...)
	leader := c.leader()
	behind := c.other(leader)
	c.order(leader)
	c.stop(behind)
	// A snapshot of the whole log, behind which all that is left of it lies.
	whole := func() bool {
		store, err := raft.NewFileSnapshotStore(c.dirs[leader], 2, nil)
		if err != nil {
			t.Fatal(err)
		}
		kept, err := store.List()
		return err == nil && len(kept) > 0 && kept[0].Index > 20 && kept[0].Index == order.LastIndex(c.engine(leader))
	}
	for !whole() {
		for range 12 {
			c.order(leader)
		}
		ctx, cancel := context.WithTimeout(c.ctx, 15*heartbeat)
		_ = poll(ctx, whole)
		cancel()
		if c.ctx.Err() != nil {
			t.Fatal("no snapshot of all")
		}
	}
	mark := filepath.Join(c.dirs[behind], "rejoin")
	if err := errors.Join(os.RemoveAll(c.dirs[behind]), os.Mkdir(c.dirs[behind], 0o700), os.WriteFile(mark, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	c.apps[behind].Peer = c.apps[leader].OrderApp
	c.start(behind)
	if err := poll(c.ctx, func() bool { _, err := os.Stat(mark); return os.IsNotExist(err) }); err != nil {
		t.Fatal("it does not come back")
	}
	c.stop(c.other(behind)) // now its vote is needed
	c.order(behind)
	c.same()
}
