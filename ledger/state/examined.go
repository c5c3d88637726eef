package state

import (
	"errors"
	"sync"

	"github.com/quorate-pki/quorate/ca/profile"
	"github.com/quorate-pki/quorate/ledger"
)

// Facts are what does not depend on the state: what bytes say, and whether a signature is valid. Its answers must depend
// on the arguments alone: a cache may remember them, never a verdict.
type Facts interface {
	// Operation examines an operation's body; digest is the body's SHA-256, which the caller has checked.
	Operation(digest ledger.Hash, body []byte) *Examined
	// Transaction says whether a signature of an envelope is valid under a key.
	Transaction(spki []byte, s ledger.Signature) bool
	// Rule compiles the text of a member's rule; digest is the text's SHA-256. A *reason.Error is why the text is none; another error
	// means that there is nothing to compile it with, and judgement must stop.
	Rule(digest ledger.Hash, text string) (ledger.Rule, error)
}

// Direct establishes every fact when asked.
type Direct struct {
	Rules ledger.RuleEngine // nil: judges no channel that has rules of its own
}

var _ Facts = Direct{}

// Operation implements Facts.
func (Direct) Operation(_ ledger.Hash, body []byte) *Examined { return Examine(body) }

// Transaction implements Facts.
func (Direct) Transaction(spki []byte, s ledger.Signature) bool {
	key, err := profile.ParseSPKI(spki)
	return err == nil && key.VerifyCOSE(s.Alg, s.ToBeSigned, s.Bytes)
}

// Rule implements Facts.
func (d Direct) Rule(digest ledger.Hash, text string) (ledger.Rule, error) {
	if d.Rules == nil {
		return nil, errNoEngine
	}
	return d.Rules.Compile(digest, text)
}

var errNoEngine = errors.New("members' rules are in force, and there is nothing to run them with")

// Examined is what an operation's body says by itself, whoever sent it: decoded, and the certificate of a publication
// parsed. Nobody changes it. Safe for concurrent use.
type Examined struct {
	Op   ledger.Op
	Args any   // of ledger.ParseBody
	Err  error // why the body is no operation

	Certificate *profile.Certificate // of a publication, or rekey
	NoParse     error                // why there is none in it
	SPKI        ledger.Hash          // SHA-256 of the certificate's

	once  sync.Once
	valid bool
}

// Examine reads a body. It checks no signature.
func Examine(body []byte) *Examined {
	x := &Examined{}
	if x.Op, x.Args, x.Err = ledger.ParseBody(body); x.Err != nil {
		return x
	}
	if p := ledger.PublicationOf(x.Args); p != nil {
		if x.Certificate, x.NoParse = profile.Parse(p.Certificate); x.NoParse == nil {
			x.SPKI = ledger.Sum(x.Certificate.SPKI)
		}
	}
	return x
}

// SelfSigned says whether the certificate's own signature is valid; it is checked once, and who asks meanwhile waits.
func (x *Examined) SelfSigned() bool {
	x.once.Do(func() { x.valid = x.Certificate != nil && x.Certificate.CheckSelfSignature() == nil })
	return x.valid
}

// KnownSelfSigned tells that the signature of these very bytes was checked before, and is valid.
func (x *Examined) KnownSelfSigned() { x.once.Do(func() { x.valid = true }) }
