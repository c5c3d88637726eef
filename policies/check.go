package policies

import (
	"slices"
	"strings"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"github.com/quorate-pki/quorate/internal/reason"
)

// checker holds a syntax tree to what rules may contain, and rewrites it on the way (rewrite.go). What is not on its lists is refused:
// a construct that a newer version of the library brings, too.
type checker struct {
	title     string
	bound     map[string]bool // every name that the text binds anywhere
	functions map[string]int  // functions defined so far, with the number of their parameters
	later     map[string]bool // and those defined anywhere
	ours      map[string]function
	inside    bool // a function
	nodes     int  // of the tree, so far
	depth     int
	lists     int // depth of lists written in one another
}

func newChecker() *checker {
	c := &checker{bound: map[string]bool{}, functions: map[string]int{}, later: map[string]bool{}, ours: map[string]function{}}
	for _, f := range ours() {
		c.ours[f.name] = f
	}
	return c
}

// enter counts a node.
func (c *checker) enter(n syntax.Node) error {
	c.nodes++
	if c.depth++; c.depth > maxNesting {
		start, _ := n.Span()
		return at(start, "nested more than %d deep", maxNesting)
	}
	return nil
}

func (c *checker) leave() { c.depth-- }

// file checks the top of a rule: a docstring, constants, functions.
func (c *checker) file(f *syntax.File) error {
	if err := c.bindings(f.Stmts); err != nil {
		return err
	}
	for i, s := range f.Stmts {
		switch s := s.(type) {
		case *syntax.ExprStmt:
			doc, ok := s.X.(*syntax.Literal)
			if i != 0 || !ok || doc.Token != syntax.STRING {
				return at(syntax.Start(s), "at the top of a rule are a docstring, constants and functions")
			}
			c.title, _, _ = strings.Cut(strings.TrimSpace(doc.Value.(string)), "\n")
		case *syntax.AssignStmt:
			if _, ok := s.LHS.(*syntax.Ident); !ok || s.Op != syntax.EQ {
				return at(s.OpPos, "a constant is assigned to one name, once")
			}
			if err := c.expr(&s.RHS); err != nil {
				return err
			}
		case *syntax.DefStmt:
			if err := c.function(s); err != nil {
				return err
			}
		default:
			return at(syntax.Start(s), "at the top of a rule are a docstring, constants and functions")
		}
	}
	if n, ok := c.functions[entry]; !ok || n != 1 {
		return reason.New(reason.RuleNotCompiled, "a rule defines a function %s of one argument, the certificate", entry)
	}
	return nil
}

// bindings collects the names that a text binds. A name that has a meaning already is not bound again: who reads the text must not
// have to look for what it means here.
func (c *checker) bindings(stmts []syntax.Stmt) (err error) {
	bind := func(e syntax.Expr) {
		names := []syntax.Expr{e}
		if t, ok := e.(*syntax.TupleExpr); ok {
			names = t.List
		}
		for _, n := range names {
			id, ok := n.(*syntax.Ident)
			switch {
			case err != nil:
			case !ok:
				err = at(syntax.Start(n), "only names are assigned to: values do not change")
			case strings.Trim(id.Name, nameCharacters) != "" || len(id.Name) > 64:
				err = at(id.NamePos, "a name is at most 64 of a-z A-Z 0-9 _")
			case c.taken(id.Name):
				err = at(id.NamePos, "%s has a meaning already; take another name", id.Name)
			default:
				c.bound[id.Name] = true
			}
		}
	}
	for _, s := range stmts {
		walk(s, func(n syntax.Node) {
			switch n := n.(type) {
			case *syntax.AssignStmt:
				bind(n.LHS)
			case *syntax.ForStmt:
				bind(n.Vars)
			case *syntax.ForClause:
				bind(n.Vars)
			case *syntax.DefStmt:
				bind(n.Name)
				c.later[n.Name.Name] = true
				for _, p := range n.Params {
					bind(p)
				}
			}
		})
	}
	return err
}

// taken says whether a name has a meaning in rules, or in Starlark.
func (c *checker) taken(name string) bool {
	_, function := c.ours[name]
	_, constant := constants()[name]
	return function || constant || slices.Contains(universe, name)
}

// universe are the names that Starlark itself gives a meaning. None but the constants is in reach of a rule, and none can be bound, so
// that a name which a text does not bind is never one of these. A test holds the list to the library's.
var universe = strings.Fields(`None True False abs all any bool bytes chr dict dir enumerate fail float getattr hasattr hash int len
	list max min ord print range repr reversed set sorted str tuple type zip`)

const nameCharacters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_"

// walk visits a tree; the library's own Walk tells of the ends of nodes, too.
func walk(n syntax.Node, visit func(syntax.Node)) {
	syntax.Walk(n, func(n syntax.Node) bool {
		if n != nil {
			visit(n)
		}
		return true
	})
}

func (c *checker) function(d *syntax.DefStmt) error {
	if c.inside {
		return at(d.Def, "a function within a function")
	}
	if _, twice := c.functions[d.Name.Name]; twice {
		return at(d.Def, "%s is defined twice", d.Name.Name)
	}
	c.inside = true
	body, err := c.body(d.Body)
	if err != nil {
		return err
	}
	d.Body = body
	c.inside = false
	c.functions[d.Name.Name] = len(d.Params) // from here on: what is called is defined above, so there is no recursion
	return nil
}

// body checks statements that are run as one, again and again perhaps, and has them pay for all nodes in them when they begin.
func (c *checker) body(stmts []syntax.Stmt) ([]syntax.Stmt, error) {
	before := c.nodes
	if err := c.stmts(stmts); err != nil {
		return nil, err
	}
	toll := &syntax.ExprStmt{X: c.toll(syntax.Start(stmts[0]), c.nodes-before)}
	return slices.Insert(stmts, 0, syntax.Stmt(toll)), nil
}

func (c *checker) stmts(stmts []syntax.Stmt) error {
	for _, s := range stmts {
		if err := c.stmt(s); err != nil {
			return err
		}
	}
	return nil
}

func (c *checker) stmt(s syntax.Stmt) error {
	if err := c.enter(s); err != nil {
		return err
	}
	defer c.leave()
	switch s := s.(type) {
	case *syntax.ReturnStmt:
		if s.Result == nil {
			return nil
		}
		return c.expr(&s.Result)
	case *syntax.BranchStmt: // pass, break, continue
		return nil
	case *syntax.IfStmt:
		return c.branches(s)
	case *syntax.ForStmt:
		if err := c.expr(&s.X); err != nil {
			return err
		}
		body, err := c.body(s.Body)
		s.Body = body
		return err
	case *syntax.AssignStmt:
		return c.assign(s)
	case *syntax.ExprStmt:
		if doc, ok := s.X.(*syntax.Literal); ok && doc.Token == syntax.STRING {
			return nil // a docstring
		}
		return at(syntax.Start(s), "an expression whose value nobody uses")
	case *syntax.DefStmt:
		return c.function(s)
	}
	return at(syntax.Start(s), "rules have no such statement")
}

// branches checks an if and its elifs, which the tree nests and the reader does not.
func (c *checker) branches(s *syntax.IfStmt) error {
	for {
		if err := c.expr(&s.Cond); err != nil {
			return err
		}
		if err := c.stmts(s.True); err != nil {
			return err
		}
		next, ok := syntax.Stmt(nil), len(s.False) == 1
		if ok {
			next = s.False[0]
		}
		elif, isIf := next.(*syntax.IfStmt)
		if !ok || !isIf {
			return c.stmts(s.False)
		}
		c.nodes++
		s = elif
	}
}

// assign turns x += y into x = x + y. Of lists, Starlark changes x itself, and whatever else has the same list sees it: that is refused
// when it runs, as a change of a value.
func (c *checker) assign(s *syntax.AssignStmt) error {
	if s.Op == syntax.EQ {
		return c.expr(&s.RHS)
	}
	name, ok := s.LHS.(*syntax.Ident)
	if ok && s.Op == syntax.PLUS_EQ {
		s.Op, s.RHS = syntax.EQ, call("+=", s.OpPos, &syntax.Ident{NamePos: name.NamePos, Name: name.Name}, s.RHS)
		return c.arguments(s.RHS)
	}
	op, known := map[syntax.Token]syntax.Token{syntax.MINUS_EQ: syntax.MINUS, syntax.STAR_EQ: syntax.STAR,
		syntax.SLASHSLASH_EQ: syntax.SLASHSLASH, syntax.PERCENT_EQ: syntax.PERCENT}[s.Op]
	if !ok || !known {
		return at(s.OpPos, "rules have no operator %s", s.Op)
	}
	s.RHS = &syntax.BinaryExpr{X: &syntax.Ident{NamePos: name.NamePos, Name: name.Name}, OpPos: s.OpPos, Op: op, Y: s.RHS}
	s.Op = syntax.EQ
	return c.expr(&s.RHS)
}

// predeclared is what a text may use that it does not define.
func (c *checker) predeclared() starlark.StringDict {
	out := starlark.StringDict{}
	for name, f := range c.ours {
		out[name] = f.builtin()
	}
	for name, v := range constants() {
		out[name] = v
	}
	return out
}
