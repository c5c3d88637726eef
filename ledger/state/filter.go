package state

import "encoding/binary"

// Filter is a Bloom filter over the keys of the records that uniqueness asks for. It may only save reads: "may
// have" is answered by the store. With 10^6 certificates it is the difference between half and 0.87 of the
// possible throughput. It grows by adding a filter of twice the size; about 0.05 % false positives a
// part, and a dozen parts at 10^8 keys; 16 bits a key.
type Filter struct{ parts []filterPart }

type filterPart struct {
	bits  []uint64
	count int
	limit int
}

const (
	filterFirst  = 1 << 16 // keys the first part holds
	filterBits   = 16      // bits a key
	filterProbes = 11
)

// NewFilter returns an empty filter.
func NewFilter() *Filter { return new(Filter) }

// probe derives the k-th bit from a key, which is itself a SHA-256 value, so its bytes serve as hashes.
func probe(key []byte, k int, n int) int {
	a, b := binary.LittleEndian.Uint64(key), binary.LittleEndian.Uint64(key[8:])|1
	return int((a + uint64(k)*b) % uint64(n))
}

// Add adds a key of at least 16 uniformly distributed bytes.
func (f *Filter) Add(key []byte) {
	if f.MayHave(key) {
		return
	}
	if n := len(f.parts); n == 0 || f.parts[n-1].count == f.parts[n-1].limit {
		limit := filterFirst << n
		f.parts = append(f.parts, filterPart{bits: make([]uint64, limit*filterBits/64), limit: limit})
	}
	p := &f.parts[len(f.parts)-1]
	p.count++
	for k := range filterProbes {
		i := probe(key, k, 64*len(p.bits))
		p.bits[i/64] |= 1 << (i % 64)
	}
}

// MayHave is false only for keys never added.
func (f *Filter) MayHave(key []byte) bool {
parts:
	for i := range f.parts {
		p := &f.parts[i]
		for k := range filterProbes {
			b := probe(key, k, 64*len(p.bits))
			if p.bits[b/64]&(1<<(b%64)) == 0 {
				continue parts
			}
		}
		return true
	}
	return false
}
