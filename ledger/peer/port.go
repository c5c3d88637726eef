package peer

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"sync"
	"time"
)

// Port is a TCP port that several Networks of one process share, a channel each. Which of them a connection is for, it says
// by ALPN; whether it may, that Network's member set alone says: who is known from one channel is a stranger to the next.
// Safe for concurrent use.
type Port struct {
	now      func() time.Time
	log      *slog.Logger
	patience time.Duration
	slots    chan struct{} // one for every handshake that runs

	ctx  context.Context // ends with Close
	stop context.CancelFunc

	added chan struct{} // closed with the first network

	mu       sync.Mutex
	open     map[io.Closer]bool // listeners, and connections whose handshake is not over
	networks []*Network
	second   int64 // of the newest refusal
	refusals int   // in it
	unlogged int
}

// NewPort returns a port that nobody listens on yet. Both arguments are required.
func NewPort(now func() time.Time, log *slog.Logger) *Port {
	p := &Port{now: now, log: log, patience: patience, slots: make(chan struct{}, maxHandshakes), added: make(chan struct{}), open: map[io.Closer]bool{}}
	p.ctx, p.stop = context.WithCancel(context.Background())
	return p
}

// Add has the port take connections for a network, until that is closed. Two networks of one channel are refused.
func (p *Port) Add(n *Network) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.networks = slices.DeleteFunc(p.networks, func(o *Network) bool { return o.ctx.Err() != nil })
	if slices.ContainsFunc(p.networks, func(o *Network) bool { return o.suffix == n.suffix }) {
		return errors.New("peer: the port serves this channel already")
	}
	p.networks = append(p.networks, n)
	select {
	case <-p.added:
	default:
		close(p.added)
	}
	return nil
}

// network is the one that speaks a protocol of those offered. Who offers none that is spoken here is refused by the first.
func (p *Port) network(offered []string) (*Network, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var first *Network
	for _, n := range p.networks {
		if n.ctx.Err() != nil {
			continue
		}
		if slices.ContainsFunc(n.protocols(), func(s string) bool { return slices.Contains(offered, s) }) {
			return n, nil
		}
		if first == nil {
			first = n
		}
	}
	if first == nil {
		return nil, errors.New("nothing is spoken here any more")
	}
	return first, nil
}

// Serve accepts connections from the first Add until Close, and returns nil after it. It owns l.
func (p *Port) Serve(l net.Listener) error {
	var wg sync.WaitGroup
	if !p.track(l) {
		_ = l.Close()
		return nil
	}
	select {
	case <-p.added: // who connects before waits, instead of being refused
	case <-p.ctx.Done():
	}
	for {
		raw, err := l.Accept()
		switch t := interface{ Temporary() bool }(nil); {
		case p.ctx.Err() != nil:
			if err == nil {
				_ = raw.Close()
			}
			wg.Wait()
			return nil
		case err == nil:
		case errors.As(err, &t) && t.Temporary(): // no file descriptor is left, say
			p.log.Warn("accepting a peer", "err", err)
			select {
			case <-time.After(time.Second):
			case <-p.ctx.Done():
			}
			continue
		default:
			p.forget(l)
			_ = l.Close()
			return fmt.Errorf("accepting peers: %w", err)
		}
		select {
		case p.slots <- struct{}{}:
			wg.Go(func() { p.receive(raw) })
		default:
			_ = raw.Close()
			p.refused(raw, errors.New("too many handshakes at once"))
		}
	}
}

// receive takes one connection from the first byte to whoever accepts its protocol. It gives the handshake's slot back.
func (p *Port) receive(raw net.Conn) {
	c, s, err := p.shake(raw)
	<-p.slots
	if err != nil {
		p.refused(raw, err)
		_ = raw.Close()
		return
	}
	t := time.NewTimer(p.patience)
	defer t.Stop()
	select {
	case s.in <- c:
		return
	case <-t.C:
		c.n.log.Warn("nobody accepted a peer's connection", "peer", c.peer, "protocol", c.protocol)
	case <-s.quit:
	case <-p.ctx.Done():
	case <-c.n.ctx.Done():
	}
	_ = c.Close()
}

// shake names the peer of an accepted connection, or refuses it.
func (p *Port) shake(raw net.Conn) (*Conn, *streams, error) {
	if !p.track(raw) {
		return nil, nil, net.ErrClosed
	}
	defer p.forget(raw)
	ctx, cancel := context.WithTimeout(p.ctx, p.patience)
	defer cancel()
	var n *Network
	tc := tls.Server(raw, &tls.Config{MinVersion: tls.VersionTLS13, GetConfigForClient: func(hello *tls.ClientHelloInfo) (cfg *tls.Config, err error) {
		if n, err = p.network(hello.SupportedProtos); err != nil {
			return nil, err
		}
		return n.serverTLS(), nil
	}})
	if err := tc.HandshakeContext(ctx); err != nil {
		return nil, nil, fmt.Errorf("handshake: %w", err)
	}
	return n.accepted(raw, tc)
}

// Close closes what is listened on, and every connection that has not reached its network. Those that have are their network's.
func (p *Port) Close() error {
	p.stop()
	p.mu.Lock()
	open := p.open
	p.open = nil
	p.mu.Unlock()
	var errs []error
	for c := range open { // below TLS: a peer that does not read cannot delay it
		if err := c.Close(); !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// track makes Close close c; false after Close.
func (p *Port) track(c io.Closer) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ctx.Err() != nil {
		return false
	}
	p.open[c] = true
	return true
}

func (p *Port) forget(c io.Closer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.open, c)
}

// refused logs a refusal, but does not let strangers fill the disk.
func (p *Port) refused(raw net.Conn, err error) {
	if p.ctx.Err() != nil {
		return
	}
	p.mu.Lock()
	if now := p.now().Unix(); now != p.second {
		p.second, p.refusals = now, 0
	}
	p.refusals++
	loud, unlogged := p.refusals <= maxRefusals, p.unlogged
	if p.unlogged++; loud {
		p.unlogged = 0
	}
	p.mu.Unlock()
	if loud {
		p.log.Warn("refused a connection", "remote", raw.RemoteAddr().String(), "err", err, "unlogged", unlogged)
	}
}
