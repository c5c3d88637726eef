package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/quorate-pki/quorate/ca"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/api"
	"github.com/quorate-pki/quorate/ledger/node"
	"github.com/quorate-pki/quorate/ledger/peer"
	"github.com/quorate-pki/quorate/ocsp"
)

func quietLog() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// consortium is a founded directory, and where its members meet.
type consortium struct {
	dir       string
	genesis   []byte
	set       *ledger.MemberSet
	listen    map[string]net.Listener // for peers; taken by the member that starts
	addresses map[string]string       // of the same
	log       *slog.Logger
}

// openConsortium reads the directory and takes a free port on the loopback interface for each member's peers.
func openConsortium(dir string, log *slog.Logger) (*consortium, error) {
	c := &consortium{dir: dir, listen: map[string]net.Listener{}, addresses: map[string]string{}, log: log}
	var err error
	if c.genesis, err = os.ReadFile(filepath.Join(dir, genesisName)); err != nil {
		return nil, err
	}
	if c.set, err = genesisMembers(c.genesis); err != nil {
		return nil, err
	}
	if err := renewResponders(dir, memberNames(c.set), time.Now()); err != nil {
		return nil, err
	}
	if len(c.set.Members) == 1 {
		return c, nil
	}
	for _, m := range c.set.Members {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, errors.Join(err, c.close())
		}
		c.listen[m.Name], c.addresses[m.Name] = l, l.Addr().String()
	}
	return c, nil
}

// close gives back the ports that no member took.
func (c *consortium) close() error {
	var errs []error
	for _, l := range c.listen {
		errs = append(errs, l.Close())
	}
	return errors.Join(errs...)
}

// peerListener is the port of a member's peers: the one taken for it, or the same again after it was stopped.
func (c *consortium) peerListener(name string) (net.Listener, error) {
	if l := c.listen[name]; l != nil {
		delete(c.listen, name)
		return l, nil
	}
	return net.Listen("tcp", c.addresses[name])
}

// start boots members side by side: one that is behind asks the others. Member i listens for users on the i-th port
// from listen on; on any free port when that is 0.
func (c *consortium) start(ctx context.Context, listen string) ([]*member, error) {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return nil, usage{err}
	}
	base, err := net.LookupPort("tcp", port)
	if err != nil {
		return nil, usage{err}
	}
	members, errs := make([]*member, len(c.set.Members)), make([]error, len(c.set.Members))
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	for i, m := range c.set.Members {
		at := base
		if at != 0 {
			at += i
		}
		l, err := c.network(m.Name)
		if err != nil {
			errs[i] = err
			cancel()
			break
		}
		wg.Go(func() {
			members[i], errs[i] = c.startMember(ctx, m.Name, net.JoinHostPort(host, fmt.Sprint(at)), l)
			if errs[i] != nil {
				cancel() // the others may wait for it
			}
		})
	}
	wg.Wait()
	var cause error
	for _, err := range errs {
		if err != nil && (cause == nil || errors.Is(cause, context.Canceled)) {
			cause = err
		}
	}
	if cause != nil {
		return nil, errors.Join(cause, stopAll(members), c.close())
	}
	return members, nil
}

// rejoin brings a member back whose directory is gone.
func (c *consortium) rejoin(ctx context.Context, name, listen string) (*member, error) {
	if err := join(c.dir, name, c.genesis); err != nil {
		return nil, err
	}
	l, err := c.network(name)
	if err != nil {
		return nil, err
	}
	return c.startMember(ctx, name, listen, l)
}

// network is a member's port for peers and its connections to them; nothing for a member alone.
func (c *consortium) network(name string) (net.Listener, error) {
	if len(c.set.Members) == 1 {
		return nil, nil
	}
	return c.peerListener(name)
}

// member is one running member: node and HTTP server.
type member struct {
	name   string
	node   *node.Node
	server *http.Server
	url    string
	done   chan error
}

// startMember boots a member: keys, node (recovery, peers, orderer), responder, listener. The listener for users comes
// last, so nobody is answered before a quorum is there.
func (c *consortium) startMember(ctx context.Context, name, listen string, peers net.Listener) (*member, error) {
	cfg := node.Config{FS: vfs.Default, Dir: filepath.Join(c.dir, "nodes", name), Genesis: c.genesis, Member: name, Now: time.Now, Log: c.log.With("member", name)}
	if err := c.keys(name, &cfg); err != nil {
		return nil, err
	}
	if peers != nil {
		key, err := ca.ReadSigner(filepath.Join(c.dir, "orgs", name, memberKeys[ledger.KeyTLS]))
		if err != nil {
			return nil, err
		}
		cfg.Listen = peers
		cfg.Network, err = peer.New(peer.Config{Members: c.set, Self: name, Key: key, Addresses: c.addresses, Now: time.Now, Log: cfg.Log})
		if err != nil {
			return nil, err
		}
	}
	n, err := node.Open(ctx, cfg)
	if err != nil {
		return nil, err
	}
	if err := n.Ready(ctx); err != nil {
		return nil, errors.Join(err, n.Close())
	}
	m, err := c.serve(n, name, listen)
	if err != nil {
		return nil, errors.Join(err, n.Close())
	}
	return m, nil
}

// keys reads the keys that a node signs with.
func (c *consortium) keys(name string, cfg *node.Config) error {
	for purpose, key := range map[uint64]*ed25519.PrivateKey{ledger.KeyLog: &cfg.LogKey, ledger.KeyCosigning: &cfg.CosigningKey, ledger.KeyBlock: &cfg.BlockKey} {
		signer, err := ca.ReadSigner(filepath.Join(c.dir, "orgs", name, memberKeys[purpose]))
		if err != nil {
			return err
		}
		k, ok := signer.(ed25519.PrivateKey)
		if !ok {
			return fmt.Errorf("%s of %s is not an Ed25519 key", memberKeys[purpose], name)
		}
		*key = k
	}
	return nil
}

func (c *consortium) serve(n *node.Node, name, listen string) (*member, error) {
	responder, err := c.newResponder(n, name)
	if err != nil {
		return nil, err
	}
	ledgerAPI := api.New(api.Config{Channel: c.set.Channel, Log: "0", Reader: n, Submit: n, Logger: c.log})
	handler := routes{
		{"/v1", ledgerAPI},
		{"/log", ledgerAPI},
		{"/ocsp", responder},
		{"/healthz", health(n)},
		{"/metrics", metrics(n)},
	}
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return nil, usage{err}
	}
	m := &member{name: name, node: n, url: "http://" + l.Addr().String(), done: make(chan error, 1)}
	m.server = &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 20 * time.Second,
		WriteTimeout: 120 * time.Second, IdleTimeout: 120 * time.Second, MaxHeaderBytes: 64 << 10,
		ErrorLog: slog.NewLogLogger(c.log.Handler(), slog.LevelWarn)}
	go func() { m.done <- m.server.Serve(l) }()
	return m, nil
}

func (c *consortium) newResponder(n *node.Node, name string) (*ocsp.Responder, error) {
	key, err := ca.ReadSigner(filepath.Join(c.dir, "orgs", name, memberKeys[ledger.KeyResponder]))
	if err != nil {
		return nil, err
	}
	spki, err := ca.SPKI(key.Public())
	if err != nil {
		return nil, err
	}
	ders, err := readResponders(filepath.Join(c.dir, responderName))
	if err != nil {
		return nil, err
	}
	for i, m := range c.set.Members {
		if m.Name == name && bytes.Equal(spki, m.Keys[ledger.KeyResponder]) {
			return ocsp.New(ocsp.Config{Source: ocsp.LedgerSource{Reader: n}, Key: key, Certificate: ders[i], Prefix: "/ocsp", Now: time.Now, Log: c.log})
		}
	}
	return nil, fmt.Errorf("the responder key of %s is not the member set's", name)
}

// stop takes no new requests, lets the ones at hand end, then closes the node.
func (m *member) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	err := m.server.Shutdown(ctx)
	if err != nil {
		// Whoever still talks is cut off: the node waits for its readers, and they for their clients.
		err = errors.Join(err, m.server.Close())
	}
	return errors.Join(err, m.node.Close())
}

// stopAll stops members side by side.
func stopAll(members []*member) error {
	errs := make([]error, len(members))
	var wg sync.WaitGroup
	for i, m := range members {
		if m != nil {
			wg.Go(func() { errs[i] = m.stop() })
		}
	}
	wg.Wait()
	return errors.Join(errs...)
}
