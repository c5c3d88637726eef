package api

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/quorate-pki/quorate/ledger"
)

// Epochs is what a node gives beside ledger.Reader: its newest epoch, and all statuses as of it. A Reader answers about one thing
// at a time, each as of a height of its own.
type Epochs interface {
	// Epoch returns the receipt of the newest epoch entry, under the checkpoint that it ends.
	Epoch(ctx context.Context) ([]byte, error)
	// Snapshot writes the status snapshot of the newest epoch to what begin returns, which is told its length before.
	Snapshot(ctx context.Context, begin func(length int64) io.Writer) error
}

// maxSnapshots is the most snapshots that are sent at a time: each keeps the index from forgetting old records.
const maxSnapshots = 4

// snapshotTime is how long a client may take for a snapshot of this many bytes: 20 seconds, and one for each 64 KiB. So a slow client does
// not keep a place for long, and a large snapshot is not cut off by the limit for small answers.
func snapshotTime(length int64) time.Duration {
	return 20*time.Second + time.Duration(length/(64<<10))*time.Second
}

func (a *api) epoch(w http.ResponseWriter, r *http.Request) error {
	p, err := a.cfg.Epochs.Epoch(r.Context())
	return writeProof(w, p, err)
}

func (a *api) snapshot(w http.ResponseWriter, r *http.Request) error {
	select {
	case a.snapshots <- struct{}{}:
		defer func() { <-a.snapshots }()
	default:
		return ledger.ErrBusy
	}
	var out *bufio.Writer
	err := a.cfg.Epochs.Snapshot(r.Context(), func(length int64) io.Writer {
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Header().Set("Content-Length", strconv.FormatInt(length, 10))
		w.Header().Set("Cache-Control", "no-cache")
		// Where deadlines are not supported, the server's own limit holds.
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(snapshotTime(length)))
		out = bufio.NewWriterSize(w, 64<<10)
		return out
	})
	if out == nil {
		return err
	}
	if err == nil {
		err = out.Flush()
	}
	if err != nil {
		a.cfg.Logger.Info("sending a snapshot", "err", err) // the client is gone, mostly
		panic(http.ErrAbortHandler)                         // a cut connection, never a short answer that looks whole
	}
	return nil
}
