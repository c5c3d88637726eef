package ocsp

import (
	"errors"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

const (
	// MaxRequestSize is the longest request that is looked at, in octets. A hundred SHA-384 CertIDs fit.
	MaxRequestSize = 16 << 10
	// DefaultMaxRequests is the most certificates one request may ask about.
	DefaultMaxRequests = 100
	// maxNonce is the longest nonce, in octets; the shortest is one (RFC 9654 section 2.1).
	maxNonce = 128
)

var (
	// ErrMalformed says that the bytes do not follow the request syntax: answer malformedRequest. Sending the
	// same bytes again is pointless, here and elsewhere.
	ErrMalformed = errors.New("malformed OCSP request")
	// ErrUnsupported says that the request is well formed but asks for what this package does not know: answer
	// malformedRequest, too. RFC 6960 has no status of its own for it. Another responder might know more.
	ErrUnsupported = errors.New("unsupported OCSP request")
)

// Request is an OCSPRequest. Its slices share memory with Raw; none may be changed.
type Request struct {
	Raw   []byte   // the DER it was read from
	Certs []CertID // what is asked about, in order, at least one
	Nonce []byte   // 1 to 128 octets; nil when the request has none

	// Proofs asks for the ledger's proofs beside each answer.
	Proofs bool

	// What is ignored, kept so that encode can repeat a request octet for octet.
	requestorName    []byte        // the whole [1] element
	signature        []byte        // the whole [0] element
	extensions       []extension   // of the request, in order, with the nonce
	singleExtensions [][]extension // one list for each of the first of Certs; none for the rest
}

// NewRequest makes an unsigned request. Give a nonce of 32 octets from a secure random source (RFC 9654 section
// 2.1), or nil for an answer that caches may serve.
func NewRequest(nonce []byte, certs ...CertID) (*Request, error) {
	return makeRequest(nonce, false, certs)
}

// NewProofsRequest is NewRequest, and asks for the ledger's proofs as well: see Proofs. At most 16 certificates.
func NewProofsRequest(nonce []byte, certs ...CertID) (*Request, error) {
	return makeRequest(nonce, true, certs)
}

func makeRequest(nonce []byte, proofs bool, certs []CertID) (*Request, error) {
	r := Request{Certs: certs}
	if nonce != nil {
		r.extensions = []extension{nonceExtension(nonce)}
	}
	if proofs {
		r.extensions = append(r.extensions, extension{oid: oidProofs, value: []byte(derNull)})
	}
	parsed, err := ParseRequest(r.encode())
	if err != nil {
		return nil, fmt.Errorf("making a request: %w", err)
	}
	return parsed, nil
}

// ParseRequest reads a request of at most MaxRequestSize octets and DefaultMaxRequests certificates. It accepts
// strict DER only, and nothing that would not re-encode to the same octets. Every error is an ErrMalformed or an
// ErrUnsupported; the first wins when both are true. The request keeps der, which must not be changed after.
func ParseRequest(der []byte) (*Request, error) {
	return parseRequest(der, DefaultMaxRequests)
}

func parseRequest(der []byte, most int) (*Request, error) {
	r := new(Request)
	if err := r.parse(der, most); err != nil {
		return nil, err
	}
	return r, nil
}

// parse reads a request into r, in the space that its Certs have.
func (r *Request) parse(der []byte, most int) error {
	*r = Request{Raw: der, Certs: r.Certs[:0]}
	if len(der) > MaxRequestSize {
		return malformed("longer than %d octets", MaxRequestSize)
	}
	var request, tbs, name, list cryptobyte.String
	input := cryptobyte.String(der)
	if !input.ReadASN1(&request, asn1.SEQUENCE) || !input.Empty() {
		return malformed("not one DER SEQUENCE")
	}
	if !request.ReadASN1(&tbs, asn1.SEQUENCE) {
		return malformed("tbsRequest is not a SEQUENCE")
	}
	if request.PeekASN1Tag(explicit(0)) && !readWrapped(&request, &r.signature, 0, asn1.SEQUENCE) {
		return malformed("optionalSignature is not one SEQUENCE")
	}
	if !request.Empty() {
		return malformed("something follows the request")
	}

	if tbs.PeekASN1Tag(explicit(0)) {
		return malformed("version is present: v1, the only one, is the DEFAULT, which DER leaves out")
	}
	if tbs.PeekASN1Tag(explicit(1)) {
		var (
			inner cryptobyte.String
			tag   asn1.Tag
		)
		if !tbs.ReadASN1Element(&name, explicit(1)) {
			return malformed("requestorName is cut short")
		}
		r.requestorName = name
		if !name.ReadASN1(&inner, explicit(1)) || !inner.ReadAnyASN1(&name, &tag) || !inner.Empty() {
			return malformed("requestorName is not one GeneralName")
		}
	}
	if !tbs.ReadASN1(&list, asn1.SEQUENCE) || list.Empty() {
		return malformed("requestList is not a SEQUENCE of at least one Request")
	}
	if err := r.readRequestList(list, most); err != nil {
		return err
	}
	if tbs.PeekASN1Tag(explicit(2)) {
		var wrapped cryptobyte.String
		if !tbs.ReadASN1(&wrapped, explicit(2)) || !readExtensions(&wrapped, &r.extensions) || !wrapped.Empty() {
			return malformed("requestExtensions are not well formed")
		}
	}
	if !tbs.Empty() {
		return malformed("something follows tbsRequest")
	}
	if err := r.readExtensions(); err != nil {
		return err
	}
	// Last, so that whatever is malformed is called so.
	if err := r.supported(); err != nil {
		return err
	}
	return nil
}

// readRequestList reads each Request of the list. One too many ends it at once: what follows is not looked at.
func (r *Request) readRequestList(list cryptobyte.String, most int) error {
	for !list.Empty() {
		if len(r.Certs) == most {
			return fmt.Errorf("%w: more than %d certificates", ErrUnsupported, most)
		}
		var (
			item       cryptobyte.String
			extensions []extension
		)
		if !list.ReadASN1(&item, asn1.SEQUENCE) {
			return malformed("Request %d is not a SEQUENCE", len(r.Certs))
		}
		id, err := readCertID(&item)
		if err != nil {
			return malformed("Request %d: %v", len(r.Certs), err)
		}
		if item.PeekASN1Tag(explicit(0)) {
			var wrapped cryptobyte.String
			if !item.ReadASN1(&wrapped, explicit(0)) || !readExtensions(&wrapped, &extensions) || !wrapped.Empty() {
				return malformed("Request %d: singleRequestExtensions are not well formed", len(r.Certs))
			}
		}
		if !item.Empty() {
			return malformed("Request %d: something follows it", len(r.Certs))
		}
		r.Certs = append(r.Certs, id)
		if extensions != nil {
			r.singleExtensions = append(r.singleExtensions, make([][]extension, len(r.Certs)-len(r.singleExtensions))...)
			r.singleExtensions[len(r.Certs)-1] = extensions
		}
	}
	return nil
}

// readExtensions takes what is known out of the request's extensions.
func (r *Request) readExtensions() error {
	for _, e := range r.extensions {
		switch e.oid {
		case oidProofs:
			if string(e.value) != derNull {
				return malformed("the request for proofs is not NULL")
			}
			r.Proofs = true
			continue
		case oidNonce:
		default:
			continue
		}
		var nonce cryptobyte.String
		value := cryptobyte.String(e.value)
		if !value.ReadASN1(&nonce, asn1.OCTET_STRING) || !value.Empty() {
			return malformed("the nonce is not one OCTET STRING")
		}
		if len(nonce) < 1 || len(nonce) > maxNonce {
			return malformed("a nonce of %d octets: RFC 9654 allows 1 to %d", len(nonce), maxNonce)
		}
		r.Nonce = nonce
	}
	return nil
}

// supported refuses what is well formed but not known here.
func (r *Request) supported() error {
	for i, id := range r.Certs {
		if id.Hash == 0 {
			return fmt.Errorf("%w: Request %d: unknown hash algorithm", ErrUnsupported, i)
		}
	}
	for i, list := range r.singleExtensions {
		for _, e := range list {
			if e.critical {
				return fmt.Errorf("%w: Request %d: unknown critical extension", ErrUnsupported, i)
			}
		}
	}
	for _, e := range r.extensions {
		if e.critical && e.oid != oidNonce && e.oid != oidProofs {
			return fmt.Errorf("%w: unknown critical extension", ErrUnsupported)
		}
	}
	if r.Proofs && len(r.Certs) > maxProofs {
		return fmt.Errorf("%w: proofs of more than %d certificates", ErrUnsupported, maxProofs)
	}
	return nil
}

// encode writes the request from its parts: Raw itself is not used, but the Raw of each CertID is.
func (r *Request) encode() []byte {
	var w writer
	w.octets(r.signature)
	tbs := w.mark()
	w.extensions(2, r.extensions...)
	list := w.mark()
	for i := len(r.Certs) - 1; i >= 0; i-- {
		item := w.mark()
		if i < len(r.singleExtensions) {
			w.extensions(0, r.singleExtensions[i]...)
		}
		w.octets(r.Certs[i].Raw)
		w.wrap(tagSequence, item)
	}
	w.wrap(tagSequence, list)
	w.octets(r.requestorName)
	w.wrap(tagSequence, tbs)
	w.wrap(tagSequence, 0)
	der, _ := w.written() // only times can fail
	return der
}

// readWrapped reads the whole element [n] EXPLICIT that wraps exactly one element of the given tag.
func readWrapped(s *cryptobyte.String, out *[]byte, n uint8, tag asn1.Tag) bool {
	var element, wrapped, inner cryptobyte.String
	if !s.ReadASN1Element(&element, explicit(n)) {
		return false
	}
	*out = element
	return element.ReadASN1(&wrapped, explicit(n)) && wrapped.ReadASN1(&inner, tag) && wrapped.Empty()
}

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, args...))
}
