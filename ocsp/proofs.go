package ocsp

// Proofs let a relying party check an answer about a published certificate against the consortium's policy instead of
// this node's word: package verify reads both. They are given when a request has the extension oidProofs, with the
// value NULL, among its requestExtensions; each answer about a published certificate then has the extension of the same
// name among its singleExtensions, not critical, with the value
//
//	Proofs ::= SEQUENCE { receipt OCTET STRING, status OCTET STRING }
//
// The checkpoint under them is the one that the answer's thisUpdate is of, or a newer one.
type Proofs struct {
	Receipt []byte // tlog-proof of the publication (docs/formats.md)
	Status  []byte // tlog-proof of the newest epoch, with the status
	State   State  // what Status proves
}

// maxProofs is the most certificates whose proofs one request may ask for: each has some 4 kB.
const maxProofs = 16

// proofs writes the extension.
func (w *writer) proofs(p *Proofs) {
	mark := w.mark()
	w.element(tagOctets, p.Status)
	w.element(tagOctets, p.Receipt)
	w.wrap(tagSequence, mark)
	w.wrap(tagOctets, mark)
	w.oid(oidProofs)
	w.wrap(tagSequence, mark)
}
