package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/quorate-pki/quorate/ca"
	"github.com/quorate-pki/quorate/ca/profile"
)

func newDevice() *cobra.Command {
	cmd := &cobra.Command{Use: "device", Short: "What happens on a device", Args: args(cobra.NoArgs),
		Example: "  quorate device new --org acme-cells --serial ACME-000001 --out dev1",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return usage{fmt.Errorf("a command is missing; see %s --help", cmd.CommandPath())}
		}}
	cmd.AddCommand(newDeviceNew())
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

func newDeviceNew() *cobra.Command {
	var prof, org, serial, out, kind, hardware string
	var dns []string
	cmd := &cobra.Command{
		Use:     "new --org ORG --serial SERIAL --out DIR [--profile small-cell] [--dns NAME]... [--hardware-type OID] [--key p256]",
		Short:   "Make a key and a self-issued certificate",
		Long:    "Make a key and a self-issued certificate: DIR/key.pem (mode 0600) and DIR/cert.pem. Needs no network.",
		Example: "  quorate device new --profile small-cell --org acme-cells --serial ACME-000001 --out dev1",
		Args:    args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := needs(map[string]string{"org": org, "serial": serial, "out": out}); err != nil {
				return err
			}
			p, ok := profile.ByName(prof)
			if !ok {
				return usage{fmt.Errorf("there is no profile %q", prof)}
			}
			k, ok := keyKinds[kind]
			if !ok {
				return usage{fmt.Errorf("there is no kind of key %q: p256, p384, ed25519 or rsa3072", kind)}
			}
			if len(dns) == 0 && p.SANRequired {
				name, err := ca.DefaultName(serial, org+".example")
				if err != nil {
					return usage{err}
				}
				dns = []string{name}
			}
			key, err := ca.GenerateKey(k, rand.Reader)
			if err != nil {
				return err
			}
			der, err := ca.SelfIssue(ca.SelfIssueConfig{Profile: p, Key: key, Serial: serial, Organisation: org, DNSNames: dns, HardwareType: hardware,
				NotBefore: time.Now().Truncate(time.Second), Rand: rand.Reader})
			if err != nil {
				return usage{err}
			}
			if err := os.MkdirAll(out, 0o755); err != nil {
				return usage{err}
			}
			keyFile, certFile := filepath.Join(out, "key.pem"), filepath.Join(out, "cert.pem")
			if err := ca.WriteKey(keyFile, key); err != nil {
				return usage{err}
			}
			if err := ca.WriteCertificate(certFile, der); err != nil {
				return usage{errors.Join(err, os.Remove(keyFile))} // the key is new and belongs to no certificate
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s\n%s\n", keyFile, certFile)
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&prof, "profile", "small-cell", profileHelp())
	f.StringVar(&org, "org", "", "organisation that answers for the device")
	f.StringVar(&serial, "serial", "", "device serial")
	f.StringSliceVar(&dns, "dns", nil, "DNS name, may be repeated; default <serial>.<org>.example in lower case, with profile iot none")
	f.StringVar(&hardware, "hardware-type", "", "with profile iot: the hardware type (hwType of RFC 4108), a dotted OID")
	f.StringVar(&out, "out", "", "directory for key.pem and cert.pem; existing files are never overwritten")
	f.StringVar(&kind, "key", "p256", "kind of key: p256, p384, ed25519, rsa3072")
	return cmd
}
