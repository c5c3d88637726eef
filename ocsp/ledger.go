package ocsp

import (
	"context"
	"crypto"
	"fmt"
	"time"

	"github.com/quorate-pki/quorate/ledger"
)

// LedgerSource answers from a ledger.Reader. Its Freshness reads the head before any status, so a status is never
// presented as fresher than what it was read from.
type LedgerSource struct{ Reader ledger.Reader }

var _ Source = LedgerSource{}

// Freshness implements Source.
func (s LedgerSource) Freshness(ctx context.Context) (time.Time, error) {
	h, err := s.Reader.Head(ctx)
	return h.Time, err
}

// hashNumbers are the algorithms of ledger.CertIDKey.
var hashNumbers = map[crypto.Hash]uint8{crypto.SHA1: 1, crypto.SHA256: 2, crypto.SHA384: 3}

// maxSerial is the longest serial number a published certificate has, in content octets.
const maxSerial = 20

// Status implements Source.
func (s LedgerSource) Status(ctx context.Context, id CertID) (Standing, error) {
	alg, ok := hashNumbers[id.Hash]
	if !ok || len(id.Serial) > maxSerial {
		return Standing{}, nil
	}
	at, found, err := ledger.FindCertID(alg, id.IssuerNameHash, id.IssuerKeyHash, id.Serial, func(key []byte) ([]byte, error) {
		return rawRecord(ctx, s.Reader, ledger.RecordCertID, key)
	})
	if err != nil || !found {
		return Standing{}, err
	}
	var key ledger.KeyRecord
	found, err = record(ctx, s.Reader, ledger.RecordKey, at.Key[:], &key)
	if err != nil {
		return Standing{}, err
	}
	for _, c := range key.Certificates {
		if found && c.Leaf == at.Leaf {
			return standing(c)
		}
	}
	return Standing{}, fmt.Errorf("leaf %d is indexed and its key record does not have it", at.Leaf)
}

func standing(c ledger.CertificateInfo) (Standing, error) {
	switch c.Status {
	case ledger.Good:
		return Standing{Known: true, State: Good}, nil
	case ledger.Suspended:
		return Standing{Known: true, State: Suspended, At: c.Since.Time()}, nil
	case ledger.Revoked:
		return Standing{Known: true, State: Revoked, At: c.Since.Time(), Reason: int(c.Reason)}, nil
	}
	return Standing{}, fmt.Errorf("leaf %d has %s", c.Leaf, c.Status)
}

// record reads the one record of exactly this key.
func record(ctx context.Context, r ledger.Reader, kind ledger.RecordKind, key []byte, v any) (bool, error) {
	raw, err := rawRecord(ctx, r, kind, key)
	if err != nil || raw == nil {
		return false, err
	}
	return true, ledger.Decode(raw, v)
}

func rawRecord(ctx context.Context, r ledger.Reader, kind ledger.RecordKind, key []byte) ([]byte, error) {
	for rec, err := range r.Records(ctx, kind, key, nil) {
		if err != nil {
			return nil, err
		}
		if len(rec.Key) == len(key) {
			return rec.Value, nil
		}
	}
	return nil, nil
}
