package verify

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"time"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/quorate-pki/quorate/ca/profile"
	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
)

// MaxOCSPAnswer bounds an OCSP answer about one certificate with its proofs, in bytes: two proofs as large as they may be, and
// room for the rest.
const MaxOCSPAnswer = 256 << 10

// OCSPStatus is what a responder says of a certificate (RFC 6960 section 2.2).
type OCSPStatus uint8

// The zero OCSPStatus is none of these.
const (
	OCSPGood OCSPStatus = iota + 1
	OCSPRevoked
	OCSPUnknown
)

// OCSPAnswer is an OCSP answer about one self-issued certificate, as it reads. What it says is its responder's word, or nobody's, before
// Signer; what its proofs say is for Receipt and Status to find out.
type OCSPAnswer struct {
	Told       OCSPStatus
	Since      time.Time // of OCSPRevoked
	ThisUpdate time.Time
	Nonce      []byte // nil when there is none

	// The extension with proofs (docs/ocsp.md); nil when the answer does not have it.
	Receipt []byte
	Status  []byte

	responder []byte // SHA-1 of the bits of its key: ResponderID byKey
	signed    []byte // DER of ResponseData
	algorithm profile.SigAlg
	signature []byte
}

// Object identifiers, as content octets. privateArc is the one of docs/ocsp.md.
const (
	oidBasicResponse = "\x2b\x06\x01\x05\x05\x07\x30\x01\x01"
	oidNonce         = "\x2b\x06\x01\x05\x05\x07\x30\x01\x02"
	oidProofs        = "\x2b\x06\x01\x04\x01\x81\xfd\x59\x01\x01"

	oidSHA1   = "\x2b\x0e\x03\x02\x1a"
	oidSHA256 = "\x60\x86\x48\x01\x65\x03\x04\x02\x01"
	oidSHA384 = "\x60\x86\x48\x01\x65\x03\x04\x02\x02"
)

func badOCSP(format string, args ...any) *reason.Error {
	return reason.New(reason.BadOCSPAnswer, format, args...)
}

// ParseOCSP reads an answer about one self-issued certificate (RFC 6960 section 4.2.1), strict DER with nothing after it. The
// certificates that may come with it are not looked at: a responder is known by its key. An OCSP error is reason.OCSPNotAnswered.
func ParseOCSP(response, der []byte) (*OCSPAnswer, error) {
	if len(response) > MaxOCSPAnswer {
		return nil, badOCSP("%d bytes, at most %d", len(response), MaxOCSPAnswer)
	}
	cert, err := profile.Parse(der)
	if err != nil {
		return nil, reason.New(reason.BadCertificateFile, "%v", err)
	}
	var outer, wrapped, basic cryptobyte.String
	var status int
	in := cryptobyte.String(response)
	if !in.ReadASN1(&outer, asn1.SEQUENCE) || !in.Empty() || !outer.ReadASN1Enum(&status) {
		return nil, badOCSP("not an OCSPResponse")
	}
	if status != 0 {
		if !outer.Empty() {
			return nil, badOCSP("an error with an answer")
		}
		return nil, reason.New(reason.OCSPNotAnswered, "%s", ocspError(status))
	}
	var kind cryptobyte.String
	if !readWhole(&outer, tag(0), &wrapped) || !outer.Empty() || !readWhole(&wrapped, asn1.SEQUENCE, &wrapped) ||
		!wrapped.ReadASN1(&kind, asn1.OBJECT_IDENTIFIER) || string(kind) != oidBasicResponse ||
		!wrapped.ReadASN1(&basic, asn1.OCTET_STRING) || !wrapped.Empty() || !readWhole(&basic, asn1.SEQUENCE, &basic) {
		return nil, badOCSP("not a basic response")
	}
	a := new(OCSPAnswer)
	var data, algorithm cryptobyte.String
	if !basic.ReadASN1Element(&data, asn1.SEQUENCE) || !basic.ReadASN1Element(&algorithm, asn1.SEQUENCE) ||
		!basic.ReadASN1BitStringAsBytes(&a.signature) || !basic.SkipOptionalASN1(tag(0)) || !basic.Empty() {
		return nil, badOCSP("not a BasicOCSPResponse")
	}
	a.signed, a.algorithm = data, profile.ParseSigAlg(algorithm)
	return a, a.data(data, cert)
}

// readWhole reads one element that is all of in.
func readWhole(in *cryptobyte.String, t asn1.Tag, out *cryptobyte.String) bool {
	var content cryptobyte.String
	if !in.ReadASN1(&content, t) || !in.Empty() {
		return false
	}
	*out = content
	return true
}

// tag is [n] EXPLICIT.
func tag(n uint8) asn1.Tag { return asn1.Tag(n).ContextSpecific().Constructed() }

func ocspError(status int) string {
	switch status {
	case 1:
		return "malformedRequest"
	case 2:
		return "internalError"
	case 3:
		return "tryLater"
	case 5:
		return "sigRequired"
	case 6:
		return "unauthorized"
	}
	return "an error that is none"
}

// data reads ResponseData, whose version, v1, is the DEFAULT.
func (a *OCSPAnswer) data(whole cryptobyte.String, cert *profile.Certificate) error {
	var in, responder, responses, single cryptobyte.String
	var produced time.Time
	if !whole.ReadASN1(&in, asn1.SEQUENCE) || !in.ReadASN1(&responder, tag(2)) ||
		!responder.ReadASN1Bytes(&a.responder, asn1.OCTET_STRING) || !responder.Empty() || len(a.responder) != sha1.Size {
		return badOCSP("the responder is not named by its key")
	}
	if !in.ReadASN1GeneralizedTime(&produced) || !in.ReadASN1(&responses, asn1.SEQUENCE) || !readWhole(&responses, asn1.SEQUENCE, &single) {
		return badOCSP("not one answer")
	}
	if err := a.single(single, cert); err != nil {
		return err
	}
	return eachExtension(&in, 1, func(oid string, critical bool, value cryptobyte.String) error {
		switch {
		case oid == oidNonce:
			if !value.ReadASN1Bytes(&a.Nonce, asn1.OCTET_STRING) || !value.Empty() {
				return badOCSP("the nonce")
			}
		case critical:
			return badOCSP("a critical extension that is not known here")
		}
		return nil
	})
}

// single reads the SingleResponse, which must be about the certificate.
func (a *OCSPAnswer) single(in cryptobyte.String, cert *profile.Certificate) error {
	var id, status cryptobyte.String
	var kind asn1.Tag
	if !in.ReadASN1(&id, asn1.SEQUENCE) || !names(id, cert) {
		return badOCSP("about another certificate")
	}
	if !in.ReadAnyASN1(&status, &kind) {
		return badOCSP("no status")
	}
	switch {
	case kind == asn1.Tag(0).ContextSpecific() && status.Empty():
		a.Told = OCSPGood
	case kind == tag(1):
		a.Told = OCSPRevoked
		if !status.ReadASN1GeneralizedTime(&a.Since) || !status.SkipOptionalASN1(tag(0)) || !status.Empty() {
			return badOCSP("not a RevokedInfo")
		}
	case kind == asn1.Tag(2).ContextSpecific() && status.Empty():
		a.Told = OCSPUnknown
	default:
		return badOCSP("a status that is none")
	}
	if !in.ReadASN1GeneralizedTime(&a.ThisUpdate) || !in.SkipOptionalASN1(tag(0)) { // nextUpdate is for caches
		return badOCSP("the times")
	}
	return eachExtension(&in, 1, func(oid string, critical bool, value cryptobyte.String) error {
		var proofs cryptobyte.String
		switch {
		case oid == oidProofs:
			if !readWhole(&value, asn1.SEQUENCE, &proofs) || !proofs.ReadASN1Bytes(&a.Receipt, asn1.OCTET_STRING) ||
				!proofs.ReadASN1Bytes(&a.Status, asn1.OCTET_STRING) || !proofs.Empty() {
				return badOCSP("the proofs")
			}
		case critical:
			return badOCSP("a critical extension that is not known here")
		}
		return nil
	})
}

// names tells whether a CertID is a certificate's, which is its own issuer.
func names(id cryptobyte.String, cert *profile.Certificate) bool {
	var algorithm, oid cryptobyte.String
	var name, key []byte
	var serial cryptobyte.String
	if !id.ReadASN1(&algorithm, asn1.SEQUENCE) || !algorithm.ReadASN1(&oid, asn1.OBJECT_IDENTIFIER) ||
		!id.ReadASN1Bytes(&name, asn1.OCTET_STRING) || !id.ReadASN1Bytes(&key, asn1.OCTET_STRING) ||
		!id.ReadASN1(&serial, asn1.INTEGER) || !id.Empty() {
		return false
	}
	var sum func([]byte) []byte
	switch string(oid) {
	case oidSHA1:
		sum = func(b []byte) []byte { h := sha1.Sum(b); return h[:] }
	case oidSHA256:
		sum = func(b []byte) []byte { h := sha256.Sum256(b); return h[:] }
	case oidSHA384:
		sum = func(b []byte) []byte { h := sha512.Sum384(b); return h[:] }
	default:
		return false
	}
	return bytes.Equal(name, sum(cert.Issuer)) && bytes.Equal(key, sum(cert.KeyBits)) && bytes.Equal(serial, cert.Serial)
}

// eachExtension reads Extensions under [n] EXPLICIT, if they are there, up to the end; none may be there twice.
func eachExtension(in *cryptobyte.String, n uint8, read func(oid string, critical bool, value cryptobyte.String) error) error {
	var list cryptobyte.String
	var present bool
	if !in.ReadOptionalASN1(&list, &present, tag(n)) || !in.Empty() || present && !readWhole(&list, asn1.SEQUENCE, &list) {
		return badOCSP("the extensions")
	}
	seen := map[string]bool{}
	for !list.Empty() {
		var item, oid, value cryptobyte.String
		var critical bool
		if !list.ReadASN1(&item, asn1.SEQUENCE) || !item.ReadASN1(&oid, asn1.OBJECT_IDENTIFIER) ||
			item.PeekASN1Tag(asn1.BOOLEAN) && !item.ReadASN1Boolean(&critical) ||
			!item.ReadASN1(&value, asn1.OCTET_STRING) || !item.Empty() || seen[string(oid)] {
			return badOCSP("an extension")
		}
		seen[string(oid)] = true
		if err := read(string(oid), critical, value); err != nil {
			return err
		}
	}
	return nil
}

// Signer finds the member whose responder key signed the answer. The set must be proved to be the one in force: Standing.Members, of the
// answer's own status proof for one.
func (a *OCSPAnswer) Signer(set *ledger.MemberSet) (*ledger.Member, error) {
	for i := range set.Members {
		key, err := profile.ParseSPKI(set.Members[i].Keys[ledger.KeyResponder])
		if err != nil {
			continue
		}
		if id := sha1.Sum(key.Raw); bytes.Equal(id[:], a.responder) && a.algorithm != 0 && key.Verify(a.algorithm, a.signed, a.signature) {
			return &set.Members[i], nil
		}
	}
	return nil, reason.New(reason.NotAResponder, "")
}
