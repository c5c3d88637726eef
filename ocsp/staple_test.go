package ocsp

import (
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	second "golang.org/x/crypto/ocsp"
)

// freePort is a port of the loopback interface that nobody has.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// TestPeerNginxStaples has nginx fetch the answer about its own CA-signed certificate (it asks by GET), verify it and staple
// it, and curl demand the staple. One that says revoked nginx reads, and does not staple.
func TestPeerNginxStaples(t *testing.T) {
	nginx, curl := tool(t, "nginx"), tool(t, "curl")
	for _, c := range []struct {
		name     string
		standing Standing
		refused  string // what nginx writes into its log
	}{
		{"good", Standing{Known: true, State: Good}, ""},
		{"suspended", Standing{Known: true, State: Suspended, At: time.Now().Add(-time.Hour)}, `certificate status "revoked" in the OCSP response`},
	} {
		t.Run(c.name, func(t *testing.T) {
			source, key, ca, serverKey := newLedger(t, time.Now().Add(-20*time.Second)), newP256(t), newCA(t, "operator"), newP256(t)
			responder := httptest.NewServer(responder(t, source, func(cfg *Config) {
				cfg.Key, cfg.Certificate = key, responderCertificate(t, key)
				cfg.Issuers = []Issuer{{Certificate: ca.der, Responder: ca.delegate(t, &key.PublicKey, nil)}}
			}))
			defer responder.Close()
			cert := ca.issue(t, "gateway", 5, &serverKey.PublicKey, func(x *x509.Certificate) {
				x.DNSNames, x.OCSPServer = []string{"localhost"}, []string{responder.URL}
			})
			source.standings[indexKey(ca.id(t, crypto.SHA1, cert))] = c.standing

			dir, port := t.TempDir(), freePort(t)
			pkcs8, err := x509.MarshalPKCS8PrivateKey(serverKey)
			if err != nil {
				t.Fatal(err)
			}
			for name, data := range map[string][]byte{
				"key.pem":  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}),
				"cert.pem": append(encode(cert), encode(ca.der)...), // curl looks for the issuer in what the server sends
				"ca.pem":   encode(ca.der),
				"nginx.conf": fmt.Appendf(nil, `daemon off; pid %[1]s/pid; error_log %[1]s/error.log error; worker_processes 1;
events {}
http {
	access_log off;
	client_body_temp_path %[1]s/t1; proxy_temp_path %[1]s/t2; fastcgi_temp_path %[1]s/t3; uwsgi_temp_path %[1]s/t4; scgi_temp_path %[1]s/t5;
	server {
		listen 127.0.0.1:%[2]d ssl;
		ssl_certificate %[1]s/cert.pem; ssl_certificate_key %[1]s/key.pem; ssl_trusted_certificate %[1]s/ca.pem;
		ssl_stapling on; ssl_stapling_verify on;
		return 204;
	}
}
`, dir, port),
			} {
				if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			ctx, stop := context.WithTimeout(t.Context(), 20*time.Second)
			defer stop()
			cmd := exec.CommandContext(ctx, nginx, "-e", filepath.Join(dir, "error.log"), "-p", dir, "-c", filepath.Join(dir, "nginx.conf"))
			cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			defer func() {
				stop()
				_ = cmd.Wait() // stopped by a signal
			}()
			staple := awaitStaple(ctx, t, ca, fmt.Sprintf("127.0.0.1:%d", port), filepath.Join(dir, "error.log"), c.refused)
			if c.refused != "" {
				return
			}
			got, err := second.ParseResponseForCert(staple, parseX509(t, cert), parseX509(t, ca.der))
			if err != nil || got.Status != second.Good {
				t.Fatalf("stapled %+v, %v", got, err)
			}
			out, code := run(t, curl, "-sS", "--cacert", filepath.Join(dir, "ca.pem"), "--cert-status", "--resolve",
				fmt.Sprintf("localhost:%d:127.0.0.1", port), fmt.Sprintf("https://localhost:%d/", port))
			if code != 0 {
				t.Errorf("curl --cert-status: exit %d\n%s", code, out)
			}
		})
	}
}

func encode(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// awaitStaple shakes hands until nginx staples, or its log has what is wanted: it fetches the answer after the first handshake
// that could have had one.
func awaitStaple(ctx context.Context, t *testing.T, ca *testCA, address, log, refused string) []byte {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AddCert(parseX509(t, ca.der))
	d := &tls.Dialer{Config: &tls.Config{RootCAs: roots, ServerName: "localhost"}}
	var err error
	var said []byte
	for ctx.Err() == nil {
		var c net.Conn
		if c, err = d.DialContext(ctx, "tcp", address); err != nil {
			continue // it does not listen yet
		}
		staple := c.(*tls.Conn).ConnectionState().OCSPResponse
		c.Close()
		if staple != nil {
			return staple
		}
		said, _ = os.ReadFile(log)
		if refused != "" && strings.Contains(string(said), refused) {
			return nil
		}
	}
	t.Fatalf("no staple: %v\n%s", err, said)
	return nil
}
