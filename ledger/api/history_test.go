package api_test

import (
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/api"
	"github.com/quorate-pki/quorate/ledger/ledgertest"
)

// lived is a node on whose log ACME-1 has a life, under the newest rules.
type lived struct {
	*served
	t      *testing.T
	orgs   map[string]ledger.OrgID
	device ledger.Hash
	nonce  uint64
	last   uint64 // leaf of the last life event
}

const owners, operator = "acme-cells/admin-1 acme-cells/admin-2", "op-one/admin-1"

func live(t *testing.T) *lived {
	t.Helper()
	c := ledgertest.Unfounded(7)
	f, gov := c.Founding(1, ledgertest.Quotas{Day: 1000, Total: 1000})
	f.Rules = ledger.NewestRules
	if err := c.Use(f, gov); err != nil {
		t.Fatal(err)
	}
	l := &lived{served: serveOf(t, c, 0), t: t, orgs: map[string]ledger.OrgID{}}
	for rec, err := range l.node.Records(t.Context(), ledger.RecordOrg, nil, nil) {
		var o ledger.OrgRecord
		if err != nil || ledger.Decode(rec.Value, &o) != nil {
			t.Fatal(err)
		}
		l.orgs[o.Name] = ledger.OrgID(rec.Key)
	}
	l.device = ledger.Device(l.orgs["acme-cells"], ledger.DeviceSerial, "ACME-1")
	l.last = l.send(ledgertest.Publish(c.Device("ACME-1", "acme-cells.example", 0)), "acme-cells/line")
	return l
}

func (l *lived) send(body []byte, signers string) uint64 {
	l.t.Helper()
	l.nonce++
	res, err := l.node.Submit(l.t.Context(), l.c.Tx(ledgertest.Start, ledgertest.TxOptions{Nonce: 1<<32 + l.nonce}, [][]byte{body}, strings.Fields(signers)...))
	if err != nil {
		l.t.Fatal(err)
	}
	if v := res.Verdicts[0]; v.Code != reason.Accepted {
		l.t.Fatal(v.Code)
	}
	return res.Verdicts[0].Leaf
}

func (l *lived) step(s ledger.LifeStep, signers string) {
	l.t.Helper()
	l.last = l.send(ledger.EncodeBody(s.Op(), s), signers)
}

func (l *lived) transfer(key, to, signers string) {
	l.step(&ledger.Transfer{Target: ledger.Sum(l.c.SPKI("device/" + key)), Previous: l.last, To: l.orgs[to]}, signers)
}

func (l *lived) claim(key string) {
	spki := l.c.SPKI("device/" + key)
	c := &ledger.Claim{Target: ledger.Sum(spki), Previous: l.last, SPKI: spki}
	c.Alg, c.Proof = l.c.Prove(c, key, l.orgs["op-one"])
	l.step(c, operator)
}

// rekey signs by the old key, or alone by the owner.
func (l *lived) rekey(from, to string, alone bool) {
	spki := l.c.SPKI("device/" + from)
	r := &ledger.Rekey{Profile: 1, Certificate: l.c.DeviceKey("ACME-1", "acme-cells.example", "device/"+to, 0), Target: ledger.Sum(spki), Previous: l.last, SPKI: spki}
	signers := "acme-cells/line device/" + from
	if alone {
		r.SPKI, r.Evidence, signers = nil, &ledger.Hash{1}, owners
	}
	r.Alg, r.Proof = l.c.Prove(r, to, l.orgs["acme-cells"])
	l.step(r, signers)
}

func (l *lived) custody(a ledger.Action, why uint64, key string) {
	l.send(ledgertest.Change(ledger.StatusChange{Action: a, Scope: ledger.ScopeCustody, Reason: why, Target: ledger.Sum(l.c.SPKI("device/" + key))}), operator)
}

// all of it: transfer, claim, suspended and resumed, rekeyed by the old key, then by the owner, claimed again, returned.
func (l *lived) all() {
	l.transfer("ACME-1", "op-one", owners+" "+operator)
	l.claim("ACME-1")
	l.custody(ledger.Suspend, ledger.CertificateHold, "ACME-1")
	l.custody(ledger.Resume, ledger.RemoveFromCRL, "ACME-1")
	l.rekey("ACME-1", "ACME-1b", false)
	l.rekey("ACME-1b", "ACME-1c", true)
	l.claim("ACME-1c")
	l.step(&ledger.Return{Target: ledger.Sum(l.c.SPKI("device/ACME-1c")), Previous: l.last}, operator)
}

func TestHistory(t *testing.T) {
	l := live(t)
	c := l.client(t)
	h, err := c.History(t.Context(), l.device, 0)
	if err != nil {
		t.Fatal(err)
	}
	if len(h.Life) != 0 || h.Next != l.last || h.Holder != h.Owner || h.Names[h.Owner] != "acme-cells" || len(h.Keys) != 1 {
		t.Errorf("a device that nothing happened to: %+v", h)
	}
	l.all()
	h, err = c.History(t.Context(), l.device, l.last)
	if err != nil {
		t.Fatal(err)
	}
	var steps, statuses []string
	for _, e := range h.Life {
		steps = append(steps, e.Life.Step+" "+h.Names[e.Life.Holder])
	}
	for _, s := range h.Certificates {
		statuses = append(statuses, s.Status.String())
	}
	for _, s := range h.Claims {
		statuses = append(statuses, "use "+s.Status.String())
	}
	want := "transfer op-one claim op-one rekey op-one rekey op-one claim op-one return acme-cells: revoked revoked good use revoked use revoked"
	if got := strings.Join(steps, " ") + ": " + strings.Join(statuses, " "); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	if h.Next != l.last || h.Holder != h.Owner || h.Retired || len(h.Keys) != 3 || h.MoreLife || h.MoreCertificates || h.MoreClaims {
		t.Errorf("%+v", h)
	}
	// The first claim: suspended, resumed, ended by the second rekey; the second by the return.
	if n := len(h.History.Claims[0].Changes); n != 3 || h.Claims[0].Change.Reason != ledger.Superseded || h.Claims[1].Change.Reason != ledger.Cessation {
		t.Errorf("%d changes of the first claim, ended for %d", n, h.Claims[0].Change.Reason)
	}
	// Explain tells the same life, of any of its certificates.
	e, err := c.Explain(t.Context(), l.c.Device("ACME-1", "acme-cells.example", 0))
	if err != nil || len(e.Life) != 6 || e.Expect.OCSP != "revoked, superseded" || len(e.Changes) != 1 {
		t.Errorf("explained: %+v %v", e, err)
	}
	if e, err = c.Explain(t.Context(), l.c.DeviceKey("ACME-1", "acme-cells.example", "device/ACME-1c", 0)); err != nil || len(e.Life) != 6 || e.Expect.OCSP != "good" ||
		e.Published.Effects.Evidence != ledger.EvidenceOwner {
		t.Errorf("explained: %+v %v", e, err)
	}
	if _, err := c.History(t.Context(), l.device, 1<<40); err == nil {
		t.Error("a history older than what is known")
	}
	if _, err := c.History(t.Context(), ledger.Hash{1}, 0); !errors.Is(err, ledger.ErrNotFound) {
		t.Errorf("an unknown device: %v", err)
	}
	if old, err := c.HistoryOf(t.Context(), ledger.Sum(l.c.SPKI("device/ACME-1b")), 0); err != nil || old.Device != h.Device {
		t.Errorf("by an old key: %v", err)
	}
	if _, err := c.HistoryOf(t.Context(), ledger.Sum(l.c.SPKI("device/ACME-2")), 0); !errors.Is(err, ledger.ErrNotFound) {
		t.Errorf("by a key that is nobody's: %v", err)
	}
	o, err := c.Organisation(t.Context(), "op-one")
	if err != nil || o.ID != l.orgs["op-one"].String() {
		t.Errorf("%+v %v", o, err)
	}
	if again, err := c.OrganisationOf(t.Context(), l.orgs["op-one"]); err != nil || again.Name != "op-one" || len(again.Admins) != 1 {
		t.Errorf("%+v %v", again, err)
	}
	if _, err := c.OrganisationOf(t.Context(), ledger.OrgID{1}); !errors.Is(err, ledger.ErrNotFound) {
		t.Errorf("an unknown organisation: %v", err)
	}
}

// TestHistoryBelievesNothing alters histories; whatever is told without proof, or left out, is refused.
func TestHistoryBelievesNothing(t *testing.T) {
	l := live(t)
	l.all()
	cut := func(events []api.Proved, i int) []api.Proved { return slices.Delete(slices.Clone(events), i, i+1) }
	for _, c := range []struct {
		name  string
		alter func(*api.History)
		ok    bool
	}{
		{"nothing", func(*api.History) {}, true},
		{"another device", func(h *api.History) { h.Device = strings.Repeat("0", 64) }, false},
		{"the first event left out", func(h *api.History) { h.Life = h.Life[1:] }, false},
		{"an event left out", func(h *api.History) { h.Life = cut(h.Life, 1) }, false},
		{"a rekey left out", func(h *api.History) { h.Life = cut(h.Life, 2) }, false},
		{"all events left out", func(h *api.History) { h.Life, h.Claims = nil, nil }, false},
		{"the first event left out, and more said to be there", func(h *api.History) { h.Life, h.MoreLife = h.Life[1:], true }, true},
		{"the last events left out", func(h *api.History) { h.Life = h.Life[:3]; h.Claims = h.Claims[:1] }, false},
		{"events out of order", func(h *api.History) { slices.Reverse(h.Life) }, false},
		{"an event twice", func(h *api.History) { h.Life = append(h.Life, h.Life[5]) }, false},
		{"another holder", func(h *api.History) { h.Life[5].Life.Holder = h.Life[0].Life.Holder }, false},
		{"another step before", func(h *api.History) { h.Life[1].Life.Previous++ }, false},
		{"a status change among the events", func(h *api.History) { h.Life[1] = h.Claims[0].Changes[0] }, false},
		{"the receipt of another leaf", func(h *api.History) { h.Life[1].Receipt = h.Life[0].Receipt }, false},
		{"another certificate's publication", func(h *api.History) { h.Certificates[0].Publication = h.Certificates[1].Publication }, false},
		{"a certificate left out", func(h *api.History) { h.Certificates = h.Certificates[1:] }, false},
		{"no certificate", func(h *api.History) { h.Certificates = nil }, false},
		{"another status", func(h *api.History) { h.Certificates[0].Status = "good" }, false},
		{"a revocation left out", func(h *api.History) { h.Certificates[0].Changes = nil }, false},
		{"another's status proof", func(h *api.History) { h.Certificates[0].StatusProof = h.Certificates[2].StatusProof }, false},
		{"a claim left out", func(h *api.History) { h.Claims = h.Claims[1:] }, false},
		{"a claim left out, and more said to be there", func(h *api.History) { h.Claims, h.MoreClaims = h.Claims[1:], true }, true},
		{"claims out of order", func(h *api.History) { slices.Reverse(h.Claims) }, false},
		{"a use that stands", func(h *api.History) { h.Claims[1].Status = "good" }, false},
		{"the end of a use left out", func(h *api.History) { h.Claims[1].Changes = nil }, false},
		{"nobody's name", func(h *api.History) { h.Organisations = nil }, false},
		{"the owner's name alone", func(h *api.History) { h.Organisations = h.Organisations[:1] }, false},
		{"another name", func(h *api.History) { h.Organisations[0].Organisation.Name = "others" }, false},
		{"a name by another leaf", func(h *api.History) { h.Organisations[0] = h.Life[0] }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, err := liar(t, l.served, c.alter).History(t.Context(), l.device, 0)
			if (err == nil) != c.ok {
				t.Fatalf("%v", err)
			}
			if c.ok && h.Names[h.Holder] != "acme-cells" {
				t.Error("another holder")
			}
		})
	}
}

// TestHistoryOfAVotedHolder: an organisation that the members let in by vote holds a device; who it is, the proposal and the deciding vote prove.
func TestHistoryOfAVotedHolder(t *testing.T) {
	l := live(t)
	body := ledger.EncodeBody(ledger.OpPropose, ledger.Propose{Title: "Let op-new in", Expires: ledger.MillisOf(ledgertest.Start.Add(time.Hour)), Nonce: [16]byte{9},
		Bodies: [][]byte{ledger.EncodeBody(ledger.OpOrganisation, ledger.Organisation{Name: "op-new", LegalName: "New", Roles: ledger.RoleOperator,
			AdminKeys: [][]byte{l.c.SPKI("op-new/admin-1")}, AdminM: 1, Profiles: []uint64{}})}})
	at := l.send(body, "ca-a/governance")
	l.send(ledger.EncodeBody(ledger.OpVote, ledger.Vote{Proposal: at, Choice: ledger.Approve, Digest: ledger.Sum(body)}), "ca-a/governance")
	o, err := l.client(t).Organisation(t.Context(), "op-new")
	if err != nil {
		t.Fatal(err)
	}
	raw, err := hex.DecodeString(o.ID)
	if err != nil {
		t.Fatal(err)
	}
	l.orgs["op-new"] = ledger.OrgID(raw)
	l.transfer("ACME-1", "op-new", owners+" op-new/admin-1")
	for _, c := range []struct {
		name  string
		alter func(*api.History)
		ok    bool
	}{
		{"nothing", func(*api.History) {}, true},
		{"the vote left out", func(h *api.History) { h.Organisations = h.Organisations[:2] }, false},
		{"the proposal left out", func(h *api.History) { h.Organisations = slices.Delete(h.Organisations, 1, 2) }, false},
		{"a vote before its proposal", func(h *api.History) { h.Organisations[1], h.Organisations[2] = h.Organisations[2], h.Organisations[1] }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, err := liar(t, l.served, c.alter).History(t.Context(), l.device, 0)
			if (err == nil) != c.ok {
				t.Fatalf("%v", err)
			}
			if c.ok && (h.Names[h.Holder] != "op-new" || len(h.Organisations) != 3) {
				t.Errorf("held by %q, %d registrations", h.Names[h.Holder], len(h.Organisations))
			}
		})
	}
}

// TestHistoryIsBounded: a long life is told from its end.
func TestHistoryIsBounded(t *testing.T) {
	l := live(t)
	for range 60 {
		l.transfer("ACME-1", "op-one", owners+" "+operator)
		l.step(&ledger.Return{Target: ledger.Sum(l.c.SPKI("device/ACME-1")), Previous: l.last}, operator)
	}
	for n := range 17 {
		l.send(ledgertest.Publish(l.c.Device("ACME-1", "acme-cells.example", n+1)), "acme-cells/line")
	}
	h, err := l.client(t).History(t.Context(), l.device, 0)
	if err != nil {
		t.Fatal(err)
	}
	if len(h.Life) != 100 || !h.MoreLife || len(h.Certificates) != 16 || !h.MoreCertificates || h.Next != l.last {
		t.Errorf("%d events (%v), %d certificates (%v), next %d of %d", len(h.Life), h.MoreLife, len(h.Certificates), h.MoreCertificates, h.Next, l.last)
	}
}

// TestClaimStatus: a claim has a status that a relying party proves as a certificate's, by itself or with many.
func TestClaimStatus(t *testing.T) {
	l := live(t)
	published := l.last
	l.transfer("ACME-1", "op-one", owners+" "+operator)
	l.claim("ACME-1")
	c, claim := l.client(t), l.last
	expect := func(what string, status ledger.Status, why uint64) {
		t.Helper()
		s, err := c.StandingAfter(t.Context(), claim, 0)
		if err != nil || s.Status != status || status != ledger.Good && s.Change.Reason != why {
			t.Errorf("%s: %+v %v", what, s, err)
		}
		many, err := c.Standings(t.Context(), []uint64{claim, published}, 0)
		if err != nil || many[claim].Status != status || many[published].Status != ledger.Good {
			t.Errorf("%s, with another: %v %v", what, many, err)
		}
	}
	expect("claimed", ledger.Good, 0)
	l.custody(ledger.Suspend, ledger.CertificateHold, "ACME-1")
	expect("suspended", ledger.Suspended, ledger.CertificateHold)
	l.custody(ledger.Resume, ledger.RemoveFromCRL, "ACME-1")
	expect("resumed", ledger.Good, 0)
	l.transfer("ACME-1", "other-cells", operator+" other-cells/admin-1")
	expect("handed on", ledger.Revoked, ledger.Cessation)
	// What no claim is has no status: a transfer.
	if _, err := c.Standing(t.Context(), l.last); err == nil {
		t.Error("a transfer has a status")
	}
}
