package api

import (
	"context"
	"encoding/hex"
	"net/http"
	"slices"

	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/tlog"
)

// Certificates asks where certificates are published.
type Certificates struct {
	Certificates []CertificateName `json:"certificates"` // 1 to 1,024, none twice
}

// CertificateName is a ledger.CertificateName as JSON.
type CertificateName struct {
	Key         string `json:"key"`         // hex
	Certificate string `json:"certificate"` // hex
}

// Places says where they are: told, for a receipt to prove. What the node does not know it signs for.
type Places struct {
	Leaves  []*uint64 `json:"leaves"`            // in the order asked for; null: not published
	Absence []byte    `json:"absence,omitempty"` // a ledger.Absence of all that are null
	Epoch   string    `json:"epoch,omitempty"`   // the receipt of the epoch it is about
}

// Teller is whose word an absence is.
type Teller struct {
	Member uint64        // its number in the member set
	Key    ledger.Signer // its responder key
}

func parseNames(in []CertificateName) (out []ledger.CertificateName, err error) {
	if len(in) == 0 || len(in) > ledger.MaxOperations {
		return nil, reason.New(reason.BadRequest, "%d certificates, 1 to %d", len(in), ledger.MaxOperations)
	}
	seen := make(map[ledger.CertificateName]bool, len(in))
	for _, x := range in {
		var n ledger.CertificateName
		if n.Key, err = ledger.ParseHash(x.Key); err != nil {
			return nil, reason.New(reason.BadRequest, "%v", err)
		}
		if n.Certificate, err = ledger.ParseHash(x.Certificate); err != nil {
			return nil, reason.New(reason.BadRequest, "%v", err)
		}
		if seen[n] {
			return nil, reason.New(reason.BadRequest, "certificate %s twice", x.Certificate)
		}
		seen[n] = true
		out = append(out, n)
	}
	return out, nil
}

func (a *api) certificates(w http.ResponseWriter, r *http.Request) error {
	leave, err := a.batch()
	if err != nil {
		return err
	}
	defer leave()
	var q Certificates
	if err := readJSON(w, r, 256<<10, &q); err != nil {
		return err
	}
	names, err := parseNames(q.Certificates)
	if err != nil {
		return err
	}
	// The epoch comes first: what is not found after it was not there then.
	epoch, err := a.cfg.Epochs.Epoch(r.Context())
	if err != nil {
		return err
	}
	out := Places{Leaves: make([]*uint64, len(names))}
	var absent []ledger.CertificateName
	for i, n := range names {
		if out.Leaves[i], err = a.place(r.Context(), n); err != nil {
			return err
		}
		if out.Leaves[i] == nil {
			absent = append(absent, n)
		}
	}
	if len(absent) > 0 {
		out.Epoch = string(epoch)
		if out.Absence, err = a.tell(epoch, absent); err != nil {
			return err
		}
	}
	return writeJSON(w, out)
}

// place is the leaf that a certificate is published at, nil for none.
func (a *api) place(ctx context.Context, n ledger.CertificateName) (*uint64, error) {
	k, err := ledger.ReadKey(ledger.RecordsOf(ctx, a.cfg.Reader), n.Key)
	if err != nil || k == nil {
		return nil, err
	}
	for _, c := range k.Certificates {
		if c.DER == n.Certificate {
			return &c.Leaf, nil
		}
	}
	return nil, nil
}

// tell signs that certificates are absent from the tree that an epoch ends.
func (a *api) tell(epoch []byte, absent []ledger.CertificateName) ([]byte, error) {
	p, err := tlog.ParseProof(epoch)
	if err != nil {
		return nil, err
	}
	c, _, err := tlog.ParseNote(p.Note)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(absent, ledger.CertificateName.Compare)
	s := ledger.AbsenceStatement{Member: a.cfg.Teller.Member, Size: c.Size, Root: c.Root, Absent: absent}
	return s.Sign(a.cfg.Teller.Key)
}

// Name is the JSON form of a name.
func Name(n ledger.CertificateName) CertificateName {
	return CertificateName{hex.EncodeToString(n.Key[:]), hex.EncodeToString(n.Certificate[:])}
}
