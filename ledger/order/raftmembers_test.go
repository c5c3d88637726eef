package order

import (
	"testing"

	"github.com/hashicorp/raft"
)

func servers(voters string, others string) (out raft.Configuration) {
	for _, n := range voters {
		out.Servers = append(out.Servers, raft.Server{ID: raft.ServerID(n), Address: raft.ServerAddress(n)})
	}
	for _, n := range others {
		out.Servers = append(out.Servers, raft.Server{Suffrage: raft.Nonvoter, ID: raft.ServerID(n), Address: raft.ServerAddress(n)})
	}
	return out
}

func sets(names ...string) (out [][]string) {
	for _, s := range names {
		var set []string
		for _, n := range s {
			set = append(set, string(n))
		}
		out = append(out, set)
	}
	return out
}

// TestConfigurationFits: a leader's configuration is a member set's, or between some that followed one another, and never leaves out who stays.
func TestConfigurationFits(t *testing.T) {
	for _, x := range []struct {
		voters, others string
		known          [][]string
		good           bool
	}{
		{"abcd", "", sets("abcd"), true},
		{"abcd", "e", sets("abcd"), false}, // it has not heard of that member yet
		{"abcd", "e", sets("abcd", "abcde"), true},
		{"abcde", "", sets("abcd", "abcde"), true},
		{"abc", "", sets("abcd", "abcde"), false},
		{"abcd", "", sets("abcd", "abcde"), true}, // not there yet
		{"abce", "d", sets("abcd", "abcde"), false},
		{"bcd", "", sets("abcd", "bcd"), true},
		{"abcdx", "", sets("abcd", "abcde"), false},
		{"bcde", "", sets("abcd", "abcde", "bcde"), true},
		{"abcde", "", sets("abcd", "abcde", "bcde"), true},
		{"ab", "", sets("abcd", "abcde", "bcde"), false},
		{"", "", sets("abcd"), false},
	} {
		err := fits(raft.EncodeConfiguration(servers(x.voters, x.others)), x.known)
		if (err == nil) != x.good {
			t.Errorf("%s+%s of %v: %v", x.voters, x.others, x.known, err)
		}
	}
	twice := servers("abcd", "")
	twice.Servers[3] = twice.Servers[0]
	elsewhere := servers("abcd", "")
	elsewhere.Servers[3].Address = "a"
	for _, c := range []raft.Configuration{twice, elsewhere} {
		if fits(raft.EncodeConfiguration(c), sets("abcd")) == nil {
			t.Errorf("%v", c)
		}
	}
	if fits([]byte("noise"), sets("abcd")) == nil {
		t.Error("noise")
	}
}

// TestNextChange: who is new is sent the log before it votes, and nobody goes before all who come are there.
func TestNextChange(t *testing.T) {
	have, want := servers("abcd", ""), []string{"b", "c", "d", "e"}
	behind, there := func(string) bool { return false }, func(string) bool { return true }
	if next(have.Servers, want, behind) == nil {
		t.Error("e is not added")
	}
	if next(servers("abcd", "e").Servers, []string{"a", "b", "c", "d", "e"}, behind) != nil {
		t.Error("e votes before it has the log")
	}
	if next(servers("abcd", "e").Servers, []string{"a", "b", "c", "d", "e"}, there) == nil {
		t.Error("e does not vote though it has the log")
	}
	if next(servers("bcde", "").Servers, want, there) != nil {
		t.Error("what is right is changed")
	}
	if next(servers("abcde", "").Servers, want, there) == nil {
		t.Error("a stays")
	}
}

// TestAlone: a configuration is sent after what it follows, never with it.
func TestAlone(t *testing.T) {
	log := func(types ...raft.LogType) (out []*raft.Log) {
		for i, k := range types {
			out = append(out, &raft.Log{Index: 5 + uint64(i), Type: k})
		}
		return out
	}
	for _, x := range []struct {
		in   []*raft.Log
		want int
	}{
		{log(raft.LogCommand, raft.LogBarrier), 2},
		{log(raft.LogCommand, raft.LogBarrier, raft.LogConfiguration, raft.LogCommand), 2},
		{log(raft.LogConfiguration, raft.LogCommand), 1},
		{nil, 0},
	} {
		if got := alone(x.in); len(got) != x.want {
			t.Errorf("%d of %d, want %d", len(got), len(x.in), x.want)
		}
	}
}
