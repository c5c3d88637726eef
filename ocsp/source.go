package ocsp

import (
	"context"
	"time"
)

// Source says what the ledger's final state says. What the responder keeps of it ends with the Version, so what a
// source returns is what relying parties see.
//
// All methods are called from many goroutines at once. They may block; ctx is the request's and ends when the
// client goes away. An error from either means that no answer can be given now: the client is told internalError
// and decides itself whether to ask elsewhere. A source must never turn an error into "not known" or Good.
type Source interface {
	// Freshness returns the time at least one honest member vouched for the newest final checkpoint this node
	// has: the (f+1)-th latest time among its cosignatures. It is called once for a request, BEFORE any Status
	// of that request, and every Status must then read that checkpoint or a later one. So a status is never
	// presented as fresher than the state it was read from. The zero time means that there is no final
	// checkpoint yet.
	Freshness(ctx context.Context) (Freshness, error)

	// Status finds the published certificate that id names, by all of hash, issuer name hash, issuer key hash
	// and serial. A Standing that is not Known says that nobody published such a certificate; it is signed and
	// sent, so it must not stand for "I could not look". id comes from anyone: its Serial may be thousands of
	// octets, negative, or nonsense. Status must not change or keep its slices.
	//
	// A revocation that the node has authenticated and accepted may be shown as Suspended before it is final,
	// never the other way round.
	Status(ctx context.Context, id CertID) (Standing, error)

	// Issuers returns the CAs that are registered now, in any order. It is asked once for each Version, after Freshness.
	Issuers(ctx context.Context) ([]RegisteredCA, error)

	// Proofs returns the proofs of the publication in a leaf that Status named, under the newest checkpoint.
	Proofs(ctx context.Context, leaf uint64) (Proofs, error)
}

// RegisteredCA is a CA that its organisation registered on the ledger, as CertIDs name it.
type RegisteredCA struct {
	Name    []byte // DER of its subject
	KeyBits []byte // content of the BIT STRING of its key
}

// Freshness is how fresh the state is, and which it is.
type Freshness struct {
	Time time.Time
	// Version is another one whenever any Status may have changed: while it stays, what was read before is not read
	// again. It never comes back to an earlier value.
	Version uint64
}

// State is how a published certificate stands.
type State uint8

// The zero State is none of these, so that forgetting to set it cannot mean Good.
const (
	Good      State = iota + 1 // published by a quorum and neither suspended nor revoked
	Suspended                  // may become Good again; told to clients as revoked with certificateHold
	Revoked                    // for ever
)

// Standing is what the ledger knows of one CertID.
type Standing struct {
	Known bool // false: nobody published it, and the other fields mean nothing
	State State
	// At is the time of the block that suspended or revoked the certificate.
	At time.Time
	// Reason is the CRLReason of a Revoked certificate (RFC 5280 section 5.3.1); 0 when none was given. It may
	// not be certificateHold (6), which is what Suspended is for, nor removeFromCRL (8).
	Reason int
	Leaf   uint64 // of the publication, for Proofs
}

// CRLReason values that this package treats specially.
const (
	reasonUnspecified     = 0
	reasonCertificateHold = 6
)

// revocationReason tells whether a CRLReason may stand with a revocation in an answer.
func revocationReason(reason int) bool {
	switch reason {
	case 0, 1, 2, 3, 4, 5, 9, 10: // 7 is unassigned; 6 and 8 see Standing.Reason
		return true
	}
	return false
}
