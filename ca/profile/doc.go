// Package profile reads self-issued certificates by a strict DER profile of X.509 (RFC 5280, X.690) and judges
// them by a table of profiles. Its verdicts are part of consensus: every build must give the same one for the same
// bytes and block time.
//
// It promises that what it accepts has one encoding, that it never panics, and that every refusal is a
// *reason.Error with a code. It must never import crypto/x509 or encoding/asn1, whose acceptance changes between
// Go releases, and must never ask the clock.
package profile
