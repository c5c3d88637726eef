// Command quorate is the one binary: a member's node, the consortium on one machine, and every client verb.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger/client"
)

// Exit codes of every command.
const (
	exitYes     = 0
	exitNo      = 1 // refused, invalid, revoked, suspended
	exitUsage   = 2
	exitUnknown = 3 // not established: status unchecked, unknown, stale
	exitNoNode  = 4 // no node answered
)

// garbage is the runtime's GOGC unless the environment sets it: how much may be allocated, in percent of what is in use, before garbage is
// collected. A member under load lives on short-lived memory, certificates on their way, beside a filter of 9 bytes a certificate; at 100
// collecting takes 5 % of its processors' time, at 300 2 %, for twice the memory. GOMEMLIMIT bounds the memory, whatever this says.
const garbage = 200

func main() { os.Exit(run()) }

// run is main with an exit code, so that tests can call it.
func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(garbage)
	}
	err := newRoot().ExecuteContext(ctx)
	if err == nil {
		return exitYes
	}
	code, quiet := exitCode(err)
	if !quiet {
		fmt.Fprintln(os.Stderr, "quorate: "+message(err))
	}
	return code
}

// verdict is an error that was told to the user already.
type verdict struct{ code int }

func (v verdict) Error() string { return fmt.Sprintf("exit %d", v.code) }

// usage is an error of the command line or of what it names.
type usage struct{ err error }

func (u usage) Error() string { return u.err.Error() }
func (u usage) Unwrap() error { return u.err }

// exitCode is the one place where errors become exit codes.
func exitCode(err error) (code int, quiet bool) {
	if v, ok := errors.AsType[verdict](err); ok {
		return v.code, true
	}
	if _, ok := errors.AsType[usage](err); ok {
		return exitUsage, false
	}
	if errors.Is(err, client.ErrNoNode) {
		return exitNoNode, false
	}
	c, ok := reason.CodeOf(err)
	if !ok {
		return exitNo, false
	}
	switch c {
	case reason.Stale, reason.FromTheFuture, reason.StatusNotChecked, reason.UnknownCertificate, reason.LeafNotCovered, reason.Timeout, reason.PolicyExpired, reason.NoEvidence:
		return exitUnknown, false
	case reason.Busy, reason.Stopping, reason.Internal, reason.RateLimited:
		return exitNoNode, false
	case reason.BadPolicy, reason.PolicyBreaksQuorum, reason.BadCertificateFile:
		return exitUsage, false
	}
	return exitNo, false
}

// printable has no control characters: what a node said, or how a file is called, must not reach the terminal as commands.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, s)
}

// message adds the sentence of a reason to what went wrong.
func message(err error) string {
	text := printable(err.Error())
	if c, ok := reason.CodeOf(err); ok {
		return text + "\n  " + reason.Of(c).Sentence
	}
	return text
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "quorate",
		Short: "Certificates published by a consortium instead of issued by an authority",
		Long: `A device issues its own certificate, the organisation that answers for it submits it, every member's node
judges it by the same rules, and it is published once a quorum of members has cosigned the log that holds it.

Exit codes: 0 yes; 1 no (refused, invalid, revoked, suspended); 2 usage; 3 not established (status unchecked,
unknown, stale); 4 no node answered.`,
		Example: `  quorate up --dir /tmp/q --members 1
  quorate device new --org acme-cells --serial ACME-000001 --out dev1
  quorate submit --node http://127.0.0.1:8440 --policy /tmp/q/policy --signer /tmp/q/orgs/acme-cells/line.key dev1/cert.pem`,
		SilenceUsage: true, SilenceErrors: true,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usage{fmt.Errorf("there is no command %q; see quorate --help", args[0])}
			}
			return usage{errors.New("a command is missing; see quorate --help")}
		},
		RunE: func(*cobra.Command, []string) error { return nil },
	}
	root.SetHelpCommand(&cobra.Command{Use: "help [command]", Short: "Help about a command",
		RunE: func(_ *cobra.Command, words []string) error {
			cmd, rest, err := root.Find(words)
			if err != nil || len(rest) > 0 {
				return usage{fmt.Errorf("there is no command %q; see quorate --help", strings.Join(words, " "))}
			}
			return cmd.Help()
		}})
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usage{fmt.Errorf("%w; see %s --help", err, cmd.CommandPath())}
	})
	root.AddCommand(newUp(), newNode(), newInit(), newJoin(), newDevice(), newSubmit(), newVerify(), newStatus(), newSnapshot(), newExplain(), newHistory(), newFollow(), newCA(), newChannel(), newRule(), newGov(), newOrg(), newNamespace(), newLine(), newKey(), newFsck(), newDemo(), newBench(), newPolicy(), newMember())
	root.AddCommand(newChanges()...)
	return root
}

// args wraps cobra's argument checks as usage errors.
func args(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, a []string) error {
		if err := check(cmd, a); err != nil {
			return usage{fmt.Errorf("%w; see %s --help", err, cmd.CommandPath())}
		}
		return nil
	}
}

// needs demands the flags that a command cannot do without.
func needs(flags map[string]string) error {
	for _, name := range []string{"config", "dir", "member", "node", "policy", "signer", "receipt", "org", "serial", "country", "home-domain", "nf-type", "to", "new", "key", "main", "genesis", "draft", "keys", "block-key", "out"} {
		if v, ok := flags[name]; ok && v == "" {
			return usage{fmt.Errorf("--%s is missing", name)}
		}
	}
	return nil
}
