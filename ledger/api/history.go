package api

import (
	"context"
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
)

const (
	maxHistories = 16 // certificates, and claims, told of one device, the newest of each
	maxCourse    = 20 // status changes told of each, the newest
)

// History is the life of a device: its certificates over all its keys, who held it, who used it. What is Proved carries its receipt,
// and each life event names the one before, so that none can be left out between two that are told; that nothing came after the last, the
// node tells.
type History struct {
	Device string    `json:"device"` // device hash, hex
	AsOf   time.Time `json:"as_of"`  // freshness of the state this was read from
	Size   uint64    `json:"size"`   // leaves of the log then

	Organisations []Proved `json:"organisations"` // registrations of the owner and of everyone who held the device: a leaf, or a proposal and its deciding vote
	Life          []Proved `json:"life"`          // rekey, transfer, claim, retire, return; oldest first
	MoreLife      bool     `json:"more_life"`     // older ones are left out

	Certificates     []CertificateHistory `json:"certificates"` // of all its keys, oldest first
	MoreCertificates bool                 `json:"more_certificates"`
	Claims           []ClaimHistory       `json:"claims"` // of those in life, oldest first
	MoreClaims       bool                 `json:"more_claims"`
}

// CertificateHistory is a certificate of a device and what became of it.
type CertificateHistory struct {
	Publication Proved `json:"publication"`
	Course
}

// ClaimHistory is a use of a device and what became of it. Its claim is told among the life events.
type ClaimHistory struct {
	Leaf uint64 `json:"leaf"`
	Course
}

func (a *api) history(w http.ResponseWriter, r *http.Request) error {
	device, err := ledger.ParseHash(chi.URLParam(r, "device"))
	if err != nil {
		return reason.New(reason.BadRequest, "%v", err)
	}
	leave, err := admit(a.pages)
	if err != nil {
		return err
	}
	defer leave()
	out, err := tellHistory(r.Context(), a.cfg.Reader, device)
	if err != nil {
		return err
	}
	return writeJSON(w, out)
}

func tellHistory(ctx context.Context, reader ledger.Reader, device ledger.Hash) (*History, error) {
	x := explainer{ctx, reader}
	h, err := reader.Head(ctx)
	if err != nil {
		return nil, err
	}
	out := &History{Device: hex.EncodeToString(device[:]), AsOf: h.Time, Size: h.Size, Certificates: []CertificateHistory{}, Claims: []ClaimHistory{}}
	get := ledger.RecordsOf(ctx, reader)
	var d ledger.DeviceRecord
	found, err := get.Into(ledger.RecordDevice, device[:], &d)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, ledger.ErrNotFound
	}
	newest, err := ledger.ReadPublication(get, d.Leaf)
	if err != nil {
		return nil, err
	}
	if out.Life, out.MoreLife, err = x.life(device); err != nil {
		return nil, err
	}
	out.MoreCertificates = out.MoreLife // those of keys before
	leaves, owner, err := x.certificates(out, newest.Key)
	if err != nil {
		return nil, err
	}
	for _, leaf := range leaves {
		c := CertificateHistory{}
		if c.Publication, err = x.prove(leaf); err == nil {
			c.Course, err = x.course(leaf, maxCourse, c.Publication.Publication)
		}
		if err != nil {
			return nil, err
		}
		out.Certificates = append(out.Certificates, c)
	}
	for _, e := range slices.Backward(out.Life) {
		if e.Life.Step != ledger.OpClaim.String() {
			continue
		}
		if len(out.Claims) == maxHistories {
			out.MoreClaims = true
			break
		}
		c := ClaimHistory{Leaf: e.Leaf}
		if c.Course, err = x.course(e.Leaf, maxCourse, nil); err != nil {
			return nil, err
		}
		out.Claims = append(out.Claims, c)
	}
	slices.Reverse(out.Claims)
	return out, x.organisations(out, owner)
}

// certificates finds the newest certificates of a device, oldest first: those of the key that it has, and of the keys before it.
func (x explainer) certificates(out *History, key ledger.Hash) (leaves []uint64, owner ledger.OrgID, err error) {
	keys := []ledger.Hash{key}
	for _, e := range slices.Backward(out.Life) {
		if e.Life.Step == ledger.OpRekey.String() {
			old, err := ledger.ParseHash(e.Life.Key)
			if err != nil {
				return nil, owner, err
			}
			keys = append(keys, old)
		}
	}
	for _, id := range keys {
		k, err := ledger.ReadKey(ledger.RecordsOf(x.ctx, x.reader), id)
		if err != nil {
			return nil, owner, err
		}
		if k == nil {
			return nil, owner, fmt.Errorf("device %s had key %x, of which nothing is published", out.Device, id)
		}
		owner = k.Owner
		for _, c := range slices.Backward(k.Certificates) {
			if len(leaves) == maxHistories {
				out.MoreCertificates = true
				break
			}
			leaves = append(leaves, c.Leaf)
		}
	}
	slices.Reverse(leaves)
	return leaves, owner, nil
}

// organisations proves who is behind the ids that a history names.
func (x explainer) organisations(out *History, owner ledger.OrgID) error {
	ids := []string{owner.String()}
	for _, e := range out.Life {
		if !slices.Contains(ids, e.Life.Holder) {
			ids = append(ids, e.Life.Holder)
		}
	}
	out.Organisations = []Proved{}
	for _, s := range ids {
		id, err := hex.DecodeString(s)
		if err != nil {
			return err
		}
		var org ledger.OrgRecord
		found, err := ledger.RecordsOf(x.ctx, x.reader).Into(ledger.RecordOrg, id, &org)
		if err != nil {
			return err
		}
		if !found {
			return fmt.Errorf("device %s was held by %s, which is not registered", out.Device, s)
		}
		for _, leaf := range []uint64{org.Leaf, org.Decision} { // a proposal of the members, and the vote that approved it
			if leaf == 0 || slices.ContainsFunc(out.Organisations, func(p Proved) bool { return p.Leaf == leaf }) {
				continue
			}
			p, err := x.prove(leaf)
			if err != nil {
				return err
			}
			out.Organisations = append(out.Organisations, p)
		}
	}
	return nil
}
