package main

import (
	"cmp"
	"os"
	"slices"
	"strings"

	"github.com/google/pprof/profile"
)

// stages name the parts of the work by the functions that do them. A sample is of the first row that one of its functions
// is of; rows that others call stand above those.
var stages = []struct {
	name  string
	marks []string // within a function's full name
}{
	{"garbage collection", []string{"runtime.gcBgMarkWorker", "runtime.gcAssistAlloc", "runtime.bgsweep", "runtime.bgscavenge"}},
	{"signatures of certificates and transactions", []string{".CheckSelfSignature", "state.Direct.Transaction", "ledger.Signature.Verify", ".VerifiedBy"}},
	{"checkpoints: cosign, remember, verify", []string{"ledger/cosign.", "tlog.VerifyCosignature", "tlog.Cosign", "tlog.SignCheckpoint", "tlog.(*Policy).Verify"}},
	{"index", []string{"node.(*store).commit", "cockroachdb/pebble"}},
	{"tiles", []string{"node.(*tileFiles)."}},
	{"judge and fold", []string{"ledger/state."}},
	{"parse transactions and blocks", []string{"ledger.ParseSubmission", "ledger.ParseBlock", "profile.Parse"}},
	{"order: raft and its store", []string{"hashicorp/raft", "go.etcd.io/bbolt", "ledger/order."}},
	{"the bench's own client", []string{"ledger/client.", "main.(*publishBench)", "main.(*bench)"}},
	{"network between members, and answers", []string{"net/http", "crypto/tls", "ledger/peer.", "node.(*exchange)", "ledger/api."}},
	{"runtime: scheduling, system calls", []string{"runtime."}},
}

// attribute adds the profile of a turn to the stages.
func (b *publishBench) attribute() error {
	if b.profileFile != "" {
		if err := os.WriteFile(b.profileFile, b.profile.Bytes(), 0o600); err != nil {
			return err
		}
	}
	p, err := profile.Parse(b.profile)
	if err != nil {
		return err
	}
	for _, s := range p.Sample {
		b.cpu[stageOf(s)] += s.Value[len(s.Value)-1]
	}
	return nil
}

func stageOf(s *profile.Sample) string {
	for _, st := range stages {
		for _, l := range s.Location {
			for _, line := range l.Line {
				if slices.ContainsFunc(st.marks, func(m string) bool { return strings.Contains(line.Function.Name, m) }) {
					return st.name
				}
			}
		}
	}
	return "other"
}

// stages are the shares of the processors' time, the largest first.
func (b *publishBench) stages() (out []stage) {
	var all int64
	for _, ns := range b.cpu {
		all += ns
	}
	for name, ns := range b.cpu {
		out = append(out, stage{name, float64(ns) / float64(all)})
	}
	slices.SortFunc(out, func(x, y stage) int {
		return cmp.Or(cmp.Compare(y.Share, x.Share), cmp.Compare(x.Name, y.Name))
	})
	return out
}
