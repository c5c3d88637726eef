package order_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/quorate-pki/quorate/ledger/order"
)

// byPrefix classifies "u:from:..." as urgent, and everything by its second part.
func byPrefix(tx []byte) (string, order.Lane) {
	p := strings.Split(string(tx), ":")
	if p[0] == "u" {
		return p[1], order.Urgent
	}
	return p[1], order.Normal
}

func texts(txs [][]byte) string {
	var out []string
	for _, t := range txs {
		out = append(out, string(t))
	}
	return strings.Join(out, " ")
}

func TestPoolOrder(t *testing.T) {
	p := order.NewPool(order.PoolConfig{Classify: byPrefix})
	for _, tx := range []string{"n:a:1", "n:b:2", "u:a:3", "n:a:4", "u:b:5"} {
		if err := p.Add([]byte(tx)); err != nil {
			t.Fatal(err)
		}
	}
	for _, tc := range []struct {
		bytes, count int
		want         string
	}{
		{100, 1, "u:a:3"},
		{11, 9, "u:b:5 n:a:1"}, // no third of five bytes fits
		{100, 9, "n:b:2 n:a:4"},
	} {
		if got := texts(p.Take(t.Context(), tc.bytes, tc.count)); got != tc.want {
			t.Errorf("%q, want %q", got, tc.want)
		}
	}
	if p.Bytes() != 0 {
		t.Errorf("%d bytes in an empty pool", p.Bytes())
	}
}

func TestPoolBounds(t *testing.T) {
	p := order.NewPool(order.PoolConfig{Classify: byPrefix, Bytes: 15, Submitter: 10})
	add := func(tx string, want error) {
		t.Helper()
		if err := p.Add([]byte(tx)); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", tx, err, want)
		}
	}
	add("n:a:1", nil)
	add("n:a:2", nil)
	add("n:a:3", order.ErrBusy) // the submitter's share
	add("n:b:4", nil)
	add("n:c:5", order.ErrBusy) // the lane
	add("u:a:6", nil)           // revocations have their own
	add("n:d:0123456789", order.ErrTooLarge)
	p.Take(t.Context(), 5, 1) // the urgent
	p.Take(t.Context(), 5, 1)
	add("n:a:7", nil)
	add("n:a:8", order.ErrBusy)
	if got := texts(p.Take(t.Context(), 100, 9)); got != "n:a:2 n:b:4 n:a:7" || p.Bytes() != 0 {
		t.Errorf("%q, %d bytes", got, p.Bytes())
	}
}

func TestPoolEnds(t *testing.T) {
	p := order.NewPool(order.PoolConfig{Classify: byPrefix})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan [][]byte)
	go func() { done <- p.Take(ctx, 100, 9) }()
	cancel()
	if got := <-done; got != nil {
		t.Errorf("%q", texts(got))
	}
	if err := p.Add([]byte("n:a:1")); err != nil {
		t.Fatal(err)
	}
	if got := p.Take(ctx, 100, 9); got != nil {
		t.Errorf("took %q after the end", texts(got))
	}
}

// TestPoolConcurrent: nothing is lost or given twice.
func TestPoolConcurrent(t *testing.T) {
	p := order.NewPool(order.PoolConfig{Classify: byPrefix})
	var adders sync.WaitGroup
	for g := range 4 {
		adders.Go(func() {
			for i := range 200 {
				if err := p.Add(fmt.Appendf(nil, "%c:%d:%d", "nu"[i%2], g, i)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	seen := map[string]bool{}
	for len(seen) < 800 {
		for _, tx := range p.Take(t.Context(), 40, 5) {
			if seen[string(tx)] {
				t.Fatalf("%s twice", tx)
			}
			seen[string(tx)] = true
		}
	}
	adders.Wait()
}
