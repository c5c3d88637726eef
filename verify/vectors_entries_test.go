package verify_test

import (
	"bytes"
	"maps"
	"math"
	"slices"

	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/ledgertest"
	"github.com/quorate-pki/quorate/ledger/tlog"
)

// encoded gives ways to spoil a CBOR map of small keys.
func encoded(m map[uint64]any) map[string][]byte {
	raw := ledger.Encode(m)
	more := maps.Clone(m)
	more[99] = uint64(0)
	keys := slices.Sorted(maps.Keys(m))
	first := ledger.Encode(keys[0])
	var rest []byte
	for _, k := range keys[1:] {
		rest = slices.Concat(rest, ledger.Encode(k), ledger.Encode(m[k]))
	}
	one := ledger.Encode(m[keys[0]])
	n := byte(len(keys))
	swapped := slices.Concat([]byte{0xa0 | n}, rest, first, one)
	fewer := maps.Clone(m)
	delete(fewer, keys[len(keys)-1])
	return map[string][]byte{
		"a trailing byte":       append(slices.Clone(raw), 0),
		"cut short":             raw[:len(raw)-1],
		"a key too many":        ledger.Encode(more),
		"a key missing":         ledger.Encode(fewer),
		"keys out of order":     swapped,
		"a key twice":           slices.Concat([]byte{0xa0 | (n + 1)}, first, one, first, one, rest),
		"a long key":            slices.Concat([]byte{0xa0 | n, 0x18}, first, one, rest),
		"an indefinite map":     slices.Concat([]byte{0xbf}, raw[1:], []byte{0xff}),
		"a long map":            slices.Concat([]byte{0xb8, n}, raw[1:]),
		"a tag":                 slices.Concat([]byte{0xc1}, raw),
		"null":                  {0xf6},
		"a number":              {0x00},
		"an array":              {0x80},
		"a text":                {0x60},
		"a float":               {0xf9, 0, 0},
		"false":                 {0xf4},
		"bytes inside bytes":    ledger.Encode(raw),
		"reserved length":       {0xbc},
		"a length of 64 bits":   {0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
		"a number for a key":    slices.Concat([]byte{0xa1}, []byte{0x41, 1}, one),
		"a list of the values":  ledger.Encode(slices.Collect(maps.Values(m))),
		"nested without end":    bytes.Repeat([]byte{0x81}, 20000),
		"an array for a key":    slices.Concat([]byte{0xa1, 0x80}, one),
		"a negative number":     {0x20},
		"an indefinite string":  {0x5f, 0x41, 0, 0xff},
		"the first value null":  slices.Concat([]byte{0xa0 | n}, first, []byte{0xf6}, rest),
		"the first value false": slices.Concat([]byte{0xa0 | n}, first, []byte{0xf4}, rest),
	}
}

func hashes(n int) [][]byte { return slices.Repeat([][]byte{make([]byte, 32)}, n) }

// extras spoils extra data.
func (s *suite) extras() {
	const bad = "bad-extra"
	w := s.four
	d := w.receiptOf(w.leafOf["ACME-A"], w.size(), w.certs["ACME-A"])
	r := func() map[uint64]any { return map[uint64]any{1: uint64(1), 2: d.receipt.Before, 3: d.receipt.After} }
	set := func(m map[uint64]any, k uint64, v any) map[uint64]any { m[k] = v; return m }
	for name, raw := range encoded(r()) {
		s.receipt("receipt extra: "+name, bad, func(d *draft) { d.extra = raw })
	}
	for name, m := range map[string]map[uint64]any{
		"version 0":         set(r(), 1, uint64(0)),
		"version 2":         set(r(), 1, uint64(2)),
		"a salt":            set(r(), 5, make([]byte, 16)),
		"an empty salt":     set(r(), 5, []byte{}),
		"no member sets":    set(r(), 4, [][]byte{}),
		"member sets null":  set(r(), 4, nil),
		"1,026 member sets": set(r(), 4, slices.Repeat([][]byte{{}}, 1026)),
		"text for bytes":    set(r(), 3, string(d.receipt.After[:0])),
		"array for bytes":   set(r(), 3, []uint64{1, 2}),
		"number for bytes":  set(r(), 2, uint64(3)),
	} {
		s.receipt("receipt extra: "+name, bad, func(d *draft) { d.extra = ledger.Encode(m) })
	}
	s.receipt("receipt extra: 1,025 member sets", "good", func(d *draft) { d.extra = ledger.Encode(set(r(), 4, slices.Repeat([][]byte{{}}, 1025))) })
	s.receipt("receipt extra: none", bad, func(d *draft) { d.receipt = nil })
	s.receipt("receipt extra: a longer head", bad, func(d *draft) {
		raw := ledger.Encode(d.receipt)
		d.extra = slices.Concat(raw[:3], []byte{0x59, 0, raw[4]}, raw[5:]) // 0x58 n is the head of key 2
	})
	g := w.statusOf(w.leafOf["ACME-A"], w.size(), 0).status
	path := func(in []tlog.Hash) (out [][]byte) {
		out = [][]byte{}
		for _, h := range in {
			out = append(out, h[:])
		}
		return out
	}
	x := func() map[uint64]any {
		return map[uint64]any{1: uint64(1), 2: g.Epoch, 3: g.Number, 4: g.Chunk, 5: path(g.Path)}
	}
	for name, raw := range encoded(x()) {
		s.status("status extra: "+name, bad, func(d *draft) { d.extra = raw })
	}
	c := w.cause(w.leafOf["change/3/ACME-R"], w.size())
	for name, m := range map[string]map[uint64]any{
		"version 0":               set(x(), 1, uint64(0)),
		"version 2":               set(x(), 1, uint64(2)),
		"a hash of 31 bytes":      set(x(), 5, [][]byte{make([]byte, 31)}),
		"a hash of 33 bytes":      set(x(), 5, [][]byte{make([]byte, 33)}),
		"path null":               set(x(), 5, nil),
		"path of 1,026 hashes":    set(x(), 5, hashes(1026)),
		"chunk number negative":   set(x(), 3, int64(-1)),
		"chunk null":              set(x(), 4, nil),
		"cause null":              set(x(), 6, nil),
		"cause empty":             set(x(), 6, []any{}),
		"cause of two":            set(x(), 6, []any{c.Index, c.Entry}),
		"cause of four":           set(x(), 6, []any{c.Index, c.Entry, path(c.Path), uint64(0)}),
		"cause with a short hash": set(x(), 6, []any{c.Index, c.Entry, [][]byte{make([]byte, 31)}}),
		"cause a map":             set(x(), 6, map[uint64]any{0: c.Index, 1: c.Entry, 2: path(c.Path)}),
		"cause path null":         set(x(), 6, []any{c.Index, c.Entry, nil}),
		"cause entry null":        set(x(), 6, []any{c.Index, nil, path(c.Path)}),
		"a reserved key":          set(x(), 7, []byte{}),
	} {
		s.status("status extra: "+name, bad, func(d *draft) { d.extra = ledger.Encode(m) })
	}
	s.status("status extra: none", bad, func(d *draft) { d.status = nil })
	s.status("status extra: path of 1,025 hashes", "chunk-not-in-root", func(d *draft) { d.status.Path = make([]tlog.Hash, 1025) })
}

// effects of a publication in the history, as a map.
func (s *suite) effects() map[uint64]any {
	entry, err := ledger.ParseEntry(s.four.leaves[s.four.leafOf["ACME-A"]])
	if err != nil {
		panic(err)
	}
	e := entry.Op.Effects
	return map[uint64]any{1: e.Owner[:], 2: e.Evidence, 3: *e.Protection, 4: e.Possession, 5: []any{[]uint64{e.Runs[0].First, 1, 1}}, 6: e.Voucher[:],
		7: [][]byte{e.Namespaces[0][:]}, 8: e.Profile, 9: e.Device[:], 10: uint64(e.Time), 13: e.Rules}
}

func opLeaf(body []byte, effects any) []byte {
	return ledger.Encode([]any{uint64(1), uint64(2), map[uint64]any{1: uint64(7), 2: uint64(0), 3: body, 4: effects}})
}

// entries has the certificate in entries that do not publish it.
func (s *suite) entries() {
	const bad = "not-a-publication"
	der := s.vectors[0].Cert
	fx := s.effects
	set := func(m map[uint64]any, k uint64, v any) map[uint64]any {
		if v == nil {
			delete(m, k)
		} else {
			m[k] = v
		}
		return m
	}
	body := ledgertest.Publish(der)
	target := make([]byte, 32)
	change := func(m map[uint64]any) []byte {
		all := map[uint64]any{1: uint64(1), 2: uint64(2), 3: target, 5: uint64(4), 8: der}
		maps.Copy(all, m)
		return ledger.Encode([]any{uint64(2), all})
	}
	s.entry("entry: the same publication again", "good", opLeaf(body, fx()))
	s.entry("entry: with reserved effects", "good", opLeaf(body, set(set(fx(), 11, []any{make([]byte, 16), uint64(3)}), 12, make([]byte, 16))))
	s.entry("entry: effects of zero bytes", "good", opLeaf(body, set(set(set(fx(), 1, make([]byte, 16)), 6, target), 9, target)))
	s.entry("entry: effects of 1,000 runs", "good", opLeaf(body, set(fx(), 5, slices.Repeat([]any{[]uint64{0, 0, 0}}, 1000))))
	s.entry("entry: effects with few keys", "good", opLeaf(body, map[uint64]any{10: uint64(0), 13: uint64(0)}))
	s.entry("entry: large numbers", "good", opLeaf(body, set(set(fx(), 10, uint64(math.MaxUint64)), 8, uint64(math.MaxUint64))))
	s.entry("entry: an unknown profile", "good", opLeaf(ledger.EncodeBody(ledger.OpPublish, ledger.Publish{Profile: math.MaxUint64, Certificate: der}), fx()))

	s.entry("entry: a transaction posing as a publication", bad, (&ledger.TxLeaf{Envelope: body, Codes: []reason.Code{0}}).Encode())
	s.entry("entry: a transaction leaf that is a publication's op leaf inside", bad, (&ledger.TxLeaf{Envelope: opLeaf(body, fx()), Codes: []reason.Code{0}}).Encode())
	s.entry("entry: kind 1 with an op leaf", bad, ledger.Encode([]any{uint64(1), uint64(1), map[uint64]any{1: uint64(7), 2: uint64(0), 3: body, 4: fx()}}))
	s.entry("entry: an epoch posing as a publication", bad, (&ledger.Epoch{Header: ledger.SignedHeader{Header: body, Signature: []byte{}}, Leafless: []ledger.Leafless{}}).Encode())
	s.entry("entry: a status change posing as a publication", bad, opLeaf(change(nil), fx()))
	s.entry("entry: a line key posing as a publication", bad, opLeaf(ledger.EncodeBody(ledger.OpLineKey, ledger.LineKey{SPKI: der, Possession: der,
		Namespaces: []ledger.OrgID{}, Profiles: []uint64{}}), fx()))
	s.entry("entry: an organisation posing as a publication", bad, opLeaf(ledger.EncodeBody(ledger.OpOrganisation, ledger.Organisation{AdminKeys: [][]byte{der}, Profiles: []uint64{}}), fx()))
	s.entry("entry: a consortium posing as a publication", bad, opLeaf(ledger.EncodeBody(ledger.OpConsortium, ledger.Consortium{MemberSet: der}), fx()))
	s.entry("entry: an unknown operation", bad, opLeaf(ledger.Encode([]any{uint64(3), map[uint64]any{1: uint64(1), 2: der}}), fx()))
	s.entry("entry: the certificate alone", bad, der)
	s.entry("entry: the body alone", bad, body)
	s.entry("entry: certificate and commitment", bad, opLeaf(ledger.Encode([]any{uint64(1), map[uint64]any{1: uint64(1), 2: der, 3: target}}), fx()))
	for name, raw := range encoded(map[uint64]any{1: uint64(1), 2: der}) {
		if bytes.Contains(raw, der) {
			s.entry("entry, publication: "+name, bad, opLeaf(slices.Concat([]byte{0x82, 1}, raw), fx()))
		}
	}
	s.entry("entry: body with a byte more", bad, opLeaf(append(slices.Clone(body), 0), fx()))
	s.entry("entry: body of three", bad, opLeaf(ledger.Encode([]any{uint64(1), map[uint64]any{1: uint64(1), 2: der}, uint64(0)}), fx()))

	s.entry("entry: a certificate within another", "wrong-certificate", opLeaf(ledgertest.Publish(slices.Concat([]byte{0}, der, []byte{0})), fx()))
	s.entry("entry: a certificate at the end of another", "wrong-certificate", opLeaf(ledgertest.Publish(slices.Concat([]byte{0}, der)), fx()))
	filled := func(n int) []byte { return ledgertest.Publish(slices.Concat(der, make([]byte, n-len(der)-9))) } // a head of 9
	s.entry("entry: a body at the limit", "wrong-certificate", opLeaf(filled(ledger.MaxBody), fx()))
	s.entry("entry: a body over the limit", bad, opLeaf(filled(ledger.MaxBody+1), fx()))
	s.add("entry: a commitment as the certificate", "wrong-certificate", func(v *vector) {
		w := s.four
		leaf := w.leafOf["ACME-A"]
		v.Cert = bytes.Repeat([]byte{0xcc}, 32)
		other := w.with(map[uint64][]byte{leaf: opLeaf(ledger.Encode([]any{uint64(1), map[uint64]any{1: uint64(1), 3: v.Cert}}), fx())})
		v.Receipt = other.receiptOf(leaf, w.size(), v.Cert).file()
	})

	for name, e := range map[string]any{
		"unknown key":           set(fx(), 15, uint64(1)),
		"no time":               set(fx(), 10, nil),
		"no rule version":       set(fx(), 13, nil),
		"owner of 15 bytes":     set(fx(), 1, make([]byte, 15)),
		"evidence 0":            set(fx(), 2, uint64(0)),
		"possession 0":          set(fx(), 4, uint64(0)),
		"no runs":               set(fx(), 5, []any{}),
		"1,001 runs":            set(fx(), 5, slices.Repeat([]any{[]uint64{0, 0, 0}}, 1001)),
		"status 4":              set(fx(), 5, []any{[]uint64{0, 1, 4}}),
		"status 256":            set(fx(), 5, []any{[]uint64{0, 1, 256}}),
		"run of two":            set(fx(), 5, []any{[]uint64{0, 1}}),
		"the reserved run form": set(fx(), 5, []any{uint64(1), target}),
		"voucher of 31 bytes":   set(fx(), 6, make([]byte, 31)),
		"no namespaces":         set(fx(), 7, [][]byte{}),
		"profile 0":             set(fx(), 8, uint64(0)),
		"device of 33 bytes":    set(fx(), 9, make([]byte, 33)),
		"time negative":         set(fx(), 10, int64(-1)),
		"batch of one":          set(fx(), 11, []any{make([]byte, 16)}),
		"custodian of 17 bytes": set(fx(), 12, make([]byte, 17)),
		"authority 0":           set(fx(), 14, uint64(0)),
		"a list":                []any{},
	} {
		s.entry("entry, effects: "+name, bad, opLeaf(body, e))
	}
	raw := opLeaf(body, fx())
	s.entry("entry: a byte more", bad, append(slices.Clone(raw), 0))
	s.entry("entry: a long head", bad, slices.Concat([]byte{0x98, 3}, raw[1:]))
	s.entry("entry: a long version", bad, slices.Concat([]byte{0x83, 0x18, 1}, raw[2:]))
	s.entry("entry: indefinite", bad, slices.Concat([]byte{0x9f}, raw[1:], []byte{0xff}))
	s.entry("entry: version 2", bad, slices.Concat([]byte{0x83, 2}, raw[2:]))
	s.entry("entry: kind 4", bad, slices.Concat([]byte{0x83, 1, 4}, raw[3:]))
	s.entry("entry: of four", bad, slices.Concat([]byte{0x84}, raw[1:], []byte{0}))
	s.entry("entry: no position", bad, ledger.Encode([]any{uint64(1), uint64(2), map[uint64]any{1: uint64(7), 3: body, 4: fx()}}))
}
