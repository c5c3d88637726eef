package ca

import (
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"io"
	"math/big"
	"strconv"
	"strings"
	"time"

	"github.com/quorate-pki/quorate/ca/profile"
)

// SelfIssueConfig says what a device puts into its own certificate.
type SelfIssueConfig struct {
	Profile      *profile.Profile
	Key          crypto.Signer
	Serial       string    // device serial; becomes the subject's serialNumber. None with profile nf
	Organisation string    // optional: the subject's O. With profile nf the home domain name, and required
	Country      string    // optional: the subject's C, two capital letters. With profile nf required
	DNSNames     []string  // at least one, where the profile demands an alternative name
	HardwareType string    // optional, profile iot: the hwType of a hardwareModuleName (RFC 4108), a dotted OID
	Instance     string    // profile nf: the instance id, a UUID of version 4 in lower case
	NFTypes      []string  // profile nf: types of network function (RFC 9310), in any order
	NotBefore    time.Time // required
	NotAfter     time.Time // zero: the latest that the profile allows, if it can 99991231235959Z (IEEE 802.1AR)
	Rand         io.Reader // required
}

var oidSerialNumber = asn1.ObjectIdentifier{2, 5, 4, 5}

// SelfIssue makes the DER of a self-issued certificate and holds it to the profile, at the time notBefore, before it
// returns it.
func SelfIssue(cfg SelfIssueConfig) ([]byte, error) {
	switch {
	case !cfg.NotAfter.IsZero():
	case cfg.Profile.NoEnd:
		cfg.NotAfter = time.Unix(profile.Latest, 0).UTC()
	default:
		cfg.NotAfter = cfg.NotBefore.UTC().AddDate(cfg.Profile.MaxYears, 0, 0)
	}
	serial := make([]byte, 16)
	if _, err := io.ReadFull(cfg.Rand, serial); err != nil {
		return nil, fmt.Errorf("self-issuing: %w", err)
	}
	serial[0] = serial[0]&0x7f | 0x40 // positive, and always 16 octets
	id, err := KeyID(cfg.Key.Public())
	if err != nil {
		return nil, fmt.Errorf("self-issuing: %w", err)
	}
	var subject pkix.Name
	if cfg.Serial != "" || cfg.Profile.DeviceSerial {
		subject.ExtraNames = []pkix.AttributeTypeAndValue{{Type: oidSerialNumber, Value: cfg.Serial}}
	}
	if cfg.Country != "" {
		subject.Country = []string{cfg.Country}
	}
	if cfg.Organisation != "" {
		subject.Organization = []string{cfg.Organisation}
	}
	template := &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes(serial), Subject: subject, NotBefore: cfg.NotBefore.UTC(), NotAfter: cfg.NotAfter.UTC(),
		KeyUsage: x509.KeyUsageDigitalSignature, DNSNames: cfg.DNSNames, SubjectKeyId: id[:20],
	}
	if template.ExtraExtensions, err = cfg.extensions(); err != nil {
		return nil, fmt.Errorf("self-issuing: %w", err)
	}
	for _, usage := range cfg.Profile.EKUs {
		template.UnknownExtKeyUsage = append(template.UnknownExtKeyUsage, arcs(usage))
	}
	der, err := x509.CreateCertificate(cfg.Rand, template, template, cfg.Key.Public(), cfg.Key)
	if err != nil {
		return nil, fmt.Errorf("self-issuing: %w", err)
	}
	cert, err := profile.Parse(der)
	if err != nil {
		return nil, fmt.Errorf("self-issuing: %w", err)
	}
	// Judged as of notBefore: nothing here asks the clock. Whether RSA 2048 is granted is for the ledger to say.
	at := max(cfg.NotBefore.UnixMilli(), 0)
	err = cfg.Profile.Check(cert, uint64(at), profile.Grant{LegacyRSA2048: true})
	if err == nil {
		err = cert.CheckSelfSignature()
	}
	if err != nil {
		return nil, fmt.Errorf("self-issuing: %w", err)
	}
	return der, nil
}

// arcs is an object identifier of a profile's as the standard library has it.
func arcs(o profile.OID) (out asn1.ObjectIdentifier) {
	for arc := range strings.SplitSeq(o.String(), ".") {
		n, _ := strconv.Atoi(arc) // an OID prints as numbers
		out = append(out, n)
	}
	return out
}

// DefaultName is the DNS name of a device that was given none: its serial in lower case under the suffix. Serials
// with characters that no host name has get none.
func DefaultName(serial, suffix string) (string, error) {
	name := strings.ToLower(serial) + "." + suffix
	if !profile.ValidDNSName(name) {
		return "", fmt.Errorf("%q makes no DNS name; give one", serial)
	}
	return name, nil
}

// SPKI is the DER of a public key's SubjectPublicKeyInfo.
func SPKI(pub crypto.PublicKey) ([]byte, error) { return x509.MarshalPKIXPublicKey(pub) }

// KeyID is SHA-256 of the SPKI, the key id everywhere.
func KeyID(pub crypto.PublicKey) ([32]byte, error) {
	spki, err := SPKI(pub)
	if err != nil {
		return [32]byte{}, err
	}
	k, err := profile.ParseSPKI(spki)
	if err != nil {
		return [32]byte{}, err
	}
	return k.ID(), nil
}

// SecondOpinion asks crypto/x509 whether it reads the certificate and its self-signature. It is advice at ingest and
// in tests, never part of a verdict: what it accepts changes between Go releases.
func SecondOpinion(der []byte) error {
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return fmt.Errorf("crypto/x509: %w", err)
	}
	if err := c.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature); err != nil {
		return fmt.Errorf("crypto/x509: %w", err)
	}
	return nil
}
