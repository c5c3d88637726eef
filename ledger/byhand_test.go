package ledger

import (
	"bytes"
	"math/rand/v2"
	"reflect"
	"testing"
)

// fillAny gives a value, and what it holds, any values; of pointers and slices some are nil. Every field gets some in the end, so
// that one which is new and not encoded by hand is found.
func fillAny(v reflect.Value, r *rand.Rand) {
	empty := r.IntN(3) == 0
	switch v.Kind() {
	case reflect.Pointer:
		if !empty {
			v.Set(reflect.New(v.Type().Elem()))
			fillAny(v.Elem(), r)
		}
	case reflect.Slice:
		if !empty {
			v.Set(reflect.MakeSlice(v.Type(), r.IntN(300), 300))
		}
		fallthrough
	case reflect.Array:
		for i := range v.Len() {
			if r.IntN(20) > 0 || v.Len() < 20 {
				fillAny(v.Index(i), r)
			}
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				fillAny(v.Field(i), r)
			}
		}
	case reflect.Bool:
		v.SetBool(!empty)
	default:
		if !empty {
			v.SetUint(r.Uint64() >> r.IntN(64) & (1<<v.Type().Bits() - 1))
		}
	}
}

// TestByHand: what is encoded by hand is what the codec makes of it, and decodes to the same.
func TestByHand(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	demand := func(byHand []byte, v any) {
		t.Helper()
		if want := Encode(v); !bytes.Equal(byHand, want) {
			t.Fatalf("%+v is encoded as\n%x, want\n%x", v, byHand, want)
		}
	}
	for range 3000 {
		var (
			device DeviceRecord
			certID CertIDRecord
			pub    PublicationRecord
			key    keyWire
			op     OpLeaf
		)
		for _, v := range []any{&device, &certID, &pub, &key, &op} {
			fillAny(reflect.ValueOf(v).Elem(), r)
		}
		demand(device.Encode(), device)
		demand(certID.Encode(), certID)
		demand(pub.Encode(), &pub)
		demand(key.append(nil), &key)
		demand(op.Encode()[3:], &op)
	}
}

// TestPublishByHand: a body that is read by hand is read as the codec reads it, and nothing is that the codec refuses.
func TestPublishByHand(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	byHand := 0
	for range 20_000 {
		p := Publish{Profile: r.Uint64() >> r.IntN(64), Certificate: make([]byte, r.IntN(600))}
		if r.IntN(10) == 0 {
			p.Commitment = new(Hash)
		}
		raw := EncodeBody(OpPublish, p)
		for range r.IntN(3) { // change the heads, or the end
			at := min(r.IntN(20), len(raw)-1)
			switch r.IntN(4) {
			case 0:
				raw[at] = byte(r.Uint32())
			case 1:
				raw[at] ^= 1 << r.IntN(8)
			case 2:
				raw = append(raw[:at], append([]byte{byte(r.Uint32())}, raw[at:]...)...)
			case 3:
				raw = raw[:len(raw)-r.IntN(2)]
			}
		}
		got := parsePublish(raw)
		if got == nil {
			continue
		}
		byHand++
		var w bodyWire
		var want Publish
		if err := Decode(raw, &w); err != nil || w.Op != OpPublish {
			t.Fatalf("%x is read by hand: %v", raw, err)
		}
		if err := Decode(w.Arguments, &want); err != nil || checkBody(&want) != nil || !reflect.DeepEqual(got, &want) {
			t.Fatalf("%x is read by hand as %+v, not %+v: %v", raw, got, want, err)
		}
	}
	if byHand < 5000 {
		t.Errorf("only %d were read by hand", byHand)
	}
}
