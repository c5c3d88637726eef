package peer

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
)

// Serve accepts connections until Close, and returns nil after it: on the port that is shared, when there is one and l is nil, or on
// l, which it owns.
func (n *Network) Serve(l net.Listener) error {
	if l == nil {
		if n.port == nil {
			return errors.New("peer: neither a port nor a listener")
		}
		if err := n.port.Add(n); err != nil {
			return err
		}
		<-n.ctx.Done()
		return nil
	}
	p := NewPort(n.now, n.log)
	p.patience = n.patience
	if !n.track(p) {
		_ = p.Close()
		return p.Serve(l)
	}
	defer n.forget(p)
	if err := p.Add(n); err != nil {
		return err
	}
	return p.Serve(l)
}

// accepted names the peer of a connection whose handshake is over, and finds who speaks its protocol.
func (n *Network) accepted(raw net.Conn, tc *tls.Conn) (*Conn, *streams, error) {
	cs := tc.ConnectionState()
	peer, err := n.nameOf(cs)
	if err != nil {
		return nil, nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	s := n.streams[cs.NegotiatedProtocol]
	if s == nil || cs.NegotiatedProtocol == "" { // TLS lets pass who offers none
		return nil, nil, fmt.Errorf("%s chose no protocol that is spoken here: %q", peer, cs.NegotiatedProtocol)
	}
	if n.ctx.Err() != nil {
		return nil, nil, net.ErrClosed
	}
	have := 0
	for _, from := range n.open {
		if from == peer {
			have++
		}
	}
	if have >= maxAccepted {
		return nil, nil, fmt.Errorf("%s has %d connections open already", peer, have)
	}
	n.open[raw] = peer
	return &Conn{Conn: tc, peer: peer, protocol: s.protocol, n: n, raw: raw}, s, nil
}
