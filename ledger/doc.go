// Package ledger is the vocabulary of the ledger: transactions, blocks, entries, receipts and status proofs as
// bytes, and the two interfaces (Reader, Submitter) through which everything outside talks to a ledger.
//
// It promises that every format has exactly one encoding (deterministic CBOR, RFC 8949 section 4.2.1, strict on
// decoding: whatever does not re-encode to its own bytes is refused) and that sizes are checked before anything
// is allocated. docs/formats.md is the truth about the bytes.
//
// It must never judge: what is accepted is decided in ledger/state. It has no I/O and no clock.
package ledger
