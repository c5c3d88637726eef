package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math"
	mathrand "math/rand/v2"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/quorate-pki/quorate/ca/profile"
	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
)

// A certificate's life is one object: nothing, published, revoked. Publishing and revoking it are linearizable, whichever
// members they are sent to. Asking for it is a read of one member, which may be behind the others, but not behind what it said
// before or what it acknowledged itself, and never ahead of them all.
type life int

const (
	nothing life = iota
	published
	revoked
)

// act is what somebody asks of a member, and answered what it says.
type (
	act struct {
		what   string // publish, revoke, ask; told: a write of before was acknowledged
		member int
	}
	answered struct {
		life    life   // of an ask; of a write, what it was before
		leaf    uint64 // of the publication, where the answer tells
		unknown bool   // nobody was told: it may have an effect, now or later, or none
	}
)

// lived is the state of the model: how far the certificate is, and the least that each member may still say.
type lived struct {
	now  life
	leaf uint64
	said [4]life
}

// after is what a write makes of it.
func (s lived) after(what string) lived {
	switch {
	case what == "publish" && s.now == nothing:
		s.now = published
	case what == "revoke" && s.now == published:
		s.now = revoked
	}
	return s
}

// lifeModel is the sequential specification.
var lifeModel = porcupine.NondeterministicModel{
	Init: func() []any { return []any{lived{}} },
	Step: func(state, input, output any) []any {
		s, in, out := state.(lived), input.(act), output.(answered)
		if out.unknown {
			return []any{s, s.after(in.what)}
		}
		next := s
		switch said := &next.said[in.member]; in.what {
		case "told":
			if out.life > s.now {
				return nil
			}
			*said = max(*said, out.life)
		case "ask":
			if out.life < *said || out.life > s.now {
				return nil
			}
			*said = out.life
		case "publish":
			if (out.life == nothing) != (s.now == nothing) {
				return nil
			}
			next = s.after(in.what)
		case "revoke":
			if out.life != s.now {
				return nil
			}
			next = s.after(in.what)
		}
		if out.leaf != 0 && next.leaf != 0 && out.leaf != next.leaf {
			return nil
		}
		next.leaf = max(next.leaf, out.leaf)
		return []any{next}
	},
	DescribeOperation: func(input, output any) string { return fmt.Sprintf("%+v -> %+v", input, output) },
}

// history is what was asked about one certificate, and when.
type history struct {
	begin time.Time
	mu    sync.Mutex
	ops   []porcupine.Operation
}

// do records an operation. An error means that its outcome is unknown: a write may have an effect at any later time.
func (h *history) do(in act, f func() (answered, error)) {
	call := time.Since(h.begin)
	out, err := f()
	op := porcupine.Operation{Input: in, Call: int64(call), Output: out, Return: int64(time.Since(h.begin))}
	if err != nil {
		op.Output, op.Return = answered{unknown: true}, math.MaxInt64
	}
	if err != nil && in.what == "ask" {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ops = append(h.ops, op)
	if told, ok := acknowledges(in, out); ok && err == nil {
		h.ops = append(h.ops, porcupine.Operation{Input: act{"told", in.member}, Output: answered{life: told}, Call: op.Return + 1, Return: op.Return + 1})
	}
	for i := range h.ops {
		h.ops[i].ClientId = i
	}
}

// acknowledges is what a member that answered a write knows from then on. It takes effect before, at some moment between call and answer;
// until the answer the member may say less.
func acknowledges(in act, out answered) (life, bool) {
	switch {
	case in.what == "publish":
		return published, true
	case in.what == "revoke" && out.life != nothing:
		return revoked, true
	}
	return nothing, false
}

func (h *history) check(t testing.TB) {
	t.Helper()
	switch porcupine.CheckOperationsTimeout(lifeModel.ToModel(), h.ops, 10*time.Second) {
	case porcupine.Unknown:
		t.Errorf("no time to check a history of %d operations", len(h.ops))
	case porcupine.Illegal:
		text := ""
		for _, op := range h.ops {
			text += fmt.Sprintf("\n%12d %20d  %s", op.Call, op.Return, lifeModel.DescribeOperation(op.Input, op.Output))
		}
		t.Errorf("not linearizable:%s", text)
	}
}

// rivals publish, revoke and ask for one certificate after the other, all at once and at different members, until the load ends.
func (l *killLoad) rivals() {
	vendor := filepath.Join(l.c.dir, "orgs", "acme-cells")
	line, err := readSigners([]string{filepath.Join(vendor, "line.key")})
	if err != nil {
		l.c.t.Error(err)
		return
	}
	admins, err := readSigners([]string{filepath.Join(vendor, "admin-1.key"), filepath.Join(vendor, "admin-2.key")})
	if err != nil {
		l.c.t.Error(err)
		return
	}
	for n := 0; l.rest(); n++ {
		der, err := killDevice(fmt.Sprintf("ACME-9%08d", n))
		if err != nil {
			l.c.t.Error(err)
			return
		}
		cert, err := profile.Parse(der)
		if err != nil {
			l.c.t.Error(err)
			return
		}
		publish := ledger.EncodeBody(ledger.OpPublish, ledger.Publish{Profile: 1, Certificate: der})
		revoke := ledger.EncodeBody(ledger.OpStatus, ledger.StatusChange{Action: ledger.Revoke, Scope: ledger.ScopeKey,
			Target: ledger.Sum(cert.SPKI), Reason: ledger.KeyCompromise})
		h := &history{begin: time.Now()}
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() { l.rival(h, "publish", publish, der, line) })
			wg.Go(func() { l.rival(h, "revoke", revoke, der, admins) })
		}
		wg.Go(func() {
			for range 4 {
				l.inquire(h, mathrand.IntN(len(l.c.members)), der)
			}
		})
		wg.Wait()
		h.check(l.c.t)
		l.mu.Lock()
		l.histories, l.operations = l.histories+1, l.operations+len(h.ops)
		l.mu.Unlock()
	}
}

// rival sends a change to a member, and asks the same member what it made of it.
func (l *killLoad) rival(h *history, what string, body, der []byte, signers []ledger.Signer) {
	at := mathrand.IntN(len(l.c.members))
	l.c.wait(time.Duration(mathrand.IntN(30)) * time.Millisecond)
	h.do(act{what, at}, func() (answered, error) { return l.write(at, what, body, signers) })
	l.inquire(h, at, der)
}

// write has one member decide on a change, and returns what it was before.
func (l *killLoad) write(at int, what string, body []byte, signers []ledger.Signer) (out answered, err error) {
	ctx, cancel := context.WithTimeout(l.ctx, 5*time.Second)
	defer cancel()
	cl := l.client(at, false)
	channel, err := cl.Channel(ctx)
	if err != nil {
		return out, err
	}
	tx := ledger.Tx{Channel: channel, Expiry: ledger.MillisOf(time.Now().Add(time.Hour))}
	rand.Read(tx.Nonce[:])
	s, err := ledger.SignTx(tx, [][]byte{body}, ledger.ForLedger, signers...)
	if err != nil {
		return out, err
	}
	res, err := cl.Submit(ctx, s.Encode())
	for errors.Is(err, ledger.ErrBusy) && ctx.Err() == nil {
		l.c.wait(50 * time.Millisecond)
		res, err = cl.Submit(ctx, s.Encode())
	}
	if err != nil {
		return out, err
	}
	v := res.Verdicts[0]
	before := map[reason.Code]life{reason.Accepted: nothing, reason.AlreadyPublished: published}
	if what == "revoke" {
		before = map[reason.Code]life{reason.UnknownTarget: nothing, reason.Accepted: published, reason.AlreadyRevoked: revoked}
	}
	out.life = before[v.Code]
	if _, ok := before[v.Code]; !ok {
		l.c.t.Errorf("%s: %s", what, v.Code)
	}
	if what == "publish" {
		out.leaf = v.Leaf
	}
	return out, nil
}

// inquire asks a member for the certificate, and what became of it.
func (l *killLoad) inquire(h *history, at int, der []byte) {
	cl := l.client(at, false)
	var leaf uint64
	h.do(act{"ask", at}, func() (out answered, err error) {
		ctx, cancel := context.WithTimeout(l.ctx, time.Second)
		defer cancel()
		f, err := cl.Find(ctx, der)
		if errors.Is(err, ledger.ErrNotFound) {
			return answered{life: nothing}, nil
		}
		if err != nil {
			return out, err
		}
		leaf = f.Leaf
		st, err := cl.Standing(ctx, leaf)
		if err != nil {
			return out, err
		}
		out = answered{life: published, leaf: leaf}
		if st.Status == ledger.Revoked {
			out.life = revoked
		}
		return out, nil
	})
}

// TestLifeModel: the model refuses what must not happen. Operations follow one another; after the last, an unknown one is pending.
func TestLifeModel(t *testing.T) {
	publish := func(at int, before life, leaf uint64) porcupine.Operation {
		return porcupine.Operation{Input: act{"publish", at}, Output: answered{life: before, leaf: leaf}}
	}
	revoke := func(at int, before life) porcupine.Operation {
		return porcupine.Operation{Input: act{"revoke", at}, Output: answered{life: before}}
	}
	ask := func(at int, is life) porcupine.Operation {
		return porcupine.Operation{Input: act{"ask", at}, Output: answered{life: is}}
	}
	lost := func(what string) porcupine.Operation {
		return porcupine.Operation{Input: act{what, 0}, Output: answered{unknown: true}}
	}
	for _, c := range []struct {
		name string
		ops  []porcupine.Operation
		ok   bool
	}{
		{"a life", []porcupine.Operation{publish(0, nothing, 5), publish(1, published, 5), revoke(2, published), revoke(0, revoked), ask(0, revoked), publish(3, published, 5)}, true},
		{"a member may be behind", []porcupine.Operation{publish(0, nothing, 5), ask(1, nothing), ask(1, published)}, true},
		{"but not behind itself", []porcupine.Operation{publish(0, nothing, 5), ask(1, published), ask(1, nothing)}, false},
		{"nor behind what it acknowledged", []porcupine.Operation{publish(0, nothing, 5), ask(0, nothing)}, false},
		{"nor behind a revocation it acknowledged", []porcupine.Operation{publish(0, nothing, 5), revoke(1, published), ask(1, published)}, false},
		{"nor ahead of all", []porcupine.Operation{publish(0, nothing, 5), ask(0, revoked)}, false},
		{"published twice", []porcupine.Operation{publish(0, nothing, 5), publish(1, nothing, 7)}, false},
		{"published under two leaves", []porcupine.Operation{publish(0, nothing, 5), publish(1, published, 7)}, false},
		{"revoked twice", []porcupine.Operation{publish(0, nothing, 5), revoke(1, published), revoke(2, published)}, false},
		{"revoked before it is published", []porcupine.Operation{revoke(1, published), publish(0, nothing, 5)}, false},
		{"an acknowledged revocation forgotten", []porcupine.Operation{publish(0, nothing, 5), revoke(1, published), revoke(2, nothing)}, false},
		{"what nobody was told may be", []porcupine.Operation{lost("publish"), publish(1, published, 5), lost("revoke"), ask(1, revoked)}, true},
		{"or not", []porcupine.Operation{lost("publish"), publish(1, nothing, 5), lost("revoke"), revoke(1, published)}, true},
		{"but not both", []porcupine.Operation{publish(1, nothing, 5), lost("revoke"), ask(1, revoked), revoke(2, published)}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			var ops []porcupine.Operation
			for i, op := range c.ops {
				op.Call, op.Return = int64(4*i), int64(4*i+1)
				if op.Output.(answered).unknown {
					op.Return = math.MaxInt64
				}
				ops = append(ops, op)
				if told, ok := acknowledges(op.Input.(act), op.Output.(answered)); ok && op.Return < math.MaxInt64 {
					ops = append(ops, porcupine.Operation{Input: act{"told", op.Input.(act).member}, Output: answered{life: told}, Call: op.Return + 1, Return: op.Return + 1})
				}
			}
			if got := porcupine.CheckOperations(lifeModel.ToModel(), ops); got != c.ok {
				t.Errorf("linearizable: %v", got)
			}
		})
	}
}

// TestLifeUntilTold: a revocation that one member is still busy with is known to another already; until it has answered, the member
// may say that the certificate is good, and not afterwards.
func TestLifeUntilTold(t *testing.T) {
	for _, late := range []bool{false, true} {
		h := &history{}
		h.ops = []porcupine.Operation{
			{Input: act{"publish", 0}, Output: answered{life: nothing, leaf: 5}, Call: 0, Return: 1},
			{Input: act{"revoke", 0}, Output: answered{life: published}, Call: 2, Return: 20},
			{Input: act{"revoke", 3}, Output: answered{life: revoked}, Call: 3, Return: 4},
			{Input: act{"ask", 0}, Output: answered{life: published, leaf: 5}, Call: 6, Return: 8},
			{Input: act{"told", 0}, Output: answered{life: revoked}, Call: 21, Return: 21},
		}
		if late {
			h.ops[3].Call, h.ops[3].Return = 22, 24
		}
		if got := porcupine.CheckOperations(lifeModel.ToModel(), h.ops); got == late {
			t.Errorf("asked after the answer %v: linearizable %v", late, got)
		}
	}
}
