// Package policies judges certificates by members' own admission rules: Starlark texts that the consortium reads, votes on and puts
// in force from a height (docs/rules.md). A rule is a pure function of what is known of a certificate (ledger.Candidate) to yes, or
// to a sentence that says why not.
//
// What a rule can do is bounded by its own text and by two numbers, work and size, that every operation whose cost is not constant
// is charged for. They are counted over the syntax tree, never over the library's instructions, so that they are the same for
// every version of go.starlark.net. For that, the tree is checked against a list of what rules may contain, and rewritten: operators,
// methods, and what enters a list become calls of this package's own functions (rewrite.go). Nothing of the library's own library
// is in reach.
//
// An upgrade of go.starlark.net must leave every line of testdata/vectors.txt as it is: what compiles, every verdict, and the work and
// size of each. An upgrade that changes one is a change of the rules and needs a rule version.
package policies
