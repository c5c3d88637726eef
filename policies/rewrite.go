package policies

import (
	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

// The rewriting: whatever could take more than a constant time, or make a value larger than its parts, becomes a call of a function
// of this package, which counts before it acts. Its name cannot be written in a text, so no text calls it otherwise or hides it.
//
//	x + y, x - y, x * y, x // y, x % y        "+"(x, y) ...
//	x == y, x < y, ...                        "=="(x, y) ..., unless one side is written out: then it is as short as that is
//	x in y, x not in y                        "in"(x, y), unless y is a list of literals
//	x[y], x[y:z]                              "[]"(x, y), "[:]"(x, y, z)
//	x.method(y)                               ".method"(x, y)
//	[x, y], [x for ... ]                      ["item"(x), "item"(y)]: lists hold no lists, unless they are written in one another
//	the body of a function or loop            begins with "#"(number of nodes in it)

// toll is the call that counts the nodes of a body.
func (c *checker) toll(pos syntax.Position, nodes int) syntax.Expr {
	return call("#", pos, &syntax.Literal{Token: syntax.INT, TokenPos: pos, Raw: "", Value: int64(nodes)})
}

func call(name string, pos syntax.Position, args ...syntax.Expr) syntax.Expr {
	return &syntax.CallExpr{Fn: &syntax.Ident{NamePos: pos, Name: name}, Lparen: pos, Args: args, Rparen: pos}
}

// expr checks an expression and puts what it is rewritten to in its place.
func (c *checker) expr(p *syntax.Expr) error {
	if err := c.enter(*p); err != nil {
		return err
	}
	defer c.leave()
	switch e := (*p).(type) {
	case *syntax.Literal:
		return literal(e)
	case *syntax.Ident:
		return c.use(e)
	case *syntax.ParenExpr:
		return c.expr(&e.X)
	case *syntax.UnaryExpr:
		return c.unary(p, e)
	case *syntax.BinaryExpr:
		return c.binary(p, e)
	case *syntax.CondExpr:
		return c.exprs(&e.Cond, &e.True, &e.False)
	case *syntax.CallExpr:
		return c.call(p, e)
	case *syntax.DotExpr:
		if !fact(e.Name.Name) {
			return at(e.NamePos, "a certificate has no %s", e.Name.Name)
		}
		return c.expr(&e.X)
	case *syntax.IndexExpr:
		*p = call("[]", e.Lbrack, e.X, e.Y)
		return c.arguments(*p)
	case *syntax.SliceExpr:
		return c.slice(p, e)
	case *syntax.ListExpr:
		return c.list(e.Lbrack, e.List)
	case *syntax.TupleExpr:
		return c.list(syntax.Start(e), e.List)
	case *syntax.DictExpr:
		return c.dict(e)
	case *syntax.Comprehension:
		return c.comprehension(e)
	}
	return at(syntax.Start(*p), "rules have no such expression")
}

func (c *checker) exprs(list ...*syntax.Expr) error {
	for _, e := range list {
		if err := c.expr(e); err != nil {
			return err
		}
	}
	return nil
}

// arguments checks those of a call that was made here.
func (c *checker) arguments(e syntax.Expr) error {
	args := e.(*syntax.CallExpr).Args
	for i := range args {
		if err := c.expr(&args[i]); err != nil {
			return err
		}
	}
	return nil
}

func literal(e *syntax.Literal) error {
	switch v := e.Value.(type) {
	case int64:
		return nil
	case string:
		if e.Token == syntax.STRING {
			return checkString(e.TokenPos, v)
		}
	}
	return at(e.TokenPos, "literals are strings, and whole numbers below 2^63")
}

func checkString(pos syntax.Position, s string) error {
	for _, r := range s {
		if r == '\uFFFD' || r != '\n' && hidden(r) {
			return at(pos, "a string with the character U+%04X", r)
		}
	}
	return nil
}

// use checks that a name means something: a variable, or a constant. Functions are only called.
func (c *checker) use(e *syntax.Ident) error {
	_, constant := constants()[e.Name]
	switch {
	case e.Name == "True" || e.Name == "False" || e.Name == "None" || constant:
		return nil
	case c.later[e.Name]:
		return at(e.NamePos, "the function %s is not called", e.Name)
	case !c.bound[e.Name]:
		return at(e.NamePos, "%s is not defined", e.Name)
	}
	return nil
}

func (c *checker) unary(p *syntax.Expr, e *syntax.UnaryExpr) error {
	switch e.Op {
	case syntax.NOT:
		return c.expr(&e.X)
	case syntax.MINUS:
		*p = call("-", e.OpPos, &syntax.Literal{Token: syntax.INT, TokenPos: e.OpPos, Value: int64(0)}, e.X)
		return c.arguments(*p)
	}
	return at(e.OpPos, "rules have no operator %s here", e.Op)
}

func (c *checker) binary(p *syntax.Expr, e *syntax.BinaryExpr) error {
	switch e.Op {
	case syntax.AND, syntax.OR:
		return c.exprs(&e.X, &e.Y)
	case syntax.PLUS, syntax.MINUS, syntax.STAR, syntax.SLASHSLASH, syntax.PERCENT:
	case syntax.EQL, syntax.NEQ, syntax.LT, syntax.LE, syntax.GT, syntax.GE:
		if written(e.X) || written(e.Y) {
			return c.exprs(&e.X, &e.Y)
		}
	case syntax.IN, syntax.NOT_IN:
		if writtenList(e.Y) {
			return c.exprs(&e.X, &e.Y)
		}
		in := call("in", e.OpPos, e.X, e.Y)
		*p = in
		if e.Op == syntax.NOT_IN {
			*p = &syntax.UnaryExpr{OpPos: e.OpPos, Op: syntax.NOT, X: in}
		}
		return c.arguments(in)
	default:
		return at(e.OpPos, "rules have no operator %s", e.Op)
	}
	*p = call(e.Op.String(), e.OpPos, e.X, e.Y)
	return c.arguments(*p)
}

// written says whether an expression is a scalar written out.
func written(e syntax.Expr) bool {
	switch e := unparen(e).(type) {
	case *syntax.Literal:
		return true
	case *syntax.Ident:
		return e.Name == "True" || e.Name == "False" || e.Name == "None"
	}
	return false
}

// writtenList says whether an expression is a list of scalars written out.
func writtenList(e syntax.Expr) bool {
	var items []syntax.Expr
	switch e := unparen(e).(type) {
	case *syntax.ListExpr:
		items = e.List
	case *syntax.TupleExpr:
		items = e.List
	default:
		return false
	}
	for _, x := range items {
		if !written(x) {
			return false
		}
	}
	return true
}

func unparen(e syntax.Expr) syntax.Expr {
	for {
		p, ok := e.(*syntax.ParenExpr)
		if !ok {
			return e
		}
		e = p.X
	}
}

// call checks a call of a function of the text that is defined above, of a function of this package, or of a method.
func (c *checker) call(p *syntax.Expr, e *syntax.CallExpr) error {
	for _, a := range e.Args {
		switch a := a.(type) {
		case *syntax.UnaryExpr:
			if a.Op == syntax.STAR || a.Op == syntax.STARSTAR {
				return at(a.OpPos, "arguments are written one by one")
			}
		case *syntax.BinaryExpr:
			if a.Op == syntax.EQ {
				return at(a.OpPos, "arguments have no names")
			}
		}
	}
	switch fn := e.Fn.(type) {
	case *syntax.Ident:
		if params, ok := c.functions[fn.Name]; ok {
			if params != len(e.Args) {
				return at(e.Lparen, "%s takes %d arguments, not %d", fn.Name, params, len(e.Args))
			}
			return c.arguments(e)
		}
		f, ok := c.ours[fn.Name]
		if !ok {
			return at(fn.NamePos, "there is no function %s, or it is defined below", fn.Name)
		}
		if err := f.takes(e.Lparen, len(e.Args)); err != nil {
			return err
		}
		return c.arguments(e)
	case *syntax.DotExpr:
		f, ok := c.ours["."+fn.Name.Name]
		if !ok {
			return at(fn.NamePos, "there is no method %s", fn.Name.Name)
		}
		*p = call(f.name, fn.NamePos, append([]syntax.Expr{fn.X}, e.Args...)...)
		if err := f.takes(e.Lparen, len(e.Args)+1); err != nil {
			return err
		}
		return c.arguments(*p)
	}
	return at(e.Lparen, "only functions and methods are called, by their names")
}

func (c *checker) slice(p *syntax.Expr, e *syntax.SliceExpr) error {
	if e.Step != nil {
		return at(e.Lbrack, "a slice has a beginning and an end")
	}
	none := func(x syntax.Expr) syntax.Expr {
		if x == nil {
			return &syntax.Ident{NamePos: e.Lbrack, Name: "None"}
		}
		return x
	}
	*p = call("[:]", e.Lbrack, e.X, none(e.Lo), none(e.Hi))
	return c.arguments(*p)
}

// list checks what is written in a list or tuple.
func (c *checker) list(pos syntax.Position, items []syntax.Expr) error {
	if c.lists++; c.lists > maxLists {
		return at(pos, "lists nested more than %d deep", maxLists)
	}
	defer func() { c.lists-- }()
	for i := range items {
		if err := c.item(&items[i]); err != nil {
			return err
		}
	}
	return nil
}

// item checks an element: a list that is written out, or a scalar. So values are no deeper than texts write them, and what goes
// through one ends.
func (c *checker) item(p *syntax.Expr) error {
	nested := false
	switch e := unparen(*p).(type) {
	case *syntax.Literal, *syntax.Comprehension:
		return c.expr(p)
	case *syntax.ListExpr, *syntax.TupleExpr, *syntax.DictExpr:
		nested = true
	case *syntax.BinaryExpr:
		nested = e.Op != syntax.AND && e.Op != syntax.OR && comparison(e.Op) // a truth value
	}
	if nested {
		return c.expr(p)
	}
	lists := c.lists
	c.lists = 0 // what is written within is within no list
	err := c.expr(p)
	c.lists = lists
	*p = call("item", syntax.Start(*p), *p)
	return err
}

func comparison(op syntax.Token) bool {
	switch op {
	case syntax.EQL, syntax.NEQ, syntax.LT, syntax.LE, syntax.GT, syntax.GE, syntax.IN, syntax.NOT_IN:
		return true
	}
	return false
}

func (c *checker) dict(e *syntax.DictExpr) error {
	if c.lists++; c.lists > maxLists {
		return at(e.Lbrace, "lists nested more than %d deep", maxLists)
	}
	defer func() { c.lists-- }()
	for _, x := range e.List {
		entry := x.(*syntax.DictEntry)
		if !written(entry.Key) {
			return at(syntax.Start(entry), "the keys of a dict are written out")
		}
		if err := c.expr(&entry.Key); err != nil {
			return err
		}
		if err := c.item(&entry.Value); err != nil {
			return err
		}
	}
	return nil
}

// comprehension checks a list comprehension. Every loop in it pays for all nodes of the whole at each turn.
func (c *checker) comprehension(e *syntax.Comprehension) error {
	if e.Curly {
		return at(e.Lbrack, "dicts are written out")
	}
	if c.lists++; c.lists > maxLists {
		return at(e.Lbrack, "lists nested more than %d deep", maxLists)
	}
	defer func() { c.lists-- }()
	before := c.nodes
	for _, clause := range e.Clauses {
		var err error
		switch clause := clause.(type) {
		case *syntax.ForClause:
			err = c.expr(&clause.X)
		case *syntax.IfClause:
			err = c.expr(&clause.Cond)
		}
		if err != nil {
			return err
		}
	}
	if err := c.item(&e.Body); err != nil {
		return err
	}
	var clauses []syntax.Node
	for _, clause := range e.Clauses {
		clauses = append(clauses, clause)
		if loop, ok := clause.(*syntax.ForClause); ok {
			clauses = append(clauses, &syntax.IfClause{If: loop.For, Cond: c.toll(loop.For, c.nodes-before+1)})
		}
	}
	e.Clauses = clauses
	return nil
}

// constants are values with a name.
func constants() starlark.StringDict {
	return starlark.StringDict{"DAY": starlark.MakeInt64(24 * 60 * 60 * 1000)}
}
