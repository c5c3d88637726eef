package ledger

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// LifeStep is an operation on a device itself: who holds it, who uses it, by which key it is known. It names the key that the
// device has, and the leaf of the device's last life event: the one that this one follows, so that of two that were
// signed at the same time one counts. Before the first, that is the leaf of the device's first publication.
type LifeStep interface {
	// Follows are the key id of the device's key and the leaf of its last life event.
	Follows() (target Hash, previous uint64)
	// Op is the operation's number.
	Op() Op

	check() error
}

// Rekey gives a device another key. It publishes the certificate over the new key, and those over the old one are superseded.
type Rekey struct {
	Profile     uint64 `cbor:"1,keyasint"`
	Certificate []byte `cbor:"2,keyasint"` // DER, over the new key
	Target      Hash   `cbor:"3,keyasint"` // key id of the old key
	Previous    uint64 `cbor:"4,keyasint"`
	Alg         int64  `cbor:"5,keyasint"`           // of the proof
	Proof       []byte `cbor:"6,keyasint"`           // that somebody has the new key: over ProofMessage, for the device's owner
	SPKI        []byte `cbor:"7,keyasint,omitempty"` // of the old key, when it signs the transaction; only then
	Evidence    *Hash  `cbor:"8,keyasint,omitempty"` // SHA-256 of what the owner has on file; needed when the old key does not sign
}

// Transfer hands a device on: from who holds it to another organisation, both of which sign.
type Transfer struct {
	Target   Hash   `cbor:"1,keyasint"`
	Previous uint64 `cbor:"2,keyasint"`
	To       OrgID  `cbor:"3,keyasint"`
	Evidence *Hash  `cbor:"4,keyasint,omitempty"` // SHA-256 of a contract or delivery note
}

// Claim takes a device into use: the operator that holds it signs, and the device shows that it has its key.
type Claim struct {
	Target   Hash   `cbor:"1,keyasint"`
	Previous uint64 `cbor:"2,keyasint"`
	SPKI     []byte `cbor:"3,keyasint"` // of the device's key
	Alg      int64  `cbor:"4,keyasint"` // of the proof
	Proof    []byte `cbor:"5,keyasint"` // by the device's key over ProofMessage, for who claims
}

// Retire ends a device for ever.
type Retire struct {
	Target   Hash   `cbor:"1,keyasint"`
	Previous uint64 `cbor:"2,keyasint"`
	Evidence *Hash  `cbor:"3,keyasint,omitempty"` // SHA-256 of a record of its destruction
}

// Return gives a device back to its owner.
type Return struct {
	Target   Hash   `cbor:"1,keyasint"`
	Previous uint64 `cbor:"2,keyasint"`
	Evidence *Hash  `cbor:"3,keyasint,omitempty"`
}

// Follows implements LifeStep.
func (a *Rekey) Follows() (Hash, uint64) { return a.Target, a.Previous }

// Follows implements LifeStep.
func (a *Transfer) Follows() (Hash, uint64) { return a.Target, a.Previous }

// Follows implements LifeStep.
func (a *Claim) Follows() (Hash, uint64) { return a.Target, a.Previous }

// Follows implements LifeStep.
func (a *Retire) Follows() (Hash, uint64) { return a.Target, a.Previous }

// Follows implements LifeStep.
func (a *Return) Follows() (Hash, uint64) { return a.Target, a.Previous }

// Op implements LifeStep.
func (*Rekey) Op() Op { return OpRekey }

// Op implements LifeStep.
func (*Transfer) Op() Op { return OpTransfer }

// Op implements LifeStep.
func (*Claim) Op() Op { return OpClaim }

// Op implements LifeStep.
func (*Retire) Op() Op { return OpRetire }

// Op implements LifeStep.
func (*Return) Op() Op { return OpReturn }

// maxSPKI is the most bytes of an SPKI in an operation.
const maxSPKI = 2048

func (a *Rekey) check() error {
	if len(a.Certificate) == 0 {
		return errors.New("no certificate")
	}
	if len(a.SPKI) > maxSPKI || len(a.SPKI) > 0 && Sum(a.SPKI) != a.Target {
		return fmt.Errorf("SPKI of %d bytes is not the target's", len(a.SPKI))
	}
	return checkProof(a.Proof)
}

func (a *Claim) check() error {
	if len(a.SPKI) == 0 || len(a.SPKI) > maxSPKI || Sum(a.SPKI) != a.Target {
		return fmt.Errorf("SPKI of %d bytes is not the target's", len(a.SPKI))
	}
	return checkProof(a.Proof)
}

func (*Transfer) check() error { return nil }
func (*Retire) check() error   { return nil }
func (*Return) check() error   { return nil }

func checkProof(sig []byte) error {
	if n := len(sig); n < 64 || n > 1024 {
		return fmt.Errorf("proof of %d bytes", n)
	}
	return nil
}

// ProofContext precedes what a device's key signs to show that it is there.
const ProofContext = "quorate/possession/1\n"

// ProofMessage is what a proof of possession covers: ProofContext || channel (32) || operation (1) || organisation (16) || target (32) ||
// u64 big-endian previous. It counts once, in one place of the log, for one organisation: who sees it cannot use it.
func ProofMessage(channel Hash, org OrgID, step LifeStep) []byte {
	target, previous := step.Follows()
	b := append([]byte(ProofContext), channel[:]...)
	b = append(b, byte(step.Op()))
	b = append(b, org[:]...)
	b = append(b, target[:]...)
	return binary.BigEndian.AppendUint64(b, previous)
}

// PublicationOf is the publication that an operation makes: a publication itself, or a rekey's; nil for every other.
func PublicationOf(args any) *Publish {
	switch a := args.(type) {
	case *Publish:
		return a
	case *Rekey:
		return &Publish{Profile: a.Profile, Certificate: a.Certificate}
	}
	return nil
}

// ChangeOf is the status change that an operation amounts to, for the leaves in its effects other than its own: a status change
// itself, or that of a life step; nil for every other.
func ChangeOf(args any) *StatusChange {
	switch a := args.(type) {
	case *StatusChange:
		return a
	case *Rekey:
		return &StatusChange{Action: Revoke, Scope: ScopeKey, Target: a.Target, Reason: Superseded}
	case *Transfer:
		return &StatusChange{Action: Revoke, Scope: ScopeCustody, Target: a.Target, Reason: Cessation}
	case *Return:
		return &StatusChange{Action: Revoke, Scope: ScopeCustody, Target: a.Target, Reason: Cessation}
	case *Retire:
		return &StatusChange{Action: Revoke, Scope: ScopeKey, Target: a.Target, Reason: Cessation}
	}
	return nil
}
