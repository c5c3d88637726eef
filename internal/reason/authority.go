package reason

// Reasons about who owns a name, what is unique and who may do what (200-259).
const (
	NotAPublisher          Code = 200
	LineKeyNotInForce      Code = 201
	OrganisationState      Code = 202
	ProfileNotGranted      Code = 203
	SerialNotOwned         Code = 204
	SerialOutOfRange       Code = 205
	NameNotOwned           Code = 206
	QuotaDay               Code = 207
	QuotaTotal             Code = 208
	LegacyKeyNotGranted    Code = 209
	KeyOfAnotherOwner      Code = 210
	KeyOfAnotherDevice     Code = 211
	KeyBarred              Code = 212
	KeySuspended           Code = 213
	DeviceHasAnotherKey    Code = 214
	SignatureDiffers       Code = 215
	TooManyCertificates    Code = 216
	CertIDTaken            Code = 217
	KeyOfTheConsortium     Code = 218
	InstanceOfAnother      Code = 219
	UnknownTarget          Code = 220
	TargetMismatch         Code = 221
	NotAuthorised          Code = 222
	ScopeUnavailable       Code = 223
	BadReason              Code = 224
	AlreadyRevoked         Code = 225
	AlreadySuspended       Code = 226
	NotSuspended           Code = 227
	HigherAuthority        Code = 228
	NotRecent              Code = 229
	StateChanged           Code = 230
	SuspendQuota           Code = 231
	HardwareTypeNotOwned   Code = 232
	InstanceHasAnotherName Code = 233
	NotGenesis             Code = 240
	BadGenesis             Code = 241
)

var authority = []Reason{
	{NotAPublisher, "not-a-publisher", "The signer is not a line key with the right to publish."},
	{LineKeyNotInForce, "line-key-not-in-force", "The line key is not yet, or no longer, in force at this height."},
	{OrganisationState, "organisation-not-active", "The organisation behind the signer is not active."},
	{ProfileNotGranted, "profile-not-granted", "The organisation or its line key may not publish this profile."},
	{SerialNotOwned, "serial-not-owned", "The device serial is in no serial namespace of this organisation and line key."},
	{SerialOutOfRange, "serial-out-of-range", "The device serial is outside the ranges granted to this line key."},
	{NameNotOwned, "name-not-owned", "A DNS name is in no namespace of this organisation and line key."},
	{QuotaDay, "quota-day", "The daily quota is used up; try again tomorrow (UTC)."},
	{QuotaTotal, "quota-total", "The total quota is used up; the organisation's grant must be changed."},
	{LegacyKeyNotGranted, "legacy-key-not-granted", "RSA 2048 is accepted only where the organisation's grant says legacy."},
	{KeyOfAnotherOwner, "key-of-another-owner", "This public key is already published by another organisation."},
	{KeyOfAnotherDevice, "key-of-another-device", "This public key is already published for another device."},
	{KeyBarred, "key-barred", "This public key was revoked as a key and is barred for ever."},
	{KeySuspended, "key-suspended", "A certificate over this key is suspended; resume or revoke it first."},
	{DeviceHasAnotherKey, "device-has-another-key", "This device serial, or instance id, is already published with another key."},
	{SignatureDiffers, "signature-differs", "The same certificate content is published with other signature bytes; submit the published bytes."},
	{TooManyCertificates, "too-many-certificates", "This key already has the most certificates it may have."},
	{CertIDTaken, "cert-id-taken", "A certificate with this issuer name, key and serial number is published already: OCSP could not tell the two apart. Use a new serial number."},
	{KeyOfTheConsortium, "key-of-the-consortium", "This public key is a member's or organisation's own; one key has one purpose."},
	{InstanceOfAnother, "instance-of-another-owner", "This instance id is bound to another organisation, which published it first; take a new one."},
	{UnknownTarget, "unknown-target", "No published certificate has this key."},
	{TargetMismatch, "target-mismatch", "The leaf named is not a certificate of the key named."},
	{NotAuthorised, "not-authorised", "The signers have no authority for this action in this scope."},
	{ScopeUnavailable, "scope-unavailable", "This scope is not available at the rule version in force."},
	{BadReason, "bad-reason", "This reason does not go with this action, scope or authority."},
	{AlreadyRevoked, "already-revoked", "It is already revoked for a reason that this one does not replace."},
	{AlreadySuspended, "already-suspended", "It is already suspended by an authority not lower than this one."},
	{NotSuspended, "not-suspended", "There is nothing suspended to resume."},
	{HigherAuthority, "higher-authority", "It was suspended by a higher authority, which alone may resume it."},
	{NotRecent, "not-recent", "A line key may suspend only what it published in the last 7 days."},
	{StateChanged, "state-changed", "The status was changed since the leaf the request names; look again and decide again."},
	{SuspendQuota, "suspend-quota", "The line key has used up its suspensions for today (UTC)."},
	{HardwareTypeNotOwned, "hardware-type-not-owned", "The hwType of the hardwareModuleName is in no hardware namespace of this organisation and line key."},
	{InstanceHasAnotherName, "instance-has-another-name", "This instance id is bound to a DNS name that is not in the certificate; keep that name, or take a new id."},
	{NotGenesis, "not-genesis", "This operation is accepted only in the genesis block, or only within a proposal of the members."},
	{BadGenesis, "bad-genesis", "The genesis block is not complete or contradicts itself."},
}
