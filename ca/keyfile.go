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
	"path/filepath"

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

// WriteKey writes a new key file: PKCS#8 PEM, mode 0600, durable when it returns. It never overwrites.
func WriteKey(path string, key crypto.Signer) error {
	data, err := encodeKey(key)
	if err != nil {
		return fmt.Errorf("writing key %s: %w", path, err)
	}
	return writeNew(path, data, 0o600)
}

// writeNew writes a file that is not there yet. A crash before it returns leaves no file, or part of one.
func writeNew(path string, data []byte, mode fs.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		// Half a file would block the next attempt, which may not overwrite it.
		return errors.Join(err, os.Remove(path))
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// readFile reads a regular file of at most limit bytes. check sees the file that is read, not one put there since.
func readFile(path string, limit int64, check func(fs.FileInfo) error) ([]byte, error) {
	// Looked at before it is opened, because opening a pipe waits for its writer.
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no regular file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err = f.Stat(); err != nil {
		return nil, err
	}
	if err := check(info); err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("%s: over %d bytes", path, limit)
	}
	return data, nil
}

// ReadSigner reads a private key file: PKCS#8, SEC 1 or PKCS#1 PEM, as openssl and others write them. Files that
// others may read are refused.
func ReadSigner(path string) (crypto.Signer, error) {
	data, err := readFile(path, maxKeyFile, func(info fs.FileInfo) error {
		if info.Mode().Perm()&0o077 != 0 {
			return fmt.Errorf("%s may be read by others (mode %04o); chmod 600 it, or replace the key", path, info.Mode().Perm())
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("key file: %w", err)
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

// CanonicalKeyFile reports whether data is exactly what WriteKey would write for the key in it, and returns the key's
// SPKI. A flipped bit anywhere gives an error or another SPKI, which the caller compares with the one it expects: an
// Ed25519 key is only a seed, and every seed is a key.
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
