package fsck

import (
	"errors"
	"fmt"

	"github.com/quorate-pki/quorate/ca/profile"
	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/state"
)

// judge is the deep check of a block on top of ch.st, which folds to next. A block whose every body is on the log is executed again and must
// leave the same leaves. Bodies of refused operations, and transactions that left no leaf, are not on the log; of such
// a block every signature that is on the log is verified.
func (ch *chain) judge(e *ledger.Epoch, next *state.State, first uint64) error {
	if first == 0 {
		return nil // executed with the genesis block
	}
	h, err := e.Header.Decode()
	if err != nil {
		return err
	}
	txs, whole := ch.parsed(first)
	if whole && len(e.Leafless) == 0 {
		x, err := state.Execute(ch.st, &ledger.Block{Signed: e.Header, Header: h, Hash: e.Header.Hash(), Txs: txs}, ch.facts)
		if err != nil {
			return err
		}
		ch.c.sum.Judged++
		if err := sameLeaves(ch.block, x.Leaves); err != nil {
			return fmt.Errorf("judged again, it leaves other leaves: %w", err)
		}
		return nil
	}
	for i, tx := range txs {
		if err := ch.signatures(next, tx); err != nil {
			return fmt.Errorf("transaction %d: %w", i, err)
		}
	}
	return nil
}

// parsed puts transactions together from their leaves; whole says that no body is missing. The leaves were checked.
func (ch *chain) parsed(first uint64) (txs []*ledger.Parsed, whole bool) {
	whole = true
	for i, x := range ch.entries {
		switch {
		case x.Tx != nil:
			env, err := ledger.ParseEnvelope(x.Tx.Envelope, ledger.ForLedger)
			if err != nil {
				return nil, false
			}
			txs = append(txs, &ledger.Parsed{Envelope: env})
			for _, code := range x.Tx.Codes {
				whole = whole && code == reason.Accepted
			}
		case x.Op != nil && len(txs) > 0 && x.Op.Tx < first+uint64(i):
			last := txs[len(txs)-1]
			last.Bodies = append(last.Bodies, x.Op.Body)
		}
	}
	return txs, whole
}

// signatures verifies a transaction's signatures and those of the certificates it published.
func (ch *chain) signatures(next *state.State, tx *ledger.Parsed) error {
	for _, s := range tx.Signatures {
		spki, err := ch.signer(next, s.KeyID)
		if err != nil {
			return err
		}
		if !ch.facts.Transaction(spki, s) {
			return fmt.Errorf("the signature by key %x is not valid", s.KeyID)
		}
	}
	for _, body := range tx.Bodies {
		x := state.Examine(body)
		if err := errors.Join(x.Err, x.NoParse); err != nil {
			return err
		}
		if x.Certificate != nil && !x.SelfSigned() {
			return fmt.Errorf("a certificate's own signature is not valid")
		}
	}
	return nil
}

// signer finds the SPKI of a registered key, or of the key of a published certificate.
func (ch *chain) signer(next *state.State, id ledger.Hash) ([]byte, error) {
	if raw := ch.store[string(state.Key(ledger.RecordRegistry, id[:]))]; raw != nil {
		var k ledger.RegisteredKey
		if err := ledger.Decode(raw, &k); err != nil {
			return nil, err
		}
		return k.SPKI, nil
	}
	k, err := next.KeyRecord(id)
	if err != nil || k == nil || len(k.Certificates) == 0 {
		return nil, fmt.Errorf("key %x is neither registered nor published (%v)", id, err)
	}
	entry := ch.c.tree.entry(k.Certificates[0].Leaf)
	if entry == nil || entry.Op == nil {
		return nil, fmt.Errorf("leaf %d, which published key %x, cannot be read", k.Certificates[0].Leaf, id)
	}
	_, args, err := ledger.ParseBody(entry.Op.Body)
	if err != nil {
		return nil, err
	}
	p := ledger.PublicationOf(args)
	if p == nil {
		return nil, fmt.Errorf("leaf %d published no key", k.Certificates[0].Leaf)
	}
	cert, err := profile.Parse(p.Certificate)
	if err != nil {
		return nil, err
	}
	return cert.SPKI, nil
}
