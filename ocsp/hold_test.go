package ocsp

import (
	"context"
	"crypto"
	"testing"
	"time"

	second "golang.org/x/crypto/ocsp"

	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/ledgertest"
)

// TestHeldAtOnce: two of four members run, so nothing is ordered. A revocation that one of them accepts is shown by both, as a hold. When
// nobody decides it before it expires, the hold ends; when the others are back and it is decided, all four say revoked.
func TestHeldAtOnce(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cl := ledgertest.NewCluster(t, 33, 4)
	cl.Start(cl.Names()...)
	der := cl.C.Device("ACME-1", dns, 0)
	res, err := cl.Submit(ctx, "ca-a", cl.C.Tx(cl.Now(), ledgertest.TxOptions{}, [][]byte{ledgertest.Publish(der)}, "acme-cells/line"))
	if err != nil {
		t.Fatal(err)
	}
	cl.Level(ctx)
	cl.Stop("ca-c")
	cl.Stop("ca-d")
	request := newRequest(t, nil, certID(t, crypto.SHA256, der))
	responders := map[string]*Responder{}
	later := time.Duration(0)
	await := func(name string, want, reason int) {
		t.Helper()
		pause := time.NewTicker(10 * time.Millisecond)
		defer pause.Stop()
		for {
			if responders[name] == nil {
				responders[name] = responder(t, NewLedgerSource(cl.Node(name)), func(c *Config) {
					c.Now, c.Staleness = func() time.Time { return cl.Now().Add(later) }, 24*time.Hour
				})
			}
			body, status := reply(t, responders[name], request)
			if status != successful {
				t.Fatalf("%s: %v", name, status)
			}
			got, err := second.ParseResponse(body, nil)
			if err != nil {
				t.Fatal(err)
			}
			if got.Status == want && (want == second.Good || got.RevocationReason == reason) {
				return
			}
			select {
			case <-pause.C:
			case <-ctx.Done():
				t.Fatalf("%s answers %d, reason %d; wanted %d, reason %d", name, got.Status, got.RevocationReason, want, reason)
			}
		}
	}
	leaf, n := res.Verdicts[0].Leaf, cl.Node("ca-a")
	revoke := func(nonce uint64, signers ...string) {
		change := ledger.StatusChange{Action: ledger.Revoke, Scope: ledger.ScopeCertificate, Target: ledger.Sum(parseX509(t, der).RawSubjectPublicKeyInfo), Leaf: &leaf, Reason: ledger.Superseded}
		tx := cl.C.Tx(cl.Now().Add(later), ledgertest.TxOptions{Nonce: nonce}, [][]byte{ledgertest.Change(change)}, signers...)
		go n.Submit(ctx, tx) // nobody waits for it: the members do what is to be done
	}
	revoke(1, "acme-cells/line") // which may suspend only: not accepted, and not held
	revoke(2, "acme-cells/admin-1", "acme-cells/admin-2")
	await("ca-a", second.Revoked, second.CertificateHold)
	await("ca-b", second.Revoked, second.CertificateHold)
	later = 2 * time.Hour
	for _, name := range cl.Names() {
		cl.SetClock(name, later)
	}
	await("ca-a", second.Good, 0)
	await("ca-b", second.Good, 0)
	revoke(3, "acme-cells/admin-1", "acme-cells/admin-2")
	await("ca-b", second.Revoked, second.CertificateHold)
	cl.Start("ca-c", "ca-d")
	for _, name := range cl.Names() {
		await(name, second.Revoked, second.Superseded)
	}
}
