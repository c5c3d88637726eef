package fsck

import (
	"github.com/cockroachdb/pebble/v2"

	"github.com/quorate-pki/quorate/ca/profile"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/layout"
	"github.com/quorate-pki/quorate/ledger/tlog"
)

// memberSets finds the member sets that followed genesis' in the index, and takes those that are signed as they must be. Whether each is on
// the log, and since when it is in force, comparing the index with the fold of the leaves shows.
func (c *checker) memberSets() {
	if c.members == nil || c.index.db == nil {
		return
	}
	var links []ledger.MemberSetLink
	err := guard(func() error {
		it, err := c.index.db.NewIter(&pebble.IterOptions{LowerBound: []byte{byte(ledger.RecordMemberSet)}, UpperBound: []byte{byte(ledger.RecordMemberSet) + 1}})
		if err != nil {
			return err
		}
		for ok := it.First(); ok; ok = it.Next() {
			var r ledger.MemberSetRecord
			if err := ledger.Decode(it.Value(), &r); err != nil {
				break // comparing names it
			}
			links = append(links, r.Link())
		}
		return it.Close()
	})
	if err != nil {
		c.nameBroken(err)
	}
	if err != nil || len(links) == 0 {
		return
	}
	sets, no := ledger.Walk(ledger.Sum(ledger.Encode(c.members)), links, profile.VerifySPKI)
	if no != nil {
		c.differs(layout.Index, "the member sets do not follow from genesis: %v", no)
		return
	}
	for _, m := range sets[1:] {
		c.policies = append(c.policies, m.Policy(0))
	}
	c.sets = sets
}

// witnesses are all that ever were, by their keys.
func (c *checker) witnesses() (out []tlog.PolicyWitness) {
	for _, p := range c.policies {
		out = append(out, p.Witnesses...)
	}
	return out
}

// proposed reports whether a block key of some set signed a block of the orderer's; which set's it must be the log shows once it is there.
func (c *checker) proposed(h *ledger.Header, b *ledger.Block) bool {
	for _, m := range append([]*ledger.MemberSet{c.members}, c.sets...) {
		if _, key := m.ByBlockKey(h.Proposer); key != nil && b.Signed.VerifiedBy(key) {
			return true
		}
	}
	return false
}
