package reason

// Reasons that exist only at the HTTP edge (500-599); never on the log.
const (
	Busy             Code = 500
	NotFound         Code = 501
	BadRequest       Code = 502
	MethodNotAllowed Code = 503
	Internal         Code = 504
	Stopping         Code = 505
	UnknownChannel   Code = 506
	Timeout          Code = 507
	RateLimited      Code = 508
	Diverged         Code = 509
)

var edge = []Reason{
	{Busy, "busy", "The node's pool is full; send the same bytes again after Retry-After."},
	{NotFound, "not-found", "There is nothing at this address."},
	{BadRequest, "bad-request", "The request does not have the form this address takes."},
	{MethodNotAllowed, "method-not-allowed", "This address does not take this method."},
	{Internal, "internal", "The node failed; nothing was promised. Its log says why."},
	{Stopping, "stopping", "The node is stopping; send the same bytes to another node."},
	{UnknownChannel, "unknown-channel", "This node serves no channel of that name."},
	{Timeout, "timeout", "The request ran out of time before the ledger decided; sending the same bytes again is safe."},
	{RateLimited, "rate-limited", "Too many requests by this key or from this address; wait and send the same bytes again."},
	{Diverged, "diverged", "This node computed another history than the quorum and serves final answers only."},
}
