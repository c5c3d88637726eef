package main

import (
	"context"
	"fmt"
	"io"
	"iter"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/quorate-pki/quorate/ca"
	"github.com/quorate-pki/quorate/ca/profile"
	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/client"
)

// submission is one run of `quorate submit`.
type submission struct {
	out      io.Writer
	warn     io.Writer
	p        *client.Publisher
	channel  ledger.Hash
	receipts func(client.Item) string // where an item's receipt goes
	dryRun   bool
	worst    int
}

func newSubmit() *cobra.Command {
	var r remote
	var signer, prof, outDir string
	var countersigners []string
	var dryRun, whole bool
	cmd := &cobra.Command{
		Use:   "submit --node URL --policy FILE --signer KEY [--profile small-cell] [--dry-run] [--all-or-nothing] CERT... | - --out DIR",
		Short: "Publish certificates and check the receipts",
		Long: `Publish certificates. They are cut into transactions of at most 480 KiB, signed by the line key, and the command
returns when all are published. Every receipt is checked against the policy and written to CERT.tlog-proof; with
"-" the certificates come as a PEM stream and the receipts go to DIR/<SHA-256 of the certificate>.tlog-proof.

One line per certificate: published, already published, or refused with the reason code and its sentence.`,
		Example: `  quorate submit --node http://127.0.0.1:8440 --policy q/policy --signer q/orgs/acme-cells/line.key dev1/cert.pem
  cat batch.pem | quorate submit --node http://127.0.0.1:8440 --policy q/policy --signer line.key --out receipts -`,
		Args: args(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, files []string) error {
			if err := needs(map[string]string{"signer": signer}); err != nil {
				return err
			}
			c, err := r.client()
			if err != nil {
				return err
			}
			key, _, err := readSigner(signer)
			if err != nil {
				return err
			}
			admins, err := readSigners(countersigners)
			if err != nil {
				return err
			}
			p, ok := profile.ByName(prof)
			if !ok {
				return usage{fmt.Errorf("there is no profile %q", prof)}
			}
			s := &submission{out: cmd.OutOrStdout(), warn: cmd.ErrOrStderr(), dryRun: dryRun, receipts: receiptBeside,
				p: &client.Publisher{Client: c, Signer: key, Countersigners: admins, Profile: uint64(p.ID), Whole: whole, Now: time.Now}}
			items := fromFiles(files)
			if len(files) == 1 && files[0] == "-" {
				if err := needs(map[string]string{"out": outDir}); err != nil && !dryRun {
					return err
				}
				items = fromStream(cmd.InOrStdin())
			}
			if outDir != "" {
				if err := os.MkdirAll(outDir, 0o755); err != nil {
					return usage{err}
				}
				s.receipts = receiptIn(outDir)
			}
			return s.run(cmd.Context(), items)
		},
	}
	r.flags(cmd)
	f := cmd.Flags()
	f.StringVar(&signer, "signer", "", "line key file")
	f.StringArrayVar(&countersigners, "countersigner", nil, "admin key file, may be repeated: only for a line key that is cut off")
	f.StringVar(&prof, "profile", "small-cell", profileHelp())
	f.StringVar(&outDir, "out", "", "directory for the receipts; required with -")
	f.BoolVar(&dryRun, "dry-run", false, "say what the verdicts would be; write nothing")
	f.BoolVar(&whole, "all-or-nothing", false, "one refusal undoes the whole transaction it is in")
	return cmd
}

// run submits in batches as the certificates come, so that a stream of any length takes bounded memory. What cannot be
// a certificate at all is refused here, before it would spoil its batch's size.
func (s *submission) run(ctx context.Context, items iter.Seq2[client.Item, error]) error {
	var err error
	if s.channel, err = s.p.Client.Channel(ctx); err != nil {
		return err
	}
	var batch []client.Item
	size := 0
	for it, err := range items {
		if err != nil {
			return err
		}
		if len(it.DER) > ledger.MaxCertificate {
			s.refused(it, reason.DERTooLarge)
			continue
		}
		s.secondOpinion(it)
		batch, size = append(batch, it), size+len(it.DER)
		if size > ledger.MaxSubmission {
			all := client.Batches(batch)
			for _, b := range all[:len(all)-1] {
				if err := s.batch(ctx, b); err != nil {
					return err
				}
			}
			batch, size = all[len(all)-1], 0
			for _, it := range batch {
				size += len(it.DER)
			}
		}
	}
	for _, b := range client.Batches(batch) {
		if err := s.batch(ctx, b); err != nil {
			return err
		}
	}
	if s.worst != exitYes {
		return verdict{s.worst}
	}
	return nil
}

// secondOpinion warns when the standard library reads a certificate otherwise than the strict profile, which alone
// decides: a disagreement is worth a look, and may be a bug of either.
func (s *submission) secondOpinion(it client.Item) {
	cert, err := profile.Parse(it.DER)
	if err == nil {
		err = cert.CheckSelfSignature()
	}
	if err != nil {
		return // it will be refused with its code
	}
	if err := ca.SecondOpinion(it.DER); err != nil {
		fmt.Fprintf(s.warn, "quorate: %s: the strict profile accepts it, and %v\n", it.Name, err)
	}
}

func (s *submission) batch(ctx context.Context, items []client.Item) error {
	if s.dryRun {
		out, err := s.p.Try(ctx, s.channel, items)
		if err != nil {
			return err
		}
		for _, o := range out {
			if err := s.tried(ctx, o); err != nil {
				return err
			}
		}
		return nil
	}
	out, err := s.p.Publish(ctx, s.channel, items)
	if err != nil {
		return err
	}
	for _, o := range out {
		if err := s.published(ctx, o); err != nil {
			return err
		}
	}
	return nil
}

// tried tells a forecast. What is published already is asked for how it stands, as without --dry-run.
func (s *submission) tried(ctx context.Context, o client.Outcome) error {
	switch o.Code {
	case reason.Accepted:
		fmt.Fprintf(s.out, "would be published  %s\n", o.Name)
		return nil
	case reason.AlreadyPublished:
	default:
		s.refused(o.Item, o.Code)
		return nil
	}
	f, err := s.p.Client.Find(ctx, o.DER)
	if err != nil {
		return fmt.Errorf("%s: %w", o.Name, err)
	}
	st, err := s.p.Client.StandingAfter(ctx, f.Leaf, f.Size-1)
	if err != nil {
		return fmt.Errorf("%s: %w", o.Name, err)
	}
	if st.Status != ledger.Good {
		s.worst = max(s.worst, exitNo)
	}
	fmt.Fprintf(s.out, "already published  leaf %d  %s  %s\n", f.Leaf, st.Status, o.Name)
	return nil
}

// writeReceipt writes a receipt so that readers see the old or the new. It does not wait for the disk, a million
// times over: a receipt that a power cut takes is given again to whoever submits the same certificate again.
func writeReceipt(path string, data []byte) error {
	tmp := path + ".tmp"
	if err := os.WriteFile(tmp, data, 0o644); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}

func (s *submission) refused(it client.Item, c reason.Code) {
	s.worst = max(s.worst, exitNo)
	r := reason.Of(c)
	fmt.Fprintf(s.out, "refused  %s  %s (%d): %s\n", it.Name, r.Slug, c, r.Sentence)
}

// published writes the receipt and says so. An old publication counts only while it still stands.
func (s *submission) published(ctx context.Context, o client.Outcome) error {
	if !o.Code.OK() {
		s.refused(o.Item, o.Code)
		return nil
	}
	if o.Err != nil {
		return fmt.Errorf("%s: %w", o.Name, o.Err)
	}
	path := s.receipts(o.Item)
	if err := writeReceipt(path, o.Found.Receipt); err != nil {
		return usage{err}
	}
	if o.Code == reason.Accepted {
		fmt.Fprintf(s.out, "published  leaf %d  %s  %s\n", o.Found.Leaf, o.Name, path)
		return nil
	}
	// In a tree that holds this submission: an old proof would hide what happened since.
	st, err := s.p.Client.StandingAfter(ctx, o.Found.Leaf, o.Tx)
	if err != nil {
		return fmt.Errorf("%s: %w", o.Name, err)
	}
	if st.Status != ledger.Good {
		s.worst = max(s.worst, exitNo)
	}
	fmt.Fprintf(s.out, "already published  leaf %d  %s  %s  %s\n", o.Found.Leaf, st.Status, o.Name, path)
	return nil
}
