package policies

import "github.com/quorate-pki/quorate/ledger"

// Engine is the ledger.RuleEngine of this package. It keeps nothing.
type Engine struct{}

var _ ledger.RuleEngine = Engine{}

// Compile implements ledger.RuleEngine.
func (Engine) Compile(text string) (ledger.Rule, error) {
	p, err := Compile(text)
	if err != nil {
		return nil, err // never a nil *Program in an interface
	}
	return p, nil
}
