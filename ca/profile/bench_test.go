package profile

import "testing"

// certificateP256 is what most of a batch looks like.
func certificateP256(b *testing.B) []byte {
	return good(b, newKeys(b)[P256], ECDSAWithSHA256).build(b)
}

func BenchmarkParse(b *testing.B) {
	der := certificateP256(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(der); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseAndVerify(b *testing.B) {
	der := certificateP256(b)
	p, _ := ByID(1)
	b.ReportAllocs()
	for b.Loop() {
		c, err := Parse(der)
		if err == nil {
			err = p.Check(c, blockTime, Grant{})
		}
		if err == nil {
			err = c.CheckSelfSignature()
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkCheck is what judging asks of the table for one publication: the row, and the certificate held to it.
func BenchmarkCheck(b *testing.B) {
	keys := newKeys(b)
	check := func(id uint16, der []byte) func(*testing.B) {
		return func(b *testing.B) {
			c, err := Parse(der)
			must(b, err)
			b.ReportAllocs()
			for b.Loop() {
				p, _ := ByID(id)
				if err := p.Check(c, blockTime, Grant{}); err != nil {
					b.Fatal(err)
				}
			}
		}
	}
	b.Run("small-cell", check(SmallCell, certificateP256(b)))
	for _, r := range rows() {
		p, _ := ByID(r.id)
		b.Run(p.Name, check(r.id, r.good(b, keys, P256).build(b)))
	}
}
