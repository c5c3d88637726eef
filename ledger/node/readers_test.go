package node_test

import (
	"bytes"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/ledgertest"
	"github.com/quorate-pki/quorate/ledger/node"
)

// TestReadersWhileABundleCompletes asks for every final leaf at each step of the file system while a block crosses the end of
// an entry bundle: what was acknowledged is never "not found".
func TestReadersWhileABundleCompletes(t *testing.T) {
	c := ledgertest.Found(6, 1)
	mem := vfs.NewMem()
	mustInit(t, c, mem)
	hook := &ledgertest.HookFS{FS: mem}
	n, err := node.Open(t.Context(), c.NodeConfig(hook, &ledgertest.Clock{}))
	if err != nil {
		t.Fatal(err)
	}
	work := workload(c)
	var final, asked atomic.Uint64
	hook.Before = func(op ledgertest.Op) error {
		if !strings.HasPrefix(op.Path, path.Join("node", "log")) {
			return nil
		}
		until := final.Load()
		for i := range until {
			asked.Add(1)
			if _, err := n.Entry(t.Context(), i); err != nil && !errors.Is(err, ledger.ErrStopping) {
				t.Errorf("leaf %d of %d before %s %s: %v", i, until, op.Kind, op.Path, err)
			}
		}
		if until > 0 {
			if _, err := n.Receipt(t.Context(), until-1); err != nil && !errors.Is(err, ledger.ErrStopping) {
				t.Errorf("receipt before %s %s: %v", op.Kind, op.Path, err)
			}
		}
		return nil
	}
	for _, w := range work[:4] {
		head, err := n.Head(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		final.Store(head.Size)
		if _, err := n.Submit(t.Context(), w.Raw); err != nil {
			t.Fatal(err)
		}
	}
	final.Store(0)
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	if asked.Load() == 0 {
		t.Error("the test asked nothing")
	}
}

// TestRecordsOfOneKey: asked for by its whole key, a record is the one that a walk over its kind finds; a key that is not there,
// or that ends early, finds what begins with it.
func TestRecordsOfOneKey(t *testing.T) {
	c := ledgertest.Found(8, 1)
	fs := vfs.NewMem()
	mustInit(t, c, fs)
	n, err := node.Open(t.Context(), c.NodeConfig(fs, &ledgertest.Clock{}))
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	if _, err := n.Submit(t.Context(), workload(c)[2].Raw); err != nil {
		t.Fatal(err)
	}
	walk := func(kind ledger.RecordKind, prefix, after []byte) (out []ledger.Record) {
		t.Helper()
		for r, err := range n.Records(t.Context(), kind, prefix, after) {
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, r)
		}
		return out
	}
	for _, kind := range []ledger.RecordKind{ledger.RecordKey, ledger.RecordPublication, ledger.RecordDevice, ledger.RecordCertID, ledger.RecordTx, ledger.RecordOrg,
		ledger.RecordNamespace, ledger.RecordRegistry, ledger.RecordUsage, ledger.RecordChunk, ledger.RecordHeight, ledger.RecordChannel} {
		all := walk(kind, nil, nil)
		if len(all) == 0 {
			t.Errorf("no records of kind %c", kind)
		}
		for i, want := range all[:min(len(all), 20)] {
			got := walk(kind, want.Key, nil)
			if len(got) == 0 || !bytes.Equal(got[0].Key, want.Key) || !bytes.Equal(got[0].Value, want.Value) || len(got) > 1 && len(want.Key) > 0 {
				t.Errorf("kind %c, record %d: %x, want %x", kind, i, got, want)
			}
			if len(want.Key) == 0 {
				continue
			}
			if got := walk(kind, want.Key, want.Key); len(got) != 0 {
				t.Errorf("kind %c, record %d: %x after itself", kind, i, got)
			}
			if got := walk(kind, append(bytes.Clone(want.Key), 0), nil); len(got) != 0 {
				t.Errorf("kind %c, record %d: %x under a longer key", kind, i, got)
			}
			if got := walk(kind, want.Key[:len(want.Key)-1], nil); !slices.ContainsFunc(got, func(r ledger.Record) bool { return bytes.Equal(r.Value, want.Value) }) {
				t.Errorf("kind %c, record %d: not under the beginning of its key", kind, i)
			}
		}
	}
	if got := walk(ledger.RecordKey, make([]byte, 32), nil); len(got) != 0 {
		t.Errorf("%x", got)
	}
}

// TestCloseUnderReaders closes a node under readers, one of them in the middle of a walk over records: nobody panics, the
// walk ends as it began, and later questions are told that the node is stopping.
func TestCloseUnderReaders(t *testing.T) {
	c := ledgertest.Found(8, 1)
	fs := vfs.NewMem()
	mustInit(t, c, fs)
	n, err := node.Open(t.Context(), c.NodeConfig(fs, &ledgertest.Clock{}))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := n.Submit(t.Context(), workload(c)[2].Raw); err != nil {
		t.Fatal(err)
	}
	var readers sync.WaitGroup
	for i := range 4 {
		readers.Go(func() {
			for {
				_, err1 := n.Head(t.Context())
				_, err2 := n.Receipt(t.Context(), uint64(i))
				if errors.Is(err1, ledger.ErrStopping) || errors.Is(err2, ledger.ErrStopping) {
					return
				}
				if err := errors.Join(err1, err2); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	begun, closed := make(chan struct{}), make(chan error, 1)
	go func() { <-begun; closed <- n.Close() }()
	count := 0
	for _, err := range n.Records(t.Context(), ledger.RecordKey, nil, nil) {
		if err != nil {
			t.Fatal(err)
		}
		if count++; count == 1 {
			close(begun)
			// Close has begun when the node takes no more questions.
			for _, err := n.Head(t.Context()); err == nil; _, err = n.Head(t.Context()) {
				continue
			}
		}
	}
	if count != 238 {
		t.Errorf("the walk saw %d records", count)
	}
	if err := <-closed; err != nil {
		t.Fatal(err)
	}
	readers.Wait()
	if err := n.Close(); err != nil {
		t.Fatalf("closed twice: %v", err)
	}
}

// TestSameBytesAgain sends one revocation many times while nothing can be ordered: it costs one place in the pool and one of the
// key's allowance.
func TestSameBytesAgain(t *testing.T) {
	c := ledgertest.Found(9, 1)
	fs := vfs.NewMem()
	mustInit(t, c, fs)
	fast := &ledgertest.Clock{}
	fast.Advance(time.Minute)
	n, err := node.Open(t.Context(), c.NodeConfig(fs, fast))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := n.Submit(t.Context(), workload(c)[0].Raw); err != nil {
		t.Fatal(err)
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	// The clock is a minute behind now: blocks wait.
	clock := &ledgertest.Clock{}
	cfg := c.NodeConfig(fs, clock)
	cfg.Tick = time.Millisecond
	if n, err = node.Open(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	leaf := firstLeaf
	raw := c.Tx(ledgertest.Start, ledgertest.TxOptions{Nonce: 77}, [][]byte{ledgertest.Change(ledger.StatusChange{Action: ledger.Revoke,
		Scope: ledger.ScopeCertificate, Leaf: &leaf, Target: ledger.Sum(c.SPKI("device/ACME-0")), SPKI: c.SPKI("device/ACME-0")})}, "device/ACME-0")
	results := make(chan error, 30)
	for range cap(results) {
		go func() {
			res, err := n.Submit(t.Context(), raw)
			if err == nil && res.Verdicts[0].Code != 0 {
				err = fmt.Errorf("verdict %s", res.Verdicts[0].Code)
			}
			results <- err
		}()
	}
	clock.Advance(time.Minute)
	for range cap(results) {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestWholeKeys: a record is found by its whole key, in the table of one and of several lengths, and by what its key begins with.
func TestWholeKeys(t *testing.T) {
	c := ledgertest.Found(4, 1)
	fs := vfs.NewMem()
	mustInit(t, c, fs)
	n, err := node.Open(t.Context(), c.NodeConfig(fs, &ledgertest.Clock{}))
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	der := c.Device("ACME-1", "acme-cells.example", 0)
	if _, err := n.Submit(t.Context(), c.Tx(ledgertest.Start, ledgertest.TxOptions{}, [][]byte{ledgertest.Publish(der)}, "acme-cells/line")); err != nil {
		t.Fatal(err)
	}
	walk := func(prefix []byte) (keys [][]byte) {
		for rec, err := range n.Records(t.Context(), ledger.RecordCertID, prefix, nil) {
			if err != nil {
				t.Fatal(err)
			}
			keys = append(keys, rec.Key)
		}
		return keys
	}
	all := walk(nil)
	if len(all) != 1 {
		t.Fatalf("%d records of CertIDs", len(all))
	}
	for _, n := range []int{1, 31, len(all[0])} {
		if got := walk(all[0][:n]); len(got) != 1 || !bytes.Equal(got[0], all[0]) {
			t.Errorf("by %d bytes of its key: %x", n, got)
		}
	}
	for _, other := range [][]byte{append(bytes.Clone(all[0]), 0), append([]byte{1}, all[0]...)} {
		if got := walk(other); len(got) != 0 {
			t.Errorf("by another key: %x", got)
		}
	}
}
