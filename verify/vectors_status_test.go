package verify_test

import (
	"bytes"
	"fmt"
	"maps"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/ledgertest"
	"github.com/quorate-pki/quorate/ledger/tlog"
)

// statuses spoils epochs and chunks.
func (s *suite) statuses() {
	w := s.four
	leaf, end := w.leafOf["ACME-A"], w.size()-1
	entry, err := ledger.ParseEntry(w.leaves[end])
	if err != nil {
		panic(err)
	}
	real := *entry.Epoch
	epoch := func(change func(*ledger.Epoch)) []byte {
		e := real
		change(&e)
		return e.Encode()
	}
	s.epoch("epoch: the only leaf of its block", "good", epoch(func(e *ledger.Epoch) { e.First = end }))
	s.epoch("epoch: begins at leaf 0", "good", epoch(func(e *ledger.Epoch) { e.First = 0 }))
	s.epoch("epoch: another rule version and member set", "good", epoch(func(e *ledger.Epoch) { e.Rules, e.MemberSet = 9, ledger.Hash{} }))
	s.epoch("epoch: with the reserved key", "good", epoch(func(e *ledger.Epoch) { e.Keys = &ledger.Hash{} }))
	s.epoch("epoch: a header that is none", "good", epoch(func(e *ledger.Epoch) { e.Header = ledger.SignedHeader{Header: []byte{}, Signature: []byte{1}} }))
	s.epoch("epoch: 256 transactions without a leaf", "good", epoch(func(e *ledger.Epoch) { e.Leafless = make([]ledger.Leafless, 256) }))
	s.epoch("epoch: begins after itself", "epoch-mismatch", epoch(func(e *ledger.Epoch) { e.First = end + 1 }))
	s.epoch("epoch: begins at 2^64-1", "epoch-mismatch", epoch(func(e *ledger.Epoch) { e.First = math.MaxUint64 }))
	const none = "not-an-epoch"
	s.epoch("epoch: 257 transactions without a leaf", none, epoch(func(e *ledger.Epoch) { e.Leafless = make([]ledger.Leafless, 257) }))
	s.epoch("epoch: a publication in its place", none, w.leaves[leaf])
	s.epoch("epoch: a transaction in its place", none, w.leaves[leaf-1])
	s.epoch("epoch: nothing in its place", none, []byte{})
	s.epoch("epoch: a byte more", none, append(epoch(func(*ledger.Epoch) {}), 0))
	m := func() map[uint64]any {
		return map[uint64]any{1: [][]byte{real.Header.Header, real.Header.Signature}, 2: real.First, 3: real.StatusRoot[:], 4: real.Rules, 5: real.MemberSet[:], 6: []any{}}
	}
	for name, raw := range encoded(m()) {
		s.epoch("epoch: "+name, none, slices.Concat([]byte{0x83, 1, 3}, raw))
	}
	for name, change := range map[string]map[uint64]any{"leafless null": {6: nil}, "leafless of one": {6: []any{[]any{uint64(0)}}}, "status root of 31 bytes": {3: make([]byte, 31)},
		"header a map": {1: map[uint64]any{}}, "first negative": {2: int64(-1)}, "reserved key of 31 bytes": {7: make([]byte, 31)}, "header of one": {1: [][]byte{{}}}} {
		e := m()
		maps.Copy(e, change)
		s.epoch("epoch: "+name, none, ledger.Encode([]any{uint64(1), uint64(3), e}))
	}
	s.epoch("epoch: kind 2", none, ledger.Encode([]any{uint64(1), uint64(2), m()}))
	s.epoch("epoch: version 2", none, ledger.Encode([]any{uint64(2), uint64(3), m()}))
	s.status("status: a checkpoint in the middle of a block", none, func(d *draft) {
		o := w.draft(w.size()-2, w.size()-1)
		d.index, d.path, d.c, d.status.Epoch = o.index, o.path, o.c, w.leaves[o.index]
	})

	// An epoch before the leaf, and one in its very place in another history of the same members.
	s.status("status: an epoch before the leaf", "leaf-not-covered", func(d *draft) { *d = *w.statusOf(0, w.sizes[0], 0) })
	fork := w.with(map[uint64][]byte{leaf: epoch(func(e *ledger.Epoch) { e.First = 0 })})
	fork.leaves, fork.chunks = fork.leaves[:leaf+1], map[uint64][]ledger.Chunk{leaf: make([]ledger.Chunk, 1)}
	s.status("status: an epoch in the leaf's place", "leaf-not-covered", func(d *draft) { *d = *fork.statusOf(0, leaf+1, 0) })
	s.add("status: an old checkpoint for a new leaf", "leaf-not-covered", func(v *vector) {
		v.Cert = w.certs["ACME-A2"]
		v.Receipt = w.receiptOf(w.leafOf["ACME-A2"], w.size(), v.Cert).file()
		v.Status = w.statusOf(leaf, w.sizes[1], 0).file()
	})

	for _, n := range []int{0, 255, 257, 512} {
		s.status(fmt.Sprintf("chunk of %d bytes", n), "bad-chunk", func(d *draft) { d.status.Chunk = make([]byte, n) })
	}
	s.status("chunk: another, with its number", "wrong-chunk", func(d *draft) { d.status = w.statusOf(w.leafOf["ACME-A2"], w.size(), 0).status })
	s.status("chunk: the right one with another number", "wrong-chunk", func(d *draft) { d.status.Number = 1 })
	s.status("chunk: number 2^64-1", "wrong-chunk", func(d *draft) { d.status.Number = math.MaxUint64 })
	const off = "chunk-not-in-root"
	s.status("chunk: another with the right number", off, func(d *draft) {
		d.status = w.statusOf(w.leafOf["ACME-A2"], w.size(), 0).status
		d.status.Number = 0
	})
	s.status("chunk: of an older epoch", off, func(d *draft) { d.status.Chunk = w.statusOf(leaf, w.sizes[3], 0).status.Chunk })
	s.status("chunk: of an older epoch, with its path", off, func(d *draft) {
		o := w.statusOf(leaf, w.sizes[3], 0).status
		d.status.Chunk, d.status.Path = o.Chunk, o.Path
	})
	s.status("chunk: the path of another number of chunks", off, func(d *draft) { d.status.Path = w.statusOf(leaf, w.sizes[1], 0).status.Path })
	s.status("chunk: path one long", off, func(d *draft) { d.status.Path = append(d.status.Path, tlog.Hash{}) })
	s.status("chunk: one bit changed", off, func(d *draft) { d.status.Chunk[255] ^= 0x80 })
	s.standing("chunk: says good, was revoked", off, "ACME-K", "", func(d *draft) {
		c := ledger.Chunk(d.status.Chunk)
		c.Set(w.leafOf["ACME-K"], ledger.Good)
		d.status.Chunk = c[:]
	})
	// A root over another number of chunks than the epoch's place gives.
	for name, chunks := range map[string]int{"fewer": 1, "more": 3} {
		cs := slices.Clone(w.chunks[end][:1])
		cs = append(cs, make([]ledger.Chunk, chunks-1)...)
		root := chunkTree(cs).Root()
		other := w.with(map[uint64][]byte{end: epoch(func(e *ledger.Epoch) { e.StatusRoot = root })})
		other.chunks = map[uint64][]ledger.Chunk{end: cs}
		s.add("chunk: a root over "+name+" chunks", off, func(v *vector) { v.Status = other.statusOf(leaf, w.size(), 0).file() })
	}
	bits := func(name, want string, serial string, set ledger.Status, cause uint64) {
		cs := slices.Clone(w.chunks[end])
		cs[0].Set(w.leafOf[serial], set)
		root := chunkTree(cs).Root()
		other := w.with(map[uint64][]byte{end: epoch(func(e *ledger.Epoch) { e.StatusRoot = root })})
		other.chunks = map[uint64][]ledger.Chunk{end: cs}
		s.add(name, want, func(v *vector) {
			v.Cert = w.certs[serial]
			v.Receipt = other.receiptOf(w.leafOf[serial], w.size(), v.Cert).file()
			v.Status = other.statusOf(w.leafOf[serial], w.size(), cause).file()
		})
	}
	bits("chunk: no status", "no-status", "ACME-A", ledger.NoStatus, 0)
	bits("chunk: no status, with a cause", "no-status", "ACME-K", ledger.NoStatus, w.leafOf["change/1/ACME-K"])
	bits("cause: a revocation, the chunk says good", "cause-status-mismatch", "ACME-K", ledger.Good, w.leafOf["change/1/ACME-K"])
	bits("cause: a revocation, the chunk says suspended", "cause-status-mismatch", "ACME-K", ledger.Suspended, w.leafOf["change/1/ACME-K"])
	bits("cause: none, the chunk says good", "good", "ACME-K", ledger.Good, 0)
	bits("cause: none, the chunk says suspended", "bad-cause", "ACME-A", ledger.Suspended, 0)
}

// causes spoils the change behind a status.
func (s *suite) causes() {
	const bad = "bad-cause"
	w := s.four
	leaf, at := w.leafOf["ACME-K"], w.leafOf["change/1/ACME-K"]
	s.standing("cause: missing, revoked", bad, "ACME-K", "")
	s.standing("cause: missing, suspended", bad, "ACME-S", "")
	s.standing("cause: of another leaf", bad, "ACME-K", "change/1/ACME-K2")
	s.standing("cause: the suspension of a resumed certificate", "cause-status-mismatch", "ACME-R", "change/2/ACME-R")
	s.standing("cause: the suspension of a revoked certificate's neighbour", bad, "ACME-K", "change/2/ACME-S")
	s.standing("cause: the publication", bad, "ACME-K", "ACME-K")
	s.standing("cause: the publication of a good certificate", bad, "ACME-A", "ACME-A")
	s.standing("cause: the transaction", bad, "ACME-K", "change/1/ACME-K", func(d *draft) { d.status.Cause = w.cause(at-1, w.size()) })
	s.standing("cause: the epoch", bad, "ACME-K", "change/1/ACME-K", func(d *draft) { d.status.Cause = w.cause(at+1, w.size()) })
	s.standing("cause: path of an older tree", bad, "ACME-K", "change/1/ACME-K", func(d *draft) {
		d.status.Cause.Path = tree(w.leaves[:at+2]).Path(at)
	})
	s.standing("cause: another index", bad, "ACME-K", "change/1/ACME-K", func(d *draft) { d.status.Cause.Index++ })
	s.standing("cause: index 2^64-1", bad, "ACME-K", "change/1/ACME-K", func(d *draft) { d.status.Cause.Index = math.MaxUint64 })
	s.standing("cause: an entry not on the log", bad, "ACME-K", "change/1/ACME-K", func(d *draft) { d.status.Cause.Entry = append(slices.Clone(d.status.Cause.Entry), 0) })

	change := func(m map[uint64]any) []byte {
		all := map[uint64]any{1: uint64(1), 2: uint64(1), 3: make([]byte, 32), 4: leaf, 5: uint64(4)}
		for k, v := range m {
			if all[k] = v; v == nil {
				delete(all, k)
			}
		}
		return ledger.Encode([]any{uint64(2), all})
	}
	runs := func(runs ...[]uint64) any { return map[uint64]any{5: runs, 10: uint64(0), 13: uint64(1)} }
	revoked := runs([]uint64{leaf, 1, 3})
	max := uint64(math.MaxUint64)
	for name, body := range map[string][]byte{
		"scope key":               change(map[uint64]any{2: uint64(2), 4: nil}),
		"a reserved scope":        change(map[uint64]any{2: uint64(6), 4: nil}),
		"an unlikely reason":      change(map[uint64]any{5: max}),
		"the leaf is 0":           change(map[uint64]any{4: uint64(0)}),
		"all optional keys":       change(map[uint64]any{6: uint64(0), 7: uint64(0), 8: make([]byte, 2048)}),
		"resumes, says the body":  change(map[uint64]any{1: uint64(3)}),
		"of another, by its body": change(map[uint64]any{4: leaf + 1}),
	} {
		s.causeEntry("cause: "+name, "revoked", opLeaf(body, revoked))
	}
	for name, body := range map[string][]byte{
		"action 0":                   change(map[uint64]any{1: uint64(0)}),
		"action 4":                   change(map[uint64]any{1: uint64(4)}),
		"scope 0":                    change(map[uint64]any{2: uint64(0), 4: nil}),
		"scope 7":                    change(map[uint64]any{2: uint64(7), 4: nil}),
		"scope certificate, no leaf": change(map[uint64]any{4: nil}),
		"scope key, with a leaf":     change(map[uint64]any{2: uint64(2)}),
		"target of 31 bytes":         change(map[uint64]any{3: make([]byte, 31)}),
		"no reason":                  change(map[uint64]any{5: nil}),
		"SPKI empty":                 change(map[uint64]any{8: []byte{}}),
		"SPKI of 2,049 bytes":        change(map[uint64]any{8: make([]byte, 2049)}),
		"unknown key":                change(map[uint64]any{9: uint64(1)}),
		"a byte more":                append(change(nil), 0),
		"long head":                  slices.Concat([]byte{0x98, 2}, change(nil)[1:]),
		"operation 3":                slices.Concat([]byte{0x82, 3}, change(nil)[2:]),
		"a publication's body":       ledgertest.Publish([]byte{1}),
		"empty body":                 {},
	} {
		s.causeEntry("cause: "+name, bad, opLeaf(body, revoked))
	}
	for name, x := range map[string]struct {
		want    string
		effects any
	}{
		"no runs":                           {bad, map[uint64]any{10: uint64(0), 13: uint64(1)}},
		"the leaf before":                   {bad, runs([]uint64{leaf - 1, 1, 3})},
		"the leaf after":                    {bad, runs([]uint64{leaf + 1, 1, 3})},
		"a run of none":                     {bad, runs([]uint64{leaf, 0, 3})},
		"a run up to the leaf":              {bad, runs([]uint64{0, leaf, 3})},
		"a run over the leaf":               {"revoked", runs([]uint64{0, leaf + 1, 3})},
		"a run without end":                 {"revoked", runs([]uint64{leaf, max, 3})},
		"a run that wraps around":           {bad, runs([]uint64{max, leaf + 2, 3})},
		"two runs, the second covers":       {"revoked", runs([]uint64{0, 1, 1}, []uint64{leaf, 1, 3})},
		"two runs cover, the first is it":   {"revoked", runs([]uint64{leaf, 1, 3}, []uint64{leaf, 1, 1})},
		"two runs cover, the second is it":  {"cause-status-mismatch", runs([]uint64{leaf, 1, 1}, []uint64{leaf, 1, 3})},
		"another status":                    {"cause-status-mismatch", runs([]uint64{leaf, 1, 2})},
		"status 0":                          {"cause-status-mismatch", runs([]uint64{leaf, 1, 0})},
		"status 4":                          {bad, runs([]uint64{leaf, 1, 4})},
		"status 7, which has the same bits": {bad, runs([]uint64{leaf, 1, 7})},
		"1,001 runs":                        {bad, runs(slices.Repeat([][]uint64{{leaf, 1, 3}}, 1001)...)},
	} {
		s.causeEntry("cause, effects: "+name, x.want, opLeaf(change(nil), x.effects))
	}
	s.cutOffs(leaf, at)
	s.causeEntry("cause: kind 1", bad, (&ledger.TxLeaf{Envelope: change(nil), Codes: []reason.Code{0}}).Encode())
	s.causeEntry("cause: version 2", bad, slices.Concat([]byte{0x83, 2}, opLeaf(change(nil), revoked)[2:]))
	s.causeEntry("cause: an entry of a byte more", bad, append(opLeaf(change(nil), revoked), 0))
}

// cutOffs spoils the cut-off behind a status: by an operation of its own, or by the vote that decided on it. at is its leaf.
func (s *suite) cutOffs(leaf, at uint64) {
	const bad = "bad-cause"
	w := s.four
	entry, err := ledger.ParseEntry(w.leaves[leaf])
	must(w.t, err)
	line, owner := entry.Op.Effects.Voucher[:], entry.Op.Effects.Owner[:]
	other := bytes.Repeat([]byte{7}, 32)
	cut := func(scope uint64, target []byte, from uint64) []any {
		return []any{scope, target, from, uint64(9), uint64(1), uint64(1), make([]byte, 32)}
	}
	effects := func(cuts ...[]any) any {
		return map[uint64]any{10: uint64(0), 13: uint64(3), 14: uint64(5), 20: cuts}
	}
	body := func(scope uint64, target []byte, from uint64) []byte {
		return ledger.Encode([]any{uint64(73), map[uint64]any{1: scope, 2: target, 3: from, 4: uint64(9)}})
	}
	vote := ledger.Encode([]any{uint64(69), map[uint64]any{1: uint64(4), 2: uint64(1), 3: make([]byte, 32)}})
	decided := func(cuts ...[]any) any {
		return map[uint64]any{10: uint64(0), 13: uint64(3), 14: uint64(5), 15: []uint64{1, 2}, 16: uint64(1), 20: cuts}
	}
	good := body(5, line, leaf)
	for name, x := range map[string]struct {
		want    string
		body    []byte
		effects any
	}{
		"of the line key":                   {"revoked", good, effects(cut(5, line, leaf))},
		"of the line key, from 0":           {"revoked", good, effects(cut(5, line, 0))},
		"of the line key, by vote":          {"revoked", vote, decided(cut(5, line, leaf))},
		"of the owner":                      {"revoked", body(7, owner, 0), effects(cut(7, owner, 0))},
		"of the owner, by vote":             {"revoked", vote, decided(cut(7, owner, leaf))},
		"of another, and of the line key":   {"revoked", vote, decided(cut(5, other, 0), cut(5, line, leaf))},
		"of the line key later, and of it":  {"revoked", vote, decided(cut(5, line, leaf+1), cut(7, owner, leaf))},
		"from the leaf after":               {bad, good, effects(cut(5, line, leaf+1))},
		"from the cut-off on":               {bad, good, effects(cut(5, line, at))},
		"of another line key":               {bad, body(5, other, leaf), effects(cut(5, other, leaf))},
		"of another organisation":           {bad, body(7, other[:16], leaf), effects(cut(7, other[:16], leaf))},
		"of a line key as an organisation":  {bad, good, effects(cut(7, line, leaf))},
		"of an organisation as a line key":  {bad, good, effects(cut(5, owner, leaf))},
		"of a CA":                           {bad, body(6, line, leaf), effects(cut(6, line, leaf))},
		"of an unknown scope":               {bad, good, effects(cut(8, line, leaf))},
		"of another, by vote":               {bad, vote, decided(cut(5, other, 0), cut(5, other, leaf))},
		"that the effects do not say":       {bad, good, effects()},
		"that has no effects":               {bad, good, map[uint64]any{10: uint64(0), 13: uint64(3)}},
		"by a vote that decided nothing":    {bad, vote, map[uint64]any{10: uint64(0), 13: uint64(3), 15: []uint64{1}}},
		"that says runs, too":               {"revoked", good, map[uint64]any{5: [][]uint64{{leaf, 1, 1}}, 10: uint64(0), 13: uint64(3), 20: [][]any{cut(5, line, leaf)}}},
		"that says runs instead":            {bad, good, map[uint64]any{5: [][]uint64{{leaf, 1, 3}}, 10: uint64(0), 13: uint64(3)}},
		"17 of them":                        {bad, good, effects(slices.Repeat([][]any{cut(5, line, leaf)}, 17)...)},
		"of six items":                      {bad, good, effects(cut(5, line, leaf)[:6])},
		"with a hash of 31 bytes":           {bad, good, effects(append(cut(5, line, leaf)[:6:6], make([]byte, 31)))},
		"by a status change":                {bad, ledger.Encode([]any{uint64(2), map[uint64]any{1: uint64(1), 2: uint64(1), 3: make([]byte, 32), 4: leaf, 5: uint64(4)}}), effects(cut(5, line, leaf))},
		"by operation 3, like a change":     {bad, ledger.Encode([]any{uint64(3), map[uint64]any{1: uint64(1), 2: uint64(1), 3: make([]byte, 32), 4: leaf, 5: uint64(4)}}), effects(cut(5, line, leaf))},
		"by operation 70, like a vote":      {bad, ledger.Encode([]any{uint64(70), map[uint64]any{1: uint64(4), 2: uint64(1), 3: make([]byte, 32)}}), decided(cut(5, line, leaf))},
		"by no member":                      {bad, vote, map[uint64]any{10: uint64(0), 13: uint64(3), 15: []uint64{}, 20: [][]any{cut(5, line, leaf)}}},
		"by a decision 0":                   {bad, vote, map[uint64]any{10: uint64(0), 13: uint64(3), 16: uint64(0), 20: [][]any{cut(5, line, leaf)}}},
		"an empty list":                     {bad, ledger.Encode([]any{uint64(2), map[uint64]any{1: uint64(1), 2: uint64(1), 3: make([]byte, 32), 4: leaf, 5: uint64(4)}}), map[uint64]any{5: [][]uint64{{leaf, 1, 3}}, 10: uint64(0), 13: uint64(3), 20: [][]any{}}},
		"by a publication":                  {bad, ledgertest.Publish([]byte{1}), effects(cut(5, line, leaf))},
		"by operation 74":                   {bad, slices.Concat([]byte{0x82, 0x18, 74}, good[3:]), effects(cut(5, line, leaf))},
		"body: another target":              {"revoked", body(5, other, leaf), effects(cut(5, line, leaf))},
		"body: scope 4":                     {bad, body(4, line, leaf), effects(cut(5, line, leaf))},
		"body: scope 8":                     {bad, body(8, line, leaf), effects(cut(5, line, leaf))},
		"body: a line key of 16 bytes":      {bad, body(5, owner, leaf), effects(cut(5, line, leaf))},
		"body: an organisation of 32 bytes": {bad, body(7, line, leaf), effects(cut(5, line, leaf))},
		"body: unknown key":                 {bad, ledger.Encode([]any{uint64(73), map[uint64]any{1: uint64(5), 2: line, 3: leaf, 4: uint64(9), 5: uint64(1)}}), effects(cut(5, line, leaf))},
		"body: no reason":                   {bad, ledger.Encode([]any{uint64(73), map[uint64]any{1: uint64(5), 2: line, 3: leaf}}), effects(cut(5, line, leaf))},
		"body: choice 0":                    {bad, ledger.Encode([]any{uint64(69), map[uint64]any{1: uint64(4), 2: uint64(0), 3: make([]byte, 32)}}), decided(cut(5, line, leaf))},
		"body: choice 4":                    {bad, ledger.Encode([]any{uint64(69), map[uint64]any{1: uint64(4), 2: uint64(4), 3: make([]byte, 32)}}), decided(cut(5, line, leaf))},
		"body: a digest of 31 bytes":        {bad, ledger.Encode([]any{uint64(69), map[uint64]any{1: uint64(4), 2: uint64(1), 3: make([]byte, 31)}}), decided(cut(5, line, leaf))},
	} {
		s.causeEntry("cause, cut-off "+name, x.want, opLeaf(x.body, x.effects))
	}
	for _, set := range []ledger.Status{ledger.Good, ledger.Suspended} {
		end := w.size() - 1
		cs := slices.Clone(w.chunks[end])
		cs[0].Set(leaf, set)
		last, err := ledger.ParseEntry(w.leaves[end])
		must(w.t, err)
		last.Epoch.StatusRoot = chunkTree(cs).Root()
		otherWorld := w.with(map[uint64][]byte{end: last.Epoch.Encode(), at: opLeaf(good, effects(cut(5, line, leaf)))})
		otherWorld.chunks = map[uint64][]ledger.Chunk{end: cs}
		s.add("cause: a cut-off, the chunk says "+set.String(), "cause-status-mismatch", func(v *vector) {
			v.Cert = w.certs["ACME-K"]
			v.Receipt = otherWorld.receiptOf(leaf, w.size(), v.Cert).file()
			v.Status = otherWorld.statusOf(leaf, w.size(), at).file()
		})
	}
}

// verdicts spoils times and certificates.
func (s *suite) verdicts(t testing.TB) {
	w := s.four
	s.add("age as allowed", "good", func(v *vector) { v.Now = asOf + 600 })
	s.add("a second older than allowed", "stale", func(v *vector) { v.Now = asOf + 601 })
	s.add("no age allowed, and none", "good", func(v *vector) { v.Now, v.MaxAge = asOf, 0 })
	s.add("five minutes ahead", "good", func(v *vector) { v.Now = asOf - 300 })
	s.add("five minutes and a second ahead", "from-the-future", func(v *vector) { v.Now = asOf - 301 })
	stale := func(name, want string) {
		v := &s.vectors[slices.IndexFunc(s.vectors, func(v vector) bool { return v.Name == name })]
		late, early := *v, *v
		late.Name, late.Want, late.Now = name+", stale", want, asOf+86400
		early.Name, early.Want, early.Now = name+", from the future", want, asOf-86400
		if want == "stale" {
			early.Want = "from-the-future"
		}
		s.vectors = append(s.vectors, late, early)
	}
	stale("revoked", "revoked")
	stale("suspended", "stale")
	end := asOf + 3600
	at := func(name, want string, now int64) {
		s.add(name, want, func(v *vector) {
			v.Cert, v.Now = w.certs["ACME-E"], now
			leaf := w.leafOf["ACME-E"]
			v.Receipt = w.receiptOf(leaf, w.size(), v.Cert).file()
			v.Status = w.statusOf(leaf, w.size(), 0).do(times(now, now, now))
		})
	}
	begin := ledgertest.Start.Add(-time.Hour).Unix()
	at("the last second of validity", "good", end)
	at("the second after validity", "validity-ended", end+1)
	at("the first second of validity", "good", begin)
	at("the second before validity", "not-yet-valid", begin-1)
	s.add("before validity, and stale", "stale", func(v *vector) { v.Now, v.MaxAge = asOf+601, 600 })
	s.add("before validity, published only", "published", func(v *vector) { v.Now, v.PublishedOnly = begin-1, true })
	junk := []byte("no certificate at all")
	leaf := w.leafOf["ACME-A"]
	other := w.with(map[uint64][]byte{leaf: opLeaf(ledgertest.Publish(junk), s.effects())})
	s.add("a published certificate that is none", "bad-certificate-file", func(v *vector) {
		v.Cert, v.Receipt, v.Status = junk, other.receiptOf(leaf, w.size(), junk).file(), other.statusOf(leaf, w.size(), 0).file()
	})
	s.add("a published certificate that is none, stale", "stale", func(v *vector) {
		v.Now, v.Cert, v.Receipt, v.Status = asOf+601, junk, other.receiptOf(leaf, w.size(), junk).file(), other.statusOf(leaf, w.size(), 0).file()
	})
	s.add("a published certificate that is none, published only", "published", func(v *vector) {
		v.PublishedOnly, v.Cert, v.Receipt = true, junk, other.receiptOf(leaf, w.size(), junk).file()
	})
	// Which rule is named when several are broken: the earliest.
	s.add("order: policy before certificate", "bad-policy", func(v *vector) { v.Policy, v.Cert = nil, nil })
	s.add("order: quorum before proof", "policy-breaks-quorum", func(v *vector) {
		v.Policy, v.Receipt = bytes.Replace(v.Policy, []byte("members 3"), []byte("members 2"), 1), nil
	})
	s.add("order: certificate before proof", "bad-certificate-file", func(v *vector) { v.Cert, v.Receipt = nil, nil })
	s.add("order: receipt before status", "bad-proof-file", func(v *vector) { v.Receipt, v.Status = nil, []byte{} })
	s.receipt("order: extra before checkpoint", "bad-extra", func(d *draft) { d.extra, d.logs = []byte{0}, nil })
	s.receipt("order: log before cosigners", "no-log-signature", func(d *draft) {
		d.logs, d.members, d.lines = nil, nil, []tlog.Signature{{Name: "stranger", ID: 1, Bytes: []byte{1}}}
	})
	s.receipt("order: checkpoint before inclusion", "quorum-not-reached", func(d *draft) { d.members, d.path = nil, nil })
	s.status("order: inclusion before epoch", "not-included", func(d *draft) { d.status.Epoch, d.index = []byte{}, 0 })
}
