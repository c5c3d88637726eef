package node_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quorate-pki/quorate/ca"
	"github.com/quorate-pki/quorate/ca/profile"
	"github.com/quorate-pki/quorate/ledger/ledgertest"
)

// BenchmarkPublish publishes P-256 certificates through four nodes on this machine, two transactions under way, and prints
// the rate beside its limit, measured in the same run: cores / (members x time to parse and verify one certificate).
func BenchmarkPublish(b *testing.B) {
	const size = 400
	ctx, cancel := context.WithTimeout(b.Context(), 10*time.Minute)
	defer cancel()
	c := ledgertest.NewCluster(b, 13, 4)
	c.Heartbeat = time.Second
	c.Start(c.Names()...)
	p, _ := profile.ByName("small-cell")
	serial := 0
	batch := func() (ders [][]byte, raw []byte) {
		var bodies [][]byte
		for range size {
			serial++
			key, err := ca.GenerateKey(profile.P256, rand.Reader)
			if err != nil {
				b.Fatal(err)
			}
			name := fmt.Sprintf("ACME-%d", serial)
			der, err := ca.SelfIssue(ca.SelfIssueConfig{Profile: p, Key: key, Serial: name, DNSNames: []string{strings.ToLower(name) + ".acme-cells.example"},
				NotBefore: ledgertest.Start, Rand: rand.Reader})
			if err != nil {
				b.Fatal(err)
			}
			ders, bodies = append(ders, der), append(bodies, ledgertest.Publish(der))
		}
		return ders, c.C.Tx(c.Now(), ledgertest.TxOptions{Nonce: uint64(serial)}, bodies, "acme-cells/line")
	}
	submit := func(raw []byte) {
		res, err := c.Submit(ctx, "ca-a", raw)
		if err != nil {
			b.Error(err)
			return
		}
		for _, v := range res.Verdicts {
			if !v.Code.OK() {
				b.Error(v.Code)
			}
		}
	}
	sample, first := batch()
	submit(first) // from here on there is a leader
	var work [][]byte
	for range b.N {
		_, raw := batch()
		work = append(work, raw)
	}
	before := verified(b, sample)
	b.ResetTimer()
	next := make(chan []byte)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for raw := range next {
				submit(raw)
			}
		})
	}
	for _, raw := range work {
		next <- raw
	}
	close(next)
	wg.Wait()
	b.StopTimer()
	rate := float64(b.N*size) / b.Elapsed().Seconds()
	limit := (before + verified(b, sample)) / 2 / 4
	b.ReportMetric(rate, "certs/s")
	b.ReportMetric(limit, "limit/s")
	b.ReportMetric(rate/limit, "ratio")
}

// verified is how many certificates all cores parse and verify in a second.
func verified(b *testing.B, ders [][]byte) float64 {
	b.Helper()
	begin, cores := time.Now(), runtime.GOMAXPROCS(0)
	var wg sync.WaitGroup
	for range cores {
		wg.Go(func() {
			for _, der := range ders {
				cert, err := profile.Parse(der)
				if err == nil {
					err = cert.CheckSelfSignature()
				}
				if err != nil {
					b.Error(err)
				}
			}
		})
	}
	wg.Wait()
	return float64(cores*len(ders)) / time.Since(begin).Seconds()
}

// BenchmarkOne publishes one certificate at a time on an idle consortium: submit to a quorum's receipt. Between two,
// all members become final.
func BenchmarkOne(b *testing.B) {
	ctx, cancel := context.WithTimeout(b.Context(), 10*time.Minute)
	defer cancel()
	c := ledgertest.NewCluster(b, 13, 4)
	c.Heartbeat = time.Second
	c.Start(c.Names()...)
	var took []time.Duration
	for i := range b.N + 1 {
		der := c.C.Device(fmt.Sprintf("ACME-%d", i), "acme-cells.example", 0)
		raw := c.C.Tx(c.Now(), ledgertest.TxOptions{Nonce: uint64(i)}, [][]byte{ledgertest.Publish(der)}, "acme-cells/line")
		begin := time.Now()
		res, err := c.Submit(ctx, "ca-a", raw)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := c.Node("ca-a").Receipt(ctx, res.Verdicts[0].Leaf); err != nil {
			b.Fatal(err)
		}
		if i > 0 { // with the first there is a leader
			took = append(took, time.Since(begin))
		}
		c.Level(ctx)
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "ms-median")
	b.ReportMetric(float64(took[len(took)*9/10].Microseconds())/1000, "ms-p90")
}
