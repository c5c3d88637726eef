package ledger

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/fxamacker/cbor/v2"
	"github.com/quorate-pki/quorate/internal/reason"
)

// Op numbers an operation. Append-only.
type Op uint64

const (
	OpPublish      Op = 1
	OpStatus       Op = 2
	OpRekey        Op = 3 // since rule version 3, as are the next four
	OpTransfer     Op = 4
	OpClaim        Op = 5
	OpRetire       Op = 6
	OpReturn       Op = 7
	OpConsortium   Op = 64 // genesis only
	OpOrganisation Op = 65 // in genesis, and since rule version 3 within a proposal
	OpNamespace    Op = 66 // in genesis, and since rule version 3 within a proposal; a delegated one by its parent's owner
	OpLineKey      Op = 67 // in genesis, and since rule version 3 by its organisation's admins
	OpRule         Op = 76 // only within a proposal
)

// Publish puts a self-issued certificate on the log.
type Publish struct {
	Profile     uint64 `cbor:"1,keyasint"`
	Certificate []byte `cbor:"2,keyasint,omitempty"` // DER
	Commitment  *Hash  `cbor:"3,keyasint,omitempty"` // SHA-256(salt || DER); reserved, refused until its store exists
}

// Action changes a status.
type Action uint64

const (
	Revoke  Action = 1
	Suspend Action = 2
	Resume  Action = 3
)

// Scope says what a status change covers.
type Scope uint64

const (
	ScopeCertificate Scope = 1
	ScopeKey         Scope = 2
	ScopeCustody     Scope = 3
	ScopeBatch       Scope = 4
	ScopeLineKey     Scope = 5
	ScopeCA          Scope = 6
	// ScopeOrganisation is of cut-offs alone.
	ScopeOrganisation Scope = 7
)

// Reasons of RFC 5280 section 5.3.1.
const (
	Unspecified        = 0
	KeyCompromise      = 1
	CACompromise       = 2
	AffiliationChanged = 3
	Superseded         = 4
	Cessation          = 5
	CertificateHold    = 6
	RemoveFromCRL      = 8
	PrivilegeWithdrawn = 9
	AACompromise       = 10
)

// StatusChange revokes, suspends or resumes.
type StatusChange struct {
	Action     Action  `cbor:"1,keyasint"`
	Scope      Scope   `cbor:"2,keyasint"`
	Target     Hash    `cbor:"3,keyasint"`           // scopes 1 to 3: SHA-256 of the SPKI
	Leaf       *uint64 `cbor:"4,keyasint,omitempty"` // scope 1 only: the certificate's leaf
	Reason     uint64  `cbor:"5,keyasint"`           // RFC 5280; 6 to suspend, 8 to resume
	Invalidity *Millis `cbor:"6,keyasint,omitempty"` // since when the key is thought lost (a claim)
	Previous   *uint64 `cbor:"7,keyasint,omitempty"` // compare-and-swap: leaf of the status change this one follows
	SPKI       []byte  `cbor:"8,keyasint,omitempty"` // when the key itself signs: its SPKI, so that the signature can be checked
}

// NewestRules is the newest rule version that this build judges by; it judges by every older one too.
//
//   - 1: profile small-cell; namespaces of device serials and DNS names.
//   - 2: also namespaces of PLMNs and hardware types, and the profiles server, gateway, iot and nf (docs/profiles.md says since when each is there).
//   - 3: also proposals and votes of the members; line keys by the organisations' admins; changes of the member set; members' own admission rules
//     (docs/rules.md); changes of organisations and namespaces, delegation, cut-offs (change.go); further channels (docs/channels.md); the life of
//     a device: rekey, transfer, claim, retire, return, status changes of scope custody; CA certificates of organisations, by their admins.
const NewestRules uint64 = 3

// Consortium opens genesis.
type Consortium struct {
	Name        string `cbor:"1,keyasint"` // e.g. quorate.example; no '+', no spaces
	Channel     string `cbor:"2,keyasint"` // [a-z0-9-]{1,32}
	RuleVersion uint64 `cbor:"3,keyasint"` // 1..NewestRules
	MemberSet   []byte `cbor:"4,keyasint"` // member-set document 1
	// Main is the id of the channel that creates this one; absent in the first channel. Since rule version 3.
	Main *Hash `cbor:"5,keyasint,omitempty"`
}

// Roles of an organisation, as bits.
const (
	RoleMember       uint64 = 1
	RoleVendor       uint64 = 2
	RoleOperator     uint64 = 4
	RoleRegulator    uint64 = 8
	RoleRelyingParty uint64 = 16
)

// Organisation registers an organisation.
type Organisation struct {
	Name       string   `cbor:"1,keyasint"` // short name, [a-z0-9-]{1,32}
	LegalName  string   `cbor:"2,keyasint"` // at most 128 bytes
	Roles      uint64   `cbor:"3,keyasint"`
	AdminKeys  [][]byte `cbor:"4,keyasint"` // SPKIs, 1..16
	AdminM     uint64   `cbor:"5,keyasint"` // admin signatures needed
	Profiles   []uint64 `cbor:"6,keyasint"`
	QuotaDay   uint64   `cbor:"7,keyasint"`           // publications a UTC day
	QuotaTotal uint64   `cbor:"8,keyasint"`           // publications in all
	LegacyRSA  bool     `cbor:"9,keyasint,omitempty"` // may publish RSA 2048
}

// Namespace types.
const (
	NamespaceSerial uint64 = 1 // value is a prefix of device serials
	NamespaceDNS    uint64 = 2 // value is a DNS suffix, lower-case A-labels
	NamespacePLMN   uint64 = 4 // value is MCC and MNC, six digits, the MNC padded (15 is 015); since rule version 2
	// 3 and 5 are kept for URI authorities and NIDs.
	NamespaceHardware uint64 = 6 // value is a dotted OID: the hwTypes (RFC 4108) at or below it; since rule version 2
)

// Namespace gives an organisation a part of the names.
type Namespace struct {
	Owner   OrgID  `cbor:"1,keyasint"`
	Type    uint64 `cbor:"2,keyasint"`
	Value   string `cbor:"3,keyasint"`           // at most 253 bytes
	Control string `cbor:"4,keyasint,omitempty"` // how control was checked, for people; at most MaxControl bytes since rule version 3

	// Since rule version 3; under older ones a body with any of them does not decode.
	Parent    *OrgID    `cbor:"5,keyasint,omitempty"` // that it is delegated from
	Delegable bool      `cbor:"6,keyasint,omitempty"` // its owner's admins may delegate parts of it
	Evidence  *Evidence `cbor:"7,keyasint,omitempty"` // how control was checked
}

// MaxControl is the most bytes of a sentence on how control was checked.
const MaxControl = 1024

// Newer reports whether a namespace has a form that came with rule version 3.
func (n *Namespace) Newer() bool { return n.Parent != nil || n.Delegable || n.Evidence != nil }

// Range is a run of device serials: prefix followed by a decimal number from Low to High.
type Range struct {
	_      struct{} `cbor:",toarray"`
	Prefix string   // at most 32 bytes
	Low    uint64
	High   uint64
}

// Rights of a line key, as bits.
const (
	RightPublish uint64 = 1
	RightSuspend uint64 = 2 // suspend its own recent publications
)

// LineKey registers a factory line's key.
type LineKey struct {
	Owner      OrgID    `cbor:"1,keyasint"`
	SPKI       []byte   `cbor:"2,keyasint"`           // P-256, P-384 or Ed25519
	Alg        int64    `cbor:"3,keyasint"`           // of the possession signature
	Possession []byte   `cbor:"4,keyasint"`           // over PossessionContext || owner || SPKI
	Namespaces []OrgID  `cbor:"5,keyasint"`           // 1..16
	Profiles   []uint64 `cbor:"6,keyasint"`           // 1..32
	Ranges     []Range  `cbor:"7,keyasint,omitempty"` // none: all serials of its namespaces
	Rights     uint64   `cbor:"8,keyasint"`
	QuotaDay   uint64   `cbor:"9,keyasint"`
	QuotaTotal uint64   `cbor:"10,keyasint"`
	From       uint64   `cbor:"11,keyasint,omitempty"` // first height in force
	Until      uint64   `cbor:"12,keyasint,omitempty"` // last height in force; 0: no end
}

// PossessionContext precedes what a new line key signs to show that its holder agreed.
const PossessionContext = "quorate/line-key/1\n"

// PossessionMessage is what the possession signature of a line key covers.
func PossessionMessage(owner OrgID, spki []byte) []byte {
	b := append([]byte(PossessionContext), owner[:]...)
	return append(b, spki...)
}

type bodyWire struct {
	_         struct{} `cbor:",toarray"`
	Op        Op
	Arguments cbor.RawMessage
}

// EncodeBody builds the bytes of an operation body.
func EncodeBody(op Op, arguments any) []byte {
	return Encode(bodyWire{Op: op, Arguments: Encode(arguments)})
}

// ParseBody decodes an operation body into one of the operation types above.
func ParseBody(raw []byte) (Op, any, error) {
	if p := parsePublish(raw); p != nil {
		return OpPublish, p, nil
	}
	var w bodyWire
	if err := Decode(raw, &w); err != nil {
		return 0, nil, reason.New(reason.BadBody, "%v", err)
	}
	var args any
	switch w.Op {
	case OpPublish:
		args = new(Publish)
	case OpStatus:
		args = new(StatusChange)
	case OpRekey:
		args = new(Rekey)
	case OpTransfer:
		args = new(Transfer)
	case OpClaim:
		args = new(Claim)
	case OpRetire:
		args = new(Retire)
	case OpReturn:
		args = new(Return)
	case OpConsortium:
		args = new(Consortium)
	case OpOrganisation:
		args = new(Organisation)
	case OpNamespace:
		args = new(Namespace)
	case OpLineKey:
		args = new(LineKey)
	case OpPropose:
		args = new(Propose)
	case OpVote:
		args = new(Vote)
	case OpWithdraw:
		args = new(Withdraw)
	case OpRules:
		args = new(Rules)
	case OpRule:
		args = new(RuleChange)
	case OpOrganisationChange:
		args = new(OrganisationChange)
	case OpNamespaceChange:
		args = new(NamespaceChange)
	case OpCutOff:
		args = new(CutOff)
	case OpMemberSet:
		args = new(MemberSetChange)
	case OpChannel:
		args = new(Channel)
	case OpCA:
		args = new(CA)
	default:
		return w.Op, nil, reason.New(reason.UnknownOperation, "%d", w.Op)
	}
	if err := Decode(w.Arguments, args); err != nil {
		return w.Op, nil, reason.New(reason.BadBody, "%v", err)
	}
	if err := checkBody(args); err != nil {
		return w.Op, nil, reason.New(reason.BadBody, "%v", err)
	}
	return w.Op, args, nil
}

// parsePublish reads the body of a publication in the form that all of today's have, with a certificate, in the one encoding: nil when it
// is any other, which the codec then reads, or says what is wrong. The certificate is part of raw.
func parsePublish(raw []byte) *Publish {
	rest, ok := bytes.CutPrefix(raw, []byte{majorArray | 2, byte(OpPublish), majorMap | 2, 1})
	if !ok {
		return nil
	}
	profile, rest, ok := cutHead(rest, majorUint)
	if !ok || len(rest) == 0 || rest[0] != 2 {
		return nil
	}
	size, rest, ok := cutHead(rest[1:], majorBytes)
	if !ok || size == 0 || size != uint64(len(rest)) {
		return nil
	}
	return &Publish{Profile: profile, Certificate: rest}
}

func checkBody(args any) error {
	switch a := args.(type) {
	case *Publish:
		if (len(a.Certificate) == 0) == (a.Commitment == nil) {
			return errors.New("exactly one of certificate and commitment")
		}
	case *StatusChange:
		if a.Action < Revoke || a.Action > Resume || a.Scope < ScopeCertificate || a.Scope > ScopeCA {
			return fmt.Errorf("action %d, scope %d", a.Action, a.Scope)
		}
		if (a.Scope == ScopeCertificate) != (a.Leaf != nil) {
			return errors.New("a leaf goes with scope certificate, and only with it")
		}
		if len(a.SPKI) > maxSPKI {
			return fmt.Errorf("SPKI of %d bytes", len(a.SPKI))
		}
	case *Namespace:
		return a.Evidence.check()
	case *OrganisationChange:
		return checkOrganisationChange(a)
	case *NamespaceChange:
		return checkNamespaceChange(a)
	case *CutOff:
		return checkCutOff(a)
	case *Propose:
		return checkPropose(a)
	case *CA:
		return a.check()
	case *Vote:
		if a.Choice < Approve || a.Choice > Abstain {
			return fmt.Errorf("%v", a.Choice)
		}
	case *RuleChange:
		return a.check()
	case *Channel:
		return a.check()
	case LifeStep:
		return a.check()
	}
	return nil
}
