package main

import (
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/quorate-pki/quorate/ca"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/client"
	"github.com/quorate-pki/quorate/ledger/tlog"
	"github.com/quorate-pki/quorate/verify"
)

// remote are the flags of every verb that talks to nodes.
type remote struct {
	cmd     *cobra.Command
	nodes   []string
	policy  string
	channel string
	proof   string // of the channel, when the policy is the main one's
	wait    time.Duration
}

func (r *remote) flags(cmd *cobra.Command) {
	r.cmd = cmd
	cmd.Flags().StringSliceVar(&r.nodes, "node", nil, "URL of a node, may be repeated; none is trusted")
	cmd.Flags().StringVar(&r.policy, "policy", "", "policy file (C2SP tlog-policy): the one thing trusted")
	cmd.Flags().StringVar(&r.channel, "channel", "", "channel; default: that of the policy. With the main channel's policy and the name of another, that one is proved first")
	cmd.Flags().StringVar(&r.proof, "channel-proof", "", "file that proves the channel (quorate channel proof); default: nodes are asked for it")
	cmd.Flags().DurationVar(&r.wait, "wait", 5*time.Minute, "how long a busy or slow ledger is asked again")
}

func (r *remote) client() (*client.Client, error) {
	first := ""
	if len(r.nodes) > 0 {
		first = r.nodes[0]
	}
	if err := needs(map[string]string{"node": first, "policy": r.policy}); err != nil {
		return nil, err
	}
	p, err := readPolicy(r.policy)
	if err != nil {
		return nil, err
	}
	own := channelOf(p.Origin)
	c, err := client.New(client.Config{Nodes: r.nodes, Channel: own, Policy: p, Wait: r.wait})
	if err != nil {
		return nil, usage{err}
	}
	var f *verify.Further
	switch {
	case r.proof != "":
		if f, err = readChannelProof(r.proof, c.Trust()); err == nil && r.channel != "" && r.channel != f.Name {
			err = usage{fmt.Errorf("%s proves channel %q, not %q", r.proof, f.Name, r.channel)}
		}
	case r.channel == "" || r.channel == own:
		return c, nil
	default:
		_, f, err = c.ChannelProof(r.cmd.Context(), r.channel)
	}
	if err != nil {
		return nil, err
	}
	return c.Of(f)
}

func readPolicy(path string) (*tlog.Policy, error) {
	data, err := readSmall(path, tlog.MaxPolicy)
	if err != nil {
		return nil, err
	}
	p, err := tlog.ParsePolicy(data)
	if err != nil {
		return nil, usage{fmt.Errorf("policy %s: %w", path, err)}
	}
	if _, err := verify.NewTrust(p, time.Now()); err != nil {
		return nil, fmt.Errorf("policy %s: %w", path, err)
	}
	return p, nil
}

// readSmall reads a file the user named, within a limit in bytes.
func readSmall(path string, limit int64) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, usage{err}
	}
	if info.Size() > limit {
		return nil, usage{fmt.Errorf("%s has %d bytes, at most %d", path, info.Size(), limit)}
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, usage{err}
	}
	return data, nil
}

func readCertificate(path string) ([]byte, error) {
	der, err := ca.ReadCertificate(path)
	if err != nil {
		return nil, usage{err}
	}
	return der, nil
}

func readSigners(paths []string) (out []ledger.Signer, err error) {
	if len(paths) > ledger.MaxSigners {
		return nil, usage{fmt.Errorf("%d keys sign, at most %d may", len(paths), ledger.MaxSigners)}
	}
	for _, p := range paths {
		s, _, err := readSigner(p)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(out, func(o ledger.Signer) bool { return o.KeyID() == s.KeyID() }) {
			return nil, usage{fmt.Errorf("%s: this key signs already", p)}
		}
		out = append(out, s)
	}
	return out, nil
}

// readSigner reads a key file and returns its SPKI beside it.
func readSigner(path string) (ledger.Signer, []byte, error) {
	key, err := ca.ReadSigner(path)
	if err != nil {
		return nil, nil, usage{err}
	}
	spki, err := ca.SPKI(key.Public())
	if err != nil {
		return nil, nil, usage{err}
	}
	s, err := ledger.NewSigner(key, spki)
	if err != nil {
		return nil, nil, usage{err}
	}
	return s, spki, nil
}
