package order

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// The engine's configuration follows the member sets, and never leads them: the leader changes it, one member at a time, once a set is in force by
// what is final; every member holds what the leader changes it to against the sets that it has executed itself. Who comes is sent the log
// first, and votes when it has it.

// memberSteps is how many member sets in a row a configuration may be between: they may change faster than the engine does.
const memberSteps = 4

// now is who the members are, and how many cosignatures make a block final.
func (r *Raft) now() (names []string, quorum int) {
	if r.cfg.Now != nil {
		return r.cfg.Now()
	}
	return r.cfg.Members, r.cfg.Quorum
}

// known are the names of the member sets that this member has executed, oldest first.
func (r *Raft) known() [][]string {
	if r.cfg.Known != nil {
		return r.cfg.Known()
	}
	return [][]string{r.cfg.Members}
}

// configuration decodes a configuration that a peer sent; the library panics over one that does not decode.
func configuration(data []byte) (c raft.Configuration, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = unlikely("a configuration that does not decode")
		}
	}()
	return raft.DecodeConfiguration(data), nil
}

// fits demands that a configuration is that of a member set, or on the way from one to another that follows.
func fits(data []byte, known [][]string) error {
	c, err := configuration(data)
	if err != nil {
		return err
	}
	voters, all := map[string]bool{}, map[string]bool{}
	for _, s := range c.Servers {
		if string(s.ID) != string(s.Address) || all[string(s.ID)] || s.Suffrage != raft.Voter && s.Suffrage != raft.Nonvoter {
			return unlikely("a configuration with %q at %q", s.ID, s.Address)
		}
		all[string(s.ID)], voters[string(s.ID)] = true, s.Suffrage == raft.Voter
	}
	for i := range known {
		stay, any := slices.Clone(known[i]), map[string]bool{}
		for _, set := range known[i:min(len(known), i+memberSteps)] {
			stay = slices.DeleteFunc(stay, func(name string) bool { return !slices.Contains(set, name) })
			for _, name := range set {
				any[name] = true
			}
			ok := !slices.ContainsFunc(stay, func(name string) bool { return !voters[name] })
			for name := range all {
				ok = ok && any[name]
			}
			if ok {
				return nil
			}
		}
	}
	return fmt.Errorf("%w: a configuration of no member set that is known here", errMessage)
}

// alone cuts what is sent so that a configuration goes by itself, after all that is before it: a follower that has not executed the block that
// it follows from refuses it, and must not refuse that block with it.
func alone(entries []*raft.Log) []*raft.Log {
	for i, e := range entries {
		if e.Type == raft.LogConfiguration && e.Index > 1 {
			return entries[:max(i, 1)]
		}
	}
	return entries
}

// reached remembers up to which index of the log peers have it.
type reached struct {
	mu sync.Mutex
	of map[string]uint64
}

func (x *reached) note(peer string, index uint64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.of == nil {
		x.of = map[string]uint64{}
	}
	x.of[peer] = index
}

func (x *reached) up(peer string) uint64 {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.of[peer]
}

// followMembers has the configuration follow while this member leads.
func (r *Raft) followMembers() {
	every := time.NewTicker(r.cfg.Heartbeat)
	defer every.Stop()
	for {
		select {
		case <-every.C:
		case <-r.ctx.Done():
			return
		}
		if engine, err := r.running(); err == nil && engine.State() == raft.Leader {
			if err := r.step(engine); err != nil && r.ctx.Err() == nil {
				r.cfg.Log.Warn("the engine's members do not follow the member set yet", "err", err)
			}
		}
	}
}

// step makes the next change of the configuration, if there is one to make.
func (r *Raft) step(engine *raft.Raft) error {
	names, _ := r.now()
	if !slices.Contains(names, r.cfg.Self) {
		r.handOver(engine) // another member takes this one out
		return nil
	}
	f := engine.GetConfiguration()
	if err := f.Error(); err != nil {
		return err
	}
	change := next(f.Configuration().Servers, names, func(name string) bool { return r.transport.reached.up(name)+2*maxEntries >= engine.AppliedIndex() })
	if change == nil {
		return nil
	}
	// What is stored behind this barrier is sent with word that all before it is committed: who gets the change can have executed what it follows.
	if err := engine.Barrier(r.cfg.Stuck).Error(); err != nil {
		return err
	}
	return change(engine, r.cfg.Stuck).Error()
}

// next is the change of the configuration that comes next: who is new is sent the log, who has it votes, who left goes.
func next(have []raft.Server, want []string, caughtUp func(name string) bool) func(*raft.Raft, time.Duration) raft.IndexFuture {
	has := map[string]raft.ServerSuffrage{}
	for _, s := range have {
		has[string(s.ID)] = s.Suffrage
	}
	for _, name := range want {
		id, at := raft.ServerID(name), raft.ServerAddress(name)
		suffrage, there := has[name]
		switch {
		case !there:
			return func(r *raft.Raft, d time.Duration) raft.IndexFuture { return r.AddNonvoter(id, at, 0, d) }
		case suffrage != raft.Voter && caughtUp(name):
			return func(r *raft.Raft, d time.Duration) raft.IndexFuture { return r.AddVoter(id, at, 0, d) }
		}
	}
	for _, s := range have {
		if !slices.Contains(want, string(s.ID)) {
			return func(r *raft.Raft, d time.Duration) raft.IndexFuture { return r.RemoveServer(s.ID, 0, d) }
		}
	}
	return nil
}
