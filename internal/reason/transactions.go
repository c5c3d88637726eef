package reason

// Reasons for refusing a transaction or an operation's form (10-99).
const (
	Malformed        Code = 10
	TooLarge         Code = 11
	WrongChannel     Code = 12
	Expired          Code = 13
	ExpiryTooFar     Code = 14
	BadSignature     Code = 15
	NotAuthenticated Code = 16
	Replayed         Code = 17
	BodyMismatch     Code = 18
	BadBody          Code = 19
	UnknownOperation Code = 20
	Reserved         Code = 21
	WrongSigners     Code = 22
)

var transactions = []Reason{
	{Malformed, "malformed", "The bytes are not a transaction in its one accepted encoding."},
	{TooLarge, "too-large", "The submission is over a size limit; cut it into smaller transactions."},
	{WrongChannel, "wrong-channel", "The transaction names another channel."},
	{Expired, "transaction-expired", "The transaction's expiry is not after the block's time; sign it again."},
	{ExpiryTooFar, "expiry-too-far", "The expiry is more than 24 hours after the block's time."},
	{BadSignature, "bad-signature", "A signature of the transaction does not verify."},
	{NotAuthenticated, "not-authenticated", "A signer is neither a registered key nor the key of a published certificate."},
	{Replayed, "replayed", "A transaction with this id is already on the log; its recorded verdict stands."},
	{BodyMismatch, "body-mismatch", "The operation bodies do not match the digests that were signed."},
	{BadBody, "bad-body", "The operation's body does not decode as its operation."},
	{UnknownOperation, "unknown-operation", "This operation number is not known at the rule version in force."},
	{Reserved, "reserved", "This form is reserved and not accepted at the rule version in force."},
	{WrongSigners, "wrong-signers", "The operation needs another set of signers than the transaction has."},
}
