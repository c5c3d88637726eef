package verify

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger/tlog"
)

// Peers says whom a TLS server or client written in Go believes. It takes the place of roots: crypto/x509 would need a chain to a
// CA, and a self-issued certificate has none. What it checks of a peer, in every handshake:
//
//   - exactly one certificate, published: its receipt is verified against the policy;
//   - it stands, as of a time no older than MaxAge: a status proof, or a snapshot;
//   - the dates of the certificate, by Now;
//   - its name: a client demands that the certificate has the name it connects to, as crypto/x509 does; what a server's clients may be called
//     only Admit knows;
//   - its usage: digitalSignature, and clientAuth or serverAuth where it has an extended key usage.
//
// That the peer has the key is shown by TLS itself, after these checks and before a byte of it is read (RFC 8446 section 4.4.3). What
// crypto/tls does not do any more with the configurations made here is crypto/x509's part: chains, roots, name constraints. All else
// is its own.
//
// Receipt and status come stapled (RFC 6066, RFC 8446 section 4.4.2.1, both directions): an OCSP answer with proofs, kept in
// tls.Certificate.OCSPStaple by the peer and renewed well within MaxAge. Who does not staple is asked about at Source.
type Peers struct {
	// Policy is the one thing trusted. Required.
	Policy *tlog.Policy
	// MaxAge is how old a status may be. Required. Danger: a peer that was revoked is believed this long after, if it goes on stapling an
	// answer from before.
	MaxAge time.Duration
	// Now is the clock. Required.
	Now func() time.Time

	// Admit is the last word, about a peer that all else was proved of: whether this one may connect. Required of a server, since every
	// certificate of every vendor in the consortium is published; a client may have one beside its name check. The handshake
	// may still fail after it: nothing may be granted, only refused.
	Admit func(*Peer) error

	// Source is asked, within Timeout, about a peer whose staple does not do. Nil: only staples are believed.
	Source Source
	// Timeout bounds a question to Source. Default 5 seconds.
	Timeout time.Duration
	// Standing says how a leaf stands by a snapshot, read beforehand: see Snapshot.Standing. Then a staple, or Source, need have no
	// more than a receipt; when it has a status as well, the worse and the fresher of both counts. Nil: none.
	Standing func(leaf uint64) (*Standing, error)

	// Name is what the server's certificate must be called where tls.Config.ServerName is not: when a client connects to an IP
	// address. Default: the ServerName.
	Name string
}

// Peer is a peer of whom all was proved.
type Peer struct {
	Certificate *x509.Certificate
	Published   *Published
	Standing    *Standing
}

const defaultTimeout = 5 * time.Second

func (p Peers) check() (*Peers, error) {
	if p.Policy == nil || p.Now == nil || p.MaxAge <= 0 {
		return nil, errors.New("peers: a policy, a clock and a largest age are required")
	}
	if err := p.Policy.Check(); err != nil {
		return nil, fmt.Errorf("peers: %w", err)
	}
	if p.Timeout == 0 {
		p.Timeout = defaultTimeout
	}
	return &p, nil
}

// Server makes the configuration of a server whose clients must be admitted. base has its certificate and what else it needs, and is
// not changed. TLS 1.3 only, without resumption: a session outlives a revocation.
func (p Peers) Server(base *tls.Config) (*tls.Config, error) {
	own, err := p.check()
	if err != nil {
		return nil, err
	}
	if own.Admit == nil {
		return nil, errors.New("peers: a server must say whom it admits")
	}
	if base.GetConfigForClient != nil {
		return nil, errors.New("peers: GetConfigForClient would replace the configuration")
	}
	c := own.clone(base, x509.ExtKeyUsageClientAuth)
	c.ClientAuth = tls.RequireAnyClientCert
	return c, nil
}

// Client makes the configuration of a client that believes the servers it connects to. base has its certificate, if it has one, and
// is not changed.
func (p Peers) Client(base *tls.Config) (*tls.Config, error) {
	own, err := p.check()
	if err != nil {
		return nil, err
	}
	c := own.clone(base, x509.ExtKeyUsageServerAuth)
	c.InsecureSkipVerify = true // of crypto/x509's chains; VerifyConnection is called all the same
	return c, nil
}

func (p *Peers) clone(base *tls.Config, usage x509.ExtKeyUsage) *tls.Config {
	c, before := base.Clone(), base.VerifyConnection
	c.MinVersion = tls.VersionTLS13 // before 1.3 a client cannot staple
	c.SessionTicketsDisabled, c.ClientSessionCache = true, nil
	c.VerifyConnection = func(cs tls.ConnectionState) error {
		if err := p.connection(&cs, usage); err != nil {
			return err
		}
		if before != nil {
			return before(cs)
		}
		return nil
	}
	return c
}

// connection decides about the other end of a connection.
func (p *Peers) connection(cs *tls.ConnectionState, usage x509.ExtKeyUsage) error {
	if len(cs.PeerCertificates) != 1 {
		return reason.New(reason.PeerCertificate, "%d certificates", len(cs.PeerCertificates))
	}
	cert := cs.PeerCertificates[0]
	if usage == x509.ExtKeyUsageServerAuth {
		name := p.Name
		if name == "" {
			name = cs.ServerName
		}
		if name == "" || cert.VerifyHostname(name) != nil {
			return reason.New(reason.PeerName, "%q", name)
		}
	}
	if err := usable(cert, usage); err != nil {
		return err
	}
	peer := &Peer{Certificate: cert}
	var err error
	if peer.Published, peer.Standing, err = p.stands(cert.Raw, cs.OCSPResponse); err != nil {
		return err
	}
	if p.Admit != nil {
		return p.Admit(peer)
	}
	return nil
}

// usable demands the usages of one side of TLS 1.3 (RFC 8446 section 4.4.2.2).
func usable(cert *x509.Certificate, usage x509.ExtKeyUsage) error {
	if cert.KeyUsage != 0 && cert.KeyUsage&x509.KeyUsageDigitalSignature == 0 {
		return reason.New(reason.PeerUsage, "no digitalSignature")
	}
	if len(cert.ExtKeyUsage)+len(cert.UnknownExtKeyUsage) == 0 || slices.Contains(cert.ExtKeyUsage, usage) || slices.Contains(cert.ExtKeyUsage, x509.ExtKeyUsageAny) {
		return nil
	}
	return reason.New(reason.PeerUsage, "another extended key usage")
}

// stands weighs the staple, and asks when that does not do. What is proved to be revoked or suspended is, whoever proves it.
func (p *Peers) stands(der, staple []byte) (*Published, *Standing, error) {
	trust, err := NewTrust(p.Policy, p.Now())
	if err != nil {
		return nil, nil, err
	}
	first := error(reason.New(reason.NoEvidence, "nothing stapled"))
	if len(staple) > 0 {
		pub, standing, err := p.stapled(trust, der, staple)
		code, _ := reason.CodeOf(err)
		if err == nil || code == reason.RevokedCertificate || code == reason.SuspendedCert {
			return pub, standing, err
		}
		first = err
	}
	if p.Source == nil {
		return nil, nil, first
	}
	ctx, cancel := context.WithTimeout(context.Background(), p.Timeout) // crypto/tls gives none
	defer cancel()
	e, err := p.Source.Evidence(ctx, der)
	if err != nil {
		return nil, nil, fmt.Errorf("asking about a peer: %w", err)
	}
	return e.Weigh(trust, der, p.Now(), p.MaxAge, p.Standing)
}

// stapled weighs a staple by its proofs alone. The responder's signature adds nothing to them: what it says that is worse, its own subject
// would not show.
func (p *Peers) stapled(trust *Trust, der, staple []byte) (*Published, *Standing, error) {
	a, err := ParseOCSP(staple, der)
	if err != nil {
		return nil, nil, err
	}
	e := Evidence{Receipt: a.Receipt, Status: a.Status, Held: a.Told != OCSPGood}
	return e.Weigh(trust, der, p.Now(), p.MaxAge, p.Standing)
}
