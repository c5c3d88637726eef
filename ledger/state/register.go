package state

import (
	"encoding/binary"
	"fmt"
	"iter"

	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/tlog"
)

// own makes the registry this layer's own, so that states that share it are not disturbed.
func (f *folder) own() *registry {
	f.st.registry = f.st.registry.clone()
	return f.st.registry
}

// register folds the registrations of genesis and of organisations' admins.
func (f *folder) register(l *ledger.OpLeaf, args any, at uint64) error {
	e := &l.Effects
	if len(e.Runs) > 0 {
		return fmt.Errorf("%w: a registration gives no leaf a status", ErrBadLeaves)
	}
	if n, ok := args.(*ledger.Namespace); ok && f.head.Height > 0 {
		return f.foldDelegation(l, n, at)
	}
	f.own()
	switch a := args.(type) {
	case *ledger.Consortium:
		return f.found(a, at)
	case *ledger.Organisation:
		if e.Owner == nil {
			return fmt.Errorf("%w: an organisation without an id", ErrBadLeaves)
		}
		f.addOrganisation(*e.Owner, a, grant{leaf: at})
	case *ledger.Namespace:
		if len(e.Namespaces) != 1 {
			return fmt.Errorf("%w: a namespace without an id", ErrBadLeaves)
		}
		f.addNamespace(e.Namespaces[0], a, grant{leaf: at})
	case *ledger.CA:
		return f.addCA(a, at)
	case *ledger.LineKey:
		f.addKey(&ledger.RegisteredKey{Role: ledger.KeyRoleLine, Owner: a.Owner, SPKI: a.SPKI, Line: a, Leaf: at})
	default:
		return fmt.Errorf("%w: no fold for %T", ErrBadLeaves, args)
	}
	return nil
}

func (f *folder) found(c *ledger.Consortium, at uint64) error {
	m, err := newMemberSet(ledger.MemberSetRecord{Document: c.MemberSet, Signatures: []ledger.MemberSignature{}, Leaf: at})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrBadLeaves, err)
	}
	ch := &f.st.channel
	ch.Consortium, ch.Name, ch.Rules, ch.MemberSet, ch.Main = c.Name, c.Channel, c.RuleVersion, c.MemberSet, c.Main
	f.st.registry.enrol(m)
	f.addGovernance(m)
	return nil
}

// grant is where a registration comes from.
type grant struct {
	leaf     uint64 // its own, or the proposal's
	decision uint64 // of a proposal: the vote that decided
}

// addOrganisation, addNamespace and addKey write; the caller has made the registry this layer's own.
func (f *folder) addOrganisation(id ledger.OrgID, o *ledger.Organisation, by grant) {
	f.putOrganisation(id, &ledger.OrgRecord{Organisation: *o, Leaf: by.leaf, Decision: by.decision})
	for _, spki := range o.AdminKeys {
		f.addKey(&ledger.RegisteredKey{Role: ledger.KeyRoleAdmin, Owner: id, SPKI: spki, Leaf: by.leaf, Decision: by.decision})
	}
}

func (f *folder) addNamespace(id ledger.OrgID, n *ledger.Namespace, by grant) {
	f.putNamespace(id, &ledger.NamespaceRecord{Namespace: *n, Leaf: by.leaf, Decision: by.decision})
}

func (f *folder) addKey(k *ledger.RegisteredKey) {
	id := ledger.Sum(k.SPKI)
	f.st.registry.keys[id] = k
	f.st.put(ledger.RecordRegistry, id[:], k)
}

// Loader is a Store whose records can be walked in key order.
type Loader interface {
	Store
	Records(kind ledger.RecordKind, prefix []byte) iter.Seq2[ledger.Record, error]
}

// Load reads the final state: the small records into memory, the filter and the status tree from their records.
// frontier is the right edge of the tree at the store's size.
func Load(store Loader, frontier tlog.Frontier) (*State, error) {
	s := Empty(store)
	s.frontier = frontier
	if ok, err := s.get(ledger.RecordChannel, nil, &s.channel); err != nil || !ok {
		return nil, fmt.Errorf("loading the state: no channel record (%v)", err)
	}
	if s.channel.Size != frontier.Size() {
		return nil, fmt.Errorf("loading the state: records of %d leaves, tiles of %d", s.channel.Size, frontier.Size())
	}
	if err := s.loadMemberSets(store); err != nil {
		return nil, fmt.Errorf("loading the state: the member sets: %w", err)
	}
	err := firstError(
		load(store, ledger.RecordOrg, len(ledger.OrgID{}), func(k []byte, v *ledger.OrgRecord) { s.registry.orgs[ledger.OrgID(k)] = v }),
		load(store, ledger.RecordNamespace, len(ledger.OrgID{}), func(k []byte, v *ledger.NamespaceRecord) { s.registry.add(ledger.OrgID(k), v) }),
		load(store, ledger.RecordRegistry, len(ledger.Hash{}), func(k []byte, v *ledger.RegisteredKey) { s.registry.keys[ledger.Hash(k)] = v }),
		load(store, ledger.RecordCA, len(ledger.Hash{}), func(k []byte, v *ledger.CARecord) { s.registry.putCA(ledger.Hash(k), v) }),
		load(store, ledger.RecordProposal, 8, func(k []byte, v *ledger.ProposalRecord) {
			if v.State.Live() {
				s.registry.proposals[binary.BigEndian.Uint64(k)] = v
			}
		}),
		load(store, ledger.RecordFurther, len(ledger.Hash{}), func(_ []byte, v *ledger.FurtherChannel) { s.registry.channels[v.Name] = v }),
		s.loadRules(store), s.loadFilter(store), s.loadChunks(store))
	if err != nil {
		return nil, fmt.Errorf("loading the state: %w", err)
	}
	return s, nil
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func load[T any](store Loader, kind ledger.RecordKind, size int, add func(key []byte, v *T)) error {
	for rec, err := range store.Records(kind, nil) {
		if err != nil {
			return err
		}
		if len(rec.Key) != size {
			return fmt.Errorf("a %q record with a key of %d bytes", kind, len(rec.Key))
		}
		v := new(T)
		if err := ledger.Decode(rec.Value, v); err != nil {
			return fmt.Errorf("a %q record: %w", kind, err)
		}
		add(rec.Key, v)
	}
	return nil
}

func (s *State) loadFilter(store Loader) error {
	for _, kind := range []ledger.RecordKind{ledger.RecordKey, ledger.RecordDevice, ledger.RecordCertID} {
		for rec, err := range store.Records(kind, nil) {
			if err != nil {
				return err
			}
			if !filtered(kind, rec.Key) {
				continue
			}
			if len(rec.Key) != len(ledger.Hash{}) {
				return fmt.Errorf("a %q record with a key of %d bytes", kind, len(rec.Key))
			}
			s.filter.Add(rec.Key)
		}
	}
	return nil
}

// loadChunks rebuilds the status tree. Chunks never written are zero.
func (s *State) loadChunks(store Loader) error {
	// The last epoch covered all leaves before itself.
	n := ledger.Chunks(s.channel.Size - 1)
	var zero ledger.Chunk
	hashes := make([]ledger.Hash, n)
	for i := range hashes {
		hashes[i] = tlog.LeafHash(zero[:])
	}
	for rec, err := range store.Records(ledger.RecordChunk, nil) {
		if err != nil {
			return err
		}
		if len(rec.Key) != 8 || len(rec.Value) != ledger.ChunkSize || binary.BigEndian.Uint64(rec.Key) >= n {
			return fmt.Errorf("status chunk %x does not belong to a log of %d leaves", rec.Key, s.channel.Size)
		}
		hashes[binary.BigEndian.Uint64(rec.Key)] = tlog.LeafHash(rec.Value)
	}
	s.chunks = tlog.NewChunkTree(hashes)
	return nil
}
