package ocsp

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	second "golang.org/x/crypto/ocsp"
)

// These tests ask the responder over loopback with the programs relying parties use. Where such a program is not
// installed they are skipped, except under CI=true.

// tool is the path of a program.
func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("%s is not installed, and CI=true", name)
		}
		t.Skipf("%s is not installed", name)
	}
	return path
}

// run returns what a program wrote to both its outputs, and its exit code.
func run(t *testing.T, program string, args ...string) (string, int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C", "TZ=UTC", "no_proxy=*", "http_proxy=")
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil || cmd.ProcessState == nil {
		t.Fatalf("%s %v: %v\n%s", program, args, err, out)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// site is a responder on loopback and self-issued certificates in every state.
type site struct {
	url, signer string // address; file of the responder certificate
	source      *fakeLedger
	certs       []target // good, revoked, suspended, unspecified, unknown
	revokedAt   time.Time
}

// target is one certificate and how openssl and ocsptool call its status.
type target struct {
	name, file string
	der        []byte
	status     string
	reason     string // as openssl writes it, "" for none; ocsptool shows none
}

func newSite(t *testing.T, key crypto.Signer) *site {
	t.Helper()
	now := time.Now()
	s := &site{source: newLedger(t, now.Add(-20*time.Second)), revokedAt: now.Add(-72 * time.Hour).UTC().Truncate(time.Second)}
	cert := responderCertificate(t, key)
	r := responder(t, s.source, func(c *Config) { c.Key, c.Certificate, c.Prefix = key, cert, "/ocsp" })
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	s.url, s.signer = server.URL+"/ocsp", writePEM(t, "responder.pem", cert)
	s.certs = []target{
		{name: "good", status: "good"},
		{name: "revoked", status: "revoked", reason: "keyCompromise"},
		{name: "suspended", status: "revoked", reason: "certificateHold"},
		{name: "unspecified", status: "revoked"},
		{name: "unknown", status: "unknown"},
	}
	standings := map[string]Standing{
		"good":        {Known: true, State: Good},
		"revoked":     {Known: true, State: Revoked, At: s.revokedAt, Reason: 1},
		"suspended":   {Known: true, State: Suspended, At: s.revokedAt},
		"unspecified": {Known: true, State: Revoked, At: s.revokedAt},
	}
	for i := range s.certs {
		c := &s.certs[i]
		c.der = device(t, "device "+c.name, int64(1000+i))
		c.file = writePEM(t, c.name+".pem", c.der)
		if standing, ok := standings[c.name]; ok {
			s.source.publish(c.der, standing)
		}
	}
	return s
}

// checkOpenSSL reads the lines openssl prints about one certificate.
func (s *site) checkOpenSSL(t *testing.T, out string, c target) {
	t.Helper()
	at := strings.Index(out, c.file+": ")
	if at < 0 {
		t.Errorf("%s: nothing about it in:\n%s", c.name, out)
		return
	}
	lines := out[at+len(c.file)+2:]
	if next := strings.Index(lines, ".pem: "); next >= 0 {
		lines = lines[:next]
	}
	if !strings.HasPrefix(lines, c.status+"\n") || !strings.Contains(lines, "This Update:") || !strings.Contains(lines, "Next Update:") {
		t.Errorf("%s: want %s:\n%s", c.name, c.status, lines)
	}
	if has := strings.Contains(lines, "Reason:"); has != (c.reason != "") || has && !strings.Contains(lines, "Reason: "+c.reason+"\n") {
		t.Errorf("%s: want reason %q:\n%s", c.name, c.reason, lines)
	}
	if when := "Revocation Time: " + s.revokedAt.Format("Jan _2 15:04:05 2006 GMT"); strings.Contains(lines, when) != (c.status == "revoked") {
		t.Errorf("%s: want %q:\n%s", c.name, when, lines)
	}
}

func TestPeerOpenSSL(t *testing.T) {
	openssl := tool(t, "openssl")
	for name, key := range keys(t) {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, key)
			ask := func(t *testing.T, want []target, nonceWarning bool, args ...string) {
				t.Helper()
				args = append([]string{"ocsp", "-url", s.url, "-VAfile", s.signer}, args...)
				out, code := run(t, openssl, args...)
				if code != 0 || !strings.Contains(out, "Response verify OK") {
					t.Errorf("openssl %v: exit %d\n%s", args, code, out)
				}
				if strings.Contains(out, "WARNING") != nonceWarning {
					t.Errorf("openssl %v warns:\n%s", args, out)
				}
				for _, c := range want {
					s.checkOpenSSL(t, out, c)
				}
			}
			if name != "P-256" { // the rest does not depend on the key
				ask(t, s.certs[:1], false, "-issuer", s.certs[0].file, "-cert", s.certs[0].file)
				return
			}
			for i, c := range s.certs {
				ask(t, s.certs[i:i+1], false, "-issuer", c.file, "-cert", c.file)
				ask(t, s.certs[i:i+1], false, "-sha256", "-no_nonce", "-issuer", c.file, "-cert", c.file)
			}
			// Several certificates, of several issuers and with several hashes, in one request.
			var all []string
			for i, c := range s.certs {
				all = append(all, []string{"-sha1", "-sha256", "-sha384"}[i%3], "-issuer", c.file, "-cert", c.file)
			}
			ask(t, s.certs, false, all...)
			ask(t, s.certs, false, append(all, "-no_nonce")...)
		})
	}
}

// TestPeerOpenSSLSigned: a signed request is answered like any other.
func TestPeerOpenSSLSigned(t *testing.T) {
	openssl := tool(t, "openssl")
	s := newSite(t, newP256(t))
	dir := t.TempDir()
	key, cert := filepath.Join(dir, "key.pem"), filepath.Join(dir, "cert.pem")
	if out, code := run(t, openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
		"-subj", "/CN=asker", "-keyout", key, "-out", cert); code != 0 {
		t.Fatal(out)
	}
	c := s.certs[1]
	out, code := run(t, openssl, "ocsp", "-url", s.url, "-VAfile", s.signer, "-issuer", c.file, "-cert", c.file,
		"-signer", cert, "-signkey", key)
	if code != 0 || !strings.Contains(out, "Response verify OK") {
		t.Errorf("exit %d\n%s", code, out)
	}
	s.checkOpenSSL(t, out, c)
}

// TestPeerOpenSSLErrors: unsupported hashes and stale states get the status the package comment promises, and an
// answer is not trusted when the responder certificate is not pinned.
func TestPeerOpenSSLErrors(t *testing.T) {
	openssl := tool(t, "openssl")
	s := newSite(t, newP256(t))
	c := s.certs[0]
	args := []string{"ocsp", "-url", s.url, "-VAfile", s.signer, "-issuer", c.file, "-cert", c.file}
	if out, code := run(t, openssl, "ocsp", "-url", s.url, "-VAfile", s.signer, "-sha512", "-issuer", c.file, "-cert", c.file); code == 0 ||
		!strings.Contains(out, "Responder Error: malformedrequest (1)") {
		t.Errorf("SHA-512: exit %d\n%s", code, out)
	}
	stranger := writePEM(t, "stranger.pem", responderCertificate(t, newP256(t)))
	if out, _ := run(t, openssl, "ocsp", "-url", s.url, "-VAfile", stranger, "-issuer", c.file, "-cert", c.file); strings.Contains(out, "Response verify OK") ||
		!strings.Contains(out, "Response Verify Failure") {
		t.Errorf("another responder is pinned:\n%s", out)
	}
	s.source.mu.Lock()
	s.source.fresh = time.Now().Add(-time.Hour)
	s.source.mu.Unlock()
	if out, code := run(t, openssl, args...); code == 0 || !strings.Contains(out, "Responder Error: trylater (3)") {
		t.Errorf("stale: exit %d\n%s", code, out)
	}
}

// TestPeerOpenSSLReadsExtendedRevoke reads an answer the responder itself does not give.
func TestPeerOpenSSLReadsExtendedRevoke(t *testing.T) {
	openssl := tool(t, "openssl")
	key := newP256(t)
	cert := responderCertificate(t, key)
	signer, err := newSigner(key)
	if err != nil {
		t.Fatal(err)
	}
	id, now := certID(t, crypto.SHA1, device(t, "d", 1)), time.Now()
	a := &answer{data: responseData{keyHash: signer.keyHash, producedAt: now, certificates: []*x509.Certificate{parseX509(t, cert)}, responses: []singleResponse{
		{certID: id.Raw, status: statusNonIssued, thisUpdate: now, nextUpdate: now.Add(time.Minute)},
	}}}
	if a.signature, err = signer.sign(&a.data); err != nil {
		t.Fatal(err)
	}
	der := octets(t, signer, a)
	file := filepath.Join(t.TempDir(), "response.der")
	if err := os.WriteFile(file, der, 0o600); err != nil {
		t.Fatal(err)
	}
	out, code := run(t, openssl, "ocsp", "-respin", file, "-resp_text", "-VAfile", writePEM(t, "r.pem", cert))
	for _, want := range []string{"Response verify OK", "Cert Status: revoked", "certificateHold (0x6)", "Jan  1 00:00:00 1970 GMT",
		"valid:", // what openssl calls 1.3.6.1.5.5.7.48.1.9, by the name it had before RFC 6960
	} {
		if !strings.Contains(out, want) {
			t.Errorf("exit %d, no %q in:\n%s", code, want, out)
		}
	}
}

func TestPeerOCSPTool(t *testing.T) {
	ocsptool := tool(t, "ocsptool")
	for name, key := range keys(t) {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, key)
			certs := s.certs
			if name != "P-256" {
				certs = certs[:1]
			}
			for _, c := range certs {
				for nonce, sent := range map[string]bool{"--nonce": true, "--no-nonce": false} {
					out, code := run(t, ocsptool, "--ask="+s.url, "--load-cert", c.file, "--load-issuer", c.file,
						"--load-signer", s.signer, nonce)
					t.Log(out)
					if !strings.Contains(out, "Verifying OCSP Response: Success") {
						t.Errorf("%s %s: exit %d\n%s", c.name, nonce, code, out)
					}
					if strings.Contains(out, "Nonce: ") != sent {
						t.Errorf("%s %s: nonce\n%s", c.name, nonce, out)
					}
					if m := regexp.MustCompile(`Certificate Status: (\w+)`).FindStringSubmatch(out); m == nil || m[1] != c.status {
						t.Errorf("%s %s: status %v\n%s", c.name, nonce, m, out)
					}
					if c.status == "revoked" && !strings.Contains(out, "Revocation time: "+s.revokedAt.Format("Mon Jan _2 15:04:05 UTC 2006")) {
						t.Errorf("%s %s: revocation time\n%s", c.name, nonce, out)
					}
				}
			}
		})
	}
}

// TestPeerCurl asks by GET, plain and conditionally, and fetches the certificate to pin.
func TestPeerCurl(t *testing.T) {
	curl := tool(t, "curl")
	s := newSite(t, newP256(t))
	c := s.certs[0]
	encoded := base64.StdEncoding.EncodeToString(newRequest(t, nil, certID(t, crypto.SHA256, c.der)))
	dir := t.TempDir()
	body, tags := filepath.Join(dir, "body"), filepath.Join(dir, "tags")
	for _, form := range []string{encoded, url.QueryEscape(encoded), url.PathEscape(encoded)} {
		out, code := run(t, curl, "-sS", "--path-as-is", "-o", body, "--etag-save", tags,
			"-w", "%{http_code} %{content_type}", s.url+"/"+form)
		der, err := os.ReadFile(body)
		if code != 0 || out != "200 "+responseType || err != nil {
			t.Fatalf("%s: exit %d %s %v", form, code, out, err)
		}
		if got, err := second.ParseResponseForCert(der, parseX509(t, c.der), nil); err != nil || got.Status != second.Good {
			t.Errorf("%s: %v", form, err)
		}
	}
	if out, code := run(t, curl, "-sS", "--etag-compare", tags, "-o", body, "-w", "%{http_code}", s.url+"/"+encoded); code != 0 || out != "304" {
		t.Errorf("conditional: exit %d %s", code, out)
	}
	if out, code := run(t, curl, "-sS", "-I", s.url+"/"+encoded); code != 0 || !strings.Contains(out, "Cache-Control: max-age=") {
		t.Errorf("HEAD: exit %d\n%s", code, out)
	}
	out, code := run(t, curl, "-sS", s.url+"/responder.pem")
	if pinned, err := os.ReadFile(s.signer); err != nil || code != 0 || !bytes.Equal([]byte(out), pinned) {
		t.Errorf("responder.pem: exit %d %v\n%s", code, err, out)
	}
}

// TestPeersDelegated: stock clients that trust nothing but the CA accept answers about its certificates.
func TestPeersDelegated(t *testing.T) {
	openssl, ocsptool := tool(t, "openssl"), tool(t, "ocsptool")
	source, key, ca := newLedger(t, time.Now().Add(-20*time.Second)), newP256(t), newCA(t, "operator")
	cert := ca.issue(t, "gateway", 5, &newP256(t).PublicKey, nil)
	source.standings[indexKey(ca.id(t, crypto.SHA1, cert))] = Standing{Known: true, State: Good}
	server := httptest.NewServer(responder(t, source, func(c *Config) {
		c.Key, c.Certificate = key, responderCertificate(t, key)
		c.Issuers = []Issuer{{Certificate: ca.der, Responder: ca.delegate(t, &key.PublicKey, nil)}}
	}))
	defer server.Close()
	caFile, file := writePEM(t, "ca.pem", ca.der), writePEM(t, "cert.pem", cert)
	out, code := run(t, openssl, "ocsp", "-url", server.URL, "-CAfile", caFile, "-issuer", caFile, "-cert", file)
	if code != 0 || !strings.Contains(out, "Response verify OK") || !strings.Contains(out, file+": good") {
		t.Errorf("openssl: exit %d\n%s", code, out)
	}
	out, code = run(t, ocsptool, "--ask="+server.URL, "--load-cert", file, "--load-issuer", caFile, "--load-trust", caFile)
	if code != 0 || !strings.Contains(out, "Verifying OCSP Response: Success") || !strings.Contains(out, "Certificate Status: good") {
		t.Errorf("ocsptool: exit %d\n%s", code, out)
	}
}

// TestPeersPinnedKey: who pinned an earlier certificate over the responder's key goes on with openssl when it is renewed, even
// when the earlier one has ended. ocsptool means the certificate, not the key, and needs the new one: docs/ocsp.md says so.
func TestPeersPinnedKey(t *testing.T) {
	openssl, ocsptool := tool(t, "openssl"), tool(t, "ocsptool")
	key := newP256(t)
	s := newSite(t, key)
	c := s.certs[0]
	for _, until := range []time.Time{time.Now().Add(time.Hour), time.Now().Add(-time.Hour)} {
		earlier, err := SelfSignedResponder(key, "Member A OCSP", until.Add(-168*time.Hour), until, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		pinned := writePEM(t, "pinned.pem", earlier)
		out, code := run(t, openssl, "ocsp", "-url", s.url, "-VAfile", pinned, "-issuer", c.file, "-cert", c.file)
		if code != 0 || !strings.Contains(out, "Response verify OK") {
			t.Errorf("openssl, until %v: exit %d\n%s", until, code, out)
		}
		out, _ = run(t, ocsptool, "--ask="+s.url, "--load-cert", c.file, "--load-issuer", c.file, "--load-signer", pinned)
		if !strings.Contains(out, "Verifying OCSP Response: Failure") {
			t.Errorf("ocsptool, until %v: the page says it refuses\n%s", until, out)
		}
	}
}
