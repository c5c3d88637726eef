package main

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/quorate-pki/quorate/ca"
	"github.com/quorate-pki/quorate/ca/profile"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/client"
)

func newMember() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "member",
		Short: "Change the members: make keys, the next member set, and sign it",
		Long: `A member comes, goes, takes another's place or gets new keys, one step at a time: quorate member change makes the document that follows the one in
force, the member that is new or has new keys signs it by quorate member sign, and the members vote on it as on any proposal
({"operations": [{"member-set": {"file": "next"}}]}). docs/members.md is the manual.`,
		Example: "  quorate member keys ca-e-keys",
		Args:    args(cobra.NoArgs),
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newMemberKeys(), newMemberChange(), newMemberSign())
	return cmd
}

// purposeNames are the purposes of a member's keys, by the names of their files less ".key".
func purposeNames() map[string]uint64 {
	out := map[string]uint64{}
	for p, file := range memberKeys {
		out[strings.TrimSuffix(file, ".key")] = p
	}
	return out
}

func newMemberKeys() *cobra.Command {
	var only []string
	cmd := &cobra.Command{
		Use:   "keys [--only NAME,...] DIR",
		Short: "Make a member's six keys, or some of them",
		Long: `Make a member's keys in DIR: log, cosigning, block, tls, responder and governance, each NAME.key (mode 0600) and NAME.pub, which the others may see.
Nothing is overwritten. The governance key is its people's: take it off the node.`,
		Example: "  quorate member keys ca-e-keys\n  quorate member keys --only cosigning,tls new-keys",
		Args:    args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, a []string) error {
			purposes := purposeNames()
			names := slices.Sorted(maps.Keys(purposes))
			if len(only) > 0 {
				names = only
			}
			if err := os.MkdirAll(a[0], 0o700); err != nil {
				return usage{err}
			}
			for _, name := range names {
				purpose, ok := purposes[name]
				if !ok {
					return usage{fmt.Errorf("there is no key %q; there are %s", name, strings.Join(slices.Sorted(maps.Keys(purposes)), ", "))}
				}
				if err := makeMemberKey(cmd.OutOrStdout(), filepath.Join(a[0], name), purpose); err != nil {
					return err
				}
			}
			return nil
		},
	}
	cmd.Flags().StringSliceVar(&only, "only", nil, "names of the keys to make; default: all six")
	return cmd
}

func makeMemberKey(out io.Writer, path string, purpose uint64) error {
	key, err := ca.GenerateKey(memberKeyKind(purpose), rand.Reader)
	if err != nil {
		return err
	}
	spki, err := ca.SPKI(key.Public())
	if err != nil {
		return err
	}
	if err := ca.WriteKey(path+".key", key); err != nil {
		return usage{err}
	}
	if err := replaceFile(path+".pub", encodePublic(spki)); err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%s.key  %s.pub  key id %x\n", path, path, ledger.Sum(spki))
	return err
}

// memberKeyKind is the kind of a member's new key: what stock TLS and OCSP clients know for those two, Ed25519 for the others.
func memberKeyKind(purpose uint64) profile.KeyKind {
	if purpose == ledger.KeyTLS || purpose == ledger.KeyResponder {
		return profile.P256
	}
	return profile.Ed25519
}

func newMemberChange() *cobra.Command {
	var r remote
	var add, remove, rotate, keys, out string
	var quorum uint64
	cmd := &cobra.Command{
		Use:   "change --node URL --policy FILE (--add NAME --keys DIR [--remove NAME] | --remove NAME | --rotate NAME --keys DIR) [--quorum N] --out FILE",
		Short: "Make the member set that follows the one in force by one step",
		Long: `Make the member set that follows the one in force by one step, from that one, proved. --add takes six public keys NAME.pub from --keys, of an
organisation that is registered with the role of a member; --rotate takes those that are there; --add with --remove puts one in another's place.
The quorum is the least there can be, unless --quorum says more. Who joins or has new keys signs the file by quorate member sign.`,
		Example: `  quorate member change --node http://127.0.0.1:8440 --policy q/policy --add ca-e --keys ca-e-keys --out next
  quorate member change --node http://127.0.0.1:8440 --policy q/policy --rotate ca-b --keys new-keys --out next`,
		Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := needs(map[string]string{"out": out}); err != nil {
				return err
			}
			c, err := r.client()
			if err != nil {
				return err
			}
			now, _, _, err := c.MembersInForce(cmd.Context())
			if err != nil {
				return err
			}
			e := &setEditor{cmd: cmd, client: c, keys: keys, next: now.Follower()}
			if err := e.edit(add, remove, rotate, quorum); err != nil {
				return err
			}
			document := ledger.Encode(e.next)
			next, no := ledger.ParseMemberSetStrict(document)
			if no == nil {
				no = now.Step(ledger.Sum(ledger.Encode(now)), next, ledger.NewMemberHistory(now))
			}
			if no != nil {
				return no
			}
			if err := writeChange(out, ledger.MemberSetLink{Document: document, Signatures: []ledger.MemberSignature{}}); err != nil {
				return err
			}
			printMemberChanges(cmd.OutOrStdout(), now, next)
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "member set %d  %d of %d  fingerprint %x\n", next.Number, next.Quorum, len(next.Members), ledger.Sum(document))
			return err
		},
	}
	r.flags(cmd)
	cmd.Flags().StringVar(&add, "add", "", "name of the member that comes")
	cmd.Flags().StringVar(&remove, "remove", "", "name of the member that goes")
	cmd.Flags().StringVar(&rotate, "rotate", "", "name of the member that gets new keys")
	cmd.Flags().StringVar(&keys, "keys", "", "directory of public keys: log.pub, cosigning.pub, block.pub, tls.pub, responder.pub, governance.pub")
	cmd.Flags().Uint64Var(&quorum, "quorum", 0, "how many members make a height final; default: the least there can be, more than two thirds")
	cmd.Flags().StringVar(&out, "out", "", "file to write")
	return cmd
}

// setEditor makes the next member set.
type setEditor struct {
	cmd    *cobra.Command
	client *client.Client
	keys   string // directory
	next   *ledger.MemberSet
}

func (e *setEditor) edit(add, remove, rotate string, quorum uint64) error {
	if (add != "" || rotate != "") != (e.keys != "") {
		return usage{errors.New("--keys goes with --add and --rotate, and with nothing else")}
	}
	if rotate != "" && (add != "" || remove != "") {
		return usage{errors.New("one step at a time: --rotate goes with neither --add nor --remove")}
	}
	if add != "" {
		if err := e.add(add); err != nil {
			return err
		}
	}
	if remove != "" {
		if e.next.ByName(remove) == nil {
			return usage{fmt.Errorf("%q is none of %v", remove, memberNames(e.next))}
		}
		e.next.Members = slices.DeleteFunc(e.next.Members, func(m ledger.Member) bool { return m.Name == remove })
	}
	if rotate != "" {
		if err := e.rotate(rotate); err != nil {
			return err
		}
	}
	if e.next.Quorum = quorum; quorum == 0 {
		e.next.Quorum = uint64(2*len(e.next.Members)/3 + 1)
	}
	return nil
}

// add puts a registered organisation behind the members, under the next number that nobody had.
func (e *setEditor) add(name string) error {
	org, err := e.client.Organisation(e.cmd.Context(), name)
	if err != nil {
		return fmt.Errorf("organisation %q: %w", name, err)
	}
	id, err := hex.DecodeString(org.ID)
	if err != nil || len(id) != len(ledger.OrgID{}) {
		return fmt.Errorf("organisation %q has the id %q", name, org.ID)
	}
	last, err := e.client.LastMemberNumber(e.cmd.Context())
	if err != nil {
		return err
	}
	m := ledger.Member{Number: last + 1, Name: name, Org: ledger.OrgID(id), Keys: map[uint64][]byte{}}
	for file, purpose := range purposeNames() {
		if m.Keys[purpose], err = readPublic(filepath.Join(e.keys, file+".pub")); err != nil {
			return err
		}
	}
	e.next.Members = append(e.next.Members, m)
	return nil
}

func (e *setEditor) rotate(name string) error {
	m := e.next.ByName(name)
	if m == nil {
		return usage{fmt.Errorf("%q is none of %v", name, memberNames(e.next))}
	}
	found := 0
	for file, purpose := range purposeNames() {
		path := filepath.Join(e.keys, file+".pub")
		if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
			continue
		}
		spki, err := readPublic(path)
		if err != nil {
			return err
		}
		m.Keys[purpose] = spki
		found++
	}
	if found == 0 {
		return usage{fmt.Errorf("%s has none of log.pub, cosigning.pub, block.pub, tls.pub, responder.pub, governance.pub", e.keys)}
	}
	return nil
}

func newMemberSign() *cobra.Command {
	var signer string
	cmd := &cobra.Command{
		Use:   "sign --signer GOVERNANCE-KEY FILE",
		Short: "Sign a member set that is to be proposed, as the member that is new or has new keys",
		Long: `Sign a member set that is to be proposed, by the governance key that the member has in it: with it the member says that these are its keys. What the
document says is printed first. The members that vote sign by their vote.`,
		Example: "  quorate member sign --signer ca-e-keys/governance.key next",
		Args:    args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, a []string) error {
			if err := needs(map[string]string{"signer": signer}); err != nil {
				return err
			}
			l, m, err := readChange(a[0])
			if err != nil {
				return err
			}
			key, _, err := readSigner(signer)
			if err != nil {
				return err
			}
			if _, err := memberOf(m, key); err != nil {
				return err
			}
			s, err := ledger.SignMemberSet(l.Document, key)
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			for _, x := range m.Members {
				fmt.Fprintf(out, "member     %d %s\n", x.Number, x.Name)
			}
			fmt.Fprintf(out, "member set %d  %d of %d  fingerprint %x\n", m.Number, m.Quorum, len(m.Members), ledger.Sum(l.Document))
			l.Signatures = ledger.JoinSignatures(l.Signatures, []ledger.MemberSignature{s})
			return writeChange(a[0], *l)
		},
	}
	cmd.Flags().StringVar(&signer, "signer", "", "governance key file of the member that is new or has new keys")
	return cmd
}

// A member set that is to be proposed is kept as a chain of one.
func writeChange(path string, l ledger.MemberSetLink) error {
	return replaceFile(path, (&ledger.MemberChain{Version: 1, Links: []ledger.MemberSetLink{l}}).Encode())
}

func readChange(path string) (*ledger.MemberSetLink, *ledger.MemberSet, error) {
	raw, err := readSmall(path, ledger.MaxMemberChain)
	if err != nil {
		return nil, nil, err
	}
	chain, err := ledger.ParseMemberChain(raw)
	if err != nil || len(chain.Links) != 1 {
		return nil, nil, usage{fmt.Errorf("%s is no member set that quorate member change wrote (%v)", path, err)}
	}
	m, no := ledger.ParseMemberSetStrict(chain.Links[0].Document)
	if no != nil {
		return nil, nil, no
	}
	return &chain.Links[0], m, nil
}

// printMemberChanges says who comes, who goes, and who has which new keys.
func printMemberChanges(out io.Writer, now, next *ledger.MemberSet) {
	for _, m := range now.Members {
		if next.ByNumber(m.Number) == nil {
			fmt.Fprintf(out, "- member %d %s\n", m.Number, m.Name)
		}
	}
	for _, m := range next.Members {
		old := now.ByNumber(m.Number)
		if old == nil {
			fmt.Fprintf(out, "+ member %d %s\n", m.Number, m.Name)
			continue
		}
		for p := ledger.KeyLog; p <= ledger.KeyGovernance; p++ {
			if string(old.Keys[p]) != string(m.Keys[p]) {
				fmt.Fprintf(out, "~ member %d %s: new %s key %x\n", m.Number, m.Name, strings.TrimSuffix(memberKeys[p], ".key"), ledger.Sum(m.Keys[p]))
			}
		}
	}
	if now.Quorum != next.Quorum {
		fmt.Fprintf(out, "~ quorum %d, now %d\n", next.Quorum, now.Quorum)
	}
}
