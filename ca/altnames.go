package ca

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"slices"

	"github.com/quorate-pki/quorate/ca/profile"
)

// GeneralName tags (RFC 5280 section 4.2.1.6).
const (
	tagOtherName = 0
	tagDNSName   = 2
	tagURI       = 6
)

var (
	oidSubjectAltName = asn1.ObjectIdentifier{2, 5, 29, 17}
	oidNFTypes        = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 34}
	oidHardwareModule = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 8, 4}
)

// hardwareModule is the value of a hardwareModuleName (RFC 4108 section 5).
type hardwareModule struct {
	Type   asn1.ObjectIdentifier
	Serial []byte
}

// otherName is OtherName without its own tag.
type otherName struct {
	Type  asn1.ObjectIdentifier
	Value hardwareModule `asn1:"explicit,tag:0"`
}

// altNames is the subjectAltName of a configuration that crypto/x509 does not write: critical, or with more than DNS
// names.
func (cfg *SelfIssueConfig) altNames() (pkix.Extension, error) {
	var names []asn1.RawValue
	for _, name := range cfg.DNSNames {
		names = append(names, asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: tagDNSName, Bytes: []byte(name)})
	}
	if cfg.HardwareType != "" {
		oid, ok := profile.ParseOID(cfg.HardwareType)
		if !ok {
			return pkix.Extension{}, fmt.Errorf("hardware type %q is no object identifier", cfg.HardwareType)
		}
		der, err := asn1.MarshalWithParams(otherName{oidHardwareModule, hardwareModule{arcs(oid), []byte(cfg.Serial)}}, "tag:0")
		if err != nil {
			return pkix.Extension{}, err
		}
		names = append(names, asn1.RawValue{FullBytes: der})
	}
	if cfg.Instance != "" {
		urn := []byte("urn:uuid:" + cfg.Instance)
		names = append(names, asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: tagURI, Bytes: urn})
	}
	value, err := asn1.Marshal(names)
	return pkix.Extension{Id: oidSubjectAltName, Critical: cfg.Profile.SANCritical, Value: value}, err
}

// nfTypes is the extension of RFC 9310, in the ascending order that it demands.
func (cfg *SelfIssueConfig) nfTypes() (pkix.Extension, error) {
	var types []asn1.RawValue
	for _, t := range slices.Compact(slices.Sorted(slices.Values(cfg.NFTypes))) {
		types = append(types, asn1.RawValue{Tag: asn1.TagIA5String, Bytes: []byte(t)})
	}
	value, err := asn1.Marshal(types)
	return pkix.Extension{Id: oidNFTypes, Value: value}, err
}

// extensions are those that crypto/x509 does not write by itself.
func (cfg *SelfIssueConfig) extensions() (out []pkix.Extension, err error) {
	for _, x := range []struct {
		needed bool
		make   func() (pkix.Extension, error)
	}{
		{cfg.HardwareType != "" || cfg.Instance != "" || cfg.Profile.SANCritical, cfg.altNames},
		{len(cfg.NFTypes) > 0, cfg.nfTypes},
	} {
		if !x.needed {
			continue
		}
		e, err := x.make()
		if err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	return out, nil
}
