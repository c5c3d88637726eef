package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/quorate-pki/quorate/ca/profile"
	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/api"
	"github.com/quorate-pki/quorate/policies"
)

func newRuleTry() *cobra.Command {
	var r remote
	var s scopeFlags
	var last int
	var certificates []string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "try --node URL --policy FILE [--profile P] [--org O] [--last 1000] [--certificate CERT]... [--json] RULE",
		Short: "Judge the last submissions by a proposed rule, and list what would change",
		Long: `Judge the last submissions of a profile and an organisation, or of all, by a proposed rule in the place of the one in force, and list what would have
changed: what was published and would be refused, with the rule's sentence; what a rule refused and would be published.

The submissions are followed on the log and proved. What an organisation and its line keys are registered with is told, and is that of today. Of what was
refused, the log has a digest and not the certificate: those that are given with --certificate are found by it, the others are counted.

Exit 0 when nothing would change, 1 when something would.`,
		Example: "  quorate rule try --node http://127.0.0.1:8440 --policy q/policy --profile small-cell --org acme-cells --last 1000 small-cells.star",
		Args:    args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, a []string) error {
			if last < 1 || last > maxTried {
				return usage{fmt.Errorf("--last is 1 to %d", maxTried)}
			}
			c, err := r.client()
			if err != nil {
				return err
			}
			f, err := readRule(a[0])
			if err != nil {
				return err
			}
			j, err := newJudge(cmd.Context(), c)
			if err != nil {
				return err
			}
			t := &trial{judge: j, rule: f.program, last: last, given: map[ledger.Hash]ledger.Publish{}}
			if t.scope, err = s.scope(cmd.Context(), c); err != nil {
				return err
			}
			if err := t.know(certificates); err != nil {
				return err
			}
			if err := t.run(cmd.Context()); err != nil {
				return err
			}
			return t.tell(cmd.OutOrStdout(), asJSON)
		},
	}
	r.flags(cmd)
	s.flags(cmd)
	f := cmd.Flags()
	f.IntVar(&last, "last", 1000, fmt.Sprintf("so many submissions, the newest; at most %d", maxTried))
	f.StringArrayVar(&certificates, "certificate", nil, "a certificate that was refused, may be repeated")
	f.BoolVar(&asJSON, "json", false, "print it as JSON")
	return cmd
}

// maxTried is the most submissions that are judged again: they are in memory, with their certificates.
const maxTried = 100_000

// attempt is a submission of a certificate on the log.
type attempt struct {
	leaf   uint64 // of the publication; of the transaction, when it was refused
	height uint64
	time   ledger.Millis
	code   reason.Code
	signer ledger.Hash
	body   *ledger.Publish // nil: refused, and the log does not have it
}

// trial is one run of `quorate rule try`.
type trial struct {
	*judge
	rule  *policies.Program
	scope ledger.RuleScope
	last  int
	given map[ledger.Hash]ledger.Publish // by the digest of the body: certificates that may have been refused

	out   tried
	spent time.Duration
}

// tried is the outcome, as JSON.
type tried struct {
	Profile      uint64         `json:"profile,omitempty"`
	Organisation string         `json:"organisation,omitempty"`
	AsOf         time.Time      `json:"as_of"`
	Size         uint64         `json:"size"` // leaves of the log then
	Submissions  int            `json:"submissions"`
	Judged       int            `json:"judged"`
	Changes      []change       `json:"changes"`
	NotJudged    map[string]int `json:"not_judged"` // refused, and the certificate is not known; by the reason on the log
	Passed       map[string]int `json:"passed"`     // the same by what other checks say today: the rule would not be asked
	MostWork     int            `json:"most_work"`  // units of work, of at most policies.MaxWork
	MostSize     int            `json:"most_size"`  // bytes, of at most policies.MaxSize
	Micros       float64        `json:"us_each"`    // mean duration of a judgement here, in microseconds
}

// change is a submission that the rule would have decided otherwise.
type change struct {
	Leaf        uint64    `json:"leaf"`
	Time        time.Time `json:"time"`
	Would       string    `json:"would"` // refuse, accept
	Was         string    `json:"was"`   // the reason on the log
	Profile     uint64    `json:"profile"`
	Owner       string    `json:"organisation"` // short name
	Device      string    `json:"device"`       // serial, or instance id
	Certificate string    `json:"certificate"`  // SHA-256 of the DER, hex
	Reason      string    `json:"reason,omitempty"`
	Sentence    string    `json:"sentence,omitempty"`
}

// know remembers certificates by what the log would call their submission, under every profile.
func (t *trial) know(paths []string) error {
	for _, path := range paths {
		der, err := readCertificate(path)
		if err != nil {
			return err
		}
		for _, p := range profile.All() {
			body := ledger.Publish{Profile: uint64(p.ID), Certificate: der}
			t.given[ledger.Sum(ledger.EncodeBody(ledger.OpPublish, body))] = body
		}
	}
	return nil
}

// run follows the end of the log, a longer one until there are enough submissions in it.
func (t *trial) run(ctx context.Context) error {
	head, err := t.client.Head(ctx)
	if err != nil {
		return err
	}
	for window := uint64(4*t.last + 64); ; window *= 4 {
		from := head.Size - min(head.Size, window)
		all, err := t.collect(ctx, from)
		if err != nil {
			return err
		}
		if len(all) < t.last && from > 0 {
			continue
		}
		return t.judgeAll(ctx, all[max(0, len(all)-t.last):])
	}
}

// collect follows the log from a leaf on and returns the submissions of the scope.
func (t *trial) collect(ctx context.Context, from uint64) (out []attempt, err error) {
	f, err := t.client.Follow(ctx, from, nil)
	if err != nil {
		return nil, err
	}
	var block []attempt // of the block at hand
	for {
		got, err := f.Next(ctx, 0)
		if err != nil {
			return nil, err
		}
		t.out.AsOf, t.out.Size = got.AsOf, got.Size
		for _, e := range got.Events {
			found, err := t.attempts(e)
			if err != nil {
				return nil, err
			}
			block = append(block, found...)
			if e.Epoch == nil {
				continue
			}
			for _, a := range block {
				a.height, a.time = e.Epoch.Height, ledger.MillisOf(e.Epoch.Time)
				in, err := t.within(ctx, a)
				if err != nil {
					return nil, err
				}
				if in {
					out = append(out, a)
				}
			}
			block = nil
		}
		if f.Known().Size == got.Size {
			return out, nil
		}
	}
}

// attempts are the submissions that a leaf tells of: those refused, a transaction's; one published, an operation's.
func (t *trial) attempts(e api.Event) (out []attempt, err error) {
	entry, err := ledger.ParseEntry(e.Entry)
	if err != nil {
		return nil, err
	}
	switch {
	case entry.Op != nil && entry.Op.Effects.Voucher != nil:
		if _, args, err := ledger.ParseBody(entry.Op.Body); err == nil {
			if p, ok := args.(*ledger.Publish); ok {
				out = append(out, attempt{leaf: e.Leaf, signer: *entry.Op.Effects.Voucher, body: p})
			}
		}
	case entry.Tx != nil:
		env, err := ledger.ParseEnvelope(entry.Tx.Envelope, ledger.ForLedger)
		if err != nil {
			return nil, err
		}
		for i, code := range entry.Tx.Codes {
			if code.OK() || i >= len(env.Tx.Bodies) || len(env.Tx.Signers) != 1 {
				continue
			}
			a := attempt{leaf: e.Leaf, code: code, signer: env.Tx.Signers[0]}
			if p, ok := t.given[env.Tx.Bodies[i]]; ok {
				a.body = &p
			}
			out = append(out, a)
		}
	}
	return out, nil
}

// within says whether a submission is in the rule's scope. A line key's organisation is known, and of a certificate the profile.
func (t *trial) within(ctx context.Context, a attempt) (bool, error) {
	v, err := t.voucher(ctx, a.signer)
	if v == nil || err != nil {
		return false, err // no line key: no submission of a certificate
	}
	if !t.scope.Organisation.IsZero() && v.Line.Owner != t.scope.Organisation {
		return false, nil
	}
	return t.scope.Profile == 0 || a.body == nil || a.body.Profile == t.scope.Profile, nil
}

func (t *trial) judgeAll(ctx context.Context, all []attempt) error {
	t.out.Profile, t.out.Submissions, t.out.Changes, t.out.NotJudged, t.out.Passed = t.scope.Profile, len(all), []change{}, map[string]int{}, map[string]int{}
	if !t.scope.Organisation.IsZero() {
		t.out.Organisation = t.scope.Organisation.String()
	}
	for _, a := range all {
		if err := t.judgeOne(ctx, a); err != nil {
			return err
		}
	}
	if t.out.Judged > 0 {
		t.out.Micros = float64(t.spent.Nanoseconds()) / 1000 / float64(t.out.Judged)
	}
	return nil
}

// judgeOne judges a submission again. Those that other checks refused stay refused whatever the rule says: it is asked after them.
func (t *trial) judgeOne(ctx context.Context, a attempt) error {
	if a.body == nil {
		t.out.NotJudged[a.code.String()]++
		return nil
	}
	v, err := t.voucher(ctx, a.signer)
	if v == nil || err != nil {
		return err
	}
	c, no := t.candidate(v, a.body.Profile, a.body.Certificate, a.time)
	if no == nil && !a.code.OK() && !byRule(a.code) {
		no = reason.New(a.code, "")
	}
	if no != nil {
		t.out.Passed[no.Code.String()]++
		return nil
	}
	begun := time.Now()
	verdict, cost := t.rule.Measure(c)
	t.spent += time.Since(begun)
	t.out.Judged++
	t.out.MostWork, t.out.MostSize = max(t.out.MostWork, cost.Work), max(t.out.MostSize, cost.Size)
	if !a.code.OK() {
		// Refused by a rule then: would the rules with this one among them accept it?
		if _, verdict, err = t.refuses(c, a.body.Profile, v.Line.Owner, a.height, map[ledger.RuleScope]ledger.Rule{t.scope: t.rule}); err != nil {
			return err
		}
	}
	if verdict.Code.OK() == a.code.OK() {
		return nil
	}
	sum := ledger.Sum(a.body.Certificate)
	x := change{Leaf: a.leaf, Time: a.time.Time(), Would: "accept", Was: a.code.String(), Profile: a.body.Profile, Owner: v.Organisation.Name,
		Device: c.DeviceSerial + c.Instance, Certificate: hex.EncodeToString(sum[:])}
	if !verdict.Code.OK() {
		x.Would, x.Reason, x.Sentence = "refuse", verdict.Code.String(), verdict.Text
	}
	t.out.Changes = append(t.out.Changes, x)
	return nil
}

// tell prints the outcome.
func (t *trial) tell(w io.Writer, asJSON bool) error {
	o := &t.out
	if asJSON {
		if err := printJSON(w, o); err != nil {
			return err
		}
		w = io.Discard
	}
	for _, x := range o.Changes {
		line := fmt.Sprintf("would %s  leaf %d, %s, %s of %s: %s", x.Would, x.Leaf, x.Time.Format(time.RFC3339), profileName(x.Profile), x.Owner, printable(x.Device))
		if x.Would == "refuse" {
			line += fmt.Sprintf("  %s: %s", x.Reason, printable(x.Sentence))
		} else {
			line += "  was " + x.Was
		}
		fmt.Fprintln(w, line)
	}
	fmt.Fprintf(w, "tried     %s, for %s\n", ruleTitle(t.rule), scopeName(t.scope))
	fmt.Fprintf(w, "judged    %d of the last %d submissions: %d would be refused, %d would be accepted, %d as they were\n", o.Judged, o.Submissions, t.count("refuse"),
		t.count("accept"), o.Judged-len(o.Changes))
	if len(o.Passed) > 0 {
		fmt.Fprintf(w, "not asked %s: refused by the checks that come before rules\n", counts(o.Passed))
	}
	if len(o.NotJudged) > 0 {
		fmt.Fprintf(w, "unknown   %s: refused operations, which are not on the log; give their certificates with --certificate\n", counts(o.NotJudged))
	}
	if o.Judged > 0 {
		fmt.Fprintf(w, "cost      %.1f us each; at most %d of %d units of work, %d of %d bytes\n", o.Micros, o.MostWork, policies.MaxWork, o.MostSize, policies.MaxSize)
	}
	fmt.Fprintf(w, "as of     %s, %d leaves\n", o.AsOf.Format(time.RFC3339), o.Size)
	if len(o.Changes) > 0 {
		return verdict{exitNo}
	}
	return nil
}

func (t *trial) count(would string) (n int) {
	for _, x := range t.out.Changes {
		if x.Would == would {
			n++
		}
	}
	return n
}

// counts lists reasons and how often each.
func counts(m map[string]int) string {
	var out []string
	for _, slug := range slices.Sorted(maps.Keys(m)) {
		out = append(out, fmt.Sprintf("%d %s", m[slug], slug))
	}
	return strings.Join(out, ", ")
}
