package ledgertest

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/order"
)

// OrderApp is an App that executes nothing: it signs headers, remembers every block, and calls final whatever is Lag
// blocks old. It survives crashes by Clone.
type OrderApp struct {
	C   *Consortium
	Lag int

	Peer    *OrderApp // whom Fetch takes from; optional
	Fetched int       // how often it did
	// Hold, when set, is called by Assemble and by Deliver before they do anything.
	Hold func(ctx context.Context, call string) error

	mu        sync.Mutex
	changed   chan struct{} // closed and replaced at every delivery
	last      order.Ordered
	delivered map[uint64]order.Ordered // by height, over all starts
	order     []uint64                 // heights as this start delivered them
	txs       map[ledger.Hash]bool     // delivered
	taken     [][][]byte               // what Assemble was given
	signed    map[[2]uint64]ledger.Hash
	running   map[string]int // calls under way, by name
	wrong     error
}

// NewOrderApp is an App at genesis.
func NewOrderApp(c *Consortium) *OrderApp {
	g, err := ledger.ParseBlock(c.Genesis)
	if err != nil {
		panic(err)
	}
	return &OrderApp{C: c, running: map[string]int{}, changed: make(chan struct{}), last: order.Ordered{Ref: order.Ref{Hash: g.Hash}},
		delivered: map[uint64]order.Ordered{}, txs: map[ledger.Hash]bool{}, signed: map[[2]uint64]ledger.Hash{}}
}

// Clone is the app after a crash at this moment: final is what was, and what was delivered or signed is remembered to
// hold the engine to it.
func (a *OrderApp) Clone() *OrderApp {
	a.mu.Lock()
	defer a.mu.Unlock()
	return &OrderApp{C: a.C, Lag: a.Lag, running: map[string]int{}, changed: make(chan struct{}), last: a.last, delivered: maps.Clone(a.delivered),
		txs: maps.Clone(a.txs), signed: maps.Clone(a.signed), wrong: a.wrong}
}

func (a *OrderApp) enter(ctx context.Context, call string) (leave func(), err error) {
	a.mu.Lock()
	a.running[call]++
	if call != "validate" && a.running[call] > 1 {
		a.fault("two calls of %s at once", call)
	}
	a.mu.Unlock()
	if a.Hold != nil {
		err = a.Hold(ctx, call)
	}
	return func() {
		a.mu.Lock()
		a.running[call]--
		a.mu.Unlock()
	}, err
}

// fault keeps the first thing that an engine may not do; mu is held.
func (a *OrderApp) fault(format string, args ...any) {
	if a.wrong == nil {
		a.wrong = fmt.Errorf(format, args...)
	}
}

// Check says what the engine did wrong.
func (a *OrderApp) Check() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.wrong
}

// Running is the number of calls that run.
func (a *OrderApp) Running() (n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, k := range a.running {
		n += k
	}
	return n
}

// Last implements order.App.
func (a *OrderApp) Last() order.Ordered {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.last
}

// Fit implements order.App.
func (a *OrderApp) Fit(context.Context) error { return nil }

// Assemble implements order.App.
func (a *OrderApp) Assemble(ctx context.Context, prev order.Ref, view uint64, txs [][]byte) ([]byte, order.Ref, error) {
	leave, err := a.enter(ctx, "assemble")
	defer leave()
	if err != nil {
		return nil, order.Ref{}, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.taken = append(a.taken, txs)
	var in []*ledger.Parsed
	for _, raw := range txs {
		p, err := ledger.ParseSubmission(raw, ledger.ForLedger)
		if err != nil {
			return nil, order.Ref{}, err
		}
		if !a.txs[p.ID] {
			in = append(in, p)
		}
	}
	if len(in) == 0 {
		return nil, order.Ref{}, order.ErrNothing
	}
	h := &ledger.Header{Version: 1, Channel: a.C.Channel, Height: prev.Height + 1, View: view, Previous: prev.Hash,
		Payload: ledger.PayloadHash(in), Time: ledger.MillisOf(Start) + ledger.Millis(prev.Height) + 1}
	s := ledger.SignHeader(h, a.C.Key("ca-a/block"))
	// A header is signed once for a height and view: anything else is equivocation.
	if old, ok := a.signed[[2]uint64{h.Height, view}]; ok && old != s.Hash() {
		a.fault("two headers for height %d of view %d", h.Height, view)
	}
	a.signed[[2]uint64{h.Height, view}] = s.Hash()
	return ledger.EncodeBlock(s, in), order.Ref{Height: h.Height, Hash: s.Hash(), View: view}, nil
}

// Validate implements order.App.
func (a *OrderApp) Validate(ctx context.Context, view uint64, block []byte) error {
	leave, err := a.enter(ctx, "validate")
	defer leave()
	if err != nil {
		return err
	}
	b, err := ledger.ParseBlock(block)
	if err == nil && b.Header.View != view {
		err = fmt.Errorf("view %d in view %d", b.Header.View, view)
	}
	return err
}

// Deliver implements order.App.
func (a *OrderApp) Deliver(ctx context.Context, o order.Ordered) (order.Members, error) {
	leave, err := a.enter(ctx, "deliver")
	defer leave()
	if err != nil {
		return order.Members{}, err
	}
	b, err := ledger.ParseBlock(o.Block)
	if err != nil {
		return order.Members{}, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	next := a.last.Height + 1
	prev := a.last.Hash
	if n := len(a.order); n > 0 {
		next, prev = a.order[n-1]+1, a.delivered[a.order[n-1]].Hash
	}
	old, again := a.delivered[o.Height]
	switch {
	case o.Height != next || b.Header.Height != o.Height:
		a.fault("height %d delivered where %d is next", o.Height, next)
	case o.Hash != b.Hash || o.View != b.Header.View || b.Header.Previous != prev:
		a.fault("height %d is not what it is said to be, or does not follow", o.Height)
	case again && !bytes.Equal(old.Block, o.Block):
		a.fault("height %d, delivered before, comes with other bytes", o.Height)
	}
	a.delivered[o.Height] = o
	a.order = append(a.order, o.Height)
	for _, tx := range b.Txs {
		a.txs[tx.ID] = true
	}
	if o.Height > uint64(a.Lag) && o.Height-uint64(a.Lag) > a.last.Height {
		a.last = a.delivered[o.Height-uint64(a.Lag)]
	}
	close(a.changed)
	a.changed = make(chan struct{})
	return order.Members{Set: a.C.Set}, nil
}

// Fetch implements order.App: it takes over what Peer has final.
func (a *OrderApp) Fetch(ctx context.Context, atLeast uint64) (order.Ordered, error) {
	leave, err := a.enter(ctx, "fetch")
	defer leave()
	if err != nil {
		return order.Ordered{}, err
	}
	if a.Peer == nil {
		<-ctx.Done() // nobody to fetch from
		return order.Ordered{}, ctx.Err()
	}
	var last order.Ordered
	var delivered map[uint64]order.Ordered
	for {
		a.Peer.mu.Lock()
		changed := a.Peer.changed
		last, delivered = a.Peer.last, maps.Clone(a.Peer.delivered)
		a.Peer.mu.Unlock()
		if last.Height >= atLeast {
			break
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return order.Ordered{}, ctx.Err()
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.Fetched++
	a.last, a.order = last, nil
	for h, o := range delivered {
		if h > last.Height {
			continue
		}
		a.delivered[h] = o
		b, err := ledger.ParseBlock(o.Block)
		if err != nil {
			return order.Ordered{}, err
		}
		for _, tx := range b.Txs {
			a.txs[tx.ID] = true
		}
	}
	close(a.changed)
	a.changed = make(chan struct{})
	return last, nil
}

// Delivered are the blocks that were ever delivered, by height, or fetched.
func (a *OrderApp) Delivered() map[uint64][]byte {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := map[uint64][]byte{}
	for h, o := range a.delivered {
		out[h] = o.Block
	}
	return out
}

// Wait waits until something holds of the app.
func (a *OrderApp) Wait(ctx context.Context, holds func(*OrderApp) bool) error {
	for {
		a.mu.Lock()
		ok, changed, wrong := holds(a), a.changed, a.wrong
		a.mu.Unlock()
		if wrong != nil || ok {
			return wrong
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Seen reports whether transactions were delivered, for Wait.
func Seen(ids ...ledger.Hash) func(*OrderApp) bool {
	return func(a *OrderApp) bool {
		return !slices.ContainsFunc(ids, func(id ledger.Hash) bool { return !a.txs[id] })
	}
}

// OrderTx is a small transaction, as the suite submits.
func (c *Consortium) OrderTx(nonce uint64) (raw []byte, id ledger.Hash) {
	return c.orderTx(nonce, false)
}

// orderTx is a small transaction; an urgent one is all-or-nothing.
func (c *Consortium) orderTx(nonce uint64, urgent bool) (raw []byte, id ledger.Hash) {
	o := TxOptions{Nonce: nonce}
	if urgent {
		o.Mode = ledger.AllOrNothing
	}
	raw = c.Tx(Start, o, [][]byte{Change(ledger.StatusChange{Action: ledger.Revoke, Scope: ledger.ScopeKey})}, "acme-cells/admin-1")
	p, err := ledger.ParseSubmission(raw, ledger.ForLedger)
	if err != nil {
		panic(err)
	}
	return raw, p.ID
}
