package main

import (
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
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/quorate-pki/quorate/ca"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/api"
	"github.com/quorate-pki/quorate/ledger/node"
	"github.com/quorate-pki/quorate/ocsp"
)

func quietLog() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// member is one running member: node and HTTP server.
type member struct {
	node   *node.Node
	server *http.Server
	url    string
	done   chan error
}

// startMember boots a member of a founded directory: keys, node (recovery, orderer), responder, listener. The
// listener comes last, so nobody is answered before the node is ready.
func startMember(ctx context.Context, dir, name, listen string, log *slog.Logger) (*member, error) {
	genesis, err := os.ReadFile(filepath.Join(dir, genesisName))
	if err != nil {
		return nil, err
	}
	members, err := genesisMembers(genesis)
	if err != nil {
		return nil, err
	}
	cfg := node.Config{FS: vfs.Default, Dir: filepath.Join(dir, "nodes", name), Genesis: genesis, Member: name, Now: time.Now, Log: log}
	for purpose, key := range map[uint64]*ed25519.PrivateKey{ledger.KeyLog: &cfg.LogKey, ledger.KeyCosigning: &cfg.CosigningKey, ledger.KeyBlock: &cfg.BlockKey} {
		signer, err := ca.ReadSigner(filepath.Join(dir, "orgs", name, memberKeys[purpose]))
		if err != nil {
			return nil, err
		}
		k, ok := signer.(ed25519.PrivateKey)
		if !ok {
			return nil, fmt.Errorf("%s of %s is not an Ed25519 key", memberKeys[purpose], name)
		}
		*key = k
	}
	if err := renewResponder(dir, name, time.Now()); err != nil {
		return nil, err
	}
	n, err := node.Open(ctx, cfg)
	if err != nil {
		return nil, err
	}
	m, err := serve(n, dir, name, members.Channel, listen, log)
	if err != nil {
		return nil, errors.Join(err, n.Close())
	}
	return m, nil
}

func serve(n *node.Node, dir, name, channel, listen string, log *slog.Logger) (*member, error) {
	responder, err := newResponder(n, dir, name, log)
	if err != nil {
		return nil, err
	}
	ledgerAPI := api.New(api.Config{Channel: channel, Log: "0", Reader: n, Submit: n, Logger: log})
	handler := routes{
		{"/v1", ledgerAPI},
		{"/log", ledgerAPI},
		{"/ocsp", responder},
		{"/healthz", health(n)},
	}
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return nil, usage{err}
	}
	m := &member{node: n, url: "http://" + l.Addr().String(), done: make(chan error, 1)}
	m.server = &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 20 * time.Second,
		WriteTimeout: 120 * time.Second, IdleTimeout: 120 * time.Second, MaxHeaderBytes: 64 << 10,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn)}
	go func() { m.done <- m.server.Serve(l) }()
	return m, nil
}

func newResponder(n *node.Node, dir, name string, log *slog.Logger) (*ocsp.Responder, error) {
	key, err := ca.ReadSigner(filepath.Join(dir, "orgs", name, memberKeys[ledger.KeyResponder]))
	if err != nil {
		return nil, err
	}
	cert, err := ca.ReadCertificate(filepath.Join(dir, responderName))
	if err != nil {
		return nil, err
	}
	return ocsp.New(ocsp.Config{Source: ocsp.LedgerSource{Reader: n}, Key: key, Certificate: cert, Prefix: "/ocsp", Now: time.Now, Log: log})
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
