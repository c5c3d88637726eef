package tlog

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/quorate-pki/quorate/internal/reason"
)

// MaxPolicy bounds a policy file, in bytes.
const MaxPolicy = 64 << 10

// ParsePolicy parses a policy file (c2sp.org/tlog-policy) of the restricted form: log lines of one origin, and as quorum
// either the only witness or one group of all witnesses. Blank lines, comment lines, spaces and tabs are free, but for comment lines that
// begin with "# quorate:", which are terms (policyterms.go); a '#' that does not begin a line is refused, because parsers disagree on it. A refusal is reason.BadPolicy or
// reason.PolicyBreaksQuorum.
func ParsePolicy(data []byte) (*Policy, error) {
	p, err := parsePolicy(data)
	if err != nil {
		return nil, reason.New(reason.BadPolicy, "%v", err)
	}
	if err := p.Check(); err != nil {
		return nil, err
	}
	return p, nil
}

func parsePolicy(data []byte) (*Policy, error) {
	if len(data) > MaxPolicy {
		return nil, fmt.Errorf("a policy of %d bytes, at most %d are allowed", len(data), MaxPolicy)
	}
	text := string(data)
	if i := strings.IndexFunc(text, func(r rune) bool { return r < 0x20 && r != '\n' && r != '\t' || r == 0x7f }); i >= 0 {
		return nil, fmt.Errorf("control character 0x%02x", text[i])
	}
	if !strings.HasSuffix(text, "\n") {
		return nil, errors.New("the last line is not terminated")
	}
	var parser policyParser
	number := 0
	for line := range strings.Lines(text) {
		number++
		words := strings.FieldsFunc(line, func(r rune) bool { return r == ' ' || r == '\t' || r == '\n' })
		if len(words) == 0 {
			continue
		}
		if strings.HasPrefix(words[0], "#") {
			if err := parser.policy.comment(line, words); err != nil {
				return nil, fmt.Errorf("line %d: %w", number, err)
			}
			continue
		}
		if err := parser.line(words); err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
	}
	return parser.finish()
}

// policyParser is what the lines so far said.
type policyParser struct {
	policy    Policy
	group     string   // its name, "" before there is one
	members   []string // of the group
	threshold int      // of the group
	quorum    string   // the name in the quorum line, "" before there is one
}

func (p *policyParser) line(words []string) error {
	switch keyword, args := words[0], words[1:]; keyword {
	case "log":
		return p.log(args)
	case "witness":
		return p.witness(args)
	case "group":
		return p.defineGroup(args)
	case "quorum":
		return p.defineQuorum(args)
	default:
		return fmt.Errorf("unknown keyword %.40q", keyword)
	}
}

// log <vkey> [<url>]
func (p *policyParser) log(args []string) error {
	if len(args) < 1 || len(args) > 2 {
		return errors.New("want: log <vkey> [<url>]")
	}
	key, err := ParseVKey(args[0])
	if err != nil {
		return err
	}
	if len(p.policy.Logs) == 0 {
		p.policy.Origin = key.Name
	}
	p.policy.Logs = append(p.policy.Logs, PolicyLog{Key: key, URL: optional(args, 1)})
	return nil
}

// witness <name> <vkey> [<url>]
func (p *policyParser) witness(args []string) error {
	if len(args) < 2 || len(args) > 3 {
		return errors.New("want: witness <name> <vkey> [<url>]")
	}
	if err := p.checkNew(args[0]); err != nil {
		return err
	}
	key, err := ParseVKey(args[1])
	if err != nil {
		return err
	}
	p.policy.Witnesses = append(p.policy.Witnesses, PolicyWitness{Name: args[0], Key: key, URL: optional(args, 2)})
	return nil
}

// group <name> all|any|<k> <name>...
func (p *policyParser) defineGroup(args []string) error {
	if len(args) < 3 {
		return errors.New("want: group <name> all|any|<k> <name> and more names")
	}
	if p.group != "" {
		return errors.New("a second group: only one, of all witnesses, is accepted")
	}
	name, k, members := args[0], args[1], args[2:]
	if err := p.checkNew(name); err != nil {
		return err
	}
	for i, m := range members {
		if !p.isWitness(m) {
			return fmt.Errorf("group member %.80q is not a witness defined before", m)
		}
		if slices.Contains(members[:i], m) {
			return fmt.Errorf("group member %.80q is listed twice", m)
		}
	}
	switch k {
	case "all":
		p.threshold = len(members)
	case "any":
		p.threshold = 1
	default:
		n, err := parseDecimal(k)
		if err != nil || n < 1 || n > uint64(len(members)) {
			return fmt.Errorf("group threshold %.40q of %d members", k, len(members))
		}
		p.threshold = int(n)
	}
	p.group, p.members = name, members
	return nil
}

// quorum <name>
func (p *policyParser) defineQuorum(args []string) error {
	if len(args) != 1 {
		return errors.New("want: quorum <name>")
	}
	if p.quorum != "" {
		return errors.New("a second quorum line")
	}
	if name := args[0]; name != "none" && name != p.group && !p.isWitness(name) {
		return fmt.Errorf("quorum %.80q is not defined before", name)
	}
	p.quorum = args[0]
	return nil
}

// finish settles the quorum: Check says whether it suffices.
func (p *policyParser) finish() (*Policy, error) {
	counted := p.members
	switch p.quorum {
	case "":
		return nil, errors.New("no quorum line")
	case "none":
		return &p.policy, nil
	case p.group:
		p.policy.Quorum = p.threshold
	default:
		counted = []string{p.quorum}
		p.policy.Quorum = 1
		if p.group != "" {
			return nil, errors.New("a group that is not the quorum")
		}
	}
	if len(counted) != len(p.policy.Witnesses) {
		return nil, fmt.Errorf("the quorum counts %d of %d witnesses", len(counted), len(p.policy.Witnesses))
	}
	return &p.policy, nil
}

// checkNew refuses a name that is no name or taken.
func (p *policyParser) checkNew(name string) error {
	if err := checkPolicyName(name); err != nil {
		return err
	}
	if name == p.group || p.isWitness(name) {
		return fmt.Errorf("%q is defined twice", name)
	}
	return nil
}

func (p *policyParser) isWitness(name string) bool {
	return slices.ContainsFunc(p.policy.Witnesses, func(w PolicyWitness) bool { return w.Name == name })
}

// optional is the i-th word, "" if there are fewer.
func optional(words []string, i int) string {
	if i < len(words) {
		return words[i]
	}
	return ""
}
