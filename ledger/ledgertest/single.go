package ledgertest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/node"
	"github.com/quorate-pki/quorate/ledger/tlog"
	"github.com/quorate-pki/quorate/verify"
)

// Seed is a test's random seed: the value of QUORATE_SEED, or a new one. It is logged, so that a failure repeats.
func Seed(t testing.TB) uint64 {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("QUORATE_SEED"); s != "" {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatalf("QUORATE_SEED: %v", err)
		}
		seed = n
	}
	t.Logf("QUORATE_SEED=%d", seed)
	return seed
}

// Long reports whether the long schedules are asked for (QUORATE_LONG=1), as CI does: every step, every bit. Without
// it, tests sample, and with -short they sample less.
func Long() bool { return os.Getenv("QUORATE_LONG") != "" && !testing.Short() }

// Every picks how many steps of an exhaustive test are skipped to the next: long 1, by default normal, with -short short.
func Every(normal, short int) int {
	switch {
	case Long():
		return 1
	case testing.Short():
		return short
	}
	return normal
}

// Clock advances by a millisecond each time it is asked, so that runs repeat.
type Clock struct{ ms atomic.Int64 }

// Now implements the clock.
func (c *Clock) Now() time.Time { return Start.Add(time.Duration(c.ms.Add(1)) * time.Millisecond) }

// Advance moves the clock.
func (c *Clock) Advance(d time.Duration) { c.ms.Add(d.Milliseconds()) }

// NodeConfig is the configuration of member ca-a's node on a file system. Time is looked at only when asked.
func (c *Consortium) NodeConfig(fs vfs.FS, clock *Clock) node.Config {
	return node.Config{FS: fs, Dir: "node", Genesis: c.Genesis, Member: "ca-a", LogKey: c.Key("ca-a/log"),
		CosigningKey: c.Key("ca-a/cosigning"), BlockKey: c.Key("ca-a/block"), Now: clock.Now,
		Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Tick: time.Hour, Segment: 2000}
}

// Policy is what relying parties trust.
func (c *Consortium) Policy() *tlog.Policy { return c.Set.Policy(0) }

// Acked is what a node acknowledged: a submission, its result, and the certificates it published, by position.
type Acked struct {
	Raw    []byte
	Result ledger.Result
	DERs   [][]byte
}

// Submission is a step of a workload.
type Submission struct {
	Raw  []byte
	DERs [][]byte // per operation; nil for one that publishes nothing
}

// Oracle re-verifies from outside everything that a node ever said.
type Oracle struct {
	C     *Consortium
	Acked []Acked
	Heads map[uint64]ledger.Hash // size -> root of every checkpoint seen
	Trust tlog.NoteVerifier      // default: the first member set's policy
}

func (o *Oracle) trust() tlog.NoteVerifier {
	if o.Trust != nil {
		return o.Trust
	}
	return o.C.Policy()
}

// See notes a checkpoint; another root at a size seen before is a second signature for a size.
func (o *Oracle) See(h ledger.Head) error {
	if o.Heads == nil {
		o.Heads = map[uint64]ledger.Hash{}
	}
	if root, ok := o.Heads[h.Size]; ok && root != h.Root {
		return fmt.Errorf("two checkpoints of size %d", h.Size)
	}
	o.Heads[h.Size] = h.Root
	return nil
}

// Clone copies what the oracle knows now.
func (o *Oracle) Clone() *Oracle {
	c := &Oracle{C: o.C, Acked: append([]Acked{}, o.Acked...), Heads: map[uint64]ledger.Hash{}}
	for k, v := range o.Heads {
		c.Heads[k] = v
	}
	return c
}

// Check demands of a reader: every result acknowledged is recorded the same; every receipt verifies; every leaf
// published has a proved status; every checkpoint ever seen is a prefix of the log.
func (o *Oracle) Check(ctx context.Context, r ledger.Reader) error {
	head, err := r.Head(ctx)
	if err != nil {
		return err
	}
	if _, err := o.trust().Verify(head.Note); err != nil {
		return fmt.Errorf("the head: %w", err)
	}
	for size, root := range o.Heads {
		got, err := tlog.TreeRoot(tiles{ctx, r}, size)
		if err != nil {
			return fmt.Errorf("the root at size %d, seen before: %w", size, err)
		}
		if got != root {
			return fmt.Errorf("size %d has another root than was seen before", size)
		}
	}
	for _, a := range o.Acked {
		if err := o.acked(ctx, r, a); err != nil {
			return fmt.Errorf("transaction %x: %w", a.Result.ID, err)
		}
	}
	return nil
}

func (o *Oracle) acked(ctx context.Context, r ledger.Reader, a Acked) error {
	got, err := r.Result(ctx, a.Result.ID)
	if err != nil {
		return err
	}
	if got.Leaf != a.Result.Leaf || got.Height != a.Result.Height || len(got.Verdicts) != len(a.Result.Verdicts) {
		return fmt.Errorf("recorded as %+v, acknowledged as %+v", got, a.Result)
	}
	for i, v := range a.Result.Verdicts {
		if got.Verdicts[i].Code != v.Code {
			return fmt.Errorf("operation %d recorded as %s, acknowledged as %s", i, got.Verdicts[i].Code, v.Code)
		}
		if v.Code != reason.Accepted || a.DERs == nil || a.DERs[i] == nil {
			continue
		}
		receipt, err := r.Receipt(ctx, v.Leaf)
		if err != nil {
			return err
		}
		if _, err := verify.Receipt(o.trust(), receipt, a.DERs[i]); err != nil {
			return fmt.Errorf("receipt of leaf %d: %w", v.Leaf, err)
		}
		s, err := r.Status(ctx, v.Leaf)
		if err != nil {
			return err
		}
		proved, err := verify.Status(o.trust(), s.Proof, v.Leaf)
		if err != nil {
			return fmt.Errorf("status of leaf %d: %w", v.Leaf, err)
		}
		if proved.Status != s.Status {
			return fmt.Errorf("status of leaf %d: told %s, proved %s", v.Leaf, s.Status, proved.Status)
		}
	}
	return nil
}

type tiles struct {
	ctx context.Context
	r   ledger.Reader
}

func (t tiles) ReadTile(tile tlog.Tile) ([]byte, error) { return t.r.Tile(t.ctx, tile) }

// Ledger is the waist: a node, or a client of one.
type Ledger interface {
	ledger.Reader
	ledger.Submitter
}

// Run submits a workload to a ledger and tells note of every acknowledgement. It stops at the first error that is no
// refusal.
func Run(ctx context.Context, n Ledger, work []Submission, note func(Acked, ledger.Head)) error {
	for i, w := range work {
		res, err := n.Submit(ctx, w.Raw)
		if _, refused := errors.AsType[*reason.Error](err); refused {
			continue
		}
		if err != nil {
			return fmt.Errorf("submission %d: %w", i, err)
		}
		head, err := n.Head(ctx)
		if err != nil {
			return err
		}
		note(Acked{w.Raw, res, w.DERs}, head)
	}
	return nil
}
