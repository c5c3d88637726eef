package reason

// Reasons about member sets (340-349).
const (
	MemberSetNotNext    Code = 340
	MemberSetStep       Code = 341
	MemberSetQuorum     Code = 342
	MemberReused        Code = 343
	MemberKeyReused     Code = 344
	MemberUnregistered  Code = 345
	MemberSetSignatures Code = 346
	MemberConsent       Code = 347
	MemberSetAlone      Code = 348
	MemberSetUnknown    Code = 349
)

var members = []Reason{
	{MemberSetNotNext, "member-set-not-next", "The member set does not follow the one in force: its number is one more, and it names that one's hash. Make it anew from the one in force."},
	{MemberSetStep, "member-set-step", "A member set changes by one step: one member comes, goes, takes another's place or gets new keys."},
	{MemberSetQuorum, "member-set-quorum", "The quorum is more than two thirds of the members, and at most all of them."},
	{MemberReused, "member-reused", "Numbers and names of members are never given to another."},
	{MemberKeyReused, "member-key-reused", "A key of the member set has, or had, another purpose or owner; make a new one."},
	{MemberUnregistered, "member-unregistered", "A member is a registered organisation of the same name with the role of a member."},
	{MemberSetSignatures, "member-set-signatures", "The member set is not signed by a quorum of the old and of the new set, or a signature does not verify."},
	{MemberConsent, "member-consent", "The member that is new, or has new keys, has not signed the member set."},
	{MemberSetAlone, "member-set-alone", "A member alone stays alone, and several members stay several: they order by different engines. Found a new channel."},
	{MemberSetUnknown, "member-set-unknown", "Nothing leads from the member set that is trusted to this one."},
}
