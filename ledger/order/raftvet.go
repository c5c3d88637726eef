package order

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/hashicorp/raft"

	"github.com/quorate-pki/quorate/ledger"
)

// The library trusts its peers: it follows any term, stores any entry at any place, and panics over a configuration that does not
// decode. What a message may say is checked here, before the library sees it, so that a dishonest member can keep the
// others from ordering at most, and never stops one of them.

const (
	maxTermStep = 1 << 32 // a term further ahead is no election's work: the greatest there is would be the last
	// maxMessage bounds one message: the entries of as many blocks, or a snapshot.
	maxMessage = max(maxEntries*(ledger.MaxBlock+1<<10), maxSnapshot) + 64<<10
	maxReply   = 64 << 10
	maxIndex   = 1 << 62 // of a log: the greatest there is has none after it
)

// errMessage is a message that no honest member sends.
var errMessage = errors.New("no honest member sends that")

func unlikely(format string, args ...any) error {
	return fmt.Errorf("%w: %s", errMessage, fmt.Sprintf(format, args...))
}

// vet checks a message of a peer.
type vet struct {
	founders []byte                               // what every founder bootstraps with, encoded
	known    func() [][]string                    // the members of the sets that this member has executed
	term     func() uint64                        // this member's
	block    func(term uint64, data []byte) error // Validate, of an entry's data
}

func (v vet) message(cmd any) error {
	switch c := cmd.(type) {
	case *raft.AppendEntriesRequest:
		return v.entries(c)
	case *raft.InstallSnapshotRequest:
		return v.snapshot(c)
	case *raft.RequestVoteRequest:
		return v.reachable(c.Term)
	case *raft.RequestPreVoteRequest:
		return v.reachable(c.Term)
	case *raft.TimeoutNowRequest:
		return nil
	}
	return unlikely("a %T", cmd)
}

// reachable also judges the terms of answers: the library takes over the term of whoever refuses it.
func (v vet) reachable(term uint64) error {
	if now := v.term(); term > now && term-now > maxTermStep {
		return unlikely("term %d, in term %d", term, now)
	}
	return nil
}

// entries checks that they follow one another and the one before them, and that every block may be stored: the library forgets
// what it has when it begins to store, and must not stop there.
func (v vet) entries(a *raft.AppendEntriesRequest) error {
	if err := v.reachable(a.Term); err != nil {
		return err
	}
	if len(a.Entries) > maxEntries {
		return unlikely("%d entries", len(a.Entries))
	}
	for i, e := range a.Entries {
		if e == nil || e.Index != a.PrevLogEntry+1+uint64(i) || e.Term > a.Term || len(e.Extensions) > 0 {
			return unlikely("entry %d of %d after index %d", i, len(a.Entries), a.PrevLogEntry)
		}
		switch e.Type {
		case raft.LogCommand:
			if err := v.block(e.Term, e.Data); err != nil {
				return fmt.Errorf("entry %d: %w", e.Index, err)
			}
		case raft.LogNoop, raft.LogBarrier:
			if len(e.Data) > 0 {
				return unlikely("an entry of type %d with data", e.Type)
			}
		case raft.LogConfiguration:
			// Members change by governance, and the library follows.
			if e.Index == 1 && !bytes.Equal(e.Data, v.founders) {
				return unlikely("another configuration, at index %d", e.Index)
			}
			if err := fits(e.Data, v.known()); e.Index > 1 && err != nil {
				return fmt.Errorf("entry %d: %w", e.Index, err)
			}
		default:
			return unlikely("an entry of type %d", e.Type)
		}
	}
	return nil
}

func (v vet) snapshot(in *raft.InstallSnapshotRequest) error {
	switch {
	case in.SnapshotVersion != 1:
		return unlikely("a snapshot of version %d", in.SnapshotVersion)
	case in.Size < 0 || in.Size > maxSnapshot:
		return unlikely("a snapshot of %d bytes", in.Size)
	case in.ConfigurationIndex > in.LastLogIndex:
		return unlikely("a snapshot with a configuration from beyond it")
	case in.LastLogIndex > maxIndex:
		return unlikely("a snapshot of index %d", in.LastLogIndex)
	case in.LastLogTerm > in.Term:
		return unlikely("a snapshot of term %d, in term %d", in.LastLogTerm, in.Term)
	}
	return v.reachable(in.Term)
}

// vetted checks what a snapshot of a peer says: its blocks as entries are checked, and that what it calls final is final.
func (r *Raft) vetted(raw []byte) error {
	s, blocks, err := parseSnapshot(raw)
	if err != nil {
		return err
	}
	for _, b := range blocks {
		if err := r.app.Validate(r.ctx, b.View, b.Block); err != nil {
			return fmt.Errorf("%w: height %d: %w", errSnapshot, b.Height, err)
		}
	}
	if r.app.Last().Height >= s.Height {
		return nil
	}
	// Here and not in Restore, where the library waits: whether the members are that far is not the sender's word to give. What
	// is fetched before the time is over stays, and the sender tries again.
	ctx, cancel := context.WithTimeout(r.ctx, r.cfg.Stuck/2)
	defer cancel()
	if _, err := r.fetch(ctx, s.Height); err != nil {
		return fmt.Errorf("%w: catching up to height %d: %w", errSnapshot, s.Height, err)
	}
	return nil
}

// fetch is the app's, one call at a time.
func (r *Raft) fetch(ctx context.Context, height uint64) (Ordered, error) {
	select {
	case r.fetching <- struct{}{}:
	case <-ctx.Done():
		return Ordered{}, ctx.Err()
	}
	defer func() { <-r.fetching }()
	return r.app.Fetch(ctx, height)
}

// bounded is a connection on which no message is longer than a limit. A message ends when the other side is written to.
type bounded struct {
	net.Conn
	limit int
	left  int // by the one goroutine that reads and writes in turn
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, unlikely("a message of more than %d bytes", b.limit)
	}
	n, err := b.Conn.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

func (b *bounded) Write(p []byte) (int, error) {
	b.left = b.limit
	return b.Conn.Write(p)
}
