package order

import (
	"errors"
	"fmt"
	"io"

	"github.com/hashicorp/raft"

	"github.com/quorate-pki/quorate/ledger"
)

// snapshot stands for the log below it: how far this member was final, and what it had delivered above. Whoever
// restores it fetches what is final from the members, by proof, and trusts nothing in here.
type snapshot struct {
	_       struct{} `cbor:",toarray"`
	Version uint64
	Height  uint64 // final
	Blocks  []snapshotBlock
}

type snapshotBlock struct {
	_     struct{} `cbor:",toarray"`
	Index uint64
	Block []byte
}

// maxSnapshot bounds it: what is not final is 2K blocks at most, with room.
const maxSnapshot = 4 * ledger.MaxPending * (ledger.MaxBlock + 64)

var errSnapshot = errors.New("the snapshot is not one of this version")

func parseSnapshot(raw []byte) (*snapshot, []Ordered, error) {
	var s snapshot
	if err := ledger.Decode(raw, &s); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", errSnapshot, err)
	}
	if s.Version != 1 {
		return nil, nil, errSnapshot
	}
	var out []Ordered
	for _, x := range s.Blocks {
		b, err := ledger.ParseBlock(x.Block)
		if err != nil {
			return nil, nil, fmt.Errorf("%w: %w", errSnapshot, err)
		}
		out = append(out, Ordered{Ref: Ref{Height: b.Header.Height, Hash: b.Hash, View: b.Header.View}, Index: x.Index, Block: x.Block})
	}
	return &s, out, nil
}

// Snapshot implements raft.FSM (step 10 of the commit path).
func (f fsm) Snapshot() (raft.FSMSnapshot, error) {
	last := f.r.app.Last()
	s := snapshot{Version: 1, Height: last.Height, Blocks: []snapshotBlock{}}
	f.r.mu.Lock()
	defer f.r.mu.Unlock()
	for _, o := range after(f.r.kept, last.Height) {
		s.Blocks = append(s.Blocks, snapshotBlock{Index: o.Index, Block: o.Block})
	}
	return encoded(ledger.Encode(s)), nil
}

type encoded []byte

// Persist implements raft.FSMSnapshot. The store syncs it before it counts.
func (e encoded) Persist(sink raft.SnapshotSink) error {
	if _, err := sink.Write(e); err != nil {
		return errors.Join(err, sink.Cancel())
	}
	return sink.Close()
}

// Release implements raft.FSMSnapshot.
func (encoded) Release() {}

// Restore implements raft.FSM: at start, and when this member is so far behind that the leader's log does not reach.
func (f fsm) Restore(rc io.ReadCloser) error {
	defer rc.Close()
	raw, err := io.ReadAll(io.LimitReader(rc, maxSnapshot+1))
	if err != nil {
		return err
	}
	s, blocks, err := parseSnapshot(raw)
	if err != nil {
		return err
	}
	last := f.r.app.Last()
	if last.Height < s.Height {
		if last, err = f.r.fetch(f.r.ctx, s.Height); err != nil {
			return fmt.Errorf("catching up to height %d: %w", s.Height, err)
		}
	}
	f.r.mu.Lock()
	if f.r.head.Height <= last.Height {
		f.r.head, f.r.kept = last.Ref, nil
	}
	head := f.r.head.Height
	f.r.mu.Unlock()
	for _, o := range after(blocks, head) {
		if err := f.r.deliver(o); err != nil {
			return err
		}
	}
	return nil
}
