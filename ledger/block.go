package ledger

import (
	"crypto/ed25519"
	"fmt"

	"github.com/fxamacker/cbor/v2"

	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger/tlog"
)

// Header is what a proposer signs. Its hash covers no vote and no engine data beyond the view.
type Header struct {
	Version  uint64 `cbor:"1,keyasint"`
	Channel  Hash   `cbor:"2,keyasint"` // zero in genesis: the channel id is the hash of what genesis holds
	Log      uint64 `cbor:"3,keyasint"`
	Height   uint64 `cbor:"4,keyasint"`
	View     uint64 `cbor:"5,keyasint"` // the orderer's term; 0 only in genesis
	Previous Hash   `cbor:"6,keyasint"` // hash of the previous header; zero in genesis
	Payload  Hash   `cbor:"7,keyasint"` // RFC 6962 tree hash over the envelopes
	Time     Millis `cbor:"8,keyasint"` // later than the previous block's
	Proposer Hash   `cbor:"9,keyasint"` // key id of the block key
}

// SignedHeader is a header's bytes and the proposer's Ed25519 signature over HeaderContext and these bytes.
type SignedHeader struct {
	_         struct{} `cbor:",toarray"`
	Header    []byte
	Signature []byte
}

// HeaderContext precedes the header's bytes in what is signed, so that no other signature can pose as one.
const HeaderContext = "quorate/header/1\n"

// Hash is the header hash: SHA-256 of the header's bytes without the signature.
func (s *SignedHeader) Hash() Hash { return Sum(s.Header) }

// Decode returns the header inside.
func (s *SignedHeader) Decode() (*Header, error) {
	var h Header
	if err := Decode(s.Header, &h); err != nil {
		return nil, err
	}
	if h.Version != 1 {
		return nil, fmt.Errorf("header version %d", h.Version)
	}
	if len(s.Signature) != ed25519.SignatureSize {
		return nil, fmt.Errorf("header signature of %d bytes", len(s.Signature))
	}
	return &h, nil
}

// VerifiedBy reports whether the proposer's block key signed the header.
func (s *SignedHeader) VerifiedBy(key ed25519.PublicKey) bool {
	return len(key) == ed25519.PublicKeySize && ed25519.Verify(key, append([]byte(HeaderContext), s.Header...), s.Signature)
}

// SignHeader signs a header with a block key.
func SignHeader(h *Header, key ed25519.PrivateKey) SignedHeader {
	raw := Encode(h)
	return SignedHeader{Header: raw, Signature: ed25519.Sign(key, append([]byte(HeaderContext), raw...))}
}

type blockWire struct {
	_       struct{} `cbor:",toarray"`
	Version uint64
	Header  SignedHeader
	Txs     []submissionWire
}

// Block is a decoded block whose form, body digests and payload hash were checked; nothing else was.
type Block struct {
	Signed SignedHeader
	Header *Header
	Hash   Hash // of the header
	Txs    []*Parsed
}

// EncodeBlock builds the bytes of a block.
func EncodeBlock(h SignedHeader, txs []*Parsed) []byte {
	w := blockWire{Version: 1, Header: h, Txs: make([]submissionWire, len(txs))}
	for i, t := range txs {
		w.Txs[i] = submissionWire{Version: 1, Envelope: t.Raw, Bodies: t.Bodies}
	}
	return Encode(w)
}

// ParseBlock decodes a block. An error means that the block as a whole is invalid, never one transaction of it.
func ParseBlock(raw []byte) (*Block, error) {
	if len(raw) > MaxBlock {
		return nil, reason.New(reason.TooLarge, "block of %d bytes, at most %d", len(raw), MaxBlock)
	}
	var w blockWire
	if err := Decode(raw, &w); err != nil {
		return nil, reason.New(reason.Malformed, "%v", err)
	}
	if w.Version != 1 || len(w.Txs) == 0 || len(w.Txs) > MaxOperations {
		return nil, reason.New(reason.Malformed, "block version %d with %d transactions", w.Version, len(w.Txs))
	}
	h, err := w.Header.Decode()
	if err != nil {
		return nil, reason.New(reason.Malformed, "%v", err)
	}
	b := &Block{Signed: w.Header, Header: h, Hash: w.Header.Hash()}
	for i := range w.Txs {
		p, err := w.Txs[i].parse(ForLedger)
		if err == nil && p.size() > MaxSubmission {
			err = reason.New(reason.TooLarge, "submission of more than %d bytes", MaxSubmission)
		}
		if err != nil {
			return nil, fmt.Errorf("transaction %d: %w", i, err)
		}
		b.Txs = append(b.Txs, p)
	}
	if PayloadHash(b.Txs) != h.Payload {
		return nil, reason.New(reason.Malformed, "payload hash does not match the transactions")
	}
	return b, nil
}

// BlockHeader reads the header of a block, and nothing else: the rest may not even decode.
func BlockHeader(raw []byte) (*Header, Hash, error) {
	var w struct {
		_       struct{} `cbor:",toarray"`
		Version uint64
		Header  SignedHeader
		Txs     cbor.RawMessage
	}
	if len(raw) > MaxBlock {
		return nil, Hash{}, reason.New(reason.TooLarge, "block of %d bytes, at most %d", len(raw), MaxBlock)
	}
	err := Decode(raw, &w)
	if err == nil && w.Version != 1 {
		err = fmt.Errorf("block version %d", w.Version)
	}
	var h *Header
	if err == nil {
		h, err = w.Header.Decode()
	}
	if err != nil {
		return nil, Hash{}, reason.New(reason.Malformed, "%v", err)
	}
	return h, w.Header.Hash(), nil
}

// PayloadHash is the RFC 6962 tree hash over the envelopes, so that a block can be checked from tiles, which
// hold envelopes (transaction leaves) or their leaf hashes (epoch key 6).
func PayloadHash(txs []*Parsed) Hash {
	hs := make([]Hash, len(txs))
	for i, t := range txs {
		hs[i] = tlog.LeafHash(t.Raw)
	}
	return tlog.Root(hs)
}
