package policies

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

// length is len: bytes of a string, elements of a list, keys of a dict.
func length(_ *meter, args starlark.Tuple) (starlark.Value, error) {
	switch v := args[0].(type) {
	case starlark.String:
		return starlark.MakeInt(len(v)), nil
	case *starlark.Dict:
		return starlark.MakeInt(v.Len()), nil
	}
	l, err := list(args[0])
	if err != nil {
		return nil, err
	}
	return starlark.MakeInt(l.Len()), nil
}

// quantify is any and all.
func quantify(looked bool) func(*meter, starlark.Tuple) (starlark.Value, error) {
	return func(m *meter, args starlark.Tuple) (starlark.Value, error) {
		l, err := list(args[0])
		if err != nil {
			return nil, err
		}
		if err := m.charge(l.Len()); err != nil {
			return nil, err
		}
		for i := range l.Len() {
			if bool(l.Index(i).Truth()) == looked {
				return starlark.Bool(looked), nil
			}
		}
		return starlark.Bool(!looked), nil
	}
}

// extreme is min and max of a list that is not empty.
func extreme(op syntax.Token) func(*meter, starlark.Tuple) (starlark.Value, error) {
	return func(m *meter, args starlark.Tuple) (starlark.Value, error) {
		l, err := list(args[0])
		if err != nil {
			return nil, err
		}
		if l.Len() == 0 {
			return nil, fmt.Errorf("an empty list has no least or greatest")
		}
		best := l.Index(0)
		for i := 1; i < l.Len(); i++ {
			better, err := compared(m, op, l.Index(i), best)
			if err != nil {
				return nil, err
			}
			if better {
				best = l.Index(i)
			}
		}
		return best, nil
	}
}

// sorted is a new list in ascending order.
func sorted(m *meter, args starlark.Tuple) (starlark.Value, error) {
	all, err := elements(m, args[0])
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(all, func(a, b starlark.Value) int {
		if err != nil {
			return 0
		}
		var less, more bool
		if less, err = compared(m, syntax.LT, a, b); err == nil && !less {
			more, err = compared(m, syntax.GT, a, b)
		}
		switch {
		case less:
			return -1
		case more:
			return 1
		}
		return 0
	})
	return starlark.NewList(all), err
}

// str writes a number in decimal; a string is itself.
func str(m *meter, args starlark.Tuple) (starlark.Value, error) {
	if s, ok := args[0].(starlark.String); ok {
		return s, nil
	}
	n, err := number(args[0])
	if err != nil {
		return nil, err
	}
	s := strconv.FormatInt(n, 10)
	return starlark.String(s), m.grow(len(s))
}

// within says whether a DNS name is another or below it, at a label boundary.
func within(m *meter, args starlark.Tuple) (starlark.Value, error) {
	name, suffix, err := two(m, args)
	return starlark.Bool(name == suffix || suffix != "" && strings.HasSuffix(name, "."+suffix)), err
}

// two reads two strings, after counting them.
func two(m *meter, args starlark.Tuple) (x, y string, err error) {
	if x, err = text(args[0]); err != nil {
		return "", "", err
	}
	if y, err = text(args[1]); err != nil {
		return "", "", err
	}
	return x, y, m.bytes(len(x) + len(y))
}

// affix is startswith and endswith, of a string or of any of a tuple.
func affix(has func(s, affix string) bool) func(*meter, starlark.Tuple) (starlark.Value, error) {
	return func(m *meter, args starlark.Tuple) (starlark.Value, error) {
		any, ok := args[1].(starlark.Tuple)
		if !ok {
			any = args[1:]
		}
		for _, v := range any {
			x, y, err := two(m, starlark.Tuple{args[0], v})
			if err != nil || has(x, y) {
				return starlark.Bool(err == nil), err
			}
		}
		return starlark.False, nil
	}
}

func edit(f func(s, affix string) string) func(*meter, starlark.Tuple) (starlark.Value, error) {
	return func(m *meter, args starlark.Tuple) (starlark.Value, error) {
		x, y, err := two(m, args)
		return starlark.String(f(x, y)), err
	}
}

func counted(f func(s, part string) int) func(*meter, starlark.Tuple) (starlark.Value, error) {
	return func(m *meter, args starlark.Tuple) (starlark.Value, error) {
		x, y, err := two(m, args)
		if err == nil && y == "" {
			err = fmt.Errorf("an empty string is everywhere")
		}
		if err != nil {
			return nil, err
		}
		return starlark.MakeInt(f(x, y)), nil
	}
}

// split cuts a string at every separator.
func split(m *meter, args starlark.Tuple) (starlark.Value, error) {
	s, sep, err := two(m, args)
	if err == nil && sep == "" {
		err = fmt.Errorf("an empty separator")
	}
	if err != nil {
		return nil, err
	}
	if err := m.grow((strings.Count(s, sep) + 1) * sizeItem); err != nil {
		return nil, err
	}
	var out []starlark.Value
	for part := range strings.SplitSeq(s, sep) {
		out = append(out, starlark.String(part))
	}
	return starlark.NewList(out), nil
}

// join puts strings together.
func join(m *meter, args starlark.Tuple) (starlark.Value, error) {
	sep, err := text(args[0])
	if err != nil {
		return nil, err
	}
	l, err := list(args[1])
	if err != nil {
		return nil, err
	}
	var b strings.Builder
	for i := range l.Len() {
		part, err := text(l.Index(i))
		if err != nil {
			return nil, err
		}
		if err := m.grow(sizeItem + len(sep) + len(part)); err != nil {
			return nil, err
		}
		if i > 0 {
			b.WriteString(sep)
		}
		b.WriteString(part)
	}
	return starlark.String(b.String()), nil
}

// mapped moves the characters of a range; only those of ASCII, because the tables of all others change between releases.
func mapped(from, to byte, by int) func(*meter, starlark.Tuple) (starlark.Value, error) {
	return func(m *meter, args starlark.Tuple) (starlark.Value, error) {
		s, err := text(args[0])
		if err != nil {
			return nil, err
		}
		if err := m.grow(len(s)); err != nil {
			return nil, err
		}
		out := []byte(s)
		for i, b := range out {
			if b >= from && b <= to {
				out[i] = byte(int(b) + by)
			}
		}
		return starlark.String(out), nil
	}
}

// isDigit says whether a string is one or more of 0 to 9.
func isDigit(m *meter, args starlark.Tuple) (starlark.Value, error) {
	s, err := text(args[0])
	if err != nil {
		return nil, err
	}
	return starlark.Bool(s != "" && strings.Trim(s, "0123456789") == ""), m.bytes(len(s))
}

// get finds what a dict has under a key, or else the second argument, or None.
func get(m *meter, args starlark.Tuple) (starlark.Value, error) {
	d, ok := args[0].(*starlark.Dict)
	if !ok {
		return nil, fmt.Errorf("a %s where a dict is needed", args[0].Type())
	}
	v, found, err := lookup(m, d, args[1])
	switch {
	case err != nil || found:
		return v, err
	case len(args) == 3:
		return args[2], nil
	}
	return starlark.None, nil
}

// entries is keys, values and items of a dict, in the order in which they are written.
func entries(keys, values bool) func(*meter, starlark.Tuple) (starlark.Value, error) {
	return func(m *meter, args starlark.Tuple) (starlark.Value, error) {
		d, ok := args[0].(*starlark.Dict)
		if !ok {
			return nil, fmt.Errorf("a %s where a dict is needed", args[0].Type())
		}
		if err := m.grow(d.Len() * 4 * sizeItem); err != nil {
			return nil, err
		}
		var out []starlark.Value
		for k, v := range d.Entries() {
			switch {
			case keys && values:
				out = append(out, starlark.Tuple{k, v})
			case keys:
				out = append(out, k)
			default:
				out = append(out, v)
			}
		}
		return starlark.NewList(out), nil
	}
}
