package node

import (
	"errors"
	"io"
	"net/http"
	"strconv"

	"github.com/quorate-pki/quorate/internal/problem"
	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/order"
	"github.com/quorate-pki/quorate/ledger/peer"
	"github.com/quorate-pki/quorate/ledger/tlog"
)

// peerHandler is what members ask of one another. Whoever asks is authenticated as a member, and believed in nothing
// else: transactions are checked as if a user had sent them, cosignatures by the machine.
func (n *Node) peerHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+pathCosign, n.peerCosignatures)
	mux.HandleFunc("POST "+pathSubmit, n.peerTransaction)
	mux.HandleFunc("POST "+pathRevocation, n.peerRevocation)
	mux.HandleFunc("GET "+pathTrace, n.peerTrace)
	mux.HandleFunc("GET "+pathHead, n.peerCheckpoint)
	mux.HandleFunc("GET "+pathTile, n.peerTile)
	mux.HandleFunc("GET "+pathMembers, n.peerMembers)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Date", n.cfg.Now().UTC().Format(http.TimeFormat)) // for its clocks
		mux.ServeHTTP(w, r)
	})
}

func (n *Node) peerCosignatures(w http.ResponseWriter, r *http.Request) {
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxMessage))
	if err == nil {
		err = n.exchange.take(r.Context(), peer.Of(r.Context()), raw)
	}
	if err != nil {
		refusePeer(w, err)
		return
	}
	answer := cosignatures{Version: 1, Notes: [][]byte{}}
	n.exchange.mu.Lock()
	if n.exchange.own != nil {
		answer.Notes = append(answer.Notes, n.exchange.own)
	}
	n.exchange.mu.Unlock()
	_, _ = w.Write(ledger.Encode(answer)) // the peer asks again
}

// peerTransaction takes a transaction from a member that takes this one for the leader.
func (n *Node) peerTransaction(w http.ResponseWriter, r *http.Request) {
	n.peerSubmission(w, r, func(_ *ledger.Parsed, raw []byte) error { return n.raft.Forwarded(raw) })
}

// peerRevocation takes a revocation that another member holds: it is held here, and from then on handed to the orderer.
func (n *Node) peerRevocation(w http.ResponseWriter, r *http.Request) {
	n.peerSubmission(w, r, func(tx *ledger.Parsed, raw []byte) error {
		_, err := n.hold(r.Context(), tx, raw)
		return err
	})
}

// peerSubmission reads a transaction and checks it as if a user had sent it.
func (n *Node) peerSubmission(w http.ResponseWriter, r *http.Request, then func(tx *ledger.Parsed, raw []byte) error) {
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, ledger.MaxSubmission))
	if err != nil {
		refusePeer(w, err)
		return
	}
	tx, err := ledger.ParseSubmission(raw, ledger.ForLedger)
	if err == nil {
		err = n.accept(r.Context(), tx)
	}
	if err == nil {
		err = then(tx, raw)
	}
	if err != nil {
		refusePeer(w, err)
	}
}

// peerTrace answers a member that lost its memory with what it is known here to have signed.
func (n *Node) peerTrace(w http.ResponseWriter, r *http.Request) {
	name := n.members().CosignerName(peer.Of(r.Context()))
	answer, err := look(r.Context(), n, func() (cosignatures, error) {
		answer := cosignatures{Version: 1, Notes: [][]byte{}}
		if cp, sig, ok := n.machine.Trace(name); ok {
			answer.Notes = append(answer.Notes, tlog.FormatNote(cp, []tlog.Signature{sig}))
		}
		return answer, nil
	})
	if err != nil {
		refusePeer(w, err)
		return
	}
	_, _ = w.Write(ledger.Encode(answer))
}

func (n *Node) peerCheckpoint(w http.ResponseWriter, r *http.Request) {
	head, err := n.Head(r.Context())
	if err != nil {
		refusePeer(w, err)
		return
	}
	_, _ = w.Write(head.Note)
}

// peerMembers gives the member sets from a number on, and what makes each follow the one before.
func (n *Node) peerMembers(w http.ResponseWriter, r *http.Request) {
	from, err := strconv.ParseUint(r.URL.Query().Get("from"), 10, 63)
	if err != nil {
		refusePeer(w, reason.New(reason.NotFound, "%v", err))
		return
	}
	links, err := look(r.Context(), n, func() ([]ledger.MemberSetLink, error) { return n.machine.Final().MemberLinks(from), nil })
	if err != nil {
		refusePeer(w, err)
		return
	}
	_, _ = w.Write((&ledger.MemberChain{Version: 1, Links: links}).Encode())
}

func (n *Node) peerTile(w http.ResponseWriter, r *http.Request) {
	tile, err := tlog.ParseTilePath(r.URL.Path[len("/peer/1/"):])
	if err != nil {
		refusePeer(w, reason.New(reason.NotFound, "%v", err))
		return
	}
	data, err := n.Tile(r.Context(), tile)
	if err != nil {
		refusePeer(w, err)
		return
	}
	_, _ = w.Write(data)
}

// refusePeer maps errors to problems.
func refusePeer(w http.ResponseWriter, err error) {
	why, ok := errors.AsType[*reason.Error](err)
	switch {
	case ok:
	case errors.Is(err, order.ErrBusy), errors.Is(err, ledger.ErrBusy):
		why = reason.New(reason.Busy, "")
	case errors.Is(err, ledger.ErrNotFound):
		why = reason.New(reason.NotFound, "")
	case errors.Is(err, ledger.ErrStopping), errors.Is(err, order.ErrStopped):
		why = reason.New(reason.Stopping, "")
	default:
		why = reason.New(reason.Malformed, "%v", err)
	}
	problem.Write(w, why)
}
