package state_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quorate-pki/quorate/ca"
	"github.com/quorate-pki/quorate/ca/profile"
	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/ledgertest"
	"github.com/quorate-pki/quorate/ledger/state"
)

const (
	acme     = "acme-cells/admin-1 acme-cells/admin-2"
	one      = "op-one/admin-1"
	two      = "op-two/admin-1"
	reseller = "other-cells/admin-1"
	quorum   = "ca-a/governance ca-b/governance ca-c/governance"
)

// operators adds a second operator to a founding.
func operators(f *ledger.Founding) {
	c := ledgertest.Unfounded(7)
	f.Organisations = append(f.Organisations, ledger.Organisation{Name: "op-two", LegalName: "op-two", Roles: ledger.RoleOperator,
		AdminKeys: [][]byte{c.SPKI(two)}, AdminM: 1, Profiles: []uint64{}})
}

// org is the id of an organisation.
func (x *chain) org(name string) ledger.OrgID {
	x.t.Helper()
	for rec := range x.store.Records(ledger.RecordOrg, nil) {
		var o ledger.OrgRecord
		if err := ledger.Decode(rec.Value, &o); err != nil {
			x.t.Fatal(err)
		}
		if o.Name == name {
			return ledger.OrgID(rec.Key)
		}
	}
	x.t.Fatalf("no organisation %s", name)
	return ledger.OrgID{}
}

func (x *chain) keyRecord(key string) *ledger.KeyRecord {
	x.t.Helper()
	k, err := x.head.KeyRecord(ledger.Sum(x.c.SPKI("device/" + key)))
	if err != nil {
		x.t.Fatal(err)
	}
	return k
}

// last is the leaf of the last life event of the device that has a key.
func (x *chain) last(key string) uint64 {
	if k := x.keyRecord(key); k != nil {
		return k.LastEvent()
	}
	return 0
}

// claim is a claim of a device by an organisation, proved by the device's key.
func (x *chain) claim(key, org string) *ledger.Claim {
	spki := x.c.SPKI("device/" + key)
	c := &ledger.Claim{Target: ledger.Sum(spki), Previous: x.last(key), SPKI: spki}
	c.Alg, c.Proof = x.c.Prove(c, key, x.org(org))
	return c
}

// rekey is a rekey of ACME-1 from one key to another, signed by the old key.
func (x *chain) rekey(from, to string) *ledger.Rekey {
	spki := x.c.SPKI("device/" + from)
	r := &ledger.Rekey{Profile: 1, Certificate: x.c.DeviceKey("ACME-1", dns, "device/"+to, 0), Target: ledger.Sum(spki), Previous: x.last(from), SPKI: spki}
	r.Alg, r.Proof = x.c.Prove(r, to, x.org("acme-cells"))
	return r
}

// alone is a rekey that the owner alone signs, with evidence.
func alone(r *ledger.Rekey) *ledger.Rekey {
	evidence := ledger.Sum([]byte("service report 17"))
	r.SPKI, r.Evidence = nil, &evidence
	return r
}

// body is a step on the device that has a key, after what happened last, unless the step says otherwise.
func (x *chain) body(step ledger.LifeStep, key string) []byte {
	target, previous := ledger.Sum(x.c.SPKI("device/"+key)), x.last(key)
	switch a := step.(type) {
	case *ledger.Transfer:
		a.Target, a.Previous = target, orElse(a.Previous, previous)
	case *ledger.Retire:
		a.Target, a.Previous = target, orElse(a.Previous, previous)
	case *ledger.Return:
		a.Target, a.Previous = target, orElse(a.Previous, previous)
	}
	return ledger.EncodeBody(step.Op(), step)
}

func orElse(a, b uint64) uint64 {
	if a != 0 {
		return a
	}
	return b
}

// step submits a life step; signers are words.
func (x *chain) step(step ledger.LifeStep, key string, signers ...string) ledger.Verdict {
	x.t.Helper()
	return x.one(x.body(step, key), strings.Fields(strings.Join(signers, " "))...)
}

// must demands that a life step is accepted.
func (x *chain) must(step ledger.LifeStep, key string, signers ...string) uint64 {
	x.t.Helper()
	v := x.step(step, key, signers...)
	if v.Code != reason.Accepted {
		x.t.Fatalf("%s of %s: %s", step.Op(), key, v.Code)
	}
	return v.Leaf
}

// status is a leaf's.
func (x *chain) status(leaf uint64) ledger.Status {
	x.t.Helper()
	raw, err := x.store.Get(state.Key(ledger.RecordChunk, state.Uint64Key(leaf/ledger.ChunkLeaves)))
	if err != nil || len(raw) != ledger.ChunkSize {
		x.t.Fatalf("leaf %d: no chunk (%v)", leaf, err)
	}
	c := ledger.Chunk(raw)
	return c.Get(leaf)
}

// where tells a device's life in a line.
func (x *chain) where(key string) string {
	k := x.keyRecord(key)
	if k == nil {
		return "unknown"
	}
	name := "owner"
	for _, n := range []string{"op-one", "op-two", "other-cells"} {
		if k.Custodian == x.org(n) {
			name = n
		}
	}
	if k.Use != nil {
		name += ", in use " + k.Use.Status.String()
	}
	if k.Retired {
		name += ", retired"
	}
	if k.Successor != nil {
		name += ", superseded"
	}
	var all []string
	for _, c := range k.Certificates {
		all = append(all, c.Status.String())
		if x.status(c.Leaf) != c.Status {
			x.t.Errorf("leaf %d is %s, its record says %s", c.Leaf, x.status(c.Leaf), c.Status)
		}
	}
	if k.Use != nil && x.status(k.Use.Leaf) != k.Use.Status {
		x.t.Errorf("the claim in leaf %d is %s, the record says %s", k.Use.Leaf, x.status(k.Use.Leaf), k.Use.Status)
	}
	return name + ": " + strings.Join(all, " ")
}

func (x *chain) expectAt(key, want string) {
	x.t.Helper()
	if got := x.where(key); got != want {
		x.t.Errorf("%s: %s, want %s", key, got, want)
	}
}

// lived is a chain with ACME-1, published once.
func lived(t *testing.T) *chain {
	x := start(t, 4, plenty, operators)
	x.publish(x.c.Device("ACME-1", dns, 0))
	return x
}

// TestLife is one device from the factory to the scrapyard, through a reseller and two operators, loaded anew after every step.
func TestLife(t *testing.T) {
	x := lived(t)
	step := func(s ledger.LifeStep, key, want string, signers ...string) uint64 {
		t.Helper()
		leaf := x.must(s, key, signers...)
		x.reload()
		x.expectAt(key, want)
		return leaf
	}
	x.expectAt("ACME-1", "owner: good")
	step(&ledger.Transfer{To: x.org("other-cells")}, "ACME-1", "other-cells: good", acme, reseller)
	step(&ledger.Transfer{To: x.org("op-one")}, "ACME-1", "op-one: good", reseller, one)
	claim := step(x.claim("ACME-1", "op-one"), "ACME-1", "op-one, in use good: good", one)
	if got := x.status(claim); got != ledger.Good {
		t.Errorf("the claim is %s", got)
	}
	// The next certificate of the device is the custodian's too, and changes nothing of its life.
	x.publish(x.c.Device("ACME-1", dns, 1))
	x.expectAt("ACME-1", "op-one, in use good: good good")
	step(x.rekey("ACME-1", "ACME-1b"), "ACME-1", "owner, superseded: revoked revoked", "acme-cells/line device/ACME-1")
	x.expectAt("ACME-1b", "op-one, in use good: good")
	step(&ledger.Transfer{To: x.org("op-two")}, "ACME-1b", "op-two: good", one, two)
	if got := x.status(claim); got != ledger.Revoked {
		t.Errorf("the former operator's claim is %s", got)
	}
	second := step(x.claim("ACME-1b", "op-two"), "ACME-1b", "op-two, in use good: good", two)
	step(&ledger.Return{}, "ACME-1b", "owner: good", two)
	if got := x.status(second); got != ledger.Revoked {
		t.Errorf("the returned claim is %s", got)
	}
	step(&ledger.Retire{}, "ACME-1b", "owner, retired: revoked", acme)

	// The whole of it is found by the device, the newest first.
	var ops []string
	for rec := range x.store.Records(ledger.RecordLife, x.keyRecord("ACME-1b").Device[:]) {
		var l ledger.LifeRecord
		if err := ledger.Decode(rec.Value, &l); err != nil {
			t.Fatal(err)
		}
		ops = append(ops, l.Op.String())
	}
	if got := strings.Join(ops, " "); got != "retire return claim transfer rekey claim transfer transfer" {
		t.Errorf("life: %s", got)
	}
	for i, r := range x.keyRecord("ACME-1").Certificates {
		if r.Reason != ledger.Superseded || r.Authority != ledger.BySelf {
			t.Errorf("certificate %d: reason %d by %s", i, r.Reason, r.Authority)
		}
	}
}

// TestLifeRefusals: what is refused, in which situation. Each begins from a device of its own.
func TestLifeRefusals(t *testing.T) {
	type x = *chain
	to := func(org string) func(x) ledger.LifeStep {
		return func(c x) ledger.LifeStep { return &ledger.Transfer{To: c.org(org)} }
	}
	claim := func(org string) func(x) ledger.LifeStep {
		return func(c x) ledger.LifeStep { return c.claim("ACME-1", org) }
	}
	back := func(x) ledger.LifeStep { return &ledger.Return{} }
	retire := func(x) ledger.LifeStep { return &ledger.Retire{} }
	rekey := func(c x) ledger.LifeStep { return c.rekey("ACME-1", "ACME-1b") }
	byOwner := func(c x) ledger.LifeStep { return alone(c.rekey("ACME-1", "ACME-1b")) }
	// Situations, on top of one another.
	atOne := func(c x) { c.must(to("op-one")(c), "ACME-1", acme, one) }
	inUse := func(c x) { atOne(c); c.must(claim("op-one")(c), "ACME-1", one) }
	retired := func(c x) { c.must(&ledger.Retire{}, "ACME-1", acme) }
	change := func(signers string, s ledger.StatusChange) func(x) {
		return func(c x) {
			if s.Scope == ledger.ScopeCertificate {
				leaf := c.keyRecord("ACME-1").Certificates[0].Leaf
				s.Leaf = &leaf
			}
			s.SPKI = c.c.SPKI("device/ACME-1")
			expect(c.t, c.one(c.change("ACME-1", s), strings.Fields(signers)...), reason.Accepted)
		}
	}
	suspend := func(signers string) func(x) {
		return change(signers, ledger.StatusChange{Action: ledger.Suspend, Scope: ledger.ScopeCertificate, Reason: 6})
	}
	revoke := func(signers string, scope ledger.Scope, why uint64) func(x) {
		return change(signers, ledger.StatusChange{Action: ledger.Revoke, Scope: scope, Reason: why})
	}
	const cert, key, custody = ledger.ScopeCertificate, ledger.ScopeKey, ledger.ScopeCustody
	both := func(a, b func(x)) func(x) { return func(c x) { a(c); b(c) } }
	nothing := func(x) {}
	const self = "acme-cells/line device/ACME-1"
	for _, tc := range []struct {
		name    string
		before  func(x)
		step    func(x) ledger.LifeStep
		signers string
		want    reason.Code
	}{
		// Who signs a transfer.
		{"the giver alone", nothing, to("op-one"), acme, reason.TakerNotSigned},
		{"the taker alone", nothing, to("op-one"), one, reason.NotTheHolder},
		{"one admin of two", nothing, to("op-one"), "acme-cells/admin-1 " + one, reason.NotTheHolder},
		{"the line key gives nothing away", nothing, to("op-one"), "acme-cells/line " + one, reason.NotTheHolder},
		{"a quorum hands nothing on", nothing, to("op-one"), quorum + " " + one, reason.NotTheHolder},
		{"a third party", nothing, to("op-one"), reseller + " " + one, reason.NotTheHolder},
		{"another taker than named", nothing, to("op-one"), acme + " " + two, reason.TakerNotSigned},
		{"the owner, when another holds it", atOne, to("op-two"), acme + " " + two, reason.NotTheHolder},
		{"the former holder", both(atOne, func(c x) { c.must(to("op-two")(c), "ACME-1", one, two) }), to("other-cells"), one + " " + reseller, reason.NotTheHolder},
		{"to nobody", nothing, func(x) ledger.LifeStep { return &ledger.Transfer{To: ledger.OrgID{1}} }, acme, reason.UnknownOrganisation},
		{"to itself", nothing, to("acme-cells"), acme, reason.AlreadyHolder},
		{"to the custodian itself", atOne, to("op-one"), one, reason.AlreadyHolder},
		{"to the owner", atOne, to("acme-cells"), acme + " " + one, reason.TransferToOwner},
		// What is handed on stands.
		{"suspended by the giver", suspend(acme), to("op-one"), acme + " " + one, reason.KeySuspended},
		{"suspended by the device", suspend("device/ACME-1"), to("op-one"), acme + " " + one, reason.KeySuspended},
		{"suspended by the custodian", both(atOne, suspend(one)), to("op-two"), one + " " + two, reason.KeySuspended},
		{"revoked", revoke(acme, cert, 4), to("op-one"), acme + " " + one, reason.NoCertificateStands},
		{"barred", revoke(acme, key, 1), to("op-one"), acme + " " + one, reason.NoCertificateStands},
		// Claims.
		{"a device of another", atOne, claim("op-two"), two, reason.NotTheHolder},
		{"a device that nobody handed on", nothing, claim("op-one"), one, reason.NotTheHolder},
		{"with the owner's word", nothing, claim("op-one"), acme + " " + one, reason.NotAnOperator},
		{"by the vendor itself", nothing, claim("acme-cells"), acme, reason.NotAnOperator},
		{"by a reseller", func(c x) { c.must(to("other-cells")(c), "ACME-1", acme, reseller) }, claim("other-cells"), reseller, reason.NotAnOperator},
		{"twice", inUse, claim("op-one"), one, reason.AlreadyClaimed},
		{"while the use is suspended", both(inUse, change(one, ledger.StatusChange{Action: ledger.Suspend, Scope: custody, Reason: 6})), claim("op-one"), one, reason.AlreadyClaimed},
		{"what the quorum revoked", both(inUse, revoke(quorum, custody, 9)), claim("op-one"), one, reason.HigherAuthority},
		{"what the operator revoked itself", both(inUse, revoke(one, custody, 5)), claim("op-one"), one, reason.Accepted},
		{"a suspended device", both(atOne, suspend(acme)), claim("op-one"), one, reason.KeySuspended},
		{"a compromised device", both(atOne, revoke("device/ACME-1", cert, 1)), claim("op-one"), one, reason.NoCertificateStands},
		// Returns.
		{"what the owner holds", nothing, back, acme, reason.NotInCustody},
		{"what the owner holds, by the quorum", nothing, back, quorum, reason.NotInCustody},
		{"by the owner", atOne, back, acme, reason.NotTheHolder},
		{"by a stranger", atOne, back, two, reason.NotTheHolder},
		{"by the custodian", atOne, back, one, reason.Accepted},
		{"by the quorum", inUse, back, quorum, reason.Accepted},
		{"while suspended", both(atOne, suspend(acme)), back, one, reason.Accepted},
		{"when revoked", both(inUse, revoke(acme, key, 1)), back, one, reason.Accepted},
		// Retirement.
		{"by one admin", nothing, retire, "acme-cells/admin-1", reason.NotTheHolder},
		{"by the custodian alone", atOne, retire, one, reason.OwnerNotSigned},
		{"by the owner alone, in custody", atOne, retire, acme, reason.NotTheHolder},
		{"by both", inUse, retire, acme + " " + one, reason.Accepted},
		{"by the quorum alone", inUse, retire, quorum, reason.Accepted},
		{"by two members", nothing, retire, "ca-a/governance ca-b/governance", reason.NotTheHolder},
		{"when barred", revoke(acme, key, 1), retire, acme, reason.Accepted},
		// A retired device.
		{"retired: transfer", retired, to("op-one"), acme + " " + one, reason.DeviceRetired},
		{"retired: claim", both(atOne, func(c x) { c.must(&ledger.Retire{}, "ACME-1", acme, one) }), claim("op-one"), one, reason.DeviceRetired},
		{"retired: return", both(atOne, func(c x) { c.must(&ledger.Retire{}, "ACME-1", acme, one) }), back, one, reason.DeviceRetired},
		{"retired: rekey", retired, byOwner, acme, reason.DeviceRetired},
		{"retired: again", retired, retire, acme, reason.DeviceRetired},
		// Rekey: who.
		{"old key and line", nothing, rekey, self, reason.Accepted},
		{"old key and owner", nothing, rekey, acme + " device/ACME-1", reason.Accepted},
		{"old key alone", nothing, rekey, "device/ACME-1", reason.NotAPublisher},
		{"line key alone", nothing, byOwner, "acme-cells/line", reason.NotAuthorised},
		{"old key and another's line key", nothing, rekey, "device/ACME-1 other-cells/line", reason.NotAPublisher},
		{"owner alone", nothing, byOwner, acme, reason.Accepted},
		{"owner and line key", nothing, byOwner, acme + " acme-cells/line", reason.Accepted},
		{"one admin", nothing, byOwner, "acme-cells/admin-1 acme-cells/line", reason.NotAuthorised},
		{"another vendor", nothing, byOwner, reseller, reason.NotAuthorised},
		{"the custodian", atOne, byOwner, one, reason.NotAuthorised},
		{"the quorum", nothing, byOwner, quorum, reason.NotAuthorised},
		{"the old key carries nothing", nothing, byOwner, acme + " device/ACME-1", reason.NotAuthenticated},
		{"the old key does not sign", nothing, rekey, acme, reason.WrongSigners},
		{"without evidence", nothing, func(c x) ledger.LifeStep { r := alone(c.rekey("ACME-1", "ACME-1b")); r.Evidence = nil; return r }, acme, reason.EvidenceMissing},
		// Rekey: suspended, barred.
		{"suspended by the line key", suspend("acme-cells/line"), rekey, self, reason.KeySuspended},
		{"suspended by the owner", suspend(acme), rekey, self, reason.KeySuspended},
		{"suspended by the device itself", suspend("device/ACME-1"), rekey, self, reason.Accepted},
		{"suspended by the owner, by the owner", suspend(acme), byOwner, acme, reason.Accepted},
		{"suspended by the quorum, by the owner", suspend(quorum), byOwner, acme, reason.HigherAuthority},
		{"suspended by the quorum, by the old key", suspend(quorum), rekey, self, reason.KeySuspended},
		{"compromised, by the old key", revoke("device/ACME-1", cert, 1), rekey, self, reason.OwnerAlone},
		{"compromised, by the owner", revoke("device/ACME-1", cert, 1), byOwner, acme, reason.Accepted},
		{"barred, by the owner and the old key", revoke(acme, key, 4), rekey, acme + " device/ACME-1", reason.Accepted},
		{"revoked, by the old key", revoke(acme, cert, 4), rekey, self, reason.Accepted},
		// Rekey: to what.
		{"to its own key", nothing, func(c x) ledger.LifeStep { return c.rekey("ACME-1", "ACME-1") }, self, reason.KeyPublishedBefore},
		{"to another device's key", func(c x) { c.publish(c.c.Device("ACME-2", dns, 0)) }, func(c x) ledger.LifeStep { return c.rekey("ACME-1", "ACME-2") }, self, reason.KeyPublishedBefore},
		{"to another vendor's key", func(c x) {
			expect(c.t, c.one(ledgertest.Publish(c.c.Device("OTHER-1", other, 0)), "other-cells/line"), reason.Accepted)
		}, func(c x) ledger.LifeStep { return c.rekey("ACME-1", "OTHER-1") }, self, reason.KeyPublishedBefore},
		{"to a barred key", func(c x) {
			c.publish(c.c.Device("ACME-2", dns, 0))
			expect(c.t, c.one(c.change("ACME-2", onKey(ledger.Revoke, 1)), strings.Fields(acme)...), reason.Accepted)
		}, func(c x) ledger.LifeStep { return c.rekey("ACME-1", "ACME-2") }, self, reason.KeyBarred},
		{"to a key of the consortium", nothing, func(c x) ledger.LifeStep { return c.toKey("acme-cells/admin-3") }, self, reason.KeyOfTheConsortium},
		{"to a member's TLS key", nothing, func(c x) ledger.LifeStep { return c.toKey("ca-b/tls") }, self, reason.KeyOfTheConsortium},
		{"to another device's certificate", nothing, func(c x) ledger.LifeStep {
			r := c.rekey("ACME-1", "ACME-1b")
			r.Certificate = c.c.DeviceKey("ACME-2", dns, "device/ACME-1b", 0)
			return r
		}, self, reason.RekeyOfAnotherDevice},
		{"to a name that is another's", nothing, func(c x) ledger.LifeStep {
			r := c.rekey("ACME-1", "ACME-1b")
			r.Certificate = c.c.DeviceKey("ACME-1", other, "device/ACME-1b", 0)
			return r
		}, acme + " device/ACME-1", reason.NameNotOwned},
		{"to a broken certificate", nothing, func(c x) ledger.LifeStep {
			r := c.rekey("ACME-1", "ACME-1b")
			r.Certificate = broken(r.Certificate)
			return r
		}, self, reason.SelfSignature},
		{"to garbage", nothing, func(c x) ledger.LifeStep {
			r := c.rekey("ACME-1", "ACME-1b")
			r.Certificate = []byte{0x30, 0}
			return r
		}, self, reason.DERTruncated},
		{"by a profile not granted", nothing, func(c x) ledger.LifeStep { r := c.rekey("ACME-1", "ACME-1b"); r.Profile = 5; return r }, acme + " device/ACME-1", reason.ProfileNotGranted},
		{"by a profile that is 1 in 16 bits", nothing, func(c x) ledger.LifeStep { r := c.rekey("ACME-1", "ACME-1b"); r.Profile = 0x10001; return r }, self, reason.ProfileNotGranted},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := lived(t)
			tc.before(c)
			step := tc.step(c)
			body := c.body(step, "ACME-1")
			e := c.block(c.tx([][]byte{body}, strings.Fields(tc.signers)...))
			if len(e.Results) == 0 {
				if e.Refused[0].Why.Code != tc.want {
					t.Errorf("refused: %s, want %s", e.Refused[0].Why.Code, tc.want)
				}
				return
			}
			expect(t, e.Results[0].Verdicts[0], tc.want)
			c.reload()
			c.where("ACME-1") // the statuses are those of the record
		})
	}
}

// toKey is a rekey of ACME-1 to a key that is not a device's.
func (x *chain) toKey(name string) *ledger.Rekey {
	r := x.rekey("ACME-1", "ACME-1b")
	r.Certificate = x.c.DeviceKey("ACME-1", dns, name, 0)
	s := x.c.Signer(name)
	sig, err := s.SignCOSE(ledger.ProofMessage(x.c.Channel, x.org("acme-cells"), r))
	if err != nil {
		x.t.Fatal(err)
	}
	r.Alg, r.Proof = s.Alg(), sig
	return r
}

// TestPossession: a proof counts for one channel, operation, organisation, key and moment.
func TestPossession(t *testing.T) {
	x := lived(t)
	x.must(&ledger.Transfer{To: x.org("op-one")}, "ACME-1", acme, one)
	spki := x.c.SPKI("device/ACME-1")
	fresh := func() *ledger.Claim {
		return &ledger.Claim{Target: ledger.Sum(spki), Previous: x.last("ACME-1"), SPKI: spki}
	}
	signed := func(what string, message []byte) {
		t.Helper()
		c := fresh()
		s := x.c.Signer("device/ACME-1")
		c.Alg = s.Alg()
		var err error
		if c.Proof, err = s.SignCOSE(message); err != nil {
			t.Fatal(err)
		}
		t.Run(what, func(t *testing.T) { x.t = t; expect(t, x.step(c, "ACME-1", one), reason.PossessionProof) })
	}
	c, org := fresh(), x.org("op-one")
	good := ledger.ProofMessage(x.c.Channel, org, c)
	signed("for another channel", ledger.ProofMessage(ledger.Hash{1}, org, c))
	signed("for another organisation", ledger.ProofMessage(x.c.Channel, x.org("op-two"), c))
	signed("for the owner", ledger.ProofMessage(x.c.Channel, x.org("acme-cells"), c))
	signed("for a rekey", ledger.ProofMessage(x.c.Channel, org, &ledger.Rekey{Target: c.Target, Previous: c.Previous}))
	signed("for another moment", ledger.ProofMessage(x.c.Channel, org, &ledger.Claim{Target: c.Target, Previous: c.Previous - 1}))
	signed("for another key", ledger.ProofMessage(x.c.Channel, org, &ledger.Claim{Target: ledger.Hash{2}, Previous: c.Previous}))
	signed("one byte less", good[:len(good)-1])
	signed("the transaction's own form", append([]byte("quorate/tx/1"), good...))
	c.Alg, c.Proof = x.c.Prove(c, "ACME-2", org)
	expect(t, x.step(c, "ACME-1", one), reason.PossessionProof)
	c.Alg, c.Proof = x.c.Prove(c, "ACME-1", org)
	c.Alg = ledger.AlgES256
	expect(t, x.step(c, "ACME-1", one), reason.PossessionProof)

	expect(t, x.one(ledger.EncodeBody(ledger.OpRetire, &ledger.Retire{Target: ledger.Hash{9}, Previous: 9}), strings.Fields(acme)...), reason.UnknownTarget)

	// The one that counts counts once: whoever saw it cannot use it after a return and a new delivery.
	c = x.claim("ACME-1", "op-one")
	x.must(c, "ACME-1", one)
	x.must(&ledger.Return{}, "ACME-1", one)
	x.must(&ledger.Transfer{To: org}, "ACME-1", acme, one)
	expect(t, x.step(c, "ACME-1", one), reason.LifeChanged)
	c.Previous = x.last("ACME-1")
	expect(t, x.step(c, "ACME-1", one), reason.PossessionProof)

	// The new key of a rekey proves itself too: the certificate's own signature anybody can show who saw it.
	r := x.rekey("ACME-1", "ACME-1b")
	r.Alg, r.Proof = x.c.Prove(r, "ACME-1", x.org("acme-cells"))
	expect(t, x.step(r, "ACME-1", "acme-cells/line device/ACME-1"), reason.PossessionProof)
	r.Alg, r.Proof = x.c.Prove(r, "ACME-1b", org)
	expect(t, x.step(r, "ACME-1", "acme-cells/line device/ACME-1"), reason.PossessionProof)
}

// TestCompareAndSwap: of two steps that were signed at the same time one counts, in one block or in two.
func TestCompareAndSwap(t *testing.T) {
	x := lived(t)
	at := x.last("ACME-1")
	first := x.body(&ledger.Transfer{To: x.org("op-one"), Previous: at}, "ACME-1")
	second := x.body(&ledger.Transfer{To: x.org("op-two"), Previous: at}, "ACME-1")
	signers := strings.Fields(acme + " " + one + " " + two)
	e := x.block(x.tx([][]byte{first}, signers...), x.tx([][]byte{second}, signers...), x.tx([][]byte{first}, signers...))
	for i, want := range []reason.Code{reason.Accepted, reason.LifeChanged, reason.LifeChanged} {
		expect(t, e.Results[i].Verdicts[0], want)
	}
	expect(t, x.one(second, signers...), reason.LifeChanged)
	expect(t, x.one(x.body(&ledger.Retire{Previous: 1 << 60}, "ACME-1"), signers...), reason.LifeChanged)
	x.expectAt("ACME-1", "op-one: good")
	// In one transaction each follows the one before; all or nothing undoes all.
	leaf := x.last("ACME-1")
	back := ledger.EncodeBody(ledger.OpReturn, &ledger.Return{Target: ledger.Sum(x.c.SPKI("device/ACME-1")), Previous: leaf})
	again := ledger.EncodeBody(ledger.OpReturn, &ledger.Return{Target: ledger.Sum(x.c.SPKI("device/ACME-1")), Previous: leaf})
	x.nonce++
	e = x.block(x.c.Tx(x.now, ledgertest.TxOptions{Nonce: x.nonce, Mode: ledger.AllOrNothing}, [][]byte{back, again}, one))
	for i, want := range []reason.Code{reason.NotApplied, reason.LifeChanged} {
		expect(t, e.Results[0].Verdicts[i], want)
	}
	x.expectAt("ACME-1", "op-one: good")
	// A status change is no life event: it neither voids what was signed nor is voided by it.
	expect(t, x.one(x.change("ACME-1", on(x.keyRecord("ACME-1").Certificates[0].Leaf, ledger.Suspend, 6)), one), reason.Accepted)
	expect(t, x.one(back, one), reason.Accepted)
	x.expectAt("ACME-1", "owner: suspended")
}

// TestAfterRekey: the old key is out for ever, whatever is tried with it, and the new one is the device's.
func TestAfterRekey(t *testing.T) {
	x := lived(t)
	x.must(&ledger.Transfer{To: x.org("op-one")}, "ACME-1", acme, one)
	claim := x.must(x.claim("ACME-1", "op-one"), "ACME-1", one)
	old := x.keyRecord("ACME-1").Certificates[0].Leaf
	leaf := x.must(alone(x.rekey("ACME-1", "ACME-1b")), "ACME-1", acme)
	x.reload()
	x.expectAt("ACME-1", "owner, superseded: revoked")
	x.expectAt("ACME-1b", "op-one: good") // in custody as before; its use the new key has not proved
	if x.status(claim) != ledger.Revoked || x.status(leaf) != ledger.Good || x.status(old) != ledger.Revoked {
		t.Errorf("claim %s, rekey %s, old %s", x.status(claim), x.status(leaf), x.status(old))
	}
	publish := func(der []byte) ledger.Verdict { return x.one(ledgertest.Publish(der), "acme-cells/line") }
	expect(t, publish(x.c.Device("ACME-1", dns, 0)), reason.AlreadyPublished)
	expect(t, publish(x.c.Device("ACME-1", dns, 1)), reason.KeySuperseded)
	expect(t, publish(x.c.DeviceKey("ACME-1", dns, "device/ACME-1c", 0)), reason.DeviceHasAnotherKey)
	expect(t, publish(x.c.DeviceKey("ACME-1", dns, "device/ACME-1b", 1)), reason.Accepted)
	expect(t, x.step(&ledger.Return{}, "ACME-1", one), reason.KeySuperseded)
	expect(t, x.step(x.claim("ACME-1", "op-one"), "ACME-1", one), reason.KeySuperseded)
	expect(t, x.step(x.rekey("ACME-1b", "ACME-1"), "ACME-1b", "acme-cells/line device/ACME-1b"), reason.KeyPublishedBefore)
	// What is superseded may still turn out to be compromised; the new key is none the worse.
	expect(t, x.one(x.change("ACME-1", on(old, ledger.Revoke, 4)), strings.Fields(acme)...), reason.AlreadyRevoked)
	expect(t, x.one(x.change("ACME-1", on(old, ledger.Suspend, 6)), one), reason.NotAuthorised)
	expect(t, x.one(x.change("ACME-1", on(old, ledger.Revoke, 1)), strings.Fields(acme)...), reason.Accepted)
	x.expectAt("ACME-1b", "op-one: good good")
	// The operator claims again, by the new key.
	x.must(x.claim("ACME-1b", "op-one"), "ACME-1b", one)
	// And a retired device takes no key by a publication, either.
	x.must(&ledger.Retire{}, "ACME-1b", acme, one)
	expect(t, publish(x.c.DeviceKey("ACME-1", dns, "device/ACME-1b", 2)), reason.DeviceRetired)
	expect(t, publish(x.c.DeviceKey("ACME-1", dns, "device/ACME-1d", 0)), reason.DeviceRetired)
	expect(t, x.one(x.change("ACME-1b", onKey(ledger.Revoke, 1)), strings.Fields(acme)...), reason.Accepted)
}

// TestRekeyInstance: a network function keeps its instance id and the name bound to it, and nobody else's function gets it by a rekey.
func TestRekeyInstance(t *testing.T) {
	x := start(t, 1, plenty, granted)
	old, next := newKey(t), newKey(t)
	first := x.function(old, dns, amf1, "amf1."+dns)
	leaf := x.one(publishAs("nf", first), "acme-cells/line")
	expect(t, leaf, reason.Accepted)
	cert, err := profile.Parse(first)
	if err != nil {
		t.Fatal(err)
	}
	rekey := func(der []byte) ledger.Verdict {
		r := alone(&ledger.Rekey{Profile: uint64(profile.NF), Certificate: der, Target: ledger.Sum(cert.SPKI), Previous: leaf.Leaf})
		spki, err := ca.SPKI(next.Public())
		if err != nil {
			t.Fatal(err)
		}
		s, err := ledger.NewSigner(next, spki)
		if err != nil {
			t.Fatal(err)
		}
		r.Alg = s.Alg()
		if r.Proof, err = s.SignCOSE(ledger.ProofMessage(x.c.Channel, x.org("acme-cells"), r)); err != nil {
			t.Fatal(err)
		}
		return x.one(ledger.EncodeBody(ledger.OpRekey, r), strings.Fields(acme)...)
	}
	expect(t, rekey(x.function(next, dns, smf1, "amf1."+dns)), reason.RekeyOfAnotherDevice)
	expect(t, rekey(x.function(next, dns, amf1, "other."+dns)), reason.InstanceHasAnotherName)
	expect(t, rekey(x.function(next, dns, amf1, "more."+dns, "amf1."+dns)), reason.Accepted)
	x.reload()
	expect(t, x.one(publishAs("nf", x.function(next, dns, amf1, "amf1."+dns)), "acme-cells/line"), reason.Accepted)
	expect(t, x.one(publishAs("nf", x.function(old, dns, amf1, "amf1."+dns)), "acme-cells/line"), reason.KeySuperseded)
}

// TestLifeOrder: what is wrong first names the verdict: the device, who signed, what the step makes of it, the certificate, its quota, its
// signature, the proof.
func TestLifeOrder(t *testing.T) {
	x := start(t, 1, ledgertest.Quotas{Day: 1, Total: 9}, operators)
	x.publish(x.c.Device("ACME-1", dns, 0))
	bad := func(change func(*ledger.Rekey)) *ledger.Rekey {
		r := x.rekey("ACME-1", "ACME-1b")
		r.Proof = make([]byte, 64)
		change(r)
		return r
	}
	const self = "acme-cells/line device/ACME-1"
	for _, tc := range []struct {
		name    string
		step    ledger.LifeStep
		signers string
		want    reason.Code
	}{
		{"moment before signers", &ledger.Transfer{To: ledger.OrgID{1}, Previous: 1}, "acme-cells/line", reason.LifeChanged},
		{"signers before the step", &ledger.Transfer{To: x.org("acme-cells")}, reseller, reason.NotTheHolder},
		{"holder before taker", &ledger.Transfer{To: x.org("op-one")}, reseller, reason.NotTheHolder},
		{"taker's name before signers", &ledger.Transfer{To: ledger.OrgID{1}}, reseller, reason.UnknownOrganisation},
		{"evidence before the certificate", bad(func(r *ledger.Rekey) { r.SPKI, r.Certificate = nil, []byte{0x30, 0} }), acme, reason.EvidenceMissing},
		{"voucher before the certificate", bad(func(r *ledger.Rekey) { r.Certificate = []byte{0x30, 0} }), "device/ACME-1", reason.NotAPublisher},
		{"known key before names", bad(func(r *ledger.Rekey) { r.Certificate = x.c.DeviceKey("ACME-9", other, "device/ACME-1", 0) }), self, reason.KeyPublishedBefore},
		{"device before names", bad(func(r *ledger.Rekey) { r.Certificate = x.c.DeviceKey("ACME-9", other, "device/ACME-1b", 0) }), self, reason.RekeyOfAnotherDevice},
		{"names before quota", bad(func(r *ledger.Rekey) { r.Certificate = x.c.DeviceKey("ACME-1", other, "device/ACME-1b", 0) }), self, reason.NameNotOwned},
		{"quota before signature", bad(func(r *ledger.Rekey) { r.Certificate = broken(r.Certificate) }), self, reason.QuotaDay},
	} {
		t.Run(tc.name, func(t *testing.T) { x.t = t; expect(t, x.step(tc.step, "ACME-1", tc.signers), tc.want) })
	}
	x.now = x.now.Add(48 * time.Hour)
	expect(t, x.step(bad(func(r *ledger.Rekey) { r.Certificate = broken(r.Certificate) }), "ACME-1", self), reason.SelfSignature)
	expect(t, x.step(bad(func(*ledger.Rekey) {}), "ACME-1", self), reason.PossessionProof)
	// A rekey counts against the line key's quota and its owner's.
	expect(t, x.step(x.rekey("ACME-1", "ACME-1b"), "ACME-1", self), reason.Accepted)
	expect(t, x.one(ledgertest.Publish(x.c.Device("ACME-5", dns, 0)), "acme-cells/line"), reason.QuotaDay)
}

// TestUse: what becomes of a use when other things change.
func TestUse(t *testing.T) {
	used := func(t *testing.T) (*chain, uint64) {
		x := lived(t)
		x.must(&ledger.Transfer{To: x.org("op-one")}, "ACME-1", acme, one)
		return x, x.must(x.claim("ACME-1", "op-one"), "ACME-1", one)
	}
	custody := func(a ledger.Action, why uint64) ledger.StatusChange {
		return ledger.StatusChange{Action: a, Scope: ledger.ScopeCustody, Reason: why}
	}
	t.Run("nobody's", func(t *testing.T) {
		x := lived(t)
		expect(t, x.one(x.change("ACME-1", custody(ledger.Revoke, 5)), strings.Fields(acme)...), reason.NotClaimed)
	})
	t.Run("suspended, resumed, revoked", func(t *testing.T) {
		x, claim := used(t)
		v := x.one(x.change("ACME-1", custody(ledger.Suspend, 6)), one)
		expect(t, v, reason.Accepted)
		x.expectAt("ACME-1", "op-one, in use suspended: good")
		stale := custody(ledger.Resume, 8)
		stale.Previous = &claim
		expect(t, x.one(x.change("ACME-1", stale), one), reason.StateChanged)
		stale.Previous = &v.Leaf
		expect(t, x.one(x.change("ACME-1", stale), one), reason.Accepted)
		x.expectAt("ACME-1", "op-one, in use good: good")
		expect(t, x.one(x.change("ACME-1", custody(ledger.Suspend, 6)), strings.Fields(quorum)...), reason.Accepted)
		expect(t, x.one(x.change("ACME-1", custody(ledger.Resume, 8)), one), reason.HigherAuthority)
		expect(t, x.one(x.change("ACME-1", custody(ledger.Revoke, 5)), one), reason.Accepted)
		x.expectAt("ACME-1", "op-one, in use revoked: good")
		expect(t, x.one(x.change("ACME-1", custody(ledger.Revoke, 5)), one), reason.AlreadyRevoked)
		x.must(x.claim("ACME-1", "op-one"), "ACME-1", one)
		x.expectAt("ACME-1", "op-one, in use good: good")
	})
	t.Run("what a former custodian suspended, the owner resumes", func(t *testing.T) {
		x, _ := used(t)
		leaf := x.keyRecord("ACME-1").Certificates[0].Leaf
		expect(t, x.one(x.change("ACME-1", on(leaf, ledger.Suspend, 6)), one), reason.Accepted)
		x.must(&ledger.Return{}, "ACME-1", one)
		expect(t, x.one(x.change("ACME-1", on(leaf, ledger.Resume, 8)), one), reason.NotAuthorised)
		expect(t, x.one(x.change("ACME-1", on(leaf, ledger.Resume, 8)), strings.Fields(acme)...), reason.Accepted)
		expect(t, x.one(x.change("ACME-1", custody(ledger.Revoke, 5)), one), reason.NotClaimed)
	})
	t.Run("the certificate revoked", func(t *testing.T) {
		x, _ := used(t)
		expect(t, x.one(x.change("ACME-1", on(x.keyRecord("ACME-1").Certificates[0].Leaf, ledger.Revoke, 9)), strings.Fields(acme)...), reason.Accepted)
		x.expectAt("ACME-1", "op-one, in use good: revoked")
	})
	for why, signers := range map[uint64]string{1: "device/ACME-1", 5: acme} {
		t.Run(fmt.Sprintf("the key barred for %d", why), func(t *testing.T) {
			x, _ := used(t)
			c := onKey(ledger.Revoke, why)
			c.SPKI = x.c.SPKI("device/ACME-1")
			expect(t, x.one(x.change("ACME-1", c), strings.Fields(signers)...), reason.Accepted)
			x.expectAt("ACME-1", "op-one, in use revoked: revoked")
		})
	}
	t.Run("rekeyed by the owner after the quorum revoked the use", func(t *testing.T) {
		x, _ := used(t)
		expect(t, x.one(x.change("ACME-1", custody(ledger.Revoke, 9)), strings.Fields(quorum)...), reason.Accepted)
		x.must(alone(x.rekey("ACME-1", "ACME-1b")), "ACME-1", acme)
		expect(t, x.step(x.claim("ACME-1b", "op-one"), "ACME-1b", one), reason.HigherAuthority)
		// It changed hands: the new holder's use is its own.
		x.must(&ledger.Transfer{To: x.org("op-two")}, "ACME-1b", one, two)
		x.must(x.claim("ACME-1b", "op-two"), "ACME-1b", two)
	})
}

// TestLifeNeedsItsRuleVersion: under older rules there are no such operations, nor the scope, whatever their arguments.
func TestLifeNeedsItsRuleVersion(t *testing.T) {
	for rules := range uint64(3) {
		if rules == 0 {
			continue
		}
		x := start(t, 1, plenty, func(f *ledger.Founding) { f.Rules = rules })
		x.publish(x.c.Device("ACME-1", dns, 0))
		steps := []ledger.LifeStep{&ledger.Transfer{To: x.org("op-one")}, x.claim("ACME-1", "acme-cells"), &ledger.Return{}, &ledger.Retire{}, alone(x.rekey("ACME-1", "ACME-1b"))}
		for _, s := range steps {
			expect(t, x.step(s, "ACME-1", acme, one), reason.UnknownOperation)
			expect(t, x.one(ledger.EncodeBody(s.Op(), map[int]int{1: 1}), "acme-cells/line"), reason.UnknownOperation)
		}
		// The old key's SPKI authenticates nobody.
		e := x.block(x.tx([][]byte{x.body(x.rekey("ACME-1", "ACME-1b"), "ACME-1")}, "acme-cells/line", "device/ACME-1"))
		if len(e.Results) != 0 || e.Refused[0].Why.Code != reason.NotAuthenticated {
			t.Errorf("rules %d: a key that only a rekey carries", rules)
		}
		expect(t, x.one(x.change("ACME-1", ledger.StatusChange{Action: ledger.Revoke, Scope: ledger.ScopeCustody}), "acme-cells/line"), reason.ScopeUnavailable)
	}
}

// TestFoldRefusesOtherLives: leaves of a life step that say anything else than it makes do not fold.
func TestFoldRefusesOtherLives(t *testing.T) {
	x := lived(t)
	x.must(&ledger.Transfer{To: x.org("op-one")}, "ACME-1", acme, one)
	x.must(x.claim("ACME-1", "op-one"), "ACME-1", one)
	stranger := ledger.OrgID{1}
	published, err := state.Execute(x.head, x.next(x.tx([][]byte{ledgertest.Publish(x.c.Device("ACME-1", dns, 1))}, "acme-cells/line")), state.Direct{})
	if err != nil || published.Results[0].Verdicts[0].Code != 0 {
		t.Fatal(err)
	}
	for what, org := range map[string]*ledger.OrgID{"nobody": nil, "a stranger": &stranger} {
		leaves := slices.Clone(published.Leaves)
		entry, err := ledger.ParseEntry(leaves[1])
		if err != nil || *entry.Op.Effects.Custodian != x.org("op-one") {
			t.Fatal(err)
		}
		entry.Op.Effects.Custodian = org
		leaves[1] = entry.Op.Encode()
		if _, err := state.Fold(x.head, leaves); !errors.Is(err, state.ErrBadLeaves) {
			t.Errorf("a publication with %s as custodian folds: %v", what, err)
		}
	}
	for name, step := range map[string]struct {
		step    ledger.LifeStep
		signers string
	}{
		"transfer": {&ledger.Transfer{To: x.org("op-two")}, one + " " + two},
		"return":   {&ledger.Return{}, one},
		"retire":   {&ledger.Retire{}, acme + " " + one},
		"rekey":    {x.rekey("ACME-1", "ACME-1b"), "acme-cells/line device/ACME-1"},
		"alone":    {alone(x.rekey("ACME-1", "ACME-1b")), acme},
	} {
		e, err := state.Execute(x.head, x.next(x.tx([][]byte{x.body(step.step, "ACME-1")}, strings.Fields(step.signers)...)), state.Direct{})
		if err != nil || e.Results[0].Verdicts[0].Code != 0 {
			t.Fatal(name, err, e.Results)
		}
		if _, err := state.Fold(x.head, e.Leaves); err != nil {
			t.Fatal(name, err)
		}
		for what, spoil := range map[string]func(*ledger.Effects){
			"no owner":          func(e *ledger.Effects) { e.Owner = nil },
			"another owner":     func(e *ledger.Effects) { e.Owner = &stranger },
			"no device":         func(e *ledger.Effects) { e.Device = nil },
			"another device":    func(e *ledger.Effects) { e.Device = &ledger.Hash{1} },
			"another custodian": func(e *ledger.Effects) { e.Custodian = &stranger },
			"no runs":           func(e *ledger.Effects) { e.Runs = nil },
			"one run less":      func(e *ledger.Effects) { e.Runs = e.Runs[1:] },
			"one run more": func(e *ledger.Effects) {
				e.Runs = append(slices.Clone(e.Runs), ledger.Run{First: 3, Count: 1, Status: ledger.Good})
			},
			"a run longer":   func(e *ledger.Effects) { e.Runs = slices.Clone(e.Runs); e.Runs[0].Count++ },
			"another status": func(e *ledger.Effects) { e.Runs = slices.Clone(e.Runs); e.Runs[0].Status ^= 1 },
		} {
			leaves := slices.Clone(e.Leaves)
			entry, err := ledger.ParseEntry(leaves[1])
			if err != nil {
				t.Fatal(err)
			}
			spoil(&entry.Op.Effects)
			leaves[1] = entry.Op.Encode()
			if _, err := state.Fold(x.head, leaves); !errors.Is(err, state.ErrBadLeaves) {
				t.Errorf("%s, %s: folds: %v", name, what, err)
			}
		}
	}
}

// TestLifeAndCutOffs: who is cut off is handed nothing and takes nothing into use; what the owner's admins rekeyed falls with the owner, and a
// line key that is cut off rekeys nothing by itself.
func TestLifeAndCutOffs(t *testing.T) {
	x := lived(t)
	cut := func(scope ledger.Scope, target []byte, signers string) {
		t.Helper()
		body := ledger.EncodeBody(ledger.OpCutOff, ledger.CutOff{Scope: scope, Target: target, Reason: ledger.Cessation})
		expect(t, x.one(body, strings.Fields(signers)...), reason.Accepted)
	}
	opOne, vendor, line := x.org("op-one"), x.org("acme-cells"), ledger.Sum(x.c.SPKI("acme-cells/line-2"))
	x.must(&ledger.Transfer{To: opOne}, "ACME-1", acme, one)
	cut(ledger.ScopeOrganisation, opOne[:], quorum)
	expect(t, x.step(x.claim("ACME-1", "op-one"), "ACME-1", one), reason.OrganisationState)
	x.must(&ledger.Return{}, "ACME-1", one) // the way out stays open
	expect(t, x.step(&ledger.Transfer{To: opOne}, "ACME-1", acme, one), reason.OrganisationState)
	cut(ledger.ScopeLineKey, line[:], acme)
	expect(t, x.step(x.rekey("ACME-1", "ACME-1b"), "ACME-1", "acme-cells/line-2 device/ACME-1"), reason.Countersignature)
	leaf := x.must(alone(x.rekey("ACME-1", "ACME-1b")), "ACME-1", acme)
	x.reload()
	x.expectAt("ACME-1b", "owner: good")
	cut(ledger.ScopeOrganisation, vendor[:], quorum)
	x.reload()
	x.expectAt("ACME-1b", "owner: revoked")
	if x.status(leaf) != ledger.Revoked {
		t.Error("a certificate that its owner's admins vouched for outlives the owner's cut-off")
	}
	expect(t, x.step(alone(x.rekey("ACME-1b", "ACME-1c")), "ACME-1b", acme), reason.OrganisationState)
}
