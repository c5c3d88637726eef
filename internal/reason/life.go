package reason

// Reasons about the life of a device: who holds it, who uses it, by which key it is known (260-279).
const (
	NotTheHolder         Code = 261
	TakerNotSigned       Code = 262
	LifeChanged          Code = 263
	AlreadyHolder        Code = 264
	TransferToOwner      Code = 265
	NotInCustody         Code = 266
	AlreadyClaimed       Code = 267
	PossessionProof      Code = 268
	NotAnOperator        Code = 269
	DeviceRetired        Code = 270
	KeySuperseded        Code = 271
	NoCertificateStands  Code = 272
	KeyPublishedBefore   Code = 273
	RekeyOfAnotherDevice Code = 274
	EvidenceMissing      Code = 275
	OwnerAlone           Code = 276
	NotClaimed           Code = 277
	OwnerNotSigned       Code = 278
)

var life = []Reason{
	{NotTheHolder, "not-the-holder", "The signers are not the admins, as many as needed, of the organisation that holds the device."},
	{TakerNotSigned, "taker-not-signed", "The organisation that the device is handed to has not signed with as many admin keys as it needs."},
	{LifeChanged, "life-changed", "Something happened to the device after the leaf that this step names; look at its history and decide again."},
	{AlreadyHolder, "already-holder", "The organisation that the device is handed to holds it already."},
	{TransferToOwner, "transfer-to-owner", "Handing a device back to its owner is a return; use that."},
	{NotInCustody, "not-in-custody", "Nobody but the owner holds the device, so there is nothing to return."},
	{AlreadyClaimed, "already-claimed", "The device is in use already; a claim that is suspended is resumed, not made again."},
	{PossessionProof, "possession-proof", "The proof of possession does not verify: it is by another key, or for another channel, operation, organisation or moment."},
	{NotAnOperator, "not-an-operator", "Only an organisation with the role operator takes devices into use."},
	{DeviceRetired, "device-retired", "The device was retired; nothing more can happen to it, and its serial stays bound."},
	{KeySuperseded, "key-superseded", "A rekey put another key in place of this one; name that one."},
	{NoCertificateStands, "no-certificate-stands", "No certificate of the device is good; a device is handed on or claimed with one that is."},
	{KeyPublishedBefore, "key-published-before", "The new key was published before; a rekey needs a key that the log has never seen."},
	{RekeyOfAnotherDevice, "rekey-of-another-device", "The new certificate is of another device than the old key."},
	{EvidenceMissing, "evidence-missing", "A rekey without the old key's signature names the evidence that the owner has on file."},
	{OwnerAlone, "owner-alone", "The old key is barred; only the owner's admins may give the device another one."},
	{NotClaimed, "not-claimed", "Nobody uses the device by a claim, so there is nothing in this scope."},
	{OwnerNotSigned, "owner-not-signed", "The owner's admins, as many as needed, must sign too: retiring revokes its certificates."},
}
