package state

import (
	"slices"

	"github.com/quorate-pki/quorate/ca/profile"
	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
)

// Consented demands that a further channel's members are members of the main channel and that each has consented by its governance key.
func Consented(main ledger.Hash, set *ledger.MemberSet, c *ledger.Channel) *reason.Error {
	msg := c.ConsentMessage(main)
	for i, n := range c.Members {
		at := slices.IndexFunc(set.Members, func(m ledger.Member) bool { return m.Number == n })
		if at < 0 {
			return reason.New(reason.ChannelMemberUnknown, "member %d", n)
		}
		key, err := profile.ParseSPKI(set.Members[at].Keys[ledger.KeyGovernance])
		if err != nil || !key.VerifyCOSE(c.Consents[i].Alg, msg, c.Consents[i].Signature) {
			return reason.New(reason.ChannelConsent, "of member %d %s", n, set.Members[at].Name)
		}
	}
	return nil
}
