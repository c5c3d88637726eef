package main

import (
	"strings"
	"testing"
)

func TestStrictJSON(t *testing.T) {
	type inner struct {
		Port int `json:"port"`
	}
	type config struct {
		Name  string           `json:"name"`
		Peers map[string]inner `json:"peers"`
		List  []inner          `json:"list"`
	}
	for in, want := range map[string]string{
		`{"name":"a","peers":{"b":{"port":1},"c":{"port":2}},"list":[{"port":1},{"port":2}]}`: "",
		`{"name":"a","name":"b"}`:                   "name is there twice",
		`{"name":"a","Name":"b"}`:                   "Name is there twice",
		`{"peers":{"b":{"port":1},"b":{"port":2}}}`: "peers.b is there twice",
		`{"peers":{"b":{"port":1,"port":2}}}`:       "peers.b.port is there twice",
		`{"list":[{"port":1},{"port":1,"PORT":2}]}`: "list[1].PORT is there twice",
		`{"name":"a"} {"name":"b"}`:                 "something follows",
		`{"nam":"a"}`:                               "unknown field",
		`{"name":"a"`:                               "unexpected EOF",
		`{"name":1}`:                                "cannot unmarshal",
		``:                                          "EOF",
	} {
		var c config
		err := strictJSON([]byte(in), &c)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", in, err, want)
		}
	}
}
