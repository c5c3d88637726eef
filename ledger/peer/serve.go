package peer

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// Serve accepts connections until Close, and returns nil after it. It owns l.
func (n *Network) Serve(l net.Listener) error {
	var wg sync.WaitGroup
	if !n.track(l) {
		_ = l.Close()
		return nil
	}
	for {
		raw, err := l.Accept()
		switch t := interface{ Temporary() bool }(nil); {
		case n.ctx.Err() != nil:
			if err == nil {
				_ = raw.Close()
			}
			wg.Wait()
			return nil
		case err == nil:
		case errors.As(err, &t) && t.Temporary(): // no file descriptor is left, say
			n.log.Warn("accepting a peer", "err", err)
			select {
			case <-time.After(time.Second):
			case <-n.ctx.Done():
			}
			continue
		default:
			n.forget(l)
			_ = l.Close()
			return fmt.Errorf("accepting peers: %w", err)
		}
		select {
		case n.slots <- struct{}{}:
			wg.Go(func() { n.receive(raw) })
		default:
			_ = raw.Close()
			n.refused(raw, errors.New("too many handshakes at once"))
		}
	}
}

// receive takes one connection from the first byte to whoever accepts its protocol. It gives the handshake's slot back.
func (n *Network) receive(raw net.Conn) {
	c, s, err := n.shake(raw)
	<-n.slots
	if err != nil {
		n.refused(raw, err)
		_ = raw.Close()
		n.forget(raw)
		return
	}
	t := time.NewTimer(n.patience)
	defer t.Stop()
	select {
	case s.in <- c:
		return
	case <-t.C:
		n.log.Warn("nobody accepted a peer's connection", "peer", c.peer, "protocol", c.protocol)
	case <-s.quit:
	case <-n.ctx.Done():
	}
	_ = c.Close()
}

// shake names the peer of an accepted connection, or refuses it.
func (n *Network) shake(raw net.Conn) (*Conn, *streams, error) {
	if !n.track(raw) {
		return nil, nil, net.ErrClosed
	}
	ctx, cancel := context.WithTimeout(n.ctx, n.patience)
	defer cancel()
	tc := tls.Server(raw, n.serverTLS())
	if err := tc.HandshakeContext(ctx); err != nil {
		return nil, nil, fmt.Errorf("handshake: %w", err)
	}
	cs := tc.ConnectionState()
	peer, err := n.nameOf(cs)
	if err != nil {
		return nil, nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	s := n.streams[cs.NegotiatedProtocol]
	if s == nil || s.protocol == "" { // TLS lets pass who offers none
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
	return &Conn{Conn: tc, peer: peer, protocol: cs.NegotiatedProtocol, n: n, raw: raw}, s, nil
}

// refused logs a refusal, but does not let strangers fill the disk.
func (n *Network) refused(raw net.Conn, err error) {
	if n.ctx.Err() != nil {
		return
	}
	n.mu.Lock()
	if now := n.now().Unix(); now != n.second {
		n.second, n.refusals = now, 0
	}
	n.refusals++
	loud, unlogged := n.refusals <= maxRefusals, n.unlogged
	if n.unlogged++; loud {
		n.unlogged = 0
	}
	n.mu.Unlock()
	if loud {
		n.log.Warn("refused a connection", "remote", raw.RemoteAddr().String(), "err", err, "unlogged", unlogged)
	}
}
