package ocsp

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// Issuer is a CA that gave this node a responder certificate, or one that is not on the ledger and yet known here. About a certificate of a CA only that CA, or whom it delegated to, answers with
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
		if !all.add(ca.RawSubject, bits, &a) {
			return nil, fmt.Errorf("issuer %d: %s is there twice", i, ca.Subject)
		}
	}
	return all, nil
}

// add adds a CA by every hash of a CertID; false when it is there already.
func (all authorities) add(name, keyBits []byte, a *authority) bool {
	for h := range hashNumbers {
		key := string(appendIssuer(nil, h, digest(h, name), digest(h, keyBits)))
		if all[key] != nil {
			return false
		}
		all[key] = a
	}
	return true
}

// registered are the authorities as of a version of the state: those of the configuration, and the CAs on the ledger that gave this node
// nothing.
type registered struct {
	version uint64
	on      []RegisteredCA
	all     authorities
}

// authoritiesAt are the authorities in force. The ledger is read when its state is another one than before.
func (r *Responder) authoritiesAt(ctx context.Context, version uint64) (authorities, error) {
	if now := r.registered.Load(); now != nil && now.version == version {
		return now.all, nil
	}
	r.registering.Lock()
	defer r.registering.Unlock()
	old := r.registered.Load()
	if old != nil && old.version == version {
		return old.all, nil
	}
	on, err := r.cfg.Source.Issuers(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the registered CAs: %w", err)
	}
	next := &registered{version: version, on: on}
	if old != nil && slices.EqualFunc(on, old.on, func(a, b RegisteredCA) bool { return bytes.Equal(a.Name, b.Name) && bytes.Equal(a.KeyBits, b.KeyBits) }) {
		next.all = old.all
	} else {
		next.all = maps.Clone(r.configured)
		for _, ca := range on {
			next.all.add(ca.Name, ca.KeyBits, &authority{}) // unless it gave a certificate, or is there by another of its own
		}
	}
	r.registered.Store(next)
	return next.all, nil
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
