package profile

import (
	"bytes"
	"errors"
	"testing"

	"github.com/quorate-pki/quorate/internal/reason"
)

// refused demands that Parse refuses, with a code of its own range.
func refused(t *testing.T, der []byte, what string, at int) {
	t.Helper()
	c, err := Parse(der)
	if err == nil {
		t.Errorf("%s %d is accepted", what, at)
		return
	}
	var fault *reason.Error
	if c != nil || !errors.As(err, &fault) || fault.Code < 100 || fault.Code > 199 {
		t.Errorf("%s %d: %v", what, at, err)
	}
}

func TestTruncated(t *testing.T) {
	der := good(t, ed(t), Ed25519Sig).build(t)
	for n := range der {
		refused(t, der[:n], "cut at", n)
		refused(t, der[n+1:], "begun after", n)
	}
}

// TestEveryBit flips every bit of a good certificate. None may pass: strict reading leaves a certificate one
// encoding, and the signature covers the rest. Ed25519 signatures have one form; of an ECDSA signature (r, s) also
// (r, n-s) is valid, which no single bit makes.
func TestEveryBit(t *testing.T) {
	keys := newKeys(t)
	for kind, alg := range map[KeyKind]SigAlg{Ed25519: Ed25519Sig, P256: ECDSAWithSHA256, RSA: RSAPKCS1SHA256} {
		der := good(t, keys[kind], alg).build(t)
		for i := range 8 * len(der) {
			flipped := bytes.Clone(der)
			flipped[i/8] ^= 1 << (i % 8)
			c, err := Parse(flipped)
			if err == nil && c.CheckSelfSignature() == nil {
				t.Errorf("%s: bit %d flipped is accepted", kind, i)
			}
		}
	}
}

// TestEveryLength gives every element of a good certificate every other form of its length: long, indefinite,
// padded, one more, one less.
func TestEveryLength(t *testing.T) {
	der := good(t, ed(t), Ed25519Sig).build(t)
	elements(der, 0, func(at, header, size int) {
		n := size - header
		long := []byte{byte(n >> 16), byte(n >> 8), byte(n)}
		for i, form := range [][]byte{
			{0x80}, {0xff},
			append([]byte{0x83}, long...), append([]byte{0x84, 0}, long...), append([]byte{0x85, 0, 0}, long...),
			{byte(0x80 | 1), byte(n)}, {0x82, byte(n >> 8), byte(n)},
		} {
			if bytes.Equal(form, der[at+1:at+header]) {
				continue
			}
			changed := append(bytes.Clone(der[:at+1]), form...)
			refused(t, append(changed, der[at+header:]...), "length form", at*10+i)
		}
		for _, by := range []byte{1, 0xff} {
			changed := bytes.Clone(der)
			changed[at+header-1] += by
			refused(t, changed, "length changed at", at)
		}
	})
}

// TestEveryTag gives every element of a good certificate every other tag.
func TestEveryTag(t *testing.T) {
	der := good(t, ed(t), Ed25519Sig).build(t)
	elements(der, 0, func(at, _, _ int) {
		for tag := range 256 {
			changed := bytes.Clone(der)
			if changed[at] = byte(tag); byte(tag) == der[at] {
				continue
			}
			if c, err := Parse(changed); err == nil && c.CheckSelfSignature() == nil {
				t.Errorf("tag %#02x at %d is accepted", tag, at)
			}
		}
	})
}

// elements visits every element of well-formed DER, also inside OCTET STRINGs of extensions.
func elements(der []byte, base int, visit func(at, header, size int)) {
	for at := 0; at < len(der); {
		n, octets, code := length(der[at+1:])
		if code != 0 || at+1+octets+n > len(der) {
			return
		}
		visit(base+at, 1+octets, 1+octets+n)
		if tag := der[at]; tag&0x20 != 0 || (tag == tagOctetString && n > 2) {
			elements(der[at+1+octets:at+1+octets+n], base+at+1+octets, visit)
		}
		at += 1 + octets + n
	}
}

// TestDeep nests elements as deep as the size limit allows: reading must not recurse with the input.
func TestDeep(t *testing.T) {
	deep := []byte{}
	for len(deep) < MaxCertificate-8 {
		deep = tlv(tagSequence, deep)
	}
	refused(t, deep, "nested", 0)
	refused(t, bytes.Repeat([]byte{0x30, 0x80}, MaxCertificate/2), "indefinite", 0)
	refused(t, make([]byte, MaxCertificate), "zeros", 0)
	refused(t, make([]byte, MaxCertificate+1), "too long", 0)
	refused(t, nil, "nothing", 0)
}

// TestConcurrent uses one certificate from many sides; the race detector looks on.
func TestConcurrent(t *testing.T) {
	c, err := Parse(good(t, ed(t), Ed25519Sig).build(t))
	must(t, err)
	done := make(chan error)
	for range 8 {
		go func() {
			p, _ := ByName("small-cell")
			done <- errors.Join(p.Check(c, blockTime, Grant{}), c.CheckSelfSignature())
		}()
	}
	for range 8 {
		must(t, <-done)
	}
}
