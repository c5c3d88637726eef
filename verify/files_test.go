package verify_test

import (
	"bytes"
	"encoding/pem"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/quorate-pki/quorate/ca"
	"github.com/quorate-pki/quorate/verify"
)

var update = flag.Bool("update", false, "write testdata/vectors again")

const vectorFiles = "../testdata/vectors"

// written are the vectors that are kept as files, for verifiers in other languages, by the name of their directory.
var written = map[string]string{
	"good":              "good",
	"good-7-members":    "good: 7 members",
	"good-resumed":      "good: resumed, in the second chunk",
	"revoked":           "revoked, in the second chunk",
	"suspended":         "suspended",
	"one-member-twice":  "status: one member twice",
	"one-liar-of-four":  "one liar of four says that an old tree is new",
	"older-epoch":       "status: an older epoch under a newer checkpoint",
	"right-number":      "chunk: another with the right number",
	"smuggled":          "entry: a certificate within another",
	"transaction-posed": "entry: a transaction posing as a publication",
	"snapshot-good":     "snapshot: ACME-R2",
	"snapshot-revoked":  "snapshot: ACME-K2",
	"snapshot-old-bits": "snapshot: the chunks of an older epoch",
}

// files is a vector as files: name and content.
func (v *vector) files() map[string][]byte {
	return map[string][]byte{
		"policy": v.Policy, "receipt.tlog-proof": v.Receipt, v.statusFile(): v.Status,
		"cert.pem": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: v.Cert}),
		"expected": fmt.Appendf(nil, "now %d\nmax-age %d\nverdict %s\n", v.Now, v.MaxAge, v.Want),
	}
}

func (v *vector) statusFile() string {
	if verify.IsSnapshot(v.Status) {
		return "status.snapshot"
	}
	return "status.tlog-proof"
}

// TestVectorFiles compares the files kept with the vectors, and asks both verifiers about them as files.
func TestVectorFiles(t *testing.T) {
	for dir, name := range written {
		v := named(t, name)
		for file, want := range v.files() {
			path := filepath.Join(vectorFiles, dir, file)
			if *update {
				must(t, os.MkdirAll(filepath.Dir(path), 0o755))
				must(t, os.WriteFile(path, want, 0o644))
			}
			if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s is not what the vector %q says (go test ./verify -update): %v", path, name, err)
			}
		}
		der, err := ca.ReadCertificate(filepath.Join(vectorFiles, dir, "cert.pem"))
		must(t, err)
		v.Cert = der
		if got := v.ask(); got != v.Want {
			t.Errorf("%s: %s, want %s", dir, got, v.Want)
		}
	}
	dirs, err := os.ReadDir(vectorFiles)
	must(t, err)
	for _, d := range dirs {
		if d.IsDir() && written[d.Name()] == "" {
			t.Errorf("%s/%s is of no vector", vectorFiles, d.Name())
		}
	}
}

// TestIndependentProgram runs the independent verifier as its users do.
func TestIndependentProgram(t *testing.T) {
	python(t, []vector{}, true) // skips, or fails in CI, where it cannot run
	for dir, exit := range map[string]int{"good": 0, "revoked": 1, "one-liar-of-four": 3, "snapshot-good": 0, "snapshot-revoked": 1} {
		v := named(t, written[dir])
		in := func(file string) string { return filepath.Join(vectorFiles, dir, file) }
		args := []string{independent, "--policy", in("policy"), "--receipt", in("receipt.tlog-proof"), "--now", fmt.Sprint(v.Now),
			"--max-age", fmt.Sprint(v.MaxAge)}
		for _, c := range []struct {
			more []string
			want string
			exit int
		}{
			{[]string{"--status", in(v.statusFile()), in("cert.pem")}, v.Want, exit},
			{[]string{in("cert.pem")}, "status-not-checked", 3},
			{[]string{"--published-only", in("cert.pem")}, "published", 0},
		} {
			cmd := exec.Command("/usr/bin/python3", append(args[:len(args):len(args)], c.more...)...)
			out, _ := cmd.Output()
			if got := strings.TrimSuffix(string(out), "\n"); got != c.want || cmd.ProcessState.ExitCode() != c.exit {
				t.Errorf("%s: %q, exit %d, want %s, exit %d", dir, got, cmd.ProcessState.ExitCode(), c.want, c.exit)
			}
		}
	}
}
