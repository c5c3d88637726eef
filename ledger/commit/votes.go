package commit

import (
	"cmp"
	"slices"

	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/tlog"
)

// vote is a verified cosignature.
type vote struct {
	tlog.Checkpoint
	cosigner string
	time     uint64
	sig      tlog.Signature
}

// votes are the cosignatures that still matter. It is bounded by the number of members and of pending blocks: only what
// a member's key signed gets in, and each member has its own room.
type votes struct {
	policy *tlog.Policy
	on     map[uint64]map[string]vote // on our root: size -> cosigner -> its newest
	other  map[string][]vote          // on another root at a size we have: cosigner -> its first of each size
	early  map[string][]vote          // beyond our head: cosigner -> by size, each once
	newest map[string]vote            // of each cosigner, whether or not it is on our log; never forgotten
}

// maxEarly is how many sizes ahead of us we keep of each cosigner. A node further behind catches up by tiles.
const maxEarly = 2 * ledger.MaxPending

func newVotes(p *tlog.Policy) votes {
	return votes{p, map[uint64]map[string]vote{}, map[string][]vote{}, map[string][]vote{}, map[string]vote{}}
}

// verify checks that a member's key cosigned a checkpoint of this log.
func (v votes) verify(cp tlog.Checkpoint, sig tlog.Signature) (vote, bool) {
	if cp.Origin != v.policy.Origin {
		return vote{}, false
	}
	for _, w := range v.policy.Witnesses {
		if w.Key.Name == sig.Name && w.Key.ID() == sig.ID {
			t, ok := tlog.VerifyCosignature(cp, w.Key, sig)
			return vote{cp, sig.Name, t, sig}, ok
		}
	}
	return vote{}, false
}

// count keeps a vote on our own root; false when it says nothing new.
func (v votes) count(x vote) bool {
	if v.on[x.Size] == nil {
		v.on[x.Size] = map[string]vote{}
	}
	if old, have := v.on[x.Size][x.cosigner]; have && x.time <= old.time {
		return false
	}
	v.on[x.Size][x.cosigner] = x
	return true
}

// number is how many members cosigned our root at a size.
func (v votes) number(size uint64) int { return len(v.on[size]) }

// cosigners are the cosignatures on our root at a size, in the policy's order.
func (v votes) cosigners(size uint64) (out []tlog.Signature) {
	for _, w := range v.policy.Witnesses {
		if x, ok := v.on[size][w.Key.Name]; ok {
			out = append(out, x.sig)
		}
	}
	return out
}

// contradict keeps a vote on another root, one a member and size; false when there is one. A member that fills its
// room with nonsense hides nobody's but its own.
func (v votes) contradict(x vote) bool {
	own := v.other[x.cosigner]
	if len(own) >= maxEarly || slices.ContainsFunc(own, func(o vote) bool { return o.Size == x.Size }) {
		return false
	}
	v.other[x.cosigner] = append(own, x)
	return true
}

// against is how many members signed the same other root.
func (v votes) against(x vote) (n int) {
	for _, own := range v.other {
		if slices.ContainsFunc(own, func(o vote) bool { return o.Size == x.Size && o.Root == x.Root }) {
			n++
		}
	}
	return n
}

// keepEarly keeps a vote on what we do not have yet. The highest sizes stay: a quorum on one covers all below.
func (v votes) keepEarly(x vote) {
	own := v.early[x.cosigner]
	i, have := slices.BinarySearchFunc(own, x, func(a, b vote) int {
		return cmp.Or(cmp.Compare(a.Size, b.Size), slices.Compare(a.Root[:], b.Root[:]))
	})
	if have {
		if x.time > own[i].time {
			own[i] = x
		}
		return
	}
	own = slices.Insert(own, i, x)
	v.early[x.cosigner] = own[max(0, len(own)-maxEarly):]
}

// arrived takes out the early votes up to a size that we have now, in the policy's order.
func (v votes) arrived(size uint64) (out []vote) {
	for _, w := range v.policy.Witnesses {
		own := v.early[w.Key.Name]
		n := 0
		for n < len(own) && own[n].Size <= size {
			n++
		}
		out = append(out, own[:n]...)
		v.early[w.Key.Name] = own[n:]
	}
	return out
}

// see remembers the largest tree that each member is known to have cosigned, and of that the newest time, for as long as
// this machine runs: it is what a member that lost its memory is told.
func (v votes) see(x vote) {
	old, ok := v.newest[x.cosigner]
	if !ok || x.Size > old.Size || x.Size == old.Size && x.time > old.time {
		v.newest[x.cosigner] = x
	}
}

// forget drops what is below the final size.
func (v votes) forget(size uint64) {
	for s := range v.on {
		if s < size {
			delete(v.on, s)
		}
	}
	for name, own := range v.other {
		v.other[name] = slices.DeleteFunc(own, func(o vote) bool { return o.Size < size })
	}
}
