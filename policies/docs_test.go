package policies

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
)

const page = "../docs/rules.md"

func readPage(t *testing.T) string {
	t.Helper()
	raw, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// TestExamples: what the page shows as a rule is one, and judges.
func TestExamples(t *testing.T) {
	blocks := regexp.MustCompile("(?s)```python\n(.*?)```").FindAllStringSubmatch(readPage(t), -1)
	if len(blocks) < 3 {
		t.Fatalf("%d examples", len(blocks))
	}
	var verdicts []string
	for _, b := range blocks {
		v := compile(t, b[1]).Judge(cell())
		if v.Code != reason.Accepted && v.Code != reason.RuleRefused {
			t.Errorf("%s: %s %s", b[1], v.Code, v.Text)
		}
		verdicts = append(verdicts, v.Text)
	}
	if want := []string{"", "a name outside the home network", ""}; !slices.Equal(verdicts, want) {
		t.Errorf("%q", verdicts)
	}
	small, err := os.ReadFile("testdata/rules/small-cells.star")
	if err != nil || blocks[0][1] != string(small) {
		t.Errorf("the first example is not testdata/rules/small-cells.star (%v)", err)
	}
}

// TestExampleRefuses: each check of the example refuses something.
func TestExampleRefuses(t *testing.T) {
	text, err := os.ReadFile("testdata/rules/small-cells.star")
	if err != nil {
		t.Fatal(err)
	}
	p := compile(t, string(text))
	const day = 86_400_000
	for _, row := range []struct {
		spoil func(*ledger.Candidate)
		want  string
	}{
		{func(*ledger.Candidate) {}, ""},
		{func(c *ledger.Candidate) { c.KeyKind = "RSA" }, "small cells have keys on P-256 or P-384"},
		{func(c *ledger.Candidate) { c.NeverExpires = true }, "small cells are certified for at most ten years"},
		{func(c *ledger.Candidate) { c.NotAfter = int64(c.Time) + 3653*day + 1 }, "small cells are certified for at most ten years"},
		{func(c *ledger.Candidate) { c.NotAfter = int64(c.Time) + 3653*day }, ""},
		{func(c *ledger.Candidate) { c.NotBefore = int64(c.Time) + day + 1 }, "not valid before tomorrow: set the clock of the line"},
		{func(c *ledger.Candidate) { c.DeviceSerial = "ACM" }, "the serial begins with none of the plants' prefixes"},
		{func(c *ledger.Candidate) { c.DNSNames = nil }, "one to four names"},
		{func(c *ledger.Candidate) { c.DNSNames = make([]string, 5) }, "one to four names"},
		{func(c *ledger.Candidate) { c.DNSNames[1] = "x.other.example" }, "x.other.example is not below acme-cells.example"},
		{func(c *ledger.Candidate) { c.ExtendedKeyUsage[0] = "iKEIntermediate" }, "an extended key usage that small cells do not have"},
	} {
		c := cell()
		row.spoil(c)
		if v := p.Judge(c); v.Text != row.want {
			t.Errorf("%s %q, want %q", v.Code, v.Text, row.want)
		}
	}
}

// TestPage holds the tables of the page to the engine: facts and their types, functions and methods, limits.
func TestPage(t *testing.T) {
	text := readPage(t)
	var documented []string
	for _, row := range regexp.MustCompile("(?m)^\\| `(\\w+)` \\| (string|number|bool|list|dict) \\| .+ \\|$").FindAllStringSubmatch(text, -1) {
		documented = append(documented, row[1])
		want := map[string]string{"string": "string", "number": "int", "bool": "bool", "list": "list", "dict": "dict"}[row[2]]
		if v := factOf(cell(), row[1]); v == nil || v.Type() != want {
			t.Errorf("%s is documented as a %s, and is %v", row[1], row[2], v)
		}
	}
	if !slices.Equal(documented, Facts()) {
		t.Errorf("facts documented: %v\nfacts: %v", documented, Facts())
	}
	var functions []string
	for _, f := range regexp.MustCompile("`(?:[sd](\\.))?(\\w+)\\([^`]*\\)`[,|]? ?").FindAllStringSubmatch(text, -1) {
		if name := f[1] + f[2]; !slices.Contains(functions, name) {
			functions = append(functions, name)
		}
	}
	var want []string
	for _, f := range ours() {
		if regexp.MustCompile(`^\.?[a-z]{2,}$`).MatchString(f.name) && f.name != "in" && f.name != "item" {
			want = append(want, f.name)
		}
	}
	slices.Sort(functions)
	slices.Sort(want)
	if !slices.Equal(functions, want) {
		t.Errorf("functions documented: %v\nfunctions: %v", functions, want)
	}
	for c := reason.RuleRefused; c <= reason.TooManyRules; c++ {
		if !strings.Contains(text, "| "+reason.Of(c).Slug+" |") {
			t.Errorf("the page does not have %s", c)
		}
	}
	for _, limit := range []string{"16,000 bytes", "30,000 units", "262,144 bytes", "200 bytes", "256 rules"} {
		if !strings.Contains(text, limit) {
			t.Errorf("the page does not have the limit of %s", limit)
		}
	}
	if MaxText != 16_000 || MaxWork != 30_000 || MaxSize != 262_144 || MaxReason != 200 || ledger.MaxRules != 256 {
		t.Error("a limit is not the page's")
	}
}
