package node

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"maps"
	"path"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/commit"
	"github.com/quorate-pki/quorate/ledger/layout"
	"github.com/quorate-pki/quorate/ledger/state"
)

// store is the index: records of the final state in Pebble.
type store struct{ db *pebble.DB }

// Most records are under hashes, so that whatever merges new ones into old ones writes all of the old ones again. It is put off until
// there is much to merge: what was never published costs no read, thanks to the state's filter, and the few reads of what is there
// may look into so many tables. At 10^6 certificates half as much is written as with Pebble's defaults.
const (
	memTable    = 16 << 20  // bytes in memory before they are a table
	youngTables = 20        // of them, one upon the other, before they are merged
	baseLevel   = 256 << 20 // bytes of the level that they are merged into
)

// indexCache is how many bytes of the index are kept in memory. OCSP asks about any certificate at any time: with Pebble's 8 MiB not even the
// tables' own indexes stay there, and every answer reads them again.
const indexCache = 64 << 20

func openStore(fsys vfs.FS, dir string, log *slog.Logger) (*store, error) {
	cache := pebble.NewCache(indexCache)
	defer cache.Unref() // the store has its own
	o := &pebble.Options{Cache: cache, FS: fsys, Logger: pebbleLog{log}, MemTableSize: memTable, FormatMajorVersion: pebble.FormatNewest,
		L0CompactionThreshold: youngTables, L0StopWritesThreshold: 2 * youngTables, LBaseMaxBytes: baseLevel}
	for i := range o.Levels {
		o.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
	}
	// Records are hashes for the most part: compressing them costs more than the seventh of the disk that it saves.
	o.ApplyCompressionSettings(func() pebble.DBCompressionSettings { return pebble.DBCompressionNone })
	db, err := pebble.Open(path.Join(dir, layout.Index), o)
	if err != nil {
		return nil, fmt.Errorf("opening the index: %w", err)
	}
	return &store{db}, nil
}

// pebbleLog passes on what matters. Fatalf must not return: the index cannot go on, and neither can the node.
type pebbleLog struct{ log *slog.Logger }

func (p pebbleLog) Infof(string, ...any)      {}
func (p pebbleLog) Errorf(f string, a ...any) { p.log.Error("index", "msg", fmt.Sprintf(f, a...)) }
func (p pebbleLog) Fatalf(f string, a ...any) { panic(fmt.Errorf("the index failed: "+f, a...)) }

type pebbleReader interface {
	pebble.Reader
}

func get(r pebbleReader, key []byte) ([]byte, error) {
	v, closer, err := r.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return append([]byte{}, v...), closer.Close()
}

// Get implements state.Store.
func (s *store) Get(key []byte) ([]byte, error) { return get(s.db, key) }

// Records implements state.Loader.
func (s *store) Records(kind ledger.RecordKind, prefix []byte) iter.Seq2[ledger.Record, error] {
	return records(s.db, kind, prefix, nil)
}

func records(r pebbleReader, kind ledger.RecordKind, prefix, past []byte) iter.Seq2[ledger.Record, error] {
	return func(yield func(ledger.Record, error) bool) {
		if past == nil && whole(kind, len(prefix)) {
			// No other key begins with a whole one: getting it takes half of what looking for it does.
			v, err := get(r, state.Key(kind, prefix))
			if err != nil || v != nil {
				yield(ledger.Record{Key: bytes.Clone(prefix), Value: v}, err)
			}
			return
		}
		low, high := state.Key(kind, prefix), after(state.Key(kind, prefix))
		if past != nil {
			// The least key above past.
			low = slices.MaxFunc([][]byte{low, append(state.Key(kind, past), 0)}, bytes.Compare)
		}
		it, err := r.NewIter(&pebble.IterOptions{LowerBound: low, UpperBound: high})
		if err != nil {
			yield(ledger.Record{}, err)
			return
		}
		defer it.Close()
		for ok := it.First(); ok; ok = it.Next() {
			v, err := it.ValueAndErr()
			if !yield(ledger.Record{Key: append([]byte{}, it.Key()[1:]...), Value: append([]byte{}, v...)}, err) {
				return
			}
		}
		if err := it.Error(); err != nil {
			yield(ledger.Record{}, err)
		}
	}
}

// whole says whether a prefix of so many bytes is a whole key. CertIDs have two kinds of them, both with a hash: that one begins with
// another takes a collision of 256 bits.
func whole(kind ledger.RecordKind, n int) bool {
	return n > 0 && (n == keySizes[kind] || kind == ledger.RecordCertID && n == len(ledger.Hash{}))
}

// keySizes are the lengths of the keys of kinds whose keys have one length.
var keySizes = map[ledger.RecordKind]int{ledger.RecordKey: 32, ledger.RecordPublication: 8, ledger.RecordDevice: 32, ledger.RecordCertID: 33, ledger.RecordTx: 32,
	ledger.RecordOrg: 16, ledger.RecordNamespace: 16, ledger.RecordRegistry: 32, ledger.RecordChunk: 8, ledger.RecordCA: 32, ledger.RecordHeight: 8}

// after is the least key above all keys that begin with prefix.
func after(prefix []byte) []byte {
	out := append([]byte{}, prefix...)
	for i := len(out) - 1; i >= 0; i-- {
		if out[i]++; out[i] != 0 {
			return out[:i+1]
		}
	}
	return nil
}

// final reads how far the store is final; nil in a store that was never initialised.
func (s *store) final() (*layout.Final, error) {
	raw, err := s.Get([]byte(layout.FinalKey))
	if err != nil || raw == nil {
		return nil, err
	}
	return layout.ParseFinal(raw)
}

// commit makes blocks and the final record durable in one batch.
func (s *store) commit(blocks []*commit.Pending, f *layout.Final) error {
	b := s.db.NewBatch()
	defer b.Close()
	for _, p := range blocks {
		writes := p.State.Writes()
		// In order, each finds its place in the store's memory near the last one's.
		for _, k := range slices.Sorted(maps.Keys(writes)) {
			if err := b.Set([]byte(k), writes[k], nil); err != nil {
				return err
			}
		}
	}
	if err := b.Set([]byte(layout.FinalKey), ledger.Encode(f), nil); err != nil {
		return err
	}
	return b.Commit(pebble.Sync)
}

// view is the final state as of one checkpoint, for readers: nothing newer is seen through it.
type view struct {
	head  ledger.Head
	state *state.State // only its immutable parts: channel, chunk tree
	snap  *pebble.Snapshot
	refs  atomic.Int64
	open  *sync.WaitGroup // the node's: one for each view whose snapshot is open
}

// release gives a view back; the last one closes its snapshot.
func (v *view) release() {
	if v.refs.Add(-1) == 0 {
		v.snap.Close() // frees memory; the snapshot wrote nothing that could fail
		v.open.Done()
	}
}
