// Package verify checks receipts and status proofs offline, for relying parties written in Go. It trusts a policy
// file, and the member sets that were proved to follow its own (Trust), and nothing else: no node, no network, no clock but the time passed in. docs/formats.md gives the rules in
// the order they are applied here; every refusal is a *reason.Error that names the rule.
//
// It must never say "good" without a quorum of distinct members behind the very bytes it says it of.
package verify

import (
	"crypto/sha256"
	"time"

	"github.com/quorate-pki/quorate/ca/profile"
	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/tlog"
)

// MaxFuture is how far ahead of the verifier's clock a cosignature time may be.
const MaxFuture = 5 * time.Minute

// Published is what a receipt proves: this certificate was published, by whom, on whose word.
type Published struct {
	Leaf      uint64
	Profile   uint64
	Effects   ledger.Effects
	Size      uint64    // of the tree the proof is in
	CheckedAt time.Time // what at least one honest member swore: the (f+1)-th latest cosignature time
	DER       [32]byte  // SHA-256 of the certificate
}

// Standing is what a status proof proves of a leaf.
type Standing struct {
	Leaf   uint64
	Status ledger.Status
	Size   uint64
	AsOf   time.Time            // freshness: the (f+1)-th latest cosignature time
	Cause  *ledger.StatusCause  // entry that changed the status; nil when nothing ever did, and in a snapshot, which has no causes
	Change *ledger.StatusChange // what it did; of a life event, what it amounts to
	Cut    *ledger.CutEffect    // instead of Change: a cut-off. That it is of who vouched, the receipt proves: see Vouched
	Since  time.Time            // block time of the change
	By     ledger.Authority

	cuts []ledger.CutEffect // all that the cause brought

	MemberSet ledger.Hash // of the document in force at the epoch
}

// Entry verifies a receipt of any entry and returns the entry's bytes. der is the certificate for publications,
// nil for other entries.
func Entry(p tlog.NoteVerifier, receipt, der []byte) (*tlog.Proof, *tlog.Verified, []byte, error) {
	proof, err := tlog.ParseProof(receipt)
	if err != nil {
		return nil, nil, nil, err
	}
	extra, err := ledger.ParseReceiptExtra(proof.Extra)
	if err != nil {
		return nil, nil, nil, reason.New(reason.BadExtra, "%v", err)
	}
	entry := append(append(append([]byte{}, extra.Before...), der...), extra.After...)
	v, err := proof.Verify(p, tlog.LeafHash(entry))
	if err != nil {
		// Only then is it looked at what the receipt brings of newer member sets: nothing in it can spoil a receipt that is good without.
		next, no := carried(p, extra)
		if no != nil {
			return nil, nil, nil, no
		}
		if next != nil {
			v, err = proof.Verify(next, tlog.LeafHash(entry))
		}
	}
	if err != nil {
		return nil, nil, nil, err
	}
	return proof, v, entry, nil
}

// Receipt verifies that a certificate was published.
func Receipt(p tlog.NoteVerifier, receipt, der []byte) (*Published, error) {
	if len(der) == 0 || len(der) > ledger.MaxCertificate {
		return nil, reason.New(reason.BadCertificateFile, "%d bytes", len(der))
	}
	proof, v, raw, err := Entry(p, receipt, der)
	if err != nil {
		return nil, err
	}
	entry, err := ledger.ParseEntry(raw)
	if err != nil || entry.Op == nil {
		return nil, reason.New(reason.NotAPublication, "leaf %d is of another kind", proof.Index)
	}
	pub := ledger.PublicationOf(arguments(entry.Op))
	if pub == nil {
		return nil, reason.New(reason.NotAPublication, "leaf %d is another operation", proof.Index)
	}
	// The proof covers the bytes; this makes sure that the certificate stands where a publication has it and was
	// not smuggled into another field.
	if string(pub.Certificate) != string(der) {
		return nil, reason.New(reason.WrongCertificate, "leaf %d", proof.Index)
	}
	return &Published{Leaf: proof.Index, Profile: pub.Profile, Effects: entry.Op.Effects, Size: v.Size,
		CheckedAt: unix(v.Time), DER: sha256.Sum256(der)}, nil
}

// arguments decodes the body of an op-leaf; nil when it is no body.
func arguments(op *ledger.OpLeaf) any {
	if len(op.Body) > ledger.MaxBody {
		return nil
	}
	_, args, err := ledger.ParseBody(op.Body)
	if err != nil {
		return nil
	}
	return args
}

// Status verifies a status proof of a leaf. It does not look at the age: Fresh does.
func Status(p tlog.NoteVerifier, status []byte, leaf uint64) (*Standing, error) {
	proof, err := tlog.ParseProof(status)
	if err != nil {
		return nil, err
	}
	x, err := ledger.ParseStatusExtra(proof.Extra)
	if err != nil {
		return nil, reason.New(reason.BadExtra, "%v", err)
	}
	v, err := proof.Verify(p, tlog.LeafHash(x.Epoch))
	if err != nil {
		return nil, err
	}
	epoch, err := lastEpoch(proof, v, x.Epoch)
	if err != nil {
		return nil, err
	}
	if leaf >= proof.Index {
		return nil, reason.New(reason.LeafNotCovered, "leaf %d, epoch at leaf %d", leaf, proof.Index)
	}
	s := &Standing{Leaf: leaf, Size: v.Size, AsOf: unix(v.Time), MemberSet: epoch.MemberSet}
	if s.Status, err = chunkStatus(x, epoch.StatusRoot, proof.Index, leaf); err != nil {
		return nil, err
	}
	if s.Status == ledger.NoStatus {
		return nil, reason.New(reason.NoStatus, "leaf %d", leaf)
	}
	return s, s.cause(x.Cause, v)
}

// lastEpoch decodes the entry proved, which must be the epoch that ends the checkpoint's tree.
func lastEpoch(proof *tlog.Proof, v *tlog.Verified, raw []byte) (*ledger.Epoch, error) {
	if proof.Index != v.Size-1 {
		return nil, reason.New(reason.EpochNotLast, "index %d in a tree of %d", proof.Index, v.Size)
	}
	entry, err := ledger.ParseEntry(raw)
	if err != nil || entry.Epoch == nil {
		return nil, reason.New(reason.NotAnEpoch, "leaf %d", proof.Index)
	}
	if entry.Epoch.First > proof.Index { // equal when no transaction of the block left a leaf
		return nil, reason.New(reason.EpochMismatch, "its block begins at leaf %d", entry.Epoch.First)
	}
	return entry.Epoch, nil
}

// chunkStatus reads a leaf's status from the chunk, once the chunk is proved under the status root.
func chunkStatus(x *ledger.StatusExtra, root ledger.Hash, epoch, leaf uint64) (ledger.Status, error) {
	if len(x.Chunk) != ledger.ChunkSize {
		return 0, reason.New(reason.BadChunk, "%d bytes", len(x.Chunk))
	}
	if x.Number != leaf/ledger.ChunkLeaves {
		return 0, reason.New(reason.WrongChunk, "chunk %d for leaf %d", x.Number, leaf)
	}
	if tlog.VerifyInclusion(x.Path, x.Number, ledger.Chunks(epoch), tlog.LeafHash(x.Chunk), root) != nil {
		return 0, reason.New(reason.ChunkNotInRoot, "chunk %d of %d", x.Number, ledger.Chunks(epoch))
	}
	chunk := ledger.Chunk(x.Chunk)
	return chunk.Get(leaf), nil
}

// cause verifies the entry said to have changed the status, under the same checkpoint. Good without a cause is
// how it was published; any other status has one.
func (s *Standing) cause(c *ledger.StatusCause, v *tlog.Verified) error {
	if c == nil {
		if s.Status != ledger.Good {
			return reason.New(reason.BadCause, "%s without a cause", s.Status)
		}
		return nil
	}
	if tlog.VerifyInclusion(c.Path, c.Index, v.Size, tlog.LeafHash(c.Entry), v.Root) != nil {
		return reason.New(reason.BadCause, "leaf %d is not proved", c.Index)
	}
	entry, err := ledger.ParseEntry(c.Entry)
	if err != nil || entry.Op == nil {
		return reason.New(reason.BadCause, "leaf %d is no operation", c.Index)
	}
	if c.Index == s.Leaf { // a rekey makes its own leaf good, which is no change
		return reason.New(reason.BadCause, "leaf %d is no change of itself", c.Index)
	}
	change := ledger.ChangeOf(arguments(entry.Op))
	if change == nil {
		return s.cut(c, entry.Op)
	}
	for _, r := range entry.Op.Effects.Runs {
		if s.Leaf < r.First || s.Leaf-r.First >= r.Count {
			continue
		}
		if r.Status != s.Status {
			return reason.New(reason.CauseStatusMismatch, "leaf %d gives %s, the chunk %s", c.Index, r.Status, s.Status)
		}
		s.Cause, s.Change, s.Since, s.By = c, change, entry.Op.Effects.Time.Time(), entry.Op.Effects.Authority
		return nil
	}
	return reason.New(reason.BadCause, "leaf %d does not touch leaf %d", c.Index, s.Leaf)
}

// cut takes a cut-off, or the vote that decided on it, for the cause of a revocation.
func (s *Standing) cut(c *ledger.StatusCause, op *ledger.OpLeaf) error {
	switch arguments(op).(type) {
	case *ledger.CutOff, *ledger.Vote:
	default:
		return reason.New(reason.BadCause, "leaf %d changes no status", c.Index)
	}
	cut := op.Effects.CutSpanning(s.Leaf, c.Index)
	if cut == nil {
		return reason.New(reason.BadCause, "leaf %d does not touch leaf %d", c.Index, s.Leaf)
	}
	if s.Status != ledger.Revoked {
		return reason.New(reason.CauseStatusMismatch, "leaf %d revokes, the chunk says %s", c.Index, s.Status)
	}
	s.Cause, s.Cut, s.cuts, s.Since, s.By = c, cut, op.Effects.Cuts, op.Effects.Time.Time(), op.Effects.Authority
	return nil
}

// Reason is the reason of RFC 5280 section 5.3.1 that the cause gives; false when nothing is known of one.
func (s *Standing) Reason() (uint64, bool) {
	switch {
	case s.Change != nil:
		return s.Change.Reason, true
	case s.Cut != nil:
		return s.Cut.Reason, true
	}
	return 0, false
}

// unix converts a cosignature's seconds. Times beyond the year 9999 are not told apart: they are all in the future, and
// time.Time would wrap around to the past.
func unix(seconds uint64) time.Time { return time.Unix(int64(min(seconds, 253402300799)), 0).UTC() }

// Fresh refuses a standing older than maxAge or ahead of the clock.
func (s *Standing) Fresh(now time.Time, maxAge time.Duration) error {
	return fresh(s.AsOf, now, maxAge)
}

func fresh(asOf, now time.Time, maxAge time.Duration) error {
	switch age := now.Sub(asOf); {
	case age > maxAge:
		return reason.New(reason.Stale, "as of %s, %s ago", asOf.Format(time.RFC3339), age.Round(time.Second))
	case age < -MaxFuture:
		return reason.New(reason.FromTheFuture, "as of %s", asOf.Format(time.RFC3339))
	}
	return nil
}

// when says since when a certificate does not stand; a snapshot says only that it does not.
func (s *Standing) when() string {
	if s.Cause == nil {
		return "as of " + s.AsOf.Format(time.RFC3339)
	}
	return "since " + s.Since.Format(time.RFC3339)
}

// Vouched refuses a cut-off of somebody else than who vouched for a publication, or its owner, by what its receipt proves; of several that one
// vote brought, it takes the right one. A leaf that is revoked is revoked all the same: only the cause is a wrong one.
func (s *Standing) Vouched(e *ledger.Effects) error {
	if s.Cut == nil {
		return nil
	}
	for i := range s.cuts {
		if s.cuts[i].Covers(s.Leaf, s.Cause.Index, e.Voucher, e.Owner) {
			s.Cut = &s.cuts[i]
			return nil
		}
	}
	return reason.New(reason.BadCause, "leaf %d cuts off somebody else", s.Cause.Index)
}

// Verdict is the whole answer about a certificate: nil means published, not revoked or suspended as of a fresh
// time, and within its validity. standing may be nil: then the answer is StatusNotChecked at best. Fresh was
// called by Verdict.
func Verdict(pub *Published, standing *Standing, der []byte, now time.Time, maxAge time.Duration) error {
	if pub.DER != sha256.Sum256(der) {
		return reason.New(reason.WrongCertificate, "")
	}
	if standing == nil {
		return reason.New(reason.StatusNotChecked, "")
	}
	if standing.Leaf != pub.Leaf {
		return reason.New(reason.ReceiptMismatch, "leaf %d and leaf %d", pub.Leaf, standing.Leaf)
	}
	if err := standing.Vouched(&pub.Effects); err != nil {
		return err
	}
	switch standing.Status {
	case ledger.Revoked: // for ever: its age does not matter
		return reason.New(reason.RevokedCertificate, "%s", standing.when())
	case ledger.Suspended:
		if err := standing.Fresh(now, maxAge); err != nil {
			return err
		}
		return reason.New(reason.SuspendedCert, "%s", standing.when())
	}
	if err := standing.Fresh(now, maxAge); err != nil {
		return err
	}
	return Validity(der, now)
}

// Validity refuses a certificate outside its own dates.
func Validity(der []byte, now time.Time) error {
	cert, err := profile.Parse(der)
	if err != nil {
		return reason.New(reason.BadCertificateFile, "%v", err)
	}
	switch t := now.Unix(); {
	case t < cert.NotBefore:
		return reason.New(reason.BeforeValidity, "from %s", time.Unix(cert.NotBefore, 0).UTC().Format(time.RFC3339))
	case t > cert.NotAfter:
		return reason.New(reason.AfterValidity, "until %s", time.Unix(cert.NotAfter, 0).UTC().Format(time.RFC3339))
	}
	return nil
}
