package state

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/quorate-pki/quorate/ca/profile"
	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
)

// registry holds the few records that every judgement needs in memory: organisations, namespaces, keys. It is
// shared between states and copied before a change.
type registry struct {
	orgs       map[ledger.OrgID]*ledger.OrgRecord
	namespaces map[ledger.OrgID]*ledger.NamespaceRecord
	keys       map[ledger.Hash]*ledger.RegisteredKey
	proposals  map[uint64]*ledger.ProposalRecord // by leaf: those that are open or waiting
	cas        map[ledger.Hash]*ledger.CARecord  // by SHA-256 of the certificate
	caKeys     map[ledger.Hash]ledger.OrgID      // owner by key id of a CA
	delegated  map[ledger.OrgID][]ledger.OrgID   // by namespace: those in force that are delegated from it
	sets       []*memberSet                      // those that were in force, oldest first; replaced, never changed
	next       *memberSet                        // in force from the next height on, while a block that changes the set is judged
	past       *ledger.MemberHistory             // of sets
	book       ruleBook                          // members' own rules
	channels   map[string]*ledger.FurtherChannel // by name
}

// memberSet is a member set as it came into force.
type memberSet struct {
	*ledger.MemberSet
	ledger.MemberSetRecord
	governance map[ledger.Hash]uint64 // by id of its governance key: the member's number
}

func newMemberSet(r ledger.MemberSetRecord) (*memberSet, error) {
	m, err := ledger.ParseMemberSet(r.Document)
	if err != nil {
		return nil, err
	}
	s := &memberSet{MemberSet: m, MemberSetRecord: r, governance: map[ledger.Hash]uint64{}}
	for _, x := range m.Members {
		s.governance[ledger.Sum(x.Keys[ledger.KeyGovernance])] = x.Number
	}
	return s, nil
}

func newRegistry() *registry {
	return &registry{map[ledger.OrgID]*ledger.OrgRecord{}, map[ledger.OrgID]*ledger.NamespaceRecord{},
		map[ledger.Hash]*ledger.RegisteredKey{}, map[uint64]*ledger.ProposalRecord{}, map[ledger.Hash]*ledger.CARecord{}, map[ledger.Hash]ledger.OrgID{}, map[ledger.OrgID][]ledger.OrgID{}, nil, nil, ledger.NewMemberHistory(), ruleBook{},
		map[string]*ledger.FurtherChannel{}}
}

func (r *registry) clone() *registry {
	return &registry{maps.Clone(r.orgs), maps.Clone(r.namespaces), maps.Clone(r.keys), maps.Clone(r.proposals), maps.Clone(r.cas), maps.Clone(r.caKeys), maps.Clone(r.delegated), r.sets, r.next, r.past, r.book.clone(),
		maps.Clone(r.channels)}
}

// enrol puts a set in force after those that are there.
func (r *registry) enrol(m *memberSet) {
	r.sets = append(slices.Clip(r.sets), m)
	var all []*ledger.MemberSet
	for _, s := range r.sets {
		all = append(all, s.MemberSet)
	}
	r.past = ledger.NewMemberHistory(all...)
}

// newestSet is the member set in force.
func (r *registry) newestSet() *memberSet { return r.sets[len(r.sets)-1] }

// owned reports whether a key has a purpose in the consortium already: one key, one purpose.
func (r *registry) owned(id ledger.Hash) bool {
	_, ca := r.caKeys[id]
	return ca || r.keys[id] != nil || r.past.Has(id)
}

// signer finds a key that may sign transactions.
func (r *registry) signer(id ledger.Hash) *ledger.RegisteredKey {
	if k := r.keys[id]; k != nil && k.Role != ledger.KeyRoleRetired {
		return k
	}
	return nil
}

// admins counts how many of the signers are admin keys of an organisation.
func (r *registry) admins(org ledger.OrgID, signers []ledger.Hash) (n uint64) {
	for _, id := range signers {
		if k := r.keys[id]; k != nil && k.Role == ledger.KeyRoleAdmin && k.Owner == org {
			n++
		}
	}
	return n
}

// governors counts the members in force whose governance keys signed. A member has one such key, and signers are distinct.
func (r *registry) governors(signers []ledger.Hash) (n uint64) {
	for _, id := range signers {
		if _, ok := r.newestSet().governance[id]; ok {
			n++
		}
	}
	return n
}

// maxNamespaces is the most namespaces that one publication may draw its names from.
const maxNamespaces = 8

// ownNames finds the namespaces that entitle a line key to what a certificate claims: device serial, DNS names, home
// domain, hardware type. What was delegated from a namespace is not its owner's any more.
func (r *registry) ownNames(line *ledger.LineKey, prof *profile.Profile, cert *profile.Certificate) ([]ledger.OrgID, *reason.Error) {
	var used []ledger.OrgID
	claim := func(kind uint64, covers func(value string) bool) bool {
		for _, id := range line.Namespaces {
			ns := r.inForce(id)
			if ns == nil || ns.Owner != line.Owner || ns.Type != kind || !covers(ns.Value) || r.delegatedAway(id, covers) {
				continue
			}
			if !slices.Contains(used, id) {
				used = append(used, id)
			}
			return true
		}
		return false
	}
	if serial := cert.DeviceSerial; prof.DeviceSerial || serial != "" {
		if !claim(ledger.NamespaceSerial, func(v string) bool { return strings.HasPrefix(serial, v) }) {
			return nil, reason.New(reason.SerialNotOwned, "%q", serial)
		}
		if len(line.Ranges) > 0 && !slices.ContainsFunc(line.Ranges, func(g ledger.Range) bool { return inRange(serial, g) }) {
			return nil, reason.New(reason.SerialOutOfRange, "%q", serial)
		}
	}
	ownDNS := func(name string) bool {
		return claim(ledger.NamespaceDNS, func(v string) bool { return withinDNS(name, v) }) ||
			claim(ledger.NamespacePLMN, func(v string) bool { return withinDNS(name, plmnDomain(v)) })
	}
	for _, name := range cert.DNSNames {
		if !ownDNS(name) {
			return nil, reason.New(reason.NameNotOwned, "%q", name)
		}
	}
	if prof.HomeDomain && !ownDNS(cert.HomeDomainName()) {
		return nil, reason.New(reason.NameNotOwned, "home domain %q", cert.HomeDomainName())
	}
	if hwType, ok := cert.HardwareType(); ok {
		if !claim(ledger.NamespaceHardware, func(v string) bool { return withinArc(hwType.String(), v) }) {
			return nil, reason.New(reason.HardwareTypeNotOwned, "%s", hwType)
		}
	}
	if len(used) > maxNamespaces {
		return nil, reason.New(reason.NameNotOwned, "names of %d namespaces, at most %d", len(used), maxNamespaces)
	}
	return used, nil
}

// plmnDomain is the domain of a PLMN of six digits, MCC and padded MNC (3GPP TS 23.003 clause 28.2): the names below it
// are the operator's, though it owns no part of the DNS there.
func plmnDomain(plmn string) string {
	return "mnc" + plmn[3:] + ".mcc" + plmn[:3] + ".3gppnetwork.org"
}

// inRange reports whether a serial is the prefix followed by a decimal number within the range. Leading zeros
// are fine: they are part of how a vendor writes its numbers.
func inRange(serial string, g ledger.Range) bool {
	digits, ok := strings.CutPrefix(serial, g.Prefix)
	if !ok || digits == "" || len(digits) > 18 || strings.Trim(digits, "0123456789") != "" {
		return false
	}
	n, err := strconv.ParseUint(digits, 10, 64)
	return err == nil && g.Low <= n && n <= g.High
}
