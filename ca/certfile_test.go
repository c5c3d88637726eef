package ca_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/quorate-pki/quorate/ca"
	"github.com/quorate-pki/quorate/ca/profile"
	"github.com/quorate-pki/quorate/internal/reason"
)

func TestCertificateFile(t *testing.T) {
	dir, der := t.TempDir(), selfIssue(t, profile.Ed25519)
	path := filepath.Join(dir, "cert.pem")
	must(t, ca.WriteCertificate(path, der))
	data := ca.EncodeCertificate(der)
	for name, content := range map[string][]byte{
		"PEM": data, "DER": der, "text before": append([]byte("Certificate:\n    Data:\n"), data...),
		"text that begins with 0":       append([]byte("0 a certificate\n"), data...),
		"text after":                    append(bytes.Clone(data), "the end\n"...),
		"CRLF":                          bytes.ReplaceAll(data, []byte("\n"), []byte("\r\n")),
		"text that begins with 0 alone": append([]byte("0\n"), data...),
	} {
		must(t, os.WriteFile(path, content, 0o644))
		got, err := ca.ReadCertificate(path)
		if err != nil || !bytes.Equal(got, der) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, content := range map[string][]byte{
		"empty": nil, "one byte": {0x30}, "text": []byte("no certificate"), "two": append(bytes.Clone(data), data...),
		"wrong block": bytes.ReplaceAll(data, []byte("CERTIFICATE"), []byte("PUBLIC KEY")), "cut": data[:len(data)/2],
		"huge": append(data, bytes.Repeat([]byte("x"), 65<<10)...),
	} {
		must(t, os.WriteFile(path, content, 0o644))
		if _, err := ca.ReadCertificate(path); err == nil {
			t.Errorf("%s was read", name)
		} else if code, ok := reason.CodeOf(err); !ok || code != reason.BadCertificateFile {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := ca.ReadCertificate(filepath.Join(dir, "missing")); !os.IsNotExist(err) {
		t.Errorf("missing: %v", err)
	}
	if _, err := ca.ReadCertificate(dir); err == nil {
		t.Error("a folder was read")
	}
}

func TestStream(t *testing.T) {
	a, b := selfIssue(t, profile.P256), selfIssue(t, profile.Ed25519)
	pa, pb := string(ca.EncodeCertificate(a)), string(ca.EncodeCertificate(b))
	cut := pa[:strings.Index(pa, "-----END")]
	for _, c := range []struct {
		name, in string
		want     [][]byte
		fails    bool
		code     reason.Code // 0: an error without one
	}{
		{"nothing", "", nil, false, 0},
		{"text only", "no certificate here\n", nil, false, 0},
		{"one", pa, [][]byte{a}, false, 0},
		{"two", pa + pb, [][]byte{a, b}, false, 0},
		{"no last line feed", pa + strings.TrimSuffix(pb, "\n"), [][]byte{a, b}, false, 0},
		{"text between", "first\n" + pa + "\nsubject=/CN=x\n\n" + pb + "last\n", [][]byte{a, b}, false, 0},
		{"CRLF", strings.ReplaceAll(pa+"text\n"+pb, "\n", "\r\n"), [][]byte{a, b}, false, 0},
		{"blanks at the ends of lines", strings.ReplaceAll(pa, "\n", " \n"), [][]byte{a}, false, 0},
		{"cut in the body", pa + pb[:len(pb)/2], [][]byte{a}, true, 0},
		{"cut in BEGIN", pa + "-----BEGIN CERT", [][]byte{a}, true, 0},
		{"cut before END", pa + cut, [][]byte{a}, true, 0},
		{"cut before the next", cut + pb, nil, true, reason.BadCertificateFile},
		{"END alone", pa + "-----END CERTIFICATE-----\n" + pb, [][]byte{a}, true, reason.BadCertificateFile},
		{"byte order mark", "\ufeff" + pa, nil, true, reason.BadCertificateFile},
		{"indented", "  " + strings.ReplaceAll(pa, "\n", "\n  "), nil, true, reason.BadCertificateFile},
		{"wrong block", pa + strings.ReplaceAll(pb, "CERTIFICATE", "PRIVATE KEY") + pb, [][]byte{a}, true, reason.BadCertificateFile},
		{"trusted certificate", strings.ReplaceAll(pa, "CERTIFICATE", "TRUSTED CERTIFICATE"), nil, true, reason.BadCertificateFile},
		{"END of another", strings.Replace(pa, "END CERTIFICATE", "END PUBLIC KEY", 1), nil, true, reason.BadCertificateFile},
		{"bad base64", strings.Replace(pa, "MII", "M*I", 1), nil, true, reason.BadCertificateFile},
		{"too long", "-----BEGIN CERTIFICATE-----\n" + strings.Repeat(strings.Repeat("A", 64)+"\n", 300), nil, true, reason.DERTooLarge},
		{"endless line", pa + strings.Repeat("A", 1<<20), [][]byte{a}, true, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, in := range []io.Reader{strings.NewReader(c.in), iotest.OneByteReader(strings.NewReader(c.in))} {
				var got [][]byte
				var fault error
				for der, err := range ca.Stream(in) {
					if fault != nil {
						t.Fatal("the stream goes on after an error")
					}
					if fault = err; err == nil {
						got = append(got, bytes.Clone(der))
					}
				}
				if len(got) != len(c.want) {
					t.Fatalf("%d certificates, want %d (%v)", len(got), len(c.want), fault)
				}
				for i := range got {
					if !bytes.Equal(got[i], c.want[i]) {
						t.Errorf("certificate %d differs", i)
					}
				}
				if code, _ := reason.CodeOf(fault); (fault != nil) != c.fails || code != c.code {
					t.Errorf("ended with %v, want code %d", fault, c.code)
				}
			}
		})
	}
}

func TestStreamReaderFails(t *testing.T) {
	broken := errors.New("broken pipe")
	in := io.MultiReader(strings.NewReader(string(ca.EncodeCertificate(selfIssue(t, profile.Ed25519)))), iotest.ErrReader(broken))
	n := 0
	var last error
	for _, err := range ca.Stream(in) {
		if last = err; err == nil {
			n++
		}
	}
	if n != 1 || !errors.Is(last, broken) {
		t.Errorf("%d certificates, then %v", n, last)
	}
}

// TestStreamStops holds Stream to reading no further than its consumer does.
func TestStreamStops(t *testing.T) {
	one := string(ca.EncodeCertificate(selfIssue(t, profile.Ed25519)))
	n := 0
	for _, err := range ca.Stream(strings.NewReader(strings.Repeat(one, 3))) {
		must(t, err)
		n++
		break
	}
	if n != 1 {
		t.Errorf("%d", n)
	}
}
