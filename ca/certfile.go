package ca

import (
	"bufio"
	"bytes"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"strings"

	"github.com/quorate-pki/quorate/ca/profile"
	"github.com/quorate-pki/quorate/internal/reason"
)

// EncodeCertificate is the PEM of a certificate.
func EncodeCertificate(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// WriteCertificate writes a new certificate file. It never overwrites.
func WriteCertificate(path string, der []byte) error {
	return writeNew(path, EncodeCertificate(der), 0o644)
}

// maxCertificateFile bounds a file with one certificate, in bytes: PEM of the largest, and a text before it as
// openssl -text writes.
const maxCertificateFile = 64 << 10

// ReadCertificate reads a file with exactly one certificate, PEM or DER, and returns its DER. It does not parse it
// any further.
func ReadCertificate(path string) ([]byte, error) {
	data, err := readFile(path, maxCertificateFile, func(info fs.FileInfo) error {
		if info.Size() > maxCertificateFile {
			return reason.New(reason.BadCertificateFile, "%s: %d bytes", path, info.Size())
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	// A SEQUENCE with a length in the long form: every certificate begins so, and no text does, though it may begin
	// with '0', which is 0x30.
	if len(data) > 1 && data[0] == 0x30 && data[1] >= 0x80 {
		return data, nil
	}
	block, rest := pem.Decode(data)
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, reason.New(reason.BadCertificateFile, "%s: no certificate in PEM or DER", path)
	}
	if more, _ := pem.Decode(rest); more != nil {
		return nil, reason.New(reason.BadCertificateFile, "%s: more than one PEM block", path)
	}
	return block.Bytes, nil
}

// Stream reads certificates one after another from a PEM stream of any length. Lines of text between them are passed
// over; another kind of block, or one that is cut, indented or too long, is an error and ends the stream, so that no
// certificate is passed over silently.
func Stream(r io.Reader) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		lines := bufio.NewScanner(r)
		lines.Buffer(nil, 4*profile.MaxCertificate)
		var block bytes.Buffer
		inside := false
		for lines.Scan() {
			line := strings.TrimRight(lines.Text(), "\r")
			begin, end := strings.Contains(line, "-----BEGIN "), strings.Contains(line, "-----END ")
			if begin == inside && (begin || end) {
				yield(nil, reason.New(reason.BadCertificateFile, "a BEGIN without END or an END without BEGIN in the stream"))
				return
			}
			if begin {
				inside = true
				block.Reset()
			}
			if !inside {
				continue
			}
			block.WriteString(line + "\n")
			if block.Len() > 2*profile.MaxCertificate {
				yield(nil, reason.New(reason.DERTooLarge, "a PEM block in the stream"))
				return
			}
			if !end {
				continue
			}
			inside = false
			p, _ := pem.Decode(block.Bytes())
			if p == nil || p.Type != "CERTIFICATE" {
				yield(nil, reason.New(reason.BadCertificateFile, "a PEM block that is no certificate in the stream"))
				return
			}
			if !yield(p.Bytes, nil) {
				return
			}
		}
		err := lines.Err()
		if err == nil && inside {
			err = errors.New("the stream ends inside a certificate")
		}
		if err != nil {
			yield(nil, fmt.Errorf("reading certificates: %w", err))
		}
	}
}
