// Package peer is how the members of a consortium talk to each other: mutual TLS 1.3 without a CA. A peer is who its
// TLS public key says, compared byte for byte with the TLS keys of the member set; one TCP port carries several
// protocols, chosen by ALPN.
//
// It promises: both ends of every connection it hands out have proved the key of the member they are named after, on
// the protocol and for the channel that was asked for, and Close ends every one of them. It must never trust an address or the
// names in a certificate, never answer a peer that it cannot name, and never take a member of one channel for one of another.
package peer

import (
	"context"
	"crypto"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/quorate-pki/quorate/ledger"
)

// Protocols. On the wire they are ALPN names; those of a channel that has a Tag end in "/" and its 64 hex digits.
const (
	Raft     = "quorate-raft/1" // the orderer's
	Exchange = "quorate-peer/1" // HTTP/1.1 inside
)

const (
	patience      = 10 * time.Second // for a handshake, and for somebody to accept what came of it
	maxHandshakes = 64               // at once
	maxAccepted   = 64               // open connections accepted from one member
	maxRefusals   = 10               // logged in one second; the next one logged says how many were not
)

// Config of a Network.
type Config struct {
	Members   *ledger.MemberSet // required; another member set needs another Network
	Self      string            // this member's name
	Key       crypto.Signer     // this member's TLS key: ECDSA P-256 or P-384, or Ed25519; safe for concurrent use
	Addresses map[string]string // member name -> host:port where it listens for peers; Self may be missing
	Now       func() time.Time  // required
	Log       *slog.Logger      // required

	// Tag tells this channel's connections from those of others that share a Port: the hash of its genesis block. Zero for the
	// consortium's first channel. Members with different tags do not talk to each other at all.
	Tag ledger.Hash

	// Port is what Serve takes connections from when it is given no listener: one that several channels share. Default: none.
	Port *Port
}

// Network is this member among the others. Safe for concurrent use.
type Network struct {
	self      string
	keys      map[string]string // member name -> SPKI of its TLS key
	names     map[string]string // and back
	addresses map[string]string
	cert      tls.Certificate
	now       func() time.Time
	log       *slog.Logger
	suffix    string // of protocols on the wire
	port      *Port  // nil: none is shared
	patience  time.Duration
	client    *http.Transport

	ctx  context.Context // ends with Close
	stop context.CancelFunc

	mu      sync.Mutex
	open    map[io.Closer]string // everything Close must close; the member's name for what was accepted from it
	streams map[string]*streams  // by the protocol's name on the wire
}

// New checks that Key is Self's in the member set.
func New(cfg Config) (*Network, error) {
	if cfg.Members == nil || cfg.Key == nil || cfg.Now == nil || cfg.Log == nil {
		return nil, errors.New("peer: members, key, clock and log are required")
	}
	n := &Network{self: cfg.Self, keys: map[string]string{}, names: map[string]string{}, addresses: maps.Clone(cfg.Addresses),
		now: cfg.Now, log: cfg.Log, port: cfg.Port, patience: patience, open: map[io.Closer]string{}, streams: map[string]*streams{}}
	if cfg.Tag != (ledger.Hash{}) {
		n.suffix = fmt.Sprintf("/%x", cfg.Tag)
	}
	for _, m := range cfg.Members.Members {
		key := string(m.Keys[ledger.KeyTLS])
		if other, twice := n.names[key]; twice || key == "" {
			return nil, fmt.Errorf("peer: TLS key of %q is missing or that of %q", m.Name, other)
		}
		n.keys[m.Name], n.names[key] = key, m.Name
		addr, ok := n.addresses[m.Name]
		if _, _, err := net.SplitHostPort(addr); ok && err != nil {
			return nil, fmt.Errorf("peer: address of %q: %w", m.Name, err)
		}
		if !ok && m.Name != cfg.Self {
			n.log.Warn("no address of a member: it can dial us, we cannot dial it", "member", m.Name)
		}
	}
	if n.keys[cfg.Self] == "" {
		return nil, fmt.Errorf("peer: %q is no member", cfg.Self)
	}
	var err error
	if n.cert, err = selfSigned(cfg.Key, n.keys[cfg.Self], cfg.Now()); err != nil {
		return nil, fmt.Errorf("peer: TLS key of %q: %w", cfg.Self, err)
	}
	n.ctx, n.stop = context.WithCancel(context.Background())
	n.client = n.transport()
	return n, nil
}

// Dial connects to a member and checks that the key that answers is that member's. TLS 1.3 ends the handshake of the
// side that dials first: that the member refuses us shows at the first Read. No Dial takes longer than 10 s.
func (n *Network) Dial(ctx context.Context, protocol, member string) (*Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	defer context.AfterFunc(n.ctx, cancel)()
	c, err := n.dial(ctx, protocol, member)
	if err != nil && n.ctx.Err() != nil {
		err = net.ErrClosed
	}
	if err != nil {
		return nil, fmt.Errorf("dialling member %q: %w", member, err)
	}
	return c, nil
}

func (n *Network) dial(ctx context.Context, protocol, member string) (*Conn, error) {
	key, addr := n.keys[member], n.addresses[member]
	switch {
	case key == "":
		return nil, errors.New("no such member")
	case member == n.self:
		return nil, errors.New("that is this member")
	case addr == "":
		return nil, errors.New("no address is configured")
	}
	raw, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	if !n.track(raw) {
		_ = raw.Close()
		return nil, net.ErrClosed
	}
	wire := protocol + n.suffix
	c := &Conn{Conn: tls.Client(raw, n.clientTLS(wire, key)), peer: member, protocol: protocol, n: n, raw: raw}
	err = c.HandshakeContext(ctx)
	if got := c.ConnectionState().NegotiatedProtocol; err == nil && got != wire {
		err = fmt.Errorf("it answers with protocol %q, not %q", got, wire)
	}
	if err != nil {
		_ = raw.Close()
		n.forget(raw)
		return nil, err
	}
	return c, nil
}

// Close closes what Serve listens on and every connection, accepted or dialled. Nothing is open when it returns, and
// nothing can be opened.
func (n *Network) Close() error {
	n.stop()
	n.mu.Lock()
	open := n.open
	n.open = nil
	n.mu.Unlock()
	var errs []error
	for c := range open { // below TLS: a peer that does not read cannot delay it
		if err := c.Close(); !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	n.client.CloseIdleConnections()
	return errors.Join(errs...)
}

// track makes Close close c; false after Close.
func (n *Network) track(c io.Closer) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.ctx.Err() != nil {
		return false
	}
	n.open[c] = ""
	return true
}

func (n *Network) forget(c io.Closer) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.open, c)
}
