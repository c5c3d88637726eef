package ledger_test

import (
	"bytes"
	"testing"

	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/verify"
)

// snapshot is the snapshot of the newest tree, in which leaf 8 has a status; and what the one member says of a certificate that nobody
// published.
func (e *example) snapshot(t testing.TB, status ledger.Status) {
	t.Helper()
	last := uint64(len(e.leaves)) - 1
	proof := e.prove(t, last, ledger.Encode(ledger.ReceiptExtra{Version: 1, Before: e.leaves[last], After: []byte{}}))
	var chunk ledger.Chunk
	chunk.Set(8, status)
	e.blocks["text snapshot-head"] = string(ledger.SnapshotHead(proof))
	e.snap = append(ledger.SnapshotHead(proof), chunk[:]...)

	epoch, err := verify.LastEpoch(e.policy, proof)
	must(t, err)
	e.nobody = ledger.CertificateName{Key: ledger.Sum(e.spki("device")), Certificate: ledger.Sum([]byte("no such certificate"))}
	s := ledger.AbsenceStatement{Member: 1, Size: epoch.Size, Root: epoch.Root, Absent: []ledger.CertificateName{e.nobody}}
	e.absence, err = s.Sign(e.signer(t, "responder"))
	must(t, err)
	a, _, err := ledger.ParseAbsence(e.absence)
	must(t, err)
	e.hex("absence-statement", a.Statement)
	e.hex("absence", e.absence)
}

// TestFormatsSnapshot holds the page's snapshot and absence to the verifier.
func TestFormatsSnapshot(t *testing.T) {
	e := theExample(t)
	file := bytes.NewReader(e.snap)
	s, err := verify.ReadSnapshot(e.policy, file)
	must(t, err)
	st, err := s.Standing(file, 8)
	must(t, err)
	if st.Status != ledger.Revoked || s.Size != 13 || s.Counts != [4]uint64{11, 0, 0, 1} {
		t.Errorf("%+v %+v", s, st)
	}
	set, err := s.Members(e.document(t))
	must(t, err)
	said, err := verify.Absence(&s.Epoch, set, e.absence)
	must(t, err)
	if !said.Says(e.nobody) || said.Says(ledger.CertificateName{Key: e.nobody.Key, Certificate: ledger.Sum(e.der)}) {
		t.Error("it says something else")
	}
}

// document is the member-set document of genesis.
func (e *example) document(t testing.TB) []byte {
	t.Helper()
	entry, err := ledger.ParseEntry(e.leaves[1])
	must(t, err)
	_, args, err := ledger.ParseBody(entry.Op.Body)
	must(t, err)
	return args.(*ledger.Consortium).MemberSet
}
