package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/quorate-pki/quorate/ledger/ledgertest"
	"github.com/quorate-pki/quorate/ledger/node"
)

// TestKill runs a consortium of four processes under load and kills them, without warning and at random moments: one, the
// leader, two at once; some are stopped in the midst of what they do and go on later. Whatever a client was told must be there
// afterwards, at every member, and provable. QUORATE_KILLS says how many; docs/testing.md has the command.
func TestKill(t *testing.T) {
	kills := 10
	switch {
	case os.Getenv("QUORATE_KILLS") != "":
		n, err := strconv.Atoi(os.Getenv("QUORATE_KILLS"))
		if err != nil {
			t.Fatal(err)
		}
		kills = n
	case testing.Short():
		t.Skip("processes are killed in longer runs")
	case ledgertest.Long():
		kills = 200
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute+time.Duration(kills)*10*time.Second)
	defer cancel()
	c := newProcesses(t, ctx, 4)
	for i := range c.members {
		c.start(i)
	}
	for i := range c.members {
		c.ready(i)
	}
	load := newKillLoad(c)
	load.start()
	rng := rand.New(rand.NewPCG(ledgertest.Seed(t), 1))
	load.progress()
	for done := 0; done < kills && !t.Failed(); {
		done += c.trouble(rng)
		if rng.IntN(3) == 0 {
			load.progress() // else the next trouble comes while this one lasts
		}
	}
	load.progress()
	load.stop()
	load.check()
	c.end()
	t.Logf("%d kills, %d pauses; %d certificates published, %d revoked, %d requests whose outcome nobody was told",
		c.kills, c.pauses, len(load.published), load.revoked, load.unknown)
	t.Logf("%d histories of one certificate each, %d operations: linearizable", load.histories, load.operations)
	if load.revoked == 0 || load.histories == 0 {
		t.Error("the load did nothing")
	}
}

// processes are the members of a consortium, each a process of its own.
type processes struct {
	t       *testing.T
	ctx     context.Context
	dir     string
	members []*process
	kills   int
	pauses  int
}

type process struct {
	name, config, url string
	cmd               *exec.Cmd
	lines             chan string // what it says on standard output
}

// newProcesses founds a consortium and writes a configuration for each member.
func newProcesses(t *testing.T, ctx context.Context, n int) *processes {
	t.Helper()
	c := &processes{t: t, ctx: ctx, dir: filepath.Join(t.TempDir(), "q")}
	g, err := readGenesisFile("", n)
	if err == nil {
		err = found(c.dir, g, time.Now())
	}
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(filepath.Join(c.dir, genesisName))
	if err != nil {
		t.Fatal(err)
	}
	set, err := genesisMembers(raw)
	if err != nil {
		t.Fatal(err)
	}
	ports, peers := freePorts(t, 2*n), map[string]string{}
	for i, m := range set.Members {
		peers[m.Name] = ports[n+i]
	}
	for i, m := range set.Members {
		cfg := nodeConfig{Member: m.Name, Genesis: filepath.Join(c.dir, genesisName), Data: filepath.Join(c.dir, "nodes", m.Name),
			Keys: filepath.Join(c.dir, "orgs", m.Name), Responder: filepath.Join(t.TempDir(), "responder.pem"),
			Listen: ports[i], ListenPeers: peers[m.Name], Peers: peers}
		data, err := json.Marshal(cfg)
		if err != nil {
			t.Fatal(err)
		}
		p := &process{name: m.Name, config: filepath.Join(t.TempDir(), "node.json"), url: "http://" + ports[i]}
		if err := os.WriteFile(p.config, data, 0o600); err != nil {
			t.Fatal(err)
		}
		c.members = append(c.members, p)
	}
	t.Cleanup(func() {
		for i := range c.members {
			c.kill(i)
		}
	})
	return c
}

// freePorts are addresses that nobody listens on now.
func freePorts(t *testing.T, n int) (out []string) {
	t.Helper()
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		out = append(out, l.Addr().String())
	}
	return out
}

func (c *processes) start(i int) {
	p := c.members[i]
	p.cmd = exec.Command("quorate", "node", "--config", p.config)
	p.cmd.Stderr = &tail{}
	out, err := p.cmd.StdoutPipe()
	if err == nil {
		err = p.cmd.Start()
	}
	if err != nil {
		c.t.Fatal(err)
	}
	lines := make(chan string, 16)
	p.lines = lines
	go func() {
		defer close(lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			lines <- s.Text()
		}
	}()
}

// ready waits until a member answers users.
func (c *processes) ready(i int) {
	p := c.members[i]
	select {
	case line, ok := <-p.lines:
		if !ok || !strings.HasPrefix(line, "ready ") {
			c.t.Fatalf("%s does not start: %q\n%s", p.name, line, p.cmd.Stderr)
		}
	case <-c.ctx.Done():
		c.t.Fatalf("%s is not ready\n%s", p.name, p.cmd.Stderr)
	}
}

// kill ends a member without warning.
func (c *processes) kill(i int) {
	p := c.members[i]
	if p.cmd == nil {
		return
	}
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait() // it was killed
	p.cmd = nil
}

// trouble does one thing to the members and lets them recover; it returns how many were killed.
func (c *processes) trouble(rng *rand.Rand) int {
	victims := rng.Perm(len(c.members))[:1]
	switch r := rng.IntN(10); {
	case r < 2:
		c.pause(victims[0], time.Duration(rng.IntN(1500))*time.Millisecond)
		return 0
	case r < 4:
		if leader, ok := c.leader(); ok {
			victims = []int{leader}
		}
	case r < 5:
		victims = rng.Perm(len(c.members))[:2]
	}
	c.wait(time.Duration(rng.IntN(400)) * time.Millisecond)
	for _, i := range victims {
		c.kill(i)
	}
	c.wait(time.Duration(rng.IntN(400)) * time.Millisecond)
	for _, i := range victims {
		c.start(i)
	}
	for _, i := range victims {
		c.ready(i)
	}
	c.kills += len(victims)
	return len(victims)
}

// wait is a pause of the schedule.
func (c *processes) wait(d time.Duration) {
	select {
	case <-time.After(d):
	case <-c.ctx.Done():
	}
}

// pause stops a member in the midst of whatever it does, and lets it go on.
func (c *processes) pause(i int, d time.Duration) {
	p := c.members[i].cmd.Process
	if err := p.Signal(syscall.SIGSTOP); err != nil {
		c.t.Fatal(err)
	}
	c.wait(d)
	if err := p.Signal(syscall.SIGCONT); err != nil {
		c.t.Fatal(err)
	}
	c.pauses++
}

// health asks a member how it is.
func (c *processes) health(i int) (h node.Health, err error) {
	ctx, cancel := context.WithTimeout(c.ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.members[i].url+"/healthz", nil)
	if err != nil {
		return h, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return h, err
	}
	defer resp.Body.Close()
	return h, json.NewDecoder(resp.Body).Decode(&h)
}

func (c *processes) leader() (int, bool) {
	h, err := c.health(0)
	for i, p := range c.members {
		if err == nil && h.Orderer.Leader == p.name {
			return i, true
		}
	}
	return 0, false
}

// level waits until all members are well and final at one height.
func (c *processes) level() {
	for {
		heights, well := map[uint64]bool{}, true
		var last []string
		for i, p := range c.members {
			h, err := c.health(i)
			well = well && err == nil && h.OK && h.Lag == 0
			heights[h.Final] = true
			last = append(last, fmt.Sprintf("%s: final %d of %d, diverged %q, trouble %q %q, %v", p.name, h.Final, h.Height, h.Diverged, h.Trouble, h.Orderer.Trouble, err))
			if h.Diverged != "" {
				c.t.Fatalf("%s diverged: %s", p.name, h.Diverged)
			}
		}
		if well && len(heights) == 1 {
			return
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-c.ctx.Done():
			c.t.Fatalf("the members do not come level:\n%s", strings.Join(last, "\n"))
		}
	}
}

// end stops all members as an operator would, and checks every directory.
func (c *processes) end() {
	for _, p := range c.members {
		if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			c.t.Fatal(err)
		}
	}
	for _, p := range c.members {
		if err := p.cmd.Wait(); err != nil {
			c.t.Errorf("%s: %v\n%s", p.name, err, p.cmd.Stderr)
		}
		p.cmd = nil
		names, err := os.ReadDir(filepath.Join(c.dir, "nodes", p.name, "evidence"))
		if len(names) > 0 || err != nil && !errors.Is(err, os.ErrNotExist) {
			c.t.Errorf("%s accuses an honest member: %v %v", p.name, names, err)
		}
	}
	f := &foundedCheck{dir: c.dir, deep: true}
	if err := f.check(); err != nil {
		c.t.Fatal(err)
	}
	for _, x := range f.findings {
		if !x.Note {
			c.t.Error(x)
		}
	}
	for i, s := range f.sums {
		if s.Size != f.sums[0].Size || s.Root != f.sums[0].Root {
			c.t.Errorf("%s ends at size %d, %s at %d", f.nodes[i], s.Size, f.nodes[0], f.sums[0].Size)
		}
	}
}

// tail keeps the end of what a process says on standard error.
type tail struct{ data []byte }

// Write implements io.Writer.
func (t *tail) Write(p []byte) (int, error) {
	t.data = append(t.data, p...)
	t.data = t.data[max(0, len(t.data)-4096):]
	return len(p), nil
}

func (t *tail) String() string { return string(t.data) }
