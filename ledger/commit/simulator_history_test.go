package commit_test

import (
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"slices"
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
	n         int                           // members, those to come and those gone included
	origin    string                        // of the log
	now       []*tlog.Policy                // by height: of the set that makes it final
	next      []*tlog.Policy                // by height: of the set in force after it
	height    map[uint64]int                // by size
	changes   int                           // of the set
	vkeys     [][]tlog.VKey                 // by member: its cosigning keys
	keys      map[string]ed25519.PrivateKey // by vkey
	names     []string                      // of cosigners
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
	id   uint32 // of the key
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
	4: sync.OnceValues(func() (*history, error) { return newHistory(4, nil) }),
	7: sync.OnceValues(func() (*history, error) { return newHistory(7, nil) }),
}

// changing are histories of which each changes its members in its own way.
var changing = func() (out []func() (*history, error)) {
	for i := range 12 {
		out = append(out, sync.OnceValues(func() (*history, error) {
			return newHistory(5+i%2, rand.New(rand.NewPCG(uint64(i), 7)))
		}))
	}
	return out
}()

// newHistory makes a history of n members, of whom the last two come later when members is not nil, and says by what chance.
func newHistory(n int, members *rand.Rand) (*history, error) {
	h := &history{n: n, facts: &facts{}, roots: map[uint64]ledger.Hash{}, effective: map[*ledger.Parsed]bool{}, made: map[string]statement{},
		height: map[uint64]int{}, keys: map[string]ed25519.PrivateKey{}, vkeys: make([][]tlog.VKey, n)}
	if h.c = ledgertest.Found(uint64(100+n), n); members != nil {
		h.n += 2
		h.vkeys = make([][]tlog.VKey, h.n)
		h.c = ledgertest.FoundGoverned(uint64(200+n), n, 2)
	}
	h.origin = h.c.Set.Origin(0)
	for i := range h.n {
		h.names = append(h.names, h.c.Set.CosignerName(name(i)))
	}
	b, err := ledger.ParseBlock(h.c.Genesis)
	if err != nil {
		return nil, err
	}
	executed, folded := &ledgertest.MemStore{}, &ledgertest.MemStore{}
	head, fold := state.Empty(executed), state.Empty(folded)
	var leaves tlog.Frontier
	w := &writer{h: h, codes: map[reason.Code]int{}, members: members}
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
		if err := h.add(b, head, folded, leaves); err != nil {
			return nil, err
		}
		w.executed(x)
		if height == historyLength {
			return h, w.complete()
		}
		if height > 0 {
			if err := w.again(height); err != nil {
				return nil, err
			}
		}
		if b, err = w.block(head); err != nil {
			return nil, err
		}
	}
}

// add notes a height that took effect.
func (h *history) add(b *ledger.Block, s *state.State, store *ledgertest.MemStore, leaves tlog.Frontier) error {
	c := s.Channel()
	now, err := s.Electors()
	if err != nil {
		return err
	}
	after, err := s.Members()
	if err != nil {
		return err
	}
	cp := tlog.Checkpoint{Origin: h.origin, Size: s.Size(), Root: s.Root()}
	h.at, h.sequence = append(h.at, len(h.sequence)), append(h.sequence, b)
	h.channel, h.cps = append(h.channel, c), append(h.cps, cp)
	h.roots[cp.Size], h.height[cp.Size] = cp.Root, int(c.Height)
	h.effective[b.Txs[0]] = true
	h.now, h.next = append(h.now, now.Policy(0)), append(h.next, after.Policy(0))
	if now != after {
		h.changes++
	}
	h.know(after)
	disks := make([]disk, h.n)
	var all []tlog.Signature
	seconds := uint64(c.Time / 1000)
	for i := range disks {
		disks[i] = disk{leaves: leaves, height: c.Height}
		if c.Height > 1 {
			disks[i].memory = h.disks[c.Height-1][i].memory
		}
		for _, v := range h.now[c.Height].Witnesses {
			if v.Name != name(i) {
				continue
			}
			sig := tlog.Cosign(cp, h.names[i], seconds, h.keys[v.Key.String()])
			all = append(all, sig)
			h.made[string(sig.Bytes)] = statement{cp, sig.Name, sig.ID}
			disks[i].memory = &commit.Signed{Signature: sig,
				Statement: commit.Statement{Log: c.Log, Height: c.Height, Size: cp.Size, Root: cp.Root, Header: c.Header, Time: seconds}}
		}
	}
	store = store.Clone()
	for i := range disks {
		disks[i].store, disks[i].cosigners = store, all[:now.Quorum]
		if c.Height == 0 {
			disks[i].cosigners, disks[i].memory = nil, nil // as after founding
		}
	}
	h.disks = append(h.disks, disks)
	return nil
}

// know notes the cosigning keys of a set.
func (h *history) know(m *ledger.MemberSet) {
	for _, w := range m.Policy(0).Witnesses {
		if h.keys[w.Key.String()] != nil {
			continue
		}
		i := int(w.Name[len("ca-")] - 'a')
		h.vkeys[i] = append(h.vkeys[i], w.Key)
		for g := 1; g < 20; g++ {
			k := h.c.Key(ledgertest.KeyName(w.Name, ledger.KeyCosigning, g))
			if w.Key.Public.Equal(k.Public()) {
				h.keys[w.Key.String()] = k
			}
		}
	}
}

// handover reports whether the set changes with a height.
func (h *history) handover(height int) bool { return !h.now[height].Same(h.next[height]) }

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
	members  *rand.Rand // nil: they stay
	rotated  int
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

func (w *writer) block(head *state.State) (*ledger.Block, error) {
	on := head.Channel()
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
	if w.members != nil && w.members.IntN(3) == 0 {
		change, err := w.newMembers(head, at)
		if err != nil {
			return nil, err
		}
		txs = append(change, txs...) // first: a vote names the leaf of its proposal
	}
	w.last = publish
	b, _, err := w.h.c.Block(on, at, 1+uint64(height/5), txs...)
	return b, err
}

// newMembers changes the set by one step: somebody comes, goes, takes another's place or gets a new cosigning key. There are at least four.
func (w *writer) newMembers(head *state.State, at time.Time) ([][]byte, error) {
	m, err := head.Members()
	if err != nil {
		return nil, err
	}
	c, out := w.h.c, m.Members[w.members.IntN(len(m.Members))].Name
	join := ""
	for i := range w.h.n {
		was := slices.ContainsFunc(w.h.next, func(p *tlog.Policy) bool {
			return slices.ContainsFunc(p.Witnesses, func(x tlog.PolicyWitness) bool { return x.Name == name(i) })
		})
		if !was && join == "" {
			join = name(i)
		}
	}
	var edit func(*ledger.MemberSet)
	switch r := w.members.IntN(4); {
	case r == 0 && join != "":
		edit = c.Joins(join)
	case r == 1 && join != "":
		edit = func(m *ledger.MemberSet) { c.Joins(join)(m); ledgertest.Leaves(out)(m) }
	case r == 2 && len(m.Members) > 4:
		edit = ledgertest.Leaves(out)
	default:
		w.rotated++
		edit = c.Rotates(out, 1+w.rotated, ledger.KeyCosigning)
	}
	return c.ChangeMembers(m, c.After(m, edit), at, uint64(1_000+2*on(head)), head.Size()), nil
}

func on(s *state.State) int { return int(s.Channel().Height) }

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
			if v.Code == reason.Accepted && w.publication(x, v.Leaf) {
				w.leaf = append(w.leaf, v.Leaf)
			}
		}
	}
}

// publication reports whether a leaf of a block is one.
func (w *writer) publication(x *state.Executed, leaf uint64) bool {
	e, err := ledger.ParseEntry(x.Leaves[leaf-(x.State.Size()-uint64(len(x.Leaves)))])
	return err == nil && e.Op != nil && e.Op.Effects.Device != nil
}

// complete demands that the history has everything in it that a history can have.
func (w *writer) complete() error {
	if w.members != nil && w.h.changes < 2 {
		return fmt.Errorf("the members change %d times", w.h.changes)
	}
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
