package commit_test

import (
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"sync"
	"time"

	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/commit"
	"github.com/quorate-pki/quorate/ledger/ledgertest"
	"github.com/quorate-pki/quorate/ledger/state"
	"github.com/quorate-pki/quorate/ledger/tlog"
	"github.com/quorate-pki/quorate/policies"
)

// history is the one sequence that an honest orderer gives a consortium, and what must come of it. Made once; every
// schedule runs on a piece of it. Nothing in it changes afterwards.
type history struct {
	c         *ledgertest.Consortium
	n         int
	policy    *tlog.Policy
	keys      []ed25519.PrivateKey // cosigning
	names     []string             // of cosigners
	logKey    ed25519.PrivateKey
	facts     *facts
	sequence  []*ledger.Block         // as the orderer gives it: some blocks twice, some that can have no effect
	at        []int                   // by height: where in the sequence it is first
	effective map[*ledger.Parsed]bool // the first transactions of the blocks that take effect
	channel   []ledger.ChannelRecord  // by height
	cps       []tlog.Checkpoint       // by height
	roots     map[uint64]ledger.Hash  // by size
	disks     [][]disk                // by height, member: final there, and its signature the newest this member gave
	sums      []ledger.Hash           // by height: of the records folded from the leaves
	leaves    [][][]byte              // by height: of the block
	made      map[string]statement    // the signatures in disks
}

// statement is what a cosignature says, and who made it.
type statement struct {
	cp   tlog.Checkpoint
	name string
}

// disk is what a member has on disk.
type disk struct {
	store     *ledgertest.MemStore
	leaves    tlog.Frontier
	height    uint64
	cosigners []tlog.Signature
	memory    *commit.Signed // nil before the first signature
}

func (d disk) clone() disk { d.store = d.store.Clone(); return d }

// historyLength is the height of the last block.
const historyLength = 16

var historyOf = map[int]func() (*history, error){
	4: sync.OnceValues(func() (*history, error) { return newHistory(4) }),
	7: sync.OnceValues(func() (*history, error) { return newHistory(7) }),
}

func newHistory(n int) (*history, error) {
	h := &history{c: ledgertest.Found(uint64(100+n), n), n: n, facts: &facts{}, roots: map[uint64]ledger.Hash{}, effective: map[*ledger.Parsed]bool{}, made: map[string]statement{}}
	h.policy, h.logKey = h.c.Set.Policy(0), h.c.Key("ca-a/log")
	for i := range n {
		h.keys, h.names = append(h.keys, h.c.Key(name(i)+"/cosigning")), append(h.names, h.c.Set.CosignerName(name(i)))
	}
	b, err := ledger.ParseBlock(h.c.Genesis)
	if err != nil {
		return nil, err
	}
	executed, folded := &ledgertest.MemStore{}, &ledgertest.MemStore{}
	head, fold := state.Empty(executed), state.Empty(folded)
	var leaves tlog.Frontier
	w := &writer{h: h, codes: map[reason.Code]int{}}
	for height := 0; ; height++ {
		x, err := state.Execute(head, b, h.facts)
		if err != nil {
			return nil, fmt.Errorf("height %d: %w", height, err)
		}
		if fold, err = state.Fold(fold, x.Leaves); err != nil {
			return nil, fmt.Errorf("folding height %d: %w", height, err)
		}
		executed.Put(x.State.Writes())
		folded.Put(fold.Writes())
		x.State.Detach()
		fold.Detach()
		head = x.State
		for _, l := range x.Leaves {
			leaves.Append(tlog.LeafHash(l))
		}
		if head.Root() != leaves.Root() || fold.Root() != leaves.Root() || executed.Sum() != folded.Sum() {
			return nil, fmt.Errorf("height %d: executing and folding do not give the same", height)
		}
		h.sums, h.leaves = append(h.sums, folded.Sum()), append(h.leaves, x.Leaves)
		h.add(b, head, folded, leaves)
		w.executed(x)
		if height == historyLength {
			return h, w.complete()
		}
		if height > 0 {
			if err := w.again(height); err != nil {
				return nil, err
			}
		}
		if b, err = w.block(head.Channel()); err != nil {
			return nil, err
		}
	}
}

// add notes a height that took effect.
func (h *history) add(b *ledger.Block, s *state.State, store *ledgertest.MemStore, leaves tlog.Frontier) {
	c := s.Channel()
	cp := tlog.Checkpoint{Origin: h.policy.Origin, Size: s.Size(), Root: s.Root()}
	h.at, h.sequence = append(h.at, len(h.sequence)), append(h.sequence, b)
	h.channel, h.cps = append(h.channel, c), append(h.cps, cp)
	h.roots[cp.Size] = cp.Root
	h.effective[b.Txs[0]] = true
	disks := make([]disk, h.n)
	var all []tlog.Signature
	seconds := uint64(c.Time / 1000)
	for i := range disks {
		sig := tlog.Cosign(cp, h.names[i], seconds, h.keys[i])
		all = append(all, sig)
		h.made[string(sig.Bytes)] = statement{cp, sig.Name}
		disks[i] = disk{leaves: leaves, height: c.Height, memory: &commit.Signed{Signature: sig,
			Statement: commit.Statement{Log: c.Log, Height: c.Height, Size: cp.Size, Root: cp.Root, Header: c.Header, Time: seconds}}}
	}
	store = store.Clone()
	for i := range disks {
		disks[i].store, disks[i].cosigners = store, all[:h.policy.Quorum]
		if c.Height == 0 {
			disks[i].cosigners, disks[i].memory = nil, nil // as after founding
		}
	}
	h.disks = append(h.disks, disks)
}

// end is the position in the sequence after which a height, and what repeats it, was delivered.
func (h *history) end(height int) int {
	if height == historyLength {
		return len(h.sequence)
	}
	return h.at[height+1]
}

// writer makes the blocks: publications, status changes, what is refused with a leaf and what without.
type writer struct {
	h        *history
	nonce    uint64
	last     []byte   // a transaction that took effect: once more it is a replay
	leaf     []uint64 // of publications
	codes    map[reason.Code]int
	changes  int
	leafless int
}

func (w *writer) tx(at time.Time, bodies [][]byte, signers ...string) []byte {
	w.nonce++
	return w.h.c.Tx(at, ledgertest.TxOptions{Nonce: w.nonce}, bodies, signers...)
}

func (w *writer) device(k int) []byte {
	return ledgertest.Publish(w.h.c.Device(fmt.Sprintf("ACME-%d", k), "acme-cells.example", 0))
}

// change is a status change of the first device.
func (w *writer) change(a ledger.Action, why uint64) []byte {
	spki := w.h.c.SPKI("device/ACME-1")
	return ledgertest.Change(ledger.StatusChange{Target: ledger.Sum(spki), Action: a, Scope: ledger.ScopeCertificate, Leaf: &w.leaf[0], Reason: why})
}

func (w *writer) block(on ledger.ChannelRecord) (*ledger.Block, error) {
	height := int(on.Height) + 1
	at := on.Time.Time().Add([]time.Duration{time.Second, 7 * time.Second, time.Second, 40 * time.Second}[height%4])
	line, admins := "acme-cells/line", []string{"acme-cells/admin-1", "acme-cells/admin-2"}
	publish := w.tx(at, [][]byte{w.device(height)}, line)
	var txs [][]byte
	switch height % 6 {
	case 1:
		txs = [][]byte{publish}
	case 2: // refused: a name of another vendor, the same again; and a replay
		txs = [][]byte{w.tx(at, [][]byte{w.device(50 + height)}, "other-cells/line"), w.last, publish}
	case 3:
		txs = [][]byte{w.tx(at, [][]byte{w.change(ledger.Suspend, ledger.CertificateHold)}, admins...), publish}
	case 4:
		txs = [][]byte{w.tx(at, [][]byte{w.change(ledger.Resume, ledger.RemoveFromCRL)}, admins...), w.tx(at, [][]byte{w.device(1), w.device(50 + height)}, line)}
	case 5: // expired: no leaf but the epoch's
		txs = [][]byte{w.tx(at.Add(-2*time.Hour), [][]byte{w.device(50 + height)}, line)}
	case 0:
		txs = [][]byte{w.tx(at, [][]byte{w.device(50 + height), w.device(60 + height)}, line), publish}
	}
	w.last = publish
	b, _, err := w.h.c.Block(on, at, 1+uint64(height/5), txs...)
	return b, err
}

// again adds what has no effect behind a height: the same once more, or another block of that height, of a leader that
// was replaced.
func (w *writer) again(height int) error {
	h := w.h
	switch height % 4 {
	case 1:
		h.sequence = append(h.sequence, h.sequence[h.at[height]])
	case 3:
		on := h.channel[height-1]
		at := on.Time.Time().Add(3 * time.Second)
		b, _, err := h.c.Block(on, at, on.View+1, w.tx(at, [][]byte{w.device(80 + height)}, "acme-cells/line"))
		if err != nil {
			return err
		}
		h.sequence = append(h.sequence, b, h.sequence[h.at[height-1]])
	}
	return nil
}

func (w *writer) executed(x *state.Executed) {
	w.leafless += len(x.Refused)
	if x.State.Channel().Height == 0 {
		return
	}
	for _, l := range x.Leaves {
		e, err := ledger.ParseEntry(l)
		if err != nil || e.Op == nil {
			continue
		}
		if _, args, err := ledger.ParseBody(e.Op.Body); err == nil {
			if _, ok := args.(*ledger.StatusChange); ok {
				w.changes++
			}
		}
	}
	for _, r := range x.Results {
		for _, v := range r.Verdicts {
			w.codes[v.Code]++
			if v.Code == reason.Accepted {
				w.leaf = append(w.leaf, v.Leaf)
			}
		}
	}
}

// complete demands that the history has everything in it that a history can have.
func (w *writer) complete() error {
	if w.codes[reason.Accepted] < historyLength-4 || len(w.codes) < 3 || w.changes < 4 || w.leafless < 4 {
		return fmt.Errorf("a poor history: verdicts %v, %d status changes, %d without a leaf", w.codes, w.changes, w.leafless)
	}
	return nil
}

// facts remembers what was examined and which signatures are valid, for all members of all schedules: a fact depends on
// the bytes alone.
type facts struct {
	valid, examined sync.Map
	rules           policies.Engine
}

func (f *facts) check(key [32]byte, check func() bool) bool {
	if _, ok := f.valid.Load(key); ok {
		return true
	}
	ok := check()
	if ok {
		f.valid.Store(key, nil)
	}
	return ok
}

// Operation implements state.Facts.
func (f *facts) Operation(digest ledger.Hash, body []byte) *state.Examined {
	if x, ok := f.examined.Load(digest); ok {
		return x.(*state.Examined)
	}
	x, _ := f.examined.LoadOrStore(digest, state.Examine(body))
	return x.(*state.Examined)
}

// Rule implements state.Facts.
func (f *facts) Rule(digest ledger.Hash, text string) (ledger.Rule, error) {
	return f.rules.Compile(digest, text)
}

// Transaction implements state.Facts.
func (f *facts) Transaction(spki []byte, s ledger.Signature) bool {
	key := sha256.Sum256(fmt.Appendf(nil, "%d %x %x %x", s.Alg, sha256.Sum256(spki), sha256.Sum256(s.ToBeSigned), s.Bytes))
	return f.check(key, func() bool { return state.Direct{}.Transaction(spki, s) })
}
