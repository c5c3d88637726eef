package state_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"testing"

	"github.com/quorate-pki/quorate/ledger/state"
)

// TestFilter: a key that was added is always said to be there, one that was not hardly ever, over parts that grow, whether the keys
// came as they were published or, as when a state is loaded, in their own order.
func TestFilter(t *testing.T) {
	t.Run("published", func(t *testing.T) { testFilter(t, func([][]byte) {}) })
	t.Run("loaded", func(t *testing.T) { testFilter(t, func(keys [][]byte) { slices.SortFunc(keys, bytes.Compare) }) })
}

func testFilter(t *testing.T, order func(keys [][]byte)) {
	f := state.NewFilter()
	key := func(n uint64) []byte {
		h := sha256.Sum256(binary.BigEndian.AppendUint64(nil, n))
		return h[:]
	}
	const keys = 300_000 // three parts
	added := make([][]byte, keys)
	for n := range added {
		added[n] = key(uint64(n))
	}
	order(added)
	for _, k := range added {
		f.Add(k)
	}
	for _, k := range added {
		if !f.MayHave(k) {
			t.Fatalf("key %x was added and is not there", k)
		}
	}
	wrong := 0
	for n := range uint64(100_000) {
		if f.MayHave(key(keys + n)) {
			wrong++
		}
	}
	if wrong > 100 {
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
