package api

import (
	"cmp"
	"context"
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/quorate-pki/quorate/ca/profile"
	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
)

const (
	maxExplaining = 16  // explanations made at a time: each has 3 MiB at the very most
	maxChanges    = 100 // status changes told of one publication, the newest
	maxRefusals   = 16  // refusals told of one certificate, the newest
)

// Explanation is all that the log says of a certificate. What is Proved carries its receipt; that nothing else is on the log,
// the node tells.
type Explanation struct {
	Certificate string    `json:"certificate"` // SHA-256 of the DER, hex
	Key         string    `json:"key"`         // key id, hex; empty when the certificate does not parse
	AsOf        time.Time `json:"as_of"`       // freshness of the state this was read from
	Size        uint64    `json:"size"`        // leaves of the log then

	Publication *Proved  `json:"publication,omitempty"` // absent: not published
	Grants      []Proved `json:"grants"`                // what entitled it: the owner, the line key, the namespaces
	Course
	Barred   bool     `json:"barred"`   // the key was revoked as a key
	Siblings []uint64 `json:"siblings"` // leaves of the key's other certificates
	Life     []Proved `json:"life"`     // of its device: rekey, transfer, claim, retire, return; oldest first
	MoreLife bool     `json:"more_life"`

	Refusals     []Refused `json:"refusals"` // transactions on the log that asked for its publication in vain, oldest first
	MoreRefusals bool      `json:"more_refusals"`

	Expect Expectation `json:"expect"`
}

// Course is what became of a leaf that has a status: a publication, or a claim.
type Course struct {
	Changes     []Proved `json:"changes"`                // oldest first
	MoreChanges bool     `json:"more_changes"`           // older ones are left out
	Status      string   `json:"status"`                 // good, suspended, revoked; "no status" when not published
	StatusProof string   `json:"status_proof,omitempty"` // as /status has it
}

// Proved is a leaf with its receipt.
type Proved struct {
	Event
	Receipt string `json:"receipt"` // a C2SP tlog-proof
}

// Refused is a refusal: a transaction's leaf, and which of its operations was about the certificate.
type Refused struct {
	Proved
	Position uint64 `json:"position"` // of the operation in the transaction
	Profile  uint64 `json:"profile"`  // that it was to be published as

	Code     reason.Code `json:"code"`
	Reason   string      `json:"reason"`
	Sentence string      `json:"sentence"` // what happened and what to do
}

// Expectation is what a relying party should see.
type Expectation struct {
	Verdict  Verdict `json:"verdict"`  // accepted when it is good, as `quorate status` concludes
	Sentence string  `json:"sentence"` // what that means
	OCSP     string  `json:"ocsp"`     // good, unknown, or revoked and the reason (RFC 6960)
}

func (a *api) explainLeaf(w http.ResponseWriter, r *http.Request) error {
	i, err := index(r)
	if err != nil {
		return err
	}
	raw, err := a.cfg.Reader.Entry(r.Context(), i)
	if err != nil {
		return err
	}
	e, err := ledger.ParseEntry(raw)
	if err != nil {
		return err
	}
	if e.Op != nil {
		_, args, err := ledger.ParseBody(e.Op.Body)
		if err != nil {
			return err
		}
		if p := ledger.PublicationOf(args); p != nil && p.Certificate != nil {
			return a.explain(w, r, p.Certificate)
		}
	}
	return reason.New(reason.NotAPublication, "leaf %d", i)
}

func (a *api) explainCertificate(w http.ResponseWriter, r *http.Request) error {
	der, err := body(w, r, ledger.MaxCertificate)
	if err != nil {
		return err
	}
	if len(der) == 0 {
		return reason.New(reason.BadRequest, "the body is a certificate in DER")
	}
	return a.explain(w, r, der)
}

func (a *api) explain(w http.ResponseWriter, r *http.Request, der []byte) error {
	leave, err := admit(a.pages)
	if err != nil {
		return err
	}
	defer leave()
	x := explainer{r.Context(), a.cfg.Reader}
	out, err := x.explain(der)
	if err != nil {
		return err
	}
	return writeJSON(w, out)
}

// explainer reads what the log says of a certificate.
type explainer struct {
	ctx    context.Context
	reader ledger.Reader
}

func (x explainer) explain(der []byte) (*Explanation, error) {
	h, err := x.reader.Head(x.ctx)
	if err != nil {
		return nil, err
	}
	sum := ledger.Sum(der)
	out := &Explanation{Certificate: hex.EncodeToString(sum[:]), AsOf: h.Time, Size: h.Size, Grants: []Proved{}, Siblings: []uint64{}, Life: []Proved{},
		Refusals: []Refused{}, Course: Course{Changes: []Proved{}, Status: ledger.NoStatus.String()}}
	var info *ledger.CertificateInfo
	cert, parseErr := profile.Parse(der)
	if parseErr == nil { // what does not parse was never published, and may have been refused
		if info, err = x.find(out, cert, sum); err != nil {
			return nil, err
		}
	}
	if info != nil {
		if err := x.published(out, info); err != nil {
			return nil, err
		}
	}
	if err := x.refusals(out, der); err != nil {
		return nil, err
	}
	out.Expect = Expect(info, cert, h.Time)
	return out, nil
}

// find looks the certificate up among those of its key.
func (x explainer) find(out *Explanation, cert *profile.Certificate, sum ledger.Hash) (info *ledger.CertificateInfo, err error) {
	key := ledger.Sum(cert.SPKI)
	out.Key = hex.EncodeToString(key[:])
	k, err := ledger.ReadKey(ledger.RecordsOf(x.ctx, x.reader), key)
	if err != nil || k == nil {
		return nil, err
	}
	if err := k.CutOff(x.cuts); err != nil {
		return nil, err
	}
	out.Barred = k.Barred
	if out.Life, out.MoreLife, err = x.life(k.Device); err != nil {
		return nil, err
	}
	for i, c := range k.Certificates {
		if c.DER == sum {
			info = &k.Certificates[i]
		} else {
			out.Siblings = append(out.Siblings, c.Leaf)
		}
	}
	return info, nil
}

// cuts are the cut-offs of a line key or organisation, by its id.
func (x explainer) cuts(target []byte) ([]ledger.Cut, error) {
	return ledger.CutsOf(target, ledger.RecordsOf(x.ctx, x.reader).Into)
}

// cutBy are the leaves whose cut-offs cover a publication.
func (x explainer) cutBy(p *Publication, leaf uint64) (out []uint64, err error) {
	for _, id := range []string{p.Voucher, p.Owner} {
		target, err := hex.DecodeString(id)
		if err != nil {
			return nil, err
		}
		cuts, err := x.cuts(target)
		if err != nil {
			return nil, err
		}
		for _, c := range cuts {
			if c.Covers(leaf) && !slices.Contains(out, c.Leaf) {
				out = append(out, c.Leaf)
			}
		}
	}
	return out, nil
}

// published tells what entitled a publication, and what became of it.
func (x explainer) published(out *Explanation, info *ledger.CertificateInfo) error {
	p, err := x.prove(info.Leaf)
	if err != nil {
		return err
	}
	if p.Publication == nil {
		return fmt.Errorf("leaf %d is indexed as a publication and is none", info.Leaf)
	}
	out.Publication = &p
	if err := x.grants(out, p.Publication); err != nil {
		return err
	}
	out.Course, err = x.course(info.Leaf, maxChanges, p.Publication)
	return err
}

// course tells what became of a leaf's status: at most so many changes, the newest. Of a publication, the cut-offs of who vouched are among
// them.
func (x explainer) course(leaf uint64, most int, pub *Publication) (out Course, err error) {
	leaves, more, err := x.newest(ledger.RecordChange, ledger.ChangeKey(leaf, 0)[:8], most, func(key []byte) (uint64, error) {
		_, change, err := ledger.ParseChangeKey(key)
		return change, err
	})
	if err != nil {
		return out, err
	}
	if pub != nil {
		cuts, err := x.cutBy(pub, leaf)
		if err != nil {
			return out, err
		}
		leaves = append(leaves, cuts...)
		slices.Sort(leaves)
		if extra := len(leaves) - most; extra > 0 {
			leaves, more = leaves[extra:], true
		}
	}
	out.MoreChanges = more
	if out.Changes, err = x.proveAll(leaves); err != nil {
		return out, err
	}
	s, err := x.reader.Status(x.ctx, leaf)
	out.Status, out.StatusProof = s.Status.String(), string(s.Proof)
	return out, err
}

// life tells what happened to a device.
func (x explainer) life(device ledger.Hash) ([]Proved, bool, error) {
	leaves, more, err := x.newest(ledger.RecordLife, device[:], maxChanges, func(key []byte) (uint64, error) {
		_, leaf, err := ledger.ParseLifeKey(key)
		return leaf, err
	})
	if err != nil {
		return nil, false, err
	}
	out, err := x.proveAll(leaves)
	return out, more, err
}

// newest finds the leaves that records name which find the newest first: at most so many, the oldest of them first, and says
// whether there are more.
func (x explainer) newest(kind ledger.RecordKind, prefix []byte, most int, parse func(key []byte) (uint64, error)) (leaves []uint64, more bool, err error) {
	for rec, err := range x.reader.Records(x.ctx, kind, prefix, nil) {
		if err != nil {
			return nil, false, err
		}
		leaf, err := parse(rec.Key)
		if err != nil {
			return nil, false, err
		}
		if len(leaves) == most {
			more = true
			break
		}
		leaves = append(leaves, leaf)
	}
	slices.Reverse(leaves)
	return leaves, more, nil
}

func (x explainer) proveAll(leaves []uint64) ([]Proved, error) {
	out := []Proved{}
	for _, leaf := range leaves {
		p, err := x.prove(leaf)
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}

// grants proves the leaves that registered owner, line key and namespaces.
func (x explainer) grants(out *Explanation, p *Publication) error {
	var org ledger.OrgRecord
	var key ledger.RegisteredKey
	type grant struct {
		kind           ledger.RecordKind
		id             string
		into           any
		leaf, decision *uint64 // its own leaf, or the proposal's and the vote's that decided
	}
	all := []grant{{ledger.RecordOrg, p.Owner, &org, &org.Leaf, &org.Decision}}
	if p.Voucher != "" { // else the owner's admins vouched themselves
		all = append(all, grant{ledger.RecordRegistry, p.Voucher, &key, &key.Leaf, &key.Decision})
	}
	for _, id := range p.Namespaces {
		n := new(ledger.NamespaceRecord)
		all = append(all, grant{ledger.RecordNamespace, id, n, &n.Leaf, &n.Decision})
	}
	told := map[uint64]bool{} // one proposal may have granted several of them
	for _, g := range all {
		id, err := hex.DecodeString(g.id)
		if err != nil {
			return err
		}
		found, err := ledger.RecordsOf(x.ctx, x.reader).Into(g.kind, id, g.into)
		if err != nil {
			return err
		}
		if !found {
			return fmt.Errorf("leaf %d names %s, which is not registered", out.Publication.Leaf, g.id)
		}
		for _, leaf := range []uint64{*g.leaf, *g.decision} {
			if leaf == 0 || told[leaf] {
				continue
			}
			proved, err := x.prove(leaf)
			if err != nil {
				return err
			}
			out.Grants, told[leaf] = append(out.Grants, proved), true
		}
	}
	return nil
}

// attempt is a refusal as the index has it.
type attempt struct {
	tx       uint64
	position uint16
	profile  uint64
}

// refusals finds the transactions that asked to publish the certificate, as any profile, and were refused. Anybody whose
// transactions reach the log can add to them, so only the newest are looked at.
func (x explainer) refusals(out *Explanation, der []byte) error {
	var found []attempt
	for _, p := range profile.All() {
		body := ledger.Sum(ledger.EncodeBody(ledger.OpPublish, ledger.Publish{Profile: uint64(p.ID), Certificate: der}))
		n := 0
		for rec, err := range x.reader.Records(x.ctx, ledger.RecordRefusal, body[:], nil) {
			if err != nil {
				return err
			}
			_, tx, position, err := ledger.ParseRefusalKey(rec.Key)
			if err != nil {
				return err
			}
			found = append(found, attempt{tx, position, uint64(p.ID)})
			if n++; n > maxRefusals {
				break
			}
		}
	}
	slices.SortFunc(found, func(a, b attempt) int {
		return cmp.Or(cmp.Compare(a.tx, b.tx), cmp.Compare(a.position, b.position))
	})
	if extra := len(found) - maxRefusals; extra > 0 {
		found, out.MoreRefusals = found[extra:], true
	}
	for _, f := range found {
		proved, err := x.prove(f.tx)
		if err != nil {
			return err
		}
		if proved.Transaction == nil || int(f.position) >= len(proved.Transaction.Verdicts) {
			return fmt.Errorf("leaf %d is indexed as a refusal and is none", f.tx)
		}
		v := proved.Transaction.Verdicts[f.position]
		out.Refusals = append(out.Refusals, Refused{proved, uint64(f.position), f.profile, v.Code, v.Reason, reason.Of(v.Code).Sentence})
	}
	return nil
}

func (x explainer) prove(leaf uint64) (Proved, error) {
	entry, err := x.reader.Entry(x.ctx, leaf)
	if err != nil {
		return Proved{}, err
	}
	event, err := Describe(leaf, entry)
	if err != nil {
		return Proved{}, err
	}
	receipt, err := x.reader.Receipt(x.ctx, leaf)
	return Proved{event, string(receipt)}, err
}

// record reads the one record of exactly this key.
// Expect says what a relying party should see of a certificate at a time: what package verify concludes, and OCSP. info is nil
// when it is not published, cert when it does not parse.
func Expect(info *ledger.CertificateInfo, cert *profile.Certificate, now time.Time) Expectation {
	code, ocsp := reason.UnknownCertificate, "unknown"
	if info != nil && cert != nil {
		code, ocsp = reason.Accepted, "good"
		switch t := now.Unix(); {
		case info.Status == ledger.Revoked:
			code, ocsp = reason.RevokedCertificate, "revoked, "+ledger.ReasonName(info.Reason)
		case info.Status == ledger.Suspended:
			code, ocsp = reason.SuspendedCert, "revoked, "+ledger.ReasonName(ledger.CertificateHold)
		case t < cert.NotBefore:
			code = reason.BeforeValidity
		case t > cert.NotAfter:
			code = reason.AfterValidity
		}
	}
	out := Expectation{Verdict{Code: code, Reason: code.String()}, reason.Of(code).Sentence, ocsp}
	if code == reason.Accepted {
		out.Sentence = "The certificate is published and stands."
	}
	return out
}
