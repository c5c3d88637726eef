// Package state is the ledger's rules: judge decides what a block's transactions do, fold applies leaves. State
// is a fold over leaves: nothing else changes it, and a node that executed a block and a node that folded its
// leaves from tiles hold the same bytes.
//
// It is pure: no clock (time inside rules is the block's time), no randomness, no map order, no floats, no I/O
// but reads through Store, whose failure is an error and never a verdict. It must never import crypto/x509 or
// encoding/asn1: what those accept changes between Go releases, and verdicts may not.
package state

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/tlog"
)

// Store is final state as it stands on disk. Get returns nil for a record that does not exist; an error means
// that the store failed and judgement must stop. Safe for use by one goroutine; not written while used.
type Store interface {
	Get(key []byte) ([]byte, error)
}

// State is the ledger after some block: final records in a Store, under the writes of blocks not yet final. A
// State is never changed once Execute or Fold returned it, Detach apart. Not safe for concurrent use, because
// all States over one Store share its Filter.
type State struct {
	parent   *State
	store    Store
	writes   map[string][]byte
	counts   map[string]ledger.Usage // by the key of their records; of a block that is being judged or folded, else nil
	registry *registry
	filter   *Filter
	chunks   *tlog.ChunkTree
	frontier tlog.Frontier
	channel  ledger.ChannelRecord
}

// Empty is the state before genesis.
func Empty(store Store) *State {
	return &State{store: store, registry: newRegistry(), filter: NewFilter(), chunks: tlog.NewChunkTree(nil)}
}

// next is a child layer to write to, with room for about what so many operations write.
func (s *State) next(operations int) *State {
	const each = 4 // of a publication: its own record, its key's, device's and CertID's
	return &State{parent: s, store: s.store, writes: make(map[string][]byte, each*operations+8), counts: map[string]ledger.Usage{}, registry: s.registry, filter: s.filter,
		chunks: s.chunks, frontier: s.frontier.Clone(), channel: s.channel}
}

// Detach tells a state that its parent's writes are in the store now.
func (s *State) Detach() { s.parent = nil }

// Writes are the records that this block wrote, by key; the caller must not change them.
func (s *State) Writes() map[string][]byte { return s.writes }

// Channel is what the state knows of its channel.
func (s *State) Channel() ledger.ChannelRecord { return s.channel }

// Size is the number of leaves.
func (s *State) Size() uint64 { return s.frontier.Size() }

// Root is the tree hash over all leaves.
func (s *State) Root() ledger.Hash { return s.frontier.Root() }

// Chunks is the tree over the status chunks as of the last epoch.
func (s *State) Chunks() *tlog.ChunkTree { return s.chunks }

// Members is the member set in force from the next height on. Nobody changes it.
func (s *State) Members() (*ledger.MemberSet, error) {
	if len(s.registry.sets) == 0 {
		return nil, errors.New("nobody founded the channel")
	}
	return s.registry.newestSet().MemberSet, nil
}

// Electors is the member set whose quorum makes this state final: the one in force at its height. After a change of the set it is the
// one before Members, until the next block.
func (s *State) Electors() (*ledger.MemberSet, error) { return s.MembersAt(s.channel.Height) }

// MembersAt is the member set in force at a height, up to the next one.
func (s *State) MembersAt(height uint64) (*ledger.MemberSet, error) {
	for _, m := range slices.Backward(s.registry.sets) {
		if m.From <= height {
			return m.MemberSet, nil
		}
	}
	return nil, errors.New("nobody founded the channel")
}

// MemberLinks are the documents from a number on, and what makes each follow the one before.
func (s *State) MemberLinks(from uint64) (out []ledger.MemberSetLink) {
	for _, m := range s.registry.sets {
		if m.Number >= from {
			out = append(out, m.Link())
		}
	}
	return out
}

// Key is the store key of a record.
func Key(kind ledger.RecordKind, key []byte) []byte {
	b := make([]byte, 0, 1+len(key))
	return append(append(b, byte(kind)), key...)
}

// Uint64Key is the key of records numbered by height or chunk; big-endian, so that they sort.
func Uint64Key(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

// filtered kinds are those that every publication asks for and nearly never finds.
func filtered(kind ledger.RecordKind, key []byte) bool {
	switch kind {
	case ledger.RecordKey, ledger.RecordDevice:
		return true
	case ledger.RecordCertID:
		return len(key) == len(ledger.Hash{}) // of SerialKey
	}
	return false
}

// get reads a record into v; false when there is none.
func (s *State) get(kind ledger.RecordKind, key []byte, v any) (bool, error) {
	return ledger.GetRecord(s.raw).Into(kind, key, v)
}

func (s *State) raw(kind ledger.RecordKind, key []byte) ([]byte, error) {
	if filtered(kind, key) && !s.filter.MayHave(key) {
		return nil, nil
	}
	k := Key(kind, key)
	for l := s; l != nil; l = l.parent {
		if v, ok := l.writes[string(k)]; ok {
			return v, nil
		}
	}
	v, err := s.store.Get(k)
	if err != nil {
		return nil, fmt.Errorf("reading a %q record: %w", kind, err)
	}
	return v, nil
}

// put writes a record to this layer.
func (s *State) put(kind ledger.RecordKind, key []byte, v any) {
	s.write(kind, key, ledger.Encode(v))
}

// write writes a record that is encoded to this layer.
func (s *State) write(kind ledger.RecordKind, key, v []byte) {
	if filtered(kind, key) {
		s.filter.Add(key)
	}
	s.writes[string(Key(kind, key))] = v
}

func (s *State) chunk(n uint64) (c ledger.Chunk, err error) {
	raw, err := s.raw(ledger.RecordChunk, Uint64Key(n))
	if err != nil {
		return c, err
	}
	if raw != nil && len(raw) != ledger.ChunkSize {
		return c, fmt.Errorf("status chunk %d has %d bytes", n, len(raw))
	}
	copy(c[:], raw)
	return c, nil
}

func (s *State) setStatus(leaf uint64, st ledger.Status) error {
	return s.setStatuses(leaf, leaf+1, st)
}

// setStatuses gives the leaves from first to before end, all of one chunk, a status.
func (s *State) setStatuses(first, end uint64, st ledger.Status) error {
	n := first / ledger.ChunkLeaves
	key := string(Key(ledger.RecordChunk, Uint64Key(n)))
	own := s.writes[key] // nobody has seen this layer's yet
	if own == nil {
		c, err := s.chunk(n)
		if err != nil {
			return err
		}
		own = c[:]
		s.writes[key] = own
	}
	for leaf := first; leaf < end; leaf++ {
		(*ledger.Chunk)(own).Set(leaf, st)
	}
	return nil
}

// KeyRecord returns what was published over a key, and where it stands: cut-offs of who vouched are in it.
func (s *State) KeyRecord(spki ledger.Hash) (*ledger.KeyRecord, error) {
	k, err := ledger.ReadKey(s.raw, spki)
	if err == nil && k != nil {
		s.Standing(k)
	}
	return k, err
}

// Applied reports whether a transaction id is on the log.
func (s *State) Applied(id ledger.Hash) (*ledger.TxRecord, error) {
	var r ledger.TxRecord
	ok, err := s.get(ledger.RecordTx, id[:], &r)
	if err != nil || !ok {
		return nil, err
	}
	return &r, nil
}

// Registered reports whether a key id is a registered key: a line, admin or governance key.
func (s *State) Registered(id ledger.Hash) bool { return s.registry.signer(id) != nil }
