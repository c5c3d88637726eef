package node

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/quorate-pki/quorate/ca/profile"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/state"
	"github.com/quorate-pki/quorate/ledger/tlog"
)

// ErrRemoved: this member is none any more. Its node has cosigned the last height that was its own, and stops for good.
var ErrRemoved = errors.New("this member was removed from the consortium")

// ErrKeys: the member set in force gives this member a key that is not here.
var ErrKeys = errors.New("a key that the member set gives this member is not here")

// MemberKeys are keys that a member has besides those in Config: what a coming member set has, or what a set before had. A key signs from
// the height on at which a member set with it is in force.
type MemberKeys struct {
	Log, Cosigning, Block ed25519.PrivateKey // any may be nil
}

// standing is who the members are. It is replaced whenever what is final or executed changes, and nobody changes one.
type standing struct {
	origin string
	set    *ledger.MemberSet   // in force from the final height's successor on
	before *ledger.MemberSet   // the one before it; nil when there is none
	final  *tlog.Policy        // whose quorum made the final state final
	next   *tlog.Policy        // of set
	known  []*ledger.MemberSet // every set that was executed, oldest first
	height uint64              // that was executed last
	met    *ledger.MemberSet   // whom this node meets: the newest set that it was proved, which may be further than what it has
}

// standingOf reads who the members are out of what is final and what is executed.
func standingOf(final, head *state.State) (*standing, error) {
	log := final.Channel().Log
	set, err := final.Members()
	if err != nil {
		return nil, err
	}
	electors, err := final.Electors()
	if err != nil {
		return nil, err
	}
	s := &standing{origin: set.Origin(log), set: set, final: electors.Policy(log), next: set.Policy(log), height: head.Channel().Height}
	for _, l := range head.MemberLinks(1) {
		m, err := ledger.ParseMemberSet(l.Document)
		if err != nil {
			return nil, err
		}
		if m.Number+1 == set.Number {
			s.before = m
		}
		s.known = append(s.known, m)
	}
	return s, nil
}

// members is the set in force, as of what is final.
func (n *Node) members() *ledger.MemberSet { return n.stands.Load().set }

// policy is whose quorum made the final state final.
func (n *Node) policy() *tlog.Policy { return n.stands.Load().final }

// others are the names of the other members, of the newest set that is proved here.
func (n *Node) others() (out []string) {
	for _, m := range n.stands.Load().met.Members {
		if m.Name != n.cfg.Member {
			out = append(out, m.Name)
		}
	}
	return out
}

// restand looks again at who the members are; on the loop, or before it runs.
func (n *Node) restand() error {
	final, head := n.machine.Final(), n.machine.Head()
	old := n.stands.Load()
	if old != nil && old.height == head.Channel().Height && n.stoodAt == final {
		return nil
	}
	s, err := standingOf(final, head)
	if err != nil {
		return err
	}
	if s.met = s.set; old != nil && old.met.Number > s.set.Number {
		s.met = old.met
	}
	n.stands.Store(s)
	n.stoodAt = final
	if old != nil && old.set.Number != s.set.Number {
		n.cfg.Log.Warn("the members changed", "set", s.set.Number, "members", memberNames(s.set))
		return n.follow(s)
	}
	return nil
}

// follow has connections and outboxes be those of a new set. The engine looks by itself.
func (n *Node) follow(s *standing) error {
	if n.exchange == nil {
		return nil
	}
	if s.met.Number == s.set.Number {
		if err := n.cfg.Network.Follow(s.set, s.before); err != nil {
			return err // its TLS key is not here: nobody would let it in
		}
		n.exchange.follow(s.set)
	}
	if s.set.ByName(n.cfg.Member) == nil && s.before != nil && s.before.ByName(n.cfg.Member) != nil {
		n.cfg.Log.Error("REMOVED: this member is none any more; its node stops soon", "set", s.set.Number)
		n.removedAt = n.cfg.Now()
	}
	return nil
}

func memberNames(m *ledger.MemberSet) (out []string) {
	for _, x := range m.Members {
		out = append(out, x.Name)
	}
	return out
}

// farewell is how long a removed member's node still answers: the others may need its cosignature on the height that removed it.
const farewell = 10 * time.Second

// leave ends the node of a removed member; on the loop, at a tick.
func (n *Node) leave() {
	if !n.removedAt.IsZero() && n.cfg.Now().Sub(n.removedAt) > farewell {
		_ = n.fail(fmt.Errorf("%w by member set %d", ErrRemoved, n.members().Number))
	}
}

// removed reports whether this member was one, and is none any more, as of a state.
func (n *Node) removed(st *state.State) (bool, error) {
	s, err := standingOf(st, st)
	if err != nil || s.set.ByName(n.cfg.Member) != nil {
		return false, err
	}
	return slices.ContainsFunc(s.known, func(m *ledger.MemberSet) bool { return m.ByName(n.cfg.Member) != nil }), nil
}

// keysFor are the keys of a purpose that this member has.
func (n *Node) keysFor(purpose uint64) (out []ed25519.PrivateKey) {
	add := func(k ed25519.PrivateKey) {
		if k != nil {
			out = append(out, k)
		}
	}
	all := append([]MemberKeys{{n.cfg.LogKey, n.cfg.CosigningKey, n.cfg.BlockKey}}, n.cfg.More...)
	for _, k := range all {
		switch purpose {
		case ledger.KeyLog:
			add(k.Log)
		case ledger.KeyCosigning:
			add(k.Cosigning)
		case ledger.KeyBlock:
			add(k.Block)
		}
	}
	return out
}

// keyIn is this member's key of a purpose in a set; nil when it is no member or the key is not here.
func (n *Node) keyIn(m *ledger.MemberSet, purpose uint64) ed25519.PrivateKey {
	row := m.ByName(n.cfg.Member)
	if row == nil {
		return nil
	}
	for _, k := range n.keysFor(purpose) {
		if bytes.Equal(ledger.Ed25519SPKI(k.Public().(ed25519.PublicKey)), row.Keys[purpose]) {
			return k
		}
	}
	return nil
}

// haveKeys demands the keys that the set in force gives this member; who is none yet needs none.
func (n *Node) haveKeys() error {
	m := n.stands.Load().met
	if m.ByName(n.cfg.Member) == nil {
		return nil
	}
	for purpose, name := range map[uint64]string{ledger.KeyLog: "log", ledger.KeyCosigning: "cosigning", ledger.KeyBlock: "block"} {
		if n.keyIn(m, purpose) == nil {
			return fmt.Errorf("%w: the %s key of %s in member set %d", ErrKeys, name, n.cfg.Member, m.Number)
		}
	}
	return nil
}

// proposer is whose block key signed a header, by one of the sets that were executed; false when it is nobody's that is known.
func (s *standing) proposer(b *ledger.Block) bool {
	for _, m := range slices.Backward(s.known) {
		if _, key := m.ByBlockKey(b.Header.Proposer); key != nil && b.Signed.VerifiedBy(key) {
			return true
		}
	}
	return false
}

// proposed reports whether a member in force at a block's height signed it; the block follows the head. On the loop.
func (n *Node) proposed(b *ledger.Block) (bool, error) {
	m, err := n.machine.Head().Members()
	if err != nil {
		return false, err
	}
	_, key := m.ByBlockKey(b.Header.Proposer)
	return key != nil && b.Signed.VerifiedBy(key), nil
}

// engineMembers is what the engine's configuration follows.
func (n *Node) engineMembers() ([]string, int) {
	m := n.members()
	return memberNames(m), int(m.Quorum)
}

// engineKnown is what it is held against.
func (n *Node) engineKnown() (out [][]string) {
	for _, m := range n.stands.Load().known {
		out = append(out, memberNames(m))
	}
	return out
}

// verifyAhead verifies a peer's checkpoint, which may be of a member set that this node has not heard of: then the peer gives the sets in
// between, each signed by a quorum of the one before.
func (n *Node) verifyAhead(ctx context.Context, peer string, note []byte) (*tlog.Verified, error) {
	s := n.stands.Load()
	v, err := s.next.Verify(note)
	if err == nil {
		return v, nil
	}
	if v, again := s.final.Verify(note); again == nil {
		return v, nil
	}
	raw, no := n.exchange.do(ctx, "GET", peer, fmt.Sprintf("%s?from=%d", pathMembers, s.set.Number), nil, ledger.MaxMemberChain)
	if no != nil {
		return nil, errors.Join(err, no)
	}
	chain, no := ledger.ParseMemberChain(raw)
	if no != nil {
		return nil, errors.Join(err, no)
	}
	return verifyBy(s.set, chain.Links, note)
}

// verifyBy verifies a checkpoint by the newest set that trusts it, of those that links lead to from one that is known.
func verifyBy(known *ledger.MemberSet, links []ledger.MemberSetLink, note []byte) (*tlog.Verified, error) {
	sets, no := ledger.Walk(ledger.Sum(ledger.Encode(known)), links, profile.VerifySPKI)
	if no != nil {
		return nil, no
	}
	cp, _, err := tlog.ParseNote(note)
	if err != nil {
		return nil, err
	}
	log, ok := known.LogOf(cp.Origin)
	if !ok {
		return nil, fmt.Errorf("a checkpoint of %q", cp.Origin)
	}
	for _, m := range slices.Backward(sets) {
		var v *tlog.Verified
		if v, err = m.Policy(log).Verify(note); err == nil {
			return v, nil
		}
	}
	return nil, err
}

// learn asks the members that this node knows for the sets that followed, and meets the newest from then on: who was away, or is at genesis again,
// may know few that are still there.
func (n *Node) learn(ctx context.Context) {
	s := n.stands.Load()
	for _, peer := range n.others() {
		raw, err := n.exchange.do(ctx, "GET", peer, fmt.Sprintf("%s?from=%d", pathMembers, s.set.Number), nil, ledger.MaxMemberChain)
		if err != nil {
			continue
		}
		chain, err := ledger.ParseMemberChain(raw)
		if err != nil {
			continue
		}
		sets, no := ledger.Walk(ledger.Sum(ledger.Encode(s.set)), chain.Links, profile.VerifySPKI)
		if no != nil || sets[len(sets)-1].Number <= s.met.Number {
			continue
		}
		next := *s
		next.met = sets[len(sets)-1]
		if err := n.cfg.Network.Follow(next.met, sets[len(sets)-2]); err != nil {
			n.cfg.Log.Warn("a newer member set", "set", next.met.Number, "err", err)
			continue
		}
		n.stands.Store(&next)
		n.exchange.follow(next.met)
		s = &next
	}
}

// await has a node whose member is none yet catch up, again and again: once its member set is in force the others let it in.
func (n *Node) await(ctx context.Context) {
	for n.members().ByName(n.cfg.Member) == nil && n.failed() == nil {
		n.levelUp(ctx)
		select {
		case <-time.After(catchUpPause):
		case <-ctx.Done():
			return
		}
	}
}
