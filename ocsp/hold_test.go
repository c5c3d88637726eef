package ocsp

import (
	"fmt"
	"testing"
	"time"

	second "golang.org/x/crypto/ocsp"

	"github.com/quorate-pki/quorate/ledger"
)

// TestHeldAtOnce: two of four members run, so nothing is ordered. A revocation that one of them accepts is shown by both, as a hold. When
// nobody decides it before it expires, the hold ends; when the others are back and it is decided, all four say revoked.
func TestHeldAtOnce(t *testing.T) {
	m := newMembers(t, 33)
	m.Stop("ca-c")
	m.Stop("ca-d")
	await := func(name string, want, reason int) {
		t.Helper()
		m.until(fmt.Sprintf("%s answers %d, reason %d", name, want, reason), func() bool {
			got := m.ask(name)
			return got.Status == want && (want == second.Good || got.RevocationReason == reason)
		})
	}
	first := m.Node("ca-a")
	revoke := func(nonce uint64, signers ...string) {
		// Nobody waits for it: the members do what is to be done.
		go first.Submit(m.ctx, m.change(nonce, ledger.Revoke, ledger.Superseded, signers...))
	}
	revoke(1, "acme-cells/line") // which may suspend only: not accepted, and not held
	revoke(2, "acme-cells/admin-1", "acme-cells/admin-2")
	await("ca-a", second.Revoked, second.CertificateHold)
	await("ca-b", second.Revoked, second.CertificateHold)
	m.ahead = 2 * time.Hour
	for _, name := range m.Names() {
		m.SetClock(name, m.ahead)
	}
	await("ca-a", second.Good, 0)
	await("ca-b", second.Good, 0)
	revoke(3, "acme-cells/admin-1", "acme-cells/admin-2")
	await("ca-b", second.Revoked, second.CertificateHold)
	m.Start("ca-c", "ca-d")
	for _, name := range m.Names() {
		await(name, second.Revoked, second.Superseded)
	}
}
