package state_test

import (
	"bytes"
	"crypto"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/ledgertest"
	"github.com/quorate-pki/quorate/ledger/state"
)

// actors sign what random histories submit, rightly or not.
var actors = [][]string{{"acme-cells/line"}, {"acme-cells/line"}, {"acme-cells/line"}, {"acme-cells/line-2"}, {"other-cells/line"},
	{"acme-cells/line", "acme-cells/admin-1", "acme-cells/admin-2"}, {"acme-cells/line", "acme-cells/admin-1", "acme-cells/admin-2"},
	{"acme-cells/line-2", "acme-cells/admin-3", "acme-cells/admin-2"}, {"other-cells/line", "other-cells/admin-1"},
	{"acme-cells/admin-1", "acme-cells/admin-2"}, {"acme-cells/admin-2", "acme-cells/admin-3"}, {"acme-cells/admin-1"},
	{"other-cells/admin-1"}, {"ca-a/governance", "ca-b/governance", "ca-d/governance"}, {"ca-c/governance"}, {"op-one/admin-1"}, {"self"}, {"nobody"}}

// history makes random transactions over a few devices, so that they meet.
type history struct {
	*chain
	rng  *rand.Rand
	past [][]byte
	ders map[string][]byte
	keys []crypto.Signer // of network functions
	key  string          // of the last body
	orgs map[string]ledger.OrgID

	proposals []ledger.Vote  // on the log, as votes on them
	delegated []ledger.OrgID // namespaces on the log that admins registered
}

func (h *history) device() (serial, suffix string) {
	if h.rng.IntN(6) == 0 {
		return fmt.Sprintf("OTHER-%d", h.rng.IntN(4)), "other-cells.example"
	}
	// New devices keep coming: in the end the old ones are all barred.
	return fmt.Sprintf("ACME-%d", len(h.past)/25+h.rng.IntN(12)), dns
}

func (h *history) body(who []string) []byte {
	serial, suffix := h.device()
	key := "device/" + serial
	if h.rng.IntN(20) == 0 {
		key = "device/ACME-3"
	}
	h.key = key
	if who[0] == "acme-cells/line" || who[0] == "acme-cells/line-2" || who[0] == "other-cells/line" {
		if h.rng.IntN(6) == 0 {
			return h.function(who[0])
		}
		if h.rng.IntN(4) > 0 {
			variant := h.rng.IntN(3)
			name := fmt.Sprint(serial, key, variant)
			if h.ders[name] == nil {
				h.ders[name] = h.c.DeviceKey(serial, suffix, key, variant)
			}
			return ledgertest.Publish(h.ders[name])
		}
	}
	c := ledger.StatusChange{Action: ledger.Action(1 + h.rng.IntN(3)), Scope: ledger.Scope(1 + h.rng.IntN(2)), Target: ledger.Sum(h.c.SPKI(key))}
	switch c.Action {
	case ledger.Revoke:
		c.Reason = []uint64{0, 1, 3, 4, 5, 9, 2}[h.rng.IntN(7)]
	case ledger.Suspend:
		c.Reason = 6
	case ledger.Resume:
		c.Reason = 8
	}
	if h.rng.IntN(30) == 0 {
		c.Reason, c.Scope = uint64(h.rng.IntN(11)), ledger.Scope(1+h.rng.IntN(6))
	}
	if c.Scope == ledger.ScopeCertificate {
		leaf := uint64(h.rng.IntN(200))
		if k, err := h.head.KeyRecord(c.Target); err == nil && k != nil && h.rng.IntN(10) > 0 {
			info := k.Certificates[h.rng.IntN(len(k.Certificates))]
			leaf = info.Leaf
			if h.rng.IntN(4) == 0 {
				c.Previous = &info.Cause
			}
		}
		c.Leaf = &leaf
	}
	c.SPKI = h.c.SPKI(key)
	return ledgertest.Change(c)
}

// function publishes a network function: of few instance ids, keys and names, so that all of them meet.
func (h *history) function(signer string) []byte {
	suffix := dns
	if signer == "other-cells/line" {
		suffix = other
	}
	n := len(h.past)/40 + h.rng.IntN(3)
	for len(h.keys) <= n {
		h.keys = append(h.keys, newKey(h.t))
	}
	id := fmt.Sprintf("00000000-0000-4000-8000-%012d", len(h.past)/80+h.rng.IntN(4))
	name := fmt.Sprintf("%c.%s", 'a'+h.rng.IntN(2), suffix)
	at := fmt.Sprint(n, id, name)
	if h.ders[at] == nil {
		h.ders[at] = h.chain.function(h.keys[n], suffix, id, name)
	}
	return publishAs("nf", h.ders[at])
}

// turning changes an organisation or a namespace, delegates, or cuts off: what members vote on, or an owner's admins do.
func (h *history) turning() (body []byte, voted bool, signers []string) {
	acme, other := []string{adminOne, adminTwo}, []string{"other-cells/admin-1"}
	from := uint64(h.rng.IntN(len(h.all) + 5))
	n := h.rng.IntN(9)
	if len(h.past) < 1100 { // first a history of many, then cut-offs and what comes after them
		n = 4 + h.rng.IntN(5)
	}
	switch n {
	case 0:
		return cutLine(h.chain, fmt.Sprintf("acme-cells/line%s", []string{"", "-2"}[h.rng.IntN(2)]), from, []uint64{0, 3, 4, 5, 9, 1}[h.rng.IntN(6)]), true, acme
	case 1:
		return cutLine(h.chain, "other-cells/line", from, ledger.Superseded), true, other
	case 2:
		return cutOrg(h.chain, "other-cells", from, ledger.Cessation), true, other
	case 3:
		name := []string{"acme-cells", "other-cells"}[h.rng.IntN(2)]
		state := []ledger.OrgState{ledger.OrgActive, ledger.OrgActive, ledger.OrgActive, ledger.OrgSuspended}[h.rng.IntN(4)]
		return orgChange(h.chain, name, func(c *ledger.OrganisationChange) { c.State = &state }), true, acme
	case 4:
		quota := uint64(40 + h.rng.IntN(100))
		return orgChange(h.chain, "acme-cells", func(c *ledger.OrganisationChange) { c.QuotaDay = &quota }), true, acme
	case 5:
		op, key := organisation(h.t, h.chain, "op-one"), fmt.Sprintf("op-one/admin-%d", 2+h.rng.IntN(3))
		return orgChange(h.chain, "op-one", func(c *ledger.OrganisationChange) {
			c.Admins, c.AdminM = []ledger.Admin{h.stays("op-one/admin-1"), h.admin(op, key)}, 1
		}), false, []string{"op-one/admin-1"}
	case 6, 7:
		names := h.namespaces("acme-cells") // the suffix is the second, by what genesis makes of the seed, or the first
		return within(names[h.rng.IntN(len(names))], organisation(h.t, h.chain, "op-one"), fmt.Sprintf("%c.%s", 'b'+h.rng.IntN(5), dns)), false, acme
	}
	id := ledger.OrgID{1}
	if len(h.delegated) > 0 {
		id = h.delegated[h.rng.IntN(len(h.delegated))]
	}
	if h.rng.IntN(4) == 0 {
		return transfer(id, organisation(h.t, h.chain, []string{"acme-cells", "other-cells"}[h.rng.IntN(2)])), true, acme
	}
	return end(id), true, acme
}

// governance proposes, votes, withdraws, registers a line key or changes what is registered; of few organisations and names, so that they
// collide.
func (h *history) governance() ([]byte, []string) {
	governors := []string{govA, govB, govC, govD}
	if h.rng.IntN(4) == 0 {
		body, _, signers := h.turning()
		return body, signers
	}
	who := governors[h.rng.IntN(4):][:1]
	name := fmt.Sprintf("org-%d", h.rng.IntN(12))
	switch n := h.rng.IntN(10); {
	case n < 2:
		p := h.proposal(byte(h.rng.IntN(40)))
		p.Bodies = [][]byte{h.newOrg(name, []uint64{ledger.RoleVendor, ledger.RoleRegulator}[h.rng.IntN(2)])}
		id := ledger.RecordID(ledger.ProposalSeed(p.Nonce, 1), 0)
		if h.rng.IntN(2) == 0 {
			p.Bodies = append(p.Bodies, newDNS(id, fmt.Sprintf("n%d.example", h.rng.IntN(9))), newSerial(id, "N"))
		}
		if h.rng.IntN(3) == 0 {
			if body, voted, _ := h.turning(); voted {
				p.Bodies = [][]byte{body}
			}
		}
		if h.rng.IntN(8) == 0 {
			p.Bodies = append(p.Bodies, rulesBody(3, ledger.Millis(h.rng.IntN(3))*day/4))
		}
		p.Expires = ledger.MillisOf(h.now) + ledger.Millis(1+h.rng.IntN(40))*day/24
		p.Hold = ledger.Millis(h.rng.IntN(3)) * day / 4
		return ledger.EncodeBody(ledger.OpPropose, p), who
	case n < 3:
		p := h.proposal(byte(40+h.rng.IntN(40)), h.rule())
		return ledger.EncodeBody(ledger.OpPropose, p), who
	case n < 9 && len(h.proposals) > 0:
		v := h.proposals[max(0, len(h.proposals)-1-h.rng.IntN(4))]
		if h.rng.IntN(12) == 0 {
			return ledger.EncodeBody(ledger.OpWithdraw, ledger.Withdraw{Proposal: v.Proposal}), who
		}
		v.Choice = []ledger.Choice{ledger.Approve, ledger.Approve, ledger.Approve, ledger.Reject, ledger.Abstain}[h.rng.IntN(5)]
		if h.rng.IntN(3) == 0 {
			who = governors[h.rng.IntN(2):][:2+h.rng.IntN(2)]
		}
		return ledger.EncodeBody(ledger.OpVote, v), who
	}
	if h.rng.IntN(8) == 0 {
		return h.authority()
	}
	owner := ledger.RecordID(ledger.ProposalSeed([16]byte{byte(h.rng.IntN(40))}, 1), 0)
	return ledger.EncodeBody(ledger.OpLineKey, lineOf(h.chain, owner, name+"/line", owner)), []string{name + "/admin-1"}
}

func ruleTexts() []string {
	return []string{admit(`return "odd" if c.device_serial.endswith(("1", "3", "5", "7", "9")) else True`), admit(`return "two names" if len(c.dns_names) > 1 else True`),
		admit(`return {"ACME-1": True}[c.device_serial] if c.device_serial == "ACME-2" else True`), admit(`return True`)}
}

// rule proposes one of few rules for one of few scopes, in the place of nothing or of another of them.
func (h *history) rule() []byte {
	texts := ruleTexts()
	var org *ledger.OrgID
	if id := organisation(h.t, h.chain, "acme-cells"); h.rng.IntN(2) == 0 {
		org = &id
	}
	replaces := append([]string{"", "", "", ""}, texts...)[h.rng.IntN(len(texts)+4)]
	text := append(texts, "")[h.rng.IntN(len(texts)+1)]
	return ruleBody(uint64(h.rng.IntN(2)), org, text, replaces)
}

// authority registers a CA; of few keys and two organisations, so that they meet.
func (h *history) authority() ([]byte, []string) {
	orgs, namespaces := h.ids()
	key := fmt.Sprintf("ca-%d", h.rng.IntN(6))
	a := h.registration(orgs["op-one"], h.caOf(key, int64(1+h.rng.IntN(3)), nil), key)
	if h.rng.IntN(2) == 0 {
		return caBody(a), []string{"op-one/admin-1"}
	}
	a = h.registration(orgs["other-cells"], a.Certificate, key, namespaces["OTHER-"])
	return caBody(a), []string{"other-cells/admin-1"}
}

// note remembers the proposals that a block brought.
func (h *history) note(leaves [][]byte) {
	h.t.Helper()
	for i, raw := range leaves {
		e, err := ledger.ParseEntry(raw)
		if err != nil {
			h.t.Fatal(err)
		}
		if e.Op == nil {
			continue
		}
		if _, args, err := ledger.ParseBody(e.Op.Body); err == nil {
			if _, ok := args.(*ledger.Namespace); ok && e.Op.Effects.Authority == ledger.ByOwner {
				h.delegated = append(h.delegated, e.Op.Effects.Namespaces...)
			}
			if _, ok := args.(*ledger.Propose); ok {
				h.proposals = append(h.proposals, ledger.Vote{Proposal: uint64(len(h.all) + i), Digest: ledger.Sum(e.Op.Body)})
			}
		}
	}
}

func (h *history) tx() []byte {
	if len(h.past) > 0 && h.rng.IntN(10) == 0 {
		return h.past[h.rng.IntN(len(h.past))]
	}
	// Devices live before the members begin to cut their vendors off.
	young := len(h.past) < 500
	if !young && h.rng.IntN(3) == 0 {
		body, who := h.governance()
		raw := h.c.Tx(h.now, ledgertest.TxOptions{Nonce: h.rng.Uint64(), Mode: ledger.Mode(h.rng.IntN(2))}, [][]byte{body}, who...)
		h.past = append(h.past, raw)
		return raw
	}
	if h.rng.IntN(3) == 0 || young && h.rng.IntN(3) == 0 {
		return h.life()
	}
	who := actors[h.rng.IntN(len(actors))]
	n := 1
	if h.rng.IntN(4) == 0 {
		n += h.rng.IntN(6)
	}
	var bodies [][]byte
	for range n {
		bodies = append(bodies, h.body(who))
	}
	if who[0] == "self" {
		who = []string{h.key} // at least the last operation carries its SPKI
	}
	o := ledgertest.TxOptions{Nonce: h.rng.Uint64(), Mode: ledger.Mode(h.rng.IntN(2))}
	switch h.rng.IntN(40) {
	case 0:
		o.Expiry = h.now
	case 1:
		o.Channel = &ledger.Hash{9}
	case 2:
		o.Purpose = ledger.ForDryRun
	case 3:
		o.Expiry = h.now.Add(26 * time.Hour)
	}
	raw := h.c.Tx(h.now, o, bodies, who...)
	h.past = append(h.past, raw)
	return raw
}

// holders are who may hold a device, and the signers that speak for them.
var holders = map[string][]string{"acme-cells": strings.Fields(acme), "other-cells": {reseller}, "op-one": {one}, "op-two": {two}}

// life is a step in the life of a device, mostly one that can be: its key as it is by now, after its last event, signed by whom
// it takes.
func (h *history) life() []byte {
	serial := fmt.Sprintf("ACME-%d", len(h.past)/25+h.rng.IntN(4))
	key, next := serial, serial+".1"
	for n := 2; ; n++ {
		if k := h.keyRecord(next); k == nil {
			break
		}
		key, next = next, fmt.Sprintf("%s.%d", serial, n)
	}
	if h.rng.IntN(12) == 0 {
		key = serial // perhaps superseded
	}
	h.key = "device/" + key
	holder := "acme-cells"
	k := h.keyRecord(key)
	for name := range holders {
		if k != nil && k.Holder() == h.orgs[name] {
			holder = name
		}
	}
	var step ledger.LifeStep
	who := slices.Clone(holders[holder])
	spki, previous := h.c.SPKI(h.key), h.last(key)
	if h.rng.IntN(12) == 0 {
		previous -= min(previous, 3)
	}
	target := ledger.Sum(spki)
	evidence := &ledger.Hash{byte(h.rng.IntN(4))}
	pick := h.rng.IntN(11)
	if (holder == "op-one" || holder == "op-two") && h.rng.IntN(2) == 0 {
		pick = 3
	}
	switch pick {
	case 0, 1, 2:
		to := []string{"acme-cells", "other-cells", "op-one", "op-one", "op-two"}[h.rng.IntN(5)]
		step = &ledger.Transfer{Target: target, Previous: previous, To: h.orgs[to]}
		who = append(who, holders[to]...)
	case 3, 4:
		c := &ledger.Claim{Target: target, Previous: previous, SPKI: spki}
		c.Alg, c.Proof = h.c.Prove(c, key, h.orgs[holder])
		step = c
	case 5, 9, 10:
		step = &ledger.Return{Target: target, Previous: previous, Evidence: evidence}
	case 6:
		if step = (&ledger.Retire{Target: target, Previous: previous}); h.rng.IntN(2) > 0 {
			step = &ledger.Transfer{Target: target, Previous: previous, To: h.orgs["op-one"], Evidence: evidence}
			who = append(who, one)
		}
		who = append(who, strings.Fields(acme)...)
	default:
		r := &ledger.Rekey{Profile: 1, Target: target, Previous: previous, Certificate: h.c.DeviceKey(serial, dns, "device/"+next, 0)}
		if h.rng.IntN(2) == 0 {
			r.SPKI, who = spki, []string{h.key, "acme-cells/line"}
		} else {
			r.Evidence, who = evidence, strings.Fields(acme)
		}
		r.Alg, r.Proof = h.c.Prove(r, next, h.orgs["acme-cells"])
		step = r
	}
	if h.rng.IntN(12) == 0 {
		who = who[:1]
	}
	if h.rng.IntN(8) == 0 {
		who = append(who, strings.Fields(quorum)...)
	}
	slices.Sort(who)
	body := ledger.EncodeBody(step.Op(), step)
	if h.rng.IntN(5) == 0 {
		c := ledger.StatusChange{Action: ledger.Action(1 + h.rng.IntN(3)), Scope: ledger.ScopeCustody, Target: target}
		c.Reason = map[ledger.Action]uint64{ledger.Revoke: 5, ledger.Suspend: 6, ledger.Resume: 8}[c.Action]
		body, who = ledgertest.Change(c), slices.Clone(holders[holder])
	}
	raw := h.c.Tx(h.now, ledgertest.TxOptions{Nonce: h.rng.Uint64(), Mode: ledger.Mode(h.rng.IntN(2))}, [][]byte{body}, slices.Compact(who)...)
	h.past = append(h.past, raw)
	return raw
}

// replica is a node's state: layers over a store, finalised from below.
type replica struct {
	store  *ledgertest.MemStore
	head   *state.State
	layers []*state.State
}

func newReplica() *replica {
	r := &replica{store: &ledgertest.MemStore{}}
	r.head = state.Empty(r.store)
	return r
}

func (r *replica) push(s *state.State) { r.head, r.layers = s, append(r.layers, s) }

// finalise writes the lowest n layers to the store, as commit and the node do.
func (r *replica) finalise(n int) {
	for _, s := range r.layers[:n] {
		r.store.Put(s.Writes())
		s.Detach()
	}
	r.layers = r.layers[n:]
	if len(r.layers) > 0 {
		r.layers[0].Detach()
	}
}

// TestStateEquality: whoever executed, whoever folded the leaves, whoever loaded the records, and whoever has a filter that
// is good for nothing hold the same bytes and give the same answers.
func TestStateEquality(t *testing.T) {
	blocks, runs := 1000, 1
	if !testing.Short() {
		blocks, runs = 1200, 4
	}
	for range runs {
		seed := uint64(time.Now().UnixNano())
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) { equality(t, seed, blocks, nil) })
	}
}

// varied is a seed whose history meets all that covered asks for. Others are free to be tame: chance decides there.
const varied = 1

// TestStateEqualityCovers holds the generator of histories to what they must meet, by one of them.
func TestStateEqualityCovers(t *testing.T) { equality(t, varied, 1000, covers) }

// met is what a history met.
type met struct {
	codes     map[reason.Code]int
	proposals map[ledger.ProposalState]int // as they ended
	steps     map[ledger.Op]int            // of devices' lives
	kinds     map[ledger.Op]int            // of operations on the log
	cut       uint64                       // publications cut off
	now       int                          // of them, at the end
}

// covers demands that a history was not tame.
func covers(t *testing.T, m met) {
	for _, c := range []reason.Code{0, 1, 2, reason.Replayed, reason.Expired, reason.ExpiryTooFar, reason.WrongChannel, reason.NotAuthenticated,
		reason.NotAuthorised, reason.AlreadyRevoked, reason.InstanceOfAnother, reason.InstanceHasAnotherName, reason.ProposalDecided, reason.VoteUnchanged, reason.NameTaken,
		reason.Countersignature, reason.OrganisationState, reason.RuleRefused, reason.RuleDiffers,
		reason.LifeChanged, reason.NotTheHolder, reason.AlreadyHolder, reason.NotInCustody, reason.AlreadyClaimed, reason.KeySuperseded, reason.NotClaimed} {
		if m.codes[c] == 0 {
			t.Errorf("no random transaction was answered %s", c)
		}
	}
	for _, s := range []ledger.ProposalState{ledger.ProposalInForce, ledger.ProposalRejected} {
		if m.proposals[s] == 0 {
			t.Errorf("no proposal ended %s: %v", s, m.proposals)
		}
	}
	for op := ledger.OpRekey; op <= ledger.OpReturn; op++ {
		if m.steps[op] == 0 {
			t.Errorf("no %s was accepted", op)
		}
	}
	for _, op := range []ledger.Op{ledger.OpNamespace, ledger.OpOrganisationChange, ledger.OpNamespaceChange, ledger.OpCutOff} {
		if m.kinds[op] == 0 {
			t.Errorf("no operation %d was accepted: %v", op, m.kinds)
		}
	}
	if m.now == 0 || m.cut == 0 {
		t.Errorf("%d certificates are cut off, %d were", m.now, m.cut)
	}
}

func equality(t *testing.T, seed uint64, blocks int, demand func(t *testing.T, m met)) {
	delegable := func(f *ledger.Founding) {
		granted(f)
		operators(f)
		for i := range f.Namespaces {
			f.Namespaces[i].Delegable = f.Namespaces[i].Type == ledger.NamespaceDNS
		}
	}
	h := &history{chain: start(t, 4, ledgertest.Quotas{Day: 60, Total: 2000}, delegable), rng: rand.New(rand.NewPCG(seed, 1)), ders: map[string][]byte{},
		orgs: map[string]ledger.OrgID{}}
	for name := range holders {
		h.orgs[name] = h.org(name)
	}
	executed, folded, unfiltered := newReplica(), newReplica(), newReplica()
	state.MayHaveAll(unfiltered.head)
	seen, steps := map[reason.Code]int{}, map[ledger.Op]int{}
	applied := map[ledger.Hash]bool{}
	step := func(b *ledger.Block) *state.Executed {
		t.Helper()
		x, err := state.Execute(executed.head, b, facts)
		if err != nil {
			t.Fatal(err)
		}
		f, err := state.Fold(folded.head, x.Leaves)
		if err != nil {
			t.Fatalf("height %d: %v", b.Header.Height, err)
		}
		u, err := state.Execute(unfiltered.head, b, facts)
		if err != nil {
			t.Fatal(err)
		}
		if !sameLeaves(x.Leaves, u.Leaves) {
			t.Fatalf("height %d: the filter decided", b.Header.Height)
		}
		executed.push(x.State)
		folded.push(f)
		unfiltered.push(u.State)
		for _, r := range []*replica{executed, folded, unfiltered} {
			if r.head.Root() != x.State.Root() || r.head.Chunks().Root() != x.State.Chunks().Root() {
				t.Fatalf("height %d: roots differ", b.Header.Height)
			}
			r.finalise(h.rng.IntN(1 + min(len(r.layers), 4)))
		}
		for _, r := range x.Results {
			applied[r.ID] = true
			for _, v := range r.Verdicts {
				seen[v.Code]++
			}
		}
		for _, r := range x.Refused {
			seen[r.Why.Code]++
		}
		h.note(x.Leaves)
		for _, raw := range x.Leaves {
			if e, err := ledger.ParseEntry(raw); err == nil && e.Op != nil {
				if op, _, err := ledger.ParseBody(e.Op.Body); err == nil {
					steps[op]++
				}
			}
		}
		h.head, h.all = x.State, append(h.all, x.Leaves...)
		return x
	}
	same := func() *state.State {
		t.Helper()
		for _, r := range []*replica{executed, folded, unfiltered} {
			r.finalise(len(r.layers))
			if r.store.Sum() != executed.store.Sum() {
				t.Fatal("records differ")
			}
		}
		l := load(t, executed.store, h.all)
		if l.Root() != executed.head.Root() || l.Chunks().Root() != executed.head.Chunks().Root() || fmt.Sprint(l.Channel()) != fmt.Sprint(executed.head.Channel()) {
			t.Fatal("the loaded state differs")
		}
		agree(t, executed.store, l)
		return l
	}
	genesis, err := ledger.ParseBlock(h.c.Genesis)
	if err != nil {
		t.Fatal(err)
	}
	h.all = nil
	step(genesis)
	first := ledger.EncodeBody(ledger.OpPropose, h.proposal(200, ruleBody(0, nil, ruleTexts()[0], "")))
	step(h.next(h.chain.tx([][]byte{first}, govA)))
	v := h.proposals[0]
	step(h.next(h.chain.tx([][]byte{vote(v.Proposal, v.Digest, ledger.Approve)}, govA, govB, govC)))
	for i := range blocks {
		if h.rng.IntN(60) == 0 {
			h.now = h.now.Add(time.Duration(h.rng.IntN(30)) * time.Hour)
		}
		var txs [][]byte
		for range 1 + h.rng.IntN(4) {
			txs = append(txs, h.tx())
		}
		step(h.next(txs...))
		if i%97 == 0 {
			// A restart: from here on from what the disk has.
			l := same()
			executed.head, executed.layers = l, nil
		}
	}
	loaded := same()
	// Everything again, to all of them: the same refusals, and no effect.
	h.now = h.now.Add(time.Second)
	for from := 0; from < len(h.past); from += ledger.MaxLeafless {
		b := h.next(h.past[from:min(len(h.past), from+ledger.MaxLeafless)]...)
		y, err := state.Execute(loaded, b, facts)
		if err != nil {
			t.Fatal(err)
		}
		g, err := state.Execute(folded.head, b, facts)
		if err != nil {
			t.Fatal(err)
		}
		again := 0
		for _, tx := range b.Txs {
			if !applied[tx.ID] {
				again++ // it had no effect the first time, and its time may have come
			}
		}
		x := step(b)
		if !sameLeaves(x.Leaves, y.Leaves) || !sameLeaves(x.Leaves, g.Leaves) {
			t.Fatal("another answer to what was submitted before")
		}
		if len(x.Results) > again {
			t.Error("a transaction was executed twice")
		}
		loaded = y.State
	}
	same()
	m := met{codes: seen, proposals: map[ledger.ProposalState]int{}, steps: steps, kinds: map[ledger.Op]int{}}
	h.store = executed.store
	for _, v := range h.proposals {
		m.proposals[h.record(v.Proposal).State]++
	}
	for _, raw := range h.all {
		if e, err := ledger.ParseEntry(raw); err == nil && e.Op != nil {
			op, _, _ := ledger.ParseBody(e.Op.Body)
			m.kinds[op]++
			for _, c := range e.Op.Effects.Cuts {
				m.cut += c.Leaves
			}
		}
	}
	m.now = agree(t, executed.store, executed.head)
	if demand != nil {
		demand(t, m)
	}
	t.Logf("%d leaves, %d transactions, %d kinds of answer, operations %v, %d cut off", len(h.all), len(h.past), len(seen), m.kinds, m.cut)
}

func sameLeaves(a, b [][]byte) bool {
	return bytes.Equal(bytes.Join(a, nil), bytes.Join(b, nil)) && len(a) == len(b)
}
