package ocsp

import (
	"crypto/x509"
	"time"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// responseStatus is OCSPResponseStatus (RFC 6960 section 4.2.1).
type responseStatus uint8

const (
	successful       responseStatus = 0
	malformedRequest responseStatus = 1
	internalError    responseStatus = 2
	tryLater         responseStatus = 3
	sigRequired      responseStatus = 5 // never used, see the package comment
	unauthorized     responseStatus = 6
)

// String returns the name the RFC uses.
func (s responseStatus) String() string {
	switch s {
	case successful:
		return "successful"
	case malformedRequest:
		return "malformedRequest"
	case internalError:
		return "internalError"
	case tryLater:
		return "tryLater"
	case sigRequired:
		return "sigRequired"
	case unauthorized:
		return "unauthorized"
	}
	return "unassigned"
}

// encodeError returns an OCSPResponse that carries a status and nothing else. It is not signed.
func encodeError(s responseStatus) []byte {
	return []byte{0x30, 0x03, 0x0a, 0x01, byte(s)}
}

// encodeSuccessful wraps a BasicOCSPResponse.
func encodeSuccessful(basic []byte) ([]byte, error) {
	var b cryptobyte.Builder
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(asn1.ENUM, func(b *cryptobyte.Builder) { b.AddUint8(uint8(successful)) })
		b.AddASN1(explicit(0), func(b *cryptobyte.Builder) {
			b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
				addOID(b, oidBasicResponse)
				b.AddASN1OctetString(basic)
			})
		})
	})
	return b.Bytes()
}

// certStatus is the status of one certificate.
type certStatus uint8

const (
	statusUnknown certStatus = iota // the zero value claims nothing
	statusGood
	statusRevoked
	// statusNonIssued is "revoked" for a certificate that was never issued (RFC 6960 section 2.2): on hold since
	// 1970, and the response carries the extended-revoke extension. The responder answers unknown instead; this
	// is for a front that is asked to.
	statusNonIssued
)

// singleResponse is the answer about one CertID.
type singleResponse struct {
	certID     []byte // the DER that was asked
	status     certStatus
	revokedAt  time.Time // statusRevoked only
	reason     int       // CRLReason; 0 (unspecified) is left out, as RFC 5280 section 5.3.1 wants
	thisUpdate time.Time
	nextUpdate time.Time
}

// responseData is what gets signed. Times are cut to seconds.
type responseData struct {
	keyHash    []byte // ResponderID byKey
	producedAt time.Time
	responses  []singleResponse
	nonce      []byte // nil for none

	// certificates go with the answer and are not signed: by what right the key answers, one for each authority, that of
	// the first certificate asked about first (clients try the first that has the key).
	certificates []*x509.Certificate
}

func (d responseData) encode() ([]byte, error) {
	extensions, err := d.extensions()
	if err != nil {
		return nil, err
	}
	responses, err := encodeResponses(d.responses)
	if err != nil {
		return nil, err
	}
	var b cryptobyte.Builder
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) { // version v1 is the DEFAULT
		b.AddASN1(explicit(2), func(b *cryptobyte.Builder) { b.AddASN1OctetString(d.keyHash) })
		addTime(b, d.producedAt)
		b.AddBytes(responses)
		addExtensions(b, 1, extensions)
	})
	return b.Bytes()
}

// extensions returns the nonce and, when some answer needs it, extended-revoke (RFC 6960 section 4.4.8).
func (d responseData) extensions() ([]extension, error) {
	var list []extension
	if d.nonce != nil {
		e, err := nonceExtension(d.nonce)
		if err != nil {
			return nil, err
		}
		list = append(list, e)
	}
	for _, r := range d.responses {
		if r.status == statusNonIssued {
			return append(list, extension{oid: oidExtendedRevoke, value: []byte(derNull)}), nil
		}
	}
	return list, nil
}

// encodeResponses returns the SEQUENCE OF SingleResponse: everything an answer says about certificates, without
// who says it, when it was signed, or the nonce.
func encodeResponses(responses []singleResponse) ([]byte, error) {
	var b cryptobyte.Builder
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		for _, r := range responses {
			b.AddASN1(asn1.SEQUENCE, r.add)
		}
	})
	return b.Bytes()
}

func (r singleResponse) add(b *cryptobyte.Builder) {
	b.AddBytes(r.certID)
	switch r.status {
	case statusGood:
		b.AddASN1(asn1.Tag(0).ContextSpecific(), func(*cryptobyte.Builder) {})
	case statusRevoked:
		addRevoked(b, r.revokedAt, r.reason)
	case statusNonIssued:
		addRevoked(b, time.Unix(0, 0), reasonCertificateHold)
	default:
		b.AddASN1(asn1.Tag(2).ContextSpecific(), func(*cryptobyte.Builder) {})
	}
	addTime(b, r.thisUpdate)
	b.AddASN1(explicit(0), func(b *cryptobyte.Builder) { addTime(b, r.nextUpdate) })
}

// addRevoked writes RevokedInfo.
func addRevoked(b *cryptobyte.Builder, at time.Time, reason int) {
	b.AddASN1(explicit(1), func(b *cryptobyte.Builder) {
		addTime(b, at)
		if reason != reasonUnspecified {
			b.AddASN1(explicit(0), func(b *cryptobyte.Builder) { b.AddASN1Enum(int64(reason)) })
		}
	})
}

// addTime writes a GeneralizedTime in whole seconds of UTC, cut and not rounded, so that it is never later.
func addTime(b *cryptobyte.Builder, t time.Time) {
	b.AddASN1GeneralizedTime(t.UTC().Truncate(time.Second))
}
