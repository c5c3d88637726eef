package order

// LastIndex is the index of the newest entry in an engine's log.
func LastIndex(r *Raft) uint64 { return r.raft.LastIndex() }

// Fail ends an engine as a broken disk does.
func Fail(r *Raft, err error) { r.fail(err) }
