package client

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/quorate-pki/quorate/ledger/api"
	"github.com/quorate-pki/quorate/ledger/ledgertest"
	"github.com/quorate-pki/quorate/ledger/node"
)

// FuzzFollow gives a follower pages of any kind: what it shows is on the log, and after a refusal it stands where it stood.
func FuzzFollow(f *testing.F) {
	world := ledgertest.Found(7, 1)
	cfg := world.NodeConfig(vfs.NewMem(), &ledgertest.Clock{})
	if err := node.Init(cfg); err != nil {
		f.Fatal(err)
	}
	n, err := node.Open(f.Context(), cfg)
	if err != nil {
		f.Fatal(err)
	}
	h := api.New(api.Config{Channel: "main", Log: "0", Reader: n, Submit: n, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	for _, path := range []string{"/v1/main/events?wait=0", "/v1/main/events?from=3&wait=0"} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		f.Add(w.Body.Bytes())
	}
	head, err := n.Head(f.Context())
	if err != nil {
		f.Fatal(err)
	}
	var log [][]byte
	for i := range head.Size {
		entry, err := n.Entry(f.Context(), i)
		if err != nil {
			f.Fatal(err)
		}
		log = append(log, entry)
	}
	if err := n.Close(); err != nil { // its goroutines would be taken for what an input causes
		f.Fatal(err)
	}
	c, err := New(Config{Nodes: []string{"http://127.0.0.1:1"}, Policy: world.Policy()})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var page api.Events
		if json.Unmarshal(raw, &page) != nil {
			return
		}
		at := &Follower{c: c}
		got, err := at.take(t.Context(), &page)
		if err != nil {
			if at.Known().Size != 0 {
				t.Error("refused, and taken")
			}
			return
		}
		for i, e := range got.Events {
			if i >= len(log) || string(log[i]) != string(e.Entry) {
				t.Errorf("leaf %d is another on the log", i)
			}
		}
	})
}
