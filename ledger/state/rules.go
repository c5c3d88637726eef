package state

import (
	"encoding/hex"
	"errors"
	"maps"

	"github.com/quorate-pki/quorate/ca/profile"
	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
)

// Members' own rules. A text is judged by from the height after the one at which it was enacted, so a block is judged by one set of
// rules. Fold keeps texts and never runs one; judge runs them through Facts.

// ruleFrom is a text and the height from which it is its scope's.
type ruleFrom struct {
	from   uint64
	text   string // empty: none
	digest ledger.Hash
}

// ruleBook is what is in force, and what will be at the next height: the newest of each scope first. Shared between states; its
// slices are replaced, never changed.
type ruleBook map[ledger.RuleScope][]ruleFrom

// set adds the text of a scope. One that was set for the same height is forgotten: it was never in force.
func (b ruleBook) set(s ledger.RuleScope, r ruleFrom) {
	old := b[s]
	if len(old) > 0 && old[0].from == r.from {
		old = old[1:]
	}
	b[s] = append([]ruleFrom{r}, old[:min(1, len(old))]...)
}

// at is the text of a scope at a height.
func (b ruleBook) at(s ledger.RuleScope, height uint64) (ruleFrom, bool) {
	for _, r := range b[s] {
		if r.from <= height {
			return r, r.text != ""
		}
	}
	return ruleFrom{}, false
}

// newest is the text of a scope, whether or not it is in force yet.
func (b ruleBook) newest(s ledger.RuleScope) (ruleFrom, bool) {
	if list := b[s]; len(list) > 0 && list[0].text != "" {
		return list[0], true
	}
	return ruleFrom{}, false
}

// count is the number of scopes that have a rule, or will.
func (b ruleBook) count() (n int) {
	for s := range b {
		if _, ok := b.newest(s); ok {
			n++
		}
	}
	return n
}

func (b ruleBook) clone() ruleBook { return maps.Clone(b) }

// rule says why a change of the members' rules cannot be made. Whether the text compiles is told apart, by compile: it does not depend on
// the state, and fold has nothing to compile with.
func (r registrar) rule(a *ledger.RuleChange) *reason.Error {
	if a.Profile != 0 {
		if _, ok := knownProfile(a.Profile, r.rules); !ok {
			return reason.New(reason.RuleScope, "profile %d", a.Profile)
		}
	}
	scope := a.Scope()
	if a.Organisation != nil && r.orgs[scope.Organisation] == nil {
		return reason.New(reason.RuleScope, "organisation %s", scope.Organisation)
	}
	book := r.book
	now, ruled := book.newest(scope)
	switch {
	case ruled != (a.Replaces != nil) || ruled && now.digest != *a.Replaces:
		return reason.New(reason.RuleDiffers, "")
	case ruled && now.text == a.Text:
		return reason.New(reason.RuleDiffers, "the same text")
	case !ruled && book.count() >= ledger.MaxRules:
		return reason.New(reason.TooManyRules, "%d", ledger.MaxRules)
	}
	return nil
}

// compile says why a text that is proposed is no rule. What is proposed compiled once, so it does when it takes effect.
func compile(p *ledger.Propose, facts Facts) (*reason.Error, error) {
	for _, raw := range p.Bodies {
		_, args, err := ledger.ParseBody(raw)
		a, ok := args.(*ledger.RuleChange)
		if err != nil || !ok || a.Text == "" {
			continue
		}
		_, err = facts.Rule(ledger.TextHash(a.Text), a.Text)
		if no, ok := errors.AsType[*reason.Error](err); ok {
			return no, nil
		}
		if err != nil {
			return nil, err
		}
	}
	return nil, nil
}

// setRule enacts a change that was checked; the caller has made the registry this layer's own.
func (f *folder) setRule(a *ledger.RuleChange, by grant) {
	from := f.head.Height + 1
	f.st.registry.book.set(a.Scope(), ruleFrom{from: from, text: a.Text, digest: ledger.TextHash(a.Text)})
	f.st.put(ledger.RecordRule, ledger.RuleKey(a.Scope(), from), ledger.RuleRecord{Text: a.Text, Leaf: by.leaf, Decision: by.decision})
}

// loadRules reads the newest text of each scope, which is found first. What a block that is not final replaced is not in the store, so
// the newest is in force at the next height.
func (s *State) loadRules(store Loader) error {
	return load(store, ledger.RecordRule, ledger.RuleKeySize, func(k []byte, v *ledger.RuleRecord) {
		scope, from, err := ledger.ParseRuleKey(k)
		if err == nil && s.registry.book[scope] == nil {
			s.registry.book[scope] = []ruleFrom{{from: from, text: v.Text, digest: ledger.TextHash(v.Text)}}
		}
	})
}

// rules judges a publication, or a rekey, by the members' rules whose scope it is in; all must accept it.
func (j *judge) rules(kind string, line *ledger.RegisteredKey, org *ledger.OrgRecord, prof *profile.Profile, x *Examined, e *ledger.Effects) (*outcome, error) {
	r := j.fold.st.registry
	if len(r.book) == 0 {
		return nil, nil // nobody made any, as in most channels
	}
	var c *ledger.Candidate
	for _, scope := range ledger.Scopes(uint64(prof.ID), line.Owner) {
		text, ok := r.book.at(scope, j.header.Height)
		if !ok {
			continue
		}
		if c == nil {
			c = candidate(kind, r, org, prof, x.Certificate, e)
		}
		v, err := judgeBy(text, c, j.facts)
		if err != nil {
			return nil, err
		}
		if v.Code != reason.Accepted {
			return refuse(reason.New(v.Code, "%s", v.Text)), nil
		}
	}
	return nil, nil
}

// judgeBy asks one rule. A text in force that does not compile refuses: this build's engine then is not the one it was accepted with.
func judgeBy(r ruleFrom, c *ledger.Candidate, facts Facts) (ledger.RuleVerdict, error) {
	rule, err := facts.Rule(r.digest, r.text)
	if no, ok := errors.AsType[*reason.Error](err); ok {
		rule = ledger.BrokenRule{Why: ledger.RuleVerdict{Code: no.Code, Text: no.Detail}}
	} else if err != nil {
		return ledger.RuleVerdict{}, err
	}
	return rule.Judge(c), nil
}

// candidate is what rules may know of a publication whose effects are e.
func candidate(kind string, r *registry, org *ledger.OrgRecord, prof *profile.Profile, cert *profile.Certificate, e *ledger.Effects) *ledger.Candidate {
	c := &ledger.Candidate{
		Kind: kind, Time: e.Time, Profile: prof.Name, Organisation: org.Name, OrganisationID: e.Owner.String(), Roles: ledger.RoleNames(org.Roles),
		NameEvidence: ledger.EvidenceName(e.Evidence), Possession: ledger.PossessionName(e.Possession),
		Protection: ledger.ProtectionName(*e.Protection), Serial: hex.EncodeToString(cert.Serial), DeviceSerial: cert.DeviceSerial, DNSNames: cert.DNSNames,
		NFTypes: cert.NFTypes(), KeyKind: cert.Key.Kind.String(), KeyBits: cert.Key.Bits, Signature: cert.SigAlg.String(),
		NotBefore: 1000 * cert.NotBefore, NotAfter: 1000 * cert.NotAfter, NeverExpires: cert.NotAfter == profile.Latest, KeyUsage: cert.KeyUsage.Names(),
	}
	if e.Voucher != nil { // else the owner's admins vouch
		c.Voucher = hex.EncodeToString(e.Voucher[:])
	}
	for _, id := range e.Namespaces {
		if ns := r.namespaces[id]; ns != nil {
			c.Namespaces = append(c.Namespaces, ledger.NamespaceTypeName(ns.Type)+":"+ns.Value)
		}
	}
	for _, a := range cert.Attributes() {
		c.Subject = append(c.Subject, ledger.Attribute(a))
	}
	if id, ok := cert.Instance(); ok {
		c.Instance = id.String()
	}
	if oid, ok := cert.HardwareType(); ok {
		c.HardwareType = oid.String()
	}
	for _, oid := range cert.EKUs {
		c.ExtendedKeyUsage = append(c.ExtendedKeyUsage, profile.EKUName(oid))
	}
	for _, oid := range cert.Extensions {
		c.Extensions = append(c.Extensions, oid.String())
	}
	return c
}

// Vouching is what entitles a publication, for whoever finds again what a rule was asked.
type Vouching struct {
	Key          ledger.Hash // of the line
	Line         *ledger.LineKey
	Organisation *ledger.OrgRecord
	Namespaces   map[ledger.OrgID]*ledger.NamespaceRecord // of the line
}

// Candidate is what rules were, or would be, asked of a certificate that is submitted to be published as a profile at a block time. It says
// why when the checks before the rules refuse it for what it is, whatever else is published; whether those after them would, it does
// not say.
func Candidate(v Vouching, id uint64, cert *profile.Certificate, now ledger.Millis, version uint64) (*ledger.Candidate, *reason.Error) {
	prof, ok := knownProfile(id, version)
	if !ok {
		return nil, reason.New(reason.ProfileNotGranted, "%d is not known", id)
	}
	if err := prof.Check(cert, uint64(now), profile.Grant{LegacyRSA2048: v.Organisation.LegacyRSA}); err != nil {
		return nil, reasonOf(err)
	}
	r := newRegistry()
	r.namespaces = v.Namespaces
	namespaces, no := r.ownNames(v.Line, prof, cert)
	if no != nil {
		return nil, no
	}
	e := &ledger.Effects{Time: now}
	entitle(e, v.Line.Owner, v.Key, namespaces)
	return candidate("publish", r, v.Organisation, prof, cert, e), nil
}

// entitle writes down what a publication is accepted on.
func entitle(e *ledger.Effects, owner ledger.OrgID, voucher ledger.Hash, namespaces []ledger.OrgID) {
	protection := uint64(0)
	e.Owner, e.Evidence, e.Protection, e.Possession = &owner, ledger.EvidenceLine, &protection, ledger.PossessionSelf
	e.Voucher, e.Namespaces = &voucher, namespaces
}
