package state

import (
	"fmt"
	"slices"

	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
)

// genesis judges the block that starts a channel: one all-or-nothing transaction, signed by the governance keys
// of all members of the set it brings. Whatever is wrong makes the whole block invalid.
func (j *judge) genesis(b *ledger.Block) error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%w: %w", ErrInvalidBlock, reason.New(reason.BadGenesis, format, args...))
	}
	tx := b.Txs[0]
	if len(b.Txs) != 1 || tx.Tx.Mode != ledger.AllOrNothing || tx.Tx.Channel != (ledger.Hash{}) {
		return bad("one all-or-nothing transaction with a zero channel starts a channel")
	}
	if tx.Tx.Expiry <= b.Header.Time || tx.Tx.Expiry > b.Header.Time+ledger.MaxExpiryAhead {
		return bad("expiry")
	}
	g := &genesis{fold: j.fold, seed: ledger.GenesisSeed(tx.Tx.Nonce)}
	codes := make([]reason.Code, len(tx.Bodies))
	verdicts := make([]ledger.Verdict, len(tx.Bodies))
	var leaves [][]byte
	for i, body := range tx.Bodies {
		x := Examine(body)
		if x.Err != nil {
			return bad("operation %d: %v", i, x.Err)
		}
		leaf := &ledger.OpLeaf{Tx: 0, Position: uint64(i), Body: body, Effects: ledger.Effects{Time: b.Header.Time}}
		if err := g.check(uint16(i), x.Args, &leaf.Effects); err != nil {
			return bad("operation %d: %v", i, err)
		}
		leaf.Effects.Rules = g.consortium.RuleVersion
		at := uint64(i) + 1
		if err := j.fold.operation(leaf, x, at); err != nil {
			return err
		}
		leaves = append(leaves, leaf.Encode())
		verdicts[i] = ledger.Verdict{Leaf: at}
	}
	if err := g.complete(); err != nil {
		return bad("%v", err)
	}
	if err := g.signed(b, j.facts); err != nil {
		return bad("%v", err)
	}
	raw := (&ledger.TxLeaf{Envelope: tx.Raw, Codes: codes}).Encode()
	j.fold.transaction(tx.Envelope, codes, raw)
	for _, l := range leaves {
		j.fold.append(l)
	}
	j.leaves = append([][]byte{raw}, leaves...)
	j.results = []ledger.Result{{ID: tx.ID, Leaf: 0, Height: 0, Verdicts: verdicts}}
	return nil
}

// genesis is the checking of a genesis transaction in progress.
type genesis struct {
	fold       *folder
	seed       ledger.Hash
	consortium *ledger.Consortium
	members    *ledger.MemberSet
}

func (g *genesis) check(position uint16, args any, e *ledger.Effects) error {
	if position == 0 {
		c, ok := args.(*ledger.Consortium)
		if !ok {
			return fmt.Errorf("the first operation founds the consortium")
		}
		return g.found(c)
	}
	id := ledger.RecordID(g.seed, position)
	r := registrar{g.fold.st.registry, g.consortium.RuleVersion}
	var no *reason.Error
	switch a := args.(type) {
	case *ledger.Organisation:
		e.Owner = &id
		no = r.organisation(id, a)
	case *ledger.Namespace:
		owner := a.Owner
		e.Owner, e.Namespaces = &owner, []ledger.OrgID{id}
		no = r.namespace(id, a)
	case *ledger.LineKey:
		owner := a.Owner
		e.Owner = &owner
		no = r.lineKey(a)
	default:
		return fmt.Errorf("not an operation of genesis")
	}
	if no != nil {
		return no
	}
	return nil
}

func (g *genesis) found(c *ledger.Consortium) error {
	m, err := ledger.ParseMemberSet(c.MemberSet)
	if err != nil {
		return err
	}
	if m.Number != 1 || m.Consortium != c.Name || m.Channel != c.Channel {
		return fmt.Errorf("member set 1 of %s/%s is what genesis brings", c.Name, c.Channel)
	}
	if c.RuleVersion == 0 || c.RuleVersion > ledger.NewestRules {
		return fmt.Errorf("rule version %d, this build knows 1 to %d", c.RuleVersion, ledger.NewestRules)
	}
	if c.Main != nil && (c.RuleVersion < ledger.Governed || *c.Main == ledger.Hash{}) {
		return fmt.Errorf("a further channel names the one that creates it, since rule version %d", ledger.Governed)
	}
	g.consortium, g.members = c, m
	return nil
}

// complete demands that every member is an organisation with the member's role.
func (g *genesis) complete() error {
	if g.members == nil {
		return fmt.Errorf("no consortium")
	}
	for _, m := range g.members.Members {
		o := g.fold.st.registry.orgs[m.Org]
		if o == nil || o.Roles&ledger.RoleMember == 0 || o.Name != m.Name {
			return fmt.Errorf("member %q is not registered as an organisation that is a member", m.Name)
		}
	}
	return nil
}

// signed demands the governance signatures of all members, and a member's block key on the header.
func (g *genesis) signed(b *ledger.Block, facts Facts) error {
	tx := b.Txs[0]
	if len(tx.Signatures) != len(g.members.Members) {
		return fmt.Errorf("%d signatures for %d members", len(tx.Signatures), len(g.members.Members))
	}
	for _, m := range g.members.Members {
		spki := m.Keys[ledger.KeyGovernance]
		i := slices.Index(tx.Tx.Signers, ledger.Sum(spki))
		if i < 0 || !facts.Transaction(spki, tx.Signatures[i]) {
			return fmt.Errorf("member %q did not sign genesis", m.Name)
		}
	}
	if _, key := g.members.ByBlockKey(b.Header.Proposer); key == nil || !b.Signed.VerifiedBy(key) {
		return fmt.Errorf("no member's block key signed the header")
	}
	return nil
}
