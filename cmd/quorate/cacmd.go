package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/quorate-pki/quorate/ca/profile"
	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/client"
)

func newCA() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "ca",
		Short:   "CAs of organisations",
		Example: "  quorate ca register --node http://127.0.0.1:8440 --policy q/policy --key ca.key --signer q/orgs/op-one/admin-1.key --signer q/orgs/op-one/admin-2.key ca.pem",
		Args: func(cmd *cobra.Command, args []string) error {
			return usage{errors.New("a verb is missing; see quorate ca --help")}
		},
		RunE: func(*cobra.Command, []string) error { return nil },
	}
	cmd.AddCommand(newCARegister())
	return cmd
}

func newCARegister() *cobra.Command {
	var r remote
	var key string
	var signers, namespaces []string
	cmd := &cobra.Command{
		Use:   "register --node URL --policy FILE --key CAKEY --signer KEY... [--namespace VALUE]... CACERT",
		Short: "Register an organisation's own CA",
		Long: `Register a CA certificate on the ledger. The organisation is the one whose admin keys sign, as many as its registration asks for; no vote is
needed. The CA's own key signs, too, so that nobody registers somebody else's CA. What a CA certificate must be is in docs/profiles.md.

From then on every node answers "unauthorized" by OCSP about this CA's certificates until the CA gave it a responder certificate
(docs/ocsp.md), where it answered "unknown" before. With --namespace the CA vouches in those namespaces of its organisation, named by their
values; without, in none.`,
		Example: "  quorate ca register --node http://127.0.0.1:8440 --policy q/policy --key ca.key --signer q/orgs/op-one/admin-1.key --signer q/orgs/op-one/admin-2.key ca.pem",
		Args:    args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, a []string) error {
			first := ""
			if len(signers) > 0 {
				first = signers[0]
			}
			if err := needs(map[string]string{"signer": first, "key": key}); err != nil {
				return err
			}
			c, err := r.client()
			if err != nil {
				return err
			}
			der, err := readCertificate(a[0])
			if err != nil {
				return err
			}
			admins, err := readSigners(signers)
			if err != nil {
				return err
			}
			return registerCA(cmd.Context(), cmd.OutOrStdout(), c, a[0], der, key, admins, namespaces)
		},
	}
	r.flags(cmd)
	cmd.Flags().StringVar(&key, "key", "", "file of the CA's private key; it signs the registration and goes nowhere")
	cmd.Flags().StringArrayVar(&signers, "signer", nil, "admin key file of the organisation, may be repeated")
	cmd.Flags().StringArrayVar(&namespaces, "namespace", nil, "value of a namespace of the organisation that the CA vouches in, may be repeated")
	return cmd
}

func registerCA(ctx context.Context, out io.Writer, c *client.Client, name string, der []byte, key string, admins []ledger.Signer, namespaces []string) error {
	cert, err := profile.ParseAuthority(der)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	signer, spki, err := readSigner(key)
	if err != nil {
		return err
	}
	if string(spki) != string(cert.SPKI) {
		return usage{fmt.Errorf("%s is not the key of %s", key, name)}
	}
	owner, err := ownerOf(ctx, c, admins[0])
	if err != nil {
		return err
	}
	a := ledger.CA{Owner: owner, Certificate: der, Alg: signer.Alg()}
	if a.Namespaces, err = namespacesOf(ctx, c, owner, namespaces); err != nil {
		return err
	}
	if a.Possession, err = signer.SignCOSE(ledger.CAMessage(owner, der)); err != nil {
		return fmt.Errorf("signing with %s: %w", key, err)
	}
	res, err := c.Operate(ctx, [][]byte{ledger.EncodeBody(ledger.OpCA, a)}, ledger.EachAlone, time.Now(), admins...)
	if err != nil {
		return err
	}
	v := res.Verdicts[0]
	if v.Code != reason.Accepted {
		row := reason.Of(v.Code)
		fmt.Fprintf(out, "refused  %s  %s (%d): %s\n", name, row.Slug, v.Code, row.Sentence)
		return verdict{exitNo}
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "registered\tleaf %d\t%s\n", v.Leaf, name)
	fmt.Fprintf(w, "owner\t%s\n", owner)
	fmt.Fprintf(w, "key\t%x\n", cert.Key.ID())
	fmt.Fprintf(w, "until\t%s\n", time.Unix(cert.NotAfter, 0).UTC().Format(time.RFC3339))
	if cert.PathLen >= 0 {
		fmt.Fprintf(w, "path length\t%d\n", cert.PathLen)
	}
	if cert.Constrained {
		fmt.Fprintf(w, "constraints\tthe certificate has name constraints; relying parties apply them\n")
	}
	if len(namespaces) > 0 {
		fmt.Fprintf(w, "namespaces\t%s\n", strings.Join(namespaces, ", "))
	}
	return w.Flush()
}

// ownerOf asks whose admin key a key is. A node that lies gains nothing: the admins of one organisation cannot register for another.
func ownerOf(ctx context.Context, c *client.Client, admin ledger.Signer) (ledger.OrgID, error) {
	id := admin.KeyID()
	for rec, err := range c.Records(ctx, ledger.RecordRegistry, id[:], nil) {
		if err != nil {
			return ledger.OrgID{}, err
		}
		var k ledger.RegisteredKey
		if err := ledger.Decode(rec.Value, &k); err != nil {
			return ledger.OrgID{}, fmt.Errorf("the record of key %x: %w", id, err)
		}
		if k.Role == ledger.KeyRoleAdmin {
			return k.Owner, nil
		}
	}
	return ledger.OrgID{}, reason.New(reason.NotAuthorised, "key %x is no organisation's admin key", id)
}

// namespacesOf finds namespaces of an organisation by their values.
func namespacesOf(ctx context.Context, c *client.Client, owner ledger.OrgID, values []string) (out []ledger.OrgID, err error) {
	if len(values) == 0 {
		return nil, nil
	}
	left := slices.Clone(values)
	for rec, err := range c.Records(ctx, ledger.RecordNamespace, nil, nil) {
		if err != nil {
			return nil, err
		}
		var n ledger.NamespaceRecord
		if err := ledger.Decode(rec.Value, &n); err != nil || len(rec.Key) != len(ledger.OrgID{}) {
			return nil, fmt.Errorf("the record of namespace %x: %w", rec.Key, errors.Join(err, errors.New("of another form")))
		}
		if i := slices.Index(left, n.Value); i >= 0 && n.Owner == owner {
			left, out = slices.Delete(left, i, i+1), append(out, ledger.OrgID(rec.Key))
		}
	}
	if len(left) > 0 {
		return nil, reason.New(reason.UnknownNamespace, "%s", strings.Join(left, ", "))
	}
	return out, nil
}
