package profile

import (
	"math"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quorate-pki/quorate/internal/reason"
)

func TestTable(t *testing.T) {
	last := uint16(0)
	for _, p := range All() {
		byID, ok := ByID(p.ID)
		byName, also := ByName(p.Name)
		if !ok || !also || byID.Name != p.Name || byName.ID != p.ID || p.ID <= last {
			t.Errorf("profile %d %q is not found by its id and name, or out of order", p.ID, p.Name)
		}
		last = p.ID
	}
	if _, ok := ByID(0); ok {
		t.Error("there is a profile 0")
	}
	if _, ok := ByName(""); ok {
		t.Error("there is a profile without a name")
	}
	p, _ := ByID(1)
	p.Keys[0].Kind, p.Name = RSA, "changed"
	if again, _ := ByID(1); again.Name != "small-cell" || again.Keys[0].Kind != P256 {
		t.Error("a caller can change the table")
	}
}

func TestLegacyRSA(t *testing.T) {
	for bits, want := range map[int]reason.Code{2048: reason.LegacyKeyNotGranted, 3071: reason.LegacyKeyNotGranted, 3072: 0} {
		der := good(t, rsaKey(t, bits), RSAPKCS1SHA256).build(t)
		if got, _ := reason.CodeOf(judge(der, Grant{})); got != want {
			t.Errorf("%d bits: %v", bits, got)
		}
		if err := judge(der, Grant{LegacyRSA2048: true}); err != nil {
			t.Errorf("%d bits with a grant: %v", bits, err)
		}
	}
}

// TestTableDrivesChecks changes single fields of the row and looks at the verdict on one and the same certificate.
func TestTableDrivesChecks(t *testing.T) {
	legacy := good(t, rsaKey(t, 2048), RSAPKCS1SHA256)
	legacy.bc = nil
	c, err := Parse(legacy.build(t))
	must(t, err)
	granted := Grant{LegacyRSA2048: true}
	for name, r := range map[string]struct {
		want   reason.Code
		change func(*Profile)
	}{
		"nothing":              {0, func(*Profile) {}},
		"kind of key":          {reason.KeyNotInProfile, func(p *Profile) { p.Keys = p.Keys[:3] }},
		"size of key":          {reason.KeyNotInProfile, func(p *Profile) { p.Keys[3].LegacyBits = 2049 }},
		"no legacy":            {reason.KeyNotInProfile, func(p *Profile) { p.Keys[3].LegacyBits = 0 }},
		"algorithm":            {reason.AlgorithmNotInProfile, func(p *Profile) { p.SigAlgs = []SigAlg{Ed25519Sig, RSAPKCS1SHA384} }},
		"an extension":         {reason.ExtensionNotAllowed, func(p *Profile) { p.Extensions = p.Extensions[1:] }},
		"an EKU":               {reason.ExtendedKeyUsageForm, func(p *Profile) { p.EKUs = p.EKUs[:2] }},
		"another must bit":     {reason.KeyUsageForm, func(p *Profile) { p.KeyUsageMust = DigitalSignature | KeyAgreement }},
		"may, not must":        {0, func(p *Profile) { p.KeyUsageMust, p.KeyUsageMay = 0, DigitalSignature }},
		"no bit may be set":    {reason.KeyUsageForm, func(p *Profile) { p.KeyUsageMust, p.KeyUsageMay = 0, 0 }},
		"no DNS names":         {reason.SANKind, func(p *Profile) { p.SANs = nil }},
		"12 seconds ahead":     {0, func(p *Profile) { p.Ahead = 12 }},
		"CA is not its matter": {0, func(p *Profile) { p.NotCA = false }},
		"an end":               {reason.NotAfterTooFar, func(p *Profile) { p.NoEnd = false }},
		"a home domain":        {reason.DeviceSerialNotAllowed, func(p *Profile) { p.HomeDomain = true }},
		"usages that fit":      {0, func(p *Profile) { p.KeyUsageFits = true }},
		"an EKU it has":        {0, func(p *Profile) { p.EKURequired, p.EKUMust = true, []OID{EKUIPsecIKE} }},
		"an EKU it lacks":      {reason.ExtendedKeyUsageMissing, func(p *Profile) { p.EKUMust = []OID{EKUIKEIntermediate} }},
		"a critical SAN":       {reason.SANNotCritical, func(p *Profile) { p.SANCritical = true }},
		"an instance id":       {reason.InstanceMissing, func(p *Profile) { p.Instance = true }},
		"types of function":    {reason.NFTypesMissing, func(p *Profile) { p.NFTypes = true }},
	} {
		p, _ := ByID(1)
		r.change(p)
		if got, _ := reason.CodeOf(p.Check(c, blockTime, granted)); got != r.want {
			t.Errorf("%s: got %v, want %v", name, got, r.want)
		}
	}
}

// TestBlockTime holds the bounds in milliseconds, and that no block time breaks them.
func TestBlockTime(t *testing.T) {
	end := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	s := good(t, ed(t), Ed25519Sig)
	s.notBefore, s.notAfter = utc(end.AddDate(-1, 0, 0)), utc(end)
	c, err := Parse(s.build(t))
	must(t, err)
	ms := uint64(end.UnixMilli())
	begin := uint64(end.AddDate(-1, 0, 0).UnixMilli())
	for at, want := range map[uint64]reason.Code{
		ms - 1: 0, ms: reason.CertificateExpired, ms + 1: reason.CertificateExpired, math.MaxUint64: reason.CertificateExpired,
		begin - 48*3600*1000:     0,
		begin - 48*3600*1000 - 1: reason.NotBeforeTooFar,
		0:                        reason.NotAfterTooFar,
	} {
		p, _ := ByID(1)
		if got, _ := reason.CodeOf(p.Check(c, at, Grant{})); got != want {
			t.Errorf("at %d: got %v, want %v", at, got, want)
		}
	}
}

// TestImports holds the package to its promise: the verdict does not hang on parsers that change between releases.
func TestImports(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	if slices.Contains(strings.Fields(string(out)), "crypto/x509") {
		t.Error("depends on crypto/x509")
	}
	out, err = exec.Command("go", "list", "-f", `{{join .Imports "\n"}}`, ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, banned := range []string{"encoding/asn1", "math/rand", "math/rand/v2", "os"} {
		if slices.Contains(strings.Fields(string(out)), banned) {
			t.Errorf("imports %s", banned)
		}
	}
}
