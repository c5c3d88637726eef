package verify_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/tlog"
	"github.com/quorate-pki/quorate/verify"
)

// vector is one question to a verifier, and the one right answer: "good", "published", or the slug of the rule broken.
type vector struct {
	Name, Want              string
	Policy, Receipt, Status []byte // Status: a status proof or a snapshot; nil: none
	Cert                    []byte
	Now, MaxAge             int64 // seconds
	PublishedOnly           bool
}

// ask is what our verifier says.
func (v *vector) ask() string {
	err := func() error {
		p, err := tlog.ParsePolicy(v.Policy)
		if err != nil {
			return err
		}
		pub, err := verify.Receipt(p, v.Receipt, v.Cert)
		if err != nil || v.PublishedOnly {
			return err
		}
		var s *verify.Standing
		if verify.IsSnapshot(v.Status) {
			file := bytes.NewReader(v.Status)
			all, err := verify.ReadSnapshot(p, file)
			if err != nil {
				return err
			}
			if s, err = all.Standing(file, pub.Leaf); err != nil {
				return err
			}
		} else if v.Status != nil {
			if s, err = verify.Status(p, v.Status, pub.Leaf); err != nil {
				return err
			}
		}
		return verify.Verdict(pub, s, v.Cert, time.Unix(v.Now, 0), time.Duration(v.MaxAge)*time.Second)
	}()
	switch code, ok := reason.CodeOf(err); {
	case err == nil && v.PublishedOnly:
		return "published"
	case err == nil:
		return "good"
	case ok:
		return code.String()
	}
	return "error without a reason: " + err.Error()
}

// suite is all vectors. They are made once: signing them takes longer than checking.
type suite struct {
	four    *world
	vectors []vector
}

var made = sync.OnceValue(func() *suite { return &suite{} })

func vectors(t testing.TB) []vector {
	t.Helper()
	s := made()
	if s.vectors == nil {
		s.make(t)
	}
	return s.vectors
}

// named is one vector.
func named(t testing.TB, name string) vector {
	t.Helper()
	all := vectors(t)
	i := slices.IndexFunc(all, func(v vector) bool { return v.Name == name })
	if i < 0 {
		t.Fatalf("no vector %q", name)
	}
	return all[i]
}

// add adds a vector that differs from the first one, which is good.
func (s *suite) add(name, want string, change func(*vector)) {
	v := s.vectors[0]
	v.Name, v.Want = name, want
	if change != nil {
		change(&v)
	}
	s.vectors = append(s.vectors, v)
}

// receipt adds a vector whose receipt is spoiled.
func (s *suite) receipt(name, want string, spoil func(*draft)) {
	w := s.four
	s.add(name, want, func(v *vector) { v.Receipt = w.receiptOf(w.leafOf["ACME-A"], w.size(), v.Cert).do(spoil) })
}

// status adds a vector whose status is spoiled, by default that of the good certificate.
func (s *suite) status(name, want string, spoil func(*draft)) {
	w := s.four
	s.add(name, want, func(v *vector) { v.Status = w.statusOf(w.leafOf["ACME-A"], w.size(), 0).do(spoil) })
}

// standing adds a vector about another device of the history.
func (s *suite) standing(name, want, serial, cause string, spoil ...func(*draft)) {
	w := s.four
	s.add(name, want, func(v *vector) {
		leaf := w.leafOf[serial]
		v.Cert = w.certs[serial]
		v.Receipt = w.receiptOf(leaf, w.size(), v.Cert).file()
		v.Status = w.statusOf(leaf, w.size(), w.leafOf[cause]).do(spoil...)
	})
}

// entry adds a vector whose receipt proves another entry, which has the certificate somewhere.
func (s *suite) entry(name, want string, entry []byte) {
	w := s.four
	leaf := w.leafOf["ACME-A"]
	other := w.with(map[uint64][]byte{leaf: entry})
	s.add(name, want, func(v *vector) {
		v.Receipt = other.receiptOf(leaf, w.size(), v.Cert).file()
		v.Status = other.statusOf(leaf, w.size(), 0).file()
	})
}

// causeEntry adds a vector about the revoked certificate whose cause is another entry.
func (s *suite) causeEntry(name, want string, entry []byte) {
	w := s.four
	at := w.leafOf["change/1/ACME-K"]
	other := w.with(map[uint64][]byte{at: entry})
	leaf := w.leafOf["ACME-K"]
	s.add(name, want, func(v *vector) {
		v.Cert = w.certs["ACME-K"]
		v.Receipt = other.receiptOf(leaf, w.size(), v.Cert).file()
		v.Status = other.statusOf(leaf, w.size(), at).file()
	})
}

// epoch adds a vector whose status proves another epoch.
func (s *suite) epoch(name, want string, entry []byte) {
	w := s.four
	other := w.with(map[uint64][]byte{w.size() - 1: entry})
	s.add(name, want, func(v *vector) { v.Status = other.statusOf(w.leafOf["ACME-A"], w.size(), 0).file() })
}

// text adds vectors of the receipt's and of the status's file, edited.
func (s *suite) text(name, want, old, new string) {
	edit := func(file []byte) []byte {
		if bytes.Count(file, []byte(old)) == 0 {
			panic(name + ": nothing to edit")
		}
		return bytes.Replace(file, []byte(old), []byte(new), 1)
	}
	s.add("receipt: "+name, want, func(v *vector) { v.Receipt = edit(v.Receipt) })
	s.add("status: "+name, want, func(v *vector) { v.Status = edit(v.Status) })
}

func (s *suite) make(t testing.TB) {
	s.four = history(t)
	w := s.four
	der, leaf := w.certs["ACME-A"], w.leafOf["ACME-A"]
	s.vectors = []vector{{Name: "good", Want: "good", Policy: w.c.Policy().Format(), Receipt: w.receiptOf(leaf, w.size(), der).file(),
		Status: w.statusOf(leaf, w.size(), 0).file(), Cert: der, Now: asOf + 60, MaxAge: 600}}
	s.good(t)
	s.files()
	s.notes()
	s.checkpoints()
	s.inclusion()
	s.extras()
	s.entries()
	s.statuses()
	s.snapshots()
	s.causes()
	s.verdicts(t)
	s.policies()
	slices.SortStableFunc(s.vectors, func(a, b vector) int { return strings.Compare(a.Name, b.Name) })
}

// history has two chunks of leaves, and certificates in every state in both.
func history(t testing.TB) *world {
	w := found(t, 4)
	until := map[string]time.Time{"ACME-E": time.Unix(asOf, 0).Add(time.Hour)}
	fill := func(block int, named ...string) {
		for i := range 520 - len(named) {
			named = append(named, fmt.Sprintf("ACME-%d-%d", block, i))
		}
		for _, serial := range named {
			w.device(serial, until[serial])
		}
		w.publish(named...)
	}
	fill(1, "ACME-A", "ACME-S", "ACME-R", "ACME-K", "ACME-E")
	fill(2)
	last := []string{"ACME-A2", "ACME-S2", "ACME-R2", "ACME-K2"}
	for _, serial := range last {
		w.device(serial, time.Time{})
	}
	w.publish(last...)
	w.change(ledger.Suspend, ledger.CertificateHold, "ACME-S", "ACME-R", "ACME-S2", "ACME-R2")
	w.change(ledger.Revoke, ledger.Superseded, "ACME-K", "ACME-K2")
	w.change(ledger.Resume, ledger.RemoveFromCRL, "ACME-R", "ACME-R2")
	if w.leafOf["ACME-A"] >= ledger.ChunkLeaves || w.leafOf["ACME-A2"] <= ledger.ChunkLeaves || len(w.chunks[w.size()-1]) != 2 {
		t.Fatal("the history does not have two chunks")
	}
	return w
}

// small is a world of n members with one certificate.
func small(t testing.TB, n int) *world {
	w := found(t, n)
	w.device("ACME-1", time.Time{})
	w.publish("ACME-1")
	return w
}

func (s *suite) good(t testing.TB) {
	w := s.four
	for _, n := range []int{1, 7} {
		other := small(t, n)
		leaf, der := other.leafOf["ACME-1"], other.certs["ACME-1"]
		s.add(fmt.Sprintf("good: %d members", n), "good", func(v *vector) {
			v.Policy, v.Cert = other.c.Policy().Format(), der
			v.Receipt, v.Status = other.receiptOf(leaf, other.size(), der).file(), other.statusOf(leaf, other.size(), 0).file()
		})
		s.add(fmt.Sprintf("%d members, another consortium's policy", n), "quorum-not-reached", func(v *vector) {
			v.Policy = append(w.c.Policy().Format(), "# same keys, other quorum\n"...)
			v.Cert = der
			v.Receipt = other.receiptOf(leaf, other.size(), der).do(func(d *draft) { d.members = d.members[:1] })
		})
	}
	seven := small(t, 7)
	leaf, der := seven.leafOf["ACME-1"], seven.certs["ACME-1"]
	for liars, want := range map[int]string{1: "stale", 2: "stale", 3: "good"} {
		s.add(fmt.Sprintf("7 members, %d say that an old tree is new", liars), want, func(v *vector) {
			ts := slices.Repeat([]int64{asOf - 86400}, 5)
			for i := range liars {
				ts[i*2%5] = asOf
			}
			v.Policy, v.Cert = seven.c.Policy().Format(), der
			v.Receipt = seven.receiptOf(leaf, seven.size(), der).file()
			v.Status = seven.statusOf(leaf, seven.size(), 0).do(times(ts...))
		})
	}
	s.standing("good: in the second chunk", "good", "ACME-A2", "")
	s.standing("good: resumed, with the cause", "good", "ACME-R", "change/3/ACME-R")
	s.standing("good: resumed, in the second chunk", "good", "ACME-R2", "change/3/ACME-R2")
	s.standing("good: resumed, without the cause", "good", "ACME-R", "")
	s.standing("revoked", "revoked", "ACME-K", "change/1/ACME-K")
	s.standing("revoked, in the second chunk", "revoked", "ACME-K2", "change/1/ACME-K2")
	s.standing("suspended", "suspended", "ACME-S", "change/2/ACME-S")
	s.standing("suspended, in the second chunk", "suspended", "ACME-S2", "change/2/ACME-S2")
	s.add("published only", "published", func(v *vector) { v.PublishedOnly, v.Status = true, nil })
	s.add("published only, of a time long ago", "published", func(v *vector) { v.PublishedOnly, v.Status, v.Now = true, nil, 0 })
	s.add("no status", "status-not-checked", func(v *vector) { v.Status = nil })
	s.add("good: receipt of an older checkpoint", "good", func(v *vector) {
		v.Receipt = w.receiptOf(w.leafOf["ACME-A"], w.sizes[1], v.Cert).file()
	})
	s.status("good: all members", "good", times(asOf, asOf, asOf, asOf))
	s.receipt("good: all log keys", "good", func(d *draft) { d.logs = []string{"ca-a/log", "ca-b/log", "ca-c/log", "ca-d/log"} })
	s.receipt("good: another member's log key", "good", func(d *draft) { d.logs = []string{"ca-d/log"} })
	s.receipt("good: strangers signed too", "good", func(d *draft) {
		d.lines = []tlog.Signature{{Name: "stranger\x7f#", ID: 1, Bytes: []byte{0}}, {Name: strings.Repeat("n", 300), ID: 2, Bytes: make([]byte, 3309)},
			{Name: "stranger\x7f#", ID: 1, Bytes: []byte{0}}}
	})
	s.receipt("good: with member sets", "good", func(d *draft) { d.receipt.MemberSets = [][]byte{{}, {1}} })
}

// TestVectors demands the right answer to every vector, and a vector for every slug that verification can give.
func TestVectors(t *testing.T) {
	names, seen := map[string]bool{}, map[string]int{}
	for _, v := range vectors(t) {
		if names[v.Name] {
			t.Errorf("%s: there are two", v.Name)
		}
		names[v.Name] = true
		seen[v.Want]++
		if got := v.ask(); got != v.Want {
			t.Errorf("%s: %s, want %s", v.Name, got, v.Want)
		}
	}
	t.Logf("%d vectors: %v", len(names), seen)
	elsewhere := map[reason.Code]string{
		reason.UnknownCertificate: "told by a node", reason.AnswerNotTrusted: "of ledger/client", reason.BadMemberSet: "TestAbsence", reason.BadAbsence: "TestAbsence",
		reason.ReceiptMismatch: "TestMixedUp", reason.PolicyExpired: "TestTrustRefuses", reason.PolicyUnnamed: "TestTrustRefuses",
		reason.BadOCSPAnswer: "TestOCSPReads", reason.OCSPNotAnswered: "TestPeers", reason.NotAResponder: "TestOCSPSigner",
		reason.NoEvidence: "TestPeers", reason.PeerCertificate: "TestPeers", reason.PeerName: "TestPeersNames", reason.PeerUsage: "TestPeersNames"}
	for _, r := range reason.All() {
		if r.Code >= 400 && r.Code < 500 && seen[r.Slug] == 0 && elsewhere[r.Code] == "" {
			t.Errorf("no vector for %s", r.Slug)
		}
	}
}

// TestMixedUp is about callers that verify receipt and status apart.
func TestMixedUp(t *testing.T) {
	v := named(t, "good")
	w := made().four
	p := w.c.Policy()
	pub, err := verify.Receipt(p, v.Receipt, v.Cert)
	must(t, err)
	other, err := verify.Status(p, w.statusOf(w.leafOf["ACME-R"], w.size(), w.leafOf["change/3/ACME-R"]).file(), w.leafOf["ACME-R"])
	must(t, err)
	now := time.Unix(v.Now, 0)
	for want, err := range map[reason.Code]error{
		reason.ReceiptMismatch:  verify.Verdict(pub, other, v.Cert, now, time.Hour),
		reason.WrongCertificate: verify.Verdict(pub, nil, w.certs["ACME-R"], now, time.Hour),
	} {
		var e *reason.Error
		if !errors.As(err, &e) || e.Code != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
	if _, err := verify.Status(p, v.Status, pub.Leaf); err != nil {
		t.Error(err)
	}
}
