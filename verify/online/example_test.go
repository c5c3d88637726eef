package online_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"time"

	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/verify"
	"github.com/quorate-pki/quorate/verify/online"
)

// A gateway asks the members about a certificate. (The member of these examples runs in the same process; newSite starts it.)
func ExampleClient_Check() {
	s := newSite()
	defer s.stop()
	certificate, leaf := s.publish("ACME-1")

	c, err := online.New(online.Config{Nodes: []string{s.url}, Policy: s.Policy(), MaxAge: 10 * time.Minute, Now: s.clock.Now}) // time.Now, outside of examples
	try(err)
	_, standing, err := c.Check(context.Background(), certificate)
	fmt.Println(standing.Status, err)
	s.change("ACME-1", leaf, ledger.Revoke, ledger.KeyCompromise)
	_, standing, err = c.Check(context.Background(), certificate)
	fmt.Println(standing.Status, err != nil)
	// Output:
	// good <nil>
	// revoked true
}

// A server that believes its clients by what the members say of them, and a client that believes the server by what that stapled. Neither
// has a root certificate. When the client is revoked, its next connection is refused.
func Example_tls() {
	s := newSite()
	defer s.stop()
	s.publish("ACME-1")
	_, leaf := s.publish("ACME-2")
	members, err := online.New(online.Config{Nodes: []string{s.url}, Policy: s.Policy(), MaxAge: 10 * time.Minute, Now: s.clock.Now})
	try(err)

	// The server staples an answer about itself, which it gets anew every few minutes.
	own := s.certificate("ACME-1")
	own.OCSPStaple, err = members.Staple(context.Background(), own.Certificate[0])
	try(err)
	peers := verify.Peers{Policy: s.Policy(), MaxAge: 10 * time.Minute, Now: s.clock.Now, Source: members,
		Admit: func(p *verify.Peer) error {
			if !slices.Contains(p.Certificate.DNSNames, "acme-2.acme-cells.example") { // published is not yet invited
				return errors.New("not one of ours")
			}
			return nil
		}}
	config, err := peers.Server(&tls.Config{Certificates: []tls.Certificate{own}})
	try(err)
	listener, err := tls.Listen("tcp", "127.0.0.1:0", config)
	try(err)
	defer listener.Close()
	go greet(listener)

	// The client asks nobody: the staple is enough.
	client, err := verify.Peers{Policy: s.Policy(), MaxAge: 10 * time.Minute, Now: s.clock.Now}.Client(&tls.Config{
		ServerName: "acme-1.acme-cells.example", Certificates: []tls.Certificate{s.certificate("ACME-2")}})
	try(err)
	connect := func() {
		conn, err := tls.Dial("tcp", listener.Addr().String(), client)
		if err == nil {
			defer conn.Close()
			var greeting []byte
			if greeting, err = io.ReadAll(conn); err == nil {
				fmt.Printf("%s\n", greeting)
				return
			}
		}
		fmt.Println(err)
	}
	connect()
	s.change("ACME-2", leaf, ledger.Revoke, ledger.KeyCompromise)
	connect()
	// Output:
	// hello
	// remote error: tls: bad certificate
}

// greet greets whoever may connect.
func greet(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		_, _ = conn.Write([]byte("hello")) // after the handshake, or not at all
		_ = conn.Close()
	}
}
