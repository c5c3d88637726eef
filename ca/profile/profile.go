package profile

// Ids of the profiles.
const (
	SmallCell uint16 = 1
	NF        uint16 = 2
	IoT       uint16 = 3
	Gateway   uint16 = 4
	Server    uint16 = 5
)

// Profile is a row of the table: what a kind of certificate must and may be. docs/profiles.md says the same in
// prose. Everything that Check does is driven by these fields; what holds for every profile is in Parse. A
// profile is a value of its asker's own; nothing in it is changed by Check.
type Profile struct {
	ID    uint16 // in transactions; never reused
	Name  string // lower case, stable
	Since uint64 // first rule version that has it: before, it is as unknown as a number never given

	Keys    []KeyRule // kinds of key accepted, each once
	SigAlgs []SigAlg  // algorithms of the self-signature accepted

	HomeDomain   bool // the subject has no serialNumber, but a countryName, and a DNS name as organizationName, to be owned
	DeviceSerial bool // the subject must have a serialNumber; other attributes are free in every profile
	CommonName   bool // a commonName must repeat the device serial or a dNSName: stock software takes it for a host name

	MaxYears int   // notAfter at most this many calendar years after block time
	NoEnd    bool  // or Latest
	Ahead    int64 // notBefore at most this many seconds after block time: clocks err

	Extensions   []OID     // extensions accepted; every other is refused, critical or not
	KeyUsageMust KeyUsage  // bits that must be set; not 0: the extension must be there, and critical
	KeyUsageMay  KeyUsage  // bits that may be set beside those
	KeyUsageFits bool      // of those, only the ones that the kind of key can do: see usable
	EKUs         []OID     // extended key usages accepted, any of them, if the extension is there
	EKURequired  bool      // the extension must be there
	EKUMust      []OID     // usages that must be in it
	SANs         []SANKind // kinds of alternative name accepted
	SANRequired  bool      // at least one alternative name
	SANCritical  bool      // the extension must be critical
	Instance     bool      // one URI, an instance id (see Instance), and at least one dNSName; the id is the device
	NFTypes      bool      // the nfTypes extension must be there, not critical
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

// All returns the profiles in order of id. They are the caller's own.
func All() []*Profile { return []*Profile{smallCell(), nf(), iot(), gateway(), server()} }

// ByID finds a profile, and builds no other: every publication asks.
func ByID(id uint16) (*Profile, bool) {
	switch id {
	case SmallCell:
		return smallCell(), true
	case NF:
		return nf(), true
	case IoT:
		return iot(), true
	case Gateway:
		return gateway(), true
	case Server:
		return server(), true
	}
	return nil, false
}

// ByName finds a profile.
func ByName(name string) (*Profile, bool) {
	for _, p := range All() {
		if p.Name == name {
			return p, true
		}
	}
	return nil, false
}
