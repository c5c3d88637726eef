package ocsp

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	second "golang.org/x/crypto/ocsp"
)

func parseX509(t *testing.T, der []byte) *x509.Certificate {
	t.Helper()
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// reply is what the responder says to a request, through everything but HTTP.
func reply(t *testing.T, r *Responder, request []byte) ([]byte, responseStatus) {
	t.Helper()
	a, err := r.answer(t.Context(), request)
	if err != nil {
		return nil, statusOf(err)
	}
	return octets(t, r.signer, a), successful
}

// answer judges a request in space of its own.
func (r *Responder) answer(ctx context.Context, request []byte) (*answer, error) {
	x := &exchange{in: request}
	if err := r.judge(ctx, x); err != nil {
		return nil, err
	}
	return &x.answer, nil
}

// octets are those of an answer.
func octets(t *testing.T, s *signer, a *answer) []byte {
	t.Helper()
	var w writer
	w.response(&a.data, &s.algorithm, a.signature)
	body, err := w.written()
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// TestSecondOpinion reads answers about every state, signed by every kind of key the other package knows.
func TestSecondOpinion(t *testing.T) {
	now := time.Now().Truncate(time.Second)
	fresh, at := now.Add(-40*time.Second), now.Add(-48*time.Hour)
	source := newLedger(t, fresh.Add(900*time.Millisecond)) // must be cut, not rounded
	states := []struct {
		standing       Standing
		status, reason int
		validity       time.Duration // from thisUpdate
	}{
		{Standing{Known: true, State: Good}, second.Good, 0, 15 * time.Minute},
		{Standing{Known: true, State: Suspended, At: at}, second.Revoked, second.CertificateHold, 15 * time.Minute},
		{Standing{Known: true, State: Revoked, At: at, Reason: 1}, second.Revoked, second.KeyCompromise, 15 * time.Minute},
		{Standing{Known: true, State: Revoked, At: at}, second.Revoked, second.Unspecified, 15 * time.Minute},
		{Standing{}, second.Unknown, 0, 100 * time.Second},
	}
	var (
		ids   []CertID
		certs []*x509.Certificate
	)
	for i, s := range states {
		cert := device(t, "device", int64(i+1))
		if s.standing.Known {
			source.publish(cert, s.standing)
		}
		certs = append(certs, parseX509(t, cert))
		ids = append(ids, certID(t, crypto.SHA1, cert))
	}
	for name, key := range keys(t) {
		r := responder(t, source, func(c *Config) {
			c.Key, c.Certificate = key, responderCertificate(t, key)
			c.Now = func() time.Time { return now }
		})
		body, status := reply(t, r, newRequest(t, []byte("nonce"), ids...))
		if status != successful {
			t.Fatalf("%s: %v", name, status)
		}
		if name == "Ed25519" {
			continue // the other package cannot verify it; openssl does, in TestPeers
		}
		for i, s := range states {
			got, err := second.ParseResponseForCert(body, certs[i], nil)
			if err != nil {
				t.Errorf("%s, state %d: %v", name, i, err)
				continue
			}
			if got.Status != s.status || got.RevocationReason != s.reason {
				t.Errorf("%s, state %d: status %d reason %d", name, i, got.Status, got.RevocationReason)
			}
			if s.status == second.Revoked && !got.RevokedAt.Equal(at) {
				t.Errorf("%s, state %d: revoked at %v, want %v", name, i, got.RevokedAt, at)
			}
			if !got.ThisUpdate.Equal(fresh) || !got.NextUpdate.Equal(fresh.Add(s.validity)) || !got.ProducedAt.Equal(now) {
				t.Errorf("%s, state %d: this %v next %v produced %v", name, i, got.ThisUpdate, got.NextUpdate, got.ProducedAt)
			}
			if !bytes.Equal(got.ResponderKeyHash, r.signer.keyHash) || !bytes.Equal(got.Certificate.SubjectKeyId, r.signer.keyHash) {
				t.Errorf("%s: responder %x, certificate %x", name, got.ResponderKeyHash, got.Certificate.SubjectKeyId)
			}
		}
	}
}

// TestFreshnessFirst: whatever is asked, the freshness is read once and before every status.
func TestFreshnessFirst(t *testing.T) {
	source := newLedger(t, time.Now())
	r := responder(t, source, nil)
	id := certID(t, crypto.SHA1, device(t, "d", 1))
	for _, n := range []int{1, 3, 100} {
		if _, status := reply(t, r, newRequest(t, nil, repeat(id, n)...)); status != successful {
			t.Fatalf("%d certificates: %v", n, status)
		}
		calls := source.takeCalls()
		if len(calls) != n+1 || calls[0] != "freshness" || slices.Contains(calls[1:], "freshness") {
			t.Errorf("%d certificates: calls %v", n, calls)
		}
	}
	if _, status := reply(t, r, []byte("nonsense")); status != malformedRequest || source.takeCalls() != nil {
		t.Errorf("nonsense: %v, or the source was asked", status)
	}
}

// TestStaleness walks the age of the state over every bound.
func TestStaleness(t *testing.T) {
	now := time.Date(2026, 11, 24, 12, 0, 0, 500_000_000, time.UTC)
	tests := []struct {
		age  time.Duration
		want responseStatus
	}{
		{0, successful},
		{9 * time.Minute, successful},
		{10*time.Minute - time.Second, successful},
		{10*time.Minute - 400*time.Millisecond, tryLater}, // at :00.9, told as :00, past its nextUpdate by now
		{10 * time.Minute, tryLater},
		{24 * time.Hour, tryLater},
		{-time.Minute, successful},
		{-5 * time.Minute, successful},
		{-5*time.Minute - time.Second, tryLater},
		{-24 * time.Hour, tryLater},
		{now.Sub(time.Time{}), tryLater}, // no final checkpoint yet
	}
	for _, tt := range tests {
		source := newLedger(t, now.Add(-tt.age))
		r := responder(t, source, func(c *Config) {
			c.Staleness = 10 * time.Minute
			c.Now = func() time.Time { return now }
		})
		known, other := device(t, "d", 1), device(t, "e", 2)
		source.publish(known, Standing{Known: true, State: Good})
		request := newRequest(t, nil, certID(t, crypto.SHA256, known), certID(t, crypto.SHA256, other))
		a, err := r.answer(t.Context(), request)
		if got := statusOf(err); got != tt.want {
			t.Errorf("age %v: %v (%v), want %v", tt.age, got, err, tt.want)
		}
		var data responseData
		if a != nil {
			data = a.data
		}
		for _, s := range data.responses {
			if !s.thisUpdate.Equal(now.Add(-tt.age).Truncate(time.Second)) {
				t.Errorf("age %v: thisUpdate %v", tt.age, s.thisUpdate)
			}
			if !s.nextUpdate.After(s.thisUpdate) || s.nextUpdate.After(s.thisUpdate.Add(10*time.Minute)) ||
				!s.nextUpdate.After(now) || data.producedAt.Before(s.thisUpdate) {
				t.Errorf("age %v: this %v next %v produced %v", tt.age, s.thisUpdate, s.nextUpdate, data.producedAt)
			}
			if ahead := s.nextUpdate.Sub(data.producedAt); s.status == statusUnknown && ahead > time.Minute {
				t.Errorf("age %v: unknown is valid for %v", tt.age, ahead)
			}
		}
	}
}

// TestStaleLoggedOnce: a flood of requests to a stale node does not flood its log.
func TestStaleLoggedOnce(t *testing.T) {
	var log bytes.Buffer
	source := newLedger(t, time.Now().Add(-time.Hour))
	r := responder(t, source, func(c *Config) { c.Log = slog.New(slog.NewTextHandler(&log, nil)) })
	request := newRequest(t, nil, certID(t, crypto.SHA1, device(t, "d", 1)))
	for range 5 {
		if _, status := reply(t, r, request); status != tryLater {
			t.Fatal(status)
		}
	}
	source.fresh = time.Now()
	for range 5 {
		if _, status := reply(t, r, request); status != successful {
			t.Fatal(status)
		}
	}
	if n := strings.Count(log.String(), "\n"); n != 2 {
		t.Errorf("%d lines logged, want 2:\n%s", n, log.String())
	}
}

// TestSourceFails: an error is never turned into a status.
func TestSourceFails(t *testing.T) {
	request := newRequest(t, nil, certID(t, crypto.SHA1, device(t, "d", 1)))
	for name, source := range map[string]*fakeLedger{
		"freshness": {t: t, fresh: time.Now(), failFresh: errBroken},
		"status":    {t: t, fresh: time.Now(), failRead: errBroken},
		"cancelled": {t: t, fresh: time.Now(), failRead: context.Canceled},
	} {
		if _, status := reply(t, responder(t, source, nil), request); status != internalError {
			t.Errorf("%s fails: %v", name, status)
		}
	}
}

// TestBadStandings: a source that breaks its contract never makes a certificate look better than it is.
func TestBadStandings(t *testing.T) {
	now := time.Now()
	epoch := time.Unix(0, 0)
	tests := []struct {
		name     string
		standing Standing
		want     responseStatus
		at       time.Time
		reason   int
	}{
		{"no state", Standing{Known: true}, internalError, now, 0},
		{"a state too many", Standing{Known: true, State: Revoked + 1, At: now}, internalError, now, 0},
		{"revoked, without a time", Standing{Known: true, State: Revoked, Reason: 1}, successful, epoch, 1},
		{"suspended, without a time", Standing{Known: true, State: Suspended}, successful, epoch, 6},
		{"revoked in the year 10000", Standing{Known: true, State: Revoked, At: now.AddDate(9000, 0, 0)}, successful, epoch, 0},
		{"revoked on hold", Standing{Known: true, State: Revoked, At: now, Reason: 6}, successful, now, 0},
		{"reason 7", Standing{Known: true, State: Revoked, At: now, Reason: 7}, successful, now, 0},
		{"reason 8", Standing{Known: true, State: Revoked, At: now, Reason: 8}, successful, now, 0},
		{"reason -1", Standing{Known: true, State: Revoked, At: now, Reason: -1}, successful, now, 0},
		{"reason 10", Standing{Known: true, State: Revoked, At: now, Reason: 10}, successful, now, 10},
	}
	cert := device(t, "d", 1)
	for _, tt := range tests {
		source := newLedger(t, now)
		source.publish(cert, tt.standing)
		body, status := reply(t, responder(t, source, nil), newRequest(t, nil, certID(t, crypto.SHA1, cert)))
		if status != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, status, tt.want)
		}
		if status != successful {
			continue
		}
		got, err := second.ParseResponseForCert(body, parseX509(t, cert), nil)
		if err != nil || got.Status != second.Revoked || got.RevocationReason != tt.reason ||
			!got.RevokedAt.Equal(tt.at.Truncate(time.Second)) {
			t.Errorf("%s: %+v, %v", tt.name, got, err)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	key := newP256(t)
	good := Config{Source: newLedger(t, time.Now()), Key: key, Certificate: responderCertificate(t, key)}
	if _, err := New(good); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*Config){
		"no source":                 func(c *Config) { c.Source = nil },
		"no key":                    func(c *Config) { c.Key = nil },
		"no certificate":            func(c *Config) { c.Certificate = nil },
		"certificate of another":    func(c *Config) { c.Certificate = responderCertificate(t, newP256(t)) },
		"certificate without usage": func(c *Config) { c.Key, c.Certificate = deviceWithKey(t) },
		"certificate with a tail":   func(c *Config) { c.Certificate = append(slices.Clone(c.Certificate), 0) },
		"staleness negative":        func(c *Config) { c.Staleness = -time.Hour },
		"staleness too short":       func(c *Config) { c.Staleness = time.Second },
		"max requests negative":     func(c *Config) { c.MaxRequests = -1 },
		"prefix without a slash":    func(c *Config) { c.Prefix = "ocsp" },
		"prefix with a last slash":  func(c *Config) { c.Prefix = "/ocsp/" },
		"prefix that is a slash":    func(c *Config) { c.Prefix = "/" },
		"prefix that is not clean":  func(c *Config) { c.Prefix = "/a/../b" },
		"prefix to be escaped":      func(c *Config) { c.Prefix = "/a b" },
	} {
		cfg := good
		spoil(&cfg)
		if _, err := New(cfg); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
}
