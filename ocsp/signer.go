package ocsp

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"sync"
)

// minRSABits is the smallest RSA key that may sign answers.
const minRSABits = 2048

// signer is a responder's key. Several certificates may go with it, one for each CA that delegates to it.
type signer struct {
	key       crypto.Signer
	algorithm algorithm
	keyHash   []byte // SHA-1 of the bits of the public key: ResponderID byKey
}

// algorithm is how a kind of key signs.
type algorithm struct {
	oid        string
	parameters string      // DER; "" for absent
	hash       crypto.Hash // zero: the key signs the message itself
	size       int         // octets of the longest signature
}

func newSigner(key crypto.Signer) (*signer, error) {
	alg, err := algorithmOf(key.Public())
	if err != nil {
		return nil, err
	}
	keyHash, err := keyIdentifier(key.Public())
	if err != nil {
		return nil, err
	}
	return &signer{key: key, algorithm: alg, keyHash: keyHash}, nil
}

// certificate reads a certificate that may go with the key's answers.
func (s *signer) certificate(der []byte) (*x509.Certificate, error) {
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("reading the responder certificate: %w", err)
	}
	public, ok := cert.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !public.Equal(s.key.Public()) {
		return nil, errors.New("the responder certificate is for another key")
	}
	if !slices.Contains(cert.ExtKeyUsage, x509.ExtKeyUsageOCSPSigning) {
		return nil, errors.New("the responder certificate has no OCSPSigning extended key usage (RFC 6960 section 4.2.2.2)")
	}
	return cert, nil
}

// algorithmOf says how a key signs: P-256, P-384, Ed25519 or RSA of at least minRSABits.
func algorithmOf(public crypto.PublicKey) (algorithm, error) {
	switch k := public.(type) {
	case *ecdsa.PublicKey:
		switch k.Curve {
		case elliptic.P256():
			return algorithm{oid: oidECDSAWithSHA256, hash: crypto.SHA256, size: 72}, nil // parameters absent, RFC 5758 3.2
		case elliptic.P384():
			return algorithm{oid: oidECDSAWithSHA384, hash: crypto.SHA384, size: 104}, nil
		}
		return algorithm{}, errors.New("an ECDSA key on a curve other than P-256 and P-384 cannot sign answers")
	case ed25519.PublicKey:
		return algorithm{oid: oidEd25519, size: ed25519.SignatureSize}, nil // parameters absent, RFC 8410 section 3
	case *rsa.PublicKey:
		if bits := k.N.BitLen(); bits < minRSABits {
			return algorithm{}, fmt.Errorf("an RSA key of %d bits is too small, at least %d", bits, minRSABits)
		}
		return algorithm{oid: oidSHA256WithRSA, parameters: derNull, hash: crypto.SHA256, size: k.Size()}, nil // NULL, RFC 4055 section 5
	}
	return algorithm{}, fmt.Errorf("a key of type %T cannot sign answers", public)
}

// sign returns a signature over a ResponseData.
func (s *signer) sign(d *responseData) ([]byte, error) {
	w := writers.Get().(*writer)
	defer writers.Put(w)
	w.reset()
	w.responseData(d)
	message, err := w.written()
	if err != nil {
		return nil, fmt.Errorf("encoding the response data: %w", err)
	}
	if s.algorithm.hash != 0 {
		message = digest(s.algorithm.hash, message)
	}
	signature, err := s.key.Sign(rand.Reader, message, s.algorithm.hash)
	if err != nil {
		return nil, fmt.Errorf("signing an answer: %w", err)
	}
	return signature, nil
}

// writers keep the space that answers are written in.
var writers = sync.Pool{New: func() any { return &writer{space: make([]byte, 4<<10)} }}
