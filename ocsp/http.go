package ocsp

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"mime"
	"net/http"
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
	if t, _, err := mime.ParseMediaType(req.Header.Get("Content-Type")); err != nil || t != requestType {
		http.Error(w, "the body must be "+requestType, http.StatusUnsupportedMediaType)
		return
	}
	if req.ContentLength > MaxRequestSize {
		w.Header().Set("Connection", "close") // rather than read what is too long to be looked at
		r.fail(w, req, malformed("a body of %d octets", req.ContentLength))
		return
	}
	der, err := io.ReadAll(http.MaxBytesReader(w, req.Body, MaxRequestSize))
	if err != nil {
		r.fail(w, req, malformed("reading the body: %v", err))
		return
	}
	a, err := r.answer(req.Context(), der)
	if err != nil {
		r.fail(w, req, err)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	r.send(w, req, a)
}

// serveGet answers the request in the path, with what lets caches serve it (RFC 5019 section 6).
func (r *Responder) serveGet(w http.ResponseWriter, req *http.Request, encoded string) {
	der, err := decodePath(encoded)
	if err != nil {
		r.fail(w, req, err)
		return
	}
	a, err := r.answer(req.Context(), der)
	if err != nil {
		r.fail(w, req, err)
		return
	}
	if !a.cacheable() {
		w.Header().Set("Cache-Control", "no-store")
		r.send(w, req, a)
		return
	}
	tag := a.entityTag()
	a.setCaching(w.Header(), tag)
	// If-Modified-Since is not looked at: two statuses may have one time, since times are whole seconds.
	if matches(req.Header["If-None-Match"], tag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	r.send(w, req, a)
}

// decodePath decodes base64 from a path that is unescaped already. Padding may be missing, as some clients strip
// it from URLs.
func decodePath(encoded string) ([]byte, error) {
	encoded = strings.TrimRight(encoded, "=")
	if base64.RawStdEncoding.DecodedLen(len(encoded)) > MaxRequestSize {
		return nil, malformed("longer than %d octets", MaxRequestSize)
	}
	der, err := base64.RawStdEncoding.Strict().DecodeString(encoded)
	if err != nil {
		return nil, malformed("the path is not base64: %v", err)
	}
	return der, nil
}

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

// entityTag names an answer by the end of its signature, which is over all that it says.
func (a *answer) entityTag() string {
	return `"` + hex.EncodeToString(a.signature[len(a.signature)-16:]) + `"`
}

// setCaching writes the headers of RFC 5019 section 6.2. Ages are counted from now, which is not before the state's time
// even when this node's clock is slow.
func (a *answer) setCaching(h http.Header, tag string) {
	thisUpdate, nextUpdate := a.data.responses[0].thisUpdate, a.data.responses[0].nextUpdate
	maxAge := max(0, int64(nextUpdate.Sub(a.now)/time.Second))
	h.Set("Cache-Control", "max-age="+strconv.FormatInt(maxAge, 10)+", public, no-transform, must-revalidate")
	h.Set("ETag", tag)
	h.Set("Last-Modified", thisUpdate.UTC().Format(http.TimeFormat))
	h.Set("Expires", nextUpdate.UTC().Format(http.TimeFormat))
}

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
func (r *Responder) send(w http.ResponseWriter, req *http.Request, a *answer) {
	out := writers.Get().(*writer)
	defer writers.Put(out)
	out.reset()
	out.response(&a.data, &r.signer.algorithm, a.signature)
	body, err := out.written()
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
	w.Header().Set("Content-Type", responseType)
	_, _ = w.Write(body) // an error means that the client went away
}
