package reason

// Reasons about proposals, votes and registrations (300-339).
const (
	NotAMember          Code = 300
	UnknownProposal     Code = 301
	ProposalDecided     Code = 302
	ProposalExpired     Code = 303
	ProposalDiffers     Code = 304
	TooManyProposals    Code = 305
	NotProposable       Code = 306
	HoldTooShort        Code = 307
	HoldNotAllowed      Code = 308
	NotTheProposer      Code = 309
	ProposalTooFar      Code = 310
	VoteUnchanged       Code = 311
	AlreadyCutOff       Code = 312
	Countersignature    Code = 313
	TooManyCutOffs      Code = 314
	ByVoteOnly          Code = 315
	RegistrationForm    Code = 320
	NameTaken           Code = 321
	RecordTaken         Code = 322
	KeyTaken            Code = 323
	NamespaceOverlap    Code = 324
	NamespaceReserved   Code = 325
	UnknownOrganisation Code = 326
	UnknownNamespace    Code = 327
	LineKeyPossession   Code = 328
	UnknownProfile      Code = 329
	RuleVersionStep     Code = 330
	OrganisationEnded   Code = 331
	MemberRole          Code = 332
	UnknownLineKey      Code = 333
	NotDelegable        Code = 334
	NotWithinParent     Code = 335
	TooManyDelegations  Code = 336
	AdminKeyPossession  Code = 337
	NothingChanges      Code = 338
)

var governance = []Reason{
	{NotAMember, "not-a-member", "Proposals and votes are signed by governance keys of members in force, and by nobody else."},
	{UnknownProposal, "unknown-proposal", "No proposal is at this leaf."},
	{ProposalDecided, "proposal-decided", "The proposal is decided or withdrawn; make a new one."},
	{ProposalExpired, "proposal-expired", "The proposal expired before enough members had voted; make a new one."},
	{ProposalDiffers, "proposal-differs", "The vote is on another proposal than the one at this leaf: the digests differ. Look at it again before you vote."},
	{TooManyProposals, "too-many-proposals", "Too many proposals are open, of this member or of all; decide or withdraw some."},
	{NotProposable, "not-proposable", "This operation is not one that members vote on."},
	{HoldTooShort, "hold-too-short", "What widens trust waits longer than this between decision and effect; the consortium's rules say how long."},
	{HoldNotAllowed, "hold-not-allowed", "What takes trust away never waits; propose it by itself, without a hold."},
	{NotTheProposer, "not-the-proposer", "Only the member that made a proposal withdraws it."},
	{ProposalTooFar, "proposal-expiry-too-far", "A proposal expires after the block's time, and at most 90 days after it."},
	{VoteUnchanged, "vote-unchanged", "These members have voted so already."},
	{AlreadyCutOff, "already-cut-off", "It is cut off already, and nothing that it vouched for since would be revoked by this."},
	{Countersignature, "countersignature-needed", "The line key is cut off: what it publishes now needs as many of its owner's admins' signatures beside its own as the organisation demands."},
	{TooManyCutOffs, "too-many-cut-offs", "It was cut off the most times that it may be; suspend the organisation."},
	{ByVoteOnly, "by-vote-only", "Only the members' vote changes this; an organisation's admins change its admin keys."},
	{RegistrationForm, "registration-form", "A field of the registration is missing, too long, or contradicts another."},
	{NameTaken, "name-taken", "An organisation has this short name already."},
	{RecordTaken, "record-taken", "This record id exists already; take a new nonce."},
	{KeyTaken, "key-taken", "This key is registered already, or belongs to a member or a published certificate; one key has one purpose."},
	{NamespaceOverlap, "namespace-overlap", "Another organisation owns a part of this namespace, or one that contains it."},
	{NamespaceReserved, "namespace-reserved", "Nobody can own this namespace."},
	{UnknownOrganisation, "unknown-organisation", "No organisation has this id."},
	{UnknownNamespace, "unknown-namespace", "No namespace has this id, or it has ended, or is another organisation's."},
	{LineKeyPossession, "line-key-possession", "The new line key did not sign its own registration, or its signature does not verify."},
	{UnknownProfile, "unknown-profile", "There is no profile with this number at the rule version in force."},
	{RuleVersionStep, "rule-version-step", "The rule version stays or goes up by one."},
	{OrganisationEnded, "organisation-ended", "The organisation has ended, which nothing undoes."},
	{MemberRole, "member-role", "The organisation is a member: the member set must let it go before it can lose the role, or end."},
	{UnknownLineKey, "unknown-line-key", "No line key has this id."},
	{NotDelegable, "not-delegable", "Nothing can be delegated from this namespace: its grant does not say so, or its type has nothing below it."},
	{NotWithinParent, "not-within-parent", "A delegated namespace has the type of the one it is delegated from, and lies below it."},
	{TooManyDelegations, "too-many-delegations", "The most namespaces are delegated from this one already; take one back."},
	{AdminKeyPossession, "admin-key-possession", "A new admin key did not sign its own registration, or its signature does not verify."},
	{NothingChanges, "nothing-changes", "This is what the record says already."},
}
