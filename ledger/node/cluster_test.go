package node_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/layout"
	"github.com/quorate-pki/quorate/ledger/ledgertest"
	"github.com/quorate-pki/quorate/ledger/node"
	"github.com/quorate-pki/quorate/ledger/tlog"
)

// cluster is a running one, and what it acknowledged.
type cluster struct {
	*ledgertest.Cluster
	t      *testing.T
	ctx    context.Context
	oracle *ledgertest.Oracle
	serial int
}

func newCluster(t *testing.T, n int, entries uint64) *cluster {
	t.Helper()
	return newClusterWith(t, n, func(c *ledgertest.Cluster) { c.Entries = entries })
}

func newClusterWith(t *testing.T, n int, set func(*ledgertest.Cluster)) *cluster {
	t.Helper()
	t.Parallel() // clusters wait for elections most of the time
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	c := &cluster{Cluster: ledgertest.NewCluster(t, 11, n), t: t, ctx: ctx}
	c.oracle = &ledgertest.Oracle{C: c.C}
	set(c.Cluster)
	c.Cluster.Start(c.Names()...)
	return c
}

// tx is a transaction that publishes n new devices.
func (c *cluster) tx(n int) ledgertest.Submission {
	var out ledgertest.Submission
	var bodies [][]byte
	for range n {
		c.serial++
		der := c.C.Device(fmt.Sprintf("ACME-%d", c.serial), "acme-cells.example", 0)
		out.DERs, bodies = append(out.DERs, der), append(bodies, ledgertest.Publish(der))
	}
	out.Raw = c.C.Tx(c.Now(), ledgertest.TxOptions{Nonce: uint64(c.serial)}, bodies, "acme-cells/line")
	return out
}

// publish publishes n new devices through a member, and holds the cluster to what it answers.
func (c *cluster) publish(name string, n int) {
	c.t.Helper()
	s := c.tx(n)
	res, err := c.Submit(c.ctx, name, s.Raw)
	if err != nil {
		c.t.Fatalf("%s: %v", name, err)
	}
	c.acknowledged(name, s, res)
}

func (c *cluster) acknowledged(name string, s ledgertest.Submission, res ledger.Result) {
	c.t.Helper()
	for _, v := range res.Verdicts {
		if v.Code != reason.Accepted {
			c.t.Fatalf("%s: %v", name, v.Code)
		}
	}
	c.oracle.Acked = append(c.oracle.Acked, ledgertest.Acked{Raw: s.Raw, Result: res, DERs: s.DERs})
	head, err := c.Node(name).Head(c.ctx)
	if err != nil {
		c.t.Fatal(err)
	}
	if err := c.oracle.See(head); err != nil {
		c.t.Fatal(err)
	}
}

// TestCluster: whoever is asked takes transactions; one member may be away, the leader too; all hold the same in the end.
func TestCluster(t *testing.T) {
	c := newCluster(t, 4, 0)
	for _, name := range c.Names() {
		c.publish(name, 3)
		c.publish(name, 70)
	}
	for i, gone := range c.Names() {
		if i == 2 && testing.Short() {
			break
		}
		c.Stop(gone)
		for _, name := range c.Running() {
			c.publish(name, 2)
		}
		c.Start(gone)
	}
	c.Check(c.ctx, c.oracle)
	c.Start(c.Names()...)
	c.publish("ca-a", 1)
	c.Check(c.ctx, c.oracle)
}

// TestCatchUp: a member that was away for longer than the orderer's log reaches takes leaves from its peers and goes on,
// and what a client waits for there is answered.
func TestCatchUp(t *testing.T) {
	c := newCluster(t, 4, 8)
	c.publish("ca-a", 2)
	c.Stop("ca-d")
	for range 40 {
		c.publish("ca-b", 9)
	}
	// The leader cuts its log at times of its own choosing; what counts is that it has.
	c.awaitSnapshots()
	before := c.Signed("ca-d")
	head, err := c.Node("ca-a").Head(c.ctx)
	if err != nil {
		t.Fatal(err)
	}
	c.Start("ca-d")
	c.publish("ca-d", 1)
	for size := range c.Signed("ca-d") {
		// What it signed before it may say again; on the way to the others it says nothing.
		if !before[size] && size < head.Size {
			t.Errorf("signed size %d while it caught up with %d", size, head.Size)
		}
	}
	c.Check(c.ctx, c.oracle)
}

// awaitSnapshots waits until every running member has cut its orderer's log.
func (c *cluster) awaitSnapshots() {
	c.t.Helper()
	pause := time.NewTicker(20 * time.Millisecond)
	defer pause.Stop()
	for _, name := range c.Running() {
		for {
			found, err := filepath.Glob(filepath.Join(c.Dir(name), layout.Orderer, "snapshots", "*", "state.bin"))
			if err != nil {
				c.t.Fatal(err)
			}
			if len(found) > 0 {
				break
			}
			select {
			case <-pause.C:
			case <-c.ctx.Done():
				c.t.Fatalf("%s has no snapshot", name)
			}
		}
	}
}

// TestRejoin: a member whose directory was wiped is given it back by the others. Its marks are gone when it has signed and
// may vote again.
func TestRejoin(t *testing.T) {
	for _, entries := range []uint64{0, 8} {
		if entries > 0 && testing.Short() {
			continue
		}
		t.Run(fmt.Sprintf("%d entries", entries), func(t *testing.T) {
			c := newCluster(t, 4, entries)
			for range 20 {
				c.publish("ca-c", 9)
			}
			c.Stop("ca-b")
			c.publish("ca-c", 1)
			if entries == 0 {
				// The others have not seen it sign since they were started: they know their own log only.
				for _, name := range []string{"ca-a", "ca-c", "ca-d"} {
					c.Stop(name)
				}
				c.Start("ca-a", "ca-c", "ca-d")
			}
			if entries > 0 {
				c.awaitSnapshots()
			}
			c.Wipe("ca-b")
			c.Start("ca-b")
			c.publish("ca-b", 1)
			c.publish("ca-a", 1)
			c.Level(c.ctx)
			pause := time.NewTicker(20 * time.Millisecond)
			defer pause.Stop()
			for _, mark := range []string{layout.Rejoin, filepath.Join(layout.Orderer, layout.Rejoin)} {
				for {
					if _, err := os.Stat(filepath.Join(c.Dir("ca-b"), mark)); os.IsNotExist(err) {
						break
					}
					select {
					case <-pause.C:
					case <-c.ctx.Done():
						t.Fatalf("%s is still there", mark)
					}
				}
			}
			// Without another member, the one that is back is needed for every quorum.
			c.Stop("ca-d")
			c.publish("ca-a", 1)
			c.Start("ca-d")
			c.Check(c.ctx, c.oracle)
		})
	}
}

// TestWithoutExchange: blocks that are ordered and executed everywhere, and not cosigned, are nowhere answered. When the
// members hear of one another again, they are.
func TestWithoutExchange(t *testing.T) {
	c := newCluster(t, 4, 0)
	c.publish("ca-a", 1)
	before := c.Level(c.ctx)
	c.CutExchange(true)
	s := c.tx(1)
	type done struct {
		name string
		res  ledger.Result
		err  error
	}
	answers := make(chan done, 4)
	for _, name := range c.Names() {
		go func() {
			res, err := c.Submit(c.ctx, name, s.Raw)
			answers <- done{name, res, err}
		}()
	}
	// Executed: the leader has put it on top of what is final, at every member.
	pause := time.NewTicker(20 * time.Millisecond)
	defer pause.Stop()
	for _, name := range c.Names() {
		for {
			h, err := c.Node(name).Health(c.ctx)
			if err != nil {
				t.Fatal(err)
			}
			if h.Height == before+1 {
				break
			}
			select {
			case a := <-answers:
				t.Fatalf("%s answers %v, %v without a quorum", a.name, a.res, a.err)
			case <-pause.C:
			}
		}
	}
	for _, name := range c.Names() {
		if head, err := c.Node(name).Head(c.ctx); err != nil || head.Height != before {
			t.Errorf("%s: height %d is final, %v", name, head.Height, err)
		}
	}
	c.CutExchange(false)
	for range c.Names() {
		a := <-answers
		if a.err != nil {
			t.Fatalf("%s: %v", a.name, a.err)
		}
		c.acknowledged(a.name, s, a.res)
	}
	c.Check(c.ctx, c.oracle)
}

// cosignedBy waits until a member's newest checkpoint carries another's cosignature.
func (c *cluster) cosignedBy(at, name string) {
	c.t.Helper()
	pause := time.NewTicker(10 * time.Millisecond)
	defer pause.Stop()
	for {
		h, err := c.Node(at).Health(c.ctx)
		if err != nil {
			c.t.Fatal(err)
		}
		if _, ok := h.Cosigned[name]; ok {
			return
		}
		select {
		case <-pause.C:
		case <-c.ctx.Done():
			c.t.Fatalf("%s has no cosignature of %s", at, name)
		}
	}
}

// TestRolledBack: a directory from before what the member signed last is not started; as a wiped one the member returns.
func TestRolledBack(t *testing.T) {
	c := newCluster(t, 4, 0)
	c.publish("ca-a", 1)
	c.Stop("ca-d")
	restore := c.Save("ca-d")
	c.Start("ca-d")
	c.publish("ca-a", 1)
	c.cosignedBy("ca-a", "ca-d")
	c.Stop("ca-d")
	// What became final without it since does not make the others forget what it signed.
	c.publish("ca-a", 1)
	restore()
	if err := c.Refused(c.ctx, "ca-d"); !errors.Is(err, node.ErrRolledBack) {
		t.Errorf("%v", err)
	}
	c.publish("ca-b", 1)
	c.Wipe("ca-d")
	c.Start("ca-d")
	c.publish("ca-d", 1)
	c.Check(c.ctx, c.oracle)
}

// TestLyingPeer: a member that is behind believes no peer's leaves, be they of another log, of a block that does not fit or
// too few; it takes them from the next.
func TestLyingPeer(t *testing.T) {
	lies := map[string]func(entries [][]byte) [][]byte{
		"another certificate": func(e [][]byte) [][]byte {
			last := bytes.Clone(e[len(e)-2])
			last[len(last)/2] ^= 1
			return append(append(e[:len(e)-2:len(e)-2], last), e[len(e)-1])
		},
		"a voucher who did not": func(e [][]byte) [][]byte { // folds, to another root
			out := slices.Clone(e)
			for i, raw := range e {
				if x, err := ledger.ParseEntry(raw); err == nil && x.Op != nil && x.Op.Effects.Possession != 0 {
					x.Op.Effects.Voucher = new(ledger.Hash)
					out[i] = x.Op.Encode()
				}
			}
			return out
		},
		"a block left out": func(e [][]byte) [][]byte { return e[:len(e)-4] },
		"a leaf too many":  func(e [][]byte) [][]byte { return append(e, e[len(e)-1]) },
	}
	for what, lie := range lies {
		t.Run(what, func(t *testing.T) {
			c := newCluster(t, 4, 0)
			c.Stop("ca-d")
			for range 3 {
				c.publish("ca-b", 2)
			}
			c.Level(c.ctx)
			c.Stop("ca-a")
			asked := make(chan struct{}, 100)
			truth := c.Node("ca-b")
			c.Pose("ca-a", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				path, isTile := strings.CutPrefix(r.URL.Path, "/peer/1/tile")
				switch {
				case r.URL.Path == "/peer/1/checkpoint":
					head, err := truth.Head(r.Context())
					if err == nil {
						_, _ = w.Write(head.Note)
					}
				case isTile:
					tile, err := tlog.ParseTilePath("tile" + path)
					if err != nil {
						t.Error(err)
						return
					}
					data, err := truth.Tile(r.Context(), tile)
					if err != nil {
						t.Error(err)
						return
					}
					entries, err := tlog.SplitBundle(data)
					if err != nil {
						t.Error(err)
						return
					}
					var out []byte
					for _, e := range lie(entries) {
						out, _ = tlog.AppendBundleEntry(out, e)
					}
					_, _ = w.Write(out)
					asked <- struct{}{}
				default:
					http.NotFound(w, r)
				}
			}))
			c.Start("ca-d")
			if len(asked) == 0 {
				t.Fatal("the liar was not asked")
			}
			c.publish("ca-d", 1)
			c.Check(c.ctx, c.oracle)
		})
	}
}

// TestEvidence: a member that cosigns another tree than the others is kept on record, and stops nobody.
func TestEvidence(t *testing.T) {
	c := newCluster(t, 4, 0)
	c.publish("ca-a", 1)
	c.Level(c.ctx)
	c.Stop("ca-d")
	head, err := c.Node("ca-a").Head(c.ctx)
	if err != nil {
		t.Fatal(err)
	}
	other := tlog.Checkpoint{Origin: head.Origin, Size: head.Size, Root: ledger.Sum([]byte("another tree"))}
	note := tlog.FormatNote(other, []tlog.Signature{tlog.Cosign(other, c.C.Set.CosignerName("ca-d"), uint64(c.Now().Unix()), c.C.Key("ca-d/cosigning"))})
	message := struct {
		_       struct{} `cbor:",toarray"`
		Version uint64
		Notes   [][]byte
	}{Version: 1, Notes: [][]byte{note}}
	liar := c.As("ca-d")
	post := func(to string, body []byte, want int) {
		t.Helper()
		resp, err := liar.Post("http://"+to+"/peer/1/cosignatures", "application/octet-stream", bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%s answers %s", to, resp.Status)
		}
	}
	post("ca-a", ledger.Encode(message), http.StatusOK)
	kept, err := os.ReadFile(filepath.Join(c.Dir("ca-a"), layout.Evidence, fmt.Sprintf("ca-d-%d", head.Size)))
	if err != nil || !bytes.Equal(kept, note) {
		t.Errorf("%q, %v", kept, err)
	}
	// In another's name, of another version, and what is none.
	message.Notes[0] = tlog.FormatNote(other, []tlog.Signature{tlog.Cosign(other, c.C.Set.CosignerName("ca-c"), 1, c.C.Key("ca-c/cosigning"))})
	post("ca-a", ledger.Encode(message), http.StatusBadRequest)
	message.Version, message.Notes = 2, [][]byte{}
	post("ca-a", ledger.Encode(message), http.StatusBadRequest)
	post("ca-a", []byte("x"), http.StatusBadRequest)
	c.publish("ca-a", 1)
	c.publish("ca-b", 1)
	c.Check(c.ctx, c.oracle)
}
