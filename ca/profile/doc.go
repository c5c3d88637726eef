// Package profile reads self-issued certificates by a strict DER profile of X.509 (RFC 5280, X.690) and judges
// them by a table of profiles. docs/profiles.md is the same in prose. Its verdicts are part of consensus: every
// build must give the same one for the same bytes, block time and grant.
//
// It promises that what it accepts has one encoding, that it never panics, that it reads nothing beyond 8,192
// bytes, and that every refusal is a *reason.Error with a code in 100-199 (or reason.LegacyKeyNotGranted). The
// code is the verdict; the detail beside it is for people and may be reworded.
//
// It must never import crypto/x509 or encoding/asn1, whose acceptance changes between Go releases, and must never
// ask the clock. Changing what it accepts is a change of the rules and needs a new rule version.
package profile
