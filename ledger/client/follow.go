package client

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"time"

	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/api"
	"github.com/quorate-pki/quorate/ledger/tlog"
)

// Follower follows the change feed and believes none of it: it hashes every leaf into a tree of its own, and shows a leaf
// only when that tree is proved to be a prefix of one that a quorum cosigned. So no leaf can be altered, left out or put elsewhere
// without an error. It keeps one page of events and the tree's right edge, whatever the log's size. Not safe for concurrent use.
type Follower struct {
	c    *Client
	edge tlog.Frontier
}

// Followed is what became known at once.
type Followed struct {
	Events []api.Event // in order of leaf; none when nothing is new
	Size   uint64      // of the checkpoint that proves them: of the whole log, as far as the node says
	AsOf   time.Time   // freshness of the checkpoint: the (f+1)-th latest cosignature time
}

// Follow begins at a leaf. root is that of the tree of so many leaves when the caller knows it, from Known: then another history
// is refused at once. When it is nil, the leaves before are taken from the node and proved together with the first that follow.
func (c *Client) Follow(ctx context.Context, from uint64, root *ledger.Hash) (*Follower, error) {
	tree, err := tlog.OpenTileTree(tiles{ctx, c}, from)
	if err != nil {
		return nil, err
	}
	if root != nil && tree.Root() != *root {
		return nil, untrusted("the log's first %d leaves are others than those followed before", from)
	}
	return &Follower{c: c, edge: tree.Frontier()}, nil
}

// tiles reads tiles for a tree that is held against a root.
type tiles struct {
	ctx context.Context
	c   *Client
}

func (t tiles) ReadTile(tile tlog.Tile) ([]byte, error) { return t.c.Tile(t.ctx, tile) }

// Next waits for what comes next, in whole seconds of at most 50, and proves it. Nothing new is no error: then it proves what is
// known as of a newer time. After an error the Follower stands where it stood.
func (f *Follower) Next(ctx context.Context, wait time.Duration) (*Followed, error) {
	raw, err := f.c.get(ctx, f.c.v1("/events?from=%d&wait=%d", f.edge.Size(), wait/time.Second))
	if err != nil {
		return nil, err
	}
	var page api.Events
	if err := json.Unmarshal(raw, &page); err != nil {
		return nil, untrusted("the events: %v", err)
	}
	return f.take(ctx, &page)
}

func (f *Follower) take(ctx context.Context, page *api.Events) (*Followed, error) {
	edge := f.edge.Clone()
	if page.From != edge.Size() {
		return nil, untrusted("asked for events from leaf %d, got some from leaf %d", edge.Size(), page.From)
	}
	out := &Followed{}
	for _, line := range page.Events {
		var told api.Event
		if err := json.Unmarshal(line, &told); err != nil {
			return nil, untrusted("the event of leaf %d: %v", edge.Size(), err)
		}
		event, err := api.Describe(edge.Size(), told.Entry) // only the bytes are proved
		if err != nil {
			return nil, untrusted("%v", err)
		}
		edge.Append(tlog.LeafHash(told.Entry))
		out.Events = append(out.Events, event)
	}
	v, err := f.c.trust(ctx).Verify([]byte(page.Checkpoint))
	if err != nil {
		return nil, err
	}
	var path []tlog.Hash
	for _, text := range page.Path {
		raw, err := base64.StdEncoding.Strict().DecodeString(text)
		if err != nil || len(raw) != len(tlog.Hash{}) {
			return nil, untrusted("the consistency proof does not decode")
		}
		path = append(path, tlog.Hash(raw))
	}
	if err := tlog.VerifyConsistency(path, edge.Size(), v.Size, edge.Root(), v.Root); err != nil {
		return nil, untrusted("the events are not those of the cosigned log: %v", err)
	}
	if len(out.Events) == 0 && v.Size > edge.Size() {
		return nil, untrusted("the log has %d leaves and the node gives none from leaf %d on", v.Size, edge.Size())
	}
	f.edge, out.Size, out.AsOf = edge, v.Size, time.Unix(int64(v.Time), 0).UTC()
	return out, nil
}

// Known is what was proved so far: the tree of all leaves shown, and those before. What Follow was given without a root counts
// once Next has returned without an error.
func (f *Follower) Known() tlog.Checkpoint {
	return tlog.Checkpoint{Origin: f.c.cfg.Policy.Origin, Size: f.edge.Size(), Root: f.edge.Root()}
}
