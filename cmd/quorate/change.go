package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/quorate-pki/quorate/ca/profile"
	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/client"
)

// reasonNames are the reasons of RFC 5280 section 5.3.1 that a device's certificate can be revoked for.
var reasonNames = map[string]uint64{"unspecified": ledger.Unspecified, "keyCompromise": ledger.KeyCompromise,
	"affiliationChanged": ledger.AffiliationChanged, "superseded": ledger.Superseded, "cessationOfOperation": ledger.Cessation,
	"privilegeWithdrawn": ledger.PrivilegeWithdrawn}

var scopeNames = map[string]ledger.Scope{"certificate": ledger.ScopeCertificate, "key": ledger.ScopeKey, "custody": ledger.ScopeCustody,
	"batch": ledger.ScopeBatch, "line-key": ledger.ScopeLineKey, "ca": ledger.ScopeCA}

func newChanges() []*cobra.Command {
	return []*cobra.Command{
		newChange("revoke", ledger.Revoke, "Revoke a certificate, or a key, for ever"),
		newChange("suspend", ledger.Suspend, "Suspend a certificate until it is resumed or revoked"),
		newChange("resume", ledger.Resume, "Resume a suspended certificate"),
	}
}

func newChange(verb string, action ledger.Action, short string) *cobra.Command {
	var r remote
	var signers []string
	var why, scope string
	cmd := &cobra.Command{
		Use:   verb + " --node URL --policy FILE --signer KEY... [--reason REASON] [--scope certificate|key|custody] CERT",
		Short: short,
		Long: short + `. Authority: the certificate's own key; the line key that published it (to suspend, within 7 days); the
owner's admin keys (as many as its registration asks for); a quorum of members' governance keys. With --scope custody it is
an operator's use of the device: the admins of the operator that claimed it, or a quorum. The new status is proved before
the command says yes.`,
		Example: "  quorate " + verb + " --node http://127.0.0.1:8440 --policy q/policy --signer q/orgs/acme-cells/admin-1.key --signer q/orgs/acme-cells/admin-2.key dev1/cert.pem",
		Args:    args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, a []string) error {
			first := ""
			if len(signers) > 0 {
				first = signers[0]
			}
			if err := needs(map[string]string{"signer": first}); err != nil {
				return err
			}
			c, err := r.client()
			if err != nil {
				return err
			}
			change, err := describe(action, why, scope)
			if err != nil {
				return err
			}
			der, err := readCertificate(a[0])
			if err != nil {
				return err
			}
			cert, err := profile.Parse(der)
			if err != nil {
				return err
			}
			keys, err := readSigners(signers)
			if err != nil {
				return err
			}
			change.Target = ledger.Sum(cert.SPKI)
			leaf, err := changing(cmd.Context(), c, change, a[0], der)
			if err != nil {
				return err
			}
			if slices.ContainsFunc(keys, func(k ledger.Signer) bool { return k.KeyID() == change.Target }) {
				change.SPKI = cert.SPKI
			}
			code, st, err := c.Change(cmd.Context(), *change, leaf, time.Now(), keys...)
			if err != nil {
				return err
			}
			if code != reason.Accepted {
				row := reason.Of(code)
				fmt.Fprintf(cmd.OutOrStdout(), "refused  %s  %s (%d): %s\n", a[0], row.Slug, code, row.Sentence)
				return verdict{exitNo}
			}
			tellStanding(cmd.OutOrStdout(), st.Standing)
			return nil
		},
	}
	r.flags(cmd)
	f := cmd.Flags()
	f.StringArrayVar(&signers, "signer", nil, "key file, may be repeated")
	f.StringVar(&scope, "scope", "certificate", "what it covers: certificate, key (all certificates of the key, and the key is barred), or custody (the use of the device by the operator that claimed it)")
	if action == ledger.Revoke {
		f.StringVar(&why, "reason", "unspecified", "RFC 5280 reason: unspecified, keyCompromise, affiliationChanged, superseded, cessationOfOperation, privilegeWithdrawn")
	}
	return cmd
}

// changing is the leaf whose status is proved after a change: the certificate's, or in scope custody that of the claim by which the
// device is used.
func changing(ctx context.Context, c *client.Client, change *ledger.StatusChange, name string, der []byte) (uint64, error) {
	if change.Scope != ledger.ScopeCustody {
		f, err := find(ctx, c, name, der)
		if err != nil {
			return 0, err
		}
		if change.Scope == ledger.ScopeCertificate {
			change.Leaf = &f.Leaf
		}
		return f.Leaf, nil
	}
	life, err := lifeOf(ctx, c, change.Target, 0)
	if err != nil {
		return 0, err
	}
	// The device's key of today, whichever of its certificates was given.
	if change.Target, err = ledger.ParseHash(life.Keys[len(life.Keys)-1]); err != nil {
		return 0, err
	}
	if len(life.Claims) == 0 {
		return 0, reason.New(reason.NotClaimed, "")
	}
	return life.Claims[len(life.Claims)-1].Leaf, nil
}

func describe(action ledger.Action, why, scope string) (*ledger.StatusChange, error) {
	c := &ledger.StatusChange{Action: action}
	switch action {
	case ledger.Suspend:
		c.Reason = ledger.CertificateHold
	case ledger.Resume:
		c.Reason = ledger.RemoveFromCRL
	default:
		n, ok := reasonNames[why]
		if !ok {
			return nil, usage{fmt.Errorf("there is no reason %q for a device's certificate", why)}
		}
		c.Reason = n
	}
	var ok bool
	if c.Scope, ok = scopeNames[scope]; !ok {
		return nil, usage{fmt.Errorf("there is no scope %q", scope)}
	}
	return c, nil
}
