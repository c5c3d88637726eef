package main

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	xocsp "golang.org/x/crypto/ocsp"

	"github.com/quorate-pki/quorate/ca"
	"github.com/quorate-pki/quorate/ca/profile"
	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/client"
	"github.com/quorate-pki/quorate/ocsp"
	"github.com/quorate-pki/quorate/verify"
)

func newDemo() *cobra.Command {
	var devices int
	var keep string
	cmd := &cobra.Command{
		Use:   "demo [--devices 100] [--dir DIR]",
		Short: "Show the main job from the founding of a consortium to a revocation",
		Long: `Found a consortium of one member on this machine, let a factory make devices and publish them, check every receipt
offline, ask by OCSP, revoke one, stop and start again, and check the directory. Needs nothing but this binary.`,
		Example: "  quorate demo\n  quorate demo --devices 5000 --dir /tmp/q-demo",
		Args:    args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if devices < 2 || devices > 1_000_000 {
				return usage{fmt.Errorf("--devices %d: 2 to 1,000,000", devices)}
			}
			dir := keep
			if dir == "" {
				tmp, err := os.MkdirTemp("", "quorate-demo-")
				if err != nil {
					return err
				}
				defer os.RemoveAll(tmp)
				dir = filepath.Join(tmp, "consortium")
			} else if _, err := os.Stat(dir); err == nil {
				return usage{fmt.Errorf("%s exists; the demo founds a new consortium", dir)}
			}
			d := &demo{ctx: cmd.Context(), out: cmd.OutOrStdout(), dir: dir, count: devices}
			return d.run()
		},
	}
	cmd.Flags().IntVar(&devices, "devices", 100, "devices the factory makes")
	cmd.Flags().StringVar(&keep, "dir", "", "keep the consortium in this directory; default: a temporary one")
	return cmd
}

// demo is the main job, step by step.
type demo struct {
	ctx   context.Context
	out   io.Writer
	dir   string
	count int
	rows  []demoRow

	member *member
	client *client.Client
	items  []client.Item
	found  []*client.Found
	victim *client.Found
}

type demoRow struct {
	what, result string
	took         time.Duration
}

func (d *demo) run() error {
	steps := []struct {
		what string
		do   func() (string, error)
	}{
		{"found a consortium of one member", d.establish},
		{"start its node", d.start},
		{fmt.Sprintf("factory: make %d small cells with their own certificates", d.count), d.manufacture},
		{"publish them, signed by the line key", d.publish},
		{"check every receipt offline, against the policy file alone", d.check},
		{"OCSP: ask for one", d.askGood},
		{"revoke it by two of three admin keys", d.revoke},
		{"OCSP: ask again", d.askRevoked},
		{"stop the node, start it again", d.restart},
		{"prove the status of both kinds again", d.prove},
		{"stop; check the whole directory from its tiles", d.fsck},
	}
	var failed error
	for i, s := range steps {
		fmt.Fprintf(d.out, "[%2d/%d] %s ... ", i+1, len(steps), s.what)
		begin := time.Now()
		result, err := s.do()
		took := time.Since(begin)
		if err != nil {
			fmt.Fprintln(d.out, "FAILED")
			failed = fmt.Errorf("%s: %w", s.what, err)
			break
		}
		fmt.Fprintf(d.out, "%s (%s)\n", result, took.Round(time.Millisecond))
		d.rows = append(d.rows, demoRow{s.what, result, took})
	}
	if d.member != nil {
		failed = errors.Join(failed, d.member.stop())
	}
	if failed != nil {
		return failed
	}
	d.table()
	return nil
}

func (d *demo) table() {
	fmt.Fprintln(d.out)
	w := tabwriter.NewWriter(d.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "STEP\tRESULT\tTIME")
	var sum time.Duration
	for _, r := range d.rows {
		sum += r.took
		fmt.Fprintf(w, "%s\t%s\t%s\n", r.what, r.result, r.took.Round(time.Millisecond))
	}
	fmt.Fprintf(w, "all\tok\t%s\n", sum.Round(time.Millisecond))
	w.Flush()
}

func (d *demo) establish() (string, error) {
	g, err := parseGenesisFile(defaultGenesis)
	if err != nil {
		return "", err
	}
	return g.Consortium + "/" + g.Channel, found(d.dir, g, time.Now())
}

func (d *demo) start() (string, error) {
	m, err := startMember(d.ctx, d.dir, "ca-a", "127.0.0.1:0", quietLog())
	if err != nil {
		return "", err
	}
	d.member = m
	p, err := readPolicy(filepath.Join(d.dir, policyName))
	if err != nil {
		return "", err
	}
	d.client, err = client.New(client.Config{Nodes: []string{m.url}, Policy: p})
	return "ready " + m.url, err
}

func (d *demo) manufacture() (string, error) {
	p, _ := profile.ByName("small-cell")
	for i := range d.count {
		key, err := ca.GenerateKey(profile.P256, rand.Reader)
		if err != nil {
			return "", err
		}
		serial := fmt.Sprintf("ACME-%06d", i+1)
		name, err := ca.DefaultName(serial, "acme-cells.example")
		if err != nil {
			return "", err
		}
		der, err := ca.SelfIssue(ca.SelfIssueConfig{Profile: p, Key: key, Serial: serial, Organisation: "acme-cells",
			DNSNames: []string{name}, NotBefore: time.Now().Truncate(time.Second), Rand: rand.Reader})
		if err != nil {
			return "", err
		}
		d.items = append(d.items, client.Item{Name: serial, DER: der})
	}
	return fmt.Sprintf("%d keys, none left its device", d.count), nil
}

func (d *demo) publish() (string, error) {
	signer, _, err := readSigner(filepath.Join(d.dir, "orgs", "acme-cells", "line.key"))
	if err != nil {
		return "", err
	}
	channel, err := d.client.Channel(d.ctx)
	if err != nil {
		return "", err
	}
	p := &client.Publisher{Client: d.client, Signer: signer, Profile: 1, Now: time.Now}
	batches := client.Batches(d.items)
	for _, b := range batches {
		out, err := p.Publish(d.ctx, channel, b)
		if err != nil {
			return "", err
		}
		for _, o := range out {
			if o.Code != reason.Accepted {
				return "", fmt.Errorf("%s: %s", o.Name, o.Code)
			}
			d.found = append(d.found, o.Found)
		}
	}
	d.victim = d.found[len(d.found)/2]
	return fmt.Sprintf("%d published in %d transactions", len(d.found), len(batches)), nil
}

func (d *demo) check() (string, error) {
	p, err := readPolicy(filepath.Join(d.dir, policyName))
	if err != nil {
		return "", err
	}
	bytes, trust := 0, p.Remember()
	for i, f := range d.found {
		if _, err := verify.Receipt(trust, f.Receipt, d.items[i].DER); err != nil {
			return "", err
		}
		bytes += len(f.Receipt)
	}
	return fmt.Sprintf("%d receipts of %d bytes on average", len(d.found), bytes/len(d.found)), nil
}

func (d *demo) victimDER() []byte { return d.items[len(d.found)/2].DER }

// ask sends an OCSP request as any client would and checks the answer's signature with the responder certificate.
func (d *demo) ask() (*xocsp.Response, error) {
	der := d.victimDER()
	id, err := ocsp.NewCertID(crypto.SHA256, der, der)
	if err != nil {
		return nil, err
	}
	req, err := ocsp.NewRequest(nil, id)
	if err != nil {
		return nil, err
	}
	resp, err := http.Post(d.member.url+"/ocsp", "application/ocsp-request", bytes.NewReader(req.Raw))
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		return nil, err
	}
	responder, err := ca.ReadCertificate(filepath.Join(d.dir, responderName))
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(responder)
	if err != nil {
		return nil, err
	}
	return xocsp.ParseResponse(raw, cert)
}

func (d *demo) askGood() (string, error) {
	r, err := d.ask()
	if err == nil && r.Status != xocsp.Good {
		err = fmt.Errorf("OCSP status %d", r.Status)
	}
	return "good", err
}

func (d *demo) askRevoked() (string, error) {
	r, err := d.ask()
	if err == nil && r.Status != xocsp.Revoked {
		err = fmt.Errorf("OCSP status %d", r.Status)
	}
	return "revoked", err
}

func (d *demo) revoke() (string, error) {
	signers, err := readSigners([]string{filepath.Join(d.dir, "orgs", "acme-cells", "admin-1.key"), filepath.Join(d.dir, "orgs", "acme-cells", "admin-3.key")})
	if err != nil {
		return "", err
	}
	cert, err := profile.Parse(d.victimDER())
	if err != nil {
		return "", err
	}
	change := ledger.StatusChange{Action: ledger.Revoke, Scope: ledger.ScopeCertificate, Target: ledger.Sum(cert.SPKI), Leaf: &d.victim.Leaf,
		Reason: ledger.KeyCompromise}
	code, st, err := d.client.Change(d.ctx, change, d.victim, time.Now(), signers...)
	if err != nil {
		return "", err
	}
	if code != reason.Accepted {
		return "", fmt.Errorf("refused: %s", code)
	}
	return fmt.Sprintf("%s, proved by leaf %d", st.Status, st.Cause.Index), nil
}

func (d *demo) restart() (string, error) {
	err := d.member.stop()
	d.member = nil
	if err != nil {
		return "", err
	}
	return d.start()
}

func (d *demo) prove() (string, error) {
	for i, f := range []*client.Found{d.found[0], d.victim} {
		st, err := d.client.Standing(d.ctx, f.Leaf)
		if err != nil {
			return "", err
		}
		if want := []ledger.Status{ledger.Good, ledger.Revoked}[i]; st.Status != want {
			return "", fmt.Errorf("leaf %d is %s", f.Leaf, st.Status)
		}
	}
	return "good and revoked, both proved", nil
}

func (d *demo) fsck() (string, error) {
	err := d.member.stop()
	d.member = nil
	if err != nil {
		return "", err
	}
	f := &foundedCheck{dir: d.dir}
	if err := f.check(); err != nil {
		return "", err
	}
	for _, x := range f.findings {
		if !x.Note {
			return "", fmt.Errorf("%s", x)
		}
	}
	return fmt.Sprintf("nothing differs, %d leaves", f.sums[0].Size), nil
}
