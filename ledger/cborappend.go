package ledger

// Leaves and records of publications are encoded by hand, as canonical CBOR, and their bodies decoded: it is a tenth of what the codec
// takes, at every member for every certificate. TestByHand holds each to what the codec makes of the same value.

// Major types of CBOR (RFC 8949 section 3.1).
const (
	majorUint  byte = 0 << 5
	majorBytes byte = 2 << 5
	majorArray byte = 4 << 5
	majorMap   byte = 5 << 5
	simpleTrue byte = 7<<5 | 21 // the whole value
)

// appendHead appends a head with its shortest argument (RFC 8949 section 4.2.1).
func appendHead(b []byte, major byte, n uint64) []byte {
	switch {
	case n < 24:
		return append(b, major|byte(n))
	case n < 1<<8:
		return append(b, major|24, byte(n))
	case n < 1<<16:
		return append(b, major|25, byte(n>>8), byte(n))
	case n < 1<<32:
		return append(b, major|26, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
	}
	return append(b, major|27, byte(n>>56), byte(n>>48), byte(n>>40), byte(n>>32), byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
}

// cutHead takes a head of a major type with its shortest argument from the front; false when there is none.
func cutHead(b []byte, major byte) (n uint64, rest []byte, ok bool) {
	if len(b) == 0 || b[0]&0xe0 != major {
		return 0, nil, false
	}
	switch info := b[0] & 0x1f; {
	case info < 24:
		return uint64(info), b[1:], true
	case info > 27 || len(b) < 1+1<<(info-24):
		return 0, nil, false
	default:
		size := 1 + 1<<(info-24)
		for _, c := range b[1:size] {
			n = n<<8 | uint64(c)
		}
		var shortest [9]byte
		return n, b[size:], len(appendHead(shortest[:0], major, n)) == size
	}
}

func appendUint(b []byte, n uint64) []byte { return appendHead(b, majorUint, n) }

func appendBytes(b, p []byte) []byte { return append(appendHead(b, majorBytes, uint64(len(p))), p...) }

// appendLeaf appends a map of one pair: the number 1 and a leaf.
func appendLeaf(b []byte, leaf uint64) []byte { return appendUint(append(b, majorMap|1, 1), leaf) }

// Encode returns the record.
func (r DeviceRecord) Encode() []byte { return appendLeaf(nil, r.Leaf) }

// Encode returns the record.
func (r CertIDRecord) Encode() []byte { return appendLeaf(nil, r.Leaf) }

// Encode returns the record.
func (p *PublicationRecord) Encode() []byte {
	b := make([]byte, 0, 240+len(p.Issuer)+len(p.KeyBits))
	b = appendUint(append(b, majorArray|10), p.Leaf)
	b = appendBytes(b, p.Key[:])
	b = appendBytes(b, p.Owner[:])
	b = appendBytes(b, p.Device[:])
	b = appendBytes(b, p.TBS[:])
	b = appendBytes(b, p.DER[:])
	b = appendBytes(b, p.Voucher[:])
	b = appendUint(b, uint64(p.Published))
	b = appendBytes(b, p.Issuer)
	return appendBytes(b, p.KeyBits)
}

// append appends the record's encoding.
func (w *keyWire) append(b []byte) []byte {
	start, pairs := len(b), byte(1)
	b = append(b, majorMap)
	pair := func(key byte) { pairs, b = pairs+1, append(b, key) }
	if !w.Custodian.IsZero() {
		pair(1)
		b = appendBytes(b, w.Custodian[:])
	}
	if w.Barred {
		pair(2)
		b = append(b, simpleTrue)
	}
	b = appendHead(append(b, 3), majorArray, uint64(len(w.Certificates)))
	for _, s := range w.Certificates {
		b = s.Standing.append(appendUint(append(b, majorArray|6), s.Leaf))
	}
	if w.Life != 0 {
		pair(4)
		b = appendUint(b, w.Life)
	}
	if w.Use != nil {
		pair(5)
		b = appendBytes(appendUint(append(b, majorArray|7), w.Use.Leaf), w.Use.By[:])
		b = w.Use.Standing.append(b)
	}
	if w.Retired {
		pair(6)
		b = append(b, simpleTrue)
	}
	if w.Successor != nil {
		pair(7)
		b = appendBytes(b, w.Successor[:])
	}
	b[start] |= pairs
	return b
}

// append appends the fields, without the array around them.
func (s *Standing) append(b []byte) []byte {
	b = appendUint(b, uint64(s.Status))
	b = appendUint(b, s.Cause)
	b = appendUint(b, uint64(s.Since))
	b = appendUint(b, s.Reason)
	return appendUint(b, uint64(s.Authority))
}

// append appends the leaf's encoding, without the entry around it.
func (l *OpLeaf) append(b []byte) []byte {
	b = appendUint(append(b, majorMap|4, 1), l.Tx)
	b = appendUint(append(b, 2), l.Position)
	b = appendBytes(append(b, 3), l.Body)
	return l.Effects.append(append(b, 4))
}

// append appends the encoding; what is empty is left out.
func (e *Effects) append(b []byte) []byte {
	start, pairs := len(b), byte(0)
	b = append(b, majorMap)
	bytes := func(key byte, p []byte) {
		pairs++
		b = appendBytes(append(b, key), p)
	}
	number := func(key byte, n uint64, keep bool) {
		if n != 0 || keep {
			pairs++
			b = appendUint(append(b, key), n)
		}
	}
	if e.Owner != nil {
		bytes(1, e.Owner[:])
	}
	number(2, e.Evidence, false)
	if e.Protection != nil {
		number(3, *e.Protection, true)
	}
	number(4, e.Possession, false)
	if len(e.Runs) > 0 {
		pairs++
		b = appendHead(append(b, 5), majorArray, uint64(len(e.Runs)))
		for _, r := range e.Runs {
			b = appendUint(append(b, majorArray|3), r.First)
			b = appendUint(b, r.Count)
			b = appendUint(b, uint64(r.Status))
		}
	}
	if e.Voucher != nil {
		bytes(6, e.Voucher[:])
	}
	if len(e.Namespaces) > 0 {
		pairs++
		b = appendHead(append(b, 7), majorArray, uint64(len(e.Namespaces)))
		for _, n := range e.Namespaces {
			b = appendBytes(b, n[:])
		}
	}
	number(8, e.Profile, false)
	if e.Device != nil {
		bytes(9, e.Device[:])
	}
	number(10, uint64(e.Time), true)
	if e.Batch != nil {
		pairs++
		b = appendBytes(append(b, 11, majorArray|2), e.Batch.Batch[:])
		b = appendUint(b, e.Batch.Position)
	}
	if e.Custodian != nil {
		bytes(12, e.Custodian[:])
	}
	number(13, e.Rules, true)
	number(14, uint64(e.Authority), false)
	if len(e.Members) > 0 {
		pairs++
		b = appendHead(append(b, 15), majorArray, uint64(len(e.Members)))
		for _, m := range e.Members {
			b = appendUint(b, m)
		}
	}
	number(16, uint64(e.Decision), false)
	if len(e.Cuts) > 0 {
		pairs++
		b = append(append(b, 20), Encode(e.Cuts)...) // few and far between
	}
	b[start] |= pairs
	return b
}
