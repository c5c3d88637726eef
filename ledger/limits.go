package ledger

// Limits, in bytes unless said otherwise. Checked before anything is allocated or decoded.
const (
	MaxEnvelope    = 49_152  // one signed transaction without its bodies
	MaxBody        = 16_384  // one operation body
	MaxOperations  = 1_024   // operations in a transaction; submissions in a block
	MaxSubmission  = 491_520 // envelope and bodies: 480 KiB
	MaxBlock       = 524_288 // signed header and submissions: 512 KiB
	MaxEntry       = 65_535  // one leaf (C2SP tlog-tiles: u16 length)
	MaxSigners     = 16
	MaxLeafless    = 256    // transactions of a block that leave no leaf
	MaxRuns        = 1_000  // status runs listed in one operation's effects
	MaxCertificate = 8_192  // DER
	MaxExtra       = 49_000 // extra data of a tlog-proof (stock parsers read lines of 64 KiB)
	MaxMembers     = 16
	MaxAbsence     = 81_920 // a statement of absence and its signature: MaxOperations names

	MaxExpiryAhead Millis = 24 * 60 * 60 * 1000 // expiry <= block time + this
	MaxTimeAhead   Millis = 10_000              // a block further ahead of the node's clock waits

	MaxPending = 16 // K: committed blocks that may wait for the quorum before proposing pauses
)
