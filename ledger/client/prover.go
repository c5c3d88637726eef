package client

import (
	"bytes"
	"encoding/json"
	"slices"

	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/api"
	"github.com/quorate-pki/quorate/ledger/tlog"
	"github.com/quorate-pki/quorate/verify"
)

// prover holds what a node tells against its proofs.
type prover struct{ trust tlog.NoteVerifier }

// leaf proves a leaf, and that what is told of it is what it says.
func (p *prover) leaf(told *api.Proved) error {
	proof, _, entry, err := verify.Entry(p.trust, []byte(told.Receipt), publishedIn(told.Entry))
	if err != nil {
		return err
	}
	event, err := api.Describe(proof.Index, entry)
	if err != nil {
		return untrusted("%v", err)
	}
	says, err1 := json.Marshal(event)
	tells, err2 := json.Marshal(told.Event)
	if err1 != nil || err2 != nil || !bytes.Equal(says, tells) {
		return untrusted("leaf %d says something else", proof.Index)
	}
	return nil
}

// publishedIn is the certificate that an entry told publishes, which its receipt leaves out; nil when it publishes none.
func publishedIn(entry []byte) []byte {
	e, err := ledger.ParseEntry(entry)
	if err != nil || e.Op == nil {
		return nil
	}
	_, args, err := ledger.ParseBody(e.Op.Body)
	if pub := ledger.PublicationOf(args); err == nil && pub != nil {
		return pub.Certificate
	}
	return nil
}

// course proves what became of a leaf that has a status, and the status: the changes told are the leaf's, in order, and lead to it. pub is
// what the leaf publishes, nil for a claim.
func (p *prover) course(leaf uint64, told *api.Course, pub *api.Publication) (*verify.Standing, error) {
	last := leaf
	for i := range told.Changes {
		change := &told.Changes[i]
		if err := p.leaf(change); err != nil {
			return nil, err
		}
		if change.Leaf <= last || !touches(change, leaf, pub) {
			return nil, untrusted("leaf %d does not change leaf %d, or is out of order", change.Leaf, leaf)
		}
		last = change.Leaf
	}
	s, err := verify.Status(p.trust, []byte(told.StatusProof), leaf)
	if err != nil {
		return nil, err
	}
	if s.Size <= last {
		return nil, reason.New(reason.Stale, "the status is of %d leaves, and leaf %d is known to exist", s.Size, last)
	}
	caused := func(e api.Proved) bool { return s.Cause != nil && e.Leaf == s.Cause.Index }
	if s.Status.String() != told.Status || (s.Cause == nil) != (len(told.Changes) == 0) || s.Cause != nil && !slices.ContainsFunc(told.Changes, caused) {
		return nil, untrusted("the changes told do not lead to the status proved")
	}
	return s, nil
}

// touches reports whether a leaf changed the status of another: by itself, or by cutting off who vouched for what that one publishes.
func touches(change *api.Proved, leaf uint64, pub *api.Publication) bool {
	if change.Change != nil && covers(change.Change.Leaves, leaf) {
		return true
	}
	return pub != nil && slices.ContainsFunc(change.CutOffs, func(c api.CutOffEffect) bool { return c.Covers(change.Leaf, leaf, pub) })
}

func covers(runs []api.StatusRun, leaf uint64) bool {
	return slices.ContainsFunc(runs, func(r api.StatusRun) bool { return leaf >= r.First && leaf-r.First < r.Count })
}

// life proves the life events of one device, oldest first: each follows the one before, by its own word, so that none between two of
// them is left out. It returns the keys that the device had, oldest first.
func (p *prover) life(events []api.Proved) (keys []string, err error) {
	for i := range events {
		e := &events[i]
		if err := p.leaf(e); err != nil {
			return nil, err
		}
		if e.Life == nil {
			return nil, untrusted("leaf %d is no life event", e.Leaf)
		}
		if i == 0 {
			keys = append(keys, e.Life.Key)
		} else if before := events[i-1]; e.Life.Previous != before.Leaf || e.Life.Device != before.Life.Device {
			return nil, untrusted("leaf %d does not follow leaf %d in the life of a device", e.Leaf, before.Leaf)
		}
		if e.Life.Key != keys[len(keys)-1] {
			return nil, untrusted("leaf %d is of key %s, and the device has another", e.Leaf, e.Life.Key)
		}
		if e.Life.NewKey != "" {
			keys = append(keys, e.Life.NewKey)
		}
	}
	return keys, nil
}
