package main

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	_ "embed"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/quorate-pki/quorate/ca"
	"github.com/quorate-pki/quorate/ca/profile"
	"github.com/quorate-pki/quorate/internal/durable"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/node"
	"github.com/quorate-pki/quorate/ledger/state"
	"github.com/quorate-pki/quorate/ocsp"
)

// defaultGenesis is what `up` founds without --genesis.
//
//go:embed genesis.json
var defaultGenesis []byte

// genesisFile is the readable form of what a consortium starts with. docs/genesis.md is its manual. Unknown fields
// are refused.
type genesisFile struct {
	Consortium    string          `json:"consortium"` // a domain name of the consortium's
	Channel       string          `json:"channel"`    // [a-z0-9-]{1,32}
	Organisations []genesisOrg    `json:"organisations"`
	Comment       json.RawMessage `json:"comment,omitempty"` // for people
}

// orgForm is the readable form of an organisation, in a genesis file and in a proposal.
type orgForm struct {
	Name         string   `json:"name"` // [a-z0-9-]{1,32}; also the folder of its keys
	LegalName    string   `json:"legal_name"`
	Roles        []string `json:"roles"`         // member, vendor, operator, regulator, relying-party
	AdminsNeeded uint64   `json:"admins_needed"` // of its admin keys, to act
	Profiles     []string `json:"profiles,omitempty"`
	QuotaDay     uint64   `json:"quota_day,omitempty"`   // publications a UTC day
	QuotaTotal   uint64   `json:"quota_total,omitempty"` // publications in all
	LegacyRSA    bool     `json:"legacy_rsa,omitempty"`  // RSA 2048 too
}

type genesisOrg struct {
	orgForm
	Admins         int      `json:"admins"` // admin keys to make, 1..16
	SerialPrefixes []string `json:"serial_prefixes,omitempty"`
	DNSSuffixes    []string `json:"dns_suffixes,omitempty"`
	PLMNs          []string `json:"plmns,omitempty"`          // MCC-MNC, as 234-15
	HardwareTypes  []string `json:"hardware_types,omitempty"` // OIDs that its hwTypes are at or below
	LineKeys       int      `json:"line_keys,omitempty"`      // factory line keys to make: line.key, line-2.key, ...
}

func parseGenesisFile(data []byte) (*genesisFile, error) {
	var g genesisFile
	if err := strictJSON(data, &g); err != nil {
		return nil, fmt.Errorf("the genesis file: %w", err)
	}
	return &g, nil
}

// withMembers adds members ca-b, ca-c, ... behind the first organisation until there are n.
func (g *genesisFile) withMembers(n int) {
	first, rest := g.Organisations[:1:1], g.Organisations[1:]
	for i := 1; i < n; i++ {
		letter := string(rune('a' + i))
		first = append(first, genesisOrg{Admins: 1, orgForm: orgForm{Name: "ca-" + letter, LegalName: "Certification Authority " + strings.ToUpper(letter),
			Roles: []string{"member"}, AdminsNeeded: 1}})
	}
	g.Organisations = append(first, rest...)
}

// members is how many organisations are members.
func (g *genesisFile) members() (n int) {
	for _, o := range g.Organisations {
		if slices.Contains(o.Roles, "member") {
			n++
		}
	}
	return n
}

// policyLife is how long a policy is good that nobody said otherwise of.
const policyLife = 366 * 24 * time.Hour

// Files of a directory that `up` founded.
const (
	genesisName   = "genesis.block"
	policyName    = "policy"
	responderName = "responder.pem"
)

// memberKeys are the file names of a member's six keys.
var memberKeys = map[uint64]string{ledger.KeyLog: "log.key", ledger.KeyCosigning: "cosigning.key", ledger.KeyBlock: "block.key",
	ledger.KeyTLS: "tls.key", ledger.KeyResponder: "responder.key", ledger.KeyGovernance: "governance.key"}

// found makes a consortium's directory: keys, genesis block, policy, and the nodes' data at genesis. It is built
// beside its place and renamed into it, so a crash leaves no half of one.
func found(dir string, g *genesisFile, now time.Time) error {
	tmp := dir + ".founding"
	if err := os.RemoveAll(tmp); err != nil {
		return err
	}
	if err := os.MkdirAll(tmp, 0o700); err != nil {
		return err
	}
	f, gov, block, err := g.keys(keySource{dir: filepath.Join(tmp, "orgs")})
	if err != nil {
		return fmt.Errorf("founding: %w", err)
	}
	f.Time = ledger.MillisOf(now)
	rand.Read(f.Nonce[:])
	raw, err := ledger.Found(*f, gov, block)
	if err != nil {
		return err
	}
	if err := replaceFile(filepath.Join(tmp, genesisName), raw); err != nil {
		return err
	}
	members, err := genesisMembers(raw)
	if err != nil {
		return err
	}
	if err := replaceFile(filepath.Join(tmp, policyName), members.PolicyUntil(0, now.Add(policyLife).Unix()).Format()); err != nil {
		return err
	}
	for _, m := range members.Members {
		err := node.Init(node.Config{FS: vfs.Default, Dir: filepath.Join(tmp, "nodes", m.Name), Genesis: raw, Log: quietLog()})
		if err != nil {
			return err
		}
	}
	if err := renewResponders(tmp, memberNames(members), now); err != nil {
		return err
	}
	// The files are durable; now the names of their directories, then the whole.
	for _, d := range []string{"orgs", "nodes", "."} {
		if err := durable.SyncDir(vfs.Default, filepath.Join(tmp, d)); err != nil {
			return fmt.Errorf("founding: %w", err)
		}
	}
	if err := os.Rename(tmp, dir); err != nil {
		return fmt.Errorf("founding: %w", err)
	}
	return durable.SyncDir(vfs.Default, filepath.Dir(dir))
}

// genesisMembers judges a genesis block and returns its member set.
func genesisMembers(raw []byte) (*ledger.MemberSet, error) {
	b, err := ledger.ParseBlock(raw)
	if err != nil {
		return nil, fmt.Errorf("genesis: %w", err)
	}
	x, err := state.Execute(state.Empty(noRecords{}), b, state.Direct{})
	if err != nil {
		return nil, fmt.Errorf("genesis: %w", err)
	}
	return x.State.Members()
}

type noRecords struct{}

func (noRecords) Get([]byte) ([]byte, error) { return nil, nil }

// keySource says where the keys of a founding come from.
type keySource struct {
	dir   string            // organisations' directories are in it
	reuse bool              // key files that are there are taken; all others are made
	main  *ledger.MemberSet // of the main channel, where members of a further one have their keys; nil: members' keys are made
}

// keys reads or makes every key the genesis file asks for and describes the founding with them. Where members' keys are the main
// channel's, nobody has them here: gov and block are empty.
func (g *genesisFile) keys(from keySource) (f *ledger.Founding, gov []ledger.Signer, block ed25519.PrivateKey, err error) {
	f = &ledger.Founding{Consortium: g.Consortium, Channel: g.Channel, Rules: ledger.NewestRules}
	for _, o := range g.Organisations {
		org, err := o.record()
		if err != nil {
			return nil, nil, nil, err
		}
		if o.Admins < 1 || o.Admins > 16 {
			return nil, nil, nil, fmt.Errorf("organisation %q: admins must be 1 to 16", o.Name)
		}
		k := &keyMaker{dir: filepath.Join(from.dir, o.Name), reuse: from.reuse}
		if err := os.MkdirAll(k.dir, 0o700); err != nil {
			return nil, nil, nil, err
		}
		for i := range o.Admins {
			spki, _ := k.make(fmt.Sprintf("admin-%d.key", i+1), profile.P256)
			org.AdminKeys = append(org.AdminKeys, spki)
		}
		switch member := org.Roles&ledger.RoleMember != 0; {
		case !member:
		case from.main != nil:
			i := slices.Index(memberNames(from.main), o.Name)
			if i < 0 {
				return nil, nil, nil, fmt.Errorf("organisation %q is no member of the main channel; there are %v", o.Name, memberNames(from.main))
			}
			row := from.main.Members[i]
			f.Members = append(f.Members, ledger.FoundingMember{Name: row.Name, Number: row.Number, Keys: row.Keys})
		default:
			m, governance, blockKey := k.member(o.Name)
			f.Members, gov = append(f.Members, m), append(gov, governance)
			if block == nil {
				block = blockKey
			}
		}
		f.Organisations = append(f.Organisations, *org)
		o.namespaces(f)
		if err := o.lineKeys(f, k, org.Profiles); err != nil {
			return nil, nil, nil, err
		}
		if k.err != nil {
			return nil, nil, nil, k.err
		}
	}
	if len(f.Members) == 0 {
		return nil, nil, nil, errors.New("no organisation is a member")
	}
	f.Quorum = uint64(2*len(f.Members)/3 + 1)
	slices.SortStableFunc(f.Members, func(a, b ledger.FoundingMember) int { return int(a.Number) - int(b.Number) })
	return f, gov, block, nil
}

// member makes a member's six keys.
func (k *keyMaker) member(name string) (m ledger.FoundingMember, governance ledger.Signer, block ed25519.PrivateKey) {
	m = ledger.FoundingMember{Name: name, Keys: map[uint64][]byte{}}
	for purpose, file := range memberKeys {
		var key crypto.Signer
		m.Keys[purpose], key = k.make(file, memberKeyKind(purpose))
		switch {
		case k.err != nil:
		case purpose == ledger.KeyGovernance:
			governance, k.err = ledger.NewSigner(key, m.Keys[purpose])
		case purpose == ledger.KeyBlock:
			block = key.(ed25519.PrivateKey)
		}
	}
	return m, governance, block
}

// record is the operation's arguments, without admin keys.
func (o *orgForm) record() (*ledger.Organisation, error) {
	if !ledger.ValidName(o.Name) {
		return nil, fmt.Errorf("organisation name %q", o.Name)
	}
	org := &ledger.Organisation{Name: o.Name, LegalName: o.LegalName, AdminM: o.AdminsNeeded, QuotaDay: o.QuotaDay,
		QuotaTotal: o.QuotaTotal, LegacyRSA: o.LegacyRSA, Profiles: []uint64{}}
	for _, r := range o.Roles {
		bit, ok := ledger.RoleByName(r)
		if !ok {
			return nil, fmt.Errorf("organisation %q: there is no role %q", o.Name, r)
		}
		org.Roles |= bit
	}
	for _, name := range o.Profiles {
		p, ok := profile.ByName(name)
		if !ok {
			return nil, fmt.Errorf("organisation %q: there is no profile %q", o.Name, name)
		}
		org.Profiles = append(org.Profiles, uint64(p.ID))
	}
	return org, nil
}

func (o *genesisOrg) namespaces(f *ledger.Founding) {
	for _, v := range o.SerialPrefixes {
		f.Namespaces = append(f.Namespaces, ledger.FoundingNamespace{Owner: o.Name, Type: ledger.NamespaceSerial, Value: v})
	}
	for _, v := range o.DNSSuffixes {
		f.Namespaces = append(f.Namespaces, ledger.FoundingNamespace{Owner: o.Name, Type: ledger.NamespaceDNS, Value: v})
	}
	for _, v := range o.PLMNs {
		f.Namespaces = append(f.Namespaces, ledger.FoundingNamespace{Owner: o.Name, Type: ledger.NamespacePLMN, Value: paddedPLMN(v)})
	}
	for _, v := range o.HardwareTypes {
		f.Namespaces = append(f.Namespaces, ledger.FoundingNamespace{Owner: o.Name, Type: ledger.NamespaceHardware, Value: v})
	}
}

// paddedPLMN writes MCC-MNC as the six digits of a namespace: an MNC of two digits and its padded form are one. What is
// neither is left for genesis to refuse.
func paddedPLMN(v string) string {
	mcc, mnc, ok := strings.Cut(v, "-")
	if !ok || len(mcc) != 3 || len(mnc) < 2 || len(mnc) > 3 {
		return v
	}
	return mcc + ("0" + mnc)[len(mnc)-2:]
}

func (o *genesisOrg) lineKeys(f *ledger.Founding, k *keyMaker, profiles []uint64) error {
	for i := range o.LineKeys {
		name := "line.key"
		if i > 0 {
			name = fmt.Sprintf("line-%d.key", i+1)
		}
		spki, key := k.make(name, profile.P256)
		if k.err != nil {
			return k.err
		}
		s, err := ledger.NewSigner(key, spki)
		if err != nil {
			return err
		}
		f.LineKeys = append(f.LineKeys, ledger.FoundingLineKey{Owner: o.Name, Signer: s, LineKey: ledger.LineKey{SPKI: spki,
			Profiles: profiles, Rights: ledger.RightPublish | ledger.RightSuspend, QuotaDay: o.QuotaDay, QuotaTotal: o.QuotaTotal}})
	}
	return nil
}

// keyMaker makes key files; the first error sticks.
type keyMaker struct {
	dir   string
	reuse bool // what is there is taken
	err   error
}

func (k *keyMaker) make(name string, kind profile.KeyKind) (spki []byte, key crypto.Signer) {
	if k.err != nil {
		return nil, nil
	}
	path := filepath.Join(k.dir, name)
	if _, err := os.Stat(path); k.reuse && err == nil {
		key, k.err = ca.ReadSigner(path)
	} else if key, k.err = ca.GenerateKey(kind, rand.Reader); k.err == nil {
		k.err = ca.WriteKey(path, key)
	}
	if k.err != nil {
		return nil, nil
	}
	spki, k.err = ca.SPKI(key.Public())
	return spki, key
}

const (
	responderLife  = 7 * 24 * time.Hour // nobody can revoke it
	responderRenew = responderLife / 2  // left when it is replaced
)

// renewResponders replaces the responder certificates, one a member in the member set's order, when one is missing or
// ends soon. Clients that pinned the old ones must fetch the new, which have the same keys.
func renewResponders(dir string, members []string, now time.Time) error {
	path := filepath.Join(dir, responderName)
	// A file that cannot be read is as good as none: the keys are what counts.
	if ders, err := readResponders(path); err == nil && len(ders) == len(members) {
		fresh := 0
		for _, der := range ders {
			if c, err := x509.ParseCertificate(der); err == nil && c.NotAfter.After(now.Add(responderRenew)) {
				fresh++
			}
		}
		if fresh == len(ders) {
			return nil
		}
	}
	var out []byte
	for _, m := range members {
		key, err := ca.ReadSigner(filepath.Join(dir, "orgs", m, memberKeys[ledger.KeyResponder]))
		if err != nil {
			return err
		}
		der, err := responderCertificate(key, m, now)
		if err != nil {
			return err
		}
		out = append(out, ca.EncodeCertificate(der)...)
	}
	return replaceFile(path, out)
}

func responderCertificate(key crypto.Signer, member string, now time.Time) ([]byte, error) {
	return ocsp.SelfSignedResponder(key, member+" OCSP responder", now.Add(-time.Hour), now.Add(responderLife), rand.Reader)
}

// readResponders reads the certificates of a PEM file that holds nothing else.
func readResponders(path string) (ders [][]byte, err error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var again []byte
	for rest := data; ; {
		block, more := pem.Decode(rest)
		if block == nil {
			break
		}
		ders, rest = append(ders, block.Bytes), more
		again = append(again, ca.EncodeCertificate(block.Bytes)...)
	}
	if len(ders) == 0 || !bytes.Equal(again, data) {
		return nil, errors.New("it is not in the form it was written in")
	}
	return ders, nil
}

// memberNames are the names of a set's members, in its order.
func memberNames(set *ledger.MemberSet) (out []string) {
	for _, m := range set.Members {
		out = append(out, m.Name)
	}
	return out
}

// replaceFile writes a public file durably: a crash leaves the old or the new.
func replaceFile(path string, data []byte) error { return durable.Replace(vfs.Default, path, data) }
