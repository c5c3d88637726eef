package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/client"
)

// proposalFile is the readable form of what is put to the vote. docs/governance.md is its manual. Unknown fields are refused.
type proposalFile struct {
	Operations []map[string]json.RawMessage `json:"operations"`        // each an object with one field: the operation's name
	Comment    json.RawMessage              `json:"comment,omitempty"` // for people
}

// former makes operation bodies of their readable form.
type former struct {
	ctx    context.Context
	client *client.Client
	dir    string                  // that paths in the file start from
	seed   ledger.Hash             // of the record ids that the proposal makes
	made   map[string]ledger.OrgID // organisations that the proposal makes, by name
}

// forms are the operations that members vote on, by their names in a proposal file.
func (f *former) forms() map[string]func(position uint16, raw []byte) ([]byte, error) {
	return map[string]func(uint16, []byte) ([]byte, error){
		"organisation":   f.organisation,
		"namespace":      f.namespace,
		"rules":          f.rules,
		"admission-rule": f.rule,
		"member-set":     f.memberSet,

		"organisation-change": f.organisationChange,
		"namespace-change":    f.namespaceChange,
		"cut-off":             f.cutOff,
	}
}

// bodies reads a proposal file.
func (f *former) bodies(data []byte) (out [][]byte, err error) {
	var file proposalFile
	if err := strictJSON(data, &file); err != nil {
		return nil, usage{fmt.Errorf("the proposal: %w", err)}
	}
	if n := len(file.Operations); n == 0 || n > ledger.MaxProposalBodies {
		return nil, usage{fmt.Errorf("the proposal has %d operations, 1 to %d may be", n, ledger.MaxProposalBodies)}
	}
	forms := f.forms()
	for i, op := range file.Operations {
		if len(op) != 1 {
			return nil, usage{fmt.Errorf("operation %d is no object with one field", i+1)}
		}
		for name, raw := range op {
			form, ok := forms[name]
			if !ok {
				return nil, usage{fmt.Errorf("operation %d: there is no operation %q; there are %s", i+1, name,
					strings.Join(slices.Sorted(maps.Keys(forms)), ", "))}
			}
			body, err := form(uint16(i), raw)
			if err != nil {
				return nil, fmt.Errorf("operation %d, %s: %w", i+1, name, err)
			}
			out = append(out, body)
		}
	}
	return out, nil
}

func (f *former) organisation(position uint16, raw []byte) ([]byte, error) {
	var form struct {
		orgForm
		Admins []string `json:"admins"` // public key files
	}
	if err := strictJSON(raw, &form); err != nil {
		return nil, usage{err}
	}
	org, err := form.record()
	if err != nil {
		return nil, usage{err}
	}
	for _, path := range form.Admins {
		spki, err := f.public(path)
		if err != nil {
			return nil, err
		}
		org.AdminKeys = append(org.AdminKeys, spki)
	}
	f.made[org.Name] = ledger.RecordID(f.seed, position)
	return ledger.EncodeBody(ledger.OpOrganisation, org), nil
}

func (f *former) public(path string) ([]byte, error) {
	return readPublic(f.path(path))
}

// path is a path of the file.
func (f *former) path(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(f.dir, path)
}

// namespaceTypes are the types of namespaces by name.
var namespaceTypes = map[string]uint64{"serial": ledger.NamespaceSerial, "dns": ledger.NamespaceDNS, "plmn": ledger.NamespacePLMN,
	"hardware": ledger.NamespaceHardware}

func (f *former) namespace(_ uint16, raw []byte) ([]byte, error) {
	var form struct {
		Owner   string `json:"owner"` // short name, also of an organisation that this proposal makes; or an id
		Type    string `json:"type"`
		Value   string `json:"value"`
		Control string `json:"control,omitempty"` // how control was checked

		Delegable bool          `json:"delegable,omitempty"`
		Evidence  *evidenceForm `json:"evidence,omitempty"`
	}
	if err := strictJSON(raw, &form); err != nil {
		return nil, usage{err}
	}
	owner, err := f.owner(form.Owner)
	if err != nil {
		return nil, err
	}
	kind, ok := namespaceTypes[form.Type]
	if !ok {
		return nil, usage{fmt.Errorf("there is no type %q of namespace", form.Type)}
	}
	if kind == ledger.NamespacePLMN {
		form.Value = paddedPLMN(form.Value)
	}
	evidence, err := f.evidence(form.Evidence)
	if err != nil {
		return nil, err
	}
	return ledger.EncodeBody(ledger.OpNamespace, ledger.Namespace{Owner: owner, Type: kind, Value: form.Value, Control: form.Control,
		Delegable: form.Delegable, Evidence: evidence}), nil
}

// owner finds an organisation: by id, among those the proposal makes, or on the log, proved.
func (f *former) owner(name string) (ledger.OrgID, error) {
	if id, ok := f.made[name]; ok {
		return id, nil
	}
	return findOrganisation(f.ctx, f.client, name)
}

func (f *former) rules(_ uint16, raw []byte) ([]byte, error) {
	var form struct {
		Version uint64 `json:"version"`
		Hold    string `json:"hold,omitempty"` // as 48h
	}
	if err := strictJSON(raw, &form); err != nil {
		return nil, usage{err}
	}
	if err := knownRules(form.Version); err != nil {
		return nil, err
	}
	hold, err := duration(form.Hold)
	if err != nil {
		return nil, err
	}
	return ledger.EncodeBody(ledger.OpRules, ledger.Rules{Version: form.Version, Hold: hold}), nil
}

// rule makes a change of the members' own rules. It replaces what is in force for the same certificates now.
func (f *former) rule(_ uint16, raw []byte) ([]byte, error) {
	var form struct {
		Profile      string `json:"profile,omitempty"`      // absent: every profile
		Organisation string `json:"organisation,omitempty"` // short name or id; absent: every organisation
		File         string `json:"file,omitempty"`         // the rule's text; absent: the rule is removed
	}
	if err := strictJSON(raw, &form); err != nil {
		return nil, usage{err}
	}
	a := ledger.RuleChange{}
	if form.File != "" {
		file, err := readRule(f.path(form.File))
		if err != nil {
			return nil, err
		}
		a.Text = file.text
	}
	scope, err := (&scopeFlags{profile: form.Profile}).scope(f.ctx, f.client)
	if err != nil {
		return nil, err
	}
	if a.Profile = scope.Profile; form.Organisation != "" {
		if scope.Organisation, err = f.owner(form.Organisation); err != nil {
			return nil, err
		}
		a.Organisation = &scope.Organisation
	}
	history, err := f.client.Rules(f.ctx, scope)
	if err != nil {
		return nil, err
	}
	now, ruled := newest(history, scope)
	switch {
	case ruled:
		digest := ledger.TextHash(now.Text)
		a.Replaces = &digest
	case a.Text == "":
		return nil, usage{fmt.Errorf("there is no rule to remove for %s", scopeName(scope))}
	}
	return ledger.EncodeBody(ledger.OpRule, a), nil
}

// memberSet takes a document that quorate member change made and who joins has signed.
func (f *former) memberSet(_ uint16, raw []byte) ([]byte, error) {
	var form struct {
		File string `json:"file"`
	}
	if err := strictJSON(raw, &form); err != nil {
		return nil, usage{err}
	}
	l, _, err := readChange(f.path(form.File))
	if err != nil {
		return nil, err
	}
	return ledger.EncodeBody(ledger.OpMemberSet, ledger.MemberSetChange{Document: l.Document, Signatures: l.Signatures}), nil
}

// knownRules refuses what this build could not go on with: a member whose node does not know the rules in force stops.
func knownRules(version uint64) error {
	if version > ledger.NewestRules {
		return usage{fmt.Errorf("this build knows rule versions 1 to %d: install one that knows %d at every member first", ledger.NewestRules, version)}
	}
	return nil
}

// duration reads a duration; none is zero.
func duration(s string) (ledger.Millis, error) {
	if s == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return 0, usage{fmt.Errorf("%q is no duration; 48h is one", s)}
	}
	return ledger.Millis(d.Milliseconds()), nil
}
