package ocsp

import (
	"crypto"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"path"
	"time"
)

const (
	defaultStaleness   = 15 * time.Minute
	minStaleness       = time.Minute
	defaultUnknownRate = 200
	defaultAnswers     = 1 << 20
)

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

	// Issuers are CAs with what each gave this node. Their certificates' answers carry it instead, so that stock clients accept them with
	// no configuration. They need not be on the ledger (Source.Issuers); those that are and are not here gave nothing. Default: none.
	Issuers []Issuer

	// ExtendedRevoke answers revoked (certificateHold since 1970, with the extension of RFC 6960 section 4.4.8) about a
	// certificate that a registered CA, by its name, did not publish, where the default is unknown. For clients that
	// go on when they are told unknown. Danger: a certificate that is about to be published is called revoked until then.
	ExtendedRevoke bool

	// ArchiveCutoff is since when statuses are kept, for ever, of certificates that have expired, too: the founding of
	// the log. It is told with every published certificate (RFC 6960 section 4.4.4). Default: nothing is told.
	ArchiveCutoff time.Time

	// UnknownRate is how many certificates a second are answered unknown; ten seconds' worth at once. What is beyond is
	// answered tryLater. Such answers are signed one by one, about whatever serial anybody makes up. Default 200.
	UnknownRate int

	// Answers is how many signed answers are kept, of some 200 bytes each (P-256). Default 1,048,576. With fewer than there are
	// certificates asked about, some are signed again and again.
	Answers int

	// Staleness is the age of the state from which on the answer is tryLater; answers are valid until their
	// state is that old (nextUpdate = thisUpdate + Staleness). Default 15 minutes, at least 1 minute, as members
	// vouch anew every 30 seconds. Danger: it bounds how long a client, or a cache, may go on using an answer
	// from before a revocation; and with a long one a node that is cut off goes on answering. A kept answer is signed
	// anew, with the newest thisUpdate, when a third of it has passed.
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
	if cfg.UnknownRate == 0 {
		cfg.UnknownRate = defaultUnknownRate
	}
	if cfg.Answers == 0 {
		cfg.Answers = defaultAnswers
	}
	if cfg.UnknownRate < 0 || cfg.Answers < 0 {
		return nil, fmt.Errorf("unknown rate %d or answers %d is negative", cfg.UnknownRate, cfg.Answers)
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
	configured, err := newAuthorities(cfg.Issuers, s)
	if err != nil {
		return nil, fmt.Errorf("making an OCSP responder: %w", err)
	}
	if now := cfg.Now(); now.Before(own.NotBefore) || now.After(own.NotAfter) {
		// Not an error: who pins the certificate may not look at its dates, and the node has other work.
		cfg.Log.Warn("the OCSP responder certificate is outside its validity period: most clients will refuse its answers",
			"notBefore", own.NotBefore, "notAfter", own.NotAfter)
	}
	return &Responder{
		cfg:         cfg,
		signer:      s,
		own:         own,
		configured:  configured,
		certificate: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cfg.Certificate}),
		answers:     newAnswers(cfg.Answers, s.algorithm.size),
		unknowns:    newBucket(cfg.UnknownRate),
	}, nil
}
