package policies

import (
	"sync"

	"github.com/quorate-pki/quorate/ledger"
)

// Engine is the ledger.RuleEngine of this package: it compiles a text once, and remembers what came of it. Safe for concurrent use.
type Engine struct {
	mu       sync.Mutex // guards what follows
	new, old map[ledger.Hash]compiled
}

// kept is how many texts are remembered at least; twice as many at most. All that can be in force are.
const kept = ledger.MaxRules

type compiled struct {
	rule ledger.Rule
	err  error
}

var _ ledger.RuleEngine = (*Engine)(nil)

// NewEngine returns an engine that has compiled nothing.
func NewEngine() *Engine { return new(Engine) }

// Compile implements ledger.RuleEngine.
func (e *Engine) Compile(digest ledger.Hash, text string) (ledger.Rule, error) {
	e.mu.Lock()
	c, ok := e.new[digest]
	if !ok {
		if c, ok = e.old[digest]; ok {
			e.keep(digest, c)
		}
	}
	e.mu.Unlock()
	if ok {
		return c.rule, c.err
	}
	p, err := Compile(text)
	if c.err = err; err == nil {
		c.rule = p // never a nil *Program in an interface
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.keep(digest, c)
	return c.rule, c.err
}

func (e *Engine) keep(digest ledger.Hash, c compiled) {
	if e.new == nil || len(e.new) >= kept {
		e.new, e.old = map[ledger.Hash]compiled{}, e.new
	}
	e.new[digest] = c
}
