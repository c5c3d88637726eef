package ca_test

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/quorate-pki/quorate/ca/profile"
	"github.com/quorate-pki/quorate/internal/reason"
)

const page = "../docs/profiles.md"

func readPage(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile(page)
	must(t, err)
	return string(data)
}

// example is a fenced block of the page: ```<language> <name>.
func example(t *testing.T, name string) string {
	t.Helper()
	m := regexp.MustCompile("(?ms)^```[a-z]+ "+regexp.QuoteMeta(name)+"\n(.*?)^```$").FindAllStringSubmatch(readPage(t), -1)
	if len(m) != 1 {
		t.Fatalf("%s has the example %q %d times", page, name, len(m))
	}
	return m[0][1]
}

// TestPageRefusals holds the page's table of refusals to the reason table, row by row.
func TestPageRefusals(t *testing.T) {
	_, table, found := strings.Cut(readPage(t), "\n## Refusals\n")
	if !found {
		t.Fatal("the page has no section Refusals")
	}
	var got, want []string
	for _, row := range regexp.MustCompile(`(?m)^\| (\d+) \| ([a-z0-9-]+) \| .+ \|$`).FindAllStringSubmatch(table, -1) {
		got = append(got, row[1]+" "+row[2])
	}
	for _, r := range reason.All() {
		if r.Code >= 100 && r.Code < 200 {
			want = append(want, fmt.Sprintf("%d %s", r.Code, r.Slug))
		}
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("the page has\n%s\nthe table has\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if legacy := fmt.Sprintf("%d `%s`", reason.LegacyKeyNotGranted, reason.LegacyKeyNotGranted); !strings.Contains(table, legacy) {
		t.Errorf("the page lacks %s", legacy)
	}
}

// TestPageProfiles holds the page's table of profiles to the table of profiles.
func TestPageProfiles(t *testing.T) {
	var got, want []string
	for _, row := range regexp.MustCompile(`(?m)^\| (\d+) \| \[([a-z-]+)\]\(#([a-z-]+)\) \| .+ \| (\d+) \|$`).FindAllStringSubmatch(readPage(t), -1) {
		got = append(got, strings.Join(row[1:], " "))
		if !strings.Contains(readPage(t), "\n## "+row[2]+"\n") {
			t.Errorf("no section about %s", row[2])
		}
	}
	for _, p := range profile.All() {
		want = append(want, fmt.Sprintf("%d %s %s %d", p.ID, p.Name, p.Name, p.Since))
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("the page has\n%s\nthe table has\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
