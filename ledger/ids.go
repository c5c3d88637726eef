package ledger

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/quorate-pki/quorate/ledger/tlog"
)

// Hash is a SHA-256 value.
type Hash = tlog.Hash

// OrgID identifies an organisation within a channel; namespaces have ids of the same form.
type OrgID [16]byte

func (id OrgID) String() string { return hex.EncodeToString(id[:]) }

// IsZero reports whether the id names nobody.
func (id OrgID) IsZero() bool { return id == OrgID{} }

// Millis is a time in milliseconds since 1970-01-01 UTC, the only form of time inside the ledger.
type Millis uint64

// MillisOf converts a time; times before 1970 become 0.
func MillisOf(t time.Time) Millis { return Millis(max(0, t.UnixMilli())) }

// Time converts back.
func (m Millis) Time() time.Time { return time.UnixMilli(int64(m)).UTC() }

// Day numbers the UTC day of m, for daily quotas.
func (m Millis) Day() uint32 { return uint32(m / 86_400_000) }

// Sum is SHA-256.
func Sum(b []byte) Hash { return sha256.Sum256(b) }

// RecordID derives the id of an organisation or namespace: SHA-256(transaction id || u16 position)[:16]. In
// genesis, whose id cannot be part of what it hashes, the seed is GenesisSeed instead of the transaction id.
func RecordID(seed Hash, position uint16) OrgID {
	var b [34]byte
	copy(b[:], seed[:])
	binary.BigEndian.PutUint16(b[32:], position)
	h := sha256.Sum256(b[:])
	return OrgID(h[:16])
}

// GenesisSeed stands for the transaction id in the record ids of genesis: SHA-256(nonce of the genesis
// transaction). The member-set document, part of what the transaction id hashes, needs these ids.
func GenesisSeed(nonce [16]byte) Hash { return sha256.Sum256(nonce[:]) }

// Device identifies a device within its organisation: SHA-256(organisation || type || serial).
func Device(owner OrgID, kind uint8, serial string) Hash {
	b := make([]byte, 0, 17+len(serial))
	b = append(b, owner[:]...)
	b = append(b, kind)
	b = append(b, serial...)
	return sha256.Sum256(b)
}

// Types of a device: what identifies it.
const (
	DeviceSerial   uint8 = 1 // the serial number of the certificate's subject
	DeviceInstance uint8 = 2 // the instance id of a network function, 36 characters in lower case
)

// ParseHash reads 64 hexadecimal digits.
func ParseHash(s string) (Hash, error) {
	var h Hash
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(h) {
		return h, fmt.Errorf("%q is not 64 hexadecimal digits", s)
	}
	copy(h[:], b)
	return h, nil
}
