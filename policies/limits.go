package policies

import "github.com/quorate-pki/quorate/ledger"

// Limits of rule version 3. They are part of the rules: another number is another verdict.
const (
	// MaxText is the most bytes of a rule's text: an operation body's 16 KiB, without what else is in it.
	MaxText = ledger.MaxRule

	// MaxWork is the most units of work of one judgement, and of reading the text once. A unit is about a node of the syntax tree
	// that is evaluated, and takes 10 to 100 ns; a rule of seven checks takes about 100, a loop over all names that fit
	// into a certificate about 15,000.
	MaxWork = 30_000

	// MaxSize is the most bytes that strings and lists made by one judgement have together, those no longer used included. With it,
	// and with what MaxWork lets the library allocate, a judgement takes less than 16 MiB, for less than its duration.
	MaxSize = 256 << 10

	// MaxReason is the most bytes of the sentence a rule refuses with.
	MaxReason = 200

	maxNesting = 64 // of expressions and statements in one another
	maxLists   = 4  // of lists, tuples and dicts written in one another

	// backstop is a limit on the library's own instructions that MaxWork leaves no way to: one node is a few of them.
	backstop = 64 * (MaxWork + MaxText)
)

// Costs, in units of work.
const (
	costCall  = 1  // of any function of this package
	costBytes = 16 // so many bytes read or written are a unit
	sizeItem  = 16 // bytes of an element of a list
)
