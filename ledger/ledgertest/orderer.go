package ledgertest

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/order"
)

// NewOrderer makes an engine whose files are in the directory "orderer" of a file system.
type NewOrderer func(fs vfs.FS, pool order.PoolConfig) order.Orderer

func classify(tx []byte) (string, order.Lane) {
	p, err := ledger.ParseSubmission(tx, ledger.ForLedger)
	if err == nil && p.Tx.Mode == ledger.AllOrNothing {
		return "", order.Urgent
	}
	return "", order.Normal
}

// OrdererSuite is what every engine must do, on one node.
func OrdererSuite(t *testing.T, newOrderer NewOrderer) {
	c := Found(5, 1)
	pool := order.PoolConfig{Classify: classify}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	begin := func(t *testing.T, fs vfs.FS, p order.PoolConfig, app *OrderApp) order.Orderer {
		t.Helper()
		e := newOrderer(fs, p)
		if err := e.Start(ctx, app); err != nil {
			t.Fatal(err)
		}
		return e
	}
	end := func(t *testing.T, e order.Orderer, app *OrderApp) {
		t.Helper()
		if err := e.Close(); err != nil {
			t.Error(err)
		}
		if n := app.Running(); n != 0 {
			t.Errorf("%d calls run after Close", n)
		}
		if err := app.Check(); err != nil {
			t.Error(err)
		}
	}
	submit := func(t *testing.T, e order.Orderer, nonces ...uint64) (ids []ledger.Hash) {
		t.Helper()
		for _, n := range nonces {
			raw, id := c.orderTx(n, false)
			if err := e.Submit(ctx, raw); err != nil {
				t.Fatal(err)
			}
			ids = append(ids, id)
		}
		return ids
	}

	t.Run("one sequence that restarts continue", func(t *testing.T) {
		fs := vfs.NewMem()
		app := NewOrderApp(c)
		app.Lag = 3
		for start := range uint64(4) {
			e := begin(t, fs, pool, app)
			height := app.Last().Height
			for k := range uint64(10) {
				// One at a time, so that there are blocks, and some together.
				ids := submit(t, e, 100*start+2*k, 100*start+2*k+1)
				if k%2 == 0 {
					if err := app.Wait(ctx, Seen(ids...)); err != nil {
						t.Fatal(err)
					}
				}
			}
			raw, last := c.orderTx(100*start+99, false)
			if err := e.Submit(ctx, raw); err != nil {
				t.Fatal(err)
			}
			if err := app.Wait(ctx, Seen(last)); err != nil {
				t.Fatal(err)
			}
			if s := e.Status(); !s.Healthy || s.Height <= height {
				t.Errorf("%+v", s)
			}
			end(t, e, app)
			app = app.Clone()
		}
	})

	t.Run("final blocks are not delivered again", func(t *testing.T) {
		fs := vfs.NewMem()
		app := NewOrderApp(c)
		e := begin(t, fs, pool, app)
		if err := app.Wait(ctx, Seen(submit(t, e, 1, 2, 3)...)); err != nil {
			t.Fatal(err)
		}
		end(t, e, app)
		app = app.Clone()
		e = begin(t, fs, pool, app)
		if len(app.order) > 0 {
			t.Errorf("%d blocks delivered", len(app.order))
		}
		end(t, e, app)
	})

	t.Run("what is applied is not proposed", func(t *testing.T) {
		app := NewOrderApp(c)
		e := begin(t, vfs.NewMem(), pool, app)
		if err := app.Wait(ctx, Seen(submit(t, e, 1)...)); err != nil {
			t.Fatal(err)
		}
		if err := app.Wait(ctx, Seen(submit(t, e, 1, 1, 2)...)); err != nil {
			t.Fatal(err)
		}
		end(t, e, app)
	})

	t.Run("urgent first, then in order of arrival", func(t *testing.T) {
		app := NewOrderApp(c)
		held, release := make(chan struct{}), make(chan struct{})
		var once sync.Once
		app.Hold = func(ctx context.Context, call string) error {
			once.Do(func() { close(held); <-release })
			return nil
		}
		e := begin(t, vfs.NewMem(), pool, app)
		first := submit(t, e, 1)
		<-held
		var want [][]byte
		normal := [][]byte{}
		for n := range uint64(6) {
			raw, id := c.orderTx(10+n, n%2 == 1)
			if err := e.Submit(ctx, raw); err != nil {
				t.Fatal(err)
			}
			first = append(first, id)
			if n%2 == 1 {
				want = append(want, raw)
			} else {
				normal = append(normal, raw)
			}
		}
		close(release)
		if err := app.Wait(ctx, Seen(first...)); err != nil {
			t.Fatal(err)
		}
		end(t, e, app)
		var got [][]byte
		for _, txs := range app.taken[1:] {
			got = append(got, txs...)
		}
		if !slices.EqualFunc(got, append(want, normal...), bytes.Equal) {
			t.Error("not in this order")
		}
	})

	t.Run("errors that say what to do", func(t *testing.T) {
		app := NewOrderApp(c)
		held, release := make(chan struct{}), make(chan struct{})
		var once sync.Once
		app.Hold = func(context.Context, string) error {
			once.Do(func() { close(held); <-release })
			return nil
		}
		raw, _ := c.orderTx(1, false)
		e := begin(t, vfs.NewMem(), order.PoolConfig{Classify: classify, Bytes: 3 * len(raw)}, app)
		if err := e.Submit(ctx, make([]byte, ledger.MaxSubmission+1)); !errors.Is(err, order.ErrTooLarge) {
			t.Errorf("%v", err)
		}
		ids := submit(t, e, 1)
		<-held
		ids = append(ids, submit(t, e, 2, 3)...)
		var err error
		for n := uint64(4); err == nil && n < 9; n++ {
			raw, _ := c.orderTx(n, false)
			err = e.Submit(ctx, raw)
		}
		if !errors.Is(err, order.ErrBusy) {
			t.Errorf("%v", err)
		}
		urgent, id := c.orderTx(9, true)
		if err := e.Submit(ctx, urgent); err != nil {
			t.Errorf("publications crowd out a revocation: %v", err)
		}
		close(release)
		if err := app.Wait(ctx, Seen(append(ids, id)...)); err != nil {
			t.Fatal(err)
		}
		end(t, e, app)
		if err := e.Submit(ctx, raw); !errors.Is(err, order.ErrStopped) {
			t.Errorf("%v", err)
		}
		if e.Status().Healthy {
			t.Error("healthy after Close")
		}
		if err := e.Close(); err != nil {
			t.Error("closing twice", err)
		}
		if err := e.Start(ctx, app); err == nil {
			t.Error("starts after Close")
		}
	})

	t.Run("close without start", func(t *testing.T) {
		if err := newOrderer(vfs.NewMem(), pool).Close(); err != nil {
			t.Error(err)
		}
	})

	t.Run("close ends calls that wait", func(t *testing.T) {
		for _, call := range []string{"assemble", "deliver"} {
			app := NewOrderApp(c)
			held := make(chan struct{})
			app.Hold = func(ctx context.Context, what string) error {
				if what != call {
					return nil
				}
				close(held)
				<-ctx.Done()
				return ctx.Err()
			}
			fs := vfs.NewMem()
			e := begin(t, fs, pool, app)
			ids := submit(t, e, 1, 2, 3)
			<-held
			end(t, e, app)
			// Whatever came of it, a restart goes on.
			app = app.Clone()
			e = begin(t, fs, pool, app)
			submit(t, e, 1, 2, 3)
			if err := app.Wait(ctx, Seen(ids...)); err != nil {
				t.Fatal(err)
			}
			end(t, e, app)
		}
	})

	t.Run("a failed delivery is fatal", func(t *testing.T) {
		app := NewOrderApp(c)
		failed := make(chan struct{})
		app.Hold = func(_ context.Context, what string) error {
			if what == "deliver" {
				close(failed)
				return errors.New("the disk is gone")
			}
			return nil
		}
		fs := vfs.NewMem()
		e := begin(t, fs, pool, app)
		ids := submit(t, e, 1)
		<-failed
		end(t, e, app)
		app = app.Clone()
		e = begin(t, fs, pool, app)
		if err := app.Wait(ctx, Seen(ids...)); err != nil {
			t.Errorf("what was ordered is lost: %v", err)
		}
		end(t, e, app)
	})
}

// OrdererCrashes crashes the machine at every step of the file system, while a first start orders, and while a second one
// recovers. It is for engines that write through the file system they are given.
func OrdererCrashes(t *testing.T, newOrderer NewOrderer) {
	c, pool := Found(5, 1), order.PoolConfig{Classify: classify}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	// run starts on a file system and orders n transactions more.
	run := func(fs vfs.FS, app *OrderApp, nonce uint64, n int) error {
		must := app.Clone() // what must come again
		e := newOrderer(fs, pool)
		err := e.Start(ctx, app)
		for i := range n {
			if err != nil {
				break
			}
			raw, id := c.orderTx(nonce+uint64(i), false)
			if err = e.Submit(ctx, raw); err == nil {
				err = app.Wait(ctx, Seen(id))
			}
		}
		if err == nil {
			app.mu.Lock()
			for h := range must.delivered {
				if h > must.last.Height && !slices.Contains(app.order, h) {
					app.fault("height %d was delivered before the crash and is lost", h)
				}
			}
			app.mu.Unlock()
		}
		return errors.Join(err, e.Close(), app.Check())
	}
	count := 0
	var crashy func(mem *vfs.MemFS, app *OrderApp, nonce uint64, n, depth int)
	crashy = func(mem *vfs.MemFS, app *OrderApp, nonce uint64, n, depth int) {
		hook := &HookFS{FS: mem, Before: func(op Op) error {
			for _, kept := range []int{0, 100, 50} {
				if depth > 0 && rng.IntN(20) > 0 {
					continue // every second crash of every first would take minutes
				}
				clone := mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: kept, RNG: rng})
				count++
				if depth == 0 {
					crashy(clone, app.Clone(), 1000*uint64(count), 2, 1)
				} else if err := run(clone, app.Clone(), 1_000_000*uint64(count), 2); err != nil {
					t.Errorf("second crash before %s %s, %d%% kept: %v", op.Kind, op.Path, kept, err)
				}
			}
			return nil
		}}
		if err := run(hook, app, nonce, n); err != nil {
			t.Errorf("depth %d: %v", depth, err)
		}
	}
	app := NewOrderApp(c)
	app.Lag = 2
	n := 8
	if !testing.Short() {
		n = 30
	}
	crashy(vfs.NewCrashableMem(), app, 1, n, 0)
	t.Logf("%d crashes", count)
}
