package ledger

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"fmt"
	"math/big"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

type keySigner struct {
	key  crypto.Signer
	id   Hash
	alg  int64
	size int // bytes of r and of s; 0 unless ECDSA
}

// NewSigner makes a transaction signer of a key (file, PKCS#11, ...) and its SPKI. P-256, P-384, Ed25519 and
// RSA of at least 2048 bits are accepted.
func NewSigner(key crypto.Signer, spki []byte) (Signer, error) {
	s := &keySigner{key: key, id: Sum(spki)}
	switch pub := key.Public().(type) {
	case *ecdsa.PublicKey:
		switch pub.Curve.Params().BitSize {
		case 256:
			s.alg, s.size = AlgES256, 32
		case 384:
			s.alg, s.size = AlgES384, 48
		default:
			return nil, fmt.Errorf("no transaction algorithm for curve %s", pub.Curve.Params().Name)
		}
	case ed25519.PublicKey:
		s.alg = AlgEdDSA
	case *rsa.PublicKey:
		if pub.N.BitLen() < 2048 {
			return nil, fmt.Errorf("RSA key of %d bits", pub.N.BitLen())
		}
		s.alg = AlgPS256
	default:
		return nil, fmt.Errorf("no transaction algorithm for a key of type %T", pub)
	}
	return s, nil
}

func (s *keySigner) KeyID() Hash { return s.id }
func (s *keySigner) Alg() int64  { return s.alg }

func (s *keySigner) SignCOSE(tbs []byte) ([]byte, error) {
	switch s.alg {
	case AlgEdDSA:
		return s.key.Sign(rand.Reader, tbs, crypto.Hash(0))
	case AlgPS256:
		d := sha256.Sum256(tbs)
		return s.key.Sign(rand.Reader, d[:], &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256})
	}
	h, digest := crypto.SHA256, func() []byte { d := sha256.Sum256(tbs); return d[:] }
	if s.alg == AlgES384 {
		h, digest = crypto.SHA384, func() []byte { d := sha512.Sum384(tbs); return d[:] }
	}
	der, err := s.key.Sign(rand.Reader, digest(), h)
	if err != nil {
		return nil, err
	}
	return rawECDSA(der, s.size)
}

// rawECDSA turns the DER form that crypto.Signer gives into r||s.
func rawECDSA(der []byte, size int) ([]byte, error) {
	var r, t big.Int
	in, seq := cryptobyte.String(der), cryptobyte.String(nil)
	if !in.ReadASN1(&seq, asn1.SEQUENCE) || !in.Empty() || !seq.ReadASN1Integer(&r) || !seq.ReadASN1Integer(&t) || !seq.Empty() ||
		r.Sign() <= 0 || t.Sign() <= 0 || r.BitLen() > 8*size || t.BitLen() > 8*size {
		return nil, errors.New("the key returned a malformed ECDSA signature")
	}
	out := make([]byte, 2*size)
	r.FillBytes(out[:size])
	t.FillBytes(out[size:])
	return out, nil
}
