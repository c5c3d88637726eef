package tlog_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"math"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger/tlog"
)

// The example of c2sp.org/tlog-cosignature.
const exampleNote = `example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
— witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==
`

func TestParseNoteExample(t *testing.T) {
	c, sigs, err := tlog.ParseNote([]byte(exampleNote))
	if err != nil {
		t.Fatal(err)
	}
	if c.Origin != "example.com/behind-the-sofa" || c.Size != 20852163 || !strings.HasPrefix(exampleNote, c.Body()) {
		t.Errorf("got %+v", c)
	}
	if len(sigs) != 2 || sigs[0].ID != 0x033de0ae || sigs[1].Name != "witness.example.com/w1" || len(sigs[1].Bytes) != 72 {
		t.Errorf("got %+v", sigs)
	}
	if got := tlog.FormatNote(c, sigs); string(got) != exampleNote {
		t.Errorf("formatted as %s", got)
	}
}

func TestParseNoteRefuses(t *testing.T) {
	const root = "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I="
	const sig = "— a.example AAAAAQI=\n"
	for name, text := range map[string]string{
		"empty":                   "",
		"no signatures":           "o\n1\n" + root + "\n\n",
		"no empty line":           "o\n1\n" + root + "\n" + sig,
		"extension line":          "o\n1\n" + root + "\nx\n\n" + sig,
		"two lines":               "o\n1\n\n" + sig,
		"empty origin":            "\n1\n" + root + "\n\n" + sig,
		"origin with space":       "o o\n1\n" + root + "\n\n" + sig,
		"origin with +":           "o+o\n1\n" + root + "\n\n" + sig,
		"origin with NBSP":        "o\u00a0o\n1\n" + root + "\n\n" + sig,
		"origin with control":     "o\x01o\n1\n" + root + "\n\n" + sig,
		"origin not UTF-8":        "o\xff\n1\n" + root + "\n\n" + sig,
		"origin too long":         strings.Repeat("o", 256) + "\n1\n" + root + "\n\n" + sig,
		"leading zero":            "o\n01\n" + root + "\n\n" + sig,
		"signed size":             "o\n+1\n" + root + "\n\n" + sig,
		"negative size":           "o\n-1\n" + root + "\n\n" + sig,
		"no size":                 "o\n\n" + root + "\n\n" + sig,
		"size of 64 bits":         "o\n9223372036854775808\n" + root + "\n\n" + sig,
		"size beyond 64 bits":     "o\n18446744073709551617\n" + root + "\n\n" + sig,
		"short root":              "o\n1\nAAAA\n\n" + sig,
		"root of 33 bytes":        "o\n1\n" + base64.StdEncoding.EncodeToString(make([]byte, 33)) + "\n\n" + sig,
		"root with trailing bits": "o\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2J=\n\n" + sig,
		"root in URL alphabet":    "o\n1\n" + strings.Replace(root, "/", "_", 1) + "\n\n" + sig,
		"carriage returns":        "o\r\n1\r\n" + root + "\r\n\r\n" + sig,
		"hyphen for dash":         "o\n1\n" + root + "\n\n- a.example AAAAAQI=\n",
		"no name":                 "o\n1\n" + root + "\n\n—  AAAAAQI=\n",
		"name with +":             "o\n1\n" + root + "\n\n— a+b AAAAAQI=\n",
		"no signature":            "o\n1\n" + root + "\n\n— a.example\n",
		"key id only":             "o\n1\n" + root + "\n\n— a.example AAAAAQ==\n",
		"signature trailing bits": "o\n1\n" + root + "\n\n— a.example AAAAAQJ=\n",
		"signature not padded":    "o\n1\n" + root + "\n\n— a.example AAAAAQI\n",
		"two spaces":              "o\n1\n" + root + "\n\n— a.example  AAAAAQI=\n",
		"trailing space":          "o\n1\n" + root + "\n\n— a.example AAAAAQI= \n",
		"CR in base64":            "o\n1\n" + root + "\n\n— a.example AAAA\rAQI=\n",
		"no last newline":         "o\n1\n" + root + "\n\n" + strings.TrimSuffix(sig, "\n"),
		"empty line after":        "o\n1\n" + root + "\n\n" + sig + "\n",
		"empty line between":      "o\n1\n" + root + "\n\n" + sig + "\n" + sig,
		"101 signatures":          "o\n1\n" + root + "\n\n" + strings.Repeat(sig, 101),
		"too long":                "o\n1\n" + root + "\n\n— a.example " + strings.Repeat("AAAA", 16_384) + "\n",
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := tlog.ParseNote([]byte(text))
			wantReason(t, err, reason.BadCheckpoint)
		})
	}
	for name, text := range map[string]string{
		"100 signatures": "o\n1\n" + root + "\n\n" + strings.Repeat(sig, 100),
		"size 0":         "o\n0\n" + root + "\n\n" + sig,
		"63 bits":        "o\n9223372036854775807\n" + root + "\n\n" + sig,
		"long origin":    strings.Repeat("o", 255) + "\n1\n" + root + "\n\n" + sig,
		"unicode name":   "ö\n1\n" + root + "\n\n— é AAAAAQI=\n",
	} {
		if _, _, err := tlog.ParseNote([]byte(text)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestVKey(t *testing.T) {
	// The key of golang.org/x/mod's own documentation.
	const known = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
	v, err := tlog.ParseVKey(known)
	if err != nil || v.String() != known || v.ID() != 0xc74f20a3 || v.Type != tlog.TypeLog {
		t.Errorf("got %v, %v", v, err)
	}
	for _, v := range []tlog.VKey{logVKey(0), memberVKey(0)} {
		got, err := tlog.ParseVKey(v.String())
		if err != nil || got.String() != v.String() || !got.Public.Equal(v.Public) {
			t.Errorf("%s parsed as %v, %v", v, got, err)
		}
	}
	want, err := note.NewEd25519VerifierKey(testOrigin, logVKey(0).Public)
	if err != nil || want != logVKey(0).String() {
		t.Errorf("x/mod writes %s, we %s (%v)", want, logVKey(0), err)
	}
}

func TestParseVKeyRefuses(t *testing.T) {
	good := memberVKey(0)
	name, rest, _ := strings.Cut(good.String(), "+")
	id, encoded, _ := strings.Cut(rest, "+")
	with := func(change func(*tlog.VKey)) string {
		v := good
		change(&v)
		return v.String()
	}
	for title, s := range map[string]string{
		"empty":            "",
		"no key":           name + "+" + id,
		"no id":            name + "+" + encoded,
		"no name":          with(func(v *tlog.VKey) { v.Name = "" }),
		"space in name":    with(func(v *tlog.VKey) { v.Name = "a b" }),
		"long name":        with(func(v *tlog.VKey) { v.Name = strings.Repeat("n", 256) }),
		"ECDSA":            with(func(v *tlog.VKey) { v.Type = 0x02 }),
		"RFC 6962":         with(func(v *tlog.VKey) { v.Type = 0x05 }),
		"ML-DSA type":      with(func(v *tlog.VKey) { v.Type = 0x06 }),
		"short key":        with(func(v *tlog.VKey) { v.Public = v.Public[:31] }),
		"long key":         with(func(v *tlog.VKey) { v.Public = append(bytes.Clone(v.Public), 0) }),
		"ML-DSA key":       with(func(v *tlog.VKey) { v.Type, v.Public = 0x06, make([]byte, 1312) }),
		"another id":       name + "+00000000+" + encoded,
		"id in upper case": name + "+" + strings.ToUpper(id) + "+" + encoded,
		"id of 9 digits":   name + "+0" + id + "+" + encoded,
		"no padding":       name + "+" + id + "+" + strings.TrimRight(encoded, "=") + "A",
		"trailing newline": good.String() + "\n",
		"trailing space":   good.String() + " ",
		"private key":      "PRIVATE+KEY+" + good.String(),
	} {
		t.Run(title, func(t *testing.T) {
			if title == "id in upper case" && strings.ToUpper(id) == id {
				t.Skip("the id has no letters")
			}
			if v, err := tlog.ParseVKey(s); err == nil {
				t.Errorf("%q was accepted as %v", s, v)
			}
		})
	}
}

func TestLogSignature(t *testing.T) {
	c := testCheckpoint()
	s := logSignature(c, 0)
	if !tlog.VerifyLogSignature(c, logVKey(0), s) {
		t.Fatal("a good signature does not verify")
	}
	other := c
	other.Size++
	renamed := c
	renamed.Origin = "other.example"
	asCosigner := logVKey(0)
	asCosigner.Type = tlog.TypeCosignature
	broken := s
	broken.Bytes = append(bytes.Clone(s.Bytes), 0)
	for name, ok := range map[string]bool{
		"another checkpoint": tlog.VerifyLogSignature(other, logVKey(0), s),
		"another origin":     tlog.VerifyLogSignature(renamed, logVKey(0), tlog.SignCheckpoint(renamed, testOrigin, testKey("log0"))),
		"another key":        tlog.VerifyLogSignature(c, logVKey(1), s),
		"another type":       tlog.VerifyLogSignature(c, asCosigner, s),
		"too long":           tlog.VerifyLogSignature(c, logVKey(0), broken),
		"no bytes":           tlog.VerifyLogSignature(c, logVKey(0), tlog.Signature{Name: s.Name, ID: s.ID}),
		"zero key":           tlog.VerifyLogSignature(c, tlog.VKey{}, s),
	} {
		if ok {
			t.Errorf("%s: verifies", name)
		}
	}
}

func TestCosignature(t *testing.T) {
	c := testCheckpoint()
	for _, time := range []uint64{1, 1679315147, math.MaxInt64} {
		if got, ok := tlog.VerifyCosignature(c, memberVKey(0), cosignature(c, 0, time)); !ok || got != time {
			t.Errorf("time %d: %d, %v", time, got, ok)
		}
	}
	for _, time := range []uint64{0, 1 << 63, math.MaxUint64} {
		if _, ok := tlog.VerifyCosignature(c, memberVKey(0), cosignature(c, 0, time)); ok {
			t.Errorf("time %d verifies", time)
		}
	}
	s := cosignature(c, 0, 7)
	for i := range s.Bytes { // time or signature
		s.Bytes[i] ^= 1
		if _, ok := tlog.VerifyCosignature(c, memberVKey(0), s); ok {
			t.Errorf("byte %d changed, and it verifies", i)
		}
		s.Bytes[i] ^= 1
	}
	if _, ok := tlog.VerifyCosignature(c, memberVKey(1), s); ok {
		t.Error("verifies by another key")
	}
	asLog := memberVKey(0)
	asLog.Type = tlog.TypeLog
	if _, ok := tlog.VerifyCosignature(c, asLog, s); ok {
		t.Error("verifies by a log key")
	}
	if _, ok := tlog.VerifyCosignature(c, memberVKey(0), tlog.Signature{Name: s.Name, ID: s.ID, Bytes: s.Bytes[:71]}); ok {
		t.Error("verifies when cut")
	}
	// The two kinds of signature by one key are not each other.
	key := testKey(memberName(0))
	plain := ed25519.Sign(key, []byte(c.Body()))
	mixed := tlog.Signature{Name: s.Name, ID: s.ID, Bytes: append(make([]byte, 8), plain...)}
	if _, ok := tlog.VerifyCosignature(c, memberVKey(0), mixed); ok {
		t.Error("a plain signature verifies as a cosignature")
	}
}

func TestCosignedMessage(t *testing.T) {
	c, _, err := tlog.ParseNote([]byte(exampleNote))
	if err != nil {
		t.Fatal(err)
	}
	// The message printed in c2sp.org/tlog-cosignature.
	const message = "cosignature/v1\ntime 1679315147\nexample.com/behind-the-sofa\n20852163\n" +
		"CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
	key := testKey("witness")
	s := tlog.Cosign(c, "witness.example.com/w1", 1679315147, key)
	if !ed25519.Verify(public(key), []byte(message), s.Bytes[8:]) {
		t.Error("Cosign signs another message")
	}
	if got := fmt.Sprintf("%x", s.Bytes[:8]); got != "00000000641850cb" {
		t.Errorf("time is encoded as %s", got)
	}
}
