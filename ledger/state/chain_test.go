package state_test

import (
	"crypto"
	"crypto/rand"
	"testing"
	"time"

	"github.com/quorate-pki/quorate/ca"
	"github.com/quorate-pki/quorate/ca/profile"
	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/ledgertest"
	"github.com/quorate-pki/quorate/ledger/state"
	"github.com/quorate-pki/quorate/ledger/tlog"
	"github.com/quorate-pki/quorate/policies"
)

// chain is a channel that a test extends block by block. Every block is final at once.
type chain struct {
	t     testing.TB
	c     *ledgertest.Consortium
	store *ledgertest.MemStore
	head  *state.State
	now   time.Time
	nonce uint64
	all   [][]byte // every leaf
}

// start founds a chain; spoil changes the founding, and may be nil.
func start(t testing.TB, members int, q ledgertest.Quotas, spoil func(*ledger.Founding)) *chain {
	t.Helper()
	c := ledgertest.Unfounded(7)
	f, gov := c.Founding(members, q)
	f.Rules = ledger.NewestRules
	if spoil != nil {
		spoil(f)
	}
	if err := c.Use(f, gov); err != nil {
		t.Fatal(err)
	}
	x := &chain{t: t, c: c, store: &ledgertest.MemStore{}, now: ledgertest.Start}
	b, err := ledger.ParseBlock(c.Genesis)
	if err != nil {
		t.Fatal(err)
	}
	x.head = state.Empty(x.store)
	x.apply(b)
	return x
}

// facts run members' rules, too.
var facts = state.Direct{Rules: policies.NewEngine()}

var plenty = ledgertest.Quotas{Day: 1_000_000, Total: 100_000_000}

// apply executes a block and makes it final.
func (x *chain) apply(b *ledger.Block) *state.Executed {
	x.t.Helper()
	e, err := state.Execute(x.head, b, facts)
	if err != nil {
		x.t.Fatal(err)
	}
	x.store.Put(e.State.Writes())
	e.State.Detach()
	x.head, x.all = e.State, append(x.all, e.Leaves...)
	return e
}

// next makes the next block a second later.
func (x *chain) next(txs ...[]byte) *ledger.Block {
	x.t.Helper()
	x.now = x.now.Add(time.Second)
	b, _, err := x.c.Block(x.head.Channel(), x.now, 1, txs...)
	if err != nil {
		x.t.Fatal(err)
	}
	return b
}

func (x *chain) block(txs ...[]byte) *state.Executed {
	x.t.Helper()
	return x.apply(x.next(txs...))
}

// tx signs operations with a new nonce; it expires an hour later than the next block.
func (x *chain) tx(bodies [][]byte, signers ...string) []byte {
	x.nonce++
	return x.c.Tx(x.now, ledgertest.TxOptions{Nonce: x.nonce}, bodies, signers...)
}

// one submits one operation alone in a block and returns its verdict.
func (x *chain) one(body []byte, signers ...string) ledger.Verdict {
	x.t.Helper()
	e := x.block(x.tx([][]byte{body}, signers...))
	if len(e.Results) != 1 {
		x.t.Fatalf("no effect: %v", e.Refused[0].Why)
	}
	return e.Results[0].Verdicts[0]
}

// publish publishes by acme-cells/line and returns the leaf.
func (x *chain) publish(der []byte) uint64 {
	x.t.Helper()
	v := x.one(ledgertest.Publish(der), "acme-cells/line")
	if v.Code != reason.Accepted {
		x.t.Fatalf("publishing: %s", v.Code)
	}
	return v.Leaf
}

// reload loads the state from the store, as a node that starts does.
func (x *chain) reload() {
	x.t.Helper()
	x.head = load(x.t, x.store, x.all)
}

func load(t testing.TB, store state.Loader, leaves [][]byte) *state.State {
	t.Helper()
	var f tlog.Frontier
	for _, l := range leaves {
		f.Append(tlog.LeafHash(l))
	}
	s, err := state.Load(store, f)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// edit changes what is published over a key behind the rules' back, for what no operation of today leads to.
func (x *chain) edit(spki []byte, change func(*ledger.KeyRecord)) {
	x.t.Helper()
	id := ledger.Sum(spki)
	k, err := x.head.KeyRecord(id)
	if err != nil || k == nil {
		x.t.Fatal(k, err)
	}
	change(k)
	x.store.Put(map[string][]byte{string(state.Key(ledger.RecordKey, id[:])): k.Encode()})
	x.reload()
}

const dns = "acme-cells.example"

// change is a status change of device/<serial>.
func (x *chain) change(serial string, c ledger.StatusChange) []byte {
	spki := x.c.SPKI("device/" + serial)
	c.Target = ledger.Sum(spki)
	return ledgertest.Change(c)
}

func on(leaf uint64, a ledger.Action, why uint64) ledger.StatusChange {
	return ledger.StatusChange{Action: a, Scope: ledger.ScopeCertificate, Leaf: &leaf, Reason: why}
}

func onKey(a ledger.Action, why uint64) ledger.StatusChange {
	return ledger.StatusChange{Action: a, Scope: ledger.ScopeKey, Reason: why}
}

// issue is a certificate over any key, valid until notAfter (zero: for ever).
func issue(t testing.TB, key crypto.Signer, serial string, names []string, notAfter time.Time) []byte {
	t.Helper()
	p, _ := profile.ByID(1)
	der, err := ca.SelfIssue(ca.SelfIssueConfig{Profile: p, Key: key, Serial: serial, DNSNames: names,
		NotBefore: ledgertest.Start, NotAfter: notAfter, Rand: rand.Reader})
	if err != nil {
		t.Fatal(err)
	}
	return der
}
