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
	"github.com/quorate-pki/quorate/ledger/tlog"
	"github.com/quorate-pki/quorate/ocsp"
	"github.com/quorate-pki/quorate/verify"
)

func newDemo() *cobra.Command {
	var devices, members int
	var keep string
	cmd := &cobra.Command{
		Use:   "demo [--devices 100] [--members 4] [--dir DIR]",
		Short: "Show the main job from the founding of a consortium to a revocation",
		Long: `Found a consortium on this machine, let a factory make devices and publish them, check every receipt offline, ask
by OCSP, revoke one and see it at every member, go on without one member, wipe that member and bring it back, and check
every directory. Needs nothing but this binary.`,
		Example: "  quorate demo\n  quorate demo --devices 5000 --dir /tmp/q-demo\n  quorate demo --members 1",
		Args:    args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if devices < 2 || devices > 1_000_000 {
				return usage{fmt.Errorf("--devices %d: 2 to 1,000,000", devices)}
			}
			if members < 1 || members > ledger.MaxMembers {
				return usage{fmt.Errorf("--members %d: 1 to %d", members, ledger.MaxMembers)}
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
			d := &demo{ctx: cmd.Context(), out: cmd.OutOrStdout(), dir: dir, count: devices, size: members, victim: devices / 4}
			return d.run()
		},
	}
	cmd.Flags().IntVar(&devices, "devices", 100, "devices the factory makes")
	cmd.Flags().IntVar(&members, "members", defaultMembers, "members of the consortium")
	cmd.Flags().StringVar(&keep, "dir", "", "keep the consortium in this directory; default: a temporary one")
	return cmd
}

// demo is the main job, step by step.
type demo struct {
	ctx   context.Context
	out   io.Writer
	dir   string
	count int
	size  int
	rows  []demoRow

	consortium *consortium
	members    []*member // nil: stopped
	client     *client.Client
	items      []client.Item
	found      []*client.Found
	victim     int // index of the device that is revoked
}

type demoRow struct {
	what, result string
	took         time.Duration
}

func (d *demo) run() error {
	type step struct {
		what string
		do   func() (string, error)
	}
	steps := []step{
		{fmt.Sprintf("found a consortium of %s", count(d.size, "member")), d.establish},
		{"start it", d.start},
		{fmt.Sprintf("factory: make %d small cells with their own certificates", d.count), d.manufacture},
		{"publish them, signed by the line key", func() (string, error) { return d.publish(0, d.count/2) }},
		{"check every receipt offline, against the policy file alone", d.check},
		{"OCSP: ask every member for one", d.askGood},
		{"revoke it by two of three admin keys", d.revoke},
		{"OCSP: ask every member again", d.askRevoked},
	}
	if d.size > 3 {
		steps = append(steps,
			step{"stop one member", d.stopLast},
			step{"publish the other half without it", func() (string, error) { return d.publish(d.count/2, d.count) }},
			step{"wipe that member; bring it back with its keys alone", d.rejoin},
			step{"OCSP: ask every member again", d.askRevoked})
	} else {
		steps = append(steps, step{"publish the other half", func() (string, error) { return d.publish(d.count/2, d.count) }})
	}
	steps = append(steps,
		step{"stop all members, start them again", d.restart},
		step{"prove the status of both kinds again", d.prove},
		step{"stop; check every directory from its tiles", d.fsck})
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
	failed = errors.Join(failed, stopAll(d.members))
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
	g, err := readGenesisFile("", d.size)
	if err != nil {
		return "", err
	}
	return g.Consortium + "/" + g.Channel, found(d.dir, g, time.Now())
}

func (d *demo) start() (string, error) {
	c, err := openConsortium(d.dir, quietLog())
	if err != nil {
		return "", err
	}
	if d.members, err = c.start(d.ctx, "127.0.0.1:0"); err != nil {
		return "", err
	}
	d.consortium = c
	return "ready " + d.members[0].url, d.connect()
}

// connect makes a client of whoever runs. It asks the first first, and the others when that does not answer.
func (d *demo) connect() error {
	p, err := readPolicy(filepath.Join(d.dir, policyName))
	if err != nil {
		return err
	}
	var urls []string
	for _, m := range d.members {
		if m != nil {
			urls = append(urls, m.url)
		}
	}
	d.client, err = client.New(client.Config{Nodes: urls, Policy: p})
	return err
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

func (d *demo) publish(from, to int) (string, error) {
	signer, _, err := readSigner(filepath.Join(d.dir, "orgs", "acme-cells", "line.key"))
	if err != nil {
		return "", err
	}
	channel, err := d.client.Channel(d.ctx)
	if err != nil {
		return "", err
	}
	p := &client.Publisher{Client: d.client, Signer: signer, Profile: 1, Now: time.Now}
	batches := client.Batches(d.items[from:to])
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
	cosigners, err := d.cosigners(d.found[len(d.found)-1].Receipt)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%d published in %s, cosigned by %d of %d", to-from, count(len(batches), "transaction"), cosigners, d.size), nil
}

func (d *demo) check() (string, error) {
	p, err := readPolicy(filepath.Join(d.dir, policyName))
	if err != nil {
		return "", err
	}
	bytes, trust := 0, tlog.Remember(p)
	for i, f := range d.found {
		if _, err := verify.Receipt(trust, f.Receipt, d.items[i].DER); err != nil {
			return "", err
		}
		bytes += len(f.Receipt)
	}
	return fmt.Sprintf("%d receipts of %d bytes on average", len(d.found), bytes/len(d.found)), nil
}

// count is a number and what it counts.
func count(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}

// cosigners is how many members cosigned a receipt's checkpoint.
func (d *demo) cosigners(receipt []byte) (n int, err error) {
	proof, err := tlog.ParseProof(receipt)
	if err != nil {
		return 0, err
	}
	cp, sigs, err := tlog.ParseNote(proof.Note)
	if err != nil {
		return 0, err
	}
	for _, w := range d.consortium.set.Policy(0).Witnesses {
		for _, s := range sigs {
			if _, ok := tlog.VerifyCosignature(cp, w.Key, s); ok {
				n++
			}
		}
	}
	return n, nil
}

func (d *demo) victimDER() []byte { return d.items[d.victim].DER }

// ask sends a member an OCSP request as any client would and checks the answer's signature with the member's responder
// certificate.
func (d *demo) ask(i int) (*xocsp.Response, error) {
	der := d.victimDER()
	id, err := ocsp.NewCertID(crypto.SHA256, der, der)
	if err != nil {
		return nil, err
	}
	req, err := ocsp.NewRequest(nil, id)
	if err != nil {
		return nil, err
	}
	resp, err := http.Post(d.members[i].url+"/ocsp", "application/ocsp-request", bytes.NewReader(req.Raw))
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		return nil, err
	}
	responders, err := readResponders(filepath.Join(d.dir, responderName))
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(responders[i])
	if err != nil {
		return nil, err
	}
	return xocsp.ParseResponse(raw, cert)
}

// askAll asks every member that runs, until each says want: a member that is a block behind says what was before.
func (d *demo) askAll(want int, word string) (string, error) {
	ctx, cancel := context.WithTimeout(d.ctx, 30*time.Second)
	defer cancel()
	n := 0
	for i, m := range d.members {
		if m == nil {
			continue
		}
		for {
			r, err := d.ask(i)
			if err != nil {
				return "", fmt.Errorf("%s: %w", m.name, err)
			}
			if r.Status == want {
				break
			}
			select {
			case <-time.After(5 * time.Millisecond):
			case <-ctx.Done():
				return "", fmt.Errorf("%s: OCSP status %d", m.name, r.Status)
			}
		}
		n++
	}
	if n == 1 {
		return word, nil
	}
	return fmt.Sprintf("%s, say all %d", word, n), nil
}

func (d *demo) askGood() (string, error) { return d.askAll(xocsp.Good, "good") }

func (d *demo) askRevoked() (string, error) { return d.askAll(xocsp.Revoked, "revoked") }

// stopLast stops the last member.
func (d *demo) stopLast() (string, error) {
	last := len(d.members) - 1
	m := d.members[last]
	d.members[last] = nil
	return m.name + " is gone", errors.Join(m.stop(), d.connect())
}

// rejoin wipes the stopped member's directory and starts it again.
func (d *demo) rejoin() (string, error) {
	last := len(d.members) - 1
	name := d.consortium.set.Members[last].Name
	if err := os.RemoveAll(filepath.Join(d.dir, "nodes", name)); err != nil {
		return "", err
	}
	head, err := d.client.Head(d.ctx)
	if err != nil {
		return "", err
	}
	if d.members[last], err = d.consortium.rejoin(d.ctx, name, "127.0.0.1:0"); err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(d.ctx, time.Minute)
	defer cancel()
	for {
		own, err := d.members[last].node.Head(ctx)
		if err != nil {
			return "", err
		}
		if own.Height >= head.Height {
			return fmt.Sprintf("%s is at height %d again", name, own.Height), d.connect()
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			return "", fmt.Errorf("it is at height %d, the others at %d", own.Height, head.Height)
		}
	}
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
	change := ledger.StatusChange{Action: ledger.Revoke, Scope: ledger.ScopeCertificate, Target: ledger.Sum(cert.SPKI), Leaf: &d.found[d.victim].Leaf,
		Reason: ledger.KeyCompromise}
	code, st, err := d.client.Change(d.ctx, change, d.found[d.victim].Leaf, time.Now(), signers...)
	if err != nil {
		return "", err
	}
	if code != reason.Accepted {
		return "", fmt.Errorf("refused: %s", code)
	}
	return fmt.Sprintf("%s, proved by leaf %d", st.Status, st.Cause.Index), nil
}

func (d *demo) restart() (string, error) {
	err := stopAll(d.members)
	d.members = nil
	if err != nil {
		return "", err
	}
	return d.start()
}

func (d *demo) prove() (string, error) {
	for i, f := range []*client.Found{d.found[len(d.found)-1], d.found[d.victim]} {
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
	err := stopAll(d.members)
	d.members = nil
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
