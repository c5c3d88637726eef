package main

import (
	"testing"
)

// TestProxyBesideHonest: of two members that a command is given, the first lies. The command says yes, because the second proves what is
// so: whatever the first does, it costs time and nothing else.
func TestProxyBesideHonest(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 4)
	for i, v := range verbs {
		for j, kind := range v.classes {
			for k, b := range breaks() {
				if testing.Short() && (i+j+k)%5 != 0 || b.name == "huge" && kind != "status" {
					continue
				}
				cert := v.prepare(w)
				w.through(func(c string, body []byte, a *answer) []byte {
					if c == kind && a != nil {
						b.alter(a)
					}
					return body
				}, func() {
					code, out := w.run(w.proxy, v.command, append([]string{"--node", w.node}, v.args(w, cert)...)...)
					if code != exitYes {
						t.Errorf("%s, %s %s: exit %d\n%s", v.name, kind, b.name, code, out)
					}
				})
			}
		}
	}
}
