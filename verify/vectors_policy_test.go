package verify_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
)

func (s *suite) policies() {
	const bad = "bad-policy"
	w := s.four
	good := string(w.c.Policy().Format())
	lines := strings.SplitAfter(strings.TrimSuffix(good, "\n"), "\n") // 4 logs, 4 witnesses, group, quorum
	log, witness, group, quorum := lines[0], lines[4], lines[8], lines[9]+"\n"
	logs, witnesses := strings.Join(lines[:4], ""), strings.Join(lines[4:8], "")
	names := "ca-a ca-b ca-c ca-d"
	set := func(name, want, policy string) {
		s.add("policy: "+name, want, func(v *vector) { v.Policy = []byte(policy) })
	}
	swap := func(name, want, old, new string) {
		if !strings.Contains(good, old) {
			panic(name + ": nothing to edit")
		}
		set(name, want, strings.Replace(good, old, new, 1))
	}
	key := func(name string, typ byte, public []byte) string {
		raw := append([]byte{typ}, public...)
		id := sha256.Sum256(slices.Concat([]byte(name+"\n"), raw))
		return fmt.Sprintf("%s+%x+%s", name, id[:4], base64.StdEncoding.EncodeToString(raw))
	}
	pub := func(name string) ed25519.PublicKey { return public(w.c.Key(name)) }
	origin := w.c.Set.Origin(0)

	set("comments, tabs and blank lines", "good", "# \xff\xfe \u2028 # \n\n \t \n\t#log\n"+strings.NewReplacer(" ", "\t  ").Replace(good)+" \n#")
	s.vectors[len(s.vectors)-1].Policy = append(s.vectors[len(s.vectors)-1].Policy, '\n')
	set("another group name", "good", strings.ReplaceAll(good, "members", "all-of-us"))
	set("any order", "good", witnesses+logs+group+quorum)
	set("logs last", "good", witnesses+group+quorum+logs)
	set("one log", "good", log+witnesses+group+quorum)
	set("all", "quorum-not-reached", strings.Replace(good, "members 3", "members all", 1))
	s.status("policy: all, and all signed", "good", times(asOf, asOf, asOf, asOf))
	last := &s.vectors[len(s.vectors)-1]
	last.Policy = []byte(strings.Replace(good, "members 3", "members all", 1))
	last.Receipt = w.receiptOf(w.leafOf["ACME-A"], w.size(), last.Cert).do(times(1, 2, 3, 4))
	set("any", "policy-breaks-quorum", strings.Replace(good, "members 3", "members any", 1))
	set("2 of 4", "policy-breaks-quorum", strings.Replace(good, "members 3", "members 2", 1))
	set("2 of 3", "policy-breaks-quorum", logs+strings.Join(lines[4:7], "")+"group members 2 ca-a ca-b ca-c\nquorum members\n")
	set("3 of 3", "good", logs+strings.Join(lines[4:7], "")+"group members 3 ca-a ca-b ca-c\nquorum members\n")
	set("quorum none", "policy-breaks-quorum", logs+witnesses+"quorum none\n")
	set("quorum none, with a group", "policy-breaks-quorum", logs+witnesses+"group g 1 ca-a\nquorum none\n")
	set("quorum none, no witness", "policy-breaks-quorum", logs+"quorum none\n")
	set("one witness", "good", logs+witness+"quorum ca-a\n")
	set("one witness, in a group", "good", logs+witness+"group g any ca-a\nquorum g\n")
	for i, url := range []string{"https://a.example/log", "http://[::1]:8080/?q=%zz", "https://a_b.example:65535", "http://x?y@z", "https://" + strings.Repeat("a", 504)} {
		swap(fmt.Sprintf("good URL %d of a log", i), "good", log, strings.TrimSpace(log)+" "+url+"\n")
		swap(fmt.Sprintf("good URL %d of a witness", i), "good", witness, strings.TrimSpace(witness)+" "+url+"\n")
	}
	for i, url := range []string{"ftp://a/", "https:/a", "https://", "https:///a", "https://:80/", "https://u@a/", "https://u:p@a/", "https://a/#b", "HTTPS://a/",
		"https://a\u00a0b/", "https://a/\u00e9", "https://a/\xff", "//a/", "a", "https://[::1/", "https://a:/", "https://a:123456/", "https://a b", "https://" + strings.Repeat("a", 505), "https://a%41/", "https://a\\b/"} {
		swap(fmt.Sprintf("bad URL %d of a log", i), bad, log, strings.TrimSpace(log)+" "+url+"\n")
		swap(fmt.Sprintf("bad URL %d of a witness", i), bad, witness, strings.TrimSpace(witness)+" "+url+"\n")
	}

	set("empty", bad, "")
	set("a line feed", bad, "\n")
	set("no last line feed", bad, strings.TrimSuffix(good, "\n"))
	set("CR LF", bad, strings.ReplaceAll(good, "\n", "\r\n"))
	set("a NUL in a comment", bad, "#\x00\n"+good)
	set("a DEL in a comment", bad, "#\x7f\n"+good)
	set("a vertical tab", bad, strings.Replace(good, " ", "\v", 1))
	set("65,536 bytes", "good", good+"#"+strings.Repeat("c", 65536-len(good)-2)+"\n")
	set("65,537 bytes", bad, good+"#"+strings.Repeat("c", 65536-len(good)-1)+"\n")
	set("unknown keyword", bad, good+"trust me\n")
	set("unknown keyword, alone", bad, good+"trust\n")
	set("keyword in capitals", bad, strings.Replace(good, "log ", "LOG ", 1))
	set("keyword not UTF-8", bad, "\xff x\n"+good)
	set("comment after a word", bad, strings.Replace(good, "quorum members", "quorum members #ok", 1))
	set("log without a key", bad, good+"log\n")
	set("witness without a key", bad, good+"witness ca-e\n")
	set("witness without a name", bad, good+"witness\n")
	set("group without members", bad, logs+witnesses+"group members 3\nquorum members\n")
	set("group of none", bad, logs+witnesses+"group members all\nquorum members\n")
	set("quorum without a name", bad, logs+witnesses+group+"quorum\n")
	set("quorum of two words", bad, logs+witnesses+group+"quorum members members\n")
	set("two quorum lines", bad, good+quorum)
	set("no quorum line", bad, logs+witnesses+group)
	set("quorum before the group", bad, logs+witnesses+quorum+group)
	set("quorum of a keyword", bad, logs+witnesses+group+"quorum all\n")
	set("quorum of a stranger", bad, logs+witnesses+group+"quorum nobody\n")
	set("group before a witness", bad, logs+strings.Join(lines[4:7], "")+group+lines[7]+quorum)
	set("two groups", bad, logs+witnesses+group+"group more 3 "+names+"\n"+quorum)
	set("two groups of one name", bad, logs+witnesses+group+group+quorum)
	set("group named as a witness", bad, logs+witnesses+"group ca-a 3 "+names+"\nquorum ca-a\n")
	set("group named all", bad, logs+witnesses+"group all 3 "+names+"\nquorum all\n")
	set("group named none", bad, logs+witnesses+"group none 3 "+names+"\nquorum none\n")
	set("group with a plus", bad, logs+witnesses+"group a+b 3 "+names+"\nquorum a+b\n")
	set("group with #", bad, logs+witnesses+"group a#b 3 "+names+"\nquorum a#b\n")
	set("group in itself", bad, logs+witnesses+"group members 3 "+names+" members\nquorum members\n")
	set("group with a keyword", bad, logs+witnesses+"group members 4 "+names+" none\nquorum members\n")
	set("group with a keyword, all", bad, logs+witnesses+"group members 4 "+names+" all\nquorum members\n")
	set("group with one member twice", bad, logs+witnesses+"group members 4 "+names+" ca-a\nquorum members\n")
	set("group with one member twice, one left out", bad, logs+witnesses+"group members 3 ca-a ca-b ca-c ca-c\nquorum members\n")
	set("group with a keyword for a member", bad, logs+witnesses+"group members 3 ca-a ca-b ca-c none\nquorum members\n")
	set("another word for quorum", bad, logs+witnesses+group+"trust members\n")
	set("quorum with a URL", bad, logs+witnesses+group+"quorum members https://a.example/\n")
	set("log with two URLs", bad, strings.TrimSpace(log)+" https://a.example/ https://b.example/\n"+witnesses+group+quorum)
	set("the only witness twice the quorum", bad, logs+witness+"quorum ca-a\nquorum ca-a\n")
	set("5 of 4, quorum none", bad, logs+witnesses+"group members 5 "+names+"\nquorum none\n")
	set("all of no members, quorum none", bad, logs+witnesses+"group members all\nquorum none\n")
	set("any of no members, quorum none", bad, logs+witnesses+"group members any\nquorum none\n")
	set("witness named as the group, quorum none", bad, logs+witnesses+group+"witness members "+key("test.example/ca-e", 4, pub("x"))+"\nquorum none\n")
	set("two groups, quorum none", bad, logs+witnesses+group+"group more 3 "+names+"\nquorum none\n")
	set("group without one witness", bad, logs+witnesses+"group members 3 ca-a ca-b ca-c\nquorum members\n")
	set("witness after the group", bad, logs+strings.Join(lines[4:7], "")+"group members 3 ca-a ca-b ca-c\nquorum members\n"+lines[7])
	set("a witness of many as quorum", bad, logs+witnesses+"quorum ca-a\n")
	set("a witness as quorum, and a group", bad, logs+witness+"group g 1 ca-a\nquorum ca-a\n")
	for _, k := range []string{"0", "5", "03", "+3", "-3", "3.0", "ALL", "0x3", "\u0663", "", "18446744073709551619"} {
		if k != "" {
			set(fmt.Sprintf("%q of 4", k), bad, strings.Replace(good, "members 3", "members "+k, 1))
		}
	}
	set("no log", bad, witnesses+group+quorum)
	many := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "log %s\n", key(origin, 1, bytes.Repeat([]byte{byte(i + 1)}, 32)))
		}
		return b.String()
	}
	set("32 logs", "good", many(31)+log+witnesses+group+quorum)
	set("33 logs", bad, many(32)+log+witnesses+group+quorum)
	witnessesOf := func(n int) string {
		var b, g strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "witness w%d %s\n", i, key(fmt.Sprintf("w/%d", i), 4, bytes.Repeat([]byte{byte(i + 1)}, 32)))
			fmt.Fprintf(&g, " w%d", i)
		}
		return b.String() + "group g all" + g.String() + "\nquorum g\n"
	}
	set("16 witnesses", "quorum-not-reached", log+witnessesOf(16))
	set("17 witnesses", bad, log+witnessesOf(17))
	set("logs of two names", bad, "log "+key("test.example/main/1", 1, pub("x"))+"\n"+good)
	set("log key twice", bad, log+good)
	set("log key twice, at a distance", bad, good+log)
	a, b := collision(origin)
	set("log keys of one id", bad, "log "+key(origin, 1, a)+"\nlog "+key(origin, 1, b)+"\n"+good)
	set("witness name twice", bad, strings.Replace(good, "witness ca-b", "witness ca-a", 1))
	set("cosigner name twice", bad, logs+witnesses+"witness ca-e "+key(w.c.Set.CosignerName("ca-a"), 4, pub("x"))+"\ngroup members 4 "+names+" ca-e\nquorum members\n")
	set("cosigning key twice", bad, logs+witnesses+"witness ca-e "+key("test.example/ca-e", 4, pub("ca-a/cosigning"))+"\ngroup members 4 "+names+" ca-e\nquorum members\n")
	set("cosigning key is a log key", bad, logs+witnesses+"witness ca-e "+key("test.example/ca-e", 4, pub("ca-a/log"))+"\ngroup members 4 "+names+" ca-e\nquorum members\n")
	set("a fifth witness", "quorum-not-reached", logs+witnesses+"witness ca-e "+key("test.example/ca-e", 4, pub("x"))+"\ngroup members 4 "+names+" ca-e\nquorum members\n")
	for _, n := range []string{"log", "witness", "group", "quorum", "all", "any", "none", "a+b", "a#b", "a\u00a0b", "a\u0085b", "\xff", strings.Repeat("n", 256)} {
		set(fmt.Sprintf("witness named %.10q", n), bad, logs+"witness "+n+strings.TrimPrefix(witness, "witness ca-a")+"quorum "+n+"\n")
	}
	set("witness name of 255 bytes", "good", logs+"witness "+strings.Repeat("n", 255)+strings.TrimPrefix(witness, "witness ca-a")+"quorum "+strings.Repeat("n", 255)+"\n")
	for name, k := range map[string]string{
		"of type 4":                key(origin, 4, pub("x")),
		"of type 2":                key(origin, 2, pub("x")),
		"of 31 bytes":              key(origin, 1, pub("x")[:31]),
		"of 33 bytes":              key(origin, 1, append(slices.Clone(pub("x")), 0)),
		"of no bytes":              origin + "+00000000+",
		"with another id":          origin + "+00000000+" + strings.SplitN(key(origin, 1, pub("x")), "+", 3)[2],
		"with an id in capitals":   origin + "+" + strings.ToUpper(strings.SplitN(key(origin, 1, pub("cap")), "+", 3)[1]) + "+" + strings.SplitN(key(origin, 1, pub("cap")), "+", 3)[2],
		"with a long id":           strings.Replace(key(origin, 1, pub("x")), "+", "+0", 1),
		"without an id":            origin + "+" + strings.SplitN(key(origin, 1, pub("x")), "+", 3)[2],
		"with junk":                key(origin, 1, pub("x")) + "*",
		"with a name only":         origin,
		"that is a private key":    "PRIVATE+KEY+" + key(origin, 1, pub("x")),
		"without a name":           key("", 1, pub("x")),
		"with # in its name":       key(origin+"#", 1, pub("x")),
		"with a space in its name": key("a\u2003b", 1, pub("x")),
		"with a name not UTF-8":    key("a\xffb", 1, pub("x")),
		"with a name of 256 bytes": key(strings.Repeat("o", 256), 1, pub("x")),
	} {
		set("log key "+name, bad, "log "+k+"\n"+witnesses+group+quorum)
		set("log key "+name+", beside others", bad, good+"log "+k+"\n")
	}
	set("origin of 255 bytes", "wrong-origin", "log "+key(strings.Repeat("o", 255), 1, pub("x"))+"\n"+witnesses+group+quorum)
	set("cosigning key of type 1", bad, logs+"witness w "+key("w", 1, pub("x"))+"\nquorum w\n")
	set("cosigner with # in its name", bad, logs+"witness w "+key("w#", 4, pub("x"))+"\nquorum w\n")
	set("cosigner with a name of 255 bytes", "quorum-not-reached", logs+"witness w "+key(strings.Repeat("w", 255), 4, pub("x"))+"\nquorum w\n")
	set("cosigner with a name of 256 bytes", bad, logs+"witness w "+key(strings.Repeat("w", 256), 4, pub("x"))+"\nquorum w\n")
	set("keys of another consortium", "no-log-signature", "log "+key(origin, 1, pub("x"))+"\n"+witnesses+group+quorum)
	set("a log key that is no point", "no-log-signature", "log "+key(origin, 1, bytes.Repeat([]byte{2}, 32))+"\n"+witnesses+group+quorum)
}

// collision finds two public keys of one note key id; they need not be keys of anything.
var collision = func() func(string) (a, b []byte) {
	return func(origin string) (a, b []byte) {
		seen := map[uint32]uint64{}
		key := func(i uint64) []byte { return binary.BigEndian.AppendUint64(make([]byte, 24), i) }
		for i := uint64(0); ; i++ {
			sum := sha256.Sum256(slices.Concat([]byte(origin+"\n\x01"), key(i)))
			id := binary.BigEndian.Uint32(sum[:])
			if j, ok := seen[id]; ok {
				return key(j), key(i)
			}
			seen[id] = i
		}
	}
}()
