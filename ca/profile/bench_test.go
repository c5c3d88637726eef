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
