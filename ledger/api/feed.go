package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
)

const (
	// MaxFollowers is how many follow the feed at a time.
	MaxFollowers = 512
	maxWait      = 50 * time.Second // a long poll's; below what clients and proxies wait for an answer
	usualWait    = 30 * time.Second // a long poll's that names none
	keepAlive    = 15 * time.Second // a stream is never silent for longer
	mediaStream  = "text/event-stream"
)

// feed is the change feed: every leaf of the log, in order, as soon as it is final. It keeps nothing of a follower but a
// place: where somebody stands is in his request, so a follower survives any restart of either side. A follower holds one page at
// a time, which those at the same place share, no lock and no view of the node's; one that takes nothing is cut off.
type feed struct {
	cfg   Config
	pages *pages

	mu        sync.Mutex
	followers int
	addresses map[string]int
}

func newFeed(cfg Config) *feed {
	return &feed{cfg: cfg, pages: newPages(cfg.Reader), addresses: map[string]int{}}
}

// admit gives a follower a place. The places of one address are bounded too, so that nobody takes all.
func (f *feed) admit(r *http.Request) (leave func(), err error) {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.addresses[host] >= f.cfg.FollowersPerAddress:
		return nil, reason.New(reason.RateLimited, "this address follows %d times already", f.addresses[host])
	case f.followers >= MaxFollowers:
		return nil, ledger.ErrBusy
	}
	f.followers++
	f.addresses[host]++
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.followers--
		if f.addresses[host]--; f.addresses[host] == 0 {
			delete(f.addresses, host)
		}
	}, nil
}

// question is what a follower asks for.
type question struct {
	from   uint64
	wait   time.Duration
	stream bool
}

// ask reads a follower's question. Last-Event-ID, which a browser's EventSource sends when it comes back, says what it has
// already and wins over from.
func ask(r *http.Request) (question, error) {
	q := question{wait: usualWait, stream: accepts(r.Header, mediaStream)}
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return q, reason.New(reason.BadRequest, "the query does not parse")
	}
	for name, v := range values {
		n, ok := decimal(v[0])
		if !ok || len(v) > 1 {
			return q, reason.New(reason.BadRequest, "%.40q is one decimal number", name)
		}
		switch name {
		case "from":
			q.from = n
		case "wait":
			if n > uint64(maxWait/time.Second) || q.stream {
				return q, reason.New(reason.BadRequest, "wait is at most %d seconds, and for a page only", maxWait/time.Second)
			}
			q.wait = time.Duration(n) * time.Second
		default:
			return q, reason.New(reason.BadRequest, "there is no parameter %.40q", name)
		}
	}
	if ids := r.Header.Values("Last-Event-ID"); len(ids) > 0 {
		n, ok := decimal(ids[0])
		if !ok || len(ids) > 1 {
			return q, reason.New(reason.BadRequest, "Last-Event-ID is the index of a leaf")
		}
		q.from = n + 1
	}
	return q, nil
}

// decimal reads a number of at most 63 bits in its one form.
func decimal(s string) (uint64, bool) {
	n, err := strconv.ParseUint(s, 10, 63)
	return n, err == nil && strconv.FormatUint(n, 10) == s
}

// accepts reports whether a media type is named in Accept. Ranges are not: a stream is given to who asks for one.
func accepts(h http.Header, media string) bool {
	for _, line := range h.Values("Accept") {
		for part := range strings.SplitSeq(line, ",") {
			name, _, _ := strings.Cut(part, ";")
			if strings.EqualFold(strings.TrimSpace(name), media) {
				return true
			}
		}
	}
	return false
}

func (f *feed) serve(w http.ResponseWriter, r *http.Request) error {
	q, err := ask(r)
	if err != nil {
		return err
	}
	leave, err := f.admit(r)
	if err != nil {
		return err
	}
	defer leave()
	h, changed, err := f.head(r.Context())
	if err != nil {
		return err
	}
	if q.from > h.Size {
		return reason.New(reason.NotFound, "the log has %d leaves here", h.Size)
	}
	if q.stream {
		return f.stream(w, r, q.from, h, changed)
	}
	return f.poll(w, r, q, h, changed)
}

// head returns the newest head, and a channel that tells of a newer one.
func (f *feed) head(ctx context.Context) (ledger.Head, <-chan struct{}, error) {
	var changed <-chan struct{}
	if f.cfg.Changed != nil {
		changed = f.cfg.Changed()
	}
	h, err := f.cfg.Reader.Head(ctx)
	return h, changed, err
}

// poll answers with a page, once there is something to tell or the time is up. A page without events says how fresh that is.
func (f *feed) poll(w http.ResponseWriter, r *http.Request, q question, h ledger.Head, changed <-chan struct{}) error {
	enough := time.NewTimer(q.wait)
	defer enough.Stop()
	for waiting := q.wait > 0; waiting && h.Size == q.from; {
		select {
		case <-changed:
			var err error
			if h, changed, err = f.head(r.Context()); err != nil {
				return err
			}
		case <-enough.C:
			waiting = false
		case <-f.cfg.Stopping:
			return ledger.ErrStopping
		case <-r.Context().Done():
			return r.Context().Err()
		}
	}
	events, err := f.pages.get(r.Context(), q.from, h)
	if err != nil {
		return err
	}
	if err := f.patience(w); err != nil {
		return err
	}
	_ = writeJSON(w, events) // the follower may be gone; it asks again
	return nil
}

// patience gives the follower its time for what is written next. The server's own is counted from the request, and would be over.
func (f *feed) patience(w http.ResponseWriter) error {
	err := http.NewResponseController(w).SetWriteDeadline(time.Now().Add(f.cfg.Slow))
	if errors.Is(err, http.ErrNotSupported) {
		return nil
	}
	return err
}

// stream writes server-sent events until somebody ends it. From the first byte on there is no status code left to refuse
// with: the stream ends, and the follower comes back with Last-Event-ID.
func (f *feed) stream(w http.ResponseWriter, r *http.Request, next uint64, h ledger.Head, changed <-chan struct{}) error {
	w.Header().Set("Content-Type", mediaStream)
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Accel-Buffering", "no") // nginx would keep events back
	quiet := time.NewTicker(keepAlive)
	defer quiet.Stop()
	var told ledger.Head
	for {
		var err error
		switch {
		case next < h.Size, !h.Time.Equal(told.Time):
			next, err = f.write(w, r, next, h)
			told = h
		default:
			select {
			case <-changed:
				h, changed, err = f.head(r.Context())
			case <-quiet.C:
				err = f.send(w, []byte(":\n\n"))
			case <-f.cfg.Stopping:
				err = ledger.ErrStopping
			case <-r.Context().Done():
				err = r.Context().Err()
			}
		}
		if err != nil {
			return nil // the follower is gone, or comes back
		}
	}
}

// write sends a page as server-sent events: an entry each, and what proves them.
func (f *feed) write(w http.ResponseWriter, r *http.Request, from uint64, h ledger.Head) (next uint64, err error) {
	events, err := f.pages.get(r.Context(), from, h)
	if err != nil {
		f.cfg.Logger.Error("reading the feed", "from", from, "err", err)
		return from, err
	}
	if err := f.patience(w); err != nil {
		return from, err
	}
	for i, e := range events.Events {
		if _, err := fmt.Fprintf(w, "id: %d\nevent: entry\ndata: %s\n\n", from+uint64(i), e); err != nil {
			return from, err
		}
	}
	proven, err := json.Marshal(events.Proven)
	if err != nil {
		return from, err
	}
	return events.Next, f.send(w, fmt.Appendf(nil, "event: checkpoint\ndata: %s\n\n", proven))
}

func (f *feed) send(w http.ResponseWriter, data []byte) error {
	if err := f.patience(w); err != nil {
		return err
	}
	if _, err := w.Write(data); err != nil {
		return err
	}
	return http.NewResponseController(w).Flush()
}
