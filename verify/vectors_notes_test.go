package verify_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/quorate-pki/quorate/ledger/tlog"
)

// files spoils the form of proof files.
func (s *suite) files() {
	const bad = "bad-proof-file"
	s.text("another header", bad, "proof@v1", "proof@v2")
	s.text("no header", bad, "c2sp.org/tlog-proof@v1\n", "")
	s.text("lines ended by CR LF", bad, "@v1\n", "@v1\r\n")
	s.text("a space after the header", bad, "@v1\n", "@v1 \n")
	s.text("empty extra line", bad, "index", "extra \nindex")
	s.text("extra line after the index", bad, "index", "index 0\nextra AAAA\nindex")
	s.text("two extra lines", bad, "extra ", "extra AAAA\nextra ")
	s.text("other line", bad, "index", "more AAAA\nindex")
	s.text("index with a leading zero", bad, "index ", "index 0")
	s.text("index with a sign", bad, "index ", "index +")
	s.text("negative index", bad, "index ", "index -")
	s.text("index with a space", bad, "index ", "index  ")
	s.text("index in hex", bad, "index ", "index 0x")
	s.text("index in other digits", bad, "index ", "index \u0661")
	s.text("index with an underscore", bad, "index ", "index 1_")
	s.text("no index line", bad, "index ", "")
	s.text("empty index", bad, "index ", "index \nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")
	s.text("no empty line", bad, "\n\n", "\n")
	s.text("path with a stray line", bad, "\n\n", "\nAAAA\n\n")
	s.text("hash of 31 bytes", bad, "\n\n", "\n"+base64.StdEncoding.EncodeToString(make([]byte, 31))+"\n\n")
	s.text("hash of 33 bytes", bad, "\n\n", "\n"+base64.StdEncoding.EncodeToString(make([]byte, 33))+"\n\n")
	s.text("hash with loose bits", bad, "\n\n", "\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB=\n\n")
	s.text("hash without padding", bad, "\n\n", "\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n\n")
	s.text("hash of the URL alphabet", bad, "\n\n", "\n-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\n")
	s.text("spaces in base64", bad, "extra ", "extra  ")
	s.text("junk in base64", bad, "extra ", "extra *")
	big := func(size int) []byte { return bytes.Repeat([]byte{0x40}, size) }
	s.receipt("receipt: extra data at the limit", "bad-extra", func(d *draft) { d.extra = big(tlog.MaxExtra) })
	s.receipt("receipt: extra data over the limit", bad, func(d *draft) { d.extra = big(tlog.MaxExtra + 1) })
	s.receipt("receipt: index at the limit", "not-included", func(d *draft) { d.index = math.MaxInt64 - 1 })
	s.receipt("receipt: index over the limit", bad, func(d *draft) { d.index = math.MaxInt64 })
	s.receipt("receipt: 63 hashes", "not-included", func(d *draft) { d.path = make([]tlog.Hash, 63) })
	s.receipt("receipt: 64 hashes", bad, func(d *draft) { d.path = make([]tlog.Hash, 64) })
	s.add("receipt: empty", bad, func(v *vector) { v.Receipt = []byte{} })
	s.add("status: empty", bad, func(v *vector) { v.Status = []byte{} })
	s.add("receipt: nothing but the header", bad, func(v *vector) { v.Receipt = []byte("c2sp.org/tlog-proof@v1\n\n") })
	s.add("receipt: over 137,216 bytes", bad, func(v *vector) { v.Receipt = append(v.Receipt, make([]byte, tlog.MaxProof)...) })
	s.add("receipt: a checkpoint", bad, func(v *vector) { _, v.Receipt, _ = bytes.Cut(v.Receipt, []byte("\n\n")) })
	s.add("receipt: the status", "bad-extra", func(v *vector) { v.Receipt = v.Status })
	s.add("status: the receipt", "bad-extra", func(v *vector) { v.Status = v.Receipt })
}

// notes spoils the form of checkpoints.
func (s *suite) notes() {
	const bad = "bad-checkpoint"
	origin := s.four.c.Set.Origin(0)
	size := fmt.Sprintf("\n%d\n", s.four.size())
	s.text("body of four lines", bad, size, size+"extension\n")
	s.text("body of two lines", bad, size, "\n")
	s.text("size with a leading zero", bad, size, "\n0"+size[1:])
	s.text("size with a sign", bad, size, "\n+"+size[1:])
	s.text("negative size", bad, size, "\n-"+size[1:])
	s.text("size of 64 bits", bad, size, "\n9223372036854775808\n")
	s.text("origin with a space", bad, "\n\n"+origin, "\n\na b")
	s.text("origin with a plus", bad, "\n\n"+origin, "\n\na+b")
	s.text("origin with a tab", bad, "\n\n"+origin, "\n\na\tb")
	s.text("origin with a wide space", bad, "\n\n"+origin, "\n\na\u3000b")
	s.text("origin with a control character", bad, "\n\n"+origin, "\n\na\x01b")
	s.text("origin not UTF-8", bad, "\n\n"+origin, "\n\na\xffb")
	s.text("origin with a surrogate", bad, "\n\n"+origin, "\n\na\xed\xa0\x80b")
	s.text("no origin", bad, "\n\n"+origin, "\n\n")
	s.text("origin of 255 bytes", "wrong-origin", "\n\n"+origin, "\n\n"+strings.Repeat("o", 255))
	s.text("origin of 256 bytes", bad, "\n\n"+origin, "\n\n"+strings.Repeat("o", 256))
	s.text("origin with # and DEL", "wrong-origin", "\n\n"+origin, "\n\na#\x7f")
	s.text("hyphen for a dash", bad, "\u2014 ", "- ")
	s.text("two spaces after the dash", bad, "\u2014 ", "\u2014  ")
	s.text("three words", bad, "\u2014 ", "\u2014 a AAAAAAA= b\n\u2014 ")
	s.text("signature line without signature", bad, "\u2014 ", "\u2014 name\n\u2014 ")
	s.text("signature of a key id alone", bad, "\u2014 ", "\u2014 a AAAAAA==\n\u2014 ")
	s.text("signature of one byte", "good", "\u2014 ", "\u2014 a AAAAAAA=\n\u2014 ")
	s.text("signature with loose bits", bad, "\u2014 ", "\u2014 a AAAAAAB=\n\u2014 ")
	s.text("signature without padding", bad, "\u2014 ", "\u2014 a AAAAAAA\n\u2014 ")
	s.text("signer without a name", bad, "\u2014 ", "\u2014  AAAAAAA=\n\u2014 ")
	s.text("signer with a plus", bad, "\u2014 ", "\u2014 a+b AAAAAAA=\n\u2014 ")
	s.text("signer with a tab", bad, "\u2014 ", "\u2014 a\tb AAAAAAA=\n\u2014 ")
	s.text("signer with a next-line", bad, "\u2014 ", "\u2014 a\u0085b AAAAAAA=\n\u2014 ")
	s.text("signer not UTF-8", bad, "\u2014 ", "\u2014 a\xff AAAAAAA=\n\u2014 ")
	s.text("empty line among signatures", bad, "\u2014 ", "\u2014 a AAAAAAA=\n\n\u2014 ")
	cut := func(v *vector, keep func(head, note []byte) []byte) {
		head, note, _ := bytes.Cut(v.Receipt, []byte("\n\n"))
		v.Receipt = slices.Concat(head, []byte("\n\n"), keep(head, note))
	}
	s.add("note: empty", bad, func(v *vector) { cut(v, func(_, _ []byte) []byte { return nil }) })
	s.add("note: last line not ended", bad, func(v *vector) { v.Receipt = v.Receipt[:len(v.Receipt)-1] })
	s.add("note: a line too many", bad, func(v *vector) { v.Receipt = append(slices.Clone(v.Receipt), '\n') })
	s.add("note: no signatures", bad, func(v *vector) {
		cut(v, func(_, note []byte) []byte { return note[:bytes.Index(note, []byte("\n\n"))+2] })
	})
	s.add("note: root of 31 bytes", bad, func(v *vector) {
		cut(v, func(_, note []byte) []byte {
			lines := bytes.SplitN(note, []byte("\n"), 4)
			lines[2] = []byte(base64.StdEncoding.EncodeToString(make([]byte, 31)))
			return bytes.Join(lines, []byte("\n"))
		})
	})
	s.both("size of 64 bits, signed", bad, func(d *draft) { d.c.Size = 1 << 63 })
	s.receipt("note: size of 63 bits, signed", "not-included", func(d *draft) { d.c.Size = 1<<63 - 1 })
	s.receipt("note: root of 31 bytes, signed", bad, func(d *draft) {
		// Written by hand, for a draft's root has 32 bytes.
		body := strings.Join(strings.SplitAfter(d.c.Body(), "\n")[:2], "") + base64.StdEncoding.EncodeToString(make([]byte, 31)) + "\n"
		seal := func(sig tlog.Signature, key string, prefix string) string {
			raw := binary.BigEndian.AppendUint32(nil, sig.ID)
			raw = append(raw, sig.Bytes[:len(sig.Bytes)-ed25519.SignatureSize]...)
			raw = append(raw, ed25519.Sign(d.w.c.Key(key), []byte(prefix+body))...)
			return "\u2014 " + sig.Name + " " + base64.StdEncoding.EncodeToString(raw) + "\n"
		}
		note := body + "\n" + seal(tlog.SignCheckpoint(d.c, d.c.Origin, d.w.c.Key("ca-a/log")), "ca-a/log", "")
		for _, m := range d.members {
			note += seal(tlog.Cosign(d.c, m.name, uint64(m.time), d.w.c.Key(m.key)), m.key, fmt.Sprintf("cosignature/v1\ntime %d\n", m.time))
		}
		d.raw = []byte(note)
	})
	stranger := tlog.Signature{Name: "stranger", ID: 1, Bytes: []byte{1}}
	s.receipt("note: 100 signatures", "good", func(d *draft) { d.lines = slices.Repeat([]tlog.Signature{stranger}, 96) })
	s.receipt("note: 101 signatures", bad, func(d *draft) { d.lines = slices.Repeat([]tlog.Signature{stranger}, 97) })
	fill := func(d *draft, size int) {
		room := size - len(d.note()) - len("\u2014 s \n") // of base64, the name takes what is left of a multiple of 4
		d.lines = []tlog.Signature{{Name: "s" + strings.Repeat("s", room%4), ID: 1, Bytes: make([]byte, room/4*3-4)}}
		if len(d.note()) != size {
			panic(len(d.note()))
		}
	}
	s.receipt("note: 65,536 bytes", "good", func(d *draft) { fill(d, tlog.MaxNote) })
	s.receipt("note: 65,537 bytes", bad, func(d *draft) { fill(d, tlog.MaxNote+1) })
}

// both spoils the receipt, and in another vector the status.
func (s *suite) both(name, want string, spoil func(*draft)) {
	s.receipt("receipt: "+name, want, spoil)
	s.status("status: "+name, want, spoil)
}

// checkpoints spoils who signed what.
func (s *suite) checkpoints() {
	w := s.four
	s.both("q-1 cosignatures", "quorum-not-reached", func(d *draft) { d.members = d.members[:2] })
	s.both("no cosignatures", "quorum-not-reached", func(d *draft) { d.members = nil })
	s.both("one member twice", "duplicate-cosigner", func(d *draft) { d.members[2] = d.members[1] })
	s.both("one member twice, beyond the quorum", "duplicate-cosigner", func(d *draft) { d.members = append(d.members, d.members[1]) })
	s.both("one member twice, at two times", "duplicate-cosigner", func(d *draft) {
		d.members = append(d.members, d.members[1])
		d.members[3].time++
	})
	s.both("a key outside the policy", "quorum-not-reached", func(d *draft) { d.members[2].key = "device/ACME-A" })
	s.both("a member under another member's name", "quorum-not-reached", func(d *draft) { d.members[2].name = d.members[1].name })
	s.both("a member under the log's name", "quorum-not-reached", func(d *draft) { d.members[2].name = d.c.Origin })
	s.both("a member by its log key", "quorum-not-reached", func(d *draft) { d.members[2].key = "ca-c/log" })
	s.both("cosignatures over another root", "bad-checkpoint", func(d *draft) {
		d.lines = []tlog.Signature{tlog.SignCheckpoint(d.c, d.c.Origin, w.c.Key("ca-a/log"))}
		d.logs, d.signed = nil, &tlog.Checkpoint{Origin: d.c.Origin, Size: d.c.Size, Root: tlog.Hash{1}}
	})
	s.both("cosignatures over another size", "bad-checkpoint", func(d *draft) {
		d.lines = []tlog.Signature{tlog.SignCheckpoint(d.c, d.c.Origin, w.c.Key("ca-a/log"))}
		d.logs, d.signed = nil, &tlog.Checkpoint{Origin: d.c.Origin, Size: d.c.Size + 1, Root: d.c.Root}
	})
	s.both("one member's cosignature is over another root, beyond the quorum", "bad-checkpoint", func(d *draft) {
		d.lines = []tlog.Signature{tlog.Cosign(tlog.Checkpoint{Origin: d.c.Origin, Size: d.c.Size}, w.c.Set.CosignerName("ca-d"), uint64(asOf), w.c.Key("ca-d/cosigning"))}
	})
	s.both("log signature over another root", "bad-checkpoint", func(d *draft) {
		other := tlog.Checkpoint{Origin: d.c.Origin, Size: d.c.Size}
		d.logs, d.lines = nil, []tlog.Signature{tlog.SignCheckpoint(other, d.c.Origin, w.c.Key("ca-a/log"))}
	})
	s.both("a second log signature, not valid", "bad-checkpoint", func(d *draft) {
		d.lines = []tlog.Signature{tlog.SignCheckpoint(tlog.Checkpoint{Origin: d.c.Origin}, d.c.Origin, w.c.Key("ca-b/log"))}
	})
	s.both("one log key twice", "bad-checkpoint", func(d *draft) { d.logs = []string{"ca-a/log", "ca-a/log"} })
	s.both("no log signature", "no-log-signature", func(d *draft) { d.logs = nil })
	s.both("log signature by a stranger", "no-log-signature", func(d *draft) { d.logs = []string{"ca-a/block"} })
	s.both("log signature by a cosigning key", "no-log-signature", func(d *draft) { d.logs = []string{"ca-a/cosigning"} })
	s.both("log signature under another name", "no-log-signature", func(d *draft) {
		sig := tlog.SignCheckpoint(d.c, d.c.Origin, w.c.Key("ca-a/log"))
		sig.Name += "1"
		d.logs, d.lines = nil, []tlog.Signature{sig}
	})
	s.both("log signature of 63 bytes", "bad-checkpoint", func(d *draft) {
		sig := tlog.SignCheckpoint(d.c, d.c.Origin, w.c.Key("ca-a/log"))
		sig.Bytes = sig.Bytes[:63]
		d.logs, d.lines = nil, []tlog.Signature{sig}
	})
	for name, origin := range map[string]string{"of another channel": "test.example/other/0", "of another log": "test.example/main/1",
		"of another consortium": "other.example/main/0", "of no log": "x"} {
		s.both("origin "+name, "wrong-origin", func(d *draft) { d.c.Origin = origin })
	}
	cosig := func(change func([]byte) []byte) func(*draft) {
		return func(d *draft) {
			sig := tlog.Cosign(d.c, d.members[2].name, uint64(asOf), w.c.Key(d.members[2].key))
			sig.Bytes = change(sig.Bytes)
			d.members, d.lines = d.members[:2], []tlog.Signature{sig}
		}
	}
	s.both("cosignature of 71 bytes", "bad-checkpoint", cosig(func(b []byte) []byte { return b[:71] }))
	s.both("cosignature of 73 bytes", "bad-checkpoint", cosig(func(b []byte) []byte { return append(b, 0) }))
	s.both("cosignature without a time", "bad-checkpoint", cosig(func(b []byte) []byte { return b[8:] }))
	s.both("cosignature of one byte", "bad-checkpoint", cosig(func(b []byte) []byte { return b[:1] }))
	s.both("cosignature with a newer time", "bad-checkpoint", cosig(func(b []byte) []byte {
		binary.BigEndian.PutUint64(b, uint64(asOf)+1)
		return b
	}))
	s.both("cosignature with S over the order", "bad-checkpoint", cosig(func(b []byte) []byte {
		order := []byte{0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 31: 0x10}
		carry := 0
		for i, o := range order {
			carry += int(b[40+i]) + int(o)
			b[40+i], carry = byte(carry), carry>>8
		}
		return b
	}))
	s.both("cosignature that is a log signature", "bad-checkpoint", cosig(func([]byte) []byte {
		return append(make([]byte, 8), make([]byte, 64)...)
	}))
	s.both("cosignature at time 0", "bad-checkpoint", times(asOf, asOf, 0))
	s.both("cosignature at time 2^63", "bad-checkpoint", times(asOf, asOf, math.MinInt64))
	s.status("cosignature at time 1", "stale", times(1, 1, asOf))
	s.status("cosignature at time 2^63-1", "from-the-future", times(math.MaxInt64, math.MaxInt64, math.MaxInt64))
	s.status("cosignature at time 2^63-1, one", "good", times(asOf, math.MaxInt64, asOf))
	// f = 1: the second latest time counts.
	old := asOf - 86400
	s.status("one liar of four says that an old tree is new", "stale", times(old, asOf, old))
	s.status("one liar of four, all cosigned", "stale", times(old, old, asOf, old))
	s.status("two of four swore to a new time", "good", times(asOf, old, asOf))
	s.status("one liar of four is in the future", "good", times(asOf+9999, asOf, asOf))
	s.status("two of four are in the future", "from-the-future", times(asOf+9999, asOf, asOf+9999))
	s.receipt("good: a receipt of any time", "good", times(old, 1, old))
}

// inclusion spoils paths.
func (s *suite) inclusion() {
	const bad = "not-included"
	w := s.four
	s.both("index of another leaf", bad, func(d *draft) { d.index-- })
	s.both("index one more", bad, func(d *draft) { d.index++ })
	s.both("path one short", bad, func(d *draft) { d.path = d.path[:len(d.path)-1] })
	s.both("path one long", bad, func(d *draft) { d.path = append(d.path, tlog.Hash{}) })
	s.both("no path", bad, func(d *draft) { d.path = nil })
	s.both("path in another order", bad, func(d *draft) { slices.Reverse(d.path) })
	s.both("path with one bit changed", bad, func(d *draft) { d.path[1][31] ^= 1 })
	s.both("root of another tree", bad, func(d *draft) { d.c.Root = tree(w.leaves[:w.size()-1]).Root() })
	s.both("path of another size", bad, func(d *draft) { d.path = tree(w.leaves[:w.sizes[1]]).Path(min(d.index, w.sizes[1]-1)) })
	s.both("empty tree", bad, func(d *draft) { d.c.Size, d.c.Root = 0, tlog.Root(nil) })
	s.receipt("receipt: path too long for its tree", bad, func(d *draft) {
		h := tlog.LeafHash(w.leaves[d.index])
		d.index, d.path, d.c.Size, d.c.Root = 0, []tlog.Hash{{1}}, 1, tlog.NodeHash(tlog.Hash{1}, h)
	})
	s.receipt("receipt: path too short for its tree", bad, func(d *draft) {
		d.path, d.c.Root = d.path[:0], tlog.LeafHash(w.leaves[d.index])
	})
	s.receipt("receipt: index is the size", bad, func(d *draft) {
		d.index, d.path, d.c.Size, d.c.Root = 1, nil, 1, tlog.LeafHash(w.leaves[d.index])
	})
	s.receipt("receipt of a tree of one leaf", "status-not-checked", func(d *draft) {
		d.index, d.path, d.c.Size, d.c.Root = 0, nil, 1, tlog.LeafHash(w.leaves[d.index])
	})
	last := &s.vectors[len(s.vectors)-1]
	last.Status = nil
	s.add("receipt of another leaf", bad, func(v *vector) {
		v.Receipt = w.receiptOf(w.leafOf["ACME-K"], w.size(), w.certs["ACME-K"]).file()
	})
	s.add("another certificate", bad, func(v *vector) { v.Cert = w.certs["ACME-K"] })
	s.add("a certificate with a byte more", bad, func(v *vector) { v.Cert = append(slices.Clone(v.Cert), 0) })
	s.add("a certificate with a byte less", bad, func(v *vector) { v.Cert = v.Cert[:len(v.Cert)-1] })
	s.add("no certificate", "bad-certificate-file", func(v *vector) { v.Cert = nil })
	s.add("a certificate at the limit", bad, func(v *vector) { v.Cert = make([]byte, 8192) })
	s.add("a certificate over the limit", "bad-certificate-file", func(v *vector) { v.Cert = make([]byte, 8193) })
	s.add("no certificate, the whole entry in the receipt", "bad-certificate-file", func(v *vector) {
		leaf := w.leafOf["ACME-A"]
		v.Receipt = w.receiptOf(leaf, w.size(), v.Cert).do(func(d *draft) { d.receipt.Before, d.receipt.After = w.leaves[leaf], []byte{} })
		v.Cert = nil
	})
	s.status("status: an older epoch under a newer checkpoint", "epoch-not-last", func(d *draft) {
		o := w.statusOf(w.leafOf["ACME-A"], w.sizes[3], 0)
		d.status, d.index, d.path = o.status, o.index, tree(w.leaves).Path(o.index)
	})
	s.status("status: an older epoch at the end of a newer tree", bad, func(d *draft) {
		d.status = w.statusOf(w.leafOf["ACME-A"], w.sizes[3], 0).status
	})
}
