package ledger_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"
	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/tlog"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	must(t, err)
	return b
}

func TestStrictDecoding(t *testing.T) {
	for _, tt := range []struct{ name, in string }{
		{"empty", ""},
		{"truncated", "a3 0101 0241aa 0341"},
		{"trailing byte", "a3 0101 0241aa 0341bb 00"},
		{"two items", "a3 0101 0241aa 0341bb a3 0101 0241aa 0341bb"},
		{"missing key", "a2 0101 0241aa"},
		{"unknown key", "a4 0101 0241aa 0341bb 0600"},
		{"unknown negative key", "a4 0101 0241aa 0341bb 2000"},
		{"text key", "a4 0101 0241aa 0341bb 613100"},
		{"bytes key", "a4 0101 0241aa 0341bb 413100"},
		{"wrong order", "a3 0241aa 0101 0341bb"},
		{"duplicate key", "a4 0101 0101 0241aa 0341bb"},
		{"long version", "a3 011801 0241aa 0341bb"},
		{"long version of 8 bytes", "a3 011b0000000000000001 0241aa 0341bb"},
		{"long key", "a3 180101 0241aa 0341bb"},
		{"long byte string header", "a3 0101 025801aa 0341bb"},
		{"long map header", "b803 0101 0241aa 0341bb"},
		{"indefinite map", "bf 0101 0241aa 0341bb ff"},
		{"indefinite bytes", "a3 0101 025f41aaff 0341bb"},
		{"tag", "c1 a3 0101 0241aa 0341bb"},
		{"tag of self-described CBOR", "d9d9f7 a3 0101 0241aa 0341bb"},
		{"tag inside", "a3 0101 02c241aa 0341bb"},
		{"bignum version", "a3 01c24101 0241aa 0341bb"},
		{"half float version", "a3 01f93c00 0241aa 0341bb"},
		{"double version", "a3 01fb3ff0000000000000 0241aa 0341bb"},
		{"true version", "a3 01f5 0241aa 0341bb"},
		{"null version", "a3 01f6 0241aa 0341bb"},
		{"negative version", "a3 0120 0241aa 0341bb"},
		{"another version", "a3 0102 0241aa 0341bb"},
		{"null bytes", "a3 0101 02f6 0341bb"},
		{"undefined bytes", "a3 0101 02f7 0341bb"},
		{"text for bytes", "a3 0101 026161 0341bb"},
		{"array for bytes", "a3 0101 028118aa 0341bb"},
		{"reserved simple value", "a3 0101 02f820 0341bb"},
		{"null", "f6"},
		{"array", "83 01 41aa 41bb"},
		{"empty optional array", "a4 0101 0241aa 0341bb 0480"},
		{"null optional array", "a4 0101 0241aa 0341bb 04f6"},
		{"null in an array", "a4 0101 0241aa 0341bb 0481f6"},
		{"empty salt", "a4 0101 0241aa 0341bb 0540"},
		{"reserved salt", "a4 0101 0241aa 0341bb 0550000102030405060708090a0b0c0d0e0f"},
	} {
		if _, err := ledger.ParseReceiptExtra(unhex(t, tt.in)); err == nil {
			t.Errorf("%s: accepted", tt.name)
		}
	}
	for _, good := range []string{"a3 0101 0241aa 0341bb", "a3 0101 0240 0340", "a4 0101 0240 0340 048141aa"} {
		if _, err := ledger.ParseReceiptExtra(unhex(t, good)); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
}

func TestDecodeSaysNotCanonical(t *testing.T) {
	var x ledger.ReceiptExtra
	if err := ledger.Decode(unhex(t, "a3 011801 0241aa 0341bb"), &x); !errors.Is(err, ledger.ErrNotCanonical) {
		t.Errorf("got %v", err)
	}
}

func TestNilIsEmpty(t *testing.T) {
	got := ledger.Encode(ledger.Organisation{})
	if bytes.Contains(got, []byte{0xf6}) {
		t.Errorf("null in %x", got)
	}
	if raw := ledger.Encode(ledger.ReceiptExtra{Version: 1}); !bytes.Equal(raw, unhex(t, "a3 0101 0240 0340")) {
		t.Errorf("got %x", raw)
	}
}

// with changes some keys of a map and encodes it; a nil value removes the key.
func with(base map[uint64]any, changes map[uint64]any) []byte {
	m := maps.Clone(base)
	for k, v := range changes {
		if m[k] = v; v == nil {
			delete(m, k)
		}
	}
	return ledger.Encode(m)
}

type change struct {
	name string
	keys map[uint64]any
}

func TestFixedSizes(t *testing.T) {
	h, n := make([]byte, 32), make([]byte, 16)
	base := map[uint64]any{1: 1, 2: h, 3: 5, 4: 0, 5: [][]byte{h}, 6: n, 7: [][]byte{h}}
	if err := ledger.Decode(with(base, nil), new(ledger.Tx)); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []change{
		{"short channel", map[uint64]any{2: h[:31]}}, {"long channel", map[uint64]any{2: append(h, 0)}}, {"empty channel", map[uint64]any{2: []byte{}}},
		{"text channel", map[uint64]any{2: string(h)}}, {"array channel", map[uint64]any{2: make([]int, 32)}},
		{"short nonce", map[uint64]any{6: n[:15]}}, {"long nonce", map[uint64]any{6: append(n, 0)}},
		{"short signer", map[uint64]any{5: [][]byte{h[:31]}}}, {"long digest", map[uint64]any{7: [][]byte{append(h, 0)}}},
		{"null signers", map[uint64]any{5: cbor.RawMessage{0xf6}}}, {"null digest", map[uint64]any{7: cbor.RawMessage{0x81, 0xf6}}},
		{"mode of 9 bits", map[uint64]any{4: 256}}, {"negative expiry", map[uint64]any{3: -1}}, {"float expiry", map[uint64]any{3: 1.5}},
		{"no nonce", map[uint64]any{6: nil}}, {"key 8", map[uint64]any{8: 0}},
		{"too many digests", map[uint64]any{7: make([][32]byte, ledger.MaxOperations+2)}},
	} {
		if err := ledger.Decode(with(base, tt.keys), new(ledger.Tx)); err == nil {
			t.Errorf("%s: accepted", tt.name)
		}
	}
}

// wantCode fails unless the error is a refusal with this code.
func wantCode(t *testing.T, name string, err error, want reason.Code) {
	t.Helper()
	if got, ok := reason.CodeOf(err); !ok || got != want {
		t.Errorf("%s: got %v, want %s", name, err, want)
	}
}

func TestEnvelopeForm(t *testing.T) {
	a, b := bytes.Repeat([]byte{0xa1}, 32), bytes.Repeat([]byte{0xb2}, 32)
	tx := map[uint64]any{1: 1, 2: make([]byte, 32), 3: 5, 4: 0, 5: [][]byte{a, b}, 6: make([]byte, 16), 7: [][]byte{a}}
	protected := func(alg int, kid []byte) []byte { return ledger.Encode(map[int]any{1: alg, 4: kid}) }
	sig := func(p []byte) []any { return []any{p, map[int]any{}, make([]byte, 64)} }
	sigs := []any{sig(protected(-8, a)), sig(protected(-7, b))}
	one := func(s ...any) []any { return s }
	tag := []byte{0xd8, 0x62}
	build := func(parts ...any) []byte { return append(bytes.Clone(tag), ledger.Encode(parts)...) }
	payload := with(tx, nil)
	good := build([]byte{}, map[int]any{}, payload, sigs)
	if _, err := ledger.ParseEnvelope(good, ledger.ForLedger); err != nil {
		t.Fatal(err)
	}
	empty := map[int]any{}
	change := func(c map[uint64]any) []byte { return build([]byte{}, empty, with(tx, c), sigs) }
	for _, tt := range []struct {
		name string
		raw  []byte
	}{
		{"no tag", good[2:]}, {"COSE_Sign1", append([]byte{0xd2}, good[2:]...)}, {"long tag", append([]byte{0xd9, 0, 0x62}, good[2:]...)},
		{"two tags", append(bytes.Clone(tag), good...)}, {"nothing", nil}, {"trailing byte", append(bytes.Clone(good), 0)},
		{"body header", build([]byte{0xa0}, empty, payload, sigs)}, {"null body header", build(nil, empty, payload, sigs)},
		{"unprotected", build([]byte{}, map[int]any{4: a}, payload, sigs)}, {"null unprotected", build([]byte{}, nil, payload, sigs)},
		{"detached payload", build([]byte{}, empty, nil, sigs)}, {"three parts", build([]byte{}, empty, payload)},
		{"five parts", build([]byte{}, empty, payload, sigs, 0)},
		{"no signatures", build([]byte{}, empty, payload, []any{})}, {"one signature", build([]byte{}, empty, payload, sigs[:1])},
		{"signatures exchanged", build([]byte{}, empty, payload, one(sigs[1], sigs[0]))}, {"a signature twice", build([]byte{}, empty, payload, one(sigs[0], sigs[0]))},
		{"unknown algorithm", build([]byte{}, empty, payload, one(sig(protected(-257, a)), sigs[1]))},
		{"no algorithm", build([]byte{}, empty, payload, one(sig(ledger.Encode(map[int]any{4: a})), sigs[1]))},
		{"another protected header", build([]byte{}, empty, payload, one(sig(ledger.Encode(map[int]any{1: -8, 4: a, 5: 0})), sigs[1]))},
		{"empty protected header", build([]byte{}, empty, payload, one(sig([]byte{}), sigs[1]))},
		{"short signature", build([]byte{}, empty, payload, one([]any{protected(-8, a), empty, make([]byte, 63)}, sigs[1]))},
		{"long signature", build([]byte{}, empty, payload, one([]any{protected(-8, a), empty, make([]byte, 1025)}, sigs[1]))},
		{"unprotected in a signature", build([]byte{}, empty, payload, one([]any{protected(-8, a), map[int]any{1: -8}, make([]byte, 64)}, sigs[1]))},
		{"version", change(map[uint64]any{1: 2})}, {"mode", change(map[uint64]any{4: 2})}, {"no operations", change(map[uint64]any{7: []any{}})},
		{"too many operations", change(map[uint64]any{7: make([][32]byte, ledger.MaxOperations+1)})},
		{"unsorted", build([]byte{}, empty, with(tx, map[uint64]any{5: [][]byte{b, a}}), one(sigs[1], sigs[0]))},
		{"equal", build([]byte{}, empty, with(tx, map[uint64]any{5: [][]byte{a, a}}), one(sigs[0], sigs[0]))},
		{"no signers", build([]byte{}, empty, with(tx, map[uint64]any{5: []any{}}), []any{})},
		{"payload not canonical", build([]byte{}, empty, append([]byte{0xb8, 7}, payload[1:]...), sigs)},
	} {
		_, err := ledger.ParseEnvelope(tt.raw, ledger.ForLedger)
		wantCode(t, tt.name, err, reason.Malformed)
	}
	_, err := ledger.ParseEnvelope(make([]byte, ledger.MaxEnvelope+1), ledger.ForLedger)
	wantCode(t, "too large", err, reason.TooLarge)
	var ids [][]byte
	var many []any
	for i := range ledger.MaxSigners + 1 {
		ids = append(ids, bytes.Repeat([]byte{byte(i)}, 32))
		many = append(many, sig(protected(-8, ids[i])))
	}
	_, err = ledger.ParseEnvelope(build([]byte{}, empty, with(tx, map[uint64]any{5: ids}), many), ledger.ForLedger)
	wantCode(t, "17 signers", err, reason.Malformed)
	if _, err := ledger.ParseEnvelope(build([]byte{}, empty, with(tx, map[uint64]any{5: ids[:16]}), many[:16]), ledger.ForLedger); err != nil {
		t.Errorf("16 signers: %v", err)
	}
}

func TestSubmissionForm(t *testing.T) {
	e := theExample(t)
	env, body := e.sub.Envelope, e.sub.Bodies[0]
	other := bytes.Clone(body)
	other[0] ^= 1
	for _, tt := range []struct {
		name  string
		parts []any
		want  reason.Code
	}{
		{"version", []any{2, env, [][]byte{body}}, reason.Malformed},
		{"no bodies", []any{1, env, [][]byte{}}, reason.BodyMismatch},
		{"null bodies", []any{1, env, nil}, reason.Malformed},
		{"two bodies", []any{1, env, [][]byte{body, body}}, reason.BodyMismatch},
		{"another body", []any{1, env, [][]byte{other}}, reason.BodyMismatch},
		{"empty body", []any{1, env, [][]byte{{}}}, reason.TooLarge},
		{"long body", []any{1, env, [][]byte{make([]byte, ledger.MaxBody+1)}}, reason.TooLarge},
		{"no envelope", []any{1, []byte{}, [][]byte{body}}, reason.Malformed},
		{"four parts", []any{1, env, [][]byte{body}, 0}, reason.Malformed},
	} {
		_, err := ledger.ParseSubmission(ledger.Encode(tt.parts), ledger.ForLedger)
		wantCode(t, tt.name, err, tt.want)
	}
	_, err := ledger.ParseSubmission(make([]byte, ledger.MaxSubmission+1), ledger.ForLedger)
	wantCode(t, "too large", err, reason.TooLarge)
	real, err := ledger.ParseSubmission(e.sub.Encode(), ledger.ForLedger)
	must(t, err)
	dry, err := ledger.ParseSubmission(e.sub.Encode(), ledger.ForDryRun)
	must(t, err)
	if bytes.Equal(real.Signatures[0].ToBeSigned, dry.Signatures[0].ToBeSigned) {
		t.Error("a dry run signs the same bytes as a transaction")
	}
}

func TestBlockForm(t *testing.T) {
	e := theExample(t)
	good, err := ledger.ParseBlock(e.block1)
	must(t, err)
	sub := cbor.RawMessage(e.sub.Encode())
	h := *good.Header
	raw := func(change func(*ledger.Header)) []any {
		c := h
		change(&c)
		s := ledger.SignHeader(&c, e.keys["block"])
		return []any{s.Header, s.Signature}
	}
	same := raw(func(*ledger.Header) {})
	many := make([]any, ledger.MaxOperations+1)
	for i := range many {
		many[i] = sub
	}
	for _, tt := range []struct {
		name string
		want reason.Code
		raw  []byte
	}{
		{"version", reason.Malformed, ledger.Encode([]any{2, same, []any{sub}})},
		{"no transactions", reason.Malformed, ledger.Encode([]any{1, same, []any{}})},
		{"null transactions", reason.Malformed, ledger.Encode([]any{1, same, nil})},
		{"too many transactions", reason.TooLarge, ledger.Encode([]any{1, same, many})},
		{"twice", reason.Malformed, ledger.Encode([]any{1, same, []any{sub, sub}})},
		{"payload hash", reason.Malformed, ledger.Encode([]any{1, raw(func(c *ledger.Header) { c.Payload[0] ^= 1 }), []any{sub}})},
		{"header version", reason.Malformed, ledger.Encode([]any{1, raw(func(c *ledger.Header) { c.Version = 2 }), []any{sub}})},
		{"short signature", reason.Malformed, ledger.Encode([]any{1, []any{same[0], make([]byte, 63)}, []any{sub}})},
		{"header not canonical", reason.Malformed, ledger.Encode([]any{1, []any{append([]byte{0xb8, 9}, same[0].([]byte)[1:]...), same[1]}, []any{sub}})},
		{"body", reason.BodyMismatch, ledger.Encode([]any{1, same, []any{[]any{1, e.sub.Envelope, [][]byte{{1}}}}})},
		{"trailing byte", reason.Malformed, append(bytes.Clone(e.block1), 0)},
		{"too large", reason.TooLarge, make([]byte, ledger.MaxBlock+1)},
	} {
		_, err := ledger.ParseBlock(tt.raw)
		wantCode(t, tt.name, err, tt.want)
	}
	if !good.Signed.VerifiedBy(e.public("block")) || good.Signed.VerifiedBy(e.public("log")) {
		t.Error("the header's signature")
	}
	forged := good.Signed
	forged.Header = ledger.Encode(&ledger.Header{Version: 1})
	if forged.VerifiedBy(e.public("block")) || good.Signed.VerifiedBy(e.public("block")[:31]) {
		t.Error("a forged header verifies")
	}
}

func TestBlockOfManyTransactions(t *testing.T) {
	e := theExample(t)
	body := []byte{0}
	build := func(n int) []byte {
		var txs []*ledger.Parsed
		for i := range n {
			sub, err := ledger.SignTx(ledger.Tx{Nonce: [16]byte{byte(i), byte(i >> 8)}}, [][]byte{body}, ledger.ForLedger, e.signer(t, "line"))
			must(t, err)
			p, err := ledger.ParseSubmission(sub.Encode(), ledger.ForLedger)
			must(t, err)
			txs = append(txs, p)
		}
		return ledger.EncodeBlock(ledger.SignHeader(&ledger.Header{Version: 1, Payload: ledger.PayloadHash(txs)}, e.keys["block"]), txs)
	}
	if _, err := ledger.ParseBlock(build(ledger.MaxOperations)); err != nil {
		t.Error(err)
	}
	if raw := build(ledger.MaxOperations + 1); len(raw) > ledger.MaxBlock {
		t.Fatal("the test's block is too large to count")
	} else if _, err := ledger.ParseBlock(raw); err == nil {
		t.Error("1,025 transactions: accepted")
	}
}

func TestEntryForm(t *testing.T) {
	e := theExample(t)
	for i, l := range e.leaves {
		if _, err := ledger.ParseEntry(l); err != nil {
			t.Errorf("leaf %d: %v", i, err)
		}
	}
	h := make([]byte, 32)
	tx := map[uint64]any{1: []byte{1}, 2: []any{0}}
	op := map[uint64]any{1: 0, 2: 0, 3: []byte{1}, 4: map[int]any{10: 0, 13: 1}}
	epoch := map[uint64]any{1: []any{[]byte{1}, []byte{2}}, 2: 0, 3: h, 4: 1, 5: h, 6: []any{}}
	effects := func(c map[uint64]any) []byte {
		return with(op, map[uint64]any{4: cbor.RawMessage(with(map[uint64]any{10: 0, 13: 1}, c))})
	}
	entry := func(parts ...any) []byte { return ledger.Encode(parts) }
	kind := func(k uint64, leaf []byte) []byte { return entry(1, k, cbor.RawMessage(leaf)) }
	good := map[string][]byte{
		"tx": kind(1, with(tx, nil)), "op": kind(2, with(op, nil)), "epoch": kind(3, with(epoch, nil)),
		"protection 0": kind(2, effects(map[uint64]any{3: 0})), "batch": kind(2, effects(map[uint64]any{11: []any{h[:16], 7}})),
		"1,000 runs": kind(2, effects(map[uint64]any{5: runs(ledger.MaxRuns, 1)})), "key root": kind(3, with(epoch, map[uint64]any{7: h})),
		"256 leafless": kind(3, with(epoch, map[uint64]any{6: leafless(ledger.MaxLeafless)})),
	}
	for name, raw := range good {
		if _, err := ledger.ParseEntry(raw); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, raw := range map[string][]byte{
		"version": entry(2, 1, tx), "kind 0": kind(0, with(tx, nil)), "kind 4": kind(4, with(tx, nil)), "kind of another": kind(2, with(tx, nil)),
		"four parts": entry(1, 1, tx, 0), "null leaf": entry(1, 1, nil), "too large": make([]byte, ledger.MaxEntry+1), "nothing": nil,
		"trailing byte": append(kind(1, with(tx, nil)), 0), "long kind": append([]byte{0x83, 1, 0x18, 1}, with(tx, nil)...),
		"no codes": kind(1, with(tx, map[uint64]any{2: []any{}})), "null codes": kind(1, with(tx, map[uint64]any{2: cbor.RawMessage{0xf6}})),
		"1,025 codes": kind(1, with(tx, map[uint64]any{2: make([]uint16, 1025)})), "code of 17 bits": kind(1, with(tx, map[uint64]any{2: []any{1 << 16}})),
		"null envelope": kind(1, with(tx, map[uint64]any{1: cbor.RawMessage{0xf6}})), "null body": kind(2, with(op, map[uint64]any{3: cbor.RawMessage{0xf6}})),
		"no time": kind(2, effects(map[uint64]any{10: nil})), "no rules": kind(2, effects(map[uint64]any{13: nil})),
		"unknown effect": kind(2, effects(map[uint64]any{15: 1})), "evidence 0": kind(2, effects(map[uint64]any{2: 0})),
		"empty runs": kind(2, effects(map[uint64]any{5: []any{}})), "short owner": kind(2, effects(map[uint64]any{1: h[:15]})),
		"batch not canonical":   kind(2, effects(map[uint64]any{11: cbor.RawMessage(append([]byte{0x82, 0x50}, append(h[:16:16], 0x18, 7)...))})),
		"batch of another form": kind(2, effects(map[uint64]any{11: 1})), "null batch": kind(2, effects(map[uint64]any{11: cbor.RawMessage{0xf6}})),
		"status 4": kind(2, effects(map[uint64]any{5: runs(1, 4)})), "1,001 runs": kind(2, effects(map[uint64]any{5: runs(ledger.MaxRuns+1, 1)})),
		"short status root": kind(3, with(epoch, map[uint64]any{3: h[:31]})), "null leafless": kind(3, with(epoch, map[uint64]any{6: cbor.RawMessage{0xf6}})),
		"257 leafless": kind(3, with(epoch, map[uint64]any{6: leafless(ledger.MaxLeafless + 1)})), "no header": kind(3, with(epoch, map[uint64]any{1: nil})),
	} {
		if x, err := ledger.ParseEntry(raw); err == nil || x != nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func runs(n int, status uint64) (out []any) {
	for i := range n {
		out = append(out, []any{i, 1, status})
	}
	return out
}

func leafless(n int) (out []any) {
	for i := range n {
		out = append(out, []any{i, make([]byte, 32)})
	}
	return out
}

func TestBodyForm(t *testing.T) {
	h := make([]byte, 32)
	body := func(op int, args map[uint64]any) []byte { return ledger.Encode([]any{op, args}) }
	change := func(c map[uint64]any) []byte {
		return ledger.Encode([]any{2, cbor.RawMessage(with(map[uint64]any{1: 1, 2: 1, 3: h, 4: 0, 5: 4}, c))})
	}
	for name, raw := range map[string][]byte{
		"publish": body(1, map[uint64]any{1: 1, 2: []byte{1}}), "commitment": body(1, map[uint64]any{1: 1, 3: h}), "revoke leaf 0": change(nil),
		"revoke key": change(map[uint64]any{2: 2, 4: nil}), "after leaf 0": change(map[uint64]any{6: 0, 7: 0}),
	} {
		if _, _, err := ledger.ParseBody(raw); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, raw := range map[string][]byte{
		"neither": body(1, map[uint64]any{1: 1}), "both": body(1, map[uint64]any{1: 1, 2: []byte{1}, 3: h}), "empty certificate": body(1, map[uint64]any{1: 1, 2: []byte{}}),
		"action 0": change(map[uint64]any{1: 0}), "action 4": change(map[uint64]any{1: 4}), "scope 0": change(map[uint64]any{2: 0}), "scope 7": change(map[uint64]any{2: 7}),
		"no leaf": change(map[uint64]any{4: nil}), "a leaf with a key": change(map[uint64]any{2: 2}), "long SPKI": change(map[uint64]any{8: make([]byte, 2049)}),
		"empty SPKI": change(map[uint64]any{8: []byte{}}), "one part": ledger.Encode([]any{1}), "nothing": nil,
		"null arguments": ledger.Encode([]any{1, nil}), "arguments of another": body(2, map[uint64]any{1: 1, 2: []byte{1}}),
	} {
		_, _, err := ledger.ParseBody(raw)
		wantCode(t, name, err, reason.BadBody)
	}
	_, _, err := ledger.ParseBody(body(8, map[uint64]any{}))
	wantCode(t, "operation 8", err, reason.UnknownOperation)
}

// lifeBodies are one body of each life step, every optional key in it.
func lifeBodies() map[ledger.Op]map[uint64]any {
	spki, h, proof := []byte{1, 2, 3}, make([]byte, 32), make([]byte, 64)
	target := ledger.Sum(spki)
	return map[ledger.Op]map[uint64]any{
		ledger.OpRekey:    {1: 1, 2: []byte{1}, 3: target[:], 4: 9, 5: -8, 6: proof, 7: spki, 8: h},
		ledger.OpTransfer: {1: h, 2: 9, 3: h[:16], 4: h},
		ledger.OpClaim:    {1: target[:], 2: 9, 3: spki, 4: -8, 5: proof},
		ledger.OpRetire:   {1: h, 2: 9, 3: h},
		ledger.OpReturn:   {1: h, 2: 9, 3: h},
	}
}

func TestLifeForm(t *testing.T) {
	for op, whole := range lifeBodies() {
		optional := map[ledger.Op][]uint64{ledger.OpRekey: {7, 8}, ledger.OpTransfer: {4}, ledger.OpRetire: {3}, ledger.OpReturn: {3}}[op]
		parse := func(change map[uint64]any) error {
			raw := ledger.Encode([]any{op, cbor.RawMessage(with(whole, change))})
			got, args, err := ledger.ParseBody(raw)
			if err != nil {
				return err
			}
			step, ok := args.(ledger.LifeStep)
			if !ok || got != op || step.Op() != op || !bytes.Equal(ledger.EncodeBody(op, args), raw) {
				t.Errorf("%s: another operation", op)
			}
			if _, previous := step.Follows(); previous != 9 && change == nil {
				t.Errorf("%s: follows %d", op, previous)
			}
			return nil
		}
		if err := parse(nil); err != nil {
			t.Errorf("%s: %v", op, err)
		}
		for key, value := range whole {
			if err := parse(map[uint64]any{key: nil}); (err == nil) != slices.Contains(optional, key) {
				t.Errorf("%s without key %d: %v", op, key, err)
			}
			for what, bad := range map[string]any{"null": cbor.RawMessage{0xf6}, "a string": "x", "an empty byte string": []byte{}} {
				if err := parse(map[uint64]any{key: bad}); err == nil {
					t.Errorf("%s: key %d is %s", op, key, what)
				}
			}
			if b, ok := value.([]byte); ok && len(b) > 3 {
				if err := parse(map[uint64]any{key: b[1:]}); err == nil {
					t.Errorf("%s: key %d is a byte short", op, key)
				}
			}
		}
		if err := parse(map[uint64]any{9: 1}); err == nil {
			t.Errorf("%s: an unknown key", op)
		}
	}
	long := func(op ledger.Op, change map[uint64]any) {
		t.Helper()
		_, _, err := ledger.ParseBody(ledger.Encode([]any{op, cbor.RawMessage(with(lifeBodies()[op], change))}))
		wantCode(t, op.String(), err, reason.BadBody)
	}
	big := make([]byte, 2049)
	of := ledger.Sum(big)
	long(ledger.OpClaim, map[uint64]any{1: of[:], 3: big})
	long(ledger.OpRekey, map[uint64]any{3: of[:], 7: big})
	none := ledger.Sum(nil)
	long(ledger.OpClaim, map[uint64]any{1: none[:], 3: []byte{}})
	long(ledger.OpClaim, map[uint64]any{5: make([]byte, 1025)})
	long(ledger.OpRekey, map[uint64]any{6: make([]byte, 1025)})
	long(ledger.OpClaim, map[uint64]any{3: []byte{9}}) // of another key than the target
	long(ledger.OpRekey, map[uint64]any{7: []byte{9}})
}

// TestProofMessage: every part of what a proof of possession is for changes it, and none can stand for another.
func TestProofMessage(t *testing.T) {
	step := &ledger.Claim{Target: ledger.Hash{1}, Previous: 2}
	got := ledger.ProofMessage(ledger.Hash{3}, ledger.OrgID{4}, step)
	want := "quorate/possession/1\n" + "\x03" + strings.Repeat("\x00", 31) + "\x05" + "\x04" + strings.Repeat("\x00", 15) + "\x01" + strings.Repeat("\x00", 31) +
		strings.Repeat("\x00", 7) + "\x02"
	if string(got) != want {
		t.Errorf("%x", got)
	}
}

func TestMemberSetForm(t *testing.T) {
	e := theExample(t)
	if _, err := ledger.ParseMemberSet(ledger.Encode(e.members)); err != nil {
		t.Fatal(err)
	}
	spki := func(n int) []byte {
		return append(bytes.Clone(e.spki("log")[:12]), bytes.Repeat([]byte{byte(n)}, 32)...)
	}
	member := func(n int, name string) ledger.Member {
		m := ledger.Member{Number: uint64(n), Name: name, Keys: map[uint64][]byte{}}
		for p := range 6 {
			m.Keys[uint64(p+1)] = spki(6*n + p)
		}
		return m
	}
	base := func() *ledger.MemberSet {
		return &ledger.MemberSet{Version: 1, Consortium: "c.example", Channel: "main", Number: 1, Quorum: 3,
			Members: []ledger.Member{member(1, "a"), member(2, "b"), member(5, "c"), member(9, "d")}}
	}
	if _, err := ledger.ParseMemberSet(ledger.Encode(base())); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*ledger.MemberSet){
		"version": func(m *ledger.MemberSet) { m.Version = 2 }, "consortium": func(m *ledger.MemberSet) { m.Consortium = "c+example" },
		"line feed": func(m *ledger.MemberSet) { m.Channel = "main\n" }, "no channel": func(m *ledger.MemberSet) { m.Channel = "" },
		"number 0": func(m *ledger.MemberSet) { m.Number = 0 }, "first with previous": func(m *ledger.MemberSet) { m.Previous[0] = 1 },
		"second without": func(m *ledger.MemberSet) { m.Number = 2 }, "no members": func(m *ledger.MemberSet) { m.Members, m.Quorum = nil, 0 },
		"quorum of 2 of 4": func(m *ledger.MemberSet) { m.Quorum = 2 }, "quorum of 5 of 4": func(m *ledger.MemberSet) { m.Quorum = 5 },
		"quorum that overflows": func(m *ledger.MemberSet) { m.Quorum = 1<<63 + 1 }, "numbers": func(m *ledger.MemberSet) { m.Members[1].Number = 1 },
		"member 0": func(m *ledger.MemberSet) { m.Members[0].Number = 0 }, "names": func(m *ledger.MemberSet) { m.Members[1].Name = "a" },
		"name": func(m *ledger.MemberSet) { m.Members[1].Name = "A" }, "five keys": func(m *ledger.MemberSet) { delete(m.Members[0].Keys, 6) },
		"seven keys": func(m *ledger.MemberSet) { m.Members[0].Keys[7] = spki(200) }, "key 0": func(m *ledger.MemberSet) { m.Members[0].Keys[0] = spki(200) },
		"a key twice":               func(m *ledger.MemberSet) { m.Members[0].Keys[6] = m.Members[1].Keys[1] },
		"long log key":              func(m *ledger.MemberSet) { m.Members[0].Keys[1] = append(spki(1), 0) },
		"block key of another kind": func(m *ledger.MemberSet) { m.Members[0].Keys[3] = []byte{1} },
		"17 members": func(m *ledger.MemberSet) {
			m.Members = nil
			for i := range 17 {
				m.Members = append(m.Members, member(i+1, string(rune('a'+i))))
			}
			m.Quorum = 12
		},
	} {
		m := base()
		change(m)
		if _, err := ledger.ParseMemberSet(ledger.Encode(m)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := ledger.ParseMemberSet(make([]byte, ledger.MaxBody+1)); err == nil {
		t.Error("too large: accepted")
	}
	p := base().Policy(3)
	if err := p.Check(); err != nil || p.Origin != "c.example/main/3" || p.Witnesses[2].Key.Name != "c.example/c" || p.F() != 1 {
		t.Errorf("policy %+v, %v", p, err)
	}
	if again, err := tlog.ParsePolicy(p.Format()); err != nil || again.Quorum != 3 {
		t.Errorf("the policy does not parse: %v", err)
	}
}

func TestStatusBits(t *testing.T) {
	var c ledger.Chunk
	for i := range uint64(ledger.ChunkLeaves) {
		c.Set(5*ledger.ChunkLeaves+i, ledger.Status(i*7%4))
	}
	for i := range uint64(ledger.ChunkLeaves) {
		if c.Get(i) != ledger.Status(i*7%4) || uint64(c[i/4]>>(2*(i%4))&3) != i*7%4 {
			t.Fatalf("leaf %d", i)
		}
	}
	for leaves, want := range map[uint64]uint64{0: 0, 1: 1, 1024: 1, 1025: 2} {
		if got := ledger.Chunks(leaves); got != want {
			t.Errorf("%d chunks for %d leaves", got, leaves)
		}
	}
}

// TestIsEpoch: the shortcut agrees with the parser, for each kind.
func TestIsEpoch(t *testing.T) {
	for _, raw := range [][]byte{(&ledger.TxLeaf{}).Encode(), (&ledger.OpLeaf{}).Encode(), (&ledger.Epoch{}).Encode()} {
		e, err := ledger.ParseEntry(raw)
		want := err == nil && e.Epoch != nil
		if err != nil {
			t.Log(err)
		}
		if got := ledger.IsEpoch(raw); got != want {
			t.Errorf("%x: %v", raw[:4], got)
		}
	}
}
