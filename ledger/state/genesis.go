package state

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/quorate-pki/quorate/ca/profile"
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
	switch a := args.(type) {
	case *ledger.Organisation:
		e.Owner = &id
		return g.organisation(a)
	case *ledger.Namespace:
		owner := a.Owner
		e.Owner, e.Namespaces = &owner, []ledger.OrgID{id}
		return g.namespace(a)
	case *ledger.LineKey:
		owner := a.Owner
		e.Owner = &owner
		return g.lineKey(a)
	}
	return fmt.Errorf("not an operation of genesis")
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
	g.consortium, g.members = c, m
	return nil
}

func (g *genesis) organisation(o *ledger.Organisation) error {
	switch {
	case !ledger.ValidName(o.Name) || len(o.LegalName) > 128 || o.Roles == 0 || o.Roles > 31:
		return fmt.Errorf("organisation %q: name, legal name or roles", o.Name)
	case len(o.AdminKeys) == 0 || len(o.AdminKeys) > 16 || o.AdminM == 0 || o.AdminM > uint64(len(o.AdminKeys)):
		return fmt.Errorf("organisation %q: %d of %d admin keys", o.Name, o.AdminM, len(o.AdminKeys))
	case len(o.Profiles) > 32:
		return fmt.Errorf("organisation %q: %d profiles", o.Name, len(o.Profiles))
	}
	for _, other := range g.fold.st.registry.orgs {
		if other.Name == o.Name {
			return fmt.Errorf("organisation %q twice", o.Name)
		}
	}
	for i, spki := range o.AdminKeys {
		if err := g.newKey(spki); err != nil {
			return fmt.Errorf("organisation %q: admin key: %w", o.Name, err)
		}
		// Signers are counted by key: twice the same would make an m that nobody can reach.
		if slices.ContainsFunc(o.AdminKeys[:i], func(k []byte) bool { return bytes.Equal(k, spki) }) {
			return fmt.Errorf("organisation %q: the same admin key twice", o.Name)
		}
	}
	return g.knownProfiles(o.Profiles)
}

func (g *genesis) knownProfiles(ids []uint64) error {
	for _, id := range ids {
		if _, ok := knownProfile(id, g.consortium.RuleVersion); !ok {
			return fmt.Errorf("profile %d is not known at rule version %d", id, g.consortium.RuleVersion)
		}
	}
	return nil
}

// newKey demands a key that parses and is not registered yet: one key, one purpose.
func (g *genesis) newKey(spki []byte) error {
	k, err := profile.ParseSPKI(spki)
	if err != nil {
		return err
	}
	if g.fold.st.registry.owned(k.ID()) {
		return fmt.Errorf("key %x is registered already", k.ID())
	}
	return nil
}

// reserved DNS suffixes belong to nobody.
var reservedSuffixes = []string{"3gppnetwork.org"}

func (g *genesis) namespace(n *ledger.Namespace) error {
	if g.fold.st.registry.orgs[n.Owner] == nil {
		return fmt.Errorf("namespace %q of an unknown organisation", n.Value)
	}
	switch n.Type {
	case ledger.NamespaceSerial:
		if n.Value == "" || len(n.Value) > 32 || !profile.ValidSerial(n.Value) {
			return fmt.Errorf("serial namespace %q", n.Value)
		}
		// Serials are unique per organisation: two vendors may use the same prefix.
		return nil
	case ledger.NamespaceDNS:
		if !profile.ValidDNSName(n.Value) {
			return fmt.Errorf("DNS namespace %q", n.Value)
		}
		for _, r := range reservedSuffixes {
			if withinDNS(n.Value, r) || withinDNS(r, n.Value) {
				return fmt.Errorf("DNS namespace %q is reserved", n.Value)
			}
		}
		return g.alone(n, withinDNS)
	case ledger.NamespacePLMN:
		if len(n.Value) != 6 || strings.Trim(n.Value, "0123456789") != "" || g.consortium.RuleVersion < 2 {
			return fmt.Errorf("PLMN namespace %q", n.Value)
		}
		return g.alone(n, func(a, b string) bool { return a == b })
	case ledger.NamespaceHardware:
		if _, ok := profile.ParseOID(n.Value); !ok || g.consortium.RuleVersion < 2 {
			return fmt.Errorf("hardware namespace %q", n.Value)
		}
		if withinArc(enterprises, n.Value) {
			return fmt.Errorf("hardware namespace %q is every enterprise's", n.Value)
		}
		return g.alone(n, withinArc)
	}
	return fmt.Errorf("namespace type %d", n.Type)
}

// enterprises is the arc under which IANA gives every enterprise one of its own.
const enterprises = "1.3.6.1.4.1"

// withinDNS reports whether a DNS name is a suffix's or below it, at a label boundary.
func withinDNS(name, suffix string) bool {
	return name == suffix || strings.HasSuffix(name, "."+suffix)
}

// withinArc reports whether a dotted OID is an arc or below it.
func withinArc(oid, arc string) bool { return oid == arc || strings.HasPrefix(oid, arc+".") }

// alone demands that no namespace of the same type is within a new one, or around it.
func (g *genesis) alone(n *ledger.Namespace, within func(a, b string) bool) error {
	for _, other := range g.fold.st.registry.namespaces {
		if other.Type == n.Type && (within(n.Value, other.Value) || within(other.Value, n.Value)) {
			owner := g.fold.st.registry.orgs[other.Owner]
			return fmt.Errorf("namespace %q overlaps %q of %s", n.Value, other.Value, owner.Name)
		}
	}
	return nil
}

func (g *genesis) lineKey(l *ledger.LineKey) error {
	if err := g.newKey(l.SPKI); err != nil {
		return fmt.Errorf("line key: %w", err)
	}
	key, err := profile.ParseSPKI(l.SPKI)
	if err != nil {
		return err
	}
	switch {
	case key.Kind == profile.RSA:
		return fmt.Errorf("a line key is P-256, P-384 or Ed25519")
	case !key.VerifyCOSE(l.Alg, ledger.PossessionMessage(l.Owner, l.SPKI), l.Possession):
		return fmt.Errorf("the line key's possession signature does not verify")
	case g.fold.st.registry.orgs[l.Owner] == nil:
		return fmt.Errorf("a line key of an unknown organisation")
	case len(l.Namespaces) == 0 || len(l.Namespaces) > 16 || len(l.Profiles) == 0 || len(l.Profiles) > 32 || len(l.Ranges) > 16:
		return fmt.Errorf("a line key with %d namespaces, %d profiles, %d ranges", len(l.Namespaces), len(l.Profiles), len(l.Ranges))
	case l.Rights == 0 || l.Rights > ledger.RightPublish|ledger.RightSuspend || (l.Until != 0 && l.Until < l.From):
		return fmt.Errorf("a line key's rights or heights")
	}
	for _, id := range l.Namespaces {
		if ns := g.fold.st.registry.namespaces[id]; ns == nil || ns.Owner != l.Owner {
			return fmt.Errorf("a line key for a namespace its organisation does not own")
		}
	}
	for _, r := range l.Ranges {
		if len(r.Prefix) > 32 || r.Low > r.High {
			return fmt.Errorf("a line key's range %q %d-%d", r.Prefix, r.Low, r.High)
		}
	}
	return g.knownProfiles(l.Profiles)
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
