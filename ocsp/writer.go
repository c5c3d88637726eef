package ocsp

import (
	"fmt"
	"math/bits"
	"time"
)

// writer writes DER from its end to its beginning: the length of an element is known when its head is written, so
// nothing is moved or measured first. What stands last in an element is written first.
type writer struct {
	space []byte
	at    int // space[at:] is written
	err   error
}

// The tags of DER that are written here (X.690 section 8).
const (
	tagBitString  = 0x03
	tagOctets     = 0x04
	tagNull       = 0x05
	tagOID        = 0x06
	tagEnumerated = 0x0a
	tagTime       = 0x18 // GeneralizedTime
	tagSequence   = 0x30
	tagInteger    = 0x02
	tagPrimitive  = 0x80 // [n] IMPLICIT over what is not constructed; add n
	tagExplicit   = 0xa0 // [n] EXPLICIT; add n
)

// reset forgets what was written and keeps the space.
func (w *writer) reset() { w.at, w.err = len(w.space), nil }

// written is valid until something else is written.
func (w *writer) written() ([]byte, error) { return w.space[w.at:], w.err }

// mark is where an element ends whose content is written next; wrap takes it.
func (w *writer) mark() int { return len(w.space) - w.at }

// room makes place for n more octets.
func (w *writer) room(n int) {
	if n <= w.at {
		return
	}
	more := make([]byte, 2*len(w.space)+n)
	at := len(more) - w.mark()
	copy(more[at:], w.space[w.at:])
	w.space, w.at = more, at
}

func (w *writer) octet(c byte) {
	w.room(1)
	w.at--
	w.space[w.at] = c
}

func (w *writer) octets(p []byte) {
	w.room(len(p))
	w.at -= len(p)
	copy(w.space[w.at:], p)
}

func (w *writer) string(s string) {
	w.room(len(s))
	w.at -= len(s)
	copy(w.space[w.at:], s)
}

// wrap makes what was written since mark the content of an element.
func (w *writer) wrap(tag byte, mark int) {
	n := w.mark() - mark
	w.room(10)
	if n < 0x80 {
		w.octet(byte(n))
	} else {
		size := (bits.Len(uint(n)) + 7) / 8
		for ; n > 0; n >>= 8 {
			w.octet(byte(n))
		}
		w.octet(0x80 | byte(size))
	}
	w.octet(tag)
}

// element writes a whole primitive element.
func (w *writer) element(tag byte, content []byte) {
	mark := w.mark()
	w.octets(content)
	w.wrap(tag, mark)
}

// time writes a GeneralizedTime in whole seconds of UTC, cut and not rounded, so that it is never later.
func (w *writer) time(t time.Time) {
	t = t.UTC()
	year, month, day := t.Date()
	hour, minute, second := t.Clock()
	if year < 0 || year > 9999 {
		w.err = fmt.Errorf("the year %d is none of GeneralizedTime", year)
		return
	}
	w.room(17)
	w.octet('Z')
	for _, n := range [...]int{second, minute, hour, day, int(month), year % 100, year / 100} {
		w.octet(byte('0' + n%10))
		w.octet(byte('0' + n/10))
	}
	w.octet(15)
	w.octet(tagTime)
}

func (w *writer) oid(content string) {
	mark := w.mark()
	w.string(content)
	w.wrap(tagOID, mark)
}

// extensions writes Extensions under the tag [n] EXPLICIT, and nothing when there are none.
func (w *writer) extensions(n byte, list ...extension) {
	if len(list) == 0 {
		return
	}
	mark := w.mark()
	for i := len(list) - 1; i >= 0; i-- {
		item := w.mark()
		w.element(tagOctets, list[i].value)
		if list[i].critical {
			w.string("\x01\x01\xff")
		}
		w.oid(list[i].oid)
		w.wrap(tagSequence, item)
	}
	w.wrap(tagSequence, mark)
	w.wrap(tagExplicit+n, mark)
}
