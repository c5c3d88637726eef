package state_test

import (
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/quorate-pki/quorate/ca"
	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/ledgertest"
	"github.com/quorate-pki/quorate/ledger/state"
)

// parts are a genesis block taken apart, to spoil what ledger.Found would not build.
type parts struct {
	c       *ledgertest.Consortium
	header  ledger.Header
	tx      ledger.Tx
	bodies  [][]byte
	signers []ledger.Signer
	more    bool // the transaction twice
	block   string
}

func (p *parts) build(t *testing.T) *ledger.Block {
	t.Helper()
	s, err := ledger.SignTx(p.tx, p.bodies, ledger.ForLedger, p.signers...)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := ledger.ParseSubmission(s.Encode(), ledger.ForLedger)
	if err != nil {
		t.Fatal(err)
	}
	txs := []*ledger.Parsed{parsed}
	if p.more {
		txs = append(txs, parsed)
	}
	p.header.Payload = ledger.PayloadHash(txs)
	b, err := ledger.ParseBlock(ledger.EncodeBlock(ledger.SignHeader(&p.header, p.c.Key(p.block)), txs))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// edit changes the arguments of the n-th operation of a type.
func edit[T any](p *parts, n int, change func(*T)) {
	for i, body := range p.bodies {
		op, args, err := ledger.ParseBody(body)
		if err != nil {
			panic(err)
		}
		if a, ok := args.(*T); ok {
			if n--; n < 0 {
				change(a)
				p.bodies[i] = ledger.EncodeBody(op, a)
				return
			}
		}
	}
	panic("no such operation")
}

func members(p *parts, change func(*ledger.MemberSet)) {
	edit(p, 0, func(c *ledger.Consortium) {
		m, err := ledger.ParseMemberSet(c.MemberSet)
		if err != nil {
			panic(err)
		}
		change(m)
		c.MemberSet = ledger.Encode(m)
	})
}

// relabel signs the possession of the n-th line key again after a change.
func relabel(p *parts, n int, key string, change func(*ledger.LineKey)) {
	edit(p, n, func(l *ledger.LineKey) {
		change(l)
		sig, err := p.c.Signer(key).SignCOSE(ledger.PossessionMessage(l.Owner, l.SPKI))
		if err != nil {
			panic(err)
		}
		l.Possession = sig
	})
}

func TestGenesisSpoiled(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	rsaSPKI, err := ca.SPKI(rsaKey.Public())
	if err != nil {
		t.Fatal(err)
	}
	const ms = 1
	org := func(n int, change func(*ledger.Organisation)) func(*parts) {
		return func(p *parts) { edit(p, n, change) }
	}
	ns := func(n int, change func(*ledger.Namespace)) func(*parts) {
		return func(p *parts) { edit(p, n, change) }
	}
	plmn := func(v string) func(*ledger.Namespace) {
		return func(n *ledger.Namespace) { n.Type, n.Value = ledger.NamespacePLMN, v }
	}
	hardware := func(arc string) func(*ledger.Namespace) {
		return func(n *ledger.Namespace) { n.Type, n.Value = ledger.NamespaceHardware, arc }
	}
	rules := func(n uint64) func(*parts) {
		return func(p *parts) { edit(p, 0, func(c *ledger.Consortium) { c.RuleVersion = n }) }
	}
	line := func(change func(*ledger.LineKey)) func(*parts) {
		return func(p *parts) { relabel(p, 0, "acme-cells/line", change) }
	}
	// Organisations 0 to 3 are the members, 4 acme-cells, 5 other-cells, 6 op-one.
	for _, tc := range []struct {
		name  string
		spoil func(*parts)
		ok    bool
	}{
		{"nothing", func(*parts) {}, true},
		{"two transactions", func(p *parts) { p.more = true }, false},
		{"each alone", func(p *parts) { p.tx.Mode = ledger.EachAlone }, false},
		{"a channel", func(p *parts) { p.tx.Channel[0] = 1 }, false},
		{"expired", func(p *parts) { p.tx.Expiry = p.header.Time }, false},
		{"expires at last", func(p *parts) { p.tx.Expiry = p.header.Time + ms }, true},
		{"expiry too far", func(p *parts) { p.tx.Expiry = p.header.Time + ledger.MaxExpiryAhead + ms }, false},
		{"header height", func(p *parts) { p.header.Height = 1 }, false},
		{"header view", func(p *parts) { p.header.View = 1 }, false},
		{"header log", func(p *parts) { p.header.Log = 1 }, false},
		{"header channel", func(p *parts) { p.header.Channel[0] = 1 }, false},
		{"header previous", func(p *parts) { p.header.Previous[0] = 1 }, false},
		{"header by nobody", func(p *parts) { p.block = "nobody" }, false},
		{"header in another's name", func(p *parts) { p.header.Proposer = ledger.Sum(p.c.SPKI("ca-b/block")) }, false},
		{"header by a governance key", func(p *parts) {
			p.block, p.header.Proposer = "ca-a/governance", ledger.Sum(p.c.SPKI("ca-a/governance"))
		}, false},
		{"header by another member", func(p *parts) { p.block, p.header.Proposer = "ca-c/block", ledger.Sum(p.c.SPKI("ca-c/block")) }, true},
		{"a member did not sign", func(p *parts) { p.signers = p.signers[1:] }, false},
		{"somebody else signed too", func(p *parts) { p.signers = append(p.signers, p.c.Signer("acme-cells/admin-1")) }, false},
		{"somebody else signed instead", func(p *parts) { p.signers[0] = p.c.Signer("ca-a/admin-1") }, false},
		{"consortium not first", func(p *parts) { p.bodies[0], p.bodies[1] = p.bodies[1], p.bodies[0] }, false},
		{"consortium twice", func(p *parts) { p.bodies = append(p.bodies, p.bodies[0]) }, false},
		{"no consortium", func(p *parts) { p.bodies = p.bodies[1:] }, false},
		{"rule version 0", rules(0), false},
		{"rule version 2", rules(2), true},
		{"rule version 3", rules(3), true},
		{"a rule version that this build does not know", rules(ledger.NewestRules + 1), false},
		{"consortium name", func(p *parts) { edit(p, 0, func(c *ledger.Consortium) { c.Name = "other.example" }) }, false},
		{"channel name", func(p *parts) { edit(p, 0, func(c *ledger.Consortium) { c.Channel = "other" }) }, false},
		{"member set not a document", func(p *parts) { edit(p, 0, func(c *ledger.Consortium) { c.MemberSet = []byte{1} }) }, false},
		{"member set 2", func(p *parts) { members(p, func(m *ledger.MemberSet) { m.Number, m.Previous = 2, ledger.Hash{1} }) }, false},
		{"quorum of two thirds", func(p *parts) { members(p, func(m *ledger.MemberSet) { m.Quorum = 2 }) }, false},
		{"quorum of more than all", func(p *parts) { members(p, func(m *ledger.MemberSet) { m.Quorum = 5 }) }, false},
		{"quorum of all", func(p *parts) { members(p, func(m *ledger.MemberSet) { m.Quorum = 4 }) }, true},
		{"no members", func(p *parts) { members(p, func(m *ledger.MemberSet) { m.Members, m.Quorum = nil, 0 }) }, false},
		{"a member's key twice", func(p *parts) { members(p, func(m *ledger.MemberSet) { m.Members[0].Keys[1] = m.Members[1].Keys[1] }) }, false},
		{"member under another organisation", func(p *parts) { members(p, func(m *ledger.MemberSet) { m.Members[0].Org = m.Members[1].Org }) }, false},
		{"member without organisation", func(p *parts) { members(p, func(m *ledger.MemberSet) { m.Members[0].Org = ledger.OrgID{} }) }, false},
		{"member without the role", org(0, func(o *ledger.Organisation) { o.Roles = ledger.RoleOperator }), false},
		{"member's organisation of another name", org(0, func(o *ledger.Organisation) { o.Name = "ca-z" }), false},
		{"organisation name", org(4, func(o *ledger.Organisation) { o.Name = "Acme Cells" }), false},
		{"organisation name twice", org(4, func(o *ledger.Organisation) { o.Name = "op-one" }), false},
		{"legal name of 129 bytes", org(4, func(o *ledger.Organisation) { o.LegalName = strings.Repeat("x", 129) }), false},
		{"no roles", org(4, func(o *ledger.Organisation) { o.Roles = 0 }), false},
		{"unknown role", org(4, func(o *ledger.Organisation) { o.Roles = 32 }), false},
		{"no admin keys", org(4, func(o *ledger.Organisation) { o.AdminKeys = nil }), false},
		{"admin key malformed", org(4, func(o *ledger.Organisation) { o.AdminKeys[0] = []byte{1} }), false},
		{"admin key twice", org(4, func(o *ledger.Organisation) { o.AdminKeys[0] = o.AdminKeys[1] }), false},
		{"admin key of two organisations", func(p *parts) {
			edit(p, 4, func(o *ledger.Organisation) { o.AdminKeys[0] = p.c.SPKI("other-cells/admin-1") })
		}, false},
		{"admin key is a governance key", func(p *parts) {
			edit(p, 4, func(o *ledger.Organisation) { o.AdminKeys[0] = p.c.SPKI("ca-b/governance") })
		}, false},
		{"0 admins", org(4, func(o *ledger.Organisation) { o.AdminM = 0 }), false},
		{"more admins than keys", org(4, func(o *ledger.Organisation) { o.AdminM = 4 }), false},
		{"17 admin keys", func(p *parts) {
			edit(p, 4, func(o *ledger.Organisation) {
				for i := range 14 {
					o.AdminKeys = append(o.AdminKeys, p.c.SPKI("more/"+string(rune('a'+i))))
				}
			})
		}, false},
		{"unknown profile", org(4, func(o *ledger.Organisation) { o.Profiles = []uint64{6} }), false},
		{"unknown profile under rule version 2", func(p *parts) {
			rules(2)(p)
			edit(p, 4, func(o *ledger.Organisation) { o.Profiles = []uint64{6} })
		}, false},
		{"profile of rule version 2 under 1", org(4, func(o *ledger.Organisation) { o.Profiles = []uint64{5} }), false},
		{"profile of rule version 2", func(p *parts) {
			rules(2)(p)
			edit(p, 4, func(o *ledger.Organisation) { o.Profiles = []uint64{1, 5} })
		}, true},
		{"profile that is 1 in 16 bits", org(4, func(o *ledger.Organisation) { o.Profiles = []uint64{0x10001} }), false},
		{"33 profiles", org(4, func(o *ledger.Organisation) { o.Profiles = slices.Repeat([]uint64{1}, 33) }), false},
		{"namespace of nobody", ns(0, func(n *ledger.Namespace) { n.Owner = ledger.OrgID{1} }), false},
		{"namespace type", ns(0, func(n *ledger.Namespace) { n.Type = 3 }), false},
		{"namespace type 3 under rule version 2", func(p *parts) { rules(2)(p); edit(p, 0, func(n *ledger.Namespace) { n.Type = 3 }) }, false},
		{"PLMN under rule version 1", ns(0, plmn("234015")), false},
		{"PLMN", func(p *parts) { rules(2)(p); edit(p, 0, plmn("234015")) }, true},
		{"PLMN not padded", func(p *parts) { rules(2)(p); edit(p, 0, plmn("23415")) }, false},
		{"PLMN of letters", func(p *parts) { rules(2)(p); edit(p, 0, plmn("23401a")) }, false},
		{"PLMN of seven digits", func(p *parts) { rules(2)(p); edit(p, 0, plmn("2340150")) }, false},
		{"PLMN of two", func(p *parts) { rules(2)(p); edit(p, 0, plmn("234015")); edit(p, 2, plmn("234015")) }, false},
		{"PLMNs of one country", func(p *parts) { rules(2)(p); edit(p, 0, plmn("234015")); edit(p, 2, plmn("234016")) }, true},
		{"hardware type under rule version 1", ns(0, hardware("1.3.6.1.4.1.32473")), false},
		{"hardware type", func(p *parts) { rules(2)(p); edit(p, 0, hardware("1.3.6.1.4.1.32473")) }, true},
		{"hardware type that is none", func(p *parts) { rules(2)(p); edit(p, 0, hardware("1.3.6.1.4.1.032473")) }, false},
		{"hardware types of every enterprise", func(p *parts) { rules(2)(p); edit(p, 0, hardware("1.3.6.1.4.1")) }, false},
		{"hardware types around every enterprise", func(p *parts) { rules(2)(p); edit(p, 0, hardware("1.3.6")) }, false},
		{"hardware type of another", func(p *parts) {
			rules(2)(p)
			edit(p, 0, hardware("1.3.6.1.4.1.32473"))
			edit(p, 2, hardware("1.3.6.1.4.1.32473"))
		}, false},
		{"hardware type within another's", func(p *parts) {
			rules(2)(p)
			edit(p, 0, hardware("1.3.6.1.4.1.32473"))
			edit(p, 2, hardware("1.3.6.1.4.1.32473.1"))
		}, false},
		{"hardware type beside another's", func(p *parts) {
			rules(2)(p)
			edit(p, 0, hardware("1.3.6.1.4.1.32473"))
			edit(p, 2, hardware("1.3.6.1.4.1.324731"))
		}, true},
		{"serial prefix empty", ns(0, func(n *ledger.Namespace) { n.Value = "" }), false},
		{"serial prefix of 33", ns(0, func(n *ledger.Namespace) { n.Value = strings.Repeat("A", 33) }), false},
		{"serial prefix with a space", ns(0, func(n *ledger.Namespace) { n.Value = "ACME 1" }), false},
		{"serial prefix of two vendors", ns(2, func(n *ledger.Namespace) { n.Value = "ACME-" }), true},
		{"DNS suffix of one label", ns(1, func(n *ledger.Namespace) { n.Value = "example" }), false},
		{"DNS suffix in capitals", ns(1, func(n *ledger.Namespace) { n.Value = "ACME.example" }), false},
		{"DNS suffix reserved", ns(1, func(n *ledger.Namespace) { n.Value = "3gppnetwork.org" }), false},
		{"DNS suffix within the reserved", ns(1, func(n *ledger.Namespace) { n.Value = "epc.mnc015.3gppnetwork.org" }), false},
		{"DNS suffix ends like the reserved", ns(1, func(n *ledger.Namespace) { n.Value = "my3gppnetwork.org" }), true},
		{"DNS suffix of another", ns(3, func(n *ledger.Namespace) { n.Value = "acme-cells.example" }), false},
		{"DNS suffix within another's", ns(3, func(n *ledger.Namespace) { n.Value = "x.acme-cells.example" }), false},
		{"DNS suffix around another's", func(p *parts) {
			edit(p, 1, func(n *ledger.Namespace) { n.Value = "x.other-cells.example" })
		}, false},
		{"delegable before its rules", func(p *parts) {
			rules(2)(p)
			edit(p, 1, func(n *ledger.Namespace) { n.Delegable = true })
		}, false},
		{"evidence before its rules", ns(1, func(n *ledger.Namespace) { n.Evidence = &ledger.Evidence{Method: ledger.MethodDNS} }), false},
		{"delegable, with evidence", func(p *parts) {
			rules(3)(p)
			edit(p, 1, func(n *ledger.Namespace) {
				n.Delegable, n.Evidence = true, &ledger.Evidence{Method: ledger.MethodDNS}
			})
		}, true},
		{"delegable serials", func(p *parts) {
			rules(3)(p)
			edit(p, 0, func(n *ledger.Namespace) { n.Delegable = true })
		}, false},
		{"line key of RSA", line(func(l *ledger.LineKey) { l.SPKI = rsaSPKI }), false},
		{"line key malformed", line(func(l *ledger.LineKey) { l.SPKI = []byte{1} }), false},
		{"line key possession", func(p *parts) { edit(p, 0, func(l *ledger.LineKey) { l.Possession[5] ^= 1 }) }, false},
		{"line key possession for another owner", func(p *parts) {
			var owner ledger.OrgID
			edit(p, 0, func(l *ledger.LineKey) { owner = l.Owner })
			edit(p, 2, func(l *ledger.LineKey) { l.Owner = owner })
		}, false},
		{"line key algorithm", line(func(l *ledger.LineKey) { l.Alg = ledger.AlgES256 }), false},
		{"line key is an admin key", func(p *parts) {
			relabel(p, 0, "acme-cells/admin-1", func(l *ledger.LineKey) { l.SPKI = p.c.SPKI("acme-cells/admin-1") })
		}, false},
		{"line key twice", func(p *parts) {
			relabel(p, 1, "acme-cells/line", func(l *ledger.LineKey) { l.SPKI = p.c.SPKI("acme-cells/line") })
		}, false},
		{"line key of nobody", line(func(l *ledger.LineKey) { l.Owner = ledger.OrgID{1} }), false},
		{"line key without namespaces", line(func(l *ledger.LineKey) { l.Namespaces = nil }), false},
		{"line key with 17 namespaces", line(func(l *ledger.LineKey) { l.Namespaces = slices.Repeat(l.Namespaces[:1], 17) }), false},
		{"line key with another's namespace", func(p *parts) {
			var theirs []ledger.OrgID
			edit(p, 2, func(l *ledger.LineKey) { theirs = l.Namespaces })
			relabel(p, 0, "acme-cells/line", func(l *ledger.LineKey) { l.Namespaces = theirs })
		}, false},
		{"line key with an unknown namespace", line(func(l *ledger.LineKey) { l.Namespaces[0] = ledger.OrgID{1} }), false},
		{"line key without profiles", line(func(l *ledger.LineKey) { l.Profiles = nil }), false},
		{"line key with an unknown profile", line(func(l *ledger.LineKey) { l.Profiles = []uint64{7} }), false},
		{"line key with 33 profiles", line(func(l *ledger.LineKey) { l.Profiles = slices.Repeat([]uint64{1}, 33) }), false},
		{"line key with 17 ranges", line(func(l *ledger.LineKey) { l.Ranges = make([]ledger.Range, 17) }), false},
		{"line key range backwards", line(func(l *ledger.LineKey) { l.Ranges = []ledger.Range{{Prefix: "A", Low: 2, High: 1}} }), false},
		{"line key range prefix", line(func(l *ledger.LineKey) { l.Ranges = []ledger.Range{{Prefix: strings.Repeat("A", 33)}} }), false},
		{"line key without rights", line(func(l *ledger.LineKey) { l.Rights = 0 }), false},
		{"line key with an unknown right", line(func(l *ledger.LineKey) { l.Rights = 4 }), false},
		{"line key ends before it begins", line(func(l *ledger.LineKey) { l.From, l.Until = 5, 4 }), false},
		{"operation that is not genesis's", func(p *parts) { p.bodies = append(p.bodies, ledgertest.Publish(p.c.Device("ACME-1", dns, 0))) }, false},
		{"operation unknown", func(p *parts) { p.bodies = append(p.bodies, ledger.EncodeBody(99, ledger.Namespace{})) }, false},
		{"body malformed", func(p *parts) { p.bodies = append(p.bodies, []byte{0xff}) }, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := ledgertest.Found(7, 4)
			b, err := ledger.ParseBlock(c.Genesis)
			if err != nil {
				t.Fatal(err)
			}
			p := &parts{c: c, header: *b.Header, tx: b.Txs[0].Tx, bodies: b.Txs[0].Bodies, block: "ca-a/block",
				signers: c.Signers("ca-a/governance", "ca-b/governance", "ca-c/governance", "ca-d/governance")}
			tc.spoil(p)
			e, err := state.Execute(state.Empty(&ledgertest.MemStore{}), p.build(t), state.Direct{})
			if tc.ok {
				if err != nil {
					t.Fatal(err)
				}
				if _, err := state.Fold(state.Empty(&ledgertest.MemStore{}), e.Leaves); err != nil {
					t.Errorf("fold: %v", err)
				}
				return
			}
			if code, _ := reason.CodeOf(err); code != reason.BadGenesis || !errors.Is(err, state.ErrInvalidBlock) {
				t.Errorf("%v", err)
			}
		})
	}
}
