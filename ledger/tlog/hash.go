package tlog

import "crypto/sha256"

// Hash is a SHA-256 value.
type Hash = [sha256.Size]byte

// maxSize is the largest tree, 2^63-1 leaves: other implementations count in int64, and an audit path never
// exceeds 63 hashes.
const maxSize = 1<<63 - 1

// LeafHash is the hash of an entry as a leaf: SHA-256(0x00 || entry), RFC 6962 section 2.1.
func LeafHash(entry []byte) Hash {
	h := sha256.New()
	h.Write([]byte{0x00})
	h.Write(entry)
	var sum Hash
	h.Sum(sum[:0])
	return sum
}

// NodeHash is the hash of an inner node: SHA-256(0x01 || l || r), RFC 6962 section 2.1.
func NodeHash(l, r Hash) Hash {
	var b [1 + 2*sha256.Size]byte
	b[0] = 0x01
	copy(b[1:], l[:])
	copy(b[1+sha256.Size:], r[:])
	return sha256.Sum256(b[:])
}

// Root is the Merkle tree hash over leaf hashes, RFC 6962 section 2.1; of none, SHA-256 of the empty string.
func Root(hashes []Hash) Hash {
	var f Frontier
	for _, h := range hashes {
		f.Append(h)
	}
	return f.Root()
}
