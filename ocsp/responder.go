package ocsp

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// maxAhead is how far in the future the freshness may be. Clients allow about as much (openssl: 300 s).
	maxAhead = 5 * time.Minute
	// unknownValidity bounds nextUpdate of an unknown certificate: it may be published any moment.
	unknownValidity = time.Minute
)

// What is answered with tryLater: there is no answer now, but that usually passes.
var (
	errStale   = errors.New("the state is not fresh")
	errFlood   = errors.New("too many unknown certificates are asked about")
	errBetween = errors.New("the status changed while its proof was made")
)

// Responder answers OCSP over HTTP (RFC 6960 appendix A) and is an http.Handler. It may be used by many
// goroutines at once.
type Responder struct {
	cfg         Config // with its defaults
	signer      *signer
	own         *x509.Certificate // for what no registered CA issued
	configured  authorities
	registering sync.Mutex // held by the one request that reads the registered CAs
	registered  atomic.Pointer[registered]
	certificate []byte // own, in PEM
	answers     *answers
	unknowns    *bucket

	stale atomic.Bool // what was logged last; decides nothing
}

// answer is a signed answer.
type answer struct {
	data      responseData
	signature []byte
	now       time.Time // when it is given, which may be long after it was signed
}

// exchange is one request and its answer, with the space for both. Nothing of it outlives the request.
type exchange struct {
	in      []byte // the request, in DER
	request Request
	answer  answer
	out     writer // the answer, in DER

	single    [1]singleResponse    // of an answer about one certificate
	cert      [1]*x509.Certificate // the same
	signature []byte               // the same, when it was kept
}

// exchanges keep the space.
var exchanges = sync.Pool{New: func() any {
	return &exchange{in: make([]byte, 0, 1<<10), out: writer{space: make([]byte, 2<<10)}}
}}

// moment is when a request is answered, by the ledger's clock and by the node's.
type moment struct {
	fresh   time.Time // thisUpdate of what is signed now, whole seconds
	now     time.Time // producedAt; never before fresh
	version uint64    // of the state
	issuers authorities
}

// judge reads the request in x.in and makes its answer: signed now, unless what was signed before still stands.
func (r *Responder) judge(ctx context.Context, x *exchange) error {
	request := &x.request
	if err := request.parse(x.in, r.cfg.MaxRequests); err != nil {
		return err
	}
	m, err := r.moment(ctx)
	if err != nil {
		return err
	}
	if len(request.Certs) == 1 && request.Nonce == nil && !request.Proofs {
		return r.answerOne(ctx, x, m)
	}
	x.answer = answer{now: m.now, data: responseData{keyHash: r.signer.keyHash, producedAt: m.now, nonce: request.Nonce}}
	data := &x.answer.data
	data.responses = make([]singleResponse, 0, len(request.Certs))
	for i := range request.Certs {
		id := &request.Certs[i]
		cert, err := r.right(id, m)
		if err != nil {
			return err
		}
		if !slices.Contains(data.certificates, cert) {
			data.certificates = append(data.certificates, cert)
		}
		standing, m, err := r.standing(ctx, id, m)
		if err != nil {
			return err
		}
		single, err := r.singleOf(id, standing, m)
		if err != nil {
			return err
		}
		if request.Proofs && standing.Known {
			if single.proofs, err = r.proofs(ctx, standing); err != nil {
				return err
			}
		}
		data.responses = append(data.responses, single)
	}
	x.answer.signature, err = r.signer.sign(data)
	return err
}

// answerOne answers about one certificate what others may be told as well. It is signed once for each CertID, status
// and a third of the staleness; no status is read again before the ledger's state changes.
func (r *Responder) answerOne(ctx context.Context, x *exchange, m moment) error {
	id := &x.request.Certs[0]
	cert, err := r.right(id, m)
	if err != nil {
		return err
	}
	key := certKey(sha256.Sum256(id.Raw))
	shard := r.answers.shard(&key)
	k, signature, ok := r.answers.get(shard, &key, x.signature)
	if ok && k.version == m.version && k.young(m, r.cfg.Staleness) {
		r.again(x, cert, &k, signature, m.now)
		return nil
	}
	standing, m, err := r.standing(ctx, id, m)
	if err != nil {
		return err
	}
	if !standing.Known {
		return r.sign(x, cert, standing, m)
	}
	shard.signing.Lock()
	defer shard.signing.Unlock()
	k, signature, ok = r.answers.get(shard, &key, x.signature)
	if ok && k.standing() == standing && k.young(m, r.cfg.Staleness) {
		shard.confirm(&key, m.version)
		r.again(x, cert, &k, signature, m.now)
		return nil
	}
	if err := r.sign(x, cert, standing, m); err != nil {
		return err
	}
	r.answers.put(shard, &key, keep(standing, m), x.answer.signature)
	return nil
}

// sign answers about one certificate.
func (r *Responder) sign(x *exchange, cert *x509.Certificate, standing Standing, m moment) (err error) {
	if x.single[0], err = r.singleOf(&x.request.Certs[0], standing, m); err != nil {
		return err
	}
	r.one(x, cert, m.now, m.now)
	x.answer.signature, err = r.signer.sign(&x.answer.data)
	return err
}

// again answers what was signed before.
func (r *Responder) again(x *exchange, cert *x509.Certificate, k *keptAnswer, signature []byte, now time.Time) {
	standing := k.standing()
	x.single[0] = r.known(&x.request.Certs[0], &standing, time.Unix(k.thisUpdate, 0))
	r.one(x, cert, time.Unix(k.producedAt, 0), now)
	x.answer.signature, x.signature = signature, signature
}

// one makes an answer of x.single, without its signature.
func (r *Responder) one(x *exchange, cert *x509.Certificate, producedAt, now time.Time) {
	x.cert[0] = cert
	x.answer = answer{now: now, data: responseData{keyHash: r.signer.keyHash, producedAt: producedAt, responses: x.single[:], certificates: x.cert[:]}}
}

// right returns the certificate that shows by what right the answer about id is given.
func (r *Responder) right(id *CertID, m moment) (*x509.Certificate, error) {
	if a := m.issuers.of(id); a != nil {
		return a.at(m.now)
	}
	return r.own, nil
}

// moment tells when it is, or errStale.
func (r *Responder) moment(ctx context.Context) (moment, error) {
	freshness, err := r.cfg.Source.Freshness(ctx)
	if err != nil {
		return moment{}, fmt.Errorf("reading the freshness: %w", err)
	}
	m, err := r.at(freshness.Time, moment{now: r.cfg.Now(), version: freshness.Version})
	if was := r.stale.Load(); was != (err != nil) && r.stale.CompareAndSwap(was, !was) {
		if err != nil {
			r.cfg.Log.WarnContext(ctx, "OCSP answers tryLater from now on", "err", err)
		} else {
			r.cfg.Log.InfoContext(ctx, "OCSP answers again: the state is fresh")
		}
	}
	if err == nil {
		m.issuers, err = r.authoritiesAt(ctx, m.version)
	}
	return m, err
}

// at is m as of a state, or errStale.
func (r *Responder) at(fresh time.Time, m moment) (moment, error) {
	// Cut to seconds first: what is compared here must be what the answer says.
	m.fresh = fresh.Truncate(time.Second)
	switch {
	case m.fresh.After(m.now.Add(maxAhead)):
		// An honest member vouched for a time that has not come: this node's clock is wrong, so it cannot tell
		// how old the state is, and clients with a right clock would call the answer not yet valid.
		return m, fmt.Errorf("%w: vouched for at %v, which is %v ahead of this node's clock",
			errStale, m.fresh.UTC().Format(time.RFC3339), m.fresh.Sub(m.now).Round(time.Second))
	case !m.now.Before(m.fresh.Add(r.cfg.Staleness)):
		// Never sign an answer that is already past its nextUpdate.
		return m, fmt.Errorf("%w: vouched for at %v, at least %v ago",
			errStale, m.fresh.UTC().Format(time.RFC3339), r.cfg.Staleness)
	}
	if m.now.Before(m.fresh) {
		m.now = m.fresh // this clock is a little slow: an answer is not produced before what it says was true
	}
	return m, nil
}

// standing reads how a certificate stands, and as of when: m, unless the source says it.
func (r *Responder) standing(ctx context.Context, id *CertID, m moment) (Standing, moment, error) {
	var s Standing
	var err error
	if source, ok := r.cfg.Source.(dated); ok {
		var fresh time.Time
		if s, fresh, err = source.DatedStatus(ctx, *id); err == nil {
			m, err = r.at(fresh, m)
		}
	} else {
		s, err = r.cfg.Source.Status(ctx, *id)
	}
	if err == nil {
		s, err = r.sound(s)
	}
	if err != nil {
		return Standing{}, m, fmt.Errorf("reading a status: %w", err)
	}
	return s, m, nil
}

// sound is a standing in one form. Where a revocation's details break the contract of Source the details are dropped, not the
// revocation: a client that gets an error instead may well go on.
func (r *Responder) sound(s Standing) (Standing, error) {
	switch {
	case !s.Known:
		return Standing{}, nil
	case s.State == Good:
		return Standing{Known: true, State: Good, Leaf: s.Leaf}, nil
	case s.State == Suspended:
		s.Reason = reasonCertificateHold
	case s.State != Revoked:
		return Standing{}, fmt.Errorf("the source gave a state that is none: %d", s.State)
	case !revocationReason(s.Reason):
		r.cfg.Log.Error("the source gave a revocation a reason that is none", "reason", s.Reason)
		s.Reason = reasonUnspecified
	}
	if y := s.At.UTC().Year(); y < 1970 || y > 9999 {
		r.cfg.Log.Error("the source gave a revocation a time that is none", "time", s.At)
		s.At = time.Unix(0, 0) // revoked ever since, to be safe
	}
	s.At = s.At.UTC().Truncate(time.Second) // in one form, so that standings can be compared
	return s, nil
}

// singleOf is what is said about one certificate.
func (r *Responder) singleOf(id *CertID, standing Standing, m moment) (singleResponse, error) {
	if standing.Known {
		return r.known(id, &standing, m.fresh), nil
	}
	if !r.unknowns.take(m.now) {
		return singleResponse{}, errFlood
	}
	s := singleResponse{certID: id.Raw, thisUpdate: m.fresh, nextUpdate: m.fresh.Add(r.cfg.Staleness)}
	if r.cfg.ExtendedRevoke && m.issuers.of(id) != nil {
		s.status = statusNonIssued
	}
	if soon := m.now.Add(unknownValidity); soon.Before(s.nextUpdate) {
		s.nextUpdate = soon
	}
	return s, nil
}

// known is what is said about a published certificate.
func (r *Responder) known(id *CertID, standing *Standing, thisUpdate time.Time) singleResponse {
	s := singleResponse{certID: id.Raw, status: statusRevoked, revokedAt: standing.At, reason: standing.Reason,
		thisUpdate: thisUpdate, nextUpdate: thisUpdate.Add(r.cfg.Staleness), cutoff: r.cfg.ArchiveCutoff}
	if standing.State == Good {
		s.status = statusGood
	}
	return s
}

// proofs reads the proofs of what is answered. A newer state than the standing's may be under them: what it calls worse
// is not given together with a better answer.
func (r *Responder) proofs(ctx context.Context, standing Standing) (*Proofs, error) {
	p, err := r.cfg.Source.Proofs(ctx, standing.Leaf)
	if err != nil {
		return nil, fmt.Errorf("reading proofs: %w", err)
	}
	if p.State > standing.State {
		return nil, errBetween
	}
	return &p, nil
}

// statusOf is the one place where errors become protocol.
func statusOf(err error) responseStatus {
	switch {
	case err == nil:
		return successful
	case errors.Is(err, ErrMalformed), errors.Is(err, ErrUnsupported):
		return malformedRequest
	case errors.Is(err, errNoAuthority):
		return unauthorized
	case errors.Is(err, errStale), errors.Is(err, errFlood), errors.Is(err, errBetween):
		return tryLater
	}
	return internalError
}
