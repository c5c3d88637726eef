package ledger

import (
	"bytes"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"

	"github.com/quorate-pki/quorate/internal/reason"
)

// Offer is a transaction on its way to the signatures that it needs: complete but for those. Organisations that sign the same one pass
// it around as a file, each adds its own, and the last submits it. What is signed, by which keys and until when, is fixed when the offer
// is made.
type Offer struct {
	Tx      Tx
	Bodies  [][]byte
	payload []byte
	purpose Purpose
	signed  []*coseSignature // in the order of Tx.Signers; nil: missing
}

// NewOffer completes tx (version, signers, body digests) for the keys that are to sign it.
func NewOffer(tx Tx, bodies [][]byte, signers []Hash) *Offer {
	return newOffer(tx, bodies, signers, ForLedger)
}

func newOffer(tx Tx, bodies [][]byte, signers []Hash, p Purpose) *Offer {
	tx.Version, tx.Bodies = 1, nil
	tx.Signers = slices.SortedFunc(slices.Values(signers), func(a, b Hash) int { return bytes.Compare(a[:], b[:]) })
	for _, b := range bodies {
		tx.Bodies = append(tx.Bodies, Sum(b))
	}
	return &Offer{Tx: tx, Bodies: bodies, payload: Encode(&tx), purpose: p, signed: make([]*coseSignature, len(signers))}
}

// Sign adds a signature. A key that the offer does not name cannot sign it; one that signed already signs anew.
func (o *Offer) Sign(s Signer) error {
	i := slices.Index(o.Tx.Signers, s.KeyID())
	if i < 0 {
		return fmt.Errorf("signing a transaction: it is not for key %x to sign", s.KeyID())
	}
	protected := Encode(coseHeader{Alg: s.Alg(), KID: s.KeyID()})
	sig, err := s.SignCOSE(toBeSigned(protected, o.payload, o.purpose))
	if err != nil {
		return fmt.Errorf("signing a transaction: %w", err)
	}
	o.signed[i] = &coseSignature{Protected: protected, Signature: sig}
	return nil
}

// Missing are the ids of the keys that have not signed.
func (o *Offer) Missing() (out []Hash) {
	for i, s := range o.signed {
		if s == nil {
			out = append(out, o.Tx.Signers[i])
		}
	}
	return out
}

// Signatures are those that are there. Nobody has verified them.
func (o *Offer) Signatures() (out []Signature) {
	for _, s := range o.signed {
		if s == nil {
			continue
		}
		var h coseHeader
		if err := Decode(s.Protected, &h); err != nil {
			panic(err) // it was made here, or decoded before
		}
		out = append(out, Signature{KeyID: h.KID, Alg: h.Alg, ToBeSigned: toBeSigned(s.Protected, o.payload, o.purpose), Bytes: s.Signature})
	}
	return out
}

// Submission is the transaction, once every key has signed.
func (o *Offer) Submission() (*Submission, error) {
	if missing := o.Missing(); len(missing) > 0 {
		return nil, fmt.Errorf("signing a transaction: %d signatures are missing, the first of key %x", len(missing), missing[0])
	}
	env := envelope{Protected: []byte{}, Payload: o.payload}
	for _, s := range o.signed {
		env.Signatures = append(env.Signatures, *s)
	}
	raw := append(slices.Clone(coseTag), Encode(env)...)
	if _, err := ParseEnvelope(raw, o.purpose); err != nil {
		return nil, fmt.Errorf("signing a transaction: %w", err)
	}
	return &Submission{Envelope: raw, Bodies: o.Bodies}, nil
}

type offerWire struct {
	_          struct{} `cbor:",toarray"`
	Version    uint64
	Payload    []byte
	Bodies     [][]byte
	Signatures []coseSignature
}

const offerBlock = "QUORATE OFFER"

// MaxOfferFile is the most bytes of an offer file: a submission of the largest size, in base64.
const MaxOfferFile = MaxSubmission/3*4 + MaxSubmission/48 + 256

// Format writes the offer as text, which survives a letter: PEM (RFC 7468) with the label QUORATE OFFER.
func (o *Offer) Format() []byte {
	w := offerWire{Version: 1, Payload: o.payload, Bodies: o.Bodies, Signatures: []coseSignature{}}
	for _, s := range o.signed {
		if s != nil {
			w.Signatures = append(w.Signatures, *s)
		}
	}
	return pem.EncodeToMemory(&pem.Block{Type: offerBlock, Bytes: Encode(w)})
}

// ParseOffer reads an offer file and checks its form, not its signatures. Errors carry reason codes.
func ParseOffer(file []byte) (*Offer, error) {
	if len(file) > MaxOfferFile {
		return nil, reason.New(reason.TooLarge, "an offer file of %d bytes, at most %d", len(file), MaxOfferFile)
	}
	block, _ := pem.Decode(file)
	if block == nil || !bytes.Equal(pem.EncodeToMemory(&pem.Block{Type: offerBlock, Bytes: block.Bytes}), file) {
		return nil, reason.New(reason.Malformed, "not one PEM block %s as it was written", offerBlock)
	}
	var w offerWire
	if err := Decode(block.Bytes, &w); err != nil {
		return nil, reason.New(reason.Malformed, "the offer: %v", err)
	}
	if w.Version != 1 {
		return nil, reason.New(reason.Malformed, "offer version %d", w.Version)
	}
	o := &Offer{Bodies: w.Bodies, payload: w.Payload, purpose: ForLedger}
	if err := Decode(w.Payload, &o.Tx); err != nil {
		return nil, reason.New(reason.Malformed, "the offer: %v", err)
	}
	if err := o.adopt(w.Signatures); err != nil {
		return nil, err
	}
	return o, o.checkForm()
}

// adopt puts signatures at the places of their keys: in order, each once, none of another key.
func (o *Offer) adopt(signatures []coseSignature) error {
	o.signed = make([]*coseSignature, len(o.Tx.Signers))
	from := 0
	for _, s := range signatures {
		var h coseHeader
		if err := Decode(s.Protected, &h); err != nil {
			return reason.New(reason.Malformed, "the offer: %v", err)
		}
		i := slices.Index(o.Tx.Signers[from:], h.KID)
		if i < 0 {
			return reason.New(reason.Malformed, "the offer: signatures not in the order of the signers, or of no signer")
		}
		o.signed[from+i] = &s
		from += i + 1
	}
	return nil
}

// checkForm holds an offer to the form of the transaction that it becomes. What is missing is stood in for, to have one check of both.
func (o *Offer) checkForm() error {
	env := envelope{Protected: []byte{}, Payload: o.payload}
	for i, s := range o.signed {
		if s == nil {
			s = &coseSignature{Protected: Encode(coseHeader{Alg: AlgEdDSA, KID: o.Tx.Signers[i]}), Signature: make([]byte, 64)}
		}
		env.Signatures = append(env.Signatures, *s)
	}
	w := submissionWire{Version: 1, Envelope: append(slices.Clone(coseTag), Encode(env)...), Bodies: o.Bodies}
	if _, err := w.parse(o.purpose); err != nil {
		return err
	}
	if len(Encode(w)) > MaxSubmission {
		return reason.New(reason.TooLarge, "the offer: more than %d bytes", MaxSubmission)
	}
	return nil
}

// ProofBytes is a signature over a ProofMessage as an operation carries it: as it is, or from the DER form of ECDSA that OpenSSL and most
// hardware give. size is the length of r and of s: 32 for P-256, 48 for P-384, 0 for other keys.
func ProofBytes(sig []byte, size int) ([]byte, error) {
	switch {
	case size == 0 || len(sig) == 2*size:
		return sig, nil
	case len(sig) == 0:
		return nil, errors.New("no signature")
	}
	return rawECDSA(sig, size)
}
