package ocsp

import (
	"bytes"
	"crypto"
	"encoding/asn1"
	"encoding/base64"
	"encoding/binary"
	"slices"
	"strings"
	"testing"
	"time"

	second "golang.org/x/crypto/ocsp"

	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/ledgertest"
	"github.com/quorate-pki/quorate/verify"
)

const dns = "acme-cells.example"

// cosignatureTimes are the times in a checkpoint's cosignatures, newest first, read from its text alone.
func cosignatureTimes(t *testing.T, note []byte, consortium string) (out []int64) {
	t.Helper()
	for line := range strings.Lines(string(note)) {
		rest, ok := strings.CutPrefix(line, "— "+consortium+"/ca-")
		if !ok {
			continue
		}
		_, encoded, _ := strings.Cut(strings.TrimSpace(rest), " ")
		raw, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil || len(raw) != 4+8+64 {
			t.Fatalf("%q: %v", line, err)
		}
		out = append(out, int64(binary.BigEndian.Uint64(raw[4:])))
	}
	slices.SortFunc(out, func(a, b int64) int { return int(b - a) })
	return out
}

// TestOverALedger asks a responder at one of four members about what they published, with proofs that the policy alone
// confirms. thisUpdate is the second latest cosignature time (f is 1), whatever this node's clock says.
func TestOverALedger(t *testing.T) {
	cl := ledgertest.NewCluster(t, 31, 4)
	names := cl.Names()
	cl.Start(names...)
	n := cl.Node(names[1])
	der := cl.C.Device("ACME-1", dns, 0)
	res, err := cl.Submit(t.Context(), names[1], cl.C.Tx(cl.Now(), ledgertest.TxOptions{}, [][]byte{ledgertest.Publish(der)}, "acme-cells/line"))
	if err != nil {
		t.Fatal(err)
	}
	founded, err := Founded(t.Context(), n)
	if err != nil || !founded.Equal(ledgertest.Start) {
		t.Fatalf("founded %v, %v", founded, err)
	}
	const slow = 3 * time.Minute
	r := responder(t, LedgerSource{n}, func(c *Config) {
		c.ArchiveCutoff = founded
		c.Now = func() time.Time { return cl.Now().Add(-slow) }
	})
	id := certID(t, crypto.SHA256, der)
	statusProved := func() (*second.Response, ledger.Status) {
		t.Helper()
		before, err := n.Head(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		request, err := NewProofsRequest(nil, id)
		if err != nil {
			t.Fatal(err)
		}
		body, status := reply(t, r, request.Raw)
		if status != successful {
			t.Fatal(status)
		}
		got, err := second.ParseResponse(body, nil)
		if err != nil {
			t.Fatal(err)
		}
		after, err := n.Head(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		// The checkpoint may have been cosigned anew meanwhile.
		if old, now := cosignatureTimes(t, before.Note, cl.C.Set.Consortium), cosignatureTimes(t, after.Note, cl.C.Set.Consortium); got.ThisUpdate.Unix() < old[1] || got.ThisUpdate.Unix() > now[1] {
			t.Errorf("thisUpdate %d; cosignature times %v, then %v", got.ThisUpdate.Unix(), old, now)
		}
		var value []byte
		for _, e := range got.Extensions {
			if e.Id.String() == "1.3.6.1.4.1.32473.1.1" && !e.Critical {
				value = e.Value
			}
		}
		var proofs struct{ Receipt, Status []byte }
		if rest, err := asn1.Unmarshal(value, &proofs); err != nil || len(rest) != 0 {
			t.Fatalf("proofs: %v in %v", err, got.Extensions)
		}
		pub, err := verify.Receipt(cl.C.Policy(), proofs.Receipt, der)
		if err != nil || pub.Leaf != res.Verdicts[0].Leaf {
			t.Fatalf("receipt: %+v, %v", pub, err)
		}
		standing, err := verify.Status(cl.C.Policy(), proofs.Status, pub.Leaf)
		if err != nil || standing.AsOf.Before(got.ThisUpdate) {
			t.Fatalf("status: %+v, %v", standing, err)
		}
		return got, standing.Status
	}
	if got, proved := statusProved(); got.Status != second.Good || proved != ledger.Good {
		t.Errorf("status %d, proved %s", got.Status, proved)
	}
	kept, _ := reply(t, r, newRequest(t, nil, id))
	if again, _ := reply(t, r, newRequest(t, nil, id)); !bytes.Equal(kept, again) {
		t.Error("signed twice")
	}
	leaf := res.Verdicts[0].Leaf
	change := ledger.StatusChange{Action: ledger.Revoke, Scope: ledger.ScopeCertificate, Target: ledger.Sum(parseX509(t, der).RawSubjectPublicKeyInfo), Leaf: &leaf, Reason: ledger.KeyCompromise}
	if _, err := cl.Submit(t.Context(), names[1], cl.C.Tx(cl.Now(), ledgertest.TxOptions{Nonce: 1}, [][]byte{ledgertest.Change(change)}, "acme-cells/admin-1", "acme-cells/admin-2")); err != nil {
		t.Fatal(err)
	}
	if got, proved := statusProved(); got.Status != second.Revoked || got.RevocationReason != second.KeyCompromise || proved != ledger.Revoked {
		t.Errorf("status %d, proved %s", got.Status, proved)
	}
	body, _ := reply(t, r, newRequest(t, nil, id))
	if got, err := second.ParseResponse(body, nil); err != nil || got.Status != second.Revoked || got.RevocationReason != second.KeyCompromise {
		t.Errorf("kept over a revocation: %+v, %v", got, err)
	}
}

// TestProofsOfAnother: a proof of something worse is not given together with good; tryLater is.
func TestProofsOfAnother(t *testing.T) {
	source := newLedger(t, time.Now())
	r := responder(t, source, nil)
	cert := device(t, "d", 1)
	request, err := NewProofsRequest(nil, certID(t, crypto.SHA1, cert))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		answered, proved State
		want             responseStatus
	}{
		{Good, Good, successful}, {Good, Suspended, tryLater}, {Good, Revoked, tryLater}, {Suspended, Revoked, tryLater},
		{Suspended, Good, successful}, // accepted here, not final yet
		{Revoked, Revoked, successful},
	} {
		source.publish(cert, Standing{Known: true, State: c.answered, At: time.Now(), Leaf: 7})
		source.proofs = map[uint64]Proofs{7: {Receipt: []byte("r"), Status: []byte("s"), State: c.proved}}
		if _, status := reply(t, r, request.Raw); status != c.want {
			t.Errorf("%d answered, %d proved: %v, want %v", c.answered, c.proved, status, c.want)
		}
	}
	source.proofs = nil
	if _, status := reply(t, r, request.Raw); status != internalError {
		t.Errorf("no proofs: %v", status)
	}
	// What is not published has none.
	other, err := NewProofsRequest([]byte("n"), certID(t, crypto.SHA1, device(t, "e", 2)))
	if err != nil {
		t.Fatal(err)
	}
	if body, status := reply(t, r, other.Raw); status != successful || bytes.Contains(body, []byte(oidProofs)) {
		t.Errorf("unknown: %v", status)
	}
}
