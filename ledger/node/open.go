package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path"

	"github.com/quorate-pki/quorate/internal/durable"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/commit"
	"github.com/quorate-pki/quorate/ledger/cosign"
	"github.com/quorate-pki/quorate/ledger/layout"
	"github.com/quorate-pki/quorate/ledger/order"
	"github.com/quorate-pki/quorate/ledger/peer"
	"github.com/quorate-pki/quorate/ledger/state"
	"github.com/quorate-pki/quorate/ledger/tlog"
)

// Init creates a node's directory at genesis. It refuses a directory that holds anything. A crash inside leaves a
// directory that Open refuses; whoever founds a member makes it in a place that a rename makes real.
func Init(cfg Config) error {
	if err := durable.MkdirAll(cfg.FS, path.Dir(cfg.Dir), cfg.Dir); err != nil {
		return err
	}
	names, err := cfg.FS.List(cfg.Dir)
	if err != nil || len(names) > 0 {
		return fmt.Errorf("initialising %s: it holds files already (%v)", cfg.Dir, err)
	}
	x, err := executeGenesis(cfg.Genesis)
	if err != nil {
		return fmt.Errorf("initialising a node: %w", err)
	}
	if cfg.Rejoin {
		// First of all: from here on no crash makes this a new member's directory.
		if err := durable.Replace(cfg.FS, path.Join(cfg.Dir, layout.Rejoin), nil); err != nil {
			return err
		}
		orderer := path.Join(cfg.Dir, layout.Orderer)
		if err := durable.MkdirAll(cfg.FS, cfg.Dir, orderer); err != nil {
			return err
		}
		if err := durable.Replace(cfg.FS, path.Join(orderer, layout.Rejoin), nil); err != nil {
			return err
		}
	}
	if err := durable.Replace(cfg.FS, path.Join(cfg.Dir, layout.Genesis), cfg.Genesis); err != nil {
		return err
	}
	t, err := openTileFiles(cfg.FS, cfg.Dir, path.Join(cfg.Dir, layout.Log(0)), 0)
	if err != nil {
		return err
	}
	if err := errors.Join(t.append(x.Leaves), t.close()); err != nil {
		return err
	}
	s, err := openStore(cfg.FS, cfg.Dir, cfg.Log)
	if err != nil {
		return err
	}
	f := &layout.Final{Version: layout.FinalVersion, Size: x.State.Size(), Root: x.State.Root(), Header: x.State.Channel().Header, Checkpoint: []byte{}}
	return errors.Join(s.commit([]*commit.Pending{{Executed: x}}, f), s.db.Close())
}

func executeGenesis(raw []byte) (*state.Executed, error) {
	b, err := ledger.ParseBlock(raw)
	if err != nil {
		return nil, fmt.Errorf("genesis: %w", err)
	}
	x, err := state.Execute(state.Empty(nothing{}), b, state.Direct{})
	if err != nil {
		return nil, fmt.Errorf("genesis: %w", err)
	}
	return x, nil
}

// nothing is the store before genesis.
type nothing struct{}

func (nothing) Get([]byte) ([]byte, error) { return nil, nil }

// openDirectory locks the directory and opens the index, the tiles and the state in it.
func (n *Node) openDirectory() (*state.State, *layout.Final, error) {
	x, err := executeGenesis(n.cfg.Genesis)
	if err != nil {
		return nil, nil, err
	}
	if ok, err := durable.Exists(n.cfg.FS, path.Join(n.cfg.Dir, layout.Genesis)); err != nil || !ok {
		return nil, nil, errors.Join(ErrNotInitialised, err)
	}
	if n.lock, err = n.cfg.FS.Lock(path.Join(n.cfg.Dir, layout.Lock)); err != nil {
		return nil, nil, fmt.Errorf("another process uses it: %w", err)
	}
	if n.store, err = openStore(n.cfg.FS, n.cfg.Dir, n.cfg.Log); err != nil {
		return nil, nil, err
	}
	f, err := n.store.final()
	if err != nil {
		return nil, nil, err
	}
	if f == nil {
		return nil, nil, ErrNotInitialised
	}
	st, err := n.openState(x.State.Channel().Channel, f)
	return st, f, err
}

func (n *Node) open(ctx context.Context) error {
	st, f, err := n.openDirectory()
	if err != nil {
		return err
	}
	if len(n.members().Members) > 1 && n.cfg.Network != nil {
		n.exchange = newExchange(n, n.cfg.Network.Client())
	}
	if err := n.openSigner(st, f); err != nil {
		return err
	}
	if n.exchange != nil && n.rejoins {
		n.learn(ctx)
	}
	if err := n.haveKeys(); err != nil {
		return err
	}
	remembered := n.signer.Last()
	memory := remembered
	if n.rejoins {
		if memory, err = n.recall(ctx); err != nil {
			return err
		}
	}
	if err := n.openMachine(st, f, memory); err != nil {
		return err
	}
	n.looping = true
	go n.loop()
	if err := n.openOrderer(); err != nil {
		return err
	}
	// Peers are served already, so that members that start together can ask one another; nothing is signed before this.
	if err := n.rolledBack(ctx, remembered); err != nil {
		return err
	}
	err = n.run(ctx, func() error {
		n.cleared = true
		n.machine.SignFrom(n.least)
		return n.step(commit.Tick{})
	})
	if err != nil {
		return err
	}
	n.levelUp(ctx)
	if n.exchange != nil {
		n.exchange.wg.Go(func() { n.await(n.running) })
	}
	return n.engine.Start(ctx, app{n})
}

// openOrderer makes the engine that the number of members asks for, and meets the peers. The engine is started later:
// it may find that it must catch up, and asks peers then.
func (n *Node) openOrderer() error {
	dir := path.Join(n.cfg.Dir, layout.Orderer)
	pool := order.PoolConfig{Classify: classify}
	failed := func(err error) { _ = n.fail(err) }
	if len(n.members().Members) == 1 {
		n.engine = order.NewLocal(order.LocalConfig{FS: n.cfg.FS, Dir: dir, Log: n.cfg.Log, Rotate: n.cfg.Segment, Pool: pool, Failed: failed})
		return nil
	}
	if n.cfg.Network == nil {
		return errors.New("a member among several needs a network")
	}
	if err := durable.MkdirAll(n.cfg.FS, n.cfg.Dir, dir); err != nil {
		return err
	}
	founders := n.stands.Load().known[0]
	n.raft = order.NewRaft(order.RaftConfig{Dir: dir, Self: n.cfg.Member, Members: memberNames(founders), Quorum: int(founders.Quorum),
		Now: n.engineMembers, Known: n.engineKnown, Listen: n.cfg.Network.Streams(peer.Raft),
		Dial: func(ctx context.Context, member string) (net.Conn, error) {
			return n.cfg.Network.Dial(ctx, peer.Raft, member)
		},
		Forward: n.exchange.forward, Pool: pool, Log: n.cfg.Log, Failed: failed, Rejoin: layout.Rejoin,
		Heartbeat: n.cfg.Heartbeat, Snapshot: n.cfg.Entries})
	n.engine = n.raft
	n.serving = n.cfg.Network.ServeHTTP(n.peerHandler())
	requests := n.cfg.Network.Streams(peer.Exchange)
	n.exchange.wg.Go(func() { _ = n.serving.Serve(requests) })
	n.exchange.wg.Go(func() {
		if err := n.cfg.Network.Serve(n.cfg.Listen); err != nil {
			_ = n.fail(fmt.Errorf("listening for peers: %w", err))
		}
	})
	n.exchange.start(n.running)
	return nil
}

// openState cuts the tiles to what the index committed to and loads the state.
func (n *Node) openState(channel ledger.Hash, f *layout.Final) (*state.State, error) {
	var err error
	if n.tiles, err = openTileFiles(n.cfg.FS, n.cfg.Dir, path.Join(n.cfg.Dir, layout.Log(0)), f.Size); err != nil {
		return nil, err
	}
	if n.tiles.tree.Root() != f.Root {
		return nil, fmt.Errorf("the tiles have another root than the index at size %d; run fsck", f.Size)
	}
	st, err := state.Load(n.store, n.tiles.tree.Frontier())
	if err != nil {
		return nil, err
	}
	if st.Channel().Channel != channel {
		return nil, errors.New("the directory belongs to another channel than the genesis block")
	}
	stands, err := standingOf(st, st)
	if err != nil {
		return nil, err
	}
	stands.met = stands.set
	n.stands.Store(stands)
	n.finalIndex = f.Index
	switch gone, err := n.removed(st); {
	case err != nil:
		return nil, err
	case gone && n.cfg.Network != nil:
		return nil, fmt.Errorf("%w by member set %d or before", ErrRemoved, stands.set.Number)
	case n.cfg.Network == nil:
		return st, nil
	}
	if err := n.cfg.Network.Follow(stands.set, stands.before); err != nil {
		// Who rejoins may have destroyed the keys of the first set long since, and learns which one it is in.
		if rejoins, no := durable.Exists(n.cfg.FS, path.Join(n.cfg.Dir, layout.Rejoin)); no != nil || !rejoins {
			return nil, fmt.Errorf("%w: %w", ErrKeys, errors.Join(err, no))
		}
	}
	return st, nil
}

// openSigner opens the signer memory and holds it against the log.
func (n *Node) openSigner(st *state.State, f *layout.Final) error {
	ch := st.Channel()
	var err error
	if n.rejoins, err = durable.Exists(n.cfg.FS, path.Join(n.cfg.Dir, layout.Rejoin)); err != nil {
		return err
	}
	// Before the first checkpoint this key has signed nothing: the memory is durable before a signature leaves. A member
	// that rejoins is told by its peers what it signed. Who is no member yet has signed nothing.
	n.signer, err = cosign.Open(cosign.Config{FS: n.cfg.FS, Path: path.Join(n.cfg.Dir, layout.Signer), Keys: n.keysFor(ledger.KeyCosigning),
		Name: n.members().CosignerName(n.cfg.Member), Origin: n.stands.Load().origin, Channel: ch.Channel, Inception: len(f.Checkpoint) == 0 || n.rejoins || n.members().ByName(n.cfg.Member) == nil})
	if err != nil {
		return err
	}
	if m := n.signer.Last(); m != nil && m.Size < f.Size {
		root, err := tlog.TreeRoot(n.tiles, m.Size)
		if err != nil {
			return err
		}
		if root != m.Root {
			return fmt.Errorf("this member signed another root at size %d than its log has: diverged", m.Size)
		}
	}
	return nil
}

func (n *Node) openMachine(st *state.State, f *layout.Final, memory *commit.Signed) error {
	var cosigners []tlog.Signature
	reached := false // the tree that the checkpoint is of; before genesis' checkpoint, and while catching up, it is not
	if len(f.Checkpoint) > 0 {
		cp, _, err := tlog.ParseNote(f.Checkpoint)
		if err != nil {
			return fmt.Errorf("the stored checkpoint: %w", err)
		}
		if reached = cp.Size == f.Size; reached { // else whoever made it final is not known yet
			if _, err := verified(f.Checkpoint, st); err != nil {
				return fmt.Errorf("the stored checkpoint: %w", err)
			}
		}
		if cp.Size < f.Size || reached && cp.Root != f.Root {
			return errors.New("the stored checkpoint is of another tree")
		}
		_, sigs, err := tlog.ParseNote(f.Checkpoint)
		if err != nil {
			return err
		}
		for _, s := range sigs {
			if s.Name != n.stands.Load().origin && reached {
				cosigners = append(cosigners, s)
			}
		}
	}
	var seen commit.Traces
	if n.machine != nil {
		seen = n.machine.Traces()
	}
	machine, err := commit.New(commit.Config{Final: st, Cosigners: cosigners, Keys: n.signer.VKeys(),
		Self: n.members().CosignerName(n.cfg.Member), Memory: memory, Resign: ledger.Millis(n.cfg.Resign.Milliseconds()),
		Facts: n.facts, Least: n.least, Seen: seen})
	if err != nil {
		return err
	}
	n.machine = machine
	if err := n.restand(); err != nil {
		return err
	}
	n.setFinal(st)
	if !reached {
		return nil // published with the next quorum
	}
	return n.publish(f.Checkpoint, st)
}
