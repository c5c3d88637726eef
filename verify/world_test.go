package verify_test

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quorate-pki/quorate/ca"
	"github.com/quorate-pki/quorate/ca/profile"
	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/ledgertest"
	"github.com/quorate-pki/quorate/ledger/state"
	"github.com/quorate-pki/quorate/ledger/tlog"
)

// world is a consortium's log: what Execute left, and the statuses that every epoch swore to. Its members sign whatever
// a test asks, so that each case breaks one rule only.
type world struct {
	t      testing.TB
	c      *ledgertest.Consortium
	n, q   int
	leaves [][]byte
	chunks map[uint64][]ledger.Chunk // by the epoch's leaf
	certs  map[string][]byte         // by device serial
	leafOf map[string]uint64         // by device serial, of the publication; "change/..." of a status change
	sizes  []uint64                  // after each block

	head  *state.State
	store *ledgertest.MemStore
	now   time.Time
	nonce uint64
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func found(t testing.TB, members int) *world {
	t.Helper()
	return foundedBy(t, ledgertest.Found(7, members), members)
}

// foundedBy is the world that a consortium's genesis block starts.
func foundedBy(t testing.TB, c *ledgertest.Consortium, members int) *world {
	t.Helper()
	w := &world{t: t, c: c, n: members, q: 2*members/3 + 1, chunks: map[uint64][]ledger.Chunk{}, certs: map[string][]byte{},
		leafOf: map[string]uint64{}, store: &ledgertest.MemStore{}, now: ledgertest.Start}
	b, err := ledger.ParseBlock(c.Genesis)
	must(t, err)
	w.head = state.Empty(w.store)
	w.apply(b)
	return w
}

// device makes a certificate; until is its end, zero for none.
func (w *world) device(serial string, until time.Time) []byte {
	p, _ := profile.ByID(1)
	der, err := ca.SelfIssue(ca.SelfIssueConfig{Profile: p, Key: w.c.Key("device/" + serial), Serial: serial,
		DNSNames:  []string{strings.ToLower(serial) + ".acme-cells.example"},
		NotBefore: ledgertest.Start.Add(-time.Hour), NotAfter: until, Rand: bytes.NewReader(bytes.Repeat([]byte{0x42}, 64))})
	must(w.t, err)
	w.certs[serial] = der
	return der
}

// apply executes a block, checks its status root against chunks kept here, and makes it final.
func (w *world) apply(b *ledger.Block) {
	w.t.Helper()
	e, err := state.Execute(w.head, b, state.Direct{})
	must(w.t, err)
	for _, r := range e.Results {
		for _, v := range r.Verdicts {
			if v.Code != reason.Accepted {
				w.t.Fatalf("height %d: %s", b.Header.Height, v.Code)
			}
		}
	}
	w.store.Put(e.State.Writes())
	e.State.Detach()
	var chunks []ledger.Chunk
	if len(w.sizes) > 0 {
		chunks = slices.Clone(w.chunks[w.sizes[len(w.sizes)-1]-1])
	}
	w.head, w.leaves = e.State, append(w.leaves, e.Leaves...)
	last := uint64(len(w.leaves)) - 1
	chunks = append(chunks, make([]ledger.Chunk, ledger.Chunks(last)-uint64(len(chunks)))...)
	for _, raw := range e.Leaves {
		entry, err := ledger.ParseEntry(raw)
		must(w.t, err)
		if entry.Op != nil {
			for _, r := range entry.Op.Effects.Runs {
				for i := r.First; i < r.First+r.Count; i++ {
					chunks[i/ledger.ChunkLeaves].Set(i, r.Status)
				}
			}
		}
		if entry.Epoch != nil && entry.Epoch.StatusRoot != chunkTree(chunks).Root() {
			w.t.Fatalf("height %d: another status root", b.Header.Height)
		}
	}
	w.chunks[last] = chunks
	w.sizes = append(w.sizes, last+1)
}

// block puts bodies into one transaction and that into a block; it returns the leaf of the first operation.
func (w *world) block(signer string, bodies ...[]byte) uint64 {
	w.t.Helper()
	w.nonce++
	w.now = w.now.Add(time.Second)
	first := uint64(len(w.leaves)) + 1
	b, _, err := w.c.Block(w.head.Channel(), w.now, 1, w.c.Tx(w.now, ledgertest.TxOptions{Nonce: w.nonce}, bodies, strings.Fields(signer)...))
	must(w.t, err)
	w.apply(b)
	return first
}

// publish publishes devices, each a certificate, in one block.
func (w *world) publish(serials ...string) {
	w.t.Helper()
	var bodies [][]byte
	for _, s := range serials {
		bodies = append(bodies, ledgertest.Publish(w.certs[s]))
	}
	first := w.block("acme-cells/line", bodies...)
	for i, s := range serials {
		w.leafOf[s] = first + uint64(i)
	}
}

// change changes the status of devices, one block each.
func (w *world) change(action ledger.Action, why uint64, serials ...string) {
	w.t.Helper()
	for _, s := range serials {
		leaf := w.leafOf[s]
		w.leafOf[fmt.Sprintf("change/%d/%s", action, s)] = w.block("acme-cells/admin-1 acme-cells/admin-2", ledgertest.Change(ledger.StatusChange{
			Action: action, Scope: ledger.ScopeCertificate, Target: ledger.Sum(w.c.SPKI("device/" + s)), Leaf: &leaf, Reason: why}))
	}
}

func (w *world) size() uint64 { return uint64(len(w.leaves)) }

// with is the same world with other leaves; one past the end is appended.
func (w *world) with(leaves map[uint64][]byte) *world {
	other := *w
	other.leaves = slices.Clone(w.leaves)
	for len(leaves) > 0 {
		for i, raw := range leaves {
			switch {
			case i < other.size():
				other.leaves[i] = raw
			case i == other.size():
				other.leaves = append(other.leaves, raw)
			default:
				continue
			}
			delete(leaves, i)
		}
	}
	return &other
}

func tree(leaves [][]byte) *tlog.ChunkTree {
	hashes := make([]tlog.Hash, len(leaves))
	for i, l := range leaves {
		hashes[i] = tlog.LeafHash(l)
	}
	return tlog.NewChunkTree(hashes)
}

func chunkTree(chunks []ledger.Chunk) *tlog.ChunkTree {
	hashes := make([]tlog.Hash, len(chunks))
	for i := range chunks {
		hashes[i] = tlog.LeafHash(chunks[i][:])
	}
	return tlog.NewChunkTree(hashes)
}

func member(i int) string { return "ca-" + string(rune('a'+i)) }

// cosigner is a cosignature to be made: by whom, at what second, and under what name if not his own.
type cosigner struct {
	key, name string
	time      int64
}

// draft is a proof file not yet signed and written; a test spoils parts of it.
type draft struct {
	w       *world
	receipt *ledger.ReceiptExtra
	status  *ledger.StatusExtra
	extra   []byte // instead of both
	raw     []byte // the note, instead of what follows
	index   uint64
	path    []tlog.Hash
	c       tlog.Checkpoint
	signed  *tlog.Checkpoint // what is signed, if not c
	logs    []string         // keys of log signatures
	members []cosigner
	lines   []tlog.Signature // more signature lines, as they are
}

// asOf is the time of every cosignature that a test does not change.
var asOf = ledgertest.Start.Add(time.Hour).Unix()

func (w *world) draft(index, size uint64) *draft {
	at := tree(w.leaves[:size])
	d := &draft{w: w, index: index, path: at.Path(index), logs: []string{"ca-a/log"},
		c: tlog.Checkpoint{Origin: w.c.Set.Origin(0), Size: size, Root: at.Root()}}
	for i := range w.q {
		d.members = append(d.members, cosigner{key: member(i) + "/cosigning", name: w.c.Set.CosignerName(member(i)), time: asOf})
	}
	return d
}

// receiptOf drafts the receipt of a leaf in the tree of a size.
func (w *world) receiptOf(leaf, size uint64, der []byte) *draft {
	w.t.Helper()
	before, after, err := ledger.SplitPublication(w.leaves[leaf], der)
	must(w.t, err)
	d := w.draft(leaf, size)
	d.receipt = &ledger.ReceiptExtra{Version: 1, Before: before, After: after}
	return d
}

// statusOf drafts the status of a leaf under the tree of a size, which an epoch ends. cause is a leaf, 0 for none.
func (w *world) statusOf(leaf, size, cause uint64) *draft {
	d := w.draft(size-1, size)
	chunks := w.chunks[size-1]
	d.status = &ledger.StatusExtra{Version: 1, Epoch: w.leaves[size-1], Number: leaf / ledger.ChunkLeaves,
		Chunk: slices.Clone(chunks[leaf/ledger.ChunkLeaves][:]), Path: chunkTree(chunks).Path(leaf / ledger.ChunkLeaves)}
	if cause != 0 {
		d.status.Cause = w.cause(cause, size)
	}
	return d
}

func (w *world) cause(leaf, size uint64) *ledger.StatusCause {
	return &ledger.StatusCause{Index: leaf, Entry: w.leaves[leaf], Path: tree(w.leaves[:size]).Path(leaf)}
}

func (d *draft) note() []byte {
	if d.raw != nil {
		return d.raw
	}
	c := d.c
	if d.signed != nil {
		c = *d.signed
	}
	var sigs []tlog.Signature
	for _, k := range d.logs {
		sigs = append(sigs, tlog.SignCheckpoint(c, c.Origin, d.w.c.Key(k)))
	}
	for _, m := range d.members {
		sigs = append(sigs, tlog.Cosign(c, m.name, uint64(m.time), d.w.c.Key(m.key)))
	}
	return tlog.FormatNote(d.c, append(sigs, d.lines...))
}

func (d *draft) file() []byte {
	p := tlog.Proof{Extra: d.extra, Index: d.index, Path: d.path, Note: d.note()}
	switch {
	case d.extra != nil:
	case d.receipt != nil:
		p.Extra = ledger.Encode(d.receipt)
	case d.status != nil:
		p.Extra = ledger.Encode(d.status)
	}
	return p.Format()
}

// do spoils the draft and writes it.
func (d *draft) do(spoil ...func(*draft)) []byte {
	for _, f := range spoil {
		f(d)
	}
	return d.file()
}

// times sets the cosignature times, one per member.
func times(ts ...int64) func(*draft) {
	return func(d *draft) {
		d.members = nil
		for i, t := range ts {
			d.members = append(d.members, cosigner{member(i) + "/cosigning", d.w.c.Set.CosignerName(member(i)), t})
		}
	}
}

func public(k ed25519.PrivateKey) ed25519.PublicKey { return k.Public().(ed25519.PublicKey) }
