package fsck_test

import (
	"crypto/ed25519"
	"encoding/binary"
	"hash/crc32"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/commit"
	"github.com/quorate-pki/quorate/ledger/cosign"
	"github.com/quorate-pki/quorate/ledger/fsck"
	"github.com/quorate-pki/quorate/ledger/layout"
	"github.com/quorate-pki/quorate/ledger/ledgertest"
	"github.com/quorate-pki/quorate/ledger/node"
)

// TestCrash: what a crash leaves at any step is nothing that differs.
func TestCrash(t *testing.T) {
	every := ledgertest.Every(5, 17)
	seed := ledgertest.Seed(t)
	rng := rand.New(rand.NewPCG(seed, 0))
	c := ledgertest.Found(7, 1)
	mem := vfs.NewCrashableMem()
	if err := node.Init(c.NodeConfig(mem, &ledgertest.Clock{})); err != nil {
		t.Fatal(err)
	}
	notes := map[string]int{}
	hook := &ledgertest.HookFS{FS: mem}
	hook.Before = func(op ledgertest.Op) error {
		if op.N%every != 0 {
			return nil
		}
		for _, kept := range []int{0, 100, rng.IntN(100)} {
			d := dir{c, mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: kept, RNG: rng})}
			findings, _ := d.check(t, false)
			if fsck.Differs(findings) && !opens(d.fs) {
				// Pebble itself does not survive the loss of one of two names that one sync of the directory covers.
				notes["index lost by Pebble"]++
				continue
			}
			for _, f := range findings {
				if !f.Note {
					t.Errorf("seed %d: crash before step %d (%s %s), %d%% kept: %v", seed, op.N, op.Kind, op.Path, kept, f)
				}
				what, _, _ := strings.Cut(f.What, " ")
				notes[strings.TrimRight(f.Path, "0123456789")+" "+what]++
			}
		}
		return nil
	}
	clock := &ledgertest.Clock{}
	for _, part := range [][]ledgertest.Submission{workload(c)[:4], workload(c)[4:]} {
		run(t, c, hook, clock, part)
		clock.Advance(time.Second)
	}
	t.Logf("%d steps; notes: %v", hook.Steps(), notes)
}

// opens reports whether Pebble, writing, opens the index.
func opens(fs vfs.FS) bool {
	db, err := pebble.Open("node/index", &pebble.Options{FS: fs, FormatMajorVersion: pebble.FormatNewest, Logger: silent{}})
	return err == nil && db.Close() == nil
}

// copy is a copy of a directory.
func (d dir) copy(t testing.TB) dir {
	t.Helper()
	out := dir{d.c, vfs.NewMem()}
	for name, data := range contents(t, d.fs, "node") {
		put(t, out.fs, name, data)
	}
	return out
}

// TestRolledBack: files that are each sound and do not belong together.
func TestRolledBack(t *testing.T) {
	d := dir{ledgertest.Found(7, 1), vfs.NewMem()}
	if err := node.Init(d.c.NodeConfig(d.fs, &ledgertest.Clock{})); err != nil {
		t.Fatal(err)
	}
	clock := &ledgertest.Clock{}
	work := workload(d.c)
	run(t, d.c, d.fs, clock, work[:3])
	old := d.copy(t)
	clock.Advance(time.Second)
	run(t, d.c, d.fs, clock, work[3:])
	before, after := contents(t, old.fs, "node"), contents(t, d.fs, "node")
	mix := func(from map[string][]byte, prefix string) dir {
		out := dir{d.c, vfs.NewMem()}
		for name, data := range after {
			if !strings.HasPrefix(name, "node/"+prefix) {
				put(t, out.fs, name, data)
			}
		}
		for name, data := range from {
			if strings.HasPrefix(name, "node/"+prefix) {
				put(t, out.fs, name, data)
			}
		}
		return out
	}
	for prefix, want := range map[string]string{"index/": "index/", "log/0/edge": "log/0/edge", "log/0/tile/": "log/0/tile/0/000"} {
		from := before
		if prefix == "log/0/tile/" {
			from = nil
		}
		findings, _ := mix(from, prefix).check(t, false)
		if !slices.ContainsFunc(findings, func(f fsck.Finding) bool { return !f.Note && strings.HasPrefix(f.Path, want) }) {
			t.Errorf("%s of an earlier day: %v", prefix, findings)
		}
	}
	// The checkpoint may be older: the next start writes it again. So may the signer memory be, as files go.
	findings, _ := mix(before, "log/0/checkpoint").check(t, false)
	if len(findings) != 1 || findings[0].Path != "log/0/checkpoint" || !findings[0].Note {
		t.Errorf("checkpoint of an earlier day: %v", findings)
	}
	// Everything of another consortium's, one at a time.
	other := dir{ledgertest.Found(9, 1), vfs.NewMem()}
	if err := node.Init(other.c.NodeConfig(other.fs, &ledgertest.Clock{})); err != nil {
		t.Fatal(err)
	}
	run(t, other.c, other.fs, &ledgertest.Clock{}, workload(other.c))
	foreign := contents(t, other.fs, "node")
	for _, name := range []string{"genesis.block", "signer", "log/0/checkpoint", "log/0/edge", "index/", "orderer/"} {
		findings, _ := mix(foreign, name).check(t, false)
		if !slices.ContainsFunc(findings, func(f fsck.Finding) bool {
			return !f.Note && strings.HasPrefix(f.Path, name[:5]) || !f.Note && name == "genesis.block"
		}) {
			t.Errorf("another consortium's %s: %v", name, findings)
		}
	}
}

// TestSignerMemory: what the signature in it does not cover is held against the log.
func TestSignerMemory(t *testing.T) {
	d := build(t)
	f, err := layout.ParseFinal(d.records(t)[layout.FinalKey])
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(st *commit.Statement){
		"":             func(st *commit.Statement) {},
		"log":          func(st *commit.Statement) { st.Log++ },
		"height":       func(st *commit.Statement) { st.Height-- },
		"header":       func(st *commit.Statement) { st.Header[0]++ },
		"root":         func(st *commit.Statement) { st.Root[0]++ },
		"size":         func(st *commit.Statement) { st.Size-- },
		"never signed": func(st *commit.Statement) { st.Size++; st.Height++ },
	} {
		if err := d.fs.Remove("node/signer"); err != nil {
			t.Fatal(err)
		}
		s, err := cosign.Open(cosign.Config{FS: d.fs, Path: "node/signer", Keys: []ed25519.PrivateKey{d.c.Key("ca-a/cosigning")}, Name: "test.example/ca-a",
			Origin: "test.example/main/0", Channel: d.c.Channel, Inception: true})
		if err != nil {
			t.Fatal(err)
		}
		st := commit.Statement{Height: f.Height, Size: f.Size, Root: f.Root, Header: f.Header, Time: 1}
		change(&st)
		if _, err := s.Sign(st, s.VKeys()[0]); err != nil {
			t.Fatal(err)
		}
		findings, _ := d.check(t, false)
		if name == "" {
			if len(findings) > 0 {
				t.Error(findings)
			}
		} else if !named(findings, "signer") || slices.ContainsFunc(findings, func(f fsck.Finding) bool { return f.Path != "signer" }) {
			t.Errorf("another %s: %v", name, findings)
		}
	}
	findings, _, err := fsck.Check(fsck.Config{FS: d.fs, Dir: "node", Member: "ca-z"})
	if err != nil || !named(findings, "signer") {
		t.Errorf("%v %v", findings, err)
	}
}

// TestOrderer: segments that are each readable and say what they should not.
func TestOrderer(t *testing.T) {
	d := build(t)
	const name = "node/orderer/0000000000000002-00000000.blocks"
	data := contents(t, d.fs, "node")[name]
	first := data[:16+binary.BigEndian.Uint32(data)]
	try := func(what, path string, content []byte, note bool, want string) {
		t.Helper()
		old, had := contents(t, d.fs, "node")[path]
		put(t, d.fs, path, content)
		findings, _ := d.check(t, false)
		if !slices.ContainsFunc(findings, func(f fsck.Finding) bool {
			return "node/"+f.Path == path && f.Note == note && strings.Contains(f.What, want)
		}) {
			t.Errorf("%s: %v", what, findings)
		}
		if had {
			put(t, d.fs, path, old)
		} else if err := d.fs.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	try("a record cut that was never final", name, append(slices.Clone(data), first[:50]...), true, "is cut")
	crc := slices.Clone(data)
	crc[5] ^= 1
	try("another checksum", name, crc, false, "is broken")
	try("half a record header", name, append(slices.Clone(data), first[:7]...), true, "is cut")
	try("a record cut that was final", name, data[:len(data)-1], false, "is broken")
	try("the first record cut", name, first[:40], false, "is broken")
	try("blocks of a later view than their segment", "node/orderer/0000000000000001-00000000.blocks", data, false, "in a segment of view 1")
	try("the record of another view", name, reframe(first, 1), false, "recorded as 1")
	try("no block", name, frame([]byte("x"), 2), false, "the block at byte 0:")
	b, err := ledger.ParseBlock(first[16:])
	if err != nil {
		t.Fatal(err)
	}
	h := *b.Header
	h.Time++
	try("another block at a final height", name, frame(ledger.EncodeBlock(ledger.SignHeader(&h, d.c.Key("ca-a/block")), b.Txs), 2), false, "not the one that the log has")
	try("another proposer", name, frame(ledger.EncodeBlock(ledger.SignHeader(&h, d.c.Key("ca-a/log")), b.Txs), 2), false, "signed by")
	h.Height = 9
	try("a block that does not follow", name, append(slices.Clone(data), frame(ledger.EncodeBlock(ledger.SignHeader(&h, d.c.Key("ca-a/block")), b.Txs), 2)...), false, "does not follow")
	one := frame(ledger.EncodeBlock(ledger.SignHeader(&h, d.c.Key("ca-a/block")), b.Txs), 2)
	h.Time++
	two := frame(ledger.EncodeBlock(ledger.SignHeader(&h, d.c.Key("ca-a/block")), b.Txs), 2)
	try("two blocks at one height", name, slices.Concat(data, one, two), false, "not the one that another record has")
	if findings, _ := d.check(t, false); len(findings) > 0 {
		t.Error(findings)
	}
}

// frame is a record of a segment.
func frame(block []byte, view uint64) []byte {
	rec := make([]byte, 16, 16+len(block))
	binary.BigEndian.PutUint32(rec, uint32(len(block)))
	binary.BigEndian.PutUint64(rec[8:], view)
	rec = append(rec, block...)
	binary.BigEndian.PutUint32(rec[4:], crc32.Checksum(rec[8:], crc32.MakeTable(crc32.Castagnoli)))
	return rec
}

func reframe(rec []byte, view uint64) []byte { return frame(rec[16:], view) }
