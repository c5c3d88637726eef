package ocsp

import (
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"time"
)

// Issuer is a registered CA. About a certificate of a CA only that CA, or whom it delegated to, answers with
// authority (RFC 6960 section 4.2.2.2), so it must give this node a responder certificate of its own making.
type Issuer struct {
	// Certificate is the DER of the CA's certificate. CertIDs name the CA by its subject and its key.
	Certificate []byte

	// Responder is the DER of the certificate that the CA issued for Config.Key, with the OCSPSigning extended key
	// usage. Let it be short-lived and carry id-pkix-ocsp-nocheck. Nil says that the CA gave none: then, and when it
	// is outside its validity period, the answer about the CA's certificates is unauthorized.
	Responder []byte
}

// authorities finds by what right this responder answers: the registered CAs, by every hash of a CertID.
type authorities map[string]*authority

// authority is one registered CA.
type authority struct {
	responder *x509.Certificate // nil: none was given
}

// errNoAuthority is answered with unauthorized (RFC 5019 section 2.2.3), and nothing else is.
var errNoAuthority = errors.New("the issuer is a registered CA that gave this node no valid responder certificate")

func newAuthorities(list []Issuer, s *signer) (authorities, error) {
	all := make(authorities)
	for i, x := range list {
		ca, err := x509.ParseCertificate(x.Certificate)
		if err != nil {
			return nil, fmt.Errorf("issuer %d: reading its certificate: %w", i, err)
		}
		if !ca.IsCA {
			return nil, fmt.Errorf("issuer %d: %s is not a CA", i, ca.Subject)
		}
		var a authority
		if x.Responder != nil {
			if a.responder, err = s.certificate(x.Responder); err != nil {
				return nil, fmt.Errorf("issuer %d: %w", i, err)
			}
			if err := a.responder.CheckSignatureFrom(ca); err != nil {
				return nil, fmt.Errorf("issuer %d: the responder certificate is not of %s: %w", i, ca.Subject, err)
			}
		}
		bits, err := keyBits(ca.RawSubjectPublicKeyInfo)
		if err != nil {
			return nil, fmt.Errorf("issuer %d: %w", i, err)
		}
		for h := range hashNumbers {
			key := string(appendIssuer(nil, h, digest(h, ca.RawSubject), digest(h, bits)))
			if all[key] != nil {
				return nil, fmt.Errorf("issuer %d: %s is there twice", i, ca.Subject)
			}
			all[key] = &a
		}
	}
	return all, nil
}

// appendIssuer appends what finds an issuer.
func appendIssuer(b []byte, h crypto.Hash, nameHash, keyHash []byte) []byte {
	return append(append(append(b, byte(h)), nameHash...), keyHash...)
}

// of returns the registered CA that a CertID names, or nil: nobody registered such an issuer.
func (all authorities) of(id *CertID) *authority {
	if len(all) == 0 {
		return nil
	}
	var space [1 + 2*maxHash]byte
	return all[string(appendIssuer(space[:0], id.Hash, id.IssuerNameHash, id.IssuerKeyHash))]
}

// at returns the certificate that goes with an answer at a time.
func (a *authority) at(now time.Time) (*x509.Certificate, error) {
	if a.responder == nil || now.Before(a.responder.NotBefore) || now.After(a.responder.NotAfter) {
		return nil, errNoAuthority
	}
	return a.responder, nil
}
