package main

import (
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// TestOperationsPage: the page of alarms has every metric, and no other.
func TestOperationsPage(t *testing.T) {
	page, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	descs := make(chan *prometheus.Desc)
	go func() {
		newHealthMetrics(nil, time.Now).Describe(descs)
		close(descs)
	}()
	served := map[string]bool{}
	name := regexp.MustCompile(`fqName: "([a-z_]+)"`)
	for d := range descs {
		m := name.FindStringSubmatch(d.String())
		if m == nil {
			t.Fatalf("no name in %s", d)
		}
		served[m[1]] = true
		if !strings.Contains(string(page), "\n| `"+m[1]+"` |") {
			t.Errorf("%s has no row", m[1])
		}
	}
	for _, m := range regexp.MustCompile("\n\\| `(quorate_[a-z_]+)` \\|").FindAllStringSubmatch(string(page), -1) {
		if !served[m[1]] {
			t.Errorf("%s is not served", m[1])
		}
	}
}
