package fsck_test

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/fsck"
	"github.com/quorate-pki/quorate/ledger/ledgertest"
	"github.com/quorate-pki/quorate/ledger/node"
)

// workload is a little of everything that the log can hold: publications past a full bundle, a batch with refusals,
// suspend by the line key, resume, revoke, and a change signed by a device's own key.
func workload(c *ledgertest.Consortium) []ledgertest.Submission {
	var out []ledgertest.Submission
	add := func(bodies [][]byte, signers ...string) {
		out = append(out, ledgertest.Submission{Raw: c.Tx(ledgertest.Start, ledgertest.TxOptions{Nonce: uint64(len(out) + 1)}, bodies, signers...)})
	}
	publish := func(from, to int) {
		var bodies [][]byte
		for i := from; i < to; i++ {
			bodies = append(bodies, ledgertest.Publish(c.Device(fmt.Sprintf("ACME-%d", i), "acme-cells.example", 0)))
		}
		add(bodies, "acme-cells/line")
	}
	leaf := uint64(15)
	change := func(a ledger.Action, reason uint64, spki []byte, signers ...string) {
		add([][]byte{ledgertest.Change(ledger.StatusChange{Action: a, Scope: ledger.ScopeCertificate,
			Target: ledger.Sum(c.SPKI("device/ACME-0")), Leaf: &leaf, Reason: reason, SPKI: spki})}, signers...)
	}
	publish(0, 1)
	publish(1, 240) // completes the first bundle
	publish(0, 3)   // already published
	change(ledger.Suspend, ledger.CertificateHold, nil, "acme-cells/line")
	change(ledger.Resume, ledger.RemoveFromCRL, nil, "acme-cells/admin-1", "acme-cells/admin-2")
	change(ledger.Revoke, ledger.KeyCompromise, c.SPKI("device/ACME-0"), "device/ACME-0")
	change(ledger.Resume, ledger.RemoveFromCRL, nil, "acme-cells/admin-1", "acme-cells/admin-3") // refused, on the log
	publish(240, 242)
	return out
}

// dir is a closed node directory in memory, made once: two runs, so that the index has a table and a log.
type dir struct {
	c  *ledgertest.Consortium
	fs *vfs.MemFS
}

func run(t testing.TB, c *ledgertest.Consortium, fs vfs.FS, clock *ledgertest.Clock, work []ledgertest.Submission) {
	t.Helper()
	cfg := c.NodeConfig(fs, clock)
	cfg.Segment = 16 << 10 // the first run rotates its segment, the second does not
	n, err := node.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := ledgertest.Run(t.Context(), n, work, func(ledgertest.Acked, ledger.Head) {}); err != nil {
		t.Fatal(err)
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
}

func build(t testing.TB) dir {
	t.Helper()
	d := dir{ledgertest.Found(7, 1), vfs.NewMem()}
	if err := node.Init(d.c.NodeConfig(d.fs, &ledgertest.Clock{})); err != nil {
		t.Fatal(err)
	}
	clock := &ledgertest.Clock{}
	work := workload(d.c)
	run(t, d.c, d.fs, clock, work[:4])
	clock.Advance(time.Second)
	run(t, d.c, d.fs, clock, work[4:])
	return d
}

func (d dir) check(t testing.TB, deep bool) ([]fsck.Finding, fsck.Summary) {
	t.Helper()
	findings, sum, err := fsck.Check(fsck.Config{FS: d.fs, Dir: "node", Member: "ca-a", Deep: deep})
	if err != nil {
		t.Fatal(err)
	}
	return findings, sum
}

// contents returns every file.
func contents(t testing.TB, fs vfs.FS, dir string) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	names, err := fs.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		name := path.Join(dir, n)
		info, err := fs.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if info.IsDir() {
			for k, v := range contents(t, fs, name) {
				out[k] = v
			}
			continue
		}
		f, err := fs.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		if out[name], err = io.ReadAll(f); err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
	return out
}

func put(t testing.TB, fs vfs.FS, name string, data []byte) {
	t.Helper()
	if err := fs.MkdirAll(path.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	f, err := fs.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(slices.Clone(data)); err != nil {
		t.Fatal(err)
	}
	f.Sync()
	f.Close()
}

func named(findings []fsck.Finding, name string) bool {
	return slices.ContainsFunc(findings, func(f fsck.Finding) bool { return !f.Note && f.Path == name })
}

func TestClean(t *testing.T) {
	d := build(t)
	before := contents(t, d.fs, "node")
	for _, deep := range []bool{false, true} {
		findings, sum := d.check(t, deep)
		if len(findings) > 0 {
			t.Errorf("deep %v: %v", deep, findings)
		}
		if sum.Height != 8 || sum.Certificates != 242 || sum.Size < 256 || sum.Records == 0 || (sum.Judged > 0) != deep {
			t.Errorf("%+v", sum)
		}
	}
	after := contents(t, d.fs, "node")
	if len(before) != len(after) {
		t.Errorf("%d files before, %d after", len(before), len(after))
	}
	for name, data := range before {
		if got, ok := after[name]; !ok || string(got) != string(data) {
			t.Errorf("%s was changed", name)
		}
	}
	// And the node still starts on it.
	run(t, d.c, d.fs, &ledgertest.Clock{}, nil)
}

func TestJustFounded(t *testing.T) {
	d := dir{ledgertest.Found(8, 1), vfs.NewMem()}
	if err := node.Init(d.c.NodeConfig(d.fs, &ledgertest.Clock{})); err != nil {
		t.Fatal(err)
	}
	if findings, sum := d.check(t, true); len(findings) > 0 || sum.Records == 0 {
		t.Errorf("%v %+v", findings, sum)
	}
	put(t, d.fs, "node/log/0/edge", contents(t, d.fs, "node")["node/log/0/edge"][:100])
	if findings, _ := d.check(t, false); !named(findings, "log/0/edge") {
		t.Errorf("%v", findings)
	}
}

func TestInUse(t *testing.T) {
	d := build(t)
	n, err := node.Open(t.Context(), d.c.NodeConfig(d.fs, &ledgertest.Clock{}))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := fsck.Check(fsck.Config{FS: d.fs, Dir: "node", Member: "ca-a"}); !errors.Is(err, fsck.ErrInUse) {
		t.Errorf("%v", err)
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	if findings, _ := d.check(t, false); fsck.Differs(findings) {
		t.Error(findings)
	}
}

// flips runs a check for bits of a file: all of a small one in the long test, else a sample with the first and last.
func (d dir) flips(t *testing.T, name string, data []byte, sample int, judge func(bit int, findings []fsck.Finding, sum fsck.Summary)) {
	t.Helper()
	bits := []int{0, 7, 8*len(data) - 1, 8*len(data) - 8}
	if ledgertest.Long() {
		sample *= 8
	}
	for range sample {
		bits = append(bits, rand.IntN(8*len(data)))
	}
	if ledgertest.Long() && len(data) <= 512 {
		bits = bits[:0]
		for i := range 8 * len(data) {
			bits = append(bits, i)
		}
	}
	for _, bit := range bits {
		bad := slices.Clone(data)
		bad[bit/8] ^= 1 << (bit % 8)
		put(t, d.fs, name, bad)
		findings, sum := d.check(t, false)
		judge(bit, findings, sum)
	}
	put(t, d.fs, name, data)
}

// TestFlippedBit: one flipped bit in any file outside the index is found, and the file is named.
func TestFlippedBit(t *testing.T) {
	d := build(t)
	kinds := map[string]bool{}
	for name, data := range contents(t, d.fs, "node") {
		rel := strings.TrimPrefix(name, "node/")
		if strings.HasPrefix(rel, "index/") || rel == "LOCK" {
			continue
		}
		if len(data) == 0 {
			t.Logf("%s is empty", rel)
			continue
		}
		kinds[strings.Split(rel, "/")[0]+"/"+path.Base(rel)] = true
		d.flips(t, name, data, 6, func(bit int, findings []fsck.Finding, _ fsck.Summary) {
			if !named(findings, rel) {
				t.Errorf("bit %d of %s: %v", bit, rel, findings)
			}
			// The other files are not to blame. Records are not compared with what the log is not known to say.
			for _, f := range findings {
				if !f.Note && f.Path != rel {
					t.Errorf("bit %d of %s also names %v", bit, rel, f)
				}
			}
		})
	}
	for _, k := range []string{"genesis.block/genesis.block", "signer/signer", "log/checkpoint", "log/edge", "log/000"} {
		if !kinds[k] {
			t.Errorf("no %s was tried: %v", k, kinds)
		}
	}
	if findings, _ := d.check(t, false); len(findings) > 0 {
		t.Error(findings)
	}
}

// TestMissing: a file that is missing, cut or there without reason is named.
func TestMissing(t *testing.T) {
	d := build(t)
	for name, data := range contents(t, d.fs, "node") {
		rel := strings.TrimPrefix(name, "node/")
		if strings.HasPrefix(rel, "index/") || strings.HasPrefix(rel, "orderer/") || rel == "LOCK" {
			continue
		}
		if err := d.fs.Remove(name); err != nil {
			t.Fatal(err)
		}
		if findings, _ := d.check(t, false); !named(findings, rel) {
			t.Errorf("%s is missing: %v", rel, findings)
		}
		put(t, d.fs, name, data[:len(data)/2])
		if findings, _ := d.check(t, false); !named(findings, rel) {
			t.Errorf("%s is cut: %v", rel, findings)
		}
		put(t, d.fs, name, data)
	}
	for name, note := range map[string]bool{"x": false, "log/0/tile/0/001": true, "log/0/tile/entries/002": true, "log/0/tile/0/001.p/3": false,
		"log/0/tile/1/000": true, "log/1/edge": false, "signer.tmp": true, "log/0/edge.tmp": true, "x.tmp": false, "orderer/x": false,
		"orderer/1-1.blocks": false, "index/x": false, "log/0/tile/0/000.tmp": true} {
		put(t, d.fs, "node/"+name, []byte("x"))
		findings, _ := d.check(t, false)
		if len(findings) != 1 || findings[0].Path != name || findings[0].Note != note {
			t.Errorf("%s is there: %v", name, findings)
		}
		if err := d.fs.Remove("node/" + name); err != nil {
			t.Fatal(err)
		}
	}
	put(t, d.fs, "node/LOCK", []byte("x"))
	if findings, _ := d.check(t, false); !named(findings, "LOCK") {
		t.Error(findings)
	}
}
