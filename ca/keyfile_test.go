package ca_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/quorate-pki/quorate/ca"
	"github.com/quorate-pki/quorate/ca/profile"
)

var kinds = []profile.KeyKind{profile.P256, profile.P384, profile.Ed25519, profile.RSA}

// newKey makes each kind of key once; RSA takes long.
var newKey = func() func(testing.TB, profile.KeyKind) crypto.Signer {
	var mu sync.Mutex
	made := map[profile.KeyKind]crypto.Signer{}
	return func(t testing.TB, kind profile.KeyKind) crypto.Signer {
		t.Helper()
		mu.Lock()
		defer mu.Unlock()
		if made[kind] == nil {
			key, err := ca.GenerateKey(kind, rand.Reader)
			must(t, err)
			made[kind] = key
		}
		return made[kind]
	}
}()

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func spki(t testing.TB, key crypto.Signer) []byte {
	t.Helper()
	der, err := ca.SPKI(key.Public())
	must(t, err)
	return der
}

func TestKeyFileRoundTrip(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind.String(), func(t *testing.T) {
			key, path := newKey(t, kind), filepath.Join(t.TempDir(), "key.pem")
			must(t, ca.WriteKey(path, key))
			info, err := os.Stat(path)
			must(t, err)
			if info.Mode().Perm() != 0o600 {
				t.Errorf("mode %04o", info.Mode().Perm())
			}
			again, err := ca.ReadSigner(path)
			must(t, err)
			if !bytes.Equal(spki(t, again), spki(t, key)) {
				t.Error("another key came back")
			}
			data, err := os.ReadFile(path)
			must(t, err)
			got, err := ca.CanonicalKeyFile(data)
			must(t, err)
			if !bytes.Equal(got, spki(t, key)) {
				t.Error("another SPKI came back")
			}
		})
	}
	if _, err := ca.GenerateKey(0, rand.Reader); err == nil {
		t.Error("a key of no kind")
	}
}

// TestKeyFileMode holds the mode against every umask that could widen it.
func TestKeyFileMode(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0))
	path := filepath.Join(t.TempDir(), "key.pem")
	must(t, ca.WriteKey(path, newKey(t, profile.Ed25519)))
	info, err := os.Stat(path)
	must(t, err)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode %04o without umask", info.Mode().Perm())
	}
}

func TestNeverOverwrites(t *testing.T) {
	dir := t.TempDir()
	key := newKey(t, profile.Ed25519)
	link := filepath.Join(dir, "link")
	must(t, os.Symlink(filepath.Join(dir, "elsewhere"), link))
	old := filepath.Join(dir, "old")
	must(t, os.WriteFile(old, []byte("precious"), 0o600))
	for _, path := range []string{old, link} {
		if err := ca.WriteKey(path, key); !os.IsExist(err) {
			t.Errorf("WriteKey %s: %v", path, err)
		}
		if err := ca.WriteCertificate(path, []byte{1}); !os.IsExist(err) {
			t.Errorf("WriteCertificate %s: %v", path, err)
		}
	}
	if data, err := os.ReadFile(old); err != nil || string(data) != "precious" {
		t.Errorf("the old file holds %q, %v", data, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "elsewhere")); !os.IsNotExist(err) {
		t.Error("written through a link")
	}
	if err := ca.WriteKey(filepath.Join(dir, "no", "such", "folder"), key); err == nil {
		t.Error("written into a folder that is not there")
	}
}

func TestReadSignerRefuses(t *testing.T) {
	dir := t.TempDir()
	good := filepath.Join(dir, "good.pem")
	must(t, ca.WriteKey(good, newKey(t, profile.P256)))
	data, err := os.ReadFile(good)
	must(t, err)
	for _, mode := range []fs.FileMode{0o640, 0o620, 0o610, 0o604, 0o602, 0o601, 0o644, 0o666, 0o440} {
		path := filepath.Join(dir, "open.pem")
		must(t, os.WriteFile(path, data, 0o600))
		must(t, os.Chmod(path, mode))
		if _, err := ca.ReadSigner(path); err == nil || !strings.Contains(err.Error(), "may be read by others") {
			t.Errorf("mode %04o: %v", mode, err)
		}
		must(t, os.Remove(path))
	}
	pub := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: spki(t, newKey(t, profile.P256))})
	cut := bytes.Clone(data[:len(data)/2])
	for name, content := range map[string][]byte{
		"empty": nil, "public key": pub, "cut": cut, "two keys": append(bytes.Clone(data), data...), "DER": {0x30, 0},
		"huge": bytes.Repeat([]byte("x"), 65<<10), "parameters only": pem.EncodeToMemory(&pem.Block{Type: "EC PARAMETERS", Bytes: []byte{5, 0}}),
		"encrypted": pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: []byte{0x30, 0}}),
	} {
		path := filepath.Join(dir, "bad.pem")
		must(t, os.WriteFile(path, content, 0o600))
		if key, err := ca.ReadSigner(path); err == nil {
			t.Errorf("%s: read a %T", name, key)
		}
	}
	for _, path := range []string{filepath.Join(dir, "missing"), dir} {
		if _, err := ca.ReadSigner(path); err == nil {
			t.Errorf("%s was read", path)
		}
	}
	pipe := filepath.Join(dir, "pipe")
	must(t, syscall.Mkfifo(pipe, 0o600))
	if _, err := ca.ReadSigner(pipe); err == nil {
		t.Error("a pipe was read")
	}
}

// TestNoKeyMaterialInErrors spoils key files and looks for their content in what is said about it.
func TestNoKeyMaterialInErrors(t *testing.T) {
	for _, kind := range kinds {
		der, err := x509.MarshalPKCS8PrivateKey(newKey(t, kind))
		must(t, err)
		dir := t.TempDir()
		for i := 0; i < len(der); i += 1 + len(der)/97 {
			bad := bytes.Clone(der)
			bad[i] ^= 0xff
			data := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: bad})
			path := filepath.Join(dir, "key.pem")
			must(t, os.WriteFile(path, data, 0o600))
			var said []string
			if _, err := ca.ReadSigner(path); err != nil {
				said = append(said, err.Error())
			}
			if _, err := ca.CanonicalKeyFile(data); err != nil {
				said = append(said, err.Error())
			}
			text := base64.StdEncoding.EncodeToString(bad)
			for _, s := range said {
				for from := 0; from+12 <= len(text); from++ {
					if strings.Contains(s, text[from:from+12]) {
						t.Fatalf("%s: the error quotes the file: %s", kind, s)
					}
				}
			}
		}
	}
}

// TestCanonicalKeyFile flips every bit of a key file. Each shows as an error or as another key.
func TestCanonicalKeyFile(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind.String(), func(t *testing.T) {
			t.Parallel()
			key, path := newKey(t, kind), filepath.Join(t.TempDir(), "key.pem")
			must(t, ca.WriteKey(path, key))
			data, err := os.ReadFile(path)
			must(t, err)
			want, step := spki(t, key), 1
			if kind == profile.RSA && testing.Short() {
				step = 61 // reading an RSA key checks it, which takes a millisecond
			}
			var wg sync.WaitGroup
			workers := runtime.GOMAXPROCS(0)
			for w := range workers {
				wg.Go(func() {
					for bit := w * step; bit < 8*len(data); bit += workers * step {
						bad := bytes.Clone(data)
						bad[bit/8] ^= 1 << (bit % 8)
						if got, err := ca.CanonicalKeyFile(bad); err == nil && bytes.Equal(got, want) {
							t.Errorf("bit %d is flipped and does not show", bit)
						}
					}
				})
			}
			wg.Wait()
		})
	}
	sec1, err := x509.MarshalECPrivateKey(newKey(t, profile.P256).(*ecdsa.PrivateKey))
	must(t, err)
	dir := t.TempDir()
	must(t, ca.WriteKey(filepath.Join(dir, "k"), newKey(t, profile.P256)))
	data, err := os.ReadFile(filepath.Join(dir, "k"))
	must(t, err)
	for name, bad := range map[string][]byte{
		"empty": nil, "SEC 1": pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: sec1}),
		"text before": append([]byte("my key\n"), data...), "text after": append(bytes.Clone(data), '\n'),
		"CRLF": bytes.ReplaceAll(data, []byte("\n"), []byte("\r\n")),
	} {
		if _, err := ca.CanonicalKeyFile(bad); err == nil {
			t.Errorf("%s passes for canonical", name)
		}
	}
}

func TestKeyIDRefusesOtherKeys(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	must(t, err)
	if _, err := ca.KeyID(key.Public()); err == nil {
		t.Error("P-521 has a key id")
	}
	if _, err := ca.KeyID("no key"); err == nil {
		t.Error("a string has a key id")
	}
}
