package tlog_test

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger/tlog"
)

func TestPolicyFormat(t *testing.T) {
	for n := 1; n <= 16; n++ {
		for q := 1; q <= n; q++ {
			p := testPolicy(n, q)
			got, err := tlog.ParsePolicy(p.Format())
			if 3*q <= 2*n {
				wantReason(t, err, reason.PolicyBreaksQuorum)
				wantReason(t, p.Check(), reason.PolicyBreaksQuorum)
				continue
			}
			if err != nil {
				t.Fatalf("%d of %d: %v", q, n, err)
			}
			if !reflect.DeepEqual(got, p) {
				t.Fatalf("%d of %d: parsed as %+v", q, n, got)
			}
			if got.N() != n || got.F() != n-q || !bytes.Equal(got.Format(), p.Format()) {
				t.Errorf("%d of %d: N %d, F %d", q, n, got.N(), got.F())
			}
		}
	}
	p := testPolicy(2, 2)
	p.Logs[0].URL, p.Witnesses[1].URL = "", ""
	p.Witnesses[0].Name, p.Witnesses[1].Name = "members", "members-"
	want := fmt.Sprintf("log %s\nlog %s https://m1.example/log/main/0\n"+
		"witness members %s https://m0.example/witness\nwitness members- %s\n"+
		"group members-- 2 members members-\nquorum members--\n", logVKey(0), logVKey(1), memberVKey(0), memberVKey(1))
	if got := string(p.Format()); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	if got, err := tlog.ParsePolicy(p.Format()); err != nil || !reflect.DeepEqual(got, p) {
		t.Errorf("parsed as %+v, %v", got, err)
	}
}

func TestParsePolicyForms(t *testing.T) {
	l0, m0, m1 := logVKey(0), memberVKey(0), memberVKey(1)
	log := fmt.Sprintf("log %s\n", l0)
	one := fmt.Sprintf("witness a %s\n", m0)
	two := one + fmt.Sprintf("witness b %s\n", m1)
	big := log
	for i := range 17 {
		big += fmt.Sprintf("witness w%d %s\n", i, memberVKey(i))
	}
	w16 := "w0 w1 w2 w3 w4 w5 w6 w7 w8 w9 w10 w11 w12 w13 w14 w15"
	for name, tt := range map[string]struct {
		text string
		want reason.Code // 0: accepted
	}{
		"single witness":        {log + one + "quorum a\n", 0},
		"group of one":          {log + one + "group g any a\nquorum g\n", 0},
		"all":                   {log + two + "group g all a b\nquorum g\n", 0},
		"log last":              {one + "quorum a\n" + log, 0},
		"free space":            {"# c\n\n \t\n\t" + log + "  # x\xff y\n" + one + " quorum \t a \t\n", 0},
		"unordered members":     {log + two + "group g 2 b a\nquorum g\n", 0},
		"any of two":            {log + two + "group g any a b\nquorum g\n", reason.PolicyBreaksQuorum},
		"none":                  {log + two + "quorum none\n", reason.PolicyBreaksQuorum},
		"none at all":           {log + "quorum none\n", reason.PolicyBreaksQuorum},
		"empty":                 {"", reason.BadPolicy},
		"no quorum":             {log + one, reason.BadPolicy},
		"two quorums":           {log + one + "quorum a\nquorum a\n", reason.BadPolicy},
		"unknown quorum":        {log + one + "quorum b\n", reason.BadPolicy},
		"quorum before":         {log + "quorum a\n" + one, reason.BadPolicy},
		"no log":                {one + "quorum a\n", reason.BadPolicy},
		"one of two witnesses":  {log + two + "quorum a\n", reason.BadPolicy},
		"group without one":     {log + two + "group g all a\nquorum g\n", reason.BadPolicy},
		"witness after":         {log + one + "group g all a\nquorum g\n" + fmt.Sprintf("witness b %s\n", m1), reason.BadPolicy},
		"group not used":        {log + one + "group g all a\nquorum a\n", reason.BadPolicy},
		"two groups":            {log + two + "group g all a b\ngroup h all a b\nquorum h\n", reason.BadPolicy},
		"nested":                {log + two + "group g any a\ngroup h all g b\nquorum h\n", reason.BadPolicy},
		"member twice":          {log + two + "group g 2 a a b\nquorum g\n", reason.BadPolicy},
		"unknown member":        {log + two + "group g 2 a c\nquorum g\n", reason.BadPolicy},
		"threshold 0":           {log + two + "group g 0 a b\nquorum g\n", reason.BadPolicy},
		"threshold 3 of 2":      {log + two + "group g 3 a b\nquorum g\n", reason.BadPolicy},
		"threshold 02":          {log + two + "group g 02 a b\nquorum g\n", reason.BadPolicy},
		"threshold +2":          {log + two + "group g +2 a b\nquorum g\n", reason.BadPolicy},
		"threshold huge":        {log + two + "group g 18446744073709551618 a b\nquorum g\n", reason.BadPolicy},
		"group named as member": {log + two + "group a 2 a b\nquorum a\n", reason.BadPolicy},
		"witness named as group": {log + one + "group g all a\n" + fmt.Sprintf("witness g %s\n", m1) + "quorum g\n",
			reason.BadPolicy},
		"name twice":          {log + one + fmt.Sprintf("witness a %s\n", m1) + "group g all a a\nquorum g\n", reason.BadPolicy},
		"named none":          {log + fmt.Sprintf("witness none %s\nquorum none\n", m0), reason.BadPolicy},
		"named all":           {log + fmt.Sprintf("witness all %s\nquorum all\n", m0), reason.BadPolicy},
		"named log":           {log + fmt.Sprintf("witness log %s\nquorum log\n", m0), reason.BadPolicy},
		"key twice":           {log + one + fmt.Sprintf("witness b %s\n", m0) + "group g all a b\nquorum g\n", reason.BadPolicy},
		"key twice, renamed":  {log + one + "witness b " + rename(m0, "other") + "\ngroup g all a b\nquorum g\n", reason.BadPolicy},
		"cosigner twice":      {log + one + "witness b " + rename(m1, m0.Name) + "\ngroup g all a b\nquorum g\n", reason.BadPolicy},
		"log twice":           {log + log + one + "quorum a\n", reason.BadPolicy},
		"log key cosigns":     {log + "witness a " + cosigner(l0, "x") + "\nquorum a\n", reason.BadPolicy},
		"two origins":         {log + "log " + rename(logVKey(1), "other/log") + "\n" + one + "quorum a\n", reason.BadPolicy},
		"log key of type 4":   {fmt.Sprintf("log %s\n", memberVKey(3)) + one + "quorum a\n", reason.BadPolicy},
		"witness of type 1":   {log + fmt.Sprintf("witness a %s\nquorum a\n", logVKey(3)), reason.BadPolicy},
		"bad vkey":            {"log x\n" + one + "quorum a\n", reason.BadPolicy},
		"bad witness vkey":    {log + "witness a x\nquorum a\n", reason.BadPolicy},
		"words after log":     {fmt.Sprintf("log %s https://a https://b\n", l0) + one + "quorum a\n", reason.BadPolicy},
		"comment after log":   {fmt.Sprintf("log %s # mine\n", l0) + one + "quorum a\n", reason.BadPolicy},
		"comment as URL":      {fmt.Sprintf("log %s #mine\n", l0) + one + "quorum a\n", reason.BadPolicy},
		"URL with fragment":   {fmt.Sprintf("log %s https://a/#b\n", l0) + one + "quorum a\n", reason.BadPolicy},
		"URL with user":       {fmt.Sprintf("log %s https://u@a/\n", l0) + one + "quorum a\n", reason.BadPolicy},
		"URL of a file":       {fmt.Sprintf("log %s file:///etc\n", l0) + one + "quorum a\n", reason.BadPolicy},
		"URL too long":        {fmt.Sprintf("log %s https://%s\n", l0, strings.Repeat("a", 505)) + one + "quorum a\n", reason.BadPolicy},
		"URL unparseable":     {fmt.Sprintf("log %s https://[a\n", l0) + one + "quorum a\n", reason.BadPolicy},
		"name with #":         {log + fmt.Sprintf("witness a#b %s\nquorum a#b\n", m0), reason.BadPolicy},
		"name with NBSP":      {log + fmt.Sprintf("witness a\u00a0b %s\nquorum a\u00a0b\n", m0), reason.BadPolicy},
		"too few words":       {log + "witness a\nquorum a\n", reason.BadPolicy},
		"short group":         {log + one + "group g all\nquorum g\n", reason.BadPolicy},
		"bare log":            {"log\n" + one + "quorum a\n", reason.BadPolicy},
		"bare quorum":         {log + one + "quorum\n", reason.BadPolicy},
		"unknown keyword":     {log + one + "quorum a\nexpires 1\n", reason.BadPolicy},
		"keyword upper case":  {log + one + "Quorum a\n", reason.BadPolicy},
		"carriage return":     {log + one + "quorum a\r\n", reason.BadPolicy},
		"control character":   {log + one + "quorum a\n#\x00\n", reason.BadPolicy},
		"delete character":    {log + one + "quorum a\n#\x7f\n", reason.BadPolicy},
		"no last newline":     {log + one + "quorum a", reason.BadPolicy},
		"too long":            {log + one + "quorum a\n" + strings.Repeat("#\n", 40_000), reason.BadPolicy},
		"16 members":          {strings.Replace(big, fmt.Sprintf("witness w16 %s\n", memberVKey(16)), "", 1) + "group g 11 " + w16 + "\nquorum g\n", 0},
		"16 members, 10":      {strings.Replace(big, fmt.Sprintf("witness w16 %s\n", memberVKey(16)), "", 1) + "group g 10 " + w16 + "\nquorum g\n", reason.PolicyBreaksQuorum},
		"17 members":          {big + "group g 12 " + w16 + " w16\nquorum g\n", reason.BadPolicy},
		"URL-free but spaces": {fmt.Sprintf("log %s  \n", l0) + one + "quorum a\n", 0},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := tlog.ParsePolicy([]byte(tt.text))
			if tt.want != 0 {
				wantReason(t, err, tt.want)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			again, err := tlog.ParsePolicy(p.Format())
			if err != nil || !reflect.DeepEqual(again, p) {
				t.Errorf("formatted and parsed: %+v, %v", again, err)
			}
		})
	}
}

func rename(v tlog.VKey, name string) string {
	v.Name = name
	return v.String()
}

func cosigner(v tlog.VKey, name string) string {
	v.Type = tlog.TypeCosignature
	return rename(v, name)
}

func TestPolicyVerify(t *testing.T) {
	c := testCheckpoint()
	p := testPolicy(4, 3)
	log := logSignature(c, 1)
	co := func(i int, time uint64) tlog.Signature { return cosignature(c, i, time) }
	unknown := tlog.Cosign(c, "stranger.example", 5, testKey("stranger"))
	nonsense := tlog.Signature{Name: "stranger.example", ID: 7, Bytes: []byte("x")}
	namesake := tlog.Signature{Name: memberName(0), ID: 7, Bytes: []byte("x")}
	broken := func(s tlog.Signature) tlog.Signature {
		s.Bytes = bytes.Clone(s.Bytes)
		s.Bytes[len(s.Bytes)-1] ^= 1
		return s
	}
	other := c
	other.Size--
	renamed := c
	renamed.Origin = "consortium.example/main/1"
	for name, tt := range map[string]struct {
		c       tlog.Checkpoint
		sigs    []tlog.Signature
		want    reason.Code // 0: trusted
		members []string
		times   []uint64
		time    uint64
	}{
		"quorum":            {c, []tlog.Signature{log, co(0, 10), co(1, 30), co(2, 20)}, 0, []string{"m1", "m2", "m0"}, []uint64{30, 20, 10}, 20},
		"all":               {c, []tlog.Signature{log, co(0, 10), co(1, 30), co(2, 20), co(3, 40)}, 0, []string{"m3", "m1", "m2", "m0"}, []uint64{40, 30, 20, 10}, 30},
		"equal times":       {c, []tlog.Signature{co(3, 9), co(0, 9), co(1, 9), log}, 0, []string{"m0", "m1", "m3"}, []uint64{9, 9, 9}, 9},
		"one far ahead":     {c, []tlog.Signature{log, co(0, 1<<62), co(1, 30), co(2, 20)}, 0, []string{"m0", "m1", "m2"}, []uint64{1 << 62, 30, 20}, 30},
		"strangers":         {c, []tlog.Signature{unknown, nonsense, namesake, log, co(0, 1), co(1, 1), co(2, 1), nonsense}, 0, []string{"m0", "m1", "m2"}, []uint64{1, 1, 1}, 1},
		"two logs":          {c, []tlog.Signature{logSignature(c, 0), log, co(0, 1), co(1, 1), co(2, 1)}, 0, []string{"m0", "m1", "m2"}, []uint64{1, 1, 1}, 1},
		"q-1":               {c, []tlog.Signature{log, co(0, 10), co(1, 30)}, reason.QuorumNotReached, nil, nil, 0},
		"q-1 and stranger":  {c, []tlog.Signature{log, co(0, 10), co(1, 30), unknown}, reason.QuorumNotReached, nil, nil, 0},
		"nobody":            {c, []tlog.Signature{log}, reason.QuorumNotReached, nil, nil, 0},
		"same line twice":   {c, []tlog.Signature{log, co(0, 1), co(1, 1), co(1, 1)}, reason.DuplicateCosigner, nil, nil, 0},
		"twice, two times":  {c, []tlog.Signature{log, co(0, 1), co(1, 1), co(1, 2)}, reason.DuplicateCosigner, nil, nil, 0},
		"twice beyond q":    {c, []tlog.Signature{log, co(0, 1), co(1, 1), co(2, 1), co(1, 2)}, reason.DuplicateCosigner, nil, nil, 0},
		"no log":            {c, []tlog.Signature{co(0, 1), co(1, 1), co(2, 1)}, reason.NoLogSignature, nil, nil, 0},
		"unlisted log":      {c, []tlog.Signature{logSignature(c, 9), co(0, 1), co(1, 1), co(2, 1)}, reason.NoLogSignature, nil, nil, 0},
		"log twice":         {c, []tlog.Signature{log, log, co(0, 1), co(1, 1), co(2, 1)}, reason.BadCheckpoint, nil, nil, 0},
		"broken log":        {c, []tlog.Signature{broken(log), co(0, 1), co(1, 1), co(2, 1)}, reason.BadCheckpoint, nil, nil, 0},
		"second log broken": {c, []tlog.Signature{log, broken(logSignature(c, 0)), co(0, 1), co(1, 1), co(2, 1)}, reason.BadCheckpoint, nil, nil, 0},
		"fourth broken":     {c, []tlog.Signature{log, co(0, 1), co(1, 1), co(2, 1), broken(co(3, 1))}, reason.BadCheckpoint, nil, nil, 0},
		"time 0":            {c, []tlog.Signature{log, co(0, 1), co(1, 1), co(2, 0)}, reason.BadCheckpoint, nil, nil, 0},
		"other tree's":      {c, []tlog.Signature{log, co(0, 1), co(1, 1), cosignature(other, 2, 1)}, reason.BadCheckpoint, nil, nil, 0},
		"other log number":  {renamed, []tlog.Signature{log, co(0, 1), co(1, 1), co(2, 1)}, reason.WrongOrigin, nil, nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			v, err := p.Verify(tlog.FormatNote(tt.c, tt.sigs))
			if tt.want != 0 {
				wantReason(t, err, tt.want)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			want := &tlog.Verified{Checkpoint: tt.c, Members: tt.members, Times: tt.times, Time: tt.time}
			if !reflect.DeepEqual(v, want) {
				t.Errorf("got %+v, want %+v", v, want)
			}
		})
	}
	_, err := p.Verify([]byte("no note"))
	wantReason(t, err, reason.BadCheckpoint)
}

// A policy made by hand is not trusted more than a file.
func TestPolicyVerifyChecksItself(t *testing.T) {
	note := signed(testCheckpoint(), 0, 1, 2, 3)
	for name, tt := range map[string]struct {
		change func(*tlog.Policy)
		want   reason.Code
	}{
		"quorum 0":      {func(p *tlog.Policy) { p.Quorum = 0 }, reason.PolicyBreaksQuorum},
		"quorum 2 of 4": {func(p *tlog.Policy) { p.Quorum = 2 }, reason.PolicyBreaksQuorum},
		"quorum 5 of 4": {func(p *tlog.Policy) { p.Quorum = 5 }, reason.BadPolicy},
		"quorum -1":     {func(p *tlog.Policy) { p.Quorum = -1 }, reason.BadPolicy},
		"same member":   {func(p *tlog.Policy) { p.Witnesses[1] = p.Witnesses[0] }, reason.BadPolicy},
		"no members":    {func(p *tlog.Policy) { p.Witnesses, p.Quorum = nil, 0 }, reason.PolicyBreaksQuorum},
		"no logs":       {func(p *tlog.Policy) { p.Logs = nil }, reason.BadPolicy},
		"other origin":  {func(p *tlog.Policy) { p.Origin = "x" }, reason.BadPolicy},
		"no key":        {func(p *tlog.Policy) { p.Witnesses[0].Key = tlog.VKey{} }, reason.BadPolicy},
		"short key":     {func(p *tlog.Policy) { p.Logs[0].Key.Public = nil }, reason.BadPolicy},
		"zero":          {func(p *tlog.Policy) { *p = tlog.Policy{} }, reason.BadPolicy},
	} {
		t.Run(name, func(t *testing.T) {
			p := testPolicy(4, 3)
			tt.change(p)
			_, err := p.Verify(note)
			wantReason(t, err, tt.want)
		})
	}
}

// The largest policy that Check accepts is one that ParsePolicy reads.
func TestPolicyAtItsLimits(t *testing.T) {
	long := func(i int) string { return fmt.Sprintf("%0255d", i) }
	url := "https://" + strings.Repeat("a", 504)
	p := &tlog.Policy{Origin: long(0), Quorum: 11}
	for i := range 32 {
		p.Logs = append(p.Logs, tlog.PolicyLog{URL: url,
			Key: tlog.VKey{Name: p.Origin, Type: tlog.TypeLog, Public: public(testKey(fmt.Sprint("log", i)))}})
	}
	for i := range 16 {
		v := memberVKey(i)
		v.Name = long(i)
		p.Witnesses = append(p.Witnesses, tlog.PolicyWitness{Name: long(i), Key: v, URL: url})
	}
	got, err := tlog.ParsePolicy(p.Format())
	if err != nil || !reflect.DeepEqual(got, p) {
		t.Errorf("%d bytes: %v", len(p.Format()), err)
	}
}

// A changed byte is refused or gives a policy that trusts no more than before.
func TestPolicyFlips(t *testing.T) {
	good := testPolicy(4, 3)
	text := append([]byte("# of the consortium\n"), good.Format()...)
	for at := range text {
		for _, mask := range flips(t) {
			text[at] ^= mask
			if p, err := tlog.ParsePolicy(text); err == nil {
				sameWitness := func(a, b tlog.PolicyWitness) bool { return a.Name == b.Name && a.Key.String() == b.Key.String() }
				isGood := func(l tlog.PolicyLog) bool {
					return slices.ContainsFunc(good.Logs, func(g tlog.PolicyLog) bool { return g.Key.String() == l.Key.String() })
				}
				if p.Origin != good.Origin || p.Quorum < good.Quorum ||
					!slices.EqualFunc(p.Witnesses, good.Witnesses, sameWitness) ||
					slices.ContainsFunc(p.Logs, func(l tlog.PolicyLog) bool { return !isGood(l) }) {
					t.Errorf("byte %d ^ %02x trusts otherwise:\n%s", at, mask, text)
				}
			}
			text[at] ^= mask
		}
	}
}

// flips are the changes to try on every byte.
func flips(t *testing.T) []byte {
	if testing.Short() {
		return []byte{0x01, 0x20}
	}
	return []byte{0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0xff}
}

func TestNoteFlips(t *testing.T) {
	c := testCheckpoint()
	p := testPolicy(4, 3)
	exactly, all := signed(c, 0, 1, 2), signed(c, 0, 1, 2, 3)
	wantAll, err := p.Verify(all)
	if err != nil {
		t.Fatal(err)
	}
	for at := range exactly {
		for _, mask := range flips(t) {
			exactly[at] ^= mask
			if _, err := p.Verify(exactly); err == nil {
				t.Errorf("byte %d ^ %02x is accepted", at, mask)
			}
			exactly[at] ^= mask
		}
	}
	// With one member more than needed, one of them may become a stranger, and nothing else may change.
	for at := range all {
		all[at] ^= 0x01
		if v, err := p.Verify(all); err == nil {
			if v.Checkpoint != c || len(v.Members) != 3 {
				t.Errorf("byte %d: %+v", at, v)
			}
			for i, m := range v.Members {
				if at := slices.Index(wantAll.Members, m); at < 0 || wantAll.Times[at] != v.Times[i] {
					t.Errorf("byte %d: %s swore %d", at, m, v.Times[i])
				}
			}
		}
		all[at] ^= 0x01
	}
}
