package tlog_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"reflect"
	"strings"
	"testing"

	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger/tlog"
)

// testProof proves leaf index of a log of size leaves, cosigned by three members.
func testProof(t testing.TB, index, size uint64, extra []byte) *tlog.Proof {
	t.Helper()
	s, _ := growStore(t, size)
	path, err := tlog.InclusionProof(s, index, size)
	if err != nil {
		t.Fatal(err)
	}
	c := tlog.Checkpoint{Origin: testOrigin, Size: size, Root: s.tree.Root()}
	return &tlog.Proof{Extra: extra, Index: index, Path: path, Note: signed(c, 0, 1, 2)}
}

func TestProof(t *testing.T) {
	policy := testPolicy(4, 3)
	for _, tt := range []struct {
		index, size uint64
		extra       []byte
	}{
		{0, 1, nil}, {0, 2, []byte("x")}, {299, 300, []byte{0}}, {17, 257, make([]byte, tlog.MaxExtra)},
	} {
		p := testProof(t, tt.index, tt.size, tt.extra)
		text := p.Format()
		got, err := tlog.ParseProof(text)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, p) || !bytes.Equal(got.Format(), text) {
			t.Errorf("leaf %d of %d: parsed as %+v", tt.index, tt.size, got)
		}
		v, err := got.Verify(policy, leaf(tt.index))
		if err != nil || v.Size != tt.size || v.Time != 1001 {
			t.Errorf("leaf %d of %d: %+v, %v", tt.index, tt.size, v, err)
		}
		_, err = got.Verify(policy, leaf(tt.index+1))
		wantReason(t, err, reason.NotIncluded)
		_, err = got.Verify(testPolicy(4, 4), leaf(tt.index))
		wantReason(t, err, reason.QuorumNotReached)
	}
}

func TestParseProofRefuses(t *testing.T) {
	const header = "c2sp.org/tlog-proof@v1\n"
	hash := base64.StdEncoding.EncodeToString(make([]byte, 32)) + "\n"
	extra := func(n int) string { return "extra " + base64.StdEncoding.EncodeToString(make([]byte, n)) + "\n" }
	for name, tt := range map[string]struct {
		head string // before the checkpoint
		want reason.Code
	}{
		"minimal":             {header + "index 0\n\n", 0},
		"63 hashes":           {header + "index 0\n" + strings.Repeat(hash, 63) + "\n", 0},
		"largest index":       {header + "index 9223372036854775806\n\n", 0},
		"largest extra":       {header + extra(49_000) + "index 0\n\n", 0},
		"empty":               {"", reason.BadProofFile},
		"other version":       {"c2sp.org/tlog-proof@v2\nindex 0\n\n", reason.BadProofFile},
		"header only":         {header + "\n", reason.BadProofFile},
		"extra only":          {header + extra(1) + "\n", reason.BadProofFile},
		"empty extra":         {header + "extra \nindex 0\n\n", reason.BadProofFile},
		"extra without space": {header + "extra\nindex 0\n\n", reason.BadProofFile},
		"extra too long":      {header + extra(49_001) + "index 0\n\n", reason.BadProofFile},
		"extra far too long":  {header + extra(120_000) + "index 0\n\n", reason.BadProofFile},
		"extra not canonical": {header + "extra AB==\nindex 0\n\n", reason.BadProofFile},
		"extra not base64":    {header + "extra !\nindex 0\n\n", reason.BadProofFile},
		"two extras":          {header + extra(1) + extra(1) + "index 0\n\n", reason.BadProofFile},
		"extra after index":   {header + "index 0\n" + extra(1) + "\n", reason.BadProofFile},
		"index 00":            {header + "index 00\n\n", reason.BadProofFile},
		"index +1":            {header + "index +1\n\n", reason.BadProofFile},
		"index -1":            {header + "index -1\n\n", reason.BadProofFile},
		"no index":            {header + "index \n\n", reason.BadProofFile},
		"index of 63 bits":    {header + "index 9223372036854775807\n\n", reason.BadProofFile},
		"64 hashes":           {header + "index 0\n" + strings.Repeat(hash, 64) + "\n", reason.BadProofFile},
		"short hash":          {header + "index 0\nAAAA\n\n", reason.BadProofFile},
		"two empty lines":     {header + "index 0\n\n\n", reason.BadCheckpoint},
		"no empty line":       {header + "index 0\n", reason.BadProofFile},
		"carriage returns":    {"c2sp.org/tlog-proof@v1\r\nindex 0\r\n\r\n", reason.BadProofFile},
		"byte order mark":     {"\ufeff" + header + "index 0\n\n", reason.BadProofFile},
	} {
		t.Run(name, func(t *testing.T) {
			text := []byte(tt.head + exampleNote)
			p, err := tlog.ParseProof(text)
			if tt.want != 0 {
				wantReason(t, err, tt.want)
			} else if err != nil || !bytes.Equal(p.Format(), text) {
				t.Errorf("got %v", err)
			}
		})
	}
	_, err := tlog.ParseProof([]byte(header + "index 0\n\n" + exampleNote + "\n"))
	wantReason(t, err, reason.BadCheckpoint)
	_, err = tlog.ParseProof(make([]byte, tlog.MaxProof+1))
	wantReason(t, err, reason.BadProofFile)
	p := tlog.Proof{Extra: []byte{}, Note: []byte(exampleNote)}
	if !bytes.Equal(p.Format(), []byte(header+"index 0\n\n"+exampleNote)) {
		t.Error("empty extra data writes a line")
	}
}

// The largest parts together still fit.
func TestProofAtItsLimits(t *testing.T) {
	p := &tlog.Proof{Extra: make([]byte, tlog.MaxExtra), Index: 1<<63 - 2, Path: make([]tlog.Hash, tlog.MaxPath)}
	c := tlog.Checkpoint{Origin: strings.Repeat("o", 255), Size: 1<<63 - 1, Root: sha256.Sum256(nil)}
	sigs := []tlog.Signature{{Name: "a", ID: 1, Bytes: make([]byte, 48_857)}}
	p.Note = tlog.FormatNote(c, sigs)
	if len(p.Note) > tlog.MaxNote || len(p.Note) < tlog.MaxNote-100 {
		t.Fatalf("the note has %d bytes", len(p.Note))
	}
	if _, err := tlog.ParseProof(p.Format()); err != nil {
		t.Error(err)
	}
}

// A changed byte is refused, except in the extra data, which nothing authenticates.
func TestProofFlips(t *testing.T) {
	policy := testPolicy(4, 3)
	want := testProof(t, 5, 20, []byte("extra data"))
	text := want.Format()
	for at := range text {
		for _, mask := range flips(t) {
			text[at] ^= mask
			if p, err := tlog.ParseProof(text); err == nil {
				if _, err := p.Verify(policy, leaf(5)); err == nil {
					p.Extra = want.Extra
					if !reflect.DeepEqual(p, want) {
						t.Errorf("byte %d ^ %02x is accepted", at, mask)
					}
				}
			}
			text[at] ^= mask
		}
	}
}
