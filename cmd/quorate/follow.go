package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/api"
	"github.com/quorate-pki/quorate/ledger/client"
	"github.com/quorate-pki/quorate/ledger/tlog"
)

const (
	followWait  = 30 * time.Second // how long a node is asked to wait for news
	followPause = time.Second      // after a node did not answer
)

// following is one run of `quorate follow`.
type following struct {
	out    io.Writer
	warn   io.Writer
	client *client.Client
	state  string // file; empty: nothing is kept
	once   bool
	json   bool
	maxAge time.Duration

	at    *client.Follower
	fresh time.Time // of the newest checkpoint
}

func newFollow() *cobra.Command {
	var r remote
	var from uint64
	s := &following{}
	cmd := &cobra.Command{
		Use:   "follow --node URL --policy FILE [--from LEAF | --state FILE] [--once] [--json] [--max-age 10m]",
		Short: "Follow the log as it grows, proved",
		Long: `Follow the log: one line for each leaf, from --from on, as soon as a quorum of members has cosigned it. Nothing is printed that is
not proved: every leaf is hashed into a tree, and the tree is held against the cosigned checkpoint, so that no node can alter,
leave out or reorder anything.

With --state, where it stands is kept in a file, and the next run goes on behind it; a node that shows another history than the
one followed before is refused. A leaf may be printed twice when a run was cut off, and is never left out. With --json a line is the
JSON of docs/api.md, the leaf's bytes included. --once ends at the end of the log.

Members renew their signatures every 30 seconds. When there is no checkpoint younger than --max-age, something is held back:
exit 3, or 4 when no node answered.`,
		Example: `  quorate follow --node http://127.0.0.1:8440 --policy q/policy --state followed
  quorate follow --node http://127.0.0.1:8440 --policy q/policy --once --json --from 10`,
		Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if s.state != "" && cmd.Flags().Changed("from") {
				return usage{errors.New("--from and --state exclude each other")}
			}
			c, err := r.client()
			if err != nil {
				return err
			}
			s.out, s.warn, s.client, s.fresh = cmd.OutOrStdout(), cmd.ErrOrStderr(), c, time.Now()
			p, err := readPolicy(r.policy)
			if err != nil {
				return err
			}
			if err := s.begin(cmd.Context(), from, p.Origin); err != nil {
				return err
			}
			err = s.run(cmd.Context())
			if cmd.Context().Err() != nil && errors.Is(err, context.Canceled) {
				return nil // Ctrl-C is how it ends
			}
			return err
		},
	}
	r.flags(cmd)
	f := cmd.Flags()
	f.Uint64Var(&from, "from", 0, "first leaf")
	f.StringVar(&s.state, "state", "", "file that keeps where it stands; made when it is not there")
	f.BoolVar(&s.once, "once", false, "end at the end of the log")
	f.BoolVar(&s.json, "json", false, "print a JSON object for each leaf")
	f.DurationVar(&s.maxAge, "max-age", 10*time.Minute, "how old the newest checkpoint may be")
	return cmd
}

// begin opens the follower where the state file says, or at a leaf.
func (s *following) begin(ctx context.Context, from uint64, origin string) (err error) {
	var root *ledger.Hash
	if s.state != "" {
		raw, err := readSmall(s.state, tlog.MaxNote)
		switch {
		case errors.Is(err, os.ErrNotExist):
		case err != nil:
			return err
		default:
			known, err := tlog.ParseBody(raw)
			if err != nil || known.Origin != origin {
				return usage{fmt.Errorf("%s is not what following %s left (%v)", s.state, origin, err)}
			}
			from, root = known.Size, &known.Root
		}
	}
	s.at, err = s.client.Follow(ctx, from, root)
	return err
}

// run prints what is proved, then remembers it: what a crash between the two prints again.
func (s *following) run(ctx context.Context) error {
	wait := followWait
	if s.once {
		wait = 0
	}
	for {
		got, err := s.at.Next(ctx, wait)
		if err == nil {
			s.fresh = got.AsOf
			if err := s.show(got); err != nil {
				return err
			}
		} else if !s.again(ctx, err) {
			return err
		}
		if age := time.Since(s.fresh); age > s.maxAge {
			if err != nil {
				return err
			}
			return reason.New(reason.Stale, "the newest checkpoint is of %s", s.fresh.Format(time.RFC3339))
		}
		if err == nil && s.once && s.at.Known().Size == got.Size {
			if !s.json {
				fmt.Fprintf(s.out, "proved up to leaf %d as of %s\n", got.Size-1, got.AsOf.Format(time.RFC3339))
			}
			return nil
		}
	}
}

// again says whether an error may pass by itself, and waits a little.
func (s *following) again(ctx context.Context, err error) bool {
	if s.once || !errors.Is(err, client.ErrNoNode) && !errors.Is(err, ledger.ErrBusy) && !errors.Is(err, ledger.ErrStopping) &&
		!errors.Is(err, ledger.ErrNotFound) { // a node that is behind those followed before
		return false
	}
	fmt.Fprintln(s.warn, "quorate: "+message(err))
	select {
	case <-ctx.Done():
		return false
	case <-time.After(followPause):
		return true
	}
}

func (s *following) show(got *client.Followed) error {
	for _, e := range got.Events {
		line := eventLine(e)
		if s.json {
			raw, err := json.Marshal(e)
			if err != nil {
				return err
			}
			line = string(raw)
		}
		if _, err := fmt.Fprintln(s.out, line); err != nil {
			return usage{fmt.Errorf("writing: %w", err)}
		}
	}
	if s.state == "" || len(got.Events) == 0 {
		return nil
	}
	if err := replaceFile(s.state, []byte(s.at.Known().Body())); err != nil {
		return usage{err}
	}
	return nil
}

// eventLine is a leaf in a line: its number, its kind, what it says.
func eventLine(e api.Event) string {
	head := fmt.Sprintf("leaf %-8d %-12s", e.Leaf, e.Kind)
	switch {
	case e.Transaction != nil:
		counts := map[reason.Code]int{}
		var order []reason.Code
		for _, v := range e.Transaction.Verdicts {
			if counts[v.Code]++; counts[v.Code] == 1 {
				order = append(order, v.Code)
			}
		}
		var words []string
		for _, c := range order {
			words = append(words, fmt.Sprintf("%d %s", counts[c], c))
		}
		return fmt.Sprintf("%s %s  %s", head, e.Transaction.ID, strings.Join(words, ", "))
	case e.Life != nil:
		x := e.Life
		line := fmt.Sprintf("%s device %s  by %s, holder %s", head, x.Device, x.By, x.Holder)
		if x.NewKey != "" {
			line += ", to key " + x.NewKey
		}
		return line
	case e.Publication != nil:
		p := e.Publication
		return fmt.Sprintf("%s %s  owner %s  voucher %s", head, p.Certificate, p.Owner, p.Voucher)
	case e.Change != nil:
		c := e.Change
		var leaves []string
		for _, r := range c.Leaves {
			for i := range r.Count {
				leaves = append(leaves, fmt.Sprint(r.First+i))
			}
		}
		return fmt.Sprintf("%s %s leaf %s  by %s, reason %s", head, c.Action, strings.Join(leaves, ","), c.By, c.Reason)
	case len(e.CutOffs) > 0:
		var cuts []string
		for _, c := range e.CutOffs {
			cuts = append(cuts, fmt.Sprintf("%s %s from leaf %d on, %d leaves, by %s, reason %s", c.Scope, c.Target, c.From, c.Leaves, c.By, c.Reason))
		}
		return fmt.Sprintf("%s cut off %s", head, strings.Join(cuts, "; "))
	case e.CA != nil:
		return fmt.Sprintf("%s %s  owner %s  until %s", head, e.CA.Certificate, e.CA.Owner, e.CA.Until.Format(time.RFC3339))
	case e.Epoch != nil:
		return fmt.Sprintf("%s height %d  %s", head, e.Epoch.Height, e.Epoch.Time.Format(time.RFC3339Nano))
	}
	return strings.TrimRight(head, " ")
}
