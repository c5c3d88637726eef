package commit

import (
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/tlog"
)

// Statement is what a member says by a cosignature: these leaves follow from the rules in force, and are
// consistent with everything I signed before.
type Statement struct {
	Log    uint64
	Height uint64
	Size   uint64
	Root   ledger.Hash
	Header ledger.Hash // hash of the header at Height
	Time   uint64      // seconds since 1970, as cosignatures have it
}

// Signed is a statement with this member's cosignature. The newest is the signer memory.
type Signed struct {
	Statement
	Signature tlog.Signature
}

// Input is something that happened.
type Input interface{ input() }

type (
	// Deliver is the next block of the orderer's sequence.
	Deliver struct {
		Block *ledger.Block
		Index uint64 // the orderer's
	}
	// Remembered says that this member's signature is durable in the signer memory.
	Remembered struct{ Signed Signed }
	// Cosigned brings a peer's cosignature, not yet verified.
	Cosigned struct {
		Checkpoint tlog.Checkpoint
		Signature  tlog.Signature
	}
	// Persisted says that everything up to a height is durable and published.
	Persisted struct{ Height uint64 }
	// Tick says that time passed.
	Tick struct{}
)

func (Deliver) input()    {}
func (Remembered) input() {}
func (Cosigned) input()   {}
func (Persisted) input()  {}
func (Tick) input()       {}

// Output is something the driver must do, in order.
type Output interface{ output() }

type (
	// Sign: cosign the statement by one of this member's keys, make it durable in the signer memory, then feed Remembered. If that
	// fails, stop.
	Sign struct {
		Statement Statement
		Key       tlog.VKey
	}
	// Release: send this member's signature to all peers. It is remembered.
	Release struct{ Signed Signed }
	// Finalise: make the blocks, then the note, durable and public; then feed Persisted.
	Finalise struct {
		Blocks     []*Pending
		Checkpoint tlog.Checkpoint
		Cosigners  []tlog.Signature
	}
	// Refresh: publish the final checkpoint with newer cosignatures. Where the member set changes, durably: this member signs other
	// things afterwards, and whoever needs this signature must still find it here after a crash.
	Refresh struct {
		Checkpoint tlog.Checkpoint
		Cosigners  []tlog.Signature
	}
	// Repool: the block had no effect; its transactions are still to be ordered.
	Repool struct {
		Txs []*ledger.Parsed
		Why error
	}
	// Conflict: a member cosigned a log that contradicts this node's. Keep it: it is evidence of who is at fault, the
	// member or this node. At most one for each member and height.
	Conflict struct {
		Checkpoint tlog.Checkpoint
		Signature  tlog.Signature
	}
	// Diverged: this node computed another history than it, or the quorum, signed. It never signs again.
	Diverged struct{ Why error }
)

func (Sign) output()     {}
func (Release) output()  {}
func (Finalise) output() {}
func (Refresh) output()  {}
func (Repool) output()   {}
func (Conflict) output() {}
func (Diverged) output() {}
