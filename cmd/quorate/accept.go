package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/quorate-pki/quorate/ca/profile"
	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/client"
)

func newAccept() *cobra.Command {
	var r remote
	var signers []string
	var show bool
	cmd := &cobra.Command{
		Use:   "accept --node URL --policy FILE (--signer KEY... | --show) OFFER",
		Short: "Sign an offer of another organisation, and submit it when all have signed",
		Long: `Look at an offer that another organisation wrote: what it does to which devices, as of what is proved of them now, who has signed and whose
signature is missing. With --signer, sign it; when nobody is missing any more it is submitted, else the file is replaced by one with
the new signatures, to be passed on. An offer that was overtaken, by any other step in the life of a device, is refused.`,
		Example: `  quorate device accept --node http://127.0.0.1:8440 --policy q/policy --signer q/orgs/op-one/admin-1.key --signer q/orgs/op-one/admin-2.key delivery.offer`,
		Args:    args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, a []string) error {
			if show == (len(signers) > 0) {
				return usage{errors.New("either --signer or --show; see quorate device accept --help")}
			}
			c, err := r.client()
			if err != nil {
				return err
			}
			keys, err := readSigners(signers)
			if err != nil {
				return err
			}
			return accept(cmd.Context(), cmd.OutOrStdout(), c, a[0], keys, show)
		},
	}
	r.flags(cmd)
	cmd.Flags().StringArrayVar(&signers, "signer", nil, "key file, may be repeated")
	cmd.Flags().BoolVar(&show, "show", false, "only say what the offer is")
	return cmd
}

func accept(ctx context.Context, w io.Writer, c *client.Client, path string, keys []ledger.Signer, show bool) error {
	file, err := readSmall(path, ledger.MaxOfferFile)
	if err != nil {
		return err
	}
	o, err := ledger.ParseOffer(file)
	if err != nil {
		return err
	}
	steps, devices, err := examine(ctx, w, c, o)
	if err != nil {
		return err
	}
	for _, k := range keys {
		if err := o.Sign(k); err != nil {
			return usage{err}
		}
	}
	if show {
		return tellMissing(ctx, w, c, o)
	}
	if len(o.Missing()) > 0 {
		if err := replaceFile(path, o.Format()); err != nil {
			return usage{err}
		}
		fmt.Fprintf(w, "offer  %s  until %s\n", path, o.Tx.Expiry.Time().Format(time.RFC3339))
		return tellMissing(ctx, w, c, o)
	}
	s, err := o.Submission()
	if err != nil {
		return err
	}
	return deliver(ctx, w, c, s, steps, devices)
}

// examine says what an offer does, and refuses one that nobody should sign: of another channel, expired, with a bad signature, overtaken,
// or of anything but steps in the life of devices.
func examine(ctx context.Context, w io.Writer, c *client.Client, o *ledger.Offer) (steps []ledger.LifeStep, devices []*device, err error) {
	channel, err := c.Channel(ctx)
	switch {
	case err != nil:
		return nil, nil, err
	case o.Tx.Channel != channel:
		return nil, nil, reason.New(reason.WrongChannel, "the offer is for channel %x", o.Tx.Channel)
	case o.Tx.Expiry <= ledger.MillisOf(time.Now()):
		return nil, nil, reason.New(reason.Expired, "at %s", o.Tx.Expiry.Time().Format(time.RFC3339))
	}
	spkis := map[ledger.Hash][]byte{}
	for _, body := range o.Bodies {
		_, args, err := ledger.ParseBody(body)
		if err != nil {
			return nil, nil, err
		}
		step, ok := args.(ledger.LifeStep)
		if !ok {
			return nil, nil, reason.New(reason.BadBody, "the offer is not only of steps in the life of devices")
		}
		d, err := offered(ctx, w, c, step)
		if err != nil {
			return nil, nil, err
		}
		if r, ok := step.(*ledger.Rekey); ok {
			spkis[r.Target] = r.SPKI
		}
		steps, devices = append(steps, step), append(devices, d)
	}
	for _, s := range o.Signatures() {
		spki := spkis[s.KeyID]
		if spki == nil {
			k, err := c.RegisteredKey(ctx, s.KeyID)
			if errors.Is(err, ledger.ErrNotFound) {
				return nil, nil, reason.New(reason.NotAuthenticated, "key %x", s.KeyID)
			}
			if err != nil {
				return nil, nil, err
			}
			spki = k.SPKI
		}
		key, err := profile.ParseSPKI(spki)
		if err != nil || !key.VerifyCOSE(s.Alg, s.ToBeSigned, s.Bytes) {
			return nil, nil, reason.New(reason.BadSignature, "by key %x", s.KeyID)
		}
		fmt.Fprintf(w, "signed   %s\n", keyOwner(ctx, c, s.KeyID))
	}
	return steps, devices, nil
}

// offered says what a step does to its device, from the device's life as it is proved now.
func offered(ctx context.Context, w io.Writer, c *client.Client, step ledger.LifeStep) (*device, error) {
	target, previous := step.Follows()
	life, err := lifeOf(ctx, c, target, 0)
	if err != nil {
		return nil, err
	}
	d := &device{name: deviceName(life), life: life, key: target}
	if life.Next != previous || life.Keys[len(life.Keys)-1] != fmt.Sprintf("%x", target) {
		return nil, reason.New(reason.LifeChanged, "%s: the offer follows leaf %d, the last is leaf %d", d.name, previous, life.Next)
	}
	what := ""
	switch a := step.(type) {
	case *ledger.Transfer:
		org, err := c.OrganisationOf(ctx, a.To)
		if err != nil {
			return nil, err
		}
		what = " to " + org.Name
	case *ledger.Rekey:
		sum := ledger.Sum(a.Certificate)
		what = fmt.Sprintf(" to the certificate with SHA-256 %x", sum)
	}
	fmt.Fprintf(w, "%-8s %s%s; %s\n", step.Op(), d.name, what, whereabouts(life))
	return d, nil
}

// deviceName is what people call a device: its serial or instance id, as its newest certificate has it.
func deviceName(l *client.Lived) string {
	certs := l.History.Certificates
	cert, err := certificateOf(certs[len(certs)-1].Publication.Entry)
	if err != nil {
		return l.Device
	}
	if id, ok := cert.Instance(); ok && cert.DeviceSerial == "" {
		return id.String()
	}
	return cert.DeviceSerial
}

func certificateOf(entry []byte) (*profile.Certificate, error) {
	e, err := ledger.ParseEntry(entry)
	if err != nil || e.Op == nil {
		return nil, errors.New("no publication")
	}
	_, args, err := ledger.ParseBody(e.Op.Body)
	pub := ledger.PublicationOf(args)
	if err != nil || pub == nil {
		return nil, errors.New("no publication")
	}
	return profile.Parse(pub.Certificate)
}

// tellMissing says whose signatures an offer waits for.
func tellMissing(ctx context.Context, w io.Writer, c *client.Client, o *ledger.Offer) error {
	for _, id := range o.Missing() {
		fmt.Fprintf(w, "missing  %s\n", keyOwner(ctx, c, id))
	}
	return nil
}

// keyOwner says whose a key is, as well as it is known.
func keyOwner(ctx context.Context, c *client.Client, id ledger.Hash) string {
	k, err := c.RegisteredKey(ctx, id)
	if err != nil {
		return fmt.Sprintf("key %x", id)
	}
	role := map[uint64]string{ledger.KeyRoleAdmin: "admin key", ledger.KeyRoleLine: "line key", ledger.KeyRoleGovernance: "governance key"}[k.Role]
	org, err := c.OrganisationOf(ctx, k.Owner)
	if err != nil {
		return fmt.Sprintf("%s %x", role, id)
	}
	if i := slices.Index(org.Admins, fmt.Sprintf("%x", id)); i >= 0 {
		role = fmt.Sprintf("admin key %d", i+1)
	}
	return fmt.Sprintf("%s of %s  %x", role, org.Name, id)
}
