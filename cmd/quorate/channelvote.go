package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/client"
	"github.com/quorate-pki/quorate/verify"
)

// readChannelOperation reads what `channel create` made for the main channel.
func readChannelOperation(path string) (*ledger.Channel, error) {
	raw, err := readSmall(path, ledger.MaxBody)
	if err != nil {
		return nil, err
	}
	_, args, err := ledger.ParseBody(raw)
	if err != nil {
		return nil, usage{fmt.Errorf("%s: %w", path, err)}
	}
	c, ok := args.(*ledger.Channel)
	if !ok {
		return nil, usage{fmt.Errorf("%s is no proposal of a channel", path)}
	}
	return c, nil
}

func newChannelPropose() *cobra.Command {
	var r remote
	var signer, title string
	var expires, hold time.Duration
	var dry bool
	cmd := &cobra.Command{
		Use:   "propose --node URL --policy FILE --signer GOVERNANCE.KEY [--title TEXT] [--expires 168h] [--hold 48h] [--dry-run] PROPOSAL",
		Short: "Ask the members of the main channel to create a channel",
		Long: `Put a further channel to the vote of the main channel's members; they vote by quorate gov approve. A quorum of them creates it. What
they and everybody else on the main channel see is its name, its id, the hash of its genesis block and who is in it.`,
		Example: "  quorate channel propose --node http://127.0.0.1:8440 --policy q/policy --signer q/orgs/ca-a/governance.key b2b/proposal",
		Args:    args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, a []string) error {
			o, err := readChannelOperation(a[0])
			if err != nil {
				return err
			}
			c, key, err := governor(&r, signer)
			if err != nil {
				return err
			}
			set, channel, err := c.Members(cmd.Context())
			if err != nil {
				return err
			}
			member, err := memberOf(set, key)
			if err != nil {
				return err
			}
			if title == "" {
				title = fmt.Sprintf("channel %s", o.Name)
			}
			p := ledger.Propose{Title: title, Bodies: [][]byte{ledger.EncodeBody(ledger.OpChannel, o)},
				Expires: ledger.MillisOf(time.Now().Add(expires)), Hold: ledger.Millis(hold.Milliseconds())}
			rand.Read(p.Nonce[:])
			body := ledger.EncodeBody(ledger.OpPropose, p)
			if len(body) > ledger.MaxBody {
				return usage{fmt.Errorf("the proposal has %d bytes, at most %d", len(body), ledger.MaxBody)}
			}
			g := &governed{cmd: cmd, client: c, names: memberByNumber(set)}
			if dry {
				return g.dryRun(body, member, channel, key)
			}
			return g.propose(body, key)
		},
	}
	r.flags(cmd)
	cmd.Flags().StringVar(&signer, "signer", "", "governance key file of the member that proposes")
	cmd.Flags().StringVar(&title, "title", "", "what it is about, for people; default: the channel's name")
	cmd.Flags().DurationVar(&expires, "expires", 7*24*time.Hour, "how long members may vote; at most 2160h")
	cmd.Flags().DurationVar(&hold, "hold", 0, "how long it waits between decision and effect")
	cmd.Flags().BoolVar(&dry, "dry-run", false, "write nothing; say whether the ledger would take it")
	return cmd
}

func newChannelAnnounce() *cobra.Command {
	var r remote
	var signer string
	cmd := &cobra.Command{
		Use:   "announce --node URL --policy FILE --signer GOVERNANCE.KEY PROPOSAL",
		Short: "Have the main channel state that a channel was created",
		Long: `Write a statement of the channel on the main channel's log, signed by any of its members. It is accepted only when it is what is in
force, word for word: a vote decides, and may have to wait, or may fail when its time comes; the statement's receipt proves what came of it.
With it anybody who has the main channel's policy can verify what is published on the new channel.`,
		Example: "  quorate channel announce --node http://127.0.0.1:8440 --policy q/policy --signer q/orgs/ca-a/governance.key b2b/proposal",
		Args:    args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, a []string) error {
			o, err := readChannelOperation(a[0])
			if err != nil {
				return err
			}
			c, key, err := governor(&r, signer)
			if err != nil {
				return err
			}
			g := &governed{cmd: cmd, client: c}
			v, err := g.operate(ledger.EncodeBody(ledger.OpChannel, o), key)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "stated    channel %s in leaf %d\n", o.Name, v.Leaf)
			return err
		},
	}
	r.flags(cmd)
	cmd.Flags().StringVar(&signer, "signer", "", "governance key file of a member of the main channel")
	return cmd
}

func newChannelList() *cobra.Command {
	var r remote
	cmd := &cobra.Command{
		Use:   "list --node URL --policy FILE",
		Short: "List the consortium's further channels, with proof",
		Long: `List the further channels that the main channel has created: name, id, members. Each line says how it is known: "proved" by a statement
on the log, or "told" by a node while no member has announced the channel. That there is no other is told.`,
		Example: "  quorate channel list --node http://127.0.0.1:8440 --policy q/policy",
		Args:    args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := r.client()
			if err != nil {
				return err
			}
			all, err := c.Further(cmd.Context())
			if err != nil {
				return err
			}
			set, _, err := c.Members(cmd.Context())
			if err != nil {
				return err
			}
			g := &governed{cmd: cmd, client: c, names: memberByNumber(set)}
			for _, f := range all {
				known := fmt.Sprintf("proved by leaf %d", f.Restated)
				if _, err := c.Statement(cmd.Context(), &f); err != nil {
					if code, _ := reason.CodeOf(err); code != reason.ChannelNotCreated {
						return err
					}
					known = "told"
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%s  id %x  members %s  %s\n", f.Name, f.ID, g.members(f.Members), known)
			}
			return nil
		},
	}
	r.flags(cmd)
	return cmd
}

func newChannelProof() *cobra.Command {
	var r remote
	var out string
	cmd := &cobra.Command{
		Use:   "proof --node URL --policy FILE --out FILE NAME",
		Short: "Fetch what proves a channel to whoever has the main channel's policy",
		Long: `Write a file that, with nothing but the main channel's policy, proves a further channel: the main channel's statement of it, and as much
of its genesis as says who its members are and by which keys they cosign. quorate verify takes it, offline, to check receipts of that
channel. The nodes asked must serve both channels, one of them each.`,
		Example: "  quorate channel proof --node http://127.0.0.1:8440 --policy q/policy --out b2b.channel b2b",
		Args:    args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, a []string) error {
			if err := needs(map[string]string{"out": out}); err != nil {
				return err
			}
			c, err := r.client()
			if err != nil {
				return err
			}
			raw, f, err := c.ChannelProof(cmd.Context(), a[0])
			if err != nil {
				return err
			}
			if err := replaceFile(out, raw); err != nil {
				return usage{err}
			}
			tellChannel(cmd.OutOrStdout(), f)
			return nil
		},
	}
	r.flags(cmd)
	cmd.Flags().StringVar(&out, "out", "", "file to write")
	return cmd
}

func tellChannel(w io.Writer, f *verify.Further) {
	fmt.Fprintf(w, "channel    %s, id %s, of %s: stated by leaf %d of the main channel\n", f.Name, hex.EncodeToString(f.ID[:]), strings.Join(memberNames(f.Set), ", "), f.Leaf)
}

// readChannelProof reads a file that `channel proof` wrote and verifies it by what is trusted of the main channel.
func readChannelProof(path string, main *verify.Trust) (*verify.Further, error) {
	raw, err := readSmall(path, ledger.MaxChannelProof)
	if err != nil {
		return nil, err
	}
	return verify.Channel(main, raw)
}

// channelOf is the channel that a policy's log is of.
func channelOf(origin string) string {
	parts := strings.Split(origin, "/")
	if len(parts) < 2 {
		return ""
	}
	return parts[len(parts)-2]
}

// across asks each channel in turn: the main one, and every further one that it created and one of the nodes serves. It tells those that
// could not be asked, and returns the worst of the answers about what was found; what no channel knows is unknown.
type across struct {
	out  io.Writer
	main *client.Client
}

func (x *across) each(ctx context.Context, main string, ask func(*client.Client) error) error {
	all, err := x.main.Further(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(x.out, "channel    %s\n", main)
	answers := []error{ask(x.main)}
	for _, f := range all {
		_, proved, err := x.main.ChannelProof(ctx, f.Name)
		if code, _ := reason.CodeOf(err); code == reason.UnknownChannel || code == reason.ChannelNotCreated {
			fmt.Fprintf(x.out, "channel    %s was not asked: %s\n", f.Name, code)
			continue
		}
		if err != nil {
			return err
		}
		c, err := x.main.Of(proved)
		if err != nil {
			return err
		}
		tellChannel(x.out, proved)
		answers = append(answers, ask(c))
	}
	return worst(answers)
}

// worst is the answer that counts when a certificate was asked for on several channels: that it stands nowhere when it does not stand
// somewhere; that it stands when it does where it is known; that it is unknown when nobody knows it.
func worst(answers []error) error {
	rank := func(err error) int {
		if err == nil {
			return 1
		}
		v, ok := errors.AsType[verdict](err)
		switch {
		case ok && v.code == exitUnknown:
			return 0
		case ok:
			return 2
		}
		return 3 // it could not be asked
	}
	return slices.MaxFunc(answers, func(a, b error) int { return rank(a) - rank(b) })
}
