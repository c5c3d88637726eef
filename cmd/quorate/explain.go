package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/quorate-pki/quorate/ca/profile"
	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger/api"
	"github.com/quorate-pki/quorate/ledger/client"
	"github.com/quorate-pki/quorate/verify"
)

func newExplain() *cobra.Command {
	var r remote
	var asJSON, all bool
	var maxAge time.Duration
	cmd := &cobra.Command{
		Use:   "explain --node URL --policy FILE [--channel NAME | --all-channels] [--json] [--max-age 10m] CERT",
		Short: "Everything the log says of a certificate, with proof",
		Long: `Everything the log says of a certificate: who vouched for it, in which namespace, with what evidence; every change of its status;
every transaction that asked to publish it and was refused, and why; what a relying party should see.

What is printed is proved: each leaf by its receipt, the status by its proof. That there is nothing else, the node tells. What was
refused before the log (a signature, the form, the expiry) left no trace: the submitter alone was told. With --json it is the page
of GET /v1/<channel>/explain/<leaf>, once it was checked.

The exit code is that of quorate status.`,
		Example: "  quorate explain --node http://127.0.0.1:8440 --policy q/policy dev1/cert.pem",
		Args:    args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, a []string) error {
			c, err := r.client()
			if err != nil {
				return err
			}
			der, err := readCertificate(a[0])
			if err != nil {
				return err
			}
			one := func(c *client.Client) error { return explainOne(cmd, c, der, asJSON, maxAge) }
			if all {
				if asJSON || r.channel != "" || r.proof != "" {
					return usage{errors.New("--all-channels goes without --json and --channel")}
				}
				x := &across{out: cmd.OutOrStdout(), main: c}
				return x.each(cmd.Context(), c.Name(), one)
			}
			return one(c)
		},
	}
	r.flags(cmd)
	cmd.Flags().BoolVar(&all, "all-channels", false, "ask on every channel that the nodes serve")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the explanation as JSON, proofs included")
	cmd.Flags().DurationVar(&maxAge, "max-age", defaultMaxAge, "how old the state may be; nodes renew it every 30 seconds")
	return cmd
}

func explainOne(cmd *cobra.Command, c *client.Client, der []byte, asJSON bool, maxAge time.Duration) error {
	e, err := c.Explain(cmd.Context(), der)
	if err != nil {
		return err
	}
	none := ""
	if e.Published == nil {
		if none, err = unpublished(cmd.Context(), c, der); err != nil {
			return err
		}
	}
	out := cmd.OutOrStdout()
	if asJSON {
		if err := printJSON(out, e.Explanation); err != nil {
			return err
		}
		out = io.Discard
	}
	explain(out, e, none)
	if e.Published == nil {
		return verdict{exitUnknown}
	}
	return conclude(out, verify.Verdict(e.Published, e.Standing, der, time.Now(), maxAge), false)
}

// unpublished says who says that a certificate is not published, after one node has. Whoever proves otherwise makes that node a liar, or late.
func unpublished(ctx context.Context, c *client.Client, der []byte) (string, error) {
	if _, err := profile.Parse(der); err != nil {
		return "no: it does not parse, so it can be on no log", nil
	}
	q := &question{c: c, maxAge: defaultMaxAge, now: time.Now}
	places, err := c.Lookup(ctx, [][]byte{der}, q.fresh)
	if err != nil {
		return "", err
	}
	if f := places[0].Found; f != nil {
		return "", reason.New(reason.AnswerNotTrusted, "a node says that it is not published, and it is, in leaf %d; ask again", f.Leaf)
	}
	if len(places[0].Absent) >= c.Tellers() {
		return "no: " + absent(c, places[0]), nil
	}
	return "not established: " + absent(c, places[0]), nil
}

// explain prints an explanation; none is what is told in place of a publication.
func explain(w io.Writer, e *client.Explained, none string) {
	fmt.Fprintf(w, "certificate  SHA-256 %s\n", e.Certificate)
	if e.Key != "" {
		fmt.Fprintf(w, "key          %s\n", e.Key)
	}
	if e.Publication == nil {
		fmt.Fprintf(w, "published    %s\n", printable(none))
	} else {
		explainPublication(w, e)
	}
	for _, r := range e.Refusals {
		fmt.Fprintf(w, "refused      leaf %d, operation %d, as %s: %s (%d): %s\n", r.Leaf, r.Position, profileName(r.Profile), r.Reason, r.Code, r.Sentence)
	}
	if e.MoreRefusals {
		fmt.Fprintln(w, "refused      more often; quorate follow shows all")
	}
	fmt.Fprintf(w, "expect       OCSP: %s; quorate status: %s\n", e.Expect.OCSP, expected(e.Expect))
}

func expected(x api.Expectation) string {
	if x.Verdict.Code.OK() {
		return "good"
	}
	return x.Verdict.Reason
}

func explainPublication(w io.Writer, e *client.Explained) {
	p := e.Publication.Publication
	fmt.Fprintf(w, "published    leaf %d, %s, as %s, by rule version %d\n", e.Publication.Leaf, p.Time.Format(time.RFC3339), profileName(p.Profile), p.Rules)
	for _, g := range e.Grants {
		switch {
		case g.Organisation != nil:
			fmt.Fprintf(w, "owner        %s (%s), %s, registered in leaf %d\n", g.Organisation.Name, g.Organisation.LegalName, g.Organisation.ID, g.Leaf)
		case g.LineKey != nil:
			fmt.Fprintf(w, "voucher      line key %s, registered in leaf %d\n", g.LineKey.ID, g.Leaf)
		case g.Namespace != nil:
			fmt.Fprintf(w, "namespace    %s %s, granted in leaf %d%s\n", g.Namespace.Type, g.Namespace.Value, g.Leaf, control(g.Namespace))
		}
	}
	fmt.Fprintf(w, "evidence     of the names: %s; of the key: %s; its protection: %s\n", p.Evidence, p.Possession, p.Protection)
	if e.MoreChanges {
		fmt.Fprintln(w, "changed      more often; these are the newest")
	}
	for _, c := range e.Changes {
		for _, line := range changeLines(c.Event, func(x api.CutOffEffect) bool { return x.Covers(c.Leaf, e.Publication.Leaf, p) }) {
			fmt.Fprintln(w, line)
		}
	}
	names := map[string]string{}
	for _, g := range e.Grants {
		if g.Organisation != nil {
			names[g.Organisation.ID] = g.Organisation.Name
		}
	}
	if e.MoreLife {
		fmt.Fprintln(w, "life         there is more before; quorate history tells it")
	}
	for _, x := range e.Life {
		fmt.Fprintf(w, "life         leaf %d, %s: %s of the device %s\n", x.Leaf, x.Life.Time.Format(time.RFC3339), x.Life.Step, lifeText(names, x.Life))
	}
	if e.Barred {
		fmt.Fprintln(w, "key          barred for ever (told)")
	}
	for _, leaf := range e.Siblings {
		fmt.Fprintf(w, "key          also certified in leaf %d (told)\n", leaf)
	}
	fmt.Fprintf(w, "status       %s as of %s\n", e.Standing.Status, e.Standing.AsOf.Format(time.RFC3339))
}

func control(n *api.Namespace) string {
	if n.Control == "" {
		return ""
	}
	return ", control: " + strings.TrimSpace(n.Control)
}

func profileName(id uint64) string {
	if p, ok := profile.ByID(uint16(id)); ok && id <= 0xffff {
		return p.Name
	}
	return fmt.Sprintf("profile %d", id)
}
