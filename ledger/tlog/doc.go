// Package tlog is the transparency log as bytes and hashes: Merkle trees, tiles, checkpoints, cosignatures,
// policies and proofs. It knows no PKI: an entry is a string of bytes, a member a name and a key.
//
// It promises the exact formats of these specifications, in the restricted forms that docs/formats.md states:
//
//   - RFC 6962 section 2.1: tree hash, audit path, consistency proof, with SHA-256 (verified by the algorithms of
//     RFC 9162 sections 2.1.3.2 and 2.1.4.2)
//   - c2sp.org/tlog-tiles: tiles of 256 hashes, entry bundles, their paths
//   - c2sp.org/signed-note and c2sp.org/tlog-checkpoint: no extension lines; Ed25519 (type 0x01)
//   - c2sp.org/tlog-cosignature: Ed25519 (type 0x04)
//   - c2sp.org/tlog-policy: all logs of one origin, one witness or one flat group, and more than two thirds of it
//   - c2sp.org/tlog-proof
//
// Every parser accepts one encoding only: what it accepts, Format gives back byte for byte (policies excepted,
// where blank lines, comments and white space are free). Sizes are checked before anything is allocated.
// Refusals that a verifier reports are *reason.Error.
//
// It must never trust less than a quorum, do I/O of its own, or read a clock: times are passed in and given out.
package tlog
