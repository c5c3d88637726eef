package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/client"
)

// holdings reads what is registered, as a node tells it.
type holdings struct {
	ctx    context.Context
	client *client.Client
	orgs   map[ledger.OrgID]*ledger.OrgRecord // read once
}

// walk hands over the records of a kind.
func walk[T any](h *holdings, kind ledger.RecordKind, size int, f func(key []byte, v *T)) error {
	for rec, err := range h.client.Records(h.ctx, kind, nil, nil) {
		if err != nil {
			return err
		}
		v := new(T)
		if err := ledger.Decode(rec.Value, v); err != nil || len(rec.Key) != size {
			return fmt.Errorf("the node tells a %q record that does not decode: %w", kind, err)
		}
		f(rec.Key, v)
	}
	return nil
}

func (h *holdings) organisations() (map[ledger.OrgID]*ledger.OrgRecord, error) {
	if h.orgs != nil {
		return h.orgs, nil
	}
	h.orgs = map[ledger.OrgID]*ledger.OrgRecord{}
	return h.orgs, walk(h, ledger.RecordOrg, len(ledger.OrgID{}), func(k []byte, o *ledger.OrgRecord) { h.orgs[ledger.OrgID(k)] = o })
}

// name is an organisation's short name; its id when the node tells none.
func (h *holdings) name(id ledger.OrgID) string {
	if o := h.orgs[id]; o != nil {
		return o.Name
	}
	return id.String()
}

// organisation finds one by short name or id.
func (h *holdings) organisation(name string) (ledger.OrgID, *ledger.OrgRecord, error) {
	all, err := h.organisations()
	if err != nil {
		return ledger.OrgID{}, nil, err
	}
	for id, o := range all {
		if o.Name == name || id.String() == name {
			return id, o, nil
		}
	}
	return ledger.OrgID{}, nil, usage{fmt.Errorf("there is no organisation %q", name)}
}

// namespace finds one in force by type:value, or by id.
func (h *holdings) namespace(name string) (id ledger.OrgID, err error) {
	if raw, err := hex.DecodeString(name); err == nil && len(raw) == len(id) {
		return ledger.OrgID(raw), nil
	}
	kind, value, _ := strings.Cut(name, ":")
	found := 0
	err = walk(h, ledger.RecordNamespace, len(ledger.OrgID{}), func(k []byte, n *ledger.NamespaceRecord) {
		if n.Ended == 0 && ledger.NamespaceTypeName(n.Type) == kind && n.Value == value {
			id = ledger.OrgID(k)
			found++
		}
	})
	switch {
	case err != nil:
		return id, err
	case found == 0:
		return id, usage{fmt.Errorf("there is no namespace %q in force; dns:example.org is the form, or an id", name)}
	case found > 1:
		return id, usage{fmt.Errorf("%q are %d namespaces, of several organisations: name its id", name, found)}
	}
	return id, nil
}

// administered is a verb that an organisation's admins sign.
type administered struct {
	remote
	signers []string
}

func (a *administered) flags(cmd *cobra.Command) {
	a.remote.flags(cmd)
	cmd.Flags().StringArrayVar(&a.signers, "signer", nil, "admin key file, may be repeated: as many as the organisation demands")
}

func (a *administered) open(cmd *cobra.Command) (*holdings, []ledger.Signer, error) {
	first := ""
	if len(a.signers) > 0 {
		first = a.signers[0]
	}
	if err := needs(map[string]string{"signer": first}); err != nil {
		return nil, nil, err
	}
	c, err := a.client()
	if err != nil {
		return nil, nil, err
	}
	keys, err := readSigners(a.signers)
	return &holdings{ctx: cmd.Context(), client: c}, keys, err
}

// cutOff cuts off, and says what the leaf proves of it.
func (h *holdings) cutOff(cmd *cobra.Command, c ledger.CutOff, keys []ledger.Signer) error {
	v, err := operate(cmd, h.client, ledger.EncodeBody(ledger.OpCutOff, c), keys...)
	if err != nil {
		return err
	}
	e, err := h.client.Event(cmd.Context(), v.Leaf)
	if err != nil {
		return err
	}
	if len(e.CutOffs) != 1 {
		return reason.New(reason.BadCause, "leaf %d has no cut-off", v.Leaf)
	}
	x := e.CutOffs[0]
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "cut off  %s %s from leaf %d on, in leaf %d: %d certificates of %d transactions are revoked\n", x.Scope, x.Target, x.From, v.Leaf, x.Leaves, x.Runs)
	return err
}

// cutFlags are those of a cut-off.
func cutFlags(cmd *cobra.Command, from *uint64, why *string) {
	cmd.Flags().Uint64Var(from, "from", 0, "first leaf: what was published before it stays; 0 cuts off all")
	cmd.Flags().StringVar(why, "reason", "privilegeWithdrawn", "RFC 5280 reason: unspecified, affiliationChanged, superseded, cessationOfOperation, privilegeWithdrawn")
}

func cutNames(cuts []ledger.Cut) string {
	if len(cuts) == 0 {
		return ""
	}
	last := cuts[len(cuts)-1]
	from := slices.MinFunc(cuts, func(a, b ledger.Cut) int { return int(a.From) - int(b.From) }).From
	return fmt.Sprintf("  cut off from leaf %d on in leaf %d by %s, reason %s", from, last.Leaf, last.Authority, ledger.ReasonName(last.Reason))
}
