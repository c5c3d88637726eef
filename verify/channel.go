package verify

import (
	"slices"
	"strings"

	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/tlog"
)

// Further is a further channel of a consortium, proved by the main channel's policy.
type Further struct {
	ledger.Channel
	Set    *ledger.MemberSet // that it began with
	Policy *tlog.Policy      // of its log, by that member set, until when the main channel's is; Trust follows those that came later
	Leaf   uint64            // of the main channel's log: the statement
}

// Channel verifies that the main channel, which p is of, created a further channel by a vote that took effect, and returns what
// that channel's receipts and statuses are verified by. From the genesis transaction, whose hash the main channel voted for, it takes
// the member set: a quorum of that one's members speaks for that channel, and nobody of the main channel has to.
func Channel(p *Trust, proof []byte) (*Further, error) {
	x, err := ledger.ParseChannelProof(proof)
	if err != nil {
		return nil, reason.New(reason.ChannelProof, "%v", err)
	}
	at, _, raw, err := Entry(p, x.Statement, nil)
	if err != nil {
		return nil, err
	}
	entry, err := ledger.ParseEntry(raw)
	if err != nil || entry.Op == nil {
		return nil, reason.New(reason.ChannelProof, "leaf %d is of another kind", at.Index)
	}
	// Within a proposal it would be the body of a proposal's body: only asked for.
	c, ok := arguments(entry.Op).(*ledger.Channel)
	if !ok {
		return nil, reason.New(reason.ChannelProof, "leaf %d is another operation", at.Index)
	}
	id, founding, err := x.Genesis()
	if err != nil {
		return nil, reason.New(reason.ChannelProof, "%v", err)
	}
	if id != c.ID {
		return nil, reason.New(reason.ChannelNotCreated, "the main channel created %x, this genesis is %x", c.ID, id)
	}
	set, err := ledger.ParseMemberSet(founding.MemberSet)
	if err != nil {
		return nil, reason.New(reason.ChannelProof, "%v", err)
	}
	var numbers []uint64
	for _, m := range set.Members {
		numbers = append(numbers, m.Number)
	}
	consortium, _, _ := strings.Cut(p.Policy().Origin, "/")
	switch {
	case set.Consortium != consortium || founding.Name != consortium:
		return nil, reason.New(reason.ChannelProof, "it is of consortium %q, the policy of %q", set.Consortium, consortium)
	case set.Channel != c.Name || founding.Channel != c.Name:
		return nil, reason.New(reason.ChannelProof, "its genesis is that of channel %q, the main channel created %q", set.Channel, c.Name)
	case set.Number != 1 || !slices.Equal(numbers, c.Members):
		return nil, reason.New(reason.ChannelProof, "its members are %v, the main channel said %v", numbers, c.Members)
	}
	return &Further{Channel: *c, Set: set, Policy: set.PolicyUntil(0, p.Policy().Expires), Leaf: at.Index}, nil
}
