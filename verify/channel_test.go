package verify_test

import (
	"testing"
	"time"

	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/ledgertest"
	"github.com/quorate-pki/quorate/verify"
)

// channels are a main channel of four members and a further one of three that it created and stated.
type channels struct {
	*world
	draft   *ledger.ChannelDraft
	channel *ledger.Channel
	other   *world
	stated  uint64 // leaf of the statement
	asked   uint64 // leaf of the proposal
}

func furtherChannel(t testing.TB, name string, nonce byte, spoil ...func(*ledger.Founding)) *channels {
	t.Helper()
	c := ledgertest.Unfounded(7)
	f, gov := c.Founding(4, ledgertest.Quotas{Day: 1_000_000, Total: 100_000_000})
	f.Rules = ledger.NewestRules
	must(t, c.Use(f, gov))
	x := &channels{world: foundedBy(t, c, 4)}
	of, _ := c.Founding(3, ledgertest.Quotas{Day: 1_000_000, Total: 100_000_000})
	of.Channel, of.Rules, of.Main, of.Nonce = name, ledger.NewestRules, c.Channel, [16]byte{nonce}
	for _, f := range spoil {
		f(of)
	}
	var err error
	x.draft, err = of.Draft()
	must(t, err)
	var sigs []*ledger.DraftSignature
	members := []string{"ca-a/governance", "ca-b/governance", "ca-c/governance"}
	for _, who := range members {
		s, err := x.draft.Sign(c.Signer(who))
		must(t, err)
		sigs = append(sigs, s)
	}
	raw, channel, err := x.draft.Complete(sigs, c.Key("ca-b/block"))
	must(t, err)
	x.channel = channel
	body := ledger.EncodeBody(ledger.OpChannel, channel)
	propose := ledger.EncodeBody(ledger.OpPropose, ledger.Propose{Title: name, Bodies: [][]byte{body}, Expires: ledger.MillisOf(x.now.Add(time.Hour))})
	x.asked = x.block("ca-d/governance", propose)
	for _, who := range members {
		x.block(who, ledger.EncodeBody(ledger.OpVote, ledger.Vote{Proposal: x.asked, Choice: ledger.Approve, Digest: ledger.Sum(propose)}))
	}
	x.stated = x.block("ca-d/governance", body)
	further := *c
	further.Genesis, further.Channel, further.Set = raw, channel.ID, x.draft.Members()
	x.other = foundedBy(t, &further, 3)
	return x
}

// entryOf is the receipt of a leaf that is no publication, in a tree of the newest size.
func (w *world) entryOf(leaf uint64) *draft {
	d := w.draft(leaf, w.size())
	d.receipt = &ledger.ReceiptExtra{Version: 1, Before: w.leaves[leaf], After: []byte{}}
	return d
}

// proof is the proof of the channel; each part can be spoilt.
func (x *channels) proof(spoil func(*ledger.ChannelProof)) []byte {
	p := &ledger.ChannelProof{Statement: x.entryOf(x.stated).file(), Payload: x.draft.Payload, Founding: x.draft.Bodies[0]}
	if spoil != nil {
		spoil(p)
	}
	return p.Encode()
}

// TestChannel takes a certificate of a further channel from nothing but the main channel's policy.
func TestChannel(t *testing.T) {
	x := furtherChannel(t, "b2b", 1)
	main, err := verify.NewTrust(x.c.Policy(), x.now)
	must(t, err)
	f, err := verify.Channel(main, x.proof(nil))
	must(t, err)
	if f.Name != "b2b" || f.ID != x.channel.ID || f.Leaf != x.stated || len(f.Set.Members) != 3 || f.Policy.Quorum != 3 || f.Policy.Origin != "test.example/b2b/0" {
		t.Errorf("%+v", f)
	}
	der := x.other.device("ACME-1", time.Time{})
	x.other.publish("ACME-1")
	leaf := x.other.leafOf["ACME-1"]
	receipt := x.other.receiptOf(leaf, x.other.size(), der).file()
	pub, err := verify.Receipt(f.Policy, receipt, der)
	must(t, err)
	status, err := verify.Status(f.Policy, x.other.statusOf(leaf, x.other.size(), 0).file(), leaf)
	must(t, err)
	must(t, verify.Verdict(pub, status, der, time.Unix(asOf, 0), time.Hour))
	if _, err := verify.Receipt(main, receipt, der); err == nil {
		t.Error("the main channel's policy takes the further one's receipt")
	}
	if _, err := verify.Receipt(f.Policy, x.entryOf(x.stated).file(), nil); err == nil {
		t.Error("the further channel's policy takes a proof of the main one's log")
	}
}

// TestChannelRefuses: each case breaks one link of the chain from the main channel's policy to the further one's members.
func TestChannelRefuses(t *testing.T) {
	x, alike := furtherChannel(t, "b2b", 1), furtherChannel(t, "b2b", 2)
	named := furtherChannel(t, "b2c", 1)
	foreign := furtherChannel(t, "b2b", 3, func(f *ledger.Founding) { f.Consortium = "other.example" })
	founding := func(change func(*ledger.Consortium, *ledger.MemberSet)) []byte {
		_, args, err := ledger.ParseBody(x.draft.Bodies[0])
		must(t, err)
		c := *args.(*ledger.Consortium)
		set, err := ledger.ParseMemberSet(c.MemberSet)
		must(t, err)
		change(&c, set)
		c.MemberSet = ledger.Encode(set)
		return ledger.EncodeBody(ledger.OpConsortium, c)
	}
	// A genesis of one's own making, under the id that the main channel would have to have created.
	own := func(body []byte) func(*ledger.ChannelProof) {
		return func(p *ledger.ChannelProof) {
			var tx ledger.Tx
			must(t, ledger.Decode(p.Payload, &tx))
			tx.Bodies[0] = ledger.Sum(body)
			p.Payload, p.Founding = ledger.Encode(&tx), body
		}
	}
	mine := founding(func(_ *ledger.Consortium, set *ledger.MemberSet) {
		set.Members[0].Keys[ledger.KeyCosigning] = x.c.SPKI("mallory")
	})
	main, err := verify.NewTrust(x.c.Policy(), x.now)
	must(t, err)
	for name, c := range map[string]struct {
		proof []byte
		want  reason.Code
	}{
		"nothing":                     {nil, reason.ChannelProof},
		"another version":             {ledger.Encode(ledger.ChannelProof{Version: 2}), reason.ChannelProof},
		"one that was only proposed":  {x.proof(func(p *ledger.ChannelProof) { p.Statement = x.entryOf(x.asked).file() }), reason.ChannelProof},
		"a vote":                      {x.proof(func(p *ledger.ChannelProof) { p.Statement = x.entryOf(x.stated - 3).file() }), reason.ChannelProof},
		"a transaction":               {x.proof(func(p *ledger.ChannelProof) { p.Statement = x.entryOf(x.stated - 1).file() }), reason.ChannelProof},
		"too few cosigned":            {x.proof(func(p *ledger.ChannelProof) { p.Statement = x.entryOf(x.stated).do(fewer) }), reason.QuorumNotReached},
		"stated by the further log":   {x.proof(func(p *ledger.ChannelProof) { p.Statement = x.other.entryOf(1).file() }), reason.WrongOrigin},
		"a genesis nobody voted for":  {x.proof(own(mine)), reason.ChannelNotCreated},
		"keys that are not in it":     {x.proof(func(p *ledger.ChannelProof) { p.Founding = mine }), reason.ChannelProof},
		"another genesis, same name":  {x.proof(func(p *ledger.ChannelProof) { p.Payload, p.Founding = alike.draft.Payload, alike.draft.Bodies[0] }), reason.ChannelNotCreated},
		"another channel's":           {x.proof(func(p *ledger.ChannelProof) { p.Payload, p.Founding = named.draft.Payload, named.draft.Bodies[0] }), reason.ChannelNotCreated},
		"of another consortium":       {foreign.proof(nil), reason.ChannelProof},
		"another operation":           {x.proof(func(p *ledger.ChannelProof) { p.Founding = x.draft.Bodies[1] }), reason.ChannelProof},
		"a payload that is no map":    {x.proof(func(p *ledger.ChannelProof) { p.Payload = []byte{1} }), reason.ChannelProof},
		"a transaction of some other": {x.proof(func(p *ledger.ChannelProof) { own(p.Founding)(p); p.Payload[4] ^= 1 }), reason.ChannelProof},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := verify.Channel(main, c.proof)
			if code, _ := reason.CodeOf(err); code != c.want {
				t.Errorf("%v, want %s", err, c.want)
			}
		})
	}
}

// fewer takes cosignatures away until there is no quorum.
func fewer(d *draft) { d.members = d.members[:d.w.q-1] }
