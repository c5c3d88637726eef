package ca_test

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// stockServers are TLS servers that demand a client's certificate and trust dir's cert.pem alone; PORT is theirs to take.
// ready is what they say when they listen, with the port that they got if it was for them to choose.
var stockServers = []struct {
	command, args string
	ready         string
	purposes      bool // it looks at extKeyUsage
}{
	{"openssl", "s_server -accept 127.0.0.1:0 -cert other.pem -key other.key -CAfile cert.pem -Verify 1 -verify_return_error", `^ACCEPT 127\.0\.0\.1:([0-9]+)`, true},
	{"gnutls-serv", "--echo --port PORT --x509certfile other.pem --x509keyfile other.key --x509cafile cert.pem --require-client-cert --verify-client-cert", `^Echo Server listening on IPv4`, false},
}

// clients lets the certificate be a client's at stock servers whose only anchor of trust it is.
func (s sample) clients(t *testing.T, dir string, want bool) {
	t.Helper()
	run(t, dir, "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc", "-subj", "/CN=server",
		"-days", "2", "-keyout", "other.key", "-out", "other.pem")
	mine, err := tls.LoadX509KeyPair(filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"))
	must(t, err)
	others, err := tls.LoadX509KeyPair(filepath.Join(dir, "other.pem"), filepath.Join(dir, "other.key"))
	must(t, err)
	for _, server := range stockServers {
		tool(t, server.command)
		address := serve(t, dir, server.command, server.args, regexp.MustCompile(server.ready))
		for _, c := range []struct {
			who  string
			cert tls.Certificate
			want bool
		}{{"itself", mine, want || !server.purposes}, {"another", others, false}} {
			// TLS 1.2, where the handshake does not end before the server has judged the certificate. Who the server
			// is does not matter here.
			conn, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12,
				GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &c.cert, nil }})
			if (err == nil) != c.want {
				t.Errorf("%s, a client that is %s: %v, want success %v", server.command, c.who, err, c.want)
			}
			if err == nil {
				conn.Close()
			}
		}
	}
}

// serve runs a server until the test ends and returns its address when it listens.
func serve(t *testing.T, dir, command, args string, ready *regexp.Regexp) string {
	t.Helper()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	_, port, err := net.SplitHostPort(free.Addr().String())
	must(t, err)
	must(t, free.Close())
	cmd := exec.Command(command, strings.Fields(strings.ReplaceAll(args, "PORT", port))...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "LC_ALL=C")
	stdin, err := cmd.StdinPipe() // kept open: openssl ends with its input
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err)
	cmd.Stderr = cmd.Stdout
	must(t, cmd.Start())
	t.Cleanup(func() {
		stdin.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if m := ready.FindStringSubmatch(lines.Text()); m != nil {
			go io.Copy(io.Discard, out)
			if len(m) > 1 {
				port = m[1]
			}
			return net.JoinHostPort("127.0.0.1", port)
		}
	}
	t.Fatalf("%s does not listen: %v", command, lines.Err())
	return ""
}
