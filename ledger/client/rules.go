package client

import (
	"context"
	"fmt"
	"slices"

	"github.com/quorate-pki/quorate/ledger"
)

// RuleText is the text of a scope from a height on: proved by the proposal that has it and by the vote that approved that. That no other came
// after it is told.
type RuleText struct {
	Scope ledger.RuleScope
	From  uint64 // first height
	ledger.RuleRecord
}

// Rules are the texts of every scope, or of those given: all that ever were, of each scope the newest first, those that removed a rule (without
// a text) too.
func (c *Client) Rules(ctx context.Context, scopes ...ledger.RuleScope) ([]RuleText, error) {
	return elsewhere(c, func() ([]RuleText, error) { return c.rules(ctx, scopes) })
}

func (c *Client) rules(ctx context.Context, scopes []ledger.RuleScope) (out []RuleText, err error) {
	for rec, err := range c.Records(ctx, ledger.RecordRule, nil, nil) {
		if err != nil {
			return nil, err
		}
		r := RuleText{}
		if r.Scope, r.From, err = ledger.ParseRuleKey(rec.Key); err != nil {
			return nil, untrusted("%v", err)
		}
		if len(scopes) > 0 && !slices.Contains(scopes, r.Scope) {
			continue
		}
		if err := ledger.Decode(rec.Value, &r.RuleRecord); err != nil {
			return nil, untrusted("a rule: %v", err)
		}
		if err := c.approved(ctx, r); err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, nil
}

// approved proves that a text was proposed for a scope, and that the members approved it.
func (c *Client) approved(ctx context.Context, r RuleText) error {
	registered, err := c.granted(ctx, r.Leaf, r.Decision)
	if err != nil {
		return err
	}
	organisation := ""
	if !r.Scope.Organisation.IsZero() {
		organisation = r.Scope.Organisation.String()
	}
	for _, x := range registered {
		if a := x.Rule; a != nil && a.Profile == r.Scope.Profile && a.Organisation == organisation && a.Text == r.Text {
			return nil
		}
	}
	return untrusted("leaf %d does not propose this rule", r.Leaf)
}

// Vouching is what a line key's publications draw on, as registered now; told.
type Vouching struct {
	Key          ledger.Hash
	Line         *ledger.LineKey
	Organisation *ledger.OrgRecord
	Namespaces   map[ledger.OrgID]*ledger.NamespaceRecord
}

// Vouching asks what a line key's publications draw on. ledger.ErrNotFound: no line key has this id.
func (c *Client) Vouching(ctx context.Context, key ledger.Hash) (*Vouching, error) {
	var k ledger.RegisteredKey
	if err := c.record(ctx, ledger.RecordRegistry, key[:], &k); err != nil {
		return nil, err
	}
	if k.Line == nil {
		return nil, fmt.Errorf("line key %x: %w", key, ledger.ErrNotFound)
	}
	v := &Vouching{Key: key, Line: k.Line, Organisation: new(ledger.OrgRecord), Namespaces: map[ledger.OrgID]*ledger.NamespaceRecord{}}
	if err := c.record(ctx, ledger.RecordOrg, k.Owner[:], v.Organisation); err != nil {
		return nil, err
	}
	for _, id := range k.Line.Namespaces {
		ns := new(ledger.NamespaceRecord)
		if err := c.record(ctx, ledger.RecordNamespace, id[:], ns); err != nil {
			return nil, err
		}
		v.Namespaces[id] = ns
	}
	return v, nil
}

// record reads one record; told.
func (c *Client) record(ctx context.Context, kind ledger.RecordKind, key []byte, v any) error {
	for rec, err := range c.Records(ctx, kind, key, nil) {
		if err != nil {
			return err
		}
		if len(rec.Key) != len(key) {
			break
		}
		if err := ledger.Decode(rec.Value, v); err != nil {
			return untrusted("a %q record: %v", kind, err)
		}
		return nil
	}
	return fmt.Errorf("a %q record of %x: %w", kind, key, ledger.ErrNotFound)
}
