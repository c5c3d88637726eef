package verify_test

import (
	"bytes"
	"slices"
	"testing"

	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/verify"
)

// name is a certificate of the test's own.
func name(b byte) ledger.CertificateName {
	return ledger.CertificateName{Key: ledger.Hash{b}, Certificate: ledger.Hash{b, b}}
}

// TestAbsence: whose word it is, and of what; each case breaks one rule.
func TestAbsence(t *testing.T) {
	w := small(t, 4)
	e, err := verify.LastEpoch(w.c.Policy(), w.epochOf(w.size()).file())
	must(t, err)
	document := ledger.Encode(w.c.Set)
	set, err := e.Members(document)
	must(t, err)
	say := func(by string, change func(*ledger.AbsenceStatement)) []byte {
		s := &ledger.AbsenceStatement{Member: 2, Size: e.Size, Root: e.Root, Absent: []ledger.CertificateName{name(1), name(2), name(7)}}
		if change != nil {
			change(s)
		}
		raw, err := s.Sign(w.c.Signer(by))
		must(t, err)
		return raw
	}
	good := say("ca-b/responder", nil)
	said, err := verify.Absence(e, set, good)
	must(t, err)
	if said.Member.Name != "ca-b" || !said.Says(name(1)) || !said.Says(name(7)) || said.Says(name(3)) ||
		said.Says(ledger.CertificateName{Key: name(1).Key, Certificate: name(2).Certificate}) {
		t.Errorf("%+v", said)
	}
	var a ledger.Absence
	must(t, ledger.Decode(good, &a))
	resigned := func(statement []byte) []byte {
		b := ledger.Absence{Statement: statement}
		sig, err := w.c.Signer("ca-b/responder").SignCOSE(b.Signed())
		must(t, err)
		b.Signature = sig
		return ledger.Encode(b)
	}
	many := make([]ledger.CertificateName, ledger.MaxOperations+1)
	for i := range many {
		many[i] = ledger.CertificateName{Key: ledger.Hash{byte(i >> 8), byte(i)}}
	}
	for _, c := range []struct {
		name string
		raw  []byte
	}{
		{"another member's key", say("ca-c/responder", nil)},
		{"another key of the same member", say("ca-b/governance", nil)},
		{"nobody's number", say("ca-b/responder", func(s *ledger.AbsenceStatement) { s.Member = 5 })},
		{"a smaller tree", say("ca-b/responder", func(s *ledger.AbsenceStatement) { s.Size-- })},
		{"another root", say("ca-b/responder", func(s *ledger.AbsenceStatement) { s.Root[0] ^= 1 })},
		{"of nothing", say("ca-b/responder", func(s *ledger.AbsenceStatement) { s.Absent = []ledger.CertificateName{} })},
		{"of 1,025", say("ca-b/responder", func(s *ledger.AbsenceStatement) { s.Absent = many })},
		{"not in order", say("ca-b/responder", func(s *ledger.AbsenceStatement) { slices.Reverse(s.Absent) })},
		{"one twice", say("ca-b/responder", func(s *ledger.AbsenceStatement) { s.Absent[1] = s.Absent[0] })},
		{"version 2", resigned(bytes.Replace(a.Statement, []byte{0xa5, 1, 1}, []byte{0xa5, 1, 2}, 1))},
		{"a key more", resigned(append(bytes.Replace(a.Statement, []byte{0xa5}, []byte{0xa6}, 1), 6, 0))},
		{"a byte more", append(slices.Clone(good), 0)},
		{"a bit of what is signed", ledger.Encode(ledger.Absence{Statement: bytes.Replace(a.Statement, []byte{7, 7}, []byte{7, 6}, 1), Signature: a.Signature})},
		{"a bit of the signature", ledger.Encode(ledger.Absence{Statement: a.Statement, Signature: append(slices.Clone(a.Signature[:63]), a.Signature[63]^1)})},
		{"signed for something else", func() []byte {
			sig, err := w.c.Signer("ca-b/responder").SignCOSE(a.Statement)
			must(t, err)
			return ledger.Encode(ledger.Absence{Statement: a.Statement, Signature: sig})
		}()},
		{"empty", nil},
		{"over the limit", make([]byte, ledger.MaxAbsence+1)},
	} {
		if _, err := verify.Absence(e, set, c.raw); code(err) != reason.BadAbsence {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	// The largest there is fits.
	if _, err := verify.Absence(e, set, say("ca-b/responder", func(s *ledger.AbsenceStatement) { s.Absent = many[:ledger.MaxOperations] })); err != nil {
		t.Errorf("of 1,024: %v", err)
	}
	other := *w.c.Set
	other.Quorum = 4
	for what, doc := range map[string][]byte{"another set": ledger.Encode(other), "a byte more": append(slices.Clone(document), 0), "nothing": nil} {
		if _, err := e.Members(doc); code(err) != reason.BadMemberSet {
			t.Errorf("member set: %s: %v", what, err)
		}
	}
}

// FuzzAbsence: what decodes encodes to the same bytes, and nothing unsigned is taken for a member's word.
func FuzzAbsence(f *testing.F) {
	w := small(f, 1)
	e, err := verify.LastEpoch(w.c.Policy(), w.epochOf(w.size()).file())
	must(f, err)
	s := ledger.AbsenceStatement{Member: 1, Size: e.Size, Root: e.Root, Absent: []ledger.CertificateName{name(1)}}
	good, err := s.Sign(w.c.Signer("ca-a/responder"))
	must(f, err)
	f.Add(good)
	f.Fuzz(func(t *testing.T, raw []byte) {
		if said, err := verify.Absence(e, w.c.Set, raw); err == nil && !(said.Says(name(1)) && bytes.Equal(raw, good)) {
			t.Fatal("accepted what nobody signed")
		}
	})
}
