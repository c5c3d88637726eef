package main

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/quorate-pki/quorate/ledger"
)

func newOrg() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "org",
		Short: "Organisations: list, admin keys, cut off",
		Long: `Organisations come and change by vote of the members (quorate gov propose). Their admin keys they change themselves, as many admins as they demand
signing; when they have lost them, the members put others in their place.`,
		Example: "  quorate org list --node http://127.0.0.1:8440 --policy q/policy",
		Args:    args(cobra.NoArgs),
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newOrgList(), newOrgAgree(), newOrgAdmins(), newOrgCutOff())
	return cmd
}

func newOrgList() *cobra.Command {
	var r remote
	cmd := &cobra.Command{
		Use:     "list --node URL --policy FILE",
		Short:   "List organisations and what they may do",
		Long:    "List organisations. The list is told by a node.",
		Example: "  quorate org list --node http://127.0.0.1:8440 --policy q/policy",
		Args:    args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := r.client()
			if err != nil {
				return err
			}
			return walk(&holdings{ctx: cmd.Context(), client: c}, ledger.RecordOrg, len(ledger.OrgID{}), func(k []byte, o *ledger.OrgRecord) {
				fmt.Fprintf(cmd.OutOrStdout(), "%x  %s (%s)  %s  %s  %d of %d admins  profiles %s%s\n", k, o.Name, printable(o.LegalName), o.State,
					strings.Join(ledger.RoleNames(o.Roles), ", "), o.AdminM, len(o.AdminKeys), profileNames(o.Profiles), cutNames(o.Cuts))
			})
		},
	}
	r.flags(cmd)
	return cmd
}

func newOrgAgree() *cobra.Command {
	var r remote
	var org, out string
	cmd := &cobra.Command{
		Use:   "agree --node URL --policy FILE --org NAME --out FILE KEY",
		Short: "Agree to become an admin: sign with the new key, for those who register it",
		Long: `Sign with a new admin key that its holder agrees to be an admin of an organisation. The file that is written holds the public key and the signature; hand it
to who changes the admin keys: the organisation's admins (quorate org admins), or the members (gov propose).`,
		Example: "  quorate org agree --node http://127.0.0.1:8440 --policy q/policy --org acme-cells --out ann.admin ann.key",
		Args:    args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, paths []string) error {
			if err := needs(map[string]string{"org": org, "out": out}); err != nil {
				return err
			}
			c, err := r.client()
			if err != nil {
				return err
			}
			id, _, err := (&holdings{ctx: cmd.Context(), client: c}).organisation(org)
			if err != nil {
				return err
			}
			key, spki, err := readSigner(paths[0])
			if err != nil {
				return err
			}
			sig, err := key.SignCOSE(ledger.AdminMessage(id, spki))
			if err != nil {
				return usage{err}
			}
			if err := os.WriteFile(out, marshal(adminFile{id.String(), spki, key.Alg(), sig}), 0o644); err != nil {
				return usage{err}
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s  key id %x agrees to be an admin of %s\n", out, ledger.Sum(spki), id)
			return err
		},
	}
	r.flags(cmd)
	cmd.Flags().StringVar(&org, "org", "", "organisation: short name, or id")
	cmd.Flags().StringVar(&out, "out", "", "file to write")
	return cmd
}

func newOrgAdmins() *cobra.Command {
	var a administered
	var org string
	var needed uint64
	var add, remove []string
	cmd := &cobra.Command{
		Use:   "admins --node URL --policy FILE --signer ADMIN... --org NAME [--needed M] [--add FILE.admin]... [--remove KEY]...",
		Short: "Change an organisation's admin keys",
		Long: `Change the admin keys of an organisation, and how many of them must sign. Admins of now sign, as many as are demanded now. What --add names was written by
'quorate org agree'; --remove names a public key file or a key id. A key that is removed signs nothing any more, and never comes back.`,
		Example: `  quorate org admins --node http://127.0.0.1:8440 --policy q/policy --signer q/orgs/acme-cells/admin-1.key --signer q/orgs/acme-cells/admin-2.key \
    --org acme-cells --add ann.admin --remove q/orgs/acme-cells/admin-1.pub`,
		Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := needs(map[string]string{"org": org}); err != nil {
				return err
			}
			h, keys, err := a.open(cmd)
			if err != nil {
				return err
			}
			id, rec, err := h.organisation(org)
			if err != nil {
				return err
			}
			c := ledger.OrganisationChange{Organisation: id, AdminM: rec.AdminM}
			if needed > 0 {
				c.AdminM = needed
			}
			if c.Admins, err = nextAdmins(id, rec, add, remove); err != nil {
				return err
			}
			v, err := operate(cmd, h.client, ledger.EncodeBody(ledger.OpOrganisationChange, c), keys...)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "changed  %s has %d admins, of whom %d sign, since leaf %d\n", rec.Name, len(c.Admins), c.AdminM, v.Leaf)
			return err
		},
	}
	a.flags(cmd)
	f := cmd.Flags()
	f.StringVar(&org, "org", "", "organisation: short name, or id")
	f.Uint64Var(&needed, "needed", 0, "how many admins must sign from then on; 0: as many as now")
	f.StringArrayVar(&add, "add", nil, "file of a new admin, may be repeated")
	f.StringArrayVar(&remove, "remove", nil, "key that is no admin any more, may be repeated")
	return cmd
}

// nextAdmins are an organisation's admin keys after a change.
func nextAdmins(id ledger.OrgID, rec *ledger.OrgRecord, add, remove []string) (out []ledger.Admin, err error) {
	gone := map[ledger.Hash]string{}
	for _, r := range remove {
		key, err := keyNamed(r)
		if err != nil {
			return nil, err
		}
		gone[key] = r
	}
	for _, spki := range rec.AdminKeys {
		if _, leaves := gone[ledger.Sum(spki)]; leaves {
			delete(gone, ledger.Sum(spki))
			continue
		}
		out = append(out, ledger.Admin{SPKI: spki, Possession: []byte{}})
	}
	for _, r := range gone {
		return nil, usage{fmt.Errorf("%s is no admin key of %s", r, rec.Name)}
	}
	for _, path := range add {
		a, err := readAdmin(id, path)
		if err != nil {
			return nil, err
		}
		out = append(out, a)
	}
	return slices.Clip(out), nil
}

func newOrgCutOff() *cobra.Command {
	var a administered
	var from uint64
	var why string
	cmd := &cobra.Command{
		Use:   "cutoff --node URL --policy FILE --signer ADMIN... [--from LEAF] [--reason REASON] NAME",
		Short: "Cut an organisation off: what its line keys published from a leaf on is revoked",
		Long: `Cut an organisation off: all that its line keys vouched for in leaf --from or later is revoked at once, and the organisation is suspended until the members
let it publish again. Its own admins sign, or governance keys of a quorum of members.`,
		Example: "  quorate org cutoff --node http://127.0.0.1:8440 --policy q/policy --signer q/orgs/other-cells/admin-1.key --from 120 other-cells",
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
			id, _, err := h.organisation(names[0])
			if err != nil {
				return err
			}
			return h.cutOff(cmd, ledger.CutOff{Scope: ledger.ScopeOrganisation, Target: id[:], From: from, Reason: reason}, keys)
		},
	}
	a.flags(cmd)
	cutFlags(cmd, &from, &why)
	return cmd
}
