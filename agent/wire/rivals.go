// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/arpeggio-lb/arpeggio/agent/neighbor"
)

// rivals is neighbor.Rivals for the readers and the announcer of a port at once. While
// nothing is remembered, which is nearly always, asking takes no lock.
type rivals struct {
	some atomic.Bool // whether heard holds anything

	mu    sync.Mutex // guards what follows, and changes of some
	heard neighbor.Rivals
}

// hear notes what was heard about the entry's address.
func (r *rivals) hear(h neighbor.Heard, e neighbor.Entry, card neighbor.MAC, now time.Duration) {
	if !neighbor.Outranks(h, e, card) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.heard.Hear(h, e, card, now)
	r.some.Store(r.heard.Len() > 0)
}

// Outrank implements neighbor.Rivalry.
func (r *rivals) Outrank(e neighbor.Entry, card neighbor.MAC, now time.Duration) bool {
	if !r.some.Load() {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	over := r.heard.Outrank(e, card, now)
	r.some.Store(r.heard.Len() > 0)
	return over
}
