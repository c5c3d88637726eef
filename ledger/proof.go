package ledger

import "fmt"

// ReceiptExtra is the extra data of a receipt: with the certificate it rebuilds the entry that the tlog-proof
// proves. Receipts of entries that are no publications carry the whole entry in Before.
type ReceiptExtra struct {
	Version    uint64   `cbor:"1,keyasint"`
	Before     []byte   `cbor:"2,keyasint"` // entry = Before || certificate || After
	After      []byte   `cbor:"3,keyasint"`
	MemberSets [][]byte `cbor:"4,keyasint,omitempty"` // encoded MemberSetLinks, oldest first
	Salt       []byte   `cbor:"5,keyasint,omitempty"` // reserved: commitment form
}

// StatusExtra is the extra data of a status proof, which is a tlog-proof of the epoch leaf.
type StatusExtra struct {
	Version uint64       `cbor:"1,keyasint"`
	Epoch   []byte       `cbor:"2,keyasint"` // the entry proved
	Number  uint64       `cbor:"3,keyasint"` // chunk number = leaf / 1024
	Chunk   []byte       `cbor:"4,keyasint"`
	Path    []Hash       `cbor:"5,keyasint"`           // from the chunk to the status root
	Cause   *StatusCause `cbor:"6,keyasint,omitempty"` // present when the status was ever changed
}

// StatusCause proves the entry that gave the leaf its present status.
type StatusCause struct {
	_     struct{} `cbor:",toarray"`
	Index uint64
	Entry []byte
	Path  []Hash // inclusion proof in the same checkpoint
}

// ParseReceiptExtra decodes the extra data of a receipt.
func ParseReceiptExtra(raw []byte) (*ReceiptExtra, error) {
	var x ReceiptExtra
	if err := Decode(raw, &x); err != nil {
		return nil, err
	}
	if x.Version != 1 || x.Salt != nil {
		return nil, fmt.Errorf("receipt extra version %d", x.Version)
	}
	return &x, nil
}

// Links decodes the member sets that a receipt brings.
func (x *ReceiptExtra) Links() ([]MemberSetLink, error) {
	out := make([]MemberSetLink, len(x.MemberSets))
	for i, raw := range x.MemberSets {
		if err := Decode(raw, &out[i]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// ParseStatusExtra decodes the extra data of a status proof.
func ParseStatusExtra(raw []byte) (*StatusExtra, error) {
	var x StatusExtra
	if err := Decode(raw, &x); err != nil {
		return nil, err
	}
	if x.Version != 1 {
		return nil, fmt.Errorf("status extra version %d", x.Version)
	}
	return &x, nil
}
