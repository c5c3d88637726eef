package ocsp

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/quorate-pki/quorate/ledger/ledgertest"
	"github.com/quorate-pki/quorate/ledger/node"
)

// discard is a ResponseWriter that costs nothing.
type discard struct{ header http.Header }

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) WriteHeader(int)             {}
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }

// BenchmarkKept is an answer that was signed before, without net/http's part. `quorate bench ocsp` has the whole.
func BenchmarkKept(b *testing.B) {
	var t testing.T
	source := newLedger(&t, time.Now())
	source.quiet = true
	r := responder(&t, source, nil)
	cert := device(&t, "d", 1)
	source.publish(cert, Standing{Known: true, State: Good})
	request := newRequest(&t, nil, certID(&t, crypto.SHA1, cert))
	b.Run("GET", func(b *testing.B) {
		req := httptest.NewRequest("GET", "/"+url.QueryEscape(base64.StdEncoding.EncodeToString(request)), nil)
		w := &discard{header: http.Header{}}
		b.ReportAllocs()
		for b.Loop() {
			clear(w.header)
			r.ServeHTTP(w, req)
		}
	})
	b.Run("POST", func(b *testing.B) {
		body := bytes.NewReader(nil)
		req := httptest.NewRequest("POST", "/", nil)
		req.Header.Set("Content-Type", requestType)
		req.Body, req.ContentLength = io.NopCloser(body), int64(len(request))
		w := &discard{header: http.Header{}}
		b.ReportAllocs()
		for b.Loop() {
			clear(w.header)
			body.Reset(request)
			r.ServeHTTP(w, req)
		}
	})
}

// BenchmarkOnDemand is an answer that was not asked for before, from a node's records, beside the signature alone.
func BenchmarkOnDemand(b *testing.B) {
	c := ledgertest.Found(3, 1)
	clock := &ledgertest.Clock{}
	cfg := c.NodeConfig(vfs.NewMem(), clock)
	if err := node.Init(cfg); err != nil {
		b.Fatal(err)
	}
	n, err := node.Open(b.Context(), cfg)
	if err != nil {
		b.Fatal(err)
	}
	defer n.Close()
	var t testing.T
	var requests [][]byte
	for batch := range 20 {
		var bodies [][]byte
		for i := range 200 {
			der := c.Device(fmt.Sprintf("ACME-%d", 200*batch+i), dns, 0)
			bodies = append(bodies, ledgertest.Publish(der))
			requests = append(requests, newRequest(&t, nil, certID(&t, crypto.SHA1, der)))
		}
		if _, err := n.Submit(b.Context(), c.Tx(clock.Now(), ledgertest.TxOptions{Nonce: uint64(batch)}, bodies, "acme-cells/line")); err != nil {
			b.Fatal(err)
		}
	}
	key := newP256(&t)
	r := responder(&t, NewLedgerSource(n), func(cfg *Config) {
		cfg.Key, cfg.Certificate, cfg.Now, cfg.Staleness = key, responderCertificate(&t, key), clock.Now, 24*time.Hour
		cfg.Answers = 1 // so that none is found again
	})
	b.Run("signature", func(b *testing.B) {
		d := sha256.Sum256(nil)
		b.ReportAllocs()
		for b.Loop() {
			if _, err := key.Sign(rand.Reader, d[:], crypto.SHA256); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("answer", func(b *testing.B) {
		body := bytes.NewReader(nil)
		req := httptest.NewRequest("POST", "/", nil)
		req.Header.Set("Content-Type", requestType)
		w := &discard{header: http.Header{}}
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			request := requests[i%len(requests)]
			clear(w.header)
			body.Reset(request)
			req.Body, req.ContentLength = io.NopCloser(body), int64(len(request))
			r.ServeHTTP(w, req)
		}
	})
}
