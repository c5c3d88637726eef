package profile

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"math"
	"math/big"
	"testing"

	"github.com/quorate-pki/quorate/internal/reason"
)

// rocaModulus makes a modulus with the fingerprint of CVE-2017-15361: p = k*M + (65537^a mod M), M a product of the
// first primes. The cofactors are not prime, which the fingerprint does not need.
func rocaModulus(t testing.TB, bits int) *big.Int {
	t.Helper()
	m := big.NewInt(2)
	for p := int64(3); p <= 167; p += 2 {
		if big.NewInt(p).ProbablyPrime(0) {
			m.Mul(m, big.NewInt(p))
		}
	}
	factor := func(a int64) *big.Int {
		f := new(big.Int).Exp(big.NewInt(65537), big.NewInt(a), m)
		k := new(big.Int).Div(new(big.Int).Lsh(big.NewInt(3), uint(bits/2-2)), m)
		return f.Add(f, k.Mul(k, m))
	}
	n := new(big.Int).Mul(factor(123456789), factor(987654321))
	if n.BitLen() != bits || n.Bit(0) == 0 {
		t.Fatalf("modulus of %d bits", n.BitLen())
	}
	return n
}

func TestROCAFalsePositives(t *testing.T) {
	rate := 1.0
	for p := int64(3); p <= 167; p += 2 {
		if !big.NewInt(p).ProbablyPrime(0) {
			continue
		}
		powers := 0
		for x := int64(1); x < p; x++ {
			if powerOf65537(x, p) {
				powers++
			}
		}
		rate *= float64(powers) / float64(p-1)
	}
	if got := math.Log2(rate); got > -25 {
		t.Errorf("an honest modulus is refused with probability 2^%.1f", got)
	}
	if flaw := flawedModulus(rocaModulus(t, 2048)); flaw != "is from a flawed generator (ROCA, CVE-2017-15361)" {
		t.Errorf("got %q", flaw)
	}
}

// edwardsPoint is affine arithmetic on edwards25519 (RFC 8032 section 5.1), for checking a table, not for speed.
type edwardsPoint struct{ x, y *big.Int }

var (
	fieldP, _ = new(big.Int).SetString("7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffed", 16)
	curveD, _ = new(big.Int).SetString("52036cee2b6ffe738cc740797779e89800700a4d4141d8ab75eb4dca135978a3", 16)
)

func (a edwardsPoint) double() edwardsPoint {
	mul := func(x, y *big.Int) *big.Int { return new(big.Int).Mod(new(big.Int).Mul(x, y), fieldP) }
	one := big.NewInt(1)
	xy, xx, yy := mul(a.x, a.y), mul(a.x, a.x), mul(a.y, a.y)
	k := mul(curveD, mul(xx, yy))
	inv := func(x *big.Int) *big.Int { return new(big.Int).ModInverse(new(big.Int).Mod(x, fieldP), fieldP) }
	return edwardsPoint{
		mul(new(big.Int).Add(xy, xy), inv(new(big.Int).Add(one, k))),
		mul(new(big.Int).Add(yy, xx), inv(new(big.Int).Sub(one, k))),
	}
}

func TestSmallOrder(t *testing.T) {
	// The points of order 8 are computed: the y for which doubling thrice, and not twice, gives the identity.
	found := map[string]bool{}
	sqrtOf := func(n *big.Int) *big.Int { return new(big.Int).ModSqrt(new(big.Int).Mod(n, fieldP), fieldP) }
	// Doubling a point of order 8 gives (±i, 0): y² = -x², and the curve equation leaves d·y⁴ + 2·y² - 1 = 0.
	invD := new(big.Int).ModInverse(curveD, fieldP)
	root := sqrtOf(new(big.Int).Add(big.NewInt(1), curveD))
	for _, sign := range []int64{1, -1} {
		yy := new(big.Int).Mul(invD, new(big.Int).Add(big.NewInt(-1), new(big.Int).Mul(big.NewInt(sign), root)))
		y := sqrtOf(yy)
		if y == nil {
			continue
		}
		for _, v := range []*big.Int{y, new(big.Int).Sub(fieldP, y)} {
			x := sqrtOf(new(big.Int).Neg(new(big.Int).Mul(v, v)))
			p := edwardsPoint{x, v}.double().double()
			if p.y.Cmp(new(big.Int).Sub(fieldP, big.NewInt(1))) != 0 || p.double().y.Cmp(big.NewInt(1)) != 0 {
				t.Fatal("not a point of order 8")
			}
			found[string(encodeY(v))] = true
		}
	}
	for _, v := range []*big.Int{big.NewInt(0), big.NewInt(1), new(big.Int).Sub(fieldP, big.NewInt(1))} {
		found[string(encodeY(v))] = true
	}
	if len(found) != 5 {
		t.Fatalf("%d values of y", len(found))
	}
	for y := range found {
		for _, sign := range []byte{0, 0x80} {
			key := []byte(y)
			key[31] |= sign
			if !smallOrder(key) || !canonicalEdwards(key) {
				t.Errorf("%x passes", key)
			}
		}
	}
	// Why it matters: for the identity, one signature fits every message.
	identity := append([]byte{1}, make([]byte, 31)...)
	if forged := append(bytes.Clone(identity), make([]byte, 32)...); !ed25519.Verify(identity, []byte("anything"), forged) {
		t.Error("the forgery that this check is for does not work; look again at the check")
	}
}

func encodeY(y *big.Int) []byte {
	b := y.FillBytes(make([]byte, 32))
	for i := range 16 {
		b[i], b[31-i] = b[31-i], b[i]
	}
	return b
}

func TestCanonicalEdwards(t *testing.T) {
	for add := int64(-3); add < 19; add++ {
		y := new(big.Int).Add(fieldP, big.NewInt(add))
		for _, sign := range []byte{0, 0x80} {
			key := encodeY(y)
			key[31] |= sign
			if got, want := canonicalEdwards(key), add < 0; got != want {
				t.Errorf("p%+d: got %v", add, got)
			}
		}
	}
}

func TestParseSPKI(t *testing.T) {
	keys := newKeys(t)
	keys[RSA+1] = rsaKey(t, 2048)
	for kind, key := range keys {
		spki := spkiOf(t, key.Public())
		k, err := ParseSPKI(spki)
		if err != nil {
			t.Fatal(err)
		}
		if k.Kind != min(kind, RSA) || k.ID() != sha256.Sum256(spki) || !bytes.HasSuffix(spki, k.Raw) || len(k.Raw) == 0 {
			t.Errorf("%s: %+v", kind, k)
		}
		for n := range spki {
			if _, err := ParseSPKI(spki[:n]); err == nil {
				t.Errorf("%s: cut at %d passes", kind, n)
			}
		}
		if _, err := ParseSPKI(append(bytes.Clone(spki), 0)); err == nil {
			t.Errorf("%s: a trailing byte passes", kind)
		}
	}
	for _, r := range keyRefusals(t) {
		s := &spec{}
		r.spoil(s)
		if _, err := ParseSPKI(s.spki); err == nil {
			t.Errorf("%s passes", r.name)
		} else if got, _ := reason.CodeOf(err); got != r.want {
			t.Errorf("%s: got %v, want %v", r.name, err, r.want)
		}
	}
}

// TestVerify tries every algorithm with every kind of key.
func TestVerify(t *testing.T) {
	msg := []byte("message")
	for kind, signer := range newKeys(t) {
		k, err := ParseSPKI(spkiOf(t, signer.Public()))
		must(t, err)
		for alg := SigAlg(0); alg <= RSAPSSSHA256+1; alg++ {
			if !alg.fits(kind) {
				if k.Verify(alg, msg, make([]byte, 64)) {
					t.Errorf("%s with %s passes", kind, alg)
				}
				continue
			}
			sig := sign(t, signer, alg, msg)
			if !k.Verify(alg, msg, sig) {
				t.Errorf("%s with %s fails", kind, alg)
			}
			for other := SigAlg(0); other <= RSAPSSSHA256+1; other++ {
				if other != alg && k.Verify(other, msg, sig) {
					t.Errorf("%s: a signature by %s passes as %s", kind, alg, other)
				}
			}
			if k.Verify(alg, []byte("massage"), sig) || k.Verify(alg, msg, nil) || k.Verify(alg, msg, append(sig, 0)) {
				t.Errorf("%s with %s passes what it must not", kind, alg)
			}
		}
	}
}

func TestStrictECDSA(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	k, err := ParseSPKI(spkiOf(t, key.Public()))
	must(t, err)
	msg := []byte("message")
	sig := sign(t, key, ECDSAWithSHA256, msg)
	r, s := rs(t, sig)
	number := func(tag byte, n *big.Int, pad int) []byte {
		b := n.Bytes()
		if b[0] >= 0x80 {
			b = append([]byte{0}, b...)
		}
		return tlv(tag, append(make([]byte, pad), b...))
	}
	n := elliptic.P256().Params().N
	for name, c := range map[string]struct {
		sig  []byte
		want bool
	}{
		"itself":            {sig, true},
		"rebuilt":           {tlv(0x30, number(2, r, 0), number(2, s, 0)), true},
		"n-s is as valid":   {tlv(0x30, number(2, r, 0), number(2, new(big.Int).Sub(n, s), 0)), true},
		"padded r":          {tlv(0x30, number(2, r, 1), number(2, s, 0)), false},
		"padded s":          {tlv(0x30, number(2, r, 0), number(2, s, 1)), false},
		"s plus n":          {tlv(0x30, number(2, r, 0), number(2, new(big.Int).Add(s, n), 0)), false},
		"zero r":            {tlv(0x30, tlv(2, []byte{0}), number(2, s, 0)), false},
		"zero s":            {tlv(0x30, number(2, r, 0), tlv(2, []byte{0})), false},
		"negative r":        {tlv(0x30, tlv(2, []byte{0x80}), number(2, s, 0)), false},
		"empty r":           {tlv(0x30, tlv(2), number(2, s, 0)), false},
		"a third":           {tlv(0x30, number(2, r, 0), number(2, s, 0), tlv(5)), false},
		"trailing":          {append(bytes.Clone(sig), 0), false},
		"octet strings":     {tlv(0x30, number(4, r, 0), number(4, s, 0)), false},
		"a set":             {tlv(0x31, number(2, r, 0), number(2, s, 0)), false},
		"long form length":  {append([]byte{0x30, 0x81, sig[1]}, sig[2:]...), false},
		"indefinite length": {append(append([]byte{0x30, 0x80}, sig[2:]...), 0, 0), false},
	} {
		if got := k.Verify(ECDSAWithSHA256, msg, c.sig); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func rs(t testing.TB, sig []byte) (r, s *big.Int) {
	t.Helper()
	d := &der{rest: sig}
	seq := d.inside(tagSequence)
	r, s = new(big.Int).SetBytes(seq.integer()), new(big.Int).SetBytes(seq.integer())
	if seq.close(d); d.err != nil {
		t.Fatal(d.err)
	}
	return r, s
}

func TestVerifyCOSE(t *testing.T) {
	msg := []byte("to be signed")
	algs := map[KeyKind]int64{P256: -7, P384: -35, Ed25519: -8, RSA: -37}
	for kind, signer := range newKeys(t) {
		k, err := ParseSPKI(spkiOf(t, signer.Public()))
		must(t, err)
		var sig []byte
		switch kind {
		case P256, P384:
			alg := map[KeyKind]SigAlg{P256: ECDSAWithSHA256, P384: ECDSAWithSHA384}[kind]
			size := (k.Bits + 7) / 8
			r, s := rs(t, sign(t, signer, alg, msg))
			sig = append(r.FillBytes(make([]byte, size)), s.FillBytes(make([]byte, size))...)
			if k.VerifyCOSE(algs[kind], msg, sign(t, signer, alg, msg)) {
				t.Errorf("%s: a DER signature passes", kind)
			}
			if k.VerifyCOSE(algs[kind], msg, make([]byte, 2*size)) {
				t.Errorf("%s: r = s = 0 passes", kind)
			}
		case Ed25519:
			sig = sign(t, signer, Ed25519Sig, msg)
		case RSA:
			sig = sign(t, signer, RSAPSSSHA256, msg)
			salted, err := rsa.SignPSS(rand.Reader, signer.(*rsa.PrivateKey), crypto.SHA256, digest(msg), &rsa.PSSOptions{SaltLength: 20})
			must(t, err)
			if k.VerifyCOSE(-37, msg, salted) {
				t.Error("a salt of 20 octets passes")
			}
		}
		for _, alg := range []int64{-7, -8, -35, -36, -37, -38, -257, 0, 5, math.MinInt64} {
			if got, want := k.VerifyCOSE(alg, msg, sig), alg == algs[kind]; got != want {
				t.Errorf("%s with %d: %v", kind, alg, got)
			}
		}
		for _, bad := range [][]byte{nil, sig[1:], append([]byte{0}, sig...), append(bytes.Clone(sig), 0)} {
			if k.VerifyCOSE(algs[kind], msg, bad) {
				t.Errorf("%s: a signature of %d octets passes", kind, len(bad))
			}
		}
		if k.VerifyCOSE(algs[kind], []byte("to be singed"), sig) {
			t.Errorf("%s: another message passes", kind)
		}
	}
}

func digest(msg []byte) []byte {
	h := sha256.Sum256(msg)
	return h[:]
}
