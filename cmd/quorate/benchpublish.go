package main

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"slices"
	"sync"
	"time"

	"github.com/quorate-pki/quorate/ca/profile"
	"github.com/quorate-pki/quorate/ledger/order"
	"github.com/quorate-pki/quorate/verify"
)

const (
	benchBatch    = 800 // certificates a transaction: a block of about 400 KB
	benchBatches  = 30  // transactions a turn: what begins and ends it is a small part
	benchInFlight = 6   // of them at once
)

// publishBench is one run of `bench publish`.
type publishBench struct {
	bench
	turns, samples int
	profileFile    string

	profile *bytes.Buffer
	cpu     map[string]int64 // stage -> nanoseconds
}

func (b *publishBench) run() (r *publishFigures, err error) {
	b.cpu = map[string]int64{}
	r = &publishFigures{Members: b.members, Cores: runtime.NumCPU(), Preloaded: b.preload}
	if err := b.establish(); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, stopAll(b.running)) }()
	if err := b.throughput(r); err != nil {
		return nil, fmt.Errorf("measuring throughput: %w", err)
	}
	r.ResidentMiB = residentMiB()
	if err := b.latency(r); err != nil {
		return nil, fmt.Errorf("measuring latency: %w", err)
	}
	return r, nil
}

// throughput takes turns: limit, a load of transactions, limit.
func (b *publishBench) throughput(r *publishFigures) error {
	var rates, limits []float64
	for turn := range b.turns + 1 {
		var loads [][]byte
		var sample [][]byte
		for range benchBatches {
			ders, err := b.devices(benchBatch)
			if err != nil {
				return err
			}
			raw, err := b.transaction(ders)
			if err != nil {
				return err
			}
			loads, sample = append(loads, raw), ders
		}
		runtime.GC() // of what was made for the turn; the members' own garbage is theirs
		before, verifying, err := verifiedPerSecond(sample)
		if err != nil {
			return err
		}
		begin := processorTime()
		took, err := b.load(loads, turn > 0)
		if err != nil {
			return err
		}
		worked := processorTime() - begin
		after, again, err := verifiedPerSecond(sample)
		if err != nil {
			return err
		}
		if turn == 0 {
			continue // caches and connections
		}
		rate, limit := benchBatch*benchBatches/took.Seconds(), (before+after)/2/float64(b.members)
		rates, limits, r.Ratios = append(rates, rate), append(limits, limit), append(r.Ratios, rate/limit)
		share := 0.0
		if worked > 0 {
			// The lower one, because members may still be at work while the limit is measured.
			share = float64(b.members*benchBatch*benchBatches) * min(verifying, again).Seconds() / worked.Seconds()
			r.ProcessorRatios = append(r.ProcessorRatios, share)
			r.ProcessorRatio = median(slices.Clone(r.ProcessorRatios))
		}
		b.say("turn %d of %d: %.0f certificates/s, limit %.0f, ratio %.2f, of the processors' time %.2f", turn, b.turns, rate, limit, rate/limit, share)
	}
	r.PublishedPerSecond, r.LimitPerSecond, r.Ratio = median(rates), median(limits), median(slices.Clone(r.Ratios))
	r.Stages = b.stages()
	return nil
}

// load has transactions published, some at once, at members in turn, until all members are final.
func (b *publishBench) load(loads [][]byte, profiled bool) (time.Duration, error) {
	if profiled {
		b.profile = new(bytes.Buffer)
		if err := pprof.StartCPUProfile(b.profile); err != nil {
			return 0, err
		}
	}
	begin := time.Now()
	next := make(chan int)
	errs := make([]error, benchInFlight)
	var top uint64
	var mu sync.Mutex // of top
	var wg sync.WaitGroup
	for w := range errs {
		wg.Go(func() {
			for i := range next {
				res, err := b.submit(i, loads[i])
				errs[w] = errors.Join(errs[w], err)
				mu.Lock()
				top = max(top, res.Height)
				mu.Unlock()
			}
		})
	}
	for i := range loads {
		next <- i
	}
	close(next)
	wg.Wait()
	err := errors.Join(errs...)
	if err == nil {
		err = b.level(top)
	}
	took := time.Since(begin)
	if profiled {
		pprof.StopCPUProfile()
		err = errors.Join(err, b.attribute())
	}
	return took, err
}

// verifiedPerSecond is how many certificates all cores parse and verify in a second, and the processors' time for one.
func verifiedPerSecond(ders [][]byte) (float64, time.Duration, error) {
	cores := runtime.NumCPU()
	errs := make([]error, cores)
	begin, worked := time.Now(), processorTime()
	var wg sync.WaitGroup
	for w := range cores {
		wg.Go(func() {
			for _, der := range ders {
				cert, err := profile.Parse(der)
				if err == nil {
					err = cert.CheckSelfSignature()
				}
				if err != nil {
					errs[w] = err
				}
			}
		})
	}
	wg.Wait()
	n := cores * len(ders)
	return float64(n) / time.Since(begin).Seconds(), (processorTime() - worked) / time.Duration(n), errors.Join(errs...)
}

// latency takes turns: one commit of bare raft, one certificate on the idle consortium. Receipts are verified by the way.
func (b *publishBench) latency(r *publishFigures) error {
	bare, err := order.NewBaseline(filepath.Join(b.dir, "raft"), b.members)
	if err != nil {
		return err
	}
	defer bare.Close()
	ders, err := b.devices(b.samples + 1)
	if err != nil {
		return err
	}
	policy := b.consortium.set.Policy(0)
	var commits, receipts, checks []time.Duration
	for i, der := range ders {
		raw, err := b.transaction([][]byte{der})
		if err != nil {
			return err
		}
		begin := time.Now()
		if err := bare.Commit(raw); err != nil {
			return err
		}
		commit := time.Since(begin)
		begin = time.Now()
		res, err := b.submit(i, raw)
		if err != nil {
			return err
		}
		receipt, err := b.clients[i%len(b.clients)].Receipt(b.ctx, res.Verdicts[0].Leaf)
		if err != nil {
			return err
		}
		whole := time.Since(begin)
		begin = time.Now()
		if _, err := verify.Receipt(policy, receipt, der); err != nil {
			return err
		}
		check := time.Since(begin)
		if err := b.level(res.Height); err != nil {
			return err
		}
		if i > 0 {
			commits, receipts, checks = append(commits, commit), append(receipts, whole), append(checks, check)
			r.ReceiptBytes = len(receipt)
		}
	}
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	r.ReceiptLatencyMS, r.RaftCommitMS, r.ReceiptVerifyUS = ms(median(receipts)), ms(median(commits)), ms(median(checks))*1000
	r.ReceiptLatencyP90MS = ms(receipts[len(receipts)*9/10])
	r.ReceiptLatencyRatio = r.ReceiptLatencyMS / r.RaftCommitMS
	return nil
}
