package main

import (
	"crypto/ed25519"
	"errors"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/commit"
	"github.com/quorate-pki/quorate/ledger/cosign"
	"github.com/quorate-pki/quorate/ledger/layout"
	"github.com/quorate-pki/quorate/ledger/node"
	"github.com/quorate-pki/quorate/ledger/state"
	"github.com/quorate-pki/quorate/ledger/tlog"
)

// fill gives every member a log of preloaded certificates: made once, cosigned by all, and folded by each from its tiles.
func (b *bench) fill() error {
	if b.preload == 0 {
		return nil
	}
	b.say("making %d certificates", b.preload)
	m, st, err := b.makeLog()
	if err != nil {
		return err
	}
	ch := st.Channel()
	cp := tlog.Checkpoint{Origin: b.consortium.set.Policy(ch.Log).Origin, Size: st.Size(), Root: st.Root()}
	signed := commit.Statement{Log: ch.Log, Height: ch.Height, Size: st.Size(), Root: st.Root(), Header: ch.Header, Time: uint64(time.Now().Unix())}
	var sigs []tlog.Signature
	for _, member := range b.consortium.set.Members {
		keys, err := readKeys(filepath.Join(b.consortium.dir, "orgs", member.Name))
		if err != nil {
			return err
		}
		if len(sigs) == 0 {
			sigs = append(sigs, tlog.SignCheckpoint(cp, cp.Origin, keys.log))
		}
		// The memory comes first, as with everything that a key signs.
		s, err := cosign.Open(cosign.Config{FS: vfs.Default, Path: filepath.Join(b.data(member.Name), layout.Signer), Keys: []ed25519.PrivateKey{keys.cosigning},
			Name: b.consortium.set.CosignerName(member.Name), Origin: cp.Origin, Channel: ch.Channel, Inception: true})
		if err != nil {
			return err
		}
		own, err := s.Sign(signed, s.VKeys()[0])
		if err != nil {
			return err
		}
		sigs = append(sigs, own.Signature)
	}
	b.say("folding them at %s", count(b.members, "member"))
	return b.fold(tlog.FormatNote(cp, sigs), m)
}

func (b *bench) data(member string) string {
	return filepath.Join(b.consortium.dir, "nodes", member)
}

// fold restores every member's directory, as many at once as there are cores.
func (b *bench) fold(note []byte, m *madeLog) error {
	errs := make([]error, b.members)
	places := make(chan struct{}, runtime.NumCPU())
	var wg sync.WaitGroup
	for i, member := range b.consortium.set.Members {
		wg.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			errs[i] = node.Restore(b.ctx, node.Config{FS: vfs.Default, Dir: b.data(member.Name), Genesis: b.consortium.genesis,
				Member: member.Name, Log: quietLog()}, note, m)
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// makeLog executes blocks of new certificates, without checking signatures, and keeps what they leave.
func (b *bench) makeLog() (*madeLog, *state.State, error) {
	first := b.consortium.set.Members[0]
	keys, err := readKeys(filepath.Join(b.consortium.dir, "orgs", first.Name))
	if err != nil {
		return nil, nil, err
	}
	genesis, err := ledger.ParseBlock(b.consortium.genesis)
	if err != nil {
		return nil, nil, err
	}
	records := recordsInMemory{}
	m := &madeLog{tiles: map[tlog.Tile][]byte{}, tree: &tlog.TileTree{}}
	x, err := state.Execute(state.Empty(records), genesis, unchecked{})
	for left := b.preload; err == nil; {
		for k, v := range x.State.Writes() {
			records[k] = v
		}
		x.State.Detach()
		if err := m.append(x.Leaves); err != nil {
			return nil, nil, err
		}
		if left == 0 {
			return m, x.State, nil
		}
		n := min(left, benchBatch)
		left -= n
		x, err = b.extend(x.State, n, keys.block)
	}
	return nil, nil, err
}

// extend executes a block of n publications on a state.
func (b *bench) extend(on *state.State, n int, key ed25519.PrivateKey) (*state.Executed, error) {
	ders, err := b.devices(n)
	if err == nil && b.filled != nil {
		err = b.filled(ders)
	}
	if err != nil {
		return nil, err
	}
	raw, err := b.transaction(ders)
	if err != nil {
		return nil, err
	}
	tx, err := ledger.ParseSubmission(raw, ledger.ForLedger)
	if err != nil {
		return nil, err
	}
	ch, txs := on.Channel(), []*ledger.Parsed{tx}
	h := &ledger.Header{Version: 1, Channel: ch.Channel, Log: ch.Log, Height: ch.Height + 1, View: 1, Previous: ch.Header,
		Payload: ledger.PayloadHash(txs), Time: max(ledger.MillisOf(time.Now()), ch.Time+1),
		Proposer: ledger.Sum(ledger.Ed25519SPKI(key.Public().(ed25519.PublicKey)))}
	block, err := ledger.ParseBlock(ledger.EncodeBlock(ledger.SignHeader(h, key), txs))
	if err != nil {
		return nil, err
	}
	return state.Execute(on, block, unchecked{})
}

// unchecked skips signatures: those of the preloaded certificates are good, and their check is what is measured later.
type unchecked struct{ state.Direct }

// Operation implements state.Facts.
func (unchecked) Operation(_ ledger.Hash, body []byte) *state.Examined {
	x := state.Examine(body)
	x.KnownSelfSigned()
	return x
}

// Transaction implements state.Facts.
func (unchecked) Transaction([]byte, ledger.Signature) bool { return true }

// recordsInMemory is the store of the state that is made.
type recordsInMemory map[string][]byte

// Get implements state.Store.
func (r recordsInMemory) Get(key []byte) ([]byte, error) { return r[string(key)], nil }

// madeLog is a log in memory, as tiles.
type madeLog struct {
	tree   *tlog.TileTree
	tiles  map[tlog.Tile][]byte // full ones
	bundle []byte               // entries of the bundle that is not full
}

func (m *madeLog) append(leaves [][]byte) (err error) {
	for _, l := range leaves {
		if m.bundle, err = tlog.AppendBundleEntry(m.bundle, l); err != nil {
			return err
		}
		for _, d := range m.tree.Append(tlog.LeafHash(l)) {
			m.tiles[d.Tile] = d.Data
		}
		if n := m.tree.Size(); n%tlog.TileWidth == 0 {
			m.tiles[tlog.Tile{Level: tlog.EntriesLevel, Index: n/tlog.TileWidth - 1, Width: tlog.TileWidth}] = m.bundle
			m.bundle = nil
		}
	}
	return nil
}

// ReadTile implements tlog.TileReader. Safe for concurrent use once the log is made.
func (m *madeLog) ReadTile(tile tlog.Tile) ([]byte, error) {
	if data, ok := m.tiles[tile]; ok {
		return data, nil
	}
	if tile.Level == tlog.EntriesLevel {
		return m.bundle, nil
	}
	return m.tree.ReadTile(tile)
}
