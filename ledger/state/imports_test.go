package state_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// TestImports: what crypto/x509 and encoding/asn1 accept changes between Go releases, and verdicts may not.
func TestImports(t *testing.T) {
	list := func(args ...string) []string {
		t.Helper()
		out, err := exec.Command("go", append([]string{"list"}, args...)...).Output()
		if err != nil {
			t.Fatal(err)
		}
		return strings.Fields(string(out))
	}
	if slices.Contains(list("-deps", "."), "crypto/x509") {
		t.Error("judge reaches crypto/x509")
	}
	for _, pkg := range []string{".", "..", "../../ca/profile"} {
		if slices.Contains(list("-f", "{{join .Imports \" \"}}", pkg), "encoding/asn1") {
			t.Errorf("%s imports encoding/asn1", pkg)
		}
	}
}
