package commit

import (
	"slices"

	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/state"
	"github.com/quorate-pki/quorate/ledger/tlog"
)

// Every height has its own electors. A block that changes the member set is made final by the set before it, every later one by the set
// that it brought: a handover. Three rules keep that safe and alive without a message of its own:
//
//   - Nobody signs above a handover that is not final for him. So a quorum of the new set on a later block has an honest member in it that
//     saw the handover final by the old quorum, and whoever missed that quorum's cosignatures need not look for them.
//   - Once the handover is final, the new set's members cosign it as well, each by its key in the new set. So whoever knows the new set alone
//     can check the newest checkpoint, although no block may follow for days.
//   - Nobody signs anything else before he has signed the handover as an elector, though it be final for him without that; and until
//     everybody is known to be past it, he sends that cosignature again and again, also when something above is final for him. A dishonest
//     member may have given its own to him alone: then the others need his to follow, and his newest signature is another by then, or he
//     has left and signs nothing any more.

// body is a member set as a machine uses it: its quorum, and its members' cosigning keys in its order.
type body struct {
	quorum  int
	members []member
}

type member struct {
	voter
	key tlog.VKey
}

func newBody(p *tlog.Policy) *body {
	b := &body{quorum: p.Quorum}
	for _, w := range p.Witnesses {
		b.members = append(b.members, member{voterOf(w.Key), w.Key})
	}
	return b
}

// electors are who may speak of a state.
type electors struct {
	now  *body // whose quorum makes it final
	next *body // in force after it; the same but at a handover
}

func (e electors) handover() bool { return e.now != e.next }

// all are both, each key once: those whose quorum it is first.
func (e electors) all() []member { return joined(e.now.members, e.next) }

// joined adds the members of bodies whose keys are not there yet.
func joined(to []member, bodies ...*body) []member {
	for _, b := range bodies {
		if len(to) > 0 && len(b.members) > 0 && &to[0] == &b.members[0] {
			continue // the same, as nearly always
		}
		for _, x := range b.members {
			if !slices.ContainsFunc(to, func(o member) bool { return o.voter == x.voter }) {
				to = append(slices.Clip(to), x)
			}
		}
	}
	return to
}

// electors are those of a state.
func (m *Machine) electors(s *state.State) electors {
	now, err := s.Electors()
	if err != nil {
		return electors{&body{quorum: 1}, &body{quorum: 1}} // before genesis: nobody
	}
	after, err := s.Members()
	if err != nil {
		return electors{&body{quorum: 1}, &body{quorum: 1}}
	}
	return electors{m.body(now), m.body(after)}
}

// body makes what a member set is here, once.
func (m *Machine) body(set *ledger.MemberSet) *body {
	if m.bodies[set.Number] == nil {
		m.bodies[set.Number] = newBody(set.Policy(m.log))
	}
	return m.bodies[set.Number]
}

// voters are all whose cosignatures may matter now, the oldest set first.
func (m *Machine) voters() []member {
	all := m.electors(m.final).all()
	for _, p := range m.pending {
		all = joined(all, m.electors(p.State).next)
	}
	return all
}

// verify checks that a key that may matter cosigned a checkpoint of this log.
func (m *Machine) verify(cp tlog.Checkpoint, sig tlog.Signature) (vote, bool) {
	if cp.Origin != m.origin {
		return vote{}, false
	}
	for _, x := range m.voters() {
		if x.name == sig.Name && x.id == sig.ID {
			t, ok := tlog.VerifyCosignature(cp, x.key, sig)
			return vote{cp, x.voter, t, sig}, ok
		}
	}
	return vote{}, false
}

// entitled reports whether a vote on a state counts: of its electors, or of those in force after it.
func (m *Machine) entitled(v vote, s *state.State) bool {
	return slices.ContainsFunc(m.electors(s).all(), func(x member) bool { return x.voter == v.voter })
}

// key is the key by which this member signs a state: the one it has among the state's electors; of a final state, the one it has in the
// set after it, if it is there. False: it has none, or the driver has not.
func (m *Machine) key(s *state.State) (tlog.VKey, bool) {
	e := m.electors(s)
	if s == m.final {
		if k, ok := m.own(e.next); ok {
			return k, true
		}
	}
	return m.own(e.now)
}

func (m *Machine) own(b *body) (tlog.VKey, bool) {
	for _, x := range b.members {
		if x.name == m.cfg.Self {
			return x.key, slices.ContainsFunc(m.cfg.Keys, func(k tlog.VKey) bool { return voterOf(k) == x.voter })
		}
	}
	return tlog.VKey{}, false
}

// voted reports whether this member's own cosignature by a key is on the final state.
func (m *Machine) voted(key tlog.VKey) bool {
	_, ok := m.votes.on[m.final.Size()][voterOf(key)]
	return ok
}

// owed is the key by which this member has still to sign a final handover as an elector.
func (m *Machine) owed() (tlog.VKey, bool) {
	e := m.electors(m.final)
	if !e.handover() || m.memory != nil && m.memory.Size > m.final.Size() {
		return tlog.VKey{}, false
	}
	key, ok := m.own(e.now)
	return key, ok && !m.voted(key)
}

// signable are the states that this member may sign, oldest first: none above a handover that is not final.
func (m *Machine) signable() []*state.State {
	out := []*state.State{m.final}
	for _, p := range m.pending {
		out = append(out, p.State)
		if m.electors(p.State).handover() {
			break
		}
	}
	return out
}

// electorsOf are the electors of whatever block a size is in.
func (m *Machine) electorsOf(size uint64) electors {
	for _, s := range m.states() {
		if size <= s.Size() {
			return m.electors(s)
		}
	}
	return m.electors(m.Head())
}

// bridge is a cosignature that this member gave to a handover as one of its electors.
type bridge struct {
	Signed
	electors electors
}

// keepBridge remembers this member's cosignature on a state, if that is a handover and it was an elector.
func (m *Machine) keepBridge(v vote, s *state.State) {
	e := m.electors(s)
	if v.name != m.cfg.Self || !e.handover() || !slices.ContainsFunc(e.now.members, func(x member) bool { return x.voter == v.voter }) {
		return
	}
	c := s.Channel()
	b := bridge{Signed{Statement{Log: c.Log, Height: c.Height, Size: v.Size, Root: v.Root, Header: c.Header, Time: v.time}, v.sig}, e}
	m.bridges = append(slices.DeleteFunc(m.bridges, func(o bridge) bool { return o.Size == v.Size }), b)
	m.bridges = m.bridges[max(0, len(m.bridges)-ledger.MaxPending):]
}

// bridged sends this member's cosignatures on handovers again, until nobody can need them: a member that missed one may lack it to follow, and
// it is this member's newest no more, or can never be renewed because this member left.
func (m *Machine) bridged(now ledger.Millis) (out []Output) {
	m.bridges = slices.DeleteFunc(m.bridges, m.crossed)
	if len(m.bridges) == 0 || m.bridgedAt != 0 && now >= m.bridgedAt && now < m.bridgedAt+m.cfg.Resign {
		return nil
	}
	for _, b := range m.bridges {
		if m.memory != nil && m.memory.Size == b.Size && b.Size == m.final.Size() && m.memory.Signature.ID == b.Signature.ID {
			continue // renewed as the newest
		}
		m.bridgedAt = now
		out = append(out, Release{b.Signed})
	}
	return out
}

// crossed reports whether everybody whom a handover concerns is known to be past it: has signed something above it, or, when he leaves with
// it, the handover itself. A member that is silent for ever costs a message each time, and no more than MaxPending.
func (m *Machine) crossed(b bridge) bool {
	for _, x := range b.electors.all() {
		if x.name == m.cfg.Self {
			continue
		}
		signed, stays := uint64(0), slices.ContainsFunc(b.electors.next.members, func(o member) bool { return o.name == x.name })
		for key, v := range m.votes.newest {
			if key.name == x.name {
				signed = max(signed, v.Size)
			}
		}
		if signed < b.Size || stays && signed == b.Size {
			return false
		}
	}
	return true
}
