package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/quorate-pki/quorate/ca/profile"
	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/client"
	"github.com/quorate-pki/quorate/ledger/state"
	"github.com/quorate-pki/quorate/policies"
)

func newRuleWhy() *cobra.Command {
	var r remote
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "why --node URL --policy FILE [--json] CERT",
		Short: "Which rule refused a certificate, and its sentence",
		Long: `Which rule refused a certificate, and its sentence. The log holds numbers; a rule is a function of what is public, so whoever has the certificate runs it
again: as of the block that refused, by the rules then in force. The refusals and the texts are proved. What an organisation and its line key
are registered with is told, and is that of today.

Exit 0 when no rule refused it, 1 when one did.`,
		Example: "  quorate rule why --node http://127.0.0.1:8440 --policy q/policy dev1/cert.pem",
		Args:    args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, a []string) error {
			c, err := r.client()
			if err != nil {
				return err
			}
			der, err := readCertificate(a[0])
			if err != nil {
				return err
			}
			e, err := c.Explain(cmd.Context(), der)
			if err != nil {
				return err
			}
			j, err := newJudge(cmd.Context(), c)
			if err != nil {
				return err
			}
			found := []whyRefused{}
			for _, refused := range e.Refusals {
				if !byRule(refused.Code) {
					continue
				}
				w, err := j.why(cmd.Context(), der, refused.Leaf, refused.Profile, refused.Code)
				if err != nil {
					return err
				}
				found = append(found, w)
			}
			return tellWhy(cmd.OutOrStdout(), found, asJSON)
		},
	}
	r.flags(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print it as JSON")
	return cmd
}

// byRule says whether a verdict is one that members' rules give.
func byRule(c reason.Code) bool { return c >= reason.RuleRefused && c <= reason.RuleFailed }

// whyRefused is a refusal by a rule, as JSON.
type whyRefused struct {
	Leaf     uint64    `json:"leaf"` // of the transaction
	Time     time.Time `json:"time"`
	Height   uint64    `json:"height"`
	Code     uint16    `json:"code"` // on the log
	Rule     shownRule `json:"rule"`
	Sentence string    `json:"sentence"` // empty: run again, no rule refuses it
}

func tellWhy(w io.Writer, found []whyRefused, asJSON bool) error {
	if asJSON {
		if err := printJSON(w, found); err != nil {
			return err
		}
		w = io.Discard
	}
	for _, x := range found {
		fmt.Fprintf(w, "refused   leaf %d, %s, height %d: %s (%d)\n", x.Leaf, x.Time.Format(time.RFC3339), x.Height, reason.Code(x.Code), x.Code)
		if x.Sentence == "" {
			fmt.Fprintln(w, "sentence  none: with what is registered today, the rules of then accept it")
			continue
		}
		fmt.Fprintf(w, "rule      SHA-256 %s, proposed in leaf %d: %s\n", x.Rule.Digest, x.Rule.Proposal, printable(x.Rule.Title))
		fmt.Fprintf(w, "sentence  %s\n", printable(x.Sentence))
	}
	if len(found) == 0 {
		fmt.Fprintln(w, "no rule refused it")
		return nil
	}
	return verdict{exitNo}
}

// judge runs rules again over what the log says.
type judge struct {
	client   *client.Client
	engine   *policies.Engine
	history  []client.RuleText // of all scopes, newest first
	version  uint64            // of the rules
	vouching map[ledger.Hash]*client.Vouching
}

func newJudge(ctx context.Context, c *client.Client) (*judge, error) {
	history, err := c.Rules(ctx)
	if err != nil {
		return nil, err
	}
	return &judge{client: c, engine: policies.NewEngine(), history: history, version: ledger.NewestRules, vouching: map[ledger.Hash]*client.Vouching{}}, nil
}

// at is the text of a scope at a height.
func (j *judge) at(s ledger.RuleScope, height uint64) (client.RuleText, bool) {
	for _, r := range j.history {
		if r.Scope == s && r.From <= height {
			return r, r.Text != ""
		}
	}
	return client.RuleText{}, false
}

// voucher finds what a line key draws on; nil when the key is no line key.
func (j *judge) voucher(ctx context.Context, key ledger.Hash) (*client.Vouching, error) {
	if v, ok := j.vouching[key]; ok {
		return v, nil
	}
	v, err := j.client.Vouching(ctx, key)
	if err != nil && !errors.Is(err, ledger.ErrNotFound) {
		return nil, err
	}
	j.vouching[key] = v
	return v, nil
}

// candidate is what rules were asked about a certificate.
func (j *judge) candidate(v *client.Vouching, prof uint64, der []byte, at ledger.Millis) (*ledger.Candidate, *reason.Error) {
	cert, err := profile.Parse(der)
	if err != nil {
		code, _ := reason.CodeOf(err)
		return nil, reason.New(code, "%v", err)
	}
	return state.Candidate(state.Vouching{Key: v.Key, Line: v.Line, Organisation: v.Organisation, Namespaces: v.Namespaces}, prof, cert, at, j.version)
}

// refuses finds the first rule in force at a height that refuses a candidate; instead is asked in the place of its own scope's.
func (j *judge) refuses(c *ledger.Candidate, prof uint64, owner ledger.OrgID, height uint64, instead map[ledger.RuleScope]ledger.Rule) (client.RuleText, ledger.RuleVerdict, error) {
	for _, scope := range ledger.Scopes(prof, owner) {
		r, ok := j.at(scope, height)
		rule := instead[scope]
		if rule == nil {
			if !ok {
				continue
			}
			var err error
			if rule, err = j.engine.Compile(ledger.TextHash(r.Text), r.Text); err != nil {
				return r, ledger.RuleVerdict{}, err
			}
		}
		if v := rule.Judge(c); v.Code != reason.Accepted {
			return r, v, nil
		}
	}
	return client.RuleText{}, ledger.RuleVerdict{Code: reason.Accepted}, nil
}

// why runs the rules of the block that refused.
func (j *judge) why(ctx context.Context, der []byte, leaf, prof uint64, code reason.Code) (whyRefused, error) {
	out := whyRefused{Leaf: leaf, Code: uint16(code)}
	b, err := j.block(ctx, leaf)
	if err != nil {
		return out, err
	}
	out.Height, out.Time = b.height, b.time.Time()
	v, err := j.voucher(ctx, b.signer)
	if v == nil || err != nil {
		return out, err
	}
	c, no := j.candidate(v, prof, der, b.time)
	if no != nil {
		return out, nil
	}
	r, refusal, err := j.refuses(c, prof, v.Line.Owner, b.height, nil)
	if err != nil || refusal.Code == reason.Accepted {
		return out, err
	}
	out.Rule, out.Sentence = showRule(r), refusal.Text
	return out, nil
}

// blockOf is where a transaction stands.
type blockOf struct {
	height uint64
	time   ledger.Millis
	signer ledger.Hash // of the transaction, the first
}

// block follows the log from a transaction's leaf to the end of its block, proved.
func (j *judge) block(ctx context.Context, leaf uint64) (out blockOf, err error) {
	f, err := j.client.Follow(ctx, leaf, nil)
	if err != nil {
		return out, err
	}
	for {
		got, err := f.Next(ctx, 0)
		if err != nil {
			return out, err
		}
		for _, e := range got.Events {
			if e.Leaf == leaf {
				if e.Transaction == nil || len(e.Transaction.Signers) == 0 {
					return out, reason.New(reason.Malformed, "leaf %d is no transaction", leaf)
				}
				id, err := hex.DecodeString(e.Transaction.Signers[0])
				if err != nil || len(id) != len(out.signer) {
					return out, reason.New(reason.Malformed, "leaf %d has no signer", leaf)
				}
				out.signer = ledger.Hash(id)
			}
			if e.Epoch != nil {
				out.height, out.time = e.Epoch.Height, ledger.MillisOf(e.Epoch.Time)
				return out, nil
			}
		}
		if f.Known().Size == got.Size {
			return out, reason.New(reason.NotFound, "the block of leaf %d", leaf)
		}
	}
}
