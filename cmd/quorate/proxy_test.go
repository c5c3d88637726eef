package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/quorate-pki/quorate/ca"
	"github.com/quorate-pki/quorate/internal/reason"
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
	leaf0  string // of the last proposal

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
	if name == "status" && r.Method == http.MethodPost {
		return "many statuses"
	}
	if name == "receipts" && words[3] == "0" {
		return "channel"
	}
	return name
}

func newWorld(t *testing.T, members int) *world {
	w := &world{t: t, dir: filepath.Join(t.TempDir(), "q"), serial: 100, seen: map[string]int{}}
	ctx, cancel := context.WithCancel(context.Background())
	out, in := io.Pipe()
	done := make(chan error, 1)
	up := newRoot()
	up.SetArgs([]string{"up", "--dir", w.dir, "--members", fmt.Sprint(members), "--listen", "127.0.0.1:0"})
	up.SetOut(in)
	go func() {
		err := up.ExecuteContext(ctx)
		in.CloseWithError(err)
		done <- err
	}()
	said := bufio.NewReader(out)
	line, err := said.ReadString('\n')
	if err != nil {
		t.Fatalf("quorate up: %v", err)
	}
	go func() { _, _ = io.Copy(io.Discard, said) }() // of the other members
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
	// Whoever leads takes it: from here on there is a leader, and what is busy does not have to be waited for.
	if code, out := cli(append([]string{"submit", "--node", w.node, "--policy", filepath.Join(w.dir, policyName)}, w.line(w.device())...)...); code != exitYes {
		t.Fatalf("quorate submit: exit %d\n%s", code, out)
	}
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
	return cli(append(append(strings.Fields(verb), "--node", node, "--policy", filepath.Join(w.dir, policyName), "--wait", "1ms"), args...)...)
}

func (w *world) key(name string) string { return filepath.Join(w.dir, "orgs", "acme-cells", name) }

func (w *world) admins(cert string) []string {
	return []string{"--signer", w.key("admin-1.key"), "--signer", w.key("admin-2.key"), cert}
}

// handedOn are the arguments by which both sides hand a device on.
func (w *world) handedOn(cert string) []string {
	operator := filepath.Join(w.dir, "orgs", "op-one")
	return append([]string{"--to", "op-one", "--signer", filepath.Join(operator, "admin-1.key"), "--signer", filepath.Join(operator, "admin-2.key")}, w.admins(cert)...)
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

// proposed makes a proposal and returns its leaf; the one before is withdrawn, because a member may have so many only.
func (w *world) proposed() string {
	w.t.Helper()
	signer := []string{"--signer", filepath.Join(w.dir, "orgs", "ca-a", "governance.key")}
	if w.leaf0 != "" {
		w.run(w.node, "gov withdraw", append(signer, w.leaf0)...) // it may be decided
	}
	w.serial++
	file := filepath.Join(w.dir, "proposal.json")
	text := fmt.Sprintf(`{"operations": [{"namespace": {"owner": "op-one", "type": "dns", "value": "n%d.op-one.example"}}]}`, w.serial)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
	out := w.must("gov propose", append(signer, "--title", "a name", file)...)
	w.leaf0 = strings.Fields(out)[2]
	return w.leaf0
}

func (w *world) governor(leaf string) []string {
	return []string{"--signer", filepath.Join(w.dir, "orgs", "ca-a", "governance.key"), leaf}
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

	// holds reports whether what the command says yes to is so at the honest node.
	holds func(*world, string) bool
}

// stands is a verb's holds: quorate status exits so.
func stands(want int) func(*world, string) bool {
	return func(w *world, cert string) bool {
		code, _ := w.run(w.node, "status", cert)
		return code == want
	}
}

// voted is a verb's holds: the proposal is there, and has that vote of ca-a's when there is one to have.
func voted(vote string) func(*world, string) bool {
	return func(w *world, leaf string) bool {
		code, out := w.run(w.node, "gov show", leaf)
		return code == exitYes && strings.Contains(out, vote)
	}
}

// asks reports whether a verb only asks: it may be asked again about the same.
func (v *verb) asks() bool { return v.command == "status" || v.command == "gov show" }

func plain(_ *world, cert string) []string { return []string{cert} }

var verbs = []verb{
	{"submit", "submit", (*world).device, func(w *world, c string) []string { return w.line(c) },
		[]string{"channel", "transactions", "receipts", "many receipts"}, false, stands(exitYes)},
	{"submit again", "submit", (*world).published, func(w *world, c string) []string { return w.line(c) },
		[]string{"channel", "transactions", "receipts", "records", "status"}, false, stands(exitYes)},
	{"status", "status", (*world).published, plain, []string{"certificates", "many receipts", "status"}, false, stands(exitYes)},
	{"status of a list", "status", (*world).published, func(_ *world, c string) []string { return []string{c, c} },
		[]string{"certificates", "many receipts", "many statuses"}, true, stands(exitYes)},
	{"explain", "explain", (*world).published, plain, []string{"explain"}, false, stands(exitYes)},
	{"history", "history", (*world).published, plain, []string{"records", "history"}, false, stands(exitYes)},
	{"transfer", "device transfer", (*world).published, (*world).handedOn,
		[]string{"channel", "records", "receipts", "history", "transactions"}, true, stands(exitYes)},
	{"revoke", "revoke", (*world).published, (*world).admins, []string{"channel", "records", "receipts", "transactions", "status"}, false, stands(exitNo)},
	{"suspend", "suspend", (*world).published, func(w *world, c string) []string { return w.line(c) },
		[]string{"channel", "records", "receipts", "transactions", "status"}, true, stands(exitNo)},
	{"resume", "resume", (*world).suspended, (*world).admins, []string{"channel", "records", "receipts", "transactions", "status"}, true, stands(exitYes)},
	{"gov approve", "gov approve", (*world).proposed, (*world).governor, []string{"channel", "proposals", "records", "receipts", "transactions"}, false,
		voted("ca-a: approve")},
	{"gov show", "gov show", (*world).proposed, plain, []string{"proposals", "records"}, false, voted("")},
}

// TestProxyUnaltered is the control: without alterations every verb says yes through the proxy, and asks for what the
// other tests alter.
func TestProxyUnaltered(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 4)
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

// brokenAnswer is none, or one of another kind.
type brokenAnswer struct {
	name  string
	alter func(*answer)
}

func breaks() []brokenAnswer {
	problem := func(c reason.Code, status int) func(*answer) {
		return func(a *answer) {
			a.status, a.header = status, http.Header{"Content-Type": {"application/problem+json"}}
			a.body = fmt.Appendf(nil, `{"code":%d,"detail":"\u001b[2Jcleared"}`, c)
		}
	}
	return []brokenAnswer{
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
}

// TestProxyBreaksAnswers replaces every kind of answer that a verb needs by none, or by one of another kind.
func TestProxyBreaksAnswers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 4)
	for i, v := range verbs {
		cert := v.prepare(w)
		for j, kind := range v.classes {
			for k, b := range breaks() {
				if testing.Short() && ((v.sampled && (i+j+k)%4 != 0) || (b.name == "huge" && kind != "status")) {
					continue
				}
				if !v.asks() && kind != "channel" {
					cert = v.prepare(w) // the command before may have changed it
				}
				w.through(func(c string, body []byte, a *answer) []byte {
					if c == kind && a != nil {
						b.alter(a)
					}
					return body
				}, func() {
					code, out := w.run(w.proxy, v.command, v.args(w, cert)...)
					// Records that tell of no certificate send a command to ask for it by name, and what it is told then is proved.
					if code == exitYes && (kind != "records" || !v.holds(w, cert)) {
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
	w := newWorld(t, 1)
	told := []string{"transactions", "records", "certificates", "many statuses", "explain", "history", "proposals"} // of many statuses, which
	// proof is whose; of an explanation, a history or a proposal, whatever carries no proof of its own
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
				if !v.asks() && kind != "channel" {
					cert = v.prepare(w)
				}
				w.through(func(c string, body []byte, a *answer) []byte {
					if c == kind && a != nil && len(a.body) > 0 {
						at := (i*len(a.body) + len(a.body)/2) / places
						bit := byte(1) << (i % 7)
						if kind == "many receipts" && at < len(`{"receipts"`) {
							bit = 1 // to Go's decoder a name in JSON is the same in capitals
						}
						a.body[at] ^= bit
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
					if !v.holds(w, cert) {
						t.Errorf("%s, place %d of %d of %s: exit 0, and it is not so\n%s", v.name, i, places, kind, out)
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
	w := newWorld(t, 1)
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
