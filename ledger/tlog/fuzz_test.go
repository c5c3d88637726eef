package tlog_test

import (
	"bytes"
	"errors"
	"testing"

	fproof "github.com/transparency-dev/formats/proof"
	"golang.org/x/mod/sumdb/note"

	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger/tlog"
)

// What every fuzz target holds: nothing panics, what is accepted is written back byte for byte, a refusal has a reason,
// and the stock parser of the same format accepts it too.

func FuzzParseNote(f *testing.F) {
	f.Add([]byte(exampleNote))
	f.Add(signed(testCheckpoint(), 0, 1, 2))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, sigs, err := tlog.ParseNote(data)
		if err != nil {
			wantReason(t, err, reason.BadCheckpoint)
			return
		}
		if !bytes.Equal(tlog.FormatNote(c, sigs), data) {
			t.Errorf("%q is not written back", data)
		}
		// Nobody is known there, so the best answer is that nobody known has signed.
		var unverified *note.UnverifiedNoteError
		if _, err := note.Open(data, nil); !errors.As(err, &unverified) || unverified.Note.Text != c.Body() {
			t.Errorf("%q is no note for x/mod: %v", data, err)
		}
		if _, err := testPolicy(4, 3).Verify(data); err == nil && c != testCheckpoint() {
			t.Errorf("%q is forged", data)
		}
	})
}

func FuzzParseProof(f *testing.F) {
	f.Add(testProof(f, 5, 20, []byte("extra")).Format())
	f.Add(testProof(f, 0, 1, nil).Format())
	f.Add([]byte("c2sp.org/tlog-proof@v1\nindex 0\n\n" + exampleNote))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := tlog.ParseProof(data)
		if err != nil {
			if code, ok := reason.CodeOf(err); !ok || code != reason.BadProofFile && code != reason.BadCheckpoint {
				t.Errorf("refused without a reason: %v", err)
			}
			return
		}
		if !bytes.Equal(p.Format(), data) {
			t.Errorf("%q is not written back", data)
		}
		var other fproof.TLogProof
		if err := other.Unmarshal(data); err != nil || !bytes.Equal(other.Marshal(), data) {
			t.Errorf("%q is another proof for transparency-dev/formats: %v", data, err)
		}
	})
}

func FuzzParsePolicy(f *testing.F) {
	f.Add(testPolicy(1, 1).Format())
	f.Add(testPolicy(4, 3).Format())
	f.Add([]byte("log " + logVKey(0).String() + "\nwitness a " + memberVKey(0).String() + "\nquorum a\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := tlog.ParsePolicy(data)
		if err != nil {
			if code, ok := reason.CodeOf(err); !ok || code != reason.BadPolicy && code != reason.PolicyBreaksQuorum {
				t.Errorf("refused without a reason: %v", err)
			}
			return
		}
		if 3*p.Quorum <= 2*p.N() {
			t.Errorf("%q has a quorum of %d of %d", data, p.Quorum, p.N())
		}
		text := p.Format()
		again, err := tlog.ParsePolicy(text)
		if err != nil || !bytes.Equal(again.Format(), text) {
			t.Errorf("%q is not read back: %v", text, err)
		}
	})
}

func FuzzParseTilePath(f *testing.F) {
	for _, path := range []string{"tile/0/x001/x234/067.p/8", "tile/entries/000", "tile/63/999"} {
		f.Add(path)
	}
	f.Fuzz(func(t *testing.T, path string) {
		tile, err := tlog.ParseTilePath(path)
		if err != nil {
			return
		}
		if tile.Path() != path || tile.Level < tlog.EntriesLevel || tile.Level > 63 || tile.Width < 1 || tile.Width > 256 {
			t.Errorf("%q parsed as %+v", path, tile)
		}
	})
}

func FuzzSplitBundle(f *testing.F) {
	f.Add([]byte("\x00\x01a\x00\x00\x00\x02bc"))
	f.Fuzz(func(t *testing.T, data []byte) {
		entries, err := tlog.SplitBundle(data)
		if err != nil {
			return
		}
		if len(entries) > 256 || !bytes.Equal(joinBundle(t, entries), data) {
			t.Errorf("%x is not written back", data)
		}
	})
}

func FuzzParseVKey(f *testing.F) {
	f.Add(logVKey(0).String())
	f.Add(memberVKey(0).String())
	f.Fuzz(func(t *testing.T, s string) {
		v, err := tlog.ParseVKey(s)
		if err != nil {
			return
		}
		if v.String() != s {
			t.Errorf("%q is written back as %q", s, v)
		}
		if v.Type == tlog.TypeLog {
			if _, err := note.NewVerifier(s); err != nil {
				t.Errorf("%q is no key for x/mod: %v", s, err)
			}
		}
	})
}
