package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/spf13/cobra"

	"github.com/quorate-pki/quorate/internal/durable"
	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/client"
	"github.com/quorate-pki/quorate/ledger/tlog"
	"github.com/quorate-pki/quorate/verify"
)

func newSnapshot() *cobra.Command {
	cmd := &cobra.Command{Use: "snapshot", Short: "All statuses in one file, for sites without a network",
		Long: `A snapshot is one file with the status of every leaf and the epoch that a quorum of members cosigned: a quarter of a megabyte for a
million certificates. Pull it where there is a network, carry it, and check certificates by it, with their receipts, where there is none.`,
		Args: func(cmd *cobra.Command, a []string) error {
			if len(a) > 0 {
				return usage{fmt.Errorf("there is no command %q; see %s --help", a[0], cmd.CommandPath())}
			}
			return usage{fmt.Errorf("pull or check; see %s --help", cmd.CommandPath())}
		},
		RunE: func(*cobra.Command, []string) error { return nil }, Example: "  quorate snapshot pull --node http://127.0.0.1:8440 --policy q/policy --out all.status"}
	cmd.AddCommand(newSnapshotPull(), newSnapshotCheck())
	return cmd
}

func newSnapshotPull() *cobra.Command {
	var r remote
	var out string
	var maxAge time.Duration
	cmd := &cobra.Command{
		Use:   "pull --node URL --policy FILE --out FILE [--max-age 10m]",
		Short: "Fetch a snapshot and verify it",
		Long: `Fetch the status snapshot of a node and verify it while it comes. The file is replaced when all of it is verified, and fresh, and of no
smaller tree than the snapshot that is there; else it stays as it is, and the next node is asked.`,
		Example: "  quorate snapshot pull --node http://127.0.0.1:8440 --policy q/policy --out all.status",
		Args:    args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := needs(map[string]string{"out": out}); err != nil {
				return err
			}
			c, err := r.client()
			if err != nil {
				return err
			}
			p, err := readPolicy(r.policy)
			if err != nil {
				return err
			}
			before, err := sizeBefore(p, out)
			if err != nil {
				return err
			}
			var s *verify.Snapshot
			err = c.Snapshot(cmd.Context(), func(body io.Reader) (err error) {
				s, err = takeSnapshot(p, body, out, before, time.Now(), maxAge)
				return err
			})
			if err != nil {
				return err
			}
			tellSnapshot(cmd.OutOrStdout(), s)
			fmt.Fprintln(cmd.OutOrStdout(), out)
			return nil
		},
	}
	r.flags(cmd)
	cmd.Flags().StringVar(&out, "out", "", "the snapshot file to write or replace")
	cmd.Flags().DurationVar(&maxAge, "max-age", 10*time.Minute, "how old the state may be; nodes renew it every 30 seconds")
	return cmd
}

// sizeBefore is the size of the tree of the snapshot that is there: none smaller may replace it. It is 0 when there is none, or one that
// does not verify any more; a file that is something else is not replaced.
func sizeBefore(p *tlog.Policy, path string) (uint64, error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, usage{err}
	}
	defer f.Close()
	head := make([]byte, len(ledger.SnapshotLine))
	if n, err := io.ReadFull(f, head); n > 0 && !verify.IsSnapshot(head) {
		return 0, usage{fmt.Errorf("%s is there and is no snapshot", path)}
	} else if err != nil {
		return 0, nil
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return 0, usage{err}
	}
	s, err := verify.ReadSnapshot(p, f)
	if err != nil {
		return 0, nil
	}
	return s.Size, nil
}

// takeSnapshot writes a snapshot to a file while it verifies it; the file stays as it was unless all of it is in order.
func takeSnapshot(p *tlog.Policy, body io.Reader, path string, before uint64, now time.Time, maxAge time.Duration) (s *verify.Snapshot, err error) {
	err = durable.Write(vfs.Default, path, func(w io.Writer) error {
		if s, err = verify.ReadSnapshot(p, io.TeeReader(body, w)); err != nil {
			return err
		}
		if s.Size < before {
			return reason.New(reason.Stale, "of a tree of %d leaves, and the snapshot that is there is of %d", s.Size, before)
		}
		return s.Fresh(now, maxAge)
	})
	return s, err
}

func tellSnapshot(w io.Writer, s *verify.Snapshot) {
	fmt.Fprintf(w, "snapshot   %d leaves as of %s: %d good, %d suspended, %d revoked\n", s.Size, s.AsOf.Format(time.RFC3339),
		s.Counts[ledger.Good], s.Counts[ledger.Suspended], s.Counts[ledger.Revoked])
}

func newSnapshotCheck() *cobra.Command {
	var policy, receipts string
	var maxAge time.Duration
	cmd := &cobra.Command{
		Use:   "check --policy FILE SNAPSHOT [CERT... | DIR... | -] [--receipts DIR] [--max-age 24h]",
		Short: "Verify a snapshot offline, and certificates by it",
		Long: `Verify a snapshot offline, and say how certificates stand by it: a line for each, then the counts. A certificate is found in it by its
receipt, which is expected at CERT.tlog-proof; with --receipts at DIR/<SHA-256 of the certificate>.tlog-proof, where submit --out
writes it. A snapshot says who is revoked and not why; quorate status does.`,
		Example: `  quorate snapshot check --policy q/policy all.status dev1/cert.pem
  cat batch.pem | quorate snapshot check --policy q/policy --receipts receipts all.status -`,
		Args: args(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, a []string) error {
			if err := needs(map[string]string{"policy": policy}); err != nil {
				return err
			}
			p, err := readPolicy(policy)
			if err != nil {
				return err
			}
			f, err := os.Open(a[0])
			if err != nil {
				return usage{err}
			}
			defer f.Close()
			s, err := verify.ReadSnapshot(p, f)
			if err != nil {
				return err
			}
			tellSnapshot(cmd.OutOrStdout(), s)
			if len(a) == 1 {
				return s.Fresh(time.Now(), maxAge)
			}
			at := receiptBeside
			if receipts != "" {
				at = receiptIn(receipts)
			}
			t := newTally(cmd.OutOrStdout())
			trust := tlog.Remember(p) // receipts of one submission are under one checkpoint
			for it, err := range certificates(a[1:], cmd.InOrStdin()) {
				if err != nil {
					return err
				}
				if err := checkBySnapshot(t, trust, s, f, it, at(it), time.Now(), maxAge); err != nil {
					return err
				}
			}
			return t.end()
		},
	}
	cmd.Flags().StringVar(&policy, "policy", "", "policy file: the one thing trusted")
	cmd.Flags().StringVar(&receipts, "receipts", "", "directory with the receipts; default: beside each certificate")
	cmd.Flags().DurationVar(&maxAge, "max-age", 24*time.Hour, "how old the snapshot may be")
	return cmd
}

func checkBySnapshot(t *tally, trust tlog.NoteVerifier, s *verify.Snapshot, file io.ReaderAt, it client.Item, receipt string, now time.Time, maxAge time.Duration) error {
	raw, err := readSmall(receipt, maxProofFile)
	if errors.Is(err, os.ErrNotExist) {
		t.say("no receipt", exitUnknown, nil, it.Name, receipt)
		return nil
	}
	if err != nil {
		return err
	}
	pub, err := verify.Receipt(trust, raw, it.DER)
	if err != nil {
		return t.verdict(err, nil, it.Name)
	}
	st, err := s.Standing(file, pub.Leaf)
	if err != nil {
		return t.verdict(err, &pub.Leaf, it.Name)
	}
	return t.verdict(verify.Verdict(pub, st, it.DER, now, maxAge), &pub.Leaf, it.Name)
}
