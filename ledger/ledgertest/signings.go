package ledgertest

import (
	"crypto/ed25519"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/commit"
	"github.com/quorate-pki/quorate/ledger/cosign"
	"github.com/quorate-pki/quorate/ledger/layout"
	"github.com/quorate-pki/quorate/ledger/tlog"
)

// signings sees everything that a member's cosigning key signs, whatever becomes of its directory: never a smaller tree or
// an earlier time than before, never two roots at one size.
type signings struct {
	vfs.FS
	t      testing.TB
	member string
	parse  func(raw []byte) (*commit.Signed, error)

	mu    sync.Mutex
	last  *commit.Signed
	roots map[uint64]ledger.Hash
}

func newSignings(t testing.TB, c *Consortium, member string) *signings {
	s := &signings{FS: vfs.Default, t: t, member: member, roots: map[uint64]ledger.Hash{}}
	s.parse = func(raw []byte) (*commit.Signed, error) {
		err := os.ErrNotExist
		for generation := 1; generation <= 2; generation++ {
			key := tlog.VKey{Name: c.Set.CosignerName(member), Type: tlog.TypeCosignature,
				Public: c.Key(KeyName(member, ledger.KeyCosigning, generation)).Public().(ed25519.PublicKey)}
			var s *commit.Signed
			if s, err = cosign.Parse(raw, c.Channel, c.Set.Origin(0), key); err == nil {
				return s, nil
			}
		}
		return nil, err
	}
	return s
}

// Rename implements vfs.FS: a signature is made when its memory is in its place.
func (s *signings) Rename(from, to string) error {
	if err := s.FS.Rename(from, to); err != nil || filepath.Base(to) != layout.Signer {
		return err
	}
	raw, err := os.ReadFile(to)
	if err != nil {
		return err
	}
	now, err := s.parse(raw)
	if err != nil {
		s.t.Errorf("%s wrote a signer memory that does not open: %v", s.member, err)
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if l := s.last; l != nil && (now.Size < l.Size || now.Time < l.Time) {
		s.t.Errorf("%s signed size %d at %d after size %d at %d", s.member, now.Size, now.Time, l.Size, l.Time)
	}
	if root, ok := s.roots[now.Size]; ok && root != now.Root {
		s.t.Errorf("%s signed two roots at size %d", s.member, now.Size)
	}
	s.last, s.roots[now.Size] = now, now.Root
	return nil
}

// Signed are the sizes that a member's key has signed so far.
func (c *Cluster) Signed(name string) map[uint64]bool {
	s := c.signed[name]
	s.mu.Lock()
	defer s.mu.Unlock()
	out := map[uint64]bool{}
	for size := range s.roots {
		out[size] = true
	}
	return out
}
