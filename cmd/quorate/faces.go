package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/api"
	"github.com/quorate-pki/quorate/ledger/node"
)

// faces are the addresses where a member answers users: its own, and one more for each channel that has an address of its own. What is
// not served at an address is not told there either, by no page of it.
type faces struct {
	m *member

	mu  sync.Mutex
	all []*face // the first is the member's own
}

// face is one address and the channels that are served there.
type face struct {
	m        *member
	address  string // as configured
	url      string
	server   *http.Server
	stopping context.Context
	routes   atomic.Pointer[routes]
	channels atomic.Pointer[[]*channel]
	apis     map[*channel]http.Handler // of those that run
}

// open listens at an address and serves what its routes are by then.
func (fs *faces) open(address string) (*face, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	f := &face{m: fs.m, address: address, url: "http://" + l.Addr().String(), apis: map[*channel]http.Handler{}}
	f.routes.Store(&routes{})
	f.channels.Store(&[]*channel{})
	var stop context.CancelFunc
	f.stopping, stop = context.WithCancel(context.Background())
	f.server = &http.Server{Handler: f, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 20 * time.Second,
		WriteTimeout: 120 * time.Second, IdleTimeout: 120 * time.Second, MaxHeaderBytes: 64 << 10,
		ErrorLog: slog.NewLogLogger(fs.m.cfg.log.Handler(), slog.LevelWarn)}
	f.server.RegisterOnShutdown(stop)
	go func() { fs.m.ends(f.server.Serve(l)) }()
	fs.all = append(fs.all, f)
	return f, nil
}

// ServeHTTP answers by the routes as they are now.
func (f *face) ServeHTTP(w http.ResponseWriter, r *http.Request) { f.routes.Load().ServeHTTP(w, r) }

// of is where a channel is served; nil: nowhere yet.
func (fs *faces) of(c *channel) *face {
	for _, f := range fs.all {
		if c.listen == "" || c.listen == f.address {
			return f
		}
	}
	return nil
}

// url is where a channel's users are answered.
func (fs *faces) url(c *channel) string {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	return fs.of(c).url
}

// expect makes room for a channel that does not run yet: its health is told where it will be served.
func (fs *faces) expect(c *channel) error {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	f := fs.of(c)
	if f == nil {
		var err error
		if f, err = fs.open(c.listen); err != nil {
			return err
		}
	}
	known := append(slices.Clone(*f.channels.Load()), c)
	f.channels.Store(&known)
	if err := f.lay(); err != nil {
		known = known[:len(known)-1]
		f.channels.Store(&known)
		return err
	}
	return nil
}

// show serves a channel that runs from now on.
func (fs *faces) show(c *channel) error {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	return fs.of(c).lay()
}

// lay makes the table of routes anew: a row for each channel that runs, and what is of all of them.
func (f *face) lay() error {
	var out routes
	var readers []ledger.Reader
	var first http.Handler
	var row *ledger.Member // of the first channel here that runs: whose responder key answers
	for _, c := range *f.channels.Load() {
		n, _ := c.running()
		if n == nil {
			continue
		}
		h := f.apis[c]
		if h == nil {
			var err error
			if h, err = f.api(c, n); err != nil {
				return err
			}
			f.apis[c] = h
		}
		if first == nil {
			first, row = h, c.inForce()
		}
		readers = append(readers, n)
		out = append(out, route{"/v1/" + c.name, h}, route{"/log/" + c.name, h})
	}
	if first != nil {
		cfg, err := f.m.cfg.answering(row)
		if err != nil {
			return err
		}
		answers, err := newResponder(cfg, readers, time.Now)
		if err != nil {
			return err
		}
		// What is no channel here is refused by the first: it knows how.
		out = append(out, route{"/v1", first}, route{"/log", first}, route{ocspPrefix, answers})
	}
	all := func() []*channel { return *f.channels.Load() }
	out = append(out, route{healthPrefix, health(all)}, route{"/metrics", metrics(all)})
	f.routes.Store(&out)
	return nil
}

// api is the HTTP face of one channel.
func (f *face) api(c *channel, n *node.Node) (http.Handler, error) {
	teller, err := teller(f.m.cfg, c.inForce())
	if err != nil {
		return nil, err
	}
	return api.New(api.Config{Channel: c.name, Log: "0", Reader: n, Submit: n, Epochs: n, Teller: teller, Logger: f.m.cfg.log, Changed: n.Changed,
		Stopping: f.stopping.Done(), FollowersPerAddress: f.m.cfg.followers}), nil
}

// stop takes no new requests and lets the ones at hand end.
func (fs *faces) stop() error {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	errs := make([]error, len(fs.all))
	var wg sync.WaitGroup
	for i, f := range fs.all {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			defer cancel()
			if errs[i] = f.server.Shutdown(ctx); errs[i] != nil {
				// Whoever still talks is cut off: the node waits for its readers, and they for their clients.
				errs[i] = f.server.Close()
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// answering is cfg with the responder key that a member set gives the member.
func (cfg memberConfig) answering(row *ledger.Member) (memberConfig, error) {
	key, err := cfg.keys.responderIn(row)
	if err != nil {
		return cfg, usage{fmt.Errorf("keys: %w", err)}
	}
	keys := *cfg.keys
	keys.responder, cfg.keys = key, &keys
	return cfg, nil
}

// teller is who signs that certificates are unknown: the member, by the key it signs OCSP answers with.
func teller(cfg memberConfig, row *ledger.Member) (api.Teller, error) {
	cfg, err := cfg.answering(row)
	if err != nil {
		return api.Teller{}, err
	}
	key, err := ledger.NewSigner(cfg.keys.responder, row.Keys[ledger.KeyResponder])
	if err != nil {
		return api.Teller{}, fmt.Errorf("the responder key: %w", err)
	}
	return api.Teller{Member: row.Number, Key: key}, nil
}
