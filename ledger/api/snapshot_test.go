package api_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/quorate-pki/quorate/internal/problem"
	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/api"
	"github.com/quorate-pki/quorate/verify"
)

// TestSnapshot: what the node serves is what verifiers take, and its newest epoch too.
func TestSnapshot(t *testing.T) {
	s := serve(t, 1100)
	snap, err := verify.ReadSnapshot(s.c.Policy(), bytes.NewReader(s.get(t, "/v1/main/snapshot")))
	if err != nil || snap.Counts[1] != 1100 {
		t.Fatalf("%+v %v", snap, err)
	}
	e, err := verify.LastEpoch(s.c.Policy(), s.get(t, "/v1/main/epoch"))
	if err != nil || e.Size != snap.Size || e.MemberSet != ledger.Sum(ledger.Encode(s.c.Set)) {
		t.Errorf("%+v %v", e, err)
	}
}

// epochs is a node whose snapshots are as the test wants them.
type epochs struct {
	api.Epochs
	snapshot func(begin func(int64) io.Writer) error
}

func (e epochs) Snapshot(_ context.Context, begin func(int64) io.Writer) error {
	return e.snapshot(begin)
}

func serveEpochs(t *testing.T, snapshot func(begin func(int64) io.Writer) error) string {
	s := httptest.NewServer(api.New(api.Config{Channel: "main", Log: "0", Epochs: epochs{snapshot: snapshot}, Logger: slog.New(slog.DiscardHandler)}))
	t.Cleanup(s.Close)
	return s.URL + "/v1/main/snapshot"
}

// TestSnapshotPlaces: who takes his time does not keep more than four places.
func TestSnapshotPlaces(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	url := serveEpochs(t, func(begin func(int64) io.Writer) error {
		entered <- struct{}{}
		<-leave
		_, err := begin(1).Write([]byte("x"))
		return err
	})
	answers := make(chan string)
	for range 4 {
		go func() {
			resp, err := http.Get(url)
			if err != nil {
				answers <- err.Error()
				return
			}
			defer resp.Body.Close()
			answers <- resp.Status
		}()
		<-entered
	}
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if e := problem.Read(resp); e.Code != reason.Busy || resp.Header.Get("Retry-After") == "" {
		t.Errorf("the fifth: %s, %v", resp.Status, e)
	}
	close(leave)
	for range 4 {
		if a := <-answers; a != "200 OK" {
			t.Errorf("one of the four: %s", a)
		}
	}
}

// TestSnapshotBroken: an error before the first byte is a problem; one after it is a cut connection and never a short answer.
func TestSnapshotBroken(t *testing.T) {
	broken := errors.New("the disk is broken")
	resp, err := http.Get(serveEpochs(t, func(func(int64) io.Writer) error { return broken }))
	if err != nil {
		t.Fatal(err)
	}
	if e := problem.Read(resp); e.Code != reason.Internal {
		t.Errorf("%v", e)
	}
	resp.Body.Close()
	resp, err = http.Get(serveEpochs(t, func(begin func(int64) io.Writer) error {
		if _, err := begin(100_000).Write(make([]byte, 99_000)); err != nil {
			return err
		}
		return broken
	}))
	if err == nil {
		defer resp.Body.Close()
		_, err = io.ReadAll(resp.Body)
	}
	if err == nil {
		t.Error("half a snapshot came as a whole one")
	}
}

// deadlines notes the write deadline that a handler sets.
type deadlines struct {
	*httptest.ResponseRecorder
	set []time.Time
}

func (d *deadlines) SetWriteDeadline(t time.Time) error { d.set = append(d.set, t); return nil }

// TestSnapshotDeadline: a client has time in proportion to what it is sent, and no longer.
func TestSnapshotDeadline(t *testing.T) {
	for length, want := range map[int64]time.Duration{1: 20 * time.Second, 64 << 10: 21 * time.Second, 64 << 20: 20*time.Second + 1024*time.Second} {
		h := api.New(api.Config{Channel: "main", Log: "0", Logger: slog.New(slog.DiscardHandler),
			Epochs: epochs{snapshot: func(begin func(int64) io.Writer) error { begin(length); return nil }}})
		w := &deadlines{ResponseRecorder: httptest.NewRecorder()}
		before := time.Now()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/v1/main/snapshot", nil))
		after := time.Now()
		if len(w.set) != 1 || w.set[0].Before(before.Add(want)) || w.set[0].After(after.Add(want)) {
			t.Errorf("%d bytes: %v, want %s after now", length, w.set, want)
		}
	}
}
