package node

import (
	"slices"
	"time"

	"github.com/quorate-pki/quorate/ledger"
)

// limiter bounds how often a key that nobody registered (a device's own) may have a transaction put on the log: a
// published certificate must not be a licence to fill it. Owned by the loop. Registered keys have quotas instead.
type limiter struct{ used, before map[ledger.Hash]allowance }

// allowance is a token bucket, and what it was spent on: the same transaction again is free.
type allowance struct {
	left  float64
	at    time.Time // of the newest request; never goes back
	spent [deviceBurst]ledger.Hash
	next  int
}

const (
	deviceBurst  = 8           // transactions at once
	devicePeriod = time.Minute // in which one more is allowed
	limiterKeys  = 1 << 16     // keys remembered; a forgotten one starts with a full burst
)

func newLimiter() *limiter { return &limiter{used: map[ledger.Hash]allowance{}} }

// take reports whether a key may have a transaction at a time.
func (l *limiter) take(key, id ledger.Hash, now time.Time) bool {
	a, ok := l.used[key]
	if !ok {
		if a, ok = l.before[key]; !ok {
			a = allowance{left: deviceBurst, at: now}
		}
	}
	if slices.Contains(a.spent[:], id) {
		return true
	}
	if now.After(a.at) {
		a.left = min(deviceBurst, a.left+now.Sub(a.at).Seconds()/devicePeriod.Seconds())
		a.at = now
	}
	allowed := a.left >= 1
	if allowed {
		a.left--
		a.spent[a.next%deviceBurst] = id
		a.next++
	}
	if len(l.used) >= limiterKeys {
		l.used, l.before = map[ledger.Hash]allowance{}, l.used
	}
	l.used[key] = a
	return allowed
}
