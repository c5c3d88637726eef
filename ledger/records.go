package ledger

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/quorate-pki/quorate/internal/reason"
)

// Records of the final state, derived from leaves by fold. Their encoding is canonical CBOR, so that two nodes'
// states can be compared byte by byte; it is no wire format and may change with a rebuild.

// InstanceRecord binds the instance id of a network function, for ever, to who published it first and to the first DNS
// name of that certificate.
type InstanceRecord struct {
	Owner OrgID  `cbor:"1,keyasint"`
	Name  string `cbor:"2,keyasint"`
	Leaf  uint64 `cbor:"3,keyasint"` // of the publication that bound it
}

// Change is a status change that was applied to a publication: the whole history of one is found by its leaf.
type Change struct {
	Status Status `cbor:"1,keyasint"` // that it gave
}

// ChangeKey is the key of a Change: u64 leaf of the publication || the complement of the u64 leaf of the change. So the newest change
// of a publication is found first, however many there are.
func ChangeKey(leaf, change uint64) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, leaf), ^change)
}

// ParseChangeKey takes the key of a Change apart.
func ParseChangeKey(key []byte) (leaf, change uint64, err error) {
	if len(key) != 16 {
		return 0, 0, fmt.Errorf("a change's key of %d bytes", len(key))
	}
	return binary.BigEndian.Uint64(key), ^binary.BigEndian.Uint64(key[8:]), nil
}

// LifeRecord is a life event of a device.
type LifeRecord struct {
	Op Op `cbor:"1,keyasint"`
}

// LifeKey is the key of a LifeRecord: device (32) || the complement of the u64 leaf of the event. So the newest is found first.
func LifeKey(device Hash, leaf uint64) []byte {
	return binary.BigEndian.AppendUint64(device[:], ^leaf)
}

// ParseLifeKey takes the key of a LifeRecord apart.
func ParseLifeKey(key []byte) (device Hash, leaf uint64, err error) {
	if len(key) != len(device)+8 {
		return device, 0, fmt.Errorf("a life event's key of %d bytes", len(key))
	}
	copy(device[:], key)
	return device, ^binary.BigEndian.Uint64(key[len(device):]), nil
}

// Refusal is an operation that a transaction on the log asked for in vain.
type Refusal struct {
	Code reason.Code `cbor:"1,keyasint"`
}

// RefusalKey is the key of a Refusal: SHA-256 of the operation's body, which the transaction names and the log does not hold ||
// the complement of the u64 leaf of the transaction || u16 position in it. The newest are found first.
func RefusalKey(body Hash, tx uint64, position uint16) []byte {
	return binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint64(body[:], ^tx), position)
}

// ParseRefusalKey takes the key of a Refusal apart.
func ParseRefusalKey(key []byte) (body Hash, tx uint64, position uint16, err error) {
	if len(key) != len(body)+10 {
		return body, 0, 0, fmt.Errorf("a refusal's key of %d bytes", len(key))
	}
	copy(body[:], key)
	return body, ^binary.BigEndian.Uint64(key[len(body):]), binary.BigEndian.Uint16(key[len(body)+8:]), nil
}

// TxRecord remembers a transaction: ids are never forgotten, so nothing is ever executed twice.
type TxRecord struct {
	Leaf   uint64 `cbor:"1,keyasint"`
	Height uint64 `cbor:"2,keyasint"`
}

// OrgRecord is an organisation as registered.
type OrgRecord struct {
	Organisation
	Leaf     uint64 `cbor:"20,keyasint"`           // of the grant: its own, or the proposal's
	Decision uint64 `cbor:"21,keyasint,omitempty"` // of a proposal: leaf of the vote that decided

	State OrgState `cbor:"22,keyasint,omitempty"`
	Cuts  []Cut    `cbor:"23,keyasint,omitempty"` // oldest first
}

// NamespaceRecord is a namespace as granted.
type NamespaceRecord struct {
	Namespace
	Leaf     uint64 `cbor:"20,keyasint"` // as OrgRecord's
	Decision uint64 `cbor:"21,keyasint,omitempty"`
	Ended    uint64 `cbor:"22,keyasint,omitempty"` // leaf that ended it; 0: in force
}

// Roles of a registered key.
const (
	KeyRoleLine       uint64 = 1
	KeyRoleAdmin      uint64 = 2
	KeyRoleGovernance uint64 = 3
	KeyRoleRetired    uint64 = 4 // was an admin key: signs nothing any more, and is never registered again
)

// RegisteredKey is a key that may sign transactions.
type RegisteredKey struct {
	Role     uint64   `cbor:"1,keyasint"`
	Owner    OrgID    `cbor:"2,keyasint"`
	SPKI     []byte   `cbor:"3,keyasint"`
	Line     *LineKey `cbor:"4,keyasint,omitempty"` // role line
	Member   uint64   `cbor:"5,keyasint,omitempty"` // role governance: member number
	Leaf     uint64   `cbor:"6,keyasint"`           // as OrgRecord's
	Decision uint64   `cbor:"7,keyasint,omitempty"`
	Cuts     []Cut    `cbor:"8,keyasint,omitempty"` // role line: oldest first
}

// Usage counts against quotas.
type Usage struct {
	Day       uint32 `cbor:"1,keyasint"` // UTC day of the two daily counts
	Published uint64 `cbor:"2,keyasint"` // that day
	Suspended uint64 `cbor:"3,keyasint"` // that day
	Total     uint64 `cbor:"4,keyasint"`

	// What it vouched for since rule version 3, for cut-offs: the last run, and how many complete ones have a record (RunKey).
	Runs  uint64 `cbor:"5,keyasint,omitempty"`
	First uint64 `cbor:"6,keyasint,omitempty"`
	Count uint64 `cbor:"7,keyasint,omitempty"`
}

// RunKey is the key of a VouchedRun: id of the line key || u64 number, from 0.
func RunKey(voucher []byte, n uint64) []byte {
	return binary.BigEndian.AppendUint64(slices.Clone(voucher), n)
}

// BlockRecord finds a block in the log.
type BlockRecord struct {
	First  uint64 `cbor:"1,keyasint"` // first leaf
	Epoch  uint64 `cbor:"2,keyasint"` // epoch leaf
	Header Hash   `cbor:"3,keyasint"` // header hash
	Time   Millis `cbor:"4,keyasint"`
}

// ChannelRecord is what the state knows of its channel as a whole.
type ChannelRecord struct {
	Channel    Hash   `cbor:"1,keyasint"`
	Consortium string `cbor:"2,keyasint"`
	Name       string `cbor:"3,keyasint"`
	Rules      uint64 `cbor:"4,keyasint"`
	MemberSet  []byte `cbor:"5,keyasint"`
	Log        uint64 `cbor:"6,keyasint"`
	Height     uint64 `cbor:"7,keyasint"`
	Header     Hash   `cbor:"8,keyasint"` // hash of the last header
	View       uint64 `cbor:"9,keyasint"`
	Time       Millis `cbor:"10,keyasint"`
	Size       uint64 `cbor:"11,keyasint"`           // leaves, the last epoch included
	NextRules  uint64 `cbor:"12,keyasint,omitempty"` // rule version from the next height on; 0: the same. Never on disk: the block's end clears it
	Hold       Millis `cbor:"13,keyasint,omitempty"` // that what widens trust waits at least
	Main       *Hash  `cbor:"14,keyasint,omitempty"` // of a further channel: the one that created it
}
