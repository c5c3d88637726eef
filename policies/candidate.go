package policies

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"go.starlark.net/starlark"

	"github.com/quorate-pki/quorate/ledger"
)

// candidate is what a rule is given: the facts of a certificate, each made a value when it is first asked for.
type candidate struct {
	facts *ledger.Candidate
	made  map[string]starlark.Value // lists and dicts, so that asking again costs nothing
}

var _ starlark.HasAttrs = (*candidate)(nil)

func (*candidate) String() string        { return "certificate" }
func (*candidate) Type() string          { return "certificate" }
func (*candidate) Freeze()               {}
func (*candidate) Truth() starlark.Bool  { return true }
func (*candidate) Hash() (uint32, error) { return 0, fmt.Errorf("a certificate is no key") }
func (*candidate) AttrNames() []string   { return Facts() }

// Attr implements starlark.HasAttrs.
func (c *candidate) Attr(name string) (starlark.Value, error) {
	if v, ok := c.made[name]; ok {
		return v, nil
	}
	v := factOf(c.facts, name)
	switch v.(type) {
	case *starlark.List, *starlark.Dict:
		if c.made == nil {
			c.made = map[string]starlark.Value{}
		}
		c.made[name] = v
	}
	return v, nil
}

// Facts are the names of the facts of rule version 3, as docs/rules.md has them. Append-only: a later one needs a rule version. None
// is a method's name in Starlark, so that no method is in reach without a call.
func Facts() []string {
	return strings.Fields(`
		kind time profile organisation organisation_id roles voucher namespaces name_evidence
		possession protection subject serial device_serial dns_names instance hardware_type nf_types
		key_kind key_bits signature not_before not_after never_expires key_usage extended_key_usage extensions`)
}

func fact(name string) bool { return slices.Contains(Facts(), name) }

// factOf makes a value of a fact; nil when there is none of that name.
func factOf(c *ledger.Candidate, name string) starlark.Value {
	switch name {
	case "kind":
		return starlark.String(c.Kind)
	case "time":
		return millis(c.Time)
	case "profile":
		return starlark.String(c.Profile)
	case "organisation":
		return starlark.String(c.Organisation)
	case "organisation_id":
		return starlark.String(c.OrganisationID)
	case "roles":
		return stringList(c.Roles)
	case "voucher":
		return starlark.String(c.Voucher)
	case "namespaces":
		return stringList(c.Namespaces)
	case "name_evidence":
		return starlark.String(c.NameEvidence)
	case "possession":
		return starlark.String(c.Possession)
	case "protection":
		return starlark.String(c.Protection)
	case "subject":
		return attributes(c.Subject)
	case "serial":
		return starlark.String(c.Serial)
	case "device_serial":
		return starlark.String(c.DeviceSerial)
	case "dns_names":
		return stringList(c.DNSNames)
	case "instance":
		return starlark.String(c.Instance)
	case "hardware_type":
		return starlark.String(c.HardwareType)
	case "nf_types":
		return stringList(c.NFTypes)
	case "key_kind":
		return starlark.String(c.KeyKind)
	case "key_bits":
		return starlark.MakeInt(c.KeyBits)
	case "signature":
		return starlark.String(c.Signature)
	case "not_before":
		return starlark.MakeInt64(c.NotBefore)
	case "not_after":
		return starlark.MakeInt64(c.NotAfter)
	case "never_expires":
		return starlark.Bool(c.NeverExpires)
	case "key_usage":
		return stringList(c.KeyUsage)
	case "extended_key_usage":
		return stringList(c.ExtendedKeyUsage)
	case "extensions":
		return stringList(c.Extensions)
	}
	return nil
}

func millis(t ledger.Millis) starlark.Value {
	return starlark.MakeInt64(int64(min(uint64(t), math.MaxInt64)))
}

func stringList(s []string) starlark.Value {
	out := make([]starlark.Value, len(s))
	for i, x := range s {
		out[i] = starlark.String(x)
	}
	return starlark.NewList(out)
}

func attributes(list []ledger.Attribute) starlark.Value {
	d := starlark.NewDict(len(list))
	for _, a := range list {
		// A string hashes, and the dict is nobody's yet: this does not fail.
		if err := d.SetKey(starlark.String(a.Type), starlark.String(a.Value)); err != nil {
			return starlark.None
		}
	}
	return d
}
