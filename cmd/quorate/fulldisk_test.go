//go:build linux

package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/quorate-pki/quorate/ledger/ledgertest"
)

// TestFullDisk fills the disk of one member, up to a little that it may still write: it stops and says why, the others go on,
// and with space again it starts and has what they have.
func TestFullDisk(t *testing.T) {
	if testing.Short() {
		t.Skip("a disk is filled in longer runs")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	c := newProcesses(t, ctx, 4)
	const victim = 1
	disk := filepath.Join(c.dir, "nodes", c.members[victim].name)
	smallDisk(t, disk)
	for i := range c.members {
		c.start(i)
	}
	for i := range c.members {
		c.ready(i)
	}
	load := newKillLoad(c)
	load.start()
	load.progress()
	left := []int64{0, 100 << 10}
	if ledgertest.Long() {
		left = []int64{0, 4 << 10, 20 << 10, 100 << 10, 300 << 10, 1 << 20}
	}
	for _, left := range left {
		fill(t, disk, left)
		code := c.exited(victim)
		said := c.members[victim].cmd.Stderr.(*tail).String()
		if code == 0 || !strings.Contains(said, syscall.ENOSPC.Error()) {
			t.Errorf("with %d bytes left: exit %d\n%s", left, code, said)
		}
		load.progress()
		if err := os.Remove(filepath.Join(disk, ballast)); err != nil {
			t.Fatal(err)
		}
		c.start(victim)
		c.ready(victim)
		load.progress()
	}
	load.stop()
	load.check()
	c.end()
}

const ballast = "ballast"

// smallDisk puts a directory on a disk of its own, of 64 MiB.
func smallDisk(t *testing.T, dir string) {
	t.Helper()
	moved := dir + ".moved"
	err := os.Rename(dir, moved)
	if err == nil {
		err = os.Mkdir(dir, 0o700)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=64m,mode=0700"); errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EACCES) {
		t.Skip("this user may not mount a small disk here")
	} else if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	if err := errors.Join(os.CopyFS(dir, os.DirFS(moved)), os.RemoveAll(moved)); err != nil {
		t.Fatal(err)
	}
}

// fill leaves so many bytes free.
func fill(t *testing.T, dir string, left int64) {
	t.Helper()
	f, err := os.Create(filepath.Join(dir, ballast))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	chunk := make([]byte, 64<<10)
	for err == nil {
		_, err = f.Write(chunk)
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	at, err := f.Seek(0, 1)
	if err == nil {
		err = f.Truncate(max(0, at-left))
	}
	if err != nil {
		t.Fatal(err)
	}
}

// exited waits until a member ends by itself, and returns its exit code.
func (c *processes) exited(i int) int {
	c.t.Helper()
	p := c.members[i]
	ended := make(chan error, 1)
	go func() { ended <- p.cmd.Wait() }()
	select {
	case err := <-ended:
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			c.t.Fatal(err)
		}
		return p.cmd.ProcessState.ExitCode()
	case <-c.ctx.Done():
		c.t.Fatalf("%s does not stop", p.name)
		return 0
	}
}
