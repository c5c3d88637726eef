package api

import (
	"context"
	_ "embed"
	"errors"
	"net/http"
	"slices"

	"github.com/go-chi/chi/v5"

	"github.com/quorate-pki/quorate/internal/problem"
	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
)

// v1 is the table of what is served under /v1/<channel>: address, handler, and every reason it may refuse with beyond those of
// everyRoute. openapi.json says the same to clients; a test holds the two together.
func (a *api) v1(r routes) {
	r.get("/", a.head)
	r.get("/checkpoint", a.checkpoint)
	r.post("/transactions", a.submit, reason.Malformed, reason.TooLarge, reason.BadRequest, reason.BodyMismatch, reason.WrongChannel, reason.Expired,
		reason.ExpiryTooFar, reason.BadSignature, reason.NotAuthenticated, reason.Replayed, reason.Diverged, reason.Busy, reason.RateLimited, reason.Timeout)
	r.get("/transactions/{id}", a.result, reason.BadRequest, reason.NotFound)
	r.post("/judge", a.judge, reason.Malformed, reason.TooLarge, reason.BadRequest, reason.BodyMismatch, reason.WrongChannel, reason.Expired,
		reason.ExpiryTooFar, reason.BadSignature, reason.NotAuthenticated, reason.Replayed, reason.Busy, reason.Timeout)
	r.get("/entries/{index}", a.entry, reason.BadRequest, reason.NotFound)
	r.get("/receipts/{index}", a.receipt, reason.BadRequest, reason.NotFound)
	r.post("/receipts", a.receipts, reason.BadRequest, reason.NotFound, reason.TooLarge, reason.Busy)
	r.get("/status/{index}", a.status, reason.BadRequest, reason.NotFound)
	r.post("/status", a.statuses, reason.BadRequest, reason.NotFound, reason.TooLarge, reason.Busy)
	r.post("/certificates", a.certificates, reason.BadRequest, reason.TooLarge, reason.Busy)
	r.get("/epoch", a.epoch, reason.NotFound)
	r.get("/snapshot", a.snapshot, reason.NotFound, reason.Busy)
	r.get("/records/{kind}", a.records, reason.BadRequest)
	r.get("/explain/{index}", a.explainLeaf, reason.BadRequest, reason.NotFound, reason.NotAPublication, reason.Busy)
	r.post("/explain", a.explainCertificate, reason.BadRequest, reason.TooLarge, reason.Busy)
	r.get("/proposals", a.proposals, reason.BadRequest, reason.Busy)
	r.get("/proposals/{index}", a.proposal, reason.BadRequest, reason.NotFound, reason.Busy)
	r.get("/history/{device}", a.history, reason.BadRequest, reason.NotFound, reason.Busy)
	r.get("/events", newFeed(a.cfg).serve, reason.BadRequest, reason.NotFound, reason.Busy, reason.RateLimited)
}

// everyRoute are the reasons that every address of a channel may refuse with.
var everyRoute = []reason.Code{reason.UnknownChannel, reason.Internal, reason.Stopping}

// routes registers endpoints at a router.
type routes struct {
	chi.Router
	a *api
}

type handler func(http.ResponseWriter, *http.Request) error

func (r routes) get(path string, h handler, refusals ...reason.Code) {
	r.Method(http.MethodGet, path, endpoint{r.a, h, refusals})
}

func (r routes) post(path string, h handler, refusals ...reason.Code) {
	r.Method(http.MethodPost, path, endpoint{r.a, h, refusals})
}

// endpoint is a handler and what it may refuse with.
type endpoint struct {
	a        *api
	handle   handler
	refusals []reason.Code
}

// ServeHTTP maps errors to problems: the one switch at this edge.
func (e endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	err := e.handle(w, r)
	if err == nil {
		return
	}
	refusal, ok := errors.AsType[*reason.Error](err)
	switch {
	case ok:
	case errors.Is(err, ledger.ErrNotFound):
		refusal = reason.New(reason.NotFound, "")
	case errors.Is(err, ledger.ErrBusy):
		refusal = reason.New(reason.Busy, "")
	case errors.Is(err, ledger.ErrStopping):
		refusal = reason.New(reason.Stopping, "")
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		refusal = reason.New(reason.Timeout, "")
	default:
		e.a.cfg.Logger.Error("answering a request", "path", r.URL.Path, "err", err)
		refusal = reason.New(reason.Internal, "")
	}
	if !slices.Contains(e.refusals, refusal.Code) && !slices.Contains(everyRoute, refusal.Code) && r.Context().Err() == nil {
		e.a.cfg.Logger.Error("a refusal that openapi.json does not have", "path", r.URL.Path, "reason", refusal.Code.String())
	}
	problem.Write(w, refusal)
}

//go:embed openapi.json
var openAPIDocument []byte

// openAPI serves the description of everything under /v1 (OpenAPI 3.1).
func openAPI(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "public, max-age=3600")
	_, _ = w.Write(openAPIDocument) // the client may be gone
}
