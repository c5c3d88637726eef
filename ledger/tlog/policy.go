package tlog

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/quorate-pki/quorate/internal/reason"
)

const (
	// MaxMembers bounds a policy's witnesses.
	MaxMembers = 16

	// maxLogs bounds a policy's logs: each member's log key, and room while keys change.
	maxLogs = 2 * MaxMembers

	// maxURL bounds a URL, in bytes, so that the largest policy fits in MaxPolicy.
	maxURL = 512
)

// Policy says when a checkpoint is trusted: any log key signed it and a quorum of the members cosigned it
// (c2sp.org/tlog-policy). The form is restricted: all logs have one origin, all witnesses are in the one quorum, and the
// quorum is more than two thirds of them. No public key and no key name serves twice, so that nobody counts twice.
type Policy struct {
	Origin    string // of the log: the name of every log key
	Logs      []PolicyLog
	Witnesses []PolicyWitness
	Quorum    int // how many of the witnesses must cosign

	// What our own comment lines say (policyterms.go); other readers of the file do not see it.
	Set     *PolicySet // the member set that the file is of; nil: it does not say, and no newer one can be reached from it
	Expires int64      // seconds since 1970 after which it is not to be trusted; 0: never
}

// PolicyLog is a log line.
type PolicyLog struct {
	Key VKey   // TypeLog
	URL string // optional; http or https
}

// PolicyWitness is a witness line: a member, by its cosigning key.
type PolicyWitness struct {
	Name string // the member's name within the policy
	Key  VKey   // TypeCosignature
	URL  string // optional; http or https
}

// N is the number of members.
func (p *Policy) N() int { return len(p.Witnesses) }

// F is the number of members that may be dishonest or silent: n - q.
func (p *Policy) F() int { return len(p.Witnesses) - p.Quorum }

// Same reports whether two policies trust the same keys, by the same quorum; URLs and terms apart.
func (p *Policy) Same(o *Policy) bool {
	logs := func(a, b PolicyLog) bool { return a.Key.String() == b.Key.String() }
	witnesses := func(a, b PolicyWitness) bool { return a.Name == b.Name && a.Key.String() == b.Key.String() }
	return p.Origin == o.Origin && p.Quorum == o.Quorum && slices.EqualFunc(p.Logs, o.Logs, logs) && slices.EqualFunc(p.Witnesses, o.Witnesses, witnesses)
}

// Check refuses a policy that ParsePolicy would not give, with reason.PolicyBreaksQuorum if the quorum is not more than
// two thirds (3q > 2n) and with reason.BadPolicy otherwise. Verify does it by itself.
func (p *Policy) Check() error {
	if err := p.check(); err != nil {
		return reason.New(reason.BadPolicy, "%v", err)
	}
	if n := len(p.Witnesses); 3*p.Quorum <= 2*n {
		return reason.New(reason.PolicyBreaksQuorum, "%d of %d", p.Quorum, n)
	}
	return nil
}

func (p *Policy) check() error {
	if err := checkName(p.Origin); err != nil {
		return fmt.Errorf("origin: %w", err)
	}
	if len(p.Logs) == 0 || len(p.Logs) > maxLogs {
		return fmt.Errorf("%d logs, want 1 to %d", len(p.Logs), maxLogs)
	}
	if len(p.Witnesses) > MaxMembers {
		return fmt.Errorf("%d witnesses, at most %d are allowed", len(p.Witnesses), MaxMembers)
	}
	if p.Quorum < 0 || p.Quorum > len(p.Witnesses) {
		return fmt.Errorf("a quorum of %d of %d witnesses", p.Quorum, len(p.Witnesses))
	}
	public := make(map[string]bool) // keys of both kinds: a key makes one kind of statement
	ids := make(map[uint32]bool)    // of logs, which share a name
	for _, l := range p.Logs {
		if err := checkPolicyKey(l.Key, TypeLog, l.URL, public); err != nil {
			return fmt.Errorf("log: %w", err)
		}
		if l.Key.Name != p.Origin {
			return fmt.Errorf("logs of two origins, %q and %q", p.Origin, l.Key.Name)
		}
		if ids[l.Key.ID()] {
			return fmt.Errorf("two log keys with the id %08x", l.Key.ID())
		}
		ids[l.Key.ID()] = true
	}
	names := make(map[string]bool)
	cosigners := make(map[string]bool)
	for _, w := range p.Witnesses {
		if err := checkPolicyName(w.Name); err != nil {
			return fmt.Errorf("witness: %w", err)
		}
		if err := checkPolicyKey(w.Key, TypeCosignature, w.URL, public); err != nil {
			return fmt.Errorf("witness %s: %w", w.Name, err)
		}
		if names[w.Name] {
			return fmt.Errorf("two witnesses named %s", w.Name)
		}
		if cosigners[w.Key.Name] {
			return fmt.Errorf("two witnesses with keys of %s", w.Key.Name)
		}
		names[w.Name], cosigners[w.Key.Name] = true, true
	}
	return nil
}

// urlForm is a grammar of our own: no two libraries agree on what else is a URL.
var urlForm = regexp.MustCompile(`^https?://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?([/?][!"$-~]*)?$`)

// checkPolicyKey checks the key and URL of a line, and adds the key to those seen.
func checkPolicyKey(v VKey, typ byte, rawURL string, seen map[string]bool) error {
	if err := v.check(); err != nil {
		return err
	}
	if v.Type != typ {
		return fmt.Errorf("a key of signature type 0x%02x, want 0x%02x", v.Type, typ)
	}
	if err := checkToken(v.Name); err != nil {
		return err
	}
	if seen[string(v.Public)] {
		return fmt.Errorf("the public key of %s is listed twice", v.Name)
	}
	seen[string(v.Public)] = true
	if rawURL == "" {
		return nil
	}
	if len(rawURL) > maxURL {
		return fmt.Errorf("a URL of %d bytes, at most %d are allowed", len(rawURL), maxURL)
	}
	if !urlForm.MatchString(rawURL) {
		return fmt.Errorf("URL %q is not http or https with a host", rawURL)
	}
	return nil
}

// checkPolicyName refuses what cannot name a witness or a group.
func checkPolicyName(name string) error {
	switch name {
	case "log", "witness", "group", "quorum", "all", "any", "none":
		return fmt.Errorf("%q is a keyword, not a name", name)
	}
	if err := checkName(name); err != nil {
		return err
	}
	return checkToken(name)
}

// checkToken refuses a word that parsers split in different ways, or that the specification has no place for.
func checkToken(s string) error {
	if !validName(strings.ReplaceAll(s, "+", "")) {
		return fmt.Errorf("%q has a space or control character", s)
	}
	if strings.ContainsAny(s, "#\x7f") { // some parsers see a comment in every #
		return fmt.Errorf("%q has a # or control character", s)
	}
	return nil
}

// Format is the one canonical text of a policy that Check accepts; logs and witnesses keep their order.
func (p *Policy) Format() []byte {
	var b strings.Builder
	line := func(words ...string) { b.WriteString(strings.TrimRight(strings.Join(words, " "), " ") + "\n") }
	p.formatTerms(line)
	for _, l := range p.Logs {
		line("log", l.Key.String(), l.URL)
	}
	group, members := "members", make([]string, 0, len(p.Witnesses))
	for _, w := range p.Witnesses {
		line("witness", w.Name, w.Key.String(), w.URL)
		members = append(members, w.Name)
	}
	for slices.Contains(members, group) {
		group += "-"
	}
	fmt.Fprintf(&b, "group %s %d %s\nquorum %s\n", group, p.Quorum, strings.Join(members, " "), group)
	return []byte(b.String())
}
