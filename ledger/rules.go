package ledger

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/quorate-pki/quorate/internal/reason"
)

// Members' own admission rules, since rule version 3. The texts are on the log; package policies reads and runs them, and whoever
// judges is given it as a RuleEngine.

// MaxRules is the most rules that a channel has in force: each is in memory at every node.
const MaxRules = 256

// MaxRule is the most bytes of a rule's text: it fits into an operation's body.
const MaxRule = 16_000

// RuleScope says whose certificates a rule judges. There is at most one rule for each scope; a certificate is judged by all whose scope it
// is in, which are four at most.
type RuleScope struct {
	Profile      uint64 // 0: every profile
	Organisation OrgID  // zero: every organisation
}

// RuleChange sets, replaces or removes the rule of a scope.
type RuleChange struct {
	Profile      uint64 `cbor:"1,keyasint,omitempty"` // 0: every profile
	Organisation *OrgID `cbor:"2,keyasint,omitempty"` // nil: every organisation
	Text         string `cbor:"3,keyasint,omitempty"` // at most MaxRule bytes; empty: the rule is removed
	Replaces     *Hash  `cbor:"4,keyasint,omitempty"` // SHA-256 of the text that is the scope's until then; nil: it has none
}

// Scope is that of the rule.
func (a *RuleChange) Scope() RuleScope {
	s := RuleScope{Profile: a.Profile}
	if a.Organisation != nil {
		s.Organisation = *a.Organisation
	}
	return s
}

// Narrows reports whether the change can only make the ledger accept less: a rule where there was none.
func (a *RuleChange) Narrows() bool { return a.Replaces == nil }

func (a *RuleChange) check() error {
	switch {
	case len(a.Text) > MaxRule:
		return fmt.Errorf("a rule of %d bytes", len(a.Text))
	case a.Text == "" && a.Replaces == nil:
		return errors.New("a rule without a text that replaces none")
	case a.Organisation != nil && a.Organisation.IsZero():
		return errors.New("an organisation id of zeros")
	}
	return nil
}

// RuleRecord is the text of a scope from a height on. All that ever were are kept: what a certificate was judged by can be found again.
type RuleRecord struct {
	Text     string `cbor:"1,keyasint"` // empty: none
	Leaf     uint64 `cbor:"2,keyasint"` // of the proposal that has it
	Decision uint64 `cbor:"3,keyasint"` // the vote that decided
}

// RuleKey is the key of a RuleRecord: u64 profile || organisation id || the complement of the u64 height from which it is in force. The
// newest of a scope is found first.
func RuleKey(s RuleScope, from uint64) []byte {
	b := append(binary.BigEndian.AppendUint64(nil, s.Profile), s.Organisation[:]...)
	return binary.BigEndian.AppendUint64(b, ^from)
}

// RuleKeySize is that of a RuleKey.
const RuleKeySize = 8 + len(OrgID{}) + 8

// ParseRuleKey takes the key of a RuleRecord apart.
func ParseRuleKey(key []byte) (s RuleScope, from uint64, err error) {
	if len(key) != RuleKeySize {
		return s, 0, fmt.Errorf("a rule's key of %d bytes", len(key))
	}
	s.Profile, s.Organisation = binary.BigEndian.Uint64(key), OrgID(key[8:24])
	return s, ^binary.BigEndian.Uint64(key[24:]), nil
}

// Scopes are those that a certificate is in, in the order in which their rules judge it: the first that refuses names the verdict.
func Scopes(profile uint64, organisation OrgID) [4]RuleScope {
	return [4]RuleScope{{}, {Profile: profile}, {Organisation: organisation}, {Profile: profile, Organisation: organisation}}
}

// TextHash names a rule's text.
func TextHash(text string) Hash { return Sum([]byte(text)) }

// RuleEngine makes rules of texts. What it answers depends on the text alone. Safe for concurrent use.
type RuleEngine interface {
	// Compile reads a text; digest is its TextHash. Its error is a *reason.Error that says why it is no rule.
	Compile(digest Hash, text string) (Rule, error)
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
	Kind string // of submission: "publish", "rekey"
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
