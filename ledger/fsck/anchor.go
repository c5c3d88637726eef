package fsck

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/commit"
	"github.com/quorate-pki/quorate/ledger/cosign"
	"github.com/quorate-pki/quorate/ledger/layout"
	"github.com/quorate-pki/quorate/ledger/tlog"
)

const checkpointName = "log/0/" + layout.Checkpoint

// anchor finds the size and root that the log must have: what a quorum cosigned, as the index remembers it, else as
// the checkpoint file has it.
func (c *checker) anchor() {
	f := c.final
	var v *tlog.Verified
	var err error
	if f != nil && len(f.Checkpoint) > 0 && len(c.policies) > 0 {
		v, err = c.verify(f.Checkpoint)
	}
	catching := v != nil && f.Size < v.Size
	c.checkCheckpoint(catching)
	if v != nil || err != nil {
		if catching {
			c.note(layout.Index, "is at size %d of %d: the node was stopped while it caught up, and goes on at the next start", f.Size, v.Size)
			c.want = anchor{f.Size, f.Root, "the final record in the index", true}
			return
		}
		if err == nil {
			c.want = anchor{v.Size, v.Root, "the cosigned checkpoint in the index", true}
			return
		}
		c.differs(layout.Index, "final record: its checkpoint does not verify: %v", err)
	}
	switch {
	case f != nil && len(f.Checkpoint) == 0 && f.Height == 0 && c.genesis != nil:
		var t tlog.Frontier
		for _, raw := range c.genesis {
			t.Append(tlog.LeafHash(raw))
		}
		c.want = anchor{t.Size(), t.Root(), "the genesis block", true}
	case c.file != nil:
		c.want = anchor{c.file.Size, c.file.Root, "the cosigned checkpoint file", true}
	case f != nil:
		c.want = anchor{f.Size, f.Root, "the final record in the index", false}
	default:
		c.want = anchor{size: c.readable()}
		c.note(layout.Log(0), "neither checkpoint nor index says how far the log goes; it is checked as far as it can be read")
	}
}

// verify demands what the policy demands, and that nobody else signed: a line by an unknown key is one that a flipped
// bit made unknown.
func (c *checker) verify(note []byte) (*tlog.Verified, error) {
	var v *tlog.Verified
	var err error
	for _, p := range slices.Backward(c.policies) { // what is the newest set's is most likely; which must have been it, the log shows
		if v, err = p.Verify(note); err == nil {
			break
		}
	}
	if err != nil {
		return nil, err
	}
	_, sigs, err := tlog.ParseNote(note)
	if err != nil {
		return nil, err
	}
	for _, s := range sigs {
		known := false
		for _, p := range c.policies {
			for _, l := range p.Logs {
				known = known || l.Key.Name == s.Name && l.Key.ID() == s.ID
			}
		}
		for _, w := range c.witnesses() {
			known = known || w.Key.Name == s.Name && w.Key.ID() == s.ID
		}
		if !known {
			return nil, fmt.Errorf("a signature by %q (%08x), who is no member", s.Name, s.ID)
		}
	}
	return v, nil
}

// checkCheckpoint verifies the checkpoint file by itself.
func (c *checker) checkCheckpoint(catching bool) {
	if _, ok := c.files[checkpointName]; !ok {
		switch {
		case c.final != nil && len(c.final.Checkpoint) == 0: // before the first start
		case c.final != nil && (c.final.Height == 0 || catching || c.rejoins()):
			c.note(checkpointName, "is missing; the next start writes it")
		default:
			c.differs(checkpointName, "is missing")
		}
		return
	}
	raw, ok := c.read(checkpointName, tlog.MaxNote)
	if !ok || len(c.policies) == 0 {
		return
	}
	v, err := c.verify(raw)
	if err != nil {
		c.differs(checkpointName, "does not verify: %v", err)
		return
	}
	c.file = v
}

// rejoins says that the directory was made for a member that lost its own, and has not signed since.
func (c *checker) rejoins() bool {
	_, ok := c.files[layout.Rejoin]
	return ok
}

// checkLog reads the whole log: trees, chain, state.
func (c *checker) checkLog() {
	c.tree = &tree{c: c, size: c.want.size, roots: map[uint64]ledger.Hash{}}
	if c.file != nil {
		c.tree.roots[c.file.Size] = ledger.Hash{}
	}
	if c.memory != nil {
		c.tree.roots[c.memory.Size] = ledger.Hash{}
	}
	c.chain = newChain(c)
	c.tree.leaf = c.chain.leaf
	c.tree.run()
	sound := c.want.by == "" || c.tree.judge(c.want)
	c.chain.end()
	if sound {
		c.findings = append(c.findings, c.chain.findings...)
	} // else they follow from what is named already: these leaves are not the log's
	c.folded = sound && c.want.by != "" && !c.chain.stopped && c.chain.st.Size() == c.want.size
	ch := c.chain.st.Channel()
	c.sum.Height, c.sum.Size, c.sum.Certificates = ch.Height, c.chain.st.Size(), c.chain.certificates
	if c.chain.st.Size() > 0 {
		c.sum.Root = c.chain.st.Root()
	}
	c.comparePublished()
}

// comparePublished holds the checkpoint file against the log and the index.
func (c *checker) comparePublished() {
	if c.file == nil || c.final == nil {
		return
	}
	size := c.want.size
	switch {
	case c.file.Size > size || len(c.final.Checkpoint) == 0:
		// The file is written after the batch is durable, so no crash explains this.
		c.differs(c.index.newestLog(), "the index ends at size %d, before the published checkpoint of size %d: its last records are lost",
			c.final.Size, c.file.Size)
	case c.file.Size == size && c.file.Root != c.want.root:
		c.differs(checkpointName, "has another root than %s", c.want.by)
	case c.file.Size < size:
		root, ok := c.tree.roots[c.file.Size]
		if ok && !c.tree.lost && root != c.file.Root {
			c.differs(checkpointName, "the log has another root at its size %d", c.file.Size)
			return
		}
		c.note(checkpointName, "is of size %d, the index of size %d, as a crash leaves it; the next start puts it right", c.file.Size, size)
	}
}

// checkFinal compares the final record with the log.
func (c *checker) checkFinal() {
	f := c.final
	if f == nil {
		return
	}
	differ := func(field string, got, want any) {
		if got != want {
			c.differs(layout.Index, "final record: %s is %v, the log has %v", field, got, want)
		}
	}
	hex := func(h ledger.Hash) string { return fmt.Sprintf("%x", h) }
	if c.want.known {
		differ("size", f.Size, c.want.size)
		differ("root", hex(f.Root), hex(c.want.root))
	}
	if !c.several() {
		// The local orderer numbers blocks as the ledger does.
		differ("orderer index", f.Index, f.Height)
	}
	if !c.folded {
		return
	}
	ch := c.chain.st.Channel()
	differ("height", f.Height, ch.Height)
	differ("view", f.View, ch.View)
	differ("header", hex(f.Header), hex(ch.Header))
	if f.Height > 0 && len(f.Checkpoint) == 0 {
		c.differs(layout.Index, "final record: it has no checkpoint at height %d", f.Height)
	}
}

// checkMemory reads the signer memory and verifies the signature in it.
func (c *checker) checkMemory() {
	if _, ok := c.files[layout.Signer]; !ok {
		if c.rejoins() {
			return
		}
		if c.final == nil || len(c.final.Checkpoint) > 0 || c.file != nil {
			c.differs(layout.Signer, "is missing")
		}
		return
	}
	raw, ok := c.read(layout.Signer, 1<<16)
	if !ok || len(c.policies) == 0 {
		return
	}
	var err error
	for _, w := range slices.Backward(c.witnesses()) {
		if w.Name != c.cfg.Member {
			continue
		}
		var m *commit.Signed
		if m, err = cosign.Parse(raw, c.channel, c.policies[0].Origin, w.Key); err == nil {
			c.memory = m
			return
		}
	}
	if err != nil {
		c.differs(layout.Signer, "is not sound: %v", err)
		return
	}
	c.differs(layout.Signer, "%q is no member of this channel", c.cfg.Member)
}

// checkEvidence reads a cosignature that was kept because it contradicts this log. A sound one is a note: it accuses its
// signer, or this node, and is for people to judge.
func (c *checker) checkEvidence(name string) {
	if strings.HasSuffix(name, layout.Temporary) {
		c.note(name, "is left over from a crash")
		return
	}
	raw, ok := c.read(name, 1<<16)
	if !ok || len(c.policies) == 0 {
		return
	}
	cp, sigs, err := tlog.ParseNote(raw)
	if err == nil && len(sigs) == 1 && cp.Origin == c.policies[0].Origin {
		for _, w := range c.witnesses() {
			if _, ok := tlog.VerifyCosignature(cp, w.Key, sigs[0]); ok {
				c.note(name, "is evidence that %s cosigned root %x at size %d", w.Name, cp.Root, cp.Size)
				return
			}
		}
	}
	c.differs(name, "is no member's cosignature on this log (%v)", err)
}

// compareMemory holds what was signed last against the log, or, where it is ahead, against the orderer's blocks.
func (c *checker) compareMemory() {
	m := c.memory
	if m == nil {
		return
	}
	if m.Log != 0 {
		c.differs(layout.Signer, "is of log %d", m.Log)
	}
	if m.Size > c.want.size && c.several() {
		c.note(layout.Signer, "is of height %d, which the index has not, as a crash leaves it; the orderer delivers it again", m.Height)
		return
	}
	if m.Size > c.want.size {
		if hash, ok := c.ordered[m.Height]; !ok || hash != m.Header {
			c.differs(layout.Signer, "height %d with header %x was signed and is neither in the log nor in the orderer's segments", m.Height, m.Header)
			return
		}
		c.note(layout.Signer, "is of height %d, which the index has not, as a crash leaves it; the orderer delivers it again", m.Height)
		return
	}
	if !c.folded {
		return
	}
	if root := c.tree.roots[m.Size]; root != m.Root {
		c.differs(layout.Signer, "another root was signed at size %d than the log has", m.Size)
	}
	if b, ok := c.chain.bySize[m.Size]; !ok || b.height != m.Height || b.header != m.Header {
		c.differs(layout.Signer, "height %d with header %x was signed at size %d; the log has height %d with header %x there",
			m.Height, m.Header, m.Size, b.height, b.header)
	}
}

func (i *index) newestLog() string {
	if i == nil || i.newest == "" {
		return layout.Index
	}
	return path.Join(layout.Index, i.newest)
}
