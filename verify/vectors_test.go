package verify_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/ledgertest"
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

// files spoils the form of proof files.
func (s *suite) files() {
	const bad = "bad-proof-file"
	s.text("another header", bad, "proof@v1", "proof@v2")
	s.text("no header", bad, "c2sp.org/tlog-proof@v1\n", "")
	s.text("lines ended by CR LF", bad, "@v1\n", "@v1\r\n")
	s.text("a space after the header", bad, "@v1\n", "@v1 \n")
	s.text("empty extra line", bad, "index", "extra \nindex")
	s.text("extra line after the index", bad, "index", "index 0\nextra AAAA\nindex")
	s.text("two extra lines", bad, "extra ", "extra AAAA\nextra ")
	s.text("other line", bad, "index", "more AAAA\nindex")
	s.text("index with a leading zero", bad, "index ", "index 0")
	s.text("index with a sign", bad, "index ", "index +")
	s.text("negative index", bad, "index ", "index -")
	s.text("index with a space", bad, "index ", "index  ")
	s.text("index in hex", bad, "index ", "index 0x")
	s.text("index in other digits", bad, "index ", "index \u0661")
	s.text("index with an underscore", bad, "index ", "index 1_")
	s.text("no index line", bad, "index ", "")
	s.text("empty index", bad, "index ", "index \nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")
	s.text("no empty line", bad, "\n\n", "\n")
	s.text("path with a stray line", bad, "\n\n", "\nAAAA\n\n")
	s.text("hash of 31 bytes", bad, "\n\n", "\n"+base64.StdEncoding.EncodeToString(make([]byte, 31))+"\n\n")
	s.text("hash of 33 bytes", bad, "\n\n", "\n"+base64.StdEncoding.EncodeToString(make([]byte, 33))+"\n\n")
	s.text("hash with loose bits", bad, "\n\n", "\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB=\n\n")
	s.text("hash without padding", bad, "\n\n", "\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n\n")
	s.text("hash of the URL alphabet", bad, "\n\n", "\n-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\n")
	s.text("spaces in base64", bad, "extra ", "extra  ")
	s.text("junk in base64", bad, "extra ", "extra *")
	big := func(size int) []byte { return bytes.Repeat([]byte{0x40}, size) }
	s.receipt("receipt: extra data at the limit", "bad-extra", func(d *draft) { d.extra = big(tlog.MaxExtra) })
	s.receipt("receipt: extra data over the limit", bad, func(d *draft) { d.extra = big(tlog.MaxExtra + 1) })
	s.receipt("receipt: index at the limit", "not-included", func(d *draft) { d.index = math.MaxInt64 - 1 })
	s.receipt("receipt: index over the limit", bad, func(d *draft) { d.index = math.MaxInt64 })
	s.receipt("receipt: 63 hashes", "not-included", func(d *draft) { d.path = make([]tlog.Hash, 63) })
	s.receipt("receipt: 64 hashes", bad, func(d *draft) { d.path = make([]tlog.Hash, 64) })
	s.add("receipt: empty", bad, func(v *vector) { v.Receipt = []byte{} })
	s.add("status: empty", bad, func(v *vector) { v.Status = []byte{} })
	s.add("receipt: nothing but the header", bad, func(v *vector) { v.Receipt = []byte("c2sp.org/tlog-proof@v1\n\n") })
	s.add("receipt: over 137,216 bytes", bad, func(v *vector) { v.Receipt = append(v.Receipt, make([]byte, tlog.MaxProof)...) })
	s.add("receipt: a checkpoint", bad, func(v *vector) { _, v.Receipt, _ = bytes.Cut(v.Receipt, []byte("\n\n")) })
	s.add("receipt: the status", "bad-extra", func(v *vector) { v.Receipt = v.Status })
	s.add("status: the receipt", "bad-extra", func(v *vector) { v.Status = v.Receipt })
}

// notes spoils the form of checkpoints.
func (s *suite) notes() {
	const bad = "bad-checkpoint"
	origin := s.four.c.Set.Origin(0)
	size := fmt.Sprintf("\n%d\n", s.four.size())
	s.text("body of four lines", bad, size, size+"extension\n")
	s.text("body of two lines", bad, size, "\n")
	s.text("size with a leading zero", bad, size, "\n0"+size[1:])
	s.text("size with a sign", bad, size, "\n+"+size[1:])
	s.text("negative size", bad, size, "\n-"+size[1:])
	s.text("size of 64 bits", bad, size, "\n9223372036854775808\n")
	s.text("origin with a space", bad, "\n\n"+origin, "\n\na b")
	s.text("origin with a plus", bad, "\n\n"+origin, "\n\na+b")
	s.text("origin with a tab", bad, "\n\n"+origin, "\n\na\tb")
	s.text("origin with a wide space", bad, "\n\n"+origin, "\n\na\u3000b")
	s.text("origin with a control character", bad, "\n\n"+origin, "\n\na\x01b")
	s.text("origin not UTF-8", bad, "\n\n"+origin, "\n\na\xffb")
	s.text("origin with a surrogate", bad, "\n\n"+origin, "\n\na\xed\xa0\x80b")
	s.text("no origin", bad, "\n\n"+origin, "\n\n")
	s.text("origin of 255 bytes", "wrong-origin", "\n\n"+origin, "\n\n"+strings.Repeat("o", 255))
	s.text("origin of 256 bytes", bad, "\n\n"+origin, "\n\n"+strings.Repeat("o", 256))
	s.text("origin with # and DEL", "wrong-origin", "\n\n"+origin, "\n\na#\x7f")
	s.text("hyphen for a dash", bad, "\u2014 ", "- ")
	s.text("two spaces after the dash", bad, "\u2014 ", "\u2014  ")
	s.text("three words", bad, "\u2014 ", "\u2014 a AAAAAAA= b\n\u2014 ")
	s.text("signature line without signature", bad, "\u2014 ", "\u2014 name\n\u2014 ")
	s.text("signature of a key id alone", bad, "\u2014 ", "\u2014 a AAAAAA==\n\u2014 ")
	s.text("signature of one byte", "good", "\u2014 ", "\u2014 a AAAAAAA=\n\u2014 ")
	s.text("signature with loose bits", bad, "\u2014 ", "\u2014 a AAAAAAB=\n\u2014 ")
	s.text("signature without padding", bad, "\u2014 ", "\u2014 a AAAAAAA\n\u2014 ")
	s.text("signer without a name", bad, "\u2014 ", "\u2014  AAAAAAA=\n\u2014 ")
	s.text("signer with a plus", bad, "\u2014 ", "\u2014 a+b AAAAAAA=\n\u2014 ")
	s.text("signer with a tab", bad, "\u2014 ", "\u2014 a\tb AAAAAAA=\n\u2014 ")
	s.text("signer with a next-line", bad, "\u2014 ", "\u2014 a\u0085b AAAAAAA=\n\u2014 ")
	s.text("signer not UTF-8", bad, "\u2014 ", "\u2014 a\xff AAAAAAA=\n\u2014 ")
	s.text("empty line among signatures", bad, "\u2014 ", "\u2014 a AAAAAAA=\n\n\u2014 ")
	cut := func(v *vector, keep func(head, note []byte) []byte) {
		head, note, _ := bytes.Cut(v.Receipt, []byte("\n\n"))
		v.Receipt = slices.Concat(head, []byte("\n\n"), keep(head, note))
	}
	s.add("note: empty", bad, func(v *vector) { cut(v, func(_, _ []byte) []byte { return nil }) })
	s.add("note: last line not ended", bad, func(v *vector) { v.Receipt = v.Receipt[:len(v.Receipt)-1] })
	s.add("note: a line too many", bad, func(v *vector) { v.Receipt = append(slices.Clone(v.Receipt), '\n') })
	s.add("note: no signatures", bad, func(v *vector) {
		cut(v, func(_, note []byte) []byte { return note[:bytes.Index(note, []byte("\n\n"))+2] })
	})
	s.add("note: root of 31 bytes", bad, func(v *vector) {
		cut(v, func(_, note []byte) []byte {
			lines := bytes.SplitN(note, []byte("\n"), 4)
			lines[2] = []byte(base64.StdEncoding.EncodeToString(make([]byte, 31)))
			return bytes.Join(lines, []byte("\n"))
		})
	})
	s.both("size of 64 bits, signed", bad, func(d *draft) { d.c.Size = 1 << 63 })
	s.receipt("note: size of 63 bits, signed", "not-included", func(d *draft) { d.c.Size = 1<<63 - 1 })
	s.receipt("note: root of 31 bytes, signed", bad, func(d *draft) {
		// Written by hand, for a draft's root has 32 bytes.
		body := strings.Join(strings.SplitAfter(d.c.Body(), "\n")[:2], "") + base64.StdEncoding.EncodeToString(make([]byte, 31)) + "\n"
		seal := func(sig tlog.Signature, key string, prefix string) string {
			raw := binary.BigEndian.AppendUint32(nil, sig.ID)
			raw = append(raw, sig.Bytes[:len(sig.Bytes)-ed25519.SignatureSize]...)
			raw = append(raw, ed25519.Sign(d.w.c.Key(key), []byte(prefix+body))...)
			return "\u2014 " + sig.Name + " " + base64.StdEncoding.EncodeToString(raw) + "\n"
		}
		note := body + "\n" + seal(tlog.SignCheckpoint(d.c, d.c.Origin, d.w.c.Key("ca-a/log")), "ca-a/log", "")
		for _, m := range d.members {
			note += seal(tlog.Cosign(d.c, m.name, uint64(m.time), d.w.c.Key(m.key)), m.key, fmt.Sprintf("cosignature/v1\ntime %d\n", m.time))
		}
		d.raw = []byte(note)
	})
	stranger := tlog.Signature{Name: "stranger", ID: 1, Bytes: []byte{1}}
	s.receipt("note: 100 signatures", "good", func(d *draft) { d.lines = slices.Repeat([]tlog.Signature{stranger}, 96) })
	s.receipt("note: 101 signatures", bad, func(d *draft) { d.lines = slices.Repeat([]tlog.Signature{stranger}, 97) })
	fill := func(d *draft, size int) {
		room := size - len(d.note()) - len("\u2014 s \n") // of base64, the name takes what is left of a multiple of 4
		d.lines = []tlog.Signature{{Name: "s" + strings.Repeat("s", room%4), ID: 1, Bytes: make([]byte, room/4*3-4)}}
		if len(d.note()) != size {
			panic(len(d.note()))
		}
	}
	s.receipt("note: 65,536 bytes", "good", func(d *draft) { fill(d, tlog.MaxNote) })
	s.receipt("note: 65,537 bytes", bad, func(d *draft) { fill(d, tlog.MaxNote+1) })
}

// both spoils the receipt, and in another vector the status.
func (s *suite) both(name, want string, spoil func(*draft)) {
	s.receipt("receipt: "+name, want, spoil)
	s.status("status: "+name, want, spoil)
}

// checkpoints spoils who signed what.
func (s *suite) checkpoints() {
	w := s.four
	s.both("q-1 cosignatures", "quorum-not-reached", func(d *draft) { d.members = d.members[:2] })
	s.both("no cosignatures", "quorum-not-reached", func(d *draft) { d.members = nil })
	s.both("one member twice", "duplicate-cosigner", func(d *draft) { d.members[2] = d.members[1] })
	s.both("one member twice, beyond the quorum", "duplicate-cosigner", func(d *draft) { d.members = append(d.members, d.members[1]) })
	s.both("one member twice, at two times", "duplicate-cosigner", func(d *draft) {
		d.members = append(d.members, d.members[1])
		d.members[3].time++
	})
	s.both("a key outside the policy", "quorum-not-reached", func(d *draft) { d.members[2].key = "device/ACME-A" })
	s.both("a member under another member's name", "quorum-not-reached", func(d *draft) { d.members[2].name = d.members[1].name })
	s.both("a member under the log's name", "quorum-not-reached", func(d *draft) { d.members[2].name = d.c.Origin })
	s.both("a member by its log key", "quorum-not-reached", func(d *draft) { d.members[2].key = "ca-c/log" })
	s.both("cosignatures over another root", "bad-checkpoint", func(d *draft) {
		d.lines = []tlog.Signature{tlog.SignCheckpoint(d.c, d.c.Origin, w.c.Key("ca-a/log"))}
		d.logs, d.signed = nil, &tlog.Checkpoint{Origin: d.c.Origin, Size: d.c.Size, Root: tlog.Hash{1}}
	})
	s.both("cosignatures over another size", "bad-checkpoint", func(d *draft) {
		d.lines = []tlog.Signature{tlog.SignCheckpoint(d.c, d.c.Origin, w.c.Key("ca-a/log"))}
		d.logs, d.signed = nil, &tlog.Checkpoint{Origin: d.c.Origin, Size: d.c.Size + 1, Root: d.c.Root}
	})
	s.both("one member's cosignature is over another root, beyond the quorum", "bad-checkpoint", func(d *draft) {
		d.lines = []tlog.Signature{tlog.Cosign(tlog.Checkpoint{Origin: d.c.Origin, Size: d.c.Size}, w.c.Set.CosignerName("ca-d"), uint64(asOf), w.c.Key("ca-d/cosigning"))}
	})
	s.both("log signature over another root", "bad-checkpoint", func(d *draft) {
		other := tlog.Checkpoint{Origin: d.c.Origin, Size: d.c.Size}
		d.logs, d.lines = nil, []tlog.Signature{tlog.SignCheckpoint(other, d.c.Origin, w.c.Key("ca-a/log"))}
	})
	s.both("a second log signature, not valid", "bad-checkpoint", func(d *draft) {
		d.lines = []tlog.Signature{tlog.SignCheckpoint(tlog.Checkpoint{Origin: d.c.Origin}, d.c.Origin, w.c.Key("ca-b/log"))}
	})
	s.both("one log key twice", "bad-checkpoint", func(d *draft) { d.logs = []string{"ca-a/log", "ca-a/log"} })
	s.both("no log signature", "no-log-signature", func(d *draft) { d.logs = nil })
	s.both("log signature by a stranger", "no-log-signature", func(d *draft) { d.logs = []string{"ca-a/block"} })
	s.both("log signature by a cosigning key", "no-log-signature", func(d *draft) { d.logs = []string{"ca-a/cosigning"} })
	s.both("log signature under another name", "no-log-signature", func(d *draft) {
		sig := tlog.SignCheckpoint(d.c, d.c.Origin, w.c.Key("ca-a/log"))
		sig.Name += "1"
		d.logs, d.lines = nil, []tlog.Signature{sig}
	})
	s.both("log signature of 63 bytes", "bad-checkpoint", func(d *draft) {
		sig := tlog.SignCheckpoint(d.c, d.c.Origin, w.c.Key("ca-a/log"))
		sig.Bytes = sig.Bytes[:63]
		d.logs, d.lines = nil, []tlog.Signature{sig}
	})
	for name, origin := range map[string]string{"of another channel": "test.example/other/0", "of another log": "test.example/main/1",
		"of another consortium": "other.example/main/0", "of no log": "x"} {
		s.both("origin "+name, "wrong-origin", func(d *draft) { d.c.Origin = origin })
	}
	cosig := func(change func([]byte) []byte) func(*draft) {
		return func(d *draft) {
			sig := tlog.Cosign(d.c, d.members[2].name, uint64(asOf), w.c.Key(d.members[2].key))
			sig.Bytes = change(sig.Bytes)
			d.members, d.lines = d.members[:2], []tlog.Signature{sig}
		}
	}
	s.both("cosignature of 71 bytes", "bad-checkpoint", cosig(func(b []byte) []byte { return b[:71] }))
	s.both("cosignature of 73 bytes", "bad-checkpoint", cosig(func(b []byte) []byte { return append(b, 0) }))
	s.both("cosignature without a time", "bad-checkpoint", cosig(func(b []byte) []byte { return b[8:] }))
	s.both("cosignature of one byte", "bad-checkpoint", cosig(func(b []byte) []byte { return b[:1] }))
	s.both("cosignature with a newer time", "bad-checkpoint", cosig(func(b []byte) []byte {
		binary.BigEndian.PutUint64(b, uint64(asOf)+1)
		return b
	}))
	s.both("cosignature with S over the order", "bad-checkpoint", cosig(func(b []byte) []byte {
		order := []byte{0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 31: 0x10}
		carry := 0
		for i, o := range order {
			carry += int(b[40+i]) + int(o)
			b[40+i], carry = byte(carry), carry>>8
		}
		return b
	}))
	s.both("cosignature that is a log signature", "bad-checkpoint", cosig(func([]byte) []byte {
		return append(make([]byte, 8), make([]byte, 64)...)
	}))
	s.both("cosignature at time 0", "bad-checkpoint", times(asOf, asOf, 0))
	s.both("cosignature at time 2^63", "bad-checkpoint", times(asOf, asOf, math.MinInt64))
	s.status("cosignature at time 1", "stale", times(1, 1, asOf))
	s.status("cosignature at time 2^63-1", "from-the-future", times(math.MaxInt64, math.MaxInt64, math.MaxInt64))
	s.status("cosignature at time 2^63-1, one", "good", times(asOf, math.MaxInt64, asOf))
	// f = 1: the second latest time counts.
	old := asOf - 86400
	s.status("one liar of four says that an old tree is new", "stale", times(old, asOf, old))
	s.status("one liar of four, all cosigned", "stale", times(old, old, asOf, old))
	s.status("two of four swore to a new time", "good", times(asOf, old, asOf))
	s.status("one liar of four is in the future", "good", times(asOf+9999, asOf, asOf))
	s.status("two of four are in the future", "from-the-future", times(asOf+9999, asOf, asOf+9999))
	s.receipt("good: a receipt of any time", "good", times(old, 1, old))
}

// inclusion spoils paths.
func (s *suite) inclusion() {
	const bad = "not-included"
	w := s.four
	s.both("index of another leaf", bad, func(d *draft) { d.index-- })
	s.both("index one more", bad, func(d *draft) { d.index++ })
	s.both("path one short", bad, func(d *draft) { d.path = d.path[:len(d.path)-1] })
	s.both("path one long", bad, func(d *draft) { d.path = append(d.path, tlog.Hash{}) })
	s.both("no path", bad, func(d *draft) { d.path = nil })
	s.both("path in another order", bad, func(d *draft) { slices.Reverse(d.path) })
	s.both("path with one bit changed", bad, func(d *draft) { d.path[1][31] ^= 1 })
	s.both("root of another tree", bad, func(d *draft) { d.c.Root = tree(w.leaves[:w.size()-1]).Root() })
	s.both("path of another size", bad, func(d *draft) { d.path = tree(w.leaves[:w.sizes[1]]).Path(min(d.index, w.sizes[1]-1)) })
	s.both("empty tree", bad, func(d *draft) { d.c.Size, d.c.Root = 0, tlog.Root(nil) })
	s.receipt("receipt: path too long for its tree", bad, func(d *draft) {
		h := tlog.LeafHash(w.leaves[d.index])
		d.index, d.path, d.c.Size, d.c.Root = 0, []tlog.Hash{{1}}, 1, tlog.NodeHash(tlog.Hash{1}, h)
	})
	s.receipt("receipt: path too short for its tree", bad, func(d *draft) {
		d.path, d.c.Root = d.path[:0], tlog.LeafHash(w.leaves[d.index])
	})
	s.receipt("receipt: index is the size", bad, func(d *draft) {
		d.index, d.path, d.c.Size, d.c.Root = 1, nil, 1, tlog.LeafHash(w.leaves[d.index])
	})
	s.receipt("receipt of a tree of one leaf", "status-not-checked", func(d *draft) {
		d.index, d.path, d.c.Size, d.c.Root = 0, nil, 1, tlog.LeafHash(w.leaves[d.index])
	})
	last := &s.vectors[len(s.vectors)-1]
	last.Status = nil
	s.add("receipt of another leaf", bad, func(v *vector) {
		v.Receipt = w.receiptOf(w.leafOf["ACME-K"], w.size(), w.certs["ACME-K"]).file()
	})
	s.add("another certificate", bad, func(v *vector) { v.Cert = w.certs["ACME-K"] })
	s.add("a certificate with a byte more", bad, func(v *vector) { v.Cert = append(slices.Clone(v.Cert), 0) })
	s.add("a certificate with a byte less", bad, func(v *vector) { v.Cert = v.Cert[:len(v.Cert)-1] })
	s.add("no certificate", "bad-certificate-file", func(v *vector) { v.Cert = nil })
	s.add("a certificate at the limit", bad, func(v *vector) { v.Cert = make([]byte, 8192) })
	s.add("a certificate over the limit", "bad-certificate-file", func(v *vector) { v.Cert = make([]byte, 8193) })
	s.add("no certificate, the whole entry in the receipt", "bad-certificate-file", func(v *vector) {
		leaf := w.leafOf["ACME-A"]
		v.Receipt = w.receiptOf(leaf, w.size(), v.Cert).do(func(d *draft) { d.receipt.Before, d.receipt.After = w.leaves[leaf], []byte{} })
		v.Cert = nil
	})
	s.status("status: an older epoch under a newer checkpoint", "epoch-not-last", func(d *draft) {
		o := w.statusOf(w.leafOf["ACME-A"], w.sizes[3], 0)
		d.status, d.index, d.path = o.status, o.index, tree(w.leaves).Path(o.index)
	})
	s.status("status: an older epoch at the end of a newer tree", bad, func(d *draft) {
		d.status = w.statusOf(w.leafOf["ACME-A"], w.sizes[3], 0).status
	})
}

// encoded gives ways to spoil a CBOR map of small keys.
func encoded(m map[uint64]any) map[string][]byte {
	raw := ledger.Encode(m)
	more := maps.Clone(m)
	more[99] = uint64(0)
	keys := slices.Sorted(maps.Keys(m))
	first := ledger.Encode(keys[0])
	var rest []byte
	for _, k := range keys[1:] {
		rest = slices.Concat(rest, ledger.Encode(k), ledger.Encode(m[k]))
	}
	one := ledger.Encode(m[keys[0]])
	n := byte(len(keys))
	swapped := slices.Concat([]byte{0xa0 | n}, rest, first, one)
	fewer := maps.Clone(m)
	delete(fewer, keys[len(keys)-1])
	return map[string][]byte{
		"a trailing byte":       append(slices.Clone(raw), 0),
		"cut short":             raw[:len(raw)-1],
		"a key too many":        ledger.Encode(more),
		"a key missing":         ledger.Encode(fewer),
		"keys out of order":     swapped,
		"a key twice":           slices.Concat([]byte{0xa0 | (n + 1)}, first, one, first, one, rest),
		"a long key":            slices.Concat([]byte{0xa0 | n, 0x18}, first, one, rest),
		"an indefinite map":     slices.Concat([]byte{0xbf}, raw[1:], []byte{0xff}),
		"a long map":            slices.Concat([]byte{0xb8, n}, raw[1:]),
		"a tag":                 slices.Concat([]byte{0xc1}, raw),
		"null":                  {0xf6},
		"a number":              {0x00},
		"an array":              {0x80},
		"a text":                {0x60},
		"a float":               {0xf9, 0, 0},
		"false":                 {0xf4},
		"bytes inside bytes":    ledger.Encode(raw),
		"reserved length":       {0xbc},
		"a length of 64 bits":   {0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
		"a number for a key":    slices.Concat([]byte{0xa1}, []byte{0x41, 1}, one),
		"a list of the values":  ledger.Encode(slices.Collect(maps.Values(m))),
		"nested without end":    bytes.Repeat([]byte{0x81}, 20000),
		"an array for a key":    slices.Concat([]byte{0xa1, 0x80}, one),
		"a negative number":     {0x20},
		"an indefinite string":  {0x5f, 0x41, 0, 0xff},
		"the first value null":  slices.Concat([]byte{0xa0 | n}, first, []byte{0xf6}, rest),
		"the first value false": slices.Concat([]byte{0xa0 | n}, first, []byte{0xf4}, rest),
	}
}

func hashes(n int) [][]byte { return slices.Repeat([][]byte{make([]byte, 32)}, n) }

// extras spoils extra data.
func (s *suite) extras() {
	const bad = "bad-extra"
	w := s.four
	d := w.receiptOf(w.leafOf["ACME-A"], w.size(), w.certs["ACME-A"])
	r := func() map[uint64]any { return map[uint64]any{1: uint64(1), 2: d.receipt.Before, 3: d.receipt.After} }
	set := func(m map[uint64]any, k uint64, v any) map[uint64]any { m[k] = v; return m }
	for name, raw := range encoded(r()) {
		s.receipt("receipt extra: "+name, bad, func(d *draft) { d.extra = raw })
	}
	for name, m := range map[string]map[uint64]any{
		"version 0":         set(r(), 1, uint64(0)),
		"version 2":         set(r(), 1, uint64(2)),
		"a salt":            set(r(), 5, make([]byte, 16)),
		"an empty salt":     set(r(), 5, []byte{}),
		"no member sets":    set(r(), 4, [][]byte{}),
		"member sets null":  set(r(), 4, nil),
		"1,026 member sets": set(r(), 4, slices.Repeat([][]byte{{}}, 1026)),
		"text for bytes":    set(r(), 3, string(d.receipt.After[:0])),
		"array for bytes":   set(r(), 3, []uint64{1, 2}),
		"number for bytes":  set(r(), 2, uint64(3)),
	} {
		s.receipt("receipt extra: "+name, bad, func(d *draft) { d.extra = ledger.Encode(m) })
	}
	s.receipt("receipt extra: 1,025 member sets", "good", func(d *draft) { d.extra = ledger.Encode(set(r(), 4, slices.Repeat([][]byte{{}}, 1025))) })
	s.receipt("receipt extra: none", bad, func(d *draft) { d.receipt = nil })
	s.receipt("receipt extra: a longer head", bad, func(d *draft) {
		raw := ledger.Encode(d.receipt)
		d.extra = slices.Concat(raw[:3], []byte{0x59, 0, raw[4]}, raw[5:]) // 0x58 n is the head of key 2
	})
	g := w.statusOf(w.leafOf["ACME-A"], w.size(), 0).status
	path := func(in []tlog.Hash) (out [][]byte) {
		out = [][]byte{}
		for _, h := range in {
			out = append(out, h[:])
		}
		return out
	}
	x := func() map[uint64]any {
		return map[uint64]any{1: uint64(1), 2: g.Epoch, 3: g.Number, 4: g.Chunk, 5: path(g.Path)}
	}
	for name, raw := range encoded(x()) {
		s.status("status extra: "+name, bad, func(d *draft) { d.extra = raw })
	}
	c := w.cause(w.leafOf["change/3/ACME-R"], w.size())
	for name, m := range map[string]map[uint64]any{
		"version 0":               set(x(), 1, uint64(0)),
		"version 2":               set(x(), 1, uint64(2)),
		"a hash of 31 bytes":      set(x(), 5, [][]byte{make([]byte, 31)}),
		"a hash of 33 bytes":      set(x(), 5, [][]byte{make([]byte, 33)}),
		"path null":               set(x(), 5, nil),
		"path of 1,026 hashes":    set(x(), 5, hashes(1026)),
		"chunk number negative":   set(x(), 3, int64(-1)),
		"chunk null":              set(x(), 4, nil),
		"cause null":              set(x(), 6, nil),
		"cause empty":             set(x(), 6, []any{}),
		"cause of two":            set(x(), 6, []any{c.Index, c.Entry}),
		"cause of four":           set(x(), 6, []any{c.Index, c.Entry, path(c.Path), uint64(0)}),
		"cause with a short hash": set(x(), 6, []any{c.Index, c.Entry, [][]byte{make([]byte, 31)}}),
		"cause a map":             set(x(), 6, map[uint64]any{0: c.Index, 1: c.Entry, 2: path(c.Path)}),
		"cause path null":         set(x(), 6, []any{c.Index, c.Entry, nil}),
		"cause entry null":        set(x(), 6, []any{c.Index, nil, path(c.Path)}),
		"a reserved key":          set(x(), 7, []byte{}),
	} {
		s.status("status extra: "+name, bad, func(d *draft) { d.extra = ledger.Encode(m) })
	}
	s.status("status extra: none", bad, func(d *draft) { d.status = nil })
	s.status("status extra: path of 1,025 hashes", "chunk-not-in-root", func(d *draft) { d.status.Path = make([]tlog.Hash, 1025) })
}

// effects of a publication in the history, as a map.
func (s *suite) effects() map[uint64]any {
	entry, err := ledger.ParseEntry(s.four.leaves[s.four.leafOf["ACME-A"]])
	if err != nil {
		panic(err)
	}
	e := entry.Op.Effects
	return map[uint64]any{1: e.Owner[:], 2: e.Evidence, 3: *e.Protection, 4: e.Possession, 5: []any{[]uint64{e.Runs[0].First, 1, 1}}, 6: e.Voucher[:],
		7: [][]byte{e.Namespaces[0][:]}, 8: e.Profile, 9: e.Device[:], 10: uint64(e.Time), 13: e.Rules}
}

func opLeaf(body []byte, effects any) []byte {
	return ledger.Encode([]any{uint64(1), uint64(2), map[uint64]any{1: uint64(7), 2: uint64(0), 3: body, 4: effects}})
}

// entries has the certificate in entries that do not publish it.
func (s *suite) entries() {
	const bad = "not-a-publication"
	der := s.vectors[0].Cert
	fx := s.effects
	set := func(m map[uint64]any, k uint64, v any) map[uint64]any {
		if v == nil {
			delete(m, k)
		} else {
			m[k] = v
		}
		return m
	}
	body := ledgertest.Publish(der)
	target := make([]byte, 32)
	change := func(m map[uint64]any) []byte {
		all := map[uint64]any{1: uint64(1), 2: uint64(2), 3: target, 5: uint64(4), 8: der}
		maps.Copy(all, m)
		return ledger.Encode([]any{uint64(2), all})
	}
	s.entry("entry: the same publication again", "good", opLeaf(body, fx()))
	s.entry("entry: with reserved effects", "good", opLeaf(body, set(set(fx(), 11, []any{make([]byte, 16), uint64(3)}), 12, make([]byte, 16))))
	s.entry("entry: effects of zero bytes", "good", opLeaf(body, set(set(set(fx(), 1, make([]byte, 16)), 6, target), 9, target)))
	s.entry("entry: effects of 1,000 runs", "good", opLeaf(body, set(fx(), 5, slices.Repeat([]any{[]uint64{0, 0, 0}}, 1000))))
	s.entry("entry: effects with few keys", "good", opLeaf(body, map[uint64]any{10: uint64(0), 13: uint64(0)}))
	s.entry("entry: large numbers", "good", opLeaf(body, set(set(fx(), 10, uint64(math.MaxUint64)), 8, uint64(math.MaxUint64))))
	s.entry("entry: an unknown profile", "good", opLeaf(ledger.EncodeBody(ledger.OpPublish, ledger.Publish{Profile: math.MaxUint64, Certificate: der}), fx()))

	s.entry("entry: a transaction posing as a publication", bad, (&ledger.TxLeaf{Envelope: body, Codes: []reason.Code{0}}).Encode())
	s.entry("entry: a transaction leaf that is a publication's op leaf inside", bad, (&ledger.TxLeaf{Envelope: opLeaf(body, fx()), Codes: []reason.Code{0}}).Encode())
	s.entry("entry: kind 1 with an op leaf", bad, ledger.Encode([]any{uint64(1), uint64(1), map[uint64]any{1: uint64(7), 2: uint64(0), 3: body, 4: fx()}}))
	s.entry("entry: an epoch posing as a publication", bad, (&ledger.Epoch{Header: ledger.SignedHeader{Header: body, Signature: []byte{}}, Leafless: []ledger.Leafless{}}).Encode())
	s.entry("entry: a status change posing as a publication", bad, opLeaf(change(nil), fx()))
	s.entry("entry: a line key posing as a publication", bad, opLeaf(ledger.EncodeBody(ledger.OpLineKey, ledger.LineKey{SPKI: der, Possession: der,
		Namespaces: []ledger.OrgID{}, Profiles: []uint64{}}), fx()))
	s.entry("entry: an organisation posing as a publication", bad, opLeaf(ledger.EncodeBody(ledger.OpOrganisation, ledger.Organisation{AdminKeys: [][]byte{der}, Profiles: []uint64{}}), fx()))
	s.entry("entry: a consortium posing as a publication", bad, opLeaf(ledger.EncodeBody(ledger.OpConsortium, ledger.Consortium{MemberSet: der}), fx()))
	s.entry("entry: an unknown operation", bad, opLeaf(ledger.Encode([]any{uint64(8), map[uint64]any{1: uint64(1), 2: der}}), fx()))
	s.rekeys(der, fx())
	s.entry("entry: the certificate alone", bad, der)
	s.entry("entry: the body alone", bad, body)
	s.entry("entry: certificate and commitment", bad, opLeaf(ledger.Encode([]any{uint64(1), map[uint64]any{1: uint64(1), 2: der, 3: target}}), fx()))
	for name, raw := range encoded(map[uint64]any{1: uint64(1), 2: der}) {
		if bytes.Contains(raw, der) {
			s.entry("entry, publication: "+name, bad, opLeaf(slices.Concat([]byte{0x82, 1}, raw), fx()))
		}
	}
	s.entry("entry: body with a byte more", bad, opLeaf(append(slices.Clone(body), 0), fx()))
	s.entry("entry: body of three", bad, opLeaf(ledger.Encode([]any{uint64(1), map[uint64]any{1: uint64(1), 2: der}, uint64(0)}), fx()))

	s.entry("entry: a certificate within another", "wrong-certificate", opLeaf(ledgertest.Publish(slices.Concat([]byte{0}, der, []byte{0})), fx()))
	s.entry("entry: a certificate at the end of another", "wrong-certificate", opLeaf(ledgertest.Publish(slices.Concat([]byte{0}, der)), fx()))
	filled := func(n int) []byte { return ledgertest.Publish(slices.Concat(der, make([]byte, n-len(der)-9))) } // a head of 9
	s.entry("entry: a body at the limit", "wrong-certificate", opLeaf(filled(ledger.MaxBody), fx()))
	s.entry("entry: a body over the limit", bad, opLeaf(filled(ledger.MaxBody+1), fx()))
	s.add("entry: a commitment as the certificate", "wrong-certificate", func(v *vector) {
		w := s.four
		leaf := w.leafOf["ACME-A"]
		v.Cert = bytes.Repeat([]byte{0xcc}, 32)
		other := w.with(map[uint64][]byte{leaf: opLeaf(ledger.Encode([]any{uint64(1), map[uint64]any{1: uint64(1), 3: v.Cert}}), fx())})
		v.Receipt = other.receiptOf(leaf, w.size(), v.Cert).file()
	})

	for name, e := range map[string]any{
		"unknown key":           set(fx(), 15, uint64(1)),
		"no time":               set(fx(), 10, nil),
		"no rule version":       set(fx(), 13, nil),
		"owner of 15 bytes":     set(fx(), 1, make([]byte, 15)),
		"evidence 0":            set(fx(), 2, uint64(0)),
		"possession 0":          set(fx(), 4, uint64(0)),
		"no runs":               set(fx(), 5, []any{}),
		"1,001 runs":            set(fx(), 5, slices.Repeat([]any{[]uint64{0, 0, 0}}, 1001)),
		"status 4":              set(fx(), 5, []any{[]uint64{0, 1, 4}}),
		"status 256":            set(fx(), 5, []any{[]uint64{0, 1, 256}}),
		"run of two":            set(fx(), 5, []any{[]uint64{0, 1}}),
		"the reserved run form": set(fx(), 5, []any{uint64(1), target}),
		"voucher of 31 bytes":   set(fx(), 6, make([]byte, 31)),
		"no namespaces":         set(fx(), 7, [][]byte{}),
		"profile 0":             set(fx(), 8, uint64(0)),
		"device of 33 bytes":    set(fx(), 9, make([]byte, 33)),
		"time negative":         set(fx(), 10, int64(-1)),
		"batch of one":          set(fx(), 11, []any{make([]byte, 16)}),
		"custodian of 17 bytes": set(fx(), 12, make([]byte, 17)),
		"authority 0":           set(fx(), 14, uint64(0)),
		"a list":                []any{},
	} {
		s.entry("entry, effects: "+name, bad, opLeaf(body, e))
	}
	raw := opLeaf(body, fx())
	s.entry("entry: a byte more", bad, append(slices.Clone(raw), 0))
	s.entry("entry: a long head", bad, slices.Concat([]byte{0x98, 3}, raw[1:]))
	s.entry("entry: a long version", bad, slices.Concat([]byte{0x83, 0x18, 1}, raw[2:]))
	s.entry("entry: indefinite", bad, slices.Concat([]byte{0x9f}, raw[1:], []byte{0xff}))
	s.entry("entry: version 2", bad, slices.Concat([]byte{0x83, 2}, raw[2:]))
	s.entry("entry: kind 4", bad, slices.Concat([]byte{0x83, 1, 4}, raw[3:]))
	s.entry("entry: of four", bad, slices.Concat([]byte{0x84}, raw[1:], []byte{0}))
	s.entry("entry: no position", bad, ledger.Encode([]any{uint64(1), uint64(2), map[uint64]any{1: uint64(7), 3: body, 4: fx()}}))
}

// rekeyBody is a rekey with a certificate in it.
func rekeyBody(der []byte, changes map[uint64]any) []byte {
	spki := []byte{1, 2, 3}
	target := ledger.Sum(spki)
	all := map[uint64]any{1: uint64(1), 2: der, 3: target[:], 4: uint64(9), 5: int64(-8), 6: make([]byte, 64), 7: spki, 8: make([]byte, 32)}
	for k, v := range changes {
		if all[k] = v; v == nil {
			delete(all, k)
		}
	}
	return ledger.Encode([]any{uint64(3), all})
}

// rekeys has the certificate in rekeys, which publish it, and in other steps of a device's life, which do not.
func (s *suite) rekeys(der []byte, fx map[uint64]any) {
	const bad = "not-a-publication"
	hash, spki := make([]byte, 32), []byte{9}
	for name, c := range map[string]map[uint64]any{
		"whole": {}, "by the owner alone": {7: nil}, "without evidence": {8: nil}, "an unknown profile": {1: uint64(math.MaxUint64)}, "an algorithm to come": {5: int64(1) << 40},
		"the least algorithm": {5: int64(math.MinInt64)}, "a proof at the limit": {6: make([]byte, 1024)},
	} {
		s.entry("entry: a rekey, "+name, "good", opLeaf(rekeyBody(der, c), fx))
	}
	for name, c := range map[string]map[uint64]any{
		"no profile": {1: nil}, "no target": {3: nil}, "target of 31 bytes": {3: hash[1:]}, "follows nothing": {4: nil}, "no algorithm": {5: nil},
		"an algorithm too large": {5: uint64(1) << 63}, "no proof": {6: nil}, "a short proof": {6: make([]byte, 63)}, "a long proof": {6: make([]byte, 1025)},
		"SPKI of another": {7: spki}, "SPKI empty": {7: []byte{}}, "evidence of 33 bytes": {8: make([]byte, 33)}, "evidence empty": {8: []byte{}}, "an unknown key": {9: uint64(1)},
	} {
		s.entry("entry: a rekey, "+name, bad, opLeaf(rekeyBody(der, c), fx))
	}
	s.entry("entry: a rekey to another certificate", "wrong-certificate", opLeaf(rekeyBody([]byte{1}, map[uint64]any{7: nil, 6: slices.Concat(der, make([]byte, 64))[:min(1024, len(der)+64)]}), fx))
	claim := map[uint64]any{1: hash, 2: uint64(9), 3: der, 4: int64(-8), 5: make([]byte, 64)}
	of := ledger.Sum(der)
	claim[1] = of[:]
	s.entry("entry: a claim posing as a publication", bad, opLeaf(ledger.Encode([]any{uint64(5), claim}), fx))
	s.entry("entry: a rekey by the number of a publication", bad, opLeaf(slices.Concat([]byte{0x82, 1}, rekeyBody(der, nil)[2:]), fx))
	s.entry("entry: a publication by the number of a rekey", bad, opLeaf(slices.Concat([]byte{0x82, 3}, ledgertest.Publish(der)[2:]), fx))

	// A rekey makes its own leaf good, which is no change of it.
	w := s.four
	leaf := w.leafOf["ACME-A"]
	other := w.with(map[uint64][]byte{leaf: opLeaf(rekeyBody(der, nil), fx)})
	for cause, want := range map[uint64]string{0: "good", leaf: "bad-cause"} {
		s.add(fmt.Sprintf("cause: a rekey's own leaf is %v", cause == leaf), want, func(v *vector) {
			v.Receipt = other.receiptOf(leaf, w.size(), v.Cert).file()
			v.Status = other.statusOf(leaf, w.size(), cause).file()
		})
	}
}

// statuses spoils epochs and chunks.
func (s *suite) statuses() {
	w := s.four
	leaf, end := w.leafOf["ACME-A"], w.size()-1
	entry, err := ledger.ParseEntry(w.leaves[end])
	if err != nil {
		panic(err)
	}
	real := *entry.Epoch
	epoch := func(change func(*ledger.Epoch)) []byte {
		e := real
		change(&e)
		return e.Encode()
	}
	s.epoch("epoch: the only leaf of its block", "good", epoch(func(e *ledger.Epoch) { e.First = end }))
	s.epoch("epoch: begins at leaf 0", "good", epoch(func(e *ledger.Epoch) { e.First = 0 }))
	s.epoch("epoch: another rule version and member set", "good", epoch(func(e *ledger.Epoch) { e.Rules, e.MemberSet = 9, ledger.Hash{} }))
	s.epoch("epoch: with the reserved key", "good", epoch(func(e *ledger.Epoch) { e.Keys = &ledger.Hash{} }))
	s.epoch("epoch: a header that is none", "good", epoch(func(e *ledger.Epoch) { e.Header = ledger.SignedHeader{Header: []byte{}, Signature: []byte{1}} }))
	s.epoch("epoch: 256 transactions without a leaf", "good", epoch(func(e *ledger.Epoch) { e.Leafless = make([]ledger.Leafless, 256) }))
	s.epoch("epoch: begins after itself", "epoch-mismatch", epoch(func(e *ledger.Epoch) { e.First = end + 1 }))
	s.epoch("epoch: begins at 2^64-1", "epoch-mismatch", epoch(func(e *ledger.Epoch) { e.First = math.MaxUint64 }))
	const none = "not-an-epoch"
	s.epoch("epoch: 257 transactions without a leaf", none, epoch(func(e *ledger.Epoch) { e.Leafless = make([]ledger.Leafless, 257) }))
	s.epoch("epoch: a publication in its place", none, w.leaves[leaf])
	s.epoch("epoch: a transaction in its place", none, w.leaves[leaf-1])
	s.epoch("epoch: nothing in its place", none, []byte{})
	s.epoch("epoch: a byte more", none, append(epoch(func(*ledger.Epoch) {}), 0))
	m := func() map[uint64]any {
		return map[uint64]any{1: [][]byte{real.Header.Header, real.Header.Signature}, 2: real.First, 3: real.StatusRoot[:], 4: real.Rules, 5: real.MemberSet[:], 6: []any{}}
	}
	for name, raw := range encoded(m()) {
		s.epoch("epoch: "+name, none, slices.Concat([]byte{0x83, 1, 3}, raw))
	}
	for name, change := range map[string]map[uint64]any{"leafless null": {6: nil}, "leafless of one": {6: []any{[]any{uint64(0)}}}, "status root of 31 bytes": {3: make([]byte, 31)},
		"header a map": {1: map[uint64]any{}}, "first negative": {2: int64(-1)}, "reserved key of 31 bytes": {7: make([]byte, 31)}, "header of one": {1: [][]byte{{}}}} {
		e := m()
		maps.Copy(e, change)
		s.epoch("epoch: "+name, none, ledger.Encode([]any{uint64(1), uint64(3), e}))
	}
	s.epoch("epoch: kind 2", none, ledger.Encode([]any{uint64(1), uint64(2), m()}))
	s.epoch("epoch: version 2", none, ledger.Encode([]any{uint64(2), uint64(3), m()}))
	s.status("status: a checkpoint in the middle of a block", none, func(d *draft) {
		o := w.draft(w.size()-2, w.size()-1)
		d.index, d.path, d.c, d.status.Epoch = o.index, o.path, o.c, w.leaves[o.index]
	})

	// An epoch before the leaf, and one in its very place in another history of the same members.
	s.status("status: an epoch before the leaf", "leaf-not-covered", func(d *draft) { *d = *w.statusOf(0, w.sizes[0], 0) })
	fork := w.with(map[uint64][]byte{leaf: epoch(func(e *ledger.Epoch) { e.First = 0 })})
	fork.leaves, fork.chunks = fork.leaves[:leaf+1], map[uint64][]ledger.Chunk{leaf: make([]ledger.Chunk, 1)}
	s.status("status: an epoch in the leaf's place", "leaf-not-covered", func(d *draft) { *d = *fork.statusOf(0, leaf+1, 0) })
	s.add("status: an old checkpoint for a new leaf", "leaf-not-covered", func(v *vector) {
		v.Cert = w.certs["ACME-A2"]
		v.Receipt = w.receiptOf(w.leafOf["ACME-A2"], w.size(), v.Cert).file()
		v.Status = w.statusOf(leaf, w.sizes[1], 0).file()
	})

	for _, n := range []int{0, 255, 257, 512} {
		s.status(fmt.Sprintf("chunk of %d bytes", n), "bad-chunk", func(d *draft) { d.status.Chunk = make([]byte, n) })
	}
	s.status("chunk: another, with its number", "wrong-chunk", func(d *draft) { d.status = w.statusOf(w.leafOf["ACME-A2"], w.size(), 0).status })
	s.status("chunk: the right one with another number", "wrong-chunk", func(d *draft) { d.status.Number = 1 })
	s.status("chunk: number 2^64-1", "wrong-chunk", func(d *draft) { d.status.Number = math.MaxUint64 })
	const off = "chunk-not-in-root"
	s.status("chunk: another with the right number", off, func(d *draft) {
		d.status = w.statusOf(w.leafOf["ACME-A2"], w.size(), 0).status
		d.status.Number = 0
	})
	s.status("chunk: of an older epoch", off, func(d *draft) { d.status.Chunk = w.statusOf(leaf, w.sizes[3], 0).status.Chunk })
	s.status("chunk: of an older epoch, with its path", off, func(d *draft) {
		o := w.statusOf(leaf, w.sizes[3], 0).status
		d.status.Chunk, d.status.Path = o.Chunk, o.Path
	})
	s.status("chunk: the path of another number of chunks", off, func(d *draft) { d.status.Path = w.statusOf(leaf, w.sizes[1], 0).status.Path })
	s.status("chunk: path one long", off, func(d *draft) { d.status.Path = append(d.status.Path, tlog.Hash{}) })
	s.status("chunk: one bit changed", off, func(d *draft) { d.status.Chunk[255] ^= 0x80 })
	s.standing("chunk: says good, was revoked", off, "ACME-K", "", func(d *draft) {
		c := ledger.Chunk(d.status.Chunk)
		c.Set(w.leafOf["ACME-K"], ledger.Good)
		d.status.Chunk = c[:]
	})
	// A root over another number of chunks than the epoch's place gives.
	for name, chunks := range map[string]int{"fewer": 1, "more": 3} {
		cs := slices.Clone(w.chunks[end][:1])
		cs = append(cs, make([]ledger.Chunk, chunks-1)...)
		root := chunkTree(cs).Root()
		other := w.with(map[uint64][]byte{end: epoch(func(e *ledger.Epoch) { e.StatusRoot = root })})
		other.chunks = map[uint64][]ledger.Chunk{end: cs}
		s.add("chunk: a root over "+name+" chunks", off, func(v *vector) { v.Status = other.statusOf(leaf, w.size(), 0).file() })
	}
	bits := func(name, want string, serial string, set ledger.Status, cause uint64) {
		cs := slices.Clone(w.chunks[end])
		cs[0].Set(w.leafOf[serial], set)
		root := chunkTree(cs).Root()
		other := w.with(map[uint64][]byte{end: epoch(func(e *ledger.Epoch) { e.StatusRoot = root })})
		other.chunks = map[uint64][]ledger.Chunk{end: cs}
		s.add(name, want, func(v *vector) {
			v.Cert = w.certs[serial]
			v.Receipt = other.receiptOf(w.leafOf[serial], w.size(), v.Cert).file()
			v.Status = other.statusOf(w.leafOf[serial], w.size(), cause).file()
		})
	}
	bits("chunk: no status", "no-status", "ACME-A", ledger.NoStatus, 0)
	bits("chunk: no status, with a cause", "no-status", "ACME-K", ledger.NoStatus, w.leafOf["change/1/ACME-K"])
	bits("cause: a revocation, the chunk says good", "cause-status-mismatch", "ACME-K", ledger.Good, w.leafOf["change/1/ACME-K"])
	bits("cause: a revocation, the chunk says suspended", "cause-status-mismatch", "ACME-K", ledger.Suspended, w.leafOf["change/1/ACME-K"])
	bits("cause: none, the chunk says good", "good", "ACME-K", ledger.Good, 0)
	bits("cause: none, the chunk says suspended", "bad-cause", "ACME-A", ledger.Suspended, 0)
}

// causes spoils the change behind a status.
func (s *suite) causes() {
	const bad = "bad-cause"
	w := s.four
	leaf, at := w.leafOf["ACME-K"], w.leafOf["change/1/ACME-K"]
	s.standing("cause: missing, revoked", bad, "ACME-K", "")
	s.standing("cause: missing, suspended", bad, "ACME-S", "")
	s.standing("cause: of another leaf", bad, "ACME-K", "change/1/ACME-K2")
	s.standing("cause: the suspension of a resumed certificate", "cause-status-mismatch", "ACME-R", "change/2/ACME-R")
	s.standing("cause: the suspension of a revoked certificate's neighbour", bad, "ACME-K", "change/2/ACME-S")
	s.standing("cause: the publication", bad, "ACME-K", "ACME-K")
	s.standing("cause: the publication of a good certificate", bad, "ACME-A", "ACME-A")
	s.standing("cause: the transaction", bad, "ACME-K", "change/1/ACME-K", func(d *draft) { d.status.Cause = w.cause(at-1, w.size()) })
	s.standing("cause: the epoch", bad, "ACME-K", "change/1/ACME-K", func(d *draft) { d.status.Cause = w.cause(at+1, w.size()) })
	s.standing("cause: path of an older tree", bad, "ACME-K", "change/1/ACME-K", func(d *draft) {
		d.status.Cause.Path = tree(w.leaves[:at+2]).Path(at)
	})
	s.standing("cause: another index", bad, "ACME-K", "change/1/ACME-K", func(d *draft) { d.status.Cause.Index++ })
	s.standing("cause: index 2^64-1", bad, "ACME-K", "change/1/ACME-K", func(d *draft) { d.status.Cause.Index = math.MaxUint64 })
	s.standing("cause: an entry not on the log", bad, "ACME-K", "change/1/ACME-K", func(d *draft) { d.status.Cause.Entry = append(slices.Clone(d.status.Cause.Entry), 0) })

	change := func(m map[uint64]any) []byte {
		all := map[uint64]any{1: uint64(1), 2: uint64(1), 3: make([]byte, 32), 4: leaf, 5: uint64(4)}
		for k, v := range m {
			if all[k] = v; v == nil {
				delete(all, k)
			}
		}
		return ledger.Encode([]any{uint64(2), all})
	}
	runs := func(runs ...[]uint64) any { return map[uint64]any{5: runs, 10: uint64(0), 13: uint64(1)} }
	revoked := runs([]uint64{leaf, 1, 3})
	max := uint64(math.MaxUint64)
	for name, body := range map[string][]byte{
		"scope key":               change(map[uint64]any{2: uint64(2), 4: nil}),
		"a reserved scope":        change(map[uint64]any{2: uint64(6), 4: nil}),
		"an unlikely reason":      change(map[uint64]any{5: max}),
		"the leaf is 0":           change(map[uint64]any{4: uint64(0)}),
		"all optional keys":       change(map[uint64]any{6: uint64(0), 7: uint64(0), 8: make([]byte, 2048)}),
		"resumes, says the body":  change(map[uint64]any{1: uint64(3)}),
		"of another, by its body": change(map[uint64]any{4: leaf + 1}),
	} {
		s.causeEntry("cause: "+name, "revoked", opLeaf(body, revoked))
	}
	step := func(op uint64, args map[uint64]any) []byte { return ledger.Encode([]any{op, args}) }
	hash, org, n := make([]byte, 32), make([]byte, 16), uint64(9)
	for name, body := range map[string][]byte{
		"a rekey": rekeyBody([]byte{1}, nil), "a rekey by the owner alone": rekeyBody([]byte{1}, map[uint64]any{7: nil}),
		"a transfer": step(4, map[uint64]any{1: hash, 2: n, 3: org}), "a transfer with evidence": step(4, map[uint64]any{1: hash, 2: n, 3: org, 4: hash}),
		"a retirement": step(6, map[uint64]any{1: hash, 2: n}), "a retirement with evidence": step(6, map[uint64]any{1: hash, 2: n, 3: hash}),
		"a return": step(7, map[uint64]any{1: hash, 2: n}), "a return with evidence": step(7, map[uint64]any{1: hash, 2: n, 3: hash}),
	} {
		s.causeEntry("cause: "+name, "revoked", opLeaf(body, revoked))
	}
	of := ledger.Sum([]byte{1})
	for name, body := range map[string][]byte{
		"a claim":                     step(5, map[uint64]any{1: of[:], 2: n, 3: []byte{1}, 4: int64(-8), 5: make([]byte, 64)}),
		"a rekey without a target":    rekeyBody([]byte{1}, map[uint64]any{3: nil}),
		"a rekey without certificate": rekeyBody([]byte{}, nil),
		"a transfer to nobody":        step(4, map[uint64]any{1: hash, 2: n}),
		"a transfer that is a return": step(7, map[uint64]any{1: hash, 2: n, 3: org}),
		"a transfer, evidence short":  step(4, map[uint64]any{1: hash, 2: n, 3: org, 4: org}),
		"a return after nothing":      step(7, map[uint64]any{1: hash}),
		"a return, evidence short":    step(7, map[uint64]any{1: hash, 2: n, 3: org}),
		"a retirement of nothing":     step(6, map[uint64]any{2: n}),
		"a retirement, unknown key":   step(6, map[uint64]any{1: hash, 2: n, 4: hash}),
	} {
		s.causeEntry("cause: "+name, bad, opLeaf(body, revoked))
	}
	for name, body := range map[string][]byte{
		"action 0":                   change(map[uint64]any{1: uint64(0)}),
		"action 4":                   change(map[uint64]any{1: uint64(4)}),
		"scope 0":                    change(map[uint64]any{2: uint64(0), 4: nil}),
		"scope 7":                    change(map[uint64]any{2: uint64(7), 4: nil}),
		"scope certificate, no leaf": change(map[uint64]any{4: nil}),
		"scope key, with a leaf":     change(map[uint64]any{2: uint64(2)}),
		"target of 31 bytes":         change(map[uint64]any{3: make([]byte, 31)}),
		"no reason":                  change(map[uint64]any{5: nil}),
		"SPKI empty":                 change(map[uint64]any{8: []byte{}}),
		"SPKI of 2,049 bytes":        change(map[uint64]any{8: make([]byte, 2049)}),
		"unknown key":                change(map[uint64]any{9: uint64(1)}),
		"a byte more":                append(change(nil), 0),
		"long head":                  slices.Concat([]byte{0x98, 2}, change(nil)[1:]),
		"operation 3":                slices.Concat([]byte{0x82, 3}, change(nil)[2:]),
		"a publication's body":       ledgertest.Publish([]byte{1}),
		"empty body":                 {},
	} {
		s.causeEntry("cause: "+name, bad, opLeaf(body, revoked))
	}
	for name, x := range map[string]struct {
		want    string
		effects any
	}{
		"no runs":                           {bad, map[uint64]any{10: uint64(0), 13: uint64(1)}},
		"the leaf before":                   {bad, runs([]uint64{leaf - 1, 1, 3})},
		"the leaf after":                    {bad, runs([]uint64{leaf + 1, 1, 3})},
		"a run of none":                     {bad, runs([]uint64{leaf, 0, 3})},
		"a run up to the leaf":              {bad, runs([]uint64{0, leaf, 3})},
		"a run over the leaf":               {"revoked", runs([]uint64{0, leaf + 1, 3})},
		"a run without end":                 {"revoked", runs([]uint64{leaf, max, 3})},
		"a run that wraps around":           {bad, runs([]uint64{max, leaf + 2, 3})},
		"two runs, the second covers":       {"revoked", runs([]uint64{0, 1, 1}, []uint64{leaf, 1, 3})},
		"two runs cover, the first is it":   {"revoked", runs([]uint64{leaf, 1, 3}, []uint64{leaf, 1, 1})},
		"two runs cover, the second is it":  {"cause-status-mismatch", runs([]uint64{leaf, 1, 1}, []uint64{leaf, 1, 3})},
		"another status":                    {"cause-status-mismatch", runs([]uint64{leaf, 1, 2})},
		"status 0":                          {"cause-status-mismatch", runs([]uint64{leaf, 1, 0})},
		"status 4":                          {bad, runs([]uint64{leaf, 1, 4})},
		"status 7, which has the same bits": {bad, runs([]uint64{leaf, 1, 7})},
		"1,001 runs":                        {bad, runs(slices.Repeat([][]uint64{{leaf, 1, 3}}, 1001)...)},
	} {
		s.causeEntry("cause, effects: "+name, x.want, opLeaf(change(nil), x.effects))
	}
	s.cutOffs(leaf, at)
	s.causeEntry("cause: kind 1", bad, (&ledger.TxLeaf{Envelope: change(nil), Codes: []reason.Code{0}}).Encode())
	s.causeEntry("cause: version 2", bad, slices.Concat([]byte{0x83, 2}, opLeaf(change(nil), revoked)[2:]))
	s.causeEntry("cause: an entry of a byte more", bad, append(opLeaf(change(nil), revoked), 0))
}

// cutOffs spoils the cut-off behind a status: by an operation of its own, or by the vote that decided on it. at is its leaf.
func (s *suite) cutOffs(leaf, at uint64) {
	const bad = "bad-cause"
	w := s.four
	entry, err := ledger.ParseEntry(w.leaves[leaf])
	must(w.t, err)
	line, owner := entry.Op.Effects.Voucher[:], entry.Op.Effects.Owner[:]
	other := bytes.Repeat([]byte{7}, 32)
	cut := func(scope uint64, target []byte, from uint64) []any {
		return []any{scope, target, from, uint64(9), uint64(1), uint64(1), make([]byte, 32)}
	}
	effects := func(cuts ...[]any) any {
		return map[uint64]any{10: uint64(0), 13: uint64(3), 14: uint64(5), 20: cuts}
	}
	body := func(scope uint64, target []byte, from uint64) []byte {
		return ledger.Encode([]any{uint64(73), map[uint64]any{1: scope, 2: target, 3: from, 4: uint64(9)}})
	}
	vote := ledger.Encode([]any{uint64(69), map[uint64]any{1: uint64(4), 2: uint64(1), 3: make([]byte, 32)}})
	decided := func(cuts ...[]any) any {
		return map[uint64]any{10: uint64(0), 13: uint64(3), 14: uint64(5), 15: []uint64{1, 2}, 16: uint64(1), 20: cuts}
	}
	good := body(5, line, leaf)
	for name, x := range map[string]struct {
		want    string
		body    []byte
		effects any
	}{
		"of the line key":                   {"revoked", good, effects(cut(5, line, leaf))},
		"of the line key, from 0":           {"revoked", good, effects(cut(5, line, 0))},
		"of the line key, by vote":          {"revoked", vote, decided(cut(5, line, leaf))},
		"of the owner":                      {"revoked", body(7, owner, 0), effects(cut(7, owner, 0))},
		"of the owner, by vote":             {"revoked", vote, decided(cut(7, owner, leaf))},
		"of another, and of the line key":   {"revoked", vote, decided(cut(5, other, 0), cut(5, line, leaf))},
		"of the line key later, and of it":  {"revoked", vote, decided(cut(5, line, leaf+1), cut(7, owner, leaf))},
		"from the leaf after":               {bad, good, effects(cut(5, line, leaf+1))},
		"from the cut-off on":               {bad, good, effects(cut(5, line, at))},
		"of another line key":               {bad, body(5, other, leaf), effects(cut(5, other, leaf))},
		"of another organisation":           {bad, body(7, other[:16], leaf), effects(cut(7, other[:16], leaf))},
		"of a line key as an organisation":  {bad, good, effects(cut(7, line, leaf))},
		"of an organisation as a line key":  {bad, good, effects(cut(5, owner, leaf))},
		"of a CA":                           {bad, body(6, line, leaf), effects(cut(6, line, leaf))},
		"of an unknown scope":               {bad, good, effects(cut(8, line, leaf))},
		"of another, by vote":               {bad, vote, decided(cut(5, other, 0), cut(5, other, leaf))},
		"that the effects do not say":       {bad, good, effects()},
		"that has no effects":               {bad, good, map[uint64]any{10: uint64(0), 13: uint64(3)}},
		"by a vote that decided nothing":    {bad, vote, map[uint64]any{10: uint64(0), 13: uint64(3), 15: []uint64{1}}},
		"that says runs, too":               {"revoked", good, map[uint64]any{5: [][]uint64{{leaf, 1, 1}}, 10: uint64(0), 13: uint64(3), 20: [][]any{cut(5, line, leaf)}}},
		"that says runs instead":            {bad, good, map[uint64]any{5: [][]uint64{{leaf, 1, 3}}, 10: uint64(0), 13: uint64(3)}},
		"17 of them":                        {bad, good, effects(slices.Repeat([][]any{cut(5, line, leaf)}, 17)...)},
		"of six items":                      {bad, good, effects(cut(5, line, leaf)[:6])},
		"with a hash of 31 bytes":           {bad, good, effects(append(cut(5, line, leaf)[:6:6], make([]byte, 31)))},
		"by a status change":                {bad, ledger.Encode([]any{uint64(2), map[uint64]any{1: uint64(1), 2: uint64(1), 3: make([]byte, 32), 4: leaf, 5: uint64(4)}}), effects(cut(5, line, leaf))},
		"by operation 3, like a change":     {bad, ledger.Encode([]any{uint64(3), map[uint64]any{1: uint64(1), 2: uint64(1), 3: make([]byte, 32), 4: leaf, 5: uint64(4)}}), effects(cut(5, line, leaf))},
		"by operation 70, like a vote":      {bad, ledger.Encode([]any{uint64(70), map[uint64]any{1: uint64(4), 2: uint64(1), 3: make([]byte, 32)}}), decided(cut(5, line, leaf))},
		"by no member":                      {bad, vote, map[uint64]any{10: uint64(0), 13: uint64(3), 15: []uint64{}, 20: [][]any{cut(5, line, leaf)}}},
		"by a decision 0":                   {bad, vote, map[uint64]any{10: uint64(0), 13: uint64(3), 16: uint64(0), 20: [][]any{cut(5, line, leaf)}}},
		"an empty list":                     {bad, ledger.Encode([]any{uint64(2), map[uint64]any{1: uint64(1), 2: uint64(1), 3: make([]byte, 32), 4: leaf, 5: uint64(4)}}), map[uint64]any{5: [][]uint64{{leaf, 1, 3}}, 10: uint64(0), 13: uint64(3), 20: [][]any{}}},
		"by a publication":                  {bad, ledgertest.Publish([]byte{1}), effects(cut(5, line, leaf))},
		"by operation 74":                   {bad, slices.Concat([]byte{0x82, 0x18, 74}, good[3:]), effects(cut(5, line, leaf))},
		"body: another target":              {"revoked", body(5, other, leaf), effects(cut(5, line, leaf))},
		"body: scope 4":                     {bad, body(4, line, leaf), effects(cut(5, line, leaf))},
		"body: scope 8":                     {bad, body(8, line, leaf), effects(cut(5, line, leaf))},
		"body: a line key of 16 bytes":      {bad, body(5, owner, leaf), effects(cut(5, line, leaf))},
		"body: an organisation of 32 bytes": {bad, body(7, line, leaf), effects(cut(5, line, leaf))},
		"body: unknown key":                 {bad, ledger.Encode([]any{uint64(73), map[uint64]any{1: uint64(5), 2: line, 3: leaf, 4: uint64(9), 5: uint64(1)}}), effects(cut(5, line, leaf))},
		"body: no reason":                   {bad, ledger.Encode([]any{uint64(73), map[uint64]any{1: uint64(5), 2: line, 3: leaf}}), effects(cut(5, line, leaf))},
		"body: choice 0":                    {bad, ledger.Encode([]any{uint64(69), map[uint64]any{1: uint64(4), 2: uint64(0), 3: make([]byte, 32)}}), decided(cut(5, line, leaf))},
		"body: choice 4":                    {bad, ledger.Encode([]any{uint64(69), map[uint64]any{1: uint64(4), 2: uint64(4), 3: make([]byte, 32)}}), decided(cut(5, line, leaf))},
		"body: a digest of 31 bytes":        {bad, ledger.Encode([]any{uint64(69), map[uint64]any{1: uint64(4), 2: uint64(1), 3: make([]byte, 31)}}), decided(cut(5, line, leaf))},
	} {
		s.causeEntry("cause, cut-off "+name, x.want, opLeaf(x.body, x.effects))
	}
	for _, set := range []ledger.Status{ledger.Good, ledger.Suspended} {
		end := w.size() - 1
		cs := slices.Clone(w.chunks[end])
		cs[0].Set(leaf, set)
		last, err := ledger.ParseEntry(w.leaves[end])
		must(w.t, err)
		last.Epoch.StatusRoot = chunkTree(cs).Root()
		otherWorld := w.with(map[uint64][]byte{end: last.Epoch.Encode(), at: opLeaf(good, effects(cut(5, line, leaf)))})
		otherWorld.chunks = map[uint64][]ledger.Chunk{end: cs}
		s.add("cause: a cut-off, the chunk says "+set.String(), "cause-status-mismatch", func(v *vector) {
			v.Cert = w.certs["ACME-K"]
			v.Receipt = otherWorld.receiptOf(leaf, w.size(), v.Cert).file()
			v.Status = otherWorld.statusOf(leaf, w.size(), at).file()
		})
	}
}

// verdicts spoils times and certificates.
func (s *suite) verdicts(t testing.TB) {
	w := s.four
	s.add("age as allowed", "good", func(v *vector) { v.Now = asOf + 600 })
	s.add("a second older than allowed", "stale", func(v *vector) { v.Now = asOf + 601 })
	s.add("no age allowed, and none", "good", func(v *vector) { v.Now, v.MaxAge = asOf, 0 })
	s.add("five minutes ahead", "good", func(v *vector) { v.Now = asOf - 300 })
	s.add("five minutes and a second ahead", "from-the-future", func(v *vector) { v.Now = asOf - 301 })
	stale := func(name, want string) {
		v := &s.vectors[slices.IndexFunc(s.vectors, func(v vector) bool { return v.Name == name })]
		late, early := *v, *v
		late.Name, late.Want, late.Now = name+", stale", want, asOf+86400
		early.Name, early.Want, early.Now = name+", from the future", want, asOf-86400
		if want == "stale" {
			early.Want = "from-the-future"
		}
		s.vectors = append(s.vectors, late, early)
	}
	stale("revoked", "revoked")
	stale("suspended", "stale")
	end := asOf + 3600
	at := func(name, want string, now int64) {
		s.add(name, want, func(v *vector) {
			v.Cert, v.Now = w.certs["ACME-E"], now
			leaf := w.leafOf["ACME-E"]
			v.Receipt = w.receiptOf(leaf, w.size(), v.Cert).file()
			v.Status = w.statusOf(leaf, w.size(), 0).do(times(now, now, now))
		})
	}
	begin := ledgertest.Start.Add(-time.Hour).Unix()
	at("the last second of validity", "good", end)
	at("the second after validity", "validity-ended", end+1)
	at("the first second of validity", "good", begin)
	at("the second before validity", "not-yet-valid", begin-1)
	s.add("before validity, and stale", "stale", func(v *vector) { v.Now, v.MaxAge = asOf+601, 600 })
	s.add("before validity, published only", "published", func(v *vector) { v.Now, v.PublishedOnly = begin-1, true })
	junk := []byte("no certificate at all")
	leaf := w.leafOf["ACME-A"]
	other := w.with(map[uint64][]byte{leaf: opLeaf(ledgertest.Publish(junk), s.effects())})
	s.add("a published certificate that is none", "bad-certificate-file", func(v *vector) {
		v.Cert, v.Receipt, v.Status = junk, other.receiptOf(leaf, w.size(), junk).file(), other.statusOf(leaf, w.size(), 0).file()
	})
	s.add("a published certificate that is none, stale", "stale", func(v *vector) {
		v.Now, v.Cert, v.Receipt, v.Status = asOf+601, junk, other.receiptOf(leaf, w.size(), junk).file(), other.statusOf(leaf, w.size(), 0).file()
	})
	s.add("a published certificate that is none, published only", "published", func(v *vector) {
		v.PublishedOnly, v.Cert, v.Receipt = true, junk, other.receiptOf(leaf, w.size(), junk).file()
	})
	// Which rule is named when several are broken: the earliest.
	s.add("order: policy before certificate", "bad-policy", func(v *vector) { v.Policy, v.Cert = nil, nil })
	s.add("order: quorum before proof", "policy-breaks-quorum", func(v *vector) {
		v.Policy, v.Receipt = bytes.Replace(v.Policy, []byte("members 3"), []byte("members 2"), 1), nil
	})
	s.add("order: certificate before proof", "bad-certificate-file", func(v *vector) { v.Cert, v.Receipt = nil, nil })
	s.add("order: receipt before status", "bad-proof-file", func(v *vector) { v.Receipt, v.Status = nil, []byte{} })
	s.receipt("order: extra before checkpoint", "bad-extra", func(d *draft) { d.extra, d.logs = []byte{0}, nil })
	s.receipt("order: log before cosigners", "no-log-signature", func(d *draft) {
		d.logs, d.members, d.lines = nil, nil, []tlog.Signature{{Name: "stranger", ID: 1, Bytes: []byte{1}}}
	})
	s.receipt("order: checkpoint before inclusion", "quorum-not-reached", func(d *draft) { d.members, d.path = nil, nil })
	s.status("order: inclusion before epoch", "not-included", func(d *draft) { d.status.Epoch, d.index = []byte{}, 0 })
}

func (s *suite) policies() {
	const bad = "bad-policy"
	w := s.four
	good := string(w.c.Policy().Format())
	lines := strings.SplitAfter(strings.TrimSuffix(good, "\n"), "\n") // 4 logs, 4 witnesses, group, quorum
	log, witness, group, quorum := lines[0], lines[4], lines[8], lines[9]+"\n"
	logs, witnesses := strings.Join(lines[:4], ""), strings.Join(lines[4:8], "")
	names := "ca-a ca-b ca-c ca-d"
	set := func(name, want, policy string) {
		s.add("policy: "+name, want, func(v *vector) { v.Policy = []byte(policy) })
	}
	swap := func(name, want, old, new string) {
		if !strings.Contains(good, old) {
			panic(name + ": nothing to edit")
		}
		set(name, want, strings.Replace(good, old, new, 1))
	}
	key := func(name string, typ byte, public []byte) string {
		raw := append([]byte{typ}, public...)
		id := sha256.Sum256(slices.Concat([]byte(name+"\n"), raw))
		return fmt.Sprintf("%s+%x+%s", name, id[:4], base64.StdEncoding.EncodeToString(raw))
	}
	pub := func(name string) ed25519.PublicKey { return public(w.c.Key(name)) }
	origin := w.c.Set.Origin(0)

	set("comments, tabs and blank lines", "good", "# \xff\xfe \u2028 # \n\n \t \n\t#log\n"+strings.NewReplacer(" ", "\t  ").Replace(good)+" \n#")
	s.vectors[len(s.vectors)-1].Policy = append(s.vectors[len(s.vectors)-1].Policy, '\n')
	set("another group name", "good", strings.ReplaceAll(good, "members", "all-of-us"))
	set("any order", "good", witnesses+logs+group+quorum)
	set("logs last", "good", witnesses+group+quorum+logs)
	set("one log", "good", log+witnesses+group+quorum)
	set("all", "quorum-not-reached", strings.Replace(good, "members 3", "members all", 1))
	s.status("policy: all, and all signed", "good", times(asOf, asOf, asOf, asOf))
	last := &s.vectors[len(s.vectors)-1]
	last.Policy = []byte(strings.Replace(good, "members 3", "members all", 1))
	last.Receipt = w.receiptOf(w.leafOf["ACME-A"], w.size(), last.Cert).do(times(1, 2, 3, 4))
	set("any", "policy-breaks-quorum", strings.Replace(good, "members 3", "members any", 1))
	set("2 of 4", "policy-breaks-quorum", strings.Replace(good, "members 3", "members 2", 1))
	set("2 of 3", "policy-breaks-quorum", logs+strings.Join(lines[4:7], "")+"group members 2 ca-a ca-b ca-c\nquorum members\n")
	set("3 of 3", "good", logs+strings.Join(lines[4:7], "")+"group members 3 ca-a ca-b ca-c\nquorum members\n")
	set("quorum none", "policy-breaks-quorum", logs+witnesses+"quorum none\n")
	set("quorum none, with a group", "policy-breaks-quorum", logs+witnesses+"group g 1 ca-a\nquorum none\n")
	set("quorum none, no witness", "policy-breaks-quorum", logs+"quorum none\n")
	set("one witness", "good", logs+witness+"quorum ca-a\n")
	set("one witness, in a group", "good", logs+witness+"group g any ca-a\nquorum g\n")
	for i, url := range []string{"https://a.example/log", "http://[::1]:8080/?q=%zz", "https://a_b.example:65535", "http://x?y@z", "https://" + strings.Repeat("a", 504)} {
		swap(fmt.Sprintf("good URL %d of a log", i), "good", log, strings.TrimSpace(log)+" "+url+"\n")
		swap(fmt.Sprintf("good URL %d of a witness", i), "good", witness, strings.TrimSpace(witness)+" "+url+"\n")
	}
	for i, url := range []string{"ftp://a/", "https:/a", "https://", "https:///a", "https://:80/", "https://u@a/", "https://u:p@a/", "https://a/#b", "HTTPS://a/",
		"https://a\u00a0b/", "https://a/\u00e9", "https://a/\xff", "//a/", "a", "https://[::1/", "https://a:/", "https://a:123456/", "https://a b", "https://" + strings.Repeat("a", 505), "https://a%41/", "https://a\\b/"} {
		swap(fmt.Sprintf("bad URL %d of a log", i), bad, log, strings.TrimSpace(log)+" "+url+"\n")
		swap(fmt.Sprintf("bad URL %d of a witness", i), bad, witness, strings.TrimSpace(witness)+" "+url+"\n")
	}

	set("empty", bad, "")
	set("a line feed", bad, "\n")
	set("no last line feed", bad, strings.TrimSuffix(good, "\n"))
	set("CR LF", bad, strings.ReplaceAll(good, "\n", "\r\n"))
	set("a NUL in a comment", bad, "#\x00\n"+good)
	set("a DEL in a comment", bad, "#\x7f\n"+good)
	set("a vertical tab", bad, strings.Replace(good, " ", "\v", 1))
	set("65,536 bytes", "good", good+"#"+strings.Repeat("c", 65536-len(good)-2)+"\n")
	set("65,537 bytes", bad, good+"#"+strings.Repeat("c", 65536-len(good)-1)+"\n")
	set("unknown keyword", bad, good+"trust me\n")
	set("unknown keyword, alone", bad, good+"trust\n")
	set("keyword in capitals", bad, strings.Replace(good, "log ", "LOG ", 1))
	set("keyword not UTF-8", bad, "\xff x\n"+good)
	set("comment after a word", bad, strings.Replace(good, "quorum members", "quorum members #ok", 1))
	set("log without a key", bad, good+"log\n")
	set("witness without a key", bad, good+"witness ca-e\n")
	set("witness without a name", bad, good+"witness\n")
	set("group without members", bad, logs+witnesses+"group members 3\nquorum members\n")
	set("group of none", bad, logs+witnesses+"group members all\nquorum members\n")
	set("quorum without a name", bad, logs+witnesses+group+"quorum\n")
	set("quorum of two words", bad, logs+witnesses+group+"quorum members members\n")
	set("two quorum lines", bad, good+quorum)
	set("no quorum line", bad, logs+witnesses+group)
	set("quorum before the group", bad, logs+witnesses+quorum+group)
	set("quorum of a keyword", bad, logs+witnesses+group+"quorum all\n")
	set("quorum of a stranger", bad, logs+witnesses+group+"quorum nobody\n")
	set("group before a witness", bad, logs+strings.Join(lines[4:7], "")+group+lines[7]+quorum)
	set("two groups", bad, logs+witnesses+group+"group more 3 "+names+"\n"+quorum)
	set("two groups of one name", bad, logs+witnesses+group+group+quorum)
	set("group named as a witness", bad, logs+witnesses+"group ca-a 3 "+names+"\nquorum ca-a\n")
	set("group named all", bad, logs+witnesses+"group all 3 "+names+"\nquorum all\n")
	set("group named none", bad, logs+witnesses+"group none 3 "+names+"\nquorum none\n")
	set("group with a plus", bad, logs+witnesses+"group a+b 3 "+names+"\nquorum a+b\n")
	set("group with #", bad, logs+witnesses+"group a#b 3 "+names+"\nquorum a#b\n")
	set("group in itself", bad, logs+witnesses+"group members 3 "+names+" members\nquorum members\n")
	set("group with a keyword", bad, logs+witnesses+"group members 4 "+names+" none\nquorum members\n")
	set("group with a keyword, all", bad, logs+witnesses+"group members 4 "+names+" all\nquorum members\n")
	set("group with one member twice", bad, logs+witnesses+"group members 4 "+names+" ca-a\nquorum members\n")
	set("group with one member twice, one left out", bad, logs+witnesses+"group members 3 ca-a ca-b ca-c ca-c\nquorum members\n")
	set("group with a keyword for a member", bad, logs+witnesses+"group members 3 ca-a ca-b ca-c none\nquorum members\n")
	set("another word for quorum", bad, logs+witnesses+group+"trust members\n")
	set("quorum with a URL", bad, logs+witnesses+group+"quorum members https://a.example/\n")
	set("log with two URLs", bad, strings.TrimSpace(log)+" https://a.example/ https://b.example/\n"+witnesses+group+quorum)
	set("the only witness twice the quorum", bad, logs+witness+"quorum ca-a\nquorum ca-a\n")
	set("5 of 4, quorum none", bad, logs+witnesses+"group members 5 "+names+"\nquorum none\n")
	set("all of no members, quorum none", bad, logs+witnesses+"group members all\nquorum none\n")
	set("any of no members, quorum none", bad, logs+witnesses+"group members any\nquorum none\n")
	set("witness named as the group, quorum none", bad, logs+witnesses+group+"witness members "+key("test.example/ca-e", 4, pub("x"))+"\nquorum none\n")
	set("two groups, quorum none", bad, logs+witnesses+group+"group more 3 "+names+"\nquorum none\n")
	set("group without one witness", bad, logs+witnesses+"group members 3 ca-a ca-b ca-c\nquorum members\n")
	set("witness after the group", bad, logs+strings.Join(lines[4:7], "")+"group members 3 ca-a ca-b ca-c\nquorum members\n"+lines[7])
	set("a witness of many as quorum", bad, logs+witnesses+"quorum ca-a\n")
	set("a witness as quorum, and a group", bad, logs+witness+"group g 1 ca-a\nquorum ca-a\n")
	for _, k := range []string{"0", "5", "03", "+3", "-3", "3.0", "ALL", "0x3", "\u0663", "", "18446744073709551619"} {
		if k != "" {
			set(fmt.Sprintf("%q of 4", k), bad, strings.Replace(good, "members 3", "members "+k, 1))
		}
	}
	set("no log", bad, witnesses+group+quorum)
	many := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "log %s\n", key(origin, 1, bytes.Repeat([]byte{byte(i + 1)}, 32)))
		}
		return b.String()
	}
	set("32 logs", "good", many(31)+log+witnesses+group+quorum)
	set("33 logs", bad, many(32)+log+witnesses+group+quorum)
	witnessesOf := func(n int) string {
		var b, g strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "witness w%d %s\n", i, key(fmt.Sprintf("w/%d", i), 4, bytes.Repeat([]byte{byte(i + 1)}, 32)))
			fmt.Fprintf(&g, " w%d", i)
		}
		return b.String() + "group g all" + g.String() + "\nquorum g\n"
	}
	set("16 witnesses", "quorum-not-reached", log+witnessesOf(16))
	set("17 witnesses", bad, log+witnessesOf(17))
	set("logs of two names", bad, "log "+key("test.example/main/1", 1, pub("x"))+"\n"+good)
	set("log key twice", bad, log+good)
	set("log key twice, at a distance", bad, good+log)
	a, b := collision(origin)
	set("log keys of one id", bad, "log "+key(origin, 1, a)+"\nlog "+key(origin, 1, b)+"\n"+good)
	set("witness name twice", bad, strings.Replace(good, "witness ca-b", "witness ca-a", 1))
	set("cosigner name twice", bad, logs+witnesses+"witness ca-e "+key(w.c.Set.CosignerName("ca-a"), 4, pub("x"))+"\ngroup members 4 "+names+" ca-e\nquorum members\n")
	set("cosigning key twice", bad, logs+witnesses+"witness ca-e "+key("test.example/ca-e", 4, pub("ca-a/cosigning"))+"\ngroup members 4 "+names+" ca-e\nquorum members\n")
	set("cosigning key is a log key", bad, logs+witnesses+"witness ca-e "+key("test.example/ca-e", 4, pub("ca-a/log"))+"\ngroup members 4 "+names+" ca-e\nquorum members\n")
	set("a fifth witness", "quorum-not-reached", logs+witnesses+"witness ca-e "+key("test.example/ca-e", 4, pub("x"))+"\ngroup members 4 "+names+" ca-e\nquorum members\n")
	for _, n := range []string{"log", "witness", "group", "quorum", "all", "any", "none", "a+b", "a#b", "a\u00a0b", "a\u0085b", "\xff", strings.Repeat("n", 256)} {
		set(fmt.Sprintf("witness named %.10q", n), bad, logs+"witness "+n+strings.TrimPrefix(witness, "witness ca-a")+"quorum "+n+"\n")
	}
	set("witness name of 255 bytes", "good", logs+"witness "+strings.Repeat("n", 255)+strings.TrimPrefix(witness, "witness ca-a")+"quorum "+strings.Repeat("n", 255)+"\n")
	for name, k := range map[string]string{
		"of type 4":                key(origin, 4, pub("x")),
		"of type 2":                key(origin, 2, pub("x")),
		"of 31 bytes":              key(origin, 1, pub("x")[:31]),
		"of 33 bytes":              key(origin, 1, append(slices.Clone(pub("x")), 0)),
		"of no bytes":              origin + "+00000000+",
		"with another id":          origin + "+00000000+" + strings.SplitN(key(origin, 1, pub("x")), "+", 3)[2],
		"with an id in capitals":   origin + "+" + strings.ToUpper(strings.SplitN(key(origin, 1, pub("cap")), "+", 3)[1]) + "+" + strings.SplitN(key(origin, 1, pub("cap")), "+", 3)[2],
		"with a long id":           strings.Replace(key(origin, 1, pub("x")), "+", "+0", 1),
		"without an id":            origin + "+" + strings.SplitN(key(origin, 1, pub("x")), "+", 3)[2],
		"with junk":                key(origin, 1, pub("x")) + "*",
		"with a name only":         origin,
		"that is a private key":    "PRIVATE+KEY+" + key(origin, 1, pub("x")),
		"without a name":           key("", 1, pub("x")),
		"with # in its name":       key(origin+"#", 1, pub("x")),
		"with a space in its name": key("a\u2003b", 1, pub("x")),
		"with a name not UTF-8":    key("a\xffb", 1, pub("x")),
		"with a name of 256 bytes": key(strings.Repeat("o", 256), 1, pub("x")),
	} {
		set("log key "+name, bad, "log "+k+"\n"+witnesses+group+quorum)
		set("log key "+name+", beside others", bad, good+"log "+k+"\n")
	}
	set("origin of 255 bytes", "wrong-origin", "log "+key(strings.Repeat("o", 255), 1, pub("x"))+"\n"+witnesses+group+quorum)
	set("cosigning key of type 1", bad, logs+"witness w "+key("w", 1, pub("x"))+"\nquorum w\n")
	set("cosigner with # in its name", bad, logs+"witness w "+key("w#", 4, pub("x"))+"\nquorum w\n")
	set("cosigner with a name of 255 bytes", "quorum-not-reached", logs+"witness w "+key(strings.Repeat("w", 255), 4, pub("x"))+"\nquorum w\n")
	set("cosigner with a name of 256 bytes", bad, logs+"witness w "+key(strings.Repeat("w", 256), 4, pub("x"))+"\nquorum w\n")
	set("keys of another consortium", "no-log-signature", "log "+key(origin, 1, pub("x"))+"\n"+witnesses+group+quorum)
	set("a log key that is no point", "no-log-signature", "log "+key(origin, 1, bytes.Repeat([]byte{2}, 32))+"\n"+witnesses+group+quorum)
}

// collision finds two public keys of one note key id; they need not be keys of anything.
var collision = func() func(string) (a, b []byte) {
	return func(origin string) (a, b []byte) {
		seen := map[uint32]uint64{}
		key := func(i uint64) []byte { return binary.BigEndian.AppendUint64(make([]byte, 24), i) }
		for i := uint64(0); ; i++ {
			sum := sha256.Sum256(slices.Concat([]byte(origin+"\n\x01"), key(i)))
			id := binary.BigEndian.Uint32(sum[:])
			if j, ok := seen[id]; ok {
				return key(j), key(i)
			}
			seen[id] = i
		}
	}
}()

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
