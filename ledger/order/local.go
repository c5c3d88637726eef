package order

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"log/slog"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/quorate-pki/quorate/internal/durable"
	"github.com/quorate-pki/quorate/ledger"
)

// LocalConfig configures the local engine.
type LocalConfig struct {
	FS     vfs.FS
	Dir    string // the engine's own; created if missing
	Pool   PoolConfig
	Log    *slog.Logger
	Rotate int64 // bytes after which a segment is replaced; default 16 MiB
	// Failed is told once when the engine stops by itself: what it took will not be ordered. Optional.
	Failed func(error)
}

// Local orders for one member alone: an fsynced log of blocks. It is the engine of a one-member consortium and
// the fake that other engines are compared with.
//
// The log is a segment file <view>-<number>.blocks of records {u32 length, u32 CRC-32C, u64 view, block}. A view is a start of
// the engine: its segment is durable before any header names it, so no header is ever signed twice for one view.
type Local struct {
	cfg    LocalConfig
	app    App
	pool   *Pool
	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	done   chan struct{} // no App call runs any more

	// Owned by Start, then by run, then by Close.
	number  uint64
	segment vfs.File
	size    int64
	kept    []Ordered // blocks in the segment that may not be final

	mu      sync.Mutex
	height  uint64
	view    uint64 // written by Start only
	trouble error
	started bool
	stopped bool
}

// NewLocal returns a local engine that is not started.
func NewLocal(cfg LocalConfig) *Local {
	if cfg.Rotate == 0 {
		cfg.Rotate = 16 << 20
	}
	l := &Local{cfg: cfg, pool: NewPool(cfg.Pool), done: make(chan struct{})}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	return l
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Start implements Orderer. A Local starts once.
func (l *Local) Start(ctx context.Context, app App) error {
	l.mu.Lock()
	if l.started || l.stopped {
		l.mu.Unlock()
		return ErrStopped
	}
	l.started, l.app = true, app
	l.mu.Unlock()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(l.ctx, cancel)() // Close ends the redelivery too
	if err := l.recover(ctx); err != nil {
		l.fail(err)
		close(l.done)
		return fmt.Errorf("starting the local orderer: %w", err)
	}
	go l.run(l.ctx)
	return nil
}

// recover reads the log, starts a new view and redelivers what is not final.
func (l *Local) recover(ctx context.Context) error {
	if err := durable.MkdirAll(l.cfg.FS, path.Dir(l.cfg.Dir), l.cfg.Dir); err != nil {
		return err
	}
	names, err := l.segments()
	if err != nil {
		return err
	}
	last := l.app.Last()
	var blocks []Ordered
	for _, name := range names {
		got, err := l.read(name)
		if err != nil {
			return err
		}
		blocks = append(blocks, got...)
	}
	view := last.View
	for _, name := range names {
		var v, n uint64
		if _, err := fmt.Sscanf(name, segmentForm, &v, &n); err != nil {
			return fmt.Errorf("segment %s: %w", name, err)
		}
		view = max(view, v)
	}
	l.mu.Lock()
	l.view, l.height = view+1, last.Height
	l.mu.Unlock()
	l.kept = after(blocks, last.Height)
	for i, o := range l.kept {
		if o.Height != last.Height+1+uint64(i) {
			// The log and the final state are not of one history: one of them was restored from a copy.
			return fmt.Errorf("the log goes on at height %d where %d is next", o.Height, last.Height+1+uint64(i))
		}
	}
	if err := l.rotate(names); err != nil {
		return err
	}
	for _, o := range l.kept {
		// A crash here redelivers from the new segment, which holds the same blocks.
		if err := l.deliver(ctx, o); err != nil {
			return err
		}
	}
	return nil
}

const segmentForm = "%016x-%08x.blocks"

func (l *Local) segments() ([]string, error) {
	names, err := l.cfg.FS.List(l.cfg.Dir)
	if err != nil {
		return nil, err
	}
	names = slices.DeleteFunc(names, func(n string) bool { return !strings.HasSuffix(n, ".blocks") })
	slices.Sort(names)
	return names, nil
}

// after keeps the blocks above a height, each height once: carried-over blocks stand in two segments when a crash
// came between writing the new one and removing the old.
func after(blocks []Ordered, height uint64) []Ordered {
	var out []Ordered
	for _, b := range blocks {
		if b.Height > height && (len(out) == 0 || b.Height > out[len(out)-1].Height) {
			out = append(out, b)
		}
	}
	return out
}

// read returns the blocks of a segment up to the first record that a crash cut.
func (l *Local) read(name string) ([]Ordered, error) {
	data, err := durable.Read(l.cfg.FS, path.Join(l.cfg.Dir, name), 1<<32)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var out []Ordered
	for len(data) >= 16 {
		n, sum := int(binary.BigEndian.Uint32(data)), binary.BigEndian.Uint32(data[4:])
		view := binary.BigEndian.Uint64(data[8:])
		if n > ledger.MaxBlock || len(data) < 16+n || crc32.Checksum(data[8:16+n], castagnoli) != sum {
			break // not acknowledged: the write was never synced
		}
		b, err := ledger.ParseBlock(data[16 : 16+n])
		if err != nil {
			return nil, fmt.Errorf("segment %s: %w", name, err)
		}
		out = append(out, Ordered{Ref: Ref{Height: b.Header.Height, Hash: b.Hash, View: view}, Index: b.Header.Height, Block: data[16 : 16+n : 16+n]})
		data = data[16+n:]
	}
	return out, nil
}

// rotate starts a new segment with the blocks that may not be final, then removes the old ones.
func (l *Local) rotate(old []string) error {
	if l.segment != nil {
		err := l.segment.Close()
		l.segment = nil
		if err != nil {
			return err
		}
		old = append(old, fmt.Sprintf(segmentForm, l.view, l.number))
		l.number++
	}
	l.kept = after(l.kept, l.app.Last().Height)
	name := fmt.Sprintf(segmentForm, l.view, l.number)
	f, err := l.cfg.FS.Create(path.Join(l.cfg.Dir, name), vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	l.segment, l.size = f, 0
	for _, o := range l.kept {
		if err := l.write(o); err != nil {
			return err
		}
	}
	if err := f.Sync(); err != nil {
		return err
	}
	// A crash here leaves the old segments and perhaps the new one: recover reads both.
	if err := durable.SyncDir(l.cfg.FS, l.cfg.Dir); err != nil {
		return err
	}
	for _, n := range old {
		if err := l.cfg.FS.Remove(path.Join(l.cfg.Dir, n)); err != nil {
			return err
		}
	}
	return durable.SyncDir(l.cfg.FS, l.cfg.Dir)
}

func (l *Local) write(o Ordered) error {
	rec := make([]byte, 16, 16+len(o.Block))
	binary.BigEndian.PutUint32(rec, uint32(len(o.Block)))
	binary.BigEndian.PutUint64(rec[8:], o.View)
	rec = append(rec, o.Block...)
	binary.BigEndian.PutUint32(rec[4:], crc32.Checksum(rec[8:], castagnoli))
	n, err := l.segment.Write(rec)
	if err == nil && n < len(rec) {
		err = io.ErrShortWrite
	}
	l.size += int64(n)
	return err
}

// run proposes and delivers, one block at a time.
func (l *Local) run(ctx context.Context) {
	defer close(l.done)
	prev := l.app.Last().Ref
	if n := len(l.kept); n > 0 {
		prev = l.kept[n-1].Ref
	}
	for {
		txs := l.pool.Take(ctx, ledger.MaxBlock-4096, ledger.MaxOperations)
		if txs == nil {
			return
		}
		next, err := l.propose(ctx, prev, txs)
		if errors.Is(err, ErrNothing) {
			continue
		}
		if err != nil {
			if ctx.Err() == nil {
				l.cfg.Log.Error("the local orderer stops", "err", err)
				l.fail(err)
			}
			return
		}
		prev = next
	}
}

func (l *Local) propose(ctx context.Context, prev Ref, txs [][]byte) (Ref, error) {
	block, ref, err := l.app.Assemble(ctx, prev, l.view, txs)
	if err != nil {
		return prev, err
	}
	if err := l.app.Validate(ctx, l.view, block); err != nil {
		return prev, fmt.Errorf("own block refused: %w", err)
	}
	o := Ordered{Ref: ref, Index: ref.Height, Block: block}
	if err := l.write(o); err != nil {
		return prev, err
	}
	if err := l.segment.Sync(); err != nil {
		return prev, err
	}
	// Ordered. A crash from here on redelivers the block.
	l.kept = append(after(l.kept, l.app.Last().Height), o)
	if err := l.deliver(ctx, o); err != nil {
		return prev, err
	}
	if l.size > l.cfg.Rotate {
		return ref, l.rotate(nil)
	}
	return ref, nil
}

func (l *Local) deliver(ctx context.Context, o Ordered) error {
	if _, err := l.app.Deliver(ctx, o); err != nil {
		return fmt.Errorf("delivering height %d: %w", o.Height, err)
	}
	l.mu.Lock()
	l.height = o.Height
	l.mu.Unlock()
	return nil
}

func (l *Local) fail(err error) {
	l.mu.Lock()
	l.trouble = err
	l.mu.Unlock()
	if l.cfg.Failed != nil {
		l.cfg.Failed(err)
	}
}

// Submit implements Orderer.
func (l *Local) Submit(_ context.Context, tx []byte) error {
	if len(tx) > ledger.MaxSubmission {
		return ErrTooLarge
	}
	l.mu.Lock()
	off := l.stopped || !l.started || l.trouble != nil
	l.mu.Unlock()
	if off {
		return ErrStopped
	}
	return l.pool.Add(tx)
}

// Status implements Orderer.
func (l *Local) Status() Status {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := Status{Engine: "local", Tolerates: "crash of this member, with its disk", Leader: "self", Height: l.height,
		View: l.view, PoolBytes: l.pool.Bytes(), Healthy: l.trouble == nil && !l.stopped}
	if l.trouble != nil {
		s.Trouble = l.trouble.Error()
	}
	return s
}

// Close implements Orderer. What the pool holds is lost: it was not acknowledged.
func (l *Local) Close() error {
	l.mu.Lock()
	again, started := l.stopped, l.started
	l.stopped = true
	l.mu.Unlock()
	l.cancel()
	if !started {
		return nil
	}
	<-l.done
	if again || l.segment == nil {
		return nil
	}
	return l.segment.Close()
}
