package ocsp

import (
	"crypto"
	"crypto/sha1"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"math/big"
	"time"
	"unicode/utf8"

	"golang.org/x/crypto/cryptobyte"
)

const (
	serialOctets  = 16
	maxCommonName = 64 // characters, ub-common-name of RFC 5280
)

// SelfSignedResponder makes the certificate of a responder that relying parties trust by configuration
// (`openssl ocsp -VAfile`, `ocsptool --load-signer`), because no single CA stands behind the certificates it
// answers about. name becomes its common name, 1 to 64 characters; times are cut to seconds; randomness is for
// the serial and the signature.
//
// It carries OCSPSigning, and id-pkix-ocsp-nocheck (RFC 6960 section 4.2.2.2.1): nobody can ask a responder
// about itself. Danger: for the same reason it cannot be revoked, so let it be short-lived or be ready to have
// it taken out of every relying party.
func SelfSignedResponder(key crypto.Signer, name string, notBefore, notAfter time.Time, rand io.Reader) ([]byte, error) {
	if _, err := algorithmOf(key.Public()); err != nil {
		return nil, fmt.Errorf("making a responder certificate: %w", err)
	}
	if n := utf8.RuneCountInString(name); n < 1 || n > maxCommonName || !utf8.ValidString(name) {
		return nil, fmt.Errorf("making a responder certificate: the name must have 1 to %d characters", maxCommonName)
	}
	if !notAfter.After(notBefore) {
		return nil, errors.New("making a responder certificate: it would end before it begins")
	}
	keyID, err := keyIdentifier(key.Public())
	if err != nil {
		return nil, fmt.Errorf("making a responder certificate: %w", err)
	}
	serial := make([]byte, serialOctets)
	if _, err := io.ReadFull(rand, serial); err != nil {
		return nil, fmt.Errorf("making a responder certificate: drawing the serial: %w", err)
	}
	serial[0] = serial[0]&0x7f | 0x40 // positive, and always of the same length
	template := &x509.Certificate{
		SerialNumber:          new(big.Int).SetBytes(serial),
		Subject:               pkix.Name{CommonName: name},
		NotBefore:             notBefore,
		NotAfter:              notAfter,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning},
		BasicConstraintsValid: true, // CA:FALSE, said
		SubjectKeyId:          keyID,
		ExtraExtensions: []pkix.Extension{{
			Id:    asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 5}, // id-pkix-ocsp-nocheck
			Value: []byte(derNull),
		}},
	}
	der, err := x509.CreateCertificate(rand, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("making a responder certificate: %w", err)
	}
	return der, nil
}

// keyIdentifier is the SHA-1 of a key's bits, which is ResponderID byKey. As subject key identifier it lets people
// match an answer with a certificate. It only identifies: nothing rests on SHA-1.
func keyIdentifier(public crypto.PublicKey) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return nil, fmt.Errorf("encoding the public key: %w", err)
	}
	bits, err := keyBits(der)
	if err != nil {
		return nil, err
	}
	sum := sha1.Sum(bits)
	return sum[:], nil
}

// keyBits are the bits of the key in a SubjectPublicKeyInfo.
func keyBits(spki []byte) ([]byte, error) {
	var bits []byte
	if s := cryptobyte.String(spki); !readKeyBits(&s, &bits) || !s.Empty() {
		return nil, errors.New("the public key is not a SubjectPublicKeyInfo")
	}
	return bits, nil
}
