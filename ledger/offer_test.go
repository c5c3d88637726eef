package ledger_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/pem"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"

	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
)

// offerSigners are three keys, in no order.
func offerSigners(t testing.TB) (out []ledger.Signer, ids []ledger.Hash) {
	t.Helper()
	for i := range 3 {
		key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{byte(40 + i)}, 32))
		s, err := ledger.NewSigner(key, ledger.Ed25519SPKI(key.Public().(ed25519.PublicKey)))
		must(t, err)
		out, ids = append(out, s), append(ids, s.KeyID())
	}
	return out, ids
}

func anOffer(t testing.TB) (*ledger.Offer, []ledger.Signer) {
	t.Helper()
	signers, ids := offerSigners(t)
	body := ledger.EncodeBody(ledger.OpReturn, &ledger.Return{Target: ledger.Hash{1}, Previous: 9})
	return ledger.NewOffer(ledger.Tx{Channel: ledger.Hash{2}, Expiry: 1000, Nonce: [16]byte{3}}, [][]byte{body, body}, ids), signers
}

// TestOffer: passed around as a file, signed in any order, it becomes the transaction that was offered.
func TestOffer(t *testing.T) {
	o, signers := anOffer(t)
	for i, s := range []ledger.Signer{signers[2], signers[0], signers[2], signers[1]} {
		if _, err := o.Submission(); err == nil {
			t.Error("a transaction without all signatures")
		}
		must(t, o.Sign(s))
		back, err := ledger.ParseOffer(o.Format())
		must(t, err)
		if want := []int{2, 1, 1, 0}[i]; len(back.Missing()) != want || len(back.Signatures()) != 3-want {
			t.Errorf("after %d signatures: %d missing", i+1, len(back.Missing()))
		}
		o = back
	}
	got, err := o.Submission()
	must(t, err)
	p, err := ledger.ParseSubmission(got.Encode(), ledger.ForLedger)
	must(t, err)
	want, err := ledger.SignTx(o.Tx, o.Bodies, ledger.ForLedger, signers...)
	must(t, err)
	if !bytes.Equal(got.Encode(), want.Encode()) || p.ID != o.Tx.ID() {
		t.Error("another transaction than signed at once")
	}
	stranger := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{50}, 32))
	s, err := ledger.NewSigner(stranger, ledger.Ed25519SPKI(stranger.Public().(ed25519.PublicKey)))
	must(t, err)
	if err := o.Sign(s); err == nil {
		t.Error("signed by a key that it does not name")
	}
}

func TestOfferForm(t *testing.T) {
	o, signers := anOffer(t)
	must(t, o.Sign(signers[0]))
	must(t, o.Sign(signers[1]))
	good := o.Format()
	block, _ := pem.Decode(good)
	var w []cbor.RawMessage
	must(t, cbor.Unmarshal(block.Bytes, &w))
	var signatures []cbor.RawMessage
	must(t, cbor.Unmarshal(w[3], &signatures))
	if _, err := ledger.ParseOffer(good); err != nil || len(signatures) != 2 {
		t.Fatal(err)
	}
	with := func(i int, part any) []byte {
		parts := []any{w[0], w[1], w[2], w[3]}
		parts[i] = part
		return pem.EncodeToMemory(&pem.Block{Type: "QUORATE OFFER", Bytes: ledger.Encode(parts)})
	}
	tx := func(change func(*ledger.Tx)) []byte {
		x := o.Tx
		change(&x)
		return with(1, ledger.Encode(&x))
	}
	large := bytes.Repeat([]byte{1}, ledger.MaxBody)
	for name, file := range map[string][]byte{
		"nothing":                     nil,
		"the block alone":             block.Bytes,
		"text before":                 append([]byte("Dear Sir,\n"), good...),
		"text after":                  append(bytes.Clone(good), "Yours\n"...),
		"another label":               pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: block.Bytes}),
		"a header":                    pem.EncodeToMemory(&pem.Block{Type: "QUORATE OFFER", Headers: map[string]string{"A": "b"}, Bytes: block.Bytes}),
		"other lines":                 []byte(strings.Replace(string(good), "\n", "\r\n", 1)),
		"version 2":                   with(0, 2),
		"no payload":                  with(1, []byte{}),
		"no bodies":                   with(2, [][]byte{}),
		"a body less":                 with(2, o.Bodies[:1]),
		"another body":                with(2, [][]byte{o.Bodies[0], {1}}),
		"a body too large":            with(2, [][]byte{o.Bodies[0], append(large, 1)}),
		"signatures swapped":          with(3, []any{signatures[1], signatures[0]}),
		"a signature twice":           with(3, []any{signatures[0], signatures[0]}),
		"no list of signatures":       with(3, 1),
		"a signature of nobody":       with(3, []any{[]any{ledger.Encode(map[int]any{1: -8, 4: make([]byte, 32)}), map[int]int{}, make([]byte, 64)}}),
		"an algorithm that is none":   with(3, []any{[]any{ledger.Encode(map[int]any{1: -7000, 4: o.Tx.Signers[0]}), map[int]int{}, make([]byte, 64)}}),
		"a short signature":           with(3, []any{[]any{ledger.Encode(map[int]any{1: -8, 4: o.Tx.Signers[0]}), map[int]int{}, make([]byte, 63)}}),
		"a version of the tx":         tx(func(x *ledger.Tx) { x.Version = 2 }),
		"a mode of the tx":            tx(func(x *ledger.Tx) { x.Mode = 2 }),
		"no signers":                  tx(func(x *ledger.Tx) { x.Signers = []ledger.Hash{} }),
		"signers out of order":        tx(func(x *ledger.Tx) { x.Signers = []ledger.Hash{x.Signers[2], x.Signers[1], x.Signers[0]} }),
		"the digest of another body":  tx(func(x *ledger.Tx) { x.Bodies = []ledger.Hash{x.Bodies[0], {}} }),
		"more than a file can be":     bytes.Repeat([]byte{'A'}, ledger.MaxOfferFile+1),
		"more than a submission's":    tooLarge(t),
		"the signature of one thrice": with(3, []any{signatures[0], signatures[1], signatures[1]}),
	} {
		_, err := ledger.ParseOffer(file)
		if code, ok := reason.CodeOf(err); !ok || code != reason.Malformed && code != reason.TooLarge && code != reason.BodyMismatch {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// tooLarge is an offer whose bodies no submission holds.
func tooLarge(t *testing.T) []byte {
	_, ids := offerSigners(t)
	var bodies [][]byte
	for range ledger.MaxSubmission/ledger.MaxBody + 1 {
		bodies = append(bodies, make([]byte, ledger.MaxBody))
	}
	return ledger.NewOffer(ledger.Tx{Expiry: 1}, bodies, ids).Format()
}

func TestProofBytes(t *testing.T) {
	der := []byte{0x30, 6, 2, 1, 5, 2, 1, 7}
	want := make([]byte, 64)
	want[31], want[63] = 5, 7
	for _, in := range [][]byte{der, want} {
		if got, err := ledger.ProofBytes(in, 32); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%x: %x %v", in, got, err)
		}
	}
	if got, err := ledger.ProofBytes(der, 0); err != nil || !bytes.Equal(got, der) {
		t.Errorf("of another key: %x %v", got, err)
	}
	for _, in := range [][]byte{nil, {0x30}, append(der, 0), want[:63]} {
		if got, err := ledger.ProofBytes(in, 32); err == nil {
			t.Errorf("%x: %x", in, got)
		}
	}
}

func FuzzParseOffer(f *testing.F) {
	o, signers := anOffer(f)
	f.Add(o.Format())
	must(f, o.Sign(signers[1]))
	f.Add(o.Format())
	must(f, o.Sign(signers[0]))
	must(f, o.Sign(signers[2]))
	f.Add(o.Format())
	f.Fuzz(func(t *testing.T, file []byte) {
		o, err := ledger.ParseOffer(file)
		if err != nil {
			return
		}
		sameBytes(t, o.Format(), file)
		if n := len(o.Missing()); n+len(o.Signatures()) != len(o.Tx.Signers) {
			t.Error("signatures")
		}
		if s, err := o.Submission(); err == nil {
			if _, err := ledger.ParseSubmission(s.Encode(), ledger.ForLedger); err != nil {
				t.Errorf("a complete offer is no submission: %v", err)
			}
		} else if len(o.Missing()) == 0 {
			t.Errorf("nothing is missing: %v", err)
		}
	})
}
