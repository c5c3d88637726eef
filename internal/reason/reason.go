// Package reason is the one table of reason codes: why an operation, a transaction, a request or a proof was
// refused. A code is a number that goes on the log and into HTTP problems for ever; its slug and sentence are
// for people and may be reworded, the number and what it means never change. docs/reasons.md is this table in
// prose; a test holds the two together.
//
// The table is append-only. Ranges: 0-2 outcomes that are not refusals, 10-99 transactions and blocks,
// 100-199 certificates (strict DER and profiles), 200-259 ownership, uniqueness and authority, 260-279 the life of a device,
// 300-399 what members and organisations decide, 400-499 offline verification, 500-599 the HTTP edge (never on the log).
package reason

import (
	"errors"
	"fmt"
)

// Code is a stable reason number. Zero means accepted.
type Code uint16

// Outcomes that are not refusals.
const (
	Accepted         Code = 0 // done and logged
	AlreadyPublished Code = 1 // the same certificate by the same owner is already on the log; nothing was added
	NotApplied       Code = 2 // undone because another operation of an all-or-nothing transaction was refused
)

// Reason is one row of the table.
type Reason struct {
	Code     Code
	Slug     string // stable, lower case, words joined by '-'
	Sentence string // what happened and what to do, for a person
}

var outcomes = []Reason{
	{Accepted, "accepted", "The operation was accepted and is on the log."},
	{AlreadyPublished, "already-published", "The same certificate is already published by the same owner; the old receipt stands."},
	{NotApplied, "not-applied", "Another operation of this all-or-nothing transaction was refused, so this one was undone."},
}

// parts are the table, in order of code.
func parts() [12][]Reason {
	return [12][]Reason{outcomes, transactions, certificates, authority, life, governance, members, rules, channels, authorities, verification, edge}
}

// All returns every row, in order of code. The slice is the caller's own.
func All() []Reason {
	var all []Reason
	for _, part := range parts() {
		all = append(all, part...)
	}
	return all
}

// find returns the first row that is wanted.
func find(wanted func(*Reason) bool) (Reason, bool) {
	for _, part := range parts() {
		for i := range part {
			if wanted(&part[i]) {
				return part[i], true
			}
		}
	}
	return Reason{}, false
}

// Of returns the row of a code; for a code this build does not know, a row that says so.
func Of(c Code) Reason {
	if r, ok := find(func(r *Reason) bool { return r.Code == c }); ok {
		return r
	}
	return Reason{c, fmt.Sprintf("code-%d", uint16(c)), "A reason this build does not know; a newer one does."}
}

// BySlug returns the row of a slug.
func BySlug(slug string) (Reason, bool) {
	return find(func(r *Reason) bool { return r.Slug == slug })
}

func (c Code) String() string { return Of(c).Slug }

// OK reports whether the code is a success: accepted or already published.
func (c Code) OK() bool { return c == Accepted || c == AlreadyPublished }

// Error is a refusal: a code and what exactly was wrong. Detail never carries secrets.
type Error struct {
	Code   Code
	Detail string
}

func (e *Error) Error() string {
	if e.Detail == "" {
		return e.Code.String()
	}
	return e.Code.String() + ": " + e.Detail
}

// New makes a refusal.
func New(c Code, format string, args ...any) *Error {
	return &Error{Code: c, Detail: fmt.Sprintf(format, args...)}
}

// CodeOf finds the reason code in an error's chain.
func CodeOf(err error) (Code, bool) {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code, true
	}
	return 0, false
}
