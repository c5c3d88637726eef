//go:build unix

package policies

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/quorate-pki/quorate/internal/reason"
)

// bound is what a certificate may cost, in microseconds.
const bound = 10

// BenchmarkJudge prints what a rule of seven checks costs a certificate, next to the bound of 10 us, and as a part of one P-256 verification
// on the same machine.
func BenchmarkJudge(b *testing.B) {
	text, err := os.ReadFile("testdata/rules/small-cells.star")
	if err != nil {
		b.Fatal(err)
	}
	p, c := compile(b, string(text)), cell()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	digest := sha256.Sum256([]byte("a certificate"))
	sig, err := ecdsa.SignASN1(rand.Reader, key, digest[:])
	if err != nil {
		b.Fatal(err)
	}
	const verifications = 200
	begun := processor(b)
	for range verifications {
		if !ecdsa.VerifyASN1(&key.PublicKey, digest[:], sig) {
			b.Fatal("the signature does not verify")
		}
	}
	verify := float64(processor(b)-begun) / verifications
	b.ReportAllocs()
	begun = processor(b)
	for b.Loop() {
		if v := p.Judge(c); v.Code != reason.Accepted {
			b.Fatal(v)
		}
	}
	each := float64(processor(b)-begun) / float64(b.N)
	b.ReportMetric(each/1000, "us/certificate")
	b.ReportMetric(bound, "us/certificate-bound")
	b.ReportMetric(verify/1000, "us/P-256-verification")
	b.ReportMetric(each/verify, "verifications/certificate")
}

// processor is the processor time that the process took so far: what others do on the machine is not in it, the collection of garbage is.
func processor(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(syscall.TimevalToNsec(u.Utime) + syscall.TimevalToNsec(u.Stime))
}

// BenchmarkCompile is paid once for a text.
func BenchmarkCompile(b *testing.B) {
	text, err := os.ReadFile("testdata/rules/small-cells.star")
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		compile(b, string(text))
	}
}

// BenchmarkHostile is the longest that one judgement takes: what a rule that runs into each limit costs.
func BenchmarkHostile(b *testing.B) {
	for _, row := range hostile {
		b.Run(row.name, func(b *testing.B) {
			p, c := compile(b, row.text), crowded()
			for b.Loop() {
				p.Judge(c)
			}
		})
	}
}
