package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quorate-pki/quorate/ca"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ocsp"
)

const ocspPrefix = "/ocsp"

// ocspConfig is the object "ocsp" of a node's configuration; docs/ocsp.md is its manual. All of it has a default.
type ocspConfig struct {
	// Staleness is how old the state may be that is answered from, as 90s or 15m; at least 1m. Default 15m. See
	// ocsp.Config for the danger.
	Staleness string `json:"staleness,omitempty"`

	// NonIssued is what is answered about a certificate of a registered CA that is not published: unknown, or revoked
	// (the extended definition of RFC 6960). Default unknown.
	NonIssued string `json:"non_issued,omitempty"`

	// UnknownRate is how many certificates a second are answered unknown. Default 200.
	UnknownRate int `json:"unknown_rate,omitempty"`

	// Answers is how many signed answers are kept, of some 200 bytes each. Default 1,048,576.
	Answers int `json:"answers,omitempty"`

	// Issuers are the registered CAs.
	Issuers []ocspIssuer `json:"issuers,omitempty"`

	staleness time.Duration
}

// ocspIssuer is a registered CA, in PEM files of one certificate each.
type ocspIssuer struct {
	// Certificate is the CA's own certificate.
	Certificate string `json:"certificate"`

	// Responder is the certificate that the CA issued for responder.key. Looked at every hour: the CA, or a script of
	// its, replaces the file before the certificate in it ends. While there is no such file, or none is named, the answer
	// about the CA's certificates is unauthorized.
	Responder string `json:"responder,omitempty"`
}

// check judges what does not need the files, and makes their names absolute.
func (c *ocspConfig) check(dir string) (err error) {
	if c.Staleness != "" {
		if c.staleness, err = time.ParseDuration(c.Staleness); err != nil {
			return fmt.Errorf("staleness: %w", err)
		}
		if c.staleness < time.Minute {
			return fmt.Errorf("staleness: %v is below 1m", c.staleness)
		}
	}
	if c.NonIssued != "" && c.NonIssued != "unknown" && c.NonIssued != "revoked" {
		return fmt.Errorf("non_issued: %q is none of unknown, revoked", c.NonIssued)
	}
	if c.UnknownRate < 0 || c.Answers < 0 {
		return errors.New("unknown_rate and answers: below 0")
	}
	for i := range c.Issuers {
		x := &c.Issuers[i]
		if x.Certificate == "" {
			return fmt.Errorf("issuers: %d: certificate is missing", i)
		}
		for _, f := range []*string{&x.Certificate, &x.Responder} {
			if *f != "" && !filepath.IsAbs(*f) {
				*f = filepath.Join(dir, *f)
			}
		}
	}
	return nil
}

// issuers reads the files of the registered CAs.
func (c *ocspConfig) issuers() (out []ocsp.Issuer, err error) {
	for i, x := range c.Issuers {
		var issuer ocsp.Issuer
		if issuer.Certificate, err = ca.ReadCertificate(x.Certificate); err != nil {
			return nil, fmt.Errorf("issuers: %d: %w", i, err)
		}
		if x.Responder != "" {
			issuer.Responder, err = ca.ReadCertificate(x.Responder)
			if err != nil && !errors.Is(err, os.ErrNotExist) {
				return nil, fmt.Errorf("issuers: %d: %w", i, err)
			}
		}
		out = append(out, issuer)
	}
	return out, nil
}

// responder answers OCSP. A node may run longer than a responder certificate lasts, so it looks at them every hour.
type responder struct {
	cfg     memberConfig
	readers []ledger.Reader // of the channels that it answers from, the oldest first; at least one
	now     func() time.Time
	founded time.Time

	renewing sync.Mutex // held by the one request that looks
	current  atomic.Pointer[answering]
}

// answering is a responder with the certificates it was made with, until when they need not be looked at.
type answering struct {
	*ocsp.Responder
	own     []byte
	issuers []ocsp.Issuer
	until   time.Time
}

func newResponder(cfg memberConfig, readers []ledger.Reader, now func() time.Time) (*responder, error) {
	r := &responder{cfg: cfg, readers: readers, now: now}
	var err error
	if r.founded, err = ocsp.Founded(context.Background(), readers[0]); err != nil {
		return nil, err
	}
	first, err := r.renew(&answering{}, now())
	if err != nil {
		return nil, usage{fmt.Errorf("ocsp: %w", err)}
	}
	r.current.Store(first)
	return r, nil
}

func (r *responder) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	current := r.current.Load()
	if now := r.now(); now.After(current.until) && r.renewing.TryLock() {
		// What is there goes on answering others meanwhile, and when nothing better is to be had.
		next, err := r.renew(current, now)
		if err != nil {
			r.cfg.log.Warn("renewing the OCSP responder certificates", "err", err)
		}
		r.current.Store(next)
		r.renewing.Unlock()
		current = next
	}
	current.ServeHTTP(w, req)
}

// renew looks at the certificates, and makes a new responder if there are others.
func (r *responder) renew(old *answering, now time.Time) (*answering, error) {
	next := &answering{Responder: old.Responder, own: old.own, issuers: old.issuers, until: now.Add(time.Hour)}
	own, err := r.cfg.certificate(now, r.cfg.keys.responder)
	if err != nil {
		return next, err
	}
	issuers, err := r.cfg.ocsp.issuers()
	if err != nil {
		return next, err
	}
	same := slices.EqualFunc(issuers, old.issuers, func(a, b ocsp.Issuer) bool {
		return bytes.Equal(a.Certificate, b.Certificate) && bytes.Equal(a.Responder, b.Responder)
	})
	if old.Responder != nil && same && bytes.Equal(own, old.own) {
		return next, nil
	}
	var sources []ocsp.Source
	for _, reader := range r.readers {
		sources = append(sources, ocsp.NewLedgerSource(reader))
	}
	made, err := ocsp.New(ocsp.Config{Source: ocsp.Several(sources...), Key: r.cfg.keys.responder, Certificate: own, Issuers: issuers,
		ExtendedRevoke: r.cfg.ocsp.NonIssued == "revoked", ArchiveCutoff: r.founded, UnknownRate: r.cfg.ocsp.UnknownRate, Answers: r.cfg.ocsp.Answers,
		Staleness: r.cfg.ocsp.staleness, Prefix: ocspPrefix, Now: r.now, Log: r.cfg.log})
	if err != nil {
		return next, err
	}
	next.Responder, next.own, next.issuers = made, own, issuers
	return next, nil
}
