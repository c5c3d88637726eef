package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/quorate-pki/quorate/ledger"
)

func newBench() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "bench",
		Short:   "Measure this build on this machine, against what the machine can do",
		Example: "  quorate bench publish --preload 100000\n  quorate bench revoke\n  quorate bench ocsp --certs 1000",
		Args: func(cmd *cobra.Command, args []string) error {
			return usage{errors.New("a measurement is missing; see quorate bench --help")}
		},
		RunE: func(*cobra.Command, []string) error { return nil },
	}
	cmd.AddCommand(newBenchPublish(), newBenchRevoke(), newBenchOCSP())
	return cmd
}

// figures are what a measurement found: JSON by their tags, or a table.
type figures interface{ table(io.Writer) }

// measured runs a measurement in a temporary directory, and prints its figures.
func measured(cmd *cobra.Command, asJSON bool, run func(dir string) (figures, error)) error {
	dir, err := os.MkdirTemp("", "quorate-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	r, err := run(dir)
	if err != nil {
		return err
	}
	if asJSON {
		e := json.NewEncoder(cmd.OutOrStdout())
		e.SetIndent("", "  ")
		return e.Encode(r)
	}
	r.table(cmd.OutOrStdout())
	return nil
}

func newBenchPublish() *cobra.Command {
	b := &publishBench{}
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "publish [--members 4] [--preload 1000000] [--json]",
		Short: "Certificates finalised per second, and what one certificate takes",
		Long: `Run a consortium on this machine, in a temporary directory, and measure it against limits that are measured in the same run,
in turns:

  throughput  P-256 certificates that all members have made final, against cores / (members x time to parse and verify one)
  latency     one certificate on an idle consortium, from submission to its receipt, against one commit of bare raft
              with the same stores

Each figure is the median of its turns. First the state is filled with --preload certificates: their signatures are skipped, and each
member folds them from tiles. A million takes about six minutes on two cores, 3 GB of disk, and 4 GB of memory while it is made.

With members that share processors and a disk, this measures the work that a certificate is, not what a consortium of as many machines
can do.`,
		Example: "  quorate bench publish\n  quorate bench publish --preload 0 --json",
		Args:    args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case b.members < 1 || b.members > ledger.MaxMembers:
				return usage{fmt.Errorf("--members %d: 1 to %d", b.members, ledger.MaxMembers)}
			case b.preload < 0 || b.preload > 20_000_000:
				return usage{fmt.Errorf("--preload %d: 0 to 20,000,000", b.preload)}
			case b.turns < 1 || b.turns > 1000, b.samples < 1 || b.samples > 100_000:
				return usage{errors.New("--turns and --samples: 1 to 1,000 and 1 to 100,000")}
			}
			return measured(cmd, asJSON, func(dir string) (figures, error) {
				b.ctx, b.dir, b.log = cmd.Context(), dir, cmd.ErrOrStderr()
				return b.run()
			})
		},
	}
	cmd.Flags().IntVar(&b.members, "members", defaultMembers, "members of the consortium")
	cmd.Flags().IntVar(&b.preload, "preload", 1_000_000, "certificates in the state before anything is measured")
	cmd.Flags().IntVar(&b.turns, "turns", 5, "turns of the throughput")
	cmd.Flags().IntVar(&b.samples, "samples", 200, "turns of the latency")
	cmd.Flags().StringVar(&b.profileFile, "cpuprofile", "", "write the CPU profile of the last turn of the throughput to this file")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the figures as JSON")
	return cmd
}

// publishFigures is what `bench publish --json` prints.
type publishFigures struct {
	Members   int `json:"members"`
	Cores     int `json:"cores"`
	Preloaded int `json:"preloaded"`

	PublishedPerSecond float64   `json:"published_per_second"`
	LimitPerSecond     float64   `json:"limit_per_second"` // cores / (members x seconds to parse and verify one)
	Ratio              float64   `json:"ratio"`            // median over turns of published / limit
	Ratios             []float64 `json:"ratios"`

	// The share of the processors' time that parsing and verifying is, once for each member. Unlike the ratio it does not see
	// time that no processor worked. It is what to compare on a machine that does other things meanwhile; 0 where the system does
	// not tell.
	ProcessorRatio  float64   `json:"processor_ratio"`
	ProcessorRatios []float64 `json:"processor_ratios"`

	ReceiptLatencyMS    float64 `json:"receipt_latency_ms"`
	ReceiptLatencyP90MS float64 `json:"receipt_latency_p90_ms"`
	RaftCommitMS        float64 `json:"raft_commit_ms"`
	ReceiptLatencyRatio float64 `json:"receipt_latency_ratio"`

	ReceiptBytes    int     `json:"receipt_bytes"`
	ReceiptVerifyUS float64 `json:"receipt_verify_us"`
	ResidentMiB     float64 `json:"resident_mib"`

	Stages []stage `json:"stages"` // of the processors' time in the throughput turns
}

// stage is a part of the work and its share of the processors' time.
type stage struct {
	Name  string  `json:"name"`
	Share float64 `json:"share"`
}

func (r *publishFigures) table(out io.Writer) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	row := func(what, format string, args ...any) { fmt.Fprintf(w, "%s\t%s\n", what, fmt.Sprintf(format, args...)) }
	row("members, cores, preloaded", "%d, %d, %d", r.Members, r.Cores, r.Preloaded)
	row("certificates final at all members", "%.0f/s", r.PublishedPerSecond)
	row("limit: cores / (members x parse and verify)", "%.0f/s", r.LimitPerSecond)
	row("ratio", "%.2f (turns %.2f)", r.Ratio, r.Ratios)
	row("share of the processors' time that the limit is", "%.2f (turns %.2f)", r.ProcessorRatio, r.ProcessorRatios)
	row("one certificate: submission to receipt", "%.1f ms (p90 %.1f)", r.ReceiptLatencyMS, r.ReceiptLatencyP90MS)
	row("one commit of bare raft", "%.1f ms", r.RaftCommitMS)
	row("ratio", "%.1f", r.ReceiptLatencyRatio)
	row("receipt", "%d bytes, verified in %.0f us", r.ReceiptBytes, r.ReceiptVerifyUS)
	row("resident memory", "%.0f MiB", r.ResidentMiB)
	row("", "")
	row("WHERE THE TIME GOES", "SHARE")
	for _, s := range r.Stages {
		row(s.Name, "%.1f %%", 100*s.Share)
	}
	w.Flush()
}

// median of some values; it sorts them.
func median[T float64 | time.Duration](v []T) T {
	slices.Sort(v)
	return v[len(v)/2]
}

// residentMiB is the memory that this process has in RAM; 0 where the system does not tell.
func residentMiB() float64 {
	data, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(data), "VmRSS:")
	kb, _ := strconv.ParseFloat(strings.TrimSpace(strings.SplitN(rest, "kB", 2)[0]), 64)
	return kb / 1024
}
