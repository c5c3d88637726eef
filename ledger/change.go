package ledger

import (
	"errors"
	"fmt"
)

// Operations by which members, and organisations' admins, change what is registered, since rule version 3.
const (
	OpOrganisationChange Op = 71 // within a proposal; admin keys also by the organisation's admins
	OpNamespaceChange    Op = 72 // within a proposal; what was delegated is also taken back by who delegated it
	OpCutOff             Op = 73 // within a proposal; also by the owner's admins
)

// Limits of what admins register without a vote.
const (
	MaxDelegations = 256 // namespaces in force that are delegated from one
	MaxCuts        = 64  // cut-offs of one line key or organisation
)

// OrgState is whether an organisation may publish.
type OrgState uint64

const (
	OrgActive    OrgState = 0
	OrgSuspended OrgState = 1 // publishes and registers nothing; still revokes. The members end it
	OrgEnded     OrgState = 2 // as suspended, for ever
)

func (s OrgState) String() string {
	switch s {
	case OrgActive:
		return "active"
	case OrgSuspended:
		return "suspended"
	case OrgEnded:
		return "ended"
	}
	return fmt.Sprintf("state-%d", uint64(s))
}

// OrganisationChange changes what an organisation is, or may do; what is not named stays. Its name never changes.
type OrganisationChange struct {
	Organisation OrgID     `cbor:"1,keyasint"`
	LegalName    *string   `cbor:"2,keyasint,omitempty"`
	Roles        *uint64   `cbor:"3,keyasint,omitempty"`
	Profiles     *[]uint64 `cbor:"4,keyasint,omitempty"`
	QuotaDay     *uint64   `cbor:"5,keyasint,omitempty"`
	QuotaTotal   *uint64   `cbor:"6,keyasint,omitempty"`
	LegacyRSA    *bool     `cbor:"7,keyasint,omitempty"`
	State        *OrgState `cbor:"8,keyasint,omitempty"`
	Admins       []Admin   `cbor:"9,keyasint,omitempty"`  // all admin keys from then on; with AdminM
	AdminM       uint64    `cbor:"10,keyasint,omitempty"` // admin signatures needed from then on
}

// Granted reports whether anything but the admin keys changes: what the organisation was given by vote.
func (c *OrganisationChange) Granted() bool {
	return c.LegalName != nil || c.Roles != nil || c.Profiles != nil || c.QuotaDay != nil || c.QuotaTotal != nil || c.LegacyRSA != nil || c.State != nil
}

// Admin is an admin key. One that is new to the organisation shows that its holder agreed; one that stays says no more than its SPKI.
type Admin struct {
	_          struct{} `cbor:",toarray"`
	SPKI       []byte
	Alg        int64  // of the possession signature; 0 when there is none
	Possession []byte // over AdminMessage; empty for a key that stays
}

// AdminMessage is what the possession signature of a new admin key covers.
func AdminMessage(org OrgID, spki []byte) []byte {
	return append(append([]byte("quorate/admin-key/1\n"), org[:]...), spki...)
}

// NamespaceAction is what becomes of a namespace.
type NamespaceAction uint64

const (
	EndNamespace      NamespaceAction = 1 // with all that is delegated from it
	TransferNamespace NamespaceAction = 2 // to another owner; what is published keeps its voucher
)

// NamespaceChange ends a namespace or gives it to another organisation. The names of one that was delegated fall back to where they were
// delegated from.
type NamespaceChange struct {
	Namespace OrgID           `cbor:"1,keyasint"`
	Action    NamespaceAction `cbor:"2,keyasint"`
	Owner     *OrgID          `cbor:"3,keyasint,omitempty"` // of a transfer: the new one
	Control   string          `cbor:"4,keyasint,omitempty"` // of a transfer: how the new owner's control was checked, for people
	Evidence  *Evidence       `cbor:"5,keyasint,omitempty"` // of a transfer
}

// Methods of checking that an organisation controls a name.
const (
	MethodDNS      uint64 = 1 // a TXT record
	MethodRegistry uint64 = 2 // an entry of a public registry
	MethodContract uint64 = 3 // a document between the parties
)

// Evidence is how control of a namespace was checked: claimed by who registers it, and voted on with it.
type Evidence struct {
	Method   uint64 `cbor:"1,keyasint"`
	Document Hash   `cbor:"2,keyasint"` // SHA-256 of what was seen
	Checked  Millis `cbor:"3,keyasint"`
}

func (e *Evidence) check() error {
	if e != nil && (e.Method < MethodDNS || e.Method > MethodContract) {
		return fmt.Errorf("control checked by method %d", e.Method)
	}
	return nil
}

// CutOff revokes all that a line key or an organisation vouched for from a leaf on, and lets it publish no more.
type CutOff struct {
	Scope  Scope  `cbor:"1,keyasint"` // ScopeLineKey, ScopeOrganisation; ScopeCA later
	Target []byte `cbor:"2,keyasint"` // id of the key (32 bytes) or of the organisation (16)
	From   uint64 `cbor:"3,keyasint"` // first leaf
	Reason uint64 `cbor:"4,keyasint"` // RFC 5280
}

// CutEffect is a cut-off as it took effect, in the leaf that brought it.
type CutEffect struct {
	_      struct{} `cbor:",toarray"`
	Scope  Scope
	Target []byte
	From   uint64
	Reason uint64
	Runs   uint64 // runs of leaves that are revoked
	Leaves uint64 // leaves in them
	Hash   Hash   // RFC 6962 tree hash over the encoded runs, in order
}

// Covers reports whether a publication at a leaf is revoked by this cut-off, which the leaf at brought, if it was vouched for by
// this line key and this organisation; voucher is nil when no line key vouched.
func (c *CutEffect) Covers(leaf, at uint64, voucher *Hash, owner *OrgID) bool {
	if !c.spans(leaf, at) {
		return false
	}
	switch c.Scope {
	case ScopeLineKey:
		return voucher != nil && string(voucher[:]) == string(c.Target)
	case ScopeOrganisation:
		return owner != nil && string(owner[:]) == string(c.Target)
	}
	return false
}

func (c *CutEffect) spans(leaf, at uint64) bool { return c.From <= leaf && leaf < at }

// CutSpanning is the first of a leaf's cut-offs whose leaves span one; nil when there is none.
func (e *Effects) CutSpanning(leaf, at uint64) *CutEffect {
	for i := range e.Cuts {
		if e.Cuts[i].spans(leaf, at) {
			return &e.Cuts[i]
		}
	}
	return nil
}

// Cut is a cut-off in the record of a line key or organisation. What it vouched for at leaves from From on and before Leaf is revoked.
type Cut struct {
	_         struct{} `cbor:",toarray"`
	From      uint64
	Leaf      uint64 // that brought it: the cut-off, or the vote that decided
	Time      Millis // block time
	Reason    uint64 // RFC 5280
	Authority Authority
}

// Covers reports whether the cut-off revoked a leaf that its line key or organisation vouched for.
func (c *Cut) Covers(leaf uint64) bool { return c.From <= leaf && leaf < c.Leaf }

// CutOff gives the certificates of a key the status they have: a KeyRecord says nothing of the cut-offs of who vouched. cuts finds those of a
// line key, by its id, and of an organisation, by its. What was revoked by itself keeps its own date, because it was so before: nothing that
// is cut off is revoked again. Else the first cut-off that covers a certificate is its cause. Whoever reads the status of a KeyRecord reads
// it after this.
func (k *KeyRecord) CutOff(cuts func(target []byte) ([]Cut, error)) error {
	owners, err := cuts(k.Owner[:])
	if err != nil {
		return err
	}
	for i := range k.Certificates {
		t := &k.Certificates[i]
		if t.Status == Revoked {
			continue
		}
		lines, err := cuts(t.Voucher[:])
		if err != nil {
			return err
		}
		var first *Cut
		for _, list := range [][]Cut{lines, owners} {
			for j := range list {
				if c := &list[j]; c.Covers(t.Leaf) && (first == nil || c.Leaf < first.Leaf) {
					first = c
				}
			}
		}
		if first != nil {
			t.Status, t.Cause, t.Since, t.Reason, t.Authority = Revoked, first.Leaf, first.Time, first.Reason, first.Authority
		}
	}
	return nil
}

// CutsOf reads the cut-offs of a line key or organisation, by its id. get reads the one record of a key, and false when there is none.
func CutsOf(target []byte, get func(kind RecordKind, key []byte, into any) (bool, error)) ([]Cut, error) {
	if len(target) == len(OrgID{}) {
		var o OrgRecord
		_, err := get(RecordOrg, target, &o)
		return o.Cuts, err
	}
	var k RegisteredKey
	_, err := get(RecordRegistry, target, &k)
	return k.Cuts, err
}

// VouchedRun is consecutive leaves of one transaction that one line key vouched for.
type VouchedRun struct {
	_     struct{} `cbor:",toarray"`
	First uint64
	Count uint64
}

func checkOrganisationChange(c *OrganisationChange) error {
	switch {
	case !c.Granted() && c.Admins == nil && c.AdminM == 0:
		return errors.New("nothing to change")
	case (len(c.Admins) == 0) != (c.AdminM == 0):
		return errors.New("admin keys and their number needed go together")
	case len(c.Admins) > 16:
		return fmt.Errorf("%d admin keys", len(c.Admins))
	case c.State != nil && *c.State > OrgEnded:
		return fmt.Errorf("%v", *c.State)
	}
	return nil
}

func checkNamespaceChange(c *NamespaceChange) error {
	if c.Action != EndNamespace && c.Action != TransferNamespace {
		return fmt.Errorf("namespace action %d", c.Action)
	}
	if (c.Action == TransferNamespace) != (c.Owner != nil) || c.Action == EndNamespace && (c.Control != "" || c.Evidence != nil) {
		return errors.New("a new owner and evidence go with a transfer, and only with it")
	}
	if len(c.Control) > MaxControl {
		return fmt.Errorf("control of %d bytes", len(c.Control))
	}
	return c.Evidence.check()
}

func checkCutOff(c *CutOff) error {
	size := len(Hash{})
	switch c.Scope {
	case ScopeLineKey, ScopeCA:
	case ScopeOrganisation:
		size = len(OrgID{})
	default:
		return fmt.Errorf("a cut-off of scope %d", c.Scope)
	}
	if len(c.Target) != size {
		return fmt.Errorf("a target of %d bytes", len(c.Target))
	}
	return nil
}
