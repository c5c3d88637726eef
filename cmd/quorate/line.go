package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/quorate-pki/quorate/ledger"
)

func newLine() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "line",
		Short: "Line keys: register, cut off, list",
		Long: `A line key publishes for its organisation: within its namespaces, profiles, ranges, quotas and heights. The organisation's admins register it,
without a vote, and cut it off. Members cut it off by vote, too (quorate gov propose).`,
		Example: "  quorate line list --node http://127.0.0.1:8440 --policy q/policy",
		Args:    args(cobra.NoArgs),
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newLineRegister(), newLineCutOff(), newLineList())
	return cmd
}

// lineForm is a line key's grant as flags.
type lineForm struct {
	owner                string
	namespaces, profiles []string
	ranges               []string
	publishOnly          bool
	day, total           uint64
	from, until          uint64
}

func newLineRegister() *cobra.Command {
	var a administered
	var f lineForm
	cmd := &cobra.Command{
		Use:   "register --node URL --policy FILE --signer ADMIN... --org NAME --namespace TYPE:VALUE... KEY",
		Short: "Register a line key of an organisation",
		Long: `Register a line key. KEY is its private key file: it signs that it agrees, and never leaves this machine. As many admins of the organisation sign as
its registration demands.`,
		Example: `  quorate line register --node http://127.0.0.1:8440 --policy q/policy --signer q/orgs/acme-cells/admin-1.key --signer q/orgs/acme-cells/admin-2.key \
    --org acme-cells --namespace serial:ACME- --namespace dns:acme-cells.example --range ACME-:1-500000 line-7.key`,
		Args: args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, paths []string) error {
			if err := needs(map[string]string{"org": f.owner}); err != nil {
				return err
			}
			h, keys, err := a.open(cmd)
			if err != nil {
				return err
			}
			line, err := f.record(h)
			if err != nil {
				return err
			}
			key, spki, err := readSigner(paths[0])
			if err != nil {
				return err
			}
			line.SPKI, line.Alg = spki, key.Alg()
			if line.Possession, err = key.SignCOSE(ledger.PossessionMessage(line.Owner, spki)); err != nil {
				return usage{err}
			}
			v, err := operate(cmd, h.client, ledger.EncodeBody(ledger.OpLineKey, line), keys...)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "registered  line key %x in leaf %d\n", ledger.Sum(spki), v.Leaf)
			return err
		},
	}
	a.flags(cmd)
	x := cmd.Flags()
	x.StringVar(&f.owner, "org", "", "organisation: short name, or id")
	x.StringArrayVar(&f.namespaces, "namespace", nil, "namespace that it publishes in, type:value or id; 1 to 16")
	x.StringSliceVar(&f.profiles, "profile", []string{"small-cell"}, "profiles that it publishes")
	x.StringArrayVar(&f.ranges, "range", nil, "run of serials, PREFIX:LOW-HIGH; none: all of its namespaces")
	x.BoolVar(&f.publishOnly, "publish-only", false, "it does not suspend what it published lately, either")
	x.Uint64Var(&f.day, "quota-day", 10_000, "publications a UTC day")
	x.Uint64Var(&f.total, "quota-total", 1_000_000, "publications in all")
	x.Uint64Var(&f.from, "from-height", 0, "first height in force; 0: at once")
	x.Uint64Var(&f.until, "until-height", 0, "last height in force; 0: no end")
	return cmd
}

func (f *lineForm) record(h *holdings) (*ledger.LineKey, error) {
	l := &ledger.LineKey{Rights: ledger.RightPublish | ledger.RightSuspend, QuotaDay: f.day, QuotaTotal: f.total, From: f.from, Until: f.until}
	if f.publishOnly {
		l.Rights = ledger.RightPublish
	}
	var err error
	if l.Owner, _, err = h.organisation(f.owner); err != nil {
		return nil, err
	}
	if l.Profiles, err = profileIDs(f.profiles); err != nil {
		return nil, err
	}
	for _, n := range f.namespaces {
		id, err := h.namespace(n)
		if err != nil {
			return nil, err
		}
		l.Namespaces = append(l.Namespaces, id)
	}
	for _, r := range f.ranges {
		at := strings.LastIndex(r, ":")
		low, high, ok := strings.Cut(r[at+1:], "-")
		from, err1 := strconv.ParseUint(low, 10, 64)
		to, err2 := strconv.ParseUint(high, 10, 64)
		if at < 0 || !ok || err1 != nil || err2 != nil {
			return nil, usage{fmt.Errorf("%q is no range of serials; ACME-:1-5000 is one", r)}
		}
		l.Ranges = append(l.Ranges, ledger.Range{Prefix: r[:at], Low: from, High: to})
	}
	return l, nil
}

func newLineCutOff() *cobra.Command {
	var a administered
	var from uint64
	var why string
	cmd := &cobra.Command{
		Use:   "cutoff --node URL --policy FILE --signer ADMIN... [--from LEAF] [--reason REASON] KEY",
		Short: "Cut a line key off: what it published from a leaf on is revoked, and it publishes no more",
		Long: `Cut a line key off, by its id or public key file. All that it vouched for in leaf --from or later is revoked at once, however much it is, and it publishes
nothing any more but what its owner's admins sign with it (quorate submit --countersigner). Nothing undoes it. The owner's admins sign, as many as
its registration demands, or governance keys of a quorum of members.`,
		Example: "  quorate line cutoff --node http://127.0.0.1:8440 --policy q/policy --signer q/orgs/acme-cells/admin-1.key --signer q/orgs/acme-cells/admin-2.key --from 120 line.pub",
		Args:    args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, names []string) error {
			h, keys, err := a.open(cmd)
			if err != nil {
				return err
			}
			reason, err := named("reason", why, cutReasons)
			if err != nil {
				return err
			}
			id, err := keyNamed(names[0])
			if err != nil {
				return err
			}
			return h.cutOff(cmd, ledger.CutOff{Scope: ledger.ScopeLineKey, Target: id[:], From: from, Reason: reason}, keys)
		},
	}
	a.flags(cmd)
	cutFlags(cmd, &from, &why)
	return cmd
}

func newLineList() *cobra.Command {
	var r remote
	var owner string
	cmd := &cobra.Command{
		Use:     "list --node URL --policy FILE [--org NAME]",
		Short:   "List line keys, and whether they are cut off",
		Long:    "List line keys. The list is told by a node: what it says of a key is proved by the leaf that it names (quorate follow, quorate explain).",
		Example: "  quorate line list --node http://127.0.0.1:8440 --policy q/policy",
		Args:    args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := r.client()
			if err != nil {
				return err
			}
			h := &holdings{ctx: cmd.Context(), client: c}
			if _, err := h.organisations(); err != nil {
				return err
			}
			return walk(h, ledger.RecordRegistry, len(ledger.Hash{}), func(k []byte, v *ledger.RegisteredKey) {
				if v.Role != ledger.KeyRoleLine || owner != "" && h.name(v.Owner) != owner {
					return
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%x  %s  profiles %s  %d a day, %d in all%s\n", k, h.name(v.Owner), profileNames(v.Line.Profiles),
					v.Line.QuotaDay, v.Line.QuotaTotal, cutNames(v.Cuts))
			})
		},
	}
	r.flags(cmd)
	cmd.Flags().StringVar(&owner, "org", "", "only those of an organisation")
	return cmd
}
