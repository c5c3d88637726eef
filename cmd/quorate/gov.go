package main

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/api"
	"github.com/quorate-pki/quorate/ledger/client"
)

func newGov() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "gov",
		Short: "What the members decide: propose, vote, look",
		Long: `Members decide by vote who is registered, who owns which names, and which rules hold. A proposal carries the operations that take effect
together; each member votes with its governance key, and may vote otherwise until the proposal is decided. What widens trust may have to wait
after the decision; what takes it away never waits. docs/governance.md is the manual of proposal files.`,
		Example: "  quorate gov list --node http://127.0.0.1:8440 --policy q/policy",
		Args:    args(cobra.NoArgs),
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newGovPropose(), newGovVote("approve", ledger.Approve, "Vote for a proposal"),
		newGovVote("reject", ledger.Reject, "Vote against a proposal"), newGovVote("abstain", ledger.Abstain, "Take a vote back"),
		newGovWithdraw(), newGovList(), newGovShow())
	return cmd
}

func newGovPropose() *cobra.Command {
	var r remote
	var signer, title string
	var expires, hold time.Duration
	var dry bool
	cmd := &cobra.Command{
		Use:   "propose --node URL --policy FILE --signer KEY --title TEXT [--expires 168h] [--hold 48h] [--dry-run] FILE",
		Short: "Put operations to the vote of the members",
		Long: `Put the operations of a proposal file to the vote. A member's governance key signs; proposing is no vote. With --dry-run nothing is written:
what would change is printed as a diff, and whether the ledger would take the proposal now.`,
		Example: `  quorate gov propose --node http://127.0.0.1:8440 --policy q/policy --signer q/orgs/ca-a/governance.key --title "New Cells joins" new-cells.json`,
		Args:    args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, a []string) error {
			c, key, err := governor(&r, signer)
			if err != nil {
				return err
			}
			data, err := readSmall(a[0], ledger.MaxSubmission)
			if err != nil {
				return err
			}
			set, channel, err := c.Members(cmd.Context())
			if err != nil {
				return err
			}
			member, err := memberOf(set, key)
			if err != nil {
				return err
			}
			p := ledger.Propose{Title: title, Expires: ledger.MillisOf(time.Now().Add(expires)), Hold: ledger.Millis(hold.Milliseconds())}
			rand.Read(p.Nonce[:])
			f := &former{ctx: cmd.Context(), client: c, dir: filepath.Dir(a[0]), seed: ledger.ProposalSeed(p.Nonce, member), made: map[string]ledger.OrgID{}}
			if p.Bodies, err = f.bodies(data); err != nil {
				return err
			}
			body := ledger.EncodeBody(ledger.OpPropose, p)
			if len(body) > ledger.MaxBody {
				return usage{fmt.Errorf("the proposal has %d bytes, at most %d: make two of it", len(body), ledger.MaxBody)}
			}
			g := &governed{cmd: cmd, client: c, names: memberByNumber(set)}
			if dry {
				return g.dryRun(body, member, channel, key)
			}
			return g.propose(body, key)
		},
	}
	r.flags(cmd)
	cmd.Flags().StringVar(&signer, "signer", "", "governance key file of the member that proposes")
	cmd.Flags().StringVar(&title, "title", "", "what it is about, for people; at most 200 bytes")
	cmd.Flags().DurationVar(&expires, "expires", 7*24*time.Hour, "how long members may vote; at most 2160h")
	cmd.Flags().DurationVar(&hold, "hold", 0, "how long it waits between decision and effect; what takes trust away never does")
	cmd.Flags().BoolVar(&dry, "dry-run", false, "write nothing; print what would change as a diff")
	return cmd
}

// governor makes a client and reads the key of a member.
func governor(r *remote, signer string) (*client.Client, ledger.Signer, error) {
	if err := needs(map[string]string{"signer": signer}); err != nil {
		return nil, nil, err
	}
	c, err := r.client()
	if err != nil {
		return nil, nil, err
	}
	key, _, err := readSigner(signer)
	return c, key, err
}

// memberOf finds the member whose governance key this is.
func memberOf(set *ledger.MemberSet, key ledger.Signer) (uint64, error) {
	for _, m := range set.Members {
		if ledger.Sum(m.Keys[ledger.KeyGovernance]) == key.KeyID() {
			return m.Number, nil
		}
	}
	return 0, reason.New(reason.NotAMember, "the key is no member's governance key")
}

func memberByNumber(set *ledger.MemberSet) map[uint64]string {
	out := map[uint64]string{}
	for _, m := range set.Members {
		out[m.Number] = m.Name
	}
	return out
}

// governed is a verb of gov at work.
type governed struct {
	cmd    *cobra.Command
	client *client.Client
	names  map[uint64]string // of members, by number
}

func (g *governed) propose(body []byte, key ledger.Signer) error {
	v, err := g.operate(body, key)
	if err != nil {
		return err
	}
	digest := ledger.Sum(body)
	_, err = fmt.Fprintf(g.cmd.OutOrStdout(), "proposed  leaf %d  digest %x\n", v.Leaf, digest)
	return err
}

// operate submits one operation and tells a refusal.
func (g *governed) operate(body []byte, key ledger.Signer) (ledger.Verdict, error) {
	res, err := g.client.Operate(g.cmd.Context(), [][]byte{body}, ledger.EachAlone, time.Now(), key)
	if err != nil {
		return ledger.Verdict{}, err
	}
	v := res.Verdicts[0]
	if !v.Code.OK() {
		return v, g.refused(v.Code)
	}
	return v, nil
}

func (g *governed) refused(code reason.Code) error {
	row := reason.Of(code)
	fmt.Fprintf(g.cmd.OutOrStdout(), "refused  %s (%d): %s\n", row.Slug, code, row.Sentence)
	return verdict{exitNo}
}

// dryRun tells what a proposal would change, and what the ledger would say to it now.
func (g *governed) dryRun(body []byte, member uint64, channel *ledger.ChannelRecord, key ledger.Signer) error {
	out := g.cmd.OutOrStdout()
	e, err := api.Describe(0, (&ledger.OpLeaf{Body: body, Effects: ledger.Effects{Members: []uint64{member}}}).Encode())
	if err != nil {
		return err
	}
	d := &differ{ctx: g.cmd.Context(), client: g.client, channel: channel, out: out}
	d.proposal(e.Proposal)
	verdicts, err := g.client.TryOperations(g.cmd.Context(), [][]byte{body}, ledger.EachAlone, time.Now(), key)
	if err != nil {
		return err
	}
	if code := verdicts[0].Code; !code.OK() {
		if code == reason.NamespaceOverlap {
			if err := d.overlaps(e.Proposal); err != nil {
				return err
			}
		}
		return g.refused(code)
	}
	_, err = fmt.Fprintln(out, "dry run: the ledger would take this proposal; nothing was written")
	return err
}

// proposalLeaf reads a command line's leaf.
func proposalLeaf(s string) (uint64, error) {
	n, err := strconv.ParseUint(s, 10, 63)
	if err != nil {
		return 0, usage{fmt.Errorf("%q is no leaf of a proposal", s)}
	}
	return n, nil
}

func newGovVote(verb string, choice ledger.Choice, short string) *cobra.Command {
	var r remote
	var signer, digest string
	cmd := &cobra.Command{
		Use:   verb + " --node URL --policy FILE --signer KEY [--digest HEX] LEAF",
		Short: short,
		Long: short + `, by the leaf of the proposal. What the proposal says is fetched, proved and printed before the vote is cast, and the vote names its digest:
it cannot count for anything else. --digest demands that it is the proposal you have seen before.`,
		Example: "  quorate gov " + verb + " --node http://127.0.0.1:8440 --policy q/policy --signer q/orgs/ca-b/governance.key 10",
		Args:    args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, a []string) error {
			leaf, err := proposalLeaf(a[0])
			if err != nil {
				return err
			}
			c, key, err := governor(&r, signer)
			if err != nil {
				return err
			}
			g, p, err := look(cmd, c, leaf)
			if err != nil {
				return err
			}
			if digest != "" && digest != p.Proposal.Proposal.Digest {
				return reason.New(reason.ProposalDiffers, "leaf %d has the digest %s", leaf, p.Proposal.Proposal.Digest)
			}
			if choice == ledger.Approve {
				for _, o := range p.Proposal.Proposal.Operations {
					if o.Rules != nil {
						if err := knownRules(o.Rules.Version); err != nil {
							return err
						}
					}
				}
			}
			g.show(cmd.OutOrStdout(), p)
			sum, err := hex.DecodeString(p.Proposal.Proposal.Digest)
			if err != nil {
				return err
			}
			v, err := g.operate(ledger.EncodeBody(ledger.OpVote, ledger.Vote{Proposal: leaf, Choice: choice, Digest: ledger.Hash(sum)}), key)
			if err != nil {
				return err
			}
			if p, err = c.Proposal(cmd.Context(), leaf); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "voted     %s in leaf %d\n", choice, v.Leaf)
			g.standing(cmd.OutOrStdout(), p)
			return nil
		},
	}
	r.flags(cmd)
	cmd.Flags().StringVar(&signer, "signer", "", "governance key file of the member that votes")
	cmd.Flags().StringVar(&digest, "digest", "", "SHA-256 of the proposal, as propose and list print it")
	return cmd
}

// look fetches a proposal with its proofs.
func look(cmd *cobra.Command, c *client.Client, leaf uint64) (*governed, *api.ProposalPage, error) {
	p, err := c.Proposal(cmd.Context(), leaf)
	if errors.Is(err, ledger.ErrNotFound) {
		return nil, nil, reason.New(reason.UnknownProposal, "leaf %d", leaf)
	}
	if err != nil {
		return nil, nil, err
	}
	set, _, err := c.Members(cmd.Context())
	if err != nil {
		return nil, nil, err
	}
	return &governed{cmd: cmd, client: c, names: memberByNumber(set)}, p, nil
}

func newGovWithdraw() *cobra.Command {
	var r remote
	var signer string
	cmd := &cobra.Command{
		Use:     "withdraw --node URL --policy FILE --signer KEY LEAF",
		Short:   "Withdraw an own proposal that is open, or waits for its time",
		Example: "  quorate gov withdraw --node http://127.0.0.1:8440 --policy q/policy --signer q/orgs/ca-a/governance.key 10",
		Args:    args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, a []string) error {
			leaf, err := proposalLeaf(a[0])
			if err != nil {
				return err
			}
			c, key, err := governor(&r, signer)
			if err != nil {
				return err
			}
			g := &governed{cmd: cmd, client: c}
			v, err := g.operate(ledger.EncodeBody(ledger.OpWithdraw, ledger.Withdraw{Proposal: leaf}), key)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "withdrawn  proposal %d in leaf %d\n", leaf, v.Leaf)
			return err
		},
	}
	r.flags(cmd)
	cmd.Flags().StringVar(&signer, "signer", "", "governance key file of the member that proposed")
	return cmd
}

func newGovShow() *cobra.Command {
	var r remote
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "show --node URL --policy FILE [--json] LEAF",
		Short: "Show a proposal, its votes and where it stands, with proof",
		Long: `Show a proposal, every member's last vote, and where it stands. The proposal, the votes and the decision are proved by receipts; told are that nobody
voted otherwise since, and whether what was approved waits, is in force, or could not take effect.`,
		Example: "  quorate gov show --node http://127.0.0.1:8440 --policy q/policy 10",
		Args:    args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, a []string) error {
			leaf, err := proposalLeaf(a[0])
			if err != nil {
				return err
			}
			c, err := r.client()
			if err != nil {
				return err
			}
			g, p, err := look(cmd, c, leaf)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), p)
			}
			g.show(cmd.OutOrStdout(), p)
			g.standing(cmd.OutOrStdout(), p)
			return nil
		},
	}
	r.flags(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print it as JSON, proofs included")
	return cmd
}

func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

func newGovList() *cobra.Command {
	var r remote
	var asJSON, all bool
	cmd := &cobra.Command{
		Use:     "list --node URL --policy FILE [--all] [--json]",
		Short:   "List proposals, newest first",
		Long:    "List the newest proposals that may still take effect, or with --all the ended ones, too. The list is told by a node; gov show proves.",
		Example: "  quorate gov list --node http://127.0.0.1:8440 --policy q/policy",
		Args:    args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := r.client()
			if err != nil {
				return err
			}
			set, _, err := c.Members(cmd.Context())
			if err != nil {
				return err
			}
			g := &governed{cmd: cmd, client: c, names: memberByNumber(set)}
			return g.list(cmd.OutOrStdout(), all, asJSON)
		},
	}
	r.flags(cmd)
	cmd.Flags().BoolVar(&all, "all", false, "also those that are decided, expired or withdrawn")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print them as JSON, one a line")
	return cmd
}
