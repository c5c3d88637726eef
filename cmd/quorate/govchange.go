package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/quorate-pki/quorate/ca/profile"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/api"
)

// adminFile is what the holder of a new admin key gives away: that the key is his, and that he agrees. `quorate org agree` writes it.
type adminFile struct {
	Organisation string `json:"organisation"` // its id
	SPKI         []byte `json:"spki"`
	Alg          int64  `json:"alg"`        // COSE algorithm of the signature
	Possession   []byte `json:"possession"` // over ledger.AdminMessage
}

// readAdmin reads an admin key of an organisation: a public key file, of one that stays, or an adminFile, of a new one.
func readAdmin(org ledger.OrgID, path string) (ledger.Admin, error) {
	data, err := readSmall(path, 16<<10)
	if err != nil {
		return ledger.Admin{}, err
	}
	if !strings.HasPrefix(strings.TrimSpace(string(data)), "{") {
		spki, err := readPublic(path)
		return ledger.Admin{SPKI: spki, Possession: []byte{}}, err
	}
	var f adminFile
	if err := strictJSON(data, &f); err != nil {
		return ledger.Admin{}, usage{fmt.Errorf("%s: %w", path, err)}
	}
	if f.Organisation != org.String() {
		return ledger.Admin{}, usage{fmt.Errorf("%s agrees to be an admin of %s, not of %s", path, f.Organisation, org)}
	}
	return ledger.Admin{SPKI: f.SPKI, Alg: f.Alg, Possession: f.Possession}, nil
}

var orgStates = map[string]ledger.OrgState{"active": ledger.OrgActive, "suspended": ledger.OrgSuspended, "ended": ledger.OrgEnded}

// named finds a value by its name, and says what there is when there is none.
func named[T any](what, name string, in map[string]T) (T, error) {
	v, ok := in[name]
	if !ok {
		return v, usage{fmt.Errorf("there is no %s %q; there are %s", what, name, strings.Join(slices.Sorted(maps.Keys(in)), ", "))}
	}
	return v, nil
}

func (f *former) organisationChange(_ uint16, raw []byte) ([]byte, error) {
	var form struct {
		Organisation string    `json:"organisation"` // short name, or id
		LegalName    *string   `json:"legal_name,omitempty"`
		Roles        *[]string `json:"roles,omitempty"`
		Profiles     *[]string `json:"profiles,omitempty"`
		QuotaDay     *uint64   `json:"quota_day,omitempty"`
		QuotaTotal   *uint64   `json:"quota_total,omitempty"`
		LegacyRSA    *bool     `json:"legacy_rsa,omitempty"`
		State        string    `json:"state,omitempty"`
		Admins       []string  `json:"admins,omitempty"`        // files: public keys that stay, and what new admins agreed to
		AdminsNeeded uint64    `json:"admins_needed,omitempty"` // with them
	}
	if err := strictJSON(raw, &form); err != nil {
		return nil, usage{err}
	}
	org, err := f.owner(form.Organisation)
	if err != nil {
		return nil, err
	}
	c := ledger.OrganisationChange{Organisation: org, LegalName: form.LegalName, QuotaDay: form.QuotaDay, QuotaTotal: form.QuotaTotal,
		LegacyRSA: form.LegacyRSA, AdminM: form.AdminsNeeded}
	if form.Roles != nil {
		c.Roles = new(uint64)
		for _, r := range *form.Roles {
			bit, ok := ledger.RoleByName(r)
			if !ok {
				return nil, usage{fmt.Errorf("there is no role %q", r)}
			}
			*c.Roles |= bit
		}
	}
	if form.Profiles != nil {
		ids, err := profileIDs(*form.Profiles)
		if err != nil {
			return nil, err
		}
		c.Profiles = &ids
	}
	if form.State != "" {
		state, err := named("state", form.State, orgStates)
		if err != nil {
			return nil, err
		}
		c.State = &state
	}
	for _, path := range form.Admins {
		a, err := readAdmin(org, f.path(path))
		if err != nil {
			return nil, err
		}
		c.Admins = append(c.Admins, a)
	}
	return ledger.EncodeBody(ledger.OpOrganisationChange, c), nil
}

func profileIDs(names []string) ([]uint64, error) {
	out := []uint64{}
	for _, name := range names {
		p, ok := profile.ByName(name)
		if !ok {
			return nil, usage{fmt.Errorf("there is no profile %q", name)}
		}
		out = append(out, uint64(p.ID))
	}
	return out, nil
}

// evidenceForm is how control of a namespace was checked.
type evidenceForm struct {
	Method   string    `json:"method"`   // dns, registry, contract
	Document string    `json:"document"` // file of what was seen; its SHA-256 goes on the log
	Checked  time.Time `json:"checked"`
}

var methods = map[string]uint64{"dns": ledger.MethodDNS, "registry": ledger.MethodRegistry, "contract": ledger.MethodContract}

func (f *former) evidence(form *evidenceForm) (*ledger.Evidence, error) {
	if form == nil {
		return nil, nil
	}
	method, err := named("method", form.Method, methods)
	if err != nil {
		return nil, err
	}
	data, err := os.ReadFile(f.path(form.Document))
	if err != nil {
		return nil, usage{err}
	}
	return &ledger.Evidence{Method: method, Document: ledger.Sum(data), Checked: ledger.MillisOf(form.Checked)}, nil
}

var namespaceActions = map[string]ledger.NamespaceAction{"end": ledger.EndNamespace, "transfer": ledger.TransferNamespace}

func (f *former) namespaceChange(_ uint16, raw []byte) ([]byte, error) {
	var form struct {
		Namespace string        `json:"namespace"` // type:value, or id
		Action    string        `json:"action"`
		Owner     string        `json:"owner,omitempty"`
		Control   string        `json:"control,omitempty"`
		Evidence  *evidenceForm `json:"evidence,omitempty"`
	}
	if err := strictJSON(raw, &form); err != nil {
		return nil, usage{err}
	}
	action, err := named("action", form.Action, namespaceActions)
	if err != nil {
		return nil, err
	}
	c := ledger.NamespaceChange{Action: action, Control: form.Control}
	if c.Namespace, err = (&holdings{ctx: f.ctx, client: f.client}).namespace(form.Namespace); err != nil {
		return nil, err
	}
	if c.Evidence, err = f.evidence(form.Evidence); err != nil {
		return nil, err
	}
	if action == ledger.TransferNamespace {
		owner, err := f.owner(form.Owner)
		if err != nil {
			return nil, err
		}
		c.Owner = &owner
	}
	return ledger.EncodeBody(ledger.OpNamespaceChange, c), nil
}

// cutReasons are the reasons that who vouched can be cut off for.
var cutReasons = map[string]uint64{"unspecified": ledger.Unspecified, "affiliationChanged": ledger.AffiliationChanged, "superseded": ledger.Superseded,
	"cessationOfOperation": ledger.Cessation, "privilegeWithdrawn": ledger.PrivilegeWithdrawn}

func (f *former) cutOff(_ uint16, raw []byte) ([]byte, error) {
	var form struct {
		LineKey      string  `json:"line_key,omitempty"`     // key id, or public key file
		Organisation string  `json:"organisation,omitempty"` // short name, or id
		From         *uint64 `json:"from"`                   // first leaf
		Reason       string  `json:"reason"`
	}
	if err := strictJSON(raw, &form); err != nil {
		return nil, usage{err}
	}
	if (form.LineKey == "") == (form.Organisation == "") || form.From == nil {
		return nil, usage{fmt.Errorf("a cut-off is of a line_key or of an organisation, and names the first leaf")}
	}
	why, err := named("reason", form.Reason, cutReasons)
	if err != nil {
		return nil, err
	}
	c := ledger.CutOff{Scope: ledger.ScopeLineKey, From: *form.From, Reason: why}
	if form.LineKey != "" {
		key := form.LineKey
		if _, err := ledger.ParseHash(key); err != nil {
			key = f.path(key)
		}
		id, err := keyNamed(key)
		if err != nil {
			return nil, err
		}
		c.Target = id[:]
	} else {
		org, err := f.owner(form.Organisation)
		if err != nil {
			return nil, err
		}
		c.Scope, c.Target = ledger.ScopeOrganisation, org[:]
	}
	return ledger.EncodeBody(ledger.OpCutOff, c), nil
}

// keyNamed is a key's id: as it stands, or of a public key file.
func keyNamed(s string) (ledger.Hash, error) {
	if id, err := ledger.ParseHash(s); err == nil {
		return id, nil
	}
	spki, err := readPublic(s)
	return ledger.Sum(spki), err
}

// describeRegistryChange says in a line what a change of what is registered does; false when it is none.
func describeRegistryChange(r api.Registered) (string, bool) {
	switch {
	case r.OrganisationChange != nil:
		return describeOrgChange(r.OrganisationChange), true
	case r.NamespaceChange != nil:
		x := r.NamespaceChange
		if x.Owner == "" {
			return fmt.Sprintf("namespace-change %s of namespace %s", x.Action, x.Namespace), true
		}
		return fmt.Sprintf("namespace-change %s of namespace %s to organisation %s, control: %s", x.Action, x.Namespace, x.Owner, printable(x.Control)), true
	case r.CutOff != nil:
		x := r.CutOff
		return fmt.Sprintf("cut-off of %s %s from leaf %d on, reason %s", x.Scope, x.Target, x.From, x.Reason), true
	}
	return "", false
}

func describeOrgChange(x *api.OrganisationChange) string {
	var to []string
	add := func(is bool, format string, args ...any) {
		if is {
			to = append(to, fmt.Sprintf(format, args...))
		}
	}
	if x.LegalName != nil {
		add(true, "legal name %s", printable(*x.LegalName))
	}
	if x.Roles != nil {
		add(true, "roles %s", strings.Join(*x.Roles, ", "))
	}
	if x.Profiles != nil {
		add(true, "profiles %s", profileNames(*x.Profiles))
	}
	if x.QuotaDay != nil {
		add(true, "%d publications a day", *x.QuotaDay)
	}
	if x.QuotaTotal != nil {
		add(true, "%d publications in all", *x.QuotaTotal)
	}
	if x.LegacyRSA != nil {
		add(true, "legacy RSA %v", *x.LegacyRSA)
	}
	add(x.State != "", "state %s", x.State)
	add(len(x.Admins) > 0, "%d of %d admins: %s", x.AdminsNeeded, len(x.Admins), strings.Join(x.Admins, ", "))
	return fmt.Sprintf("organisation-change of %s: %s", x.Organisation, strings.Join(to, "; "))
}

// marshal writes JSON for a file.
func marshal(v any) []byte {
	out, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		panic(fmt.Errorf("%T is JSON: %w", v, err))
	}
	return append(out, '\n')
}
