package api

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"

	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/tlog"
)

// Leaves asks for the receipts, or the statuses, of several leaves at once. No leaf may come twice.
type Leaves struct {
	Leaves []uint64 `json:"leaves"` // at most 1,024 for receipts, MaxStatuses for statuses
}

// Receipts are in the order of the leaves asked for.
type Receipts struct {
	Receipts []string `json:"receipts"`
}

// Statuses are status proofs, and which of them is that of each leaf asked for. One proof is that of all neighbours
// (1,024 leaves) whose status needs no cause.
type Statuses struct {
	Proofs []string `json:"proofs"`
	Of     []int    `json:"of"` // Proofs[Of[i]] is that of Leaves[i]
}

const (
	// MaxStatuses bounds the leaves of one request for statuses.
	MaxStatuses = 4096

	// maxAnswers bounds one answer of receipts or status proofs, in bytes: 1,024 receipts of certificates of the usual size, twice.
	maxAnswers = 8 << 20

	// maxBatches is the most requests for many things at once that are answered at a time; more are told busy.
	maxBatches = 16
)

// batch gives a request for many things at once a place, or ErrBusy.
func (a *api) batch() (leave func(), err error) {
	select {
	case a.batches <- struct{}{}:
		return func() { <-a.batches }, nil
	default:
		return nil, ledger.ErrBusy
	}
}

// readJSON reads one JSON value of at most limit bytes, with no key but those of v.
func readJSON(w http.ResponseWriter, r *http.Request, limit int64, v any) error {
	raw, err := body(w, r, limit)
	if err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return reason.New(reason.BadRequest, "the body is not the JSON that this address takes")
	}
	if _, err := d.Token(); err != io.EOF {
		return reason.New(reason.BadRequest, "more than one JSON value")
	}
	return nil
}

// leaves reads a request for several leaves.
func leaves(w http.ResponseWriter, r *http.Request, limit int) ([]uint64, error) {
	var q Leaves
	if err := readJSON(w, r, 24*int64(limit)+(1<<10), &q); err != nil {
		return nil, err
	}
	if len(q.Leaves) > limit {
		return nil, reason.New(reason.BadRequest, "%d leaves, at most %d", len(q.Leaves), limit)
	}
	seen := make(map[uint64]bool, len(q.Leaves))
	for _, i := range q.Leaves {
		if seen[i] {
			return nil, reason.New(reason.BadRequest, "leaf %d twice", i)
		}
		seen[i] = true
	}
	return q.Leaves, nil
}

// answers bounds what a request for many things is answered with.
type answers struct{ size int }

func (s *answers) add(p []byte) (string, error) {
	if s.size += len(p); s.size > maxAnswers {
		return "", reason.New(reason.TooLarge, "more than %d bytes of proofs; ask for fewer leaves", maxAnswers)
	}
	return string(p), nil
}

func (a *api) receipts(w http.ResponseWriter, r *http.Request) error {
	leave, err := a.batch()
	if err != nil {
		return err
	}
	defer leave()
	q, err := leaves(w, r, ledger.MaxOperations)
	if err != nil {
		return err
	}
	var size answers
	out := Receipts{Receipts: []string{}}
	for _, i := range q {
		p, err := a.cfg.Reader.Receipt(r.Context(), i)
		if err != nil {
			return err
		}
		text, err := size.add(p)
		if err != nil {
			return err
		}
		out.Receipts = append(out.Receipts, text)
	}
	return writeJSON(w, out)
}

func (a *api) statuses(w http.ResponseWriter, r *http.Request) error {
	leave, err := a.batch()
	if err != nil {
		return err
	}
	defer leave()
	q, err := leaves(w, r, MaxStatuses)
	if err != nil {
		return err
	}
	var size answers
	out := Statuses{Proofs: []string{}, Of: []int{}}
	shared := map[uint64]neighbours{}
	for _, leaf := range q {
		if n, ok := shared[leaf/ledger.ChunkLeaves]; ok && leaf < n.epoch && n.chunk.Get(leaf) == ledger.Good {
			out.Of = append(out.Of, n.proof)
			continue
		}
		if err := r.Context().Err(); err != nil {
			return err
		}
		s, err := a.cfg.Reader.Status(r.Context(), leaf)
		if err != nil {
			return err
		}
		text, err := size.add(s.Proof)
		if err != nil {
			return err
		}
		at := len(out.Proofs)
		out.Proofs, out.Of = append(out.Proofs, text), append(out.Of, at)
		if n, ok := serves(s, at); ok {
			shared[leaf/ledger.ChunkLeaves] = n
		}
	}
	return writeJSON(w, out)
}

// neighbours is a status proof without a cause, which is that of every good leaf in its chunk.
type neighbours struct {
	proof int    // its place in the answer
	epoch uint64 // it covers the leaves before this one
	chunk ledger.Chunk
}

func serves(s ledger.StatusAnswer, at int) (neighbours, bool) {
	p, err := tlog.ParseProof(s.Proof)
	if err != nil {
		return neighbours{}, false
	}
	x, err := ledger.ParseStatusExtra(p.Extra)
	if err != nil || x.Cause != nil || len(x.Chunk) != ledger.ChunkSize {
		return neighbours{}, false
	}
	return neighbours{proof: at, epoch: p.Index, chunk: ledger.Chunk(x.Chunk)}, true
}
