package profile

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"math/big"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// SigAlg is a signature algorithm.
type SigAlg uint8

// The signature algorithms there are.
const (
	ECDSAWithSHA256 SigAlg = iota + 1
	ECDSAWithSHA384
	Ed25519Sig
	RSAPKCS1SHA256
	RSAPKCS1SHA384
	RSAPSSSHA256 // salt of 32 octets; signs transactions, never certificates
)

func (a SigAlg) String() string {
	switch a {
	case ECDSAWithSHA256:
		return "ECDSA with SHA-256"
	case ECDSAWithSHA384:
		return "ECDSA with SHA-384"
	case Ed25519Sig:
		return "Ed25519"
	case RSAPKCS1SHA256:
		return "RSA PKCS#1 v1.5 with SHA-256"
	case RSAPKCS1SHA384:
		return "RSA PKCS#1 v1.5 with SHA-384"
	case RSAPSSSHA256:
		return "RSA PSS with SHA-256"
	}
	return "unknown algorithm"
}

// AlgorithmIdentifiers of certificate signatures (RFC 5758 section 3.2, RFC 8410 section 3, RFC 4055 section 5):
// the whole DER, because exactly one form of each is accepted.
const (
	sigECDSA256 = "\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02"
	sigECDSA384 = "\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x03"
	sigEd25519  = "\x30\x05\x06\x03\x2b\x65\x70"
	sigRSA256   = "\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b\x05\x00"
	sigRSA384   = "\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0c\x05\x00"
)

// ParseSigAlg reads the DER of an AlgorithmIdentifier; 0 when it is none of those above.
func ParseSigAlg(whole []byte) SigAlg {
	switch string(whole) {
	case sigECDSA256:
		return ECDSAWithSHA256
	case sigECDSA384:
		return ECDSAWithSHA384
	case sigEd25519:
		return Ed25519Sig
	case sigRSA256:
		return RSAPKCS1SHA256
	case sigRSA384:
		return RSAPKCS1SHA384
	}
	return 0
}

// knownSignatureOID reports whether an algorithm is accepted with the right parameters.
func knownSignatureOID(oid OID) bool {
	for _, whole := range [...]string{sigECDSA256, sigECDSA384, sigEd25519, sigRSA256, sigRSA384} {
		// SEQUENCE and OID headers take two octets each.
		if n := int(whole[3]); oid == OID(whole[4:4+n]) {
			return true
		}
	}
	return false
}

// fits reports whether a key of this kind makes signatures of this algorithm.
func (a SigAlg) fits(k KeyKind) bool {
	switch a {
	case ECDSAWithSHA256, ECDSAWithSHA384:
		return k == P256 || k == P384
	case Ed25519Sig:
		return k == Ed25519
	case RSAPKCS1SHA256, RSAPKCS1SHA384, RSAPSSSHA256:
		return k == RSA
	}
	return false
}

// Verify checks a signature over a message. ECDSA signatures are DER (RFC 3279 section 2.2.3). An algorithm that
// the key cannot make is false.
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
	case Ed25519Sig:
		return ed25519.Verify(k.Raw, msg, sig)
	case RSAPKCS1SHA256:
		h := sha256.Sum256(msg)
		return rsa.VerifyPKCS1v15(k.rsa, crypto.SHA256, h[:], sig) == nil
	case RSAPKCS1SHA384:
		h := sha512.Sum384(msg)
		return rsa.VerifyPKCS1v15(k.rsa, crypto.SHA384, h[:], sig) == nil
	case RSAPSSSHA256:
		h := sha256.Sum256(msg)
		return rsa.VerifyPSS(k.rsa, crypto.SHA256, h[:], sig, &rsa.PSSOptions{SaltLength: len(h)}) == nil
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
	d.end()
	return d.err == nil && r[0] < 0x80 && s[0] < 0x80
}

// COSE algorithm numbers (RFC 9053 section 2, RFC 8230 section 2).
const (
	coseES256 = -7
	coseEdDSA = -8
	coseES384 = -35
	cosePS256 = -37
)

// VerifyCOSE checks a transaction's signature by its COSE algorithm: -7 with P-256, -35 with P-384, -8 with
// Ed25519, -37 (salt of 32 octets) with RSA; every other pair is false. ECDSA signatures are r||s of fixed size
// (RFC 9053 section 2.1).
func (k *PublicKey) VerifyCOSE(alg int64, msg, sig []byte) bool {
	switch {
	case alg == coseES256 && k.Kind == P256:
		h := sha256.Sum256(msg)
		return verifyRaw(k.ecdsa, h[:], sig, 32)
	case alg == coseES384 && k.Kind == P384:
		h := sha512.Sum384(msg)
		return verifyRaw(k.ecdsa, h[:], sig, 48)
	case alg == coseEdDSA && k.Kind == Ed25519:
		return k.Verify(Ed25519Sig, msg, sig)
	case alg == cosePS256 && k.Kind == RSA:
		return k.Verify(RSAPSSSHA256, msg, sig)
	}
	return false
}

// COSE is the one COSE algorithm that a key of this kind signs by; 0 for a kind that signs no transactions.
func (k *PublicKey) COSE() int64 {
	switch k.Kind {
	case P256:
		return coseES256
	case P384:
		return coseES384
	case Ed25519:
		return coseEdDSA
	case RSA:
		return cosePS256
	}
	return 0
}

// VerifySPKI checks a signature by a key given as SPKI, and the one algorithm of its kind.
func VerifySPKI(spki, msg, sig []byte) bool {
	k, err := ParseSPKI(spki)
	return err == nil && k.VerifyCOSE(k.COSE(), msg, sig)
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
