package profile

import (
	"bytes"

	"github.com/quorate-pki/quorate/internal/reason"
)

// MaxCertificate bounds a certificate, in bytes of DER.
const MaxCertificate = 8192

// Certificate is what the strict reader found. All slices alias the input.
type Certificate struct {
	Raw     []byte // the whole DER
	TBS     []byte // DER of tbsCertificate
	SPKI    []byte // DER of SubjectPublicKeyInfo
	KeyBits []byte // content of the SPKI's BIT STRING: what OCSP's issuerKeyHash hashes (RFC 6960 section 4.1.1)
	Issuer  []byte // DER of the Name
	Subject []byte
	Serial  []byte // INTEGER content octets: 1..20, positive

	DeviceSerial string // subject serialNumber (2.5.4.5); exactly one
	DNSNames     []string
	NotBefore    int64 // seconds since 1970, UTC
	NotAfter     int64

	Key       *PublicKey
	SigAlg    SigAlg
	Signature []byte

	KeyUsage   uint16 // bit i of RFC 5280 section 4.2.1.3 as 1<<i; 0 when absent
	EKU        []string
	extensions []extension
}

type extension struct {
	oid      string // content octets
	critical bool
	value    []byte
}

// CheckSelfSignature checks the certificate's signature with the key inside it.
func (c *Certificate) CheckSelfSignature() error {
	if !c.Key.Verify(c.SigAlg, c.TBS, c.Signature) {
		return reason.New(reason.SelfSignature, "")
	}
	return nil
}

// Parse reads a self-issued certificate: strict DER, and what holds for every profile. It checks no signature and
// no date. Every error is a *reason.Error.
func Parse(raw []byte) (*Certificate, error) {
	if len(raw) > MaxCertificate {
		return nil, reason.New(reason.DERTooLarge, "%d bytes", len(raw))
	}
	c := &Certificate{Raw: raw}
	d := &der{rest: raw}
	outer := d.inside(tagSequence)
	_, c.TBS = outer.takeWhole(tagSequence)
	algorithm := outer.algorithm()
	signature := outer.take(tagBitString)
	outer.close(d)
	d.close(d)
	if d.err != nil {
		return nil, d.err
	}
	if len(signature) < 2 || signature[0] != 0 {
		return nil, reason.New(reason.SignatureForm, "")
	}
	c.Signature = signature[1:]
	if err := c.tbs(algorithm); err != nil {
		return nil, err
	}
	return c, nil
}

// tbs reads TBSCertificate (RFC 5280 section 4.1).
func (c *Certificate) tbs(outerAlgorithm []byte) error {
	d := &der{rest: c.TBS}
	t := d.inside(tagSequence)
	t.version()
	c.Serial = t.serial()
	algorithm := t.algorithm()
	c.Issuer = t.name(nil)
	c.validity(t)
	c.Subject = t.name(c)
	spki, whole := t.takeWhole(tagSequence)
	_ = spki
	c.SPKI = whole
	for _, tag := range []byte{tagContext | 1, tagContext | 2, tagConstructed | 1, tagConstructed | 2} {
		if _, present := t.optional(tag); present {
			t.fail(reason.UniqueIDs, "")
		}
	}
	if exts, present := t.optional(tagConstructed | 3); present {
		e := &der{rest: exts}
		c.readExtensions(e.inside(tagSequence), e)
		e.close(t)
	}
	t.close(d)
	d.close(d)
	if d.err != nil {
		return d.err
	}
	if !bytes.Equal(algorithm, outerAlgorithm) {
		return reason.New(reason.AlgorithmMismatch, "inside and outside")
	}
	if !bytes.Equal(c.Issuer, c.Subject) {
		return reason.New(reason.IssuerNotSubject, "")
	}
	key, err := ParseSPKI(c.SPKI)
	if err != nil {
		return err
	}
	c.Key, c.KeyBits = key, key.Raw
	if c.SigAlg = signatureAlgorithm(algorithm); !c.SigAlg.fits(key.Kind) {
		return reason.New(reason.AlgorithmMismatch, "with a key of kind %s", key.Kind)
	}
	return nil
}

func (d *der) version() {
	if d.err == nil && (len(d.rest) == 0 || d.rest[0] != tagConstructed|0) {
		d.fail(reason.CertVersion, "version 1")
		return
	}
	v := d.inside(tagConstructed | 0)
	n := v.integer()
	v.close(d)
	if d.err == nil && (len(n) != 1 || n[0] != 2) {
		d.fail(reason.CertVersion, "")
	}
}

func (d *der) serial() []byte {
	n := d.integer()
	if d.err == nil && (len(n) > 20 || n[0] >= 0x80 || (len(n) == 1 && n[0] == 0)) {
		d.fail(reason.SerialNumberForm, "%x", n)
	}
	return n
}

// Encoded AlgorithmIdentifiers of signatures (RFC 5758, RFC 8410, RFC 4055): one accepted form each.
var signatureAlgorithms = map[string]SigAlg{
	"\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02":             ECDSAWithSHA256,
	"\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x03":             ECDSAWithSHA384,
	"\x30\x05\x06\x03\x2b\x65\x70":                                 Ed25519Signature,
	"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b\x05\x00": RSAWithSHA256,
	"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0c\x05\x00": RSAWithSHA384,
}

func signatureAlgorithm(whole []byte) SigAlg { return signatureAlgorithms[string(whole)] }

// algorithm reads a signature's AlgorithmIdentifier, whole.
func (d *der) algorithm() []byte {
	content, whole := d.takeWhole(tagSequence)
	if d.err != nil || signatureAlgorithm(whole) != 0 {
		return whole
	}
	a := &der{rest: content}
	oid := a.take(tagOID)
	if a.err != nil {
		d.fail(a.err.Code, "algorithm identifier")
		return nil
	}
	for known := range signatureAlgorithms {
		// An accepted algorithm whose parameters are not the accepted ones.
		if bytes.HasPrefix([]byte(known[4:]), oid) {
			d.fail(reason.AlgorithmParameters, "of the signature")
			return nil
		}
	}
	d.fail(reason.AlgorithmUnknown, "")
	return nil
}

// validity reads notBefore and notAfter.
func (c *Certificate) validity(t *der) {
	v := t.inside(tagSequence)
	c.NotBefore, c.NotAfter = v.time(), v.time()
	v.close(t)
	if t.err == nil && c.NotAfter < c.NotBefore {
		t.fail(reason.TimeOrder, "")
	}
}

// readExtensions reads the list; what is in each is the profile's business, but for names and usages, which are read
// here once.
func (c *Certificate) readExtensions(list, outer *der) {
	if list.err == nil && len(list.rest) == 0 {
		list.fail(reason.ExtensionForm, "an empty list")
	}
	seen := map[string]bool{}
	for list.err == nil && len(list.rest) > 0 {
		e := list.inside(tagSequence)
		x := extension{oid: string(e.take(tagOID))}
		if e.err == nil && len(e.rest) > 0 && e.rest[0] == tagBoolean {
			x.critical = e.boolean()
		}
		x.value = e.take(tagOctetString)
		e.close(list)
		if list.err == nil && seen[x.oid] {
			list.fail(reason.ExtensionDuplicate, "%x", x.oid)
		}
		seen[x.oid] = true
		c.extensions = append(c.extensions, x)
	}
	list.close(outer)
}
