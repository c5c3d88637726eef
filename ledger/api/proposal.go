package api

import (
	"encoding/binary"
	"encoding/hex"
	"net/http"
	"slices"
	"time"

	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
)

// maxProposals is how many proposals a page has.
const maxProposals = 100

// Proposal is what the leaf of a proposal says.
type Proposal struct {
	Title      string      `json:"title"`
	Member     uint64      `json:"member"`     // that proposed it, by number
	Digest     string      `json:"digest"`     // of its operation body, hex: what votes name
	Operations []Operation `json:"operations"` // that take effect together
	Expires    time.Time   `json:"expires"`    // nobody can vote any more
	Hold       uint64      `json:"hold_ms"`    // between decision and effect
	Time       time.Time   `json:"time"`       // block time
}

// Operation is one of a proposal's.
type Operation struct {
	Kind string `json:"kind"`
	Body []byte `json:"body"` // the operation's bytes, base64
	Registered
}

// Vote is what the leaf of a vote says.
type Vote struct {
	Proposal uint64    `json:"proposal"` // leaf of the proposal
	Choice   string    `json:"choice"`   // approve, reject, abstain
	Digest   string    `json:"digest"`
	Members  []uint64  `json:"members"`            // whose vote it is, by number
	Decision string    `json:"decision,omitempty"` // approved, rejected: it decided
	Time     time.Time `json:"time"`               // block time
}

// Withdrawal is what the leaf of a withdrawal says.
type Withdrawal struct {
	Proposal uint64 `json:"proposal"` // leaf of the proposal
}

// Standing is where a proposal stands, as the node tells.
type Standing struct {
	State  string      `json:"state"`             // open, waiting, in-force, rejected, withdrawn, expired, failed
	Needed uint64      `json:"needed"`            // approvals, as of the last vote
	Due    *time.Time  `json:"due,omitempty"`     // waiting: from when on it takes effect
	Height uint64      `json:"height,omitempty"`  // at which it took effect, or failed
	Code   reason.Code `json:"code,omitempty"`    // why it failed
	Reason string      `json:"reason,omitempty"`  // the same, as a word
	Ended  uint64      `json:"decided,omitempty"` // leaf of the deciding vote, or of the withdrawal
}

// ProposalPage is a proposal with every member's last vote, each leaf with its receipt, and where it stands.
type ProposalPage struct {
	AsOf       time.Time `json:"as_of"`
	Size       uint64    `json:"size"` // leaves of the log then
	Proposal   Proved    `json:"proposal"`
	Votes      []Proved  `json:"votes"`                // in order of their leaves
	Withdrawal *Proved   `json:"withdrawal,omitempty"` // when it was withdrawn
	Standing   Standing  `json:"standing"`
}

// Proposals is a page of the list, newest first.
type Proposals struct {
	AsOf      time.Time       `json:"as_of"`
	Proposals []ProposalTitle `json:"proposals"`
	More      bool            `json:"more"` // older ones: ask with before=, the leaf of the last
}

// ProposalTitle is a row of the list.
type ProposalTitle struct {
	Leaf     uint64    `json:"leaf"`
	Title    string    `json:"title"`
	Member   uint64    `json:"member"`
	Digest   string    `json:"digest"`
	Approve  []uint64  `json:"approve"` // members, by number
	Reject   []uint64  `json:"reject"`
	Expires  time.Time `json:"expires"`
	Standing Standing  `json:"standing"`
}

func describeProposal(p *ledger.Propose, op *ledger.OpLeaf) *Proposal {
	digest := ledger.Sum(op.Body)
	out := &Proposal{Title: p.Title, Digest: hex.EncodeToString(digest[:]), Operations: []Operation{}, Expires: moment(p.Expires), Hold: uint64(p.Hold),
		Time: moment(op.Effects.Time)}
	if len(op.Effects.Members) == 1 {
		out.Member = op.Effects.Members[0]
	}
	seed := ledger.ProposalSeed(p.Nonce, out.Member)
	for i, body := range p.Bodies {
		o := Operation{Body: body}
		if _, args, err := ledger.ParseBody(body); err == nil {
			o.Kind, o.Registered = describeRegistration(args, ledger.RecordID(seed, uint16(i)))
		}
		out.Operations = append(out.Operations, o)
	}
	return out
}

func describeVote(v *ledger.Vote, op *ledger.OpLeaf) *Vote {
	return &Vote{Proposal: v.Proposal, Choice: v.Choice.String(), Digest: hex.EncodeToString(v.Digest[:]), Members: append([]uint64{}, op.Effects.Members...),
		Decision: op.Effects.Decision.String(), Time: moment(op.Effects.Time)}
}

func describeStanding(p *ledger.ProposalRecord) Standing {
	s := Standing{State: p.State.String(), Needed: p.Needed, Height: p.Height, Code: p.Code, Ended: p.Leaf}
	if p.State == ledger.ProposalWaiting {
		due := moment(p.Due())
		s.Due = &due
	}
	if p.Code != 0 {
		s.Reason = p.Code.String()
	}
	return s
}

func (a *api) proposals(w http.ResponseWriter, r *http.Request) error {
	before, end := uint64(1<<63), r.URL.Query().Get("before")
	if end != "" {
		n, ok := decimal(end)
		if !ok {
			return reason.New(reason.BadRequest, "before is a leaf index")
		}
		before = n
	}
	leave, err := admit(a.pages)
	if err != nil {
		return err
	}
	defer leave()
	h, err := a.cfg.Reader.Head(r.Context())
	if err != nil {
		return err
	}
	out := Proposals{AsOf: h.Time, Proposals: []ProposalTitle{}}
	// Members alone make proposals, and few: the list is read from its beginning, which is where the records begin.
	for rec, err := range a.cfg.Reader.Records(r.Context(), ledger.RecordProposal, nil, nil) {
		if err != nil {
			return err
		}
		leaf := binary.BigEndian.Uint64(rec.Key)
		if leaf >= before {
			break
		}
		var p ledger.ProposalRecord
		if err := ledger.Decode(rec.Value, &p); err != nil {
			return err
		}
		if len(out.Proposals) == maxProposals {
			out.Proposals, out.More = out.Proposals[1:], true
		}
		out.Proposals = append(out.Proposals, describeTitle(leaf, &p))
	}
	slices.Reverse(out.Proposals)
	return writeJSON(w, out)
}

func describeTitle(leaf uint64, p *ledger.ProposalRecord) ProposalTitle {
	t := ProposalTitle{Leaf: leaf, Title: p.Title, Member: p.Member, Digest: hex.EncodeToString(p.Digest[:]), Approve: []uint64{}, Reject: []uint64{},
		Expires: moment(p.Expires), Standing: describeStanding(p)}
	for _, v := range p.Votes {
		switch v.Choice {
		case ledger.Approve:
			t.Approve = append(t.Approve, v.Member)
		case ledger.Reject:
			t.Reject = append(t.Reject, v.Member)
		}
	}
	return t
}

func (a *api) proposal(w http.ResponseWriter, r *http.Request) error {
	i, err := index(r)
	if err != nil {
		return err
	}
	leave, err := admit(a.pages)
	if err != nil {
		return err
	}
	defer leave()
	x := explainer{r.Context(), a.cfg.Reader}
	out, err := x.proposal(i)
	if err != nil {
		return err
	}
	return writeJSON(w, out)
}

// proposal reads a proposal and proves its leaves.
func (x explainer) proposal(leaf uint64) (*ProposalPage, error) {
	h, err := x.reader.Head(x.ctx)
	if err != nil {
		return nil, err
	}
	var rec ledger.ProposalRecord
	found, err := ledger.RecordsOf(x.ctx, x.reader).Into(ledger.RecordProposal, binary.BigEndian.AppendUint64(nil, leaf), &rec)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, reason.New(reason.NotFound, "no proposal in leaf %d", leaf)
	}
	out := &ProposalPage{AsOf: h.Time, Size: h.Size, Votes: []Proved{}, Standing: describeStanding(&rec)}
	if out.Proposal, err = x.prove(leaf); err != nil {
		return nil, err
	}
	var leaves []uint64
	for _, v := range rec.Votes {
		leaves = append(leaves, v.Leaf)
	}
	slices.Sort(leaves)
	for _, l := range slices.Compact(leaves) {
		p, err := x.prove(l)
		if err != nil {
			return nil, err
		}
		out.Votes = append(out.Votes, p)
	}
	if rec.State == ledger.ProposalWithdrawn {
		p, err := x.prove(rec.Leaf)
		if err != nil {
			return nil, err
		}
		out.Withdrawal = &p
	}
	return out, nil
}
