package ledger

// Status is the two bits a leaf has.
type Status uint8

const (
	NoStatus  Status = 0 // not a publication; never good
	Good      Status = 1
	Suspended Status = 2
	Revoked   Status = 3
)

func (s Status) String() string {
	switch s {
	case Good:
		return "good"
	case Suspended:
		return "suspended"
	case Revoked:
		return "revoked"
	}
	return "no status"
}

const (
	ChunkSize   = 256  // bytes of a status chunk
	ChunkLeaves = 1024 // leaves a chunk holds the status of
)

// Chunk is a status chunk: leaf i has bits 2*(i mod 4).. of byte (i mod 1024)/4, low bits first.
type Chunk [ChunkSize]byte

// Get reads the status of a leaf in its chunk.
func (c *Chunk) Get(leaf uint64) Status {
	i := leaf % ChunkLeaves
	return Status(c[i/4] >> (2 * (i % 4)) & 3)
}

// Set writes the status of a leaf in its chunk.
func (c *Chunk) Set(leaf uint64, s Status) {
	i := leaf % ChunkLeaves
	shift := 2 * (i % 4)
	c[i/4] = c[i/4]&^(3<<shift) | byte(s&3)<<shift
}

// Chunks is the number of chunks that cover leaves [0, leaves).
func Chunks(leaves uint64) uint64 { return (leaves + ChunkLeaves - 1) / ChunkLeaves }
