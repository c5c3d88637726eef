package ledger

import (
	"bytes"
	"crypto"
	"crypto/sha256"
)

// CertIDRecord finds a certificate by an OCSP CertID. The first certificate with a serial number is found by SerialKey alone, for
// every hash algorithm; another one with the same number, which only chance or malice makes, by CertIDKey, once for each.
type CertIDRecord struct {
	Leaf uint64 `cbor:"1,keyasint"` // of the publication
}

// SerialKey is the key of the CertIDRecord of the first certificate with a serial number: SHA-256 of its content octets.
func SerialKey(serial []byte) []byte {
	h := sha256.Sum256(serial)
	return h[:]
}

// CertIDKey is the key of the CertIDRecord of any other: hash algorithm (1 SHA-1, 2 SHA-256, 3 SHA-384) and
// SHA-256(issuerNameHash || issuerKeyHash || serial content octets).
func CertIDKey(alg uint8, nameHash, keyHash, serial []byte) []byte {
	h := sha256.New()
	h.Write(nameHash)
	h.Write(keyHash)
	h.Write(serial)
	return h.Sum([]byte{alg})
}

// CertIDAlgorithms are the hash functions of CertIDKey, by number (RFC 6960 section 4.1.1).
func CertIDAlgorithms() map[uint8]crypto.Hash {
	return map[uint8]crypto.Hash{1: crypto.SHA1, 2: crypto.SHA256, 3: crypto.SHA384}
}

// FindCertID finds the publication of a certificate by a CertID with a hash algorithm of CertIDAlgorithms; nil when there is none.
func FindCertID(get GetRecord, alg uint8, nameHash, keyHash, serial []byte) (*PublicationRecord, error) {
	hash, ok := CertIDAlgorithms()[alg]
	if !ok {
		return nil, nil
	}
	sum := func(b []byte) []byte {
		h := hash.New()
		h.Write(b)
		return h.Sum(nil)
	}
	for i, key := range [][]byte{SerialKey(serial), CertIDKey(alg, nameHash, keyHash, serial)} {
		var r CertIDRecord
		if found, err := get.Into(RecordCertID, key, &r); err != nil || !found {
			return nil, err // only after the first with this number is there another
		}
		p, err := ReadPublication(get, r.Leaf)
		if err != nil {
			return nil, err
		}
		if i > 0 || bytes.Equal(sum(p.Issuer), nameHash) && bytes.Equal(sum(p.KeyBits), keyHash) {
			return p, nil
		}
	}
	return nil, nil
}
