package ca_test

import (
	"cmp"
	"crypto/rand"
	"crypto/tls"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quorate-pki/quorate/ca"
	"github.com/quorate-pki/quorate/ca/profile"
	"github.com/quorate-pki/quorate/internal/reason"
)

// sample is what the page says of making certificates of a profile, and what stock software makes of them.
type sample struct {
	profile string
	kinds   []profile.KeyKind
	host    string // a DNS name in it
	ike     bool   // strongSwan reads it too
	issue   ca.SelfIssueConfig
}

func samples() []sample {
	every := []profile.KeyKind{profile.P256, profile.P384, profile.Ed25519, profile.RSA}
	return []sample{
		{"nf", []profile.KeyKind{profile.P256, profile.P384, profile.RSA}, "amf1.5gc.mnc015.mcc234.3gppnetwork.org", false,
			ca.SelfIssueConfig{Organisation: "5gc.mnc015.mcc234.3gppnetwork.org", Country: "XX", Instance: "4947a69a-f61b-4bc1-b9da-47c9c5d14b64",
				NFTypes: []string{"SMF", "AMF"}, DNSNames: []string{"amf1.5gc.mnc015.mcc234.3gppnetwork.org"}}},
		{"iot", every, "", false, ca.SelfIssueConfig{Serial: "METER-000001", Organisation: "Acme Meters", HardwareType: "1.3.6.1.4.1.32473.1"}},
		{"gateway", []profile.KeyKind{profile.P256, profile.P384, profile.RSA}, "segw-1.op-one.example", true,
			ca.SelfIssueConfig{Serial: "GW-0001", DNSNames: []string{"segw-1.op-one.example"}}},
		{"server", every, "broker.op-one.example", false,
			ca.SelfIssueConfig{Serial: "SRV-0001", Organisation: "Operator One", DNSNames: []string{"broker.op-one.example"}}},
	}
}

// makeKey makes key.pem as the page does.
func makeKey(t *testing.T, dir string, kind profile.KeyKind) {
	t.Helper()
	args := map[profile.KeyKind]string{
		profile.P256:    "ecparam -name prime256v1 -genkey -noout -out key.pem",
		profile.P384:    "ecparam -name secp384r1 -genkey -noout -out key.pem",
		profile.Ed25519: "genpkey -algorithm ed25519 -out key.pem",
		profile.RSA:     "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:3072 -out key.pem",
	}[kind]
	run(t, dir, "openssl", strings.Fields(args)...)
}

// acceptBy demands that the ledger would accept a certificate by a profile now.
func acceptBy(t *testing.T, name string, der []byte) *profile.Certificate {
	t.Helper()
	p, ok := profile.ByName(name)
	if !ok {
		t.Fatalf("no profile %s", name)
	}
	c, err := profile.Parse(der)
	must(t, err)
	must(t, p.Check(c, uint64(time.Now().UnixMilli()), profile.Grant{}))
	must(t, c.CheckSelfSignature())
	must(t, ca.SecondOpinion(der))
	return c
}

// TestSamples makes certificates by the page's configurations and by SelfIssue, with every kind of key, holds them to
// the profile, and asks stock software what it makes of them.
func TestSamples(t *testing.T) {
	tool(t, "openssl")
	tool(t, "certtool")
	for _, s := range samples() {
		for _, kind := range s.kinds {
			t.Run(s.profile+"/"+kind.String(), func(t *testing.T) {
				if kind == profile.RSA && testing.Short() {
					t.Skip("making this key takes long")
				}
				t.Parallel()
				dir := t.TempDir()
				for _, name := range []string{s.profile + ".cnf", s.profile + ".tmpl"} {
					must(t, os.WriteFile(filepath.Join(dir, name), []byte(example(t, name)), 0o644))
				}
				makeKey(t, dir, kind)
				run(t, dir, "sh", "-c", example(t, s.profile))
				c := acceptBy(t, s.profile, made(t, dir))
				if c.Key.Kind != kind {
					t.Errorf("a key of kind %s", c.Key.Kind)
				}
				if hwType, ok := c.HardwareType(); ok != (s.issue.HardwareType != "") || (ok && hwType.String() != s.issue.HardwareType) {
					t.Errorf("hardware type %s", hwType)
				}
				if id, ok := c.Instance(); ok != (s.issue.Instance != "") || (ok && id.String() != s.issue.Instance) {
					t.Errorf("instance id %s", id)
				}
				s.peers(t, dir, c)
				run(t, dir, "certtool", "--generate-self-signed", "--load-privkey", "key.pem", "--template", s.profile+".tmpl", "--outfile", "cert.pem")
				s.peers(t, dir, acceptBy(t, s.profile, made(t, dir)))

				key, err := ca.ReadSigner(filepath.Join(dir, "key.pem"))
				must(t, err)
				cfg := s.issue
				cfg.Profile, _ = profile.ByName(s.profile)
				cfg.Key, cfg.NotBefore, cfg.Rand = key, time.Now().Truncate(time.Second), rand.Reader
				der, err := ca.SelfIssue(cfg)
				must(t, err)
				c = acceptBy(t, s.profile, der)
				must(t, os.WriteFile(filepath.Join(dir, "cert.pem"), ca.EncodeCertificate(der), 0o644))
				s.peers(t, dir, c)
			})
		}
	}
}

// judged runs a tool and demands that it succeeds, or that it does not.
func judged(t *testing.T, want bool, dir, command string, args ...string) {
	t.Helper()
	cmd := exec.Command(command, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "LC_ALL=C")
	if out, err := cmd.CombinedOutput(); (err == nil) != want {
		t.Errorf("%s %s: %v, want success %v\n%s", command, strings.Join(args, " "), err, want, out)
	}
}

// peers holds openssl, GnuTLS and strongSwan to reading dir's cert.pem as what we read it to be for, and as nothing else.
func (s sample) peers(t *testing.T, dir string, c *profile.Certificate) {
	t.Helper()
	may := func(usage profile.OID) bool { return len(c.EKUs) == 0 || slices.Contains(c.EKUs, usage) }
	judged(t, may(profile.EKUServerAuth), dir, "openssl", "verify", "-CAfile", "cert.pem", "-purpose", "sslserver", "cert.pem")
	judged(t, may(profile.EKUClientAuth), dir, "openssl", "verify", "-CAfile", "cert.pem", "-purpose", "sslclient", "cert.pem")
	judged(t, s.host != "", dir, "openssl", "verify", "-CAfile", "cert.pem", "-verify_hostname", cmp.Or(s.host, "bank.example"), "cert.pem")
	judged(t, false, dir, "openssl", "verify", "-CAfile", "cert.pem", "-verify_hostname", "bank.example", "cert.pem")
	judged(t, true, dir, "certtool", "--certificate-info", "--infile", "cert.pem")
	if s.ike {
		tool(t, "pki")
		judged(t, true, dir, "pki", "--verify", "--in", "cert.pem", "--cacert", "cert.pem")
	}
	s.handshakes(t, dir, may(profile.EKUServerAuth))
	s.clients(t, dir, may(profile.EKUClientAuth))
}

// handshakes lets stock clients connect to a server with the certificate, which is their only anchor of trust. (certtool
// --verify is no such peer: it takes no trusted certificate but a CA's, which the library's own sessions do.)
func (s sample) handshakes(t *testing.T, dir string, server bool) {
	t.Helper()
	tool(t, "gnutls-cli")
	cert, err := tls.LoadX509KeyPair(filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"))
	must(t, err)
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}})
	must(t, err)
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				if c.(*tls.Conn).Handshake() == nil {
					_, _ = c.Read(make([]byte, 1)) // until the client has had enough
				}
			}()
		}
	}()
	_, port, err := net.SplitHostPort(l.Addr().String())
	must(t, err)
	for _, host := range []string{cmp.Or(s.host, "bank.example"), "mallory.example"} {
		want := server && host == s.host
		judged(t, want, dir, "openssl", "s_client", "-connect", l.Addr().String(), "-CAfile", "cert.pem", "-verify_return_error",
			"-verify_hostname", host, "-brief")
		judged(t, want, dir, "gnutls-cli", "--x509cafile", "cert.pem", "--verify-hostname", host, "--port", port, "127.0.0.1")
	}
}

// TestSelfIssueEnds holds the default end to the profile's own.
func TestSelfIssueEnds(t *testing.T) {
	for _, s := range samples() {
		p, _ := profile.ByName(s.profile)
		cfg := s.issue
		cfg.Profile, cfg.Key, cfg.NotBefore, cfg.Rand = p, newKey(t, s.kinds[0]), noon, rand.Reader
		der, err := ca.SelfIssue(cfg)
		must(t, err)
		c, err := profile.Parse(der)
		must(t, err)
		want := noon.AddDate(p.MaxYears, 0, 0).Unix()
		if p.NoEnd {
			want = profile.Latest
		}
		if c.NotAfter != want {
			t.Errorf("%s: until %d, want %d", s.profile, c.NotAfter, want)
		}
		cfg.NotAfter = noon.AddDate(p.MaxYears, 0, 0).Add(time.Second)
		der, err = ca.SelfIssue(cfg)
		if code, _ := reason.CodeOf(err); der != nil || code != reason.NotAfterTooFar {
			t.Errorf("%s: a second too long: %v", s.profile, err)
		}
	}
}
