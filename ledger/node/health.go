package node

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/order"
	"github.com/quorate-pki/quorate/ledger/tlog"
)

// Health is what a node says of itself.
type Health struct {
	Channel   string               `json:"channel"`
	Origin    string               `json:"origin"`
	Member    string               `json:"member"`
	MemberSet uint64               `json:"member_set"` // number of the one in force
	Orderer   order.Status         `json:"orderer"`
	Height    uint64               `json:"height"`
	Final     uint64               `json:"final_height"`
	Lag       uint64               `json:"lag"` // executed blocks that are not final here
	Size      uint64               `json:"size"`
	Cosigned  map[string]time.Time `json:"cosigned"` // by member: time of its newest cosignature on the final checkpoint
	Diverged  string               `json:"diverged,omitempty"`
	Trouble   string               `json:"trouble,omitempty"`
	Freshness time.Time            `json:"freshness"`
	OK        bool                 `json:"ok"`
}

// stuckFor is how long a block may wait for its quorum before the node calls it trouble.
const stuckFor = 10 * time.Second

// busyFor is how long the node may be at one thing before it says so instead of what it would find out.
const busyFor = 2 * time.Second

// Health asks the node how it is. It answers even when the disk does not.
func (n *Node) Health(ctx context.Context) (Health, error) {
	soon, cancel := context.WithTimeout(ctx, busyFor)
	defer cancel()
	h, err := look(soon, n, func() (Health, error) { return n.loopHealth(), nil })
	switch {
	case err != nil && ctx.Err() == nil && soon.Err() != nil:
		h.Trouble = fmt.Sprintf("the node has been at one thing for over %s: its disk hangs, or the machine has too much to do", busyFor)
	case err != nil:
		return h, err
	}
	h.Member, h.Orderer = n.cfg.Member, n.engine.Status()
	head, err := n.Head(ctx)
	if err != nil {
		return h, err
	}
	h.Origin, h.Final, h.Size, h.Freshness = head.Origin, head.Height, head.Size, head.Time
	h.Cosigned = cosigned(n.stands.Load(), head)
	if err := n.failed(); err != nil {
		h.Trouble = err.Error()
	}
	h.OK = h.Diverged == "" && h.Trouble == "" && h.Orderer.Healthy
	return h, nil
}

// loopHealth is what only the loop knows.
func (n *Node) loopHealth() (h Health) {
	ch := n.machine.Head().Channel()
	h.MemberSet = n.members().Number
	if row := n.members().ByName(n.cfg.Member); row == nil && n.removedAt.IsZero() {
		h.Trouble = "this member is none yet: it waits for a member set that has it"
	} else if row == nil {
		h.Trouble = fmt.Sprintf("this member was removed by member set %d", n.members().Number)
	} else if err := n.haveKeys(); err != nil {
		h.Trouble = err.Error()
	}
	h.Channel, h.Height, h.Lag = ch.Name, ch.Height, uint64(n.machine.Pending())
	if why := n.machine.Divergence(); why != nil {
		h.Diverged = why.Error()
	}
	if d := n.ahead(); d > 0 {
		h.Trouble = fmt.Sprintf("the log is %s ahead of this node's clock; no new blocks until then", d)
	}
	if err := n.clockWrong(); err != nil {
		h.Trouble = err.Error()
	}
	if waits := n.cfg.Now().Sub(n.stuck); n.stuckAt != 0 && waits > stuckFor {
		h.Trouble = fmt.Sprintf("height %d has been without a quorum of cosignatures for %s", n.stuckAt, waits.Round(time.Second))
	}
	return h
}

func cosigned(s *standing, head ledger.Head) map[string]time.Time {
	out := map[string]time.Time{}
	cp, sigs, err := tlog.ParseNote(head.Note)
	if err != nil {
		return out
	}
	for _, w := range append(slices.Clone(s.final.Witnesses), s.next.Witnesses...) {
		for _, sig := range sigs {
			if t, ok := tlog.VerifyCosignature(cp, w.Key, sig); ok {
				out[w.Name] = time.Unix(int64(t), 0).UTC() // the key in force, where a member has two
			}
		}
	}
	return out
}
