package ocsp

import (
	"crypto"
	"testing"
	"time"
)

// TestSeveral asks a responder of two channels, of which one may be behind or stand still.
func TestSeveral(t *testing.T) {
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	here, there, both, nowhere := device(t, "a", 1), device(t, "b", 2), device(t, "c", 3), device(t, "d", 4)
	revoked := Standing{Known: true, State: Revoked, At: now.Add(-time.Hour), Reason: 1, Leaf: 9}
	for _, tt := range []struct {
		name        string
		age         time.Duration // of the second channel's state; the first one's is 10 s old
		certificate []byte
		want        responseStatus
		status      certStatus
		told        time.Duration
	}{
		{"of the first", time.Minute, here, successful, statusGood, 10 * time.Second},
		{"of the second", time.Minute, there, successful, statusGood, time.Minute},
		{"of both, worse in the second", time.Minute, both, successful, statusRevoked, time.Minute},
		{"of none", time.Minute, nowhere, successful, statusUnknown, time.Minute},
		{"of the first while the second stands still", time.Hour, here, successful, statusGood, 10 * time.Second},
		{"of the second, which stands still", time.Hour, there, tryLater, 0, 0},
		{"of both while the second stands still", time.Hour, both, tryLater, 0, 0},
		{"of none while the second stands still", time.Hour, nowhere, tryLater, 0, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			first, second := newLedger(t, now.Add(-10*time.Second)), newLedger(t, now.Add(-tt.age))
			first.publish(here, Standing{Known: true, State: Good, Leaf: 5})
			first.publish(both, Standing{Known: true, State: Good, Leaf: 6})
			second.publish(there, Standing{Known: true, State: Good, Leaf: 5})
			second.publish(both, revoked)
			r := responder(t, Several(first, second), func(c *Config) {
				c.Staleness = 10 * time.Minute
				c.Now = func() time.Time { return now }
			})
			id := certID(t, crypto.SHA256, tt.certificate)
			for range 2 { // signed, and kept
				for _, request := range [][]byte{newRequest(t, nil, id), newRequest(t, []byte{1, 2}, id)} {
					a, err := r.answer(t.Context(), request)
					if got := statusOf(err); got != tt.want {
						t.Fatalf("%v (%v), want %v", got, err, tt.want)
					}
					if tt.want != successful {
						continue
					}
					if s := a.data.responses[0]; s.status != tt.status || !s.thisUpdate.Equal(now.Add(-tt.told)) {
						t.Errorf("status %v as of %v, want %v as of %v", s.status, s.thisUpdate, tt.status, now.Add(-tt.told))
					}
				}
			}
		})
	}
}

// TestSeveralForgetsNothing changes a status in either channel: what was kept is not told any more.
func TestSeveralForgetsNothing(t *testing.T) {
	now := time.Now()
	first, second := newLedger(t, now), newLedger(t, now)
	certs := [][]byte{device(t, "a", 1), device(t, "b", 2)}
	for i, l := range []*fakeLedger{first, second} {
		l.publish(certs[i], Standing{Known: true, State: Good, Leaf: 5})
	}
	r := responder(t, Several(first, second), nil)
	status := func(i int) certStatus {
		a, err := r.answer(t.Context(), newRequest(t, nil, certID(t, crypto.SHA1, certs[i])))
		if err != nil {
			t.Fatal(err)
		}
		return a.data.responses[0].status
	}
	for i, l := range []*fakeLedger{first, second} {
		if got := status(i); got != statusGood {
			t.Fatalf("%d: %v", i, got)
		}
		l.publish(certs[i], Standing{Known: true, State: Revoked, At: now, Leaf: 5})
		if got := status(i); got != statusRevoked {
			t.Errorf("%d: %v after it was revoked", i, got)
		}
	}
}

// TestSeveralProofs gives each channel's proofs with its own certificates, though their leaves have the same number.
func TestSeveralProofs(t *testing.T) {
	first, second := newLedger(t, time.Now()), newLedger(t, time.Now())
	first.proofs, second.proofs = map[uint64]Proofs{5: {Receipt: []byte("first")}}, map[uint64]Proofs{5: {Receipt: []byte("second")}}
	s := Several(first, second)
	for want, cert := range map[string][]byte{"first": device(t, "a", 1), "second": device(t, "b", 2)} {
		map[string]*fakeLedger{"first": first, "second": second}[want].publish(cert, Standing{Known: true, State: Good, Leaf: 5})
		st, err := s.Status(t.Context(), certID(t, crypto.SHA1, cert))
		if err != nil {
			t.Fatal(err)
		}
		if p, err := s.Proofs(t.Context(), st.Leaf); err != nil || string(p.Receipt) != want {
			t.Errorf("%s: %q, %v", want, p.Receipt, err)
		}
	}
	if _, err := s.Proofs(t.Context(), 7<<placeBits|5); err == nil {
		t.Error("proofs of a channel that is not there")
	}
	if one := Several(first); one != Source(first) {
		t.Error("one source is not itself")
	}
}
