package profile

import (
	"slices"

	"github.com/quorate-pki/quorate/internal/reason"
)

// NFTypes are the types of network function that the certificate names (RFC 9310), nil when it has no such extension or
// a malformed one.
func (c *Certificate) NFTypes() []string {
	types, err := c.readNFTypes()
	if err != nil {
		return nil
	}
	return types
}

// maxNFType is the most characters of an NFType.
const maxNFType = 32

// readNFTypes reads NFTypes ::= SEQUENCE SIZE (1..MAX) OF IA5String (SIZE (1..32)), ascending by ASCII (RFC 9310 section
// 3). Of ASCII only what types are made of (TS 29.510 clause 6.1.6.3.3) is accepted, and no type twice.
func (c *Certificate) readNFTypes() ([]string, *reason.Error) {
	d := &der{rest: c.nfTypes}
	list := d.inside(tagSequence)
	var types []string
	for list.err == nil && len(list.rest) > 0 {
		types = append(types, string(list.take(tagIA5String)))
	}
	list.close(d)
	if d.end(); d.err != nil {
		return nil, reason.New(reason.NFTypesForm, "%v", d.err)
	}
	if len(types) == 0 {
		return nil, reason.New(reason.NFTypesForm, "an empty list")
	}
	for i, t := range types {
		switch {
		case t == "" || len(t) > maxNFType || !only(t, upper+digits+"_"):
			return nil, reason.New(reason.NFTypesForm, "%q", t)
		case i > 0 && t <= types[i-1]:
			return nil, reason.New(reason.NFTypesForm, "%q after %q", t, types[i-1])
		}
	}
	return types, nil
}

// networkFunction holds the nfTypes extension to RFC 9310, where the profile demands it.
func (p *Profile) networkFunction(c *Certificate) *reason.Error {
	switch {
	case !p.NFTypes:
		return nil
	case !slices.Contains(c.Extensions, extNFTypes):
		return reason.New(reason.NFTypesMissing, "")
	case c.nfTypesCritical:
		return reason.New(reason.NFTypesForm, "critical")
	}
	_, err := c.readNFTypes()
	return err
}
