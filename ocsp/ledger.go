package ocsp

import (
	"context"
	"crypto"
	"encoding/binary"
	"fmt"
	"sync"
	"time"

	"github.com/quorate-pki/quorate/ledger"
)

// LedgerSource answers from a ledger.Reader. Its Freshness reads the head before any status, so a status is never
// presented as fresher than what it was read from.
type LedgerSource struct {
	reader ledger.Reader

	mu     sync.RWMutex // guards what follows
	height uint64       // that the chunks were read at, or after
	chunks map[uint64]ledger.Chunk
}

// maxChunks bounds the chunks that are kept: 4 MiB, for 16 million leaves.
const maxChunks = 1 << 14

var _ Source = (*LedgerSource)(nil)

// NewLedgerSource makes a Source of a Reader.
func NewLedgerSource(reader ledger.Reader) *LedgerSource {
	return &LedgerSource{reader: reader, chunks: make(map[uint64]ledger.Chunk)}
}

// holder is a Reader that shows accepted revocations before they are final: since when a leaf is held, and a number that is
// another one whenever that may have changed.
type holder interface {
	Held(leaf uint64) (since time.Time, held bool)
	HoldsVersion() uint64
}

func (s *LedgerSource) held(leaf uint64) (time.Time, bool) {
	if h, ok := s.reader.(holder); ok {
		return h.Held(leaf)
	}
	return time.Time{}, false
}

// Freshness implements Source.
func (s *LedgerSource) Freshness(ctx context.Context) (Freshness, error) {
	var holds uint64
	if h, ok := s.reader.(holder); ok {
		holds = h.HoldsVersion() // before the head: a hold that ends is final by then
	}
	h, err := s.reader.Head(ctx)
	return Freshness{Time: h.Time, Version: h.Height<<24 | holds&(1<<24-1)}, err
}

// Proofs implements Source.
func (s *LedgerSource) Proofs(ctx context.Context, leaf uint64) (Proofs, error) {
	receipt, err := s.reader.Receipt(ctx, leaf)
	if err != nil {
		return Proofs{}, fmt.Errorf("the receipt of leaf %d: %w", leaf, err)
	}
	status, err := s.reader.Status(ctx, leaf)
	if err != nil {
		return Proofs{}, fmt.Errorf("the status of leaf %d: %w", leaf, err)
	}
	state, ok := states[status.Status]
	if !ok {
		return Proofs{}, fmt.Errorf("leaf %d has %s", leaf, status.Status)
	}
	return Proofs{Receipt: receipt, Status: status.Proof, State: state}, nil
}

// Issuers implements Source.
func (s *LedgerSource) Issuers(ctx context.Context) (out []RegisteredCA, err error) {
	for rec, err := range s.reader.Records(ctx, ledger.RecordCA, nil, nil) {
		if err != nil {
			return nil, fmt.Errorf("reading the registered CAs: %w", err)
		}
		var ca ledger.CARecord
		if err := ledger.Decode(rec.Value, &ca); err != nil {
			return nil, fmt.Errorf("reading a registered CA: %w", err)
		}
		out = append(out, RegisteredCA{Name: ca.Name, KeyBits: ca.KeyBits})
	}
	return out, nil
}

// Founded is the time of a log's first block: since when it keeps statuses. See Config.ArchiveCutoff.
func Founded(ctx context.Context, r ledger.Reader) (time.Time, error) {
	var first ledger.BlockRecord
	found, err := ledger.RecordsOf(ctx, r).Into(ledger.RecordHeight, make([]byte, 8), &first)
	if err == nil && !found {
		err = ledger.ErrNotFound
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("reading the first block's time: %w", err)
	}
	return first.Time.Time(), nil
}

// states are those of publications.
var states = map[ledger.Status]State{ledger.Good: Good, ledger.Suspended: Suspended, ledger.Revoked: Revoked}

// hashNumbers are the algorithms of ledger.CertIDKey.
var hashNumbers = map[crypto.Hash]uint8{crypto.SHA1: 1, crypto.SHA256: 2, crypto.SHA384: 3}

// maxSerial is the longest serial number a published certificate has, in content octets.
const maxSerial = 20

// Status implements Source.
func (s *LedgerSource) Status(ctx context.Context, id CertID) (Standing, error) {
	alg, ok := hashNumbers[id.Hash]
	if !ok || len(id.Serial) > maxSerial {
		return Standing{}, nil
	}
	get := ledger.RecordsOf(ctx, s.reader)
	at, err := ledger.FindCertID(get, alg, id.IssuerNameHash, id.IssuerKeyHash, id.Serial)
	if err != nil || at == nil {
		return Standing{}, err
	}
	// Before the state: a hold ends when what was decided is public, so whoever sees neither has looked between the two.
	since, held := s.held(at.Leaf)
	// Most are good, which the chunk of status bits says: one small record for a thousand certificates.
	chunk, err := s.chunk(ctx, at.Leaf/ledger.ChunkLeaves)
	if err != nil {
		return Standing{}, err
	}
	if chunk.Get(at.Leaf) == ledger.Good {
		if held {
			return Standing{Known: true, State: Suspended, At: since, Leaf: at.Leaf}, nil
		}
		return Standing{Known: true, State: Good, Leaf: at.Leaf}, nil
	}
	key, err := ledger.ReadKey(get, at.Key)
	if err != nil {
		return Standing{}, err
	}
	if key != nil {
		if err := key.CutOff(func(target []byte) ([]ledger.Cut, error) { return ledger.CutsOf(target, get.Into) }); err != nil {
			return Standing{}, err
		}
		for _, c := range key.Certificates {
			if c.Leaf == at.Leaf {
				return standing(c)
			}
		}
	}
	return Standing{}, fmt.Errorf("leaf %d is indexed and its key record does not have it", at.Leaf)
}

// chunk reads a status chunk of the newest state, or of one that has the same height.
func (s *LedgerSource) chunk(ctx context.Context, number uint64) (chunk ledger.Chunk, err error) {
	head, err := s.reader.Head(ctx)
	if err != nil {
		return chunk, err
	}
	s.mu.RLock()
	chunk, kept := s.chunks[number]
	kept = kept && s.height == head.Height
	s.mu.RUnlock()
	if kept {
		return chunk, nil
	}
	raw, err := ledger.RecordsOf(ctx, s.reader)(ledger.RecordChunk, binary.BigEndian.AppendUint64(nil, number))
	if err != nil {
		return chunk, err
	}
	if len(raw) != len(chunk) {
		return chunk, fmt.Errorf("status chunk %d has %d bytes", number, len(raw))
	}
	copy(chunk[:], raw)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.height < head.Height {
		clear(s.chunks)
		s.height = head.Height
	}
	if s.height == head.Height && len(s.chunks) < maxChunks {
		s.chunks[number] = chunk
	}
	return chunk, nil
}

func standing(c ledger.CertificateInfo) (Standing, error) {
	state, ok := states[c.Status]
	if !ok {
		return Standing{}, fmt.Errorf("leaf %d has %s", c.Leaf, c.Status)
	}
	s := Standing{Known: true, State: state, Leaf: c.Leaf}
	if state != Good {
		s.At = c.Since.Time()
	}
	if state == Revoked {
		s.Reason = int(c.Reason)
	}
	return s, nil
}
