package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/rogpeppe/go-internal/diff"
	"github.com/spf13/cobra"

	"github.com/quorate-pki/quorate/ca/profile"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/client"
	"github.com/quorate-pki/quorate/policies"
)

func newRule() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rule",
		Short: "Members' own admission rules: check, try, show, compare, explain",
		Long: `Members add rules of their own to the ledger's: short texts in Starlark that say of a certificate yes, or why not. docs/rules.md says what they
know and may do. A rule is proposed and voted on with quorate gov.`,
		Example: "  quorate rule check small-cells.star",
		Args:    args(cobra.NoArgs),
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newRuleCheck(), newRuleTry(), newRuleShow(), newRuleDiff(), newRuleWhy())
	return cmd
}

// ruleFile is a rule's text in a file.
type ruleFile struct {
	path    string
	text    string
	program *policies.Program
}

func readRule(path string) (*ruleFile, error) {
	raw, err := readSmall(path, 1<<20)
	if err != nil {
		return nil, err
	}
	p, err := policies.Compile(string(raw))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &ruleFile{path: path, text: string(raw), program: p}, nil
}

// ruleTitle is the title of a text; what it is called by when it has none.
func ruleTitle(p *policies.Program) string {
	if t := p.Title(); t != "" {
		return printable(t)
	}
	return "without a title"
}

func newRuleCheck() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "check [--json] FILE",
		Short:   "Read a rule as the nodes will",
		Long:    "Read a rule as the nodes will: a text that passes may be proposed. Needs no network.",
		Example: "  quorate rule check small-cells.star",
		Args:    args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, a []string) error {
			f, err := readRule(a[0])
			if err != nil {
				return err
			}
			digest, out := ledger.TextHash(f.text), cmd.OutOrStdout()
			if asJSON {
				return printJSON(out, struct {
					Title  string `json:"title"`
					Digest string `json:"sha256"`
					Size   int    `json:"size"`
				}{f.program.Title(), hex.EncodeToString(digest[:]), len(f.text)})
			}
			fmt.Fprintf(out, "rule      %s\n", ruleTitle(f.program))
			fmt.Fprintf(out, "SHA-256   %x\n", digest)
			fmt.Fprintf(out, "size      %d bytes of at most %d\n", len(f.text), policies.MaxText)
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print it as JSON")
	return cmd
}

// scopeFlags name whose certificates a rule judges.
type scopeFlags struct{ profile, org string }

func (s *scopeFlags) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&s.profile, "profile", "", "of this certificate profile only")
	cmd.Flags().StringVar(&s.org, "org", "", "of this organisation only: its short name, or its id")
}

// scope finds what the flags name.
func (s *scopeFlags) scope(ctx context.Context, c *client.Client) (out ledger.RuleScope, err error) {
	if s.profile != "" {
		p, ok := profile.ByName(s.profile)
		if !ok {
			return out, usage{fmt.Errorf("there is no profile %q", s.profile)}
		}
		out.Profile = uint64(p.ID)
	}
	if s.org != "" {
		out.Organisation, err = findOrganisation(ctx, c, s.org)
	}
	return out, err
}

// findOrganisation finds an organisation by id, or on the log by its name, proved.
func findOrganisation(ctx context.Context, c *client.Client, name string) (ledger.OrgID, error) {
	if id, err := hex.DecodeString(name); err == nil && len(id) == len(ledger.OrgID{}) {
		return ledger.OrgID(id), nil
	}
	o, err := c.Organisation(ctx, name)
	if errors.Is(err, ledger.ErrNotFound) {
		return ledger.OrgID{}, usage{fmt.Errorf("there is no organisation %q", name)}
	}
	if err != nil {
		return ledger.OrgID{}, err
	}
	id, err := hex.DecodeString(o.ID)
	if err != nil || len(id) != len(ledger.OrgID{}) {
		return ledger.OrgID{}, fmt.Errorf("organisation %q has the id %q", name, o.ID)
	}
	return ledger.OrgID(id), nil
}

// scopeName says in words whose certificates a rule judges.
func scopeName(s ledger.RuleScope) string {
	who, what := "every organisation", "every profile"
	if !s.Organisation.IsZero() {
		who = "organisation " + s.Organisation.String()
	}
	if s.Profile != 0 {
		what = "profile " + profileName(s.Profile)
	}
	return what + " of " + who
}

// newest is the text that a scope has, or will have at the next height.
func newest(history []client.RuleText, s ledger.RuleScope) (client.RuleText, bool) {
	for _, r := range history {
		if r.Scope == s {
			return r, r.Text != ""
		}
	}
	return client.RuleText{}, false
}

// shownRule is a rule as JSON.
type shownRule struct {
	Profile      uint64 `json:"profile,omitempty"`
	Organisation string `json:"organisation,omitempty"`
	From         uint64 `json:"from"` // first height
	Title        string `json:"title,omitempty"`
	Digest       string `json:"sha256,omitempty"` // absent: the rule was removed
	Proposal     uint64 `json:"proposal"`         // leaf
	Decision     uint64 `json:"decision"`         // leaf
	Text         string `json:"text"`
}

func showRule(r client.RuleText) shownRule {
	out := shownRule{Profile: r.Scope.Profile, From: r.From, Proposal: r.Leaf, Decision: r.Decision, Text: r.Text}
	if !r.Scope.Organisation.IsZero() {
		out.Organisation = r.Scope.Organisation.String()
	}
	if r.Text != "" {
		digest := ledger.TextHash(r.Text)
		out.Digest = hex.EncodeToString(digest[:])
		if p, err := policies.Compile(r.Text); err == nil {
			out.Title = p.Title()
		}
	}
	return out
}

func newRuleShow() *cobra.Command {
	var r remote
	var s scopeFlags
	var asJSON, text, all bool
	cmd := &cobra.Command{
		Use:   "show --node URL --policy FILE [--profile P] [--org O] [--text] [--all] [--json]",
		Short: "Show the rules in force, with proof",
		Long: `Show the rules in force, or those of the profile and the organisation that are named. Each text is proved by the proposal that brought it and the vote
that approved it; from which height on it is in force, and that no other came after it, is told. --all shows what was in force before, too.`,
		Example: "  quorate rule show --node http://127.0.0.1:8440 --policy q/policy --profile small-cell --text",
		Args:    args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := r.client()
			if err != nil {
				return err
			}
			var scopes []ledger.RuleScope
			if s != (scopeFlags{}) {
				scope, err := s.scope(cmd.Context(), c)
				if err != nil {
					return err
				}
				scopes = append(scopes, scope)
			}
			history, err := c.Rules(cmd.Context(), scopes...)
			if err != nil {
				return err
			}
			shown := []shownRule{}
			for _, h := range history {
				if now, ok := newest(history, h.Scope); !all && (!ok || now.From != h.From) {
					continue
				}
				shown = append(shown, showRule(h))
				if !asJSON {
					tellRule(cmd.OutOrStdout(), h, shown[len(shown)-1], text)
				}
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), shown)
			}
			if len(shown) == 0 {
				fmt.Fprintln(cmd.OutOrStdout(), "no rule is in force")
			}
			return nil
		},
	}
	r.flags(cmd)
	s.flags(cmd)
	f := cmd.Flags()
	f.BoolVar(&text, "text", false, "print the texts, too")
	f.BoolVar(&all, "all", false, "also those that were replaced or removed")
	f.BoolVar(&asJSON, "json", false, "print them as JSON")
	return cmd
}

func tellRule(w io.Writer, r client.RuleText, s shownRule, text bool) {
	title := s.Title
	switch {
	case s.Digest == "":
		title = "none: removed"
	case title == "":
		title = "without a title"
	}
	fmt.Fprintf(w, "rule      %s: %s\n", scopeName(r.Scope), printable(title))
	fmt.Fprintf(w, "from      height %d on; proposed in leaf %d, approved in leaf %d\n", r.From, r.Leaf, r.Decision)
	if s.Digest == "" {
		return
	}
	fmt.Fprintf(w, "SHA-256   %s\n", s.Digest)
	if text {
		fmt.Fprintln(w)
		fmt.Fprint(w, r.Text)
		fmt.Fprintln(w)
	}
}

func newRuleDiff() *cobra.Command {
	var r remote
	var s scopeFlags
	cmd := &cobra.Command{
		Use:   "diff --node URL --policy FILE [--profile P] [--org O] RULE",
		Short: "Compare a rule with the one in force in its place",
		Long: `Compare a rule with the one in force for the same profile and organisation, which is proved as with rule show. Exit 0 when they are the same, 1 when they
are not.`,
		Example: "  quorate rule diff --node http://127.0.0.1:8440 --policy q/policy --profile small-cell --org acme-cells small-cells.star",
		Args:    args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, a []string) error {
			c, err := r.client()
			if err != nil {
				return err
			}
			f, err := readRule(a[0])
			if err != nil {
				return err
			}
			scope, err := s.scope(cmd.Context(), c)
			if err != nil {
				return err
			}
			history, err := c.Rules(cmd.Context(), scope)
			if err != nil {
				return err
			}
			now, _ := newest(history, scope)
			if now.Text == f.text {
				fmt.Fprintln(cmd.OutOrStdout(), "the same")
				return nil
			}
			fmt.Fprint(cmd.OutOrStdout(), ruleDiff(now.Text, filepath.Base(f.path), f.text))
			return verdict{exitNo}
		},
	}
	r.flags(cmd)
	s.flags(cmd)
	return cmd
}

// ruleDiff is a unified diff from the text in force to another.
func ruleDiff(now, name, text string) string {
	from := "in force"
	if now == "" {
		from = os.DevNull
	}
	if text == "" {
		name = os.DevNull
	}
	return string(diff.Diff(from, []byte(now), name, []byte(text)))
}
