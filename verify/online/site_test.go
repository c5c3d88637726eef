package online_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/api"
	"github.com/quorate-pki/quorate/ledger/ledgertest"
	"github.com/quorate-pki/quorate/ledger/node"
	"github.com/quorate-pki/quorate/ocsp"
)

// site is one running member, alone in its consortium: node, ledger over HTTP, OCSP responder.
type site struct {
	*ledgertest.Consortium
	clock *ledgertest.Clock
	node  *node.Node
	url   string
	nonce uint64
	close []func()
}

// newSite starts it. Errors panic, since examples have no testing.T.
func newSite() *site {
	s := &site{Consortium: ledgertest.Found(9, 1), clock: &ledgertest.Clock{}}
	cfg := s.NodeConfig(vfs.NewMem(), s.clock)
	try(node.Init(cfg))
	n, err := node.Open(context.Background(), cfg)
	try(err)
	s.node = n
	mux := http.NewServeMux()
	mux.Handle("/v1/", s.api("ca-a/responder"))
	mux.Handle("/ocsp", s.responder("ca-a/responder", ocsp.NewLedgerSource(n)))
	server := httptest.NewServer(mux)
	s.url = server.URL
	s.close = append(s.close, server.Close, func() { try(n.Close()) })
	return s
}

// responder answers with a key of the consortium's.
func (s *site) responder(key string, source ocsp.Source) http.Handler {
	own, err := ocsp.SelfSignedResponder(s.Key(key), key, ledgertest.Start, ledgertest.Start.Add(24*time.Hour), bytes.NewReader(make([]byte, 64)))
	try(err)
	r, err := ocsp.New(ocsp.Config{Source: source, Key: s.Key(key), Certificate: own, Prefix: "/ocsp", Now: s.clock.Now, Staleness: 24 * time.Hour})
	try(err)
	return r
}

// api is the ledger over HTTP, with absence signed by a key of the consortium's.
func (s *site) api(key string) http.Handler {
	signer, err := ledger.NewSigner(s.Key(key), s.SPKI(key))
	try(err)
	return api.New(api.Config{Channel: "main", Log: "0", Reader: s.node, Submit: s.node, Epochs: s.node, Teller: api.Teller{Member: 1, Key: signer},
		Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
}

// posing is a node that signs absence with a key that is not the member's.
func (s *site) posing(key string) (url string) {
	mux := http.NewServeMux()
	mux.Handle("/v1/", s.api(key))
	mux.Handle("/ocsp", s.responder("ca-a/responder", ocsp.NewLedgerSource(s.node)))
	server := httptest.NewServer(mux)
	s.close = append(s.close, server.Close)
	return server.URL
}

// with is a node that is like this one but for its responder.
func (s *site) with(responder http.Handler) (url string) {
	mux := http.NewServeMux()
	mux.Handle("/ocsp", responder)
	mux.HandleFunc("/v1/", func(w http.ResponseWriter, r *http.Request) {
		req, err := http.NewRequestWithContext(r.Context(), r.Method, s.url+r.URL.Path, r.Body)
		try(err)
		req.Header = r.Header
		resp, err := http.DefaultClient.Do(req)
		try(err)
		defer resp.Body.Close()
		w.WriteHeader(resp.StatusCode)
		_, _ = io.Copy(w, resp.Body)
	})
	server := httptest.NewServer(mux)
	s.close = append(s.close, server.Close)
	return server.URL
}

func (s *site) stop() {
	for _, f := range s.close {
		f()
	}
}

// submit has operations done, and returns the first one's leaf.
func (s *site) submit(signers string, bodies ...[]byte) uint64 {
	s.nonce++
	res, err := s.node.Submit(context.Background(), s.Tx(s.clock.Now(), ledgertest.TxOptions{Nonce: s.nonce}, bodies, strings.Fields(signers)...))
	try(err)
	if !res.Verdicts[0].Code.OK() {
		panic(res.Verdicts[0].Code)
	}
	return res.Verdicts[0].Leaf
}

// publish makes a device and publishes it.
func (s *site) publish(serial string) (der []byte, leaf uint64) {
	der = s.Device(serial, "acme-cells.example", 0)
	return der, s.submit("acme-cells/line", ledgertest.Publish(der))
}

func (s *site) change(serial string, leaf uint64, action ledger.Action, why uint64) {
	s.submit("acme-cells/admin-1 acme-cells/admin-2", ledgertest.Change(ledger.StatusChange{Action: action, Scope: ledger.ScopeCertificate,
		Target: ledger.Sum(s.SPKI("device/" + serial)), Leaf: &leaf, Reason: why}))
}

// certificate is a device's, for TLS.
func (s *site) certificate(serial string) tls.Certificate {
	return tls.Certificate{Certificate: [][]byte{s.Device(serial, "acme-cells.example", 0)}, PrivateKey: s.Key("device/" + serial)}
}

func try(err error) {
	if err != nil {
		panic(err)
	}
}
