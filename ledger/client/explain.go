package client

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"net/http"

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
	p := explanation{prover: prover{tlog.Remember(c.trust(ctx))}, der: der, out: &Explained{Explanation: told}}
	if err := p.prove(); err != nil {
		return nil, err
	}
	return p.out, nil
}

// explanation is held against its proofs.
type explanation struct {
	prover
	der  []byte
	out  *Explained
	cert *profile.Certificate // nil when it does not parse
}

func (p *explanation) prove() error {
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
	case len(out.Grants)+len(out.Changes)+len(out.StatusProof) > 0 || out.Status != ledger.NoStatus.String():
		return untrusted("what was not published has no status")
	}
	if _, err := p.life(out.Life); err != nil {
		return err
	}
	for i := range out.Refusals {
		if err := p.refusal(&out.Refusals[i]); err != nil {
			return err
		}
	}
	out.Expect = api.Expect(info, p.cert, out.AsOf)
	return nil
}

func (p *explanation) published() (*ledger.CertificateInfo, error) {
	out := p.out
	if err := p.leaf(out.Publication); err != nil {
		return nil, err
	}
	var err error
	if out.Published, err = verify.Receipt(p.trust, []byte(out.Publication.Receipt), p.der); err != nil {
		return nil, err
	}
	if err := p.grants(out.Publication.Publication); err != nil {
		return nil, err
	}
	s, err := p.course(out.Publication.Leaf, &out.Course, out.Publication.Publication)
	if err != nil {
		return nil, err
	}
	if s.Size < out.Published.Size {
		return nil, reason.New(reason.Stale, "the status is of %d leaves, and leaf %d is known to exist", s.Size, out.Published.Size-1)
	}
	out.Standing, out.AsOf, out.Size = s, s.AsOf, s.Size
	info := &ledger.CertificateInfo{Standing: ledger.Standing{Status: s.Status}}
	if err := s.Vouched(&out.Published.Effects); err != nil {
		return nil, err
	}
	info.Reason, _ = s.Reason()
	return info, nil
}

// grants demands exactly what the publication names: each registered by a leaf of its own, or by a proposal and the vote that approved it.
func (p *explanation) grants(pub *api.Publication) error {
	missing := map[string]bool{"organisation " + pub.Owner: true}
	if pub.Voucher != "" { // else the owner's admins vouched themselves
		missing["line-key "+pub.Voucher] = true
	}
	for _, id := range pub.Namespaces {
		missing["namespace "+id] = true
	}
	undecided := map[uint64]string{} // proposals, with their digests
	for i := range p.out.Grants {
		g := &p.out.Grants[i]
		if err := p.leaf(g); err != nil {
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
func (p *explanation) refusal(r *api.Refused) error {
	if err := p.leaf(&r.Proved); err != nil {
		return err
	}
	e, err := ledger.ParseEntry(r.Entry)
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
