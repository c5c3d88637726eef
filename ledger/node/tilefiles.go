package node

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/quorate-pki/quorate/internal/durable"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/layout"
	"github.com/quorate-pki/quorate/ledger/tlog"
)

// tileFiles keeps a log's entries and tiles. Full bundles and full hash tiles are files under their C2SP paths,
// written once. What is not full yet is one append-only file, `edge`: u64 bundle number, then the bundle's entries
// so far, in bundle form; partial hash tiles are computed from it and live in memory.
//
// Leaves are durable when append returns. Readers may ask only within a size that the index committed to.
type tileFiles struct {
	fs   vfs.FS
	dir  string
	edge vfs.File // owned by append
	made []string // directories that are durable; owned by append

	mu      sync.RWMutex
	tree    *tlog.TileTree
	number  uint64            // of the bundle that entries begin with
	entries [][]byte          // of the bundle that is not full, behind those that are full and not durable as files yet
	fresh   map[string][]byte // hash tiles completed and not durable yet: readers must not miss them
	cache   map[string][]byte // full hash tiles
}

const (
	cacheTiles = 1 << 11 // full hash tiles kept in memory: at most 16 MiB
	maxBundle  = tlog.TileWidth * (2 + ledger.MaxEntry)
)

// openTileFiles brings the files to size, which the index committed to: what lies beyond is ignored and will be
// rewritten identical.
func openTileFiles(fsys vfs.FS, root, dir string, size uint64) (*tileFiles, error) {
	t := &tileFiles{fs: fsys, dir: dir, number: size / tlog.TileWidth, fresh: map[string][]byte{}, cache: map[string][]byte{}}
	if err := durable.MkdirAll(fsys, root, path.Join(dir, "tile")); err != nil {
		return nil, err
	}
	var err error
	if t.entries, err = t.recoverEdge(size); err != nil {
		return nil, fmt.Errorf("opening the log in %s: %w", dir, err)
	}
	if t.tree, err = tlog.OpenTileTree(edgeReader{t, size}, size); err != nil {
		return nil, fmt.Errorf("opening the log in %s: %w", dir, err)
	}
	if err := t.replaceEdge(size / tlog.TileWidth); err != nil {
		return nil, fmt.Errorf("opening the log in %s: %w", dir, err)
	}
	return t, nil
}

// recoverEdge returns the entries of the bundle that size cuts. They are in the edge file, or, when a crash came
// after the bundle was completed and before the index committed, in the full bundle.
func (t *tileFiles) recoverEdge(size uint64) ([][]byte, error) {
	number, want := size/tlog.TileWidth, int(size%tlog.TileWidth)
	if want == 0 {
		return nil, nil
	}
	data, err := durable.Read(t.fs, path.Join(t.dir, layout.Edge), layout.EdgeHeader+maxBundle)
	if err != nil {
		return nil, err
	}
	if len(data) < layout.EdgeHeader {
		return nil, errors.New("the edge file is cut")
	}
	var entries [][]byte
	if at := binary.BigEndian.Uint64(data); at > number {
		if data, err = t.readFile(tlog.Tile{Level: tlog.EntriesLevel, Index: number, Width: tlog.TileWidth}); err != nil {
			return nil, err
		}
		if entries, err = tlog.SplitBundle(data); err != nil {
			return nil, err
		}
	} else if at < number {
		return nil, fmt.Errorf("the edge file is of bundle %d, the index of bundle %d", at, number)
	} else {
		entries = splitPrefix(data[layout.EdgeHeader:])
	}
	if len(entries) < want {
		return nil, fmt.Errorf("bundle %d has %d entries, the index %d", number, len(entries), want)
	}
	return slices.Clip(entries[:want]), nil
}

// splitPrefix splits a bundle whose last entry a crash may have cut.
func splitPrefix(data []byte) (out [][]byte) {
	for len(data) >= 2 {
		n := int(binary.BigEndian.Uint16(data))
		if len(data) < 2+n {
			break
		}
		out = append(out, data[2:2+n:2+n])
		data = data[2+n:]
	}
	return out
}

// edgeReader serves what OpenTileTree needs: partial tiles, computed from the tiles below them.
type edgeReader struct {
	t    *tileFiles
	size uint64
}

func (r edgeReader) ReadTile(tile tlog.Tile) ([]byte, error) {
	if tile.Level == 0 {
		var out []byte
		for _, e := range r.t.entries[:tile.Width] {
			h := tlog.LeafHash(e)
			out = append(out, h[:]...)
		}
		return out, nil
	}
	var out []byte
	for i := range uint64(tile.Width) {
		below, err := r.t.readFile(tlog.Tile{Level: tile.Level - 1, Index: tile.Index*tlog.TileWidth + i, Width: tlog.TileWidth})
		if err != nil {
			return nil, err
		}
		hashes := make([]tlog.Hash, tlog.TileWidth)
		for k := range hashes {
			copy(hashes[k][:], below[k*32:])
		}
		h := tlog.Root(hashes)
		out = append(out, h[:]...)
	}
	return out, nil
}

// append makes leaves durable at the end of the log.
func (t *tileFiles) append(leaves [][]byte) error {
	unwritten := make([]byte, 0, bundleSize(leaves)) // entries that the edge file lacks
	var files []durable.File
	t.mu.Lock()
	for _, l := range leaves {
		var err error
		if unwritten, err = tlog.AppendBundleEntry(unwritten, l); err != nil {
			t.mu.Unlock()
			return err
		}
		for _, d := range t.tree.Append(tlog.LeafHash(l)) {
			t.fresh[d.Tile.Path()] = d.Data
			files = append(files, durable.File{Name: d.Tile.Path(), Data: d.Data})
		}
		t.entries = append(t.entries, l)
	}
	t.mu.Unlock()
	if len(t.entries) >= tlog.TileWidth {
		return t.complete(files)
	}
	if len(unwritten) == 0 {
		return nil
	}
	if _, err := t.edge.Write(unwritten); err != nil {
		return fmt.Errorf("writing the edge: %w", err)
	}
	// A crash before this leaves part of these entries; the index did not commit to them.
	if err := t.edge.Sync(); err != nil {
		return fmt.Errorf("writing the edge: %w", err)
	}
	return nil
}

// complete writes the bundles that are full, beside the hash tiles completed with them, then a new edge with the entries that are left.
func (t *tileFiles) complete(files []durable.File) error {
	number, left := t.number, t.entries
	for ; len(left) >= tlog.TileWidth; number, left = number+1, left[tlog.TileWidth:] {
		bundle := make([]byte, 0, bundleSize(left[:tlog.TileWidth]))
		for _, e := range left[:tlog.TileWidth] {
			bundle, _ = tlog.AppendBundleEntry(bundle, e) // each was appended once already
		}
		tile := tlog.Tile{Level: tlog.EntriesLevel, Index: number, Width: tlog.TileWidth}
		files = append(files, durable.File{Name: tile.Path(), Data: bundle})
	}
	for i := range files {
		files[i].Name = path.Join(t.dir, files[i].Name)
		if err := t.mkdir(path.Dir(files[i].Name)); err != nil {
			return err
		}
	}
	if err := durable.ReplaceAll(t.fs, files); err != nil {
		return err
	}
	t.mu.Lock()
	t.number, t.entries = number, slices.Clone(left)
	clear(t.fresh)
	t.mu.Unlock()
	// A crash before this leaves the old edge and the full bundle: the same entries twice.
	return t.replaceEdge(number)
}

// bundleSize is the length of entries in bundle form.
func bundleSize(entries [][]byte) (n int) {
	for _, e := range entries {
		n += 2 + len(e)
	}
	return n
}

// mkdir makes a directory durable, once: a thousand tiles follow.
func (t *tileFiles) mkdir(dir string) error {
	if slices.Contains(t.made, dir) {
		return nil
	}
	if err := durable.MkdirAll(t.fs, t.dir, dir); err != nil {
		return err
	}
	t.made = append(t.made[max(0, len(t.made)-7):], dir) // as many as are in use at once: two, and one for each level above
	return nil
}

// replaceEdge writes the edge file anew for a bundle, with the entries in memory.
func (t *tileFiles) replaceEdge(number uint64) error {
	if t.edge != nil {
		old := t.edge
		t.edge = nil // closed once, whatever comes
		if err := old.Close(); err != nil {
			return err
		}
	}
	data := binary.BigEndian.AppendUint64(nil, number)
	for _, e := range t.entries {
		var err error
		if data, err = tlog.AppendBundleEntry(data, e); err != nil {
			return err
		}
	}
	name := path.Join(t.dir, layout.Edge)
	if err := durable.Replace(t.fs, name, data); err != nil {
		return err
	}
	f, err := durable.OpenAppend(t.fs, name)
	if err != nil {
		return err
	}
	t.edge = f
	return nil
}

func (t *tileFiles) remember(tile tlog.Tile, data []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.cache) >= cacheTiles {
		clear(t.cache)
	}
	t.cache[tile.Path()] = data
}

// readFile returns a full tile or bundle.
func (t *tileFiles) readFile(tile tlog.Tile) ([]byte, error) {
	t.mu.RLock()
	data, ok := t.fresh[tile.Path()]
	if !ok {
		data, ok = t.cache[tile.Path()]
	}
	t.mu.RUnlock()
	if ok {
		return data, nil
	}
	data, err := durable.Read(t.fs, path.Join(t.dir, tile.Path()), maxBundle)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ledger.ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	if tile.Level >= 0 && len(data) != tlog.TileWidth*32 {
		return nil, fmt.Errorf("tile %s has %d bytes", tile.Path(), len(data))
	}
	if tile.Level >= 0 {
		t.remember(tile, data)
	}
	return data, nil
}

// ReadTile implements tlog.TileReader for any tile of the log as far as it is appended.
func (t *tileFiles) ReadTile(tile tlog.Tile) ([]byte, error) {
	if tile.Level < 0 {
		entries, err := t.bundle(tile)
		if err != nil {
			return nil, err
		}
		var out []byte
		for _, e := range entries {
			if out, err = tlog.AppendBundleEntry(out, e); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
	t.mu.RLock()
	data, err := t.tree.ReadTile(tile)
	t.mu.RUnlock()
	if err == nil {
		return data, nil
	}
	if data, err = t.readFile(tile.Full()); err != nil {
		return nil, err
	}
	return data[:tile.Width*32], nil
}

// bundle returns the first Width entries of a bundle.
func (t *tileFiles) bundle(tile tlog.Tile) ([][]byte, error) {
	t.mu.RLock()
	at, entries := t.number, t.entries
	t.mu.RUnlock()
	if at != tile.Index {
		data, err := t.readFile(tile.Full())
		if err != nil {
			return nil, err
		}
		if entries, err = tlog.SplitBundle(data); err != nil {
			return nil, err
		}
	}
	if len(entries) < tile.Width {
		return nil, ledger.ErrNotFound
	}
	return entries[:tile.Width], nil
}

// entry returns one leaf.
func (t *tileFiles) entry(index uint64) ([]byte, error) {
	entries, err := t.bundle(tlog.Tile{Level: tlog.EntriesLevel, Index: index / tlog.TileWidth, Width: int(index%tlog.TileWidth) + 1})
	if err != nil {
		return nil, err
	}
	return entries[index%tlog.TileWidth], nil
}

func (t *tileFiles) close() error {
	if t.edge == nil {
		return nil
	}
	return t.edge.Close()
}
