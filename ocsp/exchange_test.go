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

// TestWithoutExchange: while the members exchange no cosignatures, a suspension is ordered and executed at every one, and every one goes on
// answering what was final before. With the exchange back, all say that it is on hold.
func TestWithoutExchange(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cl := ledgertest.NewCluster(t, 32, 4)
	cl.Start(cl.Names()...)
	der := cl.C.Device("ACME-1", dns, 0)
	res, err := cl.Submit(ctx, "ca-a", cl.C.Tx(cl.Now(), ledgertest.TxOptions{}, [][]byte{ledgertest.Publish(der)}, "acme-cells/line"))
	if err != nil {
		t.Fatal(err)
	}
	before := cl.Level(ctx)
	request := newRequest(t, nil, certID(t, crypto.SHA256, der))
	responders := map[string]*Responder{}
	demand := func(when string, want int) {
		t.Helper()
		for _, name := range cl.Names() {
			if responders[name] == nil {
				responders[name] = responder(t, NewLedgerSource(cl.Node(name)), func(c *Config) { c.Now = cl.Now })
			}
			body, status := reply(t, responders[name], request)
			if status != successful {
				t.Fatalf("%s: %s: %v", when, name, status)
			}
			if got, err := second.ParseResponse(body, nil); err != nil || got.Status != want {
				t.Errorf("%s: %s answers %d, %v", when, name, got.Status, err)
			}
		}
	}
	demand("published", second.Good)
	cl.CutExchange(true)
	leaf := res.Verdicts[0].Leaf
	change := ledger.StatusChange{Action: ledger.Suspend, Scope: ledger.ScopeCertificate, Target: ledger.Sum(parseX509(t, der).RawSubjectPublicKeyInfo), Leaf: &leaf, Reason: ledger.CertificateHold}
	tx := cl.C.Tx(cl.Now(), ledgertest.TxOptions{Nonce: 1}, [][]byte{ledgertest.Change(change)}, "acme-cells/admin-1", "acme-cells/admin-2")
	answers := make(chan error, 4)
	for _, name := range cl.Names() { // the leader's way to the others is cut, too
		go func() {
			_, err := cl.Submit(ctx, name, tx)
			answers <- err
		}()
	}
	pause := time.NewTicker(10 * time.Millisecond)
	defer pause.Stop()
	for _, name := range cl.Names() {
		for {
			h, err := cl.Node(name).Health(ctx)
			if err != nil {
				t.Fatal(err)
			}
			if h.Height > before {
				break // executed
			}
			<-pause.C
		}
	}
	demand("executed, not final", second.Good)
	cl.CutExchange(false)
	for range cl.Names() {
		if err := <-answers; err != nil {
			t.Error(err)
		}
	}
	cl.Level(ctx)
	demand("final", second.Revoked)
}
