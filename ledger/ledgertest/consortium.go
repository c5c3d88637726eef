// Package ledgertest holds what ledger tests share: a founded consortium with all its keys, devices, transactions,
// a file system that crashes, a node on it, and the one oracle that re-verifies everything. Tests only.
package ledgertest

import (
	"crypto"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"sync"
	"time"

	"github.com/quorate-pki/quorate/ca"
	"github.com/quorate-pki/quorate/ca/profile"
	"github.com/quorate-pki/quorate/ledger"
)

// Start is when every test's consortium is founded.
var Start = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

// Consortium is a founded consortium: members ca-a.., vendor acme-cells (serials ACME-, DNS acme-cells.example, two
// line keys, admins 2 of 3), vendor other-cells (serials OTHER-, one line key, admins 1 of 1), operator op-one. All
// keys are Ed25519 and follow from the seed, so every byte of a test repeats.
type Consortium struct {
	Seed    uint64
	Genesis []byte
	Channel ledger.Hash
	Set     *ledger.MemberSet       // the first
	orgs    map[string]ledger.OrgID // registered in genesis

	mu   *sync.Mutex // guards keys: members start side by side
	keys map[string]ed25519.PrivateKey
}

// Key returns the key of a name such as "ca-a/block", "acme-cells/line", "acme-cells/admin-1", "device/ACME-1".
func (c *Consortium) Key(name string) ed25519.PrivateKey {
	c.mu.Lock()
	defer c.mu.Unlock()
	if k, ok := c.keys[name]; ok {
		return k
	}
	seed := sha256.Sum256(fmt.Appendf(nil, "%d/%s", c.Seed, name))
	k := ed25519.NewKeyFromSeed(seed[:])
	c.keys[name] = k
	return k
}

// SPKI is the SPKI of a named key.
func (c *Consortium) SPKI(name string) []byte {
	return ledger.Ed25519SPKI(c.Key(name).Public().(ed25519.PublicKey))
}

// Signer is a transaction signer with a named key.
func (c *Consortium) Signer(name string) ledger.Signer {
	s, err := ledger.NewSigner(c.Key(name), c.SPKI(name))
	if err != nil {
		panic(err)
	}
	return s
}

// Signers are several.
func (c *Consortium) Signers(names ...string) (out []ledger.Signer) {
	for _, n := range names {
		out = append(out, c.Signer(n))
	}
	return out
}

// Quotas of a founding, small ones for tests of quotas.
type Quotas struct{ Day, Total uint64 }

// Founding describes the consortium, for tests that spoil it before founding.
func (c *Consortium) Founding(members int, q Quotas) (*ledger.Founding, []ledger.Signer) {
	// Rule version 1, because the vectors that others verify by are of it; tests of newer rules set theirs.
	f := &ledger.Founding{Consortium: "test.example", Channel: "main", Rules: 1, Quorum: uint64(2*members/3 + 1), Time: ledger.MillisOf(Start)}
	binary.BigEndian.PutUint64(f.Nonce[:], c.Seed)
	org := func(name string, roles uint64, admins int, m uint64) {
		o := ledger.Organisation{Name: name, LegalName: name, Roles: roles, AdminM: m, Profiles: []uint64{}}
		if roles == ledger.RoleVendor {
			o.Profiles, o.QuotaDay, o.QuotaTotal = []uint64{1}, q.Day, q.Total
		}
		for i := range admins {
			o.AdminKeys = append(o.AdminKeys, c.SPKI(fmt.Sprintf("%s/admin-%d", name, i+1)))
		}
		f.Organisations = append(f.Organisations, o)
	}
	line := func(owner, key string) {
		f.LineKeys = append(f.LineKeys, ledger.FoundingLineKey{Owner: owner, Signer: c.Signer(key), LineKey: ledger.LineKey{
			SPKI: c.SPKI(key), Profiles: []uint64{1}, Rights: ledger.RightPublish | ledger.RightSuspend, QuotaDay: q.Day, QuotaTotal: q.Total}})
	}
	var gov []ledger.Signer
	for i := range members {
		name := "ca-" + string(rune('a'+i))
		org(name, ledger.RoleMember, 1, 1)
		m := ledger.FoundingMember{Name: name, Keys: map[uint64][]byte{}}
		for p, k := range map[uint64]string{ledger.KeyLog: "log", ledger.KeyCosigning: "cosigning", ledger.KeyBlock: "block",
			ledger.KeyTLS: "tls", ledger.KeyResponder: "responder", ledger.KeyGovernance: "governance"} {
			m.Keys[p] = c.SPKI(name + "/" + k)
		}
		f.Members = append(f.Members, m)
		gov = append(gov, c.Signer(name+"/governance"))
	}
	org("acme-cells", ledger.RoleVendor, 3, 2)
	org("other-cells", ledger.RoleVendor, 1, 1)
	org("op-one", ledger.RoleOperator, 1, 1)
	f.Namespaces = []ledger.FoundingNamespace{
		{Owner: "acme-cells", Type: ledger.NamespaceSerial, Value: "ACME-"},
		{Owner: "acme-cells", Type: ledger.NamespaceDNS, Value: "acme-cells.example"},
		{Owner: "other-cells", Type: ledger.NamespaceSerial, Value: "OTHER-"},
		{Owner: "other-cells", Type: ledger.NamespaceDNS, Value: "other-cells.example"},
	}
	line("acme-cells", "acme-cells/line")
	line("acme-cells", "acme-cells/line-2")
	line("other-cells", "other-cells/line")
	return f, gov
}

// Unfounded has keys and nothing else.
func Unfounded(seed uint64) *Consortium {
	return &Consortium{Seed: seed, mu: new(sync.Mutex), keys: map[string]ed25519.PrivateKey{}}
}

// Found founds a consortium with generous quotas, of rule version 1.
func Found(seed uint64, members int) *Consortium { return FoundBy(seed, members, 1) }

// FoundBy founds one of a rule version.
func FoundBy(seed uint64, members int, rules uint64) *Consortium {
	c := Unfounded(seed)
	f, gov := c.Founding(members, Quotas{Day: 1_000_000, Total: 100_000_000})
	f.Rules = rules
	if err := c.Use(f, gov); err != nil {
		panic(err)
	}
	return c
}

// Use founds the consortium by f.
func (c *Consortium) Use(f *ledger.Founding, gov []ledger.Signer) error {
	raw, err := ledger.Found(*f, gov, c.Key("ca-a/block"))
	if err != nil {
		return err
	}
	b, err := ledger.ParseBlock(raw)
	if err != nil {
		return err
	}
	c.Genesis, c.Channel = raw, b.Txs[0].ID
	_, args, err := ledger.ParseBody(b.Txs[0].Bodies[0])
	if err != nil {
		return err
	}
	c.orgs = map[string]ledger.OrgID{}
	for i, o := range f.Organisations {
		c.orgs[o.Name] = ledger.RecordID(ledger.GenesisSeed(f.Nonce), uint16(1+i))
	}
	c.Set, err = ledger.ParseMemberSet(args.(*ledger.Consortium).MemberSet)
	return err
}

// Device is a certificate by the key "device/<serial>". variant makes other certificates of the same device and key.
func (c *Consortium) Device(serial, suffix string, variant int) []byte {
	return c.DeviceKey(serial, suffix, "device/"+serial, variant)
}

// DeviceKey is a certificate of a device over a named key.
func (c *Consortium) DeviceKey(serial, suffix, key string, variant int) []byte {
	name, err := ca.DefaultName(serial, suffix)
	if err != nil {
		panic(err)
	}
	p, _ := profile.ByID(1)
	var k crypto.Signer = c.Key(key)
	der, err := ca.SelfIssue(ca.SelfIssueConfig{Profile: p, Key: k, Serial: serial, DNSNames: []string{name},
		NotBefore: Start.Add(-time.Duration(variant) * time.Hour), Rand: newStream(c.Seed, key, variant)})
	if err != nil {
		panic(err)
	}
	return der
}

// stream is an endless reader of bytes that follow from its name.
type stream struct {
	state [32]byte
	left  []byte
}

func newStream(seed uint64, name string, variant int) *stream {
	return &stream{state: sha256.Sum256(fmt.Appendf(nil, "%d|%s|%d", seed, name, variant))}
}

func (s *stream) Read(p []byte) (int, error) {
	for n := range p {
		if len(s.left) == 0 {
			s.state = sha256.Sum256(s.state[:])
			s.left = append([]byte{}, s.state[:]...)
		}
		p[n], s.left = s.left[0], s.left[1:]
	}
	return len(p), nil
}

// TxOptions vary a transaction.
type TxOptions struct {
	Mode    ledger.Mode
	Nonce   uint64
	Channel *ledger.Hash // default: the consortium's
	Expiry  time.Time    // default: an hour after now
	Purpose ledger.Purpose
}

// Tx signs a transaction at a time.
func (c *Consortium) Tx(now time.Time, o TxOptions, bodies [][]byte, signers ...string) []byte {
	tx := ledger.Tx{Channel: c.Channel, Expiry: ledger.MillisOf(now.Add(time.Hour)), Mode: o.Mode}
	binary.BigEndian.PutUint64(tx.Nonce[:], o.Nonce)
	if o.Channel != nil {
		tx.Channel = *o.Channel
	}
	if !o.Expiry.IsZero() {
		tx.Expiry = ledger.MillisOf(o.Expiry)
	}
	if o.Purpose == "" {
		o.Purpose = ledger.ForLedger
	}
	s, err := ledger.SignTx(tx, bodies, o.Purpose, c.Signers(signers...)...)
	if err != nil {
		panic(err)
	}
	return s.Encode()
}

// Publish is the body of a publication under the small-cell profile.
func Publish(der []byte) []byte {
	return ledger.EncodeBody(ledger.OpPublish, ledger.Publish{Profile: 1, Certificate: der})
}

// Prove signs a life step by a device's key, for an organisation.
func (c *Consortium) Prove(step ledger.LifeStep, device string, org ledger.OrgID) (alg int64, sig []byte) {
	s := c.Signer("device/" + device)
	sig, err := s.SignCOSE(ledger.ProofMessage(c.Channel, org, step))
	if err != nil {
		panic(err)
	}
	return s.Alg(), sig
}

// Change is the body of a status change.
func Change(c ledger.StatusChange) []byte { return ledger.EncodeBody(ledger.OpStatus, c) }

// Block builds and signs a block of submissions on top of a state's channel record.
func (c *Consortium) Block(on ledger.ChannelRecord, now time.Time, view uint64, txs ...[]byte) (*ledger.Block, []byte, error) {
	var in []*ledger.Parsed
	for _, raw := range txs {
		p, err := ledger.ParseSubmission(raw, ledger.ForLedger)
		if err != nil {
			return nil, nil, err
		}
		in = append(in, p)
	}
	h := &ledger.Header{Version: 1, Channel: on.Channel, Log: on.Log, Height: on.Height + 1, View: view, Previous: on.Header,
		Payload: ledger.PayloadHash(in), Time: max(ledger.MillisOf(now), on.Time+1), Proposer: ledger.Sum(c.SPKI("ca-a/block"))}
	raw := ledger.EncodeBlock(ledger.SignHeader(h, c.Key("ca-a/block")), in)
	b, err := ledger.ParseBlock(raw)
	return b, raw, err
}
