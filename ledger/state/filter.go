package state

import "encoding/binary"

// Filter is a blocked Bloom filter over the keys of the records that uniqueness asks for: all bits of a key are in one line of the
// processor's cache. It may only save reads: "may have" is answered by the store. With 10^6 certificates it is the difference
// between half and 0.87 of the possible throughput. It grows by adding a filter of twice the size; about 0.01 % false
// positives a part, and a dozen parts at 10^8 keys; 24 bits a key.
type Filter struct{ parts []filterPart }

type filterPart struct {
	blocks []filterBlock
	count  int
	limit  int
}

type filterBlock [8]uint64

const (
	filterFirst  = 1 << 16 // keys the first part holds
	filterBits   = 24      // bits a key
	filterProbes = 7
	blockBits    = 512
)

// NewFilter returns an empty filter.
func NewFilter() *Filter { return new(Filter) }

// place is a key's block. A key is itself a SHA-256 value, so its bytes serve as hashes; not the first eight of them: a state is loaded in
// the order of its keys, so the keys of one part all begin alike, and would fill some of its blocks and leave the others empty.
func (p *filterPart) place(key []byte) *filterBlock {
	return &p.blocks[binary.LittleEndian.Uint64(key[8:])%uint64(len(p.blocks))]
}

// blockBitsOf are a key's in its block: nine of the hash's for each.
func blockBitsOf(key []byte) (out filterBlock) {
	h := binary.LittleEndian.Uint64(key[16:])
	for range filterProbes {
		at := h % blockBits
		out[at/64] |= 1 << (at % 64)
		h /= blockBits
	}
	return out
}

func (b *filterBlock) has(bits *filterBlock) bool {
	for i := range b {
		if b[i]&bits[i] != bits[i] {
			return false
		}
	}
	return true
}

// Add adds a key of at least 24 uniformly distributed bytes.
func (f *Filter) Add(key []byte) {
	if f.MayHave(key) {
		return
	}
	if n := len(f.parts); n == 0 || f.parts[n-1].count == f.parts[n-1].limit {
		limit := filterFirst << n
		f.parts = append(f.parts, filterPart{blocks: make([]filterBlock, limit*filterBits/blockBits), limit: limit})
	}
	p := &f.parts[len(f.parts)-1]
	p.count++
	b := p.place(key)
	for i, bits := range blockBitsOf(key) {
		b[i] |= bits
	}
}

// MayHave is false only for keys never added.
func (f *Filter) MayHave(key []byte) bool {
	bits := blockBitsOf(key)
	for i := range f.parts {
		if f.parts[i].place(key).has(&bits) {
			return true
		}
	}
	return false
}
