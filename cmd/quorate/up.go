package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/node"
)

func newUp() *cobra.Command {
	var dir, listen, genesis string
	var members int
	cmd := &cobra.Command{
		Use:   "up --dir DIR [--members 4] [--listen 127.0.0.1:8440] [--genesis FILE]",
		Short: "Run a consortium on this machine until Ctrl-C",
		Long: `Run a consortium on this machine until Ctrl-C. The first time it founds one in DIR: keys under orgs/, the signed
genesis block, the policy file that clients trust, the members' data under nodes/. The next time it goes on with
everything there.

Prints one line "ready URL ..." for each member once a quorum answers. Any member's URL serves any command.`,
		Example: "  quorate up --dir /tmp/q\n  quorate up --dir /tmp/q1 --members 1",
		Args:    args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := needs(map[string]string{"dir": dir}); err != nil {
				return err
			}
			log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
			if cmd.Flags().Changed("members") && (members < 1 || members > ledger.MaxMembers) {
				return usage{fmt.Errorf("--members %d: 1 to %d", members, ledger.MaxMembers)}
			}
			if err := prepare(dir, genesis, members); err != nil {
				return err
			}
			c, err := openConsortium(dir, log)
			if err != nil {
				return err
			}
			running, err := c.start(cmd.Context(), listen)
			if err != nil {
				return err
			}
			ended := make(chan error, len(running))
			for _, m := range running {
				fmt.Fprintf(cmd.OutOrStdout(), "ready %s member %s policy %s\n", m.url, m.name, filepath.Join(dir, policyName))
				go func() { ended <- <-m.done }()
			}
			for _, m := range running {
				m.attend(announce(cmd.OutOrStdout(), m.name))
			}
			for {
				select {
				case <-cmd.Context().Done():
					return stopAll(running)
				case err := <-ended:
					switch {
					case errors.Is(err, node.ErrRemoved):
						continue // the others go on without it
					case errors.Is(err, http.ErrServerClosed):
						err = nil
					}
					return errors.Join(err, stopAll(running))
				}
			}
		},
	}
	cmd.Flags().StringVar(&dir, "dir", "", "directory of the consortium; founded if it does not exist")
	cmd.Flags().IntVar(&members, "members", 0, "number of members; default: as many as were founded, or the genesis file has, or else 4")
	cmd.Flags().StringVar(&listen, "listen", "127.0.0.1:8440", "address of the first member; the others take the ports that follow")
	cmd.Flags().StringVar(&genesis, "genesis", "", "genesis file to found by (docs/genesis.md); default: built in")
	return cmd
}

// defaultMembers is how many a new consortium has when nothing says it.
const defaultMembers = 4

// prepare founds the directory if it is not there. members 0: whatever number there is.
func prepare(dir, genesis string, members int) error {
	if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
		g, err := readGenesisFile(genesis, members)
		if err != nil {
			return usage{err}
		}
		if err := found(filepath.Clean(dir), g, time.Now()); err != nil {
			return usage{err}
		}
	} else if genesis != "" {
		return usage{fmt.Errorf("%s exists: its genesis cannot be changed", dir)}
	}
	raw, err := os.ReadFile(filepath.Join(dir, genesisName))
	if err != nil {
		return usage{fmt.Errorf("%s is not a directory that `quorate up` founded: %w", dir, err)}
	}
	set, err := genesisMembers(raw)
	if err != nil {
		return err
	}
	if members != 0 && len(set.Members) != members {
		return usage{fmt.Errorf("%s has %d members; --members %d is refused", dir, len(set.Members), members)}
	}
	return nil
}

// readGenesisFile reads the file to found by, or takes the built-in one with as many members as asked for.
func readGenesisFile(path string, members int) (*genesisFile, error) {
	if path == "" {
		g, err := parseGenesisFile(defaultGenesis)
		if err != nil {
			return nil, err
		}
		if members == 0 {
			members = defaultMembers
		}
		g.withMembers(members)
		return g, nil
	}
	spec, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	g, err := parseGenesisFile(spec)
	if err != nil {
		return nil, err
	}
	if n := g.members(); members != 0 && n != 0 && n != members {
		return nil, fmt.Errorf("%s has %d members; --members %d is refused", path, n, members)
	}
	return g, nil
}
