package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/quorate-pki/quorate/ledger"
)

func newNamespace() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "namespace",
		Short: "Namespaces: list, delegate a part, take it back",
		Long: `Who owns which names is decided by vote of the members (quorate gov propose). The owner of a namespace that is delegable gives parts of it to other
organisations without one, and takes them back. The most specific namespace decides about a name.`,
		Example: "  quorate namespace list --node http://127.0.0.1:8440 --policy q/policy",
		Args:    args(cobra.NoArgs),
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newNamespaceList(), newNamespaceDelegate(), newNamespaceTakeBack())
	return cmd
}

func newNamespaceList() *cobra.Command {
	var r remote
	cmd := &cobra.Command{
		Use:     "list --node URL --policy FILE",
		Short:   "List namespaces in force and their owners",
		Long:    "List namespaces. The list is told by a node.",
		Example: "  quorate namespace list --node http://127.0.0.1:8440 --policy q/policy",
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
			return walk(h, ledger.RecordNamespace, len(ledger.OrgID{}), func(k []byte, n *ledger.NamespaceRecord) {
				if n.Ended != 0 {
					return
				}
				more := ""
				if n.Parent != nil {
					more = "  delegated from " + n.Parent.String()
				}
				if n.Delegable {
					more += "  delegable"
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%x  %s:%s  %s%s\n", k, ledger.NamespaceTypeName(n.Type), printable(n.Value), h.name(n.Owner), more)
			})
		},
	}
	r.flags(cmd)
	return cmd
}

func newNamespaceDelegate() *cobra.Command {
	var a administered
	var parent, control string
	var delegable bool
	cmd := &cobra.Command{
		Use:   "delegate --node URL --policy FILE --signer ADMIN... --parent TYPE:VALUE VALUE ORG",
		Short: "Give a part of a namespace to another organisation",
		Long: `Register a namespace below one of an organisation's own, for another organisation: from then on its names are the other's alone. Admins of the parent's owner
sign. The parent's grant must say that it is delegable.`,
		Example: `  quorate namespace delegate --node http://127.0.0.1:8440 --policy q/policy --signer q/orgs/acme-cells/admin-1.key --signer q/orgs/acme-cells/admin-2.key \
    --parent dns:group.example sub.group.example other-cells`,
		Args: args(cobra.ExactArgs(2)),
		RunE: func(cmd *cobra.Command, names []string) error {
			h, keys, err := a.open(cmd)
			if err != nil {
				return err
			}
			id, err := h.namespace(parent)
			if err != nil {
				return err
			}
			n := ledger.Namespace{Value: names[0], Parent: &id, Delegable: delegable, Control: control}
			err = walk(h, ledger.RecordNamespace, len(ledger.OrgID{}), func(k []byte, p *ledger.NamespaceRecord) {
				if ledger.OrgID(k) == id {
					n.Type = p.Type
				}
			})
			if err != nil {
				return err
			}
			if n.Owner, _, err = h.organisation(names[1]); err != nil {
				return err
			}
			v, err := operate(cmd, h.client, ledger.EncodeBody(ledger.OpNamespace, n), keys...)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "delegated  %s:%s to %s in leaf %d\n", ledger.NamespaceTypeName(n.Type), printable(n.Value), h.name(n.Owner), v.Leaf)
			return err
		},
	}
	a.flags(cmd)
	f := cmd.Flags()
	f.StringVar(&parent, "parent", "", "namespace that it is a part of, type:value or id")
	f.StringVar(&control, "control", "", "how control was checked, for people")
	f.BoolVar(&delegable, "delegable", false, "the other organisation may delegate parts of it on")
	return cmd
}

func newNamespaceTakeBack() *cobra.Command {
	var a administered
	cmd := &cobra.Command{
		Use:     "takeback --node URL --policy FILE --signer ADMIN... TYPE:VALUE",
		Short:   "Take a delegated namespace back",
		Long:    "End a namespace that was delegated, and all that was delegated from it. Admins of the organisation that delegated it sign; its names are theirs again.",
		Example: "  quorate namespace takeback --node http://127.0.0.1:8440 --policy q/policy --signer q/orgs/acme-cells/admin-1.key --signer q/orgs/acme-cells/admin-2.key dns:sub.group.example",
		Args:    args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, names []string) error {
			h, keys, err := a.open(cmd)
			if err != nil {
				return err
			}
			id, err := h.namespace(names[0])
			if err != nil {
				return err
			}
			v, err := operate(cmd, h.client, ledger.EncodeBody(ledger.OpNamespaceChange, ledger.NamespaceChange{Namespace: id, Action: ledger.EndNamespace}), keys...)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "taken back  %s in leaf %d\n", printable(names[0]), v.Leaf)
			return err
		},
	}
	a.flags(cmd)
	return cmd
}
