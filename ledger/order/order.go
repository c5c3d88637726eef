// Package order fixes one sequence of blocks for one channel, behind one interface, and holds the engines. It is
// the only importer of a consensus library.
//
// An engine neither executes nor cosigns; terms, node numbers and its configuration never leave it, the header's
// view apart. It must never deliver two blocks for one height of one view, nor skip one it delivered before a
// crash and after which App.Last has not moved.
package order

import (
	"context"
	"errors"

	"github.com/quorate-pki/quorate/ledger"
)

// What Submit's caller must do.
var (
	// ErrBusy: the pool is full; submit the same bytes again after a pause.
	ErrBusy = errors.New("the orderer's pool is full")
	// ErrTooLarge: the transaction fits in no block.
	ErrTooLarge = errors.New("the transaction fits in no block")
	// ErrStopped: the engine takes nothing any more.
	ErrStopped = errors.New("the orderer is stopped")
)

// Orderer fixes ONE sequence of blocks for one channel. Safe for concurrent use.
type Orderer interface {
	// Start resumes after app.Last() and returns once blocks may be delivered.
	Start(ctx context.Context, app App) error
	// Submit takes an already checked transaction. Nil means taken, NOT ordered, and a crash may lose it:
	// resubmit until seen or expired; execution removes duplicates.
	Submit(ctx context.Context, tx []byte) error
	Status() Status
	// Close returns when no App call runs any more.
	Close() error
}

// Status says what runs and how it is.
type Status struct {
	Engine    string `json:"engine"`
	Tolerates string `json:"tolerates"` // crash or byzantine faults, and of how many
	Leader    string `json:"leader"`    // a hint
	Height    uint64 `json:"height"`
	View      uint64 `json:"view"`
	PoolBytes int    `json:"pool_bytes"`
	Healthy   bool   `json:"healthy"`
	Trouble   string `json:"trouble,omitempty"`
}

// Ref names a block.
type Ref struct {
	Height uint64
	Hash   [32]byte
	View   uint64
}

// Ordered is a block at its place. Proof (votes) stands beside the block and differs per node.
type Ordered struct {
	Ref
	Index uint64
	Block []byte
	Proof []byte
}

// Members is the set of members in force from the next height.
type Members struct{ Set *ledger.MemberSet }

// ErrNothing is Assemble's answer when no transaction is left to propose.
var ErrNothing = errors.New("no transaction left to propose")

// ErrNoEffect is Deliver's answer for a block that changed nothing, the same at every member: the engine goes on, and
// the next block builds on the one before it.
var ErrNoEffect = errors.New("the block had no effect")

// App is what an engine orders blocks for. One call of Deliver runs at a time, and one of Fetch; all others may run beside them.
type App interface {
	// Last is the newest block that is final and durable.
	Last() Ordered
	// Assemble builds and signs the block after prev (leader only) and drops what is applied already. It waits
	// while too many blocks are not final. ErrNothing: there is no block to make.
	Assemble(ctx context.Context, prev Ref, view uint64, txs [][]byte) ([]byte, Ref, error)
	// Fit says why this node should not lead, though it may take part: it is at one thing for too long, its clock is
	// not the others', it has diverged. Nil when it may. It answers when ctx ends.
	Fit(ctx context.Context) error
	// Validate checks a block before this node stores or votes for it; it is no verdict on results.
	Validate(ctx context.Context, view uint64, block []byte) error
	// Deliver takes the next block, in order. It never waits for finality. An error but ErrNoEffect is fatal: the
	// engine stops. A block that does not decode has no effect: the engine has read its header only.
	Deliver(ctx context.Context, o Ordered) (Members, error)
	// Fetch is how an engine says that it is behind: catch up by tiles to at least this height, and say what Last is
	// then. It asks again until it has succeeded or ctx ends.
	Fetch(ctx context.Context, atLeast uint64) (Ordered, error)
}
