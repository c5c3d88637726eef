package policies

import (
	"fmt"
	"math"
	"math/bits"
	"slices"
	"strings"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

// function is one of this package's: what texts call by a name, by a method's, or what an operator is rewritten to.
type function struct {
	name     string
	min, max int // arguments, the value before the dot included
	run      func(m *meter, args starlark.Tuple) (starlark.Value, error)
}

func (f function) builtin() *starlark.Builtin {
	return starlark.NewBuiltin(f.name, func(t *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
		m := meterOf(t)
		if err := m.charge(costCall); err != nil {
			return nil, err
		}
		return f.run(m, args)
	})
}

// takes checks the number of arguments when the text is read.
func (f function) takes(pos syntax.Position, n int) error {
	if n < f.min || n > f.max {
		return at(pos, "%s with %d arguments", strings.TrimPrefix(f.name, "."), n)
	}
	return nil
}

// ours is the table of all functions. A method has a dot before its name.
func ours() []function {
	return []function{
		// What texts are rewritten to.
		{"#", 1, 1, toll},
		{"item", 1, 1, item},
		{"+", 2, 2, add},
		{"+=", 2, 2, addTo},
		{"-", 2, 2, arithmetic('-')},
		{"*", 2, 2, arithmetic('*')},
		{"//", 2, 2, arithmetic('/')},
		{"%", 2, 2, arithmetic('%')},
		{"==", 2, 2, compare(syntax.EQL)},
		{"!=", 2, 2, compare(syntax.NEQ)},
		{"<", 2, 2, compare(syntax.LT)},
		{"<=", 2, 2, compare(syntax.LE)},
		{">", 2, 2, compare(syntax.GT)},
		{">=", 2, 2, compare(syntax.GE)},
		{"in", 2, 2, contains},
		{"[]", 2, 2, index},
		{"[:]", 3, 3, slice},

		// What they call.
		{"len", 1, 1, length},
		{"any", 1, 1, quantify(true)},
		{"all", 1, 1, quantify(false)},
		{"min", 1, 1, extreme(syntax.LT)},
		{"max", 1, 1, extreme(syntax.GT)},
		{"sorted", 1, 1, sorted},
		{"str", 1, 1, str},
		{"within", 2, 2, within},
		{".startswith", 2, 2, affix(strings.HasPrefix)},
		{".endswith", 2, 2, affix(strings.HasSuffix)},
		{".removeprefix", 2, 2, edit(strings.TrimPrefix)},
		{".removesuffix", 2, 2, edit(strings.TrimSuffix)},
		{".find", 2, 2, counted(strings.Index)},
		{".count", 2, 2, counted(strings.Count)},
		{".split", 2, 2, split},
		{".join", 2, 2, join},
		{".lower", 1, 1, mapped('A', 'Z', 'a'-'A')},
		{".upper", 1, 1, mapped('a', 'z', 'A'-'a')},
		{".isdigit", 1, 1, isDigit},
		{".get", 2, 3, get},
		{".keys", 1, 1, entries(true, false)},
		{".values", 1, 1, entries(false, true)},
		{".items", 1, 1, entries(true, true)},
	}
}

// toll counts the nodes of a body; as a condition it is true.
func toll(m *meter, args starlark.Tuple) (starlark.Value, error) {
	n, err := number(args[0])
	if err != nil {
		return nil, err
	}
	return starlark.True, m.charge(int(n))
}

// item lets scalars into lists.
func item(_ *meter, args starlark.Tuple) (starlark.Value, error) {
	if scalar(args[0]) {
		return args[0], nil
	}
	return nil, fmt.Errorf("a %s in a list; lists are nested only as they are written", args[0].Type())
}

func scalar(v starlark.Value) bool {
	switch v.(type) {
	case starlark.NoneType, starlark.Bool, starlark.Int, starlark.String:
		return true
	}
	return false
}

// number is a whole number of 64 bits: every other one has an unbounded size.
func number(v starlark.Value) (int64, error) {
	if i, ok := v.(starlark.Int); ok {
		if n, ok := i.Int64(); ok {
			return n, nil
		}
	}
	return 0, fmt.Errorf("a %s where a whole number is needed", v.Type())
}

func text(v starlark.Value) (string, error) {
	if s, ok := starlark.AsString(v); ok {
		return s, nil
	}
	return "", fmt.Errorf("a %s where a string is needed", v.Type())
}

// list is a list or tuple.
func list(v starlark.Value) (starlark.Indexable, error) {
	switch v := v.(type) {
	case *starlark.List:
		return v, nil
	case starlark.Tuple:
		return v, nil
	}
	return nil, fmt.Errorf("a %s where a list is needed", v.Type())
}

// elements copies a list, after counting it.
func elements(m *meter, v starlark.Value) ([]starlark.Value, error) {
	l, err := list(v)
	if err != nil {
		return nil, err
	}
	if err := m.grow(l.Len() * sizeItem); err != nil {
		return nil, err
	}
	out := make([]starlark.Value, l.Len())
	for i := range out {
		out[i] = l.Index(i)
	}
	return out, nil
}

// add is + of numbers, strings and lists.
func add(m *meter, args starlark.Tuple) (starlark.Value, error) {
	switch x := args[0].(type) {
	case starlark.Int:
		return plus(args)
	case starlark.String:
		y, err := text(args[1])
		if err != nil {
			return nil, err
		}
		if err := m.grow(len(x) + len(y)); err != nil {
			return nil, err
		}
		return x + starlark.String(y), nil
	}
	// What is within both is counted, because it will be there once more for all that goes through it.
	for _, v := range args {
		if _, err := list(v); err != nil {
			return nil, err
		}
		if err := m.deep(v); err != nil {
			return nil, err
		}
	}
	x, err := elements(m, args[0])
	if err != nil {
		return nil, err
	}
	y, err := elements(m, args[1])
	if err != nil {
		return nil, err
	}
	if _, tuple := args[0].(starlark.Tuple); tuple {
		return append(starlark.Tuple(x), y...), nil
	}
	return starlark.NewList(append(x, y...)), nil
}

// addTo is + of what Starlark would not change in place.
func addTo(m *meter, args starlark.Tuple) (starlark.Value, error) {
	if _, ok := args[0].(*starlark.List); ok {
		return nil, fmt.Errorf("lists do not change; x = x + y makes a new one")
	}
	return add(m, args)
}

func plus(args starlark.Tuple) (starlark.Value, error) { return arithmetic('+')(nil, args) }

// arithmetic is that of whole numbers of 64 bits; what leaves them is an error. Division rounds down, and a remainder has the
// sign of the divisor, as in Starlark.
func arithmetic(op byte) func(*meter, starlark.Tuple) (starlark.Value, error) {
	return func(_ *meter, args starlark.Tuple) (starlark.Value, error) {
		x, err := number(args[0])
		if err != nil {
			return nil, err
		}
		y, err := number(args[1])
		if err != nil {
			return nil, err
		}
		n, ok := int64(0), true
		switch op {
		case '+':
			n = x + y
			ok = (n > x) == (y > 0)
		case '-':
			n = x - y
			ok = (n < x) == (y > 0)
		case '*':
			n, ok = times(x, y)
		default:
			if y == 0 {
				return nil, fmt.Errorf("division by zero")
			}
			if ok = x != math.MinInt64 || y != -1; !ok {
				break
			}
			q, r := x/y, x%y
			if r != 0 && (r < 0) != (y < 0) {
				q, r = q-1, r+y
			}
			if n = q; op == '%' {
				n = r
			}
		}
		if !ok {
			return nil, fmt.Errorf("a number beyond 64 bits")
		}
		return starlark.MakeInt64(n), nil
	}
}

// times multiplies, and says whether the product has 64 bits.
func times(x, y int64) (int64, bool) {
	magnitude := func(n int64) uint64 {
		if n < 0 {
			return -uint64(n)
		}
		return uint64(n)
	}
	high, low := bits.Mul64(magnitude(x), magnitude(y))
	negative := (x < 0) != (y < 0)
	switch {
	case high != 0 || low > 1<<63 || low == 1<<63 && !negative:
		return 0, false
	case negative:
		return -int64(low), true
	}
	return int64(low), true
}

// compare is the six comparisons. Only numbers, and only strings, have an order.
func compare(op syntax.Token) func(*meter, starlark.Tuple) (starlark.Value, error) {
	return func(m *meter, args starlark.Tuple) (starlark.Value, error) {
		ok, err := compared(m, op, args[0], args[1])
		return starlark.Bool(ok), err
	}
}

func compared(m *meter, op syntax.Token, x, y starlark.Value) (bool, error) {
	if err := m.deep(x); err != nil {
		return false, err
	}
	if err := m.deep(y); err != nil {
		return false, err
	}
	if op != syntax.EQL && op != syntax.NEQ && (!scalar(x) || !scalar(y)) {
		return false, fmt.Errorf("%s and %s have no order", x.Type(), y.Type())
	}
	return starlark.Compare(op, x, y)
}

// contains is in: of a list, of the keys of a dict, of a string.
func contains(m *meter, args starlark.Tuple) (starlark.Value, error) {
	x := args[0]
	switch y := args[1].(type) {
	case starlark.String:
		part, err := text(x)
		if err != nil {
			return nil, err
		}
		if err := m.bytes(len(y) + len(part)); err != nil {
			return nil, err
		}
		return starlark.Bool(strings.Contains(string(y), part)), nil
	case *starlark.Dict:
		_, found, err := lookup(m, y, x)
		return starlark.Bool(found), err
	}
	l, err := list(args[1])
	if err != nil {
		return nil, err
	}
	for i := range l.Len() {
		if ok, err := compared(m, syntax.EQL, x, l.Index(i)); ok || err != nil {
			return starlark.Bool(ok), err
		}
	}
	return starlark.False, nil
}

// lookup finds a key of a dict.
func lookup(m *meter, d *starlark.Dict, key starlark.Value) (starlark.Value, bool, error) {
	if !scalar(key) {
		return nil, false, fmt.Errorf("a %s as a key", key.Type())
	}
	if err := m.deep(key); err != nil {
		return nil, false, err
	}
	return d.Get(key)
}

func index(m *meter, args starlark.Tuple) (starlark.Value, error) {
	if d, ok := args[0].(*starlark.Dict); ok {
		v, found, err := lookup(m, d, args[1])
		if err == nil && !found {
			err = fmt.Errorf("the dict has no such key")
		}
		return v, err
	}
	l, err := list(args[0])
	if err != nil {
		return nil, err
	}
	i, err := number(args[1])
	if err != nil {
		return nil, err
	}
	if i < 0 {
		i += int64(l.Len())
	}
	if i < 0 || i >= int64(l.Len()) {
		return nil, fmt.Errorf("the list has no such index")
	}
	return l.Index(int(i)), nil
}

// slice is x[lo:hi], of strings by bytes and of lists.
func slice(m *meter, args starlark.Tuple) (starlark.Value, error) {
	s, isString := args[0].(starlark.String)
	n := len(s)
	if !isString {
		l, err := list(args[0])
		if err != nil {
			return nil, err
		}
		n = l.Len()
	}
	bound := func(v starlark.Value, none int) (int, error) {
		if v == starlark.None {
			return none, nil
		}
		i, err := number(v)
		if i < 0 {
			i += int64(n)
		}
		return int(max(0, min(i, int64(n)))), err
	}
	lo, err := bound(args[1], 0)
	if err != nil {
		return nil, err
	}
	hi, err := bound(args[2], n)
	if err != nil {
		return nil, err
	}
	hi = max(lo, hi)
	if isString {
		return s[lo:hi], nil
	}
	all, err := elements(m, args[0])
	if err != nil {
		return nil, err
	}
	if _, tuple := args[0].(starlark.Tuple); tuple {
		return starlark.Tuple(all[lo:hi]), nil
	}
	return starlark.NewList(slices.Clip(all[lo:hi])), nil
}
