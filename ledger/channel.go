package ledger

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
)

// OpChannel is about a further channel of the consortium, since rule version 3. Within a proposal it creates one. By itself, signed by
// one member, it restates one that is in force, and is refused unless it says exactly that: a receipt of such a leaf proves the channel.
const OpChannel Op = 77

// Channel is all that the main channel knows of a further one, and so all that members outside it do.
type Channel struct {
	Name     string    `cbor:"1,keyasint"` // [a-z0-9-]{1,32}
	ID       Hash      `cbor:"2,keyasint"` // of its genesis transaction
	Genesis  Hash      `cbor:"3,keyasint"` // SHA-256 of its genesis block's bytes
	Members  []uint64  `cbor:"4,keyasint"` // their numbers on the main channel, and on this one; ascending
	Consents []Consent `cbor:"5,keyasint"` // one of each member, in the same order
}

// MaxChannels is how many further channels a consortium may have.
const MaxChannels = 256

// FurtherChannel is a channel that was created.
type FurtherChannel struct {
	Channel
	Leaf     uint64 `cbor:"20,keyasint"`           // of the proposal
	Decision uint64 `cbor:"21,keyasint"`           // leaf of the vote that decided
	Restated uint64 `cbor:"22,keyasint,omitempty"` // newest leaf that restates it; 0: none yet
}

// Consent is a member's signature over ConsentMessage, by its governance key.
type Consent struct {
	_         struct{} `cbor:",toarray"`
	Alg       int64
	Signature []byte // 64 to 1,024 bytes; ECDSA as r||s
}

// ConsentContext precedes what a member signs to say that it is to be a member of a further channel.
const ConsentContext = "quorate/channel/1\n"

type consented struct {
	_       struct{} `cbor:",toarray"`
	Main    Hash
	Name    string
	ID      Hash
	Members []uint64
}

// ConsentMessage is what every member of a further channel signs: which channel creates it, its name and id, and who is in it. The id
// is of everything that the channel begins with. The block is not in it: it is made when all have signed.
func (c *Channel) ConsentMessage(main Hash) []byte {
	return append([]byte(ConsentContext), Encode(consented{Main: main, Name: c.Name, ID: c.ID, Members: c.Members})...)
}

func (c *Channel) check() error {
	switch {
	case !ValidName(c.Name):
		return fmt.Errorf("name %q", c.Name)
	case c.ID == Hash{} || c.Genesis == Hash{}:
		return errors.New("no id, or no genesis block")
	case len(c.Members) == 0 || len(c.Members) > MaxMembers || len(c.Members) != len(c.Consents):
		return fmt.Errorf("%d members and %d consents", len(c.Members), len(c.Consents))
	}
	for i, n := range c.Members {
		if n == 0 || i > 0 && n <= c.Members[i-1] {
			return fmt.Errorf("member %d out of order or twice", n)
		}
		if size := len(c.Consents[i].Signature); size < 64 || size > 1024 {
			return fmt.Errorf("a consent of %d bytes", size)
		}
	}
	return nil
}

// ChannelDraft is the genesis of a further channel before its members have signed: a file that goes round among them.
type ChannelDraft struct {
	Version uint64   `cbor:"1,keyasint"` // 1
	Main    Hash     `cbor:"2,keyasint"` // id of the main channel
	Payload []byte   `cbor:"3,keyasint"` // of the genesis transaction
	Bodies  [][]byte `cbor:"4,keyasint"`

	tx         Tx
	consortium *Consortium
	set        *MemberSet
}

// MaxDraft bounds a draft, in bytes.
const MaxDraft = MaxSubmission

// Draft is the founding without the members' signatures. It must have a Main.
func (f Founding) Draft() (*ChannelDraft, error) {
	if f.Main == (Hash{}) {
		return nil, errors.New("founding: a further channel names the one that creates it")
	}
	bodies, err := f.bodies()
	if err != nil {
		return nil, err
	}
	tx := f.tx()
	tx.Version = 1
	for _, m := range f.Members {
		tx.Signers = append(tx.Signers, Sum(m.Keys[KeyGovernance]))
	}
	slices.SortFunc(tx.Signers, func(a, b Hash) int { return bytes.Compare(a[:], b[:]) })
	for _, b := range bodies {
		tx.Bodies = append(tx.Bodies, Sum(b))
	}
	d := &ChannelDraft{Version: 1, Main: f.Main, Payload: Encode(&tx), Bodies: bodies}
	return ParseChannelDraft(Encode(d))
}

// ParseChannelDraft decodes a draft and checks that it hangs together. Whether it is a genesis that the rules accept shows when it
// is judged.
func ParseChannelDraft(raw []byte) (*ChannelDraft, error) {
	if len(raw) > MaxDraft {
		return nil, fmt.Errorf("a draft of %d bytes", len(raw))
	}
	var d ChannelDraft
	if err := Decode(raw, &d); err != nil {
		return nil, err
	}
	if d.Version != 1 {
		return nil, fmt.Errorf("draft version %d", d.Version)
	}
	if err := Decode(d.Payload, &d.tx); err != nil {
		return nil, err
	}
	if len(d.Bodies) == 0 || len(d.Bodies) != len(d.tx.Bodies) {
		return nil, fmt.Errorf("%d bodies, %d digests", len(d.Bodies), len(d.tx.Bodies))
	}
	for i, b := range d.Bodies {
		if Sum(b) != d.tx.Bodies[i] {
			return nil, fmt.Errorf("body %d is not the one that is to be signed", i)
		}
	}
	_, args, err := ParseBody(d.Bodies[0])
	if err != nil {
		return nil, err
	}
	c, ok := args.(*Consortium)
	if !ok || c.Main == nil || *c.Main != d.Main {
		return nil, errors.New("it does not found a further channel of this main channel")
	}
	d.consortium = c
	d.set, err = ParseMemberSet(c.MemberSet)
	return &d, err
}

// Encode returns the draft's bytes.
func (d *ChannelDraft) Encode() []byte { return Encode(d) }

// ID is the id that the channel will have.
func (d *ChannelDraft) ID() Hash { return Sum(d.Payload) }

// Seed is what the ids of its records derive from.
func (d *ChannelDraft) Seed() Hash { return GenesisSeed(d.tx.Nonce) }

// Members is the member set that the channel begins with.
func (d *ChannelDraft) Members() *MemberSet { return d.set }

// Time is the time of the genesis block, which follows from the transaction's expiry.
func (d *ChannelDraft) Time() Millis { return d.tx.Expiry - min(d.tx.Expiry, MaxExpiryAhead) }

// Channel is what the main channel is told, without the block and the consents.
func (d *ChannelDraft) Channel() *Channel {
	c := &Channel{Name: d.consortium.Channel, ID: d.ID()}
	for _, m := range d.set.Members {
		c.Members = append(c.Members, m.Number)
	}
	return c
}

// DraftSignature is what a member hands back: its signature on the genesis transaction, and its consent.
type DraftSignature struct {
	Version   uint64  `cbor:"1,keyasint"` // 1
	ID        Hash    `cbor:"2,keyasint"` // of the draft
	Protected []byte  `cbor:"3,keyasint"` // as in an envelope
	Signature []byte  `cbor:"4,keyasint"`
	Consent   Consent `cbor:"5,keyasint"`
}

// ParseDraftSignature decodes what Sign made.
func ParseDraftSignature(raw []byte) (*DraftSignature, error) {
	if len(raw) > 4<<10 {
		return nil, fmt.Errorf("a signature of %d bytes", len(raw))
	}
	var s DraftSignature
	if err := Decode(raw, &s); err != nil {
		return nil, err
	}
	if s.Version != 1 {
		return nil, fmt.Errorf("signature version %d", s.Version)
	}
	return &s, nil
}

// Sign signs the draft by a member's governance key.
func (d *ChannelDraft) Sign(key Signer) (*DraftSignature, error) {
	if !slices.Contains(d.tx.Signers, key.KeyID()) {
		return nil, errors.New("the key is no governance key of the channel's members")
	}
	s := &DraftSignature{Version: 1, ID: d.ID(), Protected: Encode(coseHeader{Alg: key.Alg(), KID: key.KeyID()}), Consent: Consent{Alg: key.Alg()}}
	var err error
	if s.Signature, err = key.SignCOSE(toBeSigned(s.Protected, d.Payload, ForLedger)); err != nil {
		return nil, fmt.Errorf("signing a genesis: %w", err)
	}
	if s.Consent.Signature, err = key.SignCOSE(d.Channel().ConsentMessage(d.Main)); err != nil {
		return nil, fmt.Errorf("consenting to a channel: %w", err)
	}
	return s, nil
}

// Complete makes the genesis block, and what the main channel is asked to create, of the signatures of all members. block is the block
// key of one of them. The signatures are not verified here: judging the block, and the proposal, does.
func (d *ChannelDraft) Complete(sigs []*DraftSignature, block ed25519.PrivateKey) ([]byte, *Channel, error) {
	by := map[Hash]*DraftSignature{}
	for _, s := range sigs {
		var h coseHeader
		if err := Decode(s.Protected, &h); err != nil {
			return nil, nil, err
		}
		if s.ID != d.ID() || !slices.Contains(d.tx.Signers, h.KID) {
			return nil, nil, fmt.Errorf("a signature by key %x is not of this draft", h.KID)
		}
		by[h.KID] = s
	}
	c := d.Channel()
	for _, m := range d.set.Members {
		s := by[Sum(m.Keys[KeyGovernance])]
		if s == nil {
			return nil, nil, fmt.Errorf("member %q has not signed", m.Name)
		}
		c.Consents = append(c.Consents, s.Consent)
	}
	env := envelope{Protected: []byte{}, Payload: d.Payload}
	for _, id := range d.tx.Signers {
		s := by[id]
		env.Signatures = append(env.Signatures, coseSignature{Protected: s.Protected, Signature: s.Signature})
	}
	raw := append(slices.Clone(coseTag), Encode(env)...)
	genesis, err := genesisBlock(&Submission{Envelope: raw, Bodies: d.Bodies}, d.Time(), block)
	if err != nil {
		return nil, nil, err
	}
	c.Genesis = Sum(genesis)
	return genesis, c, c.check()
}

// ChannelProof is all that somebody who trusts the main channel's policy needs to trust a further channel's log: a statement by the main
// channel, and what the id in it is the hash of, as far as that says who the members are.
type ChannelProof struct {
	Version   uint64 `cbor:"1,keyasint"` // 1
	Statement []byte `cbor:"2,keyasint"` // receipt of a leaf of the main channel's log that restates the channel
	Payload   []byte `cbor:"3,keyasint"` // of the channel's genesis transaction
	Founding  []byte `cbor:"4,keyasint"` // its first operation's body: consortium, channel, member set
}

// MaxChannelProof bounds a ChannelProof, in bytes.
const MaxChannelProof = 256 << 10

// Encode returns the proof's bytes.
func (p *ChannelProof) Encode() []byte {
	p.Version = 1
	return Encode(p)
}

// ParseChannelProof decodes a proof. What it proves, package verify says.
func ParseChannelProof(raw []byte) (*ChannelProof, error) {
	if len(raw) > MaxChannelProof {
		return nil, fmt.Errorf("a channel's proof of %d bytes", len(raw))
	}
	var p ChannelProof
	if err := Decode(raw, &p); err != nil {
		return nil, err
	}
	if p.Version != 1 {
		return nil, fmt.Errorf("proof version %d", p.Version)
	}
	return &p, nil
}

// Genesis checks that the proof's parts are those of one genesis transaction, and returns the id that it gives its channel and the
// operation that founds it.
func (p *ChannelProof) Genesis() (Hash, *Consortium, error) {
	var tx Tx
	if err := Decode(p.Payload, &tx); err != nil {
		return Hash{}, nil, err
	}
	if tx.Version != 1 || tx.Channel != (Hash{}) || tx.Mode != AllOrNothing || len(tx.Bodies) == 0 || tx.Bodies[0] != Sum(p.Founding) {
		return Hash{}, nil, errors.New("the operation is not the first one of this genesis transaction")
	}
	_, args, err := ParseBody(p.Founding)
	if err != nil {
		return Hash{}, nil, err
	}
	c, ok := args.(*Consortium)
	if !ok {
		return Hash{}, nil, errors.New("the first operation of genesis founds nothing")
	}
	return Sum(p.Payload), c, nil
}
