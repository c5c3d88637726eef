package main

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/api"
)

// ruleOf makes a rule, has it approved, and returns the leaf of its proposal.
func (w *world) ruleOf(profile, text string) string {
	w.t.Helper()
	write := func(name, data string) string {
		path := filepath.Join(w.dir, name)
		if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
			w.t.Fatal(err)
		}
		return path
	}
	write("rule.star", text)
	file := write("rule.json", `{"operations": [{"admission-rule": {"file": "rule.star"`+profile+`}}]}`)
	key := func(m string) string { return w.dir + "/orgs/" + m + "/governance.key" }
	leaf := strings.Fields(w.must("gov propose", "--signer", key("ca-a"), "--title", "a rule", file))[2]
	for _, m := range []string{"ca-a", "ca-b", "ca-c"} {
		w.must("gov approve", "--signer", key(m), leaf)
	}
	return leaf
}

// recordAs rewrites the first record of a page in transit.
func recordAs(change func(key *string, r *ledger.RuleRecord)) func(*answer) {
	return func(a *answer) {
		var page api.Records
		if json.Unmarshal(a.body, &page) != nil || len(page.Records) == 0 {
			return
		}
		var r ledger.RuleRecord
		raw, _ := hex.DecodeString(page.Records[0].Value)
		if ledger.Decode(raw, &r) != nil {
			return
		}
		change(&page.Records[0].Key, &r)
		page.Records[0].Value = hex.EncodeToString(ledger.Encode(r))
		a.body, _ = json.Marshal(page)
	}
}

// TestProxyLiesAboutRules: no text is shown as a rule, and none is asked why it refused, but one that the members approved for these
// certificates.
func TestProxyLiesAboutRules(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 4)
	undecided := w.proposed()
	other := w.ruleOf(`, "profile": "server"`, "def admit(c):\n    return \"no server\"\n")
	w.ruleOf("", "def admit(c):\n    return True if len(c.dns_names) < 2 else \"two names\"\n")
	history := w.rules()
	if len(history) != 2 || history[1].Leaf == 0 {
		t.Fatalf("%d rules", len(history))
	}
	lies := []struct {
		name string
		lie  func(key *string, r *ledger.RuleRecord)
	}{
		{"another text", func(_ *string, r *ledger.RuleRecord) { r.Text = "def admit(c):\n    return True\n" }},
		{"removed", func(_ *string, r *ledger.RuleRecord) { r.Text = "" }},
		{"another's proposal", func(_ *string, r *ledger.RuleRecord) { r.Leaf = history[1].Leaf }},
		{"another's approval", func(_ *string, r *ledger.RuleRecord) { r.Decision = history[1].Decision }},
		{"another's rule", func(_ *string, r *ledger.RuleRecord) { *r = history[1] }},
		{"a vote that decided nothing", func(_ *string, r *ledger.RuleRecord) { r.Decision -= 3 }},
		{"a leaf that is no proposal", func(_ *string, r *ledger.RuleRecord) { r.Leaf = 1 }},
		{"a leaf that does not exist", func(_ *string, r *ledger.RuleRecord) { r.Leaf = 1 << 40 }},
		{"of another profile", func(key *string, _ *ledger.RuleRecord) { *key = "0000000000000001" + (*key)[16:] }},
		{"of an organisation", func(key *string, _ *ledger.RuleRecord) { *key = (*key)[:16] + strings.Repeat("01", 16) + (*key)[48:] }},
		{"of no scope", func(key *string, _ *ledger.RuleRecord) { *key = (*key)[:16] }},
	}
	cert := w.device()
	for _, c := range lies {
		w.through(func(kind string, body []byte, a *answer) []byte {
			if kind == "records" && a != nil {
				recordAs(c.lie)(a)
			}
			return body
		}, func() {
			for _, v := range [][]string{{"rule show"}, {"rule try", filepath.Join(w.dir, "rule.star")}, {"rule why", cert}, {"rule diff", filepath.Join(w.dir, "rule.star")}} {
				if code, out := w.run(w.proxy, v[0], v[1:]...); code != exitNo {
					t.Errorf("%s: %s: exit %d\n%s", c.name, v[0], code, out)
				}
			}
		})
	}
	// Submissions that are tried are those of the log.
	w.must("submit", w.line(cert)...)
	w.through(func(kind string, body []byte, a *answer) []byte {
		if kind == "events" && a != nil {
			a.body = []byte(strings.Replace(string(a.body), `"entry":"g`, `"entry":"h`, 1))
		}
		return body
	}, func() {
		if code, out := w.run(w.proxy, "rule try", filepath.Join(w.dir, "rule.star")); code != exitNo || !strings.Contains(out, "not-trusted") {
			t.Errorf("other submissions: exit %d\n%s", code, out)
		}
	})
	for _, leaf := range []string{undecided, other} {
		if code, out := w.run(w.node, "gov show", leaf); code != exitYes {
			t.Errorf("gov show: exit %d\n%s", code, out)
		}
	}
	if code, out := w.run(w.node, "rule show"); code != exitYes || strings.Count(out, "rule  ") != 2 {
		t.Errorf("the control: exit %d\n%s", code, out)
	}
}

// rules are those that the honest node has.
func (w *world) rules() (out []ledger.RuleRecord) {
	w.t.Helper()
	var page api.Records
	if err := json.Unmarshal(w.get("/v1/main/records/a"), &page); err != nil {
		w.t.Fatal(err)
	}
	for _, rec := range page.Records {
		raw, err := hex.DecodeString(rec.Value)
		var r ledger.RuleRecord
		if err == nil {
			err = ledger.Decode(raw, &r)
		}
		if err != nil {
			w.t.Fatal(err)
		}
		out = append(out, r)
	}
	return out
}
