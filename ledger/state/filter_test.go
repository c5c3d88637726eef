package state_test

import (
	"crypto/sha256"
	"encoding/binary"
	"testing"

	"github.com/quorate-pki/quorate/ledger/state"
)

// TestFilter: a key that was added is always said to be there, one that was not hardly ever, over parts that grow.
func TestFilter(t *testing.T) {
	f := state.NewFilter()
	key := func(n uint64) []byte {
		h := sha256.Sum256(binary.BigEndian.AppendUint64(nil, n))
		return h[:]
	}
	const keys = 300_000 // three parts
	for n := range uint64(keys) {
		f.Add(key(n))
	}
	for n := range uint64(keys) {
		if !f.MayHave(key(n)) {
			t.Fatalf("key %d was added and is not there", n)
		}
	}
	wrong := 0
	for n := range uint64(100_000) {
		if f.MayHave(key(keys + n)) {
			wrong++
		}
	}
	if wrong > 600 {
		t.Errorf("%d of 100,000 keys are wrongly said to be there", wrong)
	}
	t.Logf("%d of 100,000 wrong", wrong)
}

func BenchmarkFilter(b *testing.B) {
	f := state.NewFilter()
	var keys [][]byte
	for n := range uint64(1 << 20) {
		h := sha256.Sum256(binary.BigEndian.AppendUint64(nil, n))
		keys = append(keys, h[:])
		if n%2 == 0 {
			f.Add(h[:])
		}
	}
	for i := 0; b.Loop(); i++ {
		f.MayHave(keys[(i*2+1)%len(keys)])
	}
}
