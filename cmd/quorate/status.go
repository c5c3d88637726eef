package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/client"
	"github.com/quorate-pki/quorate/verify"
)

// defaultMaxAge is how old a state may be where nobody says otherwise; nodes renew it every 30 seconds.
const defaultMaxAge = 10 * time.Minute

// question is one run of `quorate status`.
type question struct {
	out    io.Writer
	c      *client.Client
	maxAge time.Duration
	now    func() time.Time
}

func newStatus() *cobra.Command {
	var r remote
	var save string
	var all bool
	var maxAge time.Duration
	cmd := &cobra.Command{
		Use:   "status --node URL --policy FILE [--channel NAME | --all-channels] [--save FILE] [--max-age 10m] CERT | CERT... | DIR... | -",
		Short: "Ask how certificates stand, with proof",
		Long: `Ask nodes how a certificate stands, and check the proof: good, suspended or revoked, since when and why. For several certificates
(files, directories, "-" for a PEM stream) it is a line each, and the counts at the end; exit 1 when one is refused, else 3 when one is
not established.

That a certificate is unknown nobody can prove. "unknown" is what f+1 members say, each under its signature, so that one honest member is
among them: give the URLs of that many. It is exit 3, as is a certificate of which fewer say so.

With --all-channels one certificate is asked for on the channel of the policy, the main one, and on every further channel that it created
and one of the nodes serves: each is proved first. The exit code is that of the worst answer among the channels that know it.`,
		Example: `  quorate status --node http://127.0.0.1:8440 --policy q/policy --save dev1.status dev1/cert.pem
  cat batch.pem | quorate status --node http://127.0.0.1:8440 --node http://127.0.0.1:8441 --policy q/policy -`,
		Args: args(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, names []string) error {
			c, err := r.client()
			if err != nil {
				return err
			}
			q := &question{out: cmd.OutOrStdout(), c: c, maxAge: maxAge, now: time.Now}
			if all {
				if !one(names) || save != "" || r.channel != "" || r.proof != "" {
					return usage{errors.New("--all-channels is for one certificate, without --save and --channel")}
				}
				x := &across{out: q.out, main: c}
				return x.each(cmd.Context(), c.Name(), func(c *client.Client) error {
					of := *q
					of.c = c
					return of.one(cmd.Context(), names[0], "")
				})
			}
			if one(names) {
				return q.one(cmd.Context(), names[0], save)
			}
			if save != "" {
				return usage{errors.New("--save is for one certificate")}
			}
			return q.list(cmd.Context(), names, cmd.InOrStdin())
		},
	}
	r.flags(cmd)
	cmd.Flags().BoolVar(&all, "all-channels", false, "ask on every channel that the nodes serve")
	cmd.Flags().StringVar(&save, "save", "", "write the status proof to this file")
	cmd.Flags().DurationVar(&maxAge, "max-age", defaultMaxAge, "how old the state may be; nodes renew it every 30 seconds")
	return cmd
}

// one reports whether a command line names one certificate, and not a list that may have one.
func one(names []string) bool {
	if len(names) != 1 || names[0] == "-" {
		return false
	}
	info, err := os.Stat(names[0])
	return err != nil || !info.IsDir()
}

func (q *question) fresh(e *verify.Epoch) error { return e.Fresh(q.now(), q.maxAge) }

// one asks about one certificate, and tells all that is proved of it.
func (q *question) one(ctx context.Context, name, save string) error {
	der, err := readCertificate(name)
	if err != nil {
		return err
	}
	places, err := q.c.Lookup(ctx, [][]byte{der}, q.fresh)
	if err != nil {
		return err
	}
	p := places[0]
	if p.Found == nil {
		if p.Err != nil && len(p.Absent) < q.c.Tellers() {
			return p.Err
		}
		fmt.Fprintln(q.out, printable("unknown: "+absent(q.c, p)))
		return verdict{exitUnknown}
	}
	st, err := q.c.StandingAfter(ctx, p.Found.Leaf, p.Found.Size-1) // not older than the receipt
	if err != nil {
		return err
	}
	tell(q.out, p.Found.Published)
	tellStanding(q.out, st.Standing)
	if save != "" {
		if err := replaceFile(save, st.Proof); err != nil {
			return usage{err}
		}
	}
	return conclude(q.out, verify.Verdict(p.Found.Published, st.Standing, der, q.now(), q.maxAge), false)
}

// find finds where a certificate is published. That it is not takes the word of f+1 members, of a state of the last minutes; where fewer say so
// that is not established (reason.NoEvidence).
func find(ctx context.Context, c *client.Client, name string, der []byte) (*client.Found, error) {
	f, err := c.Find(ctx, der)
	if !errors.Is(err, ledger.ErrNotFound) {
		return f, err
	}
	q := &question{c: c, maxAge: defaultMaxAge, now: time.Now}
	places, err := c.Lookup(ctx, [][]byte{der}, q.fresh)
	if err != nil {
		return nil, err
	}
	switch p := places[0]; {
	case p.Found != nil:
		return p.Found, nil
	case len(p.Absent) >= c.Tellers():
		return nil, reason.New(reason.UnknownCertificate, "%s: %s", name, absent(c, p))
	case p.Err != nil:
		return nil, p.Err
	default:
		return nil, reason.New(reason.NoEvidence, "%s: %s", name, absent(c, p))
	}
}

// absent says who says that a certificate is not published, and whether they are enough.
func absent(c *client.Client, p client.Place) string {
	who, n := strings.Join(p.Absent, ", "), c.Tellers()
	if len(p.Absent) >= n {
		return fmt.Sprintf("%s say that no such certificate is published (told, not proved)", who)
	}
	if who == "" {
		who = "nobody"
	}
	text := fmt.Sprintf("%s of the %d members that it takes say that no such certificate is published; ask more nodes", who, n)
	if p.Doubt != nil {
		text += " (" + p.Doubt.Error() + ")"
	}
	return text
}

// batchSize is how many certificates of a list are asked for at a time.
const batchSize = ledger.MaxOperations

// list asks about certificates as they come, so that a list of any length takes bounded memory.
func (q *question) list(ctx context.Context, names []string, in io.Reader) error {
	t := newTally(q.out)
	var batch []client.Item
	for it, err := range certificates(names, in) {
		if err != nil {
			return err
		}
		if batch = append(batch, it); len(batch) == batchSize {
			if err := q.batch(ctx, t, batch); err != nil {
				return err
			}
			batch = batch[:0]
		}
	}
	if len(batch) > 0 {
		if err := q.batch(ctx, t, batch); err != nil {
			return err
		}
	}
	return t.end()
}

func (q *question) batch(ctx context.Context, t *tally, items []client.Item) error {
	var ders [][]byte
	at := map[string]int{} // a certificate that comes twice is asked for once
	for _, it := range items {
		if _, ok := at[string(it.DER)]; !ok {
			at[string(it.DER)] = len(ders)
			ders = append(ders, it.DER)
		}
	}
	places, err := q.c.Lookup(ctx, ders, q.fresh)
	if err != nil {
		return err
	}
	var leaves []uint64
	newest := uint64(0) // size of a tree that is known to exist
	for _, p := range places {
		if p.Found != nil {
			leaves, newest = append(leaves, p.Found.Leaf), max(newest, p.Found.Size)
		}
	}
	standings := map[uint64]*client.Standing{}
	if len(leaves) > 0 {
		if standings, err = q.c.Standings(ctx, leaves, newest-1); err != nil {
			return err
		}
	}
	for _, it := range items {
		if err := q.tell(t, it, places[at[string(it.DER)]], standings); err != nil {
			return err
		}
	}
	return nil
}

func (q *question) tell(t *tally, it client.Item, p client.Place, standings map[uint64]*client.Standing) error {
	if p.Found != nil {
		st := standings[p.Found.Leaf]
		return t.verdict(verify.Verdict(p.Found.Published, st.Standing, it.DER, q.now(), q.maxAge), &p.Found.Leaf, it.Name)
	}
	if p.Err != nil && len(p.Absent) < q.c.Tellers() {
		return t.verdict(p.Err, nil, it.Name)
	}
	t.say("unknown", exitUnknown, nil, it.Name, absent(q.c, p))
	return nil
}
