package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/spf13/cobra"

	"github.com/quorate-pki/quorate/internal/durable"
	"github.com/quorate-pki/quorate/ledger/node"
)

func newJoin() *cobra.Command {
	var dir, name, config string
	cmd := &cobra.Command{
		Use:   "join --config FILE | --dir DIR --member NAME",
		Short: "Bring a member back that has its keys and lost its data",
		Long: `Make the data directory of a member anew, after it was lost or found to be older than what the member signed. Until it has
heard from a quorum of the members what its keys signed, and has caught up, the member neither signs nor votes. Start it
afterwards, while a quorum of the others runs: quorate node, or quorate up.

Nobody can tell from here whether a copy of the member still runs elsewhere: on the old machine, in a container, on a disk that
somebody restored. If that cannot be ruled out, do not join: two copies of one key contradict each other. A directory that
holds anything is refused; move it away first.`,
		Example: "  quorate join --config node.json && quorate node --config node.json\n  quorate join --dir /tmp/q --member ca-d && quorate up --dir /tmp/q",
		Args:    args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if config != "" {
				if dir != "" || name != "" {
					return usage{errors.New("--config says what --dir and --member say")}
				}
				return makeData(cmd.OutOrStdout(), config, true)
			}
			if err := needs(map[string]string{"dir": dir, "member": name}); err != nil {
				return err
			}
			genesis, err := os.ReadFile(filepath.Join(dir, genesisName))
			if err != nil {
				return usage{fmt.Errorf("%s is not a directory that `quorate up` founded: %w", dir, err)}
			}
			set, err := genesisMembers(genesis)
			if err != nil {
				return err
			}
			switch {
			case !slices.Contains(memberNames(set), name):
				return usage{fmt.Errorf("%q is no member; there are %v", name, memberNames(set))}
			case len(set.Members) == 1:
				return usage{errAlone}
			}
			if err := join(dir, name, genesis); err != nil {
				return usage{err}
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s will rejoin when it is started\n", name)
			return nil
		},
	}
	cmd.Flags().StringVar(&config, "config", "", "configuration of the member (docs/node.md)")
	cmd.Flags().StringVar(&dir, "dir", "", "directory of the consortium")
	cmd.Flags().StringVar(&name, "member", "", "name of the member")
	return cmd
}

var errAlone = errors.New("a member alone has nobody to take its data from")

const joining = ".joining" // ends the name of a member's directory while it is made

// join makes a member's directory in a founded one, as that of a member that rejoins.
func join(dir, name string, genesis []byte) error {
	return initData(filepath.Join(dir, "nodes", name), filepath.Join(dir, name+joining), genesis, true)
}

// initData makes a node's directory at genesis. It is made beside its place and renamed into it: a crash leaves none, or the
// whole.
func initData(place, tmp string, genesis []byte, rejoin bool) error {
	if err := syscall.Rmdir(place); err != nil && !errors.Is(err, os.ErrNotExist) { // an empty one is as good as none
		return fmt.Errorf("%s is there (%w): move it away first", place, err)
	}
	if err := os.RemoveAll(tmp); err != nil {
		return err
	}
	if err := node.Init(node.Config{FS: vfs.Default, Dir: tmp, Genesis: genesis, Log: quietLog(), Rejoin: rejoin}); err != nil {
		return err
	}
	if err := os.Rename(tmp, place); err != nil {
		return fmt.Errorf("initialising %s: %w", place, err)
	}
	return durable.SyncDir(vfs.Default, filepath.Dir(place))
}
