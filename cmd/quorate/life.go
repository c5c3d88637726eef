package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/quorate-pki/quorate/ca/profile"
	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/api"
	"github.com/quorate-pki/quorate/ledger/client"
	"github.com/quorate-pki/quorate/verify"
)

// lifeStep is one run of a verb that takes a device a step on in its life: who holds it, who uses it, by which key it is known.
type lifeStep struct {
	remote
	signers   []string
	cosigners []string
	offer     string
	valid     time.Duration
	evidence  string

	out     io.Writer
	c       *client.Client
	channel ledger.Hash
	keys    []ledger.Signer
	ids     []ledger.Hash // of keys
}

func (v *lifeStep) flags(cmd *cobra.Command) {
	v.remote.flags(cmd)
	f := cmd.Flags()
	f.StringArrayVar(&v.signers, "signer", nil, "key file, may be repeated")
	f.StringVar(&v.offer, "offer", "", "write the transaction, with the signatures of --signer, to this file for others to sign, instead of submitting it")
	f.StringArrayVar(&v.cosigners, "cosigner", nil, "with --offer: a key that is to sign too, by its id or a PEM file of the public key; may be repeated; default: the first admin keys, as registered, that are missing")
	f.DurationVar(&v.valid, "valid", 12*time.Hour, "with --offer: how long it can be submitted, at most 24h")
}

func (v *lifeStep) evidenceFlag(cmd *cobra.Command, what string) {
	cmd.Flags().StringVar(&v.evidence, "evidence", "", "file whose SHA-256 goes on the log: "+what)
}

// device is one that a step is about: a certificate of it as a file, and its life until now, proved.
type device struct {
	name string
	life *client.Lived
	key  ledger.Hash // the device's, by now
	spki []byte      // of the certificate in the file, when it is over that key
}

// open reads the keys and finds the channel.
func (v *lifeStep) open(cmd *cobra.Command) (err error) {
	if len(v.cosigners) > 0 && v.offer == "" {
		return usage{errors.New("--cosigner goes with --offer")}
	}
	if v.offer != "" && (v.valid <= 0 || v.valid > 24*time.Hour) {
		return usage{errors.New("--valid is more than 0 and at most 24h")}
	}
	if len(v.signers) == 0 && v.offer == "" {
		return needs(map[string]string{"signer": ""})
	}
	v.out = cmd.OutOrStdout()
	if v.c, err = v.client(); err != nil {
		return err
	}
	if v.keys, err = readSigners(v.signers); err != nil {
		return err
	}
	for _, k := range v.keys {
		v.ids = append(v.ids, k.KeyID())
	}
	v.channel, err = v.c.Channel(cmd.Context())
	return err
}

// device finds the device of a certificate.
func (v *lifeStep) device(ctx context.Context, path string) (*device, error) {
	der, err := readCertificate(path)
	if err != nil {
		return nil, err
	}
	cert, err := profile.Parse(der)
	if err != nil {
		return nil, err
	}
	life, err := lifeOf(ctx, v.c, ledger.Sum(cert.SPKI), 0)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	d := &device{name: path, life: life}
	if d.key, err = ledger.ParseHash(life.Keys[len(life.Keys)-1]); err != nil {
		return nil, err
	}
	if ledger.Sum(cert.SPKI) == d.key {
		d.spki = cert.SPKI
	}
	return d, nil
}

// lifeOf is the life, proved, of the device that a key is or was of, in a tree that holds the leaf at.
func lifeOf(ctx context.Context, c *client.Client, key ledger.Hash, at uint64) (*client.Lived, error) {
	life, err := c.HistoryOf(ctx, key, at)
	if errors.Is(err, ledger.ErrNotFound) {
		return nil, reason.New(reason.UnknownCertificate, "nothing is published over key %x", key)
	}
	return life, err
}

// document is the digest of the evidence, nil without.
func (v *lifeStep) document() (*ledger.Hash, error) {
	if v.evidence == "" {
		return nil, nil
	}
	data, err := readSmall(v.evidence, 64<<20)
	if err != nil {
		return nil, err
	}
	sum := ledger.Sum(data)
	return &sum, nil
}

// do signs and submits steps, or writes them as an offer. parties are the organisations whose admins must sign.
func (v *lifeStep) do(ctx context.Context, steps []ledger.LifeStep, devices []*device, parties ...string) error {
	tx := ledger.Tx{Channel: v.channel, Mode: ledger.AllOrNothing, Expiry: ledger.MillisOf(time.Now().Add(time.Hour))}
	rand.Read(tx.Nonce[:])
	var bodies [][]byte
	for _, s := range steps {
		bodies = append(bodies, ledger.EncodeBody(s.Op(), s))
	}
	if v.offer == "" {
		s, err := ledger.SignTx(tx, bodies, ledger.ForLedger, v.keys...)
		if err != nil {
			return err
		}
		return deliver(ctx, v.out, v.c, s, steps, devices)
	}
	ids, err := v.allSigners(ctx, parties)
	if err != nil {
		return err
	}
	tx.Expiry = ledger.MillisOf(time.Now().Add(v.valid))
	o := ledger.NewOffer(tx, bodies, ids)
	for _, k := range v.keys {
		if err := o.Sign(k); err != nil {
			return err
		}
	}
	if _, err := ledger.ParseOffer(o.Format()); err != nil {
		return usage{err}
	}
	if _, err := os.Stat(v.offer); err == nil {
		return usage{fmt.Errorf("%s exists", v.offer)}
	}
	if err := replaceFile(v.offer, o.Format()); err != nil {
		return usage{err}
	}
	fmt.Fprintf(v.out, "offer  %s  until %s\n", v.offer, tx.Expiry.Time().Format(time.RFC3339))
	return tellMissing(ctx, v.out, v.c, o)
}

// cosigner is the id of a key that others have: as 64 hexadecimal digits, or by a PEM file with the public key.
func cosigner(s string) (ledger.Hash, error) {
	if id, err := ledger.ParseHash(s); err == nil {
		return id, nil
	}
	data, err := readSmall(s, 4096)
	if err != nil {
		return ledger.Hash{}, err
	}
	block, rest := pem.Decode(data)
	if block == nil || block.Type != "PUBLIC KEY" || len(rest) > 0 {
		return ledger.Hash{}, usage{fmt.Errorf("--cosigner %s: neither a key id nor a file with one PUBLIC KEY", s)}
	}
	if _, err := profile.ParseSPKI(block.Bytes); err != nil {
		return ledger.Hash{}, usage{fmt.Errorf("--cosigner %s: %w", s, err)}
	}
	return ledger.Sum(block.Bytes), nil
}

// allSigners are the keys that an offer is for: those here, and those named; else of every party the admin keys that it is short of.
func (v *lifeStep) allSigners(ctx context.Context, parties []string) ([]ledger.Hash, error) {
	ids := slices.Clone(v.ids)
	add := func(id ledger.Hash) {
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	for _, s := range v.cosigners {
		id, err := cosigner(s)
		if err != nil {
			return nil, err
		}
		add(id)
	}
	if len(v.cosigners) > 0 {
		return ids, nil
	}
	for _, id := range parties {
		org, err := v.organisation(ctx, id)
		if err != nil {
			return nil, err
		}
		have := uint64(0)
		var missing []ledger.Hash
		for _, s := range org.Admins {
			id, err := ledger.ParseHash(s)
			if err != nil {
				return nil, err
			}
			if slices.Contains(ids, id) {
				have++
			} else {
				missing = append(missing, id)
			}
		}
		for _, id := range missing {
			if have < org.AdminsNeeded {
				add(id)
				have++
			}
		}
	}
	return ids, nil
}

// organisation finds an organisation by its id, as histories have it.
func (v *lifeStep) organisation(ctx context.Context, id string) (*api.Organisation, error) {
	raw, err := orgID(id)
	if err != nil {
		return nil, err
	}
	return v.c.OrganisationOf(ctx, raw)
}

// orgID reads an organisation's id.
func orgID(s string) (id ledger.OrgID, err error) {
	raw, err := hex.DecodeString(s)
	if err != nil || len(raw) != len(id) {
		return id, fmt.Errorf("%q is no organisation id", s)
	}
	return ledger.OrgID(raw), nil
}

// deliver submits steps and says what became of each, and of its device, all of it proved.
func deliver(ctx context.Context, w io.Writer, c *client.Client, s *ledger.Submission, steps []ledger.LifeStep, devices []*device) error {
	res, err := c.Transact(ctx, s)
	if err != nil {
		return err
	}
	refused := false
	for i, x := range res.Verdicts {
		if x.Code == reason.Accepted {
			fmt.Fprintf(w, "%s  leaf %d  %s\n", steps[i].Op(), x.Leaf, devices[i].name)
			continue
		}
		refused = true
		row := reason.Of(x.Code)
		fmt.Fprintf(w, "refused  %s  %s (%d): %s\n", devices[i].name, row.Slug, x.Code, row.Sentence)
	}
	if refused {
		return verdict{exitNo}
	}
	for i, d := range devices {
		life, err := lifeOf(ctx, c, d.key, res.Verdicts[i].Leaf)
		if err != nil {
			return fmt.Errorf("%s: accepted in leaf %d, and proving it: %w", d.name, res.Verdicts[i].Leaf, err)
		}
		fmt.Fprintf(w, "now  %s  %s\n", d.name, whereabouts(life))
	}
	return nil
}

// useInForce is the standing of the claim by which the holder uses a device, nil when nobody does.
func useInForce(l *client.Lived) *verify.Standing {
	if n := len(l.Claims); n > 0 && l.Claims[n-1].Status != ledger.Revoked {
		return l.Claims[n-1]
	}
	return nil
}

// whereabouts says in a line who holds a device and who uses it.
func whereabouts(l *client.Lived) string {
	out := "held by " + l.Names[l.Holder]
	if l.Holder == l.Owner {
		out += ", its owner"
	}
	if claim := useInForce(l); claim != nil {
		out += fmt.Sprintf("; in use since leaf %d: %s", claim.Leaf, claim.Status)
	}
	if l.Retired {
		out += "; retired"
	}
	return out
}

func newTransfer() *cobra.Command {
	var v lifeStep
	var to string
	cmd := &cobra.Command{
		Use:   "transfer --node URL --policy FILE --to ORG --signer KEY... [--offer FILE] CERT...",
		Short: "Hand devices on to another organisation",
		Long: `Hand devices on: from the organisation that holds them to another, the admins of both of which sign. With the keys of both sides the
transaction is submitted; else --offer writes it to a file for the other side to sign with quorate device accept. Of several
certificates, at most 1,024, all or none change hands. The former holder's use of a device ends. docs/life.md`,
		Example: `  quorate device transfer --node http://127.0.0.1:8440 --policy q/policy --to op-one --offer delivery.offer \
    --signer q/orgs/acme-cells/admin-1.key --signer q/orgs/acme-cells/admin-2.key dev1/cert.pem`,
		Args: args(cobra.RangeArgs(1, ledger.MaxOperations)),
		RunE: func(cmd *cobra.Command, files []string) error {
			if err := needs(map[string]string{"to": to}); err != nil {
				return err
			}
			if err := v.open(cmd); err != nil {
				return err
			}
			taker, err := v.c.Organisation(cmd.Context(), to)
			if errors.Is(err, ledger.ErrNotFound) {
				return reason.New(reason.UnknownOrganisation, "%s", to)
			}
			if err != nil {
				return err
			}
			id, err := orgID(taker.ID)
			if err != nil {
				return err
			}
			return v.each(cmd.Context(), files, func(d *device, doc *ledger.Hash) (ledger.LifeStep, []string) {
				return &ledger.Transfer{Target: d.key, Previous: d.life.Next, To: id, Evidence: doc}, []string{d.life.Holder, taker.ID}
			})
		},
	}
	v.flags(cmd)
	v.evidenceFlag(cmd, "a contract or delivery note")
	cmd.Flags().StringVar(&to, "to", "", "short name of the organisation that the devices are handed to")
	return cmd
}

// each makes a step of each certificate and does them together.
func (v *lifeStep) each(ctx context.Context, files []string, step func(*device, *ledger.Hash) (ledger.LifeStep, []string)) error {
	doc, err := v.document()
	if err != nil {
		return err
	}
	var steps []ledger.LifeStep
	var devices []*device
	var parties []string
	for _, path := range files {
		d, err := v.device(ctx, path)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(devices, func(o *device) bool { return o.life.Device == d.life.Device }) {
			return usage{fmt.Errorf("%s: this device is there twice", path)}
		}
		s, who := step(d, doc)
		steps, devices = append(steps, s), append(devices, d)
		for _, id := range who {
			if !slices.Contains(parties, id) {
				parties = append(parties, id)
			}
		}
	}
	return v.do(ctx, steps, devices, parties...)
}

func newReturn() *cobra.Command {
	var v lifeStep
	cmd := &cobra.Command{
		Use:   "return --node URL --policy FILE --signer KEY... [--offer FILE] CERT...",
		Short: "Give devices back to their owner",
		Long: `Give devices back to the organisation that answers for them. Signed by the admins of who holds them, or by a quorum of members' governance
keys. The use of a device ends.`,
		Example: "  quorate device return --node http://127.0.0.1:8440 --policy q/policy --signer q/orgs/op-one/admin-1.key --signer q/orgs/op-one/admin-2.key dev1/cert.pem",
		Args:    args(cobra.RangeArgs(1, ledger.MaxOperations)),
		RunE: func(cmd *cobra.Command, files []string) error {
			if err := v.open(cmd); err != nil {
				return err
			}
			return v.each(cmd.Context(), files, func(d *device, doc *ledger.Hash) (ledger.LifeStep, []string) {
				return &ledger.Return{Target: d.key, Previous: d.life.Next, Evidence: doc}, []string{d.life.Holder}
			})
		},
	}
	v.flags(cmd)
	v.evidenceFlag(cmd, "a delivery note")
	return cmd
}

func newRetire() *cobra.Command {
	var v lifeStep
	cmd := &cobra.Command{
		Use:   "retire --node URL --policy FILE --signer KEY... [--offer FILE] CERT...",
		Short: "End devices for ever",
		Long: `End devices for ever: their certificates are revoked for cessationOfOperation, their use ends, and nothing follows. Signed by the owner's
admins and those of who holds them, or by a quorum of members' governance keys.`,
		Example: "  quorate device retire --node http://127.0.0.1:8440 --policy q/policy --signer q/orgs/acme-cells/admin-1.key --signer q/orgs/acme-cells/admin-2.key dev1/cert.pem",
		Args:    args(cobra.RangeArgs(1, ledger.MaxOperations)),
		RunE: func(cmd *cobra.Command, files []string) error {
			if err := v.open(cmd); err != nil {
				return err
			}
			return v.each(cmd.Context(), files, func(d *device, doc *ledger.Hash) (ledger.LifeStep, []string) {
				return &ledger.Retire{Target: d.key, Previous: d.life.Next, Evidence: doc}, []string{d.life.Owner, d.life.Holder}
			})
		},
	}
	v.flags(cmd)
	v.evidenceFlag(cmd, "a record of the destruction")
	return cmd
}
