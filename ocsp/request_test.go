package ocsp

import (
	"bytes"
	"crypto"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
	second "golang.org/x/crypto/ocsp"
)

// corpus is every well-formed request the tests have, by name.
func corpus(t testing.TB) map[string][]byte {
	t.Helper()
	files, err := filepath.Glob("testdata/*.der")
	if err != nil || len(files) == 0 {
		t.Fatalf("no vectors: %v", err)
	}
	all := make(map[string][]byte)
	for _, f := range files {
		der, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		all[filepath.Base(f)] = der
	}
	return all
}

func TestParseVectors(t *testing.T) {
	want := map[string]struct {
		certs int
		hash  crypto.Hash
		nonce int
	}{
		"openssl-nonce.der":      {1, crypto.SHA1, 16},
		"openssl-sha256-two.der": {2, crypto.SHA256, 0},
		"openssl-signed.der":     {1, crypto.SHA1, 16},
		"ocsptool.der":           {1, crypto.SHA1, 0},
	}
	for name, der := range corpus(t) {
		r, err := ParseRequest(der)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		w := want[name]
		if len(r.Certs) != w.certs || r.Certs[0].Hash != w.hash || len(r.Nonce) != w.nonce {
			t.Errorf("%s: %d certs, %v, nonce of %d", name, len(r.Certs), r.Certs[0].Hash, len(r.Nonce))
		}
		if got := r.Certs[0].Serial; !bytes.Equal(got, []byte{0x12, 0x34}) {
			t.Errorf("%s: serial %x", name, got)
		}
		checkStrict(t, der, r)
	}
}

// checkStrict proves that a request was strict: its parts encode to the octets they were read from.
func checkStrict(t *testing.T, der []byte, r *Request) {
	t.Helper()
	if again := r.encode(); !bytes.Equal(again, der) {
		t.Errorf("accepted\n%x but it encodes to\n%x", der, again)
	}
	for _, id := range r.Certs {
		absent, null := id.encode(""), id.encode(derNull)
		if !bytes.Equal(id.Raw, absent) && !bytes.Equal(id.Raw, null) {
			t.Errorf("accepted CertID\n%x but it encodes to\n%x", id.Raw, null)
		}
	}
}

// TestNewCertID compares with an implementation that is not ours.
func TestNewCertID(t *testing.T) {
	cert := device(t, "d", 77)
	for _, h := range []crypto.Hash{crypto.SHA1, crypto.SHA256, crypto.SHA384} {
		parsed := parseX509(t, cert)
		der, err := second.CreateRequest(parsed, parsed, &second.RequestOptions{Hash: h})
		if err != nil {
			t.Fatal(err)
		}
		r, err := ParseRequest(der)
		if err != nil {
			t.Fatal(err)
		}
		if id := certID(t, h, cert); !bytes.Equal(id.Raw, r.Certs[0].Raw) {
			t.Errorf("%v: CertID %x, want %x", h, id.Raw, r.Certs[0].Raw)
		}
		if again := newRequest(t, nil, certID(t, h, cert)); !bytes.Equal(again, der) {
			t.Errorf("%v: request %x, want %x", h, again, der)
		}
	}
	if _, err := NewCertID(crypto.SHA512, cert, cert); err == nil {
		t.Error("SHA-512 was taken")
	}
	for i := range cert {
		if _, err := NewCertID(crypto.SHA1, cert[:i], cert); err == nil {
			t.Fatalf("a certificate cut at %d was taken", i)
		}
	}
}

func TestNewRequestRefuses(t *testing.T) {
	id := certID(t, crypto.SHA1, device(t, "d", 1))
	if _, err := NewRequest(nil); err == nil {
		t.Error("a request about nothing was made")
	}
	for _, n := range []int{0, 129} {
		if _, err := NewRequest(make([]byte, n), id); err == nil {
			t.Errorf("a nonce of %d octets was taken", n)
		}
	}
}

func TestParseNonceLengths(t *testing.T) {
	id := certID(t, crypto.SHA256, device(t, "d", 1))
	for n, want := range map[int]error{0: ErrMalformed, 1: nil, 16: nil, 32: nil, 127: nil, 128: nil, 129: ErrMalformed, 5000: ErrMalformed} {
		nonce := bytes.Repeat([]byte{7}, n)
		r, err := ParseRequest(with(t, id, nonceExtension(nonce)))
		if !errors.Is(err, want) {
			t.Errorf("nonce of %d octets: %v, want %v", n, err, want)
		}
		if err == nil && !bytes.Equal(r.Nonce, nonce) {
			t.Errorf("nonce of %d octets became %x", n, r.Nonce)
		}
	}
}

// TestParseTruncated cuts every vector at every offset, and lengthens it.
func TestParseTruncated(t *testing.T) {
	for name, der := range corpus(t) {
		for i := range der {
			if _, err := ParseRequest(der[:i]); !errors.Is(err, ErrMalformed) {
				t.Errorf("%s cut at %d: %v", name, i, err)
			}
		}
		for _, tail := range []string{"\x00", "\x05\x00", "\x00\x00", string(der)} {
			if _, err := ParseRequest(append(bytes.Clone(der), tail...)); !errors.Is(err, ErrMalformed) {
				t.Errorf("%s with %d octets after it: %v", name, len(tail), err)
			}
		}
	}
}

// TestParseDamaged changes every octet of every vector: whatever is still accepted is still strict.
func TestParseDamaged(t *testing.T) {
	for _, der := range corpus(t) {
		for i := range der {
			for _, flip := range []byte{0x01, 0x20, 0x80, 0xff} {
				damaged := bytes.Clone(der)
				damaged[i] ^= flip
				if r, err := ParseRequest(damaged); err == nil {
					checkStrict(t, damaged, r)
				}
			}
		}
	}
}

func TestParseHostile(t *testing.T) {
	id := certID(t, crypto.SHA1, device(t, "d", 0x1234))
	good := newRequest(t, nil, id)
	unknownOID := "\x69\x90\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01" // 2.25.<more than 64 bits>
	tests := []struct {
		name string
		der  []byte
		want error
	}{
		{"nothing", nil, ErrMalformed},
		{"text", []byte("GET / HTTP/1.1"), ErrMalformed},
		{"longer than the limit", append(bytes.Clone(good), make([]byte, MaxRequestSize)...), ErrMalformed},
		{"indefinite length", append([]byte{0x30, 0x80}, append(bytes.Clone(good[2:]), 0, 0)...), ErrMalformed},
		{"length in too many octets", append([]byte{0x30, 0x81}, good[1:]...), ErrMalformed},
		{"version v1 written out", tbs(t, func(b *cryptobyte.Builder) {
			b.AddASN1(explicit(0), func(b *cryptobyte.Builder) { b.AddASN1Int64(0) })
			addList(b, id.Raw)
		}), ErrMalformed},
		{"version v2", tbs(t, func(b *cryptobyte.Builder) {
			b.AddASN1(explicit(0), func(b *cryptobyte.Builder) { b.AddASN1Int64(1) })
			addList(b, id.Raw)
		}), ErrMalformed},
		{"no certificates", tbs(t, func(b *cryptobyte.Builder) { addList(b) }), ErrMalformed},
		{"a hundred", newRequest(t, nil, repeat(id, 100)...), nil},
		{"too many", tbs(t, func(b *cryptobyte.Builder) { addList(b, raws(repeat(id, 101))...) }), ErrUnsupported},
		{"extensions, none", tbs(t, func(b *cryptobyte.Builder) {
			addList(b, id.Raw)
			b.AddASN1(explicit(2), func(b *cryptobyte.Builder) { b.AddASN1(asn1.SEQUENCE, func(*cryptobyte.Builder) {}) })
		}), ErrMalformed},
		{"something after the extensions", tbs(t, func(b *cryptobyte.Builder) {
			addList(b, id.Raw)
			addExtensions(b, 2, []extension{nonceExtension([]byte{1})})
			b.AddASN1Int64(1)
		}), ErrMalformed},
		{"unknown extension", with(t, id, extension{oid: unknownOID, value: []byte("?")}), nil},
		{"unknown critical extension", with(t, id, extension{oid: unknownOID, critical: true}), ErrUnsupported},
		{"critical nonce", with(t, id, extension{oid: oidNonce, critical: true, value: []byte{4, 1, 9}}), nil},
		{"proofs", with(t, id, extension{oid: oidProofs, value: []byte(derNull)}), nil},
		{"critical proofs", with(t, id, extension{oid: oidProofs, critical: true, value: []byte(derNull)}), nil},
		{"proofs of something", with(t, id, extension{oid: oidProofs, value: []byte("\x01\x01\xff")}), ErrMalformed},
		{"proofs of many", tbs(t, func(b *cryptobyte.Builder) {
			addList(b, raws(repeat(id, maxProofs))...)
			addExtensions(b, 2, []extension{{oid: oidProofs, value: []byte(derNull)}})
		}), nil},
		{"proofs of too many", tbs(t, func(b *cryptobyte.Builder) {
			addList(b, raws(repeat(id, maxProofs+1))...)
			addExtensions(b, 2, []extension{{oid: oidProofs, value: []byte(derNull)}})
		}), ErrUnsupported},
		{"critical FALSE written out", bytes.Replace(
			with(t, id, extension{oid: "\x2a\x03", critical: true, value: []byte("?")}),
			[]byte{1, 1, 0xff}, []byte{1, 1, 0x00}, 1), ErrMalformed},
		{"critical neither FALSE nor TRUE", bytes.Replace(
			with(t, id, extension{oid: "\x2a\x03", critical: true, value: []byte("?")}),
			[]byte{1, 1, 0xff}, []byte{1, 1, 0x01}, 1), ErrMalformed},
		{"two nonces", with(t, id, nonceExtension([]byte{1}), nonceExtension([]byte{1})), ErrMalformed},
		{"nonce that is not wrapped", with(t, id, extension{oid: oidNonce, value: []byte("0123456789")}), ErrMalformed},
		{"nonce with a tail", with(t, id, extension{oid: oidNonce, value: []byte{4, 1, 9, 0}}), ErrMalformed},
		{"arc that starts with zeros", with(t, id, extension{oid: "\x2a\x80\x03"}), ErrMalformed},
		{"arc that does not end", with(t, id, extension{oid: "\x2a\x83"}), ErrMalformed},
		{"empty object identifier", with(t, id, extension{oid: ""}), ErrMalformed},
		{"unknown critical single extension", single(t, id.Raw, extension{oid: "\x2a\x03", critical: true}), ErrUnsupported},
		{"unknown single extension", single(t, id.Raw, extension{oid: "\x2a\x03", value: []byte("?")}), nil},
		{"unknown hash", single(t, rawID(t, "\x2a\x03", derNull, 5, 5, "\x01")), ErrUnsupported},
		{"unknown hash with parameters", single(t, rawID(t, "\x2a\x03", "\x02\x01\x07", 5, 5, "\x01")), ErrUnsupported},
		{"unknown hash and a malformed one", tbs(t, func(b *cryptobyte.Builder) {
			addList(b, rawID(t, "\x2a\x03", derNull, 5, 5, "\x01"), rawID(t, oidSHA1, derNull, 19, 20, "\x01"))
		}), ErrMalformed},
		{"SHA-256 without parameters", single(t, rawID(t, oidSHA256, "", 32, 32, "\x01")), nil},
		{"SHA-1 with other parameters", single(t, rawID(t, oidSHA1, "\x02\x01\x07", 20, 20, "\x01")), ErrMalformed},
		{"SHA-1 with two parameters", single(t, rawID(t, oidSHA1, derNull+derNull, 20, 20, "\x01")), ErrMalformed},
		{"name hash too short", single(t, rawID(t, oidSHA1, derNull, 19, 20, "\x01")), ErrMalformed},
		{"key hash too long", single(t, rawID(t, oidSHA256, derNull, 32, 33, "\x01")), ErrMalformed},
		{"empty serial", single(t, rawID(t, oidSHA1, derNull, 20, 20, "")), ErrMalformed},
		{"padded serial", single(t, rawID(t, oidSHA1, derNull, 20, 20, "\x00\x01")), ErrMalformed},
		{"padded negative serial", single(t, rawID(t, oidSHA1, derNull, 20, 20, "\xff\x80")), ErrMalformed},
		{"serial with a needed zero", single(t, rawID(t, oidSHA1, derNull, 20, 20, "\x00\x80")), nil},
		{"negative serial", single(t, rawID(t, oidSHA1, derNull, 20, 20, "\x80")), nil},
		{"zero serial", single(t, rawID(t, oidSHA1, derNull, 20, 20, "\x00")), nil},
		{"long serial", single(t, rawID(t, oidSHA1, derNull, 20, 20, "\x01"+strings.Repeat("a", 4000))), nil},
	}
	for _, tt := range tests {
		r, err := ParseRequest(tt.der)
		if !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
		if (r == nil) != (err != nil) {
			t.Errorf("%s: request %v with error %v", tt.name, r, err)
		}
		if r != nil {
			checkStrict(t, tt.der, r)
		}
	}
}

// FuzzParseRequest: every request that is accepted encodes to its own octets, and every refusal has its reason.
func FuzzParseRequest(f *testing.F) {
	for _, der := range corpus(f) {
		f.Add(der)
	}
	f.Fuzz(func(t *testing.T, der []byte) {
		r, err := ParseRequest(der)
		if err != nil {
			if !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrUnsupported) {
				t.Errorf("an error without its reason: %v", err)
			}
			return
		}
		if n := len(r.Nonce); len(r.Certs) < 1 || len(r.Certs) > DefaultMaxRequests || n > 128 || r.Nonce != nil && n == 0 {
			t.Errorf("accepted %d certificates and a nonce of %d", len(r.Certs), n)
		}
		checkStrict(t, der, r)
	})
}

// with is a request about id with extensions.
func with(t *testing.T, id CertID, extensions ...extension) []byte {
	t.Helper()
	return tbs(t, func(b *cryptobyte.Builder) {
		addList(b, id.Raw)
		addExtensions(b, 2, extensions)
	})
}

// single is a request about one raw CertID with single extensions.
func single(t *testing.T, raw []byte, extensions ...extension) []byte {
	t.Helper()
	return tbs(t, func(b *cryptobyte.Builder) {
		b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddBytes(raw)
				addExtensions(b, 0, extensions)
			})
		})
	})
}

// tbs wraps what add writes into a TBSRequest and an OCSPRequest.
func tbs(t *testing.T, add func(*cryptobyte.Builder)) []byte {
	t.Helper()
	var b cryptobyte.Builder
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddASN1(asn1.SEQUENCE, add) })
	der, err := b.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// addExtensions writes extensions under the tag [n] EXPLICIT, and nothing when there are none.
func addExtensions(b *cryptobyte.Builder, n uint8, extensions []extension) {
	if len(extensions) == 0 {
		return
	}
	b.AddASN1(explicit(n), func(b *cryptobyte.Builder) {
		b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
			for _, e := range extensions {
				b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
					addOID(b, e.oid)
					if e.critical {
						b.AddASN1Boolean(true)
					}
					b.AddASN1OctetString(e.value)
				})
			}
		})
	})
}

func addOID(b *cryptobyte.Builder, oid string) {
	b.AddASN1(asn1.OBJECT_IDENTIFIER, func(b *cryptobyte.Builder) { b.AddBytes([]byte(oid)) })
}

func addList(b *cryptobyte.Builder, ids ...[]byte) {
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		for _, raw := range ids {
			b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddBytes(raw) })
		}
	})
}

func rawID(t *testing.T, oid, parameters string, name, key int, serial string) []byte {
	t.Helper()
	var b cryptobyte.Builder
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
			addOID(b, oid)
			b.AddBytes([]byte(parameters))
		})
		b.AddASN1OctetString(make([]byte, name))
		b.AddASN1OctetString(make([]byte, key))
		b.AddASN1(asn1.INTEGER, func(b *cryptobyte.Builder) { b.AddBytes([]byte(serial)) })
	})
	der, err := b.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func repeat(id CertID, n int) []CertID {
	ids := make([]CertID, n)
	for i := range ids {
		ids[i] = id
	}
	return ids
}

func raws(ids []CertID) [][]byte {
	var all [][]byte
	for _, id := range ids {
		all = append(all, id.Raw)
	}
	return all
}
