package ledger

import (
	"bytes"
	"fmt"
	"maps"
	"slices"

	"github.com/quorate-pki/quorate/internal/reason"
)

// How one member set follows another. A document of number n+1 names the hash of document n, and is signed by governance keys: a
// quorum of the members of n, a quorum of its own members, and the member whose keys are new. Whoever has document n can so check
// document n+1 by these bytes alone, however the members came to agree on it.

// OpMemberSet changes the members, since rule version 3, within a proposal.
const OpMemberSet Op = 74

// MemberSetContext comes before the bytes of a document when governance keys sign it.
const MemberSetContext = "quorate/member-set/1\n"

// MemberSetMessage is what governance keys sign of a document.
func MemberSetMessage(document []byte) []byte { return append([]byte(MemberSetContext), document...) }

// MemberSignature is a governance key's signature over MemberSetMessage of a document, by the one algorithm of the key's kind.
type MemberSignature struct {
	_         struct{} `cbor:",toarray"`
	Key       Hash     // id of the governance key
	Signature []byte   // as in an envelope; 64 to 1,024 bytes
}

// MemberSetChange puts a member set in force. Members vote on it; a vote carries the signature of who cast it.
type MemberSetChange struct {
	Document []byte `cbor:"1,keyasint"`
	// Signatures of governance keys that are in the document, by key id, distinct: of the member that is new or has new keys at least.
	Signatures []MemberSignature `cbor:"2,keyasint"`
}

// MemberSetLink is a document and the signatures that make it follow the one before. The first of a chain needs none: it is the one
// that the reader knows.
type MemberSetLink struct {
	_          struct{} `cbor:",toarray"`
	Document   []byte
	Signatures []MemberSignature // by key id, distinct; at most 2*MaxMembers
}

// MemberSetRecord is a member set that is or was in force; its key is the u64 number of the document. There is none while the first set
// is in force: the channel's record has that.
type MemberSetRecord struct {
	Document   []byte            `cbor:"1,keyasint"`
	Signatures []MemberSignature `cbor:"2,keyasint"` // none of the first: genesis is signed by all
	Leaf       uint64            `cbor:"3,keyasint"` // of the vote that decided it, or of the genesis operation
	From       uint64            `cbor:"4,keyasint"` // first height that this set makes final
}

// Link is the record as part of a chain.
func (r *MemberSetRecord) Link() MemberSetLink {
	return MemberSetLink{Document: r.Document, Signatures: r.Signatures}
}

// MemberChain is a file of links, oldest first.
type MemberChain struct {
	_       struct{} `cbor:",toarray"`
	Version uint64   // 1
	Links   []MemberSetLink
}

// MaxMemberChain bounds a chain file, in bytes; MaxMemberLinks its links.
const (
	MaxMemberChain = 8 << 20
	MaxMemberLinks = 1024
)

// Encode is the chain's bytes.
func (c *MemberChain) Encode() []byte { return Encode(c) }

// ParseMemberChain decodes a chain file. What it says is Walk's to check.
func ParseMemberChain(raw []byte) (*MemberChain, error) {
	if len(raw) > MaxMemberChain {
		return nil, fmt.Errorf("a chain of %d bytes, at most %d", len(raw), MaxMemberChain)
	}
	var c MemberChain
	if err := Decode(raw, &c); err != nil {
		return nil, err
	}
	if c.Version != 1 || len(c.Links) == 0 || len(c.Links) > MaxMemberLinks {
		return nil, fmt.Errorf("version %d with %d member sets", c.Version, len(c.Links))
	}
	return &c, nil
}

// Verifier checks a signature of a key, given as SPKI, by the one algorithm of its kind; profile.VerifySPKI is one.
type Verifier func(spki, message, signature []byte) bool

// Walk follows links from the document that the caller knows by its hash, and returns its member set and all that follow, oldest
// first. Links before that document are passed over. The refusal says which link does not follow.
func Walk(known Hash, links []MemberSetLink, verify Verifier) ([]*MemberSet, *reason.Error) {
	i := slices.IndexFunc(links, func(l MemberSetLink) bool { return Sum(l.Document) == known })
	if i < 0 {
		return nil, reason.New(reason.MemberSetUnknown, "none of %d member sets is the one with hash %x", len(links), known)
	}
	set, no := ParseMemberSetStrict(links[i].Document)
	if no != nil {
		return nil, no
	}
	out, past := []*MemberSet{set}, NewMemberHistory(set)
	for _, l := range links[i+1:] {
		next, no := ParseMemberSetStrict(l.Document)
		if no == nil {
			no = set.Step(known, next, past)
		}
		if no == nil {
			no = set.SignedNext(next, l, verify)
		}
		if no != nil {
			return nil, no
		}
		past.Add(next)
		out, set, known = append(out, next), next, Sum(l.Document)
	}
	return out, nil
}

// ParseMemberSetStrict is ParseMemberSet, with the code of what is wrong.
func ParseMemberSetStrict(document []byte) (*MemberSet, *reason.Error) {
	m, err := ParseMemberSet(document)
	switch code, ok := reason.CodeOf(err); {
	case err == nil:
		return m, nil
	case ok:
		return nil, reason.New(code, "%v", err)
	}
	return nil, reason.New(reason.BadMemberSet, "%v", err)
}

// Step checks that next follows this set, whose document has a hash, by one step: at most one member is new, gone, in another's place,
// or has new keys; and that nothing of an earlier set, of which past has all from this one back, is another's now.
func (m *MemberSet) Step(hash Hash, next *MemberSet, past *MemberHistory) *reason.Error {
	if next.Consortium != m.Consortium || next.Channel != m.Channel {
		return reason.New(reason.MemberSetNotNext, "of %s/%s, not %s/%s", next.Consortium, next.Channel, m.Consortium, m.Channel)
	}
	if next.Number != m.Number+1 || next.Previous != hash {
		return reason.New(reason.MemberSetNotNext, "number %d after %x; number %d with hash %x is in force", next.Number, next.Previous, m.Number, hash)
	}
	if (len(m.Members) == 1) != (len(next.Members) == 1) {
		return reason.New(reason.MemberSetAlone, "%d members, now %d", len(next.Members), len(m.Members))
	}
	added, gone, changed := m.difference(next)
	switch {
	case len(added) > 1 || len(gone) > 1 || len(changed) > 1 || len(changed) == 1 && len(added)+len(gone) > 0:
		return reason.New(reason.MemberSetStep, "%d members are new, %d gone, %d have other keys", len(added), len(gone), len(changed))
	case len(added)+len(gone)+len(changed) == 0 && next.Quorum == m.Quorum:
		return reason.New(reason.MemberSetStep, "nothing changes")
	}
	return past.Fits(m, next)
}

// Follower is a set to edit into the one that follows this.
func (m *MemberSet) Follower() *MemberSet {
	next := *m
	next.Number, next.Previous, next.Members = m.Number+1, Sum(Encode(m)), slices.Clone(m.Members)
	for i := range next.Members {
		next.Members[i].Keys = maps.Clone(next.Members[i].Keys)
	}
	return &next
}

// difference says which members are new, gone, or have other keys.
func (m *MemberSet) difference(next *MemberSet) (added, gone, changed []*Member) {
	for i := range next.Members {
		x := &next.Members[i]
		old := m.ByNumber(x.Number)
		switch {
		case old == nil:
			added = append(added, x)
		case !old.same(x):
			changed = append(changed, x)
		}
	}
	for i := range m.Members {
		if next.ByNumber(m.Members[i].Number) == nil {
			gone = append(gone, &m.Members[i])
		}
	}
	return added, gone, changed
}

func (x *Member) same(y *Member) bool {
	if x.Name != y.Name || x.Org != y.Org {
		return false
	}
	for p := KeyLog; p <= KeyGovernance; p++ {
		if !bytes.Equal(x.Keys[p], y.Keys[p]) {
			return false
		}
	}
	return true
}

// MemberHistory is what members of earlier sets had: nothing of it is ever another's.
type MemberHistory struct {
	last  uint64 // greatest number
	names map[string]uint64
	keys  map[Hash]keyPlace
}

// keyPlace is whose a key is, and what for.
type keyPlace struct{ member, purpose uint64 }

// NewMemberHistory is the history that these sets make.
func NewMemberHistory(sets ...*MemberSet) *MemberHistory {
	h := &MemberHistory{names: map[string]uint64{}, keys: map[Hash]keyPlace{}}
	for _, m := range sets {
		h.Add(m)
	}
	return h
}

// Add notes a set.
func (h *MemberHistory) Add(m *MemberSet) {
	for _, x := range m.Members {
		h.last, h.names[x.Name] = max(h.last, x.Number), x.Number
		for p, spki := range x.Keys {
			h.keys[Sum(spki)] = keyPlace{x.Number, p}
		}
	}
}

// Has reports whether a key was ever a member's.
func (h *MemberHistory) Has(key Hash) bool { _, ok := h.keys[key]; return ok }

// Fits demands that no number, name or key of a set was another's. A key that a member gave up it must not take again.
func (h *MemberHistory) Fits(m, next *MemberSet) *reason.Error {
	for _, x := range next.Members {
		old := m.ByNumber(x.Number)
		if old == nil && x.Number <= h.last {
			return reason.New(reason.MemberReused, "number %d, and %d was given already", x.Number, h.last)
		}
		if old != nil && (old.Name != x.Name || old.Org != x.Org) {
			return reason.New(reason.MemberReused, "number %d is %q, not %q", x.Number, old.Name, x.Name)
		}
		if n, taken := h.names[x.Name]; taken && n != x.Number {
			return reason.New(reason.MemberReused, "the name %q was member %d's", x.Name, n)
		}
		for p := KeyLog; p <= KeyGovernance; p++ {
			spki := x.Keys[p]
			if at, taken := h.keys[Sum(spki)]; taken && (old == nil || !bytes.Equal(old.Keys[p], spki)) {
				return reason.New(reason.MemberKeyReused, "key %d of %q was key %d of member %d", p, x.Name, at.purpose, at.member)
			}
		}
	}
	return nil
}

// SignedNext checks the signatures of a link: each valid and of a governance key of either set, a quorum of this set, a quorum of the next,
// and the member that is new or has new keys. verify nil: they were checked one by one.
func (m *MemberSet) SignedNext(next *MemberSet, l MemberSetLink, verify Verifier) *reason.Error {
	signed, no := m.Signers(next, l, verify)
	if no != nil {
		return no
	}
	if n := m.governors(signed); n < m.Quorum {
		return reason.New(reason.MemberSetSignatures, "%d members of set %d signed, %d must", n, m.Number, m.Quorum)
	}
	if n := next.governors(signed); n < next.Quorum {
		return reason.New(reason.MemberSetSignatures, "%d members of set %d signed, %d must", n, next.Number, next.Quorum)
	}
	return m.Consented(next, signed)
}

// Consented demands the signature of the member that is new or has new keys, by its governance key in the next set.
func (m *MemberSet) Consented(next *MemberSet, signed map[Hash]bool) *reason.Error {
	added, _, changed := m.difference(next)
	for _, x := range append(added, changed...) {
		if !signed[Sum(x.Keys[KeyGovernance])] {
			return reason.New(reason.MemberConsent, "%q has not signed document %d", x.Name, next.Number)
		}
	}
	return nil
}

// Signers are the ids of the governance keys that signed a link's document.
func (m *MemberSet) Signers(next *MemberSet, l MemberSetLink, verify Verifier) (map[Hash]bool, *reason.Error) {
	if len(l.Signatures) > 2*MaxMembers {
		return nil, reason.New(reason.MemberSetSignatures, "%d signatures", len(l.Signatures))
	}
	message, signed := MemberSetMessage(l.Document), map[Hash]bool{}
	for i, s := range l.Signatures {
		if i > 0 && bytes.Compare(l.Signatures[i-1].Key[:], s.Key[:]) >= 0 {
			return nil, reason.New(reason.MemberSetSignatures, "signatures out of order, or one twice")
		}
		spki := m.governance(s.Key)
		if spki == nil {
			spki = next.governance(s.Key)
		}
		switch {
		case spki == nil:
			return nil, reason.New(reason.MemberSetSignatures, "key %x is no governance key of set %d or %d", s.Key[:8], m.Number, next.Number)
		case verify != nil && !verify(spki, message, s.Signature):
			return nil, reason.New(reason.MemberSetSignatures, "the signature of key %x on document %d does not verify", s.Key[:8], next.Number)
		}
		signed[s.Key] = true
	}
	return signed, nil
}

// governance is the governance key with an id.
func (m *MemberSet) governance(id Hash) []byte {
	for _, x := range m.Members {
		if spki := x.Keys[KeyGovernance]; Sum(spki) == id {
			return spki
		}
	}
	return nil
}

// governors counts the members whose governance keys are among these.
func (m *MemberSet) governors(keys map[Hash]bool) (n uint64) {
	for _, x := range m.Members {
		if keys[Sum(x.Keys[KeyGovernance])] {
			n++
		}
	}
	return n
}

// JoinSignatures puts signatures into the one order that a link has them in; of one key the first stands.
func JoinSignatures(lists ...[]MemberSignature) []MemberSignature {
	out := []MemberSignature{}
	for _, list := range lists {
		for _, s := range list {
			i, have := slices.BinarySearchFunc(out, s, func(a, b MemberSignature) int { return bytes.Compare(a.Key[:], b.Key[:]) })
			if !have {
				out = slices.Insert(out, i, s)
			}
		}
	}
	return out
}

// SignMemberSet signs a document by a governance key.
func SignMemberSet(document []byte, by Signer) (MemberSignature, error) {
	sig, err := by.SignCOSE(MemberSetMessage(document))
	if err != nil {
		return MemberSignature{}, fmt.Errorf("signing a member set: %w", err)
	}
	return MemberSignature{Key: by.KeyID(), Signature: sig}, nil
}
