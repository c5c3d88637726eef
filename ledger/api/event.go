package api

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"github.com/quorate-pki/quorate/ca/profile"
	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
)

// Event is a leaf of the log as JSON: its bytes, and what they say. Everything but the bytes follows from them: Describe
// makes it, for the node that tells and for the client that believes only the bytes.
type Event struct {
	Leaf        uint64        `json:"leaf"`
	Kind        string        `json:"kind"`  // transaction, epoch, or the operation's name
	Entry       []byte        `json:"entry"` // the leaf's bytes, base64
	Transaction *Transaction  `json:"transaction,omitempty"`
	Publication *Publication  `json:"publication,omitempty"`
	Change      *StatusChange `json:"change,omitempty"` // of a life step: what it amounts to for leaves other than its own
	Life        *LifeEvent    `json:"life,omitempty"`
	Epoch       *Epoch        `json:"epoch,omitempty"`
	Proposal    *Proposal     `json:"proposal,omitempty"`
	Vote        *Vote         `json:"vote,omitempty"`
	Withdrawal  *Withdrawal   `json:"withdrawal,omitempty"`
	Registered
	CutOffs []CutOffEffect `json:"cut_offs,omitempty"` // that took effect: of a cut-off, or of the vote that decided on some
}

// Transaction is what a transaction leaf says.
type Transaction struct {
	ID       string    `json:"id"`      // hex
	Signers  []string  `json:"signers"` // key ids, hex
	Verdicts []Verdict `json:"verdicts"`
}

// Publication is what the leaf of a published certificate says: who vouched, in which namespace, with what evidence.
type Publication struct {
	Certificate string    `json:"certificate"` // SHA-256 of the DER, hex
	Profile     uint64    `json:"profile"`
	Owner       string    `json:"owner"`      // organisation id
	Voucher     string    `json:"voucher"`    // key id of the line key
	Namespaces  []string  `json:"namespaces"` // namespace ids
	Evidence    string    `json:"evidence"`   // line-key, chain, token
	Possession  string    `json:"possession"` // self-signature
	Protection  string    `json:"protection"` // unknown, secure-element, attested
	Device      string    `json:"device"`     // device hash
	Rules       uint64    `json:"rules"`      // rule version it was judged by
	Time        time.Time `json:"time"`       // block time
	Transaction uint64    `json:"transaction"`
}

// StatusChange is what the leaf of a revocation, suspension or resumption says.
type StatusChange struct {
	Action      string      `json:"action"` // revoke, suspend, resume
	Scope       string      `json:"scope"`
	Key         string      `json:"key"`    // key id of the certificates' key
	Reason      string      `json:"reason"` // RFC 5280 section 5.3.1
	By          string      `json:"by"`
	Leaves      []StatusRun `json:"leaves"`
	Time        time.Time   `json:"time"`                 // block time
	Invalidity  *time.Time  `json:"invalidity,omitempty"` // since when the key is thought lost: a claim
	Transaction uint64      `json:"transaction"`
}

// LifeEvent is what the leaf of a life step says: of which device, what happened, who holds it since.
type LifeEvent struct {
	Step        string    `json:"step"`              // rekey, transfer, claim, retire, return
	Device      string    `json:"device"`            // device hash
	Key         string    `json:"key"`               // key id of the device's key until then
	Previous    uint64    `json:"previous"`          // leaf of the life event, or first publication, before it
	Owner       string    `json:"owner"`             // organisation id
	Holder      string    `json:"holder"`            // organisation id of who holds the device since
	NewKey      string    `json:"new_key,omitempty"` // of a rekey
	OldKey      bool      `json:"old_key,omitempty"` // the old key signed the rekey
	By          string    `json:"by"`
	Possession  string    `json:"possession,omitempty"` // of a claim, or of the new key: challenge
	Evidence    string    `json:"evidence,omitempty"`   // SHA-256 of a document that somebody has on file, hex
	Time        time.Time `json:"time"`                 // block time
	Transaction uint64    `json:"transaction"`
}

// StatusRun is a run of leaves that got a status.
type StatusRun struct {
	First  uint64 `json:"first"`
	Count  uint64 `json:"count"`
	Status string `json:"status"`
}

// Epoch is what the last leaf of a block says.
type Epoch struct {
	Height uint64    `json:"height"`
	Time   time.Time `json:"time"`
	First  uint64    `json:"first"` // first leaf of the block
}

// Describe says what a leaf says. It refuses bytes that are no leaf.
func Describe(leaf uint64, entry []byte) (Event, error) {
	out := Event{Leaf: leaf, Entry: entry}
	e, err := ledger.ParseEntry(entry)
	if err != nil {
		return out, fmt.Errorf("leaf %d: %w", leaf, err)
	}
	switch {
	case e.Tx != nil:
		out.Kind = "transaction"
		out.Transaction, err = describeTx(leaf, e.Tx)
	case e.Epoch != nil:
		out.Kind = "epoch"
		var h *ledger.Header
		if h, err = e.Epoch.Header.Decode(); err == nil {
			out.Epoch = &Epoch{h.Height, moment(h.Time), e.Epoch.First}
		}
	default:
		err = out.describeOp(e.Op)
	}
	if err != nil {
		return out, fmt.Errorf("leaf %d: %w", leaf, err)
	}
	return out, nil
}

func describeTx(leaf uint64, tx *ledger.TxLeaf) (*Transaction, error) {
	env, err := ledger.ParseEnvelope(tx.Envelope, ledger.ForLedger)
	if err != nil {
		return nil, err
	}
	t := &Transaction{ID: hex.EncodeToString(env.ID[:]), Signers: []string{}, Verdicts: verdicts(recorded(leaf, tx.Codes))}
	for _, s := range env.Tx.Signers {
		t.Signers = append(t.Signers, hex.EncodeToString(s[:]))
	}
	return t, nil
}

// recorded gives accepted operations the leaves that they have: those behind the transaction's, in order.
func recorded(leaf uint64, codes []reason.Code) (out []ledger.Verdict) {
	for _, c := range codes {
		v := ledger.Verdict{Code: c}
		if c == reason.Accepted {
			leaf++
			v.Leaf = leaf
		}
		out = append(out, v)
	}
	return out
}

func (out *Event) describeOp(op *ledger.OpLeaf) error {
	out.CutOffs = describeCuts(&op.Effects)
	_, args, err := ledger.ParseBody(op.Body)
	if err != nil {
		return err
	}
	switch a := args.(type) {
	case ledger.LifeStep:
		return out.describeLife(a, op)
	case *ledger.Publish:
		out.Kind, out.Publication = "publish", describePublication(a, op)
	case *ledger.StatusChange:
		out.Kind, out.Change = "status", describeChange(a, op)
	case *ledger.Consortium:
		out.Kind = "consortium"
	case *ledger.Propose:
		out.Kind, out.Proposal = "propose", describeProposal(a, op)
	case *ledger.Vote:
		out.Kind, out.Vote = "vote", describeVote(a, op)
	case *ledger.Withdraw:
		out.Kind, out.Withdrawal = "withdraw", &Withdrawal{Proposal: a.Proposal}
	default:
		var id ledger.OrgID
		if e := &op.Effects; len(e.Namespaces) == 1 {
			id = e.Namespaces[0]
		} else if e.Owner != nil {
			id = *e.Owner
		}
		out.Kind, out.Registered = describeRegistration(args, id)
	}
	return nil
}

func (out *Event) describeLife(step ledger.LifeStep, op *ledger.OpLeaf) error {
	e := &op.Effects
	target, previous := step.Follows()
	life := &LifeEvent{Step: step.Op().String(), Key: hex.EncodeToString(target[:]), Previous: previous, By: e.Authority.String(),
		Time: moment(e.Time), Transaction: op.Tx}
	out.Kind, out.Life = life.Step, life
	if e.Device != nil {
		life.Device = hex.EncodeToString(e.Device[:])
	}
	if e.Owner != nil {
		life.Owner, life.Holder = e.Owner.String(), e.Owner.String()
	}
	if e.Custodian != nil {
		life.Holder = e.Custodian.String()
	}
	if e.Possession != 0 {
		life.Possession = ledger.PossessionName(e.Possession)
	}
	var evidence *ledger.Hash
	switch a := step.(type) {
	case *ledger.Transfer:
		evidence = a.Evidence
	case *ledger.Retire:
		evidence = a.Evidence
	case *ledger.Return:
		evidence = a.Evidence
	case *ledger.Rekey:
		evidence = a.Evidence
		cert, err := profile.Parse(a.Certificate)
		if err != nil {
			return err
		}
		id := ledger.Sum(cert.SPKI)
		life.NewKey, life.OldKey = hex.EncodeToString(id[:]), len(a.SPKI) > 0
		out.Publication = describePublication(ledger.PublicationOf(a), op)
	}
	if evidence != nil {
		life.Evidence = hex.EncodeToString(evidence[:])
	}
	others := *op
	others.Effects.Runs = slices.DeleteFunc(slices.Clone(e.Runs), func(r ledger.Run) bool { return r.First == out.Leaf })
	if c := ledger.ChangeOf(step); c != nil && len(others.Effects.Runs) > 0 {
		out.Change = describeChange(c, &others)
	}
	return nil
}

func describePublication(p *ledger.Publish, op *ledger.OpLeaf) *Publication {
	e := &op.Effects
	sum := sha256.Sum256(p.Certificate)
	out := &Publication{Certificate: hex.EncodeToString(sum[:]), Profile: p.Profile, Namespaces: []string{},
		Evidence: ledger.EvidenceName(e.Evidence), Possession: ledger.PossessionName(e.Possession), Protection: ledger.ProtectionName(0),
		Rules: e.Rules, Time: moment(e.Time), Transaction: op.Tx}
	if e.Owner != nil {
		out.Owner = e.Owner.String()
	}
	if e.Voucher != nil {
		out.Voucher = hex.EncodeToString(e.Voucher[:])
	}
	for _, n := range e.Namespaces {
		out.Namespaces = append(out.Namespaces, n.String())
	}
	if e.Protection != nil {
		out.Protection = ledger.ProtectionName(*e.Protection)
	}
	if e.Device != nil {
		out.Device = hex.EncodeToString(e.Device[:])
	}
	return out
}

func describeChange(c *ledger.StatusChange, op *ledger.OpLeaf) *StatusChange {
	e := &op.Effects
	out := &StatusChange{Action: c.Action.String(), Scope: c.Scope.String(), Key: hex.EncodeToString(c.Target[:]), Reason: ledger.ReasonName(c.Reason),
		By: e.Authority.String(), Leaves: []StatusRun{}, Time: moment(e.Time), Transaction: op.Tx}
	for _, r := range e.Runs {
		out.Leaves = append(out.Leaves, StatusRun{r.First, r.Count, r.Status.String()})
	}
	if c.Invalidity != nil {
		t := moment(*c.Invalidity)
		out.Invalidity = &t
	}
	return out
}

// lastMoment is the last second that JSON's times have (RFC 3339): the end of the year 9999.
const lastMoment ledger.Millis = 253402300799_000

// moment is a time as JSON has it. Whoever signs a status change claims any time he likes, and it must not keep the leaf from
// being told: what is beyond the year 9999 is told as its end, and the leaf's bytes have what was claimed.
func moment(m ledger.Millis) time.Time { return min(m, lastMoment).Time() }
