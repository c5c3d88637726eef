package main

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/quorate-pki/quorate/internal/problem"
	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger/node"
)

// route is a row of the table of what is served at an address: everything under Prefix goes to Handler. None of it needs
// authentication: transactions carry their signatures, and what is read is public among those who reach the port. So a channel
// that some of those must not read has an address of its own.
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

const healthPrefix = "/healthz"

// healthPage is the first channel's health, and that of the others beside it.
type healthPage struct {
	node.Health
	Channels map[string]node.Health `json:"channels,omitempty"` // of further channels, by name
}

// health answers 200 while the first of the channels can do its work, else 503; the body says why, and how the others are. Below its
// own address it answers so for any of them: /healthz/<channel>.
func health(channels func() []*channel) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var page healthPage
		name, one := strings.CutPrefix(r.URL.Path, healthPrefix+"/")
		found := false
		for _, c := range channels() {
			if one && c.name != name {
				continue
			}
			h, err := c.health(r.Context())
			switch {
			case err != nil && !found:
				problem.Write(w, reason.New(reason.Stopping, ""))
				return
			case err != nil:
				h = node.Health{Channel: c.name, Trouble: err.Error()}
			}
			if !found {
				page.Health, found = h, true
				continue
			}
			if page.Channels == nil {
				page.Channels = map[string]node.Health{}
			}
			page.Channels[c.name] = h
		}
		if !found {
			problem.Write(w, reason.New(reason.UnknownChannel, "%q", name))
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		if !page.OK {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		_ = e.Encode(page) // the client may be gone
	})
}
