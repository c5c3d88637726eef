package ocsp

import (
	"bytes"
	"context"
	"crypto"
	"encoding/asn1"
	"encoding/base64"
	"encoding/binary"
	"iter"
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
	r := responder(t, NewLedgerSource(n), func(c *Config) {
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

// records is a Reader that has what a test puts into it, and counts what is read.
type records struct {
	ledger.Reader
	height uint64
	kept   map[string][]byte // kind and key -> value
	reads  map[ledger.RecordKind]int
}

func (r *records) keep(kind ledger.RecordKind, key []byte, v any) {
	r.kept[string(kind)+string(key)] = ledger.Encode(v)
}

func (r *records) Head(context.Context) (ledger.Head, error) {
	return ledger.Head{Height: r.height}, nil
}

func (r *records) Records(_ context.Context, kind ledger.RecordKind, prefix, _ []byte) iter.Seq2[ledger.Record, error] {
	return func(yield func(ledger.Record, error) bool) {
		r.reads[kind]++
		if v, ok := r.kept[string(kind)+string(prefix)]; ok {
			yield(ledger.Record{Key: prefix, Value: v}, nil)
		}
	}
}

// TestStatusChunks: certificates in two chunks, of which one changes: what is kept of a chunk ends with the height, and saves
// reading it again until then.
func TestStatusChunks(t *testing.T) {
	r := &records{height: 1, kept: map[string][]byte{}, reads: map[ledger.RecordKind]int{}}
	s := NewLedgerSource(r)
	chunks := map[uint64]*ledger.Chunk{0: {}, 1: {}}
	var ids []CertID
	for i, leaf := range []uint64{5, 1030} {
		id := certID(t, crypto.SHA256, device(t, "d", int64(i+1)))
		key := ledger.Hash{byte(i + 1)}
		// Another certificate had the number first.
		r.keep(ledger.RecordCertID, ledger.SerialKey(id.Serial), ledger.CertIDRecord{Leaf: 2})
		r.keep(ledger.RecordPublication, ledger.PublicationKey(2), ledger.PublicationRecord{Leaf: 2, Issuer: []byte{1}, KeyBits: []byte{2}})
		r.keep(ledger.RecordCertID, ledger.CertIDKey(2, id.IssuerNameHash, id.IssuerKeyHash, id.Serial), ledger.CertIDRecord{Leaf: leaf})
		r.keep(ledger.RecordPublication, ledger.PublicationKey(leaf), ledger.PublicationRecord{Leaf: leaf, Key: key})
		ids = append(ids, id)
	}
	set := func(i int, status ledger.Status) {
		leaf := []uint64{5, 1030}[i]
		key := ledger.Hash{byte(i + 1)}
		chunks[uint64(i)].Set(leaf, status)
		r.kept[string(ledger.RecordChunk)+string(binary.BigEndian.AppendUint64(nil, uint64(i)))] = bytes.Clone(chunks[uint64(i)][:])
		k := ledger.KeyRecord{Certificates: []ledger.CertificateInfo{{Leaf: leaf, Standing: ledger.Standing{Status: status, Cause: 9, Since: 5000, Reason: 1}}}}
		r.kept[string(ledger.RecordKey)+string(key[:])] = k.Encode()
	}
	demand := func(i int, want State, reads int) {
		t.Helper()
		before := r.reads[ledger.RecordChunk]
		got, err := s.Status(t.Context(), ids[i])
		if err != nil || got.State != want || r.reads[ledger.RecordChunk] != before+reads {
			t.Errorf("certificate %d: %+v, %v, %d chunks read", i, got, err, r.reads[ledger.RecordChunk]-before)
		}
	}
	set(0, ledger.Good)
	set(1, ledger.Good)
	demand(0, Good, 1)
	demand(1, Good, 1)
	demand(0, Good, 0)
	demand(1, Good, 0)
	r.height++
	set(0, ledger.Revoked)
	demand(1, Good, 1) // the other chunk first: it must not bring the old one of this along
	demand(0, Revoked, 1)
	demand(0, Revoked, 0)
	r.height++
	set(0, ledger.Suspended)
	demand(0, Suspended, 1)
	r.height++
	set(0, ledger.Good)
	demand(0, Good, 1)
	// A chunk that is not there, or cut short, is an error and no status.
	r.height++
	r.kept[string(ledger.RecordChunk)+string(make([]byte, 8))] = make([]byte, 255)
	if got, err := s.Status(t.Context(), ids[0]); err == nil {
		t.Errorf("%+v from a chunk cut short", got)
	}
}
