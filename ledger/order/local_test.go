package order_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/quorate-pki/quorate/internal/durable"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/ledgertest"
	"github.com/quorate-pki/quorate/ledger/order"
)

func local(rotate int64) ledgertest.NewOrderer {
	return func(fs vfs.FS, pool order.PoolConfig) order.Orderer {
		return order.NewLocal(order.LocalConfig{FS: fs, Dir: "orderer", Pool: pool, Rotate: rotate, Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	}
}

func TestLocal(t *testing.T) {
	for name, rotate := range map[string]int64{"one segment": 0, "a segment for each block": 1} {
		t.Run(name, func(t *testing.T) {
			ledgertest.OrdererSuite(t, local(rotate))
			t.Run("crash at every file-system operation", func(t *testing.T) { ledgertest.OrdererCrashes(t, local(rotate)) })
		})
	}
}

var pool = order.PoolConfig{Classify: func([]byte) (string, order.Lane) { return "", order.Normal }}

// ordered orders n transactions, one a block, of which none is final, and closes.
func ordered(t *testing.T, fs vfs.FS, app *ledgertest.OrderApp, rotate int64, from, n uint64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	e := local(rotate)(fs, pool)
	if err := e.Start(ctx, app); err != nil {
		t.Fatal(err)
	}
	for k := range n {
		raw := app.C.Tx(ledgertest.Start, ledgertest.TxOptions{Nonce: from + k}, [][]byte{{1}}, "acme-cells/line")
		p, err := ledger.ParseSubmission(raw, ledger.ForLedger)
		if err != nil {
			t.Fatal(err)
		}
		if err := e.Submit(ctx, raw); err != nil {
			t.Fatal(err)
		}
		if err := app.Wait(ctx, ledgertest.Seen(p.ID)); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if err := app.Check(); err != nil {
		t.Fatal(err)
	}
}

func segments(t *testing.T, fs vfs.FS) []string {
	t.Helper()
	names, err := fs.List("orderer")
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func content(t *testing.T, fs vfs.FS, name string) []byte {
	t.Helper()
	b, err := durable.Read(fs, "orderer/"+name, 1<<24)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestRotation: a segment that is full gives way to one that holds only what may not be final.
func TestRotation(t *testing.T) {
	c := ledgertest.Found(5, 1)
	fs := vfs.NewMem()
	app := ledgertest.NewOrderApp(c)
	app.Lag = 2
	ordered(t, fs, app, 1500, 0, 40)
	names := segments(t, fs)
	if len(names) != 1 || !strings.HasPrefix(names[0], "0000000000000001-") || strings.HasSuffix(names[0], "-00000000.blocks") {
		t.Errorf("%v", names)
	}
	if n := len(content(t, fs, names[0])); n > 4000 {
		t.Errorf("%d bytes in the segment", n)
	}
	app = app.Clone()
	ordered(t, fs, app, 1500, 100, 3)
}

// TestTornTail: a record that a crash cut, at any byte, was never delivered: it is as if it had not been.
func TestTornTail(t *testing.T) {
	c := ledgertest.Found(5, 1)
	fs := vfs.NewMem()
	app := ledgertest.NewOrderApp(c)
	app.Lag = 100
	ordered(t, fs, app, 0, 0, 2)
	name := segments(t, fs)[0]
	whole := content(t, fs, name)
	two := app.Clone()
	one := ledgertest.NewOrderApp(c)
	one.Lag = 100
	short := vfs.NewMem()
	ordered(t, short, one, 0, 0, 1)
	first := len(content(t, short, segments(t, short)[0]))
	for cut := first; cut <= len(whole); cut += 7 {
		for _, tail := range [][]byte{nil, make([]byte, 40), bytes.Repeat([]byte{0xff}, 40)} {
			fs := vfs.NewMem()
			if err := durable.MkdirAll(fs, ".", "orderer"); err != nil {
				t.Fatal(err)
			}
			data := append(bytes.Clone(whole[:cut]), tail...)
			if err := durable.Replace(fs, "orderer/"+name, data); err != nil {
				t.Fatal(err)
			}
			again := ledgertest.NewOrderApp(c)
			again.Lag = 100
			ordered(t, fs, again, 0, 50, 1)
		}
	}
	ordered(t, fs, two, 0, 60, 1)
}

// TestPartialNewSegment: a start that crashed while it copied to a new segment leaves both; the next one reads both.
func TestPartialNewSegment(t *testing.T) {
	c := ledgertest.Found(5, 1)
	fs := vfs.NewMem()
	app := ledgertest.NewOrderApp(c)
	app.Lag = 100
	ordered(t, fs, app, 0, 0, 3)
	old := content(t, fs, segments(t, fs)[0])
	for cut := 0; cut <= len(old); cut += 11 {
		next := app.Clone()
		copied := vfs.NewMem()
		if err := durable.MkdirAll(copied, ".", "orderer"); err != nil {
			t.Fatal(err)
		}
		for name, data := range map[string][]byte{segments(t, fs)[0]: old, "0000000000000002-00000000.blocks": old[:cut]} {
			if err := durable.Replace(copied, "orderer/"+name, data); err != nil {
				t.Fatal(err)
			}
		}
		ordered(t, copied, next, 0, 9, 1)
		if names := segments(t, copied); len(names) != 1 || names[0] != "0000000000000003-00000000.blocks" {
			t.Fatalf("%v", names)
		}
	}
}

// TestRestoredCopies: a log and a final state that are not of one history do not start.
func TestRestoredCopies(t *testing.T) {
	c := ledgertest.Found(5, 1)
	fs := vfs.NewMem()
	app := ledgertest.NewOrderApp(c)
	ordered(t, fs, app, 0, 0, 3)
	mid := app.Clone()
	mid.Lag = 1
	ordered(t, fs, mid, 0, 10, 3)
	old := ledgertest.NewOrderApp(c) // at genesis; the log begins later
	if err := local(0)(fs, pool).Start(t.Context(), old); err == nil || !strings.Contains(err.Error(), "is next") {
		t.Errorf("%v", err)
	}
	if err := durable.Replace(fs, "orderer/strange.blocks", nil); err != nil {
		t.Fatal(err)
	}
	if err := local(0)(fs, pool).Start(t.Context(), mid.Clone()); err == nil {
		t.Error("started beside a file that is not its own")
	}
}
