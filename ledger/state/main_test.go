package state_test

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"github.com/quorate-pki/quorate/internal/reason"
)

// TestMain demands that the tests saw judge give every reason about ownership, authority, life and what members decide, when all of them ran.
func TestMain(m *testing.M) {
	code := m.Run()
	if code == 0 && flag.Lookup("test.run").Value.String() == "" && flag.Lookup("test.fuzz").Value.String() == "" {
		for _, r := range reason.All() {
			if (r.Code >= 200 && r.Code <= 279 && r.Code != reason.BadGenesis || r.Code >= 300 && r.Code < 340 || r.Code >= 350 && r.Code < 360) && !covered[r.Code] {
				fmt.Printf("no test saw judge refuse with %d %s\n", r.Code, r.Slug)
				code = 1
			}
		}
	}
	os.Exit(code)
}
