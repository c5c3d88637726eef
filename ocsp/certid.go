package ocsp

import (
	"crypto"
	_ "crypto/sha1" // the hashes of a CertID, for crypto.Hash.New
	_ "crypto/sha256"
	_ "crypto/sha512"
	"errors"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// CertID names the certificate a request is about (RFC 6960 section 4.1.1). For a self-issued certificate the
// issuer is the certificate itself. Only the whole of (hash, name hash, key hash, serial) names a certificate:
// serials alone collide between self-issuers.
//
// Its slices belong to the request and must not be changed.
type CertID struct {
	Raw            []byte      // the whole DER element as it was asked; the answer repeats it
	Hash           crypto.Hash // SHA1, SHA256 or SHA384
	IssuerNameHash []byte      // of the DER of the certificate's issuer field, Hash.Size() octets
	IssuerKeyHash  []byte      // of the bits of the issuer's subjectPublicKey, Hash.Size() octets
	Serial         []byte      // content octets of the INTEGER: signed, minimal, as long as the asker likes
}

// NewCertID makes the CertID of a certificate, both given as DER. For a self-issued certificate give it twice.
// The issuer's name is taken from the certificate and only the key from the issuer, as RFC 6960 says; that the
// issuer really signed it is for the caller to check.
func NewCertID(hash crypto.Hash, certificate, issuer []byte) (CertID, error) {
	oid := oidOfHash(hash)
	if oid == "" {
		return CertID{}, fmt.Errorf("making a CertID: hash %v is not SHA-1, SHA-256 or SHA-384", hash)
	}
	subject, err := readCertificate(certificate)
	if err != nil {
		return CertID{}, fmt.Errorf("making a CertID: reading the certificate: %w", err)
	}
	signer, err := readCertificate(issuer)
	if err != nil {
		return CertID{}, fmt.Errorf("making a CertID: reading the issuer: %w", err)
	}
	id := CertID{
		Hash:           hash,
		IssuerNameHash: digest(hash, subject.issuer),
		IssuerKeyHash:  digest(hash, signer.keyBits),
		Serial:         subject.serial,
	}
	// NULL parameters, not absent ones: what deployed clients send and responders index by.
	id.Raw = id.encode(derNull)
	return id, nil
}

// encode writes the CertID from its fields, the algorithm with the given DER parameters ("" for absent).
func (id CertID) encode(parameters string) []byte {
	var w writer
	w.element(tagInteger, id.Serial)
	w.element(tagOctets, id.IssuerKeyHash)
	w.element(tagOctets, id.IssuerNameHash)
	w.algorithm(&algorithm{oid: oidOfHash(id.Hash), parameters: parameters})
	w.wrap(tagSequence, 0)
	der, _ := w.written() // only times can fail
	return der
}

// readCertID reads one CertID. A hash algorithm we do not have leaves Hash zero, which is the caller's to
// refuse; its hashes may have any length and its parameters any form.
func readCertID(s *cryptobyte.String) (CertID, error) {
	var (
		id         CertID
		raw        cryptobyte.String
		body       cryptobyte.String
		algorithm  cryptobyte.String
		parameters cryptobyte.String
		oid        cryptobyte.String
	)
	if !s.ReadASN1Element(&raw, asn1.SEQUENCE) {
		return id, errors.New("reqCert is not a SEQUENCE")
	}
	id.Raw = raw
	if !raw.ReadASN1(&body, asn1.SEQUENCE) || !body.ReadASN1(&algorithm, asn1.SEQUENCE) || !readOID(&algorithm, &oid) {
		return id, errors.New("hashAlgorithm is not an AlgorithmIdentifier")
	}
	if !algorithm.Empty() {
		var tag asn1.Tag
		if !algorithm.ReadAnyASN1Element(&parameters, &tag) || !algorithm.Empty() {
			return id, errors.New("hashAlgorithm has more than one parameter")
		}
	}
	if !body.ReadASN1((*cryptobyte.String)(&id.IssuerNameHash), asn1.OCTET_STRING) ||
		!body.ReadASN1((*cryptobyte.String)(&id.IssuerKeyHash), asn1.OCTET_STRING) {
		return id, errors.New("issuerNameHash or issuerKeyHash is not an OCTET STRING")
	}
	if !readIntegerOctets(&body, &id.Serial) || !body.Empty() {
		return id, errors.New("serialNumber is not a minimal INTEGER at the end of reqCert")
	}
	if id.Hash = hashOfOID(string(oid)); id.Hash == 0 {
		return id, nil
	}
	if len(parameters) != 0 && string(parameters) != derNull {
		return id, errors.New("hashAlgorithm parameters are neither absent nor NULL")
	}
	if size := id.Hash.Size(); len(id.IssuerNameHash) != size || len(id.IssuerKeyHash) != size {
		return id, fmt.Errorf("issuerNameHash and issuerKeyHash are not both %d octets", size)
	}
	return id, nil
}

// hashOfOID returns zero for an algorithm we do not have.
func hashOfOID(oid string) crypto.Hash {
	switch oid {
	case oidSHA1:
		return crypto.SHA1
	case oidSHA256:
		return crypto.SHA256
	case oidSHA384:
		return crypto.SHA384
	}
	return 0
}

// oidOfHash returns "" for an algorithm we do not have.
func oidOfHash(hash crypto.Hash) string {
	switch hash {
	case crypto.SHA1:
		return oidSHA1
	case crypto.SHA256:
		return oidSHA256
	case crypto.SHA384:
		return oidSHA384
	}
	return ""
}

// maxHash is the longest hash of a CertID, in octets: SHA-384's.
const maxHash = 48

func digest(hash crypto.Hash, b []byte) []byte {
	h := hash.New()
	h.Write(b)
	return h.Sum(nil)
}

// certificateParts is what a CertID needs of a certificate.
type certificateParts struct {
	serial  []byte // content octets
	issuer  []byte // the DER of the issuer field
	keyBits []byte // of subjectPublicKey
}

// readCertificate finds the parts and checks nothing else: no judgement on a certificate is made here.
func readCertificate(der []byte) (certificateParts, error) {
	var (
		p                certificateParts
		certificate, tbs cryptobyte.String
	)
	input := cryptobyte.String(der)
	if !input.ReadASN1(&certificate, asn1.SEQUENCE) || !input.Empty() || !certificate.ReadASN1(&tbs, asn1.SEQUENCE) {
		return p, errors.New("not a DER certificate")
	}
	if !tbs.SkipOptionalASN1(explicit(0)) || // version
		!readIntegerOctets(&tbs, &p.serial) ||
		!tbs.SkipASN1(asn1.SEQUENCE) || // signature
		!tbs.ReadASN1Element((*cryptobyte.String)(&p.issuer), asn1.SEQUENCE) ||
		!tbs.SkipASN1(asn1.SEQUENCE) || // validity
		!tbs.SkipASN1(asn1.SEQUENCE) || // subject
		!readKeyBits(&tbs, &p.keyBits) {
		return p, errors.New("tbsCertificate is not well formed")
	}
	return p, nil
}

// readKeyBits reads a SubjectPublicKeyInfo and returns the bits of its key, without tag, length and unused bits.
func readKeyBits(s *cryptobyte.String, out *[]byte) bool {
	var key cryptobyte.String
	return s.ReadASN1(&key, asn1.SEQUENCE) && key.SkipASN1(asn1.SEQUENCE) &&
		key.ReadASN1BitStringAsBytes(out) && key.Empty()
}
