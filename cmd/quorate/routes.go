package main

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/quorate-pki/quorate/internal/problem"
	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger/node"
)

// route is a row of the table of what a node serves: everything under Prefix goes to Handler. There is one
// listener, for users, and none of it needs authentication: transactions carry their signatures, and what is read
// is public among those who reach the port.
type route struct {
	Prefix  string
	Handler http.Handler
}

// routes dispatches by the path as it came. No path is cleaned: OCSP requests by GET carry base64, which may hold
// "//".
type routes []route

func (rs routes) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p := r.URL.RawPath
	if p == "" { // it is what anybody would escape Path to
		p = r.URL.Path
	}
	for _, x := range rs {
		if rest, ok := strings.CutPrefix(p, x.Prefix); ok && (rest == "" || rest[0] == '/') {
			x.Handler.ServeHTTP(w, r)
			return
		}
	}
	problem.Write(w, reason.New(reason.NotFound, ""))
}

// health answers 200 while the node can do its work, else 503; the body says why.
func health(n *node.Node) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h, err := n.Health(r.Context())
		if err != nil {
			problem.Write(w, reason.New(reason.Stopping, ""))
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		if !h.OK {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		_ = e.Encode(h) // the client may be gone
	})
}
