package online_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/ledgertest"
	"github.com/quorate-pki/quorate/ocsp"
	"github.com/quorate-pki/quorate/verify/online"
)

func newClient(t *testing.T, s *site, nodes ...string) *online.Client {
	t.Helper()
	c, err := online.New(online.Config{Nodes: nodes, Policy: s.Policy(), MaxAge: time.Hour, Now: s.clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func slug(err error) string {
	if err == nil {
		return "good"
	}
	if code, ok := reason.CodeOf(err); ok {
		return code.String()
	}
	return err.Error()
}

// told changes what a member's source says.
type told struct {
	ocsp.Source
	status func(ocsp.Standing) ocsp.Standing
	proofs func(ocsp.Proofs) ocsp.Proofs
}

func (s told) Status(ctx context.Context, id ocsp.CertID) (ocsp.Standing, error) {
	st, err := s.Source.Status(ctx, id)
	if s.status != nil {
		st = s.status(st)
	}
	return st, err
}

func (s told) Proofs(ctx context.Context, leaf uint64) (ocsp.Proofs, error) {
	p, err := s.Source.Proofs(ctx, leaf)
	if s.proofs != nil {
		p = s.proofs(p)
	}
	return p, err
}

func says(state ocsp.State) func(ocsp.Standing) ocsp.Standing {
	return func(s ocsp.Standing) ocsp.Standing {
		s.State, s.Known, s.At = state, true, ledgertest.Start
		return s
	}
}

// TestCheck asks a real member, and responders that lie in every way, alone and beside it.
func TestCheck(t *testing.T) {
	s := newSite()
	defer s.stop()
	der, derLeaf := s.publish("ACME-1")
	other, otherLeaf := s.publish("ACME-2")
	revoked, leaf := s.publish("ACME-3")
	s.change("ACME-3", leaf, ledger.Revoke, ledger.KeyCompromise)
	suspended, leaf := s.publish("ACME-4")
	s.change("ACME-4", leaf, ledger.Suspend, ledger.CertificateHold)
	never := s.Device("ACME-5", "acme-cells.example", 0)
	source := ocsp.NewLedgerSource(s.node)
	old, err := source.Proofs(t.Context(), otherLeaf) // from before it is revoked
	if err != nil {
		t.Fatal(err)
	}
	lies := func(key string, x told) string {
		x.Source = source
		return s.with(s.responder(key, x))
	}
	answers := func(status int, body string) string {
		return s.with(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status); _, _ = w.Write([]byte(body)) }))
	}
	const member = "ca-a/responder"
	for _, c := range []struct {
		name string
		node string
		der  []byte
		want string // from that node alone
		both string // with an honest one behind it; the same when empty
	}{
		{name: "good", node: s.url, der: der, want: "good"},
		{name: "revoked", node: s.url, der: revoked, want: "revoked"},
		{name: "suspended", node: s.url, der: suspended, want: "suspended"},
		{name: "never published", node: s.url, der: never, want: "unknown-certificate"},
		{name: "not a certificate", node: s.url, der: []byte("none"), want: "bad-certificate-file"},
		{name: "held: worse than the proof, by a member", node: lies(member, told{status: says(ocsp.Suspended)}), der: der, want: "suspended"},
		{name: "the same by somebody else", node: lies("device/ACME-1", told{status: says(ocsp.Suspended)}), der: der, want: "not-a-responder", both: "good"},
		{name: "good, by somebody else, with proofs", node: lies("device/ACME-1", told{}), der: der, want: "not-a-responder", both: "good"},
		{name: "good is said of the revoked", node: lies(member, told{status: says(ocsp.Good), proofs: func(p ocsp.Proofs) ocsp.Proofs {
			p.State = ocsp.Good
			return p
		}}), der: revoked, want: "revoked"},
		{name: "another's proofs", node: lies(member, told{proofs: func(p ocsp.Proofs) ocsp.Proofs { return old }}), der: der, want: "not-included", both: "good"},
		{name: "no proofs", node: lies(member, told{proofs: func(p ocsp.Proofs) ocsp.Proofs { return ocsp.Proofs{State: ocsp.Good} }}), der: der, want: "no-evidence", both: "good"},
		{name: "proofs that are none", node: lies(member, told{proofs: func(p ocsp.Proofs) ocsp.Proofs {
			p.Status = []byte("good")
			return p
		}}), der: der, want: "bad-proof-file", both: "good"},
		{name: "unknown is said of what is published", node: lies(member, told{status: func(ocsp.Standing) ocsp.Standing { return ocsp.Standing{} }}), der: der,
			want: "status-not-checked", both: "good"},
		{name: "unknown is said, and signed for by nobody", node: s.posing("device/ACME-1"), der: never, want: "no-evidence", both: "unknown-certificate"},
		{name: "HTTP 500", node: answers(500, ""), der: der, want: "ocsp-not-answered", both: "good"},
		{name: "tryLater", node: answers(200, "\x30\x03\x0a\x01\x03"), der: der, want: "ocsp-not-answered", both: "good"},
		{name: "a page", node: answers(200, "<html>"), der: der, want: "bad-ocsp-answer", both: "good"},
		{name: "endless", node: answers(200, strings.Repeat("\x30", 1<<20)), der: der, want: "bad-ocsp-answer", both: "good"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, _, err := newClient(t, s, c.node).Check(t.Context(), c.der); slug(err) != c.want {
				t.Errorf("alone: %v, want %s", err, c.want)
			}
			if c.both == "" {
				c.both = c.want
			}
			if _, _, err := newClient(t, s, c.node, s.url).Check(t.Context(), c.der); slug(err) != c.both {
				t.Errorf("beside an honest one: %v, want %s", err, c.both)
			}
		})
	}
	t.Run("replayed", func(t *testing.T) {
		staple, err := newClient(t, s, s.url).Staple(t.Context(), other)
		if err != nil {
			t.Fatal(err)
		}
		s.change("ACME-2", otherLeaf, ledger.Revoke, ledger.KeyCompromise)
		node := answers(200, string(staple))
		if _, _, err := newClient(t, s, node).Check(t.Context(), other); slug(err) != "bad-ocsp-answer" {
			t.Errorf("an old answer: %v", err)
		}
		if _, _, err := newClient(t, s, node, s.url).Check(t.Context(), other); slug(err) != "revoked" {
			t.Errorf("beside an honest one: %v", err)
		}
		if _, err := newClient(t, s, s.url).Staple(t.Context(), other); slug(err) != "revoked" {
			t.Errorf("a staple for the revoked: %v", err)
		}
	})
	t.Run("stale", func(t *testing.T) {
		before, err := source.Proofs(t.Context(), derLeaf)
		if err != nil {
			t.Fatal(err)
		}
		s.clock.Advance(2 * time.Hour)
		if _, _, err := newClient(t, s, s.url).Check(t.Context(), der); slug(err) != "stale" {
			t.Errorf("after two hours: %v", err)
		}
		if _, _, err := newClient(t, s, s.url).Check(t.Context(), revoked); slug(err) != "revoked" {
			t.Errorf("revoked is for ever: %v", err)
		}
		s.publish("ACME-6") // which makes the state fresh
		node := lies(member, told{proofs: func(ocsp.Proofs) ocsp.Proofs { return before }})
		if _, _, err := newClient(t, s, node).Check(t.Context(), der); slug(err) != "stale" {
			t.Errorf("old proofs: %v", err)
		}
		if _, _, err := newClient(t, s, node, s.url).Check(t.Context(), der); slug(err) != "good" {
			t.Errorf("old proofs, beside an honest one: %v", err)
		}
	})
	t.Run("given up", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, _, err := newClient(t, s, s.url).Check(ctx, der); !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
	})
}

// TestNew: what would leave something unchecked is no configuration.
func TestNew(t *testing.T) {
	s := newSite()
	defer s.stop()
	for name, change := range map[string]func(*online.Config){
		"no node":   func(c *online.Config) { c.Nodes = nil },
		"no policy": func(c *online.Config) { c.Policy = nil },
		"no clock":  func(c *online.Config) { c.Now = nil },
		"no age":    func(c *online.Config) { c.MaxAge = 0 },
		"not a URL": func(c *online.Config) { c.Nodes = []string{"node-a"} },
	} {
		cfg := online.Config{Nodes: []string{s.url}, Policy: s.Policy(), MaxAge: time.Hour, Now: s.clock.Now}
		change(&cfg)
		if _, err := online.New(cfg); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}
