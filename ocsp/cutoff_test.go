package ocsp

import (
	"crypto"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/ledgertest"
	"github.com/quorate-pki/quorate/ledger/node"
)

// TestCutOff: what a line key that is cut off vouched for is answered as revoked since the cut-off, for its reason; what was revoked before
// keeps its own, and what its owner's admins countersigned since is good.
func TestCutOff(t *testing.T) {
	c := ledgertest.FoundBy(7, 1, ledger.NewestRules)
	clock := &ledgertest.Clock{}
	cfg := c.NodeConfig(vfs.NewMem(), clock)
	if err := node.Init(cfg); err != nil {
		t.Fatal(err)
	}
	n, err := node.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	nonce := uint64(0)
	send := func(body []byte, signers ...string) uint64 {
		t.Helper()
		nonce++
		clock.Advance(time.Second)
		res, err := n.Submit(t.Context(), c.Tx(clock.Now(), ledgertest.TxOptions{Nonce: nonce}, [][]byte{body}, signers...))
		if err != nil || !res.Verdicts[0].Code.OK() {
			t.Fatalf("%+v, %v", res, err)
		}
		return res.Verdicts[0].Leaf
	}
	admins, line := []string{"acme-cells/admin-1", "acme-cells/admin-2"}, "acme-cells/line"
	source := NewLedgerSource(n)
	ask := func(serial string) Standing {
		t.Helper()
		s, err := source.Status(t.Context(), certID(t, crypto.SHA256, c.Device(serial, dns, 0)))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	publish := func(serial string, signers ...string) uint64 {
		t.Helper()
		return send(ledgertest.Publish(c.Device(serial, dns, 0)), signers...)
	}
	publish("ACME-1", line)
	from := publish("ACME-2", line)
	third := publish("ACME-3", line)
	send(ledgertest.Change(ledger.StatusChange{Action: ledger.Revoke, Scope: ledger.ScopeCertificate, Leaf: &third, Reason: ledger.Superseded,
		Target: ledger.Sum(c.SPKI("device/ACME-3"))}), admins...)
	before := ask("ACME-3")
	id := ledger.Sum(c.SPKI(line))
	cut := send(ledger.EncodeBody(ledger.OpCutOff, ledger.CutOff{Scope: ledger.ScopeLineKey, Target: id[:], From: from, Reason: ledger.PrivilegeWithdrawn}), admins...)
	publish("ACME-4", append(admins, line)...)
	raw, err := n.Entry(t.Context(), cut)
	if err != nil {
		t.Fatal(err)
	}
	e, err := ledger.ParseEntry(raw)
	if err != nil {
		t.Fatal(err)
	}
	if s := ask("ACME-1"); s.State != Good {
		t.Errorf("before the first leaf cut off: %+v", s)
	}
	if s := ask("ACME-2"); s.State != Revoked || s.Reason != int(ledger.PrivilegeWithdrawn) || !s.At.Equal(e.Op.Effects.Time.Time()) {
		t.Errorf("cut off: %+v", s)
	}
	if s := ask("ACME-3"); s != before || s.Reason != int(ledger.Superseded) {
		t.Errorf("revoked before: %+v, was %+v", s, before)
	}
	if s := ask("ACME-4"); s.State != Good {
		t.Errorf("countersigned: %+v", s)
	}
}
