package ledger

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger/tlog"
)

// Purposes of a member's six keys, one purpose each.
const (
	KeyLog        uint64 = 1 // signs checkpoints under the origin's name; Ed25519
	KeyCosigning  uint64 = 2 // cosigns checkpoints: "judged, and consistent with all I signed before"; Ed25519
	KeyBlock      uint64 = 3 // signs block headers; Ed25519
	KeyTLS        uint64 = 4 // between nodes
	KeyResponder  uint64 = 5 // signs OCSP answers
	KeyGovernance uint64 = 6 // votes; a quorum of them is "the quorum"
)

// MemberSet is a numbered document that says who the members are. Its hash is SHA-256 of its bytes.
type MemberSet struct {
	_          struct{} `cbor:",toarray"`
	Version    uint64
	Consortium string // by name, so that the document can be part of genesis
	Channel    string
	Number     uint64 // 1, 2, ...
	Quorum     uint64 // 3*quorum > 2*members
	Previous   Hash   // hash of document number-1; zero for the first
	Members    []Member
}

// Member is one row of a member set.
type Member struct {
	_      struct{} `cbor:",toarray"`
	Number uint64   // never reused
	Name   string   // [a-z0-9-]{1,32}
	Org    OrgID
	Keys   map[uint64][]byte // purpose -> SPKI
}

var nameForm = regexp.MustCompile(`^[a-z0-9-]{1,32}$`)
var consortiumForm = regexp.MustCompile(`^[a-z0-9.-]{1,100}$`)

// ValidName reports whether s may name a channel, member or organisation.
func ValidName(s string) bool { return nameForm.MatchString(s) }

// ValidConsortium reports whether s may name a consortium.
func ValidConsortium(s string) bool { return consortiumForm.MatchString(s) }

// ParseMemberSet decodes and checks a member-set document.
func ParseMemberSet(raw []byte) (*MemberSet, error) {
	if len(raw) > MaxBody {
		return nil, fmt.Errorf("member set of %d bytes", len(raw))
	}
	var m MemberSet
	if err := Decode(raw, &m); err != nil {
		return nil, err
	}
	return &m, m.check()
}

func (m *MemberSet) check() error {
	n := uint64(len(m.Members))
	switch {
	case m.Version != 1:
		return fmt.Errorf("member-set version %d", m.Version)
	case !ValidConsortium(m.Consortium) || !ValidName(m.Channel):
		return fmt.Errorf("names %q, %q", m.Consortium, m.Channel)
	case m.Number == 0 || (m.Number == 1) != (m.Previous == Hash{}):
		return errors.New("number and previous hash contradict each other")
	case n == 0 || n > MaxMembers:
		return fmt.Errorf("%d members", n)
	case m.Quorum > n || 3*m.Quorum <= 2*n:
		return reason.New(reason.MemberSetQuorum, "a quorum of %d of %d members", m.Quorum, n)
	}
	names, keys, last := map[string]bool{}, map[Hash]bool{}, uint64(0)
	for _, x := range m.Members {
		if x.Number <= last || !ValidName(x.Name) || names[x.Name] {
			return fmt.Errorf("member %d %q out of order or twice", x.Number, x.Name)
		}
		last, names[x.Name] = x.Number, true
		for p := KeyLog; p <= KeyGovernance; p++ {
			spki, ok := x.Keys[p]
			if !ok || keys[Sum(spki)] {
				return fmt.Errorf("member %q: key %d missing or used twice", x.Name, p)
			}
			keys[Sum(spki)] = true
			if p <= KeyBlock {
				if _, ok := Ed25519FromSPKI(spki); !ok {
					return fmt.Errorf("member %q: key %d is not Ed25519", x.Name, p)
				}
			}
		}
		if len(x.Keys) != int(KeyGovernance) {
			return fmt.Errorf("member %q: unknown key purpose", x.Name)
		}
	}
	return nil
}

// ByNumber finds a member by its number; nil when there is none.
func (m *MemberSet) ByNumber(number uint64) *Member {
	for i := range m.Members {
		if m.Members[i].Number == number {
			return &m.Members[i]
		}
	}
	return nil
}

// ByName finds a member by its name; nil when there is none.
func (m *MemberSet) ByName(name string) *Member {
	for i := range m.Members {
		if m.Members[i].Name == name {
			return &m.Members[i]
		}
	}
	return nil
}

// Origin is the origin line of a log of this channel: <consortium>/<channel>/<log number>.
func (m *MemberSet) Origin(log uint64) string {
	return fmt.Sprintf("%s/%s/%d", m.Consortium, m.Channel, log)
}

// LogOf is the log number in the origin of one of this channel's logs.
func (m *MemberSet) LogOf(origin string) (uint64, bool) {
	number, ok := strings.CutPrefix(origin, m.Consortium+"/"+m.Channel+"/")
	log, err := strconv.ParseUint(number, 10, 64)
	return log, ok && err == nil && m.Origin(log) == origin
}

// CosignerName is the name a member cosigns under: <consortium>/<member>.
func (m *MemberSet) CosignerName(member string) string { return m.Consortium + "/" + member }

// Policy is the C2SP tlog-policy that this member set amounts to for one of its logs.
func (m *MemberSet) Policy(log uint64) *tlog.Policy {
	p := &tlog.Policy{Origin: m.Origin(log), Quorum: int(m.Quorum)}
	for _, x := range m.Members {
		logKey, _ := Ed25519FromSPKI(x.Keys[KeyLog])
		cosigning, _ := Ed25519FromSPKI(x.Keys[KeyCosigning])
		p.Logs = append(p.Logs, tlog.PolicyLog{Key: tlog.VKey{Name: p.Origin, Type: tlog.TypeLog, Public: logKey}})
		p.Witnesses = append(p.Witnesses, tlog.PolicyWitness{Name: x.Name,
			Key: tlog.VKey{Name: m.CosignerName(x.Name), Type: tlog.TypeCosignature, Public: cosigning}})
	}
	return p
}

// PolicyUntil is Policy as a file that says which document it is of, and until when it may be trusted (seconds since 1970).
func (m *MemberSet) PolicyUntil(log uint64, expires int64) *tlog.Policy {
	p := m.Policy(log)
	p.Set, p.Expires = &tlog.PolicySet{Number: m.Number, Hash: Sum(Encode(m))}, expires
	return p
}

// ByBlockKey finds the member whose block key has this id.
func (m *MemberSet) ByBlockKey(id Hash) (*Member, ed25519.PublicKey) {
	for i := range m.Members {
		if spki := m.Members[i].Keys[KeyBlock]; Sum(spki) == id {
			pub, _ := Ed25519FromSPKI(spki)
			return &m.Members[i], pub
		}
	}
	return nil, nil
}

// ed25519Prefix opens the SPKI of an Ed25519 key (RFC 8410 section 4); 32 key bytes follow.
const ed25519Prefix = "\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00"

// Ed25519FromSPKI reads the key out of an Ed25519 SPKI.
func Ed25519FromSPKI(spki []byte) (ed25519.PublicKey, bool) {
	if len(spki) != len(ed25519Prefix)+ed25519.PublicKeySize || string(spki[:len(ed25519Prefix)]) != ed25519Prefix {
		return nil, false
	}
	return ed25519.PublicKey(spki[len(ed25519Prefix):]), true
}

// Ed25519SPKI builds the SPKI of an Ed25519 key.
func Ed25519SPKI(pub ed25519.PublicKey) []byte { return append([]byte(ed25519Prefix), pub...) }
