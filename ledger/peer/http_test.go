package peer_test

import (
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/quorate-pki/quorate/ledger/ledgertest"
	"github.com/quorate-pki/quorate/ledger/peer"
)

func TestHTTP(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	c := ledgertest.Found(12, 4)
	s := sides(t, c, nil, "ca-a", "ca-b", "ca-c")
	a := s[0]
	srv := a.ServeHTTP(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/away" {
			http.Redirect(w, r, "/", http.StatusFound)
			return
		}
		_, _ = io.WriteString(w, peer.Of(r.Context())+" "+r.Proto+" "+r.RemoteAddr)
	}))
	at := a.Streams(peer.Exchange)
	served := make(chan error, 1)
	go func() { served <- srv.Serve(at) }()
	a.serve()
	get := func(from *side, url string) (int, string) {
		t.Helper()
		resp, err := from.Client().Get(url)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(body)
	}
	_, first := get(s[1], "http://ca-a/x")
	if !strings.HasPrefix(first, "ca-b HTTP/1.1 ") {
		t.Errorf("%q", first)
	}
	if _, again := get(s[1], "http://ca-a/y"); again != first {
		t.Errorf("%q, then %q: not the same connection", first, again)
	}
	if _, other := get(s[2], "http://ca-a/"); !strings.HasPrefix(other, "ca-c ") {
		t.Errorf("%q", other)
	}
	if code, _ := get(s[1], "http://ca-a/away"); code != http.StatusFound {
		t.Errorf("status %d", code)
	}
	for _, url := range []string{"https://ca-a/", "http://ca-a:81/", "http://ca-d/", "http://" + a.addr + "/"} {
		if resp, err := s[1].Client().Get(url); err == nil {
			resp.Body.Close()
			t.Errorf("%s answered", url)
		}
	}
	if peer.Of(t.Context()) != "" {
		t.Error("a peer from nowhere")
	}

	// The same server on a listener that names nobody answers nobody.
	bare := listen(t)
	go func() { _ = srv.Serve(bare) }()
	if resp, err := http.Get("http://" + bare.Addr().String()); err == nil {
		resp.Body.Close()
		t.Errorf("a stranger got %s", resp.Status)
	}
	if err := a.Close(); err != nil {
		t.Error(err)
	}
	if err := <-served; !errors.Is(err, net.ErrClosed) {
		t.Errorf("%v", err)
	}
	_ = srv.Close()
}
