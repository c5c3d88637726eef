package profile

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"math/big"

	"github.com/quorate-pki/quorate/internal/reason"
)

// KeyKind is a kind of public key.
type KeyKind uint8

// The kinds of key there are.
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

	ecdsa *ecdsa.PublicKey // P256, P384
	rsa   *rsa.PublicKey   // RSA
}

// ID is the key id: SHA-256 of the SPKI.
func (k *PublicKey) ID() [32]byte { return sha256.Sum256(k.SPKI) }

// AlgorithmIdentifiers of public keys (RFC 5480 section 2.1.1, RFC 8410 section 3, RFC 3279 section 2.3.1): the
// whole DER, because exactly one form of each is accepted.
const (
	keyP256    = "\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07"
	keyP384    = "\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x22"
	keyEd25519 = "\x30\x05\x06\x03\x2b\x65\x70"
	keyRSA     = "\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00"

	oidECPublicKey   OID = "\x2a\x86\x48\xce\x3d\x02\x01"
	oidEd25519       OID = "\x2b\x65\x70"
	oidRSAEncryption OID = "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01"
)

// maxSPKI bounds a SubjectPublicKeyInfo, in bytes: RSA 8192 and its framing.
const maxSPKI = 1200

// Bounds of an RSA modulus, in bits. Above the upper one a check costs more than a block can afford.
const (
	minModulus = 2048
	maxModulus = 8192
)

// ParseSPKI reads a SubjectPublicKeyInfo: P-256 and P-384 as uncompressed points on named curves, Ed25519 in
// canonical form, and RSA of 2048 to 8192 bits with the exponent 65537. Keys known to be breakable are refused.
// Every error is a *reason.Error. The result aliases spki.
func ParseSPKI(spki []byte) (*PublicKey, error) { return parseSPKI(spki, 0) }

// parseSPKI is ParseSPKI of a part of a certificate that begins at an offset.
func parseSPKI(spki []byte, at int) (*PublicKey, error) {
	if len(spki) > maxSPKI {
		return nil, reason.New(reason.KeyForm, "SubjectPublicKeyInfo of %d bytes", len(spki))
	}
	d := &der{rest: spki, at: at}
	seq := d.inside(tagSequence)
	content, algorithm := seq.takeWhole(tagSequence)
	raw := seq.octets()
	seq.close(d)
	d.end()
	if d.err != nil {
		return nil, d.err
	}
	k := &PublicKey{SPKI: spki, Raw: raw}
	var fault *reason.Error
	switch string(algorithm) {
	case keyP256:
		fault = k.point(P256, elliptic.P256())
	case keyP384:
		fault = k.point(P384, elliptic.P384())
	case keyEd25519:
		fault = k.edwards()
	case keyRSA:
		fault = k.modulus()
	default:
		fault = unknownKey(content)
	}
	if fault != nil {
		return nil, fault
	}
	return k, nil
}

// unknownKey tells an unknown key type from a known one with parameters that are not accepted.
func unknownKey(algorithm []byte) *reason.Error {
	d := &der{rest: algorithm}
	oid := d.oid()
	switch {
	case d.err != nil:
		return reason.New(d.err.Code, "in the key's algorithm identifier")
	case oid == oidECPublicKey:
		return reason.New(reason.KeyUnknown, "not the named curve P-256 or P-384")
	case oid == oidEd25519, oid == oidRSAEncryption:
		return reason.New(reason.AlgorithmParameters, "of the public key")
	}
	return reason.New(reason.KeyUnknown, "%s", oid)
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

// edwards does not decode the point: a key off the curve verifies nothing.
func (k *PublicKey) edwards() *reason.Error {
	k.Kind, k.Bits = Ed25519, 256
	switch {
	case len(k.Raw) != ed25519.PublicKeySize:
		return reason.New(reason.KeyForm, "Ed25519 key of %d octets", len(k.Raw))
	case !canonicalEdwards(k.Raw):
		// Otherwise one key would have two SPKIs, and uniqueness is by SPKI.
		return reason.New(reason.KeyForm, "Ed25519 key not in canonical form")
	case smallOrder(k.Raw):
		return reason.New(reason.KeyWeak, "Ed25519 point of small order")
	}
	return nil
}

func (k *PublicKey) modulus() *reason.Error {
	k.Kind = RSA
	d := &der{rest: k.Raw}
	seq := d.inside(tagSequence)
	n, e := seq.integer(), seq.integer()
	seq.close(d)
	d.end()
	if d.err != nil {
		return reason.New(reason.KeyForm, "RSA key: %v", d.err)
	}
	if n[0] >= 0x80 {
		return reason.New(reason.KeyForm, "RSA modulus is negative")
	}
	m := new(big.Int).SetBytes(n)
	k.Bits = m.BitLen()
	switch {
	case k.Bits < minModulus || k.Bits > maxModulus:
		return reason.New(reason.KeySize, "%d bits", k.Bits)
	case !bytes.Equal(e, []byte{1, 0, 1}):
		return reason.New(reason.KeyWeak, "RSA exponent is not 65537")
	}
	if flaw := flawedModulus(m); flaw != "" {
		return reason.New(reason.KeyWeak, "RSA modulus %s", flaw)
	}
	k.rsa = &rsa.PublicKey{N: m, E: 65537}
	return nil
}
