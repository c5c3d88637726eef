package order_test

import (
	"bytes"
	"testing"

	"github.com/quorate-pki/quorate/ledger/order"
)

// TestSameBytesInThePool: what the pool holds costs nothing when it comes again; once taken out it may come in again.
func TestSameBytesInThePool(t *testing.T) {
	p := order.NewPool(order.PoolConfig{Bytes: 100, Submitter: 100, Classify: func([]byte) (string, order.Lane) { return "x", order.Normal }})
	tx := bytes.Repeat([]byte{1}, 60)
	for range 5 {
		if err := p.Add(tx); err != nil {
			t.Fatal(err)
		}
	}
	if p.Bytes() != 60 {
		t.Errorf("%d bytes held", p.Bytes())
	}
	if got := p.Take(t.Context(), 1000, 10); len(got) != 1 || !bytes.Equal(got[0], tx) {
		t.Errorf("%d transactions taken", len(got))
	}
	if err := p.Add(tx); err != nil || p.Bytes() != 60 {
		t.Errorf("again after it was taken: %v, %d bytes", err, p.Bytes())
	}
}
