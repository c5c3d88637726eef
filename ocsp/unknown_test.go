package ocsp

import (
	"bytes"
	"crypto"
	"testing"
	"time"

	second "golang.org/x/crypto/ocsp"
)

// TestUnknownLimited: what nobody published is answered so often, then tryLater; what is published is answered all the time.
func TestUnknownLimited(t *testing.T) {
	s := newScene(t, func(c *Config) { c.UnknownRate = 2 })
	cert := device(t, "d", 1)
	s.source.publish(cert, Standing{Known: true, State: Good})
	known, unknown := certID(t, crypto.SHA1, cert), certID(t, crypto.SHA1, device(t, "e", 2))
	demand := func(allowed int) {
		t.Helper()
		for i := range allowed + 3 {
			want := successful
			if i >= allowed {
				want = tryLater
			}
			before := s.key.n.Load()
			if _, status := reply(t, s.Responder, newRequest(t, nil, unknown)); status != want || status == tryLater && s.key.n.Load() != before {
				t.Errorf("unknown %d of %d: %v, want %v; %d signatures", i, allowed, status, want, s.key.n.Load()-before)
			}
		}
		if _, status := reply(t, s.Responder, newRequest(t, []byte("n"), known)); status != successful {
			t.Errorf("known: %v", status)
		}
	}
	demand(20)
	s.now = s.now.Add(1500 * time.Millisecond)
	demand(3)
	s.now = s.now.Add(-time.Hour) // a clock that is set back gives nothing
	s.source.fresh = s.now
	demand(0)
	s.now = s.now.Add(2 * time.Hour)
	s.source.fresh = s.now
	demand(20)
	// Each one counts in a request for several.
	s.now = s.now.Add(time.Minute)
	if _, status := reply(t, s.Responder, newRequest(t, nil, append(repeat(unknown, 21), known)...)); status != tryLater {
		t.Errorf("21 at once: %v", status)
	}
}

// TestExtendedRevoke: asked to, the responder says revoked of what a registered CA did not publish, as RFC 6960 has it, and
// of nothing else.
func TestExtendedRevoke(t *testing.T) {
	ca := newCA(t, "ca")
	for _, extended := range []bool{false, true} {
		s := newScene(t, func(c *Config) {
			c.ExtendedRevoke = extended
			c.Issuers = []Issuer{{Certificate: ca.der, Responder: ca.delegate(t, c.Key.Public(), nil)}}
		})
		s.now = time.Now()
		s.source.fresh = s.now.Add(-time.Minute)
		never := ca.issue(t, "never", 9, newP256(t).Public(), nil)
		published := ca.issue(t, "published", 10, newP256(t).Public(), nil)
		s.source.standings[indexKey(ca.id(t, crypto.SHA1, published))] = Standing{Known: true, State: Good}
		for _, c := range []struct {
			name    string
			id      CertID
			non     bool // issued
			unknown bool
		}{
			{"a registered CA's", ca.id(t, crypto.SHA1, never), true, true},
			{"published", ca.id(t, crypto.SHA1, published), false, false},
			{"an issuer that nobody registered", certID(t, crypto.SHA1, device(t, "d", 1)), false, true},
		} {
			got, body, _ := s.signed(t, newRequest(t, nil, c.id))
			revoked := extended && c.non
			want := second.Good
			switch {
			case revoked:
				want = second.Revoked
			case c.unknown:
				want = second.Unknown
			}
			if got.Status != want || revoked && (got.RevocationReason != second.CertificateHold || !got.RevokedAt.Equal(time.Unix(0, 0))) {
				t.Errorf("extended %v, %s: status %d reason %d at %v", extended, c.name, got.Status, got.RevocationReason, got.RevokedAt)
			}
			if bytes.Contains(body, []byte(oidExtendedRevoke)) != revoked {
				t.Errorf("extended %v, %s: the extension", extended, c.name)
			}
			if c.unknown && got.NextUpdate.After(s.now.Add(time.Minute)) {
				t.Errorf("extended %v, %s: valid until %v", extended, c.name, got.NextUpdate)
			}
		}
	}
}

// TestArchiveCutoff: what is published has it, to another implementation too, and what is not has none.
func TestArchiveCutoff(t *testing.T) {
	founded := time.Date(2020, 2, 3, 4, 5, 6, 700_000_000, time.UTC)
	s := newScene(t, func(c *Config) { c.ArchiveCutoff = founded })
	cert := device(t, "d", 1)
	s.source.publish(cert, Standing{Known: true, State: Revoked, At: founded, Reason: 5})
	id := certID(t, crypto.SHA1, cert)
	for range 2 { // signed, and kept
		got, _, _ := s.signed(t, newRequest(t, nil, id))
		if len(got.Extensions) != 1 || got.Extensions[0].Id.String() != "1.3.6.1.5.5.7.48.1.6" || got.Extensions[0].Critical ||
			string(got.Extensions[0].Value) != "\x18\x0f20200203040506Z" {
			t.Errorf("extensions %v", got.Extensions)
		}
	}
	if got, _, _ := s.signed(t, newRequest(t, nil, certID(t, crypto.SHA1, device(t, "e", 2)))); len(got.Extensions) != 0 {
		t.Errorf("unknown has %v", got.Extensions)
	}
}
