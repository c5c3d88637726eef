package api_test

import (
	"testing"
	"time"

	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/api"
	"github.com/quorate-pki/quorate/ledger/ledgertest"
	"github.com/quorate-pki/quorate/verify"
)

// TestCutOffIsTold: a cut-off is proved as the cause of the status of what it revoked, and of nothing else; explain tells it.
func TestCutOffIsTold(t *testing.T) {
	s := serveBy(t, 3, ledger.NewestRules)
	nonce := uint64(5000)
	send := func(body []byte, signers ...string) uint64 {
		t.Helper()
		nonce++
		res, err := s.node.Submit(t.Context(), s.c.Tx(ledgertest.Start, ledgertest.TxOptions{Nonce: nonce}, [][]byte{body}, signers...))
		if err != nil || res.Verdicts[0].Code.OK() == false {
			t.Fatalf("%+v, %v", res, err)
		}
		return res.Verdicts[0].Leaf
	}
	ders := [][]byte{s.c.Device("ACME-0", "acme-cells.example", 0), s.c.Device("ACME-1", "acme-cells.example", 0), s.c.Device("ACME-2", "acme-cells.example", 0)}
	var leaves []uint64
	for _, der := range ders {
		leaves = append(leaves, send(ledgertest.Publish(der), "acme-cells/line")) // published already
	}
	first := leaves[0]
	send(ledgertest.Change(ledger.StatusChange{Action: ledger.Suspend, Scope: ledger.ScopeCertificate, Leaf: &leaves[1], Reason: ledger.CertificateHold,
		Target: ledger.Sum(s.c.SPKI("device/ACME-1"))}), "acme-cells/line")
	other := send(ledgertest.Publish(s.c.Device("OTHER-1", "other-cells.example", 0)), "other-cells/line")
	line := ledger.Sum(s.c.SPKI("acme-cells/line"))
	cut := send(ledger.EncodeBody(ledger.OpCutOff, ledger.CutOff{Scope: ledger.ScopeLineKey, Target: line[:], From: leaves[1], Reason: ledger.PrivilegeWithdrawn}),
		"acme-cells/admin-1", "acme-cells/admin-2")

	c := s.client(t)
	for i, der := range ders {
		e, err := c.Explain(t.Context(), der)
		if err != nil {
			t.Fatal(err)
		}
		st, err := c.Standing(t.Context(), leaves[i])
		if err != nil {
			t.Fatal(err)
		}
		verdict := verify.Verdict(e.Published, st.Standing, der, st.AsOf, time.Hour)
		if i == 0 {
			if len(e.Changes) != 0 || e.Expect.OCSP != "good" || st.Status != ledger.Good || st.Cut != nil || verdict != nil {
				t.Errorf("leaf %d: %v, %v, %v", first, e.Expect, st.Standing, verdict)
			}
			continue
		}
		last := e.Changes[len(e.Changes)-1]
		if len(e.Changes) != 3-i || last.Leaf != cut || len(last.CutOffs) != 1 || last.CutOffs[0].Leaves != 2 || e.Expect.OCSP != "revoked, privilegeWithdrawn" || e.Status != "revoked" {
			t.Errorf("certificate %d: %d changes, %+v, %v", i, len(e.Changes), last.CutOffs, e.Expect)
		}
		if why, _ := st.Reason(); st.Cut == nil || st.Cause.Index != cut || st.By != ledger.ByOwner || why != ledger.PrivilegeWithdrawn {
			t.Errorf("certificate %d: %+v", i, st.Standing)
		}
		if code, _ := reason.CodeOf(verdict); code != reason.RevokedCertificate {
			t.Errorf("certificate %d: %v", i, verdict)
		}
	}
	// The cut-off of a line key is no cause for what another vouched for, though it spans it.
	st, err := c.Standing(t.Context(), other)
	if err != nil || st.Status != ledger.Good {
		t.Fatal(st, err)
	}
	receipt, err := c.Receipt(t.Context(), cut)
	if err != nil {
		t.Fatal(err)
	}
	_, _, entry, err := verify.Entry(s.c.Policy(), receipt, nil)
	if err != nil {
		t.Fatal(err)
	}
	event, err := api.Describe(cut, entry)
	if err != nil || event.Kind != "cut-off" || event.CutOff == nil || event.CutOffs[0].Covers(cut, other, &api.Publication{Voucher: "00"}) {
		t.Errorf("%+v, %v", event, err)
	}
}
