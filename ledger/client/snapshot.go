package client

import (
	"context"
	"io"
	"net/http"
	"time"

	"github.com/quorate-pki/quorate/internal/problem"
)

// snapshotTime is how long one node may take to send a snapshot: it is cut off before by its own limit, if it is honest.
const snapshotTime = 10 * time.Minute

// Snapshot hands the status snapshot of one node after the other to take, until take accepts one. What is handed over is not verified:
// verify.ReadSnapshot does that as it reads, and stops where the snapshot ends.
func (c *Client) Snapshot(ctx context.Context, take func(io.Reader) error) error {
	ctx, cancel := context.WithTimeout(ctx, snapshotTime)
	defer cancel()
	patient := *c.cfg.HTTP
	patient.Timeout = 0 // ctx has one
	return translate(c.each(func(node string) (refused bool, err error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, node+c.v1("/snapshot"), nil)
		if err != nil {
			return true, err
		}
		resp, err := patient.Do(req)
		if err != nil {
			return true, err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return true, problem.Read(resp)
		}
		return false, take(resp.Body)
	}))
}
