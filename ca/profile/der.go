package profile

import "github.com/quorate-pki/quorate/internal/reason"

// der is a reader of strict DER (X.690 section 10). The first fault sticks, so that callers check once, at the
// end; after a fault every read returns nothing. It is written by hand, not with cryptobyte, because a refusal
// names the fault; a test holds the two together.
type der struct {
	rest []byte
	at   int // offset of rest, for the detail of a fault
	err  *reason.Error
}

// Tags used by certificates.
const (
	tagBoolean         = 0x01
	tagInteger         = 0x02
	tagBitString       = 0x03
	tagOctetString     = 0x04
	tagNull            = 0x05
	tagOID             = 0x06
	tagUTF8String      = 0x0c
	tagPrintableString = 0x13
	tagIA5String       = 0x16
	tagUTCTime         = 0x17
	tagGeneralizedTime = 0x18
	tagSequence        = 0x30
	tagSet             = 0x31
	tagContext         = 0x80 // primitive
	tagConstructed     = 0xa0 // context, constructed
)

func (d *der) fail(c reason.Code, format string, args ...any) {
	if d.err == nil {
		d.err = reason.New(c, format, args...)
	}
	d.rest = nil
}

// element reads the next element whatever its tag: the tag, its content and its whole encoding.
func (d *der) element() (tag byte, content, whole []byte) {
	if d.err != nil {
		return 0, nil, nil
	}
	in := d.rest
	if len(in) < 2 {
		d.fail(reason.DERTruncated, "at byte %d", d.at)
		return 0, nil, nil
	}
	tag = in[0]
	if tag&0x1f == 0x1f {
		d.fail(reason.DERTag, "a tag of several octets at byte %d", d.at)
		return 0, nil, nil
	}
	n, header, code := length(in[1:])
	if code != 0 {
		d.fail(code, "at byte %d", d.at+1)
		return 0, nil, nil
	}
	header++
	if n > len(in)-header {
		d.fail(reason.DERTruncated, "%d bytes announced, %d left at byte %d", n, len(in)-header, d.at+header)
		return 0, nil, nil
	}
	whole = in[: header+n : header+n]
	d.rest, d.at = in[header+n:], d.at+header+n
	return tag, whole[header:], whole
}

// maxLengthOctets is how many octets a length may take after the first. Three hold every length within the size
// limit; a longer one in its shortest form promises more bytes than there can be.
const maxLengthOctets = 3

// length reads a definite length in its shortest form (X.690 section 10.1): its value and how many octets it took.
// in has at least one byte.
func length(in []byte) (n, octets int, code reason.Code) {
	first := in[0]
	if first < 0x80 {
		return int(first), 1, 0
	}
	k := int(first & 0x7f)
	if k == 0 { // the indefinite form
		return 0, 0, reason.DERLength
	}
	if len(in) < 1+k {
		return 0, 0, reason.DERTruncated
	}
	if in[1] == 0 {
		return 0, 0, reason.DERLength
	}
	if k > maxLengthOctets {
		return 0, 0, reason.DERTruncated
	}
	for _, b := range in[1 : 1+k] {
		n = n<<8 | int(b)
	}
	if n < 0x80 {
		return 0, 0, reason.DERLength
	}
	return n, 1 + k, 0
}

// take reads an element of one tag.
func (d *der) take(tag byte) []byte {
	content, _ := d.takeWhole(tag)
	return content
}

func (d *der) takeWhole(tag byte) (content, whole []byte) {
	at := d.at
	got, content, whole := d.element()
	if d.err == nil && got != tag {
		d.fail(reason.DERTag, "%#02x where %#02x belongs at byte %d", got, tag, at)
		return nil, nil
	}
	return content, whole
}

// optional reads an element if its tag comes next.
func (d *der) optional(tag byte) (content []byte, present bool) {
	if d.err != nil || len(d.rest) == 0 || d.rest[0] != tag {
		return nil, false
	}
	content = d.take(tag)
	return content, d.err == nil
}

// inside opens the content of an element.
func (d *der) inside(tag byte) *der {
	content := d.take(tag)
	return &der{rest: content, at: d.at - len(content), err: d.err}
}

// end demands that nothing is left.
func (d *der) end() {
	if d.err == nil && len(d.rest) > 0 {
		d.fail(reason.DERTrailing, "%d bytes at byte %d", len(d.rest), d.at)
	}
}

// close ends a reader and passes its fault on to the outer one.
func (d *der) close(outer *der) {
	d.end()
	if d.err != nil && outer.err == nil {
		outer.err, outer.rest = d.err, nil
	}
}

// integer reads an INTEGER's content octets in their shortest form (X.690 section 8.3.2).
func (d *der) integer() []byte {
	c := d.take(tagInteger)
	if d.err != nil {
		return nil
	}
	if len(c) == 0 || (len(c) > 1 && ((c[0] == 0 && c[1] < 0x80) || (c[0] == 0xff && c[1] >= 0x80))) {
		d.fail(reason.DERValue, "an INTEGER not in its shortest form before byte %d", d.at)
		return nil
	}
	return c
}

// boolean reads TRUE. FALSE never stands in DER where these structures have BOOLEANs: it is the default, and
// defaults are left out (X.690 section 11.5).
func (d *der) boolean() bool {
	c := d.take(tagBoolean)
	if d.err == nil && (len(c) != 1 || c[0] != 0xff) {
		d.fail(reason.DERValue, "a BOOLEAN that is not TRUE before byte %d: FALSE is the default and is left out", d.at)
	}
	return d.err == nil
}

// octets reads a BIT STRING of whole octets.
func (d *der) octets() []byte {
	c := d.take(tagBitString)
	if d.err != nil {
		return nil
	}
	if len(c) < 1 || c[0] != 0 {
		d.fail(reason.DERValue, "a BIT STRING that is not of whole octets before byte %d", d.at)
		return nil
	}
	return c[1:]
}

// flags reads a BIT STRING of named bits, without trailing zero bits (X.690 section 11.2.2): bit i as 1<<i. Bits
// from 16 on are refused: no structure here names them.
func (d *der) flags() (f uint16) {
	c := d.take(tagBitString)
	if d.err != nil {
		return 0
	}
	if len(c) == 1 && c[0] == 0 { // no bit is set
		return 0
	}
	if len(c) < 2 || len(c) > 3 || c[0] > 7 || c[len(c)-1]&(1<<c[0]-1) != 0 || c[len(c)-1]>>c[0]&1 == 0 {
		d.fail(reason.DERValue, "a BIT STRING of flags not in its shortest form before byte %d", d.at)
		return 0
	}
	for i := range 8 * (len(c) - 1) {
		if c[1+i/8]&(0x80>>(i%8)) != 0 {
			f |= 1 << i
		}
	}
	return f
}

// oid reads an OBJECT IDENTIFIER.
func (d *der) oid() OID {
	c := d.take(tagOID)
	if d.err == nil && !validOID(c) {
		d.fail(reason.DERValue, "an OBJECT IDENTIFIER not in its shortest form, or with an arc over 31 bits, before byte %d", d.at)
		return ""
	}
	return OID(c)
}
