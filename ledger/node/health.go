package node

import (
	"context"
	"fmt"
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

// Health asks the node how it is.
func (n *Node) Health(ctx context.Context) (Health, error) {
	h := Health{Member: n.cfg.Member, Orderer: n.engine.Status(), Cosigned: map[string]time.Time{}}
	err := n.run(ctx, func() error {
		ch := n.machine.Head().Channel()
		h.Channel, h.Height, h.Lag = ch.Name, ch.Height, uint64(n.machine.Pending())
		if why := n.machine.Divergence(); why != nil {
			h.Diverged = why.Error()
		}
		if d := n.ahead(); d > 0 {
			h.Trouble = fmt.Sprintf("the log is %s ahead of this node's clock; no new blocks until then", d)
		}
		if waits := n.cfg.Now().Sub(n.stuck); n.stuckAt != 0 && waits > stuckFor {
			h.Trouble = fmt.Sprintf("height %d has been without a quorum of cosignatures for %s", n.stuckAt, waits.Round(time.Second))
		}
		return nil
	})
	if err != nil {
		return h, err
	}
	head, err := n.Head(ctx)
	if err != nil {
		return h, err
	}
	h.Origin, h.Final, h.Size, h.Freshness = head.Origin, head.Height, head.Size, head.Time
	h.Cosigned = cosigned(n.policy, head)
	if err := n.failed(); err != nil {
		h.Trouble = err.Error()
	}
	h.OK = h.Diverged == "" && h.Trouble == "" && h.Orderer.Healthy
	return h, nil
}

func cosigned(p *tlog.Policy, head ledger.Head) map[string]time.Time {
	out := map[string]time.Time{}
	cp, sigs, err := tlog.ParseNote(head.Note)
	if err != nil {
		return out
	}
	for _, w := range p.Witnesses {
		for _, s := range sigs {
			if t, ok := tlog.VerifyCosignature(cp, w.Key, s); ok {
				out[w.Name] = time.Unix(int64(t), 0).UTC()
			}
		}
	}
	return out
}
