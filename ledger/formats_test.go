package ledger_test

import (
	"bytes"
	"crypto/ed25519"
	"flag"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/quorate-pki/quorate/ca"
	"github.com/quorate-pki/quorate/ca/profile"
	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/cosign"
	"github.com/quorate-pki/quorate/ledger/state"
	"github.com/quorate-pki/quorate/ledger/tlog"
	"github.com/quorate-pki/quorate/verify"
)

var update = flag.Bool("update", false, "rewrite the examples in docs/formats.md")

const page = "../docs/formats.md"

// block is a fenced example of the page: ```<language> name=<name>.
var block = regexp.MustCompile("(?ms)^```([a-z-]+) name=([a-z0-9-]+)\n(.*?)^```$")

// TestFormatsExamples holds every named example of docs/formats.md to what the code produces.
func TestFormatsExamples(t *testing.T) {
	data, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	want := theExample(t).blocks
	seen := map[string]bool{}
	out := block.ReplaceAllStringFunc(string(data), func(s string) string {
		m := block.FindStringSubmatch(s)
		lang, name, have := m[1], m[2], m[3]
		key := lang + " " + name
		text, ok := want[key]
		if !ok {
			t.Errorf("the page has an example %q that no code produces", key)
			return s
		}
		if seen[key] {
			t.Errorf("the page has the example %q twice", key)
		}
		seen[key] = true
		if have != text && !*update {
			t.Errorf("example %q differs; run go test ./ledger -run Formats -update\nhave\n%swant\n%s", key, have, text)
		}
		return "```" + key[:len(lang)] + " name=" + name + "\n" + text + "```"
	})
	for key := range want {
		if !seen[key] && !strings.HasPrefix(key, "cbor-diag ") {
			t.Errorf("the page lacks the example %q", key)
		}
	}
	if *update && out != string(data) && !t.Failed() {
		if err := os.WriteFile(page, []byte(out), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// TestFormatsLimits holds the table of limits and the numbers in the CDDL to the constants.
func TestFormatsLimits(t *testing.T) {
	data, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]uint64{
		"MaxEnvelope": ledger.MaxEnvelope, "MaxAbsence": ledger.MaxAbsence, "MaxChannels": ledger.MaxChannels, "MaxChannelProof": ledger.MaxChannelProof, "MaxRule": ledger.MaxRule, "MaxRules": ledger.MaxRules, "MaxBody": ledger.MaxBody, "MaxOperations": ledger.MaxOperations,
		"MaxSubmission": ledger.MaxSubmission, "MaxBlock": ledger.MaxBlock, "MaxEntry": ledger.MaxEntry,
		"MaxSigners": ledger.MaxSigners, "MaxLeafless": ledger.MaxLeafless, "MaxRuns": ledger.MaxRuns,
		"MaxCertificate": ledger.MaxCertificate, "MaxExtra": ledger.MaxExtra, "MaxMembers": ledger.MaxMembers,
		"MaxExpiryAhead": uint64(ledger.MaxExpiryAhead), "MaxTimeAhead": uint64(ledger.MaxTimeAhead), "MaxPending": ledger.MaxPending,
		"MaxNote": tlog.MaxNote, "MaxPath": tlog.MaxPath, "MaxProof": tlog.MaxProof, "MaxPolicy": tlog.MaxPolicy,
		"MaxFuture": uint64(verify.MaxFuture / time.Millisecond),
	}
	seen := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^\| (Max[A-Za-z]+) \| ([0-9,]+) \|`).FindAllStringSubmatch(string(data), -1) {
		n, err := strconv.ParseUint(strings.ReplaceAll(m[2], ",", ""), 10, 64)
		if w, ok := want[m[1]]; !ok || err != nil || n != w || seen[m[1]] {
			t.Errorf("%s is %s in the page, %d in the code", m[1], m[2], w)
		}
		seen[m[1]] = true
	}
	if len(seen) != len(want) {
		t.Errorf("the page states %d limits of %d", len(seen), len(want))
	}
	if tlog.MaxExtra != ledger.MaxExtra || tlog.MaxMembers != ledger.MaxMembers || profile.MaxCertificate != ledger.MaxCertificate {
		t.Error("two packages disagree on a limit")
	}
	for _, line := range []string{
		fmt.Sprintf("envelope: bstr .size (1..%d)", ledger.MaxEnvelope),
		fmt.Sprintf("bodies: [1*%d bstr .size (1..%d)]", ledger.MaxOperations, ledger.MaxBody),
		fmt.Sprintf("[1*%d cose-signature]", ledger.MaxSigners),
		fmt.Sprintf("5 => [1*%d hash]", ledger.MaxSigners),
		fmt.Sprintf("7 => [1*%d hash]", ledger.MaxOperations),
		fmt.Sprintf("[1*%d submission]", ledger.MaxOperations),
		fmt.Sprintf("2 => [1*%d code]", ledger.MaxOperations),
		fmt.Sprintf("? 5 => [1*%d run]", ledger.MaxRuns),
		fmt.Sprintf("6 => [0*%d leafless]", ledger.MaxLeafless),
		fmt.Sprintf("[1*%d member]", ledger.MaxMembers),
		fmt.Sprintf("5 => [1*%d [key: hash, certificate: hash]]", ledger.MaxOperations),
		fmt.Sprintf("status-chunk = bstr .size %d", ledger.ChunkSize),
		fmt.Sprintf("[0*%d hash]", tlog.MaxPath),
	} {
		if !strings.Contains(string(data), line) {
			t.Errorf("the CDDL does not say %q", line)
		}
	}
}

// TestFormatsReasons finds every slug that the page names in the table of reasons.
func TestFormatsReasons(t *testing.T) {
	data, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, m := range regexp.MustCompile(`\*\*([a-z]+(?:-[a-z]+)*)\*\*`).FindAllStringSubmatch(string(data), -1) {
		if _, ok := reason.BySlug(m[1]); !ok {
			t.Errorf("there is no reason %q", m[1])
		}
		found++
	}
	if found < 29 {
		t.Errorf("the page names %d reasons", found)
	}
}

// example is the tiny ledger of the page: one member, one device.
type example struct {
	blocks   map[string]string // "<language> <name>" -> content
	keys     map[string]ed25519.PrivateKey
	members  *ledger.MemberSet
	policy   *tlog.Policy
	state    *state.State
	leaves   [][]byte
	hashes   []tlog.Hash
	der      []byte
	receipt  []byte
	good     []byte
	revoked  []byte
	sub      *ledger.Submission // the publication
	genesis  []byte
	block1   []byte
	extra    []byte // of the receipt
	statusX  []byte // of the revoked status
	snap     []byte
	absence  []byte
	nobody   ledger.CertificateName // that the absence is about
	checkpts map[uint64][]byte
}

// keyNames in the order of their seeds: the seed of key number n is the byte n, 32 times.
var keyNames = []string{"log", "cosigning", "block", "tls", "responder", "governance", "admin", "line", "device"}

type noRecords struct{}

func (noRecords) Get([]byte) ([]byte, error) { return nil, nil }

var built *example

func theExample(t testing.TB) *example {
	t.Helper()
	if built != nil {
		return built
	}
	e := &example{blocks: map[string]string{}, keys: map[string]ed25519.PrivateKey{}, checkpts: map[uint64][]byte{}}
	var keys strings.Builder
	for i, name := range keyNames {
		e.keys[name] = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{byte(i + 1)}, 32))
		fmt.Fprintf(&keys, "%-10s seed %02x x 32  public %x\n%29skey id %x\n", name, i+1, e.public(name), "", ledger.Sum(e.spki(name)))
	}
	e.blocks["text keys"] = keys.String()
	e.found(t)
	e.publish(t)
	e.receipt = e.prove(t, 8, e.extra)
	e.blocks["text receipt"] = string(e.receipt)
	e.good, _ = e.status(t, "good", 8, nil)
	e.revoke(t)
	e.revoked, e.statusX = e.status(t, "revoked", 8, &ledger.StatusCause{Index: 11, Entry: e.leaves[11], Path: e.path(t, 11)})
	e.snapshot(t, ledger.Revoked)
	e.tree()
	e.memory(t)
	built = e
	return e
}

func (e *example) public(name string) ed25519.PublicKey {
	return e.keys[name].Public().(ed25519.PublicKey)
}

func (e *example) spki(name string) []byte { return ledger.Ed25519SPKI(e.public(name)) }

func (e *example) signer(t testing.TB, name string) ledger.Signer {
	t.Helper()
	s, err := ledger.NewSigner(e.keys[name], e.spki(name))
	must(t, err)
	return s
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// hex adds an example of bytes, and its diagnostic notation when it is CBOR.
func (e *example) hex(name string, raw []byte) {
	var b strings.Builder
	for chunk := range bytesOf(raw, 32) {
		fmt.Fprintf(&b, "%x\n", chunk)
	}
	e.blocks["hex "+name] = b.String()
	if s, err := cbor.Diagnose(raw); err == nil {
		e.blocks["cbor-diag "+name] = layOut(s)
	}
}

func bytesOf(raw []byte, n int) func(func([]byte) bool) {
	return func(yield func([]byte) bool) {
		for len(raw) > n {
			if !yield(raw[:n]) {
				return
			}
			raw = raw[n:]
		}
		yield(raw)
	}
}

var longBytes = regexp.MustCompile(`h'([0-9a-f]{16})([0-9a-f]{58,})'`)

// layOut breaks diagnostic notation into lines and shortens byte strings of more than 36 bytes.
func layOut(s string) string {
	s = longBytes.ReplaceAllStringFunc(s, func(m string) string {
		return m[:18] + "..." + fmt.Sprintf("' /%d bytes/", (len(m)-3)/2)
	})
	var b strings.Builder
	var walk func(s, indent string)
	walk = func(s, indent string) {
		if len(s) <= 100 || !strings.ContainsAny(s[:1], "{[") {
			b.WriteString(s)
			return
		}
		b.WriteString(s[:1])
		depth, from, inner := 0, 1, s[1:len(s)-1]
		item := func(x string) {
			x = strings.TrimSpace(x)
			b.WriteString("\n" + indent + "  ")
			if k, v, ok := strings.Cut(x, ": "); ok && s[0] == '{' {
				b.WriteString(k + ": ")
				x = v
			}
			walk(x, indent+"  ")
		}
		for i := range inner {
			switch inner[i] {
			case '{', '[':
				depth++
			case '}', ']':
				depth--
			case ',':
				if depth == 0 {
					item(s[from : i+1])
					b.WriteByte(',')
					from = i + 2
				}
			}
		}
		item(s[from : len(s)-1])
		b.WriteString("\n" + indent + s[len(s)-1:])
	}
	walk(s, "")
	return b.String() + "\n"
}

const founded ledger.Millis = 1_767_225_600_000 // 2026-01-01T00:00:00Z

var nonce = [16]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}

func (e *example) found(t testing.TB) {
	t.Helper()
	member := ledger.FoundingMember{Name: "acme", Keys: map[uint64][]byte{}}
	for i, name := range keyNames[:6] {
		member.Keys[uint64(i+1)] = e.spki(name)
	}
	raw, err := ledger.Found(ledger.Founding{Rules: 1,
		Consortium: "quorate.example", Channel: "main", Quorum: 1, Members: []ledger.FoundingMember{member},
		Organisations: []ledger.Organisation{{Name: "acme", LegalName: "Acme Radio AG", Roles: ledger.RoleMember | ledger.RoleVendor,
			AdminKeys: [][]byte{e.spki("admin")}, AdminM: 1, Profiles: []uint64{1}, QuotaDay: 1000, QuotaTotal: 100000}},
		Namespaces: []ledger.FoundingNamespace{{Owner: "acme", Type: ledger.NamespaceSerial, Value: "AC"},
			{Owner: "acme", Type: ledger.NamespaceDNS, Value: "acme.example"}},
		LineKeys: []ledger.FoundingLineKey{{Owner: "acme", Signer: e.signer(t, "line"), LineKey: ledger.LineKey{SPKI: e.spki("line"),
			Profiles: []uint64{1}, Rights: ledger.RightPublish | ledger.RightSuspend, QuotaDay: 1000, QuotaTotal: 100000}}},
		Nonce: nonce, Time: founded}, []ledger.Signer{e.signer(t, "governance")}, e.keys["block"])
	must(t, err)
	e.genesis = raw
	e.hex("genesis-block", raw)
	b := e.execute(t, state.Empty(noRecords{}), raw)
	e.members, err = e.state.Members()
	must(t, err)
	e.policy = e.members.Policy(0)
	e.blocks["text policy"] = string(e.policy.Format())
	_, args, err := ledger.ParseBody(b.Txs[0].Bodies[0])
	must(t, err)
	doc := args.(*ledger.Consortium).MemberSet
	e.hex("member-set", doc)
	e.hex("genesis-payload", b.Txs[0].Payload)
	for i, name := range []string{"consortium", "organisation", "namespace-serial", "namespace-dns", "line-key"} {
		e.hex("body-"+name, b.Txs[0].Bodies[i])
	}
	seed := ledger.GenesisSeed(nonce)
	var ids strings.Builder
	fmt.Fprintf(&ids, "channel id              %x\ngenesis seed            %x\n", e.state.Channel().Channel, seed)
	for i, name := range []string{"organisation acme", "namespace AC", "namespace acme.example"} {
		fmt.Fprintf(&ids, "%-23s %s\n", name, ledger.RecordID(seed, uint16(i+1)))
	}
	fmt.Fprintf(&ids, "device AC0001           %x\n", ledger.Device(ledger.RecordID(seed, 1), ledger.DeviceSerial, "AC0001"))
	fmt.Fprintf(&ids, "member-set hash         %x\ngenesis header hash     %x\n", ledger.Sum(doc), b.Hash)
	e.blocks["text ids"] = ids.String()
}

// execute judges a block and takes its leaves, then cosigns the new tree at the second after the block's time.
func (e *example) execute(t testing.TB, parent *state.State, raw []byte) *ledger.Block {
	t.Helper()
	b, err := ledger.ParseBlock(raw)
	must(t, err)
	x, err := state.Execute(parent, b, state.Direct{})
	must(t, err)
	for _, r := range x.Results {
		for _, v := range r.Verdicts {
			if v.Code != reason.Accepted {
				t.Fatalf("height %d: %s", b.Header.Height, v.Code)
			}
		}
	}
	folded, err := state.Fold(parent, x.Leaves)
	must(t, err)
	if folded.Root() != x.State.Root() {
		t.Fatal("execute and fold differ")
	}
	e.state = x.State
	for _, l := range x.Leaves {
		e.leaves, e.hashes = append(e.leaves, l), append(e.hashes, tlog.LeafHash(l))
	}
	if e.policy == nil {
		m, err := e.state.Members()
		must(t, err)
		e.policy = m.Policy(0)
	}
	cp := tlog.Checkpoint{Origin: e.policy.Origin, Size: e.state.Size(), Root: e.state.Root()}
	e.checkpts[cp.Size] = tlog.FormatNote(cp, []tlog.Signature{
		tlog.SignCheckpoint(cp, cp.Origin, e.keys["log"]),
		tlog.Cosign(cp, "quorate.example/acme", uint64(b.Header.Time/1000)+1, e.keys["cosigning"])})
	if cp.Size == 10 {
		e.blocks["text checkpoint"] = string(e.checkpts[cp.Size])
		e.blocks["text log-signed"] = cp.Body()
		e.blocks["text cosigned"] = fmt.Sprintf("cosignature/v1\ntime %d\n", b.Header.Time/1000+1) + cp.Body()
	}
	return b
}

// next puts a submission into the next block.
func (e *example) next(t testing.TB, sub *ledger.Submission) []byte {
	t.Helper()
	p, err := ledger.ParseSubmission(sub.Encode(), ledger.ForLedger)
	must(t, err)
	ch := e.state.Channel()
	h := &ledger.Header{Version: 1, Channel: ch.Channel, Height: ch.Height + 1, View: 1, Previous: ch.Header,
		Payload: ledger.PayloadHash([]*ledger.Parsed{p}), Time: ch.Time + 60_000, Proposer: ledger.Sum(e.spki("block"))}
	return ledger.EncodeBlock(ledger.SignHeader(h, e.keys["block"]), []*ledger.Parsed{p})
}

const deviceFile = "testdata/device.der"

// certificate is the device's, kept in a file because its DER need not be the same in every Go release.
func (e *example) certificate(t testing.TB) []byte {
	t.Helper()
	if *update {
		p, _ := profile.ByID(1)
		der, err := ca.SelfIssue(ca.SelfIssueConfig{Profile: p, Key: e.keys["device"], Serial: "AC0001", Organisation: "Acme Radio AG",
			DNSNames: []string{"ac0001.acme.example"}, NotBefore: founded.Time(), Rand: bytes.NewReader(bytes.Repeat([]byte{0x42}, 64))})
		must(t, err)
		must(t, os.WriteFile(deviceFile, der, 0o644))
	}
	der, err := os.ReadFile(deviceFile)
	must(t, err)
	return der
}

func (e *example) publish(t testing.TB) {
	t.Helper()
	e.der = e.certificate(t)
	e.hex("certificate", e.der)
	delete(e.blocks, "cbor-diag certificate")
	body := ledger.EncodeBody(ledger.OpPublish, ledger.Publish{Profile: 1, Certificate: e.der})
	e.hex("body-publish", body)
	tx := ledger.Tx{Channel: e.state.Channel().Channel, Expiry: founded + 3_600_000, Nonce: [16]byte{0: 0xa0, 15: 0x01}}
	sub, err := ledger.SignTx(tx, [][]byte{body}, ledger.ForLedger, e.signer(t, "line"))
	must(t, err)
	e.sub = sub
	env, err := ledger.ParseEnvelope(sub.Envelope, ledger.ForLedger)
	must(t, err)
	e.hex("tx-payload", env.Payload)
	e.blocks["text tx-id"] = fmt.Sprintf("%x\n", env.ID)
	e.hex("sign-protected", ledger.Encode(map[int64]any{1: ledger.AlgEdDSA, 4: env.Signatures[0].KeyID[:]}))
	e.hex("sig-structure", env.Signatures[0].ToBeSigned)
	e.hex("envelope", sub.Envelope)
	e.hex("submission", sub.Encode())
	e.block1 = e.next(t, sub)
	b := e.execute(t, e.state, e.block1)
	e.hex("block-1", e.block1)
	e.hex("header-1", b.Signed.Header)
	e.blocks["text header-1"] = fmt.Sprintf("header hash  %x\nsignature    %x\n             %x\n", b.Hash, b.Signed.Signature[:32], b.Signed.Signature[32:])
	for i, name := range []string{"leaf-7", "leaf-8", "leaf-9"} {
		e.hex(name, e.leaves[7+i])
	}
	before, after, err := ledger.SplitPublication(e.leaves[8], e.der)
	must(t, err)
	e.extra = ledger.Encode(ledger.ReceiptExtra{Version: 1, Before: before, After: after})
	e.hex("receipt-extra", e.extra)
}

func (e *example) revoke(t testing.TB) {
	t.Helper()
	leaf := uint64(8)
	body := ledger.EncodeBody(ledger.OpStatus, ledger.StatusChange{Action: ledger.Revoke, Scope: ledger.ScopeCertificate,
		Target: ledger.Sum(e.spki("device")), Leaf: &leaf, Reason: ledger.Superseded})
	e.hex("body-status", body)
	tx := ledger.Tx{Channel: e.state.Channel().Channel, Expiry: founded + 3_600_000, Nonce: [16]byte{0: 0xa0, 15: 0x02}}
	sub, err := ledger.SignTx(tx, [][]byte{body}, ledger.ForLedger, e.signer(t, "admin"))
	must(t, err)
	raw := e.next(t, sub)
	e.execute(t, e.state, raw)
	e.hex("block-2", raw)
	e.hex("leaf-11", e.leaves[11])
}

func (e *example) tiles() *tiles {
	tree := &tlog.TileTree{}
	for _, h := range e.hashes {
		tree.Append(h)
	}
	return &tiles{tree}
}

type tiles struct{ *tlog.TileTree }

func (e *example) path(t testing.TB, index uint64) []tlog.Hash {
	t.Helper()
	path, err := tlog.InclusionProof(e.tiles(), index, uint64(len(e.leaves)))
	must(t, err)
	return path
}

// prove makes a tlog-proof of a leaf under the newest checkpoint.
func (e *example) prove(t testing.TB, index uint64, extra []byte) []byte {
	t.Helper()
	return (&tlog.Proof{Extra: extra, Index: index, Path: e.path(t, index), Note: e.checkpts[uint64(len(e.leaves))]}).Format()
}

func (e *example) status(t testing.TB, name string, leaf uint64, cause *ledger.StatusCause) (proof, extra []byte) {
	t.Helper()
	epoch := uint64(len(e.leaves)) - 1
	var chunk ledger.Chunk
	chunk.Set(8, ledger.Good)
	if cause != nil {
		chunk.Set(8, ledger.Revoked)
	}
	x := ledger.StatusExtra{Version: 1, Epoch: e.leaves[epoch], Number: 0, Chunk: chunk[:], Path: e.state.Chunks().Path(0), Cause: cause}
	extra = ledger.Encode(x)
	e.hex("status-extra-"+name, extra)
	proof = e.prove(t, epoch, extra)
	e.blocks["text status-"+name] = string(proof)
	return proof, extra
}

func (e *example) tree() {
	var b strings.Builder
	kinds := []string{"tx", "op consortium", "op organisation", "op namespace", "op namespace", "op line key", "epoch",
		"tx", "op publish", "epoch", "tx", "op status", "epoch"}
	for i, h := range e.hashes {
		fmt.Fprintf(&b, "leaf hash %2d %x  %s\n", i, h, kinds[i])
	}
	for _, n := range []int{7, 10, 13} {
		fmt.Fprintf(&b, "root of %2d   %x\n", n, tlog.Root(e.hashes[:n]))
	}
	e.blocks["text tree"] = b.String()
}

// memory is the signer memory after the cosignature of the tree of 10 leaves.
func (e *example) memory(t testing.TB) {
	t.Helper()
	cp, sigs, err := tlog.ParseNote(e.checkpts[10])
	must(t, err)
	b, err := ledger.ParseBlock(e.block1)
	must(t, err)
	at, ok := tlog.VerifyCosignature(cp, e.policy.Witnesses[0].Key, sigs[1])
	if !ok {
		t.Fatal("the example's cosignature does not verify")
	}
	record := map[uint64]any{1: 1, 2: b.Header.Channel[:], 3: 0, 4: 1, 5: cp.Size, 6: cp.Root[:], 7: b.Hash[:],
		8: at, 9: sigs[1].Bytes}
	sum := ledger.Sum(ledger.Encode(record))
	record[12] = sum[:]
	raw := ledger.Encode(record)
	if _, err := cosign.Parse(raw, b.Header.Channel, cp.Origin, e.policy.Witnesses[0].Key); err != nil {
		t.Fatal(err)
	}
	e.hex("signer-memory", raw)
}

// TestFormatsVerify holds the page's examples to the verifier.
func TestFormatsVerify(t *testing.T) {
	e := theExample(t)
	pub, err := verify.Receipt(e.policy, e.receipt, e.der)
	must(t, err)
	if pub.Leaf != 8 || pub.Size != 10 || pub.Profile != 1 {
		t.Errorf("got %+v", pub)
	}
	now := founded.Time().Add(2 * time.Minute)
	for _, tt := range []struct {
		proof []byte
		want  reason.Code
	}{{e.good, reason.Accepted}, {e.revoked, reason.RevokedCertificate}} {
		s, err := verify.Status(e.policy, tt.proof, 8)
		must(t, err)
		err = verify.Verdict(pub, s, e.der, now, 10*time.Minute)
		if got, _ := reason.CodeOf(err); got != tt.want || (err == nil) != (tt.want == reason.Accepted) {
			t.Errorf("got %v, want %s", err, tt.want)
		}
	}
	wrong := bytes.Clone(e.der)
	wrong[len(wrong)-1] ^= 1
	_, err = verify.Receipt(e.policy, e.receipt, wrong)
	if got, _ := reason.CodeOf(err); got != reason.NotIncluded {
		t.Errorf("another certificate: %v", err)
	}
}
