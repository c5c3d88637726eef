package ledger_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"slices"
	"testing"

	"github.com/quorate-pki/quorate/ca/profile"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/veraison/go-cose"
)

// coseKey is a key with its names on both sides.
type coseKey struct {
	key    crypto.Signer
	spki   []byte
	signer ledger.Signer
	alg    cose.Algorithm
}

func coseKeys(t *testing.T) []coseKey {
	t.Helper()
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	must(t, err)
	r, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	keys := []coseKey{{key: ed, alg: cose.AlgorithmEdDSA}, {key: p256, alg: cose.AlgorithmES256}, {key: p384, alg: cose.AlgorithmES384},
		{key: r, alg: cose.AlgorithmPS256}}
	for i := range keys {
		k := &keys[i]
		k.spki, err = x509.MarshalPKIXPublicKey(k.key.Public())
		must(t, err)
		k.signer, err = ledger.NewSigner(k.key, k.spki)
		must(t, err)
	}
	// Envelopes have their signatures in the order of the key ids.
	slices.SortFunc(keys, func(a, b coseKey) int {
		x, y := a.signer.KeyID(), b.signer.KeyID()
		return slices.Compare(x[:], y[:])
	})
	return keys
}

var coseBody = []byte("a body")

// Envelopes made here verify with another implementation of COSE, and only for the purpose they were made for.
func TestCOSEVerifiesOurs(t *testing.T) {
	keys := coseKeys(t)
	var signers []ledger.Signer
	var verifiers []cose.Verifier
	for _, k := range keys {
		signers = append(signers, k.signer)
		v, err := cose.NewVerifier(k.alg, k.key.Public())
		must(t, err)
		verifiers = append(verifiers, v)
	}
	slices.Reverse(signers) // SignTx sorts
	sub, err := ledger.SignTx(ledger.Tx{Expiry: 1}, [][]byte{coseBody}, ledger.ForLedger, signers...)
	must(t, err)
	var msg cose.SignMessage
	must(t, msg.UnmarshalCBOR(sub.Envelope))
	must(t, msg.Verify([]byte(ledger.ForLedger), verifiers...))
	if msg.Verify([]byte(ledger.ForDryRun), verifiers...) == nil || msg.Verify(nil, verifiers...) == nil {
		t.Error("verifies for another purpose")
	}
}

// Envelopes made by another implementation of COSE are accepted here.
func TestCOSEOfOthersAccepted(t *testing.T) {
	keys := coseKeys(t)
	tx := ledger.Tx{Version: 1, Expiry: 1, Bodies: []ledger.Hash{ledger.Sum(coseBody)}}
	msg := cose.NewSignMessage()
	var signers []cose.Signer
	for _, k := range keys {
		id := k.signer.KeyID()
		tx.Signers = append(tx.Signers, id)
		s, err := cose.NewSigner(k.alg, k.key)
		must(t, err)
		signers = append(signers, s)
		sig := cose.NewSignature()
		sig.Headers.Protected.SetAlgorithm(k.alg)
		sig.Headers.Protected[cose.HeaderLabelKeyID] = id[:]
		msg.Signatures = append(msg.Signatures, sig)
	}
	msg.Payload = ledger.Encode(&tx)
	must(t, msg.Sign(rand.Reader, []byte(ledger.ForLedger), signers...))
	raw, err := msg.MarshalCBOR()
	must(t, err)
	p, err := ledger.ParseSubmission((&ledger.Submission{Envelope: raw, Bodies: [][]byte{coseBody}}).Encode(), ledger.ForLedger)
	must(t, err)
	for i, s := range p.Signatures {
		key, err := profile.ParseSPKI(keys[i].spki)
		must(t, err)
		if !key.VerifyCOSE(s.Alg, s.ToBeSigned, s.Bytes) {
			t.Errorf("algorithm %d: the signature does not verify", s.Alg)
		}
	}
}
