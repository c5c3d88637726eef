package main

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/verify"
)

// maxProofFile bounds a tlog-proof file, in bytes.
const maxProofFile = 256 << 10

func newVerify() *cobra.Command {
	var policy, receipt, status, members, channel string
	var publishedOnly bool
	var maxAge time.Duration
	cmd := &cobra.Command{
		Use:   "verify --policy FILE [--channel-proof FILE] --receipt FILE [--status FILE | --published-only] [--members FILE] [--max-age 24h] CERT",
		Short: "Check a receipt, and a status, offline",
		Long: `Check offline that a certificate was published, and with --status that it still stood. Without a status the verdict
is "published, status not checked", exit 3; --published-only makes that 0.

A policy past its expiry is refused, exit 3. What a newer member set signed than the policy's own is good when the receipt, or --members, brings
the member sets in between: each is signed by a quorum of the one before.`,
		Example: "  quorate verify --policy q/policy --receipt dev1/cert.pem.tlog-proof --status dev1.status dev1/cert.pem",
		Args:    args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, a []string) error {
			if err := needs(map[string]string{"policy": policy, "receipt": receipt}); err != nil {
				return err
			}
			if status != "" && publishedOnly {
				return usage{errors.New("--status and --published-only exclude each other")}
			}
			p, err := readTrust(policy, members)
			if err != nil {
				return err
			}
			if channel != "" {
				f, err := readChannelProof(channel, p)
				if err != nil {
					return err
				}
				if p, err = verify.NewTrust(f.Policy, time.Now()); err != nil {
					return err
				}
				tellChannel(cmd.OutOrStdout(), f)
			}
			der, err := readCertificate(a[0])
			if err != nil {
				return err
			}
			raw, err := readSmall(receipt, maxProofFile)
			if err != nil {
				return err
			}
			proof := raw
			pub, err := verify.Receipt(p, proof, der)
			if err != nil {
				return err
			}
			tell(cmd.OutOrStdout(), pub)
			var standing *verify.Standing
			if status != "" {
				if raw, err = readSmall(status, maxProofFile); err != nil {
					return err
				}
				if standing, err = verify.Status(p.Carried(proof), raw, pub.Leaf); err != nil {
					return err
				}
				tellStanding(cmd.OutOrStdout(), standing)
			}
			return conclude(cmd.OutOrStdout(), verify.Verdict(pub, standing, der, time.Now(), maxAge), publishedOnly)
		},
	}
	f := cmd.Flags()
	f.StringVar(&policy, "policy", "", "policy file: the one thing trusted")
	f.StringVar(&members, "members", "", "member sets that lead from the policy's to a newer one, as `quorate policy update --members` writes them")
	f.StringVar(&receipt, "receipt", "", "receipt of the certificate (.tlog-proof)")
	f.StringVar(&channel, "channel-proof", "", "the receipt is of a further channel, which this file proves by the main channel's policy")
	f.StringVar(&status, "status", "", "status proof, as `quorate status --save` writes it")
	f.BoolVar(&publishedOnly, "published-only", false, "do not ask whether it still stands")
	f.DurationVar(&maxAge, "max-age", 24*time.Hour, "how old a status may be")
	return cmd
}

func tell(w io.Writer, p *verify.Published) {
	e := p.Effects
	fmt.Fprintf(w, "leaf       %d of %d\n", p.Leaf, p.Size)
	fmt.Fprintf(w, "published  %s\n", e.Time.Time().Format(time.RFC3339))
	if e.Owner != nil {
		fmt.Fprintf(w, "owner      %s\n", e.Owner)
	}
	if e.Voucher != nil {
		fmt.Fprintf(w, "voucher    line key %x\n", *e.Voucher)
	}
}

func tellStanding(w io.Writer, s *verify.Standing) {
	fmt.Fprintf(w, "status     %s as of %s\n", s.Status, s.AsOf.Format(time.RFC3339))
	if why, changed := s.Reason(); changed {
		fmt.Fprintf(w, "changed    %s by %s, reason %s, proved by leaf %d\n", s.Since.Format(time.RFC3339), s.By, ledger.ReasonName(why), s.Cause.Index)
	}
	if s.Cut != nil {
		fmt.Fprintf(w, "cut off    %s %x, from leaf %d on\n", s.Cut.Scope, s.Cut.Target, s.Cut.From)
	}
}

// conclude prints the verdict line and turns it into an exit code.
func conclude(w io.Writer, err error, publishedOnly bool) error {
	if err == nil {
		fmt.Fprintln(w, "verdict: good")
		return nil
	}
	c, ok := reason.CodeOf(err)
	if !ok {
		return err
	}
	switch {
	case c == reason.StatusNotChecked:
		fmt.Fprintln(w, "verdict: published, status not checked")
		if publishedOnly {
			return nil
		}
	default:
		fmt.Fprintf(w, "verdict: %s (%d): %s\n", err, c, reason.Of(c).Sentence)
	}
	code, _ := exitCode(err)
	return verdict{code}
}
