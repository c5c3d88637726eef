package reason

// Reasons about a certificate: its DER, its keys, its profile (100-199).
const (
	DERTooLarge           Code = 100
	DERTruncated          Code = 101
	DERLength             Code = 102
	DERTag                Code = 103
	DERTrailing           Code = 104
	DERValue              Code = 105
	CertVersion           Code = 110
	SerialNumberForm      Code = 111
	AlgorithmUnknown      Code = 112
	AlgorithmParameters   Code = 113
	AlgorithmMismatch     Code = 114
	NameForm              Code = 115
	IssuerNotSubject      Code = 116
	TimeForm              Code = 117
	TimeOrder             Code = 118
	UniqueIDs             Code = 119
	ExtensionDuplicate    Code = 120
	ExtensionForm         Code = 121
	ExtensionNotAllowed   Code = 122
	KeyUnknown            Code = 130
	KeyForm               Code = 131
	KeyWeak               Code = 132
	SelfSignature         Code = 133
	SignatureForm         Code = 134
	DeviceSerialMissing   Code = 140
	DeviceSerialForm      Code = 141
	SANMissing            Code = 142
	SANKind               Code = 143
	DNSName               Code = 144
	SANDuplicate          Code = 145
	KeyUsageForm          Code = 146
	ExtendedKeyUsageForm  Code = 147
	BasicConstraintsForm  Code = 148
	NotAfterTooFar        Code = 149
	NotBeforeTooFar       Code = 150
	CertificateExpired    Code = 151
	KeyNotInProfile       Code = 152
	AlgorithmNotInProfile Code = 153
)

var certificates = []Reason{
	{DERTooLarge, "der-too-large", "The certificate is larger than 8,192 bytes."},
	{DERTruncated, "der-truncated", "The DER ends before its lengths say."},
	{DERLength, "der-length", "A length is indefinite or not in its shortest form."},
	{DERTag, "der-tag", "Something stands where the certificate syntax has another type."},
	{DERTrailing, "der-trailing", "There are bytes after the end of a structure."},
	{DERValue, "der-value", "A value is not in DER: an INTEGER, BOOLEAN or BIT STRING that has a shorter or another form."},
	{CertVersion, "certificate-version", "Only X.509 version 3 is accepted."},
	{SerialNumberForm, "serial-number-form", "The certificate's serial number must be positive and have 1 to 20 octets."},
	{AlgorithmUnknown, "algorithm-unknown", "The signature algorithm is not one of ECDSA or RSA (PKCS#1 v1.5) with SHA-256 or SHA-384, or Ed25519."},
	{AlgorithmParameters, "algorithm-parameters", "Algorithm parameters must be absent for ECDSA and Ed25519, and NULL for RSA."},
	{AlgorithmMismatch, "algorithm-mismatch", "The signature algorithms inside and outside differ, or do not fit the key."},
	{NameForm, "name-form", "A distinguished name is empty or malformed, or has one attribute type twice."},
	{IssuerNotSubject, "issuer-not-subject", "A self-issued certificate names its subject as issuer, byte for byte."},
	{TimeForm, "time-form", "Times are UTCTime through 2049 and GeneralizedTime from 2050, with seconds, ending in Z."},
	{TimeOrder, "time-order", "notAfter is before notBefore."},
	{UniqueIDs, "unique-ids", "Issuer and subject unique identifiers are not accepted."},
	{ExtensionDuplicate, "extension-duplicate", "An extension appears twice."},
	{ExtensionForm, "extension-form", "An extension's value is malformed."},
	{ExtensionNotAllowed, "extension-not-allowed", "The profile does not have this extension."},
	{KeyUnknown, "key-unknown", "The public key is not P-256, P-384, Ed25519 or RSA."},
	{KeyForm, "key-form", "The public key is malformed: a compressed point, wrong parameters, a point off the curve."},
	{KeyWeak, "key-weak", "The RSA key is under 2048 or over 8192 bits, or its exponent is not 65537."},
	{SelfSignature, "self-signature", "The certificate's own signature does not verify with the key inside."},
	{SignatureForm, "signature-form", "The signature's BIT STRING is malformed."},
	{DeviceSerialMissing, "device-serial-missing", "The subject needs exactly one serialNumber attribute (2.5.4.5): the device serial."},
	{DeviceSerialForm, "device-serial-form", "A device serial has 1 to 64 characters of A-Z a-z 0-9 . _ : / -."},
	{SANMissing, "san-missing", "The profile needs a subject alternative name."},
	{SANKind, "san-kind", "The profile does not have this kind of subject alternative name."},
	{DNSName, "dns-name", "A DNS name is lower-case A-labels, at least two, without wildcard or final dot."},
	{SANDuplicate, "san-duplicate", "A subject alternative name appears twice."},
	{KeyUsageForm, "key-usage", "keyUsage must be critical, with digitalSignature, and nothing the profile does not have."},
	{ExtendedKeyUsageForm, "extended-key-usage", "The extended key usage is not one that the profile has."},
	{BasicConstraintsForm, "basic-constraints", "basicConstraints must be absent or say CA:FALSE (in DER: an empty sequence)."},
	{NotAfterTooFar, "not-after-too-far", "notAfter is further ahead than the profile allows and not 99991231235959Z."},
	{NotBeforeTooFar, "not-before-too-far", "notBefore is more than 48 hours ahead."},
	{CertificateExpired, "certificate-expired", "The certificate has expired."},
	{KeyNotInProfile, "key-not-in-profile", "The profile does not accept this kind or size of key."},
	{AlgorithmNotInProfile, "algorithm-not-in-profile", "The profile does not accept this signature algorithm."},
}
