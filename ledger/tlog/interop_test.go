package tlog_test

import (
	"bytes"
	"slices"
	"testing"

	flog "github.com/transparency-dev/formats/log"
	fproof "github.com/transparency-dev/formats/proof"
	"golang.org/x/mod/sumdb/note"

	"github.com/quorate-pki/quorate/ledger/tlog"
)

// A stock verifier, which knows one log key, reads our checkpoints.
func TestInteropCheckpoint(t *testing.T) {
	c := testCheckpoint()
	text := signed(c, 0, 1, 2)
	verifier, err := note.NewVerifier(logVKey(0).String())
	if err != nil {
		t.Fatal(err)
	}
	got, rest, n, err := flog.ParseCheckpoint(text, testOrigin, verifier)
	if err != nil {
		t.Fatal(err)
	}
	if got.Origin != c.Origin || got.Size != c.Size || !bytes.Equal(got.Hash, c.Root[:]) || len(rest) != 0 {
		t.Errorf("read as %+v, rest %q", got, rest)
	}
	if len(n.Sigs) != 1 || len(n.UnverifiedSigs) != 3 {
		t.Errorf("%d and %d signatures", len(n.Sigs), len(n.UnverifiedSigs))
	}
	if string(got.Marshal()) != c.Body() {
		t.Errorf("body is %q, ours %q", got.Marshal(), c.Body())
	}
}

// We read a checkpoint that a stock log signed.
func TestInteropSignedElsewhere(t *testing.T) {
	skey, vkey, err := note.GenerateKey(nil, testOrigin)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := note.NewSigner(skey)
	if err != nil {
		t.Fatal(err)
	}
	want := testCheckpoint()
	fc := flog.Checkpoint{Origin: want.Origin, Size: want.Size, Hash: want.Root[:]}
	text, err := note.Sign(&note.Note{Text: string(fc.Marshal())}, signer)
	if err != nil {
		t.Fatal(err)
	}
	c, sigs, err := tlog.ParseNote(text)
	if err != nil || c != want || len(sigs) != 1 {
		t.Fatalf("read as %+v, %d signatures, %v", c, len(sigs), err)
	}
	v, err := tlog.ParseVKey(vkey)
	if err != nil {
		t.Fatal(err)
	}
	if !tlog.VerifyLogSignature(c, v, sigs[0]) {
		t.Error("the signature does not verify")
	}
}

// A cosignature that transparency-dev/formats v0.1.1 made, NewSignerForCosignatureV1, on the checkpoint of the tests.
func TestInteropCosignedElsewhere(t *testing.T) {
	const golden = "— consortium.example/member0 0hHIuwAAAABrBOYT/sM1YtVqa+3HTSuukoqUdmzwtJhAROZWGwtHFzGEnnV+DYvFvoBOAVcbYpOqvO2Exow0H502VY+DCO8yvqUODA==\n"
	const vkey = "consortium.example/member0+d211c8bb+BFrnRbCG3iz0CbpunDI6fED3P/QYM6bhnkaa4cjEtZE3"
	c := testCheckpoint()
	_, sigs, err := tlog.ParseNote([]byte(c.Body() + "\n" + golden))
	if err != nil {
		t.Fatal(err)
	}
	v, err := tlog.ParseVKey(vkey)
	if err != nil {
		t.Fatal(err)
	}
	time, ok := tlog.VerifyCosignature(c, v, sigs[0])
	if !ok {
		t.Fatal("the cosignature does not verify")
	}
	// Ed25519 is deterministic: we make the same line.
	if again := tlog.FormatNote(c, []tlog.Signature{cosignature(c, 0, time)}); string(again) != c.Body()+"\n"+golden {
		t.Errorf("we write\n%s", again)
	}
}

func TestInteropProof(t *testing.T) {
	for _, extra := range [][]byte{nil, []byte("x"), make([]byte, tlog.MaxExtra)} {
		p := testProof(t, 17, 257, extra)
		var f fproof.TLogProof
		if err := f.Unmarshal(p.Format()); err != nil {
			t.Fatal(err)
		}
		if f.Index != p.Index || !slices.Equal(f.Hashes, p.Path) || !bytes.Equal(f.Checkpoint, p.Note) ||
			!bytes.Equal(f.ExtraData, p.Extra) {
			t.Errorf("read as %+v", f)
		}
		if !bytes.Equal(f.Marshal(), p.Format()) {
			t.Error("written in another way")
		}
		back, err := tlog.ParseProof(f.Marshal())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := back.Verify(testPolicy(4, 3), leaf(17)); err != nil {
			t.Error(err)
		}
	}
}
