package tlog

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Signature types of c2sp.org/signed-note. Each has its own key ids and its own signed message.
const (
	TypeLog         byte = 0x01 // Ed25519 over the note text: a log's own signature
	TypeCosignature byte = 0x04 // Ed25519 cosignature/v1 with a time, c2sp.org/tlog-cosignature
)

// maxName bounds origins and key names, in bytes: ML-DSA cosignatures will sign them with a length of one byte.
const maxName = 255

// VKey is a public key under a name, for one type of signature: <name>+<id in hex>+base64(type || public key)
// (c2sp.org/signed-note, "Verifier keys").
type VKey struct {
	Name   string
	Type   byte // TypeLog or TypeCosignature
	Public ed25519.PublicKey
}

// ID is the key's id in signature lines: SHA-256(name || 0x0A || type || public key)[:4], big-endian.
func (v VKey) ID() uint32 {
	b := make([]byte, 0, len(v.Name)+2+len(v.Public))
	b = append(b, v.Name...)
	b = append(b, '\n', v.Type)
	b = append(b, v.Public...)
	sum := sha256.Sum256(b)
	return binary.BigEndian.Uint32(sum[:])
}

// String is the key in vkey encoding.
func (v VKey) String() string {
	return fmt.Sprintf("%s+%08x+%s", v.Name, v.ID(), base64.StdEncoding.EncodeToString(append([]byte{v.Type}, v.Public...)))
}

// ParseVKey is the inverse of String. It refuses other types than TypeLog and TypeCosignature, and an id that is not
// the key's.
func ParseVKey(s string) (VKey, error) {
	// Errors quote the name alone: the string may be a private key given by mistake.
	name, rest, _ := strings.Cut(s, "+")
	_, encoded, _ := strings.Cut(rest, "+")
	if len(encoded) > base64.StdEncoding.EncodedLen(1+ed25519.PublicKeySize) {
		return VKey{}, errors.New("verifier key: too long for Ed25519")
	}
	key, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if err != nil {
		return VKey{}, fmt.Errorf("verifier key: %w", err)
	}
	if len(key) != 1+ed25519.PublicKeySize {
		return VKey{}, fmt.Errorf("verifier key: %d bytes, want a type and %d", len(key), ed25519.PublicKeySize)
	}
	v := VKey{Name: name, Type: key[0], Public: key[1:]}
	if err := v.check(); err != nil {
		return VKey{}, err
	}
	if v.String() != s {
		return VKey{}, fmt.Errorf("verifier key of %.80q: the id is not %08x or the encoding is not canonical", v.Name, v.ID())
	}
	return v, nil
}

// check refuses what ParseVKey would not give.
func (v VKey) check() error {
	if err := checkName(v.Name); err != nil {
		return fmt.Errorf("verifier key: %w", err)
	}
	if v.Type != TypeLog && v.Type != TypeCosignature {
		return fmt.Errorf("verifier key of %.80q: unknown signature type 0x%02x", v.Name, v.Type)
	}
	if len(v.Public) != ed25519.PublicKeySize {
		return fmt.Errorf("verifier key of %.80q: a public key of %d bytes", v.Name, len(v.Public))
	}
	return nil
}

// made reports whether the signature line claims to be by this key.
func (v VKey) made(s Signature) bool { return s.ID == v.ID() && s.Name == v.Name }

// checkName refuses origins and key names of ours that a signed note cannot carry or that are too long.
func checkName(name string) error {
	if len(name) > maxName {
		return fmt.Errorf("a name of %d bytes, at most %d are allowed", len(name), maxName)
	}
	if !validName(name) {
		return fmt.Errorf("name %q: it must be non-empty UTF-8 without spaces, control characters or +", name)
	}
	return nil
}

// validName is the rule of c2sp.org/signed-note for key names.
func validName(name string) bool {
	return name != "" && utf8.ValidString(name) && !strings.ContainsFunc(name, func(r rune) bool {
		return r < 0x20 || r == '+' || unicode.IsSpace(r)
	})
}

// Equal reports whether two keys are the same, under the same name.
func (v VKey) Equal(o VKey) bool {
	return v.Name == o.Name && v.Type == o.Type && v.Public.Equal(o.Public)
}
