package client

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"slices"

	"github.com/quorate-pki/quorate/ca/profile"
	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/api"
	"github.com/quorate-pki/quorate/ledger/tlog"
	"github.com/quorate-pki/quorate/verify"
)

// Explained is an explanation of which everything that is there is proved: the publication, what entitled it, every change,
// every refusal, the status. That nothing was left out is told, but for the change that the status proof names.
type Explained struct {
	*api.Explanation
	Published *verify.Published // nil: not published, which is told
	Standing  *verify.Standing  // of the publication
}

// Explain asks for all that the log says of a certificate, and proves it.
func (c *Client) Explain(ctx context.Context, der []byte) (*Explained, error) {
	return elsewhere(c, func() (*Explained, error) { return c.explain(ctx, der) })
}

func (c *Client) explain(ctx context.Context, der []byte) (*Explained, error) {
	raw, err := c.do(ctx, http.MethodPost, c.v1("/explain"), "application/pkix-cert", der)
	if err != nil {
		return nil, translate(err)
	}
	told := &api.Explanation{}
	if err := json.Unmarshal(raw, told); err != nil {
		return nil, untrusted("the explanation: %v", err)
	}
	p := prover{trust: tlog.Remember(c.trust(ctx)), der: der, out: &Explained{Explanation: told}}
	if err := p.prove(); err != nil {
		return nil, err
	}
	return p.out, nil
}

// prover holds an explanation against its proofs.
type prover struct {
	trust tlog.NoteVerifier
	der   []byte
	out   *Explained
	cert  *profile.Certificate // nil when it does not parse
}

func (p *prover) prove() error {
	out, sum := p.out, ledger.Sum(p.der)
	key := ""
	if cert, err := profile.Parse(p.der); err == nil {
		id := ledger.Sum(cert.SPKI)
		p.cert, key = cert, hex.EncodeToString(id[:])
	}
	if out.Certificate != hex.EncodeToString(sum[:]) || out.Key != key {
		return untrusted("the explanation is of another certificate")
	}
	var info *ledger.CertificateInfo
	switch {
	case out.Publication != nil:
		var err error
		if info, err = p.published(); err != nil {
			return err
		}
	case len(out.Grants)+len(out.Changes) > 0 || out.Status != ledger.NoStatus.String():
		return untrusted("what was not published has no status")
	}
	for i := range out.Refusals {
		if err := p.refusal(&out.Refusals[i]); err != nil {
			return err
		}
	}
	out.Expect = api.Expect(info, p.cert, out.AsOf)
	return nil
}

// leaf proves a leaf, and that what is told of it is what it says.
func (p *prover) leaf(told *api.Proved, der []byte) ([]byte, error) {
	proof, _, entry, err := verify.Entry(p.trust, []byte(told.Receipt), der)
	if err != nil {
		return nil, err
	}
	event, err := api.Describe(proof.Index, entry)
	if err != nil {
		return nil, untrusted("%v", err)
	}
	says, err1 := json.Marshal(event)
	tells, err2 := json.Marshal(told.Event)
	if err1 != nil || err2 != nil || !bytes.Equal(says, tells) {
		return nil, untrusted("leaf %d says something else", proof.Index)
	}
	return entry, nil
}

func (p *prover) published() (*ledger.CertificateInfo, error) {
	out := p.out
	if _, err := p.leaf(out.Publication, p.der); err != nil {
		return nil, err
	}
	var err error
	if out.Published, err = verify.Receipt(p.trust, []byte(out.Publication.Receipt), p.der); err != nil {
		return nil, err
	}
	if err := p.grants(out.Publication.Publication); err != nil {
		return nil, err
	}
	last := out.Publication.Leaf
	for i := range out.Changes {
		change := &out.Changes[i]
		if _, err := p.leaf(change, nil); err != nil {
			return nil, err
		}
		if change.Leaf <= last || !touches(change, out.Publication) {
			return nil, untrusted("leaf %d does not change leaf %d, or is out of order", change.Leaf, out.Publication.Leaf)
		}
		last = change.Leaf
	}
	s, err := verify.Status(p.trust, []byte(out.StatusProof), out.Publication.Leaf)
	if err != nil {
		return nil, err
	}
	if s.Size <= last || s.Size < out.Published.Size {
		return nil, reason.New(reason.Stale, "the status is of %d leaves, and leaf %d is known to exist", s.Size, max(last, out.Published.Size-1))
	}
	caused := func(e api.Proved) bool { return s.Cause != nil && e.Leaf == s.Cause.Index }
	if s.Status.String() != out.Status || (s.Cause == nil) != (len(out.Changes) == 0) || s.Cause != nil && !slices.ContainsFunc(out.Changes, caused) {
		return nil, untrusted("the changes told do not lead to the status proved")
	}
	out.Standing, out.AsOf, out.Size = s, s.AsOf, s.Size
	info := &ledger.CertificateInfo{Status: s.Status}
	if err := s.Vouched(&out.Published.Effects); err != nil {
		return nil, err
	}
	info.Reason, _ = s.Reason()
	return info, nil
}

// touches reports whether a leaf changed the status of a publication: by itself, or by cutting off who vouched for it.
func touches(change, pub *api.Proved) bool {
	if change.Change != nil {
		return covers(change.Change.Leaves, pub.Leaf)
	}
	return slices.ContainsFunc(change.CutOffs, func(c api.CutOffEffect) bool { return c.Covers(change.Leaf, pub.Leaf, pub.Publication) })
}

func covers(runs []api.StatusRun, leaf uint64) bool {
	return slices.ContainsFunc(runs, func(r api.StatusRun) bool { return leaf >= r.First && leaf-r.First < r.Count })
}

// grants demands exactly what the publication names: each registered by a leaf of its own, or by a proposal and the vote that approved it.
func (p *prover) grants(pub *api.Publication) error {
	missing := map[string]bool{"organisation " + pub.Owner: true, "line-key " + pub.Voucher: true}
	for _, id := range pub.Namespaces {
		missing["namespace "+id] = true
	}
	undecided := map[uint64]string{} // proposals, with their digests
	for i := range p.out.Grants {
		g := &p.out.Grants[i]
		if _, err := p.leaf(g, nil); err != nil {
			return err
		}
		used := false
		switch {
		case g.Proposal != nil:
			for _, o := range g.Proposal.Operations {
				used = take(missing, o.Kind, o.Registered) || used
			}
			undecided[g.Leaf] = g.Proposal.Digest
		case g.Vote != nil:
			used = undecided[g.Vote.Proposal] == g.Vote.Digest && g.Vote.Decision == ledger.Approved.String()
			delete(undecided, g.Vote.Proposal)
		default:
			used = take(missing, g.Kind, g.Registered)
		}
		if !used {
			return untrusted("leaf %d is no grant of this publication", g.Leaf)
		}
	}
	if len(missing)+len(undecided) > 0 {
		return untrusted("%d of the publication's grants are not told, %d proposals not decided", len(missing), len(undecided))
	}
	return nil
}

// take finds a registration among those that are missing.
func take(missing map[string]bool, kind string, r api.Registered) bool {
	id := ""
	switch {
	case r.Organisation != nil:
		id = r.Organisation.ID
	case r.LineKey != nil:
		id = r.LineKey.ID
	case r.Namespace != nil:
		id = r.Namespace.ID
	}
	if name := kind + " " + id; missing[name] {
		delete(missing, name)
		return true
	}
	return false
}

// refusal proves that a transaction asked to publish the certificate, and what it was told.
func (p *prover) refusal(r *api.Refused) error {
	raw, err := p.leaf(&r.Proved, nil)
	if err != nil {
		return err
	}
	e, err := ledger.ParseEntry(raw)
	if err != nil || e.Tx == nil || r.Position >= uint64(len(e.Tx.Codes)) {
		return untrusted("leaf %d has no operation %d", r.Leaf, r.Position)
	}
	env, err := ledger.ParseEnvelope(e.Tx.Envelope, ledger.ForLedger)
	if err != nil || r.Position >= uint64(len(env.Tx.Bodies)) {
		return untrusted("leaf %d is no transaction", r.Leaf)
	}
	body := ledger.EncodeBody(ledger.OpPublish, ledger.Publish{Profile: r.Profile, Certificate: p.der})
	code := e.Tx.Codes[r.Position]
	if env.Tx.Bodies[r.Position] != ledger.Sum(body) || code.OK() || code != r.Code {
		return untrusted("operation %d of leaf %d is no refusal of this certificate, or for another reason", r.Position, r.Leaf)
	}
	r.Reason, r.Sentence = code.String(), reason.Of(code).Sentence
	return nil
}
