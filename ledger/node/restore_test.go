package node_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/quorate-pki/quorate/internal/durable"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/fsck"
	"github.com/quorate-pki/quorate/ledger/ledgertest"
	"github.com/quorate-pki/quorate/ledger/node"
	"github.com/quorate-pki/quorate/ledger/tlog"
)

// copied is a log that a node gave away, tile by tile.
type copied struct {
	ctx context.Context
	n   *node.Node
	lie func(tlog.Tile, []byte) []byte
}

func (c copied) ReadTile(tile tlog.Tile) ([]byte, error) {
	data, err := c.n.Tile(c.ctx, tile)
	if err == nil && c.lie != nil {
		data = c.lie(tile, append([]byte{}, data...))
	}
	return data, err
}

// donor runs the workload on a node and leaves it open.
func donor(t *testing.T, c *ledgertest.Consortium) (*node.Node, ledger.Head) {
	t.Helper()
	fs := vfs.NewMem()
	mustInit(t, c, fs)
	n, err := node.Open(t.Context(), c.NodeConfig(fs, &ledgertest.Clock{}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Close() })
	if err := ledgertest.Run(t.Context(), n, workload(c), func(ledgertest.Acked, ledger.Head) {}); err != nil {
		t.Fatal(err)
	}
	head, err := n.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return n, head
}

// lost makes the directory of a member that lost its own, but for what only raft reads.
func lost(t *testing.T, cfg node.Config) {
	t.Helper()
	if err := node.Init(cfg); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(cfg.FS.RemoveAll("node/orderer"), durable.SyncDir(cfg.FS, "node")); err != nil {
		t.Fatal(err)
	}
}

// restoring is the configuration of a member that lost its directory; one block is restored at a time.
func restoring(c *ledgertest.Consortium, fs vfs.FS) node.Config {
	cfg := c.NodeConfig(fs, &ledgertest.Clock{})
	cfg.Rejoin, cfg.Part = true, 1
	return cfg
}

// restored demands the donor's log in a sound directory.
func restored(t *testing.T, fs vfs.FS, head ledger.Head) {
	t.Helper()
	if err := clean(fs); err != nil {
		t.Error(err)
	}
	_, sum, err := fsck.Check(fsck.Config{FS: fs, Dir: "node", Member: "ca-a"})
	if err != nil || sum.Size != head.Size || sum.Root != head.Root {
		t.Errorf("restored size %d of %d, root %x, %v", sum.Size, head.Size, sum.Root, err)
	}
}

// TestRestoreCrashEverywhere crashes the machine while a log is restored: what is left is sound, and restoring goes on
// from there. TestRestoreLies has what must not be believed.
func TestRestoreCrashEverywhere(t *testing.T) {
	every := ledgertest.Every(11, 29)
	rng := rand.New(rand.NewPCG(ledgertest.Seed(t), 0))
	c := ledgertest.Found(9, 1)
	n, head := donor(t, c)
	from := copied{ctx: t.Context(), n: n}
	mem := vfs.NewCrashableMem()
	lost(t, restoring(c, mem))
	hook := &ledgertest.HookFS{FS: mem}
	midway := 0
	hook.Before = func(op ledgertest.Op) error {
		if op.N%every != 0 {
			return nil
		}
		ways := []int{0, 100, rng.IntN(100)}
		if strings.Contains(op.Path, "/index") {
			ways = ways[:2] // as in TestCrashEverywhere
		}
		for _, kept := range ways {
			clone := mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: kept, RNG: rng})
			if err := clean(clone); err != nil {
				t.Errorf("fsck after a crash before step %d (%s %s), %d%% kept: %v", op.N, op.Kind, op.Path, kept, err)
			}
			if _, sum, err := fsck.Check(fsck.Config{FS: clone, Dir: "node", Member: "ca-a"}); err == nil && sum.Height > 0 && sum.Size < head.Size {
				midway++
			}
			if err := node.Restore(t.Context(), restoring(c, clone), head.Note, from); err != nil {
				t.Errorf("after a crash before step %d (%s %s), %d%% kept: %v", op.N, op.Kind, op.Path, kept, err)
				continue
			}
			restored(t, clone, head)
		}
		return nil
	}
	if err := node.Restore(t.Context(), restoring(c, hook), head.Note, from); err != nil {
		t.Fatal(err)
	}
	restored(t, mem, head)
	if midway == 0 {
		t.Error("no crash came between two parts")
	}
}

// TestRestoreLies: whatever a source changes, nothing of it is kept.
func TestRestoreLies(t *testing.T) {
	c := ledgertest.Found(9, 1)
	n, head := donor(t, c)
	for name, lie := range map[string]func(tlog.Tile, []byte) []byte{
		"a leaf": func(tile tlog.Tile, data []byte) []byte {
			if tile.Level == tlog.EntriesLevel && tile.Index == 0 {
				data[len(data)-100] ^= 1 // in a certificate: it folds, to another root
			}
			return data
		},
		"a hash": func(tile tlog.Tile, data []byte) []byte {
			if tile.Level == 0 && tile.Index == head.Size/tlog.TileWidth {
				data[len(data)-1] ^= 1
			}
			return data
		},
		"a bundle cut": func(tile tlog.Tile, data []byte) []byte {
			if tile.Level == tlog.EntriesLevel {
				return data[:len(data)-1]
			}
			return data
		},
	} {
		t.Run(name, func(t *testing.T) {
			fs := vfs.NewMem()
			cfg := restoring(c, fs)
			lost(t, cfg)
			if err := node.Restore(t.Context(), cfg, head.Note, copied{t.Context(), n, lie}); err == nil {
				t.Fatal("believed")
			}
			if err := clean(fs); err != nil {
				t.Error(err)
			}
			if err := node.Restore(t.Context(), cfg, head.Note, copied{ctx: t.Context(), n: n}); err != nil {
				t.Fatal(err)
			}
			restored(t, fs, head)
		})
	}
	fs := vfs.NewMem()
	cfg := restoring(c, fs)
	lost(t, cfg)
	other := ledgertest.Found(10, 1)
	m, foreign := donor(t, other)
	if err := node.Restore(t.Context(), cfg, foreign.Note, copied{ctx: t.Context(), n: m}); err == nil {
		t.Error("another consortium's log was restored")
	}
}
