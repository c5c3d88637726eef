package profile

import (
	"github.com/quorate-pki/quorate/internal/reason"
)

// der is a reader of strict DER. The first fault sticks, so that callers check once.
type der struct {
	rest []byte
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
		d.fail(reason.DERTruncated, "")
		return 0, nil, nil
	}
	tag = in[0]
	if tag&0x1f == 0x1f {
		d.fail(reason.DERTag, "a tag of several octets")
		return 0, nil, nil
	}
	n, header, code := length(in[1:])
	if code != 0 {
		d.fail(code, "")
		return 0, nil, nil
	}
	header++
	if n > len(in)-header {
		d.fail(reason.DERTruncated, "%d bytes announced, %d left", n, len(in)-header)
		return 0, nil, nil
	}
	whole = in[: header+n : header+n]
	d.rest = in[header+n:]
	return tag, whole[header:], whole
}

// length reads a definite length in its shortest form (X.690 section 10.1): its value and how many octets it took.
func length(in []byte) (n, octets int, code reason.Code) {
	first := in[0]
	if first < 0x80 {
		return int(first), 1, 0
	}
	k := int(first & 0x7f)
	// Three octets hold any length within the size limit; 0x80 is the indefinite form.
	if k == 0 || k > 3 {
		return 0, 0, reason.DERLength
	}
	if len(in) < 1+k {
		return 0, 0, reason.DERTruncated
	}
	for _, b := range in[1 : 1+k] {
		n = n<<8 | int(b)
	}
	if n < 0x80 || (k > 1 && in[1] == 0) {
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
	got, content, whole := d.element()
	if d.err == nil && got != tag {
		d.fail(reason.DERTag, "tag %#02x where %#02x belongs", got, tag)
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
	return &der{rest: content, err: d.err}
}

// close demands that nothing is left and passes the fault on to the outer reader.
func (d *der) close(outer *der) {
	if d.err == nil && len(d.rest) > 0 {
		d.fail(reason.DERTrailing, "%d bytes", len(d.rest))
	}
	if d.err != nil && outer.err == nil {
		outer.err, outer.rest = d.err, nil
	}
}

// integer reads an INTEGER's content octets in their shortest form.
func (d *der) integer() []byte {
	c := d.take(tagInteger)
	if d.err != nil {
		return nil
	}
	if len(c) == 0 || (len(c) > 1 && ((c[0] == 0 && c[1] < 0x80) || (c[0] == 0xff && c[1] >= 0x80))) {
		d.fail(reason.DERValue, "an INTEGER not in its shortest form")
		return nil
	}
	return c
}

// boolean reads TRUE. FALSE never stands in DER where these structures have BOOLEANs: it is always the default.
func (d *der) boolean() bool {
	c := d.take(tagBoolean)
	if d.err == nil && (len(c) != 1 || c[0] != 0xff) {
		d.fail(reason.DERValue, "a BOOLEAN that is not TRUE: FALSE is the default and is left out")
	}
	return d.err == nil
}

// bits reads a BIT STRING of whole octets.
func (d *der) bits() []byte {
	c := d.take(tagBitString)
	if d.err != nil {
		return nil
	}
	if len(c) < 1 || c[0] != 0 {
		d.fail(reason.DERValue, "a BIT STRING that is not of whole octets")
		return nil
	}
	return c[1:]
}
