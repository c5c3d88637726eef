package ledger

import (
	"crypto/ed25519"
	"fmt"
)

// Founding is what a genesis block says: the consortium, its members, organisations, namespaces and line keys.
// Organisations refer to each other by name here and by id in the block.
type Founding struct {
	Consortium    string
	Channel       string
	Rules         uint64 // rule version of the channel, 1 to NewestRules
	Quorum        uint64 // 3*quorum > 2*members
	Members       []FoundingMember
	Organisations []Organisation
	Namespaces    []FoundingNamespace
	LineKeys      []FoundingLineKey
	Nonce         [16]byte // random: it seeds the ids of the records
	Time          Millis   // of the genesis block

	// Main is the id of the channel whose members create this one. Zero: it is the first channel of its consortium.
	Main Hash
}

// FoundingMember is a member; an organisation of the same name must be among the organisations.
type FoundingMember struct {
	Name   string
	Number uint64            // in the member set; ascending. Default: its place, from 1
	Keys   map[uint64][]byte // purpose -> SPKI
}

// FoundingNamespace is a namespace and the name of its owner.
type FoundingNamespace struct {
	Owner     string
	Type      uint64
	Value     string
	Delegable bool // since rule version 3
}

// FoundingLineKey is a line key; it gets all namespaces of its owner.
type FoundingLineKey struct {
	Owner  string
	Signer Signer // signs its possession
	LineKey
}

// Found builds the signed genesis block. governance are the members' governance keys, all of them; block is the
// block key of one member.
func Found(f Founding, governance []Signer, block ed25519.PrivateKey) ([]byte, error) {
	bodies, err := f.bodies()
	if err != nil {
		return nil, err
	}
	sub, err := SignTx(f.tx(), bodies, ForLedger, governance...)
	if err != nil {
		return nil, fmt.Errorf("founding: %w", err)
	}
	return genesisBlock(sub, f.Time, block)
}

// tx is the genesis transaction without what SignTx completes.
func (f *Founding) tx() Tx {
	return Tx{Expiry: f.Time + MaxExpiryAhead, Mode: AllOrNothing, Nonce: f.Nonce}
}

// bodies are the operations of genesis.
func (f *Founding) bodies() ([][]byte, error) {
	seed := GenesisSeed(f.Nonce)
	// Positions: the consortium, then the organisations, namespaces and line keys in order.
	orgs := map[string]OrgID{}
	for i, o := range f.Organisations {
		orgs[o.Name] = RecordID(seed, uint16(1+i))
	}
	set := MemberSet{Version: 1, Consortium: f.Consortium, Channel: f.Channel, Number: 1, Quorum: f.Quorum}
	for i, m := range f.Members {
		number := m.Number
		if number == 0 {
			number = uint64(i + 1)
		}
		set.Members = append(set.Members, Member{Number: number, Name: m.Name, Org: orgs[m.Name], Keys: m.Keys})
	}
	if err := set.check(); err != nil {
		return nil, fmt.Errorf("founding: %w", err)
	}
	first := Consortium{Name: f.Consortium, Channel: f.Channel, RuleVersion: f.Rules, MemberSet: Encode(set)}
	if f.Main != (Hash{}) {
		first.Main = &f.Main
	}
	bodies := [][]byte{EncodeBody(OpConsortium, first)}
	for _, o := range f.Organisations {
		bodies = append(bodies, EncodeBody(OpOrganisation, o))
	}
	owned := map[string][]OrgID{}
	for i, n := range f.Namespaces {
		owned[n.Owner] = append(owned[n.Owner], RecordID(seed, uint16(1+len(f.Organisations)+i)))
		bodies = append(bodies, EncodeBody(OpNamespace, Namespace{Owner: orgs[n.Owner], Type: n.Type, Value: n.Value, Control: "founding", Delegable: n.Delegable}))
	}
	for _, l := range f.LineKeys {
		k := l.LineKey
		k.Owner, k.Namespaces, k.Alg = orgs[l.Owner], owned[l.Owner], l.Signer.Alg()
		sig, err := l.Signer.SignCOSE(PossessionMessage(k.Owner, k.SPKI))
		if err != nil {
			return nil, fmt.Errorf("founding: line key of %s: %w", l.Owner, err)
		}
		k.Possession = sig
		bodies = append(bodies, EncodeBody(OpLineKey, k))
	}
	return bodies, nil
}

// genesisBlock puts the signed genesis transaction into its block.
func genesisBlock(sub *Submission, at Millis, block ed25519.PrivateKey) ([]byte, error) {
	parsed, err := ParseSubmission(sub.Encode(), ForLedger)
	if err != nil {
		return nil, fmt.Errorf("founding: %w", err)
	}
	h := &Header{Version: 1, Payload: PayloadHash([]*Parsed{parsed}), Time: at, Proposer: Sum(Ed25519SPKI(block.Public().(ed25519.PublicKey)))}
	return EncodeBlock(SignHeader(h, block), []*Parsed{parsed}), nil
}
