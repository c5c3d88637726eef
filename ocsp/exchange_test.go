package ocsp

import (
	"testing"

	second "golang.org/x/crypto/ocsp"

	"github.com/quorate-pki/quorate/ledger"
)

// TestWithoutExchange: while the members exchange no cosignatures, a suspension is ordered and executed at every one, and every one goes on
// answering what was final before. With the exchange back, all say that it is on hold.
func TestWithoutExchange(t *testing.T) {
	m := newMembers(t, 32)
	demand := func(when string, want int) {
		t.Helper()
		for _, name := range m.Names() {
			if got := m.ask(name); got.Status != want {
				t.Errorf("%s: %s answers %d", when, name, got.Status)
			}
		}
	}
	demand("published", second.Good)
	m.CutExchange(true)
	tx := m.change(1, ledger.Suspend, ledger.CertificateHold, "acme-cells/admin-1", "acme-cells/admin-2")
	answers := make(chan error, 4)
	for _, name := range m.Names() { // the way to the leader is cut, too
		go func() {
			_, err := m.Submit(m.ctx, name, tx)
			answers <- err
		}()
	}
	for _, name := range m.Names() {
		m.until(name+" executes it", func() bool {
			h, err := m.Node(name).Health(m.ctx)
			return err == nil && h.Height > m.height
		})
	}
	demand("executed, not final", second.Good)
	m.CutExchange(false)
	for range m.Names() {
		if err := <-answers; err != nil {
			t.Error(err)
		}
	}
	m.Level(m.ctx)
	demand("final", second.Revoked)
}
