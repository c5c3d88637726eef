// Package online asks members how a certificate stands, by OCSP with proofs, for relying parties written in Go. It believes what package verify proves
// against the policy, and a single member's word only where that makes the answer worse: a member that holds a revocation says so
// before it is final, and it must have signed that with the responder key that the member set in force has for it.
//
// That a certificate is unknown nobody can prove; f+1 members say it (client.Lookup).
package online

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/client"
	"github.com/quorate-pki/quorate/ledger/tlog"
	"github.com/quorate-pki/quorate/ocsp"
	"github.com/quorate-pki/quorate/verify"
)

// Config of a Client.
type Config struct {
	// Nodes are base URLs of members' nodes, such as http://node-a.example:8440; OCSP is at /ocsp below each. The one that gave the last
	// answer that could be believed is asked first. Required; with one alone that one can keep a certificate from being accepted.
	Nodes   []string
	Channel string           // channel name; default "main"
	Policy  *tlog.Policy     // the one thing trusted; required
	MaxAge  time.Duration    // how old a status may be; required
	Now     func() time.Time // the clock; required
	HTTP    *http.Client     // default: one with a timeout of 10 seconds
}

// Client asks members about certificates. It implements verify.Source. Safe for concurrent use.
type Client struct {
	cfg    Config
	ledger *client.Client
	last   atomic.Int64 // index of the node that was believed last
}

var _ verify.Source = (*Client)(nil)

// nonceSize is RFC 9654's for clients.
const nonceSize = 32

// New checks a Config.
func New(cfg Config) (*Client, error) {
	if cfg.Policy == nil || cfg.Now == nil || cfg.MaxAge <= 0 {
		return nil, errors.New("asking members: a policy, a clock and a largest age are required")
	}
	if err := cfg.Policy.Check(); err != nil {
		return nil, fmt.Errorf("asking members: %w", err)
	}
	if cfg.HTTP == nil {
		cfg.HTTP = &http.Client{Timeout: 10 * time.Second}
	}
	nodes := make([]string, len(cfg.Nodes)) // the caller's stay as they are
	copy(nodes, cfg.Nodes)
	c, err := client.New(client.Config{Nodes: nodes, Channel: cfg.Channel, Policy: cfg.Policy, HTTP: cfg.HTTP})
	if err != nil {
		return nil, fmt.Errorf("asking members: %w", err)
	}
	cfg.Nodes = nodes
	return &Client{cfg: cfg, ledger: c}, nil
}

// Check is the whole answer about a certificate: nil means published, neither revoked, suspended nor held as of a time no older than
// MaxAge, and within its validity. What was proved is returned beside a refusal, as far as it was.
func (c *Client) Check(ctx context.Context, der []byte) (*verify.Published, *verify.Standing, error) {
	e, err := c.Evidence(ctx, der)
	if err != nil {
		return nil, nil, err
	}
	return c.weigh(e, der)
}

func (c *Client) weigh(e *verify.Evidence, der []byte) (*verify.Published, *verify.Standing, error) {
	trust, err := verify.NewTrust(c.cfg.Policy, c.cfg.Now())
	if err != nil {
		return nil, nil, err
	}
	return e.Weigh(trust, der, c.cfg.Now(), c.cfg.MaxAge, nil)
}

// Evidence implements verify.Source. It is verified, except for the certificate's own dates.
func (c *Client) Evidence(ctx context.Context, der []byte) (*verify.Evidence, error) {
	a, err := c.ask(ctx, der)
	if err != nil {
		return nil, err
	}
	return &a.evidence, nil
}

// Staple is an answer with proofs for tls.Certificate.OCSPStaple, by which verify.Peers believe whoever holds this certificate's key. Ask again
// well within the MaxAge of those who are to believe it. Only peers that use package verify can do anything with it: stock TLS
// clients refuse answers about self-issued certificates.
func (c *Client) Staple(ctx context.Context, der []byte) ([]byte, error) {
	a, err := c.ask(ctx, der)
	if err != nil {
		return nil, err
	}
	if _, _, err := c.weigh(&a.evidence, der); err != nil {
		return nil, err
	}
	return a.raw, nil
}

// answered is an answer that can be believed.
type answered struct {
	raw      []byte
	evidence verify.Evidence
}

// ask asks the nodes in turn until one can be believed. Of several, one that lies, is stale or silent costs time, and nothing else; when none does
// better, the first one's error stands. One that says unknown has the others asked whether they say so, too.
func (c *Client) ask(ctx context.Context, der []byte) (*answered, error) {
	id, err := ocsp.NewCertID(crypto.SHA256, der, der)
	if err != nil {
		return nil, reason.New(reason.BadCertificateFile, "%v", err)
	}
	var first error
	begin := int(c.last.Load())
	unknown := false
	for i := range c.cfg.Nodes {
		at := (begin + i) % len(c.cfg.Nodes)
		a, err := c.one(ctx, c.cfg.Nodes[at], id, der)
		if err == nil {
			c.last.Store(int64(at))
			return a, nil
		}
		if code, _ := reason.CodeOf(err); code == reason.UnknownCertificate {
			unknown = true
		}
		if first == nil {
			first = fmt.Errorf("%s: %w", c.cfg.Nodes[at], err)
		}
	}
	if unknown {
		return nil, c.unknown(ctx, der)
	}
	return nil, first
}

// unknown asks whether f+1 members know no such certificate.
func (c *Client) unknown(ctx context.Context, der []byte) error {
	places, err := c.ledger.Lookup(ctx, [][]byte{der}, func(e *verify.Epoch) error { return e.Fresh(c.cfg.Now(), c.cfg.MaxAge) })
	if err != nil {
		return err
	}
	switch p := places[0]; {
	case p.Found != nil:
		return reason.New(reason.StatusNotChecked, "published, and the responders say that it is not")
	case len(p.Absent) >= c.ledger.Tellers():
		return reason.New(reason.UnknownCertificate, "%s say so", strings.Join(p.Absent, ", "))
	default:
		return reason.New(reason.NoEvidence, "%d of %d members say that they know no such certificate", len(p.Absent), c.ledger.Tellers())
	}
}

// one asks one node and believes nothing that is not proved.
func (c *Client) one(ctx context.Context, node string, id ocsp.CertID, der []byte) (*answered, error) {
	nonce := make([]byte, nonceSize)
	rand.Read(nonce)
	req, err := ocsp.NewProofsRequest(nonce, id)
	if err != nil {
		return nil, err
	}
	raw, err := c.post(ctx, node+"/ocsp", req.Raw)
	if err != nil {
		return nil, err
	}
	a, err := verify.ParseOCSP(raw, der)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(a.Nonce, nonce) {
		return nil, reason.New(reason.BadOCSPAnswer, "another nonce")
	}
	if a.Told == verify.OCSPUnknown {
		return nil, reason.New(reason.UnknownCertificate, "told by one responder")
	}
	out := &answered{raw: raw, evidence: verify.Evidence{Receipt: a.Receipt, Status: a.Status}}
	if len(a.Receipt) == 0 || len(a.Status) == 0 {
		return nil, reason.New(reason.NoEvidence, "one member's word, without proofs")
	}
	trust, err := verify.NewTrust(c.cfg.Policy, c.cfg.Now())
	if err != nil {
		return nil, err
	}
	pub, err := verify.Receipt(trust, a.Receipt, der)
	if err != nil {
		return nil, err
	}
	standing, err := verify.Status(trust.Carried(a.Receipt), a.Status, pub.Leaf)
	if err != nil || standing.Status == ledger.Revoked { // proved: for ever, whoever says so
		return out, err
	}
	if err := standing.Fresh(c.cfg.Now(), c.cfg.MaxAge); err != nil {
		return nil, err
	}
	set, err := c.ledger.MembersOf(ctx, standing.MemberSet, standing.Members)
	if err != nil {
		return nil, err
	}
	if _, err := a.Signer(set); err != nil {
		return nil, err
	}
	out.evidence.Held = a.Told == verify.OCSPRevoked && standing.Status == ledger.Good
	return out, nil
}

func (c *Client) post(ctx context.Context, url string, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/ocsp-request")
	resp, err := c.cfg.HTTP.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, reason.New(reason.OCSPNotAnswered, "HTTP %s", resp.Status)
	}
	return io.ReadAll(io.LimitReader(resp.Body, verify.MaxOCSPAnswer+1)) // ParseOCSP refuses one more
}
