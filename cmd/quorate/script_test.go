package main

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
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
			e.Values[backgroundKey{}] = &running{t: e.T(), members: map[string]*exec.Cmd{}}
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

			"ports":     scriptPorts,
			"member":    scriptMember,
			"ready":     scriptReady,
			"crash":     scriptCrash,
			"interrupt": scriptInterrupt,
			"until":     scriptUntil,

			"hides": scriptHides,
			"asks":  scriptAsks,
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

	members map[string]*exec.Cmd
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
	if got := exitOf(ts, args[1:]); got != want {
		ts.Fatalf("exit code %d, not %d", got, want)
	}
}

func exitOf(ts *testscript.TestScript, command []string) int {
	err := ts.Exec(command[0], command[1:]...)
	if err == nil {
		return 0
	}
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok {
		ts.Fatalf("%v", err)
	}
	return exit.ExitCode()
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

// patience is how long a page waits for what must come.
const patience = time.Minute

// ports NAME... sets $PORT_NAME to free ports of the loopback interface, below those that outgoing connections take.
func scriptPorts(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: ports NAME...")
	}
	var taken []net.Listener // until all are chosen, so that none is chosen twice
	for tries := 0; len(taken) < len(args); tries++ {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 10000+mathrand.IntN(20000)))
		if err != nil {
			if tries > 1000 {
				ts.Fatalf("no free port: %v", err)
			}
			continue
		}
		_, port, _ := net.SplitHostPort(l.Addr().String())
		ts.Setenv("PORT_"+args[len(taken)], port)
		taken = append(taken, l)
	}
	for _, l := range taken {
		ts.Check(l.Close())
	}
}

// member NAME CONFIG starts `quorate node` in the background. What it says is in NAME.out and NAME.err.
func scriptMember(ts *testscript.TestScript, neg bool, args []string) {
	r := background(ts)
	if neg || len(args) != 2 || r.members[args[0]] != nil {
		ts.Fatalf("usage: member NAME CONFIG, once until crash or interrupt")
	}
	cmd := exec.Command("quorate", "node", "--config", args[1])
	cmd.Dir = ts.MkAbs(".")
	out, err := os.Create(ts.MkAbs(args[0] + ".out"))
	ts.Check(err)
	defer out.Close()
	said, err := os.Create(ts.MkAbs(args[0] + ".err"))
	ts.Check(err)
	defer said.Close()
	cmd.Stdout, cmd.Stderr = out, said
	ts.Check(cmd.Start())
	r.members[args[0]] = cmd
	ts.Defer(func() {
		if r.members[args[0]] == cmd {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	})
}

// ready NAME... waits for the ready line of each.
func scriptReady(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: ready NAME...")
	}
	end := time.Now().Add(patience)
	for _, name := range args {
		for !strings.Contains(ts.ReadFile(name+".out"), " member "+name+"\n") {
			if time.Now().After(end) {
				ts.Fatalf("%s is not ready; it says\n%s", name, ts.ReadFile(name+".err"))
			}
			time.Sleep(20 * time.Millisecond)
		}
		ts.Logf("%s", ts.ReadFile(name+".out"))
	}
}

// crash NAME... sends SIGKILL.
func scriptCrash(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: crash NAME...")
	}
	for _, name := range args {
		cmd := endMember(ts, name, os.Kill)
		_ = cmd.Wait() // it says that it was killed
	}
}

// interrupt NAME... sends SIGTERM, as systemd does, and demands exit code 0.
func scriptInterrupt(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: interrupt NAME...")
	}
	var cmds []*exec.Cmd
	for _, name := range args {
		cmds = append(cmds, endMember(ts, name, syscall.SIGTERM))
	}
	for i, cmd := range cmds {
		if err := cmd.Wait(); err != nil {
			ts.Fatalf("%s ended with %v\n%s", args[i], err, ts.ReadFile(args[i]+".err"))
		}
	}
}

func endMember(ts *testscript.TestScript, name string, sig os.Signal) *exec.Cmd {
	r := background(ts)
	cmd := r.members[name]
	if cmd == nil {
		ts.Fatalf("%s does not run", name)
	}
	delete(r.members, name)
	ts.Check(cmd.Process.Signal(sig))
	return cmd
}

// until N COMMAND... runs a command again until it exits with this code.
func scriptUntil(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: until N COMMAND...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	for end := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		got := exitOf(ts, args[1:])
		if got == want {
			return
		}
		if time.Now().After(end) {
			ts.Fatalf("exit code %d, not %d", got, want)
		}
	}
}
