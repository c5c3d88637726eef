// Package client talks to nodes over HTTP and trusts none of them: whatever it returns as verified was checked
// against the policy by package verify, which relying parties use too. It implements ledger.Reader and
// ledger.Submitter, so that whatever works with a node works with a remote one; what those methods return is told,
// not proved, unless a method says otherwise.
package client

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/quorate-pki/quorate/internal/problem"
	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/api"
	"github.com/quorate-pki/quorate/ledger/tlog"
	"github.com/quorate-pki/quorate/verify"
)

// ErrNoNode: none of the nodes answered; nothing is known.
var ErrNoNode = errors.New("no node answered")

// Config of a Client.
type Config struct {
	Nodes   []string         // base URLs; the one that answered last is asked first, then those behind it; required
	Channel string           // channel name; default "main"
	Policy  *tlog.Policy     // required for the verifying methods; one past its expiry is refused
	Now     func() time.Time // default time.Now; for the policy's expiry
	HTTP    *http.Client     // default: a client with a timeout of 60 s
	Wait    time.Duration    // how long a busy or slow ledger is asked again for one transaction; default 5 min
}

// Client is safe for concurrent use.
type Client struct {
	cfg   Config
	known atomic.Pointer[verify.Trust] // nil without a policy
	last  atomic.Int64                 // index of the node that answered last
}

var (
	_ ledger.Reader    = (*Client)(nil)
	_ ledger.Submitter = (*Client)(nil)
)

// New checks the configuration.
func New(cfg Config) (*Client, error) {
	if len(cfg.Nodes) == 0 {
		return nil, errors.New("no node URL")
	}
	for i, n := range cfg.Nodes {
		u, err := url.Parse(n)
		if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
			return nil, fmt.Errorf("%q is not the URL of a node", n)
		}
		cfg.Nodes[i] = strings.TrimSuffix(n, "/")
	}
	if cfg.Channel == "" {
		cfg.Channel = "main"
	}
	if cfg.HTTP == nil {
		cfg.HTTP = &http.Client{Timeout: 60 * time.Second}
	}
	if cfg.Wait == 0 {
		cfg.Wait = 5 * time.Minute
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	c := &Client{cfg: cfg}
	if cfg.Policy != nil {
		trust, err := verify.NewTrust(cfg.Policy, cfg.Now())
		if err != nil {
			return nil, err
		}
		c.known.Store(trust)
	}
	return c, nil
}

// maxAnswer bounds what is read of an answer: 1,024 receipts with room.
const maxAnswer = 32 << 20

// do asks the nodes in turn. A refusal by a node is an answer; no answer, 5xx and 429 try the next node. So does what one
// node has not: it may be a block behind. The node that answered is asked first the next time, so that what it has just
// made final is read where it is.
func (c *Client) do(ctx context.Context, method, path, contentType string, body []byte) ([]byte, error) {
	return c.ask(ctx, method, path, contentType, body, func([]byte) error { return nil })
}

// ask is do, where an answer that does not pass the check is none: the next node is asked.
func (c *Client) ask(ctx context.Context, method, path, contentType string, body []byte, check func([]byte) error) ([]byte, error) {
	var data []byte
	err := c.each(func(node string) (refused bool, err error) {
		req, err := http.NewRequestWithContext(ctx, method, node+path, bytes.NewReader(body))
		if err != nil {
			return true, err
		}
		if contentType != "" {
			req.Header.Set("Content-Type", contentType)
		}
		if data, err = c.send(req); err != nil {
			return true, err
		}
		return false, check(data)
	})
	return data, err
}

// each asks the nodes in turn, the one that answered last first. refused says that an error is the node's own word, and not what
// was thought of its answer.
func (c *Client) each(ask func(node string) (refused bool, err error)) error {
	var last error
	first, n := int(c.last.Load()), len(c.cfg.Nodes)
	for i := range n {
		at := (first + i) % n
		refused, err := ask(c.cfg.Nodes[at])
		if err == nil {
			c.last.Store(int64(at))
			return nil
		}
		// Another node may serve the channel, or have what this one has not yet.
		if code, ok := reason.CodeOf(err); ok && refused && code != reason.NotFound && code != reason.UnknownChannel {
			if s := problem.Status(code); s < 500 && s != http.StatusTooManyRequests {
				return err
			}
		}
		if code, _ := reason.CodeOf(last); code != reason.NotFound {
			last = err // "not found" is told by whoever answers, "busy" or silence by whoever does not
		}
	}
	if _, ok := reason.CodeOf(last); ok {
		return last
	}
	return fmt.Errorf("%w: %w", ErrNoNode, last)
}

func (c *Client) send(req *http.Request) ([]byte, error) {
	resp, err := c.cfg.HTTP.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, problem.Read(resp)
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err == nil && len(data) > maxAnswer {
		err = errors.New("the answer is too large")
	}
	return data, err
}

// translate turns problems that have a ledger error back into it.
func translate(err error) error {
	switch code, _ := reason.CodeOf(err); code {
	case reason.NotFound:
		return fmt.Errorf("%w: %w", ledger.ErrNotFound, err)
	case reason.Busy, reason.RateLimited:
		return fmt.Errorf("%w: %w", ledger.ErrBusy, err)
	case reason.Stopping:
		return fmt.Errorf("%w: %w", ledger.ErrStopping, err)
	}
	return err
}

func (c *Client) get(ctx context.Context, path string) ([]byte, error) {
	data, err := c.do(ctx, http.MethodGet, path, "", nil)
	return data, translate(err)
}

func (c *Client) v1(format string, args ...any) string {
	return "/v1/" + url.PathEscape(c.cfg.Channel) + fmt.Sprintf(format, args...)
}

// Head implements ledger.Reader; told, not proved.
func (c *Client) Head(ctx context.Context) (ledger.Head, error) {
	raw, err := c.get(ctx, c.v1("/"))
	if err != nil {
		return ledger.Head{}, err
	}
	var h api.Head
	if err := json.Unmarshal(raw, &h); err != nil {
		return ledger.Head{}, untrusted("the head: %v", err)
	}
	out := ledger.Head{Origin: h.Origin, Height: h.Height, Size: h.Size, Time: h.Time}
	if out.Channel, err = ledger.ParseHash(h.Channel); err != nil {
		return out, untrusted("the head: %v", err)
	}
	if out.Root, err = ledger.ParseHash(h.Root); err != nil {
		return out, untrusted("the head: %v", err)
	}
	out.Note, err = c.get(ctx, c.v1("/checkpoint"))
	return out, err
}

// Entry implements ledger.Reader; told, not proved.
func (c *Client) Entry(ctx context.Context, index uint64) ([]byte, error) {
	return c.get(ctx, c.v1("/entries/%d", index))
}

// Receipt implements ledger.Reader; not verified here.
func (c *Client) Receipt(ctx context.Context, index uint64) ([]byte, error) {
	return c.get(ctx, c.v1("/receipts/%d", index))
}

// Status implements ledger.Reader. The proof is not verified here and Status is left empty: it is the proof's.
func (c *Client) Status(ctx context.Context, leaf uint64) (ledger.StatusAnswer, error) {
	proof, err := c.get(ctx, c.v1("/status/%d", leaf))
	return ledger.StatusAnswer{Leaf: leaf, Proof: proof}, err
}

// Result implements ledger.Reader; told, not proved.
func (c *Client) Result(ctx context.Context, id ledger.Hash) (ledger.Result, error) {
	raw, err := c.get(ctx, c.v1("/transactions/%x", id))
	if err != nil {
		return ledger.Result{}, err
	}
	return parseResult(raw)
}

// Records implements ledger.Reader; told, not proved.
func (c *Client) Records(ctx context.Context, kind ledger.RecordKind, prefix, after []byte) iter.Seq2[ledger.Record, error] {
	return func(yield func(ledger.Record, error) bool) {
		after := after
		for {
			raw, err := c.get(ctx, c.v1("/records/%c?prefix=%x&after=%x", kind, prefix, after))
			var page api.Records
			if err != nil {
				yield(ledger.Record{}, err)
				return
			}
			if err := json.Unmarshal(raw, &page); err != nil {
				yield(ledger.Record{}, untrusted("the records: %v", err))
				return
			}
			for _, r := range page.Records {
				k, err1 := hex.DecodeString(r.Key)
				v, err2 := hex.DecodeString(r.Value)
				if err1 != nil || err2 != nil || !bytes.HasPrefix(k, prefix) || (after != nil && bytes.Compare(k, after) <= 0) {
					yield(ledger.Record{}, untrusted("the records are not those asked for, in order of key"))
					return
				}
				if !yield(ledger.Record{Key: k, Value: v}, nil) {
					return
				}
				after = k
			}
			if !page.More || len(page.Records) == 0 {
				return
			}
		}
	}
}

// Tile implements ledger.Reader and tlog.TileReader's contract; not verified here.
func (c *Client) Tile(ctx context.Context, t tlog.Tile) ([]byte, error) {
	_, number, ok := strings.Cut(strings.TrimPrefix(c.cfg.Policy.Origin, "/"), "/"+c.cfg.Channel+"/")
	if !ok {
		number = "0"
	}
	return c.get(ctx, "/log/"+url.PathEscape(c.cfg.Channel)+"/"+number+"/"+t.Path())
}

// Submit implements ledger.Submitter. The result is told; the receipts prove it.
func (c *Client) Submit(ctx context.Context, submission []byte) (ledger.Result, error) {
	raw, err := c.do(ctx, http.MethodPost, c.v1("/transactions"), "application/cbor", submission)
	if err != nil {
		return ledger.Result{}, translate(err)
	}
	return parseResult(raw)
}

// Judge implements ledger.Submitter.
func (c *Client) Judge(ctx context.Context, submission []byte) ([]ledger.Verdict, error) {
	raw, err := c.do(ctx, http.MethodPost, c.v1("/judge"), "application/cbor", submission)
	if err != nil {
		return nil, translate(err)
	}
	var r api.Result
	if err := json.Unmarshal(raw, &r); err != nil {
		return nil, untrusted("the verdicts: %v", err)
	}
	return parseVerdicts(r.Verdicts), nil
}

func parseResult(raw []byte) (ledger.Result, error) {
	var r api.Result
	if err := json.Unmarshal(raw, &r); err != nil {
		return ledger.Result{}, untrusted("the result: %v", err)
	}
	id, err := ledger.ParseHash(r.ID)
	if err != nil {
		return ledger.Result{}, untrusted("the result: %v", err)
	}
	return ledger.Result{ID: id, Leaf: r.Leaf, Height: r.Height, Verdicts: parseVerdicts(r.Verdicts)}, nil
}

func parseVerdicts(in []api.Verdict) (out []ledger.Verdict) {
	for _, v := range in {
		x := ledger.Verdict{Code: v.Code}
		if v.Leaf != nil {
			x.Leaf = *v.Leaf
		}
		out = append(out, x)
	}
	return out
}

func untrusted(format string, args ...any) error {
	return reason.New(reason.AnswerNotTrusted, format, args...)
}
