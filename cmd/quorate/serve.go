package main

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/quorate-pki/quorate/ca"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/node"
	"github.com/quorate-pki/quorate/ledger/peer"
)

// shareProcessors lets members that share this process write side by side: a write that waits for the disk holds one of
// Go's processors for a while, and with as many as cores everything else would wait too. Measured with four members on two
// cores: 18 ms for a certificate, 11 ms with this. Whoever set GOMAXPROCS keeps it.
func shareProcessors(members int) {
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(max(runtime.NumCPU(), 4*members))
	}
}

func quietLog() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// consortium is a founded directory, and where its members meet.
type consortium struct {
	dir       string
	genesis   []byte
	set       *ledger.MemberSet
	listen    map[string]net.Listener // for peers; taken by the member that starts
	addresses map[string]string       // of the same
	log       *slog.Logger
	renewing  sync.Mutex // the file of responder certificates
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
	shareProcessors(len(c.set.Members))
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
			members[i], errs[i] = c.startMember(ctx, m, net.JoinHostPort(host, fmt.Sprint(at)), l)
			if errors.Is(errs[i], node.ErrRemoved) {
				c.log.Warn("a member that was removed is not started", "member", m.Name)
				errs[i] = nil
				return
			}
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
	return slices.DeleteFunc(members, func(m *member) bool { return m == nil }), nil
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
	i := slices.Index(memberNames(c.set), name)
	return c.startMember(ctx, c.set.Members[i], listen, l)
}

// network is a member's port for peers and its connections to them; nothing for a member alone.
func (c *consortium) network(name string) (net.Listener, error) {
	if len(c.set.Members) == 1 {
		return nil, nil
	}
	return c.peerListener(name)
}

func (c *consortium) startMember(ctx context.Context, m ledger.Member, listen string, peers net.Listener) (*member, error) {
	keys, err := readKeys(filepath.Join(c.dir, "orgs", m.Name))
	if err != nil {
		return nil, err
	}
	return startMember(ctx, memberConfig{name: m.Name, data: filepath.Join(c.dir, "nodes", m.Name), genesis: c.genesis, set: c.set, keys: keys,
		certificate: func(now time.Time, _ crypto.Signer) ([]byte, error) { return c.certificate(m.Name, now) },
		listen:      listen, channels: filepath.Join(c.dir, channelsName, m.Name), peers: peers, addresses: c.addresses, log: c.log})
}

// certificate is a member's responder certificate; all are renewed when one must be.
func (c *consortium) certificate(name string, now time.Time) ([]byte, error) {
	c.renewing.Lock()
	defer c.renewing.Unlock()
	names := memberNames(c.set)
	if err := renewResponders(c.dir, names, now); err != nil {
		return nil, err
	}
	ders, err := readResponders(filepath.Join(c.dir, responderName))
	if err != nil {
		return nil, err
	}
	return ders[slices.Index(names, name)], nil
}

// nodeKeys are the keys that a member's node uses. The sixth, for governance, is its people's.
type nodeKeys struct {
	log, cosigning, block ed25519.PrivateKey
	tls, responder        crypto.Signer
	more                  *nodeKeys // of the next member set, or of the one before: NAME.next.key; any may be missing
}

// nodePurposes are the purposes of nodeKeys.
var nodePurposes = []uint64{ledger.KeyLog, ledger.KeyCosigning, ledger.KeyBlock, ledger.KeyTLS, ledger.KeyResponder}

// nextKeys ends the names of the key files that a member has beside those of its set: made before the set changes, they sign from the height on
// at which it does; renamed over the old ones when they are in force.
const nextKeys = ".next.key"

// keyFiles are the files of a member's keys of a purpose: the key, and the next.
func keyFiles(dir string, purpose uint64) (now, next string) {
	now = filepath.Join(dir, memberKeys[purpose])
	return now, strings.TrimSuffix(now, ".key") + nextKeys
}

// readKeys reads a member's keys, and those of the next member set that are there. Which are in force the log says.
func readKeys(dir string) (*nodeKeys, error) {
	k := nodeKeys{more: &nodeKeys{}}
	for _, purpose := range nodePurposes {
		now, next := keyFiles(dir, purpose)
		if err := k.read(now, purpose); err != nil {
			return nil, err
		}
		if err := k.more.read(next, purpose); err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
	}
	return &k, nil
}

func (k *nodeKeys) read(path string, purpose uint64) error {
	key, err := ca.ReadSigner(path)
	if err != nil {
		return err
	}
	switch purpose { // a member set's keys of these purposes are Ed25519
	case ledger.KeyTLS:
		k.tls = key
		return nil
	case ledger.KeyResponder:
		k.responder = key
		return nil
	}
	own, ok := key.(ed25519.PrivateKey)
	if !ok {
		return fmt.Errorf("%s is no Ed25519 key", filepath.Base(path))
	}
	switch purpose {
	case ledger.KeyLog:
		k.log = own
	case ledger.KeyCosigning:
		k.cosigning = own
	case ledger.KeyBlock:
		k.block = own
	}
	return nil
}

// responderIn is the responder key that a member set gives a member.
func (k *nodeKeys) responderIn(m *ledger.Member) (crypto.Signer, error) {
	for _, key := range []crypto.Signer{k.responder, k.more.responder} {
		if key == nil {
			continue
		}
		if spki, err := ca.SPKI(key.Public()); err == nil && bytes.Equal(spki, m.Keys[ledger.KeyResponder]) {
			return key, nil
		}
	}
	return nil, fmt.Errorf("%w: the responder key of %s", node.ErrKeys, m.Name)
}

// memberConfig is what a member is started with, whoever starts it.
type memberConfig struct {
	name    string
	data    string // the node's directory
	genesis []byte
	set     *ledger.MemberSet
	keys    *nodeKeys
	// certificate is the DER of the OCSP responder's certificate over a key, renewed when it must be. It is asked for again while
	// the member runs.
	certificate func(now time.Time, key crypto.Signer) ([]byte, error)
	ocsp        ocspConfig
	listen      string            // host:port for users; port 0: any free one
	channels    string            // directory of further channels; "": none are run
	peers       net.Listener      // for peers; nil for a member alone
	addresses   map[string]string // member name -> host:port for peers
	followers   int               // of the change feed, for each address; 0: the default
	log         *slog.Logger
}

// member is one running member: a node for each of its channels, and the servers that answer users.
type member struct {
	cfg     memberConfig
	name    string
	port    *peer.Port // of its peers, on all channels; nil for a member alone
	first   *channel   // the consortium's first channel, which decides about the others
	node    *node.Node // of that
	faces   *faces
	further *further   // nil: not attended to
	url     string     // where the first channel's users are answered
	done    chan error // why the member cannot go on: a server's end, the port's, or the first channel's node's
}

// startMember boots a member: the first channel's node (recovery, peers, orderer), responder, listener. The listener for users comes
// last, so nobody is answered before a quorum is there. Further channels come by attend.
func startMember(ctx context.Context, cfg memberConfig) (*member, error) {
	cfg.log = cfg.log.With("member", cfg.name)
	first, err := newChannelOf(cfg.genesis)
	if err != nil {
		return nil, err
	}
	first.data = cfg.data
	m := &member{cfg: cfg, name: cfg.name, done: make(chan error, 1), first: first}
	m.faces = &faces{m: m}
	if cfg.peers != nil {
		m.port = peer.NewPort(time.Now, cfg.log)
		go func() { m.ends(m.port.Serve(cfg.peers)) }()
	}
	n, err := m.startChannel(ctx, m.first, cfg.log)
	if err != nil {
		return nil, errors.Join(err, m.closePort())
	}
	m.node = n
	if err := m.serve(ctx); err != nil {
		return nil, errors.Join(err, m.faces.stop(), n.Close(), m.closePort())
	}
	return m, nil
}

func (m *member) closePort() error {
	if m.port == nil {
		return nil
	}
	return m.port.Close()
}

// serve answers users of the first channel.
func (m *member) serve(ctx context.Context) error {
	row, err := rowInForce(ctx, m.node, m.name)
	if err != nil {
		return err
	}
	m.first.runs(m.node, row)
	own, err := m.faces.open(m.cfg.listen)
	if err != nil {
		return err
	}
	m.url = own.url
	if err := m.faces.expect(m.first); err != nil {
		return err
	}
	go func() {
		if err := m.node.Failure(own.stopping); err != nil {
			m.ends(err)
		}
	}()
	return nil
}

// rowInForce is this member's row in the member set in force, once there is one.
func rowInForce(ctx context.Context, n *node.Node, name string) (*ledger.Member, error) {
	for {
		changed := n.Changed()
		for rec, err := range n.Records(ctx, ledger.RecordChannel, nil, nil) {
			var ch ledger.ChannelRecord
			if err == nil {
				err = ledger.Decode(rec.Value, &ch)
			}
			if err != nil {
				return nil, err
			}
			set, err := ledger.ParseMemberSet(ch.MemberSet)
			if err != nil {
				return nil, err
			}
			if m := set.ByName(name); m != nil {
				return m, nil
			}
		}
		select {
		case <-changed: // it catches up
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// ends tells whoever runs the member why it cannot go on. The first reason is enough.
func (m *member) ends(err error) {
	select {
	case m.done <- err:
	default:
	}
}

// stop takes no new requests, lets the ones at hand end, then closes the nodes.
func (m *member) stop() error {
	err := m.faces.stop()
	if m.further != nil {
		err = errors.Join(err, m.further.close())
	}
	return errors.Join(err, m.node.Close(), m.closePort())
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
