package main

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/client"
	"github.com/quorate-pki/quorate/ledger/tlog"
	"github.com/quorate-pki/quorate/verify"
)

func newPolicy() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "policy",
		Short: "The policy file, the one thing trusted: get the first, keep it up, look at it",
		Long: `A policy file says whose word counts: the members' cosigning keys and the quorum, which member set they are of, and until when it may be
used. Members come and go; quorate policy update follows them, by what the old members signed. A first policy, or one after the old has
expired, is made by quorate policy fetch, from a fingerprint that members told you themselves.`,
		Example: "  quorate policy show --policy q/policy",
		Args:    args(cobra.NoArgs),
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newPolicyFetch(), newPolicyUpdate(), newPolicyShow())
	return cmd
}

// readTrust reads a policy, and member sets that follow its own.
func readTrust(policy, members string) (*verify.Trust, error) {
	p, err := readPolicy(policy)
	if err != nil {
		return nil, err
	}
	t, err := verify.NewTrust(p, time.Now())
	if err != nil || members == "" {
		return t, err
	}
	raw, err := readSmall(members, ledger.MaxMemberChain)
	if err != nil {
		return nil, err
	}
	chain, err := ledger.ParseMemberChain(raw)
	if err != nil {
		return nil, usage{fmt.Errorf("%s: %w", members, err)}
	}
	return t.Follow(chain.Links)
}

func newPolicyUpdate() *cobra.Command {
	var r remote
	var members string
	var valid, maxAge time.Duration
	cmd := &cobra.Command{
		Use:   "update --policy FILE --node URL [--valid 8784h] [--members FILE]",
		Short: "Bring a policy to the member set in force, and put its expiry off",
		Long: `Bring a policy to the member set in force: every set in between is signed by a quorum of the one before, and that the last is in force
is proved by an epoch that its members cosigned not longer ago than --max-age. The file is replaced at once or not at all.

A policy past its expiry is refused: who has the keys of members that left could lead it anywhere. Make a new one with quorate policy fetch.`,
		Example: "  quorate policy update --policy q/policy --node http://127.0.0.1:8440",
		Args:    args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := r.client()
			if err != nil {
				return err
			}
			old := c.Trust().Policy()
			set, links, err := inForce(cmd, c, maxAge)
			if err != nil {
				return err
			}
			return writePolicy(cmd.OutOrStdout(), r.policy, members, old, set, links, valid)
		},
	}
	r.flags(cmd)
	cmd.Flags().DurationVar(&valid, "valid", policyLife, "how long the new file may be used")
	cmd.Flags().DurationVar(&maxAge, "max-age", time.Hour, "how old the proof may be that the member set is in force")
	cmd.Flags().StringVar(&members, "members", "", "also write the member sets from the old policy's on to this file, for those who have no network")
	return cmd
}

// inForce proves which member set is in force, from the client's policy on.
func inForce(cmd *cobra.Command, c *client.Client, maxAge time.Duration) (*ledger.MemberSet, []ledger.MemberSetLink, error) {
	set, links, epoch, err := c.MembersInForce(cmd.Context())
	if err != nil {
		return nil, nil, err
	}
	return set, links, epoch.Fresh(time.Now(), maxAge)
}

// writePolicy replaces a policy file by that of a set, and says what changed.
func writePolicy(out io.Writer, path, members string, old *tlog.Policy, set *ledger.MemberSet, links []ledger.MemberSetLink, valid time.Duration) error {
	log, ok := set.LogOf(old.Origin)
	if !ok {
		return usage{fmt.Errorf("the policy is of %s, the member set of %s/%s", old.Origin, set.Consortium, set.Channel)}
	}
	next := set.PolicyUntil(log, time.Now().Add(valid).Unix())
	if err := next.Check(); err != nil {
		return err
	}
	if members != "" {
		if err := replaceFile(members, (&ledger.MemberChain{Version: 1, Links: links}).Encode()); err != nil {
			return err
		}
	}
	if err := replaceFile(path, next.Format()); err != nil {
		return err
	}
	for _, w := range old.Witnesses {
		if !slices.ContainsFunc(next.Witnesses, func(x tlog.PolicyWitness) bool { return x.Key.String() == w.Key.String() }) {
			fmt.Fprintf(out, "- %s %s\n", w.Name, w.Key)
		}
	}
	for _, w := range next.Witnesses {
		if !slices.ContainsFunc(old.Witnesses, func(x tlog.PolicyWitness) bool { return x.Key.String() == w.Key.String() }) {
			fmt.Fprintf(out, "+ %s %s\n", w.Name, w.Key)
		}
	}
	describePolicy(out, next)
	return nil
}

func describePolicy(out io.Writer, p *tlog.Policy) {
	fmt.Fprintf(out, "origin       %s\n", p.Origin)
	if p.Set != nil {
		fmt.Fprintf(out, "member set   %d\nfingerprint  %x\n", p.Set.Number, p.Set.Hash)
	} else {
		fmt.Fprintln(out, "member set   not named: nothing leads from this policy to a newer one")
	}
	fmt.Fprintf(out, "quorum       %d of %d\n", p.Quorum, p.N())
	for _, w := range p.Witnesses {
		fmt.Fprintf(out, "member       %s\n", w.Name)
	}
	if p.Expires != 0 {
		fmt.Fprintf(out, "expires      %s\n", time.Unix(p.Expires, 0).UTC().Format(time.RFC3339))
	} else {
		fmt.Fprintln(out, "expires      never")
	}
}

func newPolicyShow() *cobra.Command {
	var policy string
	cmd := &cobra.Command{
		Use:   "show --policy FILE",
		Short: "Say which member set a policy is of, its fingerprint, and until when it may be used",
		Long: `Say which member set a policy is of, its fingerprint, and until when it may be used. A member tells this fingerprint to whoever makes a first
policy, by a way of its own: on paper, by telephone, on its web site.`,
		Example: "  quorate policy show --policy q/policy",
		Args:    args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := needs(map[string]string{"policy": policy}); err != nil {
				return err
			}
			data, err := readSmall(policy, tlog.MaxPolicy)
			if err != nil {
				return err
			}
			p, err := tlog.ParsePolicy(data)
			if err != nil {
				return usage{fmt.Errorf("policy %s: %w", policy, err)}
			}
			describePolicy(cmd.OutOrStdout(), p)
			_, err = verify.NewTrust(p, time.Now())
			return err
		},
	}
	cmd.Flags().StringVar(&policy, "policy", "", "policy file")
	return cmd
}

func newPolicyFetch() *cobra.Command {
	var r remote
	var out string
	var confirmed []string
	var valid time.Duration
	cmd := &cobra.Command{
		Use:   "fetch --node URL --confirmed MEMBER=FINGERPRINT --confirmed MEMBER=FINGERPRINT --out FILE",
		Short: "Make a first policy from a fingerprint that two members told you themselves",
		Long: `Make a first policy. Nothing that a node says is believed: ask two members or more, each by a way of its own (in person, by telephone, on its web site,
never through a node), for the fingerprint of the member set, and give what each told you. All must say the same, each must be a member of the set
that has this fingerprint, and the log must be cosigned by that set's quorum. Members read it off quorate policy show.

--out must not exist.`,
		Example: "  quorate policy fetch --node http://127.0.0.1:8440 --confirmed ca-a=8d3c...e2 --confirmed ca-c=8d3c...e2 --out policy",
		Args:    args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			first := ""
			if len(r.nodes) > 0 {
				first = r.nodes[0]
			}
			if err := needs(map[string]string{"node": first, "out": out}); err != nil {
				return err
			}
			fingerprint, by, err := confirmations(confirmed)
			if err != nil {
				return usage{err}
			}
			if _, err := os.Lstat(out); !errors.Is(err, os.ErrNotExist) {
				return usage{fmt.Errorf("%s exists; quorate policy update brings a policy up to date", out)}
			}
			return fetchPolicy(cmd, &r, fingerprint, by, out, valid)
		},
	}
	cmd.Flags().StringSliceVar(&r.nodes, "node", nil, "URL of a node, may be repeated; none is trusted")
	cmd.Flags().StringVar(&r.channel, "channel", "main", "channel")
	cmd.Flags().StringArrayVar(&confirmed, "confirmed", nil, "MEMBER=FINGERPRINT, as that member told you; at least twice, of different members")
	cmd.Flags().StringVar(&out, "out", "", "policy file to write")
	cmd.Flags().DurationVar(&valid, "valid", policyLife, "how long the file may be used")
	return cmd
}

// confirmations reads who confirmed which fingerprint: two members at least, and one fingerprint.
func confirmations(given []string) (fingerprint ledger.Hash, by []string, err error) {
	for _, text := range given {
		member, hash, ok := strings.Cut(text, "=")
		raw, err := hex.DecodeString(strings.ToLower(strings.NewReplacer(" ", "", ":", "").Replace(hash)))
		if !ok || !ledger.ValidName(member) || err != nil || len(raw) != len(ledger.Hash{}) {
			return fingerprint, nil, fmt.Errorf("--confirmed %q: want MEMBER=FINGERPRINT, 64 hex digits", text)
		}
		if slices.Contains(by, member) {
			return fingerprint, nil, fmt.Errorf("%s confirms twice: ask another member", member)
		}
		if len(by) > 0 && fingerprint != ledger.Hash(raw) {
			return fingerprint, nil, fmt.Errorf("%s and %s told you different fingerprints: do not go on before you know why", by[0], member)
		}
		fingerprint, by = ledger.Hash(raw), append(by, member)
	}
	if len(by) < 2 {
		return fingerprint, nil, errors.New("two members at least must have confirmed the fingerprint: --confirmed MEMBER=FINGERPRINT, twice")
	}
	return fingerprint, by, nil
}

// fetchPolicy finds the document with a fingerprint, and tries it on the log before it is written.
func fetchPolicy(cmd *cobra.Command, r *remote, fingerprint ledger.Hash, by []string, out string, valid time.Duration) error {
	told, err := client.New(client.Config{Nodes: r.nodes, Channel: r.channel})
	if err != nil {
		return usage{err}
	}
	links, err := told.MemberLinks(cmd.Context())
	if err != nil {
		return err
	}
	i := slices.IndexFunc(links, func(l ledger.MemberSetLink) bool { return ledger.Sum(l.Document) == fingerprint })
	if i < 0 {
		return reason.New(reason.MemberSetUnknown, "the node has %d member sets of channel %s, and none has the fingerprint %x", len(links), r.channel, fingerprint)
	}
	set, no := ledger.ParseMemberSetStrict(links[i].Document)
	if no != nil {
		return no
	}
	for _, name := range by {
		if set.ByName(name) == nil {
			return usage{fmt.Errorf("%s is no member of set %d: its word does not count", name, set.Number)}
		}
	}
	base := set.PolicyUntil(0, time.Now().Add(valid).Unix())
	c, err := client.New(client.Config{Nodes: r.nodes, Channel: r.channel, Policy: base})
	if err != nil {
		return err
	}
	newest, _, err := inForce(cmd, c, time.Hour)
	if err != nil {
		return fmt.Errorf("the log is not that of the members you asked: %w", err)
	}
	return writePolicy(cmd.OutOrStdout(), out, "", base, newest, nil, valid)
}
