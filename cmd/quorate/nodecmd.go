package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/quorate-pki/quorate/ledger/node"
)

func newNode() *cobra.Command {
	var config string
	cmd := &cobra.Command{
		Use:   "node --config FILE",
		Short: "Run one member's node until SIGINT or SIGTERM",
		Long: `Run one member's node until SIGINT or SIGTERM: what each member of a consortium runs on its own machine. docs/node.md
explains the configuration file.

Prints one line "ready URL member NAME" once users are answered. The first time of all that is when a quorum of the members
runs. Its directory is made by quorate init, once, or by quorate join after it was lost.

Never run two nodes of one member. A node that is refused because of its configuration or its directory exits with 2: starting
it again cannot help.`,
		Example: "  quorate node --config /etc/quorate/node.json",
		Args:    args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := configured(config)
			if err != nil {
				return err
			}
			cfg, err := c.memberConfig()
			if err != nil {
				return err
			}
			return runMember(cmd.Context(), cfg, cmd.OutOrStdout())
		},
	}
	cmd.Flags().StringVar(&config, "config", "", "configuration file")
	return cmd
}

func newInit() *cobra.Command {
	var config string
	cmd := &cobra.Command{
		Use:   "init --config FILE",
		Short: "Make the data directory of a member that never ran",
		Long: `Make the data directory of a member that never ran, at genesis. Prints the id of the channel that the genesis block founds:
compare it with the other members' over a channel you trust, and write it into the configuration.

A member that ever ran has signed, and must not forget what: if its directory is gone, use quorate join. A directory that holds
anything is refused.`,
		Example: "  quorate init --config /etc/quorate/node.json",
		Args:    args(cobra.NoArgs),
		RunE:    func(cmd *cobra.Command, _ []string) error { return makeData(cmd.OutOrStdout(), config, false) },
	}
	cmd.Flags().StringVar(&config, "config", "", "configuration file")
	return cmd
}

func configured(path string) (*nodeConfig, error) {
	if err := needs(map[string]string{"config": path}); err != nil {
		return nil, err
	}
	return readNodeConfig(path)
}

// makeData is init, and join.
func makeData(out io.Writer, config string, rejoin bool) error {
	c, err := configured(config)
	if err != nil {
		return err
	}
	tmp, line := c.Data+".founding", fmt.Sprintf("%s is at genesis of channel %x", c.Member, c.channel)
	if rejoin {
		if c.alone() {
			return usage{errAlone}
		}
		tmp, line = c.Data+joining, c.Member+" will rejoin when it is started"
	}
	if err := initData(c.Data, tmp, c.genesis, rejoin); err != nil {
		return usage{fmt.Errorf("data: %w", err)}
	}
	fmt.Fprintln(out, line)
	return nil
}

// runMember runs a member until the context ends.
func runMember(ctx context.Context, cfg memberConfig, out io.Writer) error {
	shareProcessors(1)
	m, err := startMember(ctx, cfg)
	switch {
	case err == nil:
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		return nil // told to stop while it waited for the others
	default:
		return explainOpen(err)
	}
	fmt.Fprintf(out, "ready %s member %s\n", m.url, m.name)
	m.attend(announce(out, m.name))
	select {
	case <-ctx.Done():
		return m.stop()
	case err := <-m.done:
		switch {
		case errors.Is(err, http.ErrServerClosed):
			err = nil
		case errors.Is(err, node.ErrRemoved):
			err = usage{err} // to start it again cannot help
		}
		return errors.Join(err, m.stop())
	}
}

// explainOpen says what to do about a directory that no start can help.
func explainOpen(err error) error {
	switch {
	case errors.Is(err, node.ErrNotInitialised):
		return usage{fmt.Errorf("data: %w; quorate init makes it for a member that never ran, quorate join for one that lost it", err)}
	case errors.Is(err, node.ErrKeys), errors.Is(err, node.ErrRemoved):
		return usage{err}
	case errors.Is(err, node.ErrRolledBack):
		return usage{fmt.Errorf("data: %w; unless a copy of this member runs, move it away and quorate join", err)}
	}
	return err
}

// announce prints a line for each further channel that answers.
func announce(out io.Writer, name string) func(url string, c *channel) {
	return func(url string, c *channel) { fmt.Fprintf(out, "ready %s member %s channel %s\n", url, name, c.name) }
}
