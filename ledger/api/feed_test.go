package api_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quorate-pki/quorate/internal/problem"
	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/api"
	"github.com/quorate-pki/quorate/ledger/client"
	"github.com/quorate-pki/quorate/ledger/ledgertest"
	"github.com/quorate-pki/quorate/ledger/tlog"
)

// again serves the same node with another configuration.
func (s *served) again(t *testing.T, cfg api.Config, server func(*httptest.Server)) *httptest.Server {
	t.Helper()
	cfg.Channel, cfg.Log, cfg.Reader, cfg.Submit, cfg.Changed = "main", "0", s.node, s.node, s.node.Changed
	cfg.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	h := httptest.NewUnstartedServer(api.New(cfg))
	if server != nil {
		server(h)
	}
	h.Start()
	t.Cleanup(h.Close)
	return h
}

func (s *served) head(t *testing.T) ledger.Head {
	t.Helper()
	h, err := s.node.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// publish puts one more certificate on the log.
func (s *served) publish(t *testing.T, n int) ledger.Result {
	t.Helper()
	der := s.c.Device(fmt.Sprintf("ACME-%d", n), "acme-cells.example", 0)
	raw := s.c.Tx(ledgertest.Start, ledgertest.TxOptions{Nonce: uint64(n)}, [][]byte{ledgertest.Publish(der)}, "acme-cells/line")
	res, err := s.node.Submit(t.Context(), raw)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// stream opens a stream of events.
func stream(t *testing.T, url, last string) *bufio.Reader {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "text/event-stream")
	if last != "" {
		req.Header.Set("Last-Event-ID", last)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("%s %s", resp.Status, resp.Header.Get("Content-Type"))
	}
	return bufio.NewReader(resp.Body)
}

type sent struct{ id, event, data string }

// event reads the next server-sent event; comments are passed over.
func event(t *testing.T, r *bufio.Reader) (e sent) {
	t.Helper()
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		switch name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": "); name {
		case "id":
			e.id = value
		case "event":
			e.event = value
		case "data":
			e.data = value
		case "":
			if e != (sent{}) {
				return e
			}
		}
	}
}

// entries reads events up to the leaf next, and demands that they are the log's.
func (s *served) entries(t *testing.T, r *bufio.Reader, from, next uint64) {
	t.Helper()
	for from < next {
		e := event(t, r)
		if e.event == "checkpoint" {
			continue
		}
		var got api.Event
		if err := json.Unmarshal([]byte(e.data), &got); err != nil {
			t.Fatal(err)
		}
		want, err := s.node.Entry(t.Context(), from)
		if err != nil {
			t.Fatal(err)
		}
		if e.id != fmt.Sprint(from) || e.event != "entry" || got.Leaf != from || string(got.Entry) != string(want) {
			t.Fatalf("%s event %s of leaf %d, want leaf %d and its bytes", e.event, e.id, got.Leaf, from)
		}
		from++
	}
}

// TestStream: what was there, what comes, and what comes after a break.
func TestStream(t *testing.T) {
	s := serve(t, 400)
	h := s.head(t)
	web := s.again(t, api.Config{}, nil)
	all, late := stream(t, web.URL+"/v1/main/events", ""), stream(t, web.URL+fmt.Sprintf("/v1/main/events?from=%d", h.Size), "")
	s.entries(t, all, 0, h.Size)
	for {
		if e := event(t, late); e.event == "checkpoint" { // it has nothing yet, and is told how far that is
			break
		}
	}
	s.publish(t, 1000)
	s.entries(t, all, h.Size, h.Size+3)
	s.entries(t, late, h.Size, h.Size+3)
	back := stream(t, web.URL+"/v1/main/events?from=7", fmt.Sprint(h.Size))
	s.entries(t, back, h.Size+1, h.Size+3)
}

// TestFollower: the client follows over pages of any kind, and ends with the log's own root.
func TestFollower(t *testing.T) {
	s := serve(t, 700)
	web := s.again(t, api.Config{}, nil)
	c, err := client.New(client.Config{Nodes: []string{web.URL}, Policy: s.c.Policy()})
	if err != nil {
		t.Fatal(err)
	}
	for _, from := range []uint64{0, 1, 255, 256, 257, 500} {
		f, err := c.Follow(t.Context(), from, nil)
		if err != nil {
			t.Fatal(err)
		}
		h := s.head(t)
		next := from
		for next < h.Size {
			got, err := f.Next(t.Context(), 0)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range got.Events {
				if e.Leaf != next {
					t.Fatalf("leaf %d, want %d", e.Leaf, next)
				}
				next++
			}
		}
		if known := f.Known(); known.Root != h.Root || known.Size != h.Size {
			t.Errorf("from %d: ends with %d leaves and another root", from, known.Size)
		}
		if _, err := c.Follow(t.Context(), h.Size, &ledger.Hash{1}); err == nil {
			t.Error("another history was followed")
		}
		if from == 500 { // a poll that waits is woken
			s.publish(t, 2000)
			if got, err := f.Next(t.Context(), 50*time.Second); err != nil || len(got.Events) != 3 {
				t.Errorf("%v %v", got, err)
			}
		}
	}
}

// TestFollowerBelievesNothing alters pages, and no leaf of them may be shown.
func TestFollowerBelievesNothing(t *testing.T) {
	s := serve(t, 300)
	get := func(path string) (page api.Events) {
		if err := json.Unmarshal(s.get(t, path), &page); err != nil {
			t.Fatal(err)
		}
		return page
	}
	raw := func(e api.Event) json.RawMessage {
		b, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	parsed := func(m json.RawMessage) (e api.Event) {
		if err := json.Unmarshal(m, &e); err != nil {
			t.Fatal(err)
		}
		return e
	}
	for _, c := range []struct {
		name  string
		alter func(*api.Events)
		ok    bool
	}{
		{"nothing", func(*api.Events) {}, true},
		{"what is told of a leaf", func(p *api.Events) { // is not looked at
			e := parsed(p.Events[9])
			e.Kind, e.Leaf = "lies", 7
			p.Events[9] = raw(e)
		}, true},
		{"a leaf's bytes", func(p *api.Events) {
			e := parsed(p.Events[9])
			e.Entry[len(e.Entry)-1] ^= 1
			p.Events[9] = raw(e)
		}, false},
		{"one left out", func(p *api.Events) { p.Events = append(p.Events[:9:9], p.Events[10:]...) }, false},
		{"two changed places", func(p *api.Events) { p.Events[9], p.Events[10] = p.Events[10], p.Events[9] }, false},
		{"one twice", func(p *api.Events) { p.Events = append(p.Events[:10:10], p.Events[9:]...) }, false},
		{"the last left out", func(p *api.Events) { p.Events = p.Events[:len(p.Events)-1] }, false},
		{"all left out", func(p *api.Events) { p.Events = nil }, false},
		{"all left out, and a proof for that", func(p *api.Events) { p.Events, p.Path = nil, nil }, false},
		{"no proof", func(p *api.Events) { p.Path = nil }, false},
		{"another proof", func(p *api.Events) { p.Path[0], p.Path[1] = p.Path[1], p.Path[0] }, false},
		{"a proof that is none", func(p *api.Events) { p.Path[0] = "x" }, false},
		{"a checkpoint nobody cosigned", func(p *api.Events) { p.Checkpoint = p.Checkpoint[:strings.Index(p.Checkpoint, "ca-a")] }, false},
		{"from elsewhere", func(p *api.Events) { p.From = 1 }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			liar := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				page := get(r.URL.RequestURI())
				c.alter(&page)
				_ = json.NewEncoder(w).Encode(page)
			}))
			defer liar.Close()
			cl, err := client.New(client.Config{Nodes: []string{liar.URL}, Policy: s.c.Policy()})
			if err != nil {
				t.Fatal(err)
			}
			f, err := cl.Follow(t.Context(), 0, nil)
			if err != nil {
				t.Fatal(err)
			}
			got, err := f.Next(t.Context(), 0)
			if (err == nil) != c.ok {
				t.Errorf("it is shown: %v, %v", got != nil, err)
			}
			if err != nil && (got != nil || f.Known().Size != 0) {
				t.Error("something was taken all the same")
			}
			if c.ok && parsed(raw(got.Events[9])).Kind == "lies" {
				t.Error("what the node told was believed")
			}
		})
	}
}

// pipes is a network without buffers: whoever does not read stops whoever writes at once.
type pipes struct {
	accepted chan net.Conn
	once     sync.Once
	closed   chan struct{}
}

func newPipes() *pipes { return &pipes{accepted: make(chan net.Conn), closed: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.accepted:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}
func (p *pipes) Close() error   { p.once.Do(func() { close(p.closed) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

func (p *pipes) dial(context.Context, string, string) (net.Conn, error) {
	client, server := net.Pipe()
	p.accepted <- server
	return client, nil
}

// TestSlowFollower: one that reads nothing holds up neither the node nor another follower, and loses its place.
func TestSlowFollower(t *testing.T) {
	s := serve(t, 300)
	network, gone := newPipes(), make(chan net.Conn, 1)
	web := s.again(t, api.Config{Slow: time.Second, FollowersPerAddress: 1}, func(h *httptest.Server) {
		h.Listener = network
		h.Config.ConnState = func(c net.Conn, state http.ConnState) {
			if state == http.StateClosed {
				select {
				case gone <- c:
				default:
				}
			}
		}
	})
	slow, err := network.dial(t.Context(), "", "")
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Close()
	if _, err := io.WriteString(slow, "GET /v1/main/events HTTP/1.1\r\nHost: q\r\nAccept: text/event-stream\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(slow, make([]byte, 64)); err != nil { // it is being written to
		t.Fatal(err)
	}
	viaPipes := &http.Client{Transport: &http.Transport{DialContext: network.dial}}
	resp, err := viaPipes.Get(web.URL + "/v1/main/events?from=0")
	if err != nil {
		t.Fatal(err)
	}
	if refused := problem.Read(resp); refused.Code != reason.RateLimited {
		t.Errorf("a second follower of one address: %v", refused)
	}
	_ = resp.Body.Close()
	other := s.again(t, api.Config{}, nil)
	r := stream(t, other.URL+"/v1/main/events", "")
	h := s.head(t)
	s.publish(t, 1000)
	s.entries(t, r, 0, h.Size+3)
	<-gone
	resp, err = viaPipes.Get(web.URL + "/v1/main/events?from=0")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("the place of the slow one: %s", resp.Status)
	}
}

// TestPollOutlivesTimeouts: a server's times for reading and answering requests are none for waiting.
func TestPollOutlivesTimeouts(t *testing.T) {
	s := serve(t, 1)
	web := s.again(t, api.Config{}, func(h *httptest.Server) {
		h.Config.ReadTimeout, h.Config.WriteTimeout = 100*time.Millisecond, 100*time.Millisecond
	})
	h := s.head(t)
	resp, err := http.Get(web.URL + fmt.Sprintf("/v1/main/events?from=%d&wait=1", h.Size))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var page api.Events
	if err := json.NewDecoder(resp.Body).Decode(&page); err != nil || resp.StatusCode != http.StatusOK || page.Next != h.Size {
		t.Errorf("%s %+v %v", resp.Status, page, err)
	}
}

// TestStopping: followers are sent away when the server stops, and those who come are not let in.
func TestStopping(t *testing.T) {
	s := serve(t, 1)
	stopping := make(chan struct{})
	web := s.again(t, api.Config{Stopping: stopping}, nil)
	r := stream(t, web.URL+"/v1/main/events", "")
	h := s.head(t)
	s.entries(t, r, 0, h.Size)
	close(stopping)
	if _, err := io.Copy(io.Discard, r); err != nil {
		t.Errorf("the stream does not end well: %v", err)
	}
	resp, err := http.Get(web.URL + fmt.Sprintf("/v1/main/events?from=%d&wait=50", h.Size))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if refused := problem.Read(resp); refused.Code != reason.Stopping {
		t.Errorf("%v", refused)
	}
}

// counting is a Reader that counts the bundles it reads, and fails while told to.
type counting struct {
	ledger.Reader
	mu      sync.Mutex
	bundles int
	broken  bool
}

func (c *counting) Tile(ctx context.Context, t tlog.Tile) ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.broken {
		return nil, errors.New("the disk is away")
	}
	if t.Level == tlog.EntriesLevel {
		c.bundles++
	}
	return c.Reader.Tile(ctx, t)
}

// TestManyFollowers: those at one place share one reading, and a failure is nobody's after it.
func TestManyFollowers(t *testing.T) {
	s := serve(t, 300)
	reader := &counting{Reader: s.node, broken: true}
	h := api.New(api.Config{Channel: "main", Log: "0", Reader: reader, Submit: s.node, FollowersPerAddress: 300, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	ask := func() int {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/v1/main/events?from=0", nil))
		return w.Code
	}
	if code := ask(); code != http.StatusInternalServerError {
		t.Errorf("%d from a broken disk", code)
	}
	reader.broken = false
	var wg sync.WaitGroup
	for range 200 {
		wg.Go(func() {
			if code := ask(); code != http.StatusOK {
				t.Errorf("%d", code)
			}
		})
	}
	wg.Wait()
	if reader.bundles != 1 {
		t.Errorf("%d bundles were read for 200 followers at one place", reader.bundles)
	}
}
