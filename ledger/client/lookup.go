package client

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"

	"github.com/quorate-pki/quorate/ca/profile"
	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/api"
	"github.com/quorate-pki/quorate/ledger/tlog"
	"github.com/quorate-pki/quorate/verify"
)

// Place is what the nodes say of a certificate: where it is published, proved, or which members know no such certificate, told.
type Place struct {
	Found  *Found
	Absent []string // names of members, when not Found
	Doubt  error    // why the word of the last node that said so and does not count was not believed
	Err    error    // why the last receipt was not believed, or the certificate can be none
}

// Lookup asks where certificates are published. One proof is enough, whoever gives it. That a certificate is not published nobody can
// prove: nodes are asked until f+1 members have said so, each under its signature, of an epoch that fresh accepts. Where that many do
// not, Absent is shorter than Tellers. ErrNoNode when nobody answered at all. No certificate may come twice.
func (c *Client) Lookup(ctx context.Context, ders [][]byte, fresh func(*verify.Epoch) error) ([]Place, error) {
	out := make([]Place, len(ders))
	names := make([]ledger.CertificateName, len(ders))
	var pending []int
	for i, der := range ders {
		cert, err := profile.Parse(der)
		if err != nil {
			out[i].Err = err
			continue
		}
		names[i] = ledger.CertificateName{Key: ledger.Sum(cert.SPKI), Certificate: ledger.Sum(der)}
		pending = append(pending, i)
	}
	if len(pending) == 0 {
		return out, nil
	}
	answered, last := false, error(nil)
	first, n := int(c.last.Load()), len(c.cfg.Nodes)
	for i := range n {
		at := (first + i) % n
		a := asked{c: c, node: c.cfg.Nodes[at], ders: ders, names: names, out: out, fresh: fresh}
		for part := range slices.Chunk(pending, ledger.MaxOperations) {
			if err := a.places(ctx, part); err != nil {
				last = err
				continue
			}
			answered = true
		}
		pending = slices.DeleteFunc(pending, func(i int) bool { return out[i].Found != nil || len(out[i].Absent) >= c.Tellers() })
		if len(pending) == 0 {
			break
		}
	}
	if answered {
		return out, nil
	}
	if _, ok := reason.CodeOf(last); ok {
		return nil, translate(last)
	}
	return nil, fmt.Errorf("%w: %w", ErrNoNode, last)
}

// Tellers is how many members must say that a certificate is unknown: f+1.
func (c *Client) Tellers() int { return c.Trust().Policy().F() + 1 }

// asked is one node that is asked where certificates are.
type asked struct {
	c     *Client
	node  string
	ders  [][]byte
	names []ledger.CertificateName
	out   []Place
	fresh func(*verify.Epoch) error
}

func (a *asked) post(ctx context.Context, path string, q, answer any) error {
	body, err := json.Marshal(q)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, a.node+a.c.v1("%s", path), bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	raw, err := a.c.send(req)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(raw, answer); err != nil {
		return untrusted("%s: %v", path, err)
	}
	return nil
}

// places asks for some certificates, by their index. An error means that the node did not answer; what it answered wrongly is noted with
// the certificate.
func (a *asked) places(ctx context.Context, which []int) error {
	var q api.Certificates
	for _, i := range which {
		q.Certificates = append(q.Certificates, api.Name(a.names[i]))
	}
	var got api.Places
	if err := a.post(ctx, "/certificates", q, &got); err != nil {
		return err
	}
	if len(got.Leaves) != len(which) {
		return untrusted("asked for %d certificates, got %d", len(which), len(got.Leaves))
	}
	var absent []int
	at := map[uint64]int{}
	for k, i := range which {
		switch leaf := got.Leaves[k]; {
		case leaf == nil:
			absent = append(absent, i)
		default:
			at[*leaf] = i // of two at one leaf, one is proved at most
			a.out[i].Err = untrusted("no proof that it is at leaf %d", *leaf)
		}
	}
	if err := a.prove(ctx, at); err != nil {
		for _, i := range at {
			a.out[i].Err = err
		}
	}
	if len(absent) > 0 {
		a.absent(ctx, absent, got)
	}
	return nil
}

// prove fetches and checks the receipts of certificates by their leaf; halves of them when they are more than a node sends at once.
func (a *asked) prove(ctx context.Context, at map[uint64]int) error {
	if len(at) == 0 {
		return nil
	}
	var leaves []uint64
	for leaf := range at {
		leaves = append(leaves, leaf)
	}
	slices.Sort(leaves)
	var got api.Receipts
	err := a.post(ctx, "/receipts", api.Leaves{Leaves: leaves}, &got)
	if code, _ := reason.CodeOf(err); code == reason.TooLarge && len(leaves) > 1 {
		for half := range slices.Chunk(leaves, (len(leaves)+1)/2) {
			part := map[uint64]int{}
			for _, leaf := range half {
				part[leaf] = at[leaf]
			}
			if err := a.prove(ctx, part); err != nil {
				return err
			}
		}
		return nil
	}
	if err != nil {
		return err
	}
	if len(got.Receipts) != len(leaves) {
		return untrusted("asked for %d receipts, got %d", len(leaves), len(got.Receipts))
	}
	trust := tlog.Remember(a.c.trust(ctx))
	for k, leaf := range leaves {
		i := at[leaf]
		a.out[i].Found, a.out[i].Err = check(trust, []byte(got.Receipts[k]), leaf, a.ders[i])
	}
	return nil
}

// absent notes who says that certificates are not published.
func (a *asked) absent(ctx context.Context, which []int, got api.Places) {
	said, err := a.absence(ctx, got)
	for _, i := range which {
		switch {
		case err != nil:
			a.out[i].Doubt = err
		case !said.Says(a.names[i]):
			a.out[i].Doubt = untrusted("%s does not sign that it knows no such certificate", said.Member.Name)
		case !slices.Contains(a.out[i].Absent, said.Member.Name):
			a.out[i].Absent = append(a.out[i].Absent, said.Member.Name)
		}
	}
}

func (a *asked) absence(ctx context.Context, got api.Places) (*verify.Absent, error) {
	epoch, err := verify.LastEpoch(a.c.trust(ctx), []byte(got.Epoch))
	if err != nil {
		return nil, err
	}
	if err := a.fresh(epoch); err != nil {
		return nil, err
	}
	set, err := a.c.members(ctx, epoch)
	if err != nil {
		return nil, err
	}
	return verify.Absence(epoch, set, got.Absence)
}
