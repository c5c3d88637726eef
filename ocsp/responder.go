package ocsp

import (
	"context"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"path"
	"slices"
	"sync/atomic"
	"time"
)

const (
	defaultStaleness = 15 * time.Minute
	minStaleness     = time.Minute
	// maxAhead is how far in the future the freshness may be. Clients allow about as much (openssl: 300 s).
	maxAhead = 5 * time.Minute
	// unknownValidity bounds nextUpdate of an unknown certificate: it may be published any moment.
	unknownValidity = time.Minute
)

// errStale is answered with tryLater: the state cannot be vouched for now, but that usually passes.
var errStale = errors.New("the state is not fresh")

// Config says what a Responder answers and as whom. Source, Key and Certificate must be set.
type Config struct {
	// Source is where statuses come from.
	Source Source

	// Key signs the answers: ECDSA P-256 or P-384, Ed25519, or RSA of at least 2048 bits. It is used by many
	// goroutines at once. Danger: who holds it can tell relying parties that a revoked certificate is good.
	Key crypto.Signer

	// Certificate is the DER of the certificate for Key. It is sent with each answer and must have the
	// OCSPSigning extended key usage. Relying parties trust it by configuration (see SelfSignedResponder): it goes
	// with answers about self-issued certificates, and about issuers that nobody registered.
	Certificate []byte

	// Issuers are the registered CAs, with what each gave this node. Their certificates' answers carry it instead,
	// so that stock clients accept them with no configuration. Default: none.
	Issuers []Issuer

	// Staleness is the age of the state from which on the answer is tryLater; answers are valid until their
	// state is that old (nextUpdate = thisUpdate + Staleness). Default 15 minutes, at least 1 minute, as members
	// vouch anew every 30 seconds. Danger: it bounds how long a client, or a cache, may go on using an answer
	// from before a revocation; and with a long one a node that is cut off goes on answering.
	Staleness time.Duration

	// MaxRequests is the most certificates that one request may ask about; more is answered malformedRequest.
	// Default 100. Every one costs a Source.Status.
	MaxRequests int

	// Prefix is the path that the responder is mounted under, such as "/ocsp": it begins with a slash and does
	// not end with one. Default "", the root. The responder must see paths as they came: base64 may hold "//",
	// and a router that cleans paths, such as http.ServeMux, redirects such a request to another one.
	Prefix string

	// Now is the node's clock. It decides whether the state is stale and is told as producedAt; it is never told
	// as thisUpdate. Default time.Now.
	Now func() time.Time

	// Log gets failures of the source and of signing, and every change between fresh and stale. Default: none.
	Log *slog.Logger
}

// Responder answers OCSP over HTTP (RFC 6960 appendix A) and is an http.Handler. It may be used by many
// goroutines at once.
type Responder struct {
	source      Source
	signer      *signer
	own         *x509.Certificate // for what no registered CA issued
	authorities authorities
	certificate []byte // own, in PEM
	staleness   time.Duration
	maxRequests int
	prefix      string
	now         func() time.Time
	log         *slog.Logger

	stale atomic.Bool // what was logged last; decides nothing
}

// New checks a Config and returns its Responder.
func New(cfg Config) (*Responder, error) {
	if cfg.Source == nil || cfg.Key == nil || len(cfg.Certificate) == 0 {
		return nil, errors.New("an OCSP responder needs a source, a key and a certificate")
	}
	if cfg.Staleness == 0 {
		cfg.Staleness = defaultStaleness
	}
	if cfg.Staleness < minStaleness {
		return nil, fmt.Errorf("staleness %v is below %v", cfg.Staleness, minStaleness)
	}
	if cfg.MaxRequests == 0 {
		cfg.MaxRequests = DefaultMaxRequests
	}
	if cfg.MaxRequests < 0 {
		return nil, fmt.Errorf("max requests %d is negative", cfg.MaxRequests)
	}
	if p := cfg.Prefix; p != "" {
		if p[0] != '/' || p == "/" || path.Clean(p) != p || (&url.URL{Path: p}).EscapedPath() != p {
			return nil, fmt.Errorf("prefix %q is not a clean path that begins with a slash and does not end with one", p)
		}
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	s, err := newSigner(cfg.Key)
	if err != nil {
		return nil, fmt.Errorf("making an OCSP responder: %w", err)
	}
	own, err := s.certificate(cfg.Certificate)
	if err != nil {
		return nil, fmt.Errorf("making an OCSP responder: %w", err)
	}
	registered, err := newAuthorities(cfg.Issuers, s)
	if err != nil {
		return nil, fmt.Errorf("making an OCSP responder: %w", err)
	}
	if now := cfg.Now(); now.Before(own.NotBefore) || now.After(own.NotAfter) {
		// Not an error: who pins the certificate may not look at its dates, and the node has other work.
		cfg.Log.Warn("the OCSP responder certificate is outside its validity period: most clients will refuse its answers",
			"notBefore", own.NotBefore, "notAfter", own.NotAfter)
	}
	return &Responder{
		source:      cfg.Source,
		signer:      s,
		own:         own,
		authorities: registered,
		certificate: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cfg.Certificate}),
		staleness:   cfg.Staleness,
		maxRequests: cfg.MaxRequests,
		prefix:      cfg.Prefix,
		now:         cfg.Now,
		log:         cfg.Log,
	}, nil
}

// judge reads the state a request asks for. What it returns is not signed yet.
func (r *Responder) judge(ctx context.Context, der []byte) (responseData, error) {
	request, err := parseRequest(der, r.maxRequests)
	if err != nil {
		return responseData{}, err
	}
	thisUpdate, producedAt, err := r.times(ctx)
	if err != nil {
		return responseData{}, err
	}
	data := responseData{
		keyHash:    r.signer.keyHash,
		producedAt: producedAt,
		responses:  make([]singleResponse, 0, len(request.Certs)),
		nonce:      request.Nonce,
	}
	for _, id := range request.Certs {
		cert, err := r.right(id)
		if err != nil {
			return responseData{}, err
		}
		if !slices.Contains(data.certificates, cert) {
			data.certificates = append(data.certificates, cert)
		}
		standing, err := r.source.Status(ctx, id)
		if err != nil {
			return responseData{}, fmt.Errorf("reading a status: %w", err)
		}
		single := singleResponse{certID: id.Raw, thisUpdate: thisUpdate, nextUpdate: thisUpdate.Add(r.staleness)}
		if err := r.fill(&single, standing, producedAt); err != nil {
			return responseData{}, fmt.Errorf("reading a status: %w", err)
		}
		data.responses = append(data.responses, single)
	}
	return data, nil
}

// right returns the certificate that shows by what right the answer about id is given.
func (r *Responder) right(id CertID) (*x509.Certificate, error) {
	if a := r.authorities.of(id); a != nil {
		return a.at(r.now())
	}
	return r.own, nil
}

// times returns thisUpdate and producedAt, or errStale.
func (r *Responder) times(ctx context.Context) (thisUpdate, producedAt time.Time, err error) {
	fresh, err := r.source.Freshness(ctx)
	if err != nil {
		return thisUpdate, producedAt, fmt.Errorf("reading the freshness: %w", err)
	}
	// Cut to seconds first: what is compared here must be what the answer says.
	fresh, now := fresh.Truncate(time.Second), r.now()
	switch {
	case fresh.After(now.Add(maxAhead)):
		// An honest member vouched for a time that has not come: this node's clock is wrong, so it cannot tell
		// how old the state is, and clients with a right clock would call the answer not yet valid.
		err = fmt.Errorf("%w: vouched for at %v, which is %v ahead of this node's clock",
			errStale, fresh.UTC().Format(time.RFC3339), fresh.Sub(now).Round(time.Second))
	case !now.Before(fresh.Add(r.staleness)):
		// Never sign an answer that is already past its nextUpdate.
		err = fmt.Errorf("%w: vouched for at %v, at least %v ago",
			errStale, fresh.UTC().Format(time.RFC3339), r.staleness)
	}
	if wasStale := r.stale.Swap(err != nil); wasStale != (err != nil) {
		if err != nil {
			r.log.WarnContext(ctx, "OCSP answers tryLater from now on", "err", err)
		} else {
			r.log.InfoContext(ctx, "OCSP answers again: the state is fresh")
		}
	}
	if err != nil {
		return thisUpdate, producedAt, err
	}
	if now.Before(fresh) {
		now = fresh // this clock is a little slow: an answer is not produced before what it says was true
	}
	return fresh, now, nil
}

// fill puts a standing into an answer. Where a revocation's details break the contract of Source the details are
// dropped, not the revocation: a client that gets an error instead may well go on.
func (r *Responder) fill(s *singleResponse, standing Standing, producedAt time.Time) error {
	if !standing.Known {
		s.status = statusUnknown
		if soon := producedAt.Add(unknownValidity); soon.Before(s.nextUpdate) {
			s.nextUpdate = soon
		}
		return nil
	}
	switch standing.State {
	case Good:
		s.status = statusGood
		return nil
	case Suspended:
		s.status, s.reason = statusRevoked, reasonCertificateHold
	case Revoked:
		s.status, s.reason = statusRevoked, standing.Reason
		if !revocationReason(standing.Reason) {
			r.log.Error("the source gave a revocation a reason that is none", "reason", standing.Reason)
			s.reason = reasonUnspecified
		}
	default:
		return fmt.Errorf("the source gave a state that is none: %d", standing.State)
	}
	s.revokedAt = standing.At
	if y := standing.At.UTC().Year(); y < 1970 || y > 9999 {
		r.log.Error("the source gave a revocation a time that is none", "time", standing.At)
		s.revokedAt = time.Unix(0, 0) // revoked ever since, to be safe
	}
	return nil
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
	case errors.Is(err, errStale):
		return tryLater
	}
	return internalError
}
