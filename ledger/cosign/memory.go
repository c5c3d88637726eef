// Package cosign keeps a member's cosigning key honest: the signer memory, one durable record of the newest
// statement the key ever signed. Specification: C2SP tlog-cosignature; the witness rule "persist before
// responding, check and persist atomically" of C2SP tlog-witness.
//
// It must never return a signature whose statement is not durable in the memory, nor sign anything that
// contradicts it: a smaller tree, another root at the same size, an earlier time.
package cosign

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/quorate-pki/quorate/internal/durable"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/commit"
	"github.com/quorate-pki/quorate/ledger/tlog"
)

// What the caller must do.
var (
	// ErrMissing: there is no memory where there must be one. The key may have signed what this machine does not
	// know; rejoin, or rotate the key.
	ErrMissing = errors.New("the signer memory is missing")
	// ErrContradiction: signing this would contradict what the key signed before. Never retry.
	ErrContradiction = errors.New("contradicts what this key signed before")
)

// maxFile bounds the memory file: a few hundred bytes, and room for a vote and a seal.
const maxFile = 1 << 16

// Config of a Signer.
type Config struct {
	FS      vfs.FS
	Path    string               // of the memory file
	Keys    []ed25519.PrivateKey // that this member cosigns by: the one in force, and those before and after it that it has
	Name    string               // cosigner name, <consortium>/<member>
	Origin  string               // of the log
	Channel ledger.Hash
	// Inception creates the memory of a key that never signed. Danger: with a key that did sign, this forgets
	// what; only the founding of a channel sets it.
	Inception bool
}

// Signer is a cosigning key with its memory. Not safe for concurrent use.
type Signer struct {
	cfg  Config
	last *commit.Signed
	err  error // of the Sign that failed: whether the memory has its statement is not known
}

// record is the memory file: canonical CBOR.
type record struct {
	Version   uint64      `cbor:"1,keyasint"`
	Channel   ledger.Hash `cbor:"2,keyasint"`
	Log       uint64      `cbor:"3,keyasint"`
	Height    uint64      `cbor:"4,keyasint"`
	Size      uint64      `cbor:"5,keyasint"`
	Root      ledger.Hash `cbor:"6,keyasint"`
	Header    ledger.Hash `cbor:"7,keyasint"`
	Time      uint64      `cbor:"8,keyasint"`
	Signature []byte      `cbor:"9,keyasint"`
	Vote      []byte      `cbor:"10,keyasint,omitempty"` // reserved
	Seal      []byte      `cbor:"11,keyasint,omitempty"` // reserved
	// Sum is SHA-256 of the record without this key: the signature covers size, root and time, and nothing else here.
	Sum []byte `cbor:"12,keyasint,omitempty"`
}

func (r record) sum() []byte {
	r.Sum = nil
	h := ledger.Sum(ledger.Encode(r))
	return h[:]
}

// Open reads the memory and checks that it is this key's and this channel's.
func Open(cfg Config) (*Signer, error) {
	s := &Signer{cfg: cfg}
	raw, err := durable.Read(cfg.FS, cfg.Path, maxFile)
	if errors.Is(err, fs.ErrNotExist) {
		if cfg.Inception {
			return s, nil
		}
		return nil, fmt.Errorf("%s: %w", cfg.Path, ErrMissing)
	}
	if err != nil {
		return nil, fmt.Errorf("opening the signer memory: %w", err)
	}
	err = errors.New("this member has no cosigning key")
	for _, key := range s.VKeys() { // the one that signed last may be one that it gave up since
		if s.last, err = Parse(raw, cfg.Channel, cfg.Origin, key); err == nil {
			return s, nil
		}
	}
	return nil, fmt.Errorf("opening the signer memory %s: %w", cfg.Path, err)
}

// VKeys are the keys that this Signer signs by.
func (s *Signer) VKeys() (out []tlog.VKey) {
	for _, k := range s.cfg.Keys {
		out = append(out, tlog.VKey{Name: s.cfg.Name, Type: tlog.TypeCosignature, Public: k.Public().(ed25519.PublicKey)})
	}
	return out
}

// Parse decodes a memory file and verifies the signature inside. A memory that names no signature yet (height 0,
// size 0) is not a thing: the file appears with the first signature.
func Parse(raw []byte, channel ledger.Hash, origin string, key tlog.VKey) (*commit.Signed, error) {
	var r record
	if err := ledger.Decode(raw, &r); err != nil {
		return nil, err
	}
	if !bytes.Equal(r.Sum, r.sum()) {
		return nil, errors.New("its bytes are damaged: the checksum differs")
	}
	if r.Version != 1 || r.Channel != channel {
		return nil, errors.New("of another version or channel")
	}
	sig := tlog.Signature{Name: key.Name, ID: key.ID(), Bytes: r.Signature}
	t, ok := tlog.VerifyCosignature(tlog.Checkpoint{Origin: origin, Size: r.Size, Root: r.Root}, key, sig)
	if !ok || t != r.Time {
		return nil, errors.New("its signature does not verify")
	}
	return &commit.Signed{Statement: commit.Statement{Log: r.Log, Height: r.Height, Size: r.Size, Root: r.Root, Header: r.Header, Time: r.Time},
		Signature: sig}, nil
}

// Last is the newest statement signed, or nil.
func (s *Signer) Last() *commit.Signed { return s.last }

// Sign cosigns a statement by one of its keys: check, sign, remember durably, return. One memory serves them all: a member contradicts itself by no key. When remembering fails the file may be old or new,
// so this Signer signs nothing any more: start again from the file.
func (s *Signer) Sign(st commit.Statement, by tlog.VKey) (commit.Signed, error) {
	if s.err != nil {
		return commit.Signed{}, s.err
	}
	i := slices.IndexFunc(s.VKeys(), func(k tlog.VKey) bool { return k.Equal(by) })
	if i < 0 {
		return commit.Signed{}, fmt.Errorf("the cosigning key %08x is not here", by.ID())
	}
	if l := s.last; l != nil {
		switch {
		case st.Size < l.Size, st.Time < l.Time, st.Height < l.Height, st.Log < l.Log:
			return commit.Signed{}, fmt.Errorf("size %d at time %d: %w", st.Size, st.Time, ErrContradiction)
		case st.Size == l.Size && (st.Root != l.Root || st.Header != l.Header):
			return commit.Signed{}, fmt.Errorf("another root at size %d: %w", st.Size, ErrContradiction)
		case st.Log == l.Log && (st.Height == l.Height) != (st.Size == l.Size):
			return commit.Signed{}, fmt.Errorf("size %d at height %d: %w", st.Size, st.Height, ErrContradiction)
		}
	}
	cp := tlog.Checkpoint{Origin: s.cfg.Origin, Size: st.Size, Root: st.Root}
	out := commit.Signed{Statement: st, Signature: tlog.Cosign(cp, s.cfg.Name, st.Time, s.cfg.Keys[i])}
	if _, ok := tlog.VerifyCosignature(cp, by, out.Signature); !ok {
		// Remembering it would make a memory that does not open.
		return commit.Signed{}, fmt.Errorf("a cosignature on size %d at time %d does not verify", st.Size, st.Time)
	}
	r := record{Version: 1, Channel: s.cfg.Channel, Log: st.Log, Height: st.Height, Size: st.Size, Root: st.Root,
		Header: st.Header, Time: st.Time, Signature: out.Signature.Bytes}
	r.Sum = r.sum()
	// A crash before the rename: never signed, nobody saw the signature. After: re-execution must give this root.
	if err := durable.Replace(s.cfg.FS, s.cfg.Path, ledger.Encode(r)); err != nil {
		s.err = fmt.Errorf("remembering a signature: %w", err)
		return commit.Signed{}, s.err
	}
	s.last = &out
	return out, nil
}
