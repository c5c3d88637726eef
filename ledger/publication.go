package ledger

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
)

// Records of publications. What a publication says for ever is one record under its leaf index. What finds it, under hashes of its
// key, its device and its serial number, names the leaf and little more: records under hashes have no order in common with the
// time they are written, so an index on disk writes them again and again, and those that are in order nearly never.

// PublicationRecord is what a publication says for ever.
type PublicationRecord struct {
	_         struct{} `cbor:",toarray"`
	Leaf      uint64
	Key       Hash // SHA-256(SPKI)
	Owner     OrgID
	Device    Hash
	TBS       Hash
	DER       Hash
	Voucher   Hash // key id of the line key; zero: the owner's admins
	Published Millis
	Issuer    []byte // the issuer's Name, DER
	KeyBits   []byte // the content of the issuer's key, of which a CertID has the hash
}

// PublicationKey is the key of a PublicationRecord: u64 leaf.
func PublicationKey(leaf uint64) []byte { return binary.BigEndian.AppendUint64(nil, leaf) }

// DeviceRecord says that a device has a key.
type DeviceRecord struct {
	Leaf uint64 `cbor:"1,keyasint"` // of the first publication over it; a rekey is one
}

// KeyRecord is all that was published over one public key, and the life of the device whose key it is. ReadKey puts it together from
// the key's record and its publications'.
type KeyRecord struct {
	Owner        OrgID
	Device       Hash
	Custodian    OrgID             // zero: nobody but the owner
	Barred       bool              // revoked as a key: never to be published again
	Certificates []CertificateInfo // oldest first

	Life      uint64 // leaf of the device's last life event; 0: none
	Use       *Use   // the holder's claim, until the device changes hands
	Retired   bool
	Successor *Hash // the key that a rekey put in place of this one; the device's life goes on in its record
}

// Holder is who holds the device: the custodian, else the owner.
func (k *KeyRecord) Holder() OrgID {
	if k.Custodian.IsZero() {
		return k.Owner
	}
	return k.Custodian
}

// LastEvent is the leaf that the device's next life step follows: its last life event, else its first publication.
func (k *KeyRecord) LastEvent() uint64 {
	if k.Life == 0 && len(k.Certificates) > 0 {
		return k.Certificates[0].Leaf
	}
	return k.Life
}

// Standing is the status of a leaf, since when, by whom and why.
type Standing struct {
	Status    Status
	Cause     uint64    // leaf that gave it this status: its own, or the last status change
	Since     Millis    // block time of the cause
	Reason    uint64    // RFC 5280; meaningful when suspended or revoked
	Authority Authority // who suspended or revoked; 0 when good
}

// Use is an operator's use of a device, since its claim. The claim's leaf has a status of its own.
type Use struct {
	_    struct{} `cbor:",toarray"`
	Leaf uint64   // of the claim
	By   OrgID
	Standing
}

// CertificateInfo is one publication of a key.
type CertificateInfo struct {
	Leaf      uint64
	TBS       Hash
	DER       Hash
	Voucher   Hash // key id of the line key; zero: the owner's admins
	Published Millis
	Standing
}

// MaxCertificatesPerKey bounds a KeyRecord.
const MaxCertificatesPerKey = 64

// keyWire is the record of a key: of a KeyRecord what its publications do not say.
type keyWire struct {
	Custodian    OrgID        `cbor:"1,keyasint,omitzero"`
	Barred       bool         `cbor:"2,keyasint,omitempty"`
	Certificates []statusWire `cbor:"3,keyasint"`
	Life         uint64       `cbor:"4,keyasint,omitempty"`
	Use          *Use         `cbor:"5,keyasint,omitempty"`
	Retired      bool         `cbor:"6,keyasint,omitempty"`
	Successor    *Hash        `cbor:"7,keyasint,omitempty"`
}

// statusWire is where a certificate stands. Cause and Since are 0 while they are the publication itself and its time.
type statusWire struct {
	_    struct{} `cbor:",toarray"`
	Leaf uint64
	Standing
}

// Encode returns the key's record; the publications' are their own.
func (k *KeyRecord) Encode() []byte {
	w := keyWire{Custodian: k.Custodian, Barred: k.Barred, Certificates: make([]statusWire, len(k.Certificates)),
		Life: k.Life, Use: k.Use, Retired: k.Retired, Successor: k.Successor}
	for i, c := range k.Certificates {
		s := statusWire{Leaf: c.Leaf, Standing: c.Standing}
		if c.Cause == c.Leaf && c.Since == c.Published {
			s.Cause, s.Since = 0, 0
		}
		w.Certificates[i] = s
	}
	return w.append(make([]byte, 0, 64))
}

// GetRecord reads a record of the final state; nil when there is none.
type GetRecord func(kind RecordKind, key []byte) ([]byte, error)

// Into decodes a record into v; false when there is none.
func (get GetRecord) Into(kind RecordKind, key []byte, v any) (bool, error) {
	raw, err := get(kind, key)
	if err != nil || raw == nil {
		return false, err
	}
	if err := Decode(raw, v); err != nil {
		return false, fmt.Errorf("reading a %q record: %w: %w", kind, ErrBadRecord, err)
	}
	return true, nil
}

// RecordsOf gets the records of a Reader, each as of the moment it is read.
func RecordsOf(ctx context.Context, r interface {
	Records(ctx context.Context, kind RecordKind, prefix, after []byte) iter.Seq2[Record, error]
}) GetRecord {
	return func(kind RecordKind, key []byte) ([]byte, error) {
		for rec, err := range r.Records(ctx, kind, key, nil) {
			if err != nil {
				return nil, err
			}
			if len(rec.Key) == len(key) {
				return rec.Value, nil
			}
		}
		return nil, nil
	}
}

// ErrBadRecord means that a record does not decode, or contradicts another: the fault of a store, or the lie of a node.
var ErrBadRecord = errors.New("a record is not what it should be")

// ReadPublication reads the record of a publication that another record names.
func ReadPublication(get GetRecord, leaf uint64) (*PublicationRecord, error) {
	var p PublicationRecord
	found, err := get.Into(RecordPublication, PublicationKey(leaf), &p)
	if err == nil && (!found || p.Leaf != leaf) {
		err = fmt.Errorf("%w: leaf %d has no record of a publication", ErrBadRecord, leaf)
	}
	return &p, err
}

// ReadKey reads what was published over a key; nil when nothing was.
func ReadKey(get GetRecord, key Hash) (*KeyRecord, error) {
	var w keyWire
	if found, err := get.Into(RecordKey, key[:], &w); err != nil || !found {
		return nil, err
	}
	k := &KeyRecord{Custodian: w.Custodian, Barred: w.Barred, Certificates: make([]CertificateInfo, len(w.Certificates)),
		Life: w.Life, Use: w.Use, Retired: w.Retired, Successor: w.Successor}
	for i, s := range w.Certificates {
		p, err := ReadPublication(get, s.Leaf)
		if err != nil {
			return nil, err
		}
		if p.Key != key {
			return nil, fmt.Errorf("%w: leaf %d published another key", ErrBadRecord, s.Leaf)
		}
		if s.Cause == 0 {
			s.Cause, s.Since = p.Leaf, p.Published
		}
		k.Owner, k.Device = p.Owner, p.Device // the same in all
		k.Certificates[i] = CertificateInfo{Leaf: p.Leaf, TBS: p.TBS, DER: p.DER, Voucher: p.Voucher, Published: p.Published, Standing: s.Standing}
	}
	return k, nil
}
