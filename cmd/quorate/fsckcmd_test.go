package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"io/fs"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/quorate-pki/quorate/ca"
	"github.com/quorate-pki/quorate/ca/profile"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/fsck"
	"github.com/quorate-pki/quorate/ledger/ledgertest"
	"github.com/quorate-pki/quorate/ledger/node"
	"github.com/quorate-pki/quorate/ocsp"
)

// foundedDir is a consortium with one certificate, stopped.
func foundedDir(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "q")
	g, err := parseGenesisFile(defaultGenesis)
	if err != nil {
		t.Fatal(err)
	}
	if err := found(dir, g, time.Now()); err != nil {
		t.Fatal(err)
	}
	n := openMember(t, dir)
	if _, err := n.Submit(t.Context(), publication(t, dir)); err != nil {
		t.Fatal(err)
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

func openMember(t *testing.T, dir string) *node.Node {
	t.Helper()
	genesis, err := os.ReadFile(filepath.Join(dir, genesisName))
	if err != nil {
		t.Fatal(err)
	}
	key := func(purpose uint64) ed25519.PrivateKey {
		k, err := ca.ReadSigner(filepath.Join(dir, "orgs", "ca-a", memberKeys[purpose]))
		if err != nil {
			t.Fatal(err)
		}
		return k.(ed25519.PrivateKey)
	}
	n, err := node.Open(context.Background(), node.Config{FS: vfs.Default, Dir: filepath.Join(dir, "nodes", "ca-a"), Genesis: genesis, Member: "ca-a",
		Now: time.Now, Log: quietLog(), LogKey: key(ledger.KeyLog), CosigningKey: key(ledger.KeyCosigning), BlockKey: key(ledger.KeyBlock)})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func publication(t *testing.T, dir string) []byte {
	t.Helper()
	line, err := ca.ReadSigner(filepath.Join(dir, "orgs", "acme-cells", "line.key"))
	if err != nil {
		t.Fatal(err)
	}
	spki, err := ca.SPKI(line.Public())
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ledger.NewSigner(line, spki)
	if err != nil {
		t.Fatal(err)
	}
	device, err := ca.GenerateKey(profile.P256, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p, _ := profile.ByID(1)
	der, err := ca.SelfIssue(ca.SelfIssueConfig{Profile: p, Key: device, Serial: "ACME-1", DNSNames: []string{"acme-1.acme-cells.example"},
		NotBefore: time.Now().Add(-time.Hour), Rand: rand.Reader})
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(filepath.Join(dir, genesisName))
	if err != nil {
		t.Fatal(err)
	}
	b, err := ledger.ParseBlock(raw)
	if err != nil {
		t.Fatal(err)
	}
	tx, err := ledger.SignTx(ledger.Tx{Channel: b.Txs[0].ID, Expiry: ledger.MillisOf(time.Now().Add(time.Hour))},
		[][]byte{ledger.EncodeBody(ledger.OpPublish, ledger.Publish{Profile: 1, Certificate: der})}, ledger.ForLedger, signer)
	if err != nil {
		t.Fatal(err)
	}
	return tx.Encode()
}

// runFsck runs the command.
func runFsck(dir string, flags ...string) (out string, code int) {
	root := newRoot()
	var b bytes.Buffer
	root.SetOut(&b)
	root.SetArgs(append([]string{"fsck", dir}, flags...))
	err := root.Execute()
	if err == nil {
		return b.String(), exitYes
	}
	code, quiet := exitCode(err)
	if !quiet {
		b.WriteString(message(err))
	}
	return b.String(), code
}

func allFiles(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		out[filepath.ToSlash(rel)], err = os.ReadFile(path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestFsckClean(t *testing.T) {
	dir := foundedDir(t)
	before := allFiles(t, dir)
	out, code := runFsck(dir, "--deep")
	if code != exitYes || strings.Contains(out, "DIFFERS") || strings.Contains(out, "note") || !strings.Contains(out, "nothing differs") ||
		!strings.Contains(out, "ca-a: height 1, 12 leaves, 1 certificates") {
		t.Errorf("exit %d: %s", code, out)
	}
	after := allFiles(t, dir)
	for name := range after {
		if !bytes.Equal(before[name], after[name]) {
			t.Errorf("%s was changed", name)
		}
	}
	if len(before) != len(after) {
		t.Errorf("%d files before, %d after", len(before), len(after))
	}
}

func TestFsckExit(t *testing.T) {
	dir := foundedDir(t)
	n := openMember(t, dir)
	if out, code := runFsck(dir); code != exitUsage || !strings.Contains(out, "in use") {
		t.Errorf("in use: exit %d: %s", code, out)
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{filepath.Join(dir, "none"), t.TempDir()} {
		if out, code := runFsck(bad); code != exitUsage || !strings.Contains(out, "founded") {
			t.Errorf("exit %d: %s", code, out)
		}
	}
	if _, code := runFsck(dir, "more"); code != exitUsage {
		t.Errorf("two directories: exit %d", code)
	}
	if err := os.Remove(filepath.Join(dir, policyName)); err != nil {
		t.Fatal(err)
	}
	if out, code := runFsck(dir); code != exitNo || !strings.Contains(out, "DIFFERS policy: is missing\n") || !strings.Contains(out, "\n1 differ") {
		t.Errorf("exit %d: %s", code, out)
	}
}

// TestFsckFlippedBit: one flipped bit in any file around the nodes is found, and the file is named, it alone.
func TestFsckFlippedBit(t *testing.T) {
	dir := foundedDir(t)
	f := &foundedCheck{dir: dir}
	if err := f.check(); err != nil || len(f.findings) > 0 {
		t.Fatal(err, f.findings)
	}
	sums := f.sums
	for rel, data := range allFiles(t, dir) {
		if strings.HasPrefix(rel, "nodes/") {
			continue
		}
		path := filepath.Join(dir, filepath.FromSlash(rel))
		bits := []int{0, 8*len(data) - 1}
		for range 20 {
			bits = append(bits, mathrand.IntN(8*len(data)))
		}
		if ledgertest.Long() && rel != genesisName {
			bits = bits[:0]
			for i := range 8 * len(data) {
				bits = append(bits, i)
			}
		}
		for _, bit := range bits {
			bad := slices.Clone(data)
			bad[bit/8] ^= 1 << (bit % 8)
			if err := os.WriteFile(path, bad, 0o600); err != nil {
				t.Fatal(err)
			}
			// The nodes were checked once; what is around them is checked for every bit.
			f := &foundedCheck{dir: dir, nodes: []string{"ca-a"}, sums: sums}
			f.around()
			// When a policy expires may have been changed by its user: that is noted.
			renewed := rel == policyName && len(f.findings) == 1 && strings.Contains(f.findings[0].What, "expires at another time")
			if len(f.findings) != 1 || f.findings[0].Path != rel || f.findings[0].Note && !renewed {
				t.Fatalf("bit %d of %s: %v", bit, rel, f.findings)
			}
		}
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// Inside a node the library's tests flip bits; here only that the command tells it.
	path := filepath.Join(dir, "nodes", "ca-a", "genesis.block")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 1
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	out, code := runFsck(dir)
	if code != exitNo || strings.Count(out, "DIFFERS") != 1 || !strings.Contains(out, "DIFFERS nodes/ca-a/genesis.block: ") {
		t.Errorf("exit %d: %s", code, out)
	}
}

func TestFsckFiles(t *testing.T) {
	dir := foundedDir(t)
	path := func(rel string) string { return filepath.Join(dir, filepath.FromSlash(rel)) }
	try := func(name, rel, want string, do, undo func() error) {
		t.Helper()
		if err := do(); err != nil {
			t.Fatal(name, err)
		}
		f := &foundedCheck{dir: dir}
		if err := f.check(); err != nil {
			t.Fatal(name, err)
		}
		if !slices.ContainsFunc(f.findings, func(x fsck.Finding) bool { return x.Path == rel && strings.Contains(x.What, want) }) {
			t.Errorf("%s: %v", name, f.findings)
		}
		if err := undo(); err != nil {
			t.Fatal(name, err)
		}
	}
	swap := func(a, b string) func() error {
		return func() error {
			return errors.Join(os.Rename(path(a), path("swap")), os.Rename(path(b), path(a)), os.Rename(path("swap"), path(b)))
		}
	}
	for rel := range allFiles(t, dir) {
		if strings.HasPrefix(rel, "nodes/") {
			continue
		}
		data, err := os.ReadFile(path(rel))
		if err != nil {
			t.Fatal(err)
		}
		try(rel+" is missing", rel, "", func() error { return os.Remove(path(rel)) }, func() error { return os.WriteFile(path(rel), data, 0o600) })
		if strings.HasSuffix(rel, ".key") {
			try(rel+" for all to read", rel, "mode 0644", func() error { return os.Chmod(path(rel), 0o644) }, func() error { return os.Chmod(path(rel), 0o600) })
			try(rel+" with a line more", rel, "form", func() error { return os.WriteFile(path(rel), append(slices.Clone(data), '\n'), 0o600) },
				func() error { return os.WriteFile(path(rel), data, 0o600) })
		}
	}
	for a, b := range map[string]string{"orgs/ca-a/log.key": "orgs/ca-a/block.key", "orgs/acme-cells/admin-1.key": "orgs/acme-cells/line.key",
		"orgs/ca-a/tls.key": "orgs/ca-a/responder.key", "orgs/op-one/admin-1.key": "orgs/acme-cells/admin-1.key"} {
		try("swapped", a, "; it is that of "+b, swap(a, b), swap(a, b))
	}
	for rel, want := range map[string]string{"x": "no file", "orgs/acme-cells/line-2.key": "no key", "orgs/nobody/admin-1.key": "no key", "nodes/x": "no node",
		"responder.pem.tmp": "left over", "policy.tmp": "no file"} {
		try(rel, rel, want, func() error {
			return errors.Join(os.MkdirAll(filepath.Dir(path(rel)), 0o700), os.WriteFile(path(rel), []byte("x"), 0o600))
		}, func() error { return os.Remove(path(rel)) })
	}
	try("no node", "nodes/ca-a", "missing", func() error { return os.Rename(path("nodes/ca-a"), path("away")) },
		func() error { return os.Rename(path("away"), path("nodes/ca-a")) })
	try("no genesis anywhere", "genesis.block", "no sound genesis", func() error {
		return errors.Join(os.Rename(path("genesis.block"), path("away")), os.Rename(path("nodes/ca-a/genesis.block"), path("away2")))
	}, func() error {
		return errors.Join(os.Rename(path("away"), path("genesis.block")), os.Rename(path("away2"), path("nodes/ca-a/genesis.block")))
	})
	pem, err := os.ReadFile(path(responderName))
	if err != nil {
		t.Fatal(err)
	}
	other, err := ca.ReadSigner(path("orgs/ca-a/tls.key"))
	if err != nil {
		t.Fatal(err)
	}
	der, err := ocsp.SelfSignedResponder(other, "ca-a OCSP responder", time.Now(), time.Now().Add(time.Hour), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	restore := func() error { return os.WriteFile(path(responderName), pem, 0o644) }
	try("a responder over another key", responderName, "not over", func() error { return os.WriteFile(path(responderName), ca.EncodeCertificate(der), 0o644) }, restore)
	try("text before the responder", responderName, "form", func() error { return os.WriteFile(path(responderName), append([]byte("x\n"), pem...), 0o644) }, restore)
	if out, code := runFsck(dir); code != exitYes {
		t.Errorf("at last: %s", out)
	}
}

// TestFsckComparesNodes: a node that is sound by itself and of another consortium is named.
func TestFsckComparesNodes(t *testing.T) {
	dirs := []string{filepath.Join(t.TempDir(), "q"), filepath.Join(t.TempDir(), "q")}
	for _, dir := range dirs {
		g, err := readGenesisFile("", 4)
		if err != nil {
			t.Fatal(err)
		}
		if err := found(dir, g, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	own := filepath.Join(dirs[0], "nodes", "ca-c")
	if err := os.RemoveAll(own); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(own, os.DirFS(filepath.Join(dirs[1], "nodes", "ca-c"))); err != nil {
		t.Fatal(err)
	}
	f := &foundedCheck{dir: dirs[0]}
	if err := f.check(); err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(f.findings, func(x fsck.Finding) bool {
		return !x.Note && x.Path == "nodes/ca-c" && strings.Contains(x.What, "another consortium")
	}) {
		t.Error(f.findings)
	}
}
