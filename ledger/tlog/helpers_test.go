package tlog_test

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	xtlog "golang.org/x/mod/sumdb/tlog"

	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger/tlog"
)

// leaf is the hash of leaf i of the tests' log.
func leaf(i uint64) tlog.Hash { return tlog.LeafHash(entry(i)) }

// entry is entry i of the tests' log; lengths vary, and some are zero.
func entry(i uint64) []byte {
	b := binary.BigEndian.AppendUint64(nil, i)
	return append(b, make([]byte, i%7)...)[8*(i%11/10):]
}

func testRand() *rand.Rand { return rand.New(rand.NewPCG(6962, 9162)) }

// reference is golang.org/x/mod's view of a tree: its stored hashes.
type reference []xtlog.Hash

func (r *reference) ReadHashes(indexes []int64) ([]xtlog.Hash, error) {
	out := make([]xtlog.Hash, len(indexes))
	for i, x := range indexes {
		out[i] = (*r)[x]
	}
	return out, nil
}

func (r *reference) append(t testing.TB, n uint64, h tlog.Hash) {
	t.Helper()
	stored, err := xtlog.StoredHashesForRecordHash(int64(n), xtlog.Hash(h), r)
	if err != nil {
		t.Fatal(err)
	}
	*r = append(*r, stored...)
}

func (r *reference) root(t testing.TB, n uint64) tlog.Hash {
	t.Helper()
	h, err := xtlog.TreeHash(int64(n), r)
	if err != nil {
		t.Fatal(err)
	}
	return tlog.Hash(h)
}

// store is a log: full tiles kept as they are completed, partial ones from the tile tree.
type store struct {
	full map[tlog.Tile][]byte
	tree *tlog.TileTree
}

func newStore() *store { return &store{full: make(map[tlog.Tile][]byte), tree: &tlog.TileTree{}} }

func (s *store) append(h tlog.Hash) {
	for _, c := range s.tree.Append(h) {
		s.full[c.Tile] = c.Data
	}
}

func (s *store) ReadTile(t tlog.Tile) ([]byte, error) {
	if data, ok := s.full[t.Full()]; ok {
		return data[:t.Width*sha256.Size], nil
	}
	return s.tree.ReadTile(t)
}

// exact refuses every tile that is not part of a tree of this size at its widest, as a server of one checkpoint may.
type exact struct {
	tlog.TileReader
	size uint64
}

func (e exact) ReadTile(t tlog.Tile) ([]byte, error) {
	if widest, ok := tlog.TileAt(t.Level, t.Index, e.size); !ok || widest != t {
		return nil, fmt.Errorf("%s in a tree of %d: %w", t.Path(), e.size, tlog.ErrNoTile)
	}
	return e.TileReader.ReadTile(t)
}

// growStore builds a log of n leaves and its reference.
func growStore(t testing.TB, n uint64) (*store, *reference) {
	t.Helper()
	s, ref := newStore(), &reference{}
	for i := range n {
		s.append(leaf(i))
		ref.append(t, i, leaf(i))
	}
	return s, ref
}

func toX(path []tlog.Hash) []xtlog.Hash {
	out := make([]xtlog.Hash, len(path))
	for i, h := range path {
		out[i] = xtlog.Hash(h)
	}
	return out
}

// testKey is a key that depends on its name only.
func testKey(name string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte("test key of " + name))
	return ed25519.NewKeyFromSeed(seed[:])
}

func public(key ed25519.PrivateKey) ed25519.PublicKey { return key.Public().(ed25519.PublicKey) }

const testOrigin = "consortium.example/main/0"

func logVKey(i int) tlog.VKey {
	return tlog.VKey{Name: testOrigin, Type: tlog.TypeLog, Public: public(testKey(fmt.Sprint("log", i)))}
}

func memberName(i int) string { return fmt.Sprintf("consortium.example/member%d", i) }

func memberVKey(i int) tlog.VKey {
	return tlog.VKey{Name: memberName(i), Type: tlog.TypeCosignature, Public: public(testKey(memberName(i)))}
}

// testPolicy has n members named m0.. and n log keys.
func testPolicy(n, q int) *tlog.Policy {
	p := &tlog.Policy{Origin: testOrigin, Quorum: q}
	for i := range n {
		p.Logs = append(p.Logs, tlog.PolicyLog{Key: logVKey(i), URL: fmt.Sprintf("https://m%d.example/log/main/0", i)})
		p.Witnesses = append(p.Witnesses, tlog.PolicyWitness{
			Name: fmt.Sprintf("m%d", i), Key: memberVKey(i), URL: fmt.Sprintf("https://m%d.example/witness", i)})
	}
	return p
}

func logSignature(c tlog.Checkpoint, i int) tlog.Signature {
	return tlog.SignCheckpoint(c, testOrigin, testKey(fmt.Sprint("log", i)))
}

func cosignature(c tlog.Checkpoint, i int, time uint64) tlog.Signature {
	return tlog.Cosign(c, memberName(i), time, testKey(memberName(i)))
}

// signed is a note with the signature of log 0 and cosignatures of the members, with time 1000+member.
func signed(c tlog.Checkpoint, members ...int) []byte {
	sigs := []tlog.Signature{logSignature(c, 0)}
	for _, m := range members {
		sigs = append(sigs, cosignature(c, m, 1000+uint64(m)))
	}
	return tlog.FormatNote(c, sigs)
}

func testCheckpoint() tlog.Checkpoint {
	return tlog.Checkpoint{Origin: testOrigin, Size: 20852163, Root: sha256.Sum256([]byte("root"))}
}

// wantReason fails unless the error is a refusal with this code.
func wantReason(t *testing.T, err error, want reason.Code) {
	t.Helper()
	if got, ok := reason.CodeOf(err); !ok || got != want {
		t.Errorf("got error %v, want reason %v", err, want)
	}
}

var errBroken = errors.New("broken reader")
