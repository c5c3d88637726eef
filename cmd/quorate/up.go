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
)

func newUp() *cobra.Command {
	var dir, listen, genesis string
	var members int
	cmd := &cobra.Command{
		Use:   "up --dir DIR --members 1 [--listen 127.0.0.1:8440] [--genesis FILE]",
		Short: "Run a consortium on this machine until Ctrl-C",
		Long: `Run a consortium on this machine until Ctrl-C. The first time it founds one in DIR: keys under orgs/, the signed
genesis block, the policy file that clients trust, the members' data under nodes/. The next time it goes on with
everything there.

Prints one line "ready URL ..." when it answers.`,
		Example: "  quorate up --dir /tmp/q --members 1",
		Args:    args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := needs(map[string]string{"dir": dir}); err != nil {
				return err
			}
			log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
			names, err := prepare(dir, genesis, members)
			if err != nil {
				return err
			}
			m, err := startMember(cmd.Context(), dir, names[0], listen, log)
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "ready %s member %s policy %s\n", m.url, names[0], filepath.Join(dir, policyName))
			select {
			case <-cmd.Context().Done():
				return m.stop()
			case err := <-m.done:
				if errors.Is(err, http.ErrServerClosed) {
					err = nil
				}
				return errors.Join(err, m.stop())
			}
		},
	}
	cmd.Flags().StringVar(&dir, "dir", "", "directory of the consortium; founded if it does not exist")
	cmd.Flags().IntVar(&members, "members", 1, "number of members; one, in this version")
	cmd.Flags().StringVar(&listen, "listen", "127.0.0.1:8440", "address of the first member")
	cmd.Flags().StringVar(&genesis, "genesis", "", "genesis file to found by (docs/genesis.md); default: built in")
	return cmd
}

// prepare founds the directory if it is not there and returns the names of its members.
func prepare(dir, genesis string, members int) ([]string, error) {
	if members != 1 {
		return nil, usage{fmt.Errorf("--members %d: this version runs one member", members)}
	}
	if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
		spec := defaultGenesis
		if genesis != "" {
			if spec, err = os.ReadFile(genesis); err != nil {
				return nil, usage{err}
			}
		}
		g, err := parseGenesisFile(spec)
		if err != nil {
			return nil, usage{err}
		}
		if err := found(filepath.Clean(dir), g, time.Now()); err != nil {
			return nil, usage{err}
		}
	} else if genesis != "" {
		return nil, usage{fmt.Errorf("%s exists: its genesis cannot be changed", dir)}
	}
	raw, err := os.ReadFile(filepath.Join(dir, genesisName))
	if err != nil {
		return nil, usage{fmt.Errorf("%s is not a directory that `quorate up` founded: %w", dir, err)}
	}
	set, err := genesisMembers(raw)
	if err != nil {
		return nil, err
	}
	if len(set.Members) != members {
		return nil, usage{fmt.Errorf("%s has %d members; --members %d is refused", dir, len(set.Members), members)}
	}
	var names []string
	for _, m := range set.Members {
		names = append(names, m.Name)
	}
	return names, nil
}
