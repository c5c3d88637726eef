package verify_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/tlog"
	"github.com/quorate-pki/quorate/verify"
)

// epochOf drafts the receipt of the epoch that ends a tree.
func (w *world) epochOf(size uint64) *draft {
	d := w.draft(size-1, size)
	d.receipt = &ledger.ReceiptExtra{Version: 1, Before: w.leaves[size-1], After: []byte{}}
	return d
}

// snapshot is the snapshot of the tree of a size, which an epoch ends.
func (w *world) snapshot(size uint64, spoil ...func(*draft)) []byte {
	out := ledger.SnapshotHead(w.epochOf(size).do(spoil...))
	for _, c := range w.chunks[size-1] {
		out = append(out, c[:]...)
	}
	return out
}

// snapshot adds a vector whose status is a snapshot, as spoil leaves it.
func (s *suite) snapshot(name, want string, spoil func(file []byte) []byte) {
	w := s.four
	s.add("snapshot: "+name, want, func(v *vector) { v.Status = spoil(w.snapshot(w.size())) })
}

// snapshots are vectors of status snapshots.
func (s *suite) snapshots() {
	w := s.four
	for serial, want := range map[string]string{"ACME-A": "good", "ACME-A2": "good", "ACME-R": "good", "ACME-R2": "good", "ACME-S": "suspended",
		"ACME-S2": "suspended", "ACME-K": "revoked", "ACME-K2": "revoked"} {
		s.add("snapshot: "+serial, want, func(v *vector) {
			v.Cert = w.certs[serial]
			v.Receipt, v.Status = w.receiptOf(w.leafOf[serial], w.size(), v.Cert).file(), w.snapshot(w.size())
		})
	}
	const bad = "bad-snapshot-file"
	receipt := w.epochOf(w.size()).file()
	body := w.snapshot(w.size())[len(ledger.SnapshotHead(receipt)):]
	head := func(format string, args ...any) func([]byte) []byte {
		return func([]byte) []byte { return slices.Concat(fmt.Appendf(nil, format, args...), receipt, body) }
	}
	n := len(receipt)
	s.snapshot("another version", bad, head("quorate/snapshot/2\n%d\n", n))
	s.snapshot("lines ended by CR LF", bad, head("quorate/snapshot/1\r\n%d\r\n", n))
	s.snapshot("no length", bad, head("quorate/snapshot/1\n"))
	s.snapshot("empty length", bad, head("quorate/snapshot/1\n\n"))
	s.snapshot("length with a leading zero", bad, head("quorate/snapshot/1\n0%d\n", n))
	s.snapshot("length with a sign", bad, head("quorate/snapshot/1\n+%d\n", n))
	s.snapshot("negative length", bad, head("quorate/snapshot/1\n-%d\n", n))
	s.snapshot("length with a space", bad, head("quorate/snapshot/1\n %d\n", n))
	s.snapshot("length of seven digits", bad, head("quorate/snapshot/1\n1%06d\n", n))
	s.snapshot("length 0", "bad-proof-file", head("quorate/snapshot/1\n0\n"))
	s.snapshot("length one short", "bad-checkpoint", head("quorate/snapshot/1\n%d\n", n-1))
	s.snapshot("length one long", "bad-checkpoint", head("quorate/snapshot/1\n%d\n", n+1))
	padded := func(n int) func([]byte) []byte {
		return func([]byte) []byte {
			return append(fmt.Appendf(nil, "quorate/snapshot/1\n%d\n", n), make([]byte, n)...)
		}
	}
	s.snapshot("a proof at the limit", "bad-proof-file", padded(tlog.MaxProof))
	s.snapshot("a proof over the limit", bad, padded(tlog.MaxProof+1))
	s.snapshot("nothing but the first line", bad, func([]byte) []byte { return []byte(ledger.SnapshotLine) })
	s.snapshot("cut in the length", bad, func([]byte) []byte { return []byte(ledger.SnapshotLine + "12") })
	s.snapshot("cut in the proof", bad, func(f []byte) []byte { return f[:100] })
	s.snapshot("cut after the proof", bad, func(f []byte) []byte { return f[:len(f)-len(body)] })
	s.snapshot("a chunk missing", bad, func(f []byte) []byte { return f[:len(f)-ledger.ChunkSize] })
	s.snapshot("a byte missing", bad, func(f []byte) []byte { return f[:len(f)-1] })
	s.snapshot("a byte more", bad, func(f []byte) []byte { return append(f, 0) })
	s.snapshot("a chunk more", bad, func(f []byte) []byte { return append(f, make([]byte, ledger.ChunkSize)...) })
	const root = "wrong-status-root"
	s.snapshot("a bit of the leaf", root, func(f []byte) []byte { f[len(f)-len(body)+3] ^= 1; return f })
	s.snapshot("a bit of another leaf", root, func(f []byte) []byte { f[len(f)-1] ^= 0x80; return f })
	s.snapshot("two chunks swapped", root, func(f []byte) []byte {
		at := len(f) - len(body)
		return slices.Concat(f[:at], body[ledger.ChunkSize:], body[:ledger.ChunkSize])
	})
	s.snapshot("the chunks of an older epoch", root, func(f []byte) []byte {
		old := w.snapshot(w.sizes[len(w.sizes)-2])
		return append(f[:len(f)-len(body)], old[len(old)-len(body):]...)
	})
	spoiled := func(spoil func(*draft)) func([]byte) []byte {
		return func([]byte) []byte { return w.snapshot(w.size(), spoil) }
	}
	s.snapshot("a quorum less one", "quorum-not-reached", spoiled(func(d *draft) { d.members = d.members[:2] }))
	s.snapshot("one member twice", "duplicate-cosigner", spoiled(func(d *draft) { d.members = append(d.members[:2], d.members[0]) }))
	s.snapshot("one liar says that it is new", "stale", spoiled(times(asOf, asOf-86400, asOf-86400)))
	s.snapshot("from the future", "from-the-future", spoiled(times(asOf+86400, asOf+86400, asOf+86400)))
	s.snapshot("too old", "stale", spoiled(times(asOf-86400, asOf-86400, asOf-86400)))
	s.snapshot("the extra data of a status proof", "bad-extra", spoiled(func(d *draft) {
		d.receipt, d.status = nil, w.statusOf(0, w.size(), 0).status
	}))
	s.snapshot("an epoch that is not in the tree", "not-included", spoiled(func(d *draft) { d.receipt.Before = w.leaves[w.sizes[1]-1] }))
	s.snapshot("an older epoch under a newer checkpoint", "epoch-not-last", func([]byte) []byte {
		size := w.sizes[3]
		o := w.draft(size-1, w.size())
		o.receipt = &ledger.ReceiptExtra{Version: 1, Before: w.leaves[size-1], After: []byte{}}
		out := ledger.SnapshotHead(o.file())
		for _, c := range w.chunks[size-1] {
			out = append(out, c[:]...)
		}
		return out
	})
	s.snapshot("the epoch in two parts", "good", spoiled(func(d *draft) {
		d.receipt.Before, d.receipt.After = d.receipt.Before[:50], d.receipt.Before[50:]
	}))
	last := func(entry []byte) *world { return w.with(map[uint64][]byte{w.size() - 1: entry}) }
	s.snapshot("a transaction that ends the tree", "not-an-epoch", func([]byte) []byte { return last(w.leaves[w.leafOf["ACME-A"]-1]).snapshot(w.size()) })
	s.snapshot("an epoch that begins after itself", "epoch-mismatch", func([]byte) []byte {
		e, err := ledger.ParseEntry(w.leaves[w.size()-1])
		if err != nil {
			panic(err)
		}
		e.Epoch.First = w.size()
		return last(e.Epoch.Encode()).snapshot(w.size())
	})
	s.add("snapshot: from before the publication", "leaf-not-covered", func(v *vector) {
		v.Cert = w.certs["ACME-A2"]
		v.Receipt = w.receiptOf(w.leafOf["ACME-A2"], w.size(), v.Cert).file()
		v.Status = w.snapshot(w.sizes[1])
	})
	// Its members sign whatever they are asked to: a publication without a status, and one in the place of the epoch of another history.
	e, err := ledger.ParseEntry(w.leaves[w.size()-1])
	if err != nil {
		panic(err)
	}
	blank := make([]ledger.Chunk, 2)
	e.Epoch.StatusRoot = chunkTree(blank).Root()
	none := last(e.Epoch.Encode())
	none.chunks = map[uint64][]ledger.Chunk{w.size() - 1: blank}
	s.snapshot("no status", "no-status", func([]byte) []byte { return none.snapshot(w.size()) })
	leaf := w.leafOf["ACME-A"]
	e.Epoch.First, e.Epoch.StatusRoot = 0, chunkTree(blank[:1]).Root()
	fork := w.with(map[uint64][]byte{leaf: e.Epoch.Encode()})
	fork.leaves, fork.chunks = fork.leaves[:leaf+1], map[uint64][]ledger.Chunk{leaf: blank[:1]}
	s.snapshot("an epoch in the leaf's place", "leaf-not-covered", func([]byte) []byte { return fork.snapshot(leaf + 1) })
}

// TestSnapshot: what a snapshot counts, and that a file which changed since it was verified is not believed.
func TestSnapshot(t *testing.T) {
	w := history(t)
	p := w.c.Policy()
	file := w.snapshot(w.size())
	s, err := verify.ReadSnapshot(p, bytes.NewReader(file))
	must(t, err)
	if s.Leaf != w.size()-1 || s.Counts[ledger.Good] != 1040 || s.Counts[ledger.Suspended] != 2 || s.Counts[ledger.Revoked] != 2 ||
		s.Counts[0]+s.Counts[1]+s.Counts[2]+s.Counts[3] != s.Leaf {
		t.Errorf("epoch %d, counts %v", s.Leaf, s.Counts)
	}
	leaf := w.leafOf["ACME-K2"]
	if st, err := s.Standing(bytes.NewReader(file), leaf); err != nil || st.Status != ledger.Revoked || st.Cause != nil || st.AsOf.Unix() != asOf {
		t.Errorf("%+v %v", st, err)
	}
	file[len(file)-1] ^= 1
	for _, f := range [][]byte{file, file[:len(file)-300]} {
		if _, err := s.Standing(bytes.NewReader(f), leaf); code(err) != reason.WrongStatusRoot {
			t.Errorf("a changed file: %v", err)
		}
	}
}

// TestSnapshotReadsNoMore: of a snapshot without end, only what a quorum vouched for is read, and of what is none hardly anything.
func TestSnapshotReadsNoMore(t *testing.T) {
	w := small(t, 1)
	good := w.snapshot(w.size())
	for _, c := range []struct {
		name string
		file []byte
		most int
	}{
		{"a good one", good, len(good) + 8192},
		{"not signed by this consortium", w.snapshot(w.size(), func(d *draft) { d.members = nil }), len(good) + 8192},
		{"none at all", []byte(strings.Repeat("0", 100)), 8192},
	} {
		r := &counted{r: io.MultiReader(bytes.NewReader(c.file), endless{})}
		if _, err := verify.ReadSnapshot(w.c.Policy(), r); err == nil || r.n > c.most {
			t.Errorf("%s: %d bytes read, at most %d; %v", c.name, r.n, c.most, err)
		}
	}
}

// TestSnapshotUnreadable: what cannot be read is not called wrong.
func TestSnapshotUnreadable(t *testing.T) {
	w := small(t, 1)
	good := w.snapshot(w.size())
	broken := errors.New("the disk is broken")
	for _, n := range []int{0, 10, 25, 100, len(good) - 100, len(good)} {
		_, err := verify.ReadSnapshot(w.c.Policy(), io.MultiReader(bytes.NewReader(good[:n]), failing{broken}))
		if _, refused := reason.CodeOf(err); refused || !errors.Is(err, broken) {
			t.Errorf("after %d bytes: %v", n, err)
		}
	}
}

type counted struct {
	r io.Reader
	n int
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += n
	return n, err
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { clear(p); return len(p), nil }

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func code(err error) reason.Code { c, _ := reason.CodeOf(err); return c }

// FuzzSnapshot: whatever the bytes, nothing panics, and what is accepted is what was signed.
func FuzzSnapshot(f *testing.F) {
	w := small(f, 1)
	good := w.snapshot(w.size())
	f.Add(good)
	f.Add([]byte(ledger.SnapshotLine + "12\n"))
	p := w.c.Policy()
	f.Fuzz(func(t *testing.T, file []byte) {
		s, err := verify.ReadSnapshot(p, bytes.NewReader(file))
		if err == nil && (s.Size != w.size() || !bytes.Equal(file[len(file)-ledger.ChunkSize:], good[len(good)-ledger.ChunkSize:])) {
			t.Fatal("accepted what nobody signed")
		}
	})
}
