package state_test

import (
	"crypto"
	"crypto/rand"
	"testing"

	"github.com/quorate-pki/quorate/ca"
	"github.com/quorate-pki/quorate/ca/profile"
	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/ledgertest"
)

// granted lets both vendors publish every profile, and gives acme-cells hardware types and a PLMN.
func granted(f *ledger.Founding) {
	var ids []uint64
	for _, p := range profile.All() {
		ids = append(ids, uint64(p.ID))
	}
	for i := range f.Organisations {
		if f.Organisations[i].Roles == ledger.RoleVendor {
			f.Organisations[i].Profiles = ids
		}
	}
	for i := range f.LineKeys {
		f.LineKeys[i].Profiles = ids
	}
	f.Namespaces = append(f.Namespaces,
		ledger.FoundingNamespace{Owner: "acme-cells", Type: ledger.NamespaceHardware, Value: "1.3.6.1.4.1.32473.1"},
		ledger.FoundingNamespace{Owner: "acme-cells", Type: ledger.NamespacePLMN, Value: "234015"})
}

// issued is a certificate of a profile, made now.
func (x *chain) issued(name string, key crypto.Signer, cfg ca.SelfIssueConfig) []byte {
	x.t.Helper()
	p, ok := profile.ByName(name)
	if !ok {
		x.t.Fatalf("no profile %s", name)
	}
	cfg.Profile, cfg.Key, cfg.NotBefore, cfg.Rand = p, key, x.now, rand.Reader
	der, err := ca.SelfIssue(cfg)
	if err != nil {
		x.t.Fatal(err)
	}
	return der
}

// publishAs is the body of a publication by a profile.
func publishAs(name string, der []byte) []byte {
	p, _ := profile.ByName(name)
	return ledger.EncodeBody(ledger.OpPublish, ledger.Publish{Profile: uint64(p.ID), Certificate: der})
}

func TestProfilesNeedTheirRuleVersion(t *testing.T) {
	serial := ca.SelfIssueConfig{Serial: "ACME-1", DNSNames: []string{"x." + dns}}
	x := start(t, 1, plenty, func(f *ledger.Founding) { f.Rules = 1 })
	for _, name := range []string{"iot", "gateway", "server"} {
		der := x.issued(name, newKey(t), serial)
		expect(t, x.one(publishAs(name, der), "acme-cells/line"), reason.ProfileNotGranted)
	}
	expect(t, x.one(publishAs("nf", x.function(newKey(t), dns, amf1, "amf1."+dns)), "acme-cells/line"), reason.ProfileNotGranted)
	expect(t, x.one(ledgertest.Publish(x.c.Device("ACME-1", dns, 0)), "acme-cells/line"), reason.Accepted)
	// Under rule version 2 a grant is still needed.
	x = start(t, 1, plenty, nil)
	expect(t, x.one(publishAs("server", x.issued("server", newKey(t), serial)), "acme-cells/line"), reason.ProfileNotGranted)
	x = start(t, 1, plenty, granted)
	for i, name := range []string{"iot", "gateway", "server"} {
		cfg := serial
		cfg.Serial += string(rune('0' + i))
		expect(t, x.one(publishAs(name, x.issued(name, newKey(t), cfg)), "acme-cells/line"), reason.Accepted)
	}
}

// TestProfilesShareDevices: a device has one key, whatever the profiles of its certificates.
func TestProfilesShareDevices(t *testing.T) {
	x := start(t, 1, plenty, granted)
	key := newKey(t)
	cfg := ca.SelfIssueConfig{Serial: "ACME-1", DNSNames: []string{"x." + dns}}
	for _, step := range []struct {
		name string
		key  crypto.Signer
		cfg  ca.SelfIssueConfig
		want reason.Code
	}{
		{"small-cell", key, cfg, reason.Accepted},
		{"server", key, cfg, reason.Accepted},
		{"iot", newKey(t), cfg, reason.DeviceHasAnotherKey},
		{"gateway", key, ca.SelfIssueConfig{Serial: "ACME-2", DNSNames: cfg.DNSNames}, reason.KeyOfAnotherDevice},
	} {
		t.Run(step.name, func(t *testing.T) {
			x.t = t
			expect(t, x.one(publishAs(step.name, x.issued(step.name, step.key, step.cfg)), "acme-cells/line"), step.want)
		})
	}
}

func TestHardwareTypes(t *testing.T) {
	for hwType, want := range map[string]reason.Code{
		"1.3.6.1.4.1.32473.1": reason.Accepted, "1.3.6.1.4.1.32473.1.5": reason.Accepted,
		"1.3.6.1.4.1.32473": reason.HardwareTypeNotOwned, "1.3.6.1.4.1.32473.10": reason.HardwareTypeNotOwned,
		"1.3.6.1.4.1.32473.2": reason.HardwareTypeNotOwned,
	} {
		x := start(t, 1, plenty, granted)
		der := x.issued("iot", newKey(t), ca.SelfIssueConfig{Serial: "ACME-1", HardwareType: hwType})
		t.Run(hwType, func(t *testing.T) {
			x.t = t
			expect(t, x.one(publishAs("iot", der), "acme-cells/line"), want)
		})
		if want != reason.Accepted {
			continue
		}
		// The type is acme-cells', and so is not the other vendor's to claim.
		der = x.issued("iot", newKey(t), ca.SelfIssueConfig{Serial: "OTHER-1", HardwareType: hwType})
		expect(t, x.one(publishAs("iot", der), "other-cells/line"), reason.HardwareTypeNotOwned)
	}
}

func newKey(t testing.TB) crypto.Signer {
	t.Helper()
	key, err := ca.GenerateKey(profile.P256, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}
