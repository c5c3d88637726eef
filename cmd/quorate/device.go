package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/quorate-pki/quorate/ca"
	"github.com/quorate-pki/quorate/ca/profile"
)

func newDevice() *cobra.Command {
	cmd := &cobra.Command{Use: "device", Short: "A device: its key and certificate, and its life", Args: args(cobra.NoArgs),
		Example: "  quorate device new --org acme-cells --serial ACME-000001 --out dev1",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return usage{fmt.Errorf("a command is missing; see %s --help", cmd.CommandPath())}
		}}
	cmd.AddCommand(newDeviceNew(), newTransfer(), newAccept(), newClaim(), newProve(), newReturn(), newRetire(), newRekey())
	return cmd
}

var keyKinds = map[string]profile.KeyKind{"p256": profile.P256, "p384": profile.P384, "ed25519": profile.Ed25519, "rsa3072": profile.RSA}

// profileHelp is what a flag --profile says.
func profileHelp() string {
	var names []string
	for _, p := range profile.All() {
		names = append(names, p.Name)
	}
	return "certificate profile: " + strings.Join(names, ", ")
}

// deviceNew is what `device new` is asked for.
type deviceNew struct {
	profile, org, serial, out, kind string
	dns                             []string
	hardware                        string   // profile iot
	instance, country, home         string   // profile nf
	nfTypes                         []string // profile nf
}

func newDeviceNew() *cobra.Command {
	var n deviceNew
	cmd := &cobra.Command{
		Use:   "new --org ORG --serial SERIAL --out DIR [--profile small-cell] [--dns NAME]... [--key p256]",
		Short: "Make a key and a self-issued certificate",
		Long: "Make a key and a self-issued certificate: DIR/key.pem (mode 0600) and DIR/cert.pem. Needs no network.\n" +
			"A network function (--profile nf) has no serial but an instance id, a home domain and types.",
		Example: "  quorate device new --profile small-cell --org acme-cells --serial ACME-000001 --out dev1\n" +
			"  quorate device new --profile nf --org op-one --country XX --home-domain 5gc.op-one.example \\\n" +
			"    --nf-type AMF --dns amf1.op-one.example --out amf1",
		Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return n.run(cmd.OutOrStdout()) },
	}
	f := cmd.Flags()
	f.StringVar(&n.profile, "profile", "small-cell", profileHelp())
	f.StringVar(&n.org, "org", "", "organisation that answers for the device")
	f.StringVar(&n.serial, "serial", "", "device serial; none with profile nf")
	f.StringSliceVar(&n.dns, "dns", nil, "DNS name, may be repeated; default <serial or instance id>.<org>.example in lower case, with profile iot none")
	f.StringVar(&n.out, "out", "", "directory for key.pem and cert.pem; existing files are never overwritten")
	f.StringVar(&n.kind, "key", "p256", "kind of key: p256, p384, ed25519, rsa3072")
	f.StringVar(&n.hardware, "hardware-type", "", "with profile iot: the hardware type (hwType of RFC 4108), a dotted OID")
	f.StringVar(&n.instance, "instance", "", "with profile nf: the instance id, a UUID of version 4; default a new one")
	f.StringSliceVar(&n.nfTypes, "nf-type", nil, "with profile nf: type of network function, as AMF; may be repeated")
	f.StringVar(&n.country, "country", "", "with profile nf: country of two letters")
	f.StringVar(&n.home, "home-domain", "", "with profile nf: home domain name, as 5gc.mnc015.mcc234.3gppnetwork.org")
	return cmd
}

func (n *deviceNew) run(stdout io.Writer) error {
	p, ok := profile.ByName(n.profile)
	if !ok {
		return usage{fmt.Errorf("there is no profile %q", n.profile)}
	}
	cfg, err := n.config(p)
	if err != nil {
		return err
	}
	k, ok := keyKinds[n.kind]
	if !ok {
		return usage{fmt.Errorf("there is no kind of key %q: p256, p384, ed25519 or rsa3072", n.kind)}
	}
	if cfg.Key, err = ca.GenerateKey(k, rand.Reader); err != nil {
		return err
	}
	der, err := ca.SelfIssue(*cfg)
	if err != nil {
		return usage{err}
	}
	if err := os.MkdirAll(n.out, 0o755); err != nil {
		return usage{err}
	}
	keyFile, certFile := filepath.Join(n.out, "key.pem"), filepath.Join(n.out, "cert.pem")
	if err := ca.WriteKey(keyFile, cfg.Key); err != nil {
		return usage{err}
	}
	if err := ca.WriteCertificate(certFile, der); err != nil {
		return usage{errors.Join(err, os.Remove(keyFile))} // the key is new and belongs to no certificate
	}
	fmt.Fprintf(stdout, "%s\n%s\n", keyFile, certFile)
	return nil
}

// config is everything but the key.
func (n *deviceNew) config(p *profile.Profile) (*ca.SelfIssueConfig, error) {
	need := map[string]string{"org": n.org, "out": n.out}
	cfg := &ca.SelfIssueConfig{Profile: p, Serial: n.serial, Organisation: n.org, DNSNames: n.dns, HardwareType: n.hardware,
		Instance: n.instance, Country: n.country, NFTypes: n.nfTypes, NotBefore: time.Now().Truncate(time.Second), Rand: rand.Reader}
	known := n.serial // what the default name is made of
	if p.Instance {
		need["country"], need["home-domain"], need["nf-type"] = n.country, n.home, strings.Join(n.nfTypes, ",")
		if cfg.Organisation = n.home; cfg.Instance == "" {
			cfg.Instance = newInstance().String()
		}
		known = cfg.Instance
	} else {
		need["serial"] = n.serial
	}
	if err := needs(need); err != nil {
		return nil, err
	}
	if len(n.dns) == 0 && p.SANRequired {
		name, err := ca.DefaultName(known, n.org+".example")
		if err != nil {
			return nil, usage{err}
		}
		cfg.DNSNames = []string{name}
	}
	return cfg, nil
}

// newInstance is a random UUID of version 4 (RFC 9562 section 5.4).
func newInstance() (id profile.Instance) {
	rand.Read(id[:])
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80
	return id
}
