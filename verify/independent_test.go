package verify_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const independent = "../testdata/verifier/verify.py"

// driver runs versions of the independent verifier over vectors, each version until its first wrong answer. What it
// reads and writes is JSON. It remembers what Ed25519 said, which is most of the time, and nothing else.
const driver = `
import base64, functools, json, sys
work = json.load(sys.stdin)
vectors = [(v["Name"], v["Want"], [v[k] if v[k] is None else base64.b64decode(v[k]) for k in ("Policy", "Receipt", "Status", "Cert")],
            v["Now"], v["MaxAge"], v["PublishedOnly"]) for v in work["Vectors"]]
for v in vectors:
    v[2][:] = [b"" if x is None and i != 2 else x for i, x in enumerate(v[2])]
@functools.lru_cache(None)
def check(Key, key, sig, data):
    try: Key.from_public_bytes(key).verify(sig, data)
    except Exception as e: return e
class Cached:
    def __init__(self, key): self.key = key
    from_public_bytes = classmethod(lambda cls, key: cls(key))
    def verify(self, sig, data):
        e = check(Real, self.key, sig, data)
        if e is not None: raise e
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey as Real
out = []
for source in work["Sources"]:
    module = {"__name__": "verify"}
    exec(compile(source, "verify.py", "exec"), module)
    module["Ed25519PublicKey"] = Cached
    wrong = []
    for name, want, files, now, age, published in vectors:
        try: got = module["verdict"](*files, now, age, published)
        except Exception as e: got = "exception: %r" % e
        if got != want:
            wrong.append([name, got])
            if work["First"]: break
    out.append(wrong)
json.dump(out, sys.stdout)
`

// python runs the driver; it skips the test where there is no Python with the package cryptography, but not in CI.
func python(t *testing.T, vectors []vector, first bool, sources ...string) [][][2]string {
	t.Helper()
	const name = "/usr/bin/python3"
	if out, err := exec.Command(name, "-c", "import cryptography").CombinedOutput(); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("python3 with the package cryptography is needed: %v %s", err, out)
		}
		t.Skipf("no python3 with the package cryptography: %v", err)
	}
	in, err := json.Marshal(map[string]any{"Vectors": vectors, "Sources": append([]string{}, sources...), "First": first})
	must(t, err)
	cmd := exec.Command(name, "-c", driver)
	cmd.Stdin, cmd.Stderr = bytes.NewReader(in), os.Stderr
	raw, err := cmd.Output()
	must(t, err)
	var out [][][2]string
	must(t, json.Unmarshal(raw, &out))
	return out
}

func source(t *testing.T) string {
	t.Helper()
	raw, err := os.ReadFile(independent)
	must(t, err)
	return string(raw)
}

// inJavaScript is the other independent verifier.
const inJavaScript = "../testdata/verifier/verify.mjs"

// jsDriver asks it every vector.
const jsDriver = `
import fs from "node:fs";
const { verdict } = await import(process.argv[2]);
const wrong = [];
for (const v of JSON.parse(fs.readFileSync(process.argv[3]))) {
  const [policy, receipt, status, cert] = [v.Policy, v.Receipt, v.Status, v.Cert].map((x) => x === null ? null : Buffer.from(x, "base64"));
  let got;
  try { got = verdict(policy ?? Buffer.alloc(0), receipt ?? Buffer.alloc(0), status, cert ?? Buffer.alloc(0), v.Now, v.MaxAge, v.PublishedOnly); }
  catch (e) { got = "exception: " + e.stack; }
  if (got !== v.Want) wrong.push([v.Name, got]);
}
console.log(JSON.stringify(wrong));
`

// javaScript asks the verifier in JavaScript; it skips the test where there is no Node, but not in CI.
func javaScript(t *testing.T, vectors []vector) (wrong [][2]string) {
	t.Helper()
	node, err := exec.LookPath("node")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("node is needed: %v", err)
		}
		t.Skip("no node")
	}
	in, err := json.Marshal(vectors)
	must(t, err)
	module, err := filepath.Abs(inJavaScript)
	must(t, err)
	dir := t.TempDir()
	driver, questions := filepath.Join(dir, "driver.mjs"), filepath.Join(dir, "vectors.json")
	must(t, os.WriteFile(driver, []byte(jsDriver), 0o600))
	must(t, os.WriteFile(questions, in, 0o600))
	cmd := exec.Command(node, driver, "file://"+filepath.ToSlash(module), questions)
	cmd.Stderr = os.Stderr
	raw, err := cmd.Output()
	must(t, err)
	must(t, json.Unmarshal(raw, &wrong))
	return wrong
}

// TestIndependent asks the verifiers that were written from docs/formats.md alone.
func TestIndependent(t *testing.T) {
	all := vectors(t)
	t.Run("Python", func(t *testing.T) {
		text := source(t)
		if n := strings.Count(text, "\n"); n > 245 {
			t.Errorf("%s has %d lines, 245 were promised", independent, n)
		}
		for _, w := range python(t, all, false, text)[0] {
			t.Errorf("%s: %s, want %s", w[0], w[1], named(t, w[0]).Want)
		}
	})
	t.Run("JavaScript", func(t *testing.T) {
		for _, w := range javaScript(t, all) {
			t.Errorf("%s: %s, want %s", w[0], w[1], named(t, w[0]).Want)
		}
	})
}

// mutant is a version of the independent verifier with one check less.
type mutant struct{ what, source string }

var checkLine = regexp.MustCompile(`(?m)^( *)(.*)  # check$`)

// mutants deletes every statement that ends in "# check", and every part of a conjunction in one.
func mutants(text string) (out []mutant) {
	for _, at := range checkLine.FindAllStringSubmatchIndex(text, -1) {
		statement := text[at[4]:at[5]]
		replace := func(what, by string) {
			out = append(out, mutant{what, text[:at[4]] + by + text[at[5]:]})
		}
		if !strings.HasPrefix(statement, "return ") {
			replace("without: "+statement, "pass")
		}
		condition, before, after := statement, "", ""
		if inner, ok := strings.CutPrefix(statement, "need("); ok {
			comma := strings.LastIndex(inner, ",")
			before, condition, after = "need(", inner[:comma], inner[comma:]
		} else if inner, ok := strings.CutPrefix(statement, "return "); ok {
			before, condition = "return ", inner
		}
		parts := conjuncts(condition)
		for i := range parts {
			if len(parts) > 1 {
				left := slices.Delete(slices.Clone(parts), i, i+1)
				replace("without: "+parts[i], before+strings.Join(left, " and ")+after)
			}
		}
	}
	return out
}

// conjuncts splits a Python condition at the "and" of its highest level; one with an "or" there stays whole.
func conjuncts(condition string) []string {
	depth, from := 0, 0
	var parts []string
	for i := range len(condition) {
		switch condition[i] {
		case '(', '[', '{':
			depth++
		case ')', ']', '}':
			depth--
		}
		if depth > 0 {
			continue
		}
		if strings.HasPrefix(condition[i:], " or ") {
			return []string{condition}
		}
		if strings.HasPrefix(condition[i:], " and ") {
			parts, from = append(parts, condition[from:i]), i+len(" and ")
		}
	}
	return append(parts, condition[from:])
}

// edits are checks that are no statements of their own: what to write in place of what.
var edits = [][2]string{
	{"[len(witnesses) - q]", "[0]"},
	{"[len(witnesses) - q]", "[len(witnesses) - q - 1]"},
	{"[len(witnesses) - q]", "[-1]"},
	{"(name, sig[:4]) == key[:2]", "sig[:4] == key[1]"},
	{"(name, sig[:4]) == key[:2]", "name == key[0]"},
}

// rules are the CDDL's: each is loosened in turn.
var rules = [][2]string{
	{"type(v) is int and low <= v <= high", "type(v) is int and v <= high"},
	{"type(v) is int and low <= v <= high", "type(v) is int and low <= v"},
	{"type(v) is bytes and low <= len(v) <= high", "type(v) is bytes and low <= len(v)"},
	{"type(v) is bytes and low <= len(v) <= high", "type(v) is bytes and len(v) <= high"},
	{"type(v) is list and low <= len(v) <= high and all", "type(v) is list and low <= len(v) and all"},
	{"type(v) is list and low <= len(v) <= high and all", "type(v) is list and len(v) <= high and all"},
	{"high=1025", "high=2**32"},
	{" and all(map(rule, v))", ""},
	{"len(v) == len(rules) and ", ""},
	{" and all(r(x) for r, x in zip(rules, v))", ""},
	{"must.keys() <= v.keys() and ", ""},
	{" and all({**must, **may}[k](x) for k, x in v.items())", ""},
	{"row(uint(1, 1), uint(2, 2), table", "row(uint(), uint(2, 2), table"},
	{"row(uint(1, 1), uint(2, 2), table", "row(uint(1, 1), uint(), table"},
	{"row(uint(1, 1), uint(3, 3), table", "row(uint(), uint(3, 3), table"},
	{"row(uint(1, 1), uint(3, 3), table", "row(uint(1, 1), uint(), table"},
	{"bstr(0, 16384)", "bstr()"},
	{"1: ID, 2: uint(1), 3", "1: bstr(), 2: uint(1), 3"},
	{"1: ID, 2: uint(1), 3", "1: ID, 2: uint(), 3"},
	{"4: uint(1), 5", "4: uint(), 5"},
	{"uint(0, 3)), 1, 1000)", "uint()), 1, 1000)"},
	{"uint(0, 3)), 1, 1000)", "uint(0, 3)), 0, 1000)"},
	{"uint(0, 3)), 1, 1000)", "uint(0, 3)), 1, 1025)"},
	{"6: HASH,\n", "6: bstr(),\n"},
	{"7: many(ID, 1)", "7: many(ID)"},
	{"8: uint(1), 9: HASH", "8: uint(), 9: HASH"},
	{"8: uint(1), 9: HASH", "8: uint(1), 9: bstr()"},
	{"11: row(ID, uint())", "11: lambda v: True"},
	{"12: ID", "12: bstr()"},
	{"14: uint(1)", "14: uint()"},
	{"15: many(uint(), 1)", "15: many(uint())"},
	{"16: uint(1)", "16: uint()"},
	{"HASH), 1, 16)", "HASH), 0, 16)"},
	{"HASH), 1, 16)", "HASH), 1)"},
	{"uint(), HASH), 1, 16)", "uint(), bstr()), 1, 16)"},
	{"v[0] in ops and ", ""},
	{"2: uint(1, 3), 3: HASH}, {4: many(row(", "2: uint(0, 3), 3: HASH}, {4: many(row("},
	{"2: uint(1, 3), 3: HASH}, {4: many(row(", "2: uint(1), 3: HASH}, {4: many(row("},
	{"2: uint(1, 3), 3: HASH}, {4: many(row(", "2: uint(1, 3), 3: bstr()}, {4: many(row("},
	{"1: uint(5, 7)", "1: uint(0, 7)"},
	{"1: uint(5, 7)", "1: uint(5)"},
	{" and len(v[2]) == (16 if v[1] == 7 else 32)", ""},
	{"1: row(bstr(), bstr())", "1: many(bstr())"},
	{"3: HASH, 4: uint(), 5", "3: bstr(), 4: uint(), 5"},
	{"0, 256)}", "0)}"},
	{"{7: HASH}", "{7: bstr()}"},
	{" and len(v) == 2, 1)", ", 1)"},
	{"1: uint(1, 3), 2: uint(1, 6)", "1: uint(0, 3), 2: uint(1, 6)"},
	{"1: uint(1, 3), 2: uint(1, 6)", "1: uint(1), 2: uint(1, 6)"},
	{"1: uint(1, 3), 2: uint(1, 6)", "1: uint(1, 3), 2: uint(0, 6)"},
	{"1: uint(1, 3), 2: uint(1, 6)", "1: uint(1, 3), 2: uint(1)"},
	{"uint(1, 6), 3: HASH", "uint(1, 6), 3: bstr()"},
	{"8: bstr(1, 2048)", "8: bstr(0, 2048)"},
	{"8: bstr(1, 2048)", "8: bstr()"},
	{" and (4 in v) == (v[2] == 1)", ""},
	{"RECEIPT = table({1: uint(1, 1)", "RECEIPT = table({1: uint()"},
	{"4: many(bstr(), 1)}", "4: many(bstr())}"},
	{"STATUS = table({1: uint(1, 1)", "STATUS = table({1: uint()"},
	{"5: many(HASH)}", "5: many(bstr())}"},
	{"bstr(), many(HASH))}", "bstr(), many(bstr()))}"},
	{`s != "" and `, ""},
	{" and not re.search(\"[#\\x7f]\", s)", ""},
	{" and len(s.encode()) <= 255\n", "\n"},
	{`[\0-\x1f\s+]`, `[\0-\x1f\s]`},
	{`[\0-\x1f\s+]`, `[\0-\x1f+]`},
	{`[\0-\x1f\s+]`, `[\s+]`},
	{"(?=.{1,512}$)", ""},
	{"key_name_ok(name) and name not in quorums", "key_name_ok(name)"},
	{"key_name_ok(name) and name not in quorums", "name not in quorums"},
	{"len(members) == n and groups in", "groups in"},
	{" and groups in ([], chosen)", ""},
	{"**dict.fromkeys(keywords), ", ""},
	{" - {*keywords}", ""},
	{"<= 100", "<= 101"},
	{"<= 300", "<= 301"},
}

// TestEveryCheckCounts deletes every check of the independent verifier in turn: some vector must notice.
func TestEveryCheckCounts(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute")
	}
	text := source(t)
	all := mutants(text)
	deleted := len(all)
	for _, e := range slices.Concat(edits, rules) {
		if !strings.Contains(text, e[0]) {
			t.Errorf("%q is not in the verifier", e[0])
		}
		all = append(all, mutant{fmt.Sprintf("%q for %q", e[1], e[0]), strings.Replace(text, e[0], e[1], 1)})
	}
	var sources []string
	for _, m := range all {
		sources = append(sources, m.source)
	}
	for i, wrong := range python(t, vectors(t), true, sources...) {
		if len(wrong) == 0 {
			t.Errorf("no vector notices %s", all[i].what)
			continue
		}
		t.Logf("%s: %s gives %s", all[i].what, wrong[0][0], wrong[0][1])
	}
	t.Logf("%d checks or parts of one deleted, %d rules loosened", deleted, len(all)-deleted)
}

// TestAgree spoils vectors at random: whatever comes out, all verifiers say the same.
func TestAgree(t *testing.T) {
	rounds := 3000
	if testing.Short() {
		rounds = 300
	}
	r := rand.New(rand.NewPCG(1, 2))
	all := vectors(t)
	var spoiled []vector
	for i := range rounds {
		v := all[r.IntN(len(all))]
		v.Name = fmt.Sprintf("%d: %s", i, v.Name)
		file := []*[]byte{&v.Policy, &v.Receipt, &v.Status, &v.Cert, &v.Receipt, &v.Status}[r.IntN(6)]
		b := slices.Clone(*file)
		for range 1 + r.IntN(3) {
			if len(b) == 0 {
				break
			}
			switch at := r.IntN(len(b)); r.IntN(4) {
			case 0:
				b[at] ^= 1 << r.IntN(8)
			case 1:
				b = slices.Delete(b, at, at+1)
			case 2:
				b = slices.Insert(b, at, " \n+#0A=\t"[r.IntN(8)])
			case 3:
				from := r.IntN(len(b))
				b = slices.Insert(b, at, slices.Clone(b[from:min(len(b), from+r.IntN(80))])...)
			}
		}
		if *file != nil {
			*file = b
		}
		v.Want = v.ask()
		spoiled = append(spoiled, v)
	}
	agree := func(language string, ask func(*testing.T) [][2]string) {
		t.Run(language, func(t *testing.T) {
			for _, w := range ask(t) {
				i := slices.IndexFunc(spoiled, func(v vector) bool { return v.Name == w[0] })
				t.Errorf("%s: ours says %s, the independent verifier %s", w[0], spoiled[i].Want, w[1])
			}
		})
	}
	agree("Python", func(t *testing.T) [][2]string { return python(t, spoiled, false, source(t))[0] })
	agree("JavaScript", func(t *testing.T) [][2]string { return javaScript(t, spoiled) })
}
