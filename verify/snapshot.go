package verify

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/tlog"
)

// Epoch is the newest epoch of a checkpoint, proved: what every status of that moment hangs on.
type Epoch struct {
	Leaf       uint64 // of the epoch entry; statuses are of the leaves before it
	Size       uint64 // of the tree, Leaf + 1
	Root       ledger.Hash
	AsOf       time.Time // freshness: the (f+1)-th latest cosignature time
	StatusRoot ledger.Hash
	MemberSet  ledger.Hash // of the document in force
}

// Fresh refuses an epoch older than maxAge or ahead of the clock, as Standing.Fresh does.
func (e *Epoch) Fresh(now time.Time, maxAge time.Duration) error { return fresh(e.AsOf, now, maxAge) }

// LastEpoch verifies the receipt of an epoch entry that is the last leaf of its checkpoint.
func LastEpoch(p tlog.NoteVerifier, receipt []byte) (*Epoch, error) {
	proof, v, raw, err := Entry(p, receipt, nil)
	if err != nil {
		return nil, err
	}
	e, err := lastEpoch(proof, v, raw)
	if err != nil {
		return nil, err
	}
	return &Epoch{Leaf: proof.Index, Size: v.Size, Root: v.Root, AsOf: unix(v.Time), StatusRoot: e.StatusRoot, MemberSet: e.MemberSet}, nil
}

// Snapshot is a status snapshot that was verified as a whole: every status of every leaf before its epoch. It keeps the hashes of
// the chunks, 32 bytes for 1,024 leaves, and no chunk.
type Snapshot struct {
	Epoch
	Counts [4]uint64 // how many leaves have each status
	chunks []ledger.Hash
	from   int64 // where the chunks begin in the file
}

// IsSnapshot tells a snapshot, of whatever version, from a status proof by how it begins.
func IsSnapshot(file []byte) bool { return bytes.HasPrefix(file, []byte("quorate/snapshot/")) }

// ReadSnapshot verifies a snapshot (docs/formats.md, Snapshots) as it reads it. It reads no chunk before a quorum has vouched for how
// many there are, and nothing beyond the last but what tells that there is nothing.
func ReadSnapshot(p tlog.NoteVerifier, r io.Reader) (*Snapshot, error) {
	in := bufio.NewReader(r)
	receipt, err := ledger.ReadSnapshotHead(in)
	if err != nil {
		return nil, badSnapshot(err)
	}
	e, err := LastEpoch(p, receipt)
	if err != nil {
		return nil, err
	}
	s := &Snapshot{Epoch: *e, from: int64(len(ledger.SnapshotHead(receipt)))}
	var tree tlog.Frontier
	for n := range ledger.Chunks(e.Leaf) {
		var c ledger.Chunk
		if _, err := io.ReadFull(in, c[:]); err != nil {
			return nil, badSnapshot(fmt.Errorf("reading chunk %d of %d: %w", n, ledger.Chunks(e.Leaf), err))
		}
		h := tlog.LeafHash(c[:])
		tree.Append(h)
		s.chunks = append(s.chunks, h)
		for i := range uint64(ledger.ChunkLeaves) {
			s.Counts[c.Get(i)]++
		}
	}
	switch _, err := in.ReadByte(); {
	case err == nil:
		return nil, badSnapshot(errors.New("more after the last chunk"))
	case !errors.Is(err, io.EOF):
		return nil, fmt.Errorf("reading a snapshot: %w", err)
	}
	if tree.Root() != e.StatusRoot {
		return nil, reason.New(reason.WrongStatusRoot, "%d chunks", tree.Size())
	}
	s.Counts[ledger.NoStatus] -= ledger.ChunkLeaves*ledger.Chunks(e.Leaf) - e.Leaf // what is beyond the epoch is no leaf
	return s, nil
}

// badSnapshot tells a file that is wrong from one that could not be read.
func badSnapshot(err error) error {
	var cut = errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
	if !cut && errors.Unwrap(err) != nil {
		return fmt.Errorf("reading a snapshot: %w", err)
	}
	return reason.New(reason.BadSnapshotFile, "%v", err)
}

// Standing is what the snapshot says of a leaf, read from the file that ReadSnapshot read. It names no cause: whoever wants to know
// why asks for a status proof.
func (s *Snapshot) Standing(file io.ReaderAt, leaf uint64) (*Standing, error) {
	if leaf >= s.Leaf {
		return nil, reason.New(reason.LeafNotCovered, "leaf %d, epoch at leaf %d", leaf, s.Leaf)
	}
	var c ledger.Chunk
	n := leaf / ledger.ChunkLeaves
	if _, err := file.ReadAt(c[:], s.from+int64(n)*ledger.ChunkSize); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("reading chunk %d of a snapshot: %w", n, err)
	}
	if tlog.LeafHash(c[:]) != s.chunks[n] {
		return nil, reason.New(reason.WrongStatusRoot, "chunk %d is not the one that was verified", n)
	}
	status := c.Get(leaf)
	if status == ledger.NoStatus {
		return nil, reason.New(reason.NoStatus, "leaf %d", leaf)
	}
	return &Standing{Leaf: leaf, Status: status, Size: s.Size, AsOf: s.AsOf, MemberSet: s.MemberSet}, nil
}
