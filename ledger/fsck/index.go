package fsck

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/record"
	"github.com/cockroachdb/pebble/v2/sstable"

	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/layout"
	"github.com/quorate-pki/quorate/ledger/state"
)

// index is the Pebble store, opened for reading.
type index struct {
	lock   *pebble.Lock
	db     *pebble.DB
	newest string   // name of the newest write-ahead log
	tables []string // tables in force
	broken bool     // a file of it is named already
}

func (i *index) close() {
	if i.db != nil {
		_ = guard(i.db.Close)
	}
}

// guard runs f so that a failure inside Pebble is an error and never the end of the process.
func guard(f func() error) (err error) {
	done := make(chan struct{})
	err = errors.New("the index gave up")
	go func() {
		defer close(done)
		defer func() {
			if r := recover(); r != nil {
				err = fmt.Errorf("panic: %v", r)
			}
		}()
		err = f()
	}()
	<-done
	return err
}

// quiet is Pebble's logger. Fatalf must not return, and must not end the process either: it ends the goroutine.
type quiet struct{}

func (quiet) Infof(string, ...any)  {}
func (quiet) Errorf(string, ...any) {}
func (quiet) Fatalf(string, ...any) { runtime.Goexit() }

// openIndex opens the index and reads the final record.
func (c *checker) openIndex() {
	for name := range c.files {
		if base, ok := strings.CutPrefix(name, layout.Index+"/"); ok && strings.HasSuffix(base, ".log") {
			c.index.newest = max(c.index.newest, base)
		}
	}
	var raw []byte
	err := guard(func() error {
		db, err := pebble.Open(c.path(layout.Index), &pebble.Options{FS: c.fs, ReadOnly: true, Logger: quiet{}, Lock: c.index.lock,
			ErrorIfNotExists: true, FormatMajorVersion: pebble.FormatNewest, DisableTableStats: true})
		if err != nil {
			return err
		}
		c.index.db = db
		levels, err := db.SSTables()
		if err != nil {
			return err
		}
		for _, level := range levels {
			for _, t := range level {
				c.index.tables = append(c.index.tables, t.BackingSSTNum.String()+".sst")
			}
		}
		v, closer, err := db.Get([]byte(layout.FinalKey))
		if err != nil {
			return fmt.Errorf("reading the final record: %w", err)
		}
		raw = bytes.Clone(v)
		return closer.Close()
	})
	if errors.Is(err, pebble.ErrNotFound) {
		c.differs(layout.Index, "final record: is missing")
		return
	}
	if err != nil {
		c.nameBroken(err)
		return
	}
	f, err := layout.ParseFinal(raw)
	if err != nil {
		c.differs(layout.Index, "final record: %v", err)
		return
	}
	c.final = f
}

// nameBroken says which file an error of Pebble's is about: the one it names, else those whose checksums are wrong.
func (c *checker) nameBroken(err error) {
	if c.index.broken {
		return
	}
	before := len(c.findings)
	if c.index.db == nil {
		c.index.tables = nil
		for name := range c.files {
			if dir, base := path.Split(name); dir == layout.Index+"/" && strings.HasSuffix(base, ".sst") {
				c.index.tables = append(c.index.tables, base)
			}
		}
		slices.Sort(c.index.tables)
	}
	c.checkTables()
	c.checkLogs(c.differs)
	if len(c.findings) == before && c.index.db == nil {
		c.checkOptions(c.differs)
	}
	if len(c.findings) == before {
		c.differs(c.named(err), "the index cannot be read: %v", err)
	}
	c.index.broken = true
}

// named finds the file that an error names.
func (c *checker) named(err error) string {
	text := err.Error()
	for _, name := range slices.Sorted(mapKeys(c.files)) {
		if dir, base := path.Split(name); dir == layout.Index+"/" && strings.Contains(text, base) {
			return name
		}
	}
	if m := tableNumber.FindStringSubmatch(text); m != nil {
		return path.Join(layout.Index, m[1]+".sst")
	}
	return layout.Index
}

// tableNumber is how Pebble names a table that it does not find.
var tableNumber = regexp.MustCompile(`file ([0-9]+) \(type sstable\)`)

// checkIndexFiles verifies checksums of what Pebble reads, whether or not a record that it returned is wrong.
func (c *checker) checkIndexFiles() {
	for _, name := range slices.Sorted(mapKeys(c.files)) {
		if dir, base := path.Split(name); dir == layout.Index+"/" && !pebbleFile(base) {
			c.differs(name, "is no file of the index's")
		}
	}
	if c.index.broken || c.index.db == nil {
		return
	}
	c.checkTables()
	// A log may end in what a crash cut. Where records are lost with it, comparing has shown that, or the published
	// checkpoint has; then the log is to blame.
	report := c.note
	if slices.ContainsFunc(c.findings, func(f Finding) bool { return !f.Note && strings.HasPrefix(f.Path, layout.Index) }) {
		report = c.differs
	}
	c.checkLogs(report)
	c.checkOptions(c.note)
}

// checkTables verifies the checksum of every block of every table.
func (c *checker) checkTables() {
	seen := map[string]bool{}
	for _, base := range c.index.tables {
		if seen[base] {
			continue
		}
		seen[base] = true
		name := path.Join(layout.Index, base)
		err := guard(func() error {
			f, err := c.fs.Open(c.path(name))
			if err != nil {
				return err
			}
			readable, err := sstable.NewSimpleReadable(f)
			if err != nil {
				return errors.Join(err, f.Close())
			}
			r, err := sstable.NewReader(context.Background(), readable, sstable.ReaderOptions{})
			if err != nil {
				return err
			}
			return errors.Join(r.ValidateBlockChecksums(), r.Close())
		})
		if err != nil {
			c.index.broken = true
			c.differs(name, "%v", err)
		}
	}
}

// checkLogs reads the manifests and write-ahead logs to their ends.
func (c *checker) checkLogs(report func(name, format string, args ...any)) {
	manifest := ""
	if desc, err := pebble.Peek(c.path(layout.Index), c.fs); err == nil && desc.Exists {
		manifest = path.Base(desc.ManifestFilename)
	}
	for _, name := range slices.Sorted(mapKeys(c.files)) {
		dir, base := path.Split(name)
		if dir != layout.Index+"/" {
			continue
		}
		number, isLog := strings.CutSuffix(base, ".log")
		if !isLog && base != manifest {
			continue
		}
		number, _, _ = strings.Cut(number, "-")
		n, _ := strconv.ParseUint(number, 10, 64)
		if err := c.readRecords(name, n); err != nil {
			report(name, "cannot be read to its end: %v", err)
		}
	}
}

func (c *checker) readRecords(name string, number uint64) error {
	return guard(func() error {
		f, err := c.fs.Open(c.path(name))
		if err != nil {
			return err
		}
		defer f.Close()
		for r := reader(record.NewReader, f, number); ; {
			next, err := r.Next()
			if errors.Is(err, io.EOF) {
				return checkTrailer(f, r.Offset())
			}
			if err == nil {
				_, err = io.Copy(io.Discard, next)
			}
			if err != nil {
				return fmt.Errorf("at byte %d: %w", r.Offset(), err)
			}
		}
	})
}

// trailer is how the mark begins that Pebble puts behind the last record of a log when it closes it: no checksum, no
// length, a full recyclable chunk. The number of the next log follows.
var trailer = []byte{0, 0, 0, 0, 0, 0, 5}

// checkTrailer compares what Pebble takes for the end of a log, by its log number alone, with what it writes there.
// Nothing at all is the end of a log that was never closed, and of a manifest.
func checkTrailer(f io.ReaderAt, at int64) error {
	got := make([]byte, len(trailer))
	n, err := f.ReadAt(got, at)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if n == len(trailer) && !bytes.Equal(got, trailer) {
		return fmt.Errorf("at byte %d: the mark of its end is %x, not %x", at, got, trailer)
	}
	return nil
}

// reader makes a record reader; the type of its log number is internal to Pebble.
func reader[N ~uint64](make func(io.Reader, N) *record.Reader, r io.Reader, number uint64) *record.Reader {
	return make(r, N(number))
}

// checkOptions reports options that do not read back as what they say. No record depends on them, but Pebble does not
// open with some that are wrong.
func (c *checker) checkOptions(report func(name, format string, args ...any)) {
	for _, name := range slices.Sorted(mapKeys(c.files)) {
		if !strings.HasPrefix(name, layout.Index+"/OPTIONS-") {
			continue
		}
		raw, ok := c.read(name, 1<<20)
		if !ok {
			continue
		}
		var o pebble.Options
		o.EnsureDefaults()
		err := guard(func() error {
			if err := o.Parse(string(raw), &pebble.ParseHooks{NewFilterPolicy: filterPolicy}); err != nil {
				return err
			}
			if o.String() != string(raw) {
				return errors.New("they do not read back the same")
			}
			return nil
		})
		if err != nil {
			report(name, "wrong options: %v", err)
		}
	}
}

// filterPolicy knows the filters that a node's tables may have.
func filterPolicy(name string) (pebble.FilterPolicy, error) {
	for _, known := range []pebble.FilterPolicy{bloom.FilterPolicy(10), pebble.NoFilterPolicy} {
		if name == known.Name() {
			return known, nil
		}
	}
	return nil, fmt.Errorf("filters %q", name)
}

// pebbleFile reports whether Pebble writes files of this name.
func pebbleFile(base string) bool {
	number := func(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }
	head, tail, _ := strings.Cut(base, ".")
	switch {
	case base == "LOCK" || strings.HasPrefix(base, "marker."):
		return true
	case tail == "":
		kind, n, _ := strings.Cut(base, "-")
		return (kind == "MANIFEST" || kind == "OPTIONS") && number(n)
	case tail == "log":
		a, b, cut := strings.Cut(head, "-")
		return number(a) && (!cut || number(b))
	}
	return (tail == "sst" || tail == "blob") && number(head) || strings.HasSuffix(base, ".dbtmp")
}

// kinds names the records for people.
var kinds = map[ledger.RecordKind]string{ledger.RecordKey: "key", ledger.RecordPublication: "publication", ledger.RecordDevice: "device", ledger.RecordInstance: "instance", ledger.RecordCertID: "CertID",
	ledger.RecordTx: "transaction", ledger.RecordOrg: "organisation", ledger.RecordNamespace: "namespace", ledger.RecordRegistry: "registered key",
	ledger.RecordUsage: "usage", ledger.RecordChunk: "status chunk", ledger.RecordChange: "status change", ledger.RecordLife: "life event", ledger.RecordRefusal: "refusal",
	ledger.RecordProposal: "proposal", ledger.RecordRule: "rule", ledger.RecordRun: "vouched run", ledger.RecordCA: "CA", ledger.RecordHeight: "block", ledger.RecordChannel: "channel"}

func recordName(key []byte) string {
	kind, ok := kinds[ledger.RecordKind(key[0])]
	if !ok {
		return fmt.Sprintf("record of no kind %x", key)
	}
	return fmt.Sprintf("%s record %x", kind, key[1:])
}

// maxNamed is how many differing records are named before the rest is counted.
const maxNamed = 50

// compareRecords compares every record of the index with the state that the leaves fold to, in both directions.
func (c *checker) compareRecords() {
	if c.index.db == nil {
		return
	}
	if !c.folded {
		c.note(layout.Index, "its records were not compared: the log is not known to be whole up to size %d", c.want.size)
		return
	}
	count := 0
	differs := func(key []byte, format string, args ...any) {
		if count++; count <= maxNamed {
			c.differs(layout.Index, "%s: %s", recordName(key), fmt.Sprintf(format, args...))
		}
	}
	missing := maps.Clone(c.chain.store)
	err := guard(func() error {
		it, err := c.index.db.NewIter(nil)
		if err != nil {
			return err
		}
		defer it.Close()
		for ok := it.First(); ok; ok = it.Next() {
			key := bytes.Clone(it.Key())
			got, err := it.ValueAndErr()
			if err != nil {
				return err
			}
			if string(key) == layout.FinalKey {
				continue
			}
			c.sum.Records++
			want, known := c.chain.store[string(key)]
			delete(missing, string(key))
			switch {
			case len(key) == 0 || !known:
				differs(append(key, make([]byte, max(0, 1-len(key)))...), "the log gives none")
			case !bytes.Equal(got, want):
				differs(key, "differs from what the log gives, at byte %d of %d", firstDifference(got, want), len(got))
			}
		}
		return it.Error()
	})
	if err != nil {
		c.nameBroken(err)
		return // what is missing was perhaps not read
	}
	for _, key := range slices.Sorted(mapKeys(missing)) {
		differs([]byte(key), "is missing")
	}
	if count > maxNamed {
		c.differs(layout.Index, "and %d more records", count-maxNamed)
	}
}

func firstDifference(a, b []byte) int {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return i
		}
	}
	return min(len(a), len(b))
}

var _ state.Store = records{}
