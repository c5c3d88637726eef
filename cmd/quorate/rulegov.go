package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/api"
	"github.com/quorate-pki/quorate/ledger/client"
)

// describeRule says in a line what a proposal does to the members' own rules.
func describeRule(r *api.Rule) string {
	scope := ledger.RuleScope{Profile: r.Profile}
	if id, err := hex.DecodeString(r.Organisation); err == nil && len(id) == len(scope.Organisation) {
		scope.Organisation = ledger.OrgID(id)
	}
	digest := ledger.TextHash(r.Text)
	switch {
	case r.Text == "":
		return fmt.Sprintf("admission-rule for %s: removes %s", scopeName(scope), r.Replaces)
	case r.Replaces == "":
		return fmt.Sprintf("admission-rule for %s: new, SHA-256 %x", scopeName(scope), digest)
	}
	return fmt.Sprintf("admission-rule for %s: SHA-256 %x in the place of %s", scopeName(scope), digest, r.Replaces)
}

// ruleChange is what who votes reads: the difference to the text that is replaced, which is proved, or the whole of a new one.
func ruleChange(ctx context.Context, c *client.Client, r *api.Rule) string {
	before := ""
	if r.Replaces != "" {
		history, err := c.Rules(ctx)
		if err != nil {
			return fmt.Sprintf("! what it replaces cannot be shown: %s\n%s", printable(err.Error()), safe(r.Text))
		}
		for _, h := range history {
			if digest := ledger.TextHash(h.Text); hex.EncodeToString(digest[:]) == r.Replaces {
				before = h.Text
			}
		}
		if before == "" {
			return "! what it replaces was never in force\n" + safe(r.Text)
		}
	}
	return ruleDiff(safe(before), "proposed", safe(r.Text))
}

// safe keeps what a text that nobody checked says from reaching the terminal as commands.
func safe(text string) string {
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = printable(lines[i])
	}
	return strings.Join(lines, "\n")
}
