package commit_test

import (
	"github.com/quorate-pki/quorate/ledger/commit"
	"github.com/quorate-pki/quorate/ledger/state"
	"github.com/quorate-pki/quorate/ledger/tlog"
)

// catchUp takes over what a peer has final, as ledger/node does: leaves, folded onto what is final here, and a new machine, which
// gets again what the old one had executed above. The orderer goes on where it was.
func (m *simMember) catchUp() {
	w := m.w
	peer := w.any()
	if !m.up() || m.busy() || m.m.Divergence() != nil || peer.byzantine || peer.disk.height <= m.disk.height {
		return
	}
	w.log("%s catches up with %s, height %d", name(m.id), name(peer.id), peer.disk.height)
	w.stats["catches up"]++
	height, cosigners := peer.disk.height, peer.disk.cosigners
	st := m.m.Final()
	for h := m.disk.height + 1; h <= height; h++ {
		var err error
		if st, err = state.Fold(st, w.h.leaves[h]); err != nil {
			w.oracle.fail("%s folds height %d: %v", name(m.id), h, err)
			return
		}
		m.disk.store.Put(st.Writes())
		for _, l := range w.h.leaves[h] {
			m.disk.leaves.Append(tlog.LeafHash(l))
		}
		st.Detach()
	}
	m.disk.height, m.disk.cosigners = height, cosigners
	w.oracle.durable(m)
	if w.rng.IntN(8) == 0 {
		m.crash() // it is durable, and nobody was told
		return
	}
	above := m.m.Above(height)
	m.least = max(m.least, w.h.cps[height].Size)
	if len(above) > 0 {
		w.stats["catches up between what it executed"]++
	}
	machine, err := commit.New(commit.Config{Final: st, Cosigners: cosigners, Self: w.h.names[m.id], Keys: w.h.vkeys[m.id], Memory: m.m.Memory(),
		Least: m.least, Seen: m.m.Traces(), Facts: w.h.facts})
	if err != nil {
		w.oracle.fail("%s does not go on from height %d: %v", name(m.id), height, err)
		return
	}
	m.m = machine
	if w.bug != forgetAbove {
		for _, p := range above {
			m.step(commit.Deliver{Block: p.Block, Index: p.Index})
		}
	}
	m.step(commit.Tick{})
}

// wipe takes a member's directory from it, its keys apart.
func (m *simMember) wipe() {
	if m.byzantine || m.rolled {
		return
	}
	m.w.log("%s is wiped", name(m.id))
	m.w.stats["wiped"]++
	m.crash()
	m.disk = m.w.h.disks[0][m.id].clone()
	m.wiped, m.w.lost = true, true
	m.w.oracle.wiped(m)
}

// recall is what a wiped member knows of its own signatures, as ledger/node finds it out: from as many peers as make a
// quorum with itself. It signs nothing below what any of them has final. False while too few answer.
func (m *simMember) recall() (newest *commit.Signed, least uint64, ok bool) {
	w := m.w
	heard := 1
	for _, p := range w.members {
		if p == m || p.wiped || !p.up() && !p.byzantine {
			continue
		}
		if heard++; p.byzantine {
			continue // it says that it knows nothing
		}
		least = max(least, p.m.Final().Size())
		cp, sig, known := p.m.Trace(w.h.names[m.id])
		if !known || newest != nil && newest.Size >= cp.Size {
			continue
		}
		for _, v := range w.h.now[0].Witnesses {
			if at, ok := tlog.VerifyCosignature(cp, v.Key, sig); ok {
				newest = &commit.Signed{Signature: sig, Statement: commit.Statement{Size: cp.Size, Root: cp.Root, Time: at}}
			}
		}
	}
	if heard < w.h.now[0].Quorum {
		return nil, 0, false
	}
	w.oracle.recalled(m, newest, least)
	if w.bug == recallNothing {
		return nil, 0, true
	}
	return newest, least, true
}
