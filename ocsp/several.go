package ocsp

import (
	"context"
	"fmt"
	"time"
)

// Several answers from several channels at once. Of a certificate that more than one of them published the worst standing is told,
// as of the staler of their states; that a certificate is unknown, as of the stalest of all. A channel that stands still so makes
// nothing stale but its own certificates, and what is unknown. At least one source, at most 65,536.
func Several(sources ...Source) Source {
	if len(sources) == 1 {
		return sources[0]
	}
	return several(sources)
}

type several []Source

// placeBits are those of a leaf's number in the log; which log it is stands above them.
const placeBits = 48

// dated is a Source whose statuses are not all of one state: each has a freshness of its own, read before it, and that of Freshness
// is none of theirs.
type dated interface {
	DatedStatus(ctx context.Context, id CertID) (Standing, time.Time, error)
}

// Freshness implements Source: that of the freshest, and a version that changes with any.
func (ss several) Freshness(ctx context.Context) (Freshness, error) {
	var out Freshness
	for _, s := range ss {
		f, err := s.Freshness(ctx)
		if err != nil {
			return Freshness{}, err
		}
		if f.Time.After(out.Time) {
			out.Time = f.Time
		}
		out.Version += f.Version
	}
	return out, nil
}

// Status implements Source.
func (ss several) Status(ctx context.Context, id CertID) (Standing, error) {
	s, _, err := ss.DatedStatus(ctx, id)
	return s, err
}

// DatedStatus implements dated.
func (ss several) DatedStatus(ctx context.Context, id CertID) (Standing, time.Time, error) {
	var worst Standing
	var oldest time.Time // of those that say what is told
	for i, s := range ss {
		f, err := s.Freshness(ctx)
		if err != nil {
			return Standing{}, time.Time{}, err
		}
		st, err := s.Status(ctx, id)
		if err != nil {
			return Standing{}, time.Time{}, err
		}
		if st.Leaf>>placeBits != 0 {
			return Standing{}, time.Time{}, fmt.Errorf("leaf %d is beyond any log", st.Leaf)
		}
		if st.Known != worst.Known && i > 0 {
			if !st.Known {
				continue // another one knows it
			}
			oldest = f.Time
		}
		if i == 0 || f.Time.Before(oldest) {
			oldest = f.Time
		}
		if st.Known && (!worst.Known || st.State > worst.State) {
			worst = st
			worst.Leaf |= uint64(i) << placeBits
		}
	}
	return worst, oldest, nil
}

// Issuers implements Source: the CAs of all of them.
func (ss several) Issuers(ctx context.Context) (out []RegisteredCA, err error) {
	for _, s := range ss {
		on, err := s.Issuers(ctx)
		if err != nil {
			return nil, err
		}
		out = append(out, on...)
	}
	return out, nil
}

// Proofs implements Source.
func (ss several) Proofs(ctx context.Context, leaf uint64) (Proofs, error) {
	i := leaf >> placeBits
	if i >= uint64(len(ss)) {
		return Proofs{}, fmt.Errorf("there is no log %d", i)
	}
	return ss[i].Proofs(ctx, leaf&(1<<placeBits-1))
}
