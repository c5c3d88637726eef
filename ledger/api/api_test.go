package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	flog "github.com/transparency-dev/formats/log"
	fnote "github.com/transparency-dev/formats/note"
	"github.com/transparency-dev/formats/proof"
	"golang.org/x/mod/sumdb/note"
	xtlog "golang.org/x/mod/sumdb/tlog"

	"github.com/quorate-pki/quorate/internal/problem"
	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/api"
	"github.com/quorate-pki/quorate/ledger/client"
	"github.com/quorate-pki/quorate/ledger/ledgertest"
	"github.com/quorate-pki/quorate/ledger/node"
	"github.com/quorate-pki/quorate/ledger/tlog"
)

// noErrors is a log in which no error may appear, refusals that openapi.json does not have among them.
type noErrors struct{ t *testing.T }

func (noErrors) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelError }
func (h noErrors) WithAttrs([]slog.Attr) slog.Handler         { return h }
func (h noErrors) WithGroup(string) slog.Handler              { return h }
func (h noErrors) Handle(_ context.Context, r slog.Record) error {
	text := r.Message
	r.Attrs(func(a slog.Attr) bool { text += " " + a.String(); return true })
	h.t.Error(text)
	return nil
}

// served is a node behind the handler, with some history.
type served struct {
	c      *ledgertest.Consortium
	node   *node.Node
	server *httptest.Server
	oracle *ledgertest.Oracle
}

func serve(t *testing.T, certificates int) *served {
	t.Helper()
	return serveBy(t, certificates, 1)
}

// serveBy serves a channel of a rule version.
func serveBy(t *testing.T, certificates int, rules uint64) *served {
	t.Helper()
	return serveOf(t, ledgertest.FoundBy(7, 1, rules), certificates)
}

func serveOf(t *testing.T, c *ledgertest.Consortium, certificates int) *served {
	t.Helper()
	s := &served{c: c}
	fs := vfs.NewMem()
	cfg := s.c.NodeConfig(fs, &ledgertest.Clock{})
	if err := node.Init(cfg); err != nil {
		t.Fatal(err)
	}
	var err error
	if s.node, err = node.Open(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.node.Close(); err != nil {
			t.Error(err)
		}
	})
	s.server = httptest.NewServer(api.New(api.Config{Channel: "main", Log: "0", Reader: s.node, Submit: s.node, Epochs: s.node,
		Teller: api.Teller{Member: 1, Key: s.c.Signer("ca-a/responder")},
		Logger: slog.New(noErrors{t})}))
	t.Cleanup(s.server.Close)
	s.oracle = &ledgertest.Oracle{C: s.c}
	var work []ledgertest.Submission
	for n := 0; n < certificates; {
		var ders, bodies [][]byte
		for ; n < certificates && len(bodies) < 300; n++ {
			der := s.c.Device(fmt.Sprintf("ACME-%d", n), "acme-cells.example", 0)
			ders, bodies = append(ders, der), append(bodies, ledgertest.Publish(der))
		}
		work = append(work, ledgertest.Submission{Raw: s.c.Tx(ledgertest.Start, ledgertest.TxOptions{Nonce: uint64(n)}, bodies, "acme-cells/line"), DERs: ders})
	}
	err = ledgertest.Run(t.Context(), s.client(t), work, func(a ledgertest.Acked, h ledger.Head) {
		s.oracle.Acked = append(s.oracle.Acked, a)
		if err := s.oracle.See(h); err != nil {
			t.Error(err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *served) client(t *testing.T) *client.Client {
	t.Helper()
	c, err := client.New(client.Config{Nodes: []string{s.server.URL}, Policy: s.c.Policy()})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (s *served) get(t *testing.T, path string) []byte {
	t.Helper()
	resp, err := http.Get(s.server.URL + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s %v", path, resp.Status, err)
	}
	return body
}

// TestRemoteIsReader runs the oracle over HTTP: the client is as good a Reader as the node.
func TestRemoteIsReader(t *testing.T) {
	s := serve(t, 700)
	if err := s.oracle.Check(t.Context(), remote{s.client(t)}); err != nil {
		t.Error(err)
	}
	if err := s.oracle.Check(t.Context(), s.node); err != nil {
		t.Error(err)
	}
	count := func(r ledger.Reader) (n int) {
		for _, err := range r.Records(t.Context(), ledger.RecordCertID, nil, nil) {
			if err != nil {
				t.Fatal(err)
			}
			n++
		}
		return n
	}
	if a, b := count(s.client(t)), count(s.node); a != b || a != 700 {
		t.Errorf("%d records over HTTP, %d in the node", a, b)
	}
}

// remote fills in what a client leaves to the proof.
type remote struct{ *client.Client }

func (r remote) Status(ctx context.Context, leaf uint64) (ledger.StatusAnswer, error) {
	a, err := r.Client.Status(ctx, leaf)
	if err != nil {
		return a, err
	}
	st, err := r.Standing(ctx, leaf)
	if err == nil {
		a.Status = st.Status
	}
	return a, err
}

// tileReader feeds x/mod's TileHashReader from the served C2SP paths.
type tileReader struct {
	t *testing.T
	s *served
}

func (r tileReader) Height() int { return 8 }

func (r tileReader) ReadTiles(tiles []xtlog.Tile) ([][]byte, error) {
	var out [][]byte
	for _, x := range tiles {
		path := tlog.Tile{Level: x.L, Index: uint64(x.N), Width: x.W}.Path()
		out = append(out, r.s.get(r.t, "/log/main/0/"+path))
	}
	return out, nil
}

func (r tileReader) SaveTiles([]xtlog.Tile, [][]byte) {}

// TestTilesThroughXMod reads the served tiles through golang.org/x/mod/sumdb/tlog, which authenticates them against
// the served checkpoint, opened by transparency-dev/formats.
func TestTilesThroughXMod(t *testing.T) {
	s := serve(t, 700)
	p := s.c.Policy()
	logKey, err := note.NewVerifier(p.Logs[0].Key.String())
	if err != nil {
		t.Fatal(err)
	}
	cosigner, err := fnote.NewVerifierForCosignatureV1(p.Witnesses[0].Key.String())
	if err != nil {
		t.Fatal(err)
	}
	cp, _, n, err := flog.ParseCheckpoint(s.get(t, "/log/main/0/checkpoint"), p.Origin, logKey, cosigner)
	if err != nil {
		t.Fatal(err)
	}
	if len(n.Sigs) != 2 {
		t.Fatalf("%d signatures that formats verifies, want the log's and the member's", len(n.Sigs))
	}
	tree := xtlog.Tree{N: int64(cp.Size), Hash: xtlog.Hash(cp.Hash)}
	reader := xtlog.TileHashReader(tree, tileReader{t, s})
	for i := uint64(0); i < cp.Size; i++ {
		hashes, err := reader.ReadHashes([]int64{xtlog.StoredHashIndex(0, int64(i))})
		if err != nil {
			t.Fatal(err)
		}
		entry, err := s.node.Entry(t.Context(), i)
		if err != nil {
			t.Fatal(err)
		}
		if xtlog.RecordHash(entry) != hashes[0] {
			t.Fatalf("leaf %d has another hash in the tiles", i)
		}
	}
	// Entry bundles hold the same entries.
	var got [][]byte
	for i := uint64(0); i*256 < cp.Size; i++ {
		bundle, _ := tlog.TileAt(tlog.EntriesLevel, i, cp.Size)
		entries, err := tlog.SplitBundle(s.get(t, "/log/main/0/"+bundle.Path()))
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, entries...)
	}
	if uint64(len(got)) != cp.Size {
		t.Fatalf("%d entries in the bundles of a log of %d", len(got), cp.Size)
	}
	// A receipt is a tlog-proof to formats, and proves to x/mod.
	var pr proof.TLogProof
	if err := pr.Unmarshal(s.get(t, "/v1/main/receipts/20")); err != nil {
		t.Fatal(err)
	}
	var path xtlog.RecordProof
	for _, h := range pr.Hashes {
		path = append(path, h)
	}
	if err := xtlog.CheckRecord(path, int64(cp.Size), xtlog.Hash(cp.Hash), int64(pr.Index), xtlog.RecordHash(got[20])); err != nil {
		t.Error(err)
	}
	if _, _, _, err := flog.ParseCheckpoint(pr.Checkpoint, p.Origin, logKey, cosigner); err != nil {
		t.Error(err)
	}
}

// TestProblems holds every refusal to RFC 9457 with the code.
func TestProblems(t *testing.T) {
	s := serve(t, 1)
	big := bytes.Repeat([]byte{0}, ledger.MaxSubmission+1)
	other := s.c.Tx(ledgertest.Start, ledgertest.TxOptions{Channel: &ledger.Hash{1}}, [][]byte{{0x80}}, "acme-cells/line")
	for _, c := range []struct {
		name, method, path string
		body               []byte
		code               reason.Code
		status             int
	}{
		{"no such path", "GET", "/v1/main/nothing", nil, reason.NotFound, 404},
		{"another channel", "GET", "/v1/other/checkpoint", nil, reason.UnknownChannel, 404},
		{"another log", "GET", "/log/main/1/checkpoint", nil, reason.NotFound, 404},
		{"wrong method", "DELETE", "/v1/main/checkpoint", nil, reason.MethodNotAllowed, 405},
		{"garbage submission", "POST", "/v1/main/transactions", []byte("hello"), reason.Malformed, 400},
		{"empty submission", "POST", "/v1/main/transactions", nil, reason.Malformed, 400},
		{"submission too large", "POST", "/v1/main/transactions", big, reason.TooLarge, 413},
		{"of another channel", "POST", "/v1/main/transactions", other, reason.WrongChannel, 422},
		{"a real one as a dry run", "POST", "/v1/main/judge", other, reason.WrongChannel, 422},
		{"leaf beyond the log", "GET", "/v1/main/receipts/99999", nil, reason.NotFound, 404},
		{"status beyond the log", "GET", "/v1/main/status/99999", nil, reason.NotFound, 404},
		{"entry beyond the log", "GET", "/v1/main/entries/99999", nil, reason.NotFound, 404},
		{"leaf with a leading zero", "GET", "/v1/main/receipts/01", nil, reason.BadRequest, 400},
		{"negative leaf", "GET", "/v1/main/receipts/-1", nil, reason.BadRequest, 400},
		{"transaction id of nobody", "GET", "/v1/main/transactions/" + strings.Repeat("0", 64), nil, reason.NotFound, 404},
		{"transaction id that is none", "GET", "/v1/main/transactions/xyz", nil, reason.BadRequest, 400},
		{"too many receipts", "POST", "/v1/main/receipts", manyLeaves(1025), reason.BadRequest, 400},
		{"tile beyond the log", "GET", "/log/main/0/tile/0/009", nil, reason.NotFound, 404},
		{"tile path not canonical", "GET", "/log/main/0/tile/0/9", nil, reason.NotFound, 404},
		{"records that are no kind of the state's", "GET", "/v1/main/records/%00", nil, reason.BadRequest, 400},
		{"too many statuses", "POST", "/v1/main/status", manyLeaves(api.MaxStatuses + 1), reason.BadRequest, 400},
		{"a status twice", "POST", "/v1/main/status", []byte(`{"leaves":[1,1]}`), reason.BadRequest, 400},
		{"statuses beyond the log", "POST", "/v1/main/status", []byte(`{"leaves":[1,99999]}`), reason.NotFound, 404},
		{"a key that is none of the request's", "POST", "/v1/main/status", []byte(`{"leaves":[1],"more":1}`), reason.BadRequest, 400},
		{"two requests in one", "POST", "/v1/main/status", []byte(`{"leaves":[1]}{"leaves":[2]}`), reason.BadRequest, 400},
		{"a leaf that is no number", "POST", "/v1/main/status", []byte(`{"leaves":["1"]}`), reason.BadRequest, 400},
		{"a request for statuses too large", "POST", "/v1/main/status", big, reason.TooLarge, 413},
		{"a receipt twice", "POST", "/v1/main/receipts", []byte(`{"leaves":[1,1]}`), reason.BadRequest, 400},
		{"events beyond the log", "GET", "/v1/main/events?from=99999", nil, reason.NotFound, 404},
		{"events from nowhere", "GET", "/v1/main/events?from=x", nil, reason.BadRequest, 400},
		{"too many bytes of leaves", "POST", "/v1/main/receipts", big, reason.TooLarge, 413},
		{"records of a kind with two letters", "GET", "/v1/main/records/kk", nil, reason.BadRequest, 400},
	} {
		t.Run(c.name, func(t *testing.T) {
			req, err := http.NewRequest(c.method, s.server.URL+c.path, bytes.NewReader(c.body))
			if err != nil {
				t.Fatal(err)
			}
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			var d problem.Details
			if err := json.NewDecoder(resp.Body).Decode(&d); err != nil {
				t.Fatal(err)
			}
			if resp.Header.Get("Content-Type") != problem.ContentType || resp.StatusCode != c.status || d.Code != c.code ||
				d.Status != c.status || d.Reason != c.code.String() || d.Title == "" {
				t.Errorf("%s %s: %+v, want %s", resp.Status, resp.Header.Get("Content-Type"), d, c.code)
			}
		})
	}
}

func manyLeaves(n int) []byte {
	b, err := json.Marshal(api.Leaves{Leaves: make([]uint64, n)})
	if err != nil {
		panic(err)
	}
	return b
}
