package state_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/ledgertest"
	"github.com/quorate-pki/quorate/ledger/state"
	"github.com/quorate-pki/quorate/ledger/tlog"
)

// TestTransactionRefusals: whatever is not authenticated, unexpired and new leaves nothing but its place in the epoch.
func TestTransactionRefusals(t *testing.T) {
	other := ledger.Hash{1}
	day := 24 * time.Hour
	publish := func(x *chain) [][]byte { return [][]byte{ledgertest.Publish(x.c.Device("ACME-1", dns, 0))} }
	opt := func(o ledgertest.TxOptions, signers ...string) func(*chain, time.Time) []byte {
		return func(x *chain, _ time.Time) []byte {
			o.Nonce = 9
			return x.c.Tx(x.now, o, publish(x), signers...)
		}
	}
	expiry := func(d time.Duration) func(*chain, time.Time) []byte {
		return func(x *chain, block time.Time) []byte {
			return x.c.Tx(x.now, ledgertest.TxOptions{Nonce: 9, Expiry: block.Add(d)}, publish(x), "acme-cells/line")
		}
	}
	carrying := func(spki, signer string) func(*chain, time.Time) []byte {
		return func(x *chain, _ time.Time) []byte {
			c := onKey(ledger.Revoke, 1)
			if spki != "" {
				c.SPKI = x.c.SPKI(spki)
			}
			return x.tx([][]byte{x.change("ACME-7", c)}, signer)
		}
	}
	for _, tc := range []struct {
		name string
		tx   func(x *chain, block time.Time) []byte
		want reason.Code
	}{
		{"good", opt(ledgertest.TxOptions{}, "acme-cells/line"), reason.Accepted},
		{"another channel", opt(ledgertest.TxOptions{Channel: &other}, "acme-cells/line"), reason.WrongChannel},
		{"the channel of genesis", opt(ledgertest.TxOptions{Channel: new(ledger.Hash)}, "acme-cells/line"), reason.WrongChannel},
		{"expires a millisecond before the block", expiry(-time.Millisecond), reason.Expired},
		{"expires with the block", expiry(0), reason.Expired},
		{"expires a millisecond after the block", expiry(time.Millisecond), reason.Accepted},
		{"expires a day after the block", expiry(day), reason.Accepted},
		{"expires a day and a millisecond after the block", expiry(day + time.Millisecond), reason.ExpiryTooFar},
		{"replay of a block before", func(x *chain, _ time.Time) []byte {
			raw := x.tx(publish(x), "acme-cells/line")
			x.block(raw)
			return raw
		}, reason.Replayed},
		{"replay of a transaction whose operations were all refused", func(x *chain, _ time.Time) []byte {
			raw := x.tx(publish(x), "other-cells/line")
			x.block(raw)
			return raw
		}, reason.Replayed},
		{"changed signature", func(x *chain, _ time.Time) []byte { return flipSignature(x.t, x.tx(publish(x), "acme-cells/line")) }, reason.BadSignature},
		{"one bad signature of two", func(x *chain, _ time.Time) []byte {
			return flipSignature(x.t, x.tx(publish(x), "acme-cells/line", "acme-cells/admin-1"))
		}, reason.BadSignature},
		{"dry run", opt(ledgertest.TxOptions{Purpose: ledger.ForDryRun}, "acme-cells/line"), reason.BadSignature},
		{"unknown key", opt(ledgertest.TxOptions{}, "nobody"), reason.NotAuthenticated},
		{"unknown key beside a known one", opt(ledgertest.TxOptions{}, "acme-cells/line", "nobody"), reason.NotAuthenticated},
		{"member's block key", opt(ledgertest.TxOptions{}, "ca-a/block"), reason.NotAuthenticated},
		{"device key, published, its SPKI not carried", carrying("", "device/ACME-7"), reason.NotAuthenticated},
		{"device key, published, another SPKI carried", carrying("device/ACME-8", "device/ACME-7"), reason.NotAuthenticated},
		{"device key, SPKI carried, never published", carrying("device/ACME-8", "device/ACME-8"), reason.NotAuthenticated},
		{"device key, published, SPKI carried", carrying("device/ACME-7", "device/ACME-7"), reason.Accepted},
	} {
		t.Run(tc.name, func(t *testing.T) {
			x := start(t, 1, plenty, nil)
			x.publish(x.c.Device("ACME-7", dns, 0))
			raw := tc.tx(x, x.now.Add(time.Second))
			base := x.head.Size()
			b := x.next(raw)
			e := x.apply(b)
			if tc.want == reason.Accepted {
				if len(e.Results) != 1 || e.Results[0].Verdicts[0].Code != reason.Accepted {
					t.Fatalf("%+v, refused %v", e.Results, e.Refused)
				}
				return
			}
			if len(e.Refused) != 1 || e.Refused[0].Why.Code != tc.want || e.Refused[0].ID != b.Txs[0].ID {
				t.Fatalf("refused %v, want %s", e.Refused, tc.want)
			}
			if x.head.Size() != base+1 || len(e.Leaves) != 1 {
				t.Errorf("%d leaves", len(e.Leaves))
			}
			epoch, err := ledger.ParseEntry(e.Leaves[0])
			if err != nil || !slices.Equal(epoch.Epoch.Leafless, []ledger.Leafless{{Position: 0, Leaf: tlog.LeafHash(b.Txs[0].Raw)}}) {
				t.Errorf("%+v, %v", epoch, err)
			}
			if tc.want == reason.Replayed {
				return
			}
			// Not even the replay set changed: the same bytes may become effective.
			if done, err := x.head.Applied(b.Txs[0].ID); done != nil || err != nil {
				t.Error("remembered", done, err)
			}
		})
	}
}

func flipSignature(t testing.TB, raw []byte) []byte {
	t.Helper()
	p, err := ledger.ParseSubmission(raw, ledger.ForLedger)
	if err != nil {
		t.Fatal(err)
	}
	sig := p.Signatures[len(p.Signatures)-1].Bytes
	changed := bytes.Clone(sig)
	changed[3] ^= 1
	return bytes.Replace(raw, sig, changed, 1)
}

// TestReplayInOneBlock: the second of two equal transactions leaves nothing.
func TestReplayInOneBlock(t *testing.T) {
	x := start(t, 1, plenty, nil)
	raw := x.tx([][]byte{ledgertest.Publish(x.c.Device("ACME-1", dns, 0))}, "acme-cells/line")
	e := x.block(raw, raw)
	if len(e.Results) != 1 || len(e.Refused) != 1 || e.Refused[0].Why.Code != reason.Replayed || len(e.Leaves) != 3 {
		t.Fatalf("%+v, %d leaves", e.Refused, len(e.Leaves))
	}
	// Another envelope of the same payload is the same transaction: ids are of what was signed.
	again := flipSignature(t, raw)
	if e := x.block(again); len(e.Refused) != 1 || e.Refused[0].Why.Code != reason.Replayed {
		t.Fatalf("%+v", e.Refused)
	}
}

// TestFormMakesTheBlockInvalid: what no honest proposer passes on spoils the whole block, before anything is judged.
func TestFormMakesTheBlockInvalid(t *testing.T) {
	x := start(t, 1, plenty, nil)
	good := x.tx([][]byte{ledgertest.Publish(x.c.Device("ACME-1", dns, 0))}, "acme-cells/line")
	p, err := ledger.ParseSubmission(good, ledger.ForLedger)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name   string
		bodies [][]byte
		want   reason.Code
	}{
		{"another body", [][]byte{ledgertest.Publish(x.c.Device("ACME-2", dns, 0))}, reason.BodyMismatch},
		{"a body more", [][]byte{p.Bodies[0], p.Bodies[0]}, reason.BodyMismatch},
		{"an empty body", [][]byte{{}}, reason.TooLarge},
		{"a large body", [][]byte{make([]byte, ledger.MaxBody+1)}, reason.TooLarge},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bad := &ledger.Parsed{Envelope: p.Envelope, Bodies: tc.bodies}
			c := x.head.Channel()
			h := &ledger.Header{Version: 1, Channel: c.Channel, Height: 1, View: 1, Previous: c.Header,
				Payload: ledger.PayloadHash([]*ledger.Parsed{bad}), Time: c.Time + 1}
			_, err := ledger.ParseBlock(ledger.EncodeBlock(ledger.SignHeader(h, x.c.Key("ca-a/block")), []*ledger.Parsed{bad}))
			if code, _ := reason.CodeOf(err); code != tc.want {
				t.Errorf("%v, want %s", err, tc.want)
			}
		})
	}
}

func TestBatch(t *testing.T) {
	device := func(x *chain, serial string, variant int) []byte {
		return ledgertest.Publish(x.c.Device(serial, dns, variant))
	}
	for _, tc := range []struct {
		name   string
		mode   ledger.Mode
		bodies func(*chain) [][]byte
		want   []reason.Code
	}{
		{"each alone, one bad of three", ledger.EachAlone, func(x *chain) [][]byte {
			return [][]byte{device(x, "ACME-1", 0), device(x, "OTHER-2", 0), device(x, "ACME-3", 0)}
		}, []reason.Code{reason.Accepted, reason.SerialNotOwned, reason.Accepted}},
		{"each sees the ones before", ledger.EachAlone, func(x *chain) [][]byte {
			return [][]byte{device(x, "ACME-1", 0), device(x, "ACME-1", 0), ledgertest.Publish(x.c.DeviceKey("ACME-1", dns, "device/ACME-5", 0))}
		}, []reason.Code{reason.Accepted, reason.AlreadyPublished, reason.DeviceHasAnotherKey}},
		{"all or nothing, all good", ledger.AllOrNothing, func(x *chain) [][]byte {
			return [][]byte{device(x, "ACME-1", 0), device(x, "ACME-1", 1), device(x, "ACME-0", 0)}
		}, []reason.Code{reason.Accepted, reason.Accepted, reason.AlreadyPublished}},
		{"all or nothing, the last bad", ledger.AllOrNothing, func(x *chain) [][]byte {
			return [][]byte{device(x, "ACME-1", 0), device(x, "ACME-0", 0), device(x, "OTHER-2", 0)}
		}, []reason.Code{reason.NotApplied, reason.NotApplied, reason.SerialNotOwned}},
		{"all or nothing, the first bad", ledger.AllOrNothing, func(x *chain) [][]byte {
			return [][]byte{device(x, "OTHER-2", 0), device(x, "ACME-1", 0)}
		}, []reason.Code{reason.SerialNotOwned, reason.NotApplied}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			x := start(t, 1, plenty, nil)
			x.publish(x.c.Device("ACME-0", dns, 0))
			x.nonce++
			bodies := tc.bodies(x)
			e := x.block(x.c.Tx(x.now, ledgertest.TxOptions{Mode: tc.mode, Nonce: x.nonce}, bodies, "acme-cells/line"))
			base := e.Results[0].Leaf
			leaf := base
			for i, v := range e.Results[0].Verdicts {
				if v.Code != tc.want[i] {
					t.Errorf("operation %d: %s, want %s", i, v.Code, tc.want[i])
				}
				if v.Code == reason.Accepted {
					if leaf++; v.Leaf != leaf {
						t.Errorf("operation %d at leaf %d, want %d", i, v.Leaf, leaf)
					}
				}
			}
			if len(e.Leaves) != int(leaf-base)+2 {
				t.Errorf("%d leaves", len(e.Leaves))
			}
			// What was undone may be published later.
			if tc.want[0] == reason.NotApplied {
				expect(t, x.one(bodies[0], "acme-cells/line"), reason.Accepted)
			}
		})
	}
}

// TestLeafless: a block may waste 256 places, not 257.
func TestLeafless(t *testing.T) {
	x := start(t, 1, plenty, nil)
	raw := x.tx([][]byte{ledgertest.Publish(x.c.Device("ACME-1", dns, 0))}, "acme-cells/line")
	x.block(raw)
	txs := slices.Repeat([][]byte{raw}, ledger.MaxLeafless+1)
	if _, err := state.Execute(x.head, x.next(txs...), state.Direct{}); !errors.Is(err, state.ErrInvalidBlock) {
		t.Errorf("257 without a leaf: %v", err)
	}
	if e := x.block(txs[:ledger.MaxLeafless]...); len(e.Refused) != ledger.MaxLeafless {
		t.Errorf("%d refused", len(e.Refused))
	}
}

// TestSelfRevocationInTheBlockOfItsPublication: a later transaction of a block sees the earlier.
func TestSelfRevocationInTheBlockOfItsPublication(t *testing.T) {
	x := start(t, 1, plenty, nil)
	c := onKey(ledger.Revoke, ledger.KeyCompromise)
	c.SPKI = x.c.SPKI("device/ACME-1")
	e := x.block(x.tx([][]byte{ledgertest.Publish(x.c.Device("ACME-1", dns, 0))}, "acme-cells/line"),
		x.tx([][]byte{x.change("ACME-1", c)}, "device/ACME-1"))
	if len(e.Results) != 2 || e.Results[1].Verdicts[0].Code != reason.Accepted {
		t.Fatalf("%+v %+v", e.Results, e.Refused)
	}
}

func TestCheckHeader(t *testing.T) {
	x := start(t, 1, plenty, nil)
	raw := x.tx([][]byte{ledgertest.Publish(x.c.Device("ACME-1", dns, 0))}, "acme-cells/line")
	b, _, err := x.c.Block(x.head.Channel(), x.now, 5, raw)
	if err != nil {
		t.Fatal(err)
	}
	x.apply(b)
	c := x.head.Channel()
	good := ledger.Header{Version: 1, Channel: c.Channel, Height: 2, View: 5, Previous: c.Header, Time: c.Time + 1}
	for _, tc := range []struct {
		name   string
		change func(*ledger.Header)
		ok     bool
	}{
		{"follows", func(*ledger.Header) {}, true},
		{"higher view", func(h *ledger.Header) { h.View = 6 }, true},
		{"lower view", func(h *ledger.Header) { h.View = 4 }, false},
		{"view of genesis", func(h *ledger.Header) { h.View = 0 }, false},
		{"another channel", func(h *ledger.Header) { h.Channel[0] ^= 1 }, false},
		{"another log", func(h *ledger.Header) { h.Log = 1 }, false},
		{"same height", func(h *ledger.Header) { h.Height = 1 }, false},
		{"height skipped", func(h *ledger.Header) { h.Height = 3 }, false},
		{"another block before", func(h *ledger.Header) { h.Previous[0] ^= 1 }, false},
		{"same time", func(h *ledger.Header) { h.Time = c.Time }, false},
		{"earlier", func(h *ledger.Header) { h.Time = c.Time - 1 }, false},
		{"genesis again", func(h *ledger.Header) { *h = ledger.Header{Version: 1, Time: c.Time + 1} }, false},
	} {
		h := good
		tc.change(&h)
		if err := x.head.CheckHeader(&h); (err == nil) != tc.ok || (err != nil && !errors.Is(err, state.ErrInvalidBlock)) {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
	for name, h := range map[string]ledger.Header{
		"height": {Height: 1}, "view": {View: 1}, "log": {Log: 1}, "channel": {Channel: ledger.Hash{1}}, "previous": {Previous: ledger.Hash{1}},
	} {
		err := state.Empty(x.store).CheckHeader(&h)
		if code, _ := reason.CodeOf(err); code != reason.BadGenesis || !errors.Is(err, state.ErrInvalidBlock) {
			t.Errorf("genesis with a %s: %v", name, err)
		}
	}
}

// failing is a store whose reads of one kind fail.
type failing struct {
	*ledgertest.MemStore
	kind ledger.RecordKind
}

var errDisk = errors.New("the disk is gone")

func (f failing) Get(key []byte) ([]byte, error) {
	if key[0] == byte(f.kind) {
		return nil, errDisk
	}
	return f.MemStore.Get(key)
}

// TestStoreErrorsAreNoVerdicts: a store that fails stops judgement; it never turns into a refusal.
func TestStoreErrorsAreNoVerdicts(t *testing.T) {
	x := start(t, 1, plenty, nil)
	x.publish(x.c.Device("ACME-1", dns, 0))
	b := x.next(x.tx([][]byte{ledgertest.Publish(x.c.Device("ACME-1", dns, 1)), x.change("ACME-1", onKey(ledger.Suspend, 6))}, "acme-cells/line"))
	good, err := state.Execute(x.head, b, state.Direct{})
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []ledger.RecordKind{ledger.RecordKey, ledger.RecordTx, ledger.RecordUsage, ledger.RecordChunk} {
		t.Run(fmt.Sprintf("%c", kind), func(t *testing.T) {
			s := load(t, failing{x.store, kind}, x.all)
			if _, err := state.Execute(s, b, state.Direct{}); !errors.Is(err, errDisk) || errors.Is(err, state.ErrInvalidBlock) {
				t.Errorf("execute: %v", err)
			}
			if _, err := state.Fold(s, good.Leaves); !errors.Is(err, errDisk) || errors.Is(err, state.ErrBadLeaves) {
				t.Errorf("fold: %v", err)
			}
		})
	}
}
