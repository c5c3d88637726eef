// Package commit is the commit path of one member as a pure machine: Step(input, now) -> outputs. It decides when
// a block takes effect, when this member may sign, and when a quorum has made a height final. It has no
// goroutine, file or clock; ledger/node performs the outputs, in order, and feeds back what became durable.
//
// It promises: a signature is asked for only when it cannot contradict one this member gave before; nothing is
// final without a quorum of distinct members on this node's own root; no height is final before all below it.
// It must never release or count this member's own signature before the driver said that it is remembered.
package commit
