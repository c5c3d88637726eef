package main

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/quorate-pki/quorate/ca"
	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger/client"
)

// receiptBeside is where submit writes an item's receipt: beside its file.
func receiptBeside(it client.Item) string { return it.Name + ".tlog-proof" }

// receiptIn is where submit --out writes it: by the SHA-256 of the certificate.
func receiptIn(dir string) func(client.Item) string {
	return func(it client.Item) string {
		return filepath.Join(dir, fmt.Sprintf("%x.tlog-proof", sha256.Sum256(it.DER)))
	}
}

func fromFiles(files []string) iter.Seq2[client.Item, error] {
	return func(yield func(client.Item, error) bool) {
		for _, f := range files {
			der, err := readCertificate(f)
			if !yield(client.Item{Name: f, DER: der}, err) || err != nil {
				return
			}
		}
	}
}

func fromStream(in io.Reader) iter.Seq2[client.Item, error] {
	return func(yield func(client.Item, error) bool) {
		n := 0
		for der, err := range ca.Stream(in) {
			n++
			if err != nil {
				err = usage{err}
			}
			if !yield(client.Item{Name: fmt.Sprintf("certificate %d", n), DER: der}, err) || err != nil {
				return
			}
		}
		if n == 0 {
			yield(client.Item{}, usage{errors.New("no certificate in the input")})
		}
	}
}

// certificates reads what a command line names, one certificate at a time: files, directories with all below them, and "-" for a
// PEM stream.
func certificates(names []string, in io.Reader) iter.Seq2[client.Item, error] {
	return func(yield func(client.Item, error) bool) {
		for _, name := range names {
			var items iter.Seq2[client.Item, error]
			switch info, err := os.Stat(name); {
			case name == "-":
				items = fromStream(in)
			case err != nil:
				yield(client.Item{}, usage{err})
				return
			case info.IsDir():
				files, err := certificateFiles(name)
				if err != nil {
					yield(client.Item{}, usage{err})
					return
				}
				items = fromFiles(files)
			default:
				items = fromFiles([]string{name})
			}
			for it, err := range items {
				if !yield(it, err) || err != nil {
					return
				}
			}
		}
	}
}

// certificateFiles are the files of a directory, and below it, that may be a certificate by their names, in order. One that holds only
// another kind of PEM, such as the key beside a certificate, is passed over; one that is spoiled is not.
func certificateFiles(dir string) (files []string, err error) {
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || !slices.Contains([]string{".pem", ".crt", ".cer", ".der"}, strings.ToLower(filepath.Ext(path))) {
			return err
		}
		data, err := readSmall(path, maxProofFile)
		if err != nil {
			return err
		}
		if bytes.Contains(data, []byte("-----BEGIN ")) && !bytes.Contains(data, []byte("-----BEGIN CERTIFICATE-----")) {
			return nil
		}
		files = append(files, path)
		return nil
	})
	if err == nil && len(files) == 0 {
		err = fmt.Errorf("no certificate in %s (.pem, .crt, .cer, .der)", dir)
	}
	return files, err
}

// tally tells how certificates stand, a line each, and counts.
type tally struct {
	out    io.Writer
	all    int
	counts map[string]int
	order  []string // of counts, as they came
	exit   int
}

func newTally(out io.Writer) *tally { return &tally{out: out, counts: map[string]int{}} }

// say tells of one certificate. leaf is nil where it has none that is proved.
func (t *tally) say(word string, exit int, leaf *uint64, name, detail string) {
	if t.counts[word] == 0 {
		t.order = append(t.order, word)
	}
	t.all++
	t.counts[word]++
	if t.exit != exitNo && exit != exitYes { // a certain no is worse than what is not known
		t.exit = exit
	}
	fields := []string{word}
	if leaf != nil {
		fields = append(fields, fmt.Sprintf("leaf %d", *leaf))
	}
	fields = append(fields, name)
	if detail != "" {
		fields = append(fields, detail)
	}
	fmt.Fprintln(t.out, printable(strings.Join(fields, "  ")))
}

// verdict tells the verdict on one certificate; an error without a reason is returned.
func (t *tally) verdict(err error, leaf *uint64, name string) error {
	if err == nil {
		t.say("good", exitYes, leaf, name, "")
		return nil
	}
	r, ok := errors.AsType[*reason.Error](err)
	if !ok {
		return fmt.Errorf("%s: %w", name, err)
	}
	exit, _ := exitCode(err)
	if exit != exitUnknown {
		exit = exitNo
	}
	t.say(r.Code.String(), exit, leaf, name, strings.TrimSpace(fmt.Sprintf("%s (%d)", r.Detail, r.Code)))
	return nil
}

// end tells the counts, and is the exit code.
func (t *tally) end() error {
	var parts []string
	for _, word := range t.order {
		parts = append(parts, fmt.Sprintf("%d %s", t.counts[word], word))
	}
	fmt.Fprintf(t.out, "%d certificates: %s\n", t.all, strings.Join(parts, ", "))
	if t.exit != exitYes {
		return verdict{t.exit}
	}
	return nil
}
