package node

import (
	"context"
	"fmt"
	"io"

	"github.com/quorate-pki/quorate/ledger"
)

// Epoch returns the receipt of the newest epoch entry, under the checkpoint that it ends.
func (n *Node) Epoch(context.Context) ([]byte, error) {
	v, err := n.acquire()
	if err != nil {
		return nil, err
	}
	defer v.release()
	return n.epoch(v)
}

func (n *Node) epoch(v *view) ([]byte, error) {
	last := v.head.Size - 1
	entry, err := n.entry(v, last)
	if err != nil {
		return nil, err
	}
	return n.prove(v, last, ledger.Encode(ledger.ReceiptExtra{Version: 1, Before: entry, After: []byte{}}))
}

// Snapshot writes the status snapshot (docs/formats.md, Snapshots) of the newest epoch to what begin returns, which is told its length in
// bytes before. An error after begin leaves a part of it written. It holds the state as of that epoch until it returns.
func (n *Node) Snapshot(ctx context.Context, begin func(length int64) io.Writer) error {
	v, err := n.acquire()
	if err != nil {
		return err
	}
	defer v.release()
	proof, err := n.epoch(v)
	if err != nil {
		return err
	}
	head, chunks := ledger.SnapshotHead(proof), ledger.Chunks(v.head.Size-1)
	w := begin(int64(len(head)) + int64(chunks)*ledger.ChunkSize)
	if _, err := w.Write(head); err != nil {
		return fmt.Errorf("writing a snapshot: %w", err)
	}
	for i := range chunks {
		c, err := n.chunk(v, i)
		if err != nil {
			return fmt.Errorf("reading status chunk %d: %w", i, err)
		}
		if _, err := w.Write(c[:]); err != nil {
			return fmt.Errorf("writing a snapshot: %w", err)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}
