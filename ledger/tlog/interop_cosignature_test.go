// These packages of transparency-dev/formats need filippo.io/mldsa, which nothing else here does.

package tlog_test

import (
	"encoding/base64"
	"fmt"
	"testing"
	"time"

	flog "github.com/transparency-dev/formats/log"
	fnote "github.com/transparency-dev/formats/note"
	fwitness "github.com/transparency-dev/formats/witness"
	"golang.org/x/mod/sumdb/note"

	"github.com/quorate-pki/quorate/ledger/tlog"
)

func TestInteropCosignatures(t *testing.T) {
	c := testCheckpoint()
	text := signed(c, 0, 1, 2)
	logVerifier, err := note.NewVerifier(logVKey(0).String())
	if err != nil {
		t.Fatal(err)
	}
	var others []note.Verifier
	for i := range 4 {
		v, err := fnote.NewVerifierForCosignatureV1(memberVKey(i).String())
		if err != nil {
			t.Fatal(err)
		}
		if v.KeyHash() != memberVKey(i).ID() {
			t.Errorf("member %d has the id %08x there, %08x here", i, v.KeyHash(), memberVKey(i).ID())
		}
		others = append(others, v)
	}
	_, _, n, err := flog.ParseCheckpoint(text, testOrigin, logVerifier, others...)
	if err != nil {
		t.Fatal(err)
	}
	if len(n.Sigs) != 4 || len(n.UnverifiedSigs) != 0 {
		t.Fatalf("%d signatures verified, %d not", len(n.Sigs), len(n.UnverifiedSigs))
	}
	for i, s := range n.Sigs[1:] {
		if at, err := fnote.CoSigV1Timestamp(s); err != nil || at.Unix() != 1000+int64(i) {
			t.Errorf("member %d: time %v, %v", i, at, err)
		}
	}
}

func TestInteropCosigner(t *testing.T) {
	c := testCheckpoint()
	v := memberVKey(0)
	seed := append([]byte{tlog.TypeCosignature}, testKey(memberName(0)).Seed()...)
	skey := fmt.Sprintf("PRIVATE+KEY+%s+%08x+%s", v.Name, v.ID(), base64.StdEncoding.EncodeToString(seed))
	signer, err := fnote.NewSignerForCosignatureV1(skey)
	if err != nil {
		t.Fatal(err)
	}
	before := uint64(time.Now().Unix())
	text, err := note.Sign(&note.Note{Text: c.Body()}, signer)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("key %s\n%s", v, text)
	_, sigs, err := tlog.ParseNote(text)
	if err != nil {
		t.Fatal(err)
	}
	if at, ok := tlog.VerifyCosignature(c, v, sigs[0]); !ok || at < before {
		t.Errorf("time %d, %v", at, ok)
	}
}

func TestInteropPolicy(t *testing.T) {
	c := testCheckpoint()
	for n := 1; n <= 16; n++ {
		q := 2*n/3 + 1
		p := testPolicy(n, q)
		group, err := fwitness.ParsePolicy(p.Format())
		if err != nil {
			t.Fatalf("%d of %d: %v", q, n, err)
		}
		if group.N != q || len(group.Components) != n || len(group.Endpoints()) != n {
			t.Errorf("%d of %d: read as %d of %d", q, n, group.N, len(group.Components))
		}
		var members []int
		for have := range n + 1 {
			if have > 0 {
				members = append(members, have-1)
			}
			text := signed(c, members...)
			_, err := p.Verify(text)
			if trusted := group.Satisfied(text); trusted != (err == nil) {
				t.Errorf("%d of %d with %d cosignatures: %v there, %v here", q, n, have, trusted, err)
			}
		}
	}
}
