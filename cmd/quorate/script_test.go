package main

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/cobra"

	"github.com/quorate-pki/quorate/ca"
	"github.com/quorate-pki/quorate/ca/profile"
)

// TestMain makes `quorate` in the script pages this very binary.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"quorate": main})
}

// TestScripts runs the pages of testdata/script, which are the manual of the commands: each runs the real binary in a
// directory of its own. testdata/script/README says what the words of this file mean.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                "testdata/script",
		RequireUniqueNames: true,
		Setup: func(e *testscript.Env) error {
			e.Values[backgroundKey{}] = &running{t: e.T()}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"up":      scriptUp,
			"down":    scriptDown,
			"exits":   scriptExits,
			"needs":   scriptNeeds,
			"flip":    scriptFlip,
			"devices": scriptDevices,
			"repeat":  scriptRepeat,
		},
	})
}

// TestEveryCommandHasAnExample holds the help of commands that are still to come to what help.txtar shows.
func TestEveryCommandHasAnExample(t *testing.T) {
	var walk func(*cobra.Command)
	walk = func(c *cobra.Command) {
		if c.Runnable() && c.Name() != "help" && !strings.HasPrefix(c.Example, "  ") {
			t.Errorf("%s has no example", c.CommandPath())
		}
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk(newRoot())
}

// running is what a page has going on in the background.
type running struct {
	t      testscript.T
	cmd    *exec.Cmd
	stderr bytes.Buffer
}

type backgroundKey struct{}

func background(ts *testscript.TestScript) *running { return ts.Value(backgroundKey{}).(*running) }

// up DIR [FLAG...] starts `quorate up` on free ports, with one member unless a flag says otherwise, waits for a ready line
// of each and sets $NODE, and $NODE_B, $NODE_C, ... of the further members.
func scriptUp(ts *testscript.TestScript, neg bool, args []string) {
	r := background(ts)
	if neg || len(args) == 0 || r.cmd != nil {
		ts.Fatalf("usage: up DIR [FLAG...], once until down")
	}
	members := 1
	for i, a := range args[:len(args)-1] {
		if a == "--members" {
			var err error
			members, err = strconv.Atoi(args[i+1])
			ts.Check(err)
		}
	}
	all := append([]string{"up", "--dir", args[0], "--members", strconv.Itoa(members), "--listen", "127.0.0.1:0"}, args[1:]...)
	cmd := exec.Command("quorate", all...)
	cmd.Dir, cmd.Stderr = ts.MkAbs("."), &r.stderr
	out, err := cmd.StdoutPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	r.cmd = cmd
	ts.Defer(func() {
		if r.cmd == cmd {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	})
	lines := bufio.NewReader(out)
	for i := range members {
		line, err := lines.ReadString('\n')
		words := strings.Fields(line)
		if err != nil || len(words) < 2 || words[0] != "ready" {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
			r.cmd = nil
			ts.Fatalf("quorate up said %q (%v)\n%s", line, err, r.stderr.String())
		}
		ts.Logf("%s", line)
		name := "NODE"
		if i > 0 {
			name += "_" + string(rune('A'+i))
		}
		ts.Setenv(name, words[1])
	}
}

// down sends SIGINT, as Ctrl-C does, and demands exit code 0.
func scriptDown(ts *testscript.TestScript, neg bool, args []string) {
	r := background(ts)
	if neg || len(args) != 0 || r.cmd == nil {
		ts.Fatalf("usage: down, after up")
	}
	cmd := r.cmd
	r.cmd = nil
	ts.Check(cmd.Process.Signal(os.Interrupt))
	if err := cmd.Wait(); err != nil {
		ts.Fatalf("quorate up ended with %v\n%s", err, r.stderr.String())
	}
}

// exits N COMMAND... demands this exit code exactly.
func scriptExits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits N COMMAND...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		exit, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code %d, not %d", got, want)
	}
}

// needs TOOL... skips the page on a machine without the tool, but not where CI=true: there it must be installed.
func scriptNeeds(ts *testscript.TestScript, neg bool, args []string) {
	for _, tool := range args {
		if _, err := exec.LookPath(tool); err == nil {
			continue
		}
		if os.Getenv("CI") == "true" {
			ts.Fatalf("%s is not installed", tool)
		}
		background(ts).t.Skip(tool + " is not installed")
	}
}

// flip FILE OFFSET changes one bit of the byte at an offset; a negative one counts from the end.
func scriptFlip(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: flip FILE OFFSET")
	}
	data := []byte(ts.ReadFile(args[0]))
	i, err := strconv.Atoi(args[1])
	ts.Check(err)
	if i < 0 {
		i += len(data)
	}
	data[i] ^= 1
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), data, 0o644))
}

// devices FIRST COUNT FILE writes COUNT self-issued certificates, serials ACME-<FIRST>.. , as one PEM stream.
func scriptDevices(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: devices FIRST COUNT FILE")
	}
	first, err := strconv.Atoi(args[0])
	ts.Check(err)
	count, err := strconv.Atoi(args[1])
	ts.Check(err)
	var out bytes.Buffer
	for i := range count {
		der, err := selfIssued(fmt.Sprintf("ACME-%d", first+i))
		ts.Check(err)
		out.Write(ca.EncodeCertificate(der))
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[2]), out.Bytes(), 0o644))
}

func selfIssued(serial string) ([]byte, error) {
	p, ok := profile.ByName("small-cell")
	if !ok {
		return nil, errors.New("no profile small-cell")
	}
	key, err := ca.GenerateKey(profile.P256, rand.Reader)
	if err != nil {
		return nil, err
	}
	return ca.SelfIssue(ca.SelfIssueConfig{Profile: p, Key: key, Serial: serial, Organisation: "acme-cells",
		DNSNames: []string{strings.ToLower(serial) + ".acme-cells.example"}, NotBefore: time.Now().Truncate(time.Second), Rand: rand.Reader})
}

// repeat COUNT TEXT FILE writes a text many times over.
func scriptRepeat(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: repeat COUNT TEXT FILE")
	}
	n, err := strconv.Atoi(args[0])
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[2]), bytes.Repeat([]byte(args[1]), n), 0o644))
}
