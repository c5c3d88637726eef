package reason

// Reasons about CA certificates of organisations (370-379). What is wrong with their DER, names, keys and times has the codes of all
// certificates (100-199).
const (
	NotACA           Code = 370
	CAKeyUsage       Code = 371
	CAKeySize        Code = 372
	CAValidity       Code = 373
	CAPossession     Code = 374
	CARegistered     Code = 375
	CAOfAnotherOwner Code = 376
	TooManyCAs       Code = 377
)

var authorities = []Reason{
	{NotACA, "not-a-ca", "A CA certificate has basicConstraints, critical, with CA:TRUE, and a path length of at most 127, if any."},
	{CAKeyUsage, "ca-key-usage", "A CA certificate has keyUsage, critical, with keyCertSign, and besides digitalSignature, nonRepudiation and cRLSign at most."},
	{CAKeySize, "ca-key-size", "The RSA key of a CA has at least 3072 bits."},
	{CAValidity, "ca-validity", "The CA certificate has ended, or begins more than 48 hours from now."},
	{CAPossession, "ca-possession", "The CA's key did not sign its own registration, or its signature does not verify."},
	{CARegistered, "ca-registered", "This very CA certificate is registered already."},
	{CAOfAnotherOwner, "ca-of-another-owner", "The key of this CA is registered for another organisation."},
	{TooManyCAs, "too-many-cas", "The organisation has registered the most CA certificates it may have."},
}
