package ledger

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/fxamacker/cbor/v2"
	"github.com/quorate-pki/quorate/internal/reason"
)

// Kind is the kind of a leaf. Append-only.
type Kind uint64

const (
	KindTx    Kind = 1
	KindOp    Kind = 2
	KindEpoch Kind = 3
)

// TxLeaf records an authenticated transaction and its verdicts.
type TxLeaf struct {
	Envelope []byte        `cbor:"1,keyasint"`
	Codes    []reason.Code `cbor:"2,keyasint"` // one per operation
}

// OpLeaf records an accepted operation.
type OpLeaf struct {
	Tx       uint64  `cbor:"1,keyasint"` // index of the transaction leaf
	Position uint64  `cbor:"2,keyasint"` // of the operation in it
	Body     []byte  `cbor:"3,keyasint"`
	Effects  Effects `cbor:"4,keyasint"`
}

// NameEvidence says what entitles a certificate to its names.
const (
	EvidenceLine  uint64 = 1 // signed by a line key of the namespace's owner
	EvidenceChain uint64 = 2 // chains to the owner's registered CA
	EvidenceToken uint64 = 3 // signed by a single-use token key of the owner
	EvidenceOwner uint64 = 4 // signed by the owner's admins; of a rekey
)

// Possession says how it was shown that the key is there.
const (
	PossessionSelf  uint64 = 1 // the certificate's own signature (replayable, and recorded as such)
	PossessionProof uint64 = 2 // a signature over a ProofMessage, which counts once
)

// Authority is in which capacity a status was changed, lowest first.
type Authority uint64

const (
	BySelf      Authority = 1 // the key itself
	ByLineKey   Authority = 2
	ByCustodian Authority = 3
	ByOwner     Authority = 4 // the owner's admin keys, m of n
	ByQuorum    Authority = 5 // governance keys of a quorum of members
)

func (a Authority) String() string {
	switch a {
	case BySelf:
		return "the key itself"
	case ByLineKey:
		return "line key"
	case ByCustodian:
		return "custodian"
	case ByOwner:
		return "owner"
	case ByQuorum:
		return "quorum"
	}
	return fmt.Sprintf("authority %d", uint64(a))
}

// Effects are what judgement found and fold applies.
type Effects struct {
	Owner      *OrgID     `cbor:"1,keyasint,omitempty"`
	Evidence   uint64     `cbor:"2,keyasint,omitempty"`
	Protection *uint64    `cbor:"3,keyasint,omitempty"` // 0 unknown, 1 secure element, 2 attested
	Possession uint64     `cbor:"4,keyasint,omitempty"`
	Runs       []Run      `cbor:"5,keyasint,omitempty"`
	Voucher    *Hash      `cbor:"6,keyasint,omitempty"` // key id of the line key
	Namespaces []OrgID    `cbor:"7,keyasint,omitempty"`
	Profile    uint64     `cbor:"8,keyasint,omitempty"`
	Device     *Hash      `cbor:"9,keyasint,omitempty"`
	Time       Millis     `cbor:"10,keyasint"`           // block time
	Batch      *BatchItem `cbor:"11,keyasint,omitempty"` // reserved
	Custodian  *OrgID     `cbor:"12,keyasint,omitempty"` // who holds the device afterwards, if not its owner
	Rules      uint64     `cbor:"13,keyasint"`           // rule version it was judged by
	Authority  Authority  `cbor:"14,keyasint,omitempty"` // of a status change or life event, or of a line key's registration
	Members    []uint64   `cbor:"15,keyasint,omitempty"` // members that propose or vote, by number
	Decision   Decision   `cbor:"16,keyasint,omitempty"` // of a vote that decided

	Cuts []CutEffect `cbor:"20,keyasint,omitempty"` // of a cut-off, and of a vote that decided on some: fold makes the same list
}

// BatchItem is a position in a batch. Reserved.
type BatchItem struct {
	_        struct{} `cbor:",toarray"`
	Batch    OrgID
	Position uint64
}

// Run gives a status to Count leaves from First on.
type Run struct {
	_      struct{} `cbor:",toarray"`
	First  uint64
	Count  uint64
	Status Status
}

// Epoch is the last leaf of every block.
type Epoch struct {
	Header     SignedHeader `cbor:"1,keyasint"`
	First      uint64       `cbor:"2,keyasint"` // first leaf of the block
	StatusRoot Hash         `cbor:"3,keyasint"` // over leaves [0, this leaf)
	Rules      uint64       `cbor:"4,keyasint"`
	MemberSet  Hash         `cbor:"5,keyasint"`
	Leafless   []Leafless   `cbor:"6,keyasint"`           // transactions of the block that left no leaf
	Keys       *Hash        `cbor:"7,keyasint,omitempty"` // reserved: key dictionary root
}

// Leafless names a transaction of the block that left no leaf.
type Leafless struct {
	_        struct{} `cbor:",toarray"`
	Position uint64
	Leaf     Hash // tlog.LeafHash of the envelope
}

// Entry is a decoded leaf: exactly one of the three is set.
type Entry struct {
	Kind  Kind
	Tx    *TxLeaf
	Op    *OpLeaf
	Epoch *Epoch
}

type entryWire struct {
	_       struct{} `cbor:",toarray"`
	Version uint64
	Kind    Kind
	Leaf    cbor.RawMessage
}

func encodeEntry(k Kind, leaf any) []byte {
	return append([]byte{0x83, 1, byte(k)}, Encode(leaf)...) // an entryWire: an array of three, small numbers first
}

// Encode returns the leaf's bytes.
func (l *TxLeaf) Encode() []byte { return encodeEntry(KindTx, l) }

// Encode returns the leaf's bytes.
func (l *OpLeaf) Encode() []byte {
	return l.append(append(make([]byte, 0, len(l.Body)+256), 0x83, 1, byte(KindOp)))
}

// Encode returns the leaf's bytes.
func (l *Epoch) Encode() []byte { return encodeEntry(KindEpoch, l) }

// ParseEntry decodes a leaf.
func ParseEntry(raw []byte) (*Entry, error) {
	if len(raw) > MaxEntry {
		return nil, fmt.Errorf("entry of %d bytes", len(raw))
	}
	var w entryWire
	if err := Decode(raw, &w); err != nil {
		return nil, err
	}
	if w.Version != 1 {
		return nil, fmt.Errorf("entry version %d", w.Version)
	}
	e := &Entry{Kind: w.Kind}
	var leaf any
	switch w.Kind {
	case KindTx:
		e.Tx = new(TxLeaf)
		leaf = e.Tx
	case KindOp:
		e.Op = new(OpLeaf)
		leaf = e.Op
	case KindEpoch:
		e.Epoch = new(Epoch)
		leaf = e.Epoch
	default:
		return nil, fmt.Errorf("entry kind %d", w.Kind)
	}
	if err := Decode(w.Leaf, leaf); err != nil {
		return nil, err
	}
	if err := e.check(); err != nil {
		return nil, err
	}
	return e, nil
}

// IsEpoch says whether a leaf that parses is an epoch entry, at no cost: the encoding leaves one way to begin one.
func IsEpoch(raw []byte) bool {
	return len(raw) > 3 && raw[0] == 0x83 && raw[1] == 1 && raw[2] == byte(KindEpoch)
}

// check holds an entry to the limits that its encoding cannot express.
func (e *Entry) check() error {
	switch {
	case e.Tx != nil && (len(e.Tx.Codes) == 0 || len(e.Tx.Codes) > MaxOperations):
		return fmt.Errorf("%d verdicts", len(e.Tx.Codes))
	case e.Op != nil && len(e.Op.Effects.Runs) > MaxRuns:
		return fmt.Errorf("%d status runs", len(e.Op.Effects.Runs))
	case e.Op != nil && len(e.Op.Effects.Cuts) > MaxProposalBodies:
		return fmt.Errorf("%d cut-offs", len(e.Op.Effects.Cuts))
	case e.Epoch != nil && len(e.Epoch.Leafless) > MaxLeafless:
		return errors.New("too many transactions without a leaf")
	}
	if e.Op != nil {
		for _, r := range e.Op.Effects.Runs {
			if r.Status > Revoked {
				return fmt.Errorf("status %d", r.Status)
			}
		}
	}
	return nil
}

// SplitPublication cuts a publication's entry around its certificate, so that entry = before || der || after.
func SplitPublication(entry, der []byte) (before, after []byte, err error) {
	if len(der) == 0 {
		return nil, nil, errors.New("no certificate to split the entry at")
	}
	i := bytes.Index(entry, der)
	if i < 0 {
		return nil, nil, errors.New("the entry does not hold this certificate")
	}
	return entry[:i:i], entry[i+len(der):], nil
}
