package ocsp

import (
	"sync"
	"time"
)

// bucket is a token bucket: so many a second, and ten seconds' worth at once.
type bucket struct {
	rate float64 // a second

	mu   sync.Mutex // guards what follows
	left float64
	at   time.Time // of the newest call; never goes back
}

const bucketSeconds = 10

func newBucket(rate int) *bucket {
	return &bucket{rate: float64(rate), left: bucketSeconds * float64(rate)}
}

// take reports whether one more may be had at a time.
func (b *bucket) take(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if now.After(b.at) {
		if !b.at.IsZero() {
			b.left = min(bucketSeconds*b.rate, b.left+b.rate*now.Sub(b.at).Seconds())
		}
		b.at = now
	}
	if b.left < 1 {
		return false
	}
	b.left--
	return true
}
