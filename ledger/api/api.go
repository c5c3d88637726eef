// Package api is the HTTP face of a ledger.Reader and ledger.Submitter: /v1/<channel>/... for clients and
// /log/<channel>/<n>/... for anyone who reads the log (C2SP tlog-tiles). ledger/client is its other end.
//
// Every refusal is an RFC 9457 problem with a reason code. It must never answer from anything but the two
// interfaces, and must bound every body before reading it.
package api

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/quorate-pki/quorate/internal/problem"
	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/tlog"
)

// Config of a handler for one channel.
type Config struct {
	Channel string // the channel's name in paths
	Log     string // the number of its current log in paths, "0"
	Reader  ledger.Reader
	Submit  ledger.Submitter
	Epochs  Epochs        // required
	Teller  Teller        // required: who says that a certificate is unknown
	Wait    time.Duration // how long a submission waits for finality; default 30 s
	Logger  *slog.Logger  // required

	// Changed returns a channel that is closed once Head is another than now; the change feed waits on it. Nil: followers
	// learn what is new when they ask again.
	Changed func() <-chan struct{}
	// Stopping is closed when the server takes no new requests: followers, who would stay, are sent away.
	Stopping <-chan struct{}
	// FollowersPerAddress is how often one address may follow the feed at a time; default 64. Danger: behind a proxy all
	// clients have one address.
	FollowersPerAddress int
	Slow                time.Duration // how long a follower may take for a page before it is cut off; default 20 s
}

// New returns a handler for /v1/<channel>/ and /log/<channel>/<n>/ of one channel.
func New(cfg Config) http.Handler {
	if cfg.Wait == 0 {
		cfg.Wait = 30 * time.Second
	}
	if cfg.FollowersPerAddress == 0 {
		cfg.FollowersPerAddress = 64
	}
	if cfg.Slow == 0 {
		cfg.Slow = 20 * time.Second
	}
	a := &api{cfg: cfg, bodies: make(chan struct{}, maxBodies), batches: make(chan struct{}, maxBatches),
		snapshots: make(chan struct{}, maxSnapshots), pages: make(chan struct{}, maxExplaining)}
	r := chi.NewRouter()
	r.NotFound(func(w http.ResponseWriter, _ *http.Request) { problem.Write(w, reason.New(reason.NotFound, "")) })
	r.MethodNotAllowed(func(w http.ResponseWriter, _ *http.Request) {
		problem.Write(w, reason.New(reason.MethodNotAllowed, ""))
	})
	r.Get("/v1/openapi.json", openAPI)
	r.Route("/v1/{channel}", func(r chi.Router) {
		r.Use(a.ours)
		a.v1(routes{r, a})
	})
	r.Route("/log/{channel}/{log}", func(r chi.Router) {
		r.Use(a.ours)
		log := routes{r, a}
		log.get("/checkpoint", a.checkpoint)
		log.get("/tile/*", a.tile, reason.NotFound)
	})
	return r
}

type api struct {
	cfg     Config
	bodies  chan struct{} // a place for each submission that is read, judged or waited for
	batches chan struct{} // a place for each request for many things at once

	snapshots chan struct{} // a place for each snapshot under way
	pages     chan struct{} // a place for each explanation that is made
}

// maxBodies is the most submissions at hand at a time: with their copies, about half a gigabyte.
const maxBodies = 256

// admit gives a request one of the places, or ErrBusy.
func admit(places chan struct{}) (leave func(), err error) {
	select {
	case places <- struct{}{}:
		return func() { <-places }, nil
	default:
		return nil, ledger.ErrBusy
	}
}

// ours refuses other channels and logs.
func (a *api) ours(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c := chi.URLParam(r, "channel"); c != a.cfg.Channel {
			problem.Write(w, reason.New(reason.UnknownChannel, "%q", c))
			return
		}
		if l := chi.URLParam(r, "log"); l != "" && l != a.cfg.Log {
			problem.Write(w, reason.New(reason.NotFound, "log %q", l))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// Head is the JSON form of the newest checkpoint's facts.
type Head struct {
	Channel string    `json:"channel"` // id, hex
	Origin  string    `json:"origin"`
	Height  uint64    `json:"height"`
	Size    uint64    `json:"size"`
	Root    string    `json:"root"` // hex
	Time    time.Time `json:"time"`
}

func (a *api) head(w http.ResponseWriter, r *http.Request) error {
	h, err := a.cfg.Reader.Head(r.Context())
	if err != nil {
		return err
	}
	return writeJSON(w, Head{hex.EncodeToString(h.Channel[:]), h.Origin, h.Height, h.Size, hex.EncodeToString(h.Root[:]), h.Time})
}

func (a *api) checkpoint(w http.ResponseWriter, r *http.Request) error {
	h, err := a.cfg.Reader.Head(r.Context())
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-cache")
	_, err = w.Write(h.Note)
	return err
}

// Verdict is one operation's outcome as JSON.
type Verdict struct {
	Code   reason.Code `json:"code"`
	Reason string      `json:"reason"`
	Leaf   *uint64     `json:"leaf,omitempty"`
}

// Verdicts are the outcomes of a dry run as JSON.
type Verdicts struct {
	Verdicts []Verdict `json:"verdicts"`
}

// Result is a transaction's outcome as JSON.
type Result struct {
	ID       string    `json:"id"` // hex
	Leaf     uint64    `json:"leaf"`
	Height   uint64    `json:"height"`
	Verdicts []Verdict `json:"verdicts"`
}

func verdicts(in []ledger.Verdict) []Verdict {
	out := []Verdict{}
	for _, v := range in {
		j := Verdict{Code: v.Code, Reason: v.Code.String()}
		if v.Code.OK() && v.Leaf != 0 {
			j.Leaf = &v.Leaf
		}
		out = append(out, j)
	}
	return out
}

func (a *api) submit(w http.ResponseWriter, r *http.Request) error {
	leave, err := admit(a.bodies)
	if err != nil {
		return err
	}
	defer leave()
	raw, err := body(w, r, ledger.MaxSubmission)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.Context(), a.cfg.Wait)
	defer cancel()
	res, err := a.cfg.Submit.Submit(ctx, raw)
	if err != nil {
		return err
	}
	return writeResult(w, res)
}

func writeResult(w http.ResponseWriter, res ledger.Result) error {
	return writeJSON(w, Result{hex.EncodeToString(res.ID[:]), res.Leaf, res.Height, verdicts(res.Verdicts)})
}

func (a *api) result(w http.ResponseWriter, r *http.Request) error {
	id, err := ledger.ParseHash(chi.URLParam(r, "id"))
	if err != nil {
		return reason.New(reason.BadRequest, "%v", err)
	}
	res, err := a.cfg.Reader.Result(r.Context(), id)
	if err != nil {
		return err
	}
	return writeResult(w, res)
}

func (a *api) judge(w http.ResponseWriter, r *http.Request) error {
	leave, err := admit(a.bodies)
	if err != nil {
		return err
	}
	defer leave()
	raw, err := body(w, r, ledger.MaxSubmission)
	if err != nil {
		return err
	}
	v, err := a.cfg.Submit.Judge(r.Context(), raw)
	if err != nil {
		return err
	}
	return writeJSON(w, Verdicts{verdicts(v)})
}

func index(r *http.Request) (uint64, error) {
	s := chi.URLParam(r, "index")
	n, err := strconv.ParseUint(s, 10, 63)
	if err != nil || strconv.FormatUint(n, 10) != s {
		return 0, reason.New(reason.BadRequest, "%q is no leaf index", s)
	}
	return n, nil
}

func (a *api) entry(w http.ResponseWriter, r *http.Request) error {
	i, err := index(r)
	if err != nil {
		return err
	}
	e, err := a.cfg.Reader.Entry(r.Context(), i)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/cbor")
	_, err = w.Write(e)
	return err
}

func (a *api) receipt(w http.ResponseWriter, r *http.Request) error {
	i, err := index(r)
	if err != nil {
		return err
	}
	p, err := a.cfg.Reader.Receipt(r.Context(), i)
	return writeProof(w, p, err)
}

func (a *api) status(w http.ResponseWriter, r *http.Request) error {
	i, err := index(r)
	if err != nil {
		return err
	}
	s, err := a.cfg.Reader.Status(r.Context(), i)
	return writeProof(w, s.Proof, err)
}

func writeProof(w http.ResponseWriter, p []byte, err error) error {
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-cache")
	_, err = w.Write(p)
	return err
}

// One answer of records ends after so many, or so many bytes; the next page starts after the last key.
const (
	maxRecords     = 1000
	maxRecordBytes = 2 << 20
)

// Record is a record as JSON.
type Record struct {
	Key   string `json:"key"`   // hex
	Value string `json:"value"` // hex of the record's canonical CBOR
}

// Records is a page of records.
type Records struct {
	Records []Record `json:"records"`
	More    bool     `json:"more"` // the same prefix has more: ask again with ?after=<last key>
}

func (a *api) records(w http.ResponseWriter, r *http.Request) error {
	kind := chi.URLParam(r, "kind")
	prefix, err1 := hex.DecodeString(r.URL.Query().Get("prefix"))
	after, err2 := hex.DecodeString(r.URL.Query().Get("after"))
	if err1 != nil || err2 != nil || len(kind) != 1 || !ledger.RecordKind(kind[0]).Known() {
		return reason.New(reason.BadRequest, "kind is the letter of a kind of records; prefix and after are hexadecimal")
	}
	if len(after) == 0 {
		after = nil // from the first, which may have an empty key
	}
	out, size := Records{Records: []Record{}}, 0
	for rec, err := range a.cfg.Reader.Records(r.Context(), ledger.RecordKind(kind[0]), prefix, after) {
		if err == nil {
			err = r.Context().Err()
		}
		if err != nil {
			return err
		}
		if len(out.Records) == maxRecords || size > maxRecordBytes {
			out.More = true
			break
		}
		size += len(rec.Key) + len(rec.Value)
		out.Records = append(out.Records, Record{hex.EncodeToString(rec.Key), hex.EncodeToString(rec.Value)})
	}
	return writeJSON(w, out)
}

func (a *api) tile(w http.ResponseWriter, r *http.Request) error {
	t, err := tlog.ParseTilePath("tile/" + chi.URLParam(r, "*"))
	if err != nil {
		return reason.New(reason.NotFound, "%v", err)
	}
	data, err := a.cfg.Reader.Tile(r.Context(), t)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	_, err = w.Write(data)
	return err
}

func body(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return nil, reason.New(reason.TooLarge, "at most %d bytes", limit)
	}
	if err != nil {
		return nil, reason.New(reason.BadRequest, "reading the body")
	}
	return raw, nil
}

func writeJSON(w http.ResponseWriter, v any) error {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	return json.NewEncoder(w).Encode(v)
}
