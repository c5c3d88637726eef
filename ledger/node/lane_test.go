package node_test

import (
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/ledgertest"
	"github.com/quorate-pki/quorate/ledger/node"
)

// TestLane: a revocation goes before what publishes, alone and with little beside it; with much beside it, it is refused, and the refusal says
// what to do. What only suspends goes first when it is alone.
func TestLane(t *testing.T) {
	c := ledgertest.Found(6, 1)
	leaf := uint64(20)
	status := func(a ledger.Action, why uint64) []byte {
		return ledgertest.Change(ledger.StatusChange{Action: a, Scope: ledger.ScopeCertificate, Leaf: &leaf, Reason: why, Target: ledger.Sum(c.SPKI("device/ACME-0"))})
	}
	revoke, suspend := status(ledger.Revoke, ledger.Superseded), status(ledger.Suspend, ledger.CertificateHold)
	publish := func(n int) (out [][]byte) {
		for i := range n {
			out = append(out, ledgertest.Publish(c.Device(fmt.Sprintf("ACME-%d", i), "acme-cells.example", 0)))
		}
		return out
	}
	fs := vfs.NewMem()
	mustInit(t, c, fs)
	n, err := node.Open(t.Context(), c.NodeConfig(fs, &ledgertest.Clock{}))
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	for i, x := range []struct {
		name            string
		bodies          [][]byte
		urgent, refused bool
	}{
		{"one revocation", [][]byte{revoke}, true, false},
		{"statuses only", [][]byte{suspend, revoke, suspend}, true, false},
		{"a suspension", [][]byte{suspend}, true, false},
		{"a suspension beside a publication", append(publish(1), suspend), false, false},
		{"publications", publish(3), false, false},
		{"a certificate in the place of another", append(publish(1), revoke), true, false},
		{"sixteen", append(publish(15), revoke), true, false},
		{"seventeen", append(publish(16), revoke), false, true},
	} {
		raw := c.Tx(ledgertest.Start, ledgertest.TxOptions{Nonce: uint64(i)}, x.bodies, "acme-cells/line")
		if who, urgent := node.Classify(raw); urgent != x.urgent || who == "" {
			t.Errorf("%s: urgent %v, of %x", x.name, urgent, who)
		}
		_, err := n.Submit(t.Context(), raw)
		if code, _ := reason.CodeOf(err); (code == reason.TooLarge) != x.refused {
			t.Errorf("%s: %v", x.name, err)
		}
	}
}
