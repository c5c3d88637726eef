package profile

// Profile is a row of the table: what a kind of certificate must and may be. docs/profiles.md says the same in
// prose. Everything that Check does is driven by these fields; what holds for every profile is in Parse. A
// profile is a value of its asker's own; nothing in it is changed by Check.
type Profile struct {
	ID   uint16 // in transactions; never reused
	Name string // lower case, stable

	Keys    []KeyRule // kinds of key accepted, each once
	SigAlgs []SigAlg  // algorithms of the self-signature accepted

	DeviceSerial bool // the subject must have a serialNumber; other attributes are free in every profile

	MaxYears int   // notAfter at most this many calendar years after block time, or Latest
	Ahead    int64 // notBefore at most this many seconds after block time: factory clocks err

	Extensions   []OID     // extensions accepted; every other is refused, critical or not
	KeyUsageMust KeyUsage  // bits that must be set; not 0: the extension must be there, and critical
	KeyUsageMay  KeyUsage  // bits that may be set beside those
	EKUs         []OID     // extended key usages accepted, any of them, if the extension is there
	SANs         []SANKind // kinds of alternative name accepted
	SANRequired  bool      // at least one alternative name
	NotCA        bool      // basicConstraints must be absent or say CA:FALSE
}

// KeyRule accepts keys of a kind from MinBits on, and from LegacyBits on with a grant that says legacy.
type KeyRule struct {
	Kind       KeyKind
	MinBits    int
	LegacyBits int // 0: a grant changes nothing
}

// Grant is what an organisation's registration adds to a profile.
type Grant struct {
	LegacyRSA2048 bool // keys from LegacyBits on are accepted
}

// smallCell is for base stations of any size and the gateways they talk to. It is built anew for each asker, so
// that nobody can change the table.
func smallCell() *Profile {
	return &Profile{
		ID: 1, Name: "small-cell",
		Keys:         []KeyRule{{P256, 256, 0}, {P384, 384, 0}, {Ed25519, 256, 0}, {RSA, 3072, 2048}},
		SigAlgs:      []SigAlg{ECDSAWithSHA256, ECDSAWithSHA384, Ed25519Sig, RSAPKCS1SHA256, RSAPKCS1SHA384},
		DeviceSerial: true,
		MaxYears:     25,
		Ahead:        48 * 60 * 60,
		Extensions:   []OID{extSKI, extAKI, extKeyUsage, extEKU, extSAN, extBasicConstraints},
		KeyUsageMust: DigitalSignature,
		KeyUsageMay:  KeyEncipherment | KeyAgreement,
		EKUs:         []OID{EKUClientAuth, EKUServerAuth, EKUIPsecIKE},
		SANs:         []SANKind{SANDNS},
		SANRequired:  true,
		NotCA:        true,
	}
}

// All returns the profiles in order of id. They are the caller's own.
func All() []*Profile { return []*Profile{smallCell()} }

// ByID finds a profile.
func ByID(id uint16) (*Profile, bool) {
	return find(func(p *Profile) bool { return p.ID == id })
}

// ByName finds a profile.
func ByName(name string) (*Profile, bool) {
	return find(func(p *Profile) bool { return p.Name == name })
}

func find(is func(*Profile) bool) (*Profile, bool) {
	for _, p := range All() {
		if is(p) {
			return p, true
		}
	}
	return nil, false
}
