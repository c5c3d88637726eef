package client

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"slices"
	"time"

	"github.com/quorate-pki/quorate/ca/profile"
	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/api"
	"github.com/quorate-pki/quorate/ledger/tlog"
	"github.com/quorate-pki/quorate/verify"
)

// Lived is the history of a device of which everything that is there is proved: each certificate, each life event, each change of a
// status. No life event between two of them is missing, nor before the first when there are not more; that nothing came after the
// last, is told.
type Lived struct {
	*api.History
	Owner        string             // organisation id
	Holder       string             // organisation id of who holds the device
	Retired      bool               // nothing more happens to it
	Keys         []string           // key ids, oldest first; the last is the device's
	Next         uint64             // leaf that the next life step follows
	Certificates []*verify.Standing // of History.Certificates, one for one
	Claims       []*verify.Standing // of History.Claims
	Names        map[string]string  // of organisations, by id
}

// History asks for the life of a device, and proves it, in a tree that holds the leaf at: an older one is refused as stale.
func (c *Client) History(ctx context.Context, device ledger.Hash, at uint64) (*Lived, error) {
	return elsewhere(c, func() (*Lived, error) { return c.history(ctx, device, at) })
}

// HistoryOf is History of the device that a key is, or was, of; ErrNotFound when nothing is published over it, which is told.
func (c *Client) HistoryOf(ctx context.Context, key ledger.Hash, at uint64) (*Lived, error) {
	return elsewhere(c, func() (*Lived, error) {
		device, err := c.deviceOf(ctx, key)
		if err != nil {
			return nil, err
		}
		l, err := c.history(ctx, device, at)
		if err == nil && !slices.Contains(l.Keys, hex.EncodeToString(key[:])) {
			return nil, untrusted("the device told never had key %x", key)
		}
		return l, err
	})
}

func (c *Client) history(ctx context.Context, device ledger.Hash, at uint64) (*Lived, error) {
	raw, err := c.get(ctx, c.v1("/history/%x", device))
	if err != nil {
		return nil, err
	}
	told := &api.History{}
	if err := json.Unmarshal(raw, told); err != nil {
		return nil, untrusted("the history: %v", err)
	}
	h := lived{prover{tlog.Remember(c.trust(ctx))}, &Lived{History: told, Names: map[string]string{}}}
	if err := h.prove(hex.EncodeToString(device[:])); err != nil {
		return nil, err
	}
	if h.out.Size <= at {
		return nil, reason.New(reason.Stale, "the history is of %d leaves, and leaf %d is known to exist", h.out.Size, at)
	}
	return h.out, nil
}

// lived is a history that is held against its proofs.
type lived struct {
	prover
	out *Lived
}

func (h *lived) prove(device string) (err error) {
	out := h.out
	if out.Device != device || len(out.History.Certificates) == 0 {
		return untrusted("the history is of another device, or of no certificate")
	}
	if out.Keys, err = h.life(out.Life); err != nil {
		return err
	}
	if err := h.organisations(); err != nil {
		return err
	}
	if err := h.certificates(device); err != nil {
		return err
	}
	if err := h.claims(); err != nil {
		return err
	}
	if len(out.Life) == 0 {
		out.Holder = out.Owner
	}
	for _, e := range out.Life {
		if e.Life.Device != device || e.Life.Owner != out.Owner {
			return untrusted("leaf %d is of another device or owner", e.Leaf)
		}
		out.Holder, out.Next = e.Life.Holder, e.Leaf
		out.Retired = out.Retired || e.Life.Step == ledger.OpRetire.String()
	}
	for _, id := range append([]string{out.Owner, out.Holder}, holders(out.Life)...) {
		if out.Names[id] == "" {
			return untrusted("organisation %s is not told", id)
		}
	}
	return nil
}

func holders(events []api.Proved) (out []string) {
	for _, e := range events {
		out = append(out, e.Life.Holder)
	}
	return out
}

// organisations proves who is behind the ids: each registered by a leaf of its own, or by a proposal and the vote that approved it.
func (h *lived) organisations() error {
	name := func(r api.Registered) {
		if o := r.Organisation; o != nil {
			h.out.Names[o.ID] = o.Name
		}
	}
	proposed := map[uint64]*api.Proposal{}
	for i := range h.out.Organisations {
		o := &h.out.Organisations[i]
		if err := h.leaf(o); err != nil {
			return err
		}
		switch {
		case o.Proposal != nil:
			proposed[o.Leaf] = o.Proposal
		case o.Vote != nil:
			p := proposed[o.Vote.Proposal]
			if p == nil || p.Digest != o.Vote.Digest || o.Vote.Decision != ledger.Approved.String() {
				return untrusted("leaf %d does not approve a proposal told", o.Leaf)
			}
			for _, op := range p.Operations {
				name(op.Registered)
			}
		case o.Organisation != nil:
			name(o.Registered)
		default:
			return untrusted("leaf %d registers no organisation", o.Leaf)
		}
	}
	return nil
}

// certificates proves the certificates and their status, and that the first life event follows the first of them.
func (h *lived) certificates(device string) error {
	out := h.out
	for i := range out.History.Certificates {
		c := &out.History.Certificates[i]
		if err := h.leaf(&c.Publication); err != nil {
			return err
		}
		pub := c.Publication.Publication
		if pub == nil || pub.Device != device || i > 0 && (pub.Owner != out.Owner || c.Publication.Leaf <= out.History.Certificates[i-1].Publication.Leaf) {
			return untrusted("leaf %d is no certificate of this device, or out of order", c.Publication.Leaf)
		}
		out.Owner = pub.Owner
		key, err := keyOf(c.Publication.Entry)
		if err != nil {
			return err
		}
		if len(out.Keys) == 0 {
			out.Keys = []string{key} // nothing happened to the device, so it has the one
		}
		if !slices.Contains(out.Keys, key) {
			return untrusted("leaf %d is over key %s, which the device never had", c.Publication.Leaf, key)
		}
		s, err := h.statused(c.Publication.Leaf, &c.Course, pub)
		if err != nil {
			return err
		}
		if e, err := ledger.ParseEntry(c.Publication.Entry); err != nil || s.Vouched(&e.Op.Effects) != nil {
			return untrusted("leaf %d was not cut off by leaf %d", c.Publication.Leaf, s.Cause.Index)
		}
		out.Certificates = append(out.Certificates, s)
		out.asOf(s)
	}
	first := out.History.Certificates[0].Publication.Leaf
	out.Next = first
	if len(out.Life) > 0 && !out.MoreLife && !out.MoreCertificates && out.Life[0].Life.Previous != first {
		return untrusted("life begins after leaf %d, and the first certificate is in leaf %d", out.Life[0].Life.Previous, first)
	}
	return nil
}

// statused proves what became of a certificate or claim. What a life event did to it is told among the life events.
func (h *lived) statused(leaf uint64, told *api.Course, pub *api.Publication) (*verify.Standing, error) {
	s, err := h.course(leaf, told, pub)
	if err != nil {
		return nil, err
	}
	for _, c := range told.Changes {
		known := func(e api.Proved) bool { return e.Leaf == c.Leaf }
		before := h.out.MoreLife && len(h.out.Life) > 0 && c.Leaf < h.out.Life[0].Leaf
		if c.Life != nil && !before && !slices.ContainsFunc(h.out.Life, known) {
			return nil, untrusted("leaf %d is a life event, and not told as one", c.Leaf)
		}
	}
	return s, nil
}

// asOf keeps the age and size of the oldest of the statuses proved: so much of the answer is known.
func (l *Lived) asOf(s *verify.Standing) {
	if len(l.Certificates)+len(l.Claims) == 1 || s.AsOf.Before(l.AsOf) {
		l.AsOf, l.Size = s.AsOf, s.Size
	}
}

func keyOf(entry []byte) (string, error) {
	cert, err := profile.Parse(publishedIn(entry))
	if err != nil {
		return "", untrusted("%v", err)
	}
	id := ledger.Sum(cert.SPKI)
	return hex.EncodeToString(id[:]), nil
}

// claims proves the status of every claim among the life events, or of the newest of them.
func (h *lived) claims() error {
	out := h.out
	var leaves []uint64
	for _, e := range out.Life {
		if e.Life.Step == ledger.OpClaim.String() {
			leaves = append(leaves, e.Leaf)
		}
	}
	if n := len(leaves) - len(out.History.Claims); n < 0 || n > 0 && !out.MoreClaims {
		return untrusted("%d claims, and the status of %d", len(leaves), len(out.History.Claims))
	} else {
		leaves = leaves[n:]
	}
	for i := range out.History.Claims {
		c := &out.History.Claims[i]
		if c.Leaf != leaves[i] {
			return untrusted("leaf %d is no claim of this device", c.Leaf)
		}
		s, err := h.statused(c.Leaf, &c.Course, nil)
		if err != nil {
			return err
		}
		out.Claims = append(out.Claims, s)
		out.asOf(s)
	}
	return nil
}

// Fresh refuses a history that is older than maxAge.
func (l *Lived) Fresh(now time.Time, maxAge time.Duration) error {
	if age := now.Sub(l.AsOf); age > maxAge {
		return reason.New(reason.Stale, "as of %s, %s ago", l.AsOf.Format(time.RFC3339), age.Round(time.Second))
	}
	return nil
}

// deviceOf is the device that a key is, or was, of: told.
func (c *Client) deviceOf(ctx context.Context, key ledger.Hash) (ledger.Hash, error) {
	k, err := c.keyRecord(ctx, key)
	if err != nil {
		return ledger.Hash{}, err
	}
	return k.Device, nil
}
