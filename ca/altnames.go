package ca

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"

	"github.com/quorate-pki/quorate/ca/profile"
)

// GeneralName tags (RFC 5280 section 4.2.1.6).
const (
	tagOtherName = 0
	tagDNSName   = 2
)

var (
	oidSubjectAltName = asn1.ObjectIdentifier{2, 5, 29, 17}
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

// altNames is the subjectAltName of a configuration that has more than DNS names, which crypto/x509 does not write.
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
	value, err := asn1.Marshal(names)
	return pkix.Extension{Id: oidSubjectAltName, Value: value}, err
}
