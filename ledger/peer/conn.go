package peer

import (
	"crypto/tls"
	"net"
	"sync"
)

// Conn is a connection with a member that proved its key.
type Conn struct {
	*tls.Conn
	peer     string
	protocol string
	n        *Network
	raw      net.Conn
}

// Peer is the name of the member at the other end.
func (c *Conn) Peer() string { return c.peer }

// Close closes the connection.
func (c *Conn) Close() error {
	defer c.n.forget(c.raw) // after: until it is closed, Network.Close must find it
	return c.Conn.Close()
}

// streams are the accepted connections of one protocol.
type streams struct {
	n        *Network
	protocol string
	in       chan *Conn
	quit     chan struct{}
	once     sync.Once
}

// Streams are the connections that members open to us for a protocol; each Accept returns a *Conn. Call it before
// Serve: a protocol is refused while it has no listener. A connection that nobody accepts within 10 s is closed. Calls
// for the same protocol share one listener until it is closed.
func (n *Network) Streams(protocol string) net.Listener {
	n.mu.Lock()
	defer n.mu.Unlock()
	s := n.streams[protocol+n.suffix]
	if s == nil {
		s = &streams{n: n, protocol: protocol, in: make(chan *Conn), quit: make(chan struct{})}
		n.streams[protocol+n.suffix] = s
	}
	return s
}

// Accept implements net.Listener.
func (s *streams) Accept() (net.Conn, error) {
	select {
	case <-s.quit:
		return nil, net.ErrClosed
	case <-s.n.ctx.Done():
		return nil, net.ErrClosed
	default:
	}
	select {
	case c := <-s.in:
		return c, nil
	case <-s.quit:
	case <-s.n.ctx.Done():
	}
	return nil, net.ErrClosed
}

// Close ends Accept, and the protocol; connections that were accepted live on.
func (s *streams) Close() error {
	s.once.Do(func() {
		close(s.quit)
		s.n.mu.Lock()
		defer s.n.mu.Unlock()
		delete(s.n.streams, s.protocol+s.n.suffix)
	})
	return nil
}

// Addr implements net.Listener; it is no address.
func (s *streams) Addr() net.Addr { return address(s.protocol) }

type address string

func (address) Network() string  { return "peer" }
func (a address) String() string { return string(a) }
