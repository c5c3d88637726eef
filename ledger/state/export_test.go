package state

// MayHaveAll makes the filter of a state, and of all that share it, answer "may have" to everything: the worst filter there is.
func MayHaveAll(s *State) {
	bits := make([]uint64, 1)
	bits[0] = ^uint64(0)
	s.filter.parts = []filterPart{{bits: bits, limit: 1}}
}
