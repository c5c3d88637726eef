package fsck_test

import (
	"bytes"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/fsck"
	"github.com/quorate-pki/quorate/ledger/layout"
)

// TestFlippedIndexBit: a flipped bit in a file of Pebble's is found where it changes a record, and the file is named.
// Where nothing is found, every record was compared and is right.
func TestFlippedIndexBit(t *testing.T) {
	d := build(t)
	_, clean := d.check(t, false)
	manifest := d.manifest(t)
	for name, data := range contents(t, d.fs, "node/index") {
		rel := strings.TrimPrefix(name, "node/")
		if len(data) == 0 {
			continue
		}
		outcome := map[string]int{}
		d.flips(t, name, data, 6, func(bit int, findings []fsck.Finding, sum fsck.Summary) {
			switch {
			case named(findings, rel):
				outcome["named"]++
			case fsck.Differs(findings):
				outcome["found"]++
				t.Errorf("bit %d of %s is found and not named: %v", bit, rel, findings)
			case len(findings) > 0:
				outcome["noted"]++
			default:
				outcome["no difference"]++
				// Pebble keeps an older manifest, which it does not read.
				if kind := path.Ext(rel); kind == ".sst" || kind == ".log" || path.Base(rel) == manifest {
					t.Errorf("bit %d of %s is not found", bit, rel)
				}
			}
			if !fsck.Differs(findings) && sum.Records != clean.Records {
				t.Errorf("bit %d of %s: %d records, want %d", bit, rel, sum.Records, clean.Records)
			}
		})
		t.Logf("%s, %d bytes: %v", rel, len(data), outcome)
	}
}

// manifest is the name of the one that Pebble reads.
func (d dir) manifest(t *testing.T) string {
	t.Helper()
	desc, err := pebble.Peek("node/index", d.fs)
	if err != nil {
		t.Fatal(err)
	}
	return path.Base(desc.ManifestFilename)
}

// TestFlippedTrailerBit: Pebble ends a log at a chunk with the next log's number, whatever else that chunk says. The
// check reads the rest too.
func TestFlippedTrailerBit(t *testing.T) {
	d := build(t)
	logs := 0
	for name, data := range contents(t, d.fs, "node/index") {
		if path.Ext(name) != ".log" || len(data) < 11 {
			continue
		}
		logs++
		for bit := 8 * (len(data) - 11); bit < 8*len(data); bit++ {
			bad := bytes.Clone(data)
			bad[bit/8] ^= 1 << (bit % 8)
			put(t, d.fs, name, bad)
			if findings, _ := d.check(t, false); len(findings) != 1 || "node/"+findings[0].Path != name {
				t.Errorf("bit %d of %s: %v", bit, name, findings)
			}
		}
		put(t, d.fs, name, data)
	}
	if logs == 0 {
		t.Fatal("no log was tried")
	}
}

func TestMissingIndexFile(t *testing.T) {
	d := build(t)
	for name, data := range contents(t, d.fs, "node/index") {
		base := path.Base(name)
		if base == "LOCK" || strings.HasPrefix(base, "OPTIONS") || (strings.HasPrefix(base, "MANIFEST") && base != d.manifest(t)) {
			continue
		}
		if err := d.fs.Remove(name); err != nil {
			t.Fatal(err)
		}
		findings, _ := d.check(t, false)
		if !slices.ContainsFunc(findings, func(f fsck.Finding) bool { return !f.Note && strings.HasPrefix(f.Path, "index") }) {
			t.Errorf("%s is missing: %v", name, findings)
		}
		put(t, d.fs, name, data)
	}
}

// edit changes the index through Pebble, checks, and puts everything back.
func (d dir) edit(t *testing.T, change func(b *pebble.Batch)) []fsck.Finding {
	t.Helper()
	before := contents(t, d.fs, "node/index")
	db, err := pebble.Open("node/index", &pebble.Options{FS: d.fs, FormatMajorVersion: pebble.FormatNewest, Logger: silent{}})
	if err != nil {
		t.Fatal(err)
	}
	b := db.NewBatch()
	change(b)
	if err := b.Commit(pebble.Sync); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	findings, _ := d.check(t, false)
	for name := range contents(t, d.fs, "node/index") {
		if _, ok := before[name]; !ok {
			if err := d.fs.Remove(name); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, data := range before {
		put(t, d.fs, name, data)
	}
	return findings
}

type silent struct{}

func (silent) Infof(string, ...any)      {}
func (silent) Errorf(string, ...any)     {}
func (silent) Fatalf(f string, a ...any) { panic(fmt.Sprintf(f, a...)) }

func says(findings []fsck.Finding, text string) bool {
	return slices.ContainsFunc(findings, func(f fsck.Finding) bool {
		return !f.Note && f.Path == "index" && strings.Contains(f.What, text)
	})
}

// records reads the index.
func (d dir) records(t *testing.T) map[string][]byte {
	t.Helper()
	mem := vfs.NewMem()
	for name, data := range contents(t, d.fs, "node/index") {
		put(t, mem, name, data)
	}
	db, err := pebble.Open("node/index", &pebble.Options{FS: mem, FormatMajorVersion: pebble.FormatNewest, Logger: silent{}})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	it, err := db.NewIter(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer it.Close()
	out := map[string][]byte{}
	for ok := it.First(); ok; ok = it.Next() {
		out[string(it.Key())] = bytes.Clone(it.Value())
	}
	return out
}

var kindNames = map[ledger.RecordKind]string{'k': "key", 'd': "device", 'i': "CertID", 't': "transaction", 'o': "organisation",
	'n': "namespace", 'r': "registered key", 'u': "usage", 'c': "status chunk", 'h': "block", 'm': "channel"}

// TestRecords: of every kind of record, one changed bit, a deletion and an addition are named.
func TestRecords(t *testing.T) {
	d := build(t)
	seen := map[byte]bool{}
	all := d.records(t)
	for key, value := range all {
		kind := key[0]
		if key == layout.FinalKey || seen[kind] {
			continue
		}
		seen[kind] = true
		name := fmt.Sprintf("%s record %x", kindNames[ledger.RecordKind(kind)], key[1:])
		for _, bit := range []int{0, 8*len(value) - 1, 4 * len(value)} {
			bad := bytes.Clone(value)
			bad[bit/8] ^= 1 << (bit % 8)
			got := d.edit(t, func(b *pebble.Batch) { b.Set([]byte(key), bad, nil) })
			if len(got) != 1 || !says(got, name+": differs") {
				t.Errorf("bit %d of %s: %v", bit, name, got)
			}
		}
		if got := d.edit(t, func(b *pebble.Batch) { b.Delete([]byte(key), nil) }); len(got) != 1 || !says(got, name+": is missing") {
			t.Errorf("%s deleted: %v", name, got)
		}
		extra := append([]byte(key), 'x')
		name = fmt.Sprintf("%s record %x", kindNames[ledger.RecordKind(kind)], extra[1:])
		if got := d.edit(t, func(b *pebble.Batch) { b.Set(extra, value, nil) }); len(got) != 1 || !says(got, name+": the log gives none") {
			t.Errorf("%s added: %v", name, got)
		}
	}
	for kind, name := range kindNames {
		if !seen[byte(kind)] {
			t.Errorf("no %s record was tried", name)
		}
	}
	for _, key := range []string{"zz", "\x00", ""} {
		if got := d.edit(t, func(b *pebble.Batch) { b.Set([]byte(key), []byte("x"), nil) }); len(got) != 1 || !says(got, "the log gives none") {
			t.Errorf("key %q: %v", key, got)
		}
	}
	got := d.edit(t, func(b *pebble.Batch) { b.DeleteRange([]byte("i"), []byte("j"), nil) })
	if len(got) != 51 || !strings.Contains(got[50].What, "more records") {
		t.Errorf("all CertIDs deleted: %d findings", len(got))
	}
}

// TestFinalRecord: every bit of the final record counts.
func TestFinalRecord(t *testing.T) {
	d := build(t)
	value := d.records(t)[layout.FinalKey]
	step := 7
	if testing.Short() {
		step = 307
	}
	for bit := 0; bit < 8*len(value); bit += step {
		bad := bytes.Clone(value)
		bad[bit/8] ^= 1 << (bit % 8)
		if got := d.edit(t, func(b *pebble.Batch) { b.Set([]byte(layout.FinalKey), bad, nil) }); !says(got, "final record") {
			t.Fatalf("bit %d: %v", bit, got)
		}
	}
	if got := d.edit(t, func(b *pebble.Batch) { b.Delete([]byte(layout.FinalKey), nil) }); len(got) != 1 || !says(got, "final record: is missing") {
		t.Errorf("deleted: %v", got)
	}
	set := func(field string, change func(f *layout.Final)) {
		t.Helper()
		f, err := layout.ParseFinal(value)
		if err != nil {
			t.Fatal(err)
		}
		change(f)
		if got := d.edit(t, func(b *pebble.Batch) { b.Set([]byte(layout.FinalKey), ledger.Encode(f), nil) }); !says(got, "final record: "+field) {
			t.Errorf("%s: %v", field, got)
		}
	}
	set("size", func(f *layout.Final) { f.Size++ })
	set("root", func(f *layout.Final) { f.Root[3]++ })
	set("height", func(f *layout.Final) { f.Height++; f.Index++ })
	set("orderer index", func(f *layout.Final) { f.Index++ })
	set("view", func(f *layout.Final) { f.View++ })
	set("header", func(f *layout.Final) { f.Header[9]++ })
	set("its checkpoint does not verify", func(f *layout.Final) {
		f.Checkpoint = bytes.Replace(f.Checkpoint, []byte("test.example"), []byte("tesT.example"), 1)
	})
	set("its checkpoint does not verify: a signature by", func(f *layout.Final) {
		f.Checkpoint = append(f.Checkpoint, f.Checkpoint[bytes.LastIndex(f.Checkpoint, []byte("\n—"))+1:]...)
		f.Checkpoint = bytes.Replace(f.Checkpoint, []byte("— test.example/ca-a"), []byte("— test.example/ca-b"), 1)
	})
	set("it has no checkpoint", func(f *layout.Final) { f.Checkpoint = []byte{} })
}

// TestGuard: neither a panic nor Fatalf inside Pebble ends the process, and neither passes for success.
func TestGuard(t *testing.T) {
	for name, f := range map[string]func() error{
		"panic": func() error { panic("x") },
		"fatal": func() error { fsck.Fatal(); return nil },
		"error": func() error { return errors.New("x") },
	} {
		if fsck.Guard(f) == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if err := fsck.Guard(func() error { return nil }); err != nil {
		t.Error(err)
	}
}
