package api

import (
	"encoding/hex"

	"github.com/quorate-pki/quorate/ledger"
)

// Registered is what an operation registers, as JSON: of a leaf of its own, or of one in a proposal. One of its fields is set.
type Registered struct {
	Organisation *Organisation `json:"organisation,omitempty"`
	Namespace    *Namespace    `json:"namespace,omitempty"`
	LineKey      *LineKey      `json:"line_key,omitempty"`
	Rules        *Rules        `json:"rules,omitempty"`
	Rule         *Rule         `json:"admission_rule,omitempty"`
	MemberSet    *MemberSet    `json:"member_set,omitempty"`
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
}

// LineKey is a registered line key.
type LineKey struct {
	ID         string   `json:"id"` // key id
	Owner      string   `json:"owner"`
	Namespaces []string `json:"namespaces"`
	From       uint64   `json:"from,omitempty"`  // first height in force
	Until      uint64   `json:"until,omitempty"` // last height in force; absent: no end
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

// describeRegistration says what an operation registers under an id, and what the operation is called.
func describeRegistration(args any, id ledger.OrgID) (kind string, r Registered) {
	switch a := args.(type) {
	case *ledger.Consortium:
		kind = "consortium"
	case *ledger.Organisation:
		kind, r.Organisation = "organisation", describeOrganisation(a, id)
	case *ledger.Namespace:
		kind, r.Namespace = "namespace", &Namespace{ID: id.String(), Owner: a.Owner.String(), Type: ledger.NamespaceTypeName(a.Type), Value: a.Value,
			Control: a.Control}
	case *ledger.LineKey:
		kind, r.LineKey = "line-key", &LineKey{ID: keyID(a.SPKI), Owner: a.Owner.String(), Namespaces: []string{}, From: a.From, Until: a.Until}
		for _, n := range a.Namespaces {
			r.LineKey.Namespaces = append(r.LineKey.Namespaces, n.String())
		}
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
	case *ledger.MemberSetChange:
		kind, r.MemberSet = "member-set", describeMemberSet(a.Document)
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

func keyID(spki []byte) string {
	id := ledger.Sum(spki)
	return hex.EncodeToString(id[:])
}
