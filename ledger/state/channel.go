package state

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/quorate-pki/quorate/ca/profile"
	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
)

// createChannel makes a further channel: the main channel knows its name, its genesis and its members, and that they agreed.
func (e *enactment) createChannel(c *ledger.Channel) *reason.Error {
	s := e.st
	if s.channel.Main != nil {
		return reason.New(reason.NotTheMainChannel, "%s was created by %x", s.channel.Name, *s.channel.Main)
	}
	if c.Name == s.channel.Name || s.registry.channels[c.Name] != nil {
		return reason.New(reason.ChannelNameTaken, "%q", c.Name)
	}
	for _, other := range s.registry.channels {
		if other.ID == c.ID || other.Genesis == c.Genesis {
			return reason.New(reason.ChannelKnown, "%x is %q", c.ID, other.Name)
		}
	}
	if len(s.registry.channels) >= ledger.MaxChannels {
		return reason.New(reason.TooManyChannels, "%d", ledger.MaxChannels)
	}
	m, err := s.Members()
	if err != nil {
		return reason.New(reason.ChannelMemberUnknown, "%v", err)
	}
	if no := Consented(s.channel.Channel, m, c); no != nil {
		return no
	}
	e.keepChannel(&ledger.FurtherChannel{Channel: *c, Leaf: e.by.leaf, Decision: e.by.decision})
	return nil
}

// Consented demands that a further channel's members are members of the main channel and that each has consented by its governance key.
func Consented(main ledger.Hash, set *ledger.MemberSet, c *ledger.Channel) *reason.Error {
	members := make([]*ledger.Member, len(c.Members))
	for i, n := range c.Members {
		at := slices.IndexFunc(set.Members, func(m ledger.Member) bool { return m.Number == n })
		if at < 0 {
			return reason.New(reason.ChannelMemberUnknown, "member %d", n)
		}
		members[i] = &set.Members[at]
	}
	msg := c.ConsentMessage(main)
	for i, m := range members {
		key, err := profile.ParseSPKI(m.Keys[ledger.KeyGovernance])
		if err != nil || !key.VerifyCOSE(c.Consents[i].Alg, msg, c.Consents[i].Signature) {
			return reason.New(reason.ChannelConsent, "of member %d %s", m.Number, m.Name)
		}
	}
	return nil
}

// restateChannel judges a member's statement of a channel: it is accepted when it says what is in force, bit for bit, so the leaf's
// receipt proves that the channel was created by a vote that took effect.
func (j *judge) restateChannel(tx *ledger.Parsed, c *ledger.Channel, e *ledger.Effects) *outcome {
	by, _, ok := j.fold.st.voters(tx.Tx.Signers)
	if !ok || len(by) != 1 {
		return refuse(reason.New(reason.NotAMember, ""))
	}
	if j.fold.st.inForce(c) == nil {
		return refuse(reason.New(reason.ChannelNotCreated, "%q", c.Name))
	}
	e.Members = by
	return nil
}

// inForce is the channel that c says, in every field; nil when there is none.
func (s *State) inForce(c *ledger.Channel) *ledger.FurtherChannel {
	rec := s.registry.channels[c.Name]
	if rec == nil || !bytes.Equal(ledger.Encode(rec.Channel), ledger.Encode(c)) {
		return nil
	}
	return rec
}

// channelRestated folds such a statement.
func (f *folder) channelRestated(l *ledger.OpLeaf, c *ledger.Channel, at uint64) error {
	if len(l.Effects.Runs) > 0 {
		return fmt.Errorf("%w: a channel gives no leaf a status", ErrBadLeaves)
	}
	rec := f.st.inForce(c)
	if rec == nil {
		return fmt.Errorf("%w: a channel restated that was not created so", ErrBadLeaves)
	}
	f.own()
	next := *rec
	next.Restated = at
	f.keepChannel(&next)
	return nil
}

// keepChannel writes a further channel; the caller has made the registry this layer's own.
func (f *folder) keepChannel(rec *ledger.FurtherChannel) {
	f.st.registry.channels[rec.Name] = rec
	f.st.put(ledger.RecordFurther, rec.ID[:], rec)
}
