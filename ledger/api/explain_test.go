package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/api"
	"github.com/quorate-pki/quorate/ledger/client"
	"github.com/quorate-pki/quorate/ledger/ledgertest"
)

// history publishes certificate 0, changes its status to and fro, and has another refused twice.
func (s *served) history(t *testing.T) (published, refused []byte, leaf uint64) {
	t.Helper()
	published = s.c.Device("ACME-0", "acme-cells.example", 0)
	refused = s.c.Device("ACME-500", "other-cells.example", 0)
	nonce := uint64(5000)
	send := func(body []byte, signers ...string) ledger.Result {
		nonce++
		res, err := s.node.Submit(t.Context(), s.c.Tx(ledgertest.Start, ledgertest.TxOptions{Nonce: nonce}, [][]byte{body}, signers...))
		if err != nil {
			t.Fatal(err)
		}
		return res
	}
	leaf = send(ledgertest.Publish(published), "acme-cells/line").Verdicts[0].Leaf // it is published already
	change := func(a ledger.Action, why uint64) {
		body := ledgertest.Change(ledger.StatusChange{Action: a, Scope: ledger.ScopeCertificate, Reason: why, Leaf: &leaf, Target: ledger.Sum(s.c.SPKI("device/ACME-0"))})
		if v := send(body, "acme-cells/admin-1", "acme-cells/admin-2").Verdicts[0]; v.Code != reason.Accepted {
			t.Fatal(v.Code)
		}
	}
	change(ledger.Suspend, ledger.CertificateHold)
	change(ledger.Resume, ledger.RemoveFromCRL)
	for range 2 {
		if v := send(ledgertest.Publish(refused), "acme-cells/line").Verdicts[0]; v.Code != reason.NameNotOwned {
			t.Fatal(v.Code)
		}
	}
	change(ledger.Revoke, ledger.Superseded)
	return published, refused, leaf
}

// TestExplain: all of it, in order, proved; by certificate and by leaf the same.
func TestExplain(t *testing.T) {
	s := serve(t, 3)
	published, refused, leaf := s.history(t)
	c := s.client(t)
	e, err := c.Explain(t.Context(), published)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, g := range e.Grants {
		got = append(got, g.Kind)
	}
	for _, x := range e.Changes {
		got = append(got, x.Change.Action+" by "+x.Change.By)
	}
	want := []string{"organisation", "line-key", "namespace", "namespace", "suspend by owner", "resume by owner", "revoke by owner"}
	if !slices.Equal(got, want) || e.Publication.Leaf != leaf || e.Status != "revoked" || e.Expect.OCSP != "revoked, superseded" ||
		e.Expect.Verdict.Code != reason.RevokedCertificate || len(e.Refusals) != 0 {
		t.Errorf("%v %s %+v", got, e.Status, e.Expect)
	}
	var byLeaf api.Explanation
	if err := json.Unmarshal(s.get(t, fmt.Sprintf("/v1/main/explain/%d", leaf)), &byLeaf); err != nil || byLeaf.Certificate != e.Certificate || len(byLeaf.Changes) != 3 {
		t.Errorf("by leaf: %+v %v", byLeaf.Certificate, err)
	}
	if e, err = c.Explain(t.Context(), refused); err != nil {
		t.Fatal(err)
	}
	if len(e.Refusals) != 2 || e.Refusals[0].Code != reason.NameNotOwned || e.Refusals[1].Leaf <= e.Refusals[0].Leaf || e.Published != nil ||
		e.Expect.Verdict.Code != reason.UnknownCertificate {
		t.Errorf("%+v", e.Expect)
	}
}

// TestExplainIsBounded: whoever fills the history of a certificate hides neither the newest of it nor holds up the node.
func TestExplainIsBounded(t *testing.T) {
	s := serve(t, 1)
	der, foreign := s.c.Device("ACME-0", "acme-cells.example", 0), s.c.Device("ACME-500", "other-cells.example", 0)
	nonce, last := uint64(9000), uint64(0)
	send := func(signers []string, bodies ...[]byte) {
		nonce++
		res, err := s.node.Submit(t.Context(), s.c.Tx(ledgertest.Start, ledgertest.TxOptions{Nonce: nonce}, bodies, signers...))
		if err != nil {
			t.Fatal(err)
		}
		if v := res.Verdicts[len(res.Verdicts)-1]; v.Code.OK() {
			last = v.Leaf
		} else {
			last = res.Leaf
		}
	}
	send([]string{"acme-cells/line"}, ledgertest.Publish(der))
	leaf := last
	target := ledger.Sum(s.c.SPKI("device/ACME-0"))
	var flips [][]byte
	for range 60 {
		flips = append(flips, ledgertest.Change(ledger.StatusChange{Action: ledger.Suspend, Scope: ledger.ScopeCertificate, Reason: ledger.CertificateHold, Leaf: &leaf, Target: target}),
			ledgertest.Change(ledger.StatusChange{Action: ledger.Resume, Scope: ledger.ScopeCertificate, Reason: ledger.RemoveFromCRL, Leaf: &leaf, Target: target}))
	}
	send([]string{"acme-cells/admin-1", "acme-cells/admin-2"}, flips...)
	e, err := s.client(t).Explain(t.Context(), der)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(e.Changes); n != 100 || !e.MoreChanges || e.Changes[n-1].Leaf != last {
		t.Errorf("%d changes (more: %v)", n, e.MoreChanges)
	}
	for range 17 {
		send([]string{"acme-cells/line"}, ledgertest.Publish(foreign))
	}
	if e, err = s.client(t).Explain(t.Context(), foreign); err != nil {
		t.Fatal(err)
	}
	if n := len(e.Refusals); n != 16 || !e.MoreRefusals || e.Refusals[n-1].Leaf != last {
		t.Errorf("%d refusals (more: %v)", n, e.MoreRefusals)
	}
}

// TestExplainBelievesNothing alters explanations; whatever is told without proof is refused.
func TestExplainBelievesNothing(t *testing.T) {
	s := serve(t, 3)
	published, refused, _ := s.history(t)
	for _, c := range []struct {
		name  string
		der   []byte
		alter func(*api.Explanation)
		ok    bool
	}{
		{"nothing", published, func(*api.Explanation) {}, true},
		{"the expectation", published, func(e *api.Explanation) { e.Expect.OCSP = "good" }, true}, // it is made anew
		{"another certificate", published, func(e *api.Explanation) { e.Certificate = e.Key }, false},
		{"another key", published, func(e *api.Explanation) { e.Key = e.Certificate }, false},
		{"another owner", published, func(e *api.Explanation) { e.Publication.Publication.Owner = "00" }, false},
		{"another evidence", published, func(e *api.Explanation) { e.Publication.Publication.Evidence = "chain" }, false},
		{"another name of the owner", published, func(e *api.Explanation) { e.Grants[0].Organisation.LegalName = "Others" }, false},
		{"a grant left out", published, func(e *api.Explanation) { e.Grants = e.Grants[1:] }, false},
		{"a grant that is another's", published, func(e *api.Explanation) { e.Grants[0] = e.Changes[0] }, false},
		{"the last change left out", published, func(e *api.Explanation) { e.Changes = e.Changes[:2] }, false},
		{"all changes left out", published, func(e *api.Explanation) { e.Changes = nil }, false},
		{"changes out of order", published, func(e *api.Explanation) { slices.Reverse(e.Changes) }, false},
		{"a change twice", published, func(e *api.Explanation) { e.Changes[1] = e.Changes[0] }, false},
		{"another reason", published, func(e *api.Explanation) { e.Changes[2].Change.Reason = "keyCompromise" }, false},
		{"the receipt of another leaf", published, func(e *api.Explanation) { e.Changes[1].Receipt = e.Changes[0].Receipt }, false},
		{"another status", published, func(e *api.Explanation) { e.Status = "good" }, false},
		{"no status proof", published, func(e *api.Explanation) { e.StatusProof = "" }, false},
		{"not published, yet changed", published, func(e *api.Explanation) { e.Publication = nil }, false},
		{"refused", refused, func(*api.Explanation) {}, true},
		{"the sentence", refused, func(e *api.Explanation) { e.Refusals[0].Sentence = "Pay us." }, true}, // it is made anew
		{"refused for another reason", refused, func(e *api.Explanation) { e.Refusals[0].Code = reason.KeyBarred }, false},
		{"refused as another profile", refused, func(e *api.Explanation) { e.Refusals[0].Profile = 2 }, false},
		{"another operation", refused, func(e *api.Explanation) { e.Refusals[0].Position = 1 }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			cl := liar(t, s, c.alter)
			got, err := cl.Explain(t.Context(), c.der)
			if (err == nil) != c.ok {
				t.Fatalf("%v", err)
			}
			if c.ok && (got.Expect.OCSP == "good" || len(got.Refusals) > 0 && got.Refusals[0].Sentence == "Pay us.") {
				t.Error("it was believed")
			}
		})
	}
}

// liar is a client of a node whose JSON answers of one type are altered on the way. Everything else passes as it is.
func liar[T any](t *testing.T, s *served, alter func(*T)) *client.Client {
	t.Helper()
	between := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		req, err := http.NewRequest(r.Method, s.server.URL+r.URL.RequestURI(), r.Body)
		if err != nil {
			t.Error(err)
			return
		}
		req.Header = r.Header.Clone()
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Error(err)
			return
		}
		defer resp.Body.Close()
		var e T
		if err := json.NewDecoder(resp.Body).Decode(&e); err != nil {
			t.Error(err)
		}
		alter(&e)
		w.WriteHeader(resp.StatusCode)
		_ = json.NewEncoder(w).Encode(e)
	}))
	t.Cleanup(between.Close)
	c, err := client.New(client.Config{Nodes: []string{between.URL}, Policy: s.c.Policy()})
	if err != nil {
		t.Fatal(err)
	}
	return c
}
