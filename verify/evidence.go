package verify

import (
	"context"
	"time"

	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/tlog"
)

// Evidence is what somebody has to show of a certificate. None of it is trusted.
type Evidence struct {
	Receipt []byte // tlog-proof of the publication
	Status  []byte // tlog-proof of the newest epoch with the status; nil where a snapshot says it

	// Held says that a member's word was found that it holds a revocation that is not final yet (docs/ocsp.md). It can only make
	// the answer worse: the certificate is treated as suspended, whatever Status proves.
	Held bool
}

// Source finds evidence: verify/online asks members by OCSP, a directory of files would do as well. It is called from many goroutines
// at once. A Source need not be honest for what it gives to be safe; it can only keep a certificate from being accepted.
type Source interface {
	Evidence(ctx context.Context, der []byte) (*Evidence, error)
}

// Weigh is the whole answer that evidence gives about a certificate: nil means published, neither revoked, suspended nor held as of a
// fresh time, and within its validity. What was proved is returned beside a refusal, as far as it was. more may be nil; it is a standing
// known from elsewhere, such as a snapshot, of the leaf that the receipt proves: the worse of both counts, and the fresher.
func (e *Evidence) Weigh(p tlog.NoteVerifier, der []byte, now time.Time, maxAge time.Duration, more func(leaf uint64) (*Standing, error)) (*Published, *Standing, error) {
	if len(e.Receipt) == 0 {
		return nil, nil, reason.New(reason.NoEvidence, "no receipt")
	}
	pub, err := Receipt(p, e.Receipt, der)
	if err != nil {
		return nil, nil, err
	}
	var standing *Standing
	if t, ok := p.(*Trust); ok {
		p = t.Carried(e.Receipt)
	}
	if len(e.Status) > 0 {
		if standing, err = Status(p, e.Status, pub.Leaf); err != nil {
			return pub, nil, err
		}
	}
	if more != nil {
		other, err := more(pub.Leaf)
		if err != nil {
			return pub, standing, err
		}
		if standing == nil || other.Status == ledger.Revoked || standing.Status != ledger.Revoked && other.AsOf.After(standing.AsOf) {
			standing = other
		}
	}
	if err := Verdict(pub, standing, der, now, maxAge); err != nil {
		return pub, standing, err
	}
	if e.Held {
		return pub, standing, reason.New(reason.SuspendedCert, "a member holds a revocation that is not final yet")
	}
	return pub, standing, nil
}
