package main

import "testing"

// TestBugsFit: every bug's text is still there, once, so that the list does not rot.
func TestBugsFit(t *testing.T) {
	names := map[string]bool{}
	for _, b := range bugs {
		if names[b.name] || len(b.edits) == 0 {
			t.Errorf("%s is there twice, or changes nothing", b.name)
		}
		names[b.name] = true
		if _, err := b.changed("../.."); err != nil {
			t.Errorf("%s: %v", b.name, err)
		}
	}
}
