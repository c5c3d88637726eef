package verify_test

import (
	"slices"
	"testing"
	"time"

	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/ledgertest"
	"github.com/quorate-pki/quorate/ledger/tlog"
	"github.com/quorate-pki/quorate/verify"
)

// succession is four members, of whom one gets a new cosigning key, one leaves and two others come, a step at a time.
func succession(t *testing.T) (*ledgertest.Consortium, []*ledger.MemberSet, []ledger.MemberSetLink) {
	t.Helper()
	c := ledgertest.FoundGoverned(21, 4, 2)
	sets := []*ledger.MemberSet{c.Set}
	links := []ledger.MemberSetLink{{Document: ledger.Encode(c.Set), Signatures: []ledger.MemberSignature{}}}
	for _, edit := range []func(*ledger.MemberSet){c.Joins("ca-e"), c.Rotates("ca-b", 2, ledger.KeyCosigning), ledgertest.Leaves("ca-a"), c.Joins("ca-f"), ledgertest.Leaves("ca-c")} {
		last := sets[len(sets)-1]
		document := c.After(last, edit)
		m, err := ledger.ParseMemberSet(document)
		must(t, err)
		sets, links = append(sets, m), append(links, c.SignedByAll(last, document))
	}
	return c, sets, links
}

// noteBy is a checkpoint that some members of a set cosigned.
func noteBy(c *ledgertest.Consortium, m *ledger.MemberSet, members ...string) []byte {
	cp := tlog.Checkpoint{Origin: m.Origin(0), Size: 7, Root: ledger.Hash{1}}
	sigs := []tlog.Signature{tlog.SignCheckpoint(cp, cp.Origin, c.Key(m.Members[0].Name+"/log"))}
	for _, name := range members {
		key := name + "/cosigning"
		if m.Number >= 3 && name == "ca-b" {
			key += "-2"
		}
		sigs = append(sigs, tlog.Cosign(cp, m.CosignerName(name), uint64(ledgertest.Start.Unix()), c.Key(key)))
	}
	return tlog.FormatNote(cp, sigs)
}

func names(m *ledger.MemberSet) (out []string) {
	for _, x := range m.Members {
		out = append(out, x.Name)
	}
	return out
}

func codeOf(err error) reason.Code {
	c, _ := reason.CodeOf(err)
	return c
}

// TestTrust: from the policy of any set, what any later set cosigned is trusted once the links to it are there, and only by its own quorum.
func TestTrust(t *testing.T) {
	c, sets, links := succession(t)
	for from, old := range sets {
		file := old.PolicyUntil(0, ledgertest.Start.Add(time.Hour).Unix()).Format()
		p, err := tlog.ParsePolicy(file)
		must(t, err)
		if !slices.Equal(p.Format(), file) {
			t.Fatalf("the file changes:\n%s", p.Format())
		}
		trust, err := verify.NewTrust(p, ledgertest.Start)
		must(t, err)
		for to, m := range sets[from:] {
			followed, err := trust.Follow(links[:from+to+1])
			must(t, err)
			if followed.Members().Number != m.Number || followed.Policy().Expires != p.Expires {
				t.Errorf("from set %d to %d: set %d, expires %d", old.Number, m.Number, followed.Members().Number, followed.Policy().Expires)
			}
			if _, err := followed.Verify(noteBy(c, m, names(m)...)); err != nil {
				t.Errorf("from set %d, a checkpoint of set %d: %v", old.Number, m.Number, err)
			}
			if _, err := followed.Verify(noteBy(c, m, names(m)[:m.Quorum-1]...)); err == nil {
				t.Errorf("from set %d, a checkpoint without a quorum of set %d", old.Number, m.Number)
			}
		}
		if from == 0 {
			last := sets[len(sets)-1]
			if _, err := trust.Verify(noteBy(c, last, names(last)...)); err == nil {
				t.Error("trusted without the links")
			}
			followed, err := trust.Follow(links)
			must(t, err)
			if _, err := followed.Verify(noteBy(c, old, names(old)...)); err == nil {
				t.Error("members that left, and keys that were given up, still count")
			}
		}
	}
}

// TestTrustRefuses: policies that lead nowhere.
func TestTrustRefuses(t *testing.T) {
	_, sets, links := succession(t)
	expiry := ledgertest.Start.Add(time.Hour)
	p := sets[0].PolicyUntil(0, expiry.Unix())
	if _, err := verify.NewTrust(p, expiry.Add(-time.Second)); err != nil {
		t.Error(err)
	}
	if _, err := verify.NewTrust(p, expiry); codeOf(err) != reason.PolicyExpired {
		t.Errorf("past its expiry: %v", err)
	}
	unnamed, err := verify.NewTrust(sets[0].Policy(0), ledgertest.Start)
	must(t, err)
	if _, err := unnamed.Follow(links); codeOf(err) != reason.PolicyUnnamed {
		t.Errorf("unnamed: %v", err)
	}
	// Keys of one set under the name of another: whoever could swap a line would swap the trust.
	swapped := *p
	swapped.Set = &tlog.PolicySet{Number: 2, Hash: ledger.Sum(links[1].Document)}
	trust, err := verify.NewTrust(&swapped, ledgertest.Start)
	must(t, err)
	if _, err := trust.Follow(links); codeOf(err) != reason.BadPolicy {
		t.Errorf("another set's hash: %v", err)
	}
	trust, err = verify.NewTrust(p, ledgertest.Start)
	must(t, err)
	for what, x := range map[string]struct {
		links []ledger.MemberSetLink
		want  reason.Code
	}{
		"none":         {links[:0], reason.MemberSetUnknown},
		"later only":   {links[2:], reason.MemberSetUnknown},
		"one left out": {append(slices.Clone(links[:1]), links[2:]...), reason.MemberSetNotNext},
		"unsigned":     {append(slices.Clone(links[:1]), ledger.MemberSetLink{Document: links[1].Document, Signatures: []ledger.MemberSignature{}}), reason.MemberSetSignatures},
	} {
		if _, err := trust.Follow(x.links); codeOf(err) != x.want {
			t.Errorf("%s: %v, want %s", what, err, x.want)
		}
	}
}

// TestReceiptBringsMemberSets: a receipt of a newer set that carries the links is good under an old policy, offline.
func TestReceiptBringsMemberSets(t *testing.T) {
	c, sets, links := succession(t)
	last := sets[len(sets)-1]
	entry := []byte("no entry, and Entry does not mind")
	root := tlog.LeafHash(entry)
	cp := tlog.Checkpoint{Origin: last.Origin(0), Size: 1, Root: root}
	sigs := []tlog.Signature{tlog.SignCheckpoint(cp, cp.Origin, c.Key("ca-b/log"))}
	for _, name := range []string{"ca-b", "ca-d", "ca-e", "ca-f"} {
		key := name + "/cosigning"
		if name == "ca-b" {
			key += "-2"
		}
		sigs = append(sigs, tlog.Cosign(cp, last.CosignerName(name), 1, c.Key(key)))
	}
	receipt := func(carried []ledger.MemberSetLink) []byte {
		x := ledger.ReceiptExtra{Version: 1, Before: entry, After: []byte{}}
		for _, l := range carried {
			x.MemberSets = append(x.MemberSets, ledger.Encode(l))
		}
		return (&tlog.Proof{Extra: ledger.Encode(x), Index: 0, Note: tlog.FormatNote(cp, sigs)}).Format()
	}
	trust, err := verify.NewTrust(sets[1].PolicyUntil(0, 0), ledgertest.Start)
	must(t, err)
	if _, _, _, err := verify.Entry(trust, receipt(links[1:]), nil); err != nil {
		t.Error(err)
	}
	if _, _, _, err := verify.Entry(trust, receipt(nil), nil); codeOf(err) != reason.QuorumNotReached {
		t.Errorf("without links: %v", err)
	}
	if _, _, _, err := verify.Entry(trust, receipt(links[2:]), nil); codeOf(err) != reason.MemberSetUnknown {
		t.Errorf("with links from elsewhere: %v", err)
	}
	newest, err := verify.NewTrust(last.PolicyUntil(0, 0), ledgertest.Start)
	must(t, err)
	junk := receipt([]ledger.MemberSetLink{{Document: []byte{1}, Signatures: []ledger.MemberSignature{}}})
	if _, _, _, err := verify.Entry(newest, junk, nil); err != nil {
		t.Errorf("what a good receipt carries besides spoils it: %v", err)
	}
	if _, _, _, err := verify.Entry(trust, junk, nil); err == nil {
		t.Errorf("junk: %v", err)
	}
}
