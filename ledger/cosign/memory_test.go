package cosign_test

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/quorate-pki/quorate/internal/durable"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/commit"
	"github.com/quorate-pki/quorate/ledger/cosign"
	"github.com/quorate-pki/quorate/ledger/ledgertest"
	"github.com/quorate-pki/quorate/ledger/tlog"
)

const file = "node/signer"

// ownKey is the key of the tests' signer.
var ownKey = tlog.VKey{Name: "test.example/ca-a", Type: tlog.TypeCosignature, Public: ed25519.NewKeyFromSeed(make([]byte, 32)).Public().(ed25519.PublicKey)}

func config(fs vfs.FS, inception bool) cosign.Config {
	return cosign.Config{FS: fs, Path: file, Keys: []ed25519.PrivateKey{ed25519.NewKeyFromSeed(make([]byte, 32))}, Name: "test.example/ca-a",
		Origin: "test.example/main/0", Channel: ledger.Hash{7}, Inception: inception}
}

func vkey() tlog.VKey {
	c := config(nil, false)
	return tlog.VKey{Name: c.Name, Type: tlog.TypeCosignature, Public: c.Keys[0].Public().(ed25519.PublicKey)}
}

func statement(height uint64) commit.Statement {
	return commit.Statement{Height: height, Size: 14 + 3*height, Root: ledger.Hash{byte(height)}, Header: ledger.Hash{1, byte(height)}, Time: 1000 + height}
}

func mem(t *testing.T) *vfs.MemFS {
	t.Helper()
	fs := vfs.NewCrashableMem()
	if err := durable.MkdirAll(fs, ".", "node"); err != nil {
		t.Fatal(err)
	}
	return fs
}

func open(t *testing.T, fs vfs.FS, inception bool) *cosign.Signer {
	t.Helper()
	s, err := cosign.Open(config(fs, inception))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSignRemembers(t *testing.T) {
	fs := mem(t)
	s := open(t, fs, true)
	if s.Last() != nil {
		t.Fatal("it never signed")
	}
	for h := range uint64(5) {
		out, err := s.Sign(statement(h), ownKey)
		if err != nil {
			t.Fatal(err)
		}
		if at, ok := tlog.VerifyCosignature(tlog.Checkpoint{Origin: "test.example/main/0", Size: out.Size, Root: out.Root}, vkey(), out.Signature); !ok || at != out.Time {
			t.Fatal("the cosignature does not verify")
		}
		if got := open(t, fs, false).Last(); got.Statement != statement(h) || !bytes.Equal(got.Signature.Bytes, out.Signature.Bytes) {
			t.Fatalf("remembered %+v", got)
		}
	}
}

func TestMissingMemory(t *testing.T) {
	if _, err := cosign.Open(config(mem(t), false)); !errors.Is(err, cosign.ErrMissing) {
		t.Errorf("%v", err)
	}
	// Inception of a key that has a memory forgets nothing.
	fs := mem(t)
	if _, err := open(t, fs, true).Sign(statement(3), ownKey); err != nil {
		t.Fatal(err)
	}
	if _, err := open(t, fs, true).Sign(statement(2), ownKey); !errors.Is(err, cosign.ErrContradiction) {
		t.Errorf("%v", err)
	}
}

func TestNeverContradicts(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*commit.Statement)
		ok     bool
	}{
		"the same":                  {func(*commit.Statement) {}, true},
		"a newer time":              {func(s *commit.Statement) { s.Time++ }, true},
		"the next height":           {func(s *commit.Statement) { *s = statement(6) }, true},
		"a smaller tree":            {func(s *commit.Statement) { s.Size-- }, false},
		"a smaller tree, higher":    {func(s *commit.Statement) { s.Size--; s.Height++ }, false},
		"a lower height":            {func(s *commit.Statement) { s.Height-- }, false},
		"another root":              {func(s *commit.Statement) { s.Root[9] ^= 1 }, false},
		"another root, later":       {func(s *commit.Statement) { s.Root[9] ^= 1; s.Time += 100 }, false},
		"another header":            {func(s *commit.Statement) { s.Header[9] ^= 1 }, false},
		"an earlier time":           {func(s *commit.Statement) { s.Time-- }, false},
		"a larger tree, earlier":    {func(s *commit.Statement) { *s = statement(6); s.Time = 1 }, false},
		"two blocks of one height":  {func(s *commit.Statement) { s.Size++ }, false},
		"two heights of one size":   {func(s *commit.Statement) { s.Height++ }, false},
		"a time that never existed": {func(s *commit.Statement) { s.Time = math.MaxUint64 }, false},
	} {
		for _, restart := range []bool{false, true} {
			fs := mem(t)
			s := open(t, fs, true)
			if _, err := s.Sign(statement(5), ownKey); err != nil {
				t.Fatal(err)
			}
			if restart {
				s = open(t, fs, false)
			}
			st := statement(5)
			tc.change(&st)
			_, err := s.Sign(st, ownKey)
			if (err == nil) != tc.ok {
				t.Errorf("%s, restart %v: %v", name, restart, err)
			}
			if !tc.ok && (s.Last().Statement != statement(5) || open(t, fs, false).Last().Statement != statement(5)) {
				t.Errorf("%s: it was remembered", name)
			}
		}
	}
	s := open(t, mem(t), true)
	st := statement(1)
	st.Time = 0
	if _, err := s.Sign(st, ownKey); err == nil {
		t.Error("signed with a time that no verifier accepts")
	}
}

// TestCrashInSign crashes at every step of Sign: the memory is the old or the new, whole, and the new once Sign returned.
func TestCrashInSign(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	for _, first := range []bool{true, false} {
		fs := mem(t)
		if !first {
			if _, err := open(t, fs, true).Sign(statement(4), ownKey); err != nil {
				t.Fatal(err)
			}
		}
		crashes := 0
		crash := func(done bool) {
			for _, kept := range []int{0, 100, 50, 50, 50} {
				crashes++
				s, err := cosign.Open(config(fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: kept, RNG: rng}), false))
				switch {
				case first && !done && errors.Is(err, cosign.ErrMissing):
					continue
				case err != nil:
					t.Fatalf("crash %d: %v", crashes, err)
				case s.Last().Statement == statement(5), !first && !done && s.Last().Statement == statement(4):
				default:
					t.Fatalf("crash %d: remembers %+v", crashes, s.Last())
				}
				if _, err := s.Sign(statement(6), ownKey); err != nil {
					t.Fatalf("crash %d: %v", crashes, err)
				}
			}
		}
		hook := &ledgertest.HookFS{FS: fs, Before: func(ledgertest.Op) error { crash(false); return nil }}
		if _, err := open(t, hook, true).Sign(statement(5), ownKey); err != nil {
			t.Fatal(err)
		}
		crash(true)
		if hook.Steps() < 4 {
			t.Errorf("%d steps: not the ones meant", hook.Steps())
		}
	}
}

// TestFaultInSign fails every step of Sign, before and after it was done. Whether the memory has the statement is not known
// then, so this Signer signs nothing more; the next one goes by the file.
func TestFaultInSign(t *testing.T) {
	fault := errors.New("fault")
	for k := 1; ; k++ {
		hit := false
		for _, after := range []bool{false, true} {
			fs := mem(t)
			if _, err := open(t, fs, true).Sign(statement(4), ownKey); err != nil {
				t.Fatal(err)
			}
			hook := &ledgertest.HookFS{FS: fs}
			f := func(op ledgertest.Op) error {
				if op.N == k {
					hit = true
					return fault
				}
				return nil
			}
			if after {
				hook.After = f
			} else {
				hook.Before = f
			}
			s := open(t, hook, false)
			_, err := s.Sign(statement(5), ownKey)
			if !hit {
				if err != nil {
					t.Fatal(err)
				}
				continue
			}
			if !errors.Is(err, fault) {
				t.Fatalf("step %d: %v", k, err)
			}
			other := statement(5)
			other.Root[9] ^= 1
			if _, err := s.Sign(other, ownKey); err == nil {
				t.Fatalf("step %d: signs after a fault", k)
			}
			if got := open(t, fs, false).Last().Statement; got != statement(4) && got != statement(5) {
				t.Fatalf("step %d: remembers %+v", k, got)
			}
		}
		if !hit {
			return
		}
	}
}

// TestEveryBitCounts: a memory with a flipped bit, or cut, does not open.
func TestEveryBitCounts(t *testing.T) {
	fs := mem(t)
	if _, err := open(t, fs, true).Sign(statement(5), ownKey); err != nil {
		t.Fatal(err)
	}
	raw, err := durable.Read(fs, file, 1<<16)
	if err != nil {
		t.Fatal(err)
	}
	parse := func(b []byte) error {
		_, err := cosign.Parse(b, ledger.Hash{7}, "test.example/main/0", vkey())
		return err
	}
	if err := parse(raw); err != nil {
		t.Fatal(err)
	}
	for i := range 8 * len(raw) {
		b := bytes.Clone(raw)
		b[i/8] ^= 1 << (i % 8)
		if parse(b) == nil {
			t.Errorf("bit %d of byte %d does not count", i%8, i/8)
		}
	}
	for n := range raw {
		if parse(raw[:n]) == nil {
			t.Errorf("the first %d bytes open", n)
		}
	}
	if parse(append(bytes.Clone(raw), 0)) == nil {
		t.Error("a byte more opens")
	}
	if _, err := cosign.Parse(raw, ledger.Hash{8}, "test.example/main/0", vkey()); err == nil {
		t.Error("opens for another channel")
	}
	if _, err := cosign.Parse(raw, ledger.Hash{7}, "test.example/main/1", vkey()); err == nil {
		t.Error("opens for another log")
	}
	other := vkey()
	other.Public = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, 32)).Public().(ed25519.PublicKey)
	if _, err := cosign.Parse(raw, ledger.Hash{7}, "test.example/main/0", other); err == nil {
		t.Error("opens for another key")
	}
}
