package profile

import (
	"time"

	"github.com/quorate-pki/quorate/internal/reason"
)

// Latest is 99991231235959Z, "no well-defined expiration date" (RFC 5280 section 4.1.2.5, IEEE 802.1AR), in
// seconds since 1970 UTC.
const Latest int64 = 253402300799

// time reads a Time (RFC 5280 section 4.1.2.5) in seconds since 1970 UTC: UTCTime YYMMDDHHMMSSZ through 2049,
// GeneralizedTime YYYYMMDDHHMMSSZ from 2050.
func (d *der) time() int64 {
	at := d.at
	tag, content, _ := d.element()
	if d.err != nil {
		return 0
	}
	s := string(content)
	switch {
	case tag == tagUTCTime && len(s) == len("YYMMDDHHMMSSZ"):
		century := "20"
		if s[0] >= '5' { // 50..99 are 1950..1999
			century = "19"
		}
		s = century + s
	case tag == tagGeneralizedTime && len(s) == len("YYYYMMDDHHMMSSZ"):
	case tag == tagUTCTime, tag == tagGeneralizedTime:
		d.fail(reason.TimeForm, "%q", s)
		return 0
	default:
		d.fail(reason.DERTag, "%#02x where a time belongs at byte %d", tag, at)
		return 0
	}
	t, ok := civil(s)
	switch {
	case !ok:
		d.fail(reason.TimeForm, "%q", content)
	case tag == tagGeneralizedTime && s < "2050":
		d.fail(reason.TimeForm, "%q is before 2050 and must be UTCTime", content)
	}
	return t
}

// civil reads YYYYMMDDHHMMSSZ. time.Parse is not used: what it tolerates is not ours to hold still. Leap seconds
// are refused, as everywhere in X.509.
func civil(s string) (int64, bool) {
	if s[14] != 'Z' || !only(s[:14], digits) {
		return 0, false
	}
	field := func(from, to int) (n int) {
		for _, c := range s[from:to] {
			n = 10*n + int(c-'0')
		}
		return n
	}
	year, month, day := field(0, 4), field(4, 6), field(6, 8)
	hour, minute, second := field(8, 10), field(10, 12), field(12, 14)
	if month < 1 || month > 12 || day < 1 || day > daysIn(year, month) || hour > 23 || minute > 59 || second > 59 {
		return 0, false
	}
	return time.Date(year, time.Month(month), day, hour, minute, second, 0, time.UTC).Unix(), true
}

func daysIn(year, month int) int {
	switch month {
	case 4, 6, 9, 11:
		return 30
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	}
	return 31
}

// addYears adds calendar years to seconds since 1970 UTC; 29 February becomes 1 March where there is none.
func addYears(t int64, years int) int64 { return time.Unix(t, 0).UTC().AddDate(years, 0, 0).Unix() }
