package order_test

import (
	"testing"

	"github.com/quorate-pki/quorate/ledger/order"
)

func TestBaseline(t *testing.T) {
	b, err := order.NewBaseline(t.TempDir(), 4)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := b.Commit(make([]byte, 600)); err != nil {
			t.Error(err)
		}
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	if err := b.Commit(nil); err == nil {
		t.Error("a closed raft commits")
	}
}
