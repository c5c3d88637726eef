package policies

import (
	"go.starlark.net/starlark"

	"github.com/quorate-pki/quorate/internal/reason"
)

// meter counts what one judgement takes.
type meter struct {
	work  int
	size  int
	steps uint64 // of the library, for the tests of the backstop
}

const meterKey = "meter"

func meterOf(t *starlark.Thread) *meter { return t.Local(meterKey).(*meter) }

// charge counts work before it is done.
func (m *meter) charge(units int) error {
	if units < 0 || units > MaxWork-m.work {
		m.work = MaxWork
		return reason.New(reason.RuleWorkLimit, "more than %d units of work", MaxWork)
	}
	m.work += units
	return nil
}

// bytes counts the reading of so many bytes.
func (m *meter) bytes(n int) error { return m.charge(costCall + n/costBytes) }

// grow counts so many bytes before they are allocated, and the work of writing them.
func (m *meter) grow(n int) error {
	if n < 0 || n > MaxSize-m.size {
		m.size = MaxSize
		return reason.New(reason.RuleSizeLimit, "more than %d bytes of strings and lists", MaxSize)
	}
	m.size += n
	return m.charge(n / costBytes)
}

// deep counts the work of comparing or searching through a value, whatever is in it.
func (m *meter) deep(v starlark.Value) error {
	switch v := v.(type) {
	case starlark.String:
		return m.bytes(len(v))
	case starlark.Iterable: // list, tuple, dict: of what texts write and of scalars, so that this ends
		for x := range starlark.Elements(v) {
			if err := m.deep(x); err != nil {
				return err
			}
			if d, ok := v.(*starlark.Dict); ok {
				value, _, err := d.Get(x)
				if err != nil {
					return err
				}
				if err := m.deep(value); err != nil {
					return err
				}
			}
		}
	}
	return m.charge(costCall)
}
