package api

import (
	"encoding/json"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/ledgertest"
)

// FuzzAsk: whatever a follower asks for, it is refused or within the limits, and a leaf has one spelling.
func FuzzAsk(f *testing.F) {
	f.Add("from=10&wait=5", "", "")
	f.Add("", "text/event-stream, */*;q=0.1", "12")
	f.Add("from=01&from=2&x=%zz", "*/*", "-1")
	f.Fuzz(func(t *testing.T, query, accept, last string) {
		r := httptest.NewRequest("GET", "/v1/main/events", nil)
		r.URL.RawQuery = query
		r.Header.Set("Accept", accept)
		if last != "" {
			r.Header.Set("Last-Event-ID", last)
		}
		q, err := ask(r)
		if err != nil {
			return
		}
		if q.wait < 0 || q.wait > maxWait {
			t.Errorf("waits %s", q.wait)
		}
		values, err := url.ParseQuery(query)
		if err != nil || len(values["from"]) > 1 || len(values["wait"]) > 1 || len(values) > 2 {
			t.Errorf("%q was taken", query)
		}
	})
}

// FuzzDescribe: what parses as a leaf can be told, and says its own bytes.
func FuzzDescribe(f *testing.F) {
	world := ledgertest.Found(7, 1)
	der := world.Device("ACME-0", "acme-cells.example", 0)
	op := ledger.OpLeaf{Tx: 1, Body: ledgertest.Publish(der), Effects: ledger.Effects{Time: 1, Rules: 1}}
	f.Add(op.Encode())
	leaf := uint64(7)
	op.Body = ledgertest.Change(ledger.StatusChange{Action: ledger.Revoke, Scope: ledger.ScopeCertificate, Leaf: &leaf})
	f.Add(op.Encode())
	never := ledger.Millis(1 << 60)
	op.Body, op.Effects.Time = ledgertest.Change(ledger.StatusChange{Action: ledger.Revoke, Scope: ledger.ScopeKey, Invalidity: &never}), never
	f.Add(op.Encode())
	f.Fuzz(func(t *testing.T, raw []byte) {
		e, err := Describe(1, raw)
		if err != nil {
			return
		}
		out, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		var back Event
		if err := json.Unmarshal(out, &back); err != nil || string(back.Entry) != string(raw) || back.Kind == "" {
			t.Errorf("%s does not read back: %v", out, err)
		}
	})
}
