package reason

// Reasons about a certificate: its DER, its keys, its profile (100-199).
const (
	DERTooLarge             Code = 100
	DERTruncated            Code = 101
	DERLength               Code = 102
	DERTag                  Code = 103
	DERTrailing             Code = 104
	DERValue                Code = 105
	CertVersion             Code = 110
	SerialNumberForm        Code = 111
	AlgorithmUnknown        Code = 112
	AlgorithmParameters     Code = 113
	AlgorithmMismatch       Code = 114
	NameForm                Code = 115
	IssuerNotSubject        Code = 116
	TimeForm                Code = 117
	TimeOrder               Code = 118
	UniqueIDs               Code = 119
	ExtensionDuplicate      Code = 120
	ExtensionForm           Code = 121
	ExtensionNotAllowed     Code = 122
	KeyUnknown              Code = 130
	KeyForm                 Code = 131
	KeyWeak                 Code = 132
	SelfSignature           Code = 133
	SignatureForm           Code = 134
	AlgorithmNotForKey      Code = 135
	KeySize                 Code = 136
	DeviceSerialMissing     Code = 140
	DeviceSerialForm        Code = 141
	SANMissing              Code = 142
	SANKind                 Code = 143
	DNSName                 Code = 144
	SANDuplicate            Code = 145
	KeyUsageForm            Code = 146
	ExtendedKeyUsageForm    Code = 147
	BasicConstraintsForm    Code = 148
	NotAfterTooFar          Code = 149
	NotBeforeTooFar         Code = 150
	CertificateExpired      Code = 151
	KeyNotInProfile         Code = 152
	AlgorithmNotInProfile   Code = 153
	DeviceSerialTwice       Code = 154
	KeyUsageMissing         Code = 155
	CommonName              Code = 156
	ExtendedKeyUsageMissing Code = 157
	HardwareModule          Code = 158
	DeviceSerialNotAllowed  Code = 159
	HomeDomain              Code = 160
	SANNotCritical          Code = 161
	InstanceMissing         Code = 162
	InstanceForm            Code = 163
	DNSNameMissing          Code = 164
	NFTypesMissing          Code = 165
	NFTypesForm             Code = 166
)

var certificates = []Reason{
	{DERTooLarge, "der-too-large", "The certificate is larger than 8,192 bytes; use fewer or shorter names."},
	{DERTruncated, "der-truncated", "The DER ends before its lengths say; send the whole certificate."},
	{DERLength, "der-length", "A length is indefinite or not in its shortest form; encode the certificate in DER, not BER."},
	{DERTag, "der-tag", "Something stands where the certificate syntax has another type."},
	{DERTrailing, "der-trailing", "There are bytes after the end of a structure; send exactly one certificate."},
	{DERValue, "der-value", "An INTEGER, BOOLEAN, BIT STRING or OBJECT IDENTIFIER is not in its one DER form."},
	{CertVersion, "certificate-version", "Only X.509 version 3 is accepted; version 1 has no extensions."},
	{SerialNumberForm, "serial-number-form", "The certificate's serial number must be positive and have 1 to 20 octets."},
	{AlgorithmUnknown, "algorithm-unknown", "The signature algorithm is not one of ECDSA or RSA (PKCS#1 v1.5) with SHA-256 or SHA-384, or Ed25519."},
	{AlgorithmParameters, "algorithm-parameters", "Algorithm parameters must be absent for ECDSA and Ed25519 signatures and Ed25519 keys, and NULL for RSA."},
	{AlgorithmMismatch, "algorithm-mismatch", "The signature algorithms inside and outside the signed part differ."},
	{NameForm, "name-form", "A distinguished name is empty or malformed, has one attribute type twice, or several attributes in one RDN."},
	{IssuerNotSubject, "issuer-not-subject", "A self-issued certificate names its subject as issuer, byte for byte."},
	{TimeForm, "time-form", "Times are UTCTime through 2049 and GeneralizedTime from 2050, with seconds, ending in Z."},
	{TimeOrder, "time-order", "notAfter is not after notBefore."},
	{UniqueIDs, "unique-ids", "Issuer and subject unique identifiers are not accepted; leave them out."},
	{ExtensionDuplicate, "extension-duplicate", "An extension appears twice."},
	{ExtensionForm, "extension-form", "An extension is malformed, or critical where it must not be."},
	{ExtensionNotAllowed, "extension-not-allowed", "The profile does not have this extension; leave it out."},
	{KeyUnknown, "key-unknown", "The public key is not P-256 or P-384 (as a named curve), Ed25519 or RSA."},
	{KeyForm, "key-form", "The public key is malformed: a compressed point, a point off the curve, a key of the wrong length."},
	{KeyWeak, "key-weak", "The key is known to be breakable: an RSA exponent other than 65537, a modulus with a known flaw, a point of small order. Make a new key."},
	{SelfSignature, "self-signature", "The certificate's own signature does not verify with the key inside."},
	{SignatureForm, "signature-form", "The signature's BIT STRING is empty or not of whole octets."},
	{AlgorithmNotForKey, "algorithm-not-for-key", "The certificate's key cannot make signatures of the algorithm it names."},
	{KeySize, "key-size", "The RSA modulus must have 2048 to 8192 bits."},
	{DeviceSerialMissing, "device-serial-missing", "The subject needs a serialNumber attribute (2.5.4.5): the device serial."},
	{DeviceSerialForm, "device-serial-form", "A device serial is 1 to 64 characters of A-Z a-z 0-9 . _ : / - in a PrintableString or UTF8String."},
	{SANMissing, "san-missing", "The profile needs a subject alternative name."},
	{SANKind, "san-kind", "The profile does not have this kind of subject alternative name."},
	{DNSName, "dns-name", "A DNS name is two or more lower-case labels (A-labels), without wildcard or final dot."},
	{SANDuplicate, "san-duplicate", "A subject alternative name appears twice."},
	{KeyUsageForm, "key-usage", "keyUsage must be critical, with digitalSignature, and nothing the profile does not have."},
	{ExtendedKeyUsageForm, "extended-key-usage", "An extended key usage is not one that the profile has, or appears twice, or the list is empty."},
	{BasicConstraintsForm, "basic-constraints", "basicConstraints must be absent or say CA:FALSE (in DER: an empty sequence)."},
	{NotAfterTooFar, "not-after-too-far", "notAfter is further ahead than the profile allows and not 99991231235959Z."},
	{NotBeforeTooFar, "not-before-too-far", "notBefore is further ahead than the profile allows; check the clock of the machine that issued."},
	{CertificateExpired, "certificate-expired", "The certificate has expired; issue a new one."},
	{KeyNotInProfile, "key-not-in-profile", "The profile does not accept this kind or size of key."},
	{AlgorithmNotInProfile, "algorithm-not-in-profile", "The profile does not accept this signature algorithm."},
	{DeviceSerialTwice, "device-serial-twice", "The subject has more than one serialNumber attribute; the device serial must be one."},
	{KeyUsageMissing, "key-usage-missing", "The keyUsage extension is missing."},
	{CommonName, "common-name", "The subject's commonName must repeat the device serial or a DNS name of the certificate; leave it out."},
	{ExtendedKeyUsageMissing, "extended-key-usage-missing", "The profile demands the extKeyUsage extension, or a usage in it that is not there."},
	{HardwareModule, "hardware-module", "An otherName must be one hardwareModuleName (RFC 4108), whose serial number is the device serial."},
	{DeviceSerialNotAllowed, "device-serial-not-allowed", "A network function's subject has no serialNumber: its instance id is what it is known by."},
	{HomeDomain, "home-domain", "The subject needs a countryName of two capital letters, and the home domain name as organizationName."},
	{SANNotCritical, "san-not-critical", "The subjectAltName must be critical."},
	{InstanceMissing, "instance-id-missing", "The profile needs a URI with the instance id: urn:uuid: and a UUID."},
	{InstanceForm, "instance-id", "The one URI accepted is urn:uuid: and a UUID of version 4 in lower case."},
	{DNSNameMissing, "dns-name-missing", "The profile needs a DNS name beside the other alternative names."},
	{NFTypesMissing, "nf-types-missing", "The profile needs the nfTypes extension (RFC 9310)."},
	{NFTypesForm, "nf-types", "The nfTypes extension must not be critical, and lists types of 1 to 32 characters A-Z 0-9 _ in ascending order, each once."},
}
