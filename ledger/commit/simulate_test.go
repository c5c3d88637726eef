package commit_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/commit"
	"github.com/quorate-pki/quorate/ledger/ledgertest"
)

// TestSimulate runs a consortium of 4 or 7 members through schedules of faults. Each is the work of one seed; a
// failing one is run again, with every step, by
//
//	QUORATE_SEED=<seed> QUORATE_SCHEDULES=1 go test -v -run 'TestSimulate$' ./ledger/commit
//
// and a hundred thousand of them by
//
//	QUORATE_SCHEDULES=100000 go test -timeout 0 -run 'TestSimulate$' ./ledger/commit
func TestSimulate(t *testing.T) {
	schedules := 2000
	switch {
	case testing.Short():
		schedules = 300
	case ledgertest.Long():
		schedules = 10_000
	}
	if s := os.Getenv("QUORATE_SCHEDULES"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 {
			t.Fatalf("QUORATE_SCHEDULES: %q", s)
		}
		schedules = n
	}
	first := ledgertest.Seed(t)
	shards := min(runtime.GOMAXPROCS(0), schedules)
	var mu sync.Mutex
	all := stats{}
	t.Run("shards", func(t *testing.T) {
		for shard := range shards {
			t.Run(fmt.Sprint(shard), func(t *testing.T) {
				t.Parallel()
				s := stats{}
				for i := shard; i < schedules; i += shards {
					var report func(string, ...any)
					if schedules == 1 {
						report = t.Logf
					}
					if err := runSchedule(first+uint64(i), noBug, s, report); err != nil {
						t.Errorf("QUORATE_SEED=%d: %v", first+uint64(i), err)
						return
					}
				}
				mu.Lock()
				defer mu.Unlock()
				for what, n := range s {
					all[what] += n
				}
			})
		}
	})
	t.Logf("%v", all)
	for _, what := range reached {
		if all[what] == 0 && schedules >= 1000 && !t.Failed() {
			t.Errorf("no schedule reached this: %s", what)
		}
	}
}

// TestSimulateKept runs schedules that once found something.
func TestSimulateKept(t *testing.T) {
	for seed, found := range map[uint64]string{
		1795850246810419211: "who left with a handover, and had the next height by a liar's cosignature given to him alone, told nobody again that he had signed it",
	} {
		if err := runSchedule(seed, noBug, stats{}, nil); err != nil {
			t.Errorf("%d (%s): %v", seed, found, err)
		}
	}
}

// TestSimulateAgain: a seed gives the same schedule, step by step.
func TestSimulateAgain(t *testing.T) {
	seed := ledgertest.Seed(t)
	for i := range uint64(20) {
		var runs [2]strings.Builder
		for k := range runs {
			s := stats{}
			if err := runSchedule(seed+i, noBug, s, func(format string, args ...any) { fmt.Fprintf(&runs[k], format+"\n", args...) }); err != nil {
				t.Fatalf("QUORATE_SEED=%d: %v", seed+i, err)
			}
		}
		if runs[0].String() != runs[1].String() {
			t.Fatalf("QUORATE_SEED=%d: two runs differ", seed+i)
		}
	}
}

// TestSimulatorFindsPlantedBugs: a driver that breaks a rule of the commit path does not get past the oracle.
func TestSimulatorFindsPlantedBugs(t *testing.T) {
	seed := ledgertest.Seed(t)
	for b := noBug + 1; b < bugs; b++ {
		t.Run(b.String(), func(t *testing.T) {
			t.Parallel()
			const most = 1000
			for i := range uint64(most) {
				s := stats{}
				if err := runSchedule(seed+i, b, s, nil); err != nil {
					t.Logf("schedule %d: %v", i+1, err)
					return
				}
			}
			t.Errorf("not found in %d schedules", most)
		})
	}
}

// TestSimulateQuorumCrashesBeforeItSigns: a quorum has a block committed, crashes before any of it signs, and is back two
// hours later. The block becomes final.
func TestSimulateQuorumCrashesBeforeItSigns(t *testing.T) {
	for _, n := range []int{4, 7} {
		for _, remembered := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d members, remembered %v", n, remembered), func(t *testing.T) {
				h, err := historyOf[n]()
				if err != nil {
					t.Fatal(err)
				}
				w := newSim(h, rand.New(rand.NewPCG(1, 1)), 0, 1, stats{})
				w.begin()
				w.settle()
				for w.order() {
				}
				w.now = max(w.now, h.channel[1].Time)
				for i, m := range w.members {
					for m.behind() {
						m.deliver()
					}
					if i < h.now[0].Quorum {
						if _, ok := m.outputs[0].(commit.Sign); !ok || len(m.outputs) != 1 {
							t.Fatalf("%s is to do %v", name(i), m.outputs)
						}
						if remembered {
							m.perform(kept)
						} else {
							m.perform(lost)
						}
					}
				}
				w.settle()
				for range 4 * 60 {
					w.now += 30_000
					w.tick()
				}
				for _, m := range w.members[h.now[0].Quorum:] {
					if m.disk.height != 0 {
						t.Fatalf("%s: final without a quorum", name(m.id))
					}
				}
				crashed := w.now
				w.heal()
				w.oracle.end()
				if w.oracle.err != nil {
					t.Fatal(w.oracle.err)
				}
				for i, m := range w.members {
					if m.disk.height != 1 {
						t.Errorf("%s: height %d", name(i), m.disk.height)
					}
					if !remembered && i < h.now[0].Quorum && m.disk.memory.Time < uint64((crashed-ledger.MaxTimeAhead)/1000) {
						t.Errorf("%s signed at %d", name(i), m.disk.memory.Time)
					}
				}
			})
		}
	}
}
