package peer

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"time"

	"github.com/quorate-pki/quorate/ledger"
)

// selfSigned wraps a key into the certificate that TLS demands. Only its key means anything: it has no names, and
// neither end judges its dates, so a clock that is wrong cannot part the members.
func selfSigned(key crypto.Signer, now time.Time) (cert tls.Certificate, spki string, err error) {
	switch pub := key.Public().(type) {
	case ed25519.PublicKey:
	case *ecdsa.PublicKey:
		if pub.Curve != elliptic.P256() && pub.Curve != elliptic.P384() {
			return cert, "", fmt.Errorf("curve %s", pub.Curve.Params().Name)
		}
	default:
		return cert, "", fmt.Errorf("a key of type %T", pub)
	}
	form := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: now, NotAfter: time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)}
	der, err := x509.CreateCertificate(rand.Reader, form, form, key.Public(), key)
	if err != nil {
		return cert, "", fmt.Errorf("self-signing: %w", err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return cert, "", fmt.Errorf("self-signing: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, string(leaf.RawSubjectPublicKeyInfo), nil
}

// serverTLS is for one connection: what is spoken here may change.
func (n *Network) serverTLS() *tls.Config {
	return &tls.Config{
		MinVersion:             tls.VersionTLS13,
		Certificates:           n.own(),
		ClientAuth:             tls.RequireAnyClientCert, // VerifyConnection judges it, by its key alone
		NextProtos:             n.protocols(),
		SessionTicketsDisabled: true, // every connection proves its key
		VerifyConnection: func(cs tls.ConnectionState) error {
			_, err := n.nameOf(cs)
			return err
		},
	}
}

// clientTLS accepts one key. No ClientSessionCache: every connection proves its key.
func (n *Network) clientTLS(protocol, key string) *tls.Config {
	return &tls.Config{
		MinVersion:             tls.VersionTLS13,
		Certificates:           n.own(),
		NextProtos:             []string{protocol},
		SessionTicketsDisabled: true,
		InsecureSkipVerify:     true, // there is no CA and no name to verify; VerifyConnection compares the key
		VerifyConnection: func(cs tls.ConnectionState) error {
			got, err := keyOf(cs)
			if err == nil && got != key {
				err = fmt.Errorf("key %s answers, which is not that member's", n.describe(got))
			}
			return err
		},
	}
}

// own is the certificate of this member's key in force.
func (n *Network) own() []tls.Certificate {
	n.mu.Lock()
	defer n.mu.Unlock()
	return []tls.Certificate{n.cert}
}

// named is the member with a key; current when it is its key in the newest set.
func (n *Network) named(key string) (name string, current bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	name = n.names[key]
	return name, name != "" && n.keys[name] == key
}

// keyOf is the SPKI of the key that the peer proved to hold.
func keyOf(cs tls.ConnectionState) (string, error) {
	if len(cs.PeerCertificates) == 0 {
		return "", errors.New("the peer showed no certificate")
	}
	return string(cs.PeerCertificates[0].RawSubjectPublicKeyInfo), nil // the others of the chain prove nothing
}

// nameOf is the member whose key the peer proved to hold.
func (n *Network) nameOf(cs tls.ConnectionState) (string, error) {
	key, err := keyOf(cs)
	if err != nil {
		return "", err
	}
	name, current := n.named(key)
	switch {
	case name != "" && !current && cs.NegotiatedProtocol != Exchange+n.suffix:
		return "", fmt.Errorf("key %s is not in force any more", n.describe(key))
	case name == "":
		return "", fmt.Errorf("key %s is no member's", n.describe(key))
	case name == n.self:
		return "", errors.New("the peer holds this member's own key: a copy of this member runs")
	}
	return name, nil
}

// describe names a key for people.
func (n *Network) describe(key string) string {
	id := ledger.Sum([]byte(key))
	if name, _ := n.named(key); name != "" {
		return fmt.Sprintf("%x of %q", id[:8], name)
	}
	return fmt.Sprintf("%x", id[:8])
}

// protocols are those that have a listener, as on the wire.
func (n *Network) protocols() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	out := make([]string, 0, len(n.streams))
	for p := range n.streams {
		out = append(out, p)
	}
	slices.Sort(out)
	return out
}
