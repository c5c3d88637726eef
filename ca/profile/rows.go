package profile

// The rows of the table, one function each: a row is built anew for each asker, so that nobody can change the table.

// Lengths of time, in seconds.
const hour = 60 * 60

// allSigAlgs go with some kind of key each; Parse sees to it that they go with the certificate's.
func allSigAlgs() []SigAlg {
	return []SigAlg{ECDSAWithSHA256, ECDSAWithSHA384, Ed25519Sig, RSAPKCS1SHA256, RSAPKCS1SHA384}
}

// usualExtensions are those that every profile has.
func usualExtensions() []OID {
	return []OID{extSKI, extAKI, extKeyUsage, extEKU, extSAN, extBasicConstraints}
}

// smallCell is for base stations of any size and the gateways they talk to.
func smallCell() *Profile {
	return &Profile{
		ID: SmallCell, Name: "small-cell", Since: 1,
		Keys:         []KeyRule{{P256, 256, 0}, {P384, 384, 0}, {Ed25519, 256, 0}, {RSA, 3072, 2048}},
		SigAlgs:      allSigAlgs(),
		DeviceSerial: true,
		MaxYears:     25,
		NoEnd:        true,
		Ahead:        48 * hour,
		Extensions:   usualExtensions(),
		KeyUsageMust: DigitalSignature,
		KeyUsageMay:  KeyEncipherment | KeyAgreement,
		EKUs:         []OID{EKUClientAuth, EKUServerAuth, EKUIPsecIKE},
		SANs:         []SANKind{SANDNS},
		SANRequired:  true,
		NotCA:        true,
	}
}

// nf is for network functions of a 5G core (3GPP TS 33.310 clause 6.1.3c.3), as far as a self-issued certificate can be.
func nf() *Profile {
	return &Profile{
		ID: NF, Name: "nf", Since: 2,
		Keys:         []KeyRule{{P256, 256, 0}, {P384, 384, 0}, {RSA, 3072, 0}},
		SigAlgs:      []SigAlg{ECDSAWithSHA256, ECDSAWithSHA384, RSAPKCS1SHA256, RSAPKCS1SHA384},
		HomeDomain:   true,
		CommonName:   true,
		MaxYears:     3,
		Ahead:        hour,
		Extensions:   append(usualExtensions(), extNFTypes),
		KeyUsageMust: DigitalSignature,
		EKUs:         []OID{EKUClientAuth, EKUServerAuth},
		EKURequired:  true,
		SANs:         []SANKind{SANDNS, SANURI},
		SANRequired:  true,
		SANCritical:  true,
		Instance:     true,
		NFTypes:      true,
		NotCA:        true,
	}
}

// iot is for things: sensors, meters, vehicles, doors (IEEE 802.1AR IDevID). A thing without a DNS name is the usual one.
func iot() *Profile {
	return &Profile{
		ID: IoT, Name: "iot", Since: 2,
		Keys:         []KeyRule{{P256, 256, 0}, {P384, 384, 0}, {Ed25519, 256, 0}, {RSA, 3072, 2048}},
		SigAlgs:      allSigAlgs(),
		DeviceSerial: true,
		CommonName:   true,
		MaxYears:     25,
		NoEnd:        true,
		Ahead:        48 * hour,
		Extensions:   usualExtensions(),
		KeyUsageMust: DigitalSignature,
		KeyUsageMay:  KeyEncipherment | KeyAgreement,
		KeyUsageFits: true,
		EKUs:         []OID{EKUClientAuth},
		SANs:         []SANKind{SANDNS, SANOther},
		NotCA:        true,
	}
}

// gateway is for security gateways: IKEv2, and TLS where they have that too. Its keys are those of TS 33.310 clause 6.1.1.
func gateway() *Profile {
	return &Profile{
		ID: Gateway, Name: "gateway", Since: 2,
		Keys:         []KeyRule{{P256, 256, 0}, {P384, 384, 0}, {RSA, 3072, 2048}},
		SigAlgs:      []SigAlg{ECDSAWithSHA256, ECDSAWithSHA384, RSAPKCS1SHA256, RSAPKCS1SHA384},
		DeviceSerial: true,
		CommonName:   true,
		MaxYears:     3,
		Ahead:        hour,
		Extensions:   usualExtensions(),
		KeyUsageMust: DigitalSignature,
		KeyUsageMay:  KeyEncipherment,
		KeyUsageFits: true,
		EKUs:         []OID{EKUIPsecIKE, EKUIKEIntermediate, EKUServerAuth, EKUClientAuth},
		EKURequired:  true,
		EKUMust:      []OID{EKUIPsecIKE},
		SANs:         []SANKind{SANDNS},
		SANRequired:  true,
		NotCA:        true,
	}
}

// server is for TLS servers of an organisation: brokers, management and charging systems, web services.
func server() *Profile {
	return &Profile{
		ID: Server, Name: "server", Since: 2,
		Keys:         []KeyRule{{P256, 256, 0}, {P384, 384, 0}, {Ed25519, 256, 0}, {RSA, 3072, 0}},
		SigAlgs:      allSigAlgs(),
		DeviceSerial: true,
		CommonName:   true,
		MaxYears:     1,
		Ahead:        hour,
		Extensions:   usualExtensions(),
		KeyUsageMust: DigitalSignature,
		KeyUsageMay:  KeyEncipherment,
		KeyUsageFits: true,
		EKUs:         []OID{EKUServerAuth, EKUClientAuth},
		EKURequired:  true,
		EKUMust:      []OID{EKUServerAuth},
		SANs:         []SANKind{SANDNS},
		SANRequired:  true,
		NotCA:        true,
	}
}
