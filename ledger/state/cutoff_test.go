package state_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/ledgertest"
	"github.com/quorate-pki/quorate/ledger/state"
)

const (
	adminOne, adminTwo = "acme-cells/admin-1", "acme-cells/admin-2"
	withdrawn          = ledger.PrivilegeWithdrawn
)

func cutLine(x *chain, key string, from, why uint64) []byte {
	id := ledger.Sum(x.c.SPKI(key))
	return ledger.EncodeBody(ledger.OpCutOff, ledger.CutOff{Scope: ledger.ScopeLineKey, Target: id[:], From: from, Reason: why})
}

func cutOrg(x *chain, name string, from, why uint64) []byte {
	id := organisation(x.t, x, name)
	return ledger.EncodeBody(ledger.OpCutOff, ledger.CutOff{Scope: ledger.ScopeOrganisation, Target: id[:], From: from, Reason: why})
}

// device publishes device/<serial> by a line key, and maybe others that sign with it.
func (x *chain) device(serial string, signers ...string) ledger.Verdict {
	x.t.Helper()
	suffix := dns
	if serial[0] == 'O' {
		suffix = other
	}
	return x.one(ledgertest.Publish(x.c.Device(serial, suffix, 0)), signers...)
}

// standing is where a device's first certificate stands, and what the status bits say.
func (x *chain) standing(serial string) ledger.CertificateInfo {
	x.t.Helper()
	k, err := x.head.KeyRecord(ledger.Sum(x.c.SPKI("device/" + serial)))
	if err != nil || k == nil {
		x.t.Fatal(k, err)
	}
	return k.Certificates[0]
}

// agree demands that the status bits of every publication are where its record and the cut-offs put it.
func agree(t testing.TB, store *ledgertest.MemStore, s *state.State) (cut int) {
	t.Helper()
	for rec, err := range store.Records(ledger.RecordKey, nil) {
		if err != nil {
			t.Fatal(err)
		}
		raw, err := ledger.ReadKey(func(kind ledger.RecordKind, key []byte) ([]byte, error) { return store.Get(state.Key(kind, key)) }, ledger.Hash(rec.Key))
		if err != nil {
			t.Fatal(err)
		}
		k, err := s.KeyRecord(ledger.Hash(rec.Key))
		if err != nil {
			t.Fatal(err)
		}
		for i, c := range k.Certificates {
			b, err := store.Get(state.Key(ledger.RecordChunk, state.Uint64Key(c.Leaf/ledger.ChunkLeaves)))
			if err != nil {
				t.Fatal(err)
			}
			if got := (*ledger.Chunk)(b).Get(c.Leaf); got != c.Status {
				t.Errorf("leaf %d is %s, its bits say %s", c.Leaf, c.Status, got)
			}
			if raw.Certificates[i].Status != c.Status {
				cut++
			}
		}
	}
	return cut
}

// TestCutOff goes through what a cut-off of a line key does, and does not do.
func TestCutOff(t *testing.T) {
	x := start(t, 4, plenty, nil)
	x.device("ACME-1", "acme-cells/line")
	second := x.device("ACME-2", "acme-cells/line").Leaf
	third := x.device("ACME-3", "acme-cells/line").Leaf
	x.device("ACME-4", "acme-cells/line-2")
	fifth := x.device("ACME-5", "acme-cells/line").Leaf
	expect(t, x.one(x.change("ACME-3", on(third, ledger.Revoke, ledger.Cessation)), adminOne, adminTwo), reason.Accepted)
	expect(t, x.one(x.change("ACME-5", on(fifth, ledger.Suspend, 6)), "acme-cells/line"), reason.Accepted)
	revoked, at := x.standing("ACME-3"), ledger.MillisOf(x.now.Add(time.Second))
	cut := x.one(cutLine(x, "acme-cells/line", second, withdrawn), adminOne, adminTwo)
	expect(t, cut, reason.Accepted)
	for range 2 {
		for serial, want := range map[string]ledger.Status{"ACME-1": 1, "ACME-2": 3, "ACME-3": 3, "ACME-4": 1, "ACME-5": 3} {
			if got := x.standing(serial).Status; got != want {
				t.Errorf("%s is %s", serial, got)
			}
		}
		for _, serial := range []string{"ACME-2", "ACME-5"} {
			if s := x.standing(serial); s.Cause != cut.Leaf || s.Since != at || s.Reason != withdrawn || s.Authority != ledger.ByOwner {
				t.Errorf("%s: %+v", serial, s)
			}
		}
		if s := x.standing("ACME-3"); s != revoked {
			t.Errorf("what was revoked before is %+v, was %+v", s, revoked)
		}
		if n := agree(t, x.store, x.head); n != 2 {
			t.Errorf("%d certificates are cut off", n)
		}
		x.reload()
	}
	// It is over for them: nothing but a worse reason changes them, and that keeps the date.
	expect(t, x.one(x.change("ACME-5", on(fifth, ledger.Resume, 8)), adminOne, adminTwo), reason.NotSuspended)
	expect(t, x.one(x.change("ACME-2", on(second, ledger.Suspend, 6)), adminOne, adminTwo), reason.AlreadyRevoked)
	expect(t, x.one(x.change("ACME-2", on(second, ledger.Revoke, ledger.Cessation)), adminOne, adminTwo), reason.AlreadyRevoked)
	expect(t, x.one(x.change("ACME-2", on(second, ledger.Revoke, ledger.KeyCompromise)), adminOne, adminTwo), reason.Accepted)
	if s := x.standing("ACME-2"); s.Since != at || s.Reason != ledger.KeyCompromise || s.Authority != ledger.ByOwner {
		t.Errorf("after a worse reason: %+v", s)
	}
	// The line key suspends nothing any more, be it older than the cut-off.
	first := x.standing("ACME-1").Leaf
	expect(t, x.one(x.change("ACME-1", on(first, ledger.Suspend, 6)), "acme-cells/line"), reason.NotAuthorised)

	// From further back on, and again: only what revokes something is a cut-off.
	expect(t, x.one(cutLine(x, "acme-cells/line", third, withdrawn), adminOne, adminTwo), reason.AlreadyCutOff)
	expect(t, x.one(cutLine(x, "acme-cells/line", first, ledger.Unspecified), adminOne, adminTwo), reason.Accepted)
	if s := x.standing("ACME-1"); s.Status != ledger.Revoked || s.Reason != ledger.Unspecified {
		t.Errorf("cut off from further back: %+v", s)
	}
	if s := x.standing("ACME-5"); s.Cause != cut.Leaf {
		t.Errorf("another cut-off moved the first one's date: %+v", s)
	}
	agree(t, x.store, x.head)
}

// TestCountersignature: what a line key that is cut off publishes needs its owner's admins, and stands then.
func TestCountersignature(t *testing.T) {
	x := start(t, 4, plenty, nil)
	line := "acme-cells/line"
	expect(t, x.device("ACME-1", line), reason.Accepted)
	expect(t, x.device("ACME-2", line, adminOne, adminTwo), reason.WrongSigners) // not cut off
	expect(t, x.one(cutLine(x, line, 0, withdrawn), adminOne, adminTwo), reason.Accepted)
	for _, c := range []struct {
		signers []string
		want    reason.Code
	}{
		{[]string{line}, reason.Countersignature},
		{[]string{line, adminOne}, reason.Countersignature},
		{[]string{line, "other-cells/admin-1"}, reason.WrongSigners},
		{[]string{line, adminOne, adminTwo, "other-cells/admin-1"}, reason.WrongSigners},
		{[]string{line, adminOne, adminTwo, "acme-cells/line-2"}, reason.WrongSigners},
		{[]string{adminOne, adminTwo}, reason.WrongSigners},
		{[]string{"acme-cells/line-2", adminOne, adminTwo}, reason.WrongSigners},
		{[]string{line, "ca-a/governance", "ca-b/governance", "ca-c/governance"}, reason.WrongSigners},
		{[]string{line, adminOne, adminTwo}, reason.Accepted},
	} {
		expect(t, x.device("ACME-2", c.signers...), c.want)
	}
	k := x.standing("ACME-2")
	if k.Status != ledger.Good || k.Voucher != ledger.Sum(x.c.SPKI(line)) {
		t.Errorf("countersigned: %+v", k)
	}
	x.reload()
	expect(t, x.device("ACME-3", "acme-cells/line-2"), reason.Accepted)
	agree(t, x.store, x.head)
	// What was countersigned is cut off by the next cut-off.
	expect(t, x.one(cutLine(x, line, 0, withdrawn), adminOne, adminTwo), reason.Accepted)
	if s := x.standing("ACME-2"); s.Status != ledger.Revoked {
		t.Errorf("cut off again: %+v", s)
	}
	expect(t, x.one(cutLine(x, line, 0, withdrawn), adminOne, adminTwo), reason.AlreadyCutOff)
	agree(t, x.store, x.head)
}

// TestCutOffTable is who may cut off what, for which reason.
func TestCutOffTable(t *testing.T) {
	x := start(t, 4, plenty, nil)
	leaf := x.device("ACME-1", "acme-cells/line").Leaf
	lineKey := ledger.Sum(x.c.SPKI("acme-cells/line"))
	nobody := ledger.Hash{9}
	acme, noOrg := organisation(t, x, "acme-cells"), ledger.OrgID{9}
	body := func(scope ledger.Scope, target []byte, why uint64) []byte {
		return ledger.EncodeBody(ledger.OpCutOff, ledger.CutOff{Scope: scope, Target: target, From: leaf, Reason: why})
	}
	owner, quorum := []string{adminOne, adminTwo}, []string{govA, govB, govD}
	try := func(raw []byte, signers []string) reason.Code {
		t.Helper()
		head, now, store, all := x.head, x.now, x.store, x.all
		x.store = store.Clone()
		v := x.one(raw, signers...)
		x.head, x.now, x.store, x.all = head, now, store, all
		return v.Code
	}
	for name, c := range map[string]struct {
		raw     []byte
		signers []string
		want    reason.Code
	}{
		"line key by its owner":            {body(ledger.ScopeLineKey, lineKey[:], withdrawn), owner, 0},
		"line key by a quorum":             {body(ledger.ScopeLineKey, lineKey[:], withdrawn), quorum, 0},
		"organisation by itself":           {body(ledger.ScopeOrganisation, acme[:], withdrawn), owner, 0},
		"organisation by a quorum":         {body(ledger.ScopeOrganisation, acme[:], withdrawn), quorum, 0},
		"line key by one admin of two":     {body(ledger.ScopeLineKey, lineKey[:], withdrawn), owner[:1], reason.NotAuthorised},
		"line key by two members":          {body(ledger.ScopeLineKey, lineKey[:], withdrawn), quorum[:2], reason.NotAuthorised},
		"line key by itself":               {body(ledger.ScopeLineKey, lineKey[:], withdrawn), []string{"acme-cells/line"}, reason.NotAuthorised},
		"line key by another vendor":       {body(ledger.ScopeLineKey, lineKey[:], withdrawn), []string{"other-cells/admin-1"}, reason.NotAuthorised},
		"organisation by another":          {body(ledger.ScopeOrganisation, acme[:], withdrawn), []string{"other-cells/admin-1"}, reason.NotAuthorised},
		"organisation by its line key":     {body(ledger.ScopeOrganisation, acme[:], withdrawn), []string{"acme-cells/line"}, reason.NotAuthorised},
		"no line key":                      {body(ledger.ScopeLineKey, nobody[:], withdrawn), owner, reason.UnknownLineKey},
		"an admin key":                     {body(ledger.ScopeLineKey, sum(x.c.SPKI(adminOne)), withdrawn), owner, reason.UnknownLineKey},
		"no organisation":                  {body(ledger.ScopeOrganisation, noOrg[:], withdrawn), quorum, reason.UnknownOrganisation},
		"a CA":                             {body(ledger.ScopeCA, nobody[:], withdrawn), quorum, reason.ScopeUnavailable},
		"a device's key":                   {body(ledger.ScopeKey, nobody[:], withdrawn), owner, reason.BadBody},
		"a line key by an organisation id": {body(ledger.ScopeLineKey, acme[:], withdrawn), owner, reason.BadBody},
		"an organisation by a key id":      {body(ledger.ScopeOrganisation, lineKey[:], withdrawn), owner, reason.BadBody},
	} {
		t.Run(name, func(t *testing.T) { expect(t, ledger.Verdict{Code: try(c.raw, c.signers)}, c.want) })
	}
	for why := range uint64(12) {
		want := reason.BadReason
		switch why {
		case 0, 3, 4, 5, 9:
			want = reason.Accepted
		}
		for _, raw := range [][]byte{body(ledger.ScopeLineKey, lineKey[:], why), body(ledger.ScopeOrganisation, acme[:], why)} {
			if got := try(raw, owner); got != want {
				t.Errorf("for reason %d: %s", why, got)
			}
		}
	}
	// Before the rules had it.
	old := start(t, 4, plenty, func(f *ledger.Founding) { f.Rules = 2 })
	expect(t, old.one(body(ledger.ScopeLineKey, lineKey[:], withdrawn), owner...), reason.UnknownOperation)
}

func sum(spki []byte) []byte {
	h := ledger.Sum(spki)
	return h[:]
}

// TestCutOffOrganisation: all line keys of an organisation, and what it publishes afterwards; it still revokes.
func TestCutOffOrganisation(t *testing.T) {
	x := start(t, 4, plenty, nil)
	first := x.device("ACME-1", "acme-cells/line").Leaf
	x.device("ACME-2", "acme-cells/line-2")
	x.device("OTHER-1", "other-cells/line")
	x.device("ACME-3", "acme-cells/line")
	cut := x.one(cutOrg(x, "acme-cells", first+1, ledger.Cessation), govA, govB, govC)
	expect(t, cut, reason.Accepted)
	for range 2 {
		for serial, want := range map[string]ledger.Status{"ACME-1": 1, "ACME-2": 3, "ACME-3": 3, "OTHER-1": 1} {
			if s := x.standing(serial); s.Status != want || want == 3 && (s.Cause != cut.Leaf || s.Authority != ledger.ByQuorum || s.Reason != ledger.Cessation) {
				t.Errorf("%s: %+v", serial, s)
			}
		}
		agree(t, x.store, x.head)
		x.reload()
	}
	expect(t, x.device("ACME-4", "acme-cells/line"), reason.OrganisationState)
	expect(t, x.device("OTHER-2", "other-cells/line"), reason.Accepted)
	key := ledger.EncodeBody(ledger.OpLineKey, lineOf(x, organisation(t, x, "acme-cells"), "acme-cells/line-9", x.namespaces("acme-cells")...))
	expect(t, x.one(key, adminOne, adminTwo), reason.OrganisationState)
	expect(t, x.one(x.change("ACME-1", on(first, ledger.Revoke, 0)), adminOne, adminTwo), reason.Accepted)
	expect(t, x.one(cutOrg(x, "acme-cells", first+1, ledger.Cessation), adminOne, adminTwo), reason.AlreadyCutOff)
	// By vote it publishes again; what was revoked stays so.
	x.wantState(x.decide(x.proposal(1, orgChange(x, "acme-cells", func(c *ledger.OrganisationChange) { c.State = ptr(ledger.OrgActive) }))), ledger.ProposalInForce)
	expect(t, x.device("ACME-4", "acme-cells/line"), reason.Accepted)
	if s := x.standing("ACME-3"); s.Status != ledger.Revoked {
		t.Errorf("after the organisation came back: %+v", s)
	}
	agree(t, x.store, x.head)
}

// TestCutOffByVote: members cut off without delay; the deciding vote's leaf is the cause and says what it did.
func TestCutOffByVote(t *testing.T) {
	x := start(t, 4, plenty, nil)
	x.wantState(x.decide(x.proposal(9, rulesBody(3, 2*day))), ledger.ProposalInForce) // what widens trust waits now
	leaf := x.device("ACME-1", "acme-cells/line").Leaf
	x.device("OTHER-1", "other-cells/line")
	held := x.proposal(1, cutLine(x, "acme-cells/line", leaf, withdrawn))
	held.Hold = 1
	expect(t, x.one(ledger.EncodeBody(ledger.OpPropose, held), govA), reason.HoldNotAllowed)
	both := x.proposal(2, cutLine(x, "acme-cells/line", leaf, withdrawn), cutOrg(x, "other-cells", 0, ledger.Superseded))
	rec := x.wantState(x.decide(both), ledger.ProposalInForce)
	for serial, why := range map[string]uint64{"ACME-1": withdrawn, "OTHER-1": ledger.Superseded} {
		if s := x.standing(serial); s.Status != ledger.Revoked || s.Cause != rec.Leaf || s.Reason != why || s.Authority != ledger.ByQuorum {
			t.Errorf("%s: %+v", serial, s)
		}
	}
	e, err := ledger.ParseEntry(x.all[rec.Leaf])
	if err != nil || len(e.Op.Effects.Cuts) != 2 || e.Op.Effects.Authority != ledger.ByQuorum {
		t.Fatalf("the vote says %+v (%v)", e, err)
	}
	if c := e.Op.Effects.Cuts[0]; c.Leaves != 1 || c.Runs != 1 || !c.Covers(leaf, rec.Leaf, &ledger.Hash{}, nil) != true {
		t.Errorf("cut-off %+v", c)
	}
	agree(t, x.store, x.head)
	// All or none: with a namespace that nobody has, nothing is cut off.
	more := x.proposal(3, cutLine(x, "acme-cells/line-2", 0, withdrawn), ledger.EncodeBody(ledger.OpNamespaceChange,
		ledger.NamespaceChange{Namespace: ledger.OrgID{7}, Action: ledger.EndNamespace}))
	expect(t, x.one(ledger.EncodeBody(ledger.OpPropose, more), govA), reason.UnknownNamespace)
	expect(t, x.device("ACME-2", "acme-cells/line-2"), reason.Accepted)
}

// TestCutOffTenThousand: one operation of bounded size, whatever it revokes; who executed, who folded and who loaded hold the same.
func TestCutOffTenThousand(t *testing.T) {
	n, each := 10_000, 250
	if testing.Short() {
		n = 2_500
	}
	x := start(t, 4, plenty, nil)
	for i := 0; i < n; i += each {
		var bodies [][]byte
		for k := range each {
			bodies = append(bodies, ledgertest.Publish(x.c.Device(fmt.Sprintf("ACME-%d", i+k), dns, 0)))
		}
		x.block(x.tx(bodies, "acme-cells/line"))
	}
	before := load(t, x.store.Clone(), x.all)
	e := x.block(x.tx([][]byte{cutLine(x, "acme-cells/line", 0, withdrawn)}, adminOne, adminTwo))
	if v := e.Results[0].Verdicts[0].Code; v != 0 {
		t.Fatal(v)
	}
	op, err := ledger.ParseEntry(e.Leaves[1])
	if err != nil || len(e.Leaves[1]) > 400 {
		t.Fatalf("the cut-off's leaf has %d bytes (%v)", len(e.Leaves[1]), err)
	}
	if c := op.Op.Effects.Cuts[0]; c.Leaves != uint64(n) || c.Runs != uint64(n/each) {
		t.Errorf("%d leaves in %d runs", c.Leaves, c.Runs)
	}
	// Status chunks, the line key, and what every block writes.
	if w := len(e.State.Writes()); w > n/int(ledger.ChunkLeaves)+20 {
		t.Errorf("%d records written", w)
	}
	folded, err := state.Fold(before, e.Leaves)
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range e.State.Writes() {
		if !bytes.Equal(folded.Writes()[k], v) {
			t.Errorf("folding writes another %q", k)
		}
	}
	if len(folded.Writes()) != len(e.State.Writes()) || folded.Root() != e.State.Root() {
		t.Error("folding gives another state")
	}
	x.reload()
	if cut := agree(t, x.store, x.head); cut != n {
		t.Errorf("%d of %d are cut off", cut, n)
	}
	runs := 0
	for range x.store.Records(ledger.RecordRun, nil) {
		runs++
	}
	if runs != n/each-1 { // the last is in the usage record
		t.Errorf("%d records of runs for %d transactions", runs, n/each)
	}
}

// TestFoldRefusesOtherCutOffs: leaves from a stranger that say other things of a cut-off than folding it finds do not fold.
func TestFoldRefusesOtherCutOffs(t *testing.T) {
	x := start(t, 4, plenty, nil)
	x.device("ACME-1", "acme-cells/line")
	direct := x.tx([][]byte{cutLine(x, "acme-cells/line", 0, withdrawn)}, adminOne, adminTwo)
	leaf, digest := x.propose(x.proposal(1, cutLine(x, "acme-cells/line", 0, withdrawn)), govA)
	approve := vote(leaf, digest, ledger.Approve)
	x.one(approve, govA)
	x.one(approve, govB)
	decisive := x.tx([][]byte{approve}, govC)
	plain := x.tx([][]byte{ledgertest.Publish(x.c.Device("ACME-2", dns, 0))}, "acme-cells/line")
	other := organisation(t, x, "other-cells")
	spoils := map[string]func(*ledger.Effects){
		"no cut-off":       func(e *ledger.Effects) { e.Cuts = nil },
		"two":              func(e *ledger.Effects) { e.Cuts = append(e.Cuts, e.Cuts...) },
		"from elsewhere":   func(e *ledger.Effects) { e.Cuts[0].From++ },
		"another reason":   func(e *ledger.Effects) { e.Cuts[0].Reason = 0 },
		"another target":   func(e *ledger.Effects) { e.Cuts[0].Target[3] ^= 1 },
		"more leaves":      func(e *ledger.Effects) { e.Cuts[0].Leaves++ },
		"more runs":        func(e *ledger.Effects) { e.Cuts[0].Runs++ },
		"other runs":       func(e *ledger.Effects) { e.Cuts[0].Hash[0] ^= 1 },
		"another scope":    func(e *ledger.Effects) { e.Cuts[0].Scope = ledger.ScopeCA },
		"by the key":       func(e *ledger.Effects) { e.Authority = ledger.BySelf },
		"by nobody":        func(e *ledger.Effects) { e.Authority = 0 },
		"another owner":    func(e *ledger.Effects) { e.Owner = &other },
		"a status as well": func(e *ledger.Effects) { e.Runs = []ledger.Run{{First: 0, Count: 1, Status: 3}} },
	}
	for _, raw := range [][]byte{direct, decisive} {
		e, err := state.Execute(x.head, x.next(raw), state.Direct{})
		if err != nil || len(e.Leaves) != 3 {
			t.Fatal(e, err)
		}
		if _, err := state.Fold(x.head, e.Leaves); err != nil {
			t.Fatal(err)
		}
		for name, spoil := range spoils {
			if bytes.Equal(raw, decisive) && (name == "another owner" || name == "a status as well") {
				continue // a vote has neither
			}
			l := append([][]byte{}, e.Leaves...)
			entry, err := ledger.ParseEntry(l[1])
			if err != nil {
				t.Fatal(err)
			}
			spoil(&entry.Op.Effects)
			l[1] = entry.Op.Encode()
			if _, err := state.Fold(x.head, l); !errors.Is(err, state.ErrBadLeaves) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	// A publication that claims to cut somebody off.
	e, err := state.Execute(x.head, x.next(plain), state.Direct{})
	if err != nil {
		t.Fatal(err)
	}
	entry, err := ledger.ParseEntry(e.Leaves[1])
	if err != nil {
		t.Fatal(err)
	}
	entry.Op.Effects.Cuts = []ledger.CutEffect{{Scope: ledger.ScopeOrganisation, Target: other[:]}}
	e.Leaves[1] = entry.Op.Encode()
	if _, err := state.Fold(x.head, e.Leaves); !errors.Is(err, state.ErrBadLeaves) {
		t.Errorf("a publication that cuts off: %v", err)
	}
}

// TestTooManyCutOffs: an owner that countersigns and cuts off without end is stopped.
func TestTooManyCutOffs(t *testing.T) {
	x := start(t, 4, plenty, nil)
	cut := cutLine(x, "acme-cells/line", 0, withdrawn)
	for i := range ledger.MaxCuts {
		expect(t, x.one(cut, adminOne, adminTwo), reason.Accepted)
		expect(t, x.device(fmt.Sprintf("ACME-%d", i), "acme-cells/line", adminOne, adminTwo), reason.Accepted)
	}
	expect(t, x.one(cut, adminOne, adminTwo), reason.TooManyCutOffs)
}

func ptr[T any](v T) *T { return &v }
