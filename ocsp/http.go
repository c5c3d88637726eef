package ocsp

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	requestType  = "application/ocsp-request"
	responseType = "application/ocsp-response"
	pemType      = "application/pem-certificate-chain"

	certificateName = "responder.pem" // not base64, so never a request
)

// Values of headers, which nobody changes.
var (
	noStore    = []string{"no-store"}
	isResponse = []string{responseType}
)

// ServeHTTP answers POST and GET requests under the prefix, and GET <prefix>/responder.pem with the responder's
// certificate, for operators to look at. That comes over a connection nobody vouches for: a certificate to pin
// must be compared with what the member published elsewhere. An OCSP error is still HTTP 200, as clients expect.
//
// The server in front must bound the time a request may take to arrive.
func (r *Responder) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	// The decoded path: '/' and %2F, '+' and %2B, '=' and %3D are alike in it, and clients send either. A plus
	// stays a plus; only queries use it for a space.
	rest, ok := strings.CutPrefix(req.URL.Path, r.cfg.Prefix)
	if !ok || rest != "" && rest[0] != '/' {
		http.NotFound(w, req)
		return
	}
	// One slash separates, more come from joining a URL that ends with one. No request begins with a slash: it
	// would begin with an octet above 0xfb, and DER begins with 0x30.
	rest = strings.TrimLeft(rest, "/")
	switch {
	case req.Method == http.MethodGet || req.Method == http.MethodHead:
		if rest == certificateName {
			r.serveCertificate(w)
			return
		}
		r.serveGet(w, req, rest)
	case req.Method == http.MethodPost && rest == "":
		r.servePost(w, req)
	case req.Method == http.MethodPost && rest != certificateName:
		http.NotFound(w, req)
	default:
		allow := "GET, HEAD, POST"
		if rest != "" {
			allow = "GET, HEAD"
		}
		w.Header().Set("Allow", allow)
		http.Error(w, "OCSP is asked by GET or POST", http.StatusMethodNotAllowed)
	}
}

func (r *Responder) serveCertificate(w http.ResponseWriter) {
	w.Header().Set("Content-Type", pemType)
	w.Header().Set("Cache-Control", "no-cache")
	_, _ = w.Write(r.certificate) // an error means that the client went away
}

// servePost answers the request in the body (RFC 6960 appendix A.1). It cannot be cached.
func (r *Responder) servePost(w http.ResponseWriter, req *http.Request) {
	if !isRequestType(req.Header["Content-Type"]) {
		http.Error(w, "the body must be "+requestType, http.StatusUnsupportedMediaType)
		return
	}
	if req.ContentLength > MaxRequestSize {
		w.Header().Set("Connection", "close") // rather than read what is too long to be looked at
		r.fail(w, req, malformed("a body of %d octets", req.ContentLength))
		return
	}
	x := exchanges.Get().(*exchange)
	defer exchanges.Put(x)
	if err := x.readBody(w, req); err != nil {
		r.fail(w, req, err)
		return
	}
	if err := r.judge(req.Context(), x); err != nil {
		r.fail(w, req, err)
		return
	}
	w.Header()["Cache-Control"] = noStore
	r.send(w, req, x)
}

// isRequestType tells whether a Content-Type is that of OCSP requests.
func isRequestType(values []string) bool {
	if len(values) == 0 {
		return false
	}
	if values[0] == requestType {
		return true
	}
	t, _, err := mime.ParseMediaType(values[0])
	return err == nil && t == requestType
}

// readBody reads a body of at most MaxRequestSize octets.
func (x *exchange) readBody(w http.ResponseWriter, req *http.Request) error {
	n := int(req.ContentLength) // at most MaxRequestSize
	if n < 0 {
		in, err := io.ReadAll(http.MaxBytesReader(w, req.Body, MaxRequestSize))
		if err != nil {
			return malformed("reading the body: %v", err)
		}
		x.in = in
		return nil
	}
	x.in = slices.Grow(x.in[:0], n)[:n]
	if _, err := io.ReadFull(req.Body, x.in); err != nil { // the server ends the body there
		return malformed("reading the body: %v", err)
	}
	return nil
}

// serveGet answers the request in the path, with what lets caches serve it (RFC 5019 section 6).
func (r *Responder) serveGet(w http.ResponseWriter, req *http.Request, encoded string) {
	x := exchanges.Get().(*exchange)
	defer exchanges.Put(x)
	if err := x.decodePath(encoded); err != nil {
		r.fail(w, req, err)
		return
	}
	if err := r.judge(req.Context(), x); err != nil {
		r.fail(w, req, err)
		return
	}
	if !x.answer.cacheable() {
		w.Header()["Cache-Control"] = noStore
		r.send(w, req, x)
		return
	}
	tag := x.answer.setCaching(w.Header())
	// If-Modified-Since is not looked at: two statuses may have one time, since times are whole seconds.
	if matches(req.Header["If-None-Match"], tag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	r.send(w, req, x)
}

// decodePath decodes base64 from a path that is unescaped already. Padding may be missing, as some clients strip
// it from URLs.
func (x *exchange) decodePath(encoded string) error {
	encoded = strings.TrimRight(encoded, "=")
	if base64.RawStdEncoding.DecodedLen(len(encoded)) > MaxRequestSize {
		return malformed("longer than %d octets", MaxRequestSize)
	}
	var err error
	if x.in, err = strictBase64.AppendDecode(x.in[:0], []byte(encoded)); err != nil {
		return malformed("the path is not base64: %v", err)
	}
	return nil
}

var strictBase64 = base64.RawStdEncoding.Strict()

// cacheable tells whether others may be served the same answer: it has no nonce and no proofs, and says nothing that the
// next block is likely to change. Clients ask about a certificate while they wait for it to be published.
func (a *answer) cacheable() bool {
	for i := range a.data.responses {
		if s := &a.data.responses[i]; s.status == statusUnknown || s.status == statusNonIssued || s.proofs != nil {
			return false
		}
	}
	return a.data.nonce == nil
}

// setCaching writes the headers of RFC 5019 section 6.2 and returns the entity tag. Ages are counted from now, which is not
// before the state's time even when this node's clock is slow. The tag is the end of the signature, which is over all that the
// answer says. All values are parts of one string, since this is a good part of the work for an answer.
func (a *answer) setCaching(h http.Header) (tag string) {
	thisUpdate, nextUpdate := a.data.responses[0].thisUpdate, a.data.responses[0].nextUpdate
	var space [160]byte
	var ends [4]int
	b := append(space[:0], "max-age="...)
	b = strconv.AppendInt(b, max(0, int64(nextUpdate.Sub(a.now)/time.Second)), 10)
	b = append(b, ", public, no-transform, must-revalidate"...)
	ends[0] = len(b)
	b = append(b, '"')
	b = append(hex.AppendEncode(b, a.signature[len(a.signature)-16:]), '"')
	ends[1] = len(b)
	b = appendHTTPTime(b, thisUpdate)
	ends[2] = len(b)
	b = appendHTTPTime(b, nextUpdate)
	ends[3] = len(b)
	all, values, begin := string(b), make([]string, 4), 0
	for i, name := range [4]string{"Cache-Control", "Etag", "Last-Modified", "Expires"} {
		values[i] = all[begin:ends[i]]
		h[name] = values[i : i+1 : i+1]
		begin = ends[i]
	}
	return values[1]
}

// appendHTTPTime appends a time as http.TimeFormat has it, in a fifth of what time.Format takes.
func appendHTTPTime(b []byte, t time.Time) []byte {
	t = t.UTC()
	year, month, day := t.Date()
	hour, minute, second := t.Clock()
	b = append(append(b, t.Weekday().String()[:3]...), ", "...)
	b = append(append(append(append2(b, day), ' '), month.String()[:3]...), ' ')
	b = append(append2(append2(b, year/100), year%100), ' ')
	b = append(append2(b, hour), ':')
	b = append(append2(b, minute), ':')
	return append(append2(b, second), " GMT"...)
}

func append2(b []byte, n int) []byte { return append(b, byte('0'+n/10), byte('0'+n%10)) }

// matches compares weakly, as If-None-Match wants (RFC 9110 section 13.1.2).
func matches(ifNoneMatch []string, tag string) bool {
	opaque := strings.TrimPrefix(tag, "W/")
	for _, line := range ifNoneMatch {
		for candidate := range strings.SplitSeq(line, ",") {
			candidate = strings.TrimSpace(candidate)
			if candidate == "*" || strings.TrimPrefix(candidate, "W/") == opaque {
				return true
			}
		}
	}
	return false
}

// send writes an answer; its cache headers are set already.
func (r *Responder) send(w http.ResponseWriter, req *http.Request, x *exchange) {
	x.out.reset()
	x.out.response(&x.answer.data, &r.signer.algorithm, x.answer.signature)
	body, err := x.out.written()
	if err != nil {
		r.fail(w, req, err)
		return
	}
	write(w, body)
}

// fail writes an error answer, which nobody may cache.
func (r *Responder) fail(w http.ResponseWriter, req *http.Request, err error) {
	status := statusOf(err)
	switch {
	case status != internalError:
		r.cfg.Log.DebugContext(req.Context(), "OCSP request not answered", "status", status.String(), "err", err)
	case errors.Is(err, context.Canceled) && req.Context().Err() != nil:
		r.cfg.Log.DebugContext(req.Context(), "OCSP client went away", "err", err)
	default:
		r.cfg.Log.ErrorContext(req.Context(), "OCSP request failed", "err", err)
	}
	h := w.Header()
	for _, name := range []string{"ETag", "Last-Modified", "Expires"} {
		h.Del(name)
	}
	h.Set("Cache-Control", "no-store")
	write(w, encodeError(status))
}

func write(w http.ResponseWriter, body []byte) {
	w.Header()["Content-Type"] = isResponse
	_, _ = w.Write(body) // an error means that the client went away
}
