package state

import (
	"fmt"

	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
)

// kind is what a proposal of an operation needs to be decided.
type kind struct {
	// threshold is how many members' approvals decide. A quorum wherever trust changes hands; more than half of the
	// members for what gives nobody anything to trust.
	threshold func(m *ledger.MemberSet) uint64
	effect    effect
}

// effect is what an operation does to trust, which says whether it may wait. One may do both.
type effect uint8

const (
	widens  effect = 1 // waits for as long as the consortium's rules say, and longer when the proposal says so
	narrows effect = 2 // never waits
	neutral effect = 0
)

func quorum(m *ledger.MemberSet) uint64   { return m.Quorum }
func majority(m *ledger.MemberSet) uint64 { return uint64(len(m.Members))/2 + 1 }

// kindOf says how an operation is decided as of now; false when it is not one that members vote on.
func (r *registry) kindOf(args any, m *ledger.MemberSet) (kind, bool) {
	switch a := args.(type) {
	case *ledger.Organisation:
		// Who only looks on is given nothing that anybody relies on.
		if a.Roles&^overseers == 0 && len(a.Profiles) == 0 {
			return kind{majority, neutral}, true
		}
		return kind{quorum, widens}, true
	case *ledger.Namespace, *ledger.Rules:
		return kind{quorum, widens}, true
	case *ledger.RuleChange:
		if a.Narrows() {
			return kind{quorum, narrows}, true
		}
		return kind{quorum, widens}, true
	case *ledger.OrganisationChange:
		if o := r.orgs[a.Organisation]; o != nil {
			return kind{quorum, organisationEffect(o, a)}, true
		}
		return kind{quorum, widens}, true // of one that the same proposal makes
	case *ledger.NamespaceChange:
		if a.Action == ledger.EndNamespace {
			return kind{quorum, narrows}, true
		}
		return kind{quorum, widens}, true
	case *ledger.CutOff:
		return kind{quorum, narrows}, true
	case *ledger.MemberSetChange:
		return kind{quorum, effectOf(a, m)}, true
	case *ledger.Channel: // who trusts the main channel may trust what is published there, too
		return kind{quorum, widens}, true
	}
	return kind{}, false
}

// ballot is what a proposal as a whole needs: the most that one of its operations does.
type ballot struct {
	threshold       uint64
	widens, narrows bool
}

// ballotOf reads a proposal's operations.
func (r *registry) ballotOf(p *ledger.Propose, m *ledger.MemberSet) (ballot, *reason.Error) {
	var b ballot
	for _, raw := range p.Bodies {
		_, args, err := ledger.ParseBody(raw)
		if err != nil {
			return b, reasonOf(err)
		}
		k, ok := r.kindOf(args, m)
		if !ok {
			return b, reason.New(reason.NotProposable, "%T", args)
		}
		b.threshold = max(b.threshold, k.threshold(m))
		b.widens, b.narrows = b.widens || k.effect&widens != 0, b.narrows || k.effect&narrows != 0
	}
	return b, nil
}

func reasonOf(err error) *reason.Error {
	code, ok := reason.CodeOf(err)
	if !ok {
		code = reason.BadBody
	}
	return reason.New(code, "%v", err)
}

// enact carries out the operations of a proposal in order, all or none, and says why it could not. The error is the store's.
func (f *folder) enact(p *ledger.ProposalRecord, by grant) (*reason.Error, error) {
	e := &enactment{folder: f.fork(len(p.Bodies)), seed: ledger.ProposalSeed(p.Nonce, p.Member), by: by, rec: p}
	e.own()
	for i, raw := range p.Bodies {
		if no, err := e.operation(uint16(i), raw); no != nil || err != nil {
			return no, err
		}
	}
	f.adopt(e.folder)
	return nil, nil
}

// enactment is a proposal taking effect, on a fork of its own.
type enactment struct {
	*folder
	seed ledger.Hash
	by   grant
	rec  *ledger.ProposalRecord // without a state: only tried, before anybody voted
}

// operation checks one operation as of now, and writes what it does.
func (e *enactment) operation(position uint16, raw []byte) (*reason.Error, error) {
	_, args, err := ledger.ParseBody(raw)
	if err != nil {
		return reasonOf(err), nil
	}
	id, r := ledger.RecordID(e.seed, position), registrar{e.st.registry, e.st.channel.Rules}
	switch a := args.(type) {
	case *ledger.Organisation:
		if no := r.organisation(id, a); no != nil {
			return no, nil
		}
		if no, err := e.st.unpublished(a.AdminKeys...); no != nil || err != nil {
			return no, err
		}
		e.addOrganisation(id, a, e.by)
	case *ledger.Namespace:
		if a.Parent != nil {
			return reason.New(reason.RegistrationForm, "%q: its parent's owner delegates, without a vote", a.Value), nil
		}
		if no := r.namespace(id, a); no != nil {
			return no, nil
		}
		e.addNamespace(id, a, e.by)
	case *ledger.OrganisationChange:
		if no, err := e.st.changeable(a); no != nil || err != nil {
			return no, err
		}
		e.changeOrganisation(a, e.by)
	case *ledger.NamespaceChange:
		if no := r.namespaceChange(a); no != nil {
			return no, nil
		}
		e.changeNamespace(a, e.by.decision)
	case *ledger.CutOff:
		return e.cutOff(a, ledger.ByQuorum, e.by.decision)
	case *ledger.Rules:
		return e.setRules(a), nil
	case *ledger.RuleChange:
		if no := r.rule(a); no != nil {
			return no, nil
		}
		e.setRule(a, e.by)
	case *ledger.MemberSetChange:
		return e.changeMembers(a)
	case *ledger.Channel:
		return e.createChannel(a), nil
	default:
		return reason.New(reason.NotProposable, "%T", args), nil
	}
	return nil, nil
}

// setRules changes the rules from the next height on: a block is judged by one rule version. The next one is accepted whether or not this
// build knows it, because builds that do and builds that do not must agree; the one that does not stops before the next block (ErrNewerRules).
func (e *enactment) setRules(a *ledger.Rules) *reason.Error {
	c := &e.st.channel
	now := c.Rules
	if c.NextRules != 0 {
		now = c.NextRules
	}
	if a.Version != now && a.Version != now+1 {
		return reason.New(reason.RuleVersionStep, "%d after %d", a.Version, now)
	}
	if a.Hold > ledger.MaxProposalAhead {
		return reason.New(reason.RegistrationForm, "a hold of %d ms", a.Hold)
	}
	c.NextRules, c.Hold = a.Version, a.Hold
	return nil
}

// unpublished demands that keys are those of no published certificate: one key, one purpose.
func (s *State) unpublished(spkis ...[]byte) (*reason.Error, error) {
	for _, spki := range spkis {
		id := ledger.Sum(spki)
		k, err := s.KeyRecord(id)
		if err != nil {
			return nil, err
		}
		if k != nil {
			return reason.New(reason.KeyTaken, "%x is the key of a published certificate", id), nil
		}
	}
	return nil, nil
}

// enactDue begins a block: what waited for its time takes effect before the block's first transaction, and what nobody decided in time
// expires. It is a function of the block's time alone, so whoever executes and whoever folds does the same.
func (f *folder) enactDue() error {
	for _, leaf := range f.st.registry.live() {
		p := f.st.registry.proposals[leaf]
		switch {
		case p.State == ledger.ProposalWaiting && p.Due() <= f.head.Time:
			if err := f.takeEffect(leaf, *p); err != nil {
				return fmt.Errorf("enacting the proposal of leaf %d: %w", leaf, err)
			}
		case p.State == ledger.ProposalOpen && p.Expires <= f.head.Time:
			rec := *p
			rec.State, rec.Decided = ledger.ProposalExpired, f.head.Time
			f.own()
			f.keep(leaf, &rec)
		}
	}
	return nil
}

// takeEffect enacts an approved proposal, or writes down why it could not be.
func (f *folder) takeEffect(leaf uint64, rec ledger.ProposalRecord) error {
	no, err := f.enact(&rec, grant{leaf, rec.Leaf})
	if err != nil {
		return err
	}
	rec.State, rec.Height = ledger.ProposalInForce, f.head.Height
	if no != nil {
		rec.State, rec.Code = ledger.ProposalFailed, no.Code
	}
	f.own()
	f.keep(leaf, &rec)
	return nil
}
