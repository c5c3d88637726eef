package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/quorate-pki/quorate/ca/profile"
	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/api"
	"github.com/quorate-pki/quorate/ledger/client"
)

func newHistory() *cobra.Command {
	var r remote
	var org string
	var asJSON bool
	var maxAge time.Duration
	cmd := &cobra.Command{
		Use:   "history --node URL --policy FILE [--org ORG] [--json] [--max-age 10m] CERT|SERIAL",
		Short: "The life of a device, with proof",
		Long: `The life of a device, by one of its certificates, or by its serial (or instance id) and the organisation that answers for it: every
certificate over every key it had and what became of it, who held it, who used it, when it got another key, whether it is retired.

What is printed is proved, each leaf by its receipt and each status by its proof. Each step in the life of a device names the one before, so
none between two can be left out; that nothing came after the last, the node tells. With --json it is the page of
GET /v1/<channel>/history/<device>, once it was checked.

Exit code 0: the device has a good certificate; 1: it has none; 3: unknown, or the answer is too old.`,
		Example: `  quorate history --node http://127.0.0.1:8440 --policy q/policy dev1/cert.pem
  quorate history --node http://127.0.0.1:8440 --policy q/policy --org acme-cells ACME-000001`,
		Args: args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, a []string) error {
			c, err := r.client()
			if err != nil {
				return err
			}
			life, err := historyOf(cmd.Context(), c, a[0], org)
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			if asJSON {
				enc := json.NewEncoder(out)
				enc.SetIndent("", "  ")
				if err := enc.Encode(life.History); err != nil {
					return err
				}
			} else {
				tellHistory(out, life)
			}
			if err := life.Fresh(time.Now(), maxAge); err != nil {
				return err
			}
			for _, s := range life.Certificates {
				if s.Status == ledger.Good {
					return nil
				}
			}
			return verdict{exitNo}
		},
	}
	r.flags(cmd)
	f := cmd.Flags()
	f.StringVar(&org, "org", "", "with a serial: short name of the organisation that answers for the device")
	f.BoolVar(&asJSON, "json", false, "print the history as JSON, proofs included")
	f.DurationVar(&maxAge, "max-age", 10*time.Minute, "how old the state may be; nodes renew it every 30 seconds")
	return cmd
}

// historyOf finds a device by a file with a certificate of it, or by its name within an organisation.
func historyOf(ctx context.Context, c *client.Client, what, org string) (*client.Lived, error) {
	if org == "" {
		if _, err := os.Stat(what); err != nil {
			return nil, usage{fmt.Errorf("%w; a serial goes with --org", err)}
		}
		der, err := readCertificate(what)
		if err != nil {
			return nil, err
		}
		cert, err := profile.Parse(der)
		if err != nil {
			return nil, err
		}
		life, err := lifeOf(ctx, c, ledger.Sum(cert.SPKI), 0)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", what, err)
		}
		return life, nil
	}
	owner, err := c.Organisation(ctx, org)
	if errors.Is(err, ledger.ErrNotFound) {
		return nil, reason.New(reason.UnknownOrganisation, "%s", org)
	}
	if err != nil {
		return nil, err
	}
	id, err := orgID(owner.ID)
	if err != nil {
		return nil, err
	}
	var life *client.Lived
	for _, kind := range []uint8{ledger.DeviceSerial, ledger.DeviceInstance} {
		if life, err = c.History(ctx, ledger.Device(id, kind, what), 0); !errors.Is(err, ledger.ErrNotFound) {
			return life, err
		}
	}
	return nil, reason.New(reason.UnknownCertificate, "%s has published nothing for %s", org, what)
}

func tellHistory(w io.Writer, l *client.Lived) {
	fmt.Fprintf(w, "device       %s of %s  %s\n", deviceName(l), l.Names[l.Owner], l.Device)
	if l.MoreLife || l.MoreCertificates || l.MoreClaims {
		fmt.Fprintln(w, "             there is more before; this is the newest")
	}
	for _, e := range merged(l) {
		fmt.Fprintln(w, historyEvent(l, e))
	}
	for i, c := range l.History.Certificates {
		fmt.Fprintf(w, "certificate  leaf %d: %s as of %s\n", c.Publication.Leaf, l.Certificates[i].Status, l.Certificates[i].AsOf.Format(time.RFC3339))
	}
	fmt.Fprintf(w, "now          %s\n", whereabouts(l))
}

// merged are all leaves of a history in the order of the log.
func merged(l *client.Lived) []api.Event {
	byLeaf := map[uint64]api.Event{}
	add := func(events []api.Proved) {
		for _, e := range events {
			byLeaf[e.Leaf] = e.Event
		}
	}
	add(l.Life)
	for _, c := range l.History.Certificates {
		add([]api.Proved{c.Publication})
		add(c.Changes)
	}
	for _, c := range l.History.Claims {
		add(c.Changes)
	}
	var out []api.Event
	for _, leaf := range slices.Sorted(maps.Keys(byLeaf)) {
		out = append(out, byLeaf[leaf])
	}
	return out
}

func historyEvent(l *client.Lived, e api.Event) string {
	switch {
	case e.Life != nil:
		at := e.Life.Time.Format(time.RFC3339)
		return fmt.Sprintf("%-12s leaf %d, %s: %s", e.Life.Step, e.Leaf, at, lifeText(l.Names, e.Life))
	case e.Publication != nil:
		p := e.Publication
		return fmt.Sprintf("published    leaf %d, %s, as %s", e.Leaf, p.Time.Format(time.RFC3339), profileName(p.Profile))
	default:
		return strings.Join(changeLines(e, func(api.CutOffEffect) bool { return true }), "\n")
	}
}

// changeLines say how a leaf changed a status: by itself, or by the cut-offs in it that are wanted.
func changeLines(e api.Event, wanted func(api.CutOffEffect) bool) (out []string) {
	for _, x := range e.CutOffs {
		if wanted(x) {
			out = append(out, fmt.Sprintf("changed      leaf %d, %s: %s cut off by %s, from leaf %d on, reason %s", e.Leaf, x.Time.Format(time.RFC3339), x.Scope, x.By, x.From, x.Reason))
		}
	}
	if c := e.Change; c != nil {
		out = append(out, fmt.Sprintf("changed      leaf %d, %s: %s by %s, scope %s, reason %s", e.Leaf, c.Time.Format(time.RFC3339), c.Action, c.By, c.Scope, c.Reason))
	}
	return out
}

// lifeText says what a step did. Names of organisations are by id; one that is not there is told by its id.
func lifeText(names map[string]string, x *api.LifeEvent) string {
	name := func(id string) string {
		if n := names[id]; n != "" {
			return n
		}
		return id
	}
	out := ""
	switch x.Step {
	case "transfer":
		out = "to " + name(x.Holder)
	case "claim":
		out = "by " + name(x.Holder) + ", key proved by " + x.Possession
	case "return":
		out = "to " + name(x.Holder) + ", its owner, by " + x.By
	case "retire":
		out = "by " + x.By
	case "rekey":
		out = "to key " + x.NewKey + " by " + x.By
		if x.OldKey && x.By != ledger.BySelf.String() {
			out += " and the old key"
		}
	}
	if x.Evidence != "" {
		out += ", evidence " + x.Evidence
	}
	return out
}
