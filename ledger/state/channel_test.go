package state_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/state"
)

// drafted is a further channel of a consortium's first members: its genesis block, and what the main channel is asked to create.
func (x *chain) drafted(name string, nonce byte, members int) ([]byte, *ledger.Channel) {
	x.t.Helper()
	d := x.draft(name, nonce, members)
	var sigs []*ledger.DraftSignature
	for _, who := range []string{govA, govB, govC, govD}[:members] {
		s, err := d.Sign(x.c.Signer(who))
		if err != nil {
			x.t.Fatal(err)
		}
		sigs = append(sigs, s)
	}
	raw, c, err := d.Complete(sigs, x.c.Key("ca-a/block"))
	if err != nil {
		x.t.Fatal(err)
	}
	return raw, c
}

func (x *chain) draft(name string, nonce byte, members int) *ledger.ChannelDraft {
	x.t.Helper()
	f, _ := x.c.Founding(members, plenty)
	f.Channel, f.Rules, f.Main, f.Nonce = name, ledger.NewestRules, x.head.Channel().Channel, [16]byte{nonce}
	d, err := f.Draft()
	if err != nil {
		x.t.Fatal(err)
	}
	return d
}

func channelBody(c *ledger.Channel) []byte { return ledger.EncodeBody(ledger.OpChannel, c) }

// further reads a channel's record; nil when there is none.
func (x *chain) further(id ledger.Hash) *ledger.FurtherChannel {
	x.t.Helper()
	raw, err := x.store.Get(state.Key(ledger.RecordFurther, id[:]))
	if err != nil || raw == nil {
		return nil
	}
	var c ledger.FurtherChannel
	if err := ledger.Decode(raw, &c); err != nil {
		x.t.Fatal(err)
	}
	return &c
}

// TestFurtherChannel creates one by vote, has it restated, and starts it.
func TestFurtherChannel(t *testing.T) {
	x := start(t, 4, plenty, nil)
	raw, c := x.drafted("b2b", 1, 3)
	expect(t, x.one(channelBody(c), govA), reason.ChannelNotCreated)
	leaf := x.decide(x.proposal(1, channelBody(c)))
	p := x.wantState(leaf, ledger.ProposalInForce)
	rec := x.further(c.ID)
	if rec == nil || rec.Name != "b2b" || len(rec.Members) != 3 || rec.Leaf != leaf || rec.Decision != p.Leaf || rec.Restated != 0 {
		t.Fatalf("the record says %+v", rec)
	}
	x.reload()
	v := x.one(channelBody(c), govD)
	expect(t, v, reason.Accepted)
	if rec = x.further(c.ID); rec.Restated != v.Leaf {
		t.Errorf("restated in leaf %d, the record says %d", v.Leaf, rec.Restated)
	}
	for name, spoil := range map[string]func(*ledger.Channel){
		"name":    func(c *ledger.Channel) { c.Name = "b2c" },
		"id":      func(c *ledger.Channel) { c.ID[0] ^= 1 },
		"genesis": func(c *ledger.Channel) { c.Genesis[0] ^= 1 },
		"members": func(c *ledger.Channel) { c.Members = []uint64{1, 2, 4} },
		"fewer":   func(c *ledger.Channel) { c.Members, c.Consents = c.Members[:2], c.Consents[:2] },
	} {
		other := *c
		spoil(&other)
		if v := x.one(channelBody(&other), govA); v.Code != reason.ChannelNotCreated {
			t.Errorf("restated with another %s: %s", name, v.Code)
		}
	}
	expect(t, x.one(channelBody(c), "acme-cells/admin-1"), reason.NotAMember)
	expect(t, x.one(channelBody(c), govA, govB), reason.NotAMember)

	// Its genesis is one that the rules accept, names the main channel, and has the members by their numbers.
	b, err := ledger.ParseBlock(raw)
	if err != nil {
		t.Fatal(err)
	}
	e, err := state.Execute(state.Empty(x.store), b, state.Direct{})
	if err != nil {
		t.Fatal(err)
	}
	ch := e.State.Channel()
	if ch.Channel != c.ID || ch.Main == nil || *ch.Main != x.head.Channel().Channel || ledger.Sum(raw) != c.Genesis {
		t.Errorf("genesis starts %+v", ch)
	}
}

// TestFurtherChannelRefusals has a row for each channel that cannot be proposed.
func TestFurtherChannelRefusals(t *testing.T) {
	x := start(t, 4, plenty, nil)
	_, taken := x.drafted("taken", 1, 3)
	x.decide(x.proposal(1, channelBody(taken)))
	_, good := x.drafted("b2b", 2, 3)
	_, own := x.drafted("main", 3, 3)
	_, named := x.drafted("taken", 4, 3)
	for name, row := range map[string]struct {
		from  *ledger.Channel
		spoil func(*ledger.Channel)
		want  reason.Code
	}{
		"the main channel's name":   {own, nil, reason.ChannelNameTaken},
		"a name that is taken":      {named, nil, reason.ChannelNameTaken},
		"a channel that exists":     {good, func(c *ledger.Channel) { c.ID = taken.ID }, reason.ChannelKnown},
		"a block that exists":       {good, func(c *ledger.Channel) { c.Genesis = taken.Genesis }, reason.ChannelKnown},
		"a stranger":                {good, func(c *ledger.Channel) { c.Members = []uint64{1, 2, 9} }, reason.ChannelMemberUnknown},
		"who did not consent":       {good, func(c *ledger.Channel) { c.Members = []uint64{1, 2, 4} }, reason.ChannelConsent},
		"consent to another id":     {good, func(c *ledger.Channel) { c.ID[31] ^= 1 }, reason.ChannelConsent},
		"consent to another name":   {good, func(c *ledger.Channel) { c.Name = "b2c" }, reason.ChannelConsent},
		"consent among more":        {good, func(c *ledger.Channel) { c.Members, c.Consents = c.Members[:2], c.Consents[:2] }, reason.ChannelConsent},
		"a consent of somebody's":   {good, func(c *ledger.Channel) { c.Consents[1] = c.Consents[0] }, reason.ChannelConsent},
		"no members":                {good, func(c *ledger.Channel) { c.Members, c.Consents = nil, nil }, reason.BadBody},
		"a consent short":           {good, func(c *ledger.Channel) { c.Consents = c.Consents[:2] }, reason.BadBody},
		"members out of order":      {good, func(c *ledger.Channel) { c.Members = []uint64{2, 1, 3} }, reason.BadBody},
		"a member twice":            {good, func(c *ledger.Channel) { c.Members = []uint64{1, 1, 3} }, reason.BadBody},
		"no name":                   {good, func(c *ledger.Channel) { c.Name = "B2B" }, reason.BadBody},
		"no genesis":                {good, func(c *ledger.Channel) { c.Genesis = ledger.Hash{} }, reason.BadBody},
		"nothing wrong, of course.": {good, nil, reason.Accepted},
	} {
		t.Run(name, func(t *testing.T) {
			c := *row.from
			c.Members, c.Consents = append([]uint64{}, c.Members...), append([]ledger.Consent{}, c.Consents...)
			if row.spoil != nil {
				row.spoil(&c)
			}
			expect(t, x.one(ledger.EncodeBody(ledger.OpPropose, x.proposal(9, channelBody(&c))), govA), row.want)
		})
	}
}

// TestFurtherChannelsRace has two proposals of one name approved: the second fails when it would take effect.
func TestFurtherChannelsRace(t *testing.T) {
	x := start(t, 4, plenty, nil)
	_, a := x.drafted("b2b", 1, 3)
	_, b := x.drafted("b2b", 2, 2)
	first, d1 := x.propose(x.proposal(1, channelBody(a)), govA)
	second, d2 := x.propose(x.proposal(2, channelBody(b)), govB)
	for _, who := range []string{govA, govB, govC} {
		expect(t, x.one(vote(second, d2, ledger.Approve), who), reason.Accepted)
	}
	for _, who := range []string{govA, govB, govC} {
		expect(t, x.one(vote(first, d1, ledger.Approve), who), reason.Accepted)
	}
	x.wantState(second, ledger.ProposalInForce)
	if p := x.wantState(first, ledger.ProposalFailed); p.Code != reason.ChannelNameTaken {
		t.Errorf("it failed because of %s", p.Code)
	}
	// Approved, and yet not in force: what is restated is what is.
	expect(t, x.one(channelBody(a), govA), reason.ChannelNotCreated)
	expect(t, x.one(channelBody(b), govA), reason.Accepted)
}

// TestOnlyTheMainChannelCreates starts a further channel, whose members want one more.
func TestOnlyTheMainChannelCreates(t *testing.T) {
	x := start(t, 4, plenty, func(f *ledger.Founding) { f.Main = ledger.Hash{5} })
	_, c := x.drafted("b2b", 1, 3)
	expect(t, x.one(ledger.EncodeBody(ledger.OpPropose, x.proposal(1, channelBody(c))), govA), reason.NotTheMainChannel)
	old := start(t, 4, plenty, func(f *ledger.Founding) { f.Rules = 2 })
	expect(t, old.one(channelBody(c), govA), reason.UnknownOperation)
}

// TestGenesisOfAFurtherChannel refuses one under rules that have no channels.
func TestGenesisOfAFurtherChannel(t *testing.T) {
	x := start(t, 4, plenty, nil)
	f, gov := x.c.Founding(3, plenty)
	f.Channel, f.Main, f.Rules = "b2b", ledger.Hash{5}, 2
	raw, err := ledger.Found(*f, gov, x.c.Key("ca-a/block"))
	if err != nil {
		t.Fatal(err)
	}
	b, err := ledger.ParseBlock(raw)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := state.Execute(state.Empty(x.store), b, state.Direct{}); !errors.Is(err, state.ErrInvalidBlock) {
		t.Error(err)
	}
}

// TestDraft spoils what goes round among the members.
func TestDraft(t *testing.T) {
	x := start(t, 4, plenty, nil)
	d := x.draft("b2b", 1, 3)
	if _, err := d.Sign(x.c.Signer(govD)); err == nil {
		t.Error("signed by who is no member")
	}
	other := x.draft("b2b", 2, 3)
	var sigs []*ledger.DraftSignature
	for _, who := range []string{govA, govB, govC} {
		s, err := d.Sign(x.c.Signer(who))
		if err != nil {
			t.Fatal(err)
		}
		again, err := ledger.ParseDraftSignature(ledger.Encode(s))
		if err != nil {
			t.Fatal(err)
		}
		sigs = append(sigs, again)
	}
	if _, _, err := other.Complete(sigs, x.c.Key("ca-a/block")); err == nil {
		t.Error("signatures of another draft completed this one")
	}
	if _, _, err := d.Complete(sigs[:2], x.c.Key("ca-a/block")); err == nil || !strings.Contains(err.Error(), "ca-c") {
		t.Errorf("completed with two of three: %v", err)
	}
	raw := d.Encode()
	for i := range raw {
		bad := append([]byte{}, raw...)
		bad[i] ^= 1
		if p, err := ledger.ParseChannelDraft(bad); err == nil && p.ID() == d.ID() {
			t.Fatalf("byte %d changed, the id did not", i)
		}
	}
}
