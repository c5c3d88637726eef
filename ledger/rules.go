package ledger

import "github.com/quorate-pki/quorate/internal/reason"

// Members' own admission rules, since rule version 3. The texts are on the log; package policies reads and runs them, and whoever
// judges is given it as a RuleEngine.

// MaxRule is the most bytes of a rule's text: it fits into an operation's body.
const MaxRule = 16_000

// RuleEngine makes rules of texts. What it answers depends on the text alone. Safe for concurrent use.
type RuleEngine interface {
	// Compile reads a text. Its error is a *reason.Error that says why it is no rule.
	Compile(text string) (Rule, error)
}

// Rule is an admission rule: a pure function of a candidate, the same at every member. Safe for concurrent use.
type Rule interface {
	// Judge never fails: a rule that does refuses, with the code of what went wrong.
	Judge(c *Candidate) RuleVerdict
}

// RuleVerdict is what a rule says of a candidate. Only the code is on the log; the text can be found again by whoever has the rule and
// the certificate.
type RuleVerdict struct {
	Code reason.Code // Accepted, RuleRefused, or why the rule failed
	Text string      // RuleRefused: the rule's sentence; else what went wrong, and in which line
}

// BrokenRule refuses everything: a text that is in force and does not compile, which can only be one that another build accepted.
type BrokenRule struct{ Why RuleVerdict }

// Judge implements Rule.
func (b BrokenRule) Judge(*Candidate) RuleVerdict { return b.Why }

// Candidate is what a rule may know of a certificate that is to be published: what it says itself, who vouches for it, and the
// block's time. docs/rules.md says what each field holds.
type Candidate struct {
	Kind string // of submission: "publish"
	Time Millis // of the block

	Profile        string
	Organisation   string // short name of the owner
	OrganisationID string // hex
	Roles          []string
	Voucher        string   // key id of the line key, hex
	Namespaces     []string // that its names are drawn from: type, colon, value
	NameEvidence   string
	Possession     string
	Protection     string

	Subject          []Attribute
	Serial           string // certificate serial number, hex
	DeviceSerial     string
	DNSNames         []string
	Instance         string // UUID of a network function; empty when there is none
	HardwareType     string // dotted OID; empty when there is none
	NFTypes          []string
	KeyKind          string
	KeyBits          int
	Signature        string
	NotBefore        int64 // milliseconds since 1970, like all times in rules
	NotAfter         int64
	NeverExpires     bool // notAfter is 99991231235959Z
	KeyUsage         []string
	ExtendedKeyUsage []string
	Extensions       []string // dotted OIDs, in order
}

// Attribute is an attribute of a subject.
type Attribute struct{ Type, Value string }
