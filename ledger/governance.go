package ledger

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"github.com/quorate-pki/quorate/internal/reason"
)

// Operations by which members decide, since rule version 3.
const (
	OpPropose  Op = 68
	OpVote     Op = 69
	OpWithdraw Op = 70
	OpRules    Op = 75 // only within a proposal
)

// Governed are the operations that rule version 3 brought. Under older ones they do not exist.
const Governed uint64 = 3

// Limits of proposals.
const (
	MaxTitle          = 200                      // bytes
	MaxProposalBodies = 16                       // operations in one proposal
	MaxProposalAhead  = 90 * 24 * 60 * 60 * 1000 // ms from the block's time to a proposal's expiry, and of a hold
	MaxLiveProposals  = 64                       // open or waiting, of all members
	MaxOwnProposals   = 16                       // of one member
)

// Propose puts operations to the vote of the members: all of them take effect, or none. A member's governance key signs it.
type Propose struct {
	Title   string   `cbor:"1,keyasint"`           // for people, at most MaxTitle bytes
	Bodies  [][]byte `cbor:"2,keyasint"`           // operation bodies, 1 to MaxProposalBodies
	Expires Millis   `cbor:"3,keyasint"`           // block time after which nobody can vote any more
	Hold    Millis   `cbor:"4,keyasint,omitempty"` // ms between decision and effect
	Nonce   [16]byte `cbor:"5,keyasint"`           // random; record ids follow from it, so that bodies can name what those before them make
}

// Choice is what a member says of a proposal.
type Choice uint64

const (
	Approve Choice = 1
	Reject  Choice = 2
	Abstain Choice = 3 // takes an earlier vote back
)

func (c Choice) String() string {
	switch c {
	case Approve:
		return "approve"
	case Reject:
		return "reject"
	case Abstain:
		return "abstain"
	}
	return fmt.Sprintf("choice %d", uint64(c))
}

// Decision is what a vote decided about its proposal. The quorum that cosigned the log counted, so the deciding vote's receipt proves it.
type Decision uint64

const (
	Approved Decision = 1
	Rejected Decision = 2
)

// String is empty when nothing was decided.
func (d Decision) String() string {
	switch d {
	case 0:
		return ""
	case Approved:
		return "approved"
	case Rejected:
		return "rejected"
	}
	return fmt.Sprintf("decision %d", uint64(d))
}

// Vote is a vote on a proposal. Governance keys sign it, and it is the vote of every member whose key did.
type Vote struct {
	Proposal uint64 `cbor:"1,keyasint"` // leaf of the proposal
	Choice   Choice `cbor:"2,keyasint"`
	Digest   Hash   `cbor:"3,keyasint"` // SHA-256 of the proposal's operation body: nobody votes for what he did not see
	// Signatures on the member set that the proposal has, of exactly the keys that sign the vote; present when it approves one, and only then.
	Signatures []MemberSignature `cbor:"4,keyasint,omitempty"`
}

// Withdraw ends a proposal before it is decided, or while it waits; the member that made it signs it.
type Withdraw struct {
	Proposal uint64 `cbor:"1,keyasint"` // leaf of the proposal
}

// Rules sets by what the channel is judged, from the next height on.
type Rules struct {
	Version uint64 `cbor:"1,keyasint"`           // the version in force, or the one after it
	Hold    Millis `cbor:"2,keyasint,omitempty"` // ms that what widens trust waits at least, after it was decided
}

// ProposalState is where a proposal stands.
type ProposalState uint64

const (
	ProposalOpen      ProposalState = 1
	ProposalWaiting   ProposalState = 2 // approved; takes effect when its hold is over
	ProposalInForce   ProposalState = 3
	ProposalRejected  ProposalState = 4 // so many members rejected it that it cannot be approved any more
	ProposalWithdrawn ProposalState = 5
	ProposalExpired   ProposalState = 6
	ProposalFailed    ProposalState = 7 // approved, but by then an operation in it could not take effect
)

func (s ProposalState) String() string {
	names := []string{"", "open", "waiting", "in-force", "rejected", "withdrawn", "expired", "failed"}
	if int(s) < len(names) {
		return names[s]
	}
	return fmt.Sprintf("state %d", uint64(s))
}

// Live reports whether a proposal may still take effect.
func (s ProposalState) Live() bool { return s == ProposalOpen || s == ProposalWaiting }

// ProposalRecord is a proposal and what became of it; its key is the u64 leaf of the proposal.
type ProposalRecord struct {
	Propose
	Member   uint64        `cbor:"20,keyasint"` // that proposed it
	Digest   Hash          `cbor:"21,keyasint"` // of its operation body
	Proposed Millis        `cbor:"22,keyasint"` // block time
	State    ProposalState `cbor:"23,keyasint"`
	Votes    []MemberVote  `cbor:"24,keyasint"`           // by member number; the last of each
	Decided  Millis        `cbor:"25,keyasint,omitempty"` // block time at which it was approved, rejected, withdrawn or found expired
	Leaf     uint64        `cbor:"26,keyasint,omitempty"` // that ended the voting: the deciding vote, or the withdrawal
	Height   uint64        `cbor:"27,keyasint,omitempty"` // at which it took effect, or failed
	Code     reason.Code   `cbor:"28,keyasint,omitempty"` // why it failed
	Needed   uint64        `cbor:"29,keyasint"`           // approvals, as of the last vote
	// Signatures of the members that approve now, on the member set that the proposal has.
	Signatures []MemberSignature `cbor:"30,keyasint,omitempty"`
}

// Due is the block time from which an approved proposal takes effect.
func (p *ProposalRecord) Due() Millis { return p.Decided + p.Hold }

// MemberVote is the last vote of a member.
type MemberVote struct {
	_      struct{} `cbor:",toarray"`
	Member uint64
	Choice Choice
	Leaf   uint64 // of the vote
}

// ProposalSeed stands for the transaction id in the record ids that a proposal makes: SHA-256("quorate/proposal/1\n" || nonce || u64 number of
// the member that proposed), so that no other member can take them first.
func ProposalSeed(nonce [16]byte, member uint64) Hash {
	b := append([]byte("quorate/proposal/1\n"), nonce[:]...)
	return sha256.Sum256(binary.BigEndian.AppendUint64(b, member))
}

func checkPropose(p *Propose) error {
	switch {
	case p.Title == "" || len(p.Title) > MaxTitle:
		return fmt.Errorf("a title of %d bytes", len(p.Title))
	case len(p.Bodies) == 0 || len(p.Bodies) > MaxProposalBodies:
		return fmt.Errorf("%d operations in a proposal", len(p.Bodies))
	case p.Hold > MaxProposalAhead:
		return fmt.Errorf("a hold of %d ms", p.Hold)
	}
	return nil
}
