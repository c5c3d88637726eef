package order

import (
	"errors"
	"log/slog"
	"testing"

	"github.com/hashicorp/raft"
)

// fullDisk is a store of entries that has no room.
type fullDisk struct{ raft.LogStore }

func (fullDisk) StoreLogs([]*raft.Log) error { return errFull }

var errFull = errors.New("no space left on device")

// TestRaftStoreFails: an entry that cannot be stored ends the engine, and its owner is told why.
func TestRaftStoreFails(t *testing.T) {
	var told error
	r := NewRaft(RaftConfig{Self: "ca-a", Members: []string{"ca-a"}, Log: slog.New(slog.DiscardHandler), Failed: func(err error) { told = err }})
	err := checkedLogs{fullDisk{}, r}.StoreLog(&raft.Log{Type: raft.LogNoop})
	if s := r.Status(); !errors.Is(err, errFull) || !errors.Is(told, errFull) || s.Healthy || s.Trouble == "" {
		t.Errorf("StoreLogs: %v; told: %v; status %+v", err, told, s)
	}
	if err := r.Submit(t.Context(), []byte{1}); !errors.Is(err, ErrStopped) {
		t.Errorf("Submit: %v", err)
	}
}
