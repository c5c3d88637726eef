package profile

import (
	"github.com/quorate-pki/quorate/internal/reason"
)

// SANOther is otherName. Of its forms the profiles have hardwareModuleName alone.
const SANOther SANKind = 0

// oidHardwareModule is id-on-hardwareModuleName (RFC 4108 section 5).
const oidHardwareModule OID = "\x2b\x06\x01\x05\x05\x07\x08\x04" // 1.3.6.1.5.5.7.8.4

// hardwareModule reads a hardwareModuleName: OtherName { id-on-hardwareModuleName, [0] SEQUENCE { hwType OBJECT
// IDENTIFIER, hwSerialNum OCTET STRING } }.
func (n otherName) hardwareModule() (hwType OID, serial []byte, err *reason.Error) {
	if n.tag != tagConstructed|byte(SANOther) {
		return "", nil, reason.New(reason.HardwareModule, "an otherName that is not constructed")
	}
	d := &der{rest: n.content}
	kind := d.oid()
	if d.err == nil && kind != oidHardwareModule {
		return "", nil, reason.New(reason.HardwareModule, "an otherName of type %s", kind)
	}
	value := d.inside(tagConstructed)
	module := value.inside(tagSequence)
	hwType, serial = module.oid(), module.take(tagOctetString)
	module.close(value)
	value.close(d)
	if d.end(); d.err != nil {
		return "", nil, reason.New(reason.HardwareModule, "%v", d.err)
	}
	return hwType, serial, nil
}

// HardwareType is the hwType of the certificate's hardwareModuleName; false when it has none. Check has held the name to
// its form and its serial to the device's.
func (c *Certificate) HardwareType() (OID, bool) {
	for _, n := range c.otherNames {
		if n.kind != SANOther {
			continue
		}
		if hwType, _, err := n.hardwareModule(); err == nil {
			return hwType, true
		}
	}
	return "", false
}

// hardware holds otherNames to one hardwareModuleName, whose serial is the device's: the device has one number, and its
// owner is judged by that.
func (p *Profile) hardware(c *Certificate) *reason.Error {
	seen := false
	for _, n := range c.otherNames {
		if n.kind != SANOther {
			continue
		}
		_, serial, err := n.hardwareModule()
		switch {
		case err != nil:
			return err
		case seen:
			return reason.New(reason.HardwareModule, "two hardwareModuleNames")
		case string(serial) != c.DeviceSerial:
			return reason.New(reason.HardwareModule, "the serial %q is not the device's", serial)
		}
		seen = true
	}
	return nil
}
