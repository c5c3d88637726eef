package ca_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/quorate-pki/quorate/ca"
	"github.com/quorate-pki/quorate/ca/profile"
	"github.com/quorate-pki/quorate/internal/reason"
)

// tool skips where a tool is missing, but not in CI: there it must be.
func tool(t *testing.T, name string) {
	t.Helper()
	if _, err := exec.LookPath(name); err == nil {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s is not installed", name)
	}
	t.Skipf("%s is not installed", name)
}

// run runs a tool in a folder, speaking English.
func run(t *testing.T, dir, command string, args ...string) {
	t.Helper()
	cmd := exec.Command(command, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "LC_ALL=C")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", command, strings.Join(args, " "), err, out)
	}
}

// made reads what a tool wrote and demands that certificate and key belong together.
func made(t *testing.T, dir string) []byte {
	t.Helper()
	key := filepath.Join(dir, "key.pem")
	must(t, os.Chmod(key, 0o600))
	signer, err := ca.ReadSigner(key)
	must(t, err)
	der, err := ca.ReadCertificate(filepath.Join(dir, "cert.pem"))
	must(t, err)
	if c, err := profile.Parse(der); err == nil && !bytes.Equal(c.SPKI, spki(t, signer)) {
		t.Error("the key read is not the certificate's")
	}
	return der
}

// TestOpenSSL makes every kind of key in every form that openssl writes, and certificates with the page's
// configuration.
func TestOpenSSL(t *testing.T) {
	tool(t, "openssl")
	config := example(t, "device.cnf")
	for _, c := range []struct {
		name  string
		kind  profile.KeyKind
		bits  int
		key   []string // a command that writes key.pem
		slow  bool
		grant profile.Grant
	}{
		{"P-256 with parameters", profile.P256, 256, []string{"ecparam", "-name", "prime256v1", "-genkey", "-out", "key.pem"}, false, profile.Grant{}},
		{"P-256 in SEC 1", profile.P256, 256, []string{"ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "key.pem"}, false, profile.Grant{}},
		{"P-256 in PKCS#8", profile.P256, 256, []string{"genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", "key.pem"}, false, profile.Grant{}},
		{"P-384", profile.P384, 384, []string{"ecparam", "-name", "secp384r1", "-genkey", "-noout", "-out", "key.pem"}, false, profile.Grant{}},
		{"Ed25519", profile.Ed25519, 256, []string{"genpkey", "-algorithm", "ed25519", "-out", "key.pem"}, false, profile.Grant{}},
		{"RSA 3072 in PKCS#8", profile.RSA, 3072, []string{"genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:3072", "-out", "key.pem"}, false, profile.Grant{}},
		{"RSA 3072 in PKCS#1", profile.RSA, 3072, []string{"genrsa", "-traditional", "-out", "key.pem", "3072"}, true, profile.Grant{}},
		{"RSA 2048", profile.RSA, 2048, []string{"genrsa", "-out", "key.pem", "2048"}, false, profile.Grant{LegacyRSA2048: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.slow && testing.Short() {
				t.Skip("making this key takes long")
			}
			t.Parallel()
			dir := t.TempDir()
			must(t, os.WriteFile(filepath.Join(dir, "device.cnf"), []byte(config), 0o644))
			run(t, dir, "openssl", c.key...)
			args := []string{"req", "-x509", "-new", "-config", "device.cnf", "-key", "key.pem", "-days", "9131", "-out", "cert.pem"}
			if c.kind != profile.Ed25519 {
				args = append(args, "-sha256")
			}
			run(t, dir, "openssl", args...)
			der := made(t, dir)
			got := accept(t, der, time.Now(), c.grant)
			if got.Key.Kind != c.kind || got.Key.Bits != c.bits || got.DeviceSerial != "ACME-000001" || len(got.EKUs) != 3 ||
				strings.Join(got.DNSNames, " ") != "acme-000001.acme-cells.example" {
				t.Errorf("%s %d, %q, %q, %d usages", got.Key.Kind, got.Key.Bits, got.DeviceSerial, got.DNSNames, len(got.EKUs))
			}
			if c.grant.LegacyRSA2048 {
				if code := verdict(t, der); code != reason.LegacyKeyNotGranted {
					t.Errorf("without the grant: %v", code)
				}
			}
		})
	}
}

// verdict is the whole judgement of a certificate made now.
func verdict(t *testing.T, der []byte) reason.Code {
	t.Helper()
	c, err := profile.Parse(der)
	if err == nil {
		err = smallCell(t).Check(c, uint64(time.Now().UnixMilli()), profile.Grant{})
	}
	if err == nil {
		err = c.CheckSelfSignature()
	}
	code, _ := reason.CodeOf(err)
	return code
}

// TestOpenSSLHabits holds what the page says about openssl's own additions.
func TestOpenSSLHabits(t *testing.T) {
	tool(t, "openssl")
	// What the installed openssl.cnf usually says, so that the test does not hang on the one installed.
	usual := "[req]\ndistinguished_name=dn\nx509_extensions=v3_ca\n[dn]\n[v3_ca]\nsubjectKeyIdentifier=hash\n" +
		"authorityKeyIdentifier=keyid:always,issuer\nbasicConstraints=critical,CA:true\n"
	bare := "[req]\ndistinguished_name=dn\n[dn]\n"
	san, usage := "subjectAltName=DNS:ac0001.acme.example", "keyUsage=critical,digitalSignature"
	for _, c := range []struct {
		name, config string
		addext       []string
		hash         string
		want         reason.Code
	}{
		{"usual", usual, []string{san, usage}, "-sha256", reason.BasicConstraintsForm},
		{"usual, said the opposite", usual, []string{san, usage, "basicConstraints=critical,CA:FALSE"}, "-sha256", 0},
		{"bare", bare, []string{san, usage}, "-sha256", 0},
		{"bare with SHA-384", bare, []string{san, usage}, "-sha384", 0},
		{"SHA-512", bare, []string{san, usage}, "-sha512", reason.AlgorithmUnknown},
		{"version 1", bare, nil, "-sha256", reason.CertVersion},
		{"not critical", bare, []string{san, "keyUsage=digitalSignature"}, "-sha256", reason.KeyUsageForm},
		{"IP address", bare, []string{"subjectAltName=DNS:a.example,IP:192.0.2.1", usage}, "-sha256", reason.SANKind},
		{"keyid and issuer", bare, []string{san, usage, "subjectKeyIdentifier=hash", "authorityKeyIdentifier=keyid,issuer"}, "-sha256", reason.ExtensionForm},
		{"issuer:always", bare, []string{san, usage, "subjectKeyIdentifier=hash", "authorityKeyIdentifier=keyid:always,issuer:always"}, "-sha256", reason.ExtensionForm},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			must(t, os.WriteFile(filepath.Join(dir, "openssl.cnf"), []byte(c.config), 0o644))
			run(t, dir, "openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "key.pem")
			args := []string{"req", "-x509", "-new", "-config", "openssl.cnf", "-key", "key.pem", c.hash, "-days", "30",
				"-subj", "/serialNumber=AC0001", "-out", "cert.pem"}
			for _, e := range c.addext {
				args = append(args, "-addext", e)
			}
			run(t, dir, "openssl", args...)
			if got := verdict(t, made(t, dir)); got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

// TestCertTool does the same with the keys that certtool makes.
func TestCertTool(t *testing.T) {
	tool(t, "certtool")
	template := example(t, "device.tmpl")
	for _, c := range []struct {
		name string
		kind profile.KeyKind
		key  []string
	}{
		{"P-256", profile.P256, []string{"--key-type", "ecdsa", "--curve", "secp256r1"}},
		{"P-384", profile.P384, []string{"--key-type", "ecdsa", "--curve", "secp384r1"}},
		{"Ed25519", profile.Ed25519, []string{"--key-type", "ed25519"}},
		{"RSA", profile.RSA, []string{"--key-type", "rsa", "--bits", "3072"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.kind == profile.RSA && testing.Short() {
				t.Skip("making this key takes long")
			}
			t.Parallel()
			dir := t.TempDir()
			must(t, os.WriteFile(filepath.Join(dir, "device.tmpl"), []byte(template), 0o644))
			run(t, dir, "certtool", append([]string{"--generate-privkey", "--no-text", "--outfile", "key.pem"}, c.key...)...)
			run(t, dir, "certtool", "--generate-self-signed", "--load-privkey", "key.pem", "--template", "device.tmpl", "--outfile", "cert.pem")
			got := accept(t, made(t, dir), time.Now(), profile.Grant{})
			if got.Key.Kind != c.kind || got.DeviceSerial != "ACME-000001" || got.NotAfter != profile.Latest || len(got.EKUs) != 3 ||
				strings.Join(got.DNSNames, " ") != "acme-000001.acme-cells.example" {
				t.Errorf("%s, %q, %q, until %d, %d usages", got.Key.Kind, got.DeviceSerial, got.DNSNames, got.NotAfter, len(got.EKUs))
			}
		})
	}
}
