package profile

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"testing"
	"time"
)

// blockTime is the block time of the tests, in ms: 2027-06-15 12:00:00.500 UTC.
var blockTime = uint64(time.Date(2027, 6, 15, 12, 0, 0, 5e8, time.UTC).UnixMilli())

// tlv is one element of DER: lengths in the shortest form, content whatever the test wants.
func tlv(tag byte, parts ...[]byte) []byte {
	content := bytes.Join(parts, nil)
	n := len(content)
	switch {
	case n < 0x80:
		return append([]byte{tag, byte(n)}, content...)
	case n < 0x100:
		return append([]byte{tag, 0x81, byte(n)}, content...)
	case n < 0x10000:
		return append([]byte{tag, 0x82, byte(n >> 8), byte(n)}, content...)
	}
	return append([]byte{tag, 0x83, byte(n >> 16), byte(n >> 8), byte(n)}, content...)
}

func str(s string) []byte { return []byte(s) }

func oid(o OID) []byte { return tlv(tagOID, str(string(o))) }

func attr(o OID, tag byte, value string) []byte {
	return tlv(tagSet, tlv(tagSequence, oid(o), tlv(tag, str(value))))
}

func ext(o OID, critical bool, value ...[]byte) []byte {
	if critical {
		return tlv(tagSequence, oid(o), tlv(tagBoolean, []byte{0xff}), tlv(tagOctetString, value...))
	}
	return tlv(tagSequence, oid(o), tlv(tagOctetString, value...))
}

const (
	oidO  OID = "\x55\x04\x0a"
	oidCN     = oidCommonName
)

// spec is a certificate taken apart: every field is whole DER and may be replaced by anything.
type spec struct {
	version, serial, sigAlg, issuer, notBefore, notAfter, subject, spki []byte
	uniqueIDs                                                           []byte
	ku, eku, san, ski, aki, bc                                          []byte
	more                                                                []byte // extensions after those
	noExtensions                                                        bool
	afterExtensions, afterTBS                                           []byte

	outerAlg  []byte                    // nil: sigAlg
	signature []byte                    // whole element; nil: a true one
	outer     func(whole []byte) []byte // last change to the whole
	key       crypto.Signer
	alg       SigAlg
}

// testKeys are one key of every kind, made once.
type testKeys map[KeyKind]crypto.Signer

func newKeys(t testing.TB) testKeys {
	t.Helper()
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	must(t, err)
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	return testKeys{P256: p256, P384: p384, Ed25519: ed, RSA: rsaKey(t, 3072)}
}

func rsaKey(t testing.TB, bits int) *rsa.PrivateKey {
	t.Helper()
	k, err := rsa.GenerateKey(rand.Reader, bits)
	must(t, err)
	return k
}

func ed(t testing.TB) crypto.Signer {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	return key
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func spkiOf(t testing.TB, pub crypto.PublicKey) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(pub)
	must(t, err)
	return der
}

var sigAlgDER = map[SigAlg]string{ECDSAWithSHA256: sigECDSA256, ECDSAWithSHA384: sigECDSA384, Ed25519Sig: sigEd25519,
	RSAPKCS1SHA256: sigRSA256, RSAPKCS1SHA384: sigRSA384}

// good is a small-cell certificate with everything that openssl would put in.
func good(t testing.TB, key crypto.Signer, alg SigAlg) *spec {
	name := tlv(tagSequence, attr(oidO, tagUTF8String, "Örtliche Zellen"), attr(oidSerialNumber, tagPrintableString, "SC-0001/A"))
	id := bytes.Repeat([]byte{7}, 20)
	return &spec{
		version: tlv(tagConstructed, tlv(tagInteger, []byte{2})), serial: tlv(tagInteger, []byte{0x41, 1, 2, 3}),
		sigAlg: str(sigAlgDER[alg]), issuer: name, subject: name,
		notBefore: tlv(tagUTCTime, str("270101000000Z")), notAfter: tlv(tagGeneralizedTime, str("99991231235959Z")),
		spki: spkiOf(t, key.Public()),
		ku:   ext(extKeyUsage, true, tlv(tagBitString, []byte{7, 0x80})),
		eku:  ext(extEKU, false, tlv(tagSequence, oid(EKUClientAuth), oid(EKUServerAuth), oid(EKUIPsecIKE))),
		san:  ext(extSAN, false, tlv(tagSequence, tlv(0x82, str("sc-0001.cells.example")), tlv(0x82, str("xn--rtlich-wxa.example")))),
		ski:  ext(extSKI, false, tlv(tagOctetString, id)),
		aki:  ext(extAKI, false, tlv(tagSequence, tlv(0x80, id))),
		bc:   ext(extBasicConstraints, true, tlv(tagSequence)),
		key:  key, alg: alg,
	}
}

func (s *spec) build(t testing.TB) []byte {
	t.Helper()
	var exts []byte
	if !s.noExtensions {
		exts = tlv(tagConstructed|3, tlv(tagSequence, s.ku, s.eku, s.san, s.ski, s.aki, s.bc, s.more))
	}
	tbs := tlv(tagSequence, s.version, s.serial, s.sigAlg, s.issuer, tlv(tagSequence, s.notBefore, s.notAfter),
		s.subject, s.spki, s.uniqueIDs, exts, s.afterExtensions)
	outerAlg, signature := s.outerAlg, s.signature
	if outerAlg == nil {
		outerAlg = s.sigAlg
	}
	if signature == nil {
		signature = tlv(tagBitString, []byte{0}, sign(t, s.key, s.alg, tbs))
	}
	whole := tlv(tagSequence, tbs, outerAlg, signature, s.afterTBS)
	if s.outer != nil {
		whole = s.outer(whole)
	}
	return whole
}

func sign(t testing.TB, key crypto.Signer, alg SigAlg, msg []byte) []byte {
	t.Helper()
	digest, opts := msg, crypto.SignerOpts(crypto.Hash(0))
	switch alg {
	case ECDSAWithSHA256, RSAPKCS1SHA256, RSAPSSSHA256:
		h := sha256.Sum256(msg)
		digest, opts = h[:], crypto.SHA256
	case ECDSAWithSHA384, RSAPKCS1SHA384:
		h := sha512.Sum384(msg)
		digest, opts = h[:], crypto.SHA384
	}
	if alg == RSAPSSSHA256 {
		opts = &rsa.PSSOptions{SaltLength: 32, Hash: crypto.SHA256}
	}
	sig, err := key.Sign(rand.Reader, digest, opts)
	must(t, err)
	return sig
}

// judge is the whole way of a certificate: read, profile, signature.
func judge(der []byte, g Grant) error { return judgeBy(SmallCell, der, g) }

func judgeBy(id uint16, der []byte, g Grant) error {
	c, err := Parse(der)
	if err != nil {
		return err
	}
	p, _ := ByID(id)
	if err := p.Check(c, blockTime, g); err != nil {
		return err
	}
	return c.CheckSelfSignature()
}
