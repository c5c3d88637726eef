package peer

import "time"

// Limits, for tests.
const (
	MaxHandshakes = maxHandshakes
	MaxAccepted   = maxAccepted
	MaxRefusals   = maxRefusals
)

// SetPatience shortens how long a handshake and an Accept may take; before Serve.
func (n *Network) SetPatience(d time.Duration) { n.patience = d }

// Open is how many connections and listeners Close would close.
func (n *Network) Open() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.open)
}
