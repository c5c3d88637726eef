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
	Members   *ledger.MemberSet // required; Follow takes the sets that come after it
	Earlier   bool              // Members need not be in force any more: whether Key is this member's, Follow says
	Self      string            // this member's name; it need not be a member yet
	Key       crypto.Signer     // this member's TLS key: ECDSA P-256 or P-384, or Ed25519; safe for concurrent use
	More      []crypto.Signer   // TLS keys that it has besides: the one before, and the one that a coming member set has
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
	addresses map[string]string
	certs     map[string]tls.Certificate // of this member's own keys, by SPKI
	now       func() time.Time
	log       *slog.Logger
	suffix    string // of protocols on the wire
	port      *Port  // nil: none is shared
	patience  time.Duration
	client    *http.Transport

	ctx  context.Context // ends with Close
	stop context.CancelFunc

	mu      sync.Mutex
	keys    map[string]string // member name -> SPKI of its TLS key in the newest set
	names   map[string]string // and back; also keys of the set before that, of members whose key is another now or who left
	cert    tls.Certificate
	open    map[io.Closer]string // everything Close must close; the member's name for what was accepted from it
	streams map[string]*streams  // by the protocol's name on the wire
}

// New checks that Key is Self's in the member set.
func New(cfg Config) (*Network, error) {
	if cfg.Members == nil || cfg.Key == nil || cfg.Now == nil || cfg.Log == nil {
		return nil, errors.New("peer: members, key, clock and log are required")
	}
	n := &Network{self: cfg.Self, certs: map[string]tls.Certificate{}, addresses: maps.Clone(cfg.Addresses),
		now: cfg.Now, log: cfg.Log, port: cfg.Port, patience: patience, open: map[io.Closer]string{}, streams: map[string]*streams{}}
	if cfg.Tag != (ledger.Hash{}) {
		n.suffix = fmt.Sprintf("/%x", cfg.Tag)
	}
	for name, addr := range n.addresses {
		if addr == "" {
			delete(n.addresses, name) // it left
			continue
		}
		if _, _, err := net.SplitHostPort(addr); err != nil {
			return nil, fmt.Errorf("peer: address of %q: %w", name, err)
		}
	}
	for _, m := range cfg.Members.Members {
		if _, ok := n.addresses[m.Name]; !ok && m.Name != cfg.Self {
			n.log.Warn("no address of a member: it can dial us, we cannot dial it", "member", m.Name)
		}
	}
	for _, key := range append([]crypto.Signer{cfg.Key}, cfg.More...) {
		cert, spki, err := selfSigned(key, cfg.Now())
		if err != nil {
			return nil, fmt.Errorf("peer: TLS key of %q: %w", cfg.Self, err)
		}
		if n.certs[spki] = cert; len(n.cert.Certificate) == 0 {
			n.cert = cert
		}
	}
	if err := n.follow(cfg.Members, nil, cfg.Earlier); err != nil {
		return nil, err
	}
	n.ctx, n.stop = context.WithCancel(context.Background())
	n.client = n.transport()
	return n, nil
}

// Follow takes the member set in force, and the one before it, nil when there is none. A member is reached by its key in force; who shows a key that
// only the set before has is still answered, on Exchange, so that whoever has not heard of the change can.
func (n *Network) Follow(set, before *ledger.MemberSet) error { return n.follow(set, before, false) }

func (n *Network) follow(set, before *ledger.MemberSet, earlier bool) error {
	keys, names := map[string]string{}, map[string]string{}
	for _, m := range set.Members {
		key := string(m.Keys[ledger.KeyTLS])
		if other, twice := names[key]; twice || key == "" {
			return fmt.Errorf("peer: TLS key of %q is missing or that of %q", m.Name, other)
		}
		keys[m.Name], names[key] = key, m.Name
	}
	if before != nil {
		for _, m := range before.Members {
			if key := string(m.Keys[ledger.KeyTLS]); names[key] == "" {
				names[key] = m.Name
			}
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	cert, has := n.certs[keys[n.self]]
	if !has && !earlier && keys[n.self] != "" {
		return fmt.Errorf("peer: TLS key of %q: it is not the one in the member set", n.self)
	}
	if has {
		n.cert = cert
	}
	n.keys, n.names = keys, names
	return nil
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
	n.mu.Lock()
	key, addr := n.keys[member], n.addresses[member]
	n.mu.Unlock()
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
