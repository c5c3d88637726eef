package main

import (
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/node"
	"github.com/quorate-pki/quorate/ledger/peer"
)

// channel is one channel that a member takes part in: the consortium's first, or a further one.
type channel struct {
	name    string
	id      ledger.Hash
	genesis []byte
	set     *ledger.MemberSet
	tag     ledger.Hash // of its peers' protocols; zero: the first channel
	data    string      // its node's directory
	listen  string      // host:port for its users; "": where the first channel's are

	mu      sync.Mutex     // guards what follows
	node    *node.Node     // nil while it does not run
	row     *ledger.Member // this member's, in the set that was in force when it began to
	trouble string         // why it does not
}

// newChannelOf judges a genesis block and returns the channel that it starts.
func newChannelOf(genesis []byte) (*channel, error) {
	set, err := genesisMembers(genesis)
	if err != nil {
		return nil, err
	}
	b, err := ledger.ParseBlock(genesis)
	if err != nil {
		return nil, err
	}
	return &channel{name: set.Channel, id: b.Txs[0].ID, genesis: genesis, set: set}, nil
}

// main is the channel that creates this one, by its genesis; false: it is the first.
func (c *channel) main() (ledger.Hash, bool) {
	b, err := ledger.ParseBlock(c.genesis)
	if err != nil {
		return ledger.Hash{}, false
	}
	_, args, err := ledger.ParseBody(b.Txs[0].Bodies[0])
	if a, ok := args.(*ledger.Consortium); err == nil && ok && a.Main != nil {
		return *a.Main, true
	}
	return ledger.Hash{}, false
}

// running is the channel's node, or nil and why there is none.
func (c *channel) running() (*node.Node, string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.node, c.trouble
}

func (c *channel) runs(n *node.Node, row *ledger.Member) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.node, c.row, c.trouble = n, row, ""
}

// inForce is this member's row in the channel's member set, once the channel runs.
func (c *channel) inForce() *ledger.Member {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.row
}

// waits notes why the channel does not run, and reports whether that is news.
func (c *channel) waits(why string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	news := c.trouble != why
	c.trouble = why
	return news
}

// health is the node's, or why there is none.
func (c *channel) health(ctx context.Context) (node.Health, error) {
	n, trouble := c.running()
	if n == nil {
		return node.Health{Channel: c.name, Origin: c.set.Origin(0), Trouble: trouble}, nil
	}
	return n.Health(ctx)
}

// startChannel boots a channel's node (recovery, peers, orderer) and returns once a quorum is there.
func (m *member) startChannel(ctx context.Context, c *channel, log *slog.Logger) (*node.Node, error) {
	nc := node.Config{FS: vfs.Default, Dir: c.data, Genesis: c.genesis, Member: m.name, Now: time.Now, Log: log,
		LogKey: m.cfg.keys.log, CosigningKey: m.cfg.keys.cosigning, BlockKey: m.cfg.keys.block,
		More: []node.MemberKeys{{Log: m.cfg.keys.more.log, Cosigning: m.cfg.keys.more.cosigning, Block: m.cfg.keys.more.block}}}
	if m.port != nil {
		var more []crypto.Signer
		if m.cfg.keys.more.tls != nil {
			more = append(more, m.cfg.keys.more.tls)
		}
		var err error
		nc.Network, err = peer.New(peer.Config{Members: c.set, Earlier: true, Self: m.name, Key: m.cfg.keys.tls, More: more, Addresses: m.cfg.addresses, Now: time.Now,
			Log: log, Port: m.port, Tag: c.tag})
		if err != nil {
			return nil, err
		}
	}
	n, err := node.Open(ctx, nc)
	if err != nil {
		return nil, err
	}
	if err := n.Ready(ctx); err != nil {
		return nil, errors.Join(err, n.Close())
	}
	return n, nil
}

// further is what a member does about the channels beyond its first: it runs each that an operator gave it the genesis block of,
// also one that is given while it runs.
type further struct {
	m     *member
	ready func(url string, c *channel) // told when one answers
	ctx   context.Context              // ends with stop
	stop  context.CancelFunc
	wg    sync.WaitGroup

	// Of the goroutine that looks; after it, of close.
	seen map[string]string   // names in the directory -> what was wrong with it
	of   map[string]*channel // those that run, or will
}

// lookAgain is how often the directory of further channels is looked at.
const lookAgain = time.Second

// attend looks after further channels until the member stops.
func (m *member) attend(ready func(url string, c *channel)) {
	f := &further{m: m, ready: ready, seen: map[string]string{}, of: map[string]*channel{}}
	f.ctx, f.stop = context.WithCancel(context.Background())
	m.further = f
	if m.cfg.channels == "" {
		return
	}
	f.wg.Go(func() {
		tick := time.NewTicker(lookAgain)
		defer tick.Stop()
		for {
			f.look()
			select {
			case <-tick.C:
			case <-f.ctx.Done():
				return
			}
		}
	})
}

// look starts what is new in the directory. What is wrong with it is said once.
func (f *further) look() {
	entries, err := os.ReadDir(f.m.cfg.channels)
	if errors.Is(err, os.ErrNotExist) {
		return
	}
	if err != nil {
		f.say("", err)
		return
	}
	for _, e := range entries {
		name := e.Name()
		if !e.IsDir() || !ledger.ValidName(name) || f.of[name] != nil {
			continue
		}
		c, err := readChannel(filepath.Join(f.m.cfg.channels, name), name, f.m.first, f.m.name)
		if err == nil {
			err = f.m.faces.expect(c)
		}
		if f.say(name, err); err != nil {
			continue
		}
		f.of[name] = c
		f.wg.Go(func() { f.run(c) })
	}
}

// say logs what is wrong with an entry of the directory, when it is news.
func (f *further) say(name string, err error) {
	why := ""
	if err != nil {
		why = err.Error()
	}
	if why != "" && f.seen[name] != why {
		f.m.cfg.log.Error("a channel is not run", "channel", name, "err", why)
	}
	f.seen[name] = why
}

// run takes part in a channel until the member stops.
func (f *further) run(c *channel) {
	log := f.m.cfg.log.With("channel", c.name)
	if err := f.created(c, log); err != nil {
		return // told to stop
	}
	c.waits("it waits for a quorum of its members")
	n, err := f.m.startChannel(f.ctx, c, log)
	var row *ledger.Member
	if err == nil {
		if row, err = rowInForce(f.ctx, n, f.m.name); err != nil {
			err = errors.Join(err, n.Close())
		}
	}
	if err == nil {
		c.runs(n, row)
		err = f.m.faces.show(c)
	}
	if err != nil {
		if f.ctx.Err() == nil {
			c.waits(explainOpen(err).Error())
			log.Error("a channel is not run", "err", explainOpen(err))
		}
		return
	}
	f.ready(f.m.faces.url(c), c)
	if err := n.Failure(f.ctx); err != nil {
		log.Error("a channel stands still until this node is started again", "err", err)
	}
}

// created waits until the first channel has created this one: nothing is signed, nor asked of peers, for a genesis that was not voted for.
func (f *further) created(c *channel, log *slog.Logger) error {
	for {
		changed := f.m.node.Changed()
		err := createdBy(f.ctx, f.m.node, c)
		if err == nil || f.ctx.Err() != nil {
			return err
		}
		if c.waits(err.Error()) {
			log.Warn("a channel is not run until the first channel has created it", "err", err)
		}
		select {
		case <-changed:
		case <-f.ctx.Done():
			return f.ctx.Err()
		}
	}
}

// createdBy demands that a channel is in force on the first channel, with this very genesis block and these members.
func createdBy(ctx context.Context, first ledger.Reader, c *channel) error {
	for rec, err := range first.Records(ctx, ledger.RecordFurther, c.id[:], nil) {
		if err != nil {
			return err
		}
		var f ledger.FurtherChannel
		if err := ledger.Decode(rec.Value, &f); err != nil {
			return err
		}
		switch numbers := memberNumbers(c.set); {
		case f.Name != c.name || f.ID != c.id || !slices.Equal(f.Members, numbers):
			return reason.New(reason.ChannelNotCreated, "%q of members %v, not %q of %v", f.Name, f.Members, c.name, numbers)
		case f.Genesis != c.tag:
			return reason.New(reason.ChannelNotCreated, "the genesis block of %q has SHA-256 %x, this one %x", f.Name, f.Genesis, c.tag)
		}
		return nil
	}
	return reason.New(reason.ChannelNotCreated, "%q, id %x", c.name, c.id)
}

func memberNumbers(set *ledger.MemberSet) (out []uint64) {
	for _, m := range set.Members {
		out = append(out, m.Number)
	}
	return out
}

// close ends all of them, side by side.
func (f *further) close() error {
	f.stop()
	f.wg.Wait()
	ended := make(chan error, len(f.of))
	for _, c := range f.of {
		n, _ := c.running()
		go func() {
			if n == nil {
				ended <- nil
				return
			}
			ended <- n.Close()
		}()
	}
	var errs []error
	for range f.of {
		errs = append(errs, <-ended)
	}
	return errors.Join(errs...)
}

// channelsName is where `quorate up` keeps the members' further channels, a directory for each member.
const channelsName = "channels"

// Names in the directory of a further channel.
const (
	channelData   = "data"
	channelConfig = "channel.json"
)

// channelSettings is the file channel.json of a further channel, which may be missing; docs/node.md is its manual.
type channelSettings struct {
	// Listen is host:port for the channel's users, and for nothing else. Default: where the node's own are. Danger: whoever
	// reaches it reads the channel, which members outside must not.
	Listen string `json:"listen,omitempty"`
}

func (s channelSettings) encode() []byte {
	data, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		panic(fmt.Errorf("encoding a string: %w", err))
	}
	return append(data, '\n')
}

// readChannel reads the directory of the further channel of this name and holds its genesis block against the first channel.
func readChannel(dir, name string, first *channel, self string) (*channel, error) {
	genesis, err := os.ReadFile(filepath.Join(dir, genesisName))
	if err != nil {
		return nil, err
	}
	c, err := newChannelOf(genesis)
	if err != nil {
		return nil, err
	}
	if c.data = filepath.Join(dir, channelData); c.name != name {
		return nil, fmt.Errorf("its genesis block is that of channel %q", c.name)
	}
	if err := within(c.set, first.set); err != nil {
		return nil, err
	}
	if main, ok := c.main(); !ok || main != first.id {
		return nil, fmt.Errorf("its genesis block names channel %x, not %x, as the one that creates it", main, first.id)
	}
	if !slices.Contains(memberNames(c.set), self) {
		return nil, fmt.Errorf("%s is none of its members %v", self, memberNames(c.set))
	}
	c.tag = ledger.Sum(c.genesis)
	var s channelSettings
	switch data, err := readSmall(filepath.Join(dir, channelConfig), maxNodeConfig); {
	case errors.Is(err, os.ErrNotExist):
	case err != nil:
		return nil, err
	default:
		if err := strictJSON(data, &s); err != nil {
			return nil, fmt.Errorf("%s: %w", channelConfig, err)
		}
		if s.Listen != "" {
			if err := checkAddress(s.Listen, 0); err != nil {
				return nil, fmt.Errorf("%s: listen: %w", channelConfig, err)
			}
		}
	}
	c.listen = s.Listen
	return c, nil
}

// within demands that a further channel is of the first one's consortium, under another name.
func within(set, first *ledger.MemberSet) error {
	if set.Consortium != first.Consortium {
		return fmt.Errorf("it is of consortium %q, not %q", set.Consortium, first.Consortium)
	}
	if set.Channel == first.Channel {
		return fmt.Errorf("%q is the first channel's name", set.Channel)
	}
	return nil
}
