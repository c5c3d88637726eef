package reason

// Reasons about the channels of a consortium (360-369).
const (
	ChannelNameTaken     Code = 360
	ChannelMemberUnknown Code = 361
	ChannelConsent       Code = 362
	ChannelKnown         Code = 363
	NotTheMainChannel    Code = 364
	TooManyChannels      Code = 365
	ChannelNotCreated    Code = 366
	ChannelProof         Code = 367
)

var channels = []Reason{
	{ChannelNameTaken, "channel-name-taken", "The consortium has a channel of this name already; choose another."},
	{ChannelMemberUnknown, "channel-member-unknown", "The members of a channel must be members of the main channel, by their numbers there."},
	{ChannelConsent, "channel-consent", "Every member of a new channel must have consented by its governance key; one of these signatures does not verify."},
	{ChannelKnown, "channel-known", "A channel with this genesis exists already."},
	{NotTheMainChannel, "not-the-main-channel", "Only the consortium's first channel creates further ones."},
	{TooManyChannels, "too-many-channels", "The consortium has the most channels it may have."},
	{ChannelNotCreated, "channel-not-created", "The main channel has created no channel of this name with this genesis and these members."},
	{ChannelProof, "channel-proof", "What is said to prove a channel does not hang together."},
}
