package profile

import (
	"testing"
	"time"

	stdasn1 "encoding/asn1"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// sameAsCryptobyte holds the reader to cryptobyte's: the same elements, integers and identifiers.
func sameAsCryptobyte(t *testing.T, in []byte) {
	t.Helper()
	if len(in) > MaxCertificate {
		return
	}
	theirs, content, tag := cryptobyte.String(in), cryptobyte.String(nil), asn1.Tag(0)
	ok := theirs.ReadAnyASN1(&content, &tag)
	d := &der{rest: in}
	gotTag, got, _ := d.element()
	if ok != (d.err == nil) || (ok && (byte(tag) != gotTag || string(content) != string(got) || string(theirs) != string(d.rest))) {
		t.Errorf("%x: element %#02x %x %v, cryptobyte has %#02x %x %v", in, gotTag, got, d.err, tag, content, ok)
	}
	theirs = in
	var number []byte
	ok = theirs.ReadASN1Bytes(&number, asn1.INTEGER)
	if n := new(int64); ok && len(number) <= 8 {
		again := cryptobyte.String(in)
		ok = again.ReadASN1Integer(n)
		d = &der{rest: in}
		if d.integer(); ok != (d.err == nil) {
			t.Errorf("%x: integer %v, cryptobyte has %v", in, d.err, ok)
		}
	}
	theirs = in
	var id stdasn1.ObjectIdentifier
	ok = theirs.ReadASN1ObjectIdentifier(&id)
	d = &der{rest: in}
	if o := d.oid(); ok != (d.err == nil) || (ok && o.String() != id.String()) {
		t.Errorf("%x: identifier %s %v, cryptobyte has %s %v", in, o, d.err, id, ok)
	}
	theirs = in
	var when time.Time
	ok = theirs.ReadASN1UTCTime(&when)
	if d = (&der{rest: in}); len(in) == 15 && in[0] == tagUTCTime { // cryptobyte also takes times without seconds, and offsets
		if s := d.time(); ok != (d.err == nil) || (ok && s != when.Unix()) {
			t.Errorf("%q: time %d %v, cryptobyte has %v %v", in, s, d.err, when, ok)
		}
	}
}

func TestReaderAgainstCryptobyte(t *testing.T) {
	for a := range 256 {
		for b := range 256 {
			for _, n := range []int{0, 1, 3, 6} {
				in := append([]byte{byte(a), byte(b)}, make([]byte, n)...)
				sameAsCryptobyte(t, in)
				for i := range n {
					in[2+i] = byte(0x7f + i*b)
				}
				sameAsCryptobyte(t, in)
			}
		}
	}
}

func TestTimes(t *testing.T) {
	// Every day of four centuries, against the standard library's calendar.
	for day := time.Date(1950, 1, 1, 23, 59, 59, 0, time.UTC); day.Year() < 2350; day = day.AddDate(0, 0, 1) {
		in := generalized(day)
		if day.Year() < 2050 {
			in = utc(day)
		}
		d := &der{rest: in}
		if got := d.time(); d.err != nil || got != day.Unix() {
			t.Fatalf("%s: %d %v", day, got, d.err)
		}
	}
	d := &der{rest: tlv(tagGeneralizedTime, str("99991231235959Z"))}
	if got := d.time(); got != Latest {
		t.Errorf("latest: %d", got)
	}
	leap := time.Date(2028, 2, 29, 1, 2, 3, 0, time.UTC)
	if got, want := addYears(leap.Unix(), 25), time.Date(2053, 3, 1, 1, 2, 3, 0, time.UTC).Unix(); got != want {
		t.Errorf("25 years from a leap day: %s", time.Unix(got, 0).UTC())
	}
}

func TestOIDString(t *testing.T) {
	for o, want := range map[OID]string{
		EKUIPsecIKE: "1.3.6.1.5.5.7.3.17", extSAN: "2.5.29.17", "\x00": "0.0", "\x27": "0.39", "\x28": "1.0", "\x4f": "1.39",
		"\x50": "2.0", "\x88\x37\x03": "2.999.3", "": "invalid", "\x80\x01": "invalid", "\x2a\x83": "invalid",
	} {
		if o.String() != want {
			t.Errorf("%x: %s, want %s", string(o), o, want)
		}
	}
}
