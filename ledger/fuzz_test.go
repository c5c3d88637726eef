package ledger_test

import (
	"bytes"
	"testing"

	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/ledgertest"
	"github.com/quorate-pki/quorate/ledger/tlog"
)

// Whatever a parser accepts is the one encoding of what it returns.

func sameBytes(t *testing.T, got, want []byte) {
	t.Helper()
	if !bytes.Equal(got, want) {
		t.Errorf("accepted %x\nwhich encodes to %x", want, got)
	}
}

// seed adds inputs and their truncations and extensions.
func seed(f *testing.F, inputs ...[]byte) {
	for _, in := range inputs {
		f.Add(in)
		f.Add(in[:len(in)/2])
		f.Add(append(bytes.Clone(in), 0))
	}
}

func FuzzParseSubmission(f *testing.F) {
	e := theExample(f)
	seed(f, e.sub.Encode())
	f.Fuzz(func(t *testing.T, raw []byte) {
		p, err := ledger.ParseSubmission(raw, ledger.ForLedger)
		if err != nil {
			return
		}
		sameBytes(t, (&ledger.Submission{Envelope: p.Raw, Bodies: p.Bodies}).Encode(), raw)
		sameBytes(t, ledger.Encode(&p.Tx), p.Payload)
		if len(p.Signatures) != len(p.Tx.Signers) || p.ID != p.Tx.ID() {
			t.Error("signers or id")
		}
		for _, b := range p.Bodies {
			if op, args, err := ledger.ParseBody(b); err == nil {
				sameBytes(t, ledger.EncodeBody(op, args), b)
			}
		}
	})
}

func FuzzParseBody(f *testing.F) {
	e := theExample(f)
	seed(f, e.sub.Bodies...)
	genesis, err := ledger.ParseBlock(e.genesis)
	must(f, err)
	seed(f, genesis.Txs[0].Bodies...)
	for op, args := range lifeBodies() {
		seed(f, ledger.Encode([]any{op, args}))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if op, args, err := ledger.ParseBody(raw); err == nil {
			sameBytes(t, ledger.EncodeBody(op, args), raw)
		}
	})
}

func FuzzParseBlock(f *testing.F) {
	e := theExample(f)
	seed(f, e.genesis, e.block1)
	f.Fuzz(func(t *testing.T, raw []byte) {
		b, err := ledger.ParseBlock(raw)
		if err != nil {
			return
		}
		sameBytes(t, ledger.EncodeBlock(b.Signed, b.Txs), raw)
		sameBytes(t, ledger.Encode(b.Header), b.Signed.Header)
	})
}

func FuzzParseEntry(f *testing.F) {
	seed(f, theExample(f).leaves...)
	f.Fuzz(func(t *testing.T, raw []byte) {
		e, err := ledger.ParseEntry(raw)
		if err != nil {
			return
		}
		switch {
		case e.Tx != nil:
			sameBytes(t, e.Tx.Encode(), raw)
		case e.Op != nil:
			sameBytes(t, e.Op.Encode(), raw)
		default:
			sameBytes(t, e.Epoch.Encode(), raw)
		}
	})
}

func FuzzParseMemberSet(f *testing.F) {
	seed(f, ledger.Encode(theExample(f).members))
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := ledger.ParseMemberSet(raw)
		if err != nil {
			return
		}
		sameBytes(t, ledger.Encode(m), raw)
		p := m.Policy(0)
		if err := p.Check(); err != nil {
			t.Fatalf("its policy: %v", err)
		}
		if _, err := tlog.ParsePolicy(p.Format()); err != nil {
			t.Errorf("its policy: %v", err)
		}
	})
}

func FuzzReceiptExtra(f *testing.F) {
	seed(f, theExample(f).extra)
	f.Fuzz(func(t *testing.T, raw []byte) {
		if x, err := ledger.ParseReceiptExtra(raw); err == nil {
			sameBytes(t, ledger.Encode(x), raw)
		}
	})
}

func FuzzStatusExtra(f *testing.F) {
	seed(f, theExample(f).statusX)
	f.Fuzz(func(t *testing.T, raw []byte) {
		if x, err := ledger.ParseStatusExtra(raw); err == nil {
			sameBytes(t, ledger.Encode(x), raw)
		}
	})
}

// draft is a further channel's of one member, with its signature.
func draft(t testing.TB) (*ledger.ChannelDraft, *ledger.DraftSignature) {
	t.Helper()
	c := ledgertest.Unfounded(1)
	f, gov := c.Founding(1, ledgertest.Quotas{Day: 10, Total: 10})
	f.Channel, f.Rules, f.Main = "b2b", ledger.NewestRules, ledger.Hash{1}
	d, err := f.Draft()
	must(t, err)
	s, err := d.Sign(gov[0])
	must(t, err)
	return d, s
}

func FuzzParseChannelDraft(f *testing.F) {
	d, s := draft(f)
	seed(f, d.Encode())
	f.Fuzz(func(t *testing.T, raw []byte) {
		p, err := ledger.ParseChannelDraft(raw)
		if err != nil {
			return
		}
		sameBytes(t, p.Encode(), raw)
		p.Time()
		if _, _, err := p.Complete([]*ledger.DraftSignature{s}, ledgertest.Unfounded(1).Key("ca-a/block")); err == nil && p.ID() != d.ID() {
			t.Error("completed by the signature of another draft")
		}
	})
}

func FuzzParseDraftSignature(f *testing.F) {
	d, s := draft(f)
	seed(f, ledger.Encode(s))
	f.Fuzz(func(t *testing.T, raw []byte) {
		p, err := ledger.ParseDraftSignature(raw)
		if err != nil {
			return
		}
		sameBytes(t, ledger.Encode(p), raw)
		_, _, _ = d.Complete([]*ledger.DraftSignature{p}, ledgertest.Unfounded(1).Key("ca-a/block")) // it must not panic
	})
}

func FuzzParseChannelProof(f *testing.F) {
	d, _ := draft(f)
	seed(f, (&ledger.ChannelProof{Statement: []byte("receipt"), Payload: d.Payload, Founding: d.Bodies[0]}).Encode())
	f.Fuzz(func(t *testing.T, raw []byte) {
		p, err := ledger.ParseChannelProof(raw)
		if err != nil {
			return
		}
		sameBytes(t, p.Encode(), raw)
		if id, _, err := p.Genesis(); err == nil && id != ledger.Sum(p.Payload) {
			t.Error("the id is not the payload's hash")
		}
	})
}
