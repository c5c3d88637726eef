package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/spf13/cobra"

	"github.com/quorate-pki/quorate/ca"
	"github.com/quorate-pki/quorate/internal/durable"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/state"
)

func newChannel() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "channel",
		Short: "Further channels: a ledger of some of the members, created by all",
		Long: `A further channel is a ledger of its own: some of the consortium's members, their own organisations, rules and log. The members of the
main channel create it by a vote; those outside learn its name, its id and who is in it, and store nothing of it.
docs/channels.md is the manual.

  draft     say what the channel begins with           one member
  sign      agree to it                                each of its members
  create    put the signatures together                one member
  propose   ask the main channel for it                one member; then the members of the main channel vote
  announce  have the main channel state that it is so  any member
  join      run it                                     each of its members
  list      which there are, with proof                anybody
  proof     all that a relying party needs to know     anybody`,
		Example: "  quorate channel list --node http://127.0.0.1:8440 --policy q/policy",
		Args:    args(cobra.NoArgs),
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newChannelDraft(), newChannelSign(), newChannelCreate(), newChannelPropose(), newChannelAnnounce(), newChannelJoin(),
		newChannelList(), newChannelProof())
	return cmd
}

// Files that `channel create` makes; the genesis block is called as everywhere.
const (
	proposalName = "proposal" // the operation that the main channel votes on
)

// readMain reads the main channel's genesis block.
func readMain(path string) (*channel, error) {
	raw, err := readSmall(path, ledger.MaxBlock)
	if err != nil {
		return nil, err
	}
	c, err := newChannelOf(raw)
	if err != nil {
		return nil, usage{err}
	}
	return c, nil
}

func newChannelDraft() *cobra.Command {
	var genesis, main, keys, out string
	cmd := &cobra.Command{
		Use:   "draft --main GENESIS.BLOCK --genesis FILE --keys DIR --out FILE",
		Short: "Say what a further channel begins with",
		Long: `Write the draft of a further channel's genesis: what its members then sign. The genesis file is one as "quorate up" takes
(docs/genesis.md), of the main channel's consortium and with another channel's name. Its members are members of the main channel and
have the keys that they have there. The keys of other organisations are read from DIR/NAME/, or made there when they are missing:
admin-1.key, line.key, ...

It is judged by the rules before it is written, signatures apart.`,
		Example: "  quorate channel draft --main q/genesis.block --genesis b2b.json --keys q/orgs --out b2b.draft",
		Args:    args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := needs(map[string]string{"genesis": genesis, "main": main, "keys": keys, "out": out}); err != nil {
				return err
			}
			first, err := readMain(main)
			if err != nil {
				return err
			}
			d, err := draft(genesis, keys, first.id, first.set, time.Now())
			if err != nil {
				return usage{err}
			}
			if err := replaceFile(out, d.Encode()); err != nil {
				return usage{err}
			}
			return summarise(cmd.OutOrStdout(), d)
		},
	}
	cmd.Flags().StringVar(&main, "main", "", "genesis block of the main channel")
	cmd.Flags().StringVar(&genesis, "genesis", "", "genesis file of the further channel (docs/genesis.md)")
	cmd.Flags().StringVar(&keys, "keys", "", "directory of the organisations' directories of keys")
	cmd.Flags().StringVar(&out, "out", "", "file to write")
	return cmd
}

func draft(genesis, keys string, main ledger.Hash, set *ledger.MemberSet, now time.Time) (*ledger.ChannelDraft, error) {
	spec, err := readSmall(genesis, ledger.MaxSubmission)
	if err != nil {
		return nil, err
	}
	g, err := parseGenesisFile(spec)
	if err != nil {
		return nil, err
	}
	if g.Consortium == "" {
		g.Consortium = set.Consortium
	}
	if g.Consortium != set.Consortium || g.Channel == set.Channel {
		return nil, fmt.Errorf("%s is of %s/%s: a further channel of %s has another name than %s", genesis, g.Consortium, g.Channel, set.Consortium, set.Channel)
	}
	f, _, _, err := g.keys(keySource{dir: keys, reuse: true, main: set})
	if err != nil {
		return nil, err
	}
	f.Main, f.Time = main, ledger.MillisOf(now)
	rand.Read(f.Nonce[:])
	if err := rehearse(*f); err != nil {
		return nil, err
	}
	return f.Draft()
}

// rehearse judges a founding as if its members had signed: with other governance and block keys than theirs.
func rehearse(f ledger.Founding) error {
	var gov []ledger.Signer
	var block ed25519.PrivateKey
	f.Members = slices.Clone(f.Members)
	for i := range f.Members {
		m := &f.Members[i]
		keys := map[uint64][]byte{}
		for purpose, spki := range m.Keys {
			keys[purpose] = spki
		}
		m.Keys = keys
		for _, purpose := range []uint64{ledger.KeyGovernance, ledger.KeyBlock} {
			pub, key, err := ed25519.GenerateKey(rand.Reader)
			if err != nil {
				return err
			}
			m.Keys[purpose] = ledger.Ed25519SPKI(pub)
			if purpose == ledger.KeyBlock {
				block = key
				continue
			}
			s, err := ledger.NewSigner(key, m.Keys[purpose])
			if err != nil {
				return err
			}
			gov = append(gov, s)
		}
	}
	raw, err := ledger.Found(f, gov, block)
	if err != nil {
		return err
	}
	_, err = genesisMembers(raw)
	return err
}

// summarise says what a draft founds, for those who are to sign it.
func summarise(w io.Writer, d *ledger.ChannelDraft) error {
	set := d.Members()
	fmt.Fprintf(w, "channel      %s of %s\n", set.Channel, set.Consortium)
	fmt.Fprintf(w, "id           %x\n", d.ID())
	fmt.Fprintf(w, "created by   channel %x\n", d.Main)
	for _, m := range set.Members {
		fmt.Fprintf(w, "member       %d %s\n", m.Number, m.Name)
	}
	fmt.Fprintf(w, "quorum       %d of %d\n", set.Quorum, len(set.Members))
	seed, names := d.Seed(), map[ledger.OrgID]string{}
	for i, body := range d.Bodies {
		_, args, err := ledger.ParseBody(body)
		if err != nil {
			return usage{err}
		}
		switch a := args.(type) {
		case *ledger.Consortium:
			fmt.Fprintf(w, "rules        version %d\n", a.RuleVersion)
		case *ledger.Organisation:
			names[ledger.RecordID(seed, uint16(i))] = a.Name
			fmt.Fprintf(w, "organisation %s (%s), %d of %d admin keys act for it\n", a.Name, a.LegalName, a.AdminM, len(a.AdminKeys))
		case *ledger.Namespace:
			fmt.Fprintf(w, "namespace    %q, type %d, of %s\n", a.Value, a.Type, names[a.Owner])
		case *ledger.LineKey:
			fmt.Fprintf(w, "line key     %x of %s\n", ledger.Sum(a.SPKI), names[a.Owner])
		}
	}
	return nil
}

// readDraft reads a draft and holds it against the main channel: its members are that one's, key for key.
func readDraft(path, main string) (*ledger.ChannelDraft, *ledger.MemberSet, error) {
	first, err := readMain(main)
	if err != nil {
		return nil, nil, err
	}
	set := first.set
	raw, err := readSmall(path, ledger.MaxDraft)
	if err != nil {
		return nil, nil, err
	}
	d, err := ledger.ParseChannelDraft(raw)
	if err != nil {
		return nil, nil, usage{fmt.Errorf("%s: %w", path, err)}
	}
	if d.Main != first.id {
		return nil, nil, usage{fmt.Errorf("%s is to be created by channel %x, not by %x", path, d.Main, first.id)}
	}
	if err := within(d.Members(), set); err != nil {
		return nil, nil, usage{fmt.Errorf("%s: %w", path, err)}
	}
	for _, m := range d.Members().Members {
		i := slices.IndexFunc(set.Members, func(x ledger.Member) bool { return x.Number == m.Number && x.Name == m.Name })
		if i < 0 {
			return nil, nil, usage{fmt.Errorf("%s: the main channel has no member %d %s", path, m.Number, m.Name)}
		}
		for purpose, spki := range m.Keys {
			if string(spki) != string(set.Members[i].Keys[purpose]) {
				return nil, nil, usage{fmt.Errorf("%s: %s of %s is not the one that it has on the main channel", path, memberKeys[purpose], m.Name)}
			}
		}
	}
	return d, set, nil
}

func newChannelSign() *cobra.Command {
	var path, main, signer, out string
	cmd := &cobra.Command{
		Use:   "sign --main GENESIS.BLOCK --draft FILE --signer GOVERNANCE.KEY --out FILE",
		Short: "Agree to be a member of a further channel",
		Long: `Sign a draft by a member's governance key, and print what it says. The file that is written holds two signatures: one on the genesis
transaction, one that tells the main channel that this member agrees. It goes back to whoever drafted.`,
		Example: "  quorate channel sign --main q/genesis.block --draft b2b.draft --signer q/orgs/ca-a/governance.key --out ca-a.sig",
		Args:    args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := needs(map[string]string{"draft": path, "main": main, "signer": signer, "out": out}); err != nil {
				return err
			}
			d, _, err := readDraft(path, main)
			if err != nil {
				return err
			}
			key, _, err := readSigner(signer)
			if err != nil {
				return err
			}
			sig, err := d.Sign(key)
			if err != nil {
				return usage{fmt.Errorf("%s: %w", signer, err)}
			}
			if err := replaceFile(out, ledger.Encode(sig)); err != nil {
				return usage{err}
			}
			return summarise(cmd.OutOrStdout(), d)
		},
	}
	cmd.Flags().StringVar(&main, "main", "", "genesis block of the main channel")
	cmd.Flags().StringVar(&path, "draft", "", "the draft")
	cmd.Flags().StringVar(&signer, "signer", "", "governance key file of a member of the channel")
	cmd.Flags().StringVar(&out, "out", "", "file to write")
	return cmd
}

func newChannelCreate() *cobra.Command {
	var path, main, block, out string
	cmd := &cobra.Command{
		Use:   "create --main GENESIS.BLOCK --draft FILE --block-key BLOCK.KEY --out DIR SIGNATURE...",
		Short: "Make the genesis block of what all its members signed",
		Long: `Make the genesis block of a draft that all of the channel's members signed, and what the main channel is to vote on. In DIR: the
genesis block for the members of the channel and nobody else; "proposal" for quorate channel propose; the channel's policy file.
The block is judged as every node will judge it.`,
		Example: "  quorate channel create --main q/genesis.block --draft b2b.draft --block-key q/orgs/ca-a/block.key --out b2b ca-a.sig ca-b.sig",
		Args:    args(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, files []string) error {
			if err := needs(map[string]string{"draft": path, "main": main, "block-key": block, "out": out}); err != nil {
				return err
			}
			d, set, err := readDraft(path, main)
			if err != nil {
				return err
			}
			raw, c, err := complete(d, set, block, files)
			if err != nil {
				return usage{err}
			}
			if err := os.MkdirAll(out, 0o700); err != nil {
				return usage{err}
			}
			for name, data := range map[string][]byte{genesisName: raw, proposalName: ledger.EncodeBody(ledger.OpChannel, c), policyName: d.Members().Policy(0).Format()} {
				if err := replaceFile(filepath.Join(out, name), data); err != nil {
					return usage{err}
				}
			}
			fmt.Fprintf(cmd.OutOrStdout(), "channel %s of %v has id %x; its genesis block has SHA-256 %x\n", c.Name, memberNames(d.Members()), c.ID, c.Genesis)
			return nil
		},
	}
	cmd.Flags().StringVar(&main, "main", "", "genesis block of the main channel")
	cmd.Flags().StringVar(&path, "draft", "", "the draft")
	cmd.Flags().StringVar(&block, "block-key", "", "block key file of a member of the channel")
	cmd.Flags().StringVar(&out, "out", "", "directory to write to; made if it is missing")
	return cmd
}

func complete(d *ledger.ChannelDraft, main *ledger.MemberSet, block string, files []string) ([]byte, *ledger.Channel, error) {
	key, err := ca.ReadSigner(block)
	if err != nil {
		return nil, nil, err
	}
	own, ok := key.(ed25519.PrivateKey)
	if !ok {
		return nil, nil, fmt.Errorf("%s is no Ed25519 key", block)
	}
	var sigs []*ledger.DraftSignature
	for _, f := range files {
		raw, err := readSmall(f, 4<<10)
		if err != nil {
			return nil, nil, err
		}
		s, err := ledger.ParseDraftSignature(raw)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", f, err)
		}
		sigs = append(sigs, s)
	}
	raw, c, err := d.Complete(sigs, own)
	if err != nil {
		return nil, nil, err
	}
	if _, err := genesisMembers(raw); err != nil {
		return nil, nil, err
	}
	if no := state.Consented(d.Main, main, c); no != nil {
		return nil, nil, no
	}
	return raw, c, nil
}

func newChannelJoin() *cobra.Command {
	var config, dir, name, listen string
	var lost bool
	cmd := &cobra.Command{
		Use:   "join --config FILE | --dir DIR --member NAME  [--listen HOST:PORT] [--lost] GENESIS.BLOCK",
		Short: "Run a further channel",
		Long: `Give a member the genesis block of a further channel that it is a member of. A node that runs picks it up by itself, once the main
channel has created the channel; one that does not, when it is started. Its users are answered where the node's are, or with
--listen at an address of their own: take one that members outside cannot reach.

With --lost the member took part in this channel before and has lost its data of it: as quorate join, for this channel alone.`,
		Example: "  quorate channel join --config node.json --listen 10.1.2.3:8450 b2b/genesis.block\n  quorate channel join --dir q --member ca-a b2b/genesis.block",
		Args:    args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, a []string) error {
			p, err := placeOf(config, dir, name)
			if err != nil {
				return err
			}
			raw, err := readSmall(a[0], ledger.MaxBlock)
			if err != nil {
				return err
			}
			c, err := p.add(raw, channelSettings{Listen: listen}, lost)
			if err != nil {
				return usage{err}
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s will take part in channel %s, id %x\n", p.member, c.name, c.id)
			return nil
		},
	}
	cmd.Flags().StringVar(&config, "config", "", "configuration of the member (docs/node.md)")
	cmd.Flags().StringVar(&dir, "dir", "", "directory of a consortium that quorate up founded")
	cmd.Flags().StringVar(&name, "member", "", "name of the member, with --dir")
	cmd.Flags().StringVar(&listen, "listen", "", "host:port for the channel's users; default: where the node's own are")
	cmd.Flags().BoolVar(&lost, "lost", false, "the member has lost its data of this channel")
	return cmd
}

// channelPlace is where a member's further channels are.
type channelPlace struct {
	dir    string
	first  *channel
	member string
}

func placeOf(config, dir, name string) (*channelPlace, error) {
	if config != "" {
		if dir != "" || name != "" {
			return nil, usage{errors.New("--config says what --dir and --member say")}
		}
		c, err := readNodeConfig(config)
		if err != nil {
			return nil, err
		}
		if c.Channels == "" {
			return nil, usage{fmt.Errorf("%s: channels is missing: the directory of further channels", config)}
		}
		return &channelPlace{c.Channels, &channel{name: c.set.Channel, id: c.channel, set: c.set}, c.Member}, nil
	}
	if err := needs(map[string]string{"dir": dir, "member": name}); err != nil {
		return nil, err
	}
	first, err := readMain(filepath.Join(dir, genesisName))
	if err != nil {
		return nil, err
	}
	if !slices.Contains(memberNames(first.set), name) {
		return nil, usage{fmt.Errorf("%q is no member; there are %v", name, memberNames(first.set))}
	}
	return &channelPlace{filepath.Join(dir, channelsName, name), first, name}, nil
}

// add makes a channel's directory. It is made beside its place and renamed into it, so that a node that runs sees all of it or nothing.
func (p *channelPlace) add(genesis []byte, s channelSettings, lost bool) (*channel, error) {
	set, err := genesisMembers(genesis)
	if err != nil {
		return nil, err
	}
	if lost && len(set.Members) == 1 {
		return nil, errAlone
	}
	place := filepath.Join(p.dir, set.Channel)
	tmp := place + joining
	if _, err := os.Lstat(place); err == nil {
		return nil, fmt.Errorf("%s is there: move it away first", place)
	} else if !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	if err := os.RemoveAll(tmp); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(tmp, 0o700); err != nil {
		return nil, err
	}
	files := map[string][]byte{genesisName: genesis, policyName: set.Policy(0).Format()}
	if s != (channelSettings{}) {
		files[channelConfig] = s.encode()
	}
	for name, data := range files {
		if err := replaceFile(filepath.Join(tmp, name), data); err != nil {
			return nil, err
		}
	}
	c, err := readChannel(tmp, strings.TrimSuffix(filepath.Base(tmp), joining), p.first, p.member)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(tmp))
	}
	if err := initData(filepath.Join(tmp, channelData), filepath.Join(tmp, channelData+joining), genesis, lost); err != nil {
		return nil, err
	}
	if err := os.Rename(tmp, place); err != nil {
		return nil, err
	}
	for d := p.dir; ; d = filepath.Dir(d) { // as far up as MkdirAll may have gone
		if err := durable.SyncDir(vfs.Default, d); err != nil {
			return nil, err
		}
		if d == filepath.Dir(p.dir) || d == filepath.Dir(d) {
			return c, nil
		}
	}
}
