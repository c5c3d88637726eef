package ledgertest

import (
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Op is a step that changes a file system.
type Op struct {
	N    int    // 1, 2, ... in the order they came
	Kind string // create, write, sync, rename, remove, mkdir, syncdir, ...
	Path string
}

// HookFS calls Before for every step that changes the file system, one at a time. An error from Before fails the step
// without doing it; an error from After fails it after it was done: the two faces of every fault.
type HookFS struct {
	vfs.FS
	Before func(Op) error
	After  func(Op) error

	mu sync.Mutex
	n  int
}

func (h *HookFS) step(kind, path string, do func() error) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.n++
	op := Op{h.n, kind, path}
	if h.Before != nil {
		if err := h.Before(op); err != nil {
			return err
		}
	}
	if err := do(); err != nil {
		return err
	}
	if h.After != nil {
		return h.After(op)
	}
	return nil
}

// Steps is how many steps there were.
func (h *HookFS) Steps() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.n
}

func (h *HookFS) open(kind, path string, dir bool, do func() (vfs.File, error)) (f vfs.File, err error) {
	err = h.step(kind, path, func() error { f, err = do(); return err })
	if err != nil {
		if f != nil {
			_ = f.Close() // created, and reported as failed
		}
		return nil, err
	}
	return &hookFile{File: f, h: h, path: path, dir: dir}, nil
}

// Create implements vfs.FS.
func (h *HookFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return h.open("create", name, false, func() (vfs.File, error) { return h.FS.Create(name, c) })
}

// OpenReadWrite implements vfs.FS.
func (h *HookFS) OpenReadWrite(name string, c vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	return h.open("open", name, false, func() (vfs.File, error) { return h.FS.OpenReadWrite(name, c, opts...) })
}

// ReuseForWrite implements vfs.FS.
func (h *HookFS) ReuseForWrite(old, name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return h.open("reuse", name, false, func() (vfs.File, error) { return h.FS.ReuseForWrite(old, name, c) })
}

// OpenDir implements vfs.FS.
func (h *HookFS) OpenDir(name string) (vfs.File, error) {
	f, err := h.FS.OpenDir(name)
	if err != nil {
		return nil, err
	}
	return &hookFile{File: f, h: h, path: name, dir: true}, nil
}

// Link implements vfs.FS.
func (h *HookFS) Link(old, name string) error {
	return h.step("link", name, func() error { return h.FS.Link(old, name) })
}

// Remove implements vfs.FS.
func (h *HookFS) Remove(name string) error {
	return h.step("remove", name, func() error { return h.FS.Remove(name) })
}

// RemoveAll implements vfs.FS.
func (h *HookFS) RemoveAll(name string) error {
	return h.step("remove", name, func() error { return h.FS.RemoveAll(name) })
}

// Rename implements vfs.FS.
func (h *HookFS) Rename(old, name string) error {
	return h.step("rename", name, func() error { return h.FS.Rename(old, name) })
}

// Unwrap implements vfs.FS.
func (h *HookFS) Unwrap() vfs.FS { return h.FS }

type hookFile struct {
	vfs.File
	h    *HookFS
	path string
	dir  bool
}

func (f *hookFile) Write(p []byte) (n int, err error) {
	err = f.h.step("write", f.path, func() error { n, err = f.File.Write(p); return err })
	return n, err
}

func (f *hookFile) WriteAt(p []byte, off int64) (n int, err error) {
	err = f.h.step("write", f.path, func() error { n, err = f.File.WriteAt(p, off); return err })
	return n, err
}

func (f *hookFile) sync(do func() error) error {
	if f.dir {
		return f.h.step("syncdir", f.path, do)
	}
	return f.h.step("sync", f.path, do)
}

func (f *hookFile) Sync() error     { return f.sync(f.File.Sync) }
func (f *hookFile) SyncData() error { return f.sync(f.File.SyncData) }
func (f *hookFile) SyncTo(n int64) (full bool, err error) {
	err = f.sync(func() error { full, err = f.File.SyncTo(n); return err })
	return full, err
}
