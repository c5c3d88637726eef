package peer

import (
	"crypto/tls"
	"fmt"
	"net"
)

// Serve accepts connections on a port of this network's own until Close, and returns nil after it. It owns l. Networks that
// share one use a Port.
func (n *Network) Serve(l net.Listener) error {
	p := NewPort(n.now, n.log)
	p.patience = n.patience
	if !n.track(p) {
		return p.refuse(l)
	}
	defer n.forget(p)
	if err := p.Add(n); err != nil {
		return err
	}
	return p.Serve(l)
}

// refuse is Serve of a port that was closed before.
func (p *Port) refuse(l net.Listener) error {
	_ = p.Close()
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
