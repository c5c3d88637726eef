package policies

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
)

var update = flag.Bool("update", false, "rewrite testdata/vectors.txt: the rules change")

// TestVectors holds every verdict, and what it takes, to what it was when rule version 3 was made. A line that changes, with a newer
// go.starlark.net or with anything else, is a change of the rules: members whose builds differ in it would part.
func TestVectors(t *testing.T) {
	var b strings.Builder
	line := func(name, text string, c *ledger.Candidate) {
		p, err := Compile(text)
		if err != nil {
			code, _ := reason.CodeOf(err)
			fmt.Fprintf(&b, "%s: does not compile: %d\n", name, code)
			return
		}
		v, m := p.judge(c)
		fmt.Fprintf(&b, "%s: %d %q work %d size %d\n", name, v.Code, v.Text, m.work, m.size)
	}
	files, err := filepath.Glob("testdata/rules/*.star")
	if err != nil || len(files) == 0 {
		t.Fatalf("no rules: %v", err)
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		line(filepath.Base(f), string(text), cell())
		line(filepath.Base(f)+", the largest certificate", string(text), crowded())
	}
	for _, row := range hostile {
		line(row.name, row.text, crowded())
		line(row.name+", a usual certificate", row.text, cell())
	}
	for i, text := range corpus() {
		line(fmt.Sprintf("corpus %d", i), text, cell())
	}
	const path = "testdata/vectors.txt"
	if *update {
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Split(b.String(), "\n")
	for i, w := range strings.Split(string(want), "\n") {
		if i >= len(got) || got[i] != w {
			t.Fatalf("line %d is not what it was: %s", i+1, w)
		}
	}
}

// corpus are texts of every construct there is, which the fuzz targets begin with.
func corpus() []string {
	return []string{
		body("return True"),
		"X = {\"a\": [1, (2, \"b\")], 3: None}\ndef f(x, y):\n    \"\"\"Doc.\"\"\"\n    return x + y\n\n" + body("n = f(1, 2)\nfor k, v in X.items():\n    if k == \"a\" and v[1][0] == 2:\n        n += len(v)\n    elif k == 3:\n        continue\n    else:\n        break\nreturn str(n)"),
		body("return [x.upper() for x in c.dns_names if x.find(\"a\") >= 0 for y in c.roles if y not in x][0][:20]"),
		body("x, y = (1, -2)\nx -= y\nx *= 3\nx //= 2\nx %= 5\nreturn str(x) if not (x < y or x >= 3) else \"no\""),
		body("return \",\".join(sorted(c.subject.keys() + c.subject.values()))"),
		body("return str(max([c.key_bits, len(c.serial)])) + str(min([1, 2])) + str(c.not_after - c.not_before - DAY)"),
		body("return True if all([within(n, \"acme-cells.example\") for n in c.dns_names]) and any([c.never_expires, c.time > 0]) else c.kind"),
		body("return r\"a\\d\" + \"\\x41\\u00e4\\\"\" + '''q''' + str(0x10 + 0o17 + 0b11) + \"\\101\" # a comment\n# another\nreturn True"),
		body("return (\n    \"a\"\n    + \"b\"\n) if [\n    1,\n    2,\n][-1] == 2 and not (1, )[0] != 1 else \"c\"; pass"),
		body("return c.serial.lower().removeprefix(\"0\").removesuffix(\"f\") + str(c.serial.count(\"f\")) + c.serial.split(\"1\")[0]"),
		body("return c.subject.get(\"O\", \"none\") if c.subject.get(\"OU\") == None and \"O\" in c.subject and c.serial.isdigit() != c.serial.startswith((\"0\", \"f\")) else c.subject[\"O\"]"),
	}
}

// FuzzRule: whatever the text, reading it ends; whatever compiles, judging by it ends within the limits, with a code that a rule may
// give, and the same every time.
func FuzzRule(f *testing.F) {
	for _, text := range corpus() {
		f.Add(text, "ACME-1")
	}
	for _, row := range hostile {
		f.Add(row.text, "n")
	}
	if text, err := os.ReadFile("testdata/rules/small-cells.star"); err == nil {
		f.Add(string(text), "ACME-000001")
	}
	f.Fuzz(func(t *testing.T, text, name string) {
		p, err := Compile(text)
		if err != nil {
			if code, ok := reason.CodeOf(err); !ok || code < reason.RuleNotCompiled || code > reason.RuleFailed {
				t.Fatalf("no reason: %v", err)
			}
			return
		}
		c := cell()
		c.DeviceSerial, c.DNSNames = name, append(c.DNSNames, name)
		v, m := p.judge(c)
		if m.steps >= backstop || m.work > MaxWork || m.size > MaxSize {
			t.Fatalf("%d steps of the library, %d work, %d size", m.steps, m.work, m.size)
		}
		if v.Code != reason.Accepted && (v.Code < reason.RuleRefused || v.Code > reason.RuleFailed) || (v.Text == "") != (v.Code == reason.Accepted) {
			t.Fatalf("%+v", v)
		}
		again, err := Compile(text)
		if err != nil {
			t.Fatal(err)
		}
		if w, n := again.judge(c); w != v || n.work != m.work || n.size != m.size {
			t.Fatalf("%+v then %+v", v, w)
		}
		sameAsStarlark(t, text, c, v)
	})
}

// sameAsStarlark runs a rule that came to a verdict as plain Starlark: nothing of it is rewritten, and the library's own operators and
// methods are used. What the rewriting refuses it may refuse; what it answers is what Starlark answers.
func sameAsStarlark(t *testing.T, text string, c *ledger.Candidate, v ledger.RuleVerdict) {
	t.Helper()
	if v.Code != reason.Accepted && v.Code != reason.RuleRefused {
		return
	}
	if strings.ContainsFunc(text+c.DeviceSerial, func(r rune) bool { return r > 0x7e }) || strings.Contains(text, `\`) {
		return // upper, lower and isdigit are of ASCII alone, on purpose
	}
	m := &meter{}
	plain, err := run(m, func(thread *starlark.Thread) (starlark.Value, error) {
		env := starlark.StringDict{"DAY": constants()["DAY"], "within": newChecker().ours["within"].builtin()}
		globals, err := starlark.ExecFileOptions(&syntax.FileOptions{}, thread, "rule", text, env)
		if err != nil {
			return nil, err
		}
		return starlark.Call(thread, globals[entry], starlark.Tuple{&candidate{facts: c}}, nil)
	})
	if err != nil || conclude(plain) != v {
		t.Fatalf("a rule says %+v, plain Starlark %v %v, of\n%s", v, plain, err, text)
	}
}

// TestVerdictsOfStarlark does so for the rules of the tests.
func TestVerdictsOfStarlark(t *testing.T) {
	text, err := os.ReadFile("testdata/rules/small-cells.star")
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range append(corpus(), string(text)) {
		sameAsStarlark(t, text, cell(), compile(t, text).Judge(cell()))
	}
}
