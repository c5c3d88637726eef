// Package durable writes files so that a crash leaves the old content or the new, never a mixture and never
// nothing. Everything goes through Pebble's vfs.FS, so tests can crash the file system at any step.
package durable

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// category labels writes in Pebble's disk statistics.
const category = vfs.WriteCategoryUnspecified

// Replace puts data under name: temporary file, fsync, rename, fsync of the directory. When it returns nil the
// new content is durable. A crash before leaves the old content, and perhaps a temporary file that the next
// Replace overwrites.
func Replace(fsys vfs.FS, name string, data []byte) error {
	return Write(fsys, name, func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	})
}

// Write is Replace by what fill writes, of any length. When fill fails, the old content stays.
func Write(fsys vfs.FS, name string, fill func(io.Writer) error) error {
	dir, tmp := path.Dir(name), name+".tmp"
	if err := writeSynced(fsys, tmp, fill); err != nil {
		return fmt.Errorf("replacing %s: %w", name, err)
	}
	// A crash here leaves the old file and a complete temporary one.
	if err := fsys.Rename(tmp, name); err != nil {
		return fmt.Errorf("replacing %s: %w", name, err)
	}
	// A crash here leaves either, each complete.
	if err := SyncDir(fsys, dir); err != nil {
		return fmt.Errorf("replacing %s: %w", name, err)
	}
	return nil
}

// File is a file's name and content.
type File struct {
	Name string
	Data []byte
}

// ReplaceAll is Replace of several files. It makes the names in a directory durable once. A crash before it returns leaves the old content
// of any of them.
func ReplaceAll(fsys vfs.FS, files []File) error {
	var dirs []string
	for _, f := range files {
		tmp := f.Name + ".tmp"
		err := writeSynced(fsys, tmp, func(w io.Writer) error {
			_, err := w.Write(f.Data)
			return err
		})
		if err == nil {
			err = fsys.Rename(tmp, f.Name)
		}
		if err != nil {
			return fmt.Errorf("replacing %s: %w", f.Name, err)
		}
		if dir := path.Dir(f.Name); !slices.Contains(dirs, dir) {
			dirs = append(dirs, dir)
		}
	}
	for _, dir := range dirs {
		if err := SyncDir(fsys, dir); err != nil {
			return fmt.Errorf("replacing files in %s: %w", dir, err)
		}
	}
	return nil
}

func writeSynced(fsys vfs.FS, name string, fill func(io.Writer) error) error {
	f, err := fsys.Create(name, category)
	if err != nil {
		return err
	}
	if err := fill(cloning{f}); err != nil {
		return errors.Join(err, f.Close(), fsys.Remove(name))
	}
	err = f.Sync()
	return errors.Join(err, f.Close())
}

// cloning keeps what is written as it is: vfs.File.Write may scribble on its argument.
type cloning struct{ f vfs.File }

func (c cloning) Write(p []byte) (int, error) { return c.f.Write(append([]byte(nil), p...)) }

// SyncDir makes the names in a directory durable.
func SyncDir(fsys vfs.FS, dir string) error {
	d, err := fsys.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// MkdirAll creates a directory and makes its name durable in every parent up to root.
func MkdirAll(fsys vfs.FS, root, dir string) error {
	if err := fsys.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("creating %s: %w", dir, err)
	}
	for d := dir; d != root && d != "." && d != "/"; {
		d = path.Dir(d)
		if err := SyncDir(fsys, d); err != nil {
			return fmt.Errorf("creating %s: %w", dir, err)
		}
	}
	return nil
}

// ErrTooLarge means that a file is larger than it may be.
var ErrTooLarge = errors.New("file is too large")

// Read returns a file's content, at most limit bytes. A missing file is fs.ErrNotExist.
func Read(fsys vfs.FS, name string, limit int64) ([]byte, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("reading %s: %w", name, ErrTooLarge)
	}
	return data, nil
}

// Exists reports whether a file is there.
func Exists(fsys vfs.FS, name string) (bool, error) {
	_, err := fsys.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// OpenAppend opens an existing file for writing at its end.
func OpenAppend(fsys vfs.FS, name string) (vfs.File, error) {
	f, err := fsys.OpenReadWrite(name, category)
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", name, err)
	}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &appendFile{File: f, end: info.Size()}, nil
}

// appendFile turns Write into WriteAt the end: vfs files opened read-write start at offset zero.
type appendFile struct {
	vfs.File
	end int64
}

func (a *appendFile) Write(p []byte) (int, error) {
	n, err := a.File.WriteAt(p, a.end)
	a.end += int64(n)
	return n, err
}
