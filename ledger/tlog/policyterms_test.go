package tlog_test

import (
	"strings"
	"testing"

	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger/tlog"
)

// TestPolicyTerms: what our comment lines say, and that one which is nearly right is no comment.
func TestPolicyTerms(t *testing.T) {
	base := string(testPolicy(4, 3).Format())
	hash := strings.Repeat("0a", 32)
	for _, x := range []struct {
		lines string
		good  bool
	}{
		{"# quorate: member-set 3 " + hash + "\n# quorate: expires 2027-11-28T00:00:00Z\n", true},
		{"#\t quorate:   expires\t2027-11-28T00:00:00Z\n", true},
		{"# quorate is a ledger\n#quorate\n# expires 2027-11-28T00:00:00Z\n", true},
		{"#quorate: expires 2027-11-28T00:00:00Z\n", false},
		{"## quorate: expires 2027-11-28T00:00:00Z\n", false},
		{"# Quorate: expires 2027-11-28T00:00:00Z\n", false},
		{"# quorate: expire 2027-11-28T00:00:00Z\n", false},
		{"# quorate: expires 2027-11-28\n", false},
		{"# quorate: expires 2027-11-28T00:00:00+00:00\n", false},
		{"# quorate: expires 2027-11-28T00:00:00.5Z\n", false},
		{"# quorate: expires 1960-11-28T00:00:00Z\n", false},
		{"# quorate: expires 2027-11-28T00:00:00Z soon\n", false},
		{"# quorate: expires 2027-11-28T00:00:00Z\n# quorate: expires 2028-11-28T00:00:00Z\n", false},
		{"# quorate: member-set 0 " + hash + "\n", false},
		{"# quorate: member-set 03 " + hash + "\n", false},
		{"# quorate: member-set 3 " + strings.ToUpper(hash) + "\n", false},
		{"# quorate: member-set 3 " + hash[2:] + "\n", false},
		{"# quorate: member-set 3 " + hash + "\n# quorate: member-set 3 " + hash + "\n", false},
		{"# quorate:\n", false},
	} {
		p, err := tlog.ParsePolicy([]byte(x.lines + base))
		if code, _ := reason.CodeOf(err); (err == nil) != x.good || err != nil && code != reason.BadPolicy {
			t.Errorf("%q: %v", x.lines, err)
			continue
		}
		if err == nil && strings.Contains(x.lines, "quorate: ") {
			if again := string(p.Format()); p.Expires != 1827446400 && !strings.Contains(again, "expires") {
				t.Errorf("%q: %s", x.lines, again)
			}
		}
	}
	p, err := tlog.ParsePolicy([]byte("# quorate: member-set 3 " + hash + "\n# quorate: expires 2027-11-28T00:00:00Z\n" + base))
	if err != nil || p.Set == nil || p.Set.Number != 3 || p.Expires != 1827360000 || p.ExpiredAt(p.Expires-1) || !p.ExpiredAt(p.Expires) {
		t.Errorf("%+v %v", p, err)
	}
}
