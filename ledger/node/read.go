package node

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/state"
	"github.com/quorate-pki/quorate/ledger/tlog"
)

var _ ledger.Reader = (*Node)(nil)

// Head implements ledger.Reader.
func (n *Node) Head(context.Context) (ledger.Head, error) {
	v, err := n.acquire()
	if err != nil {
		return ledger.Head{}, err
	}
	defer v.release()
	return v.head, nil
}

// Entry implements ledger.Reader.
func (n *Node) Entry(_ context.Context, index uint64) ([]byte, error) {
	v, err := n.acquire()
	if err != nil {
		return nil, err
	}
	defer v.release()
	return n.entry(v, index)
}

func (n *Node) entry(v *view, index uint64) ([]byte, error) {
	if index >= v.head.Size {
		return nil, ledger.ErrNotFound
	}
	return n.tiles.entry(index)
}

// Tile implements ledger.Reader.
func (n *Node) Tile(_ context.Context, t tlog.Tile) ([]byte, error) {
	v, err := n.acquire()
	if err != nil {
		return nil, err
	}
	defer v.release()
	if !t.In(v.head.Size) {
		return nil, ledger.ErrNotFound
	}
	return n.tiles.ReadTile(t)
}

// Receipt implements ledger.Reader.
func (n *Node) Receipt(_ context.Context, index uint64) ([]byte, error) {
	v, err := n.acquire()
	if err != nil {
		return nil, err
	}
	defer v.release()
	entry, err := n.entry(v, index)
	if err != nil {
		return nil, err
	}
	extra := ledger.ReceiptExtra{Version: 1, Before: entry, After: []byte{}}
	if der := published(entry); der != nil {
		if extra.Before, extra.After, err = ledger.SplitPublication(entry, der); err != nil {
			return nil, err
		}
	}
	return n.prove(v, index, ledger.Encode(extra))
}

// published is the certificate that an entry publishes, or nil.
func published(entry []byte) []byte {
	e, err := ledger.ParseEntry(entry)
	if err != nil || e.Op == nil {
		return nil
	}
	_, args, err := ledger.ParseBody(e.Op.Body)
	if p := ledger.PublicationOf(args); err == nil && p != nil {
		return p.Certificate
	}
	return nil
}

func (n *Node) prove(v *view, index uint64, extra []byte) ([]byte, error) {
	path, err := tlog.InclusionProof(n.tiles, index, v.head.Size)
	if err != nil {
		return nil, fmt.Errorf("proving leaf %d: %w", index, err)
	}
	return (&tlog.Proof{Extra: extra, Index: index, Path: path, Note: v.head.Note}).Format(), nil
}

// Status implements ledger.Reader.
func (n *Node) Status(_ context.Context, leaf uint64) (ledger.StatusAnswer, error) {
	v, err := n.acquire()
	if err != nil {
		return ledger.StatusAnswer{}, err
	}
	defer v.release()
	epoch := v.head.Size - 1
	if leaf >= epoch {
		return ledger.StatusAnswer{}, ledger.ErrNotFound
	}
	x := ledger.StatusExtra{Version: 1, Number: leaf / ledger.ChunkLeaves}
	chunk, err := n.chunk(v, x.Number)
	if err != nil {
		return ledger.StatusAnswer{}, err
	}
	x.Chunk, x.Path = chunk[:], v.state.Chunks().Path(x.Number)
	if x.Path == nil {
		x.Path = []ledger.Hash{}
	}
	if x.Epoch, err = n.entry(v, epoch); err != nil {
		return ledger.StatusAnswer{}, err
	}
	if x.Cause, err = n.cause(v, leaf, chunk.Get(leaf)); err != nil {
		return ledger.StatusAnswer{}, err
	}
	proof, err := n.prove(v, epoch, ledger.Encode(x))
	return ledger.StatusAnswer{Leaf: leaf, Status: chunk.Get(leaf), Proof: proof}, err
}

func (n *Node) chunk(v *view, number uint64) (c ledger.Chunk, err error) {
	raw, err := get(v.snap, state.Key(ledger.RecordChunk, state.Uint64Key(number)))
	copy(c[:], raw)
	return c, err
}

// cause proves the entry that gave a leaf its status, unless that is the publication itself, which the receipt
// proves.
func (n *Node) cause(v *view, leaf uint64, s ledger.Status) (*ledger.StatusCause, error) {
	if s == ledger.NoStatus {
		return nil, nil
	}
	at, err := n.caused(v, leaf)
	if err != nil || at == leaf {
		return nil, err
	}
	entry, err := n.entry(v, at)
	if err != nil {
		return nil, err
	}
	path, err := tlog.InclusionProof(n.tiles, at, v.head.Size)
	return &ledger.StatusCause{Index: at, Entry: entry, Path: path}, err
}

// caused finds the leaf that gave another its status: itself, when nothing changed it since.
func (n *Node) caused(v *view, leaf uint64) (uint64, error) {
	var p ledger.PublicationRecord
	published, err := ledger.GetRecord(v.record).Into(ledger.RecordPublication, ledger.PublicationKey(leaf), &p)
	if err != nil {
		return 0, err
	}
	if !published {
		// A claim: the record of its device forgets it when the device changes hands, and the history of its status does not.
		for rec, err := range records(v.snap, ledger.RecordChange, ledger.ChangeKey(leaf, 0)[:8], nil) {
			if err != nil {
				return 0, err
			}
			_, change, err := ledger.ParseChangeKey(rec.Key)
			return change, err // the newest is first
		}
		return leaf, nil
	}
	k, err := ledger.ReadKey(v.record, p.Key)
	if err != nil || k == nil {
		return leaf, err
	}
	v.state.Standing(k)
	for i := range k.Certificates {
		if k.Certificates[i].Leaf == leaf {
			return k.Certificates[i].Cause, nil
		}
	}
	return leaf, nil
}

// record is a ledger.GetRecord.
func (v *view) record(kind ledger.RecordKind, key []byte) ([]byte, error) {
	return get(v.snap, state.Key(kind, key))
}

// Result implements ledger.Reader.
func (n *Node) Result(_ context.Context, id ledger.Hash) (ledger.Result, error) {
	v, err := n.acquire()
	if err != nil {
		return ledger.Result{}, err
	}
	defer v.release()
	raw, err := get(v.snap, state.Key(ledger.RecordTx, id[:]))
	if err != nil {
		return ledger.Result{}, err
	}
	if raw == nil {
		return ledger.Result{}, ledger.ErrNotFound
	}
	var rec ledger.TxRecord
	if err := ledger.Decode(raw, &rec); err != nil {
		return ledger.Result{}, err
	}
	return n.recorded(v, id, rec)
}

// recorded rebuilds a transaction's result from its leaf: accepted operations follow it in order.
func (n *Node) recorded(v *view, id ledger.Hash, rec ledger.TxRecord) (ledger.Result, error) {
	out := ledger.Result{ID: id, Leaf: rec.Leaf, Height: rec.Height}
	raw, err := n.entry(v, rec.Leaf)
	if err != nil {
		return out, err
	}
	e, err := ledger.ParseEntry(raw)
	if err != nil || e.Tx == nil {
		return out, errors.Join(fmt.Errorf("leaf %d is no transaction", rec.Leaf), err)
	}
	next := rec.Leaf + 1
	for _, code := range e.Tx.Codes {
		verdict := ledger.Verdict{Code: code}
		if code == reason.Accepted {
			verdict.Leaf = next
			next++
		}
		out.Verdicts = append(out.Verdicts, verdict)
	}
	return out, nil
}

// Records implements ledger.Reader.
func (n *Node) Records(_ context.Context, kind ledger.RecordKind, prefix, after []byte) iter.Seq2[ledger.Record, error] {
	return func(yield func(ledger.Record, error) bool) {
		v, err := n.acquire()
		if err != nil {
			yield(ledger.Record{}, err)
			return
		}
		defer v.release()
		records(v.snap, kind, prefix, after)(yield)
	}
}
