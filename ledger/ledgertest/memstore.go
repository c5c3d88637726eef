package ledgertest

import (
	"bytes"
	"iter"
	"maps"
	"slices"

	"github.com/quorate-pki/quorate/ledger"
)

// MemStore is final state in memory: what a node has on disk. The zero value is empty.
type MemStore struct{ records map[string][]byte }

// Get implements state.Store.
func (s *MemStore) Get(key []byte) ([]byte, error) { return s.records[string(key)], nil }

// Put writes records, as a node does with what became final.
func (s *MemStore) Put(writes map[string][]byte) {
	if s.records == nil {
		s.records = map[string][]byte{}
	}
	maps.Copy(s.records, writes)
}

// Delete removes a record, for tests of what no history leads to.
func (s *MemStore) Delete(kind ledger.RecordKind, key []byte) {
	delete(s.records, string(kind)+string(key))
}

// Clone is an independent copy.
func (s *MemStore) Clone() *MemStore { return &MemStore{maps.Clone(s.records)} }

// Records implements state.Loader.
func (s *MemStore) Records(kind ledger.RecordKind, prefix []byte) iter.Seq2[ledger.Record, error] {
	return func(yield func(ledger.Record, error) bool) {
		for _, k := range slices.Sorted(maps.Keys(s.records)) {
			if k[0] == byte(kind) && bytes.HasPrefix([]byte(k[1:]), prefix) && !yield(ledger.Record{Key: []byte(k[1:]), Value: s.records[k]}, nil) {
				return
			}
		}
	}
}

// Sum is a hash over all records in key order: equal for equal states.
func (s *MemStore) Sum() ledger.Hash {
	var b []byte
	for _, k := range slices.Sorted(maps.Keys(s.records)) {
		b = append(b, ledger.Encode([][]byte{[]byte(k), s.records[k]})...)
	}
	return ledger.Sum(b)
}
