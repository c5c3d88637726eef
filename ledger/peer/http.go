package peer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// peerKey is where ServeHTTP keeps the peer's name in a context.
type peerKey struct{}

// Of is the name of the member that sent a request, "" if the request came otherwise than through ServeHTTP.
func Of(ctx context.Context) string {
	name, _ := ctx.Value(peerKey{}).(string)
	return name
}

// Client sends requests to members: http://MEMBER/path, over Exchange. A whole request takes 10 s at most; the client is
// the caller's own, so it may set another Timeout, and all share the connections. No proxy, no redirect is followed, and
// https is refused: http here is inside TLS. The caller bounds what it reads of an answer.
func (n *Network) Client() *http.Client {
	return &http.Client{
		Transport:     n.client,
		Timeout:       10 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func (n *Network) transport() *http.Transport {
	return &http.Transport{
		Protocols: http1(),
		Proxy:     nil, // a peer is asked directly or not at all
		DialContext: func(ctx context.Context, _, addr string) (net.Conn, error) {
			member, port, err := net.SplitHostPort(addr)
			if err != nil || port != "80" {
				return nil, fmt.Errorf("%q is no member: http://MEMBER/path", addr)
			}
			ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
			defer cancel()
			c, err := n.Dial(ctx, Exchange, member)
			if err != nil {
				return nil, err // not c: a nil *Conn is no nil net.Conn
			}
			return c, nil
		},
		DialTLSContext: func(context.Context, string, string) (net.Conn, error) {
			return nil, errors.New("https to a member: http is inside TLS already")
		},
		DisableCompression:     true, // an answer is as large as it is
		MaxIdleConnsPerHost:    4,
		MaxConnsPerHost:        16, // well below what the other end accepts of one member
		IdleConnTimeout:        time.Minute,
		MaxResponseHeaderBytes: 64 << 10,
	}
}

// ServeHTTP is a server, not started, whose handler finds the peer's name by Of. Start it on Streams(Exchange); on
// anything else it answers nobody. The handler bounds the bodies it reads.
func (n *Network) ServeHTTP(h http.Handler) *http.Server {
	return &http.Server{
		Protocols: http1(),
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if Of(r.Context()) == "" {
				panic(http.ErrAbortHandler) // closes the connection without a word
			}
			h.ServeHTTP(w, r)
		}),
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			if c, ok := c.(*Conn); ok && c.n == n && c.protocol == Exchange {
				return context.WithValue(ctx, peerKey{}, c.peer)
			}
			return ctx
		},
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       2 * time.Minute, // longer than the client's, which then never sends into a closing connection
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(n.log.Handler(), slog.LevelWarn),
	}
}

func http1() *http.Protocols {
	p := new(http.Protocols)
	p.SetHTTP1(true)
	return p
}
