// Command planted proves that the tests can fail: it plants one bug after the other, each of which breaks a promise, and demands
// that the test named beside it turns red. The working tree is not touched: a bug is an overlay of the compiler's.
//
//	go run ./internal/planted [-only NAME] [-list]
//
// Exit 0 when every bug was found. It must never call a bug found because something did not compile, or because a test was red
// without it.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"iter"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// bug is a change of one file that breaks a promise.
type bug struct {
	name    string
	promise string // what it breaks
	file    string // from the module's root
	edits   []edit
	pkg     string // package of the test, from the root
	run     string // pattern of the test that must turn red
}

// edit replaces a text that occurs once.
type edit struct{ from, to string }

func main() {
	only := flag.String("only", "", "plant the bug of this name alone")
	list := flag.Bool("list", false, "list the bugs and plant none")
	flag.Parse()
	var chosen []bug
	for _, b := range bugs {
		switch {
		case *only != "" && *only != b.name:
		case *list:
			fmt.Printf("%-24s %s\n", b.name, b.promise)
		default:
			chosen = append(chosen, b)
		}
	}
	if *list {
		return
	}
	if len(chosen) == 0 {
		fmt.Fprintf(os.Stderr, "there is no bug %q; see -list\n", *only)
		os.Exit(2)
	}
	missed := 0
	for o := range tried(chosen) {
		if o.err != nil {
			missed++
			o.verdict = "MISSED: " + o.err.Error()
		}
		fmt.Printf("%-24s %5.1f s  %s\n", o.name, o.took.Seconds(), o.verdict)
	}
	if missed > 0 {
		fmt.Printf("%d not found\n", missed)
		os.Exit(1)
	}
}

// outcome is what became of a planted bug.
type outcome struct {
	name    string
	took    time.Duration
	verdict string
	err     error
}

// tried plants bugs, as many at a time as there are processors, and gives the outcomes in the order of the bugs. They do not meet: each is an
// overlay of its own.
func tried(chosen []bug) iter.Seq[outcome] {
	return func(yield func(outcome) bool) {
		free := make(chan struct{}, runtime.NumCPU())
		outcomes := make([]chan outcome, len(chosen))
		for i := range outcomes {
			outcomes[i] = make(chan outcome, 1)
		}
		go func() {
			for i, b := range chosen {
				free <- struct{}{}
				go func() {
					begin := time.Now()
					verdict, err := b.try(".")
					outcomes[i] <- outcome{b.name, time.Since(begin), verdict, err}
					<-free
				}()
			}
		}()
		for _, o := range outcomes {
			if !yield(<-o) {
				return
			}
		}
	}
}

// try plants a bug and runs its test; it says which test turned red.
func (b *bug) try(root string) (string, error) {
	dir, err := os.MkdirTemp("", "planted-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	overlay, err := b.overlay(root, dir)
	if err != nil {
		return "", err
	}
	if out, err := exec.Command("go", "vet", "-overlay", overlay, "./"+b.pkg).CombinedOutput(); err != nil {
		return "", fmt.Errorf("it does not compile: %s", bytes.TrimSpace(out))
	}
	return red(exec.Command("go", "test", "-overlay", overlay, "-short", "-count=1", "-timeout", "5m", "-json", "-run", b.run, "./"+b.pkg))
}

// overlay writes the changed file, and the compiler's map to it.
func (b *bug) overlay(root, dir string) (string, error) {
	changed, err := b.changed(root)
	if err != nil {
		return "", err
	}
	at, err := filepath.Abs(filepath.Join(root, b.file))
	if err != nil {
		return "", err
	}
	file, overlay := filepath.Join(dir, "changed.go"), filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(file, changed, 0o600); err != nil {
		return "", err
	}
	data, err := json.Marshal(map[string]map[string]string{"Replace": {at: file}})
	if err != nil {
		return "", err
	}
	return overlay, os.WriteFile(overlay, data, 0o600)
}

// changed is the file with the bug in it.
func (b *bug) changed(root string) ([]byte, error) {
	data, err := os.ReadFile(filepath.Join(root, b.file))
	if err != nil {
		return nil, err
	}
	text := string(data)
	for _, e := range b.edits {
		if n := strings.Count(text, e.from); n != 1 {
			return nil, fmt.Errorf("%s has %d times, not once: %s", b.file, n, e.from)
		}
		text = strings.Replace(text, e.from, e.to, 1)
	}
	return []byte(text), nil
}

// red runs a test and names the first that failed. A run that fails otherwise, or tests nothing, is an error.
func red(cmd *exec.Cmd) (string, error) {
	out, err := cmd.Output()
	ran := 0
	for d := json.NewDecoder(bytes.NewReader(out)); d.More(); {
		var e struct{ Action, Test string }
		if err := d.Decode(&e); err != nil {
			return "", fmt.Errorf("reading the test's events: %w", err)
		}
		switch {
		case e.Test == "":
		case e.Action == "fail":
			return "red: " + e.Test, nil
		case e.Action == "pass":
			ran++
		}
	}
	if err != nil {
		// A panic or a deadlock ends the process before the test's own event.
		return "", fmt.Errorf("the run failed, and no test: %w", err)
	}
	if ran == 0 {
		return "", errors.New("no test has this name")
	}
	return "", fmt.Errorf("%d tests are green", ran)
}
