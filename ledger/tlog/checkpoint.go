package tlog

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/quorate-pki/quorate/internal/reason"
)

const (
	// MaxNote bounds a signed checkpoint, in bytes.
	MaxNote = 64 << 10

	// maxSignatures bounds a note's signature lines; golang.org/x/mod stops at the same number.
	maxSignatures = 100

	signaturePrefix = "— " // em dash (U+2014) and a space
	keyIDSize       = 4
)

// Checkpoint says which tree a log has (c2sp.org/tlog-checkpoint).
type Checkpoint struct {
	Origin string // the log's name: non-empty, no spaces, no +, at most 255 bytes
	Size   uint64 // number of leaves, at most 2^63-1
	Root   Hash
}

// Body is the text that log signatures and cosignatures cover: origin, size and root, a line each, and never an
// extension line.
func (c Checkpoint) Body() string {
	return c.Origin + "\n" + strconv.FormatUint(c.Size, 10) + "\n" + base64.StdEncoding.EncodeToString(c.Root[:]) + "\n"
}

// Signature is one signature line of a note (c2sp.org/signed-note): — <name> base64(id || bytes).
type Signature struct {
	Name  string
	ID    uint32
	Bytes []byte // 64 bytes of a log, 8 + 64 of a cosigner; other signers' may have any length but 0
}

// FormatNote is the signed note: body, empty line, and the signature lines in the order given. ParseNote reads it back
// if the checkpoint and the names are valid and there is a signature.
func FormatNote(c Checkpoint, sigs []Signature) []byte {
	var b bytes.Buffer
	b.WriteString(c.Body())
	b.WriteByte('\n')
	for _, s := range sigs {
		line := binary.BigEndian.AppendUint32(make([]byte, 0, keyIDSize+len(s.Bytes)), s.ID)
		line = append(line, s.Bytes...)
		b.WriteString(signaturePrefix + s.Name + " " + base64.StdEncoding.EncodeToString(line) + "\n")
	}
	return b.Bytes()
}

// ParseNote takes a signed checkpoint apart, without verifying anything: until Policy.Verify has, nothing it returns is
// worth more than the place it came from. It accepts what FormatNote gives and nothing else: at most 64 KiB, 1 to 100
// signatures, no extension lines. A refusal is reason.BadCheckpoint.
func ParseNote(note []byte) (Checkpoint, []Signature, error) {
	c, sigs, err := parseNote(note)
	if err != nil {
		return Checkpoint{}, nil, reason.New(reason.BadCheckpoint, "%v", err)
	}
	return c, sigs, nil
}

func parseNote(note []byte) (Checkpoint, []Signature, error) {
	if len(note) > MaxNote {
		return Checkpoint{}, nil, fmt.Errorf("a note of %d bytes, at most %d are allowed", len(note), MaxNote)
	}
	body, lines, ok := strings.Cut(string(note), "\n\n")
	if !ok {
		return Checkpoint{}, nil, errors.New("no empty line between body and signatures")
	}
	c, err := parseBody(body)
	if err != nil {
		return Checkpoint{}, nil, err
	}
	var sigs []Signature
	for lines != "" {
		if len(sigs) == maxSignatures {
			return Checkpoint{}, nil, fmt.Errorf("more than %d signatures", maxSignatures)
		}
		var line string
		if line, lines, ok = strings.Cut(lines, "\n"); !ok {
			return Checkpoint{}, nil, errors.New("the last line is not terminated")
		}
		s, err := parseSignature(line)
		if err != nil {
			return Checkpoint{}, nil, fmt.Errorf("signature line %d: %w", len(sigs)+1, err)
		}
		sigs = append(sigs, s)
	}
	if len(sigs) == 0 {
		return Checkpoint{}, nil, errors.New("no signatures")
	}
	if !bytes.Equal(FormatNote(c, sigs), note) {
		return Checkpoint{}, nil, errors.New("the encoding is not canonical")
	}
	return c, sigs, nil
}

// ParseBody is the inverse of Body and accepts nothing else: what somebody keeps for himself of a checkpoint that he verified.
// A refusal is reason.BadCheckpoint.
func ParseBody(body []byte) (Checkpoint, error) {
	text, ok := strings.CutSuffix(string(body[:min(len(body), MaxNote)]), "\n")
	c, err := parseBody(text)
	if err == nil && (!ok || c.Body() != string(body)) {
		err = errors.New("the encoding is not canonical")
	}
	if err != nil {
		return Checkpoint{}, reason.New(reason.BadCheckpoint, "%v", err)
	}
	return c, nil
}

// parseBody parses a body without its last newline.
func parseBody(body string) (Checkpoint, error) {
	lines := strings.SplitN(body, "\n", 4)
	if len(lines) != 3 {
		return Checkpoint{}, errors.New("the body does not have three lines")
	}
	if err := checkName(lines[0]); err != nil {
		return Checkpoint{}, fmt.Errorf("origin: %w", err)
	}
	size, err := parseDecimal(lines[1])
	if err != nil || size > maxSize {
		return Checkpoint{}, fmt.Errorf("size %.40q is not a decimal number of at most 63 bits", lines[1])
	}
	root, err := parseHash(lines[2])
	if err != nil {
		return Checkpoint{}, fmt.Errorf("root: %w", err)
	}
	return Checkpoint{Origin: lines[0], Size: size, Root: root}, nil
}

// parseSignature parses a signature line without its newline.
func parseSignature(line string) (Signature, error) {
	rest, ok := strings.CutPrefix(line, signaturePrefix)
	if !ok {
		return Signature{}, errors.New("it does not begin with an em dash and a space")
	}
	name, encoded, _ := strings.Cut(rest, " ")
	if !validName(name) {
		return Signature{}, fmt.Errorf("bad key name %.80q", name)
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if err != nil {
		return Signature{}, err
	}
	if len(raw) <= keyIDSize {
		return Signature{}, errors.New("too short for a key id and a signature")
	}
	return Signature{Name: name, ID: binary.BigEndian.Uint32(raw), Bytes: raw[keyIDSize:]}, nil
}

// parseDecimal parses an unsigned number without sign or leading zeros.
func parseDecimal(s string) (uint64, error) {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		return 0, err
	}
	if strconv.FormatUint(n, 10) != s {
		return 0, errors.New("leading zeros")
	}
	return n, nil
}

// parseHash parses a hash in canonical base64.
func parseHash(s string) (Hash, error) {
	if len(s) != base64.StdEncoding.EncodedLen(sha256.Size) {
		return Hash{}, fmt.Errorf("%d characters, want the base64 of %d bytes", len(s), sha256.Size)
	}
	b, err := base64.StdEncoding.Strict().DecodeString(s)
	if err != nil {
		return Hash{}, err
	}
	if len(b) != sha256.Size {
		return Hash{}, fmt.Errorf("%d bytes, want %d", len(b), sha256.Size)
	}
	return Hash(b), nil
}
