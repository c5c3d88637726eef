package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/quorate-pki/quorate/ca"
	"github.com/quorate-pki/quorate/ca/profile"
	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/api"
	"github.com/quorate-pki/quorate/ledger/tlog"
)

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

// placeAt says that the one certificate asked for is at another leaf.
func placeAt(leaf uint64) func(*answer) { return body(fmt.Appendf(nil, `{"leaves":[%d]}`, leaf)) }

// oneReceipt answers with one receipt where many could be asked for.
func oneReceipt(raw []byte) func(*answer) {
	return func(a *answer) { a.body, _ = json.Marshal(api.Receipts{Receipts: []string{string(raw)}}) }
}

// name is how a certificate in a file is asked for.
func (w *world) name(cert string) ledger.CertificateName {
	w.t.Helper()
	der, err := ca.ReadCertificate(cert)
	if err != nil {
		w.t.Fatal(err)
	}
	c, err := profile.Parse(der)
	if err != nil {
		w.t.Fatal(err)
	}
	return ledger.CertificateName{Key: ledger.Sum(c.SPKI), Certificate: ledger.Sum(der)}
}

// absence is what the honest node says of a certificate that is not published.
func (w *world) absence(cert string) []byte {
	w.t.Helper()
	q, err := json.Marshal(api.Certificates{Certificates: []api.CertificateName{api.Name(w.name(cert))}})
	if err != nil {
		w.t.Fatal(err)
	}
	resp, err := http.Post(w.node+"/v1/main/certificates", "application/json", bytes.NewReader(q))
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		w.t.Fatal(resp.Status, string(raw), err)
	}
	return raw
}

// pointTo makes the records say that a certificate is published at another leaf.
func (w *world) pointTo(cert string, leaf uint64) func(*answer) {
	name := w.name(cert)
	return func(a *answer) {
		var page api.Records
		if json.Unmarshal(a.body, &page) != nil || len(page.Records) == 0 {
			return
		}
		var p ledger.PublicationRecord
		raw := make([]byte, len(page.Records[0].Value)/2)
		fmt.Sscanf(page.Records[0].Value, "%x", &raw)
		if ledger.Decode(raw, &p) == nil {
			p.Key, p.DER = name.Key, name.Certificate
			raw = ledger.Encode(p)
		} else { // the key's
			k := ledger.KeyRecord{Certificates: []ledger.CertificateInfo{{Leaf: leaf, Standing: ledger.Standing{Status: ledger.Good, Cause: leaf}}}}
			raw = k.Encode()
		}
		page.Records[0].Value = fmt.Sprintf("%x", raw)
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
	w := newWorld(t, 1)
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
	w.expect("published, told at another's leaf", each(map[string]func(*answer){"records": w.pointTo(other, w.leaf(gone))}), no,
		"submit", w.line(other)...)

	// A log that is not this channel's.
	stranger := newWorld(t, 1)
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
	w := newWorld(t, 1)
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
	w.expect("the leaf of a good certificate", each(map[string]func(*answer){"certificates": placeAt(w.leaf(c))}), no, "status", a)
	w.expect("the receipt of a good certificate", each(map[string]func(*answer){"certificates": placeAt(w.leaf(c)), "many receipts": oneReceipt(w.get("/v1/main/receipts/%d", w.leaf(c)))}), no, "status", a)
	w.expect("unknown, and nobody's word for it", each(map[string]func(*answer){"certificates": body([]byte(`{"leaves":[null]}`))}), notKnown, "status", a)
	w.expect("unknown, by the word for another", each(map[string]func(*answer){"certificates": body(w.absence(w.device()))}), notKnown, "status", a)
	w.expect("more places than asked for", each(map[string]func(*answer){"certificates": body([]byte(`{"leaves":[1,2]}`))}), no, "status", a)

	// Chunks hold 1,024 leaves: the proof for a good neighbour is the same bytes, so 0 is right.
	d := w.published()
	w.expect("a good neighbour's proof", each(map[string]func(*answer){"status": body(w.get("/v1/main/status/%d", w.leaf(c)))}), []int{exitYes}, "status", d)

	// A whole answer that was true some time ago cannot be told from the newest: only its age is proved, and it is
	// printed. That is what --max-age is for; the members renew the time every 30 seconds.
	replay := each(map[string]func(*answer){"status": body(goodStatus), "many receipts": oneReceipt(goodReceipt)})
	out := w.expect("all of it from before the revocation", replay, []int{exitYes}, "status", a)
	if !regexp.MustCompile(`status     good as of 20`).MatchString(out) {
		t.Errorf("no time is said:\n%s", out)
	}
	w.expect("all of it old, and too old", replay, notKnown, "status", "--max-age", "0s", a)
}

func TestProxyLiesAboutChanges(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
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
	w.expect("pointed at another certificate", each(map[string]func(*answer){"records": w.pointTo(x, w.leaf(y))}), no, "revoke", w.admins(x)...)
	w.expect("pointed at another certificate, with its receipt", each(map[string]func(*answer){"records": w.pointTo(x, w.leaf(y)),
		"receipts": body(w.get("/v1/main/receipts/%d", w.leaf(y)))}), no, "revoke", w.admins(x)...)
	w.must("status", x)
	w.must("status", y)
	none := body([]byte(`{"records":[],"more":false}`))
	w.expect("said to be unknown, and nobody's word for it", each(map[string]func(*answer){"records": none, "certificates": body([]byte(`{"leaves":[null]}`))}), notKnown,
		"revoke", w.admins(x)...)
	w.must("status", x)
	w.expect("said to be unknown, and elsewhere to be there", each(map[string]func(*answer){"records": none}), []int{exitYes}, "revoke", w.admins(x)...)
}

// TestChangedMeanwhile: between a change and the proof of it, somebody else makes another one.
func TestChangedMeanwhile(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
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
	w := newWorld(t, 1)
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
