package state

// MayHaveAll makes the filter of a state, and of all that share it, answer "may have" to everything: the worst filter there is.
func MayHaveAll(s *State) {
	var all filterBlock
	for i := range all {
		all[i] = ^uint64(0)
	}
	s.filter.parts = []filterPart{{blocks: []filterBlock{all}, limit: 1}}
}
