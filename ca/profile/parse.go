package profile

import (
	"bytes"

	"github.com/quorate-pki/quorate/internal/reason"
)

// MaxCertificate bounds a certificate, in bytes of DER.
const MaxCertificate = 8192

// Certificate is what the strict reader found. All slices alias the input. It is not changed after Parse returns,
// so it may be used concurrently.
type Certificate struct {
	Raw     []byte // the whole DER
	TBS     []byte // DER of tbsCertificate
	SPKI    []byte // DER of SubjectPublicKeyInfo
	KeyBits []byte // content of the SPKI's BIT STRING: what OCSP's issuerKeyHash hashes (RFC 6960 section 4.1.1)
	Issuer  []byte // DER of the Name
	Subject []byte // the same bytes as Issuer, but of a CA
	Serial  []byte // INTEGER content octets: 1 to 20, minimal, positive

	DeviceSerial string   // subject serialNumber (2.5.4.5); "" when there is none
	DNSNames     []string // dNSNames of the SAN, in order, lower case
	NotBefore    int64    // seconds since 1970 UTC
	NotAfter     int64    // seconds since 1970 UTC

	Key       *PublicKey
	SigAlg    SigAlg
	Signature []byte

	Extensions []OID // every extension, in order
	KeyUsage   KeyUsage
	EKUs       []OID

	attributes       // of the subject
	keyUsageCritical bool
	sanCritical      bool
	nfTypes          []byte // value of the extension, unread; nil when absent
	nfTypesCritical  bool
	basicConstraints []byte      // whole DER; nil when absent
	authority        bool        // read as a CA's
	pathLen          int         // of a CA; -1 for none
	constrained      bool        // a CA with name constraints
	otherNames       []otherName // SAN entries that are not dNSNames
	subjectKeyID     []byte
	authorityKeyID   []byte
}

// otherName is an alternative name that is no dNSName, unread: a profile that has its kind reads it.
type otherName struct {
	kind    SANKind
	tag     byte // as encoded; whether it is primitive or constructed was not looked at
	content []byte
}

// SelfSignature is what CheckSelfSignature checks, for callers that check in parallel or remember the outcome.
func (c *Certificate) SelfSignature() (key *PublicKey, alg SigAlg, tbs, sig []byte) {
	return c.Key, c.SigAlg, c.TBS, c.Signature
}

// CheckSelfSignature checks the certificate's signature with the key inside it. It proves possession of the key
// at some time, not who holds it.
func (c *Certificate) CheckSelfSignature() error {
	key, alg, tbs, sig := c.SelfSignature()
	if !key.Verify(alg, tbs, sig) {
		return reason.New(reason.SelfSignature, "")
	}
	return nil
}

// Parse reads a self-issued certificate: strict DER, and what holds for every profile. It checks no signature and
// compares no date with the time. Every error is a *reason.Error. The result aliases raw, which must not change.
func Parse(raw []byte) (*Certificate, error) {
	if len(raw) > MaxCertificate {
		return nil, reason.New(reason.DERTooLarge, "%d bytes", len(raw))
	}
	c := &Certificate{Raw: raw}
	at, algorithm, err := c.outer()
	if err != nil {
		return nil, err
	}
	if err := c.signed(at, algorithm); err != nil {
		return nil, err
	}
	return c, nil
}

// outer reads Certificate (RFC 5280 section 4.1) down to its three parts: at is the offset of the first.
func (c *Certificate) outer() (at int, algorithm []byte, err error) {
	d := &der{rest: c.Raw}
	outer := d.inside(tagSequence)
	at = outer.at
	_, c.TBS = outer.takeWhole(tagSequence)
	algorithm = outer.algorithm()
	signature := outer.take(tagBitString)
	outer.close(d)
	d.end()
	if d.err != nil {
		return 0, nil, d.err
	}
	if len(signature) < 2 || signature[0] != 0 {
		return 0, nil, reason.New(reason.SignatureForm, "")
	}
	c.Signature = signature[1:]
	return at, algorithm, nil
}

// signed reads TBSCertificate (RFC 5280 section 4.1), which begins at an offset.
func (c *Certificate) signed(at int, outerAlgorithm []byte) error {
	d := &der{rest: c.TBS, at: at}
	t := d.inside(tagSequence)
	t.version()
	c.Serial = t.serial()
	algorithm := t.algorithm()
	c.Issuer, _ = t.name()
	c.validity(t)
	var subject attributes
	c.Subject, subject = t.name()
	c.DeviceSerial, c.attributes = string(subject.serial), subject
	// Before the extensions: a certificate that a CA issued is told so, not that its key identifiers differ.
	if t.err == nil && !c.authority && !bytes.Equal(c.Issuer, c.Subject) {
		t.fail(reason.IssuerNotSubject, "")
	}
	keyAt := t.at
	_, c.SPKI = t.takeWhole(tagSequence)
	t.noUniqueIDs()
	if len(t.rest) > 0 && t.rest[0] == tagConstructed|3 {
		x := t.inside(tagConstructed | 3)
		list := x.inside(tagSequence)
		if c.authority {
			c.authorityExtensions(list)
		} else {
			c.extensions(list)
		}
		list.close(x)
		x.close(t)
	}
	t.close(d)
	d.end()
	if d.err != nil {
		return d.err
	}
	if !bytes.Equal(algorithm, outerAlgorithm) {
		return reason.New(reason.AlgorithmMismatch, "")
	}
	key, err := parseSPKI(c.SPKI, keyAt)
	if err != nil {
		return err
	}
	c.Key, c.KeyBits = key, key.Raw
	c.SigAlg = ParseSigAlg(algorithm)
	if another := c.authority && !bytes.Equal(c.Issuer, c.Subject); !another && !c.SigAlg.fits(key.Kind) {
		return reason.New(reason.AlgorithmNotForKey, "%s with a key of kind %s", c.SigAlg, key.Kind)
	}
	return nil
}

// version demands version 3, which is the INTEGER 2.
func (d *der) version() {
	if len(d.rest) > 0 && d.rest[0] == tagInteger {
		d.fail(reason.CertVersion, "version 1: there is no version field")
		return
	}
	v := d.inside(tagConstructed)
	n := v.integer()
	v.close(d)
	if d.err == nil && !bytes.Equal(n, []byte{2}) {
		d.fail(reason.CertVersion, "")
	}
}

// serial reads the certificate's serial number (RFC 5280 section 4.1.2.2).
func (d *der) serial() []byte {
	n := d.integer()
	if d.err != nil {
		return nil
	}
	switch {
	case n[0] >= 0x80:
		d.fail(reason.SerialNumberForm, "negative")
	case len(n) > 20:
		d.fail(reason.SerialNumberForm, "%d octets", len(n))
	case len(n) == 1 && n[0] == 0:
		d.fail(reason.SerialNumberForm, "zero")
	}
	return n
}

// algorithm reads a signature's AlgorithmIdentifier, whole.
func (d *der) algorithm() []byte {
	content, whole := d.takeWhole(tagSequence)
	if d.err != nil || ParseSigAlg(whole) != 0 {
		return whole
	}
	a := &der{rest: content, at: d.at - len(content)}
	switch oid := a.oid(); {
	case a.err != nil:
		d.fail(a.err.Code, "in the signature's algorithm identifier: %s", a.err.Detail)
	case knownSignatureOID(oid):
		d.fail(reason.AlgorithmParameters, "of the signature")
	default:
		d.fail(reason.AlgorithmUnknown, "%s", oid)
	}
	return nil
}

// validity reads notBefore and notAfter.
func (c *Certificate) validity(t *der) {
	v := t.inside(tagSequence)
	c.NotBefore, c.NotAfter = v.time(), v.time()
	v.close(t)
	if t.err == nil && c.NotAfter <= c.NotBefore {
		t.fail(reason.TimeOrder, "")
	}
}

// noUniqueIDs refuses issuerUniqueID and subjectUniqueID, in the right encoding and in the constructed one.
func (d *der) noUniqueIDs() {
	if len(d.rest) > 0 && (d.rest[0]&^0x20 == tagContext|1 || d.rest[0]&^0x20 == tagContext|2) {
		d.fail(reason.UniqueIDs, "at byte %d", d.at)
	}
}
