package ledger

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger/tlog"
)

// What callers must do about an error.
var (
	// ErrNotFound: there is no such thing in the final state. Asking again later may help.
	ErrNotFound = errors.New("not found in the final state")
	// ErrBusy: nothing was taken; send the same bytes again after a pause.
	ErrBusy = errors.New("busy; send the same bytes again later")
	// ErrStopping: this node takes nothing any more; use another.
	ErrStopping = errors.New("the node is stopping")
)

// Head is the newest final checkpoint.
type Head struct {
	Channel Hash   // channel id
	Origin  string // of the log
	Height  uint64
	Size    uint64
	Root    Hash
	Note    []byte    // the checkpoint, signed by the log key and cosigned by a quorum
	Time    time.Time // the (f+1)-th latest cosignature time: what at least one honest member vouches for
}

// RecordKind is a kind of record in the final state, for Records.
type RecordKind byte

const (
	RecordKey         RecordKind = 'k' // SHA-256(SPKI) -> what ReadKey reads
	RecordPublication RecordKind = 'b' // u64 leaf -> PublicationRecord
	RecordDevice      RecordKind = 'd' // device hash -> DeviceRecord
	RecordInstance    RecordKind = 'f' // instance id of a network function, 16 bytes -> InstanceRecord
	RecordCertID      RecordKind = 'i' // SerialKey or CertIDKey -> CertIDRecord
	RecordTx          RecordKind = 't' // transaction id -> TxRecord
	RecordOrg         RecordKind = 'o' // organisation id -> OrgRecord
	RecordNamespace   RecordKind = 'n' // namespace id -> NamespaceRecord
	RecordRegistry    RecordKind = 'r' // key id of a registered key -> RegisteredKey
	RecordUsage       RecordKind = 'u' // key id or organisation id -> Usage
	RecordChunk       RecordKind = 'c' // u64 chunk number -> Chunk
	RecordChange      RecordKind = 'e' // ChangeKey -> Change
	RecordLife        RecordKind = 'l' // LifeKey -> LifeRecord
	RecordRefusal     RecordKind = 'x' // RefusalKey -> Refusal
	RecordProposal    RecordKind = 'p' // u64 leaf of the proposal -> ProposalRecord
	RecordRule        RecordKind = 'a' // RuleKey -> RuleRecord
	RecordRun         RecordKind = 's' // RunKey -> VouchedRun
	RecordMemberSet   RecordKind = 'g' // u64 number of the document -> MemberSetRecord
	RecordFurther     RecordKind = 'w' // id of a further channel -> FurtherChannel
	RecordCA          RecordKind = 'y' // SHA-256(CA certificate) -> CARecord
	RecordHeight      RecordKind = 'h' // u64 height -> BlockRecord
	RecordChannel     RecordKind = 'm' // one record: ChannelRecord
)

// Known reports whether k is one of the kinds above: what else a store holds is nobody's business.
func (k RecordKind) Known() bool {
	switch k {
	case RecordKey, RecordPublication, RecordDevice, RecordInstance, RecordCertID, RecordTx, RecordOrg, RecordNamespace, RecordRegistry, RecordUsage, RecordChunk, RecordChange, RecordLife,
		RecordRefusal, RecordProposal, RecordRule, RecordRun, RecordMemberSet, RecordFurther, RecordCA, RecordHeight, RecordChannel:
		return true
	}
	return false
}

// Record is one record of the final state: canonical CBOR (a chunk is raw bytes).
type Record struct {
	Key   []byte // without the kind
	Value []byte
}

// StatusAnswer is what the final state says of a leaf.
type StatusAnswer struct {
	Leaf   uint64
	Status Status
	Proof  []byte // status proof (a tlog-proof of the epoch leaf with StatusExtra)
}

// Verdict is the outcome of one operation.
type Verdict struct {
	Code reason.Code
	Leaf uint64 // of the operation, or of the old publication; meaningful when Code.OK()
}

// Result is the recorded outcome of a transaction.
type Result struct {
	ID       Hash
	Leaf     uint64 // of the transaction leaf
	Height   uint64
	Verdicts []Verdict
}

// Reader answers from the final state only. Safe for concurrent use. A Head read before another call is never
// newer than what that call sees, so whoever needs "as of" reads the Head first.
type Reader interface {
	Head(ctx context.Context) (Head, error)
	// Entry returns a leaf's bytes; ErrNotFound at or beyond the final size.
	Entry(ctx context.Context, index uint64) ([]byte, error)
	// Receipt returns a leaf's receipt: a tlog-proof with ReceiptExtra under the newest checkpoint.
	Receipt(ctx context.Context, index uint64) ([]byte, error)
	// Status returns a leaf's status and its proof under the newest checkpoint.
	Status(ctx context.Context, leaf uint64) (StatusAnswer, error)
	// Result returns the recorded verdict of a transaction; ErrNotFound when none is final.
	Result(ctx context.Context, id Hash) (Result, error)
	// Records walks the records of a kind whose key begins with prefix and is greater than after (nil: all), in key
	// order, as of one height.
	Records(ctx context.Context, kind RecordKind, prefix, after []byte) iter.Seq2[Record, error]
	// Tile returns a tile of the current log (C2SP tlog-tiles); any width that the final size covers.
	Tile(ctx context.Context, t tlog.Tile) ([]byte, error)
}

// Submitter takes transactions. Safe for concurrent use.
type Submitter interface {
	// Submit returns once the transaction is final, with its recorded verdicts; the same bytes again return the
	// same verdicts. A *reason.Error means refused before the log, nothing was recorded. ErrBusy: send the same
	// bytes later. Any other error: unknown whether it was taken; sending the same bytes again is always safe.
	Submit(ctx context.Context, submission []byte) (Result, error)
	// Judge says what the verdicts would be now, of a transaction signed ForDryRun. It records nothing.
	Judge(ctx context.Context, submission []byte) ([]Verdict, error)
}
