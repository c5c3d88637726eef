package state_test

import (
	"testing"

	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/ledgertest"
)

func orgChange(x *chain, name string, change func(*ledger.OrganisationChange)) []byte {
	c := ledger.OrganisationChange{Organisation: organisation(x.t, x, name)}
	change(&c)
	return ledger.EncodeBody(ledger.OpOrganisationChange, c)
}

// admin is an admin key with its holder's consent.
func (x *chain) admin(org ledger.OrgID, key string) ledger.Admin {
	s := x.c.Signer(key)
	sig, err := s.SignCOSE(ledger.AdminMessage(org, x.c.SPKI(key)))
	if err != nil {
		x.t.Fatal(err)
	}
	return ledger.Admin{SPKI: x.c.SPKI(key), Alg: s.Alg(), Possession: sig}
}

func (x *chain) stays(key string) ledger.Admin {
	return ledger.Admin{SPKI: x.c.SPKI(key), Possession: []byte{}}
}

// TestWhatWidensWaits has a cell for every field of an organisation and every direction: what narrows trust must not wait, what widens it
// must, and what does both goes in two proposals.
func TestWhatWidensWaits(t *testing.T) {
	x := start(t, 4, plenty, func(f *ledger.Founding) {
		for i := range f.Organisations {
			if o := &f.Organisations[i]; o.Name == "acme-cells" {
				o.Roles, o.Profiles = ledger.RoleVendor|ledger.RoleRegulator, []uint64{1, 2}
			}
			if o := &f.Organisations[i]; o.Name == "other-cells" {
				o.LegacyRSA = true
			}
		}
	})
	x.wantState(x.decide(x.proposal(200, orgChange(x, "op-one", func(c *ledger.OrganisationChange) { c.State = ptr(ledger.OrgSuspended) }))), ledger.ProposalInForce)
	x.wantState(x.decide(x.proposal(201, rulesBody(3, day))), ledger.ProposalInForce)
	const wide, narrow, both, none = 1, 2, 3, 0
	acme := organisation(t, x, "acme-cells")
	for i, c := range []struct {
		name   string
		org    string
		change func(*ledger.OrganisationChange)
		want   int
	}{
		{"legal name", "acme-cells", func(c *ledger.OrganisationChange) { c.LegalName = ptr("Acme Cells Ltd") }, none},
		{"becomes an operator", "acme-cells", func(c *ledger.OrganisationChange) { c.Roles = ptr(uint64(14)) }, wide},
		{"is no vendor", "acme-cells", func(c *ledger.OrganisationChange) { c.Roles = ptr(uint64(8)) }, narrow},
		{"is an operator, no vendor", "acme-cells", func(c *ledger.OrganisationChange) { c.Roles = ptr(uint64(12)) }, both},
		{"no regulator", "acme-cells", func(c *ledger.OrganisationChange) { c.Roles = ptr(uint64(2)) }, none},
		{"relies, too", "acme-cells", func(c *ledger.OrganisationChange) { c.Roles = ptr(uint64(26)) }, none},
		{"one profile more", "acme-cells", func(c *ledger.OrganisationChange) { c.Profiles = ptr([]uint64{1, 2, 3}) }, wide},
		{"one profile less", "acme-cells", func(c *ledger.OrganisationChange) { c.Profiles = ptr([]uint64{2}) }, narrow},
		{"no profiles", "acme-cells", func(c *ledger.OrganisationChange) { c.Profiles = ptr([]uint64{}) }, narrow},
		{"another profile", "acme-cells", func(c *ledger.OrganisationChange) { c.Profiles = ptr([]uint64{1, 3}) }, both},
		{"profiles in another order", "acme-cells", func(c *ledger.OrganisationChange) { c.Profiles = ptr([]uint64{2, 1}) }, none},
		{"more a day", "acme-cells", func(c *ledger.OrganisationChange) { c.QuotaDay = ptr(uint64(1_000_001)) }, wide},
		{"less a day", "acme-cells", func(c *ledger.OrganisationChange) { c.QuotaDay = ptr(uint64(0)) }, narrow},
		{"more in all", "acme-cells", func(c *ledger.OrganisationChange) { c.QuotaTotal = ptr(uint64(1 << 40)) }, wide},
		{"less in all", "acme-cells", func(c *ledger.OrganisationChange) { c.QuotaTotal = ptr(uint64(1)) }, narrow},
		{"legacy keys", "acme-cells", func(c *ledger.OrganisationChange) { c.LegacyRSA = ptr(true) }, wide},
		{"no legacy keys", "other-cells", func(c *ledger.OrganisationChange) { c.LegacyRSA = ptr(false) }, narrow},
		{"suspended", "acme-cells", func(c *ledger.OrganisationChange) { c.State = ptr(ledger.OrgSuspended) }, narrow},
		{"ended", "acme-cells", func(c *ledger.OrganisationChange) { c.State = ptr(ledger.OrgEnded) }, narrow},
		{"active again", "op-one", func(c *ledger.OrganisationChange) { c.State = ptr(ledger.OrgActive) }, wide},
		{"suspended, then ended", "op-one", func(c *ledger.OrganisationChange) { c.State = ptr(ledger.OrgEnded) }, narrow},
		{"lost its admin keys", "acme-cells", func(c *ledger.OrganisationChange) {
			c.Admins, c.AdminM = []ledger.Admin{x.admin(acme, "acme-cells/admin-9")}, 1
		}, wide},
		{"lost its admin keys, and suspended", "acme-cells", func(c *ledger.OrganisationChange) {
			c.Admins, c.AdminM, c.State = []ledger.Admin{x.admin(acme, "acme-cells/admin-9")}, 1, ptr(ledger.OrgSuspended)
		}, both},
	} {
		atOnce, held := reason.Accepted, reason.Accepted
		if c.want&wide != 0 {
			atOnce = reason.HoldTooShort
		}
		if c.want&narrow != 0 {
			held = reason.HoldNotAllowed
		}
		p := x.proposal(byte(i), orgChange(x, c.org, c.change))
		withdraw := func(v ledger.Verdict) {
			if v.Code == 0 {
				x.one(ledger.EncodeBody(ledger.OpWithdraw, ledger.Withdraw{Proposal: v.Leaf}), govA)
			}
		}
		t.Run(c.name, func(t *testing.T) {
			v := x.one(ledger.EncodeBody(ledger.OpPropose, p), govA)
			expect(t, v, atOnce)
			withdraw(v)
			p.Hold = day
			v = x.one(ledger.EncodeBody(ledger.OpPropose, p), govA)
			expect(t, v, held)
			withdraw(v)
		})
	}
}

// TestOrganisationChangeRefusals has a row for each way in which members cannot change an organisation.
func TestOrganisationChangeRefusals(t *testing.T) {
	x := start(t, 4, plenty, nil)
	x.publish(x.c.Device("ACME-1", dns, 0))
	acme := organisation(t, x, "acme-cells")
	with := func(m uint64, admins ...ledger.Admin) func(*ledger.OrganisationChange) {
		return func(c *ledger.OrganisationChange) { c.Admins, c.AdminM = admins, m }
	}
	fresh, unsigned := x.admin(acme, "acme-cells/admin-9"), x.admin(acme, "acme-cells/admin-8")
	unsigned.Possession[5] ^= 1
	for _, c := range []struct {
		name   string
		org    string
		change func(*ledger.OrganisationChange)
		want   reason.Code
	}{
		{"nothing", "acme-cells", func(c *ledger.OrganisationChange) {}, reason.BadBody},
		{"no such state", "acme-cells", func(c *ledger.OrganisationChange) { c.State = ptr(ledger.OrgState(3)) }, reason.BadBody},
		{"keys without a number", "acme-cells", with(0, fresh), reason.BadBody},
		{"a number without keys", "acme-cells", with(1), reason.BadBody},
		{"nobody", "acme-cells", func(c *ledger.OrganisationChange) { c.Organisation, c.State = ledger.OrgID{1}, ptr(ledger.OrgEnded) }, reason.UnknownOrganisation},
		{"what it is already", "acme-cells", func(c *ledger.OrganisationChange) { c.Roles = ptr(ledger.RoleVendor) }, reason.NothingChanges},
		{"no roles", "acme-cells", func(c *ledger.OrganisationChange) { c.Roles = ptr(uint64(0)) }, reason.RegistrationForm},
		{"roles that are not", "acme-cells", func(c *ledger.OrganisationChange) { c.Roles = ptr(uint64(32)) }, reason.RegistrationForm},
		{"a profile that is not", "acme-cells", func(c *ledger.OrganisationChange) { c.Profiles = ptr([]uint64{77}) }, reason.UnknownProfile},
		{"a member loses its role", "ca-a", func(c *ledger.OrganisationChange) { c.Roles = ptr(ledger.RoleVendor) }, reason.MemberRole},
		{"a member ends", "ca-a", func(c *ledger.OrganisationChange) { c.State = ptr(ledger.OrgEnded) }, reason.MemberRole},
		{"two of one", "acme-cells", with(2, fresh), reason.RegistrationForm},
		{"one key twice", "acme-cells", with(1, fresh, fresh), reason.KeyTaken},
		{"another organisation's key", "acme-cells", with(1, x.admin(acme, "other-cells/admin-1")), reason.KeyTaken},
		{"a line key", "acme-cells", with(1, x.admin(acme, "acme-cells/line")), reason.KeyTaken},
		{"a device's key", "acme-cells", with(1, x.admin(acme, "device/ACME-1")), reason.KeyTaken},
		{"no key", "acme-cells", with(1, ledger.Admin{SPKI: []byte{1}, Possession: []byte{}}), reason.RegistrationForm},
		{"a key that nobody showed", "acme-cells", with(1, x.stays("acme-cells/admin-9")), reason.AdminKeyPossession},
		{"a key that somebody else showed", "acme-cells", with(1, unsigned), reason.AdminKeyPossession},
		{"a key shown to another organisation", "acme-cells", with(1, x.admin(organisation(t, x, "op-one"), "acme-cells/admin-9")), reason.AdminKeyPossession},
		{"a key that stays, signed", "acme-cells", with(1, x.admin(acme, adminOne)), reason.RegistrationForm},
	} {
		t.Run(c.name, func(t *testing.T) {
			expect(t, x.one(ledger.EncodeBody(ledger.OpPropose, x.proposal(1, orgChange(x, c.org, c.change))), govA), c.want)
		})
	}
}

// TestOrganisationStates: suspended it publishes and registers nothing, and revokes; ended it is for ever.
func TestOrganisationStates(t *testing.T) {
	x := start(t, 4, plenty, nil)
	leaf := x.publish(x.c.Device("ACME-1", dns, 0))
	x.publish(x.c.Device("ACME-2", dns, 0))
	state := func(nonce byte, s ledger.OrgState) {
		t.Helper()
		body := orgChange(x, "acme-cells", func(c *ledger.OrganisationChange) { c.State = &s })
		x.wantState(x.decide(x.proposal(nonce, body)), ledger.ProposalInForce)
		x.reload()
	}
	state(1, ledger.OrgSuspended)
	acme := organisation(t, x, "acme-cells")
	line := ledger.EncodeBody(ledger.OpLineKey, lineOf(x, acme, "acme-cells/line-9", x.namespaces("acme-cells")...))
	keys := orgChange(x, "acme-cells", func(c *ledger.OrganisationChange) { c.Admins, c.AdminM = []ledger.Admin{x.stays(adminOne)}, 1 })
	expect(t, x.device("ACME-3", "acme-cells/line"), reason.OrganisationState)
	expect(t, x.one(line, adminOne, adminTwo), reason.OrganisationState)
	expect(t, x.one(keys, adminOne, adminTwo), reason.OrganisationState)
	expect(t, x.one(x.change("ACME-1", on(leaf, ledger.Revoke, ledger.Cessation)), adminOne, adminTwo), reason.Accepted)
	expect(t, x.one(x.change("ACME-2", on(x.standing("ACME-2").Leaf, ledger.Suspend, 6)), "acme-cells/line"), reason.Accepted)
	state(2, ledger.OrgActive)
	expect(t, x.device("ACME-3", "acme-cells/line"), reason.Accepted)
	state(3, ledger.OrgEnded)
	expect(t, x.device("ACME-4", "acme-cells/line"), reason.OrganisationState)
	expect(t, x.one(keys, adminOne, adminTwo), reason.OrganisationEnded)
	again := x.proposal(4, orgChange(x, "acme-cells", func(c *ledger.OrganisationChange) { c.State = ptr(ledger.OrgActive) }))
	expect(t, x.one(ledger.EncodeBody(ledger.OpPropose, again), govA), reason.OrganisationEnded)
	names := x.proposal(5, newDNS(acme, "more.example"))
	expect(t, x.one(ledger.EncodeBody(ledger.OpPropose, names), govA), reason.RegistrationForm)
	expect(t, x.one(x.change("ACME-3", on(x.standing("ACME-3").Leaf, ledger.Revoke, 0)), adminOne, adminTwo), reason.Accepted)
}

// TestAdminKeys: an organisation's admins change its admin keys; who is not among them any more signs nothing, for ever.
func TestAdminKeys(t *testing.T) {
	x := start(t, 4, plenty, nil)
	leaf := x.publish(x.c.Device("ACME-1", dns, 0))
	acme := organisation(t, x, "acme-cells")
	keys := func(m uint64, admins ...ledger.Admin) []byte {
		return orgChange(x, "acme-cells", func(c *ledger.OrganisationChange) { c.Admins, c.AdminM = admins, m })
	}
	next := keys(1, x.stays(adminTwo), x.admin(acme, "acme-cells/admin-9"))
	expect(t, x.one(next, adminOne), reason.NotAuthorised)
	expect(t, x.one(next, "other-cells/admin-1"), reason.NotAuthorised)
	expect(t, x.one(next, govA, govB, govC), reason.NotAuthorised) // members: by proposal
	more := orgChange(x, "acme-cells", func(c *ledger.OrganisationChange) { c.QuotaDay = ptr(uint64(1 << 40)) })
	expect(t, x.one(more, adminOne, adminTwo), reason.ByVoteOnly)
	nobody := ledger.OrganisationChange{Organisation: ledger.OrgID{1}, Admins: []ledger.Admin{x.stays(adminTwo)}, AdminM: 1}
	expect(t, x.one(ledger.EncodeBody(ledger.OpOrganisationChange, nobody), adminOne, adminTwo), reason.UnknownOrganisation)
	expect(t, x.one(keys(1, x.stays("acme-cells/admin-9")), adminOne, adminTwo), reason.AdminKeyPossession)
	expect(t, x.one(next, adminOne, adminTwo), reason.Accepted)
	x.reload()
	// One of two is enough now, and the one that left is nobody.
	e := x.block(x.tx([][]byte{next}, adminOne))
	if len(e.Results) != 0 || e.Refused[0].Why.Code != reason.NotAuthenticated {
		t.Errorf("who left: %+v", e.Refused)
	}
	expect(t, x.one(keys(1, x.stays(adminTwo), x.stays("acme-cells/admin-9")), "acme-cells/admin-9"), reason.NothingChanges)
	expect(t, x.one(keys(1, x.stays("acme-cells/admin-9"), x.admin(acme, adminOne)), adminTwo), reason.KeyTaken)
	expect(t, x.one(x.change("ACME-1", on(leaf, ledger.Suspend, 6)), "acme-cells/admin-9"), reason.Accepted)
	// All lost: the members put others in their place, and nobody of before has a say.
	recovery := x.proposal(1, keys(1, x.admin(acme, "acme-cells/admin-10")))
	x.wantState(x.decide(recovery), ledger.ProposalInForce)
	x.reload()
	for _, gone := range []string{adminTwo, "acme-cells/admin-9"} {
		if e := x.block(x.tx([][]byte{next}, gone)); len(e.Results) != 0 {
			t.Errorf("%s still signs", gone)
		}
	}
	expect(t, x.one(x.change("ACME-1", on(leaf, ledger.Resume, 8)), "acme-cells/admin-10"), reason.Accepted)
}

// TestWidensByThen: a change that narrowed trust when it was proposed and widens it when it is decided does not take effect without waiting.
func TestWidensByThen(t *testing.T) {
	x := start(t, 4, ledgertest.Quotas{Day: 100, Total: 100}, nil)
	x.wantState(x.decide(x.proposal(9, rulesBody(3, day))), ledger.ProposalInForce)
	quota := func(nonce byte, n uint64) *ledger.Propose {
		return x.proposal(nonce, orgChange(x, "acme-cells", func(c *ledger.OrganisationChange) { c.QuotaTotal = &n }))
	}
	leaf, digest := x.propose(quota(1, 50), govA)
	x.wantState(x.decide(quota(2, 10)), ledger.ProposalInForce)
	for _, who := range []string{govA, govB, govC} {
		expect(t, x.one(vote(leaf, digest, ledger.Approve), who), reason.Accepted)
	}
	if p := x.wantState(leaf, ledger.ProposalFailed); p.Code != reason.HoldTooShort {
		t.Errorf("failed for %s", p.Code)
	}
	if o, _ := x.granted(organisation(t, x, "acme-cells")); o.QuotaTotal != 10 {
		t.Errorf("the quota is %d", o.QuotaTotal)
	}
}
