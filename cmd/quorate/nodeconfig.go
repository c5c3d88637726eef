package main

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/quorate-pki/quorate/ca"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/api"
)

// nodeConfig is the configuration file of one member's node; docs/node.md is its manual. Paths are relative to the
// file's directory. Unknown fields are refused, and all is required that is not said to have a default.
type nodeConfig struct {
	// Member is this member's name, as genesis has it. Danger: only one node may ever run under it at a time.
	Member string `json:"member"`

	// Genesis is the file of the signed genesis block. Danger: who gives another one gives another consortium; see Channel.
	Genesis string `json:"genesis"`

	// Channel is the id of the channel, 64 hex digits: what the genesis block must be. Default: whatever block is there.
	Channel string `json:"channel,omitempty"`

	// Data is the node's directory, made by init or join and by nothing else; its parent must exist and be on the same
	// file system. Danger: restored from an older copy it makes the member contradict what it signed; join instead.
	Data string `json:"data"`

	// Keys is the directory of log.key, cosigning.key, block.key, tls.key and responder.key, each of mode 0600, and of the keys that a
	// coming member set gives this member: log.next.key and so on. Danger: who reads them is the member.
	Keys string `json:"keys"`

	// Responder is the PEM file of this member's OCSP responder certificate: made when missing, renewed when half of its 7 days
	// are over, also while the node runs. Clients pin it, or its key.
	Responder string `json:"responder"`

	// OCSP is how OCSP is answered.
	OCSP ocspConfig `json:"ocsp,omitzero"`

	// Listen is host:port for users: plain HTTP, open to whoever reaches it. Port 0 is any free one. Danger: none of what is
	// read there is secret, but whoever reaches it can load the node.
	Listen string `json:"listen"`

	// ListenPeers is host:port for the other members: mutual TLS 1.3 by the keys of genesis. Not for a member alone.
	ListenPeers string `json:"listen_peers,omitempty"`

	// Peers is where every other member listens for peers: name -> host:port. This member's own row is allowed, so that all may
	// share the table, and not used. Not for a member alone.
	Peers map[string]string `json:"peers,omitempty"`

	// Channels is the directory of the further channels that this member takes part in, a directory for each; quorate channel join
	// makes them. Default: none is run. Danger: as Data, for each of them.
	Channels string `json:"channels,omitempty"`

	// FollowersPerAddress is how many followers of the change feed one address may be at a time, at most 512, which a node has in all. Default 64.
	// Danger: behind a proxy all clients have one address.
	FollowersPerAddress int `json:"followers_per_address,omitempty"`

	// Log is the least level that is logged, to standard error: debug, info, warn, error. Default warn.
	Log string `json:"log,omitempty"`

	genesis []byte
	set     *ledger.MemberSet
	channel ledger.Hash
	keys    *nodeKeys
	level   slog.Level
}

const maxNodeConfig = 64 << 10 // bytes

// readNodeConfig reads a configuration, and what it names, and judges it. It writes nothing.
func readNodeConfig(path string) (*nodeConfig, error) {
	data, err := readSmall(path, maxNodeConfig)
	if err != nil {
		return nil, err
	}
	c, err := parseNodeConfig(data, filepath.Dir(path))
	if err != nil {
		return nil, usage{fmt.Errorf("%s: %w", path, err)}
	}
	return c, nil
}

func parseNodeConfig(data []byte, dir string) (*nodeConfig, error) {
	var c nodeConfig
	if err := strictJSON(data, &c); err != nil {
		return nil, err
	}
	for _, f := range []struct {
		name  string
		value *string
	}{{"genesis", &c.Genesis}, {"data", &c.Data}, {"keys", &c.Keys}, {"responder", &c.Responder}} {
		if *f.value == "" {
			return nil, fmt.Errorf("%s is missing", f.name)
		}
		if !filepath.IsAbs(*f.value) {
			*f.value = filepath.Join(dir, *f.value)
		}
		*f.value = filepath.Clean(*f.value)
	}
	if c.Channels != "" && !filepath.IsAbs(c.Channels) {
		c.Channels = filepath.Join(dir, c.Channels)
	}
	for _, f := range []struct {
		name  string
		check func() error
	}{{"log", c.checkLog}, {"genesis", c.checkGenesis}, {"channel", c.checkChannel}, {"member", c.checkMember}, {"data", c.checkData},
		{"keys", c.checkKeys}, {"listen", func() error { return checkAddress(c.Listen, 0) }}, {"listen_peers", c.checkListenPeers},
		{"peers", c.checkPeers}, {"followers_per_address", c.checkFollowers}, {"ocsp", func() error { return c.OCSP.check(dir) }}} {
		if err := f.check(); err != nil {
			return nil, fmt.Errorf("%s: %w", f.name, err)
		}
	}
	return &c, nil
}

func (c *nodeConfig) checkFollowers() error {
	if c.FollowersPerAddress < 0 || c.FollowersPerAddress > api.MaxFollowers {
		return fmt.Errorf("%d: 1 to %d", c.FollowersPerAddress, api.MaxFollowers)
	}
	return nil
}

func (c *nodeConfig) checkLog() error {
	levels := map[string]slog.Level{"": slog.LevelWarn, "debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError}
	level, ok := levels[c.Log]
	if !ok {
		return fmt.Errorf("%q is none of debug, info, warn, error", c.Log)
	}
	c.level = level
	return nil
}

func (c *nodeConfig) checkGenesis() (err error) {
	if c.genesis, err = os.ReadFile(c.Genesis); err != nil {
		return err
	}
	if c.set, err = genesisMembers(c.genesis); err != nil {
		return err
	}
	b, err := ledger.ParseBlock(c.genesis)
	if err != nil {
		return err
	}
	c.channel = b.Txs[0].ID
	return nil
}

func (c *nodeConfig) checkChannel() error {
	if c.Channel != "" && c.Channel != hex.EncodeToString(c.channel[:]) {
		return fmt.Errorf("the genesis block is that of %x", c.channel)
	}
	return nil
}

func (c *nodeConfig) checkMember() error {
	// Who is none of the founders came later, or is still to come.
	if !ledger.ValidName(c.Member) {
		return fmt.Errorf("%q is no member's name", c.Member)
	}
	if c.alone() && c.set.Members[0].Name != c.Member {
		return fmt.Errorf("%q is none of %v", c.Member, memberNames(c.set))
	}
	return nil
}

func (c *nodeConfig) checkData() error {
	parent := filepath.Dir(c.Data)
	info, err := os.Stat(parent)
	if err == nil && !info.IsDir() {
		err = fmt.Errorf("%s is no directory", parent)
	}
	return err
}

func (c *nodeConfig) checkKeys() (err error) {
	for _, purpose := range nodePurposes {
		now, next := keyFiles(c.Keys, purpose)
		for _, path := range []string{now, next} {
			info, err := os.Stat(path)
			if path == next && errors.Is(err, os.ErrNotExist) {
				continue
			}
			if err != nil {
				return err
			}
			if mode := info.Mode(); !mode.IsRegular() || mode.Perm() != 0o600 {
				return fmt.Errorf("%s is %v, want a file of mode 0600", filepath.Base(path), mode)
			}
		}
	}
	c.keys, err = readKeys(c.Keys)
	return err
}

func (c *nodeConfig) alone() bool { return len(c.set.Members) == 1 }

func (c *nodeConfig) checkListenPeers() error {
	if !c.alone() {
		return checkAddress(c.ListenPeers, 1)
	}
	if c.ListenPeers != "" {
		return errors.New("the consortium has one member")
	}
	return nil
}

func (c *nodeConfig) checkPeers() error {
	names := memberNames(c.set)
	for name, addr := range c.Peers {
		if !ledger.ValidName(name) {
			return fmt.Errorf("%q is no member's name", name)
		}
		if addr == "" && slices.Contains(names, name) {
			continue // a founder that left
		}
		if err := checkAddress(addr, 1); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if host, _, _ := net.SplitHostPort(addr); host == "" {
			return fmt.Errorf("%s: %q has no host", name, addr)
		}
	}
	for _, name := range names {
		if _, ok := c.Peers[name]; !ok && name != c.Member {
			return fmt.Errorf("the address of %s is missing; \"\" for one that left", name)
		}
	}
	return nil
}

// checkAddress checks the form of host:port.
func checkAddress(addr string, least uint64) error {
	if addr == "" {
		return errors.New("host:port is missing")
	}
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return err
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n < least {
		return fmt.Errorf("address %s: port %q is none", addr, port)
	}
	return nil
}

// certificate is the responder certificate over a key of this member's, renewed when it must be. What is not this member's is never replaced:
// the path may be somebody else's file.
func (c *nodeConfig) certificate(now time.Time, key crypto.Signer) ([]byte, error) {
	cert, err := c.readResponder()
	if err != nil {
		return nil, err
	}
	spki, err := ca.SPKI(key.Public())
	if err != nil {
		return nil, fmt.Errorf("responder: %w", err)
	}
	if cert != nil && bytes.Equal(cert.RawSubjectPublicKeyInfo, spki) && cert.NotAfter.After(now.Add(responderRenew)) && !cert.NotBefore.After(now) {
		return cert.Raw, nil
	}
	der, err := responderCertificate(key, c.Member, now)
	if err != nil {
		return nil, fmt.Errorf("responder: %w", err)
	}
	if err := replaceFile(c.Responder, ca.EncodeCertificate(der)); err != nil {
		return nil, fmt.Errorf("responder: %w", err)
	}
	return der, nil
}

// readResponder reads the responder certificate, which is over a key of this member's; nil when there is none.
func (c *nodeConfig) readResponder() (*x509.Certificate, error) {
	ders, err := readResponders(c.Responder)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("responder: %s: %w", c.Responder, err)
	case len(ders) != 1:
		return nil, fmt.Errorf("responder: %s holds %d certificates, not this member's alone", c.Responder, len(ders))
	}
	cert, err := x509.ParseCertificate(ders[0])
	if err != nil {
		return nil, fmt.Errorf("responder: %s: %w", c.Responder, err)
	}
	for _, key := range []crypto.Signer{c.keys.responder, c.keys.more.responder} {
		if key == nil {
			continue
		}
		if spki, err := ca.SPKI(key.Public()); err == nil && bytes.Equal(cert.RawSubjectPublicKeyInfo, spki) {
			return cert, nil
		}
	}
	return nil, fmt.Errorf("responder: the certificate in %s is not over responder.key", c.Responder)
}

// memberConfig takes the port for peers and makes what the node is started with.
func (c *nodeConfig) memberConfig() (cfg memberConfig, err error) {
	cert, err := c.readResponder()
	if err == nil && cert == nil {
		_, err = c.certificate(time.Now(), c.keys.responder)
	}
	if err != nil {
		return cfg, usage{err}
	}
	cfg = memberConfig{name: c.Member, data: c.Data, genesis: c.genesis, set: c.set, keys: c.keys, certificate: c.certificate, ocsp: c.OCSP,
		listen: c.Listen, channels: c.Channels, followers: c.FollowersPerAddress, addresses: c.Peers, log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: c.level}))}
	if !c.alone() {
		if cfg.peers, err = net.Listen("tcp", c.ListenPeers); err != nil {
			return cfg, fmt.Errorf("listen_peers: %w", err)
		}
	}
	return cfg, nil
}
