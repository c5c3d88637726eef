package order

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
)

// Baseline is hashicorp/raft by itself: voters in one process, over loopback without TLS, with the stores of Raft and a
// state machine that does nothing. What a commit takes there is the limit that latency is measured against.
type Baseline struct {
	voters []*raft.Raft
	stores []*raftboltdb.BoltStore
	leader *raft.Raft
}

// NewBaseline starts n voters below dir, and returns when one leads.
func NewBaseline(dir string, n int) (*Baseline, error) {
	b := &Baseline{}
	if err := b.start(dir, n); err != nil {
		return nil, errors.Join(fmt.Errorf("starting a bare raft: %w", err), b.Close())
	}
	return b, nil
}

func (b *Baseline) start(dir string, n int) error {
	quiet := hclog.NewNullLogger()
	var servers []raft.Server
	var transports []*raft.NetworkTransport
	for i := range n {
		t, err := raft.NewTCPTransportWithLogger("127.0.0.1:0", nil, 3, flushWait, quiet)
		if err != nil {
			return err
		}
		transports = append(transports, t)
		servers = append(servers, raft.Server{ID: raft.ServerID(fmt.Sprint(i)), Address: t.LocalAddr()})
	}
	for i, t := range transports {
		c := raft.DefaultConfig()
		c.LocalID, c.Logger, c.NoLegacyTelemetry = servers[i].ID, quiet, true
		own := filepath.Join(dir, fmt.Sprint(i))
		if err := os.MkdirAll(own, 0o700); err != nil {
			return err
		}
		store, err := openBolt(own)
		if err != nil {
			return err
		}
		b.stores = append(b.stores, store)
		snapshots := raft.NewInmemSnapshotStore()
		if err := raft.BootstrapCluster(c, store, store, snapshots, t, raft.Configuration{Servers: servers}); err != nil {
			return err
		}
		v, err := raft.NewRaft(c, idle{}, store, store, snapshots, t)
		if err != nil {
			return err
		}
		b.voters = append(b.voters, v)
	}
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		for _, v := range b.voters {
			if v.State() == raft.Leader {
				b.leader = v
				return v.Barrier(0).Error()
			}
		}
	}
	return errors.New("nobody leads")
}

// Commit returns when a majority of the voters has stored the entry.
func (b *Baseline) Commit(data []byte) error { return b.leader.Apply(data, 0).Error() }

// Close stops the voters.
func (b *Baseline) Close() error {
	var errs []error
	for _, v := range b.voters {
		errs = append(errs, v.Shutdown().Error())
	}
	for _, s := range b.stores {
		errs = append(errs, s.Close())
	}
	return errors.Join(errs...)
}

// idle is a state machine that does nothing.
type idle struct{}

func (idle) Apply(*raft.Log) any                 { return nil }
func (idle) Snapshot() (raft.FSMSnapshot, error) { return idle{}, nil }
func (idle) Restore(r io.ReadCloser) error       { return r.Close() }
func (idle) Persist(s raft.SnapshotSink) error   { return s.Close() }
func (idle) Release()                            {}
