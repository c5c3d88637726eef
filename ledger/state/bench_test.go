package state_test

import (
	"fmt"
	"testing"

	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/ledgertest"
	"github.com/quorate-pki/quorate/ledger/state"
)

// checked skips signatures: they are what everything else is measured against.
type checked struct{ state.Direct }

func (checked) Operation(_ ledger.Hash, body []byte) *state.Examined {
	x := state.Examine(body)
	x.KnownSelfSigned()
	return x
}

func (checked) Transaction([]byte, ledger.Signature) bool { return true }

// BenchmarkExecute is what a member does with a full block but for the signatures, from its bytes to its leaves and records.
func BenchmarkExecute(b *testing.B) {
	const certificates = 800
	x := start(b, 4, plenty, nil)
	var bodies [][]byte
	for i := range certificates {
		bodies = append(bodies, ledgertest.Publish(x.c.Device(fmt.Sprintf("ACME-%d", i), dns, 0)))
	}
	signed := x.next(x.tx(bodies, "acme-cells/line"))
	raw := ledger.EncodeBlock(signed.Signed, signed.Txs)
	b.ReportAllocs()
	for b.Loop() {
		block, err := ledger.ParseBlock(raw)
		if err != nil {
			b.Fatal(err)
		}
		e, err := state.Execute(x.head, block, checked{})
		if err != nil || len(e.Leaves) != certificates+2 {
			b.Fatal(len(e.Leaves), err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/certificates, "us/certificate")
}
