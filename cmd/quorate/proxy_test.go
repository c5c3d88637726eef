package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/quorate-pki/quorate/ca"
	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/api"
	"github.com/quorate-pki/quorate/ledger/tlog"
)

// These tests stand between the commands and an honest node and alter what passes. No verb may say yes on the word of
// such a node: whatever it says yes to was proved. Where a table says that 0 is right, it says why.

// world is a running consortium, the proxy before it, and what is needed to use it.
type world struct {
	t      *testing.T
	dir    string
	node   string // honest
	proxy  string
	serial int

	mu   sync.Mutex
	hook hook // nil: the proxy alters nothing
	seen map[string]int
}

// answer is what the node said, or what the proxy makes of it.
type answer struct {
	status  int
	header  http.Header
	body    []byte
	dropped bool // the connection is closed without an answer
}

// hook alters an exchange. It is called twice: before with nil, when it may change the request's body, and after with
// the answer.
type hook func(class string, request []byte, a *answer) []byte

// class names what a request asks for.
func class(r *http.Request) string {
	words := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	name := words[len(words)-1]
	if len(words) > 2 {
		name = words[2]
	}
	if name == "receipts" && r.Method == http.MethodPost {
		return "many receipts"
	}
	if name == "receipts" && words[3] == "0" {
		return "channel"
	}
	return name
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, dir: filepath.Join(t.TempDir(), "q"), serial: 100, seen: map[string]int{}}
	ctx, cancel := context.WithCancel(context.Background())
	out, in := io.Pipe()
	done := make(chan error, 1)
	up := newRoot()
	up.SetArgs([]string{"up", "--dir", w.dir, "--members", "1", "--listen", "127.0.0.1:0"})
	up.SetOut(in)
	go func() {
		err := up.ExecuteContext(ctx)
		in.CloseWithError(err)
		done <- err
	}()
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("quorate up: %v", err)
	}
	w.node = strings.Fields(line)[1]
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("quorate up ended with %v", err)
		}
	})
	p := httptest.NewServer(http.HandlerFunc(w.pass))
	t.Cleanup(p.Close)
	w.proxy = p.URL
	return w
}

func (w *world) pass(rw http.ResponseWriter, r *http.Request) {
	kind := class(r)
	body, _ := io.ReadAll(r.Body)
	w.mu.Lock()
	h := w.hook
	w.seen[kind]++
	w.mu.Unlock()
	if h != nil {
		body = h(kind, body, nil)
	}
	req, err := http.NewRequestWithContext(r.Context(), r.Method, w.node+r.URL.RequestURI(), bytes.NewReader(body))
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	req.Header = r.Header
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	defer resp.Body.Close()
	a := &answer{status: resp.StatusCode, header: http.Header{"Content-Type": resp.Header["Content-Type"]}}
	a.body, _ = io.ReadAll(resp.Body)
	if h != nil {
		h(kind, body, a)
	}
	if a.dropped {
		panic(http.ErrAbortHandler)
	}
	for k, v := range a.header {
		rw.Header()[k] = v
	}
	rw.WriteHeader(a.status)
	_, _ = rw.Write(a.body)
}

// through runs f with the proxy altering.
func (w *world) through(h hook, f func()) {
	w.mu.Lock()
	w.hook, w.seen = h, map[string]int{}
	w.mu.Unlock()
	f()
	w.mu.Lock()
	w.hook = nil
	w.mu.Unlock()
}

// cli runs a command in this process.
func cli(args ...string) (int, string) {
	var out bytes.Buffer
	root := newRoot()
	root.SetArgs(args)
	root.SetOut(&out)
	root.SetErr(&out)
	err := root.ExecuteContext(context.Background())
	if err == nil {
		return exitYes, out.String()
	}
	code, _ := exitCode(err)
	return code, out.String() + message(err)
}

// must runs a command at the honest node, which must say yes.
func (w *world) must(verb string, args ...string) string {
	w.t.Helper()
	code, out := w.run(w.node, verb, args...)
	if code != exitYes {
		w.t.Fatalf("quorate %s %v: exit %d\n%s", verb, args, code, out)
	}
	return out
}

func (w *world) run(node, verb string, args ...string) (int, string) {
	return cli(append([]string{verb, "--node", node, "--policy", filepath.Join(w.dir, policyName), "--wait", "1ms"}, args...)...)
}

func (w *world) key(name string) string { return filepath.Join(w.dir, "orgs", "acme-cells", name) }

func (w *world) admins(cert string) []string {
	return []string{"--signer", w.key("admin-1.key"), "--signer", w.key("admin-2.key"), cert}
}

func (w *world) line(certs ...string) []string {
	return append([]string{"--signer", w.key("line.key")}, certs...)
}

// device makes a certificate that nobody has seen.
func (w *world) device() string { return w.deviceOf("ACME") }

func (w *world) deviceOf(prefix string) string {
	w.t.Helper()
	w.serial++
	der, err := selfIssued(fmt.Sprintf("%s-%d", prefix, w.serial))
	if err != nil {
		w.t.Fatal(err)
	}
	path := filepath.Join(w.dir, fmt.Sprintf("cert-%d.pem", w.serial))
	if err := ca.WriteCertificate(path, der); err != nil {
		w.t.Fatal(err)
	}
	return path
}

func (w *world) published() string {
	w.t.Helper()
	cert := w.device()
	w.must("submit", w.line(cert)...)
	return cert
}

func (w *world) suspended() string {
	w.t.Helper()
	cert := w.published()
	w.must("suspend", w.line(cert)...)
	return cert
}

// leaf reads the leaf of a published certificate out of its receipt.
func (w *world) leaf(cert string) uint64 {
	w.t.Helper()
	raw, err := os.ReadFile(cert + ".tlog-proof")
	if err != nil {
		w.t.Fatal(err)
	}
	p, err := tlog.ParseProof(raw)
	if err != nil {
		w.t.Fatal(err)
	}
	return p.Index
}

// get asks the honest node.
func (w *world) get(format string, args ...any) []byte {
	w.t.Helper()
	resp, err := http.Get(w.node + fmt.Sprintf(format, args...))
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		w.t.Fatalf("%s: %s %v", fmt.Sprintf(format, args...), resp.Status, err)
	}
	return data
}

// verb is one use of a command: prepare makes a certificate in the state it needs, args are its arguments.
type verb struct {
	name    string
	command string
	prepare func(*world) string
	args    func(*world, string) []string
	classes []string // what it asks the node for

	sampled bool // the same code as another verb: -short takes a sample
}

func plain(_ *world, cert string) []string { return []string{cert} }

var verbs = []verb{
	{"submit", "submit", (*world).device, func(w *world, c string) []string { return w.line(c) },
		[]string{"channel", "transactions", "receipts", "many receipts"}, false},
	{"submit again", "submit", (*world).published, func(w *world, c string) []string { return w.line(c) },
		[]string{"channel", "transactions", "receipts", "records", "status"}, false},
	{"status", "status", (*world).published, plain, []string{"records", "receipts", "status"}, false},
	{"explain", "explain", (*world).published, plain, []string{"explain"}, false},
	{"revoke", "revoke", (*world).published, (*world).admins, []string{"channel", "records", "receipts", "transactions", "status"}, false},
	{"suspend", "suspend", (*world).published, func(w *world, c string) []string { return w.line(c) },
		[]string{"channel", "records", "receipts", "transactions", "status"}, true},
	{"resume", "resume", (*world).suspended, (*world).admins, []string{"channel", "records", "receipts", "transactions", "status"}, true},
}

// TestProxyUnaltered is the control: without alterations every verb says yes through the proxy, and asks for what the
// other tests alter.
func TestProxyUnaltered(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, v := range verbs {
		cert := v.prepare(w)
		w.through(nil, func() {
			if code, out := w.run(w.proxy, v.command, v.args(w, cert)...); code != exitYes {
				t.Errorf("%s: exit %d\n%s", v.name, code, out)
			}
		})
		for _, c := range v.classes {
			if w.seen[c] == 0 {
				t.Errorf("%s asks for no %s: %v", v.name, c, w.seen)
			}
		}
		if len(w.seen) != len(v.classes) {
			t.Errorf("%s asks for more than its table says: %v", v.name, w.seen)
		}
	}
}

// TestProxyBreaksAnswers replaces every kind of answer that a verb needs by none, or by one of another kind.
func TestProxyBreaksAnswers(t *testing.T) {
	t.Parallel()
	problem := func(c reason.Code, status int) func(*answer) {
		return func(a *answer) {
			a.status, a.header = status, http.Header{"Content-Type": {"application/problem+json"}}
			a.body = fmt.Appendf(nil, `{"code":%d,"detail":"\u001b[2Jcleared"}`, c)
		}
	}
	breaks := []struct {
		name  string
		alter func(*answer)
	}{
		{"dropped", func(a *answer) { a.dropped = true }},
		{"empty", func(a *answer) { a.body = nil }},
		{"truncated", func(a *answer) { a.body = a.body[:len(a.body)/2] }},
		{"shorter than announced", func(a *answer) { a.header.Set("Content-Length", fmt.Sprint(len(a.body)+1)) }},
		{"HTML", func(a *answer) { a.body = []byte("<html><body>Please sign in to the Wi-Fi</body></html>") }},
		{"JSON of another kind", func(a *answer) { a.body = []byte(`{}`) }},
		{"null", func(a *answer) { a.body = []byte(`null`) }},
		{"500", func(a *answer) { a.status, a.body = 500, []byte("oops") }},
		{"not found", problem(reason.NotFound, 404)},
		{"busy", problem(reason.Busy, 503)},
		{"timeout", problem(reason.Timeout, 202)},
		{"an error that says accepted", problem(reason.Accepted, 422)},
		{"an error that says already published", problem(reason.AlreadyPublished, 422)},
		{"an error that says status not checked", problem(reason.StatusNotChecked, 422)},
		{"redirected to nowhere", func(a *answer) { a.status = 302; a.header.Set("Location", "http://127.0.0.1:1/") }},
		{"huge", func(a *answer) { a.body = bytes.Repeat([]byte(" "), 33<<20) }},
	}
	w := newWorld(t)
	for i, v := range verbs {
		cert := v.prepare(w)
		for j, kind := range v.classes {
			for k, b := range breaks {
				if testing.Short() && ((v.sampled && (i+j+k)%4 != 0) || (b.name == "huge" && kind != "status")) {
					continue
				}
				if v.command != "status" && kind != "channel" && kind != "records" {
					cert = v.prepare(w) // the command before may have changed it
				}
				w.through(func(c string, body []byte, a *answer) []byte {
					if c == kind && a != nil {
						b.alter(a)
					}
					return body
				}, func() {
					code, out := w.run(w.proxy, v.command, v.args(w, cert)...)
					if code == exitYes {
						t.Errorf("%s, %s %s: exit 0\n%s", v.name, kind, b.name, out)
					}
					if strings.Contains(out, "\x1b") {
						t.Errorf("%s, %s %s: the node's control characters reach the terminal", v.name, kind, b.name)
					}
				})
			}
		}
	}
}

// TestProxyFlipsBits changes one bit at many places of every kind of answer. A proof with a bit changed is no proof.
// What is told (a transaction's result, a key's record) only points at what is then proved: there 0 is right when
// the change was in what nobody reads, such as the block's height or the number of another certificate, and the
// certificate's state at the honest node is then what the command said.
func TestProxyFlipsBits(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	told := []string{"transactions", "records", "explain"} // of an explanation: whatever carries no proof of its own
	state := map[string]int{"submit": exitYes, "submit again": exitYes, "status": exitYes, "explain": exitYes, "revoke": exitNo, "suspend": exitNo, "resume": exitYes}
	for _, v := range verbs {
		for _, kind := range v.classes {
			places, n := 6, 0
			if v.command == "status" {
				places = 60
			}
			if v.sampled {
				places = 2
			}
			if !testing.Short() {
				places *= 20
			}
			cert := v.prepare(w)
			for i := range places {
				if v.command != "status" && kind != "channel" {
					cert = v.prepare(w)
				}
				w.through(func(c string, body []byte, a *answer) []byte {
					if c == kind && a != nil && len(a.body) > 0 {
						at := (i*len(a.body) + len(a.body)/2) / places
						a.body[at] ^= 1 << (i % 7)
						n++
					}
					return body
				}, func() {
					code, out := w.run(w.proxy, v.command, v.args(w, cert)...)
					if code != exitYes {
						return
					}
					if !slices.Contains(told, kind) {
						t.Errorf("%s, place %d of %d of %s: exit 0\n%s", v.name, i, places, kind, out)
					}
					if is, _ := w.run(w.node, "status", cert); is != state[v.name] {
						t.Errorf("%s, place %d of %d of %s: exit 0, yet the status is exit %d\n%s", v.name, i, places, kind, is, out)
					}
				})
			}
			if n == 0 {
				t.Errorf("%s: nothing of %s was altered", v.name, kind)
			}
		}
	}
}

// TestProxyFlipsRequests changes one bit of what the commands send: the certificate, its profile, the change.
func TestProxyFlipsRequests(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, v := range verbs {
		if !slices.Contains(v.classes, "transactions") {
			continue
		}
		for i := range 12 {
			cert := v.prepare(w)
			w.through(func(c string, body []byte, a *answer) []byte {
				if c == "transactions" && a == nil {
					body[(i*len(body)+len(body)/2)/12] ^= 1 << (i % 8)
				}
				return body
			}, func() {
				if code, out := w.run(w.proxy, v.command, v.args(w, cert)...); code != exitNo {
					t.Errorf("%s, place %d of 12 of the request: exit %d\n%s", v.name, i, code, out)
				}
			})
		}
	}
}

// tellAs rewrites a result in transit.
func tellAs(change func(r *api.Result)) func(*answer) {
	return func(a *answer) {
		var r api.Result
		if json.Unmarshal(a.body, &r) != nil {
			return
		}
		change(&r)
		a.body, _ = json.Marshal(r)
	}
}

// pointTo makes a key's record name another leaf.
func pointTo(leaf uint64) func(*answer) {
	return func(a *answer) {
		var page api.Records
		if json.Unmarshal(a.body, &page) != nil || len(page.Records) == 0 {
			return
		}
		var k ledger.KeyRecord
		raw := make([]byte, len(page.Records[0].Value)/2)
		fmt.Sscanf(page.Records[0].Value, "%x", &raw)
		if ledger.Decode(raw, &k) != nil {
			return
		}
		for i := range k.Certificates {
			k.Certificates[i].Leaf = leaf
		}
		page.Records[0].Value = fmt.Sprintf("%x", ledger.Encode(k))
		a.body, _ = json.Marshal(page)
	}
}

// rewriteStatus changes the extra data of a status proof and leaves its note and path as they are.
func rewriteStatus(change func(p *tlog.Proof, x *ledger.StatusExtra)) func(*answer) {
	return func(a *answer) {
		p, err := tlog.ParseProof(a.body)
		if err != nil {
			return
		}
		x, err := ledger.ParseStatusExtra(p.Extra)
		if err != nil {
			return
		}
		change(p, x)
		p.Extra = ledger.Encode(x)
		a.body = p.Format()
	}
}

func body(raw []byte) func(*answer) { return func(a *answer) { a.status, a.body = http.StatusOK, raw } }

// each applies alterations by the kind of answer.
func each(alter map[string]func(*answer)) hook {
	return func(c string, body []byte, a *answer) []byte {
		if f := alter[c]; f != nil && a != nil {
			f(a)
		}
		return body
	}
}

// expect runs a verb through an altering proxy.
func (w *world) expect(name string, h hook, want []int, verb string, args ...string) string {
	w.t.Helper()
	var code int
	var out string
	w.through(h, func() { code, out = w.run(w.proxy, verb, args...) })
	if !slices.Contains(want, code) {
		w.t.Errorf("%s: exit %d, not %v\n%s", name, code, want, out)
	}
	return out
}

var (
	no       = []int{exitNo}
	notKnown = []int{exitUnknown}
)

func TestProxyLiesToSubmit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	accepted := func(leaf uint64) func(*answer) {
		return tellAs(func(r *api.Result) {
			for i := range r.Verdicts {
				r.Verdicts[i] = api.Verdict{Leaf: &leaf}
			}
		})
	}

	other := w.published()
	foreign := w.deviceOf("OTHER")
	w.expect("refused, told accepted at another's leaf", each(map[string]func(*answer){"transactions": accepted(w.leaf(other))}), no,
		"submit", w.line(foreign)...)
	if _, err := os.Stat(foreign + ".tlog-proof"); err == nil {
		t.Error("a receipt was written for a certificate that was refused")
	}
	w.expect("accepted, told refused", each(map[string]func(*answer){"transactions": tellAs(func(r *api.Result) {
		r.Verdicts[0] = api.Verdict{Code: reason.NameNotOwned}
	})}), no, "submit", w.line(w.device())...)
	w.expect("accepted, told at the next leaf", each(map[string]func(*answer){"transactions": tellAs(func(r *api.Result) {
		*r.Verdicts[0].Leaf++
	})}), no, "submit", w.line(w.device())...)
	w.expect("accepted, told as already published", each(map[string]func(*answer){"transactions": tellAs(func(r *api.Result) {
		r.Verdicts[0].Code = reason.AlreadyPublished
	})}), no, "submit", w.line(w.device())...)
	w.expect("one verdict more", each(map[string]func(*answer){"transactions": tellAs(func(r *api.Result) {
		r.Verdicts = append(r.Verdicts, r.Verdicts[0])
	})}), no, "submit", w.line(w.device())...)
	w.expect("the transaction at another leaf", each(map[string]func(*answer){"transactions": tellAs(func(r *api.Result) {
		r.Leaf--
	})}), no, "submit", w.line(w.device())...)
	w.expect("another transaction's leaf", each(map[string]func(*answer){
		"transactions": tellAs(func(r *api.Result) { r.Leaf, *r.Verdicts[0].Leaf = w.leaf(other)-1, w.leaf(other) }),
		"receipts":     body(w.get("/v1/main/receipts/%d", w.leaf(other)-1)),
	}), no, "submit", w.line(w.device())...)
	w.expect("another transaction's result", each(map[string]func(*answer){"transactions": tellAs(func(r *api.Result) {
		r.ID = strings.Repeat("00", 32)
	})}), no, "submit", w.line(w.device())...)

	w.expect("two receipts swapped", each(map[string]func(*answer){"many receipts": func(a *answer) {
		var r api.Receipts
		if json.Unmarshal(a.body, &r) == nil && len(r.Receipts) == 2 {
			r.Receipts[0], r.Receipts[1] = r.Receipts[1], r.Receipts[0]
		}
		a.body, _ = json.Marshal(r)
	}}), no, "submit", w.line(w.device(), w.device())...)
	w.expect("another certificate's receipt", each(map[string]func(*answer){"many receipts": func(a *answer) {
		a.body, _ = json.Marshal(api.Receipts{Receipts: []string{string(w.get("/v1/main/receipts/%d", w.leaf(other)))}})
	}}), no, "submit", w.line(w.device())...)

	// A certificate that was published and revoked since: neither "published" nor "already published, good".
	gone := w.published()
	goodThen := w.get("/v1/main/status/%d", w.leaf(gone))
	w.must("revoke", w.admins(gone)...)
	w.expect("revoked, told accepted at its old leaf", each(map[string]func(*answer){"transactions": accepted(w.leaf(gone))}), no,
		"submit", w.line(gone)...)
	w.expect("revoked, told the transaction that once published it", each(map[string]func(*answer){"transactions": tellAs(func(r *api.Result) {
		leaf := w.leaf(gone)
		r.Leaf, r.Verdicts[0] = leaf-1, api.Verdict{Leaf: &leaf}
	})}), no, "submit", w.line(gone)...)
	w.expect("revoked, with an old proof that it is good", each(map[string]func(*answer){"status": body(goodThen)}), notKnown,
		"submit", w.line(gone)...)
	w.expect("published, told at another's leaf", each(map[string]func(*answer){"records": pointTo(w.leaf(gone))}), no,
		"submit", w.line(other)...)

	// A log that is not this channel's.
	stranger := newWorld(t)
	w.expect("another consortium's founding", each(map[string]func(*answer){"channel": body(stranger.get("/v1/main/receipts/0"))}), no,
		"submit", w.line(w.device())...)
	w.expect("another leaf as the founding", each(map[string]func(*answer){"channel": body(w.get("/v1/main/receipts/%d", w.leaf(other)-1))}), no,
		"submit", w.line(w.device())...)
	if w.seen["transactions"] != 0 {
		t.Error("a transaction was signed for a channel that was not proved")
	}

	// Spaces between JSON's words mean nothing: 0 is right.
	w.expect("JSON with other spaces", each(map[string]func(*answer){
		"transactions":  func(a *answer) { a.body = bytes.ReplaceAll(a.body, []byte(`,"`), []byte(",\n \"")) },
		"many receipts": func(a *answer) { a.body = append([]byte(" "), a.body...) },
	}), []int{exitYes}, "submit", w.line(w.device())...)
	// The word for a code is for people, the code is what counts: 0 is right.
	w.expect("another word for the code", each(map[string]func(*answer){"transactions": tellAs(func(r *api.Result) {
		r.Verdicts[0].Reason, r.Height = "splendid", 7
	})}), []int{exitYes}, "submit", w.line(w.device())...)
}

func TestProxyLiesAboutStatus(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.published(), w.published()
	goodReceipt, goodStatus := w.get("/v1/main/receipts/%d", w.leaf(a)), w.get("/v1/main/status/%d", w.leaf(a))
	w.must("suspend", w.line(a)...)
	suspendedStatus := w.get("/v1/main/status/%d", w.leaf(a))
	w.must("resume", w.admins(a)...)
	resumedStatus := w.get("/v1/main/status/%d", w.leaf(a))
	w.must("revoke", w.admins(b)...)
	revokedB := w.get("/v1/main/status/%d", w.leaf(b))

	w.expect("another certificate's revocation", each(map[string]func(*answer){"status": body(revokedB)}), no, "status", a)
	w.expect("its own old suspension", each(map[string]func(*answer){"status": body(suspendedStatus)}), notKnown, "status", a)
	w.expect("good again, without saying why", each(map[string]func(*answer){"status": rewriteStatus(func(_ *tlog.Proof, x *ledger.StatusExtra) {
		x.Cause = nil // the chunk proves good; how often it was not before is news, not status: 0 is right
	})}), []int{exitYes}, "status", a)

	w.must("revoke", w.admins(a)...)
	w.expect("an old proof beside a new receipt", each(map[string]func(*answer){"status": body(goodStatus)}), notKnown, "status", a)
	w.expect("a newer old proof beside a new receipt", each(map[string]func(*answer){"status": body(resumedStatus)}), notKnown, "status", a)
	w.expect("an old proof under the newest checkpoint", each(map[string]func(*answer){"status": func(x *answer) {
		now, err := tlog.ParseProof(x.body)
		if err != nil {
			return
		}
		old, err := tlog.ParseProof(goodStatus)
		if err != nil {
			return
		}
		old.Note = now.Note
		x.body = old.Format()
	}}), no, "status", a)
	w.expect("the old epoch, proved under the newest checkpoint", each(map[string]func(*answer){"status": rewriteStatus(func(p *tlog.Proof, x *ledger.StatusExtra) {
		old, err := tlog.ParseProof(goodStatus)
		if err != nil {
			return
		}
		receipt, err := tlog.ParseProof(w.get("/v1/main/receipts/%d", old.Index))
		if err != nil {
			return
		}
		was, err := ledger.ParseStatusExtra(old.Extra)
		if err != nil {
			return
		}
		*x = *was
		p.Index, p.Path, p.Note = receipt.Index, receipt.Path, receipt.Note
	})}), no, "status", a)
	w.expect("the bits set to good", each(map[string]func(*answer){"status": rewriteStatus(func(_ *tlog.Proof, x *ledger.StatusExtra) {
		c := ledger.Chunk(x.Chunk)
		c.Set(w.leaf(a), ledger.Good)
		x.Chunk, x.Cause = c[:], nil
	})}), no, "status", a)
	w.expect("the chunk said to be another", each(map[string]func(*answer){"status": rewriteStatus(func(_ *tlog.Proof, x *ledger.StatusExtra) {
		x.Number++
	})}), no, "status", a)
	w.expect("the cause left out", each(map[string]func(*answer){"status": rewriteStatus(func(_ *tlog.Proof, x *ledger.StatusExtra) {
		x.Cause = nil
	})}), no, "status", a)
	c := w.published()
	w.expect("the leaf of a good certificate", each(map[string]func(*answer){"records": pointTo(w.leaf(c))}), no, "status", a)
	w.expect("the receipt of a good certificate", each(map[string]func(*answer){"records": pointTo(w.leaf(c)), "receipts": body(w.get("/v1/main/receipts/%d", w.leaf(c)))}), no, "status", a)
	w.expect("no record", each(map[string]func(*answer){"records": body([]byte(`{"records":[],"more":false}`))}), notKnown, "status", a)
	w.expect("records without end", each(map[string]func(*answer){"records": body([]byte(`{"records":[{"key":"00","value":""}],"more":true}`))}), no, "status", a)

	// Chunks hold 1,024 leaves: the proof for a good neighbour is the same bytes, so 0 is right.
	d := w.published()
	w.expect("a good neighbour's proof", each(map[string]func(*answer){"status": body(w.get("/v1/main/status/%d", w.leaf(c)))}), []int{exitYes}, "status", d)

	// A whole answer that was true some time ago cannot be told from the newest: only its age is proved, and it is
	// printed. That is what --max-age is for; the members renew the time every 30 seconds.
	replay := each(map[string]func(*answer){"status": body(goodStatus), "receipts": body(goodReceipt)})
	out := w.expect("all of it from before the revocation", replay, []int{exitYes}, "status", a)
	if !regexp.MustCompile(`status     good as of 20`).MatchString(out) {
		t.Errorf("no time is said:\n%s", out)
	}
	w.expect("all of it old, and too old", replay, notKnown, "status", "--max-age", "0s", a)
}

func TestProxyLiesAboutChanges(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	accepted := tellAs(func(r *api.Result) {
		leaf := r.Leaf + 1
		r.Verdicts[0] = api.Verdict{Leaf: &leaf}
	})

	cert := w.published()
	goodThen := w.get("/v1/main/status/%d", w.leaf(cert))
	w.expect("refused, told accepted", each(map[string]func(*answer){"transactions": accepted}), no,
		"revoke", "--signer", w.key("admin-1.key"), cert)
	w.expect("refused, told accepted, with the old good", each(map[string]func(*answer){"transactions": accepted, "status": body(goodThen)}), no,
		"resume", w.admins(cert)...)
	w.expect("accepted, told refused", each(map[string]func(*answer){"transactions": tellAs(func(r *api.Result) {
		r.Verdicts[0] = api.Verdict{Code: reason.NotAuthorised}
	})}), no, "suspend", w.line(cert)...)
	suspendedThen := w.get("/v1/main/status/%d", w.leaf(cert))
	w.expect("refused, told accepted, truly suspended before", each(map[string]func(*answer){"transactions": accepted}), no,
		"suspend", w.line(cert)...)

	// The change was made, and an old proof hides it.
	w.expect("resumed, with an old proof that it is good", each(map[string]func(*answer){"status": body(goodThen)}), notKnown, "resume", w.admins(cert)...)
	w.expect("suspended again, with the proof of the first time", each(map[string]func(*answer){"status": body(suspendedThen)}), notKnown, "suspend", w.line(cert)...)
	w.expect("revoked, with the old good", each(map[string]func(*answer){"status": body(goodThen)}), notKnown, "revoke", w.admins(cert)...)

	// The change never reached the ledger: the proxy answers with what it saw of an older one.
	for _, action := range []string{"revoke", "suspend", "resume"} {
		first := w.suspended()
		if action == "suspend" {
			w.must("resume", w.admins(first)...)
		}
		var result []byte
		w.through(func(c string, body []byte, a *answer) []byte {
			if c == "transactions" && a != nil {
				result = a.body
			}
			return body
		}, func() {
			if code, out := w.run(w.proxy, action, w.admins(first)...); code != exitYes {
				t.Fatalf("%s: exit %d\n%s", action, code, out)
			}
		})
		second := w.suspended()
		if action == "suspend" {
			w.must("resume", w.admins(second)...)
		}
		before := w.get("/v1/main/")
		swallow := func(c string, body []byte, a *answer) []byte {
			if c != "transactions" {
				return body
			}
			if a == nil {
				if p, err := ledger.ParseSubmission(body, ledger.ForLedger); err == nil {
					result = regexp.MustCompile(`"id":"[0-9a-f]+"`).ReplaceAll(result, fmt.Appendf(nil, `"id":"%x"`, p.ID))
				}
				return []byte("nothing")
			}
			a.status, a.header, a.body = http.StatusOK, http.Header{"Content-Type": {"application/json"}}, result
			return body
		}
		w.expect(action+" swallowed", swallow, no, action, w.admins(second)...)
		if !bytes.Equal(w.get("/v1/main/"), before) {
			t.Errorf("%s reached the ledger; this test shows nothing", action)
		}
	}

	// The certificate is not the one that is meant.
	x, y := w.published(), w.published()
	w.expect("pointed at another certificate", each(map[string]func(*answer){"records": pointTo(w.leaf(y))}), no, "revoke", w.admins(x)...)
	w.expect("pointed at another certificate, with its receipt", each(map[string]func(*answer){"records": pointTo(w.leaf(y)),
		"receipts": body(w.get("/v1/main/receipts/%d", w.leaf(y)))}), no, "revoke", w.admins(x)...)
	w.must("status", x)
	w.must("status", y)
	w.expect("said to be unknown", each(map[string]func(*answer){"records": body([]byte(`{"records":[],"more":false}`))}), notKnown, "revoke", w.admins(x)...)
}

// TestChangedMeanwhile: between a change and the proof of it, somebody else makes another one.
func TestChangedMeanwhile(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	meanwhile := func(verb string, args ...string) hook {
		return func(c string, body []byte, a *answer) []byte {
			if c == "status" && a == nil {
				w.must(verb, args...)
			}
			return body
		}
	}
	cert := w.published()
	w.expect("suspended, and resumed by the owner at once", meanwhile("resume", w.admins(cert)...), no, "suspend", w.line(cert)...)
	w.expect("suspended, and suspended by the owner too", meanwhile("suspend", w.admins(cert)...), []int{exitYes}, "suspend", w.line(cert)...)
	w.expect("resumed, and revoked", meanwhile("revoke", w.admins(cert)...), no, "resume", w.admins(cert)...)
}

// TestDryRunCannotBeSubmitted: who sees a dry run pass has nothing that a ledger takes.
func TestDryRunCannotBeSubmitted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	cert := w.device()
	var seen []byte
	w.expect("dry run", func(c string, body []byte, a *answer) []byte {
		if c == "judge" {
			seen = body
		}
		return body
	}, []int{exitYes}, "submit", append([]string{"--dry-run"}, w.line(cert)...)...)
	if len(seen) == 0 {
		t.Fatal("no dry run was seen")
	}
	resp, err := http.Post(w.node+"/v1/main/transactions", "application/cbor", bytes.NewReader(seen))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusForbidden {
		t.Errorf("the ledger answers a replayed dry run with %s", resp.Status)
	}
	if code, _ := w.run(w.node, "status", cert); code != exitUnknown {
		t.Errorf("after a dry run the certificate's status is exit %d", code)
	}
	// What a dry run says is a forecast by one node, told and not proved; a node that lies about it is found out when
	// the certificate is submitted. So 0 is what the node makes of it.
	w.expect("dry run, told good", each(map[string]func(*answer){"judge": tellAs(func(r *api.Result) { r.Verdicts[0].Code = reason.Accepted })}),
		[]int{exitYes}, "submit", append([]string{"--dry-run"}, w.line(w.deviceOf("OTHER"))...)...)
}
