package ledger

import (
	"bytes"
	"errors"
	"fmt"
)

// AbsenceContext comes before the bytes of a statement when a member signs that it knows no such certificates.
const AbsenceContext = "quorate/absence/1\n"

// CertificateName names a certificate that may or may not be published.
type CertificateName struct {
	_           struct{} `cbor:",toarray"`
	Key         Hash     // SHA-256 of the SPKI
	Certificate Hash     // SHA-256 of the DER
}

// Compare orders names by key, then by certificate.
func (n CertificateName) Compare(o CertificateName) int {
	if c := bytes.Compare(n.Key[:], o.Key[:]); c != 0 {
		return c
	}
	return bytes.Compare(n.Certificate[:], o.Certificate[:])
}

// Absence is a member's word, signed by its responder key, that certificates are not published in a tree. It proves nothing but who
// said so: with a receipt of one of them below Size it is proof that the member lied.
type Absence struct {
	_         struct{} `cbor:",toarray"`
	Statement []byte   // an AbsenceStatement
	Signature []byte   // as in an envelope, by the member's responder key, over AbsenceContext || Statement
}

// AbsenceStatement is what is signed.
type AbsenceStatement struct {
	Version uint64            `cbor:"1,keyasint"`
	Member  uint64            `cbor:"2,keyasint"` // its number in the member set
	Size    uint64            `cbor:"3,keyasint"` // of the tree
	Root    Hash              `cbor:"4,keyasint"`
	Absent  []CertificateName `cbor:"5,keyasint"` // 1 to MaxOperations, ascending, distinct
}

// Sign states s.
func (s *AbsenceStatement) Sign(by Signer) ([]byte, error) {
	s.Version = 1
	a := Absence{Statement: Encode(s)}
	var err error
	if a.Signature, err = by.SignCOSE(a.Signed()); err != nil {
		return nil, fmt.Errorf("signing a statement of absence: %w", err)
	}
	return Encode(a), nil
}

// Signed is what the signature is over.
func (a *Absence) Signed() []byte { return append([]byte(AbsenceContext), a.Statement...) }

// ParseAbsence decodes an Absence and its statement. The signature is the caller's to check.
func ParseAbsence(raw []byte) (*Absence, *AbsenceStatement, error) {
	if len(raw) > MaxAbsence {
		return nil, nil, fmt.Errorf("%d bytes, at most %d", len(raw), MaxAbsence)
	}
	var a Absence
	if err := Decode(raw, &a); err != nil {
		return nil, nil, err
	}
	var s AbsenceStatement
	if err := Decode(a.Statement, &s); err != nil {
		return nil, nil, err
	}
	if s.Version != 1 || len(s.Absent) == 0 || len(s.Absent) > MaxOperations {
		return nil, nil, fmt.Errorf("version %d, %d certificates", s.Version, len(s.Absent))
	}
	for i := 1; i < len(s.Absent); i++ {
		if s.Absent[i-1].Compare(s.Absent[i]) >= 0 {
			return nil, nil, errors.New("the certificates are not in order, or one comes twice")
		}
	}
	return &a, &s, nil
}
