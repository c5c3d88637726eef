package node_test

import (
	"errors"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/ledgertest"
	"github.com/quorate-pki/quorate/ledger/node"
)

// TestDeviceKeysAreLimited lets a device's own key suspend and resume itself until it has used up its burst; a minute
// later it may do one more thing. Registered keys are not limited.
func TestDeviceKeysAreLimited(t *testing.T) {
	c := ledgertest.Found(5, 1)
	fs := vfs.NewMem()
	mustInit(t, c, fs)
	clock := &ledgertest.Clock{}
	n, err := node.Open(t.Context(), c.NodeConfig(fs, clock))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := n.Submit(t.Context(), workload(c)[0].Raw); err != nil {
		t.Fatal(err)
	}
	nonce := uint64(100)
	flip := func(signers ...string) error {
		nonce++
		action, why := ledger.Suspend, uint64(ledger.CertificateHold)
		if nonce%2 == 0 {
			action, why = ledger.Resume, ledger.RemoveFromCRL
		}
		leaf := firstLeaf
		body := ledgertest.Change(ledger.StatusChange{Action: action, Scope: ledger.ScopeCertificate, Reason: why, Leaf: &leaf,
			Target: ledger.Sum(c.SPKI("device/ACME-0")), SPKI: c.SPKI("device/ACME-0")})
		_, err := n.Submit(t.Context(), c.Tx(ledgertest.Start, ledgertest.TxOptions{Nonce: nonce}, [][]byte{body}, signers...))
		return err
	}
	limited := func(err error) bool {
		e, ok := errors.AsType[*reason.Error](err)
		return ok && e.Code == reason.RateLimited
	}
	for i := range 8 {
		if err := flip("device/ACME-0"); err != nil {
			t.Fatalf("transaction %d: %v", i, err)
		}
	}
	if err := flip("device/ACME-0"); !limited(err) {
		t.Fatalf("the ninth at once: %v", err)
	}
	if err := flip("acme-cells/admin-1", "acme-cells/admin-2"); err != nil {
		t.Fatalf("the owner is not limited: %v", err)
	}
	clock.Advance(time.Minute)
	if err := flip("device/ACME-0"); err != nil {
		t.Fatalf("a minute later: %v", err)
	}
	if err := flip("device/ACME-0"); !limited(err) {
		t.Fatalf("two in that minute: %v", err)
	}
	// Whoever has the key may say so at once, whatever it did before.
	leaf := firstLeaf
	revoke := ledgertest.Change(ledger.StatusChange{Action: ledger.Revoke, Scope: ledger.ScopeCertificate, Reason: ledger.KeyCompromise, Leaf: &leaf,
		Target: ledger.Sum(c.SPKI("device/ACME-0")), SPKI: c.SPKI("device/ACME-0")})
	if _, err := n.Submit(t.Context(), c.Tx(ledgertest.Start, ledgertest.TxOptions{Nonce: 1 << 40}, [][]byte{revoke}, "device/ACME-0")); err != nil {
		t.Fatalf("its revocation: %v", err)
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestAllowance: the same transaction is free however often it comes, another costs, and a clock that goes back and forth
// gives nothing.
func TestAllowance(t *testing.T) {
	take, now := node.NewTaker(), ledgertest.Start
	key := ledger.Hash{1}
	for i := range 8 {
		for range 3 {
			if !take(key, ledger.Hash{2, byte(i)}, now) {
				t.Fatalf("transaction %d", i)
			}
		}
	}
	for i := range 4 {
		if take(key, ledger.Hash{3}, now.Add(time.Duration(i%2)*-time.Hour)) {
			t.Fatal("a ninth")
		}
	}
	if !take(key, ledger.Hash{2, 7}, now) {
		t.Error("the last one again is not free")
	}
	if !take(ledger.Hash{9}, ledger.Hash{3}, now) {
		t.Error("another key pays for this one")
	}
	if !take(key, ledger.Hash{3}, now.Add(time.Minute)) {
		t.Error("a minute later")
	}
}
