package ocsp

import (
	"bytes"
	"crypto"
	"encoding/base64"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"
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
