package ocsp

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	second "golang.org/x/crypto/ocsp"
)

// ask sends one request to a handler and returns what came back.
func ask(h http.Handler, method, target string, header map[string]string, body io.Reader) *http.Response {
	req := httptest.NewRequest(method, target, body)
	for name, value := range header {
		req.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, req)
	return w.Result()
}

func readAll(t *testing.T, resp *http.Response) []byte {
	t.Helper()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// slashes publishes a certificate whose request has '/', "//", '+' and '=' in base64.
func slashes(t *testing.T, source *fakeLedger) string {
	t.Helper()
	id := CertID{
		Hash:           crypto.SHA256,
		IssuerNameHash: bytes.Repeat([]byte{0xff}, 32),
		IssuerKeyHash:  bytes.Repeat([]byte{0xfb, 0xef, 0xbe, 0x00}, 8), // "++++" at every phase
		Serial:         []byte{0x01, 0x02},
	}
	id.Raw = id.encode(derNull)
	source.standings[indexKey(id)] = Standing{Known: true, State: Good}
	encoded := base64.StdEncoding.EncodeToString(newRequest(t, nil, id))
	for _, part := range []string{"//", "++", "="} {
		if !strings.Contains(encoded, part) {
			t.Fatalf("no %s in %s", part, encoded)
		}
	}
	return encoded
}

// TestGetForms: every way clients write base64 into a path is understood.
func TestGetForms(t *testing.T) {
	source := newLedger(t, time.Now())
	encoded := slashes(t, source)
	escaped := url.QueryEscape(encoded) // '/' '+' '=' all as %XX
	for _, prefix := range []string{"", "/ocsp", "/v1/ch-1/ocsp"} {
		r := responder(t, source, func(c *Config) { c.Prefix = prefix })
		server := httptest.NewServer(r)
		for name, path := range map[string]string{
			"as is":                   "/" + encoded,
			"escaped":                 "/" + escaped,
			"escaped in lower case":   "/" + strings.NewReplacer("%2F", "%2f", "%2B", "%2b", "%3D", "%3d").Replace(escaped),
			"only slashes escaped":    "/" + url.PathEscape(encoded),
			"only plus escaped":       "/" + strings.ReplaceAll(encoded, "+", "%2B"),
			"after a doubled slash":   "//" + encoded,
			"without padding":         "/" + strings.TrimRight(encoded, "="),
			"with a query":            "/" + encoded + "?x=1",
			"escaped, with line ends": "/" + escaped[:2] + "%0A" + escaped[2:],
		} {
			resp, err := http.Get(server.URL + prefix + path)
			if err != nil {
				t.Fatal(err)
			}
			body := readAll(t, resp)
			resp.Body.Close()
			got, err := second.ParseResponse(body, nil)
			if err != nil || got.Status != second.Good || resp.StatusCode != 200 || resp.Header.Get("Content-Type") != responseType {
				t.Errorf("prefix %q, %s: %s %v", prefix, name, resp.Status, err)
			}
		}
		server.Close()
	}
}

// TestErrorsOverHTTP: an OCSP error is HTTP 200, five octets, and not to be cached.
func TestErrorsOverHTTP(t *testing.T) {
	source := newLedger(t, time.Now())
	id := certID(t, crypto.SHA1, device(t, "d", 1))
	good := newRequest(t, nil, id)
	post := map[string]string{"Content-Type": requestType}
	tests := []struct {
		name, method, target string
		body                 []byte
		want                 responseStatus
	}{
		{"GET nothing", "GET", "/ocsp", nil, malformedRequest},
		{"GET nothing, slash", "GET", "/ocsp/", nil, malformedRequest},
		{"GET not base64", "GET", "/ocsp/MEMw*****", nil, malformedRequest},
		{"GET a name", "GET", "/ocsp/favicon.ico", nil, malformedRequest},
		{"GET base64 of something else", "GET", "/ocsp/aGVsbG8=", nil, malformedRequest},
		{"GET base64 with loose bits", "GET", "/ocsp/MEN=", nil, malformedRequest},
		{"GET padding only", "GET", "/ocsp/====", nil, malformedRequest},
		{"GET too long", "GET", "/ocsp/" + strings.Repeat("A", 30_000), nil, malformedRequest},
		{"GET too many", "GET", "/ocsp/" + base64.StdEncoding.EncodeToString(newRequest(t, nil, repeat(id, 4)...)), nil, malformedRequest},
		{"POST nothing", "POST", "/ocsp", nil, malformedRequest},
		{"POST too long", "POST", "/ocsp", make([]byte, MaxRequestSize+1), malformedRequest},
		{"POST with a tail", "POST", "/ocsp", append(bytes.Clone(good), 0), malformedRequest},
		{"POST too many", "POST", "/ocsp", newRequest(t, nil, repeat(id, 4)...), malformedRequest},
	}
	r := responder(t, source, func(c *Config) { c.Prefix, c.MaxRequests = "/ocsp", 3 })
	for _, tt := range tests {
		resp := ask(r, tt.method, tt.target, post, bytes.NewReader(tt.body))
		body := readAll(t, resp)
		if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != responseType || resp.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %s %v", tt.name, resp.Status, resp.Header)
		}
		if !bytes.Equal(body, encodeError(tt.want)) {
			t.Errorf("%s: %x, want %v", tt.name, body, tt.want)
		}
	}
	source.fresh = time.Now().Add(-time.Hour)
	resp := ask(r, "GET", "/ocsp/"+base64.StdEncoding.EncodeToString(good), nil, nil)
	if body := readAll(t, resp); !bytes.Equal(body, encodeError(tryLater)) || resp.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("stale: %x %v", body, resp.Header)
	}
}

// TestHugeBody: a body without a stated length is cut off, not read to its end.
func TestHugeBody(t *testing.T) {
	r := responder(t, newLedger(t, time.Now()), nil)
	endless := &countingReader{}
	req := httptest.NewRequest("POST", "/", endless)
	req.ContentLength = -1
	req.Header.Set("Content-Type", requestType)
	w := httptest.NewRecorder()
	r.ServeHTTP(w, req)
	if !bytes.Equal(w.Body.Bytes(), encodeError(malformedRequest)) || endless.n > 4*MaxRequestSize {
		t.Errorf("answered %x after %d octets", w.Body.Bytes(), endless.n)
	}
}

type countingReader struct{ n int }

func (c *countingReader) Read(p []byte) (int, error) { c.n += len(p); return len(p), nil }

func TestNotOCSP(t *testing.T) {
	r := responder(t, newLedger(t, time.Now()), func(c *Config) { c.Prefix = "/ocsp" })
	post := map[string]string{"Content-Type": requestType}
	for _, tt := range []struct {
		method, target string
		header         map[string]string
		want           int
		allow          string
	}{
		{"PUT", "/ocsp", post, 405, "GET, HEAD, POST"},
		{"DELETE", "/ocsp/", post, 405, "GET, HEAD, POST"},
		{"OPTIONS", "/ocsp/MEMw", nil, 405, "GET, HEAD"},
		{"POST", "/ocsp/responder.pem", post, 405, "GET, HEAD"},
		{"POST", "/ocsp/MEMw", post, 404, ""},
		{"POST", "/ocsp", nil, 415, ""},
		{"POST", "/ocsp", map[string]string{"Content-Type": "text/plain"}, 415, ""},
		{"GET", "/", nil, 404, ""},
		{"GET", "/ocspMEMw", nil, 404, ""},
		{"GET", "/other/MEMw", nil, 404, ""},
	} {
		resp := ask(r, tt.method, tt.target, tt.header, nil)
		if resp.StatusCode != tt.want || resp.Header.Get("Allow") != tt.allow {
			t.Errorf("%s %s: %s, Allow %q", tt.method, tt.target, resp.Status, resp.Header.Get("Allow"))
		}
	}
}

func TestCaching(t *testing.T) {
	now := time.Date(2026, 11, 24, 12, 0, 0, 700_000_000, time.UTC)
	source := newLedger(t, now.Add(-100*time.Second))
	r := responder(t, source, func(c *Config) { c.Now = func() time.Time { return now } })
	cert := device(t, "d", 1)
	source.publish(cert, Standing{Known: true, State: Good})
	id := certID(t, crypto.SHA1, cert)
	path := func(nonce []byte, ids ...CertID) string {
		return "/" + url.QueryEscape(base64.StdEncoding.EncodeToString(newRequest(t, nonce, ids...)))
	}
	target := path(nil, id)

	resp := ask(r, "GET", target, nil, nil)
	h := resp.Header
	for name, want := range map[string]string{
		"Cache-Control": "max-age=799, public, no-transform, must-revalidate",
		"Last-Modified": "Tue, 24 Nov 2026 11:58:20 GMT",
		"Expires":       "Tue, 24 Nov 2026 12:13:20 GMT",
	} {
		if h.Get(name) != want {
			t.Errorf("%s: %q, want %q", name, h.Get(name), want)
		}
	}
	tag := h.Get("ETag")
	if again := ask(r, "GET", target, nil, nil).Header.Get("ETag"); tag == "" || again != tag {
		t.Errorf("entity tags %q and %q", tag, again)
	}
	for _, value := range []string{tag, `"x", ` + tag, "W/" + tag, "*"} {
		resp := ask(r, "GET", target, map[string]string{"If-None-Match": value}, nil)
		if resp.StatusCode != 304 || len(readAll(t, resp)) != 0 || resp.Header.Get("Expires") != h.Get("Expires") ||
			resp.Header.Get("ETag") != tag || resp.Header.Get("Cache-Control") == "" {
			t.Errorf("If-None-Match %s: %s %v", value, resp.Status, resp.Header)
		}
	}

	// Whatever a client would see differently has another tag.
	changes := []func(){
		func() { source.publish(cert, Standing{Known: true, State: Suspended, At: now}) },
		func() { source.publish(cert, Standing{Known: true, State: Revoked, At: now}) },
		func() { source.publish(cert, Standing{Known: true, State: Revoked, At: now, Reason: 1}) },
	}
	for i, change := range changes {
		change()
		resp := ask(r, "GET", target, map[string]string{"If-None-Match": tag}, nil)
		if resp.StatusCode != 200 || resp.Header.Get("ETag") == tag {
			t.Errorf("change %d: %s with the old tag", i, resp.Status)
		}
		tag = resp.Header.Get("ETag")
	}

	// What must not be cached.
	other := certID(t, crypto.SHA1, device(t, "e", 2))
	for name, target := range map[string]string{
		"nonce": path([]byte("n"), id), "unknown": path(nil, other), "one unknown": path(nil, id, other),
	} {
		resp := ask(r, "GET", target, map[string]string{"If-None-Match": "*"}, nil)
		if resp.StatusCode != 200 || resp.Header.Get("Cache-Control") != "no-store" || resp.Header.Get("ETag") != "" {
			t.Errorf("%s: %s %v", name, resp.Status, resp.Header)
		}
	}
	resp = ask(r, "POST", "/", map[string]string{"Content-Type": requestType}, bytes.NewReader(newRequest(t, nil, id)))
	if resp.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("POST: %v", resp.Header)
	}
}

func TestHTTPTime(t *testing.T) {
	for s := int64(0); s < 4_000_000_000; s += 86_400*9 + 3_661 {
		if at := time.Unix(s, 0).In(time.FixedZone("east", 3600)); string(appendHTTPTime(nil, at)) != at.UTC().Format(http.TimeFormat) {
			t.Fatalf("%s for %v", appendHTTPTime(nil, at), at)
		}
	}
}

// TestSlowClock: a node whose clock is behind tells caches no more than one whose clock is right.
func TestSlowClock(t *testing.T) {
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	source := newLedger(t, now.Add(4*time.Minute))
	r := responder(t, source, func(c *Config) { c.Now = func() time.Time { return now } })
	cert := device(t, "d", 1)
	source.publish(cert, Standing{Known: true, State: Good})
	resp := ask(r, "GET", "/"+url.QueryEscape(base64.StdEncoding.EncodeToString(newRequest(t, nil, certID(t, crypto.SHA1, cert)))), nil, nil)
	if got := resp.Header.Get("Cache-Control"); !strings.HasPrefix(got, "max-age=900,") {
		t.Error(got)
	}
}

func TestResponderPEM(t *testing.T) {
	r := responder(t, newLedger(t, time.Now()), func(c *Config) { c.Prefix = "/ocsp" })
	resp := ask(r, "GET", "/ocsp/responder.pem", nil, nil)
	block, rest := pem.Decode(readAll(t, resp))
	if block == nil || len(rest) != 0 || !bytes.Equal(block.Bytes, r.own.Raw) || resp.Header.Get("Content-Type") != pemType {
		t.Errorf("%s %v", resp.Status, resp.Header)
	}
	if _, err := x509.ParseCertificate(block.Bytes); err != nil {
		t.Error(err)
	}
}

// TestHead: HEAD has the headers of GET, its length included, and no body.
func TestHead(t *testing.T) {
	source := newLedger(t, time.Now())
	server := httptest.NewServer(responder(t, source, nil))
	defer server.Close()
	cert := device(t, "d", 1)
	source.publish(cert, Standing{Known: true, State: Good})
	resp, err := http.Head(server.URL + "/" + url.QueryEscape(base64.StdEncoding.EncodeToString(newRequest(t, nil, certID(t, crypto.SHA1, cert)))))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != 200 || resp.ContentLength <= 0 || resp.Header.Get("ETag") == "" || len(readAll(t, resp)) != 0 {
		t.Errorf("%s %d %v", resp.Status, resp.ContentLength, resp.Header)
	}
}

// TestMounted: http.StripPrefix works too, with an empty Prefix.
func TestMounted(t *testing.T) {
	source := newLedger(t, time.Now())
	encoded := slashes(t, source)
	h := http.StripPrefix("/ocsp", responder(t, source, nil))
	for _, path := range []string{encoded, url.QueryEscape(encoded)} {
		resp := ask(h, "GET", "/ocsp/"+path, nil, nil)
		if got, err := second.ParseResponse(readAll(t, resp), nil); err != nil || got.Status != second.Good {
			t.Errorf("%s: %v", path, err)
		}
	}
}
