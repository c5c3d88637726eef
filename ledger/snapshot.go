package ledger

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/quorate-pki/quorate/ledger/tlog"
)

// SnapshotLine is the first line of a status snapshot: what it is, and its version.
const SnapshotLine = "quorate/snapshot/1\n"

// SnapshotHead is how a status snapshot begins: SnapshotLine, the length of the proof in decimal and a line feed, and the proof, which is
// the receipt of the epoch that ends its tree. All status chunks follow, ChunkSize bytes each, and nothing else.
func SnapshotHead(proof []byte) []byte {
	return append([]byte(SnapshotLine+strconv.Itoa(len(proof))+"\n"), proof...)
}

// ReadSnapshotHead reads what SnapshotHead wrote, at most tlog.MaxProof bytes and two lines, and returns the proof, not verified.
// An error that wraps io.EOF or io.ErrUnexpectedEOF means that the snapshot is cut short.
func ReadSnapshotHead(r *bufio.Reader) ([]byte, error) {
	first := make([]byte, len(SnapshotLine))
	if _, err := io.ReadFull(r, first); err != nil {
		return nil, fmt.Errorf("reading the first line: %w", err)
	}
	if string(first) != SnapshotLine {
		return nil, fmt.Errorf("the first line is not %s", strings.TrimSuffix(SnapshotLine, "\n"))
	}
	var digits []byte
	for {
		b, err := r.ReadByte()
		if err != nil {
			return nil, fmt.Errorf("reading the length of the proof: %w", err)
		}
		if b == '\n' {
			break
		}
		if digits = append(digits, b); len(digits) > 6 {
			return nil, fmt.Errorf("the second line is no length of at most %d", tlog.MaxProof)
		}
	}
	n, err := strconv.ParseUint(string(digits), 10, 32)
	if err != nil || strconv.FormatUint(n, 10) != string(digits) || n > tlog.MaxProof {
		return nil, fmt.Errorf("%q is no length of at most %d", digits, tlog.MaxProof)
	}
	proof := make([]byte, n)
	if _, err := io.ReadFull(r, proof); err != nil {
		return nil, fmt.Errorf("reading the proof: %w", err)
	}
	return proof, nil
}
