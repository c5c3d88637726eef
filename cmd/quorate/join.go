package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/spf13/cobra"

	"github.com/quorate-pki/quorate/internal/durable"
	"github.com/quorate-pki/quorate/ledger/node"
)

func newJoin() *cobra.Command {
	var dir, name string
	cmd := &cobra.Command{
		Use:   "join --dir DIR --member NAME",
		Short: "Bring a member back that has its keys and lost its data",
		Long: `Make the data directory of a member anew, after it was lost or found to be older than what the member signed. Until it has
heard from a quorum of the members what its keys signed, and has caught up, the member neither signs nor votes. Start it
with the others afterwards: quorate up.

Nobody can tell from here whether a copy of the member still runs elsewhere. If that cannot be ruled out, do not join: two
copies of one key contradict each other.`,
		Example: "  quorate join --dir /tmp/q --member ca-d && quorate up --dir /tmp/q",
		Args:    args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
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
				return usage{errors.New("a member alone has nobody to take its data from")}
			}
			if err := join(dir, name, genesis); err != nil {
				return usage{err}
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s will rejoin when it is started\n", name)
			return nil
		},
	}
	cmd.Flags().StringVar(&dir, "dir", "", "directory of the consortium")
	cmd.Flags().StringVar(&name, "member", "", "name of the member")
	return cmd
}

const joining = ".joining" // ends the name of a member's directory while it is made

// join makes a member's directory as one that rejoins. It is made beside its place and renamed into it: a crash leaves none, or
// the whole.
func join(dir, name string, genesis []byte) error {
	place, tmp := filepath.Join(dir, "nodes", name), filepath.Join(dir, name+joining)
	if _, err := os.Stat(place); !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%s is there (%v): move it away first", place, err)
	}
	if err := os.RemoveAll(tmp); err != nil {
		return err
	}
	if err := node.Init(node.Config{FS: vfs.Default, Dir: tmp, Genesis: genesis, Log: quietLog(), Rejoin: true}); err != nil {
		return err
	}
	if err := os.Rename(tmp, place); err != nil {
		return fmt.Errorf("joining: %w", err)
	}
	return durable.SyncDir(vfs.Default, filepath.Join(dir, "nodes"))
}
