package ocsp

import (
	"crypto/sha256"
	"sync"
	"sync/atomic"
	"time"
)

// keptAnswer is what cannot be written again of a signed answer about one published certificate: the rest follows
// from it and from the request. It does not change, version apart.
type keptAnswer struct {
	standing   Standing
	thisUpdate int64 // seconds since 1970
	producedAt int64 // seconds since 1970
	signature  []byte
	version    atomic.Uint64 // of the state that the standing was last read from
}

// young tells whether a kept answer need not be signed anew: nothing fresher could be said, or it is not yet a third of
// its life old.
func (k *keptAnswer) young(m moment, staleness time.Duration) bool {
	return k.thisUpdate == m.fresh.Unix() || m.now.Sub(time.Unix(k.thisUpdate, 0)) < staleness/3
}

// certKey finds an answer: SHA-256 of the CertID as it was asked, since the answer repeats it.
type certKey [sha256.Size]byte

// answers keeps signed answers, by the CertID that was asked. When there is no room for one more, any is forgotten: what
// anybody can have kept is bounded by what is published, so there is nothing to be gained by choosing.
type answers struct {
	most   int // of each shard
	shards [64]answersShard
}

type answersShard struct {
	signing sync.Mutex // held to sign, so that nothing is signed twice
	mu      sync.RWMutex
	kept    map[certKey]*keptAnswer
}

func newAnswers(most int) *answers {
	a := &answers{most: (most + 63) / 64}
	for i := range a.shards {
		a.shards[i].kept = make(map[certKey]*keptAnswer)
	}
	return a
}

func (a *answers) shard(key *certKey) *answersShard { return &a.shards[key[0]%64] }

func (s *answersShard) get(key *certKey) *keptAnswer {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.kept[*key]
}

func (s *answersShard) put(key *certKey, k *keptAnswer, most int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, there := s.kept[*key]; !there && len(s.kept) >= most {
		for old := range s.kept {
			delete(s.kept, old)
			break
		}
	}
	s.kept[*key] = k
}
