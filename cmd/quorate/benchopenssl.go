package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/quorate-pki/quorate/ca"
	"github.com/quorate-pki/quorate/ocsp"
)

// opensslCerts is the most certificates that openssl's responder is given: it looks them up in a table in memory.
const opensslCerts = 10_000

// openssl measures `openssl ocsp` as a responder under the same load by POST; 0 where it is not installed. It is one
// process (those of -multi outlive what started them), answers one request a connection and signs each answer.
func (b *ocspBench) openssl() (perSecond float64, err error) {
	program, err := exec.LookPath("openssl")
	if err != nil {
		b.say("openssl is not installed")
		return 0, nil
	}
	dir := filepath.Join(b.dir, "openssl")
	requests, err := opensslFiles(dir, min(b.preload, opensslCerts))
	if err != nil {
		return 0, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	host := l.Addr().String()
	_, port, _ := net.SplitHostPort(host)
	if err := l.Close(); err != nil {
		return 0, err
	}
	ctx, stop := context.WithCancel(b.ctx)
	defer stop()
	cmd := exec.CommandContext(ctx, program, "ocsp", "-port", port, "-index", "index.txt", "-CA", "ca.pem", "-rsigner", "ca.pem", "-rkey", "key.pem", "-nmin", "15")
	var said bytes.Buffer
	cmd.Dir, cmd.Stderr = dir, &said
	out, err := cmd.StdoutPipe()
	if err != nil {
		return 0, err
	}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	defer func() {
		stop()
		_ = cmd.Wait() // killed
		if err != nil {
			err = fmt.Errorf("%w; openssl says %q", err, said.String())
		}
	}()
	lines := bufio.NewScanner(out)
	for lines.Scan() && !strings.HasPrefix(lines.Text(), "ACCEPT") {
		continue
	}
	go func() { _, _ = io.Copy(io.Discard, out) }() // until it ends
	var rates []float64
	for range b.turns {
		one, err := b.loadWith(func(until time.Time) (int, error) { return askOnce(host, requests, until) })
		if err != nil {
			return 0, err
		}
		rates = append(rates, one.perSecond())
	}
	b.say("openssl ocsp: %.0f answers/s", median(rates))
	return median(rates), nil
}

// askOnce asks again and again, over a new connection each time.
func askOnce(host string, requests [][]byte, until time.Time) (n int, err error) {
	var out []byte
	in := bufio.NewReader(nil)
	for ; time.Now().Before(until); n++ {
		conn, err := net.Dial("tcp", host)
		if err != nil {
			return n, err
		}
		out = appendRequest(out[:0], "POST", host, requests[n%len(requests)])
		_, err = conn.Write(out)
		if err == nil {
			in.Reset(conn)
			err = readAnswer(in)
		}
		if err := errors.Join(err, conn.Close()); err != nil {
			return n, err
		}
	}
	return n, nil
}

// opensslFiles makes a CA, its table of good certificates, and a request about each of them.
func opensslFiles(dir string, n int) (requests [][]byte, err error) {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "bench"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	var index bytes.Buffer
	leaf := *template
	leaf.IsCA = false
	for i := range n {
		leaf.SerialNumber = big.NewInt(int64(i) + 1000)
		cert, err := x509.CreateCertificate(rand.Reader, &leaf, template, &key.PublicKey, key)
		if err != nil {
			return nil, err
		}
		id, err := ocsp.NewCertID(crypto.SHA1, cert, der)
		if err != nil {
			return nil, err
		}
		req, err := ocsp.NewRequest(nil, id)
		if err != nil {
			return nil, err
		}
		requests = append(requests, req.Raw)
		serial := fmt.Sprintf("%X", leaf.SerialNumber)
		if len(serial)%2 == 1 {
			serial = "0" + serial
		}
		fmt.Fprintf(&index, "V\t%s\t\t%s\tunknown\t/CN=device %s\n", leaf.NotAfter.UTC().Format("060102150405Z"), serial, serial)
	}
	for name, data := range map[string][]byte{"ca.pem": ca.EncodeCertificate(der), "index.txt": index.Bytes(),
		"key.pem": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			return nil, err
		}
	}
	return requests, nil
}
