package state

import (
	"slices"

	"github.com/quorate-pki/quorate/ledger"
)

// right is one cell of the table of who may change a status.
type right struct {
	revoke  []uint64 // RFC 5280 reasons it may revoke for
	suspend bool
	resume  bool // what was suspended by an authority not higher
}

// revocable are the reasons that fit a device's certificate. cACompromise and aACompromise are not about
// devices, certificateHold is a suspension, removeFromCRL a resumption.
var revocable = []uint64{ledger.Unspecified, ledger.KeyCompromise, ledger.AffiliationChanged, ledger.Superseded,
	ledger.Cessation, ledger.PrivilegeWithdrawn}

// endings are the reasons that fit a use, which is no key: that the device's key is lost is said in scope key.
var endings = []uint64{ledger.Unspecified, ledger.AffiliationChanged, ledger.Superseded, ledger.Cessation, ledger.PrivilegeWithdrawn}

// rights is the table authority x scope. A cell that is not here refuses: not-authorised in the scopes that
// exist, scope-unavailable in those that come later (batch, CA). Line keys and organisations are cut off (cutoff.go).
var rights = map[ledger.Authority]map[ledger.Scope]right{
	ledger.BySelf: {
		ledger.ScopeCertificate: {revoke: revocable, suspend: true, resume: true},
		ledger.ScopeKey:         {revoke: []uint64{ledger.KeyCompromise}},
	},
	ledger.ByLineKey: {
		ledger.ScopeCertificate: {suspend: true},
	},
	ledger.ByCustodian: {
		ledger.ScopeCertificate: {suspend: true, resume: true},
		ledger.ScopeCustody:     {revoke: endings, suspend: true, resume: true},
	},
	ledger.ByOwner: {
		ledger.ScopeCertificate: {revoke: revocable, suspend: true, resume: true},
		ledger.ScopeKey:         {revoke: revocable, suspend: true, resume: true},
	},
	ledger.ByQuorum: {
		ledger.ScopeCertificate: {revoke: revocable, suspend: true, resume: true},
		ledger.ScopeKey:         {revoke: revocable, suspend: true, resume: true},
		ledger.ScopeCustody:     {revoke: endings, suspend: true, resume: true},
	},
}

// available says whether a scope exists at a rule version.
func available(s ledger.Scope, rules uint64) bool {
	switch s {
	case ledger.ScopeCertificate, ledger.ScopeKey:
		return true
	case ledger.ScopeCustody:
		return rules >= ledger.Governed
	}
	return false
}

// allows reports whether an authority may do this at all.
func allows(by ledger.Authority, c *ledger.StatusChange) bool {
	r, ok := rights[by][c.Scope]
	if !ok {
		return false
	}
	switch c.Action {
	case ledger.Revoke:
		return slices.Contains(r.revoke, c.Reason)
	case ledger.Suspend:
		return r.suspend
	case ledger.Resume:
		return r.resume
	}
	return false
}

// authorities are the capacities in which a transaction's signers may speak about a key's certificates, highest
// first. Line keys are entitled by the publications they vouched for, so the leaf asked about matters. About a use speaks
// as custodian whose use it is, be it the owner.
func (s *State) authorities(signers []ledger.Hash, k *ledger.KeyRecord, c *ledger.StatusChange) []ledger.Authority {
	var out []ledger.Authority
	custodian := k.Custodian
	if c.Scope == ledger.ScopeCustody && k.Use != nil {
		custodian = k.Use.By
	}
	if s.quorum(signers) {
		out = append(out, ledger.ByQuorum)
	}
	if s.enoughAdmins(k.Owner, signers) {
		out = append(out, ledger.ByOwner)
	}
	if !custodian.IsZero() && s.enoughAdmins(custodian, signers) {
		out = append(out, ledger.ByCustodian)
	}
	if c.Leaf != nil && s.vouched(signers, k, *c.Leaf) {
		out = append(out, ledger.ByLineKey)
	}
	if slices.Contains(signers, c.Target) {
		out = append(out, ledger.BySelf)
	}
	return out
}

// quorum reports whether governance keys of a quorum of members are among the signers.
func (s *State) quorum(signers []ledger.Hash) bool {
	members, err := s.Members()
	return err == nil && s.registry.governors(signers) >= members.Quorum
}

func (s *State) enoughAdmins(org ledger.OrgID, signers []ledger.Hash) bool {
	o := s.registry.orgs[org]
	return o != nil && s.registry.admins(org, signers) >= o.AdminM
}

// vouched reports whether one of the signers is the line key, with the right to suspend, behind a publication.
func (s *State) vouched(signers []ledger.Hash, k *ledger.KeyRecord, leaf uint64) bool {
	for _, c := range k.Certificates {
		if c.Leaf != leaf || !slices.Contains(signers, c.Voucher) {
			continue
		}
		line := s.registry.keys[c.Voucher]
		return line != nil && line.Line != nil && line.Line.Rights&ledger.RightSuspend != 0 && len(line.Cuts) == 0
	}
	return false
}
