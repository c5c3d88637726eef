package state_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/quorate-pki/quorate/ca/profile"
	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/ledgertest"
	"github.com/quorate-pki/quorate/ledger/state"
)

// admit is a rule of statements.
func admit(lines ...string) string {
	return "def admit(c):\n    " + strings.Join(lines, "\n    ") + "\n"
}

func ruleBody(profile uint64, org *ledger.OrgID, text, replaces string) []byte {
	a := ledger.RuleChange{Profile: profile, Organisation: org, Text: text}
	if replaces != "" {
		h := ledger.TextHash(replaces)
		a.Replaces = &h
	}
	return ledger.EncodeBody(ledger.OpRule, a)
}

// proposed judges a proposal of one operation.
func (x *chain) proposed(p *ledger.Propose) reason.Code {
	x.t.Helper()
	v := x.one(ledger.EncodeBody(ledger.OpPropose, p), govA)
	covered[v.Code] = true
	return v.Code
}

// submits publishes and returns the verdict.
func (x *chain) submits(serial, suffix, line string) reason.Code {
	x.t.Helper()
	v := x.one(ledgertest.Publish(x.c.Device(serial, suffix, 0)), line)
	covered[v.Code] = true
	return v.Code
}

func (x *chain) want(serial string, want reason.Code) {
	x.t.Helper()
	if got := x.submits(serial, dns, "acme-cells/line"); got != want {
		x.t.Errorf("%s: %s, want %s", serial, got, want)
	}
}

// TestRuleInForce: a rule judges from the height after its enactment, for its scope alone, until it is replaced or removed.
func TestRuleInForce(t *testing.T) {
	x := start(t, 4, plenty, nil)
	odd, even := admit(`return "odd" if c.device_serial.endswith("1") else True`), admit(`return "even" if c.device_serial.endswith("2") else True`)
	acme := organisation(t, x, "acme-cells")

	leaf, digest := x.propose(x.proposal(1, ruleBody(1, &acme, odd, "")), govA)
	for _, who := range []string{govA, govB} {
		expect(t, x.one(vote(leaf, digest, ledger.Approve), who), reason.Accepted)
	}
	x.want("ACME-01", reason.Accepted) // not decided yet

	// The block that decides is judged by what was in force before it, whatever the order in it.
	e := x.block(x.tx([][]byte{vote(leaf, digest, ledger.Approve)}, govC), x.tx([][]byte{ledgertest.Publish(x.c.Device("ACME-11", dns, 0))}, "acme-cells/line"))
	expect(t, e.Results[1].Verdicts[0], reason.Accepted)
	x.wantState(leaf, ledger.ProposalInForce)
	x.want("ACME-21", reason.RuleRefused)
	x.want("ACME-22", reason.Accepted)
	if got := x.submits("OTHER-1", other, "other-cells/line"); got != reason.Accepted {
		t.Errorf("another organisation: %s", got)
	}

	// Publishing again what is published is no admission.
	x.want("ACME-01", reason.AlreadyPublished)
	x.reload()
	x.want("ACME-31", reason.RuleRefused)

	// Another one in its place, which who votes must have seen; it is the new one that judges, and the old one not any more.
	x.decide(x.proposal(2, ruleBody(1, &acme, even, odd)))
	x.want("ACME-21", reason.Accepted)
	x.want("ACME-42", reason.RuleRefused)
	x.reload()
	x.want("ACME-42", reason.RuleRefused)

	// All whose scope a certificate is in must accept it.
	x.decide(x.proposal(3, ruleBody(0, nil, admit(`return "three" if c.device_serial.endswith("3") else True`), "")))
	x.want("ACME-43", reason.RuleRefused)
	x.want("ACME-52", reason.RuleRefused)
	x.want("ACME-54", reason.Accepted)
	if got := x.submits("OTHER-3", other, "other-cells/line"); got != reason.RuleRefused {
		t.Errorf("a rule for all: %s", got)
	}

	// Removed, it judges nothing.
	x.decide(x.proposal(4, ruleBody(1, &acme, "", even)))
	x.want("ACME-42", reason.Accepted)
	x.want("ACME-43", reason.RuleRefused)
	x.reload()
	x.want("ACME-62", reason.Accepted)

	// What every scope was judged by, and since when, can be found again.
	var texts []string
	for rec, err := range x.store.Records(ledger.RecordRule, ledger.RuleKey(ledger.RuleScope{Profile: 1, Organisation: acme}, 0)[:24]) {
		var r ledger.RuleRecord
		if err == nil {
			err = ledger.Decode(rec.Value, &r)
		}
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, r.Text)
	}
	if len(texts) != 3 || texts[0] != "" || texts[1] != even || texts[2] != odd {
		t.Errorf("the history of a scope, newest first: %q", texts)
	}
}

// TestTwiceInOneBlock: what a block enacts twice for a scope is, at the next height, what it enacted last.
func TestTwiceInOneBlock(t *testing.T) {
	x := start(t, 4, plenty, nil)
	none, all := admit(`return "none"`), admit(`return True`)
	p := x.proposal(1, ruleBody(0, nil, none, ""), ruleBody(0, nil, all, none))
	leaf, digest := x.propose(p, govA)
	expect(t, x.one(vote(leaf, digest, ledger.Approve), govA, govB), reason.Accepted)
	e := x.block(x.tx([][]byte{vote(leaf, digest, ledger.Approve)}, govC), x.tx([][]byte{ledgertest.Publish(x.c.Device("ACME-1", dns, 0))}, "acme-cells/line"))
	expect(t, e.Results[1].Verdicts[0], reason.Accepted)
	x.want("ACME-2", reason.Accepted)
	x.reload()
	x.want("ACME-3", reason.Accepted)
}

// TestRuleProposals: what cannot be a rule is refused before anybody votes on it.
func TestRuleProposals(t *testing.T) {
	x := start(t, 4, plenty, nil)
	yes, acme, nobody := admit("return True"), organisation(t, x, "acme-cells"), ledger.OrgID{1}
	x.decide(x.proposal(1, ruleBody(1, nil, yes, "")))
	for _, row := range []struct {
		name string
		body []byte
		want reason.Code
	}{
		{"no Starlark", ruleBody(0, nil, "admit", ""), reason.RuleNotCompiled},
		{"constants that take too much work", ruleBody(0, nil, "X = \",,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,\".split(\",\")\nY = len([1 for a in X for b in X for c in X])\n"+yes, ""), reason.RuleWorkLimit},
		{"constants that grow", ruleBody(0, nil, "X0 = \"a\"\n"+doubled(20)+yes, ""), reason.RuleSizeLimit},
		{"constants that fail", ruleBody(0, nil, "X = 1 // 0\n"+yes, ""), reason.RuleFailed},
		{"no such profile", ruleBody(99, nil, yes, ""), reason.RuleScope},
		{"no such organisation", ruleBody(0, &nobody, yes, ""), reason.RuleScope},
		{"in the place of one that is not said", ruleBody(1, nil, admit("return \"no\""), ""), reason.RuleDiffers},
		{"in the place of another", ruleBody(1, nil, admit("return \"no\""), "another"), reason.RuleDiffers},
		{"in the place of none", ruleBody(0, nil, yes, yes), reason.RuleDiffers},
		{"the same", ruleBody(1, nil, yes, yes), reason.RuleDiffers},
		{"removing none", ruleBody(1, &acme, "", yes), reason.RuleDiffers},
		{"nothing", ledger.EncodeBody(ledger.OpRule, ledger.RuleChange{}), reason.BadBody},
		{"of an organisation of zeros", ruleBody(0, &ledger.OrgID{}, yes, ""), reason.BadBody},
		{"too long", ruleBody(0, nil, yes+strings.Repeat("#", ledger.MaxRule), ""), reason.BadBody},
		{"the longest", ruleBody(1, &acme, yes+strings.Repeat("#", ledger.MaxRule-len(yes)), ""), reason.Accepted},
	} {
		p := x.proposal(9, row.body)
		if row.name == "the longest" {
			p.Title = strings.Repeat("t", ledger.MaxTitle)
		}
		if got := x.proposed(p); got != row.want {
			t.Errorf("%s: %s, want %s", row.name, got, row.want)
		}
	}
	// A new rule narrows, so it never waits; what replaces or removes one may widen, and waits as long as the consortium says.
	p := x.proposal(10, ruleBody(0, nil, yes, ""))
	p.Hold = day
	if got := x.proposed(p); got != reason.HoldNotAllowed {
		t.Errorf("a new rule with a hold: %s", got)
	}
	x.decide(x.proposal(11, rulesBody(ledger.NewestRules, day)))
	for text, want := range map[string]reason.Code{"": reason.HoldTooShort, admit("return \"no\""): reason.HoldTooShort} {
		if got := x.proposed(x.proposal(12, ruleBody(1, nil, text, yes))); got != want {
			t.Errorf("replacing at once: %s, want %s", got, want)
		}
	}
	if got := x.proposed(x.proposal(13, ruleBody(0, nil, yes, ""))); got != reason.Accepted {
		t.Errorf("a new rule under a hold: %s", got)
	}
	// Outside a proposal it is nobody's to make.
	for _, who := range []string{govA, "acme-cells/line"} {
		if v := x.one(ruleBody(0, nil, yes, ""), who); v.Code.OK() {
			t.Errorf("a rule without a vote: %s", v.Code)
		}
	}
}

func doubled(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "X%d = X%[2]d + X%[2]d\n", i+1, i)
	}
	return b.String()
}

// TestTwoReplaceOne: of two proposals to replace the same text, the second to be decided fails: who voted for it saw another rule.
func TestTwoReplaceOne(t *testing.T) {
	x := start(t, 4, plenty, nil)
	old := admit("return True")
	x.decide(x.proposal(1, ruleBody(0, nil, old, "")))
	late, digest := x.propose(x.proposal(2, ruleBody(0, nil, "", old)), govB)
	x.decide(x.proposal(3, ruleBody(0, nil, admit(`return "no"`), old)))
	expect(t, x.one(vote(late, digest, ledger.Approve), govA, govB, govC), reason.Accepted)
	if rec := x.wantState(late, ledger.ProposalFailed); rec.Code != reason.RuleDiffers {
		t.Errorf("failed for %s", rec.Code)
	}
	x.want("ACME-1", reason.RuleRefused)
}

// TestRuleThatFails: it refuses, with the code of what went wrong, and the ledger goes on.
func TestRuleThatFails(t *testing.T) {
	x := start(t, 4, plenty, nil)
	x.decide(x.proposal(1, ruleBody(0, nil, admit(
		`if c.device_serial == "ACME-1":`, `    return {"a": 1}[c.device_serial]`,
		`if c.device_serial == "ACME-2":`, `    return None`,
		`x = "a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a".split(",")`,
		`if c.device_serial == "ACME-3":`, `    return len([1 for a in x for b in x for d in x]) > 0`,
		`if c.device_serial == "ACME-4":`, `    for a in x:`, `        x = x + x`,
		`s = "aaaa"`, `for a in x:`, `    s += s if c.device_serial == "ACME-5" else ""`,
		`return True`), "")))
	x.want("ACME-1", reason.RuleFailed)
	x.want("ACME-2", reason.RuleResult)
	x.want("ACME-3", reason.RuleWorkLimit)
	x.want("ACME-4", reason.RuleWorkLimit)
	x.want("ACME-5", reason.RuleSizeLimit)
	x.want("ACME-6", reason.Accepted)
}

// TestTooManyRules: so many, and no more; removing one makes room.
func TestTooManyRules(t *testing.T) {
	x := start(t, 4, plenty, nil)
	yes := admit("return True")
	var orgs []ledger.OrgID
	for nonce := byte(1); len(orgs) < 48; nonce++ {
		p := x.proposal(nonce)
		for i := range 16 {
			p.Bodies = append(p.Bodies, x.newOrg(fmt.Sprintf("org-%d", len(orgs)), ledger.RoleRegulator))
			orgs = append(orgs, ledger.RecordID(ledger.ProposalSeed(p.Nonce, 1), uint16(i)))
		}
		x.decide(p)
	}
	p := x.proposal(100)
	for i := range ledger.MaxRules {
		p.Bodies = append(p.Bodies, ruleBody(uint64(1+i%5), &orgs[i/6], yes, ""))
		if i%6 == 5 {
			p.Bodies[len(p.Bodies)-1] = ruleBody(0, &orgs[i/6], yes, "")
		}
		if len(p.Bodies) == 16 {
			x.wantState(x.decide(p), ledger.ProposalInForce)
			p = x.proposal(p.Nonce[0] + 1)
		}
	}
	p.Bodies = [][]byte{ruleBody(0, nil, yes, "")}
	if got := x.proposed(p); got != reason.TooManyRules {
		t.Fatalf("one more: %s", got)
	}
	x.reload()
	if got := x.proposed(p); got != reason.TooManyRules {
		t.Fatalf("one more, after a restart: %s", got)
	}
	x.wantState(x.decide(x.proposal(200, ruleBody(0, &orgs[0], "", yes), ruleBody(0, nil, yes, ""))), ledger.ProposalInForce)
}

// TestNoEngine: without anything to run rules with, nothing is judged, rather than otherwise than others judge it.
func TestNoEngine(t *testing.T) {
	x := start(t, 4, plenty, nil)
	x.decide(x.proposal(1, ruleBody(0, nil, admit("return True"), "")))
	b := x.next(x.tx([][]byte{ledgertest.Publish(x.c.Device("ACME-1", dns, 0))}, "acme-cells/line"))
	if _, err := state.Execute(x.head, b, state.Direct{}); err == nil || errors.Is(err, state.ErrInvalidBlock) {
		t.Errorf("judged without an engine: %v", err)
	}
}

// refusing is an engine of another build, which reads no text.
type refusing struct{}

func (refusing) Compile(ledger.Hash, string) (ledger.Rule, error) {
	return nil, reason.New(reason.RuleNotCompiled, "")
}

// TestBrokenRule: a text in force that does not compile refuses, and stops nothing.
func TestBrokenRule(t *testing.T) {
	x := start(t, 4, plenty, nil)
	x.decide(x.proposal(1, ruleBody(0, nil, admit("return True"), "")))
	b := x.next(x.tx([][]byte{ledgertest.Publish(x.c.Device("ACME-1", dns, 0))}, "acme-cells/line"))
	e, err := state.Execute(x.head, b, state.Direct{Rules: refusing{}})
	if err != nil {
		t.Fatal(err)
	}
	expect(t, e.Results[0].Verdicts[0], reason.RuleNotCompiled)
}

// TestRulesBeforeVersion3: older channels know no such operation.
func TestRulesBeforeVersion3(t *testing.T) {
	x := start(t, 4, plenty, func(f *ledger.Founding) { f.Rules = 2 })
	expect(t, x.one(ruleBody(0, nil, admit("return True"), ""), govA), reason.UnknownOperation)
	x.want("ACME-1", reason.Accepted)
}

// TestRulesComeLate: what the checks before refuse keeps its verdict; the signature, which costs most, is checked of what rules accept.
func TestRulesComeLate(t *testing.T) {
	x := start(t, 4, plenty, nil)
	x.decide(x.proposal(1, ruleBody(0, nil, admit(`return "no"`), "")))
	if got := x.submits("ELSE-1", dns, "acme-cells/line"); got != reason.SerialNotOwned {
		t.Errorf("%s", got)
	}
	der := x.c.Device("ACME-1", dns, 0)
	der[len(der)-1] ^= 1 // of the signature
	v := x.one(ledgertest.Publish(der), "acme-cells/line")
	expect(t, v, reason.RuleRefused)
}

// stored reads a record that is there.
func stored[T any](x *chain, kind ledger.RecordKind, key []byte) *T {
	x.t.Helper()
	raw, err := x.store.Get(state.Key(kind, key))
	v := new(T)
	if err == nil {
		err = ledger.Decode(raw, v)
	}
	if err != nil {
		x.t.Fatal(err)
	}
	return v
}

// TestCandidate: what a rule is told is what the certificate says, and who vouched.
func TestCandidate(t *testing.T) {
	x := start(t, 4, plenty, nil)
	acme := organisation(t, x, "acme-cells")
	voucher := ledger.Sum(x.c.SPKI("acme-cells/line"))
	line := stored[ledger.RegisteredKey](x, ledger.RecordRegistry, voucher[:]).Line
	v := state.Vouching{Key: voucher, Line: line, Organisation: stored[ledger.OrgRecord](x, ledger.RecordOrg, acme[:]),
		Namespaces: map[ledger.OrgID]*ledger.NamespaceRecord{}}
	for _, id := range line.Namespaces {
		v.Namespaces[id] = stored[ledger.NamespaceRecord](x, ledger.RecordNamespace, id[:])
	}
	cert, err := profile.Parse(x.c.Device("ACME-1", dns, 0))
	if err != nil {
		t.Fatal(err)
	}
	now := ledger.MillisOf(x.now)
	c, no := state.Candidate(v, 1, cert, now, ledger.NewestRules)
	if no != nil {
		t.Fatal(no)
	}
	want := &ledger.Candidate{Kind: "publish", Time: now, Profile: "small-cell", Organisation: "acme-cells", OrganisationID: acme.String(),
		Roles: ledger.RoleNames(v.Organisation.Roles), Voucher: fmt.Sprintf("%x", voucher), Namespaces: []string{"serial:ACME-", "dns:" + dns}, NameEvidence: "line-key",
		Possession: "self-signature", Protection: "unknown", Subject: []ledger.Attribute{{Type: "serialNumber", Value: "ACME-1"}}, Serial: fmt.Sprintf("%x", cert.Serial),
		DeviceSerial: "ACME-1", DNSNames: cert.DNSNames, KeyKind: "Ed25519", KeyBits: 256, Signature: "Ed25519", NotBefore: 1000 * cert.NotBefore,
		NotAfter: 1000 * cert.NotAfter, NeverExpires: cert.NotAfter == profile.Latest, KeyUsage: []string{"digitalSignature"},
		ExtendedKeyUsage: []string{"clientAuth", "serverAuth", "ipsecIKE"}}
	c.Extensions = nil
	if got, want := fmt.Sprintf("%+v", c), fmt.Sprintf("%+v", want); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	// And the rule in force is told the same.
	var checks []string
	for _, e := range []string{`c.kind == "publish"`, `c.profile == "small-cell"`, `c.organisation == "acme-cells"`, `c.organisation_id == "` + acme.String() + `"`,
		`c.voucher == "` + fmt.Sprintf("%x", voucher) + `"`, `c.namespaces == ["serial:ACME-", "dns:` + dns + `"]`, `c.name_evidence == "line-key"`,
		`c.possession == "self-signature"`, `c.protection == "unknown"`, `c.subject["serialNumber"] == c.device_serial`, `c.device_serial == "ACME-2"`,
		`c.key_kind == "Ed25519"`, `c.key_bits == 256`, `c.key_usage == ["digitalSignature"]`, `c.not_before < c.not_after`, `"2.5.29.17" in c.extensions`,
		`c.instance == ""`, `c.hardware_type == ""`, `c.nf_types == []`, `c.signature == "Ed25519"`, `len(c.dns_names) == 1`, `"vendor" in c.roles`,
		fmt.Sprintf(`c.time > %d and c.time < %d`, now, now+ledger.Millis(60_000)), `len(c.serial) > 0`, `c.extended_key_usage == ["clientAuth", "serverAuth", "ipsecIKE"]`, fmt.Sprintf(`c.never_expires == %s`, map[bool]string{true: "True", false: "False"}[cert.NotAfter == profile.Latest])} {
		checks = append(checks, "if not ("+e+"):", "    return \"no\"")
	}
	x.decide(x.proposal(1, ruleBody(0, nil, admit(append(checks, "return True")...), "")))
	x.want("ACME-2", reason.Accepted)
	x.want("ACME-3", reason.RuleRefused)
}
