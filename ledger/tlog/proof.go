package tlog

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/quorate-pki/quorate/internal/reason"
)

const (
	// MaxExtra bounds a proof's extra data, in bytes: other parsers read lines of 64 KiB.
	MaxExtra = 49_000

	// MaxPath bounds an audit path: the height of a tree of 2^63-1 leaves.
	MaxPath = 63

	// MaxProof bounds a proof file, in bytes: the checkpoint, and enough for everything else at its limit.
	MaxProof = MaxNote + (70 << 10)

	proofHeader = "c2sp.org/tlog-proof@v1"
)

// Proof says that an entry is in a log (c2sp.org/tlog-proof): where, the audit path, and a signed checkpoint of the tree.
type Proof struct {
	Extra []byte // 1 to 49,000 bytes, not authenticated by anything; nil or empty is absent
	Index uint64 // of the entry, from 0
	Path  []Hash // from the leaf's sibling upwards, at most 63
	Note  []byte // the signed checkpoint as ParseNote reads it
}

// Format is the proof file.
func (p *Proof) Format() []byte {
	var b bytes.Buffer
	b.WriteString(proofHeader + "\n")
	if len(p.Extra) > 0 {
		b.WriteString("extra " + base64.StdEncoding.EncodeToString(p.Extra) + "\n")
	}
	b.WriteString("index " + strconv.FormatUint(p.Index, 10) + "\n")
	for _, h := range p.Path {
		b.WriteString(base64.StdEncoding.EncodeToString(h[:]) + "\n")
	}
	b.WriteByte('\n')
	b.Write(p.Note)
	return b.Bytes()
}

// ParseProof is the inverse of Format and accepts nothing else. It verifies nothing: Verify does. A refusal is
// reason.BadProofFile, or reason.BadCheckpoint if only the checkpoint in it is malformed.
func ParseProof(data []byte) (*Proof, error) {
	p, err := parseProof(data)
	if err != nil {
		return nil, reason.New(reason.BadProofFile, "%v", err)
	}
	if _, _, err := ParseNote(p.Note); err != nil {
		return nil, err
	}
	return p, nil
}

func parseProof(data []byte) (*Proof, error) {
	if len(data) > MaxProof {
		return nil, fmt.Errorf("a proof of %d bytes, at most %d are allowed", len(data), MaxProof)
	}
	head, note, ok := strings.Cut(string(data), "\n\n")
	if !ok {
		return nil, errors.New("no empty line before the checkpoint")
	}
	p := &Proof{Note: []byte(note)}
	lines := strings.Split(head, "\n")
	if lines[0] != proofHeader {
		return nil, fmt.Errorf("the first line is not %s", proofHeader)
	}
	lines = lines[1:]
	if len(lines) > 0 {
		if encoded, ok := strings.CutPrefix(lines[0], "extra "); ok {
			extra, err := parseExtra(encoded)
			if err != nil {
				return nil, fmt.Errorf("extra line: %w", err)
			}
			p.Extra, lines = extra, lines[1:]
		}
	}
	if len(lines) == 0 || !strings.HasPrefix(lines[0], "index ") {
		return nil, errors.New("no index line")
	}
	index, err := parseDecimal(strings.TrimPrefix(lines[0], "index "))
	if err != nil || index >= maxSize {
		return nil, fmt.Errorf("%.60q does not give an index below 2^63-1", lines[0])
	}
	p.Index = index
	if lines = lines[1:]; len(lines) > MaxPath {
		return nil, fmt.Errorf("a path of %d hashes, at most %d are allowed", len(lines), MaxPath)
	}
	for i, line := range lines {
		h, err := parseHash(line)
		if err != nil {
			return nil, fmt.Errorf("hash %d of the path: %w", i, err)
		}
		p.Path = append(p.Path, h)
	}
	if !bytes.Equal(p.Format(), data) {
		return nil, errors.New("the encoding is not canonical")
	}
	return p, nil
}

func parseExtra(encoded string) ([]byte, error) {
	if len(encoded) > base64.StdEncoding.EncodedLen(MaxExtra) {
		return nil, fmt.Errorf("more than %d bytes", MaxExtra)
	}
	extra, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if err != nil {
		return nil, err
	}
	if len(extra) == 0 {
		return nil, errors.New("empty: without extra data there is no such line")
	}
	if len(extra) > MaxExtra {
		return nil, fmt.Errorf("more than %d bytes", MaxExtra)
	}
	return extra, nil
}

// Verify decides whether trust, a Policy mostly, trusts the checkpoint and the entry with this leaf hash is in its tree at p.Index.
// A refusal is a reason of Policy.Verify, or reason.NotIncluded. It says nothing about Extra.
func (p *Proof) Verify(trust NoteVerifier, leaf Hash) (*Verified, error) {
	v, err := trust.Verify(p.Note)
	if err != nil {
		return nil, err
	}
	if err := VerifyInclusion(p.Path, p.Index, v.Size, leaf, v.Root); err != nil {
		return nil, err
	}
	return v, nil
}
