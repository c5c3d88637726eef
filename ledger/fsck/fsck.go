// Package fsck checks one node's directory without the code that wrote it: from the tiles alone it rebuilds the header
// chain, the state and its status chunks, and compares them with the index, the cosigned checkpoints, the signer memory
// and the orderer's segments. It names what differs and repairs nothing. See DESIGN.md beside this file.
//
// It must never write, nor import ledger/node. It needs the memory of the whole state, about 2 KiB per certificate.
package fsck

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/quorate-pki/quorate/internal/durable"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/commit"
	"github.com/quorate-pki/quorate/ledger/layout"
	"github.com/quorate-pki/quorate/ledger/state"
	"github.com/quorate-pki/quorate/ledger/tlog"
)

// ErrInUse: a running node holds the directory. Stop it first.
var ErrInUse = errors.New("the directory is in use by a running node")

// Config says what to check.
type Config struct {
	FS     vfs.FS
	Dir    string // the node's directory
	Member string // the member's name
	// Deep also verifies every transaction's signatures and judges every block again whose bodies are all on the log.
	// About 0.2 ms per certificate.
	Deep bool
}

// Finding is one thing that differs, or, as a note, one that a crash may leave and the next start puts right.
type Finding struct {
	Path string // within the directory
	What string
	Note bool
}

func (f Finding) String() string {
	if f.Note {
		return "note " + f.Path + ": " + f.What
	}
	return "DIFFERS " + f.Path + ": " + f.What
}

// Summary is what was checked.
type Summary struct {
	Height       uint64 // blocks after genesis that fold
	Size         uint64 // leaves
	Root         ledger.Hash
	Certificates uint64
	Records      uint64 // of the index, each compared
	Judged       uint64 // blocks judged again (Deep)
	Genesis      []byte // the genesis block, if it is sound
}

// Differs reports whether a finding is more than a note.
func Differs(findings []Finding) bool {
	return slices.ContainsFunc(findings, func(f Finding) bool { return !f.Note })
}

type checker struct {
	cfg      Config
	fs       vfs.FS
	findings []Finding
	sum      Summary
	files    map[string]int64 // size of every file, by its path within the directory

	genesis  [][]byte // leaves that genesis.block gives; nil when it is not sound
	channel  ledger.Hash
	members  *ledger.MemberSet
	policies []*tlog.Policy      // of the member sets, oldest first; the first is genesis'
	sets     []*ledger.MemberSet // the same; nil while there is one

	index   *index
	final   *layout.Final  // nil when it cannot be read
	file    *tlog.Verified // the checkpoint file, if it verifies
	memory  *commit.Signed // the signer memory, if it is sound
	ordered map[uint64]ledger.Hash
	want    anchor
	tree    *tree
	chain   *chain
	folded  bool // the leaves are those that were cosigned, and fold up to want.size
}

// anchor is the size and root that the log must have, and who says so.
type anchor struct {
	size  uint64
	root  ledger.Hash
	by    string
	known bool // by signatures, or by a sound genesis block
}

// Check checks one node's directory. Findings are in the order they were made. The error is ErrInUse, or why the
// directory could not be read at all.
func Check(cfg Config) ([]Finding, Summary, error) {
	c := &checker{cfg: cfg, fs: readOnly{cfg.FS}, files: map[string]int64{}}
	if _, err := c.fs.Stat(cfg.Dir); err != nil {
		return nil, c.sum, fmt.Errorf("checking %s: %w", cfg.Dir, err)
	}
	unlock, err := c.lock()
	if err != nil {
		return nil, c.sum, fmt.Errorf("checking %s: %w: %w", cfg.Dir, ErrInUse, err)
	}
	defer unlock()
	if err := c.list(""); err != nil {
		return nil, c.sum, fmt.Errorf("checking %s: %w", cfg.Dir, err)
	}
	c.checkGenesis()
	defer c.index.close()
	c.openIndex()
	c.memberSets()
	c.anchor()
	c.checkMemory()
	c.checkLog()
	c.checkFinal()
	c.compareRecords()
	c.checkIndexFiles()
	c.checkOrderer()
	c.compareMemory()
	c.checkStrays()
	return c.findings, c.sum, nil
}

// lock keeps nodes away while the check runs.
func (c *checker) lock() (unlock func(), err error) {
	own, err := c.fs.Lock(c.path(layout.Lock))
	if err != nil {
		return nil, err
	}
	dir, err := pebble.LockDirectory(c.path(layout.Index), c.fs)
	if err != nil {
		return nil, errors.Join(err, own.Close())
	}
	c.index = &index{lock: dir}
	return func() { dir.Close(); own.Close() }, nil
}

func (c *checker) path(name string) string { return path.Join(c.cfg.Dir, name) }

func (c *checker) differs(name, format string, args ...any) {
	c.findings = append(c.findings, Finding{Path: name, What: fmt.Sprintf(format, args...)})
}

func (c *checker) note(name, format string, args ...any) {
	c.findings = append(c.findings, Finding{Path: name, What: fmt.Sprintf(format, args...), Note: true})
}

// list notes every file below a directory.
func (c *checker) list(dir string) error {
	names, err := c.fs.List(c.path(dir))
	if err != nil {
		return err
	}
	slices.Sort(names)
	for _, n := range names {
		name := path.Join(dir, n)
		info, err := c.fs.Stat(c.path(name))
		if err != nil {
			return err
		}
		if !info.IsDir() {
			c.files[name] = info.Size()
		} else if err := c.list(name); err != nil {
			return err
		}
	}
	return nil
}

// read returns a file, and says so when it is missing or cannot be read.
func (c *checker) read(name string, limit int64) ([]byte, bool) {
	data, err := durable.Read(c.fs, c.path(name), limit)
	if errors.Is(err, fs.ErrNotExist) {
		c.differs(name, "is missing")
		return nil, false
	}
	if err != nil {
		c.differs(name, "cannot be read: %v", err)
		return nil, false
	}
	return data, true
}

// checkGenesis judges the genesis block again. Where it is not sound, the members are those of the log's block 0, so
// that the rest can still be checked.
func (c *checker) checkGenesis() {
	raw, ok := c.read(layout.Genesis, ledger.MaxBlock)
	if ok {
		b, err := ledger.ParseBlock(raw)
		if err == nil {
			var x *state.Executed
			if x, err = state.Execute(state.Empty(records{}), b, state.Direct{}); err == nil {
				c.genesis = x.Leaves
				c.sum.Genesis = raw
				c.trust(x.State)
			}
		}
		if err != nil {
			c.differs(layout.Genesis, "is not sound: %v", err)
		}
	}
	if c.members == nil {
		if st := c.firstBlock(); st != nil {
			c.trust(st)
		}
	}
}

func (c *checker) trust(st *state.State) {
	members, err := st.Members()
	if err != nil {
		return
	}
	c.channel, c.members, c.policies = st.Channel().Channel, members, []*tlog.Policy{members.Policy(0)}
}

// firstBlock folds the block 0 that the log has.
func (c *checker) firstBlock() *state.State {
	var entries [][]byte
	bundle := tlog.Tile{Level: tlog.EntriesLevel, Width: tlog.TileWidth}
	if data, err := durable.Read(c.fs, c.path(path.Join(layout.Log(0), bundle.Path())), maxBundle); err == nil {
		entries, _ = tlog.SplitBundle(data)
	} else if data, err := durable.Read(c.fs, c.path(path.Join(layout.Log(0), layout.Edge)), maxBundle); err == nil && len(data) >= layout.EdgeHeader {
		entries, _ = splitEdge(data)
	}
	for i, raw := range entries {
		if e, err := ledger.ParseEntry(raw); err == nil && e.Epoch != nil {
			st, err := state.Fold(state.Empty(records{}), entries[:i+1])
			if err != nil {
				return nil
			}
			return st
		}
	}
	return nil
}

// records is a state's store in memory.
type records map[string][]byte

// Get implements state.Store.
func (r records) Get(key []byte) ([]byte, error) { return r[string(key)], nil }

// checkStrays names files that nothing writes. What a crash leaves is a note.
func (c *checker) checkStrays() {
	for _, name := range slices.Sorted(mapKeys(c.files)) {
		dir := name[:strings.IndexByte(name+"/", '/')]
		switch {
		case name == layout.Genesis || name == layout.Signer || dir == layout.Index || dir == layout.Orderer || c.isLogFile(name):
		case name == layout.Lock:
			if c.files[name] > 0 {
				c.differs(name, "holds %d bytes; it is always empty", c.files[name])
			}
		case dir == layout.Evidence:
			c.checkEvidence(name)
		case name == layout.Rejoin:
			c.note(name, "the member was wiped and has signed nothing since")
		case strings.HasSuffix(name, layout.Temporary) && c.couldBe(strings.TrimSuffix(name, layout.Temporary)):
			c.note(name, "is left over from a crash; the next write of the file replaces it")
		default:
			c.differs(name, "is no file of a node's")
		}
	}
}

// couldBe reports whether durable.Replace ever writes a file of this name.
func (c *checker) couldBe(name string) bool {
	if name == layout.Genesis || name == layout.Signer {
		return true
	}
	rest, ok := strings.CutPrefix(name, layout.Log(0)+"/")
	if !ok {
		return false
	}
	t, err := tlog.ParseTilePath(rest)
	return rest == layout.Edge || rest == layout.Checkpoint || (err == nil && t.Width == tlog.TileWidth)
}

var _ io.Closer = noLock{}
