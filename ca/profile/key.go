package profile

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"math/big"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/quorate-pki/quorate/internal/reason"
)

// KeyKind is a kind of public key.
type KeyKind uint8

const (
	P256 KeyKind = iota + 1
	P384
	Ed25519
	RSA
)

func (k KeyKind) String() string {
	switch k {
	case P256:
		return "P-256"
	case P384:
		return "P-384"
	case Ed25519:
		return "Ed25519"
	case RSA:
		return "RSA"
	}
	return "unknown key"
}

// PublicKey is a key read from a strict SubjectPublicKeyInfo. Its methods are safe for concurrent use.
type PublicKey struct {
	Kind KeyKind
	Bits int    // of the curve or the modulus
	SPKI []byte // DER of SubjectPublicKeyInfo
	Raw  []byte // content of its BIT STRING, without the octet that counts unused bits

	ecdsa *ecdsa.PublicKey
	rsa   *rsa.PublicKey
}

// ID is the key id: SHA-256 of the SPKI.
func (k *PublicKey) ID() [32]byte { return sha256.Sum256(k.SPKI) }

// Encoded AlgorithmIdentifiers of public keys (RFC 5480, RFC 8410, RFC 3279): the whole DER, because exactly one
// form of each is accepted.
var (
	keyP256    = []byte("\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07")
	keyP384    = []byte("\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x22")
	keyEd25519 = []byte("\x30\x05\x06\x03\x2b\x65\x70")
	keyRSA     = []byte("\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00")

	oidECPublicKey   = []byte("\x2a\x86\x48\xce\x3d\x02\x01")
	oidEd25519       = []byte("\x2b\x65\x70")
	oidRSAEncryption = []byte("\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01")
)

// maxSPKI bounds a SubjectPublicKeyInfo: RSA 8192 and its framing.
const maxSPKI = 1200

// ParseSPKI reads a SubjectPublicKeyInfo: P-256 and P-384 as uncompressed points on named curves, Ed25519, and RSA
// of 2048 to 8192 bits with the exponent 65537.
func ParseSPKI(raw []byte) (*PublicKey, error) {
	if len(raw) > maxSPKI {
		return nil, reason.New(reason.KeyForm, "SPKI of %d bytes", len(raw))
	}
	d := &der{rest: raw}
	seq := d.inside(tagSequence)
	alg := seq.rest
	_, algorithm := seq.takeWhole(tagSequence)
	bits := seq.bits()
	seq.close(d)
	d.close(d)
	if d.err != nil {
		return nil, d.err
	}
	k := &PublicKey{SPKI: raw, Raw: bits}
	var err *reason.Error
	switch {
	case bytes.Equal(algorithm, keyP256):
		err = k.point(P256, elliptic.P256())
	case bytes.Equal(algorithm, keyP384):
		err = k.point(P384, elliptic.P384())
	case bytes.Equal(algorithm, keyEd25519):
		k.Kind, k.Bits = Ed25519, 256
		if len(bits) != ed25519.PublicKeySize {
			err = reason.New(reason.KeyForm, "Ed25519 key of %d octets", len(bits))
		}
	case bytes.Equal(algorithm, keyRSA):
		err = k.modulus()
	default:
		err = unknownKey(alg)
	}
	if err != nil {
		return nil, err
	}
	return k, nil
}

// unknownKey tells a known key type in an unaccepted form from an unknown one.
func unknownKey(rest []byte) *reason.Error {
	d := &der{rest: rest}
	a := d.inside(tagSequence)
	oid := a.take(tagOID)
	if a.err != nil {
		return a.err
	}
	switch {
	case bytes.Equal(oid, oidECPublicKey):
		return reason.New(reason.KeyUnknown, "not the named curve P-256 or P-384")
	case bytes.Equal(oid, oidEd25519), bytes.Equal(oid, oidRSAEncryption):
		return reason.New(reason.AlgorithmParameters, "of the public key")
	}
	return reason.New(reason.KeyUnknown, "")
}

func (k *PublicKey) point(kind KeyKind, curve elliptic.Curve) *reason.Error {
	k.Kind, k.Bits = kind, curve.Params().BitSize
	pub, err := ecdsa.ParseUncompressedPublicKey(curve, k.Raw)
	if err != nil {
		return reason.New(reason.KeyForm, "not an uncompressed point on %s", kind)
	}
	k.ecdsa = pub
	return nil
}

func (k *PublicKey) modulus() *reason.Error {
	k.Kind = RSA
	d := &der{rest: k.Raw}
	seq := d.inside(tagSequence)
	n, e := seq.integer(), seq.integer()
	seq.close(d)
	d.close(d)
	if d.err != nil {
		return reason.New(reason.KeyForm, "RSA key: %v", d.err)
	}
	if n[0] >= 0x80 || !bytes.Equal(e, []byte{1, 0, 1}) {
		return reason.New(reason.KeyWeak, "negative modulus, or exponent not 65537")
	}
	mod := new(big.Int).SetBytes(n)
	k.Bits = mod.BitLen()
	if k.Bits < 2048 || k.Bits > 8192 || mod.Bit(0) == 0 {
		return reason.New(reason.KeyWeak, "modulus of %d bits, or even", k.Bits)
	}
	k.rsa = &rsa.PublicKey{N: mod, E: 65537}
	return nil
}

// SigAlg is a signature algorithm of certificates.
type SigAlg uint8

const (
	ECDSAWithSHA256 SigAlg = iota + 1
	ECDSAWithSHA384
	Ed25519Signature
	RSAWithSHA256 // PKCS#1 v1.5
	RSAWithSHA384
)

// fits reports whether a key of this kind makes signatures of this algorithm.
func (a SigAlg) fits(k KeyKind) bool {
	switch a {
	case ECDSAWithSHA256, ECDSAWithSHA384:
		return k == P256 || k == P384
	case Ed25519Signature:
		return k == Ed25519
	case RSAWithSHA256, RSAWithSHA384:
		return k == RSA
	}
	return false
}

// Verify checks a certificate's signature; ECDSA signatures are DER.
func (k *PublicKey) Verify(alg SigAlg, msg, sig []byte) bool {
	if !alg.fits(k.Kind) {
		return false
	}
	switch alg {
	case ECDSAWithSHA256:
		h := sha256.Sum256(msg)
		return strictECDSA(sig) && ecdsa.VerifyASN1(k.ecdsa, h[:], sig)
	case ECDSAWithSHA384:
		h := sha512.Sum384(msg)
		return strictECDSA(sig) && ecdsa.VerifyASN1(k.ecdsa, h[:], sig)
	case Ed25519Signature:
		return ed25519.Verify(k.Raw, msg, sig)
	case RSAWithSHA256:
		h := sha256.Sum256(msg)
		return rsa.VerifyPKCS1v15(k.rsa, crypto.SHA256, h[:], sig) == nil
	case RSAWithSHA384:
		h := sha512.Sum384(msg)
		return rsa.VerifyPKCS1v15(k.rsa, crypto.SHA384, h[:], sig) == nil
	}
	return false
}

// strictECDSA demands one encoding of (r, s), whatever the standard library tolerates in this release. It does
// not remove malleability: (r, n-s) is as valid, and is told apart by the certificate's hash.
func strictECDSA(sig []byte) bool {
	d := &der{rest: sig}
	seq := d.inside(tagSequence)
	r, s := seq.integer(), seq.integer()
	seq.close(d)
	d.close(d)
	return d.err == nil && r[0] < 0x80 && s[0] < 0x80
}

// COSE algorithm numbers (RFC 9053 section 2, RFC 8230 section 2).
const (
	coseES256 = -7
	coseES384 = -35
	coseEdDSA = -8
	cosePS256 = -37
)

// VerifyCOSE checks a transaction's signature by COSE algorithm: -7 with P-256, -35 with P-384, -8 with Ed25519,
// -37 (salt of 32 octets) with RSA. ECDSA signatures are r||s of fixed size.
func (k *PublicKey) VerifyCOSE(alg int64, msg, sig []byte) bool {
	switch {
	case alg == coseES256 && k.Kind == P256:
		h := sha256.Sum256(msg)
		return verifyRaw(k.ecdsa, h[:], sig, 32)
	case alg == coseES384 && k.Kind == P384:
		h := sha512.Sum384(msg)
		return verifyRaw(k.ecdsa, h[:], sig, 48)
	case alg == coseEdDSA && k.Kind == Ed25519:
		return ed25519.Verify(k.Raw, msg, sig)
	case alg == cosePS256 && k.Kind == RSA:
		h := sha256.Sum256(msg)
		return rsa.VerifyPSS(k.rsa, crypto.SHA256, h[:], sig, &rsa.PSSOptions{SaltLength: 32}) == nil
	}
	return false
}

func verifyRaw(pub *ecdsa.PublicKey, digest, sig []byte, size int) bool {
	if len(sig) != 2*size {
		return false
	}
	var b cryptobyte.Builder
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1BigInt(new(big.Int).SetBytes(sig[:size]))
		b.AddASN1BigInt(new(big.Int).SetBytes(sig[size:]))
	})
	enc, err := b.Bytes()
	return err == nil && ecdsa.VerifyASN1(pub, digest, enc)
}
