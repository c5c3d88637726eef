package client_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/quorate-pki/quorate/internal/problem"
	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/client"
)

// answers is a node that answers every request in one way, and counts them.
type answers struct {
	*httptest.Server
	code  reason.Code // 0: the body
	asked int
}

func newAnswers(t *testing.T, code reason.Code) *answers {
	a := &answers{code: code}
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		a.asked++
		if a.code != 0 {
			problem.Write(w, reason.New(a.code, ""))
			return
		}
		_, _ = w.Write([]byte("leaf"))
	}))
	t.Cleanup(a.Close)
	return a
}

// TestWhichNode: who is asked, in what order, and whose answer counts.
func TestWhichNode(t *testing.T) {
	for _, c := range []struct {
		name  string
		codes []reason.Code
		ok    bool
		err   error
		asked []int // after two requests
	}{
		{"the first", []reason.Code{0, 0}, true, nil, []int{2, 0}},
		{"busy: the next, and that one first from then on", []reason.Code{reason.Busy, 0}, true, nil, []int{1, 2}},
		{"behind: the next", []reason.Code{reason.NotFound, 0}, true, nil, []int{1, 2}},
		{"not found anywhere", []reason.Code{reason.NotFound, reason.NotFound}, false, ledger.ErrNotFound, []int{2, 2}},
		{"not found, and one that does not answer", []reason.Code{reason.Busy, reason.NotFound}, false, ledger.ErrNotFound, []int{2, 2}},
		{"the same in the other order", []reason.Code{reason.NotFound, reason.Busy}, false, ledger.ErrNotFound, []int{2, 2}},
		{"busy everywhere", []reason.Code{reason.Busy, reason.Busy}, false, ledger.ErrBusy, []int{2, 2}},
		{"a refusal is an answer", []reason.Code{reason.Malformed, 0}, false, nil, []int{2, 0}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var nodes []*answers
			var urls []string
			for _, code := range c.codes {
				a := newAnswers(t, code)
				nodes, urls = append(nodes, a), append(urls, a.URL)
			}
			cl, err := client.New(client.Config{Nodes: urls})
			if err != nil {
				t.Fatal(err)
			}
			for range 2 {
				data, err := cl.Entry(t.Context(), 7)
				if (err == nil) != c.ok || c.ok && string(data) != "leaf" || c.err != nil && !errors.Is(err, c.err) {
					t.Errorf("%q, %v", data, err)
				}
			}
			for i, n := range nodes {
				if n.asked != c.asked[i] {
					t.Errorf("node %d was asked %d times, want %d", i, n.asked, c.asked[i])
				}
			}
		})
	}
}
