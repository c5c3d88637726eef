package quorate

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/quorate-pki/quorate/"

// mayImport is the import table of DESIGN.md: which of our packages a package may import. What is not here does not
// exist. internal/* is open to all and imports only internal/*.
var mayImport = map[string]struct {
	ours []string
	why  string
}{
	"ca/profile":        {nil, "verdicts come from here; it must not see anything that could differ between builds"},
	"ca":                {[]string{"ca/profile"}, "certificates as data: no network, no ledger"},
	"ledger/tlog":       {nil, "a log knows no PKI"},
	"ledger":            {[]string{"ledger/tlog"}, "the vocabulary; ca/profile is needed only by who judges"},
	"ledger/layout":     {[]string{"ledger", "ledger/tlog"}, "names and forms of a node's files, shared by the node that writes them and the fsck that distrusts it"},
	"ledger/state":      {[]string{"ca/profile", "ledger", "ledger/tlog"}, "judge and fold, pure"},
	"ledger/commit":     {[]string{"ledger", "ledger/state", "ledger/tlog"}, "the commit path, pure"},
	"ledger/cosign":     {[]string{"ledger", "ledger/commit", "ledger/tlog"}, "remembers what commit states"},
	"ledger/order":      {[]string{"ledger"}, "orders bytes; it neither executes nor cosigns"},
	"ledger/peer":       {[]string{"ledger"}, "who is at the other end, by the member set's keys; it knows nothing of what is said"},
	"ledger/node":       {[]string{"ca/profile", "ledger", "ledger/commit", "ledger/cosign", "ledger/layout", "ledger/order", "ledger/peer", "ledger/state", "ledger/tlog", "policies"}, "drives the machine to disk, and exchanges with peers; gives it the engine of members' rules"},
	"ledger/fsck":       {[]string{"ca/profile", "ledger", "ledger/commit", "ledger/cosign", "ledger/layout", "ledger/order", "ledger/state", "ledger/tlog", "policies"}, "checks a node's files without the code that wrote them: never ledger/node"},
	"ledger/api":        {[]string{"ca/profile", "ledger", "ledger/tlog"}, "the HTTP face of the waist: any Reader and Submitter will do; explain reads certificates"},
	"ledger/client":     {[]string{"ca/profile", "ledger", "ledger/api", "ledger/tlog", "verify"}, "checks every answer by the same code as relying parties, and shares the JSON forms with api"},
	"ledger/ledgertest": {[]string{"ca", "ca/profile", "ledger", "ledger/commit", "ledger/cosign", "ledger/fsck", "ledger/layout", "ledger/node", "ledger/order", "ledger/peer", "ledger/state", "ledger/tlog", "verify"}, "tests only"},
	"policies":          {[]string{"ledger"}, "runs members' rules: it sees what a candidate says, never the state; and the state sees it only as a ledger.RuleEngine"},
	"verify":            {[]string{"ca/profile", "ledger", "ledger/tlog"}, "relying parties link this and no node"},
	"verify/online":     {[]string{"ledger", "ledger/client", "ledger/tlog", "ocsp", "verify"}, "the part of a relying party that has a network: asks members, and believes what verify proves"},
	"ocsp":              {[]string{"ca", "ca/profile", "ledger"}, "a front: the waist and nothing behind it"},
	"cmd/quorate":       {[]string{"*"}, "joins everything"},
	"testdata/verifier": {[]string{"ca", "ca/profile", "ledger", "ledger/tlog", "verify", "ledger/ledgertest", "ledger/state"}, "compares the independent verifier with ours"},
}

type listed struct {
	ImportPath   string
	Imports      []string
	Deps         []string
	GoFiles      []string
	Dir          string
	TestImports  []string
	XTestImports []string
}

func list(t *testing.T) map[string]listed {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports,Deps,GoFiles,Dir", "./...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	pkgs := map[string]listed{}
	for d := json.NewDecoder(strings.NewReader(string(out))); d.More(); {
		var p listed
		if err := d.Decode(&p); err != nil {
			t.Fatal(err)
		}
		pkgs[strings.TrimPrefix(p.ImportPath, module)] = p
	}
	return pkgs
}

func TestImportTable(t *testing.T) {
	for name, p := range list(t) {
		if p.ImportPath+"/" == module {
			continue
		}
		row, known := mayImport[name]
		if !known && !strings.HasPrefix(name, "internal/") {
			t.Errorf("%s is not in the import table", name)
			continue
		}
		for _, imp := range p.Imports {
			dep, ours := strings.CutPrefix(imp, module)
			if !ours || strings.HasPrefix(dep, "internal/") || slices.Contains(row.ours, "*") {
				continue
			}
			if !slices.Contains(row.ours, dep) {
				t.Errorf("%s imports %s: %s", name, dep, row.why)
			}
		}
	}
}

// TestForeignImports bans what must not reach a package, directly or through others.
func TestForeignImports(t *testing.T) {
	pkgs := list(t)
	for _, ban := range []struct {
		pkgs []string
		ban  string
		deep bool
		why  string
	}{
		{[]string{"ca/profile", "ledger", "ledger/state", "ledger/commit", "policies"}, "crypto/x509", true, "what it accepts changes between Go releases, and verdicts may not"},
		{[]string{"ca/profile", "ledger", "ledger/state", "ledger/commit"}, "encoding/asn1", false, "the same"},
		{[]string{"ca", "ca/profile", "ledger/state", "ledger/commit", "policies"}, "math/rand", false, "the same input, the same output"},
		{[]string{"ca", "ca/profile", "ledger/state", "ledger/commit", "policies"}, "math/rand/v2", false, "the same input, the same output"},
		{[]string{"ledger/state", "ledger/commit", "ca/profile", "policies"}, "os", false, "pure"},
		{[]string{"ledger/state", "ledger/commit", "ca/profile", "verify"}, "net/http", false, "offline"},
		{[]string{"verify", "verify/online"}, "github.com/cockroachdb/pebble/v2", true, "relying parties do not link a database"},
		{[]string{"verify", "verify/online"}, module + "ledger/node", true, "relying parties link no node"},
		{[]string{"ledger/state", "ledger/commit", "verify"}, "go.starlark.net/starlark", true, "judge is given rules to ask, and relying parties need none"},
		{[]string{"policies"}, "net/http", true, "rules reach nothing"},
		{[]string{"ledger/fsck"}, module + "ledger/node", true, "fsck distrusts the code that wrote the files"},
	} {
		for _, name := range ban.pkgs {
			p, ok := pkgs[name]
			if !ok {
				continue
			}
			in := p.Imports
			if ban.deep {
				in = p.Deps
			}
			if slices.Contains(in, ban.ban) {
				t.Errorf("%s imports %s: %s", name, ban.ban, ban.why)
			}
		}
	}
}

// TestOneImporter holds heavy libraries to the one package that wraps them.
func TestOneImporter(t *testing.T) {
	for lib, owner := range map[string]string{
		"github.com/hashicorp/raft":                      "ledger/order",
		"github.com/prometheus/client_golang/prometheus": "cmd/quorate",
		"github.com/hashicorp/raft-boltdb/v2":            "ledger/order",
		"go.starlark.net/starlark":                       "policies",
	} {
		for name, p := range list(t) {
			if name != owner && slices.Contains(p.Imports, lib) {
				t.Errorf("%s imports %s: only %s does", name, lib, owner)
			}
		}
	}
}

// TestNoClock bans time.Now where time is an argument.
func TestNoClock(t *testing.T) {
	for _, dir := range []string{"ca", "ca/profile", "ledger", "ledger/state", "ledger/commit", "ledger/cosign", "ledger/tlog", "verify", "verify/online", "policies"} {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if strings.HasSuffix(f, "_test.go") {
				continue
			}
			src, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(src), "time.Now(") {
				t.Errorf("%s asks the clock; time is an argument here", f)
			}
		}
	}
}

// TestNarrow holds the node and the waist to their sizes.
func TestNarrow(t *testing.T) {
	exported := 0
	fset := token.NewFileSet()
	for _, f := range parse(t, fset, "ledger/node") {
		for _, d := range f.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Recv == nil && d.Name.IsExported() {
					exported++
				}
			case *ast.GenDecl:
				for _, s := range d.Specs {
					switch s := s.(type) {
					case *ast.TypeSpec:
						if s.Name.IsExported() {
							exported++
						}
					case *ast.ValueSpec:
						for _, n := range s.Names {
							if n.IsExported() {
								exported++
							}
						}
					}
				}
			}
		}
	}
	if exported > 12 {
		t.Errorf("ledger/node exports %d identifiers, at most 12", exported)
	}
	limits := map[string]int{"Reader": 7, "Submitter": 3}
	for _, f := range parse(t, fset, "ledger") {
		ast.Inspect(f, func(n ast.Node) bool {
			if s, ok := n.(*ast.TypeSpec); ok {
				if i, ok := s.Type.(*ast.InterfaceType); ok && limits[s.Name.Name] > 0 && i.Methods.NumFields() > limits[s.Name.Name] {
					t.Errorf("%s has %d methods, at most %d", s.Name.Name, i.Methods.NumFields(), limits[s.Name.Name])
				}
			}
			return true
		})
	}
}

func parse(t *testing.T, fset *token.FileSet, dir string) []*ast.File {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	var out []*ast.File
	for _, n := range names {
		if strings.HasSuffix(n, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(fset, n, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, f)
	}
	return out
}
