package policies

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
)

// crowded is a candidate as large as a certificate can be.
func crowded() *ledger.Candidate {
	c := cell()
	for i := range 700 {
		c.DNSNames = append(c.DNSNames, fmt.Sprintf("n%d.a.example", i))
	}
	return c
}

// hostile rules try to take more time or memory than a rule may. Each compiles, is stopped, and says by which limit.
var hostile = []struct {
	name string
	text string
	code reason.Code
}{
	{"doubling a string", body("s = \"a\"\nfor a in c.dns_names:\n    s += s\nreturn True"), reason.RuleSizeLimit},
	{"doubling a list", body("s = [1]\nfor a in c.dns_names:\n    s = s + s\nreturn True"), reason.RuleWorkLimit},
	{"doubling a tuple", body("s = (1,)\nfor a in c.dns_names:\n    s += s\nreturn True"), reason.RuleWorkLimit},
	{"doubling without a loop", body("s = \"a\"\n" + strings.Repeat("s += s\n", 1000) + "return True"), reason.RuleSizeLimit},
	{"squaring a number", body("n = 3\nfor a in c.dns_names:\n    n *= n\nreturn True"), reason.RuleFailed},
	{"loops in loops", body("n = 0\nfor a in c.dns_names:\n    for b in c.dns_names:\n        for d in c.dns_names:\n            n += 1\nreturn True"), reason.RuleWorkLimit},
	{"loops that do nothing", body("for a in c.dns_names:\n    for b in c.dns_names:\n        for d in c.dns_names:\n            pass\nreturn True"), reason.RuleWorkLimit},
	{"comprehensions in comprehensions", body("return len([1 for a in c.dns_names for b in c.dns_names for d in c.dns_names]) > 0"), reason.RuleWorkLimit},
	{"nested comprehensions", body("return len([[[1 for a in c.dns_names] for b in c.dns_names] for d in c.dns_names]) > 0"), reason.RuleWorkLimit},
	{"a comprehension over nothing that loops", body("return len([1 for a in c.dns_names for b in c.dns_names if False for d in [1]]) == 0"), reason.RuleWorkLimit},
	{"functions that call twice", callTwice(40), reason.RuleWorkLimit},
	{"joining", body("s = c.dns_names\nt = \",\".join(s)\nfor a in s:\n    t = \",\".join([t, t])\nreturn True"), reason.RuleSizeLimit},
	{"splitting", body("s = \",\".join(c.dns_names)\nfor a in c.dns_names:\n    for b in c.dns_names:\n        x = s.split(\"n\")\nreturn True"), reason.RuleSizeLimit},
	{"upper case", body("s = \",\".join(c.dns_names)\nfor a in c.dns_names:\n    for b in c.dns_names:\n        s = s.upper()\nreturn True"), reason.RuleSizeLimit},
	{"slicing", body("s = c.dns_names\nfor a in s:\n    for b in s:\n        x = s[:]\nreturn True"), reason.RuleSizeLimit},
	{"sorting", body("for a in c.dns_names:\n    x = sorted(c.dns_names)\nreturn True"), reason.RuleWorkLimit},
	{"searching lists", body("n = 0\nfor a in c.dns_names:\n    if \"none\" in c.dns_names:\n        n += 1\nreturn True"), reason.RuleWorkLimit},
	{"searching strings", body("s = \",\".join(c.dns_names)\nfor a in c.dns_names:\n    if s.count(\"z\") > 0 or s not in s or s.find(\"zz\") > 0 or s.isdigit():\n        return True\nreturn True"), reason.RuleWorkLimit},
	{"comparing lists", body("for a in c.dns_names:\n    if c.dns_names == c.extensions or c.dns_names != c.dns_names:\n        return \"x\"\nreturn True"), reason.RuleWorkLimit},
	{"comparing strings", body("s = \",\".join(c.dns_names)\nt = s + \"x\"\nfor a in c.dns_names:\n    if t < s or s > t:\n        return \"x\"\nreturn True"), reason.RuleWorkLimit},
	{"long keys", body("s = \",\".join(c.dns_names)\nfor a in c.dns_names:\n    for b in c.dns_names:\n        if c.subject.get(s) != None or s in c.subject:\n            return \"x\"\nreturn True"), reason.RuleWorkLimit},
	{"all and any", body("for a in c.dns_names:\n    for b in c.dns_names:\n        if not all(c.dns_names):\n            return \"x\"\nreturn True"), reason.RuleWorkLimit},
	{"prefixes of a tuple", "P = (" + strings.Repeat("\"x\",", 500) + ")\n" + body("s = c.serial\nfor a in c.dns_names:\n    if s.startswith(P):\n        return \"x\"\nreturn True"), reason.RuleWorkLimit},
	{"entries of a dict", body("for a in c.dns_names:\n    for b in c.dns_names:\n        x = c.subject.items()\nreturn True"), reason.RuleSizeLimit},
	{"greatest", body("for a in c.dns_names:\n    x = max(c.dns_names)\nreturn True"), reason.RuleWorkLimit},
	{"list of lists that share", "X = [" + strings.Repeat("(1,1,1,1,1,1,1,1),", 100) + "]\n" + body("x = X\nfor a in c.dns_names:\n    x = x + X\nreturn True"), reason.RuleWorkLimit},
}

// callTwice is a text whose functions call the one before them twice: two to the power of n calls.
func callTwice(n int) string {
	var b strings.Builder
	b.WriteString("def f0():\n    return 1\n")
	for i := range n {
		fmt.Fprintf(&b, "def f%d():\n    return f%d() + f%d()\n", i+1, i, i)
	}
	return b.String() + body(fmt.Sprintf("return f%d() > 0", n))
}

func TestHostile(t *testing.T) {
	for _, row := range hostile {
		p := compile(t, row.text)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		v, m := p.judge(crowded())
		runtime.ReadMemStats(&after)
		if v.Code != row.code {
			t.Errorf("%s: %s %s, want %s", row.name, v.Code, v.Text, row.code)
		}
		withinLimits(t, row.name, m, after.TotalAlloc-before.TotalAlloc)
	}
}

func withinLimits(t *testing.T, name string, m *meter, allocated uint64) {
	t.Helper()
	if m.steps >= backstop || m.work > MaxWork || m.size > MaxSize || allocated > 16<<20 {
		t.Errorf("%s took %d steps of the library, %d work, %d size, %d bytes", name, m.steps, m.work, m.size, allocated)
	}
}

// TestHostileConstants: what runs when a text is read is bounded by the same limits.
func TestHostileConstants(t *testing.T) {
	double := func(first, each string, n int) string {
		var b strings.Builder
		b.WriteString("X0 = " + first + "\n")
		for i := range n {
			fmt.Fprintf(&b, each+"\n", i+1, i)
		}
		return b.String() + body("return True")
	}
	for _, row := range []struct {
		name, text string
		code       reason.Code
	}{
		{"doubling a string", double(`"a"`, "X%d = X%[2]d + X%[2]d", 60), reason.RuleSizeLimit},
		{"doubling a list", double(`[1]`, "X%d = X%[2]d + X%[2]d", 60), reason.RuleWorkLimit},
		{"tuples of tuples that share, which freezing goes through", double(`("a", "b")`, "X%d = (X%[2]d, X%[2]d)", 60), reason.RuleFailed},
		{"lists of large tuples, which freezing goes through", double("[("+strings.Repeat("1,", 3000)+")]", "X%d = X%[2]d + X%[2]d", 20), reason.RuleWorkLimit},
		{"squaring", double(`3`, "X%d = X%[2]d * X%[2]d", 60), reason.RuleFailed},
		{"loops", "X = [x for x in \"" + strings.Repeat(",", 500) + "\".split(\",\")]\nY = len([1 for a in X for b in X for c in X])\n" + body("return True"), reason.RuleWorkLimit},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := Compile(row.text)
		runtime.ReadMemStats(&after)
		if code, _ := reason.CodeOf(err); code != row.code {
			t.Errorf("%s: %v, want %s", row.name, err, row.code)
		}
		if n := after.TotalAlloc - before.TotalAlloc; n > 16<<20 {
			t.Errorf("%s allocated %d bytes", row.name, n)
		}
	}
}

// TestLargeTexts: the longest texts, of whatever form, take a bounded amount of memory to read.
func TestLargeTexts(t *testing.T) {
	for _, unit := range []string{"(", "[", "{", "not ", "-", "~", "lambda:", "x if x else ", "x.", "x[", "x(", "1+", "1 and ", "\"a\" ", "1,", "if x:\n", "9", "#", "\n", " \n", "\"\\x41\"+", "x=", "*", "**"} {
		for _, text := range []string{strings.Repeat(unit, MaxText/len(unit)), body("return " + strings.Repeat(unit, (MaxText-40)/len(unit)) + "1")} {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := Compile(text)
			runtime.ReadMemStats(&after)
			if n := after.TotalAlloc - before.TotalAlloc; n > 64<<20 {
				t.Errorf("%d times %q allocated %d bytes (%v)", len(text)/len(unit), unit, n, err)
			}
		}
	}
}

// TestLargestCertificate: a rule that looks at every name of the largest certificate several times stays within the limits.
func TestLargestCertificate(t *testing.T) {
	p := compile(t, body("for n in c.dns_names:\n    if not within(n, \"a.example\") and not n.endswith(\".acme-cells.example\"):\n        return n\n    if len(n) > 64:\n        return n\nreturn True"))
	v, m := p.judge(crowded())
	if v.Code != reason.Accepted {
		t.Errorf("%+v", v)
	}
	t.Logf("%d names: %d work, %d size, %d steps of the library", len(crowded().DNSNames), m.work, m.size, m.steps)
}
