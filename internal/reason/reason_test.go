package reason

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite docs/reasons.md")

const page = "../../docs/reasons.md"

// ranges are the parts of the table, in the order of the page.
var ranges = []struct {
	first, last Code
	title, text string
	rows        []Reason
}{
	{0, 2, "Outcomes that are not refusals", "", outcomes},
	{10, 99, "Transactions and blocks", "The form of a transaction, its signatures and its time.", transactions},
	{100, 199, "Certificates", "Strict DER and profiles; docs/profiles.md has the causes one by one.", certificates},
	{200, 259, "Ownership, uniqueness and authority", "", authority},
	{260, 279, "The life of a device", "Custody, use, rekey, retirement; docs/life.md.", life},
	{300, 339, "What members and organisations decide", "Proposals, votes and registrations.", governance},
	{340, 349, "Member sets", "How one member set follows another: docs/members.md.", members},
	{350, 359, "Members' own admission rules", "docs/rules.md says what a rule is. A rule that fails refuses.", rules},
	{360, 369, "Channels", "Further channels of a consortium; docs/channels.md.", channels},
	{370, 399, "CA certificates of organisations", "docs/profiles.md says what a CA certificate must be; what is wrong with its DER, names, keys and dates has the codes of all certificates.", authorities},
	{400, 499, "Offline verification", "What a verifier of receipts and status proofs says; never on the log.", verification},
	{500, 599, "The HTTP edge", "What a node says to its caller; never on the log.", edge},
}

func TestTable(t *testing.T) {
	slugs := map[string]Code{}
	form := regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)
	last, n := -1, 0
	for _, r := range ranges {
		for _, row := range r.rows {
			if n++; row.Code < r.first || row.Code > r.last {
				t.Errorf("%d %s is outside %d-%d", row.Code, row.Slug, r.first, r.last)
			}
			if int(row.Code) <= last {
				t.Errorf("%d %s is out of order or there twice", row.Code, row.Slug)
			}
			last = int(row.Code)
			if old, taken := slugs[row.Slug]; taken {
				t.Errorf("%s is %d and %d", row.Slug, old, row.Code)
			}
			slugs[row.Slug] = row.Code
			if !form.MatchString(row.Slug) {
				t.Errorf("slug %q", row.Slug)
			}
			// A sentence may stand in a table and in one line of a terminal.
			if s := row.Sentence; !strings.HasSuffix(s, ".") || strings.HasSuffix(s, "..") || strings.TrimSpace(s) != s ||
				strings.ContainsAny(s, "|\n") || strings.ToUpper(s[:1]) != s[:1] && !strings.HasPrefix(s, "notAfter") &&
				!strings.HasPrefix(s, "notBefore") && !strings.HasPrefix(s, "keyUsage") && !strings.HasPrefix(s, "basicConstraints") {
				t.Errorf("%d: sentence %q", row.Code, s)
			}
		}
	}
	if len(All()) != n {
		t.Errorf("All has %d rows, the ranges have %d", len(All()), n)
	}
}

func TestLookups(t *testing.T) {
	for _, r := range All() {
		if Of(r.Code) != r || r.Code.String() != r.Slug {
			t.Errorf("%d is not found by its code", r.Code)
		}
		if got, ok := BySlug(r.Slug); !ok || got != r {
			t.Errorf("%s is not found by its slug", r.Slug)
		}
		if r.Code.OK() != (r.Code == Accepted || r.Code == AlreadyPublished) {
			t.Errorf("%s: OK is %v", r.Slug, r.Code.OK())
		}
	}
	if unknown := Of(9999); unknown.Code != 9999 || unknown.Slug != "code-9999" || unknown.Sentence == "" {
		t.Errorf("an unknown code: %+v", unknown)
	}
	if _, ok := BySlug("no-such-reason"); ok {
		t.Error("an unknown slug is found")
	}
	all := All()
	all[0].Slug = "changed"
	if All()[0].Slug == "changed" {
		t.Error("a caller can change the table")
	}
}

func TestError(t *testing.T) {
	bare, told := New(DERTag, ""), New(DERTag, "at byte %d", 7)
	if bare.Error() != "der-tag" || told.Error() != "der-tag: at byte 7" {
		t.Errorf("%q %q", bare, told)
	}
	for _, err := range []error{told, fmt.Errorf("reading: %w", told), errors.Join(errors.New("x"), told)} {
		if c, ok := CodeOf(err); !ok || c != DERTag {
			t.Errorf("%v: %v", err, c)
		}
	}
	for _, err := range []error{nil, errors.New("x")} {
		if c, ok := CodeOf(err); ok || c != 0 {
			t.Errorf("%v has code %d", err, c)
		}
	}
}

func TestPage(t *testing.T) {
	want := render()
	if *update {
		if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if string(have) != want {
		t.Errorf("docs/reasons.md is not the table; run go test ./internal/reason -update")
	}
}

func render() string {
	var b strings.Builder
	b.WriteString(`# Reason codes

Why an operation, a transaction, a request or a proof was refused. The number goes on the log and into HTTP problem
details for ever. The table is append-only: a number is never reused and never changes its meaning, and a code that no
rule gives any more stays here. Slug and sentence are for people.

This page is made from package internal/reason: ` + "`go test ./internal/reason -update`" + `.
`)
	for _, r := range ranges {
		fmt.Fprintf(&b, "\n## %s (%d-%d)\n\n", r.title, r.first, r.last)
		if r.text != "" {
			b.WriteString(r.text + "\n\n")
		}
		b.WriteString("| code | slug | sentence |\n|---|---|---|\n")
		for _, row := range r.rows {
			fmt.Fprintf(&b, "| %d | %s | %s |\n", row.Code, row.Slug, row.Sentence)
		}
	}
	return b.String()
}
