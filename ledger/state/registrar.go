package state

import (
	"bytes"
	"slices"
	"strings"

	"github.com/quorate-pki/quorate/ca/profile"
	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
)

// registrar judges registrations: of genesis, of a proposal, of an organisation's admins. It changes nothing.
type registrar struct {
	*registry
	rules uint64
}

// organisation judges a new organisation, which would have this id.
func (r registrar) organisation(id ledger.OrgID, o *ledger.Organisation) *reason.Error {
	switch {
	case r.orgs[id] != nil:
		return reason.New(reason.RecordTaken, "organisation %x", id)
	case !ledger.ValidName(o.Name) || len(o.LegalName) > 128 || o.Roles == 0 || o.Roles > 31:
		return reason.New(reason.RegistrationForm, "organisation %q: name, legal name or roles", o.Name)
	case len(o.AdminKeys) == 0 || len(o.AdminKeys) > 16 || o.AdminM == 0 || o.AdminM > uint64(len(o.AdminKeys)):
		return reason.New(reason.RegistrationForm, "organisation %q: %d of %d admin keys", o.Name, o.AdminM, len(o.AdminKeys))
	case len(o.Profiles) > 32:
		return reason.New(reason.RegistrationForm, "organisation %q: %d profiles", o.Name, len(o.Profiles))
	}
	for _, other := range r.orgs {
		if other.Name == o.Name {
			return reason.New(reason.NameTaken, "organisation %q twice", o.Name)
		}
	}
	for i, spki := range o.AdminKeys {
		if no := r.newKey(spki); no != nil {
			return no
		}
		// Signers are counted by key: twice the same would make an m that nobody can reach.
		if slices.ContainsFunc(o.AdminKeys[:i], func(k []byte) bool { return bytes.Equal(k, spki) }) {
			return reason.New(reason.KeyTaken, "organisation %q: the same admin key twice", o.Name)
		}
	}
	return r.knownProfiles(o.Profiles)
}

func (r registrar) knownProfiles(ids []uint64) *reason.Error {
	for _, id := range ids {
		if _, ok := knownProfile(id, r.rules); !ok {
			return reason.New(reason.UnknownProfile, "profile %d is not known at rule version %d", id, r.rules)
		}
	}
	return nil
}

// newKey demands a key that parses and is not registered yet: one key, one purpose.
func (r registrar) newKey(spki []byte) *reason.Error {
	k, err := profile.ParseSPKI(spki)
	if err != nil {
		return reason.New(reason.RegistrationForm, "a key: %v", err)
	}
	if r.owned(k.ID()) {
		return reason.New(reason.KeyTaken, "key %x", k.ID())
	}
	return nil
}

// reserved DNS suffixes belong to nobody.
var reservedSuffixes = []string{"3gppnetwork.org"}

// namespace judges a new namespace, which would have this id.
func (r registrar) namespace(id ledger.OrgID, n *ledger.Namespace) *reason.Error {
	form := func() *reason.Error {
		return reason.New(reason.RegistrationForm, "%s namespace %q", ledger.NamespaceTypeName(n.Type), n.Value)
	}
	switch {
	case r.namespaces[id] != nil:
		return reason.New(reason.RecordTaken, "namespace %x", id)
	case r.orgs[n.Owner] == nil:
		return reason.New(reason.UnknownOrganisation, "of namespace %q", n.Value)
	case r.rules >= ledger.Governed && (r.orgs[n.Owner].State == ledger.OrgEnded || len(n.Control) > ledger.MaxControl):
		return reason.New(reason.RegistrationForm, "namespace %q of %s", n.Value, r.orgs[n.Owner].Name)
	case r.rules < ledger.Governed && n.Newer(), n.Delegable && (n.Type == ledger.NamespaceSerial || n.Type == ledger.NamespacePLMN):
		return form()
	}
	if n.Parent != nil {
		if no := r.delegation(n); no != nil {
			return no
		}
	}
	switch n.Type {
	case ledger.NamespaceSerial:
		if n.Value == "" || len(n.Value) > 32 || !profile.ValidSerial(n.Value) {
			return form()
		}
		// Serials are unique per organisation: two vendors may use the same prefix.
		return nil
	case ledger.NamespaceDNS:
		if !profile.ValidDNSName(n.Value) {
			return form()
		}
		for _, s := range reservedSuffixes {
			if withinDNS(n.Value, s) || withinDNS(s, n.Value) {
				return reason.New(reason.NamespaceReserved, "%q", n.Value)
			}
		}
		return r.alone(n)
	case ledger.NamespacePLMN:
		if len(n.Value) != 6 || strings.Trim(n.Value, "0123456789") != "" || r.rules < 2 {
			return form()
		}
		return r.alone(n)
	case ledger.NamespaceHardware:
		if _, ok := profile.ParseOID(n.Value); !ok || r.rules < 2 {
			return form()
		}
		if withinArc(enterprises, n.Value) {
			return reason.New(reason.NamespaceReserved, "%q is every enterprise's", n.Value)
		}
		return r.alone(n)
	}
	return form()
}

// enterprises is the arc under which IANA gives every enterprise one of its own.
const enterprises = "1.3.6.1.4.1"

// withinDNS reports whether a DNS name is a suffix's or below it, at a label boundary.
func withinDNS(name, suffix string) bool {
	return name == suffix || strings.HasSuffix(name, "."+suffix)
}

// withinArc reports whether a dotted OID is an arc or below it.
func withinArc(oid, arc string) bool { return oid == arc || strings.HasPrefix(oid, arc+".") }

// Overlap reports whether two namespaces of a type have a name in common. Serials never do: they are unique per organisation.
func Overlap(kind uint64, a, b string) bool {
	switch kind {
	case ledger.NamespaceDNS:
		return withinDNS(a, b) || withinDNS(b, a)
	case ledger.NamespaceHardware:
		return withinArc(a, b) || withinArc(b, a)
	case ledger.NamespacePLMN:
		return a == b
	}
	return false
}

// alone demands that no namespace of the same type is within a new one, or around it, but those it is delegated from.
func (r registrar) alone(n *ledger.Namespace) *reason.Error {
	from := map[*ledger.NamespaceRecord]bool{}
	for id := n.Parent; id != nil; id = r.namespaces[*id].Parent {
		from[r.namespaces[*id]] = true
	}
	for _, other := range r.namespaces {
		if other.Type == n.Type && other.Ended == 0 && !from[other] && Overlap(n.Type, n.Value, other.Value) {
			return reason.New(reason.NamespaceOverlap, "%q overlaps %q of %s", n.Value, other.Value, r.orgs[other.Owner].Name)
		}
	}
	return nil
}

// lineKey judges a new line key; who may register it is not asked here.
func (r registrar) lineKey(l *ledger.LineKey) *reason.Error {
	if no := r.newKey(l.SPKI); no != nil {
		return no
	}
	key, err := profile.ParseSPKI(l.SPKI)
	if err != nil {
		return reason.New(reason.RegistrationForm, "a line key: %v", err)
	}
	switch {
	case key.Kind == profile.RSA:
		return reason.New(reason.RegistrationForm, "a line key is P-256, P-384 or Ed25519")
	case !key.VerifyCOSE(l.Alg, ledger.PossessionMessage(l.Owner, l.SPKI), l.Possession):
		return reason.New(reason.LineKeyPossession, "")
	case r.orgs[l.Owner] == nil:
		return reason.New(reason.UnknownOrganisation, "of a line key")
	case r.orgs[l.Owner].State != ledger.OrgActive:
		return reason.New(reason.OrganisationState, "%s", r.orgs[l.Owner].Name)
	case len(l.Namespaces) == 0 || len(l.Namespaces) > 16 || len(l.Profiles) == 0 || len(l.Profiles) > 32 || len(l.Ranges) > 16:
		return reason.New(reason.RegistrationForm, "a line key with %d namespaces, %d profiles, %d ranges", len(l.Namespaces), len(l.Profiles), len(l.Ranges))
	case l.Rights == 0 || l.Rights > ledger.RightPublish|ledger.RightSuspend || (l.Until != 0 && l.Until < l.From):
		return reason.New(reason.RegistrationForm, "a line key's rights or heights")
	}
	for _, id := range l.Namespaces {
		if ns := r.inForce(id); ns == nil || ns.Owner != l.Owner {
			return reason.New(reason.UnknownNamespace, "%x, which a line key is for", id)
		}
	}
	for _, g := range l.Ranges {
		if len(g.Prefix) > 32 || g.Low > g.High {
			return reason.New(reason.RegistrationForm, "a line key's range %q %d-%d", g.Prefix, g.Low, g.High)
		}
	}
	return r.knownProfiles(l.Profiles)
}
