package node

import (
	"fmt"
	"path"
	"strings"

	"github.com/quorate-pki/quorate/internal/durable"
	"github.com/quorate-pki/quorate/ledger/commit"
	"github.com/quorate-pki/quorate/ledger/layout"
	"github.com/quorate-pki/quorate/ledger/tlog"
)

// keepEvidence stores a cosignature that contradicts this node's log: a checkpoint with a member's signature, which anybody
// can verify and hold against the log. There is one for each member and size at most, so the directory is bounded by what
// members sign.
func (n *Node) keepEvidence(o commit.Conflict) error {
	note := tlog.FormatNote(o.Checkpoint, []tlog.Signature{o.Signature})
	member := strings.TrimPrefix(o.Signature.Name, n.members().CosignerName(""))
	n.cfg.Log.Error("EVIDENCE: a member cosigned another tree than this node has", "member", member, "note", string(note))
	dir := path.Join(n.cfg.Dir, layout.Evidence)
	if err := durable.MkdirAll(n.cfg.FS, n.cfg.Dir, dir); err != nil {
		return err
	}
	if err := durable.Replace(n.cfg.FS, path.Join(dir, fmt.Sprintf("%s-%d", member, o.Checkpoint.Size)), note); err != nil {
		return fmt.Errorf("keeping evidence: %w", err)
	}
	return nil
}
