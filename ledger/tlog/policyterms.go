package tlog

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Terms: what a policy file says that c2sp.org/tlog-policy has no line for. They are comment lines,
//
//	# quorate: member-set <number> <SHA-256 of the document, 64 hex digits>
//	# quorate: expires <time, RFC 3339, UTC, whole seconds>
//
// because every reader of the specification skips comments, and refuses keywords that it does not know: the same file stays good for
// stock tools, which cannot follow a member set to the next one and do not look at an expiry anyway. A comment that begins with "quorate:"
// and is not exactly a term is refused, so that a slip of the pen does not make a policy that never expires.

// PolicySet names a member-set document.
type PolicySet struct {
	Number uint64
	Hash   Hash
}

const termPrefix = "quorate:"

// comment takes a comment line, which may be a term.
func (p *Policy) comment(line string, words []string) error {
	text := strings.ToLower(strings.TrimLeft(strings.TrimSpace(line), "# \t"))
	if !strings.HasPrefix(text, termPrefix) {
		return nil
	}
	if words[0] != "#" || words[1] != termPrefix {
		return errors.New("a term begins with \"# quorate: \"")
	}
	switch args := words[2:]; {
	case len(args) == 3 && args[0] == "member-set":
		return p.setTerm(args[1], args[2])
	case len(args) == 2 && args[0] == "expires":
		return p.expiryTerm(args[1])
	}
	return errors.New("no term that is known: want member-set or expires")
}

func (p *Policy) setTerm(number, hash string) error {
	n, err := parseDecimal(number)
	raw, hexErr := hex.DecodeString(hash)
	switch {
	case p.Set != nil:
		return errors.New("a second member-set term")
	case err != nil || n == 0:
		return fmt.Errorf("member set number %.40q", number)
	case hexErr != nil || len(raw) != len(Hash{}) || hex.EncodeToString(raw) != hash:
		return fmt.Errorf("member set hash %.80q", hash)
	}
	p.Set = &PolicySet{Number: n, Hash: Hash(raw)}
	return nil
}

func (p *Policy) expiryTerm(text string) error {
	t, err := time.Parse(time.RFC3339, text)
	switch {
	case p.Expires != 0:
		return errors.New("a second expires term")
	case err != nil || t.UTC().Format(time.RFC3339) != text || t.Unix() <= 0:
		return fmt.Errorf("expiry %.40q", text)
	}
	p.Expires = t.Unix()
	return nil
}

// formatTerms writes the terms that there are.
func (p *Policy) formatTerms(line func(words ...string)) {
	if p.Set != nil {
		line("#", termPrefix, "member-set", strconv.FormatUint(p.Set.Number, 10), hex.EncodeToString(p.Set.Hash[:]))
	}
	if p.Expires != 0 {
		line("#", termPrefix, "expires", time.Unix(p.Expires, 0).UTC().Format(time.RFC3339))
	}
}

// ExpiredAt reports whether a policy is past its expiry at a time, in seconds since 1970.
func (p *Policy) ExpiredAt(seconds int64) bool { return p.Expires != 0 && seconds >= p.Expires }
