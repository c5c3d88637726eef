package tlog_test

import (
	"testing"

	"github.com/quorate-pki/quorate/ledger/ledgertest"
	"github.com/quorate-pki/quorate/ledger/tlog"
)

// TestRemember: a remembering verifier gives a policy's own answers, also for a note that differs in one byte from the one it
// remembers, before and after.
func TestRemember(t *testing.T) {
	c := ledgertest.Found(3, 4)
	p := c.Policy()
	cp := tlog.Checkpoint{Origin: p.Origin, Size: 7, Root: tlog.LeafHash([]byte("x"))}
	sigs := []tlog.Signature{tlog.SignCheckpoint(cp, p.Origin, c.Key("ca-b/log"))}
	for i, m := range []string{"ca-a", "ca-b", "ca-d"} {
		sigs = append(sigs, tlog.Cosign(cp, c.Set.CosignerName(m), uint64(100+i), c.Key(m+"/cosigning")))
	}
	note := tlog.FormatNote(cp, sigs)
	trust := tlog.Remember(p)
	for range 2 {
		got, err := trust.Verify(note)
		if err != nil || got.Time != 101 || got.Size != 7 {
			t.Fatalf("%+v, %v", got, err)
		}
		for i := range note {
			bad := append([]byte{}, note...)
			bad[i] ^= 1
			_, want := p.Verify(bad)
			if _, err := trust.Verify(bad); (err == nil) != (want == nil) {
				t.Fatalf("byte %d: %v, the policy says %v", i, err, want)
			}
		}
	}
}
