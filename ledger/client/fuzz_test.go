package client

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/quorate-pki/quorate/ledger"
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

// FuzzHistory gives the prover histories of any kind: what it accepts says of the device what the log says.
func FuzzHistory(f *testing.F) {
	world := ledgertest.Unfounded(7)
	founding, gov := world.Founding(1, ledgertest.Quotas{Day: 9, Total: 9})
	founding.Rules = ledger.NewestRules
	if err := world.Use(founding, gov); err != nil {
		f.Fatal(err)
	}
	cfg := world.NodeConfig(vfs.NewMem(), &ledgertest.Clock{})
	if err := node.Init(cfg); err != nil {
		f.Fatal(err)
	}
	n, err := node.Open(f.Context(), cfg)
	if err != nil {
		f.Fatal(err)
	}
	send := func(nonce uint64, body []byte, signers ...string) uint64 {
		res, err := n.Submit(f.Context(), world.Tx(ledgertest.Start, ledgertest.TxOptions{Nonce: nonce}, [][]byte{body}, signers...))
		if err != nil || !res.Verdicts[0].Code.OK() {
			f.Fatal(res, err)
		}
		return res.Verdicts[0].Leaf
	}
	h := api.New(api.Config{Channel: "main", Log: "0", Reader: n, Submit: n, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	target := ledger.Sum(world.SPKI("device/ACME-1"))
	at := send(1, ledgertest.Publish(world.Device("ACME-1", "acme-cells.example", 0)), "acme-cells/line")
	device := keyDevice(f, n, target)
	last := ""
	tell := func() {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, fmt.Sprintf("/v1/main/history/%x", device), nil))
		last = w.Body.String()
		f.Add(w.Body.Bytes())
	}
	tell()
	retire := ledger.Retire{Target: target, Previous: at}
	at = send(2, ledger.EncodeBody(ledger.OpRetire, &retire), "acme-cells/admin-1", "acme-cells/admin-2")
	tell()
	for _, cut := range []string{`"life":[]`, `"certificates":[]`, `"organisations":[]`, `"claims":[{"leaf":1}]`} {
		name, _, _ := strings.Cut(cut, ":")
		begin := strings.Index(last, name)
		f.Add([]byte(last[:begin] + cut + "}"))
	}
	if err := n.Close(); err != nil {
		f.Fatal(err)
	}
	trust := world.Policy()
	f.Fuzz(func(t *testing.T, raw []byte) {
		told := &api.History{}
		if json.Unmarshal(raw, told) != nil {
			return
		}
		p := lived{prover{trust}, &Lived{History: told, Names: map[string]string{}}}
		if p.prove(fmt.Sprintf("%x", device)) != nil {
			return
		}
		if l := p.out; l.Names[l.Holder] != "acme-cells" || len(l.Keys) != 1 || l.Keys[0] != fmt.Sprintf("%x", target) || l.Retired != (l.Next == at) {
			t.Errorf("%+v", l)
		}
	})
}

// keyDevice is the device whose key one is.
func keyDevice(f *testing.F, n *node.Node, key ledger.Hash) ledger.Hash {
	k, err := ledger.ReadKey(ledger.RecordsOf(f.Context(), n), key)
	if err != nil || k == nil {
		f.Fatal(k, err)
	}
	return k.Device
}
