package policies

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"go.starlark.net/resolve"
	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
)

// entry is the function that every rule defines.
const entry = "admit"

// Program is a compiled rule. It is frozen: nothing that judges by it can change it. Safe for concurrent use.
type Program struct {
	admit *starlark.Function
	title string
}

var _ ledger.Rule = (*Program)(nil)

// Title is the first line of the rule's docstring, for people; empty when there is none.
func (p *Program) Title() string { return p.title }

// Compile reads a rule's text. Its error is a *reason.Error with the code of what is wrong (351 to 353, or 355) and the line.
func Compile(text string) (*Program, error) {
	if err := checkText(text); err != nil {
		return nil, err
	}
	options := &syntax.FileOptions{} // no sets, no while, no recursion, no control flow at the top, no reassignment of globals
	f, err := options.Parse("rule", text, 0)
	if err != nil {
		return nil, notCompiled(err)
	}
	c := newChecker()
	if err := c.file(f); err != nil {
		return nil, err
	}
	predeclared := c.predeclared()
	program, err := starlark.FileProgram(f, predeclared.Has)
	if err != nil {
		return nil, notCompiled(err)
	}
	globals, err := run(&meter{}, func(t *starlark.Thread) (starlark.StringDict, error) { return program.Init(t, predeclared) })
	if err != nil {
		return nil, err
	}
	globals.Freeze()
	admit, ok := globals[entry].(*starlark.Function)
	if !ok {
		return nil, reason.New(reason.RuleNotCompiled, "the text defines no function %s", entry)
	}
	return &Program{admit: admit, title: c.title}, nil
}

// checkText demands a text that shows what it says: UTF-8 of limited size without control or formatting characters, with which a text
// can be made to read otherwise than it runs. The list is written out because the library's tables of characters change between
// its releases.
func checkText(text string) error {
	if len(text) == 0 || len(text) > MaxText {
		return reason.New(reason.RuleNotCompiled, "a text of %d bytes; 1 to %d", len(text), MaxText)
	}
	if !utf8.ValidString(text) {
		return reason.New(reason.RuleNotCompiled, "the text is not UTF-8")
	}
	line := 1
	for _, r := range text {
		if r == '\n' {
			line++
			continue
		}
		if hidden(r) {
			return reason.New(reason.RuleNotCompiled, "line %d: character U+%04X; of control characters only the line feed is accepted", line, r)
		}
	}
	return nil
}

func hidden(r rune) bool {
	for _, span := range [...][2]rune{
		{0, 0x1f}, {0x7f, 0x9f}, // controls
		{0xad, 0xad}, {0x61c, 0x61c}, {0x180e, 0x180e}, // soft hyphen, marks
		{0x200b, 0x200f}, {0x2028, 0x202e}, {0x2060, 0x206f}, // zero width, separators, direction
		{0xfe00, 0xfe0f}, {0xfeff, 0xfeff}, {0xfff0, 0xfffb}, // variation, byte order, annotation
		{0xe0000, 0xe0fff}, // tags
	} {
		if r >= span[0] && r <= span[1] {
			return true
		}
	}
	return false
}

// notCompiled says where the library stopped reading.
func notCompiled(err error) error {
	if e, ok := errors.AsType[syntax.Error](err); ok {
		return at(e.Pos, "%s", e.Msg)
	}
	if list, ok := errors.AsType[resolve.ErrorList](err); ok && len(list) > 0 {
		return at(list[0].Pos, "%s", list[0].Msg)
	}
	return reason.New(reason.RuleNotCompiled, "%v", err)
}

func at(pos syntax.Position, format string, args ...any) *reason.Error {
	return reason.New(reason.RuleNotCompiled, "line %d: %s", pos.Line, fmt.Sprintf(format, args...))
}

// Judge implements ledger.Rule: a rule that fails refuses.
func (p *Program) Judge(c *ledger.Candidate) ledger.RuleVerdict {
	v, _ := p.judge(c)
	return v
}

// Cost is what a judgement took, in the units of MaxWork and MaxSize.
type Cost struct{ Work, Size int }

// Measure judges, and says what it took.
func (p *Program) Measure(c *ledger.Candidate) (ledger.RuleVerdict, Cost) {
	v, m := p.judge(c)
	return v, Cost{m.work, m.size}
}

func (p *Program) judge(c *ledger.Candidate) (ledger.RuleVerdict, *meter) {
	m := &meter{}
	v, err := run(m, func(t *starlark.Thread) (starlark.Value, error) {
		return starlark.Call(t, p.admit, starlark.Tuple{&candidate{facts: c}}, nil)
	})
	if err != nil {
		return failed(err), m
	}
	return conclude(v), m
}

// conclude reads what a rule returned.
func conclude(v starlark.Value) ledger.RuleVerdict {
	switch v := v.(type) {
	case starlark.Bool:
		if v {
			return ledger.RuleVerdict{Code: reason.Accepted}
		}
	case starlark.String:
		if s := string(v); s != "" && len(s) <= MaxReason && utf8.ValidString(s) && !strings.ContainsFunc(s, hidden) {
			return ledger.RuleVerdict{Code: reason.RuleRefused, Text: s}
		}
		return failed(reason.New(reason.RuleResult, "a string of %d bytes is no sentence; 1 to %d bytes of UTF-8 on one line", len(v), MaxReason))
	}
	return failed(reason.New(reason.RuleResult, "%s returned %s; True accepts, a string refuses", entry, v.Type()))
}

func failed(err error) ledger.RuleVerdict {
	code, ok := reason.CodeOf(err)
	if !ok {
		code = reason.RuleFailed
	}
	v := ledger.RuleVerdict{Code: code, Text: err.Error()}
	if e, ok := errors.AsType[*reason.Error](err); ok {
		v.Text = e.Detail
	}
	return v
}

// run calls into the library once, and brings whatever goes wrong into the form of an error with a code. It recovers: a defect of
// the library must not stop a node, and every node has the same.
func run[T any](m *meter, call func(*starlark.Thread) (T, error)) (out T, err error) {
	t := &starlark.Thread{Name: "rule", Print: func(*starlark.Thread, string) {}}
	t.SetLocal(meterKey, m)
	t.SetMaxExecutionSteps(backstop)
	defer func() {
		m.steps = t.ExecutionSteps()
		if p := recover(); p != nil {
			err = reason.New(reason.RuleFailed, "the interpreter failed")
		}
	}()
	if out, err = call(t); err != nil && t.ExecutionSteps() >= backstop {
		return out, reason.New(reason.RuleWorkLimit, "more than %d of the interpreter's own steps", backstop)
	}
	return out, located(err)
}

// located finds the line of an error, and its code.
func located(err error) error {
	if err == nil {
		return nil
	}
	code, detail := reason.RuleFailed, err.Error()
	if e, ok := errors.AsType[*reason.Error](err); ok {
		code, detail = e.Code, e.Detail
	}
	if e, ok := errors.AsType[*starlark.EvalError](err); ok {
		for i := len(e.CallStack) - 1; i >= 0; i-- {
			if pos := e.CallStack[i].Pos; pos.Line > 0 {
				return reason.New(code, "line %d: %s", pos.Line, detail)
			}
		}
	}
	return reason.New(code, "%s", detail)
}
