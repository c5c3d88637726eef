package ledger

import "fmt"

// OpCA registers an organisation's own CA, since rule version 3 (Governed).
const OpCA Op = 78

// Limits of registered CAs.
const (
	MaxCAs          = 16 // CA certificates of one organisation
	MaxCANamespaces = 16 // namespaces that one CA vouches in
)

// CA registers a CA certificate of an organisation. Its admins sign the transaction, as many as its registration asks for, and the CA's key the
// possession: so nobody has somebody else's CA for his own.
type CA struct {
	Owner       OrgID   `cbor:"1,keyasint"`
	Certificate []byte  `cbor:"2,keyasint"`           // DER, 1 to MaxCertificate bytes (profile.ParseAuthority)
	Alg         int64   `cbor:"3,keyasint"`           // COSE algorithm of the possession signature
	Possession  []byte  `cbor:"4,keyasint"`           // by the CA's key, over CAMessage
	Namespaces  []OrgID `cbor:"5,keyasint,omitempty"` // of its owner's, those that it vouches in; none: for no name by itself
}

// CAContext precedes what a CA's key signs to agree to its registration.
const CAContext = "quorate/ca/1\n"

// CAMessage is what the possession signature of a CA covers.
func CAMessage(owner OrgID, certificate []byte) []byte {
	b := append([]byte(CAContext), owner[:]...)
	return append(b, certificate...)
}

func (a *CA) check() error {
	switch {
	case len(a.Certificate) == 0 || len(a.Certificate) > MaxCertificate:
		return fmt.Errorf("a CA certificate of %d bytes", len(a.Certificate))
	case len(a.Possession) < 64 || len(a.Possession) > 1024:
		return fmt.Errorf("a signature of %d bytes", len(a.Possession))
	case len(a.Namespaces) > MaxCANamespaces:
		return fmt.Errorf("%d namespaces", len(a.Namespaces))
	}
	return nil
}

// CARecord is a CA as registered, by the SHA-256 of its certificate. The certificate itself is in the leaf.
type CARecord struct {
	Owner      OrgID   `cbor:"1,keyasint"`
	Key        Hash    `cbor:"2,keyasint"` // SHA-256 of its SPKI
	Name       []byte  `cbor:"3,keyasint"` // its subject, DER of the Name: the issuer of what it issues
	KeyBits    []byte  `cbor:"4,keyasint"` // content of the BIT STRING of its key, of which a CertID has the hash
	Namespaces []OrgID `cbor:"5,keyasint,omitempty"`
	NotAfter   int64   `cbor:"6,keyasint"` // seconds since 1970
	Leaf       uint64  `cbor:"7,keyasint"` // of the registration
}
