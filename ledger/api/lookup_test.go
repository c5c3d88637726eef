package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/quorate-pki/quorate/ca/profile"
	"github.com/quorate-pki/quorate/internal/problem"
	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/api"
	"github.com/quorate-pki/quorate/ledger/client"
	"github.com/quorate-pki/quorate/ledger/ledgertest"
	"github.com/quorate-pki/quorate/verify"
)

func nameOf(t *testing.T, der []byte) ledger.CertificateName {
	t.Helper()
	c, err := profile.Parse(der)
	if err != nil {
		t.Fatal(err)
	}
	return ledger.CertificateName{Key: ledger.Sum(c.SPKI), Certificate: ledger.Sum(der)}
}

// TestLookup: many certificates, found with proof or absent by the member's word, in one go.
func TestLookup(t *testing.T) {
	s := serve(t, 1500)
	var ders [][]byte
	for _, a := range s.oracle.Acked {
		ders = append(ders, a.DERs...)
	}
	leaves := s.published()
	never := s.c.Device("ACME-never", "acme-cells.example", 0)
	again := s.c.Device("ACME-1", "acme-cells.example", 1) // another certificate of a published key
	ders = append(ders, never, again, []byte("no certificate"))
	places, err := s.client(t).Lookup(t.Context(), ders, func(*verify.Epoch) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	for i, l := range leaves {
		if p := places[i]; p.Err != nil || p.Found == nil || p.Found.Leaf != l {
			t.Fatalf("certificate %d: %+v, want leaf %d", i, p, l)
		}
	}
	for _, p := range places[1500:1502] {
		if p.Found != nil || len(p.Absent) != 1 || p.Absent[0] != "ca-a" || p.Doubt != nil {
			t.Errorf("not published: %+v", p)
		}
	}
	if p := places[1502]; p.Err == nil || p.Found != nil || p.Absent != nil {
		t.Errorf("no certificate: %+v", p)
	}
}

// TestLookupFromLiars: nobody's word counts but a member's, on the newest epoch, for the very certificate.
func TestLookupFromLiars(t *testing.T) {
	s := serve(t, 3)
	never := s.c.Device("ACME-never", "acme-cells.example", 0)
	ask := mustJSON(t, api.Certificates{Certificates: []api.CertificateName{api.Name(nameOf(t, never))}})
	real := s.post(t, "/v1/main/certificates", ask)
	other := s.c.Device("ACME-other", "acme-cells.example", 0)
	another := s.post(t, "/v1/main/certificates", mustJSON(t, api.Certificates{Certificates: []api.CertificateName{api.Name(nameOf(t, other))}}))
	s.suspend(t, "ACME-0", s.published()[0])
	newer := s.post(t, "/v1/main/certificates", ask)
	var fresh api.Places
	if err := json.Unmarshal(newer, &fresh); err != nil {
		t.Fatal(err)
	}
	old := errors.New("too old for the caller")
	for _, c := range []struct {
		name   string
		answer []byte
		fresh  error
		absent int
		code   reason.Code
	}{
		{"the truth", newer, nil, 1, 0},
		{"what was true before", real, nil, 1, 0},
		{"the same, too old", real, reason.New(reason.Stale, "%v", old), 0, reason.Stale},
		{"the word about another certificate", another, nil, 0, reason.AnswerNotTrusted},
		{"an old word under a newer epoch", edit(t, real, func(p *api.Places) { p.Epoch = fresh.Epoch }), nil, 0, reason.BadAbsence},
		{"no word", edit(t, real, func(p *api.Places) { p.Absence = nil }), nil, 0, reason.BadAbsence},
		{"no epoch", edit(t, real, func(p *api.Places) { p.Epoch = "" }), nil, 0, reason.BadProofFile},
		{"a bit of it", edit(t, real, func(p *api.Places) { p.Absence[50] ^= 1 }), nil, 0, reason.BadAbsence},
	} {
		t.Run(c.name, func(t *testing.T) {
			liar := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/v1/main/certificates" {
					_, _ = w.Write(c.answer)
					return
				}
				http.Redirect(w, r, s.server.URL+r.URL.Path, http.StatusTemporaryRedirect)
			}))
			defer liar.Close()
			cl, err := client.New(client.Config{Nodes: []string{liar.URL}, Policy: s.c.Policy()})
			if err != nil {
				t.Fatal(err)
			}
			places, err := cl.Lookup(t.Context(), [][]byte{never}, func(*verify.Epoch) error { return c.fresh })
			if err != nil || places[0].Found != nil || len(places[0].Absent) != c.absent || codeOf(places[0].Doubt) != c.code {
				t.Errorf("%+v %v, want %d and %s", places, err, c.absent, c.code)
			}
		})
	}
}

// TestLookupAsksAll: two of four members must say so, each under its own key, and one proof outweighs them.
func TestLookupAsksAll(t *testing.T) {
	c := ledgertest.NewCluster(t, 7, 4)
	c.Start(c.Names()...)
	never, der := c.C.Device("ACME-never", "acme-cells.example", 0), c.C.Device("ACME-1", "acme-cells.example", 0)
	if _, err := c.Submit(t.Context(), "ca-a", c.C.Tx(c.Now(), ledgertest.TxOptions{Nonce: 1}, [][]byte{ledgertest.Publish(der)}, "acme-cells/line")); err != nil {
		t.Fatal(err)
	}
	c.Level(t.Context())
	asked := map[string]int{}
	serve := func(label, as, key string, reader ledger.Reader) string {
		n := c.Node("ca-a")
		if reader == nil {
			reader = n
		}
		h := api.New(api.Config{Channel: "main", Log: "0", Reader: reader, Epochs: n, Logger: slog.New(slog.DiscardHandler),
			Teller: api.Teller{Member: c.C.Set.Members[slices.Index(c.Names(), as)].Number, Key: c.C.Signer(key)}})
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			asked[label]++
			h.ServeHTTP(w, r)
		}))
		t.Cleanup(s.Close)
		return s.URL
	}
	a, b, d := serve("a", "ca-a", "ca-a/responder", nil), serve("b", "ca-b", "ca-b/responder", nil), serve("d", "ca-d", "ca-d/responder", nil)
	posing := serve("posing", "ca-b", "ca-a/responder", nil)
	liar := serve("liar", "ca-c", "ca-c/responder", blind{c.Node("ca-a")})
	for _, x := range []struct {
		name   string
		nodes  []string
		der    []byte
		absent string
		found  bool
	}{
		{"one is not enough", []string{a}, never, "[ca-a]", false},
		{"one twice is one", []string{a, a + "/"}, never, "[ca-a]", false},
		{"two are", []string{a, b}, never, "[ca-a ca-b]", false},
		{"one under another's name is none", []string{a, posing}, never, "[ca-a]", false},
		{"and stops nobody", []string{posing, a, d}, never, "[ca-a ca-d]", false},
		{"a lie alone is not enough", []string{liar}, der, "[ca-c]", false},
		{"a lie against a proof", []string{liar, b}, der, "[ca-c]", true},
	} {
		cl, err := client.New(client.Config{Nodes: x.nodes, Policy: c.C.Policy()})
		if err != nil {
			t.Fatal(err)
		}
		places, err := cl.Lookup(t.Context(), [][]byte{x.der}, func(*verify.Epoch) error { return nil })
		if err != nil || fmt.Sprint(places[0].Absent) != x.absent || (places[0].Found != nil) != x.found {
			t.Errorf("%s: %+v %v", x.name, places, err)
		}
	}
	clear(asked)
	cl, err := client.New(client.Config{Nodes: []string{a, b, d}, Policy: c.C.Policy()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cl.Lookup(t.Context(), [][]byte{never}, func(*verify.Epoch) error { return nil }); err != nil || asked["d"] != 0 {
		t.Errorf("a third was asked when two had said it: %v %v", asked, err)
	}
}

// blind is a node that denies every certificate.
type blind struct{ ledger.Reader }

func (blind) Records(context.Context, ledger.RecordKind, []byte, []byte) iter.Seq2[ledger.Record, error] {
	return func(func(ledger.Record, error) bool) {}
}

// TestCertificatesProblems: the requests that are refused.
func TestCertificatesProblems(t *testing.T) {
	s := serve(t, 1)
	h := strings.Repeat("00", 32)
	one := `{"key":"` + h + `","certificate":"` + h + `"}`
	var many []api.CertificateName
	for i := range ledger.MaxOperations + 1 {
		many = append(many, api.Name(ledger.CertificateName{Key: ledger.Hash{byte(i >> 8), byte(i)}}))
	}
	for _, c := range []struct {
		name, body string
		code       reason.Code
		status     int
	}{
		{"none", `{"certificates":[]}`, reason.BadRequest, 400},
		{"1,025", string(mustJSON(t, api.Certificates{Certificates: many})), reason.BadRequest, 400},
		{"one twice", `{"certificates":[` + one + `,` + one + `]}`, reason.BadRequest, 400},
		{"half a hash", `{"certificates":[{"key":"00","certificate":"` + h + `"}]}`, reason.BadRequest, 400},
		{"no certificate's hash", `{"certificates":[{"key":"` + h + `"}]}`, reason.BadRequest, 400},
		{"a key more", `{"certificates":[` + one + `],"limit":1}`, reason.BadRequest, 400},
		{"no JSON", `hello`, reason.BadRequest, 400},
		{"too large", strings.Repeat(" ", 1<<20), reason.TooLarge, 413},
	} {
		resp, err := http.Post(s.server.URL+"/v1/main/certificates", "application/json", strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		if e := problem.Read(resp); e.Code != c.code || resp.StatusCode != c.status {
			t.Errorf("%s: %s %v, want %s", c.name, resp.Status, e, c.code)
		}
		resp.Body.Close()
	}
	// The most that may be asked for is answered, and signed for.
	var got api.Places
	if err := json.Unmarshal(s.post(t, "/v1/main/certificates", mustJSON(t, api.Certificates{Certificates: many[1:]})), &got); err != nil {
		t.Fatal(err)
	}
	if _, x, err := ledger.ParseAbsence(got.Absence); err != nil || len(x.Absent) != ledger.MaxOperations || len(got.Leaves) != ledger.MaxOperations {
		t.Errorf("%v", err)
	}
}
