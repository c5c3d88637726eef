package reason

// Rules of offline verification (400-499). Each names the one check that failed; docs/formats.md lists them in
// the order a verifier applies them.
const (
	BadPolicy           Code = 400
	BadProofFile        Code = 401
	BadCheckpoint       Code = 402
	WrongOrigin         Code = 403
	NoLogSignature      Code = 404
	QuorumNotReached    Code = 405
	DuplicateCosigner   Code = 406
	NotIncluded         Code = 407
	BadExtra            Code = 408
	NotAPublication     Code = 409
	WrongCertificate    Code = 410
	BadCertificateFile  Code = 411
	EpochNotLast        Code = 420
	NotAnEpoch          Code = 421
	EpochMismatch       Code = 422
	WrongChunk          Code = 423
	BadChunk            Code = 424
	ChunkNotInRoot      Code = 425
	LeafNotCovered      Code = 426
	BadCause            Code = 427
	NoStatus            Code = 428
	ReceiptMismatch     Code = 429
	Stale               Code = 430
	FromTheFuture       Code = 431
	StatusNotChecked    Code = 432
	UnknownCertificate  Code = 433
	RevokedCertificate  Code = 434
	SuspendedCert       Code = 435
	BeforeValidity      Code = 436
	AfterValidity       Code = 437
	BadMemberSet        Code = 438
	PolicyBreaksQuorum  Code = 439
	AnswerNotTrusted    Code = 440
	CauseStatusMismatch Code = 441
	PolicyExpired       Code = 442
	PolicyUnnamed       Code = 443
	BadSnapshotFile     Code = 450
	WrongStatusRoot     Code = 451
	BadAbsence          Code = 452
	BadOCSPAnswer       Code = 460
	OCSPNotAnswered     Code = 461
	NotAResponder       Code = 462
	NoEvidence          Code = 463
	PeerCertificate     Code = 464
	PeerName            Code = 465
	PeerUsage           Code = 466
)

var verification = []Reason{
	{BadPolicy, "bad-policy", "The policy file does not parse or has a form that is not accepted."},
	{BadProofFile, "bad-proof-file", "The file is not a tlog-proof in its one accepted encoding."},
	{BadCheckpoint, "bad-checkpoint", "The checkpoint inside the proof is not a valid signed note."},
	{WrongOrigin, "wrong-origin", "The checkpoint is of another log than the policy's."},
	{NoLogSignature, "no-log-signature", "No log key of the policy signed the checkpoint."},
	{QuorumNotReached, "quorum-not-reached", "Fewer members than the quorum validly cosigned the checkpoint."},
	{DuplicateCosigner, "duplicate-cosigner", "One member's cosignature appears more than once."},
	{NotIncluded, "not-included", "The inclusion proof does not lead from the entry to the checkpoint's root."},
	{BadExtra, "bad-extra", "The proof's extra data does not decode."},
	{NotAPublication, "not-a-publication", "The entry proved is not the publication of a certificate."},
	{WrongCertificate, "wrong-certificate", "The entry proved publishes another certificate."},
	{BadCertificateFile, "bad-certificate-file", "The certificate file is not one PEM or DER certificate."},
	{EpochNotLast, "epoch-not-last", "A status proof must prove the last leaf of its checkpoint (index = size-1)."},
	{NotAnEpoch, "not-an-epoch", "The entry that the status proof proves is not an epoch entry."},
	{EpochMismatch, "epoch-mismatch", "The epoch entry contradicts its place in the log."},
	{WrongChunk, "wrong-chunk", "The status chunk is not the one that holds this leaf."},
	{BadChunk, "bad-chunk", "The status chunk does not have 256 bytes."},
	{ChunkNotInRoot, "chunk-not-in-root", "The path from the status chunk does not lead to the epoch's status root."},
	{LeafNotCovered, "leaf-not-covered", "The epoch does not cover this leaf; get a newer status."},
	{BadCause, "bad-cause", "The entry named as the cause of the status does not prove it."},
	{NoStatus, "no-status", "The leaf has no status: it is not a publication."},
	{ReceiptMismatch, "receipt-mismatch", "Receipt and status do not speak of the same leaf."},
	{Stale, "stale", "The status is older than allowed; get a newer one."},
	{FromTheFuture, "from-the-future", "The cosignature times are ahead of this machine's clock."},
	{StatusNotChecked, "status-not-checked", "The certificate was published; whether it still stands was not checked."},
	{UnknownCertificate, "unknown-certificate", "Members say that they know no such certificate. That is told, not proved."},
	{RevokedCertificate, "revoked", "The certificate is revoked."},
	{SuspendedCert, "suspended", "The certificate is suspended."},
	{BeforeValidity, "not-yet-valid", "The certificate's validity has not begun."},
	{AfterValidity, "validity-ended", "The certificate's validity has ended."},
	{BadMemberSet, "bad-member-set", "A member-set document does not decode or does not follow from the one before."},
	{PolicyBreaksQuorum, "policy-breaks-quorum", "The policy's quorum is not more than two thirds of its members."},
	{AnswerNotTrusted, "answer-not-trusted", "The node's answer is not what was asked for, or does not verify."},
	{CauseStatusMismatch, "cause-status-mismatch", "The proved cause gives the leaf another status than the chunk."},
	{PolicyExpired, "policy-expired", "The policy is past its expiry, and nothing that only it vouches for can be trusted. Make a new one with quorate policy fetch, from a fingerprint that two members confirm to you; before the expiry, quorate policy update is enough."},
	{PolicyUnnamed, "policy-unnamed", "The policy does not say which member set it is of, so nothing can lead from it to a newer one. Make a new one with quorate policy fetch."},
	{BadSnapshotFile, "bad-snapshot-file", "The file is not a status snapshot in its one accepted form, or is cut short."},
	{WrongStatusRoot, "wrong-status-root", "The snapshot's chunks do not have the status root of its epoch."},
	{BadAbsence, "bad-absence", "The statement that certificates are absent does not decode, is of another tree, or is not signed by the member it names."},
	{BadOCSPAnswer, "bad-ocsp-answer", "The OCSP answer is not strict DER, is about another certificate, or repeats another nonce."},
	{OCSPNotAnswered, "ocsp-not-answered", "The responder gave no answer about the certificate, but an OCSP error; ask another one, or later."},
	{NotAResponder, "not-a-responder", "The OCSP answer is not signed by the responder key of a member of the set in force."},
	{NoEvidence, "no-evidence", "Nothing shows whether the certificate is published and stands: there is no proof, and not the word of enough members."},
	{PeerCertificate, "peer-certificate", "A peer shows exactly one certificate, which is self-issued."},
	{PeerName, "peer-name", "The peer's certificate does not have the name that was connected to."},
	{PeerUsage, "peer-usage", "The peer's certificate is not for this side of a TLS connection."},
}
