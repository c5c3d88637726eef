package ledger

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/quorate-pki/quorate/internal/reason"
)

// Mode says what happens to a transaction's other operations when one is refused.
type Mode uint8

const (
	EachAlone    Mode = 0 // each operation stands alone
	AllOrNothing Mode = 1 // one refusal undoes all (the others get the code not-applied)
)

// Tx is the signed payload of a transaction. Its id is the hash of its encoding.
type Tx struct {
	Version uint64   `cbor:"1,keyasint"`
	Channel Hash     `cbor:"2,keyasint"` // SHA-256 of the genesis payload; zero in genesis itself
	Expiry  Millis   `cbor:"3,keyasint"` // block time < expiry <= block time + 24 h
	Mode    Mode     `cbor:"4,keyasint"`
	Signers []Hash   `cbor:"5,keyasint"` // key ids, sorted, exactly those of the envelope
	Nonce   [16]byte `cbor:"6,keyasint"`
	Bodies  []Hash   `cbor:"7,keyasint"` // SHA-256 of each operation body, in order
}

// ID is the transaction id.
func (t *Tx) ID() Hash { return Sum(Encode(t)) }

// coseTag opens every envelope: CBOR tag 98, COSE_Sign (RFC 9052 section 4.1). It is the only tag accepted, in
// the only place, so the decoder itself can forbid tags.
var coseTag = []byte{0xd8, 0x62}

type emptyMap struct{}

type envelope struct {
	_           struct{} `cbor:",toarray"`
	Protected   []byte
	Unprotected emptyMap
	Payload     []byte
	Signatures  []coseSignature
}

type coseSignature struct {
	_           struct{} `cbor:",toarray"`
	Protected   []byte
	Unprotected emptyMap
	Signature   []byte
}

type coseHeader struct {
	Alg int64 `cbor:"1,keyasint"` // -7 ES256, -35 ES384, -8 EdDSA, -37 PS256
	KID Hash  `cbor:"4,keyasint"` // SHA-256 of the SPKI
}

// Algorithms of transaction signatures (RFC 9053 section 2, RFC 8230 section 2).
const (
	AlgES256 int64 = -7
	AlgES384 int64 = -35
	AlgEdDSA int64 = -8
	AlgPS256 int64 = -37
)

// Signature is one signature of an envelope, not yet verified.
type Signature struct {
	KeyID      Hash
	Alg        int64
	ToBeSigned []byte // Sig_structure (RFC 9052 section 4.4)
	Bytes      []byte
}

// Envelope is a decoded, unverified transaction.
type Envelope struct {
	Raw        []byte
	Payload    []byte
	Tx         Tx
	ID         Hash
	Signatures []Signature // in the order of Tx.Signers
}

// Purpose is the external_aad of a transaction's signatures: what the signature may be used for.
type Purpose string

const (
	// ForLedger is the purpose of a real transaction.
	ForLedger Purpose = "quorate/tx/1"
	// ForDryRun makes a transaction that nodes judge but no ledger accepts, so that nobody who sees a dry run can
	// submit it.
	ForDryRun Purpose = "quorate/dry-run/1"
)

type sigStructure struct {
	_             struct{} `cbor:",toarray"`
	Context       string
	BodyProtected []byte
	SignProtected []byte
	ExternalAAD   []byte
	Payload       []byte
}

func toBeSigned(protected, payload []byte, p Purpose) []byte {
	return Encode(sigStructure{Context: "Signature", BodyProtected: []byte{}, SignProtected: protected,
		ExternalAAD: []byte(p), Payload: payload})
}

// Signer signs transactions with one key.
type Signer interface {
	KeyID() Hash // SHA-256 of the SPKI
	Alg() int64
	// SignCOSE signs a Sig_structure; ECDSA signatures are r||s of fixed size (RFC 9053 section 2.1).
	SignCOSE(tbs []byte) ([]byte, error)
}

// SignTx completes tx (version, signers, body digests) and signs it.
func SignTx(tx Tx, bodies [][]byte, p Purpose, signers ...Signer) (*Submission, error) {
	var ids []Hash
	for _, s := range signers {
		ids = append(ids, s.KeyID())
	}
	o := newOffer(tx, bodies, ids, p)
	for _, s := range signers {
		if err := o.Sign(s); err != nil {
			return nil, err
		}
	}
	return o.Submission()
}

// ParseEnvelope decodes an envelope and checks its form, not its signatures. Errors carry reason codes.
func ParseEnvelope(raw []byte, p Purpose) (*Envelope, error) {
	if len(raw) > MaxEnvelope {
		return nil, reason.New(reason.TooLarge, "envelope of %d bytes, at most %d", len(raw), MaxEnvelope)
	}
	inner, ok := bytes.CutPrefix(raw, coseTag)
	if !ok {
		return nil, reason.New(reason.Malformed, "not tagged 98 (COSE_Sign)")
	}
	var env envelope
	if err := Decode(inner, &env); err != nil {
		return nil, reason.New(reason.Malformed, "%v", err)
	}
	out := &Envelope{Raw: raw, Payload: env.Payload, ID: Sum(env.Payload)}
	if err := Decode(env.Payload, &out.Tx); err != nil {
		return nil, reason.New(reason.Malformed, "%v", err)
	}
	if err := out.checkForm(&env, p); err != nil {
		return nil, reason.New(reason.Malformed, "%v", err)
	}
	return out, nil
}

func (e *Envelope) checkForm(env *envelope, p Purpose) error {
	tx := &e.Tx
	switch {
	case len(env.Protected) != 0:
		return errors.New("body protected header must be empty")
	case tx.Version != 1:
		return fmt.Errorf("version %d", tx.Version)
	case tx.Mode > AllOrNothing:
		return fmt.Errorf("mode %d", tx.Mode)
	case len(tx.Bodies) == 0 || len(tx.Bodies) > MaxOperations:
		return fmt.Errorf("%d operations", len(tx.Bodies))
	case len(tx.Signers) == 0 || len(tx.Signers) > MaxSigners || len(tx.Signers) != len(env.Signatures):
		return fmt.Errorf("%d signers and %d signatures", len(tx.Signers), len(env.Signatures))
	}
	for i, id := range tx.Signers {
		if i > 0 && bytes.Compare(tx.Signers[i-1][:], id[:]) >= 0 {
			return errors.New("signers not sorted or not distinct")
		}
		s := env.Signatures[i]
		var h coseHeader
		if err := Decode(s.Protected, &h); err != nil {
			return err
		}
		if h.KID != id {
			return errors.New("signatures not in the order of the signers")
		}
		switch h.Alg {
		case AlgES256, AlgES384, AlgEdDSA, AlgPS256:
		default:
			return fmt.Errorf("algorithm %d", h.Alg)
		}
		if n := len(s.Signature); n < 64 || n > 1024 {
			return fmt.Errorf("signature of %d bytes", n)
		}
		e.Signatures = append(e.Signatures, Signature{KeyID: id, Alg: h.Alg,
			ToBeSigned: toBeSigned(s.Protected, env.Payload, p), Bytes: s.Signature})
	}
	return nil
}

// Submission is an envelope with the operation bodies it signs, as it travels and as blocks carry it.
type Submission struct {
	Envelope []byte
	Bodies   [][]byte
}

type submissionWire struct {
	_        struct{} `cbor:",toarray"`
	Version  uint64
	Envelope []byte
	Bodies   [][]byte
}

// Encode returns the submission's bytes.
func (s *Submission) Encode() []byte {
	return Encode(submissionWire{Version: 1, Envelope: s.Envelope, Bodies: s.Bodies})
}

// Parsed is a submission whose form was checked: what judgement starts from.
type Parsed struct {
	*Envelope
	Bodies [][]byte
}

// ParseSubmission decodes a submission, its envelope, and checks that the bodies are those signed.
func ParseSubmission(raw []byte, p Purpose) (*Parsed, error) {
	if len(raw) > MaxSubmission {
		return nil, reason.New(reason.TooLarge, "submission of %d bytes, at most %d", len(raw), MaxSubmission)
	}
	var w submissionWire
	if err := Decode(raw, &w); err != nil {
		return nil, reason.New(reason.Malformed, "%v", err)
	}
	return w.parse(p)
}

func (w *submissionWire) parse(p Purpose) (*Parsed, error) {
	if w.Version != 1 {
		return nil, reason.New(reason.Malformed, "submission version %d", w.Version)
	}
	env, err := ParseEnvelope(w.Envelope, p)
	if err != nil {
		return nil, err
	}
	if len(w.Bodies) != len(env.Tx.Bodies) {
		return nil, reason.New(reason.BodyMismatch, "%d bodies, %d digests", len(w.Bodies), len(env.Tx.Bodies))
	}
	for i, b := range w.Bodies {
		if len(b) == 0 || len(b) > MaxBody {
			return nil, reason.New(reason.TooLarge, "body %d of %d bytes, at most %d", i, len(b), MaxBody)
		}
		if Sum(b) != env.Tx.Bodies[i] {
			return nil, reason.New(reason.BodyMismatch, "body %d", i)
		}
	}
	return &Parsed{Envelope: env, Bodies: w.Bodies}, nil
}

// size is the length of the submission's encoding.
func (p *Parsed) size() int {
	n := 2 + bstrSize(len(p.Raw)) + headSize(len(p.Bodies))
	for _, b := range p.Bodies {
		n += bstrSize(len(b))
	}
	return n
}

func bstrSize(n int) int { return headSize(n) + n }

// headSize is the length of a CBOR head with this argument (RFC 8949 section 3).
func headSize(n int) int {
	switch {
	case n < 24:
		return 1
	case n < 1<<8:
		return 2
	case n < 1<<16:
		return 3
	}
	return 5
}
