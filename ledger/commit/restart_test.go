package commit_test

import (
	"testing"

	"github.com/quorate-pki/quorate/ledger/commit"
	"github.com/quorate-pki/quorate/ledger/state"
	"github.com/quorate-pki/quorate/ledger/tlog"
)

// TestRestartKeepsCosigners: what a quorum cosigned before a restart still counts after it, and is told to whoever asks.
func TestRestartKeepsCosigners(t *testing.T) {
	w := newWorld(t, 4)
	w.grow(2)
	var stored []tlog.Signature
	for i := 1; i <= 3; i++ {
		stored = append(stored, w.cosign(i, w.checkpoint(0), w.now()).Signature)
	}
	d := w.start(0, nil)
	m, err := commit.New(commit.Config{Final: d.m.Final(), Cosigners: stored, Self: w.c.Set.CosignerName(name(0)), Keys: w.ownKeys(0), Facts: state.Direct{}})
	if err != nil {
		t.Fatal(err)
	}
	d.m = m
	d.step(commit.Tick{})
	if r := take[commit.Refresh](d); len(r) != 1 || len(r[0].Cosigners) != 4 {
		t.Errorf("%d republished", len(r))
	}
	if cp, _, ok := m.Trace(w.c.Set.CosignerName(name(2))); !ok || cp.Size != w.checkpoint(0).Size {
		t.Error("a stored cosignature leaves no trace")
	}
	// And what is below the final size stays known.
	d.deliver(1, 2)
	for i := 1; i <= 3; i++ {
		if i != 2 {
			d.step(w.cosign(i, w.checkpoint(2), d.now))
		}
	}
	if cp, _, ok := m.Trace(w.c.Set.CosignerName(name(2))); d.height() != 2 || !ok || cp.Size != w.checkpoint(0).Size {
		t.Errorf("height %d, trace of size %d", d.height(), cp.Size)
	}
}

// TestSignFrom: a member that does not know what it signed signs nothing below what others have shown.
func TestSignFrom(t *testing.T) {
	w := newWorld(t, 4)
	w.grow(2)
	d := w.start(0, nil)
	d.m.SignFrom(w.checkpoint(2).Size)
	d.step(commit.Tick{})
	d.deliver(1, 1)
	if len(d.asked) > 0 {
		t.Fatalf("signed size %d", d.asked[0].Size)
	}
	d.deliver(2, 2)
	if len(d.asked) != 1 || d.asked[0].Size != w.checkpoint(2).Size {
		t.Fatal("not signed when it is there")
	}
}
