package fsck

import (
	"errors"
	"io"
	"iter"
	"maps"
	"os"

	"github.com/cockroachdb/pebble/v2/vfs"
)

var errReadOnly = errors.New("fsck does not write")

// readOnly is a file system that refuses every change, so that nothing under fsck, Pebble included, can make one.
type readOnly struct{ vfs.FS }

func (readOnly) Create(string, vfs.DiskWriteCategory) (vfs.File, error) { return nil, errReadOnly }
func (readOnly) Link(string, string) error                              { return errReadOnly }
func (readOnly) Remove(string) error                                    { return errReadOnly }
func (readOnly) RemoveAll(string) error                                 { return errReadOnly }
func (readOnly) Rename(string, string) error                            { return errReadOnly }
func (readOnly) MkdirAll(string, os.FileMode) error                     { return errReadOnly }
func (readOnly) ReuseForWrite(_, _ string, _ vfs.DiskWriteCategory) (vfs.File, error) {
	return nil, errReadOnly
}
func (readOnly) OpenReadWrite(string, vfs.DiskWriteCategory, ...vfs.OpenOption) (vfs.File, error) {
	return nil, errReadOnly
}

// Lock takes a lock whose file is there and empty: locking creates and cuts the file. Where there is none, no node
// ever ran.
func (r readOnly) Lock(name string) (io.Closer, error) {
	info, err := r.Stat(name)
	if err != nil || info.Size() != 0 {
		return noLock{}, nil
	}
	return r.FS.Lock(name)
}

// Unwrap implements vfs.FS; there is no way around this one.
func (r readOnly) Unwrap() vfs.FS { return nil }

type noLock struct{}

// Close implements io.Closer.
func (noLock) Close() error { return nil }

func mapKeys[V any](m map[string]V) iter.Seq[string] { return maps.Keys(m) }
