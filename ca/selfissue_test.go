package ca_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/quorate-pki/quorate/ca"
	"github.com/quorate-pki/quorate/ca/profile"
	"github.com/quorate-pki/quorate/internal/reason"
)

var noon = time.Date(2027, 6, 15, 12, 0, 0, 0, time.UTC)

func smallCell(t testing.TB) *profile.Profile {
	t.Helper()
	p, ok := profile.ByName("small-cell")
	if !ok {
		t.Fatal("no profile small-cell")
	}
	return p
}

func config(t testing.TB, kind profile.KeyKind) ca.SelfIssueConfig {
	t.Helper()
	return ca.SelfIssueConfig{Profile: smallCell(t), Key: newKey(t, kind), Serial: "AC0001", Organisation: "Acme Zellen",
		DNSNames: []string{"ac0001.acme.example", "spare.acme.example"}, NotBefore: noon, Rand: rand.Reader}
}

func selfIssue(t testing.TB, kind profile.KeyKind) []byte {
	t.Helper()
	der, err := ca.SelfIssue(config(t, kind))
	must(t, err)
	return der
}

// accept demands that the ledger would accept a certificate at a time.
func accept(t testing.TB, der []byte, at time.Time, g profile.Grant) *profile.Certificate {
	t.Helper()
	c, err := profile.Parse(der)
	must(t, err)
	must(t, smallCell(t).Check(c, uint64(at.UnixMilli()), g))
	must(t, c.CheckSelfSignature())
	must(t, ca.SecondOpinion(der))
	return c
}

func TestSelfIssue(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind.String(), func(t *testing.T) {
			c := accept(t, selfIssue(t, kind), noon, profile.Grant{})
			if c.DeviceSerial != "AC0001" || strings.Join(c.DNSNames, " ") != "ac0001.acme.example spare.acme.example" {
				t.Errorf("%q %q", c.DeviceSerial, c.DNSNames)
			}
			if c.NotBefore != noon.Unix() || c.NotAfter != profile.Latest {
				t.Errorf("valid from %d to %d", c.NotBefore, c.NotAfter)
			}
			if len(c.Serial) != 16 || !bytes.Equal(c.SPKI, spki(t, newKey(t, kind))) {
				t.Errorf("serial %x", c.Serial)
			}
			id, err := ca.KeyID(newKey(t, kind).Public())
			must(t, err)
			if id != c.Key.ID() {
				t.Error("two key ids for one key")
			}
		})
	}
}

func TestSelfIssueLegacy(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	cfg := config(t, profile.RSA)
	cfg.Key = key
	der, err := ca.SelfIssue(cfg)
	must(t, err)
	accept(t, der, noon, profile.Grant{LegacyRSA2048: true})
	c, err := profile.Parse(der)
	must(t, err)
	if code, _ := reason.CodeOf(smallCell(t).Check(c, uint64(noon.UnixMilli()), profile.Grant{})); code != reason.LegacyKeyNotGranted {
		t.Errorf("without the grant: %v", code)
	}
}

// TestSelfIssueRefuses holds SelfIssue to returning no bytes with an error: nobody may use them by mistake.
func TestSelfIssueRefuses(t *testing.T) {
	p521, err := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	must(t, err)
	for _, c := range []struct {
		name   string
		change func(*ca.SelfIssueConfig)
		code   reason.Code
	}{
		{"no serial", func(c *ca.SelfIssueConfig) { c.Serial = "" }, reason.DeviceSerialForm},
		{"bad serial", func(c *ca.SelfIssueConfig) { c.Serial = "AC 1" }, reason.DeviceSerialForm},
		{"no name", func(c *ca.SelfIssueConfig) { c.DNSNames = nil }, reason.SANMissing},
		{"upper case", func(c *ca.SelfIssueConfig) { c.DNSNames = []string{"AC.example"} }, reason.DNSName},
		{"name twice", func(c *ca.SelfIssueConfig) { c.DNSNames = []string{"a.example", "a.example"} }, reason.SANDuplicate},
		{"organisation too long", func(c *ca.SelfIssueConfig) { c.Organisation = strings.Repeat("x", 257) }, reason.NameForm},
		{"26 years", func(c *ca.SelfIssueConfig) { c.NotAfter = noon.AddDate(26, 0, 0) }, reason.NotAfterTooFar},
		{"P-521", func(c *ca.SelfIssueConfig) { c.Key = p521 }, reason.KeyUnknown},
		{"ends before it begins", func(c *ca.SelfIssueConfig) { c.NotAfter = noon.Add(-time.Hour) }, reason.TimeOrder},
		{"before 1950", func(c *ca.SelfIssueConfig) { c.NotBefore = time.Date(1949, 1, 1, 0, 0, 0, 0, time.UTC) }, reason.TimeForm},
		{"a hardware type where there is none", func(c *ca.SelfIssueConfig) { c.HardwareType = "1.3.6.1.4.1.32473.1" }, reason.SANKind},
		{"a network function's names", func(c *ca.SelfIssueConfig) { c.Instance = "4947a69a-f61b-4bc1-b9da-47c9c5d14b64" }, reason.SANKind},
		{"a network function's types", func(c *ca.SelfIssueConfig) { c.NFTypes = []string{"AMF"} }, reason.ExtensionNotAllowed},
		{"a hardware type that is none", func(c *ca.SelfIssueConfig) { c.HardwareType = "1.3.6.1.4.1.x" }, 0},
		{"no randomness", func(c *ca.SelfIssueConfig) { c.Rand = iotest.ErrReader(errors.New("dry")) }, 0},
	} {
		cfg := config(t, profile.P256)
		c.change(&cfg)
		der, err := ca.SelfIssue(cfg)
		if code, _ := reason.CodeOf(err); err == nil || der != nil || code != c.code {
			t.Errorf("%s: %d bytes and %v, want %v", c.name, len(der), err, c.code)
		}
	}
}

// TestSelfIssueDates holds the dates to UTC and whole seconds, and the end to exactly 25 years.
func TestSelfIssueDates(t *testing.T) {
	cfg := config(t, profile.P256)
	cfg.NotBefore = noon.Add(400 * time.Millisecond).In(time.FixedZone("east", 5*3600))
	cfg.NotAfter = noon.AddDate(25, 0, 0)
	der, err := ca.SelfIssue(cfg)
	must(t, err)
	c := accept(t, der, noon, profile.Grant{})
	if c.NotBefore != noon.Unix() || c.NotAfter != noon.AddDate(25, 0, 0).Unix() {
		t.Errorf("from %d to %d", c.NotBefore, c.NotAfter)
	}
}

// TestSelfIssueSerials holds serial numbers to 16 octets and to the randomness given.
func TestSelfIssueSerials(t *testing.T) {
	seen := map[string]bool{}
	for i := range 64 {
		cfg := config(t, profile.Ed25519)
		if i < 2 {
			cfg.Rand = bytes.NewReader(bytes.Repeat([]byte{byte(0xff * i)}, 64))
		}
		der, err := ca.SelfIssue(cfg)
		must(t, err)
		c, err := profile.Parse(der)
		must(t, err)
		if len(c.Serial) != 16 || c.Serial[0] < 0x40 || c.Serial[0] > 0x7f || seen[string(c.Serial)] {
			t.Errorf("serial %x", c.Serial)
		}
		seen[string(c.Serial)] = true
	}
}

func TestDefaultName(t *testing.T) {
	for _, c := range []struct{ serial, suffix, want string }{
		{"AC0001", "acme.example", "ac0001.acme.example"},
		{"a-b", "acme.example", "a-b.acme.example"},
		{"A.B", "acme.example", "a.b.acme.example"},
		{"A_B", "acme.example", ""},
		{"A/B", "acme.example", ""},
		{"A:B", "acme.example", ""},
		{"-A", "acme.example", ""},
		{"", "acme.example", ""},
		{"A", "", ""},
	} {
		got, err := ca.DefaultName(c.serial, c.suffix)
		if got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%q under %q: %q, %v", c.serial, c.suffix, got, err)
		}
	}
}

func TestSecondOpinion(t *testing.T) {
	der := selfIssue(t, profile.P256)
	must(t, ca.SecondOpinion(der))
	bad := bytes.Clone(der)
	bad[len(bad)-1] ^= 1
	for name, d := range map[string][]byte{"no certificate": {0x30, 0}, "a bad signature": bad} {
		if ca.SecondOpinion(d) == nil {
			t.Errorf("%s passes", name)
		}
	}
	if _, err := x509.ParseCertificate(bad); err != nil {
		t.Error("the bad signature must be seen by checking it, not by reading it")
	}
}
