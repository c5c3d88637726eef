package ocsp

import (
	"bytes"
	"crypto"
	"encoding/base64"
	"io"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	second "golang.org/x/crypto/ocsp"
)

// counting is a key that counts what it signs.
type counting struct {
	crypto.Signer
	n atomic.Int64
}

func (c *counting) Sign(rand io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	c.n.Add(1)
	return c.Signer.Sign(rand, digest, opts)
}

// scene is a responder whose signatures are counted, at a time that the test sets.
type scene struct {
	*Responder
	source *fakeLedger
	key    *counting
	now    time.Time
}

func newScene(t *testing.T, change func(*Config)) *scene {
	t.Helper()
	s := &scene{key: &counting{Signer: newP256(t)}, now: time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)}
	s.source = newLedger(t, s.now.Add(-10*time.Second))
	s.Responder = responder(t, s.source, func(c *Config) {
		c.Key, c.Certificate = s.key, responderCertificate(t, s.key.Signer)
		c.Now = func() time.Time { return s.now }
		if change != nil {
			change(c)
		}
	})
	return s
}

// signed asks and tells what came and how many signatures that took.
func (s *scene) signed(t *testing.T, request []byte) (*second.Response, []byte, int64) {
	t.Helper()
	before := s.key.n.Load()
	body, status := reply(t, s.Responder, request)
	if status != successful {
		t.Fatal(status)
	}
	got, err := second.ParseResponse(body, nil)
	if err != nil {
		t.Fatal(err)
	}
	return got, body, s.key.n.Load() - before
}

// TestSignedOnce: an answer is signed once for each CertID and status, and given again as it is, by GET and by POST, until
// the status changes or a third of its life is over.
func TestSignedOnce(t *testing.T) {
	s := newScene(t, nil)
	cert := device(t, "d", 1)
	s.source.publish(cert, Standing{Known: true, State: Good})
	request := newRequest(t, nil, certID(t, crypto.SHA1, cert))
	first, body, n := s.signed(t, request)
	if n != 1 || first.Status != second.Good {
		t.Fatalf("%d signatures, status %d", n, first.Status)
	}
	s.source.takeCalls()

	// Again: the same octets, nothing read but the freshness.
	target := "/" + url.QueryEscape(base64.StdEncoding.EncodeToString(request))
	for i := range 3 {
		s.now = s.now.Add(time.Second)
		get := readAll(t, ask(s, "GET", target, nil, nil))
		post := readAll(t, ask(s, "POST", "/", map[string]string{"Content-Type": requestType}, bytes.NewReader(request)))
		if !bytes.Equal(get, body) || !bytes.Equal(post, body) {
			t.Errorf("turn %d: other octets", i)
		}
	}
	if calls := s.source.takeCalls(); s.key.n.Load() != 1 || len(calls) != 6 {
		t.Errorf("%d signatures; calls %v", s.key.n.Load(), calls)
	}

	// Another block, which changes something else: the status is read once, nothing is signed.
	s.source.publish(device(t, "e", 2), Standing{Known: true, State: Good})
	for range 2 {
		if _, again, n := s.signed(t, request); n != 0 || !bytes.Equal(again, body) {
			t.Errorf("after another's block: %d signatures", n)
		}
	}
	if calls := s.source.takeCalls(); len(calls) != 3 {
		t.Errorf("after another's block: calls %v", calls)
	}

	// Every change of the status is told at once, and once.
	at := s.now.Add(-time.Minute)
	for i, c := range []struct {
		standing       Standing
		status, reason int
	}{
		{Standing{Known: true, State: Suspended, At: at}, second.Revoked, second.CertificateHold},
		{Standing{Known: true, State: Good}, second.Good, 0},
		{Standing{Known: true, State: Revoked, At: at}, second.Revoked, 0},
		{Standing{Known: true, State: Revoked, At: at.Add(time.Second)}, second.Revoked, 0},
		{Standing{Known: true, State: Revoked, At: at, Reason: 1}, second.Revoked, second.KeyCompromise},
	} {
		s.source.publish(cert, c.standing)
		for _, want := range []int64{1, 0} {
			if got, _, n := s.signed(t, request); n != want || got.Status != c.status || got.RevocationReason != c.reason {
				t.Errorf("change %d: %d signatures, want %d; status %d, reason %d", i, n, want, got.Status, got.RevocationReason)
			}
		}
	}

	// The state gets fresher. The answer stays until a third of its life is over, then it is signed with the newest time.
	begin := s.source.fresh
	for _, c := range []struct {
		age   time.Duration // of the answer
		fresh time.Duration // since it was signed
		want  int64
	}{
		{time.Minute, 30 * time.Second, 0},
		{5*time.Minute - time.Second, 4 * time.Minute, 0},
		{5 * time.Minute, 0, 0}, // there is nothing fresher to say
		{14 * time.Minute, 0, 0},
		{5 * time.Minute, time.Minute, 1},
	} {
		s.now, s.source.fresh = begin.Add(c.age), begin.Add(c.fresh)
		got, _, n := s.signed(t, request)
		want := begin
		if c.want == 1 {
			want = s.source.fresh
		}
		if n != c.want || !got.ThisUpdate.Equal(want) || !s.now.Before(got.NextUpdate) {
			t.Errorf("age %v, fresh since %v: %d signatures, this %v next %v", c.age, c.fresh, n, got.ThisUpdate, got.NextUpdate)
		}
	}
}

// TestKeptIsNotFresher: what is kept does not outlive the state's freshness, or a source that fails, though its own nextUpdate is
// still to come.
func TestKeptIsNotFresher(t *testing.T) {
	s := newScene(t, nil)
	cert := device(t, "d", 1)
	s.source.publish(cert, Standing{Known: true, State: Good})
	request := newRequest(t, nil, certID(t, crypto.SHA1, cert))
	demand := func(want responseStatus) {
		t.Helper()
		if _, status := reply(t, s.Responder, request); status != want {
			t.Errorf("%v, want %v", status, want)
		}
	}
	demand(successful)
	fresh := s.source.fresh
	s.source.fresh = fresh.Add(-16 * time.Minute)
	demand(tryLater)
	s.source.fresh = fresh.Add(10 * time.Minute) // ahead of this node's clock
	demand(tryLater)
	s.source.fresh = fresh
	demand(successful)
	s.source.failFresh = errBroken
	demand(internalError)
	s.source.failFresh, s.source.failRead = nil, errBroken
	demand(successful) // nothing is read
	s.source.version++
	demand(internalError)
	s.source.failRead = nil
	demand(successful)
}

// TestSignedEachTime: what is about one asker, or several certificates, or none, is kept for nobody.
func TestSignedEachTime(t *testing.T) {
	s := newScene(t, nil)
	cert := device(t, "d", 1)
	s.source.publish(cert, Standing{Known: true, State: Good, Leaf: 4})
	s.source.proofs = map[uint64]Proofs{4: {State: Good}}
	id := certID(t, crypto.SHA256, cert)
	proofs, err := NewProofsRequest(nil, id)
	if err != nil {
		t.Fatal(err)
	}
	for name, request := range map[string][]byte{
		"nonce":   newRequest(t, []byte("n"), id),
		"two":     newRequest(t, nil, id, id),
		"unknown": newRequest(t, nil, certID(t, crypto.SHA256, device(t, "e", 2))),
		"proofs":  proofs.Raw,
	} {
		for range 2 {
			before := s.key.n.Load()
			if _, status := reply(t, s.Responder, request); status != successful || s.key.n.Load() != before+1 {
				t.Errorf("%s: %v, %d signatures", name, status, s.key.n.Load()-before)
			}
		}
	}
	// And what is kept is not given to one who asked with a nonce.
	if _, _, n := s.signed(t, newRequest(t, nil, id)); n != 1 {
		t.Errorf("%d signatures", n)
	}
	if _, body, n := s.signed(t, newRequest(t, []byte("mine"), id)); n != 1 || !bytes.Contains(body, []byte("mine")) {
		t.Errorf("%d signatures, or no nonce", n)
	}
}

// TestSignedOnceAtOnce: many who ask at the same time cost one signature.
func TestSignedOnceAtOnce(t *testing.T) {
	s := newScene(t, nil)
	cert := device(t, "d", 1)
	s.source.publish(cert, Standing{Known: true, State: Good})
	request := newRequest(t, nil, certID(t, crypto.SHA1, cert))
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if _, err := s.answer(t.Context(), request); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := s.key.n.Load(); n != 1 {
		t.Errorf("%d signatures", n)
	}
}

// TestKeptByEveryKey: what is kept is the same octets again, whatever key signed and however long its signatures are.
func TestKeptByEveryKey(t *testing.T) {
	for name, key := range keys(t) {
		s := newScene(t, func(c *Config) { c.Key, c.Certificate = key, responderCertificate(t, key) })
		at := s.now.Add(-time.Hour)
		for i, standing := range []Standing{
			{Known: true, State: Good, Leaf: 1}, {Known: true, State: Suspended, At: at, Leaf: 2}, {Known: true, State: Revoked, At: at, Reason: 1, Leaf: 1 << 40},
			{Known: true, State: Revoked, At: time.Time{}, Leaf: 4},
		} {
			cert := device(t, "d", int64(i+1))
			s.source.publish(cert, standing)
			request := newRequest(t, nil, certID(t, crypto.SHA384, cert))
			first, status := reply(t, s.Responder, request)
			if status != successful {
				t.Fatal(status)
			}
			s.now = s.now.Add(time.Second)
			again, _ := reply(t, s.Responder, request)
			s.source.version++
			later, _ := reply(t, s.Responder, request)
			if !bytes.Equal(first, again) || !bytes.Equal(first, later) {
				t.Errorf("%s, standing %d: signed again", name, i)
			}
		}
	}
}

// TestAnswersBounded: however many are asked about, no more are kept than the limit.
func TestAnswersBounded(t *testing.T) {
	s := newScene(t, func(c *Config) { c.Answers = 128 })
	cert := device(t, "d", 1)
	for i := range 1000 {
		id := certID(t, crypto.SHA256, cert)
		id.Serial = []byte{1, byte(i >> 8), byte(i)}
		id.Raw = id.encode(derNull)
		s.source.standings[indexKey(id)] = Standing{Known: true, State: Good}
		if _, _, n := s.signed(t, newRequest(t, nil, id)); n != 1 {
			t.Fatalf("certificate %d: %d signatures", i, n)
		}
	}
	kept := 0
	for i := range s.answers.shards {
		shard := &s.answers.shards[i]
		if len(shard.kept) != len(shard.places) || len(shard.signatures) != 72*len(shard.kept) {
			t.Errorf("shard %d: %d places, %d answers, %d octets of signatures", i, len(shard.places), len(shard.kept), len(shard.signatures))
		}
		kept += len(shard.kept)
	}
	if kept > 128 || kept < 100 {
		t.Errorf("%d answers kept", kept)
	}
}
