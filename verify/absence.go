package verify

import (
	"slices"

	"github.com/quorate-pki/quorate/ca/profile"
	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
)

// Members checks a member-set document: it must be the one in force at the epoch.
func (e *Epoch) Members(document []byte) (*ledger.MemberSet, error) {
	return members(e.MemberSet, document)
}

// Members checks a member-set document: it must be the one in force when the standing was proved.
func (s *Standing) Members(document []byte) (*ledger.MemberSet, error) {
	return members(s.MemberSet, document)
}

func members(inForce ledger.Hash, document []byte) (*ledger.MemberSet, error) {
	set, err := ledger.ParseMemberSet(document)
	if err != nil {
		return nil, reason.New(reason.BadMemberSet, "%v", err)
	}
	if ledger.Sum(document) != inForce {
		return nil, reason.New(reason.BadMemberSet, "another one was in force then")
	}
	return set, nil
}

// Absent is a member's word that it knows no such certificates as of an epoch. It is told, not proved: that a certificate is unknown
// may be believed when f+1 members (tlog.Policy.F() + 1) say so, of whom one at least is honest.
type Absent struct {
	Member *ledger.Member
	absent []ledger.CertificateName
}

// Absence checks whose word it is (docs/formats.md, Absence). set is the member set in force at the epoch.
func Absence(e *Epoch, set *ledger.MemberSet, raw []byte) (*Absent, error) {
	a, s, err := ledger.ParseAbsence(raw)
	if err != nil {
		return nil, reason.New(reason.BadAbsence, "%v", err)
	}
	if s.Size != e.Size || s.Root != e.Root {
		return nil, reason.New(reason.BadAbsence, "of a tree of %d leaves, the epoch ends one of %d", s.Size, e.Size)
	}
	i := slices.IndexFunc(set.Members, func(m ledger.Member) bool { return m.Number == s.Member })
	if i < 0 {
		return nil, reason.New(reason.BadAbsence, "nobody is member %d", s.Member)
	}
	if !profile.VerifySPKI(set.Members[i].Keys[ledger.KeyResponder], a.Signed(), a.Signature) {
		return nil, reason.New(reason.BadAbsence, "not signed by %s", set.Members[i].Name)
	}
	return &Absent{Member: &set.Members[i], absent: s.Absent}, nil
}

// Says reports whether the member says it of this certificate.
func (a *Absent) Says(n ledger.CertificateName) bool {
	_, ok := slices.BinarySearchFunc(a.absent, n, ledger.CertificateName.Compare)
	return ok
}
