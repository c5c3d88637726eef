package api_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	"github.com/quorate-pki/quorate/internal/problem"
	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/api"
	"github.com/quorate-pki/quorate/ledger/client"
	"github.com/quorate-pki/quorate/ledger/ledgertest"
	"github.com/quorate-pki/quorate/verify"
)

// published are the leaves of the certificates that serve published.
func (s *served) published() (leaves []uint64) {
	for _, a := range s.oracle.Acked {
		for i, v := range a.Result.Verdicts {
			if i < len(a.DERs) {
				leaves = append(leaves, v.Leaf)
			}
		}
	}
	return leaves
}

// suspend suspends the certificate at a leaf.
func (s *served) suspend(t *testing.T, serial string, leaf uint64) {
	t.Helper()
	body := ledgertest.Change(ledger.StatusChange{Action: ledger.Suspend, Scope: ledger.ScopeCertificate,
		Target: ledger.Sum(s.c.SPKI("device/" + serial)), Leaf: &leaf, Reason: ledger.CertificateHold})
	res, err := s.client(t).Submit(t.Context(), s.c.Tx(ledgertest.Start, ledgertest.TxOptions{Nonce: 1 << 40}, [][]byte{body}, "acme-cells/line"))
	if err != nil || !res.Verdicts[0].Code.OK() {
		t.Fatalf("%v %v", res, err)
	}
}

func (s *served) post(t *testing.T, path string, body []byte) []byte {
	t.Helper()
	resp, err := http.Post(s.server.URL+path, "application/json", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s %s %v", path, resp.Status, got, err)
	}
	return got
}

// TestStatuses: thousands at once, each proved; neighbours share a proof, and whoever needs a cause has his own.
func TestStatuses(t *testing.T) {
	s := serve(t, 2500)
	leaves := s.published()
	s.suspend(t, "ACME-7", leaves[7])
	q, err := json.Marshal(api.Leaves{Leaves: leaves})
	if err != nil {
		t.Fatal(err)
	}
	var got api.Statuses
	if err := json.Unmarshal(s.post(t, "/v1/main/status", q), &got); err != nil {
		t.Fatal(err)
	}
	chunks := map[uint64]bool{}
	for _, l := range leaves {
		chunks[l/ledger.ChunkLeaves] = true
	}
	if len(got.Of) != 2500 || len(got.Proofs) != len(chunks)+1 {
		t.Errorf("%d answers by %d proofs, want 2500 by %d", len(got.Of), len(got.Proofs), len(chunks)+1)
	}
	all, err := s.client(t).Standings(t.Context(), leaves, 0)
	if err != nil {
		t.Fatal(err)
	}
	for i, l := range leaves {
		want := ledger.Good
		if i == 7 {
			want = ledger.Suspended
		}
		if st := all[l]; st == nil || st.Leaf != l || st.Status != want || (st.Cause != nil) != (i == 7) {
			t.Fatalf("leaf %d: %+v, want %s", l, st, want)
		}
	}
}

// TestStatusesFromLiars: a node whose batch does not verify is passed over; where all are such, nobody is believed.
func TestStatusesFromLiars(t *testing.T) {
	s := serve(t, 20)
	leaves := s.published()
	old := s.post(t, "/v1/main/status", mustJSON(t, api.Leaves{Leaves: leaves}))
	s.suspend(t, "ACME-7", leaves[7])
	new := s.post(t, "/v1/main/status", mustJSON(t, api.Leaves{Leaves: leaves}))
	for _, c := range []struct {
		name   string
		answer []byte
		code   reason.Code
	}{
		{"the neighbour's good for who is suspended", edit(t, new, func(a *api.Statuses) { a.Of[7] = a.Of[8] }), reason.BadCause},
		{"the suspension of another", edit(t, new, func(a *api.Statuses) { a.Of[8] = a.Of[7] }), reason.BadCause},
		{"one too few", edit(t, new, func(a *api.Statuses) { a.Of = a.Of[1:] }), reason.AnswerNotTrusted},
		{"a proof that is not there", edit(t, new, func(a *api.Statuses) { a.Of[3] = len(a.Proofs) }), reason.AnswerNotTrusted},
		{"a proof before the first", edit(t, new, func(a *api.Statuses) { a.Of[3] = -1 }), reason.AnswerNotTrusted},
		{"a bit", edit(t, new, func(a *api.Statuses) { a.Proofs[0] = strings.Replace(a.Proofs[0], "index ", "index 1", 1) }), reason.NotIncluded},
		{"no JSON", []byte("<html>"), reason.AnswerNotTrusted},
	} {
		t.Run(c.name, func(t *testing.T) {
			liar := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(c.answer) }))
			defer liar.Close()
			alone, err := client.New(client.Config{Nodes: []string{liar.URL}, Policy: s.c.Policy()})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := alone.Standings(t.Context(), leaves, 0); codeOf(err) != c.code {
				t.Errorf("%v, want %s", err, c.code)
			}
			both, err := client.New(client.Config{Nodes: []string{liar.URL, s.server.URL}, Policy: s.c.Policy()})
			if err != nil {
				t.Fatal(err)
			}
			all, err := both.Standings(t.Context(), leaves, 0)
			if err != nil || all[leaves[7]].Status != ledger.Suspended || all[leaves[8]].Status != ledger.Good {
				t.Errorf("with an honest one beside it: %v", err)
			}
		})
	}
	// What was true once is told by its time, and refused where something newer is known.
	liar := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(old) }))
	defer liar.Close()
	c, err := client.New(client.Config{Nodes: []string{liar.URL}, Policy: s.c.Policy()})
	if err != nil {
		t.Fatal(err)
	}
	all, err := c.Standings(t.Context(), leaves, 0)
	if err != nil || all[leaves[7]].Status != ledger.Good {
		t.Errorf("an old answer is an old answer: %v", err)
	}
	if _, err := c.Standings(t.Context(), leaves, all[leaves[7]].Size); codeOf(err) != reason.Stale {
		t.Errorf("an old answer where a newer tree is known: %v", err)
	}
}

func codeOf(err error) reason.Code { c, _ := reason.CodeOf(err); return c }

func mustJSON(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func edit[T any](t *testing.T, raw []byte, change func(*T)) []byte {
	t.Helper()
	var v T
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	change(&v)
	return mustJSON(t, v)
}

// TestSmallAnswers: a node that sends only so many proofs at once is asked for fewer, until it sends them.
func TestSmallAnswers(t *testing.T) {
	s := serve(t, 50)
	leaves := s.published()
	target, err := url.Parse(s.server.URL)
	if err != nil {
		t.Fatal(err)
	}
	pass, refused := httputil.NewSingleHostReverseProxy(target), map[string]int{}
	small := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if q := (api.Leaves{}); json.Unmarshal(body, &q) == nil && len(q.Leaves) > 7 {
			refused[r.URL.Path]++
			problem.Write(w, reason.New(reason.TooLarge, ""))
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		pass.ServeHTTP(w, r)
	}))
	defer small.Close()
	c, err := client.New(client.Config{Nodes: []string{small.URL}, Policy: s.c.Policy()})
	if err != nil {
		t.Fatal(err)
	}
	all, err := c.Standings(t.Context(), leaves, 0)
	if err != nil || len(all) != 50 || refused["/v1/main/status"] == 0 {
		t.Errorf("%d statuses, %v, %v", len(all), refused, err)
	}
	var ders [][]byte
	for _, a := range s.oracle.Acked {
		ders = append(ders, a.DERs...)
	}
	places, err := c.Lookup(t.Context(), ders, func(*verify.Epoch) error { return nil })
	if err != nil || refused["/v1/main/receipts"] == 0 {
		t.Fatalf("%v, %v", refused, err)
	}
	for i, p := range places {
		if p.Found == nil || p.Found.Leaf != leaves[i] {
			t.Errorf("certificate %d: %+v", i, p)
		}
	}
}
