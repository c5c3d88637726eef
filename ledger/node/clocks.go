package node

import (
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/quorate-pki/quorate/ledger"
)

// clocks compares this member's clock with what the others' say, as the Date of their answers has it (RFC 9110 section 6.6.1).
// Block times, expiry and the age of status all rest on clocks, and a leader whose clock is wrong would refuse every transaction
// as expired, or propose what the others refuse. Peers may lie: it takes more than half of all members.
type clocks struct {
	mu    sync.Mutex
	heard map[string]heard // by peer, the newest
}

// heard is a peer's clock, and when it said so.
type heard struct{ date, at time.Time }

// note takes what a peer says.
func (c *clocks) note(peer, date string) {
	t, err := http.ParseTime(date)
	if err != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.heard == nil {
		c.heard = map[string]heard{}
	}
	c.heard[peer] = heard{t, time.Now()}
}

// wrong says that a clock that now shows this is far from those of more than half of the members, itself among them; nil when
// it is not.
func (c *clocks) wrong(now time.Time, members int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	ahead, behind := 0, 0
	for _, h := range c.heard {
		switch off := now.Sub(h.date.Add(time.Since(h.at))).Milliseconds(); {
		case off > int64(ledger.MaxTimeAhead):
			ahead++
		case -off > int64(ledger.MaxTimeAhead):
			behind++
		}
	}
	which, n := "ahead of", ahead
	if behind > ahead {
		which, n = "behind", behind
	}
	if 2*n <= members {
		return nil
	}
	return fmt.Errorf("this node's clock is more than %ds %s those of %d other members", ledger.MaxTimeAhead/1000, which, n)
}
