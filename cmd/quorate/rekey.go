package main

import (
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/quorate-pki/quorate/ca/profile"
	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
)

func newRekey() *cobra.Command {
	var v lifeStep
	var p possession
	var next, prof string
	cmd := &cobra.Command{
		Use:   "rekey --node URL --policy FILE --new CERT --signer KEY... (--new-key KEY | --challenge FILE | --proof FILE) [--evidence FILE] CERT",
		Short: "Give a device another key",
		Long: `Give a device another key: the certificate of --new, over the new key, is published, and those over the old one are revoked as superseded.
Signed by the old key and a line key of the owner, or by the owner's admins; these alone need --evidence, and end the use of the
device until its operator claims it by the new key. From a compromised key only the owner's admins lead on. The receipt is
written to NEW.tlog-proof.`,
		Example: `  quorate device rekey --node http://127.0.0.1:8440 --policy q/policy --new dev1b/cert.pem --new-key dev1b/key.pem \
    --signer dev1/key.pem --signer q/orgs/acme-cells/line.key dev1/cert.pem`,
		Args: args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, files []string) error {
			if err := needs(map[string]string{"new": next}); err != nil {
				return err
			}
			if p.ways() != 1 {
				return usage{errors.New("exactly one of --new-key, --challenge and --proof; see quorate device rekey --help")}
			}
			as, ok := profile.ByName(prof)
			if !ok {
				return usage{fmt.Errorf("there is no profile %q", prof)}
			}
			return v.rekey(cmd, files[0], next, uint64(as.ID), &p)
		},
	}
	v.flags(cmd)
	v.evidenceFlag(cmd, "what the owner has on file when the old key does not sign")
	p.flags(cmd, "new-key", "the new")
	cmd.Flags().StringVar(&next, "new", "", "file of the certificate over the new key")
	cmd.Flags().StringVar(&prof, "profile", "small-cell", profileHelp())
	return cmd
}

func (v *lifeStep) rekey(cmd *cobra.Command, old, next string, as uint64, p *possession) error {
	if err := v.openFor(cmd, p); err != nil {
		return err
	}
	ctx := cmd.Context()
	d, err := v.device(ctx, old)
	if err != nil {
		return err
	}
	if d.spki == nil {
		return reason.New(reason.KeySuperseded, "%s", old)
	}
	der, err := readCertificate(next)
	if err != nil {
		return err
	}
	cert, err := profile.Parse(der)
	if err != nil {
		return err
	}
	step := &ledger.Rekey{Profile: as, Certificate: der, Target: d.key, Previous: d.life.Next}
	if step.Evidence, err = v.document(); err != nil {
		return err
	}
	if v.signs(d.key) {
		step.SPKI = d.spki
	}
	message, err := v.message(step, d.life.Owner)
	if err != nil {
		return err
	}
	done := false
	if step.Alg, step.Proof, done, err = p.sign(message, cert.SPKI); err != nil || !done {
		return v.challenged(p, err)
	}
	// Whoever offers it names a line key, or leaves it to the owner's admins.
	if err := v.do(ctx, []ledger.LifeStep{step}, []*device{d}, d.life.Owner); err != nil || v.offer != "" {
		return err
	}
	f, err := v.c.Find(ctx, der)
	if err != nil {
		return err
	}
	if err := writeReceipt(next+".tlog-proof", f.Receipt); err != nil {
		return usage{err}
	}
	fmt.Fprintf(v.out, "published  leaf %d  %s  %s.tlog-proof\n", f.Leaf, next, next)
	return nil
}

// signs says whether a key is among those that sign, here or elsewhere.
func (v *lifeStep) signs(id ledger.Hash) bool {
	return slices.Contains(v.ids, id) || slices.ContainsFunc(v.cosigners, func(s string) bool {
		other, err := cosigner(s)
		return err == nil && other == id
	})
}
