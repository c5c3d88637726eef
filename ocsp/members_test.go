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

// members are four running ones, who have published a certificate, and a responder at each.
type members struct {
	*ledgertest.Cluster
	t       *testing.T
	ctx     context.Context // a minute
	der     []byte
	leaf    uint64        // of the publication
	height  uint64        // then
	ahead   time.Duration // of the cluster's clock: the responders'
	request []byte
	at      map[string]*Responder
}

func newMembers(t *testing.T, seed uint64) *members {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	m := &members{Cluster: ledgertest.NewCluster(t, seed, 4), t: t, ctx: ctx, at: map[string]*Responder{}}
	m.Start(m.Names()...)
	m.der = m.C.Device("ACME-1", dns, 0)
	res, err := m.Submit(ctx, "ca-a", m.C.Tx(m.Now(), ledgertest.TxOptions{}, [][]byte{ledgertest.Publish(m.der)}, "acme-cells/line"))
	if err != nil {
		t.Fatal(err)
	}
	m.leaf, m.height = res.Verdicts[0].Leaf, m.Level(ctx)
	m.request = newRequest(t, nil, certID(t, crypto.SHA256, m.der))
	return m
}

// ask asks a member's responder about the certificate.
func (m *members) ask(name string) *second.Response {
	m.t.Helper()
	if m.at[name] == nil {
		m.at[name] = responder(m.t, NewLedgerSource(m.Node(name)), func(c *Config) {
			c.Now, c.Staleness = func() time.Time { return m.Now().Add(m.ahead) }, 24*time.Hour
		})
	}
	body, status := reply(m.t, m.at[name], m.request)
	if status != successful {
		m.t.Fatalf("%s: %v", name, status)
	}
	got, err := second.ParseResponse(body, nil)
	if err != nil {
		m.t.Fatalf("%s: %v", name, err)
	}
	return got
}

// change is a transaction that changes the certificate's status.
func (m *members) change(nonce uint64, action ledger.Action, reason uint64, signers ...string) []byte {
	c := ledger.StatusChange{Action: action, Scope: ledger.ScopeCertificate, Target: ledger.Sum(parseX509(m.t, m.der).RawSubjectPublicKeyInfo),
		Leaf: &m.leaf, Reason: reason}
	return m.C.Tx(m.Now().Add(m.ahead), ledgertest.TxOptions{Nonce: nonce}, [][]byte{ledgertest.Change(c)}, signers...)
}

// until looks every 10 ms whether something holds; what says what.
func (m *members) until(what string, holds func() bool) {
	m.t.Helper()
	pause := time.NewTicker(10 * time.Millisecond)
	defer pause.Stop()
	for !holds() {
		select {
		case <-pause.C:
		case <-m.ctx.Done():
			m.t.Fatalf("never: %s", what)
		}
	}
}
