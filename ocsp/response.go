package ocsp

import (
	"crypto/x509"
	"time"
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

// certStatus is the status of one certificate.
type certStatus uint8

const (
	statusUnknown certStatus = iota // the zero value claims nothing
	statusGood
	statusRevoked
	// statusNonIssued is "revoked" for a certificate that was never issued (RFC 6960 section 2.2): on hold since
	// 1970, and the response carries the extended-revoke extension. See Config.ExtendedRevoke.
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
	cutoff     time.Time // archive cutoff (RFC 6960 section 4.4.4); zero for none
	proofs     *Proofs   // nil for none
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

// extendedRevoke tells whether the answer says revoked of a certificate that was never issued.
func (d *responseData) extendedRevoke() bool {
	for i := range d.responses {
		if d.responses[i].status == statusNonIssued {
			return true
		}
	}
	return false
}

// response writes the OCSPResponse that carries d with its signature (RFC 6960 section 4.2.1).
func (w *writer) response(d *responseData, alg *algorithm, signature []byte) {
	mark := w.mark()
	for i := len(d.certificates) - 1; i >= 0; i-- {
		w.octets(d.certificates[i].Raw)
	}
	w.wrap(tagSequence, mark)
	w.wrap(tagExplicit+0, mark)
	bits := w.mark()
	w.octets(signature)
	w.octet(0) // unused bits
	w.wrap(tagBitString, bits)
	w.algorithm(alg)
	w.responseData(d)
	w.wrap(tagSequence, mark) // BasicOCSPResponse
	w.wrap(tagOctets, mark)
	w.oid(oidBasicResponse)
	w.wrap(tagSequence, mark) // ResponseBytes
	w.wrap(tagExplicit+0, mark)
	w.octet(byte(successful))
	w.string("\x0a\x01") // ENUMERATED of one octet
	w.wrap(tagSequence, mark)
}

func (w *writer) algorithm(alg *algorithm) {
	mark := w.mark()
	w.string(alg.parameters)
	w.oid(alg.oid)
	w.wrap(tagSequence, mark)
}

// responseData writes what is signed. The version, v1, is the DEFAULT, which DER leaves out.
func (w *writer) responseData(d *responseData) {
	mark := w.mark()
	var list [2]extension
	extensions := list[:0]
	if d.nonce != nil {
		extensions = append(extensions, nonceExtension(d.nonce))
	}
	if d.extendedRevoke() { // RFC 6960 section 4.4.8
		extensions = append(extensions, extension{oid: oidExtendedRevoke, value: []byte(derNull)})
	}
	w.extensions(1, extensions...)
	responses := w.mark()
	for i := len(d.responses) - 1; i >= 0; i-- {
		w.single(&d.responses[i])
	}
	w.wrap(tagSequence, responses)
	w.time(d.producedAt)
	responder := w.mark()
	w.element(tagOctets, d.keyHash)
	w.wrap(tagExplicit+2, responder)
	w.wrap(tagSequence, mark)
}

func (w *writer) single(r *singleResponse) {
	mark := w.mark()
	w.singleExtensions(r)
	next := w.mark()
	w.time(r.nextUpdate)
	w.wrap(tagExplicit+0, next)
	w.time(r.thisUpdate)
	switch r.status {
	case statusGood:
		w.wrap(tagPrimitive+0, w.mark())
	case statusRevoked:
		w.revoked(r.revokedAt, r.reason)
	case statusNonIssued:
		w.revoked(time.Unix(0, 0), reasonCertificateHold)
	default:
		w.wrap(tagPrimitive+2, w.mark())
	}
	w.octets(r.certID)
	w.wrap(tagSequence, mark)
}

// singleExtensions writes the archive cutoff and the proofs.
func (w *writer) singleExtensions(r *singleResponse) {
	if r.cutoff.IsZero() && r.proofs == nil {
		return
	}
	mark := w.mark()
	if r.proofs != nil {
		w.proofs(r.proofs)
	}
	if !r.cutoff.IsZero() {
		item := w.mark()
		w.time(r.cutoff)
		w.wrap(tagOctets, item)
		w.oid(oidArchiveCutoff)
		w.wrap(tagSequence, item)
	}
	w.wrap(tagSequence, mark)
	w.wrap(tagExplicit+1, mark)
}

// revoked writes RevokedInfo.
func (w *writer) revoked(at time.Time, reason int) {
	mark := w.mark()
	if reason != reasonUnspecified {
		w.octet(byte(reason))
		w.string("\x0a\x01") // ENUMERATED of one octet
		w.wrap(tagExplicit+0, mark)
	}
	w.time(at)
	w.wrap(tagExplicit+1, mark)
}
