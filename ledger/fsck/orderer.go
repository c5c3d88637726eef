package fsck

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"path"
	"slices"
	"strings"

	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/layout"
)

// The local orderer's segments are read here anew: records {u32 length, u32 CRC-32C of what follows, u64 view, block}
// in files <view>-<number>.blocks, in hexadecimal.
const (
	segmentForm   = "%016x-%08x.blocks"
	segmentHeader = 16
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checkOrderer reads every segment, and holds its blocks against the log.
func (c *checker) checkOrderer() {
	c.ordered = map[uint64]ledger.Hash{}
	if c.several() {
		c.checkRaft()
		return
	}
	var names []string
	for _, name := range slices.Sorted(mapKeys(c.files)) {
		base, ok := strings.CutPrefix(name, layout.Orderer+"/")
		if !ok {
			continue
		}
		var view, number uint64
		if _, err := fmt.Sscanf(base, segmentForm, &view, &number); err != nil || fmt.Sprintf(segmentForm, view, number) != base {
			c.differs(name, "is no file of the orderer's")
			continue
		}
		names = append(names, base)
	}
	for _, base := range names {
		c.segment(base)
	}
}

// several reports whether the consortium has more members than this one; its orderer is raft then.
func (c *checker) several() bool { return c.members != nil && len(c.members.Members) > 1 }

// checkRaft names files that raft does not keep. Its log and snapshots are not read: what is in them and not on the log is
// final nowhere, and what is on the log is checked there.
func (c *checker) checkRaft() {
	for _, name := range slices.Sorted(mapKeys(c.files)) {
		base, ok := strings.CutPrefix(name, layout.Orderer+"/")
		switch {
		case !ok || base == "raft.db" || strings.HasPrefix(base, "snapshots/"):
		case base == layout.Rejoin:
			c.note(name, "the member has lost its log and votes in no election until it has it again")
		default:
			c.differs(name, "is no file of the orderer's")
		}
	}
}

// segment checks one file. It may end in a record that a crash cut, but not in one that became final.
func (c *checker) segment(base string) {
	name := path.Join(layout.Orderer, base)
	data, ok := c.read(name, 1<<32)
	if !ok {
		return
	}
	var view, number uint64
	fmt.Sscanf(base, segmentForm, &view, &number)
	at, next := 0, uint64(0)
	for len(data) > at {
		raw, recordView, err := cutRecord(data[at:])
		if err != nil {
			c.torn(name, at, err, c.wasFinal(next, view, number))
			return
		}
		b, err := ledger.ParseBlock(raw)
		if err != nil {
			c.differs(name, "the block at byte %d: %v", at, err)
			return
		}
		c.orderedBlock(name, at, b, recordView, view)
		at += segmentHeader + len(raw)
		next = b.Header.Height + 1
	}
}

// wasFinal reports whether the record after the last that can be read was whole once: its block became final.
func (c *checker) wasFinal(next, view, number uint64) bool {
	if c.final == nil {
		return false
	}
	if next > 0 {
		return c.final.Height >= next
	}
	return c.final.View == view && number == 0
}

func (c *checker) torn(name string, at int, err error, final bool) {
	if !final {
		c.note(name, "the record at byte %d is cut (%v), as a crash leaves it", at, err)
		return
	}
	c.differs(name, "the record at byte %d is broken: %v", at, err)
}

func cutRecord(data []byte) (block []byte, view uint64, err error) {
	if len(data) < segmentHeader {
		return nil, 0, fmt.Errorf("%d bytes", len(data))
	}
	n, sum := uint64(binary.BigEndian.Uint32(data)), binary.BigEndian.Uint32(data[4:])
	if n > ledger.MaxBlock || uint64(len(data)) < segmentHeader+n {
		return nil, 0, fmt.Errorf("%d bytes of %d", len(data)-segmentHeader, n)
	}
	if crc32.Checksum(data[8:segmentHeader+n], castagnoli) != sum {
		return nil, 0, fmt.Errorf("the checksum is wrong")
	}
	return data[segmentHeader : segmentHeader+n], binary.BigEndian.Uint64(data[8:]), nil
}

// orderedBlock holds a block of a segment against the log and the other segments.
func (c *checker) orderedBlock(name string, at int, b *ledger.Block, recordView, segmentView uint64) {
	h := b.Header
	if recordView != h.View || h.View > segmentView {
		c.differs(name, "the block at byte %d is of view %d, recorded as %d in a segment of view %d", at, h.View, recordView, segmentView)
	}
	if c.members != nil {
		if !c.proposed(h, b) {
			c.differs(name, "the block at byte %d is not signed by a member's block key", at)
		}
	}
	if hash, ok := c.ordered[h.Height]; ok && hash != b.Hash {
		c.differs(name, "the block at byte %d is not the one that another record has at height %d", at, h.Height)
	}
	c.ordered[h.Height] = b.Hash
	if headers := c.chain.headers; c.folded && h.Height < uint64(len(headers)) {
		if headers[h.Height] != b.Hash {
			c.differs(name, "the block at byte %d is not the one that the log has at height %d", at, h.Height)
		}
	} else if previous, ok := c.ordered[h.Height-1]; ok && previous != h.Previous {
		c.differs(name, "the block at byte %d does not follow height %d", at, h.Height-1)
	}
}
