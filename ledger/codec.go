package ledger

import (
	"bytes"
	"errors"
	"fmt"
	"sync"

	"github.com/fxamacker/cbor/v2"
)

// ErrNotCanonical means that bytes decode but are not the one encoding of what they say.
var ErrNotCanonical = errors.New("not in the one accepted encoding")

type codec struct {
	enc cbor.EncMode
	dec cbor.DecMode
}

var newCodec = sync.OnceValue(func() codec {
	opts := cbor.CoreDetEncOptions()
	opts.NilContainers = cbor.NilContainerAsEmpty // never null, so a null re-encodes to something else and is refused
	enc, err := opts.EncMode()
	if err != nil {
		panic(fmt.Errorf("the CBOR encoding options are constants: %w", err))
	}
	dec, err := cbor.DecOptions{
		DupMapKey:         cbor.DupMapKeyEnforcedAPF,
		IndefLength:       cbor.IndefLengthForbidden,
		TagsMd:            cbor.TagsForbidden,
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
		UTF8:              cbor.UTF8RejectInvalid,
		MaxArrayElements:  MaxOperations + 1,
		MaxMapPairs:       64,
		MaxNestedLevels:   12,
	}.DecMode()
	if err != nil {
		panic(fmt.Errorf("the CBOR decoding options are constants: %w", err))
	}
	return codec{enc, dec}
})

// Encode returns the one encoding of v. It fails only on types that this package never passes.
func Encode(v any) []byte {
	b, err := newCodec().enc.Marshal(v)
	if err != nil {
		panic(fmt.Errorf("encoding %T: %w", v, err))
	}
	return b
}

// Decode reads data into v and demands that v encodes to exactly these bytes again, so that missing keys, long
// integers, wrong order and over-long or short byte strings are all refused. The caller checks the size before.
func Decode(data []byte, v any) error {
	if err := newCodec().dec.Unmarshal(data, v); err != nil {
		return fmt.Errorf("decoding %T: %w", v, err)
	}
	again, err := newCodec().enc.Marshal(v)
	if err != nil {
		return fmt.Errorf("decoding %T: %w", v, err)
	}
	if !bytes.Equal(again, data) {
		return fmt.Errorf("decoding %T: %w", v, ErrNotCanonical)
	}
	return nil
}
