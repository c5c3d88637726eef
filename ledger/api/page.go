package api

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"sync"

	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/tlog"
)

const (
	// pageBytes ends a page of events: one more is added while it has fewer bytes of entries. With the largest entry a page
	// has less than 200 KiB, 270 KiB as JSON.
	pageBytes = 128 << 10
	// keptPages is how many pages are kept for those who ask for the same: followers at the head of the log all do.
	keptPages = 32
	// maxBuilders is how many pages are made at a time: each reads a bundle of 256 entries, 16 MiB at the very most.
	maxBuilders = 4
)

// Proven says how many leaves a follower knows now, and proves it.
type Proven struct {
	Next       uint64   `json:"next"`       // leaves known, and the next leaf to ask for
	Checkpoint string   `json:"checkpoint"` // the newest checkpoint, cosigned by a quorum
	Path       []string `json:"path"`       // consistency proof (RFC 6962 section 2.1.2) from Next leaves to the checkpoint's; base64
}

// Events is a page of the change feed.
type Events struct {
	From   uint64            `json:"from"`
	Events []json.RawMessage `json:"events"` // each an Event
	Proven
}

// pageKey says what a page depends on: all who ask for the same leaves under the same checkpoint get the same bytes.
type pageKey struct {
	from uint64
	note string
}

// page is made once, by the first who asks.
type page struct {
	once   sync.Once
	events Events
	err    error
}

// pages makes pages and keeps the newest few. Safe for concurrent use.
type pages struct {
	reader   ledger.Reader
	building chan struct{}

	mu   sync.Mutex
	kept map[pageKey]*page
	age  []pageKey // of kept, oldest first
}

func newPages(r ledger.Reader) *pages {
	return &pages{reader: r, building: make(chan struct{}, maxBuilders), kept: map[pageKey]*page{}}
}

// get returns the page of events from a leaf on, as of a head. It is shared: nobody changes it.
func (p *pages) get(ctx context.Context, from uint64, h ledger.Head) (Events, error) {
	key := pageKey{from, string(h.Note)}
	p.mu.Lock()
	at, ok := p.kept[key]
	if !ok {
		at = &page{}
		p.kept[key] = at
		p.age = append(p.age, key)
		if len(p.age) > keptPages {
			delete(p.kept, p.age[0])
			p.age = slices.Delete(p.age, 0, 1)
		}
	}
	p.mu.Unlock()
	at.once.Do(func() {
		p.building <- struct{}{}
		defer func() { <-p.building }()
		// Others wait for this page too: that the first one left is no reason to fail them.
		at.events, at.err = p.build(context.WithoutCancel(ctx), from, h)
		if at.err != nil {
			p.forget(key, at)
		}
	})
	return at.events, at.err
}

// forget makes the next who asks try again.
func (p *pages) forget(key pageKey, failed *page) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.kept[key] == failed {
		delete(p.kept, key)
		p.age = slices.DeleteFunc(p.age, func(k pageKey) bool { return k == key })
	}
}

// build reads at most one bundle of entries, and the tiles of the proof.
func (p *pages) build(ctx context.Context, from uint64, h ledger.Head) (Events, error) {
	out := Events{From: from, Events: []json.RawMessage{}, Proven: Proven{Next: from, Checkpoint: string(h.Note), Path: []string{}}}
	if bundle, ok := tlog.TileAt(tlog.EntriesLevel, from/tlog.TileWidth, h.Size); ok && from < h.Size {
		raw, err := p.reader.Tile(ctx, bundle)
		if err != nil {
			return Events{}, fmt.Errorf("reading events: %w", err)
		}
		entries, err := tlog.SplitBundle(raw)
		if err != nil {
			return Events{}, fmt.Errorf("reading events: %w", err)
		}
		size := 0
		for _, e := range entries[from%tlog.TileWidth:] {
			if size >= pageBytes {
				break
			}
			event, err := Describe(out.Next, e)
			if err != nil {
				return Events{}, err
			}
			line, err := json.Marshal(event)
			if err != nil {
				return Events{}, err
			}
			out.Events, size = append(out.Events, line), size+len(e)
			out.Next++
		}
	}
	path, err := tlog.ConsistencyProof(tileReader{ctx, p.reader}, out.Next, h.Size)
	if err != nil {
		return Events{}, err
	}
	for _, hash := range path {
		out.Path = append(out.Path, base64.StdEncoding.EncodeToString(hash[:]))
	}
	return out, nil
}

// tileReader reads a Reader's tiles for proofs.
type tileReader struct {
	ctx    context.Context
	reader ledger.Reader
}

func (r tileReader) ReadTile(t tlog.Tile) ([]byte, error) { return r.reader.Tile(r.ctx, t) }
