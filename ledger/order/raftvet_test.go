package order_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/quorate-pki/quorate/ledger"
)

// stream dials one pipe for a foreign transport.
type stream struct {
	net.Listener
	dial func() (net.Conn, error)
}

func (s stream) Dial(raft.ServerAddress, time.Duration) (net.Conn, error) { return s.dial() }

// as is a member that says what it likes to ca-a.
func (c *trio) as(name string) (*raft.NetworkTransport, raft.RPCHeader) {
	tr := raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{MaxPool: 1, Timeout: 10 * time.Second,
		Stream: stream{&port{conns: make(chan net.Conn), quit: make(chan struct{})}, func() (net.Conn, error) { return c.net.dial(c.ctx, name, "ca-a") }}})
	c.t.Cleanup(func() { tr.Close() })
	return tr, raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax, ID: []byte(name), Addr: []byte(name)}
}

// TestRaftNames: a message counts for the member whose connection it comes over, or not at all.
func TestRaftNames(t *testing.T) {
	c := newTrio(t, 0)
	c.start("ca-a")
	as, header := c.as("ca-b")
	for _, claimed := range []string{"ca-b", "ca-c", "ca-a", ""} {
		header.ID, header.Addr = []byte(claimed), []byte(claimed)
		var errs []error
		errs = append(errs,
			as.RequestPreVote("ca-a", "ca-a", &raft.RequestPreVoteRequest{RPCHeader: header, Term: 9}, new(raft.RequestPreVoteResponse)),
			as.AppendEntries("ca-a", "ca-a", &raft.AppendEntriesRequest{RPCHeader: header, Term: 1}, new(raft.AppendEntriesResponse)))
		for i, err := range errs {
			if refused := err != nil && strings.Contains(err.Error(), "in another's name"); refused != (claimed != "ca-b") {
				t.Errorf("message %d as %q: %v", i, claimed, err)
			}
		}
	}
}

// TestRaftHostile: a leader that sends what no honest one does is refused, message by message, and the member it sends it to
// lives on: with an honest leader it orders.
func TestRaftHostile(t *testing.T) {
	c := newTrio(t, 0)
	c.start("ca-a")
	as, header := c.as("ca-b")
	var members raft.Configuration
	for _, n := range c.names {
		members.Servers = append(members.Servers, raft.Server{ID: raft.ServerID(n), Address: raft.ServerAddress(n)})
	}
	same := raft.EncodeConfiguration(members)
	members.Servers = members.Servers[:1]
	other := raft.EncodeConfiguration(members)
	const never = "no honest member sends that"
	for what, x := range map[string]struct {
		append raft.AppendEntriesRequest
		why    string
	}{
		"a configuration of noise":         {raft.AppendEntriesRequest{Term: 2, Entries: []*raft.Log{{Index: 1, Term: 1, Type: raft.LogConfiguration, Data: []byte("noise")}}}, never},
		"another configuration":            {raft.AppendEntriesRequest{Term: 2, PrevLogEntry: 1, PrevLogTerm: 1, Entries: []*raft.Log{{Index: 2, Term: 2, Type: raft.LogConfiguration, Data: other}}}, never},
		"no entry":                         {raft.AppendEntriesRequest{Term: 2, PrevLogEntry: 1, PrevLogTerm: 1, Entries: []*raft.Log{nil}}, never},
		"a gap":                            {raft.AppendEntriesRequest{Term: 2, PrevLogEntry: 1, PrevLogTerm: 1, Entries: []*raft.Log{{Index: 3, Term: 2, Type: raft.LogNoop}}, LeaderCommitIndex: 3}, never},
		"an entry of a later term":         {raft.AppendEntriesRequest{Term: 2, PrevLogEntry: 1, PrevLogTerm: 1, Entries: []*raft.Log{{Index: 2, Term: 3, Type: raft.LogNoop}}}, never},
		"an entry of no type":              {raft.AppendEntriesRequest{Term: 2, PrevLogEntry: 1, PrevLogTerm: 1, Entries: []*raft.Log{{Index: 2, Term: 2, Type: 99}}}, never},
		"too many entries":                 {raft.AppendEntriesRequest{Term: 2, PrevLogEntry: 1, PrevLogTerm: 1, Entries: noops(2, 2, 20)}, never},
		"the last term":                    {raft.AppendEntriesRequest{Term: 1<<64 - 1}, never},
		"a block of noise":                 {raft.AppendEntriesRequest{Term: 2, PrevLogEntry: 1, PrevLogTerm: 1, Entries: []*raft.Log{{Index: 2, Term: 2, Type: raft.LogCommand, Data: []byte("\x01noise")}}}, "entry 2"},
		"a block of another entry version": {raft.AppendEntriesRequest{Term: 2, PrevLogEntry: 1, PrevLogTerm: 1, Entries: []*raft.Log{{Index: 2, Term: 2, Type: raft.LogCommand, Data: []byte("\x02")}}}, "no block of this version"},
	} {
		x.append.RPCHeader = header
		if err := as.AppendEntries("ca-a", "ca-a", &x.append, new(raft.AppendEntriesResponse)); err == nil || !strings.Contains(err.Error(), x.why) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := as.RequestVote("ca-a", "ca-a", &raft.RequestVoteRequest{RPCHeader: header, Term: 1<<64 - 1}, new(raft.RequestVoteResponse)); err == nil || !strings.Contains(err.Error(), never) {
		t.Errorf("a vote in the last term: %v", err)
	}
	empty := ledger.Encode([]any{1, 0, []any{}})
	for what, x := range map[string]struct {
		req  raft.InstallSnapshotRequest
		data []byte
		why  string
	}{
		"noise":                   {raft.InstallSnapshotRequest{SnapshotVersion: 1, Configuration: same, ConfigurationIndex: 1}, []byte("noise"), "not one of this version"},
		"of another version":      {raft.InstallSnapshotRequest{SnapshotVersion: 1, Configuration: same, ConfigurationIndex: 1}, ledger.Encode([]any{2, 7, []any{}}), "not one of this version"},
		"of an old library":       {raft.InstallSnapshotRequest{Peers: []byte("noise")}, empty, never},
		"other members":           {raft.InstallSnapshotRequest{SnapshotVersion: 1, Configuration: other, ConfigurationIndex: 1}, empty, never},
		"members of noise":        {raft.InstallSnapshotRequest{SnapshotVersion: 1, Configuration: []byte("noise"), ConfigurationIndex: 1}, empty, never},
		"of a later term":         {raft.InstallSnapshotRequest{SnapshotVersion: 1, Configuration: same, ConfigurationIndex: 1, LastLogTerm: 10}, empty, never},
		"a height nobody is at":   {raft.InstallSnapshotRequest{SnapshotVersion: 1, Configuration: same, ConfigurationIndex: 1}, ledger.Encode([]any{1, 1 << 40, []any{}}), "catching up"},
		"a block that is refused": {raft.InstallSnapshotRequest{SnapshotVersion: 1, Configuration: same, ConfigurationIndex: 1}, ledger.Encode([]any{1, 0, []any{[]any{5, c.block(77)}}}), "refused"},
	} {
		x.req.RPCHeader, x.req.Term, x.req.LastLogIndex, x.req.LastLogTerm, x.req.Size = header, 9, 9, max(9, x.req.LastLogTerm), int64(len(x.data))
		if err := as.InstallSnapshot("ca-a", "ca-a", &x.req, new(raft.InstallSnapshotResponse), bytes.NewReader(x.data)); err == nil || !strings.Contains(err.Error(), x.why) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if kept, err := filepath.Glob(filepath.Join(c.dirs["ca-a"], "snapshots", "*")); err != nil || len(kept) > 0 {
		t.Errorf("%v %v", kept, err)
	}
	c.start("ca-b", "ca-c")
	c.order("ca-a")
	c.same()
}

func noops(from, term uint64, n int) (out []*raft.Log) {
	for i := range n {
		out = append(out, &raft.Log{Index: from + uint64(i), Term: term, Type: raft.LogNoop})
	}
	return out
}

// block is one of a view that ca-a refuses.
func (c *trio) block(view uint64) []byte {
	raw, _ := c.apps["ca-a"].C.OrderTx(1)
	block, _, err := c.apps["ca-b"].Assemble(c.ctx, c.apps["ca-b"].Last().Ref, view, [][]byte{raw})
	if err != nil {
		c.t.Fatal(err)
	}
	c.apps["ca-a"].refused.Store(view)
	return block
}

// TestRaftLyingAnswers: members that answer every request for a vote in the last term there is change nobody's term.
func TestRaftLyingAnswers(t *testing.T) {
	c := newTrio(t, 0)
	for _, name := range []string{"ca-b", "ca-c"} {
		l := c.net.listen(name)
		t.Cleanup(func() { l.Close() })
		tr := raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{MaxPool: 1, Timeout: time.Second, Stream: stream{l, nil}})
		t.Cleanup(func() { tr.Close() })
		go func() {
			for {
				select {
				case rpc := <-tr.Consumer():
					header := raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax, ID: []byte(name), Addr: []byte(name)}
					switch rpc.Command.(type) {
					case *raft.RequestPreVoteRequest:
						rpc.Respond(&raft.RequestPreVoteResponse{RPCHeader: header, Term: 1<<64 - 1}, nil)
					default:
						rpc.Respond(&raft.RequestVoteResponse{RPCHeader: header, Term: 1<<64 - 1}, nil)
					}
				case <-c.ctx.Done():
					return
				}
			}
		}()
	}
	c.start("ca-a")
	ctx, cancel := context.WithTimeout(c.ctx, 20*heartbeat)
	defer cancel()
	if poll(ctx, func() bool { return c.engine("ca-a").Status().View > 1000 }) == nil {
		t.Errorf("term %d", c.engine("ca-a").Status().View)
	}
}

// TestRaftLongMessage: a message longer than any that an honest member sends is not read to its end.
func TestRaftLongMessage(t *testing.T) {
	c := newTrio(t, 0)
	c.start("ca-a")
	conn, err := c.net.dial(c.ctx, "ca-b", "ca-a")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	// AppendEntries, a map of one field whose value is 4 GiB long.
	if _, err := conn.Write([]byte("\x00\x81\xa6Leader\xc6\xff\xff\xff\xff")); err != nil {
		t.Fatal(err)
	}
	sent, chunk := 0, make([]byte, 1<<20)
	for err == nil && sent < 256<<20 {
		var n int
		n, err = conn.Write(chunk)
		sent += n
	}
	if err == nil || errors.Is(err, net.ErrClosed) {
		t.Errorf("%d bytes were taken, %v", sent, err)
	}
}
