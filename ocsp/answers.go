package ocsp

import (
	"crypto/sha256"
	"sync"
	"time"
)

// keptAnswer is what cannot be written again of a signed answer about one published certificate, its signature apart: the
// rest follows from it and from the request.
type keptAnswer struct {
	leaf       uint64
	since      int64  // seconds since 1970, of a suspension or revocation
	thisUpdate int64  // seconds since 1970
	producedAt int64  // seconds since 1970
	version    uint64 // of the state that the standing was last read from
	size       uint16 // of the signature
	state      State
	reason     uint8
}

func keep(s Standing, m moment) keptAnswer {
	k := keptAnswer{leaf: s.Leaf, state: s.State, reason: uint8(s.Reason), thisUpdate: m.fresh.Unix(), producedAt: m.now.Unix(), version: m.version}
	if s.State != Good {
		k.since = s.At.Unix()
	}
	return k
}

// standing is what the answer was made of.
func (k *keptAnswer) standing() Standing {
	s := Standing{Known: true, State: k.state, Reason: int(k.reason), Leaf: k.leaf}
	if k.state != Good {
		s.At = time.Unix(k.since, 0).UTC()
	}
	return s
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
//
// There are no pointers in it: with a million answers a pointer each would be followed by every garbage collection, and to
// memory that is in no cache by every request.
type answers struct {
	most   int // of each shard
	size   int // of the longest signature
	shards [64]answersShard
}

type answersShard struct {
	signing sync.Mutex // held to sign, so that nothing is signed twice

	mu         sync.RWMutex // guards what follows
	places     map[certKey]uint32
	kept       []keptAnswer // by place
	signatures []byte       // by place, each in the space of the longest
}

func newAnswers(most, size int) *answers {
	a := &answers{most: (most + 63) / 64, size: size}
	for i := range a.shards {
		a.shards[i].places = make(map[certKey]uint32)
	}
	return a
}

func (a *answers) shard(key *certKey) *answersShard { return &a.shards[key[0]%64] }

// get returns a kept answer, its signature in the given space.
func (a *answers) get(s *answersShard, key *certKey, space []byte) (k keptAnswer, signature []byte, ok bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	at, ok := s.places[*key]
	if !ok {
		return k, nil, false
	}
	k = s.kept[at]
	begin := int(at) * a.size
	return k, append(space[:0], s.signatures[begin:begin+int(k.size)]...), true
}

// confirm notes that an answer, if it is still there, was what a later state says too.
func (s *answersShard) confirm(key *certKey, version uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if at, ok := s.places[*key]; ok {
		s.kept[at].version = version
	}
}

func (a *answers) put(s *answersShard, key *certKey, k keptAnswer, signature []byte) {
	if len(signature) > a.size {
		return // no key of these algorithms makes one
	}
	k.size = uint16(len(signature))
	s.mu.Lock()
	defer s.mu.Unlock()
	at, there := s.places[*key]
	switch {
	case there:
	case len(s.kept) < a.most:
		at = uint32(len(s.kept))
		s.kept = append(s.kept, keptAnswer{})
		s.signatures = append(s.signatures, make([]byte, a.size)...)
	default:
		for old, place := range s.places {
			at = place
			delete(s.places, old)
			break
		}
	}
	s.places[*key] = at
	s.kept[at] = k
	copy(s.signatures[int(at)*a.size:], signature)
}
