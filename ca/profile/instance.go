package profile

import (
	"encoding/hex"
	"strings"

	"github.com/quorate-pki/quorate/internal/reason"
)

// SANURI is uniformResourceIdentifier. Of its forms the profiles have the instance id alone.
const SANURI SANKind = 6

// Instance is the instance id of a network function: a UUID of version 4 (3GPP TS 29.571 clause 5.3.2, NfInstanceId;
// RFC 9562 section 5.4).
type Instance [16]byte

// instanceURN precedes a UUID in a URI (RFC 9562 section 4).
const instanceURN = "urn:uuid:"

// ParseInstance reads a UUID of version 4 in its lower-case form, as TS 29.571 has senders write it: an id has one form
// here, or it could be bound twice.
func ParseInstance(s string) (id Instance, ok bool) {
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return Instance{}, false
	}
	b, err := hex.DecodeString(s[:8] + s[9:13] + s[14:18] + s[19:23] + s[24:])
	if err != nil {
		return Instance{}, false
	}
	copy(id[:], b)
	return id, id.String() == s && id[6]>>4 == 4 && id[8]>>6 == 2
}

// String is the lower-case form with hyphens.
func (id Instance) String() string {
	h := hex.EncodeToString(id[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// Instance is the instance id in the certificate's alternative names; false when there is none. Check has held a profile
// that has instances to exactly one.
func (c *Certificate) Instance() (Instance, bool) {
	for _, n := range c.otherNames {
		if id, ok := n.instance(); ok {
			return id, true
		}
	}
	return Instance{}, false
}

func (n otherName) instance() (Instance, bool) {
	uuid, ok := strings.CutPrefix(string(n.content), instanceURN)
	if !ok || n.tag != tagContext|byte(SANURI) {
		return Instance{}, false
	}
	return ParseInstance(uuid)
}

// instance holds a network function's names to 3GPP TS 33.310 clause 6.1.3c.3: one instance id, and a DNS name, which
// has an owner as the id has not.
func (p *Profile) instance(c *Certificate) *reason.Error {
	if p.SANCritical && !c.sanCritical {
		return reason.New(reason.SANNotCritical, "")
	}
	if !p.Instance {
		return nil
	}
	seen := 0
	for _, n := range c.otherNames {
		if n.kind != SANURI {
			continue
		}
		if _, ok := n.instance(); !ok {
			return reason.New(reason.InstanceForm, "%q", n.content)
		}
		seen++
	}
	switch {
	case seen == 0:
		return reason.New(reason.InstanceMissing, "")
	case seen > 1:
		return reason.New(reason.InstanceForm, "%d instance ids", seen)
	case len(c.DNSNames) == 0:
		return reason.New(reason.DNSNameMissing, "")
	}
	return nil
}

// home holds the subject of a network function to TS 33.310 clause 6.1.3c.3: a country, and the home domain name as
// organisation. It has no device serial, which is a second identity that nobody would look at.
func (p *Profile) home(c *Certificate) *reason.Error {
	switch {
	case !p.HomeDomain:
		return nil
	case c.DeviceSerial != "":
		return reason.New(reason.DeviceSerialNotAllowed, "%q", c.DeviceSerial)
	case len(c.country) != 2 || !only(string(c.country), upper):
		return reason.New(reason.HomeDomain, "countryName %q", c.country)
	case !ValidDNSName(string(c.organisation)):
		return reason.New(reason.HomeDomain, "organizationName %q", c.organisation)
	}
	return nil
}

// HomeDomainName is the organizationName of the subject, which in profiles with HomeDomain is a DNS name to be owned.
func (c *Certificate) HomeDomainName() string { return string(c.organisation) }
