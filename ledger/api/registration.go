package api

import (
	"encoding/hex"
	"time"

	"github.com/quorate-pki/quorate/ca/profile"
	"github.com/quorate-pki/quorate/ledger"
)

// Registered is what an operation registers or changes, as JSON: of a leaf of its own, or of one in a proposal. One of its fields is set.
type Registered struct {
	Organisation *Organisation `json:"organisation,omitempty"`
	Namespace    *Namespace    `json:"namespace,omitempty"`
	LineKey      *LineKey      `json:"line_key,omitempty"`
	CA           *CA           `json:"ca,omitempty"`
	Rules        *Rules        `json:"rules,omitempty"`
	Rule         *Rule         `json:"admission_rule,omitempty"`
	Channel      *Channel      `json:"channel,omitempty"`

	OrganisationChange *OrganisationChange `json:"organisation_change,omitempty"`
	NamespaceChange    *NamespaceChange    `json:"namespace_change,omitempty"`
	CutOff             *CutOff             `json:"cut_off,omitempty"`
	MemberSet          *MemberSet          `json:"member_set,omitempty"`
}

// Organisation is a registered organisation.
type Organisation struct {
	ID           string   `json:"id"`
	Name         string   `json:"name"`
	LegalName    string   `json:"legal_name"`
	Roles        []string `json:"roles"`
	Admins       []string `json:"admins"` // key ids
	AdminsNeeded uint64   `json:"admins_needed"`
	Profiles     []uint64 `json:"profiles"`
	QuotaDay     uint64   `json:"quota_day"`   // publications a UTC day
	QuotaTotal   uint64   `json:"quota_total"` // publications in all
	LegacyRSA    bool     `json:"legacy_rsa,omitempty"`
}

// Namespace is a registered namespace.
type Namespace struct {
	ID      string `json:"id"`
	Owner   string `json:"owner"` // organisation id
	Type    string `json:"type"`  // serial, dns, plmn, hardware
	Value   string `json:"value"`
	Control string `json:"control,omitempty"` // how control was checked, for people

	Parent    string    `json:"parent,omitempty"`    // id of the namespace it is delegated from
	Delegable bool      `json:"delegable,omitempty"` // its owner's admins may delegate parts of it
	Evidence  *Evidence `json:"evidence,omitempty"`  // how control was checked
}

// LineKey is a registered line key.
type LineKey struct {
	ID         string   `json:"id"` // key id
	Owner      string   `json:"owner"`
	Namespaces []string `json:"namespaces"`
	From       uint64   `json:"from,omitempty"`  // first height in force
	Until      uint64   `json:"until,omitempty"` // last height in force; absent: no end
}

// CA is a registered CA certificate.
type CA struct {
	Certificate string    `json:"certificate"` // SHA-256 of the DER, hex
	Key         string    `json:"key"`         // key id
	Owner       string    `json:"owner"`
	Namespaces  []string  `json:"namespaces"` // ids
	Until       time.Time `json:"until"`      // notAfter
}

// Rules are by what a channel is judged.
type Rules struct {
	Version uint64        `json:"version"`
	Hold    ledger.Millis `json:"hold_ms"` // that what widens trust waits at least
}

// MemberSet is a member-set document.
type MemberSet struct {
	Number  uint64   `json:"number"`
	Hash    string   `json:"hash"` // SHA-256 of the document
	Quorum  uint64   `json:"quorum"`
	Members []Member `json:"members"`
}

// Member is a row of a member set.
type Member struct {
	Number uint64   `json:"number"`
	Name   string   `json:"name"`
	Keys   []string `json:"keys"` // key ids: log, cosigning, block, TLS, responder, governance
}

func describeMemberSet(document []byte) *MemberSet {
	h := ledger.Sum(document)
	out := &MemberSet{Hash: hex.EncodeToString(h[:]), Members: []Member{}}
	m, err := ledger.ParseMemberSet(document)
	if err != nil {
		return out // it is refused; the hash says which
	}
	out.Number, out.Quorum = m.Number, m.Quorum
	for _, x := range m.Members {
		row := Member{Number: x.Number, Name: x.Name}
		for p := ledger.KeyLog; p <= ledger.KeyGovernance; p++ {
			row.Keys = append(row.Keys, keyID(x.Keys[p]))
		}
		out.Members = append(out.Members, row)
	}
	return out
}

// Rule is an admission rule of the members' own: docs/rules.md.
type Rule struct {
	Profile      uint64 `json:"profile,omitempty"`      // absent: every profile
	Organisation string `json:"organisation,omitempty"` // id; absent: every organisation
	Text         string `json:"text"`                   // empty: the rule is removed
	Replaces     string `json:"replaces,omitempty"`     // SHA-256 of the text that it replaces; absent: there was none
}

// Channel is a further channel that is created, or restated: all that the main channel knows of it.
type Channel struct {
	Name    string   `json:"name"`
	ID      string   `json:"id"`      // hex
	Genesis string   `json:"genesis"` // SHA-256 of its genesis block, hex
	Members []uint64 `json:"members"` // by number
}

// describeRegistration says what an operation registers under an id, and what the operation is called.
func describeRegistration(args any, id ledger.OrgID) (kind string, r Registered) {
	switch a := args.(type) {
	case *ledger.Consortium:
		kind = "consortium"
	case *ledger.Organisation:
		kind, r.Organisation = "organisation", describeOrganisation(a, id)
	case *ledger.Namespace:
		kind, r.Namespace = "namespace", &Namespace{ID: id.String(), Owner: a.Owner.String(), Type: ledger.NamespaceTypeName(a.Type), Value: a.Value,
			Control: a.Control, Delegable: a.Delegable, Evidence: describeEvidence(a.Evidence)}
		if a.Parent != nil {
			r.Namespace.Parent = a.Parent.String()
		}
	case *ledger.LineKey:
		kind, r.LineKey = "line-key", &LineKey{ID: keyID(a.SPKI), Owner: a.Owner.String(), Namespaces: []string{}, From: a.From, Until: a.Until}
		for _, n := range a.Namespaces {
			r.LineKey.Namespaces = append(r.LineKey.Namespaces, n.String())
		}
	case *ledger.CA:
		kind, r.CA = "ca", describeCA(a)
	case *ledger.Rules:
		kind, r.Rules = "rules", &Rules{a.Version, a.Hold}
	case *ledger.RuleChange:
		kind, r.Rule = "admission-rule", &Rule{Profile: a.Profile, Text: a.Text}
		if a.Organisation != nil {
			r.Rule.Organisation = a.Organisation.String()
		}
		if a.Replaces != nil {
			r.Rule.Replaces = hex.EncodeToString(a.Replaces[:])
		}
	case *ledger.OrganisationChange:
		kind, r.OrganisationChange = "organisation-change", describeOrganisationChange(a)
	case *ledger.NamespaceChange:
		kind, r.NamespaceChange = "namespace-change", describeNamespaceChange(a)
	case *ledger.CutOff:
		kind, r.CutOff = "cut-off", describeCutOff(a)
	case *ledger.MemberSetChange:
		kind, r.MemberSet = "member-set", describeMemberSet(a.Document)
	case *ledger.Channel:
		kind, r.Channel = "channel", &Channel{Name: a.Name, ID: hex.EncodeToString(a.ID[:]), Genesis: hex.EncodeToString(a.Genesis[:]),
			Members: append([]uint64{}, a.Members...)}
	}
	return kind, r
}

func describeOrganisation(o *ledger.Organisation, id ledger.OrgID) *Organisation {
	out := &Organisation{ID: id.String(), Name: o.Name, LegalName: o.LegalName, Roles: ledger.RoleNames(o.Roles), Admins: []string{},
		AdminsNeeded: o.AdminM, Profiles: append([]uint64{}, o.Profiles...), QuotaDay: o.QuotaDay, QuotaTotal: o.QuotaTotal, LegacyRSA: o.LegacyRSA}
	for _, spki := range o.AdminKeys {
		out.Admins = append(out.Admins, keyID(spki))
	}
	return out
}

// describeCA says nothing of a certificate that does not parse: none such is registered.
func describeCA(a *ledger.CA) *CA {
	cert, err := profile.ParseAuthority(a.Certificate)
	if err != nil {
		return nil
	}
	sum := ledger.Sum(a.Certificate)
	out := &CA{Certificate: hex.EncodeToString(sum[:]), Key: keyID(cert.SPKI), Owner: a.Owner.String(), Namespaces: []string{},
		Until: time.Unix(cert.NotAfter, 0).UTC()}
	for _, n := range a.Namespaces {
		out.Namespaces = append(out.Namespaces, n.String())
	}
	return out
}

func keyID(spki []byte) string {
	id := ledger.Sum(spki)
	return hex.EncodeToString(id[:])
}

// OrganisationChange is a change of an organisation; what is absent stays.
type OrganisationChange struct {
	Organisation string    `json:"organisation"` // its id
	LegalName    *string   `json:"legal_name,omitempty"`
	Roles        *[]string `json:"roles,omitempty"`
	Profiles     *[]uint64 `json:"profiles,omitempty"`
	QuotaDay     *uint64   `json:"quota_day,omitempty"`
	QuotaTotal   *uint64   `json:"quota_total,omitempty"`
	LegacyRSA    *bool     `json:"legacy_rsa,omitempty"`
	State        string    `json:"state,omitempty"`         // active, suspended, ended
	Admins       []string  `json:"admins,omitempty"`        // key ids of all admin keys from then on
	AdminsNeeded uint64    `json:"admins_needed,omitempty"` // with them
}

// NamespaceChange is a change of a namespace.
type NamespaceChange struct {
	Namespace string    `json:"namespace"`          // its id
	Action    string    `json:"action"`             // end, transfer
	Owner     string    `json:"owner,omitempty"`    // of a transfer: id of the new owner
	Control   string    `json:"control,omitempty"`  // of a transfer: how control was checked, for people
	Evidence  *Evidence `json:"evidence,omitempty"` // of a transfer
}

// Evidence is how control of a namespace was checked.
type Evidence struct {
	Method   string    `json:"method"`   // dns, registry, contract
	Document string    `json:"document"` // SHA-256 of what was seen, hex
	Checked  time.Time `json:"checked"`
}

// CutOff is a cut-off as it is demanded.
type CutOff struct {
	Scope  string `json:"scope"`  // line-key, organisation
	Target string `json:"target"` // id of the line key or organisation
	From   uint64 `json:"from"`   // first leaf
	Reason string `json:"reason"` // RFC 5280 section 5.3.1
}

// CutOffEffect is a cut-off as it took effect.
type CutOffEffect struct {
	CutOff
	By     string    `json:"by"`
	Runs   uint64    `json:"runs"`   // runs of leaves that it revoked
	Leaves uint64    `json:"leaves"` // leaves in them
	Hash   string    `json:"hash"`   // tree hash over the runs, hex
	Time   time.Time `json:"time"`   // block time
}

// Covers reports whether the cut-off of a leaf revoked a publication.
func (c *CutOffEffect) Covers(at, leaf uint64, p *Publication) bool {
	return c.From <= leaf && leaf < at && (c.Scope == ledger.ScopeLineKey.String() && c.Target == p.Voucher ||
		c.Scope == ledger.ScopeOrganisation.String() && c.Target == p.Owner)
}

func describeOrganisationChange(c *ledger.OrganisationChange) *OrganisationChange {
	out := &OrganisationChange{Organisation: c.Organisation.String(), LegalName: c.LegalName, Profiles: c.Profiles, QuotaDay: c.QuotaDay,
		QuotaTotal: c.QuotaTotal, LegacyRSA: c.LegacyRSA, AdminsNeeded: c.AdminM}
	if c.Roles != nil {
		names := ledger.RoleNames(*c.Roles)
		out.Roles = &names
	}
	if c.State != nil {
		out.State = c.State.String()
	}
	for _, a := range c.Admins {
		out.Admins = append(out.Admins, keyID(a.SPKI))
	}
	return out
}

func describeNamespaceChange(c *ledger.NamespaceChange) *NamespaceChange {
	out := &NamespaceChange{Namespace: c.Namespace.String(), Action: c.Action.String(), Control: c.Control, Evidence: describeEvidence(c.Evidence)}
	if c.Owner != nil {
		out.Owner = c.Owner.String()
	}
	return out
}

func describeEvidence(e *ledger.Evidence) *Evidence {
	if e == nil {
		return nil
	}
	return &Evidence{ledger.MethodName(e.Method), hex.EncodeToString(e.Document[:]), moment(e.Checked)}
}

func describeCutOff(c *ledger.CutOff) *CutOff {
	return &CutOff{c.Scope.String(), hex.EncodeToString(c.Target), c.From, ledger.ReasonName(c.Reason)}
}

// describeCuts says what a leaf's cut-offs revoked.
func describeCuts(e *ledger.Effects) (out []CutOffEffect) {
	for _, c := range e.Cuts {
		out = append(out, CutOffEffect{CutOff: *describeCutOff(&ledger.CutOff{Scope: c.Scope, Target: c.Target, From: c.From, Reason: c.Reason}),
			By: e.Authority.String(), Runs: c.Runs, Leaves: c.Leaves, Hash: hex.EncodeToString(c.Hash[:]), Time: moment(e.Time)})
	}
	return out
}
