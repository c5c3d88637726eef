package commit

import (
	"cmp"
	"slices"

	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/tlog"
)

// voter is a cosigning key: a member that got a new one votes under both where its set changes.
type voter struct {
	name string // cosigner name
	id   uint32
}

func voterOf(k tlog.VKey) voter { return voter{k.Name, k.ID()} }

// vote is a verified cosignature.
type vote struct {
	tlog.Checkpoint
	voter
	time uint64
	sig  tlog.Signature
}

// votes are the cosignatures that still matter. It is bounded by the number of members and of pending blocks: only what
// a member's key signed gets in, and each key has its own room.
type votes struct {
	on     map[uint64]map[voter]vote // on our root: size -> key -> its newest
	other  map[voter][]vote          // on another root at a size we have: key -> its first of each size
	early  map[voter][]vote          // beyond our head: key -> by size, each once
	newest map[voter]vote            // of each key, whether or not it is on our log; never forgotten
}

// maxEarly is how many sizes ahead of us we keep of each key. A node further behind catches up by tiles.
const maxEarly = 2 * ledger.MaxPending

func newVotes() votes {
	return votes{map[uint64]map[voter]vote{}, map[voter][]vote{}, map[voter][]vote{}, map[voter]vote{}}
}

// count keeps a vote on our own root; false when it says nothing new.
func (v votes) count(x vote) bool {
	if v.on[x.Size] == nil {
		v.on[x.Size] = map[voter]vote{}
	}
	if old, have := v.on[x.Size][x.voter]; have && x.time <= old.time {
		return false
	}
	v.on[x.Size][x.voter] = x
	return true
}

// number is how many of a body cosigned our root at a size.
func (v votes) number(size uint64, b *body) (n int) {
	for _, x := range b.members {
		if _, ok := v.on[size][x.voter]; ok {
			n++
		}
	}
	return n
}

// cosigners are the cosignatures on our root at a size, in the order of the members.
func (v votes) cosigners(size uint64, of []member) (out []tlog.Signature) {
	for _, m := range of {
		if x, ok := v.on[size][m.voter]; ok {
			out = append(out, x.sig)
		}
	}
	return out
}

// contradict keeps a vote on another root, one a member and size; false when there is one. A member that fills its
// room with nonsense hides nobody's but its own.
func (v votes) contradict(x vote) bool {
	own := v.other[x.voter]
	if len(own) >= maxEarly || slices.ContainsFunc(own, func(o vote) bool { return o.Size == x.Size }) {
		return false
	}
	v.other[x.voter] = append(own, x)
	return true
}

// against is how many of a body signed the same other root.
func (v votes) against(x vote, b *body) (n int) {
	for _, m := range b.members {
		if slices.ContainsFunc(v.other[m.voter], func(o vote) bool { return o.Size == x.Size && o.Root == x.Root }) {
			n++
		}
	}
	return n
}

// keepEarly keeps a vote on what we do not have yet. The highest sizes stay: a quorum on one covers all below.
func (v votes) keepEarly(x vote) {
	own := v.early[x.voter]
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
	v.early[x.voter] = own[max(0, len(own)-maxEarly):]
}

// arrived takes out the early votes up to a size that we have now, in the order of the members.
func (v votes) arrived(size uint64, of []member) (out []vote) {
	for _, m := range of {
		own := v.early[m.voter]
		n := 0
		for n < len(own) && own[n].Size <= size {
			n++
		}
		out = append(out, own[:n]...)
		v.early[m.voter] = own[n:]
	}
	return out
}

// see remembers the largest tree that each member is known to have cosigned, and of that the newest time, for as long as
// this machine runs: it is what a member that lost its memory is told.
func (v votes) see(x vote) {
	old, ok := v.newest[x.voter]
	if !ok || x.Size > old.Size || x.Size == old.Size && x.time > old.time {
		v.newest[x.voter] = x
	}
}

// forget drops what is below the final size.
func (v votes) forget(size uint64) {
	for s := range v.on {
		if s < size {
			delete(v.on, s)
		}
	}
	for key, own := range v.other {
		v.other[key] = slices.DeleteFunc(own, func(o vote) bool { return o.Size < size })
	}
}
