package policies

import (
	"strings"
	"testing"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
)

// cell is a candidate as the small-cell profile has them.
func cell() *ledger.Candidate {
	const now, day = 1_790_000_000_000, 86_400_000
	return &ledger.Candidate{Kind: "publish", Time: now, Profile: "small-cell", Organisation: "acme-cells", OrganisationID: strings.Repeat("0a", 16),
		Roles: []string{"vendor"}, Voucher: strings.Repeat("0b", 32), Namespaces: []string{"serial:ACME-", "dns:acme-cells.example"},
		NameEvidence: "line-key", Possession: "self-signature", Protection: "unknown",
		Subject: []ledger.Attribute{{Type: "serialNumber", Value: "ACME-000001"}, {Type: "O", Value: "Acme Cells"}},
		Serial:  "01ff", DeviceSerial: "ACME-000001", DNSNames: []string{"acme-000001.acme-cells.example", "cell1.acme-cells.example"},
		KeyKind: "P-256", KeyBits: 256, Signature: "ECDSA with SHA-256", NotBefore: now - day, NotAfter: now + 3650*day,
		KeyUsage: []string{"digitalSignature"}, ExtendedKeyUsage: []string{"clientAuth", "serverAuth"}, Extensions: []string{"2.5.29.15", "2.5.29.17"}}
}

// body makes a rule of statements.
func body(lines string) string {
	return "def admit(c):\n    " + strings.ReplaceAll(strings.TrimSpace(lines), "\n", "\n    ") + "\n"
}

func compile(t testing.TB, text string) *Program {
	t.Helper()
	p, err := Compile(text)
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	return p
}

// expressions are of everything that rules may contain. Each is true.
func expressions() []string {
	return []string{
		`1 + 2 * 3 == 7 and 7 // 2 == 3 and -7 // 2 == -4 and -7 % 3 == 2 and 7 % -3 == -2 and 1 - 2 == -1`,
		`9223372036854775807 + 0 == 9223372036854775807 and -9223372036854775807 - 1 < 0`,
		`-3037000500 * 3037000499 < 0 and -(-5) == 5 and 0 * -5 == 0`,
		`"a" + "b" == "ab" and ["a"] + ["b"] == ["a", "b"] and ("a",) + ("b",) == ("a", "b")`,
		`[x for x in [1, 2, 3] if x != 2] == [1, 3]`,
		`[x + y for x in [1, 2] for y in [10, 20] if x + y != 21] == [11, 12, 22]`,
		`[[x] for x in [1, 2]] == [[1], [2]]`,
		`"a" in ["a"] and "a" in ("a", "b") and "b" not in ["a"] and "bc" in "abcd" and "k" in {"k": 1}`,
		`c.profile in c.namespaces + ["small-cell"] and "x" not in c.dns_names`,
		`[1, 2, 3][1] == 2 and [1, 2][-1] == 2 and {"a": 5}["a"] == 5 and (4, 5)[0] == 4`,
		`"abcdef"[1:3] == "bc" and "abc"[:-1] == "ab" and "abc"[5:] == "" and [1, 2, 3][1:] == [2, 3] and (1, 2)[:1] == (1,) and "abc"[2:1] == ""`,
		`len("abc") == 3 and len([1]) == 1 and len({"a": 1}) == 1 and len(()) == 0`,
		`any([False, True]) and not any([]) and all([]) and not all([1, 0])`,
		`min([3, 1, 2]) == 1 and max(["a", "b"]) == "b" and sorted(["b", "a"]) == ["a", "b"]`,
		`str(-12) == "-12" and str("a") == "a"`,
		`"abc".startswith("ab") and "abc".endswith("bc") and "abc".endswith(("x", "c")) and not "abc".startswith(("b",))`,
		`"abc".removeprefix("a") == "bc" and "abc".removesuffix("c") == "ab" and "abcb".find("b") == 1 and "abcb".count("b") == 2 and "a".find("z") == -1`,
		`"a.b".split(".") == ["a", "b"] and ".".join(["a", "b"]) == "a.b" and "".join([]) == ""`,
		`"aÄZ".lower() == "aÄz" and "aäz".upper() == "AäZ" and "012".isdigit() and not "".isdigit() and not "1x".isdigit()`,
		`{"a": 1}.get("a") == 1 and {"a": 1}.get("b") == None and {"a": 1}.get("b", 2) == 2`,
		`{"b": 1, "a": 2}.keys() == ["b", "a"] and {"b": 1}.values() == [1] and {"b": 1}.items() == [("b", 1)]`,
		`within("x.acme.example", "acme.example") and within("acme.example", "acme.example") and not within("xacme.example", "acme.example") and not within("a.", "")`,
		`(1 if True else 2) == 1 and (1, 2) == (1, 2) and (1, 2) != (1, 3) and "a" < "b" and 2 >= 2 and not (3 < 2)`,
		`{"a": ["x", "y"]}["a"][1] == "y"`,
		`DAY == 24 * 60 * 60 * 1000`,
	}
}

// TestExpressions evaluates them as rules.
func TestExpressions(t *testing.T) {
	for _, e := range expressions() {
		if v := compile(t, body("return "+e)).Judge(cell()); v.Code != reason.Accepted {
			t.Errorf("%s: %s %s", e, v.Code, v.Text)
		}
	}
}

// TestSameAsStarlark evaluates them as plain Starlark, with the library's own operators and methods: rules mean what Starlark means.
func TestSameAsStarlark(t *testing.T) {
	c := newChecker()
	env := starlark.StringDict{"c": &candidate{facts: cell()}, "DAY": constants()["DAY"], "within": c.ours["within"].builtin()}
	thread := &starlark.Thread{}
	thread.SetLocal(meterKey, &meter{})
	for _, e := range expressions() {
		if strings.Contains(e, `"aÄZ".lower()`) {
			continue // upper and lower of ASCII only, on purpose
		}
		v, err := starlark.EvalOptions(&syntax.FileOptions{}, thread, "expression", e, env)
		if err != nil || v != starlark.True {
			t.Errorf("%s: %v %v", e, v, err)
		}
	}
}

// TestStatements runs whole rules.
func TestStatements(t *testing.T) {
	for _, row := range []struct{ text, want string }{
		{"def admit(c):\n    return True\n", ""},
		{"\"\"\"A title.\n\nMore.\n\"\"\"\nLIMIT = 3\ndef many(n):\n    return n > LIMIT\n\ndef admit(c):\n    if many(len(c.dns_names)):\n        return \"many\"\n    elif many(5):\n        return \"no: \" + str(LIMIT)\n    else:\n        return True\n", "no: 3"},
		{body("n = 0\nfor name in c.dns_names:\n    n += 1\n    if n == 2:\n        break\n    continue\nreturn str(n)"), "2"},
		{body("a, b = (1, 2)\na *= 5\na -= 1\na //= 2\na %= 3\nreturn str(a + b)"), "4"}, // 4//2 = 2, 2 % 3 = 2
		{body("for k, v in {\"a\": \"b\"}.items():\n    return k + v\nreturn True"), "ab"},
		{body("\"\"\"A docstring.\"\"\"\npass\nreturn \"no\""), "no"},
		{body("x = \"中文也行\"\nreturn x"), "中文也行"},
	} {
		v := compile(t, row.text).Judge(cell())
		if want := row.want; v.Text != want || (v.Code == reason.Accepted) != (want == "") {
			t.Errorf("%s\n%s %q, want %q", row.text, v.Code, v.Text, want)
		}
	}
	if got := compile(t, "\"\"\"\n  A title.\n\nMore.\"\"\"\n"+body("return True")).Title(); got != "A title." {
		t.Errorf("title %q", got)
	}
}

// TestRefusedTexts lists what rules do not have. Each is refused when it is read, with the line.
func TestRefusedTexts(t *testing.T) {
	const top = "def admit(c):\n    return True\n"
	for _, row := range []struct{ name, text, says string }{
		{"nothing", "", "a text of 0 bytes"},
		{"too long", top + strings.Repeat("#", MaxText), "bytes; 1 to"},
		{"not UTF-8", top + "# \xff", "not UTF-8"},
		{"tab", "def admit(c):\n\treturn True\n", "line 2: character U+0009"},
		{"carriage return", "def admit(c):\r\n    return True\r\n", "line 1: character U+000D"},
		{"text that reads otherwise than it runs", top + "# \u202e", "U+202E"},
		{"zero width", top + "# \u200b", "U+200B"},
		{"no admit", "X = 1\n", "defines a function admit"},
		{"admit of two", "def admit(a, b):\n    return True\n", "of one argument"},
		{"admit is no function", "admit = 1\n", "defines a function admit"},
		{"syntax", "def admit(c)\n    return True\n", "line 2: got newline"},
		{"load", "load(\"x\", \"y\")\n" + top, "at the top of a rule"},
		{"while", body("while True:\n    pass\nreturn True"), "no such statement"},
		{"for at the top", "for x in [1]:\n    pass\n" + top, "at the top of a rule"},
		{"call at the top", "print(1)\n" + top, "at the top of a rule"},
		{"constant twice", "X = 1\nX = 2\n" + top, "reassign"},
		{"augmented constant", "X = 1\nX += 2\n" + top, "a constant is assigned"},
		{"lambda", body("f = lambda x: x\nreturn True"), "no such expression"},
		{"function in a function", body("def f():\n    return 1\nreturn True"), "within a function"},
		{"recursion", "def f():\n    return f()\n" + top, "defined below"},
		{"mutual recursion", "def f():\n    return g()\ndef g():\n    return f()\n" + top, "defined below"},
		{"admit calls itself", body("return admit(c)"), "defined below"},
		{"function as a value", "def f():\n    return 1\n" + body("x = f\nreturn True"), "is not called"},
		{"builtin as a value", body("x = len\nreturn True"), "len is not defined"},
		{"method as a value", body("x = c.serial.lower\nreturn True"), "a certificate has no lower"},
		{"call of a call", "def f():\n    return 1\n" + body("return f()()"), "by their names"},
		{"wrong number", "def f(x):\n    return 1\n" + body("return f()"), "f takes 1 arguments, not 0"},
		{"wrong number for ours", body("return len()"), "len with 0 arguments"},
		{"wrong number for a method", body("return c.serial.startswith()"), "startswith with 1 arguments"},
		{"star", body("return max(*[[1]])"), "one by one"},
		{"keyword", body("return len(x=1)"), "have no names"},
		{"default", "def f(x=1):\n    return x\n" + top, "only names"},
		{"varargs", "def f(*x):\n    return x\n" + top, "only names"},
		{"float", body("return 1.5 > 1"), "whole numbers"},
		{"large number", body("return 9223372036854775808 > 1"), "below 2^63"},
		{"bytes", body("return b\"x\" == 1"), "literals are strings"},
		{"division", body("return 1 / 2 == 1"), "no operator /"},
		{"shift", body("return 1 << 1000 > 1"), "no operator <<"},
		{"bits", body("return ~1 == 1"), "no operator ~"},
		{"union", body("return {} | {} == 1"), "no operator |"},
		{"dict comprehension", body("return {x: x for x in [1]} == 1"), "dicts are written out"},
		{"computed key", body("x = 1\nreturn {x: 1} == 1"), "keys of a dict"},
		{"step", body("return [1][::2] == 1"), "a beginning and an end"},
		{"item assignment", body("x = [1]\nx[0] = 2\nreturn True"), "values do not change"},
		{"append", body("x = []\nx.append(1)\nreturn True"), "nobody uses"},
		{"append as a value", body("x = [].append(1)\nreturn True"), "no method append"},
		{"format", body("return \"%s\".format(1)"), "no method format"},
		{"range", body("return [x for x in range(10)] == 1"), "there is no function range"},
		{"print", body("x = print(1)\nreturn True"), "there is no function print"},
		{"getattr", body("return getattr(c, \"serial\")"), "there is no function getattr"},
		{"hidden by a local name", "def f():\n    range = 1\n    return range\n" + body("return [x for x in range] == 1"), "has a meaning already"},
		{"unknown name", body("return y"), "y is not defined"},
		{"unknown fact", body("return c.secret"), "a certificate has no secret"},
		{"letters that look alike", body("с = 1\nreturn True"), "a name is at most"}, // Cyrillic
		{"list of a name in a literal", strings.Repeat("X = [[[[[1]]]]]\n", 1) + top, "nested more than 4"},
		{"deep", body("return " + strings.Repeat("(", 70) + "1" + strings.Repeat(")", 70)), "nested more than 64"},
		{"very deep", body("return " + strings.Repeat("(", 7000) + "1" + strings.Repeat(")", 7000)), "nest"},
		{"deep not", body("return " + strings.Repeat("not ", 3900) + "1"), "nest"},
		{"deep minus", body("return " + strings.Repeat("-", 15000) + "1"), "nest"},
		{"deep dots", body("return c" + strings.Repeat(".serial", 2200)), "nested more than 64"},
		{"deep sum", body("return 1" + strings.Repeat("+1", 7900)), "nested more than 64"},
		{"deep ifs", body(deepIfs(100)), "nest"},
		{"control character in a string", body(`return "\x07"`), "U+0007"},
		{"string of a surrogate", body(`return "\ud800"`), "line 2"},
	} {
		_, err := Compile(row.text)
		if code, _ := reason.CodeOf(err); code != reason.RuleNotCompiled || !strings.Contains(err.Error(), row.says) {
			t.Errorf("%s: %v, want a refusal that says %q", row.name, err, row.says)
		}
	}
}

func deepIfs(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(strings.Repeat(" ", i) + "if True:\n")
	}
	return b.String() + strings.Repeat(" ", n) + "return True"
}

// TestManyElifs: a chain of them is no nesting.
func TestManyElifs(t *testing.T) {
	v := compile(t, body("if False:\n    pass\n"+strings.Repeat("elif False:\n    pass\n", 500)+"else:\n    return \"last\"\nreturn True")).Judge(cell())
	if v.Text != "last" {
		t.Errorf("%+v", v)
	}
}

// TestFailures: a rule that fails refuses, with the code of what went wrong and the line.
func TestFailures(t *testing.T) {
	for _, row := range []struct {
		lines string
		code  reason.Code
		says  string
	}{
		{`return None`, reason.RuleResult, "admit returned NoneType"},
		{`pass`, reason.RuleResult, "admit returned NoneType"},
		{`return False`, reason.RuleResult, "admit returned bool"},
		{`return 1`, reason.RuleResult, "admit returned int"},
		{`return c`, reason.RuleResult, "admit returned certificate"},
		{`return ""`, reason.RuleResult, "a string of 0 bytes"},
		{`return "two\nlines"`, reason.RuleResult, "on one line"},
		{`return "ä"[:1]`, reason.RuleResult, "UTF-8"},
		{`return ".".join([c.serial for x in "` + strings.Repeat(" ", 60) + `".split(" ")])`, reason.RuleResult, "a string of 304 bytes"},
		{`return [1][1]`, reason.RuleFailed, "line 2: the list has no such index"},
		{`return {"a": 1}["b"]`, reason.RuleFailed, "line 2: the dict has no such key"},
		{`return {"a": 1}[[1]]`, reason.RuleFailed, "a list as a key"},
		{`return 1 // 0`, reason.RuleFailed, "division by zero"},
		{`return 1 % 0`, reason.RuleFailed, "division by zero"},
		{`return 9223372036854775807 + 1`, reason.RuleFailed, "beyond 64 bits"},
		{`return -9223372036854775807 - 2`, reason.RuleFailed, "beyond 64 bits"},
		{`return 4611686018427387904 * 2`, reason.RuleFailed, "beyond 64 bits"},
		{`return (-9223372036854775807 - 1) // -1`, reason.RuleFailed, "beyond 64 bits"},
		{`return -(-9223372036854775807 - 1)`, reason.RuleFailed, "beyond 64 bits"},
		{`return "a" * 1000000000`, reason.RuleFailed, "a string where a whole number is needed"},
		{`return [1] * 1000000000`, reason.RuleFailed, "a list where a whole number is needed"},
		{`return "%s" % "a"`, reason.RuleFailed, "a string where a whole number is needed"},
		{`return "a" + 1`, reason.RuleFailed, "a int where a string is needed"},
		{"x = [1]\nx += [2]\nreturn True", reason.RuleFailed, "lists do not change"},
		{`return "a" < 1`, reason.RuleFailed, "not implemented"},
		{`return [1] < [2]`, reason.RuleFailed, "have no order"},
		{`return c.serial.serial`, reason.RuleFailed, "no .serial field"},
		{`return c.keys()`, reason.RuleFailed, "a certificate where a dict is needed"},
		{`return len(1)`, reason.RuleFailed, "a int where a list is needed"},
		{`return c.dns_names.lower()`, reason.RuleFailed, "a list where a string is needed"},
		{`return min([])`, reason.RuleFailed, "an empty list"},
		{`return sorted([1, "a"])`, reason.RuleFailed, "not implemented"},
		{`return "abc".count("")`, reason.RuleFailed, "everywhere"},
		{`return "abc".split("")`, reason.RuleFailed, "an empty separator"},
		{"x = [1]\ny = [x]\nreturn True", reason.RuleFailed, "a list in a list"},
		{"x = [1]\nreturn [x for y in [1, 2]]", reason.RuleFailed, "a list in a list"},
		{"x = [1]\ny = {\"a\": x}\nreturn True", reason.RuleFailed, "a list in a list"},
		{"a, b = [1]\nreturn True", reason.RuleFailed, "too few values"},
		{"for x in 5:\n    pass\nreturn True", reason.RuleFailed, "not iterable"},
		{"for x in c.serial:\n    pass\nreturn True", reason.RuleFailed, "not iterable"},
		{"if False:\n    x = 1\nreturn x", reason.RuleFailed, "referenced before assignment"},
	} {
		v := compile(t, body(row.lines)).Judge(cell())
		if v.Code != row.code || !strings.Contains(v.Text, row.says) {
			t.Errorf("%s: %s %q, want %s %q", row.lines, v.Code, v.Text, row.code, row.says)
		}
	}
}

// TestUniverse: an upgrade of the library that gives a name a meaning must not give it to rules.
func TestUniverse(t *testing.T) {
	c := newChecker()
	for name := range starlark.Universe {
		if !c.taken(name) {
			t.Errorf("%s means something in Starlark and could be bound, or used unbound, in a rule: add it to the list with a rule version", name)
		}
	}
}

// TestFactsAreNoMethods: an attribute that is asked for without a call must not be a method of Starlark's own.
func TestFactsAreNoMethods(t *testing.T) {
	full := cell()
	for _, name := range Facts() {
		if v := factOf(full, name); v == nil {
			t.Errorf("%s is no fact", name)
		}
		for _, v := range []starlark.HasAttrs{starlark.String(""), starlark.Bytes(""), new(starlark.List), new(starlark.Dict), new(starlark.Set)} {
			if m, err := v.Attr(name); m != nil || err != nil {
				t.Errorf("%s is a method of %T", name, v)
			}
		}
	}
	if factOf(full, "secret") != nil {
		t.Error("a fact that is none")
	}
}

// TestFrozen: what a rule is given, and what it defines, it cannot change, so many may judge by one at a time.
func TestFrozen(t *testing.T) {
	p := compile(t, "X = [1, 2]\nD = {\"a\": [1]}\n"+body("if len(X + [3]) != 3 or len(X) != 2 or D[\"a\"] != [1]:\n    return \"changed\"\nreturn True"))
	done := make(chan ledger.RuleVerdict)
	for range 8 {
		go func() { done <- p.Judge(cell()) }()
	}
	for range 8 {
		if v := <-done; v.Code != reason.Accepted {
			t.Errorf("%+v", v)
		}
	}
}
