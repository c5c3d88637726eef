package tlog_test

import (
	"fmt"
	"testing"

	"github.com/quorate-pki/quorate/ledger/tlog"
)

func BenchmarkFrontierAppend(b *testing.B) {
	var f tlog.Frontier
	h := leaf(1)
	b.ReportAllocs()
	for b.Loop() {
		f.Append(h)
	}
}

func BenchmarkTileTreeAppend(b *testing.B) {
	var t tlog.TileTree
	h := leaf(1)
	b.ReportAllocs()
	for b.Loop() {
		t.Append(h)
	}
}

func BenchmarkInclusionProof(b *testing.B) {
	const size = 100_000
	s := newStore()
	for range uint64(size) {
		s.append(leaf(1))
	}
	b.ReportAllocs()
	i := uint64(0)
	for b.Loop() {
		if _, err := tlog.InclusionProof(s, i, size); err != nil {
			b.Fatal(err)
		}
		i = (i + 7919) % size
	}
}

func BenchmarkChunkTreeOverlay(b *testing.B) {
	const n = 100_000
	hashes := make([]tlog.Hash, n)
	base := tlog.NewChunkTree(hashes)
	for _, changed := range []int{1, 3} {
		b.Run(fmt.Sprintf("%d of %d", changed, n), func(b *testing.B) {
			b.ReportAllocs()
			i := uint64(0)
			for b.Loop() {
				changes := make(map[uint64]tlog.Hash, changed)
				for range changed {
					i = (i + 7919) % n
					changes[i] = tlog.Hash{1}
				}
				base.Overlay(changes, n)
			}
		})
	}
}

func BenchmarkNewChunkTree(b *testing.B) {
	hashes := make([]tlog.Hash, 100_000)
	b.ReportAllocs()
	for b.Loop() {
		tlog.NewChunkTree(hashes)
	}
}

func BenchmarkPolicyVerify(b *testing.B) {
	p, note := testPolicy(4, 3), signed(testCheckpoint(), 0, 1, 2)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.Verify(note); err != nil {
			b.Fatal(err)
		}
	}
}
