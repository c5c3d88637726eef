// Package problem writes errors to HTTP clients as RFC 9457 problem details that carry a stable reason code, and
// reads them back. It is the one place where reasons meet HTTP status codes.
package problem

import (
	"encoding/json"
	"io"
	"net/http"
	"strconv"

	"github.com/quorate-pki/quorate/internal/reason"
)

// ContentType is the media type of RFC 9457 section 3.
const ContentType = "application/problem+json"

// maxBody bounds what Read takes from a server.
const maxBody = 64 << 10

// Details is the body of a problem response.
type Details struct {
	Type   string      `json:"type"` // urn:quorate:reason:<slug>
	Title  string      `json:"title"`
	Status int         `json:"status"`
	Detail string      `json:"detail,omitempty"`
	Code   reason.Code `json:"code"`
	Reason string      `json:"reason"` // the code's slug
}

// Status is the HTTP status a reason has.
func Status(c reason.Code) int {
	switch c {
	case reason.NotFound, reason.UnknownChannel:
		return http.StatusNotFound
	case reason.Busy, reason.Stopping, reason.Diverged:
		return http.StatusServiceUnavailable
	case reason.RateLimited:
		return http.StatusTooManyRequests
	case reason.TooLarge:
		return http.StatusRequestEntityTooLarge
	case reason.MethodNotAllowed:
		return http.StatusMethodNotAllowed
	case reason.Timeout:
		return http.StatusAccepted // promises nothing: the same bytes again are safe
	case reason.Internal:
		return http.StatusInternalServerError
	case reason.BadSignature, reason.NotAuthenticated:
		return http.StatusForbidden
	case reason.Malformed, reason.BadRequest, reason.BodyMismatch:
		return http.StatusBadRequest
	}
	return http.StatusUnprocessableEntity
}

// Write answers with a problem; with Retry-After where waiting helps.
func Write(w http.ResponseWriter, e *reason.Error) {
	r, status := reason.Of(e.Code), Status(e.Code)
	h := w.Header()
	h.Set("Content-Type", ContentType)
	h.Set("Cache-Control", "no-store")
	if status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests {
		h.Set("Retry-After", strconv.Itoa(1))
	}
	w.WriteHeader(status)
	// The client may be gone; there is nobody else to tell.
	_ = json.NewEncoder(w).Encode(Details{Type: "urn:quorate:reason:" + r.Slug, Title: r.Sentence, Status: status,
		Detail: e.Detail, Code: e.Code, Reason: r.Slug})
}

// Read turns a problem response back into the refusal. A response of another form becomes reason.Internal with
// its status line.
func Read(resp *http.Response) *reason.Error {
	var d Details
	err := json.NewDecoder(io.LimitReader(resp.Body, maxBody)).Decode(&d)
	if err != nil || resp.Header.Get("Content-Type") != ContentType {
		return reason.New(reason.Internal, "the server answered %s", resp.Status)
	}
	return &reason.Error{Code: d.Code, Detail: d.Detail}
}
