package profile

import "math/big"

// flawedModulus looks for flaws of an RSA modulus that cost nearly nothing to see: a factor up to 167, and the
// fingerprint of the ROCA keys (CVE-2017-15361), whose primes are powers of 65537 modulo many small primes. An
// honest modulus carries that fingerprint with a probability under 2^-25 (a test computes it). It returns what is
// wrong, or "".
func flawedModulus(n *big.Int) string {
	if n.Bit(0) == 0 {
		return "is even"
	}
	primes := [...]int64{
		3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101,
		103, 107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167,
	}
	roca := true
	var p, r big.Int
	for _, small := range primes {
		rest := r.Mod(n, p.SetInt64(small)).Int64()
		if rest == 0 {
			return "has a small factor"
		}
		roca = roca && powerOf65537(rest, small)
	}
	if roca {
		return "is from a flawed generator (ROCA, CVE-2017-15361)"
	}
	return ""
}

// powerOf65537 reports whether x is a power of 65537 modulo a small prime.
func powerOf65537(x, prime int64) bool {
	for y := int64(1); ; {
		if y == x {
			return true
		}
		if y = y * 65537 % prime; y == 1 {
			return false
		}
	}
}

// canonicalEdwards reports whether an Ed25519 key of 32 octets encodes a y below 2^255-19 (RFC 8032 section 5.1.3).
func canonicalEdwards(key []byte) bool {
	if key[31]&0x7f != 0x7f || key[0] < 0xed {
		return true
	}
	for _, b := range key[1:31] {
		if b != 0xff {
			return true
		}
	}
	return false
}

// smallOrder reports whether a canonical Ed25519 key is one of the eight points of order 1, 2, 4 or 8, for which
// anybody can make signatures. Each is known by its y; the sign of x does not matter.
func smallOrder(key []byte) bool {
	ys := [...]string{
		"\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00",
		"\xec\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
		"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00",
		"\x26\xe8\x95\x8f\xc2\xb2\x27\xb0\x45\xc3\xf4\x89\xf2\xef\x98\xf0\xd5\xdf\xac\x05\xd3\xc6\x33\x39\xb1\x38\x02\x88\x6d\x53\xfc\x05",
		"\xc7\x17\x6a\x70\x3d\x4d\xd8\x4f\xba\x3c\x0b\x76\x0d\x10\x67\x0f\x2a\x20\x53\xfa\x2c\x39\xcc\xc6\x4e\xc7\xfd\x77\x92\xac\x03\x7a",
	}
	for _, y := range ys {
		if string(key[:31]) == y[:31] && key[31]&0x7f == y[31] {
			return true
		}
	}
	return false
}
