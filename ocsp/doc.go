// Package ocsp answers RFC 6960 status requests about published certificates, in the HTTP profile of RFC 5019
// and with the nonce of RFC 9654.
//
// It promises that an answer is never presented as fresher than the state it was read from: thisUpdate is the
// time an honest member vouched for the newest final checkpoint, learned before any status was read, and never
// this node's clock. When that time is too old, or too far in the future for this node's clock to be right, the
// answer is tryLater. A request for several certificates gets one answer for each, about the CertID bytes that
// were asked. What is parsed is strict DER: every accepted request re-encodes to its own bytes.
//
// What a request is answered with, when it is not answered with statuses:
//   - malformedRequest: the bytes do not follow the syntax (RFC 6960 section 4.1.1, RFC 9654 for the nonce), or
//     ask for what is not known here: a hash algorithm other than SHA-1, SHA-256 or SHA-384, an unknown critical
//     extension, too many certificates at once. A signed "unknown" would be a statement about a certificate we
//     could not look up;
//   - unauthorized: the issuer is a registered CA that gave this node no valid responder certificate, so it cannot
//     answer with authority (RFC 5019 section 2.2.3). Nothing else is answered so;
//   - tryLater: the state is too old (Config.Staleness), or too many unknown certificates are asked about
//     (Config.UnknownRate), or a status changed while its proof was made;
//   - internalError: the source failed or contradicts its contract.
//
// A signature on a request and the requestor's name are accepted and ignored: status is public, so who asks does
// not matter, and sigRequired is never used.
//
// An answer about one certificate that nobody else's differs from is signed once and kept: until the certificate's
// status changes, or the answer is a third of its life old and there is something fresher to say. Whether the status
// changed is read again whenever the ledger's state is another one. A nonce, proofs, several certificates in one request,
// and unknown make an answer that is signed for one asker.
//
// It must never answer good for what the source does not say is good, never give a kept answer without knowing that the
// state it was read from is still the newest, and never decide anything: it reads the ledger's final state through Source
// and says what it read.
package ocsp
