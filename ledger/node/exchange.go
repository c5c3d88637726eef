package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/quorate-pki/quorate/internal/problem"
	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/commit"
	"github.com/quorate-pki/quorate/ledger/order"
	"github.com/quorate-pki/quorate/ledger/tlog"
)

// exchange brings this member's cosignatures to every peer, and takes theirs (step 7 of the commit path). For each peer
// there is one sender: what a peer has not taken waits for it, bounded, the newest kept. Every answer carries the peer's
// own newest cosignature, so whoever connects learns where the other stands.
type exchange struct {
	n      *Node
	http   *http.Client
	clocks clocks

	mu      sync.Mutex
	running context.Context // nil before start
	own     []byte          // this member's newest cosignature, as a note
	ownSize uint64
	boxes   map[string]*outbox // by peer
	wg      sync.WaitGroup
}

// outbox is what one peer has not taken yet.
type outbox struct {
	notes   [][]byte
	wake    chan struct{} // one token: there is something to send
	stop    context.CancelFunc
	leaving bool // no member of the newest set
}

// cosignatures is the message both ways: notes of a checkpoint with one cosignature each.
type cosignatures struct {
	_       struct{} `cbor:",toarray"`
	Version uint64
	Notes   [][]byte
}

const (
	maxNotes       = 2 * ledger.MaxPending
	maxNote        = 4 << 10
	maxMessage     = maxNotes * (maxNote + 8)
	againFirst     = 50 * time.Millisecond // after a peer did not answer; doubles
	againLast      = 2 * time.Second
	pathCosign     = "/peer/1/cosignatures"
	pathSubmit     = "/peer/1/transaction"
	pathRevocation = "/peer/1/revocation"
	pathTrace      = "/peer/1/trace"
	pathHead       = "/peer/1/checkpoint"
	pathTile       = "/peer/1/tile/"
	pathMembers    = "/peer/1/members"
	octetStream    = "application/octet-stream"
)

func newExchange(n *Node, client *http.Client) *exchange {
	x := &exchange{n: n, http: client, boxes: map[string]*outbox{}}
	x.follow(n.members())
	return x
}

// start begins sending; it ends with ctx.
func (x *exchange) start(ctx context.Context) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.running = ctx
	for peer, b := range x.boxes {
		x.begin(peer, b)
	}
}

// begin sends to one peer, until it is none any more. With the lock.
func (x *exchange) begin(peer string, b *outbox) {
	ctx, cancel := context.WithCancel(x.running)
	b.stop = cancel
	x.wg.Go(func() { x.send(ctx, peer, b) })
}

// follow has an outbox for every other member of a set, and one fewer set long for those of the set before: they may lack what was signed last.
func (x *exchange) follow(set *ledger.MemberSet) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, m := range set.Members {
		if m.Name == x.n.cfg.Member || x.boxes[m.Name] != nil {
			continue
		}
		b := &outbox{wake: make(chan struct{}, 1)}
		if x.own != nil {
			b.notes = [][]byte{x.own}
			b.poke()
		}
		if x.boxes[m.Name] = b; x.running != nil {
			x.begin(m.Name, b)
		}
	}
	for peer, b := range x.boxes {
		switch {
		case set.ByName(peer) != nil:
			b.leaving = false
		case b.leaving:
			delete(x.boxes, peer)
			if b.stop != nil {
				b.stop()
			}
		default:
			b.leaving = true
		}
	}
}

// release puts this member's cosignature into every outbox. It is remembered.
func (x *exchange) release(s commit.Signed) {
	note := tlog.FormatNote(tlog.Checkpoint{Origin: x.n.stands.Load().origin, Size: s.Size, Root: s.Root}, []tlog.Signature{s.Signature})
	x.mu.Lock()
	defer x.mu.Unlock()
	if s.Size >= x.ownSize { // else it is one of a height where the members changed, sent again
		x.own, x.ownSize = note, s.Size
	}
	for _, b := range x.boxes {
		b.notes = append(b.notes, note)
		b.notes = b.notes[max(0, len(b.notes)-maxNotes):]
		b.poke()
	}
}

func (b *outbox) poke() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// ask sends the newest cosignature again, to learn the peers'.
func (x *exchange) ask() {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, b := range x.boxes {
		if len(b.notes) == 0 && x.own != nil {
			b.notes = [][]byte{x.own}
		}
		b.poke()
	}
}

// send serves one outbox.
func (x *exchange) send(ctx context.Context, peer string, b *outbox) {
	pause := againFirst
	for {
		select {
		case <-b.wake:
		case <-ctx.Done():
			return
		}
		x.mu.Lock()
		notes := b.notes
		b.notes = nil
		x.mu.Unlock()
		err := x.tell(ctx, peer, notes)
		if err == nil {
			pause = againFirst
			continue
		}
		x.n.cfg.Log.Debug("a peer does not take cosignatures", "peer", peer, "err", err)
		x.mu.Lock()
		b.notes = append(notes, b.notes...)
		b.notes = b.notes[max(0, len(b.notes)-maxNotes):]
		b.poke()
		x.mu.Unlock()
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
		pause = min(2*pause, againLast)
	}
}

// tell sends notes to a peer and takes what it answers.
func (x *exchange) tell(ctx context.Context, peer string, notes [][]byte) error {
	raw, err := x.post(ctx, peer, pathCosign, ledger.Encode(cosignatures{Version: 1, Notes: append([][]byte{}, notes...)}), maxMessage)
	if err != nil {
		return err
	}
	return x.take(ctx, peer, raw)
}

// take feeds the machine a peer's cosignatures. A peer speaks for itself only.
func (x *exchange) take(ctx context.Context, peer string, raw []byte) error {
	var msg cosignatures
	if err := ledger.Decode(raw, &msg); err != nil || msg.Version != 1 || len(msg.Notes) > maxNotes {
		return errors.Join(fmt.Errorf("a message of %s is not one of this version", peer), err)
	}
	var in []commit.Input
	for _, note := range msg.Notes {
		cp, sigs, err := tlog.ParseNote(note)
		if err != nil || len(sigs) != 1 || sigs[0].Name != x.n.members().CosignerName(peer) {
			return errors.Join(fmt.Errorf("%s sent what is not a cosignature of its own", peer), err)
		}
		in = append(in, commit.Cosigned{Checkpoint: cp, Signature: sigs[0]})
	}
	if len(in) == 0 {
		return nil
	}
	return x.n.run(ctx, func() error {
		if !x.n.cleared {
			return ledger.ErrBusy // the peer sends it again
		}
		for _, i := range in {
			if err := x.n.step(i); err != nil {
				return err
			}
		}
		return nil
	})
}

// forward is Raft's Forward: its errors say what Submit's do. What only says that the leader cannot is ErrBusy.
func (x *exchange) forward(ctx context.Context, leader string, tx []byte) error {
	_, err := x.post(ctx, leader, pathSubmit, tx, 1<<10)
	if code, ok := reason.CodeOf(err); ok && (code == reason.Busy || code == reason.Stopping || code == reason.Diverged || code == reason.RateLimited) || err != nil && !ok {
		return fmt.Errorf("the leader %s did not take it (%v): %w", leader, err, order.ErrBusy)
	}
	return err
}

func (x *exchange) post(ctx context.Context, peer, path string, body []byte, limit int64) ([]byte, error) {
	return x.do(ctx, http.MethodPost, peer, path, body, limit)
}

func (x *exchange) do(ctx context.Context, method, peer, path string, body []byte, limit int64) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://"+peer+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", octetStream)
	resp, err := x.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	x.clocks.note(peer, resp.Header.Get("Date"))
	if resp.StatusCode != http.StatusOK {
		return nil, problem.Read(resp)
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("%s answers more than %d bytes", peer, limit)
	}
	return data, err
}
