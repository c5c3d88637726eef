package main

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	xocsp "golang.org/x/crypto/ocsp"

	"github.com/quorate-pki/quorate/ca/profile"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/order"
	"github.com/quorate-pki/quorate/ocsp"
)

func newBenchRevoke() *cobra.Command {
	b := &revokeBench{}
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "revoke [--members 4] [--samples 200] [--json]",
		Short: "How long a revocation takes until every member says so",
		Long: `Run a consortium on this machine, in a temporary directory, revoke certificates one after the other, each at the next member, and
ask every member by OCSP all the while. Measured from the submission, with the smallest, median, p90, p99 and largest of the samples:

  first    one member says revoked: the one that was told, which holds the revocation
  held     every member says revoked, held (certificateHold) or final
  final    every member says revoked with the reason it was revoked for: the log has it

Beside them one commit of bare raft with the same stores, in the same run, in turns. A member is asked again a millisecond after it
answered, over one connection; a time is that of the answer's last octet. Every answer's signature is checked.

Clients and members share this machine's processors and disk, and no network is between the members.`,
		Example: "  quorate bench revoke\n  quorate bench revoke --members 7 --json",
		Args:    args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case b.members < 1 || b.members > ledger.MaxMembers:
				return usage{fmt.Errorf("--members %d: 1 to %d", b.members, ledger.MaxMembers)}
			case b.samples < 1 || b.samples > 10_000:
				return usage{errors.New("--samples: 1 to 10,000")}
			}
			return measured(cmd, asJSON, func(dir string) (figures, error) {
				b.ctx, b.dir, b.log = cmd.Context(), dir, cmd.ErrOrStderr()
				return b.run()
			})
		},
	}
	cmd.Flags().IntVar(&b.members, "members", defaultMembers, "members of the consortium")
	cmd.Flags().IntVar(&b.samples, "samples", 200, "certificates that are revoked")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the figures as JSON")
	return cmd
}

// revokeFigures is what `bench revoke --json` prints.
type revokeFigures struct {
	Members int `json:"members"`
	Cores   int `json:"cores"`
	Samples int `json:"samples"`

	First distribution `json:"first"` // one member says revoked
	Held  distribution `json:"held"`  // every member says revoked
	Final distribution `json:"final"` // every member says revoked, for the reason that the log has

	RaftCommit distribution `json:"raft_commit"`
	Ratio      float64      `json:"ratio"` // of the medians, final / raft commit
}

// distribution is how long something took, over samples; milliseconds.
type distribution struct {
	Min    float64 `json:"min_ms"`
	Median float64 `json:"median_ms"`
	P90    float64 `json:"p90_ms"`
	P99    float64 `json:"p99_ms"`
	Max    float64 `json:"max_ms"`
}

// distribute sorts the samples, at least one.
func distribute(took []time.Duration) distribution {
	slices.Sort(took)
	at := func(percent int) float64 {
		return float64(took[min(len(took)*percent/100, len(took)-1)].Microseconds()) / 1000
	}
	return distribution{Min: at(0), Median: at(50), P90: at(90), P99: at(99), Max: at(100)}
}

func (r *revokeFigures) table(out io.Writer) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "%d members, %d cores, %d revocations: ms\tMIN\tMEDIAN\tP90\tP99\tMAX\n", r.Members, r.Cores, r.Samples)
	for _, row := range []struct {
		what string
		distribution
	}{{"one member says revoked", r.First}, {"every member, held or final", r.Held}, {"every member, final", r.Final}, {"one commit of bare raft", r.RaftCommit}} {
		fmt.Fprintf(w, "%s\t%.1f\t%.1f\t%.1f\t%.1f\t%.1f\n", row.what, row.Min, row.Median, row.P90, row.P99, row.Max)
	}
	fmt.Fprintf(w, "final / bare raft, medians\t\t%.1f\n", r.Ratio)
	w.Flush()
}

// revokeBench is one run of `bench revoke`.
type revokeBench struct {
	bench
	samples int

	admins     []ledger.Signer
	responders []*x509.Certificate // of each member
}

// revokePoll is the time between a member's answer and the next question to it.
const revokePoll = time.Millisecond

func (b *revokeBench) run() (r *revokeFigures, err error) {
	if err := b.establish(); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, stopAll(b.running)) }()
	if err := b.readKeys(); err != nil {
		return nil, err
	}
	ders, leaves, err := b.publish()
	if err != nil {
		return nil, err
	}
	bare, err := order.NewBaseline(filepath.Join(b.dir, "raft"), b.members)
	if err != nil {
		return nil, err
	}
	defer bare.Close()
	var first, held, final, commits []time.Duration
	for i, der := range ders {
		raw, err := b.revocation(der, leaves[i])
		if err != nil {
			return nil, err
		}
		begin := time.Now()
		if err := bare.Commit(raw); err != nil {
			return nil, err
		}
		commit := time.Since(begin)
		t, err := b.revoke(i, der, raw)
		if err != nil {
			return nil, fmt.Errorf("revocation %d: %w", i, err)
		}
		if i == 0 {
			continue // caches and connections
		}
		first, held, final, commits = append(first, t.first), append(held, t.held), append(final, t.final), append(commits, commit)
	}
	r = &revokeFigures{Members: b.members, Cores: runtime.NumCPU(), Samples: b.samples,
		First: distribute(first), Held: distribute(held), Final: distribute(final), RaftCommit: distribute(commits)}
	r.Ratio = r.Final.Median / r.RaftCommit.Median
	return r, nil
}

func (b *revokeBench) readKeys() error {
	var err error
	org := filepath.Join(b.consortium.dir, "orgs", "acme-cells")
	if b.admins, err = readSigners([]string{filepath.Join(org, "admin-1.key"), filepath.Join(org, "admin-2.key")}); err != nil {
		return err
	}
	ders, err := readResponders(filepath.Join(b.consortium.dir, responderName))
	if err != nil {
		return err
	}
	for _, der := range ders {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return err
		}
		b.responders = append(b.responders, cert)
	}
	return nil
}

// publish publishes a certificate for each sample, and one more.
func (b *revokeBench) publish() (ders [][]byte, leaves []uint64, err error) {
	if ders, err = b.devices(b.samples + 1); err != nil {
		return nil, nil, err
	}
	for part := range slices.Chunk(ders, benchBatch) {
		raw, err := b.transaction(part)
		if err != nil {
			return nil, nil, err
		}
		res, err := b.submit(0, raw)
		if err != nil {
			return nil, nil, err
		}
		for _, v := range res.Verdicts {
			leaves = append(leaves, v.Leaf)
		}
		if err := b.level(res.Height); err != nil {
			return nil, nil, err
		}
	}
	b.say("%d certificates published", len(leaves))
	return ders, leaves, nil
}

func (b *revokeBench) revocation(der []byte, leaf uint64) ([]byte, error) {
	cert, err := profile.Parse(der)
	if err != nil {
		return nil, err
	}
	return b.signed([][]byte{ledger.EncodeBody(ledger.OpStatus, ledger.StatusChange{Action: ledger.Revoke, Scope: ledger.ScopeCertificate,
		Target: ledger.Sum(cert.SPKI), Leaf: &leaf, Reason: ledger.Superseded})}, b.admins...)
}

// revocationTimes are when, after its submission, a revocation was told.
type revocationTimes struct{ first, held, final time.Duration }

// revoke revokes a certificate at one member and asks all until each says so finally.
func (b *revokeBench) revoke(i int, der, raw []byte) (out revocationTimes, err error) {
	id, err := ocsp.NewCertID(crypto.SHA1, der, der)
	if err != nil {
		return out, err
	}
	request, err := ocsp.NewRequest(nil, id)
	if err != nil {
		return out, err
	}
	ctx, cancel := context.WithTimeout(b.ctx, time.Minute)
	defer cancel()
	for at := range b.running { // before the clock runs: each has a connection, and says good
		got, _, err := b.ask(ctx, at, request.Raw)
		if err != nil {
			return out, err
		}
		if got.Status != xocsp.Good {
			return out, fmt.Errorf("%s: not good but %d", b.running[at].name, got.Status)
		}
	}
	told, errs := make([]revocationTimes, len(b.running)), make([]error, len(b.running)+1)
	begin := time.Now()
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, errs[len(b.running)] = b.submit(i, raw); errs[len(b.running)] != nil {
			cancel()
		}
	})
	for at := range b.running {
		wg.Go(func() { told[at], errs[at] = b.watch(ctx, at, request.Raw, begin) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return out, err
	}
	out.first = told[0].held
	for _, t := range told {
		out = revocationTimes{first: min(out.first, t.held), held: max(out.held, t.held), final: max(out.final, t.final)}
	}
	return out, nil
}

// watch asks one member until it says revoked for the reason given. Once it said revoked it must not say good again.
func (b *revokeBench) watch(ctx context.Context, at int, request []byte, begin time.Time) (t revocationTimes, err error) {
	for {
		got, when, err := b.ask(ctx, at, request)
		switch {
		case err != nil:
			return t, fmt.Errorf("%s: %w", b.running[at].name, err)
		case got.Status == xocsp.Revoked:
			if t.held == 0 {
				t.held = when.Sub(begin)
			}
			if got.RevocationReason == xocsp.Superseded {
				t.final = when.Sub(begin)
				return t, nil
			}
		case t.held != 0 || got.Status != xocsp.Good:
			return t, fmt.Errorf("%s: said revoked after %v, and %d later", b.running[at].name, t.held, got.Status)
		}
		select {
		case <-time.After(revokePoll):
		case <-ctx.Done():
			return t, fmt.Errorf("%s does not say revoked: %w", b.running[at].name, ctx.Err())
		}
	}
}

// ask asks a member, checks the answer's signature, and tells when the answer was there.
func (b *revokeBench) ask(ctx context.Context, at int, request []byte) (*xocsp.Response, time.Time, error) {
	host := b.running[at].url[len("http://"):]
	resp, err := http.DefaultClient.Do(ocspRequest(ctx, http.MethodPost, host, request))
	if err != nil {
		return nil, time.Time{}, err
	}
	defer resp.Body.Close()
	var body bytes.Buffer
	if _, err := body.ReadFrom(io.LimitReader(resp.Body, 64<<10)); err != nil {
		return nil, time.Time{}, err
	}
	when := time.Now()
	got, err := xocsp.ParseResponse(body.Bytes(), b.responders[at])
	return got, when, err
}
