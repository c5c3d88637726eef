package reason

// Reasons about members' own admission rules (350-359).
const (
	RuleRefused     Code = 350
	RuleNotCompiled Code = 351
	RuleWorkLimit   Code = 352
	RuleSizeLimit   Code = 353
	RuleResult      Code = 354
	RuleFailed      Code = 355
	RuleDiffers     Code = 356
	RuleScope       Code = 357
	TooManyRules    Code = 358
)

var rules = []Reason{
	{RuleRefused, "rule-refused", "A rule that the members voted for refuses this certificate; quorate rule why says which, and its sentence."},
	{RuleNotCompiled, "rule-not-compiled", "The text is no rule: it does not read as Starlark, or uses what rules do not have. quorate rule check says where."},
	{RuleWorkLimit, "rule-work-limit", "The rule took more work than one certificate may cost, so it refused; simplify the rule."},
	{RuleSizeLimit, "rule-size-limit", "The rule made more strings and lists than one certificate may cost, so it refused; simplify the rule."},
	{RuleResult, "rule-result", "The rule returned neither True nor a sentence, so it refused; every path through a rule ends in one of the two."},
	{RuleFailed, "rule-failed", "The rule failed on this certificate, so it refused: a value of another type, a missing key, a number too large. quorate rule try finds such cases."},
	{RuleDiffers, "rule-differs", "The rule in force for this profile and organisation is another than the one to be replaced; look at it and propose again."},
	{RuleScope, "rule-scope", "A rule is for a profile and an organisation that exist, or for all."},
	{TooManyRules, "too-many-rules", "As many rules are in force as a channel may have; remove one first."},
}
