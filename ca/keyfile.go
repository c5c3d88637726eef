package ca

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"go.step.sm/crypto/pemutil"

	"github.com/quorate-pki/quorate/ca/profile"
)

// GenerateKey makes a key: P-256, P-384, Ed25519 or RSA (3072 bits).
func GenerateKey(kind profile.KeyKind, rand io.Reader) (crypto.Signer, error) {
	switch kind {
	case profile.P256:
		return ecdsa.GenerateKey(elliptic.P256(), rand)
	case profile.P384:
		return ecdsa.GenerateKey(elliptic.P384(), rand)
	case profile.Ed25519:
		_, key, err := ed25519.GenerateKey(rand)
		return key, err
	case profile.RSA:
		return rsa.GenerateKey(rand, 3072)
	}
	return nil, fmt.Errorf("no such kind of key: %s", kind)
}

// maxKeyFile bounds a key file, in bytes.
const maxKeyFile = 64 << 10

func encodeKey(key crypto.Signer) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// WriteKey writes a new key file: PKCS#8 PEM, mode 0600, durable. It never overwrites.
func WriteKey(path string, key crypto.Signer) error {
	data, err := encodeKey(key)
	if err != nil {
		return fmt.Errorf("writing key %s: %w", path, err)
	}
	return writeNew(path, data, 0o600)
}

func writeNew(path string, data []byte, mode fs.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// ReadSigner reads a private key file: PKCS#8, SEC 1 or PKCS#1 PEM, as openssl and others write them. Files that
// others may read are refused.
func ReadSigner(path string) (crypto.Signer, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("key %s may be read by others (mode %04o); chmod 600 it, or replace the key", path, info.Mode().Perm())
	}
	if info.Size() > maxKeyFile {
		return nil, fmt.Errorf("key %s: %d bytes is no key file", path, info.Size())
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	// openssl writes the curve's parameters before the key.
	for {
		block, rest := pem.Decode(data)
		if block == nil || block.Type != "EC PARAMETERS" {
			break
		}
		data = rest
	}
	key, err := pemutil.Parse(data, pemutil.WithFilename(path))
	if err != nil {
		return nil, fmt.Errorf("key %s: %w", path, err)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("key %s: a %T cannot sign", path, key)
	}
	return signer, nil
}

// CanonicalKeyFile reports whether data is exactly what WriteKey would write for the key in it, so that any
// flipped bit shows, and returns the key's SPKI.
func CanonicalKeyFile(data []byte) (spki []byte, err error) {
	block, _ := pem.Decode(data)
	if block == nil || block.Type != "PRIVATE KEY" {
		return nil, errors.New("no PKCS#8 private key")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, errors.New("the private key does not parse")
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, errors.New("not a signing key")
	}
	again, err := encodeKey(signer)
	if err != nil || !bytes.Equal(again, data) {
		return nil, errors.New("not in the form it was written in")
	}
	return SPKI(signer.Public())
}
