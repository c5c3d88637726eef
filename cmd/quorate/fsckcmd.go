package main

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/spf13/cobra"

	"github.com/quorate-pki/quorate/ca"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/fsck"
	"github.com/quorate-pki/quorate/ledger/layout"
	"github.com/quorate-pki/quorate/ledger/tlog"
)

func newFsck() *cobra.Command {
	var deep bool
	var config string
	cmd := &cobra.Command{
		Use:   "fsck [--deep] DIR | --config FILE",
		Short: "Check everything that a stopped consortium, or a stopped member, keeps on this machine",
		Long: `Check a directory that "quorate up" founded, or with --config the data of a member deployed by "quorate node", while nothing
runs on it. From the tiles alone it rebuilds the header
chain, the state, the status chunks and every hash tile, and compares them with what each node keeps; then keys, policy
and responder certificate with what genesis registered. It names what differs and repairs nothing.

A line "DIFFERS path: what" for each difference; "note path: what" for what a crash may leave and the next start puts
right. Exit 0 if nothing differs, 1 if something does, 2 if the directory is in use.`,
		Example: "  quorate fsck /tmp/q\n  quorate fsck --config /etc/quorate/node.json",
		Args:    args(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, a []string) error {
			start := time.Now()
			f := &foundedCheck{deep: deep}
			if (len(a) == 1) == (config != "") {
				return usage{errors.New("one of a directory and --config is needed")}
			}
			var err error
			if config != "" {
				err = f.member(config)
			} else {
				f.dir = filepath.Clean(a[0])
				err = f.check()
			}
			if err != nil {
				return usage{err}
			}
			f.tell(cmd.OutOrStdout(), time.Since(start))
			if fsck.Differs(f.findings) {
				return verdict{exitNo}
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&config, "config", "", "configuration file of a member (docs/node.md)")
	cmd.Flags().BoolVar(&deep, "deep", false, "verify every signature and judge every block again")
	return cmd
}

// foundedCheck checks a directory that found made.
type foundedCheck struct {
	dir      string
	deep     bool
	findings []fsck.Finding
	nodes    []string
	sums     []fsck.Summary
	further  map[string]*foundedCheck // of further channels, by name: their nodes, and nothing else
}

func (f *foundedCheck) tell(w io.Writer, took time.Duration) {
	n := 0
	for _, x := range f.findings {
		fmt.Fprintln(w, x)
		if !x.Note {
			n++
		}
	}
	f.summaries(w, "")
	for _, name := range slices.Sorted(maps.Keys(f.further)) {
		f.further[name].summaries(w, ", channel "+name)
	}
	if n == 0 {
		fmt.Fprintf(w, "nothing differs (%.1f s)\n", took.Seconds())
	} else {
		fmt.Fprintf(w, "%d differ (%.1f s)\n", n, took.Seconds())
	}
}

func (f *foundedCheck) summaries(w io.Writer, of string) {
	for i, s := range f.sums {
		fmt.Fprintf(w, "%s%s: height %d, %d leaves, %d certificates, %d records compared", f.nodes[i], of, s.Height, s.Size, s.Certificates, s.Records)
		if f.deep {
			fmt.Fprintf(w, ", %d blocks judged again", s.Judged)
		}
		fmt.Fprintln(w)
	}
}

func (f *foundedCheck) differs(path, format string, args ...any) {
	f.findings = append(f.findings, fsck.Finding{Path: path, What: fmt.Sprintf(format, args...)})
}

func (f *foundedCheck) note(path, what string) {
	f.findings = append(f.findings, fsck.Finding{Path: path, What: what, Note: true})
}

// check is an error only when the directory cannot be checked at all.
func (f *foundedCheck) check() error {
	nodes, err := os.ReadDir(filepath.Join(f.dir, "nodes"))
	if err != nil {
		return fmt.Errorf("%s is not a directory that `quorate up` founded: %w", f.dir, err)
	}
	for _, n := range nodes {
		if !n.IsDir() {
			f.differs("nodes/"+n.Name(), "is no node's directory")
			continue
		}
		if err := f.node(n.Name()); err != nil {
			return err
		}
	}
	f.around()
	return f.channels()
}

// around checks what lies beside the nodes.
func (f *foundedCheck) around() {
	f.alike("nodes/")
	g, err := f.genesis()
	if err != nil {
		f.note(genesisName, "no sound genesis block: keys, policy and responder were not compared with it")
		return
	}
	for _, m := range g.members.Members {
		if !slices.Contains(f.nodes, m.Name) {
			f.differs("nodes/"+m.Name, "is missing")
		}
	}
	f.policy(g.members, g.expires)
	f.keys(g.keys)
	f.responder(g.members)
	f.strays()
}

// alike compares the nodes of a channel with one another: one consortium, one log.
func (f *foundedCheck) alike(prefix string) {
	var genesis []byte
	roots := map[uint64]string{}
	for i, s := range f.sums {
		path := prefix + f.nodes[i]
		switch {
		case s.Genesis == nil:
			continue // told already
		case genesis == nil:
			genesis = s.Genesis
		case !bytes.Equal(genesis, s.Genesis):
			f.differs(path, "is of another consortium than %s: it has another genesis block", prefix+f.nodes[0])
			continue
		}
		root := fmt.Sprintf("%x", s.Root)
		if other, ok := roots[s.Size]; ok && other != root {
			f.differs(path, "has another root at size %d than a node before it", s.Size)
		}
		roots[s.Size] = root
	}
}

// node checks one node's directory.
func (f *foundedCheck) node(name string) error {
	return f.data(name, filepath.Join(f.dir, "nodes", name), "nodes/"+name+"/")
}

// data checks a node's directory, whose findings are told under a prefix.
func (f *foundedCheck) data(name, dir, prefix string) error {
	findings, sum, err := fsck.Check(fsck.Config{FS: vfs.Default, Dir: dir, Member: name, Deep: f.deep})
	if err != nil {
		return err
	}
	for _, x := range findings {
		x.Path = prefix + x.Path
		f.findings = append(f.findings, x)
	}
	f.nodes, f.sums = append(f.nodes, name), append(f.sums, sum)
	return nil
}

// member checks what a deployed member keeps.
func (f *foundedCheck) member(config string) error {
	c, err := readNodeConfig(config)
	if err != nil {
		return err
	}
	if err := f.data(c.Member, c.Data, ""); err != nil {
		return err
	}
	if g := f.sums[0].Genesis; g != nil && !bytes.Equal(g, c.genesis) {
		f.differs(layout.Genesis, "is another genesis block than the configuration's")
	}
	if c.Channels == "" {
		return nil
	}
	return f.channelsOf(c.Member, c.Channels, filepath.Base(c.Channels)+"/", &channel{name: c.set.Channel, id: c.channel, set: c.set})
}

// founded is what genesis says of the files around the nodes.
type founded struct {
	members *ledger.MemberSet
	expires int64             // of the policy that the founding wrote, seconds since 1970
	keys    map[string][]byte // path of a key file -> SPKI
}

// genesis takes the genesis block that the nodes have, and compares the one beside them with it.
func (f *foundedCheck) genesis() (*founded, error) {
	own, ownErr := os.ReadFile(filepath.Join(f.dir, genesisName))
	raw := own
	for _, s := range f.sums {
		if s.Genesis != nil {
			raw = s.Genesis
			break
		}
	}
	members, err := genesisMembers(raw)
	switch {
	case ownErr != nil:
		f.differs(genesisName, "cannot be read: %v", ownErr)
	case !bytes.Equal(own, raw):
		f.differs(genesisName, "is not the nodes' genesis block")
	case err != nil:
		f.differs(genesisName, "is not sound: %v", err)
	}
	if err != nil {
		return nil, err
	}
	b, err := ledger.ParseBlock(raw)
	if err != nil {
		return nil, err
	}
	return &founded{members, b.Header.Time.Time().Add(policyLife).Unix(), foundedKeys(b, members)}, nil
}

// foundedKeys are the key files that found makes, in its order and by its names, with the keys that genesis registers.
func foundedKeys(b *ledger.Block, members *ledger.MemberSet) map[string][]byte {
	keys := map[string][]byte{}
	for _, m := range members.Members {
		for purpose, name := range memberKeys {
			keys["orgs/"+m.Name+"/"+name] = m.Keys[purpose]
		}
	}
	names, lines := map[ledger.OrgID]string{}, map[ledger.OrgID]int{}
	seed := ledger.GenesisSeed(b.Txs[0].Tx.Nonce)
	for i, body := range b.Txs[0].Bodies {
		_, args, err := ledger.ParseBody(body)
		if err != nil {
			continue // genesis was judged: there is none
		}
		switch a := args.(type) {
		case *ledger.Organisation:
			names[ledger.RecordID(seed, uint16(i))] = a.Name
			for k, spki := range a.AdminKeys {
				keys[fmt.Sprintf("orgs/%s/admin-%d.key", a.Name, k+1)] = spki
			}
		case *ledger.LineKey:
			lines[a.Owner]++
			name := "line.key"
			if n := lines[a.Owner]; n > 1 {
				name = fmt.Sprintf("line-%d.key", n)
			}
			keys["orgs/"+names[a.Owner]+"/"+name] = a.SPKI
		}
	}
	return keys
}

// policy checks that the policy file is the one of the founding, or of a later member set, which its own name says.
func (f *foundedCheck) policy(founded *ledger.MemberSet, expires int64) {
	raw, err := os.ReadFile(filepath.Join(f.dir, policyName))
	switch {
	case errors.Is(err, os.ErrNotExist):
		f.differs(policyName, "is missing")
		return
	case err != nil:
		f.differs(policyName, "cannot be read: %v", err)
		return
	}
	p, err := tlog.ParsePolicy(raw)
	switch {
	case err != nil:
		f.differs(policyName, "%v", err)
	case p.Set != nil && p.Set.Number != founded.Number && p.Set.Hash == ledger.Sum(ledger.Encode(founded)):
		f.differs(policyName, "is of the member set of genesis, and says that it is number %d", p.Set.Number)
	case p.Set != nil && p.Set.Number > founded.Number:
		f.note(policyName, fmt.Sprintf("is of member set %d, which genesis does not know", p.Set.Number))
	case !bytes.Equal(raw, founded.PolicyUntil(0, p.Expires).Format()):
		f.differs(policyName, "is not the policy of the member set")
	case p.Expires != expires:
		f.note(policyName, "expires at another time than the founding said: it was renewed, or changed")
	}
}

// keys checks every key file: its form, its mode, and that its key is the one registered.
func (f *foundedCheck) keys(want map[string][]byte) {
	for _, name := range slices.Sorted(maps.Keys(want)) {
		path := filepath.Join(f.dir, filepath.FromSlash(name))
		info, err := os.Lstat(path)
		if errors.Is(err, os.ErrNotExist) {
			f.differs(name, "is missing")
			continue
		}
		if err != nil || !info.Mode().IsRegular() {
			f.differs(name, "is no plain file (%v)", err)
			continue
		}
		if info.Mode().Perm() != 0o600 {
			f.differs(name, "has mode %04o, want 0600", info.Mode().Perm())
		}
		data, err := os.ReadFile(path)
		if err != nil {
			f.differs(name, "cannot be read: %v", err)
			continue
		}
		spki, err := ca.CanonicalKeyFile(data)
		switch {
		case err != nil:
			f.differs(name, "%v", err)
		case !bytes.Equal(spki, want[name]):
			f.differs(name, "is not the key registered for it%s", otherwise(want, spki))
		}
	}
	f.unknownKeys(want)
}

// otherwise says where a key belongs.
func otherwise(want map[string][]byte, spki []byte) string {
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if bytes.Equal(want[name], spki) {
			return "; it is that of " + name
		}
	}
	return ""
}

// unknownKeys names files under orgs that found did not make.
func (f *foundedCheck) unknownKeys(want map[string][]byte) {
	orgs := filepath.Join(f.dir, "orgs")
	err := filepath.WalkDir(orgs, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(f.dir, path)
		if err != nil {
			return err
		}
		name = filepath.ToSlash(name)
		if d.IsDir() {
			return nil
		}
		if _, ok := want[name]; !ok {
			f.differs(name, "is no key that genesis registered")
		}
		return nil
	})
	if err != nil {
		f.differs("orgs", "cannot be read: %v", err)
	}
}

// responder checks the responders' certificates: each self-signed by its member's responder key, in the set's order.
func (f *foundedCheck) responder(members *ledger.MemberSet) {
	ders, err := readResponders(filepath.Join(f.dir, responderName))
	switch {
	case errors.Is(err, os.ErrNotExist):
		f.note(responderName, "is missing; the next start makes it")
		return
	case err != nil:
		f.differs(responderName, "cannot be read: %v", err)
		return
	case len(ders) != len(members.Members):
		f.differs(responderName, "has %d certificates, there are %d members", len(ders), len(members.Members))
		return
	}
	for i, der := range ders {
		c, err := x509.ParseCertificate(der)
		switch {
		case err != nil:
			f.differs(responderName, "does not parse: %v", err)
		case !bytes.Equal(c.RawIssuer, c.RawSubject) || c.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature) != nil:
			f.differs(responderName, "is not signed by its own key")
		case !bytes.Equal(c.RawSubjectPublicKeyInfo, members.Members[i].Keys[ledger.KeyResponder]):
			f.differs(responderName, "is not over the responder key of %s", members.Members[i].Name)
		}
	}
}

// strays names what nothing writes beside the nodes.
func (f *foundedCheck) strays() {
	entries, err := os.ReadDir(f.dir)
	if err != nil {
		f.differs(".", "cannot be read: %v", err)
		return
	}
	for _, e := range entries {
		switch name := e.Name(); name {
		case genesisName, policyName, responderName, channelsName, "orgs", "nodes":
		default:
			if strings.HasSuffix(name, joining) {
				f.note(name, "is left over from a crash; joining again replaces it")
				continue
			}
			if base, ok := strings.CutSuffix(name, ".tmp"); ok && base == responderName {
				f.note(name, "is left over from a crash; the next renewal replaces it")
				continue
			}
			f.differs(name, "is no file of a consortium's")
		}
	}
}
